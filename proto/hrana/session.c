#include "proto/hrana/session.h"

#include "proto/hrana/batch_plan.h"
#include "tenants/sql_text.h"

/* ---- streams ---- */

void hrana_stream_init(struct hrana_stream *stream, struct engine *engine,
    struct database *database, struct principal *principal, struct hrana_sql_store *store)
{
    *stream = (struct hrana_stream){
        .engine = engine,
        .database = database_ref(database),
        .principal = principal_ref(principal),
        .store = store,
    };
}

void hrana_stream_fini(struct hrana_stream *stream)
{
    if (stream->stream != NULL)
        stream_close(stream->engine, stream->stream);
    database_unref(stream->database);
    principal_unref(stream->principal);
    *stream = (struct hrana_stream){.closed = true};
}

bool hrana_stream_in_transaction(const struct hrana_stream *stream)
{
    return stream->stream != NULL && !stream_is_autocommit(stream->stream);
}

/* ---- answers ---- */

static struct hrana_run *run_of(struct sink *sink)
{
    return CONTAINER_OF(sink, struct hrana_run, sink);
}

static void cut(struct hrana_run *run, size_t mark)
{
    buf_truncate(&run->sink.out, mark);
    if (run->encoder.ops->rewound != NULL)
        run->encoder.ops->rewound(&run->encoder);
}

static int fault(struct err *err, enum hrana_fault fault, const char *message)
{
    (void)err_set(err, ERR_BAD_REQUEST, "%s", message);
    err->native = (int)fault;
    return -1;
}

static enum hrana_next fatal(struct hrana_run *run, const char *message)
{
    (void)err_set(&run->err, ERR_BAD_REQUEST, "%s", message);
    return HRANA_FATAL;
}

void hrana_refuse(struct hrana_run *run, const struct err *err)
{
    struct hrana_error error = hrana_error_of(err, run->arena);

    if (&run->err != err)
        err_copy(&run->err, err);
    run->failed = true;
    if (run->cursor) {
        run->encoder.ops->entry_error(&run->encoder, &error);
        return;
    }
    cut(run, run->mark);
    run->encoder.ops->response_error(&run->encoder, &error);
}

static enum hrana_next refuse(struct hrana_run *run)
{
    hrana_refuse(run, &run->err);
    return HRANA_ANSWERED;
}

static void begin_response(struct hrana_run *run)
{
    if (!run->cursor)
        run->encoder.ops->response_begin(&run->encoder, run->current->type);
}

static enum hrana_next end_response(struct hrana_run *run)
{
    if (!run->cursor)
        run->encoder.ops->response_end(&run->encoder, run->current->type);
    return HRANA_ANSWERED;
}

static enum hrana_next answer_empty(struct hrana_run *run)
{
    begin_response(run);
    return end_response(run);
}

bool hrana_is_refusal(const struct err *err)
{
    return err->code == ERR_OVERLOADED || err->code == ERR_DRAINING ||
           err->code == ERR_UNAVAILABLE || err->code == ERR_CANCELLED;
}

/* ---- the sink ---- */

static const struct hrana_stmt *stmt_of(const struct hrana_run *run, unsigned statement)
{
    switch ((int)run->current->type) {
    case HRANA_EXECUTE:
        return &run->current->stmt;
    case HRANA_BATCH:
    case HRANA_OPEN_CURSOR:
        return &run->current->batch.steps[statement].stmt;
    default:
        return NULL;
    }
}

static void on_begin(
    struct sink *sink, unsigned statement, const struct column *columns, unsigned count)
{
    struct hrana_run *run = run_of(sink);

    run->step_mark = sink->out.len;
    run->in_step = true;
    run->bad_text = false;
    run->encoder.step = statement; /* steps that were cut off had been counted */
    if (run->current->type == HRANA_SEQUENCE)
        return;
    if (run->cursor)
        run->encoder.ops->entry_step_begin(&run->encoder, statement, columns, count);
    else
        run->encoder.ops->stmt_begin(&run->encoder, columns, count);
}

