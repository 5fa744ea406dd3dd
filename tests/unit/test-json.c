/* The JSON reader against what RFC 8259 allows and forbids, and against jansson; the writer, and
 * doubles both ways. */
#include <jansson.h>
#include <math.h>

#include "proto/document.h"
#include "tenants/base/random.h"
#include "tests/lib/tap.h"

/* Names as in JSONTestSuite: y accepted, n refused, by every conforming reader. */
static const struct {
    char want;
    const char *text;
} cases[] = {
    {'y', "[]"},
    {'y', "{}"},
    {'y', " [ ] "},
    {'y', "\t\r\n{ }"},
    {'y', "null"},
    {'y', "true"},
    {'y', "false"},
    {'y', "0"},
    {'y', "-0"},
    {'y', "-1"},
    {'y', "1e5"},
    {'y', "1E+5"},
    {'y', "1e-5"},
    {'y', "0e+1"},
    {'y', "0.0"},
    {'y', "-0.5"},
    {'y', "1.5e3"},
    {'y', "123456789"},
    {'y', "[1,2]"},
    {'y', "[1 , 2]"},
    {'y', "[[[]]]"},
    {'y', "[{}]"},
    {'y', "{\"a\":1}"},
    {'y', "{\"a\":1,\"a\":2}"},
    {'y', "{\"\":0}"},
    {'y', "{\"a\":{\"b\":[1,{}]}}"},
    {'y', "\"\""},
    {'y', "\"a\""},
    {'y', "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""},
    {'y', "\"\\u0041\""},
    {'y', "\"\\uD83D\\uDE00\""},
    {'y', "\"\\u00e9\""},
    {'y', "\"\xc3\xa9\""},
    {'y', "\"\xf0\x9f\x98\x80\""},
    {'y', "\"\x7f\""},
    {'y', "\"\\u0000\""},
    {'y', "[true,false,null]"},
    {'y', "9223372036854775807"},
    {'y', "-9223372036854775808"},
    {'y', "[\"\xef\xbf\xbf\"]"},
    {'y', "\"\xe2\x80\xa8\""},
    {'y', "1e999"},
    {'y', "-1e999"},
    {'y', "1e-999"},
    {'y', "{\"a\":[]}"},
    {'y', "[\"asd \"]"},
    {'y', "123.456e78"},
    {'y', "0.1e00000000000000000000000000000000000000000000001"},
    {'n', ""},
    {'n', " "},
    {'n', "["},
    {'n', "]"},
    {'n', "{"},
    {'n', "}"},
    {'n', "[1,]"},
    {'n', "[,1]"},
    {'n', "[1,,2]"},
    {'n', "[1 2]"},
    {'n', "[1}"},
    {'n', "{]"},
    {'n', "{\"a\"}"},
    {'n', "{\"a\":}"},
    {'n', "{\"a\":1,}"},
    {'n', "{,}"},
    {'n', "{a:1}"},
    {'n', "{'a':1}"},
    {'n', "{1:1}"},
    {'n', "{\"a\" 1}"},
    {'n', "{\"a\":1 \"b\":2}"},
    {'n', "{\"a\",\"b\"}"},
    {'n', "[]]"},
    {'n', "{}}"},
    {'n', "1 2"},
    {'n', "nul"},
    {'n', "nulll"},
    {'n', "True"},
    {'n', "tru"},
    {'n', "NaN"},
    {'n', "Infinity"},
    {'n', "-Infinity"},
    {'n', "+1"},
    {'n', "01"},
    {'n', "-01"},
    {'n', "00"},
    {'n', "-"},
    {'n', "--1"},
    {'n', "1."},
    {'n', ".5"},
    {'n', "-.5"},
    {'n', "1.e5"},
    {'n', "1e"},
    {'n', "1e+"},
    {'n', "1e+-2"},
    {'n', "1.5.5"},
    {'n', "0x10"},
    {'n', "1_000"},
    {'n', "1e1.5"},
    {'n', "\"a"},
    {'n', "\"a\\\""},
    {'n', "\"\\"},
    {'n', "\"\\x\""},
    {'n', "\"\\u12\""},
    {'n', "\"\\u12G4\""},
    {'n', "\"\\U0041\""},
    {'n', "\"\\uD800\""},
    {'n', "\"\\uD800\\u0041\""},
    {'n', "\"\\uDC00\""},
    {'n', "\"\\uDC00\\uD800\""},
    {'n', "\"\\uD800\\\""},
    {'n', "\"\n\""},
    {'n', "\"\t\""},
    {'n', "\"\x1f\""},
    {'n', "\"\xff\""},
    {'n', "\"\xc0\xaf\""},
    {'n', "\"\xed\xa0\x80\""},
    {'n', "\"\xf4\x90\x80\x80\""},
    {'n', "\"\xc3\""},
    {'n', "\"\xe2\x82\""},
    {'n', "'a'"},
    {'n', "[\"a\",\n4\n,1,"},
    {'n', "\xef\xbb\xbf[]"},
    {'n', "[1]x"},
    {'n', "/**/1"},
    {'n', "1//"},
    {'n', "[\"\\u0022]"},
    {'n', "{\"a\":\"b\"}#"},
    {'n', "\v1"},
    {'n', "\f1"},
    {'n', "[\xa0]"},
    {'n', "{\"a\":1,\"b\"}"},
    {'n', "[1:2]"},
    {'n', "{\"a\"::1}"},
    {'n', "\"a\"\"b\""},
    {'n', "\"\\u\""},
    {'n', "\"\\uD83D\\u\""},
    {'n', "\"a\\"},
    {'n', "\"\xc3\xa9\\q\""},
};

static bool reads(struct str text, struct arena *arena, struct err *err)
{
    struct document d;

    if (document_init(&d, BODY_JSON, text, 64, arena, err) < 0)
        return false;
    (void)document_next(&d);
    return document_skip(&d, err) == 0 && document_end(&d, err) == 0;
}

/* A copy of exactly that size, so that ASan sees a read beyond the end. */
static struct str exact(struct arena *arena, struct str text)
{
    char *copy = malloc(text.len == 0 ? 1 : text.len);

    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    (void)arena_on_end(arena, free, copy);
    return str_make(copy, text.len);
}

/* For test names: '#', backslashes and what is not printable become '.'. */
static const char *printable(const char *text)
{
    static char out[128];
    size_t at = 0;

    for (; text[at] != '\0' && at < sizeof(out) - 1; at++)
        out[at] = text[at] > ' ' && text[at] < 0x7f && text[at] != '#' && text[at] != '\\'
                      ? text[at]
                      : '.';
    out[at] = '\0';
    return out;
}

static void test_table(void)
{
    struct arena arena;
    size_t truncated = 0;

    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str text = exact(&arena, str_from(cases[i].text));
        struct err err = ERR_INIT;
        bool accepted = reads(text, &arena, &err);

        ok(accepted == (cases[i].want == 'y'), "%c%zu: %s", cases[i].want, i,
            printable(cases[i].text));
        if (!accepted && err.code != ERR_INVALID_JSON)
            ok(false, "refused as invalid_json: %s", err.msg);
        for (size_t len = 0; len < text.len; len++, truncated++) {
            struct str cut = exact(&arena, str_make(text.ptr, len));
            bool whole = reads(cut, &arena, &err);
            json_t *other = json_loadb(
                cut.ptr, cut.len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);

            if (whole != (other != NULL) && !strstr(cases[i].text, "e999"))
                ok(false, "'%.*s' is %s as jansson has it", STR_ARGS(cut),
                    whole ? "refused" : "accepted");
            json_decref(other);
        }
        arena_reset(&arena);
    }
    ok(truncated > 500, "%zu truncations were read as jansson reads them", truncated);
    arena_fini(&arena);
}

