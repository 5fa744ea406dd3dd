#include "src/http_parser.h"

#include <llhttp.h>

struct collector {
    struct http_header *headers;
    size_t count;
    size_t capacity;
    struct str target;
    bool overflowed;
};

static struct collector *collector_of(llhttp_t *native)
{
    return native->data;
}

/* A span may come in pieces; they adjoin, since the head is fed whole. */
static void extend(struct str *span, const char *at, size_t len)
{
    if (span->ptr == NULL)
        *span = str_make(at, len);
    else
        span->len = (size_t)(at + len - span->ptr);
}

static int on_url(llhttp_t *native, const char *at, size_t len)
{
    extend(&collector_of(native)->target, at, len);
    return 0;
}

static int on_header_field(llhttp_t *native, const char *at, size_t len)
{
    struct collector *to = collector_of(native);

    if (to->count > 0) {
        struct http_header *last = &to->headers[to->count - 1];

        if (last->value.ptr == NULL && last->name.ptr + last->name.len == at) {
            last->name.len += len;
            return 0;
        }
    }
    if (to->count == to->capacity) {
        to->overflowed = true;
        return HPE_USER;
    }
    to->headers[to->count++] = (struct http_header){.name = str_make(at, len)};
    return 0;
}

static int on_header_value(llhttp_t *native, const char *at, size_t len)
{
    struct collector *to = collector_of(native);

    if (to->count == 0)
        return HPE_USER;
    extend(&to->headers[to->count - 1].value, at, len);
    return 0;
}

static int on_headers_complete(llhttp_t *native)
{
    (void)native;
    return HPE_PAUSED;
}

static enum http_method method_of(const llhttp_t *native)
{
    switch (native->method) {
    case HTTP_GET:
        return HTTP_METHOD_GET;
    case HTTP_HEAD:
        return HTTP_METHOD_HEAD;
    case HTTP_POST:
        return HTTP_METHOD_POST;
    case HTTP_PUT:
        return HTTP_METHOD_PUT;
    case HTTP_PATCH:
        return HTTP_METHOD_PATCH;
    case HTTP_DELETE:
        return HTTP_METHOD_DELETE;
    default:
        return HTTP_METHOD_OPTIONS;
    }
}

/* Both parsers read the same message? */
static bool agrees(const llhttp_t *native, const struct collector *found, const char *bytes,
    const struct http_head *head)
{
    return found->count == head->header_count && method_of(native) == head->method &&
           ((native->flags & F_CHUNKED) != 0) == head->chunked &&
           ((native->flags & F_CONTENT_LENGTH) != 0) == head->has_content_length &&
           (!head->has_content_length || native->content_length == head->content_length) &&
           native->http_minor == (head->version_1_0 ? 0 : 1) &&
           found->target.ptr == bytes + head->target_start && found->target.len == head->target_len;
}

/* Runs llhttp over the head alone; where the body ends is for the connection to count. */
static int run_llhttp(const struct http_head *head, const char *bytes, struct collector *found)
{
    static const llhttp_settings_t settings = {.on_url = on_url,
        .on_header_field = on_header_field,
        .on_header_value = on_header_value,
        .on_headers_complete = on_headers_complete};
    llhttp_t native;
    llhttp_errno_t rc;

    llhttp_init(&native, HTTP_REQUEST, &settings);
    native.data = found;
    rc = llhttp_execute(&native, bytes, head->len);
    return rc == HPE_PAUSED && agrees(&native, found, bytes, head) ? 0 : -1;
}

static void lower_case(char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] >= 'A' && at[i] <= 'Z')
            at[i] = (char)(at[i] | 0x20);
    }
}

static struct str without_port(struct str host)
{
    size_t end;

    if (host.len > 0 && host.ptr[0] == '[') {
        end = str_find(host, ']');
        return end == host.len ? host : str_make(host.ptr, end + 1);
    }
    return str_make(host.ptr, str_find(host, ':'));
}

