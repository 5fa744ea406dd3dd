/* Random operations of several clients on a few databases against a serial model: writes, batches
 * of each kind with and without failures that take the whole group back, streams, streamed reads
 * that pause, cancelling, changes of the schema, closing at any time. Each client has keys of its
 * own, so its model says exactly what it must see. ROOKERY_SEED repeats a run's choices. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tests/lib/engine_fixture.h"
#include "tests/lib/tap.h"

#define CLIENTS 3
#define DATABASES 3
#define KEYS 64
#define WINDOW 8
#define RUN_MS 5000
#define BIG_ROWS 300 /* of 2,001 bytes: two chunks and a rest */

static struct fixture fixture;
static struct database *databases[DATABASES];
static uint64_t seed;

struct client {
    unsigned number;
    uint64_t state;
    unsigned operations;
    unsigned wrong;
    bool present[DATABASES][KEYS];
};

static uint64_t next_random(struct client *client)
{
    client->state ^= client->state << 13;
    client->state ^= client->state >> 7;
    client->state ^= client->state << 17;
    return client->state;
}

static unsigned pick(struct client *client, unsigned count)
{
    return (unsigned)((next_random(client) >> 20) % count);
}

static void on_alarm(int signal)
{
    static const char text[] = "Bail out! an answer never came\n";

    (void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
    _exit(1);
}

static void complain(struct client *client, const char *what, const struct call *call)
{
    client->wrong++;
    (void)printf("# client %u: %s: %s %s\n", client->number, what,
        err_code_name(call->request.err.code), call->request.err.msg);
}

/* ---- one call ---- */

struct job {
    struct call call;
    char sql[4][128];
    unsigned texts;
    size_t bytes; /* streamed */
    atomic_bool paused;
    bool pauses;
    bool cancelled;
};

static void job_init(struct job *job)
{
    memset(job, 0, sizeof(*job));
    call_init(&job->call, &fixture);
}

static void job_add(struct job *job, const char *format, unsigned client, unsigned key)
{
    char *sql = job->sql[job->texts++];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(sql, sizeof(job->sql[0]), format, client, key);
#pragma GCC diagnostic pop
    call_add(&job->call, sql);
}

static void job_run(struct job *job, unsigned database, struct stream *stream)
{
    job->call.request.stream = stream;
    call_submit(&job->call, &fixture, databases[database]);
    call_wait(&job->call);
}

static unsigned free_key(struct client *client, unsigned database, bool present)
{
    for (unsigned i = 0; i < 200; i++) {
        unsigned key = pick(client, KEYS);

        if (client->present[database][key] == present)
            return key;
    }
    return KEYS;
}

/* ---- operations ---- */

#define INSERT "INSERT INTO t VALUES (%u, %u, NULL)"
#define INSERT_OR_ROLLBACK "INSERT OR ROLLBACK INTO t VALUES (%u, %u, NULL)"
#define INSERT_RAISING "INSERT INTO raising VALUES (%u, %u)"
#define INSERT_ORPHAN "INSERT INTO child VALUES (%u, %u + 1000000)"
#define DELETE "DELETE FROM t WHERE c = %u AND k = %u"

/* Several single writes at once, of which some are cancelled: whatever the answer says is so. */
static void do_window(struct client *client, unsigned database)
{
    struct job jobs[WINDOW];
    unsigned keys[WINDOW];
    bool was[WINDOW];
    bool used[KEYS] = {false};

    for (unsigned i = 0; i < WINDOW; i++) {
        do
            keys[i] = pick(client, KEYS);
        while (used[keys[i]]);
        used[keys[i]] = true;
        was[i] = client->present[database][keys[i]];
        job_init(&jobs[i]);
        if (was[i] && pick(client, 3) > 0)
            job_add(&jobs[i], DELETE, client->number, keys[i]);
        else if (pick(client, 8) == 0)
            job_add(&jobs[i], pick(client, 2) == 0 ? INSERT_RAISING : INSERT_ORPHAN, client->number,
                keys[i]);
        else
            job_add(&jobs[i], pick(client, 3) == 0 ? INSERT_OR_ROLLBACK : INSERT, client->number,
                keys[i]);
        call_submit(&jobs[i].call, &fixture, databases[database]);
    }
    for (unsigned i = 0; i < WINDOW; i++) {
        jobs[i].cancelled = pick(client, 10) == 0;
        if (jobs[i].cancelled)
            engine_cancel(fixture.engine, &jobs[i].call.request);
    }
    for (unsigned i = 0; i < WINDOW; i++) {
        bool deletes = jobs[i].sql[0][0] == 'D';
        bool fails = strstr(jobs[i].sql[0], "INTO t ") == NULL && !deletes;
        enum err_code code;

        call_wait(&jobs[i].call);
        code = jobs[i].call.request.err.code;
        if (code == ERR_CANCELLED && jobs[i].cancelled)
            ; /* nothing happened */
        else if (deletes ? code != ERR_NONE : code != (was[i] || fails ? ERR_SQL : ERR_NONE))
            complain(client, jobs[i].sql[0], &jobs[i].call);
        else if (!fails)
            client->present[database][keys[i]] = !deletes;
        call_fini(&jobs[i].call);
    }
}

/* Insert, something that fails or not, insert. */
static void do_batch(struct client *client, unsigned database)
{
    static const char *const failing[] = {
        INSERT, INSERT_OR_ROLLBACK, INSERT_RAISING, INSERT_ORPHAN};
    enum request_mode mode = (enum request_mode)pick(client, 3);
    unsigned first = free_key(client, database, false);
    unsigned last = free_key(client, database, false);
    bool fails = pick(client, 2) == 0;
    struct job job;

    if (first == KEYS || last == KEYS || first == last)
        return;
    job_init(&job);
    job.call.request.mode = mode;
    job_add(&job, INSERT, client->number, first);
    if (fails) /* the key is there by then: each of these fails */
        job_add(&job, failing[pick(client, 4)], client->number, first);
    job_add(&job, INSERT, client->number, last);
    job_run(&job, database, NULL);
    if (job.call.request.err.code != (fails ? ERR_SQL : ERR_NONE))
        complain(client, job.sql[1], &job.call);
    if (!fails || mode != MODE_TRANSACTION)
        client->present[database][first] = true;
    if (!fails || mode == MODE_CONTINUE)
        client->present[database][last] = true;
    call_fini(&job.call);
}

static bool is_expected(struct client *client, unsigned database, struct call *call)
{
    char want[64];
    unsigned count = 0;
    unsigned sum = 0;

    for (unsigned key = 0; key < KEYS; key++) {
        if (client->present[database][key]) {
            count++;
            sum += key;
        }
    }
    if (count == 0)
        (void)snprintf(want, sizeof(want), "0|NULL\n");
    else
        (void)snprintf(want, sizeof(want), "%u|%u\n", count, sum);
    if (call->request.err.code == ERR_NONE && strcmp(call_text(call), want) == 0)
        return true;
    (void)printf("# got %s# want %s", call_text(call), want);
    return false;
}

static void do_read(struct client *client, unsigned database)
{
    struct job job;

    job_init(&job);
    job_add(&job, "SELECT count(*), sum(k) FROM t WHERE c = %u", client->number, 0);
    job.call.request.lane_hint = client->number;
    if (pick(client, 3) == 0 || !call_try_here(&job.call, &fixture, databases[database]))
        call_submit(&job.call, &fixture, databases[database]);
    call_wait(&job.call);
    if (!is_expected(client, database, &job.call))
        complain(client, "a read", &job.call);
    call_fini(&job.call);
}

static void do_stream(struct client *client, unsigned database)
{
    static const char *const ends[] = {"COMMIT", "END", "ROLLBACK", "", ""};
    struct err err = ERR_INIT;
    unsigned key = free_key(client, database, false);
    const char *end = ends[pick(client, 5)];
    struct stream *stream;
    struct job job;
    bool ok_so_far = true;

    if (key == KEYS)
        return;
    stream = stream_open(fixture.engine, databases[database], fixture.owner, &err);
    CHECK(stream != NULL);
    for (unsigned step = 0; step < 3 && ok_so_far; step++) {
        if (step == 2 && end[0] == '\0')
            break;
        job_init(&job);
        if (step == 1)
            job_add(&job, INSERT, client->number, key);
        else
            call_add(
                &job.call, step == 0 ? (pick(client, 2) == 0 ? "BEGIN" : "BEGIN IMMEDIATE") : end);
        job_run(&job, database, stream);
        ok_so_far = job.call.request.err.code == ERR_NONE;
        if (!ok_so_far)
            complain(client, "a stream", &job.call);
        call_fini(&job.call);
    }
    if (ok_so_far && (end[0] == 'C' || end[0] == 'E'))
        client->present[database][key] = true;
    if (end[0] == '\0' && pick(client, 2) == 0) { /* one more that it will not wait for */
        job_init(&job);
        call_add(&job.call, "SELECT 1");
        job.call.request.stream = stream;
        call_submit(&job.call, &fixture, databases[database]);
        stream_close(fixture.engine, stream);
        call_wait(&job.call);
        call_fini(&job.call);
        return;
    }
    stream_close(fixture.engine, stream);
}

static enum chunk_answer take_chunk(struct request *request)
{
    struct job *job = CONTAINER_OF(CONTAINER_OF(request, struct call, request), struct job, call);
    struct buf gone = {0};

    job->bytes += request->sink->out.len;
    buf_take(&gone, &request->sink->out);
    buf_fini(&gone);
    if (!job->pauses)
        return CHUNK_CONTINUE;
    atomic_store(&job->paused, true);
    return CHUNK_PAUSE;
}

static void do_big_read(struct client *client, unsigned database)
{
    struct job job;

    job_init(&job);
    job.pauses = pick(client, 2) == 0;
    job.call.request.chunk = take_chunk;
    job_add(&job,
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300) SELECT "
        "hex(zeroblob(1000)) FROM c",
        0, 0);
    call_submit(&job.call, &fixture, databases[database]);
    while (!call_is_done(&job.call)) {
        if (atomic_exchange(&job.paused, false)) {
            job.cancelled = job.cancelled || pick(client, 6) == 0;
            if (job.cancelled)
                engine_cancel(fixture.engine, &job.call.request);
            else
                engine_resume(fixture.engine, &job.call.request);
        }
        (void)poll(NULL, 0, 1);
    }
    call_wait(&job.call);
    if (job.cancelled
            ? job.call.request.err.code != ERR_CANCELLED && job.call.request.err.code != ERR_NONE
            : job.call.request.err.code != ERR_NONE ||
                  job.bytes + job.call.sink.out.len != BIG_ROWS * 2001)
        complain(client, "a streamed read", &job.call);
    call_fini(&job.call);
}

