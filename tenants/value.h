/* A SQL value on its way in (parameter) or out (column). Views: bytes belong to the request's arena
 * on the way in, to SQLite until the next step on the way out. */
#ifndef TENANTS_VALUE_H
#define TENANTS_VALUE_H

#include "tenants/base/str.h"

enum value_type { VALUE_NULL, VALUE_INTEGER, VALUE_REAL, VALUE_TEXT, VALUE_BLOB };

struct value {
    enum value_type type;
    union {
        int64_t integer;
        double real;
        struct str bytes; /* text or blob; text need not be UTF-8 */
    };
};

/* A parameter; `name` is empty for positional ones. A bare name `a` binds :a, @a and $a. */
struct parameter {
    struct str name;
    struct value value;
};

struct column {
    struct str name;
    struct str decltype; /* as declared; ptr NULL for expressions */
};

#endif
