/* The run queue: order, fairness between tenants, stopping. */
#include <sched.h>
#include <stdatomic.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/scheduler.h"
#include "tenants/turns.h"
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

static void test_share(void)
{
    struct scheduler scheduler;
    struct task many[4];
    struct task one;

    scheduler_init(&scheduler);
    scheduler_share(&scheduler, 2);
    for (int i = 0; i < 4; i++) {
        task_init(&many[i], 1, nothing);
        scheduler_push(&scheduler, &many[i]);
    }
    ok(scheduler_try_pop(&scheduler) == &many[0] && scheduler_try_pop(&scheduler) == &many[1],
        "a tenant has its share of tasks at once");
    ok(scheduler_try_pop(&scheduler) == NULL, "and not more");
    task_init(&one, 2, nothing);
    scheduler_push(&scheduler, &one);
    ok(scheduler_try_pop(&scheduler) == &one, "another's is not held up by that");
    scheduler_ran(&scheduler, 1);
    ok(scheduler_try_pop(&scheduler) == &many[2], "one ended, the next may run");
    ok(scheduler_try_pop(&scheduler) == NULL, "one");
    scheduler_ran(&scheduler, 2);
    ok(scheduler_try_pop(&scheduler) == NULL, "what another's end does not change");
    scheduler_ran(&scheduler, 1);
    ok(scheduler_try_pop(&scheduler) == &many[3], "until all have run");
    scheduler_fini(&scheduler);
}

/* Several threads, one turn: never two at once, and each gets its part. */
struct racer {
    struct turns *turns;
    atomic_int *at_once;
    atomic_int *too_many;
    unsigned shared;
};

static void *race(void *argument)
{
    struct racer *racer = argument;

    turns_take(racer->turns);
    for (unsigned i = 0; i < 2000; i++) {
        if (atomic_fetch_add(racer->at_once, 1) > 0)
            (void)atomic_fetch_add(racer->too_many, 1);
        (void)atomic_fetch_sub(racer->at_once, 1);
        racer->shared += turns_share(racer->turns, clock_now_ns() + 2 * TURN_NS);
    }
    turns_give(racer->turns);
    return NULL;
}

static void test_turns(void)
{
    struct turns turns;
    atomic_int at_once = 0;
    atomic_int too_many = 0;
    struct racer racers[3];
    pthread_t threads[3];

    turns_init(&turns, 1);
    ok(!turns_share(&turns, UINT64_MAX), "who has no turn has none to share");
    turns_take(&turns);
    for (int i = 0; i < 3; i++) {
        racers[i] = (struct racer){&turns, &at_once, &too_many, 0};
        thread_start(&threads[i], "race", race, &racers[i]);
    }
    while (atomic_load(&turns.waiting_count) < 3)
        (void)sched_yield();
    ok(!turns_share(&turns, 0), "a turn is kept until its time is over");
    turns_give(&turns);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    is_int(too_many, 0, "one turn is never with two");
    ok(racers[0].shared > 0 && racers[1].shared > 0, "those that waited got theirs in between");
    is_int(turns.free, 1, "and it is back at the end");
    turns_fini(&turns);
}

static void *take_and_give(void *argument)
{
    turns_take(argument);
    turns_give(argument);
    return NULL;
}

static void test_stuck_turn(void)
{
    struct turns turns;
    pthread_t threads[2];

    turns_init(&turns, 1);
    turns_take(&turns);
    for (int i = 0; i < 2; i++)
        thread_start(&threads[i], "wait", take_and_give, &turns);
    for (int i = 0; i < 2; i++)
        thread_join(threads[i]); /* the turn is never given */
    ok(true, "who waits behind a turn that does not end goes on in the end");
    turns_give(&turns);
    is_int(turns.free, 1, "and afterwards there are as many turns as before");
    is_int(turns.lent, 0, "and none is owed");
    turns_fini(&turns);
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
    test_share();
    test_turns();
    test_stuck_turn();
    return done_testing();
}
