#include <sqlite3.h>
#include <stdio.h>

#include "tenants/catalogue_store.h"
#include "tenants/family.h"
#include "tenants/slug.h"

#define DATABASE_COLUMNS                                                                           \
    "d.id, d.public_id, d.slug, d.name, d.state, d.created_at, d.updated_at, d.expires_at,"        \
    " d.deleted_at, (SELECT f.public_id FROM databases f WHERE f.id = d.forked_from),"             \
    " (SELECT k.public_id FROM tokens k WHERE k.id = d.created_by),"                               \
    " d.ref, d.root_id, (SELECT r.slug FROM databases r WHERE r.id = d.root_id), d.protected"

/* Not one that is being made at this moment. */
#define THERE " AND d.pending <> d.head_id"

#define LIVE_BY_SLUG                                                                               \
    "SELECT " DATABASE_COLUMNS                                                                     \
    " FROM databases d WHERE d.tenant_id = ?1 AND d.slug = ?2 AND d.deleted_at = 0"

void store_database_read(const struct store *store, struct sqlite3_stmt *statement,
    struct str tenant_slug, struct database_info *info)
{
    *info = (struct database_info){
        .database_id = (uint64_t)sqlite3_column_int64(statement, 0),
        .id = store_text(store, statement, 1),
        .slug = store_text(store, statement, 2),
        .name = store_text(store, statement, 3),
        .tenant_slug = tenant_slug,
        .is_reserved = sqlite3_column_int(statement, 4) == DATABASE_RESERVED,
        .created_wall_ms = sqlite3_column_int64(statement, 5),
        .updated_wall_ms = sqlite3_column_int64(statement, 6),
        .expires_wall_ms = sqlite3_column_int64(statement, 7),
        .deleted_wall_ms = sqlite3_column_int64(statement, 8),
        .forked_from = store_text(store, statement, 9),
        .created_by = store_text(store, statement, 10),
        .branch_ref = store_text(store, statement, 11),
        .root_id = (uint64_t)sqlite3_column_int64(statement, 12),
        .root_slug = store_text(store, statement, 13),
        .is_protected = sqlite3_column_int(statement, 14) != 0,
    };
    info->status = info->deleted_wall_ms == 0 ? "active" : "deleted";
    if (info->deleted_wall_ms > 0)
        info->restorable_until_wall_ms = info->deleted_wall_ms + store->options->delete_grace_ms;
}

/* 1 and the row, 0 when there is none, -1. */
static int find_by(const struct store *store, const char *sql, const struct tenant_info *tenant,
    struct str key, struct database_info *ret_info, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    if (store_query(store, &statement, ret_err, sql, "is", (int64_t)tenant->tenant_id, key) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row > 0)
        store_database_read(store, statement, tenant->slug, ret_info);
    return row;
}

static int unknown(struct str name, struct err *ret_err)
{
    return err_set(ret_err, ERR_UNKNOWN_DATABASE, "there is no database '%.*s'",
        (int)MIN(name.len, (size_t)SLUG_SEGMENT_MAX), name.ptr);
}

static bool may_reach(const struct store *store, struct str slug)
{
    return store->principal == NULL || principal_has_database(store->principal, slug);
}

static int find_slug(const struct store *store, const struct tenant_info *tenant, struct str slug,
    struct database_info *ret_info, struct err *ret_err)
{
    return find_by(store, LIVE_BY_SLUG, tenant, slug, ret_info, ret_err);
}

/* By slug, else by public id, among those that the principal may reach. 1, 0, -1. */
static int find_named(const struct store *store, const char *sql_by_slug, const char *sql_by_id,
    const struct tenant_info *tenant, struct str name, struct database_info *ret_info,
    struct err *ret_err)
{
    char lowered[SLUG_SEGMENT_MAX];
    int found = 0;

    if (slug_lower(name, lowered, sizeof(lowered)))
        found = find_by(store, sql_by_slug, tenant, str_make(lowered, name.len), ret_info, ret_err);
    if (found == 0)
        found = find_by(store, sql_by_id, tenant, name, ret_info, ret_err);
    return found > 0 && !store_may_reach(store, ret_info) ? 0 : found;
}

