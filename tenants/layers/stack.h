/* A stack of layers: the pages of one head, bottom first; only its top is written.
 *
 * A database that was never branched is a stack of its base alone, written in place: `view` is NULL
 * then, and the VFS reads and writes the base's descriptor itself. Else a page is found through the
 * view: an immutable list of layers and a page table. A page resolves to the topmost layer that has
 * it, a layer or base counting only up to the smallest base_limit above it; else it is zeros.
 *
 * Views change at a freeze (a layer more on top) and after a fold (other layers, the same pages).
 * A handle of SQLite holds the view it read with last and compares it with the stack's before each
 * read. (Not once per transaction: between SQLite's read lock and its look at how far the WAL was
 * checkpointed, a freeze and a checkpoint may run, and pages checkpointed then are in the new top
 * only. What SQLite reads is the *file*, and the file is always the latest view.)
 *
 * Threads: reads anywhere, loops included. All else on one thread at a time, on workers: whoever
 * checkpoints, and whoever freezes, which the actor keeps apart. */
#ifndef TENANTS_LAYERS_STACK_H
#define TENANTS_LAYERS_STACK_H

#include "tenants/base/thread.h"
#include "tenants/layers/layer.h"
#include "tenants/layers/table.h"

struct layer_view {
    _Atomic uint32_t readers;
    struct layer_view *next; /* the stack's list of old ones */
    struct table *table;     /* owned reference; the next view after a freeze has the same */
    uint32_t count;
    struct layer *layers[]; /* owned references */
};

struct layer_stack {
    _Atomic(struct layer_view *) view; /* owned; NULL: a base alone, written in place */
    _Atomic uint64_t bytes;            /* size of the database */
    struct mutex lock;                 /* of what follows, and of the top layer */
    struct layer *base;                /* owned reference */
    struct layer_view *old;            /* owned: views that handles may still hold */
    uint32_t page_size;
    bool sealed; /* nothing may be written: a freeze is under way, or its outcome is unknown */
};

/* Takes over the caller's references to the layers, also on failure. Pages of their maps are put
 * into a table: 5 ns a slot. Errors: ERR_CORRUPT. */
int stack_open(struct layer *const *layers, uint32_t count, struct layer_stack **ret_stack,
    struct err *ret_err) MUST_CHECK;
void stack_close(struct layer_stack *stack); /* NULL is fine; no handle holds a view */

/* What the VFS calls, with `held` in its handle (NULL at first). SQLite's codes. */
int stack_read(
    struct layer_stack *stack, struct layer_view **held, void *bytes, int len, int64_t offset);
/* Gives back what a handle holds: at its end, and at the end of a read when it is outdated. */
void stack_let_go(struct layer_view **held);
static inline bool stack_is_outdated(const struct layer_stack *stack, const struct layer_view *held)
{
    return held != NULL && held != atomic_load_explicit(&stack->view, memory_order_relaxed);
}
int stack_write(struct layer_stack *stack, const void *bytes, int len, int64_t offset);
int stack_truncate(struct layer_stack *stack, int64_t bytes);
int stack_sync(struct layer_stack *stack);
static inline uint64_t stack_bytes(const struct layer_stack *stack)
{
    return atomic_load_explicit(&stack->bytes, memory_order_relaxed);
}
/* It is more than a base that is written in place. */
static inline bool stack_is_layered(const struct layer_stack *stack)
{
    return atomic_load_explicit(&stack->view, memory_order_relaxed) != NULL;
}
/* Drops the page cache of what is written, after a failed sync. */
void stack_forget_cache(struct layer_stack *stack);

/* What a family does. A freeze: stack_seal(), MANIFEST, then stack_push() or stack_unseal().
 *
 * Nothing more is written: all that was is synced and ret_frozen tells what the MANIFEST has to say
 * of the top (its `id`, `frozen`, sizes). *ret_empty: the top has nothing of its own, and need not
 * be frozen. The database is settled: its WAL holds nothing that is not here. Errors: ERR_IO;
 * ERR_BUSY it is sealed already. */
int stack_seal(struct layer_stack *stack, struct manifest_layer *ret_frozen, bool *ret_empty,
    struct err *ret_err) MUST_CHECK;
void stack_unseal(struct layer_stack *stack);
/* The top is frozen from now on and `top` (whose reference is taken over) is written; unseals. */
void stack_push(struct layer_stack *stack, struct layer *top);
/* `merged` (a reference of its own is taken) stands for layers [first, first + count); with NULL
 * they are gone, their pages being the base's. The pages are the same as before. */
void stack_replace(struct layer_stack *stack, uint32_t first, uint32_t count, struct layer *merged);
/* Its place in the stack, the base's being 0; -1: it is not there. */
int stack_find(struct layer_stack *stack, const struct layer *layer);
/* Frees views that no handle holds any more. */
void stack_reap(struct layer_stack *stack);
/* Bytes of memory of its table. */
uint64_t stack_memory(const struct layer_stack *stack);

#endif
