#include "tenants/sql_error.h"

#include <sqlite3.h>
#include <stdio.h>

#include "tenants/sql_text.h"

static const char *const kind_names[] = {
#define X(kind, word) [kind] = word,
    SQL_ERROR_KINDS(X)
#undef X
};

const char *sql_error_kind_name(enum sql_error_kind kind)
{
    return (unsigned)kind < SQL_ERROR_KIND_COUNT ? kind_names[kind] : "unknown";
}

/* SQLite's code -> ours. Extended codes stand before their primary code. */
static const struct {
    int native;
    enum err_code code;
} codes[] = {
    {SQLITE_IOERR_NOMEM, ERR_NOMEM},
    {SQLITE_CORRUPT_VTAB, ERR_SQL},     /* a virtual table and its content disagree: tenants can */
    {SQLITE_CORRUPT_SEQUENCE, ERR_SQL}, /* sqlite_sequence is theirs to write */
    {SQLITE_BUSY, ERR_BUSY},
    {SQLITE_LOCKED, ERR_BUSY},
    {SQLITE_PROTOCOL, ERR_BUSY},
    {SQLITE_FULL, ERR_QUOTA_EXCEEDED},
    {SQLITE_NOMEM, ERR_NOMEM},
    {SQLITE_IOERR, ERR_IO},
    {SQLITE_CANTOPEN, ERR_IO},
    {SQLITE_PERM, ERR_IO},
    {SQLITE_CORRUPT, ERR_CORRUPT},
    {SQLITE_NOTADB, ERR_CORRUPT},
    {SQLITE_FORMAT, ERR_CORRUPT},
    {SQLITE_AUTH, ERR_GUARD},
    {SQLITE_INTERRUPT, ERR_CANCELLED},
    {SQLITE_TOOBIG, ERR_TOO_LARGE},
    {SQLITE_MISUSE, ERR_BUG},
    {SQLITE_INTERNAL, ERR_BUG},
};

static enum err_code code_of(int native)
{
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (codes[i].native == native)
            return codes[i].code;
    }
    return (native & 0xff) == native ? ERR_SQL : code_of(native & 0xff);
}

/* SQLite says that something is too big, not what would be small enough. */
static void name_limit(struct err *err, struct sqlite3 *db)
{
    bool is_sql = strcmp(err->msg, "statement too long") == 0;
    int limit = sqlite3_limit(db, is_sql ? SQLITE_LIMIT_SQL_LENGTH : SQLITE_LIMIT_LENGTH, -1);

    (void)snprintf(err->msg, sizeof(err->msg), "%s longer than %d bytes",
        is_sql ? "the statement is" : "a text, a blob or a row would be", limit);
}

