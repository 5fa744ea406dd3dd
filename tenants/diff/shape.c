#include "tenants/diff/shape.h"

#include <sqlite3.h>

#include "tenants/base/mem.h"
#include "tenants/guard.h"
#include "tenants/sql_error.h"

#define SQL_MAX (1U << 20)

static void put_quoted(struct buf *out, const char *text, char quote)
{
    buf_char(out, quote);
    for (; *text != '\0'; text++) {
        if (*text == quote)
            buf_char(out, quote);
        buf_char(out, *text);
    }
    buf_char(out, quote);
}

void put_name(struct buf *out, const char *name)
{
    put_quoted(out, name, '"');
}

void put_text(struct buf *out, const char *text)
{
    put_quoted(out, text, '\'');
}

struct sqlite3_stmt *prepare_buf(struct sqlite3 *db, struct buf *sql, struct err *ret_err)
{
    struct sqlite3_stmt *statement = NULL;

    buf_char(sql, '\0');
    if (sql->failed)
        (void)err_set(ret_err, ERR_TOO_LARGE, "a table's definition is too long");
    else if (sqlite3_prepare_v2(db, sql->bytes, (int)sql->len, &statement, NULL) != SQLITE_OK)
        (void)sql_err_set(ret_err, db, sqlite3_errcode(db));
    return statement;
}

int run_buf(struct sqlite3 *db, struct buf *sql, struct err *ret_err)
{
    buf_char(sql, '\0');
    if (sql->failed)
        return err_set(ret_err, ERR_TOO_LARGE, "a table's definition is too long");
    if (sqlite3_exec(db, sql->bytes, NULL, NULL, NULL) != SQLITE_OK)
        return sql_err_set(ret_err, db, sqlite3_errcode(db));
    return 0;
}

/* ------------------------------------------------------------------ loading */

struct load {
    struct sqlite3 *db;
    struct arena *arena;
    struct err *err;
};

static const char *text(struct load *load, struct sqlite3_stmt *statement, int column)
{
    const char *bytes = (const char *)sqlite3_column_text(statement, column);

    if (bytes == NULL)
        return NULL;
    return arena_cstr(
        load->arena, str_make(bytes, (size_t)sqlite3_column_bytes(statement, column)));
}

/* An array in the arena that has room for one more; doubled, the old one stays behind. */
static void *grow(struct load *load, void *items, uint32_t count, size_t size)
{
    void *more;

    if (count != 0 && (count < 8 || (count & (count - 1)) != 0))
        return items;
    more = arena_array(load->arena, count == 0 ? 8 : (size_t)count * 2, size);
    if (more != NULL && count > 0)
        memcpy(more, items, count * size);
    return more;
}

static struct sqlite3_stmt *query(struct load *load, const char *sql, const char *name)
{
    struct sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(load->db, sql, -1, &statement, NULL) != SQLITE_OK) {
        (void)sql_err_set(load->err, load->db, sqlite3_errcode(load->db));
        return NULL;
    }
    if (name != NULL)
        (void)sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    return statement;
}

static int finish(struct load *load, struct sqlite3_stmt *statement, int rc)
{
    int result =
        rc == SQLITE_DONE ? 0 : sql_err_set(load->err, load->db, sqlite3_errcode(load->db));

    (void)sqlite3_finalize(statement);
    if (arena_overflowed(load->arena))
        return err_set(load->err, ERR_TOO_LARGE, "the schema is too large to be compared");
    return result;
}

static int load_columns(struct load *load, struct shape *shape, uint32_t *ret_keys)
{
    struct sqlite3_stmt *statement =
        query(load, "SELECT name, type, dflt_value, pk, hidden FROM pragma_table_xinfo(?1, 'main')",
            shape->name);
    int rc;

    *ret_keys = 0;
    if (statement == NULL)
        return -1;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW && !arena_overflowed(load->arena)) {
        struct shape_column *column;

        if (sqlite3_column_int(statement, 4) > 1)
            continue;
        shape->columns = grow(load, shape->columns, shape->column_count, sizeof(*column));
        if (shape->columns == NULL)
            break;
        column = &shape->columns[shape->column_count++];
        *column = (struct shape_column){.name = text(load, statement, 0),
            .type = text(load, statement, 1),
            .default_sql = text(load, statement, 2)};
        if (sqlite3_column_int(statement, 3) > 0) {
            shape->integer = column->name; /* if it turns out to have no index */
            (*ret_keys)++;
        }
    }
    return finish(load, statement, rc == SQLITE_ROW ? SQLITE_DONE : rc);
}

