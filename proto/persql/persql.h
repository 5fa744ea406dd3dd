/* The PerSQL dialect, which is also our own surface: shared by its files and by proto/admin/.
 *
 *     {"success":true,"data":...,"meta":{...}}
 *     {"success":false,"error":"...","code":"...","requestId":"...","errorDetail":{...}}
 *
 * Handlers answer with persql_begin(), the data, persql_finish(); failures with exchange_fail(). */
#ifndef PROTO_PERSQL_PERSQL_H
#define PROTO_PERSQL_PERSQL_H

#include "proto/encoder.h"
#include "proto/exchange.h"
#include "tenants/branches.h"
#include "tenants/sql_error.h"

extern const struct dialect persql_dialect;

/* ---- errors.c ---- */

struct str persql_credentials(struct exchange *x);
void persql_error(struct exchange *x, const struct err *err);
/* The members of an error: error, code, budget?, errorDetail? (for statements: `sql` has a text).
 */
void persql_error_members(
    struct encoder *encoder, struct arena *arena, const struct err *err, struct str sql);
/* errorDetail's value. */
void persql_error_detail(struct encoder *encoder, const struct sql_error *detail);
/* True for what is wrong with the statement, as opposed to with the server at this moment. */
bool persql_is_verdict(const struct err *err);
/* True for errors about a statement (verdicts and how it fared), which get an errorDetail. */
bool persql_is_statement_error(const struct err *err);

/* ---- answers (answer.c) ---- */

/* JSON or MessagePack, as the client asked. */
enum body_format persql_format(const struct exchange *x);
const char *persql_content_type(enum body_format format);
/* Opens {"data": — the handler writes one value, then perhaps other members, then finishes. */
void persql_begin(struct exchange *x, struct encoder *encoder);
/* ,"success":true} and off it goes; ERR_RESULT_TOO_LARGE when it did not fit. */
void persql_finish(struct exchange *x, struct encoder *encoder);
/* Fails with code and message. */
void persql_fail(struct exchange *x, enum err_code code, const char *format, ...) PRINTF_LIKE(3, 4);
/* Zeroed memory in x's arena; an array's `count * size` is refused on overflow. NULL: answered. */
void *persql_zalloc(struct exchange *x, size_t size) MUST_CHECK;
void *persql_array(struct exchange *x, size_t count, size_t size) MUST_CHECK;
/* The body as a tree; answers the error itself and returns NULL. */
const struct node *persql_body(struct exchange *x, bool empty_ok);
/* A catalogue call on behalf of x, in its arena; `done` gets it with owner x. NULL: answered. */
struct catalogue_call *persql_call(struct exchange *x, void (*done)(struct catalogue_call *call))
    MUST_CHECK;
/* The same, and the call's input, zeroed, in the arena. NULL: answered. */
void *persql_call_with(struct exchange *x, void (*done)(struct catalogue_call *call),
    size_t input_size, struct catalogue_call **ret_call) MUST_CHECK;
/* Of every `done`: the exchange, its answer begun. NULL: the call failed and x was answered, so
 * that the call, which is in x's arena, may be gone: take its output before. */
struct exchange *persql_called(struct catalogue_call *call, struct encoder *encoder) MUST_CHECK;
/* Ends the array of a list's items, after persql_called() and encoder_array(), and the answer. */
void persql_finish_list(struct exchange *x, struct encoder *encoder, struct str next_cursor);
/* Whose tenant the request is about; an operator's token has to name it. Empty: answered. */
struct str persql_tenant(struct exchange *x) MUST_CHECK;
/* The route's parameter behind that of its tenant, if it has one: a slug or an id. */
struct str persql_named(const struct exchange *x);
/* Starts a list of the tenant's (empty: of no tenant's), of the page that the query string names:
 * pageSize and cursor (snake_case too), deleted. */
void persql_list(struct exchange *x, struct str tenant, void (*done)(struct catalogue_call *call),
    void (*start)(struct catalogue_call *call, const struct list_input *input));
/* The same of what belongs to the route's database: its branches, its snapshots. */
void persql_list_parts(struct exchange *x, void (*done)(struct catalogue_call *call),
    void (*start)(struct catalogue_call *call, const struct branch_list_input *input));
bool persql_query_flag(struct exchange *x, const char *name);

/* Runs a procedure of the engine for x: `run` gets `state`, which is also x->state in `done`. */
void persql_run_procedure(struct exchange *x, enum request_kind kind, procedure_fn run, void *state,
    void (*done)(struct request *request)) ON(loop_thread);

/* ---- statements.c ---- */

/* One statement of a body: {"sql": ..., "params": ...} behind its brace, up to and with the closing
 * one. Other members are passed over. */
int persql_read_statement(struct document *document, struct statement_input *ret_statement,
    struct err *ret_err) MUST_CHECK;
