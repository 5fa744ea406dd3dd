/* GCRA: a bucket of `burst` requests that refills at one per `step_ns` is one number, `full_ns`,
 * the moment at which it is full again. Each request moves it one step into the future; it may not
 * lie further ahead than `burst` steps. */
#include "tenants/rate.h"

#include <stdatomic.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/hash.h"
#include "tenants/base/mem.h"
#include "tenants/base/thread.h"

struct rate_bucket {
    _Atomic uint32_t references;
    _Atomic uint64_t full_ns;
    _Atomic uint64_t step_ns;
    _Atomic uint64_t window_ns; /* burst * step_ns */
    struct rate_bucket *parent; /* owned reference, NULL: none; for good */
};

static void configure(struct rate_bucket *bucket, uint64_t per_second, uint64_t burst)
{
    uint64_t rate = MIN(MAX(per_second, (uint64_t)1), (uint64_t)RATE_PER_SECOND_MAX);
    uint64_t most = MIN(burst == 0 ? rate : burst, (uint64_t)RATE_BURST_MAX);
    uint64_t step = NS_PER_S / rate;

    atomic_store_explicit(&bucket->step_ns, step, memory_order_relaxed);
    atomic_store_explicit(&bucket->window_ns, most * step, memory_order_relaxed);
}

struct rate_bucket *rate_bucket_new(uint64_t per_second, uint64_t burst, struct rate_bucket *parent)
{
    struct rate_bucket *bucket = mem_zalloc(sizeof(*bucket));

    atomic_init(&bucket->references, 1);
    configure(bucket, per_second, burst);
    if (parent != NULL)
        bucket->parent = rate_bucket_ref(parent);
    return bucket;
}

struct rate_bucket *rate_bucket_ref(struct rate_bucket *bucket)
{
    CHECK(atomic_fetch_add_explicit(&bucket->references, 1, memory_order_relaxed) > 0);
    return bucket;
}

void rate_bucket_unref(struct rate_bucket *bucket)
{
    if (bucket == NULL)
        return;
    if (atomic_fetch_sub_explicit(&bucket->references, 1, memory_order_acq_rel) > 1)
        return;
    rate_bucket_unref(bucket->parent);
    mem_free(bucket);
}

/* 0, or nanoseconds until one more is allowed. */
static uint64_t take_one(struct rate_bucket *bucket, uint64_t now_ns)
{
    uint64_t step = atomic_load_explicit(&bucket->step_ns, memory_order_relaxed);
    uint64_t window = atomic_load_explicit(&bucket->window_ns, memory_order_relaxed);
    uint64_t full = atomic_load_explicit(&bucket->full_ns, memory_order_relaxed);

    for (;;) {
        uint64_t next = MAX(full, now_ns) + step;

        if (next - now_ns > window)
            return next - now_ns - window;
        if (atomic_compare_exchange_weak_explicit(
                &bucket->full_ns, &full, next, memory_order_relaxed, memory_order_relaxed))
            return 0;
    }
}

static void give_back(struct rate_bucket *bucket)
{
    uint64_t step = atomic_load_explicit(&bucket->step_ns, memory_order_relaxed);

    (void)atomic_fetch_sub_explicit(&bucket->full_ns, step, memory_order_relaxed);
}

unsigned rate_take(struct rate_bucket *bucket, uint64_t now_ns)
{
    uint64_t wait_ns;

    if (bucket == NULL)
        return 0;
    wait_ns = take_one(bucket, now_ns);
    if (wait_ns == 0) {
        unsigned wait_s = rate_take(bucket->parent, now_ns);

        if (wait_s > 0)
            give_back(bucket);
        return wait_s;
    }
    return (unsigned)MIN((wait_ns + NS_PER_S - 1) / NS_PER_S, (uint64_t)UINT32_MAX);
}

uint64_t rate_left(const struct rate_bucket *bucket, uint64_t now_ns)
{
    uint64_t step = atomic_load_explicit(&bucket->step_ns, memory_order_relaxed);
    uint64_t window = atomic_load_explicit(&bucket->window_ns, memory_order_relaxed);
    uint64_t full = MAX(atomic_load_explicit(&bucket->full_ns, memory_order_relaxed), now_ns);

    return full - now_ns >= window ? 0 : (window - (full - now_ns)) / step;
}

