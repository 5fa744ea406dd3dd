/* The catalogue's operations and errors, on an engine that answers at once. */
#include <string.h>

#include "tenants/base/clock.h"
#include "tenants/catalogue_store.h"
#include "tenants/token_file.h"
#include "tests/lib/fake_catalogue.h"

static void test_bootstrap(void)
{
    char path[128];
    char file[TOKEN_TEXT_BYTES];
    char first[CATALOGUE_BOOTSTRAP_BYTES];
    struct err err = ERR_INIT;
    struct principal *principal;

    (void)snprintf(path, sizeof(path), "%s/operator.token", folder);
    fake.run_twice = 1;
    open_catalogue();
    ok(strncmp(bootstrap, "rookery_op_", 11) == 0, "a new catalogue gives the first token");
    ok(token_file_read(path, file, &err) == 0 && strcmp(file, bootstrap) == 0,
        "which is in data/operator.token");
    principal = authenticate(str_from(file));
    ok(principal != NULL && principal_has(principal, CAP_OPERATOR) && principal->tenant_id == 0,
        "and is an operator's");
    principal_unref(principal);
    catalogue_close(made.catalogue);
    memcpy(first, bootstrap, sizeof(first));

    open_catalogue();
    is_str(bootstrap, "", "the second start gives none");
    ok(token_file_read(path, file, &err) == 0 && strcmp(file, first) == 0, "and keeps the file");
    catalogue_close(made.catalogue);

    ok(remove(path) == 0, "the file is lost");
    open_catalogue();
    ok(token_file_read(path, file, &err) == 0 && strcmp(file, first) != 0, "another is minted");
    is_str(bootstrap, "", "which is not a bootstrap");
    principal = authenticate(str_from(file));
    ok(principal != NULL, "it works");
    principal_unref(principal);
    ok(authenticate(str_from(first)) == NULL && made.call.err.code == ERR_UNAUTHORIZED,
        "and the lost one is revoked");
    ok(token_file_write(path, "rookery_op_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", &err) == 0,
        "a stranger's token is put there");
    catalogue_close(made.catalogue);
    open_catalogue();
    ok(token_file_read(path, file, &err) == 0 &&
            strcmp(file, "rookery_op_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG") != 0,
        "a token that does not authenticate is replaced");
    is_int(fake_int("SELECT count(*) FROM tokens WHERE revoked_at = 0"), 1,
        "there is one operator token left");
}

static void test_version(void)
{
    struct catalogue *other;
    struct err err = ERR_INIT;

    fake_exec("PRAGMA user_version = 999");
    ok(catalogue_open(NULL, folder, &other, NULL, &err) < 0 && err.code == ERR_CORRUPT &&
            strstr(err.msg, "newer") != NULL,
        "a catalogue of a newer server is refused: %s", err.msg);
    fake_exec("PRAGMA user_version = 2"); /* CATALOGUE_SCHEMA_VERSION */
}

