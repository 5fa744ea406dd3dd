/* Bodies as trees, in both formats: typed members, their names, and what is refused. */
#include "proto/document.h"
#include "tests/lib/tap.h"

static void test_names(void)
{
    ok(key_is(STR_LITERAL("expiresAt"), "expiresAt"), "camelCase is itself");
    ok(key_is(STR_LITERAL("expires_at"), "expiresAt"), "snake_case is the same");
    ok(!key_is(STR_LITERAL("expiresat"), "expiresAt"), "lower case is not");
    ok(!key_is(STR_LITERAL("expires_At"), "expiresAt"), "a mixture is not");
    ok(!key_is(STR_LITERAL("expiresAtX"), "expiresAt") &&
            !key_is(STR_LITERAL("expires"), "expiresAt") &&
            !key_is(STR_LITERAL("expires_"), "expiresAt") && !key_is(STR_LITERAL(""), "a"),
        "neither is a longer or a shorter one");
}

static const struct node *parse(const char *text, struct arena *arena, struct err *err)
{
    const struct node *root = NULL;

    *err = ERR_INIT;
    return document_read_object(BODY_JSON, str_from(text), 16, true, arena, &root, err) < 0 ? NULL
                                                                                            : root;
}

static void test_members(void)
{
    struct arena arena;
    struct err err;
    const struct node *root;
    struct str text = {.ptr = NULL};
    uint64_t number = 7;
    int64_t when = -1;
    bool flag = false;
    bool given = false;
    const struct str *texts = NULL;
    size_t count = 0;

    arena_init(&arena, 0);
    root = parse("{\"name\":\"x\",\"max_databases\":5,\"big\":\"12\",\"on\":true,\"list\":[\"a\","
                 "\"b\"],\"one\":\"c\",\"expiresAt\":\"1970-01-01T00:00:01.000Z\",\"gone\":null,"
                 "\"name\":\"y\",\"whole\":3.0}",
        &arena, &err);
    ok(root != NULL, "a body is read %s", err.msg);
    ok(node_string(root, "name", &text, &err) == 0 && str_is(text, "y"),
        "the last of two members counts");
    ok(node_u64(root, "maxDatabases", &number, &err) == 0 && number == 5,
        "snake_case names are found");
    ok(node_u64(root, "big", &number, &err) == 0 && number == 12,
        "digits in a string are a number");
    ok(node_u64(root, "whole", &number, &err) == 0 && number == 3, "so is 3.0");
    ok(node_bool(root, "on", &flag, &err) == 0 && flag, "booleans are read");
    ok(node_strings(root, "list", &arena, &texts, &count, &err) == 0 && count == 2 &&
            str_is(texts[1], "b"),
        "lists of strings are read");
    ok(node_strings(root, "one", &arena, &texts, &count, &err) == 0 && count == 1 &&
            str_is(texts[0], "c"),
        "one string is a list of one");
    ok(node_time(root, "expiresAt", &given, &when, &err) == 0 && given && when == 1000,
        "times are read");
    given = false;
    ok(node_time(root, "gone", &given, &when, &err) == 0 && given && when == 0,
        "null is a time: never");
    ok(node_get(root, "gone") == NULL && node_find(root, "gone") != NULL,
        "null is absent for the rest");
    ok(node_u64(root, "absent", &number, &err) == 0 && number == 3, "absent leaves what was there");
    ok(node_u64(root, "name", &number, &err) < 0 && err.code == ERR_BAD_REQUEST &&
            strstr(err.msg, "'name'") != NULL,
        "a wrong type is told by name: %s", err.msg);
    ok(node_string(root, "on", &text, &err) < 0 && node_bool(root, "name", &flag, &err) < 0 &&
            node_strings(root, "on", &arena, &texts, &count, &err) < 0 &&
            node_time(root, "name", &given, &when, &err) < 0,
        "in every getter");
    arena_fini(&arena);
}

static void test_bodies(void)
{
    static const struct {
        const char *text;
        enum err_code code;
    } cases[] = {
        {"", ERR_NONE},
        {"{}", ERR_NONE},
        {"[]", ERR_BAD_REQUEST},
        {"1", ERR_BAD_REQUEST},
        {"\"a\"", ERR_BAD_REQUEST},
        {"{", ERR_INVALID_JSON},
        {"{}}", ERR_INVALID_JSON},
        {"{\"a\":[1,{\"b\":}]}", ERR_INVALID_JSON},
        {"x", ERR_INVALID_JSON},
        {"{\"a\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}", ERR_INVALID_JSON},
    };
    struct arena arena;
    struct err err;

    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct node *root = parse(cases[i].text, &arena, &err);

        ok((root != NULL) == (cases[i].code == ERR_NONE) && err.code == cases[i].code,
            "body %zu: %s", i, err_code_name(err.code));
    }
    arena_fini(&arena);
    arena_init(&arena, 1000);
    ok(parse("{\"a\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27]}",
           &arena, &err) == NULL &&
            err.code == ERR_TOO_LARGE,
        "a tree over the arena's limit is too_large");
    arena_fini(&arena);
}

int main(void)
{
    test_names();
    test_members();
    test_bodies();
    return done_testing();
}
