/* Hrana's requests in protobuf: what Python's protobuf runtime writes, as the model in words; then
 * everything that is no request. */
#include "proto/hrana/protobuf.h"
#include "tests/lib/hrana_bytes.h"
#include "tests/lib/hrana_vectors.h"
#include "tests/lib/hrana_words.h"
#include "tests/lib/tap.h"

static const struct hrana_limits limits = {.depth = 32, .requests = 20, .steps = 10};

/* ---- decoding into words ---- */

enum form { PIPELINE_BODY, CURSOR_BODY, MESSAGE };

static int say_body(
    struct buf *out, enum form form, struct str body, struct arena *arena, struct err *err)
{
    struct hrana_pipeline pipeline;
    struct hrana_cursor cursor;
    struct hrana_message message;

    if (form == PIPELINE_BODY) {
        if (hrana_protobuf_pipeline(body, &limits, arena, &pipeline, err) < 0)
            return -1;
        say_text(out, pipeline.baton);
        for (unsigned i = 0; i < pipeline.request_count; i++) {
            buf_cstr(out, "\n");
            say_request(out, &pipeline.requests[i]);
        }
    } else if (form == CURSOR_BODY) {
        if (hrana_protobuf_cursor(body, &limits, arena, &cursor, err) < 0)
            return -1;
        say_text(out, cursor.baton);
        say_batch(out, &cursor.batch);
    } else {
        if (hrana_protobuf_message(body, &limits, arena, &message, err) < 0)
            return -1;
        if (message.type == HRANA_HELLO) {
            buf_cstr(out, "hello ");
            say_text(out, message.jwt);
        } else {
            buf_printf(out, "%d ", message.request_id);
            say_request(out, &message.request);
        }
    }
    return 0;
}

/* The words for the bytes in `hex`, or "! " and the error. The body is a block of its size. */
static void decode(struct buf *out, enum form form, struct str bytes)
{
    struct arena arena;
    struct err err = ERR_INIT;
    char *copy = malloc(bytes.len == 0 ? 1 : bytes.len);

    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    arena_init(&arena, 1 << 20);
    buf_reset(out, 0);
    if (say_body(out, form, str_make(copy, bytes.len), &arena, &err) < 0) {
        buf_reset(out, 0);
        buf_printf(
            out, "%s %s", err.code == ERR_BAD_REQUEST ? "!" : err_code_name(err.code), err.msg);
    }
    buf_char(out, '\0');
    arena_fini(&arena);
    free(copy);
}

static void decode_hex(struct buf *out, enum form form, const char *hex)
{
    struct buf bytes;

    buf_init(&bytes, 0);
    append_hex(&bytes, hex);
    decode(out, form, buf_view(&bytes));
    buf_fini(&bytes);
}

/* ---- what Python writes ---- */

#define BATCH_WORDS "['BEGIN'(); ok0?-#7('a'=1,''='x'); and(ok0,not(error1),or(),autocommit)?''()]"

