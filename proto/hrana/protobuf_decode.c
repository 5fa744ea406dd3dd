/* Protobuf into the model. Each message is one loop over its fields; lists are counted before they
 * are read, so that the arena holds them once. */
#include "proto/hrana/protobuf.h"
#include "proto/hrana/protobuf_wire.h"

struct decoder {
    struct arena *arena;
    const struct hrana_limits *limits;
    unsigned depth; /* of conditions */
};

static int too_large(const struct wire_reader *r)
{
    return err_set(r->err, ERR_TOO_LARGE, "the request needs too much memory");
}

static int missing(const struct wire_reader *r, const char *what)
{
    return err_set(r->err, ERR_BAD_REQUEST, "%s must be there", what);
}

/* A message that may be there once; *has is set. */
static int once(const struct wire_reader *r, const struct wire_field *field, bool *has,
    struct wire_reader *ret_message)
{
    if (*has)
        return wire_malformed(r, "a field occurs twice");
    *has = true;
    return wire_message(r, field, ret_message);
}

/* How often a field occurs in the rest of the message. */
static int count_fields(struct wire_reader r, uint32_t number, unsigned *ret_count)
{
    struct wire_field field;
    unsigned count = 0;
    int more;

    while ((more = wire_next(&r, &field)) > 0)
        count += field.number == number;
    *ret_count = count;
    return more;
}

/* Room for as many as there are, and for one at least. NULL: error set. */
static void *new_list(struct decoder *d, const struct wire_reader *r, uint32_t number, size_t size,
    unsigned *ret_count)
{
    void *items;

    if (count_fields(*r, number, ret_count) < 0)
        return NULL;
    items = arena_array(d->arena, MAX(*ret_count, 1U), size);
    if (items == NULL)
        (void)too_large(r);
    return items;
}

/* ---- values ---- */

static int read_value(struct wire_reader r, struct value *ret_value)
{
    struct wire_field field;
    bool given = false;
    int more;

    while ((more = wire_next(&r, &field)) > 0) {
        struct wire_reader inner;
        int rc;

        if (field.number > 5)
            continue;
        if (given)
            return wire_malformed(&r, "a value is of two types");
        given = true;
        switch (field.number) {
        case 1:
            ret_value->type = VALUE_NULL;
            rc = wire_message(&r, &field, &inner);
            break;
        case 2:
            ret_value->type = VALUE_INTEGER;
            rc = wire_sint64(&r, &field, &ret_value->integer);
            break;
        case 3:
            ret_value->type = VALUE_REAL;
            rc = wire_double(&r, &field, &ret_value->real);
            break;
        case 4:
            ret_value->type = VALUE_TEXT;
            rc = wire_text(&r, &field, &ret_value->bytes);
            break;
        default:
            ret_value->type = VALUE_BLOB;
            rc = wire_blob(&r, &field, &ret_value->bytes);
            break;
        }
        if (rc < 0)
            return -1;
    }
    if (more == 0 && !given)
        return err_set(
            r.err, ERR_BAD_REQUEST, "a value must be one of null, integer, float, text and blob");
    return more;
}

static int read_named_arg(struct wire_reader r, struct parameter *ret_parameter)
{
    struct wire_field field;
    bool has_value = false;
    int more;

    ret_parameter->name = str_make("", 0);
    while ((more = wire_next(&r, &field)) > 0) {
        struct wire_reader inner;

        if (field.number == 1 && wire_text(&r, &field, &ret_parameter->name) < 0)
            return -1;
        if (field.number == 2 && (once(&r, &field, &has_value, &inner) < 0 ||
                                     read_value(inner, &ret_parameter->value) < 0))
            return -1;
    }
    return more == 0 && !has_value ? missing(&r, "the value of a named argument") : more;
}

/* ---- statements ---- */

/* sql and sql_id where each is optional. */
static int read_sql_member(const struct wire_reader *r, const struct wire_field *field,
    bool is_text, struct hrana_sql *sql)
{
    if (is_text)
        return wire_text(r, field, &sql->text);
    sql->has_id = true;
    return wire_int32(r, field, &sql->id);
}

