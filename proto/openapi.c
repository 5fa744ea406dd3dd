#include "proto/openapi.h"

#include <pthread.h>

#include "proto/encoder.h"

static const char *const method_words[] = {
    "get", "head", "post", "put", "patch", "delete", "options"};

static const char schemas[] =
    "{\"Error\":{\"type\":\"object\",\"required\":[\"success\",\"error\",\"code\",\"requestId\"],"
    "\"properties\":{\"success\":{\"const\":false},\"error\":{\"type\":\"string\"},"
    "\"code\":{\"type\":\"string\"},\"requestId\":{\"type\":\"string\"},"
    "\"errorDetail\":{\"$ref\":\"#/components/schemas/ErrorDetail\"}}},"
    "\"ErrorDetail\":{\"type\":\"object\",\"required\":[\"kind\",\"message\"],\"properties\":{"
    "\"kind\":{\"enum\":[\"unique_violation\",\"not_null_violation\",\"fk_violation\","
    "\"check_violation\",\"unknown_table\",\"unknown_column\",\"syntax_error\",\"type_mismatch\","
    "\"database_locked\",\"too_many_params\",\"readonly\",\"unknown\"]},"
    "\"message\":{\"type\":\"string\"},\"table\":{\"type\":\"string\"},"
    "\"column\":{\"type\":\"string\"},\"constraint\":{\"type\":\"string\"},"
    "\"near\":{\"type\":\"string\"},\"hint\":{\"type\":\"string\"},"
    "\"offset\":{\"type\":\"integer\"}}},"
    "\"Success\":{\"type\":\"object\",\"required\":[\"success\",\"data\"],\"properties\":{"
    "\"success\":{\"const\":true},\"data\":{},\"meta\":{\"$ref\":\"#/components/schemas/Meta\"}}},"
    "\"Meta\":{\"type\":\"object\",\"properties\":{\"rowsRead\":{\"type\":\"integer\"},"
    "\"rowsWritten\":{\"type\":\"integer\"},\"durationMs\":{\"type\":\"number\"},"
    "\"statementCount\":{\"type\":\"integer\"},\"costUsd\":{\"type\":\"number\"}}},"
    "\"Value\":{\"description\":\"null, number, string, boolean, {\\\"$blob\\\":base64} or "
    "{\\\"$text\\\":base64}\"},"
    "\"Statement\":{\"type\":\"object\",\"required\":[\"sql\"],\"properties\":{"
    "\"sql\":{\"type\":\"string\"},\"params\":{\"description\":\"array, or object for named "
    "ones\",\"oneOf\":[{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Value\"}},"
    "{\"type\":\"object\"}]}}},"
    "\"Batch\":{\"type\":\"object\",\"required\":[\"statements\"],\"properties\":{"
    "\"statements\":{\"type\":\"array\",\"maxItems\":100,\"items\":{\"$ref\":"
    "\"#/components/schemas/Statement\"}},\"transaction\":{\"type\":\"boolean\"},"
    "\"continueOnError\":{\"type\":\"boolean\"}}}}";

static void member(struct encoder *e, const char *key, const char *text)
{
    encoder_key(e, key);
    encoder_cstring(e, text);
}

/* "/v1/db/:tenant/query" as "/v1/db/{tenant}/query". */
static void write_path(struct encoder *e, const char *pattern)
{
    struct str rest = str_from(pattern + 1);
    struct buf path;

    buf_init(&path, 0);
    while (rest.ptr != NULL) {
        struct str segment = str_split(&rest, '/');
        bool parameter = segment.len > 0 && segment.ptr[0] == ':';

        buf_char(&path, '/');
        if (!parameter) {
            buf_str(&path, segment);
            continue;
        }
        buf_char(&path, '{');
        buf_append(&path, segment.ptr + 1, segment.len - 1);
        buf_char(&path, '}');
    }
    encoder_key_str(e, buf_view(&path));
    buf_fini(&path);
}

static void write_parameters(struct encoder *e, const char *pattern)
{
    struct str rest = str_from(pattern);

    encoder_key(e, "parameters");
    encoder_array(e);
    while (rest.ptr != NULL) {
        struct str segment = str_split(&rest, '/');

        if (segment.len < 2 || segment.ptr[0] != ':')
            continue;
        encoder_object(e);
        encoder_key(e, "name");
        encoder_string(e, str_make(segment.ptr + 1, segment.len - 1));
        member(e, "in", "path");
        encoder_key(e, "required");
        encoder_bool(e, true);
        encoder_key(e, "schema");
        encoder_raw(e, STR_LITERAL("{\"type\":\"string\"}"));
        encoder_end(e);
    }
    encoder_end(e);
}

static void write_body(struct encoder *e, const struct route *route)
{
    const char *schema = strcmp(route->name, "batch") == 0 ? "#/components/schemas/Batch"
                         : strcmp(route->name, "query") == 0 ||
                                 strcmp(route->name, "explain") == 0 ||
                                 strcmp(route->name, "validate") == 0
                             ? "#/components/schemas/Statement"
                             : NULL;
    static const char *const usual[] = {"application/json", "application/msgpack"};
    static const char *const files[] = {"application/vnd.sqlite3", "application/sql"};
    bool streams = (route->needs & STREAMS_BODY) != 0;
    const char *const *types = streams ? files : usual;

    encoder_key(e, "requestBody");
    encoder_object(e);
    encoder_key(e, "required");
    encoder_bool(e, true);
    encoder_key(e, "content");
    encoder_object(e);
    for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
        encoder_key(e, types[i]);
        encoder_object(e);
        encoder_key(e, "schema");
        encoder_object(e);
        member(e, schema == NULL ? "type" : "$ref",
            streams          ? "string"
            : schema == NULL ? "object"
                             : schema);
        if (streams)
            member(e, "format", "binary");
        encoder_end(e);
        encoder_end(e);
    }
    encoder_end(e);
    encoder_end(e);
}

