/* Messages in, what they name, and the end of a connection. */
#include "proto/hrana/websocket.h"

#include "proto/hrana/protobuf.h"
#include "tenants/base/check.h"
#include "tenants/base/mem.h"

static const struct hrana_socket_codec codecs[] = {
    {HRANA_3, false, &hrana_protobuf_ops, &hrana_protobuf_cursor_ops, hrana_protobuf_message},
    {HRANA_3, true, &hrana_json_ops, &hrana_json_cursor_ops, hrana_json_message},
    {HRANA_2, true, &hrana_json_ops, &hrana_json_cursor_ops, hrana_json_message},
    {HRANA_1, true, &hrana_json_ops, &hrana_json_cursor_ops, hrana_json_message},
};
static const char *const subprotocols[] = {"hrana3-protobuf", "hrana3", "hrana2", "hrana1", NULL};
static_assert(ARRAY_LEN(codecs) + 1 == ARRAY_LEN(subprotocols), "one codec per subprotocol");

/* ---- calls ---- */

static struct hrana_call *take_call(struct hrana_socket *socket, struct buf *bytes) ON(loop_thread)
{
    struct hrana_call *call;

    if (list_empty(&socket->spare)) {
        call = mem_zalloc(sizeof(*call));
        list_init(&call->link);
        call->socket = socket;
        arena_init(&call->arena, socket->websocket->services->settings->max_request_memory_bytes);
    } else {
        call = LIST_FIRST(&socket->spare, struct hrana_call, link);
        list_remove(&call->link);
        socket->spare_count--;
    }
    buf_take(&call->body, bytes);
    socket->waiting_bytes += call->body.len;
    websocket_hold(socket->websocket);
    return call;
}

static void free_call(struct hrana_call *call)
{
    arena_fini(&call->arena);
    mem_free(call);
}

void hrana_call_end(struct hrana_call *call)
{
    struct hrana_socket *socket = call->socket;

    socket->waiting_bytes -= call->body.len;
    buf_fini(&call->body);
    buf_fini(&call->run.sink.out);
    principal_unref(call->principal);
    call->principal = NULL;
    call->stream = NULL;
    call->cursor = NULL;
    if (socket->spare_count < HRANA_SOCKET_SPARE_CALLS && !socket->ended) {
        arena_reset(&call->arena);
        list_prepend(&socket->spare, &call->link);
        socket->spare_count++;
    } else {
        free_call(call);
    }
    if (unlikely(socket->paused))
        hrana_socket_set_pause(socket);
    websocket_release(socket->websocket);
}

/* ---- the connection ---- */

void hrana_socket_close(struct hrana_socket *socket, unsigned code, const char *reason)
{
    char ascii[WEBSOCKET_CONTROL_MAX - 2]; /* a cut must not break a character */
    size_t len = MIN(strlen(reason), sizeof(ascii));

    for (size_t i = 0; i < len; i++)
        ascii[i] = (unsigned char)reason[i] < 0x80 ? reason[i] : '?';
    socket->ending = true;
    websocket_close(socket->websocket, code, str_make(ascii, len));
}

void hrana_socket_set_pause(struct hrana_socket *socket)
{
    bool paused = socket->login != NULL || socket->waiting_bytes > HRANA_SOCKET_BYTES_MAX;

    if (paused == socket->paused || socket->ended)
        return;
    socket->paused = paused;
    websocket_pause(socket->websocket, paused);
}

void hrana_socket_unblock(struct hrana_socket *socket)
{
    struct list streams;

    list_init(&streams);
    list_splice(&streams, &socket->blocked);
    while (!list_empty(&streams)) {
        struct hrana_socket_stream *stream =
            LIST_FIRST(&streams, struct hrana_socket_stream, blocked_link);

        list_remove(&stream->blocked_link);
        hrana_stream_advance(stream);
    }
}

/* A client that broke the protocol: what it says next cannot be trusted to mean what it says. */
static void break_off(struct hrana_call *call, const char *reason) ON(loop_thread)
{
    hrana_socket_close(call->socket, WEBSOCKET_POLICY, reason);
    hrana_call_end(call);
}

/* ---- stored SQL ---- */

