/* Cursors: a batch whose entries wait for the client to fetch them, so many bytes and no more.
 *
 *     open_cursor's turn --> the batch runs --chunk(): entries move here--> over
 *                                  ^   --too many: it stands-- fetch_cursor: enough left --^
 *
 * An encoded entry cannot be told from its neighbour cheaply, so that the encoder's calls are
 * wrapped and each entry's length is noted; the engine may cut `out` back, and the notes with it.
 */
#include "proto/hrana/protobuf.h"
#include "proto/hrana/websocket.h"
#include "tenants/base/mem.h"

/* ---- entries and their lengths ---- */

static struct hrana_cursor_state *cursor_of(struct hrana_encoder *e)
{
    return CONTAINER_OF(CONTAINER_OF(e, struct hrana_run, encoder), struct hrana_call, run)->cursor;
}

static void note(struct hrana_encoder *e)
{
    struct hrana_cursor_state *cursor = cursor_of(e);
    uint32_t length = (uint32_t)(e->out->len - cursor->noted_bytes);

    if (unlikely(e->out->failed)) { /* a part of one */
        buf_truncate(e->out, cursor->noted_bytes);
        return;
    }
    if (length == 0)
        return;
    buf_append(&cursor->lengths, &length, sizeof(length));
    cursor->noted_bytes = e->out->len;
}

static void unnote(struct hrana_encoder *e)
{
    struct hrana_cursor_state *cursor = cursor_of(e);
    struct buf *lengths = &cursor->lengths;

    while (cursor->noted_bytes > e->out->len && lengths->len > 0) {
        uint32_t length;

        memcpy(&length, lengths->bytes + lengths->len - sizeof(length), sizeof(length));
        buf_truncate(lengths, lengths->len - sizeof(length));
        cursor->noted_bytes -= length;
    }
}

#define ENTRY_OPS(codec)                                                                           \
    static void codec##_step_begin(                                                                \
        struct hrana_encoder *e, unsigned step, const struct column *columns, unsigned count)      \
    {                                                                                              \
        hrana_##codec##_ops.entry_step_begin(e, step, columns, count);                             \
        note(e);                                                                                   \
    }                                                                                              \
    static int codec##_row(struct hrana_encoder *e, const struct value *values, unsigned count)    \
    {                                                                                              \
        int rc = hrana_##codec##_ops.entry_row(e, values, count);                                  \
                                                                                                   \
        note(e);                                                                                   \
        return rc;                                                                                 \
    }                                                                                              \
    static void codec##_step_end(struct hrana_encoder *e, const struct statement_stats *stats)     \
    {                                                                                              \
        hrana_##codec##_ops.entry_step_end(e, stats);                                              \
        note(e);                                                                                   \
    }                                                                                              \
    static void codec##_step_error(                                                                \
        struct hrana_encoder *e, unsigned step, const struct hrana_error *error)                   \
    {                                                                                              \
        hrana_##codec##_ops.entry_step_error(e, step, error);                                      \
        note(e);                                                                                   \
    }                                                                                              \
    static void codec##_error(struct hrana_encoder *e, const struct hrana_error *error)            \
    {                                                                                              \
        hrana_##codec##_ops.entry_error(e, error);                                                 \
        note(e);                                                                                   \
    }                                                                                              \
    const struct hrana_encoder_ops hrana_##codec##_cursor_ops = {                                  \
        .entry_step_begin = codec##_step_begin,                                                    \
        .entry_row = codec##_row,                                                                  \
        .entry_step_end = codec##_step_end,                                                        \
        .entry_step_error = codec##_step_error,                                                    \
        .entry_error = codec##_error,                                                              \
        .rewound = unnote,                                                                         \
    }

ENTRY_OPS(json);
ENTRY_OPS(protobuf);

/* Under lock, or with nobody else there. What was encoded becomes what waits to be fetched. */
static void move_entries(struct hrana_cursor_state *cursor, struct buf *out)
{
    if (cursor->entries_at == cursor->entries.len) {
        buf_reset(&cursor->entries, 0);
        buf_reset(&cursor->entry_lengths, 0);
        buf_take(&cursor->entries, out);
        buf_take(&cursor->entry_lengths, &cursor->lengths);
        cursor->entries.limit_bytes = 0;
    } else {
        buf_consume(&cursor->entries, cursor->entries_at);
        buf_consume(&cursor->entry_lengths, cursor->lengths_at);
        buf_str(&cursor->entries, buf_view(out));
        buf_str(&cursor->entry_lengths, buf_view(&cursor->lengths));
        buf_reset(out, out->capacity);
        buf_reset(&cursor->lengths, cursor->lengths.capacity);
    }
    cursor->entries_at = 0;
    cursor->lengths_at = 0;
    cursor->noted_bytes = 0;
}

