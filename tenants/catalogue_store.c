#include "tenants/catalogue_store.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>

#include "tenants/base/check.h"
#include "tenants/sql_error.h"

/* One string per version, run in one transaction: schema[n] makes version n + 1 of version n. Never
 * change one that was released; add one. */
static const char *const schema[CATALOGUE_SCHEMA_VERSION] = {
    "CREATE TABLE tenants("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  public_id TEXT NOT NULL UNIQUE,"
    "  slug TEXT NOT NULL,"
    "  name TEXT NOT NULL,"
    "  external_id TEXT,"
    "  database_count INTEGER NOT NULL DEFAULT 0,"
    "  created_at INTEGER NOT NULL,"
    "  created_by INTEGER NOT NULL,"
    "  updated_at INTEGER NOT NULL,"
    "  deleted_at INTEGER NOT NULL DEFAULT 0,"
    "  purging INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE UNIQUE INDEX tenants_slug ON tenants(slug) WHERE deleted_at = 0;"
    "CREATE UNIQUE INDEX tenants_external_id ON tenants(external_id)"
    "  WHERE deleted_at = 0 AND external_id IS NOT NULL;"
    "CREATE INDEX tenants_deleted ON tenants(slug, public_id) WHERE deleted_at > 0;"

    "CREATE TABLE databases("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  public_id TEXT NOT NULL UNIQUE,"
    "  tenant_id INTEGER NOT NULL,"
    "  slug TEXT NOT NULL,"
    "  name TEXT NOT NULL,"
    "  family_id TEXT NOT NULL,"
    "  head_id TEXT NOT NULL,"
    "  state INTEGER NOT NULL,"
    "  forked_from INTEGER NOT NULL DEFAULT 0,"
    "  created_at INTEGER NOT NULL,"
    "  created_by INTEGER NOT NULL,"
    "  updated_at INTEGER NOT NULL,"
    "  expires_at INTEGER NOT NULL DEFAULT 0,"
    "  deleted_at INTEGER NOT NULL DEFAULT 0,"
    "  purging INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE UNIQUE INDEX databases_slug ON databases(tenant_id, slug) WHERE deleted_at = 0;"
    "CREATE INDEX databases_deleted ON databases(tenant_id, slug, public_id)"
    "  WHERE deleted_at > 0;"
    "CREATE INDEX databases_purge ON databases(purging, deleted_at) WHERE deleted_at > 0;"
    "CREATE INDEX databases_expires ON databases(expires_at)"
    "  WHERE deleted_at = 0 AND expires_at > 0;"
    "CREATE TRIGGER databases_counted AFTER INSERT ON databases WHEN new.deleted_at = 0 BEGIN"
    "  UPDATE tenants SET database_count = database_count + 1 WHERE id = new.tenant_id;"
    "END;"
    "CREATE TRIGGER databases_deleted_counted AFTER UPDATE OF deleted_at ON databases"
    "  WHEN (old.deleted_at = 0) <> (new.deleted_at = 0) BEGIN"
    "  UPDATE tenants SET database_count = database_count + iif(new.deleted_at = 0, 1, -1)"
    "    WHERE id = new.tenant_id;"
    "END;"
    "CREATE TRIGGER databases_removed AFTER DELETE ON databases BEGIN"
    "  UPDATE tenants SET database_count = database_count - 1"
    "    WHERE id = old.tenant_id AND old.deleted_at = 0;"
    "  DELETE FROM settings WHERE scope = 1 AND owner_id = old.id;"
    "  DELETE FROM usage WHERE database_id = old.id;"
    "END;"

    "CREATE TABLE settings("
    "  scope INTEGER NOT NULL," /* enum setting_scope */
    "  owner_id INTEGER NOT NULL,"
    "  name TEXT NOT NULL,"
    "  value TEXT NOT NULL,"
    "  PRIMARY KEY(scope, owner_id, name)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE usage("
    "  database_id INTEGER PRIMARY KEY,"
    "  requests INTEGER NOT NULL DEFAULT 0,"
    "  rows_read INTEGER NOT NULL DEFAULT 0,"
    "  rows_written INTEGER NOT NULL DEFAULT 0,"
    "  bytes INTEGER NOT NULL DEFAULT 0,"
    "  wal_bytes INTEGER NOT NULL DEFAULT 0,"
    "  last_used_at INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"

    "CREATE TABLE tokens("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  public_id TEXT NOT NULL UNIQUE,"
    "  tenant_id INTEGER NOT NULL," /* 0: an operator's */
    "  hash BLOB NOT NULL UNIQUE,"
    "  prefix TEXT NOT NULL,"
    "  last4 TEXT NOT NULL,"
    "  name TEXT NOT NULL,"
    "  role TEXT NOT NULL,"
    "  databases TEXT NOT NULL DEFAULT ''," /* lists: one item per line */
    "  branches TEXT NOT NULL DEFAULT '',"
    "  tables TEXT NOT NULL DEFAULT '',"
    "  claims TEXT NOT NULL DEFAULT '{}',"
    "  rate_per_second INTEGER NOT NULL DEFAULT 0,"
    "  rate_burst INTEGER NOT NULL DEFAULT 0,"
    "  created_at INTEGER NOT NULL,"
    "  created_by INTEGER NOT NULL,"
    "  expires_at INTEGER NOT NULL DEFAULT 0,"
    "  revoked_at INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE INDEX tokens_tenant ON tokens(tenant_id, id);"
    "CREATE INDEX tokens_counted ON tokens(tenant_id, expires_at) WHERE revoked_at = 0;"
    "CREATE INDEX tokens_revoked ON tokens(revoked_at) WHERE revoked_at > 0;"
    "CREATE INDEX tokens_expires ON tokens(expires_at) WHERE expires_at > 0;",

    "ALTER TABLE databases ADD COLUMN root_id INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE databases ADD COLUMN ref TEXT NOT NULL DEFAULT '' COLLATE NOCASE;"
    "ALTER TABLE databases ADD COLUMN alias TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE databases ADD COLUMN protected INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE databases ADD COLUMN pending TEXT NOT NULL DEFAULT '';"
    "CREATE UNIQUE INDEX databases_ref ON databases(root_id, ref)"
    "  WHERE deleted_at = 0 AND root_id > 0;"
    "CREATE INDEX databases_root ON databases(root_id, alias) WHERE root_id > 0;"
    "CREATE INDEX databases_pending ON databases(id) WHERE pending <> '';"
    "CREATE TABLE snapshots("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  public_id TEXT NOT NULL UNIQUE,"
    "  database_id INTEGER NOT NULL,"
    "  label TEXT NOT NULL,"
    "  reason TEXT NOT NULL," /* "manual", "promote", "restore" */
    "  created_at INTEGER NOT NULL,"
    "  created_by INTEGER NOT NULL,"
    "  pending INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE INDEX snapshots_database ON snapshots(database_id, id);"
    "CREATE INDEX snapshots_pending ON snapshots(id) WHERE pending > 0;"
    "CREATE TRIGGER databases_snapshots_removed AFTER DELETE ON databases BEGIN"
    "  DELETE FROM snapshots WHERE database_id = old.id;"
    "END;",
};

