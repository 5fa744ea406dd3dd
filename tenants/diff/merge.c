/* Order: plan (nothing is changed), tables, rows, then indexes, views and triggers, then foreign
 * keys. Everything inside one savepoint. */
#include "tenants/diff/merge.h"

#include <sqlite3.h>

#include "tenants/base/mem.h"
#include "tenants/diff/merge_internal.h"
#include "tenants/sql_error.h"

#define SAVEPOINT "rookery_merge"

const char *merge_conflict_name(enum merge_conflict_kind kind)
{
    static const char *const names[] = {"both_changed", "both_inserted",
        "parent_changed_branch_deleted", "parent_deleted_branch_changed", "unique", "foreign_key"};

    return names[kind];
}

int merge_tell(struct merge *merge, const struct merge_conflict *conflict, struct err *ret_err)
{
    merge->result.conflicts++;
    if (merge->options->on_conflict == NULL)
        return 0;
    return merge->options->on_conflict(merge->options->context, conflict, ret_err);
}

int merge_exec(struct merge *merge, struct buf *sql, struct err *ret_err)
{
    struct err err = ERR_INIT;
    int rc = run_buf(merge->options->parent, sql, &err);

    if (rc < 0 && (err.code == ERR_SQL || err.code == ERR_CONFLICT))
        return err_set(ret_err, ERR_CONFLICT, "the schema cannot be merged: %s", err.msg);
    if (rc < 0 && ret_err != NULL)
        err_copy(ret_err, &err);
    return rc;
}

/* ------------------------------------------------------------------ switches */

struct switches {
    int foreign_keys, triggers, legacy_alter;
};

static void set_switch(struct sqlite3 *db, int which, int on, int *before)
{
    if (before != NULL)
        (void)sqlite3_db_config(db, which, -1, before);
    (void)sqlite3_db_config(db, which, on, NULL);
}

/* In the middle of a transaction, unlike the pragmas. */
static void switch_off(struct sqlite3 *db, struct switches *before)
{
    set_switch(db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, &before->foreign_keys);
    set_switch(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, &before->triggers);
    set_switch(db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 1, &before->legacy_alter);
}

static void switch_back(struct sqlite3 *db, const struct switches *before)
{
    set_switch(db, SQLITE_DBCONFIG_ENABLE_FKEY, before->foreign_keys, NULL);
    set_switch(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, before->triggers, NULL);
    set_switch(db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, before->legacy_alter, NULL);
}

/* ------------------------------------------------------------------ running */

static int apply(struct merge *merge, struct err *ret_err)
{
    if (merge_keys_before(merge, ret_err) < 0 || merge_tables(merge, ret_err) < 0 ||
        shapes_load(merge->options->parent, &merge->arena, &merge->parent, ret_err) < 0 ||
        merge_rows(merge, ret_err) < 0)
        return -1;
    if (merge->options->policy == MERGE_FAIL && merge->result.conflicts > 0)
        return 0; /* rows are missing: what follows could only complain of that */
    return merge_others(merge, ret_err) < 0 ? -1 : merge_keys_after(merge, ret_err);
}

static bool is_fine(const struct merge *merge)
{
    return !merge->has_fk_conflict &&
           (merge->options->policy != MERGE_FAIL || merge->result.conflicts == 0);
}

static int begin(struct merge *merge, struct err *ret_err)
{
    const struct merge_options *options = merge->options;
    struct diff_options diff = {.before = options->base,
        .after = options->branch,
        .pages = options->branch_pages,
        .is_over = options->is_over,
        .context = options->context};

    if (diff_open(&diff, &merge->diff, ret_err) < 0)
        return -1;
    return scratch_open(&merge->scratch, ret_err);
}

static int run_inside(struct merge *merge, struct err *ret_err)
{
    struct sqlite3 *parent = merge->options->parent;
    struct switches switches;
    int rc;

    if (sqlite3_exec(parent, "SAVEPOINT " SAVEPOINT, NULL, NULL, NULL) != SQLITE_OK)
        return sql_err_set(ret_err, parent, sqlite3_errcode(parent));
    switch_off(parent, &switches);
    rc = apply(merge, ret_err);
    if (rc == 0)
        merge->result.applied = is_fine(merge);
    if (rc < 0 || !merge->result.applied || merge->options->dry_run)
        (void)sqlite3_exec(parent, "ROLLBACK TO " SAVEPOINT, NULL, NULL, NULL);
    (void)sqlite3_exec(parent, "RELEASE " SAVEPOINT, NULL, NULL, NULL);
    switch_back(parent, &switches);
    return rc;
}

int merge_run(
    const struct merge_options *options, struct merge_result *ret_result, struct err *ret_err)
{
    struct merge merge = {.options = options};
    int rc;

    arena_init(&merge.arena, DIFF_SCHEMA_BYTES_MAX);
    rc = begin(&merge, ret_err);
    if (rc == 0)
        rc = merge_plan(&merge, ret_err);
    if (rc == 0)
        rc = run_inside(&merge, ret_err);
    diff_close(merge.diff);
    diff_close(merge.parent_diff);
    (void)sqlite3_close(merge.scratch);
    arena_fini(&merge.arena);
    if (rc == 0)
        *ret_result = merge.result;
    return rc;
}
