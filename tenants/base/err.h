/* The one error type. An error lives on the caller's stack and is the last argument; functions
 * return 0 or -1 (or a pointer or NULL) and fill it on failure only.
 *
 *     if (layer_open(path, &layer, err) < 0)
 *         return -1;                      // already described
 *     return err_set(err, ERR_CONFLICT, "a database named '%s' exists", slug);
 *
 * Codes up to ERR_BUSY are outcomes that a caller may meet and a client is told of. The four at
 * the end go up unmatched to the owner of the failed object, and are logged once, there. */
#ifndef TENANTS_BASE_ERR_H
#define TENANTS_BASE_ERR_H

#include "tenants/base/macros.h"

#define ERR_MSG_MAX 320

/* code, stable name that clients see */
#define ERR_CODES(X)                                                                               \
    X(ERR_NONE, "ok")                                                                              \
    X(ERR_BAD_REQUEST, "bad_request")                                                              \
    X(ERR_INVALID_JSON, "invalid_json")                                                            \
    X(ERR_INVALID_MSGPACK, "invalid_msgpack")                                                      \
    X(ERR_UNAUTHORIZED, "unauthorized")                                                            \
    X(ERR_TOKEN_EXPIRED, "token_expired")                                                          \
    X(ERR_FORBIDDEN, "forbidden")                                                                  \
    X(ERR_NAMESPACE_MISMATCH, "namespace_mismatch")                                                \
    X(ERR_ROLE_FORBIDS, "role_forbids")                                                            \
    X(ERR_TABLE_SCOPE, "table_scope")                                                              \
    X(ERR_GUARD, "guard")                                                                          \
    X(ERR_BLOCKED, "blocked")                                                                      \
    X(ERR_NOT_FOUND, "not_found")                                                                  \
    X(ERR_UNKNOWN_TENANT, "unknown_tenant")                                                        \
    X(ERR_UNKNOWN_DATABASE, "unknown_database")                                                    \
    X(ERR_METHOD_NOT_ALLOWED, "method_not_allowed")                                                \
    X(ERR_CONFLICT, "conflict")                                                                    \
    X(ERR_TOO_LARGE, "too_large")                                                                  \
    X(ERR_RESULT_TOO_LARGE, "result_too_large")                                                    \
    X(ERR_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")                                        \
    X(ERR_RATE_LIMITED, "rate_limited")                                                            \
    X(ERR_OVERLOADED, "overloaded")                                                                \
    X(ERR_UNAVAILABLE, "unavailable")                                                              \
    X(ERR_DRAINING, "draining")                                                                    \
    X(ERR_NOT_IMPLEMENTED, "not_implemented")                                                      \
    X(ERR_QUOTA_EXCEEDED, "quota_exceeded")                                                        \
    X(ERR_BUDGET_TIME, "budget_time")                                                              \
    X(ERR_BUDGET_STEPS, "budget_steps")                                                            \
    X(ERR_BUDGET_MEMORY, "budget_memory")                                                          \
    X(ERR_BUDGET_ROWS, "budget_rows")                                                              \
    X(ERR_SQL, "sql_error")                                                                        \
    X(ERR_MANY_STATEMENTS, "many_statements")                                                      \
    X(ERR_TRANSACTION_WORDS, "transaction_words")                                                  \
    X(ERR_STREAM_EXPIRED, "stream_expired")                                                        \
    X(ERR_TRANSACTION_TIMEOUT, "transaction_timeout")                                              \
    X(ERR_CANCELLED, "cancelled")                                                                  \
    X(ERR_OUTCOME_UNKNOWN, "outcome_unknown")                                                      \
    X(ERR_BUSY, "busy")                                                                            \
    X(ERR_IO, "io_error")                                                                          \
    X(ERR_CORRUPT, "corrupt")                                                                      \
    X(ERR_NOMEM, "out_of_memory")                                                                  \
    X(ERR_BUG, "internal")

enum err_code {
#define X(code, name) code,
    ERR_CODES(X)
#undef X
        ERR_CODE_COUNT
};

struct err {
    enum err_code code;
    int native;     /* errno, or SQLite's extended result code, or 0 */
    int sql_offset; /* byte offset into the statement, -1 when unknown */
    char msg[ERR_MSG_MAX];
};

#define ERR_INIT                                                                                   \
    (struct err)                                                                                   \
    {                                                                                              \
        .code = ERR_NONE, .sql_offset = -1                                                         \
    }

/* Fill `err` (may be NULL) and return -1, so that `return err_set(…)` reads well. Any thread. */
int err_set(struct err *err, enum err_code code, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same with errno's text appended after ": ". */
int err_set_errno(struct err *err, enum err_code code, int errno_value, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Callers see the -1 too: a compiler or an analyzer then knows that outputs were not filled. */
#define err_set(...) (err_set(__VA_ARGS__), -1)
#define err_set_errno(...) (err_set_errno(__VA_ARGS__), -1)
/* Copies an error, for handing it to another owner. */
void err_copy(struct err *to, const struct err *from);
/* "conflict": the stable name of a code. Static storage. */
const char *err_code_name(enum err_code code);
/* True for the codes that the failed object's owner has to act upon and log. */
bool err_is_internal(enum err_code code);

#endif
