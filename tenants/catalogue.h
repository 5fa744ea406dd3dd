/* The catalogue: tenants, databases, settings, tokens, in data/catalogue.db, itself a database with
 * an actor of the same engine (family_id "").
 *
 * Every call below is asynchronous: it submits a procedure to the catalogue's actor and calls
 * `done` when the answer may go out: for a change, when it is on disk and the generation has been
 * bumped. `done` runs on a worker or sync thread, or on the calling thread before the function
 * returns (bad input, overload). Inputs and outputs live in call->arena or longer; nobody touches
 * the call or its arena between the function and `done`. Any thread.
 *
 *     call->catalogue = catalogue;
 *     call->arena = &x->arena;
 *     call->principal = x->principal;
 *     call->done = on_created;
 *     catalogue_database_create(call, input);        // input in the arena
 *     ... in on_created(): call->err, else const struct database_list *made = call->output;
 *
 * Rights. The route's capabilities are the dialect's to check. The catalogue checks what depends on
 * data: a principal that is not an operator only reaches its own tenant (ERR_NAMESPACE_MISMATCH,
 * also when a slug changed hands meanwhile) and only databases that its globs name
 * (ERR_UNKNOWN_DATABASE: not told apart from none); settings by their row's capability; minted
 * tokens never may more than who mints them. principal NULL: the process itself, which may all.
 *
 * Generations. `catalogue_generation()` grows with every rename, delete, restore, change of
 * settings and revocation, before the change's `done`; creation does not (misses are not cached).
 * Each change also marks its tenant: caches (tenants/directory.h) drop what belongs to that tenant
 * (and the few that share its mark), not the others'.
 *
 * Names. Wherever a tenant or database is named, its slug, in any case, or its public id
 * (`ns_...`, `db_...`) will do; a tenant's external id too. `ptr` NULL in a patch leaves a text as
 * it is.
 *
 * Errors common to all: ERR_OVERLOADED, ERR_DRAINING, ERR_IO, ERR_CORRUPT, ERR_NOMEM,
 * ERR_TOO_LARGE (the arena's limit). */
#ifndef TENANTS_CATALOGUE_H
#define TENANTS_CATALOGUE_H

#include "tenants/base/arena.h"
#include "tenants/database.h"
#include "tenants/engine.h"
#include "tenants/principal.h"
#include "tenants/settings.h"
#include "tenants/signed_token.h"
#include "tenants/usage.h"

#define CATALOGUE_PAGE_MAX 1000
#define CATALOGUE_PAGE_DEFAULT 100
#define CATALOGUE_CREATE_MAX 10000
#define CATALOGUE_LOCAL_TOKEN "local" /* name of the token in data/operator.token */
#define CATALOGUE_BOOTSTRAP_BYTES 80

struct catalogue;

/* One asynchronous call. Embedded by the caller, zeroed before use (and before each new use). */
struct catalogue_call {
    struct request request; /* the engine's; filled by the catalogue */
    struct catalogue *catalogue;
    struct arena *arena;         /* inputs and outputs */
    struct principal *principal; /* who asks: rights and audit trail; borrowed until done */
    void (*done)(struct catalogue_call *call);
    void *owner;    /* the caller's own */
    struct err err; /* result: code ERR_NONE, or what went wrong */
    const void *input;
    void *output; /* in the arena; typed by the function that made the call */
    /* The catalogue's own. */
    const struct catalogue_action *action;
    uint64_t changed_tenant;
    void *state;
    void *steps; /* of a call that takes several */
};

/* ---- life ---- */

struct catalogue_options {
    int64_t delete_grace_ms;        /* deleted databases and tenants can be restored so long */
    unsigned max_tokens_per_tenant; /* not revoked ones; ERR_QUOTA_EXCEEDED */
    uint64_t max_database_bytes;  /* the engine's default: what 0 means, and the most that an owner
                                     may set */
    uint64_t memory_per_database; /* likewise */
};
/* 24 h, 10,000 tokens, no figures to compare with. */
void catalogue_options_defaults(struct catalogue_options *options);

/* Opens (creates, migrates) data/catalogue.db through the engine and sees to it that
 * data/operator.token (0600) holds an operator token that authenticates: one named "local" is
 * minted when the catalogue is new, or the file is missing, damaged or revoked (the old "local"
 * ones are revoked then). Main thread, worker and sync threads running; waits for the disk.
 * ret_bootstrap (may be NULL, CATALOGUE_BOOTSTRAP_BYTES): that token when the catalogue was new,
 * else "". Registers catalogue_database_live() with the engine.
 * Errors: ERR_IO, ERR_CORRUPT (also a catalogue of a newer version: says so). */
int catalogue_open(struct engine *engine, const char *data_dir, struct catalogue **ret_catalogue,
    char *ret_bootstrap, struct err *ret_err) MUST_CHECK;
