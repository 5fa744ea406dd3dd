/* What is done to a family while its databases are in use: branches, snapshots, resets, removal.
 * Each call is one change of the MANIFEST (tenants/layers/branches.h) with what it needs around it:
 *
 *   open database     on its write lane, between two groups: checkpoint, BEGIN IMMEDIATE, the
 *                     change, ROLLBACK. Readers are not touched. A stream's transaction that
 *                     writes is waited for, like by any writer.
 *   closed database   on a worker, its files as they are; it is opened only if its log is not
 *                     empty (its last process was killed).
 *
 * A reader may keep the checkpoint from its end. A branch takes a copy of the log then; a snapshot
 * is refused (ERR_UNAVAILABLE, `reader_in_the_way`) after its tries: make a branch, and the
 * snapshot of that. A swap ends the readers of what it replaces.
 *
 * Errors: ERR_CONFLICT the name is taken; ERR_NOT_FOUND no such snapshot or head; ERR_UNAVAILABLE
 * too many layers (they are being folded), a log that is too large, a reader in the way; ERR_BUSY;
 * ERR_IO. */
#ifndef TENANTS_FAMILY_CALL_H
#define TENANTS_FAMILY_CALL_H

#include "tenants/base/arena.h"
#include "tenants/engine.h"
#include "tenants/layers/heads.h"
#include "tenants/scheduler.h"

#define FAMILY_TRIES 4 /* checkpoints before a reader is taken to be in the way */

enum family_op {
    FAMILY_BRANCH,          /* `head_id`, under `ref`, gets what the database has now */
    FAMILY_BRANCH_SNAPSHOT, /* ... what the snapshot `snapshot` has */
    FAMILY_SNAPSHOT,        /* what the database has now is kept as `snapshot` */
    FAMILY_SWAP,         /* the database becomes `head_id`; `snapshot`, if any, keeps what it was.
                            Its old head is gone: entries of it are refused from then on */
    FAMILY_REMOVE_HEAD,  /* closes the database, when it is idle, and removes its head; fine when it
                            is gone */
    FAMILY_DROP_HEAD,    /* the same without its snapshots */
    FAMILY_DISCARD_HEAD, /* removes `head_id`, which nobody opened; fine when it is gone */
    FAMILY_REMOVE_SNAPSHOT, /* likewise */
    FAMILY_RENAME,          /* the database's head gets the name `ref` */
    FAMILY_USAGE,           /* fills `usage` */
};

struct family_call {
    /* The caller's. All of it lasts until done(). */
    enum family_op op;
    struct database *database; /* borrowed */
    const char *ref;
    const char *head_id;
    const char *snapshot;
    void (*done)(struct family_call *call); /* on a worker or sync thread, or the caller's */
    void *owner;
    /* Results. */
    struct err err;
    struct family_usage usage;
    bool reader_in_the_way; /* a branch has a copy of the log; a snapshot was not made */
    /* The engine's own. */
    struct engine *engine;
    struct request request;
    struct arena arena;
    struct task task;
    struct actor *actor; /* claimed */
};

/* The call's own members zeroed. Any thread. */
void engine_family_call(struct engine *engine, struct family_call *call);

#endif
