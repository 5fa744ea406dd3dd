/* Whose token it is. */
#include "proto/persql/persql.h"

static void write_globs(struct encoder *e, const char *key, const struct str *globs, size_t count)
{
    encoder_key(e, key);
    if (count == 0) {
        encoder_null(e);
        return;
    }
    encoder_array(e);
    for (size_t i = 0; i < count; i++)
        encoder_string(e, globs[i]);
    encoder_end(e);
}

static void on_me(struct catalogue_call *call)
{
    const struct whoami *who = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    encoder_object(&e);
    encoder_key(&e, "namespaceSlug");
    encoder_string_or_null(&e, who->tenant_slug.len > 0 ? who->tenant_slug : str_make(NULL, 0));
    encoder_key(&e, "namespaceId");
    encoder_string_or_null(&e, who->tenant_id);
    encoder_key(&e, "namespaceName");
    encoder_string_or_null(&e, who->tenant_name.len > 0 ? who->tenant_name : str_make(NULL, 0));
    encoder_key(&e, "role");
    encoder_string(&e, who->token.role);
    encoder_key(&e, "tokenId");
    encoder_string(&e, who->token.id);
    encoder_key(&e, "tokenName");
    encoder_string(&e, who->token.name);
    write_globs(&e, "databases", who->token.databases, who->token.database_count);
    write_globs(&e, "branches", who->token.branches, who->token.branch_count);
    write_globs(&e, "tableScope", who->token.tables, who->token.table_count);
    encoder_key(&e, "expiresAt");
    encoder_time(&e, who->token.expires_wall_ms);
    encoder_end(&e);
    persql_finish(x, &e);
}

void persql_me(struct exchange *x)
{
    struct catalogue_call *call = persql_call(x, on_me);

    if (call != NULL)
        catalogue_whoami(call);
}
