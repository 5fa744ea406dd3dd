#include "tenants/connection.h"

#include <sqlite3.h>

#include "tenants/base/check.h"
#include "tenants/base/mem.h"
#include "tenants/connection_state.h"
#include "tenants/request.h"
#include "tenants/sql_error.h"

void connection_close(struct connection *connection)
{
    if (connection == NULL)
        return;
    while (!list_empty(&connection->running)) {
        struct cached_statement *entry =
            LIST_FIRST(&connection->running, struct cached_statement, running);

        connection_release(connection, &entry->statement);
    }
    statement_cache_fini(&connection->cache);
    mem_free(connection->suspects.names);
    if (connection->db != NULL) {
        int rc = sqlite3_close(connection->db);

        CHECK(rc == SQLITE_OK); /* somebody's own statement is left open */
    }
    mem_free(connection);
}

struct sqlite3 *connection_db(struct connection *connection)
{
    return connection->db;
}

unsigned connection_page_bytes(const struct connection *connection)
{
    return connection->page_bytes;
}

void connection_set_context(struct connection *connection, const struct connection_context *context)
{
    connection->context = *context;
}

bool connection_refusal(struct connection *connection, struct err *ret_err)
{
    if (connection->refusal.code == ERR_NONE)
        return false;
    err_copy(ret_err, &connection->refusal);
    connection->refusal.code = ERR_NONE;
    return true;
}

bool connection_would_prepare(struct connection *connection)
{
    bool would = connection->would_prepare;

    connection->would_prepare = false;
    return would;
}

void connection_flush(struct connection *connection)
{
    statement_cache_clear(&connection->cache);
    LIST_FOREACH(it, &connection->running)
    LIST_ENTRY(it, struct cached_statement, running)->keep = false;
}

static int drop_temp(struct connection *connection, struct err *ret_err)
{
    for (;;) {
        struct sqlite3_stmt *statement = NULL;
        char *sql = NULL;
        int rc = sqlite3_prepare_v2(connection->db,
            "SELECT format('DROP %s temp.\"%w\"', type, name) FROM sqlite_temp_schema WHERE type "
            "IN "
            "('table', 'view', 'trigger') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
            "ORDER BY type = 'table', sql LIKE 'CREATE VIRTUAL%' DESC LIMIT 1",
            -1, &statement, NULL);

        if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW)
            sql = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0));
        (void)sqlite3_finalize(statement);
        if (rc == SQLITE_DONE)
            return 0;
        if (rc != SQLITE_ROW)
            return sql_err_set(ret_err, connection->db, rc);
        rc = connection_run(connection, sql == NULL ? "" : sql, ret_err);
        sqlite3_free(sql);
        if (sql == NULL)
            return err_set(ret_err, ERR_NOMEM, "no memory to drop temporary objects");
        if (rc < 0)
            return -1;
    }
}

static int put_settings_back(struct connection *connection, struct err *ret_err)
{
    (void)sqlite3_db_config(
        connection->db, SQLITE_DBCONFIG_ENABLE_FKEY, connection->foreign_keys ? 1 : 0, NULL);
    return connection_run(connection,
        "PRAGMA defer_foreign_keys=OFF; PRAGMA recursive_triggers=OFF; PRAGMA analysis_limit=0",
        ret_err);
}

int connection_reset(struct connection *connection, struct err *ret_err)
{
    bool before;
    int result = 0;

    while (!list_empty(&connection->running)) {
        struct cached_statement *entry =
            LIST_FIRST(&connection->running, struct cached_statement, running);

        connection_release(connection, &entry->statement);
    }
    connection_set_counts(connection, &(struct session_counts){.insert_rowid = 0});
    connection->refusal.code = ERR_NONE;
    if (connection->dirty == 0)
        return 0;
    before = connection_enter_engine(connection);
    if ((connection->dirty & DIRTY_SETTINGS) != 0)
        result = put_settings_back(connection, ret_err);
    if (result == 0 && (connection->dirty & DIRTY_TEMP) != 0)
        result = drop_temp(connection, ret_err);
    connection->context.engine = before;
    if (result == 0)
        connection->dirty = 0;
    return result;
}

void connection_set_counts(struct connection *connection, const struct session_counts *counts)
{
    sqlite3_set_last_insert_rowid(connection->db, counts->insert_rowid);
    connection->changes_before = sqlite3_total_changes64(connection->db);
    connection->changes_first = counts->changes;
    connection->changes_offset = counts->total_changes;
    connection->has_changed = false;
}

void connection_get_counts(const struct connection *connection, struct session_counts *ret_counts)
{
    *ret_counts = (struct session_counts){
        .insert_rowid = sqlite3_last_insert_rowid(connection->db),
        .changes = connection_changes(connection),
        .total_changes = connection_total_changes(connection),
    };
}

void connection_note_change(struct connection *connection)
{
    connection->has_changed = true;
}

bool connection_has_state(const struct connection *connection)
{
    return connection->dirty != 0;
}

uint64_t connection_memory(struct connection *connection)
{
    static const int parts[] = {
        SQLITE_DBSTATUS_CACHE_USED, SQLITE_DBSTATUS_SCHEMA_USED, SQLITE_DBSTATUS_STMT_USED};
    uint64_t bytes = sizeof(*connection) + LOOKASIDE_BYTES * LOOKASIDE_SLOTS;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        int now = 0;
        int peak = 0;

        if (sqlite3_db_status(connection->db, parts[i], &now, &peak, 0) == SQLITE_OK)
            bytes += (uint64_t)now;
    }
    return bytes;
}

void connection_shrink(struct connection *connection)
{
    (void)sqlite3_db_release_memory(connection->db);
}
