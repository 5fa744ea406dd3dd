#include "proto/jwt.h"

#include <math.h>

#include "proto/document.h"
#include "tenants/base/base64.h"

#define DEPTH_MAX 8
#define REAL_MAX 9007199254740992.0 /* beyond it doubles have no seconds */

/* What all steps share. */
struct reading {
    struct arena *arena;
    enum jwt_failure *ret_failure; /* may be NULL */
    struct err *ret_err;
};

static int fail(struct reading *r, enum jwt_failure failure, const char *reason)
{
    if (r->ret_failure != NULL)
        *r->ret_failure = failure;
    return err_set(r->ret_err, failure == JWT_EXPIRED ? ERR_TOKEN_EXPIRED : ERR_UNAUTHORIZED,
        "the token %s", reason);
}

static int no_room(struct reading *r)
{
    if (r->ret_failure != NULL)
        *r->ret_failure = JWT_MALFORMED;
    return err_set(r->ret_err, ERR_TOO_LARGE, "the token needs too much memory");
}

/* ---- JSON ---- */

/* Objects within `node` have no two members of one name, and not too many. */
static bool is_unambiguous(const struct node *node)
{
    if (node->type == TOKEN_OBJECT && node->count > JWT_MEMBERS_MAX)
        return false;
    if (node->type != TOKEN_OBJECT && node->type != TOKEN_ARRAY)
        return true;
    for (const struct node *child = node->first; child != NULL; child = child->next) {
        if (!is_unambiguous(child))
            return false;
        for (const struct node *other = node->first; node->type == TOKEN_OBJECT && other != child;
             other = other->next) {
            if (str_equal(other->key, child->key))
                return false;
        }
    }
    return true;
}

/* The member of exactly that name; NULL when it is absent or null. */
static const struct node *member(const struct node *object, const char *name)
{
    for (const struct node *node = object->first; node != NULL; node = node->next) {
        if (str_is(node->key, name))
            return node->type == TOKEN_NULL ? NULL : node;
    }
    return NULL;
}

static bool has(const struct node *object, const char *name)
{
    for (const struct node *node = object->first; node != NULL; node = node->next) {
        if (str_is(node->key, name))
            return true;
    }
    return false;
}

static int read_part(struct reading *r, struct str part, enum jwt_failure failure,
    const char *reason, const struct node **ret_root)
{
    struct err ignored = ERR_INIT;
    unsigned char *bytes = arena_alloc(r->arena, base64_decoded_max(part.len));
    size_t len;

    if (bytes == NULL)
        return no_room(r);
    if (base64url_decode(part, bytes, &len) < 0 ||
        document_read_object(BODY_JSON, str_make((const char *)bytes, len), DEPTH_MAX, false,
            r->arena, ret_root, &ignored) < 0 ||
        !is_unambiguous(*ret_root))
        return arena_overflowed(r->arena) ? no_room(r) : fail(r, failure, reason);
    return 0;
}

/* ---- header ---- */

static bool is_type(const struct node *typ)
{
    struct str text = typ->text;

    if (typ->type != TOKEN_STRING)
        return false;
    if (str_starts_with_nocase(text, "application/"))
        text = str_make(text.ptr + 12, text.len - 12);
    return str_is_nocase(text, "JWT") || str_is_nocase(text, "at+jwt");
}

static int read_header(struct reading *r, struct str part, enum jwt_algorithm *ret_algorithm)
{
    static const struct {
        const char *name;
        enum jwt_algorithm algorithm;
    } algorithms[] = {{"EdDSA", JWT_EDDSA}, {"ES256", JWT_ES256}, {"RS256", JWT_RS256}};
    const struct node *header = NULL;
    const struct node *node;

    if (read_part(r, part, JWT_MALFORMED, "has a malformed header", &header) < 0)
        return -1;
    if (has(header, "crit") || has(header, "b64"))
        return fail(r, JWT_MALFORMED, "has a critical header, and we know none");
    if (has(header, "cty"))
        return fail(r, JWT_MALFORMED, "has content other than claims");
    node = member(header, "typ");
    if (node != NULL && !is_type(node))
        return fail(r, JWT_MALFORMED, "is of another type than JWT");
    node = member(header, "alg");
    for (size_t i = 0; node != NULL && i < ARRAY_LEN(algorithms); i++) {
        if (node->type == TOKEN_STRING && str_is(node->text, algorithms[i].name)) {
            *ret_algorithm = algorithms[i].algorithm;
            return 0;
        }
    }
    return fail(r, JWT_MALFORMED, "must be signed with EdDSA, ES256 or RS256");
}

/* ---- claims ---- */

