/* Heap memory for our own objects. Out of memory here ends the process (CHECK): sizes that a
 * stranger chooses go through the arena or an account, which answer with an error. */
#ifndef TENANTS_BASE_MEM_H
#define TENANTS_BASE_MEM_H

#include "tenants/base/macros.h"

/* Never NULL. Any thread. The caller frees with mem_free(). */
void *mem_alloc(size_t size) MUST_CHECK;
void *mem_zalloc(size_t size) MUST_CHECK;
void *mem_realloc(void *old, size_t size) MUST_CHECK;
char *mem_strdup(const char *text) MUST_CHECK;
char *mem_strndup(const char *text, size_t len) MUST_CHECK;
void mem_free(void *memory); /* NULL is fine */

/* May return NULL: for sizes that depend on a stranger. */
void *mem_try_alloc(size_t size) MUST_CHECK;
void *mem_try_realloc(void *old, size_t size) MUST_CHECK;

#endif
