/* A look at a database's schema: what tables, schema, describe, search and doctor share. */
#ifndef PROTO_PERSQL_LOOK_H
#define PROTO_PERSQL_LOOK_H

#include "proto/persql/persql.h"
#include "tenants/descriptions.h"
#include "tenants/introspect.h"

struct look {
    struct exchange *x;
    unsigned detail;
    bool wants_descriptions;
    void (*answer)(struct exchange *x, const struct look *look);
    struct introspect_schema schema;
    const struct description *descriptions;
    size_t description_count;
};

/* Reads the schema (and descriptions) in one read transaction, then calls `answer` on whatever
 * thread has the result; failures are answered. */
void look_start(struct exchange *x, unsigned detail, bool wants_descriptions,
    void (*answer)(struct exchange *x, const struct look *look)) ON(loop_thread);
struct str look_description(const struct look *look, struct str table, struct str column);

#endif
