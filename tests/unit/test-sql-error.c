/* Errors taken apart: SQLite's own texts, made by SQLite. */
#include "tenants/sql_error.h"

#include "tests/lib/guarded.h"
#include "tests/lib/tap.h"

static const char schema[] =
    "CREATE TABLE users(id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT NOT NULL,"
    "  age INT CONSTRAINT adult CHECK (age >= 18), a, b, UNIQUE (a, b), CHECK (a <> 'bad'));"
    "CREATE TABLE typed(id INTEGER PRIMARY KEY, n INT NOT NULL) STRICT;"
    "CREATE TABLE posts(id INTEGER PRIMARY KEY, author INT REFERENCES users(id));"
    "CREATE TABLE pairs(x TEXT, y TEXT, PRIMARY KEY (x, y)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX users_lower ON users(lower(name));"
    "CREATE VIEW names AS SELECT name FROM users;"
    "CREATE TRIGGER no_bob BEFORE INSERT ON users WHEN new.name = 'bob' BEGIN"
    "  SELECT RAISE(ABORT, 'bob may not'); END;"
    "INSERT INTO users(id, email, name, a, b) VALUES (1, 'a', 'ann', 1, 1), (2, 'b', 'ben', 2, 2);"
    "INSERT INTO posts VALUES (1, 1); INSERT INTO pairs VALUES ('1', '2');";

struct expected {
    const char *sql;
    enum sql_error_kind kind;
    const char *table, *column, *constraint, *near;
    size_t columns;
    const char *hint; /* a piece of it; NULL: none */
};

