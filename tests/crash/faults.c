/* The disk fails at the n-th call, for n = 1, 2, … until a run is untouched.
 *
 *     faults [seed]
 *
 * A fixed workload (a family made, tables, transactions with deferred syncs, checkpoints, a WAL
 * restart, the family removed) runs again and again; each time one call of one kind fails, once or
 * from then on. Whatever happens to it, errors are reported, nothing acknowledged is lost, and once
 * the disk is well again the database opens, is whole and takes writes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/account.h"
#include "tenants/base/check.h"
#include "tenants/base/log.h"
#include "tenants/base/random.h"
#include "tenants/family.h"
#include "tenants/vfs.h"
#include "tests/crash/disk.h"
#include "tests/crash/failing_disk.h"
#include "tests/crash/ledger.h"
#include "tests/lib/scratch.h"
#include "tests/lib/tap.h"

#define TRANSACTIONS 12
#define COMMITS_MAX 256

/* ------------------------------------------------------------------ the workload */

static struct {
    char scratch[80], data[100];
    char family_id[ID_HEX_BYTES], head_id[ID_HEX_BYTES];
    struct vfs_head *head;
    sqlite3 *writer, *reader;
    struct ledger ledger;
    uint32_t numbers[COMMITS_MAX];
    uint64_t commits;
    bool created, removed;
    uint64_t random;
    struct err err;
    char why[500];
} run;

static void on_commit(void *context)
{
    if (run.commits + 1 < COMMITS_MAX)
        run.numbers[++run.commits] = run.ledger.started;
}

static uint64_t on_sync_begin(void *context)
{
    return run.commits;
}

static void on_synced(void *context, uint64_t token)
{
    if (token > 0)
        ledger_acknowledge(&run.ledger, run.numbers[token]);
}

static sqlite3 *connect(void)
{
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(vfs_head_name(run.head), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
            VFS_NAME) == SQLITE_OK)
        (void)sqlite3_exec(db,
            "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=10;"
            "PRAGMA journal_size_limit=50000",
            NULL, NULL, NULL);
    return db;
}

static int open_head(void)
{
    struct family_paths paths;
    struct vfs_head_options options = {.main_path = paths.main_path,
        .wal_path = paths.wal_path,
        .placeholder_path = paths.placeholder_path,
        .temp_dir = "/tmp",
        .events = {.on_commit = on_commit, .on_sync_begin = on_sync_begin, .on_synced = on_synced}};

    if (family_locate(run.data, run.family_id, run.head_id, &paths, &run.err) < 0)
        return -1;
    return vfs_head_open(&options, &run.head, &run.err);
}

static void close_head(void)
{
    vfs_checkpoint_section(true);
    (void)sqlite3_close(run.reader);
    (void)sqlite3_close(run.writer);
    vfs_checkpoint_section(false);
    run.reader = run.writer = NULL;
    vfs_head_close(run.head);
    run.head = NULL;
}

/* A transaction that fails leaves nothing behind, now and after recovery; only a failed sync is of
 * unknown outcome, and after it nothing is written any more. */
static void transact(void)
{
    uint32_t before = run.ledger.started;
    int rc = ledger_begin(&run.ledger, run.writer, 2, 3, before == 5, &run.random);

    if (rc == SQLITE_OK) {
        vfs_commit_section(true);
        rc = ledger_commit(&run.ledger, run.writer);
        vfs_commit_section(false);
    }
    if (rc == SQLITE_OK || vfs_head_poisoned(run.head))
        return;
    if (sqlite3_get_autocommit(run.writer) == 0)
        (void)sqlite3_exec(run.writer, "ROLLBACK", NULL, NULL, NULL);
    if (run.ledger.started != before)
        ledger_undo(&run.ledger);
}

static void maintain(int i)
{
    int mode = i % 6 == 5 ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;

    if (i % 3 == 1 && vfs_head_sync_wal(run.head, &run.err) < 0)
        return;
    if (i % 3 == 2) {
        vfs_checkpoint_section(true);
        (void)sqlite3_wal_checkpoint_v2(run.writer, NULL, mode, NULL, NULL);
        vfs_checkpoint_section(false);
    }
}

/* Goes on as far as the disk lets it; after a failed sync it closes, as the actor would. */
static void work(void)
{
    char text[100];

    if (family_create(run.data, run.family_id, run.head_id, &run.err) < 0)
        return;
    run.created = true;
    if (open_head() < 0)
        return;
    run.writer = connect();
    run.reader = connect();
    run.ledger.tried = 1;
    if (run.writer != NULL && ledger_create(&run.ledger, run.writer) == SQLITE_OK &&
        sqlite3_exec(run.writer, "COMMIT", NULL, NULL, NULL) == SQLITE_OK) {
        ledger_acknowledge(&run.ledger, 1);
        for (int i = 0; i < TRANSACTIONS && !vfs_head_poisoned(run.head); i++) {
            transact();
            ledger_text(run.reader, "SELECT count(*) FROM kv", text, sizeof(text));
            maintain(i);
        }
    }
    close_head();
}