static const struct {
    const char *name;
    enum form form;
    const char *hex;
    const char *want;
} vectors[] = {
    {"an empty pipeline", PIPELINE_BODY, PIPELINE_EMPTY, "-"},
    {"a pipeline of everything", PIPELINE_BODY, PIPELINE,
        "'b1'\n"
        "execute s0 c0 m0 'SELECT ?'(null,-9223372036854775808,-1,0,1,9223372036854775807,1.5,-0.0,"
        "inf,'','h\\c3\\a9\\00',x'',x'\\00\\01\\02\\03\\04\\05\\06\\07\\08\\09\\0a\\0b\\0c\\0d\\0e"
        "\\0f\\10\\11\\12\\13'(200))!\n"
        "batch s0 c0 m0 " BATCH_WORDS "\n"
        "batch s0 c0 m0 []\n"
        "sequence s0 c0 m0 'SELECT 1;'\n"
        "sequence s0 c0 m0 -#0\n"
        "describe s0 c0 m0 ''\n"
        "describe s0 c0 m0 -#-5\n"
        "describe s0 c0 m0 -\n"
        "store s0 c0 m0 'SELECT 3'#3\n"
        "store s0 c0 m0 ''#0\n"
        "unstore s0 c0 m0 -#2147483647\n"
        "unstore s0 c0 m0 -#0\n"
        "autocommit s0 c0 m0 -\n"
        "close s0 c0 m0 -"},
    {"a cursor", CURSOR_BODY, CURSOR, "''" BATCH_WORDS},
    {"hello", MESSAGE, HELLO, "hello -"},
    {"hello with a token", MESSAGE, HELLO_JWT, "hello 'token'"},
    {"open_stream", MESSAGE, WS_OPEN, "-1 open s-2 c0 m0 -"},
    {"close_stream", MESSAGE, WS_CLOSE, "0 close s1 c0 m0 -"},
    {"execute", MESSAGE, WS_EXECUTE, "5 execute s2 c0 m0 'x'()"},
    {"batch", MESSAGE, WS_BATCH, "6 batch s2 c0 m0 " BATCH_WORDS},
    {"open_cursor", MESSAGE, WS_OPEN_CURSOR, "7 open_cursor s2 c-9 m0 []"},
    {"fetch_cursor", MESSAGE, WS_FETCH_CURSOR, "8 fetch s0 c9 m4294967295 -"},
    {"close_cursor", MESSAGE, WS_CLOSE_CURSOR, "9 close_cursor s0 c9 m0 -"},
    {"sequence", MESSAGE, WS_SEQUENCE, "10 sequence s2 c0 m0 'a'"},
    {"describe", MESSAGE, WS_DESCRIBE, "11 describe s2 c0 m0 -#4"},
    {"store_sql", MESSAGE, WS_STORE_SQL, "12 store s0 c0 m0 'b'#4"},
    {"close_sql", MESSAGE, WS_CLOSE_SQL, "13 unstore s0 c0 m0 -#4"},
    {"get_autocommit", MESSAGE, WS_GET_AUTOCOMMIT, "14 autocommit s2 c0 m0 -"},
};

static void test_vectors(void)
{
    struct buf words;

    buf_init(&words, 0);
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        decode_hex(&words, vectors[i].form, vectors[i].hex);
        is_str(words.bytes, vectors[i].want, vectors[i].name);
    }
    buf_fini(&words);
}

/* A message cut anywhere is refused or has lost whole fields; it is never read past its end. */
static void test_cuts(void)
{
    struct buf words;
    struct buf bytes;
    size_t tried = 0;
    size_t same = 0;
    size_t refused = 0;

    buf_init(&words, 0);
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        buf_init(&bytes, 0);
        append_hex(&bytes, vectors[i].hex);
        for (size_t cut = 0; cut < bytes.len; cut++) {
            decode(&words, vectors[i].form, str_make(bytes.bytes, cut));
            same += strcmp(words.bytes, vectors[i].want) == 0;
            refused += words.bytes[0] == '!';
            tried++;
        }
        buf_fini(&bytes);
    }
    is_int(same, 0, "no message is whole when it is cut");
    ok(refused > tried / 2 && refused < tried, "%zu of %zu are refused", refused, tried);
    buf_fini(&words);
}

/* ---- forms by hand ---- */

