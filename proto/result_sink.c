#include "proto/result_sink.h"

#include "proto/encoder.h"

static inline struct result_sink *of(struct sink *sink)
{
    return CONTAINER_OF(sink, struct result_sink, sink);
}

/* A comma is due unless an array was just opened. Right after a chunk left, one is. */
static inline void comma(struct buf *out)
{
    if (out->len == 0 || out->bytes[out->len - 1] != '[')
        buf_char(out, ',');
}

static void write_key_u64(struct buf *out, const char *key, size_t len, uint64_t value)
{
    buf_append(out, key, len);
    json_write_integer(out, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

#define JSON_MEMBER(out, text, value) write_key_u64((out), (text), sizeof(text) - 1, (value))

void result_meta(struct buf *out, enum body_format format, const struct statement_stats *stats,
    unsigned statements, const struct result_prices *prices)
{
    uint64_t duration_us = stats->duration_ns / 1000;
    double duration_ms = (double)duration_us / 1000.0;
    double cost = prices->per_request + prices->per_row_read * (double)stats->rows_read +
                  prices->per_row_written * (double)stats->rows_written;

    /* To a millionth of a millionth: sums of prices have digits that nobody means. */
    if (cost < 1e6)
        cost = (double)(uint64_t)(cost * 1e12 + 0.5) / 1e12;

    if (format == BODY_MSGPACK) {
        msgpack_write_map(out, 5);
        msgpack_write_string(out, STR_LITERAL("rowsRead"));
        msgpack_write_integer(out, (int64_t)stats->rows_read);
        msgpack_write_string(out, STR_LITERAL("rowsWritten"));
        msgpack_write_integer(out, (int64_t)stats->rows_written);
        msgpack_write_string(out, STR_LITERAL("durationMs"));
        msgpack_write_real(out, duration_ms);
        msgpack_write_string(out, STR_LITERAL("statementCount"));
        msgpack_write_integer(out, statements);
        msgpack_write_string(out, STR_LITERAL("costUsd"));
        msgpack_write_real(out, cost);
        return;
    }
    JSON_MEMBER(out, "{\"rowsRead\":", stats->rows_read);
    JSON_MEMBER(out, ",\"rowsWritten\":", stats->rows_written);
    buf_literal(out, ",\"durationMs\":");
    json_write_real(out, duration_ms);
    JSON_MEMBER(out, ",\"statementCount\":", statements);
    buf_literal(out, ",\"costUsd\":");
    json_write_real(out, cost);
    buf_char(out, '}');
}

/* A failed statement's entry, half written or (a key deferred to its end) whole. */
static void drop_entry(struct result_sink *r, unsigned statement)
{
    if (r->has_entry && r->current == statement)
        buf_truncate(&r->sink.out, r->begin_at);
    r->has_entry = false;
    r->in_rows = false;
}

/* ---- JSON ---- */

/* What comes before the first entry, and between entries. */
static void json_open_entry(struct result_sink *r, unsigned statement)
{
    struct buf *out = &r->sink.out;

    r->has_entry = true;
    r->current = statement;
    if (!r->batch) {
        r->begin_at = out->len;
        buf_literal(out, "{\"data\":");
        return;
    }
    if (out->len == 0)
        buf_literal(out, "{\"data\":[");
    r->begin_at = out->len;
    comma(out);
}

static void json_begin(
    struct sink *sink, unsigned statement, const struct column *columns, unsigned count)
{
    struct result_sink *r = of(sink);
    struct buf *out = &sink->out;

    json_open_entry(r, statement);
    buf_literal(out, "{\"columns\":[");
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            buf_char(out, ',');
        values_write_text(out, BODY_JSON, columns[i].name);
    }
    buf_literal(out, "],\"rows\":[");
    r->in_rows = true;
}

static void json_row(struct sink *sink, const struct value *values, unsigned count)
{
    struct result_sink *r = of(sink);
    struct buf *out = &sink->out;

    comma(out);
    buf_char(out, '[');
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            buf_char(out, ',');
        values_write_json(out, &values[i], r->integers_as_strings);
    }
    buf_char(out, ']');
}

