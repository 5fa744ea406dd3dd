/* The routes of PerSQL's surface. */
#include "proto/persql/persql.h"

#define IN_DATABASE (NEEDS_PRINCIPAL | NEEDS_TENANT | NEEDS_DATABASE)
#define GET HTTP_METHOD_GET
#define POST HTTP_METHOD_POST
#define PUT HTTP_METHOD_PUT
#define PATCH HTTP_METHOD_PATCH
#define DELETE HTTP_METHOD_DELETE

static const struct route routes[] = {
    {"query", POST, "/v1/db/:tenant/:database/query", IN_DATABASE | NEEDS_BODY, CAP_READ,
        persql_query, "Runs one statement."},
    {"batch", POST, "/v1/db/:tenant/:database/batch", IN_DATABASE | NEEDS_BODY, CAP_READ,
        persql_batch, "Runs up to 100 statements, each for itself or as one transaction."},
    {"me", GET, "/v1/me", NEEDS_PRINCIPAL, 0, persql_me, "Whose token this is, and what it may."},
    {"me", GET, "/v1/whoami", NEEDS_PRINCIPAL, 0, persql_me, "The same as /v1/me."},
};

const struct dialect persql_dialect = {
    .name = "persql",
    .routes = routes,
    .route_count = ARRAY_LEN(routes),
    .credentials = persql_credentials,
    .error = persql_error,
};
