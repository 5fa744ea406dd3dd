/* Signed tokens: which keys count for a request, and the principal that a verified one becomes.
 *
 *     the tenant named? -> its keys (catalogue) -> verified (the verifier's thread)
 *                                                        | it has to name the tenant itself
 *                                                        v
 *                                                   the tenant (catalogue) -> principal
 */
#include <sqlite3.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/catalogue_internal.h"
#include "tenants/slug.h"

void catalogue_set_verifier(struct catalogue *catalogue, struct token_verifier *verifier)
{
    catalogue->verifier = verifier;
}

uint64_t catalogue_verifier_epoch(const struct catalogue *catalogue)
{
    return catalogue->verifier == NULL ? 0 : atomic_load(&catalogue->verifier->epoch);
}

/* ---- the text ---- */

bool token_signed_is_sound(struct str text)
{
    unsigned dots = 0;
    char before = '.';

    if (text.len > SIGNED_TOKEN_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '.' && (before == '.' || ++dots > 2))
            return false;
        if (c != '.' && c != '-' && c != '_' && !(c >= '0' && c <= '9') &&
            !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z'))
            return false;
        before = c;
    }
    return dots == 2 && before != '.';
}

static size_t append(char *out, size_t at, struct str text, size_t most)
{
    size_t len = MIN(text.len, most);

    CHECK(slug_lower(str_make(text.ptr, len), out + at, len));
    out[at + len] = '\0'; /* in none of the parts: it ends them */
    return at + len + 1;
}

void token_signed_key(struct str token, struct str tenant, const struct str *segment,
    uint64_t epoch, unsigned char out[SIGNED_KEY_BYTES])
{
    /* One over each limit: a name that is too long is no other's. */
    char text[sizeof(epoch) + SIGNED_TOKEN_MAX + SLUG_TENANT_MAX + SLUG_SEGMENT_MAX + 8];
    size_t at = sizeof(epoch);

    CHECK(token.len <= SIGNED_TOKEN_MAX);
    memcpy(text, &epoch, sizeof(epoch));
    memcpy(text + at, token.ptr, token.len);
    at += token.len;
    text[at++] = '\0';
    at = append(text, at, tenant, SLUG_TENANT_MAX + 1);
    text[at++] = segment == NULL ? 'T' : 'D';
    if (segment != NULL)
        at = append(text, at, *segment, SLUG_SEGMENT_MAX + 1);
    sha256(str_make(text, at), out);
}

/* ---- keys ---- */

int store_keys_of(const struct store *store, enum setting_scope scope, uint64_t owner_id,
    struct str *ret_keys, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    if (store_query(store, &statement, ret_err,
            "SELECT value FROM settings WHERE scope = ?1 AND owner_id = ?2 AND name = 'jwt_key'",
            "ii", (int64_t)scope, (int64_t)owner_id) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row > 0)
        *ret_keys = store_text(store, statement, 0);
    return row < 0 ? -1 : 0;
}

/* 1 and the row, 0, -1. */
static int find_tenant(
    const struct store *store, struct str slug, struct store_keys *keys, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    struct tenant_settings settings;
    int row;

    if (store_query(store, &statement, ret_err,
            "SELECT id, slug FROM tenants WHERE slug = ?1 AND deleted_at = 0", "s", slug) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row <= 0)
        return row;
    keys->tenant_id = (uint64_t)sqlite3_column_int64(statement, 0);
    keys->tenant_slug = store_text(store, statement, 1);
    if (store_settings_load(store, SETTING_TENANT, keys->tenant_id, &settings, ret_err) < 0)
        return -1;
    keys->requests_per_second = settings.requests_per_second;
    return 1;
}

int store_keys_lookup(const struct store *store, struct str tenant, struct str database,
    struct store_keys *ret_keys, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row = find_tenant(store, tenant, ret_keys, ret_err);

    if (row <= 0)
        return row;
    if (store_keys_of(store, SETTING_TENANT, ret_keys->tenant_id, &ret_keys->tenant_keys, ret_err) <
        0)
        return -1;
    if (database.len == 0)
        return store_finish(store, ret_err);
    if (store_query(store, &statement, ret_err,
            "SELECT id FROM databases WHERE tenant_id = ?1 AND slug = ?2 AND deleted_at = 0"
            " AND (expires_at = 0 OR expires_at > ?3)",
            "isi", (int64_t)ret_keys->tenant_id, database, store->now_wall_ms) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row < 0)
        return -1;
    if (row > 0 &&
        store_keys_of(store, SETTING_DATABASE, (uint64_t)sqlite3_column_int64(statement, 0),
            &ret_keys->database_keys, ret_err) < 0)
        return -1;
    return store_finish(store, ret_err);
}

