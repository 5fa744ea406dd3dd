/* What catalogue.c, catalogue_open.c and catalogue_background.c share. */
#ifndef TENANTS_CATALOGUE_INTERNAL_H
#define TENANTS_CATALOGUE_INTERNAL_H

#include <stdatomic.h>

#include "tenants/base/thread.h"
#include "tenants/catalogue_store.h"
#include "tenants/family.h"
#include "tenants/rate.h"

#define CATALOGUE_MARKS 4096 /* tenants share them; a power of two */
#define CATALOGUE_SWEEP_MS 60000
#define CATALOGUE_EXPIRE_MAX 256
#define CATALOGUE_PURGES_MAX 256 /* at once */
#define CATALOGUE_USAGE_MAX 512  /* databases in one flush */

/* What a call does. */
struct catalogue_action {
    const char *name;
    bool writes;
    bool changes; /* call->changed_tenant is marked before the answer */
    bool adds;    /* likewise: it has more databases */
    /* In the procedure, perhaps more than once. Sets call->output, call->changed_tenant,
     * call->state; allocates from the call's arena only. */
    int (*run)(const struct store *store, struct catalogue_call *call, struct err *err);
    /* After it is durable and marked (NULL: nothing). */
    void (*after)(struct catalogue_call *call);
};

/* Background work with a call of its own. */
struct catalogue_job {
    struct catalogue_call call;
    struct arena arena;
    atomic_bool running;
    uint64_t due_ns; /* the tick's own */
};

struct catalogue {
    _Atomic uint32_t references; /* the owner's, and one per purge that waits for the engine */
    struct engine *engine;
    struct database *database; /* owned: the catalogue's own */
    char data_dir[FAMILY_PATH_MAX];
    struct catalogue_options options; /* shared, immutable after catalogue_configure() */
    struct rate_table *rates;
    struct token_verifier *verifier; /* borrowed; NULL: no signed tokens are taken */
    struct usage_table *usages;
    _Atomic uint64_t generation;
    _Atomic uint64_t marks[CATALOGUE_MARKS]; /* generation of the last change of a tenant */
    _Atomic uint64_t added[CATALOGUE_MARKS]; /* and of the last new database */

    /* Background. */
    struct mutex lock;
    struct cond idle;
    unsigned active; /* under the lock: background calls and removals under way */
    bool closing;    /* under the lock */
    uint64_t purging[CATALOGUE_PURGES_MAX]; /* under the lock: ids on their way out, 0: free */
    struct catalogue_job usage_job;
    struct catalogue_job expire_job;
    struct catalogue_job purge_job;
    struct catalogue_job rest_job;
    struct usage_delta deltas[CATALOGUE_USAGE_MAX]; /* the usage job's */
    size_t delta_count;
};

/* Fills the request and submits it. */
void catalogue_submit(
    struct catalogue_call *call, const struct catalogue_action *action, const void *input);
/* The same, waiting for the answer. Main thread. 0, or -1 with err. */
int catalogue_submit_wait(struct catalogue_call *call, const struct catalogue_action *action,
    const void *input, struct err *ret_err) MUST_CHECK;
/* Ends a call that never was submitted. */
void catalogue_fail(struct catalogue_call *call, const struct err *err);
/* `size` bytes of output. NULL: err set. */
void *catalogue_output(struct catalogue_call *call, size_t size, struct err *ret_err) MUST_CHECK;
void catalogue_mark(struct catalogue *catalogue, uint64_t tenant_id);
/* A struct database with its rate and usage. */
struct database *catalogue_make_database(
    struct catalogue *catalogue, const struct store_database *row) MUST_CHECK;
/* Closes its actor when it is idle; nobody waits. */
void catalogue_close_database(struct catalogue *catalogue, const struct store_database *row);
/* Its row is marked purging: its files go when it is closed, and then the row. */
void catalogue_purge(struct catalogue *catalogue, const struct store_database *row);
void catalogue_ref(struct catalogue *catalogue);
void catalogue_unref(struct catalogue *catalogue);

/* catalogue_repair.c: changes that the last process did not end. At the start. */
int catalogue_repair(struct catalogue *catalogue, struct err *ret_err) MUST_CHECK;

/* catalogue_background.c */
void catalogue_background_init(struct catalogue *catalogue);
/* No more of it; waits for what runs; flushes usage. */
void catalogue_background_stop(struct catalogue *catalogue);

#endif
