#include "proto/values.h"

#include "tenants/base/base64.h"

#define PARAMETERS_FIRST 8

static int no_memory(struct err *ret_err)
{
    return err_set(ret_err, ERR_TOO_LARGE, "the request needs too much memory");
}

/* {"$blob": "..."} or {"$text": "..."}, behind its brace. */
static int read_object(struct document *d, struct value *ret_value, struct err *ret_err)
{
    bool blob = document_next(d) == TOKEN_KEY && str_is(d->text, "$blob");
    unsigned char *bytes;
    size_t len;

    if (d->token == TOKEN_INVALID)
        return document_error(d, ret_err);
    if (!blob && (d->token != TOKEN_KEY || !str_is(d->text, "$text")))
        return err_set(ret_err, ERR_BAD_REQUEST,
            "an object can only be {\"$blob\":\"<base64>\"} or {\"$text\":\"<base64>\"}; store "
            "JSON "
            "as text");
    if (document_next(d) != TOKEN_STRING)
        return d->token == TOKEN_INVALID
                   ? document_error(d, ret_err)
                   : err_set(ret_err, ERR_BAD_REQUEST, "%s takes base64 in a string",
                         blob ? "$blob" : "$text");
    bytes = arena_alloc(d->arena, base64_decoded_max(d->text.len));
    if (bytes == NULL)
        return no_memory(ret_err);
    if (base64_decode(d->text, bytes, &len) < 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "%s is not base64", blob ? "$blob" : "$text");
    if (document_next(d) != TOKEN_OBJECT_END)
        return d->token == TOKEN_INVALID
                   ? document_error(d, ret_err)
                   : err_set(ret_err, ERR_BAD_REQUEST, "%s takes no other members",
                         blob ? "$blob" : "$text");
    ret_value->type = blob ? VALUE_BLOB : VALUE_TEXT;
    ret_value->bytes = str_make((const char *)bytes, len);
    return 0;
}

int values_read(struct document *d, struct value *ret_value, struct err *ret_err)
{
    switch (d->token) {
    case TOKEN_NULL:
        ret_value->type = VALUE_NULL;
        return 0;
    case TOKEN_FALSE:
    case TOKEN_TRUE:
        ret_value->type = VALUE_INTEGER;
        ret_value->integer = d->token == TOKEN_TRUE;
        return 0;
    case TOKEN_INTEGER:
        ret_value->type = VALUE_INTEGER;
        ret_value->integer = d->integer;
        return 0;
    case TOKEN_REAL:
        ret_value->type = VALUE_REAL;
        ret_value->real = d->real;
        return 0;
    case TOKEN_STRING:
    case TOKEN_BAD_TEXT:
        ret_value->type = VALUE_TEXT;
        ret_value->bytes = d->text;
        return 0;
    case TOKEN_BLOB:
        ret_value->type = VALUE_BLOB;
        ret_value->bytes = d->text;
        return 0;
    case TOKEN_OBJECT:
        return read_object(d, ret_value, ret_err);
    case TOKEN_INVALID:
        return document_error(d, ret_err);
    case TOKEN_ARRAY:
    case TOKEN_END:
    case TOKEN_ARRAY_END:
    case TOKEN_KEY:
    case TOKEN_OBJECT_END:
    default:
        return err_set(ret_err, ERR_BAD_REQUEST, "a value cannot be %s", token_name(d->token));
    }
}

/* Says which parameter it was. */
static int blame(const struct parameter *parameter, unsigned at, struct err *ret_err)
{
    char text[ERR_MSG_MAX];

    if (ret_err->code != ERR_BAD_REQUEST)
        return -1;
    memcpy(text, ret_err->msg, sizeof(text));
    if (parameter->name.len == 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "params[%u]: %.280s", at, text);
    return err_set(ret_err, ERR_BAD_REQUEST, "params.%.*s: %.200s",
        (int)MIN(parameter->name.len, (size_t)80), parameter->name.ptr, text);
}

