/* Writes that arrived together commit together.
 *
 *   BEGIN IMMEDIATE
 *     for each request:  SAVEPOINT r; its statements; deferred keys?; RELEASE r
 *                        failed:      ROLLBACK TO r; RELEASE r
 *   COMMIT, and only then the answers, through the gate
 *
 * A statement that SQLite fails has undone itself, or not: OR FAIL keeps the rows before the bad
 * one. Outside transactions that stays so, whether there are neighbours or not; what we end between
 * its rows is undone by its savepoint.
 *
 * Some errors take the whole transaction back, whatever the savepoints (a progress interrupt of a
 * write, FULL, OR ROLLBACK, RAISE(ROLLBACK), NOMEM, IOERR): seen by sqlite3_get_autocommit. Then
 * nobody in the group has been answered yet; the one that ran gets its error and the others run
 * again, each in its own transaction. Requests and marks are kept until COMMIT for that. */
#include <sqlite3.h>

#include "tenants/actor.h"
#include "tenants/base/clock.h"
#include "tenants/base/metrics.h"
#include "tenants/execute.h"

#define GROUP_NS (20 * NS_PER_MS) /* no member begins after so long */

static sqlite3 *db_of(const struct lane *lane)
{
    return connection_db(lane->connection);
}

static bool lost(const struct lane *lane)
{
    return sqlite3_get_autocommit(db_of(lane)) != 0;
}

static void forget(struct request *request)
{
    if (request->next_index == 0) /* else it goes on there: what is before it is committed */
        execute_rewind(request);
}

/* A fresh start on the shared connection: nothing of the neighbour shows. */
static void member_begin(struct lane *lane, struct request *request, unsigned flags) ON(actor_owner)
{
    request->sink_mark = request->sink == NULL ? 0 : request->sink->out.len;
    execute_begin(lane, request, flags);
}

/* One statement of a batch that is not a transaction: in a savepoint, with its own deferred keys.
 */
static enum run_result separate_statement(
    struct lane *lane, struct request *request, unsigned index, unsigned flags) ON(actor_owner)
{
    struct err err = ERR_INIT;
    enum run_result result;
    bool failed_itself;

    if (execute_verb(lane, VERB_SAVEPOINT_STATEMENT) != SQLITE_OK)
        return execute_error(lane, sqlite3_errcode(db_of(lane)), &request->err);
    result = execute_statement(lane, request, index, flags);
    if (lost(lane))
        return result;
    failed_itself = result == RUN_FAILED && !lane->cut_off;
    if (result == RUN_OK && execute_deferred_keys_violated(lane, &err)) {
        execute_report(request, index, &err);
        result = RUN_FAILED;
    }
    if (result != RUN_OK && !failed_itself)
        (void)execute_verb(lane, VERB_ROLLBACK_TO_STATEMENT);
    (void)execute_verb(lane, VERB_RELEASE_STATEMENT);
    return result;
}

static enum run_result member_statements(struct lane *lane, struct request *request, unsigned flags)
    ON(actor_owner)
{
    bool separate = request->mode != MODE_TRANSACTION && request->statement_count > 1;

    if (request->mode == MODE_SCRIPT)
        return script_beside_others(lane, request, 0, flags);
    for (unsigned i = 0; i < request->statement_count; i++) {
        enum run_result result = separate ? separate_statement(lane, request, i, flags)
                                          : execute_statement(lane, request, i, flags);

        if (result == RUN_OK ||
            (result == RUN_FAILED && request->mode == MODE_CONTINUE && !lost(lane)))
            continue;
        return result;
    }
    return request->err.code == ERR_NONE ? RUN_OK : RUN_FAILED;
}

/* Runs a request inside the open transaction. After it either the transaction is lost, or what the
 * request may keep is released and the rest undone. */
