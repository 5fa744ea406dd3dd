/* The tables of both sides, matched by name: how their rows are told apart, and compared. */
#include <sqlite3.h>

#include "tenants/base/check.h"
#include "tenants/diff/internal.h"
#include "tenants/diff/values.h"
#include "tenants/sql_error.h"

static const char *const *names_of(
    struct diff *diff, const struct shape_column *columns, uint32_t count)
{
    const char **names = arena_array(&diff->arena, MAX(count, 1U), sizeof(*names));

    for (uint32_t i = 0; names != NULL && i < count; i++)
        names[i] = columns[i].name;
    return names;
}

/* ALTER TABLE takes no other for a table that has rows. */
static bool is_literal(const char *sql)
{
    return sql[0] != '(' && !str_starts_with_nocase(str_from(sql), "current_");
}

int read_default(struct sqlite3 *scratch, struct arena *arena, const struct shape_column *column,
    struct value *fill)
{
    struct sqlite3_stmt *statement = NULL;
    struct buf sql;
    struct err ignored = ERR_INIT;

    *fill = (struct value){.type = VALUE_NULL};
    if (column->default_sql == NULL || !is_literal(column->default_sql))
        return 0;
    buf_init(&sql, 1U << 20);
    buf_printf(&sql,
        "DROP TABLE IF EXISTS d; CREATE TABLE d(c %s DEFAULT %s); INSERT INTO d DEFAULT VALUES",
        column->type == NULL ? "" : column->type, column->default_sql);
    if (run_buf(scratch, &sql, &ignored) == 0 &&
        sqlite3_prepare_v2(scratch, "SELECT c FROM d", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        *fill = cell_value(statement, 0);
        if (fill->type >= VALUE_TEXT)
            fill->bytes = arena_str(arena, fill->bytes);
    }
    (void)sqlite3_finalize(statement);
    buf_fini(&sql);
    return arena_overflowed(arena) ? -1 : 0;
}

static int match_columns(struct diff *diff, struct table_state *table, struct err *ret_err)
{
    const struct shape *before = table->before, *after = table->after;

    if (before == NULL || after == NULL)
        return 0;
    table->match = arena_array(&diff->arena, MAX(after->column_count, 1U), sizeof(*table->match));
    table->fill = arena_array(&diff->arena, MAX(after->column_count, 1U), sizeof(*table->fill));
    if (table->match == NULL || table->fill == NULL)
        return diff_no_room(ret_err);
    for (uint32_t i = 0; i < after->column_count; i++) {
        int at = shape_column(before, after->columns[i].name);

        table->match[i] = at < 0 ? UINT32_MAX : (uint32_t)at;
        table->fill[i] = (struct value){.type = VALUE_NULL};
        if (at < 0 &&
            read_default(diff->scratch, &diff->arena, &after->columns[i], &table->fill[i]) < 0)
            return diff_no_room(ret_err);
    }
    return 0;
}

static enum diff_rows_kind rows_kind(const struct table_state *table)
{
    const struct shape *before = table->before, *after = table->after;

