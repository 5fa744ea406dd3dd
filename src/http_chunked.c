#include "src/http_chunked.h"

enum {
    SIZE,       /* hex digits */
    EXTENSION,  /* from ';' to CR */
    SIZE_LF,    /* LF behind the size line */
    DATA,       /* chunk's bytes */
    DATA_CR,    /* behind them */
    DATA_LF,    /* ... */
    TRAILER,    /* a trailer line, or the last CR */
    TRAILER_LF, /* its LF */
};

#define SIZE_DIGITS_MAX 12

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(unsigned char c)
{
    return c == '\t' || (c >= 0x20 && c < 0x7f);
}

static int read_size(struct http_chunked *chunked, unsigned char c)
{
    int digit = hex_digit(c);

    if (digit >= 0) {
        if (++chunked->digits > SIZE_DIGITS_MAX)
            return -1;
        chunked->left = chunked->left << 4 | (unsigned)digit;
        return 0;
    }
    if (chunked->digits == 0 || (c != ';' && c != '\r'))
        return -1;
    chunked->overhead = 0;
    chunked->state = c == ';' ? EXTENSION : SIZE_LF;
    return 0;
}

static int read_size_end(struct http_chunked *chunked, unsigned char c)
{
    if (c != '\n')
        return -1;
    chunked->state = chunked->left > 0 ? DATA : TRAILER;
    chunked->line_is_empty = true;
    chunked->overhead = 0;
    return 0;
}

static int read_trailer(struct http_chunked *chunked, unsigned char c)
{
    if (c == '\r') {
        chunked->state = TRAILER_LF;
        return 0;
    }
    if (!is_text(c) || (chunked->line_is_empty && (c == ' ' || c == '\t' || c == ':')) ||
        ++chunked->overhead > HTTP_TRAILER_MAX)
        return -1;
    chunked->line_is_empty = false;
    return 0;
}

/* One byte that is not body. 1: that was the last. */
static int read_byte(struct http_chunked *chunked, unsigned char c)
{
    switch (chunked->state) {
    case SIZE:
        return read_size(chunked, c);
    case EXTENSION:
        if (c == '\r') {
            chunked->state = SIZE_LF;
            return 0;
        }
        return is_text(c) && ++chunked->overhead <= HTTP_CHUNK_EXTENSION_MAX ? 0 : -1;
    case SIZE_LF:
        return read_size_end(chunked, c);
    case DATA_CR:
        chunked->state = DATA_LF;
        return c == '\r' ? 0 : -1;
    case DATA_LF:
        chunked->state = SIZE;
        chunked->digits = 0;
        chunked->left = 0;
        return c == '\n' ? 0 : -1;
    case TRAILER:
        return read_trailer(chunked, c);
    default: /* TRAILER_LF */
        if (c != '\n')
            return -1;
        if (chunked->line_is_empty)
            return 1;
        chunked->line_is_empty = true;
        chunked->state = TRAILER;
        return 0;
    }
}

enum http_chunked_result http_chunked_feed(struct http_chunked *chunked, const char *bytes,
    size_t len, size_t *ret_taken, struct str *ret_body)
{
    size_t at = 0;

    *ret_body = str_make(bytes, 0);
    while (at < len) {
        int rc;

        if (chunked->state == DATA) {
            size_t run = (size_t)MIN((uint64_t)(len - at), chunked->left);

            *ret_body = str_make(bytes + at, run);
            chunked->left -= run;
            if (chunked->left == 0)
                chunked->state = DATA_CR;
            *ret_taken = at + run;
            return HTTP_CHUNKED_MORE;
        }
        rc = read_byte(chunked, (unsigned char)bytes[at++]);
        if (rc != 0) {
            *ret_taken = at;
            return rc < 0 ? HTTP_CHUNKED_BAD : HTTP_CHUNKED_DONE;
        }
    }
    *ret_taken = at;
    return HTTP_CHUNKED_MORE;
}