int store_database_by_id(const struct store *store, uint64_t tenant_id, uint64_t database_id,
    struct database_info *ret_info, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    if (store_query(store, &statement, ret_err,
            "SELECT " DATABASE_COLUMNS ", (SELECT t.slug FROM tenants t WHERE t.id = d.tenant_id)"
            " FROM databases d WHERE d.id = ?1 AND d.tenant_id = ?2 AND d.deleted_at = 0" THERE,
            "ii", (int64_t)database_id, (int64_t)tenant_id) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row > 0)
        store_database_read(store, statement, store_text(store, statement, 15), ret_info);
    return row;
}

/* `database@ref`, or how else a branch is written. 1, 0, -1. */
static int find_as_branch(const struct store *store, const struct tenant_info *tenant,
    struct str name, struct database_info *ret_info, struct err *ret_err)
{
    struct slug_reading reading = {.step = 0};
    char lowered[SLUG_SEGMENT_MAX];
    uint64_t id;
    int found = 0;

    if (!slug_lower(name, lowered, sizeof(lowered)))
        return 0;
    while (found == 0 && slug_next_reading(str_make(lowered, name.len), &reading))
        if (reading.ref.len > 0)
            found = store_branch_id(
                store, tenant->tenant_id, reading.database, reading.ref, &id, ret_err);
    if (found > 0)
        found = store_database_by_id(store, tenant->tenant_id, id, ret_info, ret_err);
    return found > 0 && !store_may_reach(store, ret_info) ? 0 : found;
}

/* Among those that are not deleted. */
static int find_database(const struct store *store, const struct tenant_info *tenant,
    struct str name, struct database_info *ret_info, struct err *ret_err)
{
    int found = find_named(store, LIVE_BY_SLUG THERE,
        "SELECT " DATABASE_COLUMNS " FROM databases d"
        " WHERE d.tenant_id = ?1 AND d.public_id = ?2 AND d.deleted_at = 0" THERE,
        tenant, name, ret_info, ret_err);

    if (found == 0)
        found = find_as_branch(store, tenant, name, ret_info, ret_err);

    if (found < 0)
        return -1;
    return found > 0 ? 0 : unknown(name, ret_err);
}

int store_database_settings(
    const struct store *store, struct database_info *info, struct err *ret_err)
{
    struct database_settings *settings = arena_zalloc(store->arena, sizeof(*settings));

    if (settings == NULL)
        return store_finish(store, ret_err);
    info->settings = settings;
    return store_settings_load(store, SETTING_DATABASE, info->database_id, settings, ret_err);
}

int store_database_usage(const struct store *store, struct database_info *info, struct err *ret_err)
{
    struct usage_totals *usage = arena_zalloc(store->arena, sizeof(*usage));
    STORE_STATEMENT statement = NULL;
    int row;

    if (usage == NULL)
        return store_finish(store, ret_err);
    info->usage = usage;
    if (store_query(store, &statement, ret_err,
            "SELECT requests, rows_read, rows_written, bytes, wal_bytes, last_used_at FROM usage"
            " WHERE database_id = ?1",
            "i", (int64_t)info->database_id) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row <= 0)
        return row;
    *usage = (struct usage_totals){
        .requests = (uint64_t)sqlite3_column_int64(statement, 0),
        .rows_read = (uint64_t)sqlite3_column_int64(statement, 1),
        .rows_written = (uint64_t)sqlite3_column_int64(statement, 2),
        .bytes = (uint64_t)sqlite3_column_int64(statement, 3),
        .wal_bytes = (uint64_t)sqlite3_column_int64(statement, 4),
        .last_used_wall_ms = sqlite3_column_int64(statement, 5),
        .has_size = true,
    };
    return 0;
}

int store_database_get(const struct store *store, const struct database_input *input,
    struct database_info *ret_info, struct err *ret_err)
{
    struct tenant_info tenant;

    if (store_tenant_find(store, input->tenant, &tenant, ret_err) < 0 ||
        find_database(store, &tenant, input->database, ret_info, ret_err) < 0 ||
        store_database_settings(store, ret_info, ret_err) < 0 ||
        store_database_usage(store, ret_info, ret_err) < 0 ||
        store_keys_of(store, SETTING_DATABASE, ret_info->database_id, &ret_info->jwt_key, ret_err) <
            0)
        return -1;
    return store_finish(store, ret_err);
}

/* ---- creation ---- */

