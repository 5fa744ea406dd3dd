/* Our VFS "rookery": one object per open database file, shared by all its connections.
 *
 * All connections of a database are in this process, so the wal-index is on the heap, locks are in
 * the process (per-lock shared/exclusive counts under the head's mutex; no fcntl, no -shm file),
 * and the sync that ends a commit can be left to a sync pool (shared/durability). Everything else
 * is as SQLite counts on: whole pages, real syncs everywhere but at the end of a commit. Rollback
 * journals of the main database are refused. A main file is one file written in place, or a stack
 * of page layers (tenants/layers/stack.h), which a database becomes when it is branched, while it
 * is open.
 *
 * Sync rule: a WAL write at offset 0 sets header-dirty; an xSync of the WAL with header-dirty, or
 * outside a commit section, or within a checkpoint (of this thread by its mark, or of any thread by
 * its lock), is real and clears it; all others are deferred: on_commit() is called and SQLITE_OK
 * returned. A real WAL sync, whoever makes it, calls on_sync_begin() before and on_synced() after.
 * Within one thread a commit section is marked with vfs_commit_section(true/false). Syncs of the
 * main file are always real.
 *
 * A failed sync is final: the head is poisoned, writes and syncs fail, nothing is retried. What
 * the page cache still shows may not be on disk, so closing a poisoned head drops it from the
 * cache, and a WAL that has content when a head is opened is synced before anybody reads it.
 *
 * On loop threads reads are tried with RWF_NOWAIT (vfs_nowait): when the page is not in the page
 * cache the read fails and vfs_would_block() says why.
 *
 * A stock sqlite3 is told "database is locked": while a head is open, OFD locks are held on
 * SQLite's own lock bytes (the shared range, exclusively) of the base file and of the placeholder;
 * a second process of ours meets the data directory's lock first. */
#ifndef TENANTS_VFS_H
#define TENANTS_VFS_H

#include "tenants/base/err.h"

#define VFS_NAME "rookery"

struct sqlite3;
struct vfs_head;
struct layer_stack;

struct vfs_events {
    /* A commit's sync was deferred: the commit becomes visible after this returns. Called inside
     * xSync by the thread that runs the lane. NULL: no deferral, every sync is real. */
    void (*on_commit)(void *context);
    /* Every commit noted before `token` = on_sync_begin() is on disk now. */
    uint64_t (*on_sync_begin)(void *context);
    void (*on_synced)(void *context, uint64_t token);
    /* The WAL write lock was given back: a waiting lane may try again. Called without locks held.
     */
    void (*on_unlock)(void *context);
};

struct vfs_head_options {
    const char *main_path; /* the base, or a plain SQLite file. One in rollback mode is made a WAL
                              database at open; one with a hot journal is refused */
    struct layer_stack *stack; /* in place of main_path: the pages of a family's head, opened by
                                  family_head_open() (tenants/layers/heads.h) and closed after the
                                  head. NULL: main_path */
    const char *wal_path;
    const char *placeholder_path; /* NULL: none */
    struct vfs_events events;
    void *context;
    bool create; /* make missing files, the main one as an empty database, and fsync their folder */
    uint64_t temp_limit_bytes; /* temporary files of this head's connections together; then FULL */
    const char *temp_dir;      /* where O_TMPFILE goes; NULL: /tmp */
};

/* Registers the VFS (not as default). Once per process; later calls do nothing. */
int vfs_register(struct err *ret_err) MUST_CHECK;

/* Opens the files (main, WAL), takes the OFD lock. Errors: ERR_BUSY somebody else has it, ERR_IO,
 * ERR_NOT_FOUND, ERR_CORRUPT. Thread: worker. */
int vfs_head_open(const struct vfs_head_options *options, struct vfs_head **ret_head,
    struct err *ret_err) MUST_CHECK;
/* Every connection and every sync must be over. */
void vfs_head_close(struct vfs_head *head);
/* The name to give sqlite3_open_v2(name, &db, flags, VFS_NAME): valid while the head is open. It is
 * made by us and never by a client. */
const char *vfs_head_name(const struct vfs_head *head);

/* Marks of the calling thread, which runs a lane.
 *
 * The head whose lane this thread runs from now on (may be NULL); returns the one before, to be put
 * back. SQLite opens temporary files without saying for whom: they are charged to this head. */
struct vfs_head *vfs_enter(struct vfs_head *head);
void vfs_commit_section(bool inside);
void vfs_checkpoint_section(bool inside);
void vfs_nowait(bool on);
/* A read failed only because it would have waited for the disk. Clears the mark. */
bool vfs_would_block(void);

/* The connection's read transaction sees less than was committed since: it cannot become a write
 * (SQLITE_BUSY_SNAPSHOT), however long it waits. By whoever runs the connection. */
bool vfs_snapshot_is_old(struct sqlite3 *db);

/* fdatasync of the WAL, for the sync pool; calls on_sync_begin and on_synced. Thread: sync. A
 * failure is final: the head is poisoned, every later write and sync on it fails with ERR_IO. */
int vfs_head_sync_wal(struct vfs_head *head, struct err *ret_err) MUST_CHECK;
/* A sync failed, here or in a lane (which saw SQLITE_IOERR): the owner fails what waits at the gate
 * as of unknown outcome, closes the head and opens it anew. */
bool vfs_head_poisoned(const struct vfs_head *head);

/* Every commit that SQLite knows of is in the main file: the wal-index says so, or the WAL is
 * empty. True for as long as nobody writes: ask while holding SQLite's write lock. */
bool vfs_head_is_settled(struct vfs_head *head);

uint64_t vfs_head_wal_bytes(const struct vfs_head *head); /* size of the WAL file */
uint64_t vfs_head_main_bytes(const struct vfs_head *head);
uint64_t vfs_head_temp_bytes(const struct vfs_head *head);
/* Address space of the wal-index: 32 KB for each 4,096 frames of the WAL's longest time. Memory is
 * taken as it is touched: 4 KB until the first frame. A TRUNCATE checkpoint gives all but those 4
 * KB back; all is freed when the last connection closes. In no account. */
uint64_t vfs_head_shm_bytes(const struct vfs_head *head);

#endif
