/* Slugs, refs, and the ways a database segment may be read. */
#include "tenants/slug.h"
#include "tests/lib/tap.h"

static void test_tenants(void)
{
    static const struct {
        const char *text;
        const char *slug; /* NULL: refused */
        enum err_code code;
    } cases[] = {
        {"acme", "acme", ERR_NONE},
        {"ACME-1", "acme-1", ERR_NONE},
        {"a", "a", ERR_NONE},
        {"a_b", "a_b", ERR_NONE},
        {"0", "0", ERR_NONE},
        {"a-_b", "a-_b", ERR_NONE},
        {"abcdefghijklmnopqrstuvwxyz0123", "abcdefghijklmnopqrstuvwxyz0123", ERR_NONE},
        {"abcdefghijklmnopqrstuvwxyz01234", NULL, ERR_BAD_REQUEST},
        {"", NULL, ERR_BAD_REQUEST},
        {"-a", NULL, ERR_BAD_REQUEST},
        {"a-", NULL, ERR_BAD_REQUEST},
        {"_a", NULL, ERR_BAD_REQUEST},
        {"a--b", NULL, ERR_BAD_REQUEST},
        {"a.b", NULL, ERR_BAD_REQUEST},
        {"a/b", NULL, ERR_BAD_REQUEST},
        {"..", NULL, ERR_BAD_REQUEST},
        {"gr\xc3\xbc\xc3\x9f", NULL, ERR_BAD_REQUEST},
        {"a b", NULL, ERR_BAD_REQUEST},
        {"v1", NULL, ERR_CONFLICT},
        {"Admin", NULL, ERR_CONFLICT},
        {"v3-protobuf", NULL, ERR_CONFLICT},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char slug[SLUG_TENANT_MAX + 1] = "untouched";
        struct err err = ERR_INIT;
        size_t len = 0;
        int rc = slug_tenant(str_from(cases[i].text), slug, &len, &err);

        if (cases[i].slug == NULL)
            ok(rc < 0 && err.code == cases[i].code && strcmp(slug, "untouched") == 0,
                "tenant '%s' is refused: %s", cases[i].text, err.msg);
        else
            ok(rc == 0 && strcmp(slug, cases[i].slug) == 0 && len == strlen(slug),
                "tenant '%s' is '%s'", cases[i].text, slug);
    }
}

static void test_databases(void)
{
    char slug[SLUG_DATABASE_MAX + 1];
    struct err err = ERR_INIT;
    size_t len;

    ok(slug_database(STR_LITERAL("Admin"), slug, &len, &err) == 0 && strcmp(slug, "admin") == 0,
        "a database may have a tenant's reserved name");
    ok(slug_database(STR_LITERAL("abcdefghijklmnopqrstuvwxyz01234"), slug, &len, &err) == 0,
        "31 characters are a database's");
    ok(slug_database(STR_LITERAL("abcdefghijklmnopqrstuvwxyz012345"), slug, &len, &err) < 0,
        "32 are too many");
    ok(slug_database(str_make("a\0b", 3), slug, &len, &err) < 0, "a NUL is refused");
}

static void test_readings(void)
{
    static const struct {
        const char *segment;
        const char *readings; /* "database|ref database|ref ..." */
    } cases[] = {
        {"main", "main|"},
        {"main@pr-42", "main@pr-42| main|pr-42 main@pr|42"},
        {"main.pr", "main.pr| main|pr"},
        {"a-b-c", "a-b-c| a|b-c a-b|c"},
        {"-a", "-a|"},
        {"a-", "a-|"},
        {"a@@b", "a@@b| a@|b"},
        {"main@feature/x", "main@feature/x| main|feature/x"},
        {"", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slug_reading reading = {.step = 0};
        char seen[256] = "";
        size_t used = 0;

        while (slug_next_reading(str_from(cases[i].segment), &reading))
            used += (size_t)snprintf(seen + used, sizeof(seen) - used, "%s%.*s|%.*s",
                used == 0 ? "" : " ", STR_ARGS(reading.database), STR_ARGS(reading.ref));
        is_str(seen, cases[i].readings, cases[i].segment);
    }
}

static void test_refs(void)
{
    char long_ref[SLUG_REF_MAX + 1];

    memset(long_ref, 'r', sizeof(long_ref));
    ok(slug_is_ref(STR_LITERAL("feature/X_1.2-a")), "a ref may have / . _ -");
    ok(slug_is_ref(str_make(long_ref, SLUG_REF_MAX)), "64 characters are a ref");
    ok(!slug_is_ref(str_make(long_ref, SLUG_REF_MAX + 1)), "65 are not");
    ok(!slug_is_ref(STR_LITERAL("")), "the empty text is not");
    ok(!slug_is_ref(STR_LITERAL("/a")), "it starts with a letter or digit");
    ok(!slug_is_ref(STR_LITERAL("a b")), "it has no blank");
}

static void is_namespace(const char *text, const char *tenant, const char *database)
{
    struct slug_namespace got;
    int rc = slug_namespace(str_from(text), &got, NULL);

    if (tenant == NULL)
        ok(rc < 0, "'%s' is no namespace", text);
    else
        ok(rc == 0 && str_is(str_make(got.tenant_text, got.tenant_len), tenant) &&
                str_is(str_make(got.database_text, got.database_len), database),
            "'%s' is %s/%s", text, tenant, database);
}

static void test_namespaces(void)
{
    is_namespace("acme", "acme", "default");
    is_namespace("ACME", "acme", "default");
    is_namespace("default", "default", "default");
    is_namespace("logs--acme", "acme", "logs");
    is_namespace("a-b--c-d", "c-d", "a-b");
    for (size_t i = 0; i < 9; i++)
        is_namespace((const char *[]){"", "--", "a--", "--a", "a--b--c", "a---b", "*", "x--*",
                         "x--admin"}[i],
            NULL, NULL);
    is_namespace("a123456789a123456789a123456789", "a123456789a123456789a123456789", "default");
    is_namespace("a123456789a123456789a123456789x", NULL, NULL);
}

int main(void)
{
    test_namespaces();
    test_tenants();
    test_databases();
    test_readings();
    test_refs();
    return done_testing();
}
