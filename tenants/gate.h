/* The acknowledgement gate: answers wait until all they have seen is on disk; and the pool of
 * syncs.
 *
 * `committed` grows when a commit is about to become visible (in the VFS, before the wal-index says
 * so); `durable` follows when a WAL sync that began after it has ended. An answer takes the number
 * `committed` after it was computed, and goes out when `durable` has reached it. One sync of a
 * database is in flight at most; commits that come meanwhile share the next.
 * A failed sync is final: everything waiting gets ERR_OUTCOME_UNKNOWN (docs: durability). */
#ifndef TENANTS_GATE_H
#define TENANTS_GATE_H

#include <stdatomic.h>

#include "tenants/base/list.h"
#include "tenants/base/thread.h"
#include "tenants/request.h"

struct vfs_head;
struct gate;

struct sync_pool {
    struct mutex lock;
    struct cond wake;
    struct list queue; /* gates that want a sync */
    unsigned sleeping;
    bool stopping;
};

struct gate {
    struct mutex lock;
    struct sync_pool *pool;
    struct vfs_head *head;
    void (*release)(struct request *request); /* the answer may go out */
    void (*on_failure)(void *context);
    void *context;
    _Atomic uint64_t committed;
    _Atomic uint64_t durable;
    struct list waiting; /* requests, by gate number */
    struct list queue_link;
    bool queued;
    bool syncing;
    bool again;  /* a commit came while syncing */
    bool held;   /* a sync is to come or under way: what gathers meanwhile shares the next one */
    bool notify; /* somebody waits for that sync's end */
    void (*on_settled)(void *context); /* tells them; the gate keeps the database open meanwhile */
    atomic_bool relaxed;               /* durability=relaxed: nobody waits, syncs go on */
    bool failed;
};

void sync_pool_init(struct sync_pool *pool);
void sync_pool_fini(struct sync_pool *pool);
void sync_pool_stop(struct sync_pool *pool);
/* Runs one gate's sync; false when stopping and nothing is queued. Thread: sync. */
bool sync_pool_run_one(struct sync_pool *pool, bool wait);

void gate_init(struct gate *gate, struct sync_pool *pool, struct vfs_head *head,
    void (*release)(struct request *request), void (*on_failure)(void *context), void *context);
void gate_fini(struct gate *gate);
/* VFS callbacks (context is the gate). */
void gate_on_commit(void *gate);
uint64_t gate_on_sync_begin(void *gate);
void gate_on_synced(void *gate, uint64_t token);
/* A commit has returned: its sync may start. Thread: the lane's. */
void gate_request_sync(struct gate *gate);
/* The same for a worker with nothing else to do. True: nobody else syncs this gate, and the caller
 * is to do so with gate_sync_here() when it has left its lane; until then the database stays open.
 * False: there is nothing to sync, or somebody does. */
bool gate_claim_sync(struct gate *gate) MUST_CHECK;
void gate_sync_here(struct gate *gate);
/* True: a sync is under way, and on_settled() will be called at its end. The next group had better
 * gather until then: it could not be synced earlier anyway, and one commit of many rows costs less
 * than many of few. False: go on. Thread: the lane's. */
bool gate_should_gather(struct gate *gate);
/* Calls release(request) when its gate number is durable: now, or later on a sync thread. */
void gate_release(struct gate *gate, struct request *request);
/* Everything committed is durable (used before streaming a chunk): syncs here when it must. */
int gate_settle(struct gate *gate, struct err *ret_err) MUST_CHECK;
/* A sync failed somewhere else than here: what waits goes out as of unknown outcome, and
 * on_failure() is told. Threads: any that holds none of our locks. */
void gate_fail(struct gate *gate);
/* Nothing waits, nothing syncs, nothing is left to sync. */
bool gate_is_quiet(struct gate *gate);

#endif
