/* The engine as a whole, with its threads: groups and their losses, deferred keys, budgets,
 * streams, opening and closing. Runs under ASan and TSan too. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/metrics.h"
#include "tests/lib/engine_fixture.h"
#include "tests/lib/tap.h"

static struct fixture fixture;

static void is_sql(struct database *database, const char *sql, const char *want, const char *name)
{
    is_str(run_sql(&fixture, database, sql, NULL), want, name);
}

static void is_code(
    struct database *database, const char *sql, enum err_code want, const char *name)
{
    enum err_code code;

    (void)run_sql(&fixture, database, sql, &code);
    is_str(err_code_name(code), err_code_name(want), name);
}

static void test_basics(void)
{
    struct database *database = fixture_database(&fixture, "basics", 1);
    struct call call;

    is_sql(
        database, "SELECT 1 + 1, 'a', NULL, 1.5", "2|a|NULL|1.5\n", "a select on a new database");
    is_sql(database, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", "=0\n", "a table is made");
    is_sql(database, "INSERT INTO t (v) VALUES ('x'), ('y')", "=2\n", "rows are inserted");
    is_sql(database, "SELECT id, v FROM t ORDER BY id", "1|x\n2|y\n", "and read back");
    is_sql(database, "UPDATE t SET v = 'z' WHERE id = 2 RETURNING v", "z\n=1\n",
        "RETURNING gives rows");
    is_sql(database, "WITH c AS (SELECT 3 AS n) SELECT n FROM c", "3\n", "WITH reads");
    is_sql(database, "WITH c AS (SELECT 'w' AS n) INSERT INTO t (v) SELECT n FROM c", "=1\n",
        "WITH writes, too");
    is_sql(database, "/* a comment first */ SELECT count(*) FROM t", "3\n",
        "a read that looks like a write");
    is_code(database, "SELECT * FROM missing", ERR_SQL, "an unknown table is an error of SQL");
    is_code(database, "SELECT 1; SELECT 2", ERR_MANY_STATEMENTS, "two statements are refused");
    is_code(database, "  -- nothing", ERR_SQL, "no statement is refused");
    is_code(database, "BEGIN", ERR_TRANSACTION_WORDS, "transaction words are refused");
    is_code(
        database, "INSERT INTO t (id, v) VALUES (1, 'dup')", ERR_SQL, "a duplicate key is refused");
    call_init(&call, &fixture);
    call_add(&call, "SELECT ? || ?");
    call_bind_text(&call, "a");
    call_bind_integer(&call, 7);
    call_submit(&call, &fixture, database);
    call_wait(&call);
    is_str(call_text(&call), "a7\n", "parameters are bound by place");
    call_fini(&call);
    call_init(&call, &fixture);
    call_add(&call, "SELECT ?, ?");
    call_bind_text(&call, "a");
    call_submit(&call, &fixture, database);
    call_wait(&call);
    is_int(call.request.err.code, ERR_SQL, "too few parameters are refused");
    call_fini(&call);
    database_unref(database);
}

static void test_read_only_principal(void)
{
    struct database *database = fixture_database(&fixture, "readonly", 2);
    struct call call;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    call_init(&call, &fixture);
    call.request.principal = fixture.reader;
    call_add(&call, "INSERT INTO t VALUES (1)");
    call_submit(&call, &fixture, database);
    call_wait(&call);
    is_str(err_code_name(call.request.err.code), "role_forbids", "a reader may not write");
    call_fini(&call);
    is_sql(database, "SELECT count(*) FROM t", "0\n", "and nothing was written");
    database_unref(database);
}

