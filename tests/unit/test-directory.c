/* The loops' cache: hits, misses, what outdates an entry, bounds, and a model of it all. */
#include "tenants/directory.h"

#include "tenants/base/clock.h"
#include "tenants/base/random.h"
#include "tenants/rate.h"
#include "tenants/token.h"
#include "tests/lib/fake_catalogue.h"

static enum err_code load_token(
    struct directory *directory, struct directory_load *load, struct str token) ON(loop_thread);
static enum err_code load_token(
    struct directory *directory, struct directory_load *load, struct str token)
{
    memset(load, 0, sizeof(*load));
    load->call.arena = &made.arena;
    load->call.done = made_done;
    load->token = token;
    made.done = false;
    directory_load_token(directory, load);
    ok(made.done, "a load is answered");
    return load->call.err.code;
}

static enum err_code load_database(struct directory *directory, struct directory_load *load,
    struct str tenant, struct str database) ON(loop_thread);
static enum err_code load_database(struct directory *directory, struct directory_load *load,
    struct str tenant, struct str database)
{
    memset(load, 0, sizeof(*load));
    load->call.arena = &made.arena;
    load->call.done = made_done;
    load->call.principal = made.principal;
    load->tenant_slug = tenant;
    load->database_slug = database;
    made.done = false;
    directory_load_database(directory, load);
    return load->call.err.code;
}

/* Loads and caches; false when there is no such. */
static bool cache_token(struct directory *directory, struct str token) ON(loop_thread);
static bool cache_token(struct directory *directory, struct str token)
{
    struct directory_load load;

    enum err_code code = load_token(directory, &load, token);

    directory_loaded(directory, &load);
    principal_unref(load.principal);
    return code == ERR_NONE;
}

static bool cache_database(struct directory *directory, struct str tenant, struct str database)
    ON(loop_thread);
static bool cache_database(struct directory *directory, struct str tenant, struct str database)
{
    struct directory_load load;

    enum err_code code = load_database(directory, &load, tenant, database);

    directory_loaded(directory, &load);
    database_unref(load.database);
    return code == ERR_NONE;
}

static struct str mint_for(struct str tenant, int64_t expires_wall_ms)
{
    (void)DO(
        token_mint, struct token_mint_input, .tenant = tenant, .expires_wall_ms = expires_wall_ms);
    return OUT(struct token_minted)->token;
}

static void test_tokens(void) ON(loop_thread);
static void test_tokens(void)
{
    struct directory *directory = directory_new(made.catalogue);
    struct directory_load load;
    struct principal *principal;
    struct str token = mint_for(S("acme"), 0);
    struct str brief;
    struct str other = mint_for(S("other"), 0);
    char prefixed[TOKEN_TEXT_BYTES];
    char wrong[TOKEN_TEXT_BYTES];
    struct str id;

    (void)DO(token_list, struct list_input, .tenant = S("acme"));
    id = OUT(struct token_list)->items[0].id;
    ok(directory_token(directory, token) == NULL, "at first a token is a miss");
    is_code(load_token(directory, &load, token), ERR_NONE, "it is loaded");
    ok(load.principal != NULL && str_is(load.principal->tenant_slug, "acme"), "as a principal");
    directory_loaded(directory, &load);
    principal_unref(load.principal);
    principal = directory_token(directory, token);
    ok(principal != NULL && principal == load.principal, "then it is a hit");
    (void)snprintf(prefixed, sizeof(prefixed), "other_%s", token.ptr + token.len - TOKEN_TAIL_LEN);
    ok(directory_token(directory, str_from(prefixed)) == principal, "under any prefix");
    (void)snprintf(wrong, sizeof(wrong), "%s", token.ptr);
    wrong[token.len - 1] = wrong[token.len - 1] == 'a' ? 'b' : 'a';
    ok(directory_token(directory, str_from(wrong)) == NULL, "one character off is a miss");
    is_int(load_token(directory, &load, str_from(wrong)), ERR_UNAUTHORIZED, "and refused");
    ok(load.principal == NULL, "without a principal");
    directory_loaded(directory, &load);
    is_int(load_token(directory, &load, S("nonsense")), ERR_UNAUTHORIZED, "nonsense is refused");
    is_str(load.call.err.msg, "Invalid token format", "in the words that clients know");
    directory_loaded(directory, &load);
    ok(directory_token(directory, S("")) == NULL, "the empty token is a miss");

    ok(cache_token(directory, other), "another tenant's token");
    is_code(DO(token_revoke, struct token_revoke_input, .tenant = S("acme"), .id = id), ERR_NONE,
        "the first is revoked");
    ok(directory_token(directory, token) == NULL, "it is a miss at once");
    ok(!cache_token(directory, token), "and cannot be loaded");
    ok(directory_token(directory, other) != NULL, "the other tenant's is still there");

    clock_freeze(clock_now_ns(), clock_wall_ms());
    brief = mint_for(S("acme"), clock_wall_ms() + 1000);
    ok(cache_token(directory, brief) && directory_token(directory, brief) != NULL,
        "one that expires is cached");
    clock_advance_ms(1000);
    ok(directory_token(directory, brief) == NULL, "until it has");
    is_int(load_token(directory, &load, brief), ERR_TOKEN_EXPIRED, "which the load then says");
    directory_loaded(directory, &load);
    clock_unfreeze();
    directory_free(directory);
}