static void on_row(struct sink *sink, const struct value *values, unsigned count)
{
    struct hrana_run *run = run_of(sink);
    const struct hrana_stmt *stmt = stmt_of(run, run->steps_done);
    int rc;

    if (stmt == NULL || !stmt->want_rows || run->bad_text)
        return;
    rc = run->cursor ? run->encoder.ops->entry_row(&run->encoder, values, count)
                     : run->encoder.ops->row(&run->encoder, values, count);
    run->bad_text = rc < 0;
}

static void record_error(struct hrana_run *run, unsigned statement, const struct err *err)
{
    struct hrana_error error;

    if (run->errors == NULL)
        return; /* not of a batch: it is in request->err */
    error = hrana_error_of(err, run->arena);
    if (run->cursor) {
        run->encoder.ops->entry_step_error(&run->encoder, statement, &error);
    } else {
        if (run->in_step)
            cut(run, run->step_mark);
        run->encoder.ops->step_skipped(&run->encoder);
        run->errors[statement] = (struct hrana_step_error){.is_set = true, .error = error};
    }
    run->states[statement] = STEP_FAILED;
}

static void on_end(struct sink *sink, unsigned statement, const struct statement_stats *stats)
{
    struct hrana_run *run = run_of(sink);
    struct err err = ERR_INIT;

    if (unlikely(run->bad_text)) {
        (void)fault(&err, HRANA_FAULT_TEXT, "a text in the result is not valid UTF-8");
        if (run->current->type == HRANA_EXECUTE)
            err_copy(&run->err, &err);
        else
            record_error(run, statement, &err);
    } else if (run->cursor) {
        run->encoder.ops->entry_step_end(&run->encoder, stats);
    } else if (run->current->type != HRANA_SEQUENCE) {
        run->encoder.ops->stmt_end(&run->encoder, stats);
    }
    run->in_step = false;
    run->steps_done = statement + 1;
}

static void on_error(struct sink *sink, unsigned statement, const struct err *err, struct str sql)
{
    struct hrana_run *run = run_of(sink);

    record_error(run, statement, err);
    run->in_step = false;
    run->steps_done = statement + 1;
}

static void on_skipped(struct sink *sink, unsigned statement)
{
    struct hrana_run *run = run_of(sink);

    if (!run->cursor)
        run->encoder.ops->step_skipped(&run->encoder);
    run->errors[statement].is_set = false;
    run->steps_done = statement + 1;
}

static void on_described(
    struct sink *sink, unsigned statement, const struct statement_description *description)
{
    struct hrana_run *run = run_of(sink);

    run->encoder.ops->described(&run->encoder, description);
    run->steps_done = 1;
}

/* The engine starts again at `next_index`; what is behind comes anew. */
static void on_rewound(struct sink *sink)
{
    struct hrana_run *run = run_of(sink);

    if (run->encoder.ops->rewound != NULL)
        run->encoder.ops->rewound(&run->encoder);
    run->in_step = false;
    run->bad_text = false;
    run->err = ERR_INIT;
    run->steps_done = run->request->next_index;
    for (unsigned i = run->steps_done; i < run->step_count && run->errors != NULL; i++)
        run->errors[i].is_set = false;
}

static const struct sink_ops sink_ops = {
    .begin = on_begin,
    .row = on_row,
    .end = on_end,
    .error = on_error,
    .rewound = on_rewound,
    .skipped = on_skipped,
    .described = on_described,
};

void hrana_run_init(struct hrana_run *run, struct hrana_stream *stream, struct request *request,
    struct arena *arena, const struct hrana_encoder_ops *ops, enum hrana_envelope envelope)
{
    *run = (struct hrana_run){
        .stream = stream,
        .request = request,
        .arena = arena,
        .encoder = {.ops = ops, .envelope = envelope},
        .sink = {.ops = &sink_ops},
        .err = ERR_INIT,
    };
    run->encoder.out = &run->sink.out;
}

/* ---- statements ---- */

