#include "src/rook/json.h"

#include <math.h>
#include <stdlib.h>

/* Length of the number token at `at`, and whether it is one that only infinity explains. */
static size_t number_token(struct str text, size_t at, bool *ret_infinite)
{
    size_t end = at;
    char digits[64];

    while (
        end < text.len && strchr("+-.eE0123456789", text.ptr[end]) != NULL && text.ptr[end] != '\0')
        end++;
    *ret_infinite = false;
    if (end - at < sizeof(digits) && memchr(text.ptr + at, 'e', end - at) != NULL) {
        memcpy(digits, text.ptr + at, end - at);
        digits[end - at] = '\0';
        *ret_infinite = isinf(strtod(digits, NULL)) != 0;
    }
    return end - at;
}

/* Copies JSON text with each infinite number replaced by its object form. */
static void replace_infinities(struct buf *out, struct str text)
{
    bool in_string = false;

    for (size_t at = 0; at < text.len;) {
        char c = text.ptr[at];
        bool infinite = false;
        size_t len = 1;

        if (in_string) {
            len = c == '\\' && at + 1 < text.len ? 2 : 1;
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            len = number_token(text, at, &infinite);
        }
        if (infinite)
            buf_printf(out, "{\"$real\":\"%s1e999\"}", c == '-' ? "-" : "");
        else
            buf_append(out, text.ptr + at, len);
        at += len;
    }
}

json_t *json_read(struct str text, struct err *ret_err)
{
    json_error_t error;
    json_t *value = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);

    if (value == NULL && json_error_code(&error) == json_error_numeric_overflow) {
        struct buf copy = {0};
        replace_infinities(&copy, text);
        value = json_loadb(copy.bytes, copy.len, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
        buf_fini(&copy);
    }
    if (value == NULL)
        (void)err_set(ret_err, ERR_INVALID_JSON, "%s (line %d, column %d)", error.text, error.line,
            error.column);
    return value;
}

static void write_string(struct buf *out, struct str text)
{
    size_t from = 0;

    buf_char(out, '"');
    for (size_t i = 0; i <= text.len; i++) {
        unsigned char c = i < text.len ? (unsigned char)text.ptr[i] : 0;

        if (i < text.len && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        buf_append(out, text.ptr + from, i - from);
        from = i + 1;
        if (i == text.len)
            break;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_literal(out, "\\n");
        else if (c == '\t')
            buf_literal(out, "\\t");
        else
            buf_printf(out, "\\u%04x", c);
    }
    buf_char(out, '"');
}

void json_write_real(struct buf *out, double value)
{
    char digits[40] = "";

    if (isinf(value)) {
        buf_cstr(out, value < 0 ? "-1e999" : "1e999");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof(digits), "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    buf_cstr(out, digits);
    if (strpbrk(digits, ".en") == NULL)
        buf_literal(out, ".0");
}

static void new_line(struct buf *out, enum json_layout layout, unsigned depth)
{
    if (layout == JSON_LAYOUT_LINE)
        return;
    buf_char(out, '\n');
    for (unsigned i = 0; i < depth; i++)
        buf_literal(out, "  ");
}

static void write_value(
    struct buf *out, const json_t *value, enum json_layout layout, unsigned depth);

static void write_array(
    struct buf *out, const json_t *array, enum json_layout layout, unsigned depth)
{
    size_t count = json_array_size(array);
    enum json_layout inner = JSON_LAYOUT_LINE;

    for (size_t i = 0; i < count; i++)
        if (json_is_object(json_array_get(array, i)) || json_is_array(json_array_get(array, i)))
            inner = layout;
    buf_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_char(out, ',');
        new_line(out, inner, depth + 1);
        write_value(out, json_array_get(array, i), inner, depth + 1);
    }
    if (count > 0)
        new_line(out, inner, depth);
    buf_char(out, ']');
}

static void write_object(
    struct buf *out, const json_t *object, enum json_layout layout, unsigned depth)
{
    /* jansson's iteration takes a mutable object but changes nothing. */
    union {
        const json_t *in;
        json_t *out;
    } cast = {.in = object};
    const char *real = json_object_size(object) == 1 ? json_text(object, "$real", NULL) : NULL;
    const char *key;
    json_t *member;
    bool first = true;

    if (real != NULL) {
        buf_cstr(out, real);
        return;
    }
    buf_char(out, '{');
    json_object_foreach(cast.out, key, member) {
        if (!first)
            buf_char(out, ',');
        first = false;
        new_line(out, layout, depth + 1);
        write_string(out, str_from(key));
        buf_cstr(out, layout == JSON_LAYOUT_LINE ? ":" : ": ");
        write_value(out, member, layout, depth + 1);
    }
    if (!first)
        new_line(out, layout, depth);
    buf_char(out, '}');
}

static void write_value(
    struct buf *out, const json_t *value, enum json_layout layout, unsigned depth)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        write_object(out, value, layout, depth);
        break;
    case JSON_ARRAY:
        write_array(out, value, layout, depth);
        break;
    case JSON_STRING:
        write_string(out, json_str(value));
        break;
    case JSON_INTEGER:
        buf_i64(out, json_integer_value(value));
        break;
    case JSON_REAL:
        json_write_real(out, json_real_value(value));
        break;
    case JSON_TRUE:
        buf_literal(out, "true");
        break;
    case JSON_FALSE:
        buf_literal(out, "false");
        break;
    case JSON_NULL:
        buf_literal(out, "null");
        break;
    }
}

void json_write(struct buf *out, const json_t *value, enum json_layout layout)
{
    write_value(out, value, layout, 0);
}

const char *json_text(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : otherwise;
}

int64_t json_int(const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(object, key);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool json_is(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

struct str json_str(const json_t *string)
{
    return str_make(json_string_value(string), json_string_length(string));
}