static void test_tenants(void)
{
    const struct setting *rate = setting_find(SETTING_TENANT, S("requestsPerSecond"));
    struct setting_change change = {.setting = rate, .value = 50};
    struct setting_change wrong = {.setting = rate, .value = 5000000000};
    const struct tenant_info *tenant;
    struct str id;
    uint64_t generation;

    is_code(DO(tenant_create, struct tenant_create_input, .slug = S("Acme"), .name = S("Acme Inc"),
                .external_id = S("Ext-1"), .settings = &change, .setting_count = 1),
        ERR_NONE, "a tenant is made");
    tenant = OUT(struct tenant_info);
    ok(str_is(tenant->slug, "acme") && str_is(tenant->name, "Acme Inc") &&
            str_is(tenant->external_id, "Ext-1") && str_starts_with(tenant->id, "ns_") &&
            tenant->settings.requests_per_second == 50 && !tenant->settings.create_on_first_use &&
            tenant->created_wall_ms > 0 && tenant->deleted_wall_ms == 0,
        "with what was asked, and defaults");
    id = tenant->id;
    is_code(DO(tenant_create, struct tenant_create_input, .slug = S("ACME")), ERR_CONFLICT,
        "a slug is taken, in any case");
    is_code(DO(tenant_create, struct tenant_create_input, .slug = S("admin")), ERR_CONFLICT,
        "a reserved slug is");
    is_code(DO(tenant_create, struct tenant_create_input, .slug = S("a b")), ERR_BAD_REQUEST,
        "a bad slug is refused");
    is_code(DO(tenant_create, struct tenant_create_input, .slug = S("other"),
                .external_id = S("Ext-1")),
        ERR_CONFLICT, "an external id is taken");
    is_code(
        DO(tenant_create, struct tenant_create_input, .slug = S("other"), .external_id = S("acme")),
        ERR_CONFLICT, "an external id may not be another's slug");
    is_code(DO(tenant_create, struct tenant_create_input, .slug = S("other"), .settings = &wrong,
                .setting_count = 1),
        ERR_BAD_REQUEST, "a setting out of its range is refused");
    is_code(DO(tenant_get, struct tenant_input, .tenant = S("other")), ERR_UNKNOWN_TENANT,
        "a refused creation leaves nothing");
    is_code(DO(tenant_create, struct tenant_create_input, .slug = S("other")), ERR_NONE,
        "another tenant");
    ok(OUT(struct tenant_info)->external_id.ptr == NULL &&
            str_is(OUT(struct tenant_info)->name, "other"),
        "its name is its slug, and it has no external id");

    is_code(DO(tenant_get, struct tenant_input, .tenant = S("ACME")), ERR_NONE, "got by slug");
    is_code(DO(tenant_get, struct tenant_input, .tenant = id), ERR_NONE, "got by id");
    is_code(
        DO(tenant_get, struct tenant_input, .tenant = S("Ext-1")), ERR_NONE, "got by external id");
    is_code(DO(tenant_get, struct tenant_input, .tenant = S("ext-1")), ERR_UNKNOWN_TENANT,
        "whose case counts");
    is_code(DO(tenant_get, struct tenant_input, .tenant = S("")), ERR_UNKNOWN_TENANT,
        "the empty name is nobody");

    generation = catalogue_generation(made.catalogue);
    change = (struct setting_change){.setting = rate, .reset = true};
    is_code(DO(tenant_patch, struct tenant_patch_input, .tenant = S("acme"), .slug = S("acme2"),
                .external_id = S(""), .settings = &change, .setting_count = 1),
        ERR_NONE, "a tenant is renamed");
    tenant = OUT(struct tenant_info);
    ok(str_is(tenant->slug, "acme2") && str_is(tenant->name, "Acme Inc") &&
            tenant->external_id.ptr == NULL && tenant->settings.requests_per_second == 0,
        "its external id is gone, its setting back at the default, its name kept");
    ok(catalogue_generation(made.catalogue) > generation &&
            !catalogue_is_current(made.catalogue, tenant->tenant_id, generation) &&
            catalogue_is_current(made.catalogue, tenant->tenant_id + 1, generation),
        "the generation grew, for this tenant alone");
    is_code(DO(tenant_patch, struct tenant_patch_input, .tenant = S("acme2"), .slug = S("other")),
        ERR_CONFLICT, "not to another's slug");
    is_code(DO(tenant_patch, struct tenant_patch_input, .tenant = S("acme2"), .slug = S("acme2")),
        ERR_NONE, "but to its own");
    is_code(DO(tenant_patch, struct tenant_patch_input, .tenant = S("acme2"), .slug = S("acme")),
        ERR_NONE, "and back");
}

static void test_tenant_list(void)
{
    struct str cursor = {.ptr = NULL, .len = 0};
    unsigned count = 0;
    unsigned pages = 0;
    char last[64] = "";
    bool in_order = true;

    for (int i = 0; i < 7; i++) {
        char slug[16];

        (void)snprintf(slug, sizeof(slug), "page-%d", i);
        (void)DO(tenant_create, struct tenant_create_input, .slug = str_from(slug));
    }
    do {
        const struct tenant_list *list;

        if (DO(tenant_list, struct list_input, .cursor = cursor, .page_size = 2) != ERR_NONE)
            break;
        list = OUT(struct tenant_list);
        for (size_t i = 0; i < list->count; i++) {
            in_order = in_order && strcmp(last, list->items[i].slug.ptr) < 0;
            (void)snprintf(last, sizeof(last), "%s", list->items[i].slug.ptr);
        }
        count += (unsigned)list->count;
        pages++;
        cursor = list->next_cursor;
    } while (cursor.ptr != NULL && pages < 20);
    ok(count == 9 && pages == 5 && in_order, "pages of 2 give all nine tenants in order");
    is_code(DO(tenant_list, struct list_input, .cursor = S("nonsense")), ERR_BAD_REQUEST,
        "a cursor that no list gave is refused");
}

