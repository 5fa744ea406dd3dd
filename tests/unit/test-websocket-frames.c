/* WebSocket frames: what comes out, what is refused and with which code, in pieces of every size.
 */
#include "proto/websocket_frames.h"
#include "tests/lib/tap.h"

#define FIN 0x80
#define UNMASKED 1 /* frame flags of this test */

static const struct websocket_limits limits = {.message_bytes = 70000, .fragments = 4};

static void add_frame(struct buf *out, unsigned first, const char *payload, size_t len, int flags)
{
    const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    struct buf head = {0};

    websocket_write_head(&head, WEBSOCKET_BINARY, len);
    head.bytes[0] = (char)first;
    if ((flags & UNMASKED) == 0)
        head.bytes[1] = (char)(head.bytes[1] | 0x80);
    buf_str(out, buf_view(&head));
    buf_fini(&head);
    if ((flags & UNMASKED) != 0) {
        buf_append(out, payload, len);
        return;
    }
    buf_append(out, mask, sizeof(mask));
    for (size_t i = 0; i < len; i++)
        buf_char(out, (char)((unsigned char)payload[i] ^ mask[i & 3]));
}

/* What came out, as text: T"…" B"…" P"…" p"…" C1000"…" X1002 */
static void note(
    struct buf *out, const struct websocket_decoder *decoder, enum websocket_event event)
{
    const char *control = (const char *)decoder->control;

    switch (event) {
    case WEBSOCKET_GOT_NOTHING:
        return;
    case WEBSOCKET_GOT_MESSAGE:
        buf_printf(out, "%c", decoder->is_text ? 'T' : 'B');
        if (decoder->message.len > 64)
            buf_printf(out, "#%zu ", decoder->message.len);
        else
            buf_printf(out, "\"%.*s\" ", STR_ARGS(buf_view(&decoder->message)));
        return;
    case WEBSOCKET_GOT_PING:
    case WEBSOCKET_GOT_PONG:
        buf_printf(out, "%c\"%.*s\" ", event == WEBSOCKET_GOT_PING ? 'P' : 'p',
            (int)decoder->control_len, control);
        return;
    case WEBSOCKET_GOT_CLOSE:
        buf_printf(out, "C%u\"%.*s\" ", decoder->code,
            decoder->control_len < 2 ? 0 : (int)decoder->control_len - 2, control + 2);
        return;
    case WEBSOCKET_GOT_BAD:
        buf_printf(out, "X%u ", decoder->code);
        return;
    }
}

static void decode(const struct buf *in, size_t step, struct buf *out)
{
    struct websocket_decoder decoder = {0};

    for (size_t at = 0; at < in->len; at += step) {
        size_t len = MIN(step, in->len - at);
        size_t done = 0;

        while (done < len) {
            size_t taken = 0;
            enum websocket_event event =
                websocket_decode(&decoder, in->bytes + at + done, len - done, &limits, &taken);

            note(out, &decoder, event);
            done += taken;
            if (taken == 0)
                buf_literal(out, "STUCK ");
            if (taken == 0)
                break;
        }
    }
    buf_char(out, '\0');
    websocket_decoder_fini(&decoder);
}

/* Whole, then in pieces of 1 to 9 and some larger ones: always the same. Empties `in`. */
static void expect(struct buf *in, const char *want, const char *name)
{
    static const size_t steps[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 64, 1000, 65536};
    struct buf out = {0};
    bool same = true;

    decode(in, in->len, &out);
    is_str(out.bytes, want, name);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct buf again = {0};

        decode(in, steps[i], &again);
        same = same && strcmp(again.bytes, out.bytes) == 0;
        buf_fini(&again);
    }
    ok(same, "%s: in any pieces", name);
    buf_fini(&out);
    buf_fini(in);
}

struct row {
    const char *name;
    const char *want;
    struct {
        unsigned first;
        const char *payload;
        int flags;
    } frames[6];
};

