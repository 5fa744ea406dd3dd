/* Opaque tokens: `<prefix>_<tail>`, the tail 43 base62 characters (256 bits). What is stored is the
 * SHA-256 of the tail; the prefix is presentation, and any prefix authenticates.
 * Pure but for randomness; any thread. */
#ifndef TENANTS_TOKEN_H
#define TENANTS_TOKEN_H

#include "tenants/base/err.h"
#include "tenants/base/sha256.h"
#include "tenants/base/str.h"

#define TOKEN_TAIL_LEN 43
#define TOKEN_PREFIX_MAX 32
#define TOKEN_TEXT_MAX (TOKEN_PREFIX_MAX + 1 + TOKEN_TAIL_LEN)
#define TOKEN_TEXT_BYTES (TOKEN_TEXT_MAX + 1)
#define TOKEN_DEFAULT_PREFIX "psql_live"
#define TOKEN_OPERATOR_PREFIX "rookery_op"
/* Public ids: "db_" / "tok_" / "ns_" and 17 base62 characters (101 bits). */
#define PUBLIC_ID_BYTES 24

/* `prefix` is checked: [a-z0-9_], 1-32 characters, starts with a letter, no '_' at its ends.
 * ERR_BAD_REQUEST. `out` has TOKEN_TEXT_BYTES. */
int token_mint(struct str prefix, char *out, struct err *ret_err) MUST_CHECK;
/* Splits a presented token. ERR_UNAUTHORIZED "Invalid token format". Views into `text`. */
int token_parse(struct str text, struct str *ret_prefix, struct str *ret_tail, struct err *ret_err)
    MUST_CHECK;
void token_hash(struct str tail, unsigned char out[SHA256_BYTES]);
/* Same length and bytes; time depends on the length alone. */
bool token_equal(const void *a, const void *b, size_t len);
void public_id_new(const char *kind, char out[PUBLIC_ID_BYTES]);

#endif