int sql_err_set(struct err *err, struct sqlite3 *db, int rc)
{
    int native = sqlite3_extended_errcode(db);
    bool is_last = (native & 0xff) == (rc & 0xff); /* else the connection tells of another error */

    if (err == NULL)
        return -1;
    (void)snprintf(
        err->msg, sizeof(err->msg), "%s", is_last ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    err->native = is_last ? native : rc;
    err->code = code_of(err->native);
    err->sql_offset = is_last ? sqlite3_error_offset(db) : -1;
    if (err->code == ERR_TOO_LARGE)
        name_limit(err, db);
    return -1;
}

const char *sql_result_name(int native)
{
    switch (native & 0xff) {
    case SQLITE_PERM:
        return "SQLITE_PERM";
    case SQLITE_ABORT:
        return "SQLITE_ABORT";
    case SQLITE_BUSY:
        return "SQLITE_BUSY";
    case SQLITE_LOCKED:
        return "SQLITE_LOCKED";
    case SQLITE_NOMEM:
        return "SQLITE_NOMEM";
    case SQLITE_READONLY:
        return "SQLITE_READONLY";
    case SQLITE_INTERRUPT:
        return "SQLITE_INTERRUPT";
    case SQLITE_IOERR:
        return "SQLITE_IOERR";
    case SQLITE_CORRUPT:
        return "SQLITE_CORRUPT";
    case SQLITE_FULL:
        return "SQLITE_FULL";
    case SQLITE_CANTOPEN:
        return "SQLITE_CANTOPEN";
    case SQLITE_SCHEMA:
        return "SQLITE_SCHEMA";
    case SQLITE_TOOBIG:
        return "SQLITE_TOOBIG";
    case SQLITE_CONSTRAINT:
        return "SQLITE_CONSTRAINT";
    case SQLITE_MISMATCH:
        return "SQLITE_MISMATCH";
    case SQLITE_MISUSE:
        return "SQLITE_MISUSE";
    case SQLITE_AUTH:
        return "SQLITE_AUTH";
    case SQLITE_RANGE:
        return "SQLITE_RANGE";
    default:
        return "SQLITE_ERROR";
    }
}

/* How the rest of a message is read. */
enum shape {
    SHAPE_NONE,
    SHAPE_COLUMNS,      /* t.a, t.b  or  index 'name' */
    SHAPE_CONSTRAINT,   /* a name or an expression */
    SHAPE_TABLE,        /* t, main.t */
    SHAPE_COLUMN,       /* c, t.c, main.t.c */
    SHAPE_TABLE_COLUMN, /* "table T has no column named C": the table before, the column after */
    SHAPE_QUOTED,       /* near "x": … */
    SHAPE_TABLE_FIRST,  /* T <text> */
};

/* A message is known by a piece of it; `prefix` true: by its beginning. `native`: only with this
 * primary or extended code, 0: with any. */
static const struct {
    const char *text;
    bool prefix;
    int native;
    enum sql_error_kind kind;
    enum shape shape;
} messages[] = {
    {"UNIQUE constraint failed: ", true, 0, SQL_ERROR_UNIQUE, SHAPE_COLUMNS},
    {"PRIMARY KEY must be unique", true, 0, SQL_ERROR_UNIQUE, SHAPE_NONE},
    {"NOT NULL constraint failed: ", true, 0, SQL_ERROR_NOT_NULL, SHAPE_COLUMNS},
    {"CHECK constraint failed: ", true, 0, SQL_ERROR_CHECK, SHAPE_CONSTRAINT},
    {"FOREIGN KEY constraint failed", true, 0, SQL_ERROR_FK, SHAPE_NONE},
    {"foreign key mismatch", true, 0, SQL_ERROR_FK, SHAPE_NONE},
    {" column ", false, SQLITE_CONSTRAINT_DATATYPE, SQL_ERROR_TYPE_MISMATCH, SHAPE_COLUMN},
    {"datatype mismatch", true, SQLITE_MISMATCH, SQL_ERROR_TYPE_MISMATCH, SHAPE_NONE},
    {"no such table: ", true, 0, SQL_ERROR_UNKNOWN_TABLE, SHAPE_TABLE},
    {"no such view: ", true, 0, SQL_ERROR_UNKNOWN_TABLE, SHAPE_TABLE},
    {"no such column: ", true, 0, SQL_ERROR_UNKNOWN_COLUMN, SHAPE_COLUMN},
    {"ambiguous column name: ", true, 0, SQL_ERROR_UNKNOWN_COLUMN, SHAPE_COLUMN},
    {" has no column named ", false, 0, SQL_ERROR_UNKNOWN_COLUMN, SHAPE_TABLE_COLUMN},
    {"near \"", true, 0, SQL_ERROR_SYNTAX, SHAPE_QUOTED},
    {"unrecognized token: \"", true, 0, SQL_ERROR_SYNTAX, SHAPE_QUOTED},
    {"incomplete input", true, 0, SQL_ERROR_SYNTAX, SHAPE_NONE},
    {"the SQL text holds a NUL byte", true, 0, SQL_ERROR_SYNTAX, SHAPE_NONE},
    {"too many SQL variables", true, 0, SQL_ERROR_TOO_MANY_PARAMS, SHAPE_NONE},
    {"variable number must be between", true, 0, SQL_ERROR_TOO_MANY_PARAMS, SHAPE_NONE},
    {"too many parameters", true, 0, SQL_ERROR_TOO_MANY_PARAMS, SHAPE_NONE},
    {" may not be modified", false, 0, SQL_ERROR_READONLY, SHAPE_TABLE_FIRST},
    {" because it is a view", false, 0, SQL_ERROR_READONLY, SHAPE_NONE},
    {"Token scope does not include table \"", true, 0, SQL_ERROR_UNKNOWN, SHAPE_QUOTED},
};

/* What has no telling message: by code. */
static const struct {
    int native;
    enum sql_error_kind kind;
} natives[] = {
    {SQLITE_CONSTRAINT_UNIQUE, SQL_ERROR_UNIQUE},
    {SQLITE_CONSTRAINT_PRIMARYKEY, SQL_ERROR_UNIQUE},
    {SQLITE_CONSTRAINT_ROWID, SQL_ERROR_UNIQUE},
    {SQLITE_CONSTRAINT_NOTNULL, SQL_ERROR_NOT_NULL},
    {SQLITE_CONSTRAINT_CHECK, SQL_ERROR_CHECK},
    {SQLITE_CONSTRAINT_FOREIGNKEY, SQL_ERROR_FK},
    {SQLITE_CONSTRAINT_DATATYPE, SQL_ERROR_TYPE_MISMATCH},
    {SQLITE_MISMATCH, SQL_ERROR_TYPE_MISMATCH},
    {SQLITE_READONLY, SQL_ERROR_READONLY},
    {SQLITE_BUSY, SQL_ERROR_LOCKED},
    {SQLITE_LOCKED, SQL_ERROR_LOCKED},
    {SQLITE_RANGE, SQL_ERROR_TOO_MANY_PARAMS},
};

#define OWNER_CHANGES_SCHEMA "Only the role owner may change the schema; use an owner's token."

/* kind and verb -> hint; verb NULL: any other. */
static const struct {
    enum sql_error_kind kind;
    const char *verb;
    const char *hint;
} hints[] = {
    {SQL_ERROR_UNIQUE, "INSERT",
        "A row with this key exists. To update it instead, add ON CONFLICT (…) DO UPDATE SET …; to "
        "keep it, ON CONFLICT DO NOTHING."},
    {SQL_ERROR_UNIQUE, "REPLACE", "Another row has this key."},
    {SQL_ERROR_UNIQUE, "UPDATE", "Another row already has the new value of this key."},
    {SQL_ERROR_UNIQUE, "CREATE",
        "Rows with equal keys exist; find them with GROUP BY … HAVING "
        "count(*) > 1."},
    {SQL_ERROR_NOT_NULL, "INSERT", "Give the column a value, or declare a DEFAULT for it."},
    {SQL_ERROR_NOT_NULL, "UPDATE", "The column cannot be set to NULL."},
    {SQL_ERROR_NOT_NULL, NULL, "The column needs a value."},
    {SQL_ERROR_FK, "INSERT",
        "The row that the foreign key refers to does not exist; insert it first."},
    {SQL_ERROR_FK, "REPLACE",
        "The row that the foreign key refers to does not exist; insert it first."},
    {SQL_ERROR_FK, "UPDATE",
        "The new value refers to a row that does not exist, or other rows refer to the old one."},
    {SQL_ERROR_FK, "DELETE",
        "Other rows refer to this one; delete them first, or declare ON DELETE CASCADE."},
    {SQL_ERROR_FK, "DROP", "Rows of other tables refer to this table."},
    {SQL_ERROR_CHECK, NULL, "The values do not meet the table's CHECK constraint."},
    {SQL_ERROR_UNKNOWN_TABLE, NULL, "List the tables with SELECT name FROM sqlite_schema."},
    {SQL_ERROR_UNKNOWN_COLUMN, NULL,
        "List the columns with PRAGMA table_info(…). Text is written in single quotes."},
    {SQL_ERROR_SYNTAX, NULL, "The statement is not valid SQL from this place on."},
    {SQL_ERROR_TYPE_MISMATCH, NULL, "The value does not have the column's declared type."},
    {SQL_ERROR_LOCKED, NULL, "Another request holds the database; try again."},
    {SQL_ERROR_TOO_MANY_PARAMS, NULL,
        "Send exactly one value for each parameter of the statement."},
    {SQL_ERROR_READONLY, "CREATE", OWNER_CHANGES_SCHEMA},
    {SQL_ERROR_READONLY, "DROP", OWNER_CHANGES_SCHEMA},
    {SQL_ERROR_READONLY, "ALTER", OWNER_CHANGES_SCHEMA},
    {SQL_ERROR_READONLY, NULL, "Nothing can be written here; use a token that may write."},
};

/* `text` from `at` on, empty when beyond. */
static struct str from(struct str text, size_t at)
{
    return at >= text.len ? str_make(text.ptr + text.len, 0)
                          : str_make(text.ptr + at, text.len - at);
}

static size_t find(struct str text, const char *needle)
{
    const char *at = text.len == 0 ? NULL : memmem(text.ptr, text.len, needle, strlen(needle));

    return at == NULL ? text.len : (size_t)(at - text.ptr);
}

/* main.t.c -> the part after the last dot, and the one before it. */
static void split_name(struct str name, struct str *ret_table, struct str *ret_column)
{
    struct str part;
    struct str before;
    struct str last = str_make(NULL, 0);

    do {
        part = str_split(&name, '.');
        before = last;
        last = part;
    } while (name.ptr != NULL);
    *ret_table = before;
    *ret_column = last;
}

static void read_columns(struct arena *arena, struct str rest, struct sql_error *error)
{
    struct sql_error_column *columns;
    size_t count = 1;
    struct str list = rest;

    if (str_starts_with(rest, "index '")) {
        rest = from(rest, 7);
        error->constraint = str_make(rest.ptr, str_find(rest, '\''));
        return;
    }
    for (size_t i = 0; i < rest.len; i++)
        count += rest.ptr[i] == ',';
    columns = arena_array(arena, count, sizeof(*columns));
    if (columns == NULL)
        return;
    count = 0;
    while (list.ptr != NULL) {
        struct str name = str_trim(str_split(&list, ','));

        split_name(name, &columns[count].table, &columns[count].column);
        count++;
    }
    error->columns = columns;
    error->column_count = count;
    error->table = columns[0].table;
    if (count == 1)
        error->column = columns[0].column;
}

/* `rest` is what follows the known text at `at`. */
static void read_shape(struct arena *arena, enum shape shape, struct str message, size_t at,
    struct str rest, struct sql_error *error)
{
    struct str unused;
    struct str name;

    switch (shape) {
    case SHAPE_NONE:
        return;
    case SHAPE_COLUMNS:
        read_columns(arena, rest, error);
        return;
    case SHAPE_CONSTRAINT:
        error->constraint = rest;
        return;
    case SHAPE_TABLE:
        split_name(rest, &unused, &error->table);
        return;
    case SHAPE_COLUMN: /* "no such column: x - should this be a string literal …" */
        name = str_make(rest.ptr, find(rest, " - should this"));
        if (name.len >= 2 && name.ptr[0] == '"' && name.ptr[name.len - 1] == '"')
            name = str_make(name.ptr + 1, name.len - 2);
        split_name(name, &error->table, &error->column);
        return;
    case SHAPE_TABLE_COLUMN:
        name = str_make(message.ptr, at);
        split_name(str_starts_with(name, "table ") ? from(name, 6) : name, &unused, &error->table);
        error->column = rest;
        return;
    case SHAPE_QUOTED:
        name = str_make(rest.ptr, rest.len);
        while (name.len > 0 && name.ptr[name.len - 1] != '"')
            name.len--;
        error->near = str_make(name.ptr, name.len == 0 ? 0 : name.len - 1);
        return;
    case SHAPE_TABLE_FIRST:
        name = str_make(message.ptr, at);
        split_name(str_starts_with(name, "table ") ? from(name, 6) : name, &unused, &error->table);
        return;
    }
}

static bool read_message(struct arena *arena, const struct err *err, struct sql_error *error)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        size_t at = find(error->message, messages[i].text);

        if (at == error->message.len || (messages[i].prefix && at != 0))
            continue;
        if (messages[i].native != 0 && messages[i].native != err->native &&
            messages[i].native != (err->native & 0xff))
            continue;
        error->kind = messages[i].kind;
        read_shape(arena, messages[i].shape, error->message, at,
            from(error->message, at + strlen(messages[i].text)), error);
        return true;
    }
    return false;
}

