/* What a connection sends: heads, bodies, chunks, and what the kernel does not take at once. */
#include "src/connection.h"

#include <limits.h>

#include "src/traffic.h"
#include "src/websocket_session.h"
#include "tenants/base/check.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"

#define INLINE_BODY_BYTES (16UL * 1024) /* copied behind its head: cheaper than a second iovec */
#define SCRATCH_KEEP_BYTES (64UL * 1024)

/* Bytes libuv holds for us until the kernel takes them. */
struct rest {
    uv_write_t request;
    struct connection *connection; /* borrowed: outlives its writes */
    struct buf head;               /* owned */
    struct buf body;               /* owned */
    size_t bytes;
    uint64_t request_number; /* whose answer it is */
    size_t streamed;         /* of `bytes`, what turn_sent() must hear of */
};

static void on_written(uv_write_t *request, int status)
{
    struct rest *rest = CONTAINER_OF(request, struct rest, request);
    struct connection *connection = rest->connection;

    loop_thread_enter();
    connection->queued_bytes -= rest->bytes;
    connection->progress += rest->bytes;
    if (status == 0)
        metric_add(METRIC_BYTES_OUT, rest->bytes);
    if (rest->streamed > 0 && connection->requests == rest->request_number &&
        connection->turn != NULL)
        turn_sent(connection->turn, rest->streamed);
    buf_fini(&rest->head);
    buf_fini(&rest->body);
    mem_free(rest);
    if (status < 0)
        connection_drop(connection);
    connection_settle(connection);
    loop_thread_leave();
}

static void queue(struct connection *connection, struct buf *body, size_t sent, size_t streamed)
    ON(loop_thread)
{
    struct buf *head = &connection->loop->scratch;
    size_t head_sent = MIN(sent, head->len);
    size_t body_sent = sent - head_sent;
    struct rest *rest = mem_zalloc(sizeof(*rest));
    uv_buf_t bufs[2];
    unsigned count = 0;

    rest->connection = connection;
    rest->request_number = connection->requests;
    rest->streamed = streamed;
    if (head->len > head_sent) {
        buf_append(&rest->head, head->bytes + head_sent, head->len - head_sent);
        CHECK(!rest->head.failed);
        bufs[count++] = uv_buf_init(rest->head.bytes, (unsigned)rest->head.len);
    }
    if (body != NULL && body->len > body_sent) {
        buf_take(&rest->body, body);
        bufs[count++] =
            uv_buf_init(rest->body.bytes + body_sent, (unsigned)(rest->body.len - body_sent));
    }
    for (unsigned i = 0; i < count; i++)
        rest->bytes += bufs[i].len;
    connection->queued_bytes += rest->bytes;
    if (uv_write(&rest->request, &connection->uv.stream, bufs, count, on_written) != 0) {
        connection->queued_bytes -= rest->bytes;
        buf_fini(&rest->head);
        buf_fini(&rest->body);
        mem_free(rest);
        connection_drop(connection);
    }
}

/* Sends scratch and body; what cannot go now is queued. `streamed` is turn_sent()'s share. */
static void send_all(struct connection *connection, struct buf *body, size_t streamed)
    ON(loop_thread)
{
    struct buf *head = &connection->loop->scratch;
    size_t total = head->len + (body == NULL ? 0 : body->len);
    size_t sent = 0;

    if (connection->state != CONNECTION_CLOSING && total > 0) {
        if (connection->queued_bytes == 0) {
            uv_buf_t bufs[2] = {uv_buf_init(head->bytes, (unsigned)head->len)};
            unsigned count = head->len > 0;
            int rc;

            if (body != NULL && body->len > 0)
                bufs[count++] = uv_buf_init(body->bytes, (unsigned)body->len);
            rc = uv_try_write(&connection->uv.stream, bufs, count);
            if (rc < 0 && rc != UV_EAGAIN)
                connection_drop(connection);
            sent = rc < 0 ? 0 : (size_t)rc;
            metric_add(METRIC_BYTES_OUT, sent);
            connection->progress += sent;
        }
        if (sent < total && connection->state != CONNECTION_CLOSING)
            queue(connection, body, sent, streamed);
        else if (streamed > 0 && connection->turn != NULL)
            turn_sent(connection->turn, streamed);
    }
    buf_reset(head, SCRATCH_KEEP_BYTES);
}

void connection_send(struct connection *connection, struct buf *body)
{
    send_all(connection, body, 0);
}

static void fill_head(struct connection *connection, const struct turn *turn,
    struct http_head_out *head) ON(loop_thread)
{
    head->date = loop_date(connection->loop);
    head->request_id = turn->x.http.request_id;
    head->allow_origin = turn->allow_origin;
    head->close = connection->close_after;
    head->say_keep_alive = turn->head.version_1_0 && !connection->close_after;
}

