/* What time does to the catalogue: expiry, purging, usage. */
#include <sqlite3.h>

#include "tenants/catalogue_store.h"

static int collect(const struct store *store, struct sqlite3_stmt *ids, size_t max,
    struct store_database_rows *rows, struct err *ret_err)
{
    int row = 0;

    rows->count = 0;
    rows->rows = arena_array(store->arena, max, sizeof(*rows->rows));
    if (rows->rows == NULL)
        return store_finish(store, ret_err);
    while (rows->count < max && (row = store_step(store, ids, ret_err)) > 0) {
        if (store_database_row(store, (uint64_t)sqlite3_column_int64(ids, 0),
                &rows->rows[rows->count], ret_err) < 0)
            return -1;
        rows->count++;
    }
    return row < 0 ? -1 : store_finish(store, ret_err);
}

int store_expire(const struct store *store, size_t max, struct store_database_rows *ret_rows,
    struct err *ret_err)
{
    STORE_STATEMENT ids = NULL;

    if (store_query(store, &ids, ret_err,
            "SELECT id FROM databases WHERE deleted_at = 0 AND expires_at > 0"
            " AND expires_at <= ?1 AND protected = 0 AND pending = ''"
            " ORDER BY expires_at LIMIT ?2",
            "ii", store->now_wall_ms, (int64_t)max) < 0 ||
        collect(store, ids, max, ret_rows, ret_err) < 0)
        return -1;
    for (size_t i = 0; i < ret_rows->count; i++) {
        if (store_run(store, ret_err,
                "UPDATE databases SET deleted_at = ?2, updated_at = ?2,"
                " purging = iif(id = ?1 AND root_id > 0, 1, purging)"
                " WHERE deleted_at = 0 AND (id = ?1 OR root_id = ?1)",
                "ii", (int64_t)ret_rows->rows[i].database.id, store->now_wall_ms) < 0)
            return -1;
    }
    return 0;
}

/* Databases of tenants whose grace period is over become deleted ones whose grace period is over,
 * so many at a time. */
static int doom_databases(const struct store *store, size_t max, struct err *ret_err)
{
    int64_t before = store->now_wall_ms - store->options->delete_grace_ms;

    if (store_run(store, ret_err,
            "UPDATE tenants SET purging = 1 WHERE deleted_at > 0 AND purging = 0"
            " AND deleted_at <= ?1",
            "i", before) < 0)
        return -1;
    return store_run(store, ret_err,
        "UPDATE databases SET deleted_at = min(?1, iif(deleted_at = 0, ?1, deleted_at))"
        " WHERE id IN (SELECT d.id FROM tenants t JOIN databases d ON d.tenant_id = t.id"
        "   AND d.deleted_at = 0 WHERE t.deleted_at > 0 AND t.purging = 1 LIMIT ?2)"
        " OR id IN (SELECT d.id FROM tenants t JOIN databases d ON d.tenant_id = t.id"
        "   AND d.deleted_at > ?1 WHERE t.deleted_at > 0 AND t.purging = 1 LIMIT ?2)",
        "ii", MAX(before, (int64_t)1), (int64_t)max);
}

int store_purge_pick(const struct store *store, size_t max, struct store_database_rows *ret_rows,
    struct err *ret_err)
{
    STORE_STATEMENT ids = NULL;

    if (doom_databases(store, max, ret_err) < 0 ||
        store_query(store, &ids, ret_err,
            "SELECT id FROM databases d WHERE deleted_at > 0 AND ((purging = 0 AND deleted_at <= "
            "?1)"
            " OR purging = 1) AND NOT EXISTS (SELECT 1 FROM databases b WHERE b.root_id = d.id)"
            " ORDER BY purging, deleted_at LIMIT ?2",
            "ii", store->now_wall_ms - store->options->delete_grace_ms, (int64_t)max) < 0 ||
        collect(store, ids, max, ret_rows, ret_err) < 0)
        return -1;
    for (size_t i = 0; i < ret_rows->count; i++) {
        if (store_run(store, ret_err, "UPDATE databases SET purging = 1 WHERE id = ?1", "i",
                (int64_t)ret_rows->rows[i].database.id) < 0)
            return -1;
    }
    return 0;
}

int store_purge_databases(
    const struct store *store, const uint64_t *database_ids, size_t count, struct err *ret_err)
{
    for (size_t i = 0; i < count; i++) {
        if (store_run(store, ret_err, "DELETE FROM databases WHERE id = ?1 AND purging = 1", "i",
                (int64_t)database_ids[i]) < 0)
            return -1;
    }
    return 0;
}

