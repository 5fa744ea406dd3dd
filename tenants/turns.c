#include "tenants/turns.h"

#include <stdatomic.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"

struct waiter {
    struct list link;
    struct cond wake;
    bool has_turn;
};

static _Thread_local uint64_t turn_until_ns; /* 0: this thread has no turn */

void turns_init(struct turns *turns, unsigned count)
{
    *turns = (struct turns){.free = count};
    mutex_init(&turns->lock);
    list_init(&turns->waiting);
}

void turns_fini(struct turns *turns)
{
    CHECK(list_empty(&turns->waiting));
    mutex_fini(&turns->lock);
}

static void wait_locked(struct turns *turns)
{
    struct waiter waiter = {.has_turn = false};
    bool in_time = true;

    cond_init(&waiter.wake);
    list_append(&turns->waiting, &waiter.link);
    (void)atomic_fetch_add(&turns->waiting_count, 1);
    while (!waiter.has_turn && in_time)
        in_time = cond_wait_for(&waiter.wake, &turns->lock, TURN_STUCK_NS);
    if (!waiter.has_turn) {
        list_remove(&waiter.link);
        (void)atomic_fetch_sub(&turns->waiting_count, 1);
        turns->lent++;
    }
    cond_fini(&waiter.wake);
}

/* A turn goes to who waits first; who comes later cannot pass. */
static void give_locked(struct turns *turns, uint64_t now_ns)
{
    struct waiter *waiter;

    /* Who was stuck takes its turn out of play; who goes on without one hands it on as any other.
     */
    if (turns->lent > 0 &&
        (list_empty(&turns->waiting) || clock_since(now_ns, turn_until_ns) >= TURN_STUCK_NS / 2)) {
        turns->lent--;
        return;
    }
    if (list_empty(&turns->waiting)) {
        turns->free++;
        return;
    }
    waiter = LIST_FIRST(&turns->waiting, struct waiter, link);
    list_remove(&waiter->link);
    (void)atomic_fetch_sub(&turns->waiting_count, 1);
    waiter->has_turn = true;
    cond_signal(&waiter->wake);
}

void turns_take(struct turns *turns)
{
    mutex_lock(&turns->lock);
    if (turns->free > 0)
        turns->free--;
    else
        wait_locked(turns);
    mutex_unlock(&turns->lock);
    turn_until_ns = clock_now_ns() + TURN_NS;
}

void turns_give(struct turns *turns)
{
    mutex_lock(&turns->lock);
    give_locked(turns, clock_now_ns());
    mutex_unlock(&turns->lock);
    turn_until_ns = 0;
}

bool turns_share(struct turns *turns, uint64_t now_ns)
{
    if (turn_until_ns == 0 || now_ns < turn_until_ns ||
        atomic_load_explicit(&turns->waiting_count, memory_order_relaxed) == 0)
        return false;
    mutex_lock(&turns->lock);
    if (!list_empty(&turns->waiting)) {
        give_locked(turns, now_ns);
        wait_locked(turns);
    }
    mutex_unlock(&turns->lock);
    turn_until_ns = clock_now_ns() + TURN_NS;
    return true;
}
