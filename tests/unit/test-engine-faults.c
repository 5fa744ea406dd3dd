/* The engine when the disk fails below it: a sync that ends a commit, the sync of a WAL's header,
 * a checkpoint, a disk without space. Nothing hangs, nothing acknowledged is lost, and the
 * database recovers and works again. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/vfs_io.h"
#include "tests/lib/engine_fixture.h"
#include "tests/lib/tap.h"

#define WRITES 8

static struct fixture fixture;

/* What the next system calls do. */
static struct {
    struct mutex lock;
    struct cond changed;
    bool hold;            /* syncs of a WAL wait */
    unsigned held;        /* so many do */
    int fail_wal;         /* so many syncs of a WAL fail */
    int fail_main;        /* so many syncs of other files fail */
    atomic_int full_from; /* the n-th write from now on, and all after it, find no space; 0: none */
} disk;

static bool is_wal(int fd)
{
    char link[64];
    char path[PATH_MAX];
    ssize_t len;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path) - 1);
    return len > 4 && memcmp(path + len - 4, "-wal", 4) == 0;
}

static int on_fdatasync(int fd)
{
    bool wal = is_wal(fd);
    int *fail = wal ? &disk.fail_wal : &disk.fail_main;
    bool fails;

    mutex_lock(&disk.lock);
    while (wal && disk.hold) {
        disk.held++;
        cond_broadcast(&disk.changed);
        cond_wait(&disk.changed, &disk.lock);
        disk.held--;
    }
    fails = *fail > 0;
    if (fails)
        (*fail)--;
    mutex_unlock(&disk.lock);
    if (!fails)
        return fdatasync(fd);
    errno = EIO;
    return -1;
}

static ssize_t on_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    int left = atomic_load(&disk.full_from);

    if (left == 1) {
        errno = ENOSPC;
        return -1;
    }
    if (left > 1)
        (void)atomic_fetch_sub(&disk.full_from, 1);
    return pwritev(fd, parts, count, offset);
}

static void hold_syncs(bool hold)
{
    mutex_lock(&disk.lock);
    disk.hold = hold;
    mutex_unlock(&disk.lock);
    cond_broadcast(&disk.changed);
}

static void wait_for_held_sync(void)
{
    mutex_lock(&disk.lock);
    while (disk.held == 0)
        cond_wait(&disk.changed, &disk.lock);
    mutex_unlock(&disk.lock);
}

static void fail_syncs(int wal, int main)
{
    mutex_lock(&disk.lock);
    disk.fail_wal = wal;
    disk.fail_main = main;
    mutex_unlock(&disk.lock);
}

static void on_alarm(int signal)
{
    static const char text[] = "Bail out! an answer never came\n";

    (void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
    _exit(1);
}

static enum err_code code_of(struct database *database, const char *sql)
{
    enum err_code code;

    (void)run_sql(&fixture, database, sql, &code);
    return code;
}

static void on_closed(void *argument)
{
    atomic_store((atomic_bool *)argument, true);
}

static void close_database(struct database *database)
{
    atomic_bool closed = false;
    struct timespec pause = {.tv_nsec = 1000000};

    engine_close_database(fixture.engine, database, on_closed, &closed);
    while (!atomic_load(&closed))
        (void)nanosleep(&pause, NULL);
}

static void submit(struct call *call, struct database *database, const char *sql)
{
    call_init(call, &fixture);
    call_add(call, sql);
    call_submit(call, &fixture, database);
}

static void check_whole(struct database *database)
{
    is_str(
        run_sql(&fixture, database, "PRAGMA quick_check", NULL), "ok\n", "the database is whole");
}

static void test_commit_sync(void)
{
    struct database *database = fixture_database(&fixture, "sync", 1);
    struct call gated;
    struct call reading;
    struct call late[WRITES];
    char texts[WRITES][64];
    char sql[64];
    unsigned kept = 0;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a INTEGER PRIMARY KEY)", NULL);
    (void)run_sql(&fixture, database, "INSERT INTO t VALUES (0)", NULL);
    hold_syncs(true);
    submit(&gated, database, "INSERT INTO t VALUES (1)");
    wait_for_held_sync();
    submit(&reading, database, "SELECT count(*) FROM t");
    for (int i = 0; i < WRITES; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "INSERT INTO t VALUES (%d)", 10 + i);
        submit(&late[i], database, texts[i]);
    }
    fail_syncs(1, 0);
    hold_syncs(false);
    call_wait(&gated);
    is_str(err_code_name(gated.request.err.code), "outcome_unknown",
        "a commit whose sync failed is of unknown outcome");
    call_wait(&reading);
    ok(reading.request.err.code == ERR_OUTCOME_UNKNOWN || reading.request.err.code == ERR_NONE,
        "a read beside it is answered, with what is on disk or not at all");
    for (int i = 0; i < WRITES; i++) {
        call_wait(&late[i]);
        if (late[i].request.err.code == ERR_NONE)
            kept++;
        else if (late[i].request.err.code != ERR_OUTCOME_UNKNOWN)
            ok(false, "a write beside it: %s", late[i].request.err.msg);
    }
    ok(true, "%u of %d writes beside it went through", kept, WRITES);
    is_int(code_of(database, "INSERT INTO t VALUES (99)"), ERR_NONE, "the next write works");
    for (int i = 0; i < WRITES; i++) {
        (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM t WHERE a = %d", 10 + i);
        if (late[i].request.err.code == ERR_NONE &&
            strcmp(run_sql(&fixture, database, sql, NULL), "1\n") != 0)
            ok(false, "acknowledged row %d is gone", 10 + i);
        call_fini(&late[i]);
    }
    check_whole(database);
    call_fini(&gated);
    call_fini(&reading);
    database_unref(database);
}

