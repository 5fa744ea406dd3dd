/* CSV in: RFC 4180, with line breaks and quotes inside quoted fields.
 *
 * Threads: any.   Memory: the reader's buffers, as large as the longest row. */
#ifndef SRC_ROOK_CSV_H
#define SRC_ROOK_CSV_H

#include <stdio.h>

#include "tenants/base/buf.h"
#include "tenants/base/err.h"

struct csv {
    FILE *in; /* borrowed */
    char separator;
    unsigned line; /* where the last row began */
    unsigned next_line;
    struct buf text;   /* of the fields, one after the other */
    struct buf fields; /* of struct csv_field */
};

struct csv_field {
    size_t at;
    size_t len;
    bool quoted; /* "" is an empty text, nothing between commas may be NULL */
};

void csv_init(struct csv *csv, FILE *in);
void csv_fini(struct csv *csv);

/* Reads the next row. 1, 0 at the end, -1 with ERR_BAD_REQUEST (a quote that never ends) or
 * ERR_IO. Empty lines are skipped. */
int csv_next(struct csv *csv, struct err *ret_err) MUST_CHECK;

size_t csv_count(const struct csv *csv);
/* Until the next csv_next(). */
struct str csv_text(const struct csv *csv, size_t field);
bool csv_quoted(const struct csv *csv, size_t field);

#endif
