#include "src/rook/table.h"

#include "src/rook/text.h"
#include "tenants/base/check.h"
#include "tenants/base/mem.h"

struct cell {
    size_t at;  /* in `text` */
    size_t len; /* bytes */
    size_t width;
    enum table_align align;
};

struct table {
    size_t columns;
    struct cell *heads;              /* owned, `columns` of them */
    size_t *widths;                  /* owned, likewise */
    enum table_align *column_aligns; /* owned, likewise: RIGHT until a cell is LEFT */
    struct buf text;                 /* of all cells, escaped */
    struct cell *cells;              /* owned */
    size_t cell_count;
    size_t cell_room;
};

struct lines {
    const char *between; /* cells */
    const char *cross;   /* below `between` in the rule */
    const char *rule;    /* NULL: no rule below the headings */
    size_t between_columns;
    size_t margin; /* blanks before the first column, and a rule's excess at both ends */
};

static const struct lines styles[] = {
    [TABLE_PLAIN] = {"  ", NULL, NULL, 2, 0},
    [TABLE_ASCII] = {" | ", "-+-", "-", 3, 1},
    [TABLE_UNICODE] = {" │ ", "─┼─", "─", 3, 1},
};

struct table *table_new(size_t columns)
{
    struct table *table = mem_zalloc(sizeof(*table));

    table->columns = columns;
    table->heads = mem_zalloc((columns + 1) * sizeof(*table->heads));
    table->widths = mem_zalloc((columns + 1) * sizeof(*table->widths));
    table->column_aligns = mem_zalloc((columns + 1) * sizeof(*table->column_aligns));
    buf_init(&table->text, 0);
    return table;
}

void table_free(struct table *table)
{
    if (table == NULL)
        return;
    buf_fini(&table->text);
    mem_free(table->cells);
    mem_free(table->column_aligns);
    mem_free(table->widths);
    mem_free(table->heads);
    mem_free(table);
}

static struct cell add_text(
    struct table *table, size_t column, struct str text, enum table_align align)
{
    struct cell cell = {.at = table->text.len, .align = align};

    cell.width = text_escape(&table->text, text, TEXT_ONE_LINE);
    CHECK(!table->text.failed);
    cell.len = table->text.len - cell.at;
    table->widths[column] = MAX(table->widths[column], cell.width);
    return cell;
}

void table_head(struct table *table, size_t column, struct str text)
{
    CHECK(column < table->columns);
    table->heads[column] = add_text(table, column, text, TABLE_AS_COLUMN);
}

void table_cell(struct table *table, struct str text, enum table_align align)
{
    size_t column;

    CHECK(table->columns > 0);
    if (table->cell_count == table->cell_room) {
        table->cell_room = MAX(64, table->cell_room * 2);
        table->cells = mem_realloc(table->cells, table->cell_room * sizeof(*table->cells));
    }
    column = table->cell_count % table->columns;
    table->cells[table->cell_count++] = add_text(table, column, text, align);
    if (align == TABLE_LEFT || table->column_aligns[column] == TABLE_AS_COLUMN)
        table->column_aligns[column] = align;
}

size_t table_columns(const struct table *table, enum table_style style)
{
    const struct lines *lines = &styles[style];
    size_t sum = 2 * lines->margin;

    for (size_t i = 0; i < table->columns; i++)
        sum += table->widths[i] + (i > 0 ? lines->between_columns : 0);
    return sum;
}

static void repeat(FILE *out, const char *text, size_t times)
{
    while (times-- > 0)
        (void)fputs(text, out);
}

static void print_row(
    const struct table *table, const struct cell *cells, FILE *out, const struct lines *lines)
{
    size_t count = table->columns;

    /* Without lines, nobody sees where an empty last column would end. */
    while (lines->rule == NULL && count > 1 && cells[count - 1].len == 0)
        count--;
    repeat(out, " ", lines->margin);
    for (size_t i = 0; i < count; i++) {
        const struct cell *cell = &cells[i];
        size_t pad = table->widths[i] - cell->width;
        bool right = cell->align == TABLE_RIGHT ||
                     (cell->align == TABLE_AS_COLUMN && table->column_aligns[i] == TABLE_RIGHT);

        if (i > 0)
            (void)fputs(lines->between, out);
        if (right)
            repeat(out, " ", pad);
        (void)fwrite(table->text.bytes + cell->at, 1, cell->len, out);
        if (!right && i + 1 < count)
            repeat(out, " ", pad);
    }
    (void)fputc('\n', out);
}

static void print_rule(const struct table *table, FILE *out, const struct lines *lines)
{
    repeat(out, lines->rule, lines->margin);
    for (size_t i = 0; i < table->columns; i++) {
        if (i > 0)
            (void)fputs(lines->cross, out);
        repeat(out, lines->rule, table->widths[i]);
    }
    repeat(out, lines->rule, lines->margin);
    (void)fputc('\n', out);
}

void table_print(const struct table *table, FILE *out, enum table_style style, bool headers)
{
    const struct lines *lines = &styles[style];

    if (table->columns == 0 || table->text.bytes == NULL)
        return;
    if (headers) {
        print_row(table, table->heads, out, lines);
        if (lines->rule != NULL)
            print_rule(table, out, lines);
    }
    for (size_t i = 0; i + table->columns <= table->cell_count; i += table->columns)
        print_row(table, table->cells + i, out, lines);
}