static int read_stmt(struct decoder *d, struct wire_reader r, struct hrana_stmt *ret_stmt)
{
    struct parameter *args;
    struct parameter *named;
    struct wire_field field;
    int more;

    *ret_stmt = (struct hrana_stmt){.want_rows = true};
    args = new_list(d, &r, 3, sizeof(*args), &ret_stmt->arg_count);
    named = new_list(d, &r, 4, sizeof(*named), &ret_stmt->named_arg_count);
    if (args == NULL || named == NULL)
        return -1;
    ret_stmt->args = args;
    ret_stmt->named_args = named;
    while ((more = wire_next(&r, &field)) > 0) {
        struct wire_reader inner;
        int rc = 0;

        switch (field.number) {
        case 1:
        case 2:
            rc = read_sql_member(&r, &field, field.number == 1, &ret_stmt->sql);
            break;
        case 3:
            args->name = str_make("", 0);
            rc = wire_message(&r, &field, &inner) < 0 ? -1 : read_value(inner, &args->value);
            args++;
            break;
        case 4:
            rc = wire_message(&r, &field, &inner) < 0 ? -1 : read_named_arg(inner, named);
            named++;
            break;
        case 5:
            rc = wire_bool(&r, &field, &ret_stmt->want_rows);
            break;
        default:
            break;
        }
        if (rc < 0)
            return -1;
    }
    return more;
}

/* ---- batches ---- */

static struct condition *read_condition(struct decoder *d, struct wire_reader r);

static int read_conditions(
    struct decoder *d, struct wire_reader r, const struct condition **ret_first)
{
    struct condition *last = NULL;
    struct wire_field field;
    int more;

    while ((more = wire_next(&r, &field)) > 0) {
        struct condition *condition;
        struct wire_reader inner;

        if (field.number != 1)
            continue;
        if (wire_message(&r, &field, &inner) < 0)
            return -1;
        condition = read_condition(d, inner);
        if (condition == NULL)
            return -1;
        if (last == NULL)
            *ret_first = condition;
        else
            last->next = condition;
        last = condition;
    }
    return more;
}

static int read_condition_member(struct decoder *d, const struct wire_reader *r,
    const struct wire_field *field, struct condition *condition)
{
    static const enum condition_type types[] = {CONDITION_OK, CONDITION_OK, CONDITION_ERROR,
        CONDITION_NOT, CONDITION_AND, CONDITION_OR, CONDITION_AUTOCOMMIT};
    struct wire_reader inner;

    condition->type = types[field->number];
    if (condition->type == CONDITION_OK || condition->type == CONDITION_ERROR)
        return wire_uint32(r, field, &condition->step);
    if (wire_message(r, field, &inner) < 0)
        return -1;
    if (condition->type == CONDITION_NOT) {
        condition->first = read_condition(d, inner);
        return condition->first == NULL ? -1 : 0;
    }
    if (condition->type == CONDITION_AND || condition->type == CONDITION_OR)
        return read_conditions(d, inner, &condition->first);
    return 0;
}

static int read_condition_members(
    struct decoder *d, struct wire_reader r, struct condition *condition)
{
    struct wire_field field;
    bool given = false;
    int more;

    while ((more = wire_next(&r, &field)) > 0) {
        if (field.number > 6)
            continue;
        if (given)
            return wire_malformed(&r, "a condition is of two types");
        given = true;
        if (read_condition_member(d, &r, &field, condition) < 0)
            return -1;
    }
    if (more == 0 && !given)
        return err_set(r.err, ERR_BAD_REQUEST, "there is no condition of that type");
    return more;
}

/* NULL: error set. */
static struct condition *read_condition(struct decoder *d, struct wire_reader r)
{
    unsigned depth_max = MIN(d->limits->depth, (unsigned)CONDITION_DEPTH_MAX);
    struct condition *condition;
    int rc;

