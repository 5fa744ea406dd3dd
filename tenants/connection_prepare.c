/* Statements: the authorizer, compiling, classes, what a principal may run. */
#include <sqlite3.h>
#include <stdio.h>

#include "tenants/base/check.h"
#include "tenants/base/hash.h"
#include "tenants/base/mem.h"
#include "tenants/connection_state.h"
#include "tenants/sql_error.h"

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

int connection_authorize(void *argument, int action, const char *first, const char *second,
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

/* Shadow tables are readable only through their virtual table. SQLite knows which they are. */
static int check_shadows(struct connection *connection, struct err *ret_err)
{
    struct access_set *suspects = &connection->suspects;
    bool before = connection_enter_engine(connection);
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
    static const char *const changes[] = {"UPDATE", "DELETE", NULL};
    static const char *const not_kept[] = {"CREATE", "ALTER", "DROP", "PRAGMA", NULL};
    struct statement *statement = &entry->statement;
    struct access_set *access = statement->access;
    unsigned needs = 0;

    statement->class = classify(entry, verb);
    statement->is_explain = verb->is_explain;
    statement->is_insert = !verb->is_explain && verb_is(verb, inserts);
    statement->is_change = statement->is_insert || (!verb->is_explain && verb_is(verb, changes));
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
    if (connection->suspects.count > 0 && !connection->context.shadows &&
        check_shadows(connection, ret_err) < 0)
        goto fail;
    entry->statement.sql = str_from(sqlite3_sql(entry->statement.sqlite));
    entry->keep = str_equal(entry->statement.sql, sql) && !connection->context.fresh &&
                  !connection->context.shadows;
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
    before = connection_enter_engine(connection);
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
    before = connection_enter_engine(connection);
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
    entry = key.len > STATEMENT_CACHED_BYTES_MAX || connection->cache.count == 0 ||
                    connection->context.fresh || connection->context.shadows
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
