/* Arena, buffers, strings, clock, hashes, base64: what everything else stands on. */
#include "tenants/base/arena.h"
#include "tenants/base/base64.h"
#include "tenants/base/buf.h"
#include "tenants/base/clock.h"
#include "tenants/base/err.h"
#include "tenants/base/hash.h"
#include "tests/lib/tap.h"

static void count_up(void *object)
{
    (*(int *)object)++;
}

static void test_arena(void)
{
    struct arena arena;
    int ended = 0;

    arena_init(&arena, 10000);
    ok(arena_alloc(&arena, 100) != NULL, "arena gives memory");
    ok(((uintptr_t)arena_alloc(&arena, 1) & 15) == 0, "arena memory is aligned to 16");
    ok(arena_on_end(&arena, count_up, &ended) == 0, "a disposer is taken");
    ok(arena_alloc(&arena, 20000) == NULL, "over the limit there is none");
    ok(arena_overflowed(&arena), "and the mark is set");
    ok(arena_alloc(&arena, 1) == NULL, "the mark is sticky");
    arena_reset(&arena);
    is_int(ended, 1, "reset runs disposers");
    ok(!arena_overflowed(&arena) && arena_alloc(&arena, 5000) != NULL, "reset starts afresh");
    ok(arena_array(&arena, SIZE_MAX / 2, 4) == NULL, "a count that overflows is refused");
    arena_fini(&arena);
    arena_fini(&arena);
    ok(true, "fini may come twice");
}

static void test_buf(void)
{
    struct buf buf;

    buf_init(&buf, 1000);
    buf_literal(&buf, "n=");
    buf_i64(&buf, INT64_MIN);
    buf_char(&buf, '\0');
    is_str(buf.bytes, "n=-9223372036854775808", "integers print exactly");
    buf_reset(&buf, 4096);
    for (int i = 0; i < 2000; i++)
        buf_char(&buf, 'x');
    ok(buf.failed && buf.len <= 1000, "the limit holds and marks the buffer");
    buf_fini(&buf);
}

static void test_strings(void)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } globs[] = {
        {"*", "", true},
        {"pr-*", "pr-42", true},
        {"pr-*", "main", false},
        {"a*b*c", "axxbyyc", true},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"", "", true},
        {"", "a", false},
        {"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };
    uint64_t value;

    for (size_t i = 0; i < ARRAY_LEN(globs); i++)
        ok(str_glob(str_from(globs[i].pattern), str_from(globs[i].text)) == globs[i].matches,
            "glob '%s' on '%s'", globs[i].pattern, globs[i].text);
    ok(str_to_u64(STR_LITERAL("18446744073709551615"), &value) == 0 && value == UINT64_MAX,
        "the largest number is read");
    ok(str_to_u64(STR_LITERAL("18446744073709551616"), &value) < 0, "one more is refused");
    ok(str_to_u64(STR_LITERAL("+1"), &value) < 0, "a sign is refused");
    ok(str_is_utf8(STR_LITERAL("gr\xc3\xbc\xc3\x9f 12345678 \xf0\x9f\x90\xa6")), "UTF-8 passes");
    ok(!str_is_utf8(STR_LITERAL("\xed\xa0\x80")), "a surrogate does not");
    ok(!str_is_utf8(STR_LITERAL("\xc0\xaf")), "an overlong form does not");
    ok(!str_is_utf8(STR_LITERAL("abc\xf0\x9f")), "a cut sequence does not");
}

static void test_clock(void)
{
    char text[CLOCK_ISO8601_BYTES];
    int64_t ms;

    clock_format_iso8601(1777984200000, text);
    is_str(text, "2026-05-05T12:30:00.000Z", "a time prints as ISO 8601");
    ok(clock_parse_iso8601("2026-05-05T14:30:00.5+02:00", 27, &ms) == 0 && ms == 1777984200500,
        "and is read with fraction and zone");
    ok(clock_parse_iso8601("2026-05-05", 10, &ms) < 0, "a date alone is refused");
    clock_freeze(5, 1000);
    clock_advance_ms(2);
    ok(clock_now_ns() == 5 + 2 * NS_PER_MS && clock_wall_ms() == 1002,
        "a frozen clock moves by hand");
    clock_unfreeze();
}

static void test_encodings(void)
{
    struct buf out;
    unsigned char bytes[16];
    size_t len;

    is_int(crc32c(0, "123456789", 9), 0xe3069283, "CRC32C of the check string");
    ok(hash_bytes("a", 1) != hash_bytes("b", 1), "hashes differ");
    buf_init(&out, 0);
    base64_encode(&out, "\x01\x02\x03\x04", 4, true);
    ok(str_is(buf_view(&out), "AQIDBA=="), "base64 pads");
    ok(base64_decode(STR_LITERAL("AQIDBA"), bytes, &len) == 0 && len == 4,
        "and reads without pads");
    ok(base64_decode(STR_LITERAL("AQIDB"), bytes, &len) < 0, "a cut one is refused");
    ok(base64_decode(STR_LITERAL("AQIDBB"), bytes, &len) < 0, "left-over bits are refused");
    ok(base64_decode(STR_LITERAL("-_-_"), bytes, &len) < 0, "base64 has no '-' and '_'");
    ok(base64url_decode(STR_LITERAL("-_-_BA"), bytes, &len) == 0 && len == 4 &&
            memcmp(bytes, "\xfb\xff\xbf\x04", 4) == 0,
        "base64url has");
    ok(base64url_decode(STR_LITERAL("+/+/"), bytes, &len) < 0, "but not '+' and '/'");
    ok(base64url_decode(STR_LITERAL("AQIDBA=="), bytes, &len) < 0, "and no padding");
    ok(base64url_decode(STR_LITERAL("AQIDBB"), bytes, &len) < 0, "nor left-over bits");
    buf_fini(&out);
}

static void test_errors(void)
{
    struct err err = ERR_INIT;
    char text[ERR_MSG_MAX + 8];

    (void)err_set(&err, ERR_SQL, "near \"%s\"", "na\xc3\xafve");
    is_str(err.msg, "near \"na\xc3\xafve\"", "a message is kept as it is");
    (void)err_set(&err, ERR_SQL, "near \"%s\"", "\xff\xc3\xc3\xafx\xe2\x82");
    is_str(err.msg, "near \"??\xc3\xafx??\"", "but for what is not UTF-8");
    for (size_t i = 0; i + 1 < sizeof(text); i++)
        text[i] = i % 2 == 0 ? '\xc3' : '\xaf';
    text[sizeof(text) - 1] = '\0';
    (void)err_set(&err, ERR_SQL, "%s", text);
    ok(str_is_utf8(str_from(err.msg)), "a message that is cut is UTF-8 still");
}

int main(void)
{
    test_errors();
    test_arena();
    test_buf();
    test_strings();
    test_clock();
    test_encodings();
    return done_testing();
}