static void do_schema(struct client *client, unsigned database)
{
    struct job job;

    job_init(&job);
    job_add(&job,
        pick(client, 2) == 0 ? "CREATE INDEX IF NOT EXISTS i%u ON t (c, k)"
                             : "DROP INDEX IF EXISTS i%u",
        client->number, 0);
    job_run(&job, database, NULL);
    if (job.call.request.err.code != ERR_NONE)
        complain(client, job.sql[0], &job.call);
    call_fini(&job.call);
}

static atomic_uint closes;

static void on_closed(void *argument)
{
    (void)atomic_fetch_sub(&closes, 1);
}

static void do_close(unsigned database)
{
    (void)atomic_fetch_add(&closes, 1);
    engine_close_database(fixture.engine, databases[database], on_closed, NULL);
}

static void *run_client(void *argument)
{
    struct client *client = argument;
    uint64_t until = clock_now_ms() + RUN_MS;

    while (clock_now_ms() < until && client->wrong < 5) {
        unsigned database = pick(client, DATABASES);
        unsigned what = pick(client, 100);

        if (what < 30)
            do_window(client, database);
        else if (what < 45)
            do_batch(client, database);
        else if (what < 75)
            do_read(client, database);
        else if (what < 85)
            do_stream(client, database);
        else if (what < 93)
            do_big_read(client, database);
        else if (what < 97)
            do_schema(client, database);
        else
            do_close(database);
        client->operations++;
    }
    return NULL;
}

