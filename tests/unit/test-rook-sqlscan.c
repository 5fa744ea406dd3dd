/* Splitting SQL into statements. The same rows are checked against sqlite3_complete() where noted:
 * COMPLETE means that SQLite would say so too of the text up to there. */
#include "src/rook/sqlscan.h"
#include "tests/lib/tap.h"

static const struct {
    const char *name;
    const char *sql;
    const char *pieces; /* the statements, parted by '|' */
    enum sql_found last;
    enum sql_open open;
} cases[] = {
    {"nothing", "", "", SQL_NOTHING, SQL_OPEN_NONE},
    {"blanks and stray semicolons", " \n\t ;; ; ", "", SQL_NOTHING, SQL_OPEN_NONE},
    {"only comments", "-- a;\n/* b; */ -- c", "", SQL_NOTHING, SQL_OPEN_NONE},
    {"an open comment", "/* b; ", "", SQL_NOTHING, SQL_OPEN_COMMENT},
    {"a slash and a star that overlap", "/*/ ;", "", SQL_NOTHING, SQL_OPEN_COMMENT},
    {"one", "select 1;", "select 1;", SQL_NOTHING, SQL_OPEN_NONE},
    {"two on a line", "select 1; select 2;", "select 1;|select 2;", SQL_NOTHING, SQL_OPEN_NONE},
    {"no semicolon", "select 1", "", SQL_PARTIAL, SQL_OPEN_NONE},
    {"a comment at the end", "select 1 -- x;", "", SQL_PARTIAL, SQL_OPEN_NONE},
    {"a comment in front", "-- x;\nselect 1;", "select 1;", SQL_NOTHING, SQL_OPEN_NONE},
    {"a string", "select ';';", "select ';';", SQL_NOTHING, SQL_OPEN_NONE},
    {"a doubled quote", "select 'it''s;';", "select 'it''s;';", SQL_NOTHING, SQL_OPEN_NONE},
    {"an open string", "select 'a; ", "", SQL_PARTIAL, SQL_OPEN_STRING},
    {"a backslash is no escape", "select '\\';", "select '\\';", SQL_NOTHING, SQL_OPEN_NONE},
    {"names", "select \"a;\", `b;`, [c;];", "select \"a;\", `b;`, [c;];", SQL_NOTHING,
        SQL_OPEN_NONE},
    {"an open name", "select [a; ", "", SQL_PARTIAL, SQL_OPEN_NAME},
    {"a comment inside", "select /* ; */ 1 -- ;\n;", "select /* ; */ 1 -- ;\n;", SQL_NOTHING,
        SQL_OPEN_NONE},
    {"an open comment inside", "select /* ; ", "", SQL_PARTIAL, SQL_OPEN_COMMENT},
    {"minus and division are no comments", "select 1 - -1 / 2;", "select 1 - -1 / 2;", SQL_NOTHING,
        SQL_OPEN_NONE},
    {"a trigger", "create trigger t after insert on a begin select 1; select 2; end; select 3;",
        "create trigger t after insert on a begin select 1; select 2; end;|select 3;", SQL_NOTHING,
        SQL_OPEN_NONE},
    {"a trigger with CASE", "CREATE TEMP TRIGGER t BEGIN SELECT CASE WHEN 1 THEN 2 END; END;",
        "CREATE TEMP TRIGGER t BEGIN SELECT CASE WHEN 1 THEN 2 END; END;", SQL_NOTHING,
        SQL_OPEN_NONE},
    {"comments inside a trigger",
        "create /* x */ trigger t begin select 1; -- end;\n /* end; */ end /* y */ ;",
        "create /* x */ trigger t begin select 1; -- end;\n /* end; */ end /* y */ ;", SQL_NOTHING,
        SQL_OPEN_NONE},
    {"an open trigger", "create trigger t begin select 1;", "", SQL_PARTIAL, SQL_OPEN_TRIGGER},
    {"an explained trigger", "explain query plan create trigger t begin select 1; end;",
        "explain query plan create trigger t begin select 1; end;", SQL_NOTHING, SQL_OPEN_NONE},
    {"a table called trigger", "create table trigger_a (end); select 1;",
        "create table trigger_a (end);|select 1;", SQL_NOTHING, SQL_OPEN_NONE},
    {"begin and end", "begin; select 1; end;", "begin;|select 1;|end;", SQL_NOTHING, SQL_OPEN_NONE},
    {"what is no SQL", "?%!; \x80\xff;", "?%!;|\x80\xff;", SQL_NOTHING, SQL_OPEN_NONE},
};