static void begin(struct document *d, struct str text, unsigned depth_max, struct arena *arena)
{
    struct err err;

    if (document_init(d, BODY_JSON, text, depth_max, arena, &err) < 0)
        ok(false, "a JSON document begins: %s", err.msg);
}

static void test_values(void)
{
    static const struct {
        const char *text;
        enum token token;
        int64_t integer;
        double real;
    } numbers[] = {
        {"9223372036854775807", TOKEN_INTEGER, INT64_MAX, 0},
        {"-9223372036854775808", TOKEN_INTEGER, INT64_MIN, 0},
        {"9223372036854775808", TOKEN_REAL, 0, 9223372036854775808.0},
        {"-9223372036854775809", TOKEN_REAL, 0, -9223372036854775809.0},
        {"123456789012345678901234567890", TOKEN_REAL, 0, 123456789012345678901234567890.0},
        {"1e999", TOKEN_REAL, 0, INFINITY},
        {"-1e999", TOKEN_REAL, 0, -INFINITY},
        {"1e-999", TOKEN_REAL, 0, 0.0},
        {"0.1", TOKEN_REAL, 0, 0.1},
        {"1e22", TOKEN_REAL, 0, 1e22},
        {"1e23", TOKEN_REAL, 0, 1e23},
        {"2.2250738585072014e-308", TOKEN_REAL, 0, 2.2250738585072014e-308},
        {"5e-324", TOKEN_REAL, 0, 5e-324},
        {"1.7976931348623157e308", TOKEN_REAL, 0, 1.7976931348623157e308},
        {"9007199254740993.0", TOKEN_REAL, 0, 9007199254740993.0},
        {"0.3e1", TOKEN_REAL, 0, 3.0},
    };
    static const struct {
        const char *text, *want;
        size_t len;
    } strings[] = {
        {"\"a\\u0000b\"", "a\0b", 3},
        {"\"\\uD83D\\uDE00\\u00e9\\u20AC\\n\"", "\xf0\x9f\x98\x80\xc3\xa9\xe2\x82\xac\n", 10},
        {"\"0123456789abcdef\\\"0123456789abcdefg\"", "0123456789abcdef\"0123456789abcdefg", 34},
        {"\"\\/\\b\\f\\r\\t\\\\\"", "/\b\f\r\t\\", 6},
    };
    struct arena arena;
    struct document d;
    struct err err;

    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        begin(&d, str_from(numbers[i].text), 4, &arena);
        (void)document_next(&d);
        ok(d.token == numbers[i].token &&
                (d.token == TOKEN_INTEGER ? d.integer == numbers[i].integer
                                          : d.real == numbers[i].real),
            "%s is read exactly", numbers[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        begin(&d, str_from(strings[i].text), 4, &arena);
        (void)document_next(&d);
        ok(str_equal(d.text, str_make(strings[i].want, strings[i].len)), "%s is decoded",
            printable(strings[i].text));
    }
    ok(!reads(STR_LITERAL("[[[[1]]]]x"), &arena, &err) && strstr(err.msg, "byte 9") != NULL,
        "an error tells its byte: %s", err.msg);
    begin(&d, STR_LITERAL("[[[1]]]"), 2, &arena);
    (void)document_next(&d);
    ok(document_skip(&d, &err) < 0 && strstr(err.msg, "deep") != NULL, "depth has a limit");
    arena_fini(&arena);
}

static void read_back(double value, struct buf *buf, struct arena *arena, bool *ret_same)
{
    struct document d;
    char *end;
    char text[64];

    buf_reset(buf, 1024);
    json_write_real(buf, value);
    memcpy(text, buf->bytes, buf->len);
    text[buf->len] = '\0';
    begin(&d, buf_view(buf), 4, arena);
    (void)document_next(&d);
    *ret_same = d.token == TOKEN_REAL && memcmp(&d.real, &value, sizeof(value)) == 0 &&
                strtod(text, &end) == value && *end == '\0';
    if (!*ret_same)
        (void)printf("# %.17g was written as %s\n", value, text);
}

static void test_reals(void)
{
    static const struct {
        double value;
        const char *text;
    } known[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-3.0, "-3.0"},
        {0.1, "0.1"},
        {1.5, "1.5"},
        {123.456, "123.456"},
        {0.001, "0.001"},
        {1e20, "1e20"},
        {1e21, "1e21"},
        {1e-7, "1e-7"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e308"},
        {3.141592653589793, "3.141592653589793"},
        {1e15, "1000000000000000.0"},
        {0.00001234, "0.00001234"},
        {INFINITY, "1e999"},
        {-INFINITY, "-1e999"},
        {NAN, "null"},
        {9007199254740991.0, "9007199254740991.0"},
        {1.0 / 3, "0.3333333333333333"},
        {99.99, "99.99"},
        {0.30000000000000004, "0.30000000000000004"},
    };
    uint64_t seed = random_u64();
    unsigned wrong = 0;
    struct buf buf;
    struct arena arena;
    bool same;

    buf_init(&buf, 0);
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        buf_reset(&buf, 1024);
        json_write_real(&buf, known[i].value);
        buf_char(&buf, '\0');
        is_str(buf.bytes, known[i].text, known[i].text);
    }
    (void)printf("# seed %llu\n", (unsigned long long)seed);
    for (unsigned i = 0; i < 300000; i++) {
        uint64_t bits;
        double value;

        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        bits = seed ^ seed >> 29;
        if (i % 3 == 0)
            value = (double)(int64_t)(bits >> 20) / (i % 2 == 0 ? 100.0 : 1e7);
        else if (i % 3 == 1)
            value = (double)(bits >> 11) / 9007199254740992.0;
        else
            memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        read_back(value, &buf, &arena, &same);
        wrong += !same;
        arena_reset(&arena);
    }
    is_int(wrong, 0, "300,000 doubles read back as they were");
    buf_fini(&buf);
    arena_fini(&arena);
}

