#include "src/connection.h"
#include "src/websocket_state.h"
#include "tenants/base/clock.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"

/* ---- life ---- */

static struct str keep(char *room, size_t size, struct str text)
{
    size_t len = MIN(text.len, size);

    if (len > 0)
        memcpy(room, text.ptr, len);
    return str_make(room, len);
}

struct websocket_session *websocket_session_open(struct connection *connection, struct turn *turn)
{
    struct websocket_session *session = mem_zalloc(sizeof(*session));
    struct exchange *x = &turn->x;
    struct loop *loop = connection->loop;
    const struct websocket_handler *handler = x->upgrade.handler;

    session->ws = (struct websocket){.handler = handler,
        .operations = &websocket_session_operations,
        .services = &loop->services,
        .state = x->upgrade.state,
        .subprotocol = x->upgrade.subprotocol};
    x->upgrade.handler = NULL;
    session->loop = loop;
    session->connection = connection;
    session->opened_ns = clock_now_ns();
    session->ws.request_id =
        keep(session->request_id, sizeof(session->request_id), x->http.request_id);
    session->ws.remote = keep(session->remote, sizeof(session->remote), x->http.remote);
    atomic_store(&session->references, 1);
    mutex_init(&session->lock);
    list_init(&session->pieces);
    list_init(&session->tasks);
    session->wake.run = websocket_session_wake;
    session->draining = loop->draining;
    loop->websocket_count++;
    metric_gauge_add(METRIC_WEBSOCKETS, 0, 1);
    log_debug("websocket.opened", "request=%.*s handler=%s subprotocol=%s remote=%.*s",
        STR_ARGS(session->ws.request_id), handler->name,
        session->ws.subprotocol < 0 ? "" : handler->subprotocols[session->ws.subprotocol],
        STR_ARGS(session->ws.remote));
    if (handler->open != NULL) {
        session->serving = true;
        handler->open(&session->ws);
        session->serving = false;
    }
    return session;
}

static void give_back_charge(struct websocket_session *session, uint64_t keep)
{
    if (session->charged > keep)
        (void)atomic_fetch_sub(&session->loop->server->body_bytes, session->charged - keep);
    session->charged = MIN(session->charged, keep);
}

/* Never inside a callback of the handler. */
static void end(struct websocket_session *session, unsigned code) ON(loop_thread)
{
    uint64_t messages_out;

    session->connection->session = NULL;
    session->connection = NULL;
    mutex_lock(&session->lock);
    session->ended = true;
    websocket_drop_pieces(&session->pieces);
    session->piece_bytes = 0;
    messages_out = session->messages_out;
    mutex_unlock(&session->lock);
    give_back_charge(session, 0);
    websocket_decoder_fini(&session->decoder);
    metric_gauge_add(METRIC_WEBSOCKETS, 0, -1);
    log_debug("websocket.closed",
        "request=%.*s handler=%s code=%u messages_in=%llu messages_out=%llu s=%.3f remote=%.*s",
        STR_ARGS(session->ws.request_id), session->ws.handler->name, code,
        (unsigned long long)session->messages_in, (unsigned long long)messages_out,
        (double)(clock_now_ns() - session->opened_ns) / 1e9, STR_ARGS(session->ws.remote));
    session->ws.handler->closed(&session->ws, code);
    websocket_session_unref(session);
}

void websocket_session_lost(struct websocket_session *session)
{
    end(session, WEBSOCKET_LOST);
}

void websocket_session_drain(struct websocket_session *session)
{
    if (!session->draining && session->ws.handler->draining != NULL) {
        session->serving = true; /* a flush follows */
        session->ws.handler->draining(&session->ws);
        session->serving = false;
    }
    session->draining = true;
}

/* ---- in ---- */

bool websocket_session_may_take(struct websocket_session *session)
{
    unsigned most = session->ws.handler->holds_max;
    bool may;

    if (session->paused || session->draining)
        return false;
    mutex_lock(&session->lock);
    may = session->close_code == 0 &&
          session->piece_bytes + session->kernel_bytes < WEBSOCKET_HIGH_BYTES;
    mutex_unlock(&session->lock);
    return may && (most == 0 || !websocket_session_is_held(session, most));
}

static void deliver(struct websocket_session *session) ON(loop_thread)
{
    session->messages_in++;
    metric_add_cell(METRIC_WEBSOCKET_MESSAGES, 0, 1);
    give_back_charge(session, 0);
    session->ws.handler->message(&session->ws, session->decoder.is_text, &session->decoder.message);
}

