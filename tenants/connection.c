#include "tenants/connection.h"

#include <sqlite3.h>
#include <stdio.h>

#include "tenants/access.h"
#include "tenants/base/check.h"
#include "tenants/base/hash.h"
#include "tenants/base/mem.h"
#include "tenants/functions.h"
#include "tenants/guard.h"
#include "tenants/sql_error.h"
#include "tenants/statement_cache.h"
#include "tenants/vfs.h"

#define CACHED_STATEMENTS 64
#define CACHED_BYTES (512 * 1024)
#define CACHE_KIB 2000 /* SQLite's own default */
#define PAGE_BYTES 4096

/* Lookaside serves what steps and EXPLAIN allocate; cached statements are compiled persistent, past
 * it. 40 slots of 128 bytes keep the second query of a kind off malloc and cost 5 KB, not 48. */
#define LOOKASIDE_BYTES 128
#define LOOKASIDE_SLOTS 40

enum dirty { DIRTY_SETTINGS = 1, DIRTY_TEMP = 2 };

struct connection {
    struct sqlite3 *db; /* owned */
    struct connection_context context;
    struct statement_cache cache;
    struct list running; /* busy statements, newest first */
    bool foreign_keys;
    bool engine;
    unsigned dirty; /* what connection_reset() has to put back */

    /* While connection_prepare() compiles. */
    struct cached_statement *compiling;
    struct str compiling_sql;
    bool compiling_explain;
    struct access_set suspects; /* names that may be shadow tables */
    struct guard_scan scan;     /* of one statement, its steps included */

    struct err refusal; /* code ERR_NONE: none */
    bool would_prepare;
};

/* The statement the authorizer's call belongs to: the one being compiled, or the one that runs. */
static struct cached_statement *current(struct connection *connection)
{
    if (connection->compiling != NULL)
        return connection->compiling;
    if (list_empty(&connection->running))
        return NULL;
    return LIST_FIRST(&connection->running, struct cached_statement, running);
}

static void note_dirty(struct connection *connection, const struct guard_event *event)
{
    const struct pragma_rule *rule;

    if (guard_is_temp(event))
        connection->dirty |= DIRTY_TEMP;
    switch (event->action) {
    case SQLITE_PRAGMA:
        rule = guard_pragma(event->first);
        if (rule != NULL && event->second != NULL &&
            (rule->flags & (PRAGMA_REQUEST | PRAGMA_STREAM)) != 0)
            connection->dirty |= DIRTY_SETTINGS;
        return;
    case SQLITE_READ:
        if (connection->compiling != NULL && event->first != NULL &&
            guard_may_be_shadow(str_from(event->first)) &&
            guard_names(event, str_from(event->first)))
            access_add(&connection->suspects, event->first);
        return;
    default:
        return;
    }
}

static int on_authorize(void *argument, int action, const char *first, const char *second,
    const char *database, const char *via)
{
    struct connection *connection = argument;
    const struct connection_context *context = &connection->context;
    struct cached_statement *entry = current(connection);
    struct guard_event event = {
        .action = action,
        .first = first,
        .second = second,
        .database = database,
        .via = via,
        .scan = &connection->scan,
    };
    struct err refusal = ERR_INIT;
    enum guard_answer answer;
    bool is_explain = false;

    if (context->engine) {
        if (connection->compiling != NULL)
            access_note(entry->statement.access, &event);
        return SQLITE_OK;
    }
    if (connection->compiling != NULL) {
        event.sql = connection->compiling_sql;
        is_explain = connection->compiling_explain;
    } else if (entry != NULL) {
        event.sql = entry->statement.sql;
        is_explain = entry->statement.is_explain;
    }
    if (context->no_prepare) {
        connection->would_prepare = true;
        return SQLITE_DENY;
    }
    answer = guard_check(&event, context, &refusal);
    if (answer == GUARD_SKIP)
        return SQLITE_IGNORE;
    if (answer == GUARD_DENY || access_judge(&event, context, is_explain, &refusal) < 0) {
        if (connection->refusal.code == ERR_NONE)
            connection->refusal = refusal;
        return SQLITE_DENY;
    }
    if (entry != NULL)
        access_note(entry->statement.access, &event);
    note_dirty(connection, &event);
    return SQLITE_OK;
}