/* "/path?query", "*", or "http://host/path?query", whose host counts more than the header. */
static int split_target(struct http_request *request, struct str *host)
{
    struct str rest = request->target;
    size_t scheme = str_starts_with_nocase(rest, "http://")    ? 7
                    : str_starts_with_nocase(rest, "https://") ? 8
                                                               : 0;
    size_t at;

    if (scheme > 0) {
        rest = str_make(rest.ptr + scheme, rest.len - scheme);
        for (at = 0; at < rest.len && rest.ptr[at] != '/' && rest.ptr[at] != '?';)
            at++;
        if (at == 0 || memchr(rest.ptr, '@', at) != NULL)
            return -1;
        *host = str_make(rest.ptr, at);
        rest = str_make(rest.ptr + at, rest.len - at);
        if (rest.len == 0 || rest.ptr[0] == '?')
            return -1;
    } else if (rest.ptr[0] != '/' &&
               !(str_is(rest, "*") && request->method == HTTP_METHOD_OPTIONS)) {
        return -1;
    }
    at = str_find(rest, '?');
    request->path = str_make(rest.ptr, at);
    request->query = at == rest.len ? str_make(rest.ptr + at, 0)
                                    : str_make(rest.ptr + at + 1, rest.len - at - 1);
    return 0;
}

static bool is_sane_id(struct str id)
{
    if (id.len == 0 || id.len > HTTP_REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static void pick(struct http_request *request, const struct http_header *header)
{
    struct str name = header->name;
    struct str value = header->value;

    switch (name.len) {
    case 6:
        if (str_is_nocase(name, "accept"))
            request->accept = value;
        break;
    case 12:
        if (str_is_nocase(name, "content-type"))
            request->content_type = str_trim(str_make(value.ptr, str_find(value, ';')));
        else if (str_is_nocase(name, "x-request-id") && is_sane_id(value))
            request->request_id = value;
        break;
    case 13:
        if (str_is_nocase(name, "authorization"))
            request->authorization = value;
        break;
    default:
        break;
    }
}

int http_parse_head(const struct http_head *head, char *bytes, struct arena *arena,
    struct http_request *ret_request, const char **ret_reason)
{
    struct http_request request = {
        .method = head->method, .wants_websocket = head->wants_websocket};
    struct collector found = {.capacity = head->header_count};
    struct str host = str_make(bytes + head->host_start, head->host_len);

    found.headers = arena_array(arena, MAX(found.capacity, 1), sizeof(*found.headers));
    if (found.headers == NULL || run_llhttp(head, bytes, &found) < 0) {
        *ret_reason = "the request is malformed";
        return -1;
    }
    for (size_t i = 0; i < found.count; i++) {
        found.headers[i].value =
            found.headers[i].value.ptr == NULL ? str_make("", 0) : str_trim(found.headers[i].value);
        pick(&request, &found.headers[i]);
    }
    request.target = found.target;
    request.headers = found.headers;
    request.header_count = found.count;
    if (split_target(&request, &host) < 0) {
        *ret_reason = "the request target is malformed";
        return -1;
    }
    host = without_port(host);
    lower_case(bytes + (host.ptr - bytes), host.len);
    request.host = host;
    *ret_request = request;
    return 0;
}

void http_split_host(struct http_request *request, const char *base)
{
    struct str host = request->host;
    size_t base_len = strlen(base);
    struct str label;

    if (base_len == 0 || host.len <= base_len + 1 || host.ptr[host.len - base_len - 1] != '.' ||
        memcmp(host.ptr + host.len - base_len, base, base_len) != 0)
        return;
    label = str_make(host.ptr, host.len - base_len - 1);
    if (memchr(label.ptr, '.', label.len) != NULL)
        return;
    for (size_t i = 1; i + 2 < label.len; i++) {
        if (label.ptr[i] == '-' && label.ptr[i + 1] == '-') {
            request->host_database = str_make(label.ptr, i);
            request->host_tenant = str_make(label.ptr + i + 2, label.len - i - 2);
            return;
        }
    }
    request->host_tenant = label;
}
