/* Hrana's routes and its shape of errors: {"message", "code", "error"}, for its clients read the
 * first two, and those of sqld's older surface the last. */
#include "proto/hrana/hrana.h"
#include "proto/hrana/protobuf.h"
#include "proto/json.h"
#include "tenants/sql_text.h"

#define REQUESTS_MAX 1000
#define STEPS_MAX 10000

const struct hrana_codec hrana_json_codec = {
    .ops = &hrana_json_ops, .pipeline = hrana_json_pipeline, .cursor = hrana_json_cursor};
const struct hrana_codec hrana_protobuf_codec = {.ops = &hrana_protobuf_ops,
    .pipeline = hrana_protobuf_pipeline,
    .cursor = hrana_protobuf_cursor};

struct hrana_limits hrana_limits_of(const struct exchange *x)
{
    return (struct hrana_limits){.depth = x->services->settings->max_json_depth,
        .requests = REQUESTS_MAX,
        .steps = STEPS_MAX};
}

/* ---- the dialect ---- */

static struct str credentials(struct exchange *x)
{
    struct str value = str_trim(x->http.authorization);

    if (!str_starts_with_nocase(value, "bearer "))
        return str_make(NULL, 0);
    return str_trim(str_make(value.ptr + 7, value.len - 7));
}

static void write_error(struct exchange *x, const struct err *err)
{
    struct hrana_error error = hrana_error_of(err, &x->arena);
    unsigned retry_after = exchange_retry_after(err);
    struct buf *body = &x->response.body;

    if (err->code == ERR_METHOD_NOT_ALLOWED) /* as sqld: 405, and nothing in it */
        return;
    if (retry_after > 0)
        http_response_header(
            &x->response, "Retry-After", str_from(arena_printf(&x->arena, "%u", retry_after)));
    if (x->response.status == 401)
        http_response_header(&x->response, "WWW-Authenticate", STR_LITERAL("Bearer"));
    if (hrana_is_parse_error(err))
        x->response.status = 400; /* also what the guard refuses */
    x->response.content_type = "application/json";
    buf_literal(body, "{\"message\":");
    json_write_string(body, error.message);
    buf_literal(body, ",\"code\":\"");
    buf_cstr(body, error.code);
    buf_literal(body, "\",\"error\":");
    json_write_string(body, error.message);
    buf_char(body, '}');
}

/* ---- routes ---- */

static void answer_text(struct exchange *x, const char *text)
{
    x->response.status = 200;
    x->response.content_type = "text/plain";
    buf_cstr(&x->response.body, text);
    exchange_finish(x);
}

static void get_health(struct exchange *x)
{
    answer_text(x, "");
}

static void get_version(struct exchange *x)
{
    answer_text(x, "rookery " ROOKERY_VERSION "\n");
}

static void get_index(struct exchange *x)
{
    answer_text(x, "Hello, this is the Hrana API of this version; see its pipeline\n");
}

static void post_pipeline_2(struct exchange *x) ON(loop_thread)
{
    hrana_run_pipeline(x, &hrana_json_codec, HRANA_2);
}

static void post_pipeline_3(struct exchange *x) ON(loop_thread)
{
    hrana_run_pipeline(x, &hrana_json_codec, HRANA_3);
}

static void post_cursor(struct exchange *x) ON(loop_thread)
{
    hrana_run_cursor(x, &hrana_json_codec);
}

static void post_protobuf_pipeline(struct exchange *x) ON(loop_thread)
{
    hrana_run_pipeline(x, &hrana_protobuf_codec, HRANA_3);
}

static void post_protobuf_cursor(struct exchange *x) ON(loop_thread)
{
    hrana_run_cursor(x, &hrana_protobuf_codec);
}

static void post_v1_execute(struct exchange *x) ON(loop_thread)
{
    hrana_run_v1(x, HRANA_EXECUTE);
}

static void post_v1_batch(struct exchange *x) ON(loop_thread)
{
    hrana_run_v1(x, HRANA_BATCH);
}

static void missing_slash(struct exchange *x)
{
    struct err err = ERR_INIT;

    (void)err_set(&err, ERR_NOT_FOUND,
        "the client's URL needs its trailing slash: https://<host>/<tenant>/<database>/");
    exchange_fail(x, &err);
}

