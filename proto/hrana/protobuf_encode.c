/* Answers as protobuf. What ends with the call that begins it is written at its exact size; a
 * message that stays open has a length of five bytes, OPEN until it ends. */
#include <math.h>

#include "proto/hrana/protobuf.h"
#include "proto/hrana/protobuf_wire.h"

#define LENGTH_BYTES 5

/* The length of an open message: longer than anything. */
static const char open_length[LENGTH_BYTES] = {'\xff', '\xff', '\xff', '\xff', '\x7f'};

/* ---- open messages ---- */

static void open_message(struct hrana_encoder *e, unsigned number)
{
    wire_put_tag(e->out, number, WIRE_BYTES);
    if (e->depth < HRANA_ENCODER_DEPTH)
        e->open[e->depth++] = e->out->len;
    buf_append(e->out, open_length, LENGTH_BYTES);
}

static void close_message(struct hrana_encoder *e)
{
    struct buf *out = e->out;
    size_t at;
    size_t len;

    /* Where something did not fit, nobody will read it. */
    if (e->depth == 0 || out->failed)
        return;
    at = e->open[--e->depth];
    len = out->len - at - LENGTH_BYTES;
    for (unsigned i = 0; i < LENGTH_BYTES; i++, len >>= 7)
        out->bytes[at + i] = (char)((len & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
}

/* The outermost open message began before whatever was cut off; those in it that reach beyond the
 * end of `out` are open again. */
static void rewound(struct hrana_encoder *e)
{
    char *bytes = e->out->bytes;
    struct wire_reader r;
    struct err ignored = ERR_INIT;
    size_t end = e->out->len;

    if (e->depth == 0 || e->open[0] + LENGTH_BYTES > end) {
        e->depth = 0;
        return;
    }
    e->depth = 1;
    wire_reader_init(&r, str_make(bytes, end), &ignored);
    r.at += e->open[0] + LENGTH_BYTES;
    while (r.at < r.end && e->depth < HRANA_ENCODER_DEPTH) {
        struct wire_field field;
        const unsigned char *tag = r.at;

        if (wire_next(&r, &field) > 0)
            continue;
        /* It is longer than what is left: only open messages are. */
        if ((size_t)(r.end - tag) < 1 + LENGTH_BYTES)
            return;
        e->open[e->depth] = (size_t)(tag + 1 - r.body);
        memcpy(bytes + e->open[e->depth], open_length, LENGTH_BYTES);
        e->depth++;
        r.at = tag + 1 + LENGTH_BYTES;
    }
}

/* ---- texts ---- */

/* Names of columns and messages need not be UTF-8: what is not is replaced by U+FFFD. */
static size_t text_size(struct str text)
{
    size_t size = text.len;

    if (likely(str_is_utf8(text)))
        return size;
    for (size_t i = 0; i < text.len; i++)
        size += (unsigned char)text.ptr[i] >= 0x80 ? 2 : 0;
    return size;
}

/* A field of `size` bytes, from text_size(). */
static void put_text(struct buf *out, unsigned number, struct str text, size_t size)
{
    wire_put_tag(out, number, WIRE_BYTES);
    wire_put_varint(out, size);
    if (size == text.len) {
        buf_str(out, text);
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] >= 0x80)
            buf_literal(out, "\xef\xbf\xbd");
        else
            buf_char(out, text.ptr[i]);
    }
}

/* Of a field with bytes. */
static size_t field_size(size_t len)
{
    return 1 + wire_varint_size(len) + len;
}

static void put_number(struct buf *out, unsigned number, uint64_t value)
{
    wire_put_tag(out, number, WIRE_VARINT);
    wire_put_varint(out, value);
}

/* As proto3 has it: a number that is 0 is left out. */
static void put_nonzero(struct buf *out, unsigned number, uint64_t value)
{
    if (value != 0)
        put_number(out, number, value);
}

static size_t nonzero_size(uint64_t value)
{
    return value == 0 ? 0 : 1 + wire_varint_size(value);
}