static const struct row rows[] = {
    {"a text", "T\"Hello\" ", {{FIN | 1, "Hello", 0}}},
    {"an empty text", "T\"\" ", {{FIN | 1, "", 0}}},
    {"a binary that is not UTF-8", "B\"\xff\xfe\" ", {{FIN | 2, "\xff\xfe", 0}}},
    {"two texts", "T\"a\" T\"b\" ", {{FIN | 1, "a", 0}, {FIN | 1, "b", 0}}},
    {"fragments", "T\"Hello\" ", {{1, "Hel", 0}, {FIN, "lo", 0}}},
    {"empty fragments", "B\"\" ", {{2, "", 0}, {0, "", 0}, {FIN, "", 0}}},
    {"control frames between fragments", "P\"1\" p\"2\" T\"ab\" ",
        {{1, "a", 0}, {FIN | 9, "1", 0}, {FIN | 10, "2", 0}, {FIN, "b", 0}}},
    {"an empty ping", "P\"\" ", {{FIN | 9, "", 0}}},
    {"close with code and reason", "C1000\"bye\" ",
        {{FIN | 8,
            "\x03\xe8"
            "bye",
            0}}},
    {"close without a code", "C1005\"\" ", {{FIN | 8, "", 0}}},
    {"close ends it inside a message", "C1001\"\" ",
        {{1, "a", 0}, {FIN | 8, "\x03\xe9", 0}, {FIN, "b", 0}, {FIN | 1, "c", 0}}},
    {"a character over two frames", "T\"\xc3\xa4\" ", {{1, "\xc3", 0}, {FIN, "\xa4", 0}}},
    {"ping inside a character", "P\"\xff\" T\"\xe2\x82\xac\" ",
        {{1, "\xe2", 0}, {FIN | 9, "\xff", 0}, {0, "\x82", 0}, {FIN, "\xac", 0}}},
    {"the last code point", "T\"\xf4\x8f\xbf\xbf\" ", {{FIN | 1, "\xf4\x8f\xbf\xbf", 0}}},
    {"ASCII around characters",
        "T\"12345678901\xc3\xa4"
        "1234567890\" ",
        {{FIN | 1,
            "12345678901\xc3\xa4"
            "1234567890",
            0}}},
    {"as many fragments as may be", "T\"abcd\" ",
        {{1, "a", 0}, {0, "b", 0}, {0, "c", 0}, {FIN, "d", 0}}},

    {"no mask", "X1002 ", {{FIN | 1, "Hello", UNMASKED}}},
    {"nothing comes after bad", "X1002 ", {{FIN | 1, "a", UNMASKED}, {FIN | 1, "b", 0}}},
    {"RSV1", "X1002 ", {{FIN | 0x40 | 1, "a", 0}}},
    {"RSV2", "X1002 ", {{FIN | 0x20 | 1, "a", 0}}},
    {"RSV3 on a ping", "X1002 ", {{FIN | 0x10 | 9, "a", 0}}},
    {"opcode 3", "X1002 ", {{FIN | 3, "a", 0}}},
    {"opcode 7", "X1002 ", {{FIN | 7, "a", 0}}},
    {"opcode 11", "X1002 ", {{FIN | 11, "a", 0}}},
    {"opcode 15", "X1002 ", {{FIN | 15, "", 0}}},
    {"a continuation of nothing", "X1002 ", {{FIN, "a", 0}}},
    {"a continuation after the end", "T\"a\" X1002 ", {{FIN | 1, "a", 0}, {FIN, "b", 0}}},
    {"a text inside a text", "X1002 ", {{1, "a", 0}, {FIN | 1, "b", 0}}},
    {"a binary inside a text", "X1002 ", {{1, "a", 0}, {2, "b", 0}}},
    {"a ping in fragments", "X1002 ", {{9, "a", 0}}},
    {"too many fragments", "X1009 ",
        {{1, "a", 0}, {0, "b", 0}, {0, "c", 0}, {0, "d", 0}, {FIN, "e", 0}}},
    {"close of one byte", "X1002 ", {{FIN | 8, "\x03", 0}}},
    {"close 999", "X1002 ", {{FIN | 8, "\x03\xe7", 0}}},
    {"close 1004", "X1002 ", {{FIN | 8, "\x03\xec", 0}}},
    {"close 1005", "X1002 ", {{FIN | 8, "\x03\xed", 0}}},
    {"close 1006", "X1002 ", {{FIN | 8, "\x03\xee", 0}}},
    {"close 1015", "X1002 ", {{FIN | 8, "\x03\xf7", 0}}},
    {"close 2000", "X1002 ", {{FIN | 8, "\x07\xd0", 0}}},
    {"close 5000", "X1002 ", {{FIN | 8, "\x13\x88", 0}}},
    {"close 3000", "C3000\"\" ", {{FIN | 8, "\x0b\xb8", 0}}},
    {"close 4999", "C4999\"\" ", {{FIN | 8, "\x13\x87", 0}}},
    {"a reason that is not UTF-8", "X1007 ", {{FIN | 8, "\x03\xe8\xc3", 0}}},
    {"0xff", "X1007 ", {{FIN | 1, "a\xff", 0}}},
    {"a lone continuation byte", "X1007 ", {{FIN | 1, "\x80", 0}}},
    {"overlong of two", "X1007 ", {{FIN | 1, "\xc1\xbf", 0}}},
    {"overlong of three", "X1007 ", {{FIN | 1, "\xe0\x9f\xbf", 0}}},
    {"overlong of four", "X1007 ", {{FIN | 1, "\xf0\x8f\xbf\xbf", 0}}},
    {"a surrogate", "X1007 ", {{FIN | 1, "\xed\xa0\x80", 0}}},
    {"above the last code point", "X1007 ", {{FIN | 1, "\xf4\x90\x80\x80", 0}}},
    {"cut inside a character", "X1007 ", {{FIN | 1, "\xe2\x82", 0}}},
    {"bad text is found before its end", "X1007 ", {{1, "a\xffz", 0}}},
    {"a character broken by the next frame", "X1007 ", {{1, "\xe2\x82", 0}, {FIN, "a", 0}}},
};