/* Each store function has checked for conflicts before it writes; a constraint that fails all the
 * same is somebody else's commit in between, or a bug that the message tells of. */
static int fail(const struct store *store, struct err *ret_err)
{
    struct err err = ERR_INIT;
    enum err_code code;

    (void)sql_err_set(&err, store->db, sqlite3_extended_errcode(store->db));
    code = err.code;
    if ((err.native & 0xff) == SQLITE_FULL)
        code = ERR_UNAVAILABLE; /* the disk's, not a tenant's quota */
    else if ((err.native & 0xff) == SQLITE_CONSTRAINT)
        code = ERR_CONFLICT;
    else if (code == ERR_SQL)
        code = ERR_BUG;
    (void)err_set(ret_err, code, "the catalogue: %.*s", ERR_MSG_MAX - 32, err.msg);
    if (ret_err != NULL)
        ret_err->native = err.native;
    return -1;
}

void store_end(struct sqlite3_stmt **statement)
{
    (void)sqlite3_finalize(*statement);
    *statement = NULL;
}

static int bind_all(const struct store *store, struct sqlite3_stmt *statement, struct err *ret_err,
    const char *types, va_list args)
{
    for (int i = 0; types[i] != '\0'; i++) {
        int rc = SQLITE_ERROR;

        if (types[i] == 'i') {
            rc = sqlite3_bind_int64(statement, i + 1, va_arg(args, int64_t));
        } else if (types[i] == 'h') {
            rc = sqlite3_bind_blob(
                statement, i + 1, va_arg(args, const unsigned char *), SHA256_BYTES, SQLITE_STATIC);
        } else {
            struct str text = va_arg(args, struct str);

            CHECK(types[i] == 's');
            rc = sqlite3_bind_text64(statement, i + 1, text.len == 0 ? "" : text.ptr, text.len,
                SQLITE_STATIC, SQLITE_UTF8);
        }
        if (rc != SQLITE_OK)
            return fail(store, ret_err);
    }
    return 0;
}

