/* Hrana's JSON decoders: whatever they are given, they answer with a model whose parts are within
 * limits, or with an error that is described. The first byte chooses the decoder. */
#include "proto/hrana/model.h"
#include "tenants/base/check.h"
#include "tests/fuzz/target.h"

static const struct hrana_limits limits = {.depth = 64, .requests = 50, .steps = 50};

static size_t total; /* so that every byte is read */

static void look(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        total += (unsigned char)text.ptr[i];
}

static void look_at_args(const struct parameter *args, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        look(args[i].name);
        if (args[i].value.type == VALUE_TEXT || args[i].value.type == VALUE_BLOB)
            look(args[i].value.bytes);
    }
}

static void look_at_stmt(const struct hrana_stmt *stmt)
{
    look(stmt->sql.text);
    look_at_args(stmt->args, stmt->arg_count);
    look_at_args(stmt->named_args, stmt->named_arg_count);
}

static void look_at_batch(const struct hrana_batch *batch)
{
    uint8_t states[50] = {0};

    CHECK(batch->step_count <= limits.steps);
    for (unsigned i = 0; i < batch->step_count; i++) {
        look_at_stmt(&batch->steps[i].stmt);
        states[i] = condition_holds(batch->steps[i].condition, states, i, true);
    }
}

static void look_at(const struct hrana_request *request)
{
    struct err err = ERR_INIT;

    look(request->sql.text);
    look_at_stmt(&request->stmt);
    look_at_batch(&request->batch);
    for (int version = HRANA_1; version <= HRANA_3; version++) {
        if (hrana_check_request(request, (enum hrana_version)version, &err) < 0)
            CHECK(err.code != ERR_NONE && err.msg[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct hrana_pipeline pipeline;
    struct hrana_cursor cursor;
    struct hrana_request request;
    struct hrana_message message;
    struct err err = ERR_INIT;
    struct arena arena;
    struct str body;
    int rc;

    if (len == 0)
        return 0;
    body = str_make((const char *)bytes + 1, len - 1);
    arena_init(&arena, 1 << 20);
    switch (bytes[0]) {
    case 'p':
        rc = hrana_json_pipeline(body, &limits, &arena, &pipeline, &err);
        for (unsigned i = 0; rc == 0 && i < pipeline.request_count; i++)
            look_at(&pipeline.requests[i]);
        break;
    case 'c':
        rc = hrana_json_cursor(body, &limits, &arena, &cursor, &err);
        if (rc == 0)
            look_at_batch(&cursor.batch);
        break;
    case 'e':
        rc = hrana_json_v1(body, HRANA_EXECUTE, &limits, &arena, &request, &err);
        if (rc == 0)
            look_at(&request);
        break;
    case 'b':
        rc = hrana_json_v1(body, HRANA_BATCH, &limits, &arena, &request, &err);
        if (rc == 0)
            look_at(&request);
        break;
    default:
        rc = hrana_json_message(body, &limits, &arena, &message, &err);
        if (rc == 0)
            look_at(&message.request);
        break;
    }
    CHECK(rc == 0 || (err.code != ERR_NONE && err.msg[0] != '\0'));
    arena_fini(&arena);
    return 0;
}
