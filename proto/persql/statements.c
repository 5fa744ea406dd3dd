/* query and batch, and the reading of statements: the hot path. Bodies are decoded token by token
 * into the request's statements; results go from the lane into the answer's bytes. */
#include "proto/persql/persql.h"
#include "proto/result_sink.h"

#define STATEMENTS_FIRST 8

int persql_read_statement(
    struct document *d, struct statement_input *ret_statement, struct err *ret_err)
{
    *ret_statement = (struct statement_input){.sql = {.ptr = NULL}};
    while (document_next(d) == TOKEN_KEY) {
        if (str_is(d->text, "sql")) {
            if (document_next(d) != TOKEN_STRING)
                return d->token == TOKEN_INVALID
                           ? document_error(d, ret_err)
                           : err_set(ret_err, ERR_BAD_REQUEST, "'sql' must be a string, not %s",
                                 token_name(d->token));
            ret_statement->sql = d->text;
        } else if (str_is(d->text, "params")) {
            (void)document_next(d);
            if (values_read_parameters(
                    d, &ret_statement->parameters, &ret_statement->parameter_count, ret_err) < 0)
                return -1;
        } else {
            (void)document_next(d);
            if (document_skip(d, ret_err) < 0)
                return -1;
        }
    }
    if (d->token != TOKEN_OBJECT_END)
        return document_error(d, ret_err);
    if (ret_statement->sql.ptr == NULL)
        return err_set(ret_err, ERR_BAD_REQUEST, "'sql' is missing");
    return 0;
}

static int read_single(struct exchange *x, struct statement_input *statement, struct err *ret_err)
{
    struct document d;

    if (document_init(&d, x->body_is_msgpack ? BODY_MSGPACK : BODY_JSON, x->http.body,
            x->services->settings->max_json_depth, &x->arena, ret_err) < 0)
        return -1;
    if (document_next(&d) != TOKEN_OBJECT)
        return d.token == TOKEN_INVALID
                   ? document_error(&d, ret_err)
                   : err_set(ret_err, ERR_BAD_REQUEST,
                         "the body must be an object with 'sql', not %s", token_name(d.token));
    if (persql_read_statement(&d, statement, ret_err) < 0)
        return -1;
    return document_end(&d, ret_err);
}

bool persql_read_single(struct exchange *x)
{
    struct statement_input *statement = arena_alloc(&x->arena, sizeof(*statement));
    struct err err = ERR_INIT;

    if (statement == NULL) {
        persql_fail(x, ERR_TOO_LARGE, "the request needs too much memory");
        return false;
    }
    if (read_single(x, statement, &err) < 0) {
        exchange_fail(x, &err);
        return false;
    }
    x->request.kind = REQUEST_STATEMENTS;
    x->request.mode = MODE_STOP;
    x->request.single = true;
    x->request.statements = statement;
    x->request.statement_count = 1;
    return true;
}

static struct result_sink *make_sink(struct exchange *x, bool batch)
{
    const struct surface_settings *settings = x->services->settings;
    struct result_sink *results = arena_alloc(&x->arena, sizeof(*results));

    if (results == NULL) {
        persql_fail(x, ERR_TOO_LARGE, "the request needs too much memory");
        return NULL;
    }
    result_sink_init(results, persql_format(x), batch, &x->response.body, &x->arena);
    results->integers_as_strings = x->integers_as_strings;
    results->prices = (struct result_prices){.per_request = settings->cost_per_request,
        .per_row_read = settings->cost_per_row_read,
        .per_row_written = settings->cost_per_row_written};
    results->owner = x;
    x->state = results;
    x->request.sink = &results->sink;
    x->response.status = 200;
    x->response.content_type = persql_content_type(results->format);
    return results;
}

/* The sink's bytes become the answer's. */
static void send_results(struct exchange *x, struct result_sink *results)
{
    if (results->sink.out.failed && !x->request.streamed) {
        buf_take(&x->response.body, &results->sink.out);
        persql_fail(x, ERR_RESULT_TOO_LARGE, "the result is larger than an answer may be");
        return;
    }
    /* The body takes `failed` over: a streamed answer that lost bytes ends without a last chunk.
     * Nothing else of the response may change here: the loop may be sending its head just now. */
    buf_take(&x->response.body, &results->sink.out);
    x->response.body.limit_bytes = 0;
    exchange_finish(x);
}

void persql_unprefix(struct exchange *x, size_t prefix_len)
{
    struct statement_input *statement;

    if (prefix_len == 0)
        return;
    if (x->request.err.sql_offset >= 0)
        x->request.err.sql_offset = MAX(0, x->request.err.sql_offset - (int)prefix_len);
    statement = arena_alloc(&x->arena, sizeof(*statement));
    if (statement == NULL)
        return;
    *statement = x->request.statements[0];
    statement->sql = str_make(statement->sql.ptr + prefix_len, statement->sql.len - prefix_len);
    x->request.statements = statement;
}

