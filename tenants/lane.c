#include <sqlite3.h>

#include "tenants/actor.h"
#include "tenants/base/clock.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"
#include "tenants/execute.h"

void lane_init(struct lane *lane, struct actor *actor, enum lane_kind kind)
{
    *lane = (struct lane){.actor = actor, .kind = kind, .state = LANE_FREE};
    task_init(&lane->task, actor->tenant_id, lane_run);
    list_init(&lane->inbox);
    list_init(&lane->parked_link);
}

/* After each commit, with the write lock still held: how long the WAL is now. */
static int on_wal(void *context, sqlite3 *db, const char *name, int pages)
{
    struct lane *lane = context;
    uint64_t bytes = (uint64_t)pages * (connection_page_bytes(lane->connection) + 24);
    uint64_t frames = bytes / WAL_FRAME_BYTES;

    atomic_store_explicit(&lane->actor->open->wal_pages, (unsigned)frames, memory_order_relaxed);
    if (lane->schema_changed)
        (void)atomic_fetch_add(&lane->actor->open->schema_generation, 1);
    lane->schema_changed = false;
    return SQLITE_OK;
}

/* What the lane's connection is to have from now on. */
static struct database_settings current_settings(struct lane *lane)
{
    struct open_database *open = lane->actor->open;
    struct database_settings settings;

    mutex_lock(&lane->actor->lock);
    settings = open->settings;
    lane->settings_seen = open->settings_generation;
    lane->max_bytes = settings.max_bytes;
    mutex_unlock(&lane->actor->lock);
    return settings;
}

/* The settings were changed: a transaction keeps those it began with. */
static void follow_settings(struct lane *lane) ON(actor_owner)
{
    const struct account *account = lane->actor->open->account;
    struct database_settings settings;

    if (lane->cursor_statement != NULL || !sqlite3_get_autocommit(connection_db(lane->connection)))
        return;
    settings = current_settings(lane);
    if (account_used(account) > account_limit(account) / 2) {
        connection_flush(lane->connection);
        connection_shrink(lane->connection);
    }
    if (connection_change(lane->connection, settings.foreign_keys,
            lane->kind == LANE_READ ? 0 : settings.max_bytes, NULL) < 0)
        lane->settings_seen--; /* again at the next turn */
}

int lane_connect(struct lane *lane, struct err *ret_err)
{
    const struct engine_options *engine = &lane->actor->engine->options;
    struct open_database *open = lane->actor->open;
    struct database_settings settings = current_settings(lane);
    struct connection_options options = {
        .name = vfs_head_name(open->head),
        .foreign_keys = settings.foreign_keys,
        .read_only = lane->kind == LANE_READ,
        .engine = open->is_catalogue,
        .max_bytes = settings.max_bytes,
        .max_sql_bytes = engine->max_sql_bytes,
        .max_value_bytes = engine->max_value_bytes,
        .max_parameters = engine->max_parameters,
        .cached_statements = engine->cached_statements,
        .cache_kib = (int)engine->cache_kib,
    };

    if (connection_open(&options, &lane->connection, ret_err) < 0)
        return -1;
    (void)sqlite3_wal_hook(connection_db(lane->connection), on_wal, lane);
    metric_gauge_add(METRIC_LANES, (unsigned)lane->kind, 1);
    return 0;
}

void lane_disconnect(struct lane *lane)
{
    if (lane->connection == NULL)
        return;
    for (unsigned i = 0; i < VERB_COUNT; i++)
        (void)sqlite3_finalize(lane->verbs[i]);
    memset(lane->verbs, 0, sizeof(lane->verbs));
    connection_close(lane->connection);
    lane->connection = NULL;
    metric_gauge_add(METRIC_LANES, (unsigned)lane->kind, -1);
}

void lane_reroute(struct lane *lane, struct request *request, enum request_route route)
{
    struct actor *actor = lane->actor;

    if (route == ROUTE_SLOW_READ || route == ROUTE_SLOW_WRITE)
        metric_add(METRIC_SLOW_RESTARTS, 1);
    request->route = (uint8_t)route;
    mutex_lock(&actor->lock);
    actor_dispatch_locked(actor, request);
    mutex_unlock(&actor->lock);
}

