/* Texts that take long to compile: tried on a fast worker once, then on slow ones, until they are
 * cached or the schema changes. */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tenants/base/metrics.h"
#include "tests/lib/engine_fixture.h"
#include "tests/lib/tap.h"

#define TABLES 60
#define CACHED 4
#define REPEATS 60
#define ROUNDS 11
#define ONCE "(SELECT count(*) FROM v)" /* about a millisecond */
#define LONG "SELECT " ONCE "+" ONCE

static struct fixture fixture;
static atomic_int row_nice; /* of the thread that made the last row: slow workers are nice */

static void on_alarm(int signal)
{
    static const char text[] = "Bail out! an answer never came\n";

    (void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
    _exit(1);
}

static void on_row(struct sink *sink, const struct value *values, unsigned count)
{
    atomic_store(&row_nice, getpriority(PRIO_PROCESS, 0));
}

/* True: it ran on a slow worker. */
static bool runs_slow(struct database *database, const char *sql)
{
    struct call call;
    struct sink_ops ops;

    call_init(&call, &fixture);
    ops = *call.sink.ops;
    ops.row = on_row;
    call.sink.ops = &ops;
    call_add(&call, sql);
    call_submit(&call, &fixture, database);
    call_wait(&call);
    if (call.request.err.code != ERR_NONE)
        ok(false, "%s: %s", sql, call.request.err.msg);
    call_fini(&call);
    return atomic_load(&row_nice) > 0;
}

/* A join of many tables takes long to plan, and has a small program; the table is empty. */
static void make_view(struct database *database)
{
    char sql[4096];
    int len = snprintf(sql, sizeof(sql), "CREATE VIEW v AS SELECT t0.a FROM t AS t0");

    for (int i = 1; i < TABLES; i++)
        len += snprintf(sql + len, sizeof(sql) - (size_t)len, ", t AS t%d", i);
    for (int i = 1; i < TABLES; i++)
        len += snprintf(sql + len, sizeof(sql) - (size_t)len, " %s t%d.a = t%d.b",
            i == 1 ? "WHERE" : "AND", i, i - 1);
    (void)run_sql(&fixture, database, "CREATE TABLE t (a, b)", NULL);
    (void)run_sql(&fixture, database, "CREATE INDEX ta ON t (a)", NULL);
    (void)run_sql(&fixture, database, "CREATE INDEX tb ON t (b, a)", NULL);
    (void)run_sql(&fixture, database, "CREATE INDEX tc ON t (a, b)", NULL);
    (void)run_sql(&fixture, database, "CREATE INDEX td ON t (b)", NULL);
    (void)run_sql(&fixture, database, sql, NULL);
}

/* Other statements take its place in the cache. */
static void fill_cache(struct database *database)
{
    char sql[32];

    for (int i = 0; i < 2 * CACHED; i++) {
        (void)snprintf(sql, sizeof(sql), "SELECT %d", i);
        (void)run_sql(&fixture, database, sql, NULL);
    }
}

static uint64_t untried(void)
{
    return metric_counter_get(METRIC_LONG_TEXTS, 0);
}

static uint64_t given_up(void)
{
    return metric_counter_get(METRIC_LONG_COMPILES, 0);
}

/* How often a fast worker gave the text up in that many runs. */
static uint64_t times_tried(struct database *database, const char *sql)
{
    uint64_t before = given_up();

    for (int i = 0; i < REPEATS; i++) {
        fill_cache(database);
        (void)runs_slow(database, sql);
    }
    return given_up() - before;
}

static void test_remembered(void)
{
    struct database *database = fixture_database(&fixture, "long", 1);
    bool slowly = true;
    uint64_t tried;

    make_view(database);
    ok(runs_slow(database, LONG), "a text that compiles long runs on a slow worker");
    for (int i = 0; i < 100 && slowly; i++) /* the lane that has it may be about to be free */
        slowly = runs_slow(database, LONG);
    ok(!slowly, "where it is cached, it is as short as any other");
    fill_cache(database);
    ok(runs_slow(database, LONG), "and no longer when it is not cached");
    tried = times_tried(database, LONG);
    ok(tried < REPEATS / 2, "a fast worker does not try it each time: %llu of %d",
        (unsigned long long)tried, REPEATS);
    database_unref(database);
}

/* The same text, compiled long, then short: on a fast worker, unless that takes long here, too. */
static void test_forgotten(void)
{
    struct database *database = fixture_database(&fixture, "forgotten", 2);
    unsigned tried = 0;
    uint64_t before;
    bool slow = true;

    make_view(database);
    for (int i = 0; i < ROUNDS; i++) {
        (void)runs_slow(database, LONG);
        (void)run_sql(&fixture, database, "DROP VIEW v", NULL);
        (void)run_sql(&fixture, database, "CREATE VIEW v AS SELECT 1 AS x", NULL);
        before = untried();
        (void)runs_slow(database, LONG);
        tried += untried() == before;
        for (int j = 0; j < 100 && slow; j++) {
            fill_cache(database);
            slow = runs_slow(database, LONG);
        }
        (void)run_sql(&fixture, database, "DROP VIEW v", NULL);
        (void)run_sql(&fixture, database, "DROP TABLE t", NULL);
        make_view(database);
    }
    is_int(tried, ROUNDS, "after a change of the schema it is tried again");
    ok(!slow, "and what was taken for long by mistake is forgotten, too");
    database_unref(database);
}

int main(void)
{
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(240);
    fixture_init(&fixture);
    fixture.options.workers = 1;
    fixture.options.cached_statements = CACHED;
    fixture.options.memory_per_database = 1ULL << 30;
    fixture_start(&fixture);
    test_remembered();
    test_forgotten();
    fixture_stop(&fixture);
    fixture_remove(&fixture);
    return done_testing();
}
