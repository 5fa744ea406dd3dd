/* Branches, snapshots, resets, restores and deletes through SQLite, by hand and at random against
 * a model of each branch's rows. */
#include "tenants/layers/branches.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tenants/account.h"
#include "tenants/base/log.h"
#include "tenants/base/random.h"
#include "tenants/layers/fold.h"
#include "tests/lib/branches.h"
#include "tests/lib/scratch.h"
#include "tests/lib/tap.h"

#define BRANCHES 10
#define SNAPSHOTS 5
#define STEPS 700

static char data[64], why[300];
static char family_id[ID_HEX_BYTES];
static struct family *family;
static struct branch branches[BRANCHES];
static struct {
    bool live;
    char name[40];
    struct content content;
} snapshots[SNAPSHOTS];
static struct err err;
static uint64_t state;
static int numbers;
static struct fold *fold;
static unsigned folds, conflicts;

static uint32_t below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state % n);
}

static bool note(bool right, const char *what)
{
    if (!right)
        (void)printf("# %s: %s / %s\n", what, err.msg, why);
    return right;
}

static bool start(const char *sql)
{
    memset(branches, 0, sizeof(branches));
    memset(snapshots, 0, sizeof(snapshots));
    family_new_id(family_id);
    family_new_id(branches[0].head_id);
    (void)snprintf(branches[0].ref, sizeof(branches[0].ref), "main");
    branches[0].live = true;
    err = ERR_INIT;
    return note(family_create(data, family_id, branches[0].head_id, &err) == 0 &&
                    family_open(data, family_id, &family, &err) == 0 &&
                    branch_open(&branches[0], family, NULL, &err) == 0 &&
                    branch_run(&branches[0], sql) == SQLITE_OK,
        "start");
}

static void stop(void)
{
    fold_end(fold);
    fold = NULL;
    for (int i = 0; i < BRANCHES; i++)
        branch_close(&branches[i]);
    family_release(family);
}

static bool is_right(struct branch *branch)
{
    return note(branch_is(branch->db, &branch->content, why, sizeof(why)), branch->ref);
}

/* A branch in slot `to` of one in slot `from`, opened. */
static bool fork_of(int from, int to)
{
    struct branch *parent = &branches[from], *child = &branches[to];
    bool right;

    *child = (struct branch){.live = true, .content = parent->content};
    family_new_id(child->head_id);
    (void)snprintf(child->ref, sizeof(child->ref), "b%d", ++numbers);
    right = parent->layers == NULL || branch_quiet(parent);
    right = note(right, "quiet") &&
            note(family_branch(family, parent->head_id, child->ref, child->head_id, 0, &err) == 0,
                "branch");
    if (parent->layers != NULL)
        branch_go_on(parent);
    return right && note(branch_open(child, family, NULL, &err) == 0, "open");
}

static int files_in_folder(const char *pattern)
{
    char command[400], out[64] = "";
    char *words[] = {(char[]){"sh"}, (char[]){"-c"}, command, NULL};

    (void)snprintf(command, sizeof(command), "ls %s/db/%.2s/%s | grep -c '%s'", data, family_id,
        family_id, pattern);
    return scratch_run(words, out, sizeof(out)) < 0 ? -1 : (int)strtol(out, NULL, 10);
}

#define TABLE "CREATE TABLE t(k INTEGER PRIMARY KEY, v INTEGER, pad BLOB);"

