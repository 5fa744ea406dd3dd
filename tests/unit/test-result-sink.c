/* Results as bytes: query and batch, both formats, rewinding, failures in the middle, streaming. */
#include "proto/encoder.h"
#include "proto/result_sink.h"
#include "tests/lib/tap.h"

static const struct column columns[] = {
    {.name = STR_LITERAL("id")},
    {.name = STR_LITERAL("a\"b")},
};
static const struct value row[] = {
    {.type = VALUE_INTEGER, .integer = 7},
    {.type = VALUE_TEXT, .bytes = STR_LITERAL("x")},
};
static const struct statement_stats read_stats = {.rows_read = 2, .rows_returned = 2};
static const struct statement_stats write_stats = {.rows_read = 1,
    .rows_written = 1,
    .changes = 1,
    .last_insert_rowid = 9,
    .is_write = true,
    .is_insert = true};

static void run_read(struct sink *sink, unsigned statement, unsigned rows)
{
    sink->ops->begin(sink, statement, columns, 2);
    for (unsigned i = 0; i < rows; i++)
        sink->ops->row(sink, row, 2);
    sink->ops->end(sink, statement, &read_stats);
}

static void run_write(struct sink *sink, unsigned statement)
{
    sink->ops->begin(sink, statement, NULL, 0);
    sink->ops->end(sink, statement, &write_stats);
}

static void run_error(struct sink *sink, unsigned statement)
{
    struct err err = ERR_INIT;

    (void)err_set(&err, ERR_SQL, "no");
    sink->ops->error(sink, statement, &err, STR_LITERAL("bad"));
}

static void write_error(struct result_sink *results, const struct err *err, struct str sql)
{
    struct encoder e;

    encoder_init(&e, &results->sink.out, results->format);
    encoder_object(&e);
    encoder_key(&e, "error");
    encoder_cstring(&e, err->msg);
    encoder_end(&e);
}

/* The answer as JSON text, whatever its format, and whether it is one whole document. */
static const char *as_json(struct result_sink *results, struct arena *arena)
{
    static char text[4096];
    struct buf out = {.bytes = NULL};
    const struct node *root = NULL;
    struct err err = ERR_INIT;

    if (document_read_object(
            results->format, buf_view(&results->sink.out), 16, false, arena, &root, &err) < 0) {
        (void)snprintf(text, sizeof(text), "not a document: %s: %.*s", err.msg,
            (int)results->sink.out.len, results->sink.out.bytes);
        return text;
    }
    node_write_json(root, &out);
    (void)snprintf(text, sizeof(text), "%.*s", (int)out.len, out.bytes);
    buf_fini(&out);
    return text;
}

#define META_1                                                                                     \
    "{\"rowsRead\":2,\"rowsWritten\":0,\"durationMs\":0.0,\"statementCount\":1,\"costUsd\":0.0}"

static void test_query(enum body_format format)
{
    struct arena arena;
    struct result_sink results;
    struct request request = {.statement_count = 1, .total = read_stats};

    arena_init(&arena, 0);
    result_sink_init(&results, format, false, NULL, &arena);
    run_read(&results.sink, 0, 2);
    result_sink_succeed(&results, &request);
    is_str(as_json(&results, &arena),
        "{\"data\":{\"columns\":[\"id\",\"a\\\"b\"],\"rows\":[[7,\"x\"],[7,\"x\"]],\"rowsRead\":2,"
        "\"rowsWritten\":0,\"meta\":" META_1 "},\"success\":true,\"meta\":" META_1 "}",
        "a query's rows");
    arena_reset(&arena);
    result_sink_init(&results, format, false, NULL, &arena);
    run_read(&results.sink, 0, 1);
    buf_truncate(&results.sink.out, 0);
    results.sink.ops->rewound(&results.sink);
    run_write(&results.sink, 0);
    ok(strstr(as_json(&results, &arena), "not a document") != NULL, "unfinished is no document");
    request.total = write_stats;
    result_sink_succeed(&results, &request);
    ok(strncmp(as_json(&results, &arena),
           "{\"data\":{\"columns\":[],\"rows\":[],\"rowsRead\":1,\"rowsWritten\":1,\"changes\":1,"
           "\"lastInsertRowid\":9,\"meta\":",
           100) == 0,
        "a write after a rewind: %s", as_json(&results, &arena));
    arena_fini(&arena);
}

