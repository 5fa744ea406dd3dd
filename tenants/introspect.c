#include "tenants/introspect.h"

#include <sqlite3.h>

#include "tenants/guard.h"
#include "tenants/sql_error.h"

#define NAMES_MAX 100000

/* What a call works with. */
struct work {
    struct sqlite3 *db;
    const struct principal *principal;
    struct arena *arena;
    struct err *err;
};

/* A list that grows in the arena: doubled, what was before it is left behind. */
struct list_of {
    void *items;
    size_t count;
    size_t capacity;
};

static void *append(struct work *work, struct list_of *list, size_t size)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        void *items = arena_array(work->arena, capacity, size);

        if (items == NULL)
            return NULL;
        if (list->count > 0)
            memcpy(items, list->items, list->count * size);
        list->items = items;
        list->capacity = capacity;
    }
    memset((char *)list->items + list->count * size, 0, size);
    return (char *)list->items + list->count++ * size;
}

static int no_room(struct work *work)
{
    return err_set(work->err, ERR_TOO_LARGE, "the schema is too large to describe");
}

static int failed(struct work *work)
{
    return sql_err_set(work->err, work->db, sqlite3_errcode(work->db));
}

static struct str text(struct work *work, struct sqlite3_stmt *statement, int column)
{
    const char *bytes = (const char *)sqlite3_column_text(statement, column);
    size_t len = (size_t)sqlite3_column_bytes(statement, column);

    return bytes == NULL ? str_make("", 0) : arena_str(work->arena, str_make(bytes, len));
}

/* Prepares `sql` with one text parameter (ptr NULL: none). */
static struct sqlite3_stmt *query(struct work *work, const char *sql, struct str parameter)
{
    struct sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(work->db, sql, -1, &statement, NULL) != SQLITE_OK) {
        (void)failed(work);
        return NULL;
    }
    if (parameter.ptr != NULL)
        (void)sqlite3_bind_text(statement, 1, parameter.ptr, (int)parameter.len, SQLITE_STATIC);
    return statement;
}

/* Ends a loop over rows: 0 when they came to their end and the arena held. */
static int finish(struct work *work, struct sqlite3_stmt *statement, int rc)
{
    int result = rc == SQLITE_DONE ? 0 : failed(work);

    (void)sqlite3_finalize(statement);
    if (result == 0 && arena_overflowed(work->arena))
        return no_room(work);
    return result;
}

/* Fills an item, zeroed, from the row that the statement stands on. */
typedef void (*row_fn)(struct work *work, struct sqlite3_stmt *statement, void *item);

/* Every row becomes an item of the list. */
static int read_rows(struct work *work, struct sqlite3_stmt *statement, size_t item_size,
    row_fn read_row, struct list_of *ret_list)
{
    struct list_of list = {NULL, 0, 0};
    int rc;

    if (statement == NULL)
        return -1;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        void *item = append(work, &list, item_size);

        if (item == NULL)
            break;
        read_row(work, statement, item);
    }
    *ret_list = list;
    return finish(work, statement, rc == SQLITE_ROW ? SQLITE_DONE : rc);
}

static void read_column(struct work *work, struct sqlite3_stmt *statement, void *item)
{
    struct introspect_column *column = item;
    int hidden = sqlite3_column_int(statement, 5);

    column->name = text(work, statement, 0);
    column->type = text(work, statement, 1);
    column->not_null = sqlite3_column_int(statement, 2) != 0;
    column->has_default = sqlite3_column_type(statement, 3) != SQLITE_NULL;
    column->default_sql = text(work, statement, 3);
    column->primary_key = sqlite3_column_int(statement, 4);
    column->generated = hidden == 2 || hidden == 3;
    column->hidden = hidden == 1;
}

static int read_columns(struct work *work, struct introspect_table *table)
{
    struct sqlite3_stmt *statement = query(work,
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1, "
        "'main')",
        table->name);
    struct list_of list = {NULL, 0, 0};
    int result = read_rows(work, statement, sizeof(*table->columns), read_column, &list);

    table->columns = list.items;
    table->column_count = list.count;
    return result;
}