static void test_writer(void)
{
    struct buf buf;
    struct arena arena;
    struct err err = ERR_INIT;
    char text[300];
    bool good = true;

    buf_init(&buf, 0);
    arena_init(&arena, 0);
    json_write_string(&buf, STR_LITERAL("q\" b\\ n\n r\r t\t \x01 \x1f \x7f \xc3\xa9"));
    buf_char(&buf, '\0');
    is_str(buf.bytes, "\"q\\\" b\\\\ n\\n r\\r t\\t \\u0001 \\u001f \x7f \xc3\xa9\"",
        "escapes are the short ones, or \\u00xx");
    ok(json_write_text(&buf, STR_LITERAL("a\xff")) < 0 &&
            json_write_text(&buf, STR_LITERAL("\n\xff")) < 0,
        "text that is not UTF-8 is refused");
    for (size_t len = 0; len < sizeof(text); len++) {
        struct document d;

        for (size_t i = 0; i < len; i++)
            text[i] = (char)((i * 7 + len) % 128);
        buf_reset(&buf, 4096);
        json_write_string(&buf, str_make(text, len));
        begin(&d, exact(&arena, buf_view(&buf)), 4, &arena);
        good &= document_next(&d) == TOKEN_STRING && str_equal(d.text, str_make(text, len)) &&
                document_end(&d, &err) == 0;
    }
    ok(good, "strings of every length and ASCII character come back");
    buf_reset(&buf, 4096);
    json_write_integer(&buf, INT64_MIN);
    buf_char(&buf, ' ');
    json_write_integer(&buf, INT64_MAX);
    buf_char(&buf, ' ');
    json_write_integer(&buf, 0);
    buf_char(&buf, ' ');
    json_write_integer(&buf, -100);
    buf_char(&buf, '\0');
    is_str(buf.bytes, "-9223372036854775808 9223372036854775807 0 -100", "integers are exact");
    buf_fini(&buf);
    arena_fini(&arena);
}

int main(void)
{
    test_table();
    test_values();
    test_reals();
    test_writer();
    return done_testing();
}