static void test_databases(void) ON(loop_thread);
static void test_databases(void)
{
    struct directory *directory = directory_new(made.catalogue);
    struct directory_load load;
    struct database *database;

    ok(directory_database(directory, S("acme"), S("main")) == NULL, "a database is a miss");
    ok(cache_database(directory, S("ACME"), S("Main")), "it is loaded");
    database = directory_database(directory, S("acme"), S("main"));
    ok(database != NULL && database == directory_database(directory, S("Acme"), S("MAIN")),
        "and a hit in any case");
    ok(directory_database(directory, S("acme/main"), S("")) == NULL &&
            directory_database(directory, S("acm"), S("e/main")) == NULL &&
            directory_database(directory, S(""), S("acme/main")) == NULL,
        "only under its own two names");
    is_int(load_database(directory, &load, S("acme"), S("none")), ERR_UNKNOWN_DATABASE,
        "an unknown one is not");
    directory_loaded(directory, &load);
    (void)DO(database_create, struct database_create_input, .tenant = S("acme"),
        .items = &(const struct database_create_item){.slug = S("none")}, .count = 1);
    ok(cache_database(directory, S("acme"), S("none")), "nor is that remembered");

    ok(cache_database(directory, S("other"), S("main")), "another tenant's");
    is_code(DO(database_patch, struct database_patch_input, .tenant = S("acme"),
                .database = S("main"), .slug = S("renamed")),
        ERR_NONE, "the first is renamed");
    ok(directory_database(directory, S("acme"), S("main")) == NULL, "its old name is a miss");
    ok(!cache_database(directory, S("acme"), S("main")), "and unknown");
    ok(cache_database(directory, S("acme"), S("renamed")), "the new one is known");
    ok(directory_database(directory, S("other"), S("main")) != NULL,
        "the other tenant's is untouched");
    is_code(DO(tenant_patch, struct tenant_patch_input, .tenant = S("acme"), .slug = S("moved")),
        ERR_NONE, "the tenant is renamed");
    (void)DO(tenant_create, struct tenant_create_input, .slug = S("acme"));
    ok(directory_database(directory, S("acme"), S("renamed")) == NULL &&
            !cache_database(directory, S("acme"), S("renamed")),
        "who takes its slug does not get its databases");
    (void)DO(tenant_delete, struct tenant_input, .tenant = S("acme"));
    (void)DO(tenant_patch, struct tenant_patch_input, .tenant = S("moved"), .slug = S("acme"));
    (void)DO(database_patch, struct database_patch_input, .tenant = S("acme"),
        .database = S("renamed"), .slug = S("main"));
    directory_free(directory);
}

