/* What the files of an import share: import.c (tasks, files), import_check.c (is it a database that
 * may be kept?), import_sql.c (SQL to a database). */
#ifndef TENANTS_IMPORT_INTERNAL_H
#define TENANTS_IMPORT_INTERNAL_H

#include "tenants/account.h"
#include "tenants/actor.h"
#include "tenants/import.h"

#define IMPORT_DUMP "dump.sql"

struct import {
    struct task task;
    struct engine *engine;
    struct import_options options;
    struct import_result result;
    struct family_stage stage;
    bool is_staged;
    bool kept;
    int fd; /* of what is uploaded, or -1 */
    char upload_path[FAMILY_PATH_MAX];
    struct buf bytes;
    struct err err;
    import_fn done;
    uint64_t deadline_ns;

    /* While it is checked. */
    struct vfs_head *head;
    struct connection *connection;
};

/* Opens the base as a tenant's database would be. */
int import_connect(struct import *import, struct err *ret_err) ON(actor_owner) MUST_CHECK;
/* Settles the log into the base, and closes. */
int import_disconnect(struct import *import, struct err *ret_err) ON(actor_owner) MUST_CHECK;
/* What SQLite says about a stranger's bytes, as a refusal. -1. */
int import_failed(struct import *import, int rc, struct err *ret_err);
/* The same of an error that has been set already. -1. */
int import_judge(struct import *import, struct err *err);

/* import_check.c: the header, before SQLite sees the file. Sets result.page_size, result.bytes. */
int import_check_header(struct import *import, struct err *ret_err) MUST_CHECK;
/* Schema, pages, keys. */
int import_check_content(struct import *import, struct err *ret_err) ON(actor_owner) MUST_CHECK;
/* import_sql.c */
int import_run_sql(struct import *import, struct err *ret_err) ON(actor_owner) MUST_CHECK;

#endif
