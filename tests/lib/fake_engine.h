/* An engine for tests of what stands on it: one SQLite database in memory, every request run at
 * once by who submits it, in a transaction of its own. Define nothing; include it once per program.
 */
#ifndef TESTS_LIB_FAKE_ENGINE_H
#define TESTS_LIB_FAKE_ENGINE_H

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "tenants/base/random.h"
#include "tenants/catalogue_internal.h"
#include "tenants/engine.h"
#include "tenants/family.h"
#include "tenants/family_call.h"

static struct {
    sqlite3 *db;
    unsigned submitted;
    unsigned closed;    /* databases closed */
    unsigned removed;   /* families removed */
    unsigned fail_next; /* so many requests are refused */
    unsigned run_twice; /* so many procedures are run, undone, and run again */
    unsigned changed;   /* engine_change_settings() */
    bool hold_closes;   /* engine_close_database() answers at fake_release_closes() */
    bool hold_requests; /* requests run at fake_run_held() */
    unsigned held_requests;
    struct request *requests[64];
    unsigned held;
    struct {
        void (*done)(void *argument);
        void *argument;
    } closes[512];
    void (*before_done)(void); /* called once, between commit and done */
} fake;

static void fake_open(void)
{
    if (sqlite3_open(":memory:", &fake.db) != SQLITE_OK)
        abort();
}

static void fake_close(void)
{
    if (sqlite3_close(fake.db) != SQLITE_OK)
        abort();
    memset(&fake, 0, sizeof(fake));
}

static void fake_exec(const char *sql)
{
    char *message = NULL;

    if (sqlite3_exec(fake.db, sql, NULL, NULL, &message) != SQLITE_OK) {
        (void)fprintf(stderr, "%s: %s\n", sql, message);
        abort();
    }
}

__attribute__((unused)) static int64_t fake_int(const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t value;

    if (sqlite3_prepare_v2(fake.db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        abort();
    value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return value;
}

void engine_submit(struct engine *engine, struct database *database, struct request *request)
{
    (void)engine;
    (void)database;
    if (fake.hold_requests) {
        if (fake.held_requests == sizeof(fake.requests) / sizeof(fake.requests[0]))
            abort();
        fake.requests[fake.held_requests++] = request;
        return;
    }
    fake.submitted++;
    request->err = ERR_INIT;
    if (fake.fail_next > 0) {
        fake.fail_next--;
        (void)err_set(&request->err, ERR_OVERLOADED, "too much to do");
        request->done(request);
        return;
    }
    if (fake.run_twice > 0) {
        fake.run_twice--;
        fake_exec("BEGIN");
        (void)request->procedure(fake.db, request->procedure_argument, &request->err);
        fake_exec("ROLLBACK");
        request->err = ERR_INIT;
    }
    fake_exec("BEGIN");
    if (request->procedure(fake.db, request->procedure_argument, &request->err) == 0)
        fake_exec("COMMIT");
    else
        fake_exec("ROLLBACK");
    if (fake.before_done != NULL) {
        void (*hook)(void) = fake.before_done;

        fake.before_done = NULL;
        hook();
    }
    request->done(request);
}

/* Runs what was held until now, in order; what is submitted meanwhile runs at once. */
__attribute__((unused)) static void fake_run_held(void)
{
    unsigned count = fake.held_requests;
    struct request *requests[64];

    memcpy(requests, fake.requests, sizeof(requests));
    fake.held_requests = 0;
    fake.hold_requests = false;
    for (unsigned i = 0; i < count; i++)
        engine_submit(NULL, NULL, requests[i]);
}

void engine_on_live(struct engine *engine, database_live_fn live, void *catalogue)
{
    (void)engine;
    (void)live;
    (void)catalogue;
}

void engine_change_settings(struct engine *engine, struct database *database)
{
    (void)engine;
    (void)database;
    fake.changed++;
}

void engine_family_call(struct engine *engine, struct family_call *call)
{
    (void)engine;
    call->err = ERR_INIT;
    call->done(call);
}

/* There are no families to look at. */
int catalogue_repair(struct catalogue *catalogue, struct err *ret_err)
{
    (void)catalogue;
    (void)ret_err;
    return 0;
}

void engine_close_database(
    struct engine *engine, struct database *database, void (*done)(void *), void *argument)
{
    (void)engine;
    (void)database;
    fake.closed++;
    if (!fake.hold_closes) {
        done(argument);
        return;
    }
    if (fake.held == sizeof(fake.closes) / sizeof(fake.closes[0]))
        abort();
    fake.closes[fake.held].done = done;
    fake.closes[fake.held++].argument = argument;
}

__attribute__((unused)) static void fake_release_closes(void)
{
    fake.hold_closes = false;
    while (fake.held > 0) {
        fake.held--;
        fake.closes[fake.held].done(fake.closes[fake.held].argument);
    }
}

__attribute__((weak)) void family_new_id(char out[ID_HEX_BYTES])
{
    unsigned char bytes[16];

    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(out + i * 2, 3, "%02x", bytes[i]);
}

int family_stage_clean(const char *data_dir,
    bool (*is_wanted)(void *context, const char *family_id), void *context, struct err *ret_err)
{
    return 0;
}

int family_remove(const char *data_dir, const char *family_id, struct err *ret_err)
{
    (void)data_dir;
    (void)family_id;
    fake.removed++;
    return err_set(ret_err, ERR_NOT_FOUND, "no folder");
}

#endif