static enum sql_error_kind kind_of_code(const struct err *err)
{
    if (err->code == ERR_BUSY)
        return SQL_ERROR_LOCKED;
    if (err->code == ERR_ROLE_FORBIDS)
        return SQL_ERROR_READONLY;
    for (size_t i = 0; i < ARRAY_LEN(natives); i++) {
        if (natives[i].native == err->native || natives[i].native == (err->native & 0xff))
            return natives[i].kind;
    }
    return SQL_ERROR_UNKNOWN;
}

/* The table an INSERT, UPDATE or DELETE is about, as written; empty when it is not that plain. */
static struct str target_table(struct str sql, struct str verb)
{
    const char *before = str_is_nocase(verb, "DELETE")   ? "FROM"
                         : str_is_nocase(verb, "UPDATE") ? "UPDATE"
                                                         : "INTO";
    struct sql_token token;

    do {
        token = sql_next(&sql);
    } while (token.kind != SQL_TOKEN_END && !sql_token_is(token, before));
    token = sql_next(&sql);
    if (sql_token_is(token, "OR")) { /* UPDATE OR IGNORE t */
        (void)sql_next(&sql);
        token = sql_next(&sql);
    }
    if (token.kind == SQL_TOKEN_QUOTED)
        return str_make(token.raw.ptr + 1, token.raw.len < 2 ? 0 : token.raw.len - 2);
    return token.kind == SQL_TOKEN_WORD ? token.raw : str_make(NULL, 0);
}

