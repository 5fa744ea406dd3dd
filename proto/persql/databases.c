/* Databases of the tenant: create, list, show, change, delete, restore. */
#include "proto/persql/persql.h"
#include "tenants/base/clock.h"

/* ---- shapes ---- */

void persql_write_usage(struct encoder *e, const struct usage_totals *usage)
{
    encoder_object(e);
    encoder_key(e, "bytes");
    encoder_u64(e, usage->bytes);
    encoder_key(e, "walBytes");
    encoder_u64(e, usage->wal_bytes);
    encoder_key(e, "rowsRead");
    encoder_u64(e, usage->rows_read);
    encoder_key(e, "rowsWritten");
    encoder_u64(e, usage->rows_written);
    encoder_key(e, "requests");
    encoder_u64(e, usage->requests);
    encoder_key(e, "lastUsedAt");
    encoder_time(e, usage->last_used_wall_ms);
    encoder_end(e);
}

void persql_write_database(
    struct exchange *x, struct encoder *e, const struct database_info *database)
{
    encoder_object(e);
    persql_write_database_members(x, e, database);
    encoder_end(e);
}

void persql_write_database_members(
    struct exchange *x, struct encoder *e, const struct database_info *database)
{
    encoder_key(e, "id");
    encoder_string(e, database->id);
    encoder_key(e, "slug");
    encoder_string(e, database->slug);
    encoder_key(e, "name");
    encoder_string(e, database->name);
    encoder_key(e, "namespaceSlug");
    encoder_string(e, database->tenant_slug);
    encoder_key(e, "status");
    encoder_cstring(e, database->status);
    encoder_key(e, "region");
    encoder_cstring(e, x->services->settings->region);
    encoder_key(e, "createdAt");
    encoder_time(e, database->created_wall_ms);
    encoder_key(e, "updatedAt");
    encoder_time(e, database->updated_wall_ms);
    encoder_key(e, "expiresAt");
    encoder_time(e, database->expires_wall_ms);
    encoder_key(e, "forkedFromId");
    encoder_string_or_null(e, database->forked_from);
    if (database->branch_ref.len > 0) {
        encoder_key(e, "forkedFrom");
        encoder_string_or_null(e, database->forked_from);
        encoder_key(e, "branchRef");
        encoder_string(e, database->branch_ref);
        encoder_key(e, "branchOf");
        encoder_string(e, database->root_slug);
        encoder_key(e, "protected");
        encoder_bool(e, database->is_protected);
    }
    encoder_key(e, "createdBy");
    encoder_string_or_null(e, database->created_by);
    persql_write_deletion(e, database->deleted_wall_ms, database->restorable_until_wall_ms);
    if (database->settings != NULL) {
        encoder_key(e, "settings");
        persql_write_settings(e, SETTING_DATABASE, database->settings);
    }
    if (database->usage != NULL) {
        encoder_key(e, "usage");
        persql_write_usage(e, database->usage);
    }
}

static void on_one(struct catalogue_call *call)
{
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    persql_write_database(x, &e, call->output);
    persql_finish(x, &e);
}

/* The database that the route names. NULL: answered. */
static struct database_input *make_input(struct exchange *x)
{
    struct str tenant = persql_tenant(x);
    struct database_input *input;

    if (tenant.len == 0)
        return NULL;
    input = persql_zalloc(x, sizeof(*input));
    if (input == NULL)
        return NULL;
    input->tenant = tenant;
    input->database = persql_named(x);
    return input;
}

/* ---- list ---- */

static void on_list(struct catalogue_call *call)
{
    const struct database_list *list = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    encoder_array(&e);
    for (size_t i = 0; i < list->count; i++)
        persql_write_database(x, &e, &list->items[i]);
    persql_finish_list(x, &e, list->next_cursor);
}

void persql_databases_list(struct exchange *x)
{
    struct str tenant = persql_tenant(x);

    if (tenant.len > 0)
        persql_list(x, tenant, on_list, catalogue_database_list);
}

/* ---- create ---- */

static int read_item(struct exchange *x, const struct node *body, struct database_create_item *item)
{
    struct err err = ERR_INIT;
    bool given;

    if (body->type != TOKEN_OBJECT) {
        persql_fail(x, ERR_BAD_REQUEST, "a database to create must be an object with 'slug'");
        return -1;
    }
    if (node_string(body, "slug", &item->slug, &err) < 0 ||
        node_string(body, "name", &item->name, &err) < 0 ||
        node_time(body, "expiresAt", &given, &item->expires_wall_ms, &err) < 0) {
        exchange_fail(x, &err);
        return -1;
    }
    if (item->slug.len == 0) {
        persql_fail(x, ERR_BAD_REQUEST, "'slug' is missing");
        return -1;
    }
    return persql_read_settings(
        x, body, SETTING_DATABASE, NULL, &item->settings, &item->setting_count);
}

