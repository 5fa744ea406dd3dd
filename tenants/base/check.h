/* Asserts that stay on in release: for programmer errors only, never for a stranger's input. */
#ifndef TENANTS_BASE_CHECK_H
#define TENANTS_BASE_CHECK_H

#include "tenants/base/macros.h"

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (unlikely(!(x)))                                                                        \
            check_failed(__FILE__, __LINE__, __func__, #x);                                        \
    } while (0)

/* Prints the expression, its place and this thread's context to stderr, then aborts. */
void check_failed(
    const char *file, int line, const char *function, const char *expression) NO_RETURN;

/* What this thread is doing, shown by check_failed: a request id, an object. `text` is copied. */
void check_context(const char *text);

#endif
