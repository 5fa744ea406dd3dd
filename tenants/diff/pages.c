#include "tenants/diff/pages.h"

#include <errno.h>
#include <string.h>

#include "tenants/base/mem.h"
#include "tenants/layers/stack.h"
#include "tenants/vfs_internal.h"
#include "tenants/vfs_io.h"

#define WAL_HEADER_BYTES 32
#define WAL_FRAME_HEADER_BYTES 24

void page_set_init(struct page_set *set)
{
    *set = (struct page_set){.beyond = UINT32_MAX};
}

void page_set_fini(struct page_set *set)
{
    mem_free(set->bits);
    *set = (struct page_set){.beyond = UINT32_MAX};
}

void page_set_add(struct page_set *set, uint32_t pgno)
{
    uint32_t word = pgno / 64;

    if (word >= set->words) {
        uint32_t words = MAX(word + 1, set->words * 2);

        set->bits = mem_realloc(set->bits, (size_t)words * sizeof(uint64_t));
        memset(set->bits + set->words, 0, (size_t)(words - set->words) * sizeof(uint64_t));
        set->words = words;
    }
    set->bits[word] |= UINT64_C(1) << (pgno % 64);
}

void page_set_add_beyond(struct page_set *set, uint32_t pgno)
{
    set->beyond = MIN(set->beyond, pgno);
}

uint32_t page_set_next(const struct page_set *set, uint32_t pgno, uint32_t last)
{
    uint64_t at = pgno;
    uint64_t beyond = (uint64_t)set->beyond + 1; /* from here on all are in it */

    while (at < beyond && at / 64 < set->words) {
        uint64_t rest = set->bits[at / 64] >> (at % 64);

        if (rest != 0) {
            at += (uint64_t)__builtin_ctzll(rest);
            break;
        }
        at = (at / 64 + 1) * 64;
    }
    if (at / 64 >= set->words || at > beyond)
        at = MAX(beyond, pgno);
    return at <= last ? (uint32_t)at : 0;
}

/* ------------------------------------------------------------------ stacks */

struct layers {
    struct layer **items; /* owned references; bottom first */
    uint32_t count;       /* 0: a plain file */
};

/* The layers of a stack, and what its top owns now, under its lock: the others change no more. */
static struct layers take_layers(struct layer_stack *stack, struct page_set *set)
{
    struct layers layers = {NULL, 0};
    const struct layer_view *view;
    const struct layer *top;

    mutex_lock(&stack->lock);
    view = atomic_load_explicit(&stack->view, memory_order_acquire);
    if (view != NULL) {
        layers.items = mem_alloc(view->count * sizeof(struct layer *));
        layers.count = view->count;
        for (uint32_t i = 0; i < view->count; i++)
            layers.items[i] = layer_ref(view->layers[i]);
        top = view->layers[view->count - 1];
        for (uint32_t slot = 0; slot < top->map.slots; slot++)
            page_set_add(set, top->map.pgno[slot]);
        page_set_add_beyond(set, top->map.base_limit);
    }
    mutex_unlock(&stack->lock);
    return layers;
}

static void let_go(struct layers *layers)
{
    for (uint32_t i = 0; i < layers->count; i++)
        layer_unref(layers->items[i]);
    mem_free(layers->items);
}

static void add_frozen(struct page_set *set, const struct layers *layers, uint32_t from)
{
    for (uint32_t i = from; i + 1 < layers->count; i++) {
        const struct layer *layer = layers->items[i];

        if (layer->is_base) { /* not of one family */
            page_set_add_beyond(set, 0);
            continue;
        }
        for (uint32_t slot = 0; slot < layer->map.slots; slot++)
            if (layer->map.pgno[slot] != 0)
                page_set_add(set, layer->map.pgno[slot]);
        page_set_add_beyond(set, layer->map.base_limit);
    }
}

void page_set_add_stacks(struct page_set *set, struct layer_stack *a, struct layer_stack *b)
{
    struct layers of_a = take_layers(a, set), of_b = take_layers(b, set);
    uint32_t fork = 0;

    if (of_a.count == 0 || of_b.count == 0)
        page_set_add_beyond(set, 0);
    while (fork < of_a.count && fork < of_b.count && of_a.items[fork] == of_b.items[fork])
        fork++;
    add_frozen(set, &of_a, fork);
    add_frozen(set, &of_b, fork);
    let_go(&of_a);
    let_go(&of_b);
}

/* ------------------------------------------------------------------ log */

static uint32_t get_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Frames of before the log's last restart have other salts. Those of this one that are checkpointed
 * already are read as well: a few pages more. */
int page_set_add_log(struct page_set *set, struct vfs_head *head, struct err *ret_err)
{
    unsigned char header[WAL_HEADER_BYTES], frame[16];
    uint64_t bytes = vfs_head_wal_bytes(head);
    off_t at = WAL_HEADER_BYTES;
    uint32_t page_size;

    if (bytes < WAL_HEADER_BYTES || vfs_head_is_settled(head))
        return 0; /* all that the transaction sees is in the stack */
    if (io_read_all(head->wal_fd, header, sizeof(header), 0) != (ssize_t)sizeof(header))
        return err_set_errno(ret_err, ERR_IO, errno, "cannot read a log's header");
    page_size = get_u32(header + 8);
    if (page_size == 0)
        return 0;
    for (; (uint64_t)at + WAL_FRAME_HEADER_BYTES + page_size <= bytes;
         at += (off_t)(WAL_FRAME_HEADER_BYTES + page_size)) {
        if (io_read_all(head->wal_fd, frame, sizeof(frame), at) != (ssize_t)sizeof(frame))
            return err_set_errno(ret_err, ERR_IO, errno, "cannot read a log's frames");
        if (memcmp(frame + 8, header + 16, 8) != 0)
            return 0;
        page_set_add(set, get_u32(frame));
    }
    return 0;
}
