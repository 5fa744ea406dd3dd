/* A guarded connection on a file of its own, for tests of what SQL may do. */
#ifndef TESTS_LIB_GUARDED_H
#define TESTS_LIB_GUARDED_H

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tenants/base/check.h"
#include "tenants/connection.h"

struct guarded {
    char path[64];
    struct connection *connection;
    struct connection_context context;
};

static inline void guarded_open(struct guarded *guarded, const struct connection_options *extra)
{
    struct connection_options options = {.foreign_keys = true};
    struct err err = ERR_INIT;

    if (extra != NULL)
        options = *extra;
    if (guarded->path[0] == '\0') {
        int file;

        (void)snprintf(guarded->path, sizeof(guarded->path), "/tmp/rookery-test-XXXXXX");
        file = mkstemp(guarded->path);
        CHECK(file >= 0);
        (void)close(file);
    }
    options.name = guarded->path;
    if (options.vfs == NULL)
        options.vfs = "unix";
    if (connection_open(&options, &guarded->connection, &err) < 0) {
        (void)fprintf(stderr, "open: %s\n", err.msg);
        abort();
    }
    guarded->context = (struct connection_context){.stateless = true};
    connection_set_context(guarded->connection, &guarded->context);
}

static inline void guarded_remove(struct guarded *guarded)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char path[256];

    connection_close(guarded->connection);
    guarded->connection = NULL;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        (void)snprintf(path, sizeof(path), "%.60s%s", guarded->path, suffixes[i]);
        (void)unlink(path);
    }
    guarded->path[0] = '\0';
}

/* SQL of ours, unguarded. */
static inline void guarded_engine(struct guarded *guarded, const char *sql)
{
    struct connection_context engine = {.engine = true};
    char *message = NULL;

    connection_set_context(guarded->connection, &engine);
    if (sqlite3_exec(connection_db(guarded->connection), sql, NULL, NULL, &message) != SQLITE_OK) {
        (void)fprintf(stderr, "engine: %s: %s\n", sql, message);
        abort();
    }
    connection_set_context(guarded->connection, &guarded->context);
}

/* Runs every statement of the text, as a lane would. Returns the first error's code; `rows` (may be
 * NULL) gets the first column of the last row as an integer. */
static inline enum err_code guarded_run_with(struct guarded *guarded,
    struct connection_context context, const char *sql, struct err *ret_err, long long *ret_value)
{
    struct str rest = str_from(sql);
    struct err err = ERR_INIT;

    connection_set_context(guarded->connection, &context);
    while (err.code == ERR_NONE && rest.len > 0) {
        struct statement *statement = NULL;
        int rc;

        if (connection_prepare(guarded->connection, rest, false, &statement, &rest, &err) < 0)
            break;
        if (statement == NULL)
            continue;
        while ((rc = sqlite3_step(statement->sqlite)) == SQLITE_ROW) {
            if (ret_value != NULL)
                *ret_value = sqlite3_column_int64(statement->sqlite, 0);
        }
        if (rc != SQLITE_DONE && !connection_refusal(guarded->connection, &err)) {
            err.code = rc == SQLITE_AUTH ? ERR_GUARD : ERR_SQL;
            (void)snprintf(
                err.msg, sizeof(err.msg), "%s", sqlite3_errmsg(connection_db(guarded->connection)));
        }
        connection_release(guarded->connection, statement);
    }
    connection_set_context(guarded->connection, &guarded->context);
    if (ret_err != NULL)
        *ret_err = err;
    return err.code;
}

static inline enum err_code guarded_run(struct guarded *guarded, const char *sql)
{
    return guarded_run_with(guarded, guarded->context, sql, NULL, NULL);
}

static inline long long guarded_value(struct guarded *guarded, const char *sql)
{
    long long value = -999;
    struct err err = ERR_INIT;

    if (guarded_run_with(guarded, guarded->context, sql, &err, &value) != ERR_NONE)
        (void)printf("# %s: %s\n", sql, err.msg);
    return value;
}

#endif
