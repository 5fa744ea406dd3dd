/* MessagePack both ways, with msgpack-c.
 *
 * The library believes what a message announces (five bytes make it reserve 8 GB), so a message is
 * scanned first, without allocating: counts against the bytes that are left, depth, UTF-8 of
 * strings, bytes behind the value, and the number of objects, whose tree the arena's limit bounds.
 *
 *     fixed 0x80-0x8f, de, df  maps          fixed a0-bf, d9-db  strings (must be UTF-8)
 *     fixed 0x90-0x9f, dc, dd  arrays        c4-c6               bin: blobs
 *     00-7f, e0-ff, cc-d3      integers      ca, cb              floats
 *     c0, c2, c3               nil, booleans d4-d8, c7-c9        ext; type 1: text, not UTF-8
 *
 * Keys of maps must be strings. Writer: values straight into a buffer; counts of arrays and maps
 * are either known or patched (msgpack_open, msgpack_close). Thread: any, one at a time per reader
 * and buffer. */
#ifndef PROTO_MSGPACK_H
#define PROTO_MSGPACK_H

#include "proto/token.h"
#include "tenants/base/arena.h"
#include "tenants/base/buf.h"
#include "tenants/base/err.h"

#define MSGPACK_DEPTH_MAX 30 /* msgpack-c gives up at 32 */
#define MSGPACK_EXT_BAD_TEXT 1

struct msgpack_object;

/* The scan alone. 0, or ERR_INVALID_MSGPACK with the offset in the message; ERR_TOO_LARGE when
 * there are more than `objects_max` objects. */
int msgpack_check(struct str input, unsigned depth_max, size_t objects_max, struct err *ret_err)
    MUST_CHECK;

struct msgpack_level {
    const struct msgpack_object *container;
    uint32_t next;    /* index of the entry to come */
    bool value_comes; /* maps: the key was given */
};

/* Gives a message token by token, as proto/json.h does. */
struct msgpack_reader {
    int64_t integer;
    double real;
    struct str text;
    const char *error; /* static, once a token was TOKEN_INVALID */

    const struct msgpack_object *root; /* in a zone that the arena disposes of */
    bool started;
    unsigned depth;
    struct msgpack_level levels[MSGPACK_DEPTH_MAX + 1];
};

/* Scans and unpacks. Strings are views into the input. Errors as msgpack_check(). */
int msgpack_reader_init(struct msgpack_reader *reader, struct str input, unsigned depth_max,
    struct arena *arena, struct err *ret_err) MUST_CHECK;
enum token msgpack_next(struct msgpack_reader *reader);

void msgpack_write_nil(struct buf *out);
void msgpack_write_bool(struct buf *out, bool value);
void msgpack_write_integer(struct buf *out, int64_t value);
void msgpack_write_real(struct buf *out, double value);
void msgpack_write_string(struct buf *out, struct str text); /* must be UTF-8 */
void msgpack_write_text(struct buf *out, struct str text);   /* ext 1 when it is not UTF-8 */
void msgpack_write_blob(struct buf *out, struct str bytes);
void msgpack_write_array(struct buf *out, uint32_t count);
void msgpack_write_map(struct buf *out, uint32_t count);
/* An array or map whose count is not known yet: five bytes. Returns where, for the patch. */
size_t msgpack_open(struct buf *out, bool map);
void msgpack_close(struct buf *out, size_t where, uint32_t count);

#endif