static void test_databases(void)
{
    const struct setting *durability = setting_find(SETTING_DATABASE, S("durability"));
    struct setting_change relaxed = {.setting = durability, .value = DURABILITY_RELAXED};
    struct database_create_item items[] = {
        {.slug = S("Main"), .name = S("The main one")},
        {.slug = S("logs"), .settings = &relaxed, .setting_count = 1},
        {.slug = S("tmp"), .expires_wall_ms = clock_wall_ms() + 3600000},
    };
    struct database_create_item twice[] = {{.slug = S("x")}, {.slug = S("y")}, {.slug = S("X")}};
    struct database_create_item past = {.slug = S("past"), .expires_wall_ms = 1};
    const struct database_list *list;
    struct database *database;
    struct str id;

    is_code(DO(database_create, struct database_create_input, .tenant = S("acme"), .items = items,
                .count = 3),
        ERR_NONE, "three databases are made at once");
    list = OUT(struct database_list);
    ok(list->count == 3 && str_is(list->items[0].slug, "main") &&
            str_is(list->items[0].name, "The main one") && str_is(list->items[1].name, "logs") &&
            list->items[2].expires_wall_ms > 0 && list->items[0].is_reserved &&
            str_starts_with(list->items[0].id, "db_"),
        "in the order asked");
    id = list->items[0].id;
    is_code(DO(database_create, struct database_create_input, .tenant = S("acme"), .items = twice,
                .count = 3),
        ERR_CONFLICT, "a slug named twice");
    is_code(DO(database_get, struct database_input, .tenant = S("acme"), .database = S("x")),
        ERR_UNKNOWN_DATABASE, "all or nothing");
    is_code(make_database("acme", "MAIN"), ERR_CONFLICT, "a slug is taken");
    is_code(make_database("acme", "a--b"), ERR_BAD_REQUEST, "a bad slug");
    is_code(make_database("nobody", "a"), ERR_UNKNOWN_TENANT, "an unknown tenant");
    is_code(make_database("other", "main"), ERR_NONE, "another tenant has its own main");
    is_code(DO(database_create, struct database_create_input, .tenant = S("acme"), .items = &past,
                .count = 1),
        ERR_BAD_REQUEST, "one that would have expired");
    is_code(DO(database_create, struct database_create_input, .tenant = S("acme"), .count = 0),
        ERR_BAD_REQUEST, "none at all");
    is_code(DO(database_create, struct database_create_input, .tenant = S("acme"), .items = items,
                .count = CATALOGUE_CREATE_MAX + 1),
        ERR_TOO_LARGE, "too many");
    is_code(DO(database_create, struct database_create_input, .tenant = S("acme"), .items = items,
                .count = 3, .exists_ok = true),
        ERR_NONE, "the same again, where that is fine");
    ok(str_equal(OUT(struct database_list)->items[0].id, id), "gives those that are there");

    is_code(DO(database_get, struct database_input, .tenant = S("ACME"), .database = S("Logs")),
        ERR_NONE, "one is got");
    ok(OUT(struct database_info)->settings->durability == DURABILITY_RELAXED &&
            OUT(struct database_info)->settings->foreign_keys &&
            OUT(struct database_info)->usage->requests == 0,
        "with settings and usage");
    is_code(DO(database_get, struct database_input, .tenant = S("acme"), .database = id), ERR_NONE,
        "by id, too");
    is_code(DO(database_get, struct database_input, .tenant = S("other"), .database = id),
        ERR_UNKNOWN_DATABASE, "but not in another tenant");

    database = look_up("acme", "LOGS");
    ok(database != NULL && str_is(database->slug, "logs") &&
            str_is(database->tenant_slug, "acme") && strlen(database->family_id) == 32 &&
            strlen(database->head_id) == 32 && database->state == DATABASE_RESERVED &&
            database->settings.durability == DURABILITY_RELAXED && database->usage != NULL &&
            database->tenant_rate == NULL,
        "a look-up gives what the engine needs");
    database_unref(database);
    ok(look_up("acme", "logs@pr") == NULL && made.call.err.code == ERR_UNKNOWN_DATABASE,
        "there are no branches yet");
    ok(look_up("acme", "../x") == NULL && made.call.err.code == ERR_UNKNOWN_DATABASE,
        "nonsense is unknown");
    (void)DO(
        tenant_patch, struct tenant_patch_input, .tenant = S("acme"), .external_id = S("Ext9"));
    ok(look_up("Ext9", "logs") == NULL && made.call.err.code == ERR_UNKNOWN_TENANT,
        "a look-up takes slugs alone: caches lower them");
    ok(look_up("nobody", "logs") == NULL && made.call.err.code == ERR_UNKNOWN_TENANT,
        "so is a tenant");
}

