/* One run of rook: its global options, its connection, and calls to the server.
 *
 * Where the server and the token come from, first match:
 *   URL     --url, ROOKERY_URL, the profile, http://127.0.0.1:8080
 *   token   --token-file or --operator-file, ROOKERY_TOKEN, the profile
 * A profile's token goes only to that profile's own URL: naming another one by --url or
 * ROOKERY_URL leaves the profile's token at home.
 *
 * Functions that return int return 0, or the exit status after having reported the error. */
#ifndef SRC_ROOK_CLIENT_H
#define SRC_ROOK_CLIENT_H

#include "src/rook/http.h"
#include "src/rook/profile.h"
#include "src/rook/report.h"
#include "src/rook/show.h"

#define CLIENT_DEFAULT_URL "http://127.0.0.1:8080"
#define CLIENT_DEFAULT_TIMEOUT_S 120

struct client {
    struct arena arena; /* for what lives as long as the run */
    struct show show;
    bool quiet;

    /* Global options; NULL: not given. */
    const char *profile_name;
    const char *url;
    const char *tenant;
    const char *token_file;
    long timeout_s;

    /* Opened by the first call. */
    struct http *http;
    const char *opened_url;    /* arena */
    struct http_answer answer; /* the last one */
    int unreported_status;     /* a refusal with this HTTP status is the caller's to explain */
    json_t *me;                /* of GET /v1/me; NULL: not asked yet */
    const char *profile_tenant;
    bool tenant_header_sent;
};

/* What the server said. */
struct answer {
    json_t *root; /* owned: answer_fini() */
    const json_t *data;
    uint64_t elapsed_ns;
};

void client_init(struct client *client);
void client_fini(struct client *client);

/* The token said by --token-file or ROOKERY_TOKEN, or NULL. In the arena. */
int client_given_token(struct client *client, const char **ret_token) MUST_CHECK;
/* Talks to this server from now on; client_call() does it by itself otherwise. */
int client_open(struct client *client, const char *url, const char *token) MUST_CHECK;

/* Sends a request; takes `body` (NULL: none). `statements` (may be none) are shown with an error.
 * Fills `ret_answer` on success only. */
int client_call(struct client *client, const char *method, const char *path, json_t *body,
    const struct statement *statements, size_t count, struct answer *ret_answer) MUST_CHECK;
/* The same with a body that is not held. What came with status 200 and was written leaves
 * `ret_answer` (may be NULL then) as it is. */
int client_transfer(struct client *client, const char *method, const char *path,
    const struct http_transfer *transfer, struct answer *ret_answer) MUST_CHECK;
void answer_fini(struct answer *answer); /* zeroed is fine */

/* Who the token is: {namespaceSlug, role, …}, borrowed until client_fini(). */
int client_me(struct client *client, const json_t **ret_me) MUST_CHECK;
bool client_is_operator(const json_t *me);

/* A database as named on the command line: tenant/database[@branch], or database alone. */
struct target {
    const char *tenant; /* all in the arena */
    const char *database;
    const char *query_path; /* /v1/db/tenant/database/query */
    const char *batch_path;
};

/* For routes with the tenant in their path. */
int client_target(struct client *client, const char *name, struct target *ret_target) MUST_CHECK;

/* For the others (/v1/databases, /v1/tokens): finds the tenant that is meant (`named`, --tenant,
 * the profile's, the token's own), refuses one that is not the token's, and makes later requests
 * name it where the token is an operator's. */
int client_use_tenant(struct client *client, const char *named, const char **ret_tenant) MUST_CHECK;
/* Both: splits the name, then client_use_tenant(). */
int client_use_target(struct client *client, const char *name, struct target *ret_target)
    MUST_CHECK;

/* "…/a/b" with each of the (NULL-terminated) parts percent-encoded. In the arena. */
const char *client_path(struct client *client, const char *first, ...) __attribute__((sentinel));

#endif