static void read_foreign_key(struct work *work, struct sqlite3_stmt *statement, void *item)
{
    struct introspect_foreign_key *key = item;

    key->id = sqlite3_column_int(statement, 0);
    key->table = text(work, statement, 1);
    key->from = text(work, statement, 2);
    key->to = text(work, statement, 3);
    key->on_update = text(work, statement, 4);
    key->on_delete = text(work, statement, 5);
}

static int read_foreign_keys(struct work *work, struct introspect_table *table)
{
    struct sqlite3_stmt *statement = query(work,
        "SELECT id, \"table\", \"from\", \"to\", on_update, on_delete "
        "FROM pragma_foreign_key_list(?1, 'main') ORDER BY id, seq",
        table->name);
    struct list_of list = {NULL, 0, 0};
    int result = read_rows(work, statement, sizeof(*table->foreign_keys), read_foreign_key, &list);

    table->foreign_keys = list.items;
    table->foreign_key_count = list.count;
    return result;
}

static void read_name(struct work *work, struct sqlite3_stmt *statement, void *item)
{
    *(struct str *)item = text(work, statement, 0);
}

static int read_index_columns(struct work *work, struct introspect_index *index)
{
    struct sqlite3_stmt *statement =
        query(work, "SELECT name FROM pragma_index_info(?1, 'main') ORDER BY seqno", index->name);
    struct list_of list = {NULL, 0, 0};
    int result = read_rows(work, statement, sizeof(*index->columns), read_name, &list);

    index->columns = list.items;
    index->column_count = list.count;
    return result;
}

static void read_index(struct work *work, struct sqlite3_stmt *statement, void *item)
{
    struct introspect_index *index = item;

    index->name = text(work, statement, 0);
    index->unique = sqlite3_column_int(statement, 1) != 0;
    index->origin = text(work, statement, 2);
    index->partial = sqlite3_column_int(statement, 3) != 0;
    index->sql = text(work, statement, 4);
}

static int read_indexes(struct work *work, struct introspect_table *table)
{
    struct sqlite3_stmt *statement = query(work,
        "SELECT l.name, l.\"unique\", l.origin, l.partial, s.sql "
        "FROM pragma_index_list(?1, 'main') AS l "
        "LEFT JOIN sqlite_schema AS s ON s.type = 'index' AND s.name = l.name ORDER BY l.name",
        table->name);
    struct list_of list = {NULL, 0, 0};
    int result = read_rows(work, statement, sizeof(*table->indexes), read_index, &list);

    table->indexes = list.items;
    table->index_count = list.count;
    for (size_t i = 0; result == 0 && i < list.count; i++)
        result = read_index_columns(work, &((struct introspect_index *)list.items)[i]);
    return result;
}

/* The texts of views and triggers name tables behind them: not for a token with a table scope. */
static bool is_scoped(const struct work *work)
{
    return work->principal != NULL && work->principal->table_count > 0;
}

static int read_triggers(struct work *work, struct introspect_table *table)
{
    struct sqlite3_stmt *statement = query(work,
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE "
        "NOCASE "
        "ORDER BY name",
        table->name);
    struct list_of names = {NULL, 0, 0};
    struct list_of texts = {NULL, 0, 0};
    int rc;

    if (statement == NULL)
        return -1;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        struct str *name = append(work, &names, sizeof(*name));
        struct str *sql = append(work, &texts, sizeof(*sql));

        if (name == NULL || sql == NULL)
            break;
        *name = text(work, statement, 0);
        *sql = text(work, statement, 1);
    }
    table->triggers = names.items;
    table->trigger_sql = texts.items;
    table->trigger_count = names.count;
    return finish(work, statement, rc == SQLITE_ROW ? SQLITE_DONE : rc);
}

/* A count that does not come to its end (the lane's progress handler) or a virtual table that
 * cannot be read leaves -1; what is left of the request's budget ends the next statement. */
