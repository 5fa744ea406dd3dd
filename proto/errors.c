/* What HTTP says of an error code when a dialect has no opinion of its own. */
#include "proto/exchange.h"

int exchange_status(const struct err *err)
{
    switch (err->code) {
    case ERR_NONE:
        return 200;
    case ERR_BAD_REQUEST:
        return err->native == 411 || err->native == 426 ? err->native : 400;
    case ERR_INVALID_JSON:
    case ERR_INVALID_MSGPACK:
    case ERR_SQL:
    case ERR_MANY_STATEMENTS:
    case ERR_TRANSACTION_WORDS:
    case ERR_STREAM_EXPIRED:
    case ERR_BUDGET_TIME:
    case ERR_BUDGET_STEPS:
    case ERR_BUDGET_MEMORY:
    case ERR_BUDGET_ROWS:
        return 400;
    case ERR_UNAUTHORIZED:
    case ERR_TOKEN_EXPIRED:
        return 401;
    case ERR_FORBIDDEN:
    case ERR_NAMESPACE_MISMATCH:
    case ERR_ROLE_FORBIDS:
    case ERR_TABLE_SCOPE:
    case ERR_GUARD:
    case ERR_BLOCKED:
        return 403;
    case ERR_NOT_FOUND:
    case ERR_UNKNOWN_TENANT:
    case ERR_UNKNOWN_DATABASE:
        return 404;
    case ERR_METHOD_NOT_ALLOWED:
        return 405;
    case ERR_CONFLICT:
        return 409;
    case ERR_TOO_LARGE:
    case ERR_RESULT_TOO_LARGE:
        return 413;
    case ERR_UNSUPPORTED_MEDIA_TYPE:
        return 415;
    case ERR_RATE_LIMITED:
    case ERR_OVERLOADED:
        return 429;
    case ERR_UNAVAILABLE:
    case ERR_DRAINING:
    case ERR_BUSY:
    case ERR_TRANSACTION_TIMEOUT:
    case ERR_CANCELLED:
        return 503;
    case ERR_NOT_IMPLEMENTED:
        return 501;
    case ERR_QUOTA_EXCEEDED:
        return 507;
    case ERR_OUTCOME_UNKNOWN:
    case ERR_IO:
    case ERR_CORRUPT:
    case ERR_NOMEM:
    case ERR_BUG:
    case ERR_CODE_COUNT:
    default:
        return 500;
    }
}

unsigned exchange_retry_after(const struct err *err)
{
    switch ((int)err->code) {
    case ERR_RATE_LIMITED:
        return err->native > 0 ? (unsigned)err->native : 1;
    case ERR_OVERLOADED:
    case ERR_UNAVAILABLE:
    case ERR_BUSY:
    case ERR_TRANSACTION_TIMEOUT:
        return 1;
    case ERR_DRAINING:
        return 5;
    default:
        return 0;
    }
}
