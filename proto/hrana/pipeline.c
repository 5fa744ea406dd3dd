/* A pipeline's requests, one after the other: on the loop until one needs the engine, then from
 * each one's end to the next, on whatever thread that is. */
#include "proto/hrana/hrana.h"
#include "tenants/base/hash.h"

struct pipeline {
    struct exchange *x;
    const struct hrana_codec *codec;
    struct hrana_pipeline body;
    unsigned at;
    uint64_t body_hash;
    struct hrana_http_stream *kept; /* busy, ours: the stream of the baton; NULL: a new one */
    struct hrana_stream stream;     /* a new one, until it has to be kept */
    struct hrana_sql_store store;
    struct hrana_run run;
    bool refused; /* the engine takes nothing now: the rest is refused alike */
};

static struct hrana_batons *batons_of(const struct pipeline *p)
{
    return p->x->services->batons;
}

static void dispose(void *state)
{
    buf_fini(&((struct pipeline *)state)->run.sink.out);
}

static struct pipeline *make(struct exchange *x, const struct hrana_codec *codec)
{
    struct pipeline *p = arena_zalloc(&x->arena, sizeof(*p));
    struct err err = ERR_INIT;

    if (p == NULL) {
        (void)err_set(&err, ERR_TOO_LARGE, "the request needs too much memory");
        exchange_fail(x, &err);
        return NULL;
    }
    p->x = x;
    p->codec = codec;
    x->state = p;
    return p;
}

static void start_run(struct pipeline *p, struct hrana_stream *stream, enum hrana_envelope envelope)
{
    struct exchange *x = p->x;

    hrana_run_init(&p->run, stream, &x->request, &x->arena, p->codec->ops, envelope);
    buf_take(&p->run.sink.out, &x->response.body);
    buf_reset(&p->run.sink.out, SIZE_MAX);
    p->run.sink.out.limit_bytes = HRANA_ANSWER_BYTES_MAX;
    (void)arena_on_end(&x->arena, dispose, p);
}

/* Nothing of the stream is left: the client drops it when it sees an HTTP error. */
static void fail(struct pipeline *p, const struct err *err)
{
    struct err copy = *err;

    if (p->kept != NULL)
        hrana_batons_drop(batons_of(p), p->kept);
    hrana_stream_fini(&p->stream);
    hrana_sql_store_fini(&p->store);
    exchange_fail(p->x, &copy);
}

/* A stream that goes on gets a place in the registry. -1: failed, and answered. */
static int keep_stream(struct pipeline *p)
{
    struct err err = ERR_INIT;

    p->kept = hrana_batons_open(
        batons_of(p), p->stream.engine, p->stream.database, p->stream.principal, &err);
    if (p->kept == NULL) {
        fail(p, &err);
        return -1;
    }
    p->kept->stream.stream = p->stream.stream;
    p->kept->stream.counts = p->stream.counts;
    p->kept->stream.in_transaction = p->stream.in_transaction;
    p->kept->store = p->store;
    p->stream.stream = NULL;
    p->store = (struct hrana_sql_store){.count = 0};
    return 0;
}

static void end(struct pipeline *p)
{
    struct exchange *x = p->x;
    struct buf *out = &p->run.sink.out;
    struct str baton = str_make(NULL, 0);
    struct err err = ERR_INIT;
    bool closed = p->run.stream->closed;

    if (p->kept == NULL && !closed && keep_stream(p) < 0)
        return;
    if (p->kept != NULL && (p->body.baton.ptr != NULL || !closed))
        hrana_batons_renew(p->kept);
    if (!closed)
        baton = str_make(p->kept->baton, HRANA_BATON_BYTES);
    p->run.encoder.ops->pipeline_end(&p->run.encoder, baton);
    if (out->failed) {
        (void)err_set(&err, ERR_RESULT_TOO_LARGE, "the answer is larger than it may be");
        fail(p, &err);
        return;
    }
    if (p->kept != NULL)
        hrana_batons_release(batons_of(p), p->kept,
            p->body.baton.ptr != NULL ? buf_view(out) : str_make(NULL, 0), p->body_hash);
    hrana_stream_fini(&p->stream);
    hrana_sql_store_fini(&p->store);
    buf_take(&x->response.body, out);
    x->response.body.limit_bytes = 0;
    x->response.status = 200;
    x->response.content_type = p->codec->ops->content_type;
    exchange_finish(x);
}

static void on_done(struct request *request);

/* True: the engine is to run the request; false: answered. */
static bool advance(struct pipeline *p)
{
    while (p->at < p->body.request_count) {
        const struct hrana_request *request = &p->body.requests[p->at];

        if (p->refused && request->type != HRANA_CLOSE) {
            p->run.mark = p->run.sink.out.len;
            hrana_refuse(&p->run, &p->run.err);
            p->at++;
            continue;
        }
        switch (hrana_begin(&p->run, request)) {
        case HRANA_ANSWERED:
            p->at++;
            break;
        case HRANA_SUBMIT:
            p->x->request.done = on_done;
            return true;
        case HRANA_FATAL:
        default:
            fail(p, &p->run.err);
            return false;
        }
    }
    end(p);
    return false;
}

