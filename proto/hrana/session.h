/* A Hrana stream: what its requests need from the engine, and how their answers are encoded. No
 * HTTP, no WebSocket, no I/O.
 *
 *     hrana_begin(run, request) --HRANA_ANSWERED--------------------------> the answer is in
 * run->out
 *                               --HRANA_SUBMIT--> engine --done--> hrana_finish(run) --> likewise
 *                               --HRANA_FATAL--> run->err: the stream (or connection) has to end
 *
 * A stream costs no connection to SQLite until something needs one of its own: a transaction, a
 * setting, a temporary object. Before and after that its requests are ordinary ones, which commit
 * in groups and may run on loops; last_insert_rowid() and changes() are carried along.
 *
 * Threads: one at a time per stream and run: whoever decoded the request, then whoever runs
 * request.done. */
#ifndef PROTO_HRANA_SESSION_H
#define PROTO_HRANA_SESSION_H

#include "proto/hrana/encode.h"
#include "proto/hrana/sql.h"
#include "tenants/engine.h"

/* ---- streams ---- */

struct hrana_stream {
    struct engine *engine;
    struct database *database;     /* owned reference */
    struct principal *principal;   /* owned reference */
    struct stream *stream;         /* owned; NULL: none was needed yet */
    struct hrana_sql_store *store; /* borrowed */
    struct session_counts counts;
    bool in_transaction; /* as its last request left it: a limit may have ended it since */
    bool closed;         /* by the client's "close" */
};

void hrana_stream_init(struct hrana_stream *stream, struct engine *engine,
    struct database *database, struct principal *principal, struct hrana_sql_store *store);
/* Rolls back what is open. No run of it may be under way. Zeroed is fine, and twice. */
void hrana_stream_fini(struct hrana_stream *stream);
/* True when a transaction is open. */
bool hrana_stream_in_transaction(const struct hrana_stream *stream);

/* ---- running ---- */

enum hrana_next { HRANA_ANSWERED, HRANA_SUBMIT, HRANA_FATAL };

struct hrana_run {
    /* Set by the caller, before hrana_begin(). */
    struct hrana_stream *stream;
    struct request *request;      /* the engine's; filled by hrana_begin() when it has to run */
    struct arena *arena;          /* ends after the answer was taken */
    struct hrana_encoder encoder; /* its out is sink.out */
    bool cursor;                  /* the batch's results are cursor entries, without a response */

    struct sink sink; /* `out`: the answers, one after the other. Owned by the caller */

    /* Result: why it ended (HRANA_FATAL), or the last request's error. */
    struct err err;
    bool failed; /* the last answer is an error */

    /* The session's own. */
    const struct hrana_request *current;
    struct hrana_step_error *errors; /* arena, of a batch */
    uint8_t *states;                 /* arena */
    unsigned step_count;
    unsigned steps_done;
    size_t mark;      /* out.len before the answer */
    size_t step_mark; /* and before the step */
    bool in_step;     /* it began and has not ended */
    bool bad_text;    /* a text of the step is not UTF-8 */
};

/* sink.out must be initialized. */
void hrana_run_init(struct hrana_run *run, struct hrana_stream *stream, struct request *request,
    struct arena *arena, const struct hrana_encoder_ops *ops, enum hrana_envelope envelope);
/* One request of the stream; its form has been checked (hrana_check_request()). FATAL:
 * ERR_BAD_REQUEST (unknown or duplicate sql_id, a request after close). */
enum hrana_next hrana_begin(struct hrana_run *run, const struct hrana_request *request) MUST_CHECK;
/* The engine is done with run->request. ANSWERED, or FATAL with ERR_STREAM_EXPIRED. */
enum hrana_next hrana_finish(struct hrana_run *run) MUST_CHECK;
/* Answers with `err` in place of the request. */
void hrana_refuse(struct hrana_run *run, const struct err *err);
/* True when nothing of the rest can run either: the engine takes no requests now. */
bool hrana_is_refusal(const struct err *err);

/* ---- errors (errors.c) ---- */

/* Code and message as clients know them; the message is in the arena. */
struct hrana_error hrana_error_of(const struct err *err, struct arena *arena);
/* SQLite's parser, or the guard, refused the text: SQL_PARSE_ERROR. */
bool hrana_is_parse_error(const struct err *err);
/* The HTTP status of a failed statement where it is not inside of an answer (version 1). */
int hrana_error_status(const struct err *err);

/* Errors of our own that no enum err_code tells apart: in `native` of an ERR_BAD_REQUEST. */
enum hrana_fault {
    HRANA_FAULT_ARGS_BOTH = 1, /* positional and named */
    HRANA_FAULT_ARGS,
    HRANA_FAULT_STORE_MANY,
    HRANA_FAULT_STORE_LARGE,
    HRANA_FAULT_TEXT, /* a text in the result is not UTF-8 */
    HRANA_FAULT_MANY_STATEMENTS,
    HRANA_FAULT_NO_STATEMENT,
};

#endif
