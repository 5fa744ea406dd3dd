/* The pull reader. Its grammar is one variable, `expect`: what may come at this place. */
#include "proto/json.h"

#include <math.h>
#include <stdlib.h>

#include "proto/scan.h"

enum expect {
    EXPECT_VALUE,        /* a value, nothing else */
    EXPECT_VALUE_OR_END, /* just after '[' */
    EXPECT_COMMA_OR_END, /* after a value inside an array or object */
    EXPECT_KEY_OR_END,   /* just after '{' */
    EXPECT_NOTHING,      /* after the outermost value */
    EXPECT_NEVER,        /* after an error */
};

void json_reader_init(
    struct json_reader *reader, struct str input, unsigned depth_max, struct arena *arena)
{
    *reader = (struct json_reader){
        .arena = arena,
        .start = input.ptr,
        .at = input.ptr,
        .end = input.len == 0 ? input.ptr : input.ptr + input.len,
        .depth_max = MIN(depth_max, (unsigned)JSON_DEPTH_MAX),
    };
}

static enum token fail_at(struct json_reader *r, const char *at, const char *error)
{
    if (r->expect != EXPECT_NEVER) {
        r->error = error;
        r->error_offset = (size_t)(at - r->start);
        r->expect = EXPECT_NEVER;
    }
    return TOKEN_INVALID;
}

static inline void skip_blanks(struct json_reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

static inline bool inside_object(const struct json_reader *r)
{
    return (r->in_object[(r->depth - 1) / 64] >> ((r->depth - 1) % 64) & 1) != 0;
}

static inline enum token value_done(struct json_reader *r, enum token token)
{
    r->expect = r->depth == 0 ? EXPECT_NOTHING : EXPECT_COMMA_OR_END;
    return token;
}

static enum token open_container(struct json_reader *r, bool object)
{
    uint64_t bit;

    if (r->depth >= r->depth_max)
        return fail_at(r, r->at, "nested too deeply");
    bit = 1ULL << (r->depth % 64);
    if (object)
        r->in_object[r->depth / 64] |= bit;
    else
        r->in_object[r->depth / 64] &= ~bit;
    r->depth++;
    r->at++;
    r->expect = object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
    return object ? TOKEN_OBJECT : TOKEN_ARRAY;
}

static enum token close_container(struct json_reader *r)
{
    bool object = inside_object(r);

    r->at++;
    r->depth--;
    return value_done(r, object ? TOKEN_OBJECT_END : TOKEN_ARRAY_END);
}

static enum token word(struct json_reader *r, const char *text, size_t len, enum token token)
{
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, text, len) != 0)
        return fail_at(r, r->at, "not a JSON value");
    r->at += len;
    return value_done(r, token);
}

static int hex4(const char *at, const char *end, uint32_t *ret_unit)
{
    uint32_t unit = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
                                                : 16;

        if (digit == 16)
            return -1;
        unit = unit << 4 | digit;
    }
    *ret_unit = unit;
    return 0;
}

static char *put_utf8(char *to, uint32_t point)
{
    if (point < 0x80) {
        *to++ = (char)point;
    } else if (point < 0x800) {
        *to++ = (char)(0xc0 | point >> 6);
        *to++ = (char)(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        *to++ = (char)(0xe0 | point >> 12);
        *to++ = (char)(0x80 | (point >> 6 & 0x3f));
        *to++ = (char)(0x80 | (point & 0x3f));
    } else {
        *to++ = (char)(0xf0 | point >> 18);
        *to++ = (char)(0x80 | (point >> 12 & 0x3f));
        *to++ = (char)(0x80 | (point >> 6 & 0x3f));
        *to++ = (char)(0x80 | (point & 0x3f));
    }
    return to;
}

/* r->at is behind "\u"; moves behind the escape (and behind the low surrogate's). */
static int unicode_escape(struct json_reader *r, uint32_t *ret_point)
{
    uint32_t high;
    uint32_t low;

    if (hex4(r->at, r->end, &high) < 0) {
        (void)fail_at(r, r->at, "\\u needs four hex digits");
        return -1;
    }
    r->at += 4;
    if (high < 0xd800 || high > 0xdfff) {
        *ret_point = high;
        return 0;
    }
    if (high >= 0xdc00 || r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u' ||
        hex4(r->at + 2, r->end, &low) < 0 || low < 0xdc00 || low > 0xdfff) {
        (void)fail_at(r, r->at - 6, "half a surrogate pair");
        return -1;
    }
    r->at += 6;
    *ret_point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return 0;
}

static int simple_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return -1;
    }
}

