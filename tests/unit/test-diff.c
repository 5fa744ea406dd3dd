/* Diffs against the slow way: random histories of two databases that were one. */
#include "tenants/diff/diff.h"

#include <inttypes.h>

#include "tenants/base/clock.h"
#include "tenants/base/random.h"
#include "tests/lib/histories.h"
#include "tests/lib/tap.h"

#define HISTORIES 60
#define STEPS 40

static struct err err;

static bool is_right(sqlite3 *before, sqlite3 *after)
{
    struct diff_options options = {.before = before, .after = after};
    struct diff *diff;
    bool right = true;

    diffed_run(before, "BEGIN; SELECT count(*) FROM sqlite_schema");
    diffed_run(after, "BEGIN; SELECT count(*) FROM sqlite_schema");
    err = ERR_INIT;
    if (diff_open(&options, &diff, &err) < 0) {
        (void)printf("# diff_open: %s\n", err.msg);
        right = false;
    } else {
        for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
            int at = diff_find_table(diff, tables[i].name);

            if (at >= 0 && diff_table(diff, (uint32_t)at)->change != DIFF_SAME)
                continue; /* other columns: the slow way does not know what they mean */
            right =
                diffed_table_is_right(diff, before, after, &tables[i], below(3) * 7, &err) && right;
        }
        diff_close(diff);
    }
    diffed_run(before, "ROLLBACK");
    diffed_run(after, "ROLLBACK");
    return right;
}

static void test_history(uint64_t seed)
{
    static const int sizes[] = {512, 1024, 4096};
    sqlite3 *db = NULL, *before, *after;
    char sql[200];
    int size;
    bool right;

    state = seed;
    (void)below(2);
    size = sizes[below(3)];
    (void)sqlite3_open(":memory:", &db);
    (void)snprintf(sql, sizeof(sql),
        "PRAGMA page_size = %d; PRAGMA auto_vacuum = %u; PRAGMA secure_delete = %u", size, below(3),
        below(2));
    diffed_run(db, sql);
    diffed_run(db, SCHEMA);
    change(db, STEPS);
    before = copy_of(db);
    after = copy_of(db);
    change(before, below(4) == 0 ? STEPS : below(4));
    change(after, below(3) == 0 ? STEPS : 1 + below(5));
    right = is_right(before, after);
    ok(right, "history of seed %" PRIu64 ", pages of %d", seed, size);
    (void)sqlite3_close(before);
    (void)sqlite3_close(after);
    (void)sqlite3_close(db);
}

int main(void)
{
    const char *given = getenv("ROOKERY_SEED");
    uint64_t seed = given == NULL ? clock_now_ns() | 1 : strtoull(given, NULL, 10);

    (void)printf("# ROOKERY_SEED=%" PRIu64 "\n", seed);
    for (uint64_t i = 0; i < (given == NULL ? HISTORIES : 1); i++)
        test_history(seed + 2 * i);
    return done_testing();
}
