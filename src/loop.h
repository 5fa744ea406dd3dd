/* One libuv loop on one thread, and what its connections share: inbox, directory, clocks, the list
 * of who waits for what, recycled turns, the buffer all of them read into.
 *
 * Other threads touch a loop through loop_post() only. Timeouts cost no system call and no timer
 * of their own: a connection is on the FIFO list of what it waits for; all on one list have the
 * same timeout, so the oldest is at its head, and one tick looks there.
 *
 * A watchdog (server.c) reads busy_since_ns and logs a loop that does not come back to poll. */
#ifndef SRC_LOOP_H
#define SRC_LOOP_H

#include <stdatomic.h>
#include <uv.h>

#include "proto/exchange.h"
#include "src/http_head.h"
#include "src/http_writer.h"
#include "src/server.h"
#include "tenants/base/list.h"

#define LOOP_READ_BYTES 65536
#define LOOP_TICK_MS 200
#define LOOP_SPARE_TURNS 128

struct connection;
struct turn;

/* What a connection waits for, and is cut when it does not come in time. */
enum wait {
    WAIT_IDLE,  /* a next request */
    WAIT_HEAD,  /* the rest of a head */
    WAIT_BODY,  /* the rest of a body */
    WAIT_WRITE, /* the client to read */
    WAIT_GONE,  /* its end of the connection is closed and its answer not yet ready */
    WAIT_LINGER,
    WAIT_WEBSOCKET, /* the client to say anything, or to answer a ping */
    WAIT_COUNT,
    WAIT_NOTHING = WAIT_COUNT
};

/* Each loop's own copy of what SIGHUP may change. */
struct loop_limits {
    struct http_head_limits head;
    uint64_t max_body_bytes;
    uint64_t max_body_total;
    uint64_t timeout_ms[WAIT_COUNT];
    uint64_t websocket_message_bytes;
    uint64_t slow_request_ns;
    bool metrics_public;
};

struct inbox_item {
    struct list link;
    void (*run)(struct inbox_item *item);
};

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t tick;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    struct server *server; /* borrowed */
    unsigned index;
    pthread_t thread;
    struct services services;
    struct loop_limits limits;

    struct mutex inbox_lock;
    struct list inbox; /* struct inbox_item; under inbox_lock */

    struct list listeners; /* struct listener (listener.c) */
    struct list connections;
    unsigned connection_count;
    struct list waiting[WAIT_COUNT]; /* struct connection, oldest first */
    struct list spare_turns;
    unsigned spare_turn_count;
    unsigned spare_turn_low;  /* fewest since the last tick: more were never needed */
    unsigned turn_count;      /* in flight */
    unsigned websocket_count; /* sessions, ended ones with holds too */
    struct buf scratch;       /* answers of the connection being served */
    bool draining;
    bool stopping;

    char date[HTTP_DATE_BYTES];
    int64_t date_second;
    uint64_t id_salt;
    uint64_t id_count;
    atomic_bool ended;              /* its thread is about to return */
    _Atomic uint64_t busy_since_ns; /* 0: polling */
    uint64_t reported_busy_ns;      /* main thread: the watchdog's */
    char read_buffer[LOOP_READ_BYTES];
};

/* Makes a loop without its thread. Main thread. */
struct loop *loop_new(struct server *server, unsigned index);
/* After the thread has been joined. */
void loop_free(struct loop *loop);
void loop_start(struct loop *loop);
void loop_join(struct loop *loop);

/* Runs item->run on the loop's thread, in order of posting. Any thread. The item must stay alive
 * until it runs. */
void loop_post(struct loop *loop, struct inbox_item *item);
/* Asks the loop to stop accepting, close idle connections, and answer the rest with
 * `Connection: close`. Any thread. */
void loop_drain(struct loop *loop);
/* Asks the loop to drop its connections. It ends when its last turn has come home and
 * its last WebSocket session is free. Any thread. */
void loop_stop(struct loop *loop);
/* Hands out new limits (reload). Any thread. */
void loop_set_limits(struct loop *loop, const struct loop_limits *limits);
void loop_limits_from(const struct options *options, struct loop_limits *ret_limits);

/* The loop whose thread this is, NULL elsewhere. */
struct loop *loop_current(void);
/* "Sun, 06 Nov …", formatted once a second. */
struct str loop_date(struct loop *loop) ON(loop_thread);
/* Called when a connection or a turn has gone: a stopping loop may now end. */
void loop_settle(struct loop *loop) ON(loop_thread);

#endif
