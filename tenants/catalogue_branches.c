/* Changes of families, step by step: noted in the catalogue, done by the engine, told by the
 * catalogue. Between the steps nothing is held but the row's `pending`, which keeps others off.
 *
 *   begin (catalogue, durable)  ->  the new head (engine)  ->  the swap, where a head is replaced
 *   (engine)  ->  end (catalogue)  ->  done;   what fails on the way is undone (catalogue). */
#include "tenants/branches.h"

#include <sqlite3.h>
#include <stdio.h>

#include "tenants/base/log.h"
#include "tenants/catalogue_internal.h"
#include "tenants/family_call.h"
#include "tenants/manifest.h"

struct steps {
    struct catalogue_call *call;
    void (*done)(struct catalogue_call *call); /* the caller's */
    const void *input;
    struct store_change change;
    struct family_call family;
    struct database *source; /* owned references */
    struct database *target;
    char ref[MANIFEST_NAME_MAX + 1];
    char from_snapshot[MANIFEST_NAME_MAX + 1];
    char keep[MANIFEST_NAME_MAX + 1];
    struct err err;                  /* what went wrong, while it is undone */
    struct database *copy_of_source; /* owned: a head that is a snapshot's way round a reader */
    char copy_head_id[ID_HEX_BYTES];
    struct request copy; /* of a schema */
    const struct str *sql;
    size_t sql_count;
};

/* ---- the ends ---- */

static void leave(struct steps *steps)
{
    struct catalogue_call *call = steps->call;

    database_unref(steps->source);
    database_unref(steps->target);
    database_unref(steps->copy_of_source);
    call->done = steps->done;
    call->done(call);
}

static void on_undone(struct catalogue_call *call)
{
    struct steps *steps = call->steps;

    if (call->err.code != ERR_NONE)
        log_error("branch.undo_failed", "code=%s", err_code_name(call->err.code));
    err_copy(&call->err, &steps->err);
    call->output = NULL;
    leave(steps);
}

static int run_undo(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct steps *steps = call->steps;

    call->changed_tenant = steps->change.source.database.tenant_id;
    return store_change_undo(store, &steps->change, err);
}

static void undo(struct steps *steps, const struct err *err)
{
    static const struct catalogue_action action = {
        .name = "branch_undo", .writes = true, .changes = true, .run = run_undo};

    err_copy(&steps->err, err);
    steps->call->done = on_undone;
    catalogue_submit(steps->call, &action, steps->input);
}

static void on_discarded(struct family_call *family)
{
    struct steps *steps = family->owner;

    undo(steps, &steps->err);
}

/* The new head was made, and is not to be used. */
static void discard(struct steps *steps, const struct err *err)
{
    err_copy(&steps->err, err);
    steps->family.op = FAMILY_DISCARD_HEAD;
    steps->family.done = on_discarded;
    engine_family_call(steps->call->catalogue->engine, &steps->family);
}

static void on_ended(struct catalogue_call *call)
{
    struct steps *steps = call->steps;

    if (call->err.code != ERR_NONE) /* done, and not told: the next start will */
        log_error("branch.end_failed", "code=%s", err_code_name(call->err.code));
    leave(steps);
}

static int snapshot_of(const struct store *store, const struct store_change *change,
    struct snapshot_info *info, struct err *err)
{
    struct str name;
    const struct store_database *of =
        change->target.database.id != 0 ? &change->target : &change->source;

    return store_snapshot_find(
        store, of->database.tenant_id, of->database.id, change->snapshot_id, info, &name, err);
}

static int run_end_branch(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct steps *steps = call->steps;
    struct branch_result *result = catalogue_output(call, sizeof(*result), err);

    if (result == NULL || store_change_end(store, &steps->change, &result->info, err) < 0)
        return -1;
    result->is_new = steps->change.is_new;
    call->changed_tenant = steps->change.source.database.tenant_id;
    return store_finish(store, err);
}

