/* The catalogue's tables and what is done with them: functions on a `sqlite3 *` inside somebody
 * else's transaction, with no engine behind them. tenants/catalogue.c wraps them in procedures.
 *
 *   tenants    id, public_id, slug, name, external_id, database_count (kept by triggers), ...
 *   databases  id, public_id, tenant_id, slug, name, family_id, head_id, state, ...; of a branch
 *              root_id, ref and alias. pending: a head id that is being made for it; a row whose
 *              own it is, is not there yet (tenants/catalogue_branches.c)
 *   snapshots  id, public_id, database_id, label, ...; pending likewise
 *   settings   (scope, owner_id, name) -> value: only what was changed from its default
 *   usage      sums per database
 *   tokens     id, public_id, tenant_id (0: operator), hash of the tail, ...
 *
 * Ids are never used again (AUTOINCREMENT). Times are milliseconds since 1970; 0 is "never" and,
 * for deleted_at and revoked_at, "not". created_by is a token's id; 0 is the process. A row with
 * `purging` is on its way out and cannot be restored.
 *
 * Each returns 0, or -1 with err; the caller then undoes what was written. Outputs are in the
 * store's arena. May run again from scratch. Thread: whoever runs the lane. */
#ifndef TENANTS_CATALOGUE_STORE_H
#define TENANTS_CATALOGUE_STORE_H

#include "tenants/branches.h"
#include "tenants/token.h"

#define CATALOGUE_SCHEMA_VERSION 2
/* Expired and revoked tokens are remembered so long (a client is told "expired", not "unknown"). */
#define TOKEN_KEEP_MS (7LL * 24 * 3600 * 1000)

struct sqlite3;
struct sqlite3_stmt;

struct store {
    struct sqlite3 *db;
    struct arena *arena;
    const struct principal *principal; /* who asks; NULL: the process */
    int64_t now_wall_ms;
    const struct catalogue_options *options;
};

/* ---- statements ---- */

/* A statement that is finalized when its variable goes out of scope. */
#define STORE_STATEMENT __attribute__((cleanup(store_end))) struct sqlite3_stmt *
void store_end(struct sqlite3_stmt **statement);

/* Compiles and binds: types "i" int64_t, "s" struct str, "h" a 32-byte hash, in order. */
int store_query(const struct store *store, struct sqlite3_stmt **ret_statement, struct err *ret_err,
    const char *sql, const char *types, ...) MUST_CHECK;
/* Binds again after a reset. */
int store_bind(const struct store *store, struct sqlite3_stmt *statement, struct err *ret_err,
    const char *types, ...) MUST_CHECK;
/* 1 a row, 0 done, -1. */
int store_step(const struct store *store, struct sqlite3_stmt *statement, struct err *ret_err)
    MUST_CHECK;
/* Compiles, binds, runs to its end. */
int store_run(const struct store *store, struct err *ret_err, const char *sql, const char *types,
    ...) MUST_CHECK;
/* A column's text, copied into the arena; NULL gives ptr NULL. */
struct str store_text(const struct store *store, struct sqlite3_stmt *statement, int column);
/* The arena ran over: ERR_TOO_LARGE. Checked once, at the end. */
int store_finish(const struct store *store, struct err *ret_err) MUST_CHECK;

/* ---- what the tables' files share ---- */

/* The token id for created_by. */
int64_t store_asker(const struct store *store);
/* The process or an operator asks. */
bool store_asks_operator(const struct store *store);
/* A display name: UTF-8, bounded. */
int store_check_name(struct str name, struct err *ret_err) MUST_CHECK;
unsigned store_page_size(const struct list_input *input);
/* A cursor is "<slug>/<public id>" of the last item: a place in the order, whether or not that item
 * is still there. */
int store_cursor_parse(
    struct str cursor, struct str *ret_slug, struct str *ret_id, struct err *ret_err) MUST_CHECK;
struct str store_cursor_make(const struct store *store, struct str slug, struct str id);

