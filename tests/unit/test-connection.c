/* Connections: how they open, the statement cache, classes, resets between requests. */
#include "tenants/connection.h"

#include <malloc.h>

#include "tenants/account.h"
#include "tenants/vfs.h"
#include "tests/lib/guarded.h"
#include "tests/lib/tap.h"

static struct statement *prepare(struct guarded *guarded, const char *sql)
{
    struct statement *statement = NULL;
    struct err err = ERR_INIT;
    struct str tail;

    if (connection_prepare(guarded->connection, str_from(sql), false, &statement, &tail, &err) < 0)
        (void)printf("# %s: %s\n", sql, err.msg);
    return statement;
}

static void release(struct guarded *guarded, struct statement *statement)
{
    if (statement != NULL)
        connection_release(guarded->connection, statement);
}

static void test_open(void)
{
    struct guarded guarded = {.path = ""};
    struct connection_options options = {.foreign_keys = true, .max_bytes = 1 << 20};
    struct connection_options reader = {.read_only = true};
    struct err err = ERR_INIT;

    guarded_open(&guarded, &options);
    is_int(
        guarded_value(&guarded, "PRAGMA journal_mode") != -999, 1, "the journal mode is readable");
    is_int(guarded_value(&guarded, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1,
        "a new file becomes a WAL database");
    is_int(guarded_value(&guarded, "PRAGMA synchronous"), 2, "synchronous is FULL");
    is_int(guarded_value(&guarded, "PRAGMA foreign_keys"), 1, "foreign keys are on");
    is_int(guarded_value(&guarded, "PRAGMA trusted_schema"), 0, "the schema is not trusted");
    is_int(guarded_value(&guarded, "PRAGMA wal_autocheckpoint"), 0, "no automatic checkpoints");
    is_int(guarded_value(&guarded, "PRAGMA busy_timeout"), 0, "busy timeout is 0");
    is_int(guarded_value(&guarded, "PRAGMA max_page_count"), 256, "the quota is in pages");
    is_int(sqlite3_limit(connection_db(guarded.connection), SQLITE_LIMIT_ATTACHED, -1), 0,
        "nothing can be attached");
    is_int(
        guarded_run(&guarded, "CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t(b) VALUES "
                              "(1), (2)"),
        ERR_NONE, "a table is made");
    is_int(guarded_run_with(&guarded, guarded.context,
               "INSERT INTO t(b) SELECT randomblob(100000) FROM t, t, t, t", &err, NULL),
        ERR_SQL, "the quota ends an INSERT");
    connection_close(guarded.connection);

    guarded_open(&guarded, &reader);
    is_int(guarded_value(&guarded, "SELECT count(*) FROM t"), 2, "a reader reads");
    is_int(guarded_run(&guarded, "INSERT INTO t(b) VALUES (3)"), ERR_SQL,
        "query_only refuses writes on a read lane");
    guarded_remove(&guarded);
}

static void test_cache(void)
{
    struct guarded guarded = {.path = ""};
    struct connection_options options = {.cached_statements = 4};
    struct statement *one;
    struct statement *two;
    struct sqlite3_stmt *first;
    struct str tail;
    struct err err = ERR_INIT;
    char sql[64];

    guarded_open(&guarded, &options);
    (void)guarded_run(
        &guarded, "CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES(1,2)");
    is_int(connection_prepare(guarded.connection, STR_LITERAL("SELECT b FROM t WHERE a=?"), true,
               &one, &tail, &err),
        -1, "cached_only does not compile");
    is_int(err.code, ERR_NONE, "and says so with ERR_NONE");
    one = prepare(&guarded, "SELECT b FROM t WHERE a=?");
    first = one->sqlite;
    (void)sqlite3_bind_int(one->sqlite, 1, 1);
    is_int(sqlite3_step(one->sqlite), SQLITE_ROW, "a statement runs");
    two = prepare(&guarded, "SELECT b FROM t WHERE a=?");
    ok(two != NULL && two->sqlite != first, "a busy statement is not handed out twice");
    release(&guarded, two);
    release(&guarded, one);
    is_int(connection_prepare(guarded.connection, STR_LITERAL("SELECT b FROM t WHERE a=?;\n"), true,
               &one, &tail, &err),
        0, "the statement is found again, blanks and semicolon aside");
    is_int(sqlite3_step(one->sqlite), SQLITE_DONE, "its parameters were cleared");
    is_int(tail.len, 0, "nothing follows");
    release(&guarded, one);
    for (int i = 0; i < 10; i++) {
        (void)snprintf(sql, sizeof(sql), "SELECT %d FROM t", i);
        release(&guarded, prepare(&guarded, sql));
    }
    is_int(connection_prepare(
               guarded.connection, STR_LITERAL("SELECT 9 FROM t"), true, &one, &tail, &err),
        0, "the newest is kept");
    release(&guarded, one);
    is_int(connection_prepare(
               guarded.connection, STR_LITERAL("SELECT 5 FROM t"), true, &one, &tail, &err),
        -1, "the oldest was dropped");
    one = prepare(&guarded, "SELECT 8 FROM t");
    connection_flush(guarded.connection);
    is_int(sqlite3_step(one->sqlite), SQLITE_ROW, "flush leaves a busy statement alone");
    release(&guarded, one);
    is_int(connection_prepare(
               guarded.connection, STR_LITERAL("SELECT 8 FROM t"), true, &one, &tail, &err),
        -1, "but it is not kept after");
    guarded_remove(&guarded);
}

static void test_tail(void)
{
    static const struct {
        const char *sql;
        const char *tail; /* NULL: no statement at all */
    } cases[] = {
        {"SELECT 1", ""},
        {"SELECT 1;", ""},
        {"SELECT 1 ; ; -- done\n/* x */ ;", ""},
        {"SELECT 1; SELECT 2", " SELECT 2"},
        {";;SELECT 1;x", "x"},
        {"", NULL},
        {" -- nothing", NULL},
        {";;", NULL},
        {"CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END; SELECT 3", " SELECT 3"},
    };
    struct guarded guarded = {.path = ""};

    guarded_open(&guarded, NULL);
    (void)guarded_run(&guarded, "CREATE TABLE t(a)");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct statement *statement = NULL;
        struct str tail = str_make(NULL, 0);
        struct err err = ERR_INIT;
        int result = connection_prepare(
            guarded.connection, str_from(cases[i].sql), false, &statement, &tail, &err);

        ok(result == 0 && (statement == NULL) == (cases[i].tail == NULL) &&
                str_is(tail, cases[i].tail == NULL ? "" : cases[i].tail),
            "what follows text %zu is '%.*s'", i, STR_ARGS(tail));
        release(&guarded, statement);
    }
    guarded_remove(&guarded);
}

