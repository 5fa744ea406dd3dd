/* SQL of a database: the tables with their rows, then what hangs on them (indexes, triggers,
 * views), so that nothing fires or is kept up to date while rows come in. */
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "tenants/export.h"
#include "tenants/guard.h"
#include "tenants/sql_error.h"
#include "tenants/sql_text.h"

#define PIECE_BYTES (64UL * 1024)

enum phase { PHASE_START, PHASE_TABLES, PHASE_ROWS, PHASE_SEQUENCE, PHASE_OBJECTS, PHASE_DONE };

/* ---- texts ---- */

static struct str column_str(sqlite3_stmt *stmt, int at)
{
    const char *text = (const char *)sqlite3_column_text(stmt, at);

    return str_make(text == NULL ? "" : text, (size_t)sqlite3_column_bytes(stmt, at));
}

static void put_quoted(struct buf *out, struct str text, char quote)
{
    buf_char(out, quote);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == quote)
            buf_char(out, quote);
        buf_char(out, text.ptr[i]);
    }
    buf_char(out, quote);
}

static void put_name(struct buf *out, struct str name)
{
    put_quoted(out, name, '"');
}

static void put_hex(struct buf *out, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";

    buf_literal(out, "X'");
    if (buf_reserve(out, 2 * len + 1) < 0)
        return;
    for (size_t i = 0; i < len; i++) {
        out->bytes[out->len++] = digits[bytes[i] >> 4];
        out->bytes[out->len++] = digits[bytes[i] & 15];
    }
    buf_char(out, '\'');
}

/* Text that a reader of SQL would cut short (NUL) or change: as bytes. */
static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < ' ' && c != '\n' && c != '\t')
            return false;
    }
    return true;
}

static void put_text(struct buf *out, struct str text)
{
    if (is_plain(text)) {
        put_quoted(out, text, '\'');
        return;
    }
    buf_literal(out, "CAST(");
    put_hex(out, (const unsigned char *)text.ptr, text.len);
    buf_literal(out, " AS TEXT)");
}

/* The shorter of two forms that come back as the same number. */
static void put_real(struct buf *out, double value)
{
    char text[64];

    if (isinf(value)) {
        buf_cstr(out, value > 0 ? "1e999" : "-1e999");
        return;
    }
    (void)sqlite3_snprintf(sizeof(text), text, "%!.15g", value);
    if (strtod(text, NULL) != value)
        (void)sqlite3_snprintf(sizeof(text), text, "%!.20e", value);
    buf_cstr(out, text);
}

static void put_value(struct buf *out, sqlite3_stmt *stmt, int at)
{
    switch (sqlite3_column_type(stmt, at)) {
    case SQLITE_INTEGER:
        buf_i64(out, sqlite3_column_int64(stmt, at));
        break;
    case SQLITE_FLOAT:
        put_real(out, sqlite3_column_double(stmt, at));
        break;
    case SQLITE_TEXT:
        put_text(out, column_str(stmt, at));
        break;
    case SQLITE_BLOB:
        put_hex(out, sqlite3_column_blob(stmt, at), (size_t)sqlite3_column_bytes(stmt, at));
        break;
    default:
        buf_literal(out, "NULL");
        break;
    }
}

/* A statement of the schema. One that was ALTERed may end in a comment. */
static void put_sql(struct buf *out, struct str sql)
{
    buf_str(out, sql);
    if (str_find(sql, '-') < sql.len)
        buf_char(out, '\n');
    buf_literal(out, ";\n");
}

/* ---- statements ---- */

static int prepare(
    struct sqlite3 *db, const char *sql, struct str bound, sqlite3_stmt **ret_stmt, struct err *err)
{
    int rc = sqlite3_prepare_v2(db, sql, -1, ret_stmt, NULL);

    if (rc == SQLITE_OK && bound.ptr != NULL)
        rc = sqlite3_bind_text64(*ret_stmt, 1, bound.ptr, bound.len, SQLITE_TRANSIENT, SQLITE_UTF8);
    return rc == SQLITE_OK ? 0 : sql_err_set(err, db, rc);
}

