/* tenant …: the operator's commands. */
#include "src/rook/commands.h"

static const struct show_column columns[] = {
    {"slug", "TENANT", SHOW_PLAIN},
    {"name", "NAME", SHOW_PLAIN},
    {"databaseCount", "DATABASES", SHOW_PLAIN},
    {"externalId", "EXTERNAL ID", SHOW_PLAIN},
    {"createdAt", "CREATED", SHOW_TIME},
    {0},
};

static const char *tenant_path(struct client *client, const char *slug)
{
    return client_path(client, "/v1/admin/tenants", slug, NULL);
}

int cmd_tenant_list(struct client *client, const struct args *args)
{
    json_t *list;
    int status = fetch_list(client, "/v1/admin/tenants", 0, &list);

    (void)args;
    if (status != 0)
        return status;
    show_list(&client->show, list, columns);
    json_decref(list);
    return EXIT_OK;
}

/* Shows what came back to programs, and `done` to people; ends the answer. */
static void finish(struct client *client, struct answer *answer, const char *done, const char *slug)
{
    if (show_is_for_people(&client->show))
        note(client->quiet, "%s %s", done, slug);
    else
        show_tree(&client->show, answer->data);
    answer_fini(answer);
}

int cmd_tenant_create(struct client *client, const struct args *args)
{
    const char *slug = args_word(args, 0);
    const char *name = args_get(args, "name");
    const char *external_id = args_get(args, "external-id");
    bool if_missing = args_get(args, "if-missing") != NULL;
    json_t *body = json_pack("{s:s}", "slug", slug);
    struct answer answer = {0};
    int status = 0;
    size_t at = 0;

    if (name != NULL)
        (void)json_object_set_new(body, "name", json_string(name));
    if (external_id != NULL)
        (void)json_object_set_new(body, "externalId", json_string(external_id));
    for (const char *setting = args_next(args, "set", &at); setting != NULL && status == 0;
         setting = args_next(args, "set", &at))
        status = add_setting(body, setting);
    if (status != 0) {
        json_decref(body);
        return status;
    }
    client->unreported_status = if_missing ? 409 : 0;
    status = client_call(client, "POST", "/v1/admin/tenants", body, NULL, 0, &answer);
    if (status == EXIT_REFUSED && if_missing && client->answer.status == 409) {
        note(client->quiet, "%s is there already", slug);
        return EXIT_OK;
    }
    if (status == 0)
        finish(client, &answer, "created tenant", slug);
    return status;
}

int cmd_tenant_show(struct client *client, const struct args *args)
{
    struct answer answer = {0};
    int status =
        client_call(client, "GET", tenant_path(client, args_word(args, 0)), NULL, NULL, 0, &answer);

    if (status == 0)
        show_tree(&client->show, answer.data);
    answer_fini(&answer);
    return status;
}

int cmd_tenant_set(struct client *client, const struct args *args)
{
    const char *slug = args_word(args, 0);
    json_t *changes = json_object();
    struct answer answer = {0};
    int status = 0;

    for (size_t i = 1; i < args->word_count && status == 0; i++)
        status = add_setting(changes, args->words[i]);
    if (status != 0) {
        json_decref(changes);
        return status;
    }
    status = client_call(client, "PATCH", tenant_path(client, slug), changes, NULL, 0, &answer);
    if (status == 0)
        finish(client, &answer, "changed tenant", slug);
    return status;
}

int cmd_tenant_delete(struct client *client, const struct args *args)
{
    const char *slug = args_word(args, 0);
    struct answer answer = {0};
    const char *until;
    int status = confirm(args,
        arena_printf(&client->arena, "This deletes the tenant %s with all its databases.", slug),
        slug);

    if (status == 0)
        status = client_call(client, "DELETE", tenant_path(client, slug), NULL, NULL, 0, &answer);
    if (status != 0)
        return status;
    until = json_text(answer.data, "restorableUntil", NULL);
    if (until != NULL && show_is_for_people(&client->show)) {
        note(client->quiet,
            "deleted tenant %s; until %s this brings it back: rook tenant restore %s", slug, until,
            slug);
        answer_fini(&answer);
    } else {
        finish(client, &answer, "deleted tenant", slug);
    }
    return EXIT_OK;
}

int cmd_tenant_restore(struct client *client, const struct args *args)
{
    const char *slug = args_word(args, 0);
    struct answer answer = {0};
    int status = client_call(client, "POST",
        client_path(client, "/v1/admin/tenants", slug, "restore", NULL), NULL, NULL, 0, &answer);

    if (status == 0)
        finish(client, &answer, "restored tenant", slug);
    return status;
}
