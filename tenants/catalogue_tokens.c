#include <sqlite3.h>
#include <string.h>

#include "tenants/base/buf.h"
#include "tenants/catalogue_store.h"
#include "tenants/rate.h"
#include "tenants/slug.h"

#define TOKEN_COLUMNS                                                                              \
    "k.id, k.public_id, k.tenant_id, k.name, k.role, k.prefix, k.last4, k.databases, k.branches,"  \
    " k.tables, k.claims, k.rate_per_second, k.rate_burst, k.created_at, k.expires_at,"            \
    " (SELECT b.public_id FROM tokens b WHERE b.id = k.created_by)"

/* ---- lists as text, one item per line ---- */

static const struct str *read_list(
    const struct store *store, struct sqlite3_stmt *statement, int column, size_t *ret_count)
{
    struct str rest = store_text(store, statement, column);
    struct str *items;
    size_t count = 1;

    *ret_count = 0;
    if (rest.len == 0)
        return NULL;
    for (size_t i = 0; i < rest.len; i++)
        count += rest.ptr[i] == '\n';
    items = arena_array(store->arena, count, sizeof(*items));
    if (items == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        items[i] = str_split(&rest, '\n');
    *ret_count = count;
    return items;
}

enum list_kind { LIST_DATABASES, LIST_BRANCHES, LIST_TABLES };

static bool is_list_item(enum list_kind kind, struct str item)
{
    if (item.len == 0 || item.len > TOKEN_LIST_TEXT_MAX || !str_is_utf8(item))
        return false;
    for (size_t i = 0; i < item.len; i++) {
        unsigned char c = (unsigned char)item.ptr[i];
        bool alphanumeric =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (kind == LIST_TABLES ? c < ' ' || c == 0x7f
                                : !alphanumeric && strchr("*?-_./", c) == NULL)
            return false;
    }
    return true;
}

static int write_list(const struct store *store, enum list_kind kind, const struct str *items,
    size_t count, struct str *ret_text, struct err *ret_err)
{
    static const char *const names[] = {"databases", "branches", "tables"};
    size_t size = 0;
    char *text;
    char *at;

    if (count > TOKEN_LIST_ITEMS_MAX)
        return err_set(ret_err, ERR_BAD_REQUEST, "a token has at most %d %s", TOKEN_LIST_ITEMS_MAX,
            names[kind]);
    for (size_t i = 0; i < count; i++) {
        if (!is_list_item(kind, items[i]))
            return err_set(ret_err, ERR_BAD_REQUEST,
                "'%s' has an item that is empty, longer than %d bytes, or has characters that no "
                "such name has",
                names[kind], TOKEN_LIST_TEXT_MAX);
        size += items[i].len + 1;
    }
    text = arena_alloc(store->arena, size + 1);
    if (text == NULL)
        return store_finish(store, ret_err);
    at = text;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *at++ = '\n';
        if (kind == LIST_DATABASES)
            (void)slug_lower(items[i], at, items[i].len);
        else
            memcpy(at, items[i].ptr, items[i].len);
        at += items[i].len;
    }
    *ret_text = str_make(text, (size_t)(at - text));
    return 0;
}

/* ---- reading ---- */

static int read_token(const struct store *store, struct sqlite3_stmt *statement,
    struct token_info *info, struct err *ret_err)
{
    *info = (struct token_info){
        .id = store_text(store, statement, 1),
        .name = store_text(store, statement, 3),
        .role = store_text(store, statement, 4),
        .prefix = store_text(store, statement, 5),
        .last4 = store_text(store, statement, 6),
        .claims_json = store_text(store, statement, 10),
        .rate_per_second = (uint64_t)sqlite3_column_int64(statement, 11),
        .rate_burst = (uint64_t)sqlite3_column_int64(statement, 12),
        .created_wall_ms = sqlite3_column_int64(statement, 13),
        .expires_wall_ms = sqlite3_column_int64(statement, 14),
        .created_by = store_text(store, statement, 15),
    };
    info->databases = read_list(store, statement, 7, &info->database_count);
    info->branches = read_list(store, statement, 8, &info->branch_count);
    info->tables = read_list(store, statement, 9, &info->table_count);
    if (store_finish(store, ret_err) < 0)
        return -1;
    if (role_parse(info->role, &info->capabilities, NULL) < 0)
        return err_set(ret_err, ERR_CORRUPT, "the catalogue has a token of an unknown role");
    return 0;
}