static int read_items(
    struct exchange *x, const struct node *body, struct database_create_input *input)
{
    const struct node *many = node_get(body, "databases");
    size_t count = many == NULL ? 1 : many->count;
    struct database_create_item *items;
    size_t at = 0;

    if (many != NULL && many->type != TOKEN_ARRAY) {
        persql_fail(x, ERR_BAD_REQUEST, "'databases' must be an array");
        return -1;
    }
    if (count == 0 || count > CATALOGUE_CREATE_MAX) {
        persql_fail(x, ERR_BAD_REQUEST, "'databases' takes 1 to %d at once", CATALOGUE_CREATE_MAX);
        return -1;
    }
    items = persql_array(x, count, sizeof(*items));
    if (items == NULL)
        return -1;
    input->items = items;
    input->count = count;
    if (many == NULL)
        return read_item(x, body, items);
    for (const struct node *node = many->first; node != NULL; node = node->next) {
        if (read_item(x, node, &items[at++]) < 0)
            return -1;
    }
    return 0;
}

static void on_created_one(struct catalogue_call *call)
{
    const struct database_list *list = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    persql_write_database(x, &e, &list->items[0]);
    persql_finish(x, &e);
}

void persql_databases_create(struct exchange *x)
{
    struct str tenant = persql_tenant(x);
    const struct node *body = tenant.len == 0 ? NULL : persql_body(x, false);
    struct err err = ERR_INIT;
    struct database_create_input *input;
    struct catalogue_call *call = NULL;

    if (body == NULL)
        return;
    input = persql_call_with(
        x, node_get(body, "databases") == NULL ? on_created_one : on_list, sizeof(*input), &call);
    if (input == NULL)
        return;
    input->tenant = tenant;
    if (node_bool(body, "ifNotExists", &input->exists_ok, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    if (read_items(x, body, input) == 0)
        catalogue_database_create(call, input);
}

/* ---- one database ---- */

static void with_input(struct exchange *x, void (*done)(struct catalogue_call *call),
    void (*start)(struct catalogue_call *call, const struct database_input *input))
{
    struct database_input *input = make_input(x);
    struct catalogue_call *call = input == NULL ? NULL : persql_call(x, done);

    if (call != NULL)
        start(call, input);
}

void persql_database_get(struct exchange *x)
{
    with_input(x, on_one, catalogue_database_get);
}

static void on_usage(struct catalogue_call *call)
{
    static const struct usage_totals nothing = {.requests = 0};
    const struct database_info *database = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    persql_write_usage(&e, database->usage == NULL ? &nothing : database->usage);
    persql_finish(x, &e);
}

void persql_database_usage(struct exchange *x)
{
    with_input(x, on_usage, catalogue_database_get);
}

void persql_database_patch(struct exchange *x)
{
    /* What persql_write_database() writes: an answer may come back with a member changed. */
    static const char *const shown[] = {"id", "slug", "name", "namespaceSlug", "status", "region",
        "createdAt", "updatedAt", "expiresAt", "forkedFromId", "createdBy", "deletedAt",
        "restorableUntil", "settings", "usage", "forkedFrom", "branchRef", "branchOf", "protected",
        NULL};
    struct database_input *named = make_input(x);
    const struct node *body = named == NULL ? NULL : persql_body(x, false);
    struct catalogue_call *call = NULL;
    struct database_patch_input *input =
        body == NULL ? NULL : persql_call_with(x, on_one, sizeof(*input), &call);
    struct err err = ERR_INIT;

    if (input == NULL)
        return;
    input->tenant = named->tenant;
    input->database = named->database;
    if (node_string(body, "slug", &input->slug, &err) < 0 ||
        node_string(body, "name", &input->name, &err) < 0 ||
        node_time(body, "expiresAt", &input->set_expires, &input->expires_wall_ms, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    if (persql_read_settings(
            x, body, SETTING_DATABASE, shown, &input->settings, &input->setting_count) == 0)
        catalogue_database_patch(call, input);
}

static void on_deleted(struct catalogue_call *call)
{
    const struct database_info *database = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x != NULL)
        persql_finish_deleted(
            x, &e, database->id, database->slug, database->restorable_until_wall_ms);
}

void persql_database_delete(struct exchange *x)
{
    with_input(x, on_deleted, catalogue_database_delete);
}

void persql_database_restore(struct exchange *x)
{
    with_input(x, on_one, catalogue_database_restore);
}
