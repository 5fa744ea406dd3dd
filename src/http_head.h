/* Finds the end of an HTTP/1 request head and refuses, in the same single pass, everything two
 * parsers could read in two ways. llhttp parses what passes (src/http_parser.h).
 *
 *     METHOD SP target SP HTTP/1.x CR LF
 *     name ":" value CR LF ...
 *     CR LF
 *
 * Sans-I/O: bytes in; "more", "done" or a refusal out. Bytes may come in any pieces: the caller
 * keeps them contiguous from the head's first byte and calls again with more. A line is judged when
 * its LF is there, once.
 *
 * Refused: LF without CR, CR or NUL or any control in a line, bytes over 0x7e anywhere, blank or
 * folded lines, empty names, blanks before the colon, no or two Hosts in 1.1, any doubled or signed
 * Content-Length, Content-Length with Transfer-Encoding, Transfer-Encoding in 1.0 or other than
 * exactly "chunked", '#' or blanks in the target, other versions, unknown methods, WebSocket
 * upgrades in 1.0, with a body, or by another method than GET. */
#ifndef SRC_HTTP_HEAD_H
#define SRC_HTTP_HEAD_H

#include "proto/http.h"

struct http_head_limits {
    size_t head_bytes;
    size_t target_bytes;
    unsigned headers;
};

enum http_head_result { HTTP_HEAD_MORE, HTTP_HEAD_DONE, HTTP_HEAD_BAD };

/* Zeroed before a head's first byte. Offsets are from there. */
struct http_head {
    /* progress */
    uint32_t scanned;    /* no LF before here but those of judged lines */
    uint32_t line_start; /* of the line not yet judged */
    bool in_headers;

    /* what the head says; valid when done */
    uint32_t len; /* of the whole head, blank line included */
    uint32_t target_start;
    uint32_t target_len;
    uint32_t host_start; /* Host's value */
    uint32_t host_len;
    uint64_t content_length;
    unsigned header_count;
    enum http_method method;
    bool version_1_0;
    bool has_host;
    bool has_content_length;
    bool chunked;
    bool expects_continue;
    bool keep_alive; /* asked for or, in 1.1, not refused */
    bool wants_close;
    bool wants_upgrade; /* Connection: upgrade. Offers but WebSocket's are ignored, as they may be:
                           curl --http2 and Java's client offer h2c with their first request */
    bool offers_websocket; /* among what Upgrade names */
    bool wants_websocket;  /* both: a GET of 1.1 without a body; its route says whether it can */

    /* the refusal */
    int status;
    const char *reason; /* static: one clause for the client */
};

enum http_head_result http_head_scan(struct http_head *head, const char *bytes, size_t len,
    const struct http_head_limits *limits) MUST_CHECK;

/* RFC 9110 token characters, for whoever checks names. */
bool http_is_token_char(unsigned char c);

#endif
