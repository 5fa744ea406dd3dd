/* A stream's requests, one after the other, and their answers. */
#include "proto/hrana/websocket.h"
#include "tenants/base/clock.h"
#include "tenants/base/mem.h"
#include "tenants/rate.h"
#include "tenants/usage.h"

#define ANSWER_BYTES_MAX (64UL * 1024 * 1024) /* of one answer; the engine's limits are lower */
#define ANSWER_BYTES_USUAL 1024               /* room for it at first: a row or a few */

static void finish(struct hrana_call *call) ON(loop_thread);

/* ---- answers ---- */

void hrana_call_encoder(struct hrana_call *call, const struct hrana_encoder_ops *ops)
{
    struct hrana_stream *stream = call->stream == NULL ? NULL : &call->stream->stream;

    call->request = (struct request){.err = ERR_INIT};
    hrana_run_init(&call->run, stream, &call->request, &call->arena, ops, HRANA_WEBSOCKET);
    call->run.encoder.request_id = call->message.request_id;
    call->run.sink.out.limit_bytes = ANSWER_BYTES_MAX;
    (void)buf_reserve(&call->run.sink.out, ANSWER_BYTES_USUAL);
}

void hrana_call_answer(struct hrana_call *call)
{
    struct hrana_socket *socket = call->socket;

    if (websocket_send(socket->websocket, socket->codec->is_text, &call->run.sink.out) ==
        WEBSOCKET_FULL)
        socket->full = true;
    hrana_call_end(call);
}

void hrana_call_refuse(struct hrana_call *call, const struct err *err)
{
    hrana_call_encoder(call, call->socket->codec->ops);
    hrana_refuse(&call->run, err);
    hrana_call_answer(call);
}

void hrana_call_refuse_with(struct hrana_call *call, enum err_code code, const char *message)
{
    struct err err = ERR_INIT;

    (void)err_set(&err, code, "%s", message);
    hrana_call_refuse(call, &err);
}

void hrana_call_answer_empty(struct hrana_call *call)
{
    const struct hrana_encoder_ops *ops = call->socket->codec->ops;
    enum hrana_request_type type = call->message.request.type;

    hrana_call_encoder(call, ops);
    ops->response_begin(&call->run.encoder, type);
    ops->response_end(&call->run.encoder, type);
    hrana_call_answer(call);
}

/* ---- the engine ---- */

void hrana_call_count(const struct hrana_call *call)
{
    const struct statement_stats *total = &call->request.total;

    usage_add(call->stream->stream.database->usage, 1, total->rows_read, total->rows_written);
}

static void on_home(struct websocket_task *task) ON(loop_thread)
{
    finish(CONTAINER_OF(task, struct hrana_call, home));
}

/* Any thread. Whoever comes second, this or the loop that gave it the request, brings it home. */
static void on_done(struct request *request)
{
    struct hrana_call *call = request->owner;

    if (atomic_fetch_add(&call->arrivals, 1) == 1)
        websocket_post(call->socket->websocket, &call->home);
}

void hrana_call_submit(struct hrana_call *call)
{
    struct hrana_socket *socket = call->socket;
    struct database *database = call->stream->stream.database;
    struct engine *engine = call->stream->stream.engine;
    struct request *request = &call->request;

    call->principal = principal_ref(socket->principal);
    call->home.run = on_home;
    atomic_store(&call->arrivals, 0);
    request->principal = call->principal;
    request->arena = &call->arena;
    request->lane_hint = socket->websocket->services->loop_index;
    request->owner = call;
    request->done = on_done;
    if (!engine_try_here(engine, database, request))
        engine_submit(engine, database, request);
    if (atomic_fetch_add(&call->arrivals, 1) == 1)
        finish(call);
}

/* What was sent behind a request that is told so belongs to a transaction that is no more: run by
 * itself it would be half of one. So nothing runs on that stream again. */
static bool lost_transaction(const struct err *err)
{
    return err->code == ERR_STREAM_EXPIRED || err->code == ERR_TRANSACTION_TIMEOUT;
}

void hrana_call_conclude(struct hrana_call *call)
{
    if (hrana_finish(&call->run) == HRANA_FATAL)
        hrana_refuse(&call->run, &call->run.err);
    if (unlikely(lost_transaction(&call->request.err)))
        call->stream->failed = call->request.err.code;
}

static void finish(struct hrana_call *call)
{
    struct hrana_socket_stream *stream = call->stream;

    hrana_call_count(call);
    if (call->cursor != NULL) {
        hrana_cursor_finish(call->cursor);
    } else {
        stream->running = NULL;
        hrana_call_conclude(call);
        hrana_call_answer(call);
    }
    hrana_stream_advance(stream);
}

