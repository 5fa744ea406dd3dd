/* Branches: make or reset, list, show, change, delete, claim, promote. */
#include "tenants/branches.h"
#include "proto/persql/persql.h"
#include "tenants/base/clock.h"
#include "tenants/base/random.h"

#define TTL_DAYS_MAX 30
#define TTL_SEC_MAX (30 * 86400)
#define TTL_SEC_MIN 60
#define TTL_SEC_DEFAULT 3600
#define CLAIM_RANDOM 6 /* characters behind a purpose */

/* ---- the parts of a request ---- */

static struct branch_input *make_input(struct exchange *x)
{
    struct branch_input *input = persql_zalloc(x, sizeof(*input));

    if (input == NULL)
        return NULL;
    input->tenant_id = x->database->tenant_id;
    input->database_id = x->database->id;
    input->ref = x->params[2];
    return input;
}

static void with_input(struct exchange *x, void (*done)(struct catalogue_call *call),
    void (*start)(struct catalogue_call *call, const struct branch_input *input))
{
    struct branch_input *input = make_input(x);
    struct catalogue_call *call = input == NULL ? NULL : persql_call(x, done);

    if (call != NULL)
        start(call, input);
}

/* Either spelling of a number. */
static int read_u64(const struct node *body, const char *camel, const char *snake,
    const struct node **ret_node, uint64_t *ret_value, struct err *ret_err)
{
    *ret_node = node_get(body, camel);
    if (*ret_node != NULL)
        return node_u64(body, camel, ret_value, ret_err);
    *ret_node = node_get(body, snake);
    return *ret_node == NULL ? 0 : node_u64(body, snake, ret_value, ret_err);
}

/* expiresAt, or a time to live. */
static int read_expiry(
    const struct node *body, bool *ret_given, int64_t *ret_wall_ms, struct err *ret_err)
{
    const struct node *node;
    uint64_t days = 0;
    uint64_t seconds = 0;

    if (node_time(body, node_get(body, "expires_at") != NULL ? "expires_at" : "expiresAt",
            ret_given, ret_wall_ms, ret_err) < 0 ||
        read_u64(body, "ttlDays", "ttl_days", &node, &days, ret_err) < 0)
        return -1;
    if (node != NULL && node->type != TOKEN_NULL) {
        if (days == 0 || days > TTL_DAYS_MAX)
            return err_set(
                ret_err, ERR_BAD_REQUEST, "'ttlDays' is a number from 1 to %d", TTL_DAYS_MAX);
        *ret_given = true;
        *ret_wall_ms = clock_wall_ms() + (int64_t)days * 86400 * 1000;
    }
    if (read_u64(body, "ttlSec", "ttl_sec", &node, &seconds, ret_err) < 0)
        return -1;
    if (node == NULL || node->type == TOKEN_NULL)
        return 0;
    if (seconds != 0 && (seconds < TTL_SEC_MIN || seconds > TTL_SEC_MAX))
        return err_set(ret_err, ERR_BAD_REQUEST, "'ttlSec' is a number from %d to %d, or 0: no end",
            TTL_SEC_MIN, TTL_SEC_MAX);
    *ret_given = true;
    *ret_wall_ms = seconds == 0 ? 0 : clock_wall_ms() + (int64_t)seconds * 1000;
    return 0;
}

static int read_put(const struct node *body, struct branch_put_input *input, struct err *ret_err)
{
    bool data = true;

    if (node_string(body, "name", &input->name, ret_err) < 0 ||
        node_string(body, "snapshot", &input->snapshot, ret_err) < 0 ||
        node_bool(body, "data", &data, ret_err) < 0 ||
        node_bool(body, "protected", &input->is_protected, ret_err) < 0 ||
        read_expiry(body, &input->set_expires, &input->expires_wall_ms, ret_err) < 0)
        return -1;
    if (input->snapshot.len == 0 && node_string(body, "snapshotId", &input->snapshot, ret_err) < 0)
        return -1;
    input->set_protected = node_get(body, "protected") != NULL;
    input->schema_only = !data;
    if (!data && input->snapshot.len > 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "a snapshot's schema alone cannot be branched");
    return 0;
}

/* ---- answers ---- */

static void on_one(struct catalogue_call *call)
{
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    persql_write_database(x, &e, call->output);
    persql_finish(x, &e);
}

static void on_put(struct catalogue_call *call)
{
    const struct branch_result *result = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    encoder_object(&e);
    persql_write_database_members(x, &e, &result->info);
    encoder_key(&e, "outcome");
    encoder_cstring(&e, result->is_new ? "created" : "reset");
    encoder_end(&e);
    persql_finish(x, &e);
}