static void test_header_sync(void)
{
    struct database *database = fixture_database(&fixture, "header", 2);

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    close_database(database); /* the next write starts a WAL */
    fail_syncs(1, 0);
    is_str(err_code_name(code_of(database, "INSERT INTO t VALUES (1)")), "outcome_unknown",
        "the sync of a WAL's header fails: unknown");
    is_int(code_of(database, "INSERT INTO t VALUES (2)"), ERR_NONE, "the next write works");
    is_str(run_sql(&fixture, database, "SELECT count(*) FROM t WHERE a = 2", NULL), "1\n",
        "and is there");
    check_whole(database);
    database_unref(database);
}

static void test_checkpoint_sync(void)
{
    struct database *database = fixture_database(&fixture, "checkpoint", 3);
    struct timespec pause = {.tv_nsec = 25000000}; /* checkpoints are 20 ms apart */
    int acknowledged = 0;
    bool failed;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    fail_syncs(0, 1);
    for (int i = 0; i < 100; i++) {
        enum err_code code =
            code_of(database, "INSERT INTO t VALUES (randomblob(20000))"); /* over the soft bound */

        if (code == ERR_NONE)
            acknowledged++;
        else if (code != ERR_OUTCOME_UNKNOWN)
            ok(false, "a write around the failed checkpoint: %s", err_code_name(code));
        mutex_lock(&disk.lock);
        failed = disk.fail_main == 0;
        mutex_unlock(&disk.lock);
        if (failed)
            break;
        (void)nanosleep(&pause, NULL);
    }
    ok(failed, "a checkpoint's sync failed");
    is_int(code_of(database, "INSERT INTO t VALUES (NULL)"), ERR_NONE, "the next write works");
    ok(atoi(run_sql(&fixture, database, "SELECT count(*) FROM t", NULL)) >= acknowledged + 1,
        "every acknowledged row is there");
    check_whole(database);
    database_unref(database);
}

static void test_stream_sync(void)
{
    struct database *database = fixture_database(&fixture, "stream", 4);
    struct stream *stream = fixture_stream(&fixture, database);
    struct stream *idle = fixture_stream(&fixture, database);
    enum err_code code;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    code = in_stream(&fixture, idle, "BEGIN");
    code = in_stream(&fixture, idle, "SELECT count(*) FROM t");
    code = in_stream(&fixture, stream, "BEGIN IMMEDIATE");
    code = in_stream(&fixture, stream, "INSERT INTO t VALUES (1)");
    fail_syncs(1, 0);
    code = in_stream(&fixture, stream, "COMMIT");
    is_str(err_code_name(code), "outcome_unknown", "a stream's commit: unknown, too");
    is_int(code_of(database, "INSERT INTO t VALUES (2)"), ERR_NONE,
        "the next write works, streams or not");
    code = in_stream(&fixture, stream, "INSERT INTO t VALUES (3)");
    is_int(code, ERR_NONE, "the stream works again");
    code = in_stream(&fixture, idle, "SELECT 1");
    is_str(err_code_name(code), "stream_expired", "the other's transaction is gone, and said so");
    code = in_stream(&fixture, idle, "SELECT 1");
    is_int(code, ERR_NONE, "and it works again");
    stream_close(fixture.engine, stream);
    stream_close(fixture.engine, idle);
    check_whole(database);
    database_unref(database);
}