void lane_refuse(struct lane *lane, struct request *request, const struct err *err)
{
    if (request->next_index > 0)
        execute_report(request, request->next_index, err);
    else if (request->mode == MODE_SCRIPT && err->code == ERR_BUSY)
        script_busy(request, err);
    else
        err_copy(&request->err, err);
    request_finish(lane->actor, request);
}

/* The statements of a read from `from` on. */
static enum run_result read_statements(
    struct lane *lane, struct request *request, unsigned from, unsigned flags) ON(actor_owner)
{
    if (request->mode == MODE_SCRIPT)
        return script_beside_others(lane, request, from, flags);
    for (unsigned i = from; i < request->statement_count; i++) {
        enum run_result result = execute_statement(lane, request, i, flags);

        if (result == RUN_OK || (result == RUN_FAILED && request->mode == MODE_CONTINUE))
            continue;
        return result;
    }
    return request->err.code == ERR_NONE ? RUN_OK : RUN_FAILED;
}

static enum run_result read_start(struct lane *lane, struct request *request, unsigned flags)
    ON(actor_owner)
{
    enum run_result result;

    if (request->kind == REQUEST_STATEMENTS && request->statement_count == 1)
        return execute_statement(lane, request, 0, flags);
    if (execute_verb(lane, VERB_BEGIN) != SQLITE_OK)
        return RUN_BUSY;
    lane->in_transaction = true;
    if (request->kind == REQUEST_READ_PROCEDURE)
        result = execute_procedure(lane, request);
    else if (request->kind == REQUEST_PRODUCER)
        result = execute_produce(lane, request, flags);
    else
        result = read_statements(lane, request, 0, flags);
    return result;
}

static void end_transaction(struct lane *lane) ON(actor_owner)
{
    if (lane->in_transaction && !sqlite3_get_autocommit(connection_db(lane->connection)))
        (void)execute_verb(lane, VERB_ROLLBACK); /* it only read */
    lane->in_transaction = false;
}

bool lane_pause(struct lane *lane)
{
    struct actor *actor = lane->actor;
    bool paused;

    mutex_lock(&actor->lock);
    paused = !lane->cursor_request->resumed && !atomic_load(&lane->cursor_request->cancelled) &&
             !atomic_load(&lane->evict) && !atomic_load(&actor->engine->stopping);
    lane->cursor_request->resumed = false;
    if (paused) {
        lane->state = LANE_PAUSED;
        lane->paused_request = lane->cursor_request;
        lane->cursor_since_ns = clock_now_ns();
    }
    mutex_unlock(&actor->lock);
    return paused;
}

/* Ends one read: answers it or sends it where it can run. */
static void read_conclude(struct lane *lane, struct request *request, enum run_result result)
    ON(actor_owner)
{
    end_transaction(lane);
    execute_end(lane);
    switch (result) {
    case RUN_OUTGREW:
    case RUN_NEEDS_READER:
    case RUN_ALONE:
        execute_rewind(request);
        lane_reroute(lane, request, ROUTE_SLOW_READ);
        break;
    case RUN_NEEDS_WRITER:
        execute_rewind(request);
        lane_reroute(lane, request, ROUTE_WRITE);
        break;
    case RUN_BUSY:
    case RUN_WOULD_BLOCK:
        execute_rewind(request);
        if (++request->attempts < 100) {
            lane_reroute(lane, request, (enum request_route)request->route);
            break;
        }
        (void)err_set(&request->err, ERR_BUSY, "the database is busy; try again");
        request_finish(lane->actor, request);
        break;
    default:
        request_finish(lane->actor, request);
        break;
    }
}

bool lane_must_end(struct lane *lane, struct request *request)
{
    if (atomic_load(&request->cancelled))
        (void)err_set(&request->err, ERR_CANCELLED, "the request was cancelled");
    else if (atomic_load(&lane->actor->engine->stopping))
        (void)err_set(&request->err, ERR_DRAINING, "the server is stopping");
    else if (lane_is_stolen(lane)) {
        lane->stop = STOP_STOLEN;
        (void)execute_stopped(lane, &request->err);
    } else if (atomic_load(&lane->evict))
        (void)err_set(&request->err, ERR_UNAVAILABLE,
            "the answer was taken so slowly that the database needed its log or its connection "
            "back");
    else
        return false;
    return true;
}