/* Before the first request. */
void catalogue_configure(struct catalogue *catalogue, const struct catalogue_options *options);
/* Timers: usage every 10 s; expired and purgeable databases, tenants and tokens every minute. Call
 * it a few times a second (each second is enough). Never blocks. Main thread. */
void catalogue_tick(struct catalogue *catalogue, uint64_t now_ns);
/* Writes usage figures, waits for background work, frees. No call may be waiting. After the last
 * request and before engine_stop(), since it still needs the engine's threads (the engine takes
 * requests to the catalogue while it drains). NULL is fine. */
void catalogue_close(struct catalogue *catalogue);

uint64_t catalogue_generation(const struct catalogue *catalogue);
/* True while what was read about `tenant_id` at generation `generation` still holds: one load. */
bool catalogue_is_current(
    const struct catalogue *catalogue, uint64_t tenant_id, uint64_t generation);
/* The same, and it has no new database since. */
bool catalogue_has_same_databases(
    const struct catalogue *catalogue, uint64_t tenant_id, uint64_t generation);
/* The engine's hook (database_live_fn): a RESERVED database's folder was made. */
void catalogue_database_live(void *catalogue, struct database *database,
    void (*done)(void *argument, const struct err *err), void *argument);

/* ---- tenants: for operators ---- */

/* All texts in the call's arena, NUL-terminated; ptr NULL when absent. Times 0: never. */
struct tenant_info {
    uint64_t tenant_id;
    struct str id; /* "ns_..." */
    struct str slug;
    struct str name;
    struct str external_id; /* ptr NULL: none */
    struct tenant_settings settings;
    uint64_t database_count; /* without deleted ones */
    int64_t created_wall_ms;
    int64_t updated_wall_ms;
    int64_t deleted_wall_ms;
    int64_t restorable_until_wall_ms; /* of a deleted one */
};

struct tenant_list {
    const struct tenant_info *items;
    size_t count;
    struct str next_cursor; /* ptr NULL: that was all */
};

/* Lists page by slug. cursor: ptr NULL or "" for the first page. page_size 0: the default; more
 * than CATALOGUE_PAGE_MAX is cut to it. */
struct list_input {
    struct str tenant; /* whose; not read by catalogue_tenant_list */
    struct str cursor;
    unsigned page_size;
    bool deleted; /* those in their grace period, instead of the others */
};

struct tenant_create_input {
    struct str slug;
    struct str name;        /* empty: the slug */
    struct str external_id; /* empty: none; unique */
    const struct setting_change *settings;
    size_t setting_count;
};
/* output: struct tenant_info. ERR_CONFLICT slug or external id taken or reserved, ERR_BAD_REQUEST.
 */
void catalogue_tenant_create(struct catalogue_call *call, const struct tenant_create_input *input);

/* output: struct tenant_list. ERR_BAD_REQUEST the cursor. */
void catalogue_tenant_list(struct catalogue_call *call, const struct list_input *input);

struct tenant_input {
    struct str tenant;
};
/* output: struct tenant_info. ERR_UNKNOWN_TENANT. */
void catalogue_tenant_get(struct catalogue_call *call, const struct tenant_input *input);

struct tenant_patch_input {
    struct str tenant;
    struct str slug; /* ptr NULL: as it is */
    struct str name;
    struct str external_id; /* "" with ptr: removed */
    const struct setting_change *settings;
    size_t setting_count;
};
/* output: struct tenant_info after the change. ERR_UNKNOWN_TENANT, ERR_CONFLICT, ERR_BAD_REQUEST.
 */
void catalogue_tenant_patch(struct catalogue_call *call, const struct tenant_patch_input *input);

/* Its tokens stop working and its databases are unreachable at once; all is purged after the grace
 * period. The slug is free at once. output: struct tenant_info. ERR_UNKNOWN_TENANT. */
void catalogue_tenant_delete(struct catalogue_call *call, const struct tenant_input *input);
/* Undoes it in its grace period, tokens and databases included. By slug: the one deleted last.
 * output: struct tenant_info. ERR_UNKNOWN_TENANT, ERR_CONFLICT the slug is taken meanwhile. */
void catalogue_tenant_restore(struct catalogue_call *call, const struct tenant_input *input);

/* ---- databases ---- */

