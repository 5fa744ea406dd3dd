/* The actor: owner of one open database. Private to the engine's files (actor, lane, group,
 * execute, gate, stream, engine).
 *
 *            submit                      opened                       idle, LRU, failed sync
 *   CLOSED ─────────> OPENING ───────────────────> OPEN ──────────────────────────> CLOSING ──>
 * CLOSED └── failed: every waiting request gets the error ──> CLOSED
 *
 * A closed actor is one small struct. Everything else is `struct open_database`, made by the open
 * task and freed by the close task, both on workers.
 *
 * Lanes: a lane is a connection that one thread runs at a time. The write lane exists while the
 * database is open and also serves short reads when it is free; read lanes are added when reads
 * keep finding all lanes busy, or for reads that outgrow the short budget; each stream has its own
 * lane.
 *
 *          push                pop               nothing left
 *   FREE ────────> QUEUED ────────────> RUNNING ────────────────> FREE
 *                    ^                    │ │ └── chunk() said pause ──> PAUSED ── engine_resume
 * ──> QUEUED └── more to do ──────┘ └──── write lock is taken ──> PARKED ── on_unlock ──────>
 * QUEUED
 *
 * Invariants:
 *   1. A lane's connection is touched only by the thread that made it RUNNING (actor_owner).
 *   2. The mailbox, lane states and lists below are guarded by actor->lock.
 *   3. No answer of a write leaves before its commit; no answer leaves before the gate lets it.
 *   4. Nothing closes while a sync is in flight or an answer waits at the gate.
 *   5. No cursor stays open on the write lane between turns; only read lanes pause. */
#ifndef TENANTS_ACTOR_H
#define TENANTS_ACTOR_H

#include <assert.h>

#include "tenants/account.h"
#include "tenants/connection.h"
#include "tenants/engine.h"
#include "tenants/gate.h"
#include "tenants/scheduler.h"
#include "tenants/turns.h"
#include "tenants/vfs.h"

#define ACTOR_READ_LANES_MAX 16
#define ACTOR_TURN_READS 64           /* reads in one turn of a lane */
#define ACTOR_TURN_NS (5 * NS_PER_MS) /* and the time after which a turn ends */
#define ACTOR_CONTENTION_MS 100       /* window in which misses count */
#define ACTOR_CONTENTION 4            /* misses in a window that make a read lane */
#define ACTOR_LANE_IDLE_MS 5000       /* a read lane unused so long is closed */
#define ACTOR_SLOW_READ_NS NS_PER_S   /* a long read lets short ones pass for so long */
#define ACTOR_CHECKPOINT_MS 20        /* at most one soft checkpoint in so long */
#define OPEN_LONG_COMPILES 8
#define WAL_FRAME_BYTES 4120 /* a page of 4 KiB and its frame header */

struct family;
struct family_head;

enum actor_state { ACTOR_CLOSED, ACTOR_OPENING, ACTOR_OPEN, ACTOR_CLOSING };
enum lane_kind { LANE_WRITE, LANE_READ, LANE_STREAM };
enum lane_state { LANE_FREE, LANE_QUEUED, LANE_RUNNING, LANE_PAUSED, LANE_PARKED };

/* Where a request has to run, as far as is known. */
enum request_route { ROUTE_UNKNOWN, ROUTE_READ, ROUTE_WRITE, ROUTE_SLOW_READ, ROUTE_SLOW_WRITE };

/* Why the progress handler, or the row loop, ended a statement. */
enum stop_reason {
    STOP_NONE,
    STOP_OUTGREW, /* over the short budget: run it again on a slow worker */
    STOP_DEADLINE,
    STOP_STEPS,
    STOP_CANCELLED,
    STOP_EVICTED, /* it pins a WAL over its hard bound */
    STOP_DRAINING,
    STOP_STOLEN, /* the stream's transaction has the write lock for too long */
};

struct lane {
    struct task task;
    struct actor *actor;
    enum lane_kind kind;
    enum lane_state state;         /* actor->lock */
    bool slow;                     /* pushed to the slow scheduler */
    unsigned index;                /* of a read lane */
    struct list inbox;             /* actor->lock: requests for this lane alone */
    struct connection *connection; /* NULL until first run */
    struct list parked_link;       /* open->parked */
    bool parked_reading;           /* in a transaction that has read */
    uint64_t parked_since_ns;      /* when it began to wait for the write lock; 0: it does not */
    uint64_t last_used_ms;

