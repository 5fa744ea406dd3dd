/* Names and values as SQL text that any SQLite reads back as exactly the same, also through a shell
 * that reads line by line: texts with NUL, carriage returns or bytes that are not UTF-8 become
 * CAST(x'...' AS TEXT), infinities 1e999, and very small reals a product of two. Any thread. */
#ifndef PROTO_HRANA_SQL_LITERAL_H
#define PROTO_HRANA_SQL_LITERAL_H

#include "tenants/base/buf.h"
#include "tenants/value.h"

/* In double quotes. */
void sql_literal_name(struct buf *out, struct str name);
void sql_literal_value(struct buf *out, const struct value *value);

#endif
