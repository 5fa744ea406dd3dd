/* The OpenAPI 3.1 text of all routes, made from the dialects' tables. */
#ifndef PROTO_OPENAPI_H
#define PROTO_OPENAPI_H

#include "proto/exchange.h"

/* Appends one JSON object. Any thread. */
void openapi_write(struct buf *out, const struct dialect *const *table);
/* The route: needs no token. The text is made on first use. */
void openapi_handle(struct exchange *x) ON(loop_thread);

#endif
