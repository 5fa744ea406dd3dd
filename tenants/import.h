/* A new database from a stranger's bytes: a SQLite file or SQL text, written to a folder of its own
 * (family_stage()), checked there, and left as a family that the catalogue only has to name.
 *
 *     import_start -> import_write ... -> import_check -> [a row in the catalogue] -> import_end
 *
 * Nothing of it is trusted. A file's header, its schema and every page are checked before it is
 * kept; while that runs the connection is the same as a tenant's (guard, no extension, defensive,
 * untrusted schema, cell_size_check), within a memory account and a time limit. SQL runs as a
 * tenant's would, on an empty database, and what it made is checked as a file is.
 *
 * Each call is a task of the slow workers, which may wait for the disk; `done` is called there, one
 * call at a time. A crash before the row leaves a folder that the next start removes.
 *
 * Limits: options.imports at once (ERR_OVERLOADED), IMPORT_TIME_S for the check. */
#ifndef TENANTS_IMPORT_H
#define TENANTS_IMPORT_H

#include "tenants/base/buf.h"
#include "tenants/engine.h"
#include "tenants/family.h"

#define IMPORT_TIME_S 1800

enum import_format { IMPORT_FILE, IMPORT_SQL };

struct import_options {
    enum import_format format;
    uint64_t tenant_id;           /* whose share of the slow workers it takes */
    uint64_t upload_bytes;        /* most that may be written; ERR_TOO_LARGE */
    uint64_t max_bytes;           /* of the database that it becomes */
    bool quick;                   /* PRAGMA quick_check instead of integrity_check */
    bool foreign_keys;            /* violated ones are refused */
    const atomic_bool *cancelled; /* what runs ends soon when it is set; till the last `done` */
    void *owner;
};

struct import_result {
    uint64_t uploaded_bytes;
    uint64_t bytes; /* of the database */
    uint32_t page_size;
    uint64_t tables;
    uint64_t statements; /* of SQL */
    uint64_t skipped;    /* settings of a connection that mean nothing here, and were not made */
};

/* Most that a database may have that is made here. */
uint64_t import_database_bytes(const struct engine *engine);

struct import;
typedef void (*import_fn)(struct import *import, void *owner);

/* No I/O yet. Any thread. ERR_OVERLOADED, ERR_DRAINING. */
int import_start(struct engine *engine, const struct import_options *options,
    struct import **ret_import, struct err *ret_err) MUST_CHECK;
/* Appends; takes the bytes. */
void import_write(struct import *import, struct buf *bytes, import_fn done);
/* The upload is whole: makes and checks the database, and syncs it. */
void import_check(struct import *import, import_fn done);
/* Ends it: unless `kept`, its files go. `done` (NULL: nobody) is the last that is heard of it. */
void import_end(struct import *import, bool kept, import_fn done);

/* After a `done`: code ERR_NONE, or why it failed, for good. */
const struct err *import_error(const struct import *import);
const struct import_result *import_result(const struct import *import);
const struct family_stage *import_stage(const struct import *import);

#endif
