/* Heads and chunked bodies from strangers. What it holds to:
 * - one verdict, whatever pieces the bytes came in;
 * - what the scanner passes, llhttp passes (http_parse_head checks that they read the same);
 * - every view of the result lies inside the head;
 * - a chunked body never gives more bytes than it took. */
#include "src/http_chunked.h"
#include "src/http_head.h"
#include "src/http_parser.h"
#include "tenants/base/check.h"
#include "tests/fuzz/target.h"

static const struct http_head_limits limits = {
    .head_bytes = 4096, .target_bytes = 1024, .headers = 40};

static bool inside(struct str view, const char *bytes, size_t len)
{
    return view.len == 0 || (view.ptr >= bytes && view.ptr + view.len <= bytes + len);
}

static void check_request(const struct http_head *head, const char *bytes)
{
    char copy[4096];
    struct http_request request;
    const char *reason = "";
    struct arena arena;
    size_t len = head->len;

    CHECK(len <= sizeof(copy) && memcmp(bytes + len - 4, "\r\n\r\n", 4) == 0);
    memcpy(copy, bytes, len);
    arena_init(&arena, 0);
    if (http_parse_head(head, copy, &arena, &request, &reason) == 0) {
        CHECK(request.header_count == head->header_count);
        CHECK(inside(request.path, copy, len) && inside(request.query, copy, len));
        CHECK(inside(request.host, copy, len) && inside(request.request_id, copy, len));
        for (size_t i = 0; i < request.header_count; i++) {
            CHECK(inside(request.headers[i].name, copy, len) && request.headers[i].name.len > 0);
            CHECK(inside(request.headers[i].value, copy, len));
        }
        http_split_host(&request, "example.com");
    }
    arena_fini(&arena);
}

static void check_head(const char *bytes, size_t len, size_t step)
{
    struct http_head whole = {0};
    struct http_head pieces = {0};
    enum http_head_result at_once = http_head_scan(&whole, bytes, len, &limits);
    enum http_head_result bit_by_bit = HTTP_HEAD_MORE;

    for (size_t have = 0; bit_by_bit == HTTP_HEAD_MORE && have < len;) {
        have = MIN(have + step, len);
        bit_by_bit = http_head_scan(&pieces, bytes, have, &limits);
    }
    CHECK(at_once == bit_by_bit && whole.len == pieces.len);
    CHECK(at_once != HTTP_HEAD_BAD || (whole.status >= 400 && whole.reason != NULL));
    if (at_once == HTTP_HEAD_DONE)
        check_request(&whole, bytes);
}

static void check_chunked(const char *bytes, size_t len, size_t step)
{
    struct http_chunked chunked = {0};
    enum http_chunked_result result = HTTP_CHUNKED_MORE;
    size_t at = 0;
    size_t body = 0;

    while (at < len && result == HTTP_CHUNKED_MORE) {
        struct str part;
        size_t taken = 0;

        result = http_chunked_feed(&chunked, bytes + at, MIN(step, len - at), &taken, &part);
        CHECK(taken > 0 && taken <= len - at && inside(part, bytes + at, taken));
        at += taken;
        body += part.len;
    }
    CHECK(body <= at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    size_t step;

    if (size < 1)
        return 0;
    step = (size_t)(data[0] % 16) + 1; /* the first byte says in what pieces */
    check_head(bytes + 1, size - 1, step);
    check_chunked(bytes + 1, size - 1, step);
    return 0;
}
