#include "tests/lib/engine_fixture.h"

#include <poll.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/mem.h"
#include "tenants/family.h"
#include "tests/lib/scratch.h"

static void *run_worker(void *engine)
{
    engine_worker_run(engine);
    return NULL;
}

static void *run_slow(void *engine)
{
    engine_slow_run(engine);
    return NULL;
}

static void *run_sync(void *engine)
{
    engine_sync_run(engine);
    return NULL;
}

static void *run_ticks(void *argument)
{
    struct fixture *fixture = argument;

    while (atomic_load(&fixture->ticking)) {
        engine_tick(fixture->engine, clock_now_ns());
        (void)poll(NULL, 0, 20);
    }
    return NULL;
}

static struct principal *make_principal(uint32_t capabilities, uint64_t token_id)
{
    struct principal *principal = mem_zalloc(sizeof(*principal));

    principal->references = 1;
    principal->tenant_id = 1;
    principal->token_id = token_id;
    principal->capabilities = capabilities;
    principal->tenant_slug = STR_LITERAL("test");
    principal->role = STR_LITERAL("owner");
    principal->claims_json = STR_LITERAL("{}");
    return principal;
}

void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){.thread_count = 0};
    engine_options_defaults(&fixture->options);
    fixture->options.sync_threads = 2;
    CHECK(scratch_make(fixture->data_dir, sizeof(fixture->data_dir), "/tmp") == 0);
    fixture->options.data_dir = fixture->data_dir;
    fixture->owner = make_principal(ROLE_OWNER_CAPS, 1);
    fixture->reader = make_principal(ROLE_READONLY_CAPS, 2);
}

void fixture_start(struct fixture *fixture)
{
    struct err err = ERR_INIT;

    if (engine_new(&fixture->options, &fixture->engine, &err) < 0) {
        (void)printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    fixture->thread_count = 0;
    for (unsigned i = 0; i < fixture->options.workers; i++)
        thread_start(
            &fixture->threads[fixture->thread_count++], "worker", run_worker, fixture->engine);
    for (unsigned i = 0; i < fixture->options.slow_workers; i++)
        thread_start(&fixture->threads[fixture->thread_count++], "slow", run_slow, fixture->engine);
    for (unsigned i = 0; i < fixture->options.sync_threads; i++)
        thread_start(&fixture->threads[fixture->thread_count++], "sync", run_sync, fixture->engine);
    atomic_store(&fixture->ticking, true);
    thread_start(&fixture->ticker, "tick", run_ticks, fixture);
}

void fixture_stop(struct fixture *fixture)
{
    atomic_store(&fixture->ticking, false);
    thread_join(fixture->ticker);
    engine_drain(fixture->engine);
    engine_stop(fixture->engine);
    for (unsigned i = 0; i < fixture->thread_count; i++)
        thread_join(fixture->threads[i]);
    engine_close_all(fixture->engine);
    CHECK(engine_idle(fixture->engine));
    engine_free(fixture->engine);
    fixture->engine = NULL;
}

void fixture_remove(struct fixture *fixture)
{
    mem_free(fixture->owner);
    mem_free(fixture->reader);
    CHECK(scratch_remove(fixture->data_dir) == 0);
}

struct database *fixture_database(struct fixture *fixture, const char *slug, uint64_t id)
{
    struct database *database = mem_zalloc(sizeof(*database));

    (void)fixture;
    atomic_init(&database->references, 1);
    atomic_init(&database->actor, NULL);
    database->id = id;
    database->tenant_id = 1 + id % 7;
    database->slug = str_from(slug);
    database->tenant_slug = STR_LITERAL("test");
    (void)snprintf(
        database->family_id, sizeof(database->family_id), "%032llx", (unsigned long long)id);
    (void)snprintf(database->head_id, sizeof(database->head_id), "%032llx",
        (unsigned long long)id + 0x100000000ULL);
    database->state = DATABASE_RESERVED;
    database->settings.foreign_keys = true;
    return database;
}

/* --- the text sink --- */

static void text_begin(
    struct sink *sink, unsigned statement, const struct column *columns, unsigned count)
{
}

static void text_row(struct sink *sink, const struct value *values, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            buf_char(&sink->out, '|');
        switch (values[i].type) {
        case VALUE_INTEGER:
            buf_i64(&sink->out, values[i].integer);
            break;
        case VALUE_REAL:
            buf_printf(&sink->out, "%g", values[i].real);
            break;
        case VALUE_TEXT:
        case VALUE_BLOB:
            buf_str(&sink->out, values[i].bytes);
            break;
        case VALUE_NULL:
        default:
            buf_literal(&sink->out, "NULL");
            break;
        }
    }
    buf_char(&sink->out, '\n');
}

