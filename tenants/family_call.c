#include "tenants/family_call.h"

#include <stdio.h>
#include <string.h>

#include "tenants/actor.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/log.h"
#include "tenants/execute.h"
#include "tenants/layers/branches.h"
#include "tenants/manifest_edit.h"
#include "tenants/vfs_internal.h"

/* ---- the changes ---- */

/* Nobody but a head that is on its way out can have the ref: who asks has seen to that. It gets a
 * name that no ref can be. */
static int free_ref(struct family *family, const char *ref, struct err *ret_err)
{
    const struct manifest_head *head;
    char head_id[ID_HEX_BYTES] = "";
    char name[ID_HEX_BYTES + 8];
    struct manifest manifest;

    family_describe(family, &manifest);
    head = manifest_find_ref(&manifest, ref);
    if (head != NULL)
        (void)snprintf(head_id, sizeof(head_id), "%s", head->id);
    manifest_fini(&manifest);
    if (head_id[0] == '\0')
        return 0;
    (void)snprintf(name, sizeof(name), "#gone.%s", head_id);
    return family_rename_head(family, head_id, name, ret_err);
}

static int branch(struct family_call *call, struct family *family, uint64_t log_bytes)
{
    const char *head_id = call->database->head_id;

    call->reader_in_the_way = log_bytes > 0;
    if (call->op == FAMILY_BRANCH_SNAPSHOT)
        return family_branch_snapshot(family, call->snapshot, call->ref, call->head_id, &call->err);
    return family_branch(family, head_id, call->ref, call->head_id, log_bytes, &call->err);
}

static int branch_anew(struct family_call *call, struct family *family, uint64_t log_bytes)
{
    if (branch(call, family, log_bytes) == 0)
        return 0;
    if (call->err.code != ERR_CONFLICT)
        return -1;
    call->err = ERR_INIT;
    if (free_ref(family, call->ref, &call->err) < 0)
        return -1;
    return branch(call, family, log_bytes);
}

static int gone_is_fine(struct family_call *call, int rc)
{
    if (rc == 0 || call->err.code != ERR_NOT_FOUND)
        return rc;
    call->err = ERR_INIT;
    return 0;
}

/* Snapshots of a database are called "d<its id>.…". */
static int remove_with_snapshots(struct family_call *call, struct family *family)
{
    struct manifest manifest;
    char prefix[32];
    int rc = gone_is_fine(call, family_remove_head(family, call->database->head_id, &call->err));

    (void)snprintf(prefix, sizeof(prefix), "d%llu.", (unsigned long long)call->database->id);
    family_describe(family, &manifest);
    for (size_t i = 0; rc == 0 && i < manifest.snapshot_count; i++)
        if (strncmp(manifest.snapshots[i].name, prefix, strlen(prefix)) == 0)
            rc = gone_is_fine(
                call, family_remove_snapshot(family, manifest.snapshots[i].name, &call->err));
    manifest_fini(&manifest);
    return rc;
}

static int perform(struct family_call *call, struct family *family, uint64_t log_bytes)
{
    struct database *database = call->database;
    struct err *err = &call->err;

    switch (call->op) {
    case FAMILY_BRANCH:
    case FAMILY_BRANCH_SNAPSHOT:
        return branch_anew(call, family, log_bytes);
    case FAMILY_SNAPSHOT:
        return family_snapshot(family, database->head_id, call->snapshot, err);
    case FAMILY_SWAP:
        return family_swap_head(family, database->head_id, call->head_id, call->snapshot, err);
    case FAMILY_REMOVE_HEAD:
        return remove_with_snapshots(call, family);
    case FAMILY_DROP_HEAD:
        return gone_is_fine(call, family_remove_head(family, database->head_id, err));
    case FAMILY_DISCARD_HEAD:
        return gone_is_fine(call, family_remove_head(family, call->head_id, err));
    case FAMILY_REMOVE_SNAPSHOT:
        return gone_is_fine(call, family_remove_snapshot(family, call->snapshot, err));
    case FAMILY_RENAME:
        return family_rename_head(family, database->head_id, call->ref, err);
    case FAMILY_USAGE:
    default:
        return family_head_usage(family, database->head_id, &call->usage, err);
    }
}

