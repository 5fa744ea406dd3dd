/* Verifies signed tokens (tenants/signed_token.h) on one thread of its own: strangers can ask for
 * it without a token, so that what it may cost is one core, whoever asks (ES256 takes
 * milliseconds). Who finds JWT_WAITING_MAX before is answered 429; tokens that were verified before
 * do not come here.
 *
 * Keys are tried from the nearest to the farthest: the database's, the tenant's, the server's. */
#ifndef PROTO_JWT_VERIFIER_H
#define PROTO_JWT_VERIFIER_H

#include "proto/jwt.h"
#include "tenants/signed_token.h"

#define JWT_WAITING_MAX 512

struct jwt_verifier;

struct jwt_verifier *jwt_verifier_new(void);
/* Nothing may wait; the thread has ended. NULL is fine. */
void jwt_verifier_free(struct jwt_verifier *verifier);
/* Body of its thread; returns after jwt_verifier_stop(), when nothing waits. */
void jwt_verifier_run(void *verifier);
/* Any thread. */
void jwt_verifier_stop(struct jwt_verifier *verifier);
/* The server's own keys from now on; an empty text: none. Tokens that were verified before have to
 * be again. ERR_BAD_REQUEST: they are as they were. Any thread. */
int jwt_verifier_set_keys(struct jwt_verifier *verifier, struct str text, struct err *ret_err)
    MUST_CHECK;
/* For catalogue_set_verifier(). */
struct token_verifier *jwt_verifier_interface(struct jwt_verifier *verifier);

#endif
