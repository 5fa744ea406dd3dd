#include "tenants/stream.h"

#include <sqlite3.h>

#include "tenants/base/clock.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"
#include "tenants/execute.h"

/* Cells of METRIC_TRANSACTIONS_ENDED. */
enum { ENDED_IDLE, ENDED_TOO_LONG, ENDED_LOCK_WANTED };

struct stream *stream_open(struct engine *engine, struct database *database,
    struct principal *principal, struct err *ret_err)
{
    struct stream *stream;

    if (atomic_load(&engine->draining)) {
        (void)err_set(ret_err, ERR_DRAINING, "the server is stopping; try again in a moment");
        return NULL;
    }
    stream = mem_zalloc(sizeof(*stream));
    list_init(&stream->open_link);
    stream->actor = engine_find_actor(engine, database);
    stream->database = database_ref(database);
    stream->principal = principal_ref(principal);
    stream->last_used_ms = clock_now_ms();
    atomic_store(&stream->autocommit, true);
    metric_gauge_add(METRIC_STREAMS, 0, 1);
    return stream;
}

void stream_free(struct stream *stream)
{
    metric_gauge_add(METRIC_STREAMS, 0, -1);
    principal_unref(stream->principal);
    database_unref(stream->database);
    actor_unref(stream->actor);
    mem_free(stream->lane);
    mem_free(stream);
}

bool stream_is_autocommit(const struct stream *stream)
{
    return atomic_load(&stream->autocommit);
}

bool stream_has_state(const struct stream *stream)
{
    return !atomic_load(&stream->autocommit) || atomic_load(&stream->has_state) ||
           atomic_load(&stream->owes) != ERR_NONE;
}

/* The first request on this opening of the database gives the stream its lane. */
static void link_locked(struct stream *stream)
{
    struct open_database *open = stream->actor->open;

    if (stream->linked)
        return;
    stream->lane = mem_zalloc(sizeof(*stream->lane));
    lane_init(stream->lane, stream->actor, LANE_STREAM);
    stream->lane->stream = stream;
    list_append(&open->streams, &stream->open_link);
    open->stream_count++;
    stream->linked = true;
}

void stream_enqueue_locked(struct stream *stream, struct request *request)
{
    stream->last_used_ms = clock_now_ms();
    link_locked(stream);
    list_append(&stream->lane->inbox, &request->link);
    if (stream->lane->state == LANE_FREE)
        lane_push_locked(stream->lane);
}

bool stream_wants_turn(const struct stream *stream)
{
    return !list_empty(&stream->lane->inbox) || stream->expire || lane_is_stolen(stream->lane) ||
           ((stream->closing || stream->resting || stream->actor->open->failed) &&
               stream->lane->connection != NULL);
}

static bool leaves(const struct stream *stream)
{
    return stream->closing || stream->actor->open->failed;
}

void stream_wait_locked(struct stream *stream)
{
    if (stream->in_mailbox++ == 0)
        stream->actor->waiting_streams++;
}

void stream_waited_locked(struct stream *stream)
{
    if (--stream->in_mailbox == 0)
        stream->actor->waiting_streams--;
}

bool stream_is_unknown_locked(const struct stream *stream)
{
    return stream->closing && !stream->linked && stream->in_mailbox == 0;
}

bool stream_end_locked(struct stream *stream)
{
    if (!(leaves(stream) || stream->resting) || stream->lane->connection != NULL ||
        !list_empty(&stream->lane->inbox))
        return false;
    list_remove(&stream->open_link);
    stream->actor->open->stream_count--;
    stream->linked = false;
    stream->lane = NULL;
    stream->transaction_since_ms = 0;
    stream->expire = false;
    stream->resting = false;
    atomic_store(&stream->autocommit, true);
    atomic_store(&stream->has_state, false);
    return true;
}

void stream_close(struct engine *engine, struct stream *stream)
{
    struct actor *actor = stream->actor;
    bool unused;

    mutex_lock(&actor->lock);
    stream->closing = true;
    unused = stream_is_unknown_locked(stream);
    if (stream->linked && stream->lane->state == LANE_FREE)
        lane_push_locked(stream->lane);
    else if (stream->linked && stream->lane->state == LANE_PARKED)
        lane_unpark_locked(stream->lane);
    mutex_unlock(&actor->lock);
    if (unused)
        stream_free(stream);
}

static bool in_transaction(const struct lane *lane)
{
    return lane->connection != NULL && !sqlite3_get_autocommit(connection_db(lane->connection));
}

static void roll_back(struct lane *lane) ON(actor_owner)
{
    if (in_transaction(lane))
        (void)execute_verb(lane, VERB_ROLLBACK);
}

