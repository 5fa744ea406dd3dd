/* sqld's oldest API: POST / with {"statements": ["sql" | {"q", "params"}]}, one transaction, values
 * as plain JSON. An entry for each statement: {"results"}, {"error"}, or null where an earlier one
 * failed. */
#include "proto/hrana/encode.h"
#include "proto/hrana/hrana.h"
#include "proto/values.h"
#include "tenants/base/base64.h"
#include "tenants/sql_text.h"

#define STATEMENTS_FIRST 8

struct query {
    struct sink sink; /* first */
    struct exchange *x;
    unsigned begun; /* statements with an entry */
    size_t begin_at;
    bool bad_text;
};

static struct query *of(struct sink *sink)
{
    return CONTAINER_OF(sink, struct query, sink);
}

static void dispose(void *state)
{
    buf_fini(&((struct query *)state)->sink.out);
}

/* ---- results ---- */

static void comma(struct buf *out)
{
    if (out->len > 0 && out->bytes[out->len - 1] != '[')
        buf_char(out, ',');
}

static void write_text(struct buf *out, struct str text)
{
    if (json_write_text(out, text) < 0)
        json_write_string(out, STR_LITERAL("?")); /* a name that is not UTF-8 */
}

static void on_begin(
    struct sink *sink, unsigned statement, const struct column *columns, unsigned count)
{
    struct query *query = of(sink);
    struct buf *out = &sink->out;

    query->begun = statement + 1;
    query->begin_at = out->len;
    query->bad_text = false;
    comma(out);
    buf_literal(out, "{\"results\":{\"columns\":[");
    for (unsigned i = 0; i < count; i++) {
        comma(out);
        write_text(out, columns[i].name);
    }
    buf_literal(out, "],\"rows\":[");
}

static void on_row(struct sink *sink, const struct value *values, unsigned count)
{
    struct query *query = of(sink);
    struct buf *out = &sink->out;

    if (query->bad_text)
        return;
    comma(out);
    buf_char(out, '[');
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            buf_char(out, ',');
        if (values[i].type == VALUE_BLOB) {
            buf_literal(out, "{\"base64\":\"");
            base64_encode(out, values[i].bytes.ptr, values[i].bytes.len, false);
            buf_literal(out, "\"}");
        } else if (values[i].type == VALUE_TEXT) {
            query->bad_text = query->bad_text || json_write_text(out, values[i].bytes) < 0;
        } else {
            values_write_json(out, &values[i], false);
        }
    }
    buf_char(out, ']');
}

/* Statements that were not run, or whose results are gone with the transaction. */
static void write_nulls(struct query *query, unsigned until)
{
    for (; query->begun < until; query->begun++) {
        comma(&query->sink.out);
        buf_literal(&query->sink.out, "null");
    }
}

static void write_failure(struct query *query, unsigned statement, struct str message)
{
    struct buf *out = &query->sink.out;

    /* What it has written so far; all of it where a deferred key fails at its end. */
    if (query->begun == statement + 1)
        buf_truncate(out, query->begin_at);
    else
        write_nulls(query, statement);
    query->begun = statement + 1;
    query->begin_at = out->len;
    comma(out);
    buf_literal(out, "{\"error\":");
    write_text(out, message);
    buf_char(out, '}');
}

static void on_end(struct sink *sink, unsigned statement, const struct statement_stats *stats)
{
    struct query *query = of(sink);
    struct buf *out = &sink->out;

    if (query->bad_text) {
        write_failure(query, statement, STR_LITERAL("a text in the result is not valid UTF-8"));
        return;
    }
    buf_literal(out, "],\"rows_read\":");
    buf_u64(out, stats->rows_read);
    buf_literal(out, ",\"rows_written\":");
    buf_u64(out, stats->rows_written);
    buf_literal(out, ",\"query_duration_ms\":");
    json_write_real(out, hrana_duration_ms(stats));
    buf_literal(out, "}}");
}

static void on_error(struct sink *sink, unsigned statement, const struct err *err, struct str sql)
{
    struct query *query = of(sink);

    (void)sql;
    write_failure(query, statement, hrana_error_of(err, &query->x->arena).message);
}

static void on_rewound(struct sink *sink)
{
    of(sink)->begun = 0;
}

static const struct sink_ops sink_ops = {
    .begin = on_begin,
    .row = on_row,
    .end = on_end,
    .error = on_error,
    .rewound = on_rewound,
};

/* What fails the whole: nothing of the transaction is left, so that the client can be told as if it
 * had not begun. */
static bool fails_all(const struct exchange *x)
{
    const struct request *request = &x->request;

    return request->err.code != ERR_NONE &&
           (hrana_forbids(x) || hrana_is_parse_error(&request->err) ||
               hrana_is_refusal(&request->err) || request->err.code == ERR_OUTCOME_UNKNOWN ||
               err_is_internal(request->err.code));
}