static void json_end(struct sink *sink, unsigned statement, const struct statement_stats *stats)
{
    struct result_sink *r = of(sink);
    struct buf *out = &sink->out;
    size_t meta_at;

    r->in_rows = false;
    r->done = statement + 1;
    JSON_MEMBER(out, "],\"rowsRead\":", stats->rows_read);
    JSON_MEMBER(out, ",\"rowsWritten\":", stats->rows_written);
    if (stats->is_write) {
        JSON_MEMBER(out, ",\"changes\":", stats->changes);
        if (stats->is_insert || stats->last_insert_rowid != 0) {
            struct value rowid = {.type = VALUE_INTEGER, .integer = stats->last_insert_rowid};

            buf_literal(out, ",\"lastInsertRowid\":");
            values_write_json(out, &rowid, r->integers_as_strings);
        }
    }
    if (!r->batch) {
        buf_literal(out, ",\"meta\":");
        meta_at = out->len;
        result_meta(out, BODY_JSON, stats, 1, &r->prices);
        r->meta_len = 0;
        if (!out->failed && out->len - meta_at <= sizeof(r->meta)) {
            r->meta_len = (unsigned)(out->len - meta_at);
            memcpy(r->meta, out->bytes + meta_at, r->meta_len);
        }
    }
    buf_char(out, '}');
}

static void json_error(struct sink *sink, unsigned statement, const struct err *err, struct str sql)
{
    struct result_sink *r = of(sink);

    r->done = statement + 1;
    r->failures++;
    if (!r->batch)
        return; /* in_rows tells result_sink_abort() what is open */
    drop_entry(r, statement);
    if (r->on_error != NULL) {
        json_open_entry(r, statement);
        r->on_error(r, err, sql);
    }
}

/* ---- MessagePack ---- */

static void msgpack_open_entry(struct result_sink *r, unsigned statement)
{
    struct buf *out = &r->sink.out;

    if (out->len == 0) {
        msgpack_write_map(out, 3);
        msgpack_write_string(out, STR_LITERAL("data"));
        if (r->batch)
            r->array_at = msgpack_open(out, false);
    }
    r->has_entry = true;
    r->current = statement;
    r->begin_at = out->len;
    r->entries = statement + 1; /* those before it all have one */
}

static void msgpack_begin(
    struct sink *sink, unsigned statement, const struct column *columns, unsigned count)
{
    struct result_sink *r = of(sink);
    struct buf *out = &sink->out;

    msgpack_open_entry(r, statement);
    r->object_at = msgpack_open(out, true);
    msgpack_write_string(out, STR_LITERAL("columns"));
    msgpack_write_array(out, count);
    for (unsigned i = 0; i < count; i++)
        msgpack_write_text(out, columns[i].name);
    msgpack_write_string(out, STR_LITERAL("rows"));
    r->rows_at = msgpack_open(out, false);
    r->row_count = 0;
    r->in_rows = true;
}

static void msgpack_row(struct sink *sink, const struct value *values, unsigned count)
{
    struct buf *out = &sink->out;

    of(sink)->row_count++;
    msgpack_write_array(out, count);
    for (unsigned i = 0; i < count; i++)
        values_write_msgpack(out, &values[i]);
}

static void msgpack_end(struct sink *sink, unsigned statement, const struct statement_stats *stats)
{
    struct result_sink *r = of(sink);
    struct buf *out = &sink->out;
    uint32_t members = 4;

    r->in_rows = false;
    r->done = statement + 1;
    msgpack_close(out, r->rows_at, r->row_count);
    msgpack_write_string(out, STR_LITERAL("rowsRead"));
    msgpack_write_integer(out, (int64_t)stats->rows_read);
    msgpack_write_string(out, STR_LITERAL("rowsWritten"));
    msgpack_write_integer(out, (int64_t)stats->rows_written);
    if (stats->is_write) {
        members++;
        msgpack_write_string(out, STR_LITERAL("changes"));
        msgpack_write_integer(out, (int64_t)stats->changes);
        if (stats->is_insert || stats->last_insert_rowid != 0) {
            members++;
            msgpack_write_string(out, STR_LITERAL("lastInsertRowid"));
            msgpack_write_integer(out, stats->last_insert_rowid);
        }
    }
    if (!r->batch) {
        members++;
        msgpack_write_string(out, STR_LITERAL("meta"));
        result_meta(out, BODY_MSGPACK, stats, 1, &r->prices);
    }
    msgpack_close(out, r->object_at, members);
}

