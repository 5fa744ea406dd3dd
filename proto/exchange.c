/* The way of a request from its route to its handler.
 *
 * Refusals come before anything that costs a look-up, and none of them tells whether a tenant or
 * database of somebody else exists: credentials, rate, whose tenant, role, body, database. */
#include "proto/exchange.h"

#include "proto/router.h"
#include "proto/websocket.h"
#include "tenants/base/clock.h"
#include "tenants/rate.h"
#include "tenants/usage.h"

#define KEPT_BODY_BYTES 65536

void exchange_init(struct exchange *x, const struct services *services)
{
    *x = (struct exchange){.services = services, .request.err = ERR_INIT};
    arena_init(&x->arena, services->settings->max_request_memory_bytes);
}

/* An upgrade that did not become a session. */
static void drop_upgrade(struct exchange *x)
{
    if (likely(x->upgrade.handler == NULL))
        return;
    x->upgrade.handler->free(x->upgrade.state);
    x->upgrade.handler = NULL;
}

void exchange_fini(struct exchange *x)
{
    drop_upgrade(x);
    arena_fini(&x->arena);
    buf_fini(&x->response.body);
    principal_unref(x->principal);
    x->principal = NULL;
    database_unref(x->database);
    x->database = NULL;
}

void exchange_reset(struct exchange *x)
{
    const struct services *services = x->services;
    struct arena arena;
    struct buf body;

    drop_upgrade(x);
    arena_reset(&x->arena);
    buf_reset(&x->response.body, KEPT_BODY_BYTES);
    arena = x->arena;
    body = x->response.body;
    principal_unref(x->principal);
    database_unref(x->database);
    *x = (struct exchange){
        .services = services, .request.err = ERR_INIT, .arena = arena, .response.body = body};
}

void exchange_finish(struct exchange *x)
{
    x->services->finish(x);
}

void exchange_fail(struct exchange *x, const struct err *err)
{
    struct err copy = *err; /* it may live in what the dialect overwrites */

    buf_reset(&x->response.body, KEPT_BODY_BYTES);
    x->response.status = exchange_status(&copy);
    x->dialect->error(x, &copy);
    exchange_finish(x);
}

static void fail(struct exchange *x, enum err_code code, const char *message)
{
    struct err err = ERR_INIT;

    (void)err_set(&err, code, "%s", message);
    exchange_fail(x, &err);
}

/* ---- what the head says ---- */

static bool is_msgpack(struct str type)
{
    return str_is_nocase(type, "application/msgpack") ||
           str_is_nocase(type, "application/x-msgpack") ||
           str_is_nocase(type, "application/vnd.msgpack");
}

static bool is_json(struct str type)
{
    return type.len == 0 || str_is_nocase(type, "application/json") ||
           str_is_nocase(type, "text/json") ||
           (str_starts_with_nocase(type, "application/") && type.len > 5 &&
               str_is_nocase(str_make(type.ptr + type.len - 5, 5), "+json"));
}

static void read_preferences(struct exchange *x)
{
    struct str rest = x->http.accept;
    bool accepts_json = false;

    x->body_is_msgpack = x->http.body.len > 0 && is_msgpack(x->http.content_type);
    while (rest.len > 0) {
        struct str type = str_split(&rest, ',');

        type = str_trim(str_split(&type, ';'));
        if (is_msgpack(type) && !accepts_json)
            x->wants_msgpack = true;
        else if (type.len > 0 && is_json(type))
            accepts_json = true;
    }
    if (x->body_is_msgpack && !accepts_json)
        x->wants_msgpack = true;
    x->integers_as_strings =
        str_is_nocase(http_header_get(&x->http, "x-rookery-integers"), "string");
}

static void fail_route(struct exchange *x, const struct route_match *match, const struct err *err)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    char allow[64] = "";
    struct err told = *err;
    size_t len = 0;
    struct str text;

    x->dialect = match->dialect;
    if (err->code == ERR_METHOD_NOT_ALLOWED) {
        for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
            size_t name_len = strlen(names[i]);

            if ((match->methods >> i & 1) == 0)
                continue;
            if (len > 0) {
                allow[len++] = ',';
                allow[len++] = ' ';
            }
            memcpy(allow + len, names[i], name_len);
            len += name_len;
        }
        text = arena_str(&x->arena, str_make(allow, len));
        http_response_header(&x->response, "Allow", text);
        (void)err_set(&told, err->code, "%s; it takes %.*s", err->msg, (int)len, allow);
    }
    exchange_fail(x, &told);
}

