#include "proto/jwt_keys.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/pk.h>
#include <mbedtls/rsa.h>
#include <mbedtls/version.h>
#include <sodium.h>

#include "tenants/base/base64.h"
#include "tenants/base/check.h"
#include "tenants/base/mem.h"
#include "tenants/base/sha256.h"

#define DER_MAX 1024 /* RSA with 4096 bits has 550 */
#define ED25519_BYTES 32
#define P256_BYTES 32
#define P256_POINT_BYTES (1 + 2 * P256_BYTES)
#define RSA_BITS_MIN 2048
#define RSA_BYTES_MAX JWT_SIGNATURE_BYTES_MAX
#define RSA_EXPONENT_BYTES 4 /* larger ones only make verifying slow */

/* Plain bytes: mbedTLS' own objects are made for each use, since using one changes it. */
struct key {
    enum jwt_algorithm algorithm;
    union {
        unsigned char ed25519[ED25519_BYTES];
        unsigned char p256[P256_POINT_BYTES];
        struct {
            unsigned char modulus[RSA_BYTES_MAX]; /* big-endian, the first byte is not 0 */
            size_t modulus_len;
            unsigned char exponent[RSA_EXPONENT_BYTES];
        } rsa;
    };
};

struct jwt_keys {
    size_t count;
    struct key keys[JWT_KEYS_MAX];
};

/* ---- reading ---- */

/* SubjectPublicKeyInfo up to the key itself: these two kinds have one encoding only. */
static const unsigned char ed25519_head[] = {
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
static const unsigned char p256_head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42,
    0x00};

static int read_ed25519(
    struct key *key, const unsigned char bytes[ED25519_BYTES], size_t number, struct err *ret_err)
{
    /* On the curve, written in the only way, and of the large group. */
    if (crypto_core_ed25519_is_valid_point(bytes) == 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "key %zu is no point of Ed25519", number);
    key->algorithm = JWT_EDDSA;
    memcpy(key->ed25519, bytes, ED25519_BYTES);
    return 0;
}

static int load_p256(
    mbedtls_ecp_group *group, mbedtls_ecp_point *point, const unsigned char bytes[P256_POINT_BYTES])
{
    if (mbedtls_ecp_group_load(group, MBEDTLS_ECP_DP_SECP256R1) != 0 ||
        mbedtls_ecp_point_read_binary(group, point, bytes, P256_POINT_BYTES) != 0)
        return -1;
    return 0;
}

static int read_p256(struct key *key, const unsigned char bytes[P256_POINT_BYTES], size_t number,
    struct err *ret_err)
{
    mbedtls_ecp_group group;
    mbedtls_ecp_point point;
    bool good;

    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&point);
    good = load_p256(&group, &point, bytes) == 0 && mbedtls_ecp_check_pubkey(&group, &point) == 0;
    mbedtls_ecp_point_free(&point);
    mbedtls_ecp_group_free(&group);
    if (!good)
        return err_set(ret_err, ERR_BAD_REQUEST, "key %zu is no point of P-256", number);
    key->algorithm = JWT_ES256;
    memcpy(key->p256, bytes, P256_POINT_BYTES);
    return 0;
}

static int read_rsa(
    struct key *key, const mbedtls_rsa_context *rsa, size_t number, struct err *ret_err)
{
    size_t len = mbedtls_rsa_get_len(rsa);

    if (len < RSA_BITS_MIN / 8 || len > RSA_BYTES_MAX)
        return err_set(ret_err, ERR_BAD_REQUEST,
            "key %zu is RSA with about %zu bits; it must have %d to %d", number, len * 8,
            RSA_BITS_MIN, RSA_BYTES_MAX * 8);
    key->algorithm = JWT_RS256;
    key->rsa.modulus_len = len;
    if (mbedtls_rsa_export_raw(rsa, key->rsa.modulus, len, NULL, 0, NULL, 0, NULL, 0,
            key->rsa.exponent, RSA_EXPONENT_BYTES) != 0)
        return err_set(
            ret_err, ERR_BAD_REQUEST, "key %zu is RSA with an exponent over 32 bits", number);
    if (len == RSA_BITS_MIN / 8 && (key->rsa.modulus[0] & 0x80) == 0)
        return err_set(
            ret_err, ERR_BAD_REQUEST, "key %zu is RSA with fewer than 2048 bits", number);
    return 0;
}

/* What is neither Ed25519 nor P-256 as everybody writes it: RSA, or something we do not take. */
static int read_other(
    struct key *key, unsigned char *der, size_t len, size_t number, struct err *ret_err)
{
    mbedtls_pk_context pk;
    unsigned char *at = der;
    int result;

