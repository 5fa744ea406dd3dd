#include "src/traffic.h"

#include <assert.h>
#include <stdio.h>

#include "proto/sqld_admin/sqld_admin.h"
#include "src/process_routes.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"

static const short statuses[] = {0, 101, 200, 201, 202, 204, 301, 302, 304, 400, 401, 403, 404, 405,
    406, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 422, 423, 424, 426, 428, 429, 431, 451,
    499, 500, 501, 502, 503, 504, 505, 507};
static_assert(ARRAY_LEN(statuses) <= METRIC_STATUS_MAX, "METRIC_STATUS_MAX is too small");

/* Index 0: statuses not in the table. */
static unsigned status_index(int status)
{
    for (unsigned i = 1; i < ARRAY_LEN(statuses); i++) {
        if (statuses[i] == status)
            return i;
    }
    return 0;
}

/* Cells' labels are made when a cell is first counted. */
static void label_once(unsigned cell, const char *dialect, const char *route, int status)
{
    static atomic_bool labelled[METRIC_ROUTES_MAX * METRIC_STATUS_MAX];
    char text[160];

    if (likely(atomic_load_explicit(&labelled[cell], memory_order_relaxed)) ||
        atomic_exchange(&labelled[cell], true))
        return;
    (void)snprintf(
        text, sizeof(text), "dialect=\"%s\",route=\"%s\",status=\"%d\"", dialect, route, status);
    metrics_label(METRIC_REQUESTS, cell, mem_strdup(text));
}

/* Rows: 0 no route, then the process's own, then each dialect's, then the admin API's. */
static unsigned route_index(const struct exchange *x, const char **ret_dialect)
{
    unsigned base = 1;

    *ret_dialect = "process";
    if (x->route == NULL)
        return 0;
    if (x->route >= process_route_table && x->route < process_route_table + process_route_count)
        return base + (unsigned)(x->route - process_route_table);
    base += process_route_count;
    for (const struct dialect *const *at = dialects; *at != NULL; at++) {
        if (x->route >= (*at)->routes && x->route < (*at)->routes + (*at)->route_count) {
            *ret_dialect = (*at)->name;
            return base + (unsigned)(x->route - (*at)->routes);
        }
        base += (unsigned)(*at)->route_count;
    }
    if (x->router != NULL) {
        *ret_dialect = sqld_admin_dialect.name;
        return base + (unsigned)(x->route - sqld_admin_dialect.routes);
    }
    return 0;
}

static void count(unsigned route, const char *dialect, const char *name, int status)
{
    unsigned index = status_index(status);
    unsigned cell = route * METRIC_STATUS_MAX + index;

    label_once(cell, dialect, name, statuses[index]);
    metric_add_cell(METRIC_REQUESTS, cell, 1);
}

void traffic_count_refusal(int status)
{
    count(0, "none", "none", status);
}

/* What was cancelled because its client left is no failure of the server: 499, as nginx counts it.
 * Nobody is sent that. */
static int status_of(const struct exchange *x)
{
    return x->request.err.code == ERR_CANCELLED && atomic_load(&x->client_gone)
               ? 499
               : x->response.status;
}

static void count_exchange(const struct exchange *x) ON(loop_thread)
{
    const char *dialect;
    unsigned route = route_index(x, &dialect);

    if (route == 0 || route >= METRIC_ROUTES_MAX)
        traffic_count_refusal(status_of(x));
    else
        count(route, dialect, x->route->name, status_of(x));
}

static const char *method_name(enum http_method method)
{
    switch (method) {
    case HTTP_METHOD_GET:
        return "GET";
    case HTTP_METHOD_HEAD:
        return "HEAD";
    case HTTP_METHOD_POST:
        return "POST";
    case HTTP_METHOD_PUT:
        return "PUT";
    case HTTP_METHOD_PATCH:
        return "PATCH";
    case HTTP_METHOD_DELETE:
        return "DELETE";
    case HTTP_METHOD_OPTIONS:
        return "OPTIONS";
    }
    return "?";
}

static void log_request(const struct turn *turn, uint64_t took_ns)
{
    const struct http_request *http = &turn->x.http;
    int status = status_of(&turn->x);
    bool failed = status >= 500 && status != 501 && status != 503 && status != 507;
    bool slow = took_ns > turn->loop->limits.slow_request_ns;
    char path[256];

    if (!failed && !slow && likely(!log_enabled(LOG_DEBUG)))
        return;
    (void)log_quote(path, sizeof(path), http->path);
#define FORMAT                                                                                     \
    "request=%.*s method=%s path=%s status=%d ms=%.3f bytes_in=%zu bytes_out=%zu remote=%.*s"
#define VALUES                                                                                     \
    STR_ARGS(http->request_id), method_name(http->method), path, status, (double)took_ns / 1e6,    \
        http->body.len, turn->x.response.body.len, STR_ARGS(http->remote)
    if (failed)
        log_warn("http.failed", FORMAT, VALUES);
    else if (slow)
        log_info("http.slow", FORMAT, VALUES);
    else
        log_debug("http.request", FORMAT, VALUES);
#undef FORMAT
#undef VALUES
}

/* The client was told that the log has it, whatever the status says: a streamed head was 200. */
static void log_internal(const struct exchange *x)
{
    char message[ERR_MSG_MAX + 8];

    if (likely(!err_is_internal(x->request.err.code)))
        return;
    log_error("request.internal", "request=%.*s code=%s native=%d error=%s",
        STR_ARGS(x->http.request_id), err_code_name(x->request.err.code), x->request.err.native,
        log_quote(message, sizeof(message), str_from(x->request.err.msg)));
}

void traffic_count(const struct turn *turn)
{
    uint64_t took_ns = clock_now_ns() - turn->x.started_ns;

    count_exchange(&turn->x);
    metric_observe(METRIC_REQUEST_SECONDS, took_ns);
    log_internal(&turn->x);
    log_request(turn, took_ns);
}