static void test_classes(void)
{
    static const struct {
        const char *sql;
        enum statement_class class;
    } cases[] = {
        {"SELECT 1", STATEMENT_READ},
        {"VALUES (1)", STATEMENT_READ},
        {"WITH x AS (SELECT 1) SELECT * FROM x", STATEMENT_READ},
        {"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", STATEMENT_WRITE},
        {"INSERT INTO t VALUES(1)", STATEMENT_WRITE},
        {"REPLACE INTO t VALUES(1)", STATEMENT_WRITE},
        {"UPDATE t SET a=1", STATEMENT_WRITE},
        {"/* x */ DELETE FROM t RETURNING a", STATEMENT_WRITE},
        {"CREATE TABLE u(a)", STATEMENT_DDL},
        {"CREATE TABLE IF NOT EXISTS t(a)", STATEMENT_DDL},
        {"DROP TABLE IF EXISTS missing", STATEMENT_DDL},
        {"ALTER TABLE t ADD COLUMN b", STATEMENT_DDL},
        {"ANALYZE", STATEMENT_ALONE},
        {"REINDEX", STATEMENT_ALONE},
        {"PRAGMA optimize", STATEMENT_ALONE},
        {"PRAGMA foreign_keys=off", STATEMENT_ALONE},
        {"PRAGMA foreign_keys", STATEMENT_READ},
        {"PRAGMA defer_foreign_keys=on", STATEMENT_WRITE},
        {"PRAGMA user_version=3", STATEMENT_WRITE},
        {"PRAGMA user_version", STATEMENT_READ},
        {"PRAGMA table_info(t)", STATEMENT_READ},
        {"PRAGMA journal_mode=wal", STATEMENT_READ},
        {"SELECT * FROM pragma_table_info('t')", STATEMENT_READ},
        {"EXPLAIN DELETE FROM t", STATEMENT_READ},
        {"EXPLAIN QUERY PLAN UPDATE t SET a=2", STATEMENT_READ},
        {"BEGIN IMMEDIATE", STATEMENT_TRANSACTION},
        {"COMMIT", STATEMENT_TRANSACTION},
        {"END", STATEMENT_TRANSACTION},
        {"ROLLBACK", STATEMENT_TRANSACTION},
        {"SAVEPOINT x", STATEMENT_TRANSACTION},
        {"RELEASE x", STATEMENT_TRANSACTION},
        {"ROLLBACK TO x", STATEMENT_TRANSACTION},
    };
    struct guarded guarded = {.path = ""};
    struct err err = ERR_INIT;

    guarded_open(&guarded, NULL);
    (void)guarded_run(&guarded, "CREATE TABLE t(a)");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct statement *statement = prepare(&guarded, cases[i].sql);

        ok(statement != NULL && statement->class == cases[i].class, "class of: %s", cases[i].sql);
        release(&guarded, statement);
        if (connection_reset(guarded.connection, &err) < 0)
            ok(false, "reset: %s", err.msg);
    }
    guarded_remove(&guarded);
}

