#include "src/turn.h"

#include "proto/router.h"
#include "proto/sqld_admin/sqld_admin.h"
#include "src/connection.h"
#include "src/process_routes.h"
#include "src/traffic.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"

static struct turn *turn_of(struct exchange *x)
{
    return CONTAINER_OF(x, struct turn, x);
}

static void on_home(struct inbox_item *item);
static void on_chunk(struct inbox_item *item);

/* ---- life ---- */

static struct turn *turn_new(struct loop *loop)
{
    struct turn *turn = mem_zalloc(sizeof(*turn));

    turn->loop = loop;
    list_init(&turn->link);
    mutex_init(&turn->chunk_lock);
    turn->home.run = on_home;
    turn->chunk_item.run = on_chunk;
    exchange_init(&turn->x, &loop->services);
    return turn;
}

void turn_free(struct turn *turn)
{
    exchange_fini(&turn->x);
    buf_fini(&turn->head_bytes);
    buf_fini(&turn->body);
    buf_fini(&turn->chunks);
    mutex_fini(&turn->chunk_lock);
    mem_free(turn);
}

struct turn *turn_take(struct loop *loop, struct connection *connection)
{
    struct turn *turn;

    if (list_empty(&loop->spare_turns)) {
        turn = turn_new(loop);
    } else {
        turn = LIST_FIRST(&loop->spare_turns, struct turn, link);
        list_remove(&turn->link);
        loop->spare_turn_count--;
        loop->spare_turn_low = MIN(loop->spare_turn_low, loop->spare_turn_count);
    }
    turn->connection = connection;
    turn->x.owner = connection;
    if (connection->is_admin) {
        turn->x.router = sqld_admin_router();
        turn->x.is_trusted = loop->server->options->admin_open;
    }
    loop->turn_count++;
    return turn;
}

void turn_recycle(struct turn *turn)
{
    struct loop *loop = turn->loop;

    loop->turn_count--;
    if (turn->body_charged > 0) {
        (void)atomic_fetch_sub(&loop->server->body_bytes, turn->body_charged);
        turn->body_charged = 0;
    }
    if (turn->begun)
        (void)atomic_fetch_sub_explicit(&loop->server->turns, 1, memory_order_relaxed);
    if (loop->spare_turn_count >= LOOP_SPARE_TURNS) {
        turn_free(turn);
        loop_settle(loop);
        return;
    }
    exchange_reset(&turn->x);
    buf_reset(&turn->head_bytes, TURN_KEEP_BYTES);
    buf_reset(&turn->body, TURN_KEEP_BYTES);
    buf_reset(&turn->chunks, 0);
    turn->connection = NULL;
    turn->head = (struct http_head){0};
    turn->chunked = (struct http_chunked){0};
    turn->body_left = 0;
    turn->owes_continue = false;
    turn->piece_wanted = false;
    turn->body_whole = false;
    turn->allow_origin = str_make(NULL, 0);
    turn->continuation = NULL;
    turn->running = false;
    turn->finished = false;
    turn->begun = false;
    turn->head_sent = false;
    turn->resumes = 0;
    atomic_store_explicit(&turn->unsent, 0, memory_order_relaxed);
    atomic_store_explicit(&turn->paused, false, memory_order_relaxed);
    list_prepend(&loop->spare_turns, &turn->link);
    loop->spare_turn_count++;
    loop_settle(loop);
}

/* ---- serving ---- */

struct str turn_make_id(struct loop *loop, char out[TURN_ID_BYTES])
{
    static const char digits[] = "0123456789abcdefghijkmnpqrstuvwxyz"; /* no l, no o */
    uint64_t salt = loop->id_salt;
    uint64_t count = ++loop->id_count;
    size_t at = 0;

    for (unsigned i = 0; i < 9; i++, salt /= 34)
        out[at++] = digits[salt % 34];
    out[at++] = '-';
    for (unsigned i = 0; i < 8; i++, count /= 34)
        out[at + 7 - i] = digits[count % 34];
    at += 8;
    out[at] = '\0';
    return str_make(out, at);
}

/* The exchange is at home again and complete. */
static void complete(struct turn *turn) ON(loop_thread)
{
    traffic_count(turn);
    if (turn->connection == NULL) {
        turn_recycle(turn);
        return;
    }
    connection_answer(turn->connection, turn);
}

static void run(struct turn *turn, void (*step)(struct exchange *x)) ON(loop_thread)
{
    turn->running = true;
    step(&turn->x);
    turn->running = false;
    if (turn->finished)
        complete(turn);
}

static void serve(struct exchange *x) ON(loop_thread)
{
    if (!process_routes_serve(turn_of(x)))
        exchange_begin(x);
}

static void start(struct turn *turn) ON(loop_thread)
{
    if (turn->x.http.request_id.len == 0)
        turn->x.http.request_id = turn_make_id(turn->loop, turn->request_id);
    turn->begun = true;
    (void)atomic_fetch_add_explicit(&turn->loop->server->turns, 1, memory_order_relaxed);
    turn->x.started_ns = clock_now_ns();
}

void turn_begin(struct turn *turn)
{
    start(turn);
    run(turn, serve);
}

void turn_find_dialect(struct turn *turn)
{
    struct exchange *x = &turn->x;
    struct route_match match;
    struct err err = ERR_INIT;

    if (router_find(exchange_router(x), &x->http, &x->arena, &match, &err) < 0)
        log_debug("http.no_route", "request=%.*s", STR_ARGS(x->http.request_id));
    x->dialect = match.dialect;
}

