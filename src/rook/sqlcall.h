/* Statements sent to a database: the calls that `rook query` and the shell share.
 *
 * Functions that return int return 0, or the exit status after having reported the error. */
#ifndef SRC_ROOK_SQLCALL_H
#define SRC_ROOK_SQLCALL_H

#include "src/rook/client.h"

#define SQL_BATCH_MAX 100 /* statements the server takes in one batch */

/* Runs one statement; takes `params` (NULL: none). */
int sql_query(struct client *client, const struct target *target, const struct statement *statement,
    json_t *params, struct answer *ret_answer) MUST_CHECK;

/* Runs up to SQL_BATCH_MAX as one transaction; the answer's data is an array of results. */
int sql_transaction(struct client *client, const struct target *target,
    const struct statement *statements, size_t count, struct answer *ret_answer) MUST_CHECK;

/* Prints a result's rows, if it has columns; JSON formats print every result. */
void sql_show(const struct client *client, const json_t *result);
/* Appends "3 rows", "1 row changed" or "done". */
void sql_remark(struct buf *out, const json_t *result);

#endif
