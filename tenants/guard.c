#include "tenants/guard.h"

#include <sqlite3.h>

static const struct str reserved_prefixes[] = {STR_LITERAL("_rookery_"), STR_LITERAL("_persql_")};

static const char *const readable_reserved[] = {"_persql_meta_query_log"};

/* Shadow tables of FTS5, R-tree and, with another SQLite, FTS3 and FTS4. */
static const char *const shadow_suffixes[] = {"_data", "_idx", "_content", "_docsize", "_config",
    "_node", "_parent", "_rowid", "_segments", "_segdir", "_stat"};

/* dbstat and sqlite_dbpage (exports) stay for the engine's own use; tenants are refused them by
 * name. */
const char *const guard_modules[] = {"fts5", "fts5vocab", "rtree", "rtree_i32", "json_each",
    "json_tree", "dbstat", "sqlite_dbpage", NULL};
const char *const guard_table_modules[] = {"fts5", "fts5vocab", "rtree", "rtree_i32", NULL};
static const char *const engine_modules[] = {"dbstat", "sqlite_dbpage"};

/* Files, memory, code, the process's log: none of it a tenant's. Most are not compiled in; the list
 * holds for builds against another SQLite too. */
static const char *const refused_functions[] = {"load_extension", "fts3_tokenizer", "fts5", "edit",
    "readfile", "writefile", "lsmode", "fsdir", "zipfile", "sqlite_log", "sqlar_compress",
    "sqlar_uncompress", "system", "sqlite_dbpage", "sqlite_unsupported_offset"};

static const char *const cheap_functions[] = {"abs", "ceil", "ceiling", "coalesce", "date",
    "datetime", "floor", "ifnull", "iif", "if", "julianday", "last_insert_rowid", "changes",
    "total_changes", "length", "octet_length", "likely", "unlikely", "likelihood", "lower", "max",
    "min", "mod", "nullif", "pow", "power", "random", "round", "sign", "sqrt", "strftime", "substr",
    "substring", "time", "timediff", "trunc", "typeof", "unicode", "unixepoch", "upper",
    "json_extract", "->", "->>", "count", "sum", "total", "avg"};

#define HINT_DURABILITY "durability is a setting of the database, not of a connection"
#define HINT_SERVER "the server does this by itself"

