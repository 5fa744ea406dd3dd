/* Where a request's results go: tenants/ calls it row by row, proto/ encodes into `out`.
 *
 * Order of calls: for each statement run, begin, row*, then end or error. A statement that has no
 * columns gets begin with count 0. After `error` the next statement's begin may follow (batches
 * that go on). `out` is only appended to between mark and rewind: when a group is rolled back or a
 * read restarts, the engine rewinds to its mark and the calls come again.
 *
 * Thread: whoever runs the lane; one at a time. Sinks never block and never free the request. */
#ifndef TENANTS_SINK_H
#define TENANTS_SINK_H

#include "tenants/base/buf.h"
#include "tenants/base/err.h"
#include "tenants/describe.h"
#include "tenants/value.h"

struct statement_stats {
    uint64_t rows_read;    /* estimate: max(FULLSCAN_STEP, rows returned, VM_STEP / 5) */
    uint64_t rows_written; /* at least `changes` */
    uint64_t rows_returned;
    uint64_t changes;
    int64_t last_insert_rowid;
    uint64_t vm_steps;
    uint64_t duration_ns;
    bool is_write;  /* changes and last_insert_rowid mean something */
    bool is_insert; /* INSERT or REPLACE: last_insert_rowid was set by it */
};

struct sink;

struct sink_ops {
    void (*begin)(
        struct sink *sink, unsigned statement, const struct column *columns, unsigned count);
    void (*row)(struct sink *sink, const struct value *values, unsigned count);
    void (*end)(struct sink *sink, unsigned statement, const struct statement_stats *stats);
    /* `sql` is the failed statement's text. Called for errors of statements, not for those that
     * stop the request before its first statement (they are in request->err). */
    void (*error)(struct sink *sink, unsigned statement, const struct err *err, struct str sql);
    /* Anything besides out.len that must go back when the engine rewinds (may be NULL). */
    void (*rewound)(struct sink *sink);
    /* The condition of a step did not hold: instead of begin. For requests with step_states. */
    void (*skipped)(struct sink *sink, unsigned statement);
    /* For requests that describe: instead of begin, row and end. */
    void (*described)(
        struct sink *sink, unsigned statement, const struct statement_description *description);
};

struct sink {
    const struct sink_ops *ops;
    struct buf out; /* owned by the sink's owner; its limit is the largest result */
};

#endif
