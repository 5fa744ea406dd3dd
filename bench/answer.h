/* An HTTP/1.1 answer as a load driver needs it: where it ends, its status, its body.
 *
 * Sans-I/O: the caller keeps the bytes of one answer in one buffer and asks again whenever more
 * have come in. No pipelining: one answer per buffer. Chunked bodies are decoded in place, so after
 * ANSWER_DONE the body is one piece whatever the framing was.
 *
 * Threads: any; no globals.   Ownership: nothing is allocated, spans point into the buffer. */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

enum answer_state { ANSWER_MORE, ANSWER_DONE, ANSWER_BAD };

struct answer {
    int status;
    bool closes; /* the server will close the connection after this answer */
    bool chunked;
    size_t head_len;    /* 0 until the blank line is in */
    size_t body_len;    /* decoded so far, at buffer + head_len */
    size_t content_len; /* without chunked: what the head announced */
    size_t scanned;     /* chunked: where the next undecoded chunk starts */
};

/* Looks at the `len` bytes received so far. `answer` is zeroed before the first call and kept
 * between calls. ANSWER_BAD: not an HTTP/1.x answer, or one without a length. ANSWER_DONE: the
 * answer is complete; bytes after it, which a driver without pipelining never asked for, are
 * ANSWER_BAD. */
enum answer_state answer_scan(struct answer *answer, char *buffer, size_t len);

#endif
