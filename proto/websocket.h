/* WebSocket sessions as a dialect sees them: whole messages in and out. Frames, pings, masks, slow
 * readers and the closing handshake are below (src/websocket_session.h).
 *
 *     exchange_upgrade() --101--> OPEN --close from either side, or the connection is lost--> ENDED
 *                                 open, message...                       closed ... then free
 *
 * A route asks for it: its handler gets an ordinary GET (with principal and database, when the
 * route needs them), and calls exchange_upgrade() instead of exchange_finish(). Routes without
 * needs leave authentication to the messages. exchange_wants_websocket() tells an upgrade from a
 * plain GET.
 *
 * Threads: a session lives on its exchange's loop; every callback of the handler runs there, one at
 * a time. Nothing on a loop blocks: a message that costs more than decoding is handed to the engine
 * or the catalogue, and its answer is sent from the thread that has it. So the functions here are
 * for any thread that holds the session, unless they say ON(loop_thread).
 *
 * Holds: work that was begun for a message and is not answered. websocket_hold() when it begins (in
 * a callback), websocket_release() when its answer is sent (any thread). A hold keeps the session's
 * memory, and `state`, alive after the connection is gone; at holds_max no further message is
 * delivered until one is released (so the handler's memory has a bound); and a server that stops
 * waits for holds before it closes the session with 1001.
 *
 * Backpressure: what was sent and not yet taken by the kernel is counted. websocket_send() always
 * takes the message, and says FULL above WEBSOCKET_HIGH_BYTES: a producer of many messages (a
 * cursor, a change stream) stops then, until writable(). While it is full no message of the client
 * is delivered either. A client that takes nothing for --slow-reader is cut off.
 *
 * Ends: `closed` comes exactly once after `open`, whoever ends it; then no callback but free(),
 * which comes on the loop when the last hold is released. What is sent after the end is dropped. */
#ifndef PROTO_WEBSOCKET_H
#define PROTO_WEBSOCKET_H

#include "proto/exchange.h"
#include "proto/websocket_frames.h"

#define WEBSOCKET_HIGH_BYTES (1024UL * 1024)
#define WEBSOCKET_LOW_BYTES (256UL * 1024)
#define WEBSOCKET_OFFERS_MAX 32 /* subprotocols looked at; more are refused */

struct websocket;

enum websocket_room {
    WEBSOCKET_ROOM,
    WEBSOCKET_FULL, /* taken; wait for writable() before many more */
    WEBSOCKET_GONE, /* dropped: the session has ended */
};

/* One per kind of session; static. All callbacks run on the session's loop. */
struct websocket_handler {
    const char *name; /* for logs: "hrana" */
    /* Subprotocols, best first, NULL-terminated; NULL when it has none. The first that the client
     * offers is chosen. A client that offers only others gets 400; one that offers none is let in.
     */
    const char *const *subprotocols;
    unsigned holds_max; /* 0: no bound */
    /* Pages of every origin may connect: for dialects whose messages carry a token, which no page
     * has unless it was given one. */
    bool any_origin;
    /* The 101 is on its way; the first message comes later. May send and close. NULL: nothing. */
    void (*open)(struct websocket *websocket);
    /* A whole message; text is valid UTF-8. `bytes` may be taken with buf_take(), else it is freed
     * after the call. */
    void (*message)(struct websocket *websocket, bool is_text, struct buf *bytes);
    /* There is room again after FULL. NULL: nothing. */
    void (*writable)(struct websocket *websocket);
    /* The server stops and waits for what is held, but delivers no message any more: end what waits
     * for the client's next one. NULL: nothing. */
    void (*draining)(struct websocket *websocket);
    /* The session has ended: cancel what runs for it. `code` as of the close frame that was
     * received or sent; WEBSOCKET_NO_CODE: an empty one; WEBSOCKET_LOST: there was none. */
    void (*closed)(struct websocket *websocket, unsigned code);
    /* Gives back `state`: after closed and the last release; or, without open, when the upgrade is
     * refused or its client has gone. */
    void (*free)(void *state);
};