static void test_by_hand(void)
{
    static const struct {
        const char *name;
        enum form form;
        const char *hex;
        const char *want; /* what the words begin with */
    } cases[] = {
        /* Taken. */
        {"padded lengths, tags and numbers", MESSAGE,
            "92808000"
            "8e80808000"
            "888000"
            "848000"
            "1a"
            "8280808000"
            "0804",
            "4 close s4 c0 m0 -"},
        {"fields in another order", PIPELINE_BODY,
            "12020a00"
            "0a0178",
            "'x'\nclose"},
        {"unknown fields of each type", PIPELINE_BODY,
            "180120ffffffffffffffffff012a0161310000000000000000"
            "3d00000000"
            "fa0700"
            "12020a00",
            "-\nclose"},
        {"the last of two texts", PIPELINE_BODY,
            "0a0161"
            "0a0162",
            "'b'"},
        {"the last of two numbers", MESSAGE,
            "1208"
            "0801"
            "0802"
            "12020805",
            "2 open s5"},
        {"a negative number of 32 bits", MESSAGE,
            "120a"
            "08ffffffff0f"
            "12020805",
            "-1 open s5"},
        /* The wire. */
        {"an empty message", MESSAGE, "", "! there is no message of that type"},
        {"field 0", MESSAGE, "00", "! the body is not valid protobuf: there is no field"},
        {"field 2^29", PIPELINE_BODY, "808080801000", "! the body is not valid protobuf: there is"},
        {"the largest field", PIPELINE_BODY, "f8ffffff0f00", "-"},
        {"a group", MESSAGE, "0b0c", "! the body is not valid protobuf: groups"},
        {"wire type 6", MESSAGE, "1e", "! the body is not valid protobuf: groups"},
        {"wire type 7", MESSAGE, "1f", "! the body is not valid protobuf: groups"},
        {"a tag alone", MESSAGE, "12", "! the body is not valid protobuf: it ends"},
        {"a length beyond the end", MESSAGE, "1201",
            "! the body is not valid protobuf: a field is longer"},
        {"a length of 2^64 - 1", MESSAGE, "12ffffffffffffffffff01",
            "! the body is not valid protobuf: a field is longer"},
        {"a length beyond what holds it", MESSAGE,
            "0a030a0561"
            "62636465",
            "! the body is not valid protobuf: a field is longer"},
        {"a varint of 65 bits", MESSAGE, "18ffffffffffffffffff02",
            "! the body is not valid protobuf: a number has more than 64"},
        {"a varint of 11 bytes", MESSAGE,
            "1880808080808080808080"
            "00",
            "! the body is not valid protobuf: a number has more than 64"},
        {"a cut fixed64", PIPELINE_BODY, "3100000000000000",
            "! the body is not valid protobuf: it ends"},
        {"a cut fixed32", PIPELINE_BODY, "3d000000", "! the body is not valid protobuf: it ends"},
        {"the byte of an error", PIPELINE_BODY,
            "0a0161"
            "00",
            "! the body is not valid protobuf: there is no field of that number (at byte 4)"},
        /* Types. */
        {"hello as a number", MESSAGE, "0801", "! the body is not valid protobuf: a field has"},
        {"a token as a number", MESSAGE, "0a020801", "! the body is not valid protobuf: a field"},
        {"a token that is not UTF-8", MESSAGE, "0a030a01ff",
            "! the body is not valid protobuf: a text is not UTF-8"},
        {"a request_id as a text", MESSAGE, "12030a0131",
            "! the body is not valid protobuf: a field has"},
        {"a request_id of 33 bits", MESSAGE, "1206088080808010",
            "! the body is not valid protobuf: a number has more than 32"},
        {"a request_id below int32", MESSAGE, "120b08ffffffffefffffffff01",
            "! the body is not valid protobuf: a number has more than 32"},
        {"max_count of 33 bits", MESSAGE,
            "120a"
            "0801"
            "4206"
            "108080808010",
            "! the body is not valid protobuf: a number has more than 32"},
        /* Members. */
        {"hello and request", MESSAGE,
            "0a00"
            "12021200",
            "! the body is not valid protobuf: a field occurs twice"},
        {"a request of no type", MESSAGE, "12020801", "! there is no request of that type"},
        {"a request of an unknown type", MESSAGE, "12027200", "! there is no request of that type"},
        {"a request of two types", MESSAGE, "120412001a00",
            "! the body is not valid protobuf: a request is of two types"},
        {"an HTTP request of no type", PIPELINE_BODY, "1200", "! there is no request of that type"},
        {"an HTTP request that only WebSocket has", PIPELINE_BODY, "12024a00",
            "! there is no request of that type"},
        {"execute without stmt", PIPELINE_BODY, "12021200", "! the 'stmt' of 'execute' must be"},
        {"execute with two", PIPELINE_BODY, "120612040a000a00",
            "! the body is not valid protobuf: a field occurs twice"},
        {"batch without batch", PIPELINE_BODY, "12021a00", "! the 'batch' of a request must be"},
        {"a cursor without batch", CURSOR_BODY, "0a0161", "! the 'batch' of a cursor must be"},
        {"a cursor with two", CURSOR_BODY, "12001200",
            "! the body is not valid protobuf: a field occurs twice"},
        {"a step without stmt", CURSOR_BODY, "12020a00", "! the 'stmt' of a step must be there"},
        {"a step with two conditions", CURSOR_BODY,
            "120c"
            "0a0a"
            "0a020800"
            "0a020800"
            "1200",
            "! the body is not valid protobuf: a field occurs twice"},
        {"an empty condition", CURSOR_BODY,
            "1206"
            "0a04"
            "0a00"
            "1200",
            "! there is no condition of that type"},
        {"a condition of an unknown type", CURSOR_BODY,
            "1208"
            "0a06"
            "0a023801"
            "1200",
            "! there is no condition of that type"},
        {"a condition of two types", CURSOR_BODY,
            "120a"
            "0a08"
            "0a0408001000"
            "1200",
            "! the body is not valid protobuf: a condition is of two types"},
        {"not of nothing", CURSOR_BODY,
            "1208"
            "0a06"
            "0a021a00"
            "1200",
            "! there is no condition of that type"},
        {"and of nothing", CURSOR_BODY,
            "1208"
            "0a06"
            "0a022200"
            "1200",
            "-[and()?-()]"},
        {"a step number of 33 bits", CURSOR_BODY,
            "120c"
            "0a0a"
            "0a06088080808010"
            "1200",
            "! the body is not valid protobuf: a number has more than 32"},
        /* Values: execute { stmt { args } } */
        {"a value of no type", PIPELINE_BODY,
            "1208"
            "1206"
            "0a04"
            "1a023801",
            "! a value must be one of"},
        {"an empty value", PIPELINE_BODY,
            "1206"
            "1204"
            "0a02"
            "1a00",
            "! a value must be one of"},
        {"a value of two types", PIPELINE_BODY,
            "120a"
            "1208"
            "0a06"
            "1a04"
            "10021002",
            "! the body is not valid protobuf: a value is of two types"},
        {"an unknown field in a value", PIPELINE_BODY,
            "120a"
            "1208"
            "0a06"
            "1a04"
            "38011002",
            "-\nexecute s0 c0 m0 -(1)"},
        {"an integer as fixed64", PIPELINE_BODY,
            "120f"
            "120d"
            "0a0b"
            "1a09"
            "110000000000000000",
            "! the body is not valid protobuf: a field has"},
        {"a float as a varint", PIPELINE_BODY,
            "1208"
            "1206"
            "0a04"
            "1a021801",
            "! the body is not valid protobuf: a field has"},
        {"a text that is not UTF-8", PIPELINE_BODY,
            "1209"
            "1207"
            "0a05"
            "1a03"
            "2201ff",
            "! the body is not valid protobuf: a text is not UTF-8"},
        {"a blob that is not UTF-8", PIPELINE_BODY,
            "1209"
            "1207"
            "0a05"
            "1a03"
            "2a01ff",
            "-\nexecute s0 c0 m0 -(x'\\ff')"},
        {"want_rows of 2", PIPELINE_BODY,
            "1206"
            "1204"
            "0a02"
            "2802",
            "-\nexecute s0 c0 m0 -()"},
        {"want_rows of 0", PIPELINE_BODY,
            "1206"
            "1204"
            "0a02"
            "2800",
            "-\nexecute s0 c0 m0 -()!"},
        {"a named argument without value", PIPELINE_BODY,
            "1209"
            "1207"
            "0a05"
            "22030a0161",
            "! the value of a named argument"},
        {"SQL that is not UTF-8", PIPELINE_BODY,
            "1207"
            "1205"
            "0a03"
            "0a01ff",
            "! the body is not valid protobuf: a text is not UTF-8"},
    };
    struct buf words;

    buf_init(&words, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        decode_hex(&words, cases[i].form, cases[i].hex);
        if (!ok(str_starts_with(str_from(words.bytes), cases[i].want), "%s", cases[i].name))
            printf("# got  %s\n# want %s\n", words.bytes, cases[i].want);
    }
    buf_fini(&words);
}