static void msgpack_error(
    struct sink *sink, unsigned statement, const struct err *err, struct str sql)
{
    struct result_sink *r = of(sink);

    r->done = statement + 1;
    r->failures++;
    if (!r->batch)
        return;
    drop_entry(r, statement);
    r->entries = statement;
    if (r->on_error != NULL) {
        msgpack_open_entry(r, statement);
        r->on_error(r, err, sql);
    }
}

/* ---- both ---- */

/* All else that counts is set anew by the calls that come again. */
static void rewound(struct sink *sink)
{
    struct result_sink *r = of(sink);

    r->in_rows = false;
    r->has_entry = false;
    r->done = 0;
    r->failures = 0;
}

static void dispose(void *sink)
{
    buf_fini(&((struct result_sink *)sink)->sink.out);
}

void result_sink_init(struct result_sink *r, enum body_format format, bool batch,
    struct buf *recycled, struct arena *arena)
{
    static const struct sink_ops json_ops = {.begin = json_begin,
        .row = json_row,
        .end = json_end,
        .error = json_error,
        .rewound = rewound};
    static const struct sink_ops msgpack_ops = {.begin = msgpack_begin,
        .row = msgpack_row,
        .end = msgpack_end,
        .error = msgpack_error,
        .rewound = rewound};

    *r = (struct result_sink){
        .sink.ops = format == BODY_JSON ? &json_ops : &msgpack_ops,
        .format = format,
        .batch = batch,
    };
    if (recycled != NULL)
        buf_take(&r->sink.out, recycled);
    r->sink.out.len = 0;
    r->sink.out.failed = false;
    r->sink.out.limit_bytes = RESULT_BYTES_MAX;
    (void)arena_on_end(arena, dispose, r);
}

void result_sink_succeed(struct result_sink *r, const struct request *request)
{
    struct buf *out = &r->sink.out;

    if (r->format == BODY_MSGPACK) {
        if (r->batch)
            msgpack_close(out, r->array_at, r->entries);
        msgpack_write_string(out, STR_LITERAL("success"));
        msgpack_write_bool(out, true);
        msgpack_write_string(out, STR_LITERAL("meta"));
        result_meta(out, BODY_MSGPACK, &request->total, request->statement_count, &r->prices);
        return;
    }
    if (r->batch)
        buf_literal(out, "]");
    buf_literal(out, ",\"success\":true,\"meta\":");
    if (r->meta_len > 0)
        buf_append(out, r->meta, r->meta_len);
    else
        result_meta(out, BODY_JSON, &request->total, request->statement_count, &r->prices);
    buf_char(out, '}');
}

void result_sink_abort(struct result_sink *r, struct str failure)
{
    struct buf *out = &r->sink.out;

    if (r->in_rows)
        buf_literal(out, "]}");
    buf_char(out, ',');
    buf_append(out, failure.ptr + 1, failure.len - 1);
}

void result_sink_entries(struct result_sink *r, struct buf *out)
{
    static const size_t json_prefix = sizeof("{\"data\":[") - 1;
    const struct buf *from = &r->sink.out;

    if (r->format == BODY_MSGPACK) {
        size_t prefix = r->array_at + 5;

        msgpack_write_array(out, from->len == 0 ? 0 : r->entries);
        if (from->len > prefix)
            buf_append(out, from->bytes + prefix, from->len - prefix);
        return;
    }
    buf_char(out, '[');
    if (from->len > json_prefix)
        buf_append(out, from->bytes + json_prefix, from->len - json_prefix);
    buf_char(out, ']');
}
