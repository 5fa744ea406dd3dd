#include "proto/msgpack.h"

#include <msgpack.h>

#include "tenants/base/check.h"

/* ---- the scan ---- */

struct scan {
    const unsigned char *start;
    const unsigned char *at;
    const unsigned char *end;
    unsigned depth;
    unsigned depth_max;
    struct {
        uint64_t left; /* objects still to come at this level */
        bool map;
    } levels[MSGPACK_DEPTH_MAX + 1];
};

static int scan_error(
    const struct scan *s, const unsigned char *at, const char *what, struct err *ret_err)
{
    return err_set(ret_err, ERR_INVALID_MSGPACK, "the body is not MessagePack: %s at byte %zu",
        what, (size_t)(at - s->start));
}

/* Big-endian number of `size` bytes behind s->at; moves on. */
static int take_number(struct scan *s, unsigned size, uint64_t *ret_value, struct err *ret_err)
{
    uint64_t value = 0;

    if ((size_t)(s->end - s->at) < size)
        return scan_error(s, s->at, "it is cut off", ret_err);
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | *s->at++;
    *ret_value = value;
    return 0;
}

static int take_bytes(struct scan *s, uint64_t len, bool utf8, struct err *ret_err)
{
    if ((uint64_t)(s->end - s->at) < len)
        return scan_error(s, s->at, "it is cut off", ret_err);
    if (utf8 && !str_is_utf8(str_make((const char *)s->at, (size_t)len)))
        return scan_error(s, s->at, "a string is not UTF-8", ret_err);
    s->at += len;
    return 0;
}

static int enter(struct scan *s, uint64_t count, bool map, struct err *ret_err)
{
    uint64_t objects = map ? count * 2 : count;

    /* Each object takes a byte at least: what is announced must fit into what is left. */
    if (objects > (uint64_t)(s->end - s->at))
        return scan_error(s, s->at, "a count exceeds the bytes that follow", ret_err);
    if (s->depth >= s->depth_max)
        return scan_error(s, s->at, "it is nested too deeply", ret_err);
    s->depth++;
    s->levels[s->depth].left = objects;
    s->levels[s->depth].map = map;
    return 0;
}

static bool is_string(unsigned char type)
{
    return (type >= 0xa0 && type <= 0xbf) || (type >= 0xd9 && type <= 0xdb);
}

/* One object's head, and its bytes when it is no container. */
static int scan_object(struct scan *s, struct err *ret_err)
{
    unsigned char type = *s->at++;
    uint64_t value = 0;

    if (type <= 0x7f || type >= 0xe0 || type == 0xc0 || type == 0xc2 || type == 0xc3)
        return 0;
    if (type <= 0x8f)
        return enter(s, type & 15, true, ret_err);
    if (type <= 0x9f)
        return enter(s, type & 15, false, ret_err);
    if (type <= 0xbf)
        return take_bytes(s, type & 31, true, ret_err);
    switch (type) {
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return take_number(s, 1U << (type - 0xc4), &value, ret_err) < 0
                   ? -1
                   : take_bytes(s, value, false, ret_err);
    case 0xc7:
    case 0xc8:
    case 0xc9:
        return take_number(s, 1U << (type - 0xc7), &value, ret_err) < 0
                   ? -1
                   : take_bytes(s, value + 1, false, ret_err);
    case 0xca:
        return take_bytes(s, 4, false, ret_err);
    case 0xcb:
        return take_bytes(s, 8, false, ret_err);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return take_bytes(s, 1U << (type - 0xcc), false, ret_err);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return take_bytes(s, 1U << (type - 0xd0), false, ret_err);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return take_bytes(s, (1U << (type - 0xd4)) + 1, false, ret_err);
    case 0xd9:
    case 0xda:
    case 0xdb:
        return take_number(s, 1U << (type - 0xd9), &value, ret_err) < 0
                   ? -1
                   : take_bytes(s, value, true, ret_err);
    case 0xdc:
    case 0xdd:
        return take_number(s, 2U << (type - 0xdc), &value, ret_err) < 0
                   ? -1
                   : enter(s, value, false, ret_err);
    case 0xde:
    case 0xdf:
        return take_number(s, 2U << (type - 0xde), &value, ret_err) < 0
                   ? -1
                   : enter(s, value, true, ret_err);
    default: /* 0xc1 */
        return scan_error(s, s->at - 1, "unknown type", ret_err);
    }
}

