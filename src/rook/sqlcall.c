#include "src/rook/sqlcall.h"

static json_t *statement_body(const struct statement *statement)
{
    const char *text =
        statement->sql.len == 0 ? "" : statement->sql.ptr; /* an empty buf's is NULL */
    json_t *sql = json_stringn(text, statement->sql.len);

    return sql != NULL ? json_pack("{s:o}", "sql", sql) : NULL;
}

static int not_utf8(const struct statement *statement)
{
    return statement->line > 0
               ? report(EXIT_USAGE, "the statement at line %u is not UTF-8", statement->line)
               : report(EXIT_USAGE, "the statement is not UTF-8");
}

int sql_query(struct client *client, const struct target *target, const struct statement *statement,
    json_t *params, struct answer *ret_answer)
{
    json_t *body = statement_body(statement);

    if (body == NULL) {
        json_decref(params);
        return not_utf8(statement);
    }
    if (params != NULL)
        (void)json_object_set_new(body, "params", params);
    return client_call(client, "POST", target->query_path, body, statement, 1, ret_answer);
}

int sql_transaction(struct client *client, const struct target *target,
    const struct statement *statements, size_t count, struct answer *ret_answer)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *one = statement_body(&statements[i]);
        if (one == NULL) {
            json_decref(list);
            return not_utf8(&statements[i]);
        }
        (void)json_array_append_new(list, one);
    }
    return client_call(client, "POST", target->batch_path,
        json_pack("{s:o, s:b}", "statements", list, "transaction", 1), statements, count,
        ret_answer);
}

static bool has_columns(const json_t *result)
{
    return json_array_size(json_object_get(result, "columns")) > 0;
}

void sql_show(const struct client *client, const json_t *result)
{
    if (has_columns(result) || !show_is_for_people(&client->show))
        show_result(&client->show, result);
}

void sql_remark(struct buf *out, const json_t *result)
{
    int64_t rows = (int64_t)json_array_size(json_object_get(result, "rows"));
    int64_t changes = json_int(result, "changes", json_int(result, "rowsWritten", 0));

    if (has_columns(result))
        buf_printf(out, "%lld row%s", (long long)rows, rows == 1 ? "" : "s");
    else if (changes > 0)
        buf_printf(out, "%lld row%s changed", (long long)changes, changes == 1 ? "" : "s");
    else
        buf_literal(out, "done");
}
