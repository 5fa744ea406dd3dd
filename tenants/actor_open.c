/* Opening and closing: an actor's files, its account, its write lane. Jobs of the workers. */
#include <sqlite3.h>
#include <stdio.h>

#include "tenants/actor.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"
#include "tenants/layers/heads.h"
#include "tenants/stream.h"
#include "tenants/usage.h"

struct actor_job {
    struct task task;
    struct actor *actor;
    struct database *database; /* owned reference, opening only */
    uint64_t started_ns;
    bool folder_made;
    struct err live_err;
};

struct close_waiter {
    struct close_waiter *next;
    void (*done)(void *argument);
    void *argument;
};

static void open_task(struct task *task);
static void close_task(struct task *task);

static struct actor_job *job_new(
    struct actor *actor, struct database *database, void (*run)(struct task *task))
{
    struct actor_job *job = mem_zalloc(sizeof(*job));

    task_init(&job->task, actor->tenant_id, run);
    job->actor = actor;
    job->database = database == NULL ? NULL : database_ref(database);
    job->started_ns = clock_now_ns();
    job->live_err = ERR_INIT;
    return job;
}

static void job_free(struct actor_job *job)
{
    database_unref(job->database);
    mem_free(job);
}

void actor_start_open(struct actor *actor, struct database *database)
{
    struct actor_job *job = job_new(actor, database, open_task);

    scheduler_push(&actor->engine->fast, &job->task);
}

static bool is_catalogue(const struct database *database)
{
    return database->family_id[0] == '\0';
}

/* The layers of its head, in place of a file. */
static int open_layers(
    struct open_database *open, const struct database *database, struct err *ret_err)
{
    if (family_open(
            open->actor->engine->options.data_dir, database->family_id, &open->family, ret_err) < 0)
        return -1;
    if (family_head_open(open->family, database->head_id, &open->family_head, ret_err) == 0) {
        atomic_init(&open->may_fold, stack_is_layered(family_head_stack(open->family_head)));
        return 0;
    }
    /* Whoever asks has an entry from before the branch got other content. */
    if (ret_err->code == ERR_NOT_FOUND)
        (void)err_set(ret_err, ERR_UNAVAILABLE,
            "the database was reset, restored or removed at this moment; try again");
    return -1;
}

static int locate(struct open_database *open, const struct database *database,
    struct family_paths *ret_paths, struct err *ret_err)
{
    const struct engine *engine = open->actor->engine;

    if (!is_catalogue(database)) {
        if (open_layers(open, database, ret_err) < 0)
            return -1;
        *ret_paths = *family_head_files(open->family_head);
        return 0;
    }
    (void)snprintf(ret_paths->main_path, sizeof(ret_paths->main_path), "%s/catalogue.db",
        engine->options.data_dir);
    (void)snprintf(ret_paths->wal_path, sizeof(ret_paths->wal_path), "%s/catalogue.db-wal",
        engine->options.data_dir);
    ret_paths->placeholder_path[0] = '\0';
    return 0;
}

/* What is the engine's default where the database has none of its own. */
static struct database_settings effective(
    const struct engine *engine, const struct database_settings *settings)
{
    struct database_settings result = *settings;

    if (result.max_bytes == 0)
        result.max_bytes = engine->options.max_database_bytes;
    if (result.memory_bytes == 0)
        result.memory_bytes = engine->options.memory_per_database;
    return result;
}

static void set_blocks(struct open_database *open)
{
    unsigned blocks = 0;

    if (open->settings.block_reads)
        blocks = OPEN_BLOCKS_READS | OPEN_BLOCKS_WRITES;
    else if (open->settings.block_writes)
        blocks = OPEN_BLOCKS_WRITES;
    atomic_store_explicit(&open->blocks, blocks, memory_order_release);
}

static void set_settings(struct open_database *open, const struct database *database)
{
    open->settings = effective(open->actor->engine, &database->settings);
    open->usage = database->usage == NULL ? NULL : usage_ref(database->usage);
    open->is_catalogue = is_catalogue(database);
    open->account = account_new(open->settings.memory_bytes);
    set_blocks(open);
}

/* The connection may hold more than it is to have now. Lock held. */
static void wake_lane_locked(struct lane *lane)
{
    if (lane->state == LANE_FREE && lane->connection != NULL)
        lane_push_locked(lane);
}

