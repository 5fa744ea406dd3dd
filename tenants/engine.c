#include "tenants/engine.h"

#include <errno.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tenants/actor.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/hash.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"
#include "tenants/stream.h"

#define SHARDS_FIRST 1024
#define SLOW_NICE 10

void engine_options_defaults(struct engine_options *options)
{
    *options = (struct engine_options){
        .data_dir = "data",
        .commit = COMMIT_PIPELINED,
        .workers = 2,
        .slow_workers = 4,
        .slow_cpus = 1,
        .sync_threads = 16,
        .readers_per_database = 4,
        .streams_per_database = 128,
        .mailbox_messages = 4096,
        .mailbox_bytes = 64ULL << 20,
        .group_requests = 128,
        .cached_statements = 64,
        .cache_kib = 2048,
        .statement_time_ms = 30000,
        .statement_steps = 0,
        .short_steps = 500000,
        .short_time_ms = 10,
        .loop_steps = 5000,
        .memory_per_database = 64ULL << 20,
        .temp_per_database = 256ULL << 20,
        .max_database_bytes = 10ULL << 30,
        .max_sql_bytes = 100ULL << 10,
        .max_value_bytes = 32ULL << 20,
        .max_parameters = 32766,
        .max_result_rows = 0,
        .max_result_bytes = 0,
        .max_write_result_bytes = 10ULL << 20,
        .stream_chunk_bytes = 256ULL << 10,
        .wal_soft_bytes = 4ULL << 20,
        .wal_hard_bytes = 64ULL << 20,
        .idle_close_ms = 60000,
        .max_open = 4096,
        .max_cache_bytes = 1ULL << 30,
        .stream_idle_ms = 10000,
        .stream_max_ms = 60000,
        .lock_wait_ms = 10000,
        .transaction_steal_ms = 5000,
        .imports = 4,
    };
}

static void label_metrics(void)
{
    static const char *const classes[] = {"class=\"read\"", "class=\"write\"", "class=\"ddl\"",
        "class=\"alone\"", "class=\"transaction\""};
    static const char *const outcomes[] = {
        "outcome=\"done\"", "outcome=\"no_lane\"", "outcome=\"not_cached\"", "outcome=\"outgrew\""};
    static const char *const kinds[] = {"kind=\"write\"", "kind=\"read\"", "kind=\"stream\""};
    static const char *const budgets[] = {"budget=\"time\"", "budget=\"steps\"",
        "budget=\"memory\"", "budget=\"rows\"", "budget=\"bytes\""};

    static const char *const ends[] = {
        "reason=\"idle\"", "reason=\"too_long\"", "reason=\"lock_wanted\""};

    for (unsigned i = 0; i < ARRAY_LEN(ends); i++)
        metrics_label(METRIC_TRANSACTIONS_ENDED, i, ends[i]);
    for (unsigned i = 0; i < ARRAY_LEN(classes); i++)
        metrics_label(METRIC_STATEMENTS, i, classes[i]);
    for (unsigned i = 0; i < ARRAY_LEN(outcomes); i++)
        metrics_label(METRIC_LOOP_READS, i, outcomes[i]);
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
        metrics_label(METRIC_LANES, i, kinds[i]);
    for (unsigned i = 0; i < ARRAY_LEN(budgets); i++)
        metrics_label(METRIC_BUDGET_ENDED, i, budgets[i]);
}

int engine_new(
    const struct engine_options *options, struct engine **ret_engine, struct err *ret_err)
{
    struct engine *engine;

    if (account_install(ret_err) < 0 || vfs_register(ret_err) < 0)
        return -1;
    database_on_release(actor_unref);
    label_metrics();
    engine = mem_zalloc(sizeof(*engine));
    engine->options = *options;
    engine->options.readers_per_database = MAX(1U, options->readers_per_database);
    database_on_release(actor_unref);
    scheduler_init(&engine->fast);
    scheduler_init(&engine->slow);
    scheduler_share(&engine->slow, MAX(1U, options->slow_workers / 2));
    turns_init(&engine->turns, MAX(1U, options->slow_cpus));
    sync_pool_init(&engine->sync);
    mutex_init(&engine->registry_lock);
    list_init(&engine->open_list);
    engine->shard_count = SHARDS_FIRST;
    engine->shards = mem_zalloc(engine->shard_count * sizeof(struct actor *));
    (void)snprintf(engine->temp_dir, sizeof(engine->temp_dir), "%s/tmp", options->data_dir);
    if (mkdir(engine->temp_dir, 0700) < 0 && errno != EEXIST) {
        (void)err_set_errno(ret_err, ERR_IO, errno, "cannot make the folder %s", engine->temp_dir);
        engine_free(engine);
        return -1;
    }
    *ret_engine = engine;
    return 0;
}

