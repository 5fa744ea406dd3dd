/* What tenants' SQL must not do: each escape its own case; and what it must be able to do. */
#include "tenants/guard.h"

#include "tests/lib/guarded.h"
#include "tests/lib/tap.h"

static struct guarded guarded;

static const char schema[] =
    "CREATE TABLE _rookery_changes(seq INTEGER PRIMARY KEY, body);"
    "INSERT INTO _rookery_changes VALUES (1, 'secret');"
    "CREATE TABLE _persql_meta(seq INTEGER PRIMARY KEY, body);"
    "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers(id), note);"
    "CREATE TABLE customers(id INTEGER PRIMARY KEY, email TEXT UNIQUE, seq);"
    "CREATE TABLE audit(id INTEGER PRIMARY KEY, what);"
    "CREATE VIEW order_list AS SELECT id, note FROM orders;"
    "CREATE VIEW customer_names AS SELECT id, email FROM customers WHERE id > 1;"
    "CREATE VIEW customer_count AS WITH c AS (SELECT * FROM customers) SELECT count(*) AS n FROM c;"
    "CREATE TRIGGER orders_ai AFTER INSERT ON orders BEGIN"
    "  INSERT INTO audit(what) SELECT email FROM customers WHERE id = new.customer; END;"
    "CREATE TRIGGER names_ii INSTEAD OF INSERT ON customer_names BEGIN"
    "  INSERT INTO customers(id, email) VALUES (new.id, new.email); END;"
    "CREATE VIRTUAL TABLE docs USING fts5(body);"
    "INSERT INTO docs VALUES ('a bird in the hand');"
    "CREATE VIRTUAL TABLE places USING rtree(id, x0, x1, y0, y1);"
    "INSERT INTO places VALUES (1, 0, 1, 0, 1);"
    "INSERT INTO customers VALUES (1, 'a@example.com', 1), (2, 'b@example.com', 2);"
    "INSERT INTO orders VALUES (1, 1, 'first'), (2, 2, 'second');";

struct escape {
    const char *name;
    const char *sql;
    enum err_code code; /* ERR_NONE: any error will do */
};

