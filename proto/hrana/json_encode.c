/* Answers as JSON. Nothing is kept besides the bytes: whether a comma is due is seen in them. */
#include "proto/hrana/encode.h"
#include "proto/json.h"
#include "tenants/base/base64.h"

/* A comma is due unless something was just opened. */
static void comma(struct buf *out)
{
    char last = out->len == 0 ? '[' : out->bytes[out->len - 1];

    if (last != '[' && last != '{')
        buf_char(out, ',');
}

/* Names of columns and messages need not be UTF-8: what is not is replaced. */
static void write_text(struct buf *out, struct str text)
{
    if (json_write_text(out, text) == 0)
        return;
    buf_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c >= 0x80)
            buf_literal(out, "\\ufffd");
        else if (c < 0x20 || c == '"' || c == '\\')
            buf_printf(out, "\\u%04x", c);
        else
            buf_char(out, (char)c);
    }
    buf_char(out, '"');
}

static void write_text_or_null(struct buf *out, struct str text)
{
    if (text.ptr == NULL)
        buf_literal(out, "null");
    else
        write_text(out, text);
}

static void write_error(struct buf *out, const struct hrana_error *error)
{
    buf_literal(out, "{\"message\":");
    write_text(out, error->message);
    buf_literal(out, ",\"code\":\"");
    buf_cstr(out, error->code);
    buf_literal(out, "\"}");
}

static void write_baton(struct buf *out, struct str baton)
{
    buf_literal(out, "\"baton\":");
    write_text_or_null(out, baton);
    buf_literal(out, ",\"base_url\":null");
}

/* ---- values ---- */

static int write_value(struct buf *out, const struct value *value)
{
    switch (value->type) {
    case VALUE_INTEGER:
        buf_literal(out, "{\"type\":\"integer\",\"value\":\"");
        json_write_integer(out, value->integer);
        buf_literal(out, "\"}");
        return 0;
    case VALUE_REAL:
        buf_literal(out, "{\"type\":\"float\",\"value\":");
        json_write_real(out, value->real);
        buf_char(out, '}');
        return 0;
    case VALUE_TEXT:
        buf_literal(out, "{\"type\":\"text\",\"value\":");
        if (json_write_text(out, value->bytes) < 0)
            return -1;
        buf_char(out, '}');
        return 0;
    case VALUE_BLOB:
        buf_literal(out, "{\"type\":\"blob\",\"base64\":\"");
        base64_encode(out, value->bytes.ptr, value->bytes.len, false);
        buf_literal(out, "\"}");
        return 0;
    case VALUE_NULL:
    default:
        buf_literal(out, "{\"type\":\"null\"}");
        return 0;
    }
}

static int write_values(struct buf *out, const struct value *values, unsigned count)
{
    buf_char(out, '[');
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            buf_char(out, ',');
        if (write_value(out, &values[i]) < 0)
            return -1;
    }
    buf_char(out, ']');
    return 0;
}

