/* One HTTP connection to a server, over libcurl: a request at a time, kept alive between them.
 *
 * Redirects are not followed and only http and https are spoken, so that a token goes nowhere but
 * to the server it is for; requests to this machine never use a proxy from the environment.
 *
 * Threads: main.
 * Limits: an answer may have HTTP_ANSWER_MAX_BYTES. Nothing received for `timeout_s` ends the
 * request, as does Ctrl-C (interrupt.h): the connection is closed, which stops the query. */
#ifndef SRC_ROOK_HTTP_H
#define SRC_ROOK_HTTP_H

#include <sys/types.h>

#include "tenants/base/buf.h"
#include "tenants/base/err.h"

#define HTTP_ANSWER_MAX_BYTES (1UL << 30)
#define HTTP_CONNECT_TIMEOUT_S 10

struct http;

struct http_answer {
    int status;
    struct buf body;
    char request_id[80];
    long retry_after_s; /* -1: not said */
    uint64_t elapsed_ns;
};

/* True for http://…, https://… and unix:/path; what http_new takes. */
bool http_is_url(const char *url);

/* Nothing is sent yet. Copies its arguments; the token may be NULL. timeout_s 0: never.
 * Errors: ERR_BAD_REQUEST for a URL it does not take. */
struct http *http_new(const char *url, const char *token, long timeout_s, struct err *ret_err)
    MUST_CHECK;
void http_free(struct http *http); /* NULL is fine */

/* Adds a header to all later requests. */
void http_add_header(struct http *http, const char *name, const char *value);

/* Sends a request and waits for its answer, whatever its status. `path` begins with '/'; `body` is
 * JSON, or NULL. `ret_answer` is zeroed by the caller before its first use, may be used again and
 * is the caller's to end with http_answer_fini().
 * Errors: ERR_UNAVAILABLE no connection, none in time, or it broke; ERR_CANCELLED Ctrl-C;
 * ERR_TOO_LARGE. */
int http_call(struct http *http, const char *method, const char *path, const struct buf *body,
    struct http_answer *ret_answer, struct err *ret_err) MUST_CHECK;
/* A body that is not held: read from, or written to, the caller's calls, which return how much, or
 * -1, which ends it. */
struct http_transfer {
    const char *content_type;                                    /* of an upload */
    int64_t upload_bytes;                                        /* -1: not known, sent in chunks */
    ssize_t (*read)(void *user, char *bytes, size_t len);        /* NULL: nothing is uploaded */
    ssize_t (*write)(void *user, const char *bytes, size_t len); /* of an answer with status 200 */
    void (*progress)(void *user, uint64_t at, uint64_t total);   /* total 0: not known */
    void *user;
    void *progress_user;
};

/* As http_call(); an answer that is written is not in ret_answer->body. ERR_UNAVAILABLE also when
 * the server ended it before its end. */
int http_transfer(struct http *http, const char *method, const char *path,
    const struct http_transfer *transfer, struct http_answer *ret_answer, struct err *ret_err)
    MUST_CHECK;
void http_answer_fini(struct http_answer *answer);

/* Appends `text` as one segment of a path: '/' and everything special is percent-encoded, '@' (a
 * branch's) is not. */
void http_path_segment(struct buf *out, const char *text);

#endif