    /* The running statement's budget, read by the progress handler. */
    struct request *running;
    uint64_t steps;
    uint64_t steps_limit;          /* 0: none */
    uint64_t short_until_ns;       /* 0: not on the short budget */
    struct sqlite3_stmt *stepping; /* borrowed: in sqlite3_step(); NULL: none */
    bool in_write;                 /* of a stream's transaction: the short budget does not end it */
    bool value_limited;            /* to short values: over them, RUN_OUTGREW */
    bool cut_off; /* we ended the last statement between its rows: SQLite undid nothing */
    uint64_t short_steps;
    uint64_t deadline_ns;
    enum stop_reason stop;
    atomic_bool evict;
    /* Of a stream: the writing_since_ns of the transaction that is to end, for others wait. */
    _Atomic uint64_t stolen_ns;
    /* Of a stream: since when its transaction has the write lock, or tries to take it; 0: not. */
    _Atomic uint64_t writing_since_ns;
    _Atomic uint64_t since_ns; /* when the running request began; 0: none */

    bool syncs;                     /* this turn ends with gate_sync_here() */
    bool retire;                    /* actor->lock: an idle read lane that is to go */
    struct request *paused_request; /* actor->lock: set while PAUSED */

    /* A paused read: its cursor stays here. */
    struct request *cursor_request;
    struct statement *cursor_statement;
    unsigned cursor_index;
    uint64_t cursor_rows;
    uint64_t cursor_since_ns;       /* when it was paused */
    struct sqlite3_stmt *verbs[11]; /* enum verb of tenants/execute.h, prepared at first use */
    bool in_transaction;            /* of a stream, or of a batch of reads */
    bool read_only;                 /* a stream's transaction that refuses writes */
    bool schema_changed;            /* since the last commit */
    uint64_t schema_seen;           /* actor->lock, or whoever runs it: see schema_generation */
    unsigned settings_seen;         /* which settings_generation its connection has */
    uint64_t max_bytes;             /* the database's, as its connection has it */

    struct stream *stream; /* LANE_STREAM */
};

/* Its transaction is to end, for others wait. Any thread. */
static inline bool lane_is_stolen(const struct lane *lane)
{
    uint64_t since = atomic_load_explicit(&lane->writing_since_ns, memory_order_relaxed);

    return since != 0 && since == atomic_load_explicit(&lane->stolen_ns, memory_order_relaxed);
}

/* open_database.blocks */
#define OPEN_BLOCKS_READS 1U
#define OPEN_BLOCKS_WRITES 2U

struct open_database {
    struct actor *actor;
    struct vfs_head *head;
    struct family *family;           /* owned reference, NULL for the catalogue */
    struct family_head *family_head; /* owned: the layers that `head` reads */
    struct account *account;
    struct gate gate;
    /* Effective: no field is 0 for a default. actor->lock, as settings_generation. */
    struct database_settings settings;
    unsigned settings_generation;
    atomic_uint blocks;  /* of the settings: blocked reads leave nothing to write either */
    struct usage *usage; /* owned reference, NULL for the catalogue: told the sizes */
    struct lane write;
    struct lane *readers[ACTOR_READ_LANES_MAX]; /* actor->lock */
    unsigned reader_count;
    struct list reads;      /* actor->lock: reads that any lane may take */
    struct list slow_reads; /* actor->lock: reads for read lanes on slow workers */
    struct list streams;    /* actor->lock: struct stream.open_link */
    unsigned stream_count;
    struct list parked;       /* actor->lock: lanes waiting for the write lock, first come first */
    struct lane *turn;        /* actor->lock: it was woken to take the write lock; NULL: nobody */
    atomic_uint writers;      /* parked, or with the turn: who comes now stands behind them */
    _Atomic uint64_t unlocks; /* times the write lock was given back */
    /* Grows after each commit that changed the schema. A lane that has run a statement since knows
     * it; another would read it anew, which no loop may. */
    _Atomic uint64_t schema_generation;
    /* Texts whose compiling outgrew a short turn; see compiles_long(). 0: none. */
    _Atomic uint64_t long_compiles[OPEN_LONG_COMPILES];
    atomic_bool has_long_compiles;
    uint64_t contention_since_ms;
    unsigned contention;
    unsigned busy_lanes; /* actor->lock: lanes that are not FREE */
    _Atomic uint64_t last_checkpoint_ms;
    atomic_uint wal_pages; /* as the last commit of any lane told, in frames of 4 KiB pages */
    atomic_bool may_fold;  /* its stack may be deeper than it had better be */
    bool is_catalogue;
    bool failed;           /* a sync failed: close, recover, open again */
    struct list open_link; /* engine->open_list */
};