/* Opening ---------------------------------------------------------------------------------- */

static int run(struct connection *connection, struct err *ret_err, const char *sql)
{
    int rc = sqlite3_exec(connection->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : sql_err_set(ret_err, connection->db, rc);
}

static void set_flags(struct connection *connection, const struct connection_options *options)
{
    static const struct {
        int option;
        int value;
    } flags[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
        {SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
#ifdef SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE
        {SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, 0},
        {SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, 0},
#endif
    };

    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        (void)sqlite3_db_config(connection->db, flags[i].option, flags[i].value, NULL);
    (void)sqlite3_db_config(
        connection->db, SQLITE_DBCONFIG_ENABLE_FKEY, options->foreign_keys ? 1 : 0, NULL);
}

static int as_limit(uint64_t value, int otherwise)
{
    return value == 0 ? otherwise : (int)MIN(value, (uint64_t)INT32_MAX);
}

static void set_limits(struct sqlite3 *db, const struct connection_options *options)
{
    const struct {
        int limit;
        int value;
    } limits[] = {
        {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_LENGTH, as_limit(options->max_value_bytes, 32 << 20)},
        {SQLITE_LIMIT_SQL_LENGTH, as_limit(options->max_sql_bytes, 100000)},
        {SQLITE_LIMIT_VARIABLE_NUMBER, as_limit(options->max_parameters, 32766)},
        {SQLITE_LIMIT_COLUMN, 2000},
        {SQLITE_LIMIT_EXPR_DEPTH, 500},
        {SQLITE_LIMIT_COMPOUND_SELECT, 500},
        {SQLITE_LIMIT_FUNCTION_ARG, 127},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256}, /* LIKE does not look at interrupts */
        {SQLITE_LIMIT_TRIGGER_DEPTH, 100},
        {SQLITE_LIMIT_VDBE_OP, 1000000},
        {SQLITE_LIMIT_WORKER_THREADS, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        (void)sqlite3_limit(db, limits[i].limit, limits[i].value);
}

/* Reads the database's header past the pager: is it in WAL mode, and its page size. */
static int read_header(
    struct sqlite3 *db, bool *ret_is_wal, unsigned *ret_page_bytes, struct err *ret_err)
{
    unsigned char header[100] = {0};
    struct sqlite3_file *file = NULL;
    int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);

    if (rc != SQLITE_OK || file == NULL || file->pMethods == NULL)
        return err_set(ret_err, ERR_IO, "the database file is not open");
    rc = file->pMethods->xRead(file, header, sizeof(header), 0);
    if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
        return err_set(ret_err, ERR_IO, "cannot read the database's header");
    *ret_is_wal = header[18] == 2 && header[19] == 2;
    *ret_page_bytes = (unsigned)header[16] << 8 | header[17];
    if (*ret_page_bytes == 1)
        *ret_page_bytes = 65536;
    if (*ret_page_bytes == 0)
        *ret_page_bytes = PAGE_BYTES;
    return 0;
}

/* Through MEMORY, since our VFS refuses rollback journals; done once, for a file nobody knows yet.
 */
static int make_wal(struct connection *connection, struct err *ret_err)
{
    struct sqlite3_stmt *statement = NULL;
    const char *mode = NULL;
    bool is_wal = false;
    int rc;

    if (run(connection, ret_err, "PRAGMA journal_mode=MEMORY") < 0)
        return -1;
    rc = sqlite3_prepare_v2(connection->db, "PRAGMA journal_mode=WAL", -1, &statement, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW)
        mode = (const char *)sqlite3_column_text(statement, 0);
    is_wal = mode != NULL && strcmp(mode, "wal") == 0;
    if (!is_wal && rc == SQLITE_ROW)
        (void)err_set(ret_err, ERR_IO, "the database cannot be put into WAL mode");
    else if (!is_wal)
        (void)sql_err_set(ret_err, connection->db, rc);
    (void)sqlite3_finalize(statement);
    return is_wal ? 0 : -1;
}

static int set_up(
    struct connection *connection, const struct connection_options *options, struct err *ret_err)
{
    struct sqlite3 *db = connection->db;
    char sql[64];
    unsigned page_bytes = PAGE_BYTES;
    bool is_wal = false;

    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_LOOKASIDE, NULL, LOOKASIDE_BYTES, LOOKASIDE_SLOTS);
    (void)sqlite3_extended_result_codes(db, 1);
    (void)sqlite3_busy_timeout(db, 0);
    (void)sqlite3_wal_autocheckpoint(db, 0);
    set_flags(connection, options);
    set_limits(db, options);
    if (!options->engine && sqlite3_drop_modules(db, (const char **)(uintptr_t)guard_modules) != 0)
        return err_set(ret_err, ERR_BUG, "cannot drop modules");
    if (!options->engine && functions_register(db, ret_err) < 0)
        return -1;
    if (read_header(db, &is_wal, &page_bytes, ret_err) < 0)
        return -1;
    if (!is_wal && make_wal(connection, ret_err) < 0)
        return -1;
    if (run(connection, ret_err, "PRAGMA cell_size_check=ON") < 0)
        return -1;
#ifndef ROOKERY_SQLITE_PINNED /* there it is the default */
    if (run(connection, ret_err, "PRAGMA synchronous=FULL") < 0)
        return -1;
#endif
    if (options->cache_kib > 0 && options->cache_kib != CACHE_KIB) {
        (void)snprintf(sql, sizeof(sql), "PRAGMA cache_size=-%d", options->cache_kib);
        if (run(connection, ret_err, sql) < 0)
            return -1;
    }
    if (options->max_bytes > 0 && !options->read_only) {
        (void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%llu",
            (unsigned long long)MAX(options->max_bytes / page_bytes, 1));
        if (run(connection, ret_err, sql) < 0)
            return -1;
    }
    if (options->read_only && run(connection, ret_err, "PRAGMA query_only=ON") < 0)
        return -1;
    if (!options->engine)
        (void)sqlite3_set_authorizer(db, on_authorize, connection);
    return 0;
}

int connection_open(const struct connection_options *options, struct connection **ret_connection,
    struct err *ret_err)
{
    struct connection *connection = mem_zalloc(sizeof(*connection));
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc;

    statement_cache_init(&connection->cache,
        options->cached_statements == 0 ? CACHED_STATEMENTS : options->cached_statements,
        CACHED_BYTES);
    list_init(&connection->running);
    connection->foreign_keys = options->foreign_keys;
    connection->engine = options->engine;
    connection->context.stateless = true;
    connection->refusal = ERR_INIT;
    rc = sqlite3_open_v2(
        options->name, &connection->db, flags, options->vfs == NULL ? VFS_NAME : options->vfs);
    if (rc != SQLITE_OK) {
        if (connection->db == NULL)
            (void)err_set(ret_err, ERR_NOMEM, "no memory to open the database");
        else
            (void)sql_err_set(ret_err, connection->db, rc);
        goto fail;
    }
    if (set_up(connection, options, ret_err) < 0)
        goto fail;
    *ret_connection = connection;
    return 0;
fail:
    connection_close(connection);
    return -1;
}

void connection_close(struct connection *connection)
{
    if (connection == NULL)
        return;
    while (!list_empty(&connection->running)) {
        struct cached_statement *entry =
            LIST_FIRST(&connection->running, struct cached_statement, running);

        connection_release(connection, &entry->statement);
    }
    statement_cache_fini(&connection->cache);
    mem_free(connection->suspects.names);
    if (connection->db != NULL) {
        int rc = sqlite3_close(connection->db);

        CHECK(rc == SQLITE_OK); /* somebody's own statement is left open */
    }
    mem_free(connection);
}

struct sqlite3 *connection_db(struct connection *connection)
{
    return connection->db;
}

void connection_set_context(struct connection *connection, const struct connection_context *context)
{
    connection->context = *context;
}

/* Compiling -------------------------------------------------------------------------------- */

/* Engine SQL of ours, between a tenant's prepare and its step. */
static bool enter_engine(struct connection *connection)
{
    bool before = connection->context.engine;

    connection->context.engine = true;
    return before;
}

/* Shadow tables are readable only through their virtual table. SQLite knows which they are. */
static int check_shadows(struct connection *connection, struct err *ret_err)
{
    struct access_set *suspects = &connection->suspects;
    bool before = enter_engine(connection);
    struct sqlite3_stmt *statement = NULL;
    const char *name = suspects->names;
    int result = 0;

    if (sqlite3_prepare_v2(connection->db,
            "SELECT count(*) FROM pragma_table_list(?1) WHERE type = 'shadow'", -1, &statement,
            NULL) != SQLITE_OK)
        result = sql_err_set(ret_err, connection->db, sqlite3_errcode(connection->db));
    for (unsigned i = 0; result == 0 && i < suspects->count; i++) {
        (void)sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
        if (sqlite3_step(statement) != SQLITE_ROW)
            result = sql_err_set(ret_err, connection->db, sqlite3_errcode(connection->db));
        else if (sqlite3_column_int(statement, 0) != 0)
            result = err_set(ret_err, ERR_GUARD,
                "\"%s\" belongs to a virtual table and is read through it only", name);
        (void)sqlite3_reset(statement);
        name += strlen(name) + 1;
    }
    (void)sqlite3_finalize(statement);
    connection->context.engine = before;
    return result;
}

static bool verb_is(const struct sql_verb *verb, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (str_is_nocase(verb->word, *words))
            return true;
    }
    return false;
}