void persql_branch_put(struct exchange *x)
{
    const struct node *body = persql_body(x, true);
    struct catalogue_call *call = NULL;
    struct branch_put_input *input =
        body == NULL ? NULL : persql_call_with(x, on_put, sizeof(*input), &call);
    struct err err = ERR_INIT;

    if (input == NULL)
        return;
    input->tenant_id = x->database->tenant_id;
    input->database_id = x->database->id;
    input->ref = x->params[2];
    if (read_put(body, input, &err) < 0)
        exchange_fail(x, &err);
    else
        catalogue_branch_put(call, input);
}

static void on_list(struct catalogue_call *call)
{
    const struct database_list *list = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    encoder_array(&e);
    for (size_t i = 0; i < list->count; i++)
        persql_write_database(x, &e, &list->items[i]);
    persql_finish_list(x, &e, list->next_cursor);
}

void persql_branches_list(struct exchange *x)
{
    persql_list_parts(x, on_list, catalogue_branch_list);
}

void persql_branch_get(struct exchange *x)
{
    with_input(x, on_one, catalogue_branch_get);
}

static void on_deleted(struct catalogue_call *call)
{
    const struct database_info *info = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    encoder_object(&e);
    encoder_key(&e, "deleted");
    encoder_bool(&e, true);
    encoder_key(&e, "id");
    encoder_string(&e, info->id);
    encoder_key(&e, "slug");
    encoder_string(&e, info->slug);
    encoder_key(&e, "branchRef");
    encoder_string(&e, info->branch_ref);
    encoder_end(&e);
    persql_finish(x, &e);
}

void persql_branch_delete(struct exchange *x)
{
    with_input(x, on_deleted, catalogue_branch_delete);
}

void persql_branch_patch(struct exchange *x)
{
    const struct node *body = persql_body(x, false);
    struct catalogue_call *call = NULL;
    struct branch_patch_input *input =
        body == NULL ? NULL : persql_call_with(x, on_one, sizeof(*input), &call);
    struct err err = ERR_INIT;

    if (input == NULL)
        return;
    input->branch.tenant_id = x->database->tenant_id;
    input->branch.database_id = x->database->id;
    input->branch.ref = x->params[2];
    input->set_protected = node_get(body, "protected") != NULL;
    if (node_string(body, "ref", &input->ref, &err) < 0 ||
        (input->ref.ptr == NULL && node_string(body, "branchRef", &input->ref, &err) < 0) ||
        node_string(body, "name", &input->name, &err) < 0 ||
        node_bool(body, "protected", &input->is_protected, &err) < 0 ||
        read_expiry(body, &input->set_expires, &input->expires_wall_ms, &err) < 0)
        exchange_fail(x, &err);
    else
        catalogue_branch_patch(call, input);
}

/* ---- promote ---- */

void persql_write_swapped(
    struct exchange *x, struct encoder *e, const struct branch_swapped *swapped)
{
    encoder_object(e);
    encoder_key(e, "database");
    persql_write_database(x, e, &swapped->info);
    encoder_key(e, "snapshot");
    persql_write_snapshot(e, &swapped->kept);
    encoder_end(e);
}

static void on_swapped(struct catalogue_call *call)
{
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    persql_write_swapped(x, &e, call->output);
    persql_finish(x, &e);
}

void persql_branch_promote(struct exchange *x)
{
    with_input(x, on_swapped, catalogue_branch_promote);
}

/* ---- claim ---- */

struct claim {
    struct branch_put_input put;
    struct token_mint_input mint;
    struct str databases[1];
    struct str branches[1];
    struct branch_result result;
};

static void on_minted(struct catalogue_call *call)
{
    const struct token_minted *minted = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);
    const struct claim *claim;

    if (x == NULL)
        return;
    claim = x->state;
    encoder_object(&e);
    encoder_key(&e, "branchRef");
    encoder_string(&e, claim->result.info.branch_ref);
    encoder_key(&e, "namespaceSlug");
    encoder_string(&e, claim->result.info.tenant_slug);
    encoder_key(&e, "databaseSlug");
    encoder_string(&e, claim->result.info.slug);
    encoder_key(&e, "token");
    encoder_string(&e, minted->token);
    encoder_key(&e, "expiresAt");
    encoder_time(&e, claim->result.info.expires_wall_ms);
    encoder_key(&e, "outcome");
    encoder_cstring(&e, claim->result.is_new ? "created" : "reset");
    encoder_end(&e);
    http_response_header(&x->response, "Cache-Control", STR_LITERAL("no-store"));
    persql_finish(x, &e);
}

