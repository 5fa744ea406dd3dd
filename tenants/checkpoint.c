/* The log's bounds: when it is moved into the database, and what happens when it cannot be. */
#include <sqlite3.h>

#include "tenants/actor.h"
#include "tenants/base/clock.h"
#include "tenants/base/metrics.h"
#include "tenants/execute.h"

bool lane_checkpoint(struct lane *lane, bool wanted_now)
{
    struct open_database *open = lane->actor->open;
    const struct engine_options *options = &lane->actor->engine->options;
    uint64_t pages = atomic_load_explicit(&open->wal_pages, memory_order_relaxed);
    uint64_t now = clock_now_ms();
    int in_log = 0;
    int done = 0;
    int rc;

    open_note_size(open); /* comes here after every group */
    if (!wanted_now && (pages * WAL_FRAME_BYTES < options->wal_soft_bytes ||
                           clock_since(now, atomic_load_explicit(&open->last_checkpoint_ms,
                                                memory_order_relaxed)) < ACTOR_CHECKPOINT_MS))
        return false;
    atomic_store_explicit(&open->last_checkpoint_ms, now, memory_order_relaxed);
    metric_add(METRIC_CHECKPOINTS, 1);
    vfs_checkpoint_section(true);
    /* FULL differs from PASSIVE in taking the write lock: no writer runs beside it. */
    rc = sqlite3_wal_checkpoint_v2(
        connection_db(lane->connection), NULL, SQLITE_CHECKPOINT_FULL, &in_log, &done);
    vfs_checkpoint_section(false);
    open_note_size(open);
    if (unlikely(vfs_head_poisoned(open->head)))
        gate_fail(&open->gate);
    if (rc != SQLITE_OK || in_log != done)
        return false;
    atomic_store_explicit(
        &open->wal_pages, 0, memory_order_relaxed); /* the next commit restarts it */
    return true;
}

void lane_ask_checkpoint(struct lane *lane)
{
    struct actor *actor = lane->actor;
    struct open_database *open = actor->open;
    uint64_t pages = atomic_load_explicit(&open->wal_pages, memory_order_relaxed);

    if (pages * WAL_FRAME_BYTES < actor->engine->options.wal_soft_bytes)
        return;
    mutex_lock(&actor->lock);
    if (open->write.state == LANE_FREE)
        lane_push_locked(&open->write);
    mutex_unlock(&actor->lock);
}

static bool has_inbox(struct lane *lane)
{
    bool has;

    mutex_lock(&lane->actor->lock);
    has = !list_empty(&lane->inbox);
    mutex_unlock(&lane->actor->lock);
    return has;
}

static void refuse_inbox(struct lane *lane, const struct err *err)
{
    struct list requests;

    lane_waited(lane);
    actor_take_older(lane, UINT64_MAX, &requests);
    LIST_FOREACH_SAFE(item, next, &requests)
    {
        struct request *request = LIST_ENTRY(item, struct request, link);

        list_remove(item);
        lane_refuse(lane, request, err);
    }
}

/* Somebody writes: a checkpoint cannot be complete beside that. */
static bool is_locked(struct lane *lane) ON(actor_owner)
{
    int rc = execute_verb(lane, VERB_BEGIN_IMMEDIATE);

    if (rc == SQLITE_OK)
        (void)execute_verb(lane, VERB_ROLLBACK);
    return (rc & 0xff) == SQLITE_BUSY;
}

/* A writer that never lets a checkpoint in, for instance. */
static bool has_waited_long(struct lane *lane)
{
    struct actor *actor = lane->actor;
    uint64_t limit = actor->engine->options.lock_wait_ms * NS_PER_MS;
    bool has;

    mutex_lock(&actor->lock);
    has = !list_empty(&lane->inbox) &&
          clock_since(clock_now_ns(),
              LIST_FIRST(&lane->inbox, struct request, link)->submitted_ns) >= limit;
    mutex_unlock(&actor->lock);
    return has;
}

enum wal_room lane_wal_room(struct lane *lane)
{
    struct open_database *open = lane->actor->open;
    uint64_t pages = atomic_load_explicit(&open->wal_pages, memory_order_relaxed);
    uint64_t started;
    struct err err = ERR_INIT;
    bool late;

    if (likely(pages * WAL_FRAME_BYTES < lane->actor->engine->options.wal_hard_bytes) ||
        !has_inbox(lane))
        return WAL_HAS_ROOM;
    started = clock_now_ns();
    late = has_waited_long(lane);
    /* Once more when the writer that kept the checkpoint out has ended meanwhile. */
    for (int tries = 0; tries < 2; tries++) {
        uint64_t unlocks = atomic_load(&open->unlocks);

        if (!is_locked(lane)) {
            if (lane_checkpoint(lane, true))
                return WAL_HAS_ROOM;
        } else if (!late && lane_park(lane, unlocks)) {
            return WAL_WAITS;
        }
    }
    if (!actor_evict(lane->actor, started) && !late)
        return WAL_IS_FULL; /* nobody pins it: writers took turns. The inbox is looked at again */
    (void)err_set(&err, ERR_UNAVAILABLE,
        "the database's log is full because a long read holds it; try again");
    refuse_inbox(lane, &err);
    return WAL_IS_FULL;
}
