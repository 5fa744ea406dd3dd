/* Usage counters: nothing lost, nothing doubled, by one thread and by several while another
 * flushes. */
#include "tenants/usage.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/lib/tap.h"

#define DATABASES 8
#define ROUNDS 20000

static void test_counts(void)
{
    struct usage_table *table = usage_table_new();
    struct usage *usage = usage_table_get(table, 7);
    struct usage *same = usage_table_get(table, 7);
    struct usage_delta deltas[4];
    struct usage_totals totals;

    ok(usage == same, "a database has one block of counters");
    ok(!usage_table_peek(table, 7, &totals), "there is nothing at first");
    usage_add(usage, 1, 10, 2);
    usage_add(same, 1, 5, 0);
    ok(usage_table_peek(table, 7, &totals) && totals.requests == 2 && totals.rows_read == 15 &&
            totals.rows_written == 2 && !totals.has_size,
        "counts are seen");
    is_int(usage_table_take(table, deltas, 4), 1, "one database is taken");
    ok(deltas[0].database_id == 7 && deltas[0].totals.rows_read == 15 &&
            deltas[0].totals.last_used_wall_ms > 0,
        "with its counts");
    is_int(usage_table_take(table, deltas + 1, 3), 0, "once");
    usage_table_return(table, deltas, 1);
    usage_add(usage, 1, 1, 1);
    ok(usage_table_take(table, deltas, 4) == 1 && deltas[0].totals.requests == 3 &&
            deltas[0].totals.rows_read == 16,
        "what a failed flush gives back is in the next");
    usage_set_size(usage, 4096, 8192);
    ok(usage_table_take(table, deltas, 4) == 1 && deltas[0].totals.has_size &&
            deltas[0].totals.bytes == 4096 && deltas[0].totals.wal_bytes == 8192 &&
            deltas[0].totals.last_used_wall_ms == 0,
        "a size alone is no use");
    usage_add(usage, 1, 0, 0);
    usage_unref(usage);
    usage_unref(same);
    ok(usage_table_peek(table, 7, &totals) && totals.requests == 1,
        "counts outlive who counted them");
    is_int(usage_table_take(table, deltas, 4), 1, "until they are taken");
    ok(!usage_table_peek(table, 7, &totals), "then nothing is left");
    usage_add(NULL, 1, 1, 1);
    usage_set_size(NULL, 1, 1);
    usage = usage_table_get(table, 8);
    usage_add(usage, 1, 1, 1);
    usage_table_free(table);
    usage_add(usage, 1, 1, 1);
    usage_unref(usage_ref(usage));
    usage_unref(usage);
    ok(true, "counters outlive their table");
    table = usage_table_new();
    for (uint64_t i = 1; i <= 1000; i++) {
        struct usage *one = usage_table_get(table, i);

        usage_add(one, i, 0, 0);
        usage_unref(one);
    }
    {
        uint64_t sum = 0;
        size_t count;

        while ((count = usage_table_take(table, deltas, 4)) > 0) {
            for (size_t i = 0; i < count; i++)
                sum += deltas[i].totals.requests;
        }
        is_int(sum, 500500, "a thousand databases");
    }
    usage_table_free(table);
}

static struct usage_table *shared;
static atomic_bool stop;
static _Atomic uint64_t flushed;

static void *count_up(void *unused)
{
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct usage *usage = usage_table_get(shared, i % DATABASES);

        usage_add(usage, 1, 2, 0);
        usage_unref(usage);
    }
    return unused;
}

static void flush(void)
{
    struct usage_delta deltas[3];
    size_t count = usage_table_take(shared, deltas, 3);

    for (size_t i = 0; i < count; i++) {
        if (deltas[i].totals.requests % 7 == 1) { /* a flush that fails */
            usage_table_return(shared, &deltas[i], 1);
            continue;
        }
        (void)atomic_fetch_add(&flushed, deltas[i].totals.requests);
    }
}

static void *flush_often(void *unused)
{
    while (!atomic_load(&stop))
        flush();
    return unused;
}

static void test_threads(void)
{
    pthread_t threads[4];
    struct usage_delta rest[DATABASES];
    uint64_t sum;
    size_t count;

    shared = usage_table_new();
    (void)pthread_create(&threads[3], NULL, flush_often, NULL);
    for (int i = 0; i < 3; i++)
        (void)pthread_create(&threads[i], NULL, count_up, NULL);
    for (int i = 0; i < 3; i++)
        (void)pthread_join(threads[i], NULL);
    atomic_store(&stop, true);
    (void)pthread_join(threads[3], NULL);
    sum = atomic_load(&flushed);
    while ((count = usage_table_take(shared, rest, DATABASES)) > 0) {
        for (size_t i = 0; i < count; i++)
            sum += rest[i].totals.requests;
    }
    is_int(sum, 3 * ROUNDS, "three threads count while one flushes: all is there, once");
    usage_table_free(shared);
}

int main(void)
{
    test_counts();
    test_threads();
    return done_testing();
}
