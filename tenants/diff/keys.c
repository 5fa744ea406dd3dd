/* Keys that may have changed, once each, in the temporary database. */
#include <sqlite3.h>

#include "tenants/base/mem.h"
#include "tenants/diff/internal.h"
#include "tenants/diff/values.h"
#include "tenants/sql_error.h"
#include "tenants/vfs.h"

#define KEY_BYTES_MAX (256U << 20)
#define KEY_FIELDS_MAX 2000 /* SQLite's own limit of columns, as built */

int scratch_open(struct sqlite3 **ret_db, struct err *ret_err)
{
    if (vfs_register(ret_err) < 0)
        return -1;
    if (sqlite3_open_v2("", ret_db,
            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
            VFS_NAME) != SQLITE_OK ||
        sqlite3_exec(*ret_db,
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -4096; BEGIN",
            NULL, NULL, NULL) != SQLITE_OK)
        return sql_err_set(ret_err, *ret_db, sqlite3_errcode(*ret_db));
    (void)sqlite3_limit(*ret_db, SQLITE_LIMIT_ATTACHED, 0);
    return 0;
}

/* ------------------------------------------------------------------ tables of keys */

static void put_key_columns(struct buf *sql, const struct table_state *table, const char *before)
{
    for (uint32_t i = 0; i < table->public.key_count; i++)
        buf_printf(sql, "%s%sk%u", i == 0 ? "" : ", ", before, i);
}

static int make_by_columns(struct diff *diff, const struct table_state *table, struct err *ret_err)
{
    struct buf sql;
    int rc;

    buf_init(&sql, KEY_BYTES_MAX);
    buf_printf(&sql, "CREATE TABLE IF NOT EXISTS c%u(", table->number);
    for (uint32_t i = 0; i < table->public.key_count; i++) {
        buf_printf(&sql, "k%u COLLATE ", i);
        put_name(&sql, table->keyed->keys[i].collation);
        buf_literal(&sql, ", ");
    }
    buf_printf(&sql, "r); CREATE INDEX IF NOT EXISTS i%u ON c%u(", table->number, table->number);
    put_key_columns(&sql, table, "");
    buf_literal(&sql, ", r)");
    rc = run_buf(diff->scratch, &sql, ret_err);
    buf_fini(&sql);
    return rc;
}

static int make_table(struct diff *diff, const struct table_state *table, struct err *ret_err)
{
    struct buf sql;
    int rc;

    if (!table->keyed->by_rowid)
        return make_by_columns(diff, table, ret_err);
    buf_init(&sql, 0);
    buf_printf(&sql, "CREATE TABLE IF NOT EXISTS c%u(k0 INTEGER PRIMARY KEY)", table->number);
    rc = run_buf(diff->scratch, &sql, ret_err);
    buf_fini(&sql);
    return rc;
}

static struct sqlite3_stmt *prepare_put(struct keys *keys, struct err *ret_err)
{
    const struct table_state *table = keys->table;
    uint32_t count = table->public.key_count;
    struct sqlite3_stmt *statement;
    struct buf sql;

    buf_init(&sql, 0);
    buf_printf(&sql, "INSERT OR IGNORE INTO c%u ", table->number);
    if (table->keyed->by_rowid) {
        buf_literal(&sql, "VALUES (?1)");
    } else {
        buf_literal(&sql, "SELECT ");
        for (uint32_t i = 1; i <= count + 1; i++)
            buf_printf(&sql, "%s?%u", i == 1 ? "" : ", ", i);
        buf_printf(&sql, " WHERE NOT EXISTS (SELECT 1 FROM c%u WHERE ", table->number);
        for (uint32_t i = 0; i < count; i++)
            buf_printf(&sql, "k%u IS ?%u AND ", i, i + 1);
        buf_printf(&sql, "r IS ?%u)", count + 1);
    }
    statement = prepare_buf(keys->diff->scratch, &sql, ret_err);
    buf_fini(&sql);
    return statement;
}

/* SELECT k0, …, r FROM main.t */
static void put_select_keys(
    struct buf *sql, const struct table_state *table, const struct shape *shape)
{
    buf_literal(sql, "SELECT ");
    for (uint32_t i = 0; i < table->keyed->key_count; i++) {
        put_name(sql, table->keyed->keys[i].name);
        buf_literal(sql, ", ");
    }
    if (shape->rowid != NULL && (shape->by_rowid || table->has_r))
        put_name(sql, shape->rowid);
    else
        buf_literal(sql, "NULL");
    buf_literal(sql, " FROM main.");
    put_name(sql, shape->name);
}