static int load_keys(struct load *load, struct shape *shape)
{
    struct sqlite3_stmt *statement = query(load,
        "SELECT x.name, x.coll FROM pragma_index_list(?1, 'main') AS l, "
        "pragma_index_xinfo(l.name, 'main') AS x WHERE l.origin = 'pk' AND x.key = 1 "
        "ORDER BY x.seqno",
        shape->name);
    int rc;

    if (statement == NULL)
        return -1;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW && !arena_overflowed(load->arena)) {
        shape->keys = grow(load, shape->keys, shape->key_count, sizeof(*shape->keys));
        if (shape->keys == NULL)
            break;
        shape->keys[shape->key_count++] = (struct shape_column){
            .name = text(load, statement, 0), .collation = text(load, statement, 1)};
    }
    return finish(load, statement, rc == SQLITE_ROW ? SQLITE_DONE : rc);
}

static const char *rowid_name(const struct shape *shape)
{
    static const char *const names[] = {"rowid", "_rowid_", "oid"};

    if (shape->without_rowid)
        return NULL;
    if (shape->integer != NULL)
        return shape->integer;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (shape_column(shape, names[i]) < 0)
            return names[i];
    return NULL;
}

static int load_table(struct load *load, struct shape *shape)
{
    uint32_t keys;

    if (load_columns(load, shape, &keys) < 0)
        return -1;
    if (shape->kind == SHAPE_VIRTUAL)
        return 0;
    if (keys > 0 && load_keys(load, shape) < 0)
        return -1;
    if (shape->key_count > 0 || keys != 1)
        shape->integer = NULL;
    shape->by_rowid = shape->key_count == 0;
    shape->rowid = rowid_name(shape);
    return 0;
}

static bool is_own(const char *name)
{
    return guard_is_reserved(str_from(name)) || str_starts_with_nocase(str_from(name), "sqlite_");
}

static enum shape_kind kind_of(const char *type)
{
    if (type != NULL && strcmp(type, "virtual") == 0)
        return SHAPE_VIRTUAL;
    return type != NULL && strcmp(type, "shadow") == 0 ? SHAPE_SHADOW : SHAPE_TABLE;
}

static int load_list(struct load *load, struct shapes *shapes)
{
    struct sqlite3_stmt *statement = query(load,
        "SELECT s.name, s.sql, l.type, l.wr, s.rootpage FROM main.sqlite_schema AS s, "
        "pragma_table_list(s.name) AS l WHERE s.type = 'table' AND l.schema = 'main' "
        "ORDER BY s.name COLLATE NOCASE",
        NULL);
    int rc;

    if (statement == NULL)
        return -1;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW && !arena_overflowed(load->arena)) {
        const char *name = text(load, statement, 0);

        if (name == NULL || is_own(name))
            continue;
        shapes->items = grow(load, shapes->items, shapes->count, sizeof(*shapes->items));
        if (shapes->items == NULL)
            break;
        shapes->items[shapes->count++] = (struct shape){.name = name,
            .sql = text(load, statement, 1),
            .kind = kind_of((const char *)sqlite3_column_text(statement, 2)),
            .without_rowid = sqlite3_column_int(statement, 3) != 0,
            .root = (uint32_t)sqlite3_column_int64(statement, 4)};
    }
    return finish(load, statement, rc == SQLITE_ROW ? SQLITE_DONE : rc);
}

int shapes_load(
    struct sqlite3 *db, struct arena *arena, struct shapes *ret_shapes, struct err *ret_err)
{
    struct load load = {db, arena, ret_err};
    struct shapes shapes = {NULL, 0};

    if (load_list(&load, &shapes) < 0)
        return -1;
    for (uint32_t i = 0; i < shapes.count; i++)
        if (load_table(&load, &shapes.items[i]) < 0)
            return -1;
    *ret_shapes = shapes;
    return 0;
}

/* ------------------------------------------------------------------ looking */

const struct shape *shapes_find(const struct shapes *shapes, const char *name)
{
    for (uint32_t low = 0, high = shapes->count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        int order = sqlite3_stricmp(shapes->items[middle].name, name);

        if (order == 0)
            return &shapes->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

int shape_column(const struct shape *shape, const char *name)
{
    for (uint32_t i = 0; i < shape->column_count; i++)
        if (sqlite3_stricmp(shape->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool shape_same_key(const struct shape *a, const struct shape *b)
{
    if (a->by_rowid != b->by_rowid || a->key_count != b->key_count ||
        (a->integer == NULL) != (b->integer == NULL) ||
        (a->integer != NULL && sqlite3_stricmp(a->integer, b->integer) != 0))
        return false;
    for (uint32_t i = 0; i < a->key_count; i++)
        if (sqlite3_stricmp(a->keys[i].name, b->keys[i].name) != 0 ||
            sqlite3_stricmp(a->keys[i].collation, b->keys[i].collation) != 0)
            return false;
    return true;
}
