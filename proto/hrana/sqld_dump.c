/* GET /dump: the database as SQL text, as sqlite3's .dump gives it. One read transaction, so that
 * it is consistent while writes go on; the rows leave as they are read.
 *
 * The first two statements look at the schema; what they find are the others: one per table, whose
 * begin() writes the table and whose rows are its INSERTs. Indexes, views and triggers come last.
 *
 * Virtual tables of FTS5 and R*Tree are made again and filled through themselves, which any
 * connection may do. Others, and FTS5 tables whose content is elsewhere, cannot be read that way:
 * their shadow tables are copied, for which a loading connection must not be "defensive". */
#include "proto/hrana/hrana.h"
#include "proto/hrana/sql_literal.h"
#include "tenants/base/clock.h"
#include "tenants/guard.h"
#include "tenants/sql_text.h"

#define STEPS_FIRST 32
#define SCHEMA_STATEMENTS 2

static const char versions_sql[] = "SELECT (SELECT user_version FROM pragma_user_version),"
                                   " (SELECT application_id FROM pragma_application_id)";

/* Of each table: name, sql, kind, columns, whether some are hidden, and what its rowid is called
 * where rows would lose it. */
static const char tables_sql[] =
    "SELECT s.name, s.sql, l.type,"
    " (SELECT group_concat('\"' || replace(x.name, '\"', '\"\"') || '\"', ',')"
    "  FROM pragma_table_xinfo(s.name) AS x WHERE x.hidden = 0),"
    " EXISTS (SELECT 1 FROM pragma_table_xinfo(s.name) AS x WHERE x.hidden <> 0),"
    " CASE WHEN l.type = 'table' AND l.wr = 0 AND"
    "  ((SELECT count(*) FROM pragma_table_xinfo(s.name) AS x WHERE x.pk > 0) <> 1 OR"
    "   EXISTS (SELECT 1 FROM pragma_index_list(s.name) AS i WHERE i.origin = 'pk'))"
    " THEN (SELECT r.column1 FROM (VALUES ('rowid'), ('_rowid_'), ('oid')) AS r WHERE NOT EXISTS"
    "  (SELECT 1 FROM pragma_table_xinfo(s.name) AS x WHERE lower(x.name) = r.column1) LIMIT 1) END"
    " FROM sqlite_schema AS s JOIN pragma_table_list(s.name) AS l ON l.schema = 'main'"
    /* The server's own, which the guard keeps pragmas from, too. */
    " WHERE s.type = 'table' AND lower(substr(s.name, 1, 9)) <> '_rookery_'"
    " AND lower(substr(s.name, 1, 8)) <> '_persql_' ORDER BY s.rowid";

static const char objects_sql[] =
    "SELECT tbl_name, sql FROM sqlite_schema"
    " WHERE type IN ('index', 'view', 'trigger') AND sql IS NOT NULL"
    " ORDER BY CASE type WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, rowid";

enum step_kind { STEP_ROWS, STEP_OBJECTS };

struct step {
    enum step_kind kind;
    struct str head;   /* written once, before the rows */
    struct str first;  /* written before the first row, if there is one */
    struct str prefix; /* of each row, up to its values */
};

struct table {
    struct table *next;
    struct str name;
    struct str sql;
    struct str kind;    /* of pragma table_list */
    struct str columns; /* quoted, with commas; len 0: none */
    struct str rowid;   /* len 0: need not be carried */
    struct str module;  /* of a virtual one */
    bool lists_columns;
    bool is_filled; /* a virtual one: through itself */
};

struct dump {
    struct sink sink; /* first */
    struct exchange *x;
    struct table *tables;
    struct table **last;
    struct statement_input *statements;
    struct step *steps;
    unsigned count;
    unsigned capacity;
    unsigned at; /* the statement that runs */
    bool in_rows;
    bool failed; /* no memory for what the schema says */
};

static struct dump *of(struct sink *sink)
{
    return CONTAINER_OF(sink, struct dump, sink);
}

static void dispose(void *state)
{
    buf_fini(&((struct dump *)state)->sink.out);
}

static void write_statement(struct buf *out, struct str sql)
{
    buf_str(out, sql);
    if (sql_contains(sql, STR_LITERAL("--"))) /* it may end in a comment */
        buf_char(out, '\n');
    buf_literal(out, ";\n");
}

/* ---- what is to be read ---- */