void turn_refuse(struct turn *turn, const struct err *err)
{
    struct exchange *x = &turn->x;

    start(turn);
    turn_find_dialect(turn);
    x->response.close = true;
    turn->running = true;
    exchange_fail(x, err);
    turn->running = false;
    CHECK(turn->finished);
    complete(turn);
}

static void on_home(struct inbox_item *item) ON(loop_thread)
{
    struct turn *turn = CONTAINER_OF(item, struct turn, home);
    struct connection *connection = turn->connection;

    if (turn->continuation != NULL)
        run(turn, turn->continuation);
    else
        complete(turn);
    if (connection != NULL)
        connection_settle(connection);
}

void turn_post(struct exchange *x, void (*continuation)(struct exchange *x))
{
    struct turn *turn = turn_of(x);

    turn->continuation = continuation;
    loop_post(turn->loop, &turn->home);
}

void turn_finish(struct exchange *x)
{
    struct turn *turn = turn_of(x);

    if (loop_current() == turn->loop && turn->running) {
        turn->finished = true;
        return;
    }
    turn->continuation = NULL;
    loop_post(turn->loop, &turn->home);
}

void turn_abandon(struct turn *turn)
{
    turn->connection = NULL;
    turn->x.owner = NULL;
    if (!turn->begun) {
        turn_recycle(turn);
        return;
    }
    atomic_store(&turn->x.client_gone, true);
    atomic_store(&turn->x.request.cancelled, true);
    atomic_store(&turn->paused, false);
    if (turn->x.in_engine)
        engine_cancel(turn->loop->services.engine, &turn->x.request);
    turn_feed(turn);
}

/* ---- bodies in pieces ---- */

bool turn_streams_body(struct turn *turn)
{
    struct exchange *x = &turn->x;
    struct route_match match;
    struct err err = ERR_INIT;

    return router_find(router_default(), &x->http, &x->arena, &match, &err) == 0 &&
           (match.route->needs & STREAMS_BODY) != 0;
}

size_t turn_body_room(const struct turn *turn)
{
    return !turn->piece_wanted || turn->body.len >= BODY_PIECE_BYTES
               ? 0
               : BODY_PIECE_BYTES - turn->body.len;
}

void turn_feed(struct turn *turn)
{
    struct exchange *x = &turn->x;
    body_piece_fn on_piece = x->on_piece;
    bool was_running = turn->running;
    enum body_part part;
    struct buf piece = {0};

    if (on_piece == NULL)
        return;
    if (turn->connection == NULL)
        part = BODY_LOST;
    else if (turn->body_whole)
        part = BODY_END;
    else if (turn->body.len >= BODY_PIECE_BYTES)
        part = BODY_MORE;
    else
        return;
    x->on_piece = NULL;
    buf_take(&piece, &turn->body);
    turn->piece_wanted = false;
    turn->running = true;
    on_piece(x, &piece, part);
    turn->running = was_running;
    buf_fini(&piece);
    if (turn->finished && !was_running)
        complete(turn);
}

void turn_next_piece(struct exchange *x)
{
    struct turn *turn = turn_of(x);

    turn->piece_wanted = true;
    if (turn->owes_continue && turn->connection != NULL)
        buf_literal(&turn->loop->scratch, "HTTP/1.1 100 Continue\r\n\r\n");
    turn->owes_continue = false;
    turn_feed(turn);
}

/* ---- streaming ---- */

enum chunk_answer turn_chunk(struct exchange *x)
{
    struct turn *turn = turn_of(x);
    struct buf *out = &x->request.sink->out;
    size_t len = out->len;
    bool post;

    if (atomic_load(&x->client_gone))
        return CHUNK_CANCEL;
    mutex_lock(&turn->chunk_lock);
    if (turn->chunks.len == 0) {
        buf_take(&turn->chunks, out);
    } else {
        buf_str(&turn->chunks, buf_view(out));
        buf_reset(out, TURN_KEEP_BYTES);
    }
    post = !turn->chunk_posted;
    turn->chunk_posted = true;
    (void)atomic_fetch_add(&turn->unsent, len);
    mutex_unlock(&turn->chunk_lock);
    if (post)
        loop_post(turn->loop, &turn->chunk_item);
    if (atomic_load(&turn->unsent) < TURN_HIGH_BYTES)
        return CHUNK_CONTINUE;
    atomic_store(&turn->paused, true);
    /* The loop may have drained everything before it could see `paused`: whoever clears the mark
     * is the one that resumes. */
    if (atomic_load(&turn->unsent) < TURN_LOW_BYTES && atomic_exchange(&turn->paused, false))
        return CHUNK_CONTINUE;
    return CHUNK_PAUSE;
}

static void on_chunk(struct inbox_item *item) ON(loop_thread)
{
    struct turn *turn = CONTAINER_OF(item, struct turn, chunk_item);
    struct connection *connection = turn->connection;
    struct buf bytes = {0};

    mutex_lock(&turn->chunk_lock);
    buf_take(&bytes, &turn->chunks);
    turn->chunk_posted = false;
    mutex_unlock(&turn->chunk_lock);
    if (connection == NULL) {
        turn_sent(turn, bytes.len);
        buf_fini(&bytes);
        return;
    }
    connection_stream(connection, turn, &bytes);
    connection_settle(connection);
}

void turn_sent(struct turn *turn, size_t bytes)
{
    size_t before = atomic_fetch_sub(&turn->unsent, bytes);

    CHECK(before >= bytes);
    if (before - bytes < TURN_LOW_BYTES && atomic_load(&turn->paused) &&
        atomic_exchange(&turn->paused, false)) {
        turn->resumes++;
        engine_resume(turn->loop->services.engine, &turn->x.request);
    }
}
