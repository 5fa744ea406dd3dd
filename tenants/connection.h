/* One SQLite connection of a lane: opened with our options, guarded, with its statement cache.
 *
 * The guard (tenants/guard.h) is an authorizer set once; it reads the running context set here.
 * Each cached statement keeps its access set (action, table, column, through which view or
 * trigger), which is checked against the principal at every execution, and rebuilt when authorizer
 * calls arrive inside a step (a schema change makes SQLite prepare again).
 *
 * Thread: actor_owner, i.e. whoever runs the lane. */
#ifndef TENANTS_CONNECTION_H
#define TENANTS_CONNECTION_H

#include "tenants/base/err.h"
#include "tenants/base/str.h"
#include "tenants/principal.h"

struct sqlite3;
struct sqlite3_stmt;
struct connection;
struct session_counts;

struct connection_options {
    const char *name; /* vfs_head_name() */
    const char *vfs;  /* NULL: VFS_NAME; tests name another, and a path */
    bool foreign_keys;
    bool read_only;     /* query_only: read lanes */
    bool engine;        /* the catalogue's own: no guard for engine statements */
    uint64_t max_bytes; /* max_page_count is set from it */
    uint64_t max_sql_bytes;
    uint64_t max_value_bytes;
    unsigned max_parameters;
    unsigned cached_statements; /* LRU; default 64 */
    int cache_kib;              /* page cache bound, default 2000 */
};

/* Opens, sets limits (ATTACHED 0, SQL_LENGTH, LENGTH, VARIABLE_NUMBER, ...), defensive,
 * trusted_schema=OFF, cell_size_check=ON, WAL, synchronous=FULL, wal_autocheckpoint=0, busy timeout
 * 0, extended result codes, authorizer, prepare hooks. The first open of a new file makes it a WAL
 * database. Errors: ERR_IO, ERR_CORRUPT, ERR_NOMEM, ERR_BUSY. */
int connection_open(const struct connection_options *options, struct connection **ret_connection,
    struct err *ret_err) MUST_CHECK;
void connection_close(struct connection *connection); /* NULL is fine; finalizes the cache */
struct sqlite3 *connection_db(struct connection *connection);
unsigned connection_page_bytes(const struct connection *connection);

/* Other settings than it was opened with; max_bytes 0: as it is. Between transactions only. -1: the
 * size's limit is the former one; foreign keys are as asked. */
int connection_change(struct connection *connection, bool foreign_keys, uint64_t max_bytes,
    struct err *ret_err) MUST_CHECK;

/* What is running from now on, read by the authorizer. `stateless`: settings and temp objects that
 * would stay on a shared connection are refused. `engine`: our own SQL, reserved names allowed. */
struct connection_context {
    const struct principal *principal; /* borrowed until the next call */
    bool stateless;
    bool engine;
    bool read_only;
    /* On a loop: a statement that SQLite has to compile again (the schema changed) fails with
     * SQLITE_AUTH instead, and connection_would_prepare() says so: run it on a worker. */
    bool no_prepare;
    /* Compile even what is in the cache, which may know an older schema. */
    bool fresh;
    /* Our own SELECTs for somebody who may read all: shadow tables too. Never kept. */
    bool shadows;
};
/* `principal` NULL: no role and no scope limits, the guard's rules only. Until the first call:
 * that, stateless. */
void connection_set_context(
    struct connection *connection, const struct connection_context *context);

enum statement_class {
    STATEMENT_READ,
    STATEMENT_WRITE,
    STATEMENT_DDL,
    STATEMENT_ALONE, /* outside groups: ANALYZE, REINDEX, PRAGMA foreign_keys=… (which SQLite
                      * ignores inside a transaction), PRAGMA optimize */
    STATEMENT_TRANSACTION, /* BEGIN, COMMIT, END, ROLLBACK, SAVEPOINT, RELEASE */
};

struct access_set;

struct statement {
    struct sqlite3_stmt *sqlite; /* owned by the cache */
    struct str sql;              /* the one statement's text, owned by the statement */
    enum statement_class class;
    bool loop_ok; /* read-only, no sorter or temp b-tree, only cheap functions, no virtual table */
    bool outgrew; /* set by lanes: went over the short step budget before; start slow */
    bool was_short; /* likewise: its last run was not */
    bool is_insert; /* INSERT or REPLACE */
    bool is_change; /* or UPDATE or DELETE */
    bool is_explain;
    unsigned parameter_count;
    unsigned column_count;
    bool busy;                 /* stepping; never handed out twice */
    struct access_set *access; /* owned */
};

/* Finds the statement that starts `sql` in the cache, or compiles it (PREPARE_PERSISTENT), and
 * checks the context's principal against its access set. *ret_tail is what follows it; when only
 * blanks, comments and semicolons follow, its length is 0. A text without a statement gives 0 and
 * *ret_statement NULL. `cached_only`: -1 with code ERR_NONE when it is not in the cache, or when
 * checking the principal would take a query; never compiles. The statement is busy until
 * connection_release(). Setting pragmas take effect here already, as SQLite has it: a caller that
 * only validates calls connection_reset() after.
 * Errors: ERR_SQL (parse, unknown table...: offset set), ERR_GUARD, ERR_ROLE_FORBIDS,
 * ERR_TABLE_SCOPE, ERR_TOO_LARGE, ERR_NOMEM (over the account: caller turns it into a budget),
 * ERR_BUSY, ERR_IO, ERR_CORRUPT (reading the schema). */
int connection_prepare(struct connection *connection, struct str sql, bool cached_only,
    struct statement **ret_statement, struct str *ret_tail, struct err *ret_err) MUST_CHECK;
/* After use: resets, clears bindings; drops statements that are not worth keeping. */
void connection_release(struct connection *connection, struct statement *statement);
/* True when authorizer calls during steps refused something or changed an access set since prepare:
 * fills err with the refusal. Call after an SQLITE_AUTH from a step. */
bool connection_refusal(struct connection *connection, struct err *ret_err);
/* True (once) when a step failed with SQLITE_AUTH only because of `no_prepare`. */
bool connection_would_prepare(struct connection *connection);
/* Drops all cached statements (hooks change, schema reset); busy ones when they are released. */
void connection_flush(struct connection *connection);
/* Puts per-request state back: foreign_keys as opened, other settings at their defaults,
 * last_insert_rowid, changes() and total_changes() 0, no open statement (busy ones are released),
 * temp schema empty. Used between requests on shared lanes. Cheap when nothing changed. -1: close
 * the connection. */
int connection_reset(struct connection *connection, struct err *ret_err) MUST_CHECK;
/* What last_insert_rowid(), changes() and total_changes() tell from now on; and what they do. */
void connection_set_counts(struct connection *connection, const struct session_counts *counts);
void connection_get_counts(const struct connection *connection, struct session_counts *ret_counts);
/* An INSERT, UPDATE or DELETE has run, with whatever success: changes() is SQLite's own again. */
void connection_note_change(struct connection *connection);
/* Settings or temporary objects were made that connection_reset() would take back. */
bool connection_has_state(const struct connection *connection);
/* Bytes of heap of this connection (pager cache, schema, statements). */
uint64_t connection_memory(struct connection *connection);
/* Gives back page-cache memory. */
void connection_shrink(struct connection *connection);

#endif