static struct sqlite3_stmt *prepare_select(
    struct keys *keys, bool of_after, const char *end, struct err *ret_err)
{
    const struct shape *shape = of_after ? keys->table->after : keys->table->before;
    struct sqlite3_stmt *statement;
    struct buf sql;

    buf_init(&sql, 0);
    put_select_keys(&sql, keys->table, shape);
    if (end != NULL) {
        buf_literal(&sql, " WHERE ");
        put_name(&sql, shape->rowid);
        buf_cstr(&sql, end);
    }
    statement = prepare_buf(of_after ? keys->diff->after.db : keys->diff->before.db, &sql, ret_err);
    buf_fini(&sql);
    return statement;
}

int keys_begin(struct keys *keys, struct diff *diff, struct table_state *table, struct err *ret_err)
{
    *keys = (struct keys){.diff = diff, .table = table};
    buf_init(&keys->room, KEY_BYTES_MAX);
    if (make_table(diff, table, ret_err) < 0)
        return -1;
    keys->put = prepare_put(keys, ret_err);
    if (keys->put == NULL)
        return -1;
    if (table->whole || table->keyed->by_rowid || table->keyed->without_rowid)
        return 0;
    for (int i = 0; i < 2; i++) {
        keys->by_rowid[i] = prepare_select(keys, i == 1, " = ?1", ret_err);
        if (keys->by_rowid[i] == NULL)
            return -1;
    }
    return 0;
}

void keys_end(struct keys *keys)
{
    if (keys->diff == NULL)
        return;
    (void)sqlite3_finalize(keys->put);
    (void)sqlite3_finalize(keys->by_rowid[0]);
    (void)sqlite3_finalize(keys->by_rowid[1]);
    buf_fini(&keys->room);
    keys->diff = NULL;
}

/* ------------------------------------------------------------------ putting */

static int put(struct keys *keys, struct err *ret_err)
{
    int rc = sqlite3_step(keys->put);

    (void)sqlite3_reset(keys->put);
    keys->diff->keys += (uint64_t)sqlite3_changes(keys->diff->scratch);
    if (rc != SQLITE_DONE)
        return sql_err_set(ret_err, keys->diff->scratch, rc);
    return diff_step(keys->diff, ret_err);
}

/* The key in the row that a statement of prepare_select() stands on. */
static int put_row(struct keys *keys, struct sqlite3_stmt *row, struct err *ret_err)
{
    int count = (int)keys->table->public.key_count;
    bool has_null = false;

    if (keys->table->keyed->by_rowid) {
        (void)sqlite3_bind_int64(keys->put, 1, sqlite3_column_int64(row, 0));
        return put(keys, ret_err);
    }
    for (int i = 0; i < count; i++) {
        struct value value = cell_value(row, i);

        bind_cell(keys->put, i + 1, &value);
        has_null = has_null || value.type == VALUE_NULL;
    }
    if (has_null)
        (void)sqlite3_bind_int64(keys->put, count + 1, sqlite3_column_int64(row, count));
    else
        (void)sqlite3_bind_null(keys->put, count + 1);
    return put(keys, ret_err);
}

static int put_rows(
    struct keys *keys, struct sqlite3 *db, struct sqlite3_stmt *rows, struct err *ret_err)
{
    int rc = SQLITE_OK, result = 0;

    while (result == 0 && (rc = sqlite3_step(rows)) == SQLITE_ROW)
        result = put_row(keys, rows, ret_err);
    if (result == 0 && rc != SQLITE_DONE)
        result = sql_err_set(ret_err, db, rc);
    (void)sqlite3_reset(rows);
    return result;
}

/* A row that is there under another rowid may have the same key: both sides' keys count. */
static int put_rowid(struct keys *keys, int64_t rowid, struct err *ret_err)
{
    if (keys->table->keyed->by_rowid) {
        (void)sqlite3_bind_int64(keys->put, 1, rowid);
        return put(keys, ret_err);
    }
    for (int i = 0; i < 2; i++) {
        (void)sqlite3_bind_int64(keys->by_rowid[i], 1, rowid);
        if (put_rows(keys, i == 0 ? keys->diff->before.db : keys->diff->after.db, keys->by_rowid[i],
                ret_err) < 0)
            return -1;
    }
    return 0;
}

