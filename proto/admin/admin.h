/* The operator's routes, /v1/admin/: tenants, their tokens, figures. Shapes are PerSQL's. */
#ifndef PROTO_ADMIN_ADMIN_H
#define PROTO_ADMIN_ADMIN_H

#include "proto/exchange.h"

extern const struct dialect admin_dialect;

#endif
