#include "tenants/diff/merge_table.h"

#include <sqlite3.h>

#include "tenants/base/mem.h"

static struct sqlite3_stmt *prepare_on(struct sqlite3 *db, struct buf *sql, struct err *ret_err)
{
    struct sqlite3_stmt *statement = prepare_buf(db, sql, ret_err);

    buf_fini(sql);
    return statement;
}

static struct sqlite3_stmt *prepare_fetch(struct table_merge *work, struct err *ret_err)
{
    struct buf sql;

    buf_init(&sql, 0);
    buf_literal(&sql, "SELECT ");
    if (work->shape->rowid == NULL)
        buf_literal(&sql, "0");
    else
        put_name(&sql, work->shape->rowid);
    for (uint32_t i = 0; i < work->count; i++) {
        buf_literal(&sql, ", ");
        put_name(&sql, work->shape->columns[i].name);
    }
    put_where_key(&sql, work->table, work->shape);
    return prepare_on(work->merge->options->parent, &sql, ret_err);
}

/* By rowid, or by the key of a table that has none. */
static struct sqlite3_stmt *prepare_remove(struct table_merge *work, struct err *ret_err)
{
    struct buf sql;

    buf_init(&sql, 0);
    buf_literal(&sql, "DELETE");
    if (work->shape->rowid == NULL) {
        put_where_key(&sql, work->table, work->shape);
    } else {
        buf_literal(&sql, " FROM main.");
        put_name(&sql, work->shape->name);
        buf_literal(&sql, " WHERE ");
        put_name(&sql, work->shape->rowid);
        buf_literal(&sql, " = ?1");
    }
    return prepare_on(work->merge->options->parent, &sql, ret_err);
}

/* Parameter 1 is the rowid, where it is no column; columns follow in the parent's order. */
static struct sqlite3_stmt *prepare_insert(
    struct table_merge *work, bool replace, bool all, struct err *ret_err)
{
    const struct shape *shape = work->shape;
    struct buf sql, values;
    bool first = true;

    buf_init(&sql, 0);
    buf_init(&values, 0);
    buf_printf(&sql, "INSERT %sINTO main.", replace ? "OR REPLACE " : "");
    put_name(&sql, shape->name);
    buf_char(&sql, '(');
    if (shape->rowid != NULL && shape->integer == NULL) {
        put_name(&sql, shape->rowid);
        buf_literal(&values, "?1");
        first = false;
    }
    for (uint32_t i = 0; i < work->count; i++) {
        if (!all && work->of_theirs[i] == UINT32_MAX)
            continue;
        buf_cstr(&sql, first ? "" : ", ");
        put_name(&sql, shape->columns[i].name);
        buf_printf(&values, "%s?%u", first ? "" : ", ", i + 2);
        first = false;
    }
    buf_printf(&sql, ") VALUES (%.*s)", (int)values.len, values.bytes);
    buf_fini(&values);
    return prepare_on(work->merge->options->parent, &sql, ret_err);
}

static struct sqlite3_stmt *prepare_taken(struct table_merge *work, struct err *ret_err)
{
    struct buf sql;

    buf_init(&sql, 0);
    buf_literal(&sql, "SELECT 1 FROM main.");
    put_name(&sql, work->shape->name);
    buf_literal(&sql, " WHERE ");
    put_name(&sql, work->shape->rowid);
    buf_literal(&sql, " = ?1");
    return prepare_on(work->merge->options->parent, &sql, ret_err);
}

static struct sqlite3_stmt *prepare_wait(struct table_merge *work, struct err *ret_err)
{
    struct sqlite3 *scratch = work->merge->scratch;
    struct buf sql;
    int rc;

    buf_init(&sql, 0);
    buf_literal(&sql, "DROP TABLE IF EXISTS " MERGE_WAIT "; CREATE TABLE " MERGE_WAIT "(r, there");
    for (uint32_t i = 0; i < work->count; i++)
        buf_printf(&sql, ", n%u, o%u", i, i);
    buf_char(&sql, ')');
    rc = run_buf(scratch, &sql, ret_err);
    buf_fini(&sql);
    if (rc < 0)
        return NULL;
    buf_init(&sql, 0);
    buf_literal(&sql, "INSERT INTO " MERGE_WAIT " VALUES (?1, ?2");
    for (uint32_t i = 0; i < 2 * work->count; i++)
        buf_printf(&sql, ", ?%u", i + 3);
    buf_char(&sql, ')');
    return prepare_on(scratch, &sql, ret_err);
}

void table_merge_end(struct table_merge *work)
{
    struct sqlite3_stmt *statements[] = {work->fetch, work->remove, work->wait, work->insert[0],
        work->insert[1], work->replace[0], work->replace[1], work->taken};

    for (size_t i = 0; i < ARRAY_LEN(statements); i++)
        (void)sqlite3_finalize(statements[i]);
    mem_free(work->of_theirs);
    mem_free(work->of_base);
    mem_free(work->fill);
    mem_free(work->ours);
    mem_free(work->comes);
    mem_free(work->names);
}

static uint32_t place(const struct shape *shape, const char *name)
{
    int at = shape == NULL ? -1 : shape_column(shape, name);

    return at < 0 ? UINT32_MAX : (uint32_t)at;
}

static int match_columns(struct table_merge *work, struct err *ret_err)
{
    const struct shape *theirs = work->table->after;

    for (uint32_t i = 0; i < theirs->column_count; i++)
        if (shape_column(work->shape, theirs->columns[i].name) < 0)
            return err_set(ret_err, ERR_CONFLICT,
                "the branch changed rows of '%s', and the parent no longer has the column '%s'",
                work->shape->name, theirs->columns[i].name);
    for (uint32_t i = 0; i < work->count; i++) {
        const struct shape_column *column = &work->shape->columns[i];

        work->names[i] = column->name;
        work->of_theirs[i] = place(theirs, column->name);
        work->of_base[i] = place(work->table->before, column->name);
        if (read_default(work->merge->scratch, &work->merge->arena, column, &work->fill[i]) < 0)
            return diff_no_room(ret_err);
    }
    return 0;
}

int table_merge_begin(struct table_merge *work, struct err *ret_err)
{
    uint32_t room = work->count + 1;

    if (work->count > MERGE_COLUMNS_MAX)
        return err_set(ret_err, ERR_TOO_LARGE, "'%s' has too many columns", work->shape->name);
    work->of_theirs = mem_alloc(room * sizeof(*work->of_theirs));
    work->of_base = mem_alloc(room * sizeof(*work->of_base));
    work->fill = mem_zalloc(room * sizeof(*work->fill));
    work->ours = mem_zalloc(room * sizeof(*work->ours));
    work->comes = mem_zalloc(room * sizeof(*work->comes));
    work->names = mem_zalloc(room * sizeof(*work->names));
    if (match_columns(work, ret_err) < 0)
        return -1;
    work->fetch = prepare_fetch(work, ret_err);
    if (work->fetch != NULL)
        work->remove = prepare_remove(work, ret_err);
    if (work->remove != NULL)
        work->wait = prepare_wait(work, ret_err);
    if (work->wait == NULL)
        return -1;
    for (int all = 0; all < 2; all++) {
        work->insert[all] = prepare_insert(work, false, all == 1, ret_err);
        if (work->insert[all] != NULL)
            work->replace[all] = prepare_insert(work, true, all == 1, ret_err);
        if (work->replace[all] == NULL)
            return -1;
    }
    if (work->shape->rowid != NULL) {
        work->taken = prepare_taken(work, ret_err);
        return work->taken == NULL ? -1 : 0;
    }
    return 0;
}
