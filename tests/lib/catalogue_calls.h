/* Calls to a catalogue whose engine answers at once or from its threads: each waits, checks, and
 * leaves its output in `made`. */
#ifndef TESTS_LIB_CATALOGUE_CALLS_H
#define TESTS_LIB_CATALOGUE_CALLS_H

#include <pthread.h>

#include "tenants/catalogue.h"
#include "tenants/token.h"
#include "tests/lib/tap.h"

static struct {
    struct catalogue *catalogue;
    struct arena arena; /* never reset: outputs stay */
    struct catalogue_call call;
    struct principal *principal; /* who asks from now on; NULL: the process */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
} made = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

__attribute__((unused)) static void made_done(struct catalogue_call *call)
{
    (void)call;
    (void)pthread_mutex_lock(&made.lock);
    made.done = true;
    (void)pthread_cond_signal(&made.cond);
    (void)pthread_mutex_unlock(&made.lock);
}

__attribute__((unused)) static struct catalogue_call *made_begin(void)
{
    memset(&made.call, 0, sizeof(made.call));
    made.call.catalogue = made.catalogue;
    made.call.arena = &made.arena;
    made.call.principal = made.principal;
    made.call.done = made_done;
    made.done = false;
    return &made.call;
}

__attribute__((unused)) static enum err_code made_wait(void)
{
    (void)pthread_mutex_lock(&made.lock);
    while (!made.done)
        (void)pthread_cond_wait(&made.cond, &made.lock);
    (void)pthread_mutex_unlock(&made.lock);
    return made.call.err.code;
}

/* enum err_code DO(tenant_create, struct tenant_create_input, .slug = S("acme")) */
#define DO(name, type, ...)                                                                        \
    (catalogue_##name(made_begin(), &(const type){__VA_ARGS__}), made_wait())
#define S(text) STR_LITERAL(text)
#define OUT(type) ((const type *)made.call.output)

__attribute__((unused)) static bool is_code(enum err_code got, enum err_code want, const char *name)
{
    bool passed = ok(got == want, "%s: %s", name, made.call.err.msg);

    if (!passed)
        (void)printf("# got %s, want %s\n", err_code_name(got), err_code_name(want));
    return passed;
}

/* Who a token is; NULL when it does not authenticate (the code is in made.call.err). */
__attribute__((unused)) static struct principal *authenticate(struct str token)
{
    struct err err = ERR_INIT;
    struct token_lookup_input input;
    struct str prefix;
    struct str tail;

    if (token_parse(token, &prefix, &tail, &err) < 0)
        return NULL;
    token_hash(tail, input.hash);
    catalogue_token_lookup(made_begin(), &input);
    return made_wait() == ERR_NONE ? made.call.output : NULL;
}

__attribute__((unused)) static struct str mint(const struct token_mint_input *input)
{
    catalogue_token_mint(made_begin(), input);
    return made_wait() == ERR_NONE ? OUT(struct token_minted)->token : str_make(NULL, 0);
}

__attribute__((unused)) static struct principal *minted_principal(
    const struct token_mint_input *input)
{
    struct str token = mint(input);

    return token.ptr == NULL ? NULL : authenticate(token);
}

__attribute__((unused)) static struct database *look_up(const char *tenant, const char *segment)
{
    struct database_lookup_input input = {.tenant = str_from(tenant), .segment = str_from(segment)};

    catalogue_database_lookup(made_begin(), &input);
    return made_wait() == ERR_NONE ? made.call.output : NULL;
}

__attribute__((unused)) static enum err_code make_database(const char *tenant, const char *slug)
{
    struct database_create_item item = {.slug = str_from(slug)};

    return DO(database_create, struct database_create_input, .tenant = str_from(tenant),
        .items = &item, .count = 1);
}

#endif