static int run_end_swap(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct steps *steps = call->steps;
    struct branch_swapped *result = catalogue_output(call, sizeof(*result), err);

    if (result == NULL || store_change_end(store, &steps->change, &result->info, err) < 0 ||
        snapshot_of(store, &steps->change, &result->kept, err) < 0)
        return -1;
    call->changed_tenant = steps->change.source.database.tenant_id;
    return store_finish(store, err);
}

static int run_end_snapshot(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct steps *steps = call->steps;
    struct snapshot_info *result = catalogue_output(call, sizeof(*result), err);

    if (result == NULL || store_change_end(store, &steps->change, NULL, err) < 0)
        return -1;
    return snapshot_of(store, &steps->change, result, err);
}

static void end(struct steps *steps)
{
    static const struct catalogue_action branch = {
        .name = "branch_end", .writes = true, .changes = true, .adds = true, .run = run_end_branch};
    static const struct catalogue_action swap = {
        .name = "swap_end", .writes = true, .changes = true, .run = run_end_swap};
    static const struct catalogue_action snapshot = {
        .name = "snapshot_end", .writes = true, .run = run_end_snapshot};
    const struct store_change *change = &steps->change;

    steps->call->done = on_ended;
    catalogue_submit(steps->call,
        change->snapshot_id.len == 0      ? &branch
        : change->target.database.id != 0 ? &swap
                                          : &snapshot,
        steps->input);
}

/* ---- the engine's steps ---- */

static void on_swapped(struct family_call *family)
{
    struct steps *steps = family->owner;

    if (family->err.code == ERR_NONE)
        end(steps);
    else if (family->err.code == ERR_IO) {
        /* Perhaps it was: the next start looks. Until then the row stays pending. */
        err_copy(&steps->call->err, &family->err);
        steps->call->output = NULL;
        leave(steps);
    } else {
        struct err err;

        err_copy(&err, &family->err);
        discard(steps, &err);
    }
}

/* ---- a snapshot while a reader holds the log: of a branch, which has a copy of it ---- */

static void on_copy_removed(struct family_call *family)
{
    struct steps *steps = family->owner;

    if (family->err.code != ERR_NONE) /* the next start finds it */
        log_warn("snapshot.copy_left", "code=%s", err_code_name(family->err.code));
    if (steps->err.code != ERR_NONE) {
        struct err err;

        err_copy(&err, &steps->err);
        undo(steps, &err);
    } else {
        end(steps);
    }
}

static void on_copy_kept(struct family_call *family)
{
    struct steps *steps = family->owner;

    err_copy(&steps->err, &family->err);
    family->op = FAMILY_DROP_HEAD;
    family->done = on_copy_removed;
    engine_family_call(steps->call->catalogue->engine, family);
}

static void on_copied(struct family_call *family)
{
    struct steps *steps = family->owner;
    struct database copy;

    if (family->err.code != ERR_NONE) {
        struct err err;

        err_copy(&err, &family->err);
        undo(steps, &err);
        return;
    }
    memcpy(&copy, steps->source, sizeof(copy));
    memcpy(copy.head_id, steps->copy_head_id, sizeof(copy.head_id));
    copy.tenant_rate = NULL;
    copy.usage = NULL;
    steps->copy_of_source = database_new(&copy);
    family->op = FAMILY_SNAPSHOT;
    family->database = steps->copy_of_source;
    family->done = on_copy_kept;
    engine_family_call(steps->call->catalogue->engine, family);
}

static void snapshot_a_branch(struct steps *steps)
{
    struct family_call *family = &steps->family;

    family_new_id(steps->copy_head_id);
    (void)snprintf(steps->ref, sizeof(steps->ref), "#copy.%s", steps->copy_head_id);
    family->op = FAMILY_BRANCH;
    family->ref = steps->ref;
    family->head_id = steps->copy_head_id;
    family->done = on_copied;
    engine_family_call(steps->call->catalogue->engine, family);
}

