/* branch …, snapshot …: branches and snapshots of a database. */
#include "src/rook/commands.h"

static const struct show_column branch_columns[] = {
    {"branchRef", "BRANCH", SHOW_PLAIN},
    {"slug", "DATABASE", SHOW_PLAIN},
    {"name", "NAME", SHOW_PLAIN},
    {"createdAt", "CREATED", SHOW_TIME},
    {"expiresAt", "EXPIRES", SHOW_TIME},
    {"protected", "PROTECTED", SHOW_PLAIN},
    {0},
};

static const struct show_column snapshot_columns[] = {
    {"id", "SNAPSHOT", SHOW_PLAIN},
    {"label", "LABEL", SHOW_PLAIN},
    {"reason", "KEPT BEFORE", SHOW_PLAIN},
    {"createdAt", "CREATED", SHOW_TIME},
    {0},
};

static int use(struct client *client, const struct args *args, struct target *target)
{
    return client_use_target(client, args_word(args, 0), target);
}

static const char *branch_path(
    struct client *client, const struct target *target, const char *ref, const char *more)
{
    return client_path(
        client, "/v1/db", target->tenant, target->database, "branches", ref, more, NULL);
}

static int list(struct client *client, const struct args *args, const char *what,
    const struct show_column *columns)
{
    struct target target;
    json_t *items;
    int status = use(client, args, &target);

    if (status == 0)
        status = fetch_list(client,
            client_path(client, "/v1/db", target.tenant, target.database, what, NULL), 0, &items);
    if (status != 0)
        return status;
    if (json_array_size(items) == 0 && show_is_for_people(&client->show))
        note(client->quiet, "no %s of %s/%s", what, target.tenant, target.database);
    else
        show_list(&client->show, items, columns);
    json_decref(items);
    return EXIT_OK;
}

/* Sends, and shows the answer to a program; to people the caller says it. */
static int send(struct client *client, const char *method, const char *path, json_t *body,
    struct answer *answer)
{
    int status = client_call(client, method, path, body, NULL, 0, answer);

    if (status == 0 && !show_is_for_people(&client->show))
        show_tree(&client->show, answer->data);
    return status;
}

/* ---- branch -------------------------------------------------------------------------------- */

int cmd_branch_list(struct client *client, const struct args *args)
{
    return list(client, args, "branches", branch_columns);
}

static int read_options(const struct args *args, json_t *body)
{
    const char *ttl = args_get(args, "ttl");
    const char *snapshot = args_get(args, "snapshot");
    int64_t seconds = 0;

    if (ttl != NULL && parse_duration(ttl, &seconds) < 0)
        return report(EXIT_USAGE, "--ttl takes a time such as 12h or 7d, not '%s'", ttl);
    if (ttl != NULL)
        (void)json_object_set_new(body, "ttlSec", json_integer(seconds));
    if (snapshot != NULL)
        (void)json_object_set_new(body, "snapshot", json_string(snapshot));
    if (args_get(args, "schema-only") != NULL)
        (void)json_object_set_new(body, "data", json_false());
    if (args_get(args, "protect") != NULL)
        (void)json_object_set_new(body, "protected", json_true());
    return 0;
}

int cmd_branch_create(struct client *client, const struct args *args)
{
    const char *ref = args_word(args, 1);
    struct answer answer = {0};
    json_t *body = json_object();
    struct target target;
    int status = use(client, args, &target);

    if (status == 0)
        status = read_options(args, body);
    if (status != 0) {
        json_decref(body);
        return status;
    }
    status = send(client, "PUT", branch_path(client, &target, ref, NULL), body, &answer);
    if (status != 0)
        return status;
    if (show_is_for_people(&client->show))
        note(client->quiet, "%s %s/%s", json_text(answer.data, "outcome", "made"), target.tenant,
            json_text(answer.data, "slug", ref));
    answer_fini(&answer);
    return EXIT_OK;
}