static void on_live(void *argument, const struct err *err)
{
    *(enum err_code *)argument = err->code;
}

static void test_live(void)
{
    struct database *database = look_up("acme", "main");
    enum err_code code = ERR_BUG;

    catalogue_database_live(made.catalogue, database, on_live, &code);
    is_int(code, ERR_NONE, "the engine tells that it is live");
    database_unref(database);
    database = look_up("acme", "main");
    is_int(database->state, DATABASE_LIVE, "which a look-up says from then on");
    database_unref(database);
    (void)DO(database_get, struct database_input, .tenant = S("acme"), .database = S("main"));
    ok(!OUT(struct database_info)->is_reserved, "and a get");
}

static void test_patch(void)
{
    const struct setting *bytes = setting_find(SETTING_DATABASE, S("maxBytes"));
    struct setting_change change = {.setting = bytes, .value = 50000000};
    uint64_t generation = catalogue_generation(made.catalogue);
    unsigned closed = fake.closed;
    unsigned changed = fake.changed;

    is_code(DO(database_patch, struct database_patch_input, .tenant = S("acme"),
                .database = S("tmp"), .slug = S("kept"), .set_expires = true),
        ERR_NONE, "a database is renamed, and no longer expires");
    ok(str_is(OUT(struct database_info)->slug, "kept") &&
            OUT(struct database_info)->expires_wall_ms == 0 &&
            OUT(struct database_info)->settings != NULL &&
            catalogue_generation(made.catalogue) > generation && fake.closed == closed,
        "the generation grew, its actor stays");
    is_code(DO(database_get, struct database_input, .tenant = S("acme"), .database = S("tmp")),
        ERR_UNKNOWN_DATABASE, "its old name is nobody's");
    is_code(DO(database_patch, struct database_patch_input, .tenant = S("acme"),
                .database = S("kept"), .slug = S("MAIN")),
        ERR_CONFLICT, "not to another's name");
    is_code(DO(database_patch, struct database_patch_input, .tenant = S("acme"),
                .database = S("kept"), .settings = &change, .setting_count = 1),
        ERR_NONE, "a setting is changed");
    ok(OUT(struct database_info)->settings->max_bytes == 50000000 && fake.closed == closed &&
            fake.changed == changed + 1,
        "and the open database follows");
    is_code(DO(database_patch, struct database_patch_input, .tenant = S("acme"),
                .database = S("kept"), .set_expires = true, .expires_wall_ms = 5),
        ERR_BAD_REQUEST, "it cannot expire in the past");
    is_code(
        DO(database_patch, struct database_patch_input, .tenant = S("acme"), .database = S("none")),
        ERR_UNKNOWN_DATABASE, "an unknown one is not changed");
}

