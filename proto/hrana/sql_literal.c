#include "proto/hrana/sql_literal.h"

#include <math.h>

#define SMALL 1e-290 /* under it, SQLite's readers of before 3.43 are a bit off */
#define SCALE 0x1p200

void sql_literal_name(struct buf *out, struct str name)
{
    buf_char(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"')
            buf_char(out, '"');
        buf_char(out, name.ptr[i]);
    }
    buf_char(out, '"');
}

static void write_hex(struct buf *out, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *to;

    buf_literal(out, "x'");
    if (buf_reserve(out, 2 * bytes.len) < 0)
        return;
    to = out->bytes + out->len;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];

        *to++ = digits[c >> 4];
        *to++ = digits[c & 15];
    }
    out->len += 2 * bytes.len;
    buf_char(out, '\'');
}

/* What a literal carries through every shell, which read lines: no NUL, no carriage return. */
static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < 0x20 && c != '\n' && c != '\t')
            return false;
    }
    return str_is_utf8(text);
}

static void write_quoted(struct buf *out, struct str text)
{
    buf_char(out, '\'');
    while (text.len > 0) {
        size_t len = str_find(text, '\'');

        buf_append(out, text.ptr, len);
        if (len == text.len)
            break;
        buf_literal(out, "''");
        text = str_make(text.ptr + len + 1, text.len - len - 1);
    }
    buf_char(out, '\'');
}

/* 17 digits are as near as makes any reader find the same double again: the shortest text that
 * does in theory may lie at the edge, where SQLite's readers of before 3.43 are a bit off. */
static void write_digits(struct buf *out, double value)
{
    size_t at = out->len;

    buf_printf(out, "%.17g", value);
    if (!out->failed && str_find(str_make(out->bytes + at, out->len - at), '.') == out->len - at &&
        str_find(str_make(out->bytes + at, out->len - at), 'e') == out->len - at)
        buf_literal(out, ".0");
}

static void write_real(struct buf *out, double value)
{
    if (isinf(value)) {
        buf_cstr(out, value > 0 ? "1e999" : "-1e999");
    } else if (fabs(value) < SMALL && fpclassify(value) != FP_ZERO) {
        write_digits(out, value * SCALE);
        buf_char(out, '*');
        write_digits(out, 1 / SCALE);
    } else {
        write_digits(out, value);
    }
}

void sql_literal_value(struct buf *out, const struct value *value)
{
    switch (value->type) {
    case VALUE_INTEGER:
        buf_i64(out, value->integer);
        return;
    case VALUE_REAL:
        write_real(out, value->real);
        return;
    case VALUE_TEXT:
        if (is_plain(value->bytes)) {
            write_quoted(out, value->bytes);
            return;
        }
        buf_literal(out, "CAST(");
        write_hex(out, value->bytes);
        buf_literal(out, " AS TEXT)");
        return;
    case VALUE_BLOB:
        write_hex(out, value->bytes);
        return;
    case VALUE_NULL:
    default:
        buf_literal(out, "NULL");
        return;
    }
}
