#include "proto/hrana/protobuf_wire.h"

#define FIELD_NUMBER_MAX ((1U << 29) - 1)

/* ---- reading ---- */

void wire_reader_init(struct wire_reader *reader, struct str body, struct err *err)
{
    const unsigned char *bytes = (const unsigned char *)(body.ptr == NULL ? "" : body.ptr);

    reader->at = bytes;
    reader->end = bytes + body.len;
    reader->body = bytes;
    reader->err = err;
}

struct wire_reader wire_within(const struct wire_reader *outer, const struct wire_field *field)
{
    struct wire_reader inner = *outer;

    inner.at = (const unsigned char *)field->bytes.ptr;
    inner.end = inner.at + field->bytes.len;
    return inner;
}

int wire_malformed(const struct wire_reader *reader, const char *why)
{
    return err_set(reader->err, ERR_BAD_REQUEST, "the body is not valid protobuf: %s (at byte %zu)",
        why, (size_t)(reader->at - reader->body));
}

static int read_varint(struct wire_reader *reader, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned shift = 0; reader->at < reader->end; shift += 7) {
        unsigned char byte = *reader->at;

        /* The tenth byte has the last bit. */
        if (shift == 63 && byte > 1)
            return wire_malformed(reader, "a number has more than 64 bits");
        reader->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret_value = value;
            return 0;
        }
    }
    return wire_malformed(reader, "it ends within a number");
}

/* Little-endian. */
static int read_fixed(struct wire_reader *reader, unsigned len, uint64_t *ret_value)
{
    uint64_t value = 0;

    if ((size_t)(reader->end - reader->at) < len)
        return wire_malformed(reader, "it ends within a number");
    for (unsigned i = 0; i < len; i++)
        value |= (uint64_t)reader->at[i] << (8 * i);
    reader->at += len;
    *ret_value = value;
    return 0;
}

static int read_bytes(struct wire_reader *reader, struct str *ret_bytes)
{
    uint64_t len = 0;

    if (read_varint(reader, &len) < 0)
        return -1;
    if (len > (uint64_t)(reader->end - reader->at))
        return wire_malformed(reader, "a field is longer than what holds it");
    *ret_bytes = str_make((const char *)reader->at, (size_t)len);
    reader->at += len;
    return 0;
}

int wire_next(struct wire_reader *reader, struct wire_field *ret_field)
{
    uint64_t tag = 0;

    if (reader->at == reader->end)
        return 0;
    if (read_varint(reader, &tag) < 0)
        return -1;
    if (tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
        return wire_malformed(reader, "there is no field of that number");
    ret_field->number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case WIRE_VARINT:
        ret_field->wire = WIRE_VARINT;
        return read_varint(reader, &ret_field->value) < 0 ? -1 : 1;
    case WIRE_FIXED64:
        ret_field->wire = WIRE_FIXED64;
        return read_fixed(reader, 8, &ret_field->value) < 0 ? -1 : 1;
    case WIRE_BYTES:
        ret_field->wire = WIRE_BYTES;
        return read_bytes(reader, &ret_field->bytes) < 0 ? -1 : 1;
    case WIRE_FIXED32:
        ret_field->wire = WIRE_FIXED32;
        return read_fixed(reader, 4, &ret_field->value) < 0 ? -1 : 1;
    default:
        return wire_malformed(reader, "groups are not taken");
    }
}

static int expect(const struct wire_reader *reader, const struct wire_field *field, enum wire wire)
{
    return field->wire == wire
               ? 0
               : wire_malformed(reader, "a field has another type than the protocol gives it");
}

int wire_message(const struct wire_reader *reader, const struct wire_field *field,
    struct wire_reader *ret_message)
{
    if (expect(reader, field, WIRE_BYTES) < 0)
        return -1;
    *ret_message = wire_within(reader, field);
    return 0;
}

