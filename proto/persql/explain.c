/* explain and validate: what a statement would do, found out by EXPLAIN, which runs nothing and
 * goes through the same guard as the statement itself. */
#include "proto/persql/persql.h"
#include "tenants/sql_text.h"

/* The sink of validate: takes rows and forgets them. */
struct validating {
    struct sink sink;
    size_t prefix_len; /* what was put before the client's text */
};

static size_t skip_blanks_and_comments(struct str sql)
{
    size_t at = 0;

    for (;;) {
        while (at < sql.len && strchr(" \t\r\n\f", sql.ptr[at]) != NULL && sql.ptr[at] != '\0')
            at++;
        if (at + 1 < sql.len && sql.ptr[at] == '-' && sql.ptr[at + 1] == '-') {
            while (at < sql.len && sql.ptr[at] != '\n')
                at++;
        } else if (at + 1 < sql.len && sql.ptr[at] == '/' && sql.ptr[at + 1] == '*') {
            at += 2;
            while (at < sql.len && !(sql.ptr[at - 1] == '*' && sql.ptr[at] == '/'))
                at++;
            at += at < sql.len;
        } else {
            return at;
        }
    }
}

/* Reads the body and puts `prefix` before its statement, unless it explains already. False:
 * answered. */
static bool prepare(struct exchange *x, const char *prefix, size_t *ret_prefix_len)
{
    struct statement_input *statement;
    struct str sql;
    size_t first;
    char *text;

    if (!persql_read_single(x))
        return false;
    sql = x->request.statements[0].sql;
    first = skip_blanks_and_comments(sql);
    *ret_prefix_len = 0;
    if (str_starts_with_nocase(str_make(sql.ptr + first, sql.len - first), "explain"))
        return true;
    *ret_prefix_len = strlen(prefix);
    statement = arena_alloc(&x->arena, sizeof(*statement));
    text = arena_alloc(&x->arena, *ret_prefix_len + sql.len);
    if (statement == NULL || text == NULL) {
        persql_fail(x, ERR_TOO_LARGE, "the request needs too much memory");
        return false;
    }
    memcpy(text, prefix, *ret_prefix_len);
    memcpy(text + *ret_prefix_len, sql.ptr, sql.len);
    *statement = x->request.statements[0];
    statement->sql = str_make(text, *ret_prefix_len + sql.len);
    x->request.statements = statement;
    return true;
}

void persql_explain(struct exchange *x)
{
    size_t prefix_len;

    if (prepare(x, "EXPLAIN QUERY PLAN ", &prefix_len))
        persql_run_query(x, prefix_len);
}

/* ---- validate ---- */

static void ignore_begin(
    struct sink *sink, unsigned statement, const struct column *columns, unsigned count)
{
}

static void ignore_row(struct sink *sink, const struct value *values, unsigned count)
{
}

static void ignore_end(struct sink *sink, unsigned statement, const struct statement_stats *stats)
{
}

static void ignore_error(
    struct sink *sink, unsigned statement, const struct err *err, struct str sql)
{
}

static void on_validated(struct request *request)
{
    struct exchange *x = request->owner;
    const struct validating *validating = x->state;
    bool valid = request->err.code == ERR_NONE;
    struct encoder e;

    persql_unprefix(x, validating->prefix_len);
    if (!valid && !persql_is_verdict(&request->err)) {
        exchange_fail(x, &request->err);
        return;
    }
    persql_begin(x, &e);
    encoder_object(&e);
    encoder_key(&e, "ok");
    encoder_bool(&e, valid);
    if (!valid)
        persql_error_members(&e, &x->arena, &request->err, request->statements[0].sql);
    encoder_end(&e);
    persql_finish(x, &e);
}

void persql_validate(struct exchange *x)
{
    static const struct sink_ops ignore = {
        .begin = ignore_begin, .row = ignore_row, .end = ignore_end, .error = ignore_error};
    struct validating *validating;
    struct sql_verb verb;
    size_t prefix_len;

    if (!prepare(x, "EXPLAIN ", &prefix_len))
        return;
    validating = persql_zalloc(x, sizeof(*validating));
    if (validating == NULL)
        return;
    validating->sink.ops = &ignore;
    validating->prefix_len = prefix_len;
    x->state = validating;
    x->request.sink = &validating->sink;
    x->request.done = on_validated;
    x->request.owner = x;
    verb = sql_verb(str_make(x->request.statements[0].sql.ptr + prefix_len,
        x->request.statements[0].sql.len - prefix_len));
    if (sql_is_transaction(&verb)) { /* EXPLAIN takes these; a request does not */
        (void)err_set(&x->request.err, ERR_TRANSACTION_WORDS,
            "BEGIN, COMMIT and the like need a session; send the statements as one batch with "
            "\"transaction\": true instead");
        on_validated(&x->request);
        return;
    }
    exchange_run(x);
}

/* Queries are not logged yet; the route is there so that clients get a clear answer. */
void persql_query_log(struct exchange *x)
{
    persql_fail(x, ERR_NOT_IMPLEMENTED, "the query log is not kept yet");
}
