/* Which pages of a database may differ from those of another of its family: a set of page numbers.
 *
 * From the stacks alone: layers that both have at their bottom (up to the fork) make no difference;
 * what the others own may, and so may pages beyond a size that the database had in between. Commits
 * that are still in a log are added from it. The set may hold pages that are equal after all,
 * never the other way round; no page is read to make it. A bit a page, 32 KB for 1 GB. */
#ifndef TENANTS_DIFF_PAGES_H
#define TENANTS_DIFF_PAGES_H

#include "tenants/base/err.h"

struct layer_stack;
struct vfs_head;

struct page_set {
    uint64_t *bits;  /* owned */
    uint32_t words;  /* of bits */
    uint32_t beyond; /* all pages after this one are in the set; UINT32_MAX: none */
};

void page_set_init(struct page_set *set); /* empty */
void page_set_fini(struct page_set *set); /* zeroed is fine, and twice */
void page_set_add(struct page_set *set, uint32_t pgno);
/* All pages after `pgno` are in it. */
void page_set_add_beyond(struct page_set *set, uint32_t pgno);

static inline bool page_set_has(const struct page_set *set, uint32_t pgno)
{
    return pgno > set->beyond ||
           (pgno / 64 < set->words && (set->bits[pgno / 64] >> (pgno % 64) & 1) != 0);
}

/* The first page of the set from `pgno` on, up to `last`; 0: none. */
uint32_t page_set_next(const struct page_set *set, uint32_t pgno, uint32_t last);

/* Adds the pages in which two stacks may differ. With a plain file (never branched) all pages are.
 * Thread: worker; beside readers, writers, freezes and folds. */
void page_set_add_stacks(struct page_set *set, struct layer_stack *a, struct layer_stack *b);
/* Adds the pages that a head's log holds. Call it when the read transaction whose pages are to be
 * compared has begun, and before page_set_add_stacks(): a page that is checkpointed in between is
 * then found in one or the other. Errors: ERR_IO. */
int page_set_add_log(struct page_set *set, struct vfs_head *head, struct err *ret_err) MUST_CHECK;

#endif
