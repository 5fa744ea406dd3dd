#include "proto/admin/admin.h"
#include "proto/persql/persql.h"

#define OPERATOR CAP_OPERATOR

static void write_tenant(struct encoder *e, const struct tenant_info *tenant)
{
    encoder_object(e);
    encoder_key(e, "id");
    encoder_string(e, tenant->id);
    encoder_key(e, "slug");
    encoder_string(e, tenant->slug);
    encoder_key(e, "name");
    encoder_string(e, tenant->name);
    encoder_key(e, "externalId");
    encoder_string_or_null(e, tenant->external_id);
    encoder_key(e, "databaseCount");
    encoder_u64(e, tenant->database_count);
    encoder_key(e, "settings");
    persql_write_settings(e, SETTING_TENANT, &tenant->settings);
    encoder_key(e, "createdAt");
    encoder_time(e, tenant->created_wall_ms);
    encoder_key(e, "updatedAt");
    encoder_time(e, tenant->updated_wall_ms);
    persql_write_deletion(e, tenant->deleted_wall_ms, tenant->restorable_until_wall_ms);
    encoder_end(e);
}

static void on_one(struct catalogue_call *call)
{
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    write_tenant(&e, call->output);
    persql_finish(x, &e);
}

static void create(struct exchange *x) ON(loop_thread);
static void create(struct exchange *x)
{
    const struct node *body = persql_body(x, false);
    struct catalogue_call *call = NULL;
    struct tenant_create_input *input =
        body == NULL ? NULL : persql_call_with(x, on_one, sizeof(*input), &call);
    struct err err = ERR_INIT;

    if (input == NULL)
        return;
    if (node_string(body, "slug", &input->slug, &err) < 0 ||
        node_string(body, "name", &input->name, &err) < 0 ||
        node_string(body, "externalId", &input->external_id, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    if (input->slug.len == 0) {
        persql_fail(x, ERR_BAD_REQUEST, "'slug' is missing");
        return;
    }
    if (persql_read_settings(
            x, body, SETTING_TENANT, NULL, &input->settings, &input->setting_count) == 0)
        catalogue_tenant_create(call, input);
}

static void on_list(struct catalogue_call *call)
{
    const struct tenant_list *list = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    encoder_array(&e);
    for (size_t i = 0; i < list->count; i++)
        write_tenant(&e, &list->items[i]);
    persql_finish_list(x, &e, list->next_cursor);
}

static void list(struct exchange *x)
{
    persql_list(x, STR_LITERAL(""), on_list, catalogue_tenant_list);
}

static void with_tenant(struct exchange *x, void (*done)(struct catalogue_call *call),
    void (*start)(struct catalogue_call *call, const struct tenant_input *input))
{
    struct catalogue_call *call = NULL;
    struct tenant_input *input = persql_call_with(x, done, sizeof(*input), &call);

    if (input == NULL)
        return;
    input->tenant = x->params[0];
    start(call, input);
}

static void get(struct exchange *x)
{
    with_tenant(x, on_one, catalogue_tenant_get);
}

static void restore(struct exchange *x)
{
    with_tenant(x, on_one, catalogue_tenant_restore);
}

static void on_deleted(struct catalogue_call *call)
{
    const struct tenant_info *tenant = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x != NULL)
        persql_finish_deleted(x, &e, tenant->id, tenant->slug, tenant->restorable_until_wall_ms);
}

static void delete (struct exchange *x)
{
    with_tenant(x, on_deleted, catalogue_tenant_delete);
}

static void patch(struct exchange *x)
{
    /* What write_tenant() writes: an answer may come back with a member changed. */
    static const char *const shown[] = {"id", "slug", "name", "externalId", "databaseCount",
        "settings", "createdAt", "updatedAt", "deletedAt", "restorableUntil", NULL};
    const struct node *body = persql_body(x, false);
    struct catalogue_call *call = NULL;
    struct tenant_patch_input *input =
        body == NULL ? NULL : persql_call_with(x, on_one, sizeof(*input), &call);
    const struct node *external = body == NULL ? NULL : node_find(body, "externalId");
    struct err err = ERR_INIT;

    if (input == NULL)
        return;
    input->tenant = x->params[0];
    if (node_string(body, "slug", &input->slug, &err) < 0 ||
        node_string(body, "name", &input->name, &err) < 0 ||
        node_string(body, "externalId", &input->external_id, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    if (external != NULL && external->type == TOKEN_NULL)
        input->external_id = STR_LITERAL("");
    if (persql_read_settings(
            x, body, SETTING_TENANT, shown, &input->settings, &input->setting_count) == 0)
        catalogue_tenant_patch(call, input);
}

/* ---- tokens of a tenant, and operators' own ---- */

static void tenant_token_mint(struct exchange *x)
{
    persql_token_mint(x, x->params[0]);
}

static void tenant_token_list(struct exchange *x)
{
    persql_token_list(x, x->params[0]);
}

static void tenant_token_revoke(struct exchange *x)
{
    persql_token_revoke(x, x->params[0], x->params[1]);
}

static void operator_token_mint(struct exchange *x)
{
    persql_token_mint(x, STR_LITERAL(""));
}

static void operator_token_list(struct exchange *x)
{
    persql_token_list(x, STR_LITERAL(""));
}

static void operator_token_revoke(struct exchange *x)
{
    persql_token_revoke(x, STR_LITERAL(""), x->params[0]);
}

/* ---- figures ---- */

static void on_figures(struct catalogue_call *call)
{
    const struct catalogue_figures *figures = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);
    struct engine_stats stats = {.lanes = 0};
    struct buf process;

    if (x == NULL)
        return;
    engine_stats(x->services->engine, &stats);
    encoder_object(&e);
    encoder_key(&e, "tenants");
    encoder_u64(&e, figures->tenants);
    encoder_key(&e, "databases");
    encoder_u64(&e, figures->databases);
    encoder_key(&e, "databasesDeleted");
    encoder_u64(&e, figures->databases_deleted);
    encoder_key(&e, "tokens");
    encoder_u64(&e, figures->tokens);
    encoder_key(&e, "databasesOpen");
    encoder_u64(&e, stats.databases_open);
    encoder_key(&e, "lanes");
    encoder_u64(&e, stats.lanes);
    encoder_key(&e, "sqliteMemoryBytes");
    encoder_u64(&e, stats.sqlite_memory_bytes);
    encoder_key(&e, "walBytes");
    encoder_u64(&e, stats.wal_bytes);
    encoder_key(&e, "requestsWaiting");
    encoder_u64(&e, stats.requests_waiting);
    if (x->services->process_stats != NULL) {
        buf_init(&process, 65536);
        buf_char(&process, '{');
        x->services->process_stats(&process);
        buf_char(&process, '}');
        encoder_key(&e, "process");
        encoder_json(&e, buf_view(&process), &x->arena);
        buf_fini(&process);
    }
    encoder_end(&e);
    persql_finish(x, &e);
}

static void stats(struct exchange *x)
{
    struct catalogue_call *call = persql_call(x, on_figures);

    if (call != NULL)
        catalogue_figures(call);
}

#define GET HTTP_METHOD_GET
#define POST HTTP_METHOD_POST
#define DELETE HTTP_METHOD_DELETE

static const struct route routes[] = {
    {"admin_tenants_create", POST, "/v1/admin/tenants", NEEDS_PRINCIPAL | NEEDS_BODY, OPERATOR,
        create, "Makes a tenant."},
    {"admin_tenants_list", GET, "/v1/admin/tenants", NEEDS_PRINCIPAL, OPERATOR, list,
        "Lists tenants, paged."},
    {"admin_tenants_get", GET, "/v1/admin/tenants/:slug", NEEDS_PRINCIPAL, OPERATOR, get,
        "One tenant with its settings."},
    {"admin_tenants_patch", HTTP_METHOD_PATCH, "/v1/admin/tenants/:slug",
        NEEDS_PRINCIPAL | NEEDS_BODY, OPERATOR, patch, "Renames a tenant, changes its settings."},
    {"admin_tenants_delete", DELETE, "/v1/admin/tenants/:slug", NEEDS_PRINCIPAL, OPERATOR, delete,
        "Deletes a tenant; it can be restored during the grace period."},
    {"admin_tenants_restore", POST, "/v1/admin/tenants/:slug/restore", NEEDS_PRINCIPAL, OPERATOR,
        restore, "Undoes the deletion of a tenant in its grace period."},
    {"admin_tenant_tokens_create", POST, "/v1/admin/tenants/:slug/tokens",
        NEEDS_PRINCIPAL | NEEDS_BODY, OPERATOR, tenant_token_mint,
        "Mints a token of a tenant; the secret is shown once."},
    {"admin_tenant_tokens_list", GET, "/v1/admin/tenants/:slug/tokens", NEEDS_PRINCIPAL, OPERATOR,
        tenant_token_list, "Lists a tenant's tokens."},
    {"admin_tenant_tokens_revoke", DELETE, "/v1/admin/tenants/:slug/tokens/:id", NEEDS_PRINCIPAL,
        OPERATOR, tenant_token_revoke, "Revokes a token at once."},
    {"admin_tokens_create", POST, "/v1/admin/tokens", NEEDS_PRINCIPAL | NEEDS_BODY, OPERATOR,
        operator_token_mint, "Mints an operator token."},
    {"admin_tokens_list", GET, "/v1/admin/tokens", NEEDS_PRINCIPAL, OPERATOR, operator_token_list,
        "Lists operator tokens."},
    {"admin_tokens_revoke", DELETE, "/v1/admin/tokens/:id", NEEDS_PRINCIPAL, OPERATOR,
        operator_token_revoke, "Revokes an operator token at once."},
    {"admin_stats", GET, "/v1/admin/stats", NEEDS_PRINCIPAL, OPERATOR, stats,
        "Figures of the process and the engine."},
};

const struct dialect admin_dialect = {
    .name = "admin",
    .routes = routes,
    .route_count = ARRAY_LEN(routes),
    .credentials = persql_credentials,
    .error = persql_error,
};
