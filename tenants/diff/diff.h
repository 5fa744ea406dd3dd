/* What differs between two databases of a family: objects of the schema, and rows.
 *
 * Both are connections that stand in a read transaction for as long as the diff lives; what they
 * see is compared, commits that are still in a log included. Nothing is written to either.
 *
 * Rows: only pages that may differ (tenants/diff/pages.h) are read, and the inner pages of tables,
 * which say whose a leaf is (0.3 % of a table of 4 KiB pages; more where rows are wide and the
 * table is WITHOUT ROWID). They yield keys; both versions of each are then fetched by SQL and
 * compared, types included, so that a row that only moved is no change. A change that is in
 * overflow pages alone is found by reading the tables' leaves, which costs a scan. Tables whose
 * root or definition differ are compared whole: a sort of their keys. Keys wait in a temporary
 * database that spills to disk; memory is bounded, but for 1 bit a page and the schema.
 *
 * Left out: SQLite's own tables and the server's, generated columns, and shadow tables. A virtual
 * table is "changed" or not, by its shadow tables.
 *
 * The connections must be allowed everything (engine statements). Thread: a worker, one at a time;
 * a diff belongs to one thread, and may run inside vfs_enter() of a head, which is charged for the
 * temporary database. */
#ifndef TENANTS_DIFF_DIFF_H
#define TENANTS_DIFF_DIFF_H

#include "tenants/base/arena.h"
#include "tenants/base/err.h"
#include "tenants/diff/pages.h"
#include "tenants/value.h"

#define DIFF_SCHEMA_BYTES_MAX (64U << 20) /* of both schemas in memory */

struct sqlite3;
struct diff;

enum diff_change { DIFF_SAME, DIFF_ADDED, DIFF_CHANGED, DIFF_REMOVED };

struct diff_options {
    struct sqlite3 *before; /* the parent, or the fork point */
    struct sqlite3 *after;  /* the branch */
    /* Pages that may differ; borrowed while diff_open() runs. NULL: all. */
    const struct page_set *pages;
    /* Asked every few pages and rows: true ends the call with ERR_BUDGET_TIME. May be NULL. */
    bool (*is_over)(void *context);
    void *context;
};

/* Compares schemas and pages. Errors: ERR_BUDGET_TIME; ERR_TOO_LARGE the schemas; ERR_CORRUPT;
 * SQLite's (tenants/sql_error.h). */
int diff_open(const struct diff_options *options, struct diff **ret_diff, struct err *ret_err)
    MUST_CHECK;
void diff_close(struct diff *diff); /* NULL is fine */

/* ---- schema */

struct diff_object {
    const char *type; /* "table", "index", "view", "trigger" */
    const char *name;
    const char *table; /* whose index or trigger it is; its own name for tables and views */
    enum diff_change change;
    const char *sql_before; /* NULL: there was none */
    const char *sql_after;
};
/* Those that differ: tables, indexes, views, triggers, each by name. They live as long as the diff.
 * Indexes of constraints belong to their tables. */
int diff_schema(struct diff *diff, const struct diff_object **ret_objects, size_t *ret_count,
    struct err *ret_err) MUST_CHECK;

/* ---- rows */

enum diff_rows_kind {
    DIFF_ROWS,    /* counts and rows can be had */
    DIFF_VIRTUAL, /* only whether something changed: diff_is_changed() */
    DIFF_NO_KEY,  /* the same; its rows are told apart in different ways, or by a hidden rowid */
};

struct diff_table {
    const char *name;
    enum diff_change change; /* of its definition */
    enum diff_rows_kind rows;
    const char *const *key; /* names of the columns that tell rows apart; "rowid" where it has no
                               name of its own */
    uint32_t key_count;
    const char *const *columns_before; /* stored ones */
    uint32_t column_count_before;
    const char *const *columns_after;
    uint32_t column_count_after;
};
/* Tables of either side, virtual ones included, by name. */
uint32_t diff_table_count(const struct diff *diff);
const struct diff_table *diff_table(const struct diff *diff, uint32_t index);
/* -1: there is none of that name. */
int diff_find_table(const struct diff *diff, const char *name);

struct diff_counts {
    uint64_t added, changed, removed;
};
/* Compares all rows that may differ. For DIFF_ROWS only. */
int diff_count(struct diff *diff, uint32_t index, struct diff_counts *ret_counts,
    struct err *ret_err) MUST_CHECK;
/* Whether any row differs; stops at the first. */
int diff_is_changed(struct diff *diff, uint32_t index, bool *ret_changed, struct err *ret_err)
    MUST_CHECK;

/* Values are views until the callback returns. */
struct diff_row {
    enum diff_change change;
    const struct value *key; /* key_count */
    int64_t rowid_before;    /* where the side has the row and the table has rowids, else 0 */
    int64_t rowid_after;
    const struct value *before; /* in the order of columns_before; NULL: added */
    const struct value *after;
};
/* -1 ends diff_rows() with the error that it has set. */
typedef int (*diff_row_fn)(void *context, const struct diff_row *row, struct err *ret_err);

struct diff_range {
    const struct value *after; /* the key of the last row of the page before; NULL: from the first
                                */
    int64_t after_rowid;       /* that row's, either one, where its key has NULL */
    uint64_t limit;            /* rows at most; 0: all */
};
/* Rows that differ, in the order of their keys. *ret_more: the limit ended it, and there may be
 * more. A key of another page means the same in a later diff of the same databases. */
int diff_rows(struct diff *diff, uint32_t index, const struct diff_range *range, diff_row_fn on_row,
    void *context, bool *ret_more, struct err *ret_err) MUST_CHECK;

/* How many pages were read to find keys, of both sides together; how many of them differ. */
struct diff_work {
    uint64_t pages_read;
    uint64_t pages_differ;
    uint64_t keys; /* looked up */
};
struct diff_work diff_work(const struct diff *diff);

#endif
