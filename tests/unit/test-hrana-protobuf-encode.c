/* Hrana's answers in protobuf against the bytes that Python's protobuf runtime writes, and what is
 * left after the engine has cut some off again. */
#include "proto/hrana/protobuf.h"
#include "tests/lib/hrana_bytes.h"
#include "tests/lib/hrana_vectors.h"
#include "tests/lib/tap.h"

static const struct hrana_encoder_ops *const ops = &hrana_protobuf_ops;

static const struct column columns[] = {
    {{"a", 1}, {"INTEGER", 7}}, {{"a", 1}, {NULL, 0}}, {{"", 0}, {NULL, 0}}};
static const struct hrana_error error = {{"no such table: t", 16}, "SQLITE_UNKNOWN"};
static unsigned char blob[200];
static const struct value values[] = {
    {.type = VALUE_NULL},
    {.type = VALUE_INTEGER, .integer = INT64_MIN},
    {.type = VALUE_INTEGER, .integer = -1},
    {.type = VALUE_INTEGER, .integer = 0},
    {.type = VALUE_INTEGER, .integer = 1},
    {.type = VALUE_INTEGER, .integer = INT64_MAX},
    {.type = VALUE_REAL, .real = 1.5},
    {.type = VALUE_REAL, .real = -0.0},
    {.type = VALUE_REAL, .real = __builtin_inf()},
    {.type = VALUE_TEXT, .bytes = {"", 0}},
    {.type = VALUE_TEXT, .bytes = {"h\xc3\xa9\0", 4}},
    {.type = VALUE_BLOB, .bytes = {"", 0}},
    {.type = VALUE_BLOB, .bytes = {(const char *)blob, sizeof(blob)}},
};
static const struct statement_stats nothing;
static const struct statement_stats written = {.is_write = true,
    .is_insert = true,
    .changes = 300,
    .last_insert_rowid = INT64_MIN,
    .rows_read = 4,
    .rows_written = 301,
    .duration_ns = 1234999};
/* A read: what it says of changes is older. */
static const struct statement_stats read_one = {
    .changes = 5, .last_insert_rowid = 6, .rows_read = 1, .duration_ns = 999};

static void result(struct hrana_encoder *e)
{
    ops->stmt_begin(e, columns, 3);
    (void)!ops->row(e, values, ARRAY_LEN(values));
    (void)!ops->row(e, NULL, 0);
    (void)!ops->row(e, values, 1);
    ops->stmt_end(e, &written);
}

static void empty_result(struct hrana_encoder *e)
{
    ops->stmt_begin(e, NULL, 0);
    ops->stmt_end(e, &nothing);
}

static void batch(struct hrana_encoder *e)
{
    struct hrana_step_error errors[131] = {{.is_set = false}};

    errors[1] = (struct hrana_step_error){true, error};
    errors[130] = (struct hrana_step_error){true, {{"", 0}, "X"}};
    ops->batch_begin(e);
    ops->stmt_begin(e, columns + 1, 1);
    (void)!ops->row(e, values + 4, 1);
    ops->stmt_end(e, &read_one);
    ops->step_skipped(e); /* it failed */
    ops->step_skipped(e);
    result(e);
    empty_result(e);
    for (int i = 5; i < 131; i++)
        ops->step_skipped(e);
    ops->batch_end(e, errors, ARRAY_LEN(errors));
}

static void description(struct hrana_encoder *e)
{
    static const struct str parameters[] = {{":x", 2}, {NULL, 0}, {"?3", 2}};
    static const struct column described[] = {{{"a", 1}, {"INTEGER", 7}}, {{"", 0}, {NULL, 0}}};
    static const struct statement_description all = {parameters, 3, described, 2, true, true};

    ops->described(e, &all);
}

static void entries(struct hrana_encoder *e)
{
    static const struct statement_stats inserted = {
        .is_write = true, .is_insert = true, .changes = 1};

    ops->entry_step_begin(e, 0, columns, 3);
    (void)!ops->entry_row(e, values, ARRAY_LEN(values));
    (void)!ops->entry_row(e, NULL, 0);
    ops->entry_step_end(e, &inserted);
    ops->entry_step_begin(e, 200, NULL, 0);
    ops->entry_step_end(e, &read_one);
    ops->entry_step_error(e, 201, &error);
    ops->entry_step_error(e, 0, &error);
    ops->entry_error(e, &error);
}