/* False: the lane is paused. */
static bool read_run(struct lane *lane, struct request *request) ON(actor_owner)
{
    unsigned flags = RUN_READ_PATH | (lane->slow ? 0U : (unsigned)RUN_SHORT) |
                     (lane->kind == LANE_READ ? (unsigned)RUN_MAY_STREAM : 0U);
    enum run_result result;

    if (atomic_load_explicit(&request->cancelled, memory_order_relaxed)) {
        request_refuse(request, ERR_CANCELLED, "the request was cancelled");
        return true;
    }
    request->sink_mark = request->sink == NULL ? 0 : request->sink->out.len;
    execute_begin(lane, request, flags);
    result = read_start(lane, request, flags);
    while (result == RUN_PAUSED) {
        if (lane_pause(lane))
            return false;
        if (lane_must_end(lane, request)) {
            execute_abandon(lane);
            result = RUN_FAILED;
            break;
        }
        result = execute_continue(lane, flags);
        if (result == RUN_OK)
            result = read_statements(lane, request, lane->cursor_index + 1, flags);
    }
    read_conclude(lane, request, result);
    return true;
}

/* A paused read goes on after engine_resume(). False: paused again. */
static bool read_continue(struct lane *lane) ON(actor_owner)
{
    struct request *request = lane->cursor_request;
    unsigned flags = RUN_READ_PATH | RUN_MAY_STREAM;
    enum run_result result;

    /* Its time is that of the statement, not that of its reader. */
    lane->deadline_ns += clock_since(clock_now_ns(), lane->cursor_since_ns);
    do {
        if (lane_must_end(lane, request)) {
            execute_abandon(lane);
            result = RUN_FAILED;
            break;
        }
        result = execute_continue(lane, flags);
        if (result == RUN_OK)
            result = read_statements(lane, request, lane->cursor_index + 1, flags);
    } while (result == RUN_PAUSED && !lane_pause(lane));
    if (result == RUN_PAUSED)
        return false;
    atomic_store(&lane->evict, false);
    read_conclude(lane, request, result);
    return true;
}

/* Reads from the shared queue, until the turn is over. False: the lane is no longer ours. */
static bool reads_turn(struct lane *lane) ON(actor_owner)
{
    uint64_t until = clock_now_ns() + ACTOR_TURN_NS;

    for (unsigned i = 0; i < ACTOR_TURN_READS; i++) {
        struct request *request = actor_take_read(lane->actor, lane);

        if (request == NULL)
            return true;
        if (!read_run(lane, request))
            return false;
        if (lane->slow || clock_now_ns() > until)
            return true;
    }
    return true;
}

/* Requests that waited too long for the write lock of a stream. */
static void refuse_late(struct lane *lane)
{
    uint64_t limit = lane->actor->engine->options.lock_wait_ms * NS_PER_MS;
    uint64_t now = clock_now_ns();
    struct err err = ERR_INIT;
    struct list requests;

    if (lane->parked_since_ns == 0)
        return;
    if (now - lane->parked_since_ns < limit)
        return;
    (void)err_set(&err, ERR_BUSY,
        "the database is locked: a transaction elsewhere has held it for %llu ms",
        (unsigned long long)(limit / NS_PER_MS));
    err.native = SQLITE_BUSY;
    actor_take_older(lane, now - limit, &requests);
    LIST_FOREACH_SAFE(item, next, &requests)
    {
        struct request *request = LIST_ENTRY(item, struct request, link);

        list_remove(item);
        lane_refuse(lane, request, &err);
    }
}

static bool gathers(struct lane *lane)
{
    bool yes;

    mutex_lock(&lane->actor->lock);
    yes = lane_gathers(lane);
    mutex_unlock(&lane->actor->lock);
    return yes;
}

/* False: parked. *ret_room: the inbox may be looked at. */
static bool has_room(struct lane *lane, bool *ret_room) ON(actor_owner)
{
    enum wal_room room = lane_wal_room(lane);

    *ret_room = room == WAL_HAS_ROOM;
    return room != WAL_WAITS;
}

