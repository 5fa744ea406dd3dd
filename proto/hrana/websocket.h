/* Hrana over WebSocket: a *socket* (the handler's state of one connection), its streams, their
 * requests. Private to proto/hrana/websocket*.c.
 *
 *     websocket.c         messages in, what they name, the end of a connection
 *     websocket_login.c   hello, and what a token is still good for
 *     websocket_run.c     requests of a stream, one after the other; answers
 *     websocket_cursor.c  cursors
 *
 * A *call* is one request from its message to its answer; it holds the session meanwhile. Calls of
 * a stream wait in its queue and run in order; streams know nothing of each other. An id is free
 * again when the message that closes it has come, even while what it named still runs.
 *
 *     message -> queue -> hrana_begin() --answered----------------------------> answer
 *                                       --engine (here or on a worker)--> finish -> answer
 *
 * A stream that could not be opened, or whose transaction was rolled back behind its client's back
 * (--stream-idle, --stream-max, --transaction-steal), keeps its id and answers every request but
 * close_stream with that error: clients send ahead, and the rest of a transaction must not run as
 * if there had been none.
 *
 * Threads: everything here is the loop's, but for two callbacks of the engine: a call's done, which
 * only posts the call home, and a cursor's chunk, which has the cursor's lock. So streams need no
 * lock, and what a stream does next begins where the engine may be spared (engine_try_here()).
 *
 * What bounds a client: the limits below; answers that it does not take (nothing is begun while the
 * session is full); and the messages of its waiting requests (HRANA_SOCKET_BYTES_MAX: then no more
 * are read). */
#ifndef PROTO_HRANA_WEBSOCKET_H
#define PROTO_HRANA_WEBSOCKET_H

#include "proto/hrana/hrana.h"
#include "proto/hrana/ids.h"
#include "proto/websocket.h"

#define HRANA_SOCKET_STREAMS_MAX 2000  /* open on one connection; over it open_stream fails */
#define HRANA_SOCKET_IDS_MAX 4000      /* streams that failed to open included; over it 1008 */
#define HRANA_SOCKET_CURSORS_MAX 64    /* open on one connection; over it open_cursor fails */
#define HRANA_SOCKET_REQUESTS_MAX 8000 /* under way; then no more are read */
#define HRANA_SOCKET_BYTES_MAX (32UL * 1024 * 1024) /* of their messages; likewise */
#define HRANA_SOCKET_SPARE_CALLS 8                  /* kept for the next requests */
#define HRANA_CURSOR_HIGH_BYTES (512UL * 1024)      /* of entries nobody has fetched: it stands */
#define HRANA_CURSOR_LOW_BYTES (128UL * 1024)       /* ... and goes on */

struct hrana_call;
struct hrana_login;

/* What a subprotocol means. */
struct hrana_socket_codec {
    enum hrana_version version;
    bool is_text;
    const struct hrana_encoder_ops *ops;
    const struct hrana_encoder_ops *cursor_ops; /* the entries, counted */
    int (*message)(struct str body, const struct hrana_limits *limits, struct arena *arena,
        struct hrana_message *ret_message, struct err *ret_err);
};

struct hrana_socket {
    struct websocket *websocket; /* borrowed; NULL until open() */
    const struct hrana_socket_codec *codec;
    struct hrana_limits limits;
    struct id_table streams; /* hrana_socket_stream.link */
    struct id_table cursors; /* hrana_cursor_state.link */
    struct list all_streams; /* those whose id was closed too */
    struct list blocked;     /* streams that could not begin a call: full, or a login */
    struct list spare;       /* calls */
    unsigned spare_count;
    unsigned open_streams;
    size_t waiting_bytes; /* messages of calls */
    struct hrana_sql_store store;
    bool store_refused; /* a text was not stored: that its id is unknown is no mistake */
    bool full;          /* until writable() */
    bool paused;
    bool ending; /* we said close: nothing more is begun */
    bool ended;  /* the connection is gone */

    /* The login. */
    struct hrana_login *login;   /* owned: under way */
    struct principal *principal; /* owned; NULL: no hello was good yet */
    struct database *database;   /* owned, with it */
    uint64_t generation;         /* of the catalogue when they were read */
    uint64_t epoch;              /* of the keys of signed tokens, likewise */
    char *token;                 /* owned, secret: the last hello's */
    char *header_token;          /* owned, secret: from the upgrade's Authorization, or NULL */
    char *tenant;                /* owned: from the path; NULL: by host or token */
    char *database_segment;      /* owned */
    char *host;                  /* owned, as the three of http_request */
    char *host_tenant;
    char *host_database;
};

struct hrana_cursor_state;

struct hrana_socket_stream {
    struct id_link link;
    struct list all_link;
    struct list blocked_link;
    struct hrana_socket *socket;
    struct hrana_stream stream;
    struct list calls;                 /* waiting, in order */
    struct hrana_call *running;        /* in the engine, not a cursor's */
    struct hrana_cursor_state *cursor; /* its open_cursor has begun; NULL: none */
    struct list cursors;               /* of its ids */
    enum err_code failed;              /* why every request but close_stream is refused */
    bool advancing;
    bool id_closed;
};

