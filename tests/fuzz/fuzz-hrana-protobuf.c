/* Hrana's requests in protobuf: any bytes are refused or become a model within its limits, all of
 * which can be read. The first byte says what the others are: p a pipeline, c a cursor, else a
 * message over WebSocket. */
#include "proto/hrana/protobuf.h"
#include "tenants/base/check.h"
#include "tests/fuzz/target.h"
#include "tests/lib/hrana_words.h"

#define ARENA_BYTES (8U << 20)

static const struct hrana_limits limits = {.depth = 20, .requests = 50, .steps = 40};

static unsigned depth_of(const struct condition *condition)
{
    unsigned deepest = 0;

    for (; condition != NULL; condition = condition->next) {
        if (condition->type == CONDITION_NOT)
            CHECK(condition->first != NULL && condition->first->next == NULL);
        deepest = MAX(deepest, 1 + depth_of(condition->first));
    }
    return deepest;
}

static void check_text(struct str text)
{
    CHECK(text.ptr == NULL || str_is_utf8(text));
}

static void check_stmt(const struct hrana_stmt *stmt)
{
    check_text(stmt->sql.text);
    for (unsigned i = 0; i < stmt->arg_count; i++) {
        CHECK(stmt->args[i].name.len == 0);
        if (stmt->args[i].value.type == VALUE_TEXT)
            check_text(stmt->args[i].value.bytes);
    }
    for (unsigned i = 0; i < stmt->named_arg_count; i++)
        check_text(stmt->named_args[i].name);
}

static void check_batch(const struct hrana_batch *batch)
{
    CHECK(batch->step_count <= limits.steps);
    for (unsigned i = 0; i < batch->step_count; i++) {
        CHECK(depth_of(batch->steps[i].condition) <= limits.depth);
        check_stmt(&batch->steps[i].stmt);
    }
}

static void check_request(const struct hrana_request *request, struct buf *words)
{
    CHECK(request->type < HRANA_REQUEST_TYPE_COUNT);
    check_text(request->sql.text);
    check_stmt(&request->stmt);
    check_batch(&request->batch);
    say_request(words, request);
}

static int read_body(
    char kind, struct str body, struct arena *arena, struct buf *words, struct err *err)
{
    struct hrana_pipeline pipeline;
    struct hrana_cursor cursor;
    struct hrana_message message;

    if (kind == 'p') {
        if (hrana_protobuf_pipeline(body, &limits, arena, &pipeline, err) < 0)
            return -1;
        CHECK(pipeline.request_count <= limits.requests);
        check_text(pipeline.baton);
        for (unsigned i = 0; i < pipeline.request_count; i++) {
            check_request(&pipeline.requests[i], words);
            CHECK(pipeline.requests[i].type < HRANA_OPEN_STREAM);
        }
    } else if (kind == 'c') {
        if (hrana_protobuf_cursor(body, &limits, arena, &cursor, err) < 0)
            return -1;
        check_text(cursor.baton);
        check_batch(&cursor.batch);
        say_batch(words, &cursor.batch);
    } else {
        if (hrana_protobuf_message(body, &limits, arena, &message, err) < 0)
            return -1;
        check_text(message.jwt);
        if (message.type == HRANA_REQUEST)
            check_request(&message.request, words);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct err err = ERR_INIT;
    struct arena arena;
    struct buf words;

    if (len == 0)
        return 0;
    arena_init(&arena, ARENA_BYTES);
    buf_init(&words, 0);
    if (read_body(
            (char)bytes[0], str_make((const char *)bytes + 1, len - 1), &arena, &words, &err) < 0)
        CHECK(err.code == ERR_BAD_REQUEST || err.code == ERR_TOO_LARGE);
    /* What it takes is bounded by what came: lists are counted, never grown. */
    CHECK(arena.used_bytes <= 512 + 200 * len);
    buf_fini(&words);
    arena_fini(&arena);
    return 0;
}
