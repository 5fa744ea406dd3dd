#include "tenants/layers/fold.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/layers/heads_internal.h"
#include "tenants/manifest_edit.h"
#include "tenants/vfs_internal.h"
#include "tenants/vfs_io.h"

struct fold {
    struct family *family;     /* owned reference */
    struct manifest_stack run; /* ids, bottom first; with the base when it goes into that */
    struct layer **layers;     /* owned references, as run */
    struct layer *merged;      /* owned reference; NULL: into the base */
    struct table *table;       /* entries count layers of the run */
    char *page;                /* owned */
    uint32_t page_size;
    uint32_t next;         /* page */
    uint32_t pages, limit; /* of all of them together */
    bool done, unknown;
};

static bool goes_into_base(const struct fold *fold)
{
    return fold->layers[0]->is_base;
}

/* ------------------------------------------------------------------ choosing */

struct users {
    char (*ids)[ID_HEX_BYTES]; /* owned, sorted; once for each stack */
    size_t count;
};

struct choice {
    const struct manifest_stack *stack;
    size_t first, count;
};

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, ID_HEX_BYTES);
}

static struct users find_users(struct manifest *manifest)
{
    struct users users = {.count = 0};
    struct manifest_stack *stack;

    for (size_t i = 0; (stack = manifest_stack_at(manifest, i)) != NULL; i++)
        users.count += stack->count;
    users.ids = mem_alloc((users.count + 1) * sizeof(*users.ids));
    users.count = 0;
    for (size_t i = 0; (stack = manifest_stack_at(manifest, i)) != NULL; i++) {
        memcpy(users.ids[users.count], stack->layers, stack->count * sizeof(*users.ids));
        users.count += stack->count;
    }
    qsort(users.ids, users.count, sizeof(*users.ids), by_id);
    return users;
}

static size_t users_of(const struct users *users, const char *id)
{
    const char(*found)[ID_HEX_BYTES] =
        bsearch(id, users->ids, users->count, sizeof(*users->ids), by_id);
    size_t first, last;

    if (found == NULL)
        return 0;
    first = last = (size_t)(found - (const char(*)[ID_HEX_BYTES])users->ids);
    while (first > 0 && by_id(users->ids[first - 1], id) == 0)
        first--;
    while (last + 1 < users->count && by_id(users->ids[last + 1], id) == 0)
        last++;
    return last - first + 1;
}

/* Stacks are made by adding on top of others, so what is below a layer is the same in all of them:
 * neighbours with as many users have the same ones. A base counts only when it has one. */
static void look_at(const struct manifest *manifest, const struct users *users,
    const struct manifest_stack *stack, struct choice *best)
{
    size_t first = 0, before = 0;

    for (size_t i = 0; i <= stack->count; i++) {
        const struct manifest_layer *layer =
            i < stack->count ? manifest_find_layer(manifest, stack->layers[i]) : NULL;
        size_t now = layer == NULL || !layer->frozen ? 0 : users_of(users, layer->id);

        if (layer != NULL && layer->kind == MANIFEST_BASE && now > 1)
            now = SIZE_MAX; /* like nobody's */
        if (i > 0 && (now != before || now == 0)) {
            if (before != 0 && i - first >= 2 && i - first > best->count)
                *best = (struct choice){.stack = stack, .first = first, .count = i - first};
            first = i;
        }
        before = now;
    }
}

static struct choice choose(struct manifest *manifest, unsigned depth)
{
    struct users users = find_users(manifest);
    struct choice best = {.count = 0};
    struct manifest_stack *stack;

    for (size_t i = 0; (stack = manifest_stack_at(manifest, i)) != NULL; i++)
        if (stack->count > depth)
            look_at(manifest, &users, stack, &best);
    mem_free(users.ids);
    return best;
}

/* ------------------------------------------------------------------ beginning */

/* What each page of the run is: the topmost layer's, as far as it shows. */
static void plan(struct fold *fold)
{
    size_t first = goes_into_base(fold) ? 1 : 0;
    const struct layer *top = fold->layers[fold->run.count - 1];

    fold->pages = top->map.pages;
    fold->limit = UINT32_MAX;
    fold->table = table_new(0);
    for (size_t i = fold->run.count; i-- > first;) {
        const struct map *map = &fold->layers[i]->map;

        for (uint32_t slot = 0; slot < map->slots; slot++) {
            uint32_t pgno = map->pgno[slot];

            if (pgno != 0 && pgno <= fold->limit && table_get(fold->table, pgno) == 0)
                table_set(fold->table, pgno, table_entry((uint32_t)i + 1, slot));
        }
        fold->limit = MIN(fold->limit, map->base_limit);
    }
    fold->next = 1;
}

