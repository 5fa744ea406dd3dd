/* The catalogue's tokens: what they may, who may mint them, when they end, what their first use
 * makes; on an engine that answers at once. */
#include <string.h>

#include "tenants/base/clock.h"
#include "tests/lib/fake_catalogue.h"

static void test_tokens(void)
{
    static const struct str globs[] = {S("Main"), S("pr-*")};
    static const struct str tables[] = {S("orders"), S("Order Lines")};
    static const struct str bad[] = {S("a\nb")};
    const struct token_info *info;
    struct principal *principal;
    struct str token;
    struct str id;
    uint64_t tenant_id;

    token = mint(&(struct token_mint_input){.tenant = S("acme"),
        .name = S("ci"),
        .role = S("write"),
        .databases = globs,
        .database_count = 2,
        .tables = tables,
        .table_count = 2,
        .claims_json = S("{\"user_id\": 7}"),
        .rate_per_second = 5,
        .expires_wall_ms = clock_wall_ms() + 60000});
    ok(token.ptr != NULL && str_starts_with(token, "psql_live_"), "a token is minted");
    info = &OUT(struct token_minted)->info;
    ok(str_is(info->role, "readwrite") && str_is(info->name, "ci") && info->database_count == 2 &&
            str_is(info->databases[0], "main") && str_is(info->tables[1], "Order Lines") &&
            str_is(info->claims_json, "{\"user_id\": 7}") && info->rate_per_second == 5 &&
            strncmp(token.ptr + token.len - 4, info->last4.ptr, 4) == 0,
        "as asked");
    id = info->id;
    is_int(fake_int("SELECT count(*) FROM tokens WHERE hash = x'' OR instr(prefix, last4)"), 0,
        "the secret is not stored");
    principal = authenticate(token);
    ok(principal != NULL && str_is(principal->tenant_slug, "acme") &&
            principal->capabilities == ROLE_READWRITE_CAPS && principal->rate != NULL &&
            principal_has_database(principal, S("pr-9")) &&
            !principal_has_database(principal, S("logs")) &&
            principal_has_table(principal, S("ORDERS")) &&
            !principal_has_table(principal, S("users")),
        "it authenticates, with its scopes");
    tenant_id = principal->tenant_id;

    made.principal = principal;
    catalogue_whoami(made_begin());
    ok(made_wait() == ERR_NONE && str_equal(OUT(struct whoami)->token.id, id) &&
            str_is(OUT(struct whoami)->tenant_slug, "acme") &&
            str_starts_with(OUT(struct whoami)->tenant_id, "ns_"),
        "it knows itself");
    is_code(DO(database_list, struct list_input, .tenant = S("acme")), ERR_NONE, "it lists");
    ok(OUT(struct database_list)->count == 1 &&
            str_is(OUT(struct database_list)->items[0].slug, "main"),
        "the databases that its globs name");
    is_code(DO(database_get, struct database_input, .tenant = S("acme"), .database = S("logs")),
        ERR_UNKNOWN_DATABASE, "others are unknown to it");
    is_code(DO(database_list, struct list_input, .tenant = S("other")), ERR_NAMESPACE_MISMATCH,
        "another tenant is not its own");
    is_code(DO(database_list, struct list_input, .tenant = S("never-was")), ERR_NAMESPACE_MISMATCH,
        "nor one that there is not");
    made.principal = NULL;
    principal_unref(principal);

    is_code(DO(token_revoke, struct token_revoke_input, .tenant = S("other"), .id = id),
        ERR_NOT_FOUND, "another tenant does not revoke it");
    {
        uint64_t generation = catalogue_generation(made.catalogue);

        is_code(DO(token_revoke, struct token_revoke_input, .tenant = S("acme"), .id = id),
            ERR_NONE, "its own does");
        ok(!catalogue_is_current(made.catalogue, tenant_id, generation),
            "which outdates what caches hold");
    }
    ok(authenticate(token) == NULL && made.call.err.code == ERR_UNAUTHORIZED, "it is refused now");
    is_code(DO(token_revoke, struct token_revoke_input, .tenant = S("acme"), .id = id),
        ERR_NOT_FOUND, "once");

    is_code((mint(&(struct token_mint_input){.tenant = S("acme"), .role = S("god")}),
                made.call.err.code),
        ERR_BAD_REQUEST, "an unknown role");
    is_code((mint(&(struct token_mint_input){.tenant = S("acme"), .role = S("operator")}),
                made.call.err.code),
        ERR_BAD_REQUEST, "an operator of a tenant");
    is_code((mint(&(struct token_mint_input){.role = S("owner")}), made.call.err.code),
        ERR_BAD_REQUEST, "an owner of none");
    is_code((mint(&(struct token_mint_input){.tenant = S("acme"), .prefix = S("Bad-")}),
                made.call.err.code),
        ERR_BAD_REQUEST, "a bad prefix");
    is_code((mint(&(struct token_mint_input){.tenant = S("acme"), .claims_json = S("[1]")}),
                made.call.err.code),
        ERR_BAD_REQUEST, "claims that are no object");
    is_code((mint(&(struct token_mint_input){.tenant = S("acme"), .claims_json = S("{")}),
                made.call.err.code),
        ERR_BAD_REQUEST, "claims that are no JSON");
    is_code((mint(&(struct token_mint_input){
                 .tenant = S("acme"), .databases = bad, .database_count = 1}),
                made.call.err.code),
        ERR_BAD_REQUEST, "a glob with a line break");
    is_code((mint(&(struct token_mint_input){.tenant = S("acme"), .expires_wall_ms = 5}),
                made.call.err.code),
        ERR_BAD_REQUEST, "an expiry in the past");
    is_code((mint(&(struct token_mint_input){.tenant = S("acme"), .rate_burst = 5}),
                made.call.err.code),
        ERR_BAD_REQUEST, "a burst without a rate");
}