#define GET HTTP_METHOD_GET
#define POST HTTP_METHOD_POST
#define IN_DATABASE (NEEDS_PRINCIPAL | NEEDS_TENANT | NEEDS_DATABASE)
#define IN_ONE (NEEDS_PRINCIPAL | NEEDS_ONE_DATABASE)

/* One operation under a database's path, at the root, and without the slash between. */
#define OPERATION(name, path, handler, summary)                                                    \
    {name, POST, "/:tenant/:database" path, IN_DATABASE, CAP_READ, handler, summary},              \
        {name, POST, path, IN_ONE, CAP_READ, handler,                                              \
            "The same, of the host's or the token's "                                              \
            "only database."},                                                                     \
    {                                                                                              \
        name, POST, "/:tenant" path, NEEDS_NOTHING, 0, missing_slash, "404: a slash is missing."   \
    }
#define VERSION(path)                                                                              \
    {"hrana_index", GET, path, NEEDS_NOTHING, 0, get_index, "The version is there."},              \
        {"hrana_index", GET, "/:tenant/:database" path, NEEDS_NOTHING, 0, get_index,               \
            "The version is there."},                                                              \
    {                                                                                              \
        "hrana_index", GET, "/:tenant" path, NEEDS_NOTHING, 0, missing_slash,                      \
            "404: a slash is missing."                                                             \
    }

static const struct route routes[] = {
    {"hrana_websocket", GET, "/", NEEDS_UPGRADE, 0, hrana_upgrade, "Hrana over WebSocket."},
    {"hrana_websocket", GET, "/:tenant/:database", NEEDS_UPGRADE, 0, hrana_upgrade,
        "The same, of a database."},
    {"hrana_health", GET, "/health", NEEDS_NOTHING, 0, get_health, "200, empty."},
    {"hrana_health", GET, "/:tenant/:database/health", NEEDS_NOTHING, 0, get_health, "200, empty."},
    {"hrana_version", GET, "/version", NEEDS_NOTHING, 0, get_version,
        "The server's version as text; without a database's host, /version is JSON."},
    {"hrana_version", GET, "/:tenant/:database/version", NEEDS_NOTHING, 0, get_version,
        "The server's version as text."},
    {"hrana_dump", GET, "/dump", IN_ONE, CAP_READ, hrana_get_dump,
        "The host's or the token's only database as SQL text."},
    {"hrana_dump", GET, "/:tenant/:database/dump", IN_DATABASE, CAP_READ, hrana_get_dump,
        "The database as SQL text."},
    {"hrana_root", POST, "/", IN_ONE, CAP_READ, hrana_post_root,
        "sqld's oldest API: statements in one transaction."},
    {"hrana_root", POST, "/:tenant/:database", IN_DATABASE, CAP_READ, hrana_post_root,
        "The same, of a database by its path."},
    VERSION("/v1"),
    VERSION("/v2"),
    VERSION("/v3"),
    VERSION("/v3-protobuf"),
    OPERATION("hrana_execute", "/v1/execute", post_v1_execute, "Hrana 1: one statement."),
    OPERATION("hrana_batch", "/v1/batch", post_v1_batch, "Hrana 1: a batch."),
    OPERATION("hrana_pipeline", "/v2/pipeline", post_pipeline_2, "Hrana 2: requests of a stream."),
    OPERATION("hrana_pipeline", "/v3/pipeline", post_pipeline_3, "Hrana 3: requests of a stream."),
    OPERATION("hrana_cursor", "/v3/cursor", post_cursor, "Hrana 3: a batch, row by row."),
    OPERATION("hrana_pipeline", "/v3-protobuf/pipeline", post_protobuf_pipeline,
        "Hrana 3 in protobuf: requests of a stream."),
    OPERATION("hrana_cursor", "/v3-protobuf/cursor", post_protobuf_cursor,
        "Hrana 3 in protobuf: a batch, row by row."),
};

const struct dialect hrana_dialect = {
    .name = "hrana",
    .routes = routes,
    .route_count = ARRAY_LEN(routes),
    .is_described_elsewhere = true,
    .credentials = credentials,
    .error = write_error,
};
