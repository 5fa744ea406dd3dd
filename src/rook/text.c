#include "src/rook/text.h"

#include <langinfo.h>
#include <locale.h>
#include <wchar.h>

bool text_init(void)
{
    bool utf8 = setlocale(LC_CTYPE, "") != NULL && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;

    /* A bare container has LANG unset, and SQL text is UTF-8 all the same: wcwidth must know it. */
    if (!utf8)
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    return utf8;
}

size_t text_char(struct str text, size_t at, int32_t *ret_code_point)
{
    static const int32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)text.ptr + at;
    size_t left = text.len - at;
    size_t len;
    int32_t code_point;

    *ret_code_point = bytes[0];
    if (bytes[0] < 0x80)
        return 1;
    *ret_code_point = -1;
    if (bytes[0] >= 0xc2 && bytes[0] < 0xe0)
        len = 2;
    else if (bytes[0] >= 0xe0 && bytes[0] < 0xf0)
        len = 3;
    else if (bytes[0] >= 0xf0 && bytes[0] < 0xf5)
        len = 4;
    else
        return 1;
    if (len > left)
        return 1;
    code_point = bytes[0] & (0x7f >> len);
    for (size_t i = 1; i < len; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 1;
        code_point = code_point << 6 | (bytes[i] & 0x3f);
    }
    if (code_point < smallest[len] || code_point > 0x10ffff ||
        (code_point >= 0xd800 && code_point < 0xe000))
        return 1;
    *ret_code_point = code_point;
    return len;
}

/* Marks that reorder or hide what stands beside them. The zero width joiner (200d) stays: emoji
 * are made with it. */
static bool is_deceptive(int32_t c)
{
    return (c >= 0x200e && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0x2028 || c == 0x2029 || c == 0x200b ||
           c == 0xfeff || c == 0x061c;
}

int text_char_columns(int32_t code_point)
{
    if (code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0) || is_deceptive(code_point))
        return -1;
    if (code_point < 0x7f)
        return 1;
    return wcwidth((wchar_t)code_point);
}

static void escape_char(struct buf *out, int32_t code_point, unsigned char byte)
{
    switch (code_point) {
    case '\n':
        buf_literal(out, "\\n");
        return;
    case '\r':
        buf_literal(out, "\\r");
        return;
    case '\t':
        buf_literal(out, "\\t");
        return;
    default:
        if (code_point < 0x80) /* also -1: the byte itself */
            buf_printf(out, "\\x%02x", byte);
        else if (code_point < 0x10000)
            buf_printf(out, "\\u%04x", (unsigned)code_point);
        else
            buf_printf(out, "\\U%08x", (unsigned)code_point);
    }
}

size_t text_escape(struct buf *out, struct str text, enum text_keep keep)
{
    size_t columns = 0;

    for (size_t at = 0; at < text.len;) {
        int32_t code_point;
        size_t len = text_char(text, at, &code_point);
        int width = text_char_columns(code_point);

        if (keep == TEXT_KEEP_LINES && (code_point == '\n' || code_point == '\t')) {
            buf_append(out, text.ptr + at, len);
            columns = code_point == '\n' ? 0 : columns + 8 - columns % 8;
        } else if (width >= 0) {
            buf_append(out, text.ptr + at, len);
            columns += (size_t)width;
        } else {
            size_t before = out->len;
            escape_char(out, code_point, (unsigned char)text.ptr[at]);
            columns += out->len - before;
        }
        at += len;
    }
    return columns;
}