static void test_pieces(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *sql = cases[i].sql;
        size_t len = strlen(sql);
        char pieces[512] = "";
        struct sql_piece piece;
        size_t at = 0;
        enum sql_found found;

        while ((found = sql_next(sql, len, at, &piece)) == SQL_COMPLETE) {
            size_t used = strlen(pieces);
            (void)snprintf(pieces + used, sizeof(pieces) - used, "%s%.*s", used > 0 ? "|" : "",
                (int)(piece.end - piece.start), sql + piece.start);
            at = piece.end;
        }
        is_str(pieces, cases[i].pieces, cases[i].name);
        ok(found == cases[i].last && piece.open == cases[i].open, "%s: what is left",
            cases[i].name);
    }
}

static void test_kinds(void)
{
    static const struct {
        const char *sql;
        enum sql_kind kind;
    } kinds[] = {
        {"select 1", SQL_KIND_OTHER},
        {"", SQL_KIND_OTHER},
        {"'begin'", SQL_KIND_OTHER},
        {"beginning", SQL_KIND_OTHER},
        {"BEGIN", SQL_KIND_BEGIN},
        {"-- x\n/* y */ begin immediate;", SQL_KIND_BEGIN},
        {"Commit;", SQL_KIND_COMMIT},
        {"END TRANSACTION;", SQL_KIND_COMMIT},
        {"rollback", SQL_KIND_ROLLBACK},
        {"rollback transaction;", SQL_KIND_ROLLBACK},
        {"rollback to x;", SQL_KIND_OTHER},
        {"ROLLBACK /* */ TRANSACTION -- y\n TO x", SQL_KIND_OTHER},
        {"create table t (x)", SQL_KIND_SCHEMA},
        {"DROP INDEX i", SQL_KIND_SCHEMA},
        {"alter table t add y", SQL_KIND_SCHEMA},
        {"insert into t values (1)", SQL_KIND_OTHER},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        ok(sql_kind_of(kinds[i].sql, strlen(kinds[i].sql)) == kinds[i].kind, "kind of: %.*s",
            (int)strcspn(kinds[i].sql, "\n"), kinds[i].sql);
}

static void test_flatten(void)
{
    static const struct {
        const char *name;
        const char *sql;
        const char *flat; /* NULL: not without changing it */
    } rows[] = {
        {"one line stays", "select 1;", "select 1;"},
        {"lines and indents become blanks", "select\n  1;\n", "select 1;"},
        {"line comments go", "select 1 -- one\n, 2;", "select 1 , 2;"},
        {"comments over lines go", "select /* a\nb */ 1;", "select 1;"},
        {"other comments stay", "select /* a */ 1;", "select /* a */ 1;"},
        {"blanks in strings stay", "select 'a  b',\n\t\"c  d\";", "select 'a  b', \"c  d\";"},
        {"a line break in a string", "select 'a\nb';", NULL},
        {"a line break in a name", "select \"a\nb\";", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char flat[128];
        bool done = sql_flatten(rows[i].sql, strlen(rows[i].sql), flat);
        is_str(done ? flat : NULL, rows[i].flat, rows[i].name);
    }
}

/* Where a statement ends must not depend on what follows, and every split of the input that is not
 * past the end must ask for more. */
static void test_every_prefix(void)
{
    static const char sql[] =
        "create trigger t after update of a on b when new.x > 'end;' begin "
        "update \"c;\" set d = case when 1 then ';' end where [e;] = 1; -- end;\n"
        "delete from f; /* ; */ end;";
    size_t len = sizeof(sql) - 1;
    struct sql_piece piece;
    size_t wrong = 0;

    ok(sql_next(sql, len, 0, &piece) == SQL_COMPLETE && piece.end == len, "the whole is complete");
    for (size_t cut = 1; cut < len; cut++)
        wrong += sql_next(sql, cut, 0, &piece) != SQL_PARTIAL;
    is_int(wrong, 0, "no part of it is");
}

int main(void)
{
    test_pieces();
    test_kinds();
    test_flatten();
    test_every_prefix();
    return done_testing();
}
