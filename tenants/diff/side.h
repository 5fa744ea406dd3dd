/* One of the two databases of a diff: a connection in a read transaction, and its pages. */
#ifndef TENANTS_DIFF_SIDE_H
#define TENANTS_DIFF_SIDE_H

#include "tenants/diff/btree.h"
#include "tenants/diff/shape.h"

struct side {
    struct sqlite3 *db;        /* borrowed */
    struct sqlite3_stmt *page; /* owned; NULL: this SQLite cannot show pages */
    uint32_t pages;            /* size of the database */
    uint32_t page_size;
    uint32_t usable;
    uint32_t free_trunk;    /* first page of the freelist */
    bool auto_vacuum;       /* it has pointer-map pages */
    unsigned char encoding; /* SQLITE_UTF8, … */
    uint64_t *pages_read;   /* counted here */
    struct shapes shapes;
};

int side_open(struct side *side, struct sqlite3 *db, struct arena *arena, uint64_t *pages_read,
    struct err *ret_err) MUST_CHECK;
void side_close(struct side *side); /* zeroed is fine */
/* Copies a page, as the connection's transaction sees it; zeros beyond the end. */
int side_page(struct side *side, uint32_t pgno, unsigned char *out, struct err *ret_err) MUST_CHECK;
/* A pointer-map page, which says of others what they belong to. */
bool side_is_pointer_map(const struct side *side, uint32_t pgno);
/* Bytes of a cell's payload, at least `need` of them, overflow pages included. `room` is filled. */
int side_payload(struct side *side, const struct btree_cell *cell, uint64_t need, struct buf *room,
    struct err *ret_err) MUST_CHECK;

#endif
