/* SQL values in JSON and MessagePack, both ways.
 *
 *     SQL          JSON                               MessagePack
 *     NULL         null                               nil
 *     INTEGER      digits, or "digits" on request     int
 *     REAL         1.5, 3.0, 1e999, -1e999            float 64
 *     TEXT         "..."                              str
 *     TEXT, bad    {"$text":"<base64>"}               ext 1      text that is not UTF-8
 *     BLOB         {"$blob":"<base64>"}               bin
 *
 * The same is taken as parameters; booleans become 1 and 0, and either format takes the {"$blob"}
 * and {"$text"} forms. Integers beyond int64 become REAL, as in SQL. Any thread. */
#ifndef PROTO_VALUES_H
#define PROTO_VALUES_H

#include "proto/document.h"
#include "tenants/value.h"

/* The value whose first token was just read. Bytes are views or in the document's arena.
 * ERR_BAD_REQUEST for arrays and other objects; the document's own errors. */
int values_read(struct document *document, struct value *ret_value, struct err *ret_err) MUST_CHECK;

/* Parameters: an array of values, an object of named ones, or null, whose first token was just
 * read. ERR_BAD_REQUEST naming the parameter's place or name. */
int values_read_parameters(struct document *document, const struct parameter **ret_parameters,
    unsigned *ret_count, struct err *ret_err) MUST_CHECK;

void values_write_json(struct buf *out, const struct value *value, bool integers_as_strings);
void values_write_msgpack(struct buf *out, const struct value *value);
/* TEXT alone, in either format. */
void values_write_text(struct buf *out, enum body_format format, struct str text);

#endif
