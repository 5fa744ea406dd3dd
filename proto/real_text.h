/* Doubles as text, without the C library. */
#ifndef PROTO_REAL_TEXT_H
#define PROTO_REAL_TEXT_H

#include "tenants/base/macros.h"

#define REAL_TEXT_MAX 32

/* Writes a text that reads back as exactly `value` (finite), nearly always the shortest, with a
 * '.' or an 'e' in it; no NUL. Returns its length. */
size_t real_text(double value, char out[REAL_TEXT_MAX]);

#endif
