/* SQL values: how a person types one, and how one is shown.
 *
 * Typed on the command line (documented by `rook help query`):
 *
 *     null                     NULL
 *     42  -7                   integer, when it fits 64 bits and has no leading zeros
 *     1.5  -2e10               real
 *     anything else            text: 007 and +49 stay text
 *     int:42 real:1 text:42    the type said before the value
 *     blob:0aff  file:PATH     bytes in hexadecimal; the bytes of a file
 *     textfile:PATH            the text of a file
 *     json:VALUE               a JSON scalar, or the server's {"$blob":…} form
 *     :name=VALUE              a named parameter (also @name=, $name=), VALUE as above
 *
 * Threads: main.   Limits: files up to 64 MiB. */
#ifndef SRC_ROOK_VALUE_H
#define SRC_ROOK_VALUE_H

#include "src/rook/json.h"

/* Adds the parameter typed as `arg` to `*params`: NULL at first, then an array, or an object when
 * the parameters have names. Errors: ERR_BAD_REQUEST, with what is wrong. */
int value_add_param(json_t **params, const char *arg, struct err *ret_err) MUST_CHECK;

enum value_form {
    VALUE_SHOWN, /* for people: blob x'0aff' */
    VALUE_CSV,   /* bytes as they are where they are text; blobs in hexadecimal */
};

/* Appends a value of a result row. NULL appends `null_text`. */
void value_write(struct buf *out, const json_t *value, enum value_form form, const char *null_text);

/* True for what is shown right-aligned. */
bool value_is_number(const json_t *value);

#endif