/* A database whose time is over but which the sweep has not met yet gives its slug free now. */
static int expire_slug(const struct store *store, const struct tenant_info *tenant, struct str slug,
    struct err *ret_err)
{
    return store_run(store, ret_err,
        "UPDATE databases SET deleted_at = ?3, updated_at = ?3 WHERE tenant_id = ?1 AND slug = ?2"
        " AND deleted_at = 0 AND expires_at > 0 AND expires_at <= ?3",
        "isi", (int64_t)tenant->tenant_id, slug, store->now_wall_ms);
}

static int check_quota(
    const struct store *store, const struct tenant_info *tenant, uint64_t more, struct err *ret_err)
{
    struct tenant_settings settings;

    if (store_settings_load(store, SETTING_TENANT, tenant->tenant_id, &settings, ret_err) < 0)
        return -1;
    if (settings.max_databases > 0 && tenant->database_count + more > settings.max_databases)
        return err_set(ret_err, ERR_QUOTA_EXCEEDED,
            "the tenant may have %llu databases and has %llu: delete some, or have maxDatabases "
            "raised",
            (unsigned long long)settings.max_databases, (unsigned long long)tenant->database_count);
    return 0;
}

int store_check_quota(
    const struct store *store, struct str tenant_name, uint64_t more, struct err *ret_err)
{
    struct tenant_info tenant;

    if (store_tenant_find(store, tenant_name, &tenant, ret_err) < 0)
        return -1;
    return check_quota(store, &tenant, more, ret_err);
}

struct creation {
    const struct store *store;
    const struct tenant_info *tenant;
    const struct database_create_input *input;
    struct sqlite3_stmt *insert; /* borrowed */
    struct str created_by;
    uint64_t made;
};

