#include "tenants/gate.h"

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/metrics.h"
#include "tenants/vfs.h"

void sync_pool_init(struct sync_pool *pool)
{
    *pool = (struct sync_pool){.stopping = false};
    mutex_init(&pool->lock);
    cond_init(&pool->wake);
    list_init(&pool->queue);
}

void sync_pool_fini(struct sync_pool *pool)
{
    CHECK(list_empty(&pool->queue));
    cond_fini(&pool->wake);
    mutex_fini(&pool->lock);
}

void sync_pool_stop(struct sync_pool *pool)
{
    mutex_lock(&pool->lock);
    pool->stopping = true;
    mutex_unlock(&pool->lock);
    cond_broadcast(&pool->wake);
}

static void sync_pool_push(struct sync_pool *pool, struct gate *gate)
{
    bool wake;

    mutex_lock(&pool->lock);
    list_append(&pool->queue, &gate->queue_link);
    wake = pool->sleeping > 0;
    mutex_unlock(&pool->lock);
    if (wake)
        cond_signal(&pool->wake);
}

void gate_init(struct gate *gate, struct sync_pool *pool, struct vfs_head *head,
    void (*release)(struct request *request), void (*on_failure)(void *context), void *context)
{
    *gate = (struct gate){.pool = pool,
        .head = head,
        .release = release,
        .on_failure = on_failure,
        .context = context};
    mutex_init(&gate->lock);
    list_init(&gate->waiting);
    list_init(&gate->queue_link);
}

void gate_fini(struct gate *gate)
{
    CHECK(list_empty(&gate->waiting) && !gate->queued && !gate->syncing);
    mutex_fini(&gate->lock);
}

void gate_on_commit(void *context)
{
    struct gate *gate = context;

    (void)atomic_fetch_add(&gate->committed, 1);
    metric_add(METRIC_COMMITS, 1);
}

uint64_t gate_on_sync_begin(void *context)
{
    struct gate *gate = context;

    return atomic_load(&gate->committed);
}

/* Moves what may go out to `ready`. Lock held. */
static void collect_locked(struct gate *gate, struct list *ready)
{
    uint64_t durable = atomic_load(&gate->durable);

    LIST_FOREACH_SAFE(item, next, &gate->waiting)
    {
        struct request *request = LIST_ENTRY(item, struct request, link);

        if (!gate->failed && request->gate > durable)
            break;
        if (gate->failed && request->gate > durable)
            (void)err_set(&request->err, ERR_OUTCOME_UNKNOWN,
                "the disk failed while this was being made durable: whether it was kept is not "
                "known");
        list_remove(item);
        list_append(ready, item);
    }
}

static void release_all(struct gate *gate, struct list *ready)
{
    LIST_FOREACH_SAFE(item, next, ready)
    {
        struct request *request = LIST_ENTRY(item, struct request, link);

        list_remove(item);
        metric_gauge_add(METRIC_GATE_WAITING, 0, -1);
        gate->release(request);
    }
}

void gate_on_synced(void *context, uint64_t token)
{
    struct gate *gate = context;
    struct list ready;

    list_init(&ready);
    mutex_lock(&gate->lock);
    if (token > atomic_load(&gate->durable))
        atomic_store(&gate->durable, token);
    collect_locked(gate, &ready);
    mutex_unlock(&gate->lock);
    release_all(gate, &ready);
}

void gate_fail(struct gate *gate)
{
    struct list ready;

    list_init(&ready);
    mutex_lock(&gate->lock);
    gate->failed = true;
    collect_locked(gate, &ready);
    mutex_unlock(&gate->lock);
    gate->on_failure(gate->context);
    release_all(gate, &ready);
}

void gate_request_sync(struct gate *gate)
{
    bool push = false;

    if (atomic_load(&gate->durable) >= atomic_load(&gate->committed))
        return;
    mutex_lock(&gate->lock);
    if (gate->syncing) {
        gate->again = true;
        gate->held = atomic_load(&gate->durable) < atomic_load(&gate->committed);
    } else if (!gate->queued && !gate->failed &&
               atomic_load(&gate->durable) < atomic_load(&gate->committed)) {
        gate->queued = true;
        gate->held = true;
        push = true;
    }
    mutex_unlock(&gate->lock);
    if (push)
        sync_pool_push(gate->pool, gate);
}

static bool gate_is_relaxed(struct gate *gate)
{
    return atomic_load_explicit(&gate->relaxed, memory_order_relaxed);
}