static size_t waiting_bytes(const struct hrana_cursor_state *cursor)
{
    return cursor->entries.len - cursor->entries_at;
}

/* Copies the next entries, commas between them where the encoding has any. */
static void take_entries(
    struct hrana_cursor_state *cursor, uint32_t max_count, bool is_text, struct buf *out)
{
    for (uint32_t i = 0; i < max_count && cursor->lengths_at < cursor->entry_lengths.len; i++) {
        struct str entry = {.ptr = cursor->entries.bytes + cursor->entries_at};
        uint32_t length;

        memcpy(&length, cursor->entry_lengths.bytes + cursor->lengths_at, sizeof(length));
        cursor->lengths_at += sizeof(length);
        cursor->entries_at += length;
        entry.len = length;
        if (is_text && entry.ptr[0] == ',')
            entry = str_make(entry.ptr + 1, entry.len - 1);
        if (is_text && i > 0)
            buf_char(out, ',');
        buf_str(out, entry);
    }
}

/* ---- the engine's side ---- */

static void free_cursor(struct hrana_cursor_state *cursor)
{
    buf_fini(&cursor->lengths);
    buf_fini(&cursor->entries);
    buf_fini(&cursor->entry_lengths);
    mutex_fini(&cursor->lock);
    mem_free(cursor);
}

static void on_more(struct websocket_task *task) ON(loop_thread)
{
    struct hrana_cursor_state *cursor = CONTAINER_OF(task, struct hrana_cursor_state, more);

    mutex_lock(&cursor->lock);
    cursor->posted = false;
    mutex_unlock(&cursor->lock);
    if (cursor->stream == NULL)
        free_cursor(cursor);
    else
        hrana_stream_advance(cursor->stream);
}

/* A worker. */
static enum chunk_answer on_chunk(struct request *request)
{
    struct hrana_call *call = request->owner;
    struct hrana_cursor_state *cursor = call->cursor;
    bool paused;
    bool post;

    if (atomic_load(&request->cancelled))
        return CHUNK_CANCEL;
    mutex_lock(&cursor->lock);
    move_entries(cursor, &call->run.sink.out);
    paused = waiting_bytes(cursor) >= HRANA_CURSOR_HIGH_BYTES;
    cursor->paused = paused;
    post = !cursor->posted;
    cursor->posted = true;
    mutex_unlock(&cursor->lock);
    if (post)
        websocket_post(call->socket->websocket, &cursor->more);
    return paused ? CHUNK_PAUSE : CHUNK_CONTINUE;
}

void hrana_cursor_finish(struct hrana_cursor_state *cursor)
{
    struct hrana_call *call = cursor->call;

    hrana_call_conclude(call); /* an error is the last entry */
    move_entries(cursor, &call->run.sink.out);
    cursor->paused = false; /* it was ended while it stood */
    cursor->call = NULL;
    hrana_call_end(call);
}

bool hrana_cursor_stop(struct hrana_cursor_state *cursor)
{
    if (cursor->call == NULL)
        return true;
    if (!cursor->cancelled) {
        cursor->cancelled = true;
        engine_cancel(cursor->stream->stream.engine, &cursor->call->request);
    }
    return false;
}

/* ---- life ---- */

struct hrana_cursor_state *hrana_cursor_new(struct hrana_socket_stream *stream, int32_t id)
{
    struct hrana_cursor_state *cursor = mem_zalloc(sizeof(*cursor));

    cursor->stream = stream;
    cursor->link.id = id;
    cursor->more.run = on_more;
    mutex_init(&cursor->lock);
    list_append(&stream->cursors, &cursor->stream_link);
    id_table_add(&stream->socket->cursors, &cursor->link);
    return cursor;
}

void hrana_cursor_forget(struct hrana_cursor_state *cursor)
{
    if (!cursor->id_closed)
        id_table_remove(&cursor->stream->socket->cursors, &cursor->link);
    cursor->id_closed = true;
}

