/* An import, cut off by a power cut at every call, and with every call failing once.
 *
 * After the row is in the catalogue (here: once import_check() has succeeded) whatever a cut leaves
 * must become the whole database when it is opened; before it nothing is promised. A call that
 * fails fails the import, leaves no files, and the next one succeeds. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tenants/actor.h"
#include "tenants/base/log.h"
#include "tenants/family.h"
#include "tenants/import.h"
#include "tenants/vfs_io.h"
#include "tests/crash/disk.h"
#include "tests/lib/scratch.h"
#include "tests/lib/tap.h"

#define ROWS 500
#define ROUNDS 3 /* of each kind of loss, at each cut */

static struct {
    struct engine *engine;
    char root[64];
    struct buf file; /* what is uploaded */
    struct family_stage stage;
    bool told;
    struct err err;
} run;

static atomic_bool never;

static void on_done(struct import *import, void *owner)
{
    (void)owner;
    run.told = true;
    run.stage = *import_stage(import);
    err_copy(&run.err, import_error(import));
}

static void wait_for_it(void)
{
    struct task *task;

    while (!run.told && (task = scheduler_try_pop(&run.engine->slow)) != NULL) {
        turns_take(&run.engine->turns);
        task->run(task);
        turns_give(&run.engine->turns);
        scheduler_ran(&run.engine->slow, 0);
    }
    run.told = false;
}

static void make_file(void)
{
    char path[128];
    sqlite3 *db = NULL;
    FILE *file;
    char bytes[65536];
    size_t got;

    (void)snprintf(path, sizeof(path), "%s.sqlite3", run.root);
    ok(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix") ==
                SQLITE_OK &&
            sqlite3_exec(db,
                "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); WITH c(n) AS (VALUES(1) UNION ALL"
                " SELECT n + 1 FROM c WHERE n < 500) INSERT INTO t SELECT n, 'row ' || n FROM c",
                NULL, NULL, NULL) == SQLITE_OK,
        "a file to upload");
    (void)sqlite3_close(db);
    file = fopen(path, "rb");
    while (file != NULL && (got = fread(bytes, 1, sizeof(bytes), file)) > 0)
        buf_append(&run.file, bytes, got);
    if (file != NULL)
        (void)fclose(file);
    (void)unlink(path);
}

static void make_sql(struct buf *out)
{
    buf_literal(out, "BEGIN; CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);");
    for (int i = 1; i <= ROWS; i++)
        buf_printf(out, "INSERT INTO t VALUES(%d, 'row %d');\n", i, i);
    buf_literal(out, "COMMIT;");
}

/* *ret_checked: calls recorded when its check had succeeded. */
static bool import_once(enum import_format format, bool keep, size_t *ret_checked)
{
    struct import_options options = {
        .format = format, .upload_bytes = 1 << 20, .max_bytes = 1 << 20, .cancelled = &never};
    struct import *import;
    struct buf bytes = {0};
    bool succeeded;

    if (import_start(run.engine, &options, &import, &run.err) < 0)
        return false;
    if (format == IMPORT_SQL)
        make_sql(&bytes);
    else
        buf_str(&bytes, buf_view(&run.file));
    import_write(import, &bytes, on_done);
    wait_for_it();
    import_check(import, on_done);
    wait_for_it();
    succeeded = run.err.code == ERR_NONE;
    if (ret_checked != NULL)
        *ret_checked = disk_calls();
    import_end(import, succeeded && keep, on_done);
    wait_for_it();
    return succeeded;
}

