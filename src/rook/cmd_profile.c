/* login, logout, me, profile …: who the user is, and where. */
#include <stdlib.h>
#include <unistd.h>

#include "src/rook/commands.h"
#include "src/rook/file.h"

static const struct show_column me_columns[] = {
    {"namespaceSlug", "Tenant", SHOW_PLAIN},
    {"role", "Role", SHOW_PLAIN},
    {"tokenName", "Token", SHOW_PLAIN},
    {"tokenId", "Token id", SHOW_PLAIN},
    {"databases", "Databases", SHOW_PLAIN},
    {"expiresAt", "Expires", SHOW_TIME},
    {0},
};

static const char *chosen_name(const struct client *client)
{
    const char *environment = getenv("ROOKERY_PROFILE");

    if (client->profile_name != NULL)
        return client->profile_name;
    return environment != NULL && environment[0] != '\0' ? environment : NULL;
}

/* From --token-file or ROOKERY_TOKEN, else from stdin when that is no terminal, else asked for. */
static int read_token(struct client *client, const char *url, const char **ret_token)
{
    struct buf token = {0};
    struct err err = ERR_INIT;
    const char *prompt = arena_printf(&client->arena, "Token for %s: ", url);
    int status = client_given_token(client, ret_token);

    if (status != 0 || *ret_token != NULL)
        return status;
    if (file_read_token(isatty(STDIN_FILENO) != 0 ? NULL : "-", prompt, &token, &err) < 0)
        status = report_err(&err);
    else
        *ret_token = arena_cstr(&client->arena, buf_view(&token));
    if (token.bytes != NULL)
        explicit_bzero(token.bytes, token.len);
    buf_fini(&token);
    return status;
}

static void warn_of_plain_http(const struct client *client, const char *url)
{
    static const char *const safe[] = {
        "https:", "unix:", "http://127.", "http://localhost", "http://[::1]"};

    for (size_t i = 0; i < ARRAY_LEN(safe); i++)
        if (str_starts_with(str_from(url), safe[i]))
            return;
    note(client->quiet, "warning: over %s the token travels unencrypted; use https where you can",
        url);
}

int cmd_login(struct client *client, const struct args *args)
{
    const char *name = chosen_name(client) != NULL ? chosen_name(client) : PROFILE_DEFAULT_NAME;
    const char *url = args_word(args, 0) != NULL ? args_word(args, 0) : client->url;
    const char *token = NULL;
    const json_t *me = NULL;
    struct profiles profiles;
    struct profile *profile;
    struct err err = ERR_INIT;
    int status;

    if (!profile_name_is_valid(name))
        return report(EXIT_USAGE, "'%s' is not a profile's name: letters, digits and . _ -", name);
    if (profiles_load(&profiles, &client->arena, &err) < 0)
        return report_err(&err);
    profile = profiles_find(&profiles, name);
    if (url == NULL)
        url = profile != NULL && profile->url != NULL ? profile->url : getenv("ROOKERY_URL");
    if (url == NULL)
        url = CLIENT_DEFAULT_URL;
    if (!http_is_url(url))
        return report(EXIT_USAGE, "'%s' is not a URL: http://…, https://… or unix:/path", url);
    warn_of_plain_http(client, url);
    status = read_token(client, url, &token);
    if (status == 0)
        status = client_open(client, url, token);
    if (status == 0 && args_get(args, "no-check") == NULL)
        status = client_me(client, &me);
    if (status != 0)
        return status;
    profile = profiles_put(&profiles, name);
    profile->url = url;
    profile->token = token;
    profile->tenant = client->tenant;
    profiles.current = name;
    if (profiles_save(&profiles, &err) < 0)
        return report_err(&err);
    note(client->quiet, "saved as profile '%s' in %s", name, profiles.path);
    if (me != NULL)
        show_object(&client->show, me, me_columns);
    return EXIT_OK;
}

int cmd_logout(struct client *client, const struct args *args)
{
    const char *name = chosen_name(client);
    struct profiles profiles;
    struct err err = ERR_INIT;

    (void)args;
    if (profiles_load(&profiles, &client->arena, &err) < 0)
        return report_err(&err);
    if (name == NULL && profiles_current(&profiles) != NULL)
        name = profiles_current(&profiles)->name;
    if (name == NULL || !profiles_remove(&profiles, name))
        return report(EXIT_USAGE, "there is no profile%s%s%s to forget", name != NULL ? " '" : "",
            name != NULL ? name : "", name != NULL ? "'" : "");
    if (profiles_save(&profiles, &err) < 0)
        return report_err(&err);
    note(client->quiet, "forgot profile '%s' (its token still works until it is revoked)", name);
    return EXIT_OK;
}

int cmd_me(struct client *client, const struct args *args)
{
    const json_t *me;
    int status = client_me(client, &me);

    (void)args;
    if (status == 0)
        show_object(&client->show, me, me_columns);
    return status;
}

int cmd_profile_list(struct client *client, const struct args *args)
{
    static const struct show_column columns[] = {
        {"name", "PROFILE", SHOW_PLAIN},
        {"current", "CURRENT", SHOW_PLAIN},
        {"url", "URL", SHOW_PLAIN},
        {"tenant", "TENANT", SHOW_PLAIN},
        {0},
    };
    json_t *list = json_array();
    struct profiles profiles;
    const struct profile *current;
    struct err err = ERR_INIT;

    (void)args;
    if (profiles_load(&profiles, &client->arena, &err) < 0) {
        json_decref(list);
        return report_err(&err);
    }
    current = profiles_current(&profiles);
    for (const struct profile *p = profiles.first; p != NULL; p = p->next)
        (void)json_array_append_new(
            list, json_pack("{s:s, s:b, s:s?, s:s?}", "name", p->name, "current", p == current,
                      "url", p->url, "tenant", p->tenant));
    show_list(&client->show, list, columns);
    json_decref(list);
    return EXIT_OK;
}

int cmd_profile_use(struct client *client, const struct args *args)
{
    const char *name = args_word(args, 0);
    struct profiles profiles;
    struct err err = ERR_INIT;

    if (profiles_load(&profiles, &client->arena, &err) < 0)
        return report_err(&err);
    if (profiles_find(&profiles, name) == NULL)
        return report(EXIT_USAGE, "there is no profile named '%s'", name);
    profiles.current = name;
    if (profiles_save(&profiles, &err) < 0)
        return report_err(&err);
    note(client->quiet, "'%s' is the current profile now", name);
    return EXIT_OK;
}
