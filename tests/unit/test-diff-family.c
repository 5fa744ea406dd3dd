/* Diffs and merges of branches: which pages may differ, from stacks and logs; the fork point. */
#include "tenants/diff/fork.h"

#include <inttypes.h>

#include "tenants/base/clock.h"
#include "tenants/diff/merge.h"
#include "tenants/layers/fold.h"
#include "tests/lib/branches.h"
#include "tests/lib/histories.h"
#include "tests/lib/scratch.h"
#include "tests/lib/tap.h"

#define HISTORIES 12

static char data[64], family_id[ID_HEX_BYTES];
static struct family *family;
static struct branch main_branch, branch;
static struct err err;

static bool start(void)
{
    memset(&main_branch, 0, sizeof(main_branch));
    family_new_id(family_id);
    family_new_id(main_branch.head_id);
    err = ERR_INIT;
    return family_create(data, family_id, main_branch.head_id, &err) == 0 &&
           family_open(data, family_id, &family, &err) == 0 &&
           branch_open(&main_branch, family, NULL, &err) == 0;
}

static bool fork_main(const char *ref)
{
    bool right;

    memset(&branch, 0, sizeof(branch));
    family_new_id(branch.head_id);
    right = branch_quiet(&main_branch) &&
            family_branch(family, main_branch.head_id, ref, branch.head_id, 0, &err) == 0;
    branch_go_on(&main_branch);
    return right && branch_open(&branch, family, NULL, &err) == 0;
}

static void stop(void)
{
    branch_close(&branch);
    branch_close(&main_branch);
    family_release(family);
}

static struct layer_stack *stack_of(const struct branch *of)
{
    return family_head_stack(of->layers);
}

static bool begin_reading(sqlite3 *db)
{
    return sqlite3_exec(db, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL) ==
           SQLITE_OK;
}

static bool candidates(struct page_set *set)
{
    page_set_init(set);
    if (page_set_add_log(set, main_branch.head, &err) < 0 ||
        page_set_add_log(set, branch.head, &err) < 0)
        return false;
    page_set_add_stacks(set, stack_of(&main_branch), stack_of(&branch));
    return true;
}

/* Pages that differ and are not in the set. */
static int missed_pages(const struct page_set *set)
{
    sqlite3_int64 len_a, len_b;
    unsigned char *a = sqlite3_serialize(main_branch.db, "main", &len_a, 0);
    unsigned char *b = sqlite3_serialize(branch.db, "main", &len_b, 0);
    uint32_t pages = (uint32_t)(MAX(len_a, len_b) / 4096);
    int missed = 0;

    for (uint32_t pgno = 1; pgno <= pages; pgno++) {
        sqlite3_int64 at = (sqlite3_int64)(pgno - 1) * 4096;
        bool same = at < len_a && at < len_b && memcmp(a + at, b + at, 4096) == 0;

        missed += !same && !page_set_has(set, pgno);
    }
    for (uint32_t pgno = page_set_next(set, 1, pages), last = 0; pgno != 0;
         pgno = page_set_next(set, pgno + 1, pages)) {
        missed += pgno <= last || !page_set_has(set, pgno);
        last = pgno;
    }
    sqlite3_free(a);
    sqlite3_free(b);
    return missed;
}

static bool is_right(void)
{
    struct diff_options options = {.before = main_branch.db, .after = branch.db};
    struct page_set set;
    struct diff *diff = NULL;
    bool right = begin_reading(main_branch.db) && begin_reading(branch.db) && candidates(&set);

    if (right && missed_pages(&set) != 0) {
        (void)printf("# pages were missed\n");
        right = false;
    }
    options.pages = &set;
    if (right && diff_open(&options, &diff, &err) < 0) {
        (void)printf("# %s\n", err.msg);
        right = false;
    }
    for (size_t i = 0; right && i < ARRAY_LEN(tables); i++) {
        int at = diff_find_table(diff, tables[i].name);

        if (at >= 0 && diff_table(diff, (uint32_t)at)->change == DIFF_SAME)
            right = diffed_table_is_right(
                diff, main_branch.db, branch.db, &tables[i], below(2) * 9, &err);
    }
    diff_close(diff);
    page_set_fini(&set);
    (void)branch_run(&main_branch, "ROLLBACK");
    (void)branch_run(&branch, "ROLLBACK");
    return right;
}