    if (d->depth == depth_max) {
        (void)err_set(r.err, ERR_TOO_LARGE, "conditions nest more than %u deep", depth_max);
        return NULL;
    }
    condition = arena_zalloc(d->arena, sizeof(*condition));
    if (condition == NULL) {
        (void)too_large(&r);
        return NULL;
    }
    d->depth++;
    rc = read_condition_members(d, r, condition);
    d->depth--;
    return rc < 0 ? NULL : condition;
}

static int read_step(struct decoder *d, struct wire_reader r, struct hrana_step *ret_step)
{
    struct wire_field field;
    bool has_condition = false;
    bool has_stmt = false;
    int more;

    ret_step->condition = NULL;
    while ((more = wire_next(&r, &field)) > 0) {
        struct wire_reader inner;

        if (field.number == 1) {
            if (once(&r, &field, &has_condition, &inner) < 0)
                return -1;
            ret_step->condition = read_condition(d, inner);
            if (ret_step->condition == NULL)
                return -1;
        }
        if (field.number == 2 &&
            (once(&r, &field, &has_stmt, &inner) < 0 || read_stmt(d, inner, &ret_step->stmt) < 0))
            return -1;
    }
    return more == 0 && !has_stmt ? missing(&r, "the 'stmt' of a step") : more;
}

static int read_batch(struct decoder *d, struct wire_reader r, struct hrana_batch *ret_batch)
{
    struct hrana_step *steps;
    struct wire_field field;
    int more;

    if (count_fields(r, 1, &ret_batch->step_count) < 0)
        return -1;
    if (ret_batch->step_count > d->limits->steps)
        return err_set(r.err, ERR_TOO_LARGE, "a batch takes at most %u steps", d->limits->steps);
    steps = new_list(d, &r, 1, sizeof(*steps), &ret_batch->step_count);
    if (steps == NULL)
        return -1;
    ret_batch->steps = steps;
    while ((more = wire_next(&r, &field)) > 0) {
        struct wire_reader inner;

        if (field.number != 1)
            continue;
        if (wire_message(&r, &field, &inner) < 0 || read_step(d, inner, steps++) < 0)
            return -1;
    }
    return more;
}

/* ---- requests ---- */

enum member { NO_MEMBER, STREAM_ID, CURSOR_ID, STMT, BATCH, SQL, SQL_ID, MAX_COUNT };

#define MEMBERS_MAX 4

/* What the fields of a request's message are, by number; over WebSocket a stream's requests begin
 * with its id, so that all others are one further. */
static const uint8_t http_members[HRANA_REQUEST_TYPE_COUNT][MEMBERS_MAX] = {
    [HRANA_EXECUTE] = {[1] = STMT},
    [HRANA_BATCH] = {[1] = BATCH},
    [HRANA_SEQUENCE] = {[1] = SQL, [2] = SQL_ID},
    [HRANA_DESCRIBE] = {[1] = SQL, [2] = SQL_ID},
    [HRANA_STORE_SQL] = {[1] = SQL_ID, [2] = SQL},
    [HRANA_CLOSE_SQL] = {[1] = SQL_ID},
};
static const uint8_t websocket_members[HRANA_REQUEST_TYPE_COUNT][MEMBERS_MAX] = {
    [HRANA_CLOSE] = {[1] = STREAM_ID},
    [HRANA_EXECUTE] = {[1] = STREAM_ID, [2] = STMT},
    [HRANA_BATCH] = {[1] = STREAM_ID, [2] = BATCH},
    [HRANA_SEQUENCE] = {[1] = STREAM_ID, [2] = SQL, [3] = SQL_ID},
    [HRANA_DESCRIBE] = {[1] = STREAM_ID, [2] = SQL, [3] = SQL_ID},
    [HRANA_STORE_SQL] = {[1] = SQL_ID, [2] = SQL},
    [HRANA_CLOSE_SQL] = {[1] = SQL_ID},
    [HRANA_GET_AUTOCOMMIT] = {[1] = STREAM_ID},
    [HRANA_OPEN_STREAM] = {[1] = STREAM_ID},
    [HRANA_OPEN_CURSOR] = {[1] = STREAM_ID, [2] = CURSOR_ID, [3] = BATCH},
    [HRANA_CLOSE_CURSOR] = {[1] = CURSOR_ID},
    [HRANA_FETCH_CURSOR] = {[1] = CURSOR_ID, [2] = MAX_COUNT},
};