static void remove_it(void)
{
    run.removed = family_remove(run.data, run.family_id, &run.err) == 0;
}

/* ------------------------------------------------------------------ afterwards, on a good disk */

static bool failed(const char *what)
{
    (void)snprintf(run.why, sizeof(run.why), "%s: %.300s", what, run.err.msg);
    return false;
}

static bool check(void)
{
    uint32_t number = 0;
    bool right;

    family_forget_folders();
    if (!run.created && family_create(run.data, run.family_id, run.head_id, &run.err) < 0)
        return failed("create again");
    if (open_head() < 0)
        return failed("open");
    run.writer = connect();
    right = ledger_check(&run.ledger, run.writer, run.ledger.acknowledged, run.ledger.tried,
        &number, run.why, sizeof(run.why));
    if (right && sqlite3_exec(run.writer, "CREATE TABLE more(a); INSERT INTO more VALUES (1)", NULL,
                     NULL, NULL) != SQLITE_OK) {
        (void)snprintf(run.why, sizeof(run.why), "writing: %s", sqlite3_errmsg(run.writer));
        right = false;
    }
    close_head();
    return right;
}

/* One run with the fault as set; true when all is as promised. */
static bool one_run(uint64_t seed)
{
    bool right;

    ledger_fini(&run.ledger);
    run.commits = 0;
    run.created = run.removed = false;
    run.random = seed | 1;
    run.why[0] = '\0';
    fault.calls = 0;
    fault.hit = false;
    family_new_id(run.family_id);
    family_new_id(run.head_id);
    family_forget_folders();
    CHECK(scratch_make(run.data, sizeof(run.data), run.scratch) == 0);
    vfs_io_hooks = &failing_disk;
    work();
    vfs_io_hooks = NULL;
    right = check();
    vfs_io_hooks = &failing_disk;
    remove_it();
    vfs_io_hooks = NULL;
    if (right && !run.removed && family_remove(run.data, run.family_id, &run.err) < 0)
        right = failed("remove again");
    (void)scratch_remove(run.data);
    return right;
}

static void test_fault(const char *name, enum call call, int error, bool stays, uint64_t seed)
{
    unsigned n = 0, bad = 0;
    char first[600] = "";

    do {
        fault.call = call;
        fault.error = error;
        fault.stays = stays;
        fault.at = ++n;
        if (!one_run(seed) && bad++ == 0)
            (void)snprintf(first, sizeof(first), "call %u: %s", n, run.why);
    } while (fault.hit && n < 100000);
    ok(bad == 0 && n > 1, "%s, %s: %u runs %s", name, stays ? "from then on" : "once", n - 1,
        first);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        enum call call;
        int error;
    } faults[] = {
        {"open fails with EIO", OPEN, EIO},
        {"open fails with EMFILE", OPEN, EMFILE},
        {"read fails with EIO", READ, EIO},
        {"write fails with EIO", WRITE, EIO},
        {"write fails with ENOSPC", WRITE, ENOSPC},
        {"truncate fails with EIO", TRUNCATE, EIO},
        {"fdatasync fails with EIO", SYNC, EIO},
        {"fsync of a folder fails with EIO", SYNC_FOLDER, EIO},
        {"rename fails with ENOSPC", RENAME, ENOSPC},
        {"unlink fails with EIO", UNLINK, EIO},
        {"mkdir fails with ENOSPC", MKDIR, ENOSPC},
        {"rmdir fails with EIO", RMDIR, EIO},
    };
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 16) : random_u64();

    log_set_level(LOG_ERROR);
    (void)printf("# seed %llx\n", (unsigned long long)seed);
    if (scratch_make(run.scratch, sizeof(run.scratch), "/dev/shm") < 0)
        CHECK(scratch_make(run.scratch, sizeof(run.scratch), "/tmp") == 0);
    ok(account_install(&run.err) == 0 && vfs_register(&run.err) == 0, "ready");
    fault.at = 0;
    ok(one_run(seed) && run.ledger.acknowledged > 5, "without faults all goes well %s", run.why);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        test_fault(faults[i].name, faults[i].call, faults[i].error, false, seed);
        test_fault(faults[i].name, faults[i].call, faults[i].error, true, seed);
    }
    ledger_fini(&run.ledger);
    (void)scratch_remove(run.scratch);
    return done_testing();
}
