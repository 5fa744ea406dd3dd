/* Snapshots of a database or branch: keep, list, restore, delete. */
#include "proto/persql/persql.h"
#include "tenants/branches.h"

void persql_write_snapshot(struct encoder *e, const struct snapshot_info *snapshot)
{
    encoder_object(e);
    encoder_key(e, "id");
    encoder_string(e, snapshot->id);
    encoder_key(e, "label");
    encoder_string(e, snapshot->label);
    encoder_key(e, "reason");
    encoder_string(e, snapshot->reason);
    encoder_key(e, "createdAt");
    encoder_time(e, snapshot->created_wall_ms);
    encoder_end(e);
}

static void on_list(struct catalogue_call *call)
{
    const struct snapshot_list *list = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    encoder_array(&e);
    for (size_t i = 0; i < list->count; i++)
        persql_write_snapshot(&e, &list->items[i]);
    persql_finish_list(x, &e, list->next_cursor);
}

void persql_snapshots_list(struct exchange *x)
{
    persql_list_parts(x, on_list, catalogue_snapshot_list);
}

/* Of the database that the route names, and the snapshot if it names one. NULL: answered. */
static struct snapshot_input *make_input(struct exchange *x)
{
    struct snapshot_input *input = persql_zalloc(x, sizeof(*input));

    if (input == NULL)
        return NULL;
    input->tenant_id = x->database->tenant_id;
    input->database_id = x->database->id;
    input->snapshot = x->params[2];
    return input;
}

static void on_created(struct catalogue_call *call)
{
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    persql_write_snapshot(&e, call->output);
    persql_finish(x, &e);
}

void persql_snapshot_create(struct exchange *x)
{
    const struct node *body = persql_body(x, true);
    struct snapshot_input *input = body == NULL ? NULL : make_input(x);
    struct catalogue_call *call = input == NULL ? NULL : persql_call(x, on_created);
    struct err err = ERR_INIT;

    if (call == NULL)
        return;
    if (node_string(body, "label", &input->label, &err) < 0)
        exchange_fail(x, &err);
    else
        catalogue_snapshot_create(call, input);
}

static void on_restored(struct catalogue_call *call)
{
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    persql_write_swapped(x, &e, call->output);
    persql_finish(x, &e);
}

void persql_snapshot_restore(struct exchange *x)
{
    const struct node *body = persql_body(x, true);
    struct snapshot_input *input = body == NULL ? NULL : make_input(x);
    struct catalogue_call *call = input == NULL ? NULL : persql_call(x, on_restored);
    struct err err = ERR_INIT;

    if (call == NULL)
        return;
    if (input->snapshot.len == 0 &&
        (node_string(body, "snapshotId", &input->snapshot, &err) < 0 ||
            (input->snapshot.len == 0 &&
                node_string(body, "snapshot_id", &input->snapshot, &err) < 0)))
        exchange_fail(x, &err);
    else if (input->snapshot.len == 0)
        persql_fail(x, ERR_BAD_REQUEST,
            "'snapshotId' is missing; a database cannot be restored to any other time");
    else
        catalogue_snapshot_restore(call, input);
}

static void on_deleted(struct catalogue_call *call)
{
    const struct snapshot_info *info = call->output;
    struct encoder e;
    struct exchange *x = persql_called(call, &e);

    if (x == NULL)
        return;
    encoder_object(&e);
    encoder_key(&e, "deleted");
    encoder_bool(&e, true);
    encoder_key(&e, "id");
    encoder_string(&e, info->id);
    encoder_end(&e);
    persql_finish(x, &e);
}

void persql_snapshot_delete(struct exchange *x)
{
    struct snapshot_input *input = make_input(x);
    struct catalogue_call *call = input == NULL ? NULL : persql_call(x, on_deleted);

    if (call != NULL)
        catalogue_snapshot_delete(call, input);
}
