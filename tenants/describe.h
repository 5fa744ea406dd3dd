/* What a statement takes and gives, found by compiling it and nothing more. */
#ifndef TENANTS_DESCRIBE_H
#define TENANTS_DESCRIBE_H

#include "tenants/value.h"

/* Views that end with the call they are given to. */
struct statement_description {
    const struct str *parameters; /* by index from 1 on; ptr NULL: has no name; prefixes kept */
    unsigned parameter_count;
    const struct column *columns;
    unsigned column_count;
    bool is_explain;
    bool is_readonly;
};

#endif