/* Refused whoever asks, on stateless routes. */
static const struct escape escapes[] = {
    {"ATTACH", "ATTACH 'x.db' AS x", ERR_GUARD},
    {"ATTACH with DATABASE", "ATTACH DATABASE 'x.db' AS x", ERR_GUARD},
    {"ATTACH in mixed case", "AtTaCh 'x.db' aS x", ERR_GUARD},
    {"ATTACH after a comment", "/* */ -- x\n ATTACH/**/'x.db'/**/AS x", ERR_GUARD},
    {"ATTACH after a byte order mark",
        "\xef\xbb\xbf"
        "ATTACH 'x.db' AS x",
        ERR_GUARD},
    {"ATTACH after a semicolon", ";ATTACH 'x.db' AS x", ERR_GUARD},
    {"ATTACH of an expression", "ATTACH 'x' || '.db' AS x", ERR_GUARD},
    {"ATTACH of a subselect", "ATTACH (SELECT note FROM orders) AS x", ERR_NONE},
    {"ATTACH of a parameter", "ATTACH ? AS x", ERR_GUARD},
    {"ATTACH of memory", "ATTACH ':memory:' AS x", ERR_GUARD},
    {"ATTACH of a temporary file", "ATTACH '' AS x", ERR_GUARD},
    {"ATTACH of a URI", "ATTACH 'file:x.db?mode=rwc' AS x", ERR_GUARD},
    {"ATTACH with a key", "ATTACH 'x.db' AS x KEY 'k'", ERR_GUARD},
    {"EXPLAIN ATTACH", "EXPLAIN ATTACH 'x.db' AS x", ERR_GUARD},
    {"EXPLAIN QUERY PLAN ATTACH", "EXPLAIN QUERY PLAN ATTACH 'x.db' AS x", ERR_GUARD},
    {"ATTACH as second statement", "SELECT 1; ATTACH 'x.db' AS x", ERR_GUARD},
    {"DETACH", "DETACH main", ERR_GUARD},
    {"DETACH DATABASE", "detach database temp", ERR_GUARD},
    {"VACUUM", "VACUUM", ERR_GUARD},
    {"VACUUM in lower case after comments", "--\n/*x*/vacuum main", ERR_GUARD},
    {"VACUUM INTO", "VACUUM INTO 'x.db'", ERR_GUARD},
    {"VACUUM INTO of an expression", "VACUUM main INTO 'x' || '.db'", ERR_GUARD},
    {"VACUUM INTO of a URI", "VACUUM INTO 'file:x.db?mode=memory'", ERR_GUARD},
    {"EXPLAIN VACUUM", "EXPLAIN VACUUM INTO 'x.db'", ERR_GUARD},
    {"VACUUM after an odd comment", "/*/*/VACUUM", ERR_GUARD},

    {"load_extension", "SELECT load_extension('x.so')", ERR_NONE},
    {"fts3_tokenizer", "SELECT fts3_tokenizer('simple')", ERR_NONE},
    {"readfile", "SELECT readfile('/etc/passwd')", ERR_NONE},
    {"writefile", "SELECT writefile('/tmp/x', 'x')", ERR_NONE},
    {"edit", "SELECT edit('x')", ERR_NONE},
    {"zipfile", "SELECT * FROM zipfile('x.zip')", ERR_NONE},
    {"fsdir", "SELECT * FROM fsdir('/')", ERR_NONE},
    {"sqlite_log", "SELECT sqlite_log(1, 'x')", ERR_NONE},
    {"fts5's pointer function", "SELECT fts5(NULL)", ERR_GUARD},
    {"internal functions", "SELECT sqlite_rename_table(1,2,3,4,5,6,7)", ERR_NONE},
    {"dbstat", "SELECT * FROM dbstat", ERR_GUARD},
    {"dbstat with a schema", "SELECT sum(pgsize) FROM main.\"DbStat\"", ERR_NONE},
    {"dbstat in a subselect", "SELECT (SELECT count(*) FROM dbstat)", ERR_GUARD},
    {"a virtual table over dbstat", "CREATE VIRTUAL TABLE s USING dbstat(main)", ERR_GUARD},
    {"sqlite_dbpage", "SELECT * FROM sqlite_dbpage", ERR_GUARD},
    {"sqlite_dbpage written", "UPDATE sqlite_dbpage SET data = x'' WHERE pgno = 1", ERR_GUARD},
    {"sqlite_dbpage called", "SELECT * FROM sqlite_dbpage('main')", ERR_NONE},
    {"a virtual table over sqlite_dbpage", "CREATE VIRTUAL TABLE s USING sqlite_dbpage", ERR_GUARD},
    {"sqlite_stmt", "SELECT * FROM sqlite_stmt", ERR_NONE},
    {"bytecode", "SELECT * FROM bytecode('SELECT 1')", ERR_NONE},
    {"the csv module", "CREATE VIRTUAL TABLE c USING csv(filename='/etc/passwd')", ERR_GUARD},
    {"the json_each module", "CREATE VIRTUAL TABLE c USING json_each", ERR_NONE},
    {"the pragma module", "CREATE VIRTUAL TABLE c USING pragma_table_info", ERR_NONE},

    {"writable_schema", "PRAGMA writable_schema=ON", ERR_GUARD},
    {"writable_schema with its schema", "PRAGMA main.writable_schema(1)", ERR_GUARD},
    {"writable_schema quoted", "PRAGMA \"writable_schema\"=1", ERR_GUARD},
    {"writable_schema in comments", "PRAGMA/**/main./**/Writable_Schema/**/=/**/RESET", ERR_GUARD},
    {"EXPLAIN PRAGMA, which sets it all the same", "EXPLAIN PRAGMA writable_schema=ON", ERR_GUARD},
    {"trusted_schema", "PRAGMA trusted_schema=ON", ERR_GUARD},
    {"journal_mode", "PRAGMA journal_mode=DELETE", ERR_GUARD},
    {"journal_mode of main", "PRAGMA main.journal_mode(off)", ERR_GUARD},
    {"synchronous", "PRAGMA synchronous=OFF", ERR_GUARD},
    {"locking_mode", "PRAGMA locking_mode=EXCLUSIVE", ERR_GUARD},
    {"query_only", "PRAGMA query_only=OFF", ERR_GUARD},
    {"max_page_count", "PRAGMA max_page_count=1000000", ERR_GUARD},
    {"cache_size", "PRAGMA cache_size=-1000000", ERR_GUARD},
    {"cache_spill", "PRAGMA cache_spill=0", ERR_GUARD},
    {"mmap_size", "PRAGMA mmap_size=1000000000", ERR_GUARD},
    {"temp_store", "PRAGMA temp_store=MEMORY", ERR_GUARD},
    {"temp_store_directory", "PRAGMA temp_store_directory='/tmp'", ERR_GUARD},
    {"data_store_directory", "PRAGMA data_store_directory='/tmp'", ERR_GUARD},
    {"page_size", "PRAGMA page_size=512", ERR_GUARD},
    {"auto_vacuum", "PRAGMA auto_vacuum=FULL", ERR_GUARD},
    {"incremental_vacuum", "PRAGMA incremental_vacuum(10)", ERR_GUARD},
    {"wal_checkpoint", "PRAGMA wal_checkpoint(TRUNCATE)", ERR_GUARD},
    {"wal_checkpoint without an argument", "PRAGMA wal_checkpoint", ERR_GUARD},
    {"wal_autocheckpoint", "PRAGMA wal_autocheckpoint=1", ERR_GUARD},
    {"journal_size_limit", "PRAGMA journal_size_limit=0", ERR_GUARD},
    {"busy_timeout", "PRAGMA busy_timeout=60000", ERR_GUARD},
    {"schema_version", "PRAGMA schema_version=1", ERR_GUARD},
    {"ignore_check_constraints", "PRAGMA ignore_check_constraints=ON", ERR_GUARD},
    {"cell_size_check", "PRAGMA cell_size_check=OFF", ERR_GUARD},
    {"hard_heap_limit", "PRAGMA hard_heap_limit=1", ERR_GUARD},
    {"soft_heap_limit", "PRAGMA soft_heap_limit=1", ERR_GUARD},
    {"threads", "PRAGMA threads=8", ERR_GUARD},
    {"shrink_memory", "PRAGMA shrink_memory", ERR_GUARD},
    {"legacy_alter_table", "PRAGMA legacy_alter_table=ON", ERR_GUARD},
    {"secure_delete", "PRAGMA secure_delete=OFF", ERR_GUARD},
    {"encoding", "PRAGMA encoding='UTF-16'", ERR_GUARD},
    {"recursive_triggers without a stream", "PRAGMA recursive_triggers=ON", ERR_GUARD},
    {"a pragma nobody knows", "PRAGMA something_new=1", ERR_GUARD},
    {"the key pragma", "PRAGMA key='x'", ERR_GUARD},
    {"a refused pragma as a table", "SELECT * FROM pragma_cache_spill", ERR_GUARD},
    {"a pragma table in a join", "SELECT * FROM orders, pragma_cache_spill WHERE orders.id = 1",
        ERR_GUARD},
    {"wal_checkpoint as a table", "SELECT * FROM pragma_wal_checkpoint", ERR_NONE},
    {"journal_mode as a table with an argument", "SELECT * FROM pragma_journal_mode('delete')",
        ERR_NONE},
    {"a pragma through a view of one's own",
        "CREATE VIEW leak AS SELECT * FROM pragma_cache_spill; SELECT * FROM leak", ERR_NONE},

    {"CREATE TEMP TABLE", "CREATE TEMP TABLE x(a)", ERR_GUARD},
    {"CREATE TEMPORARY VIEW", "CREATE TEMPORARY VIEW orders AS SELECT 1", ERR_GUARD},
    {"CREATE TEMP TRIGGER",
        "CREATE TEMP TRIGGER x AFTER INSERT ON orders BEGIN DELETE FROM audit; END", ERR_GUARD},
    {"a table in temp", "CREATE TABLE temp.x(a)", ERR_GUARD},
    {"a virtual table in temp", "CREATE VIRTUAL TABLE temp.x USING fts5(a)", ERR_GUARD},
    {"a view in temp", "CREATE VIEW temp.orders AS SELECT 1", ERR_GUARD},
    {"a trigger in temp", "CREATE TRIGGER temp.x AFTER INSERT ON orders BEGIN SELECT 1; END",
        ERR_GUARD},
    {"CREATE TEMP TABLE AS", "CREATE TEMP TABLE x AS SELECT * FROM orders", ERR_GUARD},

    {"reading a reserved table", "SELECT * FROM _rookery_changes", ERR_GUARD},
    {"reading it in capitals", "SELECT * FROM _ROOKERY_CHANGES", ERR_GUARD},
    {"reading it quoted", "SELECT * FROM \"_rookery_changes\"", ERR_GUARD},
    {"reading it in brackets", "SELECT * FROM [_rookery_changes]", ERR_GUARD},
    {"reading it in backticks", "SELECT * FROM `_rookery_changes`", ERR_GUARD},
    {"reading it as a string", "SELECT * FROM '_rookery_changes'", ERR_GUARD},
    {"reading it with its schema", "SELECT * FROM main._rookery_changes", ERR_GUARD},
    {"counting its rows", "SELECT count(*) FROM _persql_meta", ERR_GUARD},
    {"reading nothing of it", "SELECT 1 FROM _rookery_changes", ERR_GUARD},
    {"reading it in a subselect", "SELECT (SELECT body FROM _rookery_changes)", ERR_GUARD},
    {"reading it in EXISTS", "SELECT EXISTS (SELECT 1 FROM _rookery_changes)", ERR_GUARD},
    {"reading it with IN", "SELECT 1 IN _persql_meta", ERR_NONE},
    {"reading it in a CTE", "WITH x AS (SELECT * FROM _rookery_changes) SELECT * FROM x",
        ERR_GUARD},
    {"reading it in a CTE named like a view",
        "WITH order_list AS (SELECT * FROM _rookery_changes) SELECT * FROM order_list", ERR_GUARD},
    {"reading it aliased", "SELECT o.body FROM _rookery_changes AS o", ERR_GUARD},
    {"joining it", "SELECT * FROM orders JOIN _rookery_changes ON seq = id", ERR_GUARD},
    {"joining it by USING, of which SQLite does not tell",
        "SELECT 1 FROM customers JOIN _rookery_changes USING (seq)", ERR_GUARD},
    {"joining it by NATURAL, of which SQLite does not tell",
        "SELECT 1 FROM customers NATURAL JOIN _rookery_changes", ERR_GUARD},
    {"joining it by USING behind a parameter with quotes",
        "SELECT 1 FROM customers JOIN _rookery_changes USING (seq) WHERE $a(')=1", ERR_NONE},
    {"joining it by NATURAL hard on a parameter",
        "SELECT 1 FROM orders JOIN customers ON ?1NATURAL JOIN _rookery_changes", ERR_GUARD},
    {"joining it by USING quoted",
        "WITH g(seq) AS (VALUES (1)) SELECT 1 FROM g JOIN [_rookery_changes] USING (seq)",
        ERR_GUARD},
    {"joining it by USING as a string",
        "WITH g(seq) AS (VALUES (1)) SELECT 1 FROM g JOIN '_rookery_changes' USING (seq)",
        ERR_GUARD},
    {"joining it by USING with a comment in between",
        "SELECT 1 FROM customers JOIN/**/_rookery_changes/*x*/USING/**/(seq)", ERR_GUARD},
    {"an UPDATE FROM it", "UPDATE orders SET note = body FROM _rookery_changes", ERR_GUARD},
    {"a DELETE that asks it",
        "DELETE FROM orders WHERE EXISTS (SELECT 1 FROM customers JOIN _persql_meta USING (seq))",
        ERR_GUARD},
    {"writing a reserved table", "INSERT INTO _rookery_changes VALUES (2, 'x')", ERR_GUARD},
    {"replacing in it", "REPLACE INTO _rookery_changes VALUES (1, 'x')", ERR_GUARD},
    {"updating it", "UPDATE _rookery_changes SET body = 'x'", ERR_GUARD},
    {"deleting from it", "DELETE FROM _rookery_changes", ERR_GUARD},
    {"dropping it", "DROP TABLE _rookery_changes", ERR_GUARD},
    {"dropping it if it exists", "DROP TABLE IF EXISTS main._persql_meta", ERR_GUARD},
    {"creating one", "CREATE TABLE _rookery_x(a)", ERR_GUARD},
    {"creating one quoted in capitals", "CREATE TABLE \"_PERSQL_x\"(a)", ERR_GUARD},
    {"creating one if it does not exist", "CREATE TABLE IF NOT EXISTS _rookery_changes(a)",
        ERR_GUARD},
    {"creating one AS SELECT", "CREATE TABLE _persql_y AS SELECT 1", ERR_GUARD},
    {"renaming to one", "ALTER TABLE orders RENAME TO _rookery_orders", ERR_GUARD},
    {"renaming to one quoted", "ALTER TABLE orders RENAME TO \"_persql_orders\"", ERR_GUARD},
    {"renaming to one as a string", "ALTER TABLE orders RENAME TO '_persql_orders'", ERR_GUARD},
    {"renaming one", "ALTER TABLE _rookery_changes RENAME TO mine", ERR_GUARD},
    {"adding a column to one", "ALTER TABLE _rookery_changes ADD COLUMN x", ERR_GUARD},
    {"dropping a column of one", "ALTER TABLE _rookery_changes DROP COLUMN body", ERR_GUARD},
    {"renaming a column of one", "ALTER TABLE _rookery_changes RENAME body TO b", ERR_GUARD},
    {"an index on one", "CREATE INDEX i ON _rookery_changes(body)", ERR_GUARD},
    {"an index named like one", "CREATE INDEX _rookery_i ON orders(note)", ERR_GUARD},
    {"a trigger on one", "CREATE TRIGGER x AFTER INSERT ON _rookery_changes BEGIN SELECT 1; END",
        ERR_GUARD},
    {"a trigger that writes one",
        "CREATE TRIGGER x AFTER INSERT ON orders BEGIN DELETE FROM _rookery_changes; END",
        ERR_GUARD},
    {"a trigger that reads one",
        "CREATE TRIGGER x AFTER INSERT ON orders BEGIN INSERT INTO audit(what) SELECT body FROM "
        "_rookery_changes; END",
        ERR_GUARD},
    {"a trigger named like one",
        "CREATE TRIGGER _persql_t AFTER INSERT ON orders BEGIN SELECT 1; END", ERR_GUARD},
    {"a view over one", "CREATE VIEW v AS SELECT * FROM _rookery_changes", ERR_GUARD},
    {"a view that joins one by USING",
        "CREATE VIEW v AS SELECT 1 FROM customers JOIN _rookery_changes USING (seq)", ERR_GUARD},
    {"a view named like one", "CREATE VIEW _rookery_v AS SELECT 1", ERR_GUARD},
    {"a foreign key to one", "CREATE TABLE x(a REFERENCES _rookery_changes(seq))", ERR_GUARD},
    {"a foreign key to one by ALTER", "ALTER TABLE orders ADD COLUMN x REFERENCES _rookery_changes",
        ERR_GUARD},
    {"a foreign key as a table constraint",
        "CREATE TABLE x(a, FOREIGN KEY (a) REFERENCES \"_persql_meta\" ON DELETE CASCADE)",
        ERR_GUARD},
    {"full text over one",
        "CREATE VIRTUAL TABLE x USING fts5(body, content='_rookery_changes', content_rowid='seq')",
        ERR_GUARD},
    {"full text over one, bare",
        "CREATE VIRTUAL TABLE x USING fts5(body, content=_rookery_changes)", ERR_GUARD},
    {"full text over one, quoted twice",
        "CREATE VIRTUAL TABLE x USING fts5(body, content='\"_rookery_changes\"')", ERR_GUARD},
    {"full text over one, in brackets",
        "CREATE VIRTUAL TABLE x USING fts5(body, content = [_ROOKERY_changes])", ERR_GUARD},
    {"a vocabulary of one", "CREATE VIRTUAL TABLE x USING fts5vocab('_rookery_f', 'row')",
        ERR_GUARD},
    {"a virtual table named like one", "CREATE VIRTUAL TABLE _rookery_f USING fts5(a)", ERR_GUARD},
    {"full text over the engine's sqlite_dbpage",
        "CREATE VIRTUAL TABLE x USING fts5(data, content='sqlite_dbpage'); SELECT * FROM x",
        ERR_NONE},
    {"full text over the engine's dbstat",
        "CREATE VIRTUAL TABLE x USING fts5(name, content='dbstat'); SELECT * FROM x", ERR_NONE},
    {"table_info of one", "PRAGMA table_info(_rookery_changes)", ERR_GUARD},
    {"table_info of one as a table", "SELECT * FROM pragma_table_info('_rookery_' || 'changes')",
        ERR_GUARD},
    {"REINDEX of one", "REINDEX _rookery_changes", ERR_NONE},
    {"ANALYZE of one", "ANALYZE _rookery_changes", ERR_GUARD},
    {"EXPLAIN of a read", "EXPLAIN SELECT * FROM _rookery_changes", ERR_GUARD},

    {"writing the schema", "INSERT INTO sqlite_master VALUES('table','x','x',2,'')", ERR_NONE},
    {"updating the schema", "UPDATE sqlite_schema SET sql = 'x'", ERR_NONE},
    {"deleting the schema", "DELETE FROM sqlite_master", ERR_NONE},
    {"dropping the schema", "DROP TABLE sqlite_master", ERR_NONE},
    {"a trigger on the schema",
        "CREATE TRIGGER x AFTER INSERT ON sqlite_master BEGIN SELECT 1; END", ERR_NONE},
    {"a table named sqlite_", "CREATE TABLE sqlite_x(a)", ERR_NONE},
    {"reading a shadow table", "SELECT * FROM docs_data", ERR_GUARD},
    {"reading a shadow table quoted", "SELECT c0 FROM main.\"DOCS_content\"", ERR_GUARD},
    {"counting a shadow table", "SELECT count(*) FROM places_node", ERR_GUARD},
    {"reading a shadow table in a CTE", "WITH x AS (SELECT * FROM docs_config) SELECT * FROM x",
        ERR_GUARD},
    {"writing a shadow table", "DELETE FROM docs_data", ERR_NONE},
    {"dropping a shadow table", "DROP TABLE docs_content", ERR_NONE},
    {"creating a shadow table", "CREATE TABLE docs_data(id, block)", ERR_NONE},
    {"a NUL in the text", NULL, ERR_SQL},
};

