/* Writes the head of an answer. Sans-I/O: bytes into a buf; the connection sends them. */
#ifndef SRC_HTTP_WRITER_H
#define SRC_HTTP_WRITER_H

#include "proto/http.h"

#define HTTP_DATE_BYTES 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and its NUL */

enum http_framing {
    HTTP_FRAMING_LENGTH,  /* Content-Length */
    HTTP_FRAMING_CHUNKED, /* Transfer-Encoding: chunked */
    HTTP_FRAMING_CLOSE,   /* HTTP/1.0: the end of the connection */
};

struct http_head_out {
    enum http_framing framing;
    uint64_t content_length;
    struct str date;
    struct str request_id;
    struct str allow_origin; /* len 0: no CORS headers */
    bool close;
    bool say_keep_alive; /* to an HTTP/1.0 client that asked for it */
};

/* Status line to blank line. Answers with 1xx, 204 or 304 get no framing header. */
void http_write_head(
    struct buf *out, const struct http_response *response, const struct http_head_out *head);
/* "1a2b\r\n" before a chunk; the CR LF behind it is the caller's. */
void http_write_chunk_size(struct buf *out, uint64_t size);
bool http_status_has_body(int status);
void http_format_date(int64_t wall_ms, char out[HTTP_DATE_BYTES]);
/* {"success":false,"error":…,"code":…,"requestId":…}: the default shape, for errors no dialect
 * sees. `message` and `code` are our own texts (no quotes in them). */
void http_write_error_body(
    struct buf *out, const char *message, const char *code, struct str request_id);

#endif
