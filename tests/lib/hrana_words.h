/* Hrana's requests in words: what tests compare. */
#ifndef TESTS_LIB_HRANA_WORDS_H
#define TESTS_LIB_HRANA_WORDS_H

#include <inttypes.h>

#include "proto/hrana/model.h"
#include "tenants/base/buf.h"

UNUSED static void say_text(struct buf *out, struct str text)
{
    if (text.ptr == NULL) {
        buf_cstr(out, "-");
        return;
    }
    buf_char(out, '\'');
    for (size_t i = 0; i < MIN(text.len, (size_t)20); i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < 0x20 || c >= 0x7f)
            buf_printf(out, "\\%02x", c);
        else
            buf_char(out, (char)c);
    }
    buf_char(out, '\'');
    if (text.len > 20)
        buf_printf(out, "(%zu)", text.len);
}

UNUSED static void say_value(struct buf *out, const struct value *value)
{
    switch (value->type) {
    case VALUE_INTEGER:
        buf_printf(out, "%" PRId64, value->integer);
        return;
    case VALUE_REAL:
        buf_printf(out, "%.1f", value->real);
        return;
    case VALUE_TEXT:
        say_text(out, value->bytes);
        return;
    case VALUE_BLOB:
        buf_char(out, 'x');
        say_text(out, value->bytes);
        return;
    case VALUE_NULL:
    default:
        buf_cstr(out, "null");
        return;
    }
}

UNUSED static void say_sql(struct buf *out, const struct hrana_sql *sql)
{
    say_text(out, sql->text);
    if (sql->has_id)
        buf_printf(out, "#%d", sql->id);
}

UNUSED static void say_stmt(struct buf *out, const struct hrana_stmt *stmt)
{
    say_sql(out, &stmt->sql);
    buf_char(out, '(');
    for (unsigned i = 0; i < stmt->arg_count; i++) {
        buf_cstr(out, i > 0 ? "," : "");
        say_value(out, &stmt->args[i].value);
    }
    for (unsigned i = 0; i < stmt->named_arg_count; i++) {
        buf_cstr(out, i > 0 ? "," : "");
        say_text(out, stmt->named_args[i].name);
        buf_char(out, '=');
        say_value(out, &stmt->named_args[i].value);
    }
    buf_cstr(out, stmt->want_rows ? ")" : ")!");
}

UNUSED static void say_condition(struct buf *out, const struct condition *condition)
{
    static const char *const names[] = {"ok", "error", "not", "and", "or", "autocommit"};

    buf_cstr(out, names[condition->type]);
    if (condition->type == CONDITION_OK || condition->type == CONDITION_ERROR)
        buf_printf(out, "%u", condition->step);
    if (condition->type < CONDITION_NOT || condition->type > CONDITION_OR)
        return;
    buf_char(out, '(');
    for (const struct condition *member = condition->first; member != NULL; member = member->next) {
        buf_cstr(out, member == condition->first ? "" : ",");
        say_condition(out, member);
    }
    buf_char(out, ')');
}

UNUSED static void say_batch(struct buf *out, const struct hrana_batch *batch)
{
    buf_char(out, '[');
    for (unsigned i = 0; i < batch->step_count; i++) {
        buf_cstr(out, i > 0 ? "; " : "");
        if (batch->steps[i].condition != NULL) {
            say_condition(out, batch->steps[i].condition);
            buf_char(out, '?');
        }
        say_stmt(out, &batch->steps[i].stmt);
    }
    buf_char(out, ']');
}

UNUSED static void say_request(struct buf *out, const struct hrana_request *request)
{
    static const char *const names[] = {[HRANA_CLOSE] = "close",
        [HRANA_EXECUTE] = "execute",
        [HRANA_BATCH] = "batch",
        [HRANA_SEQUENCE] = "sequence",
        [HRANA_DESCRIBE] = "describe",
        [HRANA_STORE_SQL] = "store",
        [HRANA_CLOSE_SQL] = "unstore",
        [HRANA_GET_AUTOCOMMIT] = "autocommit",
        [HRANA_OPEN_STREAM] = "open",
        [HRANA_OPEN_CURSOR] = "open_cursor",
        [HRANA_CLOSE_CURSOR] = "close_cursor",
        [HRANA_FETCH_CURSOR] = "fetch"};

    buf_printf(out, "%s s%d c%d m%u ", names[request->type], request->stream_id, request->cursor_id,
        request->max_count);
    if (request->type == HRANA_EXECUTE)
        say_stmt(out, &request->stmt);
    else if (request->type == HRANA_BATCH || request->type == HRANA_OPEN_CURSOR)
        say_batch(out, &request->batch);
    else
        say_sql(out, &request->sql);
}

#endif
