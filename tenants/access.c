#include "tenants/access.h"

#include <sqlite3.h>

#include "tenants/base/mem.h"
#include "tenants/sql_error.h"

enum passed_as { AS_STATELESS = 1, AS_READ_ONLY = 2 };

struct access_set *access_new(void)
{
    return mem_zalloc(sizeof(struct access_set));
}

void access_free(struct access_set *set)
{
    if (set == NULL)
        return;
    access_free(set->vias);
    mem_free(set->names);
    mem_free(set);
}

size_t access_bytes(const struct access_set *set)
{
    return sizeof(*set) + set->capacity_bytes + (set->vias == NULL ? 0 : access_bytes(set->vias));
}

void access_flag(struct access_set *set, unsigned flags)
{
    if ((set->flags & flags) == flags)
        return;
    set->flags |= flags;
    set->changes++;
}

static bool has_name(const struct access_set *set, const char *name)
{
    const char *at = set->names;

    for (unsigned i = 0; i < set->count; i++) {
        if (sqlite3_stricmp(at, name) == 0)
            return true;
        at += strlen(at) + 1;
    }
    return false;
}

void access_add(struct access_set *set, const char *name)
{
    size_t size = strlen(name) + 1;

    if (has_name(set, name))
        return;
    if (set->count >= ACCESS_NAMES_MAX || size > UINT16_MAX) {
        access_flag(set, ACCESS_UNSCOPED);
        return;
    }
    if (set->used_bytes + size > set->capacity_bytes) {
        set->capacity_bytes = (uint32_t)(set->used_bytes + size) * 3 / 2;
        set->names = mem_realloc(set->names, set->capacity_bytes);
    }
    memcpy(set->names + set->used_bytes, name, size);
    set->used_bytes += (uint32_t)size;
    set->count++;
    set->changes++;
}

static bool is_schema_table(const char *name)
{
    return sqlite3_stricmp(name, "sqlite_master") == 0 ||
           sqlite3_stricmp(name, "sqlite_temp_master") == 0;
}

/* SQLite reports the schema table by its old name, whichever of two the text has. */
static bool is_named(const struct guard_event *event, const char *name)
{
    if (guard_names(event, str_from(name)))
        return true;
    return is_schema_table(name) && (guard_names(event, STR_LITERAL("sqlite_schema")) ||
                                        guard_names(event, STR_LITERAL("sqlite_temp_schema")));
}

/* The statement itself names the table: not a view, a trigger, or a virtual table's own SQL. */
static bool is_direct(const struct guard_event *event)
{
    if (event->via != NULL && !guard_may_define(event, str_from(event->via)))
        return false;
    return is_named(event, event->first);
}

static bool is_set(const struct guard_event *event, const struct pragma_rule *rule, unsigned flag)
{
    return event->second != NULL && (rule->flags & flag) != 0;
}

static void note_pragma(struct access_set *set, const struct guard_event *event)
{
    const struct pragma_rule *rule = guard_pragma(event->first);

    /* FTS5 asks for data_version, and pragma_…() for its pragma: judged each time it happens. */
    if (rule == NULL || !guard_names(event, str_from(event->first)))
        return;
    access_flag(set, ACCESS_PRAGMA);
    if ((rule->flags & PRAGMA_DDL) != 0)
        access_flag(set, ACCESS_DDL);
    if ((rule->flags & PRAGMA_SCOPED) == 0)
        access_flag(set, ACCESS_UNSCOPED);
    if (is_set(event, rule, PRAGMA_SET))
        access_flag(set, ACCESS_WRITES);
    if (is_set(event, rule, PRAGMA_REQUEST))
        access_flag(set, ACCESS_SETS);
    if (is_set(event, rule, PRAGMA_STREAM))
        access_flag(set, ACCESS_STATEFUL);
    if ((rule->flags & PRAGMA_ALONE) != 0 &&
        (event->second != NULL || (rule->flags & PRAGMA_DDL) != 0))
        access_flag(set, ACCESS_ALONE);
    if (is_set(event, rule, PRAGMA_TABLE))
        access_add(set, event->second);
}

/* SQLite flattens a view of which no column is used, as in `SELECT 1 FROM view, t`, and then never
 * tells of the view itself: only of what happens in its name. */
static void note_via(struct access_set *set, const struct guard_event *event)
{
    unsigned before;

    if (event->via == NULL || (set->vias != NULL && has_name(set->vias, event->via)) ||
        !is_named(event, event->via))
        return;
    if (set->vias == NULL)
        set->vias = access_new();
    before = set->vias->changes;
    access_add(set->vias, event->via);
    if (set->vias->changes != before)
        set->changes++;
    if ((set->vias->flags & ACCESS_UNSCOPED) != 0)
        access_flag(set, ACCESS_UNSCOPED);
}

