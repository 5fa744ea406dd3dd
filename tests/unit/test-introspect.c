/* What a database looks like, told from its own catalogue. */
#include "tenants/introspect.h"

#include "tests/lib/guarded.h"
#include "tests/lib/tap.h"

static const char schema_sql[] =
    "CREATE TABLE _rookery_changes(seq INTEGER PRIMARY KEY);"
    "CREATE TABLE _persql_meta(a);"
    "CREATE TABLE customers(id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL UNIQUE,"
    "  name TEXT DEFAULT 'nobody', upper_name TEXT GENERATED ALWAYS AS (upper(name)) VIRTUAL);"
    "CREATE TABLE \"order \"\"lines\"\"\"(a INT, b INT, c INT REFERENCES customers ON DELETE "
    "CASCADE,"
    "  PRIMARY KEY (b, a), FOREIGN KEY (a) REFERENCES customers(id) ON UPDATE SET NULL)"
    "  WITHOUT ROWID, STRICT;"
    "CREATE TABLE plain(x);"
    "CREATE INDEX plain_x ON plain(x) WHERE x > 1;"
    "CREATE INDEX plain_expression ON plain(x + 1, x);"
    "CREATE VIEW names AS SELECT name FROM customers;"
    "CREATE VIEW broken AS SELECT * FROM missing;"
    "CREATE TRIGGER plain_ai AFTER INSERT ON plain BEGIN SELECT 1; END;"
    "CREATE VIRTUAL TABLE docs USING fts5(body);"
    "INSERT INTO docs VALUES ('a'), ('b');"
    "INSERT INTO customers(email) VALUES ('a'), ('b'), ('c');";

static const struct introspect_table *find(const struct introspect_schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->table_count; i++) {
        if (str_is(schema->tables[i].name, name))
            return &schema->tables[i];
    }
    return NULL;
}

static void test_all(struct guarded *guarded)
{
    struct introspect_schema schema;
    const struct introspect_table *table;
    struct arena arena;
    struct err err = ERR_INIT;

    arena_init(&arena, 1 << 20);
    is_int(introspect_schema(
               connection_db(guarded->connection), NULL, INTROSPECT_ALL, &arena, &schema, &err),
        0, "the schema is read");
    is_int(schema.table_count, 5, "user tables and views only: no reserved, no shadow, no sqlite_");
    ok(schema.schema_cookie > 0, "with its cookie");

    table = find(&schema, "customers");
    is_int(table->row_count, 3, "rows are counted");
    ok(str_is(table->kind, "table") && str_starts_with(table->sql, "CREATE TABLE customers"),
        "kind and text");
    is_int(table->column_count, 4, "columns");
    ok(table->columns[0].primary_key == 1 && str_is(table->columns[0].type, "INTEGER"),
        "the primary key's place");
    ok(table->columns[1].not_null && !table->columns[1].has_default, "NOT NULL, no default");
    ok(table->columns[2].has_default && str_is(table->columns[2].default_sql, "'nobody'"),
        "a default, as written");
    ok(table->columns[3].generated && !table->columns[3].hidden, "a generated column");
    ok(table->index_count == 1 && table->indexes[0].unique &&
            str_is(table->indexes[0].origin, "u") && str_is(table->indexes[0].columns[0], "email"),
        "a UNIQUE constraint's index");

    table = find(&schema, "order \"lines\"");
    ok(table != NULL && table->without_rowid && table->strict, "WITHOUT ROWID, STRICT, odd name");
    is_int(table->row_count, 0, "an odd name is counted too");
    ok(table->columns[0].primary_key == 2 && table->columns[1].primary_key == 1,
        "a composite key's order");
    is_int(table->foreign_key_count, 2, "foreign keys");
    ok(str_is(table->foreign_keys[0].table, "customers") &&
            str_is(table->foreign_keys[0].on_update, "SET NULL") &&
            str_is(table->foreign_keys[0].to, "id"),
        "one with its target column");
    ok(str_is(table->foreign_keys[1].on_delete, "CASCADE") && table->foreign_keys[1].to.len == 0,
        "one to the parent's primary key");

    table = find(&schema, "plain");
    is_int(table->index_count, 2, "indexes");
    ok(table->indexes[0].column_count == 2 && table->indexes[0].columns[0].len == 0 &&
            str_is(table->indexes[0].columns[1], "x"),
        "an expression has no column name");
    ok(table->indexes[1].partial && str_starts_with(table->indexes[1].sql, "CREATE INDEX plain_x"),
        "a partial index with its text");
    ok(table->trigger_count == 1 && str_is(table->triggers[0], "plain_ai") &&
            str_starts_with(table->trigger_sql[0], "CREATE TRIGGER"),
        "triggers");

    table = find(&schema, "names");
    ok(str_is(table->kind, "view") && table->row_count == -1 && table->column_count == 1,
        "a view is not counted");
    table = find(&schema, "docs");
    ok(str_is(table->kind, "virtual") && table->row_count == 2, "a virtual table");
    ok(table->columns[table->column_count - 1].hidden, "and its hidden columns");
    arena_fini(&arena);
}

