/* Merges: against a model of three ways, and by hand. */
#include "tenants/diff/merge.h"

#include <inttypes.h>

#include "tenants/base/clock.h"
#include "tests/lib/histories.h"
#include "tests/lib/tap.h"

#define HISTORIES 40

static struct err err;

/* ------------------------------------------------------------------ three databases */

static sqlite3 *base, *parent, *branch;
static struct merge_result result;
static char told[2000]; /* conflicts: kind:table:key, … */

static int on_conflict(void *context, const struct merge_conflict *conflict, struct err *ret_err)
{
    struct buf text = {.bytes = NULL};

    buf_printf(&text, "%s:%s:", merge_conflict_name(conflict->kind), conflict->table);
    for (uint32_t i = 0; i < conflict->key_count; i++)
        diffed_put(&text, &conflict->key_values[i]);
    buf_char(&text, '\0');
    if (strlen(told) + text.len < sizeof(told))
        strcat(told, text.bytes);
    buf_fini(&text);
    return 0;
}

static int merge(enum merge_policy policy, bool dry_run)
{
    struct merge_options options = {.base = base,
        .parent = parent,
        .branch = branch,
        .policy = policy,
        .dry_run = dry_run,
        .on_conflict = on_conflict};
    int rc;

    err = ERR_INIT;
    told[0] = '\0';
    result = (struct merge_result){.applied = false};
    diffed_run(base, "BEGIN; SELECT count(*) FROM sqlite_schema");
    diffed_run(branch, "BEGIN; SELECT count(*) FROM sqlite_schema");
    diffed_run(parent, "BEGIN IMMEDIATE");
    rc = merge_run(&options, &result, &err);
    diffed_run(base, "ROLLBACK");
    diffed_run(branch, "ROLLBACK");
    if (sqlite3_exec(parent, rc == 0 && result.applied ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL) !=
        SQLITE_OK) {
        (void)printf("# commit: %s\n", sqlite3_errmsg(parent));
        rc = -2;
    }
    return rc;
}

static void begin(const char *sql)
{
    (void)sqlite3_open(":memory:", &base);
    diffed_run(base, sql);
    parent = copy_of(base);
    branch = copy_of(base);
    diffed_run(parent, "PRAGMA foreign_keys = ON");
}

static void end(void)
{
    (void)sqlite3_close(base);
    (void)sqlite3_close(parent);
    (void)sqlite3_close(branch);
}

/* The only value of a query on the parent, as text. */
static const char *value(const char *sql)
{
    static char text[500];
    sqlite3_stmt *row = NULL;

    (void)snprintf(text, sizeof(text), "nothing");
    (void)sqlite3_prepare_v2(parent, sql, -1, &row, NULL);
    if (sqlite3_step(row) == SQLITE_ROW)
        (void)snprintf(text, sizeof(text), "%s", (const char *)sqlite3_column_text(row, 0));
    (void)sqlite3_finalize(row);
    return text;
}

/* ------------------------------------------------------------------ model */

#define ALL_KEYS "(SELECT k FROM b UNION SELECT k FROM o UNION SELECT k FROM t) AS u"
#define JOINED                                                                                     \
    ALL_KEYS " LEFT JOIN b ON b.k = u.k LEFT JOIN o ON o.k = u.k LEFT JOIN t ON t.k = u.k"
#define IS_CONFLICT "t.v IS NOT b.v AND o.v IS NOT b.v AND o.v IS NOT t.v"

static sqlite3 *models[ARRAY_LEN(tables)];

static void load_models(void)
{
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        char *sql = sqlite3_mprintf("CREATE TABLE b(k TEXT PRIMARY KEY COLLATE %s, v);"
                                    "CREATE TABLE o(k TEXT PRIMARY KEY COLLATE %s, v);"
                                    "CREATE TABLE t(k TEXT PRIMARY KEY COLLATE %s, v);"
                                    "CREATE TABLE m(k TEXT PRIMARY KEY COLLATE %s, v)",
            tables[i].collate, tables[i].collate, tables[i].collate, tables[i].collate);

        (void)sqlite3_open(":memory:", &models[i]);
        diffed_run(models[i], sql);
        sqlite3_free(sql);
        diffed_load(models[i], base, &tables[i], "b");
        diffed_load(models[i], parent, &tables[i], "o");
        diffed_load(models[i], branch, &tables[i], "t");
    }
}

