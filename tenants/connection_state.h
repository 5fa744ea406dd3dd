/* The inside of a connection, for its own files: connection.c (life, requests), connection_open.c
 * (options, file), connection_prepare.c (authorizer, statements). */
#ifndef TENANTS_CONNECTION_STATE_H
#define TENANTS_CONNECTION_STATE_H

#include "tenants/access.h"
#include "tenants/statement_cache.h"

/* Lookaside serves what steps and EXPLAIN allocate; cached statements are compiled persistent, past
 * it. 40 slots of 128 bytes keep the second query of a kind off malloc and cost 5 KB, not 48. */
#define LOOKASIDE_BYTES 128
#define LOOKASIDE_SLOTS 40

enum dirty { DIRTY_SETTINGS = 1, DIRTY_TEMP = 2 };

struct connection {
    struct sqlite3 *db; /* owned */
    struct connection_context context;
    struct statement_cache cache;
    struct list running; /* busy statements, newest first */
    bool foreign_keys;
    unsigned page_bytes;
    bool engine;
    unsigned dirty;         /* what connection_reset() has to put back */
    int64_t changes_before; /* sqlite3_total_changes64() when the running request began */
    int64_t changes_first;  /* what changes() tells until something was changed */
    int64_t changes_offset; /* what total_changes() told then */
    bool has_changed;       /* an INSERT, UPDATE or DELETE has run since, if of no row */

    /* While connection_prepare() compiles. */
    struct cached_statement *compiling;
    struct str compiling_sql;
    bool compiling_explain;
    struct access_set suspects; /* names that may be shadow tables */
    struct guard_scan scan;     /* of one statement, its steps included */

    struct err refusal; /* code ERR_NONE: none */
    bool would_prepare;
};

/* The authorizer; `argument` is the connection. */
int connection_authorize(void *argument, int action, const char *first, const char *second,
    const char *database, const char *via);

/* What changes() and total_changes() tell. */
int64_t connection_changes(const struct connection *connection);
int64_t connection_total_changes(const struct connection *connection);

/* Runs SQL of ours. */
int connection_run(struct connection *connection, const char *sql, struct err *ret_err) MUST_CHECK;

/* Engine SQL of ours, between a tenant's prepare and its step. */
static inline bool connection_enter_engine(struct connection *connection)
{
    bool before = connection->context.engine;

    connection->context.engine = true;
    return before;
}

#endif