static void test_broken_view(struct guarded *guarded)
{
    struct introspect_schema schema;
    struct arena arena;
    struct err err = ERR_INIT;
    int result;

    arena_init(&arena, 1 << 20);
    result = introspect_schema(
        connection_db(guarded->connection), NULL, INTROSPECT_ALL, &arena, &schema, &err);
    ok(result == 0 && find(&schema, "broken") != NULL && find(&schema, "broken")->column_count == 0,
        "a view that no longer compiles is listed, without columns: %s", err.msg);
    arena_fini(&arena);
}

static void test_scope(struct guarded *guarded)
{
    static const struct str tables[] = {STR_LITERAL("PLAIN"), STR_LITERAL("names")};
    struct principal principal = {.tables = tables, .table_count = 2};
    struct introspect_schema schema;
    struct arena arena;
    struct err err = ERR_INIT;

    arena_init(&arena, 1 << 20);
    is_int(introspect_schema(connection_db(guarded->connection), &principal, INTROSPECT_COUNTS,
               &arena, &schema, &err),
        0, "read for a token with a scope");
    is_int(schema.table_count, 2, "which sees its tables only");
    is_int(schema.tables[0].column_count, 0, "columns were not asked for");
    arena_reset(&arena);
    arena.limit_bytes = 300;
    is_int(introspect_schema(
               connection_db(guarded->connection), NULL, INTROSPECT_ALL, &arena, &schema, &err),
        -1, "a schema too large for the arena");
    is_int(err.code, ERR_TOO_LARGE, "is an error");
    arena_fini(&arena);
}

static int stop(void *unused)
{
    (void)unused;
    return 1;
}

static void test_budget(struct guarded *guarded)
{
    struct sqlite3 *db = connection_db(guarded->connection);
    struct introspect_schema schema;
    struct arena arena;
    struct err err = ERR_INIT;

    arena_init(&arena, 1 << 20);
    guarded_engine(guarded,
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x < "
        "20000) INSERT INTO plain SELECT CAST(randomblob(200) AS TEXT) FROM c");
    guarded->context.engine = true;
    connection_set_context(guarded->connection, &guarded->context);
    sqlite3_progress_handler(db, 1000, stop, NULL);
    is_int(introspect_schema(db, NULL, INTROSPECT_COUNTS, &arena, &schema, &err), 0,
        "a budget that ends");
    ok(find(&schema, "customers") != NULL && find(&schema, "customers")->row_count == 3,
        "leaves the small tables counted");
    sqlite3_progress_handler(db, 0, NULL, NULL);
    arena_fini(&arena);
}

int main(void)
{
    struct guarded guarded = {.path = ""};

    guarded_open(&guarded, NULL);
    guarded_engine(&guarded, schema_sql);
    guarded.context.engine = true;
    connection_set_context(guarded.connection, &guarded.context);
    test_broken_view(&guarded);
    guarded_engine(&guarded, "DROP VIEW broken");
    test_all(&guarded);
    test_scope(&guarded);
    test_budget(&guarded);
    guarded_remove(&guarded);
    return done_testing();
}