static void on_event(struct websocket_session *session, enum websocket_event event) ON(loop_thread)
{
    struct websocket_decoder *decoder = &session->decoder;
    struct str control = str_make((const char *)decoder->control, decoder->control_len);

    session->advanced = session->advanced || event != WEBSOCKET_GOT_NOTHING;
    switch (event) {
    case WEBSOCKET_GOT_MESSAGE:
        deliver(session);
        break;
    case WEBSOCKET_GOT_PING:
        websocket_session_add_control(session, WEBSOCKET_PONG, control);
        break;
    case WEBSOCKET_GOT_CLOSE: /* the answer carries the same code */
        websocket_session_ask_close(session, decoder->code, str_make(NULL, 0));
        break;
    case WEBSOCKET_GOT_BAD:
        log_debug("websocket.refused", "request=%.*s code=%u reason=\"%s\" remote=%.*s",
            STR_ARGS(session->ws.request_id), decoder->code, decoder->reason,
            STR_ARGS(session->ws.remote));
        websocket_session_ask_close(session, decoder->code, str_from(decoder->reason));
        break;
    case WEBSOCKET_GOT_PONG:
    case WEBSOCKET_GOT_NOTHING:
        break;
    }
}

/* What stays here until more comes counts against the total of all bodies. */
static void charge(struct websocket_session *session) ON(loop_thread)
{
    uint64_t held = session->decoder.message.len;
    uint64_t before;

    give_back_charge(session, held);
    if (held == session->charged)
        return;
    before = atomic_fetch_add(&session->loop->server->body_bytes, held - session->charged);
    before += held - session->charged;
    session->charged = held;
    if (before > session->loop->limits.max_body_total)
        websocket_session_ask_close(session, WEBSOCKET_TRY_LATER,
            STR_LITERAL("too many large messages at once; try again"));
}

size_t websocket_session_receive(struct websocket_session *session, const char *bytes, size_t len)
{
    const struct websocket_limits limits = {
        .message_bytes = session->loop->limits.websocket_message_bytes,
        .fragments = WEBSOCKET_FRAGMENTS_MAX};
    size_t at = 0;

    session->heard = true;
    session->pinged = false;
    session->serving = true;
    while (at < len && websocket_session_may_take(session)) {
        size_t taken = 0;

        on_event(
            session, websocket_decode(&session->decoder, bytes + at, len - at, &limits, &taken));
        at += taken;
    }
    session->serving = false;
    charge(session);
    return at;
}

/* ---- out ---- */

static void send_pieces(struct websocket_session *session, struct list *pieces) ON(loop_thread)
{
    LIST_FOREACH(at, pieces)
    {
        struct piece *piece = LIST_ENTRY(at, struct piece, link);

        if (session->connection == NULL)
            break;
        if (piece->bytes.failed)
            connection_drop(session->connection);
        else
            connection_send(session->connection, &piece->bytes);
    }
    websocket_drop_pieces(pieces);
}

/* Everything before it is sent: the close frame, and the end. */
static void finish(struct websocket_session *session, unsigned code) ON(loop_thread)
{
    struct connection *connection = session->connection;

    websocket_write_close(&connection->loop->scratch, code,
        str_make(session->close_reason, session->close_reason_len));
    connection->close_after = true;
    connection->linger_after = true;
    connection_set_state(connection, CONNECTION_LINGER);
    end(session, code);
}

static void tell_writable(struct websocket_session *session, size_t kernel_bytes) ON(loop_thread)
{
    bool due;

    mutex_lock(&session->lock);
    session->kernel_bytes = kernel_bytes;
    due = session->full && session->piece_bytes + kernel_bytes < WEBSOCKET_LOW_BYTES;
    if (due)
        session->full = false;
    mutex_unlock(&session->lock);
    if (due && session->ws.handler->writable != NULL)
        session->ws.handler->writable(&session->ws); /* what it sends comes by the inbox */
}

void websocket_session_flush(struct websocket_session *session)
{
    struct list pieces;
    unsigned code;

    if (session->draining && !websocket_session_is_held(session, 1))
        websocket_session_ask_close(
            session, WEBSOCKET_GOING_AWAY, STR_LITERAL("the server is stopping"));
    list_init(&pieces);
    mutex_lock(&session->lock);
    list_splice(&pieces, &session->pieces);
    session->piece_bytes = 0;
    code = session->close_code;
    mutex_unlock(&session->lock);
    send_pieces(session, &pieces);
    if (session->connection == NULL)
        return;
    if (code != 0)
        finish(session, code);
    else
        tell_writable(session, session->connection->queued_bytes);
}

/* ---- time ---- */

/* It is us who do not read. */
static bool is_blocked(struct websocket_session *session) ON(loop_thread)
{
    return session->connection->in.len > 0 || !session->connection->reading;
}

enum wait websocket_session_wait(struct websocket_session *session, bool *ret_anew)
{
    bool inside = websocket_is_inside(&session->decoder) && !is_blocked(session);

    *ret_anew = inside ? session->advanced : session->heard;
    session->heard = false;
    session->advanced = false;
    return inside ? WAIT_BODY : WAIT_WEBSOCKET;
}

bool websocket_session_ping(struct websocket_session *session)
{
    if (is_blocked(session))
        return true;
    if (session->pinged)
        return false;
    session->pinged = true;
    websocket_session_add_control(session, WEBSOCKET_PING, str_make("", 0));
    return true;
}

void websocket_session_too_slow(struct websocket_session *session)
{
    websocket_session_ask_close(
        session, WEBSOCKET_POLICY, STR_LITERAL("the message did not come in time"));
}
