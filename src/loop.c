#include "src/loop.h"

#include "src/connection.h"
#include "src/listener.h"
#include "src/process_routes.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/mem.h"
#include "tenants/base/random.h"

static _Thread_local struct loop *this_loop;

struct loop *loop_current(void)
{
    return this_loop;
}

/* ---- the inbox ---- */

void loop_post(struct loop *loop, struct inbox_item *item)
{
    bool was_empty;

    mutex_lock(&loop->inbox_lock);
    was_empty = list_empty(&loop->inbox);
    list_append(&loop->inbox, &item->link);
    mutex_unlock(&loop->inbox_lock);
    if (was_empty)
        CHECK(uv_async_send(&loop->wake) == 0);
}

static void on_wake(uv_async_t *handle)
{
    struct loop *loop = handle->data;
    struct list items;

    loop_thread_enter();
    list_init(&items);
    mutex_lock(&loop->inbox_lock);
    list_splice(&items, &loop->inbox);
    mutex_unlock(&loop->inbox_lock);
    while (!list_empty(&items)) {
        struct inbox_item *item = LIST_FIRST(&items, struct inbox_item, link);

        list_remove(&item->link);
        item->run(item);
    }
    loop_thread_leave();
}

/* ---- time ---- */

struct str loop_date(struct loop *loop)
{
    int64_t now_ms = clock_wall_ms();

    if (now_ms / 1000 != loop->date_second) {
        loop->date_second = now_ms / 1000;
        http_format_date(now_ms, loop->date);
    }
    return str_make(loop->date, HTTP_DATE_BYTES - 1);
}

/* Of the turns that were not needed since the last tick, half goes. */
static void trim_turns(struct loop *loop)
{
    for (unsigned i = loop->spare_turn_low / 2; i > 0; i--) {
        struct turn *turn = LIST_ENTRY(loop->spare_turns.prev, struct turn, link);

        list_remove(&turn->link);
        loop->spare_turn_count--;
        turn_free(turn);
    }
    loop->spare_turn_low = loop->spare_turn_count;
}

static void on_tick(uv_timer_t *handle)
{
    struct loop *loop = handle->data;
    uint64_t now = uv_now(&loop->uv);

    loop_thread_enter();
    trim_turns(loop);
    for (int w = 0; w < WAIT_COUNT; w++) {
        struct list *list = &loop->waiting[w];

        while (!list_empty(list)) {
            struct connection *oldest = LIST_FIRST(list, struct connection, waiting);

            if (now - oldest->since_ms < loop->limits.timeout_ms[w])
                break;
            connection_timed_out(oldest);
        }
    }
    loop_thread_leave();
}

static void on_before_poll(uv_prepare_t *handle)
{
    struct loop *loop = handle->data;

    atomic_store_explicit(&loop->busy_since_ns, 0, memory_order_relaxed);
}

static void on_after_poll(uv_check_t *handle)
{
    struct loop *loop = handle->data;

    atomic_store_explicit(&loop->busy_since_ns, clock_now_ns(), memory_order_relaxed);
}

/* ---- life ---- */

void loop_limits_from(const struct options *options, struct loop_limits *ret_limits)
{
    *ret_limits = (struct loop_limits){
        .head = {.head_bytes = options->max_head_bytes,
            .target_bytes = options->max_target_bytes,
            .headers = options->max_headers},
        .max_body_bytes = options->surface.max_body_bytes,
        .max_body_total = options->max_body_total,
        .timeout_ms = {[WAIT_IDLE] = options->idle_timeout_ms,
            [WAIT_HEAD] = options->header_timeout_ms,
            [WAIT_BODY] = options->body_timeout_ms,
            [WAIT_WRITE] = options->slow_reader_ms,
            [WAIT_GONE] = 1000,
            [WAIT_LINGER] = 2000,
            [WAIT_WEBSOCKET] = options->websocket_idle_ms / 2},
        .websocket_message_bytes = options->websocket_message_bytes,
        .slow_request_ns = options->slow_request_ms * NS_PER_MS,
        .metrics_public = options->metrics_public,
    };
}

static void init_handles(struct loop *loop)
{
    CHECK(uv_loop_init(&loop->uv) == 0);
    CHECK(uv_async_init(&loop->uv, &loop->wake, on_wake) == 0);
    CHECK(uv_timer_init(&loop->uv, &loop->tick) == 0);
    CHECK(uv_prepare_init(&loop->uv, &loop->before_poll) == 0);
    CHECK(uv_check_init(&loop->uv, &loop->after_poll) == 0);
    loop->wake.data = loop;
    loop->tick.data = loop;
    loop->before_poll.data = loop;
    loop->after_poll.data = loop;
    CHECK(uv_timer_start(&loop->tick, on_tick, LOOP_TICK_MS, LOOP_TICK_MS) == 0);
    CHECK(uv_prepare_start(&loop->before_poll, on_before_poll) == 0);
    CHECK(uv_check_start(&loop->after_poll, on_after_poll) == 0);
}

