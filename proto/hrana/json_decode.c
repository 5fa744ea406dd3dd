/* JSON into the model: requests and bodies. */
#include "proto/hrana/json_decode.h"

static void init(struct json_decoder *d, struct str body, const struct hrana_limits *limits,
    struct arena *arena, struct err *ret_err)
{
    json_reader_init(&d->r, body, limits->depth, arena);
    d->arena = arena;
    d->limits = limits;
    d->err = ret_err;
    d->depth = 0;
}

/* ---- requests ---- */

struct request_members {
    struct str type;
    bool stmt;
    bool batch;
    bool stream_id;
    bool cursor_id;
    bool max_count;
};

static int request_type(
    struct json_decoder *d, struct str name, bool websocket, enum hrana_request_type *ret_type)
{
    unsigned end = websocket ? HRANA_REQUEST_TYPE_COUNT : HRANA_OPEN_STREAM;

    for (unsigned i = 0; i < end; i++) {
        if (str_is(name, hrana_request_name((enum hrana_request_type)i, websocket))) {
            *ret_type = (enum hrana_request_type)i;
            return 0;
        }
    }
    return err_set(d->err, ERR_BAD_REQUEST, "there is no request of type '%.*s'",
        (int)MIN(name.len, (size_t)60), name.ptr == NULL ? "" : name.ptr);
}

static int missing(struct json_decoder *d, const struct hrana_request *request, const char *member)
{
    return err_set(d->err, ERR_BAD_REQUEST, "'%s' takes '%s'",
        hrana_request_name(request->type, false), member);
}

static int check_members(struct json_decoder *d, const struct hrana_request *request,
    const struct request_members *has, bool websocket)
{
    bool takes_stream = request->type <= HRANA_DESCRIBE || request->type == HRANA_GET_AUTOCOMMIT ||
                        request->type == HRANA_OPEN_STREAM || request->type == HRANA_OPEN_CURSOR;

    if (websocket && takes_stream && !has->stream_id)
        return missing(d, request, "stream_id");
    if (request->type >= HRANA_OPEN_CURSOR && !has->cursor_id)
        return missing(d, request, "cursor_id");
    switch ((int)request->type) {
    case HRANA_EXECUTE:
        return has->stmt ? 0 : missing(d, request, "stmt");
    case HRANA_BATCH:
    case HRANA_OPEN_CURSOR:
        return has->batch ? 0 : missing(d, request, "batch");
    case HRANA_STORE_SQL:
        if (request->sql.text.ptr == NULL)
            return missing(d, request, "sql");
        return request->sql.has_id ? 0 : missing(d, request, "sql_id");
    case HRANA_CLOSE_SQL:
        return request->sql.has_id ? 0 : missing(d, request, "sql_id");
    case HRANA_FETCH_CURSOR:
        return has->max_count ? 0 : missing(d, request, "max_count");
    default:
        return 0;
    }
}

static int read_request_member(
    struct json_decoder *d, struct hrana_request *request, struct request_members *has)
{
    int64_t number = 0;
    bool taken;
    int rc = json_read_sql_member(d, &request->sql, &taken);

    if (taken)
        return rc;
    if (str_is(d->r.text, "type"))
        return json_read_text(d, "a request's 'type'", &has->type);
    if (str_is(d->r.text, "stmt")) {
        has->stmt = true;
        return json_read_stmt(d, &request->stmt);
    }
    if (str_is(d->r.text, "batch")) {
        has->batch = true;
        return json_read_batch(d, &request->batch);
    }
    if (str_is(d->r.text, "stream_id"))
        return json_read_id(d, "'stream_id'", &request->stream_id, &has->stream_id);
    if (str_is(d->r.text, "cursor_id"))
        return json_read_id(d, "'cursor_id'", &request->cursor_id, &has->cursor_id);
    if (str_is(d->r.text, "max_count")) {
        rc = json_read_number(d, "'max_count'", 0, UINT32_MAX, &number, &has->max_count);
        request->max_count = (uint32_t)number;
        return rc;
    }
    return json_ignore(d);
}

/* Behind the brace. */
static int read_request(struct json_decoder *d, bool websocket, struct hrana_request *ret_request)
{
    struct request_members has = {.type = {.ptr = NULL}};
    int more;

    *ret_request = (struct hrana_request){.type = HRANA_CLOSE};
    while ((more = json_next_key(d)) > 0) {
        if (read_request_member(d, ret_request, &has) < 0)
            return -1;
    }
    if (more < 0 || request_type(d, has.type, websocket, &ret_request->type) < 0)
        return -1;
    return check_members(d, ret_request, &has, websocket);
}

static int read_requests(struct json_decoder *d, struct hrana_pipeline *pipeline)
{
    struct hrana_request *requests = NULL;
    unsigned capacity = 0;
    unsigned count = 0;
    int rc;

    if (!json_begin_list(d, "'requests'", &rc))
        return rc < 0 ? -1 : err_set(d->err, ERR_BAD_REQUEST, "'requests' must be an array");
    while ((rc = json_next_object(d, "a request")) > 0) {
        if (count == d->limits->requests)
            return err_set(
                d->err, ERR_TOO_LARGE, "a pipeline takes at most %u requests", d->limits->requests);
        requests = json_grow(d, requests, count, &capacity, sizeof(*requests));
        if (requests == NULL || read_request(d, false, &requests[count]) < 0)
            return -1;
        count++;
    }
    pipeline->requests = requests;
    pipeline->request_count = count;
    return rc;
}

