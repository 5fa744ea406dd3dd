/* Tokens: mint, list, revoke; for the tenant itself and for operators. */
#include "proto/persql/persql.h"
#include "tenants/base/clock.h"

static void write_texts(struct encoder *e, const char *key, const struct str *texts, size_t count)
{
    encoder_key(e, key);
    if (count == 0) {
        encoder_null(e);
        return;
    }
    encoder_array(e);
    for (size_t i = 0; i < count; i++)
        encoder_string(e, texts[i]);
    encoder_end(e);
}

void persql_write_token_limits(struct encoder *e, const struct token_info *token)
{
    write_texts(e, "databases", token->databases, token->database_count);
    write_texts(e, "branches", token->branches, token->branch_count);
    write_texts(e, "tableScope", token->tables, token->table_count);
}

void persql_write_token(
    struct encoder *e, const struct token_info *token, struct str secret, struct arena *arena)
{
    encoder_object(e);
    encoder_key(e, "id");
    encoder_string(e, token->id);
    if (secret.ptr != NULL) {
        encoder_key(e, "token");
        encoder_string(e, secret);
    }
    encoder_key(e, "name");
    encoder_string(e, token->name);
    encoder_key(e, "role");
    encoder_string(e, token->role);
    encoder_key(e, "prefix");
    encoder_string(e, token->prefix);
    encoder_key(e, "last4");
    encoder_string(e, token->last4);
    persql_write_token_limits(e, token);
    encoder_key(e, "claims");
    encoder_json(e, token->claims_json, arena);
    encoder_key(e, "createdAt");
    encoder_time(e, token->created_wall_ms);
    encoder_key(e, "createdBy");
    encoder_string_or_null(e, token->created_by);
    encoder_key(e, "expiresAt");
    encoder_time(e, token->expires_wall_ms);
    encoder_key(e, "rateLimit");
    if (token->rate_per_second == 0) {
        encoder_null(e);
    } else {
        encoder_object(e);
        encoder_key(e, "perSecond");
        encoder_u64(e, token->rate_per_second);
        encoder_key(e, "burst");
        encoder_u64(e, token->rate_burst);
        encoder_end(e);
    }
    encoder_end(e);
}

/* ---- mint ---- */

static void on_minted(struct catalogue_call *call)
{
    const struct token_minted *minted = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    persql_write_token(&e, &minted->info, minted->token, &x->arena);
    http_response_header(&x->response, "Cache-Control", STR_LITERAL("no-store"));
    persql_finish(x, &e);
}

static int read_claims(
    struct exchange *x, const struct node *body, struct str *ret_json, struct err *ret_err)
{
    const struct node *claims = node_get(body, "claims");
    struct buf json;

    if (claims == NULL)
        return 0;
    if (claims->type != TOKEN_OBJECT)
        return err_set(ret_err, ERR_BAD_REQUEST, "'claims' must be an object");
    buf_init(&json, TOKEN_CLAIMS_MAX + 1);
    node_write_json(claims, &json);
    *ret_json = arena_str(&x->arena, buf_view(&json));
    buf_fini(&json);
    return ret_json->ptr != NULL && ret_json->len <= TOKEN_CLAIMS_MAX
               ? 0
               : err_set(ret_err, ERR_BAD_REQUEST, "'claims' are larger than %d bytes of JSON",
                     TOKEN_CLAIMS_MAX);
}

static int read_expiry(const struct node *body, int64_t *ret_wall_ms, struct err *ret_err)
{
    int64_t now = clock_wall_ms();
    uint64_t seconds = 0;
    bool given = false;

    if (node_u64(body, "expiresIn", &seconds, ret_err) < 0 ||
        node_time(body, "expiresAt", &given, ret_wall_ms, ret_err) < 0)
        return -1;
    if (given && *ret_wall_ms != 0 && *ret_wall_ms <= now)
        return err_set(ret_err, ERR_BAD_REQUEST, "'expiresAt' is in the past");
    if (seconds > 100ULL * 365 * 86400)
        return err_set(ret_err, ERR_BAD_REQUEST, "'expiresIn' is in seconds, up to 100 years");
    if (seconds > 0)
        *ret_wall_ms = now + (int64_t)seconds * 1000;
    return 0;
}

