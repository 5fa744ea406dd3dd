#include "tenants/base/str.h"

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;

    return (unsigned char)(u >= 'A' && u <= 'Z' ? u + 32 : u);
}

bool str_equal_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool str_starts_with(struct str text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && memcmp(text.ptr, prefix, len) == 0;
}

bool str_starts_with_nocase(struct str text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && str_equal_nocase(str_make(text.ptr, len), str_make(prefix, len));
}

size_t str_find(struct str text, char c)
{
    const char *at = text.len == 0 ? NULL : memchr(text.ptr, c, text.len);

    return at == NULL ? text.len : (size_t)(at - text.ptr);
}

struct str str_trim(struct str text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

struct str str_split(struct str *rest, char separator)
{
    size_t at = str_find(*rest, separator);
    struct str first = str_make(rest->ptr, at);

    if (at == rest->len)
        *rest = str_make(NULL, 0);
    else
        *rest = str_make(rest->ptr + at + 1, rest->len - at - 1);
    return first;
}

int str_to_u64(struct str text, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (text.len == 0)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.ptr[i] - (unsigned)'0';

        if (digit > 9 || __builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return -1;
    }
    *ret_value = value;
    return 0;
}

bool str_glob(struct str pattern, struct str text)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX;
    size_t mark = 0;

    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.len && (pattern.ptr[p] == '?' || pattern.ptr[p] == text.ptr[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

/* Length of the sequence at s, or 0 when it is not valid. */
static size_t utf8_sequence(const unsigned char *s, size_t left)
{
    size_t len = s[0] < 0x80   ? 1
                 : s[0] < 0xc2 ? 0
                 : s[0] < 0xe0 ? 2
                 : s[0] < 0xf0 ? 3
                 : s[0] < 0xf5 ? 4
                               : 0;

    if (len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    if (len == 3 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)))
        return 0;
    if (len == 4 && ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)))
        return 0;
    return len;
}

bool str_is_utf8(struct str text)
{
    const unsigned char *s = (const unsigned char *)text.ptr;
    size_t i = 0;

    while (i < text.len) {
        size_t len;

        while (i + 8 <= text.len) {
            uint64_t word;

            memcpy(&word, s + i, 8);
            if ((word & 0x8080808080808080ULL) != 0)
                break;
            i += 8;
        }
        if (i == text.len)
            break;
        len = utf8_sequence(s + i, text.len - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}
