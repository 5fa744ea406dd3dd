#include "src/websocket_session.h"

#include "src/connection.h"
#include "src/http_parser.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"

#define JOIN_BYTES (16UL * 1024)  /* smaller messages are copied behind each other ... */
#define PIECE_BYTES (64UL * 1024) /* ... up to here, and leave in one write */

/* Frames on their way out. */
struct piece {
    struct list link;
    struct buf bytes; /* owned */
};

struct websocket_session {
    struct websocket ws;
    struct loop *loop;             /* borrowed */
    struct connection *connection; /* borrowed; NULL: ended. The loop's, like all up to `lock` */
    struct websocket_decoder decoder;
    uint64_t charged; /* its part of server->body_bytes */
    uint64_t opened_ns;
    uint64_t messages_in;
    bool serving;  /* a callback runs that is followed by a flush: sending needs no wake-up */
    bool paused;   /* by the handler */
    bool draining; /* the server stops */
    bool heard;    /* bytes came since the last websocket_session_wait() */
    bool advanced; /* a message or control frame became whole since */
    bool pinged;   /* and nothing was heard since */
    char request_id[HTTP_REQUEST_ID_MAX];
    char remote[TURN_REMOTE_BYTES];

    atomic_uint references;
    atomic_uint holds;
    atomic_bool awaits_release; /* the next release wakes the loop */

    struct mutex lock;
    struct list pieces;
    size_t piece_bytes;
    size_t kernel_bytes; /* as of the last flush: given to the connection, not yet taken */
    struct list tasks;
    uint64_t messages_out;
    unsigned close_code; /* 0: nobody has asked for the end */
    char close_reason[WEBSOCKET_CONTROL_MAX];
    size_t close_reason_len;
    bool full;  /* said so to a sender: writable() is due */
    bool ended; /* nothing is sent any more */
    bool posted;
    struct inbox_item wake;
};

static struct websocket_session *session_of(struct websocket *websocket)
{
    return CONTAINER_OF(websocket, struct websocket_session, ws);
}

/* ---- references, and the way to the loop ---- */

static void drop_pieces(struct list *pieces)
{
    while (!list_empty(pieces)) {
        struct piece *piece = LIST_FIRST(pieces, struct piece, link);

        list_remove(&piece->link);
        buf_fini(&piece->bytes);
        mem_free(piece);
    }
}

static void on_last(struct inbox_item *item) ON(loop_thread)
{
    struct websocket_session *session = CONTAINER_OF(item, struct websocket_session, wake);
    struct loop *loop = session->loop;

    CHECK(session->connection == NULL && list_empty(&session->tasks));
    session->ws.handler->free(session->ws.state);
    websocket_decoder_fini(&session->decoder);
    drop_pieces(&session->pieces);
    mutex_fini(&session->lock);
    mem_free(session);
    loop->websocket_count--;
    loop_settle(loop);
}

static void add_reference(struct websocket_session *session)
{
    (void)atomic_fetch_add_explicit(&session->references, 1, memory_order_relaxed);
}

/* On its loop even when it is the loop that lets go: a handler may be on the stack. */
static void drop_reference(struct websocket_session *session)
{
    if (atomic_fetch_sub(&session->references, 1) > 1)
        return;
    session->wake.run = on_last;
    loop_post(session->loop, &session->wake);
}

static bool flush_follows(const struct websocket_session *session)
{
    return loop_current() == session->loop && session->serving;
}

/* Under lock: marks it posted; true: the caller posts it, after unlocking. */
static bool must_post(struct websocket_session *session)
{
    if (session->posted)
        return false;
    session->posted = true;
    return true;
}

static void post(struct websocket_session *session)
{
    add_reference(session);
    loop_post(session->loop, &session->wake);
}

static void wake(struct websocket_session *session)
{
    bool due;

    mutex_lock(&session->lock);
    due = must_post(session);
    mutex_unlock(&session->lock);
    if (due)
        post(session);
}

