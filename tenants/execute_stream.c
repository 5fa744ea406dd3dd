/* Statements in streams: who has the write lock since when, and what cannot be ended half way. */
#include <sqlite3.h>

#include "tenants/execute.h"
#include "tenants/sql_text.h"

/* Since when a stream's transaction has the write lock, or tries to take it. */
static void note_write_begins(struct lane *lane, const struct statement *statement, uint64_t now_ns)
{
    if (!sqlite3_stmt_readonly(statement->sqlite) &&
        !sqlite3_get_autocommit(connection_db(lane->connection)) &&
        atomic_load(&lane->writing_since_ns) == 0)
        atomic_store(&lane->writing_since_ns, now_ns);
}

void execute_stream_ends(struct lane *lane, uint64_t started_ns)
{
    if (!lane_holds_lock(lane))
        atomic_store(&lane->writing_since_ns, 0);
    else if (atomic_load(&lane->writing_since_ns) == 0)
        atomic_store(&lane->writing_since_ns, started_ns); /* BEGIN IMMEDIATE */
}

/* Ending a write by the progress handler rolls a transaction back whole, so in a stream's it cannot
 * start again on a slow worker: what may be long starts there. */
static bool may_be_long(const struct statement *statement)
{
    return !statement->was_short &&
           (statement->class == STATEMENT_ALONE || sql_has_word(statement->sql, "SELECT") ||
               sql_has_word(statement->sql, "INDEX"));
}

bool execute_snapshot_is_old(struct lane *lane, struct err *ret_err)
{
    sqlite3 *db = connection_db(lane->connection);

    if (sqlite3_txn_state(db, "main") != SQLITE_TXN_READ || !vfs_snapshot_is_old(db))
        return false;
    (void)err_set(ret_err, ERR_BUSY, "database is locked");
    ret_err->native = SQLITE_BUSY_SNAPSHOT;
    return true;
}

enum run_result execute_stream_begins(struct lane *lane, const struct statement *statement,
    unsigned flags, uint64_t started_ns, struct err *ret_err)
{
    bool writes = !sqlite3_stmt_readonly(statement->sqlite);
    bool is_uninterrupted = writes && !sqlite3_get_autocommit(connection_db(lane->connection));

    if (is_uninterrupted && (flags & RUN_SHORT) != 0 && may_be_long(statement))
        return RUN_OUTGREW;
    if (writes && !lane_may_write(lane) && !lane_holds_lock(lane))
        return execute_snapshot_is_old(lane, ret_err) ? RUN_FAILED : RUN_BUSY;
    lane->in_write = is_uninterrupted;
    note_write_begins(lane, statement, started_ns);
    return RUN_OK;
}
