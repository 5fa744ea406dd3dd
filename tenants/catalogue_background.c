/* What the catalogue does by itself: usage figures to disk, expiry, purging.
 *
 * Four jobs, each with one call under way at most, started by the tick when due. A job that met its
 * batch's bound is due again at once. Purging a database is a walk of its own:
 *
 *   picked (row marked `purging`) -> its actor is closed by the engine -> folder removed (worker)
 *   -> row removed
 *
 * A crash anywhere leaves a row marked `purging`, which the next pick finds again; removing a
 * folder that is gone is fine. A purge may wait for the engine for long (a session is still open);
 * it holds a reference, and does nothing more once the catalogue is closing. */
#include <string.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"
#include "tenants/catalogue_internal.h"
#include "tenants/family_call.h"

struct purge {
    struct catalogue_call call;
    struct arena arena;
    struct catalogue *catalogue; /* counted reference */
    struct database *database;   /* owned */
    struct family_call family;   /* of a branch: its head goes, not the folder */
    uint64_t id;
};

static void log_failure(const char *what, const struct err *err)
{
    char quoted[ERR_MSG_MAX + 8];

    log_warn("catalogue.background_failed", "job=%s code=%s error=%s", what,
        err_code_name(err->code), log_quote(quoted, sizeof(quoted), str_from(err->msg)));
}

/* False when the catalogue is closing: do nothing. */
static bool begin(struct catalogue *catalogue)
{
    bool goes;

    mutex_lock(&catalogue->lock);
    goes = !catalogue->closing;
    if (goes)
        catalogue->active++;
    mutex_unlock(&catalogue->lock);
    return goes;
}

static void end(struct catalogue *catalogue)
{
    mutex_lock(&catalogue->lock);
    CHECK(catalogue->active > 0);
    if (--catalogue->active == 0)
        cond_broadcast(&catalogue->idle);
    mutex_unlock(&catalogue->lock);
}

/* ---- jobs ---- */

static void start_job(struct catalogue *catalogue, struct catalogue_job *job,
    const struct catalogue_action *action, void (*done)(struct catalogue_call *call))
{
    if (!begin(catalogue))
        return;
    atomic_store(&job->running, true);
    arena_reset(&job->arena);
    memset(&job->call, 0, sizeof(job->call));
    job->call.catalogue = catalogue;
    job->call.arena = &job->arena;
    job->call.done = done;
    job->call.owner = job;
    catalogue_submit(&job->call, action, NULL);
}

static void end_job(struct catalogue_call *call, bool again)
{
    struct catalogue_job *job = call->owner;
    struct catalogue *catalogue = call->catalogue;

    if (call->err.code != ERR_NONE)
        log_failure(call->action->name, &call->err);
    else if (again)
        job->due_ns = 0;
    atomic_store(&job->running, false); /* hands due_ns to the tick */
    end(catalogue);
}

static bool is_due(struct catalogue_job *job, uint64_t now_ns, uint64_t period_ms)
{
    if (atomic_load(&job->running) || now_ns < job->due_ns)
        return false;
    job->due_ns = now_ns + period_ms * NS_PER_MS;
    return true;
}

/* ---- usage ---- */

static int run_usage(const struct store *store, struct catalogue_call *call, struct err *err)
{
    return store_usage_add(store, call->catalogue->deltas, call->catalogue->delta_count, err);
}

static void on_usage(struct catalogue_call *call)
{
    struct catalogue *catalogue = call->catalogue;

    /* Not when the outcome is unknown: counts are lost rather than doubled. */
    if (call->err.code != ERR_NONE && call->err.code != ERR_OUTCOME_UNKNOWN)
        usage_table_return(catalogue->usages, catalogue->deltas, catalogue->delta_count);
    end_job(call, catalogue->delta_count == CATALOGUE_USAGE_MAX);
}

static const struct catalogue_action usage_action = {
    .name = "usage", .writes = true, .run = run_usage};

static void flush_usage(struct catalogue *catalogue)
{
    catalogue->delta_count =
        usage_table_take(catalogue->usages, catalogue->deltas, CATALOGUE_USAGE_MAX);
    if (catalogue->delta_count > 0)
        start_job(catalogue, &catalogue->usage_job, &usage_action, on_usage);
}