static void test_minting_rights(void)
{
    static const struct str globs[] = {S("main")};
    int64_t later = clock_wall_ms() + 100000;
    struct principal *owner = minted_principal(&(struct token_mint_input){.tenant = S("acme")});
    struct principal *brief =
        minted_principal(&(struct token_mint_input){.tenant = S("acme"), .expires_wall_ms = later});
    struct principal *scoped = minted_principal(
        &(struct token_mint_input){.tenant = S("acme"), .databases = globs, .database_count = 1});
    struct principal *writer =
        minted_principal(&(struct token_mint_input){.tenant = S("other"), .role = S("write")});
    struct str id;

    ok(owner != NULL && owner->capabilities == ROLE_OWNER_CAPS, "a token is an owner's by default");
    made.principal = owner;
    is_code((mint(&(struct token_mint_input){.tenant = S("acme"), .role = S("readonly")}),
                made.call.err.code),
        ERR_NONE, "an owner mints for its tenant");
    ok(OUT(struct token_minted)->info.created_by.ptr != NULL, "which is written down");
    is_code(make_database("acme", "by-owner"), ERR_NONE, "it makes a database");
    id = OUT(struct database_list)->items[0].created_by;
    is_code(DO(database_get, struct database_input, .tenant = S("acme"), .database = S("by-owner")),
        ERR_NONE, "of which is known");
    ok(str_starts_with(id, "tok_") && str_equal(OUT(struct database_info)->created_by, id),
        "who made it");
    is_code((mint(&(struct token_mint_input){.tenant = S("other")}), made.call.err.code),
        ERR_NAMESPACE_MISMATCH, "not for another");
    is_code((mint(&(struct token_mint_input){.role = S("operator")}), made.call.err.code),
        ERR_ROLE_FORBIDS, "no operator token");
    is_code(DO(token_list, struct list_input, .page_size = 10), ERR_ROLE_FORBIDS,
        "nor may it list them");
    made.principal = writer;
    is_code((mint(&(struct token_mint_input){.tenant = S("other")}), made.call.err.code),
        ERR_ROLE_FORBIDS, "a writer mints no owner");
    made.principal = brief;
    is_code((mint(&(struct token_mint_input){.tenant = S("acme")}), made.call.err.code), ERR_NONE,
        "one that expires mints");
    ok(OUT(struct token_minted)->info.expires_wall_ms == later, "what expires with it");
    is_code((mint(&(struct token_mint_input){.tenant = S("acme"), .expires_wall_ms = later + 1}),
                made.call.err.code),
        ERR_ROLE_FORBIDS, "nothing that outlives it");
    made.principal = scoped;
    is_code((mint(&(struct token_mint_input){.tenant = S("acme")}), made.call.err.code),
        ERR_ROLE_FORBIDS, "one limited to databases mints none");
    is_code(make_database("acme", "beyond"), ERR_FORBIDDEN, "nor makes others");
    made.principal = NULL;

    is_code(DO(token_list, struct list_input, .tenant = S("acme"), .page_size = 2), ERR_NONE,
        "tokens are listed");
    ok(OUT(struct token_list)->count == 2 && OUT(struct token_list)->next_cursor.ptr != NULL,
        "in pages");
    id = OUT(struct token_list)->items[1].id;
    is_code(DO(token_list, struct list_input, .tenant = S("acme"),
                .cursor = OUT(struct token_list)->next_cursor, .page_size = 100),
        ERR_NONE, "the next");
    ok(OUT(struct token_list)->count == 3 && !str_equal(OUT(struct token_list)->items[0].id, id) &&
            OUT(struct token_list)->next_cursor.ptr == NULL,
        "goes on behind it");
    principal_unref(owner);
    principal_unref(writer);
    principal_unref(brief);
    principal_unref(scoped);
}

