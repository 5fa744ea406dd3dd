/* Foreign keys: what would be broken after the merge and was not before. SQLite checks a whole
 * table at once; tables that neither changed nor refer to one that did are left alone. */
#include <sqlite3.h>

#include "tenants/diff/merge_internal.h"
#include "tenants/diff/values.h"
#include "tenants/sql_error.h"

/* The branch changed something of the table. */
static int is_touched(struct merge *merge, const char *name, bool *ret_touched, struct err *ret_err)
{
    int at = name == NULL ? -1 : diff_find_table(merge->diff, name);

    *ret_touched = at >= 0;
    if (at < 0 || diff_table(merge->diff, (uint32_t)at)->change != DIFF_SAME)
        return 0;
    return diff_is_changed(merge->diff, (uint32_t)at, ret_touched, ret_err);
}

/* A key that fits nothing in the table it refers to: told of if that is new. */
static int put_error(struct merge *merge, const char *table, struct sqlite3_stmt *put,
    const struct err *err, struct err *ret_err)
{
    (void)sqlite3_bind_text(put, 1, table, -1, SQLITE_TRANSIENT);
    (void)sqlite3_bind_null(put, 2);
    (void)sqlite3_bind_text(put, 3, err->msg, -1, SQLITE_TRANSIENT);
    (void)sqlite3_bind_int(put, 4, 0);
    if (sqlite3_step(put) != SQLITE_DONE)
        return sql_err_set(ret_err, merge->scratch, sqlite3_errcode(merge->scratch));
    (void)sqlite3_reset(put);
    return 0;
}

/* Broken references of one table into the scratch table `into`. */
static int check_table(
    struct merge *merge, const char *table, struct sqlite3_stmt *put, struct err *ret_err)
{
    struct sqlite3 *db = merge->options->parent;
    struct sqlite3_stmt *rows = NULL;
    struct err err = ERR_INIT;
    struct buf sql;
    int rc = SQLITE_OK, result = 0;

    buf_init(&sql, 0);
    buf_literal(&sql, "PRAGMA main.foreign_key_check(");
    put_name(&sql, table);
    buf_char(&sql, ')');
    rows = prepare_buf(db, &sql, ret_err);
    buf_fini(&sql);
    if (rows == NULL)
        return -1;
    while (result == 0 && (rc = sqlite3_step(rows)) == SQLITE_ROW) {
        for (int i = 0; i < 4; i++) {
            struct value value = cell_value(rows, i);

            bind_cell(put, i + 1, &value);
        }
        if (sqlite3_step(put) != SQLITE_DONE)
            result = sql_err_set(ret_err, merge->scratch, sqlite3_errcode(merge->scratch));
        (void)sqlite3_reset(put);
        if (result == 0)
            result = diff_step(merge->diff, ret_err);
    }
    if (result == 0 && rc != SQLITE_DONE) {
        (void)sql_err_set(&err, db, rc);
        result = err.code == ERR_SQL ? put_error(merge, table, put, &err, ret_err)
                                     : sql_err_set(ret_err, db, rc);
    }
    (void)sqlite3_finalize(rows);
    return result;
}

/* `names` gives tables, and what they refer to, in order. */
static int check_tables(
    struct merge *merge, struct sqlite3_stmt *names, struct sqlite3_stmt *put, struct err *ret_err)
{
    const char *last = "";
    int rc;

    while ((rc = sqlite3_step(names)) == SQLITE_ROW) {
        const char *table = (const char *)sqlite3_column_text(names, 0);
        bool touched;

        if (table == NULL || strcmp(last, table) == 0)
            continue;
        if (is_touched(merge, table, &touched, ret_err) < 0 ||
            (!touched && is_touched(merge, (const char *)sqlite3_column_text(names, 1), &touched,
                             ret_err) < 0))
            return -1;
        if (!touched)
            continue;
        last = arena_cstr(&merge->arena, str_from(table));
        if (last == NULL)
            return diff_no_room(ret_err);
        if (check_table(merge, last, put, ret_err) < 0)
            return -1;
    }
    return rc == SQLITE_DONE ? 0 : sql_err_set(ret_err, merge->options->parent, rc);
}

/* Into `into`(t, r, p, f): table, rowid, the table it refers to, number of the key. */
static int check_all(struct merge *merge, const char *into, struct err *ret_err)
{
    struct sqlite3_stmt *names = NULL, *put = NULL;
    struct buf sql;
    int rc;

    buf_init(&sql, 0);
    buf_printf(&sql, "CREATE TABLE %s(t, r, p, f)", into);
    rc = run_buf(merge->scratch, &sql, ret_err);
    buf_fini(&sql);
    if (rc < 0)
        return -1;
    buf_init(&sql, 0);
    buf_printf(&sql, "INSERT INTO %s VALUES (?1, ?2, ?3, ?4)", into);
    put = prepare_buf(merge->scratch, &sql, ret_err);
    buf_fini(&sql);
    if (put != NULL) {
        buf_literal(&sql, "SELECT s.name, k.\"table\" FROM main.sqlite_schema AS s, "
                          "pragma_foreign_key_list(s.name, 'main') AS k WHERE s.type = 'table' "
                          "ORDER BY s.name");
        names = prepare_buf(merge->options->parent, &sql, ret_err);
        buf_fini(&sql);
    }
    rc = names == NULL ? -1 : check_tables(merge, names, put, ret_err);
    (void)sqlite3_finalize(names);
    (void)sqlite3_finalize(put);
    return rc;
}

int merge_keys_before(struct merge *merge, struct err *ret_err)
{
    return check_all(merge, "f0", ret_err);
}

static int tell(struct merge *merge, struct sqlite3_stmt *row, struct err *ret_err)
{
    static const char *const by_rowid[] = {"rowid"};
    char message[300];
    struct value key = cell_value(row, 1);
    struct merge_conflict conflict = {.kind = MERGE_FOREIGN_KEY,
        .table = (const char *)sqlite3_column_text(row, 0),
        .key = by_rowid,
        .key_values = &key,
        .key_count = key.type == VALUE_NULL ? 0 : 1,
        .message = message};

    (void)sqlite3_snprintf((int)sizeof(message), message, "it would refer to no row of '%s'",
        sqlite3_column_text(row, 2));
    merge->has_fk_conflict = true;
    return merge_tell(merge, &conflict, ret_err);
}

/* Rows of tables WITHOUT ROWID are not told apart: for those their number counts. */
int merge_keys_after(struct merge *merge, struct err *ret_err)
{
    struct sqlite3_stmt *rows = NULL;
    int rc, result = 0;

    if (check_all(merge, "f1", ret_err) < 0)
        return -1;
    if (sqlite3_prepare_v2(merge->scratch,
            "SELECT t, r, p FROM f1 WHERE r IS NOT NULL EXCEPT SELECT t, r, p FROM f0 UNION ALL "
            "SELECT t, NULL, p FROM f1 WHERE r IS NULL GROUP BY t, p HAVING count(*) > (SELECT "
            "count(*) FROM f0 WHERE f0.t = f1.t AND f0.p = f1.p AND f0.r IS NULL)",
            -1, &rows, NULL) != SQLITE_OK)
        return sql_err_set(ret_err, merge->scratch, sqlite3_errcode(merge->scratch));
    while (result == 0 && (rc = sqlite3_step(rows)) == SQLITE_ROW)
        result = tell(merge, rows, ret_err);
    if (result == 0 && rc != SQLITE_DONE)
        result = sql_err_set(ret_err, merge->scratch, rc);
    (void)sqlite3_finalize(rows);
    return result;
}