static bool write_turn(struct lane *lane) ON(actor_owner)
{
    struct open_database *open = lane->actor->open;
    struct list group;
    bool room = false;

    refuse_late(lane);
    if (lane->slow) {
        struct request *request;

        if (!has_room(lane, &room))
            return false;
        request = room ? actor_take_inbox(lane, true) : NULL;
        if (request != NULL && !group_run_slow(lane, request))
            return false;
        gate_request_sync(&open->gate);
        (void)lane_checkpoint(lane, false);
        return true;
    }
    if (!gathers(lane)) {
        if (!has_room(lane, &room))
            return false;
        if (room) {
            actor_take_group(lane, lane->actor->engine->options.group_requests, &group);
            if (!list_empty(&group) && !group_run(lane, &group))
                return false;
        }
        /* A worker that nobody waits for syncs by itself: two changes of threads fewer. */
        if (scheduler_is_idle(&lane->actor->engine->fast))
            lane->syncs = gate_claim_sync(&open->gate);
        else
            gate_request_sync(&open->gate);
    }
    if (!lane->syncs && !reads_turn(lane))
        return false;
    (void)lane_checkpoint(lane, false);
    return true;
}

/* Everything for this lane is refused: it cannot be connected. */
static void refuse_all(struct lane *lane, const struct err *err)
{
    struct request *request;

    while ((request = lane->kind == LANE_READ ? actor_take_read(lane->actor, lane)
                                              : actor_take_inbox(lane, lane->slow)) != NULL) {
        err_copy(&request->err, err);
        request_finish(lane->actor, request);
    }
}

/* An idle read lane goes, unless it is needed again. True: it is gone. */
static bool retire(struct lane *lane) ON(actor_owner)
{
    struct actor *actor = lane->actor;
    struct open_database *open = actor->open;
    bool gone;

    lane_disconnect(lane);
    mutex_lock(&actor->lock);
    lane->retire = false;
    gone = open->readers[open->reader_count - 1] == lane && list_empty(&open->reads) &&
           list_empty(&open->slow_reads);
    if (gone) {
        open->reader_count--;
        open->busy_lanes--;
    }
    mutex_unlock(&actor->lock);
    if (gone)
        mem_free(lane);
    return gone;
}

void lane_run(struct task *task)
{
    struct lane *lane = CONTAINER_OF(task, struct lane, task);
    struct actor *actor = lane->actor;
    struct account *before;
    struct err err = ERR_INIT;
    bool ours = true;
    bool resumes;
    bool retires;
    bool failed;
    bool changed;
    struct gate *syncs;

    mutex_lock(&actor->lock);
    lane->state = LANE_RUNNING;
    resumes = lane->paused_request != NULL;
    lane->paused_request = NULL;
    retires = lane->retire;
    failed = actor->open->failed;
    changed = lane->settings_seen != actor->open->settings_generation;
    mutex_unlock(&actor->lock);
    if (unlikely(failed))
        actor_withdraw(actor);
    actor_owner_enter();
    before = account_enter(actor->open->account);
    (void)vfs_enter(actor->open->head); /* temporary files are this database's */
    writers_enter(lane);
    if (unlikely(changed) && lane->connection != NULL)
        follow_settings(lane);
    if (retires)
        ours = !retire(lane);
    else if (lane->connection == NULL && lane_connect(lane, &err) < 0)
        refuse_all(lane, &err);
    else if (lane->kind == LANE_STREAM)
        ours = stream_run_turn(lane);
    else if (lane->kind == LANE_WRITE)
        ours = write_turn(lane);
    else if (resumes)
        ours = read_continue(lane);
    else
        ours = reads_turn(lane);
    writers_enter(NULL);
    (void)vfs_enter(NULL);
    (void)account_enter(before);
    actor_owner_leave();
    if (!ours)
        return;
    syncs = lane->syncs ? &actor->open->gate : NULL;
    lane->syncs = false;
    lane_finish_turn(lane);
    if (syncs != NULL) {
        scheduler_pops_soon(&actor->engine->fast);
        gate_sync_here(syncs);
    }
}