/* Nobody knows what the MANIFEST on disk says: all who have the family open close it. */
static void close_broken(struct engine *engine, const struct family *family)
{
    mutex_lock(&engine->registry_lock);
    LIST_FOREACH(item, &engine->open_list)
    {
        struct open_database *open = LIST_ENTRY(item, struct open_database, open_link);

        if (open->family == family)
            vfs_poison(open->head);
    }
    mutex_unlock(&engine->registry_lock);
    log_error("family.broken", "reason=\"a MANIFEST could not be replaced\"");
}

static void finish(struct family_call *call)
{
    struct engine *engine = call->engine;

    call->done(call); /* the call may be gone */
    (void)atomic_fetch_sub(&engine->in_flight, 1);
}

/* ---- on the write lane ---- */

/* With the write lock. False: not with this log. */
static bool may_go(struct lane *lane, struct family_call *call, bool settled, uint64_t *log_bytes)
    ON(actor_owner)
{
    struct open_database *open = lane->actor->open;

    *log_bytes = 0;
    if (settled)
        return true;
    /* What the change sees has to be on disk before its own MANIFEST is. */
    if (vfs_head_sync_wal(open->head, &call->err) < 0)
        return false;
    if (call->op == FAMILY_SWAP && call->snapshot == NULL)
        return true; /* what it had goes anyway */
    if (call->op != FAMILY_BRANCH) {
        call->reader_in_the_way = true;
        (void)err_set(&call->err, ERR_UNAVAILABLE,
            "a long read holds the database's log; try again when it has ended");
        return false;
    }
    *log_bytes = vfs_head_wal_bytes(open->head);
    if (*log_bytes <= lane->actor->engine->options.wal_hard_bytes)
        return true;
    (void)err_set(&call->err, ERR_UNAVAILABLE,
        "the database's log is too large to copy, and a long read holds it; try again");
    return false;
}

static void change(struct lane *lane, struct family_call *call, bool settled) ON(actor_owner)
{
    struct open_database *open = lane->actor->open;
    uint64_t log_bytes;
    int rc;

    if (!may_go(lane, call, settled, &log_bytes))
        return;
    rc = perform(call, open->family, log_bytes);
    if (rc < 0 && family_is_broken(open->family)) {
        close_broken(lane->actor->engine, open->family);
        return;
    }
    if (rc == 0)
        atomic_store(&open->may_fold, true);
    if (rc == 0 && call->op == FAMILY_SWAP) {
        /* Nothing that is written from here on would be kept: it must not seem so. */
        vfs_poison(open->head);
        actor_sync_failed(open);
    }
}

/* What they read is replaced: they are told to end, and waited for as long as for a lock. */
static bool ends_readers(struct lane *lane, const struct family_call *call) ON(actor_owner)
{
    uint64_t limit_ns = lane->actor->engine->options.lock_wait_ms * NS_PER_MS;

    if (call->op != FAMILY_SWAP || call->snapshot == NULL ||
        vfs_head_poisoned(lane->actor->open->head) ||
        clock_since(clock_now_ns(), call->request.submitted_ns) > limit_ns)
        return false;
    actor_evict_all(lane->actor);
    return true;
}

enum run_result family_call_run(struct lane *lane, struct request *request)
{
    struct family_call *call = CONTAINER_OF(request, struct family_call, request);
    struct vfs_head *head = lane->actor->open->head;
    bool settled = false;

    for (unsigned tries = 0; tries < FAMILY_TRIES; tries++) {
        int rc;

        if (tries > 0)
            (void)execute_verb(lane, VERB_ROLLBACK);
        (void)lane_checkpoint(lane, true);
        rc = execute_verb(lane, VERB_BEGIN_IMMEDIATE);
        if (rc != SQLITE_OK)
            return execute_error(lane, rc, &request->err);
        settled = vfs_head_is_settled(head);
        if (settled)
            break;
    }
    if (!settled && ends_readers(lane, call)) {
        (void)execute_verb(lane, VERB_ROLLBACK);
        return RUN_BUSY; /* at once again: the lock was given back */
    }
    change(lane, call, settled);
    (void)execute_verb(lane, VERB_ROLLBACK);
    err_copy(&request->err, &call->err);
    return call->err.code == ERR_NONE ? RUN_OK : RUN_FAILED;
}