/* Every tenant's right. */
static const char *const allowed[] = {
    "SELECT * FROM orders WHERE id = 1",
    "SELECT name FROM sqlite_schema WHERE name NOT LIKE '_persql_%'",
    "SELECT name, '_rookery_changes' FROM sqlite_master WHERE type = 'table' AND name <> "
    "'_rookery_changes'",
    "SELECT 1 FROM orders JOIN customers USING (id) WHERE note NOT LIKE '_persql_%'",
    "SELECT * FROM docs WHERE docs MATCH 'bird' ORDER BY rank",
    "SELECT highlight(docs, 0, '[', ']') FROM docs('hand')",
    "INSERT INTO docs(body) VALUES ('two birds')",
    "INSERT INTO docs(docs) VALUES ('optimize')",
    "INSERT INTO docs(docs) VALUES ('integrity-check')",
    "DELETE FROM docs WHERE rowid = 1",
    "SELECT id FROM places WHERE x0 < 2",
    "INSERT INTO places VALUES (2, 5, 6, 5, 6)",
    "SELECT rtreecheck('places')",
    "CREATE VIRTUAL TABLE words USING fts5vocab('docs', 'row'); SELECT * FROM words",
    "CREATE VIRTUAL TABLE mail USING fts5(email, content='customers', content_rowid='id'); INSERT "
    "INTO mail(mail) VALUES('rebuild'); SELECT * FROM mail('example')",
    "DROP TABLE mail",
    "SELECT value FROM json_each('[1,2]')",
    "SELECT sqrt(2), json_extract('{\"a\":1}', '$.a'), datetime('now'), printf('%d', 1)",
    "CREATE TABLE data(x TEXT PRIMARY KEY, y INT REFERENCES orders(id)) WITHOUT ROWID, STRICT",
    "CREATE TABLE my_data(x); INSERT INTO my_data VALUES(1); SELECT * FROM my_data; DROP TABLE "
    "my_data",
    "CREATE TABLE a1(x); ALTER TABLE a1 RENAME TO a2; ALTER TABLE a2 RENAME x TO y; ALTER TABLE a2 "
    "ADD COLUMN z; ALTER TABLE a2 DROP COLUMN z; DROP TABLE a2",
    "CREATE INDEX orders_note ON orders(note) WHERE note IS NOT NULL; REINDEX orders_note; "
    "REINDEX; "
    "DROP INDEX orders_note",
    "ANALYZE; ANALYZE orders; SELECT * FROM sqlite_stat1",
    "PRAGMA optimize",
    "INSERT INTO orders(customer, note) VALUES (1, 'x') ON CONFLICT DO NOTHING RETURNING id",
    "INSERT INTO customer_names VALUES (9, 'i@example.com')",
    "PRAGMA table_info(orders)",
    "PRAGMA main.table_info('orders')",
    "PRAGMA table_xinfo = orders",
    "PRAGMA table_list",
    "PRAGMA index_list(customers)",
    "PRAGMA index_info(sqlite_autoindex_customers_1)",
    "PRAGMA index_xinfo(sqlite_autoindex_customers_1)",
    "PRAGMA foreign_key_list(orders)",
    "PRAGMA foreign_key_check",
    "PRAGMA foreign_key_check(orders)",
    "PRAGMA integrity_check",
    "PRAGMA quick_check(1)",
    "PRAGMA schema_version",
    "PRAGMA user_version",
    "PRAGMA user_version = 7",
    "PRAGMA application_id = 7",
    "PRAGMA page_count",
    "PRAGMA page_size",
    "PRAGMA freelist_count",
    "PRAGMA encoding",
    "PRAGMA journal_mode",
    "PRAGMA journal_mode = WAL",
    "PRAGMA data_version",
    "PRAGMA foreign_keys",
    "PRAGMA foreign_keys = ON",
    "PRAGMA defer_foreign_keys = ON",
    "PRAGMA compile_options",
    "PRAGMA database_list",
    "PRAGMA collation_list",
    "PRAGMA function_list",
    "PRAGMA busy_timeout",
    "SELECT * FROM pragma_table_info('orders')",
    "SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.name NOT LIKE "
    "'\\_%' ESCAPE '\\' AND m.type = 'table' AND m.name NOT LIKE '%\\_%' ESCAPE '\\'",
    "EXPLAIN QUERY PLAN SELECT * FROM orders",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 9) SELECT x FROM c",
};

