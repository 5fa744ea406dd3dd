#include "tenants/layers/table.h"

#include <string.h>

#include "tenants/base/mem.h"

#define FIRST_LEAVES 4

static struct table_root *root_new(uint32_t leaf_count, struct table_root *older)
{
    struct table_root *root =
        mem_zalloc(sizeof(*root) + leaf_count * sizeof(_Atomic(struct table_leaf *)));

    root->leaf_count = leaf_count;
    root->older = older;
    for (uint32_t i = 0; older != NULL && i < older->leaf_count; i++)
        atomic_init(&root->leaves[i], atomic_load(&older->leaves[i]));
    return root;
}

static void charge(struct table *table, size_t bytes)
{
    atomic_fetch_add_explicit(&table->bytes, bytes, memory_order_relaxed);
}

static size_t root_bytes(uint32_t leaf_count)
{
    return sizeof(struct table_root) + leaf_count * sizeof(void *);
}

struct table *table_new(uint32_t base_visible)
{
    struct table *table = mem_zalloc(sizeof(*table));

    atomic_init(&table->references, 1);
    atomic_init(&table->base_visible, base_visible);
    atomic_init(&table->root, root_new(FIRST_LEAVES, NULL));
    charge(table, sizeof(*table) + root_bytes(FIRST_LEAVES));
    return table;
}

struct table *table_ref(struct table *table)
{
    atomic_fetch_add_explicit(&table->references, 1, memory_order_relaxed);
    return table;
}

void table_unref(struct table *table)
{
    struct table_root *root;

    if (table == NULL ||
        atomic_fetch_sub_explicit(&table->references, 1, memory_order_acq_rel) != 1)
        return;
    root = atomic_load(&table->root);
    for (uint32_t i = 0; i < root->leaf_count; i++)
        mem_free(atomic_load(&root->leaves[i]));
    while (root != NULL) {
        struct table_root *older = root->older;

        mem_free(root);
        root = older;
    }
    mem_free(table);
}

/* Doubles at least, so that all older ones together are no longer than this one. */
static struct table_root *grow(struct table *table, struct table_root *root, uint32_t leaf_at)
{
    uint32_t count = MAX(root->leaf_count * 2, leaf_at + 1);

    root = root_new(count, root);
    charge(table, root_bytes(count));
    atomic_store_explicit(&table->root, root, memory_order_release);
    return root;
}

void table_set(struct table *table, uint32_t pgno, uint32_t entry)
{
    struct table_root *root = atomic_load_explicit(&table->root, memory_order_relaxed);
    uint32_t leaf_at = (pgno - 1) / TABLE_LEAF_PAGES;
    struct table_leaf *leaf;

    if (leaf_at >= root->leaf_count)
        root = grow(table, root, leaf_at);
    leaf = atomic_load_explicit(&root->leaves[leaf_at], memory_order_relaxed);
    if (leaf == NULL) {
        leaf = mem_zalloc(sizeof(*leaf));
        charge(table, sizeof(*leaf));
        atomic_store_explicit(&root->leaves[leaf_at], leaf, memory_order_release);
    }
    atomic_store_explicit(
        &leaf->entries[(pgno - 1) % TABLE_LEAF_PAGES], entry, memory_order_release);
}

void table_cut(struct table *table, uint32_t pages,
    void (*on_entry)(void *context, uint32_t pgno, uint32_t entry), void *context)
{
    const struct table_root *root = atomic_load(&table->root);

    for (uint32_t i = pages / TABLE_LEAF_PAGES; i < root->leaf_count; i++) {
        struct table_leaf *leaf = atomic_load(&root->leaves[i]);

        for (uint32_t at = 0; leaf != NULL && at < TABLE_LEAF_PAGES; at++) {
            uint32_t pgno = i * TABLE_LEAF_PAGES + at + 1;
            uint32_t entry = atomic_load_explicit(&leaf->entries[at], memory_order_relaxed);

            if (pgno <= pages || entry == 0)
                continue;
            if (on_entry != NULL)
                on_entry(context, pgno, entry);
            atomic_store_explicit(&leaf->entries[at], 0, memory_order_release);
        }
    }
}