static int query(const struct store *store, struct sqlite3_stmt **ret_statement,
    struct err *ret_err, const char *sql, const char *types, va_list args)
{
    struct sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return fail(store, ret_err);
    if (bind_all(store, statement, ret_err, types, args) < 0) {
        store_end(&statement);
        return -1;
    }
    *ret_statement = statement;
    return 0;
}

int store_query(const struct store *store, struct sqlite3_stmt **ret_statement, struct err *ret_err,
    const char *sql, const char *types, ...)
{
    va_list args;
    int result;

    va_start(args, types);
    result = query(store, ret_statement, ret_err, sql, types, args);
    va_end(args);
    return result;
}

int store_bind(const struct store *store, struct sqlite3_stmt *statement, struct err *ret_err,
    const char *types, ...)
{
    va_list args;
    int result;

    (void)sqlite3_reset(statement);
    va_start(args, types);
    result = bind_all(store, statement, ret_err, types, args);
    va_end(args);
    return result;
}

int store_step(const struct store *store, struct sqlite3_stmt *statement, struct err *ret_err)
{
    int rc = sqlite3_step(statement);

    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : fail(store, ret_err);
}

int store_run(
    const struct store *store, struct err *ret_err, const char *sql, const char *types, ...)
{
    STORE_STATEMENT statement = NULL;
    va_list args;
    int result;

    va_start(args, types);
    result = query(store, &statement, ret_err, sql, types, args);
    va_end(args);
    while (result == 0) {
        int stepped = store_step(store, statement, ret_err);

        if (stepped <= 0)
            return stepped;
    }
    return result;
}

struct str store_text(const struct store *store, struct sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    if (text == NULL)
        return str_make(NULL, 0);
    return arena_str(store->arena, str_make(text, (size_t)sqlite3_column_bytes(statement, column)));
}

int store_finish(const struct store *store, struct err *ret_err)
{
    if (arena_overflowed(store->arena))
        return err_set(ret_err, ERR_TOO_LARGE, "the answer is larger than a request may be");
    return 0;
}

/* ---- schema ---- */

static int get_version(const struct store *store, int64_t *ret_version, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;

    if (store_query(store, &statement, ret_err, "PRAGMA user_version", "") < 0)
        return -1;
    if (store_step(store, statement, ret_err) < 0)
        return -1;
    *ret_version = sqlite3_column_int64(statement, 0);
    return 0;
}

static int run_script(const struct store *store, const char *sql, struct err *ret_err)
{
    while (*sql != '\0') {
        STORE_STATEMENT statement = NULL;
        const char *tail;

        if (sqlite3_prepare_v2(store->db, sql, -1, &statement, &tail) != SQLITE_OK)
            return fail(store, ret_err);
        if (statement != NULL && store_step(store, statement, ret_err) < 0)
            return -1;
        sql = tail;
    }
    return 0;
}

int store_migrate(const struct store *store, bool *ret_is_new, struct err *ret_err)
{
    int64_t version;
    char set_version[64];

    if (get_version(store, &version, ret_err) < 0)
        return -1;
    if (version > CATALOGUE_SCHEMA_VERSION)
        return err_set(ret_err, ERR_CORRUPT,
            "the catalogue is of version %" PRId64
            ", this server knows up to %d: run the newer one",
            version, CATALOGUE_SCHEMA_VERSION);
    *ret_is_new = version == 0;
    for (int64_t at = version; at < CATALOGUE_SCHEMA_VERSION; at++) {
        if (run_script(store, schema[at], ret_err) < 0)
            return -1;
    }
    if (version == CATALOGUE_SCHEMA_VERSION)
        return 0;
    (void)snprintf(
        set_version, sizeof(set_version), "PRAGMA user_version = %d", CATALOGUE_SCHEMA_VERSION);
    return store_run(store, ret_err, set_version, "");
}