/* Its transaction was rolled back: `code` is for the next request. Before note_state(), for who
 * sees that no transaction is open must see this, too. */
static void owe(struct stream *stream, enum err_code code)
{
    atomic_store(&stream->owes, code);
}

/* The request is told in place of being run. */
static void tell_owed(struct lane *lane, struct request *request) ON(actor_owner)
{
    struct stream *stream = lane->stream;
    struct err err = ERR_INIT;

    if (atomic_exchange(&stream->owes, ERR_NONE) == ERR_TRANSACTION_TIMEOUT) {
        lane->stop = STOP_STOLEN;
        (void)execute_stopped(lane, &err);
    } else {
        (void)err_set(&err, ERR_STREAM_EXPIRED,
            "the transaction was open for too long and was rolled back; start again");
    }
    lane_waited(lane);
    lane_refuse(lane, request, &err);
}

/* A request's statements from where it stands. */
static enum run_result run_statements(struct lane *lane, struct request *request, unsigned flags)
    ON(actor_owner)
{
    for (; request->next_index < request->statement_count; request->next_index++) {
        enum run_result result;

        request->sink_mark = request->sink->out.len;
        request->result_mark = request->sink_mark;
        result = execute_statement(lane, request, request->next_index, flags);
        if (result == RUN_OK ||
            (result == RUN_FAILED && request->mode == MODE_CONTINUE && lane->stop != STOP_STOLEN))
            continue;
        return result;
    }
    return request->err.code == ERR_NONE ? RUN_OK : RUN_FAILED;
}

/* All or nothing inside a stream: a transaction of its own, or a savepoint in the open one. */
static enum run_result run_transaction(struct lane *lane, struct request *request, unsigned flags)
    ON(actor_owner)
{
    bool outer = !in_transaction(lane);
    size_t mark = request->sink->out.len;
    struct err err = ERR_INIT;
    enum run_result result;
    int rc = execute_verb(lane, outer ? VERB_BEGIN : VERB_SAVEPOINT_REQUEST);

    if (rc != SQLITE_OK)
        return execute_error(lane, rc, &request->err);
    result = run_statements(lane, request, flags | RUN_IN_GROUP);
    if (result == RUN_OK && outer && (rc = execute_verb(lane, VERB_COMMIT)) != SQLITE_OK) {
        result = execute_error(lane, rc, &err);
        execute_judge_commit(lane, rc, &err);
        execute_report(request, request->statement_count - 1, &err);
    } else if (result == RUN_OK && !outer) {
        (void)execute_verb(lane, VERB_RELEASE_REQUEST);
    }
    if (result == RUN_OK || !in_transaction(lane))
        return result;
    (void)execute_verb(lane, outer ? VERB_ROLLBACK : VERB_ROLLBACK_TO_REQUEST);
    if (!outer)
        (void)execute_verb(lane, VERB_RELEASE_REQUEST);
    if (result == RUN_BUSY || result == RUN_OUTGREW) {
        request->sink_mark = mark;
        execute_rewind(request);
        request->next_index = 0;
    }
    return result;
}

/* What the last turn left: for the tick, and for stream_is_autocommit(). */
static void note_state(struct lane *lane)
{
    struct stream *stream = lane->stream;
    bool open = in_transaction(lane);

    if (!open)
        atomic_store(&lane->writing_since_ns, 0);
    atomic_store(&stream->autocommit, !open);
    atomic_store(
        &stream->has_state, lane->connection != NULL && connection_has_state(lane->connection));
    mutex_lock(&lane->actor->lock);
    stream->last_used_ms = clock_now_ms();
    if (!open)
        stream->transaction_since_ms = 0;
    else if (stream->transaction_since_ms == 0)
        stream->transaction_since_ms = clock_now_ms();
    mutex_unlock(&lane->actor->lock);
}

/* One step of a statement that paused, and what comes after it. */
static void resume(struct lane *lane, struct request *request, enum run_result *result)
    ON(actor_owner)
{
    const unsigned flags = RUN_IN_STREAM | RUN_MAY_STREAM;

    if (lane_must_end(lane, request) || leaves(lane->stream)) {
        execute_abandon(lane);
        if (request->err.code == ERR_NONE)
            (void)err_set(&request->err, ERR_STREAM_EXPIRED, "the stream was closed meanwhile");
        *result = RUN_FAILED;
        return;
    }
    *result = execute_continue(lane, flags);
    if (*result != RUN_OK && !(*result == RUN_FAILED && request->mode == MODE_CONTINUE))
        return;
    request->next_index++;
    *result = run_statements(lane, request, flags);
}

