#include "tenants/token.h"

#include <stdio.h>

#include "tenants/base/random.h"

static bool is_base62(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_prefix(struct str prefix)
{
    if (prefix.len == 0 || prefix.len > TOKEN_PREFIX_MAX)
        return false;
    for (size_t i = 0; i < prefix.len; i++) {
        char c = prefix.ptr[i];
        bool letter = c >= 'a' && c <= 'z';
        bool inner = i > 0 && ((c >= '0' && c <= '9') || (c == '_' && i + 1 < prefix.len));

        if (!letter && !inner)
            return false;
    }
    return true;
}

int token_mint(struct str prefix, char *out, struct err *ret_err)
{
    if (!is_prefix(prefix))
        return err_set(ret_err, ERR_BAD_REQUEST,
            "a token's prefix has 1-%d characters a-z, 0-9 and '_', starts with a letter and does "
            "not end with '_'",
            TOKEN_PREFIX_MAX);
    memcpy(out, prefix.ptr, prefix.len);
    out[prefix.len] = '_';
    random_base62(out + prefix.len + 1, TOKEN_TAIL_LEN);
    return 0;
}

int token_parse(struct str text, struct str *ret_prefix, struct str *ret_tail, struct err *ret_err)
{
    size_t at = text.len - TOKEN_TAIL_LEN;

    if (text.len < TOKEN_TAIL_LEN + 2 || text.len > TOKEN_TEXT_MAX || text.ptr[at - 1] != '_')
        return err_set(ret_err, ERR_UNAUTHORIZED, "Invalid token format");
    for (size_t i = 0; i < TOKEN_TAIL_LEN; i++) {
        if (!is_base62(text.ptr[at + i]))
            return err_set(ret_err, ERR_UNAUTHORIZED, "Invalid token format");
    }
    *ret_prefix = str_make(text.ptr, at - 1);
    *ret_tail = str_make(text.ptr + at, TOKEN_TAIL_LEN);
    return 0;
}

void token_hash(struct str tail, unsigned char out[SHA256_BYTES])
{
    sha256(tail, out);
}

bool token_equal(const void *a, const void *b, size_t len)
{
    const volatile unsigned char *one = a;
    const volatile unsigned char *other = b;
    unsigned char difference = 0;

    for (size_t i = 0; i < len; i++)
        difference = (unsigned char)(difference | (one[i] ^ other[i]));
    return difference == 0;
}

void public_id_new(const char *kind, char out[PUBLIC_ID_BYTES])
{
    char random[18];

    random_base62(random, sizeof(random) - 1);
    (void)snprintf(out, PUBLIC_ID_BYTES, "%s_%s", kind, random);
}
