/* The run queue: order, fairness between tenants, stopping. */
#include "tenants/base/check.h"
#include "tenants/scheduler.h"
#include "tests/lib/tap.h"

static void nothing(struct task *task)
{
}

static void test_order(void)
{
    struct scheduler scheduler;
    struct task tasks[3];

    scheduler_init(&scheduler);
    ok(scheduler_try_pop(&scheduler) == NULL, "an empty queue gives nothing");
    for (int i = 0; i < 3; i++) {
        task_init(&tasks[i], 7, nothing);
        scheduler_push(&scheduler, &tasks[i]);
    }
    for (int i = 0; i < 3; i++)
        ok(scheduler_try_pop(&scheduler) == &tasks[i], "one tenant's tasks come in order (%d)", i);
    scheduler_fini(&scheduler);
}

static void test_fairness(void)
{
    struct scheduler scheduler;
    struct task many[100];
    struct task one;
    int place = -1;

    scheduler_init(&scheduler);
    for (int i = 0; i < 100; i++) {
        task_init(&many[i], 1, nothing);
        scheduler_push(&scheduler, &many[i]);
    }
    task_init(&one, 2, nothing);
    scheduler_push(&scheduler, &one);
    for (int i = 0; i < 101; i++) {
        if (scheduler_try_pop(&scheduler) == &one)
            place = i;
    }
    ok(place >= 0 && place <= 1,
        "a tenant with one task does not wait behind another's hundred (%d)", place);
    scheduler_fini(&scheduler);
}

static void *pop_one(void *argument)
{
    return scheduler_pop(argument);
}

static void test_stop(void)
{
    struct scheduler scheduler;
    pthread_t thread;
    struct task task;
    void *popped = &task;

    scheduler_init(&scheduler);
    thread_start(&thread, "pop", pop_one, &scheduler);
    scheduler_stop(&scheduler);
    CHECK(pthread_join(thread, &popped) == 0);
    ok(popped == NULL, "stopping wakes who waits");
    task_init(&task, 1, nothing);
    scheduler_push(&scheduler, &task);
    ok(scheduler_pop(&scheduler) == &task, "what was queued is still handed out after it");
    scheduler_fini(&scheduler);
}

int main(void)
{
    test_order();
    test_fairness();
    test_stop();
    return done_testing();
}
