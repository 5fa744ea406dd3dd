/* The compiled statements of one connection: found by their text, the least recently used dropped
 * first, bounded by count and by bytes.
 *
 * A statement is found only while it is idle: a text that is asked for while its statement runs is
 * compiled again, and that copy is not kept. Key: the text without blanks and semicolons at its
 * end. Thread: whoever runs the lane. */
#ifndef TENANTS_STATEMENT_CACHE_H
#define TENANTS_STATEMENT_CACHE_H

#include "tenants/base/list.h"
#include "tenants/connection.h"

/* A statement whose text and program are larger is compiled each time. */
#define STATEMENT_CACHED_BYTES_MAX 65536

struct cached_statement {
    struct statement statement;    /* first: what the lanes hold */
    struct list use;               /* in the cache: by use; else linked to itself */
    struct list running;           /* busy: the connection's list, newest first */
    struct cached_statement *next; /* same bucket */
    uint64_t hash;
    uint32_t bytes; /* text, program, access set */
    uint32_t uses;
    unsigned access_changes; /* of the access set, when it was compiled */
    bool cached;
    bool keep;     /* may enter the cache */
    bool engine;   /* compiled under the engine flag: never for a tenant */
    bool examined; /* loop_ok has been found out */
};

struct statement_cache {
    struct cached_statement **buckets; /* owned; NULL until first used */
    unsigned bucket_count;             /* a power of two */
    unsigned count;
    unsigned max_count;
    size_t bytes;
    size_t max_bytes;
    struct list by_use; /* most recent first */
};

void statement_cache_init(struct statement_cache *cache, unsigned max_count, size_t max_bytes);
/* Frees all idle statements; those in use are no longer in the cache then and are freed by
 * cached_statement_free(). Zeroed is fine, and twice. */
void statement_cache_fini(struct statement_cache *cache);
/* Takes out every statement; the idle ones are freed. */
void statement_cache_clear(struct statement_cache *cache);

/* NULL: none, or it is busy. Counts as a use. */
struct cached_statement *statement_cache_find(
    struct statement_cache *cache, struct str key, uint64_t hash);
/* Puts an idle statement in, dropping others as needed (never busy ones). False: not kept, because
 * the text is there already, or everything is in use, or it is too large; still the caller's. */
bool statement_cache_put(struct statement_cache *cache, struct cached_statement *entry);
void statement_cache_remove(struct statement_cache *cache, struct cached_statement *entry);

/* Finalizes and frees a statement that is in no cache. */
void cached_statement_free(struct cached_statement *entry);

#endif
