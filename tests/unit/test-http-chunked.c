/* Chunked bodies: what comes out, what is refused, at every split point. */
#include "src/http_chunked.h"
#include "tests/lib/tap.h"

struct row {
    const char *name;
    const char *bytes;
    size_t len;
    const char *body; /* NULL: refused */
    size_t rest;      /* bytes behind the end */
};

#define ROW(name, text, body, rest)                                                                \
    {                                                                                              \
        name, text, sizeof(text) - 1, body, rest                                                   \
    }

static const struct row rows[] = {
    ROW("one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello", 0),
    ROW("two chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", 0),
    ROW("empty body", "0\r\n\r\n", "", 0),
    ROW("hex in both cases", "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        "01234567890123456789", 0),
    ROW("leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello", 0),
    ROW("an extension", "5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", "hello", 0),
    ROW("trailers", "5\r\nhello\r\n0\r\nAuthorization: x\r\nA: b\r\n\r\n", "hello", 0),
    ROW("what follows is not ours", "1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "x", 16),
    ROW("CR LF in a chunk", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", 0),

    ROW("LF alone behind the size", "5\nhello\r\n0\r\n\r\n", NULL, 0),
    ROW("LF alone behind the chunk", "5\r\nhello\n0\r\n\r\n", NULL, 0),
    ROW("LF alone at the end", "0\r\n\n", NULL, 0),
    ROW("CR alone behind the size", "5\rhello\r\n0\r\n\r\n", NULL, 0),
    ROW("no size", "\r\nhello\r\n0\r\n\r\n", NULL, 0),
    ROW("0x", "0x5\r\nhello\r\n0\r\n\r\n", NULL, 0),
    ROW("minus", "-5\r\nhello\r\n0\r\n\r\n", NULL, 0),
    ROW("plus", "+5\r\nhello\r\n0\r\n\r\n", NULL, 0),
    ROW("blank before the size", " 5\r\nhello\r\n0\r\n\r\n", NULL, 0),
    ROW("blank behind the size", "5 \r\nhello\r\n0\r\n\r\n", NULL, 0),
    ROW("underscore", "5_0\r\n", NULL, 0),
    ROW("chunk longer than it says", "4\r\nhello\r\n0\r\n\r\n", NULL, 0),
    ROW("size that overflows", "10000000000000005\r\nhello\r\n0\r\n\r\n", NULL, 0),
    ROW("LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n", NULL, 0),
    ROW("NUL in an extension", "5;\0\r\nhello\r\n0\r\n\r\n", NULL, 0),
    ROW("folded trailer", "0\r\n a: b\r\n\r\n", NULL, 0),
    ROW("trailer without a name", "0\r\n: b\r\n\r\n", NULL, 0),
};

/* Feeds in pieces of `step` bytes; *ret_rest is what was left behind the end. */
static enum http_chunked_result decode(
    const char *bytes, size_t len, size_t step, char *out, size_t *ret_out, size_t *ret_rest)
{
    struct http_chunked chunked = {0};
    size_t at = 0;

    *ret_out = 0;
    while (at < len) {
        struct str body;
        size_t taken = 0;
        enum http_chunked_result result =
            http_chunked_feed(&chunked, bytes + at, MIN(step, len - at), &taken, &body);

        memcpy(out + *ret_out, body.ptr, body.len);
        *ret_out += body.len;
        at += taken;
        *ret_rest = len - at;
        if (result != HTTP_CHUNKED_MORE)
            return result;
        if (taken == 0)
            return HTTP_CHUNKED_BAD;
    }
    return HTTP_CHUNKED_MORE;
}

static bool same_at_every_step(const struct row *row)
{
    for (size_t step = 1; step <= row->len; step++) {
        char out[256];
        size_t len;
        size_t rest = 0;
        enum http_chunked_result result = decode(row->bytes, row->len, step, out, &len, &rest);

        if (row->body == NULL ? result != HTTP_CHUNKED_BAD
                              : result != HTTP_CHUNKED_DONE || rest != row->rest ||
                                    !str_equal(str_make(out, len), str_from(row->body)))
            return false;
    }
    return true;
}

static void test_limits(void)
{
    char text[8192];
    char out[16];
    size_t len;
    size_t rest;

    memset(text, 'x', sizeof(text));
    memcpy(text, "1;", 2);
    ok(decode(text, 2 + 256, 1000, out, &len, &rest) == HTTP_CHUNKED_MORE,
        "256 bytes of extension");
    ok(decode(text, 2 + 257, 1000, out, &len, &rest) == HTTP_CHUNKED_BAD, "257 are refused");
    memcpy(text, "0\r\n", 3);
    ok(decode(text, 3 + 4096, 10000, out, &len, &rest) == HTTP_CHUNKED_MORE, "4 KB of trailers");
    ok(decode(text, 3 + 4097, 10000, out, &len, &rest) == HTTP_CHUNKED_BAD, "more are refused");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ok(same_at_every_step(&rows[i]), "%s: %s, however it is split", rows[i].name,
            rows[i].body == NULL ? "refused" : "decoded");
    test_limits();
    return done_testing();
}