/* The lane's turn ends with the request at the head of its inbox. */
static void put_back(struct lane *lane, struct request *request)
{
    struct list one;

    list_init(&one);
    list_append(&one, &request->link);
    actor_put_back(lane, &one);
}

/* What ran was ended because others wait for the lock: all of the request fails. */
static void end_stolen(struct lane *lane, struct request *request) ON(actor_owner)
{
    metric_add_cell(METRIC_TRANSACTIONS_ENDED, ENDED_LOCK_WANTED, 1);
    roll_back(lane);
    (void)execute_stopped(lane, &request->err);
}

/* False: parked. */
static bool wait_for_lock(struct lane *lane, struct request *request, uint64_t unlocks)
    ON(actor_owner)
{
    put_back(lane, request);
    note_state(lane);
    return !lane_park(lane, unlocks);
}

/* The request's end. False: parked, and the request is back in the inbox; or paused. */
static bool conclude(struct lane *lane, struct request *request, enum run_result result,
    uint64_t unlocks) ON(actor_owner)
{
    uint64_t limit = lane->actor->engine->options.lock_wait_ms * NS_PER_MS;
    struct err err = ERR_INIT;

    while (result == RUN_PAUSED) {
        if (lane_pause(lane))
            return false;
        resume(lane, request, &result);
    }
    execute_end(lane);
    if (result == RUN_OUTGREW) {
        metric_add(METRIC_SLOW_RESTARTS, 1);
        execute_rewind_statement(request);
        request->route = ROUTE_SLOW_WRITE; /* on from next_index, on a slow worker */
        put_back(lane, request);
        note_state(lane);
        return true;
    }
    if (result == RUN_BUSY) {
        if (lane->parked_since_ns == 0 || clock_now_ns() - lane->parked_since_ns < limit)
            return wait_for_lock(lane, request, unlocks);
        (void)err_set(&err, ERR_BUSY,
            "the database is locked: a transaction elsewhere has held it for too long");
        err.native = SQLITE_BUSY;
        execute_report(request, request->next_index, &err);
    }
    if (unlikely(lane->stop == STOP_STOLEN))
        end_stolen(lane, request);
    lane_waited(lane);
    note_state(lane); /* before the answer: stream_is_autocommit() is asked right after it */
    request_finish(lane->actor, request);
    return true;
}

static bool run_request(struct lane *lane, struct request *request) ON(actor_owner)
{
    bool transaction = request->mode == MODE_TRANSACTION && request->statement_count > 1;
    unsigned flags = RUN_IN_STREAM | (lane->slow ? 0U : (unsigned)RUN_SHORT) |
                     (request->chunk != NULL && !transaction ? (unsigned)RUN_MAY_STREAM : 0U);
    uint64_t unlocks = atomic_load(&lane->actor->open->unlocks);
    enum run_result result;

    execute_begin(lane, request, flags);
    if (request->kind != REQUEST_STATEMENTS)
        result = execute_procedure(lane, request);
    else if (transaction)
        result = run_transaction(lane, request, flags);
    else
        result = run_statements(lane, request, flags);
    return conclude(lane, request, result, unlocks);
}

/* A paused statement goes on after engine_resume(). */
static bool continue_request(struct lane *lane) ON(actor_owner)
{
    struct request *request = lane->cursor_request;
    uint64_t unlocks = atomic_load(&lane->actor->open->unlocks);
    enum run_result result = RUN_PAUSED;

    /* Its time is that of the statement, not that of its reader. */
    lane->deadline_ns += clock_since(clock_now_ns(), lane->cursor_since_ns);
    resume(lane, request, &result);
    return conclude(lane, request, result, unlocks);
}

static void close_lane(struct lane *lane) ON(actor_owner)
{
    struct request *request;

    roll_back(lane);
    lane_disconnect(lane);
    while ((request = actor_take_inbox(lane, false)) != NULL)
        tell_owed(lane, request);
}

/* The lane of a stream that idles without a transaction goes back, unless a request came. */
static bool rest(struct lane *lane) ON(actor_owner)
{
    struct stream *stream = lane->stream;
    bool rests;

    mutex_lock(&lane->actor->lock);
    rests = stream->resting && list_empty(&lane->inbox) && !in_transaction(lane);
    stream->resting = rests;
    mutex_unlock(&lane->actor->lock);
    if (rests)
        lane_disconnect(lane);
    return rests;
}