int wire_text(
    const struct wire_reader *reader, const struct wire_field *field, struct str *ret_text)
{
    if (expect(reader, field, WIRE_BYTES) < 0)
        return -1;
    if (!str_is_utf8(field->bytes))
        return wire_malformed(reader, "a text is not UTF-8");
    *ret_text = field->bytes;
    return 0;
}

int wire_blob(
    const struct wire_reader *reader, const struct wire_field *field, struct str *ret_bytes)
{
    if (expect(reader, field, WIRE_BYTES) < 0)
        return -1;
    *ret_bytes = field->bytes;
    return 0;
}

int wire_int32(const struct wire_reader *reader, const struct wire_field *field, int32_t *ret_value)
{
    if (expect(reader, field, WIRE_VARINT) < 0)
        return -1;
    /* Negative ones have all 64 bits, and from some encoders 32. */
    if (field->value > UINT32_MAX && field->value < (uint64_t)INT32_MIN)
        return wire_malformed(reader, "a number has more than 32 bits");
    *ret_value = (int32_t)(uint32_t)field->value;
    return 0;
}

int wire_uint32(
    const struct wire_reader *reader, const struct wire_field *field, uint32_t *ret_value)
{
    if (expect(reader, field, WIRE_VARINT) < 0)
        return -1;
    if (field->value > UINT32_MAX)
        return wire_malformed(reader, "a number has more than 32 bits");
    *ret_value = (uint32_t)field->value;
    return 0;
}

int wire_sint64(
    const struct wire_reader *reader, const struct wire_field *field, int64_t *ret_value)
{
    if (expect(reader, field, WIRE_VARINT) < 0)
        return -1;
    *ret_value = (int64_t)((field->value >> 1) ^ (0 - (field->value & 1)));
    return 0;
}

int wire_bool(const struct wire_reader *reader, const struct wire_field *field, bool *ret_value)
{
    if (expect(reader, field, WIRE_VARINT) < 0)
        return -1;
    *ret_value = field->value != 0;
    return 0;
}

int wire_double(const struct wire_reader *reader, const struct wire_field *field, double *ret_value)
{
    if (expect(reader, field, WIRE_FIXED64) < 0)
        return -1;
    memcpy(ret_value, &field->value, sizeof(*ret_value));
    return 0;
}

/* ---- writing ---- */

size_t wire_varint_size(uint64_t value)
{
    size_t size = 1;

    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

void wire_put_varint(struct buf *out, uint64_t value)
{
    char bytes[VARINT_BYTES_MAX];
    size_t len = 0;

    for (; value >= 0x80; value >>= 7)
        bytes[len++] = (char)(value | 0x80);
    bytes[len++] = (char)value;
    buf_append(out, bytes, len);
}

void wire_put_double(struct buf *out, double value)
{
    char bytes[sizeof(value)];
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(bits >> (8 * i));
    buf_append(out, bytes, sizeof(bytes));
}

/* ---- the schemas' shared numbers ---- */

unsigned hrana_protobuf_field(enum hrana_request_type type, bool websocket)
{
    static const struct {
        uint8_t http;
        uint8_t websocket;
    } fields[HRANA_REQUEST_TYPE_COUNT] = {
        [HRANA_CLOSE] = {1, 3},
        [HRANA_EXECUTE] = {2, 4},
        [HRANA_BATCH] = {3, 5},
        [HRANA_SEQUENCE] = {4, 9},
        [HRANA_DESCRIBE] = {5, 10},
        [HRANA_STORE_SQL] = {6, 11},
        [HRANA_CLOSE_SQL] = {7, 12},
        [HRANA_GET_AUTOCOMMIT] = {8, 13},
        [HRANA_OPEN_STREAM] = {0, 2},
        [HRANA_OPEN_CURSOR] = {0, 6},
        [HRANA_CLOSE_CURSOR] = {0, 7},
        [HRANA_FETCH_CURSOR] = {0, 8},
    };

    return websocket ? fields[type].websocket : fields[type].http;
}
