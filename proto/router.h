/* Finds the route of a request: all dialects' tables compiled at start into one trie of segments.
 *
 * Literal segments win over parameters; within one pattern and method the dialect that comes first
 * in the table wins; a path whose first segment is somebody's word is not looked for among those
 * that take any word there (no tenant has such a name). Empty segments do not count, so that
 * slashes at the end (or a base URL that ends in one) do no harm. Escapes are decoded; an escaped
 * slash is accepted in a ":ref" only. HEAD follows GET.
 *
 * Routes that need an upgrade stand beside the others: a GET that asks for a WebSocket finds one
 * when nothing else takes it, every other request passes them by.
 *
 * On a host that names a database ({database}--{tenant}.base), routes below
 * "/v1/db/:tenant/:database/" are also found at "/v1/".
 *
 * Immutable once made: any thread. */
#ifndef PROTO_ROUTER_H
#define PROTO_ROUTER_H

#include "proto/exchange.h"

struct router;

/* A table with a mistake (two routes of one dialect in one place, too many parameters) is a CHECK.
 */
struct router *router_new(const struct dialect *const *table);
void router_free(struct router *router); /* NULL is fine */
/* The router over `dialects`, made on first use, for the life of the process. */
const struct router *router_default(void);
/* That of x's listener. */
const struct router *exchange_router(const struct exchange *x);

struct route_match {
    const struct dialect *dialect; /* also on failure: whose shape the error takes */
    const struct route *route;
    unsigned methods; /* that the path allows, with HEAD; for Allow */
    struct str params[ROUTE_PARAMS_MAX];
};

/* Decoded parameters are in the arena or views of the path. Errors: ERR_NOT_FOUND,
 * ERR_METHOD_NOT_ALLOWED, ERR_BAD_REQUEST (a malformed escape). */
int router_find(const struct router *router, const struct http_request *request,
    struct arena *arena, struct route_match *ret_match, struct err *ret_err) MUST_CHECK;

#endif