static long count_of(sqlite3 *model, const char *sql)
{
    sqlite3_stmt *row = NULL;
    long count = -1;

    if (sqlite3_prepare_v2(model, sql, -1, &row, NULL) == SQLITE_OK &&
        sqlite3_step(row) == SQLITE_ROW)
        count = (long)sqlite3_column_int64(row, 0);
    else
        (void)printf("# %s\n", sqlite3_errmsg(model));
    (void)sqlite3_finalize(row);
    return count;
}

static const char *wrong_rows(enum merge_policy policy, bool applied)
{
    if (!applied)
        return "SELECT count(*) FROM (SELECT k, v FROM o EXCEPT SELECT k, v FROM m)";
    if (policy == MERGE_OURS)
        return "SELECT count(*) FROM " JOINED
               " LEFT JOIN m ON m.k = u.k WHERE m.v IS NOT CASE WHEN t.v IS b.v OR (" IS_CONFLICT
               ") THEN o.v ELSE t.v END";
    return "SELECT count(*) FROM " JOINED
           " LEFT JOIN m ON m.k = u.k WHERE m.v IS NOT CASE WHEN t.v IS b.v THEN o.v ELSE t.v END";
}

static bool is_model(enum merge_policy policy, bool applied, long conflicts)
{
    long wrong = 0, wanted = 0;

    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        long here;

        if (strcmp(tables[i].name, "t4") != 0) /* rowids that nobody chose are not kept */
            wanted += count_of(models[i], "SELECT count(*) FROM " JOINED " WHERE " IS_CONFLICT);
        if (strcmp(tables[i].name, "t4") == 0)
            continue;
        diffed_load(models[i], parent, &tables[i], "m");
        here = count_of(models[i], wrong_rows(policy, applied));
        if (here != 0)
            (void)printf("# %ld rows of %s\n", here, tables[i].name);
        wrong += here;
    }
    if (conflicts >= 0 && conflicts != wanted)
        (void)printf("# %ld conflicts, not %ld\n", conflicts, wanted);
    return wrong == 0 && (conflicts < 0 || conflicts == wanted);
}

static void test_history(uint64_t seed)
{
    enum merge_policy policy;
    bool dry_run;
    int rc;

    state = seed;
    plain = true;
    (void)below(2);
    policy = (enum merge_policy)below(3);
    dry_run = below(5) == 0;
    begin(SCHEMA);
    diffed_run(base, "DROP TABLE f");
    change(base, 30);
    (void)sqlite3_close(parent);
    (void)sqlite3_close(branch);
    parent = copy_of(base);
    branch = copy_of(base);
    change(parent, 1 + below(20));
    change(branch, 1 + below(20));
    diffed_run(parent, "UPDATE t4 SET y = 1; DELETE FROM t4 WHERE rowid % 2");
    diffed_run(branch, "DELETE FROM t4; INSERT INTO t4 SELECT * FROM t4");
    diffed_run(parent, "DELETE FROM t4");
    load_models();
    rc = merge(policy, dry_run);
    if (rc != 0)
        (void)printf("# %s\n", err.msg);
    ok(rc == 0 && is_model(policy, result.applied && !dry_run, (long)result.conflicts) &&
            result.applied == (policy != MERGE_FAIL || result.conflicts == 0),
        "merge of seed %" PRIu64 ", policy %d%s, %d conflicts", seed, (int)policy,
        dry_run ? ", dry" : "", (int)result.conflicts);
    is_str(value("PRAGMA integrity_check"), "ok", "the parent is whole");
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        (void)sqlite3_close(models[i]);
    end();
}

/* ------------------------------------------------------------------ by hand */