static void test_loop(void)
{
    static const struct {
        const char *sql;
        bool loop_ok;
    } cases[] = {
        {"SELECT * FROM t WHERE a=?", true},
        {"SELECT a, length(b) FROM t WHERE a>? LIMIT 10", true},
        {"SELECT count(*) FROM t", true},
        {"SELECT * FROM t ORDER BY b", false},
        {"SELECT DISTINCT b FROM t", false},
        {"SELECT * FROM t WHERE b LIKE ?", false},
        {"SELECT randomblob(1000000)", false},
        {"SELECT * FROM json_each(?)", false},
        {"SELECT * FROM pragma_table_info('t')", false},
        {"SELECT group_concat(b) FROM t", false},
        {"INSERT INTO t VALUES (NULL, 1)", false},
        {"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c", false},
        {"PRAGMA user_version", false},
    };
    struct guarded guarded = {.path = ""};

    guarded_open(&guarded, NULL);
    (void)guarded_run(&guarded, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct statement *statement = prepare(&guarded, cases[i].sql);
        bool first = statement->loop_ok;

        release(&guarded, statement);
        statement = prepare(&guarded, cases[i].sql);
        ok(!first && statement->loop_ok == cases[i].loop_ok, "%s on a loop: %s",
            cases[i].loop_ok ? "runs" : "does not run", cases[i].sql);
        release(&guarded, statement);
    }
    guarded_remove(&guarded);
}

