/* Finds what a JSON string cannot carry as it is: quote, backslash, control characters. */
#ifndef PROTO_SCAN_H
#define PROTO_SCAN_H

#include "tenants/base/str.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Offset of the first byte that is '"', '\' or below 0x20, or `len`. *non_ascii (only ever set, not
 * cleared) tells whether a byte above 0x7f came before it. Reads nothing beyond `len`. */
static inline size_t scan_plain(const char *bytes, size_t len, bool *non_ascii)
{
    size_t at = 0;

#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1f);

    for (; at + 16 <= len; at += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(bytes + at));
        __m128i hit =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash)),
                _mm_cmpeq_epi8(_mm_max_epu8(v, control), control));
        unsigned hits = (unsigned)_mm_movemask_epi8(hit);
        unsigned high = (unsigned)_mm_movemask_epi8(v);

        if (hits != 0) {
            unsigned first = (unsigned)__builtin_ctz(hits);

            *non_ascii |= (high & ((1U << first) - 1)) != 0;
            return at + first;
        }
        *non_ascii |= high != 0;
    }
#else
    for (; at + 8 <= len; at += 8) {
        const uint64_t ones = 0x0101010101010101ULL;
        const uint64_t highs = 0x8080808080808080ULL;
        uint64_t v;
        uint64_t quote;
        uint64_t backslash;

        memcpy(&v, bytes + at, 8);
        quote = v ^ (ones * '"');
        backslash = v ^ (ones * '\\');
        if ((((quote - ones) | (backslash - ones) | (v - ones * 0x20)) & ~v & highs) != 0)
            break;
        *non_ascii |= (v & highs) != 0;
    }
#endif
    for (; at < len; at++) {
        unsigned char c = (unsigned char)bytes[at];

        if (c < 0x20 || c == '"' || c == '\\')
            return at;
        *non_ascii |= c >= 0x80;
    }
    return len;
}

#endif
