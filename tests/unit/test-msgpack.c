/* MessagePack: what is refused before msgpack-c sees it, every truncation, and round trips. */
#include "proto/encoder.h"
#include "tenants/base/random.h"
#include "tests/lib/tap.h"

static struct str exact(struct arena *arena, const void *bytes, size_t len)
{
    char *copy = malloc(len == 0 ? 1 : len);

    if (len > 0)
        memcpy(copy, bytes, len);
    (void)arena_on_end(arena, free, copy);
    return str_make(copy, len);
}

static bool reads(struct str text, struct arena *arena, struct err *err)
{
    struct document d;

    if (document_init(&d, BODY_MSGPACK, text, 16, arena, err) < 0)
        return false;
    (void)document_next(&d);
    return document_skip(&d, err) == 0 && document_end(&d, err) == 0;
}

static void test_table(void)
{
    static const struct {
        const char *name;
        char want;
        const char *bytes;
        size_t len;
    } cases[] = {
#define CASE(want, name, bytes) {name, want, bytes, sizeof(bytes) - 1}
        CASE('y', "nil", "\xc0"),
        CASE('y', "booleans", "\x92\xc2\xc3"),
        CASE('y', "small integers", "\x92\x7f\xe0"),
        CASE('y', "unsigned",
            "\x94\xcc\xff\xcd\xff\xff\xce\xff\xff\xff\xff\xcf\xff\xff\xff\xff"
            "\xff\xff\xff\xff"),
        CASE('y', "signed",
            "\x94\xd0\x80\xd1\x80\x00\xd2\x80\x00\x00\x00\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
        CASE('y', "floats", "\x92\xca\x3f\x80\x00\x00\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"),
        CASE('y', "strings", "\x93\xa1x\xd9\x01x\xda\x00\x01x"),
        CASE('y', "str 32", "\xdb\x00\x00\x00\x02\xc3\xa9"),
        CASE('y', "bins", "\x93\xc4\x01\xff\xc5\x00\x01\xff\xc6\x00\x00\x00\x01\xff"),
        CASE('y', "map", "\x81\xa1x\x90"),
        CASE('y', "map 16 and 32", "\x92\xde\x00\x01\xa1x\xc0\xdf\x00\x00\x00\x01\xa1x\xc0"),
        CASE('y', "array 16 and 32", "\x92\xdc\x00\x01\xc0\xdd\x00\x00\x00\x01\xc0"),
        CASE('y', "ext 1", "\x93\xd4\x01\xff\xd5\x01\xff\xff\xc7\x03\x01\xff\xff\xff"),
        CASE('n', "nothing", ""),
        CASE('n', "array 32 that announces 4 billion", "\xdd\xff\xff\xff\xff"),
        CASE('n', "map 32 that announces 4 billion", "\xdf\xff\xff\xff\xff"),
        CASE('n', "array of three with two", "\x93\xc0\xc0"),
        CASE('n', "map with a key alone", "\x81\xa1x"),
        CASE('n', "str longer than the rest", "\xa5xy"),
        CASE('n', "str 32 of 4 billion", "\xdb\xff\xff\xff\xffx"),
        CASE('n', "bin 32 of 4 billion", "\xc6\xff\xff\xff\xffx"),
        CASE('n', "ext 32 of 4 billion", "\xc9\xff\xff\xff\xff\x01x"),
        CASE('n', "the type that is never used", "\xc1"),
        CASE('n', "string that is not UTF-8", "\xa1\xff"),
        CASE('n', "key that is not UTF-8", "\x81\xa1\xff\xc0"),
        CASE('n', "key that is no string", "\x81\x01\x02"),
        CASE('n', "key that is an array", "\x81\x90\xc0"),
        CASE('n', "something behind the value", "\xc0\xc0"),
        CASE('n', "ext of another type", "\xd4\x05\xff"),
        CASE('n', "nested 17 deep",
            "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0"),
        CASE('y', "nested 16 deep",
            "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0"),
#undef CASE
    };
    struct arena arena;
    struct err err;
    size_t truncated = 0;
    size_t accepted = 0;

    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str text = exact(&arena, cases[i].bytes, cases[i].len);

        err = ERR_INIT;
        ok(reads(text, &arena, &err) == (cases[i].want == 'y'), "%s: %s", cases[i].name,
            cases[i].want == 'y' ? "accepted" : "refused");
        for (size_t len = 0; len < text.len; len++, truncated++)
            accepted += cases[i].want == 'y' && reads(exact(&arena, text.ptr, len), &arena, &err);
        arena_reset(&arena);
    }
    ok(truncated > 100 && accepted == 0, "none of %zu truncations is accepted", truncated);
    arena_fini(&arena);
}

