/* A loop's bounded cache of tokens and slugs, in front of the catalogue: no I/O and no lock on a
 * hit.
 *
 * A signed token's entry is found by a hash of it, of the names it came with, and of the epoch of
 * the server's keys; other keys are a change of their tenant.
 *
 * Entries hold references to immutable principals and databases, and the catalogue's generation
 * from before they were read. An entry is good while its tenant has not changed since
 * (catalogue_is_current(): one atomic load); one tenant's changes cost the others nothing. One
 * directory per loop thread. A miss is a message to the catalogue's actor; a "no such" answer is
 * not cached (creation must be visible at once), but misses are rate-limited by the caller's
 * connection. Full tables drop what was not used lately (second chance).
 *
 * Rights: comparing the principal's tenant with the path's comes before any look-up (a token of
 * another tenant must not learn whether a tenant exists): the dialect's check. */
#ifndef TENANTS_DIRECTORY_H
#define TENANTS_DIRECTORY_H

#include "tenants/base/thread.h"
#include "tenants/catalogue.h"
#include "tenants/slug.h"

struct directory;

#define DIRECTORY_TOKENS_MAX 65536
#define DIRECTORY_DATABASES_MAX 262144

struct directory *directory_new(struct catalogue *catalogue);
/* Bounded to so many entries (rounded up to powers of two, at least 16): for tests. */
struct directory *directory_new_bounded(
    struct catalogue *catalogue, size_t tokens_max, size_t databases_max);
void directory_free(struct directory *directory);

/* Hits: a borrowed pointer, good until the next call on this directory (take a reference to keep
 * it). NULL on a miss, also for a token that has expired (the load then says ERR_TOKEN_EXPIRED).
 * Slugs in any case. */
struct principal *directory_token(struct directory *directory, struct str token) ON(loop_thread);
/* Of any kind of credentials, for a request that names this tenant and database (empty: none): what
 * a signed token is good for depends on them. */
struct principal *directory_credentials(struct directory *directory, struct str text,
    struct str tenant_slug, struct str database_slug) ON(loop_thread);
struct database *directory_database(
    struct directory *directory, struct str tenant_slug, struct str database_slug) ON(loop_thread);

/* The only database that the principal reaches, or of several the one called "default". As above; a
 * miss is loaded with an empty database_slug, and is remembered until the tenant has one more. */
struct database *directory_only_database(struct directory *directory, struct str tenant_slug,
    const struct principal *principal) ON(loop_thread);

/* Misses: zero the load, set call.arena, call.done, call.owner and token (with tenant_slug and
 * database_slug when the request names them), or tenant_slug, database_slug and call.principal (who
 * asks; its tenant is checked again, and creation on first use is its right), then load. Misses of
 * the same name by the same principal wait for the first one's look-up instead of making their own
 * (a thousand connections whose token was just reloaded are one look-up), unless its answer may be
 * older than their question. `done` is called once, on any thread, perhaps before the function
 * returns; the loop then always calls directory_loaded(), whatever the result, which puts it into
 * the cache and answers who waited. call.err: ERR_UNAUTHORIZED "Invalid token format" or unknown,
 * ERR_TOKEN_EXPIRED; ERR_UNKNOWN_TENANT, ERR_UNKNOWN_DATABASE, ERR_NAMESPACE_MISMATCH,
 * ERR_QUOTA_EXCEEDED. */
struct directory_load {
    struct catalogue_call call;
    struct principal *principal; /* result: a reference, the caller's (kept by loaded()) */
    struct database *database;   /* result: likewise */
    uint64_t generation;         /* when it was read */
    uint64_t epoch;              /* likewise, of the server's keys */
    struct str token;            /* borrowed, as are the slugs */
    struct str tenant_slug;
    struct str database_slug;
    /* The directory's own. */
    void (*done)(struct catalogue_call *call);
    struct list link;    /* among the look-ups under way, or among another's followers */
    struct list waiting; /* loads that wait for this one */
    uint64_t hash;
    union {
        struct token_lookup_input token_lookup;
        struct signed_lookup signed_lookup;
        struct database_lookup_input database_lookup;
    };
};
void directory_load_token(struct directory *directory, struct directory_load *load) ON(loop_thread);
void directory_load_database(struct directory *directory, struct directory_load *load)
    ON(loop_thread);
/* Caches what was loaded (takes a reference of its own); after a failed load it caches nothing.
 * Once per load. */
void directory_loaded(struct directory *directory, struct directory_load *load) ON(loop_thread);

struct directory_figures {
    size_t tokens;
    size_t databases;
    uint64_t hits;
    uint64_t misses;
    uint64_t evicted;
};
/* Tests: the invariants at the top of directory.c hold. Cost: looks at every entry. */
bool directory_is_sound(struct directory *directory);
void directory_figures(struct directory *directory, struct directory_figures *ret_figures);

#endif