/* Lanes follow at their next turn, idle ones in one of their own. Lock held. */
static void change_settings_locked(struct actor *actor, const struct database_settings *settings)
{
    struct open_database *open = actor->open;

    open->settings = effective(actor->engine, settings);
    set_blocks(open);
    open->settings_generation++;
    account_set_limit(open->account, open->settings.memory_bytes);
    atomic_store(&open->gate.relaxed, open->settings.durability == DURABILITY_RELAXED);
    wake_lane_locked(&open->write);
    for (unsigned i = 0; i < open->reader_count; i++)
        wake_lane_locked(open->readers[i]);
    LIST_FOREACH(item, &open->streams)
    {
        wake_lane_locked(LIST_ENTRY(item, struct stream, open_link)->lane);
    }
}

void engine_change_settings(struct engine *engine, struct database *database)
{
    struct actor *actor = engine_find_actor(engine, database);

    mutex_lock(&actor->lock);
    if (actor->changed == NULL)
        actor->changed = mem_alloc(sizeof(*actor->changed));
    *actor->changed = database->settings;
    if (actor->state == ACTOR_OPEN)
        change_settings_locked(actor, actor->changed);
    mutex_unlock(&actor->lock);
    actor_unref(actor);
}

/* Settings that changed before it was open: the entry it was opened by may be older. Lock held. */
static void take_changed_locked(struct actor *actor)
{
    if (actor->changed != NULL)
        change_settings_locked(actor, actor->changed);
}

static struct open_database *open_new(struct actor *actor)
{
    struct open_database *open = mem_zalloc(sizeof(*open));

    open->actor = actor;
    list_init(&open->reads);
    list_init(&open->slow_reads);
    list_init(&open->streams);
    list_init(&open->parked);
    list_init(&open->open_link);
    atomic_init(&open->schema_generation, 1); /* no lane has seen it */
    lane_init(&open->write, actor, LANE_WRITE);
    return open;
}

/* Frees what was made; the head may be NULL. */
static void open_free(struct open_database *open) ON(actor_owner)
{
    for (unsigned i = 0; i < open->reader_count; i++) {
        lane_disconnect(open->readers[i]);
        mem_free(open->readers[i]);
    }
    lane_disconnect(&open->write);
    if (open->head != NULL) {
        gate_fini(&open->gate);
        vfs_head_close(open->head);
    }
    family_head_close(open->family_head);
    family_release(open->family);
    account_release(open->account);
    usage_unref(open->usage);
    mem_free(open);
}

static void on_commit(void *context)
{
    gate_on_commit(&((struct open_database *)context)->gate);
}

static uint64_t on_sync_begin(void *context)
{
    return gate_on_sync_begin(&((struct open_database *)context)->gate);
}

static void on_synced(void *context, uint64_t token)
{
    gate_on_synced(&((struct open_database *)context)->gate, token);
}

static int open_head(
    struct open_database *open, const struct family_paths *paths, struct err *ret_err)
{
    struct engine *engine = open->actor->engine;
    bool deferred = engine->options.commit == COMMIT_PIPELINED;
    struct vfs_head_options options = {
        .main_path = paths->main_path,
        .stack = open->family_head == NULL ? NULL : family_head_stack(open->family_head),
        .wal_path = paths->wal_path,
        .placeholder_path = paths->placeholder_path[0] == '\0' ? NULL : paths->placeholder_path,
        .events = {.on_commit = deferred ? on_commit : NULL,
            .on_sync_begin = on_sync_begin,
            .on_synced = on_synced,
            .on_unlock = actor_unlocked},
        .context = open,
        .create = open->is_catalogue,
        .temp_limit_bytes = engine->options.temp_per_database,
        .temp_dir = engine->temp_dir,
    };

    if (vfs_head_open(&options, &open->head, ret_err) < 0)
        return -1;
    /* No event comes before the first connection. */
    gate_init(&open->gate, &engine->sync, open->head, request_release, actor_sync_failed, open);
    open->gate.on_settled = actor_settled;
    atomic_store(&open->gate.relaxed, open->settings.durability == DURABILITY_RELAXED);
    return 0;
}

static void set_open(struct actor *actor, struct open_database *open)
{
    mutex_lock(&actor->lock);
    actor->open = open;
    mutex_unlock(&actor->lock);
}

