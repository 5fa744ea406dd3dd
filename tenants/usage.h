/* Usage figures of databases: counted in memory, added to the catalogue every USAGE_FLUSH_MS and at
 * close.
 *
 * What can be lost: a crash loses at most the counts of the last USAGE_FLUSH_MS plus those of a
 * flush under way; sizes and last use are set again by the next use. Never acknowledged writes:
 * those are in the database. Counts are never doubled.
 *
 * Ownership: a block of counters is counted; every `struct database` of that database holds one
 * reference, the table one while there is something to flush. Any thread. */
#ifndef TENANTS_USAGE_H
#define TENANTS_USAGE_H

#include "tenants/base/macros.h"

#define USAGE_FLUSH_MS 10000

struct usage;
struct usage_table;

/* Figures; deltas when taken from memory, sums when read from the catalogue. */
struct usage_totals {
    uint64_t requests;
    uint64_t rows_read;
    uint64_t rows_written;
    uint64_t bytes;            /* of the database's files without the WAL; the last known */
    uint64_t wal_bytes;        /* the last known */
    bool has_size;             /* bytes and wal_bytes were told */
    int64_t last_used_wall_ms; /* 0: never */
};

struct usage_table *usage_table_new(void);
void usage_table_free(struct usage_table *table); /* NULL is fine; drops what was not flushed */
/* The counters of a database: found or made. A reference, the caller's. */
struct usage *usage_table_get(struct usage_table *table, uint64_t database_id) MUST_CHECK;
void usage_unref(struct usage *usage); /* NULL is fine */
struct usage *usage_ref(struct usage *usage);

/* Adds to a database's counters: no lock but once per flush. NULL is fine and does nothing. */
void usage_add(struct usage *usage, uint64_t requests, uint64_t rows_read, uint64_t rows_written);
/* Tells the database's size (after a checkpoint, at close). */
void usage_set_size(struct usage *usage, uint64_t bytes, uint64_t wal_bytes);
/* What is not yet flushed, without taking it. False when there is nothing. */
bool usage_table_peek(
    struct usage_table *table, uint64_t database_id, struct usage_totals *ret_totals);

/* Flushing: takes the counts of up to `max` databases with something to tell. They are gone from
 * memory; a failed flush gives them back with usage_table_return(). */
struct usage_delta {
    uint64_t database_id;
    struct usage_totals totals;
};
size_t usage_table_take(struct usage_table *table, struct usage_delta *deltas, size_t max);
void usage_table_return(struct usage_table *table, const struct usage_delta *deltas, size_t count);

#endif