static enum run_result member_run(struct lane *lane, struct request *request, unsigned flags)
    ON(actor_owner)
{
    struct err err = ERR_INIT;
    enum run_result result;
    bool violated;
    bool keeps;

    if (execute_verb(lane, VERB_SAVEPOINT_REQUEST) != SQLITE_OK)
        return execute_error(lane, sqlite3_errcode(db_of(lane)), &request->err);
    member_begin(lane, request, flags);
    result = request->kind == REQUEST_PROCEDURE ? execute_procedure(lane, request)
                                                : member_statements(lane, request, flags);
    /* Before execute_end(): ending the request's defer_foreign_keys clears SQLite's count. */
    violated = result == RUN_OK && !lost(lane) && execute_deferred_keys_violated(lane, &err);
    execute_end(lane);
    if (lost(lane))
        return result;
    if (violated) {
        forget(request);
        execute_report(
            request, request->statement_count == 0 ? 0 : request->statement_count - 1, &err);
        result = RUN_FAILED;
        (void)execute_verb(lane, VERB_ROLLBACK_TO_REQUEST);
    }
    /* A batch that is not a transaction keeps what succeeded before the failure. */
    keeps =
        result == RUN_OK ||
        (result == RUN_FAILED && !violated && request->kind == REQUEST_STATEMENTS &&
            request->mode != MODE_TRANSACTION && (request->statement_count > 1 || !lane->cut_off));
    if (!keeps)
        (void)execute_verb(lane, VERB_ROLLBACK_TO_REQUEST);
    (void)execute_verb(lane, VERB_RELEASE_REQUEST);
    return result;
}

/* One statement, its own transaction. */
static enum run_result single_run(struct lane *lane, struct request *request, unsigned flags)
    ON(actor_owner)
{
    enum run_result result;

    member_begin(lane, request, flags);
    result = execute_statement(lane, request, 0, flags);
    execute_end(lane);
    return result;
}

/* Each statement its own transaction: for statements that must run alone, and for a batch whose
 * transaction was taken back whole by one of them. Not under the short budget: what is committed
 * cannot start again on a slow worker, so it starts there. */
static enum run_result each_run(struct lane *lane, struct request *request, unsigned flags)
    ON(actor_owner)
{
    enum run_result result = RUN_OK;

    if ((flags & RUN_SHORT) != 0)
        return RUN_OUTGREW;
    member_begin(lane, request, flags);
    /* What is before next_index is committed. RUN_BUSY: the rest waits for the lock. */
    for (; request->next_index < request->statement_count; request->next_index++) {
        if (request->next_index > 0 && !lane_may_write(lane)) {
            result = RUN_BUSY;
            break;
        }
        result = execute_statement(lane, request, request->next_index, flags);
        if (result != RUN_OK && !(result == RUN_FAILED && request->mode == MODE_CONTINUE))
            break;
    }
    execute_end(lane);
    if (result == RUN_OK && request->err.code != ERR_NONE)
        result = RUN_FAILED;
    return result;
}

/* COMMIT failed: undone when SQLite says so; after an I/O error nobody knows. */
static void commit_failed(struct lane *lane, int rc, struct err *ret_err) ON(actor_owner)
{
    (void)execute_error(lane, rc, ret_err);
    if (!lost(lane))
        (void)execute_verb(lane, VERB_ROLLBACK);
    execute_judge_commit(lane, rc, ret_err);
}

/* A transaction with this request alone. */
static enum run_result transaction_run(struct lane *lane, struct request *request, unsigned flags)
    ON(actor_owner)
{
    struct err err = ERR_INIT;
    enum run_result result;
    int rc = execute_verb(lane, VERB_BEGIN_IMMEDIATE);

    if (rc != SQLITE_OK) {
        result = execute_error(lane, rc, &err);
        if (result == RUN_FAILED)
            err_copy(&request->err, &err);
        return result;
    }
    result = member_run(lane, request, flags);
    if (lost(lane)) {
        request->lost_group = result == RUN_FAILED;
        return result;
    }
    rc = execute_verb(lane, VERB_COMMIT);
    if (rc == SQLITE_OK)
        return result;
    commit_failed(lane, rc, &err);
    forget(request);
    err_copy(&request->err, &err);
    return RUN_FAILED;
}

