/* JSON web tokens (RFC 7519) as sqld reads them: compact and signed (RFC 7515), verified against a
 * set of public keys.
 *
 *     base64url(header) . base64url(claims) . base64url(signature)
 *
 * Strict where it keeps a token from meaning two things:
 * - three parts, base64url in its one spelling, at most JWT_BYTES_MAX in all;
 * - header and claims are JSON objects in UTF-8 without members of the same name, at any depth;
 * - `alg` is EdDSA, ES256 or RS256, and only keys of that kind are tried: no "none", no HMAC;
 * - `crit` and `b64` are refused, so is `cty` (a token in a token), and a `typ` other than JWT and
 *   at+jwt (other kinds of tokens that the same issuer may sign). Keys in the header are ignored;
 * - claims are read after the signature was found good, never before.
 *
 * Claims:
 *     exp, nbf   seconds since 1970, may have a fraction; JWT_LEEWAY_S for clocks that differ, as
 *                sqld has it. Without `exp` a token does not end, as in sqld
 *     aud        refused: whoever is not named by it must (RFC 7519, 4.1.3), and we have no name.
 *                Else any token of a company's identity server would open its databases
 *     id, a      the one namespace it is for (absent: any), and "ro", "rw" (absent: "rw") or "roa"
 *                (taken as "ro": ATTACH is never allowed)
 *     p          {"ro"|"rw"|"roa"|"rwa": {"ns": [name, …]}}: what is allowed where, and then `id`
 *                and `a` do not count. Words we do not know grant nothing. Members beside `ns` are
 *                refused, since they might narrow what it says
 *     sub        kept for logs
 * null is absent. All others are ignored.
 *
 * Pure: the clock is an argument. Threads: any, one at a time per arena. */
#ifndef PROTO_JWT_H
#define PROTO_JWT_H

#include "proto/jwt_keys.h"
#include "tenants/base/arena.h"

#define JWT_BYTES_MAX 8192
#define JWT_HEADER_MAX 1024 /* letters of it: read before anything was verified */
#define JWT_MEMBERS_MAX 64  /* of one object */
#define JWT_GRANTS_MAX 256  /* names in `p` */
#define JWT_NAME_MAX                                                                               \
    255 /* bytes of `sub` and of a namespace's name, without control characters                    \
         */
#define JWT_LEEWAY_S 60

enum jwt_failure {
    JWT_MALFORMED = 1, /* not a token, or not one that we take: nothing was verified */
    JWT_BAD_SIGNATURE, /* no key of its kind, or none of them signed it */
    JWT_BAD_CLAIMS,    /* signed by one of the keys, but we cannot act on what it says */
    JWT_EXPIRED,
    JWT_NOT_YET, /* nbf */
};

enum jwt_access { JWT_NO_ACCESS, JWT_READ, JWT_WRITE };

struct jwt_grant {
    struct str name; /* of a namespace */
    enum jwt_access access;
};

struct jwt_claims {
    bool has_exp;
    int64_t exp_s;        /* since 1970, when has_exp; the token is good for JWT_LEEWAY_S more */
    enum jwt_access a;    /* JWT_WRITE when absent */
    struct str id;        /* ptr NULL when absent */
    bool has_permissions; /* `p`: `grants` count, `id` and `a` do not */
    size_t grant_count;   /* may be 0: a token that opens nothing */
    const struct jwt_grant *grants;
    struct str sub; /* ptr NULL when absent */
};

/* Verifies `token`, which is only read. Claims and their texts live in `arena`: until the signature
 * was found good at most 64 KB of it are used, then at most 512 KB, and about three times the
 * token's size for ordinary ones. On failure the claims give no access, *ret_failure (may be NULL)
 * says which kind, and the error is ERR_UNAUTHORIZED or ERR_TOKEN_EXPIRED with a reason that holds
 * nothing of the token, or ERR_TOO_LARGE (JWT_MALFORMED) when the arena is full. See
 * proto/jwt_keys.h for its cost. */
int jwt_verify(const struct jwt_keys *keys, struct str token, int64_t now_wall_ms,
    struct arena *arena, struct jwt_claims *ret_claims, enum jwt_failure *ret_failure,
    struct err *ret_err) MUST_CHECK;
/* What the token may do with the namespace of that name. */
enum jwt_access jwt_access_to(const struct jwt_claims *claims, struct str name);
/* sqld's code: AUTH_JWT_INVALID, AUTH_JWT_EXPIRED, AUTH_JWT_IMMATURE. Static storage. */
const char *jwt_failure_code(enum jwt_failure failure);

#endif
