/* Streams beside everybody else: closing at any time, the write lock, the log's length, answers
 * that do not wait for a neighbour. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tests/lib/engine_fixture.h"
#include "tests/lib/tap.h"

#define STREAMS 8
#define ENDLESS                                                                                    \
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c"

static struct fixture fixture;

static void on_alarm(int signal)
{
    static const char text[] = "Bail out! an answer never came\n";

    (void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
    _exit(1);
}

/* The first request waits for the database to open; the client goes away meanwhile. */
static void test_close_early(void)
{
    unsigned wrong = 0;

    for (unsigned i = 0; i < 20; i++) {
        struct database *database = fixture_database(&fixture, "early", 100 + i);
        struct stream *stream = fixture_stream(&fixture, database);
        struct call calls[2];

        for (int c = 0; c < 2; c++) {
            call_init(&calls[c], &fixture);
            calls[c].request.stream = stream;
            call_add(&calls[c], "SELECT 1");
            call_submit(&calls[c], &fixture, database);
        }
        stream_close(fixture.engine, stream);
        for (int c = 0; c < 2; c++) {
            call_wait(&calls[c]);
            if (calls[c].request.err.code != ERR_STREAM_EXPIRED &&
                calls[c].request.err.code != ERR_NONE)
                wrong++;
            call_fini(&calls[c]);
        }
        database_unref(database);
    }
    is_int(wrong, 0, "a stream closed while its database opens answers what was asked");
}

/* Its database cannot be opened. */
static void test_close_of_broken(void)
{
    struct database *database = fixture_database(&fixture, "broken", 1);
    struct stream *stream = fixture_stream(&fixture, database);
    struct call call;

    database->state = DATABASE_LIVE; /* and has no folder */
    call_init(&call, &fixture);
    call.request.stream = stream;
    call_add(&call, "SELECT 1");
    call_submit(&call, &fixture, database);
    stream_close(fixture.engine, stream);
    call_wait(&call);
    ok(call.request.err.code != ERR_NONE, "a stream on a database that does not open: %s",
        err_code_name(call.request.err.code));
    call_fini(&call);
    database_unref(database);
}

static void test_log_is_bounded(void)
{
    struct database *database = fixture_database(&fixture, "log", 2);
    struct stream *stream = fixture_stream(&fixture, database);
    struct engine_stats stats;

    (void)in_stream(&fixture, stream, "CREATE TABLE t (a)");
    for (int i = 0; i < 400; i++)
        (void)in_stream(&fixture, stream, "INSERT INTO t VALUES (randomblob(40000))");
    engine_stats(fixture.engine, &stats);
    ok(stats.wal_bytes < (6U << 20), "16 MB written by streams alone leave a log of %llu bytes",
        (unsigned long long)stats.wal_bytes);
    stream_close(fixture.engine, stream);
    database_unref(database);
}

/* Reads as a loop does. */
static bool sees_a_row(struct database *database)
{
    struct call call;
    bool sees;

    call_init(&call, &fixture);
    call_add(&call, "SELECT count(*) FROM t");
    if (!call_try_here(&call, &fixture, database))
        call_submit(&call, &fixture, database);
    call_wait(&call);
    sees = strcmp(call_text(&call), "1\n") == 0;
    call_fini(&call);
    return sees;
}

static void test_commit_goes_out(void)
{
    struct database *database = fixture_database(&fixture, "goes", 3);
    struct stream *stream = fixture_stream(&fixture, database);
    struct call call;
    uint64_t started;

    (void)in_stream(&fixture, stream, "CREATE TABLE t (a)");
    for (int i = 0; i < 3; i++)
        (void)sees_a_row(database); /* known to be cheap from now on */
    call_init(&call, &fixture);
    call.request.stream = stream;
    call_add(&call, "INSERT INTO t VALUES (1)");
    call_add(&call, ENDLESS);
    started = clock_now_ms();
    call_submit(&call, &fixture, database);
    while (!sees_a_row(database))
        ;
    ok(clock_now_ms() - started < 5000,
        "who reads a commit does not wait for the rest of its batch");
    engine_cancel(fixture.engine, &call.request);
    call_wait(&call);
    call_fini(&call);
    stream_close(fixture.engine, stream);
    database_unref(database);
}

static void test_slow_write_waits(void)
{
    static const char slow[] = "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT "
                               "n + 1 FROM c WHERE n < 300000) SELECT max(n) FROM c";
    struct database *database = fixture_database(&fixture, "slow", 4);
    struct stream *stream = fixture_stream(&fixture, database);
    enum err_code code;
    uint64_t started;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    (void)run_sql(&fixture, database, slow, NULL); /* known to be slow from now on */
    (void)in_stream(&fixture, stream, "BEGIN IMMEDIATE");
    started = clock_now_ms();
    (void)run_sql(&fixture, database, slow, &code);
    is_str(err_code_name(code), "busy", "a slow write does not wait for a lock for ever");
    ok(clock_now_ms() - started < 5000, "but for --lock-wait");
    (void)in_stream(&fixture, stream, "COMMIT");
    (void)run_sql(&fixture, database, slow, &code);
    is_int(code, ERR_NONE, "and runs when the lock is free");
    stream_close(fixture.engine, stream);
    database_unref(database);
}

