/* Identity and settings of one database, as the catalogue knows it: immutable, counted, shared by
 * every loop's cache and by its actor. A change in the catalogue makes a new one. */
#ifndef TENANTS_DATABASE_H
#define TENANTS_DATABASE_H

#include <stdatomic.h>

#include "tenants/base/err.h"
#include "tenants/base/str.h"

#define ID_HEX_BYTES 33 /* 128 bits in hex, and a NUL */

enum database_state { DATABASE_RESERVED, DATABASE_LIVE, DATABASE_DELETED };
enum durability { DURABILITY_FULL, DURABILITY_RELAXED };

/* Settings of a database: one row each in the settings table (tenants/settings.h). */
struct database_settings {
    enum durability durability;
    bool foreign_keys; /* default on */
    bool block_reads;  /* an operator's: nothing is read, which leaves nothing to write */
    bool block_writes;
    uint64_t max_bytes;       /* 0: the engine's default */
    uint64_t memory_bytes;    /* 0: the engine's default */
    uint64_t txn_timeout_s;   /* 0: the engine's transaction_steal_ms */
    const char *block_reason; /* setting_intern()'s; NULL: none is told */
};

struct rate_bucket;
struct usage;
struct actor;

struct database {
    _Atomic uint32_t references;
    uint64_t id;
    uint64_t tenant_id;
    struct str slug;
    struct str tenant_slug;
    struct str access_name; /* what tokens' globs are compared with: `root@ref` of a branch; empty:
                               the slug */
    uint64_t root_id;       /* of a branch: the database it belongs to; 0: it is none */
    bool owns_family;       /* no other database's head is in its family, but its branches' */
    char family_id[ID_HEX_BYTES]; /* its folder: data/db/<first 2>/<family id>/; "" for the
                                     catalogue */
    char head_id[ID_HEX_BYTES];
    enum database_state state; /* when this entry was made; RESERVED may be LIVE by now */
    int64_t expires_wall_ms;   /* 0: never */
    struct database_settings settings;
    struct rate_bucket *tenant_rate; /* owned reference, NULL: no limit. For callers without a
                                        token: a token's own bucket takes from it already */
    struct usage *usage; /* owned reference; NULL for the catalogue. usage_add(), usage_set_size()
                            (tenants/usage.h) count what is done with it; both take NULL */
    _Atomic(struct actor *) actor; /* the engine's, owned reference: found once, then used without
                                      a look-up */
};

/* A copy of `from` in one block, slugs included, with one reference, the caller's. Takes over
 * from->tenant_rate and from->usage. `references` and `actor` of `from` are not read. Any thread.
 */
struct database *database_new(const struct database *from) MUST_CHECK;
/* What principal_has_database() is asked. */
static inline struct str database_access_name(const struct database *database)
{
    return database->access_name.len > 0 ? database->access_name : database->slug;
}
struct database *database_ref(struct database *database);
void database_unref(struct database *database); /* NULL is fine */
/* The engine: how a reference in `actor` is given back with the last reference of an entry. Once,
 * before the first look-up. */
void database_on_release(void (*release)(struct actor *actor));

/* The engine tells the catalogue: called once per process and database, on a worker, after the
 * folder of a RESERVED database was made and before its first write is acknowledged. `done` must be
 * called (any thread) when "live" is durable. Set by the catalogue with engine_on_live(). */
typedef void (*database_live_fn)(void *catalogue, struct database *database,
    void (*done)(void *argument, const struct err *err), void *argument);

#endif
