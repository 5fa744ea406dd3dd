/* tables, schema, describe. */
#include "proto/persql/look.h"

/* ---- tables ---- */

static void answer_tables(struct exchange *x, const struct look *look)
{
    struct encoder e;

    persql_begin(x, &e);
    encoder_array(&e);
    for (size_t i = 0; i < look->schema.table_count; i++) {
        const struct introspect_table *table = &look->schema.tables[i];

        if (str_is(table->kind, "view"))
            continue;
        encoder_object(&e);
        encoder_key(&e, "name");
        encoder_string(&e, table->name);
        encoder_key(&e, "rowCount");
        if (table->row_count < 0)
            encoder_null(&e);
        else
            encoder_integer(&e, table->row_count);
        encoder_key(&e, "kind");
        encoder_string(&e, table->kind);
        encoder_end(&e);
    }
    encoder_end(&e);
    persql_finish(x, &e);
}

void persql_tables(struct exchange *x)
{
    look_start(x, INTROSPECT_COUNTS, false, answer_tables);
}

/* ---- schema and describe ---- */

static void write_description(
    struct encoder *e, const struct look *look, struct str table, struct str column)
{
    encoder_key(e, "description");
    encoder_string_or_null(e, look_description(look, table, column));
}

static void write_columns(
    struct encoder *e, const struct look *look, const struct introspect_table *table)
{
    encoder_key(e, "columns");
    encoder_array(e);
    for (size_t i = 0; i < table->column_count; i++) {
        const struct introspect_column *column = &table->columns[i];

        if (column->hidden)
            continue;
        encoder_object(e);
        encoder_key(e, "name");
        encoder_string(e, column->name);
        encoder_key(e, "type");
        encoder_string(e, column->type);
        encoder_key(e, "notNull");
        encoder_bool(e, column->not_null);
        encoder_key(e, "pk");
        encoder_integer(e, column->primary_key);
        encoder_key(e, "primaryKey");
        encoder_bool(e, column->primary_key > 0);
        encoder_key(e, "default");
        encoder_string_or_null(e, column->has_default ? column->default_sql : str_make(NULL, 0));
        if (column->generated) {
            encoder_key(e, "generated");
            encoder_bool(e, true);
        }
        write_description(e, look, table->name, column->name);
        encoder_end(e);
    }
    encoder_end(e);
}

static void write_foreign_keys(struct encoder *e, const struct introspect_table *table)
{
    encoder_key(e, "foreignKeys");
    encoder_array(e);
    for (size_t i = 0; i < table->foreign_key_count; i++) {
        const struct introspect_foreign_key *key = &table->foreign_keys[i];

        encoder_object(e);
        encoder_key(e, "id");
        encoder_integer(e, key->id);
        encoder_key(e, "from");
        encoder_string(e, key->from);
        encoder_key(e, "table");
        encoder_string(e, key->table);
        encoder_key(e, "to");
        encoder_string_or_null(e, key->to.len == 0 ? str_make(NULL, 0) : key->to);
        encoder_key(e, "onUpdate");
        encoder_string(e, key->on_update);
        encoder_key(e, "onDelete");
        encoder_string(e, key->on_delete);
        encoder_end(e);
    }
    encoder_end(e);
}

static void write_indexes(struct encoder *e, const struct introspect_table *table)
{
    encoder_key(e, "indexes");
    encoder_array(e);
    for (size_t i = 0; i < table->index_count; i++) {
        const struct introspect_index *index = &table->indexes[i];

        encoder_object(e);
        encoder_key(e, "name");
        encoder_string(e, index->name);
        encoder_key(e, "unique");
        encoder_bool(e, index->unique);
        encoder_key(e, "partial");
        encoder_bool(e, index->partial);
        encoder_key(e, "origin");
        encoder_string(e, index->origin);
        encoder_key(e, "columns");
        encoder_array(e);
        for (size_t at = 0; at < index->column_count; at++)
            encoder_string_or_null(
                e, index->columns[at].len == 0 ? str_make(NULL, 0) : index->columns[at]);
        encoder_end(e);
        encoder_key(e, "sql");
        encoder_string_or_null(e, index->sql.len == 0 ? str_make(NULL, 0) : index->sql);
        encoder_end(e);
    }
    encoder_end(e);
}

static void write_triggers(struct encoder *e, const struct introspect_table *table)
{
    encoder_key(e, "triggers");
    encoder_array(e);
    for (size_t i = 0; i < table->trigger_count; i++) {
        encoder_object(e);
        encoder_key(e, "name");
        encoder_string(e, table->triggers[i]);
        encoder_key(e, "sql");
        encoder_string(e, table->trigger_sql[i]);
        encoder_end(e);
    }
    encoder_end(e);
}