static void change_and_settle(struct branch *of, uint32_t steps)
{
    for (uint32_t i = 0; i < steps; i++) {
        change(of->db, 1 + below(3));
        if (below(3) == 0)
            (void)branch_checkpoint(of, SQLITE_CHECKPOINT_FULL + (int)below(3));
    }
}

static void fold_all(void)
{
    struct fold *fold = NULL;
    bool done = false;

    if (fold_begin(family, 2, &fold, &err) < 0 || fold == NULL)
        return;
    while (!done && fold_step(fold, 100, &done, &err) == 0)
        ;
    fold_end(fold);
}

static bool fork_is(const void *bytes, sqlite3_int64 len)
{
    struct fork *fork;
    sqlite3_int64 now;
    unsigned char *got;
    bool right;

    if (fork_open(stack_of(&main_branch), stack_of(&branch), data, &fork, &err) < 0) {
        (void)printf("# fork: %s\n", err.msg);
        return false;
    }
    got = sqlite3_serialize(fork_db(fork), "main", &now, 0);
    right = got != NULL && now == len && memcmp(got, bytes, (size_t)len) == 0;
    sqlite3_free(got);
    fork_close(fork);
    return right;
}

static void test_history(uint64_t seed)
{
    unsigned char *at_fork;
    sqlite3_int64 len;
    char sql[60];

    state = seed;
    (void)below(2);
    ok(start(), "a family");
    (void)snprintf(sql, sizeof(sql), "PRAGMA auto_vacuum = %u", below(3));
    diffed_run(main_branch.db, sql);
    diffed_run(main_branch.db, SCHEMA);
    change(main_branch.db, 20);
    for (uint32_t i = below(3); i > 0; i--) { /* deeper stacks */
        (void)snprintf(sql, sizeof(sql), "older%u", i);
        ok(fork_main(sql), "an older branch");
        branch_close(&branch);
        change_and_settle(&main_branch, 2);
    }
    ok(fork_main("pr"), "a branch");
    at_fork = sqlite3_serialize(branch.db, "main", &len, 0);
    ok(is_right(), "nothing differs");
    change_and_settle(&branch, below(5));
    change_and_settle(&main_branch, below(4));
    ok(is_right(), "diff of seed %" PRIu64, seed);
    fold_all();
    ok(is_right(), "after a fold");
    ok(fork_is(at_fork, len), "the fork point is what the branch began with");
    sqlite3_free(at_fork);
    stop();
}

/* ------------------------------------------------------------------ cost */

static void test_cost(void)
{
    struct diff_options options;
    struct diff_counts counts = {.added = 0};
    struct page_set set;
    struct diff *diff = NULL;
    struct diff_work work;
    uint64_t pages;

    ok(start(), "a family");
    diffed_run(main_branch.db,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, pad, v); CREATE INDEX i ON t(v); WITH RECURSIVE "
        "n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 60000) INSERT INTO t SELECT x, "
        "hex(zeroblob(60)), x FROM n");
    ok(fork_main("pr"), "a branch");
    diffed_run(branch.db, "UPDATE t SET v = -v WHERE id % 6000 = 1; DELETE FROM t WHERE id = 77;"
                          "INSERT INTO t VALUES (100000, 'new', 0)");
    options = (struct diff_options){.before = main_branch.db, .after = branch.db, .pages = &set};
    pages = vfs_head_main_bytes(main_branch.head) / 4096;
    ok(begin_reading(main_branch.db) && begin_reading(branch.db) && candidates(&set) &&
            diff_open(&options, &diff, &err) == 0 && diff_count(diff, 0, &counts, &err) == 0,
        "compared");
    ok(counts.changed == 10 && counts.removed == 1 && counts.added == 1, "rows are counted");
    work = diff_work(diff);
    (void)printf("# %" PRIu64 " pages, %" PRIu64 " differ, %" PRIu64 " read, %" PRIu64 " keys\n",
        pages, work.pages_differ, work.pages_read, work.keys);
    ok(pages > 2000 && work.pages_differ < 60, "few of many pages differ");
    /* both versions to compare, both to take keys from or to see that it is an index's */
    ok(work.pages_read < 4 * work.pages_differ + pages / 100 + 20,
        "only those are read, and the inner pages of the table");
    is_int((int)work.keys, 12, "only the keys that changed are looked up");
    diff_close(diff);
    page_set_fini(&set);
    stop();
}