static void test_by_hand(void)
{
    struct family_usage usage;
    struct manifest manifest;
    struct branch *parent = &branches[0], *child = &branches[1];

    ok(start(TABLE), "a family is made and opened as one");
    ok(branch_set(parent, 0, 50, 1000) == 0, "rows");
    ok(files_in_folder("^L") == 0, "it is a plain file");
    ok(fork_of(0, 1), "it is branched");
    is_int(files_in_folder("^L"), 0, "which makes no layer's file");
    ok(is_right(child) && is_right(parent), "both have the rows");
    ok(branch_set(child, 0, 10, 2000) == 0 && is_right(child) && is_right(parent),
        "the parent does not see what the child writes");
    ok(branch_set(parent, 20, 20, 0) == 0 && branch_set(parent, 60, 9, 70) == 0 &&
            is_right(child) && is_right(parent),
        "nor the child what the parent does");
    is_int(branch_checkpoint(child, SQLITE_CHECKPOINT_TRUNCATE), SQLITE_OK, "checkpoint");
    is_int(branch_checkpoint(parent, SQLITE_CHECKPOINT_TRUNCATE), SQLITE_OK, "of both");
    ok(is_right(child) && is_right(parent), "both are right");
    is_int(files_in_folder("^L"), 4, "now each has a layer and its map");
    ok(family_head_usage(family, child->head_id, &usage, &err) == 0 && usage.own_bytes > 4096 &&
            usage.shared_bytes > 4096 && usage.depth == 2,
        "own and shared bytes are told");
    ok(family_branch(family, parent->head_id, child->ref, "x", 0, &err) < 0 &&
            err.code == ERR_CONFLICT,
        "a ref that exists is refused");
    ok(family_branch(family, parent->head_id, "no name", "x", 0, &err) < 0 &&
            err.code == ERR_BAD_REQUEST,
        "and what is none");
    ok(family_remove_head(family, child->head_id, &err) < 0 && err.code == ERR_BUSY,
        "an open head is not deleted");
    ok(is_right(child) && branch_set(child, 0, 3, 1) == 0 && is_right(child),
        "refusals leave all as it was");
    branch_close(child);
    is_int(family_remove_head(family, child->head_id, &err), 0, "a closed one is");
    is_int(files_in_folder("^L"), 2, "and its layer goes");
    is_int(files_in_folder(child->head_id), 0, "and its files");
    child->live = false;
    ok(family_snapshot(family, "nobody", "s", &err) < 0 && err.code == ERR_NOT_FOUND,
        "a head that is not there");
    ok(branch_quiet(parent) && family_rename_head(family, parent->head_id, "trunk", &err) == 0,
        "a ref is renamed");
    branch_go_on(parent);
    family_describe(family, &manifest);
    ok(manifest.head_count == 1 && strcmp(manifest.heads[0].ref, "trunk") == 0 &&
            manifest.layer_count == 2,
        "and described");
    manifest_fini(&manifest);
    stop();
}

/* A reader that keeps the checkpoint from being whole does not keep a branch from being made. */
static void test_long_reader(void)
{
    struct branch *parent = &branches[0], *child = &branches[1];
    sqlite3 *reader;
    bool right;

    ok(start(TABLE) && branch_set(parent, 0, 80, 500) == 0, "a parent");
    reader = branch_connect(parent->head);
    ok(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL) == SQLITE_OK,
        "a long read");
    ok(branch_set(parent, 10, 30, 900) == 0 && branch_set(parent, 100, 90, 40) == 0, "writes");
    (void)branch_checkpoint(parent, SQLITE_CHECKPOINT_PASSIVE);
    ok(branch_run(parent, "BEGIN IMMEDIATE") == SQLITE_OK && !vfs_head_is_settled(parent->head),
        "the log is not settled");
    *child = (struct branch){.live = true, .content = parent->content, .ref = "child"};
    family_new_id(child->head_id);
    right = family_branch(family, parent->head_id, "child", child->head_id,
                vfs_head_wal_bytes(parent->head), &err) == 0;
    ok(note(right, "branch"), "the branch takes the log along");
    branch_go_on(parent);
    ok(note(branch_open(child, family, NULL, &err) == 0, "open") && is_right(child),
        "and has everything");
    ok(branch_set(parent, 0, 40, 77) == 0 && branch_set(child, 5, 20, 0) == 0, "both write");
    ok(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL) == SQLITE_OK, "the read ends");
    (void)sqlite3_close(reader);
    ok(branch_checkpoint(parent, SQLITE_CHECKPOINT_TRUNCATE) == SQLITE_OK &&
            branch_checkpoint(child, SQLITE_CHECKPOINT_TRUNCATE) == SQLITE_OK && is_right(parent) &&
            is_right(child),
        "both are right");
    stop();
}

/* A read transaction across a freeze, a checkpoint into the new top, and more of both. */
static void test_reader_across(void)
{
    struct branch *parent = &branches[0];
    struct content before;
    sqlite3 *reader;

    ok(start(TABLE) && branch_set(parent, 0, 80, 500) == 0, "a parent");
    reader = branch_connect(parent->head);
    before = parent->content;
    ok(branch_checkpoint(parent, SQLITE_CHECKPOINT_FULL) == SQLITE_OK &&
            sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL) == SQLITE_OK,
        "a read begins");
    ok(fork_of(0, 1), "a branch");
    ok(branch_set(parent, 0, 80, 600) == 0 && branch_set(&branches[1], 0, 80, 700) == 0, "writes");
    (void)branch_checkpoint(parent, SQLITE_CHECKPOINT_PASSIVE);
    ok(branch_is(reader, &before, why, sizeof(why)) || note(false, "reader"),
        "the reader sees what it saw");
    ok(is_right(parent) && is_right(&branches[1]), "others what they wrote");
    ok(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL) == SQLITE_OK &&
            branch_is(reader, &parent->content, why, sizeof(why)),
        "and then what is new");
    (void)sqlite3_close(reader);
    stop();
}

