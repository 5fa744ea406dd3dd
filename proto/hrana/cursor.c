/* A batch whose rows leave while it runs: the baton's line, then an entry per line. */
#include "proto/hrana/hrana.h"
#include "tenants/base/hash.h"

struct cursor {
    struct hrana_http_stream *kept; /* busy, ours; NULL: released */
    const struct hrana_codec *codec;
    struct hrana_request request;
    struct hrana_run run;
};

static void dispose(void *state)
{
    buf_fini(&((struct cursor *)state)->run.sink.out);
}

static void send(struct exchange *x, struct cursor *cursor)
{
    hrana_batons_release(x->services->batons, cursor->kept, str_make(NULL, 0), 0);
    cursor->kept = NULL;
    /* The body takes `failed` over: an answer that lost bytes ends without a last chunk. The loop
     * may be sending the head: nothing else of the response may change. */
    buf_take(&x->response.body, &cursor->run.sink.out);
    x->response.body.limit_bytes = 0;
    exchange_finish(x);
}

static void on_done(struct request *request)
{
    struct exchange *x = request->owner;
    struct cursor *cursor = x->state;
    enum hrana_next next = hrana_finish(&cursor->run);

    /* As of a pipeline, while nothing of the answer has left. */
    if (!request->streamed && hrana_forbids(x)) {
        hrana_batons_drop(x->services->batons, cursor->kept);
        exchange_fail(x, &request->err);
        return;
    }
    if (next == HRANA_FATAL)
        hrana_refuse(&cursor->run, &cursor->run.err); /* the baton is out: as the last entry */
    send(x, cursor);
}

/* The stream, busy; a new one has its place in the registry at once: its baton goes first. */
static int find_stream(struct exchange *x, struct cursor *cursor, struct str baton, struct err *err)
{
    struct hrana_batons *batons = x->services->batons;

    if (baton.ptr == NULL) {
        cursor->kept =
            hrana_batons_open(batons, x->services->engine, x->database, x->principal, err);
        return cursor->kept == NULL ? -1 : 0;
    }
    if (hrana_batons_take(batons, baton, x->principal, x->database, hash_str(x->http.body),
            &cursor->kept, &x->response.body, err) < 0)
        return -1;
    if (cursor->kept == NULL) /* no answer of a cursor is kept: it was a pipeline's */
        return err_set(err, ERR_BAD_REQUEST, "the baton is invalid: it was used before");
    return 0;
}

static void start(struct exchange *x, struct cursor *cursor) ON(loop_thread);
static void start(struct exchange *x, struct cursor *cursor)
{
    struct hrana_run *run = &cursor->run;

    hrana_batons_renew(cursor->kept);
    hrana_run_init(
        run, &cursor->kept->stream, &x->request, &x->arena, cursor->codec->ops, HRANA_HTTP);
    run->cursor = true;
    buf_take(&run->sink.out, &x->response.body);
    buf_reset(&run->sink.out, SIZE_MAX);
    run->sink.out.limit_bytes = HRANA_ANSWER_BYTES_MAX;
    (void)arena_on_end(&x->arena, dispose, cursor);
    run->encoder.ops->cursor_begin(&run->encoder, str_make(cursor->kept->baton, HRANA_BATON_BYTES));
    x->response.status = 200;
    x->response.content_type = cursor->codec->ops->cursor_content_type;
    x->may_stream = true;
    switch (hrana_begin(run, &cursor->request)) {
    case HRANA_SUBMIT:
        x->request.done = on_done;
        exchange_run(x);
        break;
    case HRANA_FATAL:
        hrana_batons_drop(x->services->batons, cursor->kept);
        exchange_fail(x, &run->err);
        break;
    case HRANA_ANSWERED:
    default:
        send(x, cursor);
        break;
    }
}

void hrana_run_cursor(struct exchange *x, const struct hrana_codec *codec)
{
    struct cursor *cursor = arena_zalloc(&x->arena, sizeof(*cursor));
    struct hrana_limits limits = hrana_limits_of(x);
    struct hrana_cursor body;
    struct err err = ERR_INIT;

    if (cursor == NULL) {
        (void)err_set(&err, ERR_TOO_LARGE, "the request needs too much memory");
        exchange_fail(x, &err);
        return;
    }
    cursor->codec = codec;
    x->state = cursor;
    if (codec->cursor(x->http.body, &limits, &x->arena, &body, &err) < 0 ||
        hrana_check_batch(&body.batch, HRANA_3, &err) < 0 ||
        find_stream(x, cursor, body.baton, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    cursor->request = (struct hrana_request){.type = HRANA_OPEN_CURSOR, .batch = body.batch};
    start(x, cursor);
}
