#include <sqlite3.h>

#include "tenants/diff/merge_internal.h"
#include "tenants/sql_error.h"

#define OLD_TABLE "_rookery_merge_old"

/* ------------------------------------------------------------------ plan */

/* The object's SQL in the parent, in the arena; NULL: it has none of that name. */
static int parent_sql(struct merge *merge, const struct diff_object *object, const char **ret_sql,
    struct err *ret_err)
{
    struct sqlite3 *db = merge->options->parent;
    struct sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db,
        "SELECT sql FROM main.sqlite_schema WHERE type = ?1 AND name = ?2 COLLATE NOCASE", -1,
        &statement, NULL);

    *ret_sql = NULL;
    if (rc == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, object->type, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(statement, 2, object->name, -1, SQLITE_STATIC);
        rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_ROW) {
        const char *sql = (const char *)sqlite3_column_text(statement, 0);

        *ret_sql = arena_cstr(&merge->arena, str_from(sql == NULL ? "" : sql));
    }
    (void)sqlite3_finalize(statement);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return sql_err_set(ret_err, db, rc);
    return arena_overflowed(&merge->arena) ? diff_no_room(ret_err) : 0;
}

static bool same_sql(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Whether the parent changed rows of a table since the fork. */
static int parent_changed_rows(
    struct merge *merge, const char *name, bool *ret_changed, struct err *ret_err)
{
    const struct merge_options *options = merge->options;
    struct diff_options diff = {.before = options->base,
        .after = options->parent,
        .pages = options->parent_pages,
        .is_over = options->is_over,
        .context = options->context};
    int at;

    if (merge->parent_diff == NULL && diff_open(&diff, &merge->parent_diff, ret_err) < 0)
        return -1;
    at = diff_find_table(merge->parent_diff, name);
    *ret_changed = false;
    return at < 0 ? 0 : diff_is_changed(merge->parent_diff, (uint32_t)at, ret_changed, ret_err);
}

/* All columns of the fork's are still there, and rows are told apart as before. */
static bool keeps_rows(const struct table_state *table)
{
    for (uint32_t i = 0; i < table->before->column_count; i++)
        if (shape_column(table->after, table->before->columns[i].name) < 0)
            return false;
    return table->public.rows == DIFF_ROWS;
}

static int plan_table(struct merge *merge, const struct diff_object *object, struct err *ret_err)
{
    int at = diff_find_table(merge->diff, object->name);
    const struct table_state *table = at < 0 ? NULL : &merge->diff->tables[at];
    bool changed;

    if (table == NULL || table->public.rows == DIFF_VIRTUAL)
        return err_set(ret_err, ERR_CONFLICT,
            "'%s' is a virtual table, and the branch made, changed or dropped it", object->name);
    if (object->change == DIFF_ADDED || (object->change == DIFF_CHANGED && keeps_rows(table)))
        return 0;
    if (object->change == DIFF_REMOVED && merge->options->policy == MERGE_THEIRS)
        return 0;
    if (parent_changed_rows(merge, object->name, &changed, ret_err) < 0)
        return -1;
    if (!changed)
        return 0;
    return err_set(ret_err, ERR_CONFLICT,
        object->change == DIFF_REMOVED
            ? "the branch dropped the table '%s', and the parent changed its rows"
            : "the branch took columns or the key from the table '%s', and the parent changed its "
              "rows",
        object->name);
}

static int plan_object(struct merge *merge, size_t at, struct err *ret_err)
{
    const struct diff_object *object = &merge->objects[at];
    const char *ours;

    if (parent_sql(merge, object, &ours, ret_err) < 0)
        return -1;
    merge->skip[at] = same_sql(ours, object->sql_after);
    if (merge->skip[at])
        return 0;
    if (!same_sql(ours, object->sql_before))
        return err_set(ret_err, ERR_CONFLICT,
            "both the parent and the branch changed the %s '%s', each in its way", object->type,
            object->name);
    merge->result.objects++;
    return strcmp(object->type, "table") == 0 ? plan_table(merge, object, ret_err) : 0;
}

/* Contents that no row of ours tells. */
static int plan_contents(struct merge *merge, uint32_t index, struct err *ret_err)
{
    const struct diff_table *table = diff_table(merge->diff, index);
    bool changed;

    if (table->rows == DIFF_ROWS || table->change != DIFF_SAME)
        return 0;
    if (diff_is_changed(merge->diff, index, &changed, ret_err) < 0)
        return -1;
    if (!changed)
        return 0;
    return err_set(ret_err, ERR_CONFLICT, "the branch changed '%s', %s", table->name,
        table->rows == DIFF_VIRTUAL ? "which is a virtual table"
                                    : "whose rows nothing tells apart");
}

int merge_plan(struct merge *merge, struct err *ret_err)
{
    if (diff_schema(merge->diff, &merge->objects, &merge->object_count, ret_err) < 0)
        return -1;
    merge->skip = arena_zalloc(&merge->arena, merge->object_count + 1);
    if (merge->skip == NULL)
        return diff_no_room(ret_err);
    for (size_t i = 0; i < merge->object_count; i++)
        if (plan_object(merge, i, ret_err) < 0)
            return -1;
    for (uint32_t i = 0; i < diff_table_count(merge->diff); i++)
        if (plan_contents(merge, i, ret_err) < 0)
            return -1;
    return 0;
}

/* ------------------------------------------------------------------ tables */

static int drop(struct merge *merge, const struct diff_object *object, struct err *ret_err)
{
    struct buf sql;
    int rc;

    buf_init(&sql, 0);
    buf_printf(&sql, "DROP %s IF EXISTS main.", object->type);
    put_name(&sql, object->name);
    rc = merge_exec(merge, &sql, ret_err);
    buf_fini(&sql);
    return rc;
}

static int make(struct merge *merge, const char *text, struct err *ret_err)
{
    struct buf sql;
    int rc;

    buf_init(&sql, 0);
    buf_cstr(&sql, text);
    rc = merge_exec(merge, &sql, ret_err);
    buf_fini(&sql);
    return rc;
}

/* SQL that makes the table's indexes and triggers again, or drops them. */
static int list_attached(struct merge *merge, const char *table, struct buf *make_again,
    struct buf *drops, struct err *ret_err)
{
    struct sqlite3 *db = merge->options->parent;
    struct sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db,
        "SELECT type, name, sql FROM main.sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE "
        "AND type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid",
        -1, &statement, NULL);

    if (rc == SQLITE_OK)
        (void)sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(statement);
        if (rc != SQLITE_ROW)
            break;
        buf_cstr(make_again, (const char *)sqlite3_column_text(statement, 2));
        buf_literal(make_again, ";\n");
        buf_printf(drops, "DROP %s main.", (const char *)sqlite3_column_text(statement, 0));
        put_name(drops, (const char *)sqlite3_column_text(statement, 1));
        buf_literal(drops, ";\n");
    }
    (void)sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? 0 : sql_err_set(ret_err, db, rc);
}

