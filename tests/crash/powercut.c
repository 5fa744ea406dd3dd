/* Power cuts, simulated below the VFS.
 *
 *     powercut [seconds] [seed]
 *
 * A random workload runs on a disk that records every call (tests/crash/disk.h): connections,
 * groups, rollbacks, spills, checkpoints, WAL restarts, deferred syncs done by a simulated pool,
 * families made and removed. Then the disk is rebuilt as after a cut at every call, several times
 * with different losses (many times just after a WAL restart), and each is opened as the server
 * would: integrity_check, nothing acknowledged missing, no transaction half there, only a prefix of
 * the history; and it can be written again.
 *
 * The same is done with syncs left out, one kind at a time, and with acknowledgements that do not
 * wait: a simulator that does not find those proves nothing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/account.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/base/random.h"
#include "tenants/family.h"
#include "tenants/vfs.h"
#include "tests/crash/disk.h"
#include "tests/crash/ledger.h"
#include "tests/lib/scratch.h"
#include "tests/lib/tap.h"

#define CONNECTIONS 4
#define COMMITS_MAX 4096
#define EVENTS_MAX 8192
#define STEPS_MIN 40 /* of one workload */
#define STEPS_MORE 60

/* What had been promised when so many calls had been made. */
struct event {
    size_t calls;
    uint32_t acknowledged, tried;
    bool created, removing, removed;
};

static struct {
    char root[80], scratch[80];
    char family_id[ID_HEX_BYTES], head_id[ID_HEX_BYTES];
    struct vfs_head *head;
    sqlite3 *connections[CONNECTIONS];
    bool reading[CONNECTIONS];
    struct ledger ledger;
    uint32_t numbers[COMMITS_MAX]; /* transaction of each deferred commit */
    uint64_t commits;
    bool early; /* control: acknowledge at once */
    struct event now;
    struct event events[EVENTS_MAX];
    size_t event_count;
    uint64_t random;
    struct err err;
} run;

static uint64_t below(uint64_t n)
{
    return disk_random(&run.random) % n;
}

/* ------------------------------------------------------------------ promises */

static void note_event(void)
{
    struct event *last = run.event_count == 0 ? NULL : &run.events[run.event_count - 1];

    run.now.calls = disk_calls();
    run.now.acknowledged = run.ledger.acknowledged;
    run.now.tried = run.ledger.tried;
    if (last != NULL && last->calls == run.now.calls)
        *last = run.now;
    else if (run.event_count < EVENTS_MAX)
        run.events[run.event_count++] = run.now;
}

static void acknowledge(uint32_t number)
{
    ledger_acknowledge(&run.ledger, number);
    note_event();
}

static void on_commit(void *context)
{
    if (run.commits + 1 < COMMITS_MAX)
        run.numbers[++run.commits] = run.ledger.started;
    if (run.early)
        acknowledge(run.ledger.started);
}

static uint64_t on_sync_begin(void *context)
{
    return run.commits;
}

static void on_synced(void *context, uint64_t token)
{
    if (token > 0)
        acknowledge(run.numbers[token]);
}

/* ------------------------------------------------------------------ workload */

static bool must(bool right, const char *what)
{
    if (!right)
        (void)printf("# workload: %s: %s\n", what,
            run.connections[0] == NULL ? run.err.msg : sqlite3_errmsg(run.connections[0]));
    return right;
}

static sqlite3 *connect(struct vfs_head *head)
{
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(vfs_head_name(head), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
            VFS_NAME) != SQLITE_OK)
        return db;
    (void)sqlite3_exec(db,
        "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=10;"
        "PRAGMA journal_size_limit=100000",
        NULL, NULL, NULL);
    return db;
}

