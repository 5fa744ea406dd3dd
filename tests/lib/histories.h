/* Random histories of a database with all kinds of tables, for tests of diffs and merges. */
#ifndef TESTS_LIB_HISTORIES_H
#define TESTS_LIB_HISTORIES_H

#include "tests/lib/diffed.h"

static uint64_t state;
static bool plain; /* rows only, and no NULL in keys */

static const struct diffed_table tables[] = {
    {"t1", "id", 1, false, "BINARY"},
    {"t2", "k", 1, true, "NOCASE"},
    {"t3", "b, a", 2, false, "BINARY"},
    {"t4", "rowid", 1, false, "BINARY"},
    {"t5", "k", 1, false, "BINARY"},
    {"t6", "p, q", 2, true, "BINARY"},
};

#define SCHEMA                                                                                     \
    "CREATE TABLE t1(id INTEGER PRIMARY KEY, a, b);"                                               \
    "CREATE TABLE t2(k TEXT COLLATE NOCASE PRIMARY KEY, v);"                                       \
    "CREATE TABLE t3(a INT, v, b TEXT, PRIMARY KEY(b DESC, a)) WITHOUT ROWID;"                     \
    "CREATE TABLE t4(x, y);"                                                                       \
    "CREATE TABLE t5(v BLOB, k REAL PRIMARY KEY) WITHOUT ROWID;"                                   \
    "CREATE TABLE t6(p TEXT, q, v, PRIMARY KEY(p, q));"                                            \
    "CREATE INDEX i1 ON t1(a); CREATE INDEX i3 ON t3(v);"                                          \
    "CREATE VIRTUAL TABLE f USING fts5(body)"

__attribute__((unused)) static uint32_t below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 11) % n);
}

/* A literal; sometimes long enough for overflow pages. */
static const char *literal(char out[160])
{
    switch (below(8)) {
    case 0:
        return strcpy(out, "NULL");
    case 1:
        (void)snprintf(out, 160, "%d", (int)below(2000) - 1000);
        break;
    case 2:
        (void)snprintf(out, 160, "%d.5", (int)below(1000));
        break;
    case 3:
        (void)snprintf(out, 160, "replace(hex(zeroblob(%u)), '0', '%c')", below(3000),
            (char)('a' + below(26)));
        break;
    case 4:
        (void)snprintf(out, 160, "CAST(replace(hex(zeroblob(%u)), '00', 'x%u') AS BLOB)",
            below(9000), below(10));
        break;
    default:
        (void)snprintf(out, 160, "'w%u'", below(100000));
    }
    return out;
}

static const char *key_sql(size_t table, char out[160])
{
    uint32_t n = below(400);

    switch (table) {
    case 1:
        (void)snprintf(out, 160, "'%s%u'", below(2) == 0 ? "Key" : "kEy", n);
        break;
    case 2:
        (void)snprintf(out, 160, "'b%u', %u", n % 20, n / 20);
        break;
    case 4:
        (void)snprintf(out, 160, "%u%s", n, below(2) == 0 ? ".25" : "");
        break;
    case 5:
        (void)snprintf(out, 160, below(10) == 0 && !plain ? "NULL, %u" : "'p%u', 7", n);
        break;
    default:
        (void)snprintf(out, 160, "%u", n);
    }
    return out;
}

static const char *const value_of[] = {"b", "v", "v", "y", "v", "v"};

static void insert(sqlite3 *db, size_t table)
{
    char key[160], value[160], sql[600];

    (void)snprintf(sql, sizeof(sql), "REPLACE INTO %s(%s, %s) VALUES (%s, %s)", tables[table].name,
        tables[table].key, value_of[table], key_sql(table, key), literal(value));
    diffed_run(db, sql);
}

