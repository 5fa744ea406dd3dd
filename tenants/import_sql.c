/* SQL text to a database, statement by statement, as a tenant on a stream would run it.
 *
 * Two things of dumps are met half way. Settings of a connection (PRAGMA journal_mode and the like)
 * are passed over. And the sqlite3 shell writes virtual tables as rows of sqlite_schema, with their
 * shadow tables as tables: the rows are kept aside, and put there once all else is in, by us.
 *
 * SQLite's defensive mode is off meanwhile, since our own dumps copy the shadow tables of full-text
 * tables that keep no content. That lets SQL write what an uploaded file may hold anyway; the guard
 * stands, and what comes of it is checked as any uploaded file, in defensive mode. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>

#include "tenants/base/mem.h"
#include "tenants/connection.h"
#include "tenants/import_internal.h"
#include "tenants/sql_text.h"
#include "tenants/vfs_internal.h"
#include "tenants/vfs_io.h"

#define WINDOW_BYTES (1UL << 20)
#define VIRTUAL_BYTES_MAX (1UL << 20) /* of all virtual tables' rows kept aside */

struct reader {
    struct import *import;
    int fd;
    uint64_t at;       /* of the file, where the window ends */
    struct buf window; /* from the first statement that has not run */
    size_t used;       /* of the window */
    size_t want;       /* grows for a statement that does not fit */
    bool at_end;
    struct buf virtuals; /* name NUL sql NUL ... */
};

/* More of the file behind what is left of the window. */
static int fill(struct reader *reader, struct err *ret_err)
{
    struct buf *window = &reader->window;
    ssize_t got;

    buf_consume(window, reader->used);
    reader->used = 0;
    if (buf_reserve(window, reader->want) < 0)
        return err_set(ret_err, ERR_NOMEM, "no memory for a statement");
    got = io_read_all(reader->fd, window->bytes + window->len, reader->want, (off_t)reader->at);
    if (got < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot read the upload");
    reader->at_end = (size_t)got < reader->want;
    window->len += (size_t)got;
    reader->at += (size_t)got;
    return 0;
}

/* 1 and the next statement, 0 at the end, -1. */
static int next(struct reader *reader, uint64_t most, struct str *ret_sql, struct err *ret_err)
{
    for (;;) {
        struct str rest =
            str_make(reader->window.bytes + reader->used, reader->window.len - reader->used);
        struct str sql = sql_cut(&rest);

        if (rest.ptr != NULL || reader->at_end) {
            reader->used =
                rest.ptr == NULL ? reader->window.len : (size_t)(rest.ptr - reader->window.bytes);
            *ret_sql = sql;
            return sql.ptr != NULL;
        }
        if (reader->window.len - reader->used > most)
            return err_set(ret_err, ERR_TOO_LARGE,
                "statement %llu is longer than %llu bytes, or a quote in it does not end",
                (unsigned long long)reader->import->result.statements + 1,
                (unsigned long long)most);
        /* Twice as much each time: a long statement is looked through a few times only. */
        reader->want = MAX(WINDOW_BYTES, reader->window.len - reader->used);
        if (fill(reader, ret_err) < 0)
            return -1;
    }
}

/* ---- virtual tables as rows ---- */

static bool skip(struct str *rest, const char *word)
{
    struct sql_token token = sql_next(rest);

    return sql_token_is(token, word) || str_is(token.raw, word);
}

/* 'it''s' as the text it means, with a NUL, appended. */
static bool take_string(struct str *rest, struct buf *out)
{
    struct sql_token token = sql_next(rest);
    struct str raw = token.raw;

    if (token.kind != SQL_TOKEN_STRING || raw.len < 2)
        return false;
    for (size_t i = 1; i + 1 < raw.len; i++) {
        buf_char(out, raw.ptr[i]);
        if (raw.ptr[i] == '\'')
            i++;
    }
    buf_char(out, '\0');
    return true;
}

/* INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','n','n',0,'CREATE …') */
static bool take_virtual(struct reader *reader, struct str sql)
{
    static const char *const head[] = {
        "(", "type", ",", "name", ",", "tbl_name", ",", "rootpage", ",", "sql", ")", "VALUES", "("};
    struct buf scratch = {0};
    struct str rest = sql;
    size_t before = reader->virtuals.len;
    bool fits;

    if (!skip(&rest, "INSERT") || !skip(&rest, "INTO"))
        return false;
    sql = rest;
    if (!skip(&rest, "sqlite_schema") && !skip(&sql, "sqlite_master"))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(head); i++) {
        if (!skip(&rest, head[i]))
            return false;
    }
    fits = skip(&rest, "'table'") && skip(&rest, ",") && take_string(&rest, &reader->virtuals) &&
           skip(&rest, ",") && take_string(&rest, &scratch) && skip(&rest, ",") &&
           skip(&rest, "0") && skip(&rest, ",") && take_string(&rest, &reader->virtuals) &&
           skip(&rest, ")") && sql_is_blank(rest) && reader->virtuals.len < VIRTUAL_BYTES_MAX;
    buf_fini(&scratch);
    if (!fits)
        buf_truncate(&reader->virtuals, before);
    return fits;
}

