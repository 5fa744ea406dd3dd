#include "tenants/base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "tenants/base/mem.h"

#define BUF_FIRST_BYTES 256

void buf_init(struct buf *buf, size_t limit_bytes)
{
    *buf = (struct buf){.limit_bytes = limit_bytes};
}

void buf_fini(struct buf *buf)
{
    mem_free(buf->bytes);
    *buf = (struct buf){.limit_bytes = buf->limit_bytes};
}

void buf_reset(struct buf *buf, size_t keep_bytes)
{
    if (buf->capacity > keep_bytes) {
        buf_fini(buf);
        return;
    }
    buf->len = 0;
    buf->failed = false;
}

int buf_reserve_slow(struct buf *buf, size_t more)
{
    size_t need;
    size_t capacity = MAX(buf->capacity, BUF_FIRST_BYTES);
    char *bytes;

    if (buf->failed)
        return -1;
    if (__builtin_add_overflow(buf->len, more, &need) ||
        (buf->limit_bytes != 0 && need > buf->limit_bytes) || need > SIZE_MAX / 4) {
        buf->failed = true;
        return -1;
    }
    while (capacity < need)
        capacity *= 2;
    if (buf->limit_bytes != 0)
        capacity = MIN(capacity, buf->limit_bytes);
    bytes = mem_try_realloc(buf->bytes, capacity);
    if (bytes == NULL) {
        buf->failed = true;
        return -1;
    }
    buf->bytes = bytes;
    buf->capacity = capacity;
    return 0;
}

void buf_append(struct buf *buf, const void *bytes, size_t len)
{
    if (len == 0 || buf_reserve(buf, len) < 0)
        return;
    memcpy(buf->bytes + buf->len, bytes, len);
    buf->len += len;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 || buf_reserve(buf, (size_t)len + 1) < 0)
        return;
    va_start(args, format);
    (void)vsnprintf(buf->bytes + buf->len, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
}

void buf_u64(struct buf *buf, uint64_t value)
{
    char room[STR_U64_MAX];

    buf_str(buf, str_from_u64(value, room));
}

void buf_i64(struct buf *buf, int64_t value)
{
    if (value < 0) {
        buf_char(buf, '-');
        buf_u64(buf, 0 - (uint64_t)value);
        return;
    }
    buf_u64(buf, (uint64_t)value);
}

void buf_truncate(struct buf *buf, size_t len)
{
    if (len < buf->len)
        buf->len = len;
}

void buf_consume(struct buf *buf, size_t len)
{
    if (len >= buf->len) {
        buf->len = 0;
        return;
    }
    memmove(buf->bytes, buf->bytes + len, buf->len - len);
    buf->len -= len;
}

void buf_take(struct buf *to, struct buf *from)
{
    mem_free(to->bytes);
    *to = *from;
    *from = (struct buf){.limit_bytes = from->limit_bytes};
}
