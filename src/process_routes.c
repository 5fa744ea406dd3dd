#include "src/process_routes.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/connection.h"
#include "tenants/base/clock.h"
#include "tenants/base/metrics.h"

static const struct server *the_server; /* for process_stats(), which gets no argument */

void process_routes_init(struct server *server)
{
    the_server = server;
    metrics_label(METRIC_WEBSOCKET_MESSAGES, 0, "direction=\"in\"");
    metrics_label(METRIC_WEBSOCKET_MESSAGES, 1, "direction=\"out\"");
}

static struct turn *turn_of(struct exchange *x)
{
    return CONTAINER_OF(x, struct turn, x);
}

static void answer(struct exchange *x, int status, const char *content_type)
{
    x->response.status = status;
    x->response.content_type = content_type;
    exchange_finish(x);
}

static void answer_error(struct exchange *x, int status, const char *code, const char *message)
{
    http_write_error_body(&x->response.body, message, code, x->http.request_id);
    answer(x, status, "application/json");
}

/* ---- the routes ---- */

static void get_health(struct exchange *x)
{
    buf_literal(&x->response.body, "{\"status\":\"ok\"}");
    answer(x, 200, "application/json");
}

static void get_ready(struct exchange *x)
{
    struct server *server = turn_of(x)->loop->server;

    if (atomic_load(&server->draining)) {
        http_response_header(&x->response, "Retry-After", STR_LITERAL("1"));
        answer_error(x, 503, "draining", "the server is stopping");
        return;
    }
    if (!atomic_load(&server->ready)) {
        http_response_header(&x->response, "Retry-After", STR_LITERAL("1"));
        answer_error(x, 503, "unavailable", "the server is starting");
        return;
    }
    buf_literal(&x->response.body, "{\"status\":\"ready\"}");
    answer(x, 200, "application/json");
}

static void get_version(struct exchange *x)
{
    buf_printf(&x->response.body,
        "{\"name\":\"rookery\",\"version\":\"%s\",\"sqlite\":\"%s\",\"region\":\"%s\"}",
        ROOKERY_VERSION, sqlite3_libversion(), x->services->settings->region);
    answer(x, 200, "application/json");
}

static void write_metrics(struct exchange *x)
{
    metrics_write(&x->response.body);
    answer(x, 200, "text/plain; version=0.0.4; charset=utf-8");
}

static void refuse_metrics(struct exchange *x)
{
    answer_error(x, 403, "forbidden",
        "/metrics is for this machine and operator tokens; see --metrics-public");
}

/* An operator's token lets you in from anywhere. A token the loop does not know is looked up. */
static void check_metrics(struct exchange *x, const struct principal *principal)
{
    if (principal != NULL && (principal->capabilities & CAP_OPERATOR) != 0)
        write_metrics(x);
    else
        refuse_metrics(x);
}

static void on_metrics_token(struct exchange *x) ON(loop_thread)
{
    directory_loaded(x->services->directory, &x->load);
    x->principal = x->load.principal; /* the exchange gives it back */
    check_metrics(x, x->load.call.err.code == ERR_NONE ? x->principal : NULL);
}

static void on_token_call_done(struct catalogue_call *call)
{
    struct exchange *x = call->owner;

    x->services->post(x, on_metrics_token);
}

static void get_metrics(struct exchange *x) ON(loop_thread)
{
    struct str header = x->http.authorization;
    struct principal *known;

    if (turn_of(x)->loop->limits.metrics_public || address_is_loopback(x->http.remote)) {
        write_metrics(x);
        return;
    }
    if (!str_starts_with_nocase(header, "bearer ")) {
        refuse_metrics(x);
        return;
    }
    x->load.token = str_trim(str_make(header.ptr + 7, header.len - 7));
    known = directory_token(x->services->directory, x->load.token);
    if (known != NULL) {
        check_metrics(x, known);
        return;
    }
    x->load.call.catalogue = x->services->catalogue;
    x->load.call.arena = &x->arena;
    x->load.call.done = on_token_call_done;
    x->load.call.owner = x;
    directory_load_token(x->services->directory, &x->load);
}

static void get_root(struct exchange *x)
{
    answer_error(x, 404, "not_found",
        "this is Rookery, a server of SQLite databases: see /healthz, /version, /openapi.json "
        "and the README");
}

const struct route process_route_table[] = {
    {"healthz", HTTP_METHOD_GET, "/healthz", NEEDS_NOTHING, 0, get_health, "Is the process alive?"},
    {"readyz", HTTP_METHOD_GET, "/readyz", NEEDS_NOTHING, 0, get_ready,
        "Does it take requests? 503 while it starts or stops."},
    {"metrics", HTTP_METHOD_GET, "/metrics", NEEDS_NOTHING, 0, get_metrics,
        "Metrics in Prometheus's text format."},
    {"version", HTTP_METHOD_GET, "/version", NEEDS_NOTHING, 0, get_version,
        "Version of the server and of its SQLite."},
    {"root", HTTP_METHOD_GET, "/", NEEDS_NOTHING, 0, get_root, "Where to look."},
};
const unsigned process_route_count = ARRAY_LEN(process_route_table);