bool gate_claim_sync(struct gate *gate)
{
    bool claimed = false;

    if (atomic_load(&gate->durable) >= atomic_load(&gate->committed))
        return false;
    mutex_lock(&gate->lock);
    if (!gate->syncing && !gate->queued && !gate->failed) {
        gate->syncing = true;
        gate->held = true;
        claimed = true;
    }
    mutex_unlock(&gate->lock);
    if (!claimed)
        gate_request_sync(gate);
    return claimed;
}

bool gate_should_gather(struct gate *gate)
{
    bool held;

    mutex_lock(&gate->lock);
    held = gate->held && !gate->failed && !gate_is_relaxed(gate);
    if (held)
        gate->notify = true;
    mutex_unlock(&gate->lock);
    return held;
}

/* The sync under way has ended; the database is still kept open by `syncing`. */
static void tell_settled(struct gate *gate)
{
    bool notify;

    mutex_lock(&gate->lock);
    notify = gate->notify;
    gate->notify = false;
    gate->held = false;
    mutex_unlock(&gate->lock);
    if (notify)
        gate->on_settled(gate->context);
}

void gate_release(struct gate *gate, struct request *request)
{
    uint64_t committed = atomic_load(&gate->committed);

    if (likely(atomic_load(&gate->durable) >= committed) || gate_is_relaxed(gate)) {
        gate->release(request);
        return;
    }
    mutex_lock(&gate->lock);
    request->gate = atomic_load(&gate->committed);
    if (atomic_load(&gate->durable) >= request->gate) {
        mutex_unlock(&gate->lock);
        gate->release(request);
        return;
    }
    if (gate->failed) {
        mutex_unlock(&gate->lock);
        (void)err_set(&request->err, ERR_OUTCOME_UNKNOWN,
            "the disk failed while this was being made durable: whether it was kept is not known");
        gate->release(request);
        return;
    }
    metric_gauge_add(METRIC_GATE_WAITING, 0, 1);
    list_append(&gate->waiting, &request->link);
    mutex_unlock(&gate->lock);
}

int gate_settle(struct gate *gate, struct err *ret_err)
{
    uint64_t token = atomic_load(&gate->committed);

    if (atomic_load(&gate->durable) >= token || gate_is_relaxed(gate))
        return 0;
    if (vfs_head_sync_wal(gate->head, ret_err) < 0) {
        gate_fail(gate);
        return -1;
    }
    gate_on_synced(gate, token);
    return 0;
}

bool gate_is_quiet(struct gate *gate)
{
    bool quiet;

    mutex_lock(&gate->lock);
    quiet = list_empty(&gate->waiting) && !gate->queued && !gate->syncing;
    mutex_unlock(&gate->lock);
    return quiet;
}

/* One sync for all that was committed so far; then what was waiting goes out. `syncing` is set. */
void gate_sync_here(struct gate *gate)
{
    struct err err = ERR_INIT;
    uint64_t token = atomic_load(&gate->committed);
    uint64_t started = clock_now_ns();
    bool again;
    int rc = vfs_head_sync_wal(gate->head, &err);

    metric_observe(METRIC_SYNC_SECONDS, clock_now_ns() - started);
    metric_add(METRIC_SYNCS, 1);
    if (rc < 0)
        gate_fail(gate);
    else
        gate_on_synced(gate, token);
    tell_settled(gate);
    mutex_lock(&gate->lock);
    gate->syncing = false;
    again = !gate->failed &&
            (gate->again || atomic_load(&gate->durable) < atomic_load(&gate->committed));
    gate->again = false;
    gate->queued = again;
    gate->held = gate->held || again;
    /* After this unlock, and not queued, the gate may be gone. */
    mutex_unlock(&gate->lock);
    if (again)
        sync_pool_push(gate->pool, gate);
}

bool sync_pool_run_one(struct sync_pool *pool, bool wait)
{
    struct gate *gate = NULL;

    mutex_lock(&pool->lock);
    while (list_empty(&pool->queue) && wait && !pool->stopping) {
        pool->sleeping++;
        cond_wait(&pool->wake, &pool->lock);
        pool->sleeping--;
    }
    if (!list_empty(&pool->queue)) {
        gate = LIST_FIRST(&pool->queue, struct gate, queue_link);
        list_remove(&gate->queue_link);
    }
    mutex_unlock(&pool->lock);
    if (gate == NULL)
        return false;
    mutex_lock(&gate->lock);
    gate->queued = false;
    gate->syncing = true;
    mutex_unlock(&gate->lock);
    gate_sync_here(gate);
    return true;
}