static struct str find_hint(enum sql_error_kind kind, struct str verb)
{
    for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
        if (hints[i].kind == kind && (hints[i].verb == NULL || str_is_nocase(verb, hints[i].verb)))
            return str_from(hints[i].hint);
    }
    return str_make("", 0);
}

void sql_error_describe(
    struct arena *arena, const struct err *err, struct str sql, struct sql_error *ret_error)
{
    struct sql_verb verb = sql_verb(sql);

    *ret_error = (struct sql_error){.kind = SQL_ERROR_UNKNOWN, .offset = err->sql_offset};
    ret_error->message = arena_str(arena, str_from(err->msg));
    if (ret_error->message.ptr == NULL)
        ret_error->message = str_make("", 0);
    if (!read_message(arena, err, ret_error))
        ret_error->kind = kind_of_code(err);
    if (err->code == ERR_TABLE_SCOPE) {
        ret_error->table = ret_error->near;
        ret_error->near = str_make(NULL, 0);
        ret_error->hint = STR_LITERAL("Use a token whose table scope includes it.");
        return;
    }
    if (str_is(ret_error->message, "incomplete input")) {
        ret_error->hint = STR_LITERAL("The statement ends before it is whole.");
        return;
    }
    if (ret_error->kind == SQL_ERROR_FK && ret_error->table.len == 0)
        ret_error->table = arena_str(arena, target_table(sql, verb.word));
    if (ret_error->kind == SQL_ERROR_READONLY && err->code != ERR_ROLE_FORBIDS &&
        ret_error->table.len > 0)
        return; /* a system table: no token helps */
    ret_error->hint = find_hint(ret_error->kind, verb.word);
}

bool sql_err_is_syntax(const struct err *err)
{
    struct str rest = str_from(err->msg);

    if (str_starts_with(rest, "incomplete input") || str_starts_with(rest, "unrecognized token"))
        return true;
    for (; rest.len > 0; rest.ptr++, rest.len--) {
        if (str_starts_with(rest, ": syntax error"))
            return true;
    }
    return false;
}