static void on_head_made(struct family_call *family)
{
    struct steps *steps = family->owner;

    if (family->op == FAMILY_SNAPSHOT && family->reader_in_the_way) {
        snapshot_a_branch(steps);
    } else if (family->err.code != ERR_NONE) {
        struct err err;

        err_copy(&err, &family->err);
        undo(steps, &err);
    } else if (steps->change.is_new || family->op == FAMILY_SNAPSHOT) {
        end(steps);
    } else {
        family->op = FAMILY_SWAP;
        family->database = steps->target;
        family->snapshot = steps->keep[0] == '\0' ? NULL : steps->keep;
        family->done = on_swapped;
        engine_family_call(steps->call->catalogue->engine, family);
    }
}

static void copy_name(char out[MANIFEST_NAME_MAX + 1], struct str name)
{
    (void)snprintf(out, MANIFEST_NAME_MAX + 1, "%.*s", STR_ARGS(name));
}

static void make_head(struct steps *steps)
{
    const struct store_change *change = &steps->change;
    struct family_call *family = &steps->family;

    copy_name(steps->ref, change->ref);
    copy_name(steps->from_snapshot, change->from_snapshot);
    copy_name(steps->keep, change->keep);
    family->op = change->from_snapshot.len > 0     ? FAMILY_BRANCH_SNAPSHOT
                 : change->target.database.id == 0 ? FAMILY_SNAPSHOT
                                                   : FAMILY_BRANCH;
    family->database = steps->source;
    family->ref = steps->ref;
    family->head_id = change->head_id;
    family->snapshot = family->op == FAMILY_SNAPSHOT ? steps->keep : steps->from_snapshot;
    family->done = on_head_made;
    family->owner = steps;
    engine_family_call(steps->call->catalogue->engine, family);
}

/* ---- a branch without rows: a database of its own, with its parent's schema ---- */

static int read_schema(struct sqlite3 *db, void *argument, struct err *err)
{
    struct steps *steps = argument;
    struct store store = {.db = db, .arena = steps->call->arena};
    STORE_STATEMENT statement = NULL;
    struct str *texts;
    size_t count = 0;
    int row;

    /* Tables before what hangs on them. Shadow tables come with their virtual tables. */
    if (store_query(&store, &statement, err,
            "SELECT sql, count(*) OVER () FROM sqlite_schema s WHERE sql IS NOT NULL"
            " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_persql\\_%' ESCAPE "
            "'\\'"
            " AND NOT (type = 'table' AND EXISTS (SELECT 1 FROM pragma_table_list p"
            "   WHERE p.schema = 'main' AND p.name = s.name AND p.type = 'shadow'))"
            " AND NOT EXISTS (SELECT 1 FROM pragma_table_list p WHERE p.schema = 'main'"
            "   AND p.name = s.tbl_name AND p.type = 'shadow')"
            " ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3"
            " END, rowid",
            "") < 0)
        return -1;
    steps->sql_count = 0;
    texts = NULL;
    while ((row = store_step(&store, statement, err)) > 0) {
        if (texts == NULL)
            texts = arena_array(
                store.arena, (size_t)sqlite3_column_int64(statement, 1), sizeof(*texts));
        if (texts == NULL)
            break;
        texts[count++] = store_text(&store, statement, 0);
    }
    steps->sql = texts;
    steps->sql_count = count;
    return row < 0 ? -1 : store_finish(&store, err);
}

static int write_schema(struct sqlite3 *db, void *argument, struct err *err)
{
    struct steps *steps = argument;
    struct store store = {.db = db, .arena = steps->call->arena};

    for (size_t i = 0; i < steps->sql_count; i++) {
        const char *sql = arena_printf(store.arena, "%.*s", STR_ARGS(steps->sql[i]));

        if (store_finish(&store, err) < 0 || store_run(&store, err, sql, "") < 0)
            return -1;
    }
    return 0;
}

static void on_schema_written(struct request *request)
{
    struct steps *steps = request->owner;
    struct err err;

    err_copy(&err, &request->err);
    if (err.code != ERR_NONE)
        undo(steps, &err);
    else
        end(steps);
}

