/* What a session's handler calls, from any thread: it queues under the lock, and wakes the loop. */
#include "src/connection.h"
#include "src/websocket_state.h"
#include "tenants/base/check.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"

#define JOIN_BYTES (16UL * 1024)  /* smaller messages are copied behind each other ... */
#define PIECE_BYTES (64UL * 1024) /* ... up to here, and leave in one write */

static struct websocket_session *session_of(struct websocket *websocket)
{
    return CONTAINER_OF(websocket, struct websocket_session, ws);
}

/* ---- references, and the way to the loop ---- */

void websocket_drop_pieces(struct list *pieces)
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
    websocket_drop_pieces(&session->pieces);
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
void websocket_session_unref(struct websocket_session *session)
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

void websocket_session_wake(struct inbox_item *item)
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
    websocket_session_unref(session);
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
    size_t more = WEBSOCKET_HEAD_MAX + (bytes->len <= JOIN_BYTES ? bytes->len : 0);
    struct buf *piece = room_for(session, more);
    size_t before = piece->len;

    (void)buf_reserve(piece, more); /* once, not for the head and again for the message */
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

void websocket_session_add_control(
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

void websocket_session_ask_close(
    struct websocket_session *session, unsigned code, struct str reason)
{
    mutex_lock(&session->lock);
    ask_close(session, code, reason);
    mutex_unlock(&session->lock);
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
    websocket_session_unref(session);
}

/* Are there `most` holds or more? If so, the next release wakes the loop. The mark is set before
 * the second look, and release looks at the mark after it has counted: one of them sees the other.
 */
bool websocket_session_is_held(struct websocket_session *session, unsigned most)
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

const struct websocket_operations websocket_session_operations = {
    .send = session_send,
    .close = session_close,
    .pause = session_pause,
    .hold = session_hold,
    .release = session_release,
    .post = session_post,
    .queued = session_queued,
};
