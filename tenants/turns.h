/* Turns of the CPU for long statements. There are as many turns as processors they may use at once
 * (engine_options.slow_cpus); whoever has none waits, first come first, and gives its turn on after
 * TURN_NS. So long statements share what they may use evenly, and a core is left to short ones and
 * to the kernel's own work: with every core busy, even at low priority, a sync that takes 0.1 ms
 * took 10 to 30. Who has waited for TURN_STUCK_NS goes on without: the turn is with a function of
 * SQLite's that does not come back, which must not hold up the others.
 *
 * Thread: a slow worker, outside all locks. */
#ifndef TENANTS_TURNS_H
#define TENANTS_TURNS_H

#include "tenants/base/list.h"
#include "tenants/base/thread.h"

#define TURN_NS (10 * NS_PER_MS)
#define TURN_STUCK_NS NS_PER_S

struct turns {
    struct mutex lock;
    struct list waiting; /* first come first */
    unsigned free;
    unsigned lent; /* gone on without; as many that are given back are not handed on */
    _Atomic unsigned waiting_count;
};

void turns_init(struct turns *turns, unsigned count);
void turns_fini(struct turns *turns);
/* Waits for a turn. */
void turns_take(struct turns *turns);
void turns_give(struct turns *turns);
/* Called often while running: when this thread's turn is over and somebody waits, it waits for its
 * next one. True: time has passed meanwhile. Does nothing on a thread that has no turn. */
bool turns_share(struct turns *turns, uint64_t now_ns);

#endif
