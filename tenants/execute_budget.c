/* The budgets of a running request, and what it means when SQLite stops: budget, lock, or error. */
#include "tenants/execute.h"

#include <sqlite3.h>

#include "tenants/base/clock.h"
#include "tenants/base/metrics.h"
#include "tenants/sql_error.h"

/* Steps between two looks at the budgets. A step can be a call of randomblob(30000000) that takes
 * 60 ms: 1,000 steps were 5 s past the deadline; 100 cost nothing that could be measured. */
#define PROGRESS_OPS 100
/* On fast workers and loops: a statement that makes larger values goes to a slow worker. */
#define SHORT_VALUE_BYTES (1 << 20)

/* Called by SQLite every PROGRESS_OPS steps; non-zero ends the statement. */
static int on_progress(void *context)
{
    struct lane *lane = context;
    struct request *request = lane->running;
    uint64_t now;

    if (request == NULL)
        return 0;
    /* SQLite asks once more when a statement has ended, committed perhaps: to call that interrupted
     * would run it twice, or deny what is on disk. */
    if (lane->stepping != NULL && !sqlite3_stmt_busy(lane->stepping))
        return 0;
    lane->steps += PROGRESS_OPS;
    if (atomic_load_explicit(&request->cancelled, memory_order_relaxed))
        lane->stop = STOP_CANCELLED;
    else if ((request->principal != NULL || request->kind == REQUEST_PRODUCER) &&
             atomic_load_explicit(&lane->actor->engine->stopping, memory_order_relaxed))
        lane->stop = STOP_DRAINING;
    else if (atomic_load_explicit(&lane->evict, memory_order_relaxed))
        lane->stop = STOP_EVICTED;
    else if (lane_is_stolen(lane))
        lane->stop = STOP_STOLEN;
    else if (lane->steps_limit != 0 && lane->steps > lane->steps_limit)
        lane->stop = STOP_STEPS;
    else if (lane->short_steps != 0 && !lane->in_write && lane->steps > lane->short_steps)
        lane->stop = STOP_OUTGREW;
    if (lane->stop != STOP_NONE)
        return 1;
    now = clock_now_ns();
    if (turns_share(&lane->actor->engine->turns, now))
        now = clock_now_ns();
    if (now > lane->deadline_ns)
        lane->stop = STOP_DEADLINE;
    else if (lane->short_until_ns != 0 && !lane->in_write && now > lane->short_until_ns)
        lane->stop = STOP_OUTGREW;
    return lane->stop != STOP_NONE;
}

void execute_begin(struct lane *lane, struct request *request, unsigned flags)
{
    const struct engine_options *options = &lane->actor->engine->options;
    struct connection_context context = {
        .principal = request->principal,
        .stateless = (flags & RUN_IN_STREAM) == 0,
        .engine = request->principal == NULL,
        .read_only = execute_is_read_only(request),
        .no_prepare = (flags & RUN_ON_LOOP) != 0,
        .fresh = request->describe,
        .shadows = request->reads_shadows,
    };
    bool is_short = (flags & (RUN_SHORT | RUN_ON_LOOP)) != 0;
    uint64_t now = clock_now_ns();

    connection_set_context(lane->connection, &context);
    if (request->next_index == 0 && (lane->kind != LANE_STREAM || request->counts_set))
        connection_set_counts(lane->connection, &request->counts);
    else if (lane->kind != LANE_STREAM) /* a batch that waited for the lock */
        connection_set_counts(lane->connection, &request->counts_after);
    request->result_mark = request->sink == NULL ? 0 : request->sink->out.len;
    (void)account_was_refused(); /* of whoever ran here before */
    lane->running = request;
    lane->steps = 0;
    lane->stop = STOP_NONE;
    atomic_store_explicit(&lane->evict, false, memory_order_relaxed);
    atomic_store_explicit(&lane->since_ns, now, memory_order_relaxed);
    lane->steps_limit = options->statement_steps;
    lane->deadline_ns = request->deadline_ns != 0 ? request->deadline_ns
                                                  : now + options->statement_time_ms * NS_PER_MS;
    lane->short_steps = (flags & RUN_ON_LOOP) != 0 ? options->loop_steps
                        : (flags & RUN_SHORT) != 0 ? options->short_steps
                                                   : 0;
    lane->short_until_ns = is_short ? now + options->short_time_ms * NS_PER_MS : 0;
    lane->value_limited = is_short && options->max_value_bytes > SHORT_VALUE_BYTES;
    if (lane->value_limited)
        (void)sqlite3_limit(
            connection_db(lane->connection), SQLITE_LIMIT_LENGTH, SHORT_VALUE_BYTES);
    sqlite3_progress_handler(connection_db(lane->connection), PROGRESS_OPS, on_progress, lane);
}

void execute_end(struct lane *lane)
{
    static const struct connection_context nobody = {.stateless = true};

    if (lane->running != NULL)
        connection_get_counts(lane->connection, &lane->running->counts_after);
    lane->running = NULL;
    atomic_store_explicit(&lane->since_ns, 0, memory_order_relaxed);
    if (lane->value_limited)
        (void)sqlite3_limit(connection_db(lane->connection), SQLITE_LIMIT_LENGTH,
            (int)lane->actor->engine->options.max_value_bytes);
    lane->value_limited = false;
    connection_set_context(lane->connection, &nobody);
    /* What a request set (PRAGMA foreign_keys) ends with it, except on its own stream. Where this
     * fails, foreign keys are back all the same, and the rest is tried again next time. */
    if (lane->kind != LANE_STREAM && lane->cursor_statement == NULL)
        (void)!connection_reset(lane->connection, NULL);
}