static void change_some(sqlite3 *db, size_t table)
{
    char value[160], sql[600];
    const char *name = tables[table].name, *v = value_of[table];
    uint32_t modulus = 2 + below(60);

    switch (below(5)) {
    case 0: /* the same length, at its end: overflow pages alone */
        (void)snprintf(sql, sizeof(sql),
            "UPDATE %s SET %s = CAST(substr(%s, 1, length(%s) - 1) || '%u' AS BLOB) WHERE "
            "typeof(%s) = 'blob' AND length(%s) > 500 AND length(%s) %% %u < 3",
            name, v, v, v, below(10), v, v, v, modulus);
        break;
    case 1:
        (void)snprintf(
            sql, sizeof(sql), "DELETE FROM %s WHERE abs(random()) %% %u = 0", name, 1 + below(8));
        break;
    case 2:
        (void)snprintf(sql, sizeof(sql), "UPDATE %s SET %s = %s WHERE abs(random()) %% %u = 0",
            name, v, literal(value), modulus);
        break;
    case 3:
        (void)snprintf(sql, sizeof(sql), "UPDATE %s SET %s = %s", name, v, v);
        break;
    default:
        (void)snprintf(sql, sizeof(sql), below(4) == 0 ? "DELETE FROM %s" : "REINDEX %s", name);
    }
    diffed_run(db, sql);
}

static void change_other(sqlite3 *db)
{
    char sql[300];

    switch (below(9)) {
    case 0:
        diffed_run(db, "PRAGMA incremental_vacuum(5)");
        break;
    case 1:
        (void)snprintf(sql, sizeof(sql), "UPDATE OR REPLACE t1 SET id = id + %u WHERE id < %u",
            below(400), below(40));
        diffed_run(db, sql);
        break;
    case 2:
        diffed_run(db, "INSERT INTO f VALUES ('some words of a text')");
        break;
    case 3:
        if (below(4) == 0)
            diffed_run(db, "VACUUM");
        break;
    case 4:
        (void)snprintf(sql, sizeof(sql),
            "CREATE TABLE IF NOT EXISTS n%u(x); INSERT INTO n%u VALUES (zeroblob(%u)); "
            "DROP TABLE IF EXISTS n%u",
            below(3), 0, 1, 9 + below(2));
        if (below(3) != 0)
            (void)snprintf(sql, sizeof(sql), "DROP TABLE IF EXISTS n%u", below(3));
        (void)sqlite3_exec(db, sql, NULL, NULL, NULL);
        break;
    case 5: /* rows that go from one table to another */
        diffed_run(db, "INSERT OR REPLACE INTO t4(rowid, x, y) SELECT id, a, b FROM t1;"
                       "DELETE FROM t1");
        break;
    case 6:
        diffed_run(db, "UPDATE OR IGNORE t2 SET k = upper(k); UPDATE OR REPLACE t6 SET q = q + 1");
        break;
    case 7: /* the same keys under other rowids */
        diffed_run(db, "CREATE TEMP TABLE s AS SELECT * FROM t2; DELETE FROM t2;"
                       "INSERT INTO t2 SELECT * FROM s ORDER BY v; DROP TABLE s");
        break;
    default:
        (void)sqlite3_exec(db, "ALTER TABLE t4 ADD COLUMN z DEFAULT 'd'", NULL, NULL, NULL);
    }
}

__attribute__((unused)) static void change(sqlite3 *db, uint32_t steps)
{
    diffed_run(db, below(2) == 0 ? "BEGIN" : "SELECT 1");
    for (uint32_t i = 0; i < steps; i++) {
        size_t table = below(ARRAY_LEN(tables));
        uint32_t what = below(10);

        if (what < 6)
            for (uint32_t n = below(30); n > 0; n--)
                insert(db, table);
        else if (what < 9)
            change_some(db, table);
        else if (sqlite3_get_autocommit(db) != 0 && !plain)
            change_other(db);
    }
    if (sqlite3_get_autocommit(db) == 0)
        diffed_run(db, "COMMIT");
}

__attribute__((unused)) static sqlite3 *copy_of(sqlite3 *db)
{
    sqlite3_int64 size;
    unsigned char *bytes = sqlite3_serialize(db, "main", &size, 0);
    sqlite3 *copy = NULL;

    (void)sqlite3_open(":memory:", &copy);
    (void)sqlite3_deserialize(copy, "main", bytes, size, size,
        SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE);
    return copy;
}

#endif