static void test_rows(void)
{
    begin("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a'), (2, 'b'), "
          "(3, 'c'), (4, 'd'), (5, 'e');"
          "CREATE TRIGGER tr AFTER INSERT ON t BEGIN DELETE FROM t; END");
    diffed_run(parent, "UPDATE t SET v = 'p1' WHERE id = 1; DELETE FROM t WHERE id = 2;"
                       "UPDATE t SET v = 'p5' WHERE id = 5; DROP TRIGGER tr; INSERT INTO t VALUES "
                       "(6, 'p6'); CREATE TRIGGER tr AFTER INSERT ON t BEGIN DELETE FROM t; END");
    diffed_run(branch, "DROP TRIGGER tr; UPDATE t SET v = 'b1' WHERE id = 1;"
                       "UPDATE t SET v = 'b2' WHERE id = 2; DELETE FROM t WHERE id IN (4, 5);"
                       "INSERT INTO t VALUES (6, 'b6'), (7, 'b7');"
                       "CREATE TRIGGER tr AFTER INSERT ON t BEGIN DELETE FROM t; END");
    is_int(merge(MERGE_FAIL, false), 0, "a merge with conflicts is no error");
    ok(!result.applied, "with policy fail it is not applied");
    is_str(told,
        "both_changed:t:1,parent_deleted_branch_changed:t:2,parent_changed_branch_deleted:t:5,"
        "both_inserted:t:6,",
        "conflicts are told row by row");
    is_str(value("SELECT group_concat(v) FROM t"), "p1,c,d,p5,p6", "nothing was changed");
    ok(merge(MERGE_OURS, true) == 0 && result.applied && result.inserted == 1 &&
            result.deleted == 1 && result.updated == 0,
        "a dry run counts");
    is_str(value("SELECT group_concat(v) FROM t"), "p1,c,d,p5,p6", "and changes nothing");
    ok(merge(MERGE_OURS, false) == 0 && result.applied, "ours");
    is_str(value("SELECT group_concat(v) FROM t"), "p1,c,p5,p6,b7", "no trigger fired");
    ok(merge(MERGE_THEIRS, false) == 0 && result.applied, "theirs, afterwards");
    is_str(value("SELECT group_concat(v) FROM t"), "b1,b2,c,b6,b7", "rows are the branch's");
    is_str(value("PRAGMA foreign_keys"), "1", "foreign keys are on again");
    diffed_run(parent, "INSERT INTO t VALUES (9, 'x')");
    is_str(value("SELECT count(*) FROM t"), "0", "so are triggers");
    end();
}

static void test_unique(void)
{
    begin("CREATE TABLE t(id INTEGER PRIMARY KEY, mail UNIQUE, v);"
          "INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 0), (3, 'c', 0)");
    diffed_run(branch, "UPDATE t SET mail = 'x' WHERE id = 1; UPDATE t SET mail = 'a' WHERE id = 2;"
                       "UPDATE t SET mail = 'b' WHERE id = 1");
    ok(merge(MERGE_FAIL, false) == 0 && result.applied && result.updated == 2,
        "values that must be unique may change places");
    is_str(value("SELECT group_concat(id || mail) FROM (SELECT * FROM t ORDER BY id)"), "1b,2a,3c",
        "they did");
    end();
    begin("CREATE TABLE t(id INTEGER PRIMARY KEY, mail UNIQUE, v);"
          "INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 0), (3, 'c', 0)");
    diffed_run(parent, "INSERT INTO t VALUES (10, 'new', 1)");
    diffed_run(branch, "INSERT INTO t VALUES (20, 'new', 2); UPDATE t SET v = 7 WHERE id = 1");
    ok(merge(MERGE_FAIL, false) == 0 && !result.applied, "a value that must be unique is in both");
    is_str(told, "unique:t:20,", "and told");
    ok(merge(MERGE_OURS, false) == 0 && result.applied, "ours");
    is_str(value("SELECT group_concat(id) || sum(v) FROM t"), "1,2,3,108", "the parent's stays");
    ok(merge(MERGE_THEIRS, false) == 0 && result.applied, "theirs");
    is_str(value("SELECT group_concat(id) || sum(v) FROM t"), "1,2,3,209", "the branch's wins");
    end();
}

static void test_foreign_keys(void)
{
    begin("CREATE TABLE p(id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1), (2), (3);"
          "CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE);"
          "PRAGMA foreign_keys = OFF; INSERT INTO c VALUES (1, 1), (9, 99)");
    diffed_run(parent, "INSERT INTO c VALUES (2, 2)");
    diffed_run(branch, "DELETE FROM p WHERE id = 2");
    ok(merge(MERGE_THEIRS, false) == 0 && !result.applied, "a row that would refer to none");
    is_str(told, "foreign_key:c:2,", "is told, and not what was broken before");
    is_str(value("SELECT count(*) FROM c"), "3", "nothing cascaded");
    diffed_run(parent, "DELETE FROM c WHERE id = 2");
    ok(merge(MERGE_FAIL, false) == 0 && result.applied && result.deleted == 1,
        "without it the merge is fine");
    end();
}

static void test_rowids(void)
{
    begin("CREATE TABLE log(line); INSERT INTO log VALUES ('old');"
          "CREATE TABLE k(name TEXT PRIMARY KEY, v); INSERT INTO k VALUES ('a', 1)");
    diffed_run(parent, "INSERT INTO log VALUES ('p'); INSERT INTO k VALUES ('p', 2)");
    diffed_run(branch, "INSERT INTO log VALUES ('b'); INSERT INTO k VALUES ('b', 2)");
    ok(merge(MERGE_FAIL, false) == 0 && result.applied && result.conflicts == 0,
        "rowids that nobody chose are no conflict");
    is_str(value("SELECT group_concat(line) FROM log"), "old,p,b", "both rows stay");
    is_str(value("SELECT group_concat(name) FROM (SELECT name FROM k ORDER BY name)"), "a,b,p",
        "in tables with a key too");
    end();
}