static enum statement_class classify(
    const struct cached_statement *entry, const struct sql_verb *verb)
{
    static const char *const ddl[] = {"CREATE", "ALTER", "DROP", NULL};
    static const char *const alone[] = {"ANALYZE", "REINDEX", NULL};
    static const char *const transaction[] = {
        "BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", NULL};
    unsigned flags = entry->statement.access->flags;

    if ((flags & ACCESS_ALONE) != 0)
        return STATEMENT_ALONE;
    if (verb->is_explain)
        return STATEMENT_READ;
    if ((flags & ACCESS_PRAGMA) != 0)
        return (flags & (ACCESS_WRITES | ACCESS_SETS)) != 0 ? STATEMENT_WRITE : STATEMENT_READ;
    if ((flags & ACCESS_TRANSACTION) != 0 || verb_is(verb, transaction))
        return STATEMENT_TRANSACTION;
    if (verb_is(verb, alone))
        return STATEMENT_ALONE;
    if (verb_is(verb, ddl))
        return STATEMENT_DDL;
    return sqlite3_stmt_readonly(entry->statement.sqlite) ? STATEMENT_READ : STATEMENT_WRITE;
}

static void fill(struct cached_statement *entry, const struct sql_verb *verb)
{
    static const char *const inserts[] = {"INSERT", "REPLACE", NULL};
    static const char *const not_kept[] = {"CREATE", "ALTER", "DROP", "PRAGMA", NULL};
    struct statement *statement = &entry->statement;
    struct access_set *access = statement->access;
    unsigned needs = 0;

    statement->class = classify(entry, verb);
    statement->is_explain = verb->is_explain;
    statement->is_insert = !verb->is_explain && verb_is(verb, inserts);
    statement->parameter_count = (unsigned)sqlite3_bind_parameter_count(statement->sqlite);
    statement->column_count = (unsigned)sqlite3_column_count(statement->sqlite);
    if (statement->class == STATEMENT_WRITE && (access->flags & ACCESS_SETS) == 0)
        needs = ACCESS_WRITES;
    else if (!verb->is_explain && (access->flags & ACCESS_PRAGMA) == 0 &&
             (statement->class == STATEMENT_DDL || statement->class == STATEMENT_ALONE))
        needs = (access->flags & ACCESS_STATEFUL) != 0 ? 0 : ACCESS_DDL;
    access_flag(access, needs);
    entry->access_changes = access->changes;
    entry->bytes = (uint32_t)(sizeof(*entry) + access_bytes(access) + statement->sql.len) +
                   (uint32_t)sqlite3_stmt_status(statement->sqlite, SQLITE_STMTSTATUS_MEMUSED, 0);
    entry->keep = entry->keep && !verb->is_explain && !verb_is(verb, not_kept);
}