/* The database of a segment, without a branch's ref. */
static struct str database_of(struct str segment)
{
    struct str rest = segment;

    return str_split(&rest, '@');
}

/* The tenant that it is about: the request's, or the only one of the token's. ptr NULL: none. */
static struct str tenant_of(const struct signed_lookup *lookup)
{
    const struct signed_claims *claims = &lookup->verification.claims;
    struct str tenant = lookup->tenant;

    if (tenant.len > 0 || !lookup->is_verified)
        return tenant;
    tenant = str_make(NULL, 0);
    for (size_t i = 0; i < claims->scope_count && !claims->names_none; i++) {
        if (tenant.ptr != NULL && !str_equal(tenant, claims->scopes[i].tenant))
            return str_make(NULL, 0);
        tenant = claims->scopes[i].tenant;
    }
    return tenant;
}

static int run_keys(const struct store *store, struct catalogue_call *call, struct err *err)
{
    const struct signed_lookup *lookup = call->input;
    struct store_keys *keys = arena_zalloc(call->arena, sizeof(*keys));
    char tenant[SLUG_TENANT_MAX];
    char database[SLUG_DATABASE_MAX];
    struct str named = tenant_of(lookup);
    struct str segment = database_of(lookup->segment);

    if (keys == NULL)
        return store_finish(store, err);
    call->state = keys;
    if (!slug_lower(named, tenant, sizeof(tenant)))
        return 0;
    if (!slug_lower(segment, database, sizeof(database)))
        segment.len = 0;
    return store_keys_lookup(
        store, str_make(tenant, named.len), str_make(database, segment.len), keys, err);
}

static const struct catalogue_action keys_action = {.name = "signed_keys", .run = run_keys};

/* ---- what it becomes ---- */

/* What the token says of this tenant, as far as its key reaches. */
struct reach {
    struct str *globs;
    size_t glob_count;
    bool some_read;  /* some of it may only be read */
    bool some_write; /* some of it may be written */
    bool here_write; /* the database of the request may be */
    bool here;       /* is named */
    bool is_tenants; /* whichever database the request had named, it would be the same */
};

static int find_reach(const struct signed_lookup *lookup, const struct store_keys *keys,
    struct arena *arena, struct reach *reach, struct err *ret_err)
{
    const struct token_verification *verification = &lookup->verification;
    const struct signed_claims *claims = &verification->claims;
    struct str here = database_of(lookup->segment);
    char *lowered = arena_alloc(arena, here.len + 1);

    *reach = (struct reach){.is_tenants = verification->by != SIGNED_BY_DATABASE,
        .globs = arena_array(arena, claims->scope_count + 1, sizeof(here))};
    if (reach->globs == NULL || lowered == NULL)
        return err_set(ret_err, ERR_TOO_LARGE, "the request needs too much memory");
    (void)slug_lower(here, lowered, here.len);
    here.ptr = lowered;
    for (size_t i = 0; i < claims->scope_count && !claims->names_none; i++) {
        const struct signed_scope *scope = &claims->scopes[i];
        bool is_here = str_equal_nocase(scope->database, here);

        if (!str_equal(scope->tenant, keys->tenant_slug) ||
            (verification->by == SIGNED_BY_DATABASE && !is_here))
            continue;
        reach->globs[reach->glob_count++] = scope->database;
        reach->some_write |= scope->may_write;
        reach->some_read |= !scope->may_write;
        reach->here |= is_here;
        reach->here_write |= is_here && scope->may_write;
    }
    if (claims->names_none) {
        reach->some_write = claims->may_write;
        reach->some_read = !claims->may_write;
        if (verification->by == SIGNED_BY_DATABASE) /* one that is there: no pattern */
            reach->globs[reach->glob_count++] = here;
        return 0;
    }
    if (reach->glob_count == 0)
        return err_set(ret_err, ERR_NAMESPACE_MISMATCH, "Token namespace mismatch");
    if (reach->some_read && reach->some_write)
        reach->is_tenants = false;
    /* A principal has the same rights wherever it gets: those of the database it asks for, and to
     * read where none is named. */
    if (reach->some_read && reach->some_write && reach->here) {
        reach->globs[0] = here;
        reach->glob_count = 1;
        reach->some_read = !reach->here_write;
    }
    return 0;
}

