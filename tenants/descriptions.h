/* What people wrote about a database, its tables and columns, for tools and models to read.
 *
 * Kept in the database itself, in the reserved table _rookery_descriptions, made by the first
 * write. Each function is meant to run in a procedure (engine flag); results are in the arena.
 * Thread: whoever runs the lane. */
#ifndef TENANTS_DESCRIPTIONS_H
#define TENANTS_DESCRIPTIONS_H

#include "tenants/base/arena.h"
#include "tenants/base/err.h"

#define DESCRIPTION_BYTES_MAX 4096
#define DESCRIPTIONS_MAX 10000 /* in one write */

struct sqlite3;

/* As sqlite_schema has it: an import may bring this one. */
#define DESCRIPTIONS_TABLE                                                                         \
    "_rookery_descriptions(tbl TEXT NOT NULL COLLATE NOCASE, col TEXT NOT NULL COLLATE NOCASE, "   \
    "description TEXT NOT NULL, PRIMARY KEY(tbl, col)) WITHOUT ROWID"
#define DESCRIPTIONS_SCHEMA "CREATE TABLE " DESCRIPTIONS_TABLE

struct description {
    struct str table;  /* empty: the database's own */
    struct str column; /* empty: the table's own */
    struct str text;   /* empty: removed when written */
};

/* All of them, by table and column. None when nothing was ever written. */
int descriptions_read(struct sqlite3 *db, struct arena *arena,
    const struct description **ret_descriptions, size_t *ret_count, struct err *ret_err) MUST_CHECK;
int descriptions_write(struct sqlite3 *db, const struct description *descriptions, size_t count,
    struct err *ret_err) MUST_CHECK;
/* The text for (table, column), names compared without case; ptr NULL when there is none. */
struct str descriptions_find(
    const struct description *descriptions, size_t count, struct str table, struct str column);

#endif
