/* A table's two trees, walked level by level from their roots.
 *
 * A page that both trees have at the same level and that did not change says the same on both
 * sides: its children are both's as well. A changed inner page has children on each side; those
 * that the sides have in common, wherever they hang, are met at the next level. What is left
 * belongs to one side only, and all its keys count, changed or not: SQLite frees a page without
 * writing to it. So every inner page of the trees is read, and no leaf but those that changed or
 * belong to one side. */
#include <stdlib.h>

#include "tenants/base/mem.h"
#include "tenants/diff/internal.h"

#define LEVELS_MAX 24 /* SQLite's own is 20 */

struct numbers {
    uint32_t *items; /* owned */
    size_t count, capacity;
};

struct walk {
    struct keys *keys;
    struct diff *diff;
    bool scan;
    uint64_t *left; /* of a scan: pages that are still looked for */
    unsigned char *rooms[3];
    struct numbers both[LEVELS_MAX], before[LEVELS_MAX], after[LEVELS_MAX];
};

static void add(struct numbers *numbers, uint32_t pgno)
{
    if (numbers->count == numbers->capacity) {
        numbers->capacity = MAX(numbers->capacity * 2, (size_t)64);
        numbers->items = mem_realloc(numbers->items, numbers->capacity * sizeof(*numbers->items));
    }
    numbers->items[numbers->count++] = pgno;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void sort(struct numbers *numbers)
{
    if (numbers->count > 1)
        qsort(numbers->items, numbers->count, sizeof(*numbers->items), compare_numbers);
}

static int damaged(const struct walk *walk, uint32_t pgno, struct err *ret_err)
{
    return err_set(
        ret_err, ERR_CORRUPT, "page %u of '%s' is damaged", pgno, walk->keys->table->public.name);
}

/* Reads a page of a tree, and notes that it is one. */
static int read_page(struct walk *walk, struct side *side, uint32_t pgno, uint32_t level, int room,
    struct btree_page *ret_page, struct err *ret_err)
{
    if (diff_step(walk->diff, ret_err) < 0)
        return -1;
    if (pgno == 0 || pgno > side->pages)
        return damaged(walk, pgno, ret_err);
    if (side_page(side, pgno, walk->rooms[room], ret_err) < 0)
        return -1;
    if (btree_page(walk->rooms[room], side->usable, pgno, ret_page) < 0 ||
        btree_is_leaf(ret_page) != (level == 0) ||
        btree_is_index(ret_page) != walk->keys->table->keyed->without_rowid)
        return damaged(walk, pgno, ret_err);
    if (!walk->scan && page_set_has(&walk->diff->changed, pgno))
        page_set_add(&walk->diff->seen, pgno);
    return 0;
}

/* ------------------------------------------------------------------ cells */

/* What a cell says of its row, without the child that it hangs before. */
static struct str row_bytes(const struct btree_page *page, const struct btree_cell *cell)
{
    size_t skip = page->type == BTREE_INDEX_INTERIOR ? 4 : 0;

    return str_make(cell->raw.ptr + skip, cell->raw.len - skip);
}

static int put_cells(struct walk *walk, struct side *side, const struct btree_page *page,
    uint32_t first, uint32_t end, struct err *ret_err)
{
    for (uint32_t i = first; i < end; i++) {
        struct btree_cell cell;

        if (btree_cell(page, i, &cell) < 0)
            return damaged(walk, 0, ret_err);
        if (keys_put_cell(walk->keys, side, &cell, ret_err) < 0)
            return -1;
    }
    return 0;
}

/* Both cells say the same. What is in overflow pages may have changed: then the key counts. */
static int same_cell(struct walk *walk, const struct btree_page *before, uint32_t i,
    const struct btree_page *after, uint32_t j, bool *ret_same, struct err *ret_err)
{
    struct btree_cell a, b;

    if (btree_cell(before, i, &a) < 0 || btree_cell(after, j, &b) < 0)
        return damaged(walk, 0, ret_err);
    *ret_same = str_equal(row_bytes(before, &a), row_bytes(after, &b));
    if (*ret_same && a.overflow != 0)
        return keys_put_cell(walk->keys, &walk->diff->before, &a, ret_err);
    return 0;
}

/* Cells in order of rowids: those of equal bytes drop out. */
static int compare_table_cells(struct walk *walk, const struct btree_page *before,
    const struct btree_page *after, struct err *ret_err)
{
    for (uint32_t i = 0, j = 0; i < before->cells || j < after->cells;) {
        struct btree_cell a = {.left_child = 0}, b = {.left_child = 0};
        bool has_a = i < before->cells, has_b = j < after->cells;

        if ((has_a && btree_cell(before, i, &a) < 0) || (has_b && btree_cell(after, j, &b) < 0))
            return damaged(walk, 0, ret_err);
        if (has_a && has_b && a.rowid == b.rowid) {
            i++;
            j++;
            if (str_equal(a.raw, b.raw) && a.overflow == 0)
                continue;
        } else if (has_a && (!has_b || a.rowid < b.rowid)) {
            i++;
        } else {
            j++;
            a = b;
        }
        if (keys_put_cell(walk->keys, &walk->diff->before, &a, ret_err) < 0)
            return -1;
    }
    return 0;
}

/* Without knowing their order: what is equal at both ends drops out. */
static int compare_index_cells(struct walk *walk, const struct btree_page *before,
    const struct btree_page *after, struct err *ret_err)
{
    uint32_t first = 0, end_a = before->cells, end_b = after->cells;
    bool same = true;

    while (first < end_a && first < end_b) {
        if (same_cell(walk, before, first, after, first, &same, ret_err) < 0)
            return -1;
        if (!same)
            break;
        first++;
    }
    while (end_a > first && end_b > first) {
        if (same_cell(walk, before, end_a - 1, after, end_b - 1, &same, ret_err) < 0)
            return -1;
        if (!same)
            break;
        end_a--;
        end_b--;
    }
    if (put_cells(walk, &walk->diff->before, before, first, end_a, ret_err) < 0)
        return -1;
    return put_cells(walk, &walk->diff->after, after, first, end_b, ret_err);
}

/* The rows of a page that both trees have and that changed. */
static int compare_cells(struct walk *walk, const struct btree_page *before,
    const struct btree_page *after, struct err *ret_err)
{
    if (walk->scan || before->type == BTREE_TABLE_INTERIOR)
        return 0;
    if (before->type == BTREE_TABLE_LEAF)
        return compare_table_cells(walk, before, after, ret_err);
    return compare_index_cells(walk, before, after, ret_err);
}

/* Of a scan: follows the overflow pages of a cell whose page did not change. */
static int follow(struct walk *walk, const struct btree_cell *cell, struct err *ret_err)
{
    struct diff *diff = walk->diff;
    uint32_t next = cell->overflow, steps = 0;
    bool hit = false;

    while (next != 0) {
        if (next > diff->before.pages || ++steps > diff->before.pages)
            return damaged(walk, next, ret_err);
        if (page_set_has(&diff->changed, next))
            hit = true;
        if (page_set_has(&diff->seen, next) && *walk->left > 0)
            (*walk->left)--;
        if (diff_step(diff, ret_err) < 0 ||
            side_page(&diff->before, next, walk->rooms[2], ret_err) < 0)
            return -1;
        next = btree_u32(walk->rooms[2]);
    }
    return hit ? keys_put_cell(walk->keys, &diff->before, cell, ret_err) : 0;
}

static int follow_cells(struct walk *walk, const struct btree_page *page, struct err *ret_err)
{
    if (page->type == BTREE_TABLE_INTERIOR)
        return 0;
    for (uint32_t i = 0; i<page->cells && * walk->left> 0; i++) {
        struct btree_cell cell;

        if (btree_cell(page, i, &cell) < 0)
            return damaged(walk, 0, ret_err);
        if (cell.overflow != 0 && follow(walk, &cell, ret_err) < 0)
            return -1;
    }
    return 0;
}

/* ------------------------------------------------------------------ levels */

static int add_children(struct walk *walk, const struct btree_page *page, bool changed_only,
    struct numbers *out, struct err *ret_err)
{
    for (uint32_t i = 0; i <= page->cells; i++) {
        struct btree_cell cell;
        uint32_t child = page->right_child;

        if (i < page->cells) {
            if (btree_cell(page, i, &cell) < 0)
                return damaged(walk, 0, ret_err);
            child = cell.left_child;
        }
        if (!changed_only || page_set_has(&walk->diff->changed, child))
            add(out, child);
    }
    return 0;
}

static int visit_both(struct walk *walk, uint32_t pgno, uint32_t level, struct err *ret_err)
{
    struct diff *diff = walk->diff;
    struct btree_page before, after;
    bool changed = page_set_has(&diff->changed, pgno);

    if (level == 0 && changed == walk->scan)
        return 0;
    if (read_page(walk, &diff->before, pgno, level, 0, &before, ret_err) < 0)
        return -1;
    if (!changed) {
        if (walk->scan && follow_cells(walk, &before, ret_err) < 0)
            return -1;
        return level == 0 ? 0
                          : add_children(walk, &before, level == 1 && !walk->scan,
                                &walk->both[level - 1], ret_err);
    }
    if (read_page(walk, &diff->after, pgno, level, 1, &after, ret_err) < 0 ||
        compare_cells(walk, &before, &after, ret_err) < 0)
        return -1;
    if (level == 0)
        return 0;
    if (add_children(walk, &before, false, &walk->before[level - 1], ret_err) < 0)
        return -1;
    return add_children(walk, &after, false, &walk->after[level - 1], ret_err);
}

static int visit_one(struct walk *walk, struct side *side, uint32_t pgno, uint32_t level,
    struct numbers *children, struct err *ret_err)
{
    struct btree_page page;

    if (level == 0 && walk->scan)
        return 0;
    if (read_page(walk, side, pgno, level, 0, &page, ret_err) < 0)
        return -1;
    if (!walk->scan && page.type != BTREE_TABLE_INTERIOR &&
        put_cells(walk, side, &page, 0, page.cells, ret_err) < 0)
        return -1;
    return level == 0 ? 0 : add_children(walk, &page, false, children, ret_err);
}

/* What both sides have at this level joins `both`; the others stay where they are. */
static void match(struct walk *walk, uint32_t level)
{
    struct numbers *before = &walk->before[level], *after = &walk->after[level];
    size_t kept_before = 0, kept_after = 0, j = 0;

    sort(before);
    sort(after);
    for (size_t i = 0; i < before->count; i++) {
        uint32_t pgno = before->items[i];

        while (j < after->count && after->items[j] < pgno)
            after->items[kept_after++] = after->items[j++];
        if (j < after->count && after->items[j] == pgno) {
            add(&walk->both[level], pgno);
            j++;
        } else {
            before->items[kept_before++] = pgno;
        }
    }
    while (j < after->count)
        after->items[kept_after++] = after->items[j++];
    before->count = kept_before;
    after->count = kept_after;
}

static int visit_level(struct walk *walk, uint32_t level, struct err *ret_err)
{
    struct diff *diff = walk->diff;
    uint32_t below = level == 0 ? 0 : level - 1;

    match(walk, level);
    for (size_t i = 0; i < walk->both[level].count; i++) {
        if (walk->scan && *walk->left == 0)
            return 0;
        if (visit_both(walk, walk->both[level].items[i], level, ret_err) < 0)
            return -1;
    }
    for (size_t i = 0; i < walk->before[level].count; i++)
        if (visit_one(walk, &diff->before, walk->before[level].items[i], level,
                &walk->before[below], ret_err) < 0)
            return -1;
    for (size_t i = 0; i < walk->after[level].count; i++)
        if (visit_one(walk, &diff->after, walk->after[level].items[i], level, &walk->after[below],
                ret_err) < 0)
            return -1;
    return 0;
}

/* Leaves are all at the same depth: the way down the left shows it. */
static int height(
    struct walk *walk, struct side *side, uint32_t root, uint32_t *ret_height, struct err *ret_err)
{
    uint32_t pgno = root;

    for (uint32_t level = 0; level < LEVELS_MAX; level++) {
        struct btree_page page;
        struct btree_cell cell;

        if (pgno == 0 || pgno > side->pages)
            return damaged(walk, pgno, ret_err);
        if (side_page(side, pgno, walk->rooms[0], ret_err) < 0)
            return -1;
        if (btree_page(walk->rooms[0], side->usable, pgno, &page) < 0)
            return damaged(walk, pgno, ret_err);
        if (btree_is_leaf(&page)) {
            *ret_height = level;
            return 0;
        }
        if (page.cells > 0 && btree_cell(&page, 0, &cell) < 0)
            return damaged(walk, pgno, ret_err);
        pgno = page.cells > 0 ? cell.left_child : page.right_child;
    }
    return damaged(walk, root, ret_err);
}

static int walk_levels(struct walk *walk, struct err *ret_err)
{
    const struct table_state *table = walk->keys->table;
    uint32_t before, after;

    if (height(walk, &walk->diff->before, table->before->root, &before, ret_err) < 0 ||
        height(walk, &walk->diff->after, table->after->root, &after, ret_err) < 0)
        return -1;
    add(&walk->before[before], table->before->root);
    add(&walk->after[after], table->after->root);
    for (uint32_t level = MAX(before, after) + 1; level-- > 0;)
        if (visit_level(walk, level, ret_err) < 0)
            return -1;
    return 0;
}

int walk_table(struct keys *keys, bool scan, uint64_t *left, struct err *ret_err)
{
    struct walk walk = {.keys = keys, .diff = keys->diff, .scan = scan, .left = left};
    int rc;

    for (size_t i = 0; i < ARRAY_LEN(walk.rooms); i++)
        walk.rooms[i] = mem_alloc(keys->diff->before.page_size);
    rc = walk_levels(&walk, ret_err);
    for (size_t i = 0; i < LEVELS_MAX; i++) {
        mem_free(walk.both[i].items);
        mem_free(walk.before[i].items);
        mem_free(walk.after[i].items);
    }
    for (size_t i = 0; i < ARRAY_LEN(walk.rooms); i++)
        mem_free(walk.rooms[i]);
    return rc;
}