static void on_done(struct request *request)
{
    struct exchange *x = request->owner;
    struct query *query = x->state;
    struct buf *out = &query->sink.out;
    struct err err = ERR_INIT;

    if (fails_all(x) || (request->err.code != ERR_NONE && query->begun == 0)) {
        exchange_fail(x, &request->err);
        return;
    }
    write_nulls(query, request->statement_count);
    buf_char(out, ']');
    if (out->failed) {
        (void)err_set(&err, ERR_RESULT_TOO_LARGE, "the answer is larger than it may be");
        exchange_fail(x, &err);
        return;
    }
    buf_take(&x->response.body, out);
    x->response.body.limit_bytes = 0;
    x->response.status = 200;
    x->response.content_type = "application/json";
    exchange_finish(x);
}

/* ---- the body ---- */

/* Room for one more. NULL: error set. */
static void *grow(struct document *d, void *items, unsigned count, unsigned *capacity, size_t size,
    struct err *ret_err)
{
    unsigned larger = MAX(*capacity * 2, (unsigned)STATEMENTS_FIRST);
    void *grown;

    if (count < *capacity)
        return items;
    grown = arena_array(d->arena, larger, size);
    if (grown == NULL) {
        (void)err_set(ret_err, ERR_TOO_LARGE, "the request needs too much memory");
        return NULL;
    }
    if (count > 0)
        memcpy(grown, items, count * size);
    *capacity = larger;
    return grown;
}

/* {"base64": "..."}, behind its brace. */
static int read_blob(struct document *d, struct value *ret_value, struct err *ret_err)
{
    unsigned char *bytes = NULL;
    size_t len = 0;

    if (document_next(d) == TOKEN_KEY && str_is(d->text, "base64") &&
        document_next(d) == TOKEN_STRING) {
        bytes = arena_alloc(d->arena, base64_decoded_max(d->text.len));
        if (bytes == NULL)
            return err_set(ret_err, ERR_TOO_LARGE, "the request needs too much memory");
        if (base64_decode(d->text, bytes, &len) < 0 || document_next(d) != TOKEN_OBJECT_END)
            bytes = NULL;
    }
    if (d->token == TOKEN_INVALID)
        return document_error(d, ret_err);
    if (bytes == NULL)
        return err_set(ret_err, ERR_BAD_REQUEST, "an object can only be {\"base64\":\"...\"}");
    ret_value->type = VALUE_BLOB;
    ret_value->bytes = str_make((const char *)bytes, len);
    return 0;
}

static int read_params(struct document *d, struct statement_input *statement, struct err *ret_err)
{
    struct parameter *items = NULL;
    unsigned capacity = 0;
    unsigned count = 0;
    bool named = document_next(d) == TOKEN_OBJECT;

    if (d->token == TOKEN_NULL)
        return 0;
    if (!named && d->token != TOKEN_ARRAY)
        return d->token == TOKEN_INVALID
                   ? document_error(d, ret_err)
                   : err_set(ret_err, ERR_BAD_REQUEST, "'params' must be an array or an object");
    while (document_next(d) != TOKEN_ARRAY_END && d->token != TOKEN_OBJECT_END) {
        items = grow(d, items, count, &capacity, sizeof(*items), ret_err);
        if (items == NULL)
            return -1;
        items[count].name = str_make(NULL, 0);
        if (named && d->token == TOKEN_KEY) {
            items[count].name = d->text;
            (void)document_next(d);
            if (items[count].name.len == 0)
                return err_set(ret_err, ERR_BAD_REQUEST, "a parameter has an empty name");
        }
        if ((d->token == TOKEN_OBJECT ? read_blob(d, &items[count].value, ret_err)
                                      : values_read(d, &items[count].value, ret_err)) < 0)
            return -1;
        count++;
    }
    statement->parameters = items;
    statement->parameter_count = count;
    return 0;
}

static int read_statement(
    struct document *d, struct statement_input *statement, struct err *ret_err)
{
    *statement = (struct statement_input){.sql = str_make(NULL, 0)};
    if (d->token == TOKEN_STRING) {
        statement->sql = d->text;
        return 0;
    }
    if (d->token != TOKEN_OBJECT)
        return d->token == TOKEN_INVALID
                   ? document_error(d, ret_err)
                   : err_set(ret_err, ERR_BAD_REQUEST,
                         "a statement must be a string, or an object with 'q', not %s",
                         token_name(d->token));
    while (document_next(d) == TOKEN_KEY) {
        int rc = 0;

        if (str_is(d->text, "q")) {
            if (document_next(d) != TOKEN_STRING)
                rc = d->token == TOKEN_INVALID
                         ? document_error(d, ret_err)
                         : err_set(ret_err, ERR_BAD_REQUEST, "'q' must be a string");
            statement->sql = d->text;
        } else if (str_is(d->text, "params")) {
            rc = read_params(d, statement, ret_err);
        } else {
            (void)document_next(d);
            rc = document_skip(d, ret_err);
        }
        if (rc < 0)
            return -1;
    }
    if (d->token != TOKEN_OBJECT_END)
        return document_error(d, ret_err);
    return statement->sql.ptr == NULL ? err_set(ret_err, ERR_BAD_REQUEST, "'q' is missing") : 0;
}