static int open_run(struct fold *fold, const struct choice *choice, struct err *ret_err)
{
    struct family *family = fold->family;

    fold->layers = mem_zalloc(choice->count * sizeof(struct layer *));
    for (size_t i = 0; i < choice->count; i++) {
        const char *id = choice->stack->layers[choice->first + i];

        if (family_get_layer(family, id, &fold->layers[i], ret_err) < 0)
            return -1;
        manifest_stack_push(&fold->run, id);
    }
    fold->page_size = fold->layers[0]->page_size;
    fold->page = mem_alloc(fold->page_size);
    if (!goes_into_base(fold)) {
        char id[ID_HEX_BYTES];

        family_new_id(id);
        fold->merged = layer_new(family->place.folder, id, fold->page_size);
    }
    plan(fold);
    return 0;
}

int fold_begin(struct family *family, unsigned depth, struct fold **ret_fold, struct err *ret_err)
{
    struct fold *fold = NULL;
    struct choice choice;
    int rc = 0;

    *ret_fold = NULL;
    mutex_lock(&family->lock);
    if (family->folding)
        rc = err_set(ret_err, ERR_BUSY, "'%s' is being folded", family->place.folder);
    choice =
        rc < 0 || family->broken ? (struct choice){.count = 0} : choose(&family->manifest, depth);
    if (choice.count > 0) {
        fold = mem_zalloc(sizeof(*fold));
        fold->family = family_ref(family);
        family->folding = true;
        rc = open_run(fold, &choice, ret_err);
    }
    mutex_unlock(&family->lock);
    if (rc < 0)
        fold_end(fold);
    else
        *ret_fold = fold;
    return rc;
}

/* ------------------------------------------------------------------ copying */

static int read_page(struct fold *fold, uint32_t entry, struct err *ret_err)
{
    const struct layer *layer = fold->layers[table_layer(entry) - 1];
    ssize_t n =
        io_read_all(layer->fd, fold->page, fold->page_size, layer_offset(layer, table_slot(entry)));

    if (n == (ssize_t)fold->page_size)
        return 0;
    return n < 0 ? err_set_errno(ret_err, ERR_IO, errno, "cannot read layer %s", layer->id)
                 : err_set(ret_err, ERR_CORRUPT, "layer %s is cut off", layer->id);
}

static int write_page(struct fold *fold, uint32_t pgno, struct err *ret_err)
{
    uint32_t slot;

    if (goes_into_base(fold)) {
        if (io_write_all(fold->layers[0]->fd, fold->page, fold->page_size,
                (off_t)(pgno - 1) * fold->page_size) < 0)
            return err_set_errno(
                ret_err, ERR_IO, errno, "cannot write base-%s", fold->layers[0]->id);
        return 0;
    }
    if (layer_add(fold->merged, pgno, fold->page, &slot) != SQLITE_OK)
        return err_set_errno(
            ret_err, ERR_IO, vfs_marks.last_errno, "cannot write layer %s", fold->merged->id);
    return 0;
}

/* 1: a page was copied, 0: there was nothing to do. Pages that do not exist below the limit are
 * zeros, which a base has to say. */
static int copy_page(struct fold *fold, uint32_t pgno, struct err *ret_err)
{
    uint32_t entry = table_get(fold->table, pgno);

    if (entry != 0) {
        if (read_page(fold, entry, ret_err) < 0)
            return -1;
    } else if (goes_into_base(fold) && pgno > fold->limit) {
        memset(fold->page, 0, fold->page_size);
    } else {
        return 0;
    }
    return write_page(fold, pgno, ret_err) < 0 ? -1 : 1;
}

/* ------------------------------------------------------------------ finishing */

static bool has_any(const struct manifest_stack *stack, const struct manifest_stack *run)
{
    for (size_t i = 0; i < stack->count; i++)
        for (size_t r = 0; r < run->count; r++)
            if (strcmp(stack->layers[i], run->layers[r]) == 0)
                return true;
    return false;
}

/* The run in each stack gives way to what it became. -1: a stack has a part of it only, or none has
 * it any more. */
static int edit_stacks(struct fold *fold, struct manifest *next)
{
    size_t keep = goes_into_base(fold) ? 1 : 0; /* the base stays where it is */
    struct manifest_stack *stack;
    bool found = false;

    for (size_t i = 0; (stack = manifest_stack_at(next, i)) != NULL; i++) {
        int at = manifest_stack_find(stack, &fold->run);
        size_t first, gone = fold->run.count - keep;

        if (at < 0) {
            if (has_any(stack, &fold->run))
                return -1;
            continue;
        }
        found = true;
        first = (size_t)at + keep;
        if (fold->merged != NULL) {
            memcpy(stack->layers[first], fold->merged->id, ID_HEX_BYTES);
            first++;
            gone--;
        }
        memmove(stack->layers[first], stack->layers[first + gone],
            (stack->count - first - gone) * sizeof(*stack->layers));
        stack->count -= gone;
    }
    return found ? 0 : -1;
}

