/* JSON web tokens: one case per rule, with a key of our own. */
#include <sodium.h>

#include "tenants/base/base64.h"
#include "tests/lib/jwt_try.h"
#include "tests/lib/tap.h"

static unsigned char secret[crypto_sign_SECRETKEYBYTES];
static struct jwt_keys *own; /* the set of `secret`'s public key */

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

/* A token of our own key, with any header and claims. */
static void make(struct buf *out, struct str header, struct str claims)
{
    unsigned char signature[crypto_sign_BYTES];

    buf_init(out, 0);
    base64url(out, header.ptr, header.len);
    buf_char(out, '.');
    base64url(out, claims.ptr, claims.len);
    (void)crypto_sign_detached(
        signature, NULL, (const unsigned char *)out->bytes, out->len, secret);
    buf_char(out, '.');
    base64url(out, signature, sizeof(signature));
}

/* ---- headers ---- */

static int verdict_of(struct str header, struct str claims)
{
    struct jwt_claims read;
    struct arena arena;
    struct buf token;
    int result;

    arena_init(&arena, 0);
    make(&token, header, claims);
    result = verify_with(own, buf_view(&token), NOW_S, &arena, &read);
    buf_fini(&token);
    arena_fini(&arena);
    return result;
}

static void test_headers(void)
{
    static const struct {
        const char *name;
        struct str header;
        int want;
    } cases[] = {
#define CASE(name, header, want) {name, STR_LITERAL(header), want}
        CASE("alone", "{\"alg\":\"EdDSA\"}", 0),
        CASE("blanks", " { \"alg\" : \"EdDSA\" } ", 0),
        CASE("escapes", "{\"\\u0061lg\":\"Ed\\u0044SA\"}", 0),
        CASE("typ", "{\"typ\":\"jwt\",\"alg\":\"EdDSA\"}", 0),
        CASE("typ of access tokens", "{\"typ\":\"application/at+JWT\",\"alg\":\"EdDSA\"}", 0),
        CASE("members we do not know", "{\"alg\":\"EdDSA\",\"kid\":\"1\",\"x\":{\"y\":[1]}}", 0),
        CASE("a key in it is not used", "{\"alg\":\"EdDSA\",\"jwk\":{\"kty\":\"OKP\"}}", 0),
        CASE("another typ", "{\"typ\":\"logout+jwt\",\"alg\":\"EdDSA\"}", JWT_MALFORMED),
        CASE("a typ that is no string", "{\"typ\":1,\"alg\":\"EdDSA\"}", JWT_MALFORMED),
        CASE("no alg", "{\"typ\":\"JWT\"}", JWT_MALFORMED),
        CASE("alg null", "{\"alg\":null}", JWT_MALFORMED),
        CASE("alg a list", "{\"alg\":[\"EdDSA\"]}", JWT_MALFORMED),
        CASE("alg none", "{\"alg\":\"none\"}", JWT_MALFORMED),
        CASE("alg NONE", "{\"alg\":\"NONE\"}", JWT_MALFORMED),
        CASE("alg empty", "{\"alg\":\"\"}", JWT_MALFORMED),
        CASE("alg in other letters", "{\"alg\":\"eddsa\"}", JWT_MALFORMED),
        CASE("alg with NUL", "{\"alg\":\"EdDSA\\u0000\"}", JWT_MALFORMED),
        CASE("alg HS256", "{\"alg\":\"HS256\"}", JWT_MALFORMED),
        CASE("alg ES384", "{\"alg\":\"ES384\"}", JWT_MALFORMED),
        CASE("alg of another kind", "{\"alg\":\"ES256\"}", JWT_BAD_SIGNATURE),
        CASE("alg twice", "{\"alg\":\"EdDSA\",\"alg\":\"EdDSA\"}", JWT_MALFORMED),
        CASE(
            "alg twice, once escaped", "{\"alg\":\"none\",\"\\u0061lg\":\"EdDSA\"}", JWT_MALFORMED),
        CASE("twice, deeper", "{\"alg\":\"EdDSA\",\"x\":[{\"y\":1,\"y\":2}]}", JWT_MALFORMED),
        CASE("crit", "{\"alg\":\"EdDSA\",\"crit\":[\"exp\"],\"exp\":1}", JWT_MALFORMED),
        CASE("crit null", "{\"alg\":\"EdDSA\",\"crit\":null}", JWT_MALFORMED),
        CASE("b64", "{\"alg\":\"EdDSA\",\"b64\":false}", JWT_MALFORMED),
        CASE("cty", "{\"alg\":\"EdDSA\",\"cty\":\"JWT\"}", JWT_MALFORMED),
        CASE("an array", "[\"EdDSA\"]", JWT_MALFORMED),
        CASE("not JSON", "{alg:\"EdDSA\"}", JWT_MALFORMED),
        CASE("something behind", "{\"alg\":\"EdDSA\"} {}", JWT_MALFORMED),
        CASE("a byte order mark", "\xef\xbb\xbf{\"alg\":\"EdDSA\"}", JWT_MALFORMED),
        CASE("not UTF-8", "{\"alg\":\"EdDSA\",\"x\":\"\xff\"}", JWT_MALFORMED),
        CASE("too deep", "{\"alg\":\"EdDSA\",\"x\":[[[[[[[[0]]]]]]]]}", JWT_MALFORMED),
#undef CASE
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        is_int(verdict_of(cases[i].header, STR_LITERAL("{}")), cases[i].want, cases[i].name);
}

/* ---- claims ---- */

#define HEADER STR_LITERAL("{\"alg\":\"EdDSA\"}")

static void test_claims(void)
{
    static const struct {
        const char *name;
        struct str claims;
        int want;
    } cases[] = {
#define CASE(name, claims, want) {name, STR_LITERAL(claims), want}
        CASE("none", "{}", 0),
        CASE("others", "{\"iss\":\"x\",\"iat\":1,\"jti\":[],\"q\":{}}", 0),
        CASE("nulls",
            "{\"exp\":null,\"nbf\":null,\"a\":null,\"id\":null,\"p\":null,\"sub\":null,"
            "\"aud\":null}",
            0),
        CASE("exp ahead", "{\"exp\":1800000001}", 0),
        CASE("exp within the leeway", "{\"exp\":1799999941}", 0),
        CASE("exp at its end", "{\"exp\":1799999940}", JWT_EXPIRED),
        CASE("exp with a fraction", "{\"exp\":1799999941.5}", 0),
        CASE("exp with a fraction, over", "{\"exp\":1799999940.5}", JWT_EXPIRED),
        CASE("exp as an exponent", "{\"exp\":1.9e9}", 0),
        CASE("exp 0", "{\"exp\":0}", JWT_EXPIRED),
        CASE("exp before 1970", "{\"exp\":-9223372036854775808}", JWT_EXPIRED),
        CASE("exp far away", "{\"exp\":9223372036854775807}", 0),
        CASE("exp over int64", "{\"exp\":9223372036854775808}", JWT_BAD_CLAIMS),
        CASE("exp infinite", "{\"exp\":1e999}", JWT_BAD_CLAIMS),
        CASE("exp a string", "{\"exp\":\"1900000000\"}", JWT_BAD_CLAIMS),
        CASE("exp true", "{\"exp\":true}", JWT_BAD_CLAIMS),
        CASE("exp twice", "{\"exp\":1,\"exp\":1900000000}", JWT_BAD_CLAIMS),
        CASE("nbf past", "{\"nbf\":1799999999}", 0),
        CASE("nbf within the leeway", "{\"nbf\":1800000060}", 0),
        CASE("nbf ahead", "{\"nbf\":1800000061}", JWT_NOT_YET),
        CASE("nbf far away", "{\"nbf\":9223372036854775807}", JWT_NOT_YET),
        CASE("nbf a string", "{\"nbf\":\"0\"}", JWT_BAD_CLAIMS),
        CASE("expired and not yet", "{\"exp\":1,\"nbf\":1900000000}", JWT_EXPIRED),
        CASE("aud", "{\"aud\":\"rookery\"}", JWT_BAD_CLAIMS),
        CASE("aud a list", "{\"aud\":[]}", JWT_BAD_CLAIMS),
        CASE("a another word", "{\"a\":\"admin\"}", JWT_BAD_CLAIMS),
        CASE("a rwa", "{\"a\":\"rwa\"}", JWT_BAD_CLAIMS),
        CASE("a in capitals", "{\"a\":\"RO\"}", JWT_BAD_CLAIMS),
        CASE("a a list", "{\"a\":[\"ro\"]}", JWT_BAD_CLAIMS),
        CASE("a twice", "{\"a\":\"ro\",\"a\":\"rw\"}", JWT_BAD_CLAIMS),
        CASE("id a number", "{\"id\":1}", JWT_BAD_CLAIMS),
        CASE("id empty", "{\"id\":\"\"}", JWT_BAD_CLAIMS),
        CASE("id with NUL", "{\"id\":\"x\\u0000y\"}", JWT_BAD_CLAIMS),
        CASE("id with a newline", "{\"id\":\"x\\ny\"}", JWT_BAD_CLAIMS),
        CASE("sub a number", "{\"sub\":1}", JWT_BAD_CLAIMS),
        CASE("p a list", "{\"p\":[]}", JWT_BAD_CLAIMS),
        CASE("p a string", "{\"p\":\"rw\"}", JWT_BAD_CLAIMS),
        CASE("scope a list", "{\"p\":{\"rw\":[\"x\"]}}", JWT_BAD_CLAIMS),
        CASE("scope true", "{\"p\":{\"rw\":true}}", JWT_BAD_CLAIMS),
        CASE("scope with more than ns", "{\"p\":{\"rw\":{\"ns\":[\"x\"],\"tables\":[]}}}",
            JWT_BAD_CLAIMS),
        CASE("scope without ns, with more", "{\"p\":{\"rw\":{\"tables\":[]}}}", JWT_BAD_CLAIMS),
        CASE("ns a string", "{\"p\":{\"rw\":{\"ns\":\"x\"}}}", JWT_BAD_CLAIMS),
        CASE("ns of numbers", "{\"p\":{\"rw\":{\"ns\":[1]}}}", JWT_BAD_CLAIMS),
        CASE("ns with an empty name", "{\"p\":{\"rw\":{\"ns\":[\"\"]}}}", JWT_BAD_CLAIMS),
        CASE("ns twice", "{\"p\":{\"rw\":{\"ns\":[],\"ns\":[\"x\"]}}}", JWT_BAD_CLAIMS),
        CASE("words we do not know", "{\"p\":{\"admin\":true,\"rw\":null,\"ro\":{}}}", 0),
        CASE("an array", "[]", JWT_BAD_CLAIMS),
        CASE("null", "null", JWT_BAD_CLAIMS),
        CASE("blank", " ", JWT_BAD_CLAIMS),
        CASE("something behind", "{}x", JWT_BAD_CLAIMS),
#undef CASE
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        is_int(verdict_of(HEADER, cases[i].claims), cases[i].want, cases[i].name);
}

static void test_access(void)
{
    static const struct {
        const char *name;
        struct str claims;
        enum jwt_access rook;
        enum jwt_access crow;
    } cases[] = {
#define CASE(name, claims, rook, crow) {name, STR_LITERAL(claims), rook, crow}
        CASE("nothing is everything", "{}", JWT_WRITE, JWT_WRITE),
        CASE("a alone", "{\"a\":\"ro\"}", JWT_READ, JWT_READ),
        CASE("a with ATTACH is a", "{\"a\":\"roa\"}", JWT_READ, JWT_READ),
        CASE("id alone", "{\"id\":\"rook\"}", JWT_WRITE, JWT_NO_ACCESS),
        CASE("id and a", "{\"id\":\"rook\",\"a\":\"ro\"}", JWT_READ, JWT_NO_ACCESS),
        CASE("id is compared whole", "{\"id\":\"roo\"}", JWT_NO_ACCESS, JWT_NO_ACCESS),
        CASE("p takes precedence",
            "{\"a\":\"rw\",\"id\":\"rook\",\"p\":{\"ro\":{\"ns\":[\"crow\"]}}}", JWT_NO_ACCESS,
            JWT_READ),
        CASE("an empty p opens nothing", "{\"p\":{}}", JWT_NO_ACCESS, JWT_NO_ACCESS),
        CASE("nor does ns null", "{\"p\":{\"rw\":{\"ns\":null}}}", JWT_NO_ACCESS, JWT_NO_ACCESS),
        CASE("nor a word we do not know", "{\"p\":{\"all\":{\"ns\":[\"rook\"]}}}", JWT_NO_ACCESS,
            JWT_NO_ACCESS),
        CASE("the most of several",
            "{\"p\":{\"rw\":{\"ns\":[\"rook\"]},\"ro\":{\"ns\":[\"crow\",\"rook\"]}}}", JWT_WRITE,
            JWT_READ),
        CASE("with ATTACH", "{\"p\":{\"rwa\":{\"ns\":[\"rook\"]},\"roa\":{\"ns\":[\"crow\"]}}}",
            JWT_WRITE, JWT_READ),
        CASE("p null is no p", "{\"id\":\"crow\",\"p\":null}", JWT_NO_ACCESS, JWT_WRITE),
#undef CASE
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct jwt_claims claims;
        struct arena arena;
        struct buf token;

        arena_init(&arena, 0);
        make(&token, HEADER, cases[i].claims);
        ok(verify_with(own, buf_view(&token), NOW_S, &arena, &claims) == 0 &&
                jwt_access_to(&claims, STR_LITERAL("rook")) == cases[i].rook &&
                jwt_access_to(&claims, STR_LITERAL("crow")) == cases[i].crow,
            "access: %s", cases[i].name);
        buf_fini(&token);
        arena_fini(&arena);
    }
}

static void test_fields(void)
{
    struct jwt_claims claims;
    struct arena arena;
    struct buf token;

    arena_init(&arena, 0);
    make(&token, HEADER,
        STR_LITERAL("{\"sub\":\"J\\u00f6rg\",\"id\":\"rook\",\"a\":\"ro\",\"exp\":1900000000.9}"));
    ok(verify_with(own, buf_view(&token), NOW_S, &arena, &claims) == 0, "a whole token");
    ok(str_is(claims.sub, "J\xc3\xb6rg") && str_is(claims.id, "rook"), "sub and id");
    ok(claims.a == JWT_READ && claims.has_exp && claims.exp_s == 1900000000, "a and exp");
    ok(!claims.has_permissions && claims.grant_count == 0, "no permissions");
    buf_fini(&token);
    arena_fini(&arena);
    is_str(jwt_failure_code(JWT_EXPIRED), "AUTH_JWT_EXPIRED", "code of an expired one");
    is_str(jwt_failure_code(JWT_NOT_YET), "AUTH_JWT_IMMATURE", "code of one not valid yet");
    is_str(jwt_failure_code(JWT_MALFORMED), "AUTH_JWT_INVALID", "code of a malformed one");
    is_str(jwt_failure_code(JWT_BAD_SIGNATURE), "AUTH_JWT_INVALID", "code of a bad signature");
    is_str(jwt_failure_code(JWT_BAD_CLAIMS), "AUTH_JWT_INVALID", "code of bad claims");
}

/* ---- form ---- */

static void test_form(void)
{
    static const char *const cases[] = {"", ".", "..", "...", "a", "a.b", "eyJhbGciOiJFZERTQSJ9..",
        "eyJhbGciOiJFZERTQSJ9.e30.", ".e30.AAAA", "eyJhbGciOiJFZERTQSJ9.e30.AAAA.AAAA",
        "eyJhbGciOiJFZERTQSJ9.e30.AA=", "eyJhbGciOiJFZERTQSJ9.e30.A",
        " eyJhbGciOiJFZERTQSJ9.e30.AA", "None"};
    struct jwt_claims claims;
    struct arena arena;

    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ok(verify_with(own, str_from(cases[i]), NOW_S, &arena, &claims) == JWT_MALFORMED,
            "no token: '%s'", cases[i]);
    arena_fini(&arena);
}

/* One byte changed, one cut off, one added: never good. */
static void test_every_byte(void)
{
    struct jwt_claims claims;
    struct arena arena;
    struct buf token;
    size_t good = 0;

    arena_init(&arena, 0);
    make(&token, HEADER, STR_LITERAL("{\"id\":\"rook\",\"exp\":1900000000}"));
    ok(verify_with(own, buf_view(&token), NOW_S, &arena, &claims) == 0, "as it is");
    for (size_t at = 0; at < token.len; at++) {
        char old = token.bytes[at];

        good += verify_with(own, str_make(token.bytes, at), NOW_S, &arena, &claims) == 0;
        for (const char *c = "AQgw_-=.+/\n"; *c != '\0'; c++) {
            token.bytes[at] = *c;
            good += *c != old && verify_with(own, buf_view(&token), NOW_S, &arena, &claims) == 0;
        }
        token.bytes[at] = old;
        arena_reset(&arena);
    }
    is_int(good, 0, "never with a byte changed or missing");
    buf_cstr(&token, "=");
    is_int(verify_with(own, buf_view(&token), NOW_S, &arena, &claims), JWT_MALFORMED, "nor padded");
    buf_fini(&token);
    arena_fini(&arena);
}

/* {"m0":0,"m1":0,…}, `count` members. */
static void members(struct buf *out, unsigned count)
{
    buf_init(out, 0);
    buf_cstr(out, "{\"alg\":\"EdDSA\"");
    for (unsigned i = 1; i < count; i++)
        buf_printf(out, ",\"%u\":0", i);
    buf_char(out, '}');
}

static void test_bounds(void)
{
    struct buf text;
    struct str view;

    members(&text, JWT_MEMBERS_MAX);
    view = buf_view(&text);
    is_int(verdict_of(view, view), 0, "64 members");
    buf_fini(&text);
    members(&text, JWT_MEMBERS_MAX + 1);
    view = buf_view(&text);
    is_int(verdict_of(view, STR_LITERAL("{}")), JWT_MALFORMED, "65 in the header");
    is_int(verdict_of(HEADER, view), JWT_BAD_CLAIMS, "65 in the claims");
    buf_fini(&text);

    buf_init(&text, 0);
    buf_cstr(&text, "{\"alg\":\"EdDSA\"");
    while (text.len < JWT_HEADER_MAX / 4 * 3 - 1)
        buf_char(&text, ' ');
    buf_char(&text, '}');
    is_int(verdict_of(buf_view(&text), STR_LITERAL("{}")), 0, "a header of 1,024 letters");
    text.bytes[text.len - 1] = ' ';
    buf_char(&text, '}');
    is_int(verdict_of(buf_view(&text), STR_LITERAL("{}")), JWT_MALFORMED, "and one more");
    buf_fini(&text);

    buf_init(&text, 0);
    buf_cstr(&text, "{\"p\":{\"rw\":{\"ns\":[\"x\"");
    for (int i = 1; i < JWT_GRANTS_MAX; i++)
        buf_cstr(&text, ",\"x\"");
    buf_cstr(&text, "]}}}");
    is_int(verdict_of(HEADER, buf_view(&text)), 0, "256 names");
    buf_truncate(&text, text.len - 4);
    buf_cstr(&text, ",\"x\"]}}}");
    is_int(verdict_of(HEADER, buf_view(&text)), JWT_BAD_CLAIMS, "257 names");
    buf_fini(&text);

    buf_init(&text, 0);
    buf_cstr(&text, "{\"x\":\"");
    while (text.len < JWT_BYTES_MAX)
        buf_char(&text, 'x');
    buf_cstr(&text, "\"}");
    is_int(verdict_of(HEADER, buf_view(&text)), JWT_MALFORMED, "more than 8 KB");
    buf_fini(&text);
}

/* The arena's bound is the reader's, at any size: refused, never read wrongly. */
static void test_memory(void)
{
    struct buf token;
    size_t refused = 0;
    size_t limit;

    make(
        &token, HEADER, STR_LITERAL("{\"p\":{\"rw\":{\"ns\":[\"x\",\"\\u0079\"]}},\"sub\":\"z\"}"));
    for (limit = 1; limit < 65536; limit += 16) {
        enum jwt_failure failure = 0;
        struct jwt_claims claims;
        struct err err = ERR_INIT;
        struct arena arena;
        int result;

        arena_init(&arena, limit);
        result = jwt_verify(own, buf_view(&token), NOW_S * 1000, &arena, &claims, &failure, &err);
        arena_fini(&arena);
        if (result == 0)
            break;
        if (err.code == ERR_TOO_LARGE && failure == JWT_MALFORMED && claims.a == JWT_NO_ACCESS)
            refused++;
    }
    ok(refused > 0 && refused == (limit - 1) / 16, "too little memory is ERR_TOO_LARGE");
    ok(limit < 4096, "an ordinary token needs little (%zu bytes)", limit);
    buf_fini(&token);
}

/* What the header promises of memory: nothing but numbers, each a node. */
static void test_memory_bound(void)
{
    struct jwt_claims claims;
    struct arena arena;
    struct buf token;
    struct buf text;

    buf_init(&text, 0);
    buf_cstr(&text, "{\"alg\":\"EdDSA\",\"x\":[0");
    while (text.len < JWT_HEADER_MAX / 4 * 3 - 4)
        buf_cstr(&text, ",0");
    buf_cstr(&text, "]}");
    make(&token, buf_view(&text), STR_LITERAL("{"));
    arena_init(&arena, 64 << 10);
    is_int(verify_with(own, buf_view(&token), NOW_S, &arena, &claims), JWT_BAD_CLAIMS,
        "no header takes over 64 KB");
    ok(!arena_overflowed(&arena), "and the arena says so too");
    arena_fini(&arena);
    buf_fini(&token);
    buf_fini(&text);

    buf_init(&text, 0);
    buf_cstr(&text, "{\"x\":[0");
    while (text.len < 6000)
        buf_cstr(&text, ",0");
    buf_cstr(&text, "]}");
    make(&token, HEADER, buf_view(&text));
    arena_init(&arena, 512 << 10);
    is_int(verify_with(own, buf_view(&token), NOW_S, &arena, &claims), 0,
        "no claims take over 512 KB");
    arena_fini(&arena);
    buf_fini(&token);
    buf_fini(&text);
}

static void make_own_key(void)
{
    unsigned char public[crypto_sign_PUBLICKEYBYTES];
    struct err err = ERR_INIT;
    struct buf text;

    if (sodium_init() < 0)
        exit(1);
    (void)crypto_sign_keypair(public, secret);
    buf_init(&text, 0);
    base64url(&text, public, sizeof(public));
    ok(jwt_keys_parse(buf_view(&text), &own, &err) == 0, "a key of our own");
    buf_fini(&text);
}

int main(void)
{
    make_own_key();
    test_headers();
    test_claims();
    test_access();
    test_fields();
    test_form();
    test_every_byte();
    test_bounds();
    test_memory();
    test_memory_bound();
    jwt_keys_free(own);
    return done_testing();
}
