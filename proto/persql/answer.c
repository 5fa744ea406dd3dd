/* Envelopes, bodies and catalogue calls: what every handler does. */
#include <stdarg.h>
#include <stdio.h>

#include "proto/persql/persql.h"

enum body_format persql_format(const struct exchange *x)
{
    return x->wants_msgpack ? BODY_MSGPACK : BODY_JSON;
}

const char *persql_content_type(enum body_format format)
{
    return format == BODY_MSGPACK ? "application/msgpack" : "application/json";
}

void persql_begin(struct exchange *x, struct encoder *e)
{
    buf_reset(&x->response.body, SIZE_MAX);
    encoder_init(e, &x->response.body, persql_format(x));
    encoder_object(e);
    encoder_key(e, "data");
}

void persql_finish(struct exchange *x, struct encoder *e)
{
    encoder_key(e, "success");
    encoder_bool(e, true);
    encoder_end(e);
    if (x->response.body.failed) {
        persql_fail(x, ERR_RESULT_TOO_LARGE, "the answer is too large; ask for a smaller page");
        return;
    }
    x->response.status = 200;
    x->response.content_type = persql_content_type(e->format);
    exchange_finish(x);
}

void persql_fail(struct exchange *x, enum err_code code, const char *format, ...)
{
    struct err err = ERR_INIT;
    va_list args;

    err.code = code;
    va_start(args, format);
    (void)vsnprintf(err.msg, sizeof(err.msg), format, args);
    va_end(args);
    exchange_fail(x, &err);
}

void *persql_array(struct exchange *x, size_t count, size_t size)
{
    void *items = arena_array(&x->arena, count, size);

    if (items == NULL)
        persql_fail(x, ERR_TOO_LARGE, "the request needs too much memory");
    else
        memset(items, 0, count * size);
    return items;
}

void *persql_zalloc(struct exchange *x, size_t size)
{
    return persql_array(x, 1, size);
}

const struct node *persql_body(struct exchange *x, bool empty_ok)
{
    struct err err = ERR_INIT;
    const struct node *root = NULL;

    if (document_read_object(x->body_is_msgpack ? BODY_MSGPACK : BODY_JSON, x->http.body,
            x->services->settings->max_json_depth, empty_ok, &x->arena, &root, &err) < 0) {
        exchange_fail(x, &err);
        return NULL;
    }
    return root;
}

struct catalogue_call *persql_call(struct exchange *x, void (*done)(struct catalogue_call *call))
{
    struct catalogue_call *call = persql_zalloc(x, sizeof(*call));

    if (call == NULL)
        return NULL;
    call->catalogue = x->services->catalogue;
    call->arena = &x->arena;
    call->principal = x->principal;
    call->done = done;
    call->owner = x;
    return call;
}

void *persql_call_with(struct exchange *x, void (*done)(struct catalogue_call *call),
    size_t input_size, struct catalogue_call **ret_call)
{
    void *input = persql_zalloc(x, input_size);

    if (input == NULL)
        return NULL;
    *ret_call = persql_call(x, done);
    return *ret_call == NULL ? NULL : input;
}

struct exchange *persql_called(struct catalogue_call *call, struct encoder *e)
{
    struct exchange *x = call->owner;

    if (call->err.code != ERR_NONE) {
        exchange_fail(x, &call->err);
        return NULL;
    }
    persql_begin(x, e);
    return x;
}

void persql_finish_list(struct exchange *x, struct encoder *e, struct str next_cursor)
{
    encoder_end(e);
    encoder_key(e, "nextCursor");
    encoder_string_or_null(e, next_cursor);
    persql_finish(x, e);
}

void persql_write_deletion(
    struct encoder *e, int64_t deleted_wall_ms, int64_t restorable_until_wall_ms)
{
    if (deleted_wall_ms == 0)
        return;
    encoder_key(e, "deletedAt");
    encoder_time(e, deleted_wall_ms);
    encoder_key(e, "restorableUntil");
    encoder_time(e, restorable_until_wall_ms);
}

void persql_finish_deleted(struct exchange *x, struct encoder *e, struct str id, struct str slug,
    int64_t restorable_until_wall_ms)
{
    encoder_object(e);
    encoder_key(e, "deleted");
    encoder_bool(e, true);
    encoder_key(e, "id");
    encoder_string(e, id);
    encoder_key(e, "slug");
    encoder_string(e, slug);
    encoder_key(e, "restorableUntil");
    encoder_time(e, restorable_until_wall_ms);
    encoder_end(e);
    persql_finish(x, e);
}

struct str persql_tenant(struct exchange *x)
{
    if (x->tenant_slug.len == 0)
        persql_fail(x, ERR_BAD_REQUEST,
            "an operator token names the tenant: send X-Rookery-Tenant: <slug>");
    return x->tenant_slug;
}

struct str persql_named(const struct exchange *x)
{
    return (x->route->needs & NEEDS_TENANT) != 0 ? x->params[1] : x->params[0];
}

static struct str query_either(struct exchange *x, const char *camel, const char *snake)
{
    struct str value = http_query_get(&x->http, &x->arena, camel);

    return value.ptr != NULL ? value : http_query_get(&x->http, &x->arena, snake);
}

/* The page that the query string names. -1: answered. */
static int read_page(struct exchange *x, struct list_input *input)
{
    struct str size = query_either(x, "pageSize", "page_size");
    uint64_t value = 0;

    if (size.ptr == NULL)
        size = http_query_get(&x->http, &x->arena, "limit");
    if (size.len > 0 && (str_to_u64(size, &value) < 0 || value == 0 ||
                            value > x->services->settings->max_page_size)) {
        persql_fail(x, ERR_BAD_REQUEST, "pageSize must be a number from 1 to %u",
            x->services->settings->max_page_size);
        return -1;
    }
    input->page_size = (unsigned)value;
    input->cursor = http_query_get(&x->http, &x->arena, "cursor");
    input->deleted = persql_query_flag(x, "deleted");
    return 0;
}

void persql_list(struct exchange *x, struct str tenant, void (*done)(struct catalogue_call *call),
    void (*start)(struct catalogue_call *call, const struct list_input *input))
{
    struct catalogue_call *call = NULL;
    struct list_input *input = persql_call_with(x, done, sizeof(*input), &call);

    if (input == NULL || read_page(x, input) < 0)
        return;
    input->tenant = tenant;
    start(call, input);
}

void persql_list_parts(struct exchange *x, void (*done)(struct catalogue_call *call),
    void (*start)(struct catalogue_call *call, const struct branch_list_input *input))
{
    struct catalogue_call *call = NULL;
    struct branch_list_input *input = persql_call_with(x, done, sizeof(*input), &call);

    if (input == NULL || read_page(x, &input->page) < 0)
        return;
    input->tenant_id = x->database->tenant_id;
    input->database_id = x->database->id;
    start(call, input);
}

bool persql_query_flag(struct exchange *x, const char *name)
{
    struct str value = http_query_get(&x->http, &x->arena, name);

    return value.ptr != NULL && !str_is(value, "0") && !str_is_nocase(value, "false");
}

void persql_run_procedure(struct exchange *x, enum request_kind kind, procedure_fn run, void *state,
    void (*done)(struct request *request))
{
    x->state = state;
    x->request.kind = kind;
    x->request.procedure = run;
    x->request.procedure_argument = state;
    x->request.done = done;
    exchange_run(x);
}
