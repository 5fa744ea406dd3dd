/* The log's hard bound: who is ended when the log cannot be emptied, and who is not. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tests/lib/engine_fixture.h"
#include "tests/lib/tap.h"

#define SOFT_BYTES (256U << 10)
#define HARD_BYTES (1U << 20)
#define ROW_BYTES 40000
#define ROWS 100
#define SHORT_MS 5000 /* what ends, ends within that */

static struct fixture fixture;

static void on_alarm(int signal)
{
    static const char text[] = "Bail out! an answer never came\n";

    (void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
    _exit(1);
}

/* A streamed read whose reader takes the first chunk and then none, until it is let go. */
struct slow_read {
    struct call call;
    struct mutex lock;
    struct cond changed;
    unsigned chunks;
    size_t bytes;
    bool holds; /* chunk() does not return: the lane runs */
    bool free;  /* no pauses any more */
};

static struct slow_read *slow_read_of(struct request *request)
{
    return CONTAINER_OF(CONTAINER_OF(request, struct call, request), struct slow_read, call);
}

static enum chunk_answer take_chunk(struct request *request)
{
    struct slow_read *read = slow_read_of(request);
    struct buf gone = {0};
    enum chunk_answer answer;

    mutex_lock(&read->lock);
    read->chunks++;
    read->bytes += request->sink->out.len;
    cond_broadcast(&read->changed);
    while (read->holds)
        cond_wait(&read->changed, &read->lock);
    answer = read->free ? CHUNK_CONTINUE : CHUNK_PAUSE;
    mutex_unlock(&read->lock);
    buf_take(&gone, &request->sink->out);
    buf_fini(&gone);
    return answer;
}

static void read_start(struct slow_read *read, struct database *database, bool holds)
{
    memset(read, 0, sizeof(*read));
    mutex_init(&read->lock);
    cond_init(&read->changed);
    read->holds = holds;
    call_init(&read->call, &fixture);
    read->call.request.chunk = take_chunk;
    call_add(&read->call, "SELECT hex(a) FROM big");
    call_submit(&read->call, &fixture, database);
    mutex_lock(&read->lock);
    while (read->chunks == 0)
        cond_wait(&read->changed, &read->lock);
    mutex_unlock(&read->lock);
}

static void read_let_go(struct slow_read *read, bool free)
{
    mutex_lock(&read->lock);
    read->holds = false;
    read->free = free;
    cond_broadcast(&read->changed);
    mutex_unlock(&read->lock);
}

/* False: it did not end by itself. */
static bool ends(struct call *call)
{
    uint64_t until = clock_now_ms() + SHORT_MS;

    while (!call_is_done(call) && clock_now_ms() < until)
        (void)poll(NULL, 0, 5);
    if (call_is_done(call))
        return true;
    engine_cancel(fixture.engine, &call->request);
    call_wait(call);
    return false;
}

static void read_end(struct slow_read *read)
{
    call_wait(&read->call);
    call_fini(&read->call);
    cond_fini(&read->changed);
    mutex_fini(&read->lock);
}

static uint64_t wal_bytes(void)
{
    struct engine_stats stats;

    engine_stats(fixture.engine, &stats);
    return stats.wal_bytes;
}

static enum err_code insert(struct database *database)
{
    enum err_code code;

    (void)run_sql(&fixture, database, "INSERT INTO t VALUES (randomblob(40000))", &code);
    return code;
}

/* Until one is refused: the log is full, and its oldest reader has been told. */
static bool fill_log(struct database *database)
{
    for (int i = 0; i < 200; i++) {
        if (insert(database) == ERR_UNAVAILABLE)
            return true;
    }
    return false;
}

static bool writes_again(struct database *database)
{
    uint64_t until = clock_now_ms() + SHORT_MS;

    while (insert(database) != ERR_NONE) {
        if (clock_now_ms() > until)
            return false;
    }
    return true;
}

static struct database *make(const char *slug, uint64_t id)
{
    struct database *database = fixture_database(&fixture, slug, id);

    (void)run_sql(&fixture, database, "CREATE TABLE t (a)", NULL);
    (void)run_sql(&fixture, database, "CREATE TABLE big (a)", NULL);
    (void)run_sql(&fixture, database,
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100) INSERT INTO "
        "big SELECT randomblob(4000) FROM c",
        NULL);
    return database;
}

static void test_paused_read(void)
{
    struct database *database = make("paused", 1);
    struct slow_read read;
    uint64_t others = wal_bytes();
    uint64_t bytes;

    read_start(&read, database, false);
    ok(fill_log(database), "a paused read fills the log");
    bytes = wal_bytes() - others;
    ok(bytes < HARD_BYTES + 4 * ROW_BYTES, "to its bound: %llu bytes", (unsigned long long)bytes);
    ok(ends(&read.call), "the paused read ends");
    is_str(err_code_name(read.call.request.err.code), "unavailable", "and is told why");
    ok(writes_again(database), "writes go on");
    read_end(&read);
    database_unref(database);
}