static void flush_usage_at_close(struct catalogue *catalogue)
{
    do {
        struct catalogue_job *job = &catalogue->usage_job;
        struct err err = ERR_INIT;

        catalogue->delta_count =
            usage_table_take(catalogue->usages, catalogue->deltas, CATALOGUE_USAGE_MAX);
        if (catalogue->delta_count == 0)
            return;
        arena_reset(&job->arena);
        memset(&job->call, 0, sizeof(job->call));
        job->call.catalogue = catalogue;
        job->call.arena = &job->arena;
        if (catalogue_submit_wait(&job->call, &usage_action, NULL, &err) < 0) {
            log_failure("usage", &err);
            return;
        }
    } while (catalogue->delta_count == CATALOGUE_USAGE_MAX);
}

/* ---- expiry ---- */

static int run_expire(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct store_database_rows *rows = catalogue_output(call, sizeof(*rows), err);

    return rows == NULL ? -1 : store_expire(store, CATALOGUE_EXPIRE_MAX, rows, err);
}

/* A branch goes at once, with its pages; a database can be restored. */
static void catalogue_expired(struct catalogue *catalogue, const struct store_database *row)
{
    const struct database *database = &row->database;

    log_info("database.expired", "tenant=%.*s database=%.*s branch=%d",
        STR_ARGS(database->tenant_slug), STR_ARGS(database->slug), database->root_id != 0);
    metric_add(METRIC_EXPIRED, 1);
    if (database->root_id != 0)
        catalogue_purge(catalogue, row);
    else
        catalogue_close_database(catalogue, row);
}

static void on_expire(struct catalogue_call *call)
{
    const struct store_database_rows *rows = call->output;

    for (size_t i = 0; rows != NULL && i < rows->count; i++) {
        catalogue_mark(call->catalogue, rows->rows[i].database.tenant_id);
        catalogue_expired(call->catalogue, &rows->rows[i]);
    }
    end_job(call, rows != NULL && rows->count == CATALOGUE_EXPIRE_MAX);
}

/* ---- purging ---- */

static bool take_place(struct catalogue *catalogue, uint64_t id)
{
    size_t place = CATALOGUE_PURGES_MAX;

    mutex_lock(&catalogue->lock);
    for (size_t i = 0; i < CATALOGUE_PURGES_MAX; i++) {
        if (catalogue->purging[i] == id) {
            place = CATALOGUE_PURGES_MAX;
            break;
        }
        if (catalogue->purging[i] == 0)
            place = i;
    }
    if (place < CATALOGUE_PURGES_MAX)
        catalogue->purging[place] = id;
    mutex_unlock(&catalogue->lock);
    return place < CATALOGUE_PURGES_MAX;
}

static void purge_free(struct purge *purge)
{
    struct catalogue *catalogue = purge->catalogue;

    mutex_lock(&catalogue->lock);
    for (size_t i = 0; i < CATALOGUE_PURGES_MAX; i++) {
        if (catalogue->purging[i] == purge->id)
            catalogue->purging[i] = 0;
    }
    mutex_unlock(&catalogue->lock);
    database_unref(purge->database);
    arena_fini(&purge->arena);
    mem_free(purge);
    catalogue_unref(catalogue);
}

static int run_purge_row(const struct store *store, struct catalogue_call *call, struct err *err)
{
    const struct purge *purge = call->input;

    return store_purge_databases(store, &purge->id, 1, err);
}

static void on_purged(struct catalogue_call *call)
{
    struct purge *purge = CONTAINER_OF(call, struct purge, call);
    struct catalogue *catalogue = purge->catalogue;

    if (call->err.code != ERR_NONE)
        log_failure("purge", &call->err);
    else
        log_debug("database.purged", "database_id=%llu", (unsigned long long)purge->id);
    catalogue_ref(catalogue);
    purge_free(purge);
    end(catalogue);
    catalogue_unref(catalogue);
}

/* On a worker: the actor is closed, and nobody can open it again. */
static void on_closed(void *argument)
{
    static const struct catalogue_action action = {
        .name = "purge_row", .writes = true, .run = run_purge_row};
    struct purge *purge = argument;
    struct catalogue *catalogue = purge->catalogue;
    struct err err = ERR_INIT;

    if (!begin(catalogue)) {
        purge_free(purge);
        return;
    }
    if (family_remove(catalogue->data_dir, purge->database->family_id, &err) < 0 &&
        err.code != ERR_NOT_FOUND) {
        err_copy(&purge->call.err, &err);
        on_purged(&purge->call);
        return;
    }
    catalogue_submit(&purge->call, &action, purge);
}

