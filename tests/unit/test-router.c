/* Routes found, parameters decoded, 404 told from 405; and that every dialect's table is sound. */
#include "proto/exchange.h"
#include "proto/http.h"
#include "proto/router.h"
#include "tests/lib/tap.h"

static void nothing(struct exchange *x)
{
}

static struct str no_credentials(struct exchange *x)
{
    return str_make(NULL, 0);
}

static void no_error(struct exchange *x, const struct err *err)
{
}

#define UPGRADE(name, pattern)                                                                     \
    {                                                                                              \
        name, HTTP_METHOD_GET, pattern, NEEDS_UPGRADE, 0, nothing, ""                              \
    }
#define ROUTE(name, methods, pattern)                                                              \
    {                                                                                              \
        name, methods, pattern, 0, 0, nothing, ""                                                  \
    }
static const struct route first_routes[] = {
    ROUTE("query", HTTP_METHOD_POST, "/v1/db/:tenant/:database/query"),
    ROUTE("tables", HTTP_METHOD_GET, "/v1/db/:tenant/:database/tables"),
    ROUTE("branch", HTTP_METHOD_GET | HTTP_METHOD_PUT, "/v1/db/:tenant/:database/branches/:ref"),
    ROUTE("merge", HTTP_METHOD_POST, "/v1/db/:tenant/:database/branches/:ref/merge"),
    ROUTE("databases", HTTP_METHOD_GET, "/v1/databases"),
    ROUTE("special", HTTP_METHOD_GET, "/v1/databases/special"),
    ROUTE("database", HTTP_METHOD_GET | HTTP_METHOD_DELETE, "/v1/databases/:slug"),
};
static const struct route second_routes[] = {
    ROUTE("pipeline", HTTP_METHOD_POST, "/v2/pipeline"),
    ROUTE("hidden", HTTP_METHOD_GET, "/v1/databases"),
    ROUTE("post-databases", HTTP_METHOD_POST, "/v1/databases"),
    UPGRADE("socket", "/"),
    UPGRADE("database-socket", "/:tenant/:database"),
};
static const struct dialect first = {.name = "first",
    .routes = first_routes,
    .route_count = ARRAY_LEN(first_routes),
    .credentials = no_credentials,
    .error = no_error};
static const struct dialect second = {.name = "second",
    .routes = second_routes,
    .route_count = ARRAY_LEN(second_routes),
    .credentials = no_credentials,
    .error = no_error};
static const struct dialect *const table[] = {&first, &second, NULL};