static void write_columns(struct buf *out, const struct column *columns, unsigned count)
{
    buf_char(out, '[');
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            buf_char(out, ',');
        buf_literal(out, "{\"name\":");
        write_text(out, columns[i].name);
        buf_literal(out, ",\"decltype\":");
        write_text_or_null(out, columns[i].decltype);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

static void write_effects(struct buf *out, const struct statement_stats *stats)
{
    buf_literal(out, "\"affected_row_count\":");
    buf_u64(out, stats->is_write ? stats->changes : 0);
    buf_literal(out, ",\"last_insert_rowid\":");
    if (stats->is_insert) {
        buf_char(out, '"');
        json_write_integer(out, stats->last_insert_rowid);
        buf_char(out, '"');
    } else {
        buf_literal(out, "null");
    }
}

/* ---- pipelines, messages ---- */

static void pipeline_begin(struct hrana_encoder *e)
{
    buf_literal(e->out, "{\"results\":[");
}

static void pipeline_end(struct hrana_encoder *e, struct str baton)
{
    buf_literal(e->out, "],");
    write_baton(e->out, baton);
    buf_char(e->out, '}');
}

static void response_begin(struct hrana_encoder *e, enum hrana_request_type type)
{
    struct buf *out = e->out;
    bool has_result = type == HRANA_EXECUTE || type == HRANA_BATCH || type == HRANA_DESCRIBE;

    if (e->envelope == HRANA_HTTP_V1) {
        buf_literal(out, "{\"result\":");
        return;
    }
    if (e->envelope == HRANA_WEBSOCKET) {
        buf_literal(out, "{\"type\":\"response_ok\",\"request_id\":");
        json_write_integer(out, e->request_id);
        buf_literal(out, ",\"response\":{\"type\":\"");
    } else {
        comma(out);
        buf_literal(out, "{\"type\":\"ok\",\"response\":{\"type\":\"");
    }
    buf_cstr(out, hrana_request_name(type, e->envelope == HRANA_WEBSOCKET));
    buf_char(out, '"');
    if (has_result)
        buf_literal(out, ",\"result\":");
}

static void response_end(struct hrana_encoder *e, enum hrana_request_type type)
{
    if (e->envelope == HRANA_HTTP_V1)
        buf_char(e->out, '}');
    else
        buf_literal(e->out, "}}");
}

static void response_error(struct hrana_encoder *e, const struct hrana_error *error)
{
    struct buf *out = e->out;

    if (e->envelope == HRANA_WEBSOCKET) {
        buf_literal(out, "{\"type\":\"response_error\",\"request_id\":");
        json_write_integer(out, e->request_id);
        buf_literal(out, ",\"error\":");
    } else {
        comma(out);
        buf_literal(out, "{\"type\":\"error\",\"error\":");
    }
    write_error(out, error);
    buf_char(out, '}');
}

static void hello_ok(struct hrana_encoder *e)
{
    buf_literal(e->out, "{\"type\":\"hello_ok\"}");
}

static void hello_error(struct hrana_encoder *e, const struct hrana_error *error)
{
    buf_literal(e->out, "{\"type\":\"hello_error\",\"error\":");
    write_error(e->out, error);
    buf_char(e->out, '}');
}

/* ---- results ---- */

static void stmt_begin(struct hrana_encoder *e, const struct column *columns, unsigned count)
{
    char last = e->out->len == 0 ? ':' : e->out->bytes[e->out->len - 1];

    if (last != ':') /* of a batch's step */
        comma(e->out);
    buf_literal(e->out, "{\"cols\":");
    write_columns(e->out, columns, count);
    buf_literal(e->out, ",\"rows\":[");
}

static int row(struct hrana_encoder *e, const struct value *values, unsigned count)
{
    size_t before = e->out->len;

    comma(e->out);
    if (likely(write_values(e->out, values, count) == 0))
        return 0;
    buf_truncate(e->out, before);
    return -1;
}

static void stmt_end(struct hrana_encoder *e, const struct statement_stats *stats)
{
    struct buf *out = e->out;

    buf_literal(out, "],");
    write_effects(out, stats);
    buf_literal(out, ",\"rows_read\":");
    buf_u64(out, stats->rows_read);
    buf_literal(out, ",\"rows_written\":");
    buf_u64(out, stats->rows_written);
    buf_literal(out, ",\"query_duration_ms\":");
    json_write_real(out, hrana_duration_ms(stats));
    buf_char(out, '}');
}

static void batch_begin(struct hrana_encoder *e)
{
    buf_literal(e->out, "{\"step_results\":[");
}

static void step_skipped(struct hrana_encoder *e)
{
    comma(e->out);
    buf_literal(e->out, "null");
}

static void batch_end(
    struct hrana_encoder *e, const struct hrana_step_error *errors, unsigned step_count)
{
    buf_literal(e->out, "],\"step_errors\":[");
    for (unsigned i = 0; i < step_count; i++) {
        if (i > 0)
            buf_char(e->out, ',');
        if (errors[i].is_set)
            write_error(e->out, &errors[i].error);
        else
            buf_literal(e->out, "null");
    }
    buf_literal(e->out, "]}");
}

static void described(struct hrana_encoder *e, const struct statement_description *description)
{
    struct buf *out = e->out;

    buf_literal(out, "{\"params\":[");
    for (unsigned i = 0; i < description->parameter_count; i++) {
        buf_cstr(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        write_text_or_null(out, description->parameters[i]);
        buf_char(out, '}');
    }
    buf_literal(out, "],\"cols\":");
    write_columns(out, description->columns, description->column_count);
    buf_literal(out, ",\"is_explain\":");
    buf_cstr(out, description->is_explain ? "true" : "false");
    buf_literal(out, ",\"is_readonly\":");
    buf_cstr(out, description->is_readonly ? "true}" : "false}");
}

static void autocommit(struct hrana_encoder *e, bool is_autocommit)
{
    buf_literal(e->out, ",\"is_autocommit\":");
    buf_cstr(e->out, is_autocommit ? "true" : "false");
}

/* ---- cursors ---- */

static void cursor_begin(struct hrana_encoder *e, struct str baton)
{
    buf_char(e->out, '{');
    write_baton(e->out, baton);
    buf_literal(e->out, "}\n");
}

static void begin_entry(struct hrana_encoder *e, const char *type)
{
    if (e->envelope == HRANA_WEBSOCKET && e->out->len > 0)
        buf_char(e->out, ',');
    buf_literal(e->out, "{\"type\":\"");
    buf_cstr(e->out, type);
    buf_char(e->out, '"');
}

static void end_entry(struct hrana_encoder *e)
{
    buf_char(e->out, '}');
    if (e->envelope != HRANA_WEBSOCKET)
        buf_char(e->out, '\n');
}

static void entry_step_begin(
    struct hrana_encoder *e, unsigned step, const struct column *columns, unsigned count)
{
    begin_entry(e, "step_begin");
    buf_literal(e->out, ",\"step\":");
    buf_u64(e->out, step);
    buf_literal(e->out, ",\"cols\":");
    write_columns(e->out, columns, count);
    end_entry(e);
}

static int entry_row(struct hrana_encoder *e, const struct value *values, unsigned count)
{
    size_t before = e->out->len;

    begin_entry(e, "row");
    buf_literal(e->out, ",\"row\":");
    if (write_values(e->out, values, count) < 0) {
        buf_truncate(e->out, before);
        return -1;
    }
    end_entry(e);
    return 0;
}

static void entry_step_end(struct hrana_encoder *e, const struct statement_stats *stats)
{
    begin_entry(e, "step_end");
    buf_char(e->out, ',');
    write_effects(e->out, stats);
    end_entry(e);
}

static void entry_step_error(
    struct hrana_encoder *e, unsigned step, const struct hrana_error *error)
{
    begin_entry(e, "step_error");
    buf_literal(e->out, ",\"step\":");
    buf_u64(e->out, step);
    buf_literal(e->out, ",\"error\":");
    write_error(e->out, error);
    end_entry(e);
}

static void entry_error(struct hrana_encoder *e, const struct hrana_error *error)
{
    begin_entry(e, "error");
    buf_literal(e->out, ",\"error\":");
    write_error(e->out, error);
    end_entry(e);
}

static void fetch_begin(struct hrana_encoder *e)
{
    buf_literal(e->out, ",\"entries\":[");
}

static void fetch_end(struct hrana_encoder *e, bool done)
{
    buf_literal(e->out, "],\"done\":");
    buf_cstr(e->out, done ? "true" : "false");
}

const struct hrana_encoder_ops hrana_json_ops = {
    .content_type = "application/json",
    .cursor_content_type = "text/plain",
    .pipeline_begin = pipeline_begin,
    .pipeline_end = pipeline_end,
    .response_begin = response_begin,
    .response_end = response_end,
    .response_error = response_error,
    .stmt_begin = stmt_begin,
    .row = row,
    .stmt_end = stmt_end,
    .batch_begin = batch_begin,
    .step_skipped = step_skipped,
    .batch_end = batch_end,
    .described = described,
    .autocommit = autocommit,
    .cursor_begin = cursor_begin,
    .entry_step_begin = entry_step_begin,
    .entry_row = entry_row,
    .entry_step_end = entry_step_end,
    .entry_step_error = entry_step_error,
    .entry_error = entry_error,
    .fetch_begin = fetch_begin,
    .fetch_end = fetch_end,
    .hello_ok = hello_ok,
    .hello_error = hello_error,
};
