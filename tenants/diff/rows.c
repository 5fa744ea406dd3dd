/* Both versions of each key, fetched and compared. */
#include <sqlite3.h>

#include "tenants/base/mem.h"
#include "tenants/diff/internal.h"
#include "tenants/diff/values.h"
#include "tenants/sql_error.h"

/* One side's row of the key at hand. */
struct fetch {
    struct sqlite3 *db;
    struct sqlite3_stmt *statement; /* owned; NULL: the table is not on this side */
    struct value *values;           /* owned */
    uint32_t count;
    int64_t rowid;
    bool found;
};

struct compare {
    struct diff *diff;
    struct table_state *table;
    struct sqlite3_stmt *keys; /* owned */
    struct value *key;         /* owned; one more than the key has, for r */
    uint32_t key_count;
    struct fetch before, after;
};

/* ------------------------------------------------------------------ statements */

static int begin_fetch(struct fetch *fetch, const struct table_state *table,
    const struct side *side, const struct shape *shape, struct err *ret_err)
{
    struct buf sql;

    fetch->db = side->db;
    if (shape == NULL)
        return 0;
    fetch->count = shape->column_count;
    fetch->values = mem_alloc((shape->column_count + 1) * sizeof(*fetch->values));
    buf_init(&sql, 0);
    buf_literal(&sql, "SELECT ");
    if (shape->rowid == NULL)
        buf_literal(&sql, "0");
    else
        put_name(&sql, shape->rowid);
    for (uint32_t i = 0; i < shape->column_count; i++) {
        buf_literal(&sql, ", ");
        put_name(&sql, shape->columns[i].name);
    }
    put_where_key(&sql, table, shape);
    fetch->statement = prepare_buf(side->db, &sql, ret_err);
    buf_fini(&sql);
    return fetch->statement == NULL ? -1 : 0;
}

static bool has_null(const struct value *key, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (key[i].type == VALUE_NULL)
            return true;
    return false;
}

static void put_list(struct buf *sql, char letter, uint32_t count, uint32_t from)
{
    buf_char(sql, '(');
    for (uint32_t i = 0; i < count; i++)
        buf_printf(sql, "%s%c%u", i == 0 ? "" : ", ", letter, i + from);
    buf_char(sql, ')');
}

static void put_order(struct buf *sql, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        buf_printf(sql, "%sk%u", i == 0 ? " ORDER BY " : ", ", i);
}

/* Keys in order, those after `after`. With NULL in it nothing is after it in SQL: the caller skips
 * those up to it. */
static int begin_keys(struct compare *compare, const struct value *after, struct err *ret_err)
{
    const struct table_state *table = compare->table;
    uint32_t count = compare->key_count;
    bool by_rowid = table->keyed->by_rowid;
    struct buf sql;

    buf_init(&sql, 0);
    buf_printf(&sql, "SELECT * FROM c%u", table->number);
    if (after != NULL && !has_null(after, count)) {
        buf_literal(&sql, " WHERE ");
        put_list(&sql, 'k', count, 0);
        buf_literal(&sql, " > ");
        put_list(&sql, '?', count, 1);
    }
    put_order(&sql, count);
    if (!by_rowid)
        buf_literal(&sql, ", r");
    compare->keys = prepare_buf(compare->diff->scratch, &sql, ret_err);
    buf_fini(&sql);
    if (compare->keys == NULL)
        return -1;
    for (uint32_t i = 0; after != NULL && !has_null(after, count) && i < count; i++)
        bind_copy(compare->keys, (int)i + 1, &after[i]); /* the caller may reuse it */
    return 0;
}

static void end_compare(struct compare *compare)
{
    (void)sqlite3_finalize(compare->keys);
    (void)sqlite3_finalize(compare->before.statement);
    (void)sqlite3_finalize(compare->after.statement);
    mem_free(compare->before.values);
    mem_free(compare->after.values);
    mem_free(compare->key);
}

static int gather_whole(struct diff *diff, struct table_state *table, struct err *ret_err)
{
    struct keys keys = {.diff = NULL};
    int rc = keys_begin(&keys, diff, table, ret_err);

    if (rc == 0)
        rc = keys_put_all(&keys, ret_err);
    keys_end(&keys);
    if (rc == 0)
        table->gathered = true;
    return rc;
}

