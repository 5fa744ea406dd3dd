/* A view of bytes somebody else owns: not terminated, may hold NUL. */
#ifndef TENANTS_BASE_STR_H
#define TENANTS_BASE_STR_H

#include <string.h>

#include "tenants/base/macros.h"

#define STR_U64_MAX 20 /* digits */

struct str {
    const char *ptr; /* borrowed */
    size_t len;
};

/* "%.*s" with STR_ARGS(s). */
#define STR_ARGS(s) (int)(s).len, (s).ptr
#define STR_LITERAL(text)                                                                          \
    (struct str)                                                                                   \
    {                                                                                              \
        .ptr = (text), .len = sizeof(text) - 1                                                     \
    }

static inline struct str str_make(const char *ptr, size_t len)
{
    return (struct str){.ptr = ptr, .len = len};
}

static inline struct str str_from(const char *text)
{
    return (struct str){.ptr = text, .len = text == NULL ? 0 : strlen(text)};
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_is(struct str a, const char *text)
{
    return str_equal(a, str_from(text));
}

/* ASCII only, as protocols want it. */
bool str_equal_nocase(struct str a, struct str b);
static inline bool str_is_nocase(struct str a, const char *text)
{
    return str_equal_nocase(a, str_from(text));
}
bool str_starts_with(struct str text, const char *prefix);
bool str_starts_with_nocase(struct str text, const char *prefix);
/* Offset of the first `c`, or text.len. */
size_t str_find(struct str text, char c);
/* Without blanks and tabs at both ends. */
struct str str_trim(struct str text);
/* Cuts `*rest` at the first `separator` and returns what was before it; *rest becomes what comes
 * after, or empty with ptr NULL when there was no separator. */
struct str str_split(struct str *rest, char separator);
/* The number's decimal digits, at the end of `room`. */
static inline struct str str_from_u64(uint64_t value, char room[STR_U64_MAX])
{
    size_t at = STR_U64_MAX;

    do {
        room[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return str_make(room + at, STR_U64_MAX - at);
}
/* Decimal digits only, no sign, no blanks. Returns -1 on anything else or overflow. */
int str_to_u64(struct str text, uint64_t *ret_value) MUST_CHECK;
/* Glob with `*` and `?`, case-sensitive, over the whole text; linear in time for any pattern. */
bool str_glob(struct str pattern, struct str text);
/* True when `text` is valid UTF-8 (no surrogates, no overlong forms). */
bool str_is_utf8(struct str text);

#endif
