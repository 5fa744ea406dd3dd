/* SQL through the guard. Whatever a text does: no file but the database's own is opened, reserved
 * tables and the connection's protections stay as they are, nothing reserved or out of a token's
 * scope comes out, and who may only read changes nothing.
 *
 * First byte: who asks, and how to read the rest: as text, or each byte as a word of the table
 * below (0xff: the next byte as it is), which comes much further. */
#include <sqlite3.h>

#include "tenants/base/buf.h"
#include "tests/lib/guarded.h"

#define SECRET "SECRET-of-the-engine"
#define CUSTOMER "SECRET-of-customers"
#define OPS_MAX 200000
#define STATEMENTS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const char schema[] =
    "CREATE TABLE _rookery_changes(seq INTEGER PRIMARY KEY, body TEXT);"
    "CREATE INDEX _rookery_index ON _rookery_changes(body);"
    "INSERT INTO _rookery_changes VALUES (1, '" SECRET "'), (2, '" SECRET "');"
    "CREATE TABLE _persql_meta(seq INTEGER PRIMARY KEY, body TEXT);"
    "INSERT INTO _persql_meta VALUES (1, '" SECRET "');"
    "CREATE TABLE customers(id INTEGER PRIMARY KEY, body TEXT, seq);"
    "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer REFERENCES customers(id), note, seq);"
    "CREATE TABLE audit(what);"
    "CREATE VIEW order_list AS SELECT * FROM orders;"
    "CREATE VIEW customer_list AS SELECT * FROM customers;"
    "CREATE TRIGGER orders_ai AFTER INSERT ON orders BEGIN"
    "  INSERT INTO audit SELECT body FROM customers WHERE id = new.customer; END;"
    "CREATE VIRTUAL TABLE docs USING fts5(body);"
    "CREATE VIRTUAL TABLE places USING rtree(id, x0, x1);"
    "INSERT INTO customers VALUES (1, '" CUSTOMER "', 1);"
    "INSERT INTO docs VALUES ('" CUSTOMER "');"
    "INSERT INTO orders VALUES (1, 1, 'first', 1), (2, 1, 'second', 2);"
    "INSERT INTO places VALUES (1, 0, 1);";

static const char *const words[] = {"SELECT", "FROM", "WHERE", "*", ",", "(", ")", ";", "=", ".",
    "AS", "WITH", "RECURSIVE", "INSERT", "INTO", "VALUES", "UPDATE", "SET", "DELETE", "CREATE",
    "TABLE", "VIEW", "TRIGGER", "INDEX", "VIRTUAL", "USING", "NATURAL", "JOIN", "LEFT", "FULL",
    "ON", "DROP", "ALTER", "RENAME", "TO", "ADD", "COLUMN", "REFERENCES", "FOREIGN KEY", "TEMP",
    "temp", "main", "ATTACH", "DETACH", "VACUUM", "PRAGMA", "EXPLAIN", "QUERY PLAN", "ANALYZE",
    "REINDEX", "REPLACE", "OR", "IGNORE", "ROLLBACK", "AND", "NOT", "MATERIALIZED", "EXISTS", "IF",
    "IN", "IS", "NULL", "LIKE", "MATCH", "UNION", "ALL", "ORDER BY", "GROUP BY", "LIMIT", "AFTER",
    "BEFORE", "INSTEAD OF", "BEGIN", "END", "FOR EACH ROW", "CASCADE", "RETURNING", "DEFAULT",
    "CHECK", "UNIQUE", "PRIMARY KEY", "STRICT", "WITHOUT ROWID", "COLLATE NOCASE", "OVER", "WINDOW",
    "_rookery_changes", "_persql_meta", "\"_rookery_changes\"", "[_persql_meta]",
    "'_rookery_changes'", "`_ROOKERY_CHANGES`", "_rookery_new", "customers", "\"customers\"",
    "'customers'", "orders", "order_list", "customer_list", "audit", "docs", "places", "docs_data",
    "docs_content", "docs_config", "places_node", "sqlite_master", "sqlite_schema",
    "sqlite_temp_schema", "sqlite_sequence", "dbstat", "sqlite_dbpage", "json_each",
    "pragma_table_info", "pragma_table_list", "pragma_foreign_key_check", "x", "y", "id", "seq",
    "body", "note", "name", "sql", "rowid", "1", "2", "0", "'x'", "x''", "?", "$a(')", "?1", "/*",
    "*/", "--\n", "/**/", "'x.db'", "fts5", "fts5vocab", "rtree", "csv",
    "content='_rookery_changes'", "content=_rookery_changes", "content='customers'",
    "load_extension('x')", "readfile('x')", "writefile('x', 'y')", "fts3_tokenizer('x')",
    "randomblob(10)", "printf('%100d', 1)", "count(*)", "group_concat(body)", "max(body)",
    "writable_schema", "journal_mode", "trusted_schema", "foreign_keys", "user_version",
    "table_info", "table_list", "integrity_check", "data_version", "schema_version", "query_only",
    "temp_store_directory", "recursive_triggers", "defer_foreign_keys", "optimize",
    "wal_checkpoint", "old", "new", "excluded", "CONFLICT", "DO", "NOTHING", "OFF", "DELETE FROM",
    "INSERT INTO", "SELECT * FROM", "CREATE TABLE x", "CROSS"};