/* 411, 415. Returns false when answered. */
static bool check_body(struct exchange *x)
{
    if ((x->route->needs & NEEDS_BODY) == 0)
        return true;
    if (x->http.body.len == 0) {
        if (http_header_get(&x->http, "content-length").ptr == NULL &&
            http_header_get(&x->http, "transfer-encoding").ptr == NULL) {
            struct err err = ERR_INIT;

            (void)err_set(&err, ERR_BAD_REQUEST,
                "this route takes a body: send it with Content-Length or Transfer-Encoding: "
                "chunked");
            err.native = 411;
            exchange_fail(x, &err);
            return false;
        }
        fail(x, ERR_BAD_REQUEST, "this route takes a body: a JSON object");
        return false;
    }
    if (!x->body_is_msgpack && !is_json(x->http.content_type)) {
        fail(x, ERR_UNSUPPORTED_MEDIA_TYPE,
            "the body must be application/json or application/msgpack, and say so in Content-Type");
        return false;
    }
    return true;
}

/* ---- the database ---- */

static void with_database(struct exchange *x) ON(loop_thread)
{
    /* By its own slug: the path may have named it by an alias. */
    if (!principal_has_branch(x->principal, database_access_name(x->database), x->database->slug)) {
        struct err err = ERR_INIT;

        (void)err_set(&err, ERR_UNKNOWN_DATABASE, "there is no database '%.*s'",
            (int)MIN(x->params[1].len, (size_t)100), x->params[1].ptr);
        exchange_fail(x, &err);
        return;
    }
    x->found(x);
}

static void on_database(struct exchange *x) ON(loop_thread)
{
    directory_loaded(x->services->directory, &x->load);
    if (x->load.call.err.code != ERR_NONE) {
        exchange_fail(x, &x->load.call.err);
        return;
    }
    x->database = x->load.database;
    with_database(x);
}

static void post_database(struct catalogue_call *call)
{
    struct exchange *x = call->owner;

    x->services->post(x, on_database);
}

static void load_database(struct exchange *x) ON(loop_thread)
{
    x->load = (struct directory_load){.tenant_slug = x->tenant_slug,
        .database_slug = x->params[1],
        .call = {.catalogue = x->services->catalogue,
            .arena = &x->arena,
            .principal = x->principal,
            .done = post_database,
            .owner = x,
            .err = ERR_INIT}};
    directory_load_database(x->services->directory, &x->load);
}

static void resolve_database(struct exchange *x) ON(loop_thread)
{
    struct database *database =
        directory_database(x->services->directory, x->tenant_slug, x->params[1]);

    if (likely(database != NULL)) {
        x->database = database_ref(database);
        with_database(x);
        return;
    }
    load_database(x);
}

void exchange_find_database(struct exchange *x, struct str slug, route_handler_fn found)
{
    x->params[1] = slug;
    x->found = found;
    load_database(x);
}

/* ---- who asks, and for whose tenant ---- */

static bool check_rate(struct exchange *x)
{
    unsigned wait_s;
    struct err err = ERR_INIT;

    if (likely(x->principal->rate == NULL) || (x->route->needs & NEEDS_NO_RATE) != 0)
        return true;
    wait_s = rate_take(x->principal->rate, clock_now_ns());
    if (wait_s == 0)
        return true;
    (void)err_set(&err, ERR_RATE_LIMITED, "too many requests; try again in %u s", wait_s);
    err.native = (int)wait_s;
    exchange_fail(x, &err);
    return false;
}

/* What the request names, which signed tokens depend on. */
static struct str named_tenant(const struct exchange *x)
{
    struct str named = (x->route->needs & NEEDS_TENANT) != 0
                           ? x->params[0]
                           : http_header_get(&x->http, "x-rookery-tenant");

