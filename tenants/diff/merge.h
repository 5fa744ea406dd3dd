/* Merging: what a branch changed since the fork, done to its parent, in one transaction.
 *
 * Three connections: `base`, the fork point (tenants/diff/fork.h), and `branch`, both in a read
 * transaction; `parent`, in a write transaction that the caller began (BEGIN IMMEDIATE) and ends:
 * COMMIT when the merge was applied, else ROLLBACK. Foreign keys and triggers are switched off on
 * `parent` while rows are applied and back on afterwards; foreign keys are checked at the end.
 *
 * Rows are told apart by primary key. A change that the parent made as well, alike, is none. Rows
 * of a table without any key, told apart by a rowid that nobody chose, get another rowid when the
 * parent has given theirs away. Columns that only the parent has keep their values.
 *
 * Refused (ERR_CONFLICT, with the reason; nothing was changed): an object that both changed, each
 * in its way; a table that the branch dropped, or took columns or the key from, while the parent
 * changed its rows; a virtual table that the branch made or changed; rows with columns that the
 * parent no longer has; a row that breaks a CHECK or NOT NULL of the parent's. Tables of more than
 * 900 columns: ERR_TOO_LARGE, when their rows changed.
 *
 * A merge leaves the branch as it is, and its fork where it was: reset it before it goes on, or a
 * later merge brings the same changes again (those of rows with keys do no harm).
 *
 * Thread: a worker; the parent's connection is the write lane's. Memory: bounded, rows wait in a
 * temporary database. */
#ifndef TENANTS_DIFF_MERGE_H
#define TENANTS_DIFF_MERGE_H

#include "tenants/diff/diff.h"

enum merge_policy {
    MERGE_FAIL,   /* with any conflict nothing is applied */
    MERGE_OURS,   /* the parent's row stays */
    MERGE_THEIRS, /* the branch's row wins */
};

enum merge_conflict_kind {
    MERGE_BOTH_CHANGED,
    MERGE_BOTH_INSERTED,
    MERGE_PARENT_CHANGED_BRANCH_DELETED,
    MERGE_PARENT_DELETED_BRANCH_CHANGED,
    MERGE_UNIQUE,      /* another row of the parent has a value that must be unique */
    MERGE_FOREIGN_KEY, /* the row would refer to none; no policy helps */
};
/* "both_changed", …: stable names. */
const char *merge_conflict_name(enum merge_conflict_kind kind);

/* Views until the callback returns. */
struct merge_conflict {
    enum merge_conflict_kind kind;
    const char *table;
    const char *const *key; /* names */
    const struct value *key_values;
    uint32_t key_count;
    const struct value *base; /* rows; NULL: none, or not told (unique, foreign keys) */
    const struct value *ours;
    const struct value *theirs;
    const char *const *base_columns;
    const char *const *ours_columns;
    const char *const *theirs_columns;
    uint32_t base_count, ours_count, theirs_count;
    const char *message; /* for people */
};
/* -1 ends the merge with the error that it has set. */
typedef int (*merge_conflict_fn)(
    void *context, const struct merge_conflict *conflict, struct err *ret_err);

struct merge_options {
    struct sqlite3 *base, *parent, *branch;
    const struct page_set *branch_pages; /* where base and branch may differ; NULL: all pages */
    const struct page_set *parent_pages; /* base and parent; looked at for few merges */
    enum merge_policy policy;
    bool dry_run;                   /* the same, and taken back */
    merge_conflict_fn on_conflict;  /* may be NULL */
    bool (*is_over)(void *context); /* as of a diff; may be NULL */
    void *context;
};

struct merge_result {
    bool applied; /* or would be, were it not a dry run */
    uint64_t inserted, updated, deleted;
    uint64_t conflicts; /* told of, whatever became of them */
    uint32_t objects;   /* of the schema: made, changed, dropped */
};

/* Errors: ERR_CONFLICT refused; ERR_BUDGET_TIME; those of a diff; SQLite's. After any error, and
 * when it was not applied, `parent` is as it was. */
int merge_run(const struct merge_options *options, struct merge_result *ret_result,
    struct err *ret_err) MUST_CHECK;

#endif