static struct parameter *grow(struct arena *arena, struct parameter *old, unsigned count)
{
    unsigned capacity = old == NULL ? PARAMETERS_FIRST : count * 2;
    struct parameter *larger = arena_array(arena, capacity, sizeof(*larger));

    if (larger != NULL && old != NULL)
        memcpy(larger, old, count * sizeof(*larger));
    return larger;
}

int values_read_parameters(struct document *d, const struct parameter **ret_parameters,
    unsigned *ret_count, struct err *ret_err)
{
    struct parameter *parameters = NULL;
    unsigned capacity = 0;
    unsigned count = 0;
    bool named = d->token == TOKEN_OBJECT;

    if (d->token == TOKEN_NULL)
        return 0;
    if (!named && d->token != TOKEN_ARRAY)
        return d->token == TOKEN_INVALID
                   ? document_error(d, ret_err)
                   : err_set(ret_err, ERR_BAD_REQUEST,
                         "'params' must be an array, or an object for named parameters, not %s",
                         token_name(d->token));
    while (document_next(d) != TOKEN_ARRAY_END && d->token != TOKEN_OBJECT_END) {
        if (count == capacity) {
            parameters = grow(d->arena, parameters, count);
            capacity = count == 0 ? PARAMETERS_FIRST : count * 2;
            if (parameters == NULL)
                return no_memory(ret_err);
        }
        parameters[count].name = str_make(NULL, 0);
        if (named && d->token == TOKEN_KEY) {
            parameters[count].name = d->text;
            (void)document_next(d);
            if (parameters[count].name.len == 0)
                return err_set(ret_err, ERR_BAD_REQUEST, "a parameter has an empty name");
        }
        if (values_read(d, &parameters[count].value, ret_err) < 0)
            return blame(&parameters[count], count, ret_err);
        count++;
    }
    *ret_parameters = parameters;
    *ret_count = count;
    return 0;
}

static void write_wrapped(struct buf *out, const char *key, size_t key_len, struct str bytes)
{
    buf_append(out, key, key_len);
    base64_encode(out, bytes.ptr, bytes.len, true);
    buf_literal(out, "\"}");
}

void values_write_text(struct buf *out, enum body_format format, struct str text)
{
    if (format == BODY_MSGPACK)
        msgpack_write_text(out, text);
    else if (json_write_text(out, text) < 0)
        write_wrapped(out, "{\"$text\":\"", 10, text);
}

void values_write_json(struct buf *out, const struct value *value, bool integers_as_strings)
{
    switch (value->type) {
    case VALUE_INTEGER:
        if (unlikely(integers_as_strings)) {
            buf_char(out, '"');
            json_write_integer(out, value->integer);
            buf_char(out, '"');
            return;
        }
        json_write_integer(out, value->integer);
        return;
    case VALUE_REAL:
        json_write_real(out, value->real);
        return;
    case VALUE_TEXT:
        if (json_write_text(out, value->bytes) < 0)
            write_wrapped(out, "{\"$text\":\"", 10, value->bytes);
        return;
    case VALUE_BLOB:
        write_wrapped(out, "{\"$blob\":\"", 10, value->bytes);
        return;
    case VALUE_NULL:
    default:
        buf_literal(out, "null");
        return;
    }
}

void values_write_msgpack(struct buf *out, const struct value *value)
{
    switch (value->type) {
    case VALUE_INTEGER:
        msgpack_write_integer(out, value->integer);
        return;
    case VALUE_REAL:
        msgpack_write_real(out, value->real);
        return;
    case VALUE_TEXT:
        msgpack_write_text(out, value->bytes);
        return;
    case VALUE_BLOB:
        msgpack_write_blob(out, value->bytes);
        return;
    case VALUE_NULL:
    default:
        msgpack_write_nil(out);
        return;
    }
}
