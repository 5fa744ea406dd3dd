/* Keys and signatures of JSON web tokens: the RFCs' vectors, and keys and tokens that OpenSSL made.
 */
#include "tenants/base/base64.h"
#include "tests/lib/jwt_try.h"
#include "tests/lib/jwt_vectors.h"
#include "tests/lib/tap.h"

static struct jwt_keys *keys_of(const char *text)
{
    struct jwt_keys *keys = NULL;
    struct err err = ERR_INIT;

    if (jwt_keys_parse(str_from(text), &keys, &err) < 0)
        printf("# %s\n", err.msg);
    return keys;
}

static int verdict(const char *key, const char *token)
{
    struct jwt_keys *keys = keys_of(key);
    struct jwt_claims claims;
    struct arena arena;
    int result;

    arena_init(&arena, 0);
    result = verify_with(keys, str_from(token), NOW_S, &arena, &claims);
    arena_fini(&arena);
    jwt_keys_free(keys);
    return result;
}

/* ---- the RFCs ---- */

#define RFC7515_CLAIMS                                                                             \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"
#define RFC7515_RS256                                                                              \
    "eyJhbGciOiJSUzI1NiJ9." RFC7515_CLAIMS                                                         \
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp" \
    "5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"                                          \
    "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"                                                   \
    "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"                                              \
    "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOY"                                               \
    "EUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define RFC7515_RS256_KEY                                                                          \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj\n"                           \
    "NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz\n"                           \
    "P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo\n"                           \
    "9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB\n"                           \
    "EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX\n"                           \
    "FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp\n"                           \
    "oQIDAQAB\n"                                                                                   \
    "-----END PUBLIC KEY-----\n"
#define RFC7515_ES256                                                                              \
    "eyJhbGciOiJFUzI1NiJ9." RFC7515_CLAIMS                                                         \
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define RFC7515_ES256_KEY                                                                          \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"                           \
    "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"                               \
    "-----END PUBLIC KEY-----\n"
#define RFC8037_KEY "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define RFC8037_TOKEN                                                                              \
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"                                     \
    ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
#define RFC7515_NONE "eyJhbGciOiJub25lIn0." RFC7515_CLAIMS "."
#define RFC7515_HS256                                                                              \
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC7515_CLAIMS                                     \
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

static void test_rfc(void)
{
    struct jwt_keys *rsa = keys_of(RFC7515_RS256_KEY);
    struct jwt_keys *ec = keys_of(RFC7515_ES256_KEY);
    struct jwt_claims claims;
    struct arena arena;

    arena_init(&arena, 0);
    is_int(verify_with(rsa, STR_LITERAL(RFC7515_RS256), 1300819380, &arena, &claims), 0,
        "RFC 7515, A.2: RS256");
    ok(claims.has_exp && claims.exp_s == 1300819380 && claims.sub.ptr == NULL, "its claims");
    is_int(verify_with(rsa, STR_LITERAL(RFC7515_RS256), 1300819440, &arena, &claims), JWT_EXPIRED,
        "and a minute after its end");
    is_int(verify_with(ec, STR_LITERAL(RFC7515_ES256), 1300819380, &arena, &claims), 0,
        "RFC 7515, A.3: ES256");
    /* Signed, but no claims: the failure comes after the signature. */
    is_int(verdict(RFC8037_KEY, RFC8037_TOKEN), JWT_BAD_CLAIMS, "RFC 8037, A.4: Ed25519");
    is_int(verdict(RFC7515_RS256_KEY, RFC7515_NONE), JWT_MALFORMED, "RFC 7515, A.5: none");
    is_int(verdict(RFC7515_RS256_KEY, RFC7515_HS256), JWT_MALFORMED, "RFC 7515, A.1: HS256");
    arena_fini(&arena);
    jwt_keys_free(rsa);
    jwt_keys_free(ec);
}

/* ---- keys ---- */