/* The id of the tenant whose tokens are meant; 0 for an empty name: operator tokens. */
static int find_owner(const struct store *store, struct str tenant_name, struct tenant_info *tenant,
    struct err *ret_err)
{
    if (tenant_name.len > 0)
        return store_tenant_find(store, tenant_name, tenant, ret_err);
    if (!store_asks_operator(store))
        return err_set(ret_err, ERR_ROLE_FORBIDS, "operator tokens are an operator's to manage");
    *tenant = (struct tenant_info){.tenant_id = 0};
    return 0;
}

/* A limited token must not see the others, nor take the keys from their owner. */
static int check_unlimited(const struct store *store, struct err *ret_err)
{
    const struct principal *principal = store->principal;

    if (principal == NULL ||
        principal->database_glob_count + principal->branch_glob_count + principal->table_count == 0)
        return 0;
    return err_set(ret_err, ERR_ROLE_FORBIDS,
        "a token that is limited to databases, branches or tables mints, lists and revokes none");
}

int store_token_list(const struct store *store, const struct list_input *input,
    struct token_list *ret_list, struct err *ret_err)
{
    unsigned size = store_page_size(input);
    struct token_info *items = arena_array(store->arena, size, sizeof(*items));
    struct token_list list = {.items = items};
    STORE_STATEMENT statement = NULL;
    struct tenant_info tenant;
    int row;

    if (items == NULL)
        return store_finish(store, ret_err);
    if (check_unlimited(store, ret_err) < 0 ||
        find_owner(store, input->tenant, &tenant, ret_err) < 0)
        return -1;
    if (input->cursor.len >= PUBLIC_ID_BYTES)
        return err_set(ret_err, ERR_BAD_REQUEST, "the cursor is not one that a list has given");
    if (store_query(store, &statement, ret_err,
            "SELECT " TOKEN_COLUMNS " FROM tokens k WHERE k.tenant_id = ?1 AND k.revoked_at = 0"
            " AND k.id > coalesce((SELECT c.id FROM tokens c WHERE c.public_id = ?2"
            "   AND c.tenant_id = ?1), iif(?2 = '', 0, 9223372036854775807))"
            " ORDER BY k.id LIMIT ?3",
            "isi", (int64_t)tenant.tenant_id, input->cursor, (int64_t)size + 1) < 0)
        return -1;
    while ((row = store_step(store, statement, ret_err)) > 0) {
        if (list.count == size) {
            list.next_cursor = items[size - 1].id;
            break;
        }
        if (read_token(store, statement, &items[list.count], ret_err) < 0)
            return -1;
        list.count++;
    }
    if (row < 0 || store_finish(store, ret_err) < 0)
        return -1;
    *ret_list = list;
    return 0;
}

/* ---- minting ---- */

/* Nobody mints more than they have. */
static int check_rights(
    const struct store *store, uint32_t capabilities, int64_t *expires, struct err *ret_err)
{
    const struct principal *principal = store->principal;

    if (*expires != 0 && *expires <= store->now_wall_ms)
        return err_set(ret_err, ERR_BAD_REQUEST, "the token would have expired already");
    if (principal == NULL)
        return 0;
    if ((capabilities & ~principal->capabilities) != 0)
        return err_set(ret_err, ERR_ROLE_FORBIDS, "a token cannot mint one that may more than it");
    if (check_unlimited(store, ret_err) < 0)
        return -1;
    if (principal->expires_wall_ms == 0)
        return 0;
    if (*expires == 0)
        *expires = principal->expires_wall_ms;
    if (*expires > principal->expires_wall_ms)
        return err_set(ret_err, ERR_ROLE_FORBIDS, "a token cannot mint one that outlives it");
    return 0;
}

