/* SQL texts that a client stored, and what a text needs. */
#ifndef PROTO_HRANA_SQL_H
#define PROTO_HRANA_SQL_H

#include "tenants/base/err.h"
#include "tenants/base/str.h"

#define HRANA_SQL_TEXTS_MAX 150           /* per HTTP stream or WebSocket connection */
#define HRANA_SQL_BYTES_MAX (1024 * 1024) /* of them together */

struct hrana_sql_store {
    struct hrana_stored_sql *texts; /* owned */
    unsigned count;
    unsigned capacity;
    size_t bytes;
};

void hrana_sql_store_fini(struct hrana_sql_store *store); /* zeroed is fine, and twice */
/* A view that ends with the next put or remove. -1: there is none of that id. */
int hrana_sql_find(const struct hrana_sql_store *store, int32_t id, struct str *ret_text)
    MUST_CHECK;
/* Copies the text; the id must not be there. ERR_BAD_REQUEST with HRANA_FAULT_STORE_... */
int hrana_sql_put(struct hrana_sql_store *store, int32_t id, struct str text, struct err *ret_err)
    MUST_CHECK;
void hrana_sql_remove(struct hrana_sql_store *store, int32_t id);

/* Temporary objects, settings and transactions are a connection's: they take one of their own. */
bool hrana_needs_connection(struct str sql);

#endif
