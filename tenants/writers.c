/* The writers' turn: who may take SQLite's write lock next.
 *
 *   lane_may_write() ── nobody waits ──> try ── taken ──> writes ── unlock ──> the first in line
 *         │                               └── SQLITE_BUSY ──┐
 *         └── others came first ────────────────────────────┴──> lane_park(): in line
 *
 * The write lane (with all its inbox) and the streams stand in one line, in the order in which they
 * began to wait. When the lock is given back the first in line gets the turn: it is pushed to a run
 * queue, and until it has had the lock, or its lane's turn ends without, nobody else tries. So a
 * writer that is quick cannot keep one out that had to be woken.
 *
 * Invariant (actor->lock): somebody waits and the lock is free => somebody has the turn. A missed
 * case costs PARKED_RETRY_NS: the tick looks, too. */
#include <sqlite3.h>

#include "tenants/actor.h"
#include "tenants/base/clock.h"
#include "tenants/base/metrics.h"
#include "tenants/stream.h"

#define PARKED_RETRY_NS (10 * NS_PER_MS)

static _Thread_local struct lane *running; /* by this thread */

void writers_enter(struct lane *lane)
{
    running = lane;
}

bool lane_holds_lock(const struct lane *lane)
{
    return lane->connection != NULL &&
           sqlite3_txn_state(connection_db(lane->connection), "main") == SQLITE_TXN_WRITE;
}

void lane_waited(struct lane *lane)
{
    if (lane->parked_since_ns != 0)
        metric_observe(
            METRIC_LOCK_WAIT_SECONDS, clock_since(clock_now_ns(), lane->parked_since_ns));
    lane->parked_since_ns = 0;
}

static void set_turn_locked(struct open_database *open, struct lane *lane)
{
    if (lane != NULL)
        (void)atomic_fetch_add(&open->writers, 1);
    if (open->turn != NULL)
        (void)atomic_fetch_sub(&open->writers, 1);
    open->turn = lane;
}

void lane_unpark_locked(struct lane *lane)
{
    list_remove(&lane->parked_link);
    (void)atomic_fetch_sub(&lane->actor->open->writers, 1);
    metric_gauge_add(METRIC_LOCK_WAITING, 0, -1);
    lane_push_locked(lane);
}

static void grant_locked(struct open_database *open)
{
    struct lane *lane;

    if (open->turn != NULL || list_empty(&open->parked))
        return;
    lane = LIST_FIRST(&open->parked, struct lane, parked_link);
    set_turn_locked(open, lane);
    lane_unpark_locked(lane);
}

static bool others_first_locked(const struct open_database *open, const struct lane *lane)
{
    return open->turn != lane && (open->turn != NULL || !list_empty(&open->parked));
}

bool lane_may_write(struct lane *lane)
{
    struct open_database *open = lane->actor->open;
    bool may;

    if (likely(atomic_load(&open->writers) == 0))
        return true;
    mutex_lock(&lane->actor->lock);
    may = !others_first_locked(open, lane);
    mutex_unlock(&lane->actor->lock);
    return may;
}

/* In line by the time it began to wait: who was woken and found the lock taken keeps its place. */
static void stand_in_line_locked(struct open_database *open, struct lane *lane)
{
    struct list *before = open->parked.prev;

    while (before != &open->parked &&
           LIST_ENTRY(before, struct lane, parked_link)->parked_since_ns > lane->parked_since_ns)
        before = before->prev;
    list_prepend(before, &lane->parked_link);
}

