/* db …: databases of a tenant. */
#include <strings.h>

#include "src/rook/commands.h"

static const struct show_column list_columns[] = {
    {"slug", "DATABASE", SHOW_PLAIN},
    {"name", "NAME", SHOW_PLAIN},
    {"status", "STATUS", SHOW_PLAIN},
    {"createdAt", "CREATED", SHOW_TIME},
    {"expiresAt", "EXPIRES", SHOW_TIME},
    {0},
};

static const struct show_column deleted_columns[] = {
    {"slug", "DATABASE", SHOW_PLAIN},
    {"name", "NAME", SHOW_PLAIN},
    {"deletedAt", "DELETED", SHOW_TIME},
    {"restorableUntil", "RESTORABLE UNTIL", SHOW_TIME},
    {0},
};

static const struct show_column one_columns[] = {
    {"slug", "Database", SHOW_PLAIN},
    {"name", "Name", SHOW_PLAIN},
    {"id", "Id", SHOW_PLAIN},
    {"status", "Status", SHOW_PLAIN},
    {"region", "Region", SHOW_PLAIN},
    {"forkedFromId", "Forked from", SHOW_PLAIN},
    {"createdAt", "Created", SHOW_TIME},
    {"updatedAt", "Updated", SHOW_TIME},
    {"expiresAt", "Expires", SHOW_TIME},
    {"usage.bytes", "Size", SHOW_BYTES},
    {"usage.walBytes", "WAL", SHOW_BYTES},
    {"usage.requests", "Requests", SHOW_PLAIN},
    {"usage.rowsRead", "Rows read", SHOW_PLAIN},
    {"usage.rowsWritten", "Rows written", SHOW_PLAIN},
    {"usage.lastUsedAt", "Last used", SHOW_TIME},
    {0},
};

int cmd_db_list(struct client *client, const struct args *args)
{
    bool deleted = args_get(args, "deleted") != NULL;
    struct err err = ERR_INIT;
    const char *tenant;
    int64_t limit = 0;
    json_t *list;
    int status;

    if (args_integer(args, "limit", &limit, &err) < 0)
        return report_err(&err);
    status = client_use_tenant(client, NULL, &tenant);
    if (status == 0)
        status =
            fetch_list(client, deleted ? "/v1/databases?deleted=1" : "/v1/databases", limit, &list);
    if (status != 0)
        return status;
    if (json_array_size(list) == 0 && show_is_for_people(&client->show))
        note(client->quiet, deleted ? "no deleted databases in %s" : "no databases in %s yet",
            tenant);
    else
        show_list(&client->show, list, deleted ? deleted_columns : list_columns);
    json_decref(list);
    return EXIT_OK;
}

/* ---- create -------------------------------------------------------------------------------- */

static int add_settings(const struct args *args, json_t *object)
{
    size_t at = 0;
    int status = 0;

    for (const char *setting = args_next(args, "set", &at); setting != NULL && status == 0;
         setting = args_next(args, "set", &at))
        status = add_setting(object, setting);
    return status;
}

/* All names must be of one tenant: a request is for one. */
static int collect_slugs(struct client *client, const struct args *args, json_t *databases)
{
    const char *tenant = NULL;

    for (size_t i = 0; i < args->word_count; i++) {
        struct target target;
        json_t *object;
        int status = client_use_target(client, args->words[i], &target);

        if (status == 0 && tenant != NULL && strcasecmp(tenant, target.tenant) != 0)
            status = report(EXIT_USAGE, "one tenant at a time: %s or %s", tenant, target.tenant);
        if (status != 0)
            return status;
        tenant = target.tenant;
        object = json_pack("{s:s}", "slug", target.database);
        status = add_settings(args, object);
        (void)json_array_append_new(databases, object);
        if (status != 0)
            return status;
    }
    return 0;
}

int cmd_db_create(struct client *client, const struct args *args)
{
    const char *name = args_get(args, "name");
    bool if_missing = args_get(args, "if-missing") != NULL;
    json_t *databases = json_array();
    struct answer answer = {0};
    const char *slug;
    json_t *body;
    int status;

    if (args->word_count > 1 && (name != NULL || if_missing))
        status = report(EXIT_USAGE, "--name and --if-missing are for one database");
    else
        status = collect_slugs(client, args, databases);
    slug = json_text(json_array_get(databases, 0), "slug", "");
    if (status == 0) {
        if (args->word_count == 1) {
            body = json_deep_copy(json_array_get(databases, 0));
            if (name != NULL)
                (void)json_object_set_new(body, "name", json_string(name));
        } else {
            body = json_pack("{s:O}", "databases", databases);
        }
        client->unreported_status = if_missing ? 409 : 0;
        status = client_call(client, "POST", "/v1/databases", body, NULL, 0, &answer);
    }
    if (status == EXIT_REFUSED && if_missing && client->answer.status == 409) {
        note(client->quiet, "%s is there already", slug);
        json_decref(databases);
        return EXIT_OK;
    }
    if (status == 0 && !show_is_for_people(&client->show))
        show_tree(&client->show, answer.data);
    else if (status == 0 && args->word_count == 1)
        note(client->quiet, "created %s", slug);
    else if (status == 0)
        note(client->quiet, "created %zu databases", args->word_count);
    answer_fini(&answer);
    json_decref(databases);
    return status;
}