static struct str keep(struct dump *dump, struct str text)
{
    struct str kept = arena_str(&dump->x->arena, text);

    dump->failed = dump->failed || kept.ptr == NULL;
    return kept.ptr == NULL ? str_make("", 0) : kept;
}

/* What was put together in `text`, which is emptied for the next. */
static struct str keep_buf(struct dump *dump, struct buf *text)
{
    struct str kept = keep(dump, buf_view(text));

    dump->failed = dump->failed || text->failed;
    buf_truncate(text, 0);
    return kept;
}

static struct step *add_step(struct dump *dump, struct str sql)
{
    static struct step none;
    struct arena *arena = &dump->x->arena;

    if (dump->count == dump->capacity) {
        unsigned capacity = MAX(dump->capacity * 2, (unsigned)STEPS_FIRST);
        struct statement_input *statements = arena_array(arena, capacity, sizeof(*statements));
        struct step *steps = arena_array(arena, capacity, sizeof(*steps));

        if (statements == NULL || steps == NULL) {
            dump->failed = true;
            return &none;
        }
        if (dump->count > 0) {
            memcpy(statements, dump->statements, dump->count * sizeof(*statements));
            memcpy(steps, dump->steps, dump->count * sizeof(*steps));
        }
        dump->statements = statements;
        dump->steps = steps;
        dump->capacity = capacity;
    }
    dump->statements[dump->count] = (struct statement_input){.sql = sql};
    dump->steps[dump->count] = (struct step){.kind = STEP_ROWS, .head = str_make("", 0)};
    return &dump->steps[dump->count++];
}

/* SELECT of a table's rows, and the INSERT before each. */
static struct step *add_rows(struct dump *dump, const struct table *table, struct buf *text)
{
    bool all = table->lists_columns || table->rowid.len > 0;
    struct step *step;

    buf_literal(text, "SELECT ");
    buf_str(text, table->rowid);
    if (table->rowid.len > 0)
        buf_char(text, ',');
    buf_str(text, table->columns);
    buf_literal(text, " FROM ");
    sql_literal_name(text, table->name);
    step = add_step(dump, keep_buf(dump, text));
    buf_literal(text, "INSERT INTO ");
    sql_literal_name(text, table->name);
    if (all) {
        buf_char(text, '(');
        buf_str(text, table->rowid);
        if (table->rowid.len > 0)
            buf_char(text, ',');
        buf_str(text, table->columns);
        buf_char(text, ')');
    }
    buf_literal(text, " VALUES(");
    step->prefix = keep_buf(dump, text);
    return step;
}

/* FTS5 keeps settings beside the rows: they are set as its users set them. */
static void add_settings(struct dump *dump, const struct table *table, struct buf *text)
{
    struct buf config;
    struct step *step;

    buf_init(&config, 0);
    buf_str(&config, table->name);
    buf_literal(&config, "_config");
    buf_literal(text, "SELECT k, v FROM ");
    sql_literal_name(text, buf_view(&config));
    buf_literal(text, " WHERE k <> 'version'");
    buf_fini(&config);
    step = add_step(dump, keep_buf(dump, text));
    buf_literal(text, "INSERT INTO ");
    sql_literal_name(text, table->name);
    buf_char(text, '(');
    sql_literal_name(text, table->name);
    buf_literal(text, ",rank) VALUES(");
    step->prefix = keep_buf(dump, text);
}

/* The virtual table that a shadow table belongs to; NULL: an ordinary one, by its name only. */
static const struct table *owner_of(const struct dump *dump, const struct table *shadow)
{
    const struct table *found = NULL;

    for (const struct table *table = dump->tables; table != NULL; table = table->next) {
        size_t len = table->name.len;

        if (str_is(table->kind, "virtual") && shadow->name.len > len + 1 &&
            shadow->name.ptr[len] == '_' &&
            str_equal_nocase(str_make(shadow->name.ptr, len), table->name) &&
            (found == NULL || found->name.len < len))
            found = table;
    }
    return found;
}

