#include "tenants/import.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>

#include "tenants/base/clock.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/connection.h"
#include "tenants/import_internal.h"
#include "tenants/sql_error.h"
#include "tenants/vfs_internal.h"
#include "tenants/vfs_io.h"

#define PROGRESS_OPS 1000
#define SQL_TEXT_BYTES (1ULL << 30) /* of one statement: SQLite's own bound */

/* ---- tasks ---- */

static void push(struct import *import, void (*run)(struct task *task), import_fn done)
{
    import->done = done;
    import->task.run = run;
    scheduler_push(&import->engine->slow, &import->task);
}

static void tell(struct import *import)
{
    import->done(import, import->options.owner); /* it may push the next task */
}

/* Waiting for the disk takes no processor: others have the turn meanwhile. */
static void disk_begin(struct import *import)
{
    turns_give(&import->engine->turns);
}

static void disk_end(struct import *import)
{
    turns_take(&import->engine->turns);
}

uint64_t import_database_bytes(const struct engine *engine)
{
    return engine->options.max_database_bytes;
}

int import_start(struct engine *engine, const struct import_options *options,
    struct import **ret_import, struct err *ret_err)
{
    struct import *import;

    if (atomic_load(&engine->draining))
        return err_set(ret_err, ERR_DRAINING, "the server is stopping; try again in a moment");
    if (atomic_fetch_add(&engine->imports, 1) >= engine->options.imports) {
        (void)atomic_fetch_sub(&engine->imports, 1);
        return err_set(ret_err, ERR_UNAVAILABLE,
            "%u imports are under way, as many as there may be at once; try again",
            engine->options.imports);
    }
    (void)atomic_fetch_add(&engine->in_flight, 1);
    import = mem_zalloc(sizeof(*import));
    import->engine = engine;
    import->options = *options;
    import->fd = -1;
    import->err = ERR_INIT;
    task_init(&import->task, options->tenant_id, NULL);
    *ret_import = import;
    return 0;
}

const struct err *import_error(const struct import *import)
{
    return &import->err;
}

const struct import_result *import_result(const struct import *import)
{
    return &import->result;
}

const struct family_stage *import_stage(const struct import *import)
{
    return &import->stage;
}

/* ---- bytes to disk ---- */