static void write_table(
    struct encoder *e, const struct look *look, const struct introspect_table *table)
{
    encoder_object(e);
    encoder_key(e, "table");
    encoder_string(e, table->name);
    encoder_key(e, "name");
    encoder_string(e, table->name);
    encoder_key(e, "kind");
    encoder_string(e, table->kind);
    write_description(e, look, table->name, str_make(NULL, 0));
    if ((look->detail & INTROSPECT_COUNTS) != 0 && table->row_count >= 0) {
        encoder_key(e, "rowCount");
        encoder_integer(e, table->row_count);
    }
    write_columns(e, look, table);
    write_foreign_keys(e, table);
    write_indexes(e, table);
    write_triggers(e, table);
    encoder_key(e, "withoutRowid");
    encoder_bool(e, table->without_rowid);
    encoder_key(e, "strict");
    encoder_bool(e, table->strict);
    encoder_key(e, "sql");
    encoder_string_or_null(e, table->sql.len == 0 ? str_make(NULL, 0) : table->sql);
    encoder_end(e);
}

static void answer_graph(struct exchange *x, const struct look *look)
{
    struct encoder e;

    persql_begin(x, &e);
    encoder_object(&e);
    encoder_key(&e, "databaseDescription");
    encoder_string_or_null(&e, look_description(look, str_make(NULL, 0), str_make(NULL, 0)));
    encoder_key(&e, "tables");
    encoder_array(&e);
    for (size_t i = 0; i < look->schema.table_count; i++)
        write_table(&e, look, &look->schema.tables[i]);
    encoder_end(&e);
    encoder_key(&e, "schemaVersion");
    encoder_u64(&e, look->schema.schema_cookie);
    encoder_end(&e);
    persql_finish(x, &e);
}

void persql_schema(struct exchange *x)
{
    look_start(x, INTROSPECT_ALL & ~(unsigned)INTROSPECT_COUNTS, true, answer_graph);
}

/* ---- describe?compact ---- */

static const struct introspect_foreign_key *key_from(
    const struct introspect_table *table, struct str column)
{
    for (size_t i = 0; i < table->foreign_key_count; i++) {
        if (str_equal_nocase(table->foreign_keys[i].from, column))
            return &table->foreign_keys[i];
    }
    return NULL;
}

/* A comment to the line's end: line ends become blanks. */
static void write_note(struct buf *out, struct str text)
{
    if (text.len == 0)
        return;
    buf_literal(out, "-- ");
    for (size_t i = 0; i < text.len; i++)
        buf_char(out, (unsigned char)text.ptr[i] < ' ' ? ' ' : text.ptr[i]);
}

static void write_compact_column(
    struct buf *out, const struct introspect_table *table, const struct introspect_column *column)
{
    const struct introspect_foreign_key *key = key_from(table, column->name);

    buf_str(out, column->name);
    if (column->type.len > 0) {
        buf_char(out, ' ');
        buf_str(out, column->type);
    }
    if (column->primary_key > 0)
        buf_literal(out, " PK");
    else if (column->not_null)
        buf_literal(out, " NOT NULL");
    if (key != NULL) {
        buf_literal(out, " -> ");
        buf_str(out, key->table);
        if (key->to.len > 0) {
            buf_char(out, '.');
            buf_str(out, key->to);
        }
    }
}

/* orders(id INTEGER PK, customer_id INTEGER -> customers.id) -- what it is */
static void write_compact(struct buf *out, const struct look *look)
{
    struct str about = look_description(look, str_make(NULL, 0), str_make(NULL, 0));

    if (about.len > 0) {
        write_note(out, about);
        buf_char(out, '\n');
    }
    for (size_t i = 0; i < look->schema.table_count; i++) {
        const struct introspect_table *table = &look->schema.tables[i];
        bool first = true;

        if (str_is(table->kind, "view"))
            buf_literal(out, "view ");
        buf_str(out, table->name);
        buf_char(out, '(');
        for (size_t at = 0; at < table->column_count; at++) {
            if (table->columns[at].hidden)
                continue;
            if (!first)
                buf_literal(out, ", ");
            first = false;
            write_compact_column(out, table, &table->columns[at]);
        }
        buf_literal(out, ") ");
        write_note(out, look_description(look, table->name, str_make(NULL, 0)));
        buf_char(out, '\n');
    }
}

static void answer_compact(struct exchange *x, const struct look *look)
{
    struct encoder e;
    struct buf text;

    buf_init(&text, (4U << 20));
    write_compact(&text, look);
    persql_begin(x, &e);
    encoder_string(&e, buf_view(&text));
    buf_fini(&text);
    persql_finish(x, &e);
}

void persql_describe(struct exchange *x)
{
    look_start(x, INTROSPECT_ALL & ~(unsigned)INTROSPECT_COUNTS, true,
        persql_query_flag(x, "compact") ? answer_compact : answer_graph);
}