static void test_rows(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf in = {0};

        for (size_t f = 0; f < ARRAY_LEN(rows[i].frames) && rows[i].frames[f].payload != NULL; f++)
            add_frame(&in, rows[i].frames[f].first, rows[i].frames[f].payload,
                strlen(rows[i].frames[f].payload), rows[i].frames[f].flags);
        expect(&in, rows[i].want, rows[i].name);
    }
}

static void test_lengths(void)
{
    static const size_t lengths[] = {125, 126, 127, 65535, 65536, 70000, 70001};
    char *bytes = calloc(1, 70001);
    struct buf in = {0};
    char want[32];
    char name[64];

    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        add_frame(&in, FIN | 2, bytes, lengths[i], 0);
        (void)snprintf(want, sizeof(want), lengths[i] > 70000 ? "X1009 " : "B#%zu ", lengths[i]);
        (void)snprintf(name, sizeof(name), "a message of %zu bytes", lengths[i]);
        expect(&in, want, name);
    }
    add_frame(&in, 2, bytes, 40000, 0);
    add_frame(&in, FIN, bytes, 30000, 0);
    expect(&in, "B#70000 ", "fragments up to the limit");
    add_frame(&in, 2, bytes, 40000, 0);
    add_frame(&in, FIN, bytes, 30001, 0);
    expect(&in, "X1009 ", "fragments over the limit");
    add_frame(&in, FIN | 9, bytes, 126, 0);
    expect(&in, "X1002 ", "a long ping");
    free(bytes);
}

