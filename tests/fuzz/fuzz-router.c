/* Paths and query strings: the first byte is the method, then the path, '?' and the query; a line
 * end puts what follows into the host's database. */
#include "proto/router.h"
#include "tenants/base/check.h"
#include "tenants/slug.h"
#include "tests/fuzz/target.h"

static void check_match(const struct route_match *match)
{
    CHECK(match->dialect != NULL && match->route != NULL && match->route->handle != NULL);
    for (size_t i = 0; i < ROUTE_PARAMS_MAX; i++) {
        CHECK(match->params[i].len == 0 || match->params[i].ptr != NULL);
        CHECK(memchr(match->params[i].len == 0 ? "" : match->params[i].ptr, '\0',
                  match->params[i].len) == NULL);
    }
}

static void read_slugs(struct str text)
{
    char tenant[SLUG_TENANT_MAX + 1];
    char database[SLUG_DATABASE_MAX + 1];
    struct slug_reading reading = {.step = 0};
    size_t len;
    struct err err;
    unsigned readings = 0;

    if (slug_tenant(text, tenant, &len, &err) == 0)
        CHECK(len > 0 && len <= SLUG_TENANT_MAX && tenant[len] == '\0');
    if (slug_database(text, database, &len, &err) == 0)
        CHECK(len > 0 && len <= SLUG_DATABASE_MAX && database[len] == '\0');
    while (slug_next_reading(text, &reading))
        CHECK(++readings <= text.len + 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str rest = {(const char *)bytes + 1, len - 1};
    struct http_request request = {.method = HTTP_METHOD_GET};
    struct route_match match;
    struct arena arena;
    struct err err = ERR_INIT;

    if (len == 0)
        return 0;
    request.method = (enum http_method)(1U << (bytes[0] % 7));
    request.host_database = rest;
    (void)str_split(&request.host_database, '\n');
    if (request.host_database.len > 0 &&
        memchr(request.host_database.ptr, '\0', request.host_database.len) != NULL)
        request.host_database = str_make(NULL, 0); /* the HTTP reader's to refuse */
    request.host_tenant = request.host_database;
    request.query = str_split(&rest, '\n');
    request.path = str_split(&request.query, '?');
    arena_init(&arena, 1 << 20);
    if (router_find(router_default(), &request, &arena, &match, &err) == 0)
        check_match(&match);
    else
        CHECK(match.dialect != NULL && err.code != ERR_NONE);
    (void)http_query_get(&request, &arena, "q");
    (void)http_decode_segment(&arena, request.path, false);
    read_slugs(request.path);
    arena_fini(&arena);
    return 0;
}
