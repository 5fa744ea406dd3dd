/* What a statement takes and gives, without running it. */
#include <sqlite3.h>

#include "tenants/execute.h"

static int fill(sqlite3_stmt *stmt, struct arena *arena, struct statement_description *description)
{
    struct str *names = arena_array(arena, description->parameter_count + 1, sizeof(*names));
    struct column *columns = arena_array(arena, description->column_count + 1, sizeof(*columns));

    if (names == NULL || columns == NULL)
        return -1;
    for (unsigned i = 0; i < description->parameter_count; i++)
        names[i] = str_from(sqlite3_bind_parameter_name(stmt, (int)i + 1));
    for (unsigned i = 0; i < description->column_count; i++) {
        columns[i].name = str_from(sqlite3_column_name(stmt, (int)i));
        columns[i].decltype = str_from(sqlite3_column_decltype(stmt, (int)i));
    }
    description->parameters = names;
    description->columns = columns;
    return 0;
}

enum run_result execute_describe(
    struct lane *lane, struct request *request, unsigned index, struct statement *statement)
{
    struct statement_description description = {
        .parameter_count = statement->parameter_count,
        .column_count = statement->column_count,
        .is_explain = sqlite3_stmt_isexplain(statement->sqlite) != 0,
        .is_readonly = sqlite3_stmt_readonly(statement->sqlite) != 0,
    };
    struct err err = ERR_INIT;
    enum run_result result = RUN_OK;

    if (fill(statement->sqlite, request->arena, &description) == 0) {
        request->sink->ops->described(request->sink, index, &description);
    } else {
        (void)err_set(&err, ERR_TOO_LARGE, "the request needs too much memory");
        execute_report(request, index, &err);
        result = RUN_FAILED;
    }
    connection_release(lane->connection, statement);
    return result;
}
