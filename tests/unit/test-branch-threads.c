/* Readers beside a writer that checkpoints, freezes and branches, and beside a fold: each read
 * transaction sees one commit, on every page. Meant for TSan too. */
#include <stdatomic.h>

#include "tenants/account.h"
#include "tenants/base/log.h"
#include "tenants/base/random.h"
#include "tenants/layers/fold.h"
#include "tenants/vfs_io.h"
#include "tests/lib/branches.h"
#include "tests/lib/scratch.h"
#include "tests/lib/tap.h"

#define READERS 2
#define COMMITS 100
#define WIDE 60 /* rows that change in each commit */

/* Threads that never rest starve a disk's; what is on disk is not what is tested here. */
static int no_sync(int fd)
{
    return 0;
}
static const struct vfs_io_hooks quick = {.fdatasync = no_sync, .fsync = no_sync};

static char data[64], family_id[ID_HEX_BYTES];
static struct family *family;
static struct branch parent;
static _Atomic bool over, wrong, pause_reading;
static _Atomic unsigned reads, folds;

static int on_row(void *context, int count, char **values, char **names)
{
    int *is_one = context;

    *is_one = values[0] != NULL && values[1] != NULL && strcmp(values[0], values[1]) == 0 &&
              strcmp(values[2], "ok") == 0;
    return 0;
}

static void *read_on(void *argument)
{
    sqlite3 *db = branch_connect(parent.head);

    while (!atomic_load(&over)) {
        int is_one = 0;

        while (atomic_load(&pause_reading) && !atomic_load(&over))
            (void)sched_yield();
        /* two statements of one transaction: the second reads after whatever happened between */
        if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK ||
            sqlite3_exec(db, "SELECT min(v), max(v), 'ok' FROM t", on_row, &is_one, NULL) !=
                SQLITE_OK ||
            is_one == 0 ||
            sqlite3_exec(db,
                "SELECT min(v), max(v), CASE sum(length(pad)) WHEN count(*) * 900 THEN 'ok' END "
                "FROM t",
                on_row, &is_one, NULL) != SQLITE_OK ||
            is_one == 0) {
            (void)printf("# reader: %s\n", sqlite3_errmsg(db));
            atomic_store(&wrong, true);
        }
        (void)sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
        atomic_fetch_add(&reads, 1);
    }
    (void)sqlite3_close(db);
    return NULL;
}

static void *fold_on(void *argument)
{
    struct err err = ERR_INIT;

    while (!atomic_load(&over)) {
        struct fold *fold = NULL;
        bool done = false;
        int rc = fold_begin(family, 3, &fold, &err);

        while (rc == 0 && fold != NULL && !done)
            rc = fold_step(fold, 8, &done, &err);
        fold_end(fold);
        if (rc < 0 && err.code != ERR_CONFLICT) {
            (void)printf("# fold: %s\n", err.msg);
            atomic_store(&wrong, true);
        }
        atomic_fetch_add(&folds, done);
    }
    return NULL;
}

static bool commit(struct branch *branch, int number)
{
    char sql[200];

    (void)snprintf(sql, sizeof(sql), "UPDATE t SET v = %d, pad = randomblob(900)", number);
    return branch_run(branch, sql) == SQLITE_OK;
}

/* Lets readers rest until all is checkpointed; they go on before the freeze. */
static void checkpoint_all(void)
{
    atomic_store(&pause_reading, true);
    while (branch_checkpoint(&parent, SQLITE_CHECKPOINT_FULL) == SQLITE_BUSY)
        (void)sched_yield();
    atomic_store(&pause_reading, false);
}

static bool branch_once(int number, struct err *err)
{
    struct branch child = {.live = true};
    uint64_t log_bytes;
    bool right;

    family_new_id(child.head_id);
    (void)snprintf(child.ref, sizeof(child.ref), "b%d", number);
    /* readers are in the way nearly always: then the child takes the log along */
    if (number % 2 == 0)
        (void)branch_checkpoint(&parent, SQLITE_CHECKPOINT_PASSIVE);
    else
        checkpoint_all();
    right = branch_run(&parent, "BEGIN IMMEDIATE") == SQLITE_OK;
    log_bytes = vfs_head_is_settled(parent.head) ? 0 : vfs_head_wal_bytes(parent.head);
    right = right &&
            family_branch(family, parent.head_id, child.ref, child.head_id, log_bytes, err) == 0;
    branch_go_on(&parent);
    right = right && branch_open(&child, family, NULL, err) == 0 && commit(&child, -number);
    branch_close(&child);
    if (right && number % 3 != 0)
        right = family_remove_head(family, child.head_id, err) == 0;
    return right;
}

int main(void)
{
    pthread_t readers[READERS], folder;
    struct err err = ERR_INIT;
    bool right = true;
    char sql[200];

    log_set_level(LOG_ERROR);
    CHECK(scratch_make(data, sizeof(data), "/tmp") == 0);
    CHECK(account_install(&err) == 0 && vfs_register(&err) == 0);
    vfs_io_hooks = &quick;
    family_new_id(family_id);
    family_new_id(parent.head_id);
    (void)snprintf(sql, sizeof(sql),
        "CREATE TABLE t(k INTEGER PRIMARY KEY, v, pad); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
        "SELECT i + 1 FROM n WHERE i < %d) INSERT INTO t SELECT i, 0, zeroblob(900) FROM n",
        WIDE);
    ok(family_create(data, family_id, parent.head_id, &err) == 0 &&
            family_open(data, family_id, &family, &err) == 0 &&
            branch_open(&parent, family, NULL, &err) == 0 && branch_run(&parent, sql) == SQLITE_OK,
        "a family");
    for (int i = 0; i < READERS; i++)
        thread_start(&readers[i], "reader", read_on, NULL);
    thread_start(&folder, "folder", fold_on, NULL);
    for (int i = 1; (i <= COMMITS || atomic_load(&folds) == 0) && right && !atomic_load(&wrong);
         i++) {
        right = commit(&parent, i);
        if (right && i % 3 == 0)
            (void)branch_checkpoint(&parent, SQLITE_CHECKPOINT_PASSIVE);
        if (right && i % 5 == 0)
            right = branch_once(i, &err);
    }
    atomic_store(&over, true);
    for (int i = 0; i < READERS; i++)
        thread_join(readers[i]);
    thread_join(folder);
    ok(right, "the writer goes on: %s", err.msg);
    ok(!atomic_load(&wrong) && atomic_load(&reads) > 0, "%u reads and %u folds beside it",
        atomic_load(&reads), atomic_load(&folds));
    branch_close(&parent);
    family_release(family);
    (void)scratch_remove(data);
    return done_testing();
}
