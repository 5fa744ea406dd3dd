/* A block of counters is found through the table by database id. It is on the table's dirty list
 * (holding a reference) from its first count after a flush until the next flush takes it. When its
 * last reference goes it leaves the table: it has nothing to tell then, since the dirty list would
 * hold it. Taking swaps each counter to zero, so that a count added meanwhile is in this flush or
 * in the next, never in both. */
#include "tenants/usage.h"

#include <stdatomic.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/hash.h"
#include "tenants/base/list.h"
#include "tenants/base/mem.h"
#include "tenants/base/thread.h"

struct usage {
    _Atomic uint32_t references;
    atomic_bool dirty; /* on the dirty list, or about to be */
    atomic_bool has_size;
    struct usage_table *table; /* counted: outlives its blocks */
    uint64_t database_id;
    _Atomic uint64_t requests;
    _Atomic uint64_t rows_read;
    _Atomic uint64_t rows_written;
    _Atomic uint64_t bytes;
    _Atomic uint64_t wal_bytes;
    struct list dirty_link; /* under the table's lock */
    struct usage *next;     /* of the same hash slot; under the table's lock */
};

struct usage_table {
    _Atomic uint32_t references; /* the owner's, and one per block */
    struct mutex lock;           /* everything below */
    struct usage **slots;        /* a power of two */
    size_t capacity;
    size_t count;
    struct list dirty;
    bool closed; /* nobody flushes any more */
};

struct usage_table *usage_table_new(void)
{
    struct usage_table *table = mem_zalloc(sizeof(*table));

    atomic_init(&table->references, 1);
    mutex_init(&table->lock);
    list_init(&table->dirty);
    table->capacity = 64;
    table->slots = mem_zalloc(table->capacity * sizeof(struct usage *));
    return table;
}

static void table_unref(struct usage_table *table)
{
    if (atomic_fetch_sub_explicit(&table->references, 1, memory_order_acq_rel) > 1)
        return;
    mutex_fini(&table->lock);
    mem_free(table->slots);
    mem_free(table);
}

void usage_table_free(struct usage_table *table)
{
    struct usage_delta delta;

    if (table == NULL)
        return;
    mutex_lock(&table->lock);
    table->closed = true;
    mutex_unlock(&table->lock);
    while (usage_table_take(table, &delta, 1) > 0)
        continue;
    table_unref(table);
}

static struct usage **slot_of(struct usage_table *table, uint64_t id)
{
    return &table->slots[hash_bytes(&id, sizeof(id)) & (table->capacity - 1)];
}

static struct usage *find(struct usage_table *table, uint64_t id)
{
    struct usage *usage = *slot_of(table, id);

    while (usage != NULL && usage->database_id != id)
        usage = usage->next;
    return usage;
}

static void grow(struct usage_table *table)
{
    struct usage **old = table->slots;
    size_t old_capacity = table->capacity;

    table->capacity *= 2;
    table->slots = mem_zalloc(table->capacity * sizeof(struct usage *));
    for (size_t i = 0; i < old_capacity; i++) {
        while (old[i] != NULL) {
            struct usage *usage = old[i];
            struct usage **slot = slot_of(table, usage->database_id);

            old[i] = usage->next;
            usage->next = *slot;
            *slot = usage;
        }
    }
    mem_free(old);
}

struct usage *usage_ref(struct usage *usage)
{
    (void)atomic_fetch_add_explicit(&usage->references, 1, memory_order_relaxed);
    return usage;
}

struct usage *usage_table_get(struct usage_table *table, uint64_t database_id)
{
    struct usage *usage;
    struct usage **slot;

    mutex_lock(&table->lock);
    usage = find(table, database_id);
    if (usage == NULL) {
        if (table->count >= table->capacity)
            grow(table);
        usage = mem_zalloc(sizeof(*usage));
        usage->table = table;
        usage->database_id = database_id;
        list_init(&usage->dirty_link);
        slot = slot_of(table, database_id);
        usage->next = *slot;
        *slot = usage;
        table->count++;
        (void)atomic_fetch_add_explicit(&table->references, 1, memory_order_relaxed);
    }
    (void)usage_ref(usage);
    mutex_unlock(&table->lock);
    return usage;
}