static void test_batches(void)
{
    struct database *database = fixture_database(&fixture, "batches", 3);
    static const struct {
        enum request_mode mode;
        const char *text, *rows, *name;
    } cases[] = {
        {MODE_TRANSACTION, "=1\n!sql_error\n", "", "a transaction undoes everything"},
        {MODE_STOP, "=1\n!sql_error\n", "1\n", "a batch stops and keeps what came before"},
        {MODE_CONTINUE, "=1\n!sql_error\n=1\n", "1\n3\n", "continue runs the rest"},
    };

    (void)run_sql(&fixture, database, "CREATE TABLE t (a INTEGER PRIMARY KEY)", NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct call call;

        (void)run_sql(&fixture, database, "DELETE FROM t", NULL);
        call_init(&call, &fixture);
        call.request.mode = cases[i].mode;
        call_add(&call, "INSERT INTO t VALUES (1)");
        call_add(&call, "INSERT INTO t VALUES (1)");
        call_add(&call, "INSERT INTO t VALUES (3)");
        call_submit(&call, &fixture, database);
        call_wait(&call);
        is_str(call_text(&call), cases[i].text, cases[i].name);
        is_int(call.request.failed_index, 1, "the second failed");
        call_fini(&call);
        is_sql(database, "SELECT a FROM t ORDER BY a", cases[i].rows, "rows left");
    }
    database_unref(database);
}

#define GROUP 8

/* GROUP requests that arrive while the write lane is held: they commit together. */
static void run_group(
    struct database *database, struct call calls[GROUP], const char *const sql[GROUP])
{
    struct stream *stream;
    struct call lock;

    stream = fixture_stream(&fixture, database);
    call_init(&lock, &fixture);
    lock.request.stream = stream;
    call_add(&lock, "BEGIN IMMEDIATE");
    call_submit(&lock, &fixture, database);
    call_wait(&lock);
    CHECK(lock.request.err.code == ERR_NONE);
    call_fini(&lock);
    for (int i = 0; i < GROUP; i++) {
        call_init(&calls[i], &fixture);
        call_add(&calls[i], sql[i]);
        call_submit(&calls[i], &fixture, database);
    }
    stream_close(fixture.engine, stream);
    for (int i = 0; i < GROUP; i++)
        call_wait(&calls[i]);
}

/* Each of these ends the whole group; the neighbours must not notice. */
/* Settings of a request end with it: the lane is everybody's. */
static void test_settings(void)
{
    struct database *database = fixture_database(&fixture, "settings", 31);
    struct call call;

    is_sql(database, "CREATE TABLE parent (id INTEGER PRIMARY KEY)", "=0\n", "a parent");
    is_sql(database, "CREATE TABLE child (p REFERENCES parent)", "=0\n", "a child");
    (void)run_sql(&fixture, database, "PRAGMA foreign_keys = OFF", NULL);
    is_code(database, "INSERT INTO child VALUES (9)", ERR_SQL,
        "foreign keys are on again for the next request");
    call_init(&call, &fixture);
    call_add(&call, "PRAGMA foreign_keys = OFF");
    call_add(&call, "INSERT INTO child VALUES (9)");
    call_submit(&call, &fixture, database);
    call_wait(&call);
    is_int(call.request.err.code, ERR_NONE, "they are off for the rest of the same batch");
    call_fini(&call);
    is_code(database, "INSERT INTO child VALUES (8)", ERR_SQL, "and on for the next");
    call_init(&call, &fixture);
    call.request.mode = MODE_TRANSACTION;
    call_add(&call, "PRAGMA defer_foreign_keys = ON");
    call_add(&call, "INSERT INTO child VALUES (7)");
    call_add(&call, "INSERT INTO parent VALUES (7)");
    call_submit(&call, &fixture, database);
    call_wait(&call);
    is_int(call.request.err.code, ERR_NONE, "a transaction defers its keys");
    call_fini(&call);
    is_code(database, "CREATE TEMP TABLE x (a)", ERR_GUARD, "no temporary table without a stream");
    database_unref(database);
}