/* A name or a subject: not empty, and fit for a log. */
static bool is_name(const struct node *node)
{
    if (node->type != TOKEN_STRING || node->text.len == 0 || node->text.len > JWT_NAME_MAX)
        return false;
    for (size_t i = 0; i < node->text.len; i++) {
        unsigned char c = (unsigned char)node->text.ptr[i];

        if (c < 0x20 || c == 0x7f)
            return false;
    }
    return true;
}

static int read_text(
    struct reading *r, const struct node *claims, const char *name, struct str *ret_text)
{
    const struct node *node = member(claims, name);

    if (node == NULL)
        return 0;
    if (!is_name(node))
        return fail(r, JWT_BAD_CLAIMS,
            str_is(str_from(name), "id") ? "has an 'id' that is no name"
                                         : "has a 'sub' that is no short text");
    *ret_text = node->text;
    return 0;
}

static int read_seconds(struct reading *r, const struct node *claims, const char *name,
    bool *ret_given, int64_t *ret_seconds)
{
    const struct node *node = member(claims, name);

    if (node == NULL)
        return 0;
    if (node->type == TOKEN_INTEGER)
        *ret_seconds = node->integer;
    else if (node->type == TOKEN_REAL && node->real > -REAL_MAX && node->real < REAL_MAX)
        *ret_seconds = (int64_t)floor(node->real);
    else
        return fail(r, JWT_BAD_CLAIMS, "has a time that is no number of seconds");
    *ret_given = true;
    return 0;
}

/* "ro", "rw", "roa", "rwa"; else no access. */
static enum jwt_access access_of(struct str word)
{
    if (str_is(word, "ro") || str_is(word, "roa"))
        return JWT_READ;
    return str_is(word, "rw") || str_is(word, "rwa") ? JWT_WRITE : JWT_NO_ACCESS;
}

static int read_access(struct reading *r, const struct node *claims, enum jwt_access *ret_access)
{
    const struct node *node = member(claims, "a");

    *ret_access = JWT_WRITE;
    if (node == NULL)
        return 0;
    /* sqld knows no "rwa" here. */
    *ret_access = node->type == TOKEN_STRING && !str_is(node->text, "rwa") ? access_of(node->text)
                                                                           : JWT_NO_ACCESS;
    if (*ret_access == JWT_NO_ACCESS)
        return fail(r, JWT_BAD_CLAIMS, "has an 'a' other than \"ro\" and \"rw\"");
    return 0;
}

/* {"ns": [name, …]}: the names' count, -1 when it is something else. */
static int count_names(const struct node *scope, size_t *count)
{
    const struct node *names;

    if (scope->type == TOKEN_NULL)
        return 0;
    if (scope->type != TOKEN_OBJECT)
        return -1;
    names = member(scope, "ns");
    if (scope->count > (has(scope, "ns") ? 1U : 0U))
        return -1;
    if (names == NULL)
        return 0;
    if (names->type != TOKEN_ARRAY)
        return -1;
    for (const struct node *name = names->first; name != NULL; name = name->next) {
        if (!is_name(name))
            return -1;
    }
    *count += names->count;
    return 0;
}

static int read_permissions(
    struct reading *r, const struct node *claims, struct jwt_claims *ret_claims)
{
    const struct node *p = member(claims, "p");
    struct jwt_grant *grants;
    size_t count = 0;

    if (p == NULL)
        return 0;
    if (p->type != TOKEN_OBJECT)
        return fail(r, JWT_BAD_CLAIMS, "has a 'p' that is no object");
    for (const struct node *scope = p->first; scope != NULL; scope = scope->next) {
        if (access_of(scope->key) != JWT_NO_ACCESS && count_names(scope, &count) < 0)
            return fail(r, JWT_BAD_CLAIMS, "has permissions other than {\"ns\": [names]}");
    }
    if (count > JWT_GRANTS_MAX)
        return fail(r, JWT_BAD_CLAIMS, "names too many namespaces");
    grants = arena_array(r->arena, count + 1, sizeof(*grants));
    if (grants == NULL)
        return no_room(r);
    ret_claims->has_permissions = true;
    ret_claims->grants = grants;
    for (const struct node *scope = p->first; scope != NULL; scope = scope->next) {
        enum jwt_access access = access_of(scope->key);
        const struct node *names =
            access == JWT_NO_ACCESS || scope->type != TOKEN_OBJECT ? NULL : member(scope, "ns");

        for (const struct node *name = names == NULL ? NULL : names->first; name != NULL;
             name = name->next)
            grants[ret_claims->grant_count++] = (struct jwt_grant){name->text, access};
    }
    return 0;
}