static int check_claims(const struct store *store, struct str claims, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;

    if (claims.len > TOKEN_CLAIMS_MAX || !str_is_utf8(claims))
        return err_set(ret_err, ERR_BAD_REQUEST, "claims are a JSON object of at most %d bytes",
            TOKEN_CLAIMS_MAX);
    if (store_query(store, &statement, ret_err,
            "SELECT iif(json_valid(?1), json_type(?1) = 'object', 0)", "s", claims) < 0 ||
        store_step(store, statement, ret_err) < 0)
        return -1;
    if (sqlite3_column_int(statement, 0) == 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "claims are a JSON object");
    return 0;
}

static int check_room(const struct store *store, uint64_t tenant_id, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;

    if (store_query(store, &statement, ret_err,
            "SELECT (SELECT count(*) FROM tokens WHERE tenant_id = ?1 AND revoked_at = 0"
            "   AND expires_at = 0)"
            " + (SELECT count(*) FROM tokens WHERE tenant_id = ?1 AND revoked_at = 0"
            "   AND expires_at > ?2)",
            "ii", (int64_t)tenant_id, store->now_wall_ms) < 0 ||
        store_step(store, statement, ret_err) < 0)
        return -1;
    if (sqlite3_column_int64(statement, 0) >= (int64_t)store->options->max_tokens_per_tenant)
        return err_set(ret_err, ERR_QUOTA_EXCEEDED,
            "at most %u tokens at once: revoke some, or let them expire",
            store->options->max_tokens_per_tenant);
    return 0;
}

static int check_rate(const struct token_mint_input *input, struct err *ret_err)
{
    if (input->rate_per_second > RATE_PER_SECOND_MAX || input->rate_burst > RATE_BURST_MAX ||
        (input->rate_per_second == 0 && input->rate_burst > 0))
        return err_set(ret_err, ERR_BAD_REQUEST,
            "a token's rate limit is 1-%d per second, with a burst of up to %d",
            RATE_PER_SECOND_MAX, RATE_BURST_MAX);
    return 0;
}

static int get_info(
    const struct store *store, int64_t id, struct token_info *info, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;

    if (store_query(store, &statement, ret_err,
            "SELECT " TOKEN_COLUMNS " FROM tokens k WHERE k.id = ?1", "i", id) < 0 ||
        store_step(store, statement, ret_err) < 0)
        return -1;
    return read_token(store, statement, info, ret_err);
}

/* What is written, checked. */
struct minting {
    uint64_t tenant_id;
    const char *role;
    int64_t expires;
    struct str name;
    struct str prefix;
    struct str claims;
    struct str databases;
    struct str branches;
    struct str tables;
};

static int check_mint(const struct store *store, const struct token_mint_input *input,
    struct minting *minting, struct err *ret_err)
{
    struct str role = input->role.len == 0 ? STR_LITERAL("owner") : input->role;
    struct tenant_info tenant;
    uint32_t capabilities;

    if (input->tenant.len == 0 && input->role.len == 0)
        role = STR_LITERAL("operator");
    if (role_parse(role, &capabilities, &minting->role) < 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "role is one of: owner, readwrite, readonly%s",
            store_asks_operator(store) ? ", operator" : "");
    if (find_owner(store, input->tenant, &tenant, ret_err) < 0)
        return -1;
    if (((capabilities & CAP_OPERATOR) != 0) != (tenant.tenant_id == 0))
        return err_set(ret_err, ERR_BAD_REQUEST,
            tenant.tenant_id == 0 ? "a token without a tenant has the role operator"
                                  : "an operator token belongs to no tenant");
    minting->tenant_id = tenant.tenant_id;
    minting->expires = input->expires_wall_ms;
    minting->name = input->name.len == 0 ? STR_LITERAL("token") : input->name;
    minting->claims = input->claims_json.len == 0 ? STR_LITERAL("{}") : input->claims_json;
    minting->prefix = input->prefix;
    if (minting->prefix.len == 0)
        minting->prefix = tenant.tenant_id == 0 ? STR_LITERAL(TOKEN_OPERATOR_PREFIX)
                                                : STR_LITERAL(TOKEN_DEFAULT_PREFIX);
    if (check_rights(store, capabilities, &minting->expires, ret_err) < 0 ||
        store_check_name(minting->name, ret_err) < 0 || check_rate(input, ret_err) < 0 ||
        check_claims(store, minting->claims, ret_err) < 0 ||
        write_list(store, LIST_DATABASES, input->databases, input->database_count,
            &minting->databases, ret_err) < 0 ||
        write_list(store, LIST_BRANCHES, input->branches, input->branch_count, &minting->branches,
            ret_err) < 0 ||
        write_list(
            store, LIST_TABLES, input->tables, input->table_count, &minting->tables, ret_err) < 0)
        return -1;
    return check_room(store, tenant.tenant_id, ret_err);
}