static void refused(const struct escape *escape, const struct connection_context *context)
{
    struct err err = ERR_INIT;
    enum err_code code;

    guarded_engine(&guarded, "SAVEPOINT test");
    if (escape->sql == NULL) {
        struct statement *statement;
        struct str tail;

        code = connection_prepare(guarded.connection, STR_LITERAL("SELECT 1\0; ATTACH 'x' AS x"),
                   false, &statement, &tail, &err) < 0
                   ? err.code
                   : ERR_NONE;
    } else {
        code = guarded_run_with(&guarded, *context, escape->sql, &err, NULL);
    }
    ok(code != ERR_NONE && (escape->code == ERR_NONE || code == escape->code), "refused: %s",
        escape->name);
    (void)printf("# %s: %s\n", err_code_name(code), err.msg);
    if (connection_reset(guarded.connection, &err) < 0)
        ok(false, "reset after %s: %s", escape->name, err.msg);
    guarded_engine(&guarded, "ROLLBACK TO test; RELEASE test");
}

static void test_escapes(void)
{
    const struct connection_context context = {.stateless = true};

    for (size_t i = 0; i < ARRAY_LEN(escapes); i++)
        refused(&escapes[i], &context);
    guarded.context.engine = true;
    is_int(guarded_value(&guarded, "SELECT count(*) FROM _rookery_changes WHERE body = 'secret'"),
        1, "reserved tables are as they were");
    is_int(guarded_value(
               &guarded, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_%' ESCAPE '\\'"),
        2, "no reserved name was made or lost");
    guarded.context.engine = false;
}

static void test_allowed(void)
{
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
        struct err err = ERR_INIT;

        ok(guarded_run_with(&guarded, guarded.context, allowed[i], &err, NULL) == ERR_NONE,
            "allowed: %s", allowed[i]);
        if (err.code != ERR_NONE)
            (void)printf("# %s: %s\n", err_code_name(err.code), err.msg);
        if (connection_reset(guarded.connection, &err) < 0)
            ok(false, "reset: %s", err.msg);
    }
}

