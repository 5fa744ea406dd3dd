/* A loop's bounded cache of tokens and slugs, in front of the catalogue: no I/O and no lock on a
 * hit.
 *
 * Entries hold references to immutable principals and databases. All are dropped when the
 * catalogue's generation has grown. One directory per loop thread. A miss is a message to the
 * catalogue's actor; a "no such" answer is not cached (creation must be visible at once), but
 * misses are rate-limited by the caller's connection. */
#ifndef TENANTS_DIRECTORY_H
#define TENANTS_DIRECTORY_H

#include "tenants/base/thread.h"
#include "tenants/catalogue.h"

struct directory;

#define DIRECTORY_TOKENS_MAX 65536
#define DIRECTORY_DATABASES_MAX 262144

struct directory *directory_new(struct catalogue *catalogue);
void directory_free(struct directory *directory);

/* Hits: *ret_… is a borrowed pointer, good until the next call that may drop entries (take a
 * reference to keep it). NULL on a miss. A token that has expired is ERR_TOKEN_EXPIRED on load. */
struct principal *directory_token(struct directory *directory, struct str token) ON(loop_thread);
struct database *directory_database(
    struct directory *directory, struct str tenant_slug, struct str database_slug) ON(loop_thread);

/* Misses. `done` is called on another thread; the loop then calls directory_loaded() to put the
 * result into its cache. The look-up's references belong to the caller of loaded(). */
struct directory_load {
    struct catalogue_call call;
    struct principal *principal; /* result */
    struct database *database;   /* result */
    uint64_t generation;         /* when it was read */
    struct str token;            /* borrowed */
    struct str tenant_slug;
    struct str database_slug;
};
void directory_load_token(struct directory *directory, struct directory_load *load);
void directory_load_database(struct directory *directory, struct directory_load *load);
void directory_loaded(struct directory *directory, struct directory_load *load) ON(loop_thread);

#endif