/* ---- schema ---- */

/* Makes or brings up to date. *ret_is_new: there was nothing. ERR_CORRUPT: of a newer version. */
int store_migrate(const struct store *store, bool *ret_is_new, struct err *ret_err) MUST_CHECK;

/* ---- settings ---- */

/* `values`: the scope's struct, filled with defaults and what is stored. */
int store_settings_load(const struct store *store, enum setting_scope scope, uint64_t owner_id,
    void *values, struct err *ret_err) MUST_CHECK;
/* Checks rights and values, writes. */
int store_settings_change(const struct store *store, enum setting_scope scope, uint64_t owner_id,
    const struct setting_change *changes, size_t count, struct err *ret_err) MUST_CHECK;

/* ---- tenants ---- */

/* Finds a tenant that is not deleted, by slug, public id or external id; without its settings. A
 * principal that is no operator gets ERR_NAMESPACE_MISMATCH for any but its own. */
int store_tenant_find(const struct store *store, struct str name, struct tenant_info *ret_tenant,
    struct err *ret_err) MUST_CHECK;
int store_tenant_create(const struct store *store, const struct tenant_create_input *input,
    struct tenant_info *ret_tenant, struct err *ret_err) MUST_CHECK;
int store_tenant_list(const struct store *store, const struct list_input *input,
    struct tenant_list *ret_list, struct err *ret_err) MUST_CHECK;
int store_tenant_get(const struct store *store, const struct tenant_input *input,
    struct tenant_info *ret_tenant, struct err *ret_err) MUST_CHECK;
int store_tenant_patch(const struct store *store, const struct tenant_patch_input *input,
    struct tenant_info *ret_tenant, struct err *ret_err) MUST_CHECK;
int store_tenant_delete(const struct store *store, const struct tenant_input *input,
    struct tenant_info *ret_tenant, struct err *ret_err) MUST_CHECK;
int store_tenant_restore(const struct store *store, const struct tenant_input *input,
    struct tenant_info *ret_tenant, struct err *ret_err) MUST_CHECK;

/* ---- databases ---- */

/* What the engine needs to know about a database, to make a `struct database` of. Texts in the
 * arena. */
struct store_database {
    struct database database; /* no references, no rate, no usage */
    struct tenant_settings tenant;
};

int store_database_create(const struct store *store, const struct database_create_input *input,
    struct database_list *ret_list, uint64_t *ret_tenant_id, struct err *ret_err) MUST_CHECK;
int store_database_list(const struct store *store, const struct list_input *input,
    struct database_list *ret_list, struct err *ret_err) MUST_CHECK;
int store_database_get(const struct store *store, const struct database_input *input,
    struct database_info *ret_info, struct err *ret_err) MUST_CHECK;
/* The others also give the row as it is afterwards, for the engine. */
int store_database_patch(const struct store *store, const struct database_patch_input *input,
    struct database_info *ret_info, struct store_database *ret_row, struct err *ret_err) MUST_CHECK;
int store_database_delete(const struct store *store, const struct database_input *input,
    struct database_info *ret_info, struct store_database *ret_row, struct err *ret_err) MUST_CHECK;
int store_database_restore(const struct store *store, const struct database_input *input,
    struct database_info *ret_info, struct store_database *ret_row, struct err *ret_err) MUST_CHECK;
int store_database_live(const struct store *store, uint64_t database_id, struct err *ret_err)
    MUST_CHECK;
/* *ret_may_create: it does not exist, and the principal may have it made on first use. */
int store_database_lookup(const struct store *store, const struct database_lookup_input *input,
    struct store_database *ret_row, bool *ret_may_create, struct err *ret_err) MUST_CHECK;
int store_database_row(const struct store *store, uint64_t database_id,
    struct store_database *ret_row, struct err *ret_err) MUST_CHECK;

/* The branch of that ref or alias of a root, which `database`, a slug, is or belongs to. 1, 0, -1.
 */