/* ---- settings ---- */

int store_settings_load(const struct store *store, enum setting_scope scope, uint64_t owner_id,
    void *values, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    settings_defaults(scope, values);
    if (store_query(store, &statement, ret_err,
            "SELECT name, value FROM settings WHERE scope = ?1 AND owner_id = ?2", "ii",
            (int64_t)scope, (int64_t)owner_id) < 0)
        return -1;
    while ((row = store_step(store, statement, ret_err)) > 0) {
        const struct setting *setting =
            setting_find(scope, str_from((const char *)sqlite3_column_text(statement, 0)));
        uint64_t value;

        /* A name of a newer server, or a value out of a range that has shrunk: the default. */
        if (setting != NULL && setting->size > 0 &&
            setting_parse(setting, str_from((const char *)sqlite3_column_text(statement, 1)),
                &value, NULL) == 0)
            setting_put(setting, values, value);
    }
    return row;
}

static uint64_t server_default(const struct store *store, const struct setting *setting)
{
    if (str_is(str_from(setting->name), "max_bytes"))
        return store->options->max_database_bytes;
    if (str_is(str_from(setting->name), "memory_bytes"))
        return store->options->memory_per_database;
    return 0;
}

/* 1: the setting has that value already (as an answer that is sent back), 0: another. */
static int has_value(const struct store *store, enum setting_scope scope, uint64_t owner_id,
    const struct setting *setting, struct str value, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    char text[SETTING_TEXT_MAX];
    int row;

    if (store_query(store, &statement, ret_err,
            "SELECT value FROM settings WHERE scope = ?1 AND owner_id = ?2 AND name = ?3", "iis",
            (int64_t)scope, (int64_t)owner_id, str_from(setting->name)) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row < 0)
        return -1;
    if (row > 0)
        return str_is(value, (const char *)sqlite3_column_text(statement, 0));
    if (setting_is_text(setting))
        return value.len == 0;
    return str_is(value, setting_format(setting, setting->default_value, text));
}

int store_settings_change(const struct store *store, enum setting_scope scope, uint64_t owner_id,
    const struct setting_change *changes, size_t count, struct err *ret_err)
{
    char text[SETTING_TEXT_MAX];

    for (size_t i = 0; i < count; i++) {
        const struct setting *setting = changes[i].setting;
        uint64_t value = changes[i].reset ? setting->default_value : changes[i].value;
        struct str stored = changes[i].reset ? str_make(NULL, 0) : changes[i].text;

        int same;

        CHECK(setting->scope == scope);
        if ((setting_is_text(setting) ? setting_check_text(setting, stored, ret_err)
                                      : setting_check(setting, value, ret_err)) < 0)
            return -1;
        if (!setting_is_text(setting))
            stored = str_from(setting_format(setting, value, text));
        same = has_value(store, scope, owner_id, setting, stored, ret_err);
        if (same < 0)
            return -1;
        if (same > 0)
            continue;
        if (store->principal != NULL && setting_may_change(setting, store->principal->capabilities,
                                            value, server_default(store, setting), ret_err) < 0)
            return -1;
        if (setting_is_text(setting) ? stored.len == 0 : value == setting->default_value) {
            if (store_run(store, ret_err,
                    "DELETE FROM settings WHERE scope = ?1 AND owner_id = ?2 AND name = ?3", "iis",
                    (int64_t)scope, (int64_t)owner_id, str_from(setting->name)) < 0)
                return -1;
            continue;
        }
        if (store_run(store, ret_err,
                "INSERT INTO settings(scope, owner_id, name, value) VALUES(?1, ?2, ?3, ?4) "
                "ON CONFLICT DO UPDATE SET value = excluded.value",
                "iiss", (int64_t)scope, (int64_t)owner_id, str_from(setting->name), stored) < 0)
            return -1;
    }
    return 0;
}