const struct pragma_rule guard_pragmas[] = {
    /* reading the schema */
    {"table_info", PRAGMA_TABLE | PRAGMA_SCOPED, NULL, NULL},
    {"table_xinfo", PRAGMA_TABLE | PRAGMA_SCOPED, NULL, NULL},
    {"table_list", PRAGMA_GET | PRAGMA_TABLE, NULL, NULL},
    {"index_list", PRAGMA_TABLE | PRAGMA_SCOPED, NULL, NULL},
    {"index_info", PRAGMA_INDEX, NULL, NULL},
    {"index_xinfo", PRAGMA_INDEX, NULL, NULL},
    {"foreign_key_list", PRAGMA_TABLE | PRAGMA_SCOPED, NULL, NULL},
    {"schema_version", PRAGMA_GET | PRAGMA_SCOPED, NULL, NULL},
    {"encoding", PRAGMA_GET | PRAGMA_SCOPED, "UTF-8", "databases are UTF-8"},
    /* checks */
    {"foreign_key_check", PRAGMA_GET | PRAGMA_TABLE, NULL, NULL},
    {"integrity_check", PRAGMA_GET | PRAGMA_ANY, NULL, NULL},
    {"quick_check", PRAGMA_GET | PRAGMA_ANY, NULL, NULL},
    /* the file */
    {"page_count", PRAGMA_GET | PRAGMA_SCOPED, NULL, NULL},
    {"page_size", PRAGMA_GET | PRAGMA_SCOPED, NULL, "the page size is fixed"},
    {"freelist_count", PRAGMA_GET | PRAGMA_SCOPED, NULL, NULL},
    {"max_page_count", PRAGMA_GET | PRAGMA_SCOPED, NULL, "the quota is a setting of the database"},
    {"auto_vacuum", PRAGMA_GET | PRAGMA_SCOPED, NULL, HINT_SERVER},
    {"data_version", PRAGMA_GET | PRAGMA_SCOPED, NULL, NULL},
    {"journal_mode", PRAGMA_GET | PRAGMA_SCOPED, "wal", "databases are always in WAL mode"},
    {"user_version", PRAGMA_GET | PRAGMA_SET | PRAGMA_SCOPED, NULL, NULL},
    {"application_id", PRAGMA_GET | PRAGMA_SET | PRAGMA_SCOPED, NULL, NULL},
    /* settings of the request or stream */
    {"foreign_keys", PRAGMA_GET | PRAGMA_REQUEST | PRAGMA_ALONE | PRAGMA_SCOPED, NULL, NULL},
    {"defer_foreign_keys", PRAGMA_GET | PRAGMA_REQUEST | PRAGMA_SCOPED, NULL, NULL},
    {"recursive_triggers", PRAGMA_GET | PRAGMA_STREAM | PRAGMA_ALONE | PRAGMA_SCOPED, NULL, NULL},
    {"analysis_limit", PRAGMA_GET | PRAGMA_STREAM | PRAGMA_ALONE | PRAGMA_SCOPED, NULL, NULL},
    {"optimize", PRAGMA_GET | PRAGMA_ANY | PRAGMA_ALONE | PRAGMA_DDL, NULL, NULL},
    /* what is so, for clients that look */
    {"busy_timeout", PRAGMA_GET | PRAGMA_SCOPED, NULL,
        "the server queues writes; a request's deadline bounds the wait"},
    {"cache_size", PRAGMA_GET | PRAGMA_SCOPED, NULL, HINT_SERVER},
    {"synchronous", PRAGMA_GET | PRAGMA_SCOPED, NULL, HINT_DURABILITY},
    {"temp_store", PRAGMA_GET | PRAGMA_SCOPED, NULL, HINT_SERVER},
    {"locking_mode", PRAGMA_GET | PRAGMA_SCOPED, "normal", HINT_SERVER},
    {"query_only", PRAGMA_GET | PRAGMA_SCOPED, NULL, "use a read-only token"},
    {"read_uncommitted", PRAGMA_GET | PRAGMA_SCOPED, NULL, NULL},
    {"secure_delete", PRAGMA_GET | PRAGMA_SCOPED, NULL, NULL},
    {"trusted_schema", PRAGMA_GET | PRAGMA_SCOPED, "off", NULL},
    {"legacy_alter_table", PRAGMA_GET | PRAGMA_SCOPED, "off", NULL},
    {"wal_autocheckpoint", PRAGMA_GET | PRAGMA_SCOPED, NULL, HINT_SERVER},
    {"compile_options", PRAGMA_GET | PRAGMA_SCOPED, NULL, NULL},
    {"database_list", PRAGMA_GET | PRAGMA_SCOPED, NULL, NULL}, /* our VFS's name, no path */
    {"collation_list", PRAGMA_GET | PRAGMA_SCOPED, NULL, NULL},
    {"function_list", PRAGMA_GET | PRAGMA_SCOPED, NULL, NULL},
    {"module_list", PRAGMA_GET | PRAGMA_SCOPED, NULL, NULL},
    {"pragma_list", PRAGMA_GET | PRAGMA_SCOPED, NULL, NULL},
    /* refused, with a better answer than "unknown" */
    {"wal_checkpoint", 0, NULL, HINT_SERVER},
    {"incremental_vacuum", 0, NULL, HINT_SERVER},
    {"writable_schema", 0, NULL, "change the schema with CREATE, ALTER and DROP"},
    {"ignore_check_constraints", 0, NULL, NULL},
    {"case_sensitive_like", 0, NULL, "use GLOB, or LIKE on columns with COLLATE NOCASE"},
    {NULL, 0, NULL, NULL},
};