void engine_free(struct engine *engine)
{
    if (engine == NULL)
        return;
    CHECK(engine->open_count == 0);
    for (size_t i = 0; i < engine->shard_count; i++) {
        while (engine->shards[i] != NULL) {
            struct actor *actor = engine->shards[i];

            engine->shards[i] = actor->hash_next;
            actor_free(actor);
        }
    }
    mem_free(engine->shards);
    mutex_fini(&engine->registry_lock);
    sync_pool_fini(&engine->sync);
    turns_fini(&engine->turns);
    scheduler_fini(&engine->slow);
    scheduler_fini(&engine->fast);
    mem_free(engine);
}

void engine_on_live(struct engine *engine, database_live_fn live, void *catalogue)
{
    engine->live = live;
    engine->live_catalogue = catalogue;
}

struct actor *actor_new(struct engine *engine, const struct database *database)
{
    struct actor *actor = mem_zalloc(sizeof(*actor));

    mutex_init(&actor->lock);
    list_init(&actor->mailbox);
    actor->engine = engine;
    actor->tenant_id = database->tenant_id;
    actor->state = ACTOR_CLOSED;
    return actor;
}

void actor_free(struct actor *actor)
{
    CHECK(actor->state == ACTOR_CLOSED && actor->open == NULL && list_empty(&actor->mailbox));
    mutex_fini(&actor->lock);
    mem_free(actor->changed);
    mem_free(actor);
}

static void key_of(const struct database *database, uint64_t key[2])
{
    size_t len = strlen(database->head_id);

    key[0] = hash_bytes(database->head_id, len);
    key[1] = database->id ^ hash_bytes(&key[0], sizeof(key[0]));
}

static void grow_locked(struct engine *engine)
{
    size_t count = engine->shard_count * 2;
    struct actor **shards = mem_zalloc(count * sizeof(struct actor *));

    for (size_t i = 0; i < engine->shard_count; i++) {
        while (engine->shards[i] != NULL) {
            struct actor *actor = engine->shards[i];

            engine->shards[i] = actor->hash_next;
            actor->hash_next = shards[actor->key[0] & (count - 1)];
            shards[actor->key[0] & (count - 1)] = actor;
        }
    }
    mem_free(engine->shards);
    engine->shards = shards;
    engine->shard_count = count;
}

struct actor *actor_ref(struct actor *actor)
{
    (void)atomic_fetch_add(&actor->references, 1);
    return actor;
}

/* The last reference leaves the registry under its lock, where look-ups take theirs. */
void actor_unref(struct actor *actor)
{
    struct engine *engine;
    struct actor **at;
    uint32_t references;

    if (actor == NULL)
        return;
    engine = actor->engine;
    references = atomic_load(&actor->references);
    while (references > 1) {
        if (atomic_compare_exchange_weak(&actor->references, &references, references - 1))
            return;
    }
    mutex_lock(&engine->registry_lock);
    if (atomic_fetch_sub(&actor->references, 1) > 1) {
        mutex_unlock(&engine->registry_lock);
        return;
    }
    at = &engine->shards[actor->key[0] & (engine->shard_count - 1)];
    while (*at != actor)
        at = &(*at)->hash_next;
    *at = actor->hash_next;
    engine->actor_count--;
    mutex_unlock(&engine->registry_lock);
    actor_free(actor);
}

struct actor *engine_find_actor(struct engine *engine, struct database *database)
{
    struct actor *actor = atomic_load_explicit(&database->actor, memory_order_acquire);
    struct actor *expected = NULL;
    uint64_t key[2];

    if (actor != NULL)
        return actor_ref(actor);
    key_of(database, key);
    mutex_lock(&engine->registry_lock);
    actor = engine->shards[key[0] & (engine->shard_count - 1)];
    while (actor != NULL && (actor->key[0] != key[0] || actor->key[1] != key[1]))
        actor = actor->hash_next;
    if (actor == NULL) {
        if (engine->actor_count > engine->shard_count)
            grow_locked(engine);
        actor = actor_new(engine, database);
        memcpy(actor->key, key, sizeof(key));
        actor->hash_next = engine->shards[key[0] & (engine->shard_count - 1)];
        engine->shards[key[0] & (engine->shard_count - 1)] = actor;
        engine->actor_count++;
    }
    (void)actor_ref(actor); /* the caller's */
    (void)actor_ref(actor); /* the entry's */
    mutex_unlock(&engine->registry_lock);
    if (!atomic_compare_exchange_strong(&database->actor, &expected, actor))
        actor_unref(actor);
    return actor;
}