static void on_claimed(struct catalogue_call *call)
{
    struct exchange *x = call->owner;
    struct claim *claim = x->state;
    struct catalogue_call *mint;

    if (call->err.code != ERR_NONE) {
        exchange_fail(x, &call->err);
        return;
    }
    claim->result = *(const struct branch_result *)call->output;
    mint = persql_call(x, on_minted);
    if (mint == NULL)
        return;
    claim->databases[0] = claim->result.info.root_slug;
    claim->branches[0] = claim->result.info.branch_ref;
    claim->mint.tenant = x->tenant_slug;
    claim->mint.databases = claim->databases;
    claim->mint.database_count = 1;
    claim->mint.branches = claim->branches;
    claim->mint.branch_count = 1;
    claim->mint.expires_wall_ms = claim->result.info.expires_wall_ms;
    catalogue_token_mint(mint, &claim->mint);
}

/* `purpose` and a few characters that nobody has met. */
static struct str made_ref(struct exchange *x, struct str purpose)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char bytes[CLAIM_RANDOM];
    struct buf text;
    struct str ref;

    buf_init(&text, 0);
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < purpose.len && i < 40; i++) {
        char c = purpose.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (plain)
            buf_char(&text, c);
        else if (text.len > 0 && text.bytes[text.len - 1] != '-')
            buf_char(&text, '-');
    }
    if (text.len == 0)
        buf_literal(&text, "lease");
    if (text.bytes[text.len - 1] != '-')
        buf_char(&text, '-');
    for (size_t i = 0; i < sizeof(bytes); i++)
        buf_char(&text, alphabet[bytes[i] % (sizeof(alphabet) - 1)]);
    ref = arena_str(&x->arena, buf_view(&text));
    buf_fini(&text);
    return ref;
}

static int read_claim(
    struct exchange *x, const struct node *body, struct claim *claim, struct err *ret_err)
{
    struct str purpose = str_make(NULL, 0);

    if (node_string(body, "ref", &claim->put.ref, ret_err) < 0 ||
        (claim->put.ref.ptr == NULL &&
            node_string(body, "branchRef", &claim->put.ref, ret_err) < 0) ||
        node_string(body, "purpose", &purpose, ret_err) < 0 ||
        node_string(body, "role", &claim->mint.role, ret_err) < 0 ||
        read_put(body, &claim->put, ret_err) < 0)
        return -1;
    if (claim->mint.role.len == 0)
        claim->mint.role = STR_LITERAL("readwrite");
    if (claim->put.ref.len == 0)
        claim->put.ref = made_ref(x, purpose);
    if (!claim->put.set_expires) {
        claim->put.set_expires = true;
        claim->put.expires_wall_ms = clock_wall_ms() + TTL_SEC_DEFAULT * 1000LL;
    }
    claim->mint.name = str_from(arena_printf(&x->arena, "branch %.*s", STR_ARGS(claim->put.ref)));
    return role_parse(claim->mint.role, NULL, NULL) == 0
               ? 0
               : err_set(ret_err, ERR_BAD_REQUEST, "'role' is read, write or admin");
}

void persql_branch_claim(struct exchange *x)
{
    const struct node *body = persql_body(x, true);
    struct claim *claim = body == NULL ? NULL : persql_zalloc(x, sizeof(*claim));
    struct catalogue_call *call = claim == NULL ? NULL : persql_call(x, on_claimed);
    struct err err = ERR_INIT;

    if (call == NULL)
        return;
    x->state = claim;
    claim->put.tenant_id = x->database->tenant_id;
    claim->put.database_id = x->database->id;
    if (read_claim(x, body, claim, &err) < 0)
        exchange_fail(x, &err);
    else
        catalogue_branch_put(call, &claim->put);
}

/* ---- storage ---- */

static void on_usage(struct catalogue_call *call)
{
    const struct family_usage *usage = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    encoder_object(&e);
    encoder_key(&e, "ownBytes");
    encoder_u64(&e, usage->own_bytes);
    encoder_key(&e, "sharedBytes");
    encoder_u64(&e, usage->shared_bytes);
    encoder_key(&e, "layers");
    encoder_u64(&e, usage->depth);
    encoder_end(&e);
    persql_finish(x, &e);
}

void persql_branch_usage(struct exchange *x)
{
    struct catalogue_call *call = NULL;
    struct branch_usage_input *input = persql_call_with(x, on_usage, sizeof(*input), &call);

    if (input == NULL)
        return;
    input->database = x->database;
    catalogue_family_usage(call, input);
}