static int64_t signed_integer(const unsigned char *bytes, uint64_t len)
{
    uint64_t value = len > 0 && (bytes[0] & 0x80) != 0 ? UINT64_MAX : 0;

    for (uint64_t i = 0; i < len; i++)
        value = value << 8 | bytes[i];
    return (int64_t)value;
}

static void bind_field(
    struct keys *keys, const struct side *side, int at, const struct btree_field *field)
{
    const char *bytes = keys->room.bytes + field->offset;
    int64_t integer = signed_integer((const unsigned char *)bytes, MIN(field->len, 8U));
    double real;

    if (field->serial == 0)
        (void)sqlite3_bind_null(keys->put, at);
    else if (field->serial == 7) {
        memcpy(&real, &integer, sizeof(real));
        (void)sqlite3_bind_double(keys->put, at, real);
    } else if (field->serial <= 9)
        (void)sqlite3_bind_int64(keys->put, at,
            field->serial == 8   ? 0
            : field->serial == 9 ? 1
                                 : integer);
    else if (field->serial % 2 == 0)
        (void)sqlite3_bind_blob64(keys->put, at, bytes, field->len, SQLITE_STATIC);
    else
        (void)sqlite3_bind_text64(keys->put, at, bytes, field->len, SQLITE_STATIC, side->encoding);
}

/* A record of a table WITHOUT ROWID begins with its key. */
static int put_record(
    struct keys *keys, struct side *side, const struct btree_cell *cell, struct err *ret_err)
{
    struct btree_field fields[KEY_FIELDS_MAX];
    uint32_t count = keys->table->keyed->key_count;
    uint64_t need = cell->local.len;

    if (count > KEY_FIELDS_MAX)
        return diff_no_room(ret_err);
    do {
        if (side_payload(side, cell, need, &keys->room, ret_err) < 0)
            return -1;
        if (btree_fields(buf_view(&keys->room), fields, count, &need) < 0 || need > cell->payload)
            return err_set(
                ret_err, ERR_CORRUPT, "a row of '%s' is damaged", keys->table->public.name);
    } while (need > keys->room.len);
    for (uint32_t i = 0; i < count; i++)
        bind_field(keys, side, (int)i + 1, &fields[i]);
    (void)sqlite3_bind_null(keys->put, (int)count + 1);
    return put(keys, ret_err);
}

int keys_put_cell(
    struct keys *keys, struct side *side, const struct btree_cell *cell, struct err *ret_err)
{
    if (keys->table->keyed->without_rowid)
        return put_record(keys, side, cell, ret_err);
    return put_rowid(keys, cell->rowid, ret_err);
}

int keys_put_all(struct keys *keys, struct err *ret_err)
{
    for (int i = 0; i < 2; i++) {
        struct sqlite3_stmt *rows;
        int rc;

        if ((i == 0 ? keys->table->before : keys->table->after) == NULL)
            continue;
        rows = prepare_select(keys, i == 1, NULL, ret_err);
        if (rows == NULL)
            return -1;
        rc = put_rows(keys, i == 0 ? keys->diff->before.db : keys->diff->after.db, rows, ret_err);
        (void)sqlite3_finalize(rows);
        if (rc < 0)
            return -1;
    }
    return 0;
}

void put_where_key(struct buf *sql, const struct table_state *table, const struct shape *shape)
{
    uint32_t count = table->public.key_count;

    buf_literal(sql, " FROM main.");
    put_name(sql, shape->name);
    buf_literal(sql, " WHERE ");
    if (table->keyed->by_rowid) {
        put_name(sql, shape->rowid);
        buf_literal(sql, " = ?1");
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        buf_cstr(sql, i == 0 ? "" : " AND ");
        put_name(sql, table->keyed->keys[i].name);
        buf_printf(sql, " IS ?%u", i + 1);
    }
    if (table->has_r && shape->rowid != NULL) {
        buf_printf(sql, " AND (?%u IS NULL OR ", count + 1);
        put_name(sql, shape->rowid);
        buf_printf(sql, " = ?%u)", count + 1);
    }
}
