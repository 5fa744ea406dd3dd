/* The handlers that command_table.c names. Each returns the exit status, errors reported. */
#ifndef SRC_ROOK_COMMANDS_H
#define SRC_ROOK_COMMANDS_H

#include "src/rook/client.h"
#include "src/rook/command.h"

int cmd_login(struct client *client, const struct args *args);
int cmd_logout(struct client *client, const struct args *args);
int cmd_me(struct client *client, const struct args *args);
int cmd_profile_list(struct client *client, const struct args *args);
int cmd_profile_use(struct client *client, const struct args *args);

int cmd_db_list(struct client *client, const struct args *args);
int cmd_db_create(struct client *client, const struct args *args);
int cmd_db_show(struct client *client, const struct args *args);
int cmd_db_set(struct client *client, const struct args *args);
int cmd_db_rename(struct client *client, const struct args *args);
int cmd_db_delete(struct client *client, const struct args *args);
int cmd_db_restore(struct client *client, const struct args *args);
int cmd_db_import(struct client *client, const struct args *args);
int cmd_db_export(struct client *client, const struct args *args);
int cmd_db_shell(struct client *client, const struct args *args);
int cmd_query(struct client *client, const struct args *args);
int cmd_stats(struct client *client, const struct args *args);

int cmd_branch_list(struct client *client, const struct args *args);
int cmd_branch_create(struct client *client, const struct args *args);
int cmd_branch_promote(struct client *client, const struct args *args);
int cmd_branch_delete(struct client *client, const struct args *args);
int cmd_snapshot_list(struct client *client, const struct args *args);
int cmd_snapshot_create(struct client *client, const struct args *args);
int cmd_snapshot_restore(struct client *client, const struct args *args);
int cmd_snapshot_delete(struct client *client, const struct args *args);

int cmd_token_list(struct client *client, const struct args *args);
int cmd_token_create(struct client *client, const struct args *args);
int cmd_token_revoke(struct client *client, const struct args *args);

int cmd_tenant_list(struct client *client, const struct args *args);
int cmd_tenant_create(struct client *client, const struct args *args);
int cmd_tenant_show(struct client *client, const struct args *args);
int cmd_tenant_set(struct client *client, const struct args *args);
int cmd_tenant_delete(struct client *client, const struct args *args);
int cmd_tenant_restore(struct client *client, const struct args *args);

int cmd_help(struct client *client, const struct args *args);

/* What several of them need: */

/* Asks "… Type NAME to go on: " on the terminal, unless --yes was given. Without a terminal the
 * answer is no. */
int confirm(const struct args *args, const char *question, const char *name) MUST_CHECK;

/* Adds KEY=VALUE to `object`: a VALUE that is JSON (number, true, false, null) is that, all else is
 * text. Reports what is not of that form. */
int add_setting(json_t *object, const char *setting) MUST_CHECK;

/* GETs every page of a list (or as many as `limit` entries need; 0: all) into one array, which the
 * caller owns. `path` may have a query. */
int fetch_list(struct client *client, const char *path, int64_t limit, json_t **ret_list)
    MUST_CHECK;

/* "90", "90s", "15m", "12h", "30d" -> seconds. -1 when it is none of these. */
int parse_duration(const char *text, int64_t *ret_seconds) MUST_CHECK;

#endif