    mbedtls_pk_init(&pk);
    if (mbedtls_pk_parse_subpubkey(&at, der + len, &pk) != 0 || at != der + len ||
        mbedtls_pk_get_type(&pk) != MBEDTLS_PK_RSA)
        result = err_set(ret_err, ERR_BAD_REQUEST,
            "key %zu must be Ed25519, EC on P-256 (uncompressed, named curve) or RSA", number);
    else
        result = read_rsa(key, mbedtls_pk_rsa(pk), number, ret_err);
    mbedtls_pk_free(&pk);
    return result;
}

static int read_der(
    struct key *key, unsigned char *der, size_t len, size_t number, struct err *ret_err)
{
    if (len == sizeof(ed25519_head) + ED25519_BYTES &&
        memcmp(der, ed25519_head, sizeof(ed25519_head)) == 0)
        return read_ed25519(key, der + sizeof(ed25519_head), number, ret_err);
    if (len == sizeof(p256_head) + P256_POINT_BYTES &&
        memcmp(der, p256_head, sizeof(p256_head)) == 0)
        return read_p256(key, der + sizeof(p256_head), number, ret_err);
    return read_other(key, der, len, number, ret_err);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct str *rest)
{
    while (rest->len > 0 && is_blank(*rest->ptr))
        *rest = str_make(rest->ptr + 1, rest->len - 1);
}

/* Cuts `label` off, or returns false. */
static bool cut(struct str *rest, const char *label)
{
    size_t len = strlen(label);

    if (!str_starts_with(*rest, label))
        return false;
    *rest = str_make(rest->ptr + len, rest->len - len);
    return true;
}

/* Of a PEM block that is no public key: says how to make it one. */
static int wrong_label(struct str rest, size_t number, struct err *ret_err)
{
    struct str label;

    (void)cut(&rest, "-----BEGIN ");
    label = str_make(rest.ptr, str_find(rest, '-'));
    if (label.len >= 11 && memcmp(label.ptr + label.len - 11, "PRIVATE KEY", 11) == 0)
        return err_set(ret_err, ERR_BAD_REQUEST,
            "key %zu is a private key, keep it; its public one is wanted: openssl pkey -pubout",
            number);
    if (str_is(label, "RSA PUBLIC KEY"))
        return err_set(ret_err, ERR_BAD_REQUEST,
            "key %zu is in an older form; convert it: openssl rsa -RSAPublicKey_in -pubout",
            number);
    if (str_is(label, "CERTIFICATE"))
        return err_set(ret_err, ERR_BAD_REQUEST,
            "key %zu is a certificate; take its key out: openssl x509 -pubkey -noout", number);
    return err_set(
        ret_err, ERR_BAD_REQUEST, "key %zu must begin with -----BEGIN PUBLIC KEY-----", number);
}

static int read_pem(struct key *key, struct str *rest, size_t number, struct err *ret_err)
{
    char letters[(DER_MAX + 2) / 3 * 4];
    unsigned char der[(sizeof(letters) / 4 * 3) + 3];
    struct str text = {letters, 0};
    size_t len;

    if (!cut(rest, "-----BEGIN PUBLIC KEY-----"))
        return wrong_label(*rest, number, ret_err);
    for (skip_blanks(rest); rest->len > 0 && *rest->ptr != '-'; skip_blanks(rest)) {
        if (text.len == sizeof(letters))
            return err_set(ret_err, ERR_BAD_REQUEST, "key %zu is too long", number);
        letters[text.len++] = *rest->ptr;
        *rest = str_make(rest->ptr + 1, rest->len - 1);
    }
    if (!cut(rest, "-----END PUBLIC KEY-----"))
        return err_set(ret_err, ERR_BAD_REQUEST, "key %zu has no -----END PUBLIC KEY-----", number);
    if (base64_decode(text, der, &len) < 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "key %zu is not base64", number);
    return read_der(key, der, len, number, ret_err);
}

static int read_word(struct key *key, struct str *rest, size_t number, struct err *ret_err)
{
    unsigned char bytes[ED25519_BYTES + 3];
    struct str word = {rest->ptr, 0};
    size_t len = 0;

    while (word.len < rest->len && !is_blank(rest->ptr[word.len]))
        word.len++;
    *rest = str_make(rest->ptr + word.len, rest->len - word.len);
    if (word.len != 43 || base64url_decode(word, bytes, &len) < 0 || len != ED25519_BYTES)
        return err_set(ret_err, ERR_BAD_REQUEST,
            "key %zu must be PEM, or an Ed25519 key's 32 bytes in base64url without padding "
            "(43 letters)",
            number);
    return read_ed25519(key, bytes, number, ret_err);
}

static int read_keys(struct jwt_keys *keys, struct str text, struct err *ret_err)
{
    for (skip_blanks(&text); text.len > 0; skip_blanks(&text)) {
        struct key *key = &keys->keys[keys->count];
        size_t number = keys->count + 1;

        if (keys->count == JWT_KEYS_MAX)
            return err_set(ret_err, ERR_BAD_REQUEST, "more than %d keys", JWT_KEYS_MAX);
        if ((*text.ptr == '-' && str_starts_with(text, "-----BEGIN")
                    ? read_pem(key, &text, number, ret_err)
                    : read_word(key, &text, number, ret_err)) < 0)
            return -1;
        keys->count++;
    }
    return keys->count > 0 ? 0 : err_set(ret_err, ERR_BAD_REQUEST, "there is no key");
}