/* int32: negative ones are written with 64 bits. */
static uint64_t int32_bits(int32_t value)
{
    return (uint64_t)(int64_t)value;
}

/* ---- errors, columns, rows ---- */

static size_t error_size(const struct hrana_error *error)
{
    size_t message = text_size(error->message);

    return (message == 0 ? 0 : field_size(message)) + field_size(strlen(error->code));
}

static void put_error(struct buf *out, unsigned number, const struct hrana_error *error)
{
    size_t message = text_size(error->message);
    struct str code = str_from(error->code);

    wire_put_tag(out, number, WIRE_BYTES);
    wire_put_varint(out, error_size(error));
    if (message > 0)
        put_text(out, 1, error->message, message);
    put_text(out, 2, code, code.len);
}

static size_t column_size(const struct column *column, bool names_are_optional)
{
    size_t name = text_size(column->name);

    return (name == 0 && !names_are_optional ? 0 : field_size(name)) +
           (column->decltype.ptr == NULL ? 0 : field_size(text_size(column->decltype)));
}

/* Col, or DescribeCol, whose name is not optional and so is left out when it is empty. */
static void put_column(
    struct buf *out, unsigned number, const struct column *column, bool names_are_optional)
{
    size_t name = text_size(column->name);

    wire_put_tag(out, number, WIRE_BYTES);
    wire_put_varint(out, column_size(column, names_are_optional));
    if (name > 0 || names_are_optional)
        put_text(out, 1, column->name, name);
    if (column->decltype.ptr != NULL)
        put_text(out, 2, column->decltype, text_size(column->decltype));
}

static size_t value_size(const struct value *value)
{
    switch (value->type) {
    case VALUE_INTEGER:
        return 1 + wire_varint_size(wire_zigzag(value->integer));
    case VALUE_REAL:
        return 1 + sizeof(double);
    case VALUE_TEXT:
    case VALUE_BLOB:
        return field_size(value->bytes.len);
    case VALUE_NULL:
    default:
        return 2;
    }
}

static void put_value(struct buf *out, const struct value *value)
{
    wire_put_tag(out, 1, WIRE_BYTES);
    wire_put_varint(out, value_size(value));
    switch (value->type) {
    case VALUE_INTEGER:
        put_number(out, 2, wire_zigzag(value->integer));
        return;
    case VALUE_REAL:
        wire_put_tag(out, 3, WIRE_FIXED64);
        wire_put_double(out, value->real);
        return;
    case VALUE_TEXT:
    case VALUE_BLOB:
        wire_put_tag(out, value->type == VALUE_TEXT ? 4 : 5, WIRE_BYTES);
        wire_put_varint(out, value->bytes.len);
        buf_str(out, value->bytes);
        return;
    case VALUE_NULL:
    default:
        wire_put_tag(out, 1, WIRE_BYTES);
        wire_put_varint(out, 0);
        return;
    }
}

/* Of a Row. -1: a text is not UTF-8. */
static int row_size(const struct value *values, unsigned count, size_t *ret_size)
{
    size_t size = 0;

    for (unsigned i = 0; i < count; i++) {
        if (values[i].type == VALUE_TEXT && unlikely(!str_is_utf8(values[i].bytes)))
            return -1;
        size += field_size(value_size(&values[i]));
    }
    *ret_size = size;
    return 0;
}

static void put_row(
    struct buf *out, unsigned number, const struct value *values, unsigned count, size_t size)
{
    wire_put_tag(out, number, WIRE_BYTES);
    wire_put_varint(out, size);
    for (unsigned i = 0; i < count; i++)
        put_value(out, &values[i]);
}

/* ---- pipelines, messages ---- */

static void pipeline_begin(struct hrana_encoder *e)
{
    e->depth = 0;
}

static void put_baton(struct hrana_encoder *e, struct str baton)
{
    if (baton.ptr != NULL)
        put_text(e->out, 1, baton, baton.len);
}

static void pipeline_end(struct hrana_encoder *e, struct str baton)
{
    put_baton(e, baton);
}

