/* Base64: the standard alphabet, and the one of URLs and JWTs for decoding. */
#ifndef TENANTS_BASE_BASE64_H
#define TENANTS_BASE_BASE64_H

#include "tenants/base/buf.h"

/* Appends the encoding of `bytes`, with '=' padding or without. */
void base64_encode(struct buf *out, const void *bytes, size_t len, bool padded);
/* Largest decoded size of `len` characters. */
static inline size_t base64_decoded_max(size_t len)
{
    return len / 4 * 3 + 3;
}
/* Decodes with or without padding into `out` (base64_decoded_max bytes). -1 on any other byte,
 * a wrong length, or bits that are left over. */
int base64_decode(struct str text, unsigned char *out, size_t *ret_len) MUST_CHECK;
/* The same for base64url (RFC 4648, 5: '-' and '_'), and with no padding at all, so that bytes have
 * one spelling only. */
int base64url_decode(struct str text, unsigned char *out, size_t *ret_len) MUST_CHECK;

#endif