void engine_submit(struct engine *engine, struct database *database, struct request *request)
{
    request->actor = request->stream != NULL ? actor_ref(request->stream->actor)
                                             : engine_find_actor(engine, database);
    request->database = request->stream != NULL ? request->stream->database : database;
    request->err = ERR_INIT;
    request->total = (struct statement_stats){.rows_read = 0};
    request->submitted_ns = clock_now_ns();
    request->counts_after = request->counts;
    request->sink_mark = request->sink == NULL ? 0 : request->sink->out.len;
    request->gate = 0;
    request->attempts = 0;
    request->next_index = 0;
    request->route = ROUTE_UNKNOWN;
    request->resumed = false;
    request->streamed = false;
    request->streamed_bytes = 0;
    request->lost_group = false;
    (void)atomic_fetch_add(&engine->in_flight, 1);
    actor_submit(request->actor, request);
}

/* The paused lane of a request goes on. Lock held. */
static bool wake_paused_locked(struct actor *actor, const struct request *request)
{
    struct open_database *open = actor->open;

    struct lane *own = request->stream == NULL ? NULL : request->stream->lane;

    if (own != NULL && own->paused_request == request && own->state == LANE_PAUSED) {
        lane_push_locked(own);
        return true;
    }
    /* While it closes its lanes are being freed. */
    for (unsigned i = 0; actor->state == ACTOR_OPEN && i < open->reader_count; i++) {
        struct lane *lane = open->readers[i];

        if (lane->paused_request == request && lane->state == LANE_PAUSED) {
            lane_push_locked(lane);
            return true;
        }
    }
    return false;
}

/* A stream's request that waits for its turn to write need not wait to be refused. */
static void wake_parked_locked(const struct request *request)
{
    struct lane *lane = request->stream == NULL ? NULL : request->stream->lane;

    if (lane != NULL && lane->state == LANE_PARKED)
        lane_unpark_locked(lane);
}

void engine_resume(struct engine *engine, struct request *request)
{
    struct actor *actor = request->actor;

    mutex_lock(&actor->lock);
    if (!wake_paused_locked(actor, request))
        request->resumed = true; /* the lane has not stood still yet */
    mutex_unlock(&actor->lock);
}

void engine_cancel(struct engine *engine, struct request *request)
{
    struct actor *actor = request->actor;

    atomic_store(&request->cancelled, true);
    mutex_lock(&actor->lock);
    (void)wake_paused_locked(actor, request);
    wake_parked_locked(request);
    mutex_unlock(&actor->lock);
}

static void evict_reader_locked(struct lane *lane)
{
    atomic_store(&lane->evict, true);
    if (lane->state == LANE_PAUSED)
        lane_push_locked(lane);
}

static void evict_stream_locked(struct stream *stream)
{
    stream->expire = stream->transaction_since_ms != 0;
    stream->too_long = stream->expire;
    atomic_store(&stream->lane->evict, true);
    if (stream->lane->state == LANE_FREE || stream->lane->state == LANE_PAUSED)
        lane_push_locked(stream->lane);
    else if (stream->lane->state == LANE_PARKED)
        lane_unpark_locked(stream->lane);
}

/* Somebody who was told to end has not ended yet. */
static bool is_evicting_locked(const struct open_database *open)
{
    for (unsigned i = 0; i < open->reader_count; i++) {
        if (atomic_load(&open->readers[i]->evict) && atomic_load(&open->readers[i]->since_ns) != 0)
            return true;
    }
    LIST_FOREACH(item, &open->streams)
    {
        const struct stream *stream = LIST_ENTRY(item, struct stream, open_link);

        if ((stream->expire && stream->transaction_since_ms != 0) ||
            (atomic_load(&stream->lane->evict) && atomic_load(&stream->lane->since_ns) != 0))
            return true;
    }
    return false;
}

/* The oldest reader, and the oldest stream in a transaction or a statement, that were not told yet;
 * NULL: none. */