int msgpack_check(struct str input, unsigned depth_max, size_t objects_max, struct err *ret_err)
{
    struct scan s = {
        .start = (const unsigned char *)input.ptr,
        .at = (const unsigned char *)input.ptr,
        .depth_max = MIN(depth_max, (unsigned)MSGPACK_DEPTH_MAX),
    };
    size_t objects = 0;

    s.end = input.len == 0 ? s.at : s.at + input.len;
    s.levels[0].left = 1;
    for (;;) {
        bool key;

        while (s.depth > 0 && s.levels[s.depth].left == 0)
            s.depth--;
        if (s.depth == 0 && s.levels[0].left == 0)
            break;
        if (s.at == s.end)
            return scan_error(&s, s.at, "it is cut off", ret_err);
        if (++objects > objects_max)
            return err_set(
                ret_err, ERR_TOO_LARGE, "the body holds more than %zu values", objects_max);
        key = s.levels[s.depth].map && s.levels[s.depth].left % 2 == 0;
        s.levels[s.depth].left--;
        if (key && !is_string(*s.at))
            return scan_error(&s, s.at, "a key is not a string", ret_err);
        if (scan_object(&s, ret_err) < 0)
            return -1;
    }
    return s.at == s.end ? 0 : scan_error(&s, s.at, "something follows the value", ret_err);
}

/* ---- the reader ---- */

static void dispose_zone(void *zone)
{
    msgpack_zone_free(zone);
}

int msgpack_reader_init(struct msgpack_reader *reader, struct str input, unsigned depth_max,
    struct arena *arena, struct err *ret_err)
{
    size_t room = arena->limit_bytes == 0 ? SIZE_MAX : arena->limit_bytes - arena->used_bytes;
    msgpack_zone *zone;
    msgpack_object *root;
    size_t offset = 0;

    *reader = (struct msgpack_reader){.depth = 0};
    /* A pair of a map is two objects. */
    if (msgpack_check(input, depth_max, room / sizeof(msgpack_object), ret_err) < 0)
        return -1;
    root = arena_alloc(arena, sizeof(*root));
    zone = root == NULL ? NULL : msgpack_zone_new(2048);
    if (zone == NULL || arena_on_end(arena, dispose_zone, zone) < 0)
        return err_set(ret_err, ERR_TOO_LARGE, "the request needs too much memory");
    if (msgpack_unpack(input.ptr, input.len, &offset, zone, root) != MSGPACK_UNPACK_SUCCESS ||
        offset != input.len)
        return err_set(ret_err, ERR_INVALID_MSGPACK, "the body is not MessagePack");
    reader->root = root;
    return 0;
}

static enum token give(struct msgpack_reader *r, const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        return TOKEN_NULL;
    case MSGPACK_OBJECT_BOOLEAN:
        return object->via.boolean ? TOKEN_TRUE : TOKEN_FALSE;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        if (object->via.u64 > INT64_MAX) {
            r->real = (double)object->via.u64;
            return TOKEN_REAL;
        }
        r->integer = (int64_t)object->via.u64;
        return TOKEN_INTEGER;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        r->integer = object->via.i64;
        return TOKEN_INTEGER;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        r->real = object->via.f64;
        return TOKEN_REAL;
    case MSGPACK_OBJECT_STR:
        r->text = str_make(object->via.str.ptr, object->via.str.size);
        return TOKEN_STRING;
    case MSGPACK_OBJECT_BIN:
        r->text = str_make(object->via.bin.ptr, object->via.bin.size);
        return TOKEN_BLOB;
    case MSGPACK_OBJECT_EXT:
        if (object->via.ext.type != MSGPACK_EXT_BAD_TEXT) {
            r->error = "an extension type other than 1";
            return TOKEN_INVALID;
        }
        r->text = str_make(object->via.ext.ptr, object->via.ext.size);
        return TOKEN_BAD_TEXT;
    case MSGPACK_OBJECT_ARRAY:
    case MSGPACK_OBJECT_MAP:
        CHECK(r->depth < ARRAY_LEN(r->levels));
        r->levels[r->depth++] = (struct msgpack_level){.container = object};
        return object->type == MSGPACK_OBJECT_MAP ? TOKEN_OBJECT : TOKEN_ARRAY;
    default:
        r->error = "an unknown type";
        return TOKEN_INVALID;
    }
}