/* ---- one database -------------------------------------------------------------------------- */

static const char *database_path(struct client *client, const struct target *target)
{
    return client_path(client, "/v1/databases", target->database, NULL);
}

/* The settings as people read them: 0 bytes is no limit of the database's own. */
static json_t *settings_for_people(const json_t *settings)
{
    json_t *copy = json_deep_copy(settings);
    const char *key;
    json_t *value;

    json_object_foreach(copy, key, value) {
        if (strstr(key, "Bytes") != NULL && json_is_integer(value) &&
            json_integer_value(value) == 0)
            (void)json_object_set_new(copy, key, json_string("server's default"));
    }
    return copy;
}

int cmd_db_show(struct client *client, const struct args *args)
{
    struct answer answer = {0};
    struct target target;
    const json_t *settings;
    int status = client_use_target(client, args_word(args, 0), &target);

    if (status == 0)
        status = client_call(client, "GET", database_path(client, &target), NULL, NULL, 0, &answer);
    if (status != 0)
        return status;
    show_object(&client->show, answer.data, one_columns);
    settings = json_object_get(answer.data, "settings");
    if (show_is_for_people(&client->show) && json_object_size(settings) > 0) {
        json_t *titled = json_pack("{s:o}", "Settings", settings_for_people(settings));
        show_tree(&client->show, titled);
        json_decref(titled);
    }
    answer_fini(&answer);
    return EXIT_OK;
}

static int patch(struct client *client, const struct target *target, json_t *changes)
{
    struct answer answer = {0};
    int status =
        client_call(client, "PATCH", database_path(client, target), changes, NULL, 0, &answer);

    if (status == 0 && !show_is_for_people(&client->show))
        show_object(&client->show, answer.data, one_columns);
    answer_fini(&answer);
    return status;
}

int cmd_db_set(struct client *client, const struct args *args)
{
    json_t *changes = json_object();
    struct target target;
    int status = client_use_target(client, args_word(args, 0), &target);

    for (size_t i = 1; i < args->word_count && status == 0; i++)
        status = add_setting(changes, args->words[i]);
    if (status != 0) {
        json_decref(changes);
        return status;
    }
    status = patch(client, &target, changes);
    if (status == 0)
        note(client->quiet, "changed %s/%s", target.tenant, target.database);
    return status;
}

int cmd_db_rename(struct client *client, const struct args *args)
{
    const char *new_name = args_word(args, 1);
    const char *slash = strchr(new_name, '/');
    struct target target;
    int status = client_use_target(client, args_word(args, 0), &target);

    if (status != 0)
        return status;
    if (slash != NULL) {
        if ((size_t)(slash - new_name) != strlen(target.tenant) ||
            strncasecmp(new_name, target.tenant, strlen(target.tenant)) != 0)
            return report(EXIT_USAGE, "a database cannot move to another tenant by its name");
        new_name = slash + 1;
    }
    status = patch(client, &target, json_pack("{s:s}", "slug", new_name));
    if (status == 0)
        note(client->quiet, "renamed %s/%s to %s/%s", target.tenant, target.database, target.tenant,
            new_name);
    return status;
}

int cmd_db_delete(struct client *client, const struct args *args)
{
    struct answer answer = {0};
    struct target target;
    const char *until;
    const char *full;
    int status = client_use_target(client, args_word(args, 0), &target);

    if (status != 0)
        return status;
    full = arena_printf(&client->arena, "%s/%s", target.tenant, target.database);
    status = confirm(args, arena_printf(&client->arena, "This deletes %s with all its rows.", full),
        target.database);
    if (status == 0)
        status =
            client_call(client, "DELETE", database_path(client, &target), NULL, NULL, 0, &answer);
    if (status != 0)
        return status;
    until = json_text(answer.data, "restorableUntil", NULL);
    if (!show_is_for_people(&client->show))
        show_tree(&client->show, answer.data);
    else if (until != NULL)
        note(client->quiet, "deleted %s; until %s this brings it back: rook db restore %s", full,
            until, full);
    else
        note(client->quiet, "deleted %s", full);
    answer_fini(&answer);
    return EXIT_OK;
}

int cmd_db_restore(struct client *client, const struct args *args)
{
    struct answer answer = {0};
    struct target target;
    int status = client_use_target(client, args_word(args, 0), &target);

    if (status == 0)
        status = client_call(client, "POST",
            client_path(client, "/v1/databases", target.database, "restore", NULL), NULL, NULL, 0,
            &answer);
    if (status != 0)
        return status;
    if (show_is_for_people(&client->show))
        note(client->quiet, "restored %s/%s", target.tenant, target.database);
    else
        show_tree(&client->show, answer.data);
    answer_fini(&answer);
    return EXIT_OK;
}