/* As a loop reads: what would wait for the disk fails, and says so. */
static void test_nowait(void)
{
    struct branch *child = &branches[1];
    sqlite3 *reader;
    int rc;

    ok(start(TABLE) && branch_set(&branches[0], 0, 200, 500) == 0 && fork_of(0, 1) &&
            branch_set(child, 0, 100, 900) == 0 &&
            branch_checkpoint(child, SQLITE_CHECKPOINT_TRUNCATE) == SQLITE_OK,
        "a branch with pages of its own");
    reader = branch_connect(child->head);
    vfs_nowait(true);
    ok(branch_is(reader, &child->content, why, sizeof(why)), "read without waiting");
    vfs_nowait(false);
    (void)sqlite3_close(reader);
    reader = branch_connect(child->head);
    stack_forget_cache(family_head_stack(child->layers));
    vfs_nowait(true);
    rc = sqlite3_exec(reader, "SELECT sum(length(pad)) FROM t", NULL, NULL, NULL);
    vfs_nowait(false);
    if (rc == SQLITE_OK) {
        skip("this file system keeps its pages, or does not know RWF_NOWAIT",
            "a read of a layer that would wait fails, and says so");
    } else {
        ok(rc == SQLITE_IOERR && vfs_would_block(),
            "a read of a layer that would wait fails, and says so");
    }
    ok(branch_is(reader, &child->content, why, sizeof(why)), "waiting, it succeeds");
    (void)sqlite3_close(reader);
    stop();
}

static void test_page_sizes(void)
{
    static const int sizes[] = {512, 1024, 8192, 65536};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char path[FAMILY_PATH_MAX], sql[200];
        struct family_paths paths;
        sqlite3 *db = NULL;
        bool right = start("SELECT 1");

        stop();
        /* as an import would: another file in the base's place */
        right = right && family_locate(data, family_id, branches[0].head_id, &paths, &err) == 0;
        (void)snprintf(path, sizeof(path), "%s", paths.main_path);
        (void)unlink(path);
        (void)snprintf(
            sql, sizeof(sql), "PRAGMA page_size=%d; PRAGMA journal_mode=DELETE; " TABLE, sizes[i]);
        right = right && sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                             "unix") == SQLITE_OK;
        right = right && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
        (void)sqlite3_close(db);
        right = right && family_open(data, family_id, &family, &err) == 0 &&
                branch_open(&branches[0], family, NULL, &err) == 0;
        right = right && branch_set(&branches[0], 0, 100, 5) == 0 && fork_of(0, 1) &&
                branch_set(&branches[1], 50, 100, 9) == 0 && fork_of(1, 2) &&
                branch_set(&branches[2], 0, 200, 0) == 0 &&
                branch_run(&branches[2], "VACUUM") == SQLITE_OK && fork_of(2, 3) &&
                branch_set(&branches[3], 3, 60, 11) == 0;
        for (int b = 0; b < 4; b++)
            right = right &&
                    branch_checkpoint(&branches[b], SQLITE_CHECKPOINT_TRUNCATE) == SQLITE_OK &&
                    is_right(&branches[b]);
        ok(right, "pages of %d bytes", sizes[i]);
        if (right)
            stop();
    }
}

static bool fold_all(unsigned pages)
{
    bool right = true, done = false;

    do {
        right = fold_begin(family, 2, &fold, &err) == 0;
        while (right && fold != NULL && !done)
            right = fold_step(fold, pages, &done, &err) == 0;
        folds += done;
        done = false;
        right = note(right, "fold");
        if (fold == NULL)
            return right;
        fold_end(fold);
        fold = NULL;
    } while (right);
    return false;
}

