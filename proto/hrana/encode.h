/* What Hrana clients are told: one table of calls per encoding (JSON, protobuf), all appending to
 * `out`.
 *
 *     HTTP pipeline    pipeline_begin  (response_begin … response_end | response_error)*
 *                      pipeline_end
 *     HTTP v1          response_begin … response_end
 *     WebSocket        response_begin … response_end | response_error | hello_ok | hello_error:
 *                      one message each; the caller empties `out` between them
 *
 *     … of execute     stmt_begin row* stmt_end
 *     … of batch       batch_begin (step_skipped | stmt_begin row* stmt_end)* batch_end
 *     … of describe    described
 *     … of get_autocommit  autocommit
 *     … of fetch_cursor    fetch_begin entries fetch_end
 *     … of others      nothing
 *
 *     HTTP cursor      cursor_begin, then entries, each whole with what separates it from the next
 *     entries          (step_begin row* (step_end | step_error) | step_error)*  entry_error?
 *
 * `out` is the truth: the engine may cut it back to where an earlier call ended (a read restarts, a
 * step fails after rows), and then calls rewound(); what an encoding keeps besides (lengths to
 * patch) has to follow from out.len. What does not fit is the buffer's mark (out->failed).
 * Steps come in order and none is left out, so that an encoding can count them.
 *
 * Threads: one at a time; none blocks. */
#ifndef PROTO_HRANA_ENCODE_H
#define PROTO_HRANA_ENCODE_H

#include "proto/hrana/model.h"
#include "tenants/base/buf.h"
#include "tenants/describe.h"
#include "tenants/sink.h"

enum hrana_envelope {
    HRANA_HTTP,      /* an entry of `results`, or of a cursor's body */
    HRANA_HTTP_V1,   /* {"result": …} alone */
    HRANA_WEBSOCKET, /* response_ok, response_error with request_id */
};

struct hrana_error {
    struct str message; /* UTF-8 */
    const char *code;   /* static; "SQLITE_CONSTRAINT" */
};

/* What went wrong with a step. */
struct hrana_step_error {
    bool is_set;
    struct hrana_error error;
};

struct hrana_encoder;

struct hrana_encoder_ops {
    const char *content_type; /* of a pipeline's answer */
    const char *cursor_content_type;

    void (*pipeline_begin)(struct hrana_encoder *e);
    void (*pipeline_end)(struct hrana_encoder *e, struct str baton); /* ptr NULL: null */

    void (*response_begin)(struct hrana_encoder *e, enum hrana_request_type type);
    void (*response_end)(struct hrana_encoder *e, enum hrana_request_type type);
    /* Instead of response_begin … response_end, whose bytes have been cut off. */
    void (*response_error)(struct hrana_encoder *e, const struct hrana_error *error);

    void (*stmt_begin)(struct hrana_encoder *e, const struct column *columns, unsigned count);
    /* -1, and nothing is written: a text is not UTF-8. */
    int (*row)(struct hrana_encoder *e, const struct value *values, unsigned count);
    void (*stmt_end)(struct hrana_encoder *e, const struct statement_stats *stats);

    void (*batch_begin)(struct hrana_encoder *e);
    /* No result: it was skipped, or failed. */
    void (*step_skipped)(struct hrana_encoder *e);
    /* `errors` of all steps. */
    void (*batch_end)(
        struct hrana_encoder *e, const struct hrana_step_error *errors, unsigned step_count);

    void (*described)(struct hrana_encoder *e, const struct statement_description *description);
    void (*autocommit)(struct hrana_encoder *e, bool is_autocommit);

    void (*cursor_begin)(struct hrana_encoder *e, struct str baton);
    void (*entry_step_begin)(
        struct hrana_encoder *e, unsigned step, const struct column *columns, unsigned count);
    int (*entry_row)(struct hrana_encoder *e, const struct value *values, unsigned count);
    void (*entry_step_end)(struct hrana_encoder *e, const struct statement_stats *stats);
    void (*entry_step_error)(
        struct hrana_encoder *e, unsigned step, const struct hrana_error *error);
    void (*entry_error)(struct hrana_encoder *e, const struct hrana_error *error);
    /* WebSocket: around entries that were encoded before (in another encoder's `out`). */
    void (*fetch_begin)(struct hrana_encoder *e);
    void (*fetch_end)(struct hrana_encoder *e, bool done);

    void (*hello_ok)(struct hrana_encoder *e);
    void (*hello_error)(struct hrana_encoder *e, const struct hrana_error *error);

    void (*rewound)(struct hrana_encoder *e); /* may be NULL */
};

#define HRANA_ENCODER_DEPTH 16

struct hrana_encoder {
    const struct hrana_encoder_ops *ops;
    struct buf *out; /* borrowed */
    enum hrana_envelope envelope;
    int32_t request_id; /* WebSocket */
    /* The encoding's own: messages that are open, and where their lengths go; steps so far. */
    unsigned depth;
    size_t open[HRANA_ENCODER_DEPTH];
    unsigned step;
};

extern const struct hrana_encoder_ops hrana_json_ops;

/* `query_duration_ms`, in whole microseconds. */
static inline double hrana_duration_ms(const struct statement_stats *stats)
{
    uint64_t duration_us = stats->duration_ns / 1000;

    return (double)duration_us / 1000.0;
}

#endif
