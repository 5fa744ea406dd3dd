/* Reads: what streams and what may not, reads on a loop beside a changing schema. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tests/lib/engine_fixture.h"
#include "tests/lib/tap.h"

#define BIG_ROWS 2000

static struct fixture fixture;

static void on_alarm(int signal)
{
    static const char text[] = "Bail out! an answer never came\n";

    (void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
    _exit(1);
}

struct taken {
    struct call call;
    size_t bytes;
    unsigned chunks;
};

static enum chunk_answer take_chunk(struct request *request)
{
    struct taken *taken =
        CONTAINER_OF(CONTAINER_OF(request, struct call, request), struct taken, call);
    struct buf gone = {0};

    taken->chunks++;
    taken->bytes += request->sink->out.len;
    buf_take(&gone, &request->sink->out);
    buf_fini(&gone);
    return CHUNK_CONTINUE;
}

/* A batch whose chunks are taken; the caller ends the call. */
static void run_two(
    struct taken *taken, struct database *database, const char *first, const char *second)
{
    *taken = (struct taken){.bytes = 0};
    call_init(&taken->call, &fixture);
    taken->call.request.chunk = take_chunk;
    call_add(&taken->call, first);
    call_add(&taken->call, second);
    call_submit(&taken->call, &fixture, database);
    call_wait(&taken->call);
}

/* What was sent cannot be taken back: a batch that turns out to write must not have streamed. */
static void test_batch_that_writes(void)
{
    struct database *database = fixture_database(&fixture, "writes", 1);
    struct taken taken;
    struct call *call = &taken.call;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a, b)", NULL);
    (void)run_sql(&fixture, database,
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000) INSERT "
        "INTO t SELECT n, hex(randomblob(500)) FROM c",
        NULL);
    run_two(&taken, database, "SELECT b FROM t",
        "WITH c(n) AS (SELECT 1) INSERT INTO t (a) SELECT n FROM c");
    is_int(call->request.err.code, ERR_NONE, "a read and a write in disguise run");
    is_int((long long)(taken.bytes + call->sink.out.len), BIG_ROWS * 1001 + 3,
        "each row is sent once");
    call_fini(call);
    is_str(run_sql(&fixture, database, "SELECT count(*) FROM t", NULL), "2001\n",
        "and the write is done once");
    run_two(&taken, database, "SELECT b FROM t WHERE b IS NOT NULL", "SELECT 1");
    is_int((long long)(taken.bytes + call->sink.out.len), BIG_ROWS * 1001 + 2,
        "a batch of reads streams");
    ok(taken.chunks > 0, "in %u chunks", taken.chunks);
    call_fini(call);
    database_unref(database);
}

static bool try_here(struct database *database, const char *sql, const char *want)
{
    struct call call;
    bool here;

    call_init(&call, &fixture);
    call_add(&call, sql);
    here = call_try_here(&call, &fixture, database);
    if (!here)
        call_submit(&call, &fixture, database);
    call_wait(&call);
    if (strcmp(call_text(&call), want) != 0)
        ok(false, "%s: %s", sql, call_text(&call));
    call_fini(&call);
    return here;
}

/* After a change of the schema a worker reads it first. */
static void test_schema_changes(void)
{
    struct database *database = fixture_database(&fixture, "schema", 2);
    struct err err = ERR_INIT;
    struct stream *stream = stream_open(fixture.engine, database, fixture.owner, &err);
    struct call call;
    bool here = false;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    (void)run_sql(&fixture, database, "INSERT INTO t VALUES (1)", NULL);
    for (int i = 0; i < 1000 && !here; i++)
        here = try_here(database, "SELECT * FROM t", "1\n");
    ok(here, "a cached read runs on the loop");
    call_init(&call, &fixture); /* by another lane than the one that has the statement */
    call.request.stream = stream;
    call_add(&call, "ALTER TABLE t ADD COLUMN b DEFAULT 2");
    call_submit(&call, &fixture, database);
    call_wait(&call);
    call_fini(&call);
    ok(!try_here(database, "SELECT * FROM t", "1|2\n"), "not after the schema has changed");
    here = false;
    for (int i = 0; i < 1000 && !here; i++)
        here = try_here(database, "SELECT * FROM t", "1|2\n");
    ok(here, "and again when a worker has read it");
    stream_close(fixture.engine, stream);
    database_unref(database);
}

int main(void)
{
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(120);
    fixture_init(&fixture);
    fixture_start(&fixture);
    test_batch_that_writes();
    test_schema_changes();
    fixture_stop(&fixture);
    fixture_remove(&fixture);
    return done_testing();
}
