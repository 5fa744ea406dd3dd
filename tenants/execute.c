#include "tenants/execute.h"

#include <sqlite3.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/metrics.h"
#include "tenants/sql_error.h"

#define PROGRESS_OPS 1000
#define COLUMNS_MAX 2000

static _Thread_local struct value row_values[COLUMNS_MAX];
static _Thread_local struct column row_columns[COLUMNS_MAX];

/* Called by SQLite every PROGRESS_OPS steps; non-zero ends the statement. */
static int on_progress(void *context)
{
    struct lane *lane = context;
    struct request *request = lane->running;
    uint64_t now;

    if (request == NULL)
        return 0;
    lane->steps += PROGRESS_OPS;
    if (atomic_load_explicit(&request->cancelled, memory_order_relaxed))
        lane->stop = STOP_CANCELLED;
    else if (atomic_load_explicit(&lane->evict, memory_order_relaxed))
        lane->stop = STOP_EVICTED;
    else if (lane->steps_limit != 0 && lane->steps > lane->steps_limit)
        lane->stop = STOP_STEPS;
    else if (lane->short_steps != 0 && lane->steps > lane->short_steps)
        lane->stop = STOP_OUTGREW;
    if (lane->stop != STOP_NONE)
        return 1;
    now = clock_now_ns();
    if (now > lane->deadline_ns)
        lane->stop = STOP_DEADLINE;
    else if (lane->short_until_ns != 0 && now > lane->short_until_ns)
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
        .read_only = request->read_only,
        .no_prepare = (flags & RUN_ON_LOOP) != 0,
    };
    uint64_t now = clock_now_ns();

    connection_set_context(lane->connection, &context);
    lane->running = request;
    lane->steps = 0;
    lane->stop = STOP_NONE;
    atomic_store_explicit(&lane->evict, false, memory_order_relaxed);
    lane->steps_limit = options->statement_steps;
    lane->deadline_ns = request->deadline_ns != 0 ? request->deadline_ns
                                                  : now + options->statement_time_ms * NS_PER_MS;
    lane->short_steps = (flags & RUN_ON_LOOP) != 0 ? options->loop_steps
                        : (flags & RUN_SHORT) != 0 ? options->short_steps
                                                   : 0;
    lane->short_until_ns =
        (flags & (RUN_SHORT | RUN_ON_LOOP)) != 0 ? now + options->short_time_ms * NS_PER_MS : 0;
    sqlite3_progress_handler(connection_db(lane->connection), PROGRESS_OPS, on_progress, lane);
}

void execute_end(struct lane *lane)
{
    static const struct connection_context nobody = {.stateless = true};

    lane->running = NULL;
    connection_set_context(lane->connection, &nobody);
    /* What a request set (PRAGMA foreign_keys) ends with it, except on its own stream. Where this
     * fails, foreign keys are back all the same, and the rest is tried again next time. */
    if (lane->kind != LANE_STREAM && lane->cursor_statement == NULL)
        (void)!connection_reset(lane->connection, NULL);
}

void execute_rewind(struct request *request)
{
    if (request->sink == NULL)
        return;
    buf_truncate(&request->sink->out, request->sink_mark);
    if (request->sink->ops->rewound != NULL)
        request->sink->ops->rewound(request->sink);
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
    if (request->sink != NULL && index < request->statement_count)
        request->sink->ops->error(request->sink, index, err, request->statements[index].sql);
}

