/* The rows that the engine and the loops' caches work with. */
#include <sqlite3.h>
#include <stdio.h>

#include "tenants/base/check.h"
#include "tenants/catalogue_store.h"
#include "tenants/slug.h"

#define ROW_COLUMNS                                                                                \
    "d.id, d.tenant_id, d.slug, t.slug, d.family_id, d.head_id, d.state, d.deleted_at,"            \
    " d.expires_at, d.root_id, r.slug || '@' || d.ref, r.family_id IS NOT d.family_id"
#define ROW_TABLES                                                                                 \
    " FROM databases d JOIN tenants t ON t.id = d.tenant_id"                                       \
    " LEFT JOIN databases r ON r.id = d.root_id"

static void copy_id(struct sqlite3_stmt *statement, int column, char out[ID_HEX_BYTES])
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    (void)snprintf(out, ID_HEX_BYTES, "%s", text == NULL ? "" : text);
}

static int read_row(const struct store *store, struct sqlite3_stmt *statement,
    struct store_database *row, struct err *ret_err)
{
    struct database *database = &row->database;

    memset(row, 0, sizeof(*row));
    database->id = (uint64_t)sqlite3_column_int64(statement, 0);
    database->tenant_id = (uint64_t)sqlite3_column_int64(statement, 1);
    database->slug = store_text(store, statement, 2);
    database->tenant_slug = store_text(store, statement, 3);
    copy_id(statement, 4, database->family_id);
    copy_id(statement, 5, database->head_id);
    database->state =
        sqlite3_column_int(statement, 6) == DATABASE_LIVE ? DATABASE_LIVE : DATABASE_RESERVED;
    if (sqlite3_column_int64(statement, 7) > 0)
        database->state = DATABASE_DELETED;
    database->expires_wall_ms = sqlite3_column_int64(statement, 8);
    database->root_id = (uint64_t)sqlite3_column_int64(statement, 9);
    database->access_name = store_text(store, statement, 10);
    database->owns_family = sqlite3_column_int(statement, 11) != 0;
    if (store_finish(store, ret_err) < 0 || store_settings_load(store, SETTING_DATABASE,
                                                database->id, &database->settings, ret_err) < 0)
        return -1;
    return store_settings_load(store, SETTING_TENANT, database->tenant_id, &row->tenant, ret_err);
}

bool store_may_reach(const struct store *store, const struct database_info *info)
{
    struct buf name;
    bool may;

    if (info->root_id == 0)
        return store->principal == NULL || principal_has_database(store->principal, info->slug);
    buf_init(&name, 0);
    buf_str(&name, info->root_slug);
    buf_char(&name, '@');
    buf_str(&name, info->branch_ref);
    may = store->principal == NULL ||
          principal_has_branch(store->principal, buf_view(&name), info->slug);
    buf_fini(&name);
    return may;
}

int store_database_row(const struct store *store, uint64_t database_id,
    struct store_database *ret_row, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    if (store_query(store, &statement, ret_err, "SELECT " ROW_COLUMNS ROW_TABLES " WHERE d.id = ?1",
            "i", (int64_t)database_id) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row == 0)
        return err_set(ret_err, ERR_UNKNOWN_DATABASE, "the database is gone");
    return row < 0 ? -1 : read_row(store, statement, ret_row, ret_err);
}

int store_database_live(const struct store *store, uint64_t database_id, struct err *ret_err)
{
    if (store_run(store, ret_err, "UPDATE databases SET state = ?2 WHERE id = ?1", "ii",
            (int64_t)database_id, (int64_t)DATABASE_LIVE) < 0)
        return -1;
    if (sqlite3_changes(store->db) == 0)
        return err_set(ret_err, ERR_UNKNOWN_DATABASE, "the database is gone");
    return 0;
}

/* 1 and the row, 0, -1. */
static int find_exact(const struct store *store, const struct tenant_info *tenant, struct str slug,
    struct store_database *ret_row, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    if (store_query(store, &statement, ret_err,
            "SELECT " ROW_COLUMNS ROW_TABLES
            " WHERE d.tenant_id = ?1 AND d.slug = ?2 AND d.deleted_at = 0"
            " AND d.pending <> d.head_id"
            " AND (d.expires_at = 0 OR d.expires_at > ?3 OR d.protected = 1)",
            "isi", (int64_t)tenant->tenant_id, slug, store->now_wall_ms) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row > 0 && read_row(store, statement, ret_row, ret_err) < 0)
        return -1;
    return row;
}

/* The branch `ref` of a database (or of the database that this one is a branch of): 1 and its row,
 * 0, -1. A ref comes before an alias; "main" is the database itself. */
static int find_branch(const struct store *store, const struct tenant_info *tenant, struct str slug,
    struct str ref, struct store_database *ret_row, struct err *ret_err)
{
    uint64_t id;
    int found = store_branch_id(store, tenant->tenant_id, slug, ref, &id, ret_err);

