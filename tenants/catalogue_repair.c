/* At the start: changes of families that the last process began and did not end. The MANIFEST is
 * the truth: a row follows it; heads that nobody was told of go. */
#include <stdio.h>
#include <string.h>

#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/catalogue_internal.h"
#include "tenants/layers/branches.h"
#include "tenants/manifest_edit.h"

#define REPAIRS_MAX 1000 /* at once; all are done */

struct repair {
    struct store_pending rows[REPAIRS_MAX];
    size_t count;
    const char *heads[REPAIRS_MAX]; /* that the rows have from now on; "": the row goes */
    bool kept[REPAIRS_MAX];
};

static int run_list(const struct store *store, struct catalogue_call *call, struct err *err)
{
    struct repair *repair = catalogue_output(call, sizeof(*repair), err);

    return repair == NULL
               ? -1
               : store_pending_list(store, repair->rows, REPAIRS_MAX, &repair->count, err);
}

static int run_settle(const struct store *store, struct catalogue_call *call, struct err *err)
{
    const struct repair *repair = call->input;

    for (size_t i = 0; i < repair->count; i++)
        if (store_pending_settle(store, &repair->rows[i], repair->heads[i], repair->kept[i], err) <
            0)
            return -1;
    return 0;
}

/* What the row has to say, by the family's MANIFEST. */
static int judge(struct family *family, const struct store_pending *row, const char **ret_head,
    bool *ret_kept, struct err *ret_err)
{
    const char *own = row->row.database.head_id;
    struct manifest manifest;
    bool has_own;
    bool has_new;

    family_describe(family, &manifest);
    has_own = manifest_find_head(&manifest, own) != NULL;
    has_new = row->head_id[0] != '\0' && manifest_find_head(&manifest, row->head_id) != NULL;
    *ret_kept =
        row->snapshot.ptr != NULL && manifest_find_snapshot(&manifest, row->snapshot.ptr) != NULL;
    manifest_fini(&manifest);
    *ret_head = own;
    if (strcmp(own, row->head_id) == 0)
        *ret_head = ""; /* nobody was told of it: it is purged, head and all */
    else if (has_new && !has_own)
        *ret_head = row->head_id;
    else if (has_new)
        return family_remove_head(family, row->head_id, ret_err);
    return 0;
}

/* Heads that were on their way somewhere: while nobody works, any is a leftover. */
static int clear_away(struct family *family, const char *but_id, struct err *ret_err)
{
    struct manifest manifest;
    int rc = 0;

    family_describe(family, &manifest);
    for (size_t i = 0; rc == 0 && i < manifest.head_count; i++)
        if (manifest.heads[i].ref[0] == '#' && strcmp(manifest.heads[i].id, but_id) != 0)
            rc = family_remove_head(family, manifest.heads[i].id, ret_err);
    manifest_fini(&manifest);
    return rc;
}

static int judge_one(struct catalogue *catalogue, const struct store_pending *row,
    const char **ret_head, bool *ret_kept, struct err *ret_err)
{
    struct family *family;
    int rc;

    *ret_kept = false;
    if (family_open(catalogue->data_dir, row->row.database.family_id, &family, ret_err) < 0) {
        if (ret_err->code != ERR_NOT_FOUND)
            return -1;
        *ret_err = ERR_INIT;
        *ret_head =
            strcmp(row->row.database.head_id, row->head_id) == 0 ? "" : row->row.database.head_id;
        return 0;
    }
    rc = judge(family, row, ret_head, ret_kept, ret_err);
    if (rc == 0)
        rc = clear_away(family, *ret_head, ret_err);
    family_release(family);
    return rc;
}

static int repair_some(struct catalogue *catalogue, size_t *ret_count, struct err *ret_err)
{
    static const struct catalogue_action list = {.name = "pending", .run = run_list};
    static const struct catalogue_action settle = {
        .name = "settle", .writes = true, .run = run_settle};
    struct catalogue_call call = {.catalogue = catalogue};
    struct repair *repair = NULL;
    struct arena arena;
    int rc;

    arena_init(&arena, 0);
    call.arena = &arena;
    rc = catalogue_submit_wait(&call, &list, NULL, ret_err);
    if (rc == 0)
        repair = call.output;
    for (size_t i = 0; rc == 0 && i < repair->count; i++) {
        const struct store_pending *row = &repair->rows[i];
        struct err err = ERR_INIT;

        /* One that is damaged does not keep the others from starting. */
        if (judge_one(catalogue, row, &repair->heads[i], &repair->kept[i], &err) < 0) {
            log_error("branch.repair_failed", "database_id=%llu code=%s error=\"%s\"",
                (unsigned long long)row->row.database.id, err_code_name(err.code), err.msg);
            repair->heads[i] = row->row.database.head_id;
        }
        log_info("branch.repaired", "database_id=%llu family=%s outcome=%s",
            (unsigned long long)row->row.database.id, row->row.database.family_id,
            repair->heads[i][0] == '\0'                                ? "removed"
            : strcmp(repair->heads[i], row->row.database.head_id) == 0 ? "as before"
                                                                       : "done");
    }
    if (rc == 0 && repair->count > 0)
        rc = catalogue_submit_wait(&call, &settle, repair, ret_err);
    *ret_count = rc == 0 ? repair->count : 0;
    arena_fini(&arena);
    return rc;
}

int catalogue_repair(struct catalogue *catalogue, struct err *ret_err)
{
    size_t count;

    do {
        if (repair_some(catalogue, &count, ret_err) < 0)
            return -1;
    } while (count == REPAIRS_MAX);
    return 0;
}