static void response_begin(struct hrana_encoder *e, enum hrana_request_type type)
{
    e->depth = 0;
    open_message(e, 3); /* results of the pipeline, response_ok of the message */
    if (e->envelope == HRANA_WEBSOCKET)
        put_nonzero(e->out, 1, int32_bits(e->request_id));
    else
        open_message(e, 1); /* ok */
    open_message(e, hrana_protobuf_field(type, e->envelope == HRANA_WEBSOCKET));
}

static void response_end(struct hrana_encoder *e, enum hrana_request_type type)
{
    (void)type;
    while (e->depth > 0 && !e->out->failed)
        close_message(e);
}

static void response_error(struct hrana_encoder *e, const struct hrana_error *error)
{
    struct buf *out = e->out;
    size_t size = field_size(error_size(error));

    e->depth = 0;
    if (e->envelope == HRANA_WEBSOCKET) {
        wire_put_tag(out, 4, WIRE_BYTES);
        wire_put_varint(out, nonzero_size(int32_bits(e->request_id)) + size);
        put_nonzero(out, 1, int32_bits(e->request_id));
    } else {
        wire_put_tag(out, 3, WIRE_BYTES);
        wire_put_varint(out, size);
    }
    put_error(out, 2, error);
}

static void hello_ok(struct hrana_encoder *e)
{
    wire_put_tag(e->out, 1, WIRE_BYTES);
    wire_put_varint(e->out, 0);
}

static void hello_error(struct hrana_encoder *e, const struct hrana_error *error)
{
    wire_put_tag(e->out, 2, WIRE_BYTES);
    wire_put_varint(e->out, field_size(error_size(error)));
    put_error(e->out, 1, error);
}

/* ---- results ---- */

/* Open around a result; a batch's is one more. */
static unsigned response_depth(const struct hrana_encoder *e)
{
    return e->envelope == HRANA_WEBSOCKET ? 2 : 3;
}

static void stmt_begin(struct hrana_encoder *e, const struct column *columns, unsigned count)
{
    if (e->depth == response_depth(e)) {
        open_message(e, 1); /* result */
    } else {
        open_message(e, 1); /* an entry of step_results */
        put_number(e->out, 1, e->step);
        open_message(e, 2);
    }
    for (unsigned i = 0; i < count; i++)
        put_column(e->out, 1, &columns[i], true);
}

static int row(struct hrana_encoder *e, const struct value *values, unsigned count)
{
    size_t size;

    if (unlikely(row_size(values, count, &size) < 0))
        return -1;
    put_row(e->out, 2, values, count, size);
    return 0;
}

static void put_rowid(struct buf *out, unsigned number, const struct statement_stats *stats)
{
    if (stats->is_insert)
        put_number(out, number, wire_zigzag(stats->last_insert_rowid));
}

static void stmt_end(struct hrana_encoder *e, const struct statement_stats *stats)
{
    double duration_ms = hrana_duration_ms(stats);
    struct buf *out = e->out;

    put_nonzero(out, 3, stats->is_write ? stats->changes : 0);
    put_rowid(out, 4, stats);
    put_nonzero(out, 6, stats->rows_read);
    put_nonzero(out, 7, stats->rows_written);
    if (fpclassify(duration_ms) != FP_ZERO) {
        wire_put_tag(out, 8, WIRE_FIXED64);
        wire_put_double(out, duration_ms);
    }
    close_message(e);
    if (e->depth == response_depth(e) + 2) {
        close_message(e);
        e->step++;
    }
}

static void batch_begin(struct hrana_encoder *e)
{
    open_message(e, 1); /* result */
    e->step = 0;
}

static void step_skipped(struct hrana_encoder *e)
{
    e->step++;
}

static void batch_end(
    struct hrana_encoder *e, const struct hrana_step_error *errors, unsigned step_count)
{
    for (unsigned i = 0; i < step_count; i++) {
        if (!errors[i].is_set)
            continue;
        wire_put_tag(e->out, 2, WIRE_BYTES);
        wire_put_varint(e->out, 1 + wire_varint_size(i) + field_size(error_size(&errors[i].error)));
        put_number(e->out, 1, i);
        put_error(e->out, 2, &errors[i].error);
    }
    close_message(e);
}

