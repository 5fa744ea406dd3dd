/* Family folders: made, found, cleaned, removed; damage is refused. */
#include "tenants/family.h"

#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tenants/account.h"
#include "tenants/base/clock.h"
#include "tenants/base/log.h"
#include "tenants/vfs.h"
#include "tenants/vfs_io.h"
#include "tests/lib/scratch.h"
#include "tests/lib/tap.h"

static char data[64];
static struct err err;

static bool there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void put(const char *folder, const char *name, const char *text)
{
    char path[FAMILY_PATH_MAX + 80];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "w");
    if (file != NULL) {
        (void)fputs(text, file);
        (void)fclose(file);
    }
}

static char *in(const char *folder, const char *name)
{
    static char path[2 * FAMILY_PATH_MAX + 80];

    (void)snprintf(path, sizeof(path), "%.500s/%.500s", folder, name);
    return path;
}

static unsigned syncs;

static int count_fdatasync(int fd)
{
    syncs++;
    return fdatasync(fd);
}

static int count_fsync(int fd)
{
    syncs++;
    return fsync(fd);
}

static void test_creating(void)
{
    static const struct vfs_io_hooks counting = {
        .fdatasync = count_fdatasync, .fsync = count_fsync};
    char family[ID_HEX_BYTES], head[ID_HEX_BYTES], other[ID_HEX_BYTES];
    struct family_paths paths;

    family_new_id(family);
    family_new_id(head);
    family_new_id(other);
    ok(strlen(family) == 32 && strcmp(family, head) != 0, "ids are 32 digits, and differ");
    ok(family_locate(data, family, head, &paths, &err) < 0 && err.code == ERR_NOT_FOUND,
        "before it is made there is none");
    vfs_io_hooks = &counting;
    is_int(family_create(data, family, head, &err), 0, "a family is made");
    is_int(syncs, 7, "with five syncs, and two for the folders above");
    syncs = 0;
    is_int(family_create(data, family, head, &err), 0, "making it again is fine");
    is_int(syncs, 1, "and makes sure of it");
    vfs_io_hooks = NULL;
    ok(family_create(data, family, other, &err) < 0 && err.code == ERR_CORRUPT,
        "with another head it is refused");
    is_int(family_locate(data, family, head, &paths, &err), 0, "it is found");
    ok(there(paths.main_path) && there(paths.wal_path) && there(paths.placeholder_path),
        "with its files");
    ok(there(in(paths.folder, "MANIFEST")), "and a MANIFEST");
    is_int(family_remove(data, family, &err), 0, "it is removed");
    ok(!there(paths.folder), "and is gone");
    is_int(family_remove(data, family, &err), 0, "removing it again is fine");
}

static int count_rows(const struct family_paths *paths, const char *sql)
{
    struct vfs_head_options options = {.main_path = paths->main_path,
        .wal_path = paths->wal_path,
        .placeholder_path = paths->placeholder_path};
    struct vfs_head *opened = NULL;
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = NULL;
    int count = -1;

    if (vfs_head_open(&options, &opened, &err) < 0)
        return -1;
    if (sqlite3_open_v2(vfs_head_name(opened), &db, SQLITE_OPEN_READWRITE, VFS_NAME) == SQLITE_OK &&
        sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        count = sqlite3_column_int(statement, 0);
    else
        (void)printf("# %s\n", sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    vfs_head_close(opened);
    return count;
}

static void test_using(void)
{
    char family[ID_HEX_BYTES], head[ID_HEX_BYTES], path[2 * FAMILY_PATH_MAX + 80];
    struct family_paths paths;
    struct stat status;

    family_new_id(family);
    family_new_id(head);
    is_int(family_create(data, family, head, &err), 0, "a family is made");
    is_int(family_locate(data, family, head, &paths, &err), 0, "and found");
    is_int(count_rows(&paths, "CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)"), 2,
        "SQLite uses it");
    is_int(count_rows(&paths, "PRAGMA integrity_check"), 2, "and finds its rows again");

    put(paths.folder, "MANIFEST.tmp", "half");
    put(paths.folder, "L123.map", "");
    is_int(family_locate(data, family, head, &paths, &err), 0, "with strays it is found");
    ok(!there(in(paths.folder, "MANIFEST.tmp")) && !there(in(paths.folder, "L123.map")),
        "and they are removed");
    (void)snprintf(path, sizeof(path), "%s-wal", strrchr(paths.main_path, '/') + 1);
    put(paths.folder, path, "data");
    ok(family_locate(data, family, head, &paths, &err) < 0 && err.code == ERR_CORRUPT,
        "a WAL of another program is refused");
    ok(there(in(paths.folder, path)), "and kept");
    (void)unlink(in(paths.folder, path));

    (void)snprintf(path, sizeof(path), "%s.kept", paths.wal_path);
    (void)rename(paths.wal_path, path);
    ok(family_locate(data, family, head, &paths, &err) < 0 && err.code == ERR_CORRUPT,
        "without its WAL it is refused");
    (void)rename(path, paths.wal_path);
    is_int(family_locate(data, family, head, &paths, &err), 0, "with it, it is found");

    ok(stat(paths.main_path, &status) == 0 && (status.st_mode & 077) == 0,
        "nobody else may read its files");
    (void)snprintf(path, sizeof(path), "%s", in(paths.folder, "MANIFEST"));
    ok(truncate(path, 100) == 0, "the MANIFEST is cut");
    ok(family_locate(data, family, head, &paths, &err) < 0 && err.code == ERR_CORRUPT,
        "with a damaged MANIFEST it is refused");
    ok(family_create(data, family, head, &err) < 0 && err.code == ERR_CORRUPT, "and not made anew");
    is_int(count_rows(&paths, ""), 2, "its data is untouched");
    (void)unlink(path);
    ok(family_locate(data, family, head, &paths, &err) < 0 && err.code == ERR_CORRUPT,
        "without MANIFEST it is refused");
    is_int(family_create(data, family, head, &err), 0, "a half-made one is made anew");
    is_int(family_locate(data, family, head, &paths, &err), 0, "and is whole");
    is_int(count_rows(&paths, "CREATE TABLE t(a)"), 0, "and empty");
    is_int(family_remove(data, family, &err), 0, "it is removed");
}

static void test_cost(void)
{
    char family[ID_HEX_BYTES], head[ID_HEX_BYTES];
    uint64_t started = clock_now_ns();

    for (int i = 0; i < 100; i++) {
        family_new_id(family);
        family_new_id(head);
        if (family_create(data, family, head, &err) < 0 || family_remove(data, family, &err) < 0) {
            ok(false, "%s", err.msg);
            return;
        }
    }
    ok(true, "100 families are made and removed");
    (void)printf("# %.0f us each\n", (double)(clock_now_ns() - started) / 100 / 1000);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    ok(scratch_make(data, sizeof(data), "/tmp") == 0 && account_install(&err) == 0 &&
            vfs_register(&err) == 0,
        "ready");
    test_creating();
    test_using();
    test_cost();
    ok(scratch_remove(data) == 0, "cleaned up");
    return done_testing();
}