/* The text of a statement, stored or not. -1: the id is unknown. */
static int resolve(struct hrana_run *run, const struct hrana_sql *sql, struct str *ret_text)
{
    struct str stored;

    if (!sql->has_id) {
        *ret_text = sql->text;
        return 0;
    }
    if (hrana_sql_find(run->stream->store, sql->id, &stored) < 0)
        return err_set(&run->err, ERR_BAD_REQUEST, "there is no stored SQL with id %d", sql->id);
    /* A copy: another stream of a WebSocket's store may close it meanwhile. */
    *ret_text = arena_str(run->arena, stored);
    if (ret_text->ptr == NULL)
        return err_set(&run->err, ERR_TOO_LARGE, "the request needs too much memory");
    return 0;
}

/* What can be said of the arguments before the statement is compiled. */
static int take_args(
    const struct hrana_stmt *stmt, struct statement_input *input, struct err *ret_err)
{
    if (stmt->arg_count > 0 && stmt->named_arg_count > 0)
        return fault(ret_err, HRANA_FAULT_ARGS_BOTH,
            "a statement takes positional arguments or named ones, not both");
    for (unsigned i = 0; i < stmt->named_arg_count; i++) {
        if (stmt->named_args[i].name.len == 0)
            return fault(ret_err, HRANA_FAULT_ARGS, "an argument has an empty name");
    }
    input->parameters = stmt->arg_count > 0 ? stmt->args : stmt->named_args;
    input->parameter_count = stmt->arg_count > 0 ? stmt->arg_count : stmt->named_arg_count;
    return 0;
}

static enum hrana_next submit(struct hrana_run *run, struct statement_input *statements,
    unsigned count, enum request_mode mode, bool own_connection)
{
    struct hrana_stream *stream = run->stream;
    struct request *request = run->request;

    /* Also to hear that the transaction was rolled back: what follows is not to run without it. */
    if (stream->stream != NULL && (stream_has_state(stream->stream) || stream->in_transaction))
        own_connection = true;
    if (own_connection && stream->stream == NULL) {
        stream->stream =
            stream_open(stream->engine, stream->database, stream->principal, &run->err);
        if (stream->stream == NULL)
            return refuse(run);
    }
    request->kind = REQUEST_STATEMENTS;
    request->mode = mode;
    request->single = true;
    request->statements = statements;
    request->statement_count = count;
    request->describe = run->current->type == HRANA_DESCRIBE;
    request->step_states = run->states;
    request->read_only = false;
    request->counts = stream->counts;
    request->counts_set = true;
    request->stream = own_connection ? stream->stream : NULL;
    request->sink = &run->sink;
    request->err = ERR_INIT;
    request->next_index = 0;
    return HRANA_SUBMIT;
}

static enum hrana_next no_memory(struct hrana_run *run)
{
    (void)err_set(&run->err, ERR_TOO_LARGE, "the request needs too much memory");
    return refuse(run);
}

static enum hrana_next begin_single(
    struct hrana_run *run, const struct hrana_sql *sql, const struct hrana_stmt *stmt)
{
    struct statement_input *input = arena_alloc(run->arena, sizeof(*input));
    bool describes = stmt == NULL;
    struct sql_verb verb;

    if (input == NULL)
        return no_memory(run);
    *input = (struct statement_input){.parameter_count = 0};
    if (resolve(run, sql, &input->sql) < 0)
        return HRANA_FATAL;
    if (stmt != NULL && take_args(stmt, input, &run->err) < 0)
        return refuse(run);
    begin_response(run);
    if (!describes)
        return submit(run, input, 1, MODE_STOP, hrana_needs_connection(input->sql));
    /* Compiling is enough for a pragma to take effect: not on the stream's own connection. */
    verb = sql_verb(input->sql);
    if (str_is_nocase(verb.word, "PRAGMA")) {
        struct stream *own = run->stream->stream;
        enum hrana_next next;

        run->stream->stream = NULL;
        next = submit(run, input, 1, MODE_STOP, false);
        run->stream->stream = own;
        return next;
    }
    return submit(run, input, 1, MODE_STOP, false);
}

/* ---- batches ---- */

