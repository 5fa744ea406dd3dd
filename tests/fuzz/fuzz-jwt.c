/* JSON web tokens. The first byte says what the others are:
 *     t  a token         k  keys' text         h  a header, c  claims: signed, so that they are
 * read Nothing but a token of the key is accepted, and what is accepted holds what the header
 * promises. */
#include <sodium.h>

#include "proto/jwt.h"
#include "tenants/base/base64.h"
#include "tenants/base/check.h"
#include "tests/fuzz/target.h"

#define ARENA_BYTES (512U << 10)
#define NOW_MS 1800000000000LL

static unsigned char secret[crypto_sign_SECRETKEYBYTES];
static struct jwt_keys *keys; /* with `secret`'s public key */

static void base64url(struct buf *out, const void *bytes, size_t len)
{
    size_t from = out->len;

    base64_encode(out, bytes, len, false);
    for (size_t i = from; i < out->len; i++) {
        if (out->bytes[i] == '+')
            out->bytes[i] = '-';
        else if (out->bytes[i] == '/')
            out->bytes[i] = '_';
    }
}

static void make_keys(void)
{
    static const unsigned char seed[crypto_sign_SEEDBYTES] = "a seed for tests, and only there";
    unsigned char public[crypto_sign_PUBLICKEYBYTES];
    struct err err = ERR_INIT;
    struct buf text;

    CHECK(sodium_init() >= 0);
    CHECK(crypto_sign_seed_keypair(public, secret, seed) == 0);
    buf_init(&text, 0);
    base64url(&text, public, sizeof(public));
    CHECK(jwt_keys_parse(buf_view(&text), &keys, &err) == 0);
    buf_fini(&text);
}

static void check_name(struct str name)
{
    CHECK(name.len > 0 && name.len <= JWT_NAME_MAX && str_is_utf8(name));
    for (size_t i = 0; i < name.len; i++)
        CHECK((unsigned char)name.ptr[i] >= 0x20);
}

static void check_claims(const struct jwt_claims *claims)
{
    CHECK(claims->a == JWT_READ || claims->a == JWT_WRITE);
    CHECK(!claims->has_exp || claims->exp_s > NOW_MS / 1000 - JWT_LEEWAY_S);
    CHECK(claims->grant_count <= JWT_GRANTS_MAX);
    CHECK(claims->has_permissions || claims->grant_count == 0);
    if (claims->id.ptr != NULL)
        check_name(claims->id);
    if (claims->sub.ptr != NULL)
        check_name(claims->sub);
    for (size_t i = 0; i < claims->grant_count; i++) {
        check_name(claims->grants[i].name);
        CHECK(jwt_access_to(claims, claims->grants[i].name) >= claims->grants[i].access);
    }
}

static bool verify(struct str token)
{
    enum jwt_failure failure = 0;
    struct jwt_claims claims;
    struct err err = ERR_INIT;
    struct arena arena;
    bool good;

    arena_init(&arena, ARENA_BYTES);
    good = jwt_verify(keys, token, NOW_MS, &arena, &claims, &failure, &err) == 0;
    if (good) {
        check_claims(&claims);
    } else {
        CHECK(failure >= JWT_MALFORMED && failure <= JWT_NOT_YET);
        CHECK(err.code == ERR_UNAUTHORIZED || err.code == ERR_TOKEN_EXPIRED);
        CHECK(jwt_access_to(&claims, STR_LITERAL("x")) == JWT_NO_ACCESS);
    }
    arena_fini(&arena);
    return good;
}

static void verify_signed(struct str header, struct str claims)
{
    unsigned char signature[crypto_sign_BYTES];
    struct buf token;

    buf_init(&token, 0);
    base64url(&token, header.ptr, header.len);
    buf_char(&token, '.');
    base64url(&token, claims.ptr, claims.len);
    (void)crypto_sign_detached(
        signature, NULL, (const unsigned char *)token.bytes, token.len, secret);
    buf_char(&token, '.');
    base64url(&token, signature, sizeof(signature));
    (void)verify(buf_view(&token));
    /* With its last letter changed it is never one. */
    token.bytes[token.len - 1] = token.bytes[token.len - 1] == 'A' ? 'B' : 'A';
    CHECK(!verify(buf_view(&token)));
    buf_fini(&token);
}

static void parse_keys(struct str text)
{
    struct jwt_keys *parsed = NULL;
    struct err err = ERR_INIT;

    if (jwt_keys_parse(text, &parsed, &err) < 0) {
        CHECK(err.code == ERR_BAD_REQUEST && parsed == NULL);
        return;
    }
    CHECK(jwt_keys_count(parsed) >= 1 && jwt_keys_count(parsed) <= JWT_KEYS_MAX);
    for (int algorithm = JWT_EDDSA; algorithm <= JWT_RS256; algorithm++)
        CHECK(!jwt_keys_verify(
            parsed, (enum jwt_algorithm)algorithm, STR_LITERAL("x"), STR_LITERAL("y")));
    jwt_keys_free(parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str rest;

    if (len == 0)
        return 0;
    if (keys == NULL)
        make_keys();
    rest = str_make((const char *)bytes + 1, len - 1);
    switch (bytes[0]) {
    case 'k':
        parse_keys(rest);
        break;
    case 'h':
        verify_signed(rest, STR_LITERAL("{}"));
        break;
    case 'c':
        verify_signed(STR_LITERAL("{\"alg\":\"EdDSA\"}"), rest);
        break;
    default:
        (void)verify(rest);
        break;
    }
    return 0;
}