static void start(struct hrana_encoder *e, struct buf *out, enum hrana_envelope envelope)
{
    buf_init(out, 0);
    *e = (struct hrana_encoder){.ops = ops, .out = out, .envelope = envelope};
}

/* The bytes without padding are the message `want`. */
static void finish(struct hrana_encoder *e, const char *want, const char *name)
{
    struct buf bare;
    struct buf hex;

    ok(e->depth == 0 && !e->out->failed, "%s: nothing is left open", name);
    buf_init(&bare, 0);
    buf_init(&hex, 0);
    without_padding(&bare, buf_view(e->out));
    is_str(to_hex(&hex, buf_view(&bare)), want, name);
    buf_fini(&bare);
    buf_fini(&hex);
    buf_fini(e->out);
}

/* ---- HTTP ---- */

static void simple(struct hrana_encoder *e, enum hrana_request_type type)
{
    ops->response_begin(e, type);
    ops->response_end(e, type);
}

static void with(
    struct hrana_encoder *e, enum hrana_request_type type, void (*body)(struct hrana_encoder *e))
{
    ops->response_begin(e, type);
    body(e);
    ops->response_end(e, type);
}

static void empty_batch(struct hrana_encoder *e)
{
    ops->batch_begin(e);
    ops->batch_end(e, NULL, 0);
}

static void empty_description(struct hrana_encoder *e)
{
    static const struct statement_description none;

    ops->described(e, &none);
}

static void autocommit_on(struct hrana_encoder *e)
{
    ops->autocommit(e, true);
}

static void autocommit_off(struct hrana_encoder *e)
{
    ops->autocommit(e, false);
}

static void pipeline(struct hrana_encoder *e)
{
    ops->pipeline_begin(e);
    with(e, HRANA_EXECUTE, result);
    with(e, HRANA_EXECUTE, empty_result);
    ops->response_error(e, &error);
    with(e, HRANA_BATCH, batch);
    with(e, HRANA_BATCH, empty_batch);
    simple(e, HRANA_SEQUENCE);
    with(e, HRANA_DESCRIBE, description);
    with(e, HRANA_DESCRIBE, empty_description);
    simple(e, HRANA_STORE_SQL);
    simple(e, HRANA_CLOSE_SQL);
    with(e, HRANA_GET_AUTOCOMMIT, autocommit_on);
    with(e, HRANA_GET_AUTOCOMMIT, autocommit_off);
    simple(e, HRANA_CLOSE);
}

static void test_http(void)
{
    struct hrana_encoder e;
    struct buf out;
    struct buf want;

    start(&e, &out, HRANA_HTTP);
    pipeline(&e);
    ops->pipeline_end(&e, STR_LITERAL("b2"));
    finish(&e, RESULTS BATON, "a pipeline's answer");
    start(&e, &out, HRANA_HTTP);
    ops->pipeline_begin(&e);
    ops->pipeline_end(&e, str_make(NULL, 0));
    finish(&e, "", "one of nothing");

    start(&e, &out, HRANA_HTTP);
    ops->cursor_begin(&e, STR_LITERAL("b3"));
    entries(&e);
    buf_init(&want, 0);
    buf_char(&want, sizeof(CURSOR_HEAD) / 2);
    append_hex(&want, CURSOR_HEAD ENTRIES);
    ok(str_equal(buf_view(&out), buf_view(&want)), "a cursor's entries, each with its length");
    buf_fini(&out);
    start(&e, &out, HRANA_HTTP);
    ops->cursor_begin(&e, str_make(NULL, 0));
    ok(out.len == 1 && out.bytes[0] == 0, "a cursor without a baton");
    buf_fini(&out);
    buf_fini(&want);
    is_str(ops->content_type, "application/x-protobuf", "content type");
    is_str(ops->cursor_content_type, "application/octet-stream", "and a cursor's");
}

/* ---- WebSocket ---- */