static struct guarded guarded;
static struct principal *principals[4];

/* A VFS that knows its files ---------------------------------------------------------------- */

static sqlite3_vfs watch;
static sqlite3_vfs *below;

static int on_open(
    sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *ret_flags)
{
    (void)vfs;
    if (name != NULL) {
        size_t len = strlen(guarded.path);

        CHECK(strncmp(name, guarded.path, len) == 0);
        CHECK(name[len] == '\0' || strcmp(name + len, "-wal") == 0 ||
              strcmp(name + len, "-journal") == 0);
    }
    return below->xOpen(below, name, file, flags, ret_flags);
}

static int on_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    CHECK(strncmp(name, guarded.path, strlen(guarded.path)) == 0);
    return below->xDelete(below, name, sync);
}

static void *on_dlopen(sqlite3_vfs *vfs, const char *name)
{
    (void)vfs;
    (void)name;
    CHECK(false);
    return NULL;
}

static struct principal *make(const char *role, const struct str *tables, size_t count)
{
    struct principal from = {.role = str_from(role), .tables = tables, .table_count = count};

    CHECK(role_parse(from.role, &from.capabilities, NULL) == 0);
    return principal_new(&from);
}

static void tear_down(void)
{
    guarded_remove(&guarded);
}

static void set_up(void)
{
    static const struct str tables[] = {STR_LITERAL("orders"), STR_LITERAL("order_list")};
    struct connection_options options = {.foreign_keys = true, .max_value_bytes = 100000};

    below = sqlite3_vfs_find("unix");
    CHECK(below != NULL);
    watch = *below;
    watch.zName = "watch";
    watch.xOpen = on_open;
    watch.xDelete = on_delete;
    watch.xDlOpen = on_dlopen;
    CHECK(sqlite3_vfs_register(&watch, 0) == SQLITE_OK);
    options.vfs = "watch";
    guarded_open(&guarded, &options);
    (void)atexit(tear_down);
    guarded_engine(&guarded, schema);
    principals[0] = make("owner", NULL, 0);
    principals[1] = make("owner", tables, ARRAY_LEN(tables));
    principals[2] = make("readonly", NULL, 0);
    principals[3] = make("readwrite", tables, ARRAY_LEN(tables));
}

static int on_progress(void *context)
{
    unsigned *left = context;

    return (*left)-- == 0;
}

static bool holds(const char *text, int len, const char *secret)
{
    return text != NULL && len > 0 && memmem(text, (size_t)len, secret, strlen(secret)) != NULL;
}

static void check_row(struct sqlite3_stmt *statement, const struct principal *principal)
{
    for (int i = 0; i < sqlite3_data_count(statement); i++) {
        const char *text = (const char *)sqlite3_column_text(statement, i);
        int len = sqlite3_column_bytes(statement, i);

        CHECK(!holds(text, len, SECRET));
        CHECK(principal->table_count == 0 || !holds(text, len, CUSTOMER));
    }
}