static void test_group_loss(void)
{
    static const struct {
        const char *culprit;
        enum err_code code;
    } cases[] = {
        {"INSERT OR ROLLBACK INTO t VALUES (100)", ERR_SQL},
        {"INSERT INTO raising VALUES (1)", ERR_SQL},
        {"INSERT INTO t VALUES (101), (100)", ERR_SQL},
        {"INSERT INTO child VALUES (1, 77)", ERR_SQL},
        {"INSERT INTO blobs SELECT randomblob(1000000) FROM "
         "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100) SELECT n "
         "FROM c)",
            ERR_QUOTA_EXCEEDED},
        {"INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM c) "
         "SELECT n FROM c WHERE n < 0",
            ERR_BUDGET_STEPS},
    };
    struct database *database = fixture_database(&fixture, "groups", 4);
    char want[32];

    database->settings.max_bytes = 20U << 20;
    (void)run_sql(&fixture, database, "CREATE TABLE t (a INTEGER PRIMARY KEY)", NULL);
    (void)run_sql(&fixture, database, "CREATE TABLE raising (a)", NULL);
    (void)run_sql(&fixture, database, "CREATE TABLE blobs (b)", NULL);
    (void)run_sql(&fixture, database,
        "CREATE TABLE child (id INTEGER PRIMARY KEY, p REFERENCES t(a) DEFERRABLE INITIALLY "
        "DEFERRED)",
        NULL);
    (void)run_sql(&fixture, database,
        "CREATE TRIGGER no BEFORE INSERT ON raising BEGIN SELECT RAISE(ROLLBACK, 'no'); END", NULL);
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        struct call calls[GROUP];
        char texts[GROUP][64];
        const char *sql[GROUP];

        (void)run_sql(&fixture, database, "DELETE FROM t", NULL);
        (void)run_sql(&fixture, database, "INSERT INTO t VALUES (100)", NULL);
        for (int i = 0; i < GROUP; i++) {
            (void)snprintf(texts[i], sizeof(texts[i]), "INSERT INTO t VALUES (%d)", i);
            sql[i] = i == GROUP / 2 ? cases[c].culprit : texts[i];
        }
        run_group(database, calls, sql);
        for (int i = 0; i < GROUP; i++) {
            if (i == GROUP / 2)
                is_str(err_code_name(calls[i].request.err.code), err_code_name(cases[c].code),
                    cases[c].culprit);
            else if (calls[i].request.err.code != ERR_NONE)
                ok(false, "neighbour %d of case %zu: %s", i, c, calls[i].request.err.msg);
            call_fini(&calls[i]);
        }
        (void)snprintf(want, sizeof(want), "%d\n", GROUP);
        is_sql(
            database, "SELECT count(*) FROM t", want, "the neighbours' rows are all there, once");
    }
    is_sql(database, "SELECT count(*) FROM child", "0\n", "no row broke a deferred key");
    database_unref(database);
}

