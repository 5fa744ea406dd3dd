/* Runs statements of a request on a lane's connection, rows into the sink, under the budgets.
 * Knows nothing of groups, queues or gates. Private to the engine's files. */
#ifndef TENANTS_EXECUTE_H
#define TENANTS_EXECUTE_H

#include "tenants/actor.h"

enum run_result {
    RUN_OK,
    RUN_FAILED,       /* request->err says why; the sink has been told */
    RUN_OUTGREW,      /* over the short budget; sink rewound */
    RUN_BUSY,         /* the write lock is taken; sink rewound */
    RUN_WOULD_BLOCK,  /* on a loop: a page is not in the page cache; sink rewound */
    RUN_NEEDS_READER, /* a large result on a lane that may not stream; sink rewound */
    RUN_NEEDS_WRITER, /* it writes, and this is a read path; sink rewound */
    RUN_ALONE,        /* must run outside a group; sink rewound */
    RUN_PAUSED,       /* the cursor stays in the lane */
};

enum run_flags {
    RUN_ON_LOOP = 1 << 0,    /* cached statements only, loop_ok only */
    RUN_READ_PATH = 1 << 1,  /* writes answer RUN_NEEDS_WRITER */
    RUN_IN_GROUP = 1 << 2,   /* inside a transaction that somebody else commits */
    RUN_MAY_STREAM = 1 << 3, /* chunk() may be called */
    RUN_SHORT = 1 << 4,      /* under the short budget */
    RUN_IN_STREAM = 1 << 5,  /* transaction words and settings are allowed */
};

/* The guard refuses its writes. Those of a read-only transaction SQLite would refuse: check_class()
 * does, in its words. */
static inline bool execute_is_read_only(const struct request *request)
{
    return request->read_only && request->mode != MODE_SCRIPT;
}
/* Sets the budgets of the request for the statements to come, and the connection's context. */
void execute_begin(struct lane *lane, struct request *request, unsigned flags) ON(actor_owner);
void execute_end(struct lane *lane) ON(actor_owner);

/* From the cache, or compiled in the time there is for that. *ret_long: that is known not to be
 * enough. -1: execute_not_found() tells what it means. */
int execute_find_statement(struct lane *lane, struct str sql, unsigned flags,
    struct statement **ret_statement, struct str *ret_tail, bool *ret_long, struct err *ret_err)
    ON(actor_owner) MUST_CHECK;
enum run_result execute_not_found(
    struct lane *lane, unsigned flags, bool is_long, struct err *ret_err) ON(actor_owner);
/* Before the first of a batch's steps: where the parser or the guard refuses one of them, none is
 * run. RUN_FAILED: request->err says why, the sink was not told, and the request's mode is
 * MODE_STOP (that of a script stays). What else a step may have wrong is its own error, when it
 * runs. */
enum run_result execute_check_texts(struct lane *lane, struct request *request, unsigned flags)
    ON(actor_owner);

/* Parameters onto a prepared statement. Errors: ERR_SQL wrong number or name, ERR_TOO_LARGE. */
int execute_bind(struct lane *lane, const struct statement *statement,
    const struct statement_input *input, struct err *ret_err) ON(actor_owner) MUST_CHECK;

/* -1: ERR_BLOCKED, with the operator's reason. `statement` NULL: a procedure. */
int execute_check_blocks(struct lane *lane, const struct request *request,
    const struct statement *statement, struct err *ret_err) ON(actor_owner) MUST_CHECK;

/* One statement. On RUN_FAILED the sink's error() was called and failed_index set. */
enum run_result execute_statement(
    struct lane *lane, struct request *request, unsigned index, unsigned flags) ON(actor_owner);
/* Instead of running it: sink->described(). Releases the statement. */
enum run_result execute_describe(struct lane *lane, struct request *request, unsigned index,
    struct statement *statement) ON(actor_owner);
/* A stream's statement, compiled and bound, before it runs. RUN_OK: it may. RUN_BUSY: it is to wait
 * for its turn to write. */