static bool open_all(const char *data_dir, bool deferring, struct vfs_head **ret_head)
{
    struct family_paths paths;
    struct vfs_head_options options = {.main_path = paths.main_path,
        .wal_path = paths.wal_path,
        .placeholder_path = paths.placeholder_path,
        .temp_dir = "/tmp"};

    if (family_locate(data_dir, run.family_id, run.head_id, &paths, &run.err) < 0)
        return false;
    if (deferring)
        options.events = (struct vfs_events){
            .on_commit = on_commit, .on_sync_begin = on_sync_begin, .on_synced = on_synced};
    return vfs_head_open(&options, ret_head, &run.err) == 0;
}

static void close_all(void)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        vfs_checkpoint_section(true);
        disk_in_checkpoint(true);
        (void)sqlite3_close(run.connections[i]);
        disk_in_checkpoint(false);
        vfs_checkpoint_section(false);
        run.connections[i] = NULL;
        run.reading[i] = false;
    }
    vfs_head_close(run.head);
    run.head = NULL;
}

static sqlite3 *connection(int i)
{
    if (run.connections[i] == NULL)
        run.connections[i] = connect(run.head);
    return run.connections[i];
}

static bool transact(int i)
{
    sqlite3 *db = connection(i);
    int rc = ledger_begin(
        &run.ledger, db, 1 + (int)below(4), 1 + (int)below(6), below(12) == 0, &run.random);

    if (rc == SQLITE_OK && below(10) == 0) {
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        ledger_undo(&run.ledger);
        return true;
    }
    if (!must(rc == SQLITE_OK, "begin"))
        return false;
    run.ledger.tried = run.ledger.started;
    note_event();
    if (below(8) == 0) { /* inline: the commit's own sync */
        rc = ledger_commit(&run.ledger, db);
        if (rc == SQLITE_OK)
            acknowledge(run.ledger.started);
    } else {
        vfs_commit_section(true);
        rc = ledger_commit(&run.ledger, db);
        vfs_commit_section(false);
    }
    return must(rc == SQLITE_OK, "commit");
}

static bool checkpoint(int i)
{
    static const int modes[] = {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_PASSIVE,
        SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_RESTART,
        SQLITE_CHECKPOINT_TRUNCATE};
    int rc;

    if (run.reading[i])
        return true;
    vfs_checkpoint_section(true);
    disk_in_checkpoint(true);
    rc = sqlite3_wal_checkpoint_v2(connection(i), NULL, modes[below(ARRAY_LEN(modes))], NULL, NULL);
    disk_in_checkpoint(false);
    vfs_checkpoint_section(false);
    return must(rc == SQLITE_OK || rc == SQLITE_BUSY, "checkpoint");
}

static void read_or_end(int i)
{
    (void)sqlite3_exec(connection(i), run.reading[i] ? "COMMIT" : "BEGIN; SELECT count(*) FROM kv",
        NULL, NULL, NULL);
    run.reading[i] = !run.reading[i];
}

/* Connection 0 writes, 1 writes and checkpoints, 2 and 3 read. */
static bool step(void)
{
    switch (below(16)) {
    case 0:
    case 1:
        return checkpoint(1);
    case 2:
        if (below(4) > 0)
            return vfs_head_sync_wal(run.head, &run.err) == 0;
        vfs_checkpoint_section(true); /* the last to close checkpoints */
        disk_in_checkpoint(true);
        (void)sqlite3_close(run.connections[1]);
        disk_in_checkpoint(false);
        vfs_checkpoint_section(false);
        run.connections[1] = NULL;
        return true;
    case 3:
        return vfs_head_sync_wal(run.head, &run.err) == 0;
    case 4:
        read_or_end(2);
        return true;
    case 5:
        if (below(3) == 0 || run.reading[3])
            read_or_end(3);
        return true;
    case 6:
        if (below(8) > 0)
            return true;
        close_all();
        return must(open_all(run.root, true, &run.head), "open again");
    default:
        return transact((int)below(2));
    }
}

static bool create(void)
{
    if (!must(family_create(run.root, run.family_id, run.head_id, &run.err) == 0, "create"))
        return false;
    run.now.created = true;
    note_event();
    return must(open_all(run.root, true, &run.head), "open");
}