static void test_budgets(void)
{
    struct database *database = fixture_database(&fixture, "budgets", 5);
    struct call call;

    is_code(database,
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c",
        ERR_BUDGET_STEPS, "an endless read ends at its steps");
    is_code(
        database, "SELECT length(randomblob(1000000000))", ERR_TOO_LARGE, "a huge blob is refused");
    is_code(database,
        "SELECT length(group_concat(b)) FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL "
        "SELECT n + 1 FROM c WHERE n < 60) SELECT hex(randomblob(400000)) AS b FROM c)",
        ERR_TOO_LARGE, "and one that grows");
    is_code(database,
        "SELECT randomblob(20000000), randomblob(20000000), randomblob(20000000), "
        "randomblob(20000000)",
        ERR_BUDGET_MEMORY, "memory has an end");
    is_sql(database, "SELECT 1", "1\n", "the database goes on after it");
    call_init(&call, &fixture);
    call_add(&call,
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c");
    call.request.deadline_ns = clock_now_ns() + 30 * NS_PER_MS;
    call_submit(&call, &fixture, database);
    call_wait(&call);
    is_str(err_code_name(call.request.err.code), "budget_time", "a deadline ends a statement");
    call_fini(&call);
    database_unref(database);
}

static void test_cancel(void)
{
    struct database *database = fixture_database(&fixture, "cancel", 6);
    struct call call;

    call_init(&call, &fixture);
    call_add(&call,
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c");
    call_submit(&call, &fixture, database);
    engine_cancel(fixture.engine, &call.request);
    call_wait(&call);
    is_str(err_code_name(call.request.err.code), "cancelled", "a cancelled request ends");
    call_fini(&call);
    database_unref(database);
}

static void test_streams(void)
{
    struct database *database = fixture_database(&fixture, "streams", 7);
    struct stream *one;
    struct stream *two;
    struct call waiting;
    enum err_code code;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    one = fixture_stream(&fixture, database);
    two = fixture_stream(&fixture, database);
    (void)stream_sql(&fixture, one, "BEGIN", &code);
    ok(code == ERR_NONE && !stream_is_autocommit(one), "a stream holds a transaction");
    is_str(stream_sql(&fixture, one, "INSERT INTO t VALUES (1)", &code), "=1\n", "it writes in it");
    is_sql(database, "SELECT count(*) FROM t", "0\n", "nobody else sees it yet");
    is_str(stream_sql(&fixture, two, "SELECT count(*) FROM t", &code), "0\n",
        "no other stream either");
    call_init(&waiting, &fixture);
    call_add(&waiting, "INSERT INTO t VALUES (2)");
    call_submit(&waiting, &fixture, database);
    (void)stream_sql(&fixture, one, "COMMIT", &code);
    ok(code == ERR_NONE && stream_is_autocommit(one), "it commits");
    call_wait(&waiting);
    is_str(call_text(&waiting), "=1\n", "who waited for the lock goes on");
    call_fini(&waiting);
    is_sql(database, "SELECT count(*) FROM t", "2\n", "both rows are there");
    (void)stream_sql(&fixture, two, "BEGIN IMMEDIATE", &code);
    (void)stream_sql(&fixture, two, "INSERT INTO t VALUES (3)", &code);
    stream_close(fixture.engine, two);
    is_sql(database, "INSERT INTO t VALUES (4)", "=1\n", "a closed stream gives the lock back");
    is_sql(database, "SELECT count(*) FROM t", "3\n", "and its transaction is gone");
    (void)stream_sql(&fixture, one, "BEGIN IMMEDIATE", &code);
    for (int i = 0; i < 200 && code == ERR_NONE; i++) { /* the tick ends it after stream_idle_ms */
        (void)poll(NULL, 0, 20);
        (void)run_sql(&fixture, database, "INSERT INTO t VALUES (5)", &code);
        if (code == ERR_NONE)
            break;
        code = ERR_NONE;
    }
    (void)stream_sql(&fixture, one, "SELECT 1", &code);
    is_str(
        err_code_name(code), "stream_expired", "an idle transaction is rolled back, and said so");
    is_str(stream_sql(&fixture, one, "SELECT 1", &code), "1\n", "the stream goes on after it");
    stream_close(fixture.engine, one);
    database_unref(database);
}

static void test_reopen(void)
{
    struct database *database = fixture_database(&fixture, "reopen", 8);

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    (void)run_sql(&fixture, database, "INSERT INTO t VALUES (1)", NULL);
    database_unref(database);
    fixture_stop(&fixture);
    fixture_start(&fixture);
    database = fixture_database(&fixture, "reopen", 8);
    is_sql(database, "SELECT a FROM t", "1\n", "what was written is there after a restart");
    database_unref(database);
}

#define WRITERS 4
#define WRITES 200

struct writer {
    struct database *database;
    unsigned number;
    unsigned failed;
};

static void *write_many(void *argument)
{
    struct writer *writer = argument;

    for (unsigned i = 0; i < WRITES; i++) {
        struct call call;

        call_init(&call, &fixture);
        call.done = false;
        call_add(&call, i % 4 == 3 ? "SELECT count(*) FROM t WHERE w = ?1 AND ?2 >= 0"
                                   : "INSERT INTO t VALUES (?, ?)");
        call_bind_integer(&call, writer->number);
        call_bind_integer(&call, i);
        call.request.lane_hint = writer->number;
        /* This thread is a loop, too: every second write goes the way that only reads may. */
        if (i % 2 == 0 || !call_try_here(&call, &fixture, writer->database))
            call_submit(&call, &fixture, writer->database);
        call_wait(&call);
        if (call.request.err.code != ERR_NONE)
            writer->failed++;
        call_fini(&call);
    }
    return NULL;
}

static void test_concurrent(void)
{
    struct database *database = fixture_database(&fixture, "concurrent", 9);
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    unsigned failed = 0;
    char want[32];

    (void)run_sql(&fixture, database, "CREATE TABLE t (w, i)", NULL);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.database = database, .number = i};
        thread_start(&threads[i], "writer", write_many, &writers[i]);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        thread_join(threads[i]);
        failed += writers[i].failed;
    }
    is_int(failed, 0, "no request of concurrent writers and readers failed");
    (void)snprintf(want, sizeof(want), "%d\n", WRITERS * WRITES * 3 / 4);
    is_sql(database, "SELECT count(*) FROM t", want, "every row is there");
    database_unref(database);
}

