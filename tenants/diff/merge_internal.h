/* What the files of a merge share. */
#ifndef TENANTS_DIFF_MERGE_INTERNAL_H
#define TENANTS_DIFF_MERGE_INTERNAL_H

#include "tenants/diff/internal.h"
#include "tenants/diff/merge.h"

struct merge {
    const struct merge_options *options;
    struct merge_result result;
    struct diff *diff;                 /* owned: base to branch */
    struct diff *parent_diff;          /* owned: base to parent, when it was wanted */
    struct arena arena;                /* of texts and the parent's shapes */
    struct sqlite3 *scratch;           /* owned: rows that wait, foreign keys */
    struct shapes parent;              /* after the schema was merged */
    const struct diff_object *objects; /* what the branch changed */
    size_t object_count;
    bool *skip; /* arena: of each object: the parent has it already */
    bool has_fk_conflict;
};

int merge_tell(struct merge *merge, const struct merge_conflict *conflict, struct err *ret_err)
    MUST_CHECK;
/* Runs SQL on the parent. What SQLite does not like is a reason to refuse. */
int merge_exec(struct merge *merge, struct buf *sql, struct err *ret_err) MUST_CHECK;

/* ---- merge_schema.c */
/* Looks at all objects before anything is changed. */
int merge_plan(struct merge *merge, struct err *ret_err) MUST_CHECK;
/* Drops, makes and rebuilds tables; what else is in the way of that is dropped. */
int merge_tables(struct merge *merge, struct err *ret_err) MUST_CHECK;
/* Indexes, views and triggers. */
int merge_others(struct merge *merge, struct err *ret_err) MUST_CHECK;

/* ---- merge_rows.c */
int merge_rows(struct merge *merge, struct err *ret_err) MUST_CHECK;

/* ---- merge_keys.c: foreign keys of tables that are touched */
int merge_keys_before(struct merge *merge, struct err *ret_err) MUST_CHECK;
int merge_keys_after(struct merge *merge, struct err *ret_err) MUST_CHECK;

#endif
