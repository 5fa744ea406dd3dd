/* What the files of the VFS share. Only vfs*.c, family.c, import*.c and layers/ include this.
 *
 *   vfs.c        registration, names, thread marks, opening of files by SQLite
 *   vfs_head.c   a head's files: open, close, sync, poison
 *   vfs_pages.c  the main file's pages: in place, or in a stack of layers (tenants/layers/stack.h)
 *   vfs_file.c   io methods of the main file and the WAL
 *   vfs_lock.c   locks of the main file, in the process; OFD locks against other programs
 *   vfs_shm.c    the wal-index and its locks
 *   vfs_temp.c   temporary files
 *   vfs_io.c     system calls, with hooks for tests */
#ifndef TENANTS_VFS_INTERNAL_H
#define TENANTS_VFS_INTERNAL_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "tenants/base/list.h"
#include "tenants/base/thread.h"
#include "tenants/vfs.h"

#define VFS_NAME_BYTES 32
#define VFS_EMPTY_BYTES 4096 /* an empty database */
#define WAL_FRAME_HEADER_BYTES 24

/* The main file as SQLite sees it: a sequence of pages. Whole pages at page offsets are all that is
 * written, and reads stay within one page. */
struct layer_stack;
struct layer_view;
struct vfs_pages {
    int fd;                    /* owned, or the stack's */
    _Atomic uint64_t bytes;    /* without a stack */
    struct layer_stack *stack; /* borrowed; NULL: a plain file */
};

struct vfs_shm_region;
struct vfs_shm {
    const uint64_t *_Atomic header; /* of the first region; NULL: there is none yet */
    _Atomic uint64_t locks;         /* eight slots of 8 bits: shared holders, or SLOT_EXCLUSIVE */
    _Atomic uint64_t barrier;
    void **regions; /* owned, under the head's lock; what they point to does not move */
    _Atomic unsigned region_count; /* changed under the head's lock */
    unsigned users;                /* connections that have it mapped, under the head's lock */
};

#define VFS_SHM_HEADER_WORDS 6 /* SQLite's WalIndexHdr, 48 bytes */

struct vfs_file;
struct vfs_locks {
    unsigned shared;            /* connections at SHARED or above */
    struct vfs_file *reserved;  /* who is at RESERVED or above */
    struct vfs_file *exclusive; /* who is at EXCLUSIVE */
};

struct vfs_temp_account {
    _Atomic uint64_t bytes;
    uint64_t limit_bytes; /* 0: none */
};

struct vfs_head {
    struct list link; /* in the registry, under its lock */
    uint64_t id;
    char name[VFS_NAME_BYTES];
    struct vfs_pages pages;
    int wal_fd;         /* owned */
    int placeholder_fd; /* owned, or -1 */
    _Atomic uint64_t wal_bytes;
    _Atomic uint64_t wal_append; /* where the last frame written ends; see vfs_file.c */
    _Atomic bool header_dirty;   /* the WAL's header was written and not synced since */
    _Atomic bool poisoned;       /* a sync failed: final */
    _Atomic unsigned files;      /* open handles of the main file and the WAL */
    struct mutex lock;           /* regions and users of shm; locks */
    struct vfs_shm shm;
    struct vfs_locks locks;
    struct vfs_temp_account temp;
    char *temp_dir; /* owned */
    struct vfs_events events;
    void *context;
};

/* One handle, in memory that SQLite owns (szOsFile bytes). */
struct vfs_file {
    sqlite3_file base;
    struct vfs_head *head; /* NULL: a temporary file of no head */
    union {
        struct {
            uint8_t level;         /* SQLITE_LOCK_… */
            uint8_t shm_shared;    /* slots held, one bit each */
            uint8_t shm_exclusive; /* slots held, one bit each */
            bool shm_mapped;
            bool persist_wal;
            struct layer_view *held; /* what it read with last, NULL: none */
            /* The wal-index's header as the read transaction found it. */
            uint64_t snapshot[VFS_SHM_HEADER_WORDS];
        } main;
        struct {
            int64_t held_at; /* offset of the frame header below, 0: none is held back */
            unsigned char held[WAL_FRAME_HEADER_BYTES];
        } wal;
        struct {
            int fd;
            int64_t bytes;
            struct vfs_temp_account *account;
        } temp;
    };
};