/* ---- limits ---- */

static void wrap(struct buf *bytes, unsigned char tag)
{
    struct buf inner;

    buf_init(&inner, 0);
    buf_take(&inner, bytes);
    buf_char(bytes, (char)tag);
    put_varint(bytes, inner.len);
    buf_str(bytes, buf_view(&inner));
    buf_fini(&inner);
}

/* A cursor whose only step has `depth` conditions in one another. */
static void nested(struct buf *words, unsigned depth, unsigned char tag)
{
    struct buf bytes;

    buf_init(&bytes, 0);
    append_hex(&bytes, "0800");
    for (unsigned i = 1; i < depth; i++) {
        if (tag != 0x1a)
            wrap(&bytes, 0x0a); /* conds */
        wrap(&bytes, tag);
    }
    wrap(&bytes, 0x0a); /* condition */
    append_hex(&bytes, "1200");
    wrap(&bytes, 0x0a); /* steps */
    wrap(&bytes, 0x12); /* batch */
    decode(words, CURSOR_BODY, buf_view(&bytes));
    buf_fini(&bytes);
}

static void repeat(
    struct buf *words, enum form form, const char *hex, unsigned times, bool in_batch)
{
    struct buf bytes;

    buf_init(&bytes, 0);
    for (unsigned i = 0; i < times; i++)
        append_hex(&bytes, hex);
    if (in_batch)
        wrap(&bytes, 0x12);
    decode(words, form, buf_view(&bytes));
    buf_fini(&bytes);
}