uint64_t rate_per_second(const struct rate_bucket *bucket)
{
    return NS_PER_S / atomic_load_explicit(&bucket->step_ns, memory_order_relaxed);
}

/* ---- the table ---- */

struct entry {
    uint64_t id;
    struct rate_bucket *bucket; /* owned reference; NULL: empty */
    uint64_t kind;
};

struct rate_table {
    struct mutex lock;     /* everything below */
    struct entry *entries; /* open addressing, a power of two */
    size_t capacity;
    size_t count;
};

struct rate_table *rate_table_new(void)
{
    struct rate_table *table = mem_zalloc(sizeof(*table));

    mutex_init(&table->lock);
    table->capacity = 64;
    table->entries = mem_zalloc(table->capacity * sizeof(*table->entries));
    return table;
}

void rate_table_free(struct rate_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->capacity; i++)
        rate_bucket_unref(table->entries[i].bucket);
    mutex_fini(&table->lock);
    mem_free(table->entries);
    mem_free(table);
}

static struct entry *find(struct entry *entries, size_t capacity, uint64_t kind, uint64_t id)
{
    uint64_t key[2] = {kind, id};
    size_t at = hash_bytes(key, sizeof(key)) & (capacity - 1);

    while (entries[at].bucket != NULL && (entries[at].id != id || entries[at].kind != kind))
        at = (at + 1) & (capacity - 1);
    return &entries[at];
}

/* Moves everything into a table of `capacity`. */
static void rebuild(struct rate_table *table, size_t capacity)
{
    struct entry *entries = mem_zalloc(capacity * sizeof(*entries));

    for (size_t i = 0; i < table->capacity; i++) {
        if (table->entries[i].bucket != NULL)
            *find(entries, capacity, table->entries[i].kind, table->entries[i].id) =
                table->entries[i];
    }
    mem_free(table->entries);
    table->entries = entries;
    table->capacity = capacity;
}

struct rate_bucket *rate_table_get(struct rate_table *table, enum rate_kind kind, uint64_t id,
    uint64_t per_second, uint64_t burst, struct rate_bucket *parent)
{
    struct rate_bucket *bucket;
    struct entry *entry;

    mutex_lock(&table->lock);
    if ((table->count + 1) * 4 > table->capacity * 3)
        rebuild(table, table->capacity * 2);
    entry = find(table->entries, table->capacity, kind, id);
    if (entry->bucket != NULL && entry->bucket->parent != parent) {
        /* The tenant's limit came or went: a new bucket, since takers may be using the old one. */
        rate_bucket_unref(entry->bucket);
        entry->bucket = NULL;
        table->count--;
    }
    if (entry->bucket == NULL) {
        *entry = (struct entry){
            .id = id, .kind = kind, .bucket = rate_bucket_new(per_second, burst, parent)};
        table->count++;
    } else {
        configure(entry->bucket, per_second, burst);
    }
    bucket = rate_bucket_ref(entry->bucket);
    mutex_unlock(&table->lock);
    return bucket;
}

void rate_table_sweep(struct rate_table *table, uint64_t now_ns)
{
    size_t dropped = 0;

    mutex_lock(&table->lock);
    for (size_t i = 0; i < table->capacity; i++) {
        struct rate_bucket *bucket = table->entries[i].bucket;

        if (bucket == NULL || atomic_load(&bucket->references) > 1 ||
            atomic_load(&bucket->full_ns) > now_ns)
            continue;
        rate_bucket_unref(bucket);
        table->entries[i].bucket = NULL;
        dropped++;
    }
    if (dropped > 0) {
        size_t capacity = table->capacity;

        table->count -= dropped;
        while (capacity > 64 && table->count * 4 < capacity)
            capacity /= 2;
        rebuild(table, capacity); /* also closes the gaps that dropping left */
    }
    mutex_unlock(&table->lock);
}

size_t rate_table_count(struct rate_table *table)
{
    size_t count;

    mutex_lock(&table->lock);
    count = table->count;
    mutex_unlock(&table->lock);
    return count;
}
