/* Two databases compared the slow way, for tests of diffs: every row of every table, by key. One
 * program, one thread. */
#ifndef TESTS_LIB_DIFFED_H
#define TESTS_LIB_DIFFED_H

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/base/buf.h"
#include "tenants/diff/diff.h"

/* The value as SQL, told from others of the same look. */
__attribute__((unused)) static void diffed_put(struct buf *out, const struct value *value)
{
    char *text;

    switch (value->type) {
    case VALUE_NULL:
        buf_literal(out, "NULL,");
        break;
    case VALUE_INTEGER:
        buf_printf(out, "%lld,", (long long)value->integer);
        break;
    case VALUE_REAL:
        buf_printf(out, "r%.17g,", value->real);
        break;
    case VALUE_TEXT:
        text = sqlite3_mprintf("'%.*q',", (int)value->bytes.len, value->bytes.ptr);
        buf_cstr(out, text);
        sqlite3_free(text);
        break;
    case VALUE_BLOB:
        buf_literal(out, "x");
        for (size_t i = 0; i < value->bytes.len; i++)
            buf_printf(out, "%02x", (unsigned char)value->bytes.ptr[i]);
        buf_literal(out, ",");
        break;
    }
}

__attribute__((unused)) static struct value diffed_value(sqlite3_stmt *row, int column)
{
    static const enum value_type types[] = {[SQLITE_INTEGER] = VALUE_INTEGER,
        [SQLITE_FLOAT] = VALUE_REAL,
        [SQLITE_TEXT] = VALUE_TEXT,
        [SQLITE_BLOB] = VALUE_BLOB,
        [SQLITE_NULL] = VALUE_NULL};
    struct value value = {.type = types[sqlite3_column_type(row, column)]};

    if (value.type == VALUE_INTEGER)
        value.integer = sqlite3_column_int64(row, column);
    else if (value.type == VALUE_REAL)
        value.real = sqlite3_column_double(row, column);
    else if (value.type != VALUE_NULL) {
        value.bytes.ptr = sqlite3_column_blob(row, column);
        value.bytes.len = (size_t)sqlite3_column_bytes(row, column);
    }
    return value;
}

/* What tells rows apart, and what they hold: of a table of the test. */
struct diffed_table {
    const char *name;
    const char *key; /* SQL: columns */
    int key_count;
    bool nullable;       /* a key with NULL has the rowid behind it */
    const char *collate; /* of the key */
};

__attribute__((unused)) static void diffed_run(sqlite3 *db, const char *sql)
{
    char *why = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
        (void)printf("# %s: %s\n", sql, why);
        abort();
    }
}