static void test_fold(void)
{
    struct family_usage usage;
    struct manifest manifest;
    struct content before;
    sqlite3 *reader;
    bool right = start(TABLE);

    for (int i = 0; i < 20 && right; i++) {
        right = branch_set(&branches[0], i * 5, 40, 100 * i) == 0 && branch_quiet(&branches[0]) &&
                family_snapshot(family, branches[0].head_id, "s", &err) == 0;
        branch_go_on(&branches[0]);
        right = right && family_remove_snapshot(family, "s", &err) == 0;
    }
    ok(note(right, "snapshots") && branch_run(&branches[0], "VACUUM") == SQLITE_OK,
        "twenty layers");
    ok(family_head_usage(family, branches[0].head_id, &usage, &err) == 0 && usage.depth == 21,
        "are a stack of 21");
    reader = branch_connect(branches[0].head);
    before = branches[0].content;
    ok(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL) == SQLITE_OK,
        "a read begins");
    ok(fold_all(3), "it is folded");
    ok(family_head_usage(family, branches[0].head_id, &usage, &err) == 0 && usage.depth == 2,
        "into the base");
    ok(is_right(&branches[0]) && branch_is(reader, &before, why, sizeof(why)),
        "nothing changed for anybody");
    (void)sqlite3_close(reader);
    ok(fork_of(0, 1) && branch_set(&branches[0], 0, 90, 0) == 0 &&
            branch_run(&branches[0], "VACUUM") == SQLITE_OK && fork_of(0, 2) &&
            branch_set(&branches[0], 7, 9, 5) == 0 && fork_of(0, 3),
        "branches at different times");
    ok(fold_all(100), "are folded where they may");
    for (int i = 0; i < 4; i++)
        ok(is_right(&branches[i]), "branch %d is right", i);
    for (int i = 1; i < 4; i++) {
        branch_close(&branches[i]);
        right = right && family_remove_head(family, branches[i].head_id, &err) == 0;
    }
    ok(right && fold_all(1000) && is_right(&branches[0]), "and when they are gone");
    family_describe(family, &manifest);
    ok(manifest.layer_count == 2, "all that was shared is in the base");
    manifest_fini(&manifest);
    is_int(files_in_folder("^L"), 0, "with no file left behind");
    stop();
    ok(family_open(data, family_id, &family, &err) == 0 &&
            branch_open(&branches[0], family, NULL, &err) == 0 && is_right(&branches[0]),
        "opened again it is right");
    stop();
}

/* ------------------------------------------------------------------ at random */

/* A step of a fold that goes on while everything else happens. */
static bool fold_some(void)
{
    bool done = false;
    int rc;

    if (fold == NULL)
        return note(fold_begin(family, below(3) == 0 ? 1 : 4, &fold, &err) == 0, "fold");
    rc = fold_step(fold, 1 + below(40), &done, &err);
    if (rc == 0 && !done)
        return true;
    fold_end(fold);
    fold = NULL;
    folds += done;
    conflicts += rc < 0 && err.code == ERR_CONFLICT;
    return note(rc == 0 || err.code == ERR_CONFLICT, "fold");
}

static int free_branch(void)
{
    for (int i = 0; i < BRANCHES; i++)
        if (!branches[i].live)
            return i;
    return -1;
}

static int any_branch(void)
{
    int at = (int)below(BRANCHES);

    while (!branches[at].live)
        at = (at + 1) % BRANCHES;
    return at;
}

static bool wake(int at)
{
    return branches[at].layers != NULL ||
           note(branch_open(&branches[at], family, NULL, &err) == 0, "wake");
}

static bool write_some(int at)
{
    struct branch *branch = &branches[at];
    struct content before;
    bool right = wake(at) && branch_run(branch, "BEGIN IMMEDIATE") == SQLITE_OK;

    before = branch->content;
    for (uint32_t i = below(6); i > 0 && right; i--)
        right = branch_set(branch, (int)below(ROWS), 1 + (int)below(40),
                    below(4) == 0 ? 0 : (int)below(1000000) + 1) == 0;
    if (!right || below(8) > 0)
        return note(right && branch_run(branch, "COMMIT") == SQLITE_OK, "write");
    branch->content = before;
    return branch_run(branch, "ROLLBACK") == SQLITE_OK;
}

static bool snapshot_or_restore(int at)
{
    struct branch *branch = &branches[at];
    int slot = (int)below(SNAPSHOTS);
    int to = free_branch();
    bool right;

    if (!snapshots[slot].live) {
        (void)snprintf(snapshots[slot].name, sizeof(snapshots[slot].name), "s%d", ++numbers);
        right = wake(at) && note(branch_quiet(branch), "quiet") &&
                family_snapshot(family, branch->head_id, snapshots[slot].name, &err) == 0;
        branch_go_on(branch);
        snapshots[slot].live = right;
        snapshots[slot].content = branch->content;
        return note(right, "snapshot");
    }
    if (below(3) == 0) {
        snapshots[slot].live = false;
        return note(
            family_remove_snapshot(family, snapshots[slot].name, &err) == 0, "remove snapshot");
    }
    if (to < 0)
        return true;
    branches[to] = (struct branch){.live = true, .content = snapshots[slot].content};
    family_new_id(branches[to].head_id);
    (void)snprintf(branches[to].ref, sizeof(branches[to].ref), "b%d", ++numbers);
    return note(family_branch_snapshot(family, snapshots[slot].name, branches[to].ref,
                    branches[to].head_id, &err) == 0,
               "branch of a snapshot") &&
           wake(to) && is_right(&branches[to]);
}