static int count_rows(struct work *work, struct introspect_table *table)
{
    struct sqlite3_stmt *statement = NULL;
    char *sql = sqlite3_mprintf("SELECT count(*) FROM main.\"%w\"", table->name.ptr);

    if (sql == NULL)
        return err_set(work->err, ERR_NOMEM, "no memory to count rows");
    if (sqlite3_prepare_v2(work->db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        table->row_count = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    sqlite3_free(sql);
    return 0;
}

static int read_details(struct work *work, unsigned detail, struct introspect_table *table)
{
    bool is_view = str_is(table->kind, "view");

    if ((detail & INTROSPECT_COLUMNS) != 0 && read_columns(work, table) < 0) {
        /* A view or virtual table that no longer compiles: listed all the same. */
        if (str_is(table->kind, "table") || work->err->code != ERR_SQL)
            return -1;
        *work->err = ERR_INIT;
        table->columns = NULL;
        table->column_count = 0;
    }
    if (detail == INTROSPECT_ALL &&
        (read_foreign_keys(work, table) < 0 || read_indexes(work, table) < 0 ||
            (!is_scoped(work) && read_triggers(work, table) < 0)))
        return -1;
    if ((detail & INTROSPECT_COUNTS) != 0 && !is_view)
        return count_rows(work, table);
    return 0;
}

static bool is_shown(const struct work *work, struct str name)
{
    return !guard_is_reserved(name) && !str_starts_with_nocase(name, "sqlite_") &&
           (work->principal == NULL || principal_has_table(work->principal, name));
}

static int read_tables(struct work *work, struct list_of *list)
{
    struct sqlite3_stmt *statement = query(work,
        "SELECT l.name, l.type, l.wr, l.strict, s.sql FROM pragma_table_list AS l "
        "JOIN sqlite_schema AS s ON s.name = l.name AND s.type IN ('table', 'view') "
        "WHERE l.schema = 'main' AND l.type <> 'shadow' ORDER BY l.name COLLATE NOCASE LIMIT ?1",
        str_make(NULL, 0));
    int rc;

    if (statement == NULL)
        return -1;
    (void)sqlite3_bind_int(statement, 1, NAMES_MAX);
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        struct str name = str_from((const char *)sqlite3_column_text(statement, 0));
        struct introspect_table *table;

        if (!is_shown(work, name))
            continue;
        table = append(work, list, sizeof(*table));
        if (table == NULL)
            break;
        table->name = text(work, statement, 0);
        table->kind = text(work, statement, 1);
        table->without_rowid = sqlite3_column_int(statement, 2) != 0;
        table->strict = sqlite3_column_int(statement, 3) != 0;
        if (!is_scoped(work) || !str_is(table->kind, "view"))
            table->sql = text(work, statement, 4);
        table->row_count = -1;
    }
    return finish(work, statement, rc == SQLITE_ROW ? SQLITE_DONE : rc);
}

static int read_cookie(struct work *work, uint64_t *ret_cookie)
{
    struct sqlite3_stmt *statement = query(work, "PRAGMA main.schema_version", str_make(NULL, 0));
    int rc;

    if (statement == NULL)
        return -1;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW)
        *ret_cookie = (uint64_t)sqlite3_column_int64(statement, 0);
    return finish(work, statement, rc);
}

int introspect_schema(struct sqlite3 *db, const struct principal *principal, unsigned detail,
    struct arena *arena, struct introspect_schema *ret_schema, struct err *ret_err)
{
    struct work work = {.db = db, .principal = principal, .arena = arena, .err = ret_err};
    struct introspect_schema schema = {.schema_cookie = 0};
    struct introspect_table *tables;
    struct list_of list = {NULL, 0, 0};

    if (read_cookie(&work, &schema.schema_cookie) < 0 || read_tables(&work, &list) < 0)
        return -1;
    tables = list.items;
    for (size_t i = 0; i < list.count; i++) {
        if (read_details(&work, detail, &tables[i]) < 0)
            return -1;
    }
    schema.tables = tables;
    schema.table_count = list.count;
    *ret_schema = schema;
    return 0;
}