/* The public id of the token that asks; ptr NULL for the process. */
static int asker_id(const struct store *store, struct str *ret_id, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    if (store_query(store, &statement, ret_err, "SELECT public_id FROM tokens WHERE id = ?1", "i",
            store_asker(store)) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    *ret_id = row > 0 ? store_text(store, statement, 0) : str_make(NULL, 0);
    return row < 0 ? -1 : 0;
}

/* Inserts one row. 1 made, 0 the slug is taken, -1. */
static int insert_row(struct creation *creation, const struct database_create_item *item,
    struct str slug, struct database_info *info, struct err *ret_err)
{
    const struct store *store = creation->store;
    char public_id[PUBLIC_ID_BYTES];
    char family_id[ID_HEX_BYTES];
    char head_id[ID_HEX_BYTES];

    public_id_new("db", public_id);
    if (item->family_id != NULL) {
        (void)snprintf(family_id, sizeof(family_id), "%s", item->family_id);
        (void)snprintf(head_id, sizeof(head_id), "%s", item->head_id);
    } else {
        family_new_id(family_id);
        family_new_id(head_id);
    }
    *info = (struct database_info){
        .id = arena_str(store->arena, str_from(public_id)),
        .slug = slug,
        .name = arena_str(store->arena, item->name.len == 0 ? slug : item->name),
        .tenant_slug = creation->tenant->slug,
        .status = "active",
        .created_by = creation->created_by,
        .is_reserved = true,
        .created_wall_ms = store->now_wall_ms,
        .updated_wall_ms = store->now_wall_ms,
        .expires_wall_ms = item->expires_wall_ms,
    };
    if (store_finish(store, ret_err) < 0 ||
        store_bind(store, creation->insert, ret_err, "isssssiiii",
            (int64_t)creation->tenant->tenant_id, info->id, slug, info->name, str_from(family_id),
            str_from(head_id), (int64_t)DATABASE_RESERVED, store->now_wall_ms, store_asker(store),
            item->expires_wall_ms) < 0 ||
        store_step(store, creation->insert, ret_err) < 0)
        return -1;
    info->database_id = (uint64_t)sqlite3_last_insert_rowid(store->db);
    return sqlite3_changes(store->db) > 0;
}

static int create_one(struct creation *creation, const struct database_create_item *item,
    struct database_info *info, struct err *ret_err)
{
    const struct store *store = creation->store;
    char text[SLUG_DATABASE_MAX + 1];
    struct str slug = {.ptr = text, .len = 0};
    int made;

    if (slug_database(item->slug, text, &slug.len, ret_err) < 0 ||
        store_check_name(item->name, ret_err) < 0)
        return -1;
    slug = arena_str(store->arena, slug);
    if (store_finish(store, ret_err) < 0)
        return -1;
    if (item->expires_wall_ms != 0 && item->expires_wall_ms <= store->now_wall_ms)
        return err_set(ret_err, ERR_BAD_REQUEST, "expiresAt of '%s' is in the past", text);
    if (!may_reach(store, slug))
        return err_set(ret_err, ERR_FORBIDDEN, "the token's databases do not include '%s'", text);
    made = insert_row(creation, item, slug, info, ret_err);
    if (made == 0 && expire_slug(store, creation->tenant, slug, ret_err) < 0)
        return -1;
    if (made == 0 && sqlite3_changes(store->db) > 0)
        made = insert_row(creation, item, slug, info, ret_err);
    if (made < 0)
        return -1;
    if (made == 0) {
        if (!creation->input->exists_ok)
            return err_set(ret_err, ERR_CONFLICT, "a database '%s' exists", text);
        return find_slug(store, creation->tenant, slug, info, ret_err) < 0 ? -1 : 0;
    }
    creation->made++;
    return store_settings_change(
        store, SETTING_DATABASE, info->database_id, item->settings, item->setting_count, ret_err);
}

int store_database_create(const struct store *store, const struct database_create_input *input,
    struct database_list *ret_list, uint64_t *ret_tenant_id, struct err *ret_err)
{
    STORE_STATEMENT insert = NULL;
    struct database_info *items;
    struct tenant_info tenant;
    struct creation creation;

    if (store_tenant_find(store, input->tenant, &tenant, ret_err) < 0)
        return -1;
    if (input->count == 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "no database is named");
    if (input->count > CATALOGUE_CREATE_MAX)
        return err_set(
            ret_err, ERR_TOO_LARGE, "at most %d databases are made at once", CATALOGUE_CREATE_MAX);
    items = arena_array(store->arena, input->count, sizeof(*items));
    if (items == NULL)
        return store_finish(store, ret_err);
    if (store_query(store, &insert, ret_err,
            "INSERT INTO databases(tenant_id, public_id, slug, name, family_id, head_id, state,"
            " created_at, updated_at, created_by, expires_at)"
            " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
            "") < 0)
        return -1;
    creation =
        (struct creation){.store = store, .tenant = &tenant, .input = input, .insert = insert};
    if (asker_id(store, &creation.created_by, ret_err) < 0)
        return -1;
    for (size_t i = 0; i < input->count; i++) {
        if (create_one(&creation, &input->items[i], &items[i], ret_err) < 0)
            return -1;
    }
    if (check_quota(store, &tenant, creation.made, ret_err) < 0)
        return -1;
    *ret_list = (struct database_list){.items = items, .count = input->count};
    *ret_tenant_id = tenant.tenant_id;
    return store_finish(store, ret_err);
}

/* ---- lists ---- */

int store_database_list(const struct store *store, const struct list_input *input,
    struct database_list *ret_list, struct err *ret_err)
{
    unsigned size = store_page_size(input);
    struct database_info *items = arena_array(store->arena, size, sizeof(*items));
    struct database_list list = {.items = items};
    STORE_STATEMENT statement = NULL;
    struct tenant_info tenant;
    struct str slug;
    struct str id;
    int row;

    if (items == NULL)
        return store_finish(store, ret_err);
    if (store_tenant_find(store, input->tenant, &tenant, ret_err) < 0 ||
        store_cursor_parse(input->cursor, &slug, &id, ret_err) < 0)
        return -1;
    if (store_query(store, &statement, ret_err,
            input->deleted
                ? "SELECT " DATABASE_COLUMNS " FROM databases d WHERE d.tenant_id = ?1"
                  " AND d.deleted_at > 0 AND d.purging = 0 AND (d.slug, d.public_id) > (?2, ?3)"
                  " AND d.root_id = 0 ORDER BY d.slug, d.public_id"
                : "SELECT " DATABASE_COLUMNS " FROM databases d WHERE d.tenant_id = ?1"
                  " AND d.deleted_at = 0 AND (d.slug, d.public_id) > (?2, ?3)"
                  " AND d.root_id = 0 ORDER BY d.slug, d.public_id",
            "iss", (int64_t)tenant.tenant_id, slug, id) < 0)
        return -1;
    while ((row = store_step(store, statement, ret_err)) > 0) {
        struct str found = str_make((const char *)sqlite3_column_text(statement, 2),
            (size_t)sqlite3_column_bytes(statement, 2));

        if (!may_reach(store, found))
            continue;
        if (list.count == size) {
            list.next_cursor = store_cursor_make(store, items[size - 1].slug, items[size - 1].id);
            break;
        }
        store_database_read(store, statement, tenant.slug, &items[list.count++]);
    }
    if (row < 0 || store_finish(store, ret_err) < 0)
        return -1;
    *ret_list = list;
    return 0;
}

/* ---- changes ---- */

static int rename_to(const struct store *store, const struct tenant_info *tenant, struct str asked,
    const struct database_info *info, struct str *slug, struct err *ret_err)
{
    char text[SLUG_DATABASE_MAX + 1];
    struct str wanted = {.ptr = text, .len = 0};
    struct database_info other;
    int found;

    if (slug_database(asked, text, &wanted.len, ret_err) < 0)
        return -1;
    if (str_equal(wanted, info->slug))
        return 0;
    if (!may_reach(store, wanted))
        return err_set(ret_err, ERR_FORBIDDEN, "the token's databases do not include '%s'", text);
    if (expire_slug(store, tenant, wanted, ret_err) < 0)
        return -1;
    found = find_slug(store, tenant, wanted, &other, ret_err);
    if (found > 0)
        return err_set(ret_err, ERR_CONFLICT, "a database '%s' exists", text);
    *slug = arena_str(store->arena, wanted);
    return found < 0 ? -1 : store_finish(store, ret_err);
}

int store_database_patch(const struct store *store, const struct database_patch_input *input,
    struct database_info *ret_info, struct store_database *ret_row, struct err *ret_err)
{
    struct tenant_info tenant;
    struct database_info info;
    struct str slug;
    struct str name;
    int64_t expires;

    if (store_tenant_find(store, input->tenant, &tenant, ret_err) < 0 ||
        find_database(store, &tenant, input->database, &info, ret_err) < 0)
        return -1;
    slug = info.slug;
    if (input->slug.ptr != NULL && info.root_id != 0 && !str_equal(input->slug, slug))
        return err_set(ret_err, ERR_BAD_REQUEST, "a branch is renamed by its ref");
    if (input->slug.ptr != NULL && info.root_id == 0 &&
        rename_to(store, &tenant, input->slug, &info, &slug, ret_err) < 0)
        return -1;
    name = input->name.ptr == NULL ? info.name : input->name;
    if (name.len == 0 || (input->name.ptr == NULL && str_equal(info.name, info.slug)))
        name = slug; /* nobody gave it one of its own */
    expires = input->set_expires ? input->expires_wall_ms : info.expires_wall_ms;
    if (store_check_name(name, ret_err) < 0)
        return -1;
    if (input->set_expires && expires != 0 && expires <= store->now_wall_ms)
        return err_set(ret_err, ERR_BAD_REQUEST, "expiresAt is in the past");
    if (store_run(store, ret_err,
            "UPDATE databases SET slug = ?2, name = ?3, expires_at = ?4, updated_at = ?5"
            " WHERE id = ?1",
            "issii", (int64_t)info.database_id, slug, name, expires, store->now_wall_ms) < 0 ||
        store_run(store, ret_err,
            "UPDATE databases SET slug = ?2 || '-' || alias, name = iif(name = slug, ?2 || '-' ||"
            " alias, name) WHERE root_id = ?1 AND deleted_at = 0 AND slug <> ?2 || '-' || alias",
            "is", (int64_t)info.database_id, slug) < 0 ||
        store_settings_change(store, SETTING_DATABASE, info.database_id, input->settings,
            input->setting_count, ret_err) < 0 ||
        find_slug(store, &tenant, slug, ret_info, ret_err) < 0 ||
        store_database_settings(store, ret_info, ret_err) < 0)
        return -1;
    return store_database_row(store, info.database_id, ret_row, ret_err);
}

/* With its branches, which come back with it. */
static int delete_family(const struct store *store, uint64_t root_id, struct err *ret_err)
{
    STORE_STATEMENT kept = NULL;
    int row;

    if (store_query(store, &kept, ret_err,
            "SELECT 1 FROM databases WHERE root_id = ?1 AND deleted_at = 0 AND (protected = 1"
            " OR pending <> '') LIMIT 1",
            "i", (int64_t)root_id) < 0)
        return -1;
    row = store_step(store, kept, ret_err);
    if (row != 0)
        return row < 0 ? -1
                       : err_set(ret_err, ERR_CONFLICT,
                             "it has branches that are protected, or being made at this moment");
    return store_run(store, ret_err,
        "UPDATE databases SET deleted_at = ?2, updated_at = ?2"
        " WHERE deleted_at = 0 AND (id = ?1 OR root_id = ?1)",
        "ii", (int64_t)root_id, store->now_wall_ms);
}

int store_database_delete(const struct store *store, const struct database_input *input,
    struct database_info *ret_info, struct store_database *ret_row, struct err *ret_err)
{
    struct tenant_info tenant;
    struct database_info info;

    if (store_tenant_find(store, input->tenant, &tenant, ret_err) < 0 ||
        find_database(store, &tenant, input->database, &info, ret_err) < 0 ||
        store_database_row(store, info.database_id, ret_row, ret_err) < 0)
        return -1;
    if (info.is_protected)
        return err_set(ret_err, ERR_CONFLICT, "'%.*s' is protected", STR_ARGS(info.slug));
    info.status = "deleted";
    info.deleted_wall_ms = store->now_wall_ms;
    info.updated_wall_ms = store->now_wall_ms;
    if (info.root_id != 0) {
        if (store_branch_remove(store, tenant.tenant_id, info.database_id, ret_row, ret_err) < 0)
            return -1;
    } else {
        if (delete_family(store, info.database_id, ret_err) < 0)
            return -1;
        info.restorable_until_wall_ms = store->now_wall_ms + store->options->delete_grace_ms;
    }
    *ret_info = info;
    return store_finish(store, ret_err);
}

static int find_deleted(const struct store *store, const struct tenant_info *tenant,
    struct str name, struct database_info *ret_info, struct err *ret_err)
{
    int found = find_named(store,
        "SELECT " DATABASE_COLUMNS " FROM databases d WHERE d.tenant_id = ?1 AND d.slug = ?2"
        " AND d.deleted_at > 0 AND d.purging = 0 ORDER BY d.deleted_at DESC, d.id DESC LIMIT 1",
        "SELECT " DATABASE_COLUMNS " FROM databases d"
        " WHERE d.tenant_id = ?1 AND d.public_id = ?2 AND d.deleted_at > 0 AND d.purging = 0",
        tenant, name, ret_info, ret_err);

    if (found != 0)
        return found < 0 ? -1 : 0;
    return err_set(ret_err, ERR_UNKNOWN_DATABASE, "there is no deleted database '%.*s'",
        (int)MIN(name.len, (size_t)SLUG_SEGMENT_MAX), name.ptr);
}

int store_database_restore(const struct store *store, const struct database_input *input,
    struct database_info *ret_info, struct store_database *ret_row, struct err *ret_err)
{
    struct tenant_info tenant;
    struct database_info info;
    struct database_info other;
    int found;

    if (store_tenant_find(store, input->tenant, &tenant, ret_err) < 0 ||
        find_deleted(store, &tenant, input->database, &info, ret_err) < 0 ||
        expire_slug(store, &tenant, info.slug, ret_err) < 0)
        return -1;
    found = find_slug(store, &tenant, info.slug, &other, ret_err);
    if (found > 0)
        return err_set(ret_err, ERR_CONFLICT,
            "a database '%.*s' exists meanwhile: rename it, then restore", STR_ARGS(info.slug));
    if (found < 0 || check_quota(store, &tenant, 1, ret_err) < 0)
        return -1;
    /* One that had expired would be deleted again by the next sweep. */
    if (store_run(store, ret_err,
            "UPDATE databases SET deleted_at = 0, updated_at = ?2,"
            " expires_at = iif(expires_at <= ?2, 0, expires_at)"
            " WHERE id = ?1 OR (root_id = ?1 AND deleted_at = ?3 AND purging = 0)",
            "iii", (int64_t)info.database_id, store->now_wall_ms, info.deleted_wall_ms) < 0 ||
        find_slug(store, &tenant, info.slug, ret_info, ret_err) < 0 ||
        store_database_settings(store, ret_info, ret_err) < 0)
        return -1;
    return store_database_row(store, info.database_id, ret_row, ret_err);
}