static int read_member(struct decoder *d, const struct wire_reader *r,
    const struct wire_field *field, enum member member, bool *has, struct hrana_request *request)
{
    struct wire_reader inner;

    switch (member) {
    case STREAM_ID:
        return wire_int32(r, field, &request->stream_id);
    case CURSOR_ID:
        return wire_int32(r, field, &request->cursor_id);
    case STMT:
        return once(r, field, has, &inner) < 0 ? -1 : read_stmt(d, inner, &request->stmt);
    case BATCH:
        return once(r, field, has, &inner) < 0 ? -1 : read_batch(d, inner, &request->batch);
    case SQL:
    case SQL_ID:
        return read_sql_member(r, field, member == SQL, &request->sql);
    case MAX_COUNT:
        return wire_uint32(r, field, &request->max_count);
    case NO_MEMBER:
    default:
        return 0;
    }
}

/* The message of a request whose type is known. */
static int read_request_body(struct decoder *d, struct wire_reader r, enum hrana_request_type type,
    bool websocket, struct hrana_request *ret_request)
{
    const uint8_t *members = websocket ? websocket_members[type] : http_members[type];
    struct wire_field field;
    bool has = false; /* stmt or batch */
    int more;

    *ret_request = (struct hrana_request){.type = type};
    if (type == HRANA_STORE_SQL)
        ret_request->sql.text = str_make("", 0);
    /* Not optional there: a number that is absent is 0. */
    ret_request->sql.has_id = type == HRANA_STORE_SQL || type == HRANA_CLOSE_SQL;
    while ((more = wire_next(&r, &field)) > 0) {
        enum member member =
            field.number < MEMBERS_MAX ? (enum member)members[field.number] : NO_MEMBER;

        if (read_member(d, &r, &field, member, &has, ret_request) < 0)
            return -1;
    }
    if (more == 0 && !has && type == HRANA_EXECUTE)
        return missing(&r, "the 'stmt' of 'execute'");
    if (more == 0 && !has && (type == HRANA_BATCH || type == HRANA_OPEN_CURSOR))
        return missing(&r, "the 'batch' of a request");
    return more;
}

/* Is it the field of a request? Then reads it; *has is set. */
static int read_request_field(struct decoder *d, const struct wire_reader *r,
    const struct wire_field *field, bool websocket, bool *has, struct hrana_request *ret_request)
{
    struct wire_reader inner;

    for (unsigned i = 0; i < HRANA_REQUEST_TYPE_COUNT; i++) {
        enum hrana_request_type type = (enum hrana_request_type)i;

        if (field->number != hrana_protobuf_field(type, websocket))
            continue;
        if (*has)
            return wire_malformed(r, "a request is of two types");
        return once(r, field, has, &inner) < 0
                   ? -1
                   : read_request_body(d, inner, type, websocket, ret_request);
    }
    return 0;
}

static int no_type(const struct wire_reader *r)
{
    return err_set(r->err, ERR_BAD_REQUEST, "there is no request of that type");
}

/* ---- bodies ---- */

static int read_stream_request(
    struct decoder *d, struct wire_reader r, struct hrana_request *ret_request)
{
    struct wire_field field;
    bool has = false;
    int more;

    while ((more = wire_next(&r, &field)) > 0) {
        if (read_request_field(d, &r, &field, false, &has, ret_request) < 0)
            return -1;
    }
    return more == 0 && !has ? no_type(&r) : more;
}

