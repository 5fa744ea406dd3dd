#include "tenants/descriptions.h"

#include <sqlite3.h>

#include "tenants/sql_error.h"

static int bind(sqlite3_stmt *stmt, int at, struct str text)
{
    return sqlite3_bind_text64(
        stmt, at, text.len == 0 ? "" : text.ptr, text.len, SQLITE_STATIC, SQLITE_UTF8);
}

static int table_exists(struct sqlite3 *db, bool *ret_exists, struct err *ret_err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db,
        "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_rookery_descriptions'", -1,
        &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    *ret_exists = rc == SQLITE_ROW;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        (void)sql_err_set(ret_err, db, rc);
    (void)sqlite3_finalize(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

static struct str column_text(sqlite3_stmt *stmt, int at, struct arena *arena)
{
    return arena_str(arena, str_make((const char *)sqlite3_column_text(stmt, at),
                                (size_t)sqlite3_column_bytes(stmt, at)));
}

int descriptions_read(struct sqlite3 *db, struct arena *arena,
    const struct description **ret_descriptions, size_t *ret_count, struct err *ret_err)
{
    struct description *items = NULL;
    sqlite3_stmt *stmt = NULL;
    size_t capacity = 0;
    size_t count = 0;
    bool exists;
    int rc;

    *ret_descriptions = NULL;
    *ret_count = 0;
    if (table_exists(db, &exists, ret_err) < 0)
        return -1;
    if (!exists)
        return 0;
    rc = sqlite3_prepare_v2(db,
        "SELECT tbl, col, description FROM _rookery_descriptions ORDER BY tbl, col", -1, &stmt,
        NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW)
            break;
        if (count == capacity) {
            struct description *larger;

            capacity = capacity == 0 ? 16 : capacity * 2;
            larger = arena_array(arena, capacity, sizeof(*larger));
            if (larger == NULL)
                break;
            if (count > 0)
                memcpy(larger, items, count * sizeof(*larger));
            items = larger;
        }
        items[count++] = (struct description){.table = column_text(stmt, 0, arena),
            .column = column_text(stmt, 1, arena),
            .text = column_text(stmt, 2, arena)};
    }
    if (arena_overflowed(arena))
        (void)err_set(ret_err, ERR_TOO_LARGE, "the descriptions need too much memory");
    else if (rc != SQLITE_DONE)
        (void)sql_err_set(ret_err, db, rc);
    (void)sqlite3_finalize(stmt);
    if (rc != SQLITE_DONE || arena_overflowed(arena))
        return -1;
    *ret_descriptions = items;
    *ret_count = count;
    return 0;
}

static int write_one(sqlite3_stmt *put, sqlite3_stmt *drop, const struct description *item)
{
    sqlite3_stmt *stmt = item->text.len == 0 ? drop : put;
    int rc = bind(stmt, 1, item->table);

    if (rc == SQLITE_OK)
        rc = bind(stmt, 2, item->column);
    if (rc == SQLITE_OK && stmt == put)
        rc = bind(stmt, 3, item->text);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    (void)sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int descriptions_write(
    struct sqlite3 *db, const struct description *descriptions, size_t count, struct err *ret_err)
{
    static const char make[] = "CREATE TABLE IF NOT EXISTS " DESCRIPTIONS_TABLE;
    sqlite3_stmt *put = NULL;
    sqlite3_stmt *drop = NULL;
    int rc = sqlite3_exec(db, make, NULL, NULL, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(
            db, "INSERT OR REPLACE INTO _rookery_descriptions VALUES(?, ?, ?)", -1, &put, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(
            db, "DELETE FROM _rookery_descriptions WHERE tbl = ? AND col = ?", -1, &drop, NULL);
    for (size_t i = 0; rc == SQLITE_OK && i < count; i++)
        rc = write_one(put, drop, &descriptions[i]);
    if (rc != SQLITE_OK)
        (void)sql_err_set(ret_err, db, rc);
    (void)sqlite3_finalize(put);
    (void)sqlite3_finalize(drop);
    return rc == SQLITE_OK ? 0 : -1;
}

struct str descriptions_find(
    const struct description *descriptions, size_t count, struct str table, struct str column)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal_nocase(descriptions[i].table, table) &&
            str_equal_nocase(descriptions[i].column, column))
            return descriptions[i].text;
    }
    return str_make(NULL, 0);
}