static void run_copy(struct steps *steps, enum request_kind kind, procedure_fn run,
    struct database *database, void (*done)(struct request *request))
{
    memset(&steps->copy, 0, sizeof(steps->copy));
    steps->copy.kind = kind;
    steps->copy.procedure = run;
    steps->copy.procedure_argument = steps;
    steps->copy.arena = steps->call->arena;
    steps->copy.done = done;
    steps->copy.owner = steps;
    engine_submit(steps->call->catalogue->engine, database, &steps->copy);
}

static void on_schema_read(struct request *request)
{
    struct steps *steps = request->owner;
    struct err err;

    err_copy(&err, &request->err);
    if (err.code != ERR_NONE)
        undo(steps, &err);
    else
        run_copy(steps, REQUEST_PROCEDURE, write_schema, steps->target, on_schema_written);
}

/* ---- beginning ---- */

static void on_begun(struct catalogue_call *call)
{
    struct steps *steps = call->steps;

    if (call->err.code != ERR_NONE) {
        call->output = NULL;
        leave(steps);
        return;
    }
    steps->source = catalogue_make_database(call->catalogue, &steps->change.source);
    if (steps->change.target.database.id != 0)
        steps->target = catalogue_make_database(call->catalogue, &steps->change.target);
    if (steps->change.copies_schema)
        run_copy(steps, REQUEST_READ_PROCEDURE, read_schema, steps->source, on_schema_read);
    else
        make_head(steps);
}

static void start(struct catalogue_call *call, const struct catalogue_action *action,
    const void *input, void (*begun)(struct catalogue_call *call))
{
    struct steps *steps = arena_zalloc(call->arena, sizeof(*steps));
    struct err err = ERR_INIT;

    if (steps == NULL) {
        (void)err_set(&err, ERR_TOO_LARGE, "the request needs too much memory");
        catalogue_fail(call, &err);
        return;
    }
    steps->call = call;
    steps->done = call->done;
    steps->input = input;
    steps->err = ERR_INIT;
    call->steps = steps;
    call->done = begun;
    catalogue_submit(call, action, input);
}

/* The procedure may run again, and the row that it made would be another: all in the steps. */
#define BEGIN_RUN(name, input_type, function)                                                      \
    static int run_##name(const struct store *store, struct catalogue_call *call, struct err *err) \
    {                                                                                              \
        const struct input_type *input = call->input;                                              \
        struct steps *steps = call->steps;                                                         \
                                                                                                   \
        if (function(store, input, &steps->change, err) < 0)                                       \
            return -1;                                                                             \
        call->changed_tenant = steps->change.source.database.tenant_id;                            \
        return store_finish(store, err);                                                           \
    }

BEGIN_RUN(put, branch_put_input, store_branch_begin)
BEGIN_RUN(promote, branch_input, store_promote_begin)
BEGIN_RUN(restore, snapshot_input, store_restore_begin)
BEGIN_RUN(snapshot, snapshot_input, store_snapshot_begin)

void catalogue_branch_put(struct catalogue_call *call, const struct branch_put_input *input)
{
    static const struct catalogue_action action = {
        .name = "branch_begin", .writes = true, .run = run_put};

    start(call, &action, input, on_begun);
}

void catalogue_branch_promote(struct catalogue_call *call, const struct branch_input *input)
{
    static const struct catalogue_action action = {
        .name = "promote_begin", .writes = true, .run = run_promote};

    start(call, &action, input, on_begun);
}

void catalogue_snapshot_restore(struct catalogue_call *call, const struct snapshot_input *input)
{
    static const struct catalogue_action action = {
        .name = "restore_begin", .writes = true, .run = run_restore};

    start(call, &action, input, on_begun);
}

void catalogue_snapshot_create(struct catalogue_call *call, const struct snapshot_input *input)
{
    static const struct catalogue_action action = {
        .name = "snapshot_begin", .writes = true, .run = run_snapshot};

    start(call, &action, input, on_begun);
}

