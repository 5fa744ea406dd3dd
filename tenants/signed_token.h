/* Signed tokens (JSON web tokens): what the catalogue asks of whoever verifies them, which is above
 * it (proto/jwt_verifier.h).
 *
 * A token holds no secret of ours: keys of the database, of its tenant, or of the server sign it,
 * and its claims say what it may. They are in the words of sqld's namespaces (tenants/slug.h). */
#ifndef TENANTS_SIGNED_TOKEN_H
#define TENANTS_SIGNED_TOKEN_H

#include <stdatomic.h>

#include "tenants/base/arena.h"
#include "tenants/base/err.h"
#include "tenants/base/list.h"
#include "tenants/base/sha256.h"
#include "tenants/base/str.h"

/* One database that it names, in lower case. */
struct signed_scope {
    struct str tenant;
    struct str database;
    bool may_write;
};

struct signed_claims {
    bool names_none; /* good wherever its key is; may_write counts then, scopes do not */
    bool may_write;
    const struct signed_scope *scopes;
    size_t scope_count; /* may be 0: good for nothing */
    int64_t expires_wall_ms;
    struct str subject;
};

/* Whose key it was, from the nearest to the farthest: what the token can be good for at most. */
enum signed_by { SIGNED_BY_DATABASE, SIGNED_BY_TENANT, SIGNED_BY_SERVER, SIGNED_BY_COUNT };

struct token_verification {
    /* Set by the catalogue. Texts and arena outlive it. */
    struct str token;
    struct str keys[SIGNED_BY_SERVER]; /* texts as tenants/settings.h stores them; empty: none */
    struct arena *arena;
    void (*done)(struct token_verification *verification); /* once; on the verifier's thread */
    /* Result: ERR_NONE, ERR_UNAUTHORIZED, ERR_TOKEN_EXPIRED. */
    struct err err;
    struct signed_claims claims; /* in the arena */
    enum signed_by by;
    /* The verifier's own. */
    struct list link;
};

struct token_verifier {
    /* 0, or -1 with ERR_OVERLOADED, and `done` is not called. Any thread. */
    int (*submit)(struct token_verifier *verifier, struct token_verification *verification,
        struct err *ret_err);
    _Atomic uint64_t epoch; /* grows when the server's keys change; from 1 */
    atomic_bool has_keys;   /* the server has some */
};

/* Does this text claim to be one? Opaque tokens have no dots. */
static inline bool token_is_signed(struct str text)
{
    return str_find(text, '.') < text.len;
}
/* Three parts of base64url of a possible size: worth asking anybody. */
bool token_signed_is_sound(struct str text);

#define SIGNED_TOKEN_MAX 8192
#define SIGNED_KEY_BYTES SHA256_BYTES
/* What a cache knows a verified token by: it, the tenant and database that the request named, and
 * the verifier's epoch. `segment` NULL: for every database of the tenant. */
void token_signed_key(struct str token, struct str tenant, const struct str *segment,
    uint64_t epoch, unsigned char out[SIGNED_KEY_BYTES]);

#endif
