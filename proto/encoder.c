#include "proto/encoder.h"

#include "proto/values.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"

void encoder_init(struct encoder *e, struct buf *out, enum body_format format)
{
    e->out = out;
    e->format = format;
    e->depth = 0;
    e->after_key = false;
}

void encoder_prepare(struct encoder *e)
{
    if (e->after_key) {
        e->after_key = false;
        return;
    }
    if (e->depth == 0)
        return;
    if (e->levels[e->depth - 1].count++ > 0 && e->format == BODY_JSON)
        buf_char(e->out, ',');
}

static void open_level(struct encoder *e, bool map)
{
    encoder_prepare(e);
    CHECK(e->depth < ENCODER_DEPTH_MAX);
    e->levels[e->depth].map = map;
    e->levels[e->depth].count = 0;
    if (e->format == BODY_MSGPACK)
        e->levels[e->depth].where = msgpack_open(e->out, map);
    else
        buf_char(e->out, map ? '{' : '[');
    e->depth++;
}

void encoder_object(struct encoder *e)
{
    open_level(e, true);
}

void encoder_array(struct encoder *e)
{
    open_level(e, false);
}

void encoder_end(struct encoder *e)
{
    CHECK(e->depth > 0);
    e->depth--;
    if (e->format == BODY_MSGPACK)
        msgpack_close(e->out, e->levels[e->depth].where, e->levels[e->depth].count);
    else
        buf_char(e->out, e->levels[e->depth].map ? '}' : ']');
}

void encoder_key(struct encoder *e, const char *key)
{
    encoder_prepare(e);
    if (e->format == BODY_MSGPACK) {
        msgpack_write_string(e->out, str_from(key));
    } else {
        buf_char(e->out, '"');
        buf_cstr(e->out, key);
        buf_literal(e->out, "\":");
    }
    e->after_key = true;
}

void encoder_key_str(struct encoder *e, struct str key)
{
    encoder_prepare(e);
    if (e->format == BODY_MSGPACK) {
        msgpack_write_string(e->out, key);
    } else {
        json_write_string(e->out, key);
        buf_char(e->out, ':');
    }
    e->after_key = true;
}

void encoder_string(struct encoder *e, struct str text)
{
    encoder_prepare(e);
    values_write_text(e->out, e->format, text);
}

void encoder_cstring(struct encoder *e, const char *text)
{
    encoder_string(e, str_from(text));
}

void encoder_string_or_null(struct encoder *e, struct str text)
{
    if (text.ptr == NULL)
        encoder_null(e);
    else
        encoder_string(e, text);
}

void encoder_integer(struct encoder *e, int64_t value)
{
    encoder_prepare(e);
    if (e->format == BODY_MSGPACK)
        msgpack_write_integer(e->out, value);
    else
        json_write_integer(e->out, value);
}

void encoder_u64(struct encoder *e, uint64_t value)
{
    encoder_integer(e, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

void encoder_real(struct encoder *e, double value)
{
    encoder_prepare(e);
    if (e->format == BODY_MSGPACK)
        msgpack_write_real(e->out, value);
    else
        json_write_real(e->out, value);
}

void encoder_bool(struct encoder *e, bool value)
{
    encoder_prepare(e);
    if (e->format == BODY_MSGPACK)
        msgpack_write_bool(e->out, value);
    else
        buf_cstr(e->out, value ? "true" : "false");
}

void encoder_null(struct encoder *e)
{
    encoder_prepare(e);
    if (e->format == BODY_MSGPACK)
        msgpack_write_nil(e->out);
    else
        buf_literal(e->out, "null");
}

void encoder_time(struct encoder *e, int64_t wall_ms)
{
    char text[CLOCK_ISO8601_BYTES];

    if (wall_ms == 0) {
        encoder_null(e);
        return;
    }
    clock_format_iso8601(wall_ms, text);
    encoder_cstring(e, text);
}

void encoder_raw(struct encoder *e, struct str value)
{
    encoder_prepare(e);
    buf_str(e->out, value);
}

/* One token; false at the end. */
static bool write_token(struct encoder *e, const struct json_reader *r, enum token token)
{
    switch (token) {
    case TOKEN_NULL:
        encoder_null(e);
        return true;
    case TOKEN_FALSE:
    case TOKEN_TRUE:
        encoder_bool(e, token == TOKEN_TRUE);
        return true;
    case TOKEN_INTEGER:
        encoder_integer(e, r->integer);
        return true;
    case TOKEN_REAL:
        encoder_real(e, r->real);
        return true;
    case TOKEN_STRING:
        encoder_string(e, r->text);
        return true;
    case TOKEN_ARRAY:
        encoder_array(e);
        return true;
    case TOKEN_OBJECT:
        encoder_object(e);
        return true;
    case TOKEN_KEY:
        encoder_key_str(e, r->text);
        return true;
    case TOKEN_ARRAY_END:
    case TOKEN_OBJECT_END:
        encoder_end(e);
        return true;
    case TOKEN_INVALID:
    case TOKEN_END:
    case TOKEN_BLOB:
    case TOKEN_BAD_TEXT:
    default:
        return false;
    }
}

void encoder_json(struct encoder *e, struct str json, struct arena *arena)
{
    unsigned depth_max = ENCODER_DEPTH_MAX - e->depth;
    struct json_reader r;
    enum token token;

    if (e->format == BODY_JSON) {
        encoder_raw(e, json);
        return;
    }
    json_reader_init(&r, json, depth_max, arena);
    do {
        token = json_next(&r);
    } while (token != TOKEN_INVALID && token != TOKEN_END);
    if (token == TOKEN_INVALID) {
        encoder_string(e, json);
        return;
    }
    json_reader_init(&r, json, depth_max, arena);
    while (write_token(e, &r, json_next(&r)))
        continue;
}