/* ---- bodies ---- */

static int begin_body(struct json_decoder *d)
{
    enum token token = json_next(&d->r);

    return token == TOKEN_OBJECT ? 0 : json_wrong(d, token, "the body", "an object");
}

static int end_body(struct json_decoder *d)
{
    return json_next(&d->r) == TOKEN_END ? 0 : json_malformed(d);
}

int hrana_json_pipeline(struct str body, const struct hrana_limits *limits, struct arena *arena,
    struct hrana_pipeline *ret_pipeline, struct err *ret_err)
{
    struct json_decoder d;
    bool has_requests = false;
    int more;

    init(&d, body, limits, arena, ret_err);
    *ret_pipeline = (struct hrana_pipeline){.request_count = 0};
    if (begin_body(&d) < 0)
        return -1;
    while ((more = json_next_key(&d)) > 0) {
        int rc;

        if (str_is(d.r.text, "baton")) {
            rc = json_read_text(&d, "'baton'", &ret_pipeline->baton);
        } else if (str_is(d.r.text, "requests")) {
            has_requests = true;
            rc = read_requests(&d, ret_pipeline);
        } else {
            rc = json_ignore(&d);
        }
        if (rc < 0)
            return -1;
    }
    if (more == 0 && !has_requests)
        return err_set(ret_err, ERR_BAD_REQUEST, "the body takes 'requests'");
    return more < 0 ? -1 : end_body(&d);
}

int hrana_json_cursor(struct str body, const struct hrana_limits *limits, struct arena *arena,
    struct hrana_cursor *ret_cursor, struct err *ret_err)
{
    struct json_decoder d;
    bool has_batch = false;
    int more;

    init(&d, body, limits, arena, ret_err);
    *ret_cursor = (struct hrana_cursor){.baton = {.ptr = NULL}};
    if (begin_body(&d) < 0)
        return -1;
    while ((more = json_next_key(&d)) > 0) {
        int rc;

        if (str_is(d.r.text, "baton")) {
            rc = json_read_text(&d, "'baton'", &ret_cursor->baton);
        } else if (str_is(d.r.text, "batch")) {
            has_batch = true;
            rc = json_read_batch(&d, &ret_cursor->batch);
        } else {
            rc = json_ignore(&d);
        }
        if (rc < 0)
            return -1;
    }
    if (more == 0 && !has_batch)
        return err_set(ret_err, ERR_BAD_REQUEST, "the body takes 'batch'");
    return more < 0 ? -1 : end_body(&d);
}

int hrana_json_v1(struct str body, enum hrana_request_type type, const struct hrana_limits *limits,
    struct arena *arena, struct hrana_request *ret_request, struct err *ret_err)
{
    struct request_members has = {.type = {.ptr = NULL}};
    struct json_decoder d;
    int more;

    init(&d, body, limits, arena, ret_err);
    *ret_request = (struct hrana_request){.type = type};
    if (begin_body(&d) < 0)
        return -1;
    while ((more = json_next_key(&d)) > 0) {
        if (read_request_member(&d, ret_request, &has) < 0)
            return -1;
    }
    if (more < 0 || check_members(&d, ret_request, &has, false) < 0)
        return -1;
    return end_body(&d);
}

/* ---- WebSocket ---- */

int hrana_json_message(struct str body, const struct hrana_limits *limits, struct arena *arena,
    struct hrana_message *ret_message, struct err *ret_err)
{
    struct str type = {.ptr = NULL};
    bool has_id = false;
    bool has_request = false;
    struct json_decoder d;
    int more;

    init(&d, body, limits, arena, ret_err);
    *ret_message = (struct hrana_message){.type = HRANA_HELLO};
    if (begin_body(&d) < 0)
        return -1;
    while ((more = json_next_key(&d)) > 0) {
        int rc;

        if (str_is(d.r.text, "type")) {
            rc = json_read_text(&d, "a message's 'type'", &type);
        } else if (str_is(d.r.text, "jwt")) {
            rc = json_read_text(&d, "'jwt'", &ret_message->jwt);
        } else if (str_is(d.r.text, "request_id")) {
            rc = json_read_id(&d, "'request_id'", &ret_message->request_id, &has_id);
        } else if (str_is(d.r.text, "request")) {
            enum token token = json_next(&d.r);

            has_request = true;
            rc = token == TOKEN_OBJECT ? read_request(&d, true, &ret_message->request)
                                       : json_wrong(&d, token, "'request'", "an object");
        } else {
            rc = json_ignore(&d);
        }
        if (rc < 0)
            return -1;
    }
    if (more < 0 || end_body(&d) < 0)
        return -1;
    if (str_is(type, "hello"))
        return 0;
    ret_message->type = HRANA_REQUEST;
    if (!str_is(type, "request"))
        return err_set(ret_err, ERR_BAD_REQUEST, "there is no message of that 'type'");
    if (!has_id || !has_request)
        return err_set(ret_err, ERR_BAD_REQUEST, "a request takes 'request_id' and 'request'");
    return 0;
}