static int read_rate(const struct node *body, struct token_mint_input *input, struct err *ret_err)
{
    const struct node *rate = node_get(body, "rateLimit");

    if (rate == NULL)
        return 0;
    if (rate->type == TOKEN_INTEGER && rate->integer > 0) {
        input->rate_per_second = (uint64_t)rate->integer;
        return 0;
    }
    if (rate->type != TOKEN_OBJECT)
        return err_set(
            ret_err, ERR_BAD_REQUEST, "'rateLimit' must be {\"perSecond\":n,\"burst\":n}");
    if (node_u64(rate, "perSecond", &input->rate_per_second, ret_err) < 0 ||
        node_u64(rate, "burst", &input->rate_burst, ret_err) < 0)
        return -1;
    return 0;
}

static int read_mint(struct exchange *x, const struct node *body, struct token_mint_input *input,
    struct err *ret_err)
{
    if (node_string(body, "name", &input->name, ret_err) < 0 ||
        node_string(body, "role", &input->role, ret_err) < 0 ||
        node_string(body, "prefix", &input->prefix, ret_err) < 0 ||
        node_strings(
            body, "databases", &x->arena, &input->databases, &input->database_count, ret_err) < 0 ||
        node_strings(body, "branches", &x->arena, &input->branches, &input->branch_count, ret_err) <
            0 ||
        node_strings(body, "tables", &x->arena, &input->tables, &input->table_count, ret_err) < 0)
        return -1;
    if (input->table_count == 0 && node_strings(body, "tableScope", &x->arena, &input->tables,
                                       &input->table_count, ret_err) < 0)
        return -1;
    if (read_claims(x, body, &input->claims_json, ret_err) < 0 ||
        read_expiry(body, &input->expires_wall_ms, ret_err) < 0)
        return -1;
    return read_rate(body, input, ret_err);
}

void persql_token_mint(struct exchange *x, struct str tenant)
{
    const struct node *body = persql_body(x, false);
    struct catalogue_call *call = NULL;
    struct token_mint_input *input =
        body == NULL ? NULL : persql_call_with(x, on_minted, sizeof(*input), &call);
    struct err err = ERR_INIT;

    if (input == NULL)
        return;
    input->tenant = tenant;
    if (read_mint(x, body, input, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    catalogue_token_mint(call, input);
}

/* ---- list, revoke ---- */

static void on_listed(struct catalogue_call *call)
{
    const struct token_list *list = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    encoder_array(&e);
    for (size_t i = 0; i < list->count; i++)
        persql_write_token(&e, &list->items[i], str_make(NULL, 0), &x->arena);
    persql_finish_list(x, &e, list->next_cursor);
}

void persql_token_list(struct exchange *x, struct str tenant)
{
    persql_list(x, tenant, on_listed, catalogue_token_list);
}

static void on_revoked(struct catalogue_call *call)
{
    const struct token_info *token = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    encoder_object(&e);
    encoder_key(&e, "revoked");
    encoder_bool(&e, true);
    encoder_key(&e, "id");
    encoder_string(&e, token->id);
    encoder_key(&e, "name");
    encoder_string(&e, token->name);
    encoder_end(&e);
    persql_finish(x, &e);
}

void persql_token_revoke(struct exchange *x, struct str tenant, struct str id)
{
    struct catalogue_call *call = NULL;
    struct token_revoke_input *input = persql_call_with(x, on_revoked, sizeof(*input), &call);

    if (input == NULL)
        return;
    input->tenant = tenant;
    input->id = id;
    catalogue_token_revoke(call, input);
}

/* ---- the tenant's own routes; operators' are under /v1/admin/tokens ---- */

void persql_tokens_create(struct exchange *x)
{
    struct str tenant = persql_tenant(x);

    if (tenant.len > 0)
        persql_token_mint(x, tenant);
}

void persql_tokens_list(struct exchange *x)
{
    struct str tenant = persql_tenant(x);

    if (tenant.len > 0)
        persql_token_list(x, tenant);
}

void persql_tokens_revoke(struct exchange *x)
{
    struct str tenant = persql_tenant(x);

    if (tenant.len > 0)
        persql_token_revoke(x, tenant, persql_named(x));
}
