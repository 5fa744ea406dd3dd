#include "tenants/layers/stack.h"

#include <errno.h>
#include <string.h>

#include "tenants/base/check.h"
#include "tenants/base/mem.h"
#include "tenants/vfs_internal.h"
#include "tenants/vfs_io.h"

/* ------------------------------------------------------------------ views */

static struct layer_view *view_new(struct table *table, uint32_t count)
{
    struct layer_view *view = mem_zalloc(sizeof(*view) + count * sizeof(struct layer *));

    atomic_init(&view->readers, 0);
    view->table = table;
    view->count = count;
    return view;
}

static void view_free(struct layer_view *view)
{
    if (view == NULL)
        return;
    for (uint32_t i = 0; i < view->count; i++)
        layer_unref(view->layers[i]);
    table_unref(view->table);
    mem_free(view);
}

/* How much of a layer shows through those above it: pages up to the smallest limit. */
static uint32_t limit_above(const struct layer_view *view, uint32_t index)
{
    uint32_t limit = UINT32_MAX;

    for (uint32_t i = index + 1; i < view->count; i++)
        limit = MIN(limit, view->layers[i]->map.base_limit);
    return limit;
}

static uint32_t base_visible(const struct layer_view *view, uint32_t base_pages)
{
    return MIN(base_pages, limit_above(view, 0));
}

/* Bottom first, so that the topmost wins. */
static void fill_table(struct layer_view *view)
{
    for (uint32_t i = 1; i < view->count; i++) {
        const struct map *map = &view->layers[i]->map;
        uint32_t limit = limit_above(view, i);

        for (uint32_t slot = 0; slot < map->slots; slot++)
            if (map->pgno[slot] != 0 && map->pgno[slot] <= limit)
                table_set(view->table, map->pgno[slot], table_entry(i, slot));
    }
}

static struct layer_view *current(const struct layer_stack *stack)
{
    return atomic_load_explicit(&stack->view, memory_order_relaxed);
}

static struct layer *top_of(const struct layer_stack *stack)
{
    struct layer_view *view = current(stack);

    return view == NULL ? stack->base : view->layers[view->count - 1];
}

/* The old one is kept until its readers let go. Lock held. */
static void publish(struct layer_stack *stack, struct layer_view *view)
{
    struct layer_view *before = current(stack);

    atomic_store_explicit(&stack->view, view, memory_order_release);
    if (before == NULL)
        return;
    before->next = stack->old;
    stack->old = before;
}

static void reap_locked(struct layer_stack *stack)
{
    struct layer_view **at = &stack->old;

    while (*at != NULL) {
        struct layer_view *view = *at;

        if (atomic_load_explicit(&view->readers, memory_order_acquire) != 0) {
            at = &view->next;
            continue;
        }
        *at = view->next;
        view_free(view);
    }
}

void stack_reap(struct layer_stack *stack)
{
    mutex_lock(&stack->lock);
    reap_locked(stack);
    mutex_unlock(&stack->lock);
}

/* ------------------------------------------------------------------ opening */

static struct layer_stack *stack_new(struct layer *base)
{
    struct layer_stack *stack = mem_zalloc(sizeof(*stack));

    mutex_init(&stack->lock);
    stack->base = layer_ref(base);
    stack->page_size = base->page_size;
    return stack;
}

