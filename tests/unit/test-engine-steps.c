/* Requests whose statements have conditions, that compile only, and streams at rest. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tenants/base/check.h"
#include "tests/lib/engine_fixture.h"
#include "tests/lib/tap.h"

static struct fixture fixture;
static struct database *database;
static struct principal *reader; /* NULL: the owner runs */

/* The fixture's sink, and what it lacks. */
static struct sink_ops ops;

static void on_skipped(struct sink *sink, unsigned statement)
{
    buf_printf(&sink->out, "skip %u\n", statement);
}

static void on_described(
    struct sink *sink, unsigned statement, const struct statement_description *description)
{
    buf_printf(&sink->out, "%u params, %u columns, %s%s\n", description->parameter_count,
        description->column_count, description->is_readonly ? "reads" : "writes",
        description->is_explain ? ", explains" : "");
    for (unsigned i = 0; i < description->parameter_count; i++) {
        struct str name = description->parameters[i];

        buf_printf(&sink->out, "%.*s\n", (int)name.len, name.ptr == NULL ? "" : name.ptr);
    }
}

static void begin(struct call *call, struct stream *stream)
{
    call_init(call, &fixture);
    ops = *call->sink.ops;
    ops.skipped = on_skipped;
    ops.described = on_described;
    call->sink.ops = &ops;
    call->request.stream = stream;
    if (reader != NULL)
        call->request.principal = reader;
}

static const char *finish(struct call *call, enum err_code *ret_code)
{
    static char text[4096];

    call_submit(call, &fixture, database);
    call_wait(call);
    *ret_code = call->request.err.code;
    (void)snprintf(text, sizeof(text), "%s", call_text(call));
    call_fini(call);
    return text;
}

/* BEGIN; each statement if the one before succeeded; COMMIT; ROLLBACK if not committed. */
static const char *run_chain(struct stream *stream, const char *first, const char *second)
{
    struct condition after[3];
    struct condition committed = {.type = CONDITION_OK, .step = 3};
    struct condition not_committed = {.type = CONDITION_NOT, .first = &committed};
    uint8_t states[5];
    struct call call;
    enum err_code code;

    begin(&call, stream);
    call.request.mode = MODE_CONTINUE;
    call.request.step_states = states;
    call_add(&call, "BEGIN IMMEDIATE");
    call_add(&call, first);
    call_add(&call, second);
    call_add(&call, "COMMIT");
    call_add(&call, "ROLLBACK");
    for (uint32_t i = 0; i < 3; i++) {
        after[i] = (struct condition){.type = CONDITION_OK, .step = i};
        call.statements[i + 1].condition = &after[i];
    }
    call.statements[4].condition = &not_committed;
    return finish(&call, &code);
}

static void test_chain(void)
{
    struct err err = ERR_INIT;
    struct stream *stream = stream_open(fixture.engine, database, fixture.owner, &err);
    const char *text;

    CHECK(stream != NULL);
    text = run_chain(stream, "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)");
    ok(strstr(text, "skip 4") != NULL && strstr(text, "!") == NULL, "a chain that succeeds: %s",
        text);
    text = run_chain(stream, "INSERT INTO t VALUES (3)", "INSERT INTO t VALUES (1)");
    ok(strstr(text, "!sql_error") != NULL && strstr(text, "skip 3") != NULL &&
            strstr(text, "skip 4") == NULL,
        "and one that fails: %s", text);
    ok(stream_is_autocommit(stream) && !stream_has_state(stream), "leave no transaction");
    is_str(run_sql(&fixture, database, "SELECT count(*) FROM t", NULL), "2\n", "all or nothing");
    stream_close(fixture.engine, stream);
}

/* Outside of streams: in a group, where the transaction is the engine's. */
static void test_stateless(void)
{
    struct condition autocommit = {.type = CONDITION_AUTOCOMMIT};
    struct condition failed = {.type = CONDITION_ERROR, .step = 1};
    uint8_t states[4];
    struct call call;
    enum err_code code;
    const char *text;

    begin(&call, NULL);
    call.request.mode = MODE_CONTINUE;
    call.request.step_states = states;
    call_add(&call, "INSERT INTO t VALUES (10)");
    call_add(&call, "INSERT INTO t VALUES (10)");
    call_add(&call, "INSERT INTO t VALUES (11)");
    call_add(&call, "SELECT count(*) FROM t WHERE id >= 10");
    call.statements[2].condition = &autocommit;
    call.statements[3].condition = &failed;
    text = finish(&call, &code);
    is_str(text, "=1\n!sql_error\n=1\n2\n", "conditions in a group");
    ok(states[0] == STEP_OK && states[1] == STEP_FAILED && states[3] == STEP_OK,
        "and their states");
}

