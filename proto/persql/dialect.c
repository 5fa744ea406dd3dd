/* The routes of PerSQL's surface. */
#include "proto/openapi.h"
#include "proto/persql/persql.h"

#define IN_DATABASE (NEEDS_PRINCIPAL | NEEDS_TENANT | NEEDS_DATABASE)
#define GET HTTP_METHOD_GET
#define POST HTTP_METHOD_POST
#define PUT HTTP_METHOD_PUT
#define PATCH HTTP_METHOD_PATCH
#define DELETE HTTP_METHOD_DELETE

static const struct route routes[] = {
    {"query", POST, "/v1/db/:tenant/:database/query", IN_DATABASE | NEEDS_BODY, CAP_READ,
        persql_query, "Runs one statement."},
    {"batch", POST, "/v1/db/:tenant/:database/batch", IN_DATABASE | NEEDS_BODY, CAP_READ,
        persql_batch, "Runs up to 100 statements, each for itself or all as one transaction."},
    {"tables", GET, "/v1/db/:tenant/:database/tables", IN_DATABASE, CAP_READ, persql_tables,
        "Tables with their row counts."},
    {"describe", GET, "/v1/db/:tenant/:database/describe", IN_DATABASE, CAP_READ, persql_describe,
        "Tables, columns, keys, indexes and descriptions; ?compact=1 as one text."},
    {"describe_put", PUT, "/v1/db/:tenant/:database/describe", IN_DATABASE | NEEDS_BODY, CAP_ADMIN,
        persql_describe_put, "Stores descriptions of the database, its tables and columns."},
    {"schema", GET, "/v1/db/:tenant/:database/schema", IN_DATABASE, CAP_READ, persql_schema,
        "The schema, with the SQL that made it."},
    {"explain", POST, "/v1/db/:tenant/:database/explain", IN_DATABASE | NEEDS_BODY, CAP_READ,
        persql_explain, "A statement's query plan; runs nothing."},
    {"validate", POST, "/v1/db/:tenant/:database/validate", IN_DATABASE | NEEDS_BODY, CAP_READ,
        persql_validate, "Whether a statement is valid here; runs nothing."},
    {"search", GET, "/v1/db/:tenant/:database/search", IN_DATABASE, CAP_READ, persql_search,
        "Tables and columns that have to do with ?q=."},
    {"doctor", GET, "/v1/db/:tenant/:database/doctor", IN_DATABASE, CAP_READ, persql_doctor,
        "What in the schema makes writing SQL hard."},
    {"export", GET, "/v1/db/:tenant/:database/export", IN_DATABASE, CAP_READ, persql_export,
        "The whole database as a file: ?format=sqlite (the default) or sql."},
    {"import", PUT, "/v1/db/:tenant/:database/import",
        NEEDS_PRINCIPAL | NEEDS_TENANT | STREAMS_BODY, CAP_ADMIN, persql_import,
        "Makes a new database from a SQLite file or from SQL text."},
    {"query_log", GET, "/v1/db/:tenant/:database/query_log", IN_DATABASE, CAP_READ,
        persql_query_log, "Not kept yet: answers 501."},
    {"query_log", GET, "/v1/db/:tenant/:database/query-log", IN_DATABASE, CAP_READ,
        persql_query_log, "The same as query_log."},
    {"database_delete", DELETE, "/v1/db/:tenant/:database", NEEDS_PRINCIPAL | NEEDS_TENANT,
        CAP_ADMIN, persql_database_delete, "The same as DELETE /v1/databases/:slug."},
    {"me", GET, "/v1/me", NEEDS_PRINCIPAL, 0, persql_me, "Whose token this is, and what it may."},
    {"me", GET, "/v1/whoami", NEEDS_PRINCIPAL, 0, persql_me, "The same as /v1/me."},
    {"databases_list", GET, "/v1/databases", NEEDS_PRINCIPAL, CAP_READ, persql_databases_list,
        "The tenant's databases, paged; ?deleted=1 those that can be restored."},
    {"databases_create", POST, "/v1/databases", NEEDS_PRINCIPAL | NEEDS_BODY, CAP_ADMIN,
        persql_databases_create, "Makes one database, or up to 10,000 at once."},
    {"database_get", GET, "/v1/databases/:slug", NEEDS_PRINCIPAL, CAP_READ, persql_database_get,
        "One database with settings and usage."},
    {"database_patch", PATCH, "/v1/databases/:slug", NEEDS_PRINCIPAL | NEEDS_BODY, CAP_ADMIN,
        persql_database_patch, "Renames a database, changes its settings."},
    {"database_delete", DELETE, "/v1/databases/:slug", NEEDS_PRINCIPAL, CAP_ADMIN,
        persql_database_delete, "Deletes a database; it can be restored during the grace period."},
    {"database_restore", POST, "/v1/databases/:slug/restore", NEEDS_PRINCIPAL, CAP_ADMIN,
        persql_database_restore, "Undoes a deletion in its grace period."},
    {"database_usage", GET, "/v1/databases/:slug/usage", NEEDS_PRINCIPAL, CAP_READ,
        persql_database_usage, "Size and use of a database."},
    {"tokens_create", POST, "/v1/tokens", NEEDS_PRINCIPAL | NEEDS_BODY, CAP_TOKENS,
        persql_tokens_create, "Mints a token of the tenant; the secret is shown once."},
    {"tokens_list", GET, "/v1/tokens", NEEDS_PRINCIPAL, CAP_TOKENS, persql_tokens_list,
        "The tenant's tokens, paged."},
    {"tokens_revoke", DELETE, "/v1/tokens/:id", NEEDS_PRINCIPAL, CAP_TOKENS, persql_tokens_revoke,
        "Revokes a token at once."},
    {"tokens_create", POST, "/api/namespaces/:tenant/tokens",
        NEEDS_PRINCIPAL | NEEDS_TENANT | NEEDS_BODY, CAP_TOKENS, persql_tokens_create,
        "Mints a token of the tenant; the secret is shown once."},
    {"tokens_list", GET, "/api/namespaces/:tenant/tokens", NEEDS_PRINCIPAL | NEEDS_TENANT,
        CAP_TOKENS, persql_tokens_list, "The tenant's tokens, paged."},
    {"tokens_revoke", DELETE, "/api/namespaces/:tenant/tokens/:id", NEEDS_PRINCIPAL | NEEDS_TENANT,
        CAP_TOKENS, persql_tokens_revoke, "Revokes a token at once."},
    {"openapi", GET, "/openapi.json", NEEDS_NOTHING, 0, openapi_handle, "This description."},
    {"openapi", GET, "/api/openapi.json", NEEDS_NOTHING, 0, openapi_handle, "The same."},
};

const struct dialect persql_dialect = {
    .name = "persql",
    .routes = routes,
    .route_count = ARRAY_LEN(routes),
    .credentials = persql_credentials,
    .error = persql_error,
};
