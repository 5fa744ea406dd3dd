/* GET /v1/db/:tenant/:database/export?format=sqlite|sql: a whole database, streamed. */
#include "tenants/export.h"
#include "proto/hrana/hrana.h"
#include "proto/persql/persql.h"
#include "tenants/base/clock.h"
#include "tenants/base/log.h"

#define EXPORT_TIME_S 21600 /* longest; slow readers and the WAL's bound end one long before */

struct export
{
    struct producer producer; /* first */
    struct sink sink;
    struct exchange *x;
    struct export_file file;
};

/* The size of a file is known with its first piece, before the head leaves. */
static int produce(
    struct producer *producer, struct sqlite3 *db, struct buf *out, struct err *ret_err)
{
    struct export *export = CONTAINER_OF(producer, struct export, producer);
    struct http_response *response = &export->x->response;
    int more = export->file.producer.produce(&export->file.producer, db, out, ret_err);

    if (more >= 0 && response->stream_bytes == 0)
        response->stream_bytes = export->file.total_bytes;
    if (export->x->http.method == HTTP_METHOD_HEAD && more > 0) {
        out->len = 0;
        more = 0;
    }
    return more;
}

static void end(struct producer *producer)
{
    struct export *export = CONTAINER_OF(producer, struct export, producer);

    export->file.producer.end(&export->file.producer);
}

static void on_done(struct request *request)
{
    struct exchange *x = request->owner;
    struct export *export = x->state;
    char quoted[ERR_MSG_MAX + 8];

    if (request->err.code != ERR_NONE && !request->streamed) {
        x->response.header_count = 0;
        x->response.stream_bytes = 0;
        exchange_fail(x, &request->err);
        return;
    }
    buf_take(&x->response.body, &export->sink.out);
    x->response.body.limit_bytes = 0;
    if (request->err.code != ERR_NONE) {
        /* The head is out: nothing can be said any more but that it is not whole. */
        x->response.body.failed = true;
        if (request->err.code != ERR_CANCELLED)
            log_warn("export.aborted", "request=%.*s tenant=%.*s database=%.*s code=%s error=%s",
                STR_ARGS(x->http.request_id), STR_ARGS(x->database->tenant_slug),
                STR_ARGS(x->database->slug), err_code_name(request->err.code),
                log_quote(quoted, sizeof(quoted), str_from(request->err.msg)));
    }
    exchange_finish(x);
}

static void dispose(void *argument)
{
    buf_fini(&((struct export *)argument)->sink.out);
}

/* False: answered. */
static bool read_format(struct exchange *x, bool *ret_as_file)
{
    struct str format = http_query_get(&x->http, &x->arena, "format");

    *ret_as_file = format.len == 0 || str_is(format, "sqlite");
    if (*ret_as_file || str_is(format, "sql"))
        return true;
    persql_fail(x, ERR_BAD_REQUEST, "'format' must be sqlite or sql");
    return false;
}

static void name_file(struct exchange *x, const char *suffix)
{
    http_response_header(&x->response, "Content-Disposition",
        str_from(arena_printf(
            &x->arena, "attachment; filename=\"%.*s.%s\"", STR_ARGS(x->database->slug), suffix)));
}

static void send_file(struct exchange *x) ON(loop_thread)
{
    static const struct sink_ops ops = {.rewound = NULL};
    struct export *export = persql_zalloc(x, sizeof(*export));

    if (export == NULL)
        return;
    export->producer = (struct producer){.produce = produce, .end = end};
    export->x = x;
    export_file_init(&export->file);
    export->sink = (struct sink){.ops = &ops};
    (void)arena_on_end(&x->arena, dispose, export);
    x->state = export;
    x->response.status = 200;
    x->response.content_type = "application/vnd.sqlite3";
    x->may_stream = true;
    x->request.kind = REQUEST_PRODUCER;
    x->request.producer = &export->producer;
    x->request.sink = &export->sink;
    x->request.deadline_ns = clock_now_ns() + EXPORT_TIME_S * NS_PER_S;
    x->request.done = on_done;
    exchange_run(x);
}

void persql_export(struct exchange *x)
{
    bool as_file;

    if (!read_format(x, &as_file))
        return;
    if (x->principal->table_count > 0) {
        persql_fail(
            x, ERR_TABLE_SCOPE, "the token is limited to some tables; an export holds them all");
        return;
    }
    name_file(x, as_file ? "sqlite3" : "sql");
    if (as_file)
        send_file(x);
    else
        hrana_dump(x, "application/sql");
}