static void text_end(struct sink *sink, unsigned statement, const struct statement_stats *stats)
{
    if (stats->is_write)
        buf_printf(&sink->out, "=%llu\n", (unsigned long long)stats->changes);
}

static void text_error(struct sink *sink, unsigned statement, const struct err *err, struct str sql)
{
    buf_printf(&sink->out, "!%s\n", err_code_name(err->code));
}

static const struct sink_ops text_ops = {
    .begin = text_begin, .row = text_row, .end = text_end, .error = text_error};

static void on_done(struct request *request)
{
    struct call *call = request->owner;

    mutex_lock(&call->lock);
    call->done = true;
    cond_signal(&call->changed);
    mutex_unlock(&call->lock);
}

void call_init(struct call *call, struct fixture *fixture)
{
    memset(call, 0, sizeof(*call));
    mutex_init(&call->lock);
    cond_init(&call->changed);
    arena_init(&call->arena, 0);
    buf_init(&call->sink.out, 64U << 20);
    call->sink.ops = &text_ops;
    call->request.kind = REQUEST_STATEMENTS;
    call->request.principal = fixture->owner;
    call->request.statements = call->statements;
    call->request.sink = &call->sink;
    call->request.arena = &call->arena;
    call->request.done = on_done;
    call->request.owner = call;
}

void call_fini(struct call *call)
{
    buf_fini(&call->sink.out);
    arena_fini(&call->arena);
    cond_fini(&call->changed);
    mutex_fini(&call->lock);
}

void call_add(struct call *call, const char *sql)
{
    unsigned at = call->request.statement_count++;

    CHECK(at < 8);
    call->statements[at].sql = str_from(sql);
    call->statements[at].parameters = call->parameters[at];
    call->statements[at].parameter_count = 0;
}

static struct parameter *next_parameter(struct call *call)
{
    unsigned at = call->request.statement_count - 1;

    return &call->parameters[at][call->statements[at].parameter_count++];
}

void call_bind_integer(struct call *call, int64_t value)
{
    next_parameter(call)->value = (struct value){.type = VALUE_INTEGER, .integer = value};
}

void call_bind_text(struct call *call, const char *value)
{
    next_parameter(call)->value = (struct value){.type = VALUE_TEXT, .bytes = str_from(value)};
}

void call_submit(struct call *call, struct fixture *fixture, struct database *database)
{
    call->done = false;
    engine_submit(fixture->engine, database, &call->request);
}

void call_wait(struct call *call)
{
    mutex_lock(&call->lock);
    while (!call->done)
        cond_wait(&call->changed, &call->lock);
    mutex_unlock(&call->lock);
}

bool call_is_done(struct call *call)
{
    bool done;

    mutex_lock(&call->lock);
    done = call->done;
    mutex_unlock(&call->lock);
    return done;
}

bool call_try_here(struct call *call, struct fixture *fixture, struct database *database)
{
    bool taken;

    loop_thread_enter();
    taken = engine_try_here(fixture->engine, database, &call->request);
    loop_thread_leave();
    return taken;
}

const char *call_text(struct call *call)
{
    buf_char(&call->sink.out, '\0');
    buf_truncate(&call->sink.out, call->sink.out.len - 1);
    return call->sink.out.bytes;
}

static const char *run(struct fixture *fixture, struct database *database, struct stream *stream,
    const char *sql, enum err_code *ret_code)
{
    static char text[65536];
    struct call call;

    call_init(&call, fixture);
    call.request.stream = stream;
    call_add(&call, sql);
    call_submit(&call, fixture, database);
    call_wait(&call);
    (void)snprintf(text, sizeof(text), "%s", call_text(&call));
    if (ret_code != NULL)
        *ret_code = call.request.err.code;
    else if (call.request.err.code != ERR_NONE)
        (void)printf("# %s: %s\n", sql, call.request.err.msg);
    call_fini(&call);
    return text;
}

const char *run_sql(
    struct fixture *fixture, struct database *database, const char *sql, enum err_code *ret_code)
{
    return run(fixture, database, NULL, sql, ret_code);
}

struct stream *fixture_stream(struct fixture *fixture, struct database *database)
{
    struct err err = ERR_INIT;
    struct stream *stream = stream_open(fixture->engine, database, fixture->owner, &err);

    CHECK(stream != NULL);
    return stream;
}

const char *stream_sql(
    struct fixture *fixture, struct stream *stream, const char *sql, enum err_code *ret_code)
{
    return run(fixture, NULL, stream, sql, ret_code);
}

enum err_code in_stream(struct fixture *fixture, struct stream *stream, const char *sql)
{
    struct call call;
    enum err_code code;

    call_init(&call, fixture);
    call.request.stream = stream;
    call_add(&call, sql);
    call_submit(&call, fixture, NULL);
    call_wait(&call);
    code = call.request.err.code;
    call_fini(&call);
    return code;
}
