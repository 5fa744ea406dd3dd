/* SQL functions in place of SQLite's own, where those take time that grows with the product of
 * their arguments' lengths and look at no interrupt: `instr` of one megabyte in two held a thread
 * for 12 s, at 32 MB it would be hours. instr, replace, trim, ltrim and rtrim give the same results
 * in linear time; unhex with two arguments, json_patch and jsonb_patch are SQLite's own within
 * FUNCTIONS_PRODUCT_MAX and an error beyond it.
 *
 * What remains: LIKE and GLOB are bounded by their pattern's length (set by connection_open).
 * FTS5's highlight() and very long MATCH expressions are quadratic, but allocate as they go.
 *
 * Thread: whoever runs the lane. */
#ifndef TENANTS_FUNCTIONS_H
#define TENANTS_FUNCTIONS_H

#include "tenants/base/err.h"

struct sqlite3;

/* Bytes of one argument times bytes of the other: about a second. */
#define FUNCTIONS_PRODUCT_MAX (1LL << 31)

/* Registers them on a connection. Errors: ERR_NOMEM. */
int functions_register(struct sqlite3 *db, struct err *ret_err) MUST_CHECK;

#endif
