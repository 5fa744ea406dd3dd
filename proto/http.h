/* The HTTP message model between src/ (which reads and writes sockets) and the dialects. No I/O. */
#ifndef PROTO_HTTP_H
#define PROTO_HTTP_H

#include "tenants/base/buf.h"

#define HTTP_RESPONSE_HEADERS_MAX 12

enum http_method {
    HTTP_METHOD_GET = 1 << 0,
    HTTP_METHOD_HEAD = 1 << 1,
    HTTP_METHOD_POST = 1 << 2,
    HTTP_METHOD_PUT = 1 << 3,
    HTTP_METHOD_PATCH = 1 << 4,
    HTTP_METHOD_DELETE = 1 << 5,
    HTTP_METHOD_OPTIONS = 1 << 6,
};

struct http_header {
    struct str name;
    struct str value; /* without blanks around it */
};

/* Views into the connection's buffer or the exchange's arena; valid until the answer is finished.
 */
struct http_request {
    enum http_method method;
    struct str target;        /* as received */
    struct str path;          /* without query; still percent-encoded */
    struct str query;         /* after '?', "" when none */
    struct str host;          /* without port, lower case */
    struct str host_tenant;   /* from {tenant}.base or {database}--{tenant}.base; len 0: none */
    struct str host_database; /* from {database}--{tenant}.base; len 0: none */
    const struct http_header *headers;
    size_t header_count;
    struct str content_type; /* the media type alone, parameters cut off */
    struct str accept;
    struct str authorization;
    struct str body;
    struct str request_id; /* taken when sane, else made */
    struct str remote;     /* client's address, after trusted proxies */
    bool secure;
    bool wants_websocket; /* Connection: Upgrade, Upgrade: websocket; a GET of 1.1 without a body */
    bool foreign_origin;  /* a browser's page asks whose origin the settings do not let in */
};

/* First header of that name, without case; ptr NULL when there is none. */
struct str http_header_get(const struct http_request *request, const char *name);
/* Decoded value of a query parameter (in the arena), ptr NULL when absent. `+` is a blank. */
struct arena;
struct str http_query_get(
    const struct http_request *request, struct arena *arena, const char *name);
/* Percent-decodes one path segment into the arena. ptr NULL: malformed, or a NUL or slash appears
 * where `allow_slash` is false. */
struct str http_decode_segment(struct arena *arena, struct str segment, bool allow_slash);
const char *http_status_text(int status);

struct http_response {
    int status;
    const char *content_type; /* static; NULL: no body */
    struct http_header headers[HTTP_RESPONSE_HEADERS_MAX];
    size_t header_count;
    struct buf body;       /* owned */
    uint64_t stream_bytes; /* of a streamed answer whose size is known; 0: not */
    bool close;            /* close the connection after it */
};

/* Adds a header; texts must live as long as the exchange. Never with bytes from a stranger that
 * were not checked for CR and LF: a value with control characters is dropped. */
void http_response_header(struct http_response *response, const char *name, struct str value);

#endif
