/* Hrana's words for what went wrong; the only place that knows them. */
#include <ctype.h>

#include "proto/exchange.h"
#include "proto/hrana/session.h"
#include "tenants/sql_error.h"

static bool starts(const struct err *err, const char *text)
{
    return str_starts_with(str_from(err->msg), text);
}

static const char *statement_code(const struct err *err)
{
    const char *name;

    if (err->native == 0 && starts(err, "there is no statement"))
        return "SQL_NO_STATEMENT";
    if (err->native == 0 && starts(err, "the statement has no parameter"))
        return "ARGS_INVALID";
    if (sql_err_is_syntax(err))
        return "SQL_PARSE_ERROR";
    if (err->sql_offset >= 0)
        return "SQL_INPUT_ERROR";
    name = sql_result_name(err->native);
    return strcmp(name, "SQLITE_RANGE") == 0   ? "ARGS_INVALID"
           : strcmp(name, "SQLITE_ERROR") == 0 ? "SQLITE_UNKNOWN"
                                               : name;
}

static const char *request_code(const struct err *err)
{
    switch (err->native) {
    case HRANA_FAULT_ARGS_BOTH:
        return "ARGS_BOTH_POSITIONAL_AND_NAMED";
    case HRANA_FAULT_ARGS:
        return "ARGS_INVALID";
    case HRANA_FAULT_STORE_MANY:
        return "SQL_STORE_TOO_MANY";
    case HRANA_FAULT_STORE_LARGE:
        return "SQL_STORE_TOO_LARGE";
    case HRANA_FAULT_TEXT:
        return "SQLITE_MISMATCH";
    case HRANA_FAULT_MANY_STATEMENTS:
        return "SQL_MANY_STATEMENTS";
    case HRANA_FAULT_NO_STATEMENT:
        return "SQL_NO_STATEMENT";
    default:
        return "PROTOCOL_ERROR";
    }
}

static const char *code_of(const struct err *err)
{
    switch (err->code) {
    case ERR_SQL:
        return statement_code(err);
    case ERR_BAD_REQUEST:
        return request_code(err);
    case ERR_MANY_STATEMENTS:
        return "SQL_MANY_STATEMENTS";
    case ERR_GUARD:
    case ERR_TRANSACTION_WORDS:
        return "SQL_PARSE_ERROR";
    case ERR_BLOCKED:
        return "BLOCKED";
    case ERR_ROLE_FORBIDS:
    case ERR_TABLE_SCOPE:
        return "SQLITE_AUTH";
    case ERR_BUSY:
        return "SQLITE_BUSY";
    case ERR_RESULT_TOO_LARGE:
    case ERR_BUDGET_ROWS:
        return "RESPONSE_TOO_LARGE";
    case ERR_TOO_LARGE:
        return "SQLITE_TOOBIG";
    case ERR_QUOTA_EXCEEDED:
        return "SQLITE_FULL";
    case ERR_BUDGET_TIME:
    case ERR_BUDGET_STEPS:
    case ERR_CANCELLED:
        return "SQLITE_INTERRUPT";
    case ERR_BUDGET_MEMORY:
    case ERR_NOMEM:
        return "SQLITE_NOMEM";
    case ERR_STREAM_EXPIRED:
        return "STREAM_EXPIRED";
    case ERR_TRANSACTION_TIMEOUT:
        return "TRANSACTION_TIMEOUT";
    case ERR_OUTCOME_UNKNOWN:
    case ERR_IO:
        return "SQLITE_IOERR";
    case ERR_CORRUPT:
        return "SQLITE_CORRUPT";
    case ERR_UNAUTHORIZED:
        return err->native == UNAUTHORIZED_MISSING   ? "AUTH_HEADER_NOT_FOUND"
               : err->native == UNAUTHORIZED_NOT_YET ? "AUTH_JWT_IMMATURE"
                                                     : "AUTH_JWT_INVALID";
    case ERR_TOKEN_EXPIRED:
        return "AUTH_JWT_EXPIRED";
    case ERR_UNKNOWN_TENANT:
    case ERR_UNKNOWN_DATABASE:
        return "NAMESPACE_DOESNT_EXIST";
    case ERR_NONE:
    case ERR_INVALID_JSON:
    case ERR_INVALID_MSGPACK:
    case ERR_FORBIDDEN:
    case ERR_NAMESPACE_MISMATCH:
    case ERR_NOT_FOUND:
    case ERR_METHOD_NOT_ALLOWED:
    case ERR_CONFLICT:
    case ERR_UNSUPPORTED_MEDIA_TYPE:
    case ERR_RATE_LIMITED:
    case ERR_OVERLOADED:
    case ERR_UNAVAILABLE:
    case ERR_DRAINING:
    case ERR_NOT_IMPLEMENTED:
    case ERR_BUG:
    case ERR_CODE_COUNT:
    default:
        return NULL;
    }
}

/* "RATE_LIMITED": our own code, in the form of theirs. */
static const char *upper_name(const struct err *err, struct arena *arena)
{
    struct str name = arena_str(arena, str_from(err_code_name(err->code)));
    char *upper;

    if (name.ptr == NULL)
        return "INTERNAL";
    upper = arena_alloc(arena, name.len + 1);
    if (upper == NULL)
        return "INTERNAL";
    for (size_t i = 0; i < name.len; i++)
        upper[i] = (char)toupper((unsigned char)name.ptr[i]);
    upper[name.len] = '\0';
    return upper;
}

struct hrana_error hrana_error_of(const struct err *err, struct arena *arena)
{
    struct hrana_error error = {.code = code_of(err)};
    const char *message;

    if (error.code == NULL)
        error.code = upper_name(err, arena);
    if (err_is_internal(err->code))
        message = "internal error; the server's log has it";
    else if (err->code == ERR_SQL && strcmp(error.code, "SQL_PARSE_ERROR") == 0)
        message = arena_printf(arena, "SQL string could not be parsed: %s", err->msg);
    else if (err->code == ERR_SQL && strcmp(error.code, "SQL_INPUT_ERROR") == 0)
        message =
            arena_printf(arena, "SQL input error: %s (at offset %d)", err->msg, err->sql_offset);
    else if (err->code == ERR_SQL && strncmp(error.code, "SQLITE_", 7) == 0)
        message = arena_printf(arena, "SQLite error: %s", err->msg);
    else
        message = arena_printf(arena, "%s", err->msg);
    error.message = str_from(message == NULL ? "out of memory" : message);
    return error;
}

bool hrana_is_parse_error(const struct err *err)
{
    const char *code = code_of(err);

    return code != NULL && strcmp(code, "SQL_PARSE_ERROR") == 0;
}

int hrana_error_status(const struct err *err)
{
    const char *code = code_of(err);

    if (err->code == ERR_BAD_REQUEST && err->native == HRANA_FAULT_ARGS_BOTH)
        return 501;
    if (hrana_is_parse_error(err))
        return 400;
    if (err->code == ERR_SQL && strncmp(code, "SQLITE_", 7) == 0)
        return 500;
    return exchange_status(err);
}
