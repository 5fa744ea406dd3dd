/* Is an uploaded file a database that may be kept? What the guard keeps tenants from making must
 * not come in as bytes either. The guard stands at run time all the same: this is so that it is
 * said now, and by name. */
#include <sqlite3.h>
#include <stdio.h>

#include "tenants/connection.h"
#include "tenants/descriptions.h"
#include "tenants/guard.h"
#include "tenants/import_internal.h"
#include "tenants/sql_text.h"
#include "tenants/vfs_io.h"

#define HEADER_BYTES 100

/* ---- the header ---- */

static uint32_t get_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int check_fields(
    const unsigned char *header, uint64_t size, uint32_t *ret_page, struct err *ret_err)
{
    uint32_t page = (uint32_t)header[16] << 8 | header[17];
    uint32_t pages = get_u32(header + 28);
    bool pages_hold = get_u32(header + 24) == get_u32(header + 92) && pages > 0;

    if (page == 1)
        page = 65536;
    if (page < 512 || (page & (page - 1)) != 0 || header[18] < 1 || header[18] > 2 ||
        header[19] < 1 || header[19] > 2 || page - header[20] < 480 || header[21] != 64 ||
        header[22] != 32 || header[23] != 32 || get_u32(header + 44) > 4 ||
        get_u32(header + 56) > 3)
        return err_set(ret_err, ERR_BAD_REQUEST,
            "the file's header is not one of a SQLite database that this version can read");
    if (size % page != 0 || (pages_hold && size / page < pages))
        return err_set(ret_err, ERR_BAD_REQUEST,
            "the file is cut off: it has %llu bytes, its header tells of %u pages of %u",
            (unsigned long long)size, pages, page);
    *ret_page = page;
    return 0;
}

int import_check_header(struct import *import, struct err *ret_err)
{
    unsigned char header[HEADER_BYTES] = {0};
    const char *path = import->stage.paths.main_path;
    int fd = io_open(path, O_RDONLY | O_CLOEXEC, 0);
    struct stat status = {.st_size = 0};
    ssize_t len = -1;

    if (fd >= 0 && fstat(fd, &status) == 0)
        len = io_read_all(fd, header, sizeof(header), 0);
    if (fd >= 0)
        (void)io_close(fd);
    if (len < 0)
        return err_set(ret_err, ERR_IO, "cannot read '%s'", path);
    if (len < HEADER_BYTES || memcmp(header, "SQLite format 3", 16) != 0)
        return err_set(ret_err, ERR_BAD_REQUEST,
            "the body is not a SQLite database; SQL text is sent as application/sql");
    return check_fields(header, (uint64_t)status.st_size, &import->result.page_size, ret_err);
}

/* ---- the schema ---- */

struct object {
    struct str type;
    struct str name;
    struct str table;
    struct str sql; /* ptr NULL: an index that a constraint made */
};

static int refuse(const struct object *object, const char *why, struct err *ret_err)
{
    return err_set(ret_err, ERR_BAD_REQUEST, "the %.*s \"%.*s\" cannot be imported: %s",
        (int)MIN(object->type.len, (size_t)20), object->type.ptr,
        (int)MIN(object->name.len, (size_t)80), object->name.ptr, why);
}

/* Tables of ours that an export holds, as we make them. */
static bool is_own(const struct object *object)
{
    return str_is(object->name, "_rookery_descriptions") && str_is(object->type, "table") &&
           str_is(object->sql, DESCRIPTIONS_SCHEMA);
}

/* CREATE <type>, CREATE UNIQUE INDEX, CREATE VIRTUAL TABLE. */
static bool says_its_type(const struct object *object)
{
    struct str rest = object->sql;

    if (!sql_token_is(sql_next(&rest), "CREATE"))
        return false;
    for (int i = 0; i < 2; i++) {
        if (str_equal_nocase(sql_next(&rest).raw, object->type))
            return true;
    }
    return false;
}