/* The slow half of a string: `plain` bytes from `first` are fine, then a backslash. */
static int decode_string(struct json_reader *r, const char *first, size_t plain)
{
    const char *quote = first + plain;
    bool non_ascii = false;
    char *to;
    char *text;

    /* Decoded text is never longer than its escapes: room up to the closing quote is enough. */
    while (quote < r->end && *quote != '"')
        quote += *quote == '\\' && r->end - quote > 1 ? 2 : 1;
    text = arena_alloc(r->arena, (size_t)(quote - first) + 1);
    if (text == NULL) {
        (void)fail_at(r, first, "too large");
        return -1;
    }
    memcpy(text, first, plain);
    to = text + plain;
    r->at = first + plain;
    for (;;) {
        size_t run = scan_plain(r->at, (size_t)(r->end - r->at), &non_ascii);
        uint32_t point;
        int c;

        memcpy(to, r->at, run);
        to += run;
        r->at += run;
        if (r->at < r->end && *r->at == '"')
            break;
        if (r->end - r->at < 2 || *r->at != '\\') {
            (void)fail_at(r, r->at,
                r->end - r->at < 2 ? "string without an end" : "control character in a string");
            return -1;
        }
        c = simple_escape(r->at[1]);
        r->at += 2;
        if (c >= 0) {
            *to++ = (char)c;
        } else if (r->at[-1] != 'u') {
            (void)fail_at(r, r->at - 2, "unknown escape");
            return -1;
        } else if (unicode_escape(r, &point) < 0) {
            return -1;
        } else {
            to = put_utf8(to, point);
        }
    }
    r->at++;
    r->text = str_make(text, (size_t)(to - text));
    return 0;
}

/* r->at is at the opening quote. */
static int read_string(struct json_reader *r)
{
    const char *first = r->at + 1;
    bool non_ascii = false;
    size_t plain = scan_plain(first, (size_t)(r->end - first), &non_ascii);
    const char *stop = first + plain;

    if (stop == r->end) {
        (void)fail_at(r, r->at, "string without an end");
        return -1;
    }
    if (likely(*stop == '"')) {
        r->text = str_make(first, plain);
        r->at = stop + 1;
    } else if (*stop == '\\') {
        if (decode_string(r, first, plain) < 0)
            return -1;
        non_ascii = true;
    } else {
        (void)fail_at(r, stop, "control character in a string");
        return -1;
    }
    if (non_ascii && !str_is_utf8(r->text)) {
        (void)fail_at(r, first, "string is not UTF-8");
        return -1;
    }
    return 0;
}

/* Exact powers: a mantissa below 2^53 times or divided by one of them is rounded once. */
static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
    1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* strtod wants a NUL, which the input does not have. It overflows to infinity by itself. */
static int slow_real(struct json_reader *r, const char *first, size_t len)
{
    char small[64];
    char *text = len < sizeof(small) ? small : arena_alloc(r->arena, len + 1);

    if (text == NULL) {
        (void)fail_at(r, first, "too large");
        return -1;
    }
    memcpy(text, first, len);
    text[len] = '\0';
    r->real = strtod(text, NULL);
    return 0;
}

struct number {
    uint64_t mantissa;
    int digits; /* significant ones in mantissa */
    int exponent;
    bool exact; /* mantissa holds every digit */
};

static const char *take_digits(const char *at, const char *end, struct number *n, int step)
{
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        if (n->digits < 19) {
            n->mantissa = n->mantissa * 10 + (uint64_t)(*at - '0');
            n->digits += n->mantissa != 0;
            n->exponent += step;
        } else {
            n->exact = false;
        }
    }
    return at;
}

/* [eE][+-]digits; NULL when malformed. Exponents beyond a million all mean the same. */
static const char *take_exponent(const char *at, const char *end, struct number *n)
{
    bool negative = false;
    int exponent = 0;
    const char *first;

    at++;
    if (at < end && (*at == '+' || *at == '-'))
        negative = *at++ == '-';
    first = at;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        exponent = exponent < 1000000 ? exponent * 10 + (*at - '0') : exponent;
    n->exponent += negative ? -exponent : exponent;
    return at == first ? NULL : at;
}

