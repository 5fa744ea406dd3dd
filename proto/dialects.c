/* The dialects, in order of precedence. A new one is its own files and one line here. */
#include "proto/admin/admin.h"
#include "proto/hrana/hrana.h"
#include "proto/persql/persql.h"

const struct dialect *const dialects[] = {
    &persql_dialect,
    &admin_dialect,
    &hrana_dialect,
    NULL,
};
