/* Calls about branches and snapshots that are one step: lists, and changes of rows alone. */
#include "tenants/branches.h"
#include "tenants/catalogue_internal.h"

static int run_list(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct database_list *list = catalogue_output(call, sizeof(*list), err);

    return list == NULL ? -1 : store_branch_list(store, call->input, list, err);
}

void catalogue_branch_list(struct catalogue_call *call, const struct branch_list_input *input)
{
    static const struct catalogue_action action = {.name = "branch_list", .run = run_list};

    catalogue_submit(call, &action, input);
}

static int run_snapshot_list(
    const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct snapshot_list *list = catalogue_output(call, sizeof(*list), err);

    return list == NULL ? -1 : store_snapshot_list(store, call->input, list, err);
}

void catalogue_snapshot_list(struct catalogue_call *call, const struct branch_list_input *input)
{
    static const struct catalogue_action action = {
        .name = "snapshot_list", .run = run_snapshot_list};

    catalogue_submit(call, &action, input);
}

static int run_get(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct database_info *info = catalogue_output(call, sizeof(*info), err);

    return info == NULL ? -1 : store_branch_get(store, call->input, info, err);
}

void catalogue_branch_get(struct catalogue_call *call, const struct branch_input *input)
{
    static const struct catalogue_action action = {.name = "branch_get", .run = run_get};

    catalogue_submit(call, &action, input);
}

static int run_delete(const struct store *store, struct catalogue_call *call, struct err *err)
{
    const struct branch_input *input = call->input;
    struct database_info *info = catalogue_output(call, sizeof(*info), err);
    struct store_database *row = arena_zalloc(call->arena, sizeof(*row));

    if (info == NULL || row == NULL)
        return store_finish(store, err);
    if (store_branch_get(store, input, info, err) < 0)
        return -1;
    if (info->is_protected)
        return err_set(err, ERR_CONFLICT, "the branch is protected");
    call->state = row;
    call->changed_tenant = input->tenant_id;
    return store_branch_remove(store, input->tenant_id, info->database_id, row, err);
}

static void purge_deleted(struct catalogue_call *call)
{
    catalogue_purge(call->catalogue, call->state);
}

void catalogue_branch_delete(struct catalogue_call *call, const struct branch_input *input)
{
    static const struct catalogue_action action = {.name = "branch_delete",
        .writes = true,
        .changes = true,
        .run = run_delete,
        .after = purge_deleted};

    catalogue_submit(call, &action, input);
}

static int run_patch(const struct store *store, struct catalogue_call *call, struct err *err)
{
    const struct branch_patch_input *input = call->input;
    struct database_info *info = catalogue_output(call, sizeof(*info), err);
    struct store_database *row = arena_zalloc(call->arena, sizeof(*row));

    if (info == NULL || row == NULL)
        return store_finish(store, err);
    call->state = row;
    call->changed_tenant = input->branch.tenant_id;
    return store_branch_patch(store, input, info, row, err);
}

void catalogue_branch_patch(struct catalogue_call *call, const struct branch_patch_input *input)
{
    static const struct catalogue_action action = {
        .name = "branch_patch", .writes = true, .changes = true, .run = run_patch};

    catalogue_submit(call, &action, input);
}
