#include "src/rook/client.h"

#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>

#include "src/rook/file.h"
#include "src/rook/text.h"
#include "tenants/base/check.h"

void client_init(struct client *client)
{
    *client = (struct client){.timeout_s = CLIENT_DEFAULT_TIMEOUT_S};
    arena_init(&client->arena, 0);
    client->show = (struct show){.out = stdout, .headers = true, .null_text = "NULL"};
    client->show.unicode = text_init();
}

void client_fini(struct client *client)
{
    json_decref(client->me);
    http_answer_fini(&client->answer);
    http_free(client->http);
    arena_fini(&client->arena);
}

/* ---- where to, and with which token -------------------------------------------------------- */

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static int find_profile(
    struct client *client, struct profiles *profiles, const struct profile **ret_profile)
{
    const char *name =
        client->profile_name != NULL ? client->profile_name : environment("ROOKERY_PROFILE");
    struct err err = ERR_INIT;

    if (profiles_load(profiles, &client->arena, &err) < 0)
        return report_err(&err);
    *ret_profile = name != NULL ? profiles_find(profiles, name) : profiles_current(profiles);
    if (*ret_profile == NULL && name != NULL)
        return report(EXIT_USAGE,
            "there is no profile named '%s' (rook profile list shows them, rook login makes one)",
            name);
    return 0;
}

int client_given_token(struct client *client, const char **ret_token)
{
    struct buf token = {0};
    struct err err = ERR_INIT;

    *ret_token = environment("ROOKERY_TOKEN");
    if (client->token_file == NULL)
        return 0;
    if (file_read_token(client->token_file, NULL, &token, &err) < 0) {
        buf_fini(&token);
        return report_err(&err);
    }
    *ret_token = arena_cstr(&client->arena, buf_view(&token));
    explicit_bzero(token.bytes, token.len);
    buf_fini(&token);
    return 0;
}

static bool same_url(const char *a, const char *b)
{
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);

    while (a_len > 0 && a[a_len - 1] == '/')
        a_len--;
    while (b_len > 0 && b[b_len - 1] == '/')
        b_len--;
    return a_len == b_len && strncmp(a, b, a_len) == 0;
}

int client_open(struct client *client, const char *url, const char *token)
{
    struct err err = ERR_INIT;

    client->http = http_new(url, token, client->timeout_s, &err);
    if (client->http == NULL)
        return report_err(&err);
    client->opened_url = arena_cstr(&client->arena, str_from(url));
    return 0;
}

static int open_connection(struct client *client)
{
    const char *url = client->url != NULL ? client->url : environment("ROOKERY_URL");
    const struct profile *profile = NULL;
    struct profiles profiles;
    const char *token = NULL;
    int status = client_given_token(client, &token);

    if (status != 0)
        return status;
    /* With both said, the profiles are not even read: scripts work without a home. */
    if (client->profile_name != NULL || url == NULL || token == NULL)
        status = find_profile(client, &profiles, &profile);
    if (status != 0)
        return status;
    if (profile != NULL && profile->url != NULL && url == NULL)
        url = profile->url;
    if (url == NULL)
        url = CLIENT_DEFAULT_URL;
    if (profile != NULL && profile->url != NULL && same_url(url, profile->url)) {
        client->profile_tenant = profile->tenant;
        token = token != NULL ? token : profile->token;
    }
    if (token == NULL)
        return report(EXIT_AUTH,
            "no token for %s: sign in with rook login %s, or set ROOKERY_TOKEN, or use "
            "--token-file",
            url, url);
    return client_open(client, url, token);
}

/* ---- calls --------------------------------------------------------------------------------- */

void answer_fini(struct answer *answer)
{
    json_decref(answer->root);
    *answer = (struct answer){0};
}

/* What the server said, or its refusal. */
static int judge(struct client *client, const struct statement *statements, size_t count,
    struct answer *ret_answer)
{
    struct http_answer *raw = &client->answer;
    struct err err = ERR_INIT;
    int status;
    json_t *root;

    root = json_read(buf_view(&raw->body), &err);
    if (root == NULL || !json_is_boolean(json_object_get(root, "success"))) {
        json_decref(root);
        return report(EXIT_UNREACHABLE,
            "%s answered with HTTP %d and no JSON of a Rookery server%s%s", client->opened_url,
            raw->status, err.code != ERR_NONE ? ": " : "", err.msg);
    }
    /* A result that fails half way has status 200: only `success` counts. */
    if (!json_is(root, "success") || raw->status >= 300) {
        status = EXIT_REFUSED;
        if (raw->status != client->unreported_status)
            status = report_refusal(
                root, raw->status, raw->request_id, raw->retry_after_s, statements, count);
        json_decref(root);
        return status;
    }
    *ret_answer = (struct answer){
        .root = root, .data = json_object_get(root, "data"), .elapsed_ns = raw->elapsed_ns};
    return 0;
}

int client_call(struct client *client, const char *method, const char *path, json_t *body,
    const struct statement *statements, size_t count, struct answer *ret_answer)
{
    struct http_answer *raw = &client->answer;
    struct buf text = {0};
    struct err err = ERR_INIT;
    int status = client->http == NULL ? open_connection(client) : 0;

    if (body != NULL)
        json_write(&text, body, JSON_LAYOUT_LINE);
    json_decref(body);
    if (status == 0 &&
        http_call(client->http, method, path, text.len > 0 ? &text : NULL, raw, &err) < 0)
        status = report_err(&err);
    buf_fini(&text);
    return status != 0 ? status : judge(client, statements, count, ret_answer);
}

