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

/* ERR_NOT_IMPLEMENTED (from the first piece): this SQLite was built without sqlite_dbpage. */
void export_file_init(struct export_file *export);

#endif
