#include <pthread.h>

#include "proto/sqld_admin/sqld_admin.h"
#include "tenants/base/metrics.h"

/* ---- the dialect ---- */

static struct str credentials(struct exchange *x)
{
    struct str value = str_trim(x->http.authorization);
    struct str scheme = str_split(&value, ' ');

    if (!str_is_nocase(scheme, "bearer") && !str_is_nocase(scheme, "basic"))
        return str_make(NULL, 0);
    return str_trim(value);
}

static void write_error(struct exchange *x, const struct err *err)
{
    struct buf *body = &x->response.body;
    unsigned retry_after = exchange_retry_after(err);
    const char *message = err->msg;

    switch ((int)err->code) {
    case ERR_UNKNOWN_TENANT:
    case ERR_UNKNOWN_DATABASE:
        message = arena_printf(
            &x->arena, "Namespace `%.*s` doesn't exist", (int)x->params[0].len, x->params[0].ptr);
        break;
    case ERR_CONFLICT:
        x->response.status = 400; /* as sqld has it */
        break;
    default:
        break;
    }
    if (message == NULL || err_is_internal(err->code))
        message = "internal error; the server's log has it";
    if (retry_after > 0)
        http_response_header(
            &x->response, "Retry-After", str_from(arena_printf(&x->arena, "%u", retry_after)));
    if (x->response.status == 401)
        http_response_header(&x->response, "WWW-Authenticate", STR_LITERAL("Bearer"));
    x->response.content_type = "application/json";
    buf_literal(body, "{\"error\":");
    json_write_string(body, str_from(message));
    buf_char(body, '}');
}

void sqld_fail(struct exchange *x, enum err_code code, const char *message)
{
    struct err err = ERR_INIT;

    (void)err_set(&err, code, "%s", message);
    exchange_fail(x, &err);
}

void sqld_finish(struct exchange *x, const char *content_type)
{
    x->response.status = 200;
    x->response.content_type = content_type;
    exchange_finish(x);
}

/* ---- calls ---- */

struct sqld_call *sqld_begin(struct exchange *x)
{
    struct sqld_call *call = arena_zalloc(&x->arena, sizeof(*call));
    struct err err = ERR_INIT;

    if (call == NULL) {
        sqld_fail(x, ERR_TOO_LARGE, "the request needs too much memory");
        return NULL;
    }
    call->x = x;
    if (slug_namespace(x->params[0], &call->namespace, &err) < 0) {
        /* A name that none can have is none that is there. */
        exchange_fail(x, &err);
        return NULL;
    }
    call->tenant = str_make(call->namespace.tenant_text, call->namespace.tenant_len);
    call->database = str_make(call->namespace.database_text, call->namespace.database_len);
    return call;
}

struct catalogue_call *sqld_next(struct sqld_call *call, void (*done)(struct catalogue_call *call_))
{
    call->call = (struct catalogue_call){.catalogue = call->x->services->catalogue,
        .arena = &call->x->arena,
        .principal = call->x->principal,
        .done = done,
        .owner = call,
        .err = ERR_INIT};
    return &call->call;
}

static const struct node *read_body(struct exchange *x)
{
    const struct node *body = NULL;
    struct err err = ERR_INIT;

    if (document_read_object(BODY_JSON, x->http.body, x->services->settings->max_json_depth, false,
            &x->arena, &body, &err) == 0)
        return body;
    exchange_fail(x, &err);
    return NULL;
}

/* ---- namespaces ---- */

static void on_done(struct catalogue_call *done)
{
    struct sqld_call *call = done->owner;

    if (done->err.code != ERR_NONE)
        exchange_fail(call->x, &done->err);
    else
        sqld_finish(call->x, NULL);
}

static void on_created(struct catalogue_call *done)
{
    struct sqld_call *call = done->owner;
    struct exchange *x = call->x;

    if (done->err.code == ERR_CONFLICT)
        (void)err_set(&done->err, ERR_CONFLICT, "Namespace `%.*s` already exists",
            (int)x->params[0].len, x->params[0].ptr);
    on_done(done);
}

static void on_tenant(struct catalogue_call *done)
{
    struct sqld_call *call = done->owner;

    /* Another of its databases was made before. */
    if (done->err.code != ERR_NONE && done->err.code != ERR_CONFLICT) {
        exchange_fail(call->x, &done->err);
        return;
    }
    call->item = (struct database_create_item){
        .slug = call->database, .settings = call->changes, .setting_count = call->change_count};
    call->database_create =
        (struct database_create_input){.tenant = call->tenant, .items = &call->item, .count = 1};
    catalogue_database_create(sqld_next(call, on_created), &call->database_create);
}

