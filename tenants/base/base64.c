#include "tenants/base/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, const void *bytes, size_t len, bool padded)
{
    const unsigned char *in = bytes;
    char quad[4];

    for (size_t i = 0; i < len; i += 3) {
        size_t left = MIN(len - i, (size_t)3);
        uint32_t word = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                        (left > 2 ? (uint32_t)in[i + 2] : 0);

        quad[0] = letters[word >> 18];
        quad[1] = letters[word >> 12 & 63];
        quad[2] = left > 1 ? letters[word >> 6 & 63] : '=';
        quad[3] = left > 2 ? letters[word & 63] : '=';
        buf_append(out, quad, padded ? 4 : left + 1);
    }
}

static int sextet(char c, char c62, char c63)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == c62 ? 62 : c == c63 ? 63 : -1;
}

/* Without padding. */
static int decode(struct str text, char c62, char c63, unsigned char *out, size_t *ret_len)
{
    size_t written = 0;
    uint32_t bits = 0;
    int count = 0;

    if (text.len % 4 == 1)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        int value = sextet(text.ptr[i], c62, c63);

        if (value < 0)
            return -1;
        bits = (bits << 6) | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            out[written++] = (unsigned char)(bits >> count);
        }
    }
    if ((bits & ((1U << count) - 1)) != 0)
        return -1;
    *ret_len = written;
    return 0;
}

int base64_decode(struct str text, unsigned char *out, size_t *ret_len)
{
    size_t len = text.len;

    if (len % 4 == 0 && len > 0 && text.ptr[len - 1] == '=')
        len -= text.ptr[len - 2] == '=' ? 2 : 1;
    return decode(str_make(text.ptr, len), '+', '/', out, ret_len);
}

int base64url_decode(struct str text, unsigned char *out, size_t *ret_len)
{
    return decode(text, '-', '_', out, ret_len);
}
