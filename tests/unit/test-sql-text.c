/* SQL as text: tokens as SQLite has them, verbs, names. */
#include "tenants/sql_text.h"

#include <sqlite3.h>
#include <stdio.h>

#include "tenants/base/random.h"
#include "tests/lib/tap.h"

static void test_verbs(void)
{
    static const struct {
        const char *sql, *verb;
        bool is_explain;
    } cases[] = {
        {"SELECT 1", "SELECT", false},
        {"  ;; -- x\n/* y */ select 1", "select", false},
        {"\xef\xbb\xbfSELECT 1", "SELECT", false},
        {"EXPLAIN DELETE FROM t", "DELETE", true},
        {"explain query plan UPDATE t SET a=1", "UPDATE", true},
        {"EXPLAIN/**/QUERY/**/PLAN/**/VACUUM", "VACUUM", true},
        {"WITH x AS (SELECT 1) DELETE FROM t", "DELETE", false},
        {"WITH a AS (SELECT ')' , \"(\"), b(c) AS (VALUES (1)) INSERT INTO t SELECT 1", "INSERT",
            false},
        {"WITH RECURSIVE x AS NOT MATERIALIZED (SELECT 1) SELECT 1; DELETE FROM t", "SELECT",
            false},
        {"WITH x AS (SELECT 1);DELETE FROM t", "", false},
        {"", "", false},
        {"-- SELECT", "", false},
        {"/* SELECT", "", false},
        {"(SELECT 1)", "", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sql_verb verb = sql_verb(str_from(cases[i].sql));

        ok(str_is(verb.word, cases[i].verb) && verb.is_explain == cases[i].is_explain,
            "verb of text %zu is '%s'", i, cases[i].verb);
    }
}

static void test_names(void)
{
    static const struct {
        const char *sql;
        bool names; /* v */
        bool defines;
    } cases[] = {
        {"SELECT * FROM v", true, false}, {"SELECT * FROM \"V\"", true, false},
        {"SELECT * FROM [v]", true, false}, {"SELECT * FROM `v`", true, false},
        {"SELECT * FROM 'v'", true, false}, {"SELECT * FROM vv", false, false},
        {"SELECT * FROM \"v\"\"\"", false, false}, {"SELECT 1 -- v", false, false},
        {"SELECT 1 /* v */", false, false}, {"SELECT x = 'v', x LIKE 'v', x || 'v'", false, false},
        {"SELECT $v, :v, @v, ?1", false, false}, {"SELECT $a(v), $a::v", false, false},
        {"SELECT $a(')v, v", true, false}, {"SELECT ?1v", true, false},
        {"SELECT x'v'", true, false}, /* not a blob: SQLite refuses it anyway */
        {"WITH v AS (SELECT 1) SELECT 1", true, true},
        {"WITH v(a) AS (SELECT 1) SELECT 1", true, true},
        {"WITH 'v' AS MATERIALIZED (SELECT 1) SELECT 1", true, true},
        {"WITH v AS/*(*/NOT MATERIALIZED (SELECT 1) SELECT 1", true, true},
        {"WITH \"v\"--\n\v\fAS\v(SELECT 1) SELECT 1", true, true},
        {"WITH a AS (SELECT * FROM v AS x) SELECT * FROM v", true, false},
        {"SELECT v (1) AS v", true, false}, /* no WITH */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str sql = str_from(cases[i].sql);

        ok(sql_names(sql, STR_LITERAL("v")) == cases[i].names, "text %zu %s v", i,
            cases[i].names ? "names" : "does not name");
        ok(sql_may_define(sql, STR_LITERAL("v")) == cases[i].defines, "text %zu %s v", i,
            cases[i].defines ? "may define" : "does not define");
    }
    ok(sql_names_prefix(STR_LITERAL("SELECT [_Rookery_x]"), STR_LITERAL("_rookery_")),
        "a name's beginning, quotes aside");
    ok(!sql_names_prefix(STR_LITERAL("SELECT 'x' LIKE '_rookery_%'"), STR_LITERAL("_rookery_")),
        "not that of a value");
    ok(sql_contains(STR_LITERAL("x='_ROOKERY_'"), STR_LITERAL("_rookery_")), "contains");
    ok(sql_is_blank(STR_LITERAL(" ; -- x\n;/* */")) && !sql_is_blank(STR_LITERAL("; x")),
        "blank or not");
    ok(str_is(sql_trim_end(STR_LITERAL("a; \n;")), "a"), "trimmed");
}

/* Whatever SQLite compiles, every table it reads is named by the text as we cut it. */
static char seen[64];
static int missed;
static struct str compiled;

static int on_authorize(
    void *unused, int action, const char *first, const char *b, const char *c, const char *via)
{
    (void)unused;
    (void)b;
    (void)c;
    if (action != SQLITE_READ || via != NULL)
        return SQLITE_OK;
    (void)snprintf(seen, sizeof(seen), "%s", first);
    missed += !sql_names(compiled, str_from(first));
    return SQLITE_OK;
}

static void test_against_sqlite(void)
{
    static const char *const pieces[] = {"SELECT", "*", "FROM", "t", "\"t\"", "[t]", "`t`", "'t'",
        "/*", "*/", "--", "\n", " ", " ", " ", "'", "\"", "$a(", ")", "(", ",", "1", "?", "?1",
        "x'", ".5", "1e", "main", ".", ";", "AS", "u", "\xef\xbb\xbf", "\v", "::", ":a", "JOIN",
        "WHERE", "a", "=", "||", "->", "/", "-", "!", "]", "`"};
    struct sqlite3 *db;
    uint64_t seed = random_u64();
    uint64_t state = seed | 1;
    int statements = 0;

    (void)printf("# seed %llu\n", (unsigned long long)seed);
    (void)sqlite3_open(":memory:", &db);
    (void)sqlite3_exec(db, "CREATE TABLE t(a); CREATE TABLE u(a)", NULL, NULL, NULL);
    (void)sqlite3_set_authorizer(db, on_authorize, NULL);
    for (int i = 0; i < 30000; i++) {
        struct sqlite3_stmt *statement = NULL;
        const char *tail = NULL;
        char sql[256] = "SELECT a FROM ";
        size_t len = strlen(sql);

        for (int words = 0; words < 8; words++) {
            const char *piece;

            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            piece = pieces[state % ARRAY_LEN(pieces)];
            memcpy(sql + len, piece, strlen(piece) + 1);
            len += strlen(piece);
        }
        compiled = str_make(sql, len);
        seen[0] = '\0';
        if (sqlite3_prepare_v2(db, sql, -1, &statement, &tail) == SQLITE_OK && seen[0] != '\0')
            statements++;
        if (missed > 0) {
            (void)printf("# %s\n", sql);
            break;
        }
        (void)sqlite3_finalize(statement);
    }
    is_int(missed, 0, "every table that SQLite reads is named by the text");
    ok(statements > 100, "in %d statements that compile", statements);
    (void)sqlite3_close(db);
}

static void test_cut(void)
{
    static const struct {
        const char *text;
        const char *parts[6];
    } cases[] = {
        {"", {NULL}},
        {" ;; -- a\n /* b */ ;", {NULL}},
        {"SELECT 1", {"SELECT 1"}},
        {"SELECT 1; ", {"SELECT 1"}},
        {";SELECT ';', \";\", [;], `;` /* ; */; SELECT 2 -- ;",
            {"SELECT ';', \";\", [;], `;` /* ; */", "SELECT 2 -- ;"}},
        {"CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END; "
         "SELECT 3",
            {"CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; "
             "END",
                "SELECT 3"}},
        {"explain create temp trigger a BEGIN SELECT 1;;END;BEGIN;END",
            {"explain create temp trigger a BEGIN SELECT 1;;END", "BEGIN", "END"}},
        {"CREATE TABLE trigger(a); SELECT 1", {"CREATE TABLE trigger(a)", "SELECT 1"}},
        {"CREATE TRIGGER unfinished BEGIN SELECT 1;",
            {"CREATE TRIGGER unfinished BEGIN SELECT 1;"}},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str rest = str_from(cases[i].text);
        unsigned at = 0;
        struct str part;
        bool right = true;

        while ((part = sql_cut(&rest)).ptr != NULL) {
            right = right && cases[i].parts[at] != NULL && str_is(part, cases[i].parts[at]);
            if (cases[i].parts[at] != NULL)
                at++;
        }
        ok(right && cases[i].parts[at] == NULL, "is cut at its ends: %s", cases[i].text);
    }
}

int main(void)
{
    test_cut();
    test_verbs();
    test_names();
    test_against_sqlite();
    return done_testing();
}