enum token msgpack_next(struct msgpack_reader *r)
{
    struct msgpack_level *level;
    const msgpack_object *container;

    if (r->error != NULL)
        return TOKEN_INVALID;
    if (r->depth == 0) {
        if (r->started)
            return TOKEN_END;
        r->started = true;
        return give(r, r->root);
    }
    level = &r->levels[r->depth - 1];
    container = level->container;
    if (container->type == MSGPACK_OBJECT_ARRAY) {
        if (level->next == container->via.array.size) {
            r->depth--;
            return TOKEN_ARRAY_END;
        }
        return give(r, &container->via.array.ptr[level->next++]);
    }
    if (level->value_comes) {
        level->value_comes = false;
        return give(r, &container->via.map.ptr[level->next++].val);
    }
    if (level->next == container->via.map.size) {
        r->depth--;
        return TOKEN_OBJECT_END;
    }
    level->value_comes = true;
    (void)give(r, &container->via.map.ptr[level->next].key);
    return TOKEN_KEY;
}

/* ---- the writer ---- */

static int on_write(void *out, const char *bytes, size_t len)
{
    buf_append(out, bytes, len);
    return 0;
}

static inline msgpack_packer packer(struct buf *out)
{
    return (msgpack_packer){.data = out, .callback = on_write};
}

void msgpack_write_nil(struct buf *out)
{
    buf_char(out, (char)0xc0);
}

void msgpack_write_bool(struct buf *out, bool value)
{
    buf_char(out, (char)(value ? 0xc3 : 0xc2));
}

void msgpack_write_integer(struct buf *out, int64_t value)
{
    msgpack_packer pk = packer(out);

    (void)msgpack_pack_int64(&pk, value);
}

void msgpack_write_real(struct buf *out, double value)
{
    msgpack_packer pk = packer(out);

    (void)msgpack_pack_double(&pk, value);
}

void msgpack_write_string(struct buf *out, struct str text)
{
    msgpack_packer pk = packer(out);

    (void)msgpack_pack_str(&pk, text.len);
    buf_str(out, text);
}

void msgpack_write_text(struct buf *out, struct str text)
{
    msgpack_packer pk = packer(out);

    if (str_is_utf8(text)) {
        msgpack_write_string(out, text);
        return;
    }
    (void)msgpack_pack_ext(&pk, text.len, MSGPACK_EXT_BAD_TEXT);
    buf_str(out, text);
}

void msgpack_write_blob(struct buf *out, struct str bytes)
{
    msgpack_packer pk = packer(out);

    (void)msgpack_pack_bin(&pk, bytes.len);
    buf_str(out, bytes);
}

void msgpack_write_array(struct buf *out, uint32_t count)
{
    msgpack_packer pk = packer(out);

    (void)msgpack_pack_array(&pk, count);
}

void msgpack_write_map(struct buf *out, uint32_t count)
{
    msgpack_packer pk = packer(out);

    (void)msgpack_pack_map(&pk, count);
}

size_t msgpack_open(struct buf *out, bool map)
{
    size_t where = out->len;
    char head[5] = {(char)(map ? 0xdf : 0xdd), 0, 0, 0, 0};

    buf_append(out, head, sizeof(head));
    return where;
}

void msgpack_close(struct buf *out, size_t where, uint32_t count)
{
    if (out->failed || out->len < where + 5)
        return;
    for (unsigned i = 0; i < 4; i++)
        out->bytes[where + 1 + i] = (char)(count >> (24 - 8 * i));
}
