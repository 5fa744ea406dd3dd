/* Parameters of a statement: by place or by name, all of them or an error. */
#include "tenants/execute.h"

#include <sqlite3.h>

static int bind_value(sqlite3_stmt *stmt, int at, const struct value *value)
{
    switch (value->type) {
    case VALUE_INTEGER:
        return sqlite3_bind_int64(stmt, at, value->integer);
    case VALUE_REAL:
        return sqlite3_bind_double(stmt, at, value->real);
    case VALUE_TEXT:
        return sqlite3_bind_text64(stmt, at, value->bytes.len == 0 ? "" : value->bytes.ptr,
            value->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
    case VALUE_BLOB:
        return sqlite3_bind_blob64(stmt, at, value->bytes.len == 0 ? "" : value->bytes.ptr,
            value->bytes.len, SQLITE_STATIC);
    case VALUE_NULL:
    default:
        return sqlite3_bind_null(stmt, at);
    }
}

/* The indexes a name stands for: as written, or bare for :a, @a and $a. Returns how many. */
static int bind_named(sqlite3_stmt *stmt, const struct parameter *parameter, int *ret_rc)
{
    static const char prefixes[] = ":@$";
    char name[256];
    int bound = 0;
    int at;

    *ret_rc = SQLITE_OK;
    if (parameter->name.len + 2 > sizeof(name))
        return 0;
    memcpy(name + 1, parameter->name.ptr, parameter->name.len);
    name[parameter->name.len + 1] = '\0';
    at = sqlite3_bind_parameter_index(stmt, name + 1);
    if (at > 0) {
        *ret_rc = bind_value(stmt, at, &parameter->value);
        return 1;
    }
    for (size_t i = 0; i < sizeof(prefixes) - 1 && *ret_rc == SQLITE_OK; i++) {
        name[0] = prefixes[i];
        at = sqlite3_bind_parameter_index(stmt, name);
        if (at > 0) {
            *ret_rc = bind_value(stmt, at, &parameter->value);
            bound++;
        }
    }
    return bound;
}

static int bind_error(struct lane *lane, int rc, struct err *ret_err) ON(actor_owner)
{
    if ((rc & 0xff) == SQLITE_TOOBIG)
        return err_set(ret_err, ERR_TOO_LARGE, "a parameter is larger than %llu bytes",
            (unsigned long long)lane->actor->engine->options.max_value_bytes);
    (void)execute_error(lane, rc, ret_err);
    return -1;
}

int execute_bind(struct lane *lane, const struct statement *statement,
    const struct statement_input *input, struct err *ret_err)
{
    unsigned positional = 0;
    unsigned named = 0;
    int rc;

    for (unsigned i = 0; i < input->parameter_count; i++) {
        const struct parameter *parameter = &input->parameters[i];

        if (parameter->name.len == 0) {
            if (++positional > statement->parameter_count)
                continue;
            rc = bind_value(statement->sqlite, (int)positional, &parameter->value);
        } else {
            int bound = bind_named(statement->sqlite, parameter, &rc);

            if (bound == 0)
                return err_set(ret_err, ERR_SQL, "the statement has no parameter named '%.*s'",
                    STR_ARGS(parameter->name));
            named += (unsigned)bound;
        }
        if (rc != SQLITE_OK)
            return bind_error(lane, rc, ret_err);
    }
    if (positional + named != statement->parameter_count) {
        (void)err_set(ret_err, ERR_SQL,
            "wrong number of parameters: the statement takes %u, the request gives %u",
            statement->parameter_count, positional + named);
        ret_err->native = SQLITE_RANGE;
        return -1;
    }
    return 0;
}
