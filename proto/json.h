/* JSON as RFC 8259 has it, no more: a pull reader over bytes that are all there, and a writer that
 * appends to a buffer.
 *
 * Reader: sans-I/O, no allocation but the arena, and that only for strings with escapes; all others
 * are views into the input. Text must be UTF-8 and escapes must make Unicode (no lone surrogates).
 * Duplicate keys are reported as they come. Numbers: written without fraction and exponent they are
 * int64 where they fit and doubles where not, as SQL literals are; all others are doubles, and
 * those too large are infinities, so that 1e999 is one.
 *
 * Writer: values only; commas, colons and brackets are the caller's (proto/encoder.h adds them).
 * Thread: any, one at a time per reader and buffer. */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include "proto/token.h"
#include "tenants/base/arena.h"
#include "tenants/base/buf.h"
#include "tenants/base/err.h"

#define JSON_DEPTH_MAX 256 /* whatever the caller allows */

struct json_reader {
    /* What the last token was. Strings and keys: a view into the input, or in the arena. */
    int64_t integer;
    double real;
    struct str text;

    const char *error;   /* static text once a token was TOKEN_INVALID */
    size_t error_offset; /* byte it concerns */

    struct arena *arena; /* borrowed */
    const char *start;
    const char *at;
    const char *end;
    unsigned depth;
    unsigned depth_max;
    unsigned char expect;
    uint64_t in_object[JSON_DEPTH_MAX / 64]; /* bit per level */
};

/* Arrays and objects may nest `depth_max` deep (at most JSON_DEPTH_MAX). The input must stay while
 * strings from it are in use. */
void json_reader_init(
    struct json_reader *reader, struct str input, unsigned depth_max, struct arena *arena);
/* The next token. After TOKEN_INVALID it stays so. */
enum token json_next(struct json_reader *reader);

/* Decimal digits. */
void json_write_integer(struct buf *out, int64_t value);
/* Shortest text that reads back as the same double, always with a fraction or exponent so that it
 * reads back as a double at all; infinities as 1e999 and -1e999, NaN as null. */
void json_write_real(struct buf *out, double value);
/* Quoted and escaped. `text` must be UTF-8 (CHECKed by nobody: see json_write_text). */
void json_write_string(struct buf *out, struct str text);
/* The same; -1 when `text` is not UTF-8, and nothing is written. */
int json_write_text(struct buf *out, struct str text) MUST_CHECK;

#endif