/* One request by itself, in the way its kind asks for. */
static enum run_result alone_run(struct lane *lane, struct request *request, unsigned flags)
    ON(actor_owner)
{
    bool transaction = request->kind == REQUEST_PROCEDURE || request->statement_count > 1 ||
                       request->mode == MODE_TRANSACTION;
    bool separable =
        transaction && request->kind == REQUEST_STATEMENTS && request->mode != MODE_TRANSACTION;
    enum run_result result;

    if (request->kind == REQUEST_FAMILY)
        return family_call_run(lane, request);
    if (request->mode == MODE_SCRIPT)
        return script_alone(lane, request, flags);
    if (separable && (request->lost_group || request->next_index > 0))
        return each_run(lane, request, flags);
    result = transaction ? transaction_run(lane, request, flags | RUN_IN_GROUP)
                         : single_run(lane, request, flags);
    if (separable && (result == RUN_ALONE || request->lost_group)) {
        forget(request);
        result = each_run(lane, request, flags);
    }
    return result;
}

/* Parks the lane with these requests; true: it is somebody else's now. */
static bool wait_for_lock(struct lane *lane, struct list *requests, uint64_t unlocks)
{
    LIST_FOREACH(item, requests)
    {
        forget(LIST_ENTRY(item, struct request, link));
    }
    actor_put_back(lane, requests);
    return lane_park(lane, unlocks);
}

/* Answers, or sends to the slow worker. RUN_BUSY is the caller's. */
static void conclude(struct lane *lane, struct request *request, enum run_result result)
{
    switch (result) {
    case RUN_OUTGREW:
        forget(request);
        lane_reroute(lane, request, ROUTE_SLOW_WRITE);
        break;
    case RUN_NEEDS_READER:
        forget(request);
        lane_reroute(lane, request, ROUTE_READ);
        break;
    case RUN_BUSY:
    case RUN_ALONE:
    case RUN_WOULD_BLOCK:
        (void)err_set(&request->err, ERR_BUSY, "the database is busy; try again");
        request_finish(lane->actor, request);
        break;
    default:
        request_finish(lane->actor, request);
        break;
    }
}

/* Runs requests one by one. False: parked with those that are left. */
static bool run_each_alone(struct lane *lane, struct list *requests, unsigned flags) ON(actor_owner)
{
    while (!list_empty(requests)) {
        struct request *request = LIST_FIRST(requests, struct request, link);
        uint64_t unlocks = atomic_load(&lane->actor->open->unlocks);
        enum run_result result;

        if (atomic_load_explicit(&request->cancelled, memory_order_relaxed)) {
            list_remove(&request->link);
            request_refuse(request, ERR_CANCELLED, "the request was cancelled");
            continue;
        }
        result = lane_may_write(lane) ? alone_run(lane, request, flags) : RUN_BUSY;
        if (result == RUN_BUSY) {
            if (wait_for_lock(lane, requests, unlocks))
                return false;
            return true; /* back in the inbox: the next turn takes them */
        }
        list_remove(&request->link);
        conclude(lane, request, result);
        if (!list_empty(requests))
            gate_request_sync(&lane->actor->open->gate); /* it shall not wait for the others */
    }
    return true;
}

bool group_run_slow(struct lane *lane, struct request *request)
{
    struct list one;

    list_init(&one);
    list_append(&one, &request->link);
    return run_each_alone(lane, &one, 0);
}

struct group {
    struct list done;  /* ran; answered after COMMIT */
    struct list again; /* run alone when the group is over */
    struct list later; /* for the slow worker, or a reader: request->route says */
};

/* The transaction was taken back: all but the culprit start again. */
static void group_lost(
    struct group *group, struct list *requests, struct request *culprit, enum run_result result)
{
    metric_add(METRIC_GROUPS_LOST, 1);
    list_splice(&group->done, requests);
    list_splice(requests, &group->done);
    LIST_FOREACH(item, requests)
    {
        forget(LIST_ENTRY(item, struct request, link));
    }
    list_splice(&group->again, requests);
    if (result == RUN_OUTGREW) {
        forget(culprit);
        culprit->route = ROUTE_SLOW_WRITE;
        list_append(&group->later, &culprit->link);
    } else if (culprit->kind == REQUEST_STATEMENTS && culprit->mode != MODE_TRANSACTION &&
               culprit->statement_count > 1) {
        forget(culprit); /* what came before its failure must stay: each by itself */
        culprit->lost_group = true;
        list_append(&group->again, &culprit->link);
    } else {
        list_append(&group->done, &culprit->link);
    }
}

