/* Whose token it is. */
#include "proto/persql/persql.h"

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
    persql_write_token_limits(&e, &who->token);
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