struct hrana_call {
    struct list link;
    struct websocket_task home;
    struct hrana_socket *socket;
    struct hrana_socket_stream *stream; /* NULL: of the connection */
    struct hrana_cursor_state *cursor;  /* open_cursor, fetch_cursor, close_cursor */
    struct buf body;                    /* its message; the model has views of it */
    struct arena arena;
    struct hrana_message message;
    struct principal *principal; /* owned */
    struct request request;
    struct hrana_run run;
    /* 2: the engine has called done(), and the loop has left the call that gave it the request. */
    atomic_uint arrivals;
};

/* A cursor from open_cursor's message to close_cursor's turn. */
struct hrana_cursor_state {
    struct id_link link;
    struct list stream_link;
    struct hrana_socket_stream *stream;
    struct hrana_call *call; /* owned: the open_cursor whose batch runs; NULL: not begun, or over */
    struct websocket_task more;
    bool id_closed;
    bool failed;    /* open_cursor was answered with an error */
    bool cancelled; /* it was told to end */

    /* While the batch runs, whoever encodes: an entry's length each, of what is in run.sink.out. */
    struct buf lengths;
    size_t noted_bytes;

    struct mutex lock; /* for the rest */
    struct buf entries;
    struct buf entry_lengths;
    size_t entries_at; /* where the next one starts, in both */
    size_t lengths_at;
    bool posted; /* `more` is on its way */
    bool paused; /* chunk() said so */
};

/* ---- websocket.c ---- */

/* Ends the connection with a code and a reason, after what was sent. */
void hrana_socket_close(struct hrana_socket *socket, unsigned code, const char *reason);
/* Begins what could not begin (a login is over, there is room again). */
void hrana_socket_unblock(struct hrana_socket *socket) ON(loop_thread);
/* Stops reading, or goes on, as the login and the waiting bytes have it. */
void hrana_socket_set_pause(struct hrana_socket *socket) ON(loop_thread);
/* Gives the call back, and its hold. */
void hrana_call_end(struct hrana_call *call) ON(loop_thread);

/* ---- websocket_login.c ---- */

/* hello: answered when the token's principal and the database are known, perhaps at once. */
void hrana_socket_hello(struct hrana_socket *socket, struct str jwt) ON(loop_thread);
/* What the token was good for may have changed since: true when it has not. Else the login is
 * looked at again, and begins to block streams until it is known; a token that is no longer good
 * ends the connection. */
bool hrana_socket_is_logged_in(struct hrana_socket *socket) ON(loop_thread);

/* ---- websocket_run.c ---- */

/* Begins what may begin. The stream may be gone when it returns. */
void hrana_stream_advance(struct hrana_socket_stream *stream) ON(loop_thread);
/* The connection is gone: nothing waits any more, what runs is cancelled, the rest rolled back. */
void hrana_stream_abandon(struct hrana_socket_stream *stream) ON(loop_thread);
/* False, with why: it failed, a cursor is open on it, the token's rate is used up. */
bool hrana_stream_may_run(struct hrana_socket_stream *stream, struct err *ret_err) ON(loop_thread)
    MUST_CHECK;
/* Sets up call->run for an answer. */
void hrana_call_encoder(struct hrana_call *call, const struct hrana_encoder_ops *ops);
/* Hands call->request to the engine; `finish` follows on the loop, perhaps before it returns. */
void hrana_call_submit(struct hrana_call *call) ON(loop_thread);
/* Sends what was encoded, and ends the call. */
void hrana_call_answer(struct hrana_call *call) ON(loop_thread);
/* The same with an error, or an empty response. */
void hrana_call_refuse(struct hrana_call *call, const struct err *err) ON(loop_thread);
void hrana_call_refuse_with(struct hrana_call *call, enum err_code code, const char *message)
    ON(loop_thread);
void hrana_call_answer_empty(struct hrana_call *call) ON(loop_thread);
/* The engine is done: what is left of the answer. */
void hrana_call_conclude(struct hrana_call *call);
/* Counts what the engine did for it. */
void hrana_call_count(const struct hrana_call *call);

/* ---- websocket_cursor.c ---- */

extern const struct hrana_encoder_ops hrana_json_cursor_ops;
extern const struct hrana_encoder_ops hrana_protobuf_cursor_ops;

struct hrana_cursor_state *hrana_cursor_new(struct hrana_socket_stream *stream, int32_t id);
/* Nobody can name it any more. */
void hrana_cursor_forget(struct hrana_cursor_state *cursor) ON(loop_thread);
/* At the call's turn in its stream. False: it has to wait (hrana_stream_advance() comes again). */
void hrana_cursor_open(struct hrana_call *call) ON(loop_thread);
bool hrana_cursor_fetch(struct hrana_call *call) ON(loop_thread) MUST_CHECK;
bool hrana_cursor_close(struct hrana_call *call) ON(loop_thread) MUST_CHECK;
/* Ends its batch. False: it still runs. */
bool hrana_cursor_stop(struct hrana_cursor_state *cursor) ON(loop_thread) MUST_CHECK;
/* The engine is done with the batch. */
void hrana_cursor_finish(struct hrana_cursor_state *cursor) ON(loop_thread);
/* Its batch does not run. */
void hrana_cursor_free(struct hrana_cursor_state *cursor) ON(loop_thread);

#endif