static bool is_known_module(struct str sql)
{
    struct sql_token token;

    while ((token = sql_next(&sql)).kind != SQL_TOKEN_END) {
        if (!sql_token_is(token, "USING"))
            continue;
        token = sql_next(&sql);
        for (size_t i = 0; guard_table_modules[i] != NULL; i++) {
            if (sql_token_names(token, str_from(guard_table_modules[i])))
                return true;
        }
        return false;
    }
    return true;
}

static int check_object(const struct object *object, struct err *ret_err)
{
    struct err why = ERR_INIT;
    struct str rest = object->sql;
    struct sql_verb verb;

    if (!str_is(object->type, "table") && !str_is(object->type, "index") &&
        !str_is(object->type, "view") && !str_is(object->type, "trigger"))
        return refuse(object, "SQLite has no such kind of object", ret_err);
    if (guard_is_reserved(object->name) || guard_is_reserved(object->table)) {
        if (is_own(object) || (object->sql.ptr == NULL && str_is(object->type, "index") &&
                                  str_is(object->table, "_rookery_descriptions")))
            return 0;
        return refuse(
            object, "names that begin with _rookery_ or _persql_ belong to the server", ret_err);
    }
    if (object->sql.ptr == NULL)
        return str_is(object->type, "index") ? 0 : refuse(object, "it has no SQL", ret_err);
    if (!says_its_type(object))
        return refuse(object, "its SQL makes something else", ret_err);
    (void)sql_cut(&rest);
    if (rest.ptr != NULL && !sql_is_blank(rest))
        return refuse(object, "its SQL has more than one statement", ret_err);
    verb = sql_verb(object->sql);
    if (guard_check_text(object->sql, &verb, &why) < 0)
        return refuse(object, why.msg, ret_err);
    if (sql_has_word(object->sql, "VIRTUAL") && str_is(object->type, "table") &&
        !is_known_module(object->sql))
        return refuse(object, "virtual tables can use fts5, fts5vocab and rtree", ret_err);
    return 0;
}

static struct str column(struct sqlite3_stmt *stmt, int at)
{
    const char *text = sqlite3_column_type(stmt, at) == SQLITE_TEXT
                           ? (const char *)sqlite3_column_text(stmt, at)
                           : NULL;

    return str_make(text, text == NULL ? 0 : (size_t)sqlite3_column_bytes(stmt, at));
}

/* Compiles as a tenant would: -1 when the guard refuses what it does. What SQLite refuses (a view
 * over a table that is gone) may stay as it is. */
static int try_statement(struct import *import, const struct object *object, const char *sql,
    struct err *ret_err) ON(actor_owner)
{
    struct statement *statement = NULL;
    struct str tail;
    struct err why = ERR_INIT;

    if (connection_prepare(import->connection, str_from(sql), false, &statement, &tail, &why) ==
        0) {
        if (statement != NULL)
            connection_release(import->connection, statement);
        return 0;
    }
    /* SQLite's own words for what an untrusted schema may not use. */
    if (why.code == ERR_GUARD || str_starts_with(str_from(why.msg), "unsafe use of"))
        return refuse(object, why.msg, ret_err);
    return 0;
}

static char *update_of(struct sqlite3 *db, const struct object *object)
{
    char *sql = sqlite3_mprintf("UPDATE \"%.*w\" SET ", STR_ARGS(object->table));
    struct sqlite3_stmt *stmt = NULL;
    const char *comma = "";

    if (sqlite3_prepare_v2(db, "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden IN (0, 1)", -1,
            &stmt, NULL) == SQLITE_OK) {
        (void)sqlite3_bind_text64(
            stmt, 1, object->table.ptr, object->table.len, SQLITE_STATIC, SQLITE_UTF8);
        while (sql != NULL && sqlite3_step(stmt) == SQLITE_ROW) {
            const char *name = (const char *)sqlite3_column_text(stmt, 0);
            char *longer = sqlite3_mprintf("%z%s\"%w\"=\"%w\"", sql, comma, name, name);

            sql = longer;
            comma = ",";
        }
    }
    (void)sqlite3_finalize(stmt);
    return sql;
}

/* What a view or a trigger does when it is used. */
static int try_object(struct import *import, struct sqlite3 *db, const struct object *object,
    struct err *ret_err) ON(actor_owner)
{
    static const struct connection_context tenant = {.stateless = false};
    static const struct connection_context engine = {.engine = true};
    char *sql[3] = {NULL, NULL, NULL};
    int rc = 0;

