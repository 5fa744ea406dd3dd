/* Random bytes fit for secrets, from the kernel. */
#ifndef TENANTS_BASE_RANDOM_H
#define TENANTS_BASE_RANDOM_H

#include "tenants/base/macros.h"

/* Fills `out`; failure is a CHECK. Any thread. */
void random_bytes(void *out, size_t len);
/* `len` characters of [0-9A-Za-z], each uniformly drawn, and a NUL: `out` holds len + 1. */
void random_base62(char *out, size_t len);
/* Fast, not for secrets: xorshift per thread, seeded from the kernel. */
uint64_t random_u64(void);

#endif