static void test_loop_schema_change(void)
{
    struct guarded guarded = {.path = ""};
    struct guarded other;
    struct connection_context loop = {.stateless = true, .no_prepare = true};
    struct statement *statement;
    struct err err = ERR_INIT;
    struct str tail;

    guarded_open(&guarded, NULL);
    (void)guarded_run(&guarded, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
    release(&guarded, prepare(&guarded, "SELECT * FROM t WHERE a=1"));
    other = guarded;
    guarded_open(&other, NULL);
    (void)guarded_run(&other, "ALTER TABLE t ADD COLUMN c");
    connection_set_context(guarded.connection, &loop);
    is_int(connection_prepare(guarded.connection, STR_LITERAL("SELECT * FROM t WHERE a=1"), true,
               &statement, &tail, &err),
        0, "a cached statement is found on a loop");
    is_int(sqlite3_step(statement->sqlite), SQLITE_AUTH, "which never compiles it again");
    ok(connection_would_prepare(guarded.connection), "but says that a worker has to");
    ok(!connection_refusal(guarded.connection, &err), "nobody was refused");
    release(&guarded, statement);
    connection_set_context(guarded.connection, &guarded.context);
    statement = prepare(&guarded, "SELECT * FROM t WHERE a=1");
    is_int(sqlite3_step(statement->sqlite), SQLITE_DONE, "the worker does");
    is_int(sqlite3_column_count(statement->sqlite), 3, "and sees the new column");
    release(&guarded, statement);
    connection_close(other.connection);
    guarded_remove(&guarded);
}

static void test_reset(void)
{
    struct guarded guarded = {.path = ""};
    struct connection_context stream = {.stateless = false};
    struct err err = ERR_INIT;

    guarded_open(&guarded, NULL);
    (void)guarded_run(&guarded, "CREATE TABLE t(a INTEGER PRIMARY KEY)");
    guarded.context = stream;
    is_int(guarded_run(&guarded, "PRAGMA foreign_keys=off; PRAGMA recursive_triggers=on; "
                                 "PRAGMA defer_foreign_keys=on; INSERT INTO t VALUES(7)"),
        ERR_NONE, "a stream sets pragmas");
    is_int(guarded_value(&guarded, "PRAGMA foreign_keys"), 0, "and they hold");
    is_int(
        guarded_run(&guarded,
            "CREATE TEMP TABLE tt(a); CREATE TEMP VIEW v AS SELECT 1; CREATE TEMP TRIGGER g AFTER "
            "INSERT ON main.t BEGIN SELECT 1; END; CREATE VIRTUAL TABLE temp.f USING fts5(x); "
            "INSERT INTO f VALUES('y')"),
        ERR_NONE, "a stream makes temporary objects");
    ok(prepare(&guarded, "SELECT * FROM tt") != NULL, "a statement is left open");
    is_int(connection_reset(guarded.connection, &err), 0, "reset");
    is_int(guarded_value(&guarded, "PRAGMA foreign_keys"), 1, "foreign keys are on again");
    is_int(guarded_value(&guarded, "PRAGMA recursive_triggers"), 0, "recursive triggers off");
    is_int(guarded_value(&guarded, "PRAGMA defer_foreign_keys"), 0, "nothing deferred");
    is_int(guarded_value(&guarded, "SELECT last_insert_rowid()"), 0, "no last rowid");
    is_int(guarded_value(&guarded, "SELECT count(*) FROM sqlite_temp_schema"), 0,
        "no temporary objects");
    guarded_remove(&guarded);
}

/* An open database with a schema and a cached statement. */
static void test_memory(void)
{
    enum { COUNT = 50 };
    static struct guarded guarded[COUNT];
    size_t before;
    size_t after;

    for (int i = 0; i < COUNT; i++) {
        guarded_open(&guarded[i], NULL);
        (void)guarded_run(&guarded[i], "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c)");
        connection_close(guarded[i].connection);
    }
    before = mallinfo2().uordblks;
    for (int i = 0; i < COUNT; i++) {
        guarded_open(&guarded[i], NULL);
        (void)guarded_run(&guarded[i], "SELECT * FROM t WHERE a = 1");
    }
    after = mallinfo2().uordblks;
    (void)printf("# %zu bytes per connection, itself says %llu\n", (after - before) / COUNT,
        (unsigned long long)connection_memory(guarded[0].connection));
    ok((after - before) / COUNT < 80 * 1024, "an open connection costs less than 80 KB");
    for (int i = 0; i < COUNT; i++)
        guarded_remove(&guarded[i]);
}

/* The same on our own VFS, as the engine opens it: everything SQLite holds is on the account. */
static void test_on_our_vfs(void)
{
    char main_path[] = "/tmp/rookery-test-XXXXXX";
    char wal_path[sizeof(main_path) + 4];
    int file = mkstemp(main_path);
    struct vfs_head_options head_options = {
        .main_path = main_path, .wal_path = wal_path, .create = true, .temp_dir = "/tmp"};
    struct connection_options options = {.foreign_keys = true, .max_bytes = 1ULL << 30};
    struct account *account = account_new(64 << 20);
    struct account *before = account_enter(account);
    struct guarded guarded = {.context = {.stateless = true}};
    struct vfs_head *head;
    struct err err = ERR_INIT;

    CHECK(file >= 0 && close(file) == 0);
    (void)snprintf(wal_path, sizeof(wal_path), "%s-wal", main_path);
    CHECK(vfs_head_open(&head_options, &head, &err) == 0);
    options.name = vfs_head_name(head);
    is_int(connection_open(&options, &guarded.connection, &err), 0, "opens on our VFS");
    is_int(guarded_run(&guarded, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c); INSERT INTO t "
                                 "VALUES (1, 'x', 2)"),
        ERR_NONE, "a new database is written");
    is_int(guarded_value(&guarded, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1,
        "in WAL mode");
    ok(guarded_value(&guarded, "SELECT file NOT LIKE '%/tmp/%' FROM pragma_database_list"),
        "its name tells no path");
    connection_close(guarded.connection);
    is_int(account_used(account), 0, "a closed connection holds nothing");
    is_int(connection_open(&options, &guarded.connection, &err), 0, "opens again");
    is_int(guarded_value(&guarded, "SELECT c FROM t WHERE a = 1"), 2, "and reads");
    (void)printf("# %llu bytes by account, %llu of wal-index; itself says %llu\n",
        (unsigned long long)account_used(account), (unsigned long long)vfs_head_shm_bytes(head),
        (unsigned long long)connection_memory(guarded.connection));
    ok(account_used(account) + vfs_head_shm_bytes(head) < 80 * 1024,
        "an open database costs less than 80 KB");
    connection_close(guarded.connection);
    vfs_head_close(head);
    (void)account_enter(before);
    account_release(account);
    (void)unlink(main_path);
    (void)unlink(wal_path);
}

int main(void)
{
    struct err err = ERR_INIT;

    CHECK(account_install(&err) == 0 && vfs_register(&err) == 0);
    test_open();
    test_cache();
    test_tail();
    test_classes();
    test_loop();
    test_loop_schema_change();
    test_reset();
    test_memory();
    test_on_our_vfs();
    return done_testing();
}