/* Marks of the running thread. */
struct vfs_marks {
    struct vfs_head *head; /* vfs_enter() */
    int last_errno;
    bool commit;
    bool checkpoint;
    bool nowait;
    bool would_block;
};
extern __thread struct vfs_marks vfs_marks;

/* SQLite's codes for a read or write at a place of a descriptor. Reads beyond the end give zeros
 * and SQLITE_IOERR_SHORT_READ, and obey the thread's nowait mark. */
int vfs_read(int fd, void *bytes, int len, int64_t offset);
int vfs_write_failed(void); /* from errno: SQLITE_FULL or SQLITE_IOERR_WRITE */

/* Errors: SQLite's codes. `held` is the handle's view. */
int vfs_pages_read(
    struct vfs_pages *pages, struct layer_view **held, void *bytes, int len, int64_t offset);
/* A handle ended a read transaction, or ends altogether: it keeps no outdated view. */
void vfs_pages_idle(struct vfs_pages *pages, struct layer_view **held, bool ends);
uint64_t vfs_pages_bytes(const struct vfs_pages *pages);
void vfs_pages_forget_cache(struct vfs_pages *pages);
void vfs_pages_use(struct vfs_pages *pages, struct layer_stack *stack);
int vfs_pages_write(struct vfs_pages *pages, const void *bytes, int len, int64_t offset);
int vfs_pages_truncate(struct vfs_pages *pages, int64_t bytes);
int vfs_pages_sync(struct vfs_pages *pages);
/* Opens for reading and writing; made anew, if `create`, where there is none. The descriptor, or
 * -1: ERR_NOT_FOUND, ERR_IO. */
int vfs_open_file(const char *path, bool create, bool *ret_created, struct err *ret_err) MUST_CHECK;
int vfs_pages_open(struct vfs_pages *pages, const char *path, bool create, bool *ret_created,
    struct err *ret_err) MUST_CHECK;
void vfs_pages_close(struct vfs_pages *pages);
/* Page 1 of a database without content: WAL mode, page size VFS_EMPTY_BYTES. */
void vfs_empty_database(unsigned char page[VFS_EMPTY_BYTES]);

extern const sqlite3_io_methods vfs_main_methods;
extern const sqlite3_io_methods vfs_wal_methods;
/* Methods of files that nobody locks (the WAL, temporary ones): locks always succeed, hints of size
 * are taken and forgotten, no other control is known. */
int vfs_no_lock(sqlite3_file *handle, int level);
int vfs_no_check(sqlite3_file *handle, int *ret_reserved);
int vfs_no_control(sqlite3_file *handle, int operation, void *argument);
int vfs_temp_open(struct vfs_head *head, struct vfs_file *file);

int vfs_lock(struct vfs_file *file, int level);
int vfs_unlock(struct vfs_file *file, int level);
bool vfs_is_reserved(struct vfs_head *head);
/* OFD locks on SQLite's lock bytes. Errors: ERR_BUSY, ERR_IO. */
int vfs_lock_out_others(int fd, const char *path, struct err *ret_err) MUST_CHECK;

int vfs_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret_memory);
int vfs_shm_lock(sqlite3_file *file, int offset, int count, int flags);
void vfs_shm_barrier(sqlite3_file *file);
int vfs_shm_unmap(sqlite3_file *file, int delete);
bool vfs_shm_checkpointing(const struct vfs_head *head);
/* The WAL was emptied under all locks: memory of the index behind its header is given back. */
void vfs_shm_trim(struct vfs_head *head);

/* A real sync of the WAL, with its events; a failure poisons. SQLite's codes. */
int vfs_wal_sync_now(struct vfs_head *head);
void vfs_poison(struct vfs_head *head);

void vfs_registry_add(struct vfs_head *head);
void vfs_registry_remove(struct vfs_head *head);

#endif