static int read_claims(
    struct reading *r, struct str part, int64_t now_wall_ms, struct jwt_claims *ret_claims)
{
    const struct node *root = NULL;
    bool has_nbf = false;
    int64_t nbf_s = 0;
    int64_t now_s = now_wall_ms / 1000;

    *ret_claims = (struct jwt_claims){.a = JWT_NO_ACCESS};
    if (read_part(r, part, JWT_BAD_CLAIMS, "has malformed claims", &root) < 0)
        return -1;
    if (member(root, "aud") != NULL)
        return fail(r, JWT_BAD_CLAIMS, "is for another service: it has an 'aud'");
    if (read_seconds(r, root, "exp", &ret_claims->has_exp, &ret_claims->exp_s) < 0 ||
        read_seconds(r, root, "nbf", &has_nbf, &nbf_s) < 0 ||
        read_access(r, root, &ret_claims->a) < 0 || read_text(r, root, "id", &ret_claims->id) < 0 ||
        read_text(r, root, "sub", &ret_claims->sub) < 0 ||
        read_permissions(r, root, ret_claims) < 0)
        return -1;
    if (ret_claims->has_exp && now_s - JWT_LEEWAY_S >= ret_claims->exp_s)
        return fail(r, JWT_EXPIRED, "has expired");
    if (has_nbf && now_s + JWT_LEEWAY_S < nbf_s)
        return fail(r, JWT_NOT_YET, "is not valid yet");
    return 0;
}

/* ---- the whole ---- */

static int verify(struct reading *r, const struct jwt_keys *keys, struct str token,
    int64_t now_wall_ms, struct jwt_claims *ret_claims)
{
    unsigned char signature[JWT_SIGNATURE_BYTES_MAX + 3];
    struct str rest = token;
    struct str header;
    struct str claims;
    size_t len;
    enum jwt_algorithm algorithm = JWT_EDDSA;

    if (token.len > JWT_BYTES_MAX)
        return fail(r, JWT_MALFORMED, "is too long");
    header = str_split(&rest, '.');
    if (header.len > JWT_HEADER_MAX)
        return fail(r, JWT_MALFORMED, "has too long a header");
    claims = str_split(&rest, '.');
    if (header.len == 0 || claims.len == 0 || rest.len == 0 || str_find(rest, '.') < rest.len)
        return fail(r, JWT_MALFORMED, "must have three parts with dots between them");
    if (read_header(r, header, &algorithm) < 0)
        return -1;
    if (rest.len > (JWT_SIGNATURE_BYTES_MAX * 4 + 2) / 3 ||
        base64url_decode(rest, signature, &len) < 0)
        return fail(r, JWT_MALFORMED, "has a malformed signature");
    if (!jwt_keys_have(keys, algorithm))
        return fail(r, JWT_BAD_SIGNATURE, "is signed with another kind of key than ours");
    if (!jwt_keys_verify(keys, algorithm, str_make(token.ptr, header.len + 1 + claims.len),
            str_make((const char *)signature, len)))
        return fail(r, JWT_BAD_SIGNATURE, "is not signed by one of the keys");
    return read_claims(r, claims, now_wall_ms, ret_claims);
}

int jwt_verify(const struct jwt_keys *keys, struct str token, int64_t now_wall_ms,
    struct arena *arena, struct jwt_claims *ret_claims, enum jwt_failure *ret_failure,
    struct err *ret_err)
{
    struct reading r = {arena, ret_failure, ret_err};

    if (verify(&r, keys, token, now_wall_ms, ret_claims) == 0)
        return 0;
    *ret_claims = (struct jwt_claims){.a = JWT_NO_ACCESS};
    return -1;
}

enum jwt_access jwt_access_to(const struct jwt_claims *claims, struct str name)
{
    enum jwt_access best = JWT_NO_ACCESS;

    if (!claims->has_permissions)
        return claims->id.ptr == NULL || str_equal(claims->id, name) ? claims->a : JWT_NO_ACCESS;
    for (size_t i = 0; i < claims->grant_count; i++) {
        if (claims->grants[i].access > best && str_equal(claims->grants[i].name, name))
            best = claims->grants[i].access;
    }
    return best;
}

const char *jwt_failure_code(enum jwt_failure failure)
{
    switch (failure) {
    case JWT_EXPIRED:
        return "AUTH_JWT_EXPIRED";
    case JWT_NOT_YET:
        return "AUTH_JWT_IMMATURE";
    case JWT_MALFORMED:
    case JWT_BAD_SIGNATURE:
    case JWT_BAD_CLAIMS:
    default:
        return "AUTH_JWT_INVALID";
    }
}