/* Makes an idle statement from the first one in `sql`. *ret_entry NULL: there is none. */
static int compile(struct connection *connection, struct str sql,
    struct cached_statement **ret_entry, struct str *ret_tail, struct err *ret_err)
{
    struct cached_statement *entry;
    struct sql_verb verb = sql_verb(sql);
    const char *tail = NULL;
    int rc;

    if (!connection->context.engine && !connection->engine &&
        guard_check_text(sql, &verb, ret_err) < 0)
        return -1;
    entry = mem_zalloc(sizeof(*entry));
    list_init(&entry->use);
    list_init(&entry->running);
    entry->statement.access = access_new();
    entry->engine = connection->context.engine;
    connection->compiling = entry;
    connection->compiling_sql = sql;
    connection->compiling_explain = verb.is_explain;
    connection->suspects.count = 0;
    connection->suspects.used_bytes = 0;
    rc = sqlite3_prepare_v3(connection->db, sql.ptr, (int)sql.len, SQLITE_PREPARE_PERSISTENT,
        &entry->statement.sqlite, &tail);
    connection->compiling = NULL;
    if (rc != SQLITE_OK) {
        if (connection->refusal.code != ERR_NONE)
            err_copy(ret_err, &connection->refusal);
        else
            (void)sql_err_set(ret_err, connection->db, rc);
        goto fail;
    }
    *ret_tail = str_make(tail, sql.len - (size_t)(tail - sql.ptr));
    if (entry->statement.sqlite == NULL) {
        cached_statement_free(entry);
        *ret_entry = NULL;
        return 0;
    }
    if (connection->suspects.count > 0 && check_shadows(connection, ret_err) < 0)
        goto fail;
    entry->statement.sql = str_from(sqlite3_sql(entry->statement.sqlite));
    entry->keep = str_equal(entry->statement.sql, sql);
    entry->hash = entry->keep ? hash_str(sql) : 0;
    fill(entry, &verb);
    *ret_entry = entry;
    return 0;
fail:
    cached_statement_free(entry);
    return -1;
}

