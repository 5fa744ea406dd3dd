/* SQLite's values as ours, and compared. */
#ifndef TENANTS_DIFF_VALUES_H
#define TENANTS_DIFF_VALUES_H

#include "tenants/value.h"

struct sqlite3_stmt;

/* A view until the statement's next step. */
struct value cell_value(struct sqlite3_stmt *statement, int column);
/* Views have to last until the statement is reset. */
void bind_cell(struct sqlite3_stmt *statement, int at, const struct value *value);
/* The same; the statement takes a copy. */
void bind_copy(struct sqlite3_stmt *statement, int at, const struct value *value);
/* The same type and the same bits: 1 and 1.0 differ. */
bool value_same(const struct value *a, const struct value *b);

#endif