int store_branch_id(const struct store *store, uint64_t tenant_id, struct str database,
    struct str ref, uint64_t *ret_id, struct err *ret_err) MUST_CHECK;
/* A row of DATABASE_COLUMNS (catalogue_databases.c). */
void store_database_read(const struct store *store, struct sqlite3_stmt *statement,
    struct str tenant_slug, struct database_info *info);
/* One that is there: 1, 0, -1. */
int store_database_by_id(const struct store *store, uint64_t tenant_id, uint64_t database_id,
    struct database_info *ret_info, struct err *ret_err) MUST_CHECK;
bool store_may_reach(const struct store *store, const struct database_info *info);
int store_database_settings(
    const struct store *store, struct database_info *info, struct err *ret_err) MUST_CHECK;
int store_database_usage(const struct store *store, struct database_info *info, struct err *ret_err)
    MUST_CHECK;
int store_check_quota(
    const struct store *store, struct str tenant, uint64_t more, struct err *ret_err) MUST_CHECK;

/* ---- branches (catalogue_branch_store.c) ---- */

/* What a change of a family is about to do. Ids of heads are new. */
struct store_change {
    struct store_database source; /* whose content: the parent, the branch that is promoted */
    struct store_database target; /* whose it becomes */
    bool is_new;                  /* the target is made by this */
    bool copies_schema;           /* into a family of its own */
    char head_id[ID_HEX_BYTES];
    struct str ref;           /* of the new head, while it is made */
    struct str from_snapshot; /* its name in the MANIFEST; empty: what the source has now */
    struct str keep;        /* the name of the snapshot that keeps what the target has; or empty */
    struct str snapshot_id; /* and the public id; also of a snapshot that is made */
};
int store_branch_begin(const struct store *store, const struct branch_put_input *input,
    struct store_change *ret_change, struct err *ret_err) MUST_CHECK;
int store_promote_begin(const struct store *store, const struct branch_input *input,
    struct store_change *ret_change, struct err *ret_err) MUST_CHECK;
int store_restore_begin(const struct store *store, const struct snapshot_input *input,
    struct store_change *ret_change, struct err *ret_err) MUST_CHECK;
/* It was done: the rows say so. */
int store_change_end(const struct store *store, const struct store_change *change,
    struct database_info *ret_info, struct err *ret_err) MUST_CHECK;
/* It was not. */
int store_change_undo(
    const struct store *store, const struct store_change *change, struct err *ret_err) MUST_CHECK;
int store_branch_list(const struct store *store, const struct branch_list_input *input,
    struct database_list *ret_list, struct err *ret_err) MUST_CHECK;
int store_branch_get(const struct store *store, const struct branch_input *input,
    struct database_info *ret_info, struct err *ret_err) MUST_CHECK;
int store_branch_patch(const struct store *store, const struct branch_patch_input *input,
    struct database_info *ret_info, struct store_database *ret_row, struct err *ret_err) MUST_CHECK;
/* Its row as it is purged; see store_purge_pick(). */
int store_branch_remove(const struct store *store, uint64_t tenant_id, uint64_t database_id,
    struct store_database *ret_row, struct err *ret_err) MUST_CHECK;
/* *ret_name: the MANIFEST's. */
int store_snapshot_begin(const struct store *store, const struct snapshot_input *input,
    struct store_change *ret_change, struct err *ret_err) MUST_CHECK;
int store_snapshot_find(const struct store *store, uint64_t tenant_id, uint64_t database_id,
    struct str id, struct snapshot_info *ret_info, struct str *ret_name, struct err *ret_err)
    MUST_CHECK;
int store_snapshot_forget(const struct store *store, struct str id, struct err *ret_err) MUST_CHECK;
int store_snapshot_list(const struct store *store, const struct branch_list_input *input,
    struct snapshot_list *ret_list, struct err *ret_err) MUST_CHECK;
