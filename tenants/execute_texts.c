/* A batch whose texts cannot all be parsed is refused before its first step, as sqld does it. The
 * statements compiled for that are in the cache when their turn comes. */
#include "tenants/execute.h"
#include "tenants/sql_error.h"
#include "tenants/sql_text.h"

/* Compiling a pragma is enough for it to take effect; a script's verbs are known. */
static bool is_left_out(const struct request *request, unsigned index)
{
    return str_is_nocase(sql_verb(request->statements[index].sql).word, "PRAGMA") ||
           (request->mode == MODE_SCRIPT && (index == 0 || index + 2 >= request->statement_count));
}

static bool is_refused(const struct err *err)
{
    return err->code == ERR_GUARD || (err->code == ERR_SQL && sql_err_is_syntax(err));
}

enum run_result execute_check_texts(struct lane *lane, struct request *request, unsigned flags)
{
    for (unsigned i = 0; i < request->statement_count; i++) {
        struct str sql = request->statements[i].sql;
        struct statement *statement = NULL;
        struct str tail;
        struct err err = ERR_INIT;
        enum run_result result;
        bool is_long;

        if (is_left_out(request, i))
            continue;
        if (execute_find_statement(lane, sql, flags, &statement, &tail, &is_long, &err) == 0) {
            if (statement != NULL)
                connection_release(lane->connection, statement);
            continue;
        }
        result = execute_not_found(lane, flags, is_long, &err);
        if (result != RUN_FAILED)
            return result;
        if (!is_refused(&err) && lane->stop == STOP_NONE)
            continue;
        err_copy(&request->err, &err);
        request->failed_index = i;
        if (request->mode != MODE_SCRIPT)
            request->mode = MODE_STOP;
        return RUN_FAILED;
    }
    return RUN_OK;
}