/* What a stop by the progress handler means. */
static enum run_result stopped(struct lane *lane, struct err *ret_err)
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
    case STOP_EXPIRED:
        (void)err_set(ret_err, ERR_STREAM_EXPIRED, "the transaction was open for too long");
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
        return stopped(lane, ret_err);
    case SQLITE_BUSY:
        if (rc != SQLITE_BUSY_SNAPSHOT)
            return RUN_BUSY;
        break;
    case SQLITE_IOERR:
        if (vfs_would_block())
            return RUN_WOULD_BLOCK;
        break;
    case SQLITE_NOMEM:
        if (account_was_refused(lane->actor->open->account)) {
            metric_add_cell(METRIC_BUDGET_ENDED, 2, 1);
            (void)err_set(ret_err, ERR_BUDGET_MEMORY,
                "the statement needs more memory than the %llu bytes a database may use",
                (unsigned long long)lane->actor->engine->options.memory_per_database);
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

static int bind_value(sqlite3_stmt *stmt, int at, const struct value *value)
{
    switch (value->type) {
    case VALUE_INTEGER:
        return sqlite3_bind_int64(stmt, at, value->integer);
    case VALUE_REAL:
        return sqlite3_bind_double(stmt, at, value->real);
    case VALUE_TEXT:
        return sqlite3_bind_text64(stmt, at, value->bytes.len == 0 ? "" : value->bytes.ptr,
            value->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
    case VALUE_BLOB:
        return sqlite3_bind_blob64(stmt, at, value->bytes.len == 0 ? "" : value->bytes.ptr,
            value->bytes.len, SQLITE_STATIC);
    case VALUE_NULL:
    default:
        return sqlite3_bind_null(stmt, at);
    }
}

/* The indexes a name stands for: as written, or bare for :a, @a and $a. Returns how many. */
static int bind_named(sqlite3_stmt *stmt, const struct parameter *parameter, int *ret_rc)
{
    static const char prefixes[] = ":@$";
    char name[256];
    int bound = 0;
    int at;

    *ret_rc = SQLITE_OK;
    if (parameter->name.len + 2 > sizeof(name))
        return 0;
    memcpy(name + 1, parameter->name.ptr, parameter->name.len);
    name[parameter->name.len + 1] = '\0';
    at = sqlite3_bind_parameter_index(stmt, name + 1);
    if (at > 0) {
        *ret_rc = bind_value(stmt, at, &parameter->value);
        return 1;
    }
    for (size_t i = 0; i < sizeof(prefixes) - 1 && *ret_rc == SQLITE_OK; i++) {
        name[0] = prefixes[i];
        at = sqlite3_bind_parameter_index(stmt, name);
        if (at > 0) {
            *ret_rc = bind_value(stmt, at, &parameter->value);
            bound++;
        }
    }
    return bound;
}

static int bind_error(struct lane *lane, int rc, struct err *ret_err)
{
    if ((rc & 0xff) == SQLITE_TOOBIG)
        return err_set(ret_err, ERR_TOO_LARGE, "a parameter is larger than %llu bytes",
            (unsigned long long)lane->actor->engine->options.max_value_bytes);
    (void)execute_error(lane, rc, ret_err);
    return -1;
}

static int bind_parameters(struct lane *lane, const struct statement *statement,
    const struct statement_input *input, struct err *ret_err)
{
    unsigned positional = 0;
    unsigned named = 0;
    int rc;

    for (unsigned i = 0; i < input->parameter_count; i++) {
        const struct parameter *parameter = &input->parameters[i];

        if (parameter->name.len == 0) {
            if (++positional > statement->parameter_count)
                continue;
            rc = bind_value(statement->sqlite, (int)positional, &parameter->value);
        } else {
            int bound = bind_named(statement->sqlite, parameter, &rc);

            if (bound == 0)
                return err_set(ret_err, ERR_SQL, "the statement has no parameter named '%.*s'",
                    STR_ARGS(parameter->name));
            named += (unsigned)bound;
        }
        if (rc != SQLITE_OK)
            return bind_error(lane, rc, ret_err);
    }
    if (positional + named != statement->parameter_count && (positional > 0 || named == 0)) {
        (void)err_set(ret_err, ERR_SQL,
            "wrong number of parameters: the statement takes %u, %u were given",
            statement->parameter_count, positional + named);
        ret_err->native = SQLITE_RANGE;
        return -1;
    }
    return 0;
}

/* Fills row_columns from the statement; returns how many. */
static unsigned read_columns(sqlite3_stmt *stmt)
{
    unsigned count = (unsigned)MIN(sqlite3_column_count(stmt), COLUMNS_MAX);

    for (unsigned i = 0; i < count; i++) {
        row_columns[i].name = str_from(sqlite3_column_name(stmt, (int)i));
        row_columns[i].decltype = str_from(sqlite3_column_decltype(stmt, (int)i));
    }
    return count;
}

static unsigned read_row(sqlite3_stmt *stmt)
{
    unsigned count = (unsigned)MIN(sqlite3_data_count(stmt), COLUMNS_MAX);

    for (int i = 0; i < (int)count; i++) {
        struct value *value = &row_values[i];

        switch (sqlite3_column_type(stmt, i)) {
        case SQLITE_INTEGER:
            value->type = VALUE_INTEGER;
            value->integer = sqlite3_column_int64(stmt, i);
            break;
        case SQLITE_FLOAT:
            value->type = VALUE_REAL;
            value->real = sqlite3_column_double(stmt, i);
            break;
        case SQLITE_TEXT:
            value->type = VALUE_TEXT;
            value->bytes.ptr = (const char *)sqlite3_column_text(stmt, i);
            value->bytes.len = (size_t)sqlite3_column_bytes(stmt, i);
            break;
        case SQLITE_BLOB:
            value->type = VALUE_BLOB;
            value->bytes.ptr = sqlite3_column_blob(stmt, i);
            value->bytes.len = (size_t)sqlite3_column_bytes(stmt, i);
            break;
        default:
            value->type = VALUE_NULL;
            break;
        }
    }
    return count;
}

static void collect_stats(struct lane *lane, struct request *request,
    const struct statement *statement, struct statement_stats *stats, int64_t changes_before)
{
    sqlite3 *db = connection_db(lane->connection);
    int full = sqlite3_stmt_status(statement->sqlite, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
    int steps = sqlite3_stmt_status(statement->sqlite, SQLITE_STMTSTATUS_VM_STEP, 1);

    stats->vm_steps = (uint64_t)MAX(steps, 0);
    stats->rows_read = MAX(MAX((uint64_t)MAX(full, 0), stats->rows_returned), stats->vm_steps / 5);
    stats->is_write = statement->class != STATEMENT_READ;
    stats->is_insert = statement->is_insert;
    if (stats->is_write && statement->class == STATEMENT_WRITE) {
        stats->changes = (uint64_t)sqlite3_changes64(db);
        stats->last_insert_rowid = sqlite3_last_insert_rowid(db);
        stats->rows_written =
            MAX(stats->changes, (uint64_t)(sqlite3_total_changes64(db) - changes_before));
    }
    request->total.rows_read += stats->rows_read;
    request->total.rows_written += stats->rows_written;
    request->total.rows_returned += stats->rows_returned;
    request->total.changes += stats->changes;
    request->total.vm_steps += stats->vm_steps;
    request->total.duration_ns += stats->duration_ns;
    if (stats->is_write)
        request->total.is_write = true;
    if (stats->is_insert)
        request->total.last_insert_rowid = stats->last_insert_rowid;
}

/* After a row: budgets of the result, and streaming. RUN_OK: go on. */
static enum run_result after_row(struct lane *lane, struct request *request,
    const struct statement *statement, uint64_t rows, unsigned flags, struct err *ret_err)
{
    const struct engine_options *options = &lane->actor->engine->options;
    struct buf *out = &request->sink->out;

    if (unlikely(out->failed))
        return (void)err_set(ret_err, ERR_RESULT_TOO_LARGE,
                   "the result is larger than a response may be; ask for fewer rows"),
               RUN_FAILED;
    if (unlikely(options->max_result_rows != 0 && rows > options->max_result_rows)) {
        metric_add_cell(METRIC_BUDGET_ENDED, 3, 1);
        return (void)err_set(ret_err, ERR_BUDGET_ROWS,
                   "the result has more than %llu rows; add a LIMIT",
                   (unsigned long long)options->max_result_rows),
               RUN_FAILED;
    }
    if (likely(out->len < options->stream_chunk_bytes))
        return RUN_OK;
    if (statement->class == STATEMENT_READ && request->chunk != NULL &&
        (flags & RUN_READ_PATH) != 0) {
        if ((flags & RUN_MAY_STREAM) == 0)
            return RUN_NEEDS_READER;
        if (gate_settle(&lane->actor->open->gate, ret_err) < 0)
            return RUN_FAILED;
        request->streamed = true;
        switch (request->chunk(request)) {
        case CHUNK_CONTINUE:
            return RUN_OK;
        case CHUNK_PAUSE:
            return RUN_PAUSED;
        case CHUNK_CANCEL:
        default:
            return (void)err_set(ret_err, ERR_CANCELLED, "the client went away"), RUN_FAILED;
        }
    }
    if (out->len - request->sink_mark > options->max_write_result_bytes) {
        metric_add_cell(METRIC_BUDGET_ENDED, 4, 1);
        return (void)err_set(ret_err, ERR_RESULT_TOO_LARGE,
                   "the result is larger than %llu bytes, the most that can be answered at once "
                   "here",
                   (unsigned long long)options->max_write_result_bytes),
               RUN_FAILED;
    }
    return RUN_OK;
}

/* Steps to the end, an error, or a pause. `rows` counts over pauses. */
static enum run_result step(struct lane *lane, struct request *request, unsigned index,
    struct statement *statement, uint64_t *rows, bool begun, unsigned flags, struct err *ret_err)
{
    enum run_result result;
    int rc;

    for (;;) {
        rc = sqlite3_step(statement->sqlite);
        if (!begun && (rc == SQLITE_ROW || rc == SQLITE_DONE)) {
            /* Not before the first step: a changed schema changes the columns. */
            request->sink->ops->begin(
                request->sink, index, row_columns, read_columns(statement->sqlite));
            begun = true;
        }
        if (rc != SQLITE_ROW)
            break;
        request->sink->ops->row(request->sink, row_values, read_row(statement->sqlite));
        result = after_row(lane, request, statement, ++*rows, flags, ret_err);
        if (unlikely(result != RUN_OK))
            return result;
    }
    return rc == SQLITE_DONE ? RUN_OK : execute_error(lane, rc, ret_err);
}

static enum run_result check_class(const struct lane *lane, const struct request *request,
    const struct statement *statement, unsigned flags, struct err *ret_err)
{
    if (statement->class == STATEMENT_TRANSACTION && (flags & RUN_IN_STREAM) == 0) {
        (void)err_set(ret_err, ERR_TRANSACTION_WORDS,
            "BEGIN, COMMIT and the like need a session; send the statements as one batch with "
            "\"transaction\": true instead");
        return RUN_FAILED;
    }
    if (statement->class != STATEMENT_READ && request->read_only) {
        (void)err_set(ret_err, ERR_SQL, "attempt to write a readonly database");
        ret_err->native = SQLITE_READONLY;
        return RUN_FAILED;
    }
    if (statement->class != STATEMENT_READ && (flags & RUN_READ_PATH) != 0)
        return RUN_NEEDS_WRITER;
    if (statement->class == STATEMENT_READ && request->statement_count == 1 &&
        (flags & (RUN_READ_PATH | RUN_IN_STREAM)) == 0)
        return RUN_NEEDS_READER; /* it looked like a write */
    if (statement->class == STATEMENT_ALONE && (flags & RUN_IN_GROUP) != 0) {
        if (request->mode != MODE_TRANSACTION)
            return RUN_ALONE;
        (void)err_set(ret_err, ERR_SQL, "this statement cannot run inside a transaction");
        return RUN_FAILED;
    }
    if ((flags & RUN_ON_LOOP) != 0 && (!statement->loop_ok || statement->outgrew))
        return RUN_OUTGREW;
    if ((flags & RUN_SHORT) != 0 && statement->outgrew && lane->kind != LANE_STREAM)
        return RUN_OUTGREW;
    return RUN_OK;
}

/* Finds the statement, checks it, binds it. *ret_statement is given back with connection_release.
 */
static enum run_result prepare(struct lane *lane, struct request *request, unsigned index,
    unsigned flags, struct statement **ret_statement, struct err *ret_err)
{
    const struct statement_input *input = &request->statements[index];
    struct statement *statement = NULL;
    struct str tail;
    enum run_result result;

    if (connection_prepare(lane->connection, input->sql, (flags & RUN_ON_LOOP) != 0, &statement,
            &tail, ret_err) < 0) {
        if ((flags & RUN_ON_LOOP) != 0 && ret_err->code == ERR_NONE)
            return RUN_OUTGREW;
        if (lane->stop != STOP_NONE)
            return stopped(lane, ret_err);
        if (ret_err->code == ERR_BUSY)
            return RUN_BUSY;
        if (vfs_would_block())
            return RUN_WOULD_BLOCK;
        if (ret_err->code == ERR_NOMEM)
            return execute_error(lane, SQLITE_NOMEM, ret_err);
        return RUN_FAILED;
    }
    if (statement == NULL)
        return (void)err_set(ret_err, ERR_SQL, "there is no statement in the text"), RUN_FAILED;
    if (tail.len > 0) {
        connection_release(lane->connection, statement);
        return (void)err_set(ret_err, ERR_MANY_STATEMENTS,
                   "one statement at a time here; send several as a batch"),
               RUN_FAILED;
    }
    result = check_class(lane, request, statement, flags, ret_err);
    if (result == RUN_OK && bind_parameters(lane, statement, input, ret_err) < 0)
        result = RUN_FAILED;
    if (result != RUN_OK) {
        connection_release(lane->connection, statement);
        return result;
    }
    *ret_statement = statement;
    return RUN_OK;
}

/* The statement is over: figures, the sink's end or error. */
static enum run_result conclude(struct lane *lane, struct request *request, unsigned index,
    struct statement *statement, enum run_result result, struct statement_stats *stats,
    int64_t changes_before, const struct err *err)
{
    switch (result) {
    case RUN_OK:
        collect_stats(lane, request, statement, stats, changes_before);
        connection_release(lane->connection, statement);
        request->sink->ops->end(request->sink, index, stats);
        break;
    case RUN_OUTGREW:
        statement->outgrew = true;
        connection_release(lane->connection, statement);
        break;
    case RUN_FAILED:
        connection_release(lane->connection, statement);
        execute_report(request, index, err);
        break;
    default:
        connection_release(lane->connection, statement);
        break;
    }
    return result;
}

enum run_result execute_statement(
    struct lane *lane, struct request *request, unsigned index, unsigned flags)
{
    struct err err = ERR_INIT;
    struct statement *statement = NULL;
    struct statement_stats stats = {.rows_read = 0};
    uint64_t started = clock_now_ns();
    int64_t changes_before;
    bool commits;
    enum run_result result = prepare(lane, request, index, flags, &statement, &err);

    if (result != RUN_OK || statement == NULL) {
        if (result == RUN_FAILED)
            execute_report(request, index, &err);
        return result;
    }
    metric_add_cell(METRIC_STATEMENTS, (unsigned)statement->class, 1);
    changes_before = sqlite3_total_changes64(connection_db(lane->connection));
    commits = statement->class != STATEMENT_READ && (flags & RUN_IN_GROUP) == 0;
    if (commits)
        vfs_commit_section(true);
    result = step(lane, request, index, statement, &stats.rows_returned, false, flags, &err);
    if (commits)
        vfs_commit_section(false);
    if (result == RUN_PAUSED) {
        lane->cursor_request = request;
        lane->cursor_statement = statement;
        lane->cursor_index = index;
        lane->cursor_rows = stats.rows_returned;
        return result;
    }
    stats.duration_ns = clock_now_ns() - started;
    return conclude(lane, request, index, statement, result, &stats, changes_before, &err);
}

enum run_result execute_continue(struct lane *lane, unsigned flags)
{
    struct request *request = lane->cursor_request;
    struct statement *statement = lane->cursor_statement;
    struct statement_stats stats = {.rows_returned = lane->cursor_rows};
    struct err err = ERR_INIT;
    enum run_result result =
        step(lane, request, lane->cursor_index, statement, &stats.rows_returned, true, flags, &err);

    if (result == RUN_PAUSED) {
        lane->cursor_rows = stats.rows_returned;
        return result;
    }
    lane->cursor_request = NULL;
    lane->cursor_statement = NULL;
    if (result == RUN_BUSY || result == RUN_OUTGREW) { /* cannot be: a read past its first row */
        (void)err_set(&err, ERR_BUG, "a streaming read lost its place");
        result = RUN_FAILED;
    }
    return conclude(lane, request, lane->cursor_index, statement, result, &stats, 0, &err);
}

void execute_abandon(struct lane *lane)
{
    if (lane->cursor_statement != NULL)
        connection_release(lane->connection, lane->cursor_statement);
    lane->cursor_statement = NULL;
    lane->cursor_request = NULL;
}

enum run_result execute_procedure(struct lane *lane, struct request *request)
{
    struct err err = ERR_INIT;
    int rc;

    if (request->procedure(connection_db(lane->connection), request->procedure_argument, &err) == 0)
        return RUN_OK;
    if (lane->stop != STOP_NONE) {
        enum run_result result = stopped(lane, &err);

        if (result != RUN_FAILED)
            return result;
    }
    rc = err.native & 0xff;
    if (err.code == ERR_BUSY && rc == SQLITE_BUSY)
        return RUN_BUSY;
    if (err.code == ERR_NOMEM)
        (void)execute_error(lane, SQLITE_NOMEM, &err);
    err_copy(&request->err, &err);
    return RUN_FAILED;
}

int execute_verb(struct lane *lane, enum verb verb)
{
    static const char *const texts[VERB_COUNT] = {
        [VERB_BEGIN] = "BEGIN",
        [VERB_BEGIN_IMMEDIATE] = "BEGIN IMMEDIATE",
        [VERB_COMMIT] = "COMMIT",
        [VERB_ROLLBACK] = "ROLLBACK",
        [VERB_SAVEPOINT_REQUEST] = "SAVEPOINT _rookery_r",
        [VERB_RELEASE_REQUEST] = "RELEASE _rookery_r",
        [VERB_ROLLBACK_TO_REQUEST] = "ROLLBACK TO _rookery_r",
        [VERB_SAVEPOINT_STATEMENT] = "SAVEPOINT _rookery_s",
        [VERB_RELEASE_STATEMENT] = "RELEASE _rookery_s",
        [VERB_ROLLBACK_TO_STATEMENT] = "ROLLBACK TO _rookery_s",
    };
    static const struct connection_context engine = {.engine = true};
    struct request *running = lane->running;
    struct connection_context back = {
        .principal = running == NULL ? NULL : running->principal,
        .stateless = lane->kind != LANE_STREAM,
        .engine = running != NULL && running->principal == NULL,
        .read_only = running != NULL && running->read_only,
    };
    int rc = SQLITE_OK;

    connection_set_context(lane->connection, &engine);
    lane->running = NULL; /* verbs are not interrupted */
    if (lane->verbs[verb] == NULL)
        rc = sqlite3_prepare_v3(connection_db(lane->connection), texts[verb], -1,
            SQLITE_PREPARE_PERSISTENT, &lane->verbs[verb], NULL);
    if (rc == SQLITE_OK) {
        if (verb == VERB_COMMIT)
            vfs_commit_section(true);
        rc = sqlite3_step(lane->verbs[verb]);
        if (verb == VERB_COMMIT)
            vfs_commit_section(false);
        if (rc == SQLITE_DONE)
            rc = SQLITE_OK;
        (void)sqlite3_reset(lane->verbs[verb]);
    }
    lane->running = running;
    connection_set_context(lane->connection, &back);
    return rc;
}

bool execute_deferred_keys_violated(struct lane *lane, struct err *ret_err)
{
    int current = 0;
    int high = 0;

    (void)sqlite3_db_status(
        connection_db(lane->connection), SQLITE_DBSTATUS_DEFERRED_FKS, &current, &high, 0);
    if (current == 0)
        return false;
    (void)err_set(ret_err, ERR_SQL, "FOREIGN KEY constraint failed");
    ret_err->native = SQLITE_CONSTRAINT_FOREIGNKEY;
    return true;
}
