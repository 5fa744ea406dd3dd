/* Protobuf's wire format, as far as Hrana needs it. Private to proto/hrana/protobuf_*.c. */
#ifndef PROTO_HRANA_PROTOBUF_WIRE_H
#define PROTO_HRANA_PROTOBUF_WIRE_H

#include "proto/hrana/model.h"
#include "tenants/base/buf.h"

#define VARINT_BYTES_MAX 10

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* ---- reading ---- */

/* What is left of one message. */
struct wire_reader {
    const unsigned char *at;
    const unsigned char *end;
    const unsigned char *body; /* the whole body's start: errors say the byte */
    struct err *err;           /* of every -1 */
};

struct wire_field {
    uint32_t number;
    enum wire wire;
    uint64_t value;   /* of the three that are numbers */
    struct str bytes; /* WIRE_BYTES: a view, ptr never NULL */
};

void wire_reader_init(struct wire_reader *reader, struct str body, struct err *err);
/* The message in a field of `outer`. */
struct wire_reader wire_within(const struct wire_reader *outer, const struct wire_field *field);
/* The next field: 1; the message's end: 0. -1: truncated, or no field. */
int wire_next(struct wire_reader *reader, struct wire_field *ret_field) MUST_CHECK;
/* ERR_BAD_REQUEST "the body is not valid protobuf: WHY (at byte N)". */
int wire_malformed(const struct wire_reader *reader, const char *why);
/* Each -1 when the field is of another wire type, or out of range. */
int wire_message(const struct wire_reader *reader, const struct wire_field *field,
    struct wire_reader *ret_message) MUST_CHECK;
int wire_text(const struct wire_reader *reader, const struct wire_field *field,
    struct str *ret_text) MUST_CHECK; /* UTF-8 */
int wire_blob(const struct wire_reader *reader, const struct wire_field *field,
    struct str *ret_bytes) MUST_CHECK;
int wire_int32(const struct wire_reader *reader, const struct wire_field *field, int32_t *ret_value)
    MUST_CHECK;
int wire_uint32(const struct wire_reader *reader, const struct wire_field *field,
    uint32_t *ret_value) MUST_CHECK;
int wire_sint64(const struct wire_reader *reader, const struct wire_field *field,
    int64_t *ret_value) MUST_CHECK;
int wire_bool(const struct wire_reader *reader, const struct wire_field *field, bool *ret_value)
    MUST_CHECK;
int wire_double(const struct wire_reader *reader, const struct wire_field *field, double *ret_value)
    MUST_CHECK;

/* ---- writing ---- */

size_t wire_varint_size(uint64_t value);
void wire_put_varint(struct buf *out, uint64_t value);
void wire_put_double(struct buf *out, double value);

static inline uint64_t wire_zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline void wire_put_tag(struct buf *out, unsigned number, enum wire wire)
{
    buf_char(out, (char)(number << 3 | wire)); /* numbers up to 15 are one byte; Hrana has 13 */
}

/* Field of a request, and of its response, in RequestMsg or StreamRequest; 0: it is in neither. */
unsigned hrana_protobuf_field(enum hrana_request_type type, bool websocket);

#endif