static void store_sql(struct hrana_call *call) ON(loop_thread)
{
    struct hrana_socket *socket = call->socket;
    const struct hrana_sql *sql = &call->message.request.sql;
    struct err err = ERR_INIT;
    struct str unused;

    if (hrana_sql_find(&socket->store, sql->id, &unused) == 0) {
        break_off(call, "there is stored SQL with that id already");
        return;
    }
    if (hrana_sql_put(&socket->store, sql->id, sql->text, &err) < 0) {
        socket->store_refused = true;
        hrana_call_refuse(call, &err);
        return;
    }
    hrana_call_answer_empty(call);
}

static int name_sql(struct hrana_call *call, struct hrana_sql *sql, struct err *err)
{
    struct str text;

    if (!sql->has_id)
        return 0;
    if (hrana_sql_find(&call->socket->store, sql->id, &text) < 0)
        return err_set(err, ERR_BAD_REQUEST, "there is no stored SQL with id %d", sql->id);
    sql->text = arena_str(&call->arena, text);
    sql->has_id = false;
    return sql->text.ptr != NULL ? 0
                                 : err_set(err, ERR_TOO_LARGE, "the request needs too much memory");
}

static int name_steps(struct hrana_call *call, struct hrana_batch *batch, struct err *err)
{
    struct hrana_step *steps;

    if (batch->step_count == 0)
        return 0;
    steps = arena_array(&call->arena, batch->step_count, sizeof(*steps));
    if (steps == NULL)
        return err_set(err, ERR_TOO_LARGE, "the request needs too much memory");
    memcpy(steps, batch->steps, batch->step_count * sizeof(*steps));
    for (unsigned i = 0; i < batch->step_count; i++) {
        if (name_sql(call, &steps[i].stmt.sql, err) < 0)
            return -1;
    }
    batch->steps = steps;
    return 0;
}

/* Numbers become the texts they stand for now: they may be closed before the request's turn. */
static int name_texts(struct hrana_call *call, struct err *err)
{
    struct hrana_request *request = &call->message.request;

    switch ((int)request->type) {
    case HRANA_EXECUTE:
        return name_sql(call, &request->stmt.sql, err);
    case HRANA_SEQUENCE:
    case HRANA_DESCRIBE:
        return name_sql(call, &request->sql, err);
    case HRANA_BATCH:
    case HRANA_OPEN_CURSOR:
        return name_steps(call, &request->batch, err);
    default:
        return 0;
    }
}

/* ---- streams and cursors ---- */

static struct hrana_socket_stream *find_stream(struct hrana_socket *socket, int32_t id)
{
    struct id_link *link = id_table_find(&socket->streams, id);

    return link == NULL ? NULL : CONTAINER_OF(link, struct hrana_socket_stream, link);
}

static struct hrana_cursor_state *find_cursor(struct hrana_socket *socket, int32_t id)
{
    struct id_link *link = id_table_find(&socket->cursors, id);

    return link == NULL ? NULL : CONTAINER_OF(link, struct hrana_cursor_state, link);
}

static void open_stream(struct hrana_call *call) ON(loop_thread)
{
    struct hrana_socket *socket = call->socket;
    int32_t id = call->message.request.stream_id;
    struct hrana_socket_stream *stream;

    if (find_stream(socket, id) != NULL) {
        break_off(call, "there is a stream with that id already");
        return;
    }
    if (socket->streams.count >= HRANA_SOCKET_IDS_MAX) {
        break_off(call, "too many streams");
        return;
    }
    stream = mem_zalloc(sizeof(*stream));
    stream->socket = socket;
    stream->link.id = id;
    list_init(&stream->blocked_link);
    list_init(&stream->calls);
    list_init(&stream->cursors);
    list_append(&socket->all_streams, &stream->all_link);
    id_table_add(&socket->streams, &stream->link);
    hrana_stream_init(&stream->stream, socket->websocket->services->engine, socket->database,
        socket->principal, &socket->store);
    if (socket->open_streams++ < HRANA_SOCKET_STREAMS_MAX) {
        hrana_call_answer_empty(call);
        return;
    }
    stream->failed = ERR_OVERLOADED;
    hrana_call_refuse_with(call, ERR_OVERLOADED,
        "too many streams are open on this connection: close some, or open another connection");
}

