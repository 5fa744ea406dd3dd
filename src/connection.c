#include "src/connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include "src/http_parser.h"
#include "src/traffic.h"
#include "src/websocket_session.h"
#include "tenants/base/check.h"
#include "tenants/base/log.h"
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

/* Of what libuv holds, how much the kernel has taken: its callback comes only with the last byte.
 */
static uint64_t under_way(const struct connection *connection)
{
    return connection->queued_bytes == 0
               ? 0
               : connection->queued_bytes - uv_stream_get_write_queue_size(&connection->uv.stream);
}

static void set_wait(struct connection *connection, enum wait wait, bool anew)
{
    if (wait == connection->wait && !anew)
        return;
    list_remove(&connection->waiting);
    connection->wait = wait;
    connection->progress = 0;
    connection->progress_mark = under_way(connection);
    connection->since_ms = uv_now(&connection->loop->uv);
    if (wait != WAIT_NOTHING)
        list_append(&connection->loop->waiting[wait], &connection->waiting);
}

/* What is it waiting for, now that nothing more can be done for it? */
static void update_wait(struct connection *connection) ON(loop_thread)
{
    enum wait wait;
    bool anew;

    switch (connection->state) {
    case CONNECTION_CLOSING:
        set_wait(connection, WAIT_NOTHING, false);
        return;
    case CONNECTION_LINGER:
        set_wait(connection, connection->queued_bytes > 0 ? WAIT_WRITE : WAIT_LINGER, false);
        return;
    case CONNECTION_WEBSOCKET:
        wait = websocket_session_wait(connection->session, &anew);
        if (connection->queued_bytes == 0) {
            set_wait(connection, wait, anew);
            return;
        }
        break;
    case CONNECTION_IDLE:
    case CONNECTION_HEAD:
    case CONNECTION_BODY:
    case CONNECTION_BUSY:
        break;
    }
    if (connection->queued_bytes > 0)
        set_wait(connection, WAIT_WRITE, false);
    else if (connection->state == CONNECTION_IDLE)
        set_wait(connection, WAIT_IDLE, true);
    else if (connection->state == CONNECTION_HEAD)
        set_wait(connection, WAIT_HEAD, false);
    else if (connection->state == CONNECTION_BODY)
        set_wait(connection, WAIT_BODY, false);
    else
        set_wait(connection, connection->at_eof ? WAIT_GONE : WAIT_NOTHING, false);
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
    set_wait(connection, WAIT_NOTHING, false);
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
    set_wait(connection, WAIT_LINGER, false);
}

/* ---- requests ---- */

static const char *code_of(int status)
{
    return status == 408                                     ? "timeout"
           : status == 413 || status == 414 || status == 431 ? "too_large"
           : status == 501 || status == 505                  ? "not_implemented"
           : status == 503                                   ? "unavailable"
                                                             : "bad_request";
}

/* An error found before there was a request: the default shape, and the end. */
static void refuse(struct connection *connection, int status, const char *reason) ON(loop_thread)
{
    struct loop *loop = connection->loop;
    struct turn *turn = connection->turn;
    struct http_response response = {.status = status, .content_type = "application/json"};
    struct http_head_out head = {.date = loop_date(loop), .close = true};
    struct buf body = {0};
    char id[TURN_ID_BYTES];

    head.request_id = turn != NULL && turn->x.http.request_id.len > 0 ? turn->x.http.request_id
                                                                      : turn_make_id(loop, id);
    http_write_error_body(&body, reason, code_of(status), head.request_id);
    head.content_length = body.len;
    http_write_head(&loop->scratch, &response, &head);
    if (connection->head.method != HTTP_METHOD_HEAD)
        buf_str(&loop->scratch, buf_view(&body));
    buf_fini(&body);
    log_debug("http.refused", "request=%.*s remote=%s status=%d reason=\"%s\"",
        STR_ARGS(head.request_id), connection->remote, status, reason);
    traffic_count_refusal(status);
    if (turn != NULL) {
        turn_abandon(turn);
        connection->turn = NULL;
    }
    connection->close_after = true;
    connection->linger_after = true;
    connection_set_state(connection, CONNECTION_LINGER);
}

static void refuse_turn(struct connection *connection, enum err_code code, const char *reason)
    ON(loop_thread)
{
    struct err err = ERR_INIT;

    (void)err_set(&err, code, "%s", reason);
    connection->linger_after = true;
    connection_set_state(connection, CONNECTION_BUSY);
    turn_refuse(connection->turn, &err);
}