static void test_batch(enum body_format format)
{
    struct arena arena;
    struct result_sink results;
    struct request request = {.statement_count = 4, .total = read_stats};
    struct buf entries;
    const char *text;

    arena_init(&arena, 0);
    result_sink_init(&results, format, true, NULL, &arena);
    results.on_error = write_error;
    run_read(&results.sink, 0, 0);
    run_error(&results.sink, 1);
    results.sink.ops->begin(&results.sink, 2, columns, 2);
    results.sink.ops->row(&results.sink, row, 2);
    run_error(&results.sink, 2); /* in the middle of its rows */
    run_write(&results.sink, 3);
    run_error(&results.sink, 3); /* a key deferred to its end */
    result_sink_succeed(&results, &request);
    text = as_json(&results, &arena);
    ok(strstr(text, "{\"data\":[{\"columns\":[\"id\",\"a\\\"b\"],\"rows\":[],\"rowsRead\":2,"
                    "\"rowsWritten\":0},{\"error\":\"no\"},{\"error\":\"no\"},{\"error\":\"no\"}],"
                    "\"success\":true,\"meta\":{") == text,
        "a batch that goes on has an entry for each: %s", text);
    is_int(results.failures, 3, "and counts its failures");

    buf_init(&entries, 0);
    arena_reset(&arena); /* frees the buffer of the last one */
    result_sink_init(&results, format, true, NULL, &arena);
    run_write(&results.sink, 0);
    results.sink.ops->begin(&results.sink, 1, columns, 2);
    results.sink.ops->row(&results.sink, row, 2);
    run_error(&results.sink, 1);
    if (format == BODY_MSGPACK)
        msgpack_write_map(&entries, 1);
    else
        buf_literal(&entries, "{\"r\":");
    if (format == BODY_MSGPACK)
        msgpack_write_string(&entries, STR_LITERAL("r"));
    result_sink_entries(&results, &entries);
    if (format == BODY_JSON)
        buf_char(&entries, '}');
    buf_take(&results.sink.out, &entries);
    is_str(as_json(&results, &arena),
        "{\"r\":[{\"columns\":[],\"rows\":[],\"rowsRead\":1,\"rowsWritten\":1,\"changes\":1,"
        "\"lastInsertRowid\":9}]}",
        "a batch that stopped gives what came before");
    arena_reset(&arena); /* frees the buffer of the last one */
    result_sink_init(&results, format, true, NULL, &arena);
    run_error(&results.sink, 0);
    result_sink_entries(&results, &entries);
    ok(entries.len == (format == BODY_JSON ? 2U : 1U), "and nothing when the first failed");
    buf_fini(&entries);
    arena_fini(&arena);
}

static void test_streaming(void)
{
    struct arena arena;
    struct result_sink results;
    struct buf sent;

    arena_init(&arena, 0);
    buf_init(&sent, 0);
    result_sink_init(&results, BODY_JSON, false, NULL, &arena);
    results.sink.ops->begin(&results.sink, 0, columns, 2);
    for (int i = 0; i < 3; i++) {
        results.sink.ops->row(&results.sink, row, 2);
        buf_str(&sent, buf_view(&results.sink.out));
        buf_reset(&results.sink.out, 0);
    }
    run_error(&results.sink, 0);
    result_sink_abort(&results, STR_LITERAL("{\"success\":false,\"error\":\"too slow\"}"));
    buf_str(&sent, buf_view(&results.sink.out));
    buf_take(&results.sink.out, &sent);
    is_str(as_json(&results, &arena),
        "{\"data\":{\"columns\":[\"id\",\"a\\\"b\"],\"rows\":[[7,\"x\"],[7,\"x\"],[7,\"x\"]]},"
        "\"success\":false,\"error\":\"too slow\"}",
        "a stream that fails closes its arrays and says so");
    buf_fini(&sent);
    arena_fini(&arena);
}

static void test_limits(void)
{
    struct arena arena;
    struct result_sink results;
    struct buf recycled;
    char *memory;

    arena_init(&arena, 0);
    buf_init(&recycled, 0);
    buf_literal(&recycled, "old");
    memory = recycled.bytes;
    result_sink_init(&results, BODY_JSON, false, &recycled, &arena);
    ok(results.sink.out.bytes == memory && results.sink.out.len == 0 && recycled.bytes == NULL,
        "the connection's buffer is used again");
    results.integers_as_strings = true;
    run_read(&results.sink, 0, 1);
    ok(memmem(results.sink.out.bytes, results.sink.out.len, "[\"7\",\"x\"]", 9) != NULL,
        "integers are strings for those who ask");
    arena_fini(&arena);
    arena_init(&arena, 0);
    result_sink_init(&results, BODY_JSON, false, NULL, &arena);
    results.sink.out.limit_bytes = 100;
    run_read(&results.sink, 0, 100);
    ok(results.sink.out.failed && results.sink.out.len <= 100, "the limit holds, and marks");
    arena_fini(&arena);
}

int main(void)
{
    test_query(BODY_JSON);
    test_query(BODY_MSGPACK);
    test_batch(BODY_JSON);
    test_batch(BODY_MSGPACK);
    test_streaming();
    test_limits();
    return done_testing();
}
