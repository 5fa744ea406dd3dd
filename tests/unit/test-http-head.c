/* Heads of requests: what passes, what is refused and how, at every split point; llhttp agrees. */
#include "src/http_head.h"
#include "src/http_parser.h"
#include "tests/lib/tap.h"

static const struct http_head_limits limits = {
    .head_bytes = 1024, .target_bytes = 200, .headers = 20};

struct row {
    const char *name;
    const char *bytes;
    size_t len; /* 0: strlen */
    int status; /* 0: passes */
};

#define H "Host: a\r\n"
#define GOOD(name, text)                                                                           \
    {                                                                                              \
        name, text, sizeof(text) - 1, 0                                                            \
    }
#define BAD(status, name, text)                                                                    \
    {                                                                                              \
        name, text, sizeof(text) - 1, status                                                       \
    }

#define WEBSOCKET "Upgrade: websocket\r\nConnection: Upgrade\r\n"

static const struct row rows[] = {
    GOOD("plain GET", "GET / HTTP/1.1\r\n" H "\r\n"),
    GOOD("query and fragmentless target", "GET /a/b?c=%20d&e HTTP/1.1\r\n" H "\r\n"),
    GOOD("absolute target", "GET http://b:80/x HTTP/1.1\r\n" H "\r\n"),
    GOOD("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n"),
    GOOD("OPTIONS *", "OPTIONS * HTTP/1.1\r\n" H "\r\n"),
    GOOD("length", "POST / HTTP/1.1\r\n" H "Content-Length: 12\r\n\r\n"),
    GOOD("length zero", "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"),
    GOOD("chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
    GOOD("chunked in capitals", "POST / HTTP/1.1\r\n" H "TRANSFER-ENCODING: Chunked\r\n\r\n"),
    GOOD("empty value", "GET / HTTP/1.1\r\n" H "X-Empty:\r\n\r\n"),
    GOOD("blanks around a value", "GET / HTTP/1.1\r\n" H "X: \t a b \t\r\n\r\n"),
    GOOD("every token mark in a name", "GET / HTTP/1.1\r\n" H "a!#$%&'*+-.^_`|~9: x\r\n\r\n"),
    GOOD("offer of h2c",
        "GET / HTTP/1.1\r\n" H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"),
    GOOD("websocket word without Connection", "GET / HTTP/1.1\r\n" H "Upgrade: websocket\r\n\r\n"),
    GOOD("WebSocket", "GET / HTTP/1.1\r\n" H WEBSOCKET "\r\n"),
    GOOD("WebSocket with a length of zero",
        "GET / HTTP/1.1\r\n" H WEBSOCKET "Content-Length: 0\r\n\r\n"),
    GOOD("expect", "PUT / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
    GOOD("IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),

    BAD(400, "LF alone ends a line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    BAD(400, "LF alone ends a header", "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    BAD(400, "LF alone as the blank line", "GET / HTTP/1.1\r\n" H "\n"),
    BAD(400, "CR alone in a value", "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n"),
    BAD(400, "CR hides a header",
        "GET / HTTP/1.1\r\n" H "Empty:\rTransfer-Encoding: chunked\r\n\r\n"),
    BAD(400, "NUL in a value", "GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n"),
    BAD(400, "NUL in the target", "GET /\0 HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "control in a value",
        "GET / HTTP/1.1\r\n" H "X: a\x01"
        "b\r\n\r\n"),
    BAD(400, "DEL in a value", "GET / HTTP/1.1\r\n" H "X: \x7f\r\n\r\n"),
    BAD(400, "0x80 in a value", "GET / HTTP/1.1\r\n" H "X: \x80\r\n\r\n"),
    BAD(400, "0xff in the target", "GET /\xff HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "folded header", "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n"),
    BAD(400, "folded by a tab", "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n"),
    BAD(400, "blank before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    BAD(400, "empty line before the request", "\r\nGET / HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "blank before the request", " GET / HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "empty header name", "GET / HTTP/1.1\r\n" H ": x\r\n\r\n"),
    BAD(400, "blank before the colon", "GET / HTTP/1.1\r\n" H "X : a\r\n\r\n"),
    BAD(400, "blank in a name", "GET / HTTP/1.1\r\n" H "X Y: a\r\n\r\n"),
    BAD(400, "no colon", "GET / HTTP/1.1\r\n" H "Nothing\r\n\r\n"),
    BAD(400, "no Host", "GET / HTTP/1.1\r\n\r\n"),
    BAD(400, "two Hosts", "GET / HTTP/1.1\r\n" H H "\r\n"),
    BAD(400, "two Hosts in 1.0", "GET / HTTP/1.0\r\n" H "Host: b\r\n\r\n"),
    BAD(400, "slash in Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    BAD(400, "user in Host", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    BAD(400, "two lengths",
        "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    BAD(400, "the same length twice",
        "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
    BAD(400, "list of lengths", "POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n"),
    BAD(400, "plus before the length", "POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n"),
    BAD(400, "negative length", "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n"),
    BAD(400, "hexadecimal length", "POST / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\n"),
    BAD(400, "empty length", "POST / HTTP/1.1\r\n" H "Content-Length: \r\n\r\n"),
    BAD(400, "length of 20 digits",
        "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n"),
    BAD(400, "length and chunked",
        "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(400, "chunked and length",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
    BAD(400, "chunked twice",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(400, "chunked in 1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
    BAD(400, "chunked is not last",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n"),
    BAD(400, "identity", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"),
    BAD(400, "xchunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"),
    BAD(400, "quoted chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n"),
    BAD(400, "empty coding", "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"),
    BAD(501, "gzip, chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    BAD(400, "no version", "GET /\r\n" H "\r\n"),
    BAD(400, "lower-case version", "GET / http/1.1\r\n" H "\r\n"),
    BAD(400, "two blanks before the target", "GET  / HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "two blanks before the version", "GET /  HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "blank behind the version", "GET / HTTP/1.1 \r\n" H "\r\n"),
    BAD(400, "tab in the request line", "GET\t/ HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "empty target", "GET  HTTP/1.1\r\n" H "\r\n"),
    BAD(505, "HTTP/2.0", "GET / HTTP/2.0\r\n" H "\r\n"),
    BAD(505, "HTTP/0.9", "GET / HTTP/0.9\r\n" H "\r\n"),
    BAD(505, "HTTP/1.2", "GET / HTTP/1.2\r\n" H "\r\n"),
    BAD(501, "SOURCE", "SOURCE / HTTP/1.1\r\n" H "\r\n"),
    BAD(501, "CONNECT", "CONNECT a:1 HTTP/1.1\r\n" H "\r\n"),
    BAD(501, "get", "get / HTTP/1.1\r\n" H "\r\n"),
    BAD(400, "WebSocket in 1.0", "GET / HTTP/1.0\r\n" H WEBSOCKET "\r\n"),
    BAD(400, "WebSocket by POST", "POST / HTTP/1.1\r\n" H WEBSOCKET "\r\n"),
    BAD(400, "WebSocket by HEAD", "HEAD / HTTP/1.1\r\n" H WEBSOCKET "\r\n"),
    BAD(400, "WebSocket with a body", "GET / HTTP/1.1\r\n" H WEBSOCKET "Content-Length: 1\r\n\r\n"),
    BAD(400, "WebSocket with a chunked body",
        "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n" WEBSOCKET "\r\n"),
    BAD(417, "other expectations", "PUT / HTTP/1.1\r\n" H "Expect: 200-ok\r\n\r\n"),
    BAD(400, "TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
};

static enum http_head_result scan_split(
    struct http_head *head, const struct row *row, size_t first, size_t step)
{
    enum http_head_result result = HTTP_HEAD_MORE;

    *head = (struct http_head){0};
    for (size_t len = first; result == HTTP_HEAD_MORE && len <= row->len; len += step) {
        result = http_head_scan(head, row->bytes, len, &limits);
        if (len < row->len && len + step > row->len)
            len = row->len - step;
    }
    return result;
}

static bool same_at_every_split(const struct row *row)
{
    enum http_head_result wanted = row->status == 0 ? HTTP_HEAD_DONE : HTTP_HEAD_BAD;
    struct http_head head;

    for (size_t first = 0; first <= row->len; first++) {
        if (scan_split(&head, row, first, row->len) != wanted || head.status != row->status)
            return false;
        if (wanted == HTTP_HEAD_DONE && head.len != row->len)
            return false;
    }
    return scan_split(&head, row, 1, 1) == wanted && head.status == row->status;
}

/* What the scanner passes, llhttp passes too, and reads the same. */
static bool llhttp_agrees(const struct row *row)
{
    struct http_request request;
    struct http_head head = {0};
    const char *reason = "";
    struct arena arena;
    char copy[1024];
    int rc;

    if (http_head_scan(&head, row->bytes, row->len, &limits) != HTTP_HEAD_DONE)
        return false;
    memcpy(copy, row->bytes, row->len);
    arena_init(&arena, 0);
    rc = http_parse_head(&head, copy, &arena, &request, &reason);
    arena_fini(&arena);
    if (rc < 0)
        (void)printf("# %s\n", reason);
    return rc == 0;
}

static void test_rows(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        struct http_head head = {0};

        if (!ok(same_at_every_split(row), "%s: %s, however it is split", row->name,
                row->status == 0 ? "passes" : "is refused")) {
            enum http_head_result result = http_head_scan(&head, row->bytes, row->len, &limits);

            (void)printf("# wanted %d, got %d (%d) %s\n", row->status, head.status, (int)result,
                head.reason == NULL ? "" : head.reason);
        }
        if (row->status == 0)
            ok(llhttp_agrees(row), "%s: llhttp agrees", row->name);
    }
}

static void test_fields(void)
{
    static const char text[] =
        "POST /v1/db/a/b/query?x=1 HTTP/1.1\r\nhOST: Tenant.Example.COM:8080\r\n"
        "Content-Type: application/json; charset=utf-8\r\nAccept: a/b\r\n"
        "Authorization: Bearer t\r\nX-Request-ID:  abc.DEF-1_2 \r\ncontent-length: 5\r\n"
        "Connection: keep-alive, close\r\n\r\nhello";
    struct http_request request;
    struct http_head head = {0};
    const char *reason = "";
    struct arena arena;
    char copy[1024];

    arena_init(&arena, 0);
    memcpy(copy, text, sizeof(text));
    ok(http_head_scan(&head, text, sizeof(text) - 1, &limits) == HTTP_HEAD_DONE, "a full head");
    is_int(head.len, sizeof(text) - 1 - 5, "its end is before the body");
    is_int(head.content_length, 5, "content length");
    ok(!head.keep_alive, "close wins over keep-alive");
    ok(http_parse_head(&head, copy, &arena, &request, &reason) == 0, "parses");
    ok(request.method == HTTP_METHOD_POST, "method");
    ok(str_is(request.path, "/v1/db/a/b/query"), "path");
    ok(str_is(request.query, "x=1"), "query");
    ok(str_is(request.host, "tenant.example.com"), "host: lower case, no port");
    ok(str_is(request.content_type, "application/json"), "media type without parameters");
    ok(str_is(request.accept, "a/b"), "accept");
    ok(str_is(request.authorization, "Bearer t"), "authorization");
    ok(str_is(request.request_id, "abc.DEF-1_2"), "request id, trimmed");
    is_int(request.header_count, 7, "headers");
    http_split_host(&request, "example.com");
    ok(str_is(request.host_tenant, "tenant") && request.host_database.len == 0, "{tenant}.base");
    request.host = STR_LITERAL("db-1--acme.example.com");
    http_split_host(&request, "example.com");
    ok(str_is(request.host_tenant, "acme") && str_is(request.host_database, "db-1"),
        "{database}--{tenant}.base");
    request.host_tenant = request.host_database = str_make(NULL, 0);
    request.host = STR_LITERAL("a.b.example.com");
    http_split_host(&request, "example.com");
    ok(request.host_tenant.len == 0, "two labels are nobody's");
    request.host = STR_LITERAL("example.com");
    http_split_host(&request, "example.com");
    ok(request.host_tenant.len == 0, "the base itself is nobody's");
    request.host = STR_LITERAL("aexample.com");
    http_split_host(&request, "example.com");
    ok(request.host_tenant.len == 0, "a domain that only ends alike is nobody's");
    arena_fini(&arena);
}

static void test_targets(void)
{
    static const struct {
        const char *line;
        const char *path; /* NULL: refused */
    } targets[] = {
        {"GET http://h/x?y HTTP/1.1", "/x"},
        {"GET HTTPS://h:1/x HTTP/1.1", "/x"},
        {"GET http://h HTTP/1.1", NULL},
        {"GET http:///x HTTP/1.1", NULL},
        {"GET http://u@h/x HTTP/1.1", NULL},
        {"GET x HTTP/1.1", NULL},
        {"GET * HTTP/1.1", NULL},
        {"OPTIONS * HTTP/1.1", "*"},
        {"GET //x HTTP/1.1", "//x"},
    };

    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct http_request request;
        struct http_head head = {0};
        const char *reason = "";
        struct arena arena;
        char text[200];
        int len = snprintf(text, sizeof(text), "%s\r\n" H "\r\n", targets[i].line);
        bool parsed;

        arena_init(&arena, 0);
        parsed = http_head_scan(&head, text, (size_t)len, &limits) == HTTP_HEAD_DONE &&
                 http_parse_head(&head, text, &arena, &request, &reason) == 0;
        ok(targets[i].path == NULL ? !parsed : parsed && str_is(request.path, targets[i].path),
            "target of %s", targets[i].line);
        arena_fini(&arena);
    }
}

static int status_of(const char *bytes, size_t len)
{
    struct http_head head = {0};

    return http_head_scan(&head, bytes, len, &limits) == HTTP_HEAD_BAD ? head.status : 0;
}

static void test_limits(void)
{
    struct http_head head = {0};
    char text[2048];
    size_t len = 0;

    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    is_int(status_of(text, 1024), 414, "an endless target");
    memcpy(text + 300, " HTTP/1.1\r\n" H "\r\n", 22);
    is_int(status_of(text, 322), 414, "a target over the limit");
    memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
    memset(text + 19, 'a', sizeof(text) - 19);
    is_int(status_of(text, 1023), 0, "one byte under the limit: more");
    is_int(status_of(text, 1024), 431, "at the limit without an end");
    memcpy(text + 1024 - 4 - 9, "\r\n" H, 11);
    memcpy(text + 1022, "\r\n", 2);
    ok(http_head_scan(&head, text, 2048, &limits) == HTTP_HEAD_DONE && head.len == 1024,
        "a head of exactly the limit passes");
    len = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" H);
    for (int i = 0; i < 20; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "X: 1\r\n");
    is_int(status_of(text, len), 431, "too many headers");
}

int main(void)
{
    test_rows();
    test_fields();
    test_targets();
    test_limits();
    return done_testing();
}