void hrana_cursor_free(struct hrana_cursor_state *cursor)
{
    if (cursor->stream->cursor == cursor)
        cursor->stream->cursor = NULL;
    hrana_cursor_forget(cursor);
    list_remove(&cursor->stream_link);
    cursor->stream = NULL;
    if (!cursor->posted) /* else `more`, which is on its way, frees it */
        free_cursor(cursor);
}

/* ---- requests ---- */

static bool may_open(struct hrana_call *call, struct err *err) ON(loop_thread)
{
    if (call->socket->cursors.count > HRANA_SOCKET_CURSORS_MAX) {
        (void)err_set(err, ERR_OVERLOADED,
            "more than %d cursors are open on this connection: close some",
            HRANA_SOCKET_CURSORS_MAX);
        return false;
    }
    return hrana_stream_may_run(call->stream, err);
}

/* The answer to open_cursor goes before the batch runs; what may go wrong is an entry. */
static void answer_open(struct hrana_call *call) ON(loop_thread)
{
    struct hrana_socket *socket = call->socket;
    const struct hrana_encoder_ops *ops = socket->codec->ops;
    struct buf out = {0};
    struct hrana_encoder encoder = {.ops = ops,
        .out = &out,
        .envelope = HRANA_WEBSOCKET,
        .request_id = call->message.request_id};

    ops->response_begin(&encoder, HRANA_OPEN_CURSOR);
    ops->response_end(&encoder, HRANA_OPEN_CURSOR);
    if (websocket_send(socket->websocket, socket->codec->is_text, &out) == WEBSOCKET_FULL)
        socket->full = true;
}

void hrana_cursor_open(struct hrana_call *call)
{
    struct hrana_cursor_state *cursor = call->cursor;
    struct err err = ERR_INIT;

    if (!may_open(call, &err)) {
        cursor->failed = true;
        call->cursor = NULL;
        hrana_call_refuse(call, &err);
        return;
    }
    answer_open(call);
    call->stream->cursor = cursor;
    cursor->call = call;
    hrana_call_encoder(call, call->socket->codec->cursor_ops);
    call->run.cursor = true;
    switch (hrana_begin(&call->run, &call->message.request)) {
    case HRANA_SUBMIT:
        call->request.chunk = on_chunk;
        hrana_call_submit(call);
        break;
    case HRANA_FATAL:
        hrana_refuse(&call->run, &call->run.err);
        move_entries(cursor, &call->run.sink.out);
        cursor->call = NULL;
        hrana_call_end(call);
        break;
    case HRANA_ANSWERED:
    default:
        move_entries(cursor, &call->run.sink.out);
        cursor->call = NULL;
        hrana_call_end(call);
        break;
    }
}

bool hrana_cursor_fetch(struct hrana_call *call)
{
    struct hrana_cursor_state *cursor = call->cursor;
    const struct hrana_encoder_ops *ops = call->socket->codec->ops;
    struct hrana_encoder *encoder = &call->run.encoder;
    bool goes_on;
    bool over;

    if (cursor->failed) {
        list_remove(&call->link);
        hrana_call_refuse_with(call, ERR_BAD_REQUEST, "the cursor could not be opened: close it");
        return true;
    }
    mutex_lock(&cursor->lock);
    if (waiting_bytes(cursor) == 0 && cursor->call != NULL) {
        mutex_unlock(&cursor->lock);
        return false;
    }
    hrana_call_encoder(call, ops);
    ops->response_begin(encoder, HRANA_FETCH_CURSOR);
    ops->fetch_begin(encoder);
    take_entries(
        cursor, call->message.request.max_count, call->socket->codec->is_text, encoder->out);
    over = waiting_bytes(cursor) == 0 && cursor->call == NULL;
    goes_on = cursor->paused && waiting_bytes(cursor) < HRANA_CURSOR_LOW_BYTES;
    if (goes_on)
        cursor->paused = false;
    mutex_unlock(&cursor->lock);
    ops->fetch_end(encoder, over);
    ops->response_end(encoder, HRANA_FETCH_CURSOR);
    if (goes_on)
        engine_resume(call->stream->stream.engine, &cursor->call->request);
    list_remove(&call->link);
    hrana_call_answer(call);
    return true;
}

bool hrana_cursor_close(struct hrana_call *call)
{
    struct hrana_cursor_state *cursor = call->cursor;

    if (!hrana_cursor_stop(cursor))
        return false;
    list_remove(&call->link);
    hrana_cursor_free(cursor);
    call->cursor = NULL;
    hrana_call_answer_empty(call);
    return true;
}
