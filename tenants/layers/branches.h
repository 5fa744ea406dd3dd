/* Branches and snapshots: each is one replacement of the family's MANIFEST.
 *
 * How an actor calls these: between two groups, every earlier commit durable (the gate has let all
 * answers go); checkpoint of the whole WAL (FULL, in a checkpoint section); `BEGIN IMMEDIATE` on
 * the write lane; vfs_head_is_settled(), else try again; the call; ROLLBACK. No checkpoint runs
 * beside it. Readers are not touched, and need not be told. For a head that is not open the
 * functions look themselves that its WAL is empty, and answer ERR_BUSY if not: open and checkpoint
 * it first.
 *
 * Names of refs and snapshots are what a MANIFEST takes (docs/formats/manifest.md). Ids come from
 * family_new_id(). All errors but one leave everything as it was; the one is a broken family
 * (family_is_broken()). Errors: ERR_CONFLICT a name is taken; ERR_NOT_FOUND; ERR_BAD_REQUEST not a
 * name; ERR_UNAVAILABLE the stack has as many layers as it may (fold first); ERR_BUSY; ERR_IO.
 * Threads: workers. */
#ifndef TENANTS_LAYERS_BRANCHES_H
#define TENANTS_LAYERS_BRANCHES_H

#include "tenants/layers/heads.h"

/* A new head `head_id` with `ref`, that begins with what `parent_head_id` has now. Syncs: the
 * parent's top if it was written since its last, the child's names, the MANIFEST, its name.
 *
 * `with_log`: for a parent whose WAL could not be checkpointed (a long reader): the child gets a
 * copy of it, up to `log_bytes`, and recovers it when it is opened. The parent's write lock is held
 * meanwhile. 0: none; the WAL is settled. */
int family_branch(struct family *family, const char *parent_head_id, const char *ref,
    const char *head_id, uint64_t log_bytes, struct err *ret_err) MUST_CHECK;
/* The same of a snapshot; nobody has to be quiet. */
int family_branch_snapshot(struct family *family, const char *snapshot, const char *ref,
    const char *head_id, struct err *ret_err) MUST_CHECK;
/* Keeps what a head has now under a name. */
int family_snapshot(
    struct family *family, const char *head_id, const char *name, struct err *ret_err) MUST_CHECK;

/* Deletes: the head is closed (ERR_BUSY). Layers that nobody else has go with it. */
int family_remove_head(struct family *family, const char *head_id, struct err *ret_err) MUST_CHECK;
int family_remove_snapshot(struct family *family, const char *name, struct err *ret_err) MUST_CHECK;

struct family_replace {
    const char *head_id;     /* its ref gets other content, under a new id */
    const char *new_head_id; /* not used before */
    /* What it gets; one of the two: */
    const char *from_head_id;  /* what that has now: reset to a parent, promote of a branch */
    const char *from_snapshot; /* restore */
    const char *keep;          /* snapshot that keeps what was there; NULL: it is gone */
};
/* Reset, restore, promote. Both heads are quiet. The old head's log is never used again: its actor
 * closes it without a checkpoint (its layers refuse) and opens the new id. */
int family_replace_head(
    struct family *family, const struct family_replace *replace, struct err *ret_err) MUST_CHECK;
/* The ref of `head_id` becomes that of `new_head_id`, which is closed (a branch made under another
 * name); the old head goes, kept as a snapshot or not. It is quiet, or closed; its log likewise. */
int family_swap_head(struct family *family, const char *head_id, const char *new_head_id,
    const char *keep, struct err *ret_err) MUST_CHECK;
int family_rename_head(
    struct family *family, const char *head_id, const char *ref, struct err *ret_err) MUST_CHECK;

#endif
