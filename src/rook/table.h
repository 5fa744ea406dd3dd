/* Aligned columns of text: rows are collected, then printed once the widths are known.
 *
 *      id │ name
 *     ────┼─────────
 *       1 │ Ann
 *
 * Threads: main.   Memory: the table copies its cells; about their size.
 * Limits: none of its own. */
#ifndef SRC_ROOK_TABLE_H
#define SRC_ROOK_TABLE_H

#include <stdio.h>

#include "tenants/base/buf.h"

struct table;

enum table_align {
    TABLE_AS_COLUMN, /* right where the column's other cells are, else left: NULL */
    TABLE_LEFT,
    TABLE_RIGHT,
};

enum table_style {
    TABLE_PLAIN, /* columns two blanks apart, no lines: lists of a command */
    TABLE_ASCII,
    TABLE_UNICODE,
};

/* `columns` may be 0. The caller frees with table_free(), which takes NULL. */
struct table *table_new(size_t columns) MUST_CHECK;
void table_free(struct table *table);

/* Sets the heading of a column: on the right where all its cells are. */
void table_head(struct table *table, size_t column, struct str text);
/* Appends the next cell, row by row. Line breaks, tabs and what a terminal would obey are
 * escaped. */
void table_cell(struct table *table, struct str text, enum table_align align);

/* Columns on the screen that the widest line takes. */
size_t table_columns(const struct table *table, enum table_style style);
/* Writes the table; with `headers` false only its rows. The last column is not padded. */
void table_print(const struct table *table, FILE *out, enum table_style style, bool headers);

#endif