static void test_limits(void)
{
    struct buf words;

    buf_init(&words, 0);
    for (unsigned char tag = 0x1a; tag <= 0x2a; tag = (unsigned char)(tag + 8)) {
        nested(&words, 32, tag);
        ok(words.bytes[0] == '-', "conditions 32 deep (%02x)", tag);
        nested(&words, 33, tag);
        is_str(words.bytes, "too_large conditions nest more than 32 deep", "and 33");
    }
    nested(&words, 20000, 0x1a);
    is_str(words.bytes, "too_large conditions nest more than 32 deep", "and 20,000");
    repeat(&words, PIPELINE_BODY, "12020a00", 20, false);
    ok(words.bytes[0] == '-', "20 requests");
    repeat(&words, PIPELINE_BODY, "12020a00", 21, false);
    is_str(words.bytes, "too_large a pipeline takes at most 20 requests", "and 21");
    repeat(&words, CURSOR_BODY, "0a021200", 10, true);
    ok(words.bytes[0] == '-', "10 steps");
    repeat(&words, CURSOR_BODY, "0a021200", 11, true);
    is_str(words.bytes, "too_large a batch takes at most 10 steps", "and 11");
    buf_fini(&words);
}

/* Refused for memory at any size of the arena, and never read wrongly. */
static void test_memory(void)
{
    struct hrana_pipeline pipeline;
    struct buf bytes;
    size_t refused = 0;
    size_t limit;

    buf_init(&bytes, 0);
    append_hex(&bytes, PIPELINE);
    for (limit = 8; limit < 1 << 20; limit += 8) {
        struct err err = ERR_INIT;
        struct arena arena;
        int result;

        arena_init(&arena, limit);
        result = hrana_protobuf_pipeline(buf_view(&bytes), &limits, &arena, &pipeline, &err);
        arena_fini(&arena);
        if (result == 0)
            break;
        refused += err.code == ERR_TOO_LARGE;
    }
    is_int(refused, limit / 8 - 1, "too little memory is ERR_TOO_LARGE");
    ok(limit < 8192, "a small pipeline needs little (%zu bytes)", limit);
    buf_fini(&bytes);
}

int main(void)
{
    test_vectors();
    test_cuts();
    test_by_hand();
    test_limits();
    test_memory();
    return done_testing();
}
