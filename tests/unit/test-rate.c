/* Token buckets: bursts, refill, waiting times, parents, the table; and four threads at once. */
#include "tenants/rate.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tenants/base/clock.h"
#include "tests/lib/tap.h"

#define START (1000 * NS_PER_S)

static void test_bucket(void)
{
    struct rate_bucket *bucket = rate_bucket_new(10, 5, NULL);
    unsigned taken = 0;

    is_int(rate_left(bucket, START), 5, "a new bucket is full");
    while (taken < 100 && rate_take(bucket, START) == 0)
        taken++;
    is_int(taken, 5, "a burst passes at once");
    is_int(rate_take(bucket, START), 1, "then one waits, at least a second");
    is_int(rate_left(bucket, START), 0, "nothing is left");
    is_int(rate_take(bucket, START + NS_PER_S / 10), 0, "a tenth of a second later one passes");
    ok(rate_take(bucket, START + NS_PER_S / 10) > 0, "and only one");
    is_int(rate_left(bucket, START + 10 * NS_PER_S), 5, "it never holds more than the burst");
    is_int(rate_per_second(bucket), 10, "it knows its rate");
    rate_bucket_unref(bucket);

    bucket = rate_bucket_new(1, 1, NULL);
    is_int(rate_take(bucket, START), 0, "one a second: the first passes");
    is_int(rate_take(bucket, START), 1, "the second waits a second");
    is_int(rate_take(bucket, START + NS_PER_S - 1), 1, "part of a second is a whole one");
    is_int(rate_take(bucket, START + NS_PER_S), 0, "and then passes");
    rate_bucket_unref(bucket);
    is_int(rate_take(NULL, START), 0, "no bucket is no limit");
}

static void test_parent(void)
{
    struct rate_bucket *tenant = rate_bucket_new(3, 3, NULL);
    struct rate_bucket *token = rate_bucket_new(10, 10, tenant);
    struct rate_bucket *other = rate_bucket_new(10, 10, tenant);

    rate_bucket_unref(tenant);
    ok(rate_take(token, START) == 0 && rate_take(other, START) == 0 && rate_take(token, START) == 0,
        "two tokens share their tenant's bucket");
    ok(rate_take(token, START) > 0, "which is empty then for both");
    ok(rate_take(other, START) > 0, "for both");
    is_int(rate_left(token, START), 8, "what the tenant refused is given back to the token");
    rate_bucket_unref(token);
    rate_bucket_unref(other);
}

static void test_table(void)
{
    struct rate_table *table = rate_table_new();
    struct rate_bucket *one = rate_table_get(table, RATE_TENANT, 7, 5, 0, NULL);
    struct rate_bucket *same = rate_table_get(table, RATE_TENANT, 7, 2, 0, NULL);
    struct rate_bucket *token = rate_table_get(table, RATE_TOKEN, 7, 5, 0, one);
    struct rate_bucket *other = rate_table_get(table, RATE_TOKEN, 7, 5, 0, NULL);

    ok(one == same, "the same tenant has the same bucket");
    is_int(rate_per_second(one), 2, "set to the new figure");
    ok(token != one, "a token of the same number has its own");
    ok(token != other, "a token whose parent went has a new one");
    rate_bucket_unref(token);
    rate_bucket_unref(other);
    rate_bucket_unref(same);
    is_int(rate_table_count(table), 2, "the table knows both");
    (void)rate_take(one, START);
    rate_table_sweep(table, START);
    is_int(rate_table_count(table), 1, "a sweep drops what nobody uses");
    rate_bucket_unref(one);
    rate_table_sweep(table, START);
    is_int(rate_table_count(table), 1, "but not a bucket that is not full again");
    rate_table_sweep(table, START + NS_PER_S);
    is_int(rate_table_count(table), 0, "until it is");
    for (uint64_t i = 0; i < 1000; i++)
        rate_bucket_unref(rate_table_get(table, RATE_TENANT, i, 5, 0, NULL));
    is_int(rate_table_count(table), 1000, "it grows");
    one = rate_table_get(table, RATE_TENANT, 1, 5, 0, NULL);
    rate_table_free(table);
    is_int(rate_take(one, START), 0, "a bucket outlives its table");
    rate_bucket_unref(one);
}

static struct rate_bucket *shared;
static atomic_int passed;

static void *take_many(void *unused)
{
    for (int i = 0; i < 10000; i++) {
        if (rate_take(shared, START) == 0)
            (void)atomic_fetch_add(&passed, 1);
    }
    return unused;
}

static void test_threads(void)
{
    pthread_t threads[4];

    shared = rate_bucket_new(1000, 1234, NULL);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        (void)pthread_create(&threads[i], NULL, take_many, NULL);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        (void)pthread_join(threads[i], NULL);
    is_int(atomic_load(&passed), 1234, "four threads get the burst between them, no more");
    rate_bucket_unref(shared);
}

int main(void)
{
    test_bucket();
    test_parent();
    test_table();
    test_threads();
    return done_testing();
}