    if (str_is(object->type, "view")) {
        sql[0] = sqlite3_mprintf("SELECT * FROM \"%.*w\"", STR_ARGS(object->name));
    } else if (str_is(object->type, "trigger")) {
        sql[0] = sqlite3_mprintf("INSERT INTO \"%.*w\" DEFAULT VALUES", STR_ARGS(object->table));
        sql[1] = sqlite3_mprintf("DELETE FROM \"%.*w\"", STR_ARGS(object->table));
        sql[2] = update_of(db, object);
    }
    connection_set_context(import->connection, &tenant);
    for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
        if (rc == 0 && sql[i] != NULL)
            rc = try_statement(import, object, sql[i], ret_err);
        sqlite3_free(sql[i]);
    }
    connection_set_context(import->connection, &engine);
    return rc;
}

static int check_schema(struct import *import, struct err *ret_err) ON(actor_owner)
{
    struct sqlite3 *db = connection_db(import->connection);
    struct sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(
        db, "SELECT type, name, tbl_name, sql FROM sqlite_schema", -1, &stmt, NULL);

    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        struct object object;

        rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW)
            break;
        object = (struct object){.type = column(stmt, 0),
            .name = column(stmt, 1),
            .table = column(stmt, 2),
            .sql = column(stmt, 3)};
        import->result.tables += str_is(object.type, "table");
        if (check_object(&object, ret_err) < 0 || try_object(import, db, &object, ret_err) < 0) {
            (void)sqlite3_finalize(stmt);
            return -1;
        }
    }
    if (rc != SQLITE_DONE)
        (void)import_failed(import, rc, ret_err);
    (void)sqlite3_finalize(stmt);
    return rc == SQLITE_DONE ? 0 : -1;
}

/* ---- pages and keys ---- */

static int check_pages(struct import *import, struct err *ret_err) ON(actor_owner)
{
    struct sqlite3 *db = connection_db(import->connection);
    struct sqlite3_stmt *stmt = NULL;
    bool is_ok = false;
    int rc = sqlite3_prepare_v2(db,
        import->options.quick ? "PRAGMA quick_check(1)" : "PRAGMA integrity_check(1)", -1, &stmt,
        NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const char *said = (const char *)sqlite3_column_text(stmt, 0);

        is_ok = said != NULL && strcmp(said, "ok") == 0;
        if (!is_ok)
            (void)err_set(ret_err, ERR_BAD_REQUEST, "the database is damaged: %.200s",
                said == NULL ? "" : said);
    } else {
        (void)import_failed(import, rc, ret_err);
    }
    (void)sqlite3_finalize(stmt);
    return is_ok ? 0 : -1;
}

static int check_foreign_keys(struct import *import, struct err *ret_err) ON(actor_owner)
{
    struct sqlite3 *db = connection_db(import->connection);
    struct sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA foreign_key_check", -1, &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        (void)err_set(ret_err, ERR_BAD_REQUEST,
            "a row of \"%.80s\" (rowid %lld) has a foreign key to \"%.80s\" that leads nowhere",
            (const char *)sqlite3_column_text(stmt, 0), sqlite3_column_int64(stmt, 1),
            (const char *)sqlite3_column_text(stmt, 2));
    else if (rc != SQLITE_DONE)
        (void)import_failed(import, rc, ret_err);
    (void)sqlite3_finalize(stmt);
    return rc == SQLITE_DONE ? 0 : -1;
}

int import_check_content(struct import *import, struct err *ret_err)
{
    static const struct connection_context engine = {.engine = true};
    static const struct connection_context tenant = {.stateless = false};

    connection_set_context(import->connection, &engine);
    if (check_schema(import, ret_err) < 0)
        return -1;
    /* The checks run what the schema has: expressions of indexes, virtual tables' own SQL. */
    connection_set_context(import->connection, &tenant);
    if (check_pages(import, ret_err) < 0)
        return -1;
    return import->options.foreign_keys ? check_foreign_keys(import, ret_err) : 0;
}