int client_transfer(struct client *client, const char *method, const char *path,
    const struct http_transfer *transfer, struct answer *ret_answer)
{
    struct answer answer = {0};
    struct err err = ERR_INIT;
    int status = client->http == NULL ? open_connection(client) : 0;

    if (status == 0 &&
        http_transfer(client->http, method, path, transfer, &client->answer, &err) < 0)
        status = report_err(&err);
    if (status != 0 || (transfer->write != NULL && client->answer.status == 200))
        return status;
    status = judge(client, NULL, 0, &answer);
    if (status == 0 && ret_answer != NULL)
        *ret_answer = answer;
    else
        answer_fini(&answer);
    return status;
}

int client_me(struct client *client, const json_t **ret_me)
{
    struct answer answer = {0};
    int status;

    if (client->me == NULL) {
        status = client_call(client, "GET", "/v1/me", NULL, NULL, 0, &answer);
        if (status != 0)
            return status;
        client->me = json_deep_copy(answer.data);
        answer_fini(&answer);
    }
    *ret_me = client->me;
    return 0;
}

bool client_is_operator(const json_t *me)
{
    return strcmp(json_text(me, "role", ""), "operator") == 0;
}

/* ---- tenants and databases ----------------------------------------------------------------- */

const char *client_path(struct client *client, const char *first, ...)
{
    struct buf path = {0};
    const char *result;
    const char *part;
    va_list args;

    buf_cstr(&path, first);
    va_start(args, first);
    for (part = va_arg(args, const char *); part != NULL; part = va_arg(args, const char *)) {
        buf_char(&path, '/');
        http_path_segment(&path, part);
    }
    va_end(args);
    result = arena_cstr(&client->arena, buf_view(&path));
    buf_fini(&path);
    return result;
}

/* The tenant that is meant when a command names none: 0 and NULL where nothing says it. */
static int default_tenant(struct client *client, const char **ret_tenant)
{
    const json_t *me;
    int status;

    *ret_tenant = client->tenant;
    if (*ret_tenant != NULL)
        return 0;
    status = client_me(client, &me);
    if (status != 0)
        return status;
    *ret_tenant = client_is_operator(me) ? client->profile_tenant
                                         : json_text(me, "namespaceSlug", client->profile_tenant);
    if (*ret_tenant == NULL)
        return report(EXIT_USAGE,
            "this token is an operator's: say which tenant (TENANT/DATABASE or --tenant TENANT)");
    return 0;
}

static int split_name(struct client *client, const char *name, struct target *ret_target)
{
    struct str rest = str_from(name);
    struct str first = str_split(&rest, '/');

    *ret_target = (struct target){0};
    /* A slash after the '@' belongs to the branch's name. */
    if (rest.ptr == NULL || str_find(first, '@') < first.len) {
        ret_target->database = arena_cstr(&client->arena, str_from(name));
    } else {
        ret_target->tenant = arena_cstr(&client->arena, first);
        ret_target->database = arena_cstr(&client->arena, rest);
        if (first.len == 0)
            ret_target->database = "";
    }
    if (ret_target->database[0] == '\0')
        return report(EXIT_USAGE, "'%s' names no database: TENANT/DATABASE or DATABASE", name);
    if (ret_target->tenant != NULL && client->tenant != NULL &&
        strcasecmp(ret_target->tenant, client->tenant) != 0)
        return report(EXIT_USAGE, "'%s' and --tenant %s name two tenants", name, client->tenant);
    return 0;
}

static void set_paths(struct client *client, struct target *target)
{
    target->query_path =
        client_path(client, "/v1/db", target->tenant, target->database, "query", NULL);
    target->batch_path =
        client_path(client, "/v1/db", target->tenant, target->database, "batch", NULL);
}

int client_target(struct client *client, const char *name, struct target *ret_target)
{
    int status = split_name(client, name, ret_target);

    if (status == 0 && ret_target->tenant == NULL)
        status = default_tenant(client, &ret_target->tenant);
    if (status == 0)
        set_paths(client, ret_target);
    return status;
}

int client_use_tenant(struct client *client, const char *named, const char **ret_tenant)
{
    const char *tenant = named;
    const json_t *me;
    int status = client_me(client, &me);

    if (status == 0 && tenant == NULL)
        status = default_tenant(client, &tenant);
    if (status != 0)
        return status;
    if (tenant[strspn(
            tenant, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")] !=
        '\0') /* it goes into a header */
        return report(EXIT_USAGE, "'%s' is not a tenant's name: letters, digits, _ and -", tenant);
    if (client_is_operator(me)) {
        if (!client->tenant_header_sent)
            http_add_header(client->http, "X-Rookery-Tenant", tenant);
        client->tenant_header_sent = true;
    } else if (strcasecmp(json_text(me, "namespaceSlug", tenant), tenant) != 0) {
        return report(EXIT_AUTH, "this token is for the tenant '%s', not for '%s'",
            json_text(me, "namespaceSlug", ""), tenant);
    }
    *ret_tenant = tenant;
    return 0;
}

int client_use_target(struct client *client, const char *name, struct target *ret_target)
{
    int status = split_name(client, name, ret_target);

    if (status == 0)
        status = client_use_tenant(client, ret_target->tenant, &ret_target->tenant);
    if (status == 0)
        set_paths(client, ret_target);
    return status;
}
