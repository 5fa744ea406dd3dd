/* JSON in and out, over jansson, with what jansson alone would lose.
 *
 * Two forms of the wire do not fit its types. An infinity is written 1e999, which jansson refuses
 * as out of range: on reading it becomes the object {"$real":"1e999"}, on writing that object
 * becomes 1e999 again. And doubles are written with the fewest digits that read back the same
 * (0.1, not 0.10000000000000001).
 *
 * Threads: main.   Memory: the parsed tree is about ten times the text.
 * Limits: jansson's nesting depth (2,048). */
#ifndef SRC_ROOK_JSON_H
#define SRC_ROOK_JSON_H

#include <jansson.h>

#include "tenants/base/buf.h"
#include "tenants/base/err.h"

/* The caller owns the result (json_decref). Errors: ERR_INVALID_JSON, with what and where. */
json_t *json_read(struct str text, struct err *ret_err) MUST_CHECK;

enum json_layout {
    JSON_LAYOUT_LINE,   /* on one line */
    JSON_LAYOUT_INDENT, /* two blanks per level; arrays of scalars on one line */
};

/* Appends `value`; object keys in the order they came. */
void json_write(struct buf *out, const json_t *value, enum json_layout layout);

/* The digits of a double: shortest that read back the same, always with a point or an exponent. */
void json_write_real(struct buf *out, double value);

/* Members of an answer, read forgivingly: NULL, 0 or `otherwise` when absent or another type. */
const char *json_text(const json_t *object, const char *key, const char *otherwise);
int64_t json_int(const json_t *object, const char *key, int64_t otherwise);
bool json_is(const json_t *object, const char *key); /* present and true */

/* A string value as bytes: it may hold NULs. Empty for anything else. */
struct str json_str(const json_t *string);

#endif
