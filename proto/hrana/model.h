/* What Hrana clients say, decoded: plain structs in the request's arena, the same whether it came
 * as JSON or protobuf, over HTTP or WebSocket.
 *
 * Decoders (json_decode.c, protobuf) fill these and check forms only: types, ranges, base64. What a
 * version allows, which fields go together and which steps exist is hrana_check_request()'s.
 * Texts are views into the body or in the arena: both must outlive them. */
#ifndef PROTO_HRANA_MODEL_H
#define PROTO_HRANA_MODEL_H

#include "tenants/base/arena.h"
#include "tenants/base/err.h"
#include "tenants/condition.h"
#include "tenants/value.h"

enum hrana_version { HRANA_1 = 1, HRANA_2 = 2, HRANA_3 = 3 };

/* A SQL text, or the number of one stored before. Exactly one of them must be there. */
struct hrana_sql {
    struct str text; /* ptr NULL: absent (an empty text is not) */
    int32_t id;
    bool has_id;
};

struct hrana_stmt {
    struct hrana_sql sql;
    const struct parameter *args; /* names empty */
    unsigned arg_count;
    const struct parameter *named_args;
    unsigned named_arg_count;
    bool want_rows; /* absent: true */
};

struct hrana_step {
    const struct condition *condition; /* NULL: always */
    struct hrana_stmt stmt;
};

struct hrana_batch {
    const struct hrana_step *steps;
    unsigned step_count;
};

enum hrana_request_type {
    HRANA_CLOSE, /* HTTP "close", WebSocket "close_stream" */
    HRANA_EXECUTE,
    HRANA_BATCH,
    HRANA_SEQUENCE,
    HRANA_DESCRIBE,
    HRANA_STORE_SQL,
    HRANA_CLOSE_SQL,
    HRANA_GET_AUTOCOMMIT,
    /* WebSocket only. */
    HRANA_OPEN_STREAM,
    HRANA_OPEN_CURSOR,
    HRANA_CLOSE_CURSOR,
    HRANA_FETCH_CURSOR,
    HRANA_REQUEST_TYPE_COUNT
};

struct hrana_request {
    enum hrana_request_type type;
    int32_t stream_id;  /* WebSocket: all but store_sql, close_sql, close_cursor, fetch_cursor */
    int32_t cursor_id;  /* WebSocket: open_cursor, close_cursor, fetch_cursor */
    uint32_t max_count; /* fetch_cursor */
    /* sequence, describe: as hrana_sql says. store_sql: text and id. close_sql: id. */
    struct hrana_sql sql;
    struct hrana_stmt stmt;   /* execute */
    struct hrana_batch batch; /* batch, open_cursor */
};

/* HTTP: body of /pipeline. */
struct hrana_pipeline {
    struct str baton; /* ptr NULL: a new stream */
    const struct hrana_request *requests;
    unsigned request_count;
};

/* HTTP: body of /cursor. */
struct hrana_cursor {
    struct str baton; /* ptr NULL: a new stream */
    struct hrana_batch batch;
};

/* WebSocket: a message of the client. */
enum hrana_message_type { HRANA_HELLO, HRANA_REQUEST };
struct hrana_message {
    enum hrana_message_type type;
    struct str jwt; /* hello; ptr NULL: null or absent */
    int32_t request_id;
    struct hrana_request request;
};

/* Limits of decoding; over them: ERR_TOO_LARGE. */
struct hrana_limits {
    unsigned depth;    /* nesting, of JSON and of conditions */
    unsigned requests; /* in a pipeline */
    unsigned steps;    /* in a batch */
};

/* "execute", "store_sql"; `websocket` tells close from close_stream. Static storage. */
const char *hrana_request_name(enum hrana_request_type type, bool websocket);

/* ERR_BAD_REQUEST for what the version has not, for neither or both of text and id, for conditions
 * on steps that are not earlier. */
int hrana_check_request(const struct hrana_request *request, enum hrana_version version,
    struct err *ret_err) MUST_CHECK;
int hrana_check_batch(
    const struct hrana_batch *batch, enum hrana_version version, struct err *ret_err) MUST_CHECK;

/* JSON decoders (json_decode.c); the protobuf ones have the same form. ERR_INVALID_JSON,
 * ERR_BAD_REQUEST (wrong types, unknown request types, missing fields), ERR_TOO_LARGE. */
int hrana_json_pipeline(struct str body, const struct hrana_limits *limits, struct arena *arena,
    struct hrana_pipeline *ret_pipeline, struct err *ret_err) MUST_CHECK;
int hrana_json_cursor(struct str body, const struct hrana_limits *limits, struct arena *arena,
    struct hrana_cursor *ret_cursor, struct err *ret_err) MUST_CHECK;
/* Body of /v1/execute {"stmt"} or /v1/batch {"batch"}, as the request it stands for. */
int hrana_json_v1(struct str body, enum hrana_request_type type, const struct hrana_limits *limits,
    struct arena *arena, struct hrana_request *ret_request, struct err *ret_err) MUST_CHECK;
int hrana_json_message(struct str body, const struct hrana_limits *limits, struct arena *arena,
    struct hrana_message *ret_message, struct err *ret_err) MUST_CHECK;

#endif
