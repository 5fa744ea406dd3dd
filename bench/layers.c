/* Selects, scans and commits of a database in a plain file opened without a family, as a family
 * that was never branched, and over 1, 8 and 64 layers: the same program, the same statements, in
 * one process, rounds interleaved, the best of each and the ratios. Reads in CPU time of the
 * thread, so that a busy machine disturbs little; commits, with their checkpoint, by the clock. And
 * the time of a branch and of its first query, of a fold, and a table's memory.
 *
 *     bench/layers [folder] [rounds] [rows] */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tenants/account.h"
#include "tenants/base/clock.h"
#include "tenants/base/macros.h"
#include "tenants/layers/fold.h"
#include "tests/lib/branches.h"
#include "tests/lib/scratch.h"

#define ROUNDS_MAX 99
#define SELECTS 40000
#define COMMITS 600
#define BRANCHES_TIMED 50
#define NO_FAMILY (-1)

enum what { SELECT, CACHED, SCAN, COMMIT, WHATS };
static const char *const names[WHATS] = {"select", "cached", "scan", "commit"};

struct side {
    const char *label;
    int layers; /* over the base; NO_FAMILY */
    struct family *family;
    struct branch branch;
    sqlite3 *cached; /* a connection that keeps all pages */
    double us[WHATS][ROUNDS_MAX];
};

static int rows = 20000;
static char folder[300];

static void must(bool right, const char *what, struct branch *branch, const struct err *err)
{
    if (right)
        return;
    (void)fprintf(stderr, "%s: %s / %s\n", what, err == NULL ? "" : err->msg,
        branch == NULL || branch->db == NULL ? "" : sqlite3_errmsg(branch->db));
    exit(1);
}

static uint64_t cpu_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
        exit(1);
    return statement;
}

static double selects(sqlite3 *db)
{
    sqlite3_stmt *statement = prepare(db, "SELECT v FROM t WHERE id = ?");
    uint64_t started = cpu_now_ns();

    for (int64_t i = 0; i < SELECTS; i++) {
        (void)sqlite3_bind_int64(statement, 1, i * 7919 % rows + 1);
        if (sqlite3_step(statement) != SQLITE_ROW)
            exit(1);
        (void)sqlite3_reset(statement);
    }
    started = cpu_now_ns() - started;
    (void)sqlite3_finalize(statement);
    return (double)started / 1000 / SELECTS;
}

static double scan(sqlite3 *db)
{
    uint64_t started = cpu_now_ns();

    if (sqlite3_exec(db, "SELECT sum(length(v)) FROM t", NULL, NULL, NULL) != SQLITE_OK)
        exit(1);
    return (double)(cpu_now_ns() - started) / 1000;
}

