/* Start and end of the catalogue. */
#include <stdio.h>
#include <string.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/catalogue_internal.h"
#include "tenants/token_file.h"

#define DELETE_GRACE_MS (24LL * 3600 * 1000)
#define MAX_TOKENS 10000
#define OWN_MAX_BYTES (1ULL << 40)
#define OWN_MEMORY_BYTES (256ULL << 20)

void catalogue_options_defaults(struct catalogue_options *options)
{
    *options = (struct catalogue_options){
        .delete_grace_ms = DELETE_GRACE_MS,
        .max_tokens_per_tenant = MAX_TOKENS,
    };
}

void catalogue_configure(struct catalogue *catalogue, const struct catalogue_options *options)
{
    catalogue->options = *options;
}

/* ---- waiting ---- */

struct waiter {
    struct mutex lock;
    struct cond cond;
    bool done;
};

static void wake(struct catalogue_call *call)
{
    struct waiter *waiter = call->owner;

    mutex_lock(&waiter->lock);
    waiter->done = true;
    cond_signal(&waiter->cond);
    mutex_unlock(&waiter->lock);
}

int catalogue_submit_wait(struct catalogue_call *call, const struct catalogue_action *action,
    const void *input, struct err *ret_err)
{
    struct waiter waiter = {.done = false};

    mutex_init(&waiter.lock);
    cond_init(&waiter.cond);
    call->owner = &waiter;
    call->done = wake;
    catalogue_submit(call, action, input);
    mutex_lock(&waiter.lock);
    while (!waiter.done)
        cond_wait(&waiter.cond, &waiter.lock);
    mutex_unlock(&waiter.lock);
    cond_fini(&waiter.cond);
    mutex_fini(&waiter.lock);
    if (call->err.code == ERR_NONE)
        return 0;
    if (ret_err != NULL)
        err_copy(ret_err, &call->err);
    return -1;
}

/* ---- opening ---- */

struct opening_input {
    bool has_file_token;
    struct token_lookup_input file_token;
};

struct opening {
    bool is_new;
    struct str minted; /* ptr NULL: the file's token works */
};

static int is_operator_token(const struct store *store, const struct token_lookup_input *lookup,
    bool *ret_is, struct err *ret_err)
{
    struct err err = ERR_INIT;
    struct store_token token;

    *ret_is = false;
    if (store_token_lookup(store, lookup, &token, &err) == 0) {
        *ret_is = principal_has(&token.principal, CAP_OPERATOR);
        return 0;
    }
    if (err.code == ERR_UNAUTHORIZED || err.code == ERR_TOKEN_EXPIRED)
        return 0;
    err_copy(ret_err, &err);
    return -1;
}

/* Migrates; checks the file's token; mints another when it is not one that works. */
static int run_open(const struct store *store, struct catalogue_call *call, struct err *err)
{
    static const struct token_mint_input mint = {
        .name = {.ptr = CATALOGUE_LOCAL_TOKEN, .len = sizeof(CATALOGUE_LOCAL_TOKEN) - 1}};
    const struct opening_input *input = call->input;
    struct opening *opening = catalogue_output(call, sizeof(*opening), err);
    struct token_minted minted;
    bool works = false;

    if (opening == NULL || store_migrate(store, &opening->is_new, err) < 0)
        return -1;
    if (input->has_file_token && is_operator_token(store, &input->file_token, &works, err) < 0)
        return -1;
    if (works)
        return 0;
    if (store_token_revoke_named(store, mint.name, err) < 0 ||
        store_token_mint(store, &mint, &minted, err) < 0)
        return -1;
    opening->minted = minted.token;
    return 0;
}

static int operator_path(
    const struct catalogue *catalogue, char *out, size_t size, struct err *ret_err)
{
    int len = snprintf(out, size, "%s/operator.token", catalogue->data_dir);

    if (len < 0 || (size_t)len >= size)
        return err_set(ret_err, ERR_IO, "the data folder's path is too long");
    return 0;
}

/* A file that cannot be read as a token is one that does not work; only a failing disk ends the
 * start. */
static int read_file_token(const char *path, struct opening_input *input, struct err *ret_err)
{
    struct err err = ERR_INIT;
    char text[TOKEN_TEXT_BYTES];
    struct str prefix;
    struct str tail;

    *input = (struct opening_input){.has_file_token = false};
    if (token_file_read(path, text, &err) < 0) {
        if (err.code != ERR_IO)
            return 0;
        err_copy(ret_err, &err);
        return -1;
    }
    if (token_parse(str_from(text), &prefix, &tail, &err) == 0) {
        input->has_file_token = true;
        token_hash(tail, input->file_token.hash);
    }
    explicit_bzero(text, sizeof(text));
    return 0;
}