#define STORM 60

/* More databases than may be open, opened and evicted over and over by several threads. */
static void *storm(void *argument)
{
    struct writer *writer = argument;

    for (unsigned i = 0; i < STORM * 3; i++) {
        struct database *database =
            fixture_database(&fixture, "storm", 1000 + (i * 7 + writer->number * 13) % STORM);
        struct call call;

        call_init(&call, &fixture);
        call.request.mode = MODE_TRANSACTION;
        call_add(&call, "CREATE TABLE IF NOT EXISTS t (a)");
        call_add(&call, "INSERT INTO t VALUES (1)");
        call_submit(&call, &fixture, database);
        call_wait(&call);
        if (call.request.err.code != ERR_NONE) {
            (void)printf("# %s\n", call.request.err.msg);
            writer->failed++;
        }
        call_fini(&call);
        database_unref(database);
    }
    return NULL;
}

static void test_storm(void)
{
    struct writer writers[3];
    pthread_t threads[3];
    unsigned failed = 0;
    unsigned total = 0;

    for (unsigned i = 0; i < 3; i++) {
        writers[i] = (struct writer){.number = i};
        thread_start(&threads[i], "storm", storm, &writers[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        thread_join(threads[i]);
        failed += writers[i].failed;
    }
    is_int(failed, 0, "no request failed while databases were opened and evicted");
    for (unsigned i = 0; i < STORM; i++) {
        struct database *database = fixture_database(&fixture, "storm", 1000 + i);
        uint64_t count = 0;
        struct str text = str_from(run_sql(&fixture, database, "SELECT count(*) FROM t", NULL));

        CHECK(str_to_u64(str_split(&text, '\n'), &count) == 0);
        total += (unsigned)count;
        database_unref(database);
    }
    is_int(total, 3 * STORM * 3, "every acknowledged row is there");
}

int main(void)
{
    fixture_init(&fixture);
    fixture.options.max_open = 16;
    fixture.options.statement_steps = 20000000;
    fixture.options.stream_idle_ms = 300;
    fixture.options.lock_wait_ms = 1000;
    fixture_start(&fixture);
    test_basics();
    test_read_only_principal();
    test_batches();
    test_settings();
    test_group_loss();
    test_budgets();
    test_cancel();
    test_streams();
    test_concurrent();
    test_storm();
    test_reopen();
    fixture_stop(&fixture);
    fixture_remove(&fixture);
    return done_testing();
}
