/* PUT /v1/db/:tenant/:database/import: a new database from a SQLite file or SQL text.
 *
 *     checks of the head -> is the name free? -> pieces to disk -> checked -> a row in the
 * catalogue
 *     -> opened once -> answered
 *
 * Until the row nothing can be seen of it; whatever fails before leaves nothing. */
#include "tenants/import.h"
#include "proto/persql/persql.h"
#include "tenants/slug.h"

struct importing {
    struct exchange *x;
    struct import *import;
    struct import_options options;
    struct import_result result;
    char slug[SLUG_DATABASE_MAX + 1];
    size_t slug_len;
    bool is_whole; /* the last piece is being written */
    struct err err;
    const struct database_info *made;
};

static struct str slug_of(const struct importing *importing)
{
    return str_make(importing->slug, importing->slug_len);
}

/* ---- the end ---- */

static void answer_failure(struct exchange *x)
{
    struct importing *importing = x->state;

    exchange_fail(x, &importing->err);
}

static void on_dropped(struct import *import, void *owner)
{
    struct importing *importing = owner;

    (void)import;
    importing->x->services->post(importing->x, answer_failure);
}

/* Its files go, then the client is told. Any thread that owns x. */
static void fail(struct importing *importing, const struct err *err)
{
    err_copy(&importing->err, err);
    import_end(importing->import, false, on_dropped);
}

static void write_result(struct encoder *e, const struct importing *importing)
{
    const struct import_result *result = &importing->result;

    encoder_object(e);
    encoder_key(e, "uploadedBytes");
    encoder_u64(e, result->uploaded_bytes);
    encoder_key(e, "bytes");
    encoder_u64(e, result->bytes);
    encoder_key(e, "pageSize");
    encoder_u64(e, result->page_size);
    encoder_key(e, "tables");
    encoder_u64(e, result->tables);
    if (importing->options.format == IMPORT_SQL) {
        encoder_key(e, "statements");
        encoder_u64(e, result->statements);
        encoder_key(e, "skippedStatements");
        encoder_u64(e, result->skipped);
    }
    encoder_end(e);
}

static void on_opened(struct request *request)
{
    struct exchange *x = request->owner;
    struct importing *importing = x->state;
    struct encoder e;

    if (request->err.code != ERR_NONE) {
        exchange_fail(x, &request->err);
        return;
    }
    persql_begin(x, &e);
    persql_write_database(x, &e, importing->made);
    encoder_key(&e, "imported");
    write_result(&e, importing);
    persql_finish(x, &e);
}

/* Nothing: that it opens is all that is asked. */
static int look(struct sqlite3 *db, void *argument, struct err *err)
{
    return 0;
}

static void on_found(struct exchange *x) ON(loop_thread)
{
    persql_run_procedure(x, REQUEST_READ_PROCEDURE, look, x->state, on_opened);
}

static void open_made(struct exchange *x) ON(loop_thread)
{
    struct importing *importing = x->state;

    exchange_find_database(x, slug_of(importing), on_found);
}

static void on_kept(struct import *import, void *owner)
{
    struct importing *importing = owner;

    (void)import;
    importing->x->services->post(importing->x, open_made);
}

/* ---- the catalogue ---- */

static void on_created(struct catalogue_call *call)
{
    struct exchange *x = call->owner;
    struct importing *importing = x->state;
    const struct database_list *list = call->output;

    if (call->err.code != ERR_NONE) {
        fail(importing, &call->err);
        return;
    }
    importing->made = &list->items[0];
    import_end(importing->import, true, on_kept);
}

static void create(struct exchange *x) ON(loop_thread)
{
    struct importing *importing = x->state;
    const struct family_stage *stage = import_stage(importing->import);
    struct catalogue_call *call = arena_zalloc(&x->arena, sizeof(*call));
    struct database_create_input *input = arena_zalloc(&x->arena, sizeof(*input));
    struct database_create_item *item = arena_zalloc(&x->arena, sizeof(*item));
    struct err err = ERR_INIT;

    if (call == NULL || input == NULL || item == NULL) {
        (void)err_set(&err, ERR_TOO_LARGE, "the request needs too much memory");
        fail(importing, &err);
        return;
    }
    item->slug = slug_of(importing);
    item->family_id = stage->family_id;
    item->head_id = stage->head_id;
    *input = (struct database_create_input){.tenant = x->tenant_slug, .items = item, .count = 1};
    *call = (struct catalogue_call){.catalogue = x->services->catalogue,
        .arena = &x->arena,
        .principal = x->principal,
        .done = on_created,
        .owner = x,
        .err = ERR_INIT};
    catalogue_database_create(call, input);
}

/* ---- the bytes ---- */

static void on_piece(struct exchange *x, struct buf *piece, enum body_part part) ON(loop_thread);

static void on_checked(struct import *import, void *owner)
{
    struct importing *importing = owner;

    importing->result = *import_result(import);
    if (import_error(import)->code != ERR_NONE)
        fail(importing, import_error(import));
    else
        importing->x->services->post(importing->x, create);
}

static void go_on(struct exchange *x) ON(loop_thread)
{
    exchange_next_piece(x, on_piece);
}

