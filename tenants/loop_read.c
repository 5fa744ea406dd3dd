/* Short reads on the loop thread itself: no crossing, no wake-up. Only what is cached, cheap and in
 * the page cache; everything else goes to a worker before any output. */
#include "tenants/actor.h"
#include "tenants/base/clock.h"
#include "tenants/base/metrics.h"
#include "tenants/execute.h"

enum outcome { OUTCOME_DONE, OUTCOME_NO_LANE, OUTCOME_NOT_CACHED, OUTCOME_OUTGREW };

/* A connected lane that is free, made RUNNING. NULL: none. */
static struct lane *take_lane(struct actor *actor, unsigned hint)
{
    struct lane *found = NULL;
    struct open_database *open;

    if (!mutex_trylock(&actor->lock))
        return NULL;
    open = actor->open;
    if (actor->state == ACTOR_OPEN && !open->failed) {
        uint64_t generation = atomic_load(&open->schema_generation);

        for (unsigned i = 0; i < open->reader_count && found == NULL; i++) {
            struct lane *lane = open->readers[(hint + i) % open->reader_count];

            if (lane->state == LANE_FREE && lane->connection != NULL &&
                lane->schema_seen == generation)
                found = lane;
        }
        if (found == NULL && open->write.state == LANE_FREE &&
            open->write.schema_seen == generation)
            found = &open->write;
    }
    if (found != NULL) {
        found->state = LANE_RUNNING;
        open->busy_lanes++;
        atomic_store_explicit(&actor->last_used_ms, clock_now_ms(), memory_order_relaxed);
    }
    mutex_unlock(&actor->lock);
    return found;
}

static bool suits(const struct request *request)
{
    return request->kind == REQUEST_STATEMENTS && request->statement_count == 1 &&
           request->stream == NULL && request->principal != NULL && !request->describe;
}

bool engine_try_here(struct engine *engine, struct database *database, struct request *request)
{
    struct actor *actor = atomic_load_explicit(&database->actor, memory_order_acquire);
    struct account *before;
    enum run_result result;
    struct lane *lane;

    if (actor == NULL || !suits(request) ||
        atomic_load_explicit(&engine->draining, memory_order_relaxed))
        return false;
    lane = take_lane(actor, request->lane_hint);
    if (lane == NULL) {
        metric_add_cell(METRIC_LOOP_READS, OUTCOME_NO_LANE, 1);
        return false;
    }
    request->err = ERR_INIT;
    request->total = (struct statement_stats){.rows_read = 0};
    request->next_index = 0;
    request->sink_mark = request->sink->out.len;
    actor_owner_enter();
    before = account_enter(actor->open->account);
    vfs_nowait(true);
    execute_begin(lane, request, RUN_ON_LOOP | RUN_READ_PATH);
    result = execute_statement(lane, request, 0, RUN_ON_LOOP | RUN_READ_PATH);
    execute_end(lane);
    vfs_nowait(false);
    (void)account_enter(before);
    actor_owner_leave();
    if (result == RUN_OK || result == RUN_FAILED) {
        metric_add_cell(METRIC_LOOP_READS, OUTCOME_DONE, 1);
        request->actor = actor_ref(actor);
        (void)atomic_fetch_add(&engine->in_flight, 1);
        /* The gate first: the lane keeps the database open. */
        gate_release(&actor->open->gate, request);
        lane_finish_turn(lane);
        return true;
    }
    metric_add_cell(
        METRIC_LOOP_READS, result == RUN_OUTGREW ? OUTCOME_NOT_CACHED : OUTCOME_OUTGREW, 1);
    lane_finish_turn(lane);
    execute_rewind(request);
    return false;
}