    if ((before != NULL && before->kind == SHAPE_VIRTUAL) ||
        (after != NULL && after->kind == SHAPE_VIRTUAL))
        return DIFF_VIRTUAL;
    if (table->keyed->by_rowid && table->keyed->rowid == NULL)
        return DIFF_NO_KEY;
    if (before != NULL && after != NULL &&
        (!shape_same_key(before, after) || (before->by_rowid && before->rowid == NULL)))
        return DIFF_NO_KEY;
    return DIFF_ROWS;
}

static enum diff_change change_of(const struct table_state *table)
{
    if (table->before == NULL)
        return DIFF_ADDED;
    if (table->after == NULL)
        return DIFF_REMOVED;
    return strcmp(table->before->sql, table->after->sql) == 0 ? DIFF_SAME : DIFF_CHANGED;
}

static int fill_public(struct diff *diff, struct table_state *table, struct err *ret_err)
{
    static const char *const by_rowid[] = {"rowid"};
    struct diff_table *public = &table->public;
    const struct shape *keyed = table->keyed;

    *public = (struct diff_table){.name = keyed->name, .change = change_of(table)};
    public->rows = rows_kind(table);
    public->key = keyed->by_rowid ? by_rowid : names_of(diff, keyed->keys, keyed->key_count);
    public->key_count = keyed->by_rowid ? 1 : keyed->key_count;
    if (keyed->by_rowid && keyed->integer != NULL)
    public->key = names_of(diff, &keyed->columns[shape_column(keyed, keyed->integer)], 1);
    if (table->before != NULL) {
        public->columns_before =
            names_of(diff, table->before->columns, table->before->column_count);
        public->column_count_before = table->before->column_count;
    }
    if (table->after != NULL) {
        public->columns_after = names_of(diff, table->after->columns, table->after->column_count);
        public->column_count_after = table->after->column_count;
    }
    return arena_overflowed(&diff->arena) ? diff_no_room(ret_err) : 0;
}

/* By pages only where rows have one form, and can be found by what a leaf says. */
static bool is_whole(const struct diff *diff, const struct table_state *table)
{
    return !diff->paged || table->public.change != DIFF_SAME ||
           table->before->root != table->after->root ||
           (!table->keyed->without_rowid && table->keyed->rowid == NULL);
}

static int add_table(
    struct diff *diff, const struct shape *before, const struct shape *after, struct err *ret_err)
{
    struct table_state *table = &diff->tables[diff->table_count];

    *table = (struct table_state){.before = before,
        .after = after,
        .keyed = after != NULL ? after : before,
        .number = diff->table_count++};
    table->has_r = !table->keyed->by_rowid && !table->keyed->without_rowid &&
                   table->keyed->rowid != NULL && (before == NULL || before->rowid != NULL);
    if (fill_public(diff, table, ret_err) < 0 || match_columns(diff, table, ret_err) < 0)
        return -1;
    table->whole = table->public.rows == DIFF_ROWS && is_whole(diff, table);
    return 0;
}

/* Both lists are in order of names. */
static int add_tables(struct diff *diff, bool shadows, struct err *ret_err)
{
    const struct shapes *before = &diff->before.shapes, *after = &diff->after.shapes;

    for (uint32_t i = 0, j = 0; i < before->count || j < after->count;) {
        int order = i == before->count ? 1
                    : j == after->count
                        ? -1
                        : sqlite3_stricmp(before->items[i].name, after->items[j].name);
        const struct shape *of_before = order <= 0 ? &before->items[i++] : NULL;
        const struct shape *of_after = order >= 0 ? &after->items[j++] : NULL;
        const struct shape *either = of_after != NULL ? of_after : of_before;

        CHECK(either != NULL);
        if ((either->kind == SHAPE_SHADOW) == shadows &&
            add_table(diff, of_before, of_after, ret_err) < 0)
            return -1;
    }
    return 0;
}

int tables_match(struct diff *diff, struct err *ret_err)
{
    diff->tables = arena_zalloc(&diff->arena,
        ((size_t)diff->before.shapes.count + diff->after.shapes.count + 1) * sizeof(*diff->tables));
    if (diff->tables == NULL)
        return diff_no_room(ret_err);
    if (add_tables(diff, false, ret_err) < 0)
        return -1;
    diff->public_count = diff->table_count;
    return add_tables(diff, true, ret_err);
}

uint32_t diff_table_count(const struct diff *diff)
{
    return diff->public_count;
}

const struct diff_table *diff_table(const struct diff *diff, uint32_t index)
{
    return &diff->tables[index].public;
}

int diff_find_table(const struct diff *diff, const char *name)
{
    for (uint32_t i = 0; i < diff->public_count; i++)
        if (sqlite3_stricmp(diff->tables[i].public.name, name) == 0)
            return (int)i;
    return -1;
}
