#include <sqlite3.h>

#include "tenants/catalogue_store.h"
#include "tenants/slug.h"

#define TENANT_COLUMNS                                                                             \
    "id, public_id, slug, name, external_id, database_count, created_at, updated_at, deleted_at"

static void read_tenant(
    const struct store *store, struct sqlite3_stmt *statement, struct tenant_info *tenant)
{
    *tenant = (struct tenant_info){
        .tenant_id = (uint64_t)sqlite3_column_int64(statement, 0),
        .id = store_text(store, statement, 1),
        .slug = store_text(store, statement, 2),
        .name = store_text(store, statement, 3),
        .external_id = store_text(store, statement, 4),
        .database_count = (uint64_t)sqlite3_column_int64(statement, 5),
        .created_wall_ms = sqlite3_column_int64(statement, 6),
        .updated_wall_ms = sqlite3_column_int64(statement, 7),
        .deleted_wall_ms = sqlite3_column_int64(statement, 8),
    };
    if (tenant->deleted_wall_ms > 0)
        tenant->restorable_until_wall_ms =
            tenant->deleted_wall_ms + store->options->delete_grace_ms;
}

/* 1 and the row, 0 when there is none, -1. */
static int find_by(const struct store *store, const char *sql, struct str key,
    struct tenant_info *ret_tenant, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    if (store_query(store, &statement, ret_err, sql, "s", key) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row > 0)
        read_tenant(store, statement, ret_tenant);
    return row;
}

static int find_any(
    const struct store *store, struct str name, struct tenant_info *ret_tenant, struct err *ret_err)
{
    char lowered[SLUG_TENANT_MAX];
    int found = 0;

    if (slug_lower(name, lowered, sizeof(lowered)))
        found = find_by(store,
            "SELECT " TENANT_COLUMNS " FROM tenants WHERE slug = ?1 AND deleted_at = 0",
            str_make(lowered, name.len), ret_tenant, ret_err);
    if (found == 0)
        found = find_by(store,
            "SELECT " TENANT_COLUMNS " FROM tenants WHERE public_id = ?1 AND deleted_at = 0", name,
            ret_tenant, ret_err);
    if (found == 0)
        found = find_by(store,
            "SELECT " TENANT_COLUMNS " FROM tenants"
            " WHERE external_id = ?1 AND external_id IS NOT NULL AND deleted_at = 0",
            name, ret_tenant, ret_err);
    return found;
}

bool store_asks_operator(const struct store *store)
{
    return store->principal == NULL || principal_has(store->principal, CAP_OPERATOR);
}

int store_tenant_find(
    const struct store *store, struct str name, struct tenant_info *ret_tenant, struct err *ret_err)
{
    struct tenant_info tenant;
    int found = find_any(store, name, &tenant, ret_err);

    if (found < 0)
        return -1;
    /* The same answer whether it exists or not: a stranger learns nothing. */
    if (!store_asks_operator(store) &&
        (found == 0 || tenant.tenant_id != store->principal->tenant_id))
        return err_set(ret_err, ERR_NAMESPACE_MISMATCH, "Token namespace mismatch");
    if (found == 0)
        return err_set(ret_err, ERR_UNKNOWN_TENANT, "there is no tenant '%.*s'",
            (int)MIN(name.len, (size_t)SLUG_EXTERNAL_ID_MAX), name.ptr);
    *ret_tenant = tenant;
    return 0;
}

static int with_settings(const struct store *store, struct tenant_info *tenant, struct err *ret_err)
{
    if (store_settings_load(store, SETTING_TENANT, tenant->tenant_id, &tenant->settings, ret_err) <
        0)
        return -1;
    return store_finish(store, ret_err);
}

int store_tenant_get(const struct store *store, const struct tenant_input *input,
    struct tenant_info *ret_tenant, struct err *ret_err)
{
    if (store_tenant_find(store, input->tenant, ret_tenant, ret_err) < 0)
        return -1;
    return with_settings(store, ret_tenant, ret_err);
}

/* ---- checks of what is to be written ---- */

int store_check_name(struct str name, struct err *ret_err)
{
    if (name.len > SLUG_NAME_MAX)
        return err_set(ret_err, ERR_BAD_REQUEST, "a name has at most %d bytes", SLUG_NAME_MAX);
    if (!str_is_utf8(name) || str_find(name, '\0') < name.len)
        return err_set(ret_err, ERR_BAD_REQUEST, "a name is UTF-8 text without NUL");
    return 0;
}