static void test_token_times(void)
{
    struct catalogue_options options;
    struct str token;

    clock_freeze(clock_now_ns(), clock_wall_ms());
    token = mint(
        &(struct token_mint_input){.tenant = S("acme"), .expires_wall_ms = clock_wall_ms() + 1000});
    clock_advance_ms(999);
    {
        struct principal *principal = authenticate(token);

        ok(principal != NULL, "a token works until it expires");
        principal_unref(principal);
    }
    clock_advance_ms(1);
    ok(authenticate(token) == NULL && made.call.err.code == ERR_TOKEN_EXPIRED, "then it does not");

    catalogue_options_defaults(&options);
    options.max_tokens_per_tenant = 2;
    catalogue_configure(made.catalogue, &options);
    (void)DO(tenant_create, struct tenant_create_input, .slug = S("few"));
    for (int i = 0; i < 2; i++)
        (void)mint(&(struct token_mint_input){
            .tenant = S("few"), .expires_wall_ms = clock_wall_ms() + 1000});
    is_code((mint(&(struct token_mint_input){.tenant = S("few")}), made.call.err.code),
        ERR_QUOTA_EXCEEDED, "tokens have a quota");
    clock_advance_ms(1000);
    is_code((mint(&(struct token_mint_input){.tenant = S("few")}), made.call.err.code), ERR_NONE,
        "which expired ones do not count to");
    catalogue_options_defaults(&options);
    catalogue_configure(made.catalogue, &options);
    clock_unfreeze();
}

static void test_first_use(void)
{
    const struct setting *create = setting_find(SETTING_TENANT, S("createOnFirstUse"));
    struct setting_change on = {.setting = create, .value = 1};
    struct principal *owner;
    struct principal *writer;
    struct database *database;

    (void)DO(tenant_create, struct tenant_create_input, .slug = S("easy"));
    owner = minted_principal(&(struct token_mint_input){.tenant = S("easy")});
    writer =
        minted_principal(&(struct token_mint_input){.tenant = S("easy"), .role = S("readwrite")});
    made.principal = owner;
    ok(look_up("easy", "new") == NULL, "by default nothing is made on first use");
    is_code(DO(tenant_patch, struct tenant_patch_input, .tenant = S("easy"), .settings = &on,
                .setting_count = 1),
        ERR_NONE, "an owner may turn it on");
    made.principal = writer;
    ok(look_up("easy", "new") == NULL && made.call.err.code == ERR_UNKNOWN_DATABASE,
        "it is not a writer's to make");
    made.principal = owner;
    database = look_up("easy", "New");
    ok(database != NULL && str_is(database->slug, "new"), "an owner's first use makes it");
    database_unref(database);
    ok(look_up("easy", "new@pr") == NULL, "a branch is not made so");
    ok(look_up("easy", "a--b") == NULL && made.call.err.code == ERR_UNKNOWN_DATABASE,
        "nor a name that may not be");
    ok(look_up("acme", "new2") == NULL && made.call.err.code == ERR_NAMESPACE_MISMATCH,
        "nor another tenant's");
    made.principal = writer;
    database = look_up("easy", "new");
    ok(database != NULL, "then it is everybody's");
    database_unref(database);
    made.principal = NULL;
    principal_unref(owner);
    principal_unref(writer);
}

int main(void)
{
    struct database_create_item items[] = {{.slug = S("main")}, {.slug = S("logs")}};

    fake_catalogue_begin();
    open_catalogue();
    (void)DO(tenant_create, struct tenant_create_input, .slug = S("acme"));
    (void)DO(tenant_create, struct tenant_create_input, .slug = S("other"));
    (void)DO(database_create, struct database_create_input, .tenant = S("acme"), .items = items,
        .count = 2);
    test_tokens();
    test_minting_rights();
    test_token_times();
    test_first_use();
    fake_catalogue_end();
    return done_testing();
}