int store_token_mint(const struct store *store, const struct token_mint_input *input,
    struct token_minted *ret_minted, struct err *ret_err)
{
    unsigned char hash[SHA256_BYTES];
    char text[TOKEN_TEXT_BYTES];
    char public_id[PUBLIC_ID_BYTES];
    struct minting minting;
    struct str prefix;
    struct str tail;

    if (check_mint(store, input, &minting, ret_err) < 0 ||
        token_mint(minting.prefix, text, ret_err) < 0 ||
        token_parse(str_from(text), &prefix, &tail, ret_err) < 0)
        return -1;
    token_hash(tail, hash);
    public_id_new("tok", public_id);
    if (store_run(store, ret_err,
            "INSERT INTO tokens(public_id, tenant_id, hash, prefix, last4, name, role, databases,"
            " branches, tables, claims, rate_per_second, rate_burst, created_at, created_by,"
            " expires_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"
            " ?16)",
            "sihssssssssiiiii", str_from(public_id), (int64_t)minting.tenant_id, hash, prefix,
            str_make(tail.ptr + tail.len - 4, 4), minting.name, str_from(minting.role),
            minting.databases, minting.branches, minting.tables, minting.claims,
            (int64_t)input->rate_per_second, (int64_t)input->rate_burst, store->now_wall_ms,
            store_asker(store), minting.expires) < 0 ||
        get_info(store, sqlite3_last_insert_rowid(store->db), &ret_minted->info, ret_err) < 0)
        return -1;
    ret_minted->token = arena_str(store->arena, str_from(text));
    explicit_bzero(text, sizeof(text));
    return store_finish(store, ret_err);
}

int store_token_revoke(const struct store *store, const struct token_revoke_input *input,
    struct token_info *ret_info, uint64_t *ret_tenant_id, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    struct tenant_info tenant;
    int row;

    if (check_unlimited(store, ret_err) < 0 ||
        find_owner(store, input->tenant, &tenant, ret_err) < 0)
        return -1;
    if (store_query(store, &statement, ret_err,
            "SELECT " TOKEN_COLUMNS " FROM tokens k"
            " WHERE k.public_id = ?1 AND k.tenant_id = ?2 AND k.revoked_at = 0",
            "si", input->id, (int64_t)tenant.tenant_id) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row == 0)
        return err_set(ret_err, ERR_NOT_FOUND, "there is no such token");
    if (row < 0 || read_token(store, statement, ret_info, ret_err) < 0)
        return -1;
    *ret_tenant_id = tenant.tenant_id;
    return store_run(store, ret_err, "UPDATE tokens SET revoked_at = ?2 WHERE id = ?1", "ii",
        sqlite3_column_int64(statement, 0), store->now_wall_ms);
}

int store_token_revoke_named(const struct store *store, struct str name, struct err *ret_err)
{
    return store_run(store, ret_err,
        "UPDATE tokens SET revoked_at = ?2 WHERE tenant_id = 0 AND name = ?1 AND revoked_at = 0",
        "si", name, store->now_wall_ms);
}

/* ---- look-ups ---- */

static int read_principal(const struct store *store, struct sqlite3_stmt *statement,
    struct store_token *token, struct err *ret_err)
{
    struct tenant_settings settings;
    struct token_info info;
    uint64_t tenant_id = (uint64_t)sqlite3_column_int64(statement, 2);