static void test_delete(void)
{
    const struct database_list *list;
    struct str first;

    is_code(DO(database_delete, struct database_input, .tenant = S("acme"), .database = S("kept")),
        ERR_NONE, "a database is deleted");
    ok(str_is(str_from(OUT(struct database_info)->status), "deleted") &&
            OUT(struct database_info)->restorable_until_wall_ms ==
                OUT(struct database_info)->deleted_wall_ms + 86400000,
        "for a day it can be restored");
    first = OUT(struct database_info)->id;
    is_code(DO(database_delete, struct database_input, .tenant = S("acme"), .database = S("kept")),
        ERR_UNKNOWN_DATABASE, "twice is once too often");
    ok(look_up("acme", "kept") == NULL, "it cannot be reached");
    is_code(DO(database_list, struct list_input, .tenant = S("acme"), .deleted = true), ERR_NONE,
        "the deleted are listed");
    list = OUT(struct database_list);
    ok(list->count == 1 && str_equal(list->items[0].id, first), "this one");
    is_code(make_database("acme", "kept"), ERR_NONE, "its slug is free at once");
    is_code(DO(database_restore, struct database_input, .tenant = S("acme"), .database = S("kept")),
        ERR_CONFLICT, "then it cannot come back under it");
    is_code(DO(database_delete, struct database_input, .tenant = S("acme"), .database = S("kept")),
        ERR_NONE, "the second is deleted, too");
    is_code(DO(database_restore, struct database_input, .tenant = S("acme"), .database = first),
        ERR_NONE, "the first is restored by its id");
    ok(str_equal(OUT(struct database_info)->id, first) &&
            OUT(struct database_info)->settings->max_bytes == 50000000,
        "with its settings");
    is_code(DO(database_restore, struct database_input, .tenant = S("acme"), .database = S("nope")),
        ERR_UNKNOWN_DATABASE, "what was never deleted is not restored");
    (void)DO(tenant_get, struct tenant_input, .tenant = S("acme"));
    is_int(OUT(struct tenant_info)->database_count, 3, "the tenant's count is right");
}

static void test_quota(void)
{
    const struct setting *most = setting_find(SETTING_TENANT, S("maxDatabases"));
    struct setting_change change = {.setting = most, .value = 2};

    (void)DO(tenant_create, struct tenant_create_input, .slug = S("small"), .settings = &change,
        .setting_count = 1);
    ok(make_database("small", "a") == ERR_NONE && make_database("small", "b") == ERR_NONE,
        "up to the quota");
    is_code(make_database("small", "c"), ERR_QUOTA_EXCEEDED, "not over it");
    is_code(DO(database_get, struct database_input, .tenant = S("small"), .database = S("c")),
        ERR_UNKNOWN_DATABASE, "nothing is left of it");
    (void)DO(database_delete, struct database_input, .tenant = S("small"), .database = S("a"));
    is_code(make_database("small", "c"), ERR_NONE, "a deleted one makes room");
    is_code(DO(database_restore, struct database_input, .tenant = S("small"), .database = S("a")),
        ERR_QUOTA_EXCEEDED, "which a restore needs, too");
}

static void test_list(void)
{
    static struct database_create_item items[250];
    static char slugs[250][16];
    struct str cursor = {.ptr = NULL, .len = 0};
    size_t count = 0;
    unsigned pages = 0;

    (void)DO(tenant_create, struct tenant_create_input, .slug = S("many"));
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        (void)snprintf(slugs[i], sizeof(slugs[i]), "db-%zu", i);
        items[i].slug = str_from(slugs[i]);
    }
    is_code(DO(database_create, struct database_create_input, .tenant = S("many"), .items = items,
                .count = ARRAY_LEN(items)),
        ERR_NONE, "250 databases");
    do {
        if (DO(database_list, struct list_input, .tenant = S("many"), .cursor = cursor) != ERR_NONE)
            break;
        count += OUT(struct database_list)->count;
        cursor = OUT(struct database_list)->next_cursor;
        /* What is deleted between pages does not shift the others. */
        if (pages == 0)
            (void)DO(
                database_delete, struct database_input, .tenant = S("many"), .database = S("db-0"));
        pages++;
    } while (cursor.ptr != NULL && pages < 10);
    ok(count == 250 && pages == 3, "pages of 100 give each once");
    is_code(DO(database_list, struct list_input, .tenant = S("many"), .page_size = 100000),
        ERR_NONE, "a page size over the most is cut");
    is_int(OUT(struct database_list)->count, 249, "and gives the rest");
}