bool hrana_forbids(const struct exchange *x)
{
    return x->request.err.code == ERR_ROLE_FORBIDS && (x->principal->capabilities & CAP_WRITE) == 0;
}

static void on_done(struct request *request)
{
    struct exchange *x = request->owner;
    struct pipeline *p = x->state;
    enum hrana_next next = hrana_finish(&p->run);

    if (next == HRANA_FATAL || hrana_forbids(p->x)) {
        fail(p, next == HRANA_FATAL ? &p->run.err : &request->err);
        return;
    }
    p->refused = p->run.failed && hrana_is_refusal(&p->run.err);
    p->at++;
    if (advance(p))
        exchange_run_next(x);
}

static int decode(struct pipeline *p, enum hrana_version version, struct err *ret_err)
{
    struct exchange *x = p->x;
    struct hrana_limits limits = hrana_limits_of(x);

    if (p->codec->pipeline(x->http.body, &limits, &x->arena, &p->body, ret_err) < 0)
        return -1;
    for (unsigned i = 0; i < p->body.request_count; i++) {
        if (hrana_check_request(&p->body.requests[i], version, ret_err) < 0)
            return -1;
    }
    return 0;
}

/* The stream of the baton. False: answered. */
static bool find_stream(struct pipeline *p)
{
    struct exchange *x = p->x;
    struct err err = ERR_INIT;

    p->body_hash = hash_str(x->http.body);
    if (hrana_batons_take(batons_of(p), p->body.baton, x->principal, x->database, p->body_hash,
            &p->kept, &x->response.body, &err) < 0) {
        fail(p, &err);
        return false;
    }
    if (p->kept != NULL)
        return true;
    x->response.status = 200;
    x->response.content_type = p->codec->ops->content_type;
    exchange_finish(x);
    return false;
}

void hrana_run_pipeline(
    struct exchange *x, const struct hrana_codec *codec, enum hrana_version version)
{
    struct pipeline *p = make(x, codec);
    struct err err = ERR_INIT;

    if (p == NULL)
        return;
    if (decode(p, version, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    if (p->body.baton.ptr != NULL) {
        if (!find_stream(p))
            return;
        start_run(p, &p->kept->stream, HRANA_HTTP);
    } else {
        hrana_stream_init(&p->stream, x->services->engine, x->database, x->principal, &p->store);
        start_run(p, &p->stream, HRANA_HTTP);
    }
    p->run.encoder.ops->pipeline_begin(&p->run.encoder);
    if (advance(p))
        exchange_run(x);
}

/* ---- version 1: one request, a stream of its own ---- */

static void end_v1(struct pipeline *p)
{
    struct exchange *x = p->x;
    struct err err = p->run.err;

    hrana_stream_fini(&p->stream);
    if (p->run.failed || err.code != ERR_NONE) {
        buf_reset(&x->response.body, 0);
        x->response.status = hrana_error_status(&err);
        x->dialect->error(x, &err);
        exchange_finish(x);
        return;
    }
    buf_take(&x->response.body, &p->run.sink.out);
    x->response.body.limit_bytes = 0;
    x->response.status = 200;
    x->response.content_type = p->codec->ops->content_type;
    exchange_finish(x);
}

static void on_v1_done(struct request *request)
{
    struct exchange *x = request->owner;
    struct pipeline *p = x->state;

    (void)!hrana_finish(&p->run);
    if (hrana_forbids(x)) {
        p->run.failed = true;
        err_copy(&p->run.err, &request->err);
    }
    end_v1(p);
}

void hrana_run_v1(struct exchange *x, enum hrana_request_type type)
{
    struct pipeline *p = make(x, &hrana_json_codec);
    struct hrana_limits limits = hrana_limits_of(x);
    struct hrana_request *request;
    struct err err = ERR_INIT;

    if (p == NULL)
        return;
    request = arena_alloc(&x->arena, sizeof(*request));
    if (request == NULL) {
        (void)err_set(&err, ERR_TOO_LARGE, "the request needs too much memory");
        exchange_fail(x, &err);
        return;
    }
    if (hrana_json_v1(x->http.body, type, &limits, &x->arena, request, &err) < 0 ||
        hrana_check_request(request, HRANA_1, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    hrana_stream_init(&p->stream, x->services->engine, x->database, x->principal, &p->store);
    start_run(p, &p->stream, HRANA_HTTP_V1);
    if (hrana_begin(&p->run, request) != HRANA_SUBMIT) {
        end_v1(p);
        return;
    }
    x->request.done = on_v1_done;
    exchange_run(x);
}