int jwt_keys_parse(struct str text, struct jwt_keys **ret_keys, struct err *ret_err)
{
    struct jwt_keys *keys;

    if (text.len > JWT_KEYS_TEXT_MAX)
        return err_set(
            ret_err, ERR_BAD_REQUEST, "the keys have more than %d bytes", JWT_KEYS_TEXT_MAX);
    /* Once is enough, more often is fine, from any thread. */
    CHECK(sodium_init() >= 0);
    keys = mem_zalloc(sizeof(*keys));
    if (read_keys(keys, text, ret_err) < 0) {
        jwt_keys_free(keys);
        return -1;
    }
    *ret_keys = keys;
    return 0;
}

void jwt_keys_free(struct jwt_keys *keys)
{
    mem_free(keys);
}

size_t jwt_keys_count(const struct jwt_keys *keys)
{
    return keys->count;
}

bool jwt_keys_have(const struct jwt_keys *keys, enum jwt_algorithm algorithm)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->keys[i].algorithm == algorithm)
            return true;
    }
    return false;
}

/* ---- verifying ---- */

static bool verify_ed25519(const struct key *key, struct str text, struct str signature)
{
    return signature.len == crypto_sign_ed25519_BYTES &&
           crypto_sign_ed25519_verify_detached((const unsigned char *)signature.ptr,
               (const unsigned char *)text.ptr, text.len, key->ed25519) == 0;
}

/* The signature is r and s, 32 bytes each (RFC 7518, 3.4), not DER. */
static bool verify_p256(
    const struct key *key, const unsigned char hash[SHA256_BYTES], struct str signature)
{
    const unsigned char *bytes = (const unsigned char *)signature.ptr;
    mbedtls_ecp_group group;
    mbedtls_ecp_point point;
    mbedtls_mpi r;
    mbedtls_mpi s;
    bool good;

    if (signature.len != 2 * P256_BYTES)
        return false;
    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&point);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    good = load_p256(&group, &point, key->p256) == 0 &&
           mbedtls_mpi_read_binary(&r, bytes, P256_BYTES) == 0 &&
           mbedtls_mpi_read_binary(&s, bytes + P256_BYTES, P256_BYTES) == 0 &&
           mbedtls_ecdsa_verify(&group, hash, SHA256_BYTES, &point, &r, &s) == 0;
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_ecp_point_free(&point);
    mbedtls_ecp_group_free(&group);
    return good;
}

static bool verify_rsa(
    const struct key *key, const unsigned char hash[SHA256_BYTES], struct str signature)
{
    const unsigned char *bytes = (const unsigned char *)signature.ptr;
    mbedtls_rsa_context rsa;
    bool good;

    if (signature.len != key->rsa.modulus_len)
        return false;
#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_rsa_init(&rsa);
#else
    mbedtls_rsa_init(&rsa, MBEDTLS_RSA_PKCS_V15, 0);
#endif
    good = mbedtls_rsa_import_raw(&rsa, key->rsa.modulus, key->rsa.modulus_len, NULL, 0, NULL, 0,
               NULL, 0, key->rsa.exponent, RSA_EXPONENT_BYTES) == 0 &&
           mbedtls_rsa_complete(&rsa) == 0 &&
#if MBEDTLS_VERSION_MAJOR >= 3
           mbedtls_rsa_pkcs1_verify(&rsa, MBEDTLS_MD_SHA256, SHA256_BYTES, hash, bytes) == 0;
#else
           mbedtls_rsa_pkcs1_verify(&rsa, NULL, NULL, MBEDTLS_RSA_PUBLIC, MBEDTLS_MD_SHA256,
               SHA256_BYTES, hash, bytes) == 0;
#endif
    mbedtls_rsa_free(&rsa);
    return good;
}

bool jwt_keys_verify(const struct jwt_keys *keys, enum jwt_algorithm algorithm, struct str text,
    struct str signature)
{
    unsigned char hash[SHA256_BYTES];
    bool good = false;

    sha256(text, hash);
    for (size_t i = 0; i < keys->count && !good; i++) {
        const struct key *key = &keys->keys[i];

        if (key->algorithm != algorithm)
            continue;
        switch (algorithm) {
        case JWT_EDDSA:
            good = verify_ed25519(key, text, signature);
            break;
        case JWT_ES256:
            good = verify_p256(key, hash, signature);
            break;
        case JWT_RS256:
            good = verify_rsa(key, hash, signature);
            break;
        }
    }
    return good;
}
