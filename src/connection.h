/* One client connection on its loop.
 *
 *             first byte           blank line          last byte         answered
 *     IDLE ---------------> HEAD -------------> BODY -------------> BUSY ---------> IDLE
 *       ^                     |   no body: ------------------------> ^                |
 *       |                     v                                                       |
 *       |                  LINGER (error or Connection: close: FIN sent, rest thrown   |
 *       |                     |     away, so that the client can read the answer)     |
 *       +---------------------|-------------------------------------------------------+
 *     BUSY --101--> WEBSOCKET --close frame--> LINGER   (src/websocket_session.h)
 *     any --------------> CLOSING (uv_close called; memory goes in its callback)
 *
 * Requests are answered one at a time and in order; what is pipelined behind the one that is BUSY
 * waits in `in`, up to a bound, then in the kernel. Answers that are ready in one go leave in one
 * write. A connection between requests holds no buffer: about 700 bytes.
 *
 * Thread: its loop's, always. */
#ifndef SRC_CONNECTION_H
#define SRC_CONNECTION_H

#include "src/turn.h"

#define CONNECTION_IN_MAX (128UL * 1024)
#define CONNECTION_PROGRESS_BYTES (64UL * 1024)
#define CONNECTION_UNSENT_BYTES (128 * 1024) /* in the kernel, not yet on the wire */

enum connection_state {
    CONNECTION_IDLE,
    CONNECTION_HEAD,
    CONNECTION_BODY,
    CONNECTION_BUSY,
    CONNECTION_WEBSOCKET,
    CONNECTION_LINGER,
    CONNECTION_CLOSING,
};

struct connection {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct loop *loop; /* borrowed */
    struct list link;  /* loop->connections */
    struct list waiting;
    struct turn *turn;                 /* owned until it is away; NULL between requests */
    struct websocket_session *session; /* a reference, while it is a WebSocket */
    struct buf in;                     /* owned: received, not yet taken */
    struct http_head head;             /* of the request that is coming in */
    uint64_t since_ms;                 /* on its waiting list since */
    uint64_t queued_bytes;             /* given to libuv, not yet taken by the kernel */
    uint64_t progress;      /* bytes moved since since_ms, for WAIT_BODY and WAIT_WRITE ... */
    uint64_t progress_mark; /* ... but for these of a write that was under way then */
    uint64_t requests;
    unsigned resumes_seen; /* of its paused lane, when WAIT_WRITE began */
    enum connection_state state;
    enum wait wait;
    bool reading;
    bool at_eof;       /* the client has closed its side */
    bool close_after;  /* once everything is written */
    bool linger_after; /* ... and there may be unread bytes */
    bool serving;      /* connection_take_input is on the stack */
    bool trusted;      /* a proxy of ours */
    bool counted;      /* by address */
    bool is_admin;     /* came by --listen-admin */
    struct address_key key;
    char remote[TURN_REMOTE_BYTES];
};

/* Takes a new connection from a listening handle. Refuses it (with a short answer) over a limit. */
void connection_accept(struct loop *loop, uv_stream_t *listener, bool is_admin) ON(loop_thread);
/* The turn's answer is ready. */
void connection_answer(struct connection *connection, struct turn *turn) ON(loop_thread);
/* Bytes of a streamed answer are ready. */
void connection_stream(struct connection *connection, struct turn *turn, struct buf *bytes)
    ON(loop_thread);
/* The answer is out of the handlers: writes what is ready, goes on reading. Ends each entry. */
void connection_settle(struct connection *connection) ON(loop_thread);
/* Its place on a waiting list has come of age. */
void connection_timed_out(struct connection *connection) ON(loop_thread);
/* The loop drains: closes it if it is between requests. */
void connection_drain(struct connection *connection) ON(loop_thread);
/* Closes without another word; abandons its turn. */
void connection_drop(struct connection *connection) ON(loop_thread);

/* connection_write.c: sends loop->scratch, then `body` (taken, may be NULL). */
void connection_send(struct connection *connection, struct buf *body) ON(loop_thread);
void connection_set_state(struct connection *connection, enum connection_state state);

#endif