static int begin_compare(struct compare *compare, struct diff *diff, uint32_t index,
    const struct value *after, struct err *ret_err)
{
    struct table_state *table = &diff->tables[index];
    struct keys keys = {.diff = NULL};
    int rc;

    *compare = (struct compare){.diff = diff, .table = table, .key_count = table->public.key_count};
    if (!table->gathered && gather_whole(diff, table, ret_err) < 0)
        return -1;
    rc = keys_begin(&keys, diff, table, ret_err); /* there may have been none: the empty table */
    keys_end(&keys);
    if (rc < 0)
        return -1;
    compare->key = mem_zalloc((compare->key_count + 1) * sizeof(*compare->key));
    if (begin_fetch(&compare->before, table, &diff->before, table->before, ret_err) < 0 ||
        begin_fetch(&compare->after, table, &diff->after, table->after, ret_err) < 0)
        return -1;
    return begin_keys(compare, after, ret_err);
}

/* ------------------------------------------------------------------ rows */

/* The statement stays on its row: values are views of it. */
static int fetch_row(struct compare *compare, struct fetch *fetch, struct err *ret_err)
{
    int rc;

    fetch->found = false;
    if (fetch->statement == NULL)
        return 0;
    (void)sqlite3_reset(fetch->statement);
    for (uint32_t i = 0; i <= compare->key_count; i++)
        if ((int)i < sqlite3_bind_parameter_count(fetch->statement))
            bind_cell(fetch->statement, (int)i + 1, &compare->key[i]);
    rc = sqlite3_step(fetch->statement);
    if (rc == SQLITE_DONE)
        return 0;
    if (rc != SQLITE_ROW)
        return sql_err_set(ret_err, fetch->db, rc);
    fetch->found = true;
    fetch->rowid = sqlite3_column_int64(fetch->statement, 0);
    for (uint32_t i = 0; i < fetch->count; i++)
        fetch->values[i] = cell_value(fetch->statement, (int)i + 1);
    return 0;
}

/* A column that only `after` has counts when its value is not the default; one that only `before`
 * has does not count: it says nothing of this row. */
static bool is_same(const struct compare *compare)
{
    const struct table_state *table = compare->table;

    for (uint32_t i = 0; i < compare->after.count; i++) {
        uint32_t at = table->match[i];
        const struct value *before =
            at == UINT32_MAX ? &table->fill[i] : &compare->before.values[at];

        if (!value_same(before, &compare->after.values[i]))
            return false;
    }
    return true;
}

static enum diff_change change_of(const struct compare *compare)
{
    if (!compare->before.found)
        return compare->after.found ? DIFF_ADDED : DIFF_SAME;
    if (!compare->after.found)
        return DIFF_REMOVED;
    return is_same(compare) ? DIFF_SAME : DIFF_CHANGED;
}

/* As the table has it: a leaf keeps 1 for a REAL column's 1.0. */
static void show_key(struct compare *compare)
{
    const struct fetch *fetch = compare->after.found ? &compare->after : &compare->before;
    const struct shape *shape =
        compare->after.found ? compare->table->after : compare->table->before;

    for (uint32_t i = 0; i < shape->key_count; i++) {
        int at = shape_column(shape, shape->keys[i].name);

        if (at >= 0)
            compare->key[i] = fetch->values[at];
    }
}

/* The next row that differs. *ret_change is DIFF_SAME at the end. */
static int next_row(struct compare *compare, enum diff_change *ret_change, struct err *ret_err)
{
    uint32_t columns = compare->key_count + (compare->table->keyed->by_rowid ? 0 : 1);
    int rc;

    *ret_change = DIFF_SAME;
    while (*ret_change == DIFF_SAME && (rc = sqlite3_step(compare->keys)) != SQLITE_DONE) {
        if (rc != SQLITE_ROW)
            return sql_err_set(ret_err, compare->diff->scratch, rc);
        for (uint32_t i = 0; i < columns; i++)
            compare->key[i] = cell_value(compare->keys, (int)i);
        if (diff_step(compare->diff, ret_err) < 0 ||
            fetch_row(compare, &compare->before, ret_err) < 0 ||
            fetch_row(compare, &compare->after, ret_err) < 0)
            return -1;
        *ret_change = change_of(compare);
    }
    if (*ret_change != DIFF_SAME)
        show_key(compare);
    return 0;
}

/* The row that a page ended with. */
static bool is_last(const struct compare *compare, const struct diff_range *range)
{
    for (uint32_t i = 0; i < compare->key_count; i++) {
        struct value value = cell_value(compare->keys, (int)i);

        if (!value_same(&value, &range->after[i]))
            return false;
    }
    return sqlite3_column_int64(compare->keys, (int)compare->key_count) == range->after_rowid;
}

/* Steps to the key itself when SQL cannot begin behind it. */
static int skip_to(struct compare *compare, const struct diff_range *range, struct err *ret_err)
{
    int rc;

    if (range->after == NULL || !has_null(range->after, compare->key_count))
        return 0;
    while ((rc = sqlite3_step(compare->keys)) == SQLITE_ROW)
        if (is_last(compare, range))
            return 0;
    return rc == SQLITE_DONE ? 0 : sql_err_set(ret_err, compare->diff->scratch, rc);
}

