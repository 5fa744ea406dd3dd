/* Token buckets: so many requests a second, with bursts. Shared by all loops, no lock.
 *
 * A bucket is one atomic number, the moment at which it will be full again (GCRA). A bucket may
 * have a parent (a token's has its tenant's): taking takes from both, or from neither.
 * Buckets are counted; the table keeps one per tenant and token for as long as somebody uses it, so
 * that a limit survives reloads of caches. */
#ifndef TENANTS_RATE_H
#define TENANTS_RATE_H

#include "tenants/base/macros.h"

#define RATE_PER_SECOND_MAX 1000000
#define RATE_BURST_MAX 1000000

struct rate_bucket;
struct rate_table;

/* One reference, the caller's. `per_second` >= 1; burst 0: as much as per_second. `parent` (may be
 * NULL): a reference is taken. */
struct rate_bucket *rate_bucket_new(uint64_t per_second, uint64_t burst, struct rate_bucket *parent)
    MUST_CHECK;
struct rate_bucket *rate_bucket_ref(struct rate_bucket *bucket);
void rate_bucket_unref(struct rate_bucket *bucket); /* NULL is fine */

/* Takes one request. 0: go on; else whole seconds to wait (Retry-After, at least 1), and nothing
 * was taken. NULL always goes on. Any thread. `now_ns` is clock_now_ns(). */
unsigned rate_take(struct rate_bucket *bucket, uint64_t now_ns);
/* What is left now, for answers and tests. */
uint64_t rate_left(const struct rate_bucket *bucket, uint64_t now_ns);
uint64_t rate_per_second(const struct rate_bucket *bucket);

/* Kinds of keys. */
enum rate_kind { RATE_TENANT, RATE_TOKEN };

struct rate_table *rate_table_new(void);
void rate_table_free(struct rate_table *table); /* NULL is fine; buckets in use live on */
/* The bucket of (kind, id) with these figures: the one there is, set to them, or a new one. A
 * reference, the caller's. Any thread; a lock. */
struct rate_bucket *rate_table_get(struct rate_table *table, enum rate_kind kind, uint64_t id,
    uint64_t per_second, uint64_t burst, struct rate_bucket *parent) MUST_CHECK;
/* Drops buckets that nobody uses and that are full again. */
void rate_table_sweep(struct rate_table *table, uint64_t now_ns);
size_t rate_table_count(struct rate_table *table);

#endif