struct actor {
    struct actor *hash_next; /* registry shard */
    struct mutex lock;
    struct engine *engine;
    struct open_database *open; /* owned, NULL unless OPEN or CLOSING */
    struct list mailbox;        /* requests that came while it was not open */
    uint64_t waiting_bytes;     /* of all requests not yet running */
    uint64_t tenant_id;
    uint64_t key[2]; /* head id */
    _Atomic uint32_t references;
    unsigned waiting;         /* requests not yet running */
    unsigned waiting_streams; /* streams with requests in the mailbox; lock */
    uint8_t state;            /* enum actor_state */
    bool live_told;           /* the catalogue knows that it is live */
    bool close_wanted;
    _Atomic uint64_t last_used_ms;
    /* lock, owned: the last ones told; entries may be older. NULL: none were */
    struct database_settings *changed;
    struct close_waiter *waiters; /* who asked to be told when it is closed; lock */
};
static_assert(sizeof(struct actor) <= 200, "a closed database must stay small");

/* actor.c */
struct actor *actor_new(struct engine *engine, const struct database *database);
void actor_free(struct actor *actor);
/* Puts the request where it belongs; opens the actor when it is closed. Calls done() on refusal. */
void actor_submit(struct actor *actor, struct request *request);
/* With the lock held: a request that is not running any more goes to the lane it needs. */
void actor_dispatch_locked(struct actor *actor, struct request *request);
/* Requests of a lane's inbox, in order; `slow` ones alone. */
struct request *actor_take_inbox(struct lane *lane, bool slow);
void actor_take_group(struct lane *lane, unsigned most, struct list *ret_requests);
/* All of the inbox that were submitted at or before that time, fast and slow ones. */
void actor_take_older(struct lane *lane, uint64_t before_ns, struct list *ret_requests);
/* Back to the front of the inbox, in their order. */
void actor_put_back(struct lane *lane, struct list *requests);
void actor_dispatch_mailbox_locked(struct actor *actor);
/* The mailbox's requests, which are the caller's to refuse from then on. Lock held. */
void actor_take_mailbox_locked(struct actor *actor, struct list *ret_requests);
void actor_refuse_mailbox(struct actor *actor, struct list *requests, const struct err *err);
/* The write lane is taken for long: what it would have read goes to a read lane. Lock held. */
void actor_read_elsewhere_locked(struct actor *actor);

/* actor_open.c */
/* Tells the usage figures how large the files are. */
void open_note_size(const struct open_database *open);
/* The actor is OPENING: its files are found or made, and its mailbox goes to its lanes. */
void actor_start_open(struct actor *actor, struct database *database);
/* Takes a closed actor for a task that needs its files closed, until actor_unclaim(): who comes
 * meanwhile waits. False: it is not closed. */
bool actor_claim_closed(struct actor *actor);
void actor_unclaim(struct actor *actor);
/* Starts closing when nothing runs or waits. False: busy. */
bool actor_try_close(struct actor *actor);
/* A lane has nothing to do, or more: back to FREE or into a run queue. */
void lane_finish_turn(struct lane *lane);
void lane_push_locked(struct lane *lane);
/* True: the write lane's inbox had better grow until the sync under way has ended; actor_settled()
 * comes then. Lock held. */
bool lane_gathers(struct lane *lane);
/* Read lanes: one more, not yet connected. NULL at the limit. Lock held. */
struct lane *actor_add_reader_locked(struct actor *actor);
/* Takes the next read this lane may run, NULL when none. */
struct request *actor_take_read(struct actor *actor, struct lane *lane);
/* The answer is complete: through the gate to done(). `lane` may be NULL. */
void request_finish(struct actor *actor, struct request *request);
/* Calls done(): the gate's last step. */
void request_release(struct request *request);
/* Fails a request that wrote nothing and saw nothing. */
void request_refuse(struct request *request, enum err_code code, const char *message);
/* The WAL is over its hard bound: the oldest read or transaction that may pin it is told to end,
 * of those that began before that time; nobody else before it has. False: there is none. Lock not
 * held. */
bool actor_evict(struct actor *actor, uint64_t before_ns);
/* All of them. */
void actor_evict_all(struct actor *actor);
/* Gate event: the sync that a group gathered behind has ended. */
void actor_settled(void *context);
/* Gate event: a sync failed. */
void actor_sync_failed(void *context);
/* After it: what has not begun to run waits in the mailbox for the next opening. */
void actor_withdraw(struct actor *actor);

/* lane.c */
void lane_init(struct lane *lane, struct actor *actor, enum lane_kind kind);
int lane_connect(struct lane *lane, struct err *ret_err) ON(actor_owner);
void lane_disconnect(struct lane *lane) ON(actor_owner);
void lane_run(struct task *task);
/* It will not run; or, of a batch that has begun, the rest of it. */
void lane_refuse(struct lane *lane, struct request *request, const struct err *err);
/* For a statement that waits for its reader. True: the lane stands still and is no longer the
 * caller's. False: the reader was ready again already. */