static void make_tables(void)
{
    static const char *const sql[] = {
        "CREATE TABLE t (c, k, v, PRIMARY KEY (c, k))",
        "CREATE TABLE raising (c, k)",
        "CREATE TRIGGER no BEFORE INSERT ON raising BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (c, p REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
    };

    for (unsigned d = 0; d < DATABASES; d++) {
        databases[d] = fixture_database(&fixture, "random", 1 + d);
        for (size_t i = 0; i < ARRAY_LEN(sql); i++)
            (void)run_sql(&fixture, databases[d], sql[i], NULL);
    }
}

static void check_end(struct client *clients)
{
    for (unsigned d = 0; d < DATABASES; d++) {
        for (unsigned c = 0; c < CLIENTS; c++)
            do_read(&clients[c], d);
        is_str(run_sql(&fixture, databases[d], "SELECT count(*) FROM child", NULL), "0\n",
            "no orphan was kept");
        is_str(run_sql(&fixture, databases[d], "PRAGMA integrity_check", NULL), "ok\n",
            "the database is whole");
    }
    for (unsigned c = 0; c < CLIENTS; c++)
        is_int(clients[c].wrong, 0, "every answer is what the model says");
}

int main(void)
{
    const char *given = getenv("ROOKERY_SEED");
    struct client clients[CLIENTS];
    pthread_t threads[CLIENTS];

    seed = given != NULL ? strtoull(given, NULL, 0) : clock_now_ns();
    (void)printf("# ROOKERY_SEED=%llu\n", (unsigned long long)seed);
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(120);
    fixture_init(&fixture);
    fixture.options.idle_close_ms = 30;
    fixture.options.wal_soft_bytes = 128 << 10;
    fixture.options.lock_wait_ms = 30000;
    fixture.options.readers_per_database = 2;
    fixture_start(&fixture);
    make_tables();
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.number = i, .state = seed * (2 * i + 1) + i + 1};
        thread_start(&threads[i], "client", run_client, &clients[i]);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        thread_join(threads[i]);
        ok(true, "client %u did %u operations", i, clients[i].operations);
    }
    check_end(clients);
    for (unsigned i = 0; i < 500 && atomic_load(&closes) > 0; i++)
        (void)poll(NULL, 0, 10);
    is_int(atomic_load(&closes), 0, "who asked for a close was told");
    for (unsigned d = 0; d < DATABASES; d++)
        database_unref(databases[d]);
    fixture_stop(&fixture);
    fixture_remove(&fixture);
    return done_testing();
}
