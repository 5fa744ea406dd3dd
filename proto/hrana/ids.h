/* What the 32-bit ids of a client name: a table per connection and kind. The links are embedded in
 * what they name; clients choose the ids, so places follow from a keyed hash.
 *
 * Threads: the owner's. */
#ifndef PROTO_HRANA_IDS_H
#define PROTO_HRANA_IDS_H

#include "tenants/base/macros.h"

struct id_link {
    struct id_link *next; /* in its bucket */
    int32_t id;
};

struct id_table {
    struct id_link **buckets; /* owned; NULL while empty */
    unsigned capacity;        /* a power of two */
    unsigned count;
};

void id_table_fini(
    struct id_table *table); /* zeroed is fine, and twice; the links are not its own */
struct id_link *id_table_find(const struct id_table *table, int32_t id) MUST_CHECK;
/* link->id is set and not in the table. */
void id_table_add(struct id_table *table, struct id_link *link);
/* It must be there. */
void id_table_remove(struct id_table *table, struct id_link *link);

#endif
