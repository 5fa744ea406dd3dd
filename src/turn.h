/* A turn: one request and its answer on a connection, around proto's struct exchange.
 *
 *     take -> [receives its body] -> begin -> finished -> answered -> recycled
 *                                      |  ^
 *                                      v  | post(), finish(), chunk(): from any thread, by inbox
 *                                    away (engine, catalogue)
 *
 * A turn outlives its connection when the client goes away: `connection` is NULL then, and the turn
 * is recycled when the exchange comes home. Turns are recycled per loop with their arena and
 * buffers, so that a steady state allocates nothing.
 *
 * Streaming: chunk() runs on a worker; it moves sink->out to `chunks`, counts `unsent`, and asks
 * the lane to pause above TURN_HIGH_BYTES; the loop resumes it below TURN_LOW_BYTES. */
#ifndef SRC_TURN_H
#define SRC_TURN_H

#include "proto/exchange.h"
#include "src/http_chunked.h"
#include "src/loop.h"

#define TURN_HIGH_BYTES (1024UL * 1024)
#define TURN_LOW_BYTES (896UL * 1024) /* one chunk is away: a steady reader is seen to move */
#define TURN_KEEP_BYTES (16UL * 1024)
#define TURN_ID_BYTES 24
#define TURN_REMOTE_BYTES 46

struct turn {
    struct exchange x;
    struct loop *loop;             /* borrowed */
    struct connection *connection; /* borrowed, NULL: the client is gone */
    struct list link;              /* loop->spare_turns */

    struct http_head head;
    struct buf head_bytes; /* owned: the head, and a body that came with it */
    struct buf body;       /* owned: a body that came in pieces */
    uint64_t body_left;    /* of Content-Length */
    uint64_t body_charged; /* its part of server->body_bytes */
    struct http_chunked chunked;
    /* Of a body that streams (STREAMS_BODY): `body` holds the piece that comes in. */
    bool owes_continue; /* the client waits for 100 Continue */
    bool piece_wanted;  /* once the handler has asked: bytes are taken into `body` */
    bool body_whole;    /* its last byte is in */
    struct str allow_origin;
    char request_id[TURN_ID_BYTES];
    char remote[TURN_REMOTE_BYTES];

    struct inbox_item home; /* post() and finish() */
    void (*continuation)(struct exchange *x);
    bool running;  /* the loop is inside a handler of this turn */
    bool finished; /* finish() was called from there */
    bool begun;

    struct mutex chunk_lock;
    struct buf chunks; /* owned; under chunk_lock */
    bool chunk_posted; /* under chunk_lock */
    struct inbox_item chunk_item;
    atomic_size_t unsent; /* bytes of chunk() that the socket has not taken */
    atomic_bool paused;
    unsigned resumes; /* loop's */
    bool head_sent;   /* a streamed answer's head is out */
};

struct turn *turn_take(struct loop *loop, struct connection *connection) ON(loop_thread);
/* The exchange is at home and answered, or was never begun. */
void turn_recycle(struct turn *turn) ON(loop_thread);
void turn_free(struct turn *turn);

/* The request is whole: gives it an id if it has none, and serves it. The connection hears of the
 * answer by connection_answer(), perhaps before this returns. */
void turn_begin(struct turn *turn) ON(loop_thread);
/* Answers an error of our own in the shape of the dialect the path belongs to. Closes after. */
void turn_refuse(struct turn *turn, const struct err *err) ON(loop_thread);
/* A request id of ours: unguessable start, then a count. Writes a NUL too. */
struct str turn_make_id(struct loop *loop, char out[TURN_ID_BYTES]) ON(loop_thread);
/* The route takes its body in pieces: serve it now, before the body. */
bool turn_streams_body(struct turn *turn) ON(loop_thread);
/* How much more of a streamed body may be taken now. */
size_t turn_body_room(const struct turn *turn);
/* Gives the handler its piece, if it waits for one and one is ready. It may answer: the turn may be
 * gone after this. */
void turn_feed(struct turn *turn) ON(loop_thread);
/* Sets x->dialect by the path, for an error of ours before the router has run. */
void turn_find_dialect(struct turn *turn) ON(loop_thread);
/* The client is gone: cancels what runs. */
void turn_abandon(struct turn *turn) ON(loop_thread);
/* `bytes` of what chunk() gave have left; resumes the lane when there is room again. */
void turn_sent(struct turn *turn, size_t bytes) ON(loop_thread);

/* What struct services points to. */
void turn_post(struct exchange *x, void (*continuation)(struct exchange *x));
void turn_finish(struct exchange *x);
enum chunk_answer turn_chunk(struct exchange *x);
void turn_next_piece(struct exchange *x) ON(loop_thread);

#endif