enum run_result execute_stream_begins(struct lane *lane, const struct statement *statement,
    unsigned flags, uint64_t started_ns, struct err *ret_err) ON(actor_owner);
void execute_stream_ends(struct lane *lane, uint64_t started_ns) ON(actor_owner);
/* A transaction that has read before somebody's commit can never write: it need not wait. Fills
 * err, then. */
bool execute_snapshot_is_old(struct lane *lane, struct err *ret_err) ON(actor_owner);
/* A step whose condition does not hold: the sink has been told. */
bool execute_is_skipped(struct lane *lane, struct request *request, unsigned index) ON(actor_owner);

/* script.c. Of MODE_SCRIPT, inside a transaction (RUN_IN_GROUP: in a savepoint) that somebody else
 * ends; from that statement on. */
enum run_result script_beside_others(
    struct lane *lane, struct request *request, unsigned from, unsigned flags) ON(actor_owner);
/* The same outside of transactions. */
enum run_result script_alone(struct lane *lane, struct request *request, unsigned flags)
    ON(actor_owner);
/* Its BEGIN did not get the lock in time. */
void script_busy(struct request *request, const struct err *err);

/* Goes on with a paused cursor. */
enum run_result execute_continue(struct lane *lane, unsigned flags) ON(actor_owner);
/* Ends a paused cursor without an answer. */
void execute_abandon(struct lane *lane) ON(actor_owner);
/* A producer's pieces, from the first or where it was paused. */
enum run_result execute_produce(struct lane *lane, struct request *request, unsigned flags)
    ON(actor_owner);
/* Hands what the sink holds to chunk(). RUN_OK: it is on its way, go on. */
enum run_result execute_send_chunk(struct lane *lane, struct request *request, unsigned flags,
    struct err *ret_err) ON(actor_owner);
/* The procedure of a request, in whatever transaction is open. */
enum run_result execute_procedure(struct lane *lane, struct request *request) ON(actor_owner);

/* Transaction verbs, prepared once per connection; each returns SQLite's result code. */
enum verb {
    VERB_BEGIN,
    VERB_BEGIN_IMMEDIATE,
    VERB_COMMIT,
    VERB_ROLLBACK,
    VERB_SAVEPOINT_REQUEST,
    VERB_RELEASE_REQUEST,
    VERB_ROLLBACK_TO_REQUEST,
    VERB_SAVEPOINT_STATEMENT,
    VERB_RELEASE_STATEMENT,
    VERB_ROLLBACK_TO_STATEMENT,
    VERB_READ_SCHEMA, /* reads a stale schema anew */
    VERB_COUNT
};
int execute_verb(struct lane *lane, enum verb verb) ON(actor_owner);
/* True when keys are violated that were deferred to the commit; fills err. */
bool execute_deferred_keys_violated(struct lane *lane, struct err *ret_err) ON(actor_owner);
/* Tells the sink and the request of an error of one statement. */
void execute_report(struct request *request, unsigned index, const struct err *err);
/* Cuts the sink back to the request's mark, and forgets its results. */
void execute_rewind(struct request *request);
/* The same for one statement of a stream: the results of those before it stay. */
void execute_rewind_statement(struct request *request);
/* What the progress handler's stop means: RUN_OUTGREW, or RUN_FAILED with err set. */
enum run_result execute_stopped(struct lane *lane, struct err *ret_err) ON(actor_owner);
/* What failed may have been a commit: with the disk at fault nobody knows whether it was kept, and
 * the database is closed and recovered. Sets err to that, then; else leaves it alone. */
void execute_judge_commit(struct lane *lane, int rc, struct err *err) ON(actor_owner);
/* Sets err from the connection's last error, seen with the lane's stop reason and budgets. */
enum run_result execute_error(struct lane *lane, int rc, struct err *ret_err) ON(actor_owner);

/* family_call.c: a REQUEST_FAMILY, alone on the write lane. */
enum run_result family_call_run(struct lane *lane, struct request *request) ON(actor_owner);

#endif