/* The program of a second use is looked at once: anything that may take long in one step, or more
 * memory than a row's, keeps the statement off the loops. */
static bool is_cheap_step(const char *opcode, const char *argument)
{
    static const char *const costly[] = {"SorterOpen", "OpenEphemeral", "OpenAutoindex", "OpenDup",
        "VOpen", "Program", "OpenWrite", "SqlExec", "JournalMode", "Checkpoint", "Vacuum",
        "IntegrityCk", "Expire", "ParseSchema", "RowSetAdd", "RowSetTest", "Savepoint"};
    static const char *const calls[] = {
        "Function", "PureFunc", "AggStep", "AggStep1", "AggInverse"};
    char name[64];

    for (size_t i = 0; i < ARRAY_LEN(costly); i++) {
        if (strcmp(opcode, costly[i]) == 0)
            return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        if (strcmp(opcode, calls[i]) != 0)
            continue;
        (void)snprintf(name, sizeof(name), "%s", argument == NULL ? "" : argument);
        name[strcspn(name, "(")] = '\0';
        return guard_is_cheap_function(name);
    }
    return true;
}

static void examine(struct connection *connection, struct cached_statement *entry)
{
    struct statement *statement = &entry->statement;
    struct sqlite3_stmt *explain = NULL;
    bool cheap = true;
    bool before;
    char *sql;
    int rc;

    entry->examined = true;
    if (statement->class != STATEMENT_READ || (statement->access->flags & ACCESS_PRAGMA) != 0)
        return;
    sql = sqlite3_mprintf("EXPLAIN %.*s", STR_ARGS(statement->sql));
    if (sql == NULL)
        return;
    before = enter_engine(connection);
    rc = sqlite3_prepare_v2(connection->db, sql, -1, &explain, NULL);
    if (rc == SQLITE_OK) {
        while (cheap && (rc = sqlite3_step(explain)) == SQLITE_ROW) {
            const char *opcode = (const char *)sqlite3_column_text(explain, 1);

            cheap = opcode != NULL &&
                    is_cheap_step(opcode, (const char *)sqlite3_column_text(explain, 5));
        }
        statement->loop_ok = cheap && rc == SQLITE_DONE;
    }
    (void)sqlite3_finalize(explain);
    connection->context.engine = before;
    sqlite3_free(sql);
}

