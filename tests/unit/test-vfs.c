/* The VFS: connections side by side, locks, which syncs are real and which are deferred, poison,
 * what other programs see. */
#include "tenants/vfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tenants/account.h"
#include "tenants/base/thread.h"
#include "tenants/vfs_io.h"
#include "tests/lib/scratch.h"
#include "tests/lib/tap.h"

static char folder[64];
static char main_path[100], wal_path[100];
static struct err err;

/* ------------------------------------------------------------------ what happened below */

static struct {
    _Atomic unsigned syncs, unlocks;
    unsigned header_writes; /* of the WAL, at offset 0 */
    _Atomic uint64_t commits, synced;
    bool fail_sync, fail_write;
} seen;

static int count_fdatasync(int fd)
{
    seen.syncs++;
    if (seen.fail_sync) {
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

static ssize_t count_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    if (seen.fail_write) {
        errno = ENOSPC;
        return -1;
    }
    if (offset == 0 && count == 1 && parts[0].iov_len == 32)
        seen.header_writes++;
    return pwritev(fd, parts, count, offset);
}

static const struct vfs_io_hooks counting = {
    .fdatasync = count_fdatasync, .pwritev = count_pwritev};

static void on_commit(void *context)
{
    seen.commits++;
}

static uint64_t on_sync_begin(void *context)
{
    return seen.commits;
}

static void on_synced(void *context, uint64_t token)
{
    if (token > seen.synced)
        seen.synced = token;
}

static void on_unlock(void *context)
{
    seen.unlocks++;
}

static struct vfs_head *open_head(bool deferring)
{
    struct vfs_head_options options = {.main_path = main_path,
        .wal_path = wal_path,
        .create = true,
        .temp_limit_bytes = 8 << 20,
        .temp_dir = folder,
        .events = {.on_sync_begin = on_sync_begin, .on_synced = on_synced, .on_unlock = on_unlock}};
    struct vfs_head *head = NULL;

    if (deferring)
        options.events.on_commit = on_commit;
    if (vfs_head_open(&options, &head, &err) < 0)
        (void)printf("# %s\n", err.msg);
    return head;
}

static void forget_files(void)
{
    (void)unlink(main_path);
    (void)unlink(wal_path);
    memset(&seen, 0, sizeof(seen));
}

static sqlite3 *connect(struct vfs_head *head)
{
    sqlite3 *db = NULL;

    (void)sqlite3_open_v2(
        vfs_head_name(head), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, VFS_NAME);
    (void)sqlite3_extended_result_codes(db, 1);
    (void)sqlite3_exec(db,
        "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=4000000",
        NULL, NULL, NULL);
    return db;
}

static int run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* In a commit section. */
static int commit(sqlite3 *db, const char *sql)
{
    int rc;

    vfs_commit_section(true);
    rc = run(db, sql);
    vfs_commit_section(false);
    return rc;
}

static long long number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    long long value = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    else
        (void)printf("# %d: %s\n", sqlite3_extended_errcode(db), sqlite3_errmsg(db));
    (void)sqlite3_finalize(statement);
    return value;
}

#define COUNT "SELECT count(*) FROM t"

/* ------------------------------------------------------------------ tests */