/* One statement, and none that would leave or end the transaction around them. */
static int check_sql(struct str sql, struct err *ret_err)
{
    struct str rest = sql;
    struct sql_verb verb = sql_verb(sql);

    if (sql_is_transaction(&verb))
        return err_set(
            ret_err, ERR_BAD_REQUEST, "interactive transaction not allowed in HTTP queries");
    if (sql_cut(&rest).ptr == NULL) {
        (void)err_set(ret_err, ERR_BAD_REQUEST, "there is no statement in the SQL text");
        ret_err->native = HRANA_FAULT_NO_STATEMENT;
        return -1;
    }
    if (!sql_is_blank(rest)) {
        (void)err_set(ret_err, ERR_BAD_REQUEST, "the SQL text holds more than one statement");
        ret_err->native = HRANA_FAULT_MANY_STATEMENTS;
        return -1;
    }
    return 0;
}

static int read_statements(struct document *d, unsigned max, struct request *request, struct err *e)
{
    struct statement_input *items = NULL;
    unsigned capacity = 0;
    unsigned count = 0;

    if (document_next(d) != TOKEN_ARRAY)
        return d->token == TOKEN_INVALID
                   ? document_error(d, e)
                   : err_set(e, ERR_BAD_REQUEST, "'statements' must be an array");
    while (document_next(d) != TOKEN_ARRAY_END) {
        if (count == max)
            return err_set(e, ERR_TOO_LARGE, "more than %u statements in a request", max);
        items = grow(d, items, count, &capacity, sizeof(*items), e);
        if (items == NULL)
            return -1;
        if (read_statement(d, &items[count], e) < 0 || check_sql(items[count].sql, e) < 0)
            return -1;
        count++;
    }
    request->statements = items;
    request->statement_count = count;
    return 0;
}

static int read_body(struct exchange *x, struct err *ret_err)
{
    struct document d;
    bool found = false;

    if (document_init(&d, BODY_JSON, x->http.body, x->services->settings->max_json_depth, &x->arena,
            ret_err) < 0)
        return -1;
    if (document_next(&d) != TOKEN_OBJECT)
        return d.token == TOKEN_INVALID
                   ? document_error(&d, ret_err)
                   : err_set(ret_err, ERR_BAD_REQUEST, "the body must be an object");
    while (document_next(&d) == TOKEN_KEY) {
        bool wanted = str_is(d.text, "statements");

        if (wanted && found)
            return err_set(ret_err, ERR_BAD_REQUEST, "'statements' is there twice");
        found = found || wanted;
        if (!wanted)
            (void)document_next(&d);
        if ((wanted ? read_statements(&d, hrana_limits_of(x).steps, &x->request, ret_err)
                    : document_skip(&d, ret_err)) < 0)
            return -1;
    }
    if (d.token != TOKEN_OBJECT_END)
        return document_error(&d, ret_err);
    if (!found)
        return err_set(ret_err, ERR_BAD_REQUEST, "'statements' is missing");
    return document_end(&d, ret_err);
}

void hrana_post_root(struct exchange *x)
{
    struct query *query = arena_zalloc(&x->arena, sizeof(*query));
    struct err err = ERR_INIT;

    if (query == NULL)
        (void)err_set(&err, ERR_TOO_LARGE, "the request needs too much memory");
    if (query == NULL || read_body(x, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    query->x = x;
    query->sink.ops = &sink_ops;
    x->state = query;
    buf_take(&query->sink.out, &x->response.body);
    buf_reset(&query->sink.out, SIZE_MAX);
    query->sink.out.limit_bytes = HRANA_ANSWER_BYTES_MAX;
    (void)arena_on_end(&x->arena, dispose, query);
    buf_char(&query->sink.out, '[');
    x->request.kind = REQUEST_STATEMENTS;
    x->request.mode = MODE_TRANSACTION;
    x->request.single = true;
    x->request.sink = &query->sink;
    x->request.done = on_done;
    x->request.owner = x;
    if (x->request.statement_count == 0)
        on_done(&x->request);
    else
        exchange_run(x);
}