void execute_rewind_statement(struct request *request)
{
    buf_truncate(&request->sink->out, request->sink_mark);
    if (request->sink->ops->rewound != NULL)
        request->sink->ops->rewound(request->sink);
}

void execute_rewind(struct request *request)
{
    if (request->sink == NULL)
        return;
    execute_rewind_statement(request);
    request->total = (struct statement_stats){.rows_read = 0};
    request->failed_index = 0;
    request->err = ERR_INIT;
}

void execute_report(struct request *request, unsigned index, const struct err *err)
{
    if (request->err.code == ERR_NONE) {
        err_copy(&request->err, err);
        request->failed_index = index;
    }
    if (request->step_states != NULL && index < request->statement_count)
        request->step_states[index] = STEP_FAILED;
    if (request->sink != NULL && index < request->statement_count)
        request->sink->ops->error(request->sink, index, err, request->statements[index].sql);
}

static uint64_t steal_ms(struct actor *actor)
{
    uint64_t ms;

    mutex_lock(&actor->lock);
    ms = writers_steal_ms_locked(actor->open);
    mutex_unlock(&actor->lock);
    return ms;
}

/* What a stop by the progress handler means. */
enum run_result execute_stopped(struct lane *lane, struct err *ret_err)
{
    const struct engine_options *options = &lane->actor->engine->options;

    switch (lane->stop) {
    case STOP_OUTGREW:
        return RUN_OUTGREW;
    case STOP_DEADLINE:
        metric_add_cell(METRIC_BUDGET_ENDED, 0, 1);
        (void)err_set(ret_err, ERR_BUDGET_TIME,
            "the statement ran over its time of %llu ms; make it cheaper, or ask for less at once",
            (unsigned long long)options->statement_time_ms);
        return RUN_FAILED;
    case STOP_STEPS:
        metric_add_cell(METRIC_BUDGET_ENDED, 1, 1);
        (void)err_set(ret_err, ERR_BUDGET_STEPS,
            "the statement ran over its budget of %llu steps; make it cheaper",
            (unsigned long long)options->statement_steps);
        return RUN_FAILED;
    case STOP_EVICTED:
        (void)err_set(ret_err, ERR_UNAVAILABLE,
            "the statement read for so long that the database's log could not be emptied; try "
            "again");
        return RUN_FAILED;
    case STOP_DRAINING:
        (void)err_set(ret_err, ERR_DRAINING, "the server is stopping; try again in a moment");
        return RUN_FAILED;
    case STOP_STOLEN:
        (void)err_set(ret_err, ERR_TRANSACTION_TIMEOUT,
            "the transaction had the write lock for over %llu ms while others waited for it, and "
            "was rolled back",
            (unsigned long long)steal_ms(lane->actor));
        return RUN_FAILED;
    case STOP_CANCELLED:
    case STOP_NONE:
    default:
        (void)err_set(ret_err, ERR_CANCELLED, "the request was cancelled");
        return RUN_FAILED;
    }
}

enum run_result execute_error(struct lane *lane, int rc, struct err *ret_err)
{
    switch (rc & 0xff) {
    case SQLITE_INTERRUPT:
        return execute_stopped(lane, ret_err);
    case SQLITE_BUSY:
        if (rc != SQLITE_BUSY_SNAPSHOT)
            return RUN_BUSY;
        break;
    case SQLITE_IOERR:
        if (vfs_would_block())
            return RUN_WOULD_BLOCK;
        break;
    case SQLITE_FULL:
        (void)err_set(ret_err, ERR_QUOTA_EXCEEDED,
            "no space: the database may have %llu bytes, a statement's temporary files %llu, and "
            "the server's disk has its end too",
            (unsigned long long)lane->max_bytes,
            (unsigned long long)lane->actor->engine->options.temp_per_database);
        ret_err->native = rc;
        return RUN_FAILED;
    case SQLITE_TOOBIG:
        if (lane->value_limited)
            return RUN_OUTGREW;
        break;
    case SQLITE_NOMEM:
        if (account_was_refused()) {
            metric_add_cell(METRIC_BUDGET_ENDED, 2, 1);
            (void)err_set(ret_err, ERR_BUDGET_MEMORY,
                "the statement needs more memory than the %llu bytes a database may use",
                (unsigned long long)account_limit(lane->actor->open->account));
            return RUN_FAILED;
        }
        break;
    case SQLITE_AUTH:
        if (connection_would_prepare(lane->connection))
            return RUN_WOULD_BLOCK; /* the schema changed: a worker compiles it anew */
        if (connection_refusal(lane->connection, ret_err))
            return RUN_FAILED;
        break;
    default:
        break;
    }
    (void)sql_err_set(ret_err, connection_db(lane->connection), rc);
    return RUN_FAILED;
}

void execute_judge_commit(struct lane *lane, int rc, struct err *err)
{
    struct open_database *open = lane->actor->open;

    if (rc != SQLITE_IOERR_WRITE && rc != SQLITE_IOERR_FSYNC && rc != SQLITE_IOERR_TRUNCATE &&
        !((rc & 0xff) == SQLITE_IOERR && vfs_head_poisoned(open->head)))
        return;
    gate_fail(&open->gate);
    (void)err_set(err, ERR_OUTCOME_UNKNOWN,
        "the disk failed during the commit: whether it was kept is not known");
    err->native = rc;
}