struct database_info {
    uint64_t database_id;
    struct str id; /* "db_..." */
    struct str slug;
    struct str name;
    struct str tenant_slug;
    const char *status;     /* "active", "deleted" */
    struct str forked_from; /* public id; ptr NULL: not a branch */
    struct str branch_ref;  /* empty: not a branch */
    struct str root_slug;   /* of a branch: the database it belongs to */
    uint64_t root_id;       /* likewise; 0: not a branch */
    bool is_protected;      /* it is not deleted, reset or replaced before that is taken back */
    struct str created_by;  /* public id of the token; ptr NULL: the process */
    bool is_reserved;       /* nothing was ever written to it: no file yet */
    int64_t created_wall_ms;
    int64_t updated_wall_ms;
    int64_t expires_wall_ms; /* deleted by itself then (and restorable for the grace period) */
    int64_t deleted_wall_ms;
    int64_t restorable_until_wall_ms;
    const struct database_settings *settings; /* NULL in lists and creations */
    const struct usage_totals *usage;         /* NULL in lists and creations */
    struct str jwt_key;                       /* catalogue_database_get() only; empty: none */
};

struct database_list {
    const struct database_info *items;
    size_t count;
    struct str next_cursor; /* ptr NULL: that was all */
};

struct database_create_item {
    struct str slug;
    struct str name;         /* empty: the slug */
    int64_t expires_wall_ms; /* 0: never */
    const struct setting_change *settings;
    size_t setting_count;
    /* Of a family that is staged (family_stage()), both; NULL: new ones. */
    const char *family_id;
    const char *head_id;
};
struct database_create_input {
    struct str tenant;
    const struct database_create_item *items; /* 1 to CATALOGUE_CREATE_MAX */
    size_t count;
    bool exists_ok; /* those that exist are given as they are, instead of ERR_CONFLICT */
};
/* All or nothing, in the order asked. output: struct database_list. ERR_UNKNOWN_TENANT,
 * ERR_CONFLICT a slug is taken, named twice, or would shadow another's branch; ERR_QUOTA_EXCEEDED
 * the tenant's max_databases; ERR_BAD_REQUEST; ERR_TOO_LARGE too many. The message names the slug.
 */
void catalogue_database_create(
    struct catalogue_call *call, const struct database_create_input *input);

/* output: struct database_list, those that the principal's globs name. ERR_UNKNOWN_TENANT,
 * ERR_BAD_REQUEST the cursor. */
void catalogue_database_list(struct catalogue_call *call, const struct list_input *input);

struct database_input {
    struct str tenant;
    struct str database;
};
/* With settings and usage. output: struct database_info. ERR_UNKNOWN_TENANT, ERR_UNKNOWN_DATABASE.
 */
void catalogue_database_get(struct catalogue_call *call, const struct database_input *input);

struct database_patch_input {
    struct str tenant;
    struct str database;
    struct str slug; /* ptr NULL: as it is */
    struct str name;
    bool set_expires;
    int64_t expires_wall_ms; /* 0: never */
    const struct setting_change *settings;
    size_t setting_count;
};
/* The database closes when it is idle, and opens again with the new settings. output: struct
 * database_info with settings. ERR_UNKNOWN_*, ERR_CONFLICT, ERR_BAD_REQUEST, ERR_ROLE_FORBIDS. */
void catalogue_database_patch(
    struct catalogue_call *call, const struct database_patch_input *input);

/* Unreachable at once, purged after the grace period. The slug is free at once. output: struct
 * database_info. ERR_UNKNOWN_*. */
void catalogue_database_delete(struct catalogue_call *call, const struct database_input *input);
/* By slug (the one deleted last) or public id. output: struct database_info. ERR_UNKNOWN_*,
 * ERR_CONFLICT the slug is taken meanwhile, ERR_QUOTA_EXCEEDED. */
void catalogue_database_restore(struct catalogue_call *call, const struct database_input *input);

/* ---- tokens ---- */

struct token_info {
    struct str id; /* "tok_..." */
    struct str name;
    struct str role; /* canonical: operator, owner, readwrite, readonly */
    uint32_t capabilities;
    struct str prefix;           /* "psql_live" */
    struct str last4;            /* last characters of the secret */
    const struct str *databases; /* globs; count 0: every one */
    size_t database_count;
    const struct str *branches;
    size_t branch_count;
    const struct str *tables;
    size_t table_count;
    struct str claims_json; /* "{}" when none */
    struct str created_by;  /* public id of the token that minted it; ptr NULL: the process */
    int64_t created_wall_ms;
    int64_t expires_wall_ms;  /* 0: never */
    uint64_t rate_per_second; /* 0: no limit of its own */
    uint64_t rate_burst;
};

struct token_list {
    const struct token_info *items;
    size_t count;
    struct str next_cursor; /* ptr NULL: that was all */
};

struct token_minted {
    struct token_info info;
    struct str token; /* the secret, nowhere else kept: shown once */
};