void usage_unref(struct usage *usage)
{
    struct usage_table *table;
    uint32_t seen;

    if (usage == NULL)
        return;
    table = usage->table;
    seen = atomic_load_explicit(&usage->references, memory_order_relaxed);
    while (seen > 1) {
        if (atomic_compare_exchange_weak_explicit(
                &usage->references, &seen, seen - 1, memory_order_release, memory_order_relaxed))
            return;
    }
    /* Perhaps the last one: under the lock, so that the table hands it to nobody meanwhile. */
    mutex_lock(&table->lock);
    if (atomic_fetch_sub_explicit(&usage->references, 1, memory_order_acq_rel) > 1) {
        mutex_unlock(&table->lock);
        return;
    }
    for (struct usage **at = slot_of(table, usage->database_id);; at = &(*at)->next) {
        CHECK(*at != NULL);
        if (*at == usage) {
            *at = usage->next;
            break;
        }
    }
    table->count--;
    mutex_unlock(&table->lock);
    mem_free(usage);
    table_unref(table);
}

static void mark_dirty(struct usage *usage)
{
    struct usage_table *table = usage->table;

    /* Sequentially consistent with the count before it: else a flush that has just cleared the mark
     * and the adder that still sees it could miss each other. */
    if (atomic_load(&usage->dirty) || atomic_exchange(&usage->dirty, true))
        return;
    mutex_lock(&table->lock);
    if (!table->closed)
        list_append(&table->dirty, &usage_ref(usage)->dirty_link);
    mutex_unlock(&table->lock);
}

void usage_add(struct usage *usage, uint64_t requests, uint64_t rows_read, uint64_t rows_written)
{
    if (usage == NULL)
        return;
    if (rows_read > 0)
        (void)atomic_fetch_add_explicit(&usage->rows_read, rows_read, memory_order_relaxed);
    if (rows_written > 0)
        (void)atomic_fetch_add_explicit(&usage->rows_written, rows_written, memory_order_relaxed);
    (void)atomic_fetch_add(&usage->requests, requests);
    mark_dirty(usage);
}

void usage_set_size(struct usage *usage, uint64_t bytes, uint64_t wal_bytes)
{
    if (usage == NULL)
        return;
    atomic_store_explicit(&usage->bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&usage->wal_bytes, wal_bytes, memory_order_relaxed);
    atomic_store(&usage->has_size, true);
    mark_dirty(usage);
}

static void read_size(struct usage *usage, struct usage_totals *totals)
{
    totals->has_size = atomic_load_explicit(&usage->has_size, memory_order_acquire);
    totals->bytes = atomic_load_explicit(&usage->bytes, memory_order_relaxed);
    totals->wal_bytes = atomic_load_explicit(&usage->wal_bytes, memory_order_relaxed);
}

bool usage_table_peek(
    struct usage_table *table, uint64_t database_id, struct usage_totals *ret_totals)
{
    struct usage *usage;
    bool found;

    mutex_lock(&table->lock);
    usage = find(table, database_id);
    found = usage != NULL && atomic_load(&usage->dirty);
    if (found) {
        *ret_totals = (struct usage_totals){
            .requests = atomic_load(&usage->requests),
            .rows_read = atomic_load(&usage->rows_read),
            .rows_written = atomic_load(&usage->rows_written),
            .last_used_wall_ms = clock_wall_ms(),
        };
        read_size(usage, ret_totals);
    }
    mutex_unlock(&table->lock);
    return found;
}

size_t usage_table_take(struct usage_table *table, struct usage_delta *deltas, size_t max)
{
    int64_t now_ms = clock_wall_ms();
    size_t count = 0;

    while (count < max) {
        struct usage *usage;
        struct usage_totals *totals = &deltas[count].totals;

        mutex_lock(&table->lock);
        if (list_empty(&table->dirty)) {
            mutex_unlock(&table->lock);
            break;
        }
        usage = LIST_FIRST(&table->dirty, struct usage, dirty_link);
        list_remove(&usage->dirty_link);
        /* Before the counters are read: what is added from here on marks it again. */
        atomic_store(&usage->dirty, false);
        mutex_unlock(&table->lock);
        *totals = (struct usage_totals){
            .requests = atomic_exchange(&usage->requests, 0),
            .rows_read = atomic_exchange(&usage->rows_read, 0),
            .rows_written = atomic_exchange(&usage->rows_written, 0),
        };
        totals->last_used_wall_ms = totals->requests > 0 ? now_ms : 0;
        read_size(usage, totals);
        deltas[count].database_id = usage->database_id;
        usage_unref(usage);
        count++;
    }
    return count;
}

void usage_table_return(struct usage_table *table, const struct usage_delta *deltas, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct usage_totals *totals = &deltas[i].totals;
        struct usage *usage = usage_table_get(table, deltas[i].database_id);

        usage_add(usage, totals->requests, totals->rows_read, totals->rows_written);
        if (totals->has_size && !atomic_load(&usage->has_size))
            usage_set_size(usage, totals->bytes, totals->wal_bytes);
        usage_unref(usage);
    }
}
