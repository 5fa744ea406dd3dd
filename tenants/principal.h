/* Who asks, and what they may: what every dialect's keys, sessions and tokens end in. The engine
 * knows nothing else about a caller.
 *
 * Immutable once made, counted, shared by loops and lanes: principal_ref/unref from any thread. */
#ifndef TENANTS_PRINCIPAL_H
#define TENANTS_PRINCIPAL_H

#include "tenants/base/err.h"
#include "tenants/base/str.h"

enum capability {
    CAP_READ = 1 << 0,
    CAP_WRITE = 1 << 1,
    CAP_DDL = 1 << 2,
    CAP_ADMIN = 1 << 3,    /* databases: create, rename, delete, settings */
    CAP_TOKENS = 1 << 4,   /* mint, list and revoke the tenant's tokens */
    CAP_OPERATOR = 1 << 5, /* every tenant, and the operator API */
};

/* Roles are named sets of capabilities: "readonly" (read), "readwrite" (write), "owner" (admin),
 * "operator". */
#define ROLE_READONLY_CAPS CAP_READ
#define ROLE_READWRITE_CAPS (CAP_READ | CAP_WRITE)
#define ROLE_OWNER_CAPS (CAP_READ | CAP_WRITE | CAP_DDL | CAP_ADMIN | CAP_TOKENS)
#define ROLE_OPERATOR_CAPS (ROLE_OWNER_CAPS | CAP_OPERATOR)

/* In token_id: of a signed token (tenants/signed_token.h), which no table holds. */
#define TOKEN_ID_SIGNED (1ULL << 63)

struct rate_bucket; /* token bucket shared by all users of one token or tenant (tenants/rate.h) */

struct principal {
    uint32_t references; /* atomic; principal_ref/unref only */
    uint64_t tenant_id;  /* 0 for an operator */
    uint64_t token_id;
    uint32_t capabilities;
    struct str tenant_slug;
    struct str token_name;
    struct str role;
    const struct str *database_globs; /* none: every database of the tenant */
    size_t database_glob_count;
    const struct str *branch_globs; /* none: every branch */
    size_t branch_glob_count;
    const struct str *tables; /* table scope; none: every table. Compared without case */
    size_t table_count;
    bool is_tenants;        /* of a signed token: the same whichever database a request names */
    struct str claims_json; /* "{}" when none */
    int64_t created_wall_ms;
    int64_t expires_wall_ms;                        /* 0: never */
    struct rate_bucket *rate;                       /* owned reference, NULL: no limit of its own */
    void (*release_rate)(struct rate_bucket *rate); /* gives `rate` back; NULL: not counted */
    uint64_t serial; /* set by principal_new(): differs between any two principals of a process */
};

/* A copy of `from` in one block, all texts and lists included, with one reference, the caller's.
 * Takes over `from->rate`. `references` and `serial` of `from` are not read. Any thread. */
struct principal *principal_new(const struct principal *from) MUST_CHECK;
struct principal *principal_ref(struct principal *principal);
/* NULL is fine. The last one frees the block and gives `rate` back. */
void principal_unref(struct principal *principal);

static inline bool principal_has(const struct principal *principal, uint32_t capabilities)
{
    return (principal->capabilities & capabilities) == capabilities;
}

/* True for tables inside the token's table scope (always true when it has none). */
bool principal_has_table(const struct principal *principal, struct str table);
/* True for databases that one of the globs matches (always true when there are none). A database
 * with a branch is `slug@ref`: the slug is matched by database_globs, the ref by branch_globs; a
 * token with branch globs and no database globs may use those branches of every database, and the
 * database without a branch only when a branch glob matches "main". */
bool principal_has_database(const struct principal *principal, struct str database);
/* The same for a branch, by what globs are compared with (`slug@ref`), or by its own slug when a
 * token names just that. */
bool principal_has_branch(const struct principal *principal, struct str access, struct str slug);
/* 0 and the capabilities, or -1 for an unknown role (outputs untouched; either may be NULL). The
 * canonical name is what we store and show: operator, owner, readwrite, readonly. Without case.
 * Takes every spelling of every dialect: operator, owner, admin, readwrite, read-write, write,
 * readonly, read-only, read. */
int role_parse(struct str name, uint32_t *ret_capabilities, const char **ret_canonical);

#endif