/* The end of an answer that streams already, and whose statement failed. */
static void abort_results(struct exchange *x, struct result_sink *results)
{
    struct request *request = &x->request;
    struct buf failure;
    struct encoder e;

    persql_unprefix(x, results->sql_prefix_len);
    buf_init(&failure, 0);
    encoder_init(&e, &failure, BODY_JSON);
    encoder_object(&e);
    encoder_key(&e, "success");
    encoder_bool(&e, false);
    persql_error_members(&e, &x->arena, &request->err, request->statements[0].sql);
    encoder_key(&e, "requestId");
    encoder_string(&e, x->http.request_id);
    encoder_end(&e);
    result_sink_abort(results, buf_view(&failure));
    buf_fini(&failure);
    send_results(x, results);
}

static void on_query_done(struct request *request)
{
    struct exchange *x = request->owner;
    struct result_sink *results = x->state;

    if (request->err.code == ERR_NONE) {
        result_sink_succeed(results, request);
        send_results(x, results);
    } else if (request->streamed) {
        abort_results(x, results);
    } else {
        persql_unprefix(x, results->sql_prefix_len);
        exchange_fail(x, &request->err);
    }
}

void persql_query(struct exchange *x)
{
    if (persql_read_single(x))
        persql_run_query(x, 0);
}

void persql_run_query(struct exchange *x, size_t prefix_len)
{
    struct result_sink *results = make_sink(x, false);

    if (results == NULL)
        return;
    results->sql_prefix_len = prefix_len;
    x->may_stream = results->format == BODY_JSON;
    x->request.done = on_query_done;
    exchange_run(x);
}

/* ---- batch ---- */

struct batch_input {
    struct statement_input *statements;
    unsigned count;
    unsigned capacity;
    bool transaction;
    bool continue_on_error;
};

static int grow(struct exchange *x, struct batch_input *batch, struct err *ret_err)
{
    unsigned limit = x->services->settings->max_batch_statements;
    struct statement_input *larger;

    if (batch->count == limit)
        return err_set(
            ret_err, ERR_BAD_REQUEST, "a batch takes at most %u statements; send several", limit);
    if (batch->count < batch->capacity)
        return 0;
    batch->capacity = batch->capacity == 0 ? STATEMENTS_FIRST : batch->capacity * 2;
    larger = arena_array(&x->arena, batch->capacity, sizeof(*larger));
    if (larger == NULL)
        return err_set(ret_err, ERR_TOO_LARGE, "the request needs too much memory");
    if (batch->count > 0)
        memcpy(larger, batch->statements, batch->count * sizeof(*larger));
    batch->statements = larger;
    return 0;
}

static int read_statements(
    struct exchange *x, struct document *d, struct batch_input *batch, struct err *ret_err)
{
    if (document_next(d) != TOKEN_ARRAY)
        return d->token == TOKEN_INVALID
                   ? document_error(d, ret_err)
                   : err_set(ret_err, ERR_BAD_REQUEST, "'statements' must be an array, not %s",
                         token_name(d->token));
    batch->count = 0;
    while (document_next(d) != TOKEN_ARRAY_END) {
        struct err why = ERR_INIT;

        if (d->token == TOKEN_INVALID)
            return document_error(d, ret_err);
        if (grow(x, batch, ret_err) < 0)
            return -1;
        if (d->token == TOKEN_STRING) {
            batch->statements[batch->count++] = (struct statement_input){.sql = d->text};
            continue;
        }
        if (d->token != TOKEN_OBJECT)
            return err_set(ret_err, ERR_BAD_REQUEST,
                "statements[%u] must be an object with 'sql', not %s", batch->count,
                token_name(d->token));
        if (persql_read_statement(d, &batch->statements[batch->count], &why) < 0) {
            if (why.code != ERR_BAD_REQUEST) {
                err_copy(ret_err, &why);
                return -1;
            }
            return err_set(
                ret_err, ERR_BAD_REQUEST, "statements[%u]: %.280s", batch->count, why.msg);
        }
        batch->count++;
    }
    return 0;
}

static int read_flag(struct document *d, const char *name, bool *ret_flag, struct err *ret_err)
{
    switch ((int)document_next(d)) {
    case TOKEN_TRUE:
    case TOKEN_FALSE:
        *ret_flag = d->token == TOKEN_TRUE;
        return 0;
    case TOKEN_NULL:
        return 0;
    case TOKEN_INVALID:
        return document_error(d, ret_err);
    default:
        return err_set(ret_err, ERR_BAD_REQUEST, "'%s' must be true or false", name);
    }
}