static void set_durability(struct database *database, enum durability durability)
{
    database->settings.durability = durability;
    engine_change_settings(fixture.engine, database);
}

/* The setting of an open database, while a sync is under way. */
static void test_durability_changes(void)
{
    struct database *database = fixture_database(&fixture, "durability", 6);
    struct call gated;
    struct call after;
    bool early;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    hold_syncs(true);
    submit(&gated, database, "INSERT INTO t VALUES (1)");
    wait_for_held_sync();
    set_durability(database, DURABILITY_RELAXED);
    is_int(code_of(database, "INSERT INTO t VALUES (2)"), ERR_NONE,
        "relaxed from now on: a write does not wait for the disk");
    set_durability(database, DURABILITY_FULL);
    submit(&after, database, "INSERT INTO t VALUES (3)");
    (void)poll(NULL, 0, 100); /* it does not come: that takes time */
    mutex_lock(&after.lock);
    early = after.done;
    mutex_unlock(&after.lock);
    ok(!early, "full again: a write waits");
    hold_syncs(false);
    call_wait(&after);
    is_int(after.request.err.code, ERR_NONE, "and is answered then");
    call_fini(&after);
    call_wait(&gated);
    is_int(gated.request.err.code, ERR_NONE, "what waited before is answered when it is on disk");
    call_fini(&gated);
    check_whole(database);
    database_unref(database);
}

/* Loops keep entries of a database that may be older than its settings. */
static void test_settings_of_old_entries(void)
{
    struct database *old = fixture_database(&fixture, "settings", 7);
    struct database *new = fixture_database(&fixture, "settings", 7);
    enum err_code code;

    (void)run_sql(&fixture, old, "CREATE TABLE t (a)", NULL);
    close_database(old);
    new->settings.max_bytes = 1 << 20;
    engine_change_settings(fixture.engine, new); /* while it is closed */
    (void)run_sql(&fixture, old, "INSERT INTO t VALUES (zeroblob(3000000))", &code);
    is_int(
        code, ERR_QUOTA_EXCEEDED, "settings changed while it was closed hold at the next opening");
    new->settings.max_bytes = 0;
    engine_change_settings(fixture.engine, new);
    (void)run_sql(&fixture, old, "INSERT INTO t VALUES (zeroblob(3000000))", &code);
    is_int(code, ERR_NONE, "and those changed while it is open at once");
    database_unref(new);
    database_unref(old);
}

/* The disk is full from the n-th write on, for n = 1, 2, ... until nothing fails. */
static void test_no_space(void)
{
    struct database *database = fixture_database(&fixture, "full", 5);
    int acknowledged = 0;
    bool untouched = false;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    for (int n = 1; n < 200 && !untouched; n++) {
        struct call calls[WRITES];

        atomic_store(&disk.full_from, n);
        for (int i = 0; i < WRITES; i++)
            submit(&calls[i], database, "INSERT INTO t VALUES (randomblob(3000))");
        untouched = true;
        for (int i = 0; i < WRITES; i++) {
            call_wait(&calls[i]);
            if (calls[i].request.err.code == ERR_NONE)
                acknowledged++;
            else if (calls[i].request.err.code != ERR_QUOTA_EXCEEDED)
                ok(false, "no space: %s", calls[i].request.err.msg);
            if (calls[i].request.err.code != ERR_NONE)
                untouched = false;
            call_fini(&calls[i]);
        }
        atomic_store(&disk.full_from, 0);
    }
    ok(untouched, "with enough space nothing fails");
    is_int(atoi(run_sql(&fixture, database, "SELECT count(*) FROM t", NULL)), acknowledged,
        "exactly the acknowledged rows are there");
    check_whole(database);
    database_unref(database);
}

int main(void)
{
    static const struct vfs_io_hooks hooks = {.fdatasync = on_fdatasync, .pwritev = on_pwritev};

    mutex_init(&disk.lock);
    cond_init(&disk.changed);
    vfs_io_hooks = &hooks;
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(120);
    fixture_init(&fixture);
    fixture.options.wal_soft_bytes = 64 << 10;
    fixture_start(&fixture);
    test_commit_sync();
    test_header_sync();
    test_checkpoint_sync();
    test_stream_sync();
    test_durability_changes();
    test_settings_of_old_entries();
    test_no_space();
    fixture_stop(&fixture);
    fixture_remove(&fixture);
    return done_testing();
}
