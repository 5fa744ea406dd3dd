#include "src/http_head.h"

enum {
    TOKEN = 1,  /* method, header name */
    VALUE = 2,  /* header value: visible, blank, tab */
    TARGET = 4, /* visible, but '#' */
    HOST = 8,   /* letters, digits, and what addresses are written with */
};

/* clang-format off */
#define LETTER (TOKEN | VALUE | TARGET | HOST)
#define MARK (TOKEN | VALUE | TARGET)
#define OTHER (VALUE | TARGET)
static const unsigned char classes[256] = {
    ['\t'] = VALUE, [' '] = VALUE, ['#'] = TOKEN | VALUE,
    ['!'] = MARK, ['$'] = MARK, ['%'] = MARK, ['&'] = MARK, ['\''] = MARK, ['*'] = MARK,
    ['+'] = MARK, ['^'] = MARK, ['`'] = MARK, ['|'] = MARK, ['~'] = MARK,
    ['-'] = LETTER, ['.'] = LETTER, ['_'] = LETTER,
    ['0' ... '9'] = LETTER, ['A' ... 'Z'] = LETTER, ['a' ... 'z'] = LETTER,
    ['"'] = OTHER, ['('] = OTHER, [')'] = OTHER, [','] = OTHER, ['/'] = OTHER, [';'] = OTHER,
    ['<'] = OTHER, ['='] = OTHER, ['>'] = OTHER, ['?'] = OTHER, ['@'] = OTHER, ['\\'] = OTHER,
    ['{'] = OTHER, ['}'] = OTHER,
    [':'] = OTHER | HOST, ['['] = OTHER | HOST, [']'] = OTHER | HOST,
};
/* clang-format on */

bool http_is_token_char(unsigned char c)
{
    return (classes[c] & TOKEN) != 0;
}

static int bad(struct http_head *head, int status, const char *reason)
{
    head->status = status;
    head->reason = reason;
    return -1;
}

static size_t span_of(const char *bytes, size_t len, unsigned char wanted)
{
    size_t at = 0;

    while (at < len && (classes[(unsigned char)bytes[at]] & wanted) != 0)
        at++;
    return at;
}

static int read_method(struct http_head *head, struct str name)
{
    static const struct {
        const char *name;
        enum http_method method;
    } known[] = {
        {"GET", HTTP_METHOD_GET},
        {"POST", HTTP_METHOD_POST},
        {"HEAD", HTTP_METHOD_HEAD},
        {"PUT", HTTP_METHOD_PUT},
        {"PATCH", HTTP_METHOD_PATCH},
        {"DELETE", HTTP_METHOD_DELETE},
        {"OPTIONS", HTTP_METHOD_OPTIONS},
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_is(name, known[i].name)) {
            head->method = known[i].method;
            return 0;
        }
    }
    return bad(head, 501, "this method is not supported");
}

