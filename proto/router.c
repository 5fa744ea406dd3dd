#include "proto/router.h"

#include <pthread.h>

#include "tenants/base/check.h"
#include "tenants/base/mem.h"

#define METHODS 7
#define DATABASE_PREFIX "/v1/db/:tenant/:database/"

struct entry {
    const struct dialect *dialect;
    const struct route *route;
};

struct place {
    struct str segment;      /* of a literal; borrowed from the pattern */
    struct place *literals;  /* owned: first child */
    struct place *next;      /* sibling */
    struct place *parameter; /* owned */
    bool takes_slash;        /* this place is a ":ref" */
    unsigned methods;
    struct entry entries[METHODS];
    struct entry upgrade;          /* of a GET that asks for a WebSocket */
    const struct dialect *dialect; /* the first that has a route here or below */
};

struct router {
    struct place root;
    struct place host_root; /* on a database's own host */
    const struct dialect *fallback;
};

/* ---- compiling ---- */

static struct place *literal_child(const struct place *place, struct str segment)
{
    for (struct place *child = place->literals; child != NULL; child = child->next) {
        if (str_equal(child->segment, segment))
            return child;
    }
    return NULL;
}

static struct place *step(struct place *place, struct str segment, const struct dialect *dialect)
{
    struct place *child;

    if (segment.ptr[0] == ':') {
        if (place->parameter == NULL)
            place->parameter = mem_zalloc(sizeof(*place->parameter));
        child = place->parameter;
        child->takes_slash |= str_is(segment, ":ref");
    } else {
        child = literal_child(place, segment);
        if (child == NULL) {
            child = mem_zalloc(sizeof(*child));
            child->segment = segment;
            child->next = place->literals;
            place->literals = child;
        }
    }
    if (child->dialect == NULL)
        child->dialect = dialect;
    return child;
}

static void add_route(struct place *root, const struct dialect *dialect, const struct route *route,
    const char *pattern, unsigned params)
{
    struct place *place = root;
    struct str rest = str_from(pattern);
    unsigned segments = 0;

    while (rest.len > 0) {
        struct str segment = str_split(&rest, '/');

        if (segment.len == 0)
            continue;
        CHECK(++segments <= ROUTE_SEGMENTS_MAX);
        params += segment.ptr[0] == ':';
        place = step(place, segment, dialect);
    }
    CHECK(params <= ROUTE_PARAMS_MAX);
    if ((route->needs & NEEDS_UPGRADE) != 0) {
        CHECK(place->upgrade.dialect != dialect);
        if (place->upgrade.dialect == NULL)
            place->upgrade = (struct entry){.dialect = dialect, .route = route};
        return;
    }
    for (unsigned method = 0; method < METHODS; method++) {
        struct entry *entry = &place->entries[method];

        if ((route->methods >> method & 1) == 0)
            continue;
        CHECK(entry->dialect != dialect); /* the same place twice */
        if (entry->dialect == NULL)
            *entry = (struct entry){.dialect = dialect, .route = route};
        place->methods |= 1U << method;
    }
    if ((place->methods & HTTP_METHOD_GET) != 0)
        place->methods |= HTTP_METHOD_HEAD;
}

struct router *router_new(const struct dialect *const *table)
{
    static const size_t prefix_len = sizeof(DATABASE_PREFIX) - 1;
    struct router *router = mem_zalloc(sizeof(*router));

    router->fallback = table[0];
    for (; *table != NULL; table++) {
        for (size_t i = 0; i < (*table)->route_count; i++) {
            const struct route *route = &(*table)->routes[i];

            add_route(&router->root, *table, route, route->pattern, 0);
            if (strncmp(route->pattern, DATABASE_PREFIX, prefix_len) == 0)
                add_route(&router->host_root, *table, route, route->pattern + prefix_len, 2);
        }
    }
    return router;
}

static void free_places(struct place *place)
{
    if (place->parameter != NULL) {
        free_places(place->parameter);
        mem_free(place->parameter);
    }
    for (struct place *child = place->literals; child != NULL;) {
        struct place *next = child->next;

        free_places(child);
        mem_free(child);
        child = next;
    }
}

void router_free(struct router *router)
{
    if (router == NULL)
        return;
    free_places(&router->root);
    free_places(&router->host_root);
    mem_free(router);
}

static struct router *default_router;

static void make_default(void)
{
    default_router = router_new(dialects);
}

const struct router *router_default(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, make_default);
    return default_router;
}

/* ---- finding ---- */

struct path {
    struct str segments[ROUTE_SEGMENTS_MAX]; /* decoded */
    bool has_slash[ROUTE_SEGMENTS_MAX];      /* an escaped one */
    unsigned count;
};

struct search {
    const struct path *path;
    struct route_match *match;
    const struct dialect *deepest; /* whose routes begin like this path */
    unsigned deepest_at;
    bool past_literal;
    bool upgrade; /* only routes that need one */
};