int store_purge_rest(const struct store *store, struct err *ret_err)
{
    STORE_STATEMENT tenants = NULL;
    int64_t gone[100];
    size_t count = 0;
    int row = 0;

    if (store_run(store, ret_err, "DELETE FROM tokens WHERE revoked_at > 0 AND revoked_at <= ?1",
            "i", store->now_wall_ms - TOKEN_KEEP_MS) < 0 ||
        store_run(store, ret_err, "DELETE FROM tokens WHERE expires_at > 0 AND expires_at <= ?1",
            "i", store->now_wall_ms - TOKEN_KEEP_MS) < 0 ||
        store_query(store, &tenants, ret_err,
            "SELECT id FROM tenants t WHERE deleted_at > 0 AND purging = 1 AND NOT EXISTS"
            " (SELECT 1 FROM databases d WHERE d.tenant_id = t.id AND d.deleted_at = 0)"
            " AND NOT EXISTS"
            " (SELECT 1 FROM databases d WHERE d.tenant_id = t.id AND d.deleted_at > 0)"
            " ORDER BY id",
            "") < 0)
        return -1;
    while (count < ARRAY_LEN(gone) && (row = store_step(store, tenants, ret_err)) > 0)
        gone[count++] = sqlite3_column_int64(tenants, 0);
    store_end(&tenants);
    for (size_t i = 0; row >= 0 && i < count; i++) {
        if (store_run(store, ret_err, "DELETE FROM tokens WHERE tenant_id = ?1", "i", gone[i]) <
                0 ||
            store_run(store, ret_err, "DELETE FROM settings WHERE scope = ?2 AND owner_id = ?1",
                "ii", gone[i], (int64_t)SETTING_TENANT) < 0 ||
            store_run(store, ret_err, "DELETE FROM tenants WHERE id = ?1", "i", gone[i]) < 0)
            return -1;
    }
    return row < 0 ? -1 : 0;
}

int store_usage_add(
    const struct store *store, const struct usage_delta *deltas, size_t count, struct err *ret_err)
{
    STORE_STATEMENT add = NULL;

    if (store_query(store, &add, ret_err,
            "INSERT INTO usage(database_id, requests, rows_read, rows_written, bytes, wal_bytes,"
            " last_used_at) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7"
            " WHERE EXISTS (SELECT 1 FROM databases WHERE id = ?1)"
            " ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,"
            " rows_read = rows_read + excluded.rows_read,"
            " rows_written = rows_written + excluded.rows_written,"
            " bytes = iif(?8, excluded.bytes, bytes),"
            " wal_bytes = iif(?8, excluded.wal_bytes, wal_bytes),"
            " last_used_at = max(last_used_at, excluded.last_used_at)",
            "") < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct usage_totals *totals = &deltas[i].totals;

        if (store_bind(store, add, ret_err, "iiiiiiii", (int64_t)deltas[i].database_id,
                (int64_t)totals->requests, (int64_t)totals->rows_read,
                (int64_t)totals->rows_written, (int64_t)totals->bytes, (int64_t)totals->wal_bytes,
                totals->last_used_wall_ms, (int64_t)totals->has_size) < 0 ||
            store_step(store, add, ret_err) < 0)
            return -1;
    }
    return 0;
}

int store_family_is_reserved(
    const struct store *store, struct str family_id, bool *ret_is, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    if (store_query(store, &statement, ret_err,
            "SELECT 1 FROM databases WHERE family_id = ?1 AND state = ?2", "si", family_id,
            (int64_t)DATABASE_RESERVED) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    *ret_is = row > 0;
    return row < 0 ? -1 : 0;
}

int store_figures(
    const struct store *store, struct catalogue_figures *ret_figures, struct err *ret_err)
{
    STORE_STATEMENT figures = NULL;

    if (store_query(store, &figures, ret_err,
            "SELECT count(*), coalesce(sum(database_count), 0),"
            " (SELECT count(*) FROM databases WHERE deleted_at > 0),"
            " (SELECT count(*) FROM tokens WHERE revoked_at = 0) FROM tenants WHERE deleted_at = 0",
            "") < 0 ||
        store_step(store, figures, ret_err) < 0)
        return -1;
    ret_figures->tenants = (uint64_t)sqlite3_column_int64(figures, 0);
    ret_figures->databases = (uint64_t)sqlite3_column_int64(figures, 1);
    ret_figures->databases_deleted = (uint64_t)sqlite3_column_int64(figures, 2);
    ret_figures->tokens = (uint64_t)sqlite3_column_int64(figures, 3);
    return 0;
}