/* 1 a row, 0 none, -1. */
static int step(struct sqlite3 *db, sqlite3_stmt *stmt, struct err *err)
{
    int rc = sqlite3_step(stmt);

    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return sql_err_set(err, db, rc);
    return rc == SQLITE_ROW;
}

/* Numbers of the header that no statement of the schema tells. */
static int put_pragma(struct sqlite3 *db, const char *name, struct buf *out, struct err *ret_err)
{
    sqlite3_stmt *stmt = NULL;
    char sql[48];
    int64_t value = 0;
    int row;

    (void)sqlite3_snprintf(sizeof(sql), sql, "PRAGMA %s", name);
    row = prepare(db, sql, str_make(NULL, 0), &stmt, ret_err);
    if (row == 0)
        row = step(db, stmt, ret_err);
    if (row > 0)
        value = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    if (row < 0)
        return -1;
    if (value != 0)
        buf_printf(out, "%s=%lld;\n", sql, (long long)value);
    return 0;
}

/* ---- tables ---- */

struct table {
    struct str name;
    struct str sql;
    bool is_virtual;
    bool without_rowid;
};

/* content='' */
static bool keeps_no_content(struct str sql)
{
    struct sql_token token = sql_next(&sql);

    while (token.kind != SQL_TOKEN_END) {
        bool is_option = sql_token_is(token, "content");

        token = sql_next(&sql);
        if (!is_option || !str_is(token.raw, "="))
            continue;
        token = sql_next(&sql);
        if (str_is(token.raw, "''") || str_is(token.raw, "\"\""))
            return true;
    }
    return false;
}

/* Has an object <name>_content. */
static int keeps_own_content(struct sqlite3 *db, struct str name, bool *ret_yes, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int row =
        prepare(db, "SELECT 1 FROM sqlite_schema WHERE name = ?1 || '_content'", name, &stmt, err);

    if (row == 0)
        row = step(db, stmt, err);
    (void)sqlite3_finalize(stmt);
    *ret_yes = row > 0;
    return row < 0 ? -1 : 0;
}

static bool uses(struct str sql, const char *module)
{
    struct sql_token token;

    while ((token = sql_next(&sql)).kind != SQL_TOKEN_END) {
        if (sql_token_is(token, "USING"))
            return sql_token_names(sql_next(&sql), str_from(module));
    }
    return false;
}

/* Which rows a virtual table has to tell: 1 its own, 0 none, -1. */
static int tells_rows(
    struct export_sql *export, struct sqlite3 *db, const struct table *table, struct err *ret_err)
{
    bool own = true;

    if (uses(table->sql, "fts5vocab"))
        return 0;
    if (!uses(table->sql, "fts5"))
        return 1;
    if (keeps_own_content(db, table->name, &own, ret_err) < 0)
        return -1;
    if (own)
        return 1;
    buf_literal(&export->late, "INSERT INTO ");
    put_name(&export->late, table->name);
    buf_char(&export->late, '(');
    put_name(&export->late, table->name);
    buf_literal(&export->late, ") VALUES('rebuild');\n");
    return 0;
}

/* Lists the table's columns that take values into `insert` and a SELECT. */
static int list_columns(struct export_sql *export, struct sqlite3 *db, const struct table *table,
    struct buf *select, struct err *ret_err)
{
    bool has_rowid = !table->without_rowid;
    bool first = true;
    sqlite3_stmt *stmt = NULL;
    struct buf names = {0};
    int row = prepare(db, "SELECT name, type, pk, hidden FROM pragma_table_xinfo(?1)", table->name,
        &stmt, ret_err);

    if (row == 0)
        row = step(db, stmt, ret_err);
    for (; row > 0; row = step(db, stmt, ret_err)) {
        struct str name = column_str(stmt, 0);

        if (str_is_nocase(name, "rowid") ||
            (sqlite3_column_int(stmt, 2) > 0 && str_is_nocase(column_str(stmt, 1), "integer")))
            has_rowid = false;
        if (sqlite3_column_int(stmt, 3) != 0)
            continue;
        if (!first)
            buf_char(&names, ',');
        put_name(&names, name);
        first = false;
    }
    (void)sqlite3_finalize(stmt);
    if (table->is_virtual)
        has_rowid = uses(table->sql, "fts5");
    if (row == 0) {
        buf_literal(select, "SELECT ");
        buf_literal(&export->insert, "INSERT INTO ");
        put_name(&export->insert, table->name);
        buf_char(&export->insert, '(');
        if (has_rowid) {
            buf_cstr(select, first ? "rowid" : "rowid,");
            buf_cstr(&export->insert, first ? "rowid" : "rowid,");
        }
        buf_str(select, buf_view(&names));
        buf_str(&export->insert, buf_view(&names));
        buf_literal(&export->insert, ") VALUES(");
        buf_literal(select, " FROM ");
        put_name(select, table->name);
        buf_char(select, '\0');
    }
    buf_fini(&names);
    return row;
}