static int refuse(const struct diff *diff, uint32_t index, struct err *ret_err)
{
    const struct diff_table *table = &diff->tables[index].public;

    if (table->rows == DIFF_ROWS)
        return 0;
    return err_set(ret_err, ERR_NOT_IMPLEMENTED, "the rows of '%s' cannot be compared: %s",
        table->name,
        table->rows == DIFF_VIRTUAL ? "it is a virtual table"
                                    : "nothing tells its rows apart on both sides");
}

static int each_row(struct compare *compare, const struct diff_range *range, diff_row_fn on_row,
    void *context, bool *ret_more, struct err *ret_err)
{
    struct fetch *before = &compare->before, *after = &compare->after;
    enum diff_change change;
    uint64_t rows = 0;

    *ret_more = false;
    if (skip_to(compare, range, ret_err) < 0 || next_row(compare, &change, ret_err) < 0)
        return -1;
    while (change != DIFF_SAME) {
        struct diff_row row = {.change = change,
            .key = compare->key,
            .rowid_before = before->found ? before->rowid : 0,
            .rowid_after = after->found ? after->rowid : 0,
            .before = before->found ? before->values : NULL,
            .after = after->found ? after->values : NULL};

        if (range->limit != 0 && rows++ == range->limit) {
            *ret_more = true;
            return 0;
        }
        if (on_row(context, &row, ret_err) < 0 || next_row(compare, &change, ret_err) < 0)
            return -1;
    }
    return 0;
}

static int table_rows(struct diff *diff, uint32_t index, const struct diff_range *range,
    diff_row_fn on_row, void *context, bool *ret_more, struct err *ret_err)
{
    struct compare compare;
    int rc = begin_compare(&compare, diff, index, range->after, ret_err);

    if (rc == 0)
        rc = each_row(&compare, range, on_row, context, ret_more, ret_err);
    end_compare(&compare);
    return rc;
}

int diff_rows(struct diff *diff, uint32_t index, const struct diff_range *range, diff_row_fn on_row,
    void *context, bool *ret_more, struct err *ret_err)
{
    if (refuse(diff, index, ret_err) < 0)
        return -1;
    return table_rows(diff, index, range, on_row, context, ret_more, ret_err);
}

static int count_row(void *context, const struct diff_row *row, struct err *ret_err)
{
    struct diff_counts *counts = context;

    counts->added += row->change == DIFF_ADDED;
    counts->changed += row->change == DIFF_CHANGED;
    counts->removed += row->change == DIFF_REMOVED;
    return 0;
}

int diff_count(
    struct diff *diff, uint32_t index, struct diff_counts *ret_counts, struct err *ret_err)
{
    struct diff_counts counts = {.added = 0};
    struct diff_range all = {.after = NULL};
    bool more;

    if (diff_rows(diff, index, &all, count_row, &counts, &more, ret_err) < 0)
        return -1;
    *ret_counts = counts;
    return 0;
}

/* ------------------------------------------------------------------ changed or not */

static int any_row(struct diff *diff, uint32_t index, bool *ret_any, struct err *ret_err)
{
    struct diff_counts counts = {.added = 0};
    struct diff_range one = {.limit = 1};
    bool more;

    *ret_any = true;
    if (diff->tables[index].public.rows == DIFF_NO_KEY)
        return 0; /* nobody can tell */
    if (table_rows(diff, index, &one, count_row, &counts, &more, ret_err) < 0)
        return -1;
    *ret_any = counts.added + counts.changed + counts.removed > 0;
    return 0;
}

/* A shadow table's name is its table's and one more word. */
static bool is_shadow_of(const char *shadow, const char *name)
{
    size_t len = strlen(name);

    return sqlite3_strnicmp(shadow, name, (int)len) == 0 && shadow[len] == '_';
}

int diff_is_changed(struct diff *diff, uint32_t index, bool *ret_changed, struct err *ret_err)
{
    const struct diff_table *table = &diff->tables[index].public;

    *ret_changed = table->rows == DIFF_VIRTUAL && table->change != DIFF_SAME;
    if (table->rows != DIFF_VIRTUAL)
        return any_row(diff, index, ret_changed, ret_err);
    for (uint32_t i = diff->public_count; !*ret_changed && i < diff->table_count; i++)
        if (is_shadow_of(diff->tables[i].public.name, table->name) &&
            any_row(diff, i, ret_changed, ret_err) < 0)
            return -1;
    return 0;
}