void access_note(struct access_set *set, const struct guard_event *event)
{
    note_via(set, event);
    if (guard_is_temp(event))
        access_flag(set, ACCESS_STATEFUL);
    switch (event->action) {
    case SQLITE_READ:
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
        if (event->first != NULL && !has_name(set, event->first) && is_direct(event))
            access_add(set, event->first);
        if (event->scan->exhausted)
            access_flag(set, ACCESS_UNSCOPED);
        return;
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
        access_flag(set, ACCESS_TRANSACTION);
        return;
    case SQLITE_PRAGMA:
        note_pragma(set, event);
        return;
    default:
        return;
    }
}

/* A common table expression of the statement's own, or a table-valued function: SQLite reports them
 * like tables when no column of theirs is used. The schema tells (check_schema). */
static bool may_be_no_table(const struct guard_event *event, const char *name)
{
    return guard_is_builtin_table(str_from(name)) ||
           (guard_may_define(event, str_from(name)) && !event->scan->exhausted);
}

static int refuse_scope(const char *table, struct err *ret_err)
{
    return err_set(ret_err, ERR_TABLE_SCOPE, "Token scope does not include table \"%s\"", table);
}

static int refuse_role(const struct connection_context *context, const char *what,
    const char *capability, struct err *ret_err)
{
    const struct principal *principal = context->principal;

    if (context->read_only)
        return err_set(
            ret_err, ERR_ROLE_FORBIDS, "This request is read-only, and the statement %s", what);
    return err_set(ret_err, ERR_ROLE_FORBIDS,
        "Role \"%.*s\" does not allow this: the statement %s, which needs %s",
        STR_ARGS(principal->role), what, capability);
}

static int judge_write(const struct connection_context *context, struct err *ret_err)
{
    if (!context->read_only &&
        (context->principal == NULL || principal_has(context->principal, CAP_WRITE)))
        return 0;
    return refuse_role(context, "writes", "role readwrite or owner", ret_err);
}

static int judge_ddl(const struct connection_context *context, struct err *ret_err)
{
    if (context->read_only ||
        (context->principal != NULL && !principal_has(context->principal, CAP_DDL)))
        return refuse_role(context, "changes the schema", "role owner", ret_err);
    if (context->principal != NULL && context->principal->table_count > 0)
        return err_set(ret_err, ERR_TABLE_SCOPE,
            "Token scope does not include changes to the schema: it is limited to tables");
    return 0;
}

static int judge_stateful(const struct connection_context *context, struct err *ret_err)
{
    if (context->stateless)
        return err_set(ret_err, ERR_GUARD,
            "temporary objects and lasting settings need a stream: this request keeps no "
            "connection of its own");
    if (context->principal != NULL && context->principal->table_count > 0)
        return err_set(ret_err, ERR_TABLE_SCOPE,
            "Token scope does not include temporary objects: it is limited to tables");
    return judge_write(context, ret_err);
}

static int judge_unscoped(const struct connection_context *context, struct err *ret_err)
{
    if (context->principal == NULL || context->principal->table_count == 0)
        return 0;
    return err_set(ret_err, ERR_TABLE_SCOPE,
        "Token scope does not include this statement: it tells of tables it does not name");
}

static int judge_table(
    const struct connection_context *context, const char *table, struct err *ret_err)
{
    if (context->principal == NULL || principal_has_table(context->principal, str_from(table)))
        return 0;
    return refuse_scope(table, ret_err);
}

static int judge_pragma(
    const struct guard_event *event, const struct connection_context *context, struct err *ret_err)
{
    const struct pragma_rule *rule = guard_pragma(event->first);

    if (rule == NULL)
        return 0; /* the guard has refused it */
    if ((rule->flags & PRAGMA_DDL) != 0 && judge_ddl(context, ret_err) < 0)
        return -1;
    if ((rule->flags & PRAGMA_SCOPED) == 0 && judge_unscoped(context, ret_err) < 0)
        return -1;
    if (is_set(event, rule, PRAGMA_SET) && judge_write(context, ret_err) < 0)
        return -1;
    if (is_set(event, rule, PRAGMA_STREAM) && judge_stateful(context, ret_err) < 0)
        return -1;
    if (is_set(event, rule, PRAGMA_TABLE))
        return judge_table(context, event->second, ret_err);
    return 0;
}

/* R-tree compiles writes to its shadow tables even for a SELECT: neither the text nor a trigger
 * names those. */
static int judge_change(const struct guard_event *event, const struct connection_context *context,
    bool is_explain, struct err *ret_err)
{
    bool allowed = judge_write(context, NULL) == 0;

    if (!allowed && !is_explain && !is_schema_table(event->first) &&
        (event->via != NULL || is_named(event, event->first)))
        return judge_write(context, ret_err);
    return 0;
}