/* ---- one request ---- */

static bool take_rate(struct hrana_socket *socket, struct err *err)
{
    unsigned wait_s;

    if (likely(socket->principal->rate == NULL))
        return true;
    wait_s = rate_take(socket->principal->rate, clock_now_ns());
    if (wait_s == 0)
        return true;
    (void)err_set(err, ERR_RATE_LIMITED, "too many requests; try again in %u s", wait_s);
    return false;
}

bool hrana_stream_may_run(struct hrana_socket_stream *stream, struct err *err)
{
    if (stream->failed == ERR_OVERLOADED)
        (void)err_set(err, stream->failed, "the stream could not be opened: close it");
    else if (stream->failed != ERR_NONE)
        (void)err_set(err, stream->failed,
            "the transaction was open for too long and was rolled back; close the stream");
    else if (stream->cursor != NULL)
        (void)err_set(err, ERR_BAD_REQUEST, "a cursor is open on the stream: close it first");
    else
        return take_rate(stream->socket, err);
    return false;
}

static void run(struct hrana_call *call) ON(loop_thread)
{
    hrana_call_encoder(call, call->socket->codec->ops);
    switch (hrana_begin(&call->run, &call->message.request)) {
    case HRANA_ANSWERED:
        hrana_call_answer(call);
        break;
    case HRANA_SUBMIT:
        call->stream->running = call;
        hrana_call_submit(call);
        break;
    case HRANA_FATAL:
    default:
        hrana_socket_close(call->socket, WEBSOCKET_POLICY, call->run.err.msg);
        hrana_call_end(call);
        break;
    }
}

/* Its cursors are over. False: one still runs. */
static bool stop_cursors(struct hrana_socket_stream *stream) ON(loop_thread)
{
    if (stream->cursor != NULL && !hrana_cursor_stop(stream->cursor))
        return false;
    LIST_FOREACH_SAFE(at, next, &stream->cursors)
    {
        hrana_cursor_free(LIST_ENTRY(at, struct hrana_cursor_state, stream_link));
    }
    return true;
}

/* The first of the queue. False: it has to wait. */
static bool begin(struct hrana_call *call) ON(loop_thread)
{
    enum hrana_request_type type = call->message.request.type;
    struct err err = ERR_INIT;

    if (type == HRANA_FETCH_CURSOR)
        return hrana_cursor_fetch(call);
    if (type == HRANA_CLOSE_CURSOR)
        return hrana_cursor_close(call);
    if (type == HRANA_CLOSE && !stop_cursors(call->stream))
        return false;
    list_remove(&call->link);
    if (type == HRANA_OPEN_CURSOR)
        hrana_cursor_open(call);
    else if (type == HRANA_CLOSE || hrana_stream_may_run(call->stream, &err))
        run(call);
    else
        hrana_call_refuse(call, &err);
    return true;
}

/* ---- streams ---- */

static void free_if_over(struct hrana_socket_stream *stream) ON(loop_thread)
{
    if (!stream->id_closed || stream->advancing || stream->running != NULL ||
        !list_empty(&stream->calls) || !stop_cursors(stream))
        return;
    hrana_stream_fini(&stream->stream);
    list_remove(&stream->all_link);
    list_remove(&stream->blocked_link);
    stream->socket->open_streams--;
    mem_free(stream);
}

static bool may_begin(struct hrana_socket_stream *stream) ON(loop_thread)
{
    struct hrana_socket *socket = stream->socket;

    if (likely(!socket->full && hrana_socket_is_logged_in(socket)))
        return true;
    if (!socket->ending && !list_linked(&stream->blocked_link))
        list_append(&socket->blocked, &stream->blocked_link);
    return false;
}

void hrana_stream_advance(struct hrana_socket_stream *stream)
{
    if (stream->advancing)
        return;
    stream->advancing = true;
    while (!list_empty(&stream->calls) && stream->running == NULL && may_begin(stream)) {
        if (!begin(LIST_FIRST(&stream->calls, struct hrana_call, link)))
            break;
    }
    stream->advancing = false;
    free_if_over(stream);
}

void hrana_stream_abandon(struct hrana_socket_stream *stream)
{
    while (!list_empty(&stream->calls)) {
        struct hrana_call *call = LIST_FIRST(&stream->calls, struct hrana_call, link);

        list_remove(&call->link);
        hrana_call_end(call);
    }
    if (stream->running != NULL)
        engine_cancel(stream->stream.engine, &stream->running->request);
    free_if_over(stream);
}