static void test_tenant_delete(void)
{
    struct str token;
    struct principal *principal;

    (void)DO(tenant_create, struct tenant_create_input, .slug = S("gone"));
    (void)make_database("gone", "main");
    token = mint(&(struct token_mint_input){.tenant = S("gone")});
    is_code(DO(tenant_delete, struct tenant_input, .tenant = S("gone")), ERR_NONE,
        "a tenant is deleted");
    ok(OUT(struct tenant_info)->restorable_until_wall_ms > clock_wall_ms(), "for some time");
    ok(authenticate(token) == NULL && look_up("gone", "main") == NULL,
        "its tokens and databases with it");
    is_code(DO(tenant_create, struct tenant_create_input, .slug = S("gone")), ERR_NONE,
        "its slug is free");
    is_code(DO(tenant_restore, struct tenant_input, .tenant = S("gone")), ERR_CONFLICT,
        "then it cannot come back");
    (void)DO(tenant_patch, struct tenant_patch_input, .tenant = S("gone"), .slug = S("gone2"));
    is_code(DO(tenant_list, struct list_input, .deleted = true), ERR_NONE, "it is listed");
    ok(OUT(struct tenant_list)->count == 1 &&
            str_is(OUT(struct tenant_list)->items[0].slug, "gone"),
        "as deleted");
    is_code(DO(tenant_restore, struct tenant_input, .tenant = S("GONE")), ERR_NONE,
        "else it is restored");
    principal = authenticate(token);
    ok(principal != NULL, "with its tokens");
    principal_unref(principal);
}

static void tick(void)
{
    for (int i = 0; i < 4; i++) {
        clock_advance_ms(CATALOGUE_PAGE_MAX * 70); /* past every period */
        catalogue_tick(made.catalogue, clock_now_ns());
    }
}

static void test_time(void)
{
    struct database_create_item item = {.slug = S("brief")};
    struct database_create_item again = {.slug = S("brief")};
    struct database *database;
    unsigned removed = fake.removed;

    clock_freeze(clock_now_ns(), clock_wall_ms());
    item.expires_wall_ms = clock_wall_ms() + 30000;
    (void)DO(tenant_create, struct tenant_create_input, .slug = S("clock"));
    (void)DO(database_create, struct database_create_input, .tenant = S("clock"), .items = &item,
        .count = 1);
    clock_advance_ms(30000);
    ok(look_up("clock", "brief") == NULL, "a database whose time is over is unknown at once");
    is_code(DO(database_create, struct database_create_input, .tenant = S("clock"), .items = &again,
                .count = 1),
        ERR_NONE, "its slug is free before any sweep");
    (void)DO(database_patch, struct database_patch_input, .tenant = S("clock"),
        .database = S("brief"), .set_expires = true, .expires_wall_ms = clock_wall_ms() + 1000);
    tick();
    is_int(fake_int("SELECT count(*) FROM databases d JOIN tenants t ON t.id = d.tenant_id WHERE "
                    "t.slug = 'clock' AND d.deleted_at = 0"),
        0, "the sweep deletes what has expired");
    (void)DO(tenant_get, struct tenant_input, .tenant = S("clock"));
    is_int(OUT(struct tenant_info)->database_count, 0, "and counts");
    is_int(fake.removed, removed, "nothing is removed within the grace period");
    is_code(
        DO(database_restore, struct database_input, .tenant = S("clock"), .database = S("brief")),
        ERR_NONE, "what expired can be restored");
    tick();
    database = look_up("clock", "brief");
    ok(database != NULL, "and then stays");
    usage_add(database->usage, 3, 100, 7);
    usage_set_size(database->usage, 4096, 0);
    (void)DO(database_get, struct database_input, .tenant = S("clock"), .database = S("brief"));
    ok(OUT(struct database_info)->usage->requests == 3 &&
            OUT(struct database_info)->usage->bytes == 4096,
        "usage is seen before it is flushed");
    tick();
    is_int(fake_int("SELECT sum(rows_read) FROM usage"), 100, "then it is");
    usage_add(database->usage, 1, 1, 1);
    fake.fail_next = 1;
    tick();
    (void)DO(database_get, struct database_input, .tenant = S("clock"), .database = S("brief"));
    ok(OUT(struct database_info)->usage->requests == 4 &&
            OUT(struct database_info)->usage->rows_read == 101 &&
            OUT(struct database_info)->usage->last_used_wall_ms > 0,
        "a flush that fails loses and doubles nothing");
    database_unref(database);

    (void)DO(database_delete, struct database_input, .tenant = S("clock"), .database = S("brief"));
    (void)DO(tenant_delete, struct tenant_input, .tenant = S("many"));
    fake.hold_closes = true;
    clock_advance_ms(86400000);
    tick();
    is_int(fake.removed, removed, "a folder is removed only after its database is closed");
    is_code(
        DO(database_restore, struct database_input, .tenant = S("clock"), .database = S("brief")),
        ERR_UNKNOWN_DATABASE, "but what is being purged does not come back");
}