/* What runs on a session's loop for websocket_post(). */
struct websocket_task {
    struct list link;
    void (*run)(struct websocket_task *task); /* set by whoever posts */
};

/* src's side. Tests of handlers bring their own. */
struct websocket_operations {
    enum websocket_room (*send)(struct websocket *websocket, bool is_text, struct buf *bytes);
    void (*close)(struct websocket *websocket, unsigned code, struct str reason);
    void (*pause)(struct websocket *websocket, bool paused);
    void (*hold)(struct websocket *websocket);
    void (*release)(struct websocket *websocket);
    void (*post)(struct websocket *websocket, struct websocket_task *task);
    size_t (*queued)(struct websocket *websocket);
};

/* Embedded in src's session. Immutable after open, but for what `state` points to. */
struct websocket {
    const struct websocket_handler *handler;
    const struct websocket_operations *operations;
    const struct services *services; /* of its loop */
    void *state;                     /* the handler's own */
    int subprotocol;                 /* index in handler->subprotocols; -1: none was offered */
    struct str request_id;           /* of the upgrade, for logs */
    struct str remote;               /* the client's address, after trusted proxies */
};

/* ---- the way in ---- */

/* Does the client ask this GET to become a WebSocket? Handlers of routes that also answer plainly
 * ask this first. */
static inline bool exchange_wants_websocket(const struct exchange *x)
{
    return x->http.wants_websocket;
}
/* Answers the upgrade: 101 and a session, or a refusal in the dialect's shape: 426 for no upgrade
 * or another version than 13, 400 for a bad key or unknown subprotocols, 403 for a browser's page
 * of an origin that --cors-origin does not name (the server's own is fine, and so is no Origin),
 * unless the handler lets any in. Takes `state` in any case (see free). Any thread that owns x; x
 * belongs to src afterwards. */
void exchange_upgrade(struct exchange *x, const struct websocket_handler *handler, void *state);

/* ---- a session ---- */

/* Sends one message, in the order of the calls. Takes the bytes: `bytes` is empty after. Text must
 * be UTF-8. */
static inline enum websocket_room websocket_send(
    struct websocket *websocket, bool is_text, struct buf *bytes)
{
    return websocket->operations->send(websocket, is_text, bytes);
}
/* Ends the session after what was sent: a close frame with code (one that may be sent) and reason
 * (UTF-8, cut at 123 bytes, no secrets), then FIN. Only the first call counts. closed() follows on
 * the loop, never within this call. */
static inline void websocket_close(struct websocket *websocket, unsigned code, struct str reason)
{
    websocket->operations->close(websocket, code, reason);
}
/* Delivers no message (or delivers again). Control frames wait as well, and the client's death may
 * go unseen meanwhile: for short waits; holds_max is the usual way. */
static inline void websocket_pause(struct websocket *websocket, bool paused) ON(loop_thread);
static inline void websocket_pause(struct websocket *websocket, bool paused)
{
    websocket->operations->pause(websocket, paused);
}
static inline void websocket_hold(struct websocket *websocket) ON(loop_thread);
static inline void websocket_hold(struct websocket *websocket)
{
    websocket->operations->hold(websocket);
}
/* The session may be gone when this returns. */
static inline void websocket_release(struct websocket *websocket)
{
    websocket->operations->release(websocket);
}
/* Runs task->run on the session's loop, in order of posting, also after the end. The caller has a
 * hold that lasts until it runs. For completions that need the loop (directory, state). */
static inline void websocket_post(struct websocket *websocket, struct websocket_task *task)
{
    websocket->operations->post(websocket, task);
}
/* Bytes sent and not yet taken by the kernel; old at once. */
static inline size_t websocket_queued(struct websocket *websocket)
{
    return websocket->operations->queued(websocket);
}

#endif
