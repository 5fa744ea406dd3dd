/* A growing byte buffer: what encoders write and sockets send.
 *
 * Owned by one thread at a time. A failed growth (over the limit, out of memory) sets a sticky
 * mark and drops what was to be appended, so that an encoder checks once, at its end. */
#ifndef TENANTS_BASE_BUF_H
#define TENANTS_BASE_BUF_H

#include "tenants/base/str.h"

struct buf {
    char *bytes; /* owned */
    size_t len;
    size_t capacity;
    size_t limit_bytes; /* 0: none */
    bool failed;
};

void buf_init(struct buf *buf, size_t limit_bytes);
void buf_fini(struct buf *buf); /* zeroed is fine, and twice */
/* Empties it; memory over `keep_bytes` is given back. Clears the mark. */
void buf_reset(struct buf *buf, size_t keep_bytes);
/* Makes room for `more` bytes. -1: mark set. */
int buf_reserve_slow(struct buf *buf, size_t more);
void buf_append(struct buf *buf, const void *bytes, size_t len);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* Decimal digits. */
void buf_u64(struct buf *buf, uint64_t value);
void buf_i64(struct buf *buf, int64_t value);
/* Cuts it back to `len` bytes (a mark taken earlier). Does not clear the failure mark. */
void buf_truncate(struct buf *buf, size_t len);
/* Removes the first `len` bytes. */
void buf_consume(struct buf *buf, size_t len);
/* Moves everything of `from` to an empty `to` without copying. */
void buf_take(struct buf *to, struct buf *from);

static inline int buf_reserve(struct buf *buf, size_t more)
{
    return likely(buf->capacity - buf->len >= more && !buf->failed) ? 0
                                                                    : buf_reserve_slow(buf, more);
}

static inline void buf_char(struct buf *buf, char c)
{
    if (buf_reserve(buf, 1) == 0)
        buf->bytes[buf->len++] = c;
}

static inline void buf_str(struct buf *buf, struct str text)
{
    buf_append(buf, text.ptr, text.len);
}

static inline void buf_cstr(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

#define buf_literal(buf, text) buf_append((buf), (text), sizeof(text) - 1)

static inline struct str buf_view(const struct buf *buf)
{
    return str_make(buf->bytes, buf->len);
}

#endif
