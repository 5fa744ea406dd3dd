#include "tenants/execute.h"

#include <sqlite3.h>

#include "tenants/account.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/hash.h"
#include "tenants/base/metrics.h"
#include "tenants/sql_text.h"

#define COLUMNS_MAX 2000
/* Compiling that takes more CPU than this is for a slow worker: it cannot be interrupted at every
 * step. */
#define SHORT_PREPARE_NS (1 * NS_PER_MS)

static _Thread_local struct value row_values[COLUMNS_MAX];
static _Thread_local struct column row_columns[COLUMNS_MAX];

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
    if (statement->class == STATEMENT_TRANSACTION)
        stats->rows_read = 0; /* the steps of BEGIN IMMEDIATE are of no row */
    stats->is_write = statement->class != STATEMENT_READ;
    stats->is_insert = statement->is_insert;
    if (stats->is_write && statement->class == STATEMENT_WRITE) {
        stats->rows_written = (uint64_t)(sqlite3_total_changes64(db) - changes_before);
        /* A pragma leaves the count of the statement before it. */
        stats->changes = stats->rows_written == 0 ? 0 : (uint64_t)sqlite3_changes64(db);
        stats->last_insert_rowid = sqlite3_last_insert_rowid(db);
        stats->rows_written = MAX(stats->changes, stats->rows_written);
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

static enum run_result refuse_result(uint64_t limit, struct err *ret_err)
{
    metric_add_cell(METRIC_BUDGET_ENDED, 4, 1);
    (void)err_set(ret_err, ERR_RESULT_TOO_LARGE,
        "the result is larger than %llu bytes, the most that can be answered at once here",
        (unsigned long long)limit);
    return RUN_FAILED;
}

enum run_result execute_send_chunk(
    struct lane *lane, struct request *request, unsigned flags, struct err *ret_err)
{
    if ((flags & RUN_MAY_STREAM) == 0)
        return RUN_NEEDS_READER;
    /* Past its first chunk a read cannot start again: so not under the short budget. */
    if ((flags & RUN_SHORT) != 0)
        return RUN_OUTGREW;
    if (gate_settle(&lane->actor->open->gate, ret_err) < 0)
        return RUN_FAILED;
    request->streamed = true;
    request->streamed_bytes += request->sink->out.len;
    switch (request->chunk(request)) {
    case CHUNK_CONTINUE:
        return RUN_OK;
    case CHUNK_PAUSE:
        return RUN_PAUSED;
    case CHUNK_CANCEL:
    default:
        (void)err_set(ret_err, ERR_CANCELLED, "the client went away");
        return RUN_FAILED;
    }
}

/* After a row: budgets of the result, and streaming. RUN_OK: go on. */
static enum run_result after_row(struct lane *lane, struct request *request,
    const struct statement *statement, uint64_t rows, unsigned flags, struct err *ret_err)
    ON(actor_owner)
{
    const struct engine_options *options = &lane->actor->engine->options;
    struct buf *out = &request->sink->out;
    bool streams = statement->class == STATEMENT_READ && request->chunk != NULL &&
                   ((flags & RUN_READ_PATH) != 0 || (flags & (RUN_IN_STREAM | RUN_MAY_STREAM)) ==
                                                        (RUN_IN_STREAM | RUN_MAY_STREAM));
    uint64_t bytes =
        request->streamed_bytes + MAX(out->len, request->result_mark) - request->result_mark;

    if (unlikely(out->failed))
        return refuse_result(out->limit_bytes, ret_err);
    if (unlikely(options->max_result_rows != 0 && rows > options->max_result_rows)) {
        metric_add_cell(METRIC_BUDGET_ENDED, 3, 1);
        (void)err_set(ret_err, ERR_BUDGET_ROWS, "the result has more than %llu rows; add a LIMIT",
            (unsigned long long)options->max_result_rows);
        return RUN_FAILED;
    }
    if (unlikely(options->max_result_bytes != 0 && bytes > options->max_result_bytes))
        return refuse_result(options->max_result_bytes, ret_err);
    if (streams)
        return likely(out->len < options->stream_chunk_bytes)
                   ? RUN_OK
                   : execute_send_chunk(lane, request, flags, ret_err);
    return likely(bytes <= options->max_write_result_bytes)
               ? RUN_OK
               : refuse_result(options->max_write_result_bytes, ret_err);
}

/* A write that we end while it has rows left (RETURNING): resetting it would commit it. Inside a
 * transaction its savepoint undoes it. */
static void undo_write(struct lane *lane, const struct statement *statement)
{
    sqlite3 *db = connection_db(lane->connection);

    if (statement->class == STATEMENT_READ || !sqlite3_get_autocommit(db))
        return;
    sqlite3_interrupt(db);
    (void)sqlite3_step(statement->sqlite);
}

/* Steps to the end, an error, or a pause. `rows` counts over pauses. */
static enum run_result step(struct lane *lane, struct request *request, unsigned index,
    struct statement *statement, uint64_t *rows, bool begun, unsigned flags, struct err *ret_err)
    ON(actor_owner)
{
    enum run_result result;
    int rc;

    for (;;) {
        lane->stepping = statement->sqlite;
        rc = sqlite3_step(statement->sqlite);
        lane->stepping = NULL;
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
        if (unlikely(result != RUN_OK)) {
            lane->cut_off = true;
            undo_write(lane, statement);
            return result;
        }
    }
    return rc == SQLITE_DONE ? RUN_OK : execute_error(lane, rc, ret_err);
}

static bool takes_lock(struct str sql)
{
    return sql_has_word(sql, "IMMEDIATE") || sql_has_word(sql, "EXCLUSIVE");
}

/* Inside BEGIN TRANSACTION READONLY, where READONLY is the transaction's name to SQLite. */
static bool refuses_writes(const struct lane *lane, const struct statement *statement)
{
    return lane->read_only && statement->class != STATEMENT_TRANSACTION &&
           !sqlite3_get_autocommit(connection_db(lane->connection));
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
    if (statement->class == STATEMENT_TRANSACTION && takes_lock(statement->sql) &&
        request->principal != NULL && (request->principal->capabilities & CAP_WRITE) == 0) {
        (void)err_set(ret_err, ERR_ROLE_FORBIDS, "a token that may not write cannot take the lock");
        return RUN_FAILED;
    }
    if (statement->class != STATEMENT_READ &&
        (request->read_only || refuses_writes(lane, statement))) {
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
    if ((flags & RUN_SHORT) != 0 && statement->outgrew)
        return RUN_OUTGREW;
    return RUN_OK;
}

static _Atomic uint64_t *long_compile_slot(
    struct open_database *open, struct str sql, uint64_t *ret_mark)
{
    *ret_mark = (hash_bytes(sql.ptr, sql.len) + atomic_load(&open->schema_generation)) | 1;
    return &open->long_compiles[(*ret_mark >> 32) % OPEN_LONG_COMPILES];
}

/* Such a text is tried on a fast worker once, not each time: nothing interrupts compiling but its
 * own allocations. A changed schema may make it short again. */
static bool compiles_long(struct open_database *open, struct str sql)
{
    uint64_t mark;
    _Atomic uint64_t *slot;

    if (likely(!atomic_load_explicit(&open->has_long_compiles, memory_order_relaxed)))
        return false;
    slot = long_compile_slot(open, sql, &mark);
    return atomic_load_explicit(slot, memory_order_relaxed) == mark;
}

static void note_long_compile(struct open_database *open, struct str sql)
{
    uint64_t mark;
    _Atomic uint64_t *slot = long_compile_slot(open, sql, &mark);

    metric_add(METRIC_LONG_COMPILES, 1);
    atomic_store_explicit(slot, mark, memory_order_relaxed);
    atomic_store_explicit(&open->has_long_compiles, true, memory_order_relaxed);
}

static void give_turn_on(void *argument)
{
    struct lane *lane = argument;

    (void)turns_share(&lane->actor->engine->turns, clock_now_ns());
}

/* It compiled quickly after all: the schema was being read. */
static void forget_long_compile(struct open_database *open, struct str sql)
{
    uint64_t mark;
    _Atomic uint64_t *slot = long_compile_slot(open, sql, &mark);

    (void)atomic_compare_exchange_strong(slot, &mark, 0);
}

int execute_find_statement(struct lane *lane, struct str sql, unsigned flags,
    struct statement **ret_statement, struct str *ret_tail, bool *ret_long, struct err *ret_err)
{
    struct open_database *open = lane->actor->open;
    bool is_short = lane->short_until_ns != 0;
    bool cached_only = (flags & RUN_ON_LOOP) != 0;
    bool is_long = !cached_only && compiles_long(open, sql);
    uint64_t started;
    int rc;

    *ret_long = false;
    if (unlikely(is_long)) {
        rc = connection_prepare(lane->connection, sql, true, ret_statement, ret_tail, ret_err);
        *ret_long = is_short && rc < 0 && ret_err->code == ERR_NONE;
        if (rc == 0 || ret_err->code != ERR_NONE || is_short)
            return rc;
    }
    started = is_long ? clock_thread_cpu_ns() : 0;
    (void)account_watch((struct account_watch){.until_ns = lane->deadline_ns,
        .cpu_ns = is_short ? SHORT_PREPARE_NS : 0,
        .look = is_short ? NULL : give_turn_on,
        .argument = lane});
    rc = connection_prepare(lane->connection, sql, cached_only, ret_statement, ret_tail, ret_err);
    if (account_watch((struct account_watch){.until_ns = 0}) && rc < 0 && lane->stop == STOP_NONE) {
        lane->stop = is_short ? STOP_OUTGREW : STOP_DEADLINE;
        note_long_compile(open, sql);
    }
    /* Half, or one that takes just about the limit would be tried again each time. */
    if (unlikely(is_long) && rc == 0 && clock_thread_cpu_ns() - started < SHORT_PREPARE_NS / 2)
        forget_long_compile(open, sql);
    return rc;
}

enum run_result execute_not_found(
    struct lane *lane, unsigned flags, bool is_long, struct err *ret_err)
{
    if (is_long) {
        metric_add(METRIC_LONG_TEXTS, 1);
        return RUN_OUTGREW;
    }
    if ((flags & RUN_ON_LOOP) != 0 && ret_err->code == ERR_NONE)
        return RUN_OUTGREW;
    if (lane->stop != STOP_NONE)
        return execute_stopped(lane, ret_err);
    if (ret_err->code == ERR_BUSY)
        return RUN_BUSY;
    if (vfs_would_block())
        return RUN_WOULD_BLOCK;
    if (ret_err->code == ERR_NOMEM)
        return execute_error(lane, SQLITE_NOMEM, ret_err);
    return RUN_FAILED;
}

/* Finds the statement, checks it, binds it. *ret_statement is given back with connection_release.
 */
static enum run_result prepare(struct lane *lane, struct request *request, unsigned index,
    unsigned flags, struct statement **ret_statement, struct err *ret_err) ON(actor_owner)
{
    const struct statement_input *input = &request->statements[index];
    struct statement *statement = NULL;
    struct str tail;
    enum run_result result;
    bool is_long;

    if (execute_find_statement(lane, input->sql, flags, &statement, &tail, &is_long, ret_err) < 0) {
        return execute_not_found(lane, flags, is_long, ret_err);
    }
    if (statement == NULL)
        return (void)err_set(ret_err, ERR_SQL, "there is no statement in the text"), RUN_FAILED;
    if (tail.len > 0) {
        connection_release(lane->connection, statement);
        return (void)err_set(ret_err, ERR_MANY_STATEMENTS,
                   "one statement at a time here; send several as a batch"),
               RUN_FAILED;
    }
    if (unlikely(execute_check_blocks(lane, request, statement, ret_err) < 0)) {
        connection_release(lane->connection, statement);
        return RUN_FAILED;
    }
    if (request->describe) {
        *ret_statement = statement;
        return RUN_OK;
    }
    result = check_class(lane, request, statement, flags, ret_err);
    if (result == RUN_OK && execute_bind(lane, statement, input, ret_err) < 0)
        result = ret_err->code == ERR_TOO_LARGE && lane->value_limited ? RUN_OUTGREW : RUN_FAILED;
    if (result != RUN_OK) {
        connection_release(lane->connection, statement);
        return result;
    }
    *ret_statement = statement;
    return RUN_OK;
}

/* It outgrew a short turn once, and was quick on a slow worker: somebody made an index. */
static bool is_short_now(const struct lane *lane, const struct statement_stats *stats)
{
    const struct engine_options *options = &lane->actor->engine->options;

    return stats->duration_ns < options->short_time_ms * NS_PER_MS / 2 &&
           (options->short_steps == 0 || stats->vm_steps < options->short_steps / 2);
}

/* The statement is over: figures, the sink's end or error. */
static enum run_result conclude(struct lane *lane, struct request *request, unsigned index,
    struct statement *statement, enum run_result result, struct statement_stats *stats,
    int64_t changes_before, const struct err *err)
{
    switch (result) {
    case RUN_OK:
        collect_stats(lane, request, statement, stats, changes_before);
        if (unlikely(statement->outgrew) || (lane->kind == LANE_STREAM && !lane->slow))
            statement->outgrew = !is_short_now(lane, stats);
        statement->was_short = !statement->outgrew;
        if (request->step_states != NULL)
            request->step_states[index] = STEP_OK;
        if (statement->class == STATEMENT_TRANSACTION && lane->kind == LANE_STREAM)
            lane->read_only = sql_has_word(statement->sql, "READONLY");
        connection_release(lane->connection, statement);
        request->sink->ops->end(request->sink, index, stats);
        break;
    case RUN_OUTGREW:
        statement->outgrew = true;
        (void)sqlite3_stmt_status(statement->sqlite, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
        (void)sqlite3_stmt_status(statement->sqlite, SQLITE_STMTSTATUS_VM_STEP, 1);
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

bool execute_is_skipped(struct lane *lane, struct request *request, unsigned index)
{
    bool autocommit = (lane->kind != LANE_STREAM && request->mode != MODE_SCRIPT) ||
                      sqlite3_get_autocommit(connection_db(lane->connection));

    if (condition_holds(
            request->statements[index].condition, request->step_states, index, autocommit))
        return false;
    request->step_states[index] = STEP_SKIPPED;
    request->sink->ops->skipped(request->sink, index);
    return true;
}

/* PRAGMA table_info and the like take the schema as the connection last saw it: SQLite compiles
 * them to nothing, without another look, where it knows no such table. */
static bool is_pragma(struct str sql)
{
    return str_is_nocase(sql_verb(sql).word, "PRAGMA");
}

enum run_result execute_statement(
    struct lane *lane, struct request *request, unsigned index, unsigned flags)
{
    struct err err = ERR_INIT;
    struct statement *statement = NULL;
    struct statement_stats stats = {.rows_read = 0};
    uint64_t started = clock_now_ns();
    int64_t changes_before;
    uint64_t generation = atomic_load(&lane->actor->open->schema_generation);
    bool commits;
    enum run_result result;

    lane->cut_off = false;
    if (index == 0 && request->step_states != NULL && request->mode != MODE_SCRIPT &&
        (flags & RUN_ON_LOOP) == 0 &&
        (result = execute_check_texts(lane, request, flags)) != RUN_OK)
        return result;
    if (request->step_states != NULL && execute_is_skipped(lane, request, index))
        return RUN_OK;
    if (lane->schema_seen != generation &&
        (request->describe || is_pragma(request->statements[index].sql)))
        (void)execute_verb(lane, VERB_READ_SCHEMA);
    result = prepare(lane, request, index, flags, &statement, &err);
    if (result != RUN_OK || statement == NULL) {
        if (result == RUN_FAILED)
            execute_report(request, index, &err);
        return result;
    }
    if (request->describe)
        return execute_describe(lane, request, index, statement);
    if (lane->kind == LANE_STREAM) {
        result = execute_stream_begins(lane, statement, flags, started, &err);
        if (result != RUN_OK)
            return conclude(lane, request, index, statement, result, &stats, 0, &err);
    }
    metric_add_cell(METRIC_STATEMENTS, (unsigned)statement->class, 1);
    changes_before = sqlite3_total_changes64(connection_db(lane->connection));
    lane->schema_changed =
        statement->class == STATEMENT_DDL || statement->class == STATEMENT_ALONE ||
        (lane->schema_changed && !sqlite3_get_autocommit(connection_db(lane->connection)));
    commits = statement->class != STATEMENT_READ && (flags & RUN_IN_GROUP) == 0;
    if (commits)
        vfs_commit_section(true);
    result = step(lane, request, index, statement, &stats.rows_returned, false, flags, &err);
    if (commits)
        vfs_commit_section(false);
    lane->in_write = false;
    if (statement->class == STATEMENT_WRITE && statement->is_change)
        connection_note_change(lane->connection);
    if (lane->kind == LANE_STREAM)
        execute_stream_ends(lane, started);
    if (unlikely(result == RUN_BUSY) && execute_snapshot_is_old(lane, &err))
        result = RUN_FAILED;
    if (unlikely(commits && result == RUN_FAILED))
        execute_judge_commit(lane, err.native, &err);
    if (commits && index + 1 < request->statement_count && request->mode != MODE_SCRIPT)
        gate_request_sync(&lane->actor->open->gate); /* what sees it shall not wait for the rest */
    if (result == RUN_PAUSED) {
        lane->cursor_request = request;
        lane->cursor_statement = statement;
        lane->cursor_index = index;
        lane->cursor_rows = stats.rows_returned;
        return result;
    }
    /* A schema of its own, uncommitted, may be rolled back: then it has to be read anew, too. */
    if (result == RUN_OK)
        lane->schema_seen = lane->schema_changed ? 0 : generation;
    stats.duration_ns = clock_now_ns() - started;
    return conclude(lane, request, index, statement, result, &stats, changes_before, &err);
}

enum run_result execute_continue(struct lane *lane, unsigned flags)
{
    struct request *request = lane->cursor_request;
    struct statement *statement = lane->cursor_statement;
    struct statement_stats stats = {.rows_returned = lane->cursor_rows};
    struct err err = ERR_INIT;
    enum run_result result;

    if (request->kind == REQUEST_PRODUCER)
        return execute_produce(lane, request, flags);
    result =
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
    if (lane->cursor_request != NULL && lane->cursor_request->kind == REQUEST_PRODUCER)
        lane->cursor_request->producer->end(lane->cursor_request->producer);
    lane->cursor_statement = NULL;
    lane->cursor_request = NULL;
}

enum run_result execute_procedure(struct lane *lane, struct request *request)
{
    struct err err = ERR_INIT;
    int rc;

    if (unlikely(execute_check_blocks(lane, request, NULL, &request->err) < 0))
        return RUN_FAILED;
    lane->schema_changed = request->kind == REQUEST_PROCEDURE; /* it may */
    if (request->procedure(connection_db(lane->connection), request->procedure_argument, &err) == 0)
        return RUN_OK;
    if (lane->stop != STOP_NONE) {
        enum run_result result = execute_stopped(lane, &err);

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