static void decide_close(struct connection *connection, const struct turn *turn)
{
    if (!turn->head.keep_alive || turn->x.response.close ||
        atomic_load_explicit(&connection->loop->server->draining, memory_order_relaxed) ||
        (connection->at_eof && connection->in.len == 0))
        connection->close_after = true;
    if (turn->head.wants_websocket) /* what follows is no request: its sender expected a 101 */
        connection->close_after = true;
    if (connection->in.len > 0 || turn->head.wants_websocket)
        connection->linger_after = true;
}

/* Head and body at once: the usual case. */
static void answer_whole(struct connection *connection, struct turn *turn) ON(loop_thread)
{
    struct http_response *response = &turn->x.response;
    struct buf *body = &response->body;
    struct http_head_out head = {.framing = HTTP_FRAMING_LENGTH, .content_length = body->len};
    bool silent = turn->head.method == HTTP_METHOD_HEAD || !http_status_has_body(response->status);

    if (silent && response->stream_bytes > 0)
        head.content_length = response->stream_bytes;
    fill_head(connection, turn, &head);
    http_write_head(&connection->loop->scratch, response, &head);
    if (silent || body->len == 0)
        return;
    if (body->len <= INLINE_BODY_BYTES)
        buf_str(&connection->loop->scratch, buf_view(body));
    else
        connection_send(connection, body);
}

/* A streamed answer whose size is not known, to a client that knows chunks. */
static bool is_chunked(const struct turn *turn)
{
    return !turn->head.version_1_0 && turn->x.response.stream_bytes == 0;
}

/* The end of a streamed answer: its last bytes, and the mark that it is whole. */
static void answer_rest(struct connection *connection, struct turn *turn) ON(loop_thread)
{
    struct http_response *response = &turn->x.response;
    struct buf *scratch = &connection->loop->scratch;
    struct buf *body = &response->body;

    if (response->status == 0 ||
        body->failed) { /* the dialect could not finish it: no last chunk */
        connection_drop(connection);
        return;
    }
    if (turn->head.method == HTTP_METHOD_HEAD)
        return;
    if (!is_chunked(turn)) {
        connection_send(connection, body);
        return;
    }
    if (body->len > 0) {
        http_write_chunk_size(scratch, body->len);
        body->limit_bytes = 0;
        buf_literal(body, "\r\n0\r\n\r\n");
        connection_send(connection, body);
    } else {
        buf_literal(scratch, "0\r\n\r\n");
    }
}

/* 101: from here on the bytes are a WebSocket's, also those that came with the request. */
static void answer_upgrade(struct connection *connection, struct turn *turn) ON(loop_thread)
{
    struct http_head_out head = {.framing = HTTP_FRAMING_LENGTH};

    fill_head(connection, turn, &head);
    http_write_head(&connection->loop->scratch, &turn->x.response, &head);
    connection_set_state(connection, CONNECTION_WEBSOCKET);
    connection->session = websocket_session_open(connection, turn);
    turn_recycle(turn);
}

void connection_answer(struct connection *connection, struct turn *turn)
{
    if (connection->state == CONNECTION_BODY) { /* the rest of the body is thrown away */
        connection_set_state(connection, CONNECTION_BUSY);
        turn->x.response.close = true;
        connection->linger_after = true;
    }
    CHECK(connection->turn == turn && connection->state == CONNECTION_BUSY);
    connection->turn = NULL; /* it is at home: a drop must not abandon it */
    connection->resumes_seen = UINT_MAX;
    if (turn->x.upgrade.handler != NULL && turn->x.response.status == 101) {
        answer_upgrade(connection, turn);
        return;
    }
    if (turn->head_sent) {
        answer_rest(connection, turn);
    } else {
        decide_close(connection, turn);
        answer_whole(connection, turn);
    }
    turn_recycle(turn);
    if (connection->state == CONNECTION_CLOSING)
        return;
    connection_set_state(connection, CONNECTION_IDLE);
    if (connection->loop->scratch.len > SCRATCH_KEEP_BYTES)
        connection_send(connection, NULL);
}

void connection_stream(struct connection *connection, struct turn *turn, struct buf *bytes)
{
    struct buf *scratch = &connection->loop->scratch;
    bool chunked = is_chunked(turn);
    size_t len = bytes->len;

    if (!turn->head_sent) {
        struct http_head_out head = {.framing = chunked ? HTTP_FRAMING_CHUNKED
                                                : turn->x.response.stream_bytes > 0
                                                    ? HTTP_FRAMING_LENGTH
                                                    : HTTP_FRAMING_CLOSE,
            .content_length = turn->x.response.stream_bytes};

        if (head.framing == HTTP_FRAMING_CLOSE)
            connection->close_after = true;
        decide_close(connection, turn);
        fill_head(connection, turn, &head);
        http_write_head(scratch, &turn->x.response, &head);
        turn->head_sent = true;
    }
    if (turn->head.method == HTTP_METHOD_HEAD || len == 0) {
        buf_fini(bytes);
        turn_sent(turn, len);
        return;
    }
    if (chunked) {
        http_write_chunk_size(scratch, len);
        bytes->limit_bytes = 0;
        buf_literal(bytes, "\r\n");
    }
    send_all(connection, bytes, len);
    buf_fini(bytes);
}