static int open_tables(struct catalogue *catalogue, char *ret_bootstrap, struct err *ret_err)
{
    static const struct catalogue_action action = {.name = "open", .writes = true, .run = run_open};
    struct catalogue_call call = {.catalogue = catalogue};
    struct opening_input input;
    struct opening *opening;
    struct arena arena;
    char path[FAMILY_PATH_MAX + 32];
    int rc = -1;

    arena_init(&arena, 0);
    call.arena = &arena;
    if (operator_path(catalogue, path, sizeof(path), ret_err) < 0 ||
        read_file_token(path, &input, ret_err) < 0 ||
        catalogue_submit_wait(&call, &action, &input, ret_err) < 0)
        goto end;
    opening = call.output;
    /* A crash between the commit and this: the next start finds no such file and mints anew. */
    if (opening->minted.ptr != NULL && token_file_write(path, opening->minted.ptr, ret_err) < 0)
        goto end;
    if (opening->minted.ptr != NULL && !opening->is_new)
        log_info("catalogue.operator_token_replaced", "file=%s", path);
    if (ret_bootstrap != NULL)
        (void)snprintf(ret_bootstrap, CATALOGUE_BOOTSTRAP_BYTES, "%s",
            opening->is_new && opening->minted.ptr != NULL ? opening->minted.ptr : "");
    rc = 0;
end:
    arena_fini(&arena);
    return rc;
}

/* ---- what imports left ---- */

static int run_is_reserved(const struct store *store, struct catalogue_call *call, struct err *err)
{
    bool *is_reserved = catalogue_output(call, sizeof(*is_reserved), err);
    const char *family_id = call->input;

    return is_reserved == NULL
               ? -1
               : store_family_is_reserved(store, str_from(family_id), is_reserved, err);
}

/* In doubt it stays. */
static bool is_wanted(void *context, const char *family_id)
{
    static const struct catalogue_action action = {
        .name = "family_is_reserved", .run = run_is_reserved};
    struct catalogue_call call = {.catalogue = context};
    struct arena arena;
    bool wanted;

    arena_init(&arena, 0);
    call.arena = &arena;
    wanted =
        catalogue_submit_wait(&call, &action, family_id, NULL) < 0 || *(const bool *)call.output;
    arena_fini(&arena);
    return wanted;
}

static struct database *own_database(void)
{
    struct database database;

    memset(&database, 0, sizeof(database));
    database.slug = STR_LITERAL("catalogue");
    database.tenant_slug = STR_LITERAL("");
    database.state = DATABASE_LIVE;
    settings_defaults(SETTING_DATABASE, &database.settings);
    /* What tenants' databases may be has nothing to do with it. */
    database.settings.max_bytes = OWN_MAX_BYTES;
    database.settings.memory_bytes = OWN_MEMORY_BYTES;
    return database_new(&database);
}

int catalogue_open(struct engine *engine, const char *data_dir, struct catalogue **ret_catalogue,
    char *ret_bootstrap, struct err *ret_err)
{
    struct catalogue *catalogue = mem_zalloc(sizeof(*catalogue));

    atomic_init(&catalogue->references, 1);
    catalogue->engine = engine;
    catalogue->database = own_database();
    catalogue->rates = rate_table_new();
    catalogue->usages = usage_table_new();
    catalogue_options_defaults(&catalogue->options);
    catalogue_background_init(catalogue);
    engine_on_live(engine, catalogue_database_live, catalogue);
    (void)snprintf(catalogue->data_dir, sizeof(catalogue->data_dir), "%s", data_dir);
    if (strlen(data_dir) >= sizeof(catalogue->data_dir)) {
        (void)err_set(ret_err, ERR_IO, "the data folder's path is too long");
    } else if (open_tables(catalogue, ret_bootstrap, ret_err) == 0 &&
               catalogue_repair(catalogue, ret_err) == 0 &&
               family_stage_clean(data_dir, is_wanted, catalogue, ret_err) == 0) {
        *ret_catalogue = catalogue;
        return 0;
    }
    catalogue_close(catalogue);
    return -1;
}

void catalogue_ref(struct catalogue *catalogue)
{
    (void)atomic_fetch_add(&catalogue->references, 1);
}

void catalogue_unref(struct catalogue *catalogue)
{
    uint32_t before = atomic_fetch_sub(&catalogue->references, 1);

    CHECK(before > 0);
    if (before > 1)
        return;
    cond_fini(&catalogue->idle);
    mutex_fini(&catalogue->lock);
    mem_free(catalogue);
}

void catalogue_close(struct catalogue *catalogue)
{
    if (catalogue == NULL)
        return;
    catalogue_background_stop(catalogue);
    database_unref(catalogue->database);
    catalogue->database = NULL;
    usage_table_free(catalogue->usages);
    rate_table_free(catalogue->rates);
    catalogue_unref(catalogue);
}