static int open_database(struct actor *actor, const struct database *database, struct err *ret_err)
{
    struct open_database *open = open_new(actor);
    struct family_paths paths;
    struct account *before;
    int rc = -1;

    set_settings(open, database);
    set_open(actor, open); /* lanes look there; nobody else uses it while OPENING */
    actor_owner_enter();
    before = account_enter(open->account);
    if (locate(open, database, &paths, ret_err) == 0 && open_head(open, &paths, ret_err) == 0)
        rc = lane_connect(&open->write, ret_err);
    if (rc < 0) {
        set_open(actor, NULL);
        open_free(open);
    }
    (void)account_enter(before);
    actor_owner_leave();
    return rc;
}

void open_note_size(const struct open_database *open)
{
    if (open->usage != NULL)
        usage_set_size(
            open->usage, vfs_head_main_bytes(open->head), vfs_head_wal_bytes(open->head));
}

static void open_succeeded(struct actor_job *job)
{
    struct actor *actor = job->actor;
    struct engine *engine = actor->engine;

    open_note_size(actor->open);
    metric_add(METRIC_OPENS, 1);
    metric_gauge_add(METRIC_DATABASES_OPEN, 0, 1);
    metric_observe(METRIC_OPEN_SECONDS, clock_now_ns() - job->started_ns);
    (void)actor_ref(actor); /* while open */
    mutex_lock(&engine->registry_lock);
    list_append(&engine->open_list, &actor->open->open_link);
    engine->open_count++;
    mutex_unlock(&engine->registry_lock);
    mutex_lock(&actor->lock);
    actor->state = ACTOR_OPEN;
    take_changed_locked(actor);
    actor_dispatch_mailbox_locked(actor);
    mutex_unlock(&actor->lock);
}

static struct close_waiter *take_waiters_locked(struct actor *actor)
{
    struct close_waiter *waiters = actor->waiters;

    actor->waiters = NULL;
    actor->close_wanted = false;
    return waiters;
}

static void tell_waiters(struct close_waiter *waiters)
{
    while (waiters != NULL) {
        struct close_waiter *next = waiters->next;

        waiters->done(waiters->argument);
        mem_free(waiters);
        waiters = next;
    }
}

static void open_failed(struct actor_job *job, const struct err *err)
{
    struct actor *actor = job->actor;
    struct close_waiter *waiters;
    struct list waiting;
    char quoted[ERR_MSG_MAX + 8];

    if (err_is_internal(err->code) || err->code == ERR_NOT_FOUND)
        log_error("database.open_failed", "tenant=%.*s database=%.*s family=%s code=%s error=%s",
            STR_ARGS(job->database->tenant_slug), STR_ARGS(job->database->slug),
            job->database->family_id, err_code_name(err->code),
            log_quote(quoted, sizeof(quoted), str_from(err->msg)));
    (void)actor_ref(actor);
    mutex_lock(&actor->lock);
    actor->state = ACTOR_CLOSED; /* and in the same step: who comes now opens it anew */
    actor_take_mailbox_locked(actor, &waiting);
    waiters = take_waiters_locked(actor);
    mutex_unlock(&actor->lock);
    actor_refuse_mailbox(actor, &waiting, err);
    tell_waiters(waiters);
    actor_unref(actor);
}

/* The catalogue has said that the database is live, durably; or that it cannot. Any thread. */
static void on_live(void *argument, const struct err *err)
{
    struct actor_job *job = argument;

    if (err != NULL && err->code != ERR_NONE)
        err_copy(&job->live_err, err);
    scheduler_push(&job->actor->engine->fast, &job->task);
}

/* A reserved database gets its folder, then is told of. True: on_live() comes back to this job. */
static bool make_folder(struct actor_job *job, struct err *ret_err)
{
    struct engine *engine = job->actor->engine;
    struct database *database = job->database;

    if (is_catalogue(database) || database->state != DATABASE_RESERVED || job->actor->live_told ||
        job->folder_made)
        return false;
    if (family_create(engine->options.data_dir, database->family_id, database->head_id, ret_err) <
        0)
        return false;
    job->folder_made = true;
    if (engine->live == NULL)
        return false;
    engine->live(engine->live_catalogue, database, on_live, job);
    return true;
}

static void open_task(struct task *task)
{
    struct actor_job *job = CONTAINER_OF(task, struct actor_job, task);
    struct actor *actor = job->actor;
    struct err err = ERR_INIT;
    bool waits = make_folder(job, &err);

    if (waits)
        return;
    if (err.code == ERR_NONE)
        err_copy(&err, &job->live_err);
    if (err.code == ERR_NONE && open_database(actor, job->database, &err) == 0) {
        actor->live_told = true;
        open_succeeded(job);
    } else {
        open_failed(job, &err);
    }
    job_free(job);
}

