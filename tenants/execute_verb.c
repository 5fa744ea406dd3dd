/* Transaction verbs on a lane, and the keys that a COMMIT would trip over. */
#include "tenants/execute.h"

#include <sqlite3.h>

int execute_verb(struct lane *lane, enum verb verb)
{
    static const char *const texts[VERB_COUNT] = {
        [VERB_BEGIN] = "BEGIN",
        [VERB_BEGIN_IMMEDIATE] = "BEGIN IMMEDIATE",
        [VERB_COMMIT] = "COMMIT",
        [VERB_ROLLBACK] = "ROLLBACK",
        [VERB_SAVEPOINT_REQUEST] = "SAVEPOINT _rookery_r",
        [VERB_RELEASE_REQUEST] = "RELEASE _rookery_r",
        [VERB_ROLLBACK_TO_REQUEST] = "ROLLBACK TO _rookery_r",
        [VERB_SAVEPOINT_STATEMENT] = "SAVEPOINT _rookery_s",
        [VERB_RELEASE_STATEMENT] = "RELEASE _rookery_s",
        [VERB_ROLLBACK_TO_STATEMENT] = "ROLLBACK TO _rookery_s",
        [VERB_READ_SCHEMA] = "SELECT 1 FROM sqlite_schema WHERE 0",
    };
    static const struct connection_context engine = {.engine = true};
    struct request *running = lane->running;
    struct connection_context back = {
        .principal = running == NULL ? NULL : running->principal,
        .stateless = lane->kind != LANE_STREAM,
        .engine = running != NULL && running->principal == NULL,
        .read_only = running != NULL && execute_is_read_only(running),
        .fresh = running != NULL && running->describe,
        .shadows = running != NULL && running->reads_shadows,
    };
    int rc = SQLITE_OK;

    connection_set_context(lane->connection, &engine);
    lane->running = NULL; /* verbs are not interrupted */
    if (lane->verbs[verb] == NULL)
        rc = sqlite3_prepare_v3(connection_db(lane->connection), texts[verb], -1,
            SQLITE_PREPARE_PERSISTENT, &lane->verbs[verb], NULL);
    if (rc == SQLITE_OK) {
        if (verb == VERB_COMMIT)
            vfs_commit_section(true);
        rc = sqlite3_step(lane->verbs[verb]);
        if (verb == VERB_COMMIT)
            vfs_commit_section(false);
        if (rc == SQLITE_DONE)
            rc = SQLITE_OK;
        (void)sqlite3_reset(lane->verbs[verb]);
    }
    lane->running = running;
    connection_set_context(lane->connection, &back);
    return rc;
}

bool execute_deferred_keys_violated(struct lane *lane, struct err *ret_err)
{
    int current = 0;
    int high = 0;

    (void)sqlite3_db_status(
        connection_db(lane->connection), SQLITE_DBSTATUS_DEFERRED_FKS, &current, &high, 0);
    if (current == 0)
        return false;
    (void)err_set(ret_err, ERR_SQL, "FOREIGN KEY constraint failed");
    ret_err->native = SQLITE_CONSTRAINT_FOREIGNKEY;
    return true;
}
