/* Principals: copying and counting, table and database scope, role names. */
#include "tenants/principal.h"
#include "tests/lib/tap.h"

static int rates_released;

static void release_rate(struct rate_bucket *rate)
{
    (void)rate;
    rates_released++;
}

static void test_life(void)
{
    char slug[] = "acme";
    char table[] = "orders";
    struct str tables[] = {str_from(table)};
    int rate;
    struct principal from = {
        .tenant_slug = str_from(slug),
        .token_name = STR_LITERAL("ci"),
        .tables = tables,
        .table_count = 1,
        .capabilities = ROLE_READONLY_CAPS,
        .rate = (struct rate_bucket *)(void *)&rate,
        .release_rate = release_rate,
    };
    struct principal *one = principal_new(&from);
    struct principal *two;

    from.rate = NULL;
    two = principal_new(&from);
    slug[0] = 'X';
    table[0] = 'X';
    ok(str_is(one->tenant_slug, "acme"), "texts are copied");
    ok(str_is(one->tables[0], "orders"), "lists are copied");
    ok(one->database_globs == NULL && one->database_glob_count == 0, "no list stays no list");
    ok(one->serial != two->serial, "two principals never share a serial");
    ok(principal_ref(one) == one, "a reference is taken");
    principal_unref(one);
    is_int(rates_released, 0, "the rate stays while a reference is left");
    principal_unref(one);
    is_int(rates_released, 1, "the last reference gives the rate back");
    principal_unref(two);
    principal_unref(NULL);
    is_int(rates_released, 1, "no rate, nothing to give back");
}

static void test_scope(void)
{
    struct str tables[] = {STR_LITERAL("Orders"), STR_LITERAL("items")};
    struct principal scoped = {.tables = tables, .table_count = 2};
    struct principal free_one = {.capabilities = ROLE_READWRITE_CAPS};

    ok(principal_has_table(&scoped, STR_LITERAL("orders")), "tables compare without case");
    ok(principal_has_table(&scoped, STR_LITERAL("ITEMS")), "every listed table is in scope");
    ok(!principal_has_table(&scoped, STR_LITERAL("customers")), "others are not");
    ok(!principal_has_table(&scoped, STR_LITERAL("order")), "a prefix is not the table");
    ok(principal_has_table(&free_one, STR_LITERAL("customers")), "no scope means every table");
    ok(principal_has(&free_one, CAP_READ | CAP_WRITE) && !principal_has(&free_one, CAP_DDL),
        "readwrite has no ddl");
}

static void test_databases(void)
{
    static const struct {
        const char *database_glob, *branch_glob, *database;
        bool has;
    } cases[] = {
        {NULL, NULL, "main", true},
        {NULL, NULL, "main@pr-42", true},
        {"orders", NULL, "orders", true},
        {"orders", NULL, "orders2", false},
        {"orders", NULL, "orders@pr-1", true},
        {"o*", NULL, "orders", true},
        {"o*", NULL, "items", false},
        {NULL, "pr-*", "orders@pr-1", true},
        {NULL, "pr-*", "orders@feature/x", false},
        {NULL, "pr-*", "orders", false},
        {NULL, "main", "orders", true},
        {"orders", "pr-*", "items@pr-1", false},
        {"orders", "*/*", "orders@a/b", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str database_glob = str_from(cases[i].database_glob);
        struct str branch_glob = str_from(cases[i].branch_glob);
        struct principal principal = {
            .database_globs = &database_glob,
            .database_glob_count = cases[i].database_glob != NULL,
            .branch_globs = &branch_glob,
            .branch_glob_count = cases[i].branch_glob != NULL,
        };

        ok(principal_has_database(&principal, str_from(cases[i].database)) == cases[i].has,
            "databases '%s' branches '%s' %s '%s'",
            cases[i].database_glob == NULL ? "(all)" : cases[i].database_glob,
            cases[i].branch_glob == NULL ? "(all)" : cases[i].branch_glob,
            cases[i].has ? "has" : "has not", cases[i].database);
    }
}

static void test_roles(void)
{
    static const struct {
        const char *name, *canonical;
        uint32_t capabilities;
    } cases[] = {
        {"operator", "operator", ROLE_OPERATOR_CAPS},
        {"owner", "owner", ROLE_OWNER_CAPS},
        {"admin", "owner", ROLE_OWNER_CAPS},
        {"Admin", "owner", ROLE_OWNER_CAPS},
        {"write", "readwrite", ROLE_READWRITE_CAPS},
        {"read-write", "readwrite", ROLE_READWRITE_CAPS},
        {"readwrite", "readwrite", ROLE_READWRITE_CAPS},
        {"read", "readonly", ROLE_READONLY_CAPS},
        {"readonly", "readonly", ROLE_READONLY_CAPS},
        {"READ-ONLY", "readonly", ROLE_READONLY_CAPS},
    };
    static const char *const unknown[] = {"", "root", "own", "owner ", "readonly2"};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t capabilities = 0;
        const char *canonical = NULL;

        ok(role_parse(str_from(cases[i].name), &capabilities, &canonical) == 0 &&
                capabilities == cases[i].capabilities && strcmp(canonical, cases[i].canonical) == 0,
            "role '%s' is %s", cases[i].name, cases[i].canonical);
    }
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        ok(role_parse(str_from(unknown[i]), NULL, NULL) < 0, "role '%s' is unknown", unknown[i]);
    ok(role_parse(STR_LITERAL("read"), NULL, NULL) == 0, "outputs may be left out");
}

int main(void)
{
    test_life();
    test_scope();
    test_databases();
    test_roles();
    return done_testing();
}