static int put_virtuals(struct reader *reader, struct err *ret_err) ON(actor_owner)
{
    struct import *import = reader->import;
    struct sqlite3 *db = connection_db(import->connection);
    struct sqlite3_stmt *stmt = NULL;
    const char *at = reader->virtuals.bytes;
    const char *end = at + reader->virtuals.len;
    int rc;

    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1, NULL);
    rc = sqlite3_prepare_v2(
        db, "INSERT INTO sqlite_schema VALUES('table', ?1, ?1, 0, ?2)", -1, &stmt, NULL);
    while (rc == SQLITE_OK && at < end) {
        const char *sql = at + strlen(at) + 1;

        (void)sqlite3_bind_text(stmt, 1, at, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(stmt, 2, sql, -1, SQLITE_STATIC);
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_DONE)
            rc = sqlite3_reset(stmt);
        at = sql + strlen(sql) + 1;
    }
    if (rc != SQLITE_OK)
        (void)import_failed(import, rc, ret_err);
    (void)sqlite3_finalize(stmt);
    return rc == SQLITE_OK ? 0 : -1;
}

/* ---- running ---- */

static int told(struct reader *reader, const struct err *why, struct err *ret_err)
{
    return err_set(ret_err, why->code == ERR_GUARD ? ERR_GUARD : ERR_BAD_REQUEST,
        "statement %llu: %.250s", (unsigned long long)reader->import->result.statements, why->msg);
}

static int run_prepared(struct reader *reader, struct statement *statement, struct err *ret_err)
    ON(actor_owner)
{
    struct import *import = reader->import;
    struct err why = ERR_INIT;
    int rc;

    do
        rc = sqlite3_step(statement->sqlite);
    while (rc == SQLITE_ROW);
    if (rc == SQLITE_DONE)
        return 0;
    if ((rc & 0xff) == SQLITE_CONSTRAINT || (rc & 0xff) == SQLITE_ERROR ||
        (rc & 0xff) == SQLITE_MISMATCH || (rc & 0xff) == SQLITE_TOOBIG) {
        (void)err_set(&why, ERR_SQL, "%s", sqlite3_errmsg(connection_db(import->connection)));
        return told(reader, &why, ret_err);
    }
    if (connection_refusal(import->connection, &why))
        return told(reader, &why, ret_err);
    return import_failed(import, rc, ret_err);
}

static int run_one(struct reader *reader, struct str sql, struct err *ret_err) ON(actor_owner)
{
    struct import *import = reader->import;
    struct sql_verb verb = sql_verb(sql);
    struct statement *statement = NULL;
    struct err why = ERR_INIT;
    struct str tail;
    int rc;

    import->result.statements++;
    if (str_is_nocase(verb.word, "INSERT") && take_virtual(reader, sql))
        return 0;
    if (connection_prepare(import->connection, sql, false, &statement, &tail, &why) < 0) {
        if (why.code == ERR_GUARD && str_is_nocase(verb.word, "PRAGMA")) {
            import->result.skipped++;
            return 0;
        }
        if (why.code == ERR_SQL || why.code == ERR_GUARD || why.code == ERR_TOO_LARGE)
            return told(reader, &why, ret_err);
        (void)!import_judge(import, &why);
        err_copy(ret_err, &why);
        return -1;
    }
    if (statement == NULL)
        return 0;
    rc = run_prepared(reader, statement, ret_err);
    connection_release(import->connection, statement);
    return rc;
}

/* A log, and syncs, are for what may have to be kept. */
static int set_up(struct import *import, struct err *ret_err) ON(actor_owner)
{
    static const struct connection_context engine = {.engine = true};
    static const struct connection_context tenant = {.stateless = false};
    struct sqlite3 *db = connection_db(import->connection);
    int rc;

    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
    connection_set_context(import->connection, &engine);
    rc = sqlite3_exec(db, "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY", NULL, NULL, NULL);
    connection_set_context(import->connection, &tenant);
    return rc == SQLITE_OK ? 0 : import_failed(import, rc, ret_err);
}

static int run_all(struct reader *reader, struct err *ret_err) ON(actor_owner)
{
    struct import *import = reader->import;
    uint64_t most = import->engine->options.max_value_bytes * 3 + WINDOW_BYTES;
    struct str sql;
    int more;

    if (set_up(import, ret_err) < 0)
        return -1;
    while ((more = next(reader, most, &sql, ret_err)) > 0) {
        if (run_one(reader, sql, ret_err) < 0)
            return -1;
    }
    if (more < 0)
        return -1;
    if (import->result.statements == 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "there is no statement in the text");
    if (!sqlite3_get_autocommit(connection_db(import->connection)))
        return err_set(ret_err, ERR_BAD_REQUEST,
            "the text ends inside a transaction: is it whole? A dump ends with COMMIT");
    return put_virtuals(reader, ret_err);
}

static int make_base(const struct import *import, struct err *ret_err)
{
    const char *path = import->stage.paths.main_path;
    unsigned char page[VFS_EMPTY_BYTES];
    int fd = io_open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot make '%s'", path);
    vfs_empty_database(page);
    rc = io_write_all(fd, page, sizeof(page), 0);
    if (rc < 0)
        (void)err_set_errno(ret_err, ERR_IO, errno, "cannot write '%s'", path);
    (void)io_close(fd);
    return rc;
}

int import_run_sql(struct import *import, struct err *ret_err)
{
    struct reader reader = {.import = import, .fd = import->fd, .want = WINDOW_BYTES};
    int rc;

    if (make_base(import, ret_err) < 0 || import_connect(import, ret_err) < 0)
        return -1;
    rc = run_all(&reader, ret_err);
    buf_fini(&reader.window);
    buf_fini(&reader.virtuals);
    return rc < 0 ? -1 : import_disconnect(import, ret_err);
}