/* The engine's own SQL and a stream may do more. */
static void test_contexts(void)
{
    struct connection_context engine = {.engine = true};
    struct connection_context stream = {.stateless = false};
    struct err err = ERR_INIT;

    is_int(guarded_run_with(&guarded, engine, "SELECT * FROM _rookery_changes", &err, NULL),
        ERR_NONE, "the engine reads reserved tables");
    is_int(guarded_run(&guarded, "SELECT * FROM _rookery_changes"), ERR_GUARD,
        "a tenant does not, although the statement is cached");
    is_int(
        guarded_run_with(&guarded, stream,
            "CREATE TEMP TABLE scratch(a); INSERT INTO scratch VALUES (1); SELECT * FROM scratch",
            &err, NULL),
        ERR_NONE, "a stream has temporary tables");
    is_int(guarded_run(&guarded, "DROP TABLE temp.scratch"), ERR_GUARD,
        "a stateless request does not drop them");
    is_int(guarded_run_with(&guarded, stream, "CREATE TEMP TABLE _rookery_t(a)", &err, NULL),
        ERR_GUARD, "reserved names are reserved in temp too");
    is_int(guarded_run_with(&guarded, stream,
               "CREATE TEMP TRIGGER g AFTER INSERT ON _rookery_changes BEGIN SELECT 1; END", &err,
               NULL),
        ERR_GUARD, "and temporary triggers do not hang on reserved tables");
    is_int(guarded_run_with(&guarded, stream, "PRAGMA recursive_triggers=ON", &err, NULL), ERR_NONE,
        "a stream sets recursive_triggers");
    is_int(connection_reset(guarded.connection, &err), 0, "reset");
}