    return named.len > 0 ? named : x->http.host_tenant;
}

static struct str named_database(const struct exchange *x)
{
    if ((x->route->needs & NEEDS_DATABASE) != 0)
        return x->params[1];
    /* A namespace, where the host names a tenant alone. */
    if ((x->route->needs & NEEDS_ONE_DATABASE) != 0 && x->http.host_database.len == 0 &&
        x->http.host_tenant.len > 0)
        return STR_LITERAL(SLUG_NAMESPACE_DATABASE);
    return x->http.host_database;
}

/* Sets x->tenant_slug. Before any look-up: strangers learn nothing about tenants. */
static bool check_tenant(struct exchange *x)
{
    struct str named = named_tenant(x);
    bool is_operator = (x->principal->capabilities & CAP_OPERATOR) != 0;

    if ((x->http.host_tenant.len > 0 && !str_equal_nocase(named, x->http.host_tenant)) ||
        (named.len > 0 && !is_operator && !str_equal_nocase(named, x->principal->tenant_slug))) {
        fail(x, ERR_NAMESPACE_MISMATCH, "Token namespace mismatch");
        return false;
    }
    x->tenant_slug = named.len > 0 ? named : x->principal->tenant_slug;
    return true;
}

static bool check_role(struct exchange *x)
{
    uint32_t missing = x->route->capabilities & ~x->principal->capabilities;
    struct err err = ERR_INIT;

    if (likely(missing == 0))
        return true;
    (void)err_set(&err, ERR_ROLE_FORBIDS,
        "the token's role '%.*s' does not allow this; it takes %s", STR_ARGS(x->principal->role),
        (missing & CAP_OPERATOR) != 0               ? "an operator token"
        : (missing & (CAP_ADMIN | CAP_TOKENS)) != 0 ? "the role 'owner'"
                                                    : "the role 'readwrite' or 'owner'");
    exchange_fail(x, &err);
    return false;
}

/* No name in the path: the host's, the token's, or the tenant's only one. */
static void find_one_database(struct exchange *x) ON(loop_thread)
{
    const struct principal *principal = x->principal;
    struct str name = x->http.host_database;
    struct database *only;

    if (name.len == 0 && principal->database_glob_count == 1 && principal->branch_glob_count == 0 &&
        str_find(principal->database_globs[0], '*') == principal->database_globs[0].len &&
        str_find(principal->database_globs[0], '?') == principal->database_globs[0].len)
        name = principal->database_globs[0];
    x->params[1] = name;
    if (name.len > 0) {
        resolve_database(x);
        return;
    }
    if (x->tenant_slug.len == 0) {
        fail(x, ERR_UNKNOWN_DATABASE, "name the database in the URL: /<tenant>/<database>/");
        return;
    }
    only = directory_only_database(x->services->directory, x->tenant_slug, principal);
    if (only == NULL) {
        load_database(x);
        return;
    }
    x->database = database_ref(only);
    with_database(x);
}

static void with_principal(struct exchange *x) ON(loop_thread)
{
    x->found = x->route->handle;
    if (!check_rate(x) || !check_tenant(x) || !check_role(x) || !check_body(x))
        return;
    if ((x->route->needs & NEEDS_ONE_DATABASE) != 0) {
        find_one_database(x);
        return;
    }
    if ((x->route->needs & NEEDS_DATABASE) != 0)
        resolve_database(x);
    else
        x->route->handle(x);
}

static void on_token(struct exchange *x) ON(loop_thread)
{
    directory_loaded(x->services->directory, &x->load);
    if (x->load.call.err.code != ERR_NONE) {
        exchange_fail(x, &x->load.call.err);
        return;
    }
    x->principal = x->load.principal;
    with_principal(x);
}

static void post_token(struct catalogue_call *call)
{
    struct exchange *x = call->owner;

    x->services->post(x, on_token);
}