static int stage(struct import *import, struct err *ret_err)
{
    const char *path = import->stage.paths.main_path;

    if (family_stage(import->engine->options.data_dir, &import->stage, ret_err) < 0)
        return -1;
    import->is_staged = true;
    if (import->options.format == IMPORT_SQL) {
        int len = snprintf(import->upload_path, sizeof(import->upload_path), "%s/" IMPORT_DUMP,
            import->stage.paths.folder);

        if (len < 0 || (size_t)len >= sizeof(import->upload_path))
            return err_set(ret_err, ERR_IO, "the data folder's path is too long");
    } else {
        (void)snprintf(import->upload_path, sizeof(import->upload_path), "%s", path);
    }
    import->fd = io_open(import->upload_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return import->fd < 0
               ? err_set_errno(ret_err, ERR_IO, errno, "cannot make '%s'", import->upload_path)
               : 0;
}

static int no_space(int errno_value, const char *what, struct err *ret_err)
{
    if (errno_value == ENOSPC || errno_value == EDQUOT)
        return err_set(ret_err, ERR_QUOTA_EXCEEDED, "the server's disk is full");
    return err_set_errno(ret_err, ERR_IO, errno_value, "cannot write %s", what);
}

static int write_bytes(struct import *import, struct err *ret_err)
{
    const struct buf *bytes = &import->bytes;

    if (bytes->len > import->options.upload_bytes - import->result.uploaded_bytes)
        return err_set(ret_err, ERR_TOO_LARGE, "the upload is larger than %llu bytes",
            (unsigned long long)import->options.upload_bytes);
    if (!import->is_staged && stage(import, ret_err) < 0)
        return -1;
    if (bytes->len > 0 && io_write_all(import->fd, bytes->bytes, bytes->len,
                              (off_t)import->result.uploaded_bytes) < 0)
        return no_space(errno, "an upload", ret_err);
    import->result.uploaded_bytes += bytes->len;
    return 0;
}

static void write_task(struct task *task)
{
    struct import *import = CONTAINER_OF(task, struct import, task);

    disk_begin(import);
    if (import->err.code == ERR_NONE)
        (void)!write_bytes(import, &import->err);
    buf_fini(&import->bytes);
    disk_end(import);
    tell(import);
}

void import_write(struct import *import, struct buf *bytes, import_fn done)
{
    buf_fini(&import->bytes);
    buf_take(&import->bytes, bytes);
    push(import, write_task, done);
}

/* ---- the database ---- */

/* Called by SQLite while it compiles and runs; non-zero ends that. */
static int on_progress(void *context)
{
    struct import *import = context;
    uint64_t now = clock_now_ns();

    if (turns_share(&import->engine->turns, now))
        now = clock_now_ns();
    return atomic_load_explicit(import->options.cancelled, memory_order_relaxed) ||
           atomic_load_explicit(&import->engine->stopping, memory_order_relaxed) ||
           now > import->deadline_ns;
}

static int stopped(struct import *import, struct err *ret_err)
{
    if (atomic_load(import->options.cancelled))
        return err_set(ret_err, ERR_CANCELLED, "the import was cancelled");
    if (atomic_load(&import->engine->stopping))
        return err_set(ret_err, ERR_DRAINING, "the server is stopping; try again in a moment");
    return err_set(
        ret_err, ERR_BUDGET_TIME, "the import took more than %d s to check", IMPORT_TIME_S);
}

/* SQL holds a value as text, then as what that means, then as a row. */
static uint64_t memory_of(const struct import *import)
{
    const struct engine_options *engine = &import->engine->options;

    return engine->memory_per_database +
           (import->options.format == IMPORT_SQL ? 4 * engine->max_value_bytes : 0);
}

int import_judge(struct import *import, struct err *err)
{
    struct err was = *err;

    switch (was.native & 0xff) {
    case SQLITE_INTERRUPT:
        return stopped(import, err);
    case SQLITE_NOMEM:
        return err_set(err, ERR_BUDGET_MEMORY,
            "the import needs more memory than the %llu bytes a database may use",
            (unsigned long long)memory_of(import));
    case SQLITE_FULL:
        return err_set(err, ERR_TOO_LARGE,
            "the database would be larger than %llu bytes, or the server's disk is full",
            (unsigned long long)import->options.max_bytes);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PROTOCOL:
        return err_set(
            err, ERR_BAD_REQUEST, "the upload is no sound SQLite database: %.200s", was.msg);
    case SQLITE_IOERR:
        if (was.native == SQLITE_IOERR_SHORT_READ || was.native == SQLITE_IOERR_CORRUPTFS)
            return err_set(err, ERR_BAD_REQUEST, "the upload is no sound SQLite database");
        return err_set(err, ERR_IO, "%.300s", was.msg);
    default:
        if (was.code == ERR_CORRUPT || was.code == ERR_SQL)
            return err_set(
                err, ERR_BAD_REQUEST, "the upload is no sound SQLite database: %.200s", was.msg);
        return -1;
    }
}

int import_failed(struct import *import, int rc, struct err *ret_err)
{
    struct err err = ERR_INIT;

    (void)!sql_err_set(&err, connection_db(import->connection), rc);
    (void)!import_judge(import, &err);
    err_copy(ret_err, &err);
    return -1;
}

int import_connect(struct import *import, struct err *ret_err)
{
    const struct engine_options *engine = &import->engine->options;
    const struct family_paths *paths = &import->stage.paths;
    struct vfs_head_options head = {.main_path = paths->main_path,
        .wal_path = paths->wal_path,
        .placeholder_path = paths->placeholder_path,
        .temp_limit_bytes = engine->temp_per_database,
        .temp_dir = import->engine->temp_dir};
    struct connection_options options = {
        .foreign_keys = false,
        .max_bytes = import->options.max_bytes,
        .max_sql_bytes = MIN(engine->max_value_bytes * 3 + (1ULL << 20), SQL_TEXT_BYTES),
        .max_value_bytes = engine->max_value_bytes,
        .max_parameters = engine->max_parameters,
        .cache_kib = (int)engine->cache_kib,
    };
    static const struct connection_context tenant = {.stateless = false};

    if (vfs_head_open(&head, &import->head, ret_err) < 0)
        return -1;
    (void)vfs_enter(import->head);
    options.name = vfs_head_name(import->head);
    if (connection_open(&options, &import->connection, ret_err) < 0)
        return import_judge(import, ret_err);
    connection_set_context(import->connection, &tenant);
    sqlite3_progress_handler(connection_db(import->connection), PROGRESS_OPS, on_progress, import);
    return 0;
}

static void close_all(struct import *import) ON(actor_owner)
{
    connection_close(import->connection);
    import->connection = NULL;
    (void)vfs_enter(NULL);
    vfs_head_close(import->head);
    import->head = NULL;
}

int import_disconnect(struct import *import, struct err *ret_err)
{
    int rc;

    sqlite3_progress_handler(connection_db(import->connection), 0, NULL, NULL);
    vfs_checkpoint_section(true);
    rc = sqlite3_wal_checkpoint_v2(
        connection_db(import->connection), NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    vfs_checkpoint_section(false);
    if (rc != SQLITE_OK)
        (void)import_failed(import, rc, ret_err);
    import->result.bytes = vfs_head_main_bytes(import->head);
    close_all(import);
    return rc == SQLITE_OK ? 0 : -1;
}

static int check_inside(struct import *import, struct err *ret_err) ON(actor_owner)
{
    if (import->options.format == IMPORT_SQL && import_run_sql(import, ret_err) < 0)
        return -1;
    if (import_check_header(import, ret_err) < 0 || import_connect(import, ret_err) < 0 ||
        import_check_content(import, ret_err) < 0)
        return -1;
    return import_disconnect(import, ret_err);
}

static int check_all(struct import *import, struct err *ret_err)
{
    const struct engine_options *engine = &import->engine->options;
    struct account *account = account_new(memory_of(import));
    struct account *before = account_enter(account);
    int rc;

    import->deadline_ns = clock_now_ns() + IMPORT_TIME_S * NS_PER_S;
    actor_owner_enter();
    rc = check_inside(import, ret_err);
    close_all(import);
    actor_owner_leave();
    (void)account_enter(before);
    account_release(account);
    if (rc < 0)
        return -1;
    if (import->options.format == IMPORT_SQL && io_unlink(import->upload_path) < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot remove '%s'", import->upload_path);
    disk_begin(import);
    rc = family_stage_finish(engine->data_dir, &import->stage, import->result.page_size, ret_err);
    disk_end(import);
    return rc;
}

static void check_task(struct task *task)
{
    struct import *import = CONTAINER_OF(task, struct import, task);
    struct err err = ERR_INIT;

    if (import->err.code == ERR_NONE && check_all(import, &err) < 0)
        err_copy(&import->err, &err);
    tell(import);
}

void import_check(struct import *import, import_fn done)
{
    push(import, check_task, done);
}

/* ---- the end ---- */

static void end_task(struct task *task)
{
    struct import *import = CONTAINER_OF(task, struct import, task);
    struct engine *engine = import->engine;
    import_fn done = import->done;
    struct err err = ERR_INIT;

    if (import->fd >= 0)
        (void)io_close(import->fd);
    disk_begin(import);
    if (import->is_staged && !import->kept &&
        family_unstage(engine->options.data_dir, import->stage.family_id, &err) < 0)
        log_warn("import.leftover", "family=%s error=%s", import->stage.family_id, err.msg);
    disk_end(import);
    buf_fini(&import->bytes);
    (void)atomic_fetch_sub(&engine->imports, 1);
    if (done != NULL)
        tell(import);
    mem_free(import);
    (void)atomic_fetch_sub(&engine->in_flight, 1);
}

void import_end(struct import *import, bool kept, import_fn done)
{
    import->kept = kept;
    push(import, end_task, done);
}