/* What the tick decided about its transaction. */
static void end_old(struct lane *lane) ON(actor_owner)
{
    struct stream *stream = lane->stream;
    bool stolen = lane_is_stolen(lane);
    bool too_long;
    bool expire;

    mutex_lock(&lane->actor->lock);
    expire = stream->expire;
    too_long = stream->too_long;
    stream->expire = false;
    stream->too_long = false;
    mutex_unlock(&lane->actor->lock);
    if (!(expire || stolen) || !in_transaction(lane))
        return;
    metric_add_cell(METRIC_TRANSACTIONS_ENDED,
        stolen     ? ENDED_LOCK_WANTED
        : too_long ? ENDED_TOO_LONG
                   : ENDED_IDLE,
        1);
    roll_back(lane);
    owe(stream, stolen ? ERR_TRANSACTION_TIMEOUT : ERR_STREAM_EXPIRED);
    note_state(lane);
}

/* The next request, as far as it can run here and now. */
static struct request *take_request(struct lane *lane) ON(actor_owner)
{
    struct request *request = actor_take_inbox(lane, false);

    if (request == NULL)
        return NULL;
    if (request->route == ROUTE_SLOW_WRITE && !lane->slow) {
        put_back(lane, request);
        return NULL;
    }
    if (unlikely(atomic_load(&lane->stream->owes) != ERR_NONE)) {
        tell_owed(lane, request);
        return NULL;
    }
    if (unlikely(atomic_load_explicit(&request->cancelled, memory_order_relaxed))) {
        struct err err = ERR_INIT;

        (void)err_set(&err, ERR_CANCELLED, "the request was cancelled");
        lane_waited(lane);
        lane_refuse(lane, request, &err);
        return NULL;
    }
    return request;
}

bool stream_run_turn(struct lane *lane)
{
    struct stream *stream = lane->stream;
    struct request *request;
    bool closing;

    if (lane->cursor_request != NULL)
        return continue_request(lane);
    mutex_lock(&lane->actor->lock);
    closing = leaves(stream);
    mutex_unlock(&lane->actor->lock);
    if (closing) {
        if (in_transaction(lane))
            owe(stream, ERR_STREAM_EXPIRED);
        close_lane(lane);
        return true;
    }
    end_old(lane);
    if (rest(lane))
        return true;
    if (!in_transaction(lane) && atomic_load(&stream->owes) == ERR_NONE) {
        enum wal_room room = lane_wal_room(lane);

        if (room != WAL_HAS_ROOM)
            return room != WAL_WAITS;
    }
    request = take_request(lane);
    if (request != NULL && !run_request(lane, request))
        return false;
    gate_request_sync(&lane->actor->open->gate);
    lane_ask_checkpoint(lane);
    return true;
}

/* Its lane is like any other's: it can do without. */
static bool may_rest_locked(const struct stream *stream)
{
    return stream->lane->state == LANE_FREE && stream->transaction_since_ms == 0 &&
           stream->lane->connection != NULL && !atomic_load(&stream->has_state) &&
           atomic_load(&stream->owes) == ERR_NONE;
}

bool streams_make_room_locked(struct open_database *open, unsigned most)
{
    struct stream *oldest = NULL;
    unsigned count = 0;

    LIST_FOREACH(item, &open->streams)
    {
        struct stream *stream = LIST_ENTRY(item, struct stream, open_link);

        if (stream->resting)
            continue;
        count++;
        if (may_rest_locked(stream) &&
            (oldest == NULL || stream->last_used_ms < oldest->last_used_ms))
            oldest = stream;
    }
    if (count < most)
        return true;
    if (oldest == NULL)
        return false;
    oldest->resting = true;
    lane_push_locked(oldest->lane);
    return true;
}

void streams_tick(struct actor *actor, uint64_t now_ms)
{
    const struct engine_options *options = &actor->engine->options;

    mutex_lock(&actor->lock);
    if (actor->state == ACTOR_OPEN) {
        uint64_t most_ms = MAX(options->stream_max_ms, actor->open->settings.txn_timeout_s * 1000);

        LIST_FOREACH(item, &actor->open->streams)
        {
            struct stream *stream = LIST_ENTRY(item, struct stream, open_link);
            bool too_long = stream->transaction_since_ms != 0 &&
                            clock_since(now_ms, stream->transaction_since_ms) > most_ms;
            bool idles = stream->lane->state == LANE_FREE &&
                         clock_since(now_ms, stream->last_used_ms) > options->stream_idle_ms;
            bool old = too_long || (idles && stream->transaction_since_ms != 0);
            bool rests = idles && may_rest_locked(stream);

            stream->expire |= old;
            stream->too_long |= too_long;
            stream->resting |= rests;
            if ((old || rests) && stream->lane->state == LANE_FREE)
                lane_push_locked(stream->lane);
        }
    }
    mutex_unlock(&actor->lock);
}