static int make_principal(struct catalogue_call *call, const struct signed_lookup *lookup,
    const struct store_keys *keys, struct err *ret_err)
{
    const struct signed_claims *claims = &lookup->verification.claims;
    struct principal principal = {.tenant_id = keys->tenant_id};
    unsigned char hash[SIGNED_KEY_BYTES];
    struct reach reach;
    bool may_write;

    if (find_reach(lookup, keys, call->arena, &reach, ret_err) < 0)
        return -1;
    may_write = reach.some_write && !reach.some_read;
    sha256(lookup->token, hash);
    memcpy(&principal.token_id, hash, sizeof(principal.token_id));
    principal.token_id |= TOKEN_ID_SIGNED;
    principal.capabilities = may_write ? CAP_READ | CAP_WRITE | CAP_DDL : CAP_READ;
    principal.role = may_write ? STR_LITERAL("readwrite") : STR_LITERAL("readonly");
    principal.tenant_slug = keys->tenant_slug;
    principal.token_name = claims->subject.len > 0 ? claims->subject : STR_LITERAL("jwt");
    principal.claims_json = STR_LITERAL("{}");
    principal.database_globs = reach.globs;
    principal.database_glob_count = reach.glob_count;
    principal.is_tenants = reach.is_tenants;
    principal.created_wall_ms = clock_wall_ms();
    principal.expires_wall_ms = claims->expires_wall_ms;
    if (keys->requests_per_second > 0) {
        principal.rate = rate_table_get(call->catalogue->rates, RATE_TENANT, keys->tenant_id,
            keys->requests_per_second, 0, NULL);
        principal.release_rate = rate_bucket_unref;
    }
    call->output = principal_new(&principal);
    return 0;
}

/* ---- the steps ---- */

static void finish(struct catalogue_call *call, const struct err *err)
{
    struct signed_lookup *lookup = call->steps;

    call->done = lookup->done;
    if (err != NULL)
        catalogue_fail(call, err);
    else
        call->done(call);
}

static void fail(struct catalogue_call *call, enum err_code code, const char *message)
{
    struct err err = ERR_INIT;

    (void)err_set(&err, code, "%s", message);
    finish(call, &err);
}

static void conclude(struct catalogue_call *call, const struct store_keys *keys)
{
    struct err err = ERR_INIT;

    if (keys->tenant_id == 0) {
        fail(call, ERR_UNKNOWN_TENANT, "there is no such tenant");
        return;
    }
    call->err = ERR_INIT;
    finish(call, make_principal(call, call->steps, keys, &err) < 0 ? &err : NULL);
}

static void on_tenant(struct catalogue_call *call)
{
    if (call->err.code != ERR_NONE)
        finish(call, NULL);
    else
        conclude(call, call->state);
}

static void on_verified(struct token_verification *verification)
{
    struct signed_lookup *lookup = CONTAINER_OF(verification, struct signed_lookup, verification);
    struct catalogue_call *call = lookup->call;

    if (verification->err.code != ERR_NONE) {
        finish(call, &verification->err);
        return;
    }
    lookup->is_verified = true;
    if (lookup->tenant.len > 0) {
        conclude(call, call->state);
        return;
    }
    if (tenant_of(lookup).ptr == NULL) {
        fail(call, ERR_UNKNOWN_DATABASE,
            "the token is not for one tenant only: name it in the URL, /<tenant>/<database>/");
        return;
    }
    call->done = on_tenant;
    catalogue_submit(call, &keys_action, lookup);
}

static void verify(struct catalogue_call *call, const struct store_keys *keys)
{
    struct signed_lookup *lookup = call->steps;
    struct token_verification *verification = &lookup->verification;
    struct token_verifier *verifier = call->catalogue->verifier;
    struct err err = ERR_INIT;

    *verification = (struct token_verification){
        .token = lookup->token,
        .arena = call->arena,
        .done = on_verified,
        .err = ERR_INIT,
    };
    if (keys != NULL) {
        verification->keys[SIGNED_BY_DATABASE] = keys->database_keys;
        verification->keys[SIGNED_BY_TENANT] = keys->tenant_keys;
    }
    if ((keys == NULL || keys->tenant_keys.len + keys->database_keys.len == 0) &&
        !atomic_load(&verifier->has_keys))
        fail(call, ERR_UNAUTHORIZED, "the token is not signed by a key that is known here");
    else if (verifier->submit(verifier, verification, &err) < 0)
        finish(call, &err);
}

static void on_keys(struct catalogue_call *call)
{
    if (call->err.code != ERR_NONE)
        finish(call, NULL);
    else
        verify(call, call->state);
}

void catalogue_signed_lookup(struct catalogue_call *call, struct signed_lookup *lookup)
{
    call->steps = lookup;
    lookup->call = call;
    lookup->done = call->done;
    lookup->is_verified = false;
    if (call->catalogue->verifier == NULL || !token_signed_is_sound(lookup->token)) {
        fail(call, ERR_UNAUTHORIZED, "Invalid token format");
        return;
    }
    if (lookup->tenant.len == 0) {
        call->err = ERR_INIT;
        verify(call, NULL);
        return;
    }
    call->done = on_keys;
    catalogue_submit(call, &keys_action, lookup);
}