static void refuse_body(struct connection *connection) ON(loop_thread)
{
    char reason[96];

    (void)snprintf(reason, sizeof(reason),
        "the request's body is larger than %llu bytes (--max-body)",
        (unsigned long long)connection->loop->limits.max_body_bytes);
    refuse_turn(connection, ERR_TOO_LARGE, reason);
}

/* The request is whole. */
static void begin(struct connection *connection, struct str body) ON(loop_thread)
{
    struct turn *turn = connection->turn;

    turn->x.http.body = body;
    connection->requests++;
    connection_set_state(connection, CONNECTION_BUSY);
    turn_begin(turn);
}

static void prepare(struct connection *connection, struct turn *turn)
{
    struct http_request *http = &turn->x.http;
    const struct policy *policy = &connection->loop->server->policy;

    memcpy(turn->remote, connection->remote, sizeof(turn->remote)); /* it may outlive it */
    http->remote = str_from(turn->remote);
    if (connection->trusted)
        policy_forwarded(policy, http);
    http->foreign_origin = http->wants_websocket && policy_is_foreign(policy, http);
    if (policy->base_domain[0] != '\0')
        http_split_host(http, policy->base_domain);
    turn->allow_origin = policy_allow_origin(policy, http);
}

/* The head is parsed: is there a body, may it come, is it here already? Returns how much of `rest`
 * was taken. */
static size_t open_body(struct connection *connection, struct turn *turn, struct str rest)
    ON(loop_thread)
{
    struct http_head *head = &turn->head;
    uint64_t length = head->has_content_length ? head->content_length : 0;

    if (length > connection->loop->limits.max_body_bytes) {
        refuse_body(connection);
        return 0;
    }
    if (!head->chunked && length <= rest.len) {
        struct buf *bytes = &turn->head_bytes; /* has room: take_head reserved it */
        size_t at = bytes->len;

        buf_append(bytes, rest.ptr, (size_t)length);
        begin(connection, str_make(bytes->bytes + at, (size_t)length));
        return (size_t)length;
    }
    turn->body_left = length;
    turn->body.limit_bytes = 0;
    connection_set_state(connection, CONNECTION_BODY);
    if (head->expects_continue && rest.len == 0)
        buf_literal(&connection->loop->scratch, "HTTP/1.1 100 Continue\r\n\r\n");
    return 0;
}

/* Returns how much was taken; 0 when the head is not whole. */
static size_t take_head(struct connection *connection, const char *bytes, size_t len)
    ON(loop_thread)
{
    struct loop *loop = connection->loop;
    struct http_head *head = &connection->head;
    const char *reason = NULL;
    struct turn *turn;
    size_t with_body;

    switch (http_head_scan(head, bytes, len, &loop->limits.head)) {
    case HTTP_HEAD_MORE:
        return 0;
    case HTTP_HEAD_BAD:
        refuse(connection, head->status, head->reason);
        return len;
    case HTTP_HEAD_DONE:
        break;
    }
    turn = turn_take(loop, connection);
    connection->turn = turn;
    turn->head = *head;
    with_body = head->len;
    if (head->has_content_length && head->content_length <= len - head->len)
        with_body += (size_t)head->content_length;
    if (buf_reserve(&turn->head_bytes, with_body) < 0) {
        refuse(connection, 503, "out of memory");
        return len;
    }
    buf_append(&turn->head_bytes, bytes, head->len);
    if (http_parse_head(head, turn->head_bytes.bytes, &turn->x.arena, &turn->x.http, &reason) < 0) {
        refuse(connection, 400, reason);
        return len;
    }
    prepare(connection, turn);
    return turn->head.len +
           open_body(connection, turn, str_make(bytes + turn->head.len, len - turn->head.len));
}

/* Counts `more` bytes of body against the total of all connections. -1: refused. */
static int charge(struct connection *connection, uint64_t more) ON(loop_thread)
{
    struct server *server = connection->loop->server;
    uint64_t before = atomic_fetch_add(&server->body_bytes, more);

    connection->turn->body_charged += more;
    if (before + more <= connection->loop->limits.max_body_total)
        return 0;
    refuse_turn(connection, ERR_UNAVAILABLE, "too many large requests at once; try again");
    return -1;
}

static size_t take_length_body(struct connection *connection, const char *bytes, size_t len)
    ON(loop_thread)
{
    struct turn *turn = connection->turn;
    size_t taken = (size_t)MIN((uint64_t)len, turn->body_left);

    if (charge(connection, taken) < 0)
        return len;
    buf_append(&turn->body, bytes, taken);
    turn->body_left -= taken;
    if (turn->body.failed)
        refuse(connection, 503, "out of memory");
    else if (turn->body_left == 0)
        begin(connection, buf_view(&turn->body));
    return taken;
}