static void authenticate(struct exchange *x) ON(loop_thread)
{
    struct str token = x->dialect->credentials(x);
    struct str tenant = named_tenant(x);
    struct str database = named_database(x);
    struct principal *principal;

    if (token.len == 0) {
        struct err err = ERR_INIT;

        (void)err_set(
            &err, ERR_UNAUTHORIZED, "a token is missing: send 'Authorization: Bearer <token>'");
        err.native = UNAUTHORIZED_MISSING;
        exchange_fail(x, &err);
        return;
    }
    principal = directory_credentials(x->services->directory, token, tenant, database);
    if (likely(principal != NULL)) {
        x->principal = principal_ref(principal);
        with_principal(x);
        return;
    }
    x->load = (struct directory_load){.token = token,
        .tenant_slug = tenant,
        .database_slug = database,
        .call = {.catalogue = x->services->catalogue,
            .arena = &x->arena,
            .done = post_token,
            .owner = x,
            .err = ERR_INIT}};
    directory_load_token(x->services->directory, &x->load);
}

/* Where no token is asked for, a page of anybody's, open on this machine, must not get in: neither
 * as itself nor under a name of its own for this address. */
static bool comes_from_a_page(const struct exchange *x)
{
    struct str host = x->http.host;

    if (http_header_get(&x->http, "origin").ptr != NULL ||
        http_header_get(&x->http, "sec-fetch-site").ptr != NULL)
        return true;
    if (str_is(host, "localhost"))
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if (strchr("0123456789abcdef.:[]", host.ptr[i]) == NULL ||
            (host.ptr[0] != '[' && host.ptr[i] >= 'a'))
            return true;
    }
    return false;
}

const struct router *exchange_router(const struct exchange *x)
{
    return x->router != NULL ? x->router : router_default();
}

void exchange_enter(struct exchange *x)
{
    if (x->is_trusted && comes_from_a_page(x)) {
        fail(x, ERR_FORBIDDEN, "pages in browsers are not let in here");
    } else if ((x->route->needs & NEEDS_PRINCIPAL) != 0 && !x->is_trusted) {
        authenticate(x);
    } else if (check_body(x)) {
        x->route->handle(x);
    }
}

void exchange_begin(struct exchange *x)
{
    struct route_match match;
    struct err err = ERR_INIT;

    read_preferences(x);
    if (router_find(exchange_router(x), &x->http, &x->arena, &match, &err) < 0) {
        fail_route(x, &match, &err);
        return;
    }
    x->dialect = match.dialect;
    x->route = match.route;
    memcpy(x->params, match.params, sizeof(x->params));
    exchange_enter(x);
}

/* ---- bodies in pieces ---- */

void exchange_next_piece(struct exchange *x, body_piece_fn on_piece)
{
    struct buf whole;

    if (x->body_streams) {
        x->on_piece = on_piece;
        x->services->next_piece(x);
        return;
    }
    buf_init(&whole, 0);
    buf_str(&whole, x->http.body);
    on_piece(x, &whole, BODY_END);
    buf_fini(&whole);
}

/* ---- running ---- */

static enum chunk_answer on_chunk(struct request *request)
{
    struct exchange *x = request->owner;

    return x->services->chunk(x);
}

/* Usage is counted for every dialect alike, before the handler answers. */
static void on_done(struct request *request)
{
    struct exchange *x = request->owner;

    usage_add(x->database->usage, 1, request->total.rows_read, request->total.rows_written);
    x->answer(request);
}

static void prepare_request(struct exchange *x)
{
    struct request *request = &x->request;

    x->answer = request->done;
    request->done = on_done;
    /* Procedures run under the engine flag: nobody's rights, our SQL. */
    request->principal = request->kind == REQUEST_STATEMENTS ? x->principal : NULL;
    request->arena = &x->arena;
    request->owner = x;
    request->lane_hint = x->services->loop_index;
    request->chunk = x->may_stream ? on_chunk : NULL;
    if (atomic_load_explicit(&x->client_gone, memory_order_relaxed))
        atomic_store_explicit(&request->cancelled, true, memory_order_relaxed);
    x->in_engine = true;
}

void exchange_run_next(struct exchange *x)
{
    prepare_request(x);
    engine_submit(x->services->engine, x->database, &x->request);
}

void exchange_run(struct exchange *x)
{
    struct request *request = &x->request;

    prepare_request(x);
    if (!engine_try_here(x->services->engine, x->database, request))
        engine_submit(x->services->engine, x->database, request);
}