static int check_external_id(
    const struct store *store, struct str id, uint64_t own_id, struct err *ret_err)
{
    struct tenant_info other;
    int found;

    if (id.len == 0)
        return 0;
    if (id.len > SLUG_EXTERNAL_ID_MAX)
        return err_set(ret_err, ERR_BAD_REQUEST, "an external id has at most %d characters",
            SLUG_EXTERNAL_ID_MAX);
    for (size_t i = 0; i < id.len; i++) {
        if (id.ptr[i] <= ' ' || id.ptr[i] > '~' || id.ptr[i] == '/')
            return err_set(ret_err, ERR_BAD_REQUEST,
                "an external id has printable ASCII characters without blanks and '/'");
    }
    found = find_any(store, id, &other, ret_err);
    if (found > 0 && other.tenant_id != own_id)
        return err_set(ret_err, ERR_CONFLICT, "the external id '%.*s' is taken", STR_ARGS(id));
    return found < 0 ? -1 : 0;
}

/* A slug may neither be another's slug nor its external id: one name, one tenant. */
static int check_slug_free(
    const struct store *store, struct str slug, uint64_t own_id, struct err *ret_err)
{
    struct tenant_info other;
    int found = find_any(store, slug, &other, ret_err);

    if (found > 0 && other.tenant_id != own_id)
        return err_set(ret_err, ERR_CONFLICT, "a tenant '%.*s' exists", STR_ARGS(slug));
    return found < 0 ? -1 : 0;
}

int64_t store_asker(const struct store *store)
{
    return store->principal == NULL ? 0 : (int64_t)store->principal->token_id;
}

int store_tenant_create(const struct store *store, const struct tenant_create_input *input,
    struct tenant_info *ret_tenant, struct err *ret_err)
{
    char slug_text[SLUG_TENANT_MAX + 1];
    char public_id[PUBLIC_ID_BYTES];
    struct str slug = {.ptr = slug_text, .len = 0};
    int64_t id;

    if (slug_tenant(input->slug, slug_text, &slug.len, ret_err) < 0 ||
        store_check_name(input->name, ret_err) < 0 ||
        check_slug_free(store, slug, 0, ret_err) < 0 ||
        check_external_id(store, input->external_id, 0, ret_err) < 0)
        return -1;
    public_id_new("ns", public_id);
    if (store_run(store, ret_err,
            "INSERT INTO tenants(public_id, slug, name, external_id, created_at, created_by,"
            " updated_at) VALUES(?1, ?2, ?3, nullif(?4, ''), ?5, ?6, ?5)",
            "ssssii", str_from(public_id), slug, input->name.len == 0 ? slug : input->name,
            input->external_id, store->now_wall_ms, store_asker(store)) < 0)
        return -1;
    id = sqlite3_last_insert_rowid(store->db);
    if (store_settings_change(store, SETTING_TENANT, (uint64_t)id, input->settings,
            input->setting_count, ret_err) < 0)
        return -1;
    return store_tenant_get(store, &(struct tenant_input){slug}, ret_tenant, ret_err);
}

unsigned store_page_size(const struct list_input *input)
{
    if (input->page_size == 0)
        return CATALOGUE_PAGE_DEFAULT;
    return MIN(input->page_size, (unsigned)CATALOGUE_PAGE_MAX);
}

int store_cursor_parse(
    struct str cursor, struct str *ret_slug, struct str *ret_id, struct err *ret_err)
{
    struct str rest = cursor;
    struct str slug = str_split(&rest, '/');

    if (cursor.len == 0) {
        *ret_slug = STR_LITERAL("");
        *ret_id = STR_LITERAL("");
        return 0;
    }
    if (rest.ptr == NULL || slug.len > SLUG_DATABASE_MAX || rest.len >= PUBLIC_ID_BYTES)
        return err_set(ret_err, ERR_BAD_REQUEST, "the cursor is not one that a list has given");
    *ret_slug = slug;
    *ret_id = rest;
    return 0;
}

struct str store_cursor_make(const struct store *store, struct str slug, struct str id)
{
    return str_from(arena_printf(store->arena, "%.*s/%.*s", STR_ARGS(slug), STR_ARGS(id)));
}

int store_tenant_list(const struct store *store, const struct list_input *input,
    struct tenant_list *ret_list, struct err *ret_err)
{
    unsigned size = store_page_size(input);
    struct tenant_info *items = arena_array(store->arena, size, sizeof(*items));
    struct tenant_list list = {.items = items};
    STORE_STATEMENT statement = NULL;
    struct str slug;
    struct str id;
    int row;

    if (items == NULL)
        return store_finish(store, ret_err);
    if (store_cursor_parse(input->cursor, &slug, &id, ret_err) < 0)
        return -1;
    if (store_query(store, &statement, ret_err,
            input->deleted
                ? "SELECT " TENANT_COLUMNS " FROM tenants"
                  " WHERE deleted_at > 0 AND purging = 0 AND (slug, public_id) > (?1, ?2)"
                  " ORDER BY slug, public_id LIMIT ?3"
                : "SELECT " TENANT_COLUMNS " FROM tenants"
                  " WHERE deleted_at = 0 AND (slug, public_id) > (?1, ?2)"
                  " ORDER BY slug, public_id LIMIT ?3",
            "ssi", slug, id, (int64_t)size + 1) < 0)
        return -1;
    while ((row = store_step(store, statement, ret_err)) > 0) {
        if (list.count == size) {
            list.next_cursor = store_cursor_make(store, items[size - 1].slug, items[size - 1].id);
            break;
        }
        read_tenant(store, statement, &items[list.count]);
        if (store_settings_load(store, SETTING_TENANT, items[list.count].tenant_id,
                &items[list.count].settings, ret_err) < 0)
            return -1;
        list.count++;
    }
    if (row < 0 || store_finish(store, ret_err) < 0)
        return -1;
    *ret_list = list;
    return 0;
}

