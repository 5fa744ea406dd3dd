/* doctor: what in a schema makes life hard for people and models that write SQL against it. */
#include "proto/persql/look.h"

static void write_finding(struct encoder *e, const char *severity, const char *code,
    struct str table, struct str column, const char *message)
{
    encoder_object(e);
    encoder_key(e, "severity");
    encoder_cstring(e, severity);
    encoder_key(e, "code");
    encoder_cstring(e, code);
    encoder_key(e, "table");
    encoder_string(e, table);
    if (column.len > 0) {
        encoder_key(e, "column");
        encoder_string(e, column);
    }
    encoder_key(e, "message");
    encoder_cstring(e, message);
    encoder_end(e);
}

/* Words that need quotes as names, the common ones. */
static bool is_keyword(struct str name)
{
    static const char *const words[] = {"add", "all", "alter", "and", "as", "between", "case",
        "check", "collate", "commit", "constraint", "create", "default", "delete", "distinct",
        "drop", "else", "escape", "exists", "foreign", "from", "group", "having", "in", "index",
        "insert", "into", "is", "isnull", "join", "limit", "not", "notnull", "null", "on", "or",
        "order", "primary", "references", "select", "set", "table", "then", "to", "transaction",
        "union", "unique", "update", "using", "values", "when", "where"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_is_nocase(name, words[i]))
            return true;
    }
    return false;
}

static bool needs_quotes(struct str name)
{
    if (name.len == 0 || (name.ptr[0] >= '0' && name.ptr[0] <= '9') || is_keyword(name))
        return true;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                c == '_' || (c & 0x80) != 0))
            return true;
    }
    return false;
}

static bool has_primary_key(const struct introspect_table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].primary_key > 0)
            return true;
    }
    return false;
}

/* True when an index, or the primary key, begins with the column. */
static bool is_indexed(const struct introspect_table *table, struct str column)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].primary_key == 1 && str_equal_nocase(table->columns[i].name, column))
            return true;
    }
    for (size_t i = 0; i < table->index_count; i++) {
        if (table->indexes[i].column_count > 0 && !table->indexes[i].partial &&
            str_equal_nocase(table->indexes[i].columns[0], column))
            return true;
    }
    return false;
}

static bool has_table(const struct look *look, struct str name)
{
    for (size_t i = 0; i < look->schema.table_count; i++) {
        if (str_equal_nocase(look->schema.tables[i].name, name))
            return true;
    }
    return false;
}

static void check_columns(
    struct encoder *e, const struct look *look, const struct introspect_table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const struct introspect_column *column = &table->columns[i];

        if (column->type.len == 0 && !column->generated && !column->hidden)
            write_finding(e, "warning", "untyped_column", table->name, column->name,
                "the column has no declared type; declare one so that values keep theirs");
        if (needs_quotes(column->name))
            write_finding(e, "warning", "name_needs_quotes", table->name, column->name,
                "the column's name must be quoted in every statement; rename it");
    }
    for (size_t i = 0; i < table->foreign_key_count; i++) {
        const struct introspect_foreign_key *key = &table->foreign_keys[i];

        if (!has_table(look, key->table))
            write_finding(e, "error", "fk_without_table", table->name, key->from,
                "the foreign key names a table that does not exist (or is out of reach)");
        else if (!is_indexed(table, key->from))
            write_finding(e, "info", "fk_without_index", table->name, key->from,
                "the foreign key has no index; deleting a parent row reads this whole table");
    }
}

static void check_table(
    struct encoder *e, const struct look *look, const struct introspect_table *table)
{
    const struct str none = {.ptr = NULL};

    if (needs_quotes(table->name))
        write_finding(e, "warning", "name_needs_quotes", table->name, none,
            "the table's name must be quoted in every statement; rename it");
    if (str_is(table->kind, "table")) {
        if (!has_primary_key(table))
            write_finding(e, "warning", "no_primary_key", table->name, none,
                "the table has no primary key; rows cannot be named for update or delete");
        check_columns(e, look, table);
    }
    if (look_description(look, table->name, none).len == 0)
        write_finding(e, "info", "no_description", table->name, none,
            "the table has no description; PUT .../describe tells people and models what it holds");
}

static void answer_doctor(struct exchange *x, const struct look *look)
{
    struct encoder e;

    persql_begin(x, &e);
    encoder_object(&e);
    encoder_key(&e, "findings");
    encoder_array(&e);
    for (size_t i = 0; i < look->schema.table_count; i++)
        check_table(&e, look, &look->schema.tables[i]);
    encoder_end(&e);
    encoder_end(&e);
    persql_finish(x, &e);
}

void persql_doctor(struct exchange *x)
{
    look_start(x, INTROSPECT_ALL & ~(unsigned)INTROSPECT_COUNTS, true, answer_doctor);
}