static void run_one(struct statement *statement, const struct principal *principal)
{
    if (statement->class == STATEMENT_TRANSACTION)
        return; /* lanes refuse these */
    while (sqlite3_step(statement->sqlite) == SQLITE_ROW)
        check_row(statement->sqlite, principal);
}

static void run(struct str sql, const struct principal *principal)
{
    struct connection_context context = {.principal = principal, .stateless = true};
    struct sqlite3 *db = connection_db(guarded.connection);
    sqlite3_int64 changes = sqlite3_total_changes64(db);
    unsigned budget = OPS_MAX / 1000;

    connection_set_context(guarded.connection, &context);
    sqlite3_progress_handler(db, 1000, on_progress, &budget);
    for (int i = 0; i < STATEMENTS_MAX && sql.len > 0; i++) {
        struct statement *statement = NULL;
        struct err err = ERR_INIT;

        if (connection_prepare(guarded.connection, sql, false, &statement, &sql, &err) < 0) {
            CHECK(err.code != ERR_NONE && err.code != ERR_BUG);
            break;
        }
        if (statement == NULL)
            continue;
        run_one(statement, principal);
        connection_release(guarded.connection, statement);
    }
    sqlite3_progress_handler(db, 0, NULL, NULL);
    CHECK(principal_has(principal, CAP_WRITE) || sqlite3_total_changes64(db) == changes);
}

static void check_state(void)
{
    static const struct {
        int option;
        int value;
    } flags[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 1},
        {SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 0},
    };
    struct sqlite3 *db = connection_db(guarded.connection);
    struct err err = ERR_INIT;
    int value = -1;

    CHECK(connection_reset(guarded.connection, &err) == 0);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        (void)sqlite3_db_config(db, flags[i].option, -1, &value);
        CHECK(value == flags[i].value);
    }
    CHECK(sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, -1) == 0);
    CHECK(sqlite3_db_filename(db, "main") != NULL && sqlite3_db_name(db, 2) == NULL);
    guarded.context.engine = true;
    CHECK(guarded_value(&guarded, "SELECT count(*) FROM sqlite_temp_schema") == 0);
    CHECK(guarded_value(&guarded,
              "SELECT (SELECT count(*) FROM _rookery_changes WHERE body = '" SECRET
              "') + (SELECT count(*) FROM _persql_meta WHERE body = '" SECRET "')") == 3);
    CHECK(
        guarded_value(&guarded, "SELECT (SELECT count(*) FROM _rookery_changes) + (SELECT count(*) "
                                "FROM _persql_meta)") == 3);
    CHECK(guarded_value(&guarded,
              "SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_rookery\\_%' ESCAPE '\\' OR "
              "name "
              "LIKE '\\_persql\\_%' ESCAPE '\\' OR tbl_name LIKE '\\_rookery\\_%' ESCAPE '\\' OR "
              "tbl_name LIKE '\\_persql\\_%' ESCAPE '\\'") == 3);
    guarded.context.engine = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct buf sql;

    if (guarded.connection == NULL)
        set_up();
    if (len < 2)
        return 0;
    buf_init(&sql, 65536);
    if ((bytes[0] & 4) != 0) {
        for (size_t i = 1; i < len; i++) {
            if (bytes[i] == 0xff && i + 1 < len) {
                buf_char(&sql, (char)bytes[++i]);
                continue;
            }
            buf_cstr(&sql, words[bytes[i] % ARRAY_LEN(words)]);
            buf_char(&sql, ' ');
        }
    } else {
        buf_append(&sql, bytes + 1, len - 1);
    }
    guarded_engine(&guarded, "SAVEPOINT fuzz");
    run(buf_view(&sql), principals[bytes[0] & 3]);
    check_state();
    if (!sqlite3_get_autocommit(connection_db(guarded.connection)))
        guarded_engine(&guarded, "ROLLBACK TO fuzz; RELEASE fuzz");
    buf_fini(&sql);
    return 0;
}
