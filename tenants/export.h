/* A whole database as bytes, of one snapshot, while writes go on: producers (tenants/request.h).
 *
 * While one runs, its read transaction pins the WAL: a reader so slow that the WAL would grow over
 * its hard bound loses its export (ERR_UNAVAILABLE). Memory: a page, or a row, besides the sink's.
 *
 * Thread: whoever runs the lane. */
#ifndef TENANTS_EXPORT_H
#define TENANTS_EXPORT_H

#include "tenants/request.h"

struct sqlite3_stmt;

/* A plain SQLite file in rollback mode: any sqlite3 opens it, read-only media too. */
struct export_file {
    struct producer producer; /* first */
    uint64_t total_bytes;     /* known after the first piece */
    struct sqlite3_stmt *pages;
    uint32_t page_bytes;
    uint32_t page_count;
    uint32_t next; /* page, from 1 */
};

/* SQL that makes the same database in an empty one: the sqlite3 shell's, ours, libSQL's. Rowids,
 * user_version and application_id are kept. What belongs to the server (reserved names) and
 * planner statistics are left out. A full-text table that keeps no content cannot be told in SQL:
 * ERR_NOT_IMPLEMENTED, before the first byte. */
struct export_sql {
    struct producer producer; /* first */
    struct sqlite3_stmt *tables;
    struct sqlite3_stmt *rows;
    struct sqlite3_stmt *objects;
    struct buf insert; /* INSERT INTO t(...) VALUES( */
    struct buf late;   /* what must come after all rows */
    unsigned phase;
};

/* ERR_NOT_IMPLEMENTED (from the first piece): this SQLite was built without sqlite_dbpage. */
void export_file_init(struct export_file *export);
void export_sql_init(struct export_sql *export);

#endif