static void test_purge(void)
{
    int64_t left;

    unsigned removed = fake.removed;

    /* The held ones of before are told after the end, as an engine does that closes all. */
    ok(fake.held > 0, "purges wait for the engine");
    catalogue_close(made.catalogue);
    fake_release_closes();
    is_int(fake.removed, removed, "what the engine says after the end is not acted upon");
    open_catalogue();
    for (int i = 0; i < 3; i++)
        tick();
    is_int(fake_int("SELECT count(*) FROM databases WHERE purging = 1"), 0,
        "everything due is purged");
    is_int(fake_int("SELECT count(*) FROM tenants WHERE slug = 'many'"), 0, "tenants, too");
    left = fake_int("SELECT count(*) FROM usage WHERE database_id NOT IN (SELECT id FROM databases)"
                    " ");
    is_int(left, 0, "no figures are left of them");
    is_int(fake_int("SELECT count(*) FROM settings WHERE scope = 1 AND owner_id NOT IN "
                    "(SELECT id FROM databases)"),
        0, "nor settings");
    is_int(fake_int("SELECT count(*) FROM tenants t WHERE database_count <> (SELECT count(*) FROM "
                    "databases d WHERE d.tenant_id = t.id AND d.deleted_at = 0)"),
        0, "every count is right");
    clock_advance_ms(8ULL * 86400000);
    tick();
    is_int(fake_int("SELECT count(*) FROM tokens WHERE revoked_at > 0 OR expires_at > 0"), 0,
        "old tokens are forgotten");
    clock_unfreeze();
}

static void test_figures(void)
{
    catalogue_figures(made_begin());
    ok(made_wait() == ERR_NONE &&
            OUT(struct catalogue_figures)->tenants ==
                (uint64_t)fake_int("SELECT count(*) FROM tenants WHERE deleted_at = 0") &&
            OUT(struct catalogue_figures)->databases ==
                (uint64_t)fake_int("SELECT count(*) FROM databases WHERE deleted_at = 0"),
        "figures add up");
}

static void test_failures(void)
{
    struct arena small;

    fake.fail_next = 1;
    is_code(DO(tenant_get, struct tenant_input, .tenant = S("acme")), ERR_OVERLOADED,
        "a refusal of the engine comes through");
    ok(made.call.output == NULL, "without output");
    arena_init(&small, 300);
    (void)made_begin();
    made.call.arena = &small;
    catalogue_database_list(
        &made.call, &(const struct list_input){.tenant = S("acme"), .page_size = 1000});
    is_code(made_wait(), ERR_TOO_LARGE, "an answer over the arena's limit is an error");
    arena_fini(&small);
    fake.run_twice = 1;
    is_code(make_database("acme", "twice"), ERR_NONE, "a procedure that ran twice did it once");
}

int main(void)
{
    fake_catalogue_begin();
    test_bootstrap();
    test_version();
    test_tenants();
    test_tenant_list();
    test_databases();
    test_live();
    test_patch();
    test_delete();
    test_quota();
    test_list();
    test_tenant_delete();
    test_figures();
    test_failures();
    test_time();
    test_purge();
    fake_catalogue_end();
    return done_testing();
}
