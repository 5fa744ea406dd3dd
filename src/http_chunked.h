/* Decodes a chunked request body, strictly (RFC 9112, 7.1).
 *
 *     size-in-hex [";" extension] CR LF  bytes CR LF  ...  "0" CR LF [trailers] CR LF
 *
 * llhttp could do this too, but takes extensions and trailers without bound; here every byte that
 * is not body is counted and limited: extensions 256 bytes a chunk, trailers 4 KB in all. Trailers
 * are checked for their form and dropped: no header counts that comes behind the body.
 *
 * Sans-I/O, no allocation. Feed any pieces; each call says how much it took and which part of it is
 * body (at most one run of bytes per call). */
#ifndef SRC_HTTP_CHUNKED_H
#define SRC_HTTP_CHUNKED_H

#include "tenants/base/str.h"

#define HTTP_CHUNK_EXTENSION_MAX 256
#define HTTP_TRAILER_MAX 4096

enum http_chunked_result { HTTP_CHUNKED_MORE, HTTP_CHUNKED_DONE, HTTP_CHUNKED_BAD };

/* Zeroed at the body's first byte. */
struct http_chunked {
    uint64_t left; /* of the chunk */
    unsigned state;
    unsigned digits;   /* of the size seen */
    unsigned overhead; /* bytes of this extension, or of all trailers */
    bool line_is_empty;
};

/* Takes from `bytes`; *ret_taken of them are done with, *ret_body is the part of those that is body
 * (len 0: none). MORE with *ret_taken < len means: call again with the rest. */
enum http_chunked_result http_chunked_feed(struct http_chunked *chunked, const char *bytes,
    size_t len, size_t *ret_taken, struct str *ret_body) MUST_CHECK;

#endif