int access_judge(const struct guard_event *event, const struct connection_context *context,
    bool is_explain, struct err *ret_err)
{
    if (guard_is_temp(event))
        return judge_stateful(context, ret_err);
    if (guard_is_create_or_drop(event->action))
        return is_explain ? 0 : judge_ddl(context, ret_err);
    switch (event->action) {
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
        if (judge_change(event, context, is_explain, ret_err) < 0)
            return -1;
        break;
    case SQLITE_READ:
        break;
    case SQLITE_ALTER_TABLE:
    case SQLITE_REINDEX:
    case SQLITE_ANALYZE:
        return is_explain ? 0 : judge_ddl(context, ret_err);
    case SQLITE_PRAGMA:
        return judge_pragma(event, context, ret_err);
    default:
        return 0;
    }
    if (context->principal == NULL || event->first == NULL ||
        principal_has_table(context->principal, str_from(event->first)) || !is_direct(event) ||
        may_be_no_table(event, event->first))
        return 0;
    return refuse_scope(event->first, ret_err);
}

/* A statement and a token with a scope. */
struct scope_check {
    const struct access_set *set;
    struct guard_event text; /* only `sql` and `scan` */
    struct sqlite3 *db;
    const struct principal *principal;
    bool joins; /* by USING or NATURAL */
};

static int refuse_if_outside(
    const struct scope_check *check, const char *table, bool is_view, struct err *ret_err)
{
    struct str name = str_from(table);

    if (principal_has_table(check->principal, name))
        return 0;
    if (has_name(check->set, table) || (check->joins && guard_names(&check->text, name)) ||
        (is_view && check->set->vias != NULL && has_name(check->set->vias, table)))
        return refuse_scope(table, ret_err);
    return 0;
}

/* Compares the text with the tables and views there are: a name of the set that is one of them, a
 * view things are reached through, or any name in a text that joins by USING or NATURAL. */
static int check_schema(const struct scope_check *check, struct err *ret_err)
{
    static const char *const schema_tables[] = {
        "sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema"};
    struct sqlite3_stmt *statement = NULL;
    int rc;

    for (size_t i = 0; i < ARRAY_LEN(schema_tables); i++) {
        if (refuse_if_outside(check, schema_tables[i], false, ret_err) < 0)
            return -1;
    }
    rc = sqlite3_prepare_v2(check->db,
        "SELECT name, type = 'view' FROM sqlite_schema WHERE type IN ('table', 'view')", -1,
        &statement, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *table = (const char *)sqlite3_column_text(statement, 0);

        if (table != NULL &&
            refuse_if_outside(check, table, sqlite3_column_int(statement, 1) != 0, ret_err) < 0) {
            (void)sqlite3_finalize(statement);
            return -1;
        }
        rc = SQLITE_OK;
    }
    if (rc != SQLITE_DONE)
        (void)sql_err_set(ret_err, check->db, rc);
    (void)sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? 0 : -1;
}

static int check_scope(
    const struct scope_check *check, const struct connection_context *context, struct err *ret_err)
{
    const char *name = check->set->names;
    bool ask = check->joins || check->set->vias != NULL;

    if ((check->set->flags & ACCESS_UNSCOPED) != 0 && judge_unscoped(context, ret_err) < 0)
        return -1;
    for (unsigned i = 0; i < check->set->count; i++) {
        if (judge_table(context, name, NULL) < 0) {
            if (!may_be_no_table(&check->text, name))
                return refuse_scope(name, ret_err);
            ask = true;
        }
        name += strlen(name) + 1;
    }
    return ask ? check_schema(check, ret_err) : 0;
}

int access_check(struct access_set *set, struct str sql, struct sqlite3 *db,
    const struct connection_context *context, struct err *ret_err)
{
    uint64_t serial = context->principal == NULL ? 0 : context->principal->serial;
    uint8_t as = (uint8_t)((context->stateless ? AS_STATELESS : 0) |
                           (context->read_only ? AS_READ_ONLY : 0));

    if (likely(serial != 0 && set->passed_serial == serial && set->passed_as == as))
        return 0;
    if ((set->flags & ACCESS_WRITES) != 0 && judge_write(context, ret_err) < 0)
        return -1;
    if ((set->flags & ACCESS_DDL) != 0 && judge_ddl(context, ret_err) < 0)
        return -1;
    if ((set->flags & ACCESS_STATEFUL) != 0 && judge_stateful(context, ret_err) < 0)
        return -1;
    if (context->principal != NULL && context->principal->table_count > 0) {
        struct guard_scan scan = {.left_bytes = GUARD_SCAN_BYTES};
        struct scope_check check = {
            .set = set,
            .text = {.sql = sql, .scan = &scan},
            .db = db,
            .principal = context->principal,
            .joins = sql_has_word(sql, "USING") || sql_has_word(sql, "NATURAL"),
        };

        if (check_scope(&check, context, ret_err) < 0)
            return -1;
    }
    set->passed_serial = serial;
    set->passed_as = as;
    return 0;
}
