#include "proto/jwt_verifier.h"

#include <assert.h>

#include "proto/exchange.h"
#include "tenants/base/clock.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"
#include "tenants/base/thread.h"
#include "tenants/slug.h"

static_assert(SIGNED_TOKEN_MAX == JWT_BYTES_MAX, "one limit");
static_assert(SETTING_KEYS_MAX == JWT_KEYS_TEXT_MAX, "one limit");

enum outcome { OUTCOME_GOOD, OUTCOME_REFUSED, OUTCOME_NOT_TRIED };

struct jwt_verifier {
    struct token_verifier interface;
    struct mutex lock;
    struct cond wake;
    struct list waiting; /* token_verification.link; under the lock */
    unsigned count;      /* under the lock */
    bool stopping;       /* under the lock */
    struct mutex keys_lock;
    struct jwt_keys *keys; /* the server's; owned; under keys_lock; NULL: none */
};

static struct jwt_verifier *verifier_of(struct token_verifier *interface)
{
    return CONTAINER_OF(interface, struct jwt_verifier, interface);
}

/* ---- claims ---- */

/* A name that no database can have grants nothing. */
static bool add_scope(struct arena *arena, struct str name, bool may_write,
    struct signed_scope *scopes, size_t *count)
{
    struct slug_namespace namespace;

    if (slug_namespace(name, &namespace, NULL) < 0)
        return true;
    scopes[*count] = (struct signed_scope){
        .tenant = arena_str(arena, str_make(namespace.tenant_text, namespace.tenant_len)),
        .database = arena_str(arena, str_make(namespace.database_text, namespace.database_len)),
        .may_write = may_write,
    };
    if (scopes[*count].tenant.ptr == NULL || scopes[*count].database.ptr == NULL)
        return false;
    ++*count;
    return true;
}

static int take_claims(
    struct token_verification *verification, const struct jwt_claims *claims, struct err *ret_err)
{
    struct signed_claims *out = &verification->claims;
    struct signed_scope *scopes =
        arena_array(verification->arena, claims->grant_count + 1, sizeof(*scopes));
    bool fits = scopes != NULL;

    *out = (struct signed_claims){.subject = claims->sub, .scopes = scopes};
    if (claims->has_exp && claims->exp_s < INT64_MAX / 1000 - JWT_LEEWAY_S)
        out->expires_wall_ms = (claims->exp_s + JWT_LEEWAY_S) * 1000;
    if (!claims->has_permissions && claims->id.ptr == NULL) {
        out->names_none = true;
        out->may_write = claims->a == JWT_WRITE;
        if (claims->a == JWT_NO_ACCESS)
            return err_set(ret_err, ERR_UNAUTHORIZED, "the token gives no access");
    } else if (!claims->has_permissions) {
        if (fits && claims->a != JWT_NO_ACCESS)
            fits = add_scope(
                verification->arena, claims->id, claims->a == JWT_WRITE, scopes, &out->scope_count);
    } else {
        for (size_t i = 0; i < claims->grant_count && fits; i++) {
            if (claims->grants[i].access != JWT_NO_ACCESS)
                fits = add_scope(verification->arena, claims->grants[i].name,
                    claims->grants[i].access == JWT_WRITE, scopes, &out->scope_count);
        }
    }
    if (!fits)
        return err_set(ret_err, ERR_TOO_LARGE, "the request needs too much memory");
    return 0;
}

/* ---- verifying ---- */

/* True: it is decided, by these keys. */
static bool try_keys(const struct jwt_keys *keys, struct token_verification *verification)
{
    enum jwt_failure failure = JWT_MALFORMED;
    struct jwt_claims claims;
    struct err *err = &verification->err;

    *err = ERR_INIT;
    if (jwt_verify(keys, verification->token, clock_wall_ms(), verification->arena, &claims,
            &failure, err) == 0) {
        (void)take_claims(verification, &claims, err);
        return true;
    }
    if (failure == JWT_NOT_YET)
        err->native = UNAUTHORIZED_NOT_YET;
    return failure != JWT_BAD_SIGNATURE;
}

/* Keys that were checked when they were stored. */
static bool try_text(struct str text, struct token_verification *verification)
{
    struct jwt_keys *keys;
    bool decided;

    if (text.len == 0 || jwt_keys_parse(text, &keys, NULL) < 0)
        return false;
    decided = try_keys(keys, verification);
    jwt_keys_free(keys);
    return decided;
}