static void add_table(struct dump *dump, const struct table *table, struct buf *text)
{
    bool is_virtual = str_is(table->kind, "virtual");
    const struct table *owner = str_is(table->kind, "shadow") ? owner_of(dump, table) : NULL;
    struct step *step;

    if (owner != NULL) {
        if (owner->is_filled)
            return;
        step = add_rows(dump, table, text);
        buf_literal(text, "DELETE FROM ");
        sql_literal_name(text, table->name);
        buf_literal(text, ";\n");
        step->head = keep_buf(dump, text);
        return;
    }
    if (is_virtual && !table->is_filled)
        step = add_step(dump, STR_LITERAL("SELECT 1 WHERE 0"));
    else
        step = add_rows(dump, table, text);
    write_statement(text, table->sql);
    step->head = keep_buf(dump, text);
    if (table->is_filled && str_is_nocase(table->module, "fts5"))
        add_settings(dump, table, text);
}

/* SQLite's own tables, which nobody can create. */
static void add_own(struct dump *dump, const struct table *table, struct buf *text)
{
    struct step *step;

    if (str_is(table->name, "sqlite_sequence")) {
        step = add_rows(dump, table, text);
        step->first = STR_LITERAL("DELETE FROM sqlite_sequence;\n");
    } else if (str_is(table->name, "sqlite_stat1")) {
        step = add_rows(dump, table, text);
        step->first = STR_LITERAL("ANALYZE sqlite_schema;\n");
    }
}

static bool is_own(const struct table *table)
{
    return str_starts_with(table->name, "sqlite_");
}

static void plan(struct dump *dump)
{
    struct buf text;

    buf_init(&text, 0);
    for (const struct table *table = dump->tables; table != NULL; table = table->next) {
        if (!is_own(table))
            add_table(dump, table, &text);
    }
    for (const struct table *table = dump->tables; table != NULL; table = table->next) {
        if (is_own(table))
            add_own(dump, table, &text);
    }
    buf_fini(&text);
    add_step(dump, str_from(objects_sql))->kind = STEP_OBJECTS;
    if (dump->failed)
        return;
    dump->x->request.statements = dump->statements;
    dump->x->request.statement_count = dump->count;
}

/* ---- the schema ---- */

/* Of CREATE VIRTUAL TABLE … USING module(…). */
static void read_module(struct table *table)
{
    struct str rest = table->sql;
    struct sql_token token = sql_next(&rest);
    bool elsewhere = false;

    while (token.kind != SQL_TOKEN_END && !sql_token_is(token, "USING"))
        token = sql_next(&rest);
    table->module = sql_next(&rest).raw;
    for (token = sql_next(&rest); token.kind != SQL_TOKEN_END;) {
        bool is_content = sql_token_names(token, STR_LITERAL("content"));

        token = sql_next(&rest);
        elsewhere = elsewhere || (is_content && str_is(token.raw, "="));
    }
    if (str_is_nocase(table->module, "fts5") && !elsewhere) {
        table->is_filled = true;
        table->rowid = STR_LITERAL("rowid");
    } else if (str_is_nocase(table->module, "rtree") || str_is_nocase(table->module, "rtree_i32")) {
        table->is_filled = true;
    }
}

static struct str text_of(struct dump *dump, const struct value *value)
{
    return value->type == VALUE_TEXT ? keep(dump, value->bytes) : str_make("", 0);
}

static void read_table(struct dump *dump, const struct value *values)
{
    struct table *table;

    if (values[0].type != VALUE_TEXT || guard_is_reserved(values[0].bytes))
        return;
    table = arena_zalloc(&dump->x->arena, sizeof(*table));
    if (table == NULL) {
        dump->failed = true;
        return;
    }
    table->name = text_of(dump, &values[0]);
    table->sql = text_of(dump, &values[1]);
    table->kind = text_of(dump, &values[2]);
    table->columns = text_of(dump, &values[3]);
    table->lists_columns = values[4].type == VALUE_INTEGER && values[4].integer != 0;
    table->rowid = text_of(dump, &values[5]);
    if (str_is(table->kind, "virtual"))
        read_module(table);
    *dump->last = table;
    dump->last = &table->next;
}

static void write_head(struct buf *out, const struct value *versions)
{
    static const char *const names[] = {"user_version", "application_id"};

    buf_literal(out, "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n");
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (versions[i].type == VALUE_INTEGER && versions[i].integer != 0)
            buf_printf(out, "PRAGMA %s=%lld;\n", names[i], (long long)versions[i].integer);
    }
}

/* ---- the sink ---- */

static void on_begin(
    struct sink *sink, unsigned statement, const struct column *columns, unsigned count)
{
    struct dump *dump = of(sink);

    (void)columns;
    (void)count;
    dump->at = statement;
    dump->in_rows = false;
    if (statement >= SCHEMA_STATEMENTS)
        buf_str(&sink->out, dump->steps[statement].head);
}

