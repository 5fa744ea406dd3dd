/* Parses a request head that http_head_scan() has passed, with llhttp in strict mode, into struct
 * http_request. The two must agree on method, length and coding, else the request is refused: a
 * second pair of eyes against smuggling.
 *
 * Every text of the result is a view into `bytes`, which are written to (the host is lower-cased)
 * and must live as long as the request. No I/O, no state between heads. */
#ifndef SRC_HTTP_PARSER_H
#define SRC_HTTP_PARSER_H

#include "proto/http.h"
#include "src/http_head.h"
#include "tenants/base/arena.h"

#define HTTP_REQUEST_ID_MAX 64

/* `bytes` holds head->len bytes. Sets everything but body, request_id made by us, remote, secure.
 * request_id is the client's when it is 1-64 of [A-Za-z0-9._-], else empty.
 * -1: *ret_reason says why (400); nothing is kept. Memory: the arena, for the header table. */
int http_parse_head(const struct http_head *head, char *bytes, struct arena *arena,
    struct http_request *ret_request, const char **ret_reason) MUST_CHECK;

/* Splits `{tenant}.base` and `{database}--{tenant}.base` (`base` without leading dot, lower case)
 * into host_tenant and host_database; leaves them empty for other hosts. */
void http_split_host(struct http_request *request, const char *base);

#endif