struct token_mint_input {
    struct str tenant;           /* empty: an operator token (role "operator" only) */
    struct str name;             /* empty: "token" */
    struct str role;             /* any spelling of role_parse(); empty: "owner" */
    struct str prefix;           /* empty: psql_live, or rookery_op for operators */
    const struct str *databases; /* globs, lowered */
    size_t database_count;
    const struct str *branches;
    size_t branch_count;
    const struct str *tables; /* names, compared without case */
    size_t table_count;
    struct str
        claims_json; /* a JSON object the dialect has validated, kept as it is; empty: "{}" */
    int64_t expires_wall_ms;  /* 0: never (or when the minting token expires) */
    uint64_t rate_per_second; /* 0: none */
    uint64_t rate_burst;      /* 0: as rate_per_second */
};
#define TOKEN_LIST_ITEMS_MAX 100 /* globs, branches, tables: each */
#define TOKEN_LIST_TEXT_MAX 128  /* characters of one of them */
#define TOKEN_CLAIMS_MAX 8192

/* output: struct token_minted. ERR_UNKNOWN_TENANT, ERR_BAD_REQUEST, ERR_QUOTA_EXCEEDED,
 * ERR_ROLE_FORBIDS more rights than the minting token has (role, expiry; a token limited to
 * databases, branches or tables mints none). */
void catalogue_token_mint(struct catalogue_call *call, const struct token_mint_input *input);

/* Oldest first, without revoked ones. `tenant` empty: operator tokens. output: struct token_list.
 */
void catalogue_token_list(struct catalogue_call *call, const struct list_input *input);

struct token_revoke_input {
    struct str tenant; /* empty: an operator token */
    struct str id;     /* "tok_..." */
};
/* Refused on every loop from before `done` on. output: struct token_info. ERR_UNKNOWN_TENANT,
 * ERR_NOT_FOUND. */
void catalogue_token_revoke(struct catalogue_call *call, const struct token_revoke_input *input);

/* Who call->principal is, for /v1/me; no input. */
struct whoami {
    struct token_info token;
    struct str tenant_id; /* "ns_..."; ptr NULL for an operator */
    struct str tenant_slug;
    struct str tenant_name;
};
/* output: struct whoami. ERR_UNAUTHORIZED revoked meanwhile. */
void catalogue_whoami(struct catalogue_call *call);

/* ---- figures ---- */

struct catalogue_figures {
    uint64_t tenants;
    uint64_t databases; /* without deleted ones */
    uint64_t databases_deleted;
    uint64_t tokens;
};
/* output: struct catalogue_figures, for /v1/admin/stats; no input. Cost: counts tenants and tokens.
 */
void catalogue_figures(struct catalogue_call *call);

/* ---- look-ups, for tenants/directory.c ---- */

struct token_lookup_input {
    unsigned char hash[32]; /* SHA-256 of the tail */
};
/* output: struct principal, a reference, the caller's. ERR_UNAUTHORIZED, ERR_TOKEN_EXPIRED. */
void catalogue_token_lookup(struct catalogue_call *call, const struct token_lookup_input *input);

/* Who verifies signed tokens, before the first request; NULL: none are taken. */
void catalogue_set_verifier(struct catalogue *catalogue, struct token_verifier *verifier);
/* Changes whenever the server's own keys do; 0: nobody verifies. */
uint64_t catalogue_verifier_epoch(const struct catalogue *catalogue);

/* A signed token, and what the request names: the keys of that database and tenant come before the
 * server's. Texts outlive the call. */
struct signed_lookup {
    struct str token;
    struct str tenant;  /* a slug; empty: the token has to name one */
    struct str segment; /* a database's; empty: none is named */
    /* The catalogue's own. */
    struct token_verification verification;
    struct catalogue_call *call;
    void (*done)(struct catalogue_call *call);
    bool is_verified;
};
/* output: struct principal, a reference, the caller's: read, or read, write and ddl, of one tenant.
 * ERR_UNAUTHORIZED, ERR_TOKEN_EXPIRED; ERR_NAMESPACE_MISMATCH the token is good and for others;
 * ERR_UNKNOWN_TENANT it is good for a tenant that is not there; ERR_OVERLOADED too many wait to be
 * verified. */
void catalogue_signed_lookup(struct catalogue_call *call, struct signed_lookup *lookup);

struct database_lookup_input {
    struct str tenant;  /* a slug */
    struct str segment; /* `database`, `database@ref`, `database.ref`, `database-ref`; empty: the
                           only one that the principal reaches, or of several `default` */
};
/* output: struct database, a reference, the caller's. ERR_UNKNOWN_TENANT, ERR_UNKNOWN_DATABASE,
 * ERR_NAMESPACE_MISMATCH. When the tenant's create_on_first_use is on, the segment is a plain slug
 * and the principal may create databases (CAP_ADMIN) and reach this one: makes it. */
void catalogue_database_lookup(
    struct catalogue_call *call, const struct database_lookup_input *input);

#endif
