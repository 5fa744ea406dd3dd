/* Batches that are not a transaction, when one of their statements takes the transaction back. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/engine_fixture.h"
#include "tests/lib/tap.h"

#define SLOW                                                                                       \
    "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < "      \
    "300000) SELECT max(n) FROM c"

static struct fixture fixture;

/* Each statement is its own by then: what is committed must not run again on the slow worker. */
static void test_slow_after_loss(void)
{
    struct database *database = fixture_database(&fixture, "slow", 1);
    struct call call;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a INTEGER PRIMARY KEY)", NULL);
    call_init(&call, &fixture);
    call.request.mode = MODE_CONTINUE;
    call_add(&call, "INSERT INTO t VALUES (1)");
    call_add(&call, "INSERT OR ROLLBACK INTO t VALUES (1)");
    call_add(&call, SLOW);
    call_submit(&call, &fixture, database);
    call_wait(&call);
    is_str(call_text(&call), "=1\n!sql_error\n=1\n", "each statement has run once");
    is_int(call.request.failed_index, 1, "and the second failed");
    call_fini(&call);
    is_str(run_sql(&fixture, database, "SELECT a FROM t", NULL), "1\n300000\n", "rows of both");
    database_unref(database);
}

/* changes() and total_changes() are those of the request, not of who ran before it on the lane. */
static void test_changes(void)
{
    struct database *database = fixture_database(&fixture, "changes", 77);
    struct call call;

    (void)run_sql(&fixture, database, "CREATE TABLE n (a)", NULL);
    (void)run_sql(&fixture, database, "INSERT INTO n VALUES (1), (2), (3)", NULL);
    is_str(run_sql(&fixture, database, "SELECT changes(), total_changes()", NULL), "0|0\n",
        "a read does not see what its neighbour changed");
    (void)run_sql(&fixture, database, "UPDATE n SET a = 10 * changes() + total_changes()", NULL);
    is_str(
        run_sql(&fixture, database, "SELECT DISTINCT a FROM n", NULL), "0\n", "nor does a write");
    call_init(&call, &fixture);
    call_add(&call, "INSERT INTO n VALUES (4), (5)");
    call_add(&call, "DELETE FROM n WHERE a = 4");
    call_add(&call, "INSERT INTO n SELECT 10 * changes() + total_changes()");
    call_add(&call, "UPDATE n SET a = a WHERE 0");
    call_add(&call, "INSERT INTO n SELECT 10 * changes() + total_changes()");
    call_add(&call, "SELECT a FROM n ORDER BY rowid DESC LIMIT 3");
    call.request.mode = MODE_TRANSACTION;
    call_submit(&call, &fixture, database);
    call_wait(&call);
    is_str(call_text(&call), "=2\n=1\n=1\n=0\n=1\n4\n13\n5\n", "but its own it sees");
    call_fini(&call);
    database_unref(database);
}

int main(void)
{
    fixture_init(&fixture);
    fixture.options.short_steps = 100000;
    fixture_start(&fixture);
    test_slow_after_loss();
    test_changes();
    fixture_stop(&fixture);
    fixture_remove(&fixture);
    return done_testing();
}
