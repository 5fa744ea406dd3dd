/* What a database looks like, for tools and people: tables, columns, keys, indexes, plans.
 *
 * Each function is meant to run in a REQUEST_READ_PROCEDURE: inside one read transaction, under the
 * engine flag; results are in the arena. Reserved (_rookery_*, _persql_*, sqlite_*) and shadow
 * tables are left out; for a principal with a table scope, tables outside it too, and the texts of
 * views and triggers, which name what is behind them. */
#ifndef TENANTS_INTROSPECT_H
#define TENANTS_INTROSPECT_H

#include "tenants/base/arena.h"
#include "tenants/base/err.h"
#include "tenants/principal.h"

struct sqlite3;

struct introspect_column {
    struct str name;
    struct str type; /* as declared, "" when none */
    bool not_null;
    int primary_key; /* 1-based place in the key, 0 when not in it */
    bool has_default;
    struct str default_sql;
    bool generated; /* VIRTUAL or STORED */
    bool hidden;
};

struct introspect_foreign_key {
    int id;
    struct str table;
    struct str from;
    struct str to; /* empty: the parent's primary key */
    struct str on_update;
    struct str on_delete;
};

struct introspect_index {
    struct str name;
    bool unique;
    bool partial;
    struct str origin;         /* "c", "u", "pk" */
    const struct str *columns; /* empty name for an expression */
    size_t column_count;
    struct str sql;
};

struct introspect_table {
    struct str name;
    struct str kind; /* "table", "view", "virtual" */
    struct str sql;
    bool without_rowid;
    bool strict;
    int64_t row_count; /* -1: not counted (views, budget) */
    const struct introspect_column *columns;
    size_t column_count;
    const struct introspect_foreign_key *foreign_keys;
    size_t foreign_key_count;
    const struct introspect_index *indexes;
    size_t index_count;
    const struct str *triggers;
    const struct str *trigger_sql;
    size_t trigger_count;
};

struct introspect_schema {
    const struct introspect_table *tables;
    size_t table_count;
    uint64_t schema_cookie;
};

enum introspect_detail { INTROSPECT_COUNTS = 1, INTROSPECT_COLUMNS = 2, INTROSPECT_ALL = 7 };

int introspect_schema(struct sqlite3 *db, const struct principal *principal, unsigned detail,
    struct arena *arena, struct introspect_schema *ret_schema, struct err *ret_err) MUST_CHECK;

#endif
