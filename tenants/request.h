/* One message to an actor: statements to run, or a procedure, and where the answer goes.
 *
 * Life: filled by a dialect (memory in its arena), engine_submit(), runs in a lane, waits at the
 * gate when it may tell of rows that are not yet on disk, then done() exactly once. Until done()
 * the request and all it points at belong to the engine, except `cancelled`. */
#ifndef TENANTS_REQUEST_H
#define TENANTS_REQUEST_H

#include <stdatomic.h>

#include "tenants/base/arena.h"
#include "tenants/base/list.h"
#include "tenants/condition.h"
#include "tenants/principal.h"
#include "tenants/sink.h"

struct actor;
struct lane;
struct sqlite3;
struct stream;

struct statement_input {
    struct str sql;
    const struct parameter *parameters;
    unsigned parameter_count;
    const struct condition *condition; /* NULL: always; only with request.step_states */
};

/* What one connection would remember of the statements before: carried from request to request of a
 * session whose requests run on whatever lane is free. */
struct session_counts {
    int64_t insert_rowid;
    int64_t changes;
    int64_t total_changes;
};

enum request_kind {
    REQUEST_STATEMENTS,     /* statements[] in order, under `mode` */
    REQUEST_PROCEDURE,      /* procedure() on the write lane, in a group, in its own savepoint */
    REQUEST_READ_PROCEDURE, /* procedure() on a read lane, inside one read transaction */
    REQUEST_PRODUCER,       /* producer on a read lane, likewise; its bytes stream into the sink */
    REQUEST_FAMILY,         /* a struct family_call's, on the write lane, between two groups */
};

enum request_mode {
    MODE_STOP,        /* each statement commits; stop at the first that fails */
    MODE_TRANSACTION, /* all or nothing */
    MODE_CONTINUE,    /* each commits or fails for itself; all are run */
    /* A transaction that the client wrote out: BEGIN; statements that each run when the one before
     * succeeded; COMMIT likewise; ROLLBACK unless that did. The results are those of running them
     * one by one, but it runs in a group, or on a read lane (tenants/script.c). With step_states;
     * `read_only` for BEGIN TRANSACTION READONLY. Never on a stream. */
    MODE_SCRIPT,
};

/* What runs on a lane for the engine itself (catalogue, introspection): under the engine flag, so
 * the guard lets it see reserved tables; never with a tenant's SQL. Returns 0, or -1 with `err`,
 * which undoes what it wrote. May run more than once: it must start from scratch each time. */
typedef int (*procedure_fn)(struct sqlite3 *db, void *argument, struct err *err);

/* Makes an answer that may be larger than memory, piece by piece, under the engine flag (an
 * export). All pieces are of one snapshot. Thread: whoever runs the lane. */
struct producer {
    /* Appends the next piece, of any size that fits memory. 1: call again, 0: that was all, -1.
     * Between two calls the lane may stand still for as long as the reader takes. */
    int (*produce)(
        struct producer *producer, struct sqlite3 *db, struct buf *out, struct err *ret_err);
    /* Once after the last call, whatever ended it: statements must go. It may all begin anew. */
    void (*end)(struct producer *producer);
};

enum chunk_answer { CHUNK_CONTINUE, CHUNK_PAUSE, CHUNK_CANCEL };

struct request {
    /* Set by the submitter. */
    enum request_kind kind;
    enum request_mode mode;
    struct principal *principal; /* reference held until done() */
    /* A sink's end() may append to them where they are reads under MODE_STOP. */
    const struct statement_input *statements;
    unsigned statement_count;
    bool single;          /* `query`: statements[0] must be exactly one statement */
    bool read_only;       /* refuse writes whatever the principal may */
    bool reads_shadows;   /* a dump's: virtual tables' shadow tables may be read */
    bool describe;        /* compile only: sink->described() for each statement */
    uint8_t *step_states; /* enum step_state of each statement, for conditions; NULL: none */
    /* What last_insert_rowid(), changes() and total_changes() tell at first. On a stream they go on
     * from its last request, unless `counts_set`. */
    struct session_counts counts;
    bool counts_set;
    unsigned lane_hint; /* the submitting loop's number: which read lane to warm */
    struct sink *sink;  /* borrowed */
    procedure_fn procedure;
    void *procedure_argument;
    struct producer *producer;
    uint64_t deadline_ns;  /* monotonic; 0: the engine's default statement time */
    struct stream *stream; /* NULL on stateless routes; else runs in that stream's lane */
    struct arena *arena;   /* for the engine's own needs while it runs */
    /* Called once, on a worker, a sync thread or the submitting thread, when the answer may go out.
     */
    void (*done)(struct request *request);
    /* Called when out.len has reached the streaming threshold; takes out's bytes (buf_take) and
     * sends them. NULL: never streamed (bounded by the result limit). After CHUNK_PAUSE the lane
     * stands still until engine_resume(). */
    enum chunk_answer (*chunk)(struct request *request);
    void *owner; /* the submitter's own */

    /* May be set by any thread at any time: the client is gone. */
    atomic_bool cancelled;

    /* Result, valid in done(). */
    struct err err;               /* code ERR_NONE: every statement succeeded */
    unsigned failed_index;        /* statement that failed, when err is set and statements ran */
    bool streamed;                /* chunk() has been called: the head is out */
    struct statement_stats total; /* sums over the statements */
    uint64_t memory_peak_bytes;
    struct session_counts counts_after; /* and what they tell now */

    /* The engine's own. */
    struct list link;
    struct actor *actor;
    struct database *database; /* borrowed: the submitter's reference lasts until done() */
    uint64_t gate;             /* commit number that must be durable before done() */
    uint64_t submitted_ns;
    size_t sink_mark;
    size_t result_mark;      /* where the result began that max_write_result_bytes is about */
    uint64_t streamed_bytes; /* taken by chunk() */
    unsigned attempts;
    unsigned next_index; /* statements before it are done (streams that waited for a lock) */
    uint8_t route;       /* enum request_route of tenants/actor.h */
    bool lost_group;     /* it took a transaction back: its statements run each by itself */
    bool resumed;        /* engine_resume() came before the lane stood still */
};

#endif