/* Rows go over by the names of columns; rowids stay. */
static void put_copy(struct buf *sql, const struct shape *from, const struct shape *to)
{
    struct buf names;
    bool first = true;

    buf_init(&names, 0);
    if (from->rowid != NULL && to->rowid != NULL && from->integer == NULL && to->integer == NULL) {
        put_name(&names, to->rowid);
        first = false;
    }
    for (uint32_t i = 0; i < to->column_count; i++) {
        if (shape_column(from, to->columns[i].name) < 0)
            continue;
        buf_cstr(&names, first ? "" : ", ");
        put_name(&names, to->columns[i].name);
        first = false;
    }
    if (!first) {
        buf_literal(sql, "INSERT INTO main.");
        put_name(sql, to->name);
        buf_printf(sql, "(%.*s) SELECT %.*s FROM main." OLD_TABLE ";\n", (int)names.len,
            names.bytes, (int)names.len, names.bytes);
    }
    buf_fini(&names);
}

/* AUTOINCREMENT goes on where it was. */
static void put_sequence(struct buf *sql, const struct shape *to)
{
    if (sqlite3_strlike("%autoincrement%", to->sql, 0) != 0)
        return;
    buf_literal(sql, "UPDATE main.sqlite_sequence SET seq = max(seq, coalesce((SELECT seq FROM "
                     "main.sqlite_sequence WHERE name = '" OLD_TABLE "'), 0)) WHERE name = (SELECT "
                     "name FROM main.sqlite_schema WHERE type = 'table' AND name = ");
    put_text(sql, to->name);
    buf_literal(sql, " COLLATE NOCASE);\n");
}

static int rebuild(struct merge *merge, const struct diff_object *object, struct err *ret_err)
{
    const struct table_state *table =
        &merge->diff->tables[diff_find_table(merge->diff, object->name)];
    struct buf again, sql;
    int rc;

    buf_init(&again, 0);
    buf_init(&sql, 0);
    rc = list_attached(merge, object->name, &again, &sql, ret_err);
    buf_literal(&sql, "ALTER TABLE main.");
    put_name(&sql, object->name);
    buf_literal(&sql, " RENAME TO " OLD_TABLE ";\n");
    buf_cstr(&sql, object->sql_after);
    buf_literal(&sql, ";\n");
    if (table->public.rows == DIFF_ROWS)
        put_copy(&sql, table->before, table->after);
    put_sequence(&sql, table->after);
    buf_literal(&sql, "DROP TABLE main." OLD_TABLE ";\n");
    buf_append(&sql, again.bytes, again.len);
    if (rc == 0)
        rc = merge_exec(merge, &sql, ret_err);
    buf_fini(&again);
    buf_fini(&sql);
    return rc;
}

static bool is_table(const struct diff_object *object)
{
    return strcmp(object->type, "table") == 0;
}

int merge_tables(struct merge *merge, struct err *ret_err)
{
    for (size_t i = merge->object_count; i-- > 0;) { /* triggers before their tables */
        const struct diff_object *object = &merge->objects[i];

        if (!merge->skip[i] && object->change != DIFF_ADDED &&
            (!is_table(object) || object->change == DIFF_REMOVED) &&
            drop(merge, object, ret_err) < 0)
            return -1;
    }
    for (size_t i = 0; i < merge->object_count; i++) {
        const struct diff_object *object = &merge->objects[i];
        int rc = 0;

        if (merge->skip[i] || !is_table(object) || object->change == DIFF_REMOVED)
            continue;
        rc = object->change == DIFF_ADDED ? make(merge, object->sql_after, ret_err)
                                          : rebuild(merge, object, ret_err);
        if (rc < 0)
            return -1;
    }
    return 0;
}

int merge_others(struct merge *merge, struct err *ret_err)
{
    for (size_t i = 0; i < merge->object_count; i++) {
        const struct diff_object *object = &merge->objects[i];

        if (!merge->skip[i] && !is_table(object) && object->change != DIFF_REMOVED &&
            make(merge, object->sql_after, ret_err) < 0)
            return -1;
    }
    return 0;
}