/* ------------------------------------------------------------------ merging */

static void test_merge(void)
{
    struct merge_options options = {.parent = main_branch.db, .policy = MERGE_FAIL};
    struct merge_result result = {.applied = false};
    struct page_set set;
    struct fork *fork = NULL;
    sqlite3_stmt *row = NULL;
    bool right;

    ok(start(), "a family");
    diffed_run(main_branch.db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES "
                               "(1, 'a'), (2, 'b'), (3, 'c')");
    ok(fork_main("pr"), "a branch");
    diffed_run(main_branch.db, "UPDATE t SET v = 'p' WHERE id = 1");
    diffed_run(branch.db, "UPDATE t SET v = 'q' WHERE id = 2; DELETE FROM t WHERE id = 3");
    page_set_init(&set);
    ok(fork_open(stack_of(&main_branch), stack_of(&branch), data, &fork, &err) == 0 &&
            begin_reading(branch.db) && page_set_add_log(&set, branch.head, &err) == 0,
        "the fork point is opened");
    page_set_add_stacks(&set, fork_stack(fork), stack_of(&branch));
    options.base = fork_db(fork);
    options.branch = branch.db;
    options.parent = main_branch.db;
    options.branch_pages = &set;
    diffed_run(main_branch.db, "BEGIN IMMEDIATE");
    ok(merge_run(&options, &result, &err) == 0 && result.applied && result.updated == 1 &&
            result.deleted == 1,
        "a branch is merged");
    diffed_run(main_branch.db, "COMMIT");
    fork_close(fork);
    page_set_fini(&set);
    (void)branch_run(&branch, "ROLLBACK");
    right = sqlite3_prepare_v2(main_branch.db, "SELECT group_concat(id || v) FROM t", -1, &row,
                NULL) == SQLITE_OK &&
            sqlite3_step(row) == SQLITE_ROW;
    is_str(right ? (const char *)sqlite3_column_text(row, 0) : NULL, "1p,2q", "rows of both");
    (void)sqlite3_finalize(row);
    stop();
}

static void test_strangers(void)
{
    struct branch other = {.live = true};
    struct family *second = NULL;
    char id[ID_HEX_BYTES];
    struct fork *fork;

    ok(start() && fork_main("pr"), "a family");
    family_new_id(id);
    family_new_id(other.head_id);
    ok(family_create(data, id, other.head_id, &err) == 0 &&
            family_open(data, id, &second, &err) == 0 &&
            branch_open(&other, second, NULL, &err) == 0,
        "another one");
    ok(fork_open(stack_of(&other), stack_of(&branch), data, &fork, &err) < 0 &&
            err.code == ERR_BAD_REQUEST,
        "they have no common past");
    branch_close(&other);
    family_release(second);
    stop();
}

int main(void)
{
    const char *given = getenv("ROOKERY_SEED");
    uint64_t seed = given == NULL ? clock_now_ns() | 1 : strtoull(given, NULL, 10);

    ok(scratch_make(data, sizeof(data), "/tmp") == 0 && vfs_register(&err) == 0, "a folder");
    test_cost();
    test_merge();
    test_strangers();
    (void)printf("# ROOKERY_SEED=%" PRIu64 "\n", seed);
    for (uint64_t i = 0; i < (given == NULL ? HISTORIES : 1); i++)
        test_history(seed + 2 * i);
    (void)scratch_remove(data);
    return done_testing();
}