static const struct {
    enum http_method method;
    const char *path;
    const char *want; /* route's name, or the error's */
    const char *params[3];
} cases[] = {
    {HTTP_METHOD_POST, "/v1/db/acme/orders/query", "query", {"acme", "orders", NULL}},
    {HTTP_METHOD_POST, "/v1/db/acme/orders/query/", "query", {"acme", "orders", NULL}},
    {HTTP_METHOD_POST, "//v1/db//acme/orders/query//", "query", {"acme", "orders", NULL}},
    {HTTP_METHOD_POST, "/v1/db/ac%6De/orders@x/query", "query", {"acme", "orders@x", NULL}},
    {HTTP_METHOD_POST, "/v1/db/a%2Fb/orders/query", "not_found", {NULL}},
    {HTTP_METHOD_POST, "/v1/db/a/b/q%75ery", "query", {"a", "b", NULL}},
    {HTTP_METHOD_POST, "/v1/db/a/b%00/query", "bad_request", {NULL}},
    {HTTP_METHOD_POST, "/v1/db/a/b%zz/query", "bad_request", {NULL}},
    {HTTP_METHOD_POST, "/v1/db/a/b%2", "bad_request", {NULL}},
    {HTTP_METHOD_PUT, "/v1/db/a/b/branches/feature%2Fx", "branch", {"a", "b", "feature/x"}},
    {HTTP_METHOD_POST, "/v1/db/a/b/branches/feature%2Fx/merge", "merge", {"a", "b", "feature/x"}},
    {HTTP_METHOD_PUT, "/v1/db/a/b/branches/feature/x", "not_found", {NULL}},
    {HTTP_METHOD_GET, "/v1/db/a/b/query", "method_not_allowed", {NULL}},
    {HTTP_METHOD_HEAD, "/v1/db/a/b/tables", "tables", {"a", "b", NULL}},
    {HTTP_METHOD_HEAD, "/v1/db/a/b/query", "method_not_allowed", {NULL}},
    {HTTP_METHOD_GET, "/v1/databases", "databases", {NULL}},
    {HTTP_METHOD_POST, "/v1/databases", "post-databases", {NULL}},
    {HTTP_METHOD_GET, "/v1/databases/special", "special", {NULL}},
    {HTTP_METHOD_GET, "/v1/databases/Special", "database", {"Special", NULL}},
    {HTTP_METHOD_DELETE, "/v1/databases/other", "database", {"other", NULL}},
    {HTTP_METHOD_DELETE, "/v1/databases/special", "method_not_allowed", {NULL}},
    {HTTP_METHOD_POST, "/v2/pipeline", "pipeline", {NULL}},
    {HTTP_METHOD_GET, "/v2/pipeline", "method_not_allowed", {NULL}},
    {HTTP_METHOD_GET, "/", "not_found", {NULL}},
    {HTTP_METHOD_GET, "", "not_found", {NULL}},
    {HTTP_METHOD_GET, "/v1", "not_found", {NULL}},
    {HTTP_METHOD_GET, "/v1/db/a/b/tables/c", "not_found", {NULL}},
    {HTTP_METHOD_GET, "/1/2/3/4/5/6/7/8/9/10/11/12/13", "not_found", {NULL}},
    {HTTP_METHOD_GET, "/v1/databases%2Fspecial", "not_found", {NULL}},
};

static void test_finding(struct router *router, struct arena *arena)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_request request = {.method = cases[i].method, .path = str_from(cases[i].path)};
        struct route_match match;
        struct err err = ERR_INIT;
        const char *got = router_find(router, &request, arena, &match, &err) < 0
                              ? err_code_name(err.code)
                              : match.route->name;
        bool same = true;

        ok(strcmp(got, cases[i].want) == 0, "case %zu %s is %s", i, cases[i].path, cases[i].want);
        for (size_t p = 0; p < 3 && cases[i].params[p] != NULL; p++)
            same &= str_is(match.params[p], cases[i].params[p]);
        if (cases[i].params[0] != NULL)
            ok(same, "case %zu gives its parameters", i);
    }
}

static void test_answers(struct router *router, struct arena *arena)
{
    struct http_request request = {
        .method = HTTP_METHOD_PATCH, .path = STR_LITERAL("/v1/databases/x")};
    struct route_match match;
    struct err err = ERR_INIT;

    ok(router_find(router, &request, arena, &match, &err) < 0, "PATCH is not allowed there");
    is_int(match.methods, HTTP_METHOD_GET | HTTP_METHOD_HEAD | HTTP_METHOD_DELETE,
        "what is allowed is told");
    request.path = STR_LITERAL("/v2/elsewhere");
    ok(router_find(router, &request, arena, &match, &err) < 0 && match.dialect == &second,
        "a path that is not found takes the shape of the dialect it begins like");
    request.path = STR_LITERAL("/nowhere");
    ok(router_find(router, &request, arena, &match, &err) < 0 && match.dialect == &first,
        "or of the first");
}