static const char *const schema_tables[] = {"sqlite_master", "sqlite_temp_master"};

static bool in_list(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (sqlite3_stricmp(name, list[i]) == 0)
            return true;
    }
    return false;
}

#define IN_LIST(name, list) in_list((name), (list), ARRAY_LEN(list))

const struct pragma_rule *guard_pragma(const char *name)
{
    for (const struct pragma_rule *rule = guard_pragmas; rule->name != NULL; rule++) {
        if (sqlite3_stricmp(rule->name, name) == 0)
            return rule;
    }
    return NULL;
}

bool guard_is_reserved(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(reserved_prefixes); i++) {
        struct str prefix = reserved_prefixes[i];

        if (name.len >= prefix.len && str_equal_nocase(str_make(name.ptr, prefix.len), prefix))
            return true;
    }
    return false;
}

bool guard_is_readable(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(readable_reserved); i++) {
        if (str_is_nocase(name, readable_reserved[i]))
            return true;
    }
    return false;
}

bool guard_may_be_shadow(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(shadow_suffixes); i++) {
        struct str suffix = str_from(shadow_suffixes[i]);

        if (name.len > suffix.len &&
            str_equal_nocase(str_make(name.ptr + name.len - suffix.len, suffix.len), suffix))
            return true;
    }
    return false;
}

bool guard_is_builtin_table(struct str name)
{
    return str_is_nocase(name, "json_each") || str_is_nocase(name, "json_tree") ||
           str_starts_with_nocase(name, "pragma_");
}

bool guard_is_cheap_function(const char *name)
{
    return IN_LIST(name, cheap_functions);
}

static bool spend(const struct guard_event *event)
{
    struct guard_scan *scan = event->scan;

    if (scan->left_bytes < event->sql.len)
        scan->exhausted = true;
    else
        scan->left_bytes -= event->sql.len;
    return !scan->exhausted;
}

bool guard_names(const struct guard_event *event, struct str name)
{
    return !spend(event) || sql_names(event->sql, name);
}

bool guard_may_define(const struct guard_event *event, struct str name)
{
    return !spend(event) || sql_may_define(event->sql, name);
}

static enum guard_answer refuse_reserved(const char *name, struct err *ret_err)
{
    (void)err_set(ret_err, ERR_GUARD,
        "\"%s\" is reserved: names that begin with _rookery_ or "
        "_persql_ belong to the server",
        name);
    return GUARD_DENY;
}

static bool is_reserved(const char *name)
{
    return name != NULL && guard_is_reserved(str_from(name));
}

static enum guard_answer refuse_pragma(
    const char *name, const char *hint, const char *what, struct err *ret_err)
{
    (void)err_set(ret_err, ERR_GUARD, "PRAGMA %s %s%s%s", name, what, hint == NULL ? "" : ": ",
        hint == NULL ? "" : hint);
    return GUARD_DENY;
}

static enum guard_answer check_pragma(
    const struct guard_event *event, const struct connection_context *context, struct err *ret_err)
{
    const struct pragma_rule *rule = guard_pragma(event->first);
    const char *value = event->second;

    if (rule == NULL || rule->flags == 0)
        return refuse_pragma(
            event->first, rule == NULL ? NULL : rule->hint, "is not available", ret_err);
    if (value == NULL) {
        if ((rule->flags & PRAGMA_GET) != 0)
            return GUARD_ALLOW;
        return refuse_pragma(rule->name, NULL, "needs a name in parentheses", ret_err);
    }
    if ((rule->flags & (PRAGMA_TABLE | PRAGMA_INDEX)) != 0 && is_reserved(value))
        return refuse_reserved(value, ret_err);
    if ((rule->flags & (PRAGMA_TABLE | PRAGMA_INDEX | PRAGMA_ANY | PRAGMA_SET | PRAGMA_REQUEST)) !=
        0)
        return GUARD_ALLOW;
    if ((rule->flags & PRAGMA_STREAM) != 0) {
        if (!context->stateless)
            return GUARD_ALLOW;
        return refuse_pragma(rule->name, "it would not outlast this request",
            "can be set on a stream only", ret_err);
    }
    if (rule->same != NULL && sqlite3_stricmp(value, rule->same) == 0)
        return GUARD_ALLOW;
    return refuse_pragma(rule->name, rule->hint, "cannot be set", ret_err);
}