/* Ids of its cursors end with it. */
static void close_stream_id(struct hrana_socket_stream *stream) ON(loop_thread)
{
    stream->id_closed = true;
    id_table_remove(&stream->socket->streams, &stream->link);
    LIST_FOREACH_SAFE(at, next, &stream->cursors)
    {
        hrana_cursor_forget(LIST_ENTRY(at, struct hrana_cursor_state, stream_link));
    }
}

/* To the stream's queue. */
static void queue(struct hrana_call *call, struct hrana_socket_stream *stream) ON(loop_thread)
{
    call->stream = stream;
    list_append(&stream->calls, &call->link);
    if (call->message.request.type == HRANA_CLOSE)
        close_stream_id(stream);
    hrana_stream_advance(stream);
}

static void queue_for_cursor(struct hrana_call *call) ON(loop_thread)
{
    struct hrana_socket *socket = call->socket;
    const struct hrana_request *request = &call->message.request;
    struct hrana_cursor_state *cursor = find_cursor(socket, request->cursor_id);
    struct hrana_socket_stream *stream;

    if (request->type != HRANA_OPEN_CURSOR) {
        if (cursor == NULL) {
            break_off(call, "there is no cursor with that id");
            return;
        }
        call->cursor = cursor;
        if (request->type == HRANA_CLOSE_CURSOR)
            hrana_cursor_forget(cursor);
        queue(call, cursor->stream);
        return;
    }
    stream = find_stream(socket, request->stream_id);
    if (stream == NULL || cursor != NULL || socket->cursors.count >= HRANA_SOCKET_IDS_MAX) {
        break_off(call, stream == NULL   ? "there is no stream with that id"
                        : cursor != NULL ? "there is a cursor with that id already"
                                         : "too many cursors");
        return;
    }
    call->cursor = hrana_cursor_new(stream, request->cursor_id);
    queue(call, stream);
}

static void queue_for_stream(struct hrana_call *call) ON(loop_thread)
{
    struct hrana_socket_stream *stream = find_stream(call->socket, call->message.request.stream_id);

    if (stream == NULL)
        break_off(call, "there is no stream with that id");
    else
        queue(call, stream);
}

/* ---- messages ---- */

static void take_request(struct hrana_call *call) ON(loop_thread)
{
    struct hrana_socket *socket = call->socket;
    const struct hrana_request *request = &call->message.request;
    struct err err = ERR_INIT;

    if (socket->principal == NULL) {
        break_off(call, "a request came before hello");
        return;
    }
    if (hrana_check_request(request, socket->codec->version, &err) < 0) {
        break_off(call, err.msg);
        return;
    }
    if (name_texts(call, &err) < 0) {
        if (err.code == ERR_BAD_REQUEST && !socket->store_refused)
            break_off(call, err.msg);
        else
            hrana_call_refuse(call, &err);
        return;
    }
    switch (request->type) {
    case HRANA_STORE_SQL:
        store_sql(call);
        break;
    case HRANA_CLOSE_SQL:
        hrana_sql_remove(&socket->store, request->sql.id);
        hrana_call_answer_empty(call);
        break;
    case HRANA_OPEN_STREAM:
        open_stream(call);
        break;
    case HRANA_OPEN_CURSOR:
    case HRANA_FETCH_CURSOR:
    case HRANA_CLOSE_CURSOR:
        queue_for_cursor(call);
        break;
    case HRANA_CLOSE:
    case HRANA_EXECUTE:
    case HRANA_BATCH:
    case HRANA_SEQUENCE:
    case HRANA_DESCRIBE:
    case HRANA_GET_AUTOCOMMIT:
    case HRANA_REQUEST_TYPE_COUNT:
    default:
        queue_for_stream(call);
        break;
    }
}

static void take_hello(struct hrana_call *call) ON(loop_thread)
{
    struct hrana_socket *socket = call->socket;

    if (socket->principal != NULL && socket->codec->version == HRANA_1)
        hrana_socket_close(socket, WEBSOCKET_POLICY, "a second hello takes version 2");
    else
        hrana_socket_hello(socket, call->message.jwt);
    hrana_call_end(call);
}