static void on_wake(struct inbox_item *item) ON(loop_thread)
{
    struct websocket_session *session = CONTAINER_OF(item, struct websocket_session, wake);
    struct list tasks;

    list_init(&tasks);
    mutex_lock(&session->lock);
    session->posted = false;
    list_splice(&tasks, &session->tasks);
    mutex_unlock(&session->lock);
    session->serving = true;
    while (!list_empty(&tasks)) {
        struct websocket_task *task = LIST_FIRST(&tasks, struct websocket_task, link);

        list_remove(&task->link);
        task->run(task);
    }
    session->serving = false;
    if (session->connection != NULL)
        connection_settle(session->connection);
    drop_reference(session);
}

/* ---- sending ---- */

/* The piece to write `more` bytes to: the last one while it has room. */
static struct buf *room_for(struct websocket_session *session, size_t more)
{
    struct piece *piece = LIST_ENTRY(session->pieces.prev, struct piece, link);

    if (list_empty(&session->pieces) || piece->bytes.len + more > PIECE_BYTES) {
        piece = mem_zalloc(sizeof(*piece));
        list_append(&session->pieces, &piece->link);
    }
    return &piece->bytes;
}

/* Under lock. */
static void add_message(struct websocket_session *session, bool is_text, struct buf *bytes)
{
    enum websocket_opcode opcode = is_text ? WEBSOCKET_TEXT : WEBSOCKET_BINARY;
    struct buf *piece =
        room_for(session, WEBSOCKET_HEAD_MAX + (bytes->len <= JOIN_BYTES ? bytes->len : 0));
    size_t before = piece->len;

    websocket_write_head(piece, opcode, bytes->len);
    session->piece_bytes += piece->len - before + bytes->len;
    session->messages_out++;
    if (bytes->len <= JOIN_BYTES) {
        buf_str(piece, buf_view(bytes));
        buf_fini(bytes);
    } else {
        struct piece *large = mem_zalloc(sizeof(*large));

        buf_take(&large->bytes, bytes);
        large->bytes.limit_bytes = 0; /* frames may be joined to its end */
        list_append(&session->pieces, &large->link);
    }
}

static void add_control(
    struct websocket_session *session, enum websocket_opcode opcode, struct str payload)
{
    mutex_lock(&session->lock);
    websocket_write_control(room_for(session, WEBSOCKET_HEAD_MAX + payload.len), opcode, payload);
    session->piece_bytes += 2 + payload.len;
    mutex_unlock(&session->lock);
}

/* Under lock. Only the first call counts. */
static void ask_close(struct websocket_session *session, unsigned code, struct str reason)
{
    if (session->close_code != 0 || session->ended)
        return;
    session->close_code = code;
    session->close_reason_len = MIN(reason.len, sizeof(session->close_reason));
    if (reason.len > 0)
        memcpy(session->close_reason, reason.ptr, session->close_reason_len);
}

static void session_close(struct websocket *websocket, unsigned code, struct str reason)
{
    struct websocket_session *session = session_of(websocket);
    bool due;

    CHECK(websocket_code_is_valid(code));
    mutex_lock(&session->lock);
    ask_close(session, code, reason);
    due = !flush_follows(session) && !session->ended && must_post(session);
    mutex_unlock(&session->lock);
    if (due)
        post(session);
}

static enum websocket_room session_send(
    struct websocket *websocket, bool is_text, struct buf *bytes)
{
    struct websocket_session *session = session_of(websocket);
    enum websocket_room room = WEBSOCKET_ROOM;
    bool due = false;

    mutex_lock(&session->lock);
    if (session->ended || session->close_code != 0) {
        room = WEBSOCKET_GONE;
    } else {
        if (bytes->failed) /* a hole among the answers would be worse than the end */
            ask_close(session, WEBSOCKET_INTERNAL, STR_LITERAL("an answer grew too large"));
        else
            add_message(session, is_text, bytes);
        if (session->piece_bytes + session->kernel_bytes >= WEBSOCKET_HIGH_BYTES) {
            session->full = true;
            room = WEBSOCKET_FULL;
        }
        due = !flush_follows(session) && must_post(session);
    }
    mutex_unlock(&session->lock);
    if (room != WEBSOCKET_GONE)
        metric_add_cell(METRIC_WEBSOCKET_MESSAGES, 1, 1);
    buf_fini(bytes);
    if (due)
        post(session);
    return room;
}