/* Roles and table scope --------------------------------------------------------------------- */

struct right {
    const char *sql;
    enum err_code code;
};

static struct principal *make_principal(
    const char *role, const struct str *tables, size_t table_count)
{
    struct principal from = {.role = str_from(role), .tables = tables, .table_count = table_count};

    if (role_parse(from.role, &from.capabilities, NULL) < 0)
        abort();
    return principal_new(&from);
}

static void check_rights(
    struct principal *principal, const char *who, const struct right *rights, size_t count)
{
    struct connection_context context = {.principal = principal, .stateless = true};

    /* Twice: compiled for this principal, and found in the cache. */
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            struct err err = ERR_INIT;

            guarded_engine(&guarded, "SAVEPOINT test");
            ok(guarded_run_with(&guarded, context, rights[i].sql, &err, NULL) == rights[i].code,
                "%s%s: %s gives %s", who, round == 0 ? "" : ", cached", rights[i].sql,
                err_code_name(rights[i].code));
            if (err.code != rights[i].code)
                (void)printf("# %s: %s\n", err_code_name(err.code), err.msg);
            guarded_engine(&guarded, "ROLLBACK TO test; RELEASE test");
        }
        if (round == 0) /* let the next round find what an owner compiled */
            for (size_t i = 0; i < count; i++) {
                guarded_engine(&guarded, "SAVEPOINT test");
                (void)guarded_run(&guarded, rights[i].sql);
                guarded_engine(&guarded, "ROLLBACK TO test; RELEASE test");
            }
    }
    principal_unref(principal);
}

static void test_roles(void)
{
    static const struct right reader[] = {
        {"SELECT * FROM orders", ERR_NONE},
        {"SELECT * FROM places", ERR_NONE}, /* R-tree compiles writes for it */
        {"SELECT * FROM docs('bird')", ERR_NONE},
        {"PRAGMA table_info(orders)", ERR_NONE},
        {"PRAGMA foreign_keys = ON", ERR_NONE},
        {"SELECT name FROM sqlite_master", ERR_NONE},
        {"EXPLAIN QUERY PLAN DELETE FROM orders", ERR_NONE},
        {"INSERT INTO orders(note) VALUES ('x')", ERR_ROLE_FORBIDS},
        {"UPDATE orders SET note = 1", ERR_ROLE_FORBIDS},
        {"DELETE FROM orders", ERR_ROLE_FORBIDS},
        {"REPLACE INTO orders(id) VALUES (1)", ERR_ROLE_FORBIDS},
        {"WITH x AS (SELECT 1) DELETE FROM orders", ERR_ROLE_FORBIDS},
        {"INSERT INTO customer_names VALUES (5, 'x')", ERR_ROLE_FORBIDS},
        {"INSERT INTO docs VALUES ('x')", ERR_ROLE_FORBIDS},
        {"INSERT INTO places VALUES (7, 0, 1, 0, 1)", ERR_ROLE_FORBIDS},
        {"PRAGMA user_version = 3", ERR_ROLE_FORBIDS},
        {"PRAGMA optimize", ERR_ROLE_FORBIDS},
        {"CREATE TABLE x(a)", ERR_ROLE_FORBIDS},
        {"CREATE TABLE IF NOT EXISTS orders(a)", ERR_ROLE_FORBIDS},
        {"DROP TABLE IF EXISTS missing", ERR_ROLE_FORBIDS},
        {"ANALYZE", ERR_ROLE_FORBIDS},
        {"REINDEX", ERR_ROLE_FORBIDS},
    };
    static const struct right writer[] = {
        {"SELECT * FROM orders", ERR_NONE},
        {"INSERT INTO orders(note) VALUES ('x')", ERR_NONE},
        {"INSERT INTO customer_names VALUES (5, 'x')", ERR_NONE},
        {"INSERT INTO docs VALUES ('x')", ERR_NONE},
        {"PRAGMA user_version = 3", ERR_NONE},
        {"CREATE TABLE x(a)", ERR_ROLE_FORBIDS},
        {"CREATE VIRTUAL TABLE x USING fts5(a)", ERR_ROLE_FORBIDS},
        {"CREATE INDEX x ON orders(note)", ERR_ROLE_FORBIDS},
        {"ALTER TABLE orders ADD COLUMN x", ERR_ROLE_FORBIDS},
        {"DROP TABLE orders", ERR_ROLE_FORBIDS},
        {"DROP VIEW order_list", ERR_ROLE_FORBIDS},
        {"DROP TABLE docs", ERR_ROLE_FORBIDS},
        {"DROP TABLE IF EXISTS missing", ERR_ROLE_FORBIDS},
        {"ANALYZE", ERR_ROLE_FORBIDS},
        {"REINDEX orders", ERR_ROLE_FORBIDS},
        {"PRAGMA optimize", ERR_ROLE_FORBIDS},
    };
    static const struct right owner[] = {
        {"CREATE TABLE x(a)", ERR_NONE},
        {"DROP TABLE audit", ERR_NONE},
        {"ANALYZE", ERR_NONE},
    };

    check_rights(make_principal("readonly", NULL, 0), "readonly", reader, ARRAY_LEN(reader));
    check_rights(make_principal("readwrite", NULL, 0), "readwrite", writer, ARRAY_LEN(writer));
    check_rights(make_principal("owner", NULL, 0), "owner", owner, ARRAY_LEN(owner));
}