static void on_message(struct websocket *websocket, bool is_text, struct buf *bytes) ON(loop_thread)
{
    struct hrana_socket *socket = websocket->state;
    const struct hrana_socket_codec *codec = socket->codec;
    struct err err = ERR_INIT;
    struct hrana_call *call;

    if (socket->ending)
        return;
    if (is_text != codec->is_text) {
        hrana_socket_close(socket, WEBSOCKET_UNSUPPORTED,
            codec->is_text ? "messages of this subprotocol are text"
                           : "messages of this subprotocol are binary");
        return;
    }
    call = take_call(socket, bytes);
    if (codec->message(buf_view(&call->body), &socket->limits, &call->arena, &call->message, &err) <
        0) {
        hrana_socket_close(
            socket, err.code == ERR_TOO_LARGE ? WEBSOCKET_TOO_BIG : WEBSOCKET_BAD_DATA, err.msg);
        hrana_call_end(call);
        return;
    }
    if (call->message.type == HRANA_HELLO)
        take_hello(call);
    else
        take_request(call);
    hrana_socket_set_pause(socket);
}

/* ---- the handler ---- */

static void on_open(struct websocket *websocket)
{
    struct hrana_socket *socket = websocket->state;
    int chosen = websocket->subprotocol;

    socket->websocket = websocket;
    socket->codec = &codecs[chosen < 0 ? (int)ARRAY_LEN(codecs) - 1 : chosen];
}

static void on_writable(struct websocket *websocket) ON(loop_thread)
{
    struct hrana_socket *socket = websocket->state;

    socket->full = false;
    hrana_socket_unblock(socket);
}

/* A cursor that stands until somebody fetches would keep the server. */
static void on_draining(struct websocket *websocket) ON(loop_thread)
{
    struct hrana_socket *socket = websocket->state;

    LIST_FOREACH(at, &socket->all_streams)
    {
        struct hrana_socket_stream *stream = LIST_ENTRY(at, struct hrana_socket_stream, all_link);

        if (stream->cursor != NULL)
            (void)!hrana_cursor_stop(stream->cursor);
    }
}

static void on_closed(struct websocket *websocket, unsigned code) ON(loop_thread)
{
    struct hrana_socket *socket = websocket->state;

    (void)code;
    socket->ending = true;
    socket->ended = true;
    LIST_FOREACH_SAFE(at, next, &socket->all_streams)
    {
        struct hrana_socket_stream *stream = LIST_ENTRY(at, struct hrana_socket_stream, all_link);

        if (!stream->id_closed)
            close_stream_id(stream);
        hrana_stream_abandon(stream);
    }
}

static void free_secret(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    mem_free(text);
}

static void on_free(void *state)
{
    struct hrana_socket *socket = state;

    CHECK(list_empty(&socket->all_streams) && socket->login == NULL);
    while (!list_empty(&socket->spare)) {
        struct hrana_call *call = LIST_FIRST(&socket->spare, struct hrana_call, link);

        list_remove(&call->link);
        free_call(call);
    }
    id_table_fini(&socket->streams);
    id_table_fini(&socket->cursors);
    hrana_sql_store_fini(&socket->store);
    principal_unref(socket->principal);
    database_unref(socket->database);
    free_secret(socket->token);
    free_secret(socket->header_token);
    mem_free(socket->tenant);
    mem_free(socket->database_segment);
    mem_free(socket->host);
    mem_free(socket->host_tenant);
    mem_free(socket->host_database);
    mem_free(socket);
}

static const struct websocket_handler handler = {.name = "hrana",
    .subprotocols = subprotocols,
    .holds_max = HRANA_SOCKET_REQUESTS_MAX,
    .any_origin = true,
    .open = on_open,
    .message = on_message,
    .writable = on_writable,
    .draining = on_draining,
    .closed = on_closed,
    .free = on_free};

static char *keep(struct str text)
{
    return text.len == 0 ? NULL : mem_strndup(text.ptr, text.len);
}

void hrana_upgrade(struct exchange *x)
{
    struct hrana_socket *socket = mem_zalloc(sizeof(*socket));

    list_init(&socket->all_streams);
    list_init(&socket->blocked);
    list_init(&socket->spare);
    socket->limits = hrana_limits_of(x);
    socket->header_token = keep(x->dialect->credentials(x));
    socket->tenant = keep(x->params[0]);
    socket->database_segment = keep(x->params[1]);
    socket->host = keep(x->http.host);
    socket->host_tenant = keep(x->http.host_tenant);
    socket->host_database = keep(x->http.host_database);
    exchange_upgrade(x, &handler, socket);
}