static int open_plain(struct layer_stack *stack, struct err *ret_err)
{
    struct stat status;

    if (fstat(stack->base->fd, &status) < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot stat base-%s", stack->base->id);
    atomic_init(&stack->bytes, (uint64_t)status.st_size);
    return 0;
}

int stack_open(struct layer *const *layers, uint32_t count, struct layer_stack **ret_stack,
    struct err *ret_err)
{
    struct layer_stack *stack = stack_new(layers[0]);
    uint32_t pages = layers[0]->pages;
    struct layer_view *view;

    CHECK(count >= 1 && count <= MANIFEST_STACK_MAX);
    if (count == 1) {
        layer_unref(layers[0]);
        if (open_plain(stack, ret_err) < 0) {
            stack_close(stack);
            return -1;
        }
        *ret_stack = stack;
        return 0;
    }
    view = view_new(NULL, count);
    for (uint32_t i = 0; i < count; i++)
        view->layers[i] = layers[i];
    for (uint32_t i = 1; i < count; i++) {
        if (!layers[i]->frozen)
            layer_begin(layers[i], pages);
        pages = layers[i]->map.pages;
    }
    view->table = table_new(base_visible(view, layers[0]->pages));
    fill_table(view);
    atomic_init(&stack->bytes, (uint64_t)pages * stack->page_size);
    atomic_init(&stack->view, view);
    *ret_stack = stack;
    return 0;
}

void stack_close(struct layer_stack *stack)
{
    if (stack == NULL)
        return;
    reap_locked(stack);
    CHECK(stack->old == NULL);
    if (current(stack) != NULL)
        CHECK(atomic_load(&current(stack)->readers) == 0);
    view_free(current(stack));
    layer_unref(stack->base);
    mutex_fini(&stack->lock);
    mem_free(stack);
}

/* ------------------------------------------------------------------ reading */

void stack_let_go(struct layer_view **held)
{
    if (*held != NULL)
        atomic_fetch_sub_explicit(&(*held)->readers, 1, memory_order_release);
    *held = NULL;
}

/* The lock keeps the view from being freed between the look at it and the count. */
static struct layer_view *hold_latest(struct layer_stack *stack, struct layer_view **held)
{
    stack_let_go(held);
    mutex_lock(&stack->lock);
    *held = current(stack);
    atomic_fetch_add_explicit(&(*held)->readers, 1, memory_order_relaxed);
    mutex_unlock(&stack->lock);
    return *held;
}

static int read_zeros(const struct layer_stack *stack, void *bytes, int len, int64_t offset)
{
    memset(bytes, 0, (size_t)len);
    return (uint64_t)offset + (uint64_t)len <= stack_bytes(stack) ? SQLITE_OK
                                                                  : SQLITE_IOERR_SHORT_READ;
}

int stack_read(
    struct layer_stack *stack, struct layer_view **held, void *bytes, int len, int64_t offset)
{
    struct layer_view *view = *held;
    uint32_t within = (uint32_t)(offset & (stack->page_size - 1));
    uint64_t page = (uint64_t)offset / stack->page_size + 1;
    uint32_t entry;

    if (unlikely(view != atomic_load_explicit(&stack->view, memory_order_acquire)))
        view = hold_latest(stack, held);
    if (unlikely(page >= UINT32_MAX || within + (uint32_t)len > stack->page_size))
        return SQLITE_IOERR_READ; /* whole pages, or parts of one */
    entry = table_get(view->table, (uint32_t)page);
    /* The table is shared with the next view: pages of a top that this one does not have yet. */
    while (unlikely(table_layer(entry) >= view->count)) {
        view = hold_latest(stack, held);
        entry = table_get(view->table, (uint32_t)page);
    }
    if (entry != 0) {
        const struct layer *layer = view->layers[table_layer(entry)];

        return vfs_read(layer->fd, bytes, len, layer_offset(layer, table_slot(entry)) + within);
    }
    if (page <= atomic_load_explicit(&view->table->base_visible, memory_order_acquire))
        return vfs_read(view->layers[0]->fd, bytes, len, offset);
    return read_zeros(stack, bytes, len, offset);
}

/* ------------------------------------------------------------------ writing */

static void set_pages(struct layer_stack *stack, uint32_t pages)
{
    atomic_store_explicit(&stack->bytes, (uint64_t)pages * stack->page_size, memory_order_relaxed);
}

static int write_locked(struct layer_stack *stack, const void *page, uint32_t pgno)
{
    struct layer_view *view = current(stack);
    uint32_t top_at = view->count - 1;
    struct layer *top = view->layers[top_at];
    uint32_t entry = table_get(view->table, pgno);
    uint32_t slot;
    int rc;

    if (table_layer(entry) == top_at)
        return layer_put(top, table_slot(entry), page);
    rc = layer_add(top, pgno, page, &slot);
    if (rc != SQLITE_OK)
        return rc;
    table_set(view->table, pgno, table_entry(top_at, slot));
    if ((uint64_t)pgno * stack->page_size > stack_bytes(stack))
        set_pages(stack, pgno);
    return SQLITE_OK;
}

int stack_write(struct layer_stack *stack, const void *bytes, int len, int64_t offset)
{
    uint64_t page = (uint64_t)offset / stack->page_size + 1;
    int rc;

    if ((uint32_t)len != stack->page_size || offset % len != 0 || page >= UINT32_MAX)
        return SQLITE_IOERR_WRITE;
    mutex_lock(&stack->lock);
    rc = unlikely(stack->sealed) ? SQLITE_IOERR_WRITE : write_locked(stack, bytes, (uint32_t)page);
    mutex_unlock(&stack->lock);
    return rc;
}

/* A slot of the top whose page is cut off holds nothing any more. */
static void forget_slot(void *context, uint32_t pgno, uint32_t entry)
{
    struct layer_view *view = context;

    if (table_layer(entry) == view->count - 1)
        view->layers[view->count - 1]->map.pgno[table_slot(entry)] = 0;
}

/* The batch with those slots is closed first: they are in it with their pages, and a reader of the
 * log forgets them by the size that follows. */
static void truncate_locked(struct layer_stack *stack, uint32_t pages)
{
    struct layer_view *view = current(stack);

    layer_truncate(view->layers[view->count - 1], pages);
    table_cut(view->table, pages, forget_slot, view);
    if (pages < atomic_load(&view->table->base_visible))
        atomic_store_explicit(&view->table->base_visible, pages, memory_order_release);
    set_pages(stack, pages);
}

int stack_truncate(struct layer_stack *stack, int64_t bytes)
{
    int rc = SQLITE_OK;

    if (bytes % stack->page_size != 0)
        return SQLITE_IOERR_TRUNCATE;
    mutex_lock(&stack->lock);
    if (unlikely(stack->sealed))
        rc = SQLITE_IOERR_TRUNCATE;
    else if ((uint64_t)bytes < stack_bytes(stack)) /* never grown by this */
        truncate_locked(stack, (uint32_t)((uint64_t)bytes / stack->page_size));
    mutex_unlock(&stack->lock);
    return rc;
}

/* A failed sync is final: nobody knows what is on disk. */
static int sync_locked(struct layer_stack *stack)
{
    int rc = layer_sync(top_of(stack));

    stack->sealed = stack->sealed || rc == SQLITE_IOERR_FSYNC;
    return rc;
}

int stack_sync(struct layer_stack *stack)
{
    int rc;

    mutex_lock(&stack->lock);
    rc = unlikely(stack->sealed) ? SQLITE_IOERR_WRITE : sync_locked(stack);
    if (rc == SQLITE_OK)
        reap_locked(stack);
    mutex_unlock(&stack->lock);
    return rc;
}

void stack_forget_cache(struct layer_stack *stack)
{
    const struct layer *top = top_of(stack);

    if (top->fd >= 0)
        (void)posix_fadvise(top->fd, 0, 0, POSIX_FADV_DONTNEED);
    if (top->map_fd >= 0)
        (void)posix_fadvise(top->map_fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* ------------------------------------------------------------------ freezing and folding */

static uint32_t get_u16(const unsigned char *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

/* The base is frozen with the page size its header names; a new family's MANIFEST had to guess. */
static int seal_base(struct layer_stack *stack, struct manifest_layer *frozen, struct err *ret_err)
{
    unsigned char header[100];
    struct layer *base = stack->base;
    struct stat status;
    uint32_t size;

    if (io_read_all(base->fd, header, sizeof(header), 0) != sizeof(header) ||
        fstat(base->fd, &status) < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot read base-%s", base->id);
    size = get_u16(header + 16) == 1 ? 65536 : get_u16(header + 16);
    if (size < 512 || (size & (size - 1)) != 0 || status.st_size % size != 0 ||
        status.st_size / size >= UINT32_MAX)
        return err_set(ret_err, ERR_CORRUPT, "base-%s has no whole number of pages", base->id);
    if (io_sync(base->fd) < 0) {
        stack->sealed = true;
        return err_set_errno(ret_err, ERR_IO, errno, "cannot sync base-%s", base->id);
    }
    *frozen = (struct manifest_layer){.kind = MANIFEST_BASE,
        .frozen = true,
        .page_size = size,
        .pages = (uint32_t)(status.st_size / size)};
    return 0;
}

static int seal_over(
    struct layer_stack *stack, struct manifest_layer *frozen, bool *ret_empty, struct err *ret_err)
{
    struct layer *top = top_of(stack);

    if (sync_locked(stack) != SQLITE_OK)
        return err_set_errno(
            ret_err, ERR_IO, vfs_marks.last_errno, "cannot sync layer %s", top->id);
    *ret_empty = layer_is_empty(top);
    *frozen = (struct manifest_layer){.kind = MANIFEST_OVER,
        .frozen = true,
        .page_size = top->page_size,
        .pages = top->map.pages,
        .batches = top->map.batches,
        .map_checksum = top->map.checksum};
    return 0;
}

int stack_seal(struct layer_stack *stack, struct manifest_layer *ret_frozen, bool *ret_empty,
    struct err *ret_err)
{
    int rc;

    *ret_empty = false;
    mutex_lock(&stack->lock);
    if (stack->sealed)
        rc = err_set(ret_err, ERR_BUSY, "a branch is being made already");
    else if (current(stack) == NULL)
        rc = seal_base(stack, ret_frozen, ret_err);
    else
        rc = seal_over(stack, ret_frozen, ret_empty, ret_err);
    if (rc == 0) {
        stack->sealed = true;
        memcpy(ret_frozen->id, top_of(stack)->id, sizeof(ret_frozen->id));
    }
    mutex_unlock(&stack->lock);
    return rc;
}

void stack_unseal(struct layer_stack *stack)
{
    mutex_lock(&stack->lock);
    stack->sealed = false;
    mutex_unlock(&stack->lock);
}

void stack_push(struct layer_stack *stack, struct layer *top)
{
    struct layer_view *before, *view;
    uint32_t count;

    mutex_lock(&stack->lock);
    before = current(stack);
    count = before == NULL ? 1 : before->count;
    CHECK(count < MANIFEST_STACK_MAX);
    if (before == NULL) {
        stack->base->pages = (uint32_t)(stack_bytes(stack) / top->page_size);
        stack->base->page_size = stack->page_size = top->page_size;
        view = view_new(table_new(stack->base->pages), 2);
        view->layers[0] = layer_ref(stack->base);
    } else {
        view = view_new(table_ref(before->table), count + 1);
        for (uint32_t i = 0; i < count; i++)
            view->layers[i] = layer_ref(before->layers[i]);
    }
    layer_freeze(view->layers[count - 1]);
    view->layers[count] = top;
    layer_begin(top, (uint32_t)(stack_bytes(stack) / stack->page_size));
    publish(stack, view);
    stack->sealed = false;
    reap_locked(stack);
    mutex_unlock(&stack->lock);
}

int stack_find(struct layer_stack *stack, const struct layer *layer)
{
    const struct layer_view *view;
    int at = -1;

    mutex_lock(&stack->lock);
    view = current(stack);
    for (uint32_t i = 0; view != NULL && i < view->count; i++)
        if (view->layers[i] == layer)
            at = (int)i;
    mutex_unlock(&stack->lock);
    return at;
}

void stack_replace(struct layer_stack *stack, uint32_t first, uint32_t count, struct layer *merged)
{
    struct layer_view *before, *view;
    uint32_t more = merged == NULL ? 0 : 1;
    uint32_t at = 0;

    mutex_lock(&stack->lock);
    before = current(stack);
    CHECK(before != NULL && first >= 1 && first + count < before->count);
    view = view_new(NULL, before->count - count + more);
    for (uint32_t i = 0; i < before->count; i++) {
        if (i == first && merged != NULL)
            view->layers[at++] = layer_ref(merged);
        if (i < first || i >= first + count)
            view->layers[at++] = layer_ref(before->layers[i]);
    }
    view->table = table_new(base_visible(view, view->layers[0]->pages));
    fill_table(view);
    publish(stack, view);
    reap_locked(stack);
    mutex_unlock(&stack->lock);
}

uint64_t stack_memory(const struct layer_stack *stack)
{
    const struct layer_view *view = current(stack);

    return view == NULL ? 0 : atomic_load_explicit(&view->table->bytes, memory_order_relaxed);
}
