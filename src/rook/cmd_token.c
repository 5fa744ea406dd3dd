/* token …: of the token's own tenant, or, with an operator's token, of the one that is named. */
#include "src/rook/commands.h"

static const struct show_column columns[] = {
    {"id", "ID", SHOW_PLAIN},
    {"name", "NAME", SHOW_PLAIN},
    {"role", "ROLE", SHOW_PLAIN},
    {"databases", "DATABASES", SHOW_PLAIN},
    {"tableScope", "TABLES", SHOW_PLAIN},
    {"createdAt", "CREATED", SHOW_TIME},
    {"expiresAt", "EXPIRES", SHOW_TIME},
    {0},
};

/* "/v1/tokens", or the operator's "/v1/admin/tenants/TENANT/tokens". */
static int tokens_path(struct client *client, const char **ret_path)
{
    const char *tenant;
    const json_t *me;
    int status = client_use_tenant(client, NULL, &tenant);

    if (status == 0)
        status = client_me(client, &me);
    if (status == 0)
        *ret_path = client_is_operator(me)
                        ? client_path(client, "/v1/admin/tenants", tenant, "tokens", NULL)
                        : "/v1/tokens";
    return status;
}

int cmd_token_list(struct client *client, const struct args *args)
{
    const char *path = NULL;
    json_t *list;
    int status = tokens_path(client, &path);

    (void)args;
    if (status == 0)
        status = fetch_list(client, path, 0, &list);
    if (status != 0)
        return status;
    show_list(&client->show, list, columns);
    json_decref(list);
    return EXIT_OK;
}

/* Repeated --option values as an array, when there are any. */
static void add_array(json_t *body, const char *key, const struct args *args, const char *option)
{
    json_t *array = json_array();
    size_t at = 0;

    for (const char *value = args_next(args, option, &at); value != NULL;
         value = args_next(args, option, &at))
        (void)json_array_append_new(array, json_string(value));
    if (json_array_size(array) > 0)
        (void)json_object_set(body, key, array);
    json_decref(array);
}

static int add_claims(json_t *body, const struct args *args)
{
    json_t *claims = json_object();
    int status = 0;
    size_t at = 0;

    for (const char *claim = args_next(args, "claim", &at); claim != NULL && status == 0;
         claim = args_next(args, "claim", &at))
        status = add_setting(claims, claim);
    if (json_object_size(claims) > 0)
        (void)json_object_set(body, "claims", claims);
    json_decref(claims);
    return status;
}

static int add_limits(json_t *body, const struct args *args)
{
    const char *expires_in = args_get(args, "expires-in");
    struct err err = ERR_INIT;
    int64_t rate = 0;
    int64_t burst = 0;
    int64_t seconds;

    if (args_integer(args, "rate", &rate, &err) < 0 ||
        args_integer(args, "burst", &burst, &err) < 0)
        return report_err(&err);
    if (burst > 0 && rate == 0)
        return report(EXIT_USAGE, "--burst needs --rate");
    if (rate > 0)
        (void)json_object_set_new(
            body, "rateLimit", json_pack("{s:I}", "perSecond", (json_int_t)rate));
    if (burst > 0)
        (void)json_object_set_new(json_object_get(body, "rateLimit"), "burst", json_integer(burst));
    if (expires_in == NULL)
        return 0;
    if (parse_duration(expires_in, &seconds) < 0 || seconds == 0)
        return report(
            EXIT_USAGE, "--expires-in takes seconds, or 15m, 12h, 30d, not '%s'", expires_in);
    (void)json_object_set_new(body, "expiresIn", json_integer(seconds));
    return 0;
}

static int token_body(const struct args *args, json_t **ret_body)
{
    const char *role = args_get(args, "role");
    const char *prefix = args_get(args, "prefix");
    const char *name = args_word(args, 0);
    json_t *body = json_pack("{s:s, s:s}", "name", name != NULL ? name : "rook", "role",
        role != NULL ? role : "readwrite");
    int status;

    if (body == NULL)
        return report(EXIT_USAGE, "the name and the role must be UTF-8");
    if (prefix != NULL)
        (void)json_object_set_new(body, "prefix", json_string(prefix));
    add_array(body, "databases", args, "database");
    add_array(body, "branches", args, "branch");
    add_array(body, "tableScope", args, "table");
    status = add_claims(body, args);
    if (status == 0)
        status = add_limits(body, args);
    if (status != 0)
        json_decref(body);
    else
        *ret_body = body;
    return status;
}

int cmd_token_create(struct client *client, const struct args *args)
{
    struct answer answer = {0};
    const char *path = NULL;
    const char *token;
    json_t *body = NULL;
    int status = token_body(args, &body);

    if (status != 0)
        return status;
    status = tokens_path(client, &path);
    if (status != 0) {
        json_decref(body);
        return status;
    }
    status = client_call(client, "POST", path, body, NULL, 0, &answer);
    if (status != 0)
        return status;
    token = json_text(answer.data, "token", NULL);
    if (!show_is_for_people(&client->show)) {
        show_tree(&client->show, answer.data);
    } else if (token != NULL) {
        (void)fprintf(client->show.out, "%s\n", token);
        note(client->quiet, "token '%s' (%s), id %s: it is shown this once only",
            json_text(answer.data, "name", ""), json_text(answer.data, "role", ""),
            json_text(answer.data, "id", "?"));
    }
    answer_fini(&answer);
    return EXIT_OK;
}

int cmd_token_revoke(struct client *client, const struct args *args)
{
    const char *path = NULL;
    int status = tokens_path(client, &path);

    for (size_t i = 0; i < args->word_count && status == 0; i++) {
        struct answer answer = {0};

        status = client_call(client, "DELETE", client_path(client, path, args->words[i], NULL),
            NULL, NULL, 0, &answer);
        if (status == 0 && !show_is_for_people(&client->show))
            show_tree(&client->show, answer.data);
        else if (status == 0)
            note(client->quiet, "revoked %s", args->words[i]);
        answer_fini(&answer);
    }
    return status;
}
