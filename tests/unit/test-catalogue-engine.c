/* The catalogue on the real engine, with its threads: what is written there is on disk, databases
 * get live, close, are purged; and it all is there again at the next start. */
#include <poll.h>
#include <sys/stat.h>

#include "tenants/base/clock.h"
#include "tenants/base/metrics.h"
#include "tenants/directory.h"
#include "tests/lib/catalogue_calls.h"
#include "tests/lib/engine_fixture.h"

static struct fixture fixture;

static void open_catalogue(char *bootstrap)
{
    struct err err = ERR_INIT;

    if (catalogue_open(fixture.engine, fixture.data_dir, &made.catalogue, bootstrap, &err) < 0) {
        (void)printf("Bail out! %s\n", err.msg);
        exit(1);
    }
}

static bool has_folder(const struct database *database)
{
    char path[256];
    struct stat status;

    (void)snprintf(path, sizeof(path), "%s/db/%.2s/%s", fixture.data_dir, database->family_id,
        database->family_id);
    return stat(path, &status) == 0;
}

static void test_use(void)
{
    static struct database_create_item items[1000];
    static char slugs[1000][16];
    struct database *database;
    uint64_t syncs;
    enum err_code code;

    is_code(DO(tenant_create, struct tenant_create_input, .slug = S("acme")), ERR_NONE,
        "a tenant is made");
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        (void)snprintf(slugs[i], sizeof(slugs[i]), "db-%zu", i);
        items[i].slug = str_from(slugs[i]);
    }
    syncs = metric_counter_get(METRIC_SYNCS, 0);
    is_code(DO(database_create, struct database_create_input, .tenant = S("acme"), .items = items,
                .count = ARRAY_LEN(items)),
        ERR_NONE, "1,000 databases are made");
    syncs = metric_counter_get(METRIC_SYNCS, 0) - syncs;
    ok(syncs < 10, "together, not by a sync each: %llu", (unsigned long long)syncs);

    database = look_up("acme", "db-7");
    ok(database != NULL && database->state == DATABASE_RESERVED && !has_folder(database),
        "a database that was never used is a row");
    is_str(run_sql(&fixture, database, "CREATE TABLE t(a)", &code), "=0\n", "the first write");
    ok(code == ERR_NONE && has_folder(database), "makes its folder");
    database_unref(database);
    database = look_up("acme", "db-7");
    is_int(database->state, DATABASE_LIVE, "and the catalogue knows");
    is_str(run_sql(&fixture, database, "INSERT INTO t VALUES (1)", &code), "=1\n", "it is written");
    database_unref(database);
    is_code(DO(database_get, struct database_input, .tenant = S("acme"), .database = S("db-7")),
        ERR_NONE, "its figures");
    ok(OUT(struct database_info)->usage->bytes + OUT(struct database_info)->usage->wal_bytes >=
            8192,
        "tell its size: %llu and %llu", (unsigned long long)OUT(struct database_info)->usage->bytes,
        (unsigned long long)OUT(struct database_info)->usage->wal_bytes);
}

static void test_settings(void)
{
    const struct setting *keys = setting_find(SETTING_DATABASE, S("foreign_keys"));
    struct setting_change off = {.setting = keys, .value = 0};
    struct database *database = look_up("acme", "db-7");

    (void)run_sql(&fixture, database, "CREATE TABLE p(a PRIMARY KEY)", NULL);
    (void)run_sql(&fixture, database, "CREATE TABLE c(a REFERENCES p(a))", NULL);
    ok(strchr(run_sql(&fixture, database, "INSERT INTO c VALUES (1)", NULL), '!') != NULL,
        "foreign keys are enforced");
    database_unref(database);
    is_code(DO(database_patch, struct database_patch_input, .tenant = S("acme"),
                .database = S("db-7"), .settings = &off, .setting_count = 1),
        ERR_NONE, "they are turned off");
    database = look_up("acme", "db-7");
    for (int i = 0; i < 500; i++) { /* the actor closes when it is idle */
        if (strchr(run_sql(&fixture, database, "INSERT INTO c VALUES (1)", NULL), '!') == NULL)
            break;
        (void)poll(NULL, 0, 10);
    }
    is_str(run_sql(&fixture, database, "INSERT INTO c VALUES (2)", NULL), "=1\n",
        "and the database opens again without");
    database_unref(database);
}

static enum err_code block(const char *name, uint64_t value, const char *reason)
{
    struct setting_change changes[] = {
        {.setting = setting_find(SETTING_DATABASE, str_from(name)), .value = value},
        {.setting = setting_find(SETTING_DATABASE, S("blockReason")), .text = str_from(reason)},
    };

