/* Model: changed pages first, by comparing the candidates; then the tables' trees are walked for
 * keys, all at once, because only when it is known which changed pages are trees' pages can the
 * others be told to be overflow. Counts and rows come from the keys, by SQL. */
#include "tenants/diff/diff.h"

#include <sqlite3.h>

#include "tenants/base/mem.h"
#include "tenants/diff/internal.h"
#include "tenants/sql_error.h"

int diff_no_room(struct err *ret_err)
{
    return err_set(ret_err, ERR_TOO_LARGE, "the schemas are too large to be compared");
}

int diff_step(struct diff *diff, struct err *ret_err)
{
    if (++diff->steps % DIFF_CALLS_PER_LOOK != 0 || diff->is_over == NULL ||
        !diff->is_over(diff->context))
        return 0;
    return err_set(ret_err, ERR_BUDGET_TIME, "comparing the databases took too long");
}

struct diff_work diff_work(const struct diff *diff)
{
    return (struct diff_work){
        .pages_read = diff->pages_read, .pages_differ = diff->pages_differ, .keys = diff->keys};
}

/* ------------------------------------------------------------------ pages */

static bool same_layout(const struct side *a, const struct side *b)
{
    return a->page != NULL && b->page != NULL && a->page_size == b->page_size &&
           a->usable == b->usable && a->auto_vacuum == b->auto_vacuum && a->encoding == b->encoding;
}

static int compare_page(struct diff *diff, uint32_t pgno, unsigned char *room, struct err *ret_err)
{
    size_t size = diff->before.page_size;

    if (diff_step(diff, ret_err) < 0)
        return -1;
    if (pgno <= diff->before.pages && pgno <= diff->after.pages) {
        if (side_page(&diff->before, pgno, room, ret_err) < 0 ||
            side_page(&diff->after, pgno, room + size, ret_err) < 0)
            return -1;
        if (memcmp(room, room + size, size) == 0)
            return 0;
    }
    page_set_add(&diff->changed, pgno);
    diff->pages_differ++;
    return 0;
}

static int compare_pages(struct diff *diff, const struct page_set *pages, struct err *ret_err)
{
    uint32_t last = MAX(diff->before.pages, diff->after.pages);
    struct page_set all;
    unsigned char *room;
    int rc = 0;

    page_set_init(&all);
    page_set_add_beyond(&all, 0);
    room = mem_alloc((size_t)2 * diff->before.page_size);
    if (pages == NULL)
        pages = &all;
    for (uint32_t pgno = page_set_next(pages, 1, last); rc == 0 && pgno != 0;
         pgno = page_set_next(pages, pgno + 1, last))
        rc = compare_page(diff, pgno, room, ret_err);
    mem_free(room);
    page_set_fini(&all);
    return rc;
}

/* ------------------------------------------------------------------ keys */

static int gather_table(
    struct diff *diff, struct table_state *table, bool scan, uint64_t *left, struct err *ret_err)
{
    struct keys keys = {.diff = NULL};
    int rc = keys_begin(&keys, diff, table, ret_err);

    if (rc == 0)
        rc = walk_table(&keys, scan, left, ret_err);
    keys_end(&keys);
    return rc;
}

static bool is_walked(const struct table_state *table)
{
    return !table->whole && table->public.rows == DIFF_ROWS;
}

static int gather(struct diff *diff, struct err *ret_err)
{
    struct page_set suspects;
    uint64_t left = 0;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && diff->pages_differ > 0 && i < diff->table_count; i++)
        if (is_walked(&diff->tables[i]))
            rc = gather_table(diff, &diff->tables[i], false, &left, ret_err);
    page_set_init(&suspects);
    if (rc == 0 && diff->pages_differ > 0)
        rc = overflow_find(diff, &suspects, &left, ret_err);
    if (rc == 0 && left > 0) {
        page_set_fini(&diff->seen);
        diff->seen = suspects;
        page_set_init(&suspects);
        for (uint32_t i = 0; rc == 0 && left > 0 && i < diff->table_count; i++)
            if (is_walked(&diff->tables[i]))
                rc = gather_table(diff, &diff->tables[i], true, &left, ret_err);
    }
    page_set_fini(&suspects);
    for (uint32_t i = 0; i < diff->table_count; i++)
        diff->tables[i].gathered = !diff->tables[i].whole;
    return rc;
}

/* ------------------------------------------------------------------ opening */

static int open_parts(struct diff *diff, const struct diff_options *options, struct err *ret_err)
{
    if (side_open(&diff->before, options->before, &diff->arena, &diff->pages_read, ret_err) < 0 ||
        side_open(&diff->after, options->after, &diff->arena, &diff->pages_read, ret_err) < 0 ||
        scratch_open(&diff->scratch, ret_err) < 0)
        return -1;
    diff->paged = same_layout(&diff->before, &diff->after);
    if (tables_match(diff, ret_err) < 0)
        return -1;
    if (diff->paged && compare_pages(diff, options->pages, ret_err) < 0)
        return -1;
    return gather(diff, ret_err);
}

int diff_open(const struct diff_options *options, struct diff **ret_diff, struct err *ret_err)
{
    struct diff *diff = mem_zalloc(sizeof(*diff));

    arena_init(&diff->arena, DIFF_SCHEMA_BYTES_MAX);
    page_set_init(&diff->changed);
    page_set_init(&diff->seen);
    diff->is_over = options->is_over;
    diff->context = options->context;
    if (open_parts(diff, options, ret_err) < 0) {
        diff_close(diff);
        return -1;
    }
    *ret_diff = diff;
    return 0;
}

void diff_close(struct diff *diff)
{
    if (diff == NULL)
        return;
    side_close(&diff->before);
    side_close(&diff->after);
    (void)sqlite3_close(diff->scratch);
    page_set_fini(&diff->changed);
    page_set_fini(&diff->seen);
    arena_fini(&diff->arena);
    mem_free(diff);
}