static void on_written(struct import *import, void *owner)
{
    struct importing *importing = owner;

    if (import_error(import)->code != ERR_NONE)
        fail(importing, import_error(import));
    else if (importing->is_whole)
        import_check(import, on_checked);
    else
        importing->x->services->post(importing->x, go_on);
}

static void on_piece(struct exchange *x, struct buf *piece, enum body_part part)
{
    struct importing *importing = x->state;
    struct err err = ERR_INIT;

    if (part == BODY_LOST) {
        (void)err_set(&err, ERR_CANCELLED, "the upload was not finished");
        fail(importing, &err);
        return;
    }
    importing->is_whole = part == BODY_END;
    import_write(importing->import, piece, on_written);
}

static void start(struct exchange *x) ON(loop_thread)
{
    struct importing *importing = x->state;
    struct err err = ERR_INIT;

    if (importing->err.code != ERR_NONE) {
        exchange_fail(x, &importing->err);
        return;
    }
    if (import_start(x->services->engine, &importing->options, &importing->import, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    exchange_next_piece(x, on_piece);
}

/* ---- the head ---- */

static void on_looked_up(struct catalogue_call *call)
{
    struct exchange *x = call->owner;
    struct importing *importing = x->state;

    if (call->err.code == ERR_NONE)
        (void)err_set(&importing->err, ERR_CONFLICT, "a database '%s' exists", importing->slug);
    else if (call->err.code != ERR_UNKNOWN_DATABASE)
        err_copy(&importing->err, &call->err);
    x->services->post(x, start);
}

static int read_type(struct exchange *x, enum import_format *ret_format, struct err *ret_err)
{
    struct str type = x->http.content_type;

    if (str_is_nocase(type, "application/vnd.sqlite3") ||
        str_is_nocase(type, "application/x-sqlite3"))
        *ret_format = IMPORT_FILE;
    else if (str_is_nocase(type, "application/sql"))
        *ret_format = IMPORT_SQL;
    else
        return err_set(ret_err, ERR_UNSUPPORTED_MEDIA_TYPE,
            "the body must be a SQLite file (application/vnd.sqlite3) or SQL text "
            "(application/sql), and say so in Content-Type");
    return 0;
}

static int check_length(struct exchange *x, uint64_t most, struct err *ret_err)
{
    struct str length = http_header_get(&x->http, "content-length");
    uint64_t bytes = 0;

    if (length.ptr == NULL) {
        if (http_header_get(&x->http, "transfer-encoding").ptr != NULL)
            return 0;
        (void)err_set(ret_err, ERR_BAD_REQUEST,
            "this route takes a body: send it with Content-Length or Transfer-Encoding: chunked");
        ret_err->native = 411;
        return -1;
    }
    if (str_to_u64(length, &bytes) < 0 || bytes > most)
        return err_set(ret_err, ERR_TOO_LARGE, "the upload is larger than %llu bytes",
            (unsigned long long)most);
    return bytes > 0 ? 0 : err_set(ret_err, ERR_BAD_REQUEST, "the body is empty");
}

static int read_check(struct exchange *x, bool *ret_quick, struct err *ret_err)
{
    struct str check = http_query_get(&x->http, &x->arena, "check");

    *ret_quick = str_is(check, "quick");
    return *ret_quick || check.len == 0 || str_is(check, "full")
               ? 0
               : err_set(ret_err, ERR_BAD_REQUEST, "'check' must be full or quick");
}

static int read_head(struct exchange *x, struct importing *importing, struct err *ret_err)
{
    const struct surface_settings *settings = x->services->settings;
    struct import_options *options = &importing->options;

    *options = (struct import_options){
        .upload_bytes = settings->max_import_bytes,
        .max_bytes = import_database_bytes(x->services->engine),
        .foreign_keys = persql_query_flag(x, "foreignKeys"),
        .tenant_id = x->principal->tenant_id,
        .cancelled = &x->client_gone,
        .owner = importing,
    };
    if (slug_database(x->params[1], importing->slug, &importing->slug_len, ret_err) < 0)
        return -1;
    if (!principal_has_database(x->principal, slug_of(importing)))
        return err_set(
            ret_err, ERR_FORBIDDEN, "the token's databases do not include '%s'", importing->slug);
    if (read_type(x, &options->format, ret_err) < 0 || read_check(x, &options->quick, ret_err) < 0)
        return -1;
    if (options->format == IMPORT_FILE)
        options->upload_bytes = MIN(options->upload_bytes, options->max_bytes);
    return check_length(x, options->upload_bytes, ret_err);
}

void persql_import(struct exchange *x)
{
    struct importing *importing = persql_zalloc(x, sizeof(*importing));
    struct catalogue_call *call = NULL;
    struct database_input *input;
    struct err err = ERR_INIT;

    if (importing == NULL)
        return;
    importing->x = x;
    importing->err = ERR_INIT;
    x->state = importing;
    if (read_head(x, importing, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    input = persql_call_with(x, on_looked_up, sizeof(*input), &call);
    if (input == NULL)
        return;
    input->tenant = x->tenant_slug;
    input->database = slug_of(importing);
    catalogue_database_get(call, input);
}
