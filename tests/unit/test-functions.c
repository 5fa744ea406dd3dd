/* Our SQL functions give what SQLite's give, and come to an end. */
#include "tenants/functions.h"

#include <sqlite3.h>
#include <stdio.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/random.h"
#include "tests/lib/tap.h"

static struct sqlite3 *ours;
static struct sqlite3 *theirs;

/* "type:value" or "error:text" of one expression. */
static void get(struct sqlite3 *db, const char *sql, char out[1024])
{
    struct sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc != SQLITE_ROW)
        (void)snprintf(out, 1024, "error:%.900s", sqlite3_errmsg(db));
    else
        (void)snprintf(out, 1024, "%d:%d:%.900s", sqlite3_column_type(statement, 0),
            sqlite3_column_bytes(statement, 0), sqlite3_column_text(statement, 0));
    (void)sqlite3_finalize(statement);
}

static bool same(const char *sql)
{
    char got[1024];
    char want[1024];

    get(ours, sql, got);
    get(theirs, sql, want);
    if (strcmp(got, want) == 0)
        return true;
    (void)printf("# %s\n# got  %s\n# want %s\n", sql, got, want);
    return false;
}

static void test_cases(void)
{
    static const char *const cases[] = {
        "instr('abcabc', 'c')",
        "instr('abc', 'd')",
        "instr('abc', '')",
        "instr('', 'a')",
        "instr('', '')",
        "instr(NULL, 'a')",
        "instr('a', NULL)",
        "instr('gr\xc3\xbc\xc3\x9f', '\xc3\x9f')",
        "instr(x'00ff00', x'ff')",
        "instr(x'', x'ff')",
        "instr(x'', x'')",
        "instr('a\xc3\xbc', x'bc')",
        "instr(x'c3bc41', 'A')",
        "instr(12345, 34)",
        "instr(1.5, '.')",
        "replace('banana', 'an', 'x')",
        "replace('banana', '', 'x')",
        "replace('banana', 'na', '')",
        "replace('banana', 'a', 'aa')",
        "replace(NULL, 'a', 'b')",
        "replace('a', NULL, 'b')",
        "replace('a', 'x', NULL)",
        "replace('a', 'a', NULL)",
        "replace(x'616263', x'62', '-')",
        "replace(1234, 2, 99)",
        "typeof(replace(1234, 9, 1))",
        "length(replace(hex(zeroblob(40)), '0', 'ab'))",
        "replace(hex(zeroblob(600)), '0', 'ab')",
        "trim('xxaxx', 'x')",
        "ltrim('xyaxy', 'yx')",
        "rtrim('xyaxy', 'yx')",
        "trim('aaa', 'a')",
        "trim('', 'a')",
        "trim('abc', '')",
        "trim('  a  ')",
        "trim(NULL, 'a')",
        "trim('a', NULL)",
        "trim('\xc3\xbcx\xc3\xbc', '\xc3\xbc')",
        ("trim('\xc3\xbcx\xc3\xbc', '\xc3\xbc\xc3\x9f"
         "x')"),
        "trim('\xe2\x82\xac\xf0\x9f\x90\xa6z', '\xf0\x9f\x90\xa6\xe2\x82\xac')",
        "trim('\xc3\xbc', '\xc3\xa4')",
        "trim(1231, 1)",
        "unhex('41-42', '-')",
        "unhex('41x42', '-')",
        "unhex(NULL, '-')",
        "unhex('4142')",
        "json_patch('{\"a\":1}', '{\"b\":2}')",
        "json_array(json_patch('{\"a\":1}', '{\"a\":null}'))",
        "json_patch('{', '{}')",
        "json_patch(NULL, '{}')",
        "hex(jsonb_patch('{\"a\":1}', '{\"b\":2}'))",
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char sql[256];

        (void)snprintf(sql, sizeof(sql), "SELECT %s", cases[i]);
        ok(same(sql), "%s", cases[i]);
    }
}