bool lane_pause(struct lane *lane);
/* A statement that was paused is not to go on: the request's err says why. */
bool lane_must_end(struct lane *lane, struct request *request) ON(actor_owner);
/* A request that this lane could not finish goes where it can. */
void lane_reroute(struct lane *lane, struct request *request, enum request_route route);

/* checkpoint.c */
/* A checkpoint when the WAL asks for it. True: all of the WAL is in the database now. */
bool lane_checkpoint(struct lane *lane, bool wanted_now) ON(actor_owner);
/* Asked before a lane writes. WAL_IS_FULL: it is over its hard bound, the oldest that pins it was
 * told to end, and all that waited for this lane was refused; or, with nobody to tell, still waits.
 * WAL_WAITS: a writer keeps the checkpoint out; the lane is parked and no longer the caller's. One
 * transaction may still be larger: it is bounded by the database's size. */
enum wal_room { WAL_HAS_ROOM, WAL_IS_FULL, WAL_WAITS };
enum wal_room lane_wal_room(struct lane *lane) ON(actor_owner) MUST_CHECK;
/* From another lane, whose commits made the WAL long: the write lane looks after it. */
void lane_ask_checkpoint(struct lane *lane);

/* writers.c: the order in which lanes get SQLite's write lock. */
/* The lane that this thread runs from now on; NULL: none. */
void writers_enter(struct lane *lane);
/* False: others wait for the write lock already; lane_park() behind them. Asked before each try. */
bool lane_may_write(struct lane *lane);
/* Parks the lane until it is its turn to write. True: parked, and no longer the caller's, who must
 * end the turn without touching it; false: the lock was given back since, try again. */
bool lane_park(struct lane *lane, uint64_t unlocks_seen);
/* Wakes a parked lane out of turn, to be told something. Lock held. */
void lane_unpark_locked(struct lane *lane);
/* Its wait, if there was one, is over. */
void lane_waited(struct lane *lane);
/* Its connection is in a transaction that has written. By whoever runs the lane. */
bool lane_holds_lock(const struct lane *lane);
/* The lane stops running. Lock held. */
void writers_turn_over_locked(struct lane *lane, bool holds_lock);
/* Who waited too long, and whose transaction keeps others waiting too long. Lock held. */
void writers_tick_locked(struct actor *actor, uint64_t now_ns);
/* After so long a stream's transaction that writes gives way; 0: never. Lock held. */
uint64_t writers_steal_ms_locked(const struct open_database *open);
/* VFS event: the write lock was given back. `context` is the open database. */
void actor_unlocked(void *context);

/* group.c: false when the lane was parked and is no longer the caller's. */
bool group_run(struct lane *lane, struct list *requests) ON(actor_owner) MUST_CHECK;
bool group_run_slow(struct lane *lane, struct request *request) ON(actor_owner) MUST_CHECK;

/* engine_fold.c: its family is folded in the background, where that is worth it and nobody else's
 * is.
 */
void engine_fold(struct engine *engine, struct actor *actor);

/* stream.c: likewise. */
bool stream_run_turn(struct lane *lane) ON(actor_owner) MUST_CHECK;
void streams_tick(struct actor *actor, uint64_t now_ns);
/* One more stream may have a lane: there are fewer than `most`, or one gives its lane back that it
 * can do without. Lock held. */
bool streams_make_room_locked(struct open_database *open, unsigned most);

struct engine {
    struct engine_options options;
    struct scheduler fast;
    struct scheduler slow;
    struct turns turns; /* of who runs tasks of `slow` */
    struct sync_pool sync;
    struct mutex registry_lock;
    struct actor **shards; /* hash table of actors */
    size_t shard_count;
    size_t actor_count;
    struct list open_list; /* registry_lock: open_database.open_link */
    unsigned open_count;
    _Atomic uint64_t in_flight; /* submitted and not done */
    atomic_uint imports;        /* under way */
    atomic_bool draining;
    atomic_bool stopping; /* what a tenant runs ends at its next look at the budgets */
    atomic_bool folding;  /* a family is being folded */
    char temp_dir[512];
    database_live_fn live;
    void *live_catalogue;
    uint64_t trimmed_closes; /* engine_tick's own */
    uint64_t trimmed_ns;
};

/* engine.c: the database's actor, made when it is not there yet. A reference for the caller. */
struct actor *engine_find_actor(struct engine *engine, struct database *database);

struct actor *actor_ref(struct actor *actor);
void actor_unref(struct actor *actor); /* NULL is fine */

#endif