static int open_rows(
    struct export_sql *export, struct sqlite3 *db, const struct table *table, struct err *ret_err)
{
    struct buf select = {0};
    int rc;

    buf_reset(&export->insert, PIECE_BYTES);
    rc = list_columns(export, db, table, &select, ret_err);
    if (rc == 0 && (select.failed || export->insert.failed))
        rc = err_set(ret_err, ERR_NOMEM, "no memory for a table's columns");
    if (rc == 0)
        rc = prepare(db, select.bytes, str_make(NULL, 0), &export->rows, ret_err);
    buf_fini(&select);
    return rc;
}

/* The next table, up to its first row. 0: there are no more. */
static int next_table(
    struct export_sql *export, struct sqlite3 *db, struct buf *out, struct err *ret_err)
{
    struct table table;
    int row = step(db, export->tables, ret_err);

    if (row <= 0) {
        export->phase = PHASE_SEQUENCE;
        return row;
    }
    table = (struct table){.name = column_str(export->tables, 0),
        .sql = column_str(export->tables, 1),
        .is_virtual = sqlite3_column_int(export->tables, 2) != 0,
        .without_rowid = sqlite3_column_int(export->tables, 3) != 0};
    if (guard_is_reserved(table.name))
        return 1;
    put_sql(out, table.sql);
    if (table.is_virtual) {
        row = tells_rows(export, db, &table, ret_err);
        if (row <= 0)
            return row < 0 ? -1 : 1;
    }
    if (open_rows(export, db, &table, ret_err) < 0)
        return -1;
    export->phase = PHASE_ROWS;
    return 1;
}

static int put_rows(struct export_sql *export, struct sqlite3 *db, struct buf *out, struct err *err)
{
    size_t before = out->len;
    int row = 1;

    while (!out->failed && out->len - before < PIECE_BYTES) {
        row = step(db, export->rows, err);
        if (row <= 0)
            break;
        buf_str(out, buf_view(&export->insert));
        for (int i = 0; i < sqlite3_column_count(export->rows); i++) {
            if (i > 0)
                buf_char(out, ',');
            put_value(out, export->rows, i);
        }
        buf_literal(out, ");\n");
    }
    if (row != 0)
        return row;
    (void)sqlite3_finalize(export->rows);
    export->rows = NULL;
    export->phase = PHASE_TABLES;
    return 1;
}

/* ---- the rest ---- */

/* What cannot be told is found before the first byte leaves. */
static int check_contents(struct sqlite3 *db, struct err *ret_err)
{
    sqlite3_stmt *stmt = NULL;
    int row =
        prepare(db, "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND rootpage = 0",
            str_make(NULL, 0), &stmt, ret_err);

    if (row == 0)
        row = step(db, stmt, ret_err);
    for (; row > 0; row = step(db, stmt, ret_err)) {
        if (uses(column_str(stmt, 1), "fts5") && keeps_no_content(column_str(stmt, 1))) {
            row = err_set(ret_err, ERR_NOT_IMPLEMENTED,
                "the full-text table \"%.100s\" keeps no content, which SQL cannot tell; export "
                "with format=sqlite",
                (const char *)sqlite3_column_text(stmt, 0));
            break;
        }
    }
    (void)sqlite3_finalize(stmt);
    return row;
}