static size_t take_chunked_body(struct connection *connection, const char *bytes, size_t len)
    ON(loop_thread)
{
    struct turn *turn = connection->turn;
    struct str part;
    size_t taken;

    switch (http_chunked_feed(&turn->chunked, bytes, len, &taken, &part)) {
    case HTTP_CHUNKED_BAD:
        refuse(connection, 400, "the chunked body is malformed");
        return len;
    case HTTP_CHUNKED_DONE:
        begin(connection, buf_view(&turn->body));
        return taken;
    case HTTP_CHUNKED_MORE:
        break;
    }
    if (turn->body.len + part.len > connection->loop->limits.max_body_bytes) {
        refuse_body(connection);
        return len;
    }
    if (charge(connection, part.len) < 0)
        return len;
    buf_str(&turn->body, part);
    if (turn->body.failed)
        refuse(connection, 503, "out of memory");
    return taken;
}

/* Takes what it can of `bytes`; returns how much. Stops where an answer must come first. */
static size_t take(struct connection *connection, const char *bytes, size_t len) ON(loop_thread)
{
    size_t at = 0;

    while (at < len && connection->queued_bytes < TURN_HIGH_BYTES) {
        size_t taken;

        switch (connection->state) {
        case CONNECTION_IDLE:
            if (connection->close_after)
                return len;
            connection->head = (struct http_head){0};
            connection_set_state(connection, CONNECTION_HEAD);
            continue;
        case CONNECTION_HEAD:
            taken = take_head(connection, bytes + at, len - at);
            if (taken == 0 && connection->state == CONNECTION_HEAD)
                return at;
            at += taken;
            continue;
        case CONNECTION_BODY:
            at += connection->turn->head.chunked
                      ? take_chunked_body(connection, bytes + at, len - at)
                      : take_length_body(connection, bytes + at, len - at);
            continue;
        case CONNECTION_BUSY:
            return at;
        case CONNECTION_WEBSOCKET:
            return at + websocket_session_receive(connection->session, bytes + at, len - at);
        case CONNECTION_LINGER:
        case CONNECTION_CLOSING:
            return len;
        }
    }
    return at;
}

/* Serves what `in` holds. */
static void take_input(struct connection *connection) ON(loop_thread)
{
    if (connection->serving)
        return;
    connection->serving = true;
    if (connection->in.len > 0)
        buf_consume(&connection->in, take(connection, connection->in.bytes, connection->in.len));
    if (connection->in.len == 0 && connection->in.capacity > 0)
        buf_fini(&connection->in);
    connection->serving = false;
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
        taken = take(connection, bytes, len);
        connection->serving = false;
    }
    if (taken < len && connection->state < CONNECTION_LINGER)
        buf_append(&connection->in, bytes + taken, len - taken);
    if (connection->in.failed)
        connection_drop(connection);
    else if (taken == 0)
        take_input(connection);
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
        take_input(connection);
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
        take_input(connection);
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
    update_wait(connection);
}

/* ---- limits in time ---- */

/* In each period so much must move, and a paused lane must have gone on; then the next begins. */
static bool moved_enough(struct connection *connection)
{
    struct turn *turn = connection->turn;
    uint64_t moved = connection->progress + under_way(connection) - connection->progress_mark;

    if (moved < CONNECTION_PROGRESS_BYTES)
        return false;
    if (turn != NULL && atomic_load(&turn->paused)) {
        if (turn->resumes == connection->resumes_seen)
            return false;
        connection->resumes_seen = turn->resumes;
    }
    set_wait(connection, connection->wait, true);
    return true;
}

void connection_timed_out(struct connection *connection)
{
    switch (connection->wait) {
    case WAIT_HEAD:
        refuse(connection, 408, "the request's head did not come in time");
        connection_settle(connection);
        return;
    case WAIT_BODY:
        if (moved_enough(connection))
            return;
        if (connection->session != NULL) {
            websocket_session_too_slow(connection->session);
            connection_settle(connection);
            return;
        }
        refuse(connection, 408, "the request's body did not come in time");
        connection_settle(connection);
        return;
    case WAIT_WRITE:
        if (moved_enough(connection))
            return;
        log_info("http.slow_reader", "remote=%s queued=%llu", connection->remote,
            (unsigned long long)connection->queued_bytes);
        connection_drop(connection);
        return;
    case WAIT_WEBSOCKET:
        set_wait(connection, WAIT_WEBSOCKET, true);
        if (!websocket_session_ping(connection->session))
            break;
        connection_settle(connection);
        return;
    case WAIT_IDLE:
    case WAIT_GONE:
    case WAIT_LINGER:
    case WAIT_NOTHING:
        break;
    }
    connection_drop(connection);
}

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
