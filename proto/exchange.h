/* One request and its answer, from the router to the last byte. Every dialect sees only this.
 *
 * Life, all on one loop unless said otherwise:
 *   src reads head and body -> exchange_begin(): route, credentials, principal, database, rights,
 *   rate (each may be a look-up that goes to the catalogue and comes back) -> route->handle(x)
 *   -> the handler answers at once, or starts engine or catalogue work whose completion (any
 * thread) encodes the answer -> exchange_finish() (any thread, once) -> src writes, logs, counts,
 * frees.
 *
 * A streamed answer (may_stream): services->chunk() takes what is in request.sink->out so far; the
 * head goes out with the first chunk; what remains at the end is in response.body, the last chunk.
 *
 * Threads: the exchange has one owner at a time: its loop, then whoever runs the engine work it
 * started, then its loop again. exchange_on_loop() is the way back before the end.
 * Ownership: everything is in x->arena or owned by x; exchange_fini() ends it. When the client goes
 * away, src sets x->client_gone and cancels x's engine work; the handler still finishes. */
#ifndef PROTO_EXCHANGE_H
#define PROTO_EXCHANGE_H

#include "proto/http.h"
#include "tenants/base/thread.h"
#include "tenants/catalogue.h"
#include "tenants/directory.h"
#include "tenants/engine.h"

#define ROUTE_PARAMS_MAX 4
#define ROUTE_SEGMENTS_MAX 10

struct dialect;
struct exchange;
struct hrana_batons;
struct router;
struct websocket_handler;

/* What handlers may reach. One per loop. */
struct services {
    struct engine *engine;
    struct catalogue *catalogue;
    struct directory *directory;
    unsigned loop_index;
    const struct surface_settings *settings;
    struct hrana_batons *batons; /* shared by all loops */
    /* src's: run `continuation` on x's loop soon; x is finished (send it). Any thread. */
    void (*post)(struct exchange *x, void (*continuation)(struct exchange *x));
    void (*finish)(struct exchange *x);
    /* src's: a chunk of a streamed answer; takes request->sink->out. Worker thread. */
    enum chunk_answer (*chunk)(struct exchange *x);
    /* src's: x->on_piece is set; calls it once, now or later. x's loop. */
    void (*next_piece)(struct exchange *x);
    /* src's: fills process figures (uptime, connections...) for /v1/admin/stats. */
    void (*process_stats)(struct buf *json_members);
};

/* Limits and defaults of the surface, from the configuration. Shared, immutable. */
struct surface_settings {
    uint64_t max_body_bytes;
    uint64_t max_import_bytes;
    uint64_t max_request_memory_bytes; /* the arena's limit */
    unsigned max_batch_statements;     /* 100 */
    unsigned max_json_depth;           /* 64 */
    unsigned max_page_size;            /* 1,000 */
    const char *base_domain;           /* "" when host routing is off */
    const char *region;
    double cost_per_request; /* USD; PerSQL's meters as defaults */
    double cost_per_row_read;
    double cost_per_row_written;
    int64_t delete_grace_ms;
    unsigned max_tokens_per_tenant;
};

/* In `native` of an ERR_UNAUTHORIZED. */
enum unauthorized {
    UNAUTHORIZED_MISSING = 1, /* there are no credentials */
    UNAUTHORIZED_NOT_YET,     /* a token that will be good */
};

enum route_needs {
    NEEDS_NOTHING = 0,
    NEEDS_PRINCIPAL = 1 << 0, /* a valid token */
    NEEDS_TENANT =
        1 << 1, /* params[0] is a tenant slug that must be the principal's (or operator) */
    NEEDS_DATABASE =
        1 << 2, /* params[1] (or host) is a database segment: x->database is resolved */
    /* The database by the host's name, or else the only one that the token reaches: with
     * NEEDS_PRINCIPAL, without the two above. */
    NEEDS_ONE_DATABASE = 1 << 4,
    NEEDS_BODY = 1 << 3,    /* 411 without a length, 415 for other media types */
    NEEDS_UPGRADE = 1 << 5, /* matches a GET that asks for a WebSocket, and nothing else */
    NEEDS_NO_RATE = 1 << 6, /* counts against no rate limit */
    /* The body may be larger than --max-body: the handler is called when the head is in, and takes
     * it with exchange_next_piece(). Types and lengths are the handler's to check. */
    STREAMS_BODY = 1 << 7,
};

typedef void (*route_handler_fn)(struct exchange *x); /* on its loop */

#define BODY_PIECE_BYTES (256UL * 1024) /* most that is held of a streamed body */

/* BODY_LOST: the rest will not come, the client is gone or sent nonsense. The handler finishes as
 * ever; nobody sees its answer. */
enum body_part { BODY_MORE, BODY_END, BODY_LOST };
/* `piece` may be taken with buf_take(); what is left in it is thrown away. On x's loop. */
typedef void (*body_piece_fn)(struct exchange *x, struct buf *piece, enum body_part part);

