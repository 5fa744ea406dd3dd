/* What happens by time: idle databases and lanes, limits over all databases, old transactions,
 * lanes that wait for a lock, databases whose disk failed. And the end of everything. */
#include <malloc.h>
#include <stdlib.h>

#include "tenants/actor.h"
#include "tenants/base/clock.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"
#include "tenants/stream.h"

#define TRIM_CLOSES 32   /* databases closed since the last trim */
#define TRIM_NS NS_PER_S /* and the time since */

static void retire_idle_reader(struct actor *actor, uint64_t now_ms)
{
    struct open_database *open = actor->open;
    struct lane *lane;

    if (open->reader_count == 0)
        return;
    lane = open->readers[open->reader_count - 1];
    if (lane->state == LANE_FREE && !lane->retire &&
        clock_since(now_ms, lane->last_used_ms) > ACTOR_LANE_IDLE_MS) {
        lane->retire = true;
        lane_push_locked(lane);
    }
}

static void wake_streams_of_failed(struct open_database *open)
{
    LIST_FOREACH(item, &open->streams)
    {
        struct stream *stream = LIST_ENTRY(item, struct stream, open_link);

        if (stream->lane->state == LANE_FREE || stream->lane->state == LANE_PAUSED)
            lane_push_locked(stream->lane);
    }
}

static void end_if_unread(struct lane *lane, uint64_t now_ns, uint64_t limit_ns)
{
    if (lane->state != LANE_PAUSED || clock_since(now_ns, lane->cursor_since_ns) < limit_ns)
        return;
    atomic_store(&lane->evict, true);
    lane_push_locked(lane);
}

/* A result that nobody takes keeps a lane, a snapshot, and perhaps the write lock: not for ever. */
static void end_unread(struct actor *actor, uint64_t now_ns)
{
    struct open_database *open = actor->open;
    uint64_t limit_ns = actor->engine->options.stream_max_ms * NS_PER_MS;

    for (unsigned i = 0; i < open->reader_count; i++)
        end_if_unread(open->readers[i], now_ns, limit_ns);
    LIST_FOREACH(item, &open->streams)
    {
        end_if_unread(LIST_ENTRY(item, struct stream, open_link)->lane, now_ns, limit_ns);
    }
}

/* What the metrics tell of all open databases, as of the last tick. */
struct figures {
    uint64_t waiting;
    uint64_t wal_bytes;
    uint64_t memory_bytes;
    uint64_t largest_bytes;
};

static void add_figures(struct figures *figures, const struct actor *actor)
{
    uint64_t used = account_used(actor->open->account);

    figures->waiting += actor->waiting;
    figures->wal_bytes += vfs_head_wal_bytes(actor->open->head);
    figures->memory_bytes += used;
    figures->largest_bytes = MAX(figures->largest_bytes, used);
}

static void publish(const struct figures *figures)
{
    metric_gauge_set(METRIC_MAILBOX_DEPTH, 0, (int64_t)figures->waiting);
    metric_gauge_set(METRIC_WAL_BYTES, 0, (int64_t)figures->wal_bytes);
    metric_gauge_set(METRIC_MEMORY_ACCOUNTS, 0, (int64_t)figures->memory_bytes);
    metric_gauge_set(METRIC_MEMORY_LARGEST, 0, (int64_t)figures->largest_bytes);
}

/* True when the actor may be closed now. */
static bool tick_one(struct actor *actor, uint64_t now_ns, struct figures *figures)
{
    uint64_t idle_ms = actor->engine->options.idle_close_ms;
    uint64_t now_ms = now_ns / NS_PER_MS;
    uint64_t last = atomic_load(&actor->last_used_ms);
    bool close = false;

    mutex_lock(&actor->lock);
    if (actor->state == ACTOR_OPEN) {
        add_figures(figures, actor);
        retire_idle_reader(actor, now_ms);
        end_unread(actor, now_ns);
        writers_tick_locked(actor, now_ns);
        if (actor->open->failed)
            wake_streams_of_failed(actor->open);
        close = actor->close_wanted || actor->open->failed ||
                (idle_ms != 0 && clock_since(now_ms, last) > idle_ms);
    }
    mutex_unlock(&actor->lock);
    streams_tick(actor, now_ms);
    return close;
}

static int by_age(const void *a, const void *b)
{
    const struct actor *const *left = a;
    const struct actor *const *right = b;
    uint64_t l = atomic_load(&(*left)->last_used_ms);
    uint64_t r = atomic_load(&(*right)->last_used_ms);

    return l < r ? -1 : l > r;
}