static void test_websocket(void)
{
    static const struct {
        enum hrana_request_type type;
        int32_t request_id;
        void (*body)(struct hrana_encoder *e);
        const char *want;
        const char *name;
    } cases[] = {
        {HRANA_EXECUTE, 5, result, WS_EXECUTED, "execute"},
        {HRANA_BATCH, 0, batch, WS_BATCHED, "batch"},
        {HRANA_DESCRIBE, INT32_MAX, description, WS_DESCRIBED, "describe"},
        {HRANA_GET_AUTOCOMMIT, -1, autocommit_on, WS_AUTOCOMMIT, "get_autocommit"},
        {HRANA_OPEN_STREAM, 1, NULL, WS_OPENED, "open_stream"},
        {HRANA_CLOSE, 1, NULL, WS_CLOSED, "close_stream"},
        {HRANA_OPEN_CURSOR, 1, NULL, WS_CURSOR_OPENED, "open_cursor"},
        {HRANA_CLOSE_CURSOR, 1, NULL, WS_CURSOR_CLOSED, "close_cursor"},
        {HRANA_SEQUENCE, 1, NULL, WS_SEQUENCED, "sequence"},
        {HRANA_STORE_SQL, 1, NULL, WS_STORED, "store_sql"},
        {HRANA_CLOSE_SQL, 1, NULL, WS_UNSTORED, "close_sql"},
    };
    struct hrana_encoder fetched;
    struct hrana_encoder e;
    struct buf kept;
    struct buf out;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        start(&e, &out, HRANA_WEBSOCKET);
        e.request_id = cases[i].request_id;
        ops->response_begin(&e, cases[i].type);
        if (cases[i].body != NULL)
            cases[i].body(&e);
        ops->response_end(&e, cases[i].type);
        finish(&e, cases[i].want, cases[i].name);
    }
    start(&e, &out, HRANA_WEBSOCKET);
    e.request_id = -3;
    ops->response_error(&e, &error);
    finish(&e, WS_ERROR, "response_error");
    start(&e, &out, HRANA_WEBSOCKET);
    ops->hello_ok(&e);
    finish(&e, HELLO_OK, "hello_ok");
    start(&e, &out, HRANA_WEBSOCKET);
    ops->hello_error(&e, &error);
    finish(&e, HELLO_ERROR, "hello_error");

    start(&fetched, &kept, HRANA_WEBSOCKET);
    entries(&fetched);
    start(&e, &out, HRANA_WEBSOCKET);
    e.request_id = 1;
    ops->response_begin(&e, HRANA_FETCH_CURSOR);
    ops->fetch_begin(&e);
    buf_str(&out, buf_view(&kept));
    ops->fetch_end(&e, true);
    ops->response_end(&e, HRANA_FETCH_CURSOR);
    finish(&e, WS_FETCHED, "fetch_cursor");
    buf_fini(&kept);
    start(&e, &out, HRANA_WEBSOCKET);
    e.request_id = 1;
    ops->response_begin(&e, HRANA_FETCH_CURSOR);
    ops->fetch_begin(&e);
    ops->fetch_end(&e, false);
    ops->response_end(&e, HRANA_FETCH_CURSOR);
    finish(&e, WS_FETCHED_NONE, "fetch_cursor of nothing");
}

/* ---- texts ---- */

static void test_texts(void)
{
    static const struct value bad[] = {
        {.type = VALUE_INTEGER, .integer = 1}, {.type = VALUE_TEXT, .bytes = {"x\xff", 2}}};
    static const struct value bytes[] = {{.type = VALUE_BLOB, .bytes = {"x\xff", 2}}};
    static const struct column named[] = {{{"x\xff", 2}, {"\x80", 1}}};
    static const struct hrana_error said = {{"near \xe9", 6}, "X"};
    struct hrana_encoder e;
    struct buf out;
    size_t before;

    start(&e, &out, HRANA_HTTP);
    ops->response_begin(&e, HRANA_EXECUTE);
    ops->stmt_begin(&e, NULL, 0);
    before = out.len;
    ok(ops->row(&e, bad, 2) < 0 && out.len == before, "a text that is not UTF-8 writes nothing");
    ok(ops->entry_row(&e, bad, 2) < 0 && out.len == before, "nor in a cursor");
    ok(ops->row(&e, bytes, 1) == 0 && out.len > before, "a blob may hold anything");
    buf_fini(&out);

    start(&e, &out, HRANA_WEBSOCKET);
    ops->entry_step_begin(&e, 0, named, 1);
    finish(&e,
        "0a0f0a0d120b"
        "0a0478efbfbd"
        "1203efbfbd",
        "names are mended");
    start(&e, &out, HRANA_WEBSOCKET);
    ops->hello_error(&e, &said);
    finish(&e,
        "120f"
        "0a0d"
        "0a086e65617220efbfbd"
        "120158",
        "and so are messages");
}