static struct lane *oldest_reader_locked(const struct open_database *open, uint64_t *ret_since_ns)
{
    struct lane *oldest = NULL;

    *ret_since_ns = UINT64_MAX;
    for (unsigned i = 0; i < open->reader_count; i++) {
        struct lane *lane = open->readers[i];
        uint64_t since = atomic_load_explicit(&lane->since_ns, memory_order_relaxed);

        if (since != 0 && since < *ret_since_ns && !atomic_load(&lane->evict)) {
            *ret_since_ns = since;
            oldest = lane;
        }
    }
    return oldest;
}

static struct stream *oldest_stream_locked(const struct open_database *open, uint64_t *ret_since_ns)
{
    struct stream *oldest = NULL;

    *ret_since_ns = UINT64_MAX;
    LIST_FOREACH(item, &open->streams)
    {
        struct stream *stream = LIST_ENTRY(item, struct stream, open_link);
        uint64_t since = stream->transaction_since_ms * NS_PER_MS;

        if (since == 0) /* one statement by itself pins it, too */
            since = atomic_load_explicit(&stream->lane->since_ns, memory_order_relaxed);
        if (since != 0 && since < *ret_since_ns && !stream->expire &&
            !atomic_load(&stream->lane->evict)) {
            *ret_since_ns = since;
            oldest = stream;
        }
    }
    return oldest;
}

static bool evict_oldest_locked(struct open_database *open, uint64_t before_ns)
{
    uint64_t reader_since;
    uint64_t stream_since;
    struct lane *reader = oldest_reader_locked(open, &reader_since);
    struct stream *stream = oldest_stream_locked(open, &stream_since);

    if (MIN(reader_since, stream_since) >= before_ns)
        return false;
    if (reader != NULL && reader_since <= stream_since)
        evict_reader_locked(reader);
    else
        evict_stream_locked(stream);
    return true;
}

bool actor_evict(struct actor *actor, uint64_t before_ns)
{
    bool evicts = false;

    mutex_lock(&actor->lock);
    if (actor->state == ACTOR_OPEN)
        evicts = is_evicting_locked(actor->open) || evict_oldest_locked(actor->open, before_ns);
    mutex_unlock(&actor->lock);
    return evicts;
}

void actor_evict_all(struct actor *actor)
{
    mutex_lock(&actor->lock);
    while (actor->state == ACTOR_OPEN && evict_oldest_locked(actor->open, UINT64_MAX))
        ;
    mutex_unlock(&actor->lock);
}

void engine_worker_run(struct engine *engine)
{
    struct task *task;

    worker_thread_enter();
    while ((task = scheduler_pop(&engine->fast)) != NULL)
        task->run(task);
    worker_thread_leave();
}

/* This thread to the last `count` of the processors it may use: a long statement that moves to
 * where short ones are running holds them up until the next tick of the kernel's clock. */
static void keep_to_last_cpus(unsigned count)
{
    cpu_set_t set;
    unsigned extra;

    if (sched_getaffinity(0, sizeof(set), &set) < 0 || (unsigned)CPU_COUNT(&set) <= count)
        return;
    extra = (unsigned)CPU_COUNT(&set) - count;
    for (size_t cpu = 0; cpu < CPU_SETSIZE && extra > 0; cpu++) {
        if (CPU_ISSET(cpu, &set)) {
            CPU_CLR(cpu, &set);
            extra--;
        }
    }
    (void)sched_setaffinity(0, sizeof(set), &set);
}

void engine_slow_run(struct engine *engine)
{
    struct task *task;

    worker_thread_enter();
    /* Long statements get what short ones leave: on Linux this is about the calling thread only. */
    (void)setpriority(PRIO_PROCESS, 0, SLOW_NICE);
    keep_to_last_cpus(engine->options.slow_cpus);
    while ((task = scheduler_pop(&engine->slow)) != NULL) {
        uint64_t tenant_id = task->tenant_id;

        turns_take(&engine->turns);
        task->run(task); /* gone after this */
        turns_give(&engine->turns);
        scheduler_ran(&engine->slow, tenant_id);
    }
    worker_thread_leave();
}

void engine_sync_run(struct engine *engine)
{
    while (sync_pool_run_one(&engine->sync, true))
        ;
}

void engine_drain(struct engine *engine)
{
    atomic_store(&engine->draining, true);
}

bool engine_idle(struct engine *engine)
{
    return atomic_load(&engine->in_flight) == 0;
}