/* The body of query, explain and validate into x->request. False: answered. */
bool persql_read_single(struct exchange *x) MUST_CHECK;
/* Runs x->request's one statement and answers as query does. The first `prefix_len` bytes of its
 * text are ours: errors are told without them. */
void persql_run_query(struct exchange *x, size_t prefix_len) ON(loop_thread);
void persql_unprefix(struct exchange *x, size_t prefix_len);

/* ---- shapes shared by the tenant's and the operator's routes ---- */

void persql_write_token(struct encoder *encoder, const struct token_info *token, struct str secret,
    struct arena *arena);
/* "databases", "branches" and "tableScope": what it is limited to, null where it is not. */
void persql_write_token_limits(struct encoder *encoder, const struct token_info *token);
/* A database, or its members. */
void persql_write_database(
    struct exchange *x, struct encoder *encoder, const struct database_info *database);
void persql_write_database_members(
    struct exchange *x, struct encoder *encoder, const struct database_info *database);
void persql_write_usage(struct encoder *encoder, const struct usage_totals *usage);
void persql_write_snapshot(struct encoder *encoder, const struct snapshot_info *snapshot);
void persql_write_swapped(
    struct exchange *x, struct encoder *encoder, const struct branch_swapped *swapped);
/* Mint and list for `tenant`, whose slug may differ from the token's. */
void persql_token_mint(struct exchange *x, struct str tenant);
void persql_token_list(struct exchange *x, struct str tenant);
void persql_token_revoke(struct exchange *x, struct str tenant, struct str id);
/* "deletedAt" and "restorableUntil", when it is deleted. */
void persql_write_deletion(
    struct encoder *encoder, int64_t deleted_wall_ms, int64_t restorable_until_wall_ms);
/* What deleting a tenant or database answers, and the end of the answer. */
void persql_finish_deleted(struct exchange *x, struct encoder *encoder, struct str id,
    struct str slug, int64_t restorable_until_wall_ms);
void persql_write_database(
    struct exchange *x, struct encoder *encoder, const struct database_info *database);
/* Settings named in the body, or in its "settings", where an unknown one is refused. `others`,
 * NULL-terminated: the body's members that are no settings, any further one is refused too; NULL:
 * the body may hold what it likes. -1: answered. */
int persql_read_settings(struct exchange *x, const struct node *body, enum setting_scope scope,
    const char *const *others, const struct setting_change **ret_changes, size_t *ret_count)
    MUST_CHECK;
/* {"durability":"full",...} */
void persql_write_settings(struct encoder *encoder, enum setting_scope scope, const void *values);

/* ---- handlers ---- */

void persql_query(struct exchange *x) ON(loop_thread);
void persql_batch(struct exchange *x) ON(loop_thread);
void persql_explain(struct exchange *x) ON(loop_thread);
void persql_validate(struct exchange *x) ON(loop_thread);
void persql_tables(struct exchange *x) ON(loop_thread);
void persql_schema(struct exchange *x) ON(loop_thread);
void persql_describe(struct exchange *x) ON(loop_thread);
void persql_describe_put(struct exchange *x) ON(loop_thread);
void persql_search(struct exchange *x) ON(loop_thread);
void persql_doctor(struct exchange *x) ON(loop_thread);
void persql_import(struct exchange *x) ON(loop_thread);
void persql_export(struct exchange *x) ON(loop_thread);
void persql_query_log(struct exchange *x) ON(loop_thread);
void persql_me(struct exchange *x) ON(loop_thread);
void persql_databases_list(struct exchange *x) ON(loop_thread);
void persql_databases_create(struct exchange *x) ON(loop_thread);
void persql_database_get(struct exchange *x) ON(loop_thread);
void persql_database_patch(struct exchange *x) ON(loop_thread);
void persql_database_delete(struct exchange *x) ON(loop_thread);
void persql_database_restore(struct exchange *x) ON(loop_thread);
void persql_database_usage(struct exchange *x) ON(loop_thread);
void persql_branches_list(struct exchange *x) ON(loop_thread);
void persql_branch_put(struct exchange *x) ON(loop_thread);
void persql_branch_get(struct exchange *x) ON(loop_thread);
void persql_branch_patch(struct exchange *x) ON(loop_thread);
void persql_branch_delete(struct exchange *x) ON(loop_thread);
void persql_branch_claim(struct exchange *x) ON(loop_thread);
void persql_branch_promote(struct exchange *x) ON(loop_thread);
void persql_branch_usage(struct exchange *x) ON(loop_thread);
void persql_snapshots_list(struct exchange *x) ON(loop_thread);
void persql_snapshot_create(struct exchange *x) ON(loop_thread);
void persql_snapshot_restore(struct exchange *x) ON(loop_thread);
void persql_snapshot_delete(struct exchange *x) ON(loop_thread);
void persql_tokens_create(struct exchange *x) ON(loop_thread);
void persql_tokens_list(struct exchange *x) ON(loop_thread);
void persql_tokens_revoke(struct exchange *x) ON(loop_thread);

#endif
