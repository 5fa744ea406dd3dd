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

/* ------------------------------------------------------------------ by hand */

static bool over(void *context)
{
    return ++*(int *)context > 3;
}

static void test_schema(void)
{
    static const char *const words[] = {"same", "added", "changed", "removed"};
    struct diff_options options = {.before = NULL};
    const struct diff_object *objects = NULL;
    struct buf list = {.bytes = NULL};
    struct diff_counts counts;
    struct diff *diff = NULL;
    size_t count = 0;
    bool changed = true;
    int asked = 0;

    (void)sqlite3_open(":memory:", &options.before);
    diffed_run(options.before, SCHEMA ";CREATE VIEW w AS SELECT 1; CREATE TABLE big(x, "
                                      "y DEFAULT 'some''thing'); CREATE TABLE _rookery_own(x)");
    options.after = copy_of(options.before);
    diffed_run(options.after,
        "DROP VIEW w; CREATE VIEW w AS SELECT 2; DROP INDEX i1; CREATE TABLE more(a);"
        "INSERT INTO more VALUES (1), (2); INSERT INTO f VALUES ('x'); DROP TABLE t4;"
        "CREATE TRIGGER g AFTER INSERT ON t1 BEGIN SELECT 1; END; DROP TABLE _rookery_own;"
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 9000) INSERT "
        "INTO big SELECT x, hex(zeroblob(50)) FROM n");
    ok(diff_open(&options, &diff, &err) == 0 && diff_schema(diff, &objects, &count, &err) == 0,
        "two schemas are compared");
    for (size_t i = 0; i < count; i++)
        buf_printf(&list, "%s %s %s%s%s; ", words[objects[i].change], objects[i].type,
            objects[i].name, objects[i].sql_before == NULL ? "" : " before",
            objects[i].sql_after == NULL ? "" : " after");
    buf_char(&list, '\0');
    is_str(list.bytes,
        "added table more after; removed table t4 before; removed index i1 before; "
        "changed view w before after; added trigger g after; ",
        "objects that differ");
    buf_fini(&list);
    ok(diff_count(diff, (uint32_t)diff_find_table(diff, "more"), &counts, &err) == 0 &&
            counts.added == 2 && counts.changed + counts.removed == 0,
        "a new table's rows are added ones");
    ok(diff_is_changed(diff, (uint32_t)diff_find_table(diff, "f"), &changed, &err) == 0 && changed,
        "a virtual table changed, as its shadow tables did");
    ok(diff_count(diff, (uint32_t)diff_find_table(diff, "f"), &counts, &err) < 0 &&
            err.code == ERR_NOT_IMPLEMENTED,
        "its rows are not compared");
    ok(diff_is_changed(diff, (uint32_t)diff_find_table(diff, "t1"), &changed, &err) == 0 &&
            !changed,
        "another one did not");
    ok(diff_find_table(diff, "f_data") < 0 && diff_find_table(diff, "_rookery_own") < 0,
        "shadow tables and the server's are left out");
    diff_close(diff);
    options.is_over = over;
    options.context = &asked;
    ok(diff_open(&options, &diff, &err) < 0 && err.code == ERR_BUDGET_TIME, "a budget ends it");
    is_int(asked, 4, "at once");
    (void)sqlite3_close(options.before);
    (void)sqlite3_close(options.after);
}

int main(void)
{
    const char *given = getenv("ROOKERY_SEED");
    uint64_t seed = given == NULL ? clock_now_ns() | 1 : strtoull(given, NULL, 10);

    test_schema();
    (void)printf("# ROOKERY_SEED=%" PRIu64 "\n", seed);
    for (uint64_t i = 0; i < (given == NULL ? HISTORIES : 1); i++)
        test_history(seed + 2 * i);
    return done_testing();
}