struct route {
    const char *name;    /* metrics' label and log word: "query" */
    unsigned methods;    /* enum http_method bits; HEAD follows GET by itself */
    const char *pattern; /* "/v1/db/:tenant/:database/query"; ":x" takes one segment */
    unsigned needs;
    uint32_t capabilities; /* all of these, else ERR_ROLE_FORBIDS */
    route_handler_fn handle;
    const char *summary; /* one line for /openapi.json */
};

/* A dialect is a table of routes, its way to show credentials, and its shape of errors. Adding one
 * is its own files and one line in proto/dialects.c. */
struct dialect {
    const char *name;
    const struct route *routes;
    size_t route_count;
    bool is_described_elsewhere; /* a protocol with its own documents: not in /openapi.json */
    /* Finds the bearer's token text in the request; len 0 when there is none. */
    struct str (*credentials)(struct exchange *x);
    /* Writes status, headers and body for an error, in the shape the client's SDK expects. */
    void (*error)(struct exchange *x, const struct err *err);
};

extern const struct dialect *const dialects[]; /* NULL-terminated, in order of precedence */

/* Set by exchange_upgrade(); with status 101, src makes the connection a WebSocket. */
struct upgrade {
    const struct websocket_handler *handler; /* NULL: none was asked for, or src has taken it */
    void *state;                             /* owned */
    int subprotocol;
};

struct exchange {
    struct arena arena;
    struct http_request http;
    struct http_response response;
    const struct services *services;
    const struct router *router;             /* src's: the listener's; NULL: router_default() */
    const struct dialect *dialect;           /* never NULL after exchange_begin */
    const struct route *route;               /* NULL: none matched */
    struct str params[ROUTE_PARAMS_MAX];     /* decoded */
    struct principal *principal;             /* owned reference */
    struct database *database;               /* owned reference */
    struct str tenant_slug;                  /* whose tenant the request is about */
    struct request request;                  /* the engine's */
    void (*answer)(struct request *request); /* the handler's request.done, behind ours */
    struct directory_load load;              /* look-ups on the way in */
    route_handler_fn found;                  /* goes on with x->database */
    void *state;                             /* the handler's own, in the arena */
    void *owner;                             /* src's connection */
    struct upgrade upgrade;
    uint64_t started_ns;
    atomic_bool client_gone;
    bool may_stream;          /* set by the handler: the answer may leave in chunks while it grows;
                                 response.status and content_type must be set before exchange_run() */
    bool wants_msgpack;       /* Accept */
    bool body_is_msgpack;     /* Content-Type */
    bool integers_as_strings; /* X-Rookery-Integers: string */
    bool is_trusted;          /* src's: whoever comes by this listener may all (--admin-open) */
    bool in_engine;           /* request was submitted and is not done */
    bool body_streams;        /* http.body is empty: it comes in pieces */
    body_piece_fn on_piece;   /* asked for and not yet told */
};

void exchange_init(struct exchange *x, const struct services *services);
void exchange_fini(struct exchange *x);
/* As fini and init, but keeps a block of the arena and the body's buffer: for the connection's next
 * request. */
void exchange_reset(struct exchange *x);
/* http is filled. Routes, authenticates, resolves, and calls the handler or answers an error. */
void exchange_begin(struct exchange *x) ON(loop_thread);
/* The second half of it, for what is no HTTP request: dialect, route, params and what http says of
 * the host are set. Credentials, principal, database, then route->handle() or the dialect's error
 * and services->finish(). */
void exchange_enter(struct exchange *x) ON(loop_thread);
/* Answers `err` in the dialect's shape and finishes. Any thread that owns x. */
void exchange_fail(struct exchange *x, const struct err *err);
/* The response is complete. Any thread that owns x; x belongs to src afterwards. */
void exchange_finish(struct exchange *x);
/* Runs x->request: on this loop when it can, else through the engine. `x->request.done` is called
 * either way (here, before return, when it ran on the loop). kind, statements, sink, mode, done are
 * set by the handler; the rest (principal, arena, deadline, hint, chunk) here. */
void exchange_run(struct exchange *x) ON(loop_thread);
/* Once more for the same exchange, after its request was done: `done` set anew, any thread that
 * owns x. Always through the engine. */
void exchange_run_next(struct exchange *x);
/* The next piece of the body, to on_piece, perhaps before this returns; the first one of a body
 * that came whole is all of it. Not again before that, nor after the last. Until it is asked for,
 * no more than a connection's usual buffer is read from the client. An exchange that is finished
 * before the body's end closes its connection. */
void exchange_next_piece(struct exchange *x, body_piece_fn on_piece) ON(loop_thread);
/* Finds the database that tenant_slug and `slug` name, and calls `found` with x->database, which it
 * holds from then on; or fails. */
void exchange_find_database(struct exchange *x, struct str slug, route_handler_fn found)
    ON(loop_thread);
/* The status of a code when a dialect has no opinion of its own. */
int exchange_status(const struct err *err);
/* Seconds for Retry-After, 0 when it makes no sense. ERR_RATE_LIMITED carries them in `native`. */
unsigned exchange_retry_after(const struct err *err);

#endif