static void test_bad_lengths(void)
{
    static const struct {
        const char *name;
        const char *bytes;
        size_t len;
        const char *want;
    } heads[] = {
        {"125 in two bytes",
            "\x82\xfe\x00\x7d"
            "mask",
            8, "X1002 "},
        {"65535 in eight bytes",
            "\x82\xff\0\0\0\0\0\0\xff\xff"
            "mask",
            14, "X1002 "},
        {"the top bit",
            "\x82\xff\x80\0\0\0\0\0\0\0"
            "mask",
            14, "X1002 "},
        {"the largest length",
            "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"
            "mask",
            14, "X1009 "},
        {"too big is refused by its head",
            "\x82\xff\0\0\0\0\0\x01\x11\x71"
            "mask",
            14, "X1009 "},
        {"no mask is refused by two bytes", "\x82\x7f", 2, "X1002 "},
        {"a head alone waits",
            "\x82\xff\0\0\0\0\0\x01\x11\x70"
            "mask",
            14, ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct buf in = {0};

        buf_append(&in, heads[i].bytes, heads[i].len);
        expect(&in, heads[i].want, heads[i].name);
    }
}

static void test_inside(void)
{
    struct websocket_decoder decoder = {0};
    struct buf in = {0};
    size_t taken = 0;
    enum websocket_event event;

    ok(!websocket_is_inside(&decoder), "a new decoder is between messages");
    add_frame(&in, 1, "ab", 2, 0);
    event = websocket_decode(&decoder, in.bytes, 1, &limits, &taken);
    ok(event == WEBSOCKET_GOT_NOTHING && websocket_is_inside(&decoder), "a byte in, it is inside");
    event = websocket_decode(&decoder, in.bytes + 1, in.len - 1, &limits, &taken);
    ok(event == WEBSOCKET_GOT_NOTHING && websocket_is_inside(&decoder), "between fragments too");
    buf_reset(&in, 0);
    add_frame(&in, FIN, "c", 1, 0);
    event = websocket_decode(&decoder, in.bytes, in.len, &limits, &taken);
    ok(event == WEBSOCKET_GOT_MESSAGE && !websocket_is_inside(&decoder), "and then it is not");
    buf_fini(&in);
    buf_take(&in, &decoder.message);
    ok(str_is(buf_view(&in), "abc"), "a message can be taken without a copy");
    websocket_decoder_fini(&decoder);
    websocket_decoder_fini(&decoder);
    buf_fini(&in);
}

static void test_writing(void)
{
    static const struct {
        const char *name;
        unsigned code;
        const char *reason;
        const char *want;
        size_t len;
    } closes[] = {
        {"a close frame", 1000, "bye",
            "\x88\x05\x03\xe8"
            "bye",
            7},
        {"a close frame without a reason", 1001, "", "\x88\x02\x03\xe9", 4},
        {"an empty close frame", WEBSOCKET_NO_CODE, "", "\x88\x00", 2},
    };
    struct buf out = {0};
    char reason[200];

    for (size_t i = 0; i < ARRAY_LEN(closes); i++) {
        websocket_write_close(&out, closes[i].code, str_from(closes[i].reason));
        ok(str_equal(buf_view(&out), str_make(closes[i].want, closes[i].len)), "%s",
            closes[i].name);
        buf_fini(&out);
    }
    memset(reason, 'x', sizeof(reason));
    memcpy(reason + 121, "\xe2\x82\xac", 3);
    websocket_write_close(&out, 1000, str_make(reason, sizeof(reason)));
    ok(out.len == 2 + 2 + 121 && str_is_utf8(str_make(out.bytes + 4, out.len - 4)),
        "a long reason is cut before the character that does not fit");
    buf_fini(&out);
    websocket_write_head(&out, WEBSOCKET_TEXT, 125);
    ok(out.len == 2 && memcmp(out.bytes, "\x81\x7d", 2) == 0, "a head of 2 bytes");
    buf_fini(&out);
    websocket_write_head(&out, WEBSOCKET_TEXT, 126);
    ok(out.len == 4 && memcmp(out.bytes, "\x81\x7e\x00\x7e", 4) == 0, "a head of 4 bytes");
    buf_fini(&out);
    websocket_write_head(&out, WEBSOCKET_BINARY, 65536);
    ok(out.len == 10 && memcmp(out.bytes, "\x82\x7f\0\0\0\0\0\1\0\0", 10) == 0,
        "a head of 10 bytes");
    buf_fini(&out);
}

static void test_key(void)
{
    char accept[WEBSOCKET_ACCEPT_LEN + 1];

    websocket_accept(str_from("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    is_str(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "the example of RFC 6455");
    ok(websocket_key_is_valid(str_from("dGhlIHNhbXBsZSBub25jZQ==")), "16 bytes are a key");
    ok(!websocket_key_is_valid(str_from("dGhlIHNhbXBsZSBub25jZQ")), "without padding it is none");
    ok(!websocket_key_is_valid(str_from("dGhlIHNhbXBsZSBub25jZTE=")), "17 bytes are none");
    ok(!websocket_key_is_valid(str_from("")), "nothing is none");
    ok(!websocket_key_is_valid(str_from("dGhlIHNhbXBsZSBub25j!Q==")), "other bytes are none");
}

int main(void)
{
    test_rows();
    test_lengths();
    test_bad_lengths();
    test_inside();
    test_writing();
    test_key();
    return done_testing();
}
