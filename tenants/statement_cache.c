#include "tenants/statement_cache.h"

#include <sqlite3.h>

#include "tenants/access.h"
#include "tenants/base/check.h"
#include "tenants/base/mem.h"

void statement_cache_init(struct statement_cache *cache, unsigned max_count, size_t max_bytes)
{
    *cache = (struct statement_cache){.max_count = max_count, .max_bytes = max_bytes};
    list_init(&cache->by_use);
}

static struct cached_statement **bucket(struct statement_cache *cache, uint64_t hash)
{
    return &cache->buckets[hash & (cache->bucket_count - 1)];
}

static void make_buckets(struct statement_cache *cache)
{
    cache->bucket_count = 16;
    while (cache->bucket_count < cache->max_count)
        cache->bucket_count *= 2;
    cache->buckets = mem_zalloc(cache->bucket_count * sizeof(struct cached_statement *));
}

static struct cached_statement *lookup(struct statement_cache *cache, struct str key, uint64_t hash)
{
    if (cache->buckets == NULL)
        return NULL;
    for (struct cached_statement *entry = *bucket(cache, hash); entry != NULL;
         entry = entry->next) {
        if (entry->hash == hash && str_equal(entry->statement.sql, key))
            return entry;
    }
    return NULL;
}

struct cached_statement *statement_cache_find(
    struct statement_cache *cache, struct str key, uint64_t hash)
{
    struct cached_statement *entry = lookup(cache, key, hash);

    if (entry == NULL || entry->statement.busy)
        return NULL;
    if (cache->by_use.next != &entry->use) {
        list_remove(&entry->use);
        list_prepend(&cache->by_use, &entry->use);
    }
    return entry;
}

void statement_cache_remove(struct statement_cache *cache, struct cached_statement *entry)
{
    struct cached_statement **at = bucket(cache, entry->hash);

    while (*at != entry) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = entry->next;
    entry->next = NULL;
    entry->cached = false;
    list_remove(&entry->use);
    cache->count--;
    cache->bytes -= entry->bytes;
}

/* The least recently used one that is idle. */
static bool drop_one(struct statement_cache *cache)
{
    for (struct list *it = cache->by_use.prev; it != &cache->by_use; it = it->prev) {
        struct cached_statement *entry = LIST_ENTRY(it, struct cached_statement, use);

        if (entry->statement.busy)
            continue;
        statement_cache_remove(cache, entry);
        cached_statement_free(entry);
        return true;
    }
    return false;
}

bool statement_cache_put(struct statement_cache *cache, struct cached_statement *entry)
{
    struct cached_statement **at;

    if (cache->max_count == 0 || entry->bytes > STATEMENT_CACHED_BYTES_MAX ||
        lookup(cache, entry->statement.sql, entry->hash) != NULL)
        return false;
    if (cache->buckets == NULL)
        make_buckets(cache);
    while (cache->count >= cache->max_count || cache->bytes + entry->bytes > cache->max_bytes) {
        if (!drop_one(cache))
            return false;
    }
    at = bucket(cache, entry->hash);
    entry->next = *at;
    *at = entry;
    entry->cached = true;
    list_prepend(&cache->by_use, &entry->use);
    cache->count++;
    cache->bytes += entry->bytes;
    return true;
}

void statement_cache_clear(struct statement_cache *cache)
{
    if (cache->buckets == NULL)
        return;
    while (!list_empty(&cache->by_use)) {
        struct cached_statement *entry = LIST_FIRST(&cache->by_use, struct cached_statement, use);

        statement_cache_remove(cache, entry);
        entry->keep = false;
        if (!entry->statement.busy)
            cached_statement_free(entry);
    }
}

void statement_cache_fini(struct statement_cache *cache)
{
    statement_cache_clear(cache);
    mem_free(cache->buckets);
    cache->buckets = NULL;
}

void cached_statement_free(struct cached_statement *entry)
{
    if (entry == NULL)
        return;
    CHECK(!entry->cached);
    (void)sqlite3_finalize(entry->statement.sqlite);
    access_free(entry->statement.access);
    mem_free(entry);
}