static void edit_lines(struct fold *fold, struct manifest *next)
{
    if (fold->merged != NULL) {
        struct manifest_layer line = {.kind = MANIFEST_OVER,
            .frozen = true,
            .page_size = fold->page_size,
            .pages = fold->merged->map.pages,
            .batches = fold->merged->map.batches,
            .map_checksum = fold->merged->map.checksum};

        memcpy(line.id, fold->merged->id, sizeof(line.id));
        manifest_add_layer(next, &line);
    } else {
        manifest_layer_of(next, fold->run.layers[0])->pages = fold->pages;
    }
    manifest_drop_unused(next);
}

/* The same pages, from fewer layers. */
static void swap_views(struct fold *fold)
{
    uint32_t keep = goes_into_base(fold) ? 1 : 0;

    LIST_FOREACH(item, &fold->family->heads)
    {
        struct family_head *head = LIST_ENTRY(item, struct family_head, link);
        int at = stack_find(head->stack, fold->layers[keep]);

        /* One that a reset ended keeps what it has until it is closed. */
        if (at >= 0 && manifest_find_head(&fold->family->manifest, head->id) != NULL)
            stack_replace(
                head->stack, (uint32_t)at, (uint32_t)fold->run.count - keep, fold->merged);
    }
    family_reap_layers(fold->family);
}

/* What is longer does not count; it only takes room. */
static void cut_base(const struct fold *fold, const struct layer *base)
{
    if (io_truncate(base->fd, (off_t)fold->pages * fold->page_size) < 0)
        log_warn("family.fold", "layer=base-%s error=cannot be cut", base->id);
}

static int commit_locked(struct fold *fold, struct err *ret_err)
{
    struct family *family = fold->family;
    struct layer *base = fold->layers[0];
    struct manifest next;
    int rc;

    if (family->broken)
        return err_set(ret_err, ERR_IO, "'%s' has to be read anew", family->place.folder);
    manifest_copy(&family->manifest, &next);
    if (edit_stacks(fold, &next) < 0) {
        manifest_fini(&next);
        return err_set(ret_err, ERR_CONFLICT, "the layers were changed while they were folded");
    }
    edit_lines(fold, &next);
    rc = family_replace_manifest(family, &next, &fold->unknown, ret_err);
    manifest_fini(&next);
    if (rc < 0)
        return -1;
    if (fold->merged != NULL) {
        layer_freeze(fold->merged);
        layer_unref(family_add_layer(family, layer_ref(fold->merged)));
    } else {
        base->pages = fold->pages;
    }
    swap_views(fold);
    if (goes_into_base(fold))
        cut_base(fold, base);
    return 0;
}

static int finish(struct fold *fold, struct err *ret_err)
{
    int rc;

    if (fold->merged != NULL) {
        fold->merged->map.pages = fold->pages;
        fold->merged->map.base_limit = fold->limit;
        if (layer_sync(fold->merged) != SQLITE_OK)
            return err_set_errno(
                ret_err, ERR_IO, vfs_marks.last_errno, "cannot sync layer %s", fold->merged->id);
    } else if (io_sync(fold->layers[0]->fd) < 0) {
        return err_set_errno(ret_err, ERR_IO, errno, "cannot sync base-%s", fold->layers[0]->id);
    }
    mutex_lock(&fold->family->lock);
    rc = commit_locked(fold, ret_err);
    mutex_unlock(&fold->family->lock);
    fold->done = rc == 0;
    return rc;
}

int fold_step(struct fold *fold, unsigned pages, bool *ret_done, struct err *ret_err)
{
    unsigned copied = 0;

    *ret_done = false;
    for (; fold->next <= fold->pages; fold->next++) {
        int rc;

        if (copied >= pages)
            return 0;
        rc = copy_page(fold, fold->next, ret_err);
        if (rc < 0)
            return -1;
        copied += (unsigned)rc;
    }
    if (finish(fold, ret_err) < 0)
        return -1;
    *ret_done = true;
    return 0;
}

static void remove_unfinished(const struct fold *fold)
{
    static const enum layer_file files[] = {LAYER_PAGES, LAYER_MAP};
    char name[LAYER_NAME_MAX], path[FAMILY_PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        (void)io_unlink(family_path_in(
            &fold->family->place, layer_file_name(files[i], fold->merged->id, name), path));
}

void fold_end(struct fold *fold)
{
    if (fold == NULL)
        return;
    mutex_lock(&fold->family->lock);
    if (fold->merged != NULL && !fold->done && !fold->unknown)
        remove_unfinished(fold);
    for (size_t i = 0; i < fold->run.count; i++)
        layer_unref(fold->layers[i]);
    layer_unref(fold->merged);
    family_reap_layers(fold->family);
    fold->family->folding = false;
    mutex_unlock(&fold->family->lock);
    family_release(fold->family);
    table_unref(fold->table);
    manifest_stack_fini(&fold->run);
    mem_free(fold->layers);
    mem_free(fold->page);
    mem_free(fold);
}
