/* Keyed hash for tables whose keys strangers choose; CRC32C for what we store. */
#ifndef TENANTS_BASE_HASH_H
#define TENANTS_BASE_HASH_H

#include "tenants/base/str.h"

/* SipHash-1-3 under a key drawn once per process. Any thread. */
uint64_t hash_bytes(const void *bytes, size_t len);
static inline uint64_t hash_str(struct str text)
{
    return hash_bytes(text.ptr, text.len);
}

/* CRC32C (Castagnoli) of `bytes`, continuing from `crc` (0 to start). */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len);

#endif