/* What makes the whole batch invalid, whichever steps would run. */
static int check_step(const struct hrana_stmt *stmt, struct statement_input *input, struct err *err)
{
    struct str rest = input->sql;

    if (take_args(stmt, input, err) < 0)
        return -1;
    if (sql_cut(&rest).ptr == NULL)
        return fault(err, HRANA_FAULT_NO_STATEMENT, "there is no statement in the SQL text");
    if (rest.len > 0 && !sql_is_blank(rest))
        return fault(
            err, HRANA_FAULT_MANY_STATEMENTS, "the SQL text holds more than one statement");
    return 0;
}

/* A transaction that is complete needs no connection of its own, unless its rows may stream. */
static enum hrana_next submit_batch(
    struct hrana_run *run, struct statement_input *inputs, unsigned count, bool own_connection)
{
    const struct hrana_stream *stream = run->stream;
    bool has_state = stream->stream != NULL && stream_has_state(stream->stream);
    enum hrana_plan plan = !own_connection || has_state || run->cursor
                               ? HRANA_PLAN_STEPS
                               : hrana_plan_batch(inputs, count);
    enum hrana_next next;

    if (plan == HRANA_PLAN_STEPS ||
        (plan == HRANA_PLAN_TRANSACTION && (stream->principal->capabilities & CAP_WRITE) == 0))
        return submit(run, inputs, count, MODE_CONTINUE, own_connection);
    next = submit(run, inputs, count, MODE_SCRIPT, false);
    run->request->read_only = plan == HRANA_PLAN_READS;
    return next;
}

static enum hrana_next begin_batch(struct hrana_run *run, const struct hrana_batch *batch)
{
    unsigned count = batch->step_count;
    struct statement_input *inputs = arena_array(run->arena, count + 1, sizeof(*inputs));
    bool own_connection = false;

    run->errors = arena_array(run->arena, count + 1, sizeof(*run->errors));
    run->states = arena_zalloc(run->arena, count + 1);
    if (inputs == NULL || run->errors == NULL || run->states == NULL)
        return no_memory(run);
    memset(run->errors, 0, count * sizeof(*run->errors));
    run->step_count = count;
    for (unsigned i = 0; i < count; i++) {
        inputs[i] = (struct statement_input){.condition = batch->steps[i].condition};
        if (resolve(run, &batch->steps[i].stmt.sql, &inputs[i].sql) < 0)
            return HRANA_FATAL;
        if (check_step(&batch->steps[i].stmt, &inputs[i], &run->err) < 0)
            return refuse(run);
        own_connection = own_connection || hrana_needs_connection(inputs[i].sql);
    }
    begin_response(run);
    if (!run->cursor)
        run->encoder.ops->batch_begin(&run->encoder);
    if (count > 0)
        return submit_batch(run, inputs, count, own_connection);
    if (!run->cursor)
        run->encoder.ops->batch_end(&run->encoder, run->errors, 0);
    return end_response(run);
}

/* ---- several statements in one text ---- */

static enum hrana_next begin_sequence(struct hrana_run *run, const struct hrana_sql *sql)
{
    struct statement_input *inputs;
    struct str text;
    struct str rest;
    bool own_connection = false;
    unsigned count = 0;

    if (resolve(run, sql, &text) < 0)
        return HRANA_FATAL;
    for (rest = text; sql_cut(&rest).ptr != NULL;)
        count++;
    if (count == 0)
        return answer_empty(run);
    inputs = arena_array(run->arena, count, sizeof(*inputs));
    if (inputs == NULL)
        return no_memory(run);
    rest = text;
    for (unsigned i = 0; i < count; i++) {
        inputs[i] = (struct statement_input){.sql = sql_cut(&rest)};
        own_connection = own_connection || hrana_needs_connection(inputs[i].sql);
    }
    begin_response(run);
    return submit(run, inputs, count, MODE_STOP, own_connection);
}

/* ---- what needs no engine ---- */

static enum hrana_next store_sql(struct hrana_run *run, const struct hrana_sql *sql)
{
    struct str unused;

    if (hrana_sql_find(run->stream->store, sql->id, &unused) == 0)
        return fatal(run, "there is stored SQL with that id already");
    if (hrana_sql_put(run->stream->store, sql->id, sql->text, &run->err) < 0)
        return refuse(run);
    return answer_empty(run);
}