static bool try_server(struct jwt_verifier *verifier, struct token_verification *verification)
{
    bool decided = false;

    mutex_lock(&verifier->keys_lock);
    if (verifier->keys != NULL)
        decided = try_keys(verifier->keys, verification);
    mutex_unlock(&verifier->keys_lock);
    return decided;
}

static void verify(struct jwt_verifier *verifier, struct token_verification *verification)
{
    (void)err_set(&verification->err, ERR_UNAUTHORIZED,
        "the token is not signed by a key that is known here");
    for (unsigned by = 0; by < SIGNED_BY_COUNT; by++) {
        verification->by = (enum signed_by)by;
        if (by < SIGNED_BY_SERVER ? try_text(verification->keys[by], verification)
                                  : try_server(verifier, verification))
            break;
    }
    metric_add_cell(METRIC_JWT_VERIFIED,
        verification->err.code == ERR_NONE ? OUTCOME_GOOD : OUTCOME_REFUSED, 1);
    verification->done(verification);
}

/* ---- the thread ---- */

/* NULL: it ends. */
static struct token_verification *next(struct jwt_verifier *verifier)
{
    struct token_verification *verification = NULL;

    mutex_lock(&verifier->lock);
    while (list_empty(&verifier->waiting) && !verifier->stopping)
        cond_wait(&verifier->wake, &verifier->lock);
    if (!list_empty(&verifier->waiting)) {
        verification = LIST_FIRST(&verifier->waiting, struct token_verification, link);
        list_remove(&verification->link);
        verifier->count--;
    }
    mutex_unlock(&verifier->lock);
    return verification;
}

void jwt_verifier_run(void *argument)
{
    struct jwt_verifier *verifier = argument;
    struct token_verification *verification;

    while ((verification = next(verifier)) != NULL)
        verify(verifier, verification);
}

static int submit(
    struct token_verifier *interface, struct token_verification *verification, struct err *ret_err)
{
    struct jwt_verifier *verifier = verifier_of(interface);
    bool fits;

    mutex_lock(&verifier->lock);
    fits = verifier->count < JWT_WAITING_MAX;
    if (fits) {
        verifier->count++;
        list_append(&verifier->waiting, &verification->link);
        cond_signal(&verifier->wake);
    }
    mutex_unlock(&verifier->lock);
    if (fits)
        return 0;
    metric_add_cell(METRIC_JWT_VERIFIED, OUTCOME_NOT_TRIED, 1);
    return err_set(ret_err, ERR_OVERLOADED, "too many tokens wait to be verified; try again");
}

/* ---- life ---- */

struct jwt_verifier *jwt_verifier_new(void)
{
    struct jwt_verifier *verifier = mem_zalloc(sizeof(*verifier));

    metrics_label(METRIC_JWT_VERIFIED, OUTCOME_GOOD, "outcome=\"good\"");
    metrics_label(METRIC_JWT_VERIFIED, OUTCOME_REFUSED, "outcome=\"refused\"");
    metrics_label(METRIC_JWT_VERIFIED, OUTCOME_NOT_TRIED, "outcome=\"not_tried\"");
    verifier->interface.submit = submit;
    atomic_init(&verifier->interface.epoch, 1);
    mutex_init(&verifier->lock);
    mutex_init(&verifier->keys_lock);
    cond_init(&verifier->wake);
    list_init(&verifier->waiting);
    return verifier;
}

void jwt_verifier_free(struct jwt_verifier *verifier)
{
    if (verifier == NULL)
        return;
    jwt_keys_free(verifier->keys);
    cond_fini(&verifier->wake);
    mutex_fini(&verifier->keys_lock);
    mutex_fini(&verifier->lock);
    mem_free(verifier);
}

void jwt_verifier_stop(struct jwt_verifier *verifier)
{
    mutex_lock(&verifier->lock);
    verifier->stopping = true;
    cond_signal(&verifier->wake);
    mutex_unlock(&verifier->lock);
}

int jwt_verifier_set_keys(struct jwt_verifier *verifier, struct str text, struct err *ret_err)
{
    struct jwt_keys *keys = NULL;
    struct jwt_keys *old;

    if (text.len > 0 && jwt_keys_parse(text, &keys, ret_err) < 0)
        return -1;
    mutex_lock(&verifier->keys_lock);
    old = verifier->keys;
    verifier->keys = keys;
    atomic_store(&verifier->interface.has_keys, keys != NULL);
    mutex_unlock(&verifier->keys_lock);
    (void)atomic_fetch_add(&verifier->interface.epoch, 1);
    jwt_keys_free(old);
    return 0;
}

struct token_verifier *jwt_verifier_interface(struct jwt_verifier *verifier)
{
    return &verifier->interface;
}