/* ---- what is cut off ---- */

/* Every place where a call ended, and what it was worth. */
#define MARKS_MAX 64

struct journal {
    struct hrana_encoder *e;
    size_t lens[MARKS_MAX];
    unsigned count;
};

static void note(struct journal *j)
{
    if (j->count < MARKS_MAX)
        j->lens[j->count++] = j->e->out->len;
}

/* One step with two rows; the engine cuts it back to `from_row` rows (after `ended`: it had ended)
 * and goes on from there. */
static void batch_with_a_cut(struct hrana_encoder *e, unsigned from_row, bool ended)
{
    struct journal j = {.e = e};
    unsigned step;

    ops->response_begin(e, HRANA_BATCH);
    ops->batch_begin(e);
    ops->step_skipped(e);
    empty_result(e);
    step = e->step;
    note(&j);
    ops->stmt_begin(e, columns, 3);
    note(&j);
    for (unsigned i = 0; i < 2; i++) {
        (void)!ops->row(e, values, ARRAY_LEN(values));
        note(&j);
    }
    if (ended)
        ops->stmt_end(e, &written);
    buf_truncate(e->out, j.lens[from_row]);
    ops->rewound(e);
    e->step = step;
    if (from_row == 0)
        ops->stmt_begin(e, columns, 3);
    for (unsigned i = from_row == 0 ? 0 : from_row - 1; i < 2; i++)
        (void)!ops->row(e, values, ARRAY_LEN(values));
    ops->stmt_end(e, &written);
    empty_result(e);
    ops->batch_end(e, NULL, 0);
    ops->response_end(e, HRANA_BATCH);
}

static void batch_without_a_cut(struct hrana_encoder *e)
{
    ops->response_begin(e, HRANA_BATCH);
    ops->batch_begin(e);
    ops->step_skipped(e);
    empty_result(e);
    ops->stmt_begin(e, columns, 3);
    for (unsigned i = 0; i < 2; i++)
        (void)!ops->row(e, values, ARRAY_LEN(values));
    ops->stmt_end(e, &written);
    empty_result(e);
    ops->batch_end(e, NULL, 0);
    ops->response_end(e, HRANA_BATCH);
}

static void test_cuts_in(enum hrana_envelope envelope, const char *name)
{
    struct hrana_encoder e;
    struct hrana_encoder whole;
    struct buf out;
    struct buf want;

    start(&whole, &want, envelope);
    batch_without_a_cut(&whole);
    for (unsigned row = 0; row <= 3; row++) {
        for (unsigned ended = 0; ended <= 1; ended++) {
            start(&e, &out, envelope);
            batch_with_a_cut(&e, row, ended == 1);
            ok(str_equal(buf_view(&out), buf_view(&want)),
                "%s: cut back to call %u of a step%s, and written again", name, row,
                ended ? " that had ended" : "");
            buf_fini(&out);
        }
    }
    buf_fini(&want);
}