/* ---- OPTIONS and CORS ---- */

static const struct route options_route = {
    "options", HTTP_METHOD_OPTIONS, "*", NEEDS_NOTHING, 0, NULL, "What browsers may send."};

static void answer_options(struct exchange *x)
{
    struct http_response *response = &x->response;
    static const struct str methods = STR_LITERAL("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    struct str wanted = http_header_get(&x->http, "access-control-request-headers");

    x->route = &options_route;
    if (turn_of(x)->allow_origin.len > 0 &&
        http_header_get(&x->http, "access-control-request-method").len > 0) {
        http_response_header(response, "Access-Control-Allow-Methods", methods);
        http_response_header(response, "Access-Control-Allow-Headers",
            wanted.len > 0 ? wanted : STR_LITERAL("Authorization, Content-Type, X-Request-Id"));
        http_response_header(response, "Access-Control-Max-Age", STR_LITERAL("7200"));
    } else {
        http_response_header(response, "Allow", methods);
    }
    answer(x, 204, NULL);
}

/* ---- dispatch ---- */

static void refuse_draining(struct exchange *x) ON(loop_thread)
{
    struct err err = ERR_INIT;

    (void)err_set(&err, ERR_DRAINING, "the server is stopping; try again");
    turn_find_dialect(turn_of(x));
    x->response.close = true;
    exchange_fail(x, &err);
}

static const struct route *find_route(struct str path)
{
    if (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    for (unsigned i = 0; i < process_route_count; i++) {
        if (str_is(path, process_route_table[i].pattern))
            return &process_route_table[i];
    }
    return NULL;
}

/* None of ours is a WebSocket; a dialect may have one at the root, and a POST; sqld's clients ask a
 * database's host for its version. */
static bool is_a_dialects(const struct http_request *http)
{
    return http->wants_websocket || (http->method == HTTP_METHOD_POST && http->path.len == 1) ||
           (http->host_tenant.len > 0 && str_starts_with(http->path, "/version"));
}

bool process_routes_serve(struct turn *turn)
{
    struct exchange *x = &turn->x;
    const struct route *route = NULL;

    if (x->router != NULL) { /* a listener with routes of its own, and no others */
        if (likely(!atomic_load_explicit(&turn->loop->server->draining, memory_order_relaxed)))
            return false;
        refuse_draining(x);
        return true;
    }
    if (x->http.method == HTTP_METHOD_OPTIONS) {
        answer_options(x);
        return true;
    }
    if (x->http.path.len < sizeof("/healthz/") + 1 && !is_a_dialects(&x->http))
        route = find_route(x->http.path);
    if (route == NULL) {
        if (likely(!atomic_load_explicit(&turn->loop->server->draining, memory_order_relaxed)))
            return false;
        refuse_draining(x);
        return true;
    }
    x->route = route;
    if (x->http.method != HTTP_METHOD_GET && x->http.method != HTTP_METHOD_HEAD) {
        http_response_header(&x->response, "Allow", STR_LITERAL("GET, HEAD"));
        answer_error(x, 405, "method_not_allowed", "use GET");
        return true;
    }
    route->handle(x);
    return true;
}

/* ---- figures ---- */

static uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long pages[2] = {0};
    char line[128] = "";
    char *end;

    if (file == NULL)
        return 0;
    if (fgets(line, sizeof(line), file) != NULL) {
        pages[0] = strtoull(line, &end, 10);
        pages[1] = strtoull(end, NULL, 10);
    }
    (void)fclose(file);
    return pages[1] * (uint64_t)sysconf(_SC_PAGESIZE);
}

void process_stats(struct buf *json_members)
{
    struct engine_stats engine;

    engine_stats(the_server->engine, &engine);
    buf_printf(json_members,
        "\"version\":\"%s\",\"sqlite\":\"%s\",\"pid\":%ld,\"uptimeSeconds\":%llu,"
        "\"connections\":%lld,\"requestsInFlight\":%u,\"loops\":%u,\"residentBytes\":%llu,"
        "\"databasesOpen\":%u,\"lanes\":%u,\"sqliteBytes\":%llu,\"walBytes\":%llu,"
        "\"requestsWaiting\":%llu",
        ROOKERY_VERSION, sqlite3_libversion(), (long)getpid(),
        (unsigned long long)((clock_now_ns() - the_server->started_ns) / NS_PER_S),
        (long long)metric_gauge_get(METRIC_CONNECTIONS, 0), atomic_load(&the_server->turns),
        the_server->loop_count, (unsigned long long)resident_bytes(), engine.databases_open,
        engine.lanes, (unsigned long long)engine.sqlite_memory_bytes,
        (unsigned long long)engine.wal_bytes, (unsigned long long)engine.requests_waiting);
}

void process_version_text(struct buf *out)
{
    buf_printf(out, "rookeryd %s (SQLite %s)", ROOKERY_VERSION, sqlite3_libversion());
    if (sqlite3_libversion_number() < 3051003)
        buf_literal(out, ", which can lose committed pages when a checkpoint runs beside a writer "
                         "(fixed in 3.51.3): Rookery never runs one there");
}