/* Over a limit: the least recently used go first, a tenth of them in one tick. */
static void enforce_limits(struct engine *engine, struct actor **actors, unsigned count)
{
    unsigned over = count > engine->options.max_open ? count - engine->options.max_open : 0;

    if (account_total() > engine->options.max_cache_bytes)
        over = MAX(over, count / 10 + 1);
    if (over == 0)
        return;
    qsort(actors, count, sizeof(struct actor *), by_age);
    for (unsigned i = 0; i < count && over > 0; i++) {
        if (actor_try_close(actors[i]))
            over--;
    }
}

/* References to all open actors, so that no lock is held while they are looked at. */
static struct actor **open_actors(struct engine *engine, unsigned *ret_count)
{
    struct actor **actors;
    unsigned count = 0;

    mutex_lock(&engine->registry_lock);
    actors = mem_alloc((engine->open_count + 1) * sizeof(struct actor *));
    LIST_FOREACH(item, &engine->open_list)
    {
        actors[count++] = actor_ref(LIST_ENTRY(item, struct open_database, open_link)->actor);
    }
    mutex_unlock(&engine->registry_lock);
    *ret_count = count;
    return actors;
}

static void give_back(struct actor **actors, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        actor_unref(actors[i]);
    mem_free(actors);
}

/* After many databases were closed their memory goes back to the system: malloc would keep it. */
static void trim(struct engine *engine, uint64_t now_ns)
{
    uint64_t closes = metric_counter_get(METRIC_CLOSES, 0);

    if (closes - engine->trimmed_closes < TRIM_CLOSES || now_ns - engine->trimmed_ns < TRIM_NS)
        return;
    engine->trimmed_closes = closes;
    engine->trimmed_ns = now_ns;
    (void)malloc_trim(0);
}

void engine_stats(struct engine *engine, struct engine_stats *ret_stats)
{
    struct actor **actors = open_actors(engine, &ret_stats->databases_open);
    unsigned count = ret_stats->databases_open;

    *ret_stats =
        (struct engine_stats){.databases_open = count, .sqlite_memory_bytes = account_total()};
    for (unsigned i = 0; i < count; i++) {
        struct actor *actor = actors[i];

        mutex_lock(&actor->lock);
        if (actor->state == ACTOR_OPEN) {
            ret_stats->lanes += 1 + actor->open->reader_count + actor->open->stream_count;
            ret_stats->wal_bytes += vfs_head_wal_bytes(actor->open->head);
        }
        ret_stats->requests_waiting += actor->waiting;
        mutex_unlock(&actor->lock);
    }
    give_back(actors, count);
}

void engine_tick(struct engine *engine, uint64_t now_ns)
{
    unsigned count;
    struct actor **actors = open_actors(engine, &count);
    struct figures figures = {.waiting = 0};

    trim(engine, now_ns);

    for (unsigned i = 0; i < count; i++) {
        if (tick_one(actors[i], now_ns, &figures))
            (void)actor_try_close(actors[i]);
        else
            engine_fold(engine, actors[i]);
    }
    publish(&figures);
    enforce_limits(engine, actors, count);
    give_back(actors, count);
}

/* Ends what runs: reads and writes by their progress handler, streams by rolling back. */
static void cancel_all(struct engine *engine)
{
    unsigned count;
    struct actor **actors = open_actors(engine, &count);

    for (unsigned i = 0; i < count; i++) {
        struct actor *actor = actors[i];
        bool open;

        mutex_lock(&actor->lock);
        open = actor->state == ACTOR_OPEN;
        if (open)
            atomic_store(&actor->open->write.evict, true);
        mutex_unlock(&actor->lock);
        if (open)
            actor_evict_all(actor);
    }
    give_back(actors, count);
}

void engine_stop(struct engine *engine)
{
    atomic_store(&engine->draining, true);
    atomic_store(&engine->stopping, true);
    if (!engine_idle(engine))
        cancel_all(engine);
    scheduler_stop(&engine->fast);
    scheduler_stop(&engine->slow);
    sync_pool_stop(&engine->sync);
}

/* With every thread gone, the rest is run here, by whoever calls: true when something was. */
static bool run_leftovers(struct engine *engine)
{
    struct task *task = scheduler_try_pop(&engine->fast);

    if (task != NULL) {
        task->run(task);
        return true;
    }
    task = scheduler_try_pop(&engine->slow);
    if (task != NULL) {
        uint64_t tenant_id = task->tenant_id;

        task->run(task); /* gone after this */
        scheduler_ran(&engine->slow, tenant_id);
        return true;
    }
    return sync_pool_run_one(&engine->sync, false);
}

void engine_close_all(struct engine *engine)
{
    unsigned count;

    do {
        struct actor **actors = open_actors(engine, &count);

        for (unsigned i = 0; i < count; i++) {
            (void)tick_one(actors[i], clock_now_ns(), &(struct figures){.waiting = 0});
            (void)actor_try_close(actors[i]);
        }
        give_back(actors, count);
        while (run_leftovers(engine))
            count++; /* it may have opened one */
    } while (count > 0);
}
