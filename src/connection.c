#include "src/connection.h"

#include <sys/socket.h>

#include "src/connection_parts.h"
#include "src/websocket_session.h"
#include "tenants/base/check.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"

/* ---- state ---- */

#define BIT(state) (1U << CONNECTION_##state)
static const unsigned moves[] = {
    [CONNECTION_IDLE] = BIT(HEAD) | BIT(LINGER) | BIT(CLOSING),
    [CONNECTION_HEAD] = BIT(IDLE) | BIT(BODY) | BIT(BUSY) | BIT(LINGER) | BIT(CLOSING),
    [CONNECTION_BODY] = BIT(IDLE) | BIT(BUSY) | BIT(LINGER) | BIT(CLOSING),
    [CONNECTION_BUSY] = BIT(IDLE) | BIT(WEBSOCKET) | BIT(LINGER) | BIT(CLOSING),
    [CONNECTION_WEBSOCKET] = BIT(LINGER) | BIT(CLOSING),
    [CONNECTION_LINGER] = BIT(CLOSING),
    [CONNECTION_CLOSING] = 0,
};

void connection_set_state(struct connection *connection, enum connection_state state)
{
    CHECK((moves[connection->state] & (1U << state)) != 0);
    connection->state = state;
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct loop *loop = connection->loop;

    loop_thread_enter();
    admission_leave(&loop->server->admission, connection->counted ? &connection->key : NULL);
    metric_gauge_add(METRIC_CONNECTIONS, 0, -1);
    loop->connection_count--;
    buf_fini(&connection->in);
    mem_free(connection);
    loop_settle(loop);
    loop_thread_leave();
}

void connection_drop(struct connection *connection)
{
    if (connection->state == CONNECTION_CLOSING)
        return;
    connection_set_state(connection, CONNECTION_CLOSING);
    connection_set_wait(connection, WAIT_NOTHING, false);
    list_remove(&connection->link);
    if (connection->turn != NULL) {
        turn_abandon(connection->turn);
        connection->turn = NULL;
    }
    if (connection->session != NULL)
        websocket_session_lost(connection->session);
    uv_close(&connection->uv.handle, on_closed);
}

/* Everything is written: FIN. With bytes of the client still unread, closing now would reset the
 * connection and could take the answer with it; so the rest is read and thrown away for a while. */
static void end_gently(struct connection *connection) ON(loop_thread)
{
    uv_os_fd_t fd;

    if (connection->wait == WAIT_LINGER)
        return;
    if (!connection->linger_after || connection->at_eof ||
        uv_fileno(&connection->uv.handle, &fd) != 0 || shutdown(fd, SHUT_WR) != 0) {
        connection_drop(connection);
        return;
    }
    if (connection->state != CONNECTION_LINGER)
        connection_set_state(connection, CONNECTION_LINGER);
    connection_set_wait(connection, WAIT_LINGER, false);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct connection *connection = handle->data;

    (void)suggested;
    *ret_buf = uv_buf_init(connection->loop->read_buffer, LOOP_READ_BYTES);
}

static void receive(struct connection *connection, const char *bytes, size_t len) ON(loop_thread)
{
    size_t taken = 0;

    metric_add(METRIC_BYTES_IN, len);
    connection->progress += len;
    if (connection->in.len == 0) {
        connection->serving = true;
        taken = connection_take(connection, bytes, len);
        connection->serving = false;
    }
    if (taken < len && connection->state < CONNECTION_LINGER)
        buf_append(&connection->in, bytes + taken, len - taken);
    if (connection->in.failed)
        connection_drop(connection);
    else if (taken == 0)
        connection_take_input(connection);
}

/* The client has closed its side. It may still read: an answer under way gets WAIT_GONE's time. */
static void on_eof(struct connection *connection) ON(loop_thread)
{
    connection->at_eof = true;
    (void)uv_read_stop(&connection->uv.stream);
    connection->reading = false;
    if (connection->state == CONNECTION_WEBSOCKET ||
        (connection->state != CONNECTION_BUSY && connection->queued_bytes == 0))
        connection_drop(connection);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct connection *connection = stream->data;

    loop_thread_enter();
    if (nread > 0)
        receive(connection, buf->base, (size_t)nread);
    else if (nread == UV_EOF)
        on_eof(connection);
    else if (nread < 0)
        connection_drop(connection);
    connection_settle(connection);
    loop_thread_leave();
}

static void set_reading(struct connection *connection, bool wanted) ON(loop_thread)
{
    if (wanted == connection->reading || connection->at_eof)
        return;
    connection->reading = wanted;
    if (!wanted)
        (void)uv_read_stop(&connection->uv.stream);
    else if (uv_read_start(&connection->uv.stream, on_alloc, on_read) != 0)
        connection_drop(connection);
}

/* What waits in `in` is delivered as what was queued leaves: one makes room for the other. */
static void serve_websocket(struct connection *connection) ON(loop_thread)
{
    do {
        connection_take_input(connection);
        websocket_session_flush(connection->session);
    } while (connection->session != NULL && connection->in.len > 0 &&
             connection->queued_bytes < TURN_HIGH_BYTES &&
             websocket_session_may_take(connection->session));
}

void connection_settle(struct connection *connection)
{
    if (connection->state == CONNECTION_CLOSING) {
        buf_reset(&connection->loop->scratch, LOOP_READ_BYTES);
        return;
    }
    if (connection->in.len > 0)
        connection_take_input(connection);
    if (connection->session != NULL)
        serve_websocket(connection);
    if (connection->state == CONNECTION_CLOSING)
        return;
    if (connection->loop->scratch.len > 0)
        connection_send(connection, NULL);
    if (connection->state == CONNECTION_CLOSING)
        return;
    if (connection->close_after && connection->turn == NULL && connection->queued_bytes == 0) {
        end_gently(connection);
        return;
    }
    if (connection->at_eof && connection->turn == NULL && connection->queued_bytes == 0) {
        connection_drop(connection);
        return;
    }
    if (connection->loop->draining && connection->state == CONNECTION_IDLE &&
        connection->queued_bytes == 0) {
        connection_drop(connection);
        return;
    }
    /* Room for a whole head, whatever its limit; what is pipelined beyond waits in the kernel. */
    set_reading(connection,
        connection->in.len < CONNECTION_IN_MAX + connection->loop->limits.head.head_bytes);
    connection_update_wait(connection);
}

/* ---- the server stops ---- */

/* A request that is in the kernel already will be read, and answered; closing now would reset it.
 */
static bool has_unread(const struct connection *connection)
{
    uv_os_fd_t fd;
    char byte;

    return uv_fileno(&connection->uv.handle, &fd) == 0 &&
           recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void connection_drain(struct connection *connection)
{
    if (connection->session != NULL) {
        websocket_session_drain(connection->session);
        connection_settle(connection);
        return;
    }
    if (connection->state == CONNECTION_IDLE && connection->queued_bytes == 0 &&
        !has_unread(connection))
        connection_drop(connection);
}
