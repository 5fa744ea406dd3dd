/* The calls: each is an action (what runs on the catalogue's lane, in catalogue_store.h's
 * functions) and what happens after it is on disk.
 *
 * Order of an answer to a change: durable (the engine's gate), then the tenant's mark, then
 * `after`, then `done`. Whoever looks up between the commit and the mark may still use what was
 * cached before, as if it had come before the change; whoever looks up after `done` cannot. */
#include "tenants/catalogue.h"

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/mem.h"
#include "tenants/catalogue_internal.h"

/* ---- submitting ---- */

uint64_t catalogue_generation(const struct catalogue *catalogue)
{
    return atomic_load_explicit(&catalogue->generation, memory_order_acquire);
}

bool catalogue_is_current(
    const struct catalogue *catalogue, uint64_t tenant_id, uint64_t generation)
{
    return atomic_load_explicit(&catalogue->marks[tenant_id & (CATALOGUE_MARKS - 1)],
               memory_order_acquire) <= generation;
}

bool catalogue_has_same_databases(
    const struct catalogue *catalogue, uint64_t tenant_id, uint64_t generation)
{
    return catalogue_is_current(catalogue, tenant_id, generation) &&
           atomic_load_explicit(&catalogue->added[tenant_id & (CATALOGUE_MARKS - 1)],
               memory_order_acquire) <= generation;
}

static void set_mark(struct catalogue *catalogue, _Atomic uint64_t *mark)
{
    uint64_t generation = atomic_fetch_add(&catalogue->generation, 1) + 1;
    uint64_t seen = atomic_load(mark);

    while (seen < generation && !atomic_compare_exchange_weak(mark, &seen, generation))
        continue;
}

void catalogue_mark(struct catalogue *catalogue, uint64_t tenant_id)
{
    set_mark(catalogue, &catalogue->marks[tenant_id & (CATALOGUE_MARKS - 1)]);
}

static int run_procedure(struct sqlite3 *db, void *argument, struct err *err)
{
    struct catalogue_call *call = argument;
    struct store store = {
        .db = db,
        .arena = call->arena,
        .principal = call->principal,
        .now_wall_ms = clock_wall_ms(),
        .options = &call->catalogue->options,
    };

    call->output = NULL;
    call->state = NULL;
    return call->action->run(&store, call, err);
}

static bool goes_on(struct catalogue_call *call);

static void on_request_done(struct request *request)
{
    struct catalogue_call *call = request->owner;
    const struct catalogue_action *action = call->action;

    err_copy(&call->err, &request->err);
    if (call->err.code != ERR_NONE) {
        if (goes_on(call))
            return;
        call->output = NULL;
    } else {
        if (action->changes)
            catalogue_mark(call->catalogue, call->changed_tenant);
        if (action->adds)
            set_mark(call->catalogue,
                &call->catalogue->added[call->changed_tenant & (CATALOGUE_MARKS - 1)]);
        if (action->after != NULL)
            action->after(call);
    }
    call->done(call);
}

void catalogue_submit(
    struct catalogue_call *call, const struct catalogue_action *action, const void *input)
{
    struct request *request = &call->request;

    call->action = action;
    call->input = input;
    call->output = NULL;
    call->state = NULL;
    call->err = ERR_INIT;
    memset(request, 0, sizeof(*request));
    request->kind = action->writes ? REQUEST_PROCEDURE : REQUEST_READ_PROCEDURE;
    request->procedure = run_procedure;
    request->procedure_argument = call;
    request->arena = call->arena;
    request->done = on_request_done;
    request->owner = call;
    /* No principal: the engine's own work, which runs under its flag and while it drains. */
    engine_submit(call->catalogue->engine, call->catalogue->database, request);
}

void catalogue_fail(struct catalogue_call *call, const struct err *err)
{
    err_copy(&call->err, err);
    call->output = NULL;
    call->done(call);
}

void *catalogue_output(struct catalogue_call *call, size_t size, struct err *ret_err)
{
    call->output = arena_zalloc(call->arena, size);
    if (call->output == NULL)
        (void)err_set(ret_err, ERR_TOO_LARGE, "the answer is larger than a request may be");
    return call->output;
}

struct database *catalogue_make_database(
    struct catalogue *catalogue, const struct store_database *row)
{
    struct database database;

    memcpy(&database, &row->database, sizeof(database));
    database.usage = usage_table_get(catalogue->usages, database.id);
    if (row->tenant.requests_per_second > 0)
        database.tenant_rate = rate_table_get(catalogue->rates, RATE_TENANT, database.tenant_id,
            row->tenant.requests_per_second, 0, NULL);
    return database_new(&database);
}