static void test_scope(void)
{
    static const struct str tables[] = {
        STR_LITERAL("Orders"), STR_LITERAL("order_list"), STR_LITERAL("customer_count")};
    static const struct str windows[] = {STR_LITERAL("customer_names"), STR_LITERAL("docs")};
    static const struct right rights[] = {
        {"SELECT * FROM orders", ERR_NONE},
        {"SELECT count(*) FROM ORDERS", ERR_NONE},
        {"SELECT * FROM order_list", ERR_NONE},
        {"SELECT * FROM customer_count", ERR_NONE}, /* a view with a CTE inside */
        {"WITH x AS (SELECT * FROM orders) SELECT * FROM x JOIN orders USING (id)", ERR_NONE},
        {"SELECT value FROM json_each('[1]')", ERR_NONE},
        {"UPDATE orders SET note = 'x'", ERR_NONE},
        {"INSERT INTO orders(customer, note) VALUES (1, 'x')", ERR_NONE}, /* key and trigger */
        {"PRAGMA table_info(orders)", ERR_NONE},
        {"SELECT name FROM pragma_table_info('orders')", ERR_NONE},
        {"PRAGMA user_version", ERR_NONE},
        {"SELECT * FROM customers", ERR_TABLE_SCOPE},
        {"SELECT count(*) FROM customers", ERR_TABLE_SCOPE},
        {"SELECT 1 FROM \"CUSTOMERS\"", ERR_TABLE_SCOPE},
        {"SELECT 1 FROM 'customers'", ERR_TABLE_SCOPE},
        {"SELECT 1 FROM main.[customers] AS orders", ERR_TABLE_SCOPE},
        {"SELECT * FROM orders, customers", ERR_TABLE_SCOPE},
        {"SELECT * FROM orders WHERE customer IN (SELECT id FROM customers)", ERR_TABLE_SCOPE},
        {"SELECT * FROM orders WHERE EXISTS (SELECT 1 FROM customers)", ERR_TABLE_SCOPE},
        {"SELECT 1 FROM orders JOIN customers USING (id)", ERR_TABLE_SCOPE},
        {"WITH g(email) AS (VALUES ('a@example.com')) SELECT count(*) FROM g JOIN customers USING "
         "(email)",
            ERR_TABLE_SCOPE},
        {"WITH g(email) AS (VALUES ('b@example.com')) SELECT count(*) FROM g NATURAL JOIN "
         "customer_names",
            ERR_TABLE_SCOPE},
        {"WITH g(name) AS (VALUES ('orders')) SELECT count(*) FROM g JOIN sqlite_schema USING "
         "(name)",
            ERR_TABLE_SCOPE},
        {"WITH order_list AS (SELECT * FROM customers) SELECT * FROM order_list", ERR_TABLE_SCOPE},
        {"WITH order_list(a) AS (SELECT email FROM customers) SELECT * FROM order_list",
            ERR_TABLE_SCOPE},
        {"WITH order_list AS NOT MATERIALIZED (SELECT * FROM customers) SELECT * FROM order_list",
            ERR_TABLE_SCOPE},
        {"WITH \"order_list\" AS/**/(SELECT * FROM customers) SELECT * FROM order_list",
            ERR_TABLE_SCOPE},
        {"WITH 'order_list' AS (SELECT * FROM customers) SELECT * FROM order_list",
            ERR_TABLE_SCOPE},
        {"WITH orders_ai AS (SELECT * FROM customers) SELECT * FROM orders_ai", ERR_TABLE_SCOPE},
        {"SELECT * FROM (SELECT * FROM customers) AS order_list", ERR_TABLE_SCOPE},
        {"SELECT * FROM customer_names", ERR_TABLE_SCOPE},
        {"SELECT * FROM orders UNION ALL SELECT * FROM customers", ERR_TABLE_SCOPE},
        {"INSERT INTO audit(what) VALUES (1)", ERR_TABLE_SCOPE},
        {"INSERT INTO orders(note) SELECT email FROM customers", ERR_TABLE_SCOPE},
        {"UPDATE orders SET note = email FROM customers", ERR_TABLE_SCOPE},
        {"UPDATE customers SET email = 1", ERR_TABLE_SCOPE},
        {"DELETE FROM customers", ERR_TABLE_SCOPE},
        {"DELETE FROM orders WHERE customer = (SELECT max(id) FROM customers)", ERR_TABLE_SCOPE},
        {"SELECT * FROM sqlite_master", ERR_TABLE_SCOPE},
        {"SELECT * FROM sqlite_schema", ERR_TABLE_SCOPE},
        {"PRAGMA table_list", ERR_TABLE_SCOPE},
        {"PRAGMA table_info(customers)", ERR_TABLE_SCOPE},
        {"SELECT * FROM pragma_table_info('cust' || 'omers')", ERR_TABLE_SCOPE},
        {"SELECT * FROM pragma_table_list", ERR_TABLE_SCOPE},
        {"PRAGMA index_info(sqlite_autoindex_customers_1)", ERR_TABLE_SCOPE},
        {"PRAGMA foreign_key_check", ERR_TABLE_SCOPE},
        {"PRAGMA integrity_check", ERR_TABLE_SCOPE},
        {"CREATE VIEW v AS SELECT * FROM customers", ERR_TABLE_SCOPE},
        {"DROP VIEW order_list", ERR_TABLE_SCOPE},
        {"EXPLAIN SELECT * FROM customers", ERR_TABLE_SCOPE},
    };
    static const struct right through[] = {
        {"SELECT * FROM customer_names", ERR_NONE},
        {"SELECT count(*) FROM customer_names AS c", ERR_NONE},
        {"WITH x AS (SELECT * FROM customer_names) SELECT * FROM x", ERR_NONE},
        {"INSERT INTO customer_names VALUES (7, 'x')", ERR_NONE},
        {"SELECT * FROM docs('bird')", ERR_NONE},
        {"INSERT INTO docs VALUES ('x')", ERR_NONE},
        {"SELECT * FROM customers", ERR_TABLE_SCOPE},
        {"SELECT * FROM docs_content", ERR_TABLE_SCOPE},
        {"SELECT * FROM places", ERR_TABLE_SCOPE},
    };
    struct connection_context stream = {.stateless = false};
    struct err err = ERR_INIT;

    check_rights(
        make_principal("owner", tables, ARRAY_LEN(tables)), "scope", rights, ARRAY_LEN(rights));
    check_rights(make_principal("readwrite", windows, ARRAY_LEN(windows)), "windows", through,
        ARRAY_LEN(through));
    stream.principal = make_principal("owner", tables, ARRAY_LEN(tables));
    is_int(guarded_run_with(
               &guarded, stream, "CREATE TEMP VIEW orders AS SELECT * FROM customers", &err, NULL),
        ERR_TABLE_SCOPE, "a token with a scope makes no temporary view");
    is_int(guarded_run_with(&guarded, stream, "SELECT email FROM customers", &err, NULL),
        ERR_TABLE_SCOPE, "a table outside the scope");
    is_str(err.msg, "Token scope does not include table \"customers\"", "is named as PerSQL does");
    principal_unref((struct principal *)(uintptr_t)stream.principal);
}

