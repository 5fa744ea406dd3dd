/* Accounts: SQLite's memory is charged, refused over the limit, refunded from any thread. */
#include "tenants/account.h"

#include <sqlite3.h>
#include <string.h>

#include "tenants/base/clock.h"
#include "tenants/base/thread.h"
#include "tests/lib/tap.h"

static struct err err;

static void test_charging(void)
{
    struct account *account = account_new(100000);
    uint64_t total = account_total();
    void *a, *b;

    ok(account_enter(account) == NULL, "no account was entered before");
    a = sqlite3_malloc(1000);
    is_int(account_used(account), 1016, "an allocation is charged with its header");
    is_int(account_total() - total, 1016, "and counts in the total");
    b = sqlite3_malloc(200000);
    ok(b == NULL, "over the limit there is none");
    ok(account_was_refused(), "and the mark is set");
    ok(!account_was_refused(), "reading the mark clears it");
    is_int(account_used(account), 1016, "a refusal charges nothing");
    a = sqlite3_realloc(a, 5000);
    is_int(account_used(account), 5016, "growing charges the difference");
    is_int(sqlite3_msize(a), 5000, "the size is known");
    ok(sqlite3_realloc(a, 100000) == NULL && account_was_refused(),
        "growing over the limit is refused");
    a = sqlite3_realloc(a, 8);
    is_int(account_used(account), 24, "shrinking refunds");
    is_int(account_peak(account), 5016, "the peak is kept");
    account_reset_peak(account);
    is_int(account_peak(account), 24, "and can be started anew");
    account_set_limit(account, 0);
    b = sqlite3_malloc(1000000);
    ok(b != NULL, "a limit of 0 is none");
    ok(account_enter(NULL) == account, "leaving returns the account");
    sqlite3_free(b);
    is_int(account_used(account), 24, "freeing outside refunds the account that was charged");
    a = sqlite3_realloc(a, 80);
    is_int(account_used(account), 96, "reallocating outside charges the same account");
    b = sqlite3_malloc(64);
    is_int(account_used(account), 96, "outside, nothing new is charged");
    is_int(account_total() - total, 96 + 80, "but it is counted in the total");
    sqlite3_free(b);
    account_release(account);
    is_int(account_total() - total, 96, "a released account lives until its last byte");
    sqlite3_free(a);
    is_int(account_total(), total, "and ends with it");
}

struct exchange {
    struct account *account;
    void *blocks[1000];
};

static void *free_all(void *argument)
{
    struct exchange *exchange = argument;

    (void)account_enter(NULL);
    for (size_t i = 0; i < ARRAY_LEN(exchange->blocks); i++)
        sqlite3_free(exchange->blocks[i]);
    return NULL;
}

static void *churn(void *argument)
{
    struct account *before = account_enter(argument);

    for (int i = 0; i < 20000; i++) {
        void *a = sqlite3_malloc(100 + i % 50);
        void *b = sqlite3_malloc(300);

        a = sqlite3_realloc(a, 200);
        sqlite3_free(b);
        sqlite3_free(a);
    }
    (void)account_enter(before);
    return NULL;
}

static void test_threads(void)
{
    struct exchange exchange = {.account = account_new(0)};
    uint64_t total = account_total();
    pthread_t threads[4];

    (void)account_enter(exchange.account);
    for (size_t i = 0; i < ARRAY_LEN(exchange.blocks); i++)
        exchange.blocks[i] = sqlite3_malloc(100);
    (void)account_enter(NULL);
    for (size_t i = 0; i < 3; i++)
        thread_start(&threads[i], "churn", churn, exchange.account);
    thread_start(&threads[3], "free", free_all, &exchange);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        thread_join(threads[i]);
    is_int(account_used(exchange.account), 0, "what several threads took and freed is refunded");
    account_release(exchange.account);
    is_int(account_total(), total, "the total is as before");
}

static int step(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static void test_budget(void)
{
    struct account *account = account_new(8 << 20);
    uint64_t started = clock_now_ns();
    sqlite3 *db;
    char *sql = sqlite3_malloc(200000);
    size_t len;

    (void)account_enter(account);
    is_int(sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL),
        SQLITE_OK, "a connection opens within its account");
    ok(account_used(account) > 0, "its memory is charged");
    is_int(step(db, "SELECT length(randomblob(100000000))"), SQLITE_NOMEM,
        "a value over the limit ends in NOMEM");
    ok(account_was_refused(), "and is known to be a refusal");
    is_int(step(db, "SELECT 1"), SQLITE_OK, "the connection goes on");
    /* Each view doubles the compound below it: small text, huge tree. */
    (void)step(db, "CREATE VIEW v0(a,b,c,d) AS SELECT 1,2,3,4 UNION ALL SELECT 5,6,7,8");
    for (int i = 1; i < 16; i++) {
        char text[200];

        (void)snprintf(text, sizeof(text),
            "CREATE VIEW v%d(a,b,c,d) AS SELECT * FROM v%d UNION ALL SELECT * FROM v%d", i, i - 1,
            i - 1);
        (void)step(db, text);
    }
    is_int(step(db, "EXPLAIN SELECT * FROM v15 x, v15 y"), SQLITE_NOMEM,
        "a hostile prepare ends at the limit");
    ok(clock_now_ns() - started < 20 * NS_PER_S, "and in time");
    len = 0;
    for (int i = 0; i < 20000; i++)
        len += (size_t)snprintf(sql + len, 200000 - len, "%s%d", i == 0 ? "SELECT " : "+", i % 10);
    (void)step(db, sql);
    is_int(step(db, "SELECT 1"), SQLITE_OK, "and the connection still goes on");
    (void)sqlite3_close(db);
    (void)account_enter(NULL);
    is_int(account_used(account), 0, "closing refunds everything");
    account_release(account);
    sqlite3_free(sql);
}

int main(void)
{
    ok(account_install(&err) == 0, "our allocator is installed");
    ok(account_install(&err) == 0, "a second time does nothing");
    test_charging();
    test_threads();
    test_budget();
    return done_testing();
}