int hrana_protobuf_pipeline(struct str body, const struct hrana_limits *limits, struct arena *arena,
    struct hrana_pipeline *ret_pipeline, struct err *ret_err)
{
    struct decoder d = {arena, limits, 0};
    struct hrana_request *requests;
    struct wire_reader r;
    struct wire_field field;
    int more;

    *ret_pipeline = (struct hrana_pipeline){.request_count = 0};
    wire_reader_init(&r, body, ret_err);
    if (count_fields(r, 2, &ret_pipeline->request_count) < 0)
        return -1;
    if (ret_pipeline->request_count > limits->requests)
        return err_set(
            ret_err, ERR_TOO_LARGE, "a pipeline takes at most %u requests", limits->requests);
    requests = new_list(&d, &r, 2, sizeof(*requests), &ret_pipeline->request_count);
    if (requests == NULL)
        return -1;
    ret_pipeline->requests = requests;
    while ((more = wire_next(&r, &field)) > 0) {
        struct wire_reader inner;

        if (field.number == 1 && wire_text(&r, &field, &ret_pipeline->baton) < 0)
            return -1;
        if (field.number == 2 && (wire_message(&r, &field, &inner) < 0 ||
                                     read_stream_request(&d, inner, requests++) < 0))
            return -1;
    }
    return more;
}

int hrana_protobuf_cursor(struct str body, const struct hrana_limits *limits, struct arena *arena,
    struct hrana_cursor *ret_cursor, struct err *ret_err)
{
    struct decoder d = {arena, limits, 0};
    struct wire_reader r;
    struct wire_field field;
    bool has_batch = false;
    int more;

    *ret_cursor = (struct hrana_cursor){.baton = {.ptr = NULL}};
    wire_reader_init(&r, body, ret_err);
    while ((more = wire_next(&r, &field)) > 0) {
        struct wire_reader inner;

        if (field.number == 1 && wire_text(&r, &field, &ret_cursor->baton) < 0)
            return -1;
        if (field.number == 2 && (once(&r, &field, &has_batch, &inner) < 0 ||
                                     read_batch(&d, inner, &ret_cursor->batch) < 0))
            return -1;
    }
    return more == 0 && !has_batch ? missing(&r, "the 'batch' of a cursor") : more;
}

/* ---- WebSocket ---- */

static int read_hello(struct wire_reader r, struct hrana_message *message)
{
    struct wire_field field;
    int more;

    while ((more = wire_next(&r, &field)) > 0) {
        if (field.number == 1 && wire_text(&r, &field, &message->jwt) < 0)
            return -1;
    }
    return more;
}

static int read_request_message(
    struct decoder *d, struct wire_reader r, struct hrana_message *message)
{
    struct wire_field field;
    bool has = false;
    int more;

    while ((more = wire_next(&r, &field)) > 0) {
        if (field.number == 1 && wire_int32(&r, &field, &message->request_id) < 0)
            return -1;
        if (read_request_field(d, &r, &field, true, &has, &message->request) < 0)
            return -1;
    }
    return more == 0 && !has ? no_type(&r) : more;
}

int hrana_protobuf_message(struct str body, const struct hrana_limits *limits, struct arena *arena,
    struct hrana_message *ret_message, struct err *ret_err)
{
    struct decoder d = {arena, limits, 0};
    struct wire_reader r;
    struct wire_field field;
    bool has = false;
    int more;

    *ret_message = (struct hrana_message){.type = HRANA_HELLO};
    wire_reader_init(&r, body, ret_err);
    while ((more = wire_next(&r, &field)) > 0) {
        struct wire_reader inner;

        if (field.number > 2)
            continue;
        if (once(&r, &field, &has, &inner) < 0)
            return -1;
        ret_message->type = field.number == 1 ? HRANA_HELLO : HRANA_REQUEST;
        if ((field.number == 1 ? read_hello(inner, ret_message)
                               : read_request_message(&d, inner, ret_message)) < 0)
            return -1;
    }
    if (more == 0 && !has)
        return err_set(ret_err, ERR_BAD_REQUEST, "there is no message of that type");
    return more;
}
