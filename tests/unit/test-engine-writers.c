/* The writers' turn: the order in which streams and autocommit writes get the write lock, who loses
 * it, and what is told to whom. */
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/metrics.h"
#include "tests/lib/engine_fixture.h"
#include "tests/lib/tap.h"

#define STEAL_MS 60000 /* made to pass by the ticks' time */
#define ENDLESS                                                                                    \
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c"

static struct fixture fixture;

static void on_alarm(int signal)
{
    static const char text[] = "Bail out! an answer never came\n";

    (void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
    _exit(1);
}

static void start(
    struct call *call, struct database *database, struct stream *stream, const char *sql)
{
    call_init(call, &fixture);
    call->request.stream = stream;
    call_add(call, sql);
    call_submit(call, &fixture, database);
}

static enum err_code finish(struct call *call)
{
    enum err_code code;

    call_wait(call);
    code = call->request.err.code;
    call_fini(call);
    return code;
}

static void wait_until_waiting(int64_t lanes)
{
    while (metric_gauge_get(METRIC_LOCK_WAITING, 0) != lanes)
        (void)poll(NULL, 0, 1);
}

/* As the ticker does, so much later. */
static void tick_later(uint64_t ms)
{
    engine_tick(fixture.engine, clock_now_ns() + ms * NS_PER_MS);
}

static void close_stream(struct stream *stream)
{
    stream_close(fixture.engine, stream);
}

static void test_order(void)
{
    struct database *database = fixture_database(&fixture, "order", 1);
    struct stream *holder = fixture_stream(&fixture, database);
    struct stream *streams[3];
    struct call calls[3];
    struct call autocommit;

    (void)run_sql(&fixture, database, "CREATE TABLE t (who TEXT)", NULL);
    (void)in_stream(&fixture, holder, "BEGIN IMMEDIATE");
    for (int i = 0; i < 3; i++)
        streams[i] = fixture_stream(&fixture, database);
    start(&calls[0], database, streams[0], "BEGIN IMMEDIATE");
    wait_until_waiting(1);
    start(&autocommit, database, NULL, "INSERT INTO t VALUES ('autocommit')");
    wait_until_waiting(2);
    start(&calls[1], database, streams[1], "INSERT INTO t VALUES ('stream, autocommit')");
    wait_until_waiting(3);
    is_int(in_stream(&fixture, streams[2], "BEGIN"), ERR_NONE, "a transaction begins");
    start(&calls[2], database, streams[2], "INSERT INTO t VALUES ('deferred')");
    wait_until_waiting(4);
    (void)in_stream(&fixture, holder, "COMMIT");
    is_int(finish(&calls[0]), ERR_NONE, "the first in line gets the lock");
    wait_until_waiting(3);
    ok(!call_is_done(&autocommit) && !call_is_done(&calls[1]) && !call_is_done(&calls[2]),
        "and the others wait on");
    (void)in_stream(&fixture, streams[0], "INSERT INTO t VALUES ('first')");
    (void)in_stream(&fixture, streams[0], "COMMIT");
    is_int(finish(&autocommit), ERR_NONE, "a statement by itself");
    is_int(finish(&calls[1]), ERR_NONE, "one of a stream");
    is_int(finish(&calls[2]), ERR_NONE, "a deferred transaction's first write");
    is_int(in_stream(&fixture, streams[2], "COMMIT"), ERR_NONE, "which commits");
    is_str(run_sql(&fixture, database, "SELECT group_concat(who) FROM t", NULL),
        "first,autocommit,stream, autocommit,deferred\n", "each in its turn");
    close_stream(holder);
    for (int i = 0; i < 3; i++)
        close_stream(streams[i]);
    database_unref(database);
}

/* Autocommit writes that never end, beside one stream that wants the lock again and again. */
#define BUSY_CALLS 16

struct endless {
    struct database *database;
    struct call calls[BUSY_CALLS];
    atomic_bool stops;
    atomic_uint running;
    atomic_uint done;
    atomic_uint failed;
};

static void again(struct request *request)
{
    struct endless *endless = request->owner;
    unsigned at = (unsigned)(CONTAINER_OF(request, struct call, request) - endless->calls);

    (void)atomic_fetch_add(&endless->done, 1);
    if (request->err.code != ERR_NONE)
        (void)atomic_fetch_add(&endless->failed, 1);
    buf_truncate(&endless->calls[at].sink.out, 0);
    if (atomic_load(&endless->stops))
        (void)atomic_fetch_sub(&endless->running, 1);
    else
        engine_submit(fixture.engine, endless->database, request);
}

static void test_no_starvation(void)
{
    static struct endless endless;
    struct stream *stream;
    unsigned worst = 0;

    endless.database = fixture_database(&fixture, "endless", 2);
    stream = fixture_stream(&fixture, endless.database);
    (void)run_sql(&fixture, endless.database, "CREATE TABLE t (a)", NULL);
    atomic_store(&endless.running, BUSY_CALLS);
    for (int i = 0; i < BUSY_CALLS; i++) {
        call_init(&endless.calls[i], &fixture);
        call_add(&endless.calls[i], "INSERT INTO t VALUES (1)");
        endless.calls[i].request.owner = &endless;
        endless.calls[i].request.done = again;
        engine_submit(fixture.engine, endless.database, &endless.calls[i].request);
    }
    for (int i = 0; i < 100; i++) {
        unsigned before = atomic_load(&endless.done);
        unsigned after;

        if (in_stream(&fixture, stream, "BEGIN IMMEDIATE") != ERR_NONE)
            worst = 1000000;
        after = atomic_load(&endless.done);
        worst = MAX(worst, after - before);
        (void)in_stream(&fixture, stream, "INSERT INTO t VALUES (2)");
        if (in_stream(&fixture, stream, i % 2 == 0 ? "COMMIT" : "ROLLBACK") != ERR_NONE)
            worst = 1000000;
        while (atomic_load(&endless.done) == after)
            (void)poll(NULL, 0, 1); /* they get their turn, too */
    }
    atomic_store(&endless.stops, true);
    while (atomic_load(&endless.running) > 0)
        (void)poll(NULL, 0, 1);
    /* Before it stood in line any number may have passed: a worker had to run it first. */
    (void)printf("# at most %u writes passed a transaction\n", worst);
    ok(worst < 1000000, "100 transactions beside writes that never end");
    is_int((long long)atomic_load(&endless.failed), 0, "of which none failed");
    is_str(run_sql(&fixture, endless.database, "SELECT count(*) FROM t WHERE a = 2", NULL), "50\n",
        "half of them committed");
    close_stream(stream);
    for (int i = 0; i < BUSY_CALLS; i++)
        call_fini(&endless.calls[i]);
    database_unref(endless.database);
}

static void test_steal(void)
{
    struct database *database = fixture_database(&fixture, "steal", 3);
    struct stream *holder = fixture_stream(&fixture, database);
    uint64_t stolen = metric_counter_get(METRIC_TRANSACTIONS_ENDED, 2);
    struct call call;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    (void)in_stream(&fixture, holder, "BEGIN IMMEDIATE");
    (void)in_stream(&fixture, holder, "INSERT INTO t VALUES (1)");
    tick_later(STEAL_MS + 1);
    is_int(in_stream(&fixture, holder, "INSERT INTO t VALUES (1)"), ERR_NONE,
        "a transaction may be old while nobody else writes");
    start(&call, database, NULL, "INSERT INTO t VALUES (2)");
    wait_until_waiting(1);
    tick_later(STEAL_MS - 1000);
    is_int(in_stream(&fixture, holder, "INSERT INTO t VALUES (1)"), ERR_NONE, "or young");
    ok(!call_is_done(&call), "who waits does so");
    tick_later(STEAL_MS + 1);
    is_int(finish(&call), ERR_NONE, "then the lock changes hands");
    ok(stream_has_state(holder), "the stream has to be told");
    is_str(err_code_name(in_stream(&fixture, holder, "INSERT INTO t VALUES (1)")),
        "transaction_timeout", "which its next request is, whatever it asks");
    ok(!stream_has_state(holder) && stream_is_autocommit(holder), "once");
    is_int(in_stream(&fixture, holder, "COMMIT"), ERR_SQL, "and there is nothing to commit");
    is_int(in_stream(&fixture, holder, "INSERT INTO t VALUES (3)"), ERR_NONE, "it goes on");
    is_str(run_sql(&fixture, database, "SELECT group_concat(a) FROM t", NULL), "2,3\n",
        "without what it had written");
    is_int((long long)(metric_counter_get(METRIC_TRANSACTIONS_ENDED, 2) - stolen), 1, "counted");
    close_stream(holder);
    database_unref(database);
}

/* What it runs when it is too old ends, and with it the rest of the request. */
static void test_steal_of_running(void)
{
    struct database *database = fixture_database(&fixture, "running", 4);
    struct stream *holder = fixture_stream(&fixture, database);
    struct call running;
    struct call call;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    (void)in_stream(&fixture, holder, "BEGIN");
    (void)in_stream(&fixture, holder, "INSERT INTO t VALUES (1)");
    call_init(&running, &fixture);
    running.request.stream = holder;
    running.request.mode = MODE_CONTINUE;
    call_add(&running, ENDLESS);
    call_add(&running, "INSERT INTO t VALUES (9)");
    call_submit(&running, &fixture, database);
    start(&call, database, NULL, "INSERT INTO t VALUES (2)");
    wait_until_waiting(1);
    tick_later(STEAL_MS + 1);
    is_int(finish(&call), ERR_NONE, "a statement that runs does not keep the lock");
    call_wait(&running);
    /* Or it was on its way to a slow worker: then its error is the request's alone. */
    ok(strcmp(call_text(&running), "!transaction_timeout\n") == 0 || call_text(&running)[0] == '\0',
        "it is ended, and nothing runs after it");
    is_int(finish(&running), ERR_TRANSACTION_TIMEOUT, "the request fails");
    is_int(in_stream(&fixture, holder, "SELECT 1"), ERR_NONE, "and its client has been told");
    is_str(run_sql(&fixture, database, "SELECT group_concat(a) FROM t", NULL), "2\n",
        "none of it is left");
    close_stream(holder);
    database_unref(database);
}

/* A commit in the same request ends the transaction before it can be taken away. */
static void test_not_stolen_after_commit(void)
{
    struct database *database = fixture_database(&fixture, "after", 5);
    struct stream *holder = fixture_stream(&fixture, database);
    struct call running;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    (void)in_stream(&fixture, holder, "BEGIN IMMEDIATE");
    call_init(&running, &fixture);
    running.request.stream = holder;
    call_add(&running, "COMMIT");
    call_add(&running, ENDLESS);
    call_submit(&running, &fixture, database);
    while (run_sql(&fixture, database, "INSERT INTO t VALUES (1)", NULL)[0] != '=')
        ;
    tick_later(STEAL_MS + 1);
    ok(!call_is_done(&running), "a statement after the commit is not ended");
    engine_cancel(fixture.engine, &running.request);
    is_int(finish(&running), ERR_CANCELLED, "but when its client goes");
    close_stream(holder);
    database_unref(database);
}

/* Who waits and goes away neither waits on nor writes. */
static void test_gone(void)
{
    struct database *database = fixture_database(&fixture, "gone", 6);
    struct stream *holder = fixture_stream(&fixture, database);
    struct stream *gone = fixture_stream(&fixture, database);
    struct stream *cancelled = fixture_stream(&fixture, database);
    struct call calls[2];

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    (void)in_stream(&fixture, holder, "BEGIN IMMEDIATE");
    start(&calls[0], database, gone, "INSERT INTO t VALUES (1)");
    start(&calls[1], database, cancelled, "INSERT INTO t VALUES (2)");
    wait_until_waiting(2);
    close_stream(gone);
    is_int(finish(&calls[0]), ERR_STREAM_EXPIRED, "a closed stream does not wait on");
    engine_cancel(fixture.engine, &calls[1].request);
    is_int(finish(&calls[1]), ERR_CANCELLED, "nor a cancelled request");
    wait_until_waiting(0);
    (void)in_stream(&fixture, holder, "COMMIT");
    is_int(in_stream(&fixture, cancelled, "BEGIN IMMEDIATE"), ERR_NONE, "the lock is free");
    close_stream(cancelled); /* with the lock */
    is_str(run_sql(&fixture, database, "INSERT INTO t VALUES (3)", NULL), "=1\n",
        "a stream that is closed gives it back at once");
    is_str(run_sql(&fixture, database, "SELECT group_concat(a) FROM t", NULL), "3\n",
        "and wrote nothing");
    close_stream(holder);
    database_unref(database);
}

static int native_in_stream(struct stream *stream, const char *sql)
{
    struct call call;
    int native;

    start(&call, NULL, stream, sql);
    call_wait(&call);
    native = call.request.err.native;
    call_fini(&call);
    return native;
}

/* Who has read what was changed since can never write: no wait helps. */
static void test_old_snapshot(void)
{
    struct database *database = fixture_database(&fixture, "snapshot", 7);
    struct stream *holder = fixture_stream(&fixture, database);
    struct stream *old = fixture_stream(&fixture, database);
    struct stream *current = fixture_stream(&fixture, database);
    struct call call;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    (void)in_stream(&fixture, old, "BEGIN");
    (void)in_stream(&fixture, old, "SELECT * FROM t");
    (void)run_sql(&fixture, database, "INSERT INTO t VALUES (1)", NULL);
    is_int(native_in_stream(old, "INSERT INTO t VALUES (2)"), SQLITE_BUSY_SNAPSHOT,
        "an old snapshot cannot write");
    (void)in_stream(&fixture, holder, "BEGIN IMMEDIATE");
    is_int(native_in_stream(old, "INSERT INTO t VALUES (2)"), SQLITE_BUSY_SNAPSHOT,
        "and does not wait for a lock to hear it");
    (void)in_stream(&fixture, current, "BEGIN");
    (void)in_stream(&fixture, current, "SELECT * FROM t");
    start(&call, database, current, "INSERT INTO t VALUES (3)");
    wait_until_waiting(1);
    (void)in_stream(&fixture, holder, "ROLLBACK");
    is_int(finish(&call), ERR_NONE, "a current one waits, and writes when nothing changed");
    (void)in_stream(&fixture, current, "COMMIT");
    (void)in_stream(&fixture, holder, "BEGIN IMMEDIATE");
    (void)in_stream(&fixture, holder, "INSERT INTO t VALUES (4)");
    (void)in_stream(&fixture, current, "BEGIN");
    (void)in_stream(&fixture, current, "SELECT * FROM t");
    start(&call, database, current, "INSERT INTO t VALUES (5)");
    wait_until_waiting(1);
    (void)in_stream(&fixture, holder, "COMMIT");
    call_wait(&call);
    is_int(call.request.err.native, SQLITE_BUSY_SNAPSHOT, "and is told when something did");
    call_fini(&call);
    is_int(in_stream(&fixture, current, "ROLLBACK"), ERR_NONE, "its transaction is still there");
    close_stream(holder);
    close_stream(old);
    close_stream(current);
    database_unref(database);
}

static void test_time_is_up(void)
{
    struct database *database = fixture_database(&fixture, "late", 8);
    struct stream *holder = fixture_stream(&fixture, database);
    struct stream *waiter = fixture_stream(&fixture, database);
    struct call calls[2];

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    (void)in_stream(&fixture, holder, "BEGIN IMMEDIATE");
    start(&calls[0], database, waiter, "BEGIN IMMEDIATE");
    start(&calls[1], database, NULL, "INSERT INTO t VALUES (1)");
    is_int(finish(&calls[0]), ERR_BUSY, "a stream waits for --lock-wait");
    is_int(finish(&calls[1]), ERR_BUSY, "as a statement by itself does");
    is_int(in_stream(&fixture, holder, "COMMIT"), ERR_NONE, "the holder goes on");
    is_int(in_stream(&fixture, waiter, "BEGIN IMMEDIATE"), ERR_NONE, "then so does the stream");
    close_stream(holder);
    close_stream(waiter);
    database_unref(database);
}

/* A read of a stream that outgrows a short turn goes on elsewhere; its transaction stays. */
static void test_long_statements(void)
{
    static const char counts[] =
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 200000) SELECT "
        "max(n) FROM c";
    static const char inserts[] = "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT "
                                  "n + 1 FROM c WHERE n < 200000) SELECT max(n) FROM c";
    struct database *database = fixture_database(&fixture, "long", 9);
    struct stream *stream = fixture_stream(&fixture, database);
    uint64_t restarts = metric_counter_get(METRIC_SLOW_RESTARTS, 0);
    struct stream *endless[4];
    struct call calls[4];
    enum err_code code;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    (void)in_stream(&fixture, stream, "BEGIN");
    (void)in_stream(&fixture, stream, "INSERT INTO t VALUES (1)");
    is_str(stream_sql(&fixture, stream, counts, &code), "200000\n", "a long read in a transaction");
    is_str(stream_sql(&fixture, stream, inserts, &code), "=1\n", "and a long write");
    ok(metric_counter_get(METRIC_SLOW_RESTARTS, 0) - restarts >= 2, "run on slow workers");
    is_str(stream_sql(&fixture, stream, "SELECT count(*) FROM t", &code), "2\n",
        "what came before is still there");
    is_int(in_stream(&fixture, stream, "COMMIT"), ERR_NONE, "and commits");
    for (int i = 0; i < 4; i++) { /* more than there are workers */
        endless[i] = fixture_stream(&fixture, database);
        (void)in_stream(&fixture, endless[i], "BEGIN");
        start(&calls[i], database, endless[i], ENDLESS);
    }
    is_str(run_sql(&fixture, database, "INSERT INTO t VALUES (2)", NULL), "=1\n",
        "short statements run beside long ones of streams");
    /* All of them first: one that still waits for a slow worker is told when it has one. */
    for (int i = 0; i < 4; i++)
        engine_cancel(fixture.engine, &calls[i].request);
    for (int i = 0; i < 4; i++) {
        is_int(finish(&calls[i]), ERR_CANCELLED, "which end when their client goes");
        close_stream(endless[i]);
    }
    close_stream(stream);
    database_unref(database);
}

int main(void)
{
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(240);
    fixture_init(&fixture);
    fixture.options.lock_wait_ms = 600000;
    fixture.options.transaction_steal_ms = STEAL_MS;
    fixture.options.stream_idle_ms = 600000;
    fixture.options.stream_max_ms = 600000;
    fixture.options.idle_close_ms = 0;
    fixture.options.short_steps = 100000;
    fixture_start(&fixture);
    test_order();
    test_no_starvation();
    test_steal();
    test_steal_of_running();
    test_not_stolen_after_commit();
    test_gone();
    test_old_snapshot();
    test_long_statements();
    fixture_stop(&fixture);
    fixture.options.lock_wait_ms = 300;
    fixture_start(&fixture);
    test_time_is_up();
    fixture_stop(&fixture);
    fixture_remove(&fixture);
    return done_testing();
}