static int start(struct export_sql *export, struct sqlite3 *db, struct buf *out, struct err *err)
{
    if (check_contents(db, err) < 0 ||
        prepare(db,
            "SELECT s.name, s.sql, l.type = 'virtual', l.wr FROM sqlite_schema s,"
            " pragma_table_list(s.name) l WHERE s.type = 'table' AND s.sql IS NOT NULL"
            " AND l.schema = 'main' AND l.type IN ('table', 'virtual')"
            " AND substr(s.name, 1, 7) <> 'sqlite_' ORDER BY s.rowid",
            str_make(NULL, 0), &export->tables, err) < 0)
        return -1;
    buf_literal(out, "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n");
    if (put_pragma(db, "user_version", out, err) < 0 ||
        put_pragma(db, "application_id", out, err) < 0)
        return -1;
    export->phase = PHASE_TABLES;
    return 1;
}

/* Where AUTOINCREMENT goes on. */
static int put_sequence(
    struct export_sql *export, struct sqlite3 *db, struct buf *out, struct err *ret_err)
{
    sqlite3_stmt *stmt = NULL;
    int row =
        prepare(db, "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence' AND type = 'table'",
            str_make(NULL, 0), &stmt, ret_err);

    if (row == 0)
        row = step(db, stmt, ret_err);
    (void)sqlite3_finalize(stmt);
    stmt = NULL;
    if (row > 0) {
        row =
            prepare(db, "SELECT name, seq FROM sqlite_sequence", str_make(NULL, 0), &stmt, ret_err);
        if (row == 0) {
            buf_literal(out, "DELETE FROM sqlite_sequence;\n");
            row = step(db, stmt, ret_err);
        }
        for (; row > 0; row = step(db, stmt, ret_err)) {
            if (guard_is_reserved(column_str(stmt, 0)))
                continue;
            buf_literal(out, "INSERT INTO sqlite_sequence VALUES(");
            put_value(out, stmt, 0);
            buf_char(out, ',');
            put_value(out, stmt, 1);
            buf_literal(out, ");\n");
        }
        (void)sqlite3_finalize(stmt);
    }
    if (row < 0)
        return -1;
    buf_str(out, buf_view(&export->late));
    export->phase = PHASE_OBJECTS;
    return 1;
}

static int put_objects(
    struct export_sql *export, struct sqlite3 *db, struct buf *out, struct err *ret_err)
{
    int row;

    if (export->objects == NULL &&
        prepare(db,
            "SELECT sql, tbl_name, name FROM sqlite_schema WHERE sql IS NOT NULL"
            " AND type IN ('index', 'trigger', 'view')"
            " ORDER BY type = 'view', type = 'trigger', rowid",
            str_make(NULL, 0), &export->objects, ret_err) < 0)
        return -1;
    while ((row = step(db, export->objects, ret_err)) > 0 && !out->failed) {
        if (!guard_is_reserved(column_str(export->objects, 1)) &&
            !guard_is_reserved(column_str(export->objects, 2)))
            put_sql(out, column_str(export->objects, 0));
    }
    if (row < 0)
        return -1;
    buf_literal(out, "COMMIT;\n");
    export->phase = PHASE_DONE;
    return 0;
}

static int produce(
    struct producer *producer, struct sqlite3 *db, struct buf *out, struct err *ret_err)
{
    struct export_sql *export = CONTAINER_OF(producer, struct export_sql, producer);

    switch (export->phase) {
    case PHASE_START:
        return start(export, db, out, ret_err);
    case PHASE_TABLES:
        return next_table(export, db, out, ret_err) < 0 ? -1 : 1;
    case PHASE_ROWS:
        return put_rows(export, db, out, ret_err);
    case PHASE_SEQUENCE:
        return put_sequence(export, db, out, ret_err);
    case PHASE_OBJECTS:
        return put_objects(export, db, out, ret_err);
    default:
        return 0;
    }
}

static void end(struct producer *producer)
{
    struct export_sql *export = CONTAINER_OF(producer, struct export_sql, producer);

    (void)sqlite3_finalize(export->tables);
    (void)sqlite3_finalize(export->rows);
    (void)sqlite3_finalize(export->objects);
    buf_fini(&export->insert);
    buf_fini(&export->late);
    export_sql_init(export);
}

void export_sql_init(struct export_sql *export)
{
    *export = (struct export_sql){.producer = {.produce = produce, .end = end}};
}