static void create(struct exchange *x)
{
    struct sqld_call *call = sqld_begin(x);
    const struct node *body = call == NULL ? NULL : read_body(x);
    struct err err = ERR_INIT;

    if (body == NULL)
        return;
    if (node_get(body, "dump_url") != NULL) {
        sqld_fail(x, ERR_NOT_IMPLEMENTED,
            "`dump_url` is not there yet: make the namespace empty and send it the dump's SQL");
        return;
    }
    if (sqld_read_config(call, body, true, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    call->tenant_create = (struct tenant_create_input){.slug = call->tenant};
    catalogue_tenant_create(sqld_next(call, on_tenant), &call->tenant_create);
}

static void with_database(struct exchange *x, void (*done)(struct catalogue_call *call),
    void (*start)(struct catalogue_call *call, const struct database_input *input))
{
    struct sqld_call *call = sqld_begin(x);

    if (call == NULL)
        return;
    call->database_input =
        (struct database_input){.tenant = call->tenant, .database = call->database};
    start(sqld_next(call, done), &call->database_input);
}

static void delete (struct exchange *x)
{
    with_database(x, on_done, catalogue_database_delete);
}

static void fork_namespace(struct exchange *x)
{
    sqld_fail(x, ERR_NOT_IMPLEMENTED, "namespaces cannot be forked yet");
}

/* ---- configuration and figures ---- */

static void on_info(
    struct catalogue_call *done, void (*write)(struct buf *out, const struct database_info *info))
{
    struct sqld_call *call = done->owner;

    if (done->err.code != ERR_NONE) {
        exchange_fail(call->x, &done->err);
        return;
    }
    write(&call->x->response.body, done->output);
    sqld_finish(call->x, "application/json");
}

static void on_config(struct catalogue_call *done)
{
    on_info(done, sqld_write_config);
}

static void on_stats(struct catalogue_call *done)
{
    on_info(done, sqld_write_stats);
}

static void get_config(struct exchange *x)
{
    with_database(x, on_config, catalogue_database_get);
}

static void get_stats(struct exchange *x)
{
    with_database(x, on_stats, catalogue_database_get);
}

static void post_config(struct exchange *x)
{
    struct sqld_call *call = sqld_begin(x);
    const struct node *body = call == NULL ? NULL : read_body(x);
    struct err err = ERR_INIT;

    if (body == NULL)
        return;
    if (sqld_read_config(call, body, false, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    call->database_patch = (struct database_patch_input){.tenant = call->tenant,
        .database = call->database,
        .settings = call->changes,
        .setting_count = call->change_count};
    catalogue_database_patch(sqld_next(call, on_done), &call->database_patch);
}

/* ---- the process ---- */

static void get_health(struct exchange *x)
{
    sqld_finish(x, NULL);
}

static void get_metrics(struct exchange *x)
{
    metrics_write(&x->response.body);
    sqld_finish(x, "text/plain; version=0.0.4; charset=utf-8");
}

#define GET HTTP_METHOD_GET
#define POST HTTP_METHOD_POST

static const struct route routes[] = {
    {"sqld_create", POST, "/v1/namespaces/:namespace/create", NEEDS_PRINCIPAL, CAP_OPERATOR, create,
        "Makes a namespace."},
    {"sqld_delete", HTTP_METHOD_DELETE, "/v1/namespaces/:namespace", NEEDS_PRINCIPAL, CAP_OPERATOR,
        delete, "Deletes a namespace; it can be restored during the grace period."},
    {"sqld_fork", POST, "/v1/namespaces/:namespace/fork/:to", NEEDS_PRINCIPAL, CAP_OPERATOR,
        fork_namespace, "501."},
    {"sqld_config_get", GET, "/v1/namespaces/:namespace/config", NEEDS_PRINCIPAL, CAP_OPERATOR,
        get_config, "A namespace's configuration."},
    {"sqld_config_set", POST, "/v1/namespaces/:namespace/config", NEEDS_PRINCIPAL, CAP_OPERATOR,
        post_config, "Changes it."},
    {"sqld_stats", GET, "/v1/namespaces/:namespace/stats", NEEDS_PRINCIPAL, CAP_OPERATOR, get_stats,
        "A namespace's figures."},
    {"sqld_metrics", GET, "/metrics", NEEDS_PRINCIPAL, CAP_OPERATOR, get_metrics,
        "Metrics in Prometheus's text format."},
    {"sqld_health", GET, "/health", NEEDS_NOTHING, 0, get_health, "200, empty."},
};

const struct dialect sqld_admin_dialect = {
    .name = "sqld_admin",
    .routes = routes,
    .route_count = ARRAY_LEN(routes),
    .is_described_elsewhere = true,
    .credentials = credentials,
    .error = write_error,
};

static struct router *router;

static void make_router(void)
{
    static const struct dialect *const only[] = {&sqld_admin_dialect, NULL};

    router = router_new(only);
}

const struct router *sqld_admin_router(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, make_router);
    return router;
}