/* Routes that need an upgrade hide nothing, and are hidden by routes for a GET. */
static void test_upgrades(struct router *router, struct arena *arena)
{
    static const struct {
        const char *path;
        const char *plain;
        const char *upgrade;
    } upgrades[] = {
        {"/", "not_found", "socket"},
        {"/acme/main", "not_found", "database-socket"},
        {"/acme/main@dev/", "not_found", "database-socket"},
        {"/acme", "not_found", "not_found"},
        {"/acme/main/x", "not_found", "not_found"},
        {"/acme/ma%2fin", "not_found", "not_found"},
        {"/v1/databases", "databases", "databases"},
        {"/v2/pipeline", "method_not_allowed", "method_not_allowed"},
    };

    for (size_t i = 0; i < ARRAY_LEN(upgrades) * 2; i++) {
        struct http_request request = {.method = HTTP_METHOD_GET,
            .path = str_from(upgrades[i / 2].path),
            .wants_websocket = i % 2 == 1};
        const char *want = i % 2 == 1 ? upgrades[i / 2].upgrade : upgrades[i / 2].plain;
        struct route_match match;
        struct err err = ERR_INIT;
        int rc = router_find(router, &request, arena, &match, &err);

        is_str(rc < 0 ? err_code_name(err.code) : match.route->name, want, upgrades[i / 2].path);
        if (rc == 0 && strcmp(want, "database-socket") == 0 && i / 2 == 1)
            ok(str_is(match.params[0], "acme") && str_is(match.params[1], "main") &&
                    match.dialect == &second,
                "its parameters and dialect");
    }
}

static void test_hosts(struct router *router, struct arena *arena)
{
    struct http_request request = {.method = HTTP_METHOD_POST,
        .path = STR_LITERAL("/v1/query"),
        .host_tenant = STR_LITERAL("acme"),
        .host_database = STR_LITERAL("orders")};
    struct route_match match;
    struct err err = ERR_INIT;

    ok(router_find(router, &request, arena, &match, &err) == 0 &&
            strcmp(match.route->name, "query") == 0 && str_is(match.params[0], "acme") &&
            str_is(match.params[1], "orders"),
        "a database's own host leaves its names out of the path");
    request.method = HTTP_METHOD_PUT;
    request.path = STR_LITERAL("/v1/branches/a%2fb");
    ok(router_find(router, &request, arena, &match, &err) == 0 && str_is(match.params[2], "a/b"),
        "with more parameters behind");
    request.method = HTTP_METHOD_GET;
    request.path = STR_LITERAL("/v1/databases");
    ok(router_find(router, &request, arena, &match, &err) == 0 &&
            strcmp(match.route->name, "databases") == 0,
        "other routes are there too");
    request.host_database = str_make(NULL, 0);
    request.method = HTTP_METHOD_POST;
    request.path = STR_LITERAL("/v1/query");
    ok(router_find(router, &request, arena, &match, &err) < 0, "on other hosts they are not");
}

static void test_http(struct arena *arena)
{
    struct http_header headers[] = {
        {STR_LITERAL("Content-Type"), STR_LITERAL("a")}, {STR_LITERAL("X-a"), STR_LITERAL("b")}};
    struct http_request request = {
        .headers = headers, .header_count = 2, .query = STR_LITERAL("a=1&b=x+y%26z&c&a=2&d=%zz")};
    struct http_response response = {.status = 200};

    ok(str_is(http_header_get(&request, "x-A"), "b"), "headers are found without case");
    ok(http_header_get(&request, "x").ptr == NULL, "or not");
    ok(str_is(http_query_get(&request, arena, "a"), "1"), "the first of two counts");
    ok(str_is(http_query_get(&request, arena, "b"), "x y&z"), "values are decoded");
    ok(http_query_get(&request, arena, "c").ptr != NULL &&
            http_query_get(&request, arena, "c").len == 0,
        "a bare name is there, and empty");
    ok(http_query_get(&request, arena, "e").ptr == NULL &&
            http_query_get(&request, arena, "d").ptr == NULL,
        "absent and malformed ones are not");
    http_response_header(&response, "A", STR_LITERAL("b"));
    http_response_header(&response, "B", STR_LITERAL("b\r\nSet-Cookie: x"));
    is_int(response.header_count, 1, "a value with line ends is dropped");
}

int main(void)
{
    struct router *router = router_new(table);
    struct arena arena;

    arena_init(&arena, 0);
    test_finding(router, &arena);
    test_answers(router, &arena);
    test_upgrades(router, &arena);
    test_hosts(router, &arena);
    test_http(&arena);
    router_free(router);
    arena_fini(&arena);
    return done_testing();
}