/* Rows of one side into `model`, table `into`(k, v). */
__attribute__((unused)) static void diffed_load(
    sqlite3 *model, sqlite3 *db, const struct diffed_table *table, const char *into)
{
    sqlite3_stmt *rows = NULL, *put = NULL;
    char *sql = sqlite3_mprintf(
        "SELECT %s, %s, * FROM \"%w\"", table->nullable ? "rowid" : "0", table->key, table->name);
    char *insert = sqlite3_mprintf("INSERT INTO %s VALUES (?1, ?2)", into);

    if (sqlite3_prepare_v2(db, sql, -1, &rows, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(model, insert, -1, &put, NULL) == SQLITE_OK)
        while (sqlite3_step(rows) == SQLITE_ROW) {
            struct buf key = {.bytes = NULL}, row = {.bytes = NULL};
            bool has_null = false;

            for (int i = 1; i <= table->key_count; i++) {
                struct value value = diffed_value(rows, i);

                diffed_put(&key, &value);
                has_null = has_null || value.type == VALUE_NULL;
            }
            if (table->nullable && has_null)
                buf_printf(&key, "#%lld", (long long)sqlite3_column_int64(rows, 0));
            for (int i = 1 + table->key_count; i < sqlite3_column_count(rows); i++) {
                struct value value = diffed_value(rows, i);

                diffed_put(&row, &value);
            }
            (void)sqlite3_bind_text(put, 1, key.bytes, (int)key.len, SQLITE_TRANSIENT);
            (void)sqlite3_bind_text(put, 2, row.bytes, (int)row.len, SQLITE_TRANSIENT);
            if (sqlite3_step(put) != SQLITE_DONE) {
                (void)printf("# model: %s: %s\n", sqlite3_errmsg(model), key.bytes);
                abort();
            }
            (void)sqlite3_reset(put);
            buf_fini(&key);
            buf_fini(&row);
        }
    (void)sqlite3_finalize(rows);
    (void)sqlite3_finalize(put);
    sqlite3_free(sql);
    sqlite3_free(insert);
}

struct diffed_sink {
    sqlite3 *model;
    const struct diffed_table *table;
    uint32_t columns_before, columns_after;
    struct value last[8];
    char *held[8]; /* bytes of `last` */
    int64_t last_rowid;
    unsigned rows;
};

__attribute__((unused)) static void diffed_hold(
    struct diffed_sink *sink, const struct value *key, int count)
{
    for (int i = 0; i < count; i++) {
        free(sink->held[i]);
        sink->held[i] = NULL;
        sink->last[i] = key[i];
        if (key[i].type >= VALUE_TEXT) {
            sink->held[i] = malloc(key[i].bytes.len + 1);
            if (key[i].bytes.len > 0)
                memcpy(sink->held[i], key[i].bytes.ptr, key[i].bytes.len);
            sink->last[i].bytes.ptr = sink->held[i];
        }
    }
}

__attribute__((unused)) static int diffed_on_row(
    void *context, const struct diff_row *row, struct err *ret_err)
{
    struct diffed_sink *sink = context;
    struct buf key = {.bytes = NULL}, before = {.bytes = NULL}, after = {.bytes = NULL};
    sqlite3_stmt *put = NULL;
    bool has_null = false;

    for (int i = 0; i < sink->table->key_count; i++) {
        diffed_put(&key, &row->key[i]);
        has_null = has_null || row->key[i].type == VALUE_NULL;
    }
    if (sink->table->nullable && has_null)
        buf_printf(
            &key, "#%lld", (long long)(row->before != NULL ? row->rowid_before : row->rowid_after));
    for (uint32_t i = 0; row->before != NULL && i < sink->columns_before; i++)
        diffed_put(&before, &row->before[i]);
    for (uint32_t i = 0; row->after != NULL && i < sink->columns_after; i++)
        diffed_put(&after, &row->after[i]);
    (void)sqlite3_prepare_v2(
        sink->model, "INSERT INTO got VALUES (?1, ?2, ?3, ?4)", -1, &put, NULL);
    (void)sqlite3_bind_int(put, 1, (int)row->change);
    (void)sqlite3_bind_text(put, 2, key.bytes, (int)key.len, SQLITE_TRANSIENT);
    if (row->before != NULL)
        (void)sqlite3_bind_text(put, 3, before.bytes, (int)before.len, SQLITE_TRANSIENT);
    if (row->after != NULL)
        (void)sqlite3_bind_text(put, 4, after.bytes, (int)after.len, SQLITE_TRANSIENT);
    (void)sqlite3_step(put);
    (void)sqlite3_finalize(put);
    buf_fini(&key);
    buf_fini(&before);
    buf_fini(&after);
    diffed_hold(sink, row->key, sink->table->key_count);
    sink->last_rowid = row->before != NULL ? row->rowid_before : row->rowid_after;
    sink->rows++;
    return 0;
}

/* `page` rows at a time, 0: all at once. */
__attribute__((unused)) static bool diffed_collect(
    struct diff *diff, uint32_t index, struct diffed_sink *sink, uint64_t page, struct err *err)
{
    struct diff_range range = {.limit = page};
    bool more = true, right = true;

    while (more && right) {
        sink->rows = 0;
        right = diff_rows(diff, index, &range, diffed_on_row, sink, &more, err) == 0 &&
                (!more || sink->rows == page);
        range.after = sink->last;
        range.after_rowid = sink->last_rowid;
    }
    for (size_t i = 0; i < 8; i++)
        free(sink->held[i]);
    return right;
}

/* Number of rows of a query of the model's, whose first one is printed. */
__attribute__((unused)) static int diffed_wrong(
    sqlite3 *model, const char *what, const char *table, const char *sql)
{
    sqlite3_stmt *rows = NULL;
    int count = 0;

    (void)sqlite3_prepare_v2(model, sql, -1, &rows, NULL);
    while (sqlite3_step(rows) == SQLITE_ROW)
        if (count++ == 0)
            (void)printf("# %s of %s: change %s key %.60s before %.80s after %.80s\n", what, table,
                (const char *)sqlite3_column_text(rows, 0),
                (const char *)sqlite3_column_text(rows, 1),
                (const char *)sqlite3_column_text(rows, 2),
                (const char *)sqlite3_column_text(rows, 3));
    (void)sqlite3_finalize(rows);
    return count;
}

#define DIFFED_WANT                                                                                \
    "SELECT CASE WHEN b.k IS NULL THEN 1 WHEN a.k IS NULL THEN 3 ELSE 2 END AS c, "                \
    "coalesce(b.k, a.k) AS k, b.v AS v, a.v AS w FROM before AS b FULL JOIN after AS a "           \
    "ON a.k = b.k WHERE a.v IS NOT b.v"

/* The diff's rows of a table are those that differ, and its counts count them. Both sides have the
 * same columns. */
__attribute__((unused)) static bool diffed_table_is_right(struct diff *diff, sqlite3 *before,
    sqlite3 *after, const struct diffed_table *table, uint64_t page, struct err *err)
{
    int index = diff_find_table(diff, table->name);
    struct diffed_sink sink = {.table = table};
    struct diff_counts counts;
    char *sql;
    int wrong = 0;

    if (index < 0)
        return true;
    sink.columns_before = diff_table(diff, (uint32_t)index)->column_count_before;
    sink.columns_after = diff_table(diff, (uint32_t)index)->column_count_after;
    (void)sqlite3_open(":memory:", &sink.model);
    sql = sqlite3_mprintf("CREATE TABLE before(k TEXT PRIMARY KEY COLLATE %s, v TEXT);"
                          "CREATE TABLE after(k TEXT PRIMARY KEY COLLATE %s, v TEXT);"
                          "CREATE TABLE got(c INT, k TEXT COLLATE %s, v TEXT, w TEXT)",
        table->collate, table->collate, table->collate);
    diffed_run(sink.model, sql);
    sqlite3_free(sql);
    diffed_load(sink.model, before, table, "before");
    diffed_load(sink.model, after, table, "after");
    if (!diffed_collect(diff, (uint32_t)index, &sink, page, err) ||
        diff_count(diff, (uint32_t)index, &counts, err) < 0) {
        (void)printf("# %s: %s\n", table->name, err->msg);
        wrong = 1;
    } else {
        sql = sqlite3_mprintf("SELECT count(*), '', '', '' FROM got WHERE c IN (1, 2, 3) HAVING "
                              "count(*) <> %lld OR count(DISTINCT k) <> count(*)",
            (long long)(counts.added + counts.changed + counts.removed));
        wrong = diffed_wrong(sink.model, "count", table->name, sql) +
                diffed_wrong(sink.model, "missed", table->name,
                    DIFFED_WANT " EXCEPT SELECT c, k, v, w FROM got") +
                diffed_wrong(sink.model, "not so", table->name,
                    "SELECT c, k, v, w FROM got EXCEPT " DIFFED_WANT);
        sqlite3_free(sql);
    }
    (void)sqlite3_close(sink.model);
    return wrong == 0;
}

#endif
