/* Rows of snapshots, and what a start finds half done. */
#include <sqlite3.h>
#include <stdio.h>

#include "tenants/catalogue_store.h"

#define SNAPSHOT_COLUMNS "s.id, s.public_id, s.label, s.reason, s.created_at, s.database_id"

static void read_snapshot(
    const struct store *store, struct sqlite3_stmt *statement, struct snapshot_info *info)
{
    *info = (struct snapshot_info){
        .number = (uint64_t)sqlite3_column_int64(statement, 0),
        .id = store_text(store, statement, 1),
        .label = store_text(store, statement, 2),
        .reason = store_text(store, statement, 3),
        .created_wall_ms = sqlite3_column_int64(statement, 4),
    };
}

/* Of the database itself; for a branch of it, its parent's will do. */
int store_snapshot_find(const struct store *store, uint64_t tenant_id, uint64_t database_id,
    struct str id, struct snapshot_info *ret_info, struct str *ret_name, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    if (store_query(store, &statement, ret_err,
            "SELECT " SNAPSHOT_COLUMNS " FROM snapshots s JOIN databases d ON d.id = s.database_id"
            " WHERE s.public_id = ?1 AND s.pending = 0 AND d.tenant_id = ?2 AND s.database_id = ?3",
            "sii", id, (int64_t)tenant_id, (int64_t)database_id) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row < 0)
        return -1;
    if (row == 0)
        return err_set(ret_err, ERR_NOT_FOUND, "there is no snapshot '%.*s'",
            (int)MIN(id.len, (size_t)PUBLIC_ID_BYTES), id.ptr);
    read_snapshot(store, statement, ret_info);
    *ret_name = str_from(arena_printf(store->arena, "d%lld.%.*s",
        (long long)sqlite3_column_int64(statement, 5), STR_ARGS(ret_info->id)));
    return store_finish(store, ret_err);
}

int store_snapshot_forget(const struct store *store, struct str id, struct err *ret_err)
{
    return store_run(store, ret_err, "DELETE FROM snapshots WHERE public_id = ?1", "s", id);
}

int store_snapshot_list(const struct store *store, const struct branch_list_input *input,
    struct snapshot_list *ret_list, struct err *ret_err)
{
    unsigned size = store_page_size(&input->page);
    struct snapshot_info *items = arena_array(store->arena, size, sizeof(*items));
    struct snapshot_list list = {.items = items};
    STORE_STATEMENT statement = NULL;
    uint64_t before = INT64_MAX;
    int row;

    if (items == NULL)
        return store_finish(store, ret_err);
    if (input->page.cursor.len > 0 && str_to_u64(input->page.cursor, &before) < 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "the cursor is not one of this list");
    if (store_query(store, &statement, ret_err,
            "SELECT " SNAPSHOT_COLUMNS
            " FROM snapshots s WHERE s.database_id = ?1 AND s.pending = 0"
            " AND s.id < ?2 ORDER BY s.id DESC",
            "ii", (int64_t)input->database_id, (int64_t)MIN(before, (uint64_t)INT64_MAX)) < 0)
        return -1;
    while ((row = store_step(store, statement, ret_err)) > 0) {
        if (list.count == size) {
            list.next_cursor = str_from(
                arena_printf(store->arena, "%llu", (unsigned long long)items[size - 1].number));
            break;
        }
        read_snapshot(store, statement, &items[list.count++]);
    }
    if (row < 0 || store_finish(store, ret_err) < 0)
        return -1;
    *ret_list = list;
    return 0;
}

/* ---- what a start finds ---- */

int store_pending_list(const struct store *store, struct store_pending *rows, size_t max,
    size_t *ret_count, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row = 0;

    *ret_count = 0;
    if (store_query(store, &statement, ret_err,
            "SELECT d.id, d.pending, s.public_id, 'd' || d.id || '.' || s.public_id"
            " FROM databases d LEFT JOIN snapshots s ON s.database_id = d.id AND s.pending > 0"
            " WHERE d.pending <> '' OR s.id > 0 ORDER BY d.id LIMIT ?1",
            "i", (int64_t)max) < 0)
        return -1;
    while (*ret_count < max && (row = store_step(store, statement, ret_err)) > 0) {
        struct store_pending *pending = &rows[(*ret_count)++];

        (void)snprintf(pending->head_id, sizeof(pending->head_id), "%s",
            (const char *)sqlite3_column_text(statement, 1));
        pending->snapshot_id = store_text(store, statement, 2);
        pending->snapshot = store_text(store, statement, 3);
        if (store_database_row(
                store, (uint64_t)sqlite3_column_int64(statement, 0), &pending->row, ret_err) < 0)
            return -1;
    }
    return row < 0 ? -1 : 0;
}

int store_pending_settle(const struct store *store, const struct store_pending *pending,
    const char *head_id, bool kept, struct err *ret_err)
{
    int64_t id = (int64_t)pending->row.database.id;

    if (head_id[0] == '\0') {
        if (store_run(store, ret_err,
                "UPDATE databases SET deleted_at = ?2, purging = 1, pending = '' WHERE id = ?1",
                "ii", id, store->now_wall_ms) < 0)
            return -1;
    } else if (store_run(store, ret_err,
                   "UPDATE databases SET head_id = ?2, pending = '' WHERE id = ?1", "is", id,
                   str_from(head_id)) < 0) {
        return -1;
    }
    if (pending->snapshot_id.ptr == NULL)
        return 0;
    return kept ? store_run(store, ret_err, "UPDATE snapshots SET pending = 0 WHERE public_id = ?1",
                      "s", pending->snapshot_id)
                : store_snapshot_forget(store, pending->snapshot_id, ret_err);
}
