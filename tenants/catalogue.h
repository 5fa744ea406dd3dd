/* The catalogue: tenants, databases, settings, tokens, in data/catalogue.db, itself a database with
 * an actor of the same engine.
 *
 * Every call below is asynchronous: it submits a procedure to the catalogue's actor and calls
 * `done` (on a worker or sync thread) when the answer may go out: for a change, when it is on disk
 * and the generation has been bumped. Inputs and outputs live in the call, whose arena the caller
 * owns; the call must live until done. Any thread.
 *
 * The generation is one atomic number: caches of slugs and tokens (tenants/directory.h) are good
 * only for the generation they were filled in. It grows on rename, delete, restore, change of
 * settings, and revocation, before the change's answer; not on creation, since misses are never
 * cached. */
#ifndef TENANTS_CATALOGUE_H
#define TENANTS_CATALOGUE_H

#include "tenants/base/arena.h"
#include "tenants/database.h"
#include "tenants/engine.h"
#include "tenants/principal.h"

struct catalogue;

/* One asynchronous call. Embedded by the caller, zeroed before use. */
struct catalogue_call {
    struct request request; /* the engine's; filled by the catalogue */
    struct catalogue *catalogue;
    struct arena *arena;         /* inputs and outputs */
    struct principal *principal; /* who asks, for the audit trail; may be NULL */
    void (*done)(struct catalogue_call *call);
    void *owner;
    struct err err; /* result: ERR_NONE, ERR_NOT_FOUND, ERR_CONFLICT, ... */
    void *input;
    void *output; /* typed by the function that made the call */
};

/* Opens (creates, migrates) data/catalogue.db through the engine and, when it is new, mints the
 * first operator token, which is written to data/operator.token (0600). Main thread, threads
 * running. ret_bootstrap (may be NULL, 80 bytes): that token when the catalogue was new, else "".
 */
int catalogue_open(struct engine *engine, const char *data_dir, struct catalogue **ret_catalogue,
    char *ret_bootstrap, struct err *ret_err) MUST_CHECK;
void catalogue_close(struct catalogue *catalogue); /* before engine_free() */
uint64_t catalogue_generation(const struct catalogue *catalogue);

#endif