static bool create_tables(void)
{
    bool right = ledger_create(&run.ledger, connection(0)) == SQLITE_OK;

    run.ledger.tried = 1;
    note_event();
    right = right && ledger_commit(&run.ledger, run.connections[0]) == SQLITE_OK;
    if (right)
        acknowledge(1);
    return must(right, "tables");
}

static bool remove_family(void)
{
    run.now.removing = true;
    note_event();
    if (!must(family_remove(run.root, run.family_id, &run.err) == 0, "remove"))
        return false;
    run.now.removed = true;
    note_event();
    return true;
}

static bool workload(enum disk_lie lie, bool early)
{
    bool right;

    ledger_fini(&run.ledger);
    run.commits = 0;
    run.event_count = 0;
    run.early = early;
    memset(&run.now, 0, sizeof(run.now));
    family_new_id(run.family_id);
    family_new_id(run.head_id);
    family_forget_folders();
    CHECK(scratch_make(run.root, sizeof(run.root), run.scratch) == 0);
    disk_start(run.root, lie);
    note_event();
    right = create() && create_tables();
    for (int i = STEPS_MIN + (int)below(STEPS_MORE); i > 0 && right; i--)
        right = step();
    if (run.head != NULL)
        close_all();
    right = right && remove_family();
    disk_stop();
    (void)scratch_remove(run.root);
    return right;
}

/* ------------------------------------------------------------------ after the cut */

static char why[400];

/* Opens, compares, writes once more, and compares again. */
static bool check_content(const char *data, const struct event *event)
{
    uint32_t low = event->removing ? 0 : event->acknowledged;
    struct vfs_head *head;
    uint32_t number = 0;
    bool right = false;
    sqlite3 *db;

    if (!open_all(data, false, &head)) {
        (void)snprintf(why, sizeof(why), "open: %.300s", run.err.msg);
        return false;
    }
    db = connect(head);
    right = ledger_check(&run.ledger, db, low, event->tried, &number, why, sizeof(why));
    if (right && number > 0 &&
        sqlite3_exec(db, "UPDATE meta SET n = n; CREATE TABLE more(a)", NULL, NULL, NULL) !=
            SQLITE_OK) {
        (void)snprintf(why, sizeof(why), "writing again: %s", sqlite3_errmsg(db));
        right = false;
    }
    (void)sqlite3_close(db);
    vfs_head_close(head);
    return right;
}

static bool failed(const char *what)
{
    (void)snprintf(why, sizeof(why), "%s: %.300s", what, run.err.msg);
    return false;
}

/* What the catalogue would do with what it finds. */
static bool check_disk(const char *data, const struct event *event)
{
    struct family_paths paths;
    int rc;

    family_forget_folders();
    if (event->removing) {
        rc = family_locate(data, run.family_id, run.head_id, &paths, &run.err);
        if (event->removed && (rc == 0 || run.err.code != ERR_NOT_FOUND))
            return failed("removed, and still there");
        if (rc == 0 && !check_content(data, event))
            return false;
        return family_remove(data, run.family_id, &run.err) == 0 ? true : failed("remove");
    }
    if (!event->created && family_create(data, run.family_id, run.head_id, &run.err) < 0)
        return failed("create again");
    return check_content(data, event);
}

struct tally {
    unsigned cuts, bad;
    char first[500];
};

static void cut(struct tally *tally, const struct event *event, size_t calls, enum disk_loss loss)
{
    uint64_t state = run.random;
    char data[120];

    CHECK(scratch_make(data, sizeof(data), run.scratch) == 0);
    disk_rebuild(data, loss, &run.random);
    tally->cuts++;
    if (!check_disk(data, event) && tally->bad++ == 0)
        (void)snprintf(tally->first, sizeof(tally->first), "call %zu, loss %d, state %llx: %s",
            calls, (int)loss, (unsigned long long)state, why);
    (void)scratch_remove(data);
}

/* Cuts after each call: with all lost (when that differs from before) and once at random; many
 * times for a while after a WAL restart, and while the family is made and removed. */
