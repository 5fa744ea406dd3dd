/* SQLite's b-tree pages as bytes (file format, section 1.6): cells, children, overflow chains, and
 * records. Pure functions over page images; every offset is checked, damage is an error. */
#ifndef TENANTS_DIFF_BTREE_H
#define TENANTS_DIFF_BTREE_H

#include "tenants/base/str.h"

enum btree_type {
    BTREE_NONE = 0,
    BTREE_INDEX_INTERIOR = 2,
    BTREE_TABLE_INTERIOR = 5,
    BTREE_INDEX_LEAF = 10,
    BTREE_TABLE_LEAF = 13,
};

struct btree_page {
    const unsigned char *bytes; /* borrowed: the image */
    uint32_t usable;
    uint32_t header; /* where its b-tree header is: 100 on page 1 */
    enum btree_type type;
    uint32_t cells;
    uint32_t right_child; /* of an interior page */
};

struct btree_cell {
    uint32_t left_child; /* of interior pages */
    int64_t rowid;       /* of table trees */
    uint64_t payload;    /* bytes in all; 0 on interior pages of tables */
    struct str local;    /* those on the page */
    uint32_t overflow;   /* first page of the rest, 0 none */
    struct str raw;      /* the whole cell as it is on the page */
};

/* -1: it is no b-tree page. */
int btree_page(const unsigned char *bytes, uint32_t usable, uint32_t pgno, struct btree_page *ret)
    MUST_CHECK;
/* -1: damaged. */
int btree_cell(const struct btree_page *page, uint32_t index, struct btree_cell *ret) MUST_CHECK;

static inline bool btree_is_leaf(const struct btree_page *page)
{
    return page->type == BTREE_TABLE_LEAF || page->type == BTREE_INDEX_LEAF;
}
static inline bool btree_is_index(const struct btree_page *page)
{
    return page->type == BTREE_INDEX_LEAF || page->type == BTREE_INDEX_INTERIOR;
}
static inline uint32_t btree_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* A varint of at most 9 bytes; its length, 0 when `len` ends before it does. */
uint32_t btree_varint(const unsigned char *at, size_t len, uint64_t *ret_value);

/* A record's field: its serial type and where its bytes are. */
struct btree_field {
    uint64_t serial;
    uint64_t offset, len;
};
/* The first `count` fields. *ret_need: how many bytes of the record are needed to know the fields
 * (its header) or, when those were known, to have their bytes; more than `record.len`: get them and
 * call again. -1: damaged, or fewer fields than that. */
int btree_fields(struct str record, struct btree_field *fields, uint32_t count, uint64_t *ret_need)
    MUST_CHECK;

#endif