static enum hrana_next close_sql(struct hrana_run *run, const struct hrana_sql *sql)
{
    hrana_sql_remove(run->stream->store, sql->id);
    return answer_empty(run);
}

static enum hrana_next get_autocommit(struct hrana_run *run)
{
    if (run->stream->in_transaction && !hrana_stream_in_transaction(run->stream)) {
        run->stream->in_transaction = false;
        (void)err_set(&run->err, ERR_STREAM_EXPIRED,
            "the transaction was open for too long and was rolled back; start again");
        return HRANA_FATAL;
    }
    begin_response(run);
    run->encoder.ops->autocommit(&run->encoder, !hrana_stream_in_transaction(run->stream));
    return end_response(run);
}

/* What is open is rolled back on a worker. */
static enum hrana_next close_stream(struct hrana_run *run)
{
    if (run->stream->stream != NULL)
        stream_close(run->stream->engine, run->stream->stream);
    run->stream->stream = NULL;
    run->stream->closed = true;
    return answer_empty(run);
}

enum hrana_next hrana_begin(struct hrana_run *run, const struct hrana_request *request)
{
    run->current = request;
    run->mark = run->sink.out.len;
    run->failed = false;
    run->err = ERR_INIT;
    run->errors = NULL;
    run->states = NULL;
    run->step_count = 0;
    run->steps_done = 0;
    run->in_step = false;
    run->bad_text = false;
    if (run->stream->closed)
        return fatal(run, "the stream is closed");
    switch (request->type) {
    case HRANA_EXECUTE:
        return begin_single(run, &request->stmt.sql, &request->stmt);
    case HRANA_DESCRIBE:
        return begin_single(run, &request->sql, NULL);
    case HRANA_BATCH:
    case HRANA_OPEN_CURSOR:
        return begin_batch(run, &request->batch);
    case HRANA_SEQUENCE:
        return begin_sequence(run, &request->sql);
    case HRANA_STORE_SQL:
        return store_sql(run, &request->sql);
    case HRANA_CLOSE_SQL:
        return close_sql(run, &request->sql);
    case HRANA_GET_AUTOCOMMIT:
        return get_autocommit(run);
    case HRANA_CLOSE:
        return close_stream(run);
    case HRANA_OPEN_STREAM:
    case HRANA_CLOSE_CURSOR:
    case HRANA_FETCH_CURSOR:
    case HRANA_REQUEST_TYPE_COUNT:
    default:
        return fatal(run, "that request is not the stream's");
    }
}

/* ---- after the engine ---- */

static enum hrana_next finish_batch(struct hrana_run *run)
{
    const struct request *request = run->request;
    bool told = run->steps_done == run->step_count && request->err.code != ERR_OUTCOME_UNKNOWN &&
                !err_is_internal(request->err.code);

    if (request->err.code != ERR_NONE && !told) {
        hrana_refuse(run, &request->err);
        return HRANA_ANSWERED;
    }
    if (!run->cursor)
        run->encoder.ops->batch_end(&run->encoder, run->errors, run->step_count);
    return end_response(run);
}

enum hrana_next hrana_finish(struct hrana_run *run)
{
    const struct request *request = run->request;

    run->stream->counts = request->counts_after;
    run->stream->in_transaction = hrana_stream_in_transaction(run->stream);
    if (unlikely(request->err.code == ERR_STREAM_EXPIRED)) {
        err_copy(&run->err, &request->err);
        return HRANA_FATAL;
    }
    if (run->sink.out.failed && !request->streamed) {
        run->sink.out.failed = false;
        (void)err_set(
            &run->err, ERR_RESULT_TOO_LARGE, "the result is larger than an answer may be");
        return refuse(run);
    }
    if (run->errors != NULL)
        return finish_batch(run);
    if (request->err.code != ERR_NONE) {
        hrana_refuse(run, &request->err);
        return HRANA_ANSWERED;
    }
    if (run->err.code != ERR_NONE) /* bad text */
        return refuse(run);
    return end_response(run);
}
