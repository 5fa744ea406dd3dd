/* The metrics registry: one table of families, cells per thread, summed when scraped.
 *
 * A counter or histogram cell is written by its own thread only (relaxed atomics, no lock prefix);
 * a gauge is one shared atomic. A new metric is a row of METRICS_TABLE and nothing else. Families
 * with a label have `cells` values of it, whose text the owner gives with metrics_label(). */
#ifndef TENANTS_BASE_METRICS_H
#define TENANTS_BASE_METRICS_H

#include "tenants/base/buf.h"

#define METRIC_HISTOGRAM_BUCKETS 28
#define METRIC_ROUTES_MAX 160
#define METRIC_STATUS_MAX 48

/* kind, identifier, name, label name ("" for none), cells, help */
#define METRICS_TABLE(X)                                                                           \
    X(COUNTER, REQUESTS, "rookery_http_requests_total", "route_status",                            \
        METRIC_ROUTES_MAX *METRIC_STATUS_MAX, "Requests answered, by route and status.")           \
    X(HISTOGRAM, REQUEST_SECONDS, "rookery_http_request_duration_seconds", "", 1,                  \
        "Time from the request's last byte to the answer's first.")                                \
    X(COUNTER, BYTES_IN, "rookery_http_received_bytes_total", "", 1, "Bytes received.")            \
    X(COUNTER, BYTES_OUT, "rookery_http_sent_bytes_total", "", 1, "Bytes sent.")                   \
    X(GAUGE, CONNECTIONS, "rookery_connections", "", 1, "Open client connections.")                \
    X(COUNTER, CONNECTIONS_ACCEPTED, "rookery_connections_accepted_total", "", 1,                  \
        "Client connections accepted.")                                                            \
    X(COUNTER, CONNECTIONS_REFUSED, "rookery_connections_refused_total", "", 1,                    \
        "Client connections refused at a limit.")                                                  \
    X(GAUGE, WEBSOCKETS, "rookery_websockets", "", 1, "Open WebSocket sessions.")                  \
    X(COUNTER, WEBSOCKET_MESSAGES, "rookery_websocket_messages_total", "direction", 2,             \
        "Messages on WebSockets, in and out.")                                                     \
    X(COUNTER, STATEMENTS, "rookery_statements_total", "class", 8, "Statements run, by class.")    \
    X(COUNTER, LOOP_READS, "rookery_loop_reads_total", "outcome", 4,                               \
        "Reads tried on a loop thread: done, or handed to a worker and why.")                      \
    X(HISTOGRAM, GROUP_REQUESTS, "rookery_group_requests", "", 1,                                  \
        "Write requests committed together (buckets in requests).")                                \
    X(HISTOGRAM, SYNC_SECONDS, "rookery_sync_duration_seconds", "", 1, "Time of one WAL sync.")    \
    X(COUNTER, SYNCS, "rookery_syncs_total", "", 1, "WAL syncs done for commits.")                 \
    X(COUNTER, COMMITS, "rookery_commits_total", "", 1, "Commits acknowledged or to be.")          \
    X(COUNTER, GROUPS_LOST, "rookery_groups_lost_total", "", 1,                                    \
        "Groups that SQLite rolled back whole and that ran again one by one.")                     \
    X(COUNTER, CHECKPOINTS, "rookery_checkpoints_total", "", 1, "WAL checkpoints.")                \
    X(GAUGE, WAL_BYTES, "rookery_wal_bytes", "", 1, "Bytes of WAL of open databases.")             \
    X(GAUGE, DATABASES_OPEN, "rookery_databases_open", "", 1, "Databases open.")                   \
    X(GAUGE, LANES, "rookery_lanes", "kind", 3,                                                    \
        "Open lanes (SQLite connections): write, read, stream.")                                   \
    X(GAUGE, STREAMS, "rookery_streams", "", 1, "Streams open.")                                   \
    X(GAUGE, MAILBOX_DEPTH, "rookery_mailbox_messages", "", 1, "Requests waiting in mailboxes.")   \
    X(GAUGE, GATE_WAITING, "rookery_gate_waiting", "", 1,                                          \
        "Answers held until their commit is on disk.")                                             \
    X(HISTOGRAM, LOCK_WAIT_SECONDS, "rookery_lock_wait_seconds", "", 1,                            \
        "Time a writer waited for its turn to write.")                                             \
    X(GAUGE, LOCK_WAITING, "rookery_lock_waiting", "", 1,                                          \
        "Streams, and databases' write lanes, that wait for a write lock.")                        \
    X(COUNTER, TRANSACTIONS_ENDED, "rookery_transactions_ended_total", "reason", 3,                \
        "Transactions of streams rolled back: idle, too long, or others waited for the lock.")     \
    X(COUNTER, OPENS, "rookery_database_opens_total", "", 1, "Databases opened.")                  \
    X(COUNTER, CLOSES, "rookery_database_closes_total", "", 1, "Databases closed.")                \
    X(COUNTER, EXPIRED, "rookery_databases_expired_total", "", 1,                                  \
        "Databases and branches deleted because their time was over.")                             \
    X(HISTOGRAM, OPEN_SECONDS, "rookery_database_open_seconds", "", 1, "Time to open a database.") \
    X(COUNTER, OVERLOADED, "rookery_overloaded_total", "", 1,                                      \
        "Requests refused by a full mailbox.")                                                     \
    X(GAUGE, MEMORY_ACCOUNTS, "rookery_sqlite_memory_bytes", "", 1,                                \
        "Heap charged to databases' accounts, together.")                                          \
    X(GAUGE, MEMORY_LARGEST, "rookery_sqlite_memory_largest_bytes", "", 1,                         \
        "Heap charged to the account that has most.")                                              \
    X(COUNTER, BUDGET_ENDED, "rookery_budget_ended_total", "budget", 6,                            \
        "Statements ended at a budget.")                                                           \
    X(COUNTER, SLOW_RESTARTS, "rookery_slow_restarts_total", "", 1,                                \
        "Statements that outgrew their short budget and ran again on a slow worker.")              \
    X(COUNTER, LONG_COMPILES, "rookery_long_compiles_total", "", 1,                                \
        "Texts whose compiling was given up and remembered as long.")                              \
    X(COUNTER, LONG_TEXTS, "rookery_long_texts_total", "", 1,                                      \
        "Statements that went to a slow worker untried, for their text was remembered.")           \
    X(COUNTER, JWT_VERIFIED, "rookery_jwt_verifications_total", "outcome", 3,                      \
        "JSON web tokens verified: good, refused, or not tried because too many waited.")

enum metric {
#define X(kind, id, name, label, cells, help) METRIC_##id,
    METRICS_TABLE(X)
#undef X
        METRIC_COUNT
};

/* Counters: adds to this thread's cell. */
void metric_add_cell(enum metric metric, unsigned cell, uint64_t value);
static inline void metric_add(enum metric metric, uint64_t value)
{
    metric_add_cell(metric, 0, value);
}
/* Gauges: one atomic; negative deltas are fine. */
void metric_gauge_add(enum metric metric, unsigned cell, int64_t delta);
void metric_gauge_set(enum metric metric, unsigned cell, int64_t value);
int64_t metric_gauge_get(enum metric metric, unsigned cell);
/* Histograms: seconds ones take nanoseconds, others plain counts. Buckets are powers of two. */
void metric_observe(enum metric metric, uint64_t value);
/* The text of a family's label value, e.g. `route="query",status="200"` or `class="read"`: borrowed
 * for ever. Cells without a text are not shown. */
void metrics_label(enum metric metric, unsigned cell, const char *labels);
/* The sum over threads of a counter's cell. */
uint64_t metric_counter_get(enum metric metric, unsigned cell);
/* Appends everything in Prometheus's text format. Any thread. */
void metrics_write(struct buf *out);

#endif