static void cut_everywhere(struct tally *tally, bool until_bad)
{
    size_t event = 0, calls = disk_calls();
    int aimed = 0;

    disk_rewind();
    for (size_t at = 0; at <= calls; at++) {
        if (at > 0)
            disk_step();
        while (event + 1 < run.event_count && run.events[event + 1].calls <= at) {
            event++;
            aimed = MAX(aimed, 1); /* a new promise */
        }
        if (disk_restarted_wal() || at < 24 || at + 24 > calls) /* families made and removed */
            aimed = 14;
        if (disk_settled() || aimed > 0)
            cut(tally, &run.events[event], at, DISK_LOSE_ALL);
        if (at % 4 == 0)
            cut(tally, &run.events[event], at, DISK_LOSE_NOTHING);
        cut(tally, &run.events[event], at, DISK_LOSE_SECTORS + (enum disk_loss)below(3));
        for (int i = 0; aimed > 1 && i < 6; i++)
            cut(tally, &run.events[event], at, DISK_LOSE_SECTORS + (enum disk_loss)(i % 3));
        aimed -= aimed > 0;
        if (until_bad && tally->bad > 0)
            return;
    }
}

static void test_honest(uint64_t seconds)
{
    uint64_t deadline = clock_now_ns() + seconds * NS_PER_S;
    struct tally tally = {.cuts = 0};
    size_t calls = 0;
    unsigned runs = 0;
    bool right = true;

    while (right && tally.bad == 0 && clock_now_ns() < deadline) {
        right = workload(DISK_HONEST, false);
        cut_everywhere(&tally, false);
        calls += disk_calls();
        runs++;
        disk_free();
    }
    ok(right, "the workload runs");
    ok(tally.bad == 0, "no cut loses, tears or invents anything: %s", tally.first);
    ok(tally.cuts > 100, "%u cuts at the %zu calls of %u runs", tally.cuts, calls, runs);
}

/* Left-out syncs have to be found. */
static void test_controls(uint64_t seconds_each)
{
    static const struct {
        const char *name;
        enum disk_lie lie;
        bool early;
    } controls[] = {
        {"the sync of the WAL's header", DISK_LIE_WAL_HEADER, false},
        {"the sync of the WAL before a checkpoint", DISK_LIE_WAL_CHECKPOINT, false},
        {"the sync of the database before the WAL restarts", DISK_LIE_MAIN, false},
        {"waiting for the sync before acknowledging", DISK_HONEST, true},
        {"the sync of a new MANIFEST", DISK_LIE_MANIFEST, false},
        {"the sync of a family's folder", DISK_LIE_FOLDER, false},
        {"the sync of the folder above", DISK_LIE_PARENT, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(controls); i++) {
        uint64_t deadline = clock_now_ns() + seconds_each * NS_PER_S;
        struct tally tally = {.cuts = 0};
        bool right = true;

        while (right && tally.bad == 0 && clock_now_ns() < deadline) {
            right = workload(controls[i].lie, controls[i].early);
            cut_everywhere(&tally, true);
            disk_free();
        }
        ok(right && tally.bad > 0, "found when left out: %s", controls[i].name);
        (void)printf("# after %u cuts: %s\n", tally.cuts, tally.first);
    }
}

int main(int argc, char **argv)
{
    uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 10;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 16) : random_u64();

    run.random = seed | 1;
    log_set_level(LOG_ERROR);
    (void)printf("# seed %llx\n", (unsigned long long)seed);
    if (scratch_make(run.scratch, sizeof(run.scratch), "/dev/shm") < 0)
        CHECK(scratch_make(run.scratch, sizeof(run.scratch), "/tmp") == 0);
    ok(account_install(&run.err) == 0 && vfs_register(&run.err) == 0, "ready");
    test_honest(MAX(seconds * 2 / 3, 1));
    test_controls(MAX(seconds, 10));
    ledger_fini(&run.ledger);
    (void)scratch_remove(run.scratch);
    return done_testing();
}