static void on_head_removed(struct family_call *family)
{
    static const struct catalogue_action action = {
        .name = "purge_branch", .writes = true, .run = run_purge_row};
    struct purge *purge = family->owner;

    if (!begin(purge->catalogue)) {
        purge_free(purge);
        return;
    }
    if (family->err.code != ERR_NONE) {
        err_copy(&purge->call.err, &family->err);
        on_purged(&purge->call);
        return;
    }
    catalogue_submit(&purge->call, &action, purge);
}

static void remove_head(struct purge *purge)
{
    purge->family.op = FAMILY_REMOVE_HEAD;
    purge->family.database = purge->database;
    purge->family.done = on_head_removed;
    purge->family.owner = purge;
    engine_family_call(purge->catalogue->engine, &purge->family);
}

void catalogue_purge(struct catalogue *catalogue, const struct store_database *row)
{
    struct purge *purge;

    if (!take_place(catalogue, row->database.id))
        return;
    purge = mem_zalloc(sizeof(*purge));
    catalogue_ref(catalogue);
    purge->catalogue = catalogue;
    purge->id = row->database.id;
    purge->database = catalogue_make_database(catalogue, row);
    arena_init(&purge->arena, 0);
    purge->call.catalogue = catalogue;
    purge->call.arena = &purge->arena;
    purge->call.done = on_purged;
    if (row->database.root_id != 0 && !row->database.owns_family)
        remove_head(purge);
    else
        engine_close_database(catalogue->engine, purge->database, on_closed, purge);
}

static int run_purge_pick(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct store_database_rows *rows = catalogue_output(call, sizeof(*rows), err);

    return rows == NULL ? -1 : store_purge_pick(store, CATALOGUE_PURGES_MAX, rows, err);
}

static void on_purge_pick(struct catalogue_call *call)
{
    const struct store_database_rows *rows = call->output;

    for (size_t i = 0; rows != NULL && i < rows->count; i++)
        catalogue_purge(call->catalogue, &rows->rows[i]);
    end_job(call, rows != NULL && rows->count == CATALOGUE_PURGES_MAX);
}

static int run_rest(const struct store *store, struct catalogue_call *call, struct err *err)
{
    (void)call;
    return store_purge_rest(store, err);
}

static void on_rest(struct catalogue_call *call)
{
    end_job(call, false);
}

/* ---- the tick ---- */

void catalogue_tick(struct catalogue *catalogue, uint64_t now_ns)
{
    static const struct catalogue_action expire = {
        .name = "expire", .writes = true, .run = run_expire};
    static const struct catalogue_action purge = {
        .name = "purge", .writes = true, .run = run_purge_pick};
    static const struct catalogue_action rest = {
        .name = "purge_rest", .writes = true, .run = run_rest};

    if (is_due(&catalogue->usage_job, now_ns, USAGE_FLUSH_MS))
        flush_usage(catalogue);
    if (is_due(&catalogue->expire_job, now_ns, CATALOGUE_SWEEP_MS))
        start_job(catalogue, &catalogue->expire_job, &expire, on_expire);
    if (is_due(&catalogue->purge_job, now_ns, CATALOGUE_SWEEP_MS))
        start_job(catalogue, &catalogue->purge_job, &purge, on_purge_pick);
    if (is_due(&catalogue->rest_job, now_ns, CATALOGUE_SWEEP_MS)) {
        rate_table_sweep(catalogue->rates, now_ns);
        start_job(catalogue, &catalogue->rest_job, &rest, on_rest);
    }
}

static struct catalogue_job *const *jobs_of(
    struct catalogue *catalogue, struct catalogue_job *jobs[4])
{
    jobs[0] = &catalogue->usage_job;
    jobs[1] = &catalogue->expire_job;
    jobs[2] = &catalogue->purge_job;
    jobs[3] = &catalogue->rest_job;
    return jobs;
}

void catalogue_background_init(struct catalogue *catalogue)
{
    struct catalogue_job *jobs[4];

    mutex_init(&catalogue->lock);
    cond_init(&catalogue->idle);
    (void)jobs_of(catalogue, jobs);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        arena_init(&jobs[i]->arena, 0);
}

void catalogue_background_stop(struct catalogue *catalogue)
{
    struct catalogue_job *jobs[4];

    mutex_lock(&catalogue->lock);
    catalogue->closing = true;
    while (catalogue->active > 0)
        cond_wait(&catalogue->idle, &catalogue->lock);
    mutex_unlock(&catalogue->lock);
    flush_usage_at_close(catalogue);
    (void)jobs_of(catalogue, jobs);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        arena_fini(&jobs[i]->arena);
}