/* It is told between its last look at the budgets and its pause. */
static void test_told_while_it_runs(void)
{
    struct database *database = make("told", 2);
    struct slow_read read;

    read_start(&read, database, true);
    ok(fill_log(database), "a read that hands out a chunk fills the log");
    read_let_go(&read, false);
    ok(ends(&read.call), "it does not pause any more");
    is_str(err_code_name(read.call.request.err.code), "unavailable", "but ends");
    ok(writes_again(database), "writes go on");
    read_end(&read);
    database_unref(database);
}

static void test_oldest_only(void)
{
    struct database *database = make("oldest", 3);
    struct slow_read oldest;
    struct slow_read younger;

    read_start(&oldest, database, true);
    ok(fill_log(database), "the log is full");
    read_start(&younger, database, false); /* it sees all commits: it holds nothing back */
    for (int i = 0; i < 20; i++)
        (void)insert(database);
    ok(!call_is_done(&younger.call), "while the oldest is ending, no other is ended");
    read_let_go(&oldest, false);
    ok(ends(&oldest.call), "the oldest ends");
    is_str(err_code_name(oldest.call.request.err.code), "unavailable", "as unavailable");
    ok(writes_again(database), "writes go on");
    read_let_go(&younger, true);
    engine_resume(fixture.engine, &younger.call.request);
    ok(ends(&younger.call), "the younger one ends");
    is_int(younger.call.request.err.code, ERR_NONE, "well");
    is_int((long long)(younger.bytes + younger.call.sink.out.len), ROWS * 8001, "and whole");
    read_end(&oldest);
    read_end(&younger);
    database_unref(database);
}

/* --- streams that commit back to back --- */

#define WRITERS 4
#define COMMITS 60

struct writer {
    struct database *database;
    unsigned committed;
    unsigned refused; /* unavailable or busy: nothing was done */
    unsigned wrong;
    uint64_t largest_wal;
};

static void *write_in_stream(void *argument)
{
    struct writer *writer = argument;
    struct stream *stream = fixture_stream(&fixture, writer->database);

    for (int i = 0; i < COMMITS; i++) {
        enum err_code code = in_stream(&fixture, stream, "BEGIN IMMEDIATE");

        if (code == ERR_NONE)
            code = in_stream(&fixture, stream, "INSERT INTO t VALUES (randomblob(40000))");
        if (code == ERR_NONE)
            code = in_stream(&fixture, stream, "COMMIT");
        if (code == ERR_NONE)
            writer->committed++;
        else if (code == ERR_UNAVAILABLE || code == ERR_BUSY || code == ERR_STREAM_EXPIRED)
            writer->refused++;
        else
            writer->wrong++;
        writer->largest_wal = MAX(writer->largest_wal, wal_bytes());
    }
    stream_close(fixture.engine, stream);
    return NULL;
}

static void test_streams(void)
{
    struct database *database = make("streams", 4);
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    uint64_t largest = 0;
    unsigned committed = 0;
    unsigned refused = 0;
    unsigned wrong = 0;
    char want[32];

    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.database = database};
        thread_start(&threads[i], "writer", write_in_stream, &writers[i]);
    }
    for (int i = 0; i < WRITERS; i++) {
        thread_join(threads[i]);
        largest = MAX(largest, writers[i].largest_wal);
        committed += writers[i].committed;
        refused += writers[i].refused;
        wrong += writers[i].wrong;
    }
    ok(largest < HARD_BYTES + 2 * WRITERS * ROW_BYTES,
        "transactions back to back leave a log of %llu bytes at most", (unsigned long long)largest);
    is_int(wrong, 0, "nobody meets another error");
    /* One that commits while another looks for who holds the log may be told to end. */
    ok(refused < WRITERS * COMMITS / 10, "they wait for one another: %u refused", refused);
    (void)snprintf(want, sizeof(want), "%u\n", committed);
    is_str(run_sql(&fixture, database, "SELECT count(*) FROM t", NULL), want,
        "what was committed is there, once");
    database_unref(database);
}

int main(void)
{
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(240);
    fixture_init(&fixture);
    fixture.options.wal_soft_bytes = SOFT_BYTES;
    fixture.options.wal_hard_bytes = HARD_BYTES;
    fixture.options.stream_chunk_bytes = 64 << 10;
    fixture.options.lock_wait_ms = 10000;
    fixture.options.slow_cpus = 4; /* a chunk that is held has a turn */
    fixture_start(&fixture);
    test_streams(); /* first: the log's length is that of all databases */
    test_paused_read();
    test_told_while_it_runs();
    test_oldest_only();
    fixture_stop(&fixture);
    fixture_remove(&fixture);
    return done_testing();
}