    if (read_token(store, statement, &info, ret_err) < 0)
        return -1;
    *token = (struct store_token){
        .principal = {.tenant_id = tenant_id,
            .token_id = (uint64_t)sqlite3_column_int64(statement, 0),
            .capabilities = info.capabilities,
            .tenant_slug = store_text(store, statement, 18),
            .token_name = info.name,
            .role = info.role,
            .database_globs = info.databases,
            .database_glob_count = info.database_count,
            .branch_globs = info.branches,
            .branch_glob_count = info.branch_count,
            .tables = info.tables,
            .table_count = info.table_count,
            .claims_json = info.claims_json,
            .created_wall_ms = info.created_wall_ms,
            .expires_wall_ms = info.expires_wall_ms},
        .rate_per_second = info.rate_per_second,
        .rate_burst = info.rate_burst,
    };
    if (tenant_id == 0)
        return store_finish(store, ret_err);
    if (store_settings_load(store, SETTING_TENANT, tenant_id, &settings, ret_err) < 0)
        return -1;
    token->tenant_rate_per_second = settings.requests_per_second;
    return store_finish(store, ret_err);
}

int store_token_lookup(const struct store *store, const struct token_lookup_input *input,
    struct store_token *ret_token, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int64_t expires;
    int row;

    if (store_query(store, &statement, ret_err,
            "SELECT " TOKEN_COLUMNS ", k.hash, k.revoked_at, coalesce(t.slug, ''),"
            " coalesce(t.deleted_at, k.tenant_id) FROM tokens k"
            " LEFT JOIN tenants t ON t.id = k.tenant_id WHERE k.hash = ?1",
            "h", input->hash) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row < 0)
        return -1;
    if (row == 0 || sqlite3_column_bytes(statement, 16) != SHA256_BYTES ||
        !token_equal(sqlite3_column_blob(statement, 16), input->hash, SHA256_BYTES) ||
        sqlite3_column_int64(statement, 17) != 0 || sqlite3_column_int64(statement, 19) != 0)
        return err_set(ret_err, ERR_UNAUTHORIZED, "the token is unknown or was revoked");
    expires = sqlite3_column_int64(statement, 14);
    if (expires != 0 && expires <= store->now_wall_ms)
        return err_set(ret_err, ERR_TOKEN_EXPIRED, "the token has expired");
    return read_principal(store, statement, ret_token, ret_err);
}

/* No row has it: it is what it says. */
static int whoami_signed(const struct store *store, struct whoami *ret_whoami, struct err *ret_err)
{
    const struct principal *principal = store->principal;
    struct tenant_info tenant;

    if (store_tenant_find(store, principal->tenant_slug, &tenant, ret_err) < 0)
        return -1;
    *ret_whoami = (struct whoami){
        .token = {.id = STR_LITERAL("jwt"),
            .name = principal->token_name,
            .role = principal->role,
            .capabilities = principal->capabilities,
            .databases = principal->database_globs,
            .database_count = principal->database_glob_count,
            .claims_json = principal->claims_json,
            .created_wall_ms = principal->created_wall_ms,
            .expires_wall_ms = principal->expires_wall_ms},
        .tenant_id = tenant.id,
        .tenant_slug = tenant.slug,
        .tenant_name = tenant.name,
    };
    return store_finish(store, ret_err);
}

int store_whoami(const struct store *store, struct whoami *ret_whoami, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    if (store->principal == NULL)
        return err_set(ret_err, ERR_UNAUTHORIZED, "nobody asks");
    if ((store->principal->token_id & TOKEN_ID_SIGNED) != 0)
        return whoami_signed(store, ret_whoami, ret_err);
    if (store_query(store, &statement, ret_err,
            "SELECT " TOKEN_COLUMNS ", t.public_id, coalesce(t.slug, ''), coalesce(t.name, '')"
            " FROM tokens k LEFT JOIN tenants t ON t.id = k.tenant_id AND t.deleted_at = 0"
            " WHERE k.id = ?1 AND k.revoked_at = 0 AND (k.tenant_id = 0 OR t.id IS NOT NULL)",
            "i", (int64_t)store->principal->token_id) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row == 0)
        return err_set(ret_err, ERR_UNAUTHORIZED, "the token was revoked");
    if (row < 0 || read_token(store, statement, &ret_whoami->token, ret_err) < 0)
        return -1;
    ret_whoami->tenant_id = store_text(store, statement, 16);
    ret_whoami->tenant_slug = store_text(store, statement, 17);
    ret_whoami->tenant_name = store_text(store, statement, 18);
    return store_finish(store, ret_err);
}