    return DO(database_patch, struct database_patch_input, .tenant = S("acme"),
        .database = S("db-7"), .settings = changes, .setting_count = 2);
}

static enum err_code try_sql(struct database *database, const char *sql)
{
    enum err_code code;

    (void)run_sql(&fixture, database, sql, &code);
    return code;
}

static void test_blocks(void)
{
    struct database *database = look_up("acme", "db-7");

    is_int(try_sql(database, "SELECT count(*) FROM t"), ERR_NONE, "a read, which stays prepared");
    is_code(block("blockWrites", 1, "not paid"), ERR_NONE, "writes are blocked");
    is_int(try_sql(database, "INSERT INTO t VALUES (9)"), ERR_BLOCKED, "at once");
    is_int(try_sql(database, "CREATE TABLE other(a)"), ERR_BLOCKED, "so is DDL");
    is_int(try_sql(database, "SELECT count(*) FROM t"), ERR_NONE, "reads are not");
    is_code(block("blockReads", 1, ""), ERR_NONE, "reads are blocked, for no reason");
    is_int(try_sql(database, "SELECT count(*) FROM t"), ERR_BLOCKED, "a prepared one too");
    is_code(block("blockWrites", 0, ""), ERR_NONE, "writes alone are let in");
    is_int(try_sql(database, "INSERT INTO t VALUES (9)"), ERR_BLOCKED,
        "which blocked reads still keep out");
    is_code(block("blockReads", 0, ""), ERR_NONE, "all is let in");
    is_int(try_sql(database, "INSERT INTO t VALUES (9)"), ERR_NONE, "at once");
    database_unref(database);
}

static void test_purge(void)
{
    struct catalogue_options options;
    struct database *database = look_up("acme", "db-7");
    bool gone = false;

    catalogue_options_defaults(&options);
    options.delete_grace_ms = 0;
    catalogue_configure(made.catalogue, &options);
    is_code(DO(database_delete, struct database_input, .tenant = S("acme"), .database = S("db-7")),
        ERR_NONE, "it is deleted");
    for (int i = 0; i < 500 && !gone; i++) {
        catalogue_tick(made.catalogue, clock_now_ns() + (uint64_t)i * 70 * NS_PER_S);
        (void)poll(NULL, 0, 10);
        gone = !has_folder(database);
    }
    ok(gone, "and its folder removed after its grace period");
    database_unref(database);
}

static void on_database_loaded(struct catalogue_call *call)
{
    made_done(call);
}

static void test_directory(void)
{
    struct directory *directory = directory_new(made.catalogue);
    struct directory_load load = {.tenant_slug = S("acme"), .database_slug = S("DB-8")};
    uint64_t started;

    loop_thread_enter();
    ok(directory_database(directory, S("acme"), S("db-8")) == NULL, "a miss");
    load.call.arena = &made.arena;
    load.call.done = on_database_loaded;
    made.done = false;
    directory_load_database(directory, &load);
    (void)made_wait();
    ok(load.call.err.code == ERR_NONE && load.database != NULL, "is loaded");
    directory_loaded(directory, &load);
    ok(directory_database(directory, S("acme"), S("db-8")) == load.database, "and a hit then");
    started = clock_now_ns();
    for (int i = 0; i < 100000; i++)
        (void)directory_database(directory, S("acme"), S("db-8"));
    started = clock_now_ns() - started;
    (void)printf("# a hit takes %llu ns\n", (unsigned long long)(started / 100000));
    database_unref(load.database);
    directory_free(directory);
    loop_thread_leave();
}

int main(void)
{
    char bootstrap[CATALOGUE_BOOTSTRAP_BYTES];
    struct database *database;

    fixture_init(&fixture);
    fixture_start(&fixture);
    arena_init(&made.arena, 0);
    open_catalogue(bootstrap);
    ok(strlen(bootstrap) > 50, "a new catalogue");
    test_use();
    test_settings();
    test_blocks();
    test_directory();
    database = look_up("acme", "db-9");
    usage_add(database->usage, 2, 3, 4);
    database_unref(database);
    catalogue_close(made.catalogue);
    fixture_stop(&fixture);

    fixture_start(&fixture);
    open_catalogue(bootstrap);
    is_str(bootstrap, "", "the next start finds it");
    is_code(DO(database_get, struct database_input, .tenant = S("acme"), .database = S("db-9")),
        ERR_NONE, "with its databases");
    is_int(OUT(struct database_info)->usage->rows_read, 3, "and the usage of before the stop");
    test_purge();
    catalogue_close(made.catalogue);
    fixture_stop(&fixture);
    fixture_remove(&fixture);
    arena_fini(&made.arena);
    return done_testing();
}