static const struct expected cases[] = {
    {"INSERT INTO users(email, name) VALUES ('a', 'x')", SQL_ERROR_UNIQUE, "users", "email", "", "",
        1, "ON CONFLICT"},
    {"UPDATE users SET email = 'a' WHERE id = 2", SQL_ERROR_UNIQUE, "users", "email", "", "", 1,
        "Another row"},
    {"INSERT INTO users(id, name) VALUES (1, 'x')", SQL_ERROR_UNIQUE, "users", "id", "", "", 1,
        "ON CONFLICT"},
    {"INSERT INTO users(name, a, b) VALUES ('x', 1, 1)", SQL_ERROR_UNIQUE, "users", "", "", "", 2,
        "ON CONFLICT"},
    {"INSERT INTO pairs VALUES ('1', '2')", SQL_ERROR_UNIQUE, "pairs", "", "", "", 2,
        "ON CONFLICT"},
    {"INSERT INTO users(name) VALUES ('ANN')", SQL_ERROR_UNIQUE, "", "", "users_lower", "", 0,
        "ON CONFLICT"},
    {"CREATE UNIQUE INDEX x ON users(age IS NULL)", SQL_ERROR_UNIQUE, "", "", "x", "", 0,
        "GROUP BY"},
    {"INSERT INTO users(email) VALUES ('c')", SQL_ERROR_NOT_NULL, "users", "name", "", "", 1,
        "DEFAULT"},
    {"UPDATE users SET name = NULL", SQL_ERROR_NOT_NULL, "users", "name", "", "", 1, "NULL"},
    {"INSERT INTO users(name, age) VALUES ('x', 3)", SQL_ERROR_CHECK, "", "", "adult", "", 0,
        "CHECK"},
    {"INSERT INTO users(name, a) VALUES ('x', 'bad')", SQL_ERROR_CHECK, "", "", "a <> 'bad'", "", 0,
        "CHECK"},
    {"INSERT INTO posts(author) VALUES (99)", SQL_ERROR_FK, "posts", "", "", "", 0,
        "insert it first"},
    {"DELETE FROM users WHERE id = 1", SQL_ERROR_FK, "users", "", "", "", 0, "CASCADE"},
    {"UPDATE OR ABORT \"posts\" SET author = 99", SQL_ERROR_FK, "posts", "", "", "", 0, "refers"},
    {"SELECT * FROM missing", SQL_ERROR_UNKNOWN_TABLE, "missing", "", "", "", 0, "sqlite_schema"},
    {"SELECT * FROM main.missing", SQL_ERROR_UNKNOWN_TABLE, "missing", "", "", "", 0, ""},
    {"DROP VIEW missing", SQL_ERROR_UNKNOWN_TABLE, "missing", "", "", "", 0, ""},
    {"SELECT * FROM users WHERE", SQL_ERROR_SYNTAX, "", "", "", "", 0, "ends"},
    {"SELECT nme FROM users", SQL_ERROR_UNKNOWN_COLUMN, "", "nme", "", "", 0, "table_info"},
    {"SELECT u.nme FROM users u", SQL_ERROR_UNKNOWN_COLUMN, "u", "nme", "", "", 0, ""},
    {"SELECT * FROM users WHERE name = \"ann\"", SQL_ERROR_UNKNOWN_COLUMN, "", "ann", "", "", 0,
        "single quotes"},
    {"INSERT INTO users(nme) VALUES (1)", SQL_ERROR_UNKNOWN_COLUMN, "users", "nme", "", "", 0, ""},
    {"SELECT id FROM users, posts", SQL_ERROR_UNKNOWN_COLUMN, "", "id", "", "", 0, ""},
    {"SELEC 1", SQL_ERROR_SYNTAX, "", "", "", "SELEC", 0, ""},
    {"SELECT * FROM WHERE", SQL_ERROR_SYNTAX, "", "", "", "WHERE", 0, ""},
    {"SELECT (1", SQL_ERROR_SYNTAX, "", "", "", "", 0, ""},
    {"SELECT \"a", SQL_ERROR_SYNTAX, "", "", "", "\"a", 0, ""},
    {"INSERT INTO typed(n) VALUES ('text')", SQL_ERROR_TYPE_MISMATCH, "typed", "n", "", "", 0, ""},
    {"INSERT INTO users(id, name) VALUES ('text', 'x')", SQL_ERROR_TYPE_MISMATCH, "", "", "", "", 0,
        ""},
    {"SELECT ?40000", SQL_ERROR_TOO_MANY_PARAMS, "", "", "", "", 0, "parameter"},
    {"DELETE FROM sqlite_master", SQL_ERROR_READONLY, "sqlite_master", "", "", "", 0, NULL},
    {"DELETE FROM names", SQL_ERROR_READONLY, "", "", "", "", 0, ""},
    {"INSERT INTO users(name) VALUES ('bob')", SQL_ERROR_UNKNOWN, "", "", "", "", 0, NULL},
    {"SELECT abs(-9223372036854775808)", SQL_ERROR_UNKNOWN, "", "", "", "", 0, NULL},
    {"SELECT nothing_such()", SQL_ERROR_UNKNOWN, "", "", "", "", 0, NULL},
};

static struct guarded guarded;

/* The error of the text, whether SQLite finds it in compiling or running it. */
static void get_error(const char *sql, struct err *err)
{
    struct sqlite3 *db = connection_db(guarded.connection);
    struct sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    *err = ERR_INIT;
    while (rc == SQLITE_OK || rc == SQLITE_ROW)
        rc = sqlite3_step(statement);
    if (rc != SQLITE_DONE)
        (void)sql_err_set(err, db, rc);
    (void)sqlite3_finalize(statement);
}