static void write_row(struct buf *out, struct str prefix, const struct value *values, unsigned n)
{
    buf_str(out, prefix);
    for (unsigned i = 0; i < n; i++) {
        if (i > 0)
            buf_char(out, ',');
        sql_literal_value(out, &values[i]);
    }
    buf_literal(out, ");\n");
}

static void on_row(struct sink *sink, const struct value *values, unsigned count)
{
    struct dump *dump = of(sink);
    struct buf *out = &sink->out;
    const struct step *step;

    if (dump->at == 0) {
        write_head(out, values);
        return;
    }
    if (dump->at == 1) {
        read_table(dump, values);
        return;
    }
    step = &dump->steps[dump->at];
    if (step->kind == STEP_OBJECTS) {
        if (!guard_is_reserved(values[0].bytes))
            write_statement(out, values[1].bytes);
        return;
    }
    if (!dump->in_rows)
        buf_str(out, step->first);
    dump->in_rows = true;
    write_row(out, step->prefix, values, count);
}

static void on_end(struct sink *sink, unsigned statement, const struct statement_stats *stats)
{
    struct dump *dump = of(sink);

    (void)stats;
    if (statement == SCHEMA_STATEMENTS - 1)
        plan(dump);
    if (statement + 1 == dump->count && statement >= SCHEMA_STATEMENTS)
        buf_literal(&sink->out, "COMMIT;\n");
}

static void on_error(struct sink *sink, unsigned statement, const struct err *err, struct str sql)
{
    (void)sink; /* the request's error is all there is to tell */
    (void)statement;
    (void)err;
    (void)sql;
}

static void restart(struct dump *dump)
{
    dump->tables = NULL;
    dump->last = &dump->tables;
    dump->count = 0;
    dump->failed = false;
    (void)add_step(dump, str_from(versions_sql));
    (void)add_step(dump, str_from(tables_sql));
    dump->x->request.statements = dump->statements;
    dump->x->request.statement_count = dump->count;
}

static void on_rewound(struct sink *sink)
{
    restart(of(sink));
}

static const struct sink_ops sink_ops = {
    .begin = on_begin,
    .row = on_row,
    .end = on_end,
    .error = on_error,
    .rewound = on_rewound,
};

static void on_done(struct request *request)
{
    struct exchange *x = request->owner;
    struct dump *dump = x->state;
    struct buf *out = &dump->sink.out;

    if (request->err.code == ERR_NONE && (dump->failed || out->failed))
        (void)err_set(&request->err, ERR_TOO_LARGE, "the dump needs too much memory");
    if (request->err.code != ERR_NONE && !request->streamed) {
        x->response.header_count = 0;
        exchange_fail(x, &request->err);
        return;
    }
    /* The head is out: an answer that is not whole ends without a last chunk. */
    out->failed = out->failed || request->err.code != ERR_NONE;
    buf_take(&x->response.body, out);
    x->response.body.limit_bytes = 0;
    exchange_finish(x);
}

void hrana_get_dump(struct exchange *x)
{
    hrana_dump(x, "text/plain");
}

void hrana_dump(struct exchange *x, const char *content_type)
{
    struct dump *dump = arena_zalloc(&x->arena, sizeof(*dump));
    struct err err = ERR_INIT;

    if (dump != NULL) {
        dump->x = x;
        dump->sink.ops = &sink_ops;
        restart(dump);
    }
    if (dump == NULL || dump->failed) {
        (void)err_set(&err, ERR_TOO_LARGE, "the request needs too much memory");
        exchange_fail(x, &err);
        return;
    }
    x->state = dump;
    buf_take(&dump->sink.out, &x->response.body);
    buf_reset(&dump->sink.out, SIZE_MAX);
    dump->sink.out.limit_bytes = 0; /* a chunk and a row, which has its limit */
    (void)arena_on_end(&x->arena, dispose, dump);
    x->response.status = 200;
    x->response.content_type = content_type;
    x->may_stream = true;
    x->request.kind = REQUEST_STATEMENTS;
    x->request.mode = MODE_STOP;
    x->request.single = true;
    x->request.read_only = true;
    x->request.reads_shadows = true;
    x->request.sink = &dump->sink;
    x->request.deadline_ns = clock_now_ns() + HRANA_DUMP_MS * NS_PER_MS;
    x->request.done = on_done;
    exchange_run(x);
}
