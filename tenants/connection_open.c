/* How a connection opens: options, limits, modules, functions, WAL mode. */
#include <sqlite3.h>
#include <stdio.h>

#include "tenants/base/mem.h"
#include "tenants/connection_state.h"
#include "tenants/functions.h"
#include "tenants/sql_error.h"
#include "tenants/vfs.h"

#define CACHED_STATEMENTS 64
#define CACHED_BYTES (512 * 1024)
#define CACHE_KIB 2000 /* SQLite's own default */
#define PAGE_BYTES 4096

int connection_run(struct connection *connection, const char *sql, struct err *ret_err)
{
    int rc = sqlite3_exec(connection->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : sql_err_set(ret_err, connection->db, rc);
}

static void set_flags(struct connection *connection, const struct connection_options *options)
{
    static const struct {
        int option;
        int value;
    } flags[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
        {SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
#ifdef SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE
        {SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, 0},
        {SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, 0},
#endif
    };

    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        (void)sqlite3_db_config(connection->db, flags[i].option, flags[i].value, NULL);
    (void)sqlite3_db_config(
        connection->db, SQLITE_DBCONFIG_ENABLE_FKEY, options->foreign_keys ? 1 : 0, NULL);
}

static int as_limit(uint64_t value, int otherwise)
{
    return value == 0 ? otherwise : (int)MIN(value, (uint64_t)INT32_MAX);
}

static void set_limits(struct sqlite3 *db, const struct connection_options *options)
{
    const struct {
        int limit;
        int value;
    } limits[] = {
        {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_LENGTH, as_limit(options->max_value_bytes, 32 << 20)},
        {SQLITE_LIMIT_SQL_LENGTH, as_limit(options->max_sql_bytes, 100000)},
        {SQLITE_LIMIT_VARIABLE_NUMBER, as_limit(options->max_parameters, 32766)},
        {SQLITE_LIMIT_COLUMN, 2000},
        {SQLITE_LIMIT_EXPR_DEPTH, 500},
        {SQLITE_LIMIT_COMPOUND_SELECT, 500},
        {SQLITE_LIMIT_FUNCTION_ARG, 127},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256}, /* LIKE does not look at interrupts */
        {SQLITE_LIMIT_TRIGGER_DEPTH, 100},
        {SQLITE_LIMIT_VDBE_OP, 1000000},
        {SQLITE_LIMIT_WORKER_THREADS, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        (void)sqlite3_limit(db, limits[i].limit, limits[i].value);
}

/* Reads the database's header past the pager: is it in WAL mode, and its page size. */
static int read_header(
    struct sqlite3 *db, bool *ret_is_wal, unsigned *ret_page_bytes, struct err *ret_err)
{
    unsigned char header[100] = {0};
    struct sqlite3_file *file = NULL;
    int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);

    if (rc != SQLITE_OK || file == NULL || file->pMethods == NULL)
        return err_set(ret_err, ERR_IO, "the database file is not open");
    rc = file->pMethods->xRead(file, header, sizeof(header), 0);
    if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
        return err_set(ret_err, ERR_IO, "cannot read the database's header");
    *ret_is_wal = header[18] == 2 && header[19] == 2;
    *ret_page_bytes = (unsigned)header[16] << 8 | header[17];
    if (*ret_page_bytes == 1)
        *ret_page_bytes = 65536;
    if (*ret_page_bytes == 0)
        *ret_page_bytes = PAGE_BYTES;
    return 0;
}

/* Through MEMORY, since our VFS refuses rollback journals; done once, for a file nobody knows yet.
 */
static int make_wal(struct connection *connection, struct err *ret_err)
{
    struct sqlite3_stmt *statement = NULL;
    const char *mode = NULL;
    bool is_wal = false;
    int rc;

    if (connection_run(connection, "PRAGMA journal_mode=MEMORY", ret_err) < 0)
        return -1;
    rc = sqlite3_prepare_v2(connection->db, "PRAGMA journal_mode=WAL", -1, &statement, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW)
        mode = (const char *)sqlite3_column_text(statement, 0);
    is_wal = mode != NULL && strcmp(mode, "wal") == 0;
    if (!is_wal && rc == SQLITE_ROW)
        (void)err_set(ret_err, ERR_IO, "the database cannot be put into WAL mode");
    else if (!is_wal)
        (void)sql_err_set(ret_err, connection->db, rc);
    (void)sqlite3_finalize(statement);
    return is_wal ? 0 : -1;
}

/* An allow-list for modules: what is linked in but not on it is gone. */
static void drop_modules(struct sqlite3 *db)
{
    const char *keep[16] = {NULL};

    for (size_t i = 0; guard_modules[i] != NULL && i + 1 < ARRAY_LEN(keep); i++)
        keep[i] = guard_modules[i];
    (void)sqlite3_drop_modules(db, keep);
}

static int limit_pages(struct connection *connection, uint64_t max_bytes, struct err *ret_err)
{
    char sql[64];

    (void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%llu",
        (unsigned long long)MAX(max_bytes / connection->page_bytes, 1));
    return connection_run(connection, sql, ret_err);
}

int connection_change(
    struct connection *connection, bool foreign_keys, uint64_t max_bytes, struct err *ret_err)
{
    bool before;
    int result;

    connection->foreign_keys = foreign_keys;
    (void)sqlite3_db_config(
        connection->db, SQLITE_DBCONFIG_ENABLE_FKEY, foreign_keys ? 1 : 0, NULL);
    if (max_bytes == 0)
        return 0;
    before = connection_enter_engine(connection); /* the guard keeps tenants from it */
    result = limit_pages(connection, max_bytes, ret_err);
    connection->context.engine = before;
    return result;
}

int64_t connection_changes(const struct connection *connection)
{
    bool is_own = connection->has_changed ||
                  sqlite3_total_changes64(connection->db) != connection->changes_before;

    return is_own ? sqlite3_changes64(connection->db) : connection->changes_first;
}

int64_t connection_total_changes(const struct connection *connection)
{
    return sqlite3_total_changes64(connection->db) - connection->changes_before +
           connection->changes_offset;
}

/* total_changes() of the session. */
static void on_total_changes(sqlite3_context *context, int count, sqlite3_value **values)
{
    sqlite3_result_int64(context, connection_total_changes(sqlite3_user_data(context)));
}

/* changes(): SQLite's own is that of the last statement, whoever's it was. */
static void on_changes(sqlite3_context *context, int count, sqlite3_value **values)
{
    sqlite3_result_int64(context, connection_changes(sqlite3_user_data(context)));
}

static int count_changes(struct connection *connection, struct err *ret_err)
{
    const int flags = SQLITE_UTF8 | SQLITE_INNOCUOUS;
    int rc = sqlite3_create_function_v2(
        connection->db, "changes", 0, flags, connection, on_changes, NULL, NULL, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_create_function_v2(connection->db, "total_changes", 0, flags, connection,
            on_total_changes, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : sql_err_set(ret_err, connection->db, rc);
}

static int set_up(
    struct connection *connection, const struct connection_options *options, struct err *ret_err)
{
    struct sqlite3 *db = connection->db;
    char sql[64];
    unsigned page_bytes = PAGE_BYTES;
    bool is_wal = false;

    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_LOOKASIDE, NULL, LOOKASIDE_BYTES, LOOKASIDE_SLOTS);
    (void)sqlite3_extended_result_codes(db, 1);
    (void)sqlite3_busy_timeout(db, 0);
    (void)sqlite3_wal_autocheckpoint(db, 0);
    set_flags(connection, options);
    set_limits(db, options);
    if (!options->engine)
        drop_modules(db);
    if (!options->engine &&
        (functions_register(db, ret_err) < 0 || count_changes(connection, ret_err) < 0))
        return -1;
    if (read_header(db, &is_wal, &page_bytes, ret_err) < 0)
        return -1;
    if (!is_wal && make_wal(connection, ret_err) < 0)
        return -1;
    if (connection_run(connection, "PRAGMA cell_size_check=ON", ret_err) < 0)
        return -1;
#ifndef ROOKERY_SQLITE_PINNED /* there it is the default */
    if (connection_run(connection, "PRAGMA synchronous=FULL", ret_err) < 0)
        return -1;
#endif
    if (options->cache_kib > 0 && options->cache_kib != CACHE_KIB) {
        (void)snprintf(sql, sizeof(sql), "PRAGMA cache_size=-%d", options->cache_kib);
        if (connection_run(connection, sql, ret_err) < 0)
            return -1;
    }
    connection->page_bytes = page_bytes;
    if (options->max_bytes > 0 && !options->read_only &&
        limit_pages(connection, options->max_bytes, ret_err) < 0)
        return -1;
    if (options->read_only && connection_run(connection, "PRAGMA query_only=ON", ret_err) < 0)
        return -1;
    if (!options->engine)
        (void)sqlite3_set_authorizer(db, connection_authorize, connection);
    return 0;
}

int connection_open(const struct connection_options *options, struct connection **ret_connection,
    struct err *ret_err)
{
    struct connection *connection = mem_zalloc(sizeof(*connection));
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc;

    statement_cache_init(&connection->cache,
        options->cached_statements == 0 ? CACHED_STATEMENTS : options->cached_statements,
        CACHED_BYTES);
    list_init(&connection->running);
    connection->foreign_keys = options->foreign_keys;
    connection->engine = options->engine;
    connection->context.stateless = true;
    connection->refusal = ERR_INIT;
    rc = sqlite3_open_v2(
        options->name, &connection->db, flags, options->vfs == NULL ? VFS_NAME : options->vfs);
    if (rc != SQLITE_OK) {
        if (connection->db == NULL)
            (void)err_set(ret_err, ERR_NOMEM, "no memory to open the database");
        else
            (void)sql_err_set(ret_err, connection->db, rc);
        goto fail;
    }
    if (set_up(connection, options, ret_err) < 0)
        goto fail;
    *ret_connection = connection;
    return 0;
fail:
    connection_close(connection);
    return -1;
}