static void test_memory(void)
{
    static char many[200000];
    struct arena arena;
    struct err err = ERR_INIT;

    memset(many, 0xc0, sizeof(many));
    memcpy(many, "\xdd\x00\x03\x0d\x3b", 5); /* 199,995 nils */
    arena_init(&arena, 1 << 20);
    ok(!reads(exact(&arena, many, sizeof(many)), &arena, &err) && err.code == ERR_TOO_LARGE,
        "more objects than the arena's limit bears are refused: %s", err.msg);
    arena_fini(&arena);
}

static void test_values(void)
{
    struct buf out;
    struct arena arena;
    struct document d;
    struct err err = ERR_INIT;
    static const int64_t integers[] = {0, 1, -1, 127, 128, -32, -33, 255, 256, 65535, 65536,
        INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 4294967296};
    bool good = true;

    buf_init(&out, 0);
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(integers); i++) {
        buf_reset(&out, 4096);
        msgpack_write_integer(&out, integers[i]);
        good &= document_init(&d, BODY_MSGPACK, buf_view(&out), 4, &arena, &err) == 0 &&
                document_next(&d) == TOKEN_INTEGER && d.integer == integers[i];
    }
    ok(good, "integers come back as they were");
    ok(document_init(&d, BODY_MSGPACK, STR_LITERAL("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), 4,
           &arena, &err) == 0 &&
            document_next(&d) == TOKEN_REAL && d.real == 18446744073709551615.0,
        "integers beyond int64 are reals");
    buf_reset(&out, 4096);
    msgpack_write_text(&out, STR_LITERAL("a\xff"));
    ok(document_init(&d, BODY_MSGPACK, buf_view(&out), 4, &arena, &err) == 0 &&
            document_next(&d) == TOKEN_BAD_TEXT && str_is(d.text, "a\xff"),
        "text that is not UTF-8 is ext 1");
    buf_fini(&out);
    arena_fini(&arena);
}

static void write_sample(struct encoder *e)
{
    encoder_object(e);
    encoder_key(e, "a");
    encoder_array(e);
    encoder_integer(e, 1);
    encoder_real(e, 2.5);
    encoder_string(e, STR_LITERAL("x\"y"));
    encoder_object(e);
    encoder_end(e);
    encoder_array(e);
    encoder_end(e);
    encoder_end(e);
    encoder_key(e, "b");
    encoder_null(e);
    encoder_key(e, "c");
    encoder_bool(e, true);
    encoder_key(e, "d");
    encoder_json(
        e, STR_LITERAL("{\"k\":[1,\"z\",null,{\"q\":false}]}"), NULL); /* no escapes: no arena */
    encoder_end(e);
}

static void test_encoder(void)
{
    static const char want[] =
        "{\"a\":[1,2.5,\"x\\\"y\",{},[]],\"b\":null,\"c\":true,\"d\":{\"k\":[1,\"z\",null,{\"q\":"
        "false}]}}";
    struct buf out;
    struct buf again;
    struct arena arena;
    struct encoder e;
    const struct node *root = NULL;
    struct err err = ERR_INIT;

    buf_init(&out, 0);
    buf_init(&again, 0);
    arena_init(&arena, 0);
    encoder_init(&e, &out, BODY_JSON);
    write_sample(&e);
    ok(str_is(buf_view(&out), want), "the encoder writes JSON");
    buf_reset(&out, 0);
    encoder_init(&e, &out, BODY_MSGPACK);
    write_sample(&e);
    ok(document_read_object(BODY_MSGPACK, buf_view(&out), 16, false, &arena, &root, &err) == 0,
        "and MessagePack %s", err.msg);
    if (root != NULL)
        node_write_json(root, &again);
    ok(str_is(buf_view(&again), want), "that says the same");
    buf_fini(&out);
    buf_fini(&again);
    arena_fini(&arena);
}

/* Any bytes: no crash, and what the scan lets through msgpack-c reads to the end. */
static void test_noise(void)
{
    static const unsigned char heads[] = {0x81, 0x91, 0xa1, 0xc4, 0xc7, 0xca, 0xd4, 0xd9, 0xdc,
        0xdd, 0xde, 0xdf, 0xc0, 0x05, 0x92, 0x82, 0xc1};
    struct arena arena;
    struct err err = ERR_INIT;
    unsigned accepted = 0;

    arena_init(&arena, 1 << 20);
    for (int i = 0; i < 50000; i++) {
        unsigned char bytes[24];
        size_t len = random_u64() % sizeof(bytes);

        for (size_t at = 0; at < len; at++) {
            uint64_t r = random_u64();

            bytes[at] = r % 2 == 0 ? heads[r / 2 % sizeof(heads)] : (unsigned char)(r >> 8);
        }
        accepted += reads(exact(&arena, bytes, len), &arena, &err);
        arena_reset(&arena);
    }
    ok(accepted > 0, "of 50,000 random messages %u were read, the others refused", accepted);
    arena_fini(&arena);
}

int main(void)
{
    test_table();
    test_memory();
    test_values();
    test_encoder();
    test_noise();
    return done_testing();
}