/* Runs the members. False: the transaction is gone, and COMMIT must not come. */
static bool group_members(struct lane *lane, struct list *requests, struct group *group)
    ON(actor_owner)
{
    uint64_t until = clock_now_ns() + GROUP_NS;

    while (!list_empty(requests)) {
        struct request *request = LIST_FIRST(requests, struct request, link);
        enum run_result result;

        if (clock_now_ns() > until) {
            actor_put_back(
                lane, requests); /* the others' turn; the rest commits in the next group */
            break;
        }
        list_remove(&request->link);
        if (atomic_load_explicit(&request->cancelled, memory_order_relaxed)) {
            (void)err_set(&request->err, ERR_CANCELLED, "the request was cancelled");
            list_append(&group->done, &request->link);
            continue;
        }
        result = member_run(lane, request, RUN_IN_GROUP | RUN_SHORT);
        if (lost(lane)) {
            group_lost(group, requests, request, result);
            return false;
        }
        if (result == RUN_OUTGREW || result == RUN_NEEDS_READER) {
            request->route = result == RUN_OUTGREW ? ROUTE_SLOW_WRITE : ROUTE_READ;
            list_append(&group->later, &request->link);
        } else if (result == RUN_OK || result == RUN_FAILED) {
            list_append(&group->done, &request->link);
        } else {
            list_append(&group->again, &request->link);
        }
        if (result != RUN_OK && result != RUN_FAILED)
            forget(request);
    }
    return true;
}

static void group_commit(struct lane *lane, struct group *group) ON(actor_owner)
{
    struct err err = ERR_INIT;
    int rc = execute_verb(lane, VERB_COMMIT);

    if (rc == SQLITE_OK)
        return;
    commit_failed(lane, rc, &err);
    LIST_FOREACH(item, &group->done)
    {
        struct request *request = LIST_ENTRY(item, struct request, link);

        forget(request);
        if (err.code == ERR_OUTCOME_UNKNOWN)
            err_copy(&request->err, &err);
    }
    if (err.code == ERR_OUTCOME_UNKNOWN)
        return;
    metric_add(METRIC_GROUPS_LOST, 1);
    list_splice(&group->done, &group->again);
    list_splice(&group->again, &group->done); /* smaller ones may fit; each finds out alone */
}

bool group_run(struct lane *lane, struct list *requests)
{
    uint64_t unlocks = atomic_load(&lane->actor->open->unlocks);
    struct group group;
    struct err err = ERR_INIT;
    int rc;

    if (requests->next->next == requests) {
        metric_observe(METRIC_GROUP_REQUESTS, 1);
        return run_each_alone(lane, requests, RUN_SHORT);
    }
    metric_observe(METRIC_GROUP_REQUESTS, list_length(requests));
    list_init(&group.done);
    list_init(&group.again);
    list_init(&group.later);
    if (!lane_may_write(lane))
        return !wait_for_lock(lane, requests, unlocks);
    rc = execute_verb(lane, VERB_BEGIN_IMMEDIATE);
    if (rc != SQLITE_OK) {
        if (execute_error(lane, rc, &err) == RUN_BUSY)
            return !wait_for_lock(lane, requests, unlocks);
        return run_each_alone(lane, requests, RUN_SHORT); /* each gets its own error */
    }
    if (group_members(lane, requests, &group))
        group_commit(lane, &group);
    LIST_FOREACH_SAFE(item, next, &group.done)
    {
        list_remove(item);
        request_finish(lane->actor, LIST_ENTRY(item, struct request, link));
    }
    LIST_FOREACH_SAFE(item, next, &group.later)
    {
        struct request *request = LIST_ENTRY(item, struct request, link);

        list_remove(item);
        lane_reroute(lane, request, (enum request_route)request->route);
    }
    return run_each_alone(lane, &group.again, RUN_SHORT);
}
