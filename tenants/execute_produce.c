/* A producer: an answer made piece by piece, in chunks as its reader takes them. */
#include <sqlite3.h>

#include "tenants/execute.h"

/* Why produce() answered -1. */
static enum run_result judge(struct lane *lane, struct request *request, struct err *err)
    ON(actor_owner)
{
    if (lane->stop != STOP_NONE) {
        enum run_result result = execute_stopped(lane, err);

        if (result != RUN_FAILED)
            return result;
    } else if (err->code == ERR_BUSY) {
        return RUN_BUSY;
    } else if (err->code == ERR_NOMEM) {
        (void)execute_error(lane, SQLITE_NOMEM, err);
    }
    err_copy(&request->err, err);
    return RUN_FAILED;
}

static enum run_result fail(struct request *request, const struct err *err)
{
    err_copy(&request->err, err);
    return RUN_FAILED;
}

/* To the end, an error, or a pause. */
static enum run_result run(struct lane *lane, struct request *request, unsigned flags)
    ON(actor_owner)
{
    const struct engine_options *options = &lane->actor->engine->options;
    struct buf *out = &request->sink->out;
    struct err err = ERR_INIT;
    enum run_result result;

    for (;;) {
        int more = request->producer->produce(
            request->producer, connection_db(lane->connection), out, &err);

        if (more < 0)
            return judge(lane, request, &err);
        if (out->failed) {
            (void)err_set(&err, ERR_RESULT_TOO_LARGE, "one piece of the answer is too large");
            return fail(request, &err);
        }
        if (more == 0)
            return RUN_OK;
        if (out->len < options->stream_chunk_bytes)
            continue;
        result = execute_send_chunk(lane, request, flags, &err);
        if (result == RUN_FAILED)
            return fail(request, &err);
        if (result != RUN_OK)
            return result;
    }
}

enum run_result execute_produce(struct lane *lane, struct request *request, unsigned flags)
{
    enum run_result result;

    if (lane->cursor_request == NULL &&
        unlikely(execute_check_blocks(lane, request, NULL, &request->err) < 0))
        return RUN_FAILED;
    result = run(lane, request, flags);
    lane->cursor_request = result == RUN_PAUSED ? request : NULL;
    if (result == RUN_PAUSED)
        return result;
    request->producer->end(request->producer);
    if (request->streamed && result != RUN_OK && result != RUN_FAILED) {
        (void)err_set(&request->err, ERR_BUG, "a streaming read lost its place");
        return RUN_FAILED;
    }
    return result;
}