static size_t session_queued(struct websocket *websocket)
{
    struct websocket_session *session = session_of(websocket);
    size_t bytes;

    mutex_lock(&session->lock);
    bytes = session->piece_bytes + session->kernel_bytes;
    mutex_unlock(&session->lock);
    return bytes;
}

/* ---- work that is under way ---- */

static void session_hold(struct websocket *websocket)
{
    struct websocket_session *session = session_of(websocket);

    (void)atomic_fetch_add(&session->holds, 1);
    add_reference(session);
}

static void session_release(struct websocket *websocket)
{
    struct websocket_session *session = session_of(websocket);

    CHECK(atomic_fetch_sub(&session->holds, 1) > 0);
    if (atomic_exchange(&session->awaits_release, false))
        wake(session);
    drop_reference(session);
}

/* Are there `most` holds or more? If so, the next release wakes the loop. The mark is set before
 * the second look, and release looks at the mark after it has counted: one of them sees the other.
 */
static bool is_held(struct websocket_session *session, unsigned most)
{
    if (atomic_load(&session->holds) < most)
        return false;
    atomic_store(&session->awaits_release, true);
    return atomic_load(&session->holds) >= most;
}

static void session_pause(struct websocket *websocket, bool paused) ON(loop_thread)
{
    struct websocket_session *session = session_of(websocket);

    session->paused = paused;
    if (!paused && !flush_follows(session))
        wake(session);
}

static void session_post(struct websocket *websocket, struct websocket_task *task)
{
    struct websocket_session *session = session_of(websocket);
    bool due;

    mutex_lock(&session->lock);
    list_append(&session->tasks, &task->link);
    due = must_post(session);
    mutex_unlock(&session->lock);
    if (due)
        post(session);
}

/* ---- life ---- */

static const struct websocket_operations operations = {
    .send = session_send,
    .close = session_close,
    .pause = session_pause,
    .hold = session_hold,
    .release = session_release,
    .post = session_post,
    .queued = session_queued,
};

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
        .operations = &operations,
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
    session->wake.run = on_wake;
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
    drop_pieces(&session->pieces);
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
    drop_reference(session);
}

void websocket_session_lost(struct websocket_session *session)
{
    end(session, WEBSOCKET_LOST);
}

void websocket_session_drain(struct websocket_session *session)
{
    session->draining = true;
}

/* ---- in ---- */

static bool closes(struct websocket_session *session)
{
    unsigned code;

    mutex_lock(&session->lock);
    code = session->close_code;
    mutex_unlock(&session->lock);
    return code != 0;
}

bool websocket_session_may_take(struct websocket_session *session)
{
    unsigned most = session->ws.handler->holds_max;

    return !session->paused && !session->draining && !closes(session) &&
           session_queued(&session->ws) < WEBSOCKET_HIGH_BYTES &&
           (most == 0 || !is_held(session, most));
}

static void close_locked(struct websocket_session *session, unsigned code, struct str reason)
{
    mutex_lock(&session->lock);
    ask_close(session, code, reason);
    mutex_unlock(&session->lock);
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
        add_control(session, WEBSOCKET_PONG, control);
        break;
    case WEBSOCKET_GOT_CLOSE: /* the answer carries the same code */
        close_locked(session, decoder->code, str_make(NULL, 0));
        break;
    case WEBSOCKET_GOT_BAD:
        log_debug("websocket.refused", "request=%.*s code=%u reason=\"%s\" remote=%.*s",
            STR_ARGS(session->ws.request_id), decoder->code, decoder->reason,
            STR_ARGS(session->ws.remote));
        close_locked(session, decoder->code, str_from(decoder->reason));
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
        close_locked(session, WEBSOCKET_TRY_LATER,
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
    drop_pieces(pieces);
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

    if (session->draining && !is_held(session, 1))
        close_locked(session, WEBSOCKET_GOING_AWAY, STR_LITERAL("the server is stopping"));
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
    add_control(session, WEBSOCKET_PING, str_make("", 0));
    return true;
}

void websocket_session_too_slow(struct websocket_session *session)
{
    close_locked(session, WEBSOCKET_POLICY, STR_LITERAL("the message did not come in time"));
}