static void ignore(void *argument)
{
    (void)argument;
}

void catalogue_close_database(struct catalogue *catalogue, const struct store_database *row)
{
    struct database *database = catalogue_make_database(catalogue, row);

    engine_close_database(catalogue->engine, database, ignore, NULL);
    database_unref(database);
}

/* ---- tenants ---- */

/* An action's procedure that is a store function with input and output, for one tenant. */
#define TENANT_RUN(name, input_type)                                                               \
    static int run_tenant_##name(                                                                  \
        const struct store *store, struct catalogue_call *call, struct err *err)                   \
    {                                                                                              \
        const struct input_type *input = call->input;                                              \
        struct tenant_info *tenant = catalogue_output(call, sizeof(*tenant), err);                 \
                                                                                                   \
        if (tenant == NULL || store_tenant_##name(store, input, tenant, err) < 0)                  \
            return -1;                                                                             \
        call->changed_tenant = tenant->tenant_id;                                                  \
        return 0;                                                                                  \
    }

TENANT_RUN(create, tenant_create_input)
TENANT_RUN(get, tenant_input)
TENANT_RUN(patch, tenant_patch_input)
TENANT_RUN(delete, tenant_input)
TENANT_RUN(restore, tenant_input)

static int run_tenant_list(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct tenant_list *list = catalogue_output(call, sizeof(*list), err);

    return list == NULL ? -1 : store_tenant_list(store, call->input, list, err);
}

void catalogue_tenant_create(struct catalogue_call *call, const struct tenant_create_input *input)
{
    static const struct catalogue_action action = {
        .name = "tenant_create", .writes = true, .run = run_tenant_create};

    catalogue_submit(call, &action, input);
}

void catalogue_tenant_list(struct catalogue_call *call, const struct list_input *input)
{
    static const struct catalogue_action action = {.name = "tenant_list", .run = run_tenant_list};

    catalogue_submit(call, &action, input);
}

void catalogue_tenant_get(struct catalogue_call *call, const struct tenant_input *input)
{
    static const struct catalogue_action action = {.name = "tenant_get", .run = run_tenant_get};

    catalogue_submit(call, &action, input);
}

void catalogue_tenant_patch(struct catalogue_call *call, const struct tenant_patch_input *input)
{
    static const struct catalogue_action action = {
        .name = "tenant_patch", .writes = true, .changes = true, .run = run_tenant_patch};

    catalogue_submit(call, &action, input);
}

void catalogue_tenant_delete(struct catalogue_call *call, const struct tenant_input *input)
{
    static const struct catalogue_action action = {
        .name = "tenant_delete", .writes = true, .changes = true, .run = run_tenant_delete};

    catalogue_submit(call, &action, input);
}

void catalogue_tenant_restore(struct catalogue_call *call, const struct tenant_input *input)
{
    static const struct catalogue_action action = {
        .name = "tenant_restore", .writes = true, .changes = true, .run = run_tenant_restore};

    catalogue_submit(call, &action, input);
}

/* ---- databases ---- */

static int run_database_create(
    const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct database_list *list = catalogue_output(call, sizeof(*list), err);

    if (list == NULL)
        return -1;
    return store_database_create(store, call->input, list, &call->changed_tenant, err);
}

static int run_database_list(
    const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct database_list *list = catalogue_output(call, sizeof(*list), err);

    return list == NULL ? -1 : store_database_list(store, call->input, list, err);
}

static int run_database_get(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct database_info *info = catalogue_output(call, sizeof(*info), err);

    return info == NULL ? -1 : store_database_get(store, call->input, info, err);
}

/* What was counted since the last flush. */
static void add_usage(struct catalogue_call *call)
{
    struct database_info *info = call->output;
    struct usage_totals *totals = arena_alloc(call->arena, sizeof(*totals));
    struct usage_totals more;

    if (totals == NULL || info->usage == NULL ||
        !usage_table_peek(call->catalogue->usages, info->database_id, &more))
        return;
    *totals = *info->usage;
    totals->requests += more.requests;
    totals->rows_read += more.rows_read;
    totals->rows_written += more.rows_written;
    totals->last_used_wall_ms = MAX(totals->last_used_wall_ms, more.last_used_wall_ms);
    if (more.has_size) {
        totals->bytes = more.bytes;
        totals->wal_bytes = more.wal_bytes;
    }
    info->usage = totals;
}

#define DATABASE_RUN(name, input_type)                                                             \
    static int run_database_##name(                                                                \
        const struct store *store, struct catalogue_call *call, struct err *err)                   \
    {                                                                                              \
        const struct input_type *input = call->input;                                              \
        struct database_info *info = catalogue_output(call, sizeof(*info), err);                   \
        struct store_database *row = arena_zalloc(call->arena, sizeof(*row));                      \
                                                                                                   \
        if (info == NULL || row == NULL)                                                           \
            return store_finish(store, err);                                                       \
        if (store_database_##name(store, input, info, row, err) < 0)                               \
            return -1;                                                                             \
        call->state = row;                                                                         \
        call->changed_tenant = row->database.tenant_id;                                            \
        return 0;                                                                                  \
    }

DATABASE_RUN(patch, database_patch_input)
DATABASE_RUN(delete, database_input)
DATABASE_RUN(restore, database_input)

static void apply_changed(struct catalogue_call *call)
{
    const struct database_patch_input *input = call->input;
    struct database *database;

    if (input->setting_count == 0)
        return;
    database = catalogue_make_database(call->catalogue, call->state);
    engine_change_settings(call->catalogue->engine, database);
    database_unref(database);
}

static void close_deleted(struct catalogue_call *call)
{
    const struct store_database *row = call->state;

    if (row->database.root_id != 0) {
        catalogue_purge(call->catalogue, row);
        return;
    }
    catalogue_close_database(call->catalogue, call->state);
}

void catalogue_database_create(
    struct catalogue_call *call, const struct database_create_input *input)
{
    static const struct catalogue_action action = {
        .name = "database_create", .writes = true, .adds = true, .run = run_database_create};

    catalogue_submit(call, &action, input);
}

void catalogue_database_list(struct catalogue_call *call, const struct list_input *input)
{
    static const struct catalogue_action action = {
        .name = "database_list", .run = run_database_list};

    catalogue_submit(call, &action, input);
}

void catalogue_database_get(struct catalogue_call *call, const struct database_input *input)
{
    static const struct catalogue_action action = {
        .name = "database_get", .run = run_database_get, .after = add_usage};

    catalogue_submit(call, &action, input);
}

void catalogue_database_patch(struct catalogue_call *call, const struct database_patch_input *input)
{
    static const struct catalogue_action action = {.name = "database_patch",
        .writes = true,
        .changes = true,
        .run = run_database_patch,
        .after = apply_changed};

    catalogue_submit(call, &action, input);
}

void catalogue_database_delete(struct catalogue_call *call, const struct database_input *input)
{
    static const struct catalogue_action action = {.name = "database_delete",
        .writes = true,
        .changes = true,
        .run = run_database_delete,
        .after = close_deleted};

    catalogue_submit(call, &action, input);
}

void catalogue_database_restore(struct catalogue_call *call, const struct database_input *input)
{
    static const struct catalogue_action action = {
        .name = "database_restore", .writes = true, .changes = true, .run = run_database_restore};

    catalogue_submit(call, &action, input);
}

/* ---- tokens ---- */

static int run_token_mint(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct token_minted *minted = catalogue_output(call, sizeof(*minted), err);

    return minted == NULL ? -1 : store_token_mint(store, call->input, minted, err);
}

static int run_token_list(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct token_list *list = catalogue_output(call, sizeof(*list), err);

    return list == NULL ? -1 : store_token_list(store, call->input, list, err);
}

static int run_token_revoke(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct token_info *info = catalogue_output(call, sizeof(*info), err);

    if (info == NULL)
        return -1;
    return store_token_revoke(store, call->input, info, &call->changed_tenant, err);
}

static int run_whoami(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct whoami *whoami = catalogue_output(call, sizeof(*whoami), err);

    return whoami == NULL ? -1 : store_whoami(store, whoami, err);
}

static int run_figures(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct catalogue_figures *figures = catalogue_output(call, sizeof(*figures), err);

    return figures == NULL ? -1 : store_figures(store, figures, err);
}

void catalogue_token_mint(struct catalogue_call *call, const struct token_mint_input *input)
{
    static const struct catalogue_action action = {
        .name = "token_mint", .writes = true, .run = run_token_mint};

    catalogue_submit(call, &action, input);
}

void catalogue_token_list(struct catalogue_call *call, const struct list_input *input)
{
    static const struct catalogue_action action = {.name = "token_list", .run = run_token_list};

    catalogue_submit(call, &action, input);
}

void catalogue_token_revoke(struct catalogue_call *call, const struct token_revoke_input *input)
{
    static const struct catalogue_action action = {
        .name = "token_revoke", .writes = true, .changes = true, .run = run_token_revoke};

    catalogue_submit(call, &action, input);
}

void catalogue_whoami(struct catalogue_call *call)
{
    static const struct catalogue_action action = {.name = "whoami", .run = run_whoami};

    catalogue_submit(call, &action, NULL);
}

void catalogue_figures(struct catalogue_call *call)
{
    static const struct catalogue_action action = {.name = "figures", .run = run_figures};

    catalogue_submit(call, &action, NULL);
}

/* ---- look-ups ---- */

static int run_token_lookup(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct store_token *token = arena_zalloc(call->arena, sizeof(*token));

    if (token == NULL)
        return store_finish(store, err);
    call->state = token;
    return store_token_lookup(store, call->input, token, err);
}

static void make_principal(struct catalogue_call *call)
{
    struct rate_table *rates = call->catalogue->rates;
    struct store_token *token = call->state;
    struct rate_bucket *tenant = NULL;

    if (token->tenant_rate_per_second > 0)
        tenant = rate_table_get(
            rates, RATE_TENANT, token->principal.tenant_id, token->tenant_rate_per_second, 0, NULL);
    token->principal.rate = tenant;
    token->principal.release_rate = rate_bucket_unref;
    if (token->rate_per_second > 0) {
        token->principal.rate = rate_table_get(rates, RATE_TOKEN, token->principal.token_id,
            token->rate_per_second, token->rate_burst, tenant);
        rate_bucket_unref(tenant);
    }
    call->output = principal_new(&token->principal);
}

void catalogue_token_lookup(struct catalogue_call *call, const struct token_lookup_input *input)
{
    static const struct catalogue_action action = {
        .name = "token_lookup", .run = run_token_lookup, .after = make_principal};

    catalogue_submit(call, &action, input);
}

struct lookup_state {
    struct store_database row;
    bool may_create;
};

static int run_database_lookup(
    const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct lookup_state *state = arena_zalloc(call->arena, sizeof(*state));

    if (state == NULL)
        return store_finish(store, err);
    call->state = state;
    return store_database_lookup(store, call->input, &state->row, &state->may_create, err);
}

static int run_lookup_create(
    const struct store *store, struct catalogue_call *call, struct err *err)
{
    const struct database_lookup_input *input = call->input;
    struct database_create_item item = {.slug = input->segment};
    struct database_create_input create = {
        .tenant = input->tenant, .items = &item, .count = 1, .exists_ok = true};
    struct database_list list;

    if (store_database_create(store, &create, &list, &call->changed_tenant, err) < 0)
        return -1;
    return run_database_lookup(store, call, err);
}

static void make_database(struct catalogue_call *call)
{
    struct lookup_state *state = call->state;

    call->output = catalogue_make_database(call->catalogue, &state->row);
}

static const struct catalogue_action lookup_action = {
    .name = "database_lookup", .run = run_database_lookup, .after = make_database};
static const struct catalogue_action lookup_create_action = {.name = "database_first_use",
    .writes = true,
    .adds = true,
    .run = run_lookup_create,
    .after = make_database};

/* True: a look-up that found nothing has been submitted again, to create it. */
static bool goes_on(struct catalogue_call *call)
{
    const struct lookup_state *state = call->state;

    if (call->action != &lookup_action || call->err.code != ERR_UNKNOWN_DATABASE || state == NULL ||
        !state->may_create)
        return false;
    catalogue_submit(call, &lookup_create_action, call->input);
    return true;
}

void catalogue_database_lookup(
    struct catalogue_call *call, const struct database_lookup_input *input)
{
    catalogue_submit(call, &lookup_action, input);
}

/* ---- the engine's hook ---- */

struct live_call {
    struct catalogue_call call;
    struct arena arena;
    uint64_t database_id;
    void (*done)(void *argument, const struct err *err);
    void *argument;
};

static int run_live(const struct store *store, struct catalogue_call *call, struct err *err)
{
    const struct live_call *live = call->input;

    return store_database_live(store, live->database_id, err);
}

static void on_live_done(struct catalogue_call *call)
{
    struct live_call *live = CONTAINER_OF(call, struct live_call, call);

    live->done(live->argument, &call->err);
    arena_fini(&live->arena);
    mem_free(live);
}

void catalogue_database_live(void *catalogue, struct database *database,
    void (*done)(void *argument, const struct err *err), void *argument)
{
    static const struct catalogue_action action = {
        .name = "database_live", .writes = true, .run = run_live};
    struct live_call *live = mem_zalloc(sizeof(*live));

    arena_init(&live->arena, 0);
    live->database_id = database->id;
    live->done = done;
    live->argument = argument;
    live->call.catalogue = catalogue;
    live->call.arena = &live->arena;
    live->call.done = on_live_done;
    catalogue_submit(&live->call, &action, live);
}