static void on_request_done(struct request *request)
{
    struct family_call *call = CONTAINER_OF(request, struct family_call, request);

    if (call->err.code == ERR_NONE)
        err_copy(&call->err, &request->err);
    arena_fini(&call->arena);
    finish(call);
}

static void submit(struct family_call *call)
{
    struct request *request = &call->request;

    memset(request, 0, sizeof(*request));
    arena_init(&call->arena, 0);
    call->err = ERR_INIT;
    request->kind = REQUEST_FAMILY;
    request->arena = &call->arena;
    request->done = on_request_done;
    engine_submit(call->engine, call->database, request);
}

/* ---- on a worker ---- */

static void run_here(struct family_call *call)
{
    struct family *family;

    if (family_open(
            call->engine->options.data_dir, call->database->family_id, &family, &call->err) < 0) {
        /* Of a family that is gone there is nothing left to remove. */
        if (call->op == FAMILY_REMOVE_HEAD || call->op == FAMILY_DROP_HEAD ||
            call->op == FAMILY_REMOVE_SNAPSHOT || call->op == FAMILY_DISCARD_HEAD)
            (void)gone_is_fine(call, -1);
        return;
    }
    if (perform(call, family, 0) < 0 && family_is_broken(family))
        close_broken(call->engine, family);
    family_release(family);
}

static void plain_task(struct task *task)
{
    struct family_call *call = CONTAINER_OF(task, struct family_call, task);

    run_here(call);
    finish(call);
}

static void closed_task(struct task *task)
{
    struct family_call *call = CONTAINER_OF(task, struct family_call, task);
    struct actor *actor = call->actor;
    bool has_log;

    run_here(call);
    has_log = call->err.code == ERR_BUSY && call->op != FAMILY_REMOVE_HEAD &&
              call->op != FAMILY_DROP_HEAD;
    actor_unclaim(actor);
    actor_unref(actor);
    if (has_log)
        submit(call);
    else
        finish(call);
}

static void push(struct family_call *call, void (*run)(struct task *task))
{
    task_init(&call->task, call->database->tenant_id, run);
    scheduler_push(&call->engine->fast, &call->task);
}

/* True: the database is closed, and stays so until closed_task() has run. */
static bool run_closed(struct family_call *call)
{
    struct actor *actor = engine_find_actor(call->engine, call->database);

    if (!actor_claim_closed(actor)) {
        actor_unref(actor);
        return false;
    }
    call->actor = actor;
    push(call, closed_task);
    return true;
}

/* Between its closing and this it may have been opened again, by who has an old entry. */
static void on_closed(void *argument)
{
    struct family_call *call = argument;

    if (!run_closed(call))
        engine_close_database(call->engine, call->database, on_closed, call);
}

void engine_family_call(struct engine *engine, struct family_call *call)
{
    call->engine = engine;
    call->err = ERR_INIT;
    call->reader_in_the_way = false;
    (void)atomic_fetch_add(&engine->in_flight, 1);
    switch (call->op) {
    case FAMILY_BRANCH:
    case FAMILY_SNAPSHOT:
    case FAMILY_SWAP:
        if (call->database->state == DATABASE_RESERVED || !run_closed(call))
            submit(call);
        break;
    case FAMILY_REMOVE_HEAD:
    case FAMILY_DROP_HEAD:
        on_closed(call);
        break;
    case FAMILY_BRANCH_SNAPSHOT:
    case FAMILY_DISCARD_HEAD:
    case FAMILY_REMOVE_SNAPSHOT:
    case FAMILY_RENAME:
    case FAMILY_USAGE:
    default:
        push(call, plain_task);
        break;
    }
}