static void test_schema(void)
{
    begin(
        "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v); CREATE INDEX i ON t(v);"
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'); CREATE TABLE gone(x); CREATE VIEW w AS SELECT 1;"
        "CREATE TABLE refers(t REFERENCES t(id)); INSERT INTO refers VALUES (1)");
    diffed_run(parent, "INSERT INTO t VALUES (30, 'p'); UPDATE t SET v = 'p2' WHERE id = 2;"
                       "CREATE INDEX mine ON t(id, v)");
    diffed_run(branch, "ALTER TABLE t ADD COLUMN extra TEXT DEFAULT 'd'; UPDATE t SET extra = 'e' "
                       "WHERE id = 1; CREATE TABLE new(a PRIMARY KEY, b) WITHOUT ROWID;"
                       "INSERT INTO new VALUES (1, 2); DROP TABLE gone; CREATE INDEX j ON t(extra);"
                       "DROP INDEX i; DROP VIEW w; CREATE VIEW w AS SELECT 2;"
                       "CREATE TRIGGER tr AFTER INSERT ON new BEGIN SELECT 1; END");
    ok(merge(MERGE_FAIL, false) == 0 && result.applied, "schemas that changed in different places");
    is_str(err.msg, "", "without an error");
    is_str(value("SELECT group_concat(id || v || extra) FROM (SELECT * FROM t ORDER BY id)"),
        "1ae,2p2d,30pd", "rows of both are there, with the new column");
    is_str(value("SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema WHERE name NOT "
                 "LIKE 'sqlite_%' ORDER BY name)"),
        "j,mine,new,refers,t,tr,w", "objects of both are there");
    is_str(value("SELECT b FROM new"), "2", "a new table came with its rows");
    is_str(value("SELECT seq FROM sqlite_sequence WHERE name = 't'"), "30", "numbers go on");
    is_str(value("PRAGMA integrity_check"), "ok", "the parent is whole");
    is_str(value("SELECT sql FROM sqlite_schema WHERE name = 'refers'"),
        "CREATE TABLE refers(t REFERENCES t(id))", "what refers to a rebuilt table still does");
    end();
}

static void test_refusals(void)
{
    static const struct {
        const char *parent, *branch, *why;
    } cases[] = {
        {"ALTER TABLE t ADD COLUMN p", "ALTER TABLE t ADD COLUMN b", "both the parent"},
        {"UPDATE t SET v = 3", "DROP TABLE t", "the branch dropped the table 't'"},
        {"UPDATE t SET v = 3", "ALTER TABLE t DROP COLUMN v", "the branch took columns"},
        {"SELECT 1", "INSERT INTO f VALUES ('x')", "the branch changed 'f', which is a virtual"},
        {"SELECT 1", "CREATE VIRTUAL TABLE g USING fts5(x)", "'g' is a virtual table"},
        {"ALTER TABLE t DROP COLUMN v", "UPDATE t SET v = 3", "the branch changed rows of 't'"},
        {"DROP TABLE t", "UPDATE t SET v = 3", "the parent dropped the table 't'"},
        {"CREATE TABLE i(x)", "CREATE INDEX i ON t(v)", "the schema cannot be merged"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char before[40];

        begin("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1);"
              "CREATE VIRTUAL TABLE f USING fts5(body)");
        diffed_run(parent, cases[i].parent);
        diffed_run(branch, cases[i].branch);
        (void)snprintf(before, sizeof(before), "%s", value("PRAGMA schema_version"));
        ok(merge(MERGE_FAIL, false) == -1 && err.code == ERR_CONFLICT &&
                strncmp(err.msg, cases[i].why, strlen(cases[i].why)) == 0,
            "refused: %s", err.msg);
        is_str(value("PRAGMA schema_version"), before, "nothing was changed");
        end();
    }
}

int main(void)
{
    const char *given = getenv("ROOKERY_SEED");
    uint64_t seed = given == NULL ? clock_now_ns() | 1 : strtoull(given, NULL, 10);

    test_rows();
    test_unique();
    test_foreign_keys();
    test_rowids();
    test_schema();
    test_refusals();
    (void)printf("# ROOKERY_SEED=%" PRIu64 "\n", seed);
    for (uint64_t i = 0; i < (given == NULL ? HISTORIES : 1); i++)
        test_history(seed + 2 * i);
    return done_testing();
}