/* Reset or promote: `at` gets what `from` has; or restore. */
static bool replace(int at, int from)
{
    struct branch *branch = &branches[at];
    int slot = (int)below(SNAPSHOTS), keep = (int)below(SNAPSHOTS);
    char new_id[ID_HEX_BYTES], name[40];
    struct family_replace replace = {.head_id = branch->head_id, .new_head_id = new_id};
    struct content content;
    bool right;

    family_new_id(new_id);
    if (snapshots[slot].live && below(2) == 0) {
        replace.from_snapshot = snapshots[slot].name;
        content = snapshots[slot].content;
    } else {
        if (from == at)
            return true;
        replace.from_head_id = branches[from].head_id;
        content = branches[from].content;
    }
    (void)snprintf(name, sizeof(name), "s%d", ++numbers);
    if (!snapshots[keep].live)
        replace.keep = name;
    right = wake(at) && wake(from) && note(branch_quiet(branch), "quiet") &&
            (from == at || note(branch_quiet(&branches[from]), "quiet"));
    right = right && note(family_replace_head(family, &replace, &err) == 0, "replace");
    branch_go_on(&branches[from]);
    branch_go_on(branch);
    branch_close(branch);
    if (right && replace.keep != NULL) {
        snapshots[keep].live = true;
        snapshots[keep].content = branch->content;
        memcpy(snapshots[keep].name, name, sizeof(name));
    }
    memcpy(branch->head_id, new_id, sizeof(new_id));
    branch->content = content;
    return right && wake(at) && is_right(branch);
}

static bool remove_branch(int at)
{
    int others = 0;

    for (int i = 0; i < BRANCHES; i++)
        others += branches[i].live;
    if (others < 2)
        return true;
    branch_close(&branches[at]);
    branches[at].live = false;
    return note(family_remove_head(family, branches[at].head_id, &err) == 0, "remove");
}

static bool open_anew(void)
{
    stop();
    return note(family_open(data, family_id, &family, &err) == 0, "open anew");
}

static bool step(void)
{
    static const int modes[] = {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL,
        SQLITE_CHECKPOINT_RESTART, SQLITE_CHECKPOINT_TRUNCATE};
    int at = any_branch();

    switch (below(24)) {
    case 0:
    case 1:
        return free_branch() < 0 || fork_of(at, free_branch());
    case 2:
        return snapshot_or_restore(at);
    case 3:
        return replace(at, any_branch());
    case 4:
        return below(2) > 0 || remove_branch(at);
    case 5:
        return below(8) > 0 || open_anew();
    case 6:
        branch_close(&branches[at]);
        return true;
    case 7:
        return wake(at) && (below(3) > 0 || branch_run(&branches[at], "VACUUM") == SQLITE_OK);
    case 8:
    case 9:
    case 10:
        return wake(at) && branch_checkpoint(&branches[at], modes[below(4)]) == SQLITE_OK;
    case 11:
    case 12:
    case 13:
        return fold_some();
    case 14:
        return wake(at) && is_right(&branches[at]);
    default:
        return write_some(at);
    }
}

static void test_at_random(int steps)
{
    struct manifest manifest;
    bool right = start(TABLE);
    int did = 0;

    for (; did < steps && right; did++)
        right = step();
    for (int i = 0; i < BRANCHES && right; i++)
        right = !branches[i].live || (wake(i) && is_right(&branches[i]));
    family_describe(family, &manifest);
    ok(right, "%d steps: each branch has its rows (%zu layers, MANIFEST %llu, %u folds, %u not)",
        did, manifest.layer_count, (unsigned long long)manifest.generation, folds, conflicts);
    manifest_fini(&manifest);
    if (right)
        stop();
}

int main(int argc, char **argv)
{
    state = (argc > 1 ? strtoull(argv[1], NULL, 10) : random_u64()) | 1;
    (void)printf("# seed %llu\n", (unsigned long long)state);
    log_set_level(LOG_ERROR);
    CHECK(scratch_make(data, sizeof(data), "/tmp") == 0);
    CHECK(account_install(&err) == 0 && vfs_register(&err) == 0);
    test_by_hand();
    test_long_reader();
    test_reader_across();
    test_nowait();
    test_page_sizes();
    test_fold();
    test_at_random(argc > 2 ? (int)strtol(argv[2], NULL, 10) : STEPS);
    (void)scratch_remove(data);
    return done_testing();
}
