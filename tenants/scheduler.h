/* Who runs next: a run queue that is fair between tenants.
 *
 * A task is a lane with work, or an actor that opens or closes. Tasks of one tenant wait in one of
 * SCHEDULER_BUCKETS queues (by hash of the tenant) that take turns, so that a tenant with a
 * thousand busy databases gets one turn where a tenant with one gets one (two tenants may share a
 * bucket). A turn is bounded by its task; a task with more to do is pushed again, behind the
 * others.
 *
 * Any thread. A task is in at most one queue; pushing it again before it was popped is a bug. */
#ifndef TENANTS_SCHEDULER_H
#define TENANTS_SCHEDULER_H

#include "tenants/base/list.h"
#include "tenants/base/thread.h"

#define SCHEDULER_BUCKETS 64

struct task {
    struct list link;
    void (*run)(struct task *task);
    uint64_t tenant_id;
};

struct scheduler_bucket {
    struct list active_link;
    struct list tasks;
    unsigned running; /* popped, and not reported with scheduler_ran(); of a shared scheduler */
};

struct scheduler {
    struct mutex lock;
    struct cond wake;
    struct list active; /* buckets with tasks, next turn first */
    struct scheduler_bucket buckets[SCHEDULER_BUCKETS];
    unsigned sleeping;
    unsigned queued;
    unsigned most_running; /* of one bucket; 0: no bound */
    bool stopping;
};

void scheduler_init(struct scheduler *scheduler);
/* One tenant may have no more than `most` tasks running, so that it cannot take every thread with
 * long ones. Each popped task is reported with scheduler_ran() then. Before the first push. */
void scheduler_share(struct scheduler *scheduler, unsigned most);
void scheduler_ran(struct scheduler *scheduler, uint64_t tenant_id);
void scheduler_fini(struct scheduler *scheduler);
void task_init(struct task *task, uint64_t tenant_id, void (*run)(struct task *task));
void scheduler_push(struct scheduler *scheduler, struct task *task);
/* True: no task waits, and a thread does. */
bool scheduler_is_idle(struct scheduler *scheduler);
/* The calling thread is about to pop from it: the next task it pushes there wakes nobody else. */
void scheduler_pops_soon(struct scheduler *scheduler);
/* Waits for a task; NULL when stopping and nothing is queued. */
struct task *scheduler_pop(struct scheduler *scheduler);
/* The same without waiting: NULL when nothing is queued. For tests and for single-threaded use. */
struct task *scheduler_try_pop(struct scheduler *scheduler);
void scheduler_stop(struct scheduler *scheduler);

#endif