/* Of all changes that were under way when the process ended. */
struct store_pending {
    struct store_database row;
    char head_id[ID_HEX_BYTES]; /* that was being made; "": none */
    struct str snapshot_id;     /* likewise; ptr NULL: none */
    struct str snapshot;        /* its name in the MANIFEST */
};
int store_pending_list(const struct store *store, struct store_pending *rows, size_t max,
    size_t *ret_count, struct err *ret_err) MUST_CHECK;
/* `head_id` is the row's from now on, "" if the row goes; its pending snapshot was made or not. */
int store_pending_settle(const struct store *store, const struct store_pending *pending,
    const char *head_id, bool kept, struct err *ret_err) MUST_CHECK;

/* ---- tokens ---- */

struct store_token {
    struct principal principal; /* to copy with principal_new(); no rate */
    uint64_t rate_per_second;
    uint64_t rate_burst;
    uint64_t tenant_rate_per_second;
};

int store_token_mint(const struct store *store, const struct token_mint_input *input,
    struct token_minted *ret_minted, struct err *ret_err) MUST_CHECK;
int store_token_list(const struct store *store, const struct list_input *input,
    struct token_list *ret_list, struct err *ret_err) MUST_CHECK;
int store_token_revoke(const struct store *store, const struct token_revoke_input *input,
    struct token_info *ret_info, uint64_t *ret_tenant_id, struct err *ret_err) MUST_CHECK;
int store_token_lookup(const struct store *store, const struct token_lookup_input *input,
    struct store_token *ret_token, struct err *ret_err) MUST_CHECK;
/* The keys that sign tokens for this database and tenant (slugs). A database or tenant that is not
 * there has none; tenant_id 0 then. */
struct store_keys {
    uint64_t tenant_id;
    struct str tenant_slug;
    uint64_t requests_per_second;
    struct str tenant_keys; /* empty: none */
    struct str database_keys;
};
/* The keys of one; *ret_keys is untouched when there are none. */
int store_keys_of(const struct store *store, enum setting_scope scope, uint64_t owner_id,
    struct str *ret_keys, struct err *ret_err) MUST_CHECK;
int store_keys_lookup(const struct store *store, struct str tenant, struct str database,
    struct store_keys *ret_keys, struct err *ret_err) MUST_CHECK;
int store_whoami(const struct store *store, struct whoami *ret_whoami, struct err *ret_err)
    MUST_CHECK;
/* Revokes every operator token of that name: the file's token is being replaced. */
int store_token_revoke_named(const struct store *store, struct str name, struct err *ret_err)
    MUST_CHECK;

/* ---- what time does ---- */

struct store_database_rows {
    struct store_database *rows;
    size_t count;
};

/* Deletes up to `max` databases whose time is over (restorable like others). */
int store_expire(const struct store *store, size_t max, struct store_database_rows *ret_rows,
    struct err *ret_err) MUST_CHECK;
/* Marks up to `max` databases whose grace period is over (their own or their tenant's) as purging
 * and gives them, those marked earlier last. */
int store_purge_pick(const struct store *store, size_t max, struct store_database_rows *ret_rows,
    struct err *ret_err) MUST_CHECK;
/* The folders of these are gone: removes their rows. */
int store_purge_databases(const struct store *store, const uint64_t *database_ids, size_t count,
    struct err *ret_err) MUST_CHECK;
/* Removes tenants without databases whose grace period is over, and old tokens. */
int store_purge_rest(const struct store *store, struct err *ret_err) MUST_CHECK;
int store_usage_add(const struct store *store, const struct usage_delta *deltas, size_t count,
    struct err *ret_err) MUST_CHECK;
/* A database that was never opened has this family. */
int store_family_is_reserved(
    const struct store *store, struct str family_id, bool *ret_is, struct err *ret_err) MUST_CHECK;
int store_figures(const struct store *store, struct catalogue_figures *ret_figures,
    struct err *ret_err) MUST_CHECK;

#endif
