#include <math.h>

#include "proto/json.h"
#include "proto/real_text.h"
#include "proto/scan.h"

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";

void json_write_integer(struct buf *out, int64_t value)
{
    char digits[20];
    char *at = digits + sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    if (buf_reserve(out, sizeof(digits)) < 0)
        return;
    while (rest >= 100) {
        at -= 2;
        memcpy(at, pairs + rest % 100 * 2, 2);
        rest /= 100;
    }
    if (rest >= 10) {
        at -= 2;
        memcpy(at, pairs + rest * 2, 2);
    } else {
        *--at = (char)('0' + rest);
    }
    if (value < 0)
        *--at = '-';
    memcpy(out->bytes + out->len, at, (size_t)(digits + sizeof(digits) - at));
    out->len += (size_t)(digits + sizeof(digits) - at);
}

void json_write_real(struct buf *out, double value)
{
    if (isnan(value)) {
        buf_literal(out, "null");
    } else if (isinf(value)) {
        if (value < 0)
            buf_char(out, '-');
        buf_literal(out, "1e999");
    } else if (buf_reserve(out, REAL_TEXT_MAX) == 0) {
        out->len += real_text(value, out->bytes + out->len);
    }
}

static void write_escape(struct buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[] = {['\b'] = 'b',
        ['\t'] = 't',
        ['\n'] = 'n',
        ['\f'] = 'f',
        ['\r'] = 'r',
        ['"'] = '"',
        ['\\'] = '\\'};
    char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    if (c < sizeof(shorts) && shorts[c] != '\0') {
        escape[1] = shorts[c];
        buf_append(out, escape, 2);
    } else {
        buf_append(out, escape, sizeof(escape));
    }
}

/* Writes from `from` on, whose first `plain` bytes need no escape. */
static void write_quoted(struct buf *out, struct str text, size_t plain)
{
    bool non_ascii = false;
    size_t at = 0;

    if (buf_reserve(out, text.len + 2) < 0)
        return;
    out->bytes[out->len++] = '"';
    for (;;) {
        buf_append(out, text.ptr + at, plain);
        at += plain;
        if (at >= text.len)
            break;
        write_escape(out, (unsigned char)text.ptr[at++]);
        plain = scan_plain(text.ptr + at, text.len - at, &non_ascii);
    }
    buf_char(out, '"');
}

void json_write_string(struct buf *out, struct str text)
{
    bool non_ascii = false;

    write_quoted(out, text, scan_plain(text.ptr, text.len, &non_ascii));
}

int json_write_text(struct buf *out, struct str text)
{
    bool non_ascii = false;
    size_t plain = scan_plain(text.ptr, text.len, &non_ascii);

    /* Bytes behind `plain` were not looked at. */
    if ((non_ascii || plain < text.len) && !str_is_utf8(text))
        return -1;
    write_quoted(out, text, plain);
    return 0;
}