int cmd_branch_promote(struct client *client, const struct args *args)
{
    const char *ref = args_word(args, 1);
    struct answer answer = {0};
    struct target target;
    const json_t *kept;
    int status = use(client, args, &target);

    if (status == 0)
        status = confirm(args,
            arena_printf(&client->arena, "This gives %s/%s what its branch %s has.", target.tenant,
                target.database, ref),
            target.database);
    if (status == 0)
        status = send(
            client, "POST", branch_path(client, &target, ref, "promote"), json_object(), &answer);
    if (status != 0)
        return status;
    kept = json_object_get(answer.data, "snapshot");
    if (show_is_for_people(&client->show))
        note(client->quiet, "promoted %s; what was there is kept: rook snapshot restore %s/%s %s",
            ref, target.tenant, target.database, json_text(kept, "id", "?"));
    answer_fini(&answer);
    return EXIT_OK;
}

int cmd_branch_delete(struct client *client, const struct args *args)
{
    const char *ref = args_word(args, 1);
    struct answer answer = {0};
    struct target target;
    int status = use(client, args, &target);

    if (status == 0)
        status = confirm(args,
            arena_printf(&client->arena,
                "This deletes the branch %s of %s/%s; it cannot be restored.", ref, target.tenant,
                target.database),
            ref);
    if (status == 0)
        status = send(client, "DELETE", branch_path(client, &target, ref, NULL), NULL, &answer);
    if (status != 0)
        return status;
    if (show_is_for_people(&client->show))
        note(client->quiet, "deleted the branch %s of %s/%s", ref, target.tenant, target.database);
    answer_fini(&answer);
    return EXIT_OK;
}

/* ---- snapshot ------------------------------------------------------------------------------ */

int cmd_snapshot_list(struct client *client, const struct args *args)
{
    return list(client, args, "snapshots", snapshot_columns);
}

static const char *snapshot_path(
    struct client *client, const struct target *target, const char *id, const char *more)
{
    return client_path(
        client, "/v1/db", target->tenant, target->database, "snapshots", id, more, NULL);
}

int cmd_snapshot_create(struct client *client, const struct args *args)
{
    const char *label = args->word_count > 1 ? args_word(args, 1) : "";
    struct answer answer = {0};
    struct target target;
    int status = use(client, args, &target);

    if (status == 0)
        status = send(client, "POST", snapshot_path(client, &target, NULL, NULL),
            json_pack("{s:s}", "label", label), &answer);
    if (status != 0)
        return status;
    if (show_is_for_people(&client->show))
        note(client->quiet, "kept %s/%s as %s", target.tenant, target.database,
            json_text(answer.data, "id", "?"));
    answer_fini(&answer);
    return EXIT_OK;
}

int cmd_snapshot_restore(struct client *client, const struct args *args)
{
    const char *id = args_word(args, 1);
    struct answer answer = {0};
    struct target target;
    int status = use(client, args, &target);

    if (status == 0)
        status = confirm(args,
            arena_printf(&client->arena, "This gives %s/%s what it had then.", target.tenant,
                target.database),
            target.database);
    if (status == 0)
        status = send(
            client, "POST", snapshot_path(client, &target, id, "restore"), json_object(), &answer);
    if (status != 0)
        return status;
    if (show_is_for_people(&client->show))
        note(client->quiet, "restored %s/%s; what was there is kept as %s", target.tenant,
            target.database, json_text(json_object_get(answer.data, "snapshot"), "id", "?"));
    answer_fini(&answer);
    return EXIT_OK;
}

int cmd_snapshot_delete(struct client *client, const struct args *args)
{
    const char *id = args_word(args, 1);
    struct answer answer = {0};
    struct target target;
    int status = use(client, args, &target);

    if (status == 0)
        status =
            confirm(args, arena_printf(&client->arena, "This deletes the snapshot %s.", id), id);
    if (status == 0)
        status = send(client, "DELETE", snapshot_path(client, &target, id, NULL), NULL, &answer);
    if (status != 0)
        return status;
    if (show_is_for_people(&client->show))
        note(client->quiet, "deleted the snapshot %s", id);
    answer_fini(&answer);
    return EXIT_OK;
}