/* Short texts of few letters, wide ones too: most calls find something. */
static void test_random(void)
{
    static const char *const letters[] = {"a", "b", "", "aa", "\xc3\xbc", "\xe2\x82\xac", "ab"};
    static const char *const forms[] = {"instr('%s','%s')", "replace('%s','%s','b')",
        "trim('%s','%s')", "ltrim('%s','%s')", "rtrim('%s','%s')",
        "instr(CAST('%s' AS BLOB),CAST('%s' AS BLOB))"};
    uint64_t state = random_u64() | 1;
    int differ = 0;

    (void)printf("# seed %llu\n", (unsigned long long)state);
    for (int i = 0; i < 20000 && differ == 0; i++) {
        char arguments[2][64] = {"", ""};
        char expression[160];
        char sql[200];

        for (int which = 0; which < 2; which++) {
            for (uint64_t n = which == 0 ? 8 : 3; n > 0; n--) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (void)strncat(arguments[which], letters[state % ARRAY_LEN(letters)], 8);
            }
        }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(expression, sizeof(expression), forms[(state >> 32) % ARRAY_LEN(forms)],
            arguments[0], arguments[1]);
#pragma GCC diagnostic pop
        (void)snprintf(sql, sizeof(sql), "SELECT %s", expression);
        differ += !same(sql);
    }
    is_int(differ, 0, "random texts give what SQLite gives");
}

static void test_ends(void)
{
    static const char *const cases[] = {
        "instr(hex(zeroblob(500000)), hex(zeroblob(250000)) || '1')",
        "instr(zeroblob(1000000), zeroblob(500000) || x'01')",
        "length(replace(hex(zeroblob(500000)), hex(zeroblob(250000)) || '1', 'x'))",
        "length(replace(hex(zeroblob(500000)), hex(zeroblob(100)) || '1', 'x'))",
        "length(trim(replace(hex(zeroblob(250000)), '0', 'x'), hex(zeroblob(250000)) || 'x'))",
        "length(unhex(replace(hex(zeroblob(250000)), '0', '-'), hex(zeroblob(250000)) || '-'))",
        "json_patch(zeroblob(100000), zeroblob(100000))",
        "length(hex(zeroblob(150000)) LIKE '%' || hex(zeroblob(120)) || '1%')",
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t started = clock_now_ns();
        char out[1024];
        char sql[256];

        (void)snprintf(sql, sizeof(sql), "SELECT %s", cases[i]);
        get(ours, sql, out);
        (void)printf(
            "# %llu ms, %s\n", (unsigned long long)((clock_now_ns() - started) / NS_PER_MS), out);
        ok(clock_now_ns() - started < 30 * NS_PER_S, "comes to an end: %s", cases[i]);
    }
}

static void test_limits(void)
{
    char out[1024];

    (void)sqlite3_limit(ours, SQLITE_LIMIT_LENGTH, 100000);
    get(ours, "SELECT length(replace(hex(zeroblob(40000)), '0', 'abc'))", out);
    is_str(out, "error:string or blob too big", "a result over the limit is an error");
    get(ours, "SELECT json_patch(hex(zeroblob(40000)), hex(zeroblob(40000)))", out);
    is_str(out, "error:json_patch: the arguments are too large together", "a product, too");
    is_int(
        sqlite3_exec(ours,
            "PRAGMA trusted_schema=OFF; CREATE TABLE t(a, b AS (replace(a, 'x', 'y')), c AS "
            "(instr(a, 'x'))); CREATE INDEX i ON t(trim(a, 'x')); INSERT INTO t(a) VALUES ('xx'); "
            "CREATE VIEW v AS SELECT json_patch('{}', '{}') FROM t; SELECT * FROM v, t",
            NULL, NULL, NULL),
        SQLITE_OK, "they serve in schemas that are not trusted");
}

int main(void)
{
    struct err err = ERR_INIT;

    CHECK(sqlite3_open(":memory:", &ours) == SQLITE_OK);
    CHECK(sqlite3_open(":memory:", &theirs) == SQLITE_OK);
    (void)sqlite3_limit(ours, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256);
    is_int(functions_register(ours, &err), 0, "registered");
    test_cases();
    test_random();
    test_ends();
    test_limits();
    (void)sqlite3_close(ours);
    (void)sqlite3_close(theirs);
    return done_testing();
}
