/* Answers, written without knowing whether they become JSON or MessagePack: commas and counts are
 * the encoder's.
 *
 *     encoder_object(&e);
 *         encoder_key(&e, "name");
 *         encoder_string(&e, name);
 *     encoder_end(&e);
 *
 * Straight into a buffer; what does not fit is the buffer's mark (buf.failed). Any thread. */
#ifndef PROTO_ENCODER_H
#define PROTO_ENCODER_H

#include "proto/document.h"

#define ENCODER_DEPTH_MAX 24

struct encoder {
    struct buf *out;
    enum body_format format;
    unsigned depth;
    struct {
        size_t where; /* MessagePack: the head to patch */
        uint32_t count;
        bool map;
    } levels[ENCODER_DEPTH_MAX];
    bool after_key;
};

void encoder_init(struct encoder *encoder, struct buf *out, enum body_format format);
void encoder_object(struct encoder *encoder);
void encoder_array(struct encoder *encoder);
void encoder_end(struct encoder *encoder);                  /* of the innermost object or array */
void encoder_key(struct encoder *encoder, const char *key); /* needs no escapes */
void encoder_key_str(struct encoder *encoder, struct str key);
void encoder_string(struct encoder *encoder, struct str text); /* not UTF-8: see values.h */
void encoder_cstring(struct encoder *encoder, const char *text);
/* null when the text's ptr is NULL. */
void encoder_string_or_null(struct encoder *encoder, struct str text);
void encoder_integer(struct encoder *encoder, int64_t value);
void encoder_u64(struct encoder *encoder, uint64_t value); /* over INT64_MAX: INT64_MAX */
void encoder_real(struct encoder *encoder, double value);
void encoder_bool(struct encoder *encoder, bool value);
void encoder_null(struct encoder *encoder);
/* "2026-05-05T12:30:00.000Z"; 0: null. */
void encoder_time(struct encoder *encoder, int64_t wall_ms);
/* Bytes that are one value in the encoder's format already. */
void encoder_raw(struct encoder *encoder, struct str value);
/* A JSON text of our own as a value: as it is, or turned into MessagePack (a string when it is
 * malformed or too deep). */
void encoder_json(struct encoder *encoder, struct str json, struct arena *arena);
/* A value written with the buffer's own functions follows: puts the comma, counts it. */
void encoder_prepare(struct encoder *encoder);
#endif
