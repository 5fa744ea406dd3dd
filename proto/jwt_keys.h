/* Public keys that sign JSON web tokens, and the three signatures we take: EdDSA with Ed25519
 * (libsodium), ES256 and RS256 (mbedTLS).
 *
 * A key has one algorithm, which its own kind decides and no token can change:
 *
 *     Ed25519                      EdDSA
 *     EC on P-256                  ES256
 *     RSA, 2048 to 4096 bits       RS256
 *
 * Threads: keys do not change once parsed, so any number of threads may use one set at a time.
 * Cost of one try on a 2 GHz core: EdDSA 0.1 ms, RS256 0.1 to 0.4 ms, ES256 1 to 3 ms. Strangers
 * can ask for that without a token: remember what was verified, and verify off the loops. */
#ifndef PROTO_JWT_KEYS_H
#define PROTO_JWT_KEYS_H

#include "tenants/base/err.h"
#include "tenants/base/str.h"

#define JWT_KEYS_MAX 16             /* of one set: each may have to be tried */
#define JWT_KEYS_TEXT_MAX 32768     /* bytes of their text */
#define JWT_SIGNATURE_BYTES_MAX 512 /* RSA with 4096 bits */

enum jwt_algorithm { JWT_EDDSA, JWT_ES256, JWT_RS256 };

struct jwt_keys;

/* Reads one or more keys, in any order, with blanks and newlines between them:
 *     -----BEGIN PUBLIC KEY----- … -----END PUBLIC KEY-----     (SubjectPublicKeyInfo)
 *     43 letters of base64url                                   (an Ed25519 key's 32 bytes)
 * ERR_BAD_REQUEST says what is wrong with which of them, never what is in it; private keys are
 * refused, as are weak ones (small RSA, points of small order). The caller frees. */
int jwt_keys_parse(struct str text, struct jwt_keys **ret_keys, struct err *ret_err) MUST_CHECK;
void jwt_keys_free(struct jwt_keys *keys); /* NULL is fine */
size_t jwt_keys_count(const struct jwt_keys *keys);
/* Is one of the keys for this algorithm? */
bool jwt_keys_have(const struct jwt_keys *keys, enum jwt_algorithm algorithm);
/* True when `signature` is one of the keys' over `text`. Keys of other algorithms are not tried. */
bool jwt_keys_verify(const struct jwt_keys *keys, enum jwt_algorithm algorithm, struct str text,
    struct str signature) MUST_CHECK;

#endif
