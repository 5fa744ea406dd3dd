#include "tenants/scheduler.h"

#include "tenants/base/check.h"

static _Thread_local struct scheduler *pops_soon;

void scheduler_init(struct scheduler *scheduler)
{
    *scheduler = (struct scheduler){.stopping = false};
    mutex_init(&scheduler->lock);
    cond_init(&scheduler->wake);
    list_init(&scheduler->active);
    for (unsigned i = 0; i < SCHEDULER_BUCKETS; i++) {
        list_init(&scheduler->buckets[i].active_link);
        list_init(&scheduler->buckets[i].tasks);
    }
}

void scheduler_fini(struct scheduler *scheduler)
{
    CHECK(scheduler->queued == 0);
    cond_fini(&scheduler->wake);
    mutex_fini(&scheduler->lock);
}

void task_init(struct task *task, uint64_t tenant_id, void (*run)(struct task *task))
{
    list_init(&task->link);
    task->run = run;
    task->tenant_id = tenant_id;
}

static struct scheduler_bucket *bucket_of(struct scheduler *scheduler, uint64_t tenant_id)
{
    uint64_t mixed = tenant_id * 0x9e3779b97f4a7c15ULL;

    return &scheduler->buckets[(mixed >> 32) % SCHEDULER_BUCKETS];
}

void scheduler_share(struct scheduler *scheduler, unsigned most)
{
    scheduler->most_running = most;
}

/* Gets the bucket its turns while it has tasks that may run. Lock held. */
static void activate(struct scheduler *scheduler, struct scheduler_bucket *bucket)
{
    bool full = scheduler->most_running != 0 && bucket->running >= scheduler->most_running;

    if (!list_empty(&bucket->tasks) && !full && !list_linked(&bucket->active_link))
        list_append(&scheduler->active, &bucket->active_link);
}

void scheduler_ran(struct scheduler *scheduler, uint64_t tenant_id)
{
    struct scheduler_bucket *bucket = bucket_of(scheduler, tenant_id);

    mutex_lock(&scheduler->lock);
    bucket->running--;
    activate(scheduler, bucket); /* the caller pops next: nobody has to be woken */
    mutex_unlock(&scheduler->lock);
}

void scheduler_push(struct scheduler *scheduler, struct task *task)
{
    struct scheduler_bucket *bucket = bucket_of(scheduler, task->tenant_id);
    bool wake;

    mutex_lock(&scheduler->lock);
    CHECK(!list_linked(&task->link));
    list_append(&bucket->tasks, &task->link);
    activate(scheduler, bucket);
    scheduler->queued++;
    wake = scheduler->sleeping > 0 && pops_soon != scheduler;
    if (pops_soon == scheduler)
        pops_soon = NULL;
    mutex_unlock(&scheduler->lock);
    if (wake)
        cond_signal(&scheduler->wake);
}

/* With the lock held. */
static struct task *take(struct scheduler *scheduler)
{
    struct scheduler_bucket *bucket;
    struct task *task;

    if (list_empty(&scheduler->active))
        return NULL;
    bucket = LIST_FIRST(&scheduler->active, struct scheduler_bucket, active_link);
    task = LIST_FIRST(&bucket->tasks, struct task, link);
    list_remove(&task->link);
    list_remove(&bucket->active_link);
    if (scheduler->most_running != 0)
        bucket->running++;
    activate(scheduler, bucket);
    scheduler->queued--;
    return task;
}

bool scheduler_is_idle(struct scheduler *scheduler)
{
    bool idle;

    mutex_lock(&scheduler->lock);
    idle = scheduler->queued == 0 && scheduler->sleeping > 0;
    mutex_unlock(&scheduler->lock);
    return idle;
}

void scheduler_pops_soon(struct scheduler *scheduler)
{
    pops_soon = scheduler;
}

struct task *scheduler_pop(struct scheduler *scheduler)
{
    struct task *task;

    pops_soon = NULL;
    mutex_lock(&scheduler->lock);
    while ((task = take(scheduler)) == NULL && !scheduler->stopping) {
        scheduler->sleeping++;
        cond_wait(&scheduler->wake, &scheduler->lock);
        scheduler->sleeping--;
    }
    mutex_unlock(&scheduler->lock);
    return task;
}

struct task *scheduler_try_pop(struct scheduler *scheduler)
{
    struct task *task;

    mutex_lock(&scheduler->lock);
    task = take(scheduler);
    mutex_unlock(&scheduler->lock);
    return task;
}

void scheduler_stop(struct scheduler *scheduler)
{
    mutex_lock(&scheduler->lock);
    scheduler->stopping = true;
    mutex_unlock(&scheduler->lock);
    cond_broadcast(&scheduler->wake);
}