    if (found <= 0)
        return found;
    return store_database_row(store, id, ret_row, ret_err) < 0 ? -1 : 1;
}

static int may_create(const struct store *store, const struct tenant_info *tenant,
    struct str segment, bool *ret_may_create, struct err *ret_err)
{
    char slug[SLUG_DATABASE_MAX + 1];
    struct tenant_settings settings;
    size_t len;

    *ret_may_create = false;
    if (store->principal == NULL || !principal_has(store->principal, CAP_ADMIN) ||
        slug_database(segment, slug, &len, NULL) < 0 ||
        !principal_has_database(store->principal, str_make(slug, len)))
        return 0;
    if (store_settings_load(store, SETTING_TENANT, tenant->tenant_id, &settings, ret_err) < 0)
        return -1;
    *ret_may_create = settings.create_on_first_use;
    return 0;
}

/* Of a token's databases the only one; of several, the one called so, as sqld has it. */
#define DEFAULT_DATABASE "default"
#define LOOKED_AT_MAX                                                                              \
    1000 /* a token for some databases of a tenant with many: it has to name one */

static int find_only(const struct store *store, const struct tenant_info *tenant,
    struct store_database *ret_row, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    struct str name = STR_LITERAL(DEFAULT_DATABASE);
    struct str found = str_make(NULL, 0);
    bool several = false;
    unsigned looked_at = 0;
    int row = 0;

    if (store_query(store, &statement, ret_err,
            "SELECT d.slug, iif(d.root_id = 0, d.slug, (SELECT r.slug FROM databases r"
            " WHERE r.id = d.root_id) || '@' || d.ref) FROM databases d"
            " WHERE d.tenant_id = ?1 AND d.deleted_at = 0 AND d.pending <> d.head_id"
            " AND (d.expires_at = 0 OR d.expires_at > ?2 OR d.protected = 1)"
            " AND (d.root_id = 0 OR ?3)",
            "iii", (int64_t)tenant->tenant_id, store->now_wall_ms,
            /* Branches are one of several only to who was given some. */
            (int64_t)(store->principal->branch_glob_count > 0)) < 0)
        return -1;
    while (!several && (row = store_step(store, statement, ret_err)) > 0) {
        struct str slug = store_text(store, statement, 0);

        several = ++looked_at > LOOKED_AT_MAX;
        if (!principal_has_database(store->principal, store_text(store, statement, 1)))
            continue;
        several = several || found.len > 0;
        found = slug;
    }
    if (row < 0 || store_finish(store, ret_err) < 0)
        return -1;
    if (several)
        found = principal_has_database(store->principal, name) ? name : str_make(NULL, 0);
    return found.len == 0 ? 0 : find_exact(store, tenant, found, ret_row, ret_err);
}

int store_database_lookup(const struct store *store, const struct database_lookup_input *input,
    struct store_database *ret_row, bool *ret_may_create, struct err *ret_err)
{
    struct slug_reading reading = {.step = 0};
    char lowered[SLUG_SEGMENT_MAX];
    struct str segment = str_make(lowered, input->segment.len);
    struct tenant_info tenant;
    int found = 0;

    *ret_may_create = false;
    if (store_tenant_find(store, input->tenant, &tenant, ret_err) < 0)
        return -1;
    /* Slugs only: the caches in front of this hold them lowered, which other ids do not survive. */
    if (!str_equal_nocase(tenant.slug, input->tenant))
        return err_set(ret_err, ERR_UNKNOWN_TENANT, "there is no tenant '%.*s'",
            (int)MIN(input->tenant.len, (size_t)SLUG_TENANT_MAX), input->tenant.ptr);
    if (input->segment.len == 0) {
        found = store->principal == NULL ? 0 : find_only(store, &tenant, ret_row, ret_err);
        return found > 0 ? 0
               : found == 0
                   ? err_set(ret_err, ERR_UNKNOWN_DATABASE,
                         "the token does not reach exactly one database, nor one called "
                         "'" DEFAULT_DATABASE "': name it in the URL, /<tenant>/<database>/")
                   : -1;
    }
    if (slug_lower(input->segment, lowered, sizeof(lowered))) {
        while (found == 0 && slug_next_reading(segment, &reading))
            found =
                reading.ref.len == 0
                    ? find_exact(store, &tenant, reading.database, ret_row, ret_err)
                    : find_branch(store, &tenant, reading.database, reading.ref, ret_row, ret_err);
        if (found == 0 && may_create(store, &tenant, segment, ret_may_create, ret_err) < 0)
            return -1;
    }
    if (found < 0)
        return -1;
    if (found == 0)
        return err_set(ret_err, ERR_UNKNOWN_DATABASE, "there is no database '%.*s'",
            (int)MIN(input->segment.len, (size_t)SLUG_SEGMENT_MAX), input->segment.ptr);
    return 0;
}
