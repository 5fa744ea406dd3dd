#include "proto/hrana/model.h"

#include "tenants/base/check.h"

const char *hrana_request_name(enum hrana_request_type type, bool websocket)
{
    static const char *const names[HRANA_REQUEST_TYPE_COUNT] = {
        [HRANA_CLOSE] = "close",
        [HRANA_EXECUTE] = "execute",
        [HRANA_BATCH] = "batch",
        [HRANA_SEQUENCE] = "sequence",
        [HRANA_DESCRIBE] = "describe",
        [HRANA_STORE_SQL] = "store_sql",
        [HRANA_CLOSE_SQL] = "close_sql",
        [HRANA_GET_AUTOCOMMIT] = "get_autocommit",
        [HRANA_OPEN_STREAM] = "open_stream",
        [HRANA_OPEN_CURSOR] = "open_cursor",
        [HRANA_CLOSE_CURSOR] = "close_cursor",
        [HRANA_FETCH_CURSOR] = "fetch_cursor",
    };

    CHECK((unsigned)type < HRANA_REQUEST_TYPE_COUNT);
    return type == HRANA_CLOSE && websocket ? "close_stream" : names[type];
}

static int check_sql(const struct hrana_sql *sql, enum hrana_version version, struct err *ret_err)
{
    if (sql->has_id && version < HRANA_2)
        return err_set(ret_err, ERR_BAD_REQUEST, "'sql_id' takes version 2 of the protocol");
    if (sql->has_id && sql->text.ptr != NULL)
        return err_set(ret_err, ERR_BAD_REQUEST, "'sql' and 'sql_id' exclude each other");
    if (!sql->has_id && sql->text.ptr == NULL)
        return err_set(ret_err, ERR_BAD_REQUEST, "'sql' or 'sql_id' must be there");
    return 0;
}

int hrana_check_batch(
    const struct hrana_batch *batch, enum hrana_version version, struct err *ret_err)
{
    for (unsigned i = 0; i < batch->step_count; i++) {
        const struct hrana_step *step = &batch->steps[i];
        bool uses_autocommit = false;

        if (check_sql(&step->stmt.sql, version, ret_err) < 0)
            return -1;
        if (!condition_is_valid(step->condition, i, &uses_autocommit))
            return err_set(ret_err, ERR_BAD_REQUEST,
                "the condition of step %u refers to a step that is not earlier, or nests too deep",
                i);
        if (uses_autocommit && version < HRANA_3)
            return err_set(ret_err, ERR_BAD_REQUEST,
                "the condition 'is_autocommit' takes version 3 of the protocol");
    }
    return 0;
}

static enum hrana_version since(enum hrana_request_type type)
{
    switch (type) {
    case HRANA_SEQUENCE:
    case HRANA_DESCRIBE:
    case HRANA_STORE_SQL:
    case HRANA_CLOSE_SQL:
        return HRANA_2;
    case HRANA_GET_AUTOCOMMIT:
    case HRANA_OPEN_CURSOR:
    case HRANA_CLOSE_CURSOR:
    case HRANA_FETCH_CURSOR:
        return HRANA_3;
    case HRANA_CLOSE:
    case HRANA_EXECUTE:
    case HRANA_BATCH:
    case HRANA_OPEN_STREAM:
    case HRANA_REQUEST_TYPE_COUNT:
    default:
        return HRANA_1;
    }
}

int hrana_check_request(
    const struct hrana_request *request, enum hrana_version version, struct err *ret_err)
{
    if (version < since(request->type))
        return err_set(ret_err, ERR_BAD_REQUEST, "'%s' takes version %d of the protocol",
            hrana_request_name(request->type, true), (int)since(request->type));
    switch ((int)request->type) {
    case HRANA_EXECUTE:
        return check_sql(&request->stmt.sql, version, ret_err);
    case HRANA_BATCH:
    case HRANA_OPEN_CURSOR:
        return hrana_check_batch(&request->batch, version, ret_err);
    case HRANA_SEQUENCE:
    case HRANA_DESCRIBE:
        return check_sql(&request->sql, version, ret_err);
    default:
        return 0;
    }
}
