/* What went wrong with a statement, in parts that a program can act upon. */
#ifndef TENANTS_SQL_ERROR_H
#define TENANTS_SQL_ERROR_H

#include "tenants/base/arena.h"
#include "tenants/base/err.h"

struct sqlite3;

/* kind, the word clients branch on */
#define SQL_ERROR_KINDS(X)                                                                         \
    X(SQL_ERROR_UNIQUE, "unique_violation")                                                        \
    X(SQL_ERROR_NOT_NULL, "not_null_violation")                                                    \
    X(SQL_ERROR_FK, "fk_violation")                                                                \
    X(SQL_ERROR_CHECK, "check_violation")                                                          \
    X(SQL_ERROR_UNKNOWN_TABLE, "unknown_table")                                                    \
    X(SQL_ERROR_UNKNOWN_COLUMN, "unknown_column")                                                  \
    X(SQL_ERROR_SYNTAX, "syntax_error")                                                            \
    X(SQL_ERROR_TYPE_MISMATCH, "type_mismatch")                                                    \
    X(SQL_ERROR_LOCKED, "database_locked")                                                         \
    X(SQL_ERROR_TOO_MANY_PARAMS, "too_many_params")                                                \
    X(SQL_ERROR_READONLY, "readonly")                                                              \
    X(SQL_ERROR_UNKNOWN, "unknown")

enum sql_error_kind {
#define X(kind, word) kind,
    SQL_ERROR_KINDS(X)
#undef X
        SQL_ERROR_KIND_COUNT
};

struct sql_error_column {
    struct str table;
    struct str column;
};

/* All texts are in the arena (or static), empty when unknown. */
struct sql_error {
    enum sql_error_kind kind;
    struct str message;
    struct str table;
    struct str column;
    const struct sql_error_column *columns;
    size_t column_count;
    struct str constraint;
    struct str near;
    struct str hint; /* depends on the statement's verb */
    int offset;      /* byte offset into the statement, -1 when unknown */
};

const char *sql_error_kind_name(enum sql_error_kind kind);

/* Fills `err` from the connection's last error: copies the text first, then the extended code and
 * the offset; picks the code (ERR_SQL, ERR_BUSY, ERR_QUOTA_EXCEEDED for SQLITE_FULL, ERR_NOMEM,
 * ERR_IO, ERR_CORRUPT, ERR_GUARD for SQLITE_AUTH …). Returns -1. Thread: whoever runs the lane. */
int sql_err_set(struct err *err, struct sqlite3 *db, int rc);

/* What SQLite's parser says, as opposed to what it finds in the schema. Of an ERR_SQL. */
bool sql_err_is_syntax(const struct err *err);

/* "SQLITE_CONSTRAINT": the primary code's name, SQLITE_ERROR for what has none of its own. Static.
 */
const char *sql_result_name(int native);

/* Takes an error apart, from its text, extended code and the statement's SQL. Pure. */
void sql_error_describe(
    struct arena *arena, const struct err *err, struct str sql, struct sql_error *ret_error);

#endif