static void test_describe(void)
{
    struct call call;
    enum err_code code;

    begin(&call, NULL);
    call.request.describe = true;
    call_add(&call, "INSERT INTO t VALUES (:a) RETURNING id, 1");
    is_str(finish(&call, &code), "1 params, 2 columns, writes\n:a\n", "a write is described");
    (void)run_sql(&fixture, database, "ALTER TABLE t ADD COLUMN more", NULL);
    begin(&call, NULL);
    call.request.describe = true;
    call_add(&call, "SELECT * FROM t");
    is_str(finish(&call, &code), "0 params, 2 columns, reads\n", "a changed schema is seen");
    begin(&call, NULL);
    call.request.describe = true;
    call_add(&call, "SELECT * FROM nowhere");
    is_str(finish(&call, &code), "!sql_error\n", "an error is an error");
}

/* In `stream`, for `reader`. */
static enum err_code read_in_stream(struct stream *stream, const char *sql)
{
    struct call call;
    enum err_code code;

    begin(&call, stream);
    call_add(&call, sql);
    (void)finish(&call, &code);
    return code;
}

static void test_read_only(void)
{
    struct err err = ERR_INIT;
    struct stream *stream = stream_open(fixture.engine, database, fixture.owner, &err);

    CHECK(stream != NULL);
    is_int(in_stream(&fixture, stream, "BEGIN TRANSACTION READONLY"), ERR_NONE,
        "BEGIN TRANSACTION READONLY");
    is_int(in_stream(&fixture, stream, "SELECT count(*) FROM t"), ERR_NONE, "reads");
    is_int(in_stream(&fixture, stream, "DELETE FROM t"), ERR_SQL, "refuses writes");
    is_int(in_stream(&fixture, stream, "COMMIT"), ERR_NONE, "commits");
    is_int(in_stream(&fixture, stream, "DELETE FROM t WHERE id = 999"), ERR_NONE,
        "and writes after it");
    stream_close(fixture.engine, stream);
    stream = stream_open(fixture.engine, database, fixture.reader, &err);
    CHECK(stream != NULL);
    reader = fixture.reader;
    is_int(read_in_stream(stream, "BEGIN IMMEDIATE"), ERR_ROLE_FORBIDS,
        "who may not write cannot take the lock");
    is_int(read_in_stream(stream, "BEGIN"), ERR_NONE, "but may begin");
    reader = NULL;
    stream_close(fixture.engine, stream);
}

static void wait_for_lanes(unsigned wanted)
{
    static const struct timespec pause = {.tv_nsec = 5000000};
    struct engine_stats stats;

    for (unsigned i = 0; i < 2000; i++) {
        engine_stats(fixture.engine, &stats);
        if (stats.lanes == wanted)
            break;
        (void)nanosleep(&pause, NULL);
    }
    is_int(stats.lanes, wanted, "lanes in the end");
}

static void test_rest(void)
{
    struct err err = ERR_INIT;
    struct stream *plain = stream_open(fixture.engine, database, fixture.owner, &err);
    struct stream *special = stream_open(fixture.engine, database, fixture.owner, &err);
    struct engine_stats before;

    CHECK(plain != NULL && special != NULL);
    engine_stats(fixture.engine, &before);
    is_int(in_stream(&fixture, plain, "SELECT 1"), ERR_NONE, "a stream");
    is_int(in_stream(&fixture, special, "PRAGMA foreign_keys=off"), ERR_NONE,
        "and one with a setting");
    ok(!stream_has_state(plain) && stream_has_state(special), "differ");
    wait_for_lanes(before.lanes + 1);
    is_int(in_stream(&fixture, plain, "BEGIN"), ERR_NONE,
        "the first gave its lane back, and gets another");
    is_int(in_stream(&fixture, plain, "COMMIT"), ERR_NONE, "as often as it needs one");
    stream_close(fixture.engine, plain);
    stream_close(fixture.engine, special);
}

int main(void)
{
    fixture_init(&fixture);
    fixture.options.stream_idle_ms = 200;
    fixture_start(&fixture);
    database = fixture_database(&fixture, "steps", 1);
    (void)run_sql(&fixture, database, "CREATE TABLE t (id INTEGER PRIMARY KEY)", NULL);
    test_chain();
    test_stateless();
    test_describe();
    test_read_only();
    test_rest();
    database_unref(database);
    fixture_stop(&fixture);
    fixture_remove(&fixture);
    return done_testing();
}