static double commits(struct branch *branch)
{
    sqlite3_stmt *statement =
        prepare(branch->db, "UPDATE t SET v = randomblob(length(v)) WHERE id = ?");
    uint64_t started = clock_now_ns();

    for (int64_t i = 0; i < COMMITS; i++) {
        (void)sqlite3_bind_int64(statement, 1, i * 104729 % rows + 1);
        if (sqlite3_step(statement) != SQLITE_DONE)
            exit(1);
        (void)sqlite3_reset(statement);
    }
    (void)sqlite3_finalize(statement);
    (void)branch_checkpoint(branch, SQLITE_CHECKPOINT_PASSIVE);
    return (double)(clock_now_ns() - started) / 1000 / COMMITS;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The n-th of them by size: 0 the least, count / 2 the median. */
static double nth(const double *values, int count, int n)
{
    double sorted[ROUNDS_MAX];

    memcpy(sorted, values, (size_t)count * sizeof(*values));
    qsort(sorted, (size_t)count, sizeof(*sorted), by_value);
    return sorted[n];
}

static void snapshot(struct side *side, const char *name, bool keep)
{
    struct err err = ERR_INIT;

    must(branch_quiet(&side->branch), "quiet", &side->branch, NULL);
    must(family_snapshot(side->family, side->branch.head_id, name, &err) == 0, "snapshot",
        &side->branch, &err);
    branch_go_on(&side->branch);
    if (!keep)
        must(family_remove_snapshot(side->family, name, &err) == 0, "remove", NULL, &err);
}

static bool open_file(struct side *side, const char *family_id, struct err *err)
{
    struct family_paths paths;
    struct vfs_head_options options = {.main_path = paths.main_path,
        .wal_path = paths.wal_path,
        .placeholder_path = paths.placeholder_path,
        .temp_dir = "/tmp"};

    if (family_locate(folder, family_id, side->branch.head_id, &paths, err) < 0 ||
        vfs_head_open(&options, &side->branch.head, err) < 0)
        return false;
    side->branch.db = branch_connect(side->branch.head);
    return true;
}

/* Each layer has its share of a third of the rows. */
static void make(struct side *side)
{
    char family_id[ID_HEX_BYTES], sql[300];
    struct err err = ERR_INIT;

    family_new_id(family_id);
    family_new_id(side->branch.head_id);
    must(family_create(folder, family_id, side->branch.head_id, &err) == 0 &&
             (side->layers == NO_FAMILY
                     ? open_file(side, family_id, &err)
                     : family_open(folder, family_id, &side->family, &err) == 0 &&
                           branch_open(&side->branch, side->family, NULL, &err) == 0),
        "family", NULL, &err);
    (void)snprintf(sql, sizeof(sql),
        "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-2000;"
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
        "SELECT i + 1 FROM n WHERE i < %d) INSERT INTO t SELECT i, zeroblob(900) FROM n",
        rows);
    must(branch_run(&side->branch, sql) == SQLITE_OK, "fill", &side->branch, NULL);
    (void)branch_checkpoint(&side->branch, SQLITE_CHECKPOINT_RESTART);
    for (int i = 0; i < side->layers; i++) {
        snapshot(side, "s", false);
        (void)snprintf(sql, sizeof(sql), "UPDATE t SET v = zeroblob(901) WHERE id %% %d = %d",
            side->layers * 3, i * 3);
        must(branch_run(&side->branch, sql) == SQLITE_OK, "write", &side->branch, NULL);
        (void)branch_checkpoint(&side->branch, SQLITE_CHECKPOINT_RESTART);
    }
    side->cached = branch_connect(side->branch.head);
    (void)sqlite3_exec(side->cached, "PRAGMA cache_size=-2000000", NULL, NULL, NULL);
}

static void measure(struct side *side, int round)
{
    side->us[SELECT][round] = selects(side->branch.db);
    (void)scan(side->cached);
    side->us[CACHED][round] = selects(side->cached);
    side->us[SCAN][round] = scan(side->branch.db);
    side->us[COMMIT][round] = commits(&side->branch);
}

static void time_branches(struct side *side)
{
    double make_us[BRANCHES_TIMED], open_us[BRANCHES_TIMED];
    struct err err = ERR_INIT;

    for (int i = 0; i < BRANCHES_TIMED; i++) {
        struct branch child = {.live = true};
        uint64_t started;

        (void)branch_run(&side->branch, "UPDATE t SET v = zeroblob(902) WHERE id = 7");
        family_new_id(child.head_id);
        (void)snprintf(child.ref, sizeof(child.ref), "b%d", i);
        started = clock_now_ns();
        must(branch_quiet(&side->branch), "quiet", &side->branch, NULL);
        must(family_branch(side->family, side->branch.head_id, child.ref, child.head_id, 0, &err) ==
                 0,
            "branch", NULL, &err);
        branch_go_on(&side->branch);
        make_us[i] = (double)(clock_now_ns() - started) / 1000;
        started = clock_now_ns();
        must(branch_open(&child, side->family, NULL, &err) == 0, "open", NULL, &err);
        (void)sqlite3_exec(child.db, "SELECT v FROM t WHERE id = 9", NULL, NULL, NULL);
        open_us[i] = (double)(clock_now_ns() - started) / 1000;
        branch_close(&child);
        must(family_remove_head(side->family, child.head_id, &err) == 0, "remove", NULL, &err);
    }
    (void)printf("%-10s branch of one row in the log, durable: %.0f us; open and first query: %.0f "
                 "us\n",
        side->label, nth(make_us, BRANCHES_TIMED, BRANCHES_TIMED / 2),
        nth(open_us, BRANCHES_TIMED, BRANCHES_TIMED / 2));
}

static void time_fold(struct side *side)
{
    struct family_usage before, after;
    struct err err = ERR_INIT;
    struct fold *fold;
    uint64_t started = clock_now_ns();

    must(family_head_usage(side->family, side->branch.head_id, &before, &err) == 0, "usage", NULL,
        &err);
    for (;;) {
        bool done = false;

        must(fold_begin(side->family, 2, &fold, &err) == 0, "fold", NULL, &err);
        if (fold == NULL)
            break;
        while (!done)
            must(fold_step(fold, 1000, &done, &err) == 0, "fold", NULL, &err);
        fold_end(fold);
    }
    started = clock_now_ns() - started;
    must(family_head_usage(side->family, side->branch.head_id, &after, &err) == 0, "usage", NULL,
        &err);
    (void)printf("%-10s fold of %u layers, %.1f MB, to %u: %.1f ms\n", side->label, before.depth,
        (double)before.own_bytes / 1e6, after.depth, (double)started / 1e6);
}

int main(int argc, char **argv)
{
    int rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 5;
    struct side sides[] = {{.label = "file", .layers = NO_FAMILY}, {.label = "plain"},
        {.label = "1 layer", .layers = 1}, {.label = "8 layers", .layers = 8},
        {.label = "64 layers", .layers = 64}};
    struct err err = ERR_INIT;

    rounds = MAX(1, MIN(rounds, ROUNDS_MAX));
    if (argc > 3)
        rows = MAX(1000, (int)strtol(argv[3], NULL, 10));
    must(scratch_make(folder, sizeof(folder), argc > 1 ? argv[1] : "/tmp") == 0, "mkdtemp", NULL,
        NULL);
    must(account_install(&err) == 0 && vfs_register(&err) == 0, "ready", NULL, &err);
    for (size_t i = 0; i < ARRAY_LEN(sides); i++)
        make(&sides[i]);
    for (int round = 0; round < rounds; round++)
        for (size_t i = 0; i < ARRAY_LEN(sides); i++)
            measure(&sides[i], round);
    (void)printf("%d rows; us, the best of %d rounds; ratio to a file\n%-10s", rows, rounds, "");
    for (int what = 0; what < WHATS; what++)
        (void)printf(" %18s", names[what]);
    (void)printf(" %10s\n", "table KB");
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        (void)printf("%-10s", sides[i].label);
        for (int what = 0; what < WHATS; what++) {
            double us = nth(sides[i].us[what], rounds, 0);

            (void)printf(" %10.2f (%4.2fx)", us, us / nth(sides[0].us[what], rounds, 0));
        }
        (void)printf(" %10llu\n",
            sides[i].family == NULL
                ? 0ULL
                : (unsigned long long)stack_memory(family_head_stack(sides[i].branch.layers)) /
                      1024);
    }
    for (size_t i = 1; i < ARRAY_LEN(sides); i++)
        time_branches(&sides[i]);
    for (size_t i = 2; i < ARRAY_LEN(sides); i++)
        time_fold(&sides[i]);
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        (void)sqlite3_close(sides[i].cached);
        if (sides[i].family == NULL) {
            (void)sqlite3_close(sides[i].branch.db);
            vfs_head_close(sides[i].branch.head);
        }
        branch_close(&sides[i].branch);
        family_release(sides[i].family);
    }
    return scratch_remove(folder) == 0 ? 0 : 1;
}