/* A statement that was compiled before the schema changed, judged for who runs it now. */
static void test_changed_schema(void)
{
    static const struct str tables[] = {STR_LITERAL("orders")};
    struct principal *scoped = make_principal("readonly", tables, 1);
    struct principal *reader = make_principal("readonly", NULL, 0);
    struct connection_context context = {.principal = reader, .stateless = true};
    struct guarded other = guarded;
    struct statement *statement;
    struct statement *second;
    struct err err = ERR_INIT;
    struct str tail;
    const struct str sql = STR_LITERAL("SELECT * FROM changing");

    (void)guarded_run(&guarded, "CREATE VIEW changing AS SELECT id FROM orders");
    guarded_open(&other, NULL);
    connection_set_context(guarded.connection, &context);
    is_int(connection_prepare(guarded.connection, sql, false, &statement, &tail, &err), 0,
        "a reader compiles");
    connection_release(guarded.connection, statement);
    (void)guarded_run(&other, "DROP VIEW changing; CREATE TABLE changing(_x)");
    is_int(connection_prepare(guarded.connection, sql, true, &statement, &tail, &err), 0,
        "and finds it again");
    is_int(sqlite3_step(statement->sqlite), SQLITE_DONE, "it compiles anew inside the step");
    connection_release(guarded.connection, statement);

    context.principal = scoped;
    connection_set_context(guarded.connection, &context);
    is_int(connection_prepare(guarded.connection, sql, false, &second, &tail, &err), -1,
        "a token without that table is refused");
    is_int(err.code, ERR_TABLE_SCOPE, "for its scope");
    (void)guarded_run(
        &other, "DROP TABLE changing; CREATE VIEW changing AS SELECT * FROM docs_data");
    context.principal = reader;
    connection_set_context(guarded.connection, &context);
    connection_close(other.connection);
    (void)guarded_run(&guarded, "DROP VIEW changing");
    principal_unref(scoped);
    principal_unref(reader);
}

/* An in-step compilation is judged by whoever runs it: a revoked right counts at once. */
static void test_step_judged(void)
{
    static const struct str tables[] = {STR_LITERAL("orders"), STR_LITERAL("window")};
    struct principal *scoped = make_principal("readonly", tables, 2);
    struct connection_context context = {.principal = scoped, .stateless = true};
    struct guarded other = guarded;
    struct statement *statement;
    struct err err = ERR_INIT;
    struct str tail;

    (void)guarded_run(&guarded, "CREATE VIEW window AS SELECT id FROM orders");
    guarded_open(&other, NULL);
    connection_set_context(guarded.connection, &context);
    is_int(connection_prepare(guarded.connection,
               STR_LITERAL("SELECT w.id FROM window AS w, orders AS customers"), false, &statement,
               &tail, &err),
        0, "compiled over a view in scope");
    (void)guarded_run(&other, "DROP VIEW window; CREATE VIEW window AS SELECT seq AS id FROM "
                              "_persql_meta");
    guarded_engine(&other,
        "DROP VIEW IF EXISTS window; CREATE VIEW window AS SELECT seq AS id FROM "
        "_persql_meta");
    is_int(
        sqlite3_step(statement->sqlite), SQLITE_AUTH, "a changed view is judged inside the step");
    ok(connection_refusal(guarded.connection, &err) && err.code == ERR_GUARD,
        "and the refusal is kept for the lane");
    ok(!connection_refusal(guarded.connection, &err), "once");
    connection_release(guarded.connection, statement);
    connection_set_context(guarded.connection, &guarded.context);
    connection_close(other.connection);
    guarded_engine(&guarded, "DROP VIEW window");
    principal_unref(scoped);
}

static void test_rules(void)
{
    for (const struct pragma_rule *rule = guard_pragmas; rule->name != NULL; rule++)
        ok(guard_pragma(rule->name) == rule && (rule->flags != 0 || rule->same == NULL),
            "PRAGMA %s has one rule", rule->name);
    ok(guard_is_reserved(STR_LITERAL("_Rookery_x")) && guard_is_reserved(STR_LITERAL("_persql_")) &&
            !guard_is_reserved(STR_LITERAL("_persq")) &&
            !guard_is_reserved(STR_LITERAL("rookery_")),
        "reserved names are told by their beginning");
    ok(guard_is_readable(STR_LITERAL("_persql_meta_query_log")), "the query log is readable");
}

int main(void)
{
    guarded_open(&guarded, NULL);
    guarded_engine(&guarded, schema);
    test_rules();
    test_escapes();
    test_contexts();
    test_roles();
    test_scope();
    test_changed_schema();
    test_step_judged();
    test_allowed();
    guarded_remove(&guarded);
    return done_testing();
}
