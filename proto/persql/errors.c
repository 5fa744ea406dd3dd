/* The PerSQL shape of errors; the only place that knows its clients' words for them. */
#include "proto/persql/persql.h"

struct str persql_credentials(struct exchange *x)
{
    struct str value = str_trim(x->http.authorization);

    if (!str_starts_with_nocase(value, "bearer "))
        return str_make(NULL, 0);
    return str_trim(str_make(value.ptr + 7, value.len - 7));
}

bool persql_is_verdict(const struct err *err)
{
    switch ((int)err->code) {
    case ERR_SQL:
    case ERR_MANY_STATEMENTS:
    case ERR_TRANSACTION_WORDS:
    case ERR_ROLE_FORBIDS:
    case ERR_TABLE_SCOPE:
    case ERR_GUARD:
    case ERR_TOO_LARGE:
        return true;
    default:
        return false;
    }
}

bool persql_is_statement_error(const struct err *err)
{
    switch ((int)err->code) {
    case ERR_BUDGET_TIME:
    case ERR_BUDGET_STEPS:
    case ERR_BUDGET_MEMORY:
    case ERR_BUDGET_ROWS:
    case ERR_RESULT_TOO_LARGE:
    case ERR_QUOTA_EXCEEDED:
    case ERR_BUSY:
        return true;
    default:
        return persql_is_verdict(err);
    }
}

static const char *budget_word(const struct err *err)
{
    switch ((int)err->code) {
    case ERR_BUDGET_TIME:
        return "time";
    case ERR_BUDGET_STEPS:
        return "steps";
    case ERR_BUDGET_MEMORY:
        return "memory";
    case ERR_BUDGET_ROWS:
        return "rows";
    default:
        return NULL;
    }
}

static void member(struct encoder *e, const char *key, struct str text)
{
    if (text.len == 0)
        return;
    encoder_key(e, key);
    encoder_string(e, text);
}

void persql_error_detail(struct encoder *e, const struct sql_error *detail)
{
    encoder_object(e);
    encoder_key(e, "kind");
    encoder_cstring(e, sql_error_kind_name(detail->kind));
    encoder_key(e, "message");
    encoder_string(e, detail->message);
    member(e, "table", detail->table);
    member(e, "column", detail->column);
    if (detail->column_count > 0) {
        encoder_key(e, "columns");
        encoder_array(e);
        for (size_t i = 0; i < detail->column_count; i++) {
            encoder_object(e);
            encoder_key(e, "table");
            encoder_string(e, detail->columns[i].table);
            encoder_key(e, "column");
            encoder_string(e, detail->columns[i].column);
            encoder_end(e);
        }
        encoder_end(e);
    }
    member(e, "constraint", detail->constraint);
    member(e, "near", detail->near);
    member(e, "hint", detail->hint);
    if (detail->offset >= 0) {
        encoder_key(e, "offset");
        encoder_integer(e, detail->offset);
    }
    encoder_end(e);
}

static const char *error_code(const struct err *err)
{
    return budget_word(err) != NULL     ? "budget_exceeded"
           : err_is_internal(err->code) ? "internal"
                                        : err_code_name(err->code);
}

static struct str error_message(const struct err *err)
{
    /* The owner of what failed has logged it; paths and the like are not the client's. */
    return err_is_internal(err->code)
               ? STR_LITERAL("internal error; the server's log has it under this request id")
               : str_from(err->msg);
}

static void write_members(
    struct encoder *e, struct arena *arena, const struct err *err, struct str sql, const char *code)
{
    const char *budget = budget_word(err);
    struct sql_error detail;

    encoder_key(e, "error");
    encoder_string(e, error_message(err));
    encoder_key(e, "code");
    encoder_cstring(e, code);
    if (budget != NULL) {
        encoder_key(e, "budget");
        encoder_cstring(e, budget);
    }
    if (sql.ptr == NULL || !persql_is_statement_error(err))
        return;
    sql_error_describe(arena, err, sql, &detail);
    encoder_key(e, "errorDetail");
    persql_error_detail(e, &detail);
}

void persql_error_members(
    struct encoder *e, struct arena *arena, const struct err *err, struct str sql)
{
    write_members(e, arena, err, sql, error_code(err));
}

static void add_headers(struct exchange *x, const struct err *err)
{
    unsigned retry_after = exchange_retry_after(err);

    if (retry_after > 0)
        http_response_header(
            &x->response, "Retry-After", str_from(arena_printf(&x->arena, "%u", retry_after)));
    if (x->response.status == 401)
        http_response_header(&x->response, "WWW-Authenticate",
            err->code == ERR_TOKEN_EXPIRED
                ? STR_LITERAL("Bearer error=\"invalid_token\", error_description=\"expired\"")
                : STR_LITERAL("Bearer"));
}

void persql_error(struct exchange *x, const struct err *err)
{
    struct encoder e;
    struct str sql = {.ptr = NULL};
    unsigned failed = x->request.failed_index;

    if (x->request.kind == REQUEST_STATEMENTS && x->request.err.code != ERR_NONE &&
        failed < x->request.statement_count)
        sql = x->request.statements[failed].sql;
    add_headers(x, err);
    encoder_init(&e, &x->response.body, persql_format(x));
    x->response.content_type = persql_content_type(e.format);
    encoder_object(&e);
    encoder_key(&e, "success");
    encoder_bool(&e, false);
    if (err->code == ERR_UNAUTHORIZED && x->load.token.len > 0)
        write_members(&e, &x->arena, err, sql, "invalid_token"); /* shown, but not good */
    else
        persql_error_members(&e, &x->arena, err, sql);
    encoder_key(&e, "requestId");
    encoder_string(&e, x->http.request_id);
    encoder_end(&e);
}