/* Requests wait for its lanes. Those in the mailbox wait for the next opening. Lock held. */
static bool has_work(const struct open_database *open)
{
    return !list_empty(&open->reads) || !list_empty(&open->slow_reads) ||
           !list_empty(&open->write.inbox);
}

bool actor_try_close(struct actor *actor)
{
    struct open_database *open;
    struct actor_job *job = NULL;

    mutex_lock(&actor->lock);
    open = actor->open;
    if (actor->state == ACTOR_OPEN && open->busy_lanes == 0 && !has_work(open) &&
        open->stream_count == 0 && gate_is_quiet(&open->gate)) {
        actor->state = ACTOR_CLOSING;
        job = job_new(actor, NULL, close_task);
    }
    mutex_unlock(&actor->lock);
    if (job != NULL)
        scheduler_push(&actor->engine->fast, &job->task);
    return job != NULL;
}

/* Everything of the WAL into the base, and the WAL emptied: the folder is whole without it. */
static void settle(struct open_database *open) ON(actor_owner)
{
    int rc;

    if (open->failed || open->write.connection == NULL)
        return;
    for (unsigned i = 0; i < open->reader_count; i++)
        lane_disconnect(open->readers[i]);
    vfs_checkpoint_section(true);
    rc = sqlite3_wal_checkpoint_v2(
        connection_db(open->write.connection), NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    vfs_checkpoint_section(false);
    if (rc != SQLITE_OK)
        log_warn("database.settle_failed", "tenant_id=%llu rc=%d",
            (unsigned long long)open->actor->tenant_id, rc);
}

/* CLOSED, or opened again at once for who came meanwhile. */
static void closed(struct actor *actor)
{
    struct close_waiter *waiters;
    struct request *next = NULL;

    mutex_lock(&actor->lock);
    actor->open = NULL;
    waiters = take_waiters_locked(actor);
    if (!list_empty(&actor->mailbox))
        next = LIST_FIRST(&actor->mailbox, struct request, link);
    actor->state = next == NULL ? ACTOR_CLOSED : ACTOR_OPENING;
    mutex_unlock(&actor->lock);
    tell_waiters(waiters);
    if (next != NULL) /* nobody takes it from the mailbox while OPENING */
        actor_start_open(actor, next->database);
}

bool actor_claim_closed(struct actor *actor)
{
    bool claimed;

    mutex_lock(&actor->lock);
    claimed = actor->state == ACTOR_CLOSED;
    if (claimed)
        actor->state = ACTOR_OPENING;
    mutex_unlock(&actor->lock);
    return claimed;
}

void actor_unclaim(struct actor *actor)
{
    closed(actor);
}

static void close_task(struct task *task)
{
    struct actor_job *job = CONTAINER_OF(task, struct actor_job, task);
    struct actor *actor = job->actor;
    struct engine *engine = actor->engine;
    struct open_database *open = actor->open;
    struct account *before = account_enter(open->account);

    actor_owner_enter();
    settle(open);
    open_note_size(open);
    mutex_lock(&engine->registry_lock);
    list_remove(&open->open_link);
    engine->open_count--;
    mutex_unlock(&engine->registry_lock);
    (void)account_enter(before);
    open_free(open);
    actor_owner_leave();
    metric_add(METRIC_CLOSES, 1);
    metric_gauge_add(METRIC_DATABASES_OPEN, 0, -1);
    closed(actor);
    job_free(job);
    actor_unref(actor); /* the reference of being open */
}

void engine_close_database(
    struct engine *engine, struct database *database, void (*done)(void *), void *argument)
{
    struct actor *actor = engine_find_actor(engine, database);
    struct close_waiter *waiter = mem_zalloc(sizeof(*waiter));
    bool was_closed;

    waiter->done = done;
    waiter->argument = argument;
    mutex_lock(&actor->lock);
    was_closed = actor->state == ACTOR_CLOSED;
    if (!was_closed) {
        actor->close_wanted = true;
        waiter->next = actor->waiters;
        actor->waiters = waiter;
    }
    mutex_unlock(&actor->lock);
    if (was_closed)
        tell_waiters(waiter);
    else
        (void)actor_try_close(actor); /* else the tick tries again */
    actor_unref(actor);
}
