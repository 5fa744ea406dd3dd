/* Changed pages that no table's tree has. A row whose leaf did not change has the same first
 * overflow page on both sides, and each page of its chain up to the first that differs; so that one
 * is overflow on both sides, free on none, and no pointer map. First bytes tell most other pages:
 * of an overflow page they are the next one's number, which as a b-tree's type would be beyond the
 * end of any file under 128 GB. */
#include "tenants/base/mem.h"
#include "tenants/diff/internal.h"

static int add_free(struct diff *diff, struct side *side, struct page_set *set, struct err *ret_err)
{
    unsigned char *room = mem_alloc(side->page_size);
    uint32_t trunk = side->free_trunk, trunks = 0;
    int rc = 0;

    while (rc == 0 && trunk != 0) {
        uint32_t leaves;

        if (trunk > side->pages || ++trunks > side->pages)
            rc = err_set(ret_err, ERR_CORRUPT, "the list of free pages is damaged");
        else if (diff_step(diff, ret_err) < 0)
            rc = -1;
        else
            rc = side_page(side, trunk, room, ret_err);
        if (rc < 0)
            break;
        page_set_add(set, trunk);
        leaves = MIN(btree_u32(room + 4), side->usable / 4 - 2);
        for (uint32_t i = 0; i < leaves; i++) {
            uint32_t leaf = btree_u32(room + 8 + (size_t)4 * i);

            if (leaf <= side->pages)
                page_set_add(set, leaf);
        }
        trunk = btree_u32(room);
    }
    mem_free(room);
    return rc;
}

static int may_be_overflow(
    struct side *side, uint32_t pgno, unsigned char *room, bool *ret_may, struct err *ret_err)
{
    if (side_page(side, pgno, room, ret_err) < 0)
        return -1;
    *ret_may = btree_u32(room) <= side->pages;
    return 0;
}

static int suspect(
    struct diff *diff, uint32_t pgno, unsigned char *room, bool *ret_may, struct err *ret_err)
{
    *ret_may = false;
    if (page_set_has(&diff->seen, pgno) || pgno == 1 ||
        pgno > MIN(diff->before.pages, diff->after.pages) ||
        side_is_pointer_map(&diff->before, pgno))
        return 0;
    if (diff_step(diff, ret_err) < 0 ||
        may_be_overflow(&diff->before, pgno, room, ret_may, ret_err) < 0)
        return -1;
    return *ret_may ? may_be_overflow(&diff->after, pgno, room, ret_may, ret_err) : 0;
}

/* Frees are looked for last: most diffs have no suspect. */
static int leave_out_free(
    struct diff *diff, struct page_set *suspects, uint64_t *count, struct err *ret_err)
{
    uint32_t last = diff->before.pages;
    struct page_set kept, unused;
    int rc;

    page_set_init(&unused);
    page_set_init(&kept);
    rc = add_free(diff, &diff->before, &unused, ret_err);
    if (rc == 0)
        rc = add_free(diff, &diff->after, &unused, ret_err);
    *count = 0;
    for (uint32_t pgno = page_set_next(suspects, 1, last); rc == 0 && pgno != 0;
         pgno = page_set_next(suspects, pgno + 1, last)) {
        if (page_set_has(&unused, pgno))
            continue;
        page_set_add(&kept, pgno);
        (*count)++;
    }
    page_set_fini(&unused);
    page_set_fini(suspects);
    *suspects = kept;
    return rc;
}

int overflow_find(
    struct diff *diff, struct page_set *suspects, uint64_t *ret_count, struct err *ret_err)
{
    uint32_t last = diff->before.pages;
    unsigned char *room = mem_alloc(MAX(diff->before.page_size, diff->after.page_size));
    uint64_t count = 0;
    int rc = 0;

    for (uint32_t pgno = page_set_next(&diff->changed, 1, last); rc == 0 && pgno != 0;
         pgno = page_set_next(&diff->changed, pgno + 1, last)) {
        bool may;

        rc = suspect(diff, pgno, room, &may, ret_err);
        if (rc == 0 && may) {
            page_set_add(suspects, pgno);
            count++;
        }
    }
    mem_free(room);
    if (rc == 0 && count > 0)
        rc = leave_out_free(diff, suspects, &count, ret_err);
    *ret_count = rc == 0 ? count : 0;
    return rc;
}