/* A token with a table scope may need the schema to be read: not where nothing may be compiled. */
static bool check_would_query(
    const struct access_set *access, const struct connection_context *context)
{
    const struct principal *principal = context->principal;

    return principal != NULL && principal->table_count > 0 &&
           (principal->serial == 0 || access->passed_serial != principal->serial);
}

static int check_access(
    struct connection *connection, struct cached_statement *entry, struct err *ret_err)
{
    struct connection_context context = connection->context;
    bool before;
    int result;

    if (context.engine || connection->engine)
        return 0;
    before = enter_engine(connection);
    result = access_check(
        entry->statement.access, entry->statement.sql, connection->db, &context, ret_err);
    connection->context.engine = before;
    return result;
}

static void hand_out(
    struct connection *connection, struct cached_statement *entry, struct statement **ret_statement)
{
    entry->uses++;
    entry->statement.busy = true;
    list_prepend(&connection->running, &entry->running);
    *ret_statement = &entry->statement;
}

int connection_prepare(struct connection *connection, struct str sql, bool cached_only,
    struct statement **ret_statement, struct str *ret_tail, struct err *ret_err)
{
    struct str key = sql_trim_end(sql);
    struct str tail = str_make(NULL, 0);
    struct cached_statement *entry;
    const char *nul;

    connection->refusal.code = ERR_NONE;
    connection->would_prepare = false;
    connection->scan = (struct guard_scan){.left_bytes = GUARD_SCAN_BYTES};
    entry = key.len > STATEMENT_CACHED_BYTES_MAX || connection->cache.count == 0
                ? NULL
                : statement_cache_find(&connection->cache, key, hash_str(key));
    if (entry != NULL && entry->engine != connection->context.engine)
        entry = NULL; /* it was compiled past the guard, or is to be */
    if (entry != NULL && cached_only &&
        check_would_query(entry->statement.access, &connection->context))
        entry = NULL;
    if (entry != NULL) {
        if (check_access(connection, entry, ret_err) < 0)
            return -1;
        if (entry->uses > 0 && !entry->examined && !cached_only)
            examine(connection, entry);
        hand_out(connection, entry, ret_statement);
        *ret_tail = str_make(sql.ptr + sql.len, 0);
        return 0;
    }
    if (cached_only) {
        *ret_err = ERR_INIT;
        return -1;
    }
    *ret_statement = NULL;
    *ret_tail = str_make(sql.ptr + sql.len, 0);
    if (key.len == 0)
        return 0;
    if (key.len > INT32_MAX)
        return err_set(ret_err, ERR_TOO_LARGE, "the SQL text is too long");
    nul = memchr(key.ptr, '\0', key.len);
    if (nul != NULL) {
        (void)err_set(ret_err, ERR_SQL, "the SQL text holds a NUL byte");
        ret_err->sql_offset = (int)(nul - key.ptr);
        return -1;
    }
    if (compile(connection, key, &entry, &tail, ret_err) < 0)
        return -1;
    if (entry == NULL)
        return 0;
    if (!sql_is_blank(tail))
        *ret_tail = str_make(tail.ptr, (size_t)(sql.ptr + sql.len - tail.ptr));
    if (check_access(connection, entry, ret_err) < 0) {
        cached_statement_free(entry);
        return -1;
    }
    hand_out(connection, entry, ret_statement);
    return 0;
}

void connection_release(struct connection *connection, struct statement *statement)
{
    struct cached_statement *entry = CONTAINER_OF(statement, struct cached_statement, statement);

    CHECK(statement->busy);
    (void)sqlite3_reset(statement->sqlite);
    if (statement->parameter_count > 0)
        (void)sqlite3_clear_bindings(statement->sqlite);
    statement->busy = false;
    list_remove(&entry->running);
    /* Compiled again inside a step, and it touches more than was known: not to be shared. */
    if (statement->access->changes != entry->access_changes)
        entry->keep = false;
    if (entry->keep && (entry->cached || statement_cache_put(&connection->cache, entry)))
        return;
    if (entry->cached)
        statement_cache_remove(&connection->cache, entry);
    cached_statement_free(entry);
}