bool lane_park(struct lane *lane, uint64_t unlocks_seen)
{
    struct actor *actor = lane->actor;
    struct open_database *open = actor->open;
    bool reading = sqlite3_txn_state(connection_db(lane->connection), "main") == SQLITE_TXN_READ;
    bool has_turn;
    bool parked;

    gate_request_sync(&open->gate); /* for what the turn committed before it met the lock */
    mutex_lock(&actor->lock);
    has_turn = open->turn == lane;
    parked =
        has_turn || others_first_locked(open, lane) || atomic_load(&open->unlocks) == unlocks_seen;
    if (parked) {
        lane->state = LANE_PARKED;
        lane->parked_reading = reading;
        if (lane->parked_since_ns == 0)
            lane->parked_since_ns = clock_now_ns();
        (void)atomic_fetch_add(&open->writers, 1);
        metric_gauge_add(METRIC_LOCK_WAITING, 0, 1);
        stand_in_line_locked(open, lane);
        if (has_turn)
            set_turn_locked(open, NULL);
        /* The lock may have been given back between the try and this line. */
        if (atomic_load(&open->unlocks) != unlocks_seen)
            grant_locked(open);
        if (lane->kind == LANE_WRITE && lane->state == LANE_PARKED)
            actor_read_elsewhere_locked(actor);
    }
    mutex_unlock(&actor->lock);
    return parked;
}

void writers_turn_over_locked(struct lane *lane, bool holds_lock)
{
    struct open_database *open = lane->actor->open;

    if (likely(open->turn != lane))
        return;
    set_turn_locked(open, NULL);
    if (!holds_lock)
        grant_locked(open);
}

/* If that was a commit, a transaction that has read before it need not wait for its turn to be told
 * (SQLITE_BUSY_SNAPSHOT); if not, it keeps its place. */
static void refuse_readers_locked(struct open_database *open)
{
    LIST_FOREACH_SAFE(item, next, &open->parked)
    {
        struct lane *lane = LIST_ENTRY(item, struct lane, parked_link);

        if (lane->parked_reading)
            lane_unpark_locked(lane);
    }
}

void actor_unlocked(void *context)
{
    struct open_database *open = context;
    struct actor *actor = open->actor;

    (void)atomic_fetch_add(&open->unlocks, 1);
    if (likely(atomic_load(&open->writers) == 0))
        return;
    mutex_lock(&actor->lock);
    if (open->turn != NULL && open->turn == running) {
        set_turn_locked(open, NULL);
        lane_waited(running); /* what it writes next has not waited yet */
    }
    grant_locked(open);
    refuse_readers_locked(open);
    mutex_unlock(&actor->lock);
}

uint64_t writers_steal_ms_locked(const struct open_database *open)
{
    uint64_t own = open->settings.txn_timeout_s * 1000;

    return own != 0 ? own : open->actor->engine->options.transaction_steal_ms;
}

/* The stream whose transaction has the lock has had it for long enough. */
static void steal_locked(struct open_database *open, uint64_t now_ns)
{
    uint64_t most = writers_steal_ms_locked(open) * NS_PER_MS;

    if (most == 0)
        return;
    LIST_FOREACH(item, &open->streams)
    {
        struct lane *lane = LIST_ENTRY(item, struct stream, open_link)->lane;
        uint64_t since = atomic_load(&lane->writing_since_ns);

        if (since == 0 || clock_since(now_ns, since) < most || lane_is_stolen(lane))
            continue;
        atomic_store(&lane->stolen_ns, since);
        if (lane->state == LANE_FREE || lane->state == LANE_PAUSED)
            lane_push_locked(lane);
    }
}

void writers_tick_locked(struct actor *actor, uint64_t now_ns)
{
    struct open_database *open = actor->open;
    uint64_t limit = actor->engine->options.lock_wait_ms * NS_PER_MS;

    if (list_empty(&open->parked))
        return;
    steal_locked(open, now_ns);
    if (clock_since(now_ns, LIST_FIRST(&open->parked, struct lane, parked_link)->parked_since_ns) >
        PARKED_RETRY_NS)
        grant_locked(open);
    /* Their time is up: they are told, wherever they stand. */
    LIST_FOREACH_SAFE(item, next, &open->parked)
    {
        struct lane *lane = LIST_ENTRY(item, struct lane, parked_link);

        if (clock_since(now_ns, lane->parked_since_ns) > limit)
            lane_unpark_locked(lane);
    }
}