static void described(struct hrana_encoder *e, const struct statement_description *description)
{
    struct buf *out = e->out;

    open_message(e, 1); /* result */
    for (unsigned i = 0; i < description->parameter_count; i++) {
        struct str name = description->parameters[i];
        size_t size = name.ptr == NULL ? 0 : text_size(name);

        wire_put_tag(out, 1, WIRE_BYTES);
        wire_put_varint(out, name.ptr == NULL ? 0 : field_size(size));
        if (name.ptr != NULL)
            put_text(out, 1, name, size);
    }
    for (unsigned i = 0; i < description->column_count; i++)
        put_column(out, 2, &description->columns[i], false);
    put_nonzero(out, 3, description->is_explain);
    put_nonzero(out, 4, description->is_readonly);
    close_message(e);
}

static void autocommit(struct hrana_encoder *e, bool is_autocommit)
{
    put_nonzero(e->out, 1, is_autocommit);
}

/* ---- cursors ---- */

static void cursor_begin(struct hrana_encoder *e, struct str baton)
{
    wire_put_varint(e->out, baton.ptr == NULL ? 0 : field_size(baton.len));
    put_baton(e, baton);
}

/* What comes before an entry of `size` bytes: its length, or over WebSocket the field of
 * FetchCursorResp. */
static void begin_entry(struct hrana_encoder *e, size_t size)
{
    if (e->envelope == HRANA_WEBSOCKET)
        wire_put_tag(e->out, 1, WIRE_BYTES);
    wire_put_varint(e->out, size);
}

static void begin_member(struct hrana_encoder *e, unsigned number, size_t size)
{
    begin_entry(e, field_size(size));
    wire_put_tag(e->out, number, WIRE_BYTES);
    wire_put_varint(e->out, size);
}

static void entry_step_begin(
    struct hrana_encoder *e, unsigned step, const struct column *columns, unsigned count)
{
    size_t size = nonzero_size(step);

    for (unsigned i = 0; i < count; i++)
        size += field_size(column_size(&columns[i], true));
    begin_member(e, 1, size);
    put_nonzero(e->out, 1, step);
    for (unsigned i = 0; i < count; i++)
        put_column(e->out, 2, &columns[i], true);
}

static int entry_row(struct hrana_encoder *e, const struct value *values, unsigned count)
{
    size_t size;

    if (unlikely(row_size(values, count, &size) < 0))
        return -1;
    begin_entry(e, field_size(size));
    put_row(e->out, 4, values, count, size);
    return 0;
}

static void entry_step_end(struct hrana_encoder *e, const struct statement_stats *stats)
{
    uint64_t changes = stats->is_write ? stats->changes : 0;
    uint64_t rowid = wire_zigzag(stats->last_insert_rowid);

    begin_member(
        e, 2, nonzero_size(changes) + (stats->is_insert ? 1 + wire_varint_size(rowid) : 0));
    put_nonzero(e->out, 1, changes);
    put_rowid(e->out, 2, stats);
}

static void entry_step_error(
    struct hrana_encoder *e, unsigned step, const struct hrana_error *error)
{
    begin_member(e, 3, nonzero_size(step) + field_size(error_size(error)));
    put_nonzero(e->out, 1, step);
    put_error(e->out, 2, error);
}

static void entry_error(struct hrana_encoder *e, const struct hrana_error *error)
{
    begin_entry(e, field_size(error_size(error)));
    put_error(e->out, 5, error);
}

static void fetch_begin(struct hrana_encoder *e)
{
    (void)e; /* entries are the message's first field, and written as such */
}

static void fetch_end(struct hrana_encoder *e, bool done)
{
    put_nonzero(e->out, 2, done);
}

const struct hrana_encoder_ops hrana_protobuf_ops = {
    .content_type = "application/x-protobuf",
    .cursor_content_type = "application/octet-stream",
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
    .rewound = rewound,
};
