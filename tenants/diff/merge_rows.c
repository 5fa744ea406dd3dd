/* Rows of one table after the other. First what goes: rows that the branch removed, and the old
 * versions of those it changed. Then what comes, so that values which must be unique may move from
 * row to row. What comes waits in the scratch database. */
#include <sqlite3.h>

#include "tenants/diff/merge_table.h"
#include "tenants/diff/values.h"
#include "tenants/sql_error.h"

/* ------------------------------------------------------------------ looking */

static int failed(struct table_merge *work, struct err *ret_err)
{
    struct sqlite3 *db = work->merge->options->parent;

    return sql_err_set(ret_err, db, sqlite3_errcode(db));
}

static void bind_key(
    struct table_merge *work, struct sqlite3_stmt *statement, const struct diff_row *row)
{
    bool has_null = false;

    for (uint32_t i = 0; i < work->key_count; i++) {
        bind_cell(statement, (int)i + 1, &row->key[i]);
        has_null = has_null || row->key[i].type == VALUE_NULL;
    }
    if (sqlite3_bind_parameter_count(statement) <= (int)work->key_count)
        return;
    if (has_null)
        (void)sqlite3_bind_int64(statement, (int)work->key_count + 1,
            row->before != NULL ? row->rowid_before : row->rowid_after);
    else
        (void)sqlite3_bind_null(statement, (int)work->key_count + 1);
}

/* The statement stays on the row. */
static int fetch_ours(struct table_merge *work, const struct diff_row *row, struct err *ret_err)
{
    int rc;

    (void)sqlite3_reset(work->fetch);
    bind_key(work, work->fetch, row);
    rc = sqlite3_step(work->fetch);
    work->has_ours = rc == SQLITE_ROW;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return failed(work, ret_err);
    work->rowid = work->has_ours ? sqlite3_column_int64(work->fetch, 0) : 0;
    for (uint32_t i = 0; work->has_ours && i < work->count; i++)
        work->ours[i] = cell_value(work->fetch, (int)i + 1);
    return 0;
}

/* The parent's row is what it was at the fork. Columns that it was given since count by what they
 * began with. */
static bool ours_is_base(const struct table_merge *work, const struct diff_row *row)
{
    for (uint32_t i = 0; i < work->count; i++) {
        const struct value *base =
            work->of_base[i] == UINT32_MAX ? &work->fill[i] : &row->before[work->of_base[i]];

        if (!value_same(base, &work->ours[i]))
            return false;
    }
    return true;
}

static bool ours_is_theirs(const struct table_merge *work, const struct diff_row *row)
{
    for (uint32_t i = 0; i < work->count; i++)
        if (work->of_theirs[i] != UINT32_MAX &&
            !value_same(&work->ours[i], &row->after[work->of_theirs[i]]))
            return false;
    return true;
}

static int conflict(struct table_merge *work, enum merge_conflict_kind kind,
    const struct diff_row *row, const char *message, struct err *ret_err)
{
    const struct diff_table *public = &work->table->public;
    struct merge_conflict conflict = {.kind = kind,
        .table = public->name,
        .key = public->key,
        .key_values = row->key,
        .key_count = public->key_count,
        .base = row->before,
        .base_columns = public->columns_before,
        .base_count = public->column_count_before,
        .ours = work->has_ours ? work->ours : NULL,
        .ours_columns = work->names,
        .ours_count = work->count,
        .theirs = row->after,
        .theirs_columns = public->columns_after,
        .theirs_count = public->column_count_after,
        .message = message};

    return merge_tell(work->merge, &conflict, ret_err);
}

/* ------------------------------------------------------------------ what goes */

static int remove_ours(struct table_merge *work, const struct diff_row *row, struct err *ret_err)
{
    int rc;

    if (work->shape->rowid != NULL)
        (void)sqlite3_bind_int64(work->remove, 1, work->rowid);
    else
        bind_key(work, work->remove, row);
    rc = sqlite3_step(work->remove);
    (void)sqlite3_reset(work->remove);
    return rc == SQLITE_DONE ? 0 : failed(work, ret_err);
}

static int wait_for(struct table_merge *work, const struct diff_row *row, struct err *ret_err)
{
    int64_t rowid = work->has_ours ? work->rowid : row->rowid_after;
    int rc;

    (void)sqlite3_bind_int64(work->wait, 1, rowid);
    (void)sqlite3_bind_int(work->wait, 2, work->has_ours);
    for (uint32_t i = 0; i < work->count; i++) {
        const struct value none = {.type = VALUE_NULL};
        const struct value *old = work->has_ours ? &work->ours[i] : &none;
        const struct value *new =
            work->of_theirs[i] == UINT32_MAX ? old : &row->after[work->of_theirs[i]];

        bind_cell(work->wait, 3 + 2 * (int)i, new);
        bind_cell(work->wait, 4 + 2 * (int)i, old);
    }
    rc = sqlite3_step(work->wait);
    (void)sqlite3_reset(work->wait);
    if (rc != SQLITE_DONE)
        return sql_err_set(ret_err, work->merge->scratch, rc);
    return 0;
}

