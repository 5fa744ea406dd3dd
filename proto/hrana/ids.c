#include "proto/hrana/ids.h"

#include "tenants/base/check.h"
#include "tenants/base/hash.h"
#include "tenants/base/mem.h"

#define BUCKETS_MIN 8

static struct id_link **bucket_of(const struct id_table *table, int32_t id)
{
    return &table->buckets[hash_bytes(&id, sizeof(id)) & (table->capacity - 1)];
}

static void grow(struct id_table *table)
{
    struct id_table larger = {.capacity = MAX(table->capacity * 2, (unsigned)BUCKETS_MIN)};

    larger.buckets = mem_zalloc(larger.capacity * sizeof(struct id_link *));
    for (unsigned i = 0; i < table->capacity; i++) {
        for (struct id_link *link = table->buckets[i]; link != NULL;) {
            struct id_link *next = link->next;
            struct id_link **bucket = bucket_of(&larger, link->id);

            link->next = *bucket;
            *bucket = link;
            link = next;
        }
    }
    larger.count = table->count;
    mem_free(table->buckets);
    *table = larger;
}

void id_table_fini(struct id_table *table)
{
    mem_free(table->buckets);
    *table = (struct id_table){.count = 0};
}

struct id_link *id_table_find(const struct id_table *table, int32_t id)
{
    struct id_link *link = table->count == 0 ? NULL : *bucket_of(table, id);

    while (link != NULL && link->id != id)
        link = link->next;
    return link;
}

void id_table_add(struct id_table *table, struct id_link *link)
{
    struct id_link **bucket;

    if (table->count == table->capacity)
        grow(table);
    bucket = bucket_of(table, link->id);
    link->next = *bucket;
    *bucket = link;
    table->count++;
}

void id_table_remove(struct id_table *table, struct id_link *link)
{
    struct id_link **at = bucket_of(table, link->id);

    while (*at != NULL && *at != link)
        at = &(*at)->next;
    CHECK(*at == link);
    *at = link->next;
    table->count--;
}
