#include "tenants/base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "tenants/base/check.h"

void *mem_alloc(size_t size)
{
    void *memory = malloc(size);

    CHECK(memory != NULL);
    return memory;
}

void *mem_zalloc(size_t size)
{
    void *memory = calloc(1, size);

    CHECK(memory != NULL);
    return memory;
}

void *mem_realloc(void *old, size_t size)
{
    void *memory = realloc(old, size);

    CHECK(memory != NULL);
    return memory;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);

    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void mem_free(void *memory)
{
    free(memory);
}

void *mem_try_alloc(size_t size)
{
    return malloc(size);
}

void *mem_try_realloc(void *old, size_t size)
{
    return realloc(old, size);
}