/* The step reaches over its first end, is cut in the middle a second time, and ends. */
static void test_cut_twice(void)
{
    struct hrana_encoder e;
    struct buf out;
    struct buf want;
    struct hrana_encoder whole;
    size_t mark;

    start(&whole, &want, HRANA_HTTP);
    ops->response_begin(&whole, HRANA_EXECUTE);
    ops->stmt_begin(&whole, columns, 3);
    for (unsigned i = 0; i < 6; i++)
        (void)!ops->row(&whole, values, ARRAY_LEN(values));
    ops->stmt_end(&whole, &written);
    ops->response_end(&whole, HRANA_EXECUTE);

    start(&e, &out, HRANA_HTTP);
    ops->response_begin(&e, HRANA_EXECUTE);
    ops->stmt_begin(&e, columns, 3);
    (void)!ops->row(&e, values, ARRAY_LEN(values));
    mark = out.len;
    (void)!ops->row(&e, values, ARRAY_LEN(values));
    ops->stmt_end(&e, &written);
    buf_truncate(&out, mark);
    ops->rewound(&e);
    for (unsigned i = 1; i < 5; i++)
        (void)!ops->row(&e, values, ARRAY_LEN(values));
    mark = out.len;
    (void)!ops->row(&e, values, 3);
    buf_truncate(&out, mark);
    ops->rewound(&e);
    (void)!ops->row(&e, values, ARRAY_LEN(values));
    ops->stmt_end(&e, &written);
    ops->response_end(&e, HRANA_EXECUTE);
    ok(str_equal(buf_view(&out), buf_view(&want)), "cut twice within a statement");
    buf_fini(&out);
    buf_fini(&want);
}

/* A statement fails after rows: its step has no result, and the next has its own number. */
static void test_failed_step(void)
{
    struct hrana_step_error errors[3] = {{.is_set = false}};
    struct hrana_encoder e;
    struct buf out;
    size_t mark;

    start(&e, &out, HRANA_WEBSOCKET);
    ops->response_begin(&e, HRANA_BATCH);
    ops->batch_begin(&e);
    ops->step_skipped(&e);
    mark = out.len;
    ops->stmt_begin(&e, columns, 3);
    (void)!ops->row(&e, values, 5);
    buf_truncate(&out, mark);
    ops->rewound(&e);
    ops->step_skipped(&e);
    empty_result(&e);
    errors[1] = (struct hrana_step_error){true, {{"m", 1}, "C"}};
    ops->batch_end(&e, errors, 3);
    ops->response_end(&e, HRANA_BATCH);
    /* response_ok { batch { result { step_results {2: {}} step_errors {1: {"m", "C"}} } } } */
    finish(&e,
        "1a16"
        "2a14"
        "0a12"
        "0a0408021200"
        "120a08011206"
        "0a016d"
        "120143",
        "a step that failed after rows");
}

/* A response becomes an error: its bytes are cut off first. */
static void test_failed_response(void)
{
    struct hrana_encoder e;
    struct buf out;

    start(&e, &out, HRANA_HTTP);
    ops->pipeline_begin(&e);
    ops->response_begin(&e, HRANA_BATCH);
    ops->batch_begin(&e);
    ops->stmt_begin(&e, columns, 3);
    buf_truncate(&out, 0);
    ops->rewound(&e);
    is_int(e.depth, 0, "nothing is open any more");
    ops->response_error(&e, &(struct hrana_error){{"m", 1}, "C"});
    ops->pipeline_end(&e, str_make(NULL, 0));
    finish(&e,
        "1a08"
        "1206"
        "0a016d"
        "120143",
        "and the error stands alone");
}

/* Whatever fits: no byte behind the limit, the mark set, and no trouble. */
static void test_limits(void)
{
    struct hrana_encoder e;
    struct buf out;
    size_t whole;
    size_t failed = 0;

    start(&e, &out, HRANA_HTTP);
    pipeline(&e);
    whole = out.len;
    buf_fini(&out);
    for (size_t limit = 1; limit < whole; limit++) {
        start(&e, &out, HRANA_HTTP);
        out.limit_bytes = limit;
        pipeline(&e);
        failed += out.failed && out.len <= limit;
        buf_truncate(&out, out.len / 2);
        ops->rewound(&e);
        buf_fini(&out);
    }
    is_int(failed, whole - 1, "a full buffer is its mark");
}

int main(void)
{
    for (unsigned i = 0; i < sizeof(blob); i++)
        blob[i] = (unsigned char)i;
    test_http();
    test_websocket();
    test_texts();
    test_cuts_in(HRANA_HTTP, "HTTP");
    test_cuts_in(HRANA_WEBSOCKET, "WebSocket");
    test_cut_twice();
    test_failed_step();
    test_failed_response();
    test_limits();
    return done_testing();
}
