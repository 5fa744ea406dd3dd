#include "tenants/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tenants/base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(at, len) ASAN_POISON_MEMORY_REGION(at, len)
#define UNPOISON(at, len) ASAN_UNPOISON_MEMORY_REGION(at, len)
#else
#define POISON(at, len) ((void)(at), (void)(len))
#define UNPOISON(at, len) ((void)(at), (void)(len))
#endif

#define ALIGN 16U

struct arena_block {
    struct arena_block *older;
    size_t size;
    _Alignas(ALIGN) char bytes[];
};

struct arena_disposer {
    struct arena_disposer *older;
    arena_dispose_fn dispose;
    void *object;
};

void arena_init(struct arena *arena, size_t limit_bytes)
{
    *arena = (struct arena){.limit_bytes = limit_bytes};
}

static void run_disposers(struct arena *arena)
{
    while (arena->disposers != NULL) {
        struct arena_disposer *disposer = arena->disposers;

        arena->disposers = disposer->older;
        disposer->dispose(disposer->object);
    }
}

static void free_blocks(struct arena *arena, struct arena_block *keep)
{
    struct arena_block *block = arena->blocks;

    while (block != NULL && block != keep) {
        struct arena_block *older = block->older;

        UNPOISON(block->bytes, block->size);
        mem_free(block);
        block = older;
    }
    arena->blocks = keep;
}

void arena_fini(struct arena *arena)
{
    run_disposers(arena);
    free_blocks(arena, NULL);
    arena->at = NULL;
    arena->end = NULL;
    arena->used_bytes = 0;
    arena->overflowed = false;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *oldest = arena->blocks;

    run_disposers(arena);
    while (oldest != NULL && oldest->older != NULL)
        oldest = oldest->older;
#ifdef ARENA_MALLOC
    oldest = NULL;
#endif
    free_blocks(arena, oldest);
    arena->at = oldest == NULL ? NULL : oldest->bytes;
    arena->end = oldest == NULL ? NULL : oldest->bytes + oldest->size;
    if (oldest != NULL)
        POISON(oldest->bytes, oldest->size);
    arena->used_bytes = 0;
    arena->overflowed = false;
}

/* A block of at least `size` bytes becomes the current one. */
static int add_block(struct arena *arena, size_t size)
{
#ifdef ARENA_MALLOC
    size_t block_size = size;
#else
    size_t block_size = MAX(size, ARENA_BLOCK_BYTES - sizeof(struct arena_block));
#endif
    struct arena_block *block = mem_try_alloc(sizeof(*block) + block_size);

    if (block == NULL)
        return -1;
    block->older = arena->blocks;
    block->size = block_size;
    arena->blocks = block;
    arena->at = block->bytes;
    arena->end = block->bytes + block_size;
    POISON(block->bytes, block_size);
    return 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    char *memory;

    if (unlikely(rounded < size || arena->overflowed ||
                 (arena->limit_bytes != 0 && rounded > arena->limit_bytes - arena->used_bytes))) {
        arena->overflowed = true;
        return NULL;
    }
    if (unlikely((size_t)(arena->end - arena->at) < rounded || arena->at == NULL) &&
        add_block(arena, rounded) < 0) {
        arena->overflowed = true;
        return NULL;
    }
    memory = arena->at;
    arena->at += rounded;
    arena->used_bytes += rounded;
    UNPOISON(memory, size);
#ifdef ARENA_MALLOC
    arena->at = arena->end;
#endif
    return memory;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    void *memory = arena_alloc(arena, size);

    if (memory != NULL)
        memset(memory, 0, size);
    return memory;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        arena->overflowed = true;
        return NULL;
    }
    return arena_alloc(arena, bytes);
}

struct str arena_str(struct arena *arena, struct str text)
{
    char *copy = text.len == SIZE_MAX ? NULL : arena_alloc(arena, text.len + 1);

    if (copy == NULL)
        return str_make(NULL, 0);
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return str_make(copy, text.len);
}

const char *arena_cstr(struct arena *arena, struct str text)
{
    return arena_str(arena, text).ptr;
}

const char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    int len;
    char *text;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        return NULL;
    text = arena_alloc(arena, (size_t)len + 1);
    if (text == NULL)
        return NULL;
    va_start(args, format);
    (void)vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}

int arena_on_end(struct arena *arena, arena_dispose_fn dispose, void *object)
{
    struct arena_disposer *disposer = arena_alloc(arena, sizeof(*disposer));

    if (disposer == NULL) {
        dispose(object);
        return -1;
    }
    disposer->older = arena->disposers;
    disposer->dispose = dispose;
    disposer->object = object;
    arena->disposers = disposer;
    return 0;
}
