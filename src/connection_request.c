/* Bytes in, requests out: head, body, and the refusals before there is a request. */
#include "src/connection_parts.h"
#include "src/http_parser.h"
#include "src/traffic.h"
#include "src/websocket_session.h"
#include "tenants/base/log.h"

static const char *code_of(int status)
{
    return status == 408                                     ? "timeout"
           : status == 413 || status == 414 || status == 431 ? "too_large"
           : status == 501 || status == 505                  ? "not_implemented"
           : status == 503                                   ? "unavailable"
                                                             : "bad_request";
}

/* An error found before there was a request: the default shape, and the end. */
void connection_refuse(struct connection *connection, int status, const char *reason)
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

/* The request is served before its body is here; the handler asks for it in pieces. */
static void open_stream(struct connection *connection, struct turn *turn, uint64_t length,
    struct str rest) ON(loop_thread)
{
    turn->body_left = length;
    turn->body.limit_bytes = 0;
    turn->owes_continue = turn->head.expects_continue && rest.len == 0;
    connection->requests++;
    connection_set_state(connection, CONNECTION_BODY);
    turn_begin(turn);
}

/* The last byte of a streamed body is in. */
static void end_stream(struct connection *connection, struct turn *turn) ON(loop_thread)
{
    turn->body_whole = true;
    connection_set_state(connection, CONNECTION_BUSY);
}

/* The head is parsed: is there a body, may it come, is it here already? Returns how much of `rest`
 * was taken. */
static size_t open_body(struct connection *connection, struct turn *turn, struct str rest)
    ON(loop_thread)
{
    struct http_head *head = &turn->head;
    uint64_t length = head->has_content_length ? head->content_length : 0;

    bool is_whole = !head->chunked && length <= rest.len;
    bool is_long = length > connection->loop->limits.max_body_bytes;

    turn->x.body_streams = (is_long || !is_whole) && turn_streams_body(turn);
    if (turn->x.body_streams) {
        open_stream(connection, turn, length, rest);
        return 0;
    }
    if (is_long) {
        refuse_body(connection);
        return 0;
    }
    if (is_whole) {
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
        connection_refuse(connection, head->status, head->reason);
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
        connection_refuse(connection, 503, "out of memory");
        return len;
    }
    buf_append(&turn->head_bytes, bytes, head->len);
    if (http_parse_head(head, turn->head_bytes.bytes, &turn->x.arena, &turn->x.http, &reason) < 0) {
        connection_refuse(connection, 400, reason);
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

    if (turn->x.body_streams) {
        taken = MIN(taken, turn_body_room(turn));
        buf_append(&turn->body, bytes, taken);
        turn->body_left -= taken;
        if (turn->body.failed)
            connection_refuse(connection, 503, "out of memory");
        else if (turn->body_left == 0)
            end_stream(connection, turn);
        if (taken > 0 && connection->turn == turn)
            turn_feed(turn);
        return taken;
    }
    if (charge(connection, taken) < 0)
        return len;
    buf_append(&turn->body, bytes, taken);
    turn->body_left -= taken;
    if (turn->body.failed)
        connection_refuse(connection, 503, "out of memory");
    else if (turn->body_left == 0)
        begin(connection, buf_view(&turn->body));
    return taken;
}

static size_t take_chunked_body(struct connection *connection, const char *bytes, size_t len)
    ON(loop_thread)
{
    struct turn *turn = connection->turn;
    bool streams = turn->x.body_streams;
    struct str part;
    size_t taken;

    /* What frames the bytes is no larger than they: it may come in on their account. */
    if (streams)
        len = MIN(len, turn_body_room(turn));
    if (len == 0)
        return 0;
    switch (http_chunked_feed(&turn->chunked, bytes, len, &taken, &part)) {
    case HTTP_CHUNKED_BAD:
        connection_refuse(connection, 400, "the chunked body is malformed");
        return len;
    case HTTP_CHUNKED_DONE:
        if (streams) {
            end_stream(connection, turn);
            turn_feed(turn);
        } else {
            begin(connection, buf_view(&turn->body));
        }
        return taken;
    case HTTP_CHUNKED_MORE:
        break;
    }
    if (streams) {
        buf_str(&turn->body, part);
        if (turn->body.failed)
            connection_refuse(connection, 503, "out of memory");
        else
            turn_feed(turn);
        return taken;
    }
    if (turn->body.len + part.len > connection->loop->limits.max_body_bytes) {
        refuse_body(connection);
        return len;
    }
    if (charge(connection, part.len) < 0)
        return len;
    buf_str(&turn->body, part);
    if (turn->body.failed)
        connection_refuse(connection, 503, "out of memory");
    return taken;
}

/* Takes what it can of `bytes`; returns how much. Stops where an answer must come first. */
size_t connection_take(struct connection *connection, const char *bytes, size_t len)
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
            taken = connection->turn->head.chunked
                        ? take_chunked_body(connection, bytes + at, len - at)
                        : take_length_body(connection, bytes + at, len - at);
            if (taken == 0 && connection->state == CONNECTION_BODY)
                return at; /* the handler has enough for now */
            at += taken;
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
void connection_take_input(struct connection *connection)
{
    if (connection->serving)
        return;
    connection->serving = true;
    if (connection->in.len > 0)
        buf_consume(
            &connection->in, connection_take(connection, connection->in.bytes, connection->in.len));
    if (connection->in.len == 0 && connection->in.capacity > 0)
        buf_fini(&connection->in);
    connection->serving = false;
}