bool guard_is_create_or_drop(int action)
{
    switch (action) {
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_CREATE_VIEW:
    case SQLITE_CREATE_VTABLE:
    case SQLITE_DROP_INDEX:
    case SQLITE_DROP_TABLE:
    case SQLITE_DROP_TRIGGER:
    case SQLITE_DROP_VIEW:
    case SQLITE_DROP_VTABLE:
        return true;
    default:
        return false;
    }
}

bool guard_is_temp(const struct guard_event *event)
{
    bool in_temp = event->database != NULL && sqlite3_stricmp(event->database, "temp") == 0;

    switch (event->action) {
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_TEMP_VIEW:
    case SQLITE_DROP_TEMP_INDEX:
    case SQLITE_DROP_TEMP_TABLE:
    case SQLITE_DROP_TEMP_TRIGGER:
    case SQLITE_DROP_TEMP_VIEW:
        return true;
    case SQLITE_INSERT: /* ALTER only updates there */
    case SQLITE_DELETE:
        return in_temp && (IN_LIST(event->first, schema_tables));
    default:
        return in_temp && guard_is_create_or_drop(event->action);
    }
}

/* Reads and writes of what is in the modules that the engine keeps for itself. */
static enum guard_answer check_module(const struct guard_event *event, struct err *ret_err)
{
    if (IN_LIST(event->first, engine_modules)) {
        (void)err_set(
            ret_err, ERR_GUARD, "the virtual table \"%s\" is not available", event->first);
        return GUARD_DENY;
    }
    return GUARD_ALLOW;
}

static enum guard_answer check_read(const struct guard_event *event, struct err *ret_err)
{
    if (is_reserved(event->first) && !guard_is_readable(str_from(event->first)))
        return refuse_reserved(event->first, ret_err);
    return check_module(event, ret_err);
}

static bool is_named(const struct guard_event *event, const char *name)
{
    return event->via != NULL || guard_names(event, str_from(name));
}

static enum guard_answer check_virtual(const struct guard_event *event, struct err *ret_err)
{
    if (is_reserved(event->first))
        return refuse_reserved(event->first, ret_err);
    if (event->action == SQLITE_CREATE_VTABLE) {
        size_t i = 0;

        while (guard_modules[i] != NULL && sqlite3_stricmp(guard_modules[i], event->second) != 0)
            i++;
        if (guard_modules[i] == NULL || IN_LIST(event->second, engine_modules)) {
            (void)err_set(ret_err, ERR_GUARD,
                "virtual tables can use fts5, fts5vocab and rtree, not \"%s\"", event->second);
            return GUARD_DENY;
        }
    }
    return GUARD_ALLOW;
}