static void test_cases(void)
{
    struct arena arena;

    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct expected *want = &cases[i];
        struct sql_error got;
        struct err err;
        bool same;

        guarded_engine(&guarded, "SAVEPOINT test");
        get_error(want->sql, &err);
        guarded_engine(&guarded, "ROLLBACK TO test; RELEASE test");
        sql_error_describe(&arena, &err, str_from(want->sql), &got);
        same = got.kind == want->kind && str_is(got.table, want->table) &&
               str_is(got.column, want->column) && str_is(got.constraint, want->constraint) &&
               str_is(got.near, want->near) && got.column_count == want->columns &&
               (want->hint == NULL ? got.hint.len == 0
                                   : got.hint.len > 0 && strstr(got.hint.ptr, want->hint) != NULL);
        ok(same, "%s: %s", sql_error_kind_name(want->kind), want->sql);
        if (!same)
            (void)printf("# %d '%s' kind %s table '%.*s' column '%.*s' constraint '%.*s' near "
                         "'%.*s' columns %zu hint '%.*s'\n",
                err.native, err.msg, sql_error_kind_name(got.kind), STR_ARGS(got.table),
                STR_ARGS(got.column), STR_ARGS(got.constraint), STR_ARGS(got.near),
                got.column_count, STR_ARGS(got.hint));
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

static void test_parts(void)
{
    struct sql_error error;
    struct arena arena;
    struct err err;

    arena_init(&arena, 1 << 16);
    get_error("INSERT INTO users(name, a, b) VALUES ('x', 1, 1)", &err);
    sql_error_describe(&arena, &err, STR_LITERAL("INSERT"), &error);
    ok(str_is(error.columns[0].table, "users") && str_is(error.columns[0].column, "a") &&
            str_is(error.columns[1].table, "users") && str_is(error.columns[1].column, "b"),
        "each column of a key with its table");
    is_int(err.native, SQLITE_CONSTRAINT_UNIQUE, "SQLite's extended code is kept");
    get_error("SELECT id, nme FROM users", &err);
    is_int(err.sql_offset, 11, "the place of an unknown column");
    get_error("SELECT 1 +", &err);
    is_int(err.code, ERR_SQL, "a parse error");
    arena.limit_bytes = 1;
    sql_error_describe(&arena, &err, STR_LITERAL("SELECT 1 +"), &error);
    ok(error.message.ptr != NULL, "no room in the arena is no crash");
    arena_fini(&arena);
}

static void test_codes(void)
{
    static const struct {
        enum err_code code;
        const char *msg;
        enum sql_error_kind kind;
        const char *table;
    } errors[] = {
        {ERR_BUSY, "database is locked", SQL_ERROR_LOCKED, ""},
        {ERR_ROLE_FORBIDS, "Role \"readonly\" does not allow this", SQL_ERROR_READONLY, ""},
        {ERR_TABLE_SCOPE, "Token scope does not include table \"customers\"", SQL_ERROR_UNKNOWN,
            "customers"},
        {ERR_GUARD, "VACUUM is not available", SQL_ERROR_UNKNOWN, ""},
    };
    struct connection_options reader = {.read_only = true};
    struct guarded other = guarded;
    struct sql_error error;
    struct arena arena;
    struct err err;

    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        (void)err_set(&err, errors[i].code, "%s", errors[i].msg);
        sql_error_describe(&arena, &err, STR_LITERAL("SELECT 1"), &error);
        ok(error.kind == errors[i].kind && str_is(error.table, errors[i].table), "%s is %s",
            errors[i].msg, sql_error_kind_name(error.kind));
    }
    guarded_open(&other, &reader);
    guarded_engine(&guarded, "BEGIN IMMEDIATE");
    {
        struct guarded swap = guarded;

        guarded = other;
        get_error("BEGIN IMMEDIATE", &err);
        is_int(err.code, ERR_SQL, "query_only refuses");
        sql_error_describe(&arena, &err, STR_LITERAL("BEGIN IMMEDIATE"), &error);
        is_int(error.kind, SQL_ERROR_READONLY, "as readonly");
        guarded = swap;
    }
    connection_close(other.connection);
    guarded_open(&other, NULL);
    {
        struct guarded swap = guarded;

        guarded = other;
        get_error("DELETE FROM posts", &err);
        is_int(err.code, ERR_BUSY, "a held lock is ERR_BUSY");
        guarded = swap;
    }
    connection_close(other.connection);
    guarded_engine(&guarded, "ROLLBACK");
    get_error("SELECT zeroblob(100000000)", &err);
    is_int(err.code, ERR_TOO_LARGE, "a value over the limit is ERR_TOO_LARGE");
    arena_fini(&arena);
}

int main(void)
{
    guarded_open(&guarded, NULL);
    guarded_engine(&guarded, schema);
    guarded.context.engine = true;
    connection_set_context(guarded.connection, &guarded.context);
    test_cases();
    test_parts();
    test_codes();
    guarded_remove(&guarded);
    return done_testing();
}