/* ---- removing a snapshot: from the MANIFEST, then the row ---- */

struct removal {
    struct snapshot_info info;
    struct store_database row;
    struct str name;
};

static int run_find_snapshot(
    const struct store *store, struct catalogue_call *call, struct err *err)
{
    const struct snapshot_input *input = call->input;
    struct removal *removal = catalogue_output(call, sizeof(*removal), err);

    if (removal == NULL || store_snapshot_find(store, input->tenant_id, input->database_id,
                               input->snapshot, &removal->info, &removal->name, err) < 0)
        return -1;
    return store_database_row(store, input->database_id, &removal->row, err);
}

static int run_forget_snapshot(
    const struct store *store, struct catalogue_call *call, struct err *err)
{
    const struct snapshot_input *input = call->input;
    struct steps *steps = call->steps;
    struct snapshot_info *info = catalogue_output(call, sizeof(*info), err);

    if (info == NULL)
        return -1;
    *info = *(const struct snapshot_info *)steps->input;
    return store_snapshot_forget(store, input->snapshot, err);
}

static void on_snapshot_gone(struct family_call *family)
{
    static const struct catalogue_action action = {
        .name = "snapshot_forget", .writes = true, .run = run_forget_snapshot};
    struct steps *steps = family->owner;
    struct catalogue_call *call = steps->call;

    if (family->err.code != ERR_NONE) {
        err_copy(&call->err, &family->err);
        call->output = NULL;
        leave(steps);
        return;
    }
    call->done = on_ended;
    catalogue_submit(call, &action, call->input);
}

static void on_snapshot_found(struct catalogue_call *call)
{
    struct steps *steps = call->steps;
    const struct removal *removal = call->output;

    if (call->err.code != ERR_NONE) {
        leave(steps);
        return;
    }
    steps->input = &removal->info;
    steps->source = catalogue_make_database(call->catalogue, &removal->row);
    copy_name(steps->keep, removal->name);
    steps->family.op = FAMILY_REMOVE_SNAPSHOT;
    steps->family.database = steps->source;
    steps->family.snapshot = steps->keep;
    steps->family.done = on_snapshot_gone;
    steps->family.owner = steps;
    engine_family_call(call->catalogue->engine, &steps->family);
}

void catalogue_snapshot_delete(struct catalogue_call *call, const struct snapshot_input *input)
{
    static const struct catalogue_action action = {
        .name = "snapshot_find", .run = run_find_snapshot};

    start(call, &action, input, on_snapshot_found);
}

/* ---- usage ---- */

static void on_usage(struct family_call *family)
{
    struct steps *steps = family->owner;
    struct catalogue_call *call = steps->call;
    struct family_usage *usage = arena_zalloc(call->arena, sizeof(*usage));

    if (usage == NULL)
        (void)err_set(&call->err, ERR_TOO_LARGE, "the answer is larger than a request may be");
    else if (family->err.code == ERR_NONE)
        *usage = family->usage;
    else if (family->err.code != ERR_NOT_FOUND)
        err_copy(&call->err, &family->err);
    call->output = call->err.code == ERR_NONE ? usage : NULL;
    leave(steps);
}

void catalogue_family_usage(struct catalogue_call *call, const struct branch_usage_input *input)
{
    struct steps *steps = arena_zalloc(call->arena, sizeof(*steps));
    struct err err = ERR_INIT;

    if (steps == NULL) {
        (void)err_set(&err, ERR_TOO_LARGE, "the request needs too much memory");
        catalogue_fail(call, &err);
        return;
    }
    call->err = ERR_INIT;
    steps->call = call;
    steps->done = call->done;
    steps->family.op = FAMILY_USAGE;
    steps->family.database = input->database;
    steps->family.done = on_usage;
    steps->family.owner = steps;
    engine_family_call(call->catalogue->engine, &steps->family);
}