enum guard_answer guard_check(
    const struct guard_event *event, const struct connection_context *context, struct err *ret_err)
{
    if (context->stateless && guard_is_temp(event)) {
        (void)err_set(ret_err, ERR_GUARD,
            "temporary objects need a stream: this request keeps no connection of its own");
        return GUARD_DENY;
    }
    switch (event->action) {
    case SQLITE_READ:
        return check_read(event, ret_err);
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
        return is_reserved(event->first) ? refuse_reserved(event->first, ret_err)
                                         : check_module(event, ret_err);
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_VIEW:
    case SQLITE_CREATE_TEMP_VIEW:
    case SQLITE_DROP_TABLE:
    case SQLITE_DROP_TEMP_TABLE:
    case SQLITE_DROP_VIEW:
    case SQLITE_DROP_TEMP_VIEW:
        return is_reserved(event->first) ? refuse_reserved(event->first, ret_err) : GUARD_ALLOW;
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_DROP_INDEX:
    case SQLITE_DROP_TEMP_INDEX:
    case SQLITE_DROP_TRIGGER:
    case SQLITE_DROP_TEMP_TRIGGER:
    case SQLITE_ALTER_TABLE:
        if (is_reserved(event->first))
            return refuse_reserved(event->first, ret_err);
        return is_reserved(event->second) ? refuse_reserved(event->second, ret_err) : GUARD_ALLOW;
    case SQLITE_CREATE_VTABLE:
    case SQLITE_DROP_VTABLE:
        return check_virtual(event, ret_err);
    case SQLITE_ANALYZE:
    case SQLITE_REINDEX:
        if (!is_reserved(event->first))
            return GUARD_ALLOW;
        return is_named(event, event->first) ? refuse_reserved(event->first, ret_err) : GUARD_SKIP;
    case SQLITE_PRAGMA:
        return check_pragma(event, context, ret_err);
    case SQLITE_FUNCTION:
        if (event->second == NULL || !IN_LIST(event->second, refused_functions))
            return GUARD_ALLOW;
        (void)err_set(ret_err, ERR_GUARD, "the function %s() is not available", event->second);
        return GUARD_DENY;
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
        return GUARD_ALLOW;
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
        (void)err_set(ret_err, ERR_GUARD,
            "%s is not available: a request reaches one database; "
            "name another one in its path",
            event->action == SQLITE_ATTACH ? "ATTACH" : "DETACH");
        return GUARD_DENY;
    default: /* what a newer SQLite may ask */
        (void)err_set(ret_err, ERR_GUARD, "this kind of statement is not available");
        return GUARD_DENY;
    }
}

static int refuse_text(struct err *ret_err)
{
    return err_set(ret_err, ERR_GUARD,
        "names that begin with _rookery_ or _persql_ belong to the "
        "server, and this statement uses one");
}

int guard_check_text(struct str sql, const struct sql_verb *verb, struct err *ret_err)
{
    static const char *const ddl[] = {"CREATE", "ALTER", "DROP", "REINDEX", "ANALYZE"};
    bool is_ddl = false;
    bool found = false;

    for (size_t i = 0; i < ARRAY_LEN(ddl); i++)
        is_ddl = is_ddl || str_is_nocase(verb->word, ddl[i]);

    if (str_is_nocase(verb->word, "VACUUM"))
        return err_set(
            ret_err, ERR_GUARD, "VACUUM is not available: the server reuses free pages by itself");
    if (str_is_nocase(verb->word, "ATTACH") || str_is_nocase(verb->word, "DETACH"))
        return err_set(ret_err, ERR_GUARD,
            "%s is not available: a request reaches one database; "
            "name another one in its path",
            str_is_nocase(verb->word, "ATTACH") ? "ATTACH" : "DETACH");
    for (size_t i = 0; i < ARRAY_LEN(reserved_prefixes); i++)
        found = found || sql_contains(sql, reserved_prefixes[i]);
    if (!found)
        return 0;
    /* Arguments of virtual tables are unquoted by their modules: any occurrence counts. */
    if (is_ddl && sql_has_word(sql, "VIRTUAL"))
        return refuse_text(ret_err);
    if (!is_ddl && !sql_has_word(sql, "USING") && !sql_has_word(sql, "NATURAL"))
        return 0; /* the authorizer is told of every table */
    for (size_t i = 0; i < ARRAY_LEN(reserved_prefixes); i++) {
        if (sql_names_prefix(sql, reserved_prefixes[i]))
            return refuse_text(ret_err);
    }
    return 0;
}