/* The database that a principal means when it names none: known until the tenant has another. */
static void test_only(void) ON(loop_thread);
static void test_only(void)
{
    struct directory *directory = directory_new(made.catalogue);
    struct directory_load load;
    struct directory_load look;
    struct database *database;
    struct str glob = S("o*");

    (void)DO(tenant_create, struct tenant_create_input, .slug = S("only"));
    is_code(load_token(directory, &look, mint_for(S("only"), 0)), ERR_NONE, "a token of a tenant");
    directory_loaded(directory, &look);
    made.principal = look.principal;
    is_int(load_database(directory, &load, S("only"), S("")), ERR_UNKNOWN_DATABASE,
        "without a database it means none");
    directory_loaded(directory, &load);
    (void)DO(database_create, struct database_create_input, .tenant = S("only"),
        .items = &(const struct database_create_item){.slug = S("one")}, .count = 1);
    ok(directory_only_database(directory, S("only"), look.principal) == NULL, "a miss at first");
    ok(cache_database(directory, S("Only"), S("")), "the only one is loaded");
    database = directory_only_database(directory, S("oNly"), look.principal);
    ok(database != NULL && str_is(database->slug, "one"), "and a hit from then on");
    ok(directory_only_database(directory, S("other"), look.principal) == NULL &&
            directory_database(directory, S("only"), S("")) == NULL &&
            directory_database(directory, S("only"), S("one")) == NULL,
        "for that tenant, and under no name");
    (void)DO(database_create, struct database_create_input, .tenant = S("only"),
        .items = &(const struct database_create_item){.slug = S("two")}, .count = 1);
    ok(directory_only_database(directory, S("only"), look.principal) == NULL,
        "a second one ends that");
    ok(!cache_database(directory, S("only"), S("")), "now nothing says which");
    (void)DO(database_create, struct database_create_input, .tenant = S("only"),
        .items = &(const struct database_create_item){.slug = S("default")}, .count = 1);
    ok(cache_database(directory, S("only"), S("")) &&
            str_is(directory_only_database(directory, S("only"), look.principal)->slug, "default"),
        "but for one called 'default'");
    made.principal = principal_new(&(const struct principal){.tenant_id = look.principal->tenant_id,
        .tenant_slug = S("only"),
        .capabilities = ROLE_OWNER_CAPS,
        .database_globs = &glob,
        .database_glob_count = 1});
    ok(directory_only_database(directory, S("only"), made.principal) == NULL,
        "another principal is another question");
    ok(cache_database(directory, S("only"), S("")) &&
            str_is(directory_only_database(directory, S("only"), made.principal)->slug, "one"),
        "of what it reaches it is the only one");
    (void)DO(database_delete, struct database_input, .tenant = S("only"), .database = S("one"));
    ok(directory_only_database(directory, S("only"), made.principal) == NULL &&
            !cache_database(directory, S("only"), S("")),
        "deleted, it is none");
    ok(directory_is_sound(directory), "all tables are sound");
    principal_unref(made.principal);
    made.principal = NULL;
    principal_unref(look.principal);
    directory_free(directory);
}

/* A principal whose tenant was renamed meanwhile meets who took the slug. */
static void test_slug_changed_hands(void) ON(loop_thread);
static void test_slug_changed_hands(void)
{
    struct directory *directory = directory_new(made.catalogue);
    struct directory_load load;
    struct directory_load look;

    (void)DO(tenant_create, struct tenant_create_input, .slug = S("alice"));
    is_code(load_token(directory, &look, mint_for(S("alice"), 0)), ERR_NONE, "alice's token");
    directory_loaded(directory, &look);
    (void)DO(tenant_patch, struct tenant_patch_input, .tenant = S("alice"), .slug = S("alice2"));
    (void)DO(tenant_create, struct tenant_create_input, .slug = S("alice"));
    (void)DO(database_create, struct database_create_input, .tenant = S("alice"),
        .items = &(const struct database_create_item){.slug = S("secret")}, .count = 1);
    made.principal = look.principal;
    is_int(load_database(directory, &load, S("alice"), S("secret")), ERR_NAMESPACE_MISMATCH,
        "a principal of before the rename does not reach the new owner's database");
    directory_loaded(directory, &load);
    made.principal = NULL;
    principal_unref(look.principal);
    directory_free(directory);
}

static struct str revoked_token;
static struct str revoked_id;

static void revoke_meanwhile(void)
{
    struct catalogue_call call = {.catalogue = made.catalogue, .arena = &made.arena};
    struct token_revoke_input input = {.tenant = S("acme"), .id = revoked_id};

    call.done = made_done;
    catalogue_token_revoke(&call, &input);
}

