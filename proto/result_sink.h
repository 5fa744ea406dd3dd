/* Results of query and batch, row by row, straight into the bytes of the answer.
 *
 *     query  {"data":{"columns":[..],"rows":[[..]..],"rowsRead":n,"rowsWritten":n,
 *                     "changes":n?,"lastInsertRowid":n?,"meta":{..}},"success":true,"meta":{..}}
 *     batch  {"data":[{"columns":..,"rows":..,...}, ...],"success":true,"meta":{..}}
 *
 * What tells success comes last, since a JSON answer may be on its way before its end is known: one
 * that fails then closes its arrays and ends with "success":false,"error":... Batches and
 * MessagePack (whose counts are patched) never leave in pieces.
 *
 * The row path allocates nothing but the buffer's growth. Thread: whoever runs the lane. */
#ifndef PROTO_RESULT_SINK_H
#define PROTO_RESULT_SINK_H

#include "proto/values.h"
#include "tenants/request.h"

#define RESULT_BYTES_MAX (64U << 20) /* of an answer, or the unsent part of a streamed one */
#define RESULT_META_MAX 224

struct result_prices {
    double per_request;
    double per_row_read;
    double per_row_written;
};

struct result_sink {
    struct sink sink; /* first */
    enum body_format format;
    bool batch;
    bool integers_as_strings;
    struct result_prices prices;
    /* Batches that go on after a failure: writes the failure as an entry. NULL: leaves it out. */
    void (*on_error)(struct result_sink *results, const struct err *err, struct str sql);
    void *owner;
    size_t sql_prefix_len; /* what explain put before the client's text */

    bool in_rows;
    bool has_entry;    /* of `current`, from begin_at on */
    unsigned current;  /* statement that began last */
    unsigned done;     /* statements that ended, well or not */
    unsigned failures; /* of those */
    size_t begin_at;   /* out.len before the statement's entry */
    size_t array_at;   /* MessagePack: heads to patch */
    size_t object_at;
    size_t rows_at;
    uint32_t row_count;
    uint32_t entries; /* in a batch's array */
    unsigned meta_len;
    char meta[RESULT_META_MAX]; /* of the query, to be written twice */
};

/* `recycled` gives its memory and is emptied (may be NULL). The arena frees the buffer in the end.
 */
void result_sink_init(struct result_sink *results, enum body_format format, bool batch,
    struct buf *recycled, struct arena *arena);
/* Every statement is done: writes the end. `statements`: for meta. */
void result_sink_succeed(struct result_sink *results, const struct request *request);
/* The request failed after its head was streamed: closes what is open, and goes on with the members
 * of `failure`, a JSON object that is not empty. */
void result_sink_abort(struct result_sink *results, struct str failure);
/* The entries of a batch so far, as an array in the sink's format, appended to `out`. */
void result_sink_entries(struct result_sink *results, struct buf *out);
/* meta of a request: {rowsRead, rowsWritten, durationMs, statementCount, costUsd}. */
void result_meta(struct buf *out, enum body_format format, const struct statement_stats *stats,
    unsigned statements, const struct result_prices *prices);

#endif