int store_tenant_patch(const struct store *store, const struct tenant_patch_input *input,
    struct tenant_info *ret_tenant, struct err *ret_err)
{
    char slug_text[SLUG_TENANT_MAX + 1];
    struct tenant_info tenant;
    struct str slug;
    struct str name;
    struct str external_id;

    if (store_tenant_find(store, input->tenant, &tenant, ret_err) < 0)
        return -1;
    slug = tenant.slug;
    if (input->slug.ptr != NULL) {
        slug.ptr = slug_text;
        if (slug_tenant(input->slug, slug_text, &slug.len, ret_err) < 0 ||
            check_slug_free(store, slug, tenant.tenant_id, ret_err) < 0)
            return -1;
    }
    name = input->name.ptr == NULL ? tenant.name : input->name;
    if (name.len == 0 || (input->name.ptr == NULL && str_equal(tenant.name, tenant.slug)))
        name = slug; /* nobody gave it one of its own */
    external_id = input->external_id.ptr == NULL ? tenant.external_id : input->external_id;
    if (store_check_name(name, ret_err) < 0 ||
        check_external_id(store, external_id, tenant.tenant_id, ret_err) < 0)
        return -1;
    if (store_run(store, ret_err,
            "UPDATE tenants SET slug = ?2, name = ?3, external_id = nullif(?4, ''), updated_at = ?5"
            " WHERE id = ?1",
            "isssi", (int64_t)tenant.tenant_id, slug, name, external_id, store->now_wall_ms) < 0)
        return -1;
    if (store_settings_change(store, SETTING_TENANT, tenant.tenant_id, input->settings,
            input->setting_count, ret_err) < 0)
        return -1;
    return store_tenant_get(store, &(struct tenant_input){slug}, ret_tenant, ret_err);
}

int store_tenant_delete(const struct store *store, const struct tenant_input *input,
    struct tenant_info *ret_tenant, struct err *ret_err)
{
    struct tenant_info tenant;

    if (store_tenant_get(store, input, &tenant, ret_err) < 0)
        return -1;
    if (store_run(store, ret_err,
            "UPDATE tenants SET deleted_at = ?2, updated_at = ?2 WHERE id = ?1", "ii",
            (int64_t)tenant.tenant_id, store->now_wall_ms) < 0)
        return -1;
    tenant.deleted_wall_ms = store->now_wall_ms;
    tenant.updated_wall_ms = store->now_wall_ms;
    tenant.restorable_until_wall_ms = store->now_wall_ms + store->options->delete_grace_ms;
    *ret_tenant = tenant;
    return 0;
}

int store_tenant_restore(const struct store *store, const struct tenant_input *input,
    struct tenant_info *ret_tenant, struct err *ret_err)
{
    char lowered[SLUG_TENANT_MAX];
    struct tenant_info tenant;
    struct str external_id;
    int found = 0;

    if (slug_lower(input->tenant, lowered, sizeof(lowered)))
        found = find_by(store,
            "SELECT " TENANT_COLUMNS " FROM tenants WHERE slug = ?1 AND deleted_at > 0"
            " AND purging = 0 ORDER BY deleted_at DESC, id DESC LIMIT 1",
            str_make(lowered, input->tenant.len), &tenant, ret_err);
    if (found == 0)
        found = find_by(store,
            "SELECT " TENANT_COLUMNS
            " FROM tenants WHERE public_id = ?1 AND deleted_at > 0 AND purging = 0",
            input->tenant, &tenant, ret_err);
    if (found < 0)
        return -1;
    if (found == 0)
        return err_set(ret_err, ERR_UNKNOWN_TENANT, "there is no deleted tenant of that name");
    external_id = tenant.external_id;
    if (check_slug_free(store, tenant.slug, tenant.tenant_id, ret_err) < 0 ||
        check_external_id(store, external_id, tenant.tenant_id, ret_err) < 0)
        return -1;
    if (store_run(store, ret_err,
            "UPDATE tenants SET deleted_at = 0, updated_at = ?2 WHERE id = ?1", "ii",
            (int64_t)tenant.tenant_id, store->now_wall_ms) < 0)
        return -1;
    return store_tenant_get(store, &(struct tenant_input){tenant.slug}, ret_tenant, ret_err);
}