bool connection_refusal(struct connection *connection, struct err *ret_err)
{
    if (connection->refusal.code == ERR_NONE)
        return false;
    err_copy(ret_err, &connection->refusal);
    connection->refusal.code = ERR_NONE;
    return true;
}

bool connection_would_prepare(struct connection *connection)
{
    bool would = connection->would_prepare;

    connection->would_prepare = false;
    return would;
}

void connection_flush(struct connection *connection)
{
    statement_cache_clear(&connection->cache);
    LIST_FOREACH(it, &connection->running)
    LIST_ENTRY(it, struct cached_statement, running)->keep = false;
}

/* Between requests ------------------------------------------------------------------------- */

static int drop_temp(struct connection *connection, struct err *ret_err)
{
    for (;;) {
        struct sqlite3_stmt *statement = NULL;
        char *sql = NULL;
        int rc = sqlite3_prepare_v2(connection->db,
            "SELECT format('DROP %s temp.\"%w\"', type, name) FROM sqlite_temp_schema WHERE type "
            "IN "
            "('table', 'view', 'trigger') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
            "ORDER BY type = 'table', sql LIKE 'CREATE VIRTUAL%' DESC LIMIT 1",
            -1, &statement, NULL);

        if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW)
            sql = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0));
        (void)sqlite3_finalize(statement);
        if (rc == SQLITE_DONE)
            return 0;
        if (rc != SQLITE_ROW)
            return sql_err_set(ret_err, connection->db, rc);
        rc = run(connection, ret_err, sql == NULL ? "" : sql);
        sqlite3_free(sql);
        if (sql == NULL)
            return err_set(ret_err, ERR_NOMEM, "no memory to drop temporary objects");
        if (rc < 0)
            return -1;
    }
}

static int put_settings_back(struct connection *connection, struct err *ret_err)
{
    (void)sqlite3_db_config(
        connection->db, SQLITE_DBCONFIG_ENABLE_FKEY, connection->foreign_keys ? 1 : 0, NULL);
    return run(connection, ret_err,
        "PRAGMA defer_foreign_keys=OFF; PRAGMA recursive_triggers=OFF; PRAGMA analysis_limit=0");
}

int connection_reset(struct connection *connection, struct err *ret_err)
{
    bool before;
    int result = 0;

    while (!list_empty(&connection->running)) {
        struct cached_statement *entry =
            LIST_FIRST(&connection->running, struct cached_statement, running);

        connection_release(connection, &entry->statement);
    }
    sqlite3_set_last_insert_rowid(connection->db, 0);
    connection->refusal.code = ERR_NONE;
    if (connection->dirty == 0)
        return 0;
    before = enter_engine(connection);
    if ((connection->dirty & DIRTY_SETTINGS) != 0)
        result = put_settings_back(connection, ret_err);
    if (result == 0 && (connection->dirty & DIRTY_TEMP) != 0)
        result = drop_temp(connection, ret_err);
    connection->context.engine = before;
    if (result == 0)
        connection->dirty = 0;
    return result;
}

uint64_t connection_memory(struct connection *connection)
{
    static const int parts[] = {
        SQLITE_DBSTATUS_CACHE_USED, SQLITE_DBSTATUS_SCHEMA_USED, SQLITE_DBSTATUS_STMT_USED};
    uint64_t bytes = sizeof(*connection) + LOOKASIDE_BYTES * LOOKASIDE_SLOTS;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        int now = 0;
        int peak = 0;

        if (sqlite3_db_status(connection->db, parts[i], &now, &peak, 0) == SQLITE_OK)
            bytes += (uint64_t)now;
    }
    return bytes;
}

void connection_shrink(struct connection *connection)
{
    (void)sqlite3_db_release_memory(connection->db);
}
