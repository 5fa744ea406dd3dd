/* SQL values in and out: every type in both formats and back, parameters, and what is refused. */
#include <math.h>

#include "proto/values.h"
#include "tests/lib/tap.h"

static const struct value *samples(size_t *ret_count)
{
    static const struct value values[] = {
        {.type = VALUE_NULL},
        {.type = VALUE_INTEGER, .integer = 0},
        {.type = VALUE_INTEGER, .integer = INT64_MAX},
        {.type = VALUE_INTEGER, .integer = INT64_MIN},
        {.type = VALUE_INTEGER, .integer = 9007199254740993},
        {.type = VALUE_REAL, .real = 3.0},
        {.type = VALUE_REAL, .real = -0.1},
        {.type = VALUE_REAL, .real = INFINITY},
        {.type = VALUE_REAL, .real = -INFINITY},
        {.type = VALUE_REAL, .real = 5e-324},
        {.type = VALUE_TEXT, .bytes = {"", 0}},
        {.type = VALUE_TEXT, .bytes = {"h\xc3\xa9 \"q\" \\ \n", 11}},
        {.type = VALUE_TEXT, .bytes = {"nul\0in it", 9}},
        {.type = VALUE_TEXT, .bytes = {"bad \xff text", 10}},
        {.type = VALUE_BLOB, .bytes = {"", 0}},
        {.type = VALUE_BLOB, .bytes = {"\x00\x01\xfe\xff", 4}},
        {.type = VALUE_BLOB, .bytes = {"abcde", 5}},
    };

    *ret_count = ARRAY_LEN(values);
    return values;
}

static bool same(const struct value *a, const struct value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case VALUE_NULL:
        return true;
    case VALUE_INTEGER:
        return a->integer == b->integer;
    case VALUE_REAL:
        return memcmp(&a->real, &b->real, sizeof(a->real)) == 0;
    case VALUE_TEXT:
    case VALUE_BLOB:
    default:
        return str_equal(a->bytes, b->bytes);
    }
}

static void test_round_trips(void)
{
    size_t count;
    const struct value *values = samples(&count);
    struct arena arena;
    struct buf out;

    arena_init(&arena, 0);
    buf_init(&out, 0);
    for (int format = BODY_JSON; format <= BODY_MSGPACK; format++) {
        unsigned wrong = 0;

        for (size_t i = 0; i < count; i++) {
            struct document d;
            struct value back = {.type = VALUE_NULL};
            struct err err = ERR_INIT;

            buf_reset(&out, 4096);
            if (format == BODY_JSON)
                values_write_json(&out, &values[i], false);
            else
                values_write_msgpack(&out, &values[i]);
            if (document_init(&d, (enum body_format)format, buf_view(&out), 8, &arena, &err) < 0 ||
                (document_next(&d), values_read(&d, &back, &err)) < 0 ||
                document_end(&d, &err) < 0 || !same(&back, &values[i])) {
                wrong++;
                (void)printf("# value %zu: %s\n", i, err.msg);
            }
        }
        is_int(wrong, 0,
            format == BODY_JSON ? "every value comes back through JSON"
                                : "every value comes back through MessagePack");
    }
    buf_fini(&out);
    arena_fini(&arena);
}

static void test_texts(void)
{
    static const struct {
        struct value value;
        const char *text;
        bool strings;
    } cases[] = {
        {{.type = VALUE_INTEGER, .integer = INT64_MAX}, "9223372036854775807", false},
        {{.type = VALUE_INTEGER, .integer = -5}, "\"-5\"", true},
        {{.type = VALUE_REAL, .real = 1}, "1.0", true},
        {{.type = VALUE_REAL, .real = INFINITY}, "1e999", false},
        {{.type = VALUE_REAL, .real = NAN}, "null", false},
        {{.type = VALUE_BLOB, .bytes = {"\x01\x02", 2}}, "{\"$blob\":\"AQI=\"}", false},
        {{.type = VALUE_TEXT, .bytes = {"\xff", 1}}, "{\"$text\":\"/w==\"}", false},
    };
    struct buf out;

    buf_init(&out, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_reset(&out, 4096);
        values_write_json(&out, &cases[i].value, cases[i].strings);
        buf_char(&out, '\0');
        is_str(out.bytes, cases[i].text, cases[i].text);
    }
    buf_fini(&out);
}

static int read_parameters(struct str text, struct arena *arena,
    const struct parameter **parameters, unsigned *count, struct err *err)
{
    struct document d;

    *parameters = NULL;
    *count = 0;
    *err = ERR_INIT;
    if (document_init(&d, BODY_JSON, text, 8, arena, err) < 0)
        return -1;
    (void)document_next(&d);
    if (values_read_parameters(&d, parameters, count, err) < 0)
        return -1;
    return document_end(&d, err);
}

static void test_parameters(void)
{
    static const struct {
        const char *text;
        const char *error; /* NULL: accepted */
        unsigned count;
    } cases[] = {
        {"[]", NULL, 0},
        {"null", NULL, 0},
        {"{}", NULL, 0},
        {"[1,\"a\",null,true,false,2.5,{\"$blob\":\"AA==\"},{\"$text\":\"/w\"}]", NULL, 8},
        {"[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", NULL, 17},
        {"{\"a\":1,\":b\":2,\"$c\":null}", NULL, 3},
        {"\"x\"", "must be an array", 0},
        {"1", "must be an array", 0},
        {"[[1]]", "params[0]", 0},
        {"[0,{\"x\":1}]", "params[1]", 0},
        {"[{\"$blob\":1}]", "base64", 0},
        {"[{\"$blob\":\"?\"}]", "not base64", 0},
        {"[{\"$blob\":\"AA==\",\"x\":1}]", "no other members", 0},
        {"[{}]", "params[0]", 0},
        {"{\"a\":[1]}", "params.a", 0},
        {"{\"\":1}", "empty name", 0},
        {"[1", "not JSON", 0},
        {"[1,]", "not JSON", 0},
        {"{\"a\":1", "not JSON", 0},
        {"{\"a\"", "not JSON", 0},
        {"[{\"$blob\":", "not JSON", 0},
    };
    struct arena arena;
    const struct parameter *parameters;
    unsigned count;
    struct err err;

    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int rc = read_parameters(str_from(cases[i].text), &arena, &parameters, &count, &err);

        if (cases[i].error == NULL)
            ok(rc == 0 && count == cases[i].count, "case %zu is read: %s", i, err.msg);
        else
            ok(rc < 0 && strstr(err.msg, cases[i].error) != NULL, "case %zu is refused: %s", i,
                err.msg);
    }
    ok(read_parameters(STR_LITERAL("[true,{\"$text\":\"/w\"},1e999]"), &arena, &parameters, &count,
           &err) == 0 &&
            parameters[0].value.type == VALUE_INTEGER && parameters[0].value.integer == 1 &&
            parameters[1].value.type == VALUE_TEXT && parameters[1].value.bytes.len == 1 &&
            isinf(parameters[2].value.real),
        "booleans are 1 and 0, $text is text, 1e999 is infinity");
    ok(read_parameters(STR_LITERAL("{\"a\":1,\":b\":2}"), &arena, &parameters, &count, &err) == 0 &&
            str_is(parameters[0].name, "a") && str_is(parameters[1].name, ":b"),
        "names are kept as written");
    arena_fini(&arena);
}

int main(void)
{
    test_round_trips();
    test_texts();
    test_parameters();
    return done_testing();
}
