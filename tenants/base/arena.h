/* Memory that ends with its request: bump allocation, freed all at once.
 *
 * An arena belongs to one request and is used by one thread at a time: the loop that reads the
 * request, then the worker that runs it, then the loop again; the hand-over is the synchronisation.
 * Its limit is a quota. Going over it returns NULL and sets a sticky mark (arena_overflowed), so
 * that a parser can build on and check once. With -Darena=malloc each allocation is malloc's own,
 * so that sanitizers see every overrun; otherwise unused space is poisoned under ASan. */
#ifndef TENANTS_BASE_ARENA_H
#define TENANTS_BASE_ARENA_H

#include "tenants/base/str.h"

#define ARENA_BLOCK_BYTES 4096

typedef void (*arena_dispose_fn)(void *object);

struct arena_block;
struct arena_disposer;

struct arena {
    struct arena_block *blocks;       /* owned, newest first; the oldest is kept by reset */
    struct arena_disposer *disposers; /* arena, run newest first */
    char *at;
    char *end;
    size_t used_bytes; /* what was asked for, including what is in older blocks */
    size_t limit_bytes;
    bool overflowed;
};

/* `limit_bytes` bounds the sum of all allocations; 0 means no limit. Allocates nothing yet. */
void arena_init(struct arena *arena, size_t limit_bytes);
/* Runs disposers, frees everything. Works on a zeroed arena, and twice. */
void arena_fini(struct arena *arena);
/* Runs disposers, forgets all allocations, keeps one block for the next request. */
void arena_reset(struct arena *arena);

/* 16-byte aligned, not zeroed. NULL when over the limit (sticky) or out of memory. */
void *arena_alloc(struct arena *arena, size_t size) MUST_CHECK;
void *arena_zalloc(struct arena *arena, size_t size) MUST_CHECK;
/* count * size, refused on overflow. */
void *arena_array(struct arena *arena, size_t count, size_t size) MUST_CHECK;
/* Copies with a terminating NUL (not counted). ptr is NULL on failure. */
struct str arena_str(struct arena *arena, struct str text) MUST_CHECK;
const char *arena_cstr(struct arena *arena, struct str text) MUST_CHECK;
const char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
/* Calls dispose(object) at reset or fini. -1 when over the limit (then it is called at once). */
int arena_on_end(struct arena *arena, arena_dispose_fn dispose, void *object);

static inline bool arena_overflowed(const struct arena *arena)
{
    return arena->overflowed;
}

#endif