static enum token finish_real(
    struct json_reader *r, const char *first, const struct number *n, bool negative)
{
    if (n->exact && n->mantissa <= 1ULL << 53 && n->exponent >= -22 && n->exponent <= 22) {
        double real = (double)n->mantissa;

        real = n->exponent < 0 ? real / powers[-n->exponent] : real * powers[n->exponent];
        r->real = negative ? -real : real;
    } else if (slow_real(r, first, (size_t)(r->at - first)) < 0) {
        return TOKEN_INVALID;
    }
    return value_done(r, TOKEN_REAL);
}

static enum token read_number(struct json_reader *r)
{
    const char *first = r->at;
    const char *at = r->at;
    bool negative = *at == '-';
    struct number n = {.exact = true};
    const char *digits;

    at += negative;
    digits = at;
    at = take_digits(at, r->end, &n, 0);
    if (at == digits)
        return fail_at(r, at, negative ? "a digit is missing" : "not a JSON value");
    if (*digits == '0' && at - digits > 1)
        return fail_at(r, digits, "leading zero");
    if (at == r->end || (*at != '.' && *at != 'e' && *at != 'E')) {
        r->at = at;
        if (n.exact && n.mantissa <= (uint64_t)INT64_MAX + negative) {
            r->integer = (int64_t)(negative ? 0 - n.mantissa : n.mantissa);
            return value_done(r, TOKEN_INTEGER);
        }
        n.exact = false;
        return finish_real(r, first, &n, negative);
    }
    if (*at == '.') {
        digits = ++at;
        at = take_digits(at, r->end, &n, -1);
        if (at == digits)
            return fail_at(r, at, "a digit is missing");
    }
    if (at < r->end && (*at == 'e' || *at == 'E')) {
        const char *end = take_exponent(at, r->end, &n);

        if (end == NULL)
            return fail_at(r, at, "exponent without digits");
        at = end;
    }
    r->at = at;
    return finish_real(r, first, &n, negative);
}

static enum token read_value(struct json_reader *r)
{
    if (r->at == r->end)
        return fail_at(r, r->at, "a value is missing");
    switch (*r->at) {
    case '"':
        if (read_string(r) < 0)
            return TOKEN_INVALID;
        return value_done(r, TOKEN_STRING);
    case '{':
        return open_container(r, true);
    case '[':
        return open_container(r, false);
    case 't':
        return word(r, "true", 4, TOKEN_TRUE);
    case 'f':
        return word(r, "false", 5, TOKEN_FALSE);
    case 'n':
        return word(r, "null", 4, TOKEN_NULL);
    default:
        return read_number(r);
    }
}

static enum token read_key(struct json_reader *r)
{
    if (r->at == r->end || *r->at != '"')
        return fail_at(r, r->at, "a key in quotes is missing");
    if (read_string(r) < 0)
        return TOKEN_INVALID;
    skip_blanks(r);
    if (r->at == r->end || *r->at != ':')
        return fail_at(r, r->at, "':' is missing");
    r->at++;
    r->expect = EXPECT_VALUE;
    return TOKEN_KEY;
}

static enum token after_value(struct json_reader *r)
{
    bool object = inside_object(r);

    if (r->at < r->end && *r->at == (object ? '}' : ']'))
        return close_container(r);
    if (r->at == r->end || *r->at != ',')
        return fail_at(r, r->at, object ? "',' or '}' is missing" : "',' or ']' is missing");
    r->at++;
    skip_blanks(r);
    return object ? read_key(r) : read_value(r);
}

enum token json_next(struct json_reader *r)
{
    skip_blanks(r);
    switch ((enum expect)r->expect) {
    case EXPECT_VALUE:
        return read_value(r);
    case EXPECT_COMMA_OR_END:
        return after_value(r);
    case EXPECT_VALUE_OR_END:
        return r->at < r->end && *r->at == ']' ? close_container(r) : read_value(r);
    case EXPECT_KEY_OR_END:
        return r->at < r->end && *r->at == '}' ? close_container(r) : read_key(r);
    case EXPECT_NOTHING:
        return r->at == r->end ? TOKEN_END : fail_at(r, r->at, "something follows the value");
    case EXPECT_NEVER:
    default:
        return TOKEN_INVALID;
    }
}
