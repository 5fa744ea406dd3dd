/* A budget that ends just as a statement does: SQLite looks at its progress handler once more after
 * the commit. What is committed is done: it does not run again, and is not called ended. */
#include <stdio.h>

#include "tests/lib/engine_fixture.h"
#include "tests/lib/tap.h"

#define TERMS_MAX 100 /* in each of COLUMNS */
#define COLUMNS 10

static struct fixture fixture;

/* One row, by a step for each term; the handler is not asked between them, for nothing
 * jumps. */
static enum err_code insert_one(struct database *database, unsigned terms)
{
    static char sql[COLUMNS * (TERMS_MAX * 12 + 16) + 64];
    int len = snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%u", terms);
    struct call call;
    enum err_code code;

    for (unsigned i = 0; i < COLUMNS; i++) {
        len += snprintf(sql + len, sizeof(sql) - (size_t)len, ",max(0");
        for (unsigned j = 0; j < terms; j++)
            len += snprintf(sql + len, sizeof(sql) - (size_t)len, ",random()");
        len += snprintf(sql + len, sizeof(sql) - (size_t)len, ")");
    }
    (void)snprintf(sql + len, sizeof(sql) - (size_t)len, ")");
    call_init(&call, &fixture);
    call_add(&call, sql);
    call_submit(&call, &fixture, database);
    call_wait(&call);
    code = call.request.err.code;
    call_fini(&call);
    return code;
}

static void run_all(struct database *database, const char *what)
{
    unsigned wrong = 0;

    (void)run_sql(&fixture, database, "CREATE TABLE t (a, b, c, d, e, f, g, h, i, j, k)", NULL);
    for (unsigned terms = 10; terms <= TERMS_MAX; terms += 10) {
        enum err_code code = insert_one(database, terms);
        char sql[96];
        const char *there;

        (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM t WHERE a = %u", terms);
        there = run_sql(&fixture, database, sql, NULL);
        wrong += strncmp(there, code == ERR_NONE ? "1\n" : "0\n", 2) != 0;
    }
    is_int(wrong, 0, what);
}

static void with_budgets(uint64_t short_steps, uint64_t statement_steps, const char *what)
{
    struct database *database;

    fixture_init(&fixture);
    fixture.options.short_steps = short_steps;
    fixture.options.statement_steps = statement_steps;
    fixture_start(&fixture);
    database = fixture_database(&fixture, "ends", 1);
    run_all(database, what);
    database_unref(database);
    fixture_stop(&fixture);
    fixture_remove(&fixture);
}

int main(void)
{
    with_budgets(500, 0, "what was committed does not run again on a slow worker");
    with_budgets(0, 500, "what was committed is not called over its budget");
    return done_testing();
}