static int take_theirs(struct table_merge *work, const struct diff_row *row, struct err *ret_err)
{
    if (row->after != NULL && wait_for(work, row, ret_err) < 0)
        return -1;
    if (row->after == NULL && work->has_ours)
        work->merge->result.deleted++;
    return work->has_ours ? remove_ours(work, row, ret_err) : 0;
}

static enum merge_conflict_kind kind_of(const struct table_merge *work, const struct diff_row *row)
{
    if (row->before == NULL)
        return MERGE_BOTH_INSERTED;
    if (row->after == NULL)
        return MERGE_PARENT_CHANGED_BRANCH_DELETED;
    return work->has_ours ? MERGE_BOTH_CHANGED : MERGE_PARENT_DELETED_BRANCH_CHANGED;
}

static const char *message_of(enum merge_conflict_kind kind)
{
    static const char *const messages[] = {
        [MERGE_BOTH_CHANGED] = "both changed the row, each in its way",
        [MERGE_BOTH_INSERTED] = "both inserted a row with this key",
        [MERGE_PARENT_CHANGED_BRANCH_DELETED] = "the parent changed the row, the branch deleted it",
        [MERGE_PARENT_DELETED_BRANCH_CHANGED] = "the parent deleted the row, the branch changed it",
    };

    return messages[kind];
}

/* A rowid that nobody chose tells nothing: both rows stay. */
static bool is_nobodys(const struct table_merge *work, const struct diff_row *row)
{
    return row->before == NULL && work->shape->by_rowid && work->shape->integer == NULL;
}

static int on_row(void *context, const struct diff_row *row, struct err *ret_err)
{
    struct table_merge *work = context;
    enum merge_conflict_kind kind;

    if (fetch_ours(work, row, ret_err) < 0)
        return -1;
    if (row->after == NULL ? !work->has_ours : work->has_ours && ours_is_theirs(work, row))
        return 0;
    if (work->has_ours ? row->before != NULL && ours_is_base(work, row) : row->before == NULL)
        return take_theirs(work, row, ret_err);
    if (is_nobodys(work, row)) {
        work->has_ours = false;
        return wait_for(work, row, ret_err);
    }
    kind = kind_of(work, row);
    if (conflict(work, kind, row, message_of(kind), ret_err) < 0)
        return -1;
    return work->merge->options->policy == MERGE_THEIRS ? take_theirs(work, row, ret_err) : 0;
}

/* ------------------------------------------------------------------ what comes */

static int rowid_is_taken(
    struct table_merge *work, int64_t rowid, bool *ret_taken, struct err *ret_err)
{
    int rc;

    (void)sqlite3_bind_int64(work->taken, 1, rowid);
    rc = sqlite3_step(work->taken);
    (void)sqlite3_reset(work->taken);
    *ret_taken = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : failed(work, ret_err);
}

/* Of the row that `waiting` stands on: its new version, or the old one. */
static int insert(struct table_merge *work, struct sqlite3_stmt *insert,
    struct sqlite3_stmt *waiting, bool old, int *ret_code, struct err *ret_err)
{
    int64_t rowid = sqlite3_column_int64(waiting, 0);
    bool taken = false;

    if (work->shape->rowid != NULL && work->shape->integer == NULL) {
        if (rowid_is_taken(work, rowid, &taken, ret_err) < 0)
            return -1;
        if (taken)
            (void)sqlite3_bind_null(insert, 1);
        else
            (void)sqlite3_bind_int64(insert, 1, rowid);
    }
    for (uint32_t i = 0; i < work->count; i++) {
        work->comes[i] = cell_value(waiting, 2 + 2 * (int)i + old);
        if ((int)i + 2 <= sqlite3_bind_parameter_count(insert))
            bind_cell(insert, (int)i + 2, &work->comes[i]);
    }
    *ret_code = sqlite3_step(insert) == SQLITE_DONE
                    ? SQLITE_OK
                    : sqlite3_extended_errcode(work->merge->options->parent);
    (void)sqlite3_reset(insert); /* which keeps the error's text */
    return 0;
}

static bool is_unique(int code)
{
    return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
           code == SQLITE_CONSTRAINT_ROWID;
}

static int refuse_row(struct table_merge *work, struct err *ret_err)
{
    struct err err = ERR_INIT;

    (void)failed(work, &err);
    if ((err.native & 0xff) != SQLITE_CONSTRAINT && (err.native & 0xff) != SQLITE_MISMATCH) {
        if (ret_err != NULL)
            err_copy(ret_err, &err);
        return -1;
    }
    return err_set(ret_err, ERR_CONFLICT, "a row of the branch's does not fit into '%s': %s",
        work->shape->name, err.msg);
}