static void test_connections(void)
{
    struct vfs_head *head = open_head(false);
    sqlite3 *writer = connect(head), *reader = connect(head), *third = connect(head);

    is_int(run(writer, "CREATE TABLE t(a); INSERT INTO t VALUES (1)"), SQLITE_OK,
        "a new database is written");
    is_int(number(reader, COUNT), 1, "another connection sees it");
    is_int(run(reader, "BEGIN; " COUNT), SQLITE_OK, "a reader holds a snapshot");
    is_int(run(writer, "INSERT INTO t VALUES (2)"), SQLITE_OK, "a writer commits beside it");
    is_int(number(reader, COUNT), 1, "the reader keeps its snapshot");
    is_int(number(third, COUNT), 2, "a third one sees the commit");
    is_int(run(reader, "INSERT INTO t VALUES (3)"), SQLITE_BUSY_SNAPSHOT,
        "a stale snapshot cannot write");
    is_int(run(reader, "COMMIT"), SQLITE_OK, "it ends");

    is_int(run(writer, "BEGIN IMMEDIATE"), SQLITE_OK, "a writer takes the write lock");
    is_int(run(third, "BEGIN IMMEDIATE"), SQLITE_BUSY, "a second one is told at once");
    seen.unlocks = 0;
    is_int(run(writer, "ROLLBACK"), SQLITE_OK, "the first gives it back");
    is_int(seen.unlocks, 1, "which is told");
    is_int(run(third, "BEGIN IMMEDIATE; COMMIT"), SQLITE_OK, "now the second has it");

    is_int(run(reader, "BEGIN; " COUNT), SQLITE_OK, "a reader again");
    is_int(run(writer, "INSERT INTO t VALUES (4); PRAGMA wal_checkpoint(PASSIVE)"), SQLITE_OK,
        "a checkpoint beside it");
    is_int(number(reader, COUNT), 2, "does not disturb it");
    is_int(run(reader, "COMMIT"), SQLITE_OK, "it ends");
    is_int(vfs_head_shm_bytes(head), 32768, "the index is one region");
    is_int(run(writer, "DELETE FROM t; PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK, "truncated");
    is_int(vfs_head_wal_bytes(head), 0, "the WAL is empty");
    is_int(run(writer, "INSERT INTO t VALUES (5)"), SQLITE_OK, "and used again");
    is_int(number(reader, COUNT), 1, "seen by others");
    is_int(number(writer, "SELECT * FROM pragma_journal_mode"), 0, "the mode is a word");
    ok(run(writer, "PRAGMA journal_mode=DELETE") != SQLITE_OK ||
            number(writer, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode='wal'") ==
                1,
        "and stays WAL");
    (void)sqlite3_close(writer);
    (void)sqlite3_close(third);
    is_int(number(reader, COUNT), 1, "the last connection goes on");
    (void)sqlite3_close(reader);
    is_int(vfs_head_wal_bytes(head), 0, "and leaves the WAL empty");
    is_int(vfs_head_shm_bytes(head), 0, "and no index");
    vfs_head_close(head);
}

static void test_deferring(void)
{
    struct vfs_head *head;
    sqlite3 *db;
    unsigned syncs;

    forget_files();
    head = open_head(true);
    vfs_io_hooks = &counting;
    db = connect(head);
    is_int(
        run(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)"), SQLITE_OK, "outside a commit section");
    is_int(seen.commits, 0, "nothing is deferred");
    is_int(seen.syncs, 2, "the header and the commit are synced");
    seen.syncs = 0;
    is_int(commit(db, "INSERT INTO t(b) VALUES (1)"), SQLITE_OK, "inside one");
    is_int(seen.syncs, 0, "the commit is not synced");
    is_int(seen.commits, 1, "but told");
    is_int(commit(db, "BEGIN; SAVEPOINT a; INSERT INTO t(b) VALUES (2); RELEASE a; COMMIT"),
        SQLITE_OK, "a group");
    is_int(seen.commits, 2, "is one commit");
    is_int(commit(db, "BEGIN IMMEDIATE; COMMIT"), SQLITE_OK, "a transaction without writes");
    is_int(seen.commits, 2, "is none");
    is_int(seen.synced, 0, "nothing is durable yet");
    is_int(vfs_head_sync_wal(head, &err), 0, "the pool syncs");
    is_int(seen.synced, 2, "and both are");

    (void)commit(db, "INSERT INTO t(b) VALUES (3)");
    syncs = seen.syncs;
    vfs_commit_section(true); /* even if a commit section was left on */
    is_int(run(db, "PRAGMA wal_checkpoint(PASSIVE)"), SQLITE_OK, "a checkpoint");
    vfs_commit_section(false);
    is_int(seen.syncs - syncs, 2, "syncs the WAL and the database");
    is_int(seen.synced, 3, "and the WAL's sync counts");

    syncs = seen.syncs;
    seen.header_writes = 0;
    is_int(commit(db, "INSERT INTO t(b) VALUES (4)"), SQLITE_OK, "a commit that restarts the WAL");
    is_int(seen.header_writes, 1, "writes its header");
    is_int(seen.syncs - syncs, 1, "and the header's sync is real");
    is_int(seen.commits, 4, "while the commit's is deferred");
    is_int(seen.synced, 3, "and not durable");

    /* A transaction that spills and rewrites its own frames. */
    syncs = seen.syncs;
    is_int(commit(db, "PRAGMA cache_size=5; BEGIN;"
                      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300)"
                      "INSERT INTO t(b) SELECT randomblob(1000) FROM n;"
                      "UPDATE t SET b = zeroblob(1000) WHERE a % 3 = 0;"
                      "UPDATE t SET b = b || 'x' WHERE a % 2 = 0; COMMIT"),
        SQLITE_OK, "a transaction larger than the cache");
    is_int(seen.syncs, syncs, "is deferred as well");
    is_int(number(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'"), 1,
        "and whole");
    (void)sqlite3_close(db);
    vfs_head_close(head);
    vfs_io_hooks = NULL;
}

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 16];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t n;

    while (in >= 0 && (n = read(in, bytes, sizeof(bytes))) > 0)
        if (write(out, bytes, (size_t)n) != n)
            break;
    (void)close(in);
    (void)close(out);
}

/* Reads the files as another process would find them after a crash: a copy, opened anew. */
static long long rows_of_a_copy(void)
{
    char saved_main[100], saved_wal[100], copied_main[100], copied_wal[100];
    struct vfs_head *head;
    long long rows = -1;
    sqlite3 *db;

    (void)snprintf(copied_main, sizeof(copied_main), "%s/copy", folder);
    (void)snprintf(copied_wal, sizeof(copied_wal), "%s/copy-log", folder);
    copy_file(main_path, copied_main);
    copy_file(wal_path, copied_wal);
    memcpy(saved_main, main_path, sizeof(saved_main));
    memcpy(saved_wal, wal_path, sizeof(saved_wal));
    memcpy(main_path, copied_main, sizeof(main_path));
    memcpy(wal_path, copied_wal, sizeof(wal_path));
    seen.syncs = 0;
    head = open_head(false);
    ok(seen.syncs == 1, "a WAL with content is synced before it is read");
    if (head != NULL) {
        db = connect(head);
        if (number(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'") ==
            1)
            rows = number(db, COUNT);
        (void)sqlite3_close(db);
        vfs_head_close(head);
    }
    (void)unlink(main_path);
    (void)unlink(wal_path);
    memcpy(main_path, saved_main, sizeof(saved_main));
    memcpy(wal_path, saved_wal, sizeof(saved_wal));
    return rows;
}

static void test_recovery(void)
{
    struct vfs_head *head;
    sqlite3 *db, *other;

    forget_files();
    vfs_io_hooks = &counting;
    head = open_head(true);
    db = connect(head);
    (void)run(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
    for (int i = 0; i < 100; i++)
        (void)commit(db, "INSERT INTO t(b) VALUES (randomblob(500))");
    is_int(rows_of_a_copy(), 100, "a killed process loses nothing");
    (void)run(db, "PRAGMA wal_checkpoint(PASSIVE)");
    for (int i = 0; i < 10; i++)
        (void)commit(db, "INSERT INTO t(b) VALUES (randomblob(500))");
    is_int(rows_of_a_copy(), 110, "nor after a restart of the WAL");
    /* Held frame headers: a transaction of many pages from another connection, rolled back, and
     * one after it. */
    other = connect(head);
    (void)run(other, "PRAGMA cache_size=5; BEGIN;"
                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300)"
                     "INSERT INTO t(b) SELECT randomblob(1000) FROM n; ROLLBACK");
    (void)commit(db, "INSERT INTO t(b) VALUES (randomblob(5000))");
    is_int(rows_of_a_copy(), 111, "nor after another's rollback");
    is_int(number(other, COUNT), 111, "which sees the same");
    (void)sqlite3_close(other);
    (void)sqlite3_close(db);
    vfs_head_close(head);
    vfs_io_hooks = NULL;
}

static void test_poison(void)
{
    struct vfs_head *head;
    sqlite3 *db;

    forget_files();
    head = open_head(true);
    vfs_io_hooks = &counting;
    db = connect(head);
    (void)run(db, "CREATE TABLE t(a)");
    (void)commit(db, "INSERT INTO t VALUES (1)");
    seen.fail_sync = true;
    ok(vfs_head_sync_wal(head, &err) < 0 && err.code == ERR_IO, "a failed sync is an error");
    is_int(seen.synced, 0, "and makes nothing durable");
    seen.fail_sync = false;
    seen.syncs = 0;
    ok(vfs_head_poisoned(head), "the head is poisoned");
    ok(vfs_head_sync_wal(head, &err) < 0, "a second sync fails");
    is_int(seen.syncs, 0, "without asking the disk again");
    ok(commit(db, "INSERT INTO t VALUES (2)") != SQLITE_OK, "writes fail");
    ok(run(db, "PRAGMA wal_checkpoint(PASSIVE)") != SQLITE_OK, "checkpoints fail");
    (void)sqlite3_close(db);
    vfs_head_close(head);
    head = open_head(true);
    db = connect(head);
    is_int(number(db, COUNT), 1, "opened anew, it has what is on disk");
    is_int(commit(db, "INSERT INTO t VALUES (3)"), SQLITE_OK, "and is written again");
    seen.fail_write = true;
    is_int(commit(db, "INSERT INTO t VALUES (4)"), SQLITE_FULL, "a full disk is told");
    seen.fail_write = false;
    is_int(commit(db, "INSERT INTO t VALUES (5)"), SQLITE_OK, "and passes");
    is_int(
        number(db, "SELECT group_concat(a, '') FROM t"), 135, "with nothing left of the failure");
    is_int(rows_of_a_copy(), 3, "on disk as well");
    (void)sqlite3_close(db);
    vfs_head_close(head);
    vfs_io_hooks = NULL;
}

static char text[400];

/* What a stock sqlite3 says. -1: there is none. */
static int shell(const char *sql)
{
    char program[] = "sqlite3", statement[100];
    char *words[] = {program, main_path, statement, NULL};
    int status;

    (void)snprintf(statement, sizeof(statement), "%s", sql);
    status = scratch_run(words, text, sizeof(text));
    text[strcspn(text, "\n")] = '\0';
    return status;
}

static void test_shell(const char *sql, const char *answer, const char *name)
{
    if (shell(sql) < 0)
        skip("no sqlite3 program", name);
    else
        ok(strstr(text, answer) != NULL, "%s: %.60s", name, text);
}

static void test_others(void)
{
    struct vfs_head *head, *second;
    sqlite3 *db;

    forget_files();
    head = open_head(false);
    db = connect(head);
    (void)run(db, "CREATE TABLE t(a); INSERT INTO t VALUES (1)");
    second = open_head(false);
    ok(second == NULL && err.code == ERR_BUSY, "a file cannot be opened twice");
    test_shell("SELECT * FROM t", "database is locked", "a stock sqlite3 cannot read");
    test_shell("INSERT INTO t VALUES (2)", "database is locked", "a stock sqlite3 cannot write");
    is_int(run(db, "INSERT INTO t VALUES (3)"), SQLITE_OK, "we can");
    (void)sqlite3_close(db);
    vfs_head_close(head);
    test_shell("SELECT count(*) FROM t", "2", "once closed, a stock sqlite3 reads it");
}

/* A file in rollback mode, as an import brings it. */
static void test_plain_files(void)
{
    char journal[120];
    FILE *file;
    sqlite3 *db;
    struct vfs_head *head;

    forget_files();
    (void)sqlite3_open_v2(main_path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix");
    is_int(run(db, "PRAGMA page_size=1024; CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)"),
        SQLITE_OK, "a plain file of 1 KB pages");
    (void)sqlite3_close(db);
    (void)snprintf(journal, sizeof(journal), "%s-journal", main_path);
    file = fopen(journal, "w");
    if (file != NULL) {
        (void)fputs("hot", file);
        (void)fclose(file);
    }
    ok(open_head(false) == NULL && err.code == ERR_CORRUPT, "with a hot journal it is refused");
    (void)unlink(journal);
    head = open_head(false);
    db = connect(head);
    is_int(number(db, COUNT), 2, "without, it is read");
    is_int(run(db, "INSERT INTO t VALUES (3)"), SQLITE_OK, "and written");
    is_int(number(db, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode='wal'"), 1,
        "as a WAL database");
    (void)sqlite3_close(db);
    vfs_head_close(head);
    file = fopen(main_path, "w");
    if (file != NULL) {
        (void)fputs("no database at all", file);
        (void)fclose(file);
    }
    ok(open_head(false) == NULL && err.code == ERR_CORRUPT, "another file is refused");
    ok(sqlite3_open_v2("/rookery/00000000000000ff", &db, SQLITE_OPEN_READWRITE, VFS_NAME) !=
            SQLITE_OK,
        "a name that was not given out opens nothing");
    (void)sqlite3_close(db);
}

static void test_temp_files(void)
{
    static const char sort[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE "
                               "i<%d) SELECT count(*) FROM (SELECT randomblob(300) AS b FROM n "
                               "ORDER BY b LIMIT -1 OFFSET 1)";
    struct vfs_head *head;
    char sql[300];
    sqlite3 *db;

    forget_files();
    head = open_head(false);
    db = connect(head);
    ok(vfs_enter(head) == NULL, "the head is entered");
    (void)run(db, "PRAGMA cache_size=10; CREATE TABLE t(a)");
    (void)snprintf(sql, sizeof(sql), sort, 5000);
    is_int(number(db, sql), 4999, "a sort of 1.5 MB uses temporary files");
    is_int(vfs_head_temp_bytes(head), 0, "which are gone after it");
    (void)snprintf(sql, sizeof(sql), sort, 60000);
    is_int(run(db, sql), SQLITE_FULL, "a sort of 20 MB is over the limit");
    is_int(vfs_head_temp_bytes(head), 0, "and leaves nothing");
    is_int(run(db, "INSERT INTO t VALUES (1)"), SQLITE_OK, "the connection goes on");
    ok(vfs_enter(NULL) == head, "the head is left");
    (void)sqlite3_close(db);
    vfs_head_close(head);
}

static void test_nowait(void)
{
    struct vfs_head *head;
    sqlite3 *db;
    int fd, rc;

    forget_files();
    head = open_head(false);
    db = connect(head);
    (void)run(db, "CREATE TABLE t(a); "
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1000)"
                  "INSERT INTO t SELECT randomblob(1000) FROM n");
    (void)run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    vfs_nowait(true);
    is_int(number(db, COUNT), 1000, "what is in the page cache is read without waiting");
    vfs_nowait(false);
    (void)sqlite3_db_release_memory(db);
    fd = open(main_path, O_RDONLY);
    (void)fdatasync(fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)close(fd);
    vfs_nowait(true);
    rc = run(db, COUNT);
    vfs_nowait(false);
    if (rc == SQLITE_OK) {
        ok(!vfs_would_block(), "no mark without a failure");
        skip("this file system keeps its pages, or does not know RWF_NOWAIT",
            "a read that would wait fails, and says so");
    } else {
        is_int(rc, SQLITE_IOERR_READ, "a read that would wait fails");
        ok(vfs_would_block(), "and says why");
        ok(!vfs_would_block(), "once");
    }
    is_int(number(db, COUNT), 1000, "waiting, it succeeds");
    is_int(run(db, "INSERT INTO t VALUES (1)"), SQLITE_OK, "the connection goes on");
    (void)sqlite3_close(db);
    vfs_head_close(head);
}

/* ------------------------------------------------------------------ threads */

static struct vfs_head *shared;
static _Atomic bool stop;

static void *read_on(void *argument)
{
    sqlite3 *db = connect(shared);
    long long last = 0, bad = 0;

    while (!stop) {
        long long rows = number(db, COUNT);
        long long same = number(db, "SELECT (SELECT count(*) FROM t) - (SELECT max(a) FROM t)");

        bad += rows < last || same != 0;
        last = rows;
    }
    (void)sqlite3_close(db);
    return (void *)(uintptr_t)bad;
}

static void *sync_on(void *argument)
{
    uintptr_t bad = 0;

    while (!stop)
        bad += vfs_head_sync_wal(shared, NULL) < 0;
    return (void *)bad;
}

static void test_threads(void)
{
    pthread_t threads[3];
    uintptr_t bad = 0;
    sqlite3 *db;

    forget_files();
    shared = open_head(true);
    db = connect(shared);
    (void)run(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t(b) VALUES (1)");
    thread_start(&threads[0], "reader", read_on, NULL);
    thread_start(&threads[1], "reader", read_on, NULL);
    thread_start(&threads[2], "sync", sync_on, NULL);
    for (int i = 0; i < 2000; i++) {
        bad += commit(db, "INSERT INTO t(b) VALUES (randomblob(300))") != SQLITE_OK;
        if (i % 50 == 49)
            bad += run(db, "PRAGMA wal_checkpoint(PASSIVE)") != SQLITE_OK;
    }
    stop = true;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *result;

        (void)pthread_join(threads[i], &result);
        bad += (uintptr_t)result;
    }
    is_int(bad, 0, "readers, a writer and syncs side by side see one history");
    is_int(number(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'"), 1,
        "and the database is whole");
    (void)sqlite3_close(db);
    vfs_head_close(shared);
}

int main(void)
{
    ok(scratch_make(folder, sizeof(folder), "/tmp") == 0 && account_install(&err) == 0 &&
            vfs_register(&err) == 0,
        "ready");
    (void)snprintf(main_path, sizeof(main_path), "%s/main", folder);
    (void)snprintf(wal_path, sizeof(wal_path), "%s/log", folder);
    test_connections();
    test_deferring();
    test_recovery();
    test_poison();
    test_others();
    test_plain_files();
    test_temp_files();
    test_nowait();
    test_threads();
    ok(scratch_remove(folder) == 0, "cleaned up");
    return done_testing();
}
