/* Transactions that a client wrote out (MODE_SCRIPT): BEGIN, statements, COMMIT, ROLLBACK.
 *
 * Beside others, in a group or in a read transaction, its three verbs are not run: a savepoint is
 * there already, and what they would answer is known. Whatever is not so simple (SQLite took the
 * transaction back, a commit failed) runs again alone, with its own words. */
#include <sqlite3.h>

#include "tenants/execute.h"

#define NO_TRANSACTION "cannot rollback - no transaction is active" /* SQLite's words */

static bool is_active(const struct lane *lane)
{
    return !sqlite3_get_autocommit(connection_db(lane->connection));
}

/* In place of BEGIN, COMMIT or ROLLBACK. */
static enum run_result verb_step(
    struct lane *lane, struct request *request, unsigned index, unsigned flags) ON(actor_owner)
{
    const struct statement_stats stats = {.is_write = true};
    struct err err = ERR_INIT;

    if (execute_is_skipped(lane, request, index))
        return RUN_OK;
    if (index == 0) {
        (void)!execute_check_blocks(lane, request, NULL, &err);
    } else if (index + 2 == request->statement_count) {
        (void)execute_deferred_keys_violated(lane, &err);
    } else if (request->step_states[0] != STEP_OK) {
        (void)err_set(&err, ERR_SQL, NO_TRANSACTION);
        err.native = SQLITE_ERROR;
    } else if ((flags & RUN_IN_GROUP) != 0) {
        (void)execute_verb(lane, VERB_ROLLBACK_TO_REQUEST);
    }
    if (err.code != ERR_NONE) {
        execute_report(request, index, &err);
        return RUN_FAILED;
    }
    request->step_states[index] = STEP_OK;
    request->total.is_write = true;
    request->sink->ops->begin(request->sink, index, NULL, 0);
    request->sink->ops->end(request->sink, index, &stats);
    return RUN_OK;
}

enum run_result script_beside_others(
    struct lane *lane, struct request *request, unsigned from, unsigned flags)
{
    enum run_result result = from == 0 ? execute_check_texts(lane, request, flags) : RUN_OK;

    if (result != RUN_OK)
        return result;
    for (unsigned i = from; i < request->statement_count; i++) {
        bool is_verb = i == 0 || i + 2 >= request->statement_count;

        request->result_mark = request->sink->out.len;
        result = is_verb ? verb_step(lane, request, i, flags)
                         : execute_statement(lane, request, i, flags);
        if ((result != RUN_OK && result != RUN_FAILED) || !is_active(lane))
            return result;
    }
    return request->err.code == ERR_NONE ? RUN_OK : RUN_FAILED;
}

enum run_result script_alone(struct lane *lane, struct request *request, unsigned flags)
{
    enum run_result result = RUN_OK;

    flags |= RUN_IN_STREAM;
    request->sink_mark = request->sink->out.len;
    execute_begin(lane, request, flags);
    result = execute_check_texts(lane, request, flags);
    for (unsigned i = 0; result == RUN_OK && i < request->statement_count; i++) {
        request->result_mark = request->sink->out.len;
        result = execute_statement(lane, request, i, flags);
        if (result == RUN_FAILED) /* of a step: the conditions say what comes next */
            result = RUN_OK;
    }
    if (is_active(lane))
        (void)execute_verb(lane, VERB_ROLLBACK);
    execute_end(lane);
    return result == RUN_OK && request->err.code != ERR_NONE ? RUN_FAILED : result;
}

void script_busy(struct request *request, const struct err *err)
{
    unsigned last = request->statement_count - 1;
    struct err nothing = ERR_INIT;

    execute_report(request, 0, err);
    for (unsigned i = 1; i < last; i++) {
        request->step_states[i] = STEP_SKIPPED;
        request->sink->ops->skipped(request->sink, i);
    }
    (void)err_set(&nothing, ERR_SQL, NO_TRANSACTION);
    nothing.native = SQLITE_ERROR;
    execute_report(request, last, &nothing);
}