static void write_response(
    struct encoder *e, const char *status, const char *description, const char *schema)
{
    encoder_key(e, status);
    encoder_object(e);
    member(e, "description", description);
    encoder_key(e, "content");
    encoder_object(e);
    encoder_key(e, "application/json");
    encoder_object(e);
    encoder_key(e, "schema");
    encoder_object(e);
    member(e, "$ref", schema);
    encoder_end(e);
    encoder_end(e);
    encoder_end(e);
    encoder_end(e);
}

/* operationId must be one of a kind: aliases get their place in the table behind it. */
static void write_operation_id(
    struct encoder *e, const struct dialect *dialect, const struct route *route)
{
    bool alias = false;
    struct buf text;

    for (const struct route *other = dialect->routes; other < route; other++)
        alias |= strcmp(other->name, route->name) == 0;
    buf_init(&text, 256);
    buf_cstr(&text, route->name);
    if (alias) {
        buf_char(&text, '_');
        buf_u64(&text, (uint64_t)(route - dialect->routes));
    }
    encoder_key(e, "operationId");
    encoder_string(e, buf_view(&text));
    buf_fini(&text);
}

static void write_operation(
    struct encoder *e, const struct dialect *dialect, const struct route *route, const char *method)
{
    encoder_key(e, method);
    encoder_object(e);
    write_operation_id(e, dialect, route);
    member(e, "summary", route->summary);
    encoder_key(e, "tags");
    encoder_array(e);
    encoder_cstring(e, dialect->name);
    encoder_end(e);
    write_parameters(e, route->pattern);
    if ((route->needs & (NEEDS_BODY | STREAMS_BODY)) != 0)
        write_body(e, route);
    encoder_key(e, "responses");
    encoder_object(e);
    write_response(e, "200", "Done.", "#/components/schemas/Success");
    write_response(e, "default", "Refused or failed.", "#/components/schemas/Error");
    encoder_end(e);
    if ((route->needs & NEEDS_PRINCIPAL) == 0) {
        encoder_key(e, "security");
        encoder_array(e);
        encoder_end(e);
    }
    encoder_end(e);
}

/* True when the pattern came before, in this dialect or an earlier one. */
static bool seen(const struct dialect *const *table, const struct route *until)
{
    for (; *table != NULL; table++) {
        for (size_t i = 0; i < (*table)->route_count; i++) {
            const struct route *route = &(*table)->routes[i];

            if (route == until)
                return false;
            if (strcmp(route->pattern, until->pattern) == 0)
                return true;
        }
    }
    return false;
}

/* All operations of a pattern are in one object; a method counts where it comes first. */
static void write_operations(
    struct encoder *e, const struct dialect *const *table, const char *pattern)
{
    unsigned done = 0;

    for (; *table != NULL; table++) {
        for (size_t i = 0; i < (*table)->route_count; i++) {
            const struct route *route = &(*table)->routes[i];

            if (strcmp(route->pattern, pattern) != 0)
                continue;
            for (unsigned method = 0; method < ARRAY_LEN(method_words); method++) {
                if ((route->methods & ~done & 1U << method) != 0)
                    write_operation(e, *table, route, method_words[method]);
            }
            done |= route->methods;
        }
    }
}

static bool is_wanted(const struct dialect *dialect, struct str name)
{
    return name.len > 0 ? str_is(name, dialect->name) : !dialect->is_described_elsewhere;
}

void openapi_write(struct buf *out, const struct dialect *const *table, struct str name)
{
    struct encoder e;

    encoder_init(&e, out, BODY_JSON);
    encoder_object(&e);
    member(&e, "openapi", "3.1.0");
    encoder_key(&e, "info");
    encoder_object(&e);
    member(&e, "title", "Rookery");
    member(&e, "version", ROOKERY_VERSION);
    member(&e, "description", "A server of many isolated SQLite databases.");
    encoder_end(&e);
    encoder_key(&e, "security");
    encoder_raw(&e, STR_LITERAL("[{\"token\":[]}]"));
    encoder_key(&e, "paths");
    encoder_object(&e);
    for (const struct dialect *const *at = table; *at != NULL; at++) {
        if (!is_wanted(*at, name))
            continue;
        for (size_t i = 0; i < (*at)->route_count; i++) {
            const struct route *route = &(*at)->routes[i];

            if (seen(table, route))
                continue;
            write_path(&e, route->pattern);
            encoder_object(&e);
            write_operations(&e, table, route->pattern);
            encoder_end(&e);
        }
    }
    encoder_end(&e);
    encoder_key(&e, "components");
    encoder_object(&e);
    encoder_key(&e, "securitySchemes");
    encoder_raw(&e, STR_LITERAL("{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"}}"));
    encoder_key(&e, "schemas");
    encoder_raw(&e, str_from(schemas));
    encoder_end(&e);
    encoder_end(&e);
}

static struct buf text;

static void make_text(void)
{
    openapi_write(&text, dialects, str_make(NULL, 0));
}

void openapi_handle(struct exchange *x)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    struct str name = http_query_get(&x->http, &x->arena, "dialect");

    buf_reset(&x->response.body, SIZE_MAX);
    if (name.len > 0) {
        openapi_write(&x->response.body, dialects, name);
    } else {
        (void)pthread_once(&once, make_text);
        buf_str(&x->response.body, buf_view(&text));
    }
    x->response.status = 200;
    x->response.content_type = "application/json";
    exchange_finish(x);
}
