/* The OpenAPI 3.1 text of all routes, made from the dialects' tables. */
#ifndef PROTO_OPENAPI_H
#define PROTO_OPENAPI_H

#include "proto/exchange.h"

/* Appends one JSON object: of the dialect with that name, or (len 0) of all but those that have
 * documents of their own. Any thread. */
void openapi_write(struct buf *out, const struct dialect *const *table, struct str name);
/* The route, which takes ?dialect=: needs no token. The text without it is made on first use. */
void openapi_handle(struct exchange *x) ON(loop_thread);

#endif