/* The look-up has read the token; it is revoked; then the look-up's answer arrives. */
static void test_race(void) ON(loop_thread);
static void test_race(void)
{
    struct directory *directory = directory_new(made.catalogue);
    struct directory_load load;

    revoked_token = mint_for(S("acme"), 0);
    revoked_id = OUT(struct token_minted)->info.id;
    fake.before_done = revoke_meanwhile;
    is_code(load_token(directory, &load, revoked_token), ERR_NONE,
        "a look-up that came before a revocation succeeds");
    directory_loaded(directory, &load);
    principal_unref(load.principal);
    ok(directory_token(directory, revoked_token) == NULL, "but is not used again");
    directory_free(directory);
}

static struct directory_load herd[20];
static unsigned herd_done;

static void on_herd(struct catalogue_call *call)
{
    (void)call;
    herd_done++;
}

/* Twenty misses of one token at once. */
static void start_herd(struct directory *directory, struct str token) ON(loop_thread);
static void start_herd(struct directory *directory, struct str token)
{
    herd_done = 0;
    memset(herd, 0, sizeof(herd));
    fake.hold_requests = true;
    for (size_t i = 0; i < ARRAY_LEN(herd); i++) {
        herd[i].call.arena = &made.arena;
        herd[i].call.done = on_herd;
        herd[i].token = token;
        directory_load_token(directory, &herd[i]);
    }
}

/* The loop's part: everything that is done is put into the cache, as it comes. */
static unsigned end_herd(struct directory *directory, enum err_code want) ON(loop_thread);
static unsigned end_herd(struct directory *directory, enum err_code want)
{
    unsigned as_wanted = 0;

    for (size_t i = 0; i < ARRAY_LEN(herd); i++) {
        if (i >= herd_done)
            break;
        directory_loaded(directory, &herd[i]);
        as_wanted += herd[i].call.err.code == want && (want != ERR_NONE) == !herd[i].principal;
        principal_unref(herd[i].principal);
    }
    return as_wanted;
}

static void test_herd(void) ON(loop_thread);
static void test_herd(void)
{
    struct directory *directory = directory_new(made.catalogue);
    struct str token = mint_for(S("acme"), 0);
    struct str id = OUT(struct token_minted)->info.id;
    unsigned before = fake.submitted;

    start_herd(directory, token);
    is_int(fake.held_requests, 1, "twenty misses of one token are one look-up");
    fake_run_held();
    is_int(herd_done, 1, "whose answer comes to the first");
    is_int(end_herd(directory, ERR_NONE), 20, "and through it to all");
    is_int(fake.submitted - before, 1, "without another");
    ok(directory_token(directory, token) == herd[0].principal, "it is cached");
    directory_free(directory);

    directory = directory_new(made.catalogue);
    start_herd(directory, token);
    fake.before_done = NULL;
    fake_run_held();
    is_code(DO(token_revoke, struct token_revoke_input, .tenant = S("acme"), .id = id), ERR_NONE,
        "it is revoked before the loop has the answer");
    directory_loaded(directory, &herd[0]);
    ok(herd[0].principal != NULL, "the first asked before that");
    principal_unref(herd[0].principal);
    is_int(herd_done, 2, "the others may have asked after: they look again");
    herd[0].principal = NULL;
    for (unsigned i = 1; i < ARRAY_LEN(herd) && i < herd_done; i++)
        directory_loaded(directory, &herd[i]);
    ok(herd_done == 20 && herd[1].call.err.code == ERR_UNAUTHORIZED &&
            herd[19].call.err.code == ERR_UNAUTHORIZED && herd[19].principal == NULL,
        "and are refused, each by a look of its own");
    before = fake.submitted;
    start_herd(directory, token);
    fake.fail_next = 1;
    fake_run_held();
    is_int(end_herd(directory, ERR_OVERLOADED), 20, "an overloaded catalogue is asked once");
    is_int(fake.submitted - before, 1, "for all of them");
    directory_free(directory);
}

static void test_bounds(void) ON(loop_thread);
static void test_bounds(void)
{
    struct directory *directory = directory_new_bounded(made.catalogue, 16, 16);
    struct directory_figures figures;
    unsigned hits = 0;
    char slug[16];

    for (int i = 0; i < 100; i++) {
        (void)snprintf(slug, sizeof(slug), "b-%d", i);
        (void)DO(database_create, struct database_create_input, .tenant = S("other"),
            .items = &(const struct database_create_item){.slug = str_from(slug)}, .count = 1);
        (void)cache_database(directory, S("other"), str_from(slug));
        if (directory_database(directory, S("other"), S("b-0")) != NULL)
            hits++;
        else
            (void)cache_database(directory, S("other"), S("b-0"));
    }
    directory_figures(directory, &figures);
    is_int(figures.databases, 16, "the cache holds as many as it may");
    ok(figures.evicted >= 84, "and drops the others");
    /* A hand that finds all others in use, too, takes even this one: once a round at most. */
    ok(hits >= 90, "but hardly ever the one in use: %u hits of 100", hits);
    directory_free(directory);
}