static int read_version(struct http_head *head, struct str version)
{
    if (version.len != 8 || memcmp(version.ptr, "HTTP/", 5) != 0 || version.ptr[5] < '0' ||
        version.ptr[5] > '9' || version.ptr[6] != '.' || version.ptr[7] < '0' ||
        version.ptr[7] > '9')
        return bad(head, 400, "the request line does not end in HTTP/1.1");
    if (version.ptr[5] != '1' || version.ptr[7] > '1')
        return bad(head, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    head->version_1_0 = version.ptr[7] == '0';
    head->keep_alive = !head->version_1_0;
    return 0;
}

/* line is without CR LF */
static int read_request_line(struct http_head *head, const char *bytes, struct str line,
    const struct http_head_limits *limits)
{
    size_t method_len = span_of(line.ptr, line.len, TOKEN);
    struct str rest;
    size_t target_len;

    if (method_len == 0 || method_len == line.len || line.ptr[method_len] != ' ')
        return bad(head, 400, "the request line is malformed");
    rest = str_make(line.ptr + method_len + 1, line.len - method_len - 1);
    target_len = span_of(rest.ptr, rest.len, TARGET);
    if (target_len > limits->target_bytes)
        return bad(head, 414, "the request target is too long");
    if (target_len == 0 || target_len == rest.len || rest.ptr[target_len] != ' ')
        return bad(head, 400, "the request target is malformed");
    head->target_start = (uint32_t)(rest.ptr - bytes);
    head->target_len = (uint32_t)target_len;
    if (read_version(head, str_make(rest.ptr + target_len + 1, rest.len - target_len - 1)) < 0)
        return -1;
    return read_method(head, str_make(line.ptr, method_len));
}

static int read_content_length(struct http_head *head, struct str value)
{
    if (head->has_content_length)
        return bad(head, 400, "Content-Length is given twice");
    if (value.len > 19 || str_to_u64(value, &head->content_length) < 0)
        return bad(head, 400, "Content-Length is not a number");
    head->has_content_length = true;
    return 0;
}

static int read_transfer_encoding(struct http_head *head, struct str value)
{
    struct str rest = value;
    struct str last = value;

    if (head->chunked)
        return bad(head, 400, "Transfer-Encoding is given twice");
    if (!str_is_nocase(value, "chunked")) {
        while (rest.ptr != NULL)
            last = str_trim(str_split(&rest, ','));
        return str_is_nocase(last, "chunked")
                   ? bad(head, 501, "only the transfer coding 'chunked' is supported, alone")
                   : bad(head, 400, "Transfer-Encoding does not end in 'chunked'");
    }
    head->chunked = true;
    return 0;
}

static int read_host(struct http_head *head, const char *bytes, struct str value)
{
    if (head->has_host)
        return bad(head, 400, "Host is given twice");
    if (span_of(value.ptr, value.len, HOST) != value.len || value.len > 300)
        return bad(head, 400, "Host is malformed");
    head->has_host = true;
    head->host_start = (uint32_t)(value.ptr - bytes);
    head->host_len = (uint32_t)value.len;
    return 0;
}

static void read_connection(struct http_head *head, struct str value)
{
    struct str rest = value;

    while (rest.ptr != NULL) {
        struct str word = str_trim(str_split(&rest, ','));

        if (str_is_nocase(word, "close"))
            head->wants_close = true;
        else if (str_is_nocase(word, "keep-alive"))
            head->keep_alive = true;
        else if (str_is_nocase(word, "upgrade"))
            head->wants_upgrade = true;
    }
}

static void read_upgrade(struct http_head *head, struct str value)
{
    struct str rest = value;

    while (rest.ptr != NULL)
        head->offers_websocket |= str_is_nocase(str_trim(str_split(&rest, ',')), "websocket");
}

/* The headers that decide where the message ends; by length first, since most are none of them. */
static int read_framing(
    struct http_head *head, const char *bytes, struct str name, struct str value)
{
    switch (name.len) {
    case 4:
        if (str_is_nocase(name, "host"))
            return read_host(head, bytes, value);
        break;
    case 6:
        if (str_is_nocase(name, "expect")) {
            if (!str_is_nocase(value, "100-continue"))
                return bad(head, 417, "only Expect: 100-continue is understood");
            head->expects_continue = !head->version_1_0;
        }
        break;
    case 7:
        if (str_is_nocase(name, "upgrade"))
            read_upgrade(head, value);
        break;
    case 10:
        if (str_is_nocase(name, "connection"))
            read_connection(head, value);
        break;
    case 14:
        if (str_is_nocase(name, "content-length"))
            return read_content_length(head, value);
        break;
    case 17:
        if (str_is_nocase(name, "transfer-encoding"))
            return read_transfer_encoding(head, value);
        break;
    default:
        break;
    }
    return 0;
}

static int read_header(struct http_head *head, const char *bytes, struct str line,
    const struct http_head_limits *limits)
{
    size_t name_len = span_of(line.ptr, line.len, TOKEN);
    const char *value = line.ptr + name_len + 1;
    size_t value_len;

    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return bad(head, 400, "a header line starts with a blank");
    if (name_len == 0 || name_len == line.len || line.ptr[name_len] != ':')
        return bad(head, 400, "a header name is malformed");
    value_len = line.len - name_len - 1;
    if (span_of(value, value_len, VALUE) != value_len)
        return bad(head, 400, "a header value holds a control or non-ASCII byte");
    if (++head->header_count > limits->headers)
        return bad(head, 431, "too many headers");
    return read_framing(
        head, bytes, str_make(line.ptr, name_len), str_trim(str_make(value, value_len)));
}

/* What comes behind the head of an upgrade is not HTTP: there must be no two ways to read it. */
static int judge_websocket(struct http_head *head)
{
    if (head->version_1_0)
        return bad(head, 400, "WebSocket takes HTTP/1.1");
    if (head->method != HTTP_METHOD_GET)
        return bad(head, 400, "a WebSocket begins with GET");
    if (head->chunked || head->content_length > 0)
        return bad(head, 400, "a request for a WebSocket has no body");
    head->wants_websocket = true;
    return 0;
}

/* The whole head is there: what only its lines together can say. */
static int judge(struct http_head *head)
{
    if (!head->has_host && !head->version_1_0)
        return bad(head, 400, "Host is missing");
    if (head->chunked && head->has_content_length)
        return bad(head, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (head->chunked && head->version_1_0)
        return bad(head, 400, "Transfer-Encoding does not exist in HTTP/1.0");
    if (head->wants_upgrade && head->offers_websocket && judge_websocket(head) < 0)
        return -1;
    if (head->wants_close)
        head->keep_alive = false;
    return 0;
}

static int read_line(struct http_head *head, const char *bytes, struct str line,
    const struct http_head_limits *limits)
{
    if (line.len == 0 || line.ptr[line.len - 1] != '\r')
        return bad(head, 400, "a line ends without CR");
    line.len--;
    if (!head->in_headers) {
        head->in_headers = true;
        return read_request_line(head, bytes, line, limits);
    }
    if (line.len == 0) {
        head->len = (uint32_t)(line.ptr + 2 - bytes);
        return judge(head);
    }
    return read_header(head, bytes, line, limits);
}

/* The head is over its limit and not at its end: whose fault is it? */
static int too_large(struct http_head *head, const char *bytes, size_t len)
{
    if (!head->in_headers && memchr(bytes, ' ', MIN(len, 16)) != NULL)
        return bad(head, 414, "the request target is too long");
    return bad(head, 431, "the request's headers are too large");
}

enum http_head_result http_head_scan(
    struct http_head *head, const char *bytes, size_t len, const struct http_head_limits *limits)
{
    size_t visible = MIN(len, limits->head_bytes);

    if (!head->in_headers && len > 0 && !http_is_token_char((unsigned char)bytes[0])) {
        (void)bad(head, 400, "the request line is malformed"); /* do not wait for its LF: TLS? */
        return HTTP_HEAD_BAD;
    }
    while (head->len == 0) {
        const char *lf = memchr(bytes + head->scanned, '\n', visible - head->scanned);
        struct str line;

        if (lf == NULL) {
            head->scanned = (uint32_t)visible;
            if (len < limits->head_bytes)
                return HTTP_HEAD_MORE;
            (void)too_large(head, bytes, len);
            return HTTP_HEAD_BAD;
        }
        line = str_make(bytes + head->line_start, (size_t)(lf - bytes) - head->line_start);
        head->scanned = (uint32_t)(lf + 1 - bytes);
        head->line_start = head->scanned;
        if (read_line(head, bytes, line, limits) < 0)
            return HTTP_HEAD_BAD;
    }
    return HTTP_HEAD_DONE;
}