/* Opens it as the first request does, and looks. */
static bool is_whole(const char *data_dir)
{
    struct vfs_head *head = NULL;
    struct family_paths paths;
    struct vfs_head_options options = {.main_path = paths.main_path,
        .wal_path = paths.wal_path,
        .placeholder_path = paths.placeholder_path,
        .temp_dir = "/tmp"};
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = NULL;
    struct err err = ERR_INIT;
    bool whole = false;

    if (family_create(data_dir, run.stage.family_id, run.stage.head_id, &err) == 0 &&
        family_locate(data_dir, run.stage.family_id, run.stage.head_id, &paths, &err) == 0 &&
        vfs_head_open(&options, &head, &err) == 0 &&
        sqlite3_open_v2(vfs_head_name(head), &db, SQLITE_OPEN_READWRITE, VFS_NAME) == SQLITE_OK &&
        sqlite3_prepare_v2(db,
            "SELECT count(*) = 500 AND sum(id) = 125250 AND (SELECT integrity_check FROM"
            " pragma_integrity_check) = 'ok' FROM t",
            -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        whole = sqlite3_column_int(stmt, 0) == 1;
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    vfs_head_close(head);
    return whole;
}

/* How many of what cuts left were not whole. */
static unsigned cut_everywhere(size_t checked, size_t calls, unsigned *ret_tried)
{
    uint64_t random = 88172645463325252ULL;
    unsigned bad = 0;

    disk_rewind();
    for (size_t i = 1; i <= calls; i++) {
        disk_step();
        if (i < checked)
            continue;
        for (unsigned loss = 0; loss < DISK_LOSSES * ROUNDS; loss++) {
            char to[64];

            if (scratch_make(to, sizeof(to), "/tmp") < 0)
                continue;
            disk_rebuild(to, (enum disk_loss)(loss % DISK_LOSSES), &random);
            family_forget_folders();
            bad += !is_whole(to);
            (*ret_tried)++;
            (void)scratch_remove(to);
        }
    }
    family_forget_folders();
    return bad;
}

/* The disk knows only what was made since it started. */
static void start_empty(void)
{
    static const char *const folders[] = {"import", "db"};

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/%s", run.root, folders[i]);
        (void)scratch_remove(path);
    }
    family_forget_folders();
}

static void test_cuts(enum import_format format, enum disk_lie lie, bool expect_bad)
{
    size_t checked = 0;
    unsigned tried = 0;
    unsigned bad;

    start_empty();
    disk_start(run.root, lie);
    ok(import_once(format, true, &checked), "an import succeeds: %s", run.err.msg);
    ok(is_whole(run.root), "it opens");
    disk_stop();
    bad = cut_everywhere(checked, disk_calls(), &tried);
    ok(tried > 0 && (bad > 0) == expect_bad, "%u of %u cuts after the check left less than all",
        bad, tried);
    disk_free();
    (void)!family_remove(run.root, run.stage.family_id, NULL);
}

/* ---- calls that fail ---- */

static struct {
    unsigned at; /* 0: none */
    unsigned calls;
    int error;
} fault;

static bool fails(void)
{
    if (++fault.calls != fault.at)
        return false;
    errno = fault.error;
    return true;
}

static int fail_open(const char *path, int flags, mode_t mode)
{
    return fails() ? -1 : open(path, flags, mode);
}

static ssize_t fail_write(int fd, const struct iovec *parts, int count, off_t offset)
{
    return fails() ? -1 : pwritev(fd, parts, count, offset);
}

static int fail_sync(int fd)
{
    return fails() ? -1 : fdatasync(fd);
}

static int fail_sync_folder(int fd)
{
    return fails() ? -1 : fsync(fd);
}

static int fail_mkdir(const char *path, mode_t mode)
{
    return fails() ? -1 : mkdir(path, mode);
}

static bool nothing_staged(void)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/import", run.root);
    return rmdir(path) == 0 || errno == ENOENT;
}

static void test_faults(enum import_format format, int error)
{
    static const struct vfs_io_hooks hooks = {.open = fail_open,
        .pwritev = fail_write,
        .fdatasync = fail_sync,
        .fsync = fail_sync_folder,
        .mkdir = fail_mkdir};
    unsigned leftovers = 0;
    unsigned survived = 0;
    bool untouched = false;

    for (fault.at = 1; !untouched && fault.at < 10000; fault.at++) {
        bool succeeded;

        fault.calls = 0;
        fault.error = error;
        vfs_io_hooks = &hooks;
        succeeded = import_once(format, false, NULL);
        vfs_io_hooks = NULL;
        untouched = fault.calls < fault.at;
        survived += succeeded && !untouched;
        leftovers += !nothing_staged();
    }
    ok(untouched && fault.at > 10, "each of %u calls has failed once", fault.at - 2);
    ok(leftovers == 0, "%u left files", leftovers);
    (void)printf("# %u imports succeeded all the same\n", survived);
    ok(import_once(format, false, NULL), "the next one succeeds: %s", run.err.msg);
}

int main(void)
{
    struct engine_options options;
    struct err err = ERR_INIT;

    log_set_level(LOG_ERROR);
    if (scratch_make(run.root, sizeof(run.root), "/tmp") < 0)
        return 1;
    engine_options_defaults(&options);
    options.data_dir = run.root;
    ok(engine_new(&options, &run.engine, &err) == 0, "an engine");
    make_file();
    for (int format = IMPORT_FILE; format <= IMPORT_SQL; format++) {
        test_cuts((enum import_format)format, DISK_HONEST, false);
        test_faults((enum import_format)format, ENOSPC);
        test_faults((enum import_format)format, EIO);
    }
    test_cuts(IMPORT_FILE, DISK_LIE_MANIFEST, true); /* what it is worth */
    buf_fini(&run.file);
    engine_free(run.engine);
    (void)scratch_remove(run.root);
    return done_testing();
}
