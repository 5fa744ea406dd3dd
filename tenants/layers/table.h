/* Where each page of a stack is: 4 bytes a page (8 bits layer, counted from the base; 24 bits
 * slot), in leaves of 1,024 pages that exist where an overlay has pages.
 *
 * One writer at a time (its stack's lock), any number of readers beside it without a lock: entries
 * are stored with release and loaded with acquire order, after the page itself was written. */
#ifndef TENANTS_LAYERS_TABLE_H
#define TENANTS_LAYERS_TABLE_H

#include <stdatomic.h>

#include "tenants/base/macros.h"

#define TABLE_LEAF_PAGES 1024
#define TABLE_SLOT_BITS 24

struct table_leaf {
    _Atomic uint32_t entries[TABLE_LEAF_PAGES];
};

struct table_root {
    struct table_root *older; /* owned: readers may still look at it */
    uint32_t leaf_count;
    _Atomic(struct table_leaf *) leaves[];
};

struct table {
    _Atomic uint32_t references;
    /* Pages up to this one that have no entry are the base's, later ones are zeros. */
    _Atomic uint32_t base_visible;
    _Atomic(struct table_root *) root;
    _Atomic uint64_t bytes; /* of memory */
};

struct table *table_new(uint32_t base_visible) MUST_CHECK;
struct table *table_ref(struct table *table);
void table_unref(struct table *table);

static inline uint32_t table_entry(uint32_t layer, uint32_t slot)
{
    return layer << TABLE_SLOT_BITS | slot;
}

static inline uint32_t table_layer(uint32_t entry)
{
    return entry >> TABLE_SLOT_BITS;
}

static inline uint32_t table_slot(uint32_t entry)
{
    return entry & ((1U << TABLE_SLOT_BITS) - 1);
}

/* 0: no overlay has the page. Pages count from 1. */
static inline uint32_t table_get(const struct table *table, uint32_t pgno)
{
    const struct table_root *root = atomic_load_explicit(&table->root, memory_order_acquire);
    uint32_t leaf_at = (pgno - 1) / TABLE_LEAF_PAGES;
    const struct table_leaf *leaf;

    if (leaf_at >= root->leaf_count)
        return 0;
    leaf = atomic_load_explicit(&root->leaves[leaf_at], memory_order_acquire);
    if (leaf == NULL)
        return 0;
    return atomic_load_explicit(
        &leaf->entries[(pgno - 1) % TABLE_LEAF_PAGES], memory_order_acquire);
}

void table_set(struct table *table, uint32_t pgno, uint32_t entry);
/* Forgets all entries of pages beyond `pages`. on_entry (may be NULL) is told of each. */
void table_cut(struct table *table, uint32_t pages,
    void (*on_entry)(void *context, uint32_t pgno, uint32_t entry), void *context);

#endif
