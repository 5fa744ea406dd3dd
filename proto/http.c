#include "proto/http.h"

#include "tenants/base/arena.h"

struct str http_header_get(const struct http_request *request, const char *name)
{
    struct str wanted = str_from(name);

    for (size_t i = 0; i < request->header_count; i++) {
        if (request->headers[i].name.len == wanted.len &&
            str_equal_nocase(request->headers[i].name, wanted))
            return request->headers[i].value;
    }
    return str_make(NULL, 0);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* ptr NULL when an escape is malformed or makes a NUL. */
static struct str percent_decode(struct arena *arena, struct str text, bool plus_is_blank)
{
    const struct str malformed = {.ptr = NULL};
    char *out = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    if (out == NULL)
        return malformed;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '%') {
            int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;

            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return malformed;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return str_make(out, len);
}

struct str http_decode_segment(struct arena *arena, struct str segment, bool allow_slash)
{
    struct str decoded = percent_decode(arena, segment, false);

    if (decoded.ptr != NULL && !allow_slash && str_find(decoded, '/') < decoded.len)
        return str_make(NULL, 0);
    return decoded;
}

struct str http_query_get(const struct http_request *request, struct arena *arena, const char *name)
{
    struct str rest = request->query;

    while (rest.len > 0) {
        struct str value = str_split(&rest, '&');
        struct str key = str_split(&value, '=');

        if (str_is(key, name))
            return percent_decode(arena, value, true);
    }
    return str_make(NULL, 0);
}

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i].status == status)
            return texts[i].text;
    }
    return "Unknown";
}

void http_response_header(struct http_response *response, const char *name, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return;
    }
    if (response->header_count < HTTP_RESPONSE_HEADERS_MAX)
        response->headers[response->header_count++] =
            (struct http_header){.name = str_from(name), .value = value};
}