static int read_batch(struct exchange *x, struct batch_input *batch, struct err *ret_err)
{
    struct document d;
    int rc;

    if (document_init(&d, x->body_is_msgpack ? BODY_MSGPACK : BODY_JSON, x->http.body,
            x->services->settings->max_json_depth, &x->arena, ret_err) < 0)
        return -1;
    if (document_next(&d) != TOKEN_OBJECT)
        return d.token == TOKEN_INVALID ? document_error(&d, ret_err)
                                        : err_set(ret_err, ERR_BAD_REQUEST,
                                              "the body must be an object with 'statements'");
    while (document_next(&d) == TOKEN_KEY) {
        if (str_is(d.text, "statements")) {
            rc = read_statements(x, &d, batch, ret_err);
        } else if (str_is(d.text, "transaction")) {
            rc = read_flag(&d, "transaction", &batch->transaction, ret_err);
        } else if (key_is(d.text, "continueOnError")) {
            rc = read_flag(&d, "continueOnError", &batch->continue_on_error, ret_err);
        } else {
            (void)document_next(&d);
            rc = document_skip(&d, ret_err);
        }
        if (rc < 0)
            return -1;
    }
    if (d.token != TOKEN_OBJECT_END)
        return document_error(&d, ret_err);
    if (batch->count == 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "'statements' must hold at least one statement");
    if (batch->transaction && batch->continue_on_error)
        return err_set(ret_err, ERR_BAD_REQUEST,
            "'transaction' and 'continueOnError' exclude each other: all or nothing, or each for "
            "itself");
    return document_end(&d, ret_err);
}

/* A failed statement's entry in a batch that goes on. */
static void write_failure(struct result_sink *results, const struct err *err, struct str sql)
{
    struct exchange *x = results->owner;
    struct encoder e;

    encoder_init(&e, &results->sink.out, results->format);
    encoder_object(&e);
    encoder_key(&e, "success");
    encoder_bool(&e, false);
    persql_error_members(&e, &x->arena, err, sql);
    encoder_end(&e);
}

/* {"success":false,"error":...,"failedIndex":n,"results":[...]} */
static void fail_batch(struct exchange *x, struct result_sink *results)
{
    struct request *request = &x->request;
    unsigned failed = request->failed_index;
    struct encoder e;

    /* No statement failed, or none is known to have: nothing about results can be said. */
    if (results->failures == 0 || request->err.code == ERR_OUTCOME_UNKNOWN) {
        exchange_fail(x, &request->err);
        return;
    }
    x->response.status = exchange_status(&request->err);
    encoder_init(&e, &x->response.body, results->format);
    encoder_object(&e);
    encoder_key(&e, "success");
    encoder_bool(&e, false);
    persql_error_members(&e, &x->arena, &request->err,
        failed < request->statement_count ? request->statements[failed].sql : str_make(NULL, 0));
    encoder_key(&e, "requestId");
    encoder_string(&e, x->http.request_id);
    encoder_key(&e, "failedIndex");
    encoder_integer(&e, failed);
    encoder_key(&e, "results");
    if (request->mode == MODE_TRANSACTION) {
        encoder_array(&e);
        encoder_end(&e);
    } else {
        encoder_prepare(&e);
        result_sink_entries(results, &x->response.body);
    }
    encoder_end(&e);
    if (exchange_retry_after(&request->err) > 0)
        http_response_header(&x->response, "Retry-After",
            str_from(arena_printf(&x->arena, "%u", exchange_retry_after(&request->err))));
    exchange_finish(x);
}

static void on_batch_done(struct request *request)
{
    struct exchange *x = request->owner;
    struct result_sink *results = x->state;
    bool ran_all = results->done == request->statement_count;

    if (request->err.code == ERR_NONE ||
        (request->mode == MODE_CONTINUE && ran_all && results->failures > 0 &&
            request->err.code != ERR_OUTCOME_UNKNOWN && !err_is_internal(request->err.code))) {
        result_sink_succeed(results, request);
        send_results(x, results);
    } else {
        fail_batch(x, results);
    }
}

void persql_batch(struct exchange *x)
{
    struct batch_input batch = {.count = 0};
    struct result_sink *results;
    struct err err = ERR_INIT;

    if (read_batch(x, &batch, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    results = make_sink(x, true);
    if (results == NULL)
        return;
    if (batch.continue_on_error)
        results->on_error = write_failure;
    x->request.kind = REQUEST_STATEMENTS;
    x->request.mode = batch.transaction         ? MODE_TRANSACTION
                      : batch.continue_on_error ? MODE_CONTINUE
                                                : MODE_STOP;
    x->request.single = true;
    x->request.statements = batch.statements;
    x->request.statement_count = batch.count;
    x->request.done = on_batch_done;
    exchange_run(x);
}
