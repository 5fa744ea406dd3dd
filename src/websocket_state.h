/* The insides of a WebSocket session, for the two files that share them: websocket_session.c (what
 * the loop does with it) and websocket_calls.c (what handlers call, from any thread). */
#ifndef SRC_WEBSOCKET_STATE_H
#define SRC_WEBSOCKET_STATE_H

#include "src/http_parser.h"
#include "src/websocket_session.h"

/* Frames on their way out. */
struct piece {
    struct list link;
    struct buf bytes; /* owned */
};

struct websocket_session {
    struct websocket ws;
    struct loop *loop;             /* borrowed */
    struct connection *connection; /* borrowed; NULL: ended. The loop's, like all up to `lock` */
    struct websocket_decoder decoder;
    uint64_t charged; /* its part of server->body_bytes */
    uint64_t opened_ns;
    uint64_t messages_in;
    bool serving;  /* a callback runs that is followed by a flush: sending needs no wake-up */
    bool paused;   /* by the handler */
    bool draining; /* the server stops */
    bool heard;    /* bytes came since the last websocket_session_wait() */
    bool advanced; /* a message or control frame became whole since */
    bool pinged;   /* and nothing was heard since */
    char request_id[HTTP_REQUEST_ID_MAX];
    char remote[TURN_REMOTE_BYTES];

    atomic_uint references;
    atomic_uint holds;
    atomic_bool awaits_release; /* the next release wakes the loop */

    struct mutex lock;
    struct list pieces;
    size_t piece_bytes;
    size_t kernel_bytes; /* as of the last flush: given to the connection, not yet taken */
    struct list tasks;
    uint64_t messages_out;
    unsigned close_code; /* 0: nobody has asked for the end */
    char close_reason[WEBSOCKET_CONTROL_MAX];
    size_t close_reason_len;
    bool full;  /* said so to a sender: writable() is due */
    bool ended; /* nothing is sent any more */
    bool posted;
    struct inbox_item wake;
};

/* What handlers call. */
extern const struct websocket_operations websocket_session_operations;
/* Its place in the loop's inbox. */
void websocket_session_wake(struct inbox_item *item) ON(loop_thread);
/* The last one frees it, soon, on its loop. */
void websocket_session_unref(struct websocket_session *session);
/* Are there `most` holds or more? If so, the next release wakes the loop. */
bool websocket_session_is_held(struct websocket_session *session, unsigned most);
/* Asks for the end; only the first call counts. A flush must follow. */
void websocket_session_ask_close(
    struct websocket_session *session, unsigned code, struct str reason);
void websocket_session_add_control(
    struct websocket_session *session, enum websocket_opcode opcode, struct str payload);
void websocket_drop_pieces(struct list *pieces);

#endif