/* Random puts, renames and look-ups against the catalogue itself. */
static void test_model(void) ON(loop_thread);
static void test_model(void)
{
    struct directory *directory = directory_new_bounded(made.catalogue, 16, 64);
    uint64_t seed = random_u64();
    uint64_t state = seed | 1;
    unsigned wrong = 0;
    unsigned hits = 0;

    (void)printf("# seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 100; i++) {
        char slug[16];

        (void)snprintf(slug, sizeof(slug), "m-%d", i);
        (void)DO(database_create, struct database_create_input, .tenant = S("model"),
            .items = &(const struct database_create_item){.slug = str_from(slug)}, .count = 1);
    }
    for (int round = 0; round < 20000; round++) {
        struct database *database;
        char slug[16];
        char other[16];
        unsigned pick;

        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        pick = (unsigned)(state % 110);
        (void)snprintf(slug, sizeof(slug), "m-%u", pick);
        (void)snprintf(other, sizeof(other), "m-%u", (unsigned)(state >> 32) % 110);
        if (state % 997 == 0)
            (void)DO(database_patch, struct database_patch_input, .tenant = S("model"),
                .database = str_from(slug), .slug = str_from(other));
        database = directory_database(directory, S("model"), str_from(slug));
        if (database != NULL) {
            hits++;
            wrong += !str_is(database->slug, slug);
        } else {
            (void)cache_database(directory, S("model"), str_from(slug));
        }
        if (round % 50 == 0)
            wrong += !directory_is_sound(directory);
    }
    ok(wrong == 0 && hits > 1000, "20,000 look-ups among renames: %u hits, none wrong", hits);
    directory_free(directory);
}

static void test_rates(void) ON(loop_thread);
static void test_rates(void)
{
    const struct setting *rate = setting_find(SETTING_TENANT, S("requestsPerSecond"));
    struct setting_change change = {.setting = rate, .value = 3};
    struct directory *one = directory_new(made.catalogue);
    struct directory *other = directory_new(made.catalogue);
    struct str token;
    uint64_t now = clock_now_ns();

    (void)DO(tenant_create, struct tenant_create_input, .slug = S("slow"), .settings = &change,
        .setting_count = 1);
    token = mint_for(S("slow"), 0);
    ok(cache_token(one, token) && cache_token(other, token), "two loops know a token");
    ok(rate_take(directory_token(one, token)->rate, now) == 0 &&
            rate_take(directory_token(other, token)->rate, now) == 0 &&
            rate_take(directory_token(one, token)->rate, now) == 0,
        "its tenant's limit");
    ok(rate_take(directory_token(other, token)->rate, now) > 0, "is one for both");
    change.value = 0;
    (void)DO(tenant_patch, struct tenant_patch_input, .tenant = S("slow"), .settings = &change,
        .setting_count = 1);
    ok(directory_token(one, token) == NULL && cache_token(one, token) &&
            directory_token(one, token)->rate == NULL,
        "and goes when it is taken away");
    directory_free(one);
    directory_free(other);
}

int main(void)
{
    fake_catalogue_begin();
    open_catalogue();
    (void)DO(tenant_create, struct tenant_create_input, .slug = S("acme"));
    (void)DO(tenant_create, struct tenant_create_input, .slug = S("other"));
    (void)DO(tenant_create, struct tenant_create_input, .slug = S("model"));
    (void)DO(database_create, struct database_create_input, .tenant = S("acme"),
        .items = &(const struct database_create_item){.slug = S("main")}, .count = 1);
    (void)DO(database_create, struct database_create_input, .tenant = S("other"),
        .items = &(const struct database_create_item){.slug = S("main")}, .count = 1);
    loop_thread_enter();
    test_tokens();
    test_databases();
    test_only();
    test_slug_changed_hands();
    test_race();
    test_herd();
    test_bounds();
    test_model();
    test_rates();
    loop_thread_leave();
    fake_catalogue_end();
    return done_testing();
}