static int tell_unique(struct table_merge *work, struct err *ret_err)
{
    struct value key[64];
    struct diff_row row = {.change = DIFF_ADDED, .key = key};
    struct merge_conflict conflict = {.kind = MERGE_UNIQUE,
        .table = work->table->public.name,
        .key = work->table->public.key,
        .key_values = row.key,
        .theirs = work->comes,
        .theirs_columns = work->names,
        .theirs_count = work->count,
        .message = sqlite3_errmsg(work->merge->options->parent)};

    conflict.key_count = MIN(work->key_count, (uint32_t)ARRAY_LEN(key));
    for (uint32_t i = 0; i < conflict.key_count; i++) {
        int at = shape_column(work->shape, conflict.key[i]);

        key[i] = at < 0 ? (struct value){.type = VALUE_NULL} : work->comes[at];
    }
    return merge_tell(work->merge, &conflict, ret_err);
}

/* One row that must not be beside another: the policy says which one stays. */
static int settle_unique(
    struct table_merge *work, struct sqlite3_stmt *waiting, bool there, struct err *ret_err)
{
    enum merge_policy policy = work->merge->options->policy;
    struct sqlite3_stmt *statement;
    int code;

    if (tell_unique(work, ret_err) < 0)
        return -1;
    if (policy == MERGE_FAIL || (policy == MERGE_OURS && !there))
        return 0;
    statement = policy == MERGE_THEIRS ? work->replace[there] : work->insert[1];
    if (insert(work, statement, waiting, policy == MERGE_OURS, &code, ret_err) < 0)
        return -1;
    if (code != SQLITE_OK)
        return refuse_row(work, ret_err);
    if (policy == MERGE_THEIRS)
        (*(there ? &work->merge->result.updated : &work->merge->result.inserted))++;
    return 0;
}

static int comes(struct table_merge *work, struct sqlite3_stmt *waiting, struct err *ret_err)
{
    bool there = sqlite3_column_int(waiting, 1) != 0;
    int code;

    if (insert(work, work->insert[there], waiting, false, &code, ret_err) < 0)
        return -1;
    if (is_unique(code))
        return settle_unique(work, waiting, there, ret_err);
    if (code != SQLITE_OK)
        return refuse_row(work, ret_err);
    (*(there ? &work->merge->result.updated : &work->merge->result.inserted))++;
    return 0;
}

static int all_come(struct table_merge *work, struct err *ret_err)
{
    struct sqlite3 *scratch = work->merge->scratch;
    struct sqlite3_stmt *waiting = NULL;
    int rc, result = 0;

    if (sqlite3_prepare_v2(scratch, "SELECT * FROM " MERGE_WAIT " ORDER BY rowid", -1, &waiting,
            NULL) != SQLITE_OK)
        return sql_err_set(ret_err, scratch, sqlite3_errcode(scratch));
    while (result == 0 && (rc = sqlite3_step(waiting)) == SQLITE_ROW) {
        result = diff_step(work->merge->diff, ret_err);
        if (result == 0)
            result = comes(work, waiting, ret_err);
    }
    if (result == 0 && rc != SQLITE_DONE)
        result = sql_err_set(ret_err, scratch, rc);
    (void)sqlite3_finalize(waiting);
    return result;
}

/* ------------------------------------------------------------------ tables */

static int merge_table(struct merge *merge, uint32_t index, struct err *ret_err)
{
    struct table_merge work = {.merge = merge, .table = &merge->diff->tables[index]};
    struct diff_range all = {.after = NULL};
    bool changed, more;
    int rc;

    if (diff_is_changed(merge->diff, index, &changed, ret_err) < 0)
        return -1;
    if (!changed)
        return 0;
    work.shape = shapes_find(&merge->parent, work.table->public.name);
    if (work.shape == NULL)
        return err_set(ret_err, ERR_CONFLICT,
            "the parent dropped the table '%s', and the branch changed its rows",
            work.table->public.name);
    if (!shape_same_key(work.shape, work.table->keyed))
        return err_set(ret_err, ERR_CONFLICT,
            "the parent changed the key of '%s', and the branch its rows", work.shape->name);
    work.count = work.shape->column_count;
    work.key_count = work.table->public.key_count;
    rc = table_merge_begin(&work, ret_err);
    if (rc == 0)
        rc = diff_rows(merge->diff, index, &all, on_row, &work, &more, ret_err);
    (void)sqlite3_reset(work.fetch);
    if (rc == 0)
        rc = all_come(&work, ret_err);
    table_merge_end(&work);
    return rc;
}

int merge_rows(struct merge *merge, struct err *ret_err)
{
    for (uint32_t i = 0; i < diff_table_count(merge->diff); i++) {
        const struct diff_table *table = diff_table(merge->diff, i);

        if (table->change == DIFF_REMOVED)
            continue;
        if (table->rows == DIFF_NO_KEY && table->change != DIFF_SAME)
            return err_set(ret_err, ERR_CONFLICT,
                "the branch changed what tells the rows of '%s' apart", table->name);
        if (table->rows == DIFF_ROWS && merge_table(merge, i, ret_err) < 0)
            return -1;
    }
    return 0;
}
