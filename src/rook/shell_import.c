/* .import: rows of a CSV file into a table.
 *
 * Rows travel as one JSON text per request, taken apart by the database itself
 * (INSERT … SELECT … FROM json_each(?)): a request for a thousand rows instead of one for each.
 * Each such part is all or nothing; an error says how many rows went in before it. */
#include <errno.h>

#include "src/rook/csv.h"
#include "src/rook/interrupt.h"
#include "src/rook/shell.h"

#define PART_ROWS 2000
#define PART_BYTES (512U << 10)

struct import {
    struct shell *shell;
    struct csv csv;
    const char *table;
    struct buf insert; /* the statement, NUL-terminated */
    size_t columns;
    json_t *rows; /* of the part being collected */
    size_t part_bytes;
    size_t done;
};

static void append_name(struct buf *out, struct str name)
{
    buf_char(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"')
            buf_char(out, '"');
        buf_char(out, name.ptr[i]);
    }
    buf_char(out, '"');
}

static int send_part(struct import *import)
{
    struct answer answer = {0};
    struct buf text = {0};
    int status;

    if (json_array_size(import->rows) == 0)
        return 0;
    json_write(&text, import->rows, JSON_LAYOUT_LINE);
    buf_char(&text, '\0');
    status = shell_ask(import->shell, import->insert.bytes, &answer, text.bytes, NULL);
    if (status == 0)
        import->done += json_array_size(import->rows);
    (void)json_array_clear(import->rows);
    import->part_bytes = 0;
    answer_fini(&answer);
    buf_fini(&text);
    return status;
}

/* Nothing between two commas is NULL, "" is an empty text. */
static int add_row(struct import *import)
{
    size_t count = csv_count(&import->csv);
    json_t *row;

    if (count != import->columns)
        return report(EXIT_LOCAL, "line %u has %zu fields, the table takes %zu", import->csv.line,
            count, import->columns);
    row = json_array();
    for (size_t i = 0; i < count; i++) {
        struct str text = csv_text(&import->csv, i);
        bool null = text.len == 0 && !csv_quoted(&import->csv, i);

        if (json_array_append_new(row, null ? json_null() : json_stringn(text.ptr, text.len)) < 0) {
            json_decref(row);
            return report(EXIT_LOCAL, "line %u is not UTF-8", import->csv.line);
        }
        import->part_bytes += text.len + 4;
    }
    (void)json_array_append_new(import->rows, row);
    if (json_array_size(import->rows) >= PART_ROWS || import->part_bytes >= PART_BYTES)
        return send_part(import);
    return 0;
}

/* Columns that take values (generated ones do not); 0 where the table is missing. */
static int count_columns(struct import *import)
{
    struct answer answer = {0};
    int status = shell_ask(
        import->shell, "SELECT count(*) FROM pragma_table_info(?)", &answer, import->table, NULL);

    if (status == 0)
        import->columns = (size_t)json_integer_value(
            json_array_get(json_array_get(json_object_get(answer.data, "rows"), 0), 0));
    answer_fini(&answer);
    return status;
}

/* The first row names the columns of a table that is not there yet. */
static int create_table(struct import *import)
{
    struct answer answer = {0};
    struct buf sql = {0};
    int status;

    buf_literal(&sql, "CREATE TABLE ");
    append_name(&sql, str_from(import->table));
    import->columns = csv_count(&import->csv);
    for (size_t i = 0; i < import->columns; i++) {
        buf_cstr(&sql, i == 0 ? " (" : ", ");
        append_name(&sql, csv_text(&import->csv, i));
        buf_literal(&sql, " TEXT");
    }
    buf_literal(&sql, ")");
    buf_char(&sql, '\0');
    status = shell_ask(import->shell, sql.bytes, &answer, NULL);
    if (status == 0)
        note(import->shell->client->quiet, "created the table %s: %zu columns", import->table,
            import->columns);
    buf_reset(&import->shell->names, 0);
    answer_fini(&answer);
    buf_fini(&sql);
    return status;
}

static void prepare_insert(struct import *import)
{
    buf_literal(&import->insert, "INSERT INTO ");
    append_name(&import->insert, str_from(import->table));
    for (size_t i = 0; i < import->columns; i++)
        buf_printf(&import->insert, "%s value ->> %zu", i == 0 ? " SELECT" : ",", i);
    buf_literal(&import->insert, " FROM json_each(?) ORDER BY key");
    buf_char(&import->insert, '\0');
}

static int import_rows(struct import *import, size_t skip)
{
    struct err err = ERR_INIT;
    int status = count_columns(import);
    int got = 1;

    for (size_t row = 0; status == 0; row++) {
        got = csv_next(&import->csv, &err);
        if (got <= 0 || interrupt_pending())
            break;
        if (row < skip)
            continue;
        if (import->columns == 0) {
            status = create_table(import);
            continue;
        }
        if (import->insert.len == 0)
            prepare_insert(import);
        status = add_row(import);
    }
    if (status == 0 && got < 0)
        status = report(EXIT_LOCAL, "%s", err.msg);
    if (status == 0 && interrupt_pending())
        status = EXIT_INTERRUPTED;
    return status == 0 ? send_part(import) : status;
}

int shell_import(struct shell *shell, const char *path, const char *table, size_t skip)
{
    FILE *file = fopen(path, "re");
    struct import import = {.shell = shell, .table = table};
    int status;

    if (file == NULL)
        return report(EXIT_LOCAL, "cannot read %s: %s", path, strerror(errno));
    csv_init(&import.csv, file);
    import.rows = json_array();
    status = import_rows(&import, skip);
    if (status == 0 || import.done > 0)
        note(shell->client->quiet, "%zu row%s imported%s", import.done, import.done == 1 ? "" : "s",
            status != 0 ? " before that" : "");
    json_decref(import.rows);
    csv_fini(&import.csv);
    buf_fini(&import.insert);
    (void)fclose(file);
    return status;
}
