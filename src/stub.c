/* TEMPORARY: weak stand-ins until engine, catalogue and dialects are merged; then deleted. */
#include <stdio.h>

#include "proto/exchange.h"
#include "tenants/base/mem.h"

#define WEAK __attribute__((weak))
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

static struct mutex stub_lock = {PTHREAD_MUTEX_INITIALIZER};
static struct cond stub_cond;
static struct list stub_queue = {&stub_queue, &stub_queue};
static bool stub_stopped;

WEAK int engine_new(const struct engine_options *o, struct engine **e, struct err *err)
{
    cond_init(&stub_cond);
    *e = mem_zalloc(8);
    return 0;
}
WEAK void engine_free(struct engine *e) { mem_free(e); }
WEAK void engine_worker_run(struct engine *e)
{
    mutex_lock(&stub_lock);
    for (;;) {
        struct request *r;
        while (list_empty(&stub_queue) && !stub_stopped)
            cond_wait(&stub_cond, &stub_lock);
        if (list_empty(&stub_queue))
            break;
        r = LIST_FIRST(&stub_queue, struct request, link);
        list_remove(&r->link);
        mutex_unlock(&stub_lock);
        r->done(r);
        mutex_lock(&stub_lock);
    }
    mutex_unlock(&stub_lock);
}
WEAK void engine_slow_run(struct engine *e) {}
WEAK void engine_sync_run(struct engine *e) {}
WEAK void engine_tick(struct engine *e, uint64_t n) {}
WEAK void engine_drain(struct engine *e) {}
WEAK bool engine_idle(struct engine *e) { return true; }
WEAK void engine_stop(struct engine *e)
{
    mutex_lock(&stub_lock);
    stub_stopped = true;
    cond_broadcast(&stub_cond);
    mutex_unlock(&stub_lock);
}
WEAK void engine_resume(struct engine *e, struct request *r)
{
    mutex_lock(&stub_lock);
    list_append(&stub_queue, &r->link);
    cond_signal(&stub_cond);
    mutex_unlock(&stub_lock);
}
WEAK void engine_cancel(struct engine *e, struct request *r) {}
WEAK void engine_stats(struct engine *e, struct engine_stats *s) { memset(s, 0, sizeof(*s)); }
WEAK int catalogue_open(
    struct engine *e, const char *d, struct catalogue **c, char *b, struct err *err)
{
    *c = NULL;
    return 0;
}
WEAK void catalogue_close(struct catalogue *c) {}
WEAK struct directory *directory_new(struct catalogue *c) { return NULL; }
WEAK void directory_free(struct directory *d) {}
WEAK struct principal *directory_token(struct directory *d, struct str t) { return NULL; }
WEAK void directory_load_token(struct directory *d, struct directory_load *l) {}
WEAK void directory_loaded(struct directory *d, struct directory_load *l) {}
WEAK void principal_unref(struct principal *p) {}

static struct str stub_credentials(struct exchange *x) { return str_make(NULL, 0); }
static void stub_error(struct exchange *x, const struct err *err)
{
    x->response.status = err->code == ERR_TOO_LARGE ? 413 : err->code == ERR_DRAINING ? 503 : 404;
    x->response.content_type = "application/json";
    buf_printf(&x->response.body, "{\"success\":false,\"error\":\"%s\",\"code\":\"%s\"}", err->msg,
        err_code_name(err->code));
}
static void stub_async_done(struct request *r) { exchange_finish(r->owner); }
static void stub_stream_done(struct request *r)
{
    struct exchange *x = r->owner;
    struct sink *sink = r->sink;
    enum chunk_answer answer = CHUNK_CONTINUE;
    while (r->total.rows_returned < 100 && answer == CHUNK_CONTINUE) {
        r->total.rows_returned++;
        for (int i = 0; i < 26215; i++)
            buf_literal(&sink->out, "0123456789");
        answer = x->services->chunk(x);
    }
    if (answer == CHUNK_PAUSE)
        return;
    exchange_finish(x);
}
static void stub_work(struct exchange *x)
{
    x->response.status = 200;
    x->response.content_type = "application/json";
    if (str_starts_with(x->http.path, "/sync")) {
        buf_literal(&x->response.body,
            "{\"success\":true,\"data\":{\"columns\":[\"id\",\"name\"],\"rows\":[[1,\"hello world\"]],"
            "\"rowsRead\":1,\"rowsWritten\":0},\"meta\":{\"duration\":0.1}}");
        exchange_finish(x);
        return;
    }
    if (str_starts_with(x->http.path, "/echo")) {
        buf_str(&x->response.body, x->http.body);
        exchange_finish(x);
        return;
    }
    x->request.owner = x;
    x->request.done = stub_async_done;
    if (str_starts_with(x->http.path, "/async"))
        buf_literal(&x->response.body, "{\"async\":true}");
    if (str_starts_with(x->http.path, "/stream")) {
        x->request.done = stub_stream_done;
        x->request.sink = arena_zalloc(&x->arena, sizeof(struct sink));
    }
    engine_resume(x->services->engine, &x->request);
}
static const struct route stub_routes[] = {
    {"work", HTTP_METHOD_GET | HTTP_METHOD_POST, "/", 0, 0, stub_work, ""}};
static const struct dialect stub_dialect = {"stub", stub_routes, 1, stub_credentials, stub_error};
WEAK const struct dialect *const dialects[] = {&stub_dialect, NULL};
WEAK void exchange_init(struct exchange *x, const struct services *s)
{
    memset(x, 0, sizeof(*x));
    x->services = s;
    arena_init(&x->arena, 1 << 26);
}
WEAK void exchange_fini(struct exchange *x)
{
    if (x->request.sink)
        buf_fini(&x->request.sink->out);
    arena_fini(&x->arena);
    buf_fini(&x->response.body);
}
WEAK void exchange_begin(struct exchange *x)
{
    x->dialect = &stub_dialect;
    x->route = &stub_routes[0];
    stub_work(x);
}
WEAK void exchange_finish(struct exchange *x) { x->services->finish(x); }
WEAK struct str http_header_get(const struct http_request *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (str_is_nocase(r->headers[i].name, name))
            return r->headers[i].value;
    return str_make(NULL, 0);
}
WEAK const char *http_status_text(int status) { return "Status"; }
WEAK void http_response_header(struct http_response *r, const char *name, struct str value)
{
    if (r->header_count < HTTP_RESPONSE_HEADERS_MAX)
        r->headers[r->header_count++] = (struct http_header){str_from(name), value};
}