struct loop *loop_new(struct server *server, unsigned index)
{
    struct loop *loop = mem_zalloc(sizeof(*loop));

    loop->server = server;
    loop->index = index;
    mutex_init(&loop->inbox_lock);
    list_init(&loop->inbox);
    list_init(&loop->listeners);
    list_init(&loop->connections);
    list_init(&loop->spare_turns);
    for (int w = 0; w < WAIT_COUNT; w++)
        list_init(&loop->waiting[w]);
    buf_init(&loop->scratch, 0);
    loop_limits_from(server->options, &loop->limits);
    random_bytes(&loop->id_salt, sizeof(loop->id_salt));
    init_handles(loop);
    loop->services = (struct services){
        .engine = server->engine,
        .catalogue = server->catalogue,
        .directory = directory_new(server->catalogue),
        .loop_index = index,
        .settings = &server->options->surface,
        .batons = server->batons,
        .post = turn_post,
        .finish = turn_finish,
        .chunk = turn_chunk,
        .next_piece = turn_next_piece,
        .process_stats = process_stats,
    };
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    while (!list_empty(&loop->spare_turns)) {
        struct turn *turn = LIST_FIRST(&loop->spare_turns, struct turn, link);

        list_remove(&turn->link);
        turn_free(turn);
    }
    directory_free(loop->services.directory);
    CHECK(uv_loop_close(&loop->uv) == 0);
    buf_fini(&loop->scratch);
    mutex_fini(&loop->inbox_lock);
    mem_free(loop);
}

static void *run_loop(void *argument)
{
    struct loop *loop = argument;

    this_loop = loop;
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    this_loop = NULL;
    atomic_store(&loop->ended, true);
    return NULL;
}

void loop_start(struct loop *loop)
{
    char name[16];

    (void)snprintf(name, sizeof(name), "loop-%u", loop->index % 1000);
    thread_start(&loop->thread, name, run_loop, loop);
}

void loop_join(struct loop *loop)
{
    thread_join(loop->thread);
}

void loop_settle(struct loop *loop)
{
    if (!loop->stopping || loop->connection_count > 0 || loop->turn_count > 0 ||
        loop->websocket_count > 0 || uv_is_closing((uv_handle_t *)&loop->tick))
        return;
    uv_close((uv_handle_t *)&loop->tick, NULL);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->before_poll, NULL);
    uv_close((uv_handle_t *)&loop->after_poll, NULL);
}

/* ---- orders from the main thread ---- */

struct order {
    struct inbox_item item;
    struct loop *loop;
    struct loop_limits limits;
};

static void give_order(
    struct loop *loop, void (*run)(struct inbox_item *item), const struct loop_limits *limits)
{
    struct order *order = mem_zalloc(sizeof(*order));

    order->loop = loop;
    order->item.run = run;
    if (limits != NULL)
        order->limits = *limits;
    loop_post(loop, &order->item);
}

static void drain_now(struct loop *loop) ON(loop_thread)
{
    if (loop->draining)
        return;
    loop->draining = true;
    listener_close_all(loop);
    LIST_FOREACH_SAFE(at, next, &loop->connections)
    {
        connection_drain(LIST_ENTRY(at, struct connection, link));
    }
}

static void on_drain(struct inbox_item *item) ON(loop_thread)
{
    struct order *order = CONTAINER_OF(item, struct order, item);

    drain_now(order->loop);
    mem_free(order);
}

static void on_stop(struct inbox_item *item) ON(loop_thread)
{
    struct order *order = CONTAINER_OF(item, struct order, item);
    struct loop *loop = order->loop;

    drain_now(loop);
    loop->stopping = true;
    LIST_FOREACH_SAFE(at, next, &loop->connections)
    {
        connection_drop(LIST_ENTRY(at, struct connection, link));
    }
    loop_settle(loop);
    mem_free(order);
}

static void on_limits(struct inbox_item *item)
{
    struct order *order = CONTAINER_OF(item, struct order, item);

    order->loop->limits = order->limits;
    mem_free(order);
}

void loop_drain(struct loop *loop)
{
    give_order(loop, on_drain, NULL);
}

void loop_stop(struct loop *loop)
{
    give_order(loop, on_stop, NULL);
}

void loop_set_limits(struct loop *loop, const struct loop_limits *limits)
{
    give_order(loop, on_limits, limits);
}
