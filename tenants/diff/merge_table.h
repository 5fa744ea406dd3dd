/* The rows of one table on their way into the parent: statements and room. */
#ifndef TENANTS_DIFF_MERGE_TABLE_H
#define TENANTS_DIFF_MERGE_TABLE_H

#include "tenants/diff/merge_internal.h"

/* The scratch table of what comes: rowid, whether it was there, new and old version of each column.
 */
#define MERGE_WAIT "w"
#define MERGE_COLUMNS_MAX 900 /* a scratch table takes 2,000 */

struct table_merge {
    struct merge *merge;
    const struct table_state *table; /* fork to branch */
    const struct shape *shape;       /* the parent's now */
    uint32_t count;                  /* of its columns */
    uint32_t key_count;
    uint32_t *of_theirs; /* owned: place of each column in the branch's, UINT32_MAX none */
    uint32_t *of_base;
    struct value *fill;         /* owned: what a column that the fork lacks began with */
    struct sqlite3_stmt *fetch; /* the parent's row of a key; owned, as all */
    struct sqlite3_stmt *remove;
    struct sqlite3_stmt *wait;
    struct sqlite3_stmt *insert[2]; /* the branch's columns; all columns */
    struct sqlite3_stmt *replace[2];
    struct sqlite3_stmt *taken; /* whether a rowid is */
    struct value *ours, *comes; /* owned */
    const char **names;         /* owned: the parent's columns */
    bool has_ours;
    int64_t rowid;
};

/* `merge`, `table`, `shape` and the counts are set. Errors: ERR_CONFLICT the parent lacks a column;
 * ERR_TOO_LARGE. */
int table_merge_begin(struct table_merge *work, struct err *ret_err) MUST_CHECK;
void table_merge_end(struct table_merge *work); /* however far that came */

#endif