/* A tick takes the time once; what it looks at later may have been used since. */
static void test_tick_behind(void)
{
    struct database *database = fixture_database(&fixture, "tick", 5);
    struct stream *stream = fixture_stream(&fixture, database);

    (void)in_stream(&fixture, stream, "BEGIN");
    engine_tick(fixture.engine, clock_now_ns() - NS_PER_S);
    is_int(in_stream(&fixture, stream, "SELECT 1"), ERR_NONE,
        "a transaction younger than the tick is not too old");
    stream_close(fixture.engine, stream);
    database_unref(database);
}

/* The opening of a database, held until the test says so. */
static struct {
    void (*done)(void *argument, const struct err *err);
    void *argument;
    atomic_bool holds;
    atomic_bool held;
} opening;

static void on_live(void *catalogue, struct database *database,
    void (*done)(void *argument, const struct err *err), void *argument)
{
    if (!atomic_load(&opening.holds)) {
        done(argument, NULL);
        return;
    }
    opening.done = done;
    opening.argument = argument;
    atomic_store(&opening.held, true);
}

/* Sessions whose first requests wait for the database to open count, each once. */
static void test_most_sessions(void)
{
    struct database *database = fixture_database(&fixture, "most", 6);
    struct stream *streams[STREAMS + 3];
    struct call calls[STREAMS + 3];
    struct call again;
    unsigned done = 0;
    unsigned refused = 0;

    atomic_store(&opening.holds, true);
    for (unsigned i = 0; i < ARRAY_LEN(streams); i++) {
        streams[i] = fixture_stream(&fixture, database);
        call_init(&calls[i], &fixture);
        calls[i].request.stream = streams[i];
        call_add(&calls[i], "SELECT 1");
        call_submit(&calls[i], &fixture, database);
        if (i == 0) { /* a second request of a session that waits */
            call_init(&again, &fixture);
            again.request.stream = streams[i];
            call_add(&again, "SELECT 1");
            call_submit(&again, &fixture, database);
        }
    }
    while (!atomic_load(&opening.held))
        (void)poll(NULL, 0, 1);
    atomic_store(&opening.holds, false);
    opening.done(opening.argument, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(streams); i++) {
        call_wait(&calls[i]);
        done += calls[i].request.err.code == ERR_NONE;
        refused += calls[i].request.err.code == ERR_OVERLOADED;
        call_fini(&calls[i]);
    }
    call_wait(&again);
    is_int(again.request.err.code, ERR_NONE, "a session has several requests");
    call_fini(&again);
    is_int(done, STREAMS, "so many sessions as there may be wait for an opening");
    is_int(refused, 3, "the others are refused");
    is_int(in_stream(&fixture, streams[STREAMS], "SELECT 1"), ERR_NONE,
        "then, a lane that is not needed changes hands");
    for (unsigned i = 0; i < STREAMS; i++) {
        enum err_code code;

        /* A lane changes hands when its turn is over, which may be a moment after the answer. */
        while ((code = in_stream(&fixture, streams[i], "BEGIN")) == ERR_OVERLOADED)
            (void)poll(NULL, 0, 1);
        CHECK(code == ERR_NONE);
    }
    is_int(in_stream(&fixture, streams[STREAMS], "SELECT 1"), ERR_OVERLOADED,
        "but not one in a transaction");
    stream_close(fixture.engine, streams[0]);
    while (in_stream(&fixture, streams[STREAMS], "SELECT 1") != ERR_NONE)
        (void)poll(NULL, 0, 1);
    ok(true, "until one of them has closed");
    for (unsigned i = 1; i < ARRAY_LEN(streams); i++)
        stream_close(fixture.engine, streams[i]);
    database_unref(database);
}

int main(void)
{
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(120);
    fixture_init(&fixture);
    fixture.options.wal_soft_bytes = 256 << 10;
    fixture.options.lock_wait_ms = 300;
    fixture.options.short_steps = 100000;
    fixture.options.streams_per_database = STREAMS;
    fixture_start(&fixture);
    engine_on_live(fixture.engine, on_live, NULL);
    test_tick_behind();
    test_most_sessions();
    test_close_early();
    test_close_of_broken();
    test_log_is_bounded();
    test_commit_goes_out();
    test_slow_write_waits();
    fixture_stop(&fixture);
    fixture_remove(&fixture);
    return done_testing();
}