static void test_openssl(void)
{
    static const struct {
        const char *name;
        const char *key;
        const char *token;
        int want;
    } cases[] = {
        {"EdDSA", KEY_ED25519, TOKEN_EDDSA, 0},
        {"EdDSA, the key as 43 letters", KEY_ED25519_RAW, TOKEN_EDDSA, 0},
        {"ES256", KEY_P256, TOKEN_ES256, 0},
        {"RS256", KEY_RSA, TOKEN_RS256, 0},
        {"RS256 with 4096 bits", KEY_RSA_4096, TOKEN_RS256_4096, 0},
        {"the last of several keys",
            KEY_ED25519_OTHER KEY_P256 "\n" KEY_RSA_4096 KEY_RSA "\n " KEY_ED25519_RAW "\n",
            TOKEN_EDDSA, 0},
        {"the second RSA key", KEY_RSA_4096 KEY_RSA, TOKEN_RS256, 0},
        {"another Ed25519 key", KEY_ED25519_OTHER, TOKEN_EDDSA, JWT_BAD_SIGNATURE},
        {"another P-256 key", RFC7515_ES256_KEY, TOKEN_ES256, JWT_BAD_SIGNATURE},
        {"another RSA key", RFC7515_RS256_KEY, TOKEN_RS256, JWT_BAD_SIGNATURE},
        {"an RSA key of another size", KEY_RSA_4096, TOKEN_RS256, JWT_BAD_SIGNATURE},
        {"only keys of other kinds", KEY_P256 KEY_RSA, TOKEN_EDDSA, JWT_BAD_SIGNATURE},
        {"ES256 with a signature in DER", KEY_P256, TOKEN_ES256_DER, JWT_BAD_SIGNATURE},
        {"ES256 with r = s = 0", KEY_P256, TOKEN_ES256_ZERO, JWT_BAD_SIGNATURE},
        {"RS256 over SHA-512", KEY_RSA, TOKEN_RS256_SHA512, JWT_BAD_SIGNATURE},
        {"RS256 with PSS", KEY_RSA, TOKEN_RS256_PSS, JWT_BAD_SIGNATURE},
        {"alg says RS256, the signature is Ed25519's", KEY_ED25519 KEY_RSA, TOKEN_RS256_BY_ED25519,
            JWT_BAD_SIGNATURE},
        {"alg says EdDSA, the signature is RSA's", KEY_RSA KEY_ED25519, TOKEN_EDDSA_BY_RSA,
            JWT_BAD_SIGNATURE},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        is_int(verdict(cases[i].key, cases[i].token), cases[i].want, cases[i].name);
}

/* The token's signature, and the same one byte shorter and longer, each in a block of its size. */
static void test_lengths(const char *key, const char *token, enum jwt_algorithm algorithm)
{
    struct jwt_keys *keys = keys_of(key);
    size_t dot = (size_t)(strrchr(token, '.') - token);
    unsigned char signature[JWT_SIGNATURE_BYTES_MAX + 4] = {0};
    size_t len = 0;

    ok(base64url_decode(str_from(token + dot + 1), signature, &len) == 0, "a signature");
    for (size_t size = 0; size <= len + 1; size++) {
        char *exact = malloc(size == 0 ? 1 : size);

        memcpy(exact, signature, size);
        if (jwt_keys_verify(keys, algorithm, str_make(token, dot), str_make(exact, size)) !=
            (size == len))
            ok(false, "a signature of %zu bytes instead of %zu", size, len);
        free(exact);
    }
    ok(jwt_keys_have(keys, algorithm), "no other length is taken (%zu bytes)", len);
    jwt_keys_free(keys);
}

#define PEM(label, body) "-----BEGIN " label "-----\n" body "\n-----END " label "-----\n"

static void test_keys(void)
{
    static const struct {
        const char *name;
        const char *text;
        const char *want; /* in the message */
    } cases[] = {
        {"nothing", " \n", "there is no key"},
        {"a private key", PEM("PRIVATE KEY", "AAAA"), "key 1 is a private key"},
        {"a private EC key", PEM("EC PRIVATE KEY", "AAAA"), "key 1 is a private key"},
        {"an encrypted one", PEM("ENCRYPTED PRIVATE KEY", "AAAA"), "key 1 is a private key"},
        {"PKCS #1", BAD_PKCS1, "openssl rsa"},
        {"a certificate", BAD_CERTIFICATE, "openssl x509"},
        {"RSA with 1024 bits", BAD_RSA_1024, "2048"},
        {"P-384", BAD_P384, "must be Ed25519"},
        {"secp256k1", BAD_SECP256K1, "must be Ed25519"},
        {"a compressed point", BAD_P256_COMPRESSED, "must be Ed25519"},
        {"Ed448", BAD_ED448, "must be Ed25519"},
        {"X25519", BAD_X25519, "must be Ed25519"},
        {"PEM without an end", "-----BEGIN PUBLIC KEY-----\nAAAA\n", "no -----END"},
        {"PEM with a header in it",
            "-----BEGIN PUBLIC KEY-----\nA: b\nAAAA\n-----END PUBLIC KEY-----\n", "base64"},
        {"PEM that holds nothing", PEM("PUBLIC KEY", ""), "must be Ed25519"},
        {"a DER integer", PEM("PUBLIC KEY", "AgEB"), "must be Ed25519"},
        {"a short word", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUR", "43 letters"},
        {"a padded word", RFC8037_KEY "=", "43 letters"},
        {"a word of the other alphabet", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "43 letters"},
        {"a word with left-over bits", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp", "43 letters"},
        {"the second is bad", RFC8037_KEY " x", "key 2"},
        {"a point of small order", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "no point"},
        {"zeros", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "no point"},
        {"a point that is not on P-256",
            PEM("PUBLIC KEY", "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
                              "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrA=="),
            "no point"},
    };
    struct jwt_keys *keys = NULL;
    struct err err;
    struct buf text;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        err = ERR_INIT;
        ok(jwt_keys_parse(str_from(cases[i].text), &keys, &err) < 0 &&
                err.code == ERR_BAD_REQUEST && strstr(err.msg, cases[i].want) != NULL,
            "key refused: %s (%s)", cases[i].name, err.msg);
    }
    buf_init(&text, 0);
    for (int i = 0; i < JWT_KEYS_MAX; i++)
        buf_cstr(&text, RFC8037_KEY "\n");
    ok(jwt_keys_parse(buf_view(&text), &keys, &err) == 0 && jwt_keys_count(keys) == JWT_KEYS_MAX,
        "16 keys");
    jwt_keys_free(keys);
    buf_cstr(&text, RFC8037_KEY);
    ok(jwt_keys_parse(buf_view(&text), &keys, &err) < 0, "17 are too many");
    while (text.len <= JWT_KEYS_TEXT_MAX)
        buf_char(&text, ' ');
    ok(jwt_keys_parse(buf_view(&text), &keys, &err) < 0 && strstr(err.msg, "bytes") != NULL,
        "more text than allowed");
    buf_fini(&text);
    jwt_keys_free(NULL);
    ok(true, "no keys can be freed");
}

int main(void)
{
    test_rfc();
    test_openssl();
    test_lengths(KEY_ED25519, TOKEN_EDDSA, JWT_EDDSA);
    test_lengths(KEY_P256, TOKEN_ES256, JWT_ES256);
    test_lengths(KEY_RSA, TOKEN_RS256, JWT_RS256);
    test_keys();
    return done_testing();
}
