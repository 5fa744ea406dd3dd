/* What tests of Hrana's protobuf share: bytes from hex, and messages without their padding. */
#ifndef TESTS_LIB_HRANA_BYTES_H
#define TESTS_LIB_HRANA_BYTES_H

#include <stdlib.h>

#include "tenants/base/buf.h"

static inline unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

UNUSED static void append_hex(struct buf *out, const char *hex)
{
    for (; hex[0] != '\0'; hex += 2)
        buf_char(out, (char)(hex_digit(hex[0]) << 4 | hex_digit(hex[1])));
}

/* For is_str(): the buffer is emptied and holds the text then. */
UNUSED static const char *to_hex(struct buf *hex, struct str bytes)
{
    buf_reset(hex, 0);
    for (size_t i = 0; i < bytes.len; i++)
        buf_printf(hex, "%02x", (unsigned)(unsigned char)bytes.ptr[i]);
    buf_char(hex, '\0');
    return hex->bytes;
}

/* *at is behind it then; *ret_len is its own length. */
static inline uint64_t varint_at(struct str bytes, size_t *at, unsigned *ret_len)
{
    uint64_t value = 0;
    unsigned len = 0;
    unsigned char byte;

    do {
        if (*at >= bytes.len || len == 10)
            abort();
        byte = (unsigned char)bytes.ptr[(*at)++];
        value |= (uint64_t)(byte & 0x7f) << (7 * len++);
    } while (byte >= 0x80);
    *ret_len = len;
    return value;
}

static inline void put_varint(struct buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_char(out, (char)(value | 0x80));
    buf_char(out, (char)value);
}

/* Lengths of five bytes are those of messages that the encoder kept open: writes the message with
 * lengths as short as can be. Ends the program where the bytes are no message. */
UNUSED static void without_padding(struct buf *out, struct str message)
{
    for (size_t at = 0; at < message.len;) {
        size_t from = at;
        unsigned wire = (unsigned)message.ptr[at++] & 7;
        unsigned len = 0;
        uint64_t value = 0;

        if (wire == 0)
            (void)varint_at(message, &at, &len);
        else if (wire == 1)
            at += 8;
        else if (wire == 2)
            value = varint_at(message, &at, &len);
        else
            abort();
        if (value > message.len - at)
            abort();
        if (wire == 2 && len == 5) {
            struct buf inner;

            buf_init(&inner, 0);
            without_padding(&inner, str_make(message.ptr + at, (size_t)value));
            buf_char(out, message.ptr[from]);
            put_varint(out, inner.len);
            buf_str(out, buf_view(&inner));
            buf_fini(&inner);
            at += (size_t)value;
            continue;
        }
        at += (size_t)value;
        buf_append(out, message.ptr + from, at - from);
    }
}

#endif
