/* What the files of a diff share. */
#ifndef TENANTS_DIFF_INTERNAL_H
#define TENANTS_DIFF_INTERNAL_H

#include "tenants/diff/diff.h"
#include "tenants/diff/side.h"

#define DIFF_CALLS_PER_LOOK 64 /* steps between two looks at the budget */

struct sqlite3_stmt;

/* A table of one side or both, and its keys that may have changed: table c<number> of the scratch
 * database, columns k0, k1, …, and r, the rowid of rows that have NULL in their key, else NULL. */
struct table_state {
    struct diff_table public;
    const struct shape *before, *after; /* NULL: not on this side */
    const struct shape *keyed;          /* whose keys count */
    uint32_t number;
    bool whole;         /* all keys, taken when they are first wanted */
    bool gathered;      /* nothing is to be added any more */
    bool has_r;         /* keys may hold NULL */
    uint32_t *match;    /* arena: place of each column of `after` in `before`, UINT32_MAX none */
    struct value *fill; /* arena: what a row of `before` has in a column that it lacks */
};

struct diff {
    struct side before, after;
    struct arena arena;
    bool (*is_over)(void *context);
    void *context;
    uint32_t steps;
    bool paged;              /* pages can be read and compared */
    struct page_set changed; /* pages that differ */
    struct page_set seen;    /* those of them that are in a table, or in no place that matters */
    uint64_t pages_read, pages_differ, keys;
    struct sqlite3 *scratch;    /* owned */
    struct table_state *tables; /* arena; public ones first, by name, then shadow tables */
    uint32_t table_count, public_count;
};

/* Counts a step, and asks for the budget now and then. */
int diff_step(struct diff *diff, struct err *ret_err) MUST_CHECK;
int diff_no_room(struct err *ret_err);

/* ---- tables.c: the list of tables */
/* What ALTER TABLE ADD COLUMN gives to rows that are there: the default, as the column keeps it. */
int read_default(struct sqlite3 *scratch, struct arena *arena, const struct shape_column *column,
    struct value *fill) MUST_CHECK;
int tables_match(struct diff *diff, struct err *ret_err) MUST_CHECK;

/* ---- keys.c: keys in the scratch database */
struct keys {
    struct diff *diff;
    struct table_state *table;
    struct sqlite3_stmt *put;
    struct sqlite3_stmt *by_rowid[2]; /* of before, after: the key of a rowid */
    struct buf room;
};
/* A database of its own that spills to disk. On failure too *ret_db is to be closed. */
int scratch_open(struct sqlite3 **ret_db, struct err *ret_err) MUST_CHECK;
int keys_begin(struct keys *keys, struct diff *diff, struct table_state *table, struct err *ret_err)
    MUST_CHECK;
void keys_end(struct keys *keys); /* zeroed is fine */
/* A cell of a leaf, or of an inner page of a table WITHOUT ROWID. */
int keys_put_cell(struct keys *keys, struct side *side, const struct btree_cell *cell,
    struct err *ret_err) MUST_CHECK;
/* All keys of both sides. */
int keys_put_all(struct keys *keys, struct err *ret_err) MUST_CHECK;
/* " FROM main.t WHERE k0 IS ?1 AND …": with the key's values bound, one row. */
void put_where_key(struct buf *sql, const struct table_state *table, const struct shape *shape);

/* ---- walk.c: whose the changed pages are */
/* The keys of one table that its changed pages have. `scan`: instead those whose overflow pages
 * alone were changed, until *left pages have been found. */
int walk_table(struct keys *keys, bool scan, uint64_t *left, struct err *ret_err) MUST_CHECK;

/* ---- overflow.c: changed pages that may be parts of rows whose leaves did not change */
int overflow_find(struct diff *diff, struct page_set *suspects, uint64_t *ret_count,
    struct err *ret_err) MUST_CHECK;

#endif