/* A raw one; the decoder refuses an escaped one. */
static bool has_nul(struct str text)
{
    return str_find(text, '\0') < text.len;
}

/* -1: malformed. Longer paths than any route keep `count` over the maximum. */
static int split_path(struct str rest, struct arena *arena, struct path *ret_path)
{
    ret_path->count = 0;
    while (rest.len > 0) {
        struct str segment = str_split(&rest, '/');

        if (segment.len == 0)
            continue;
        if (ret_path->count == ROUTE_SEGMENTS_MAX) {
            ret_path->count++;
            return 0;
        }
        ret_path->has_slash[ret_path->count] = false;
        if (memchr(segment.ptr, '%', segment.len) != NULL) {
            segment = http_decode_segment(arena, segment, true);
            if (segment.ptr == NULL)
                return -1;
            ret_path->has_slash[ret_path->count] = str_find(segment, '/') < segment.len;
        }
        ret_path->segments[ret_path->count++] = segment;
    }
    return 0;
}

/* The place that the path's segments from `at` on lead to. Recursion is as deep as a pattern. */
static const struct place *descend(
    struct search *search, const struct place *place, unsigned at, unsigned params)
{
    const struct place *child;
    const struct place *found = NULL;

    if (place->dialect != NULL && at > search->deepest_at && at > params && !search->past_literal) {
        search->deepest = place->dialect;
        search->deepest_at = at;
    }
    if (at == search->path->count)
        return search->upgrade ? (place->upgrade.route != NULL ? place : NULL)
                               : (place->methods != 0 ? place : NULL);
    child = search->path->has_slash[at] ? NULL : literal_child(place, search->path->segments[at]);
    if (child != NULL)
        found = descend(search, child, at + 1, params);
    /* A path whose first segment is somebody's word is theirs, whoever takes any word there. */
    search->past_literal |= at == 0 && child != NULL;
    if (found == NULL && place->parameter != NULL && params < ROUTE_PARAMS_MAX &&
        !(at == 0 && child != NULL) &&
        (!search->path->has_slash[at] || place->parameter->takes_slash)) {
        found = descend(search, place->parameter, at + 1, params + 1);
        if (found != NULL)
            search->match->params[params] = search->path->segments[at];
    }
    return found;
}

static const struct entry *entry_for(const struct place *place, enum http_method method)
{
    const struct entry *entry = &place->entries[__builtin_ctz((unsigned)method)];

    if (entry->route == NULL && method == HTTP_METHOD_HEAD)
        entry = &place->entries[__builtin_ctz(HTTP_METHOD_GET)];
    return entry->route == NULL ? NULL : entry;
}

/* An upgrade that no other route takes. */
static bool find_upgrade(
    const struct router *router, const struct path *path, struct route_match *match)
{
    struct search search = {.path = path, .match = match, .upgrade = true};
    const struct place *place =
        path->count > ROUTE_SEGMENTS_MAX ? NULL : descend(&search, &router->root, 0, 0);

    if (place == NULL)
        return false;
    match->dialect = place->upgrade.dialect;
    match->route = place->upgrade.route;
    return true;
}

int router_find(const struct router *router, const struct http_request *request,
    struct arena *arena, struct route_match *ret_match, struct err *ret_err)
{
    struct path path;
    struct search search = {.path = &path, .match = ret_match, .deepest = router->fallback};
    const struct place *place = NULL;
    const struct entry *entry;

    *ret_match = (struct route_match){.dialect = router->fallback};
    if (has_nul(request->path) || has_nul(request->host_tenant) ||
        has_nul(request->host_database) || split_path(request->path, arena, &path) < 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "the path has a malformed %%-escape");
    if (request->host_database.len > 0 && path.count <= ROUTE_SEGMENTS_MAX && path.count > 0 &&
        str_is(path.segments[0], "v1")) {
        place = descend(&search, &router->host_root, 1, 2);
        if (place != NULL) {
            ret_match->params[0] = request->host_tenant;
            ret_match->params[1] = request->host_database;
        }
    }
    if (place == NULL && path.count <= ROUTE_SEGMENTS_MAX)
        place = descend(&search, &router->root, 0, 0);
    ret_match->dialect = search.deepest;
    if (request->wants_websocket && (place == NULL || entry_for(place, request->method) == NULL) &&
        find_upgrade(router, &path, ret_match))
        return 0;
    if (place == NULL)
        return err_set(ret_err, ERR_NOT_FOUND, "there is no such route");
    ret_match->methods = place->methods;
    entry = entry_for(place, request->method);
    if (entry == NULL)
        return err_set(ret_err, ERR_METHOD_NOT_ALLOWED, "this route does not take that method");
    ret_match->dialect = entry->dialect;
    ret_match->route = entry->route;
    return 0;
}
