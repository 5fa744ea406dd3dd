/* A point select and an insert commit through our VFS and through SQLite's unix VFS: the same
 * program, the same statements, rounds interleaved, medians and their ratio.
 *
 *     bench/vfs [folder] [rounds] */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/account.h"
#include "tenants/base/clock.h"
#include "tenants/base/macros.h"
#include "tenants/vfs.h"
#include "tests/lib/scratch.h"

#define ROWS 10000
#define SELECTS 100000
#define COMMITS 1000
#define PREPARES 20000
#define ROUNDS_MAX 99

struct side {
    const char *label;
    sqlite3 *db;
    struct vfs_head *head;
    bool pipelined; /* commits deferred, one sync for each 32 */
    double select_us[ROUNDS_MAX], commit_us[ROUNDS_MAX], prepare_us[ROUNDS_MAX];
};

static uint64_t commits;

static void on_commit(void *context)
{
    commits++;
}

static void must(bool right, const char *what, sqlite3 *db)
{
    if (right)
        return;
    (void)fprintf(stderr, "%s: %s\n", what, db == NULL ? "failed" : sqlite3_errmsg(db));
    exit(1);
}

static void run(sqlite3 *db, const char *sql)
{
    must(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, sql, db);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    must(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) == SQLITE_OK,
        sql, db);
    return statement;
}

static void fill(sqlite3 *db)
{
    char sql[200];

    run(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0");
    run(db, "PRAGMA journal_size_limit=67108864; CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    (void)snprintf(sql, sizeof(sql),
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
        "INSERT INTO t SELECT i, randomblob(100) FROM n",
        ROWS);
    run(db, sql);
    run(db, "PRAGMA wal_checkpoint(RESTART)");
}

static double selects(struct side *side)
{
    sqlite3_stmt *statement = prepare(side->db, "SELECT v FROM t WHERE id = ?");
    uint64_t started = clock_now_ns();

    for (int i = 0; i < SELECTS; i++) {
        sqlite3_bind_int(statement, 1, i * 7919 % ROWS + 1);
        must(sqlite3_step(statement) == SQLITE_ROW, "select", side->db);
        sqlite3_reset(statement);
    }
    started = clock_now_ns() - started;
    sqlite3_finalize(statement);
    return (double)started / 1000 / SELECTS;
}

static double inserts(struct side *side)
{
    sqlite3_stmt *statement = prepare(side->db, "INSERT INTO t(v) VALUES (zeroblob(100))");
    uint64_t started = clock_now_ns();

    for (int i = 0; i < COMMITS; i++) {
        vfs_commit_section(side->pipelined);
        must(sqlite3_step(statement) == SQLITE_DONE, "insert", side->db);
        sqlite3_reset(statement);
        vfs_commit_section(false);
        if (side->pipelined && i % 32 == 31)
            must(vfs_head_sync_wal(side->head, NULL) == 0, "sync", NULL);
    }
    started = clock_now_ns() - started;
    sqlite3_finalize(statement);
    vfs_checkpoint_section(true);
    run(side->db, "PRAGMA wal_checkpoint(PASSIVE)");
    vfs_checkpoint_section(false);
    return (double)started / 1000 / COMMITS;
}

static double prepares(struct side *side)
{
    uint64_t started = clock_now_ns();

    for (int i = 0; i < PREPARES; i++)
        sqlite3_finalize(prepare(side->db, "SELECT id, v FROM t WHERE id = ?1 AND v IS NOT NULL"));
    return (double)(clock_now_ns() - started) / 1000 / PREPARES;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof(*values), by_value);
    return values[count / 2];
}

static void open_ours(struct side *side, const char *folder, const char *name)
{
    char path[400], wal[420];
    struct err err = ERR_INIT;
    struct vfs_head_options options = {
        .main_path = path, .wal_path = wal, .create = true, .temp_dir = folder};

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    (void)snprintf(wal, sizeof(wal), "%s-log", path);
    if (side->pipelined)
        options.events.on_commit = on_commit;
    must(vfs_head_open(&options, &side->head, &err) == 0, err.msg, NULL);
    must(sqlite3_open_v2(vfs_head_name(side->head), &side->db,
             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, VFS_NAME) == SQLITE_OK,
        "open", side->db);
}

int main(int argc, char **argv)
{
    char folder[300], path[400];
    int rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 5;
    struct side sides[3] = {
        {.label = "unix"}, {.label = "rookery"}, {.label = "rookery, 32 commits a sync"}};
    struct err err = ERR_INIT;

    rounds = MAX(1, MIN(rounds, ROUNDS_MAX));
    must(scratch_make(folder, sizeof(folder), argc > 1 ? argv[1] : "/tmp") == 0, "mkdtemp", NULL);
    must(account_install(&err) == 0 && vfs_register(&err) == 0, err.msg, NULL);
    (void)snprintf(path, sizeof(path), "%s/unix", folder);
    must(sqlite3_open_v2(path, &sides[0].db,
             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, "unix") == SQLITE_OK,
        "open", sides[0].db);
    sides[2].pipelined = true;
    open_ours(&sides[1], folder, "inline");
    open_ours(&sides[2], folder, "pipelined");
    for (size_t i = 0; i < ARRAY_LEN(sides); i++)
        fill(sides[i].db);
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
            sides[i].select_us[round] = selects(&sides[i]);
            sides[i].commit_us[round] = inserts(&sides[i]);
            sides[i].prepare_us[round] = prepares(&sides[i]);
        }
    }
    (void)printf("%-28s %12s %12s %12s\n", "us, median", "select", "commit", "prepare");
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        struct side *side = &sides[i];

        double select = median(side->select_us, rounds);
        double commit = median(side->commit_us, rounds);
        double compile = median(side->prepare_us, rounds);

        (void)printf("%-28s %12.2f %12.2f %12.2f   (%.2fx, %.2fx, %.2fx of unix)\n", side->label,
            select, commit, compile, select / sides[0].select_us[rounds / 2],
            commit / sides[0].commit_us[rounds / 2], compile / sides[0].prepare_us[rounds / 2]);
        (void)sqlite3_close(side->db);
        vfs_head_close(side->head);
    }
    return scratch_remove(folder) == 0 ? 0 : 1;
}
