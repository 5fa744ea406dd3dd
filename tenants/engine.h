/* The engine: every open database's actor, the threads' work, and the limits.
 *
 * tenants/ starts no thread. Whoever links it runs engine_worker_run() in `workers` threads,
 * engine_slow_run() in `slow_workers`, engine_sync_run() in `sync_threads`, and engine_tick() from
 * one thread a few times a second. */
#ifndef TENANTS_ENGINE_H
#define TENANTS_ENGINE_H

#include "tenants/base/err.h"
#include "tenants/base/thread.h"
#include "tenants/database.h"
#include "tenants/request.h"

enum commit_mode { COMMIT_PIPELINED, COMMIT_INLINE };

struct engine_options {
    const char *data_dir;
    enum commit_mode commit;
    unsigned workers;
    unsigned slow_workers;
    unsigned slow_cpus; /* processors that slow workers may keep busy at once */
    unsigned sync_threads;
    unsigned readers_per_database; /* read lanes beside the write lane; at least 1: long reads
                                      and streamed answers run nowhere else */
    unsigned streams_per_database;
    unsigned mailbox_messages; /* per actor; over it: ERR_OVERLOADED */
    uint64_t mailbox_bytes;
    unsigned group_requests;    /* most requests in one commit */
    unsigned cached_statements; /* per connection */
    unsigned cache_kib;         /* page cache per connection */
    uint64_t statement_time_ms; /* budget, default 30,000 */
    uint64_t statement_steps;   /* VM steps, 0: none */
    /* A statement over these is ended, and run again on a slow worker. */
    uint64_t short_steps;
    uint64_t short_time_ms;
    uint64_t loop_steps;          /* a read on a loop over this goes to a worker */
    uint64_t memory_per_database; /* heap of SQLite, default 64 MB */
    uint64_t temp_per_database;   /* bytes of temporary files */
    uint64_t max_database_bytes;  /* default quota; a database's setting lowers or raises it */
    uint64_t max_sql_bytes;
    uint64_t max_value_bytes;
    unsigned max_parameters;
    uint64_t max_result_rows;
    uint64_t max_result_bytes;       /* of a streamed result; 0: none */
    uint64_t max_write_result_bytes; /* 10 MB: of a result that does not stream; over it the
                                        statement is undone */
    uint64_t stream_chunk_bytes;     /* 256 KB: from here on answers stream */
    uint64_t wal_soft_bytes;
    uint64_t wal_hard_bytes;
    uint64_t idle_close_ms;   /* 0: never */
    unsigned max_open;        /* databases open at once (LRU) */
    uint64_t max_cache_bytes; /* SQLite heap of all databases together (LRU) */
    uint64_t stream_idle_ms;
    uint64_t stream_max_ms; /* at least the database's txn_timeout_s */
    uint64_t lock_wait_ms;  /* a statement waits so long for the write lock */
    /* A stream's transaction that has the write lock for so long is rolled back as soon as another
     * writer waits; 0: never. */
    uint64_t transaction_steal_ms;
    unsigned imports; /* under way at once (tenants/import.h) */
};

/* Every field's documented default. */
void engine_options_defaults(struct engine_options *options);

struct engine;

/* Registers the VFS and SQLite's memory (once per process). Main thread. */
int engine_new(const struct engine_options *options, struct engine **ret_engine,
    struct err *ret_err) MUST_CHECK;
/* All threads must have left and engine_close_all() been called. Main thread. */
void engine_free(struct engine *engine);

/* Bodies of the threads; return after engine_stop(). */
void engine_worker_run(struct engine *engine);
void engine_slow_run(struct engine *engine);
void engine_sync_run(struct engine *engine);
/* Timers: idle databases and streams, LRU, retries, rate-limited checkpoints. */
void engine_tick(struct engine *engine, uint64_t now_ns);

/* Drain, first step: new requests are refused (ERR_DRAINING), waiting ones still run. */
void engine_drain(struct engine *engine);
/* True when nothing runs, waits, or is held at a gate. */
bool engine_idle(struct engine *engine);
/* Drain, last step: cancels what still runs, wakes all threads and makes their run functions
 * return once mailboxes are empty. */
void engine_stop(struct engine *engine);

/* Who makes a reserved database live (see database_live_fn); before the first submit. */
void engine_on_live(struct engine *engine, database_live_fn live, void *catalogue);

/* Closes every database, WAL emptied; runs what is left itself. All engine threads must have left
 * and every stream been closed. Main thread. */
void engine_close_all(struct engine *engine);

/* Hands the request to its database's actor. Any thread. Never blocks: a full mailbox, a draining
 * engine or a failed database calls done() at once with ERR_OVERLOADED, ERR_DRAINING, … */
void engine_submit(struct engine *engine, struct database *database, struct request *request);

/* Tries the request on the calling loop thread: only a single cached, cheap, read-only statement on
 * an open database with a free lane, under the step budget. True: it ran and done() has been
 * called, or will be by the gate when what it saw is on disk. False: nothing happened;
 * engine_submit() it. */
bool engine_try_here(struct engine *engine, struct database *database, struct request *request)
    ON(loop_thread);

/* Goes on with a request whose chunk() answered CHUNK_PAUSE. Any thread. It and engine_cancel() may
 * come late: a loop cannot know that done() is being called, so the request may be done already, as
 * long as its memory and the submitter's reference to its database (or stream) are still there. */
void engine_resume(struct engine *engine, struct request *request);
/* Sets request->cancelled and interrupts it where it runs. Any thread. */
void engine_cancel(struct engine *engine, struct request *request);

/* The settings of a database become those of `database`: its next statements see them, whatever
 * entry they come with. Any thread. */
void engine_change_settings(struct engine *engine, struct database *database);

/* Closes a database's actor when it has nothing to do (after delete);
 * `done` on a worker when it is closed and its files are settled. */
void engine_close_database(
    struct engine *engine, struct database *database, void (*done)(void *), void *argument);

/* Streams: a session that may hold a transaction over several requests, with a lane of its own.
 * stream_open allocates only; the lane opens with the first request. Requests of one stream run in
 * order. After idling for stream_idle_ms inside a transaction, or stream_max_ms in one transaction,
 * it is rolled back and its next request gets ERR_STREAM_EXPIRED. One that has the write lock for
 * transaction_steal_ms is rolled back when another writer waits: what it runs ends, and that or its
 * next request gets ERR_TRANSACTION_TIMEOUT. Any thread; counted. */
struct stream *stream_open(struct engine *engine, struct database *database,
    struct principal *principal, struct err *ret_err);
/* Rolls back what is open, frees the lane; requests still waiting get ERR_STREAM_EXPIRED. */
void stream_close(struct engine *engine, struct stream *stream);
/* Valid after the stream's last request was done: no transaction is open. */
bool stream_is_autocommit(const struct stream *stream);
/* Likewise: its connection differs from any other, by a transaction, settings or temporary objects,
 * or the client must still be told that its transaction was rolled back: the next request is its.
 * One that does not gives its lane back when it idles, and gets another with its next request. */
bool stream_has_state(const struct stream *stream);

struct engine_stats {
    unsigned databases_open;
    unsigned lanes;
    uint64_t sqlite_memory_bytes;
    uint64_t wal_bytes;
    uint64_t requests_waiting;
};
void engine_stats(struct engine *engine, struct engine_stats *ret_stats);

#endif
