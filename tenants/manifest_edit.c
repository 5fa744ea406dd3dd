#include "tenants/manifest_edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/base/mem.h"
#include "tenants/layers/layer.h"

/* ------------------------------------------------------------------ copies */

void manifest_stack_copy(const struct manifest_stack *stack, struct manifest_stack *ret_copy)
{
    size_t bytes = stack->count * sizeof(*stack->layers);

    ret_copy->count = stack->count;
    ret_copy->layers = mem_alloc(bytes + sizeof(*stack->layers)); /* one is often added */
    memcpy(ret_copy->layers, stack->layers, bytes);
}

void manifest_stack_fini(struct manifest_stack *stack)
{
    mem_free(stack->layers);
    *stack = (struct manifest_stack){.count = 0};
}

void manifest_stack_push(struct manifest_stack *stack, const char *layer_id)
{
    stack->layers = mem_realloc(stack->layers, (stack->count + 1) * sizeof(*stack->layers));
    (void)snprintf(stack->layers[stack->count++], ID_HEX_BYTES, "%s", layer_id);
}

static void *copy_array(const void *items, size_t count, size_t size)
{
    void *copy = mem_alloc((count + 1) * size);

    if (count > 0)
        memcpy(copy, items, count * size);
    return copy;
}

void manifest_copy(const struct manifest *from, struct manifest *ret_copy)
{
    struct manifest copy = *from;

    copy.layers = copy_array(from->layers, from->layer_count, sizeof(*from->layers));
    copy.heads = copy_array(from->heads, from->head_count, sizeof(*from->heads));
    copy.snapshots = copy_array(from->snapshots, from->snapshot_count, sizeof(*from->snapshots));
    copy.drops = copy_array(from->drops, from->drop_count, sizeof(*from->drops));
    for (size_t i = 0; i < copy.head_count; i++)
        manifest_stack_copy(&from->heads[i].stack, &copy.heads[i].stack);
    for (size_t i = 0; i < copy.snapshot_count; i++)
        manifest_stack_copy(&from->snapshots[i].stack, &copy.snapshots[i].stack);
    *ret_copy = copy;
}

/* ------------------------------------------------------------------ finding */

struct manifest_layer *manifest_layer_of(struct manifest *manifest, const char *id)
{
    const struct manifest_layer *found = manifest_find_layer(manifest, id);

    return found == NULL ? NULL : &manifest->layers[found - manifest->layers];
}

struct manifest_head *manifest_head_of(struct manifest *manifest, const char *id)
{
    const struct manifest_head *found = manifest_find_head(manifest, id);

    return found == NULL ? NULL : &manifest->heads[found - manifest->heads];
}

const struct manifest_head *manifest_find_ref(const struct manifest *manifest, const char *ref)
{
    for (size_t i = 0; i < manifest->head_count; i++)
        if (strcmp(manifest->heads[i].ref, ref) == 0)
            return &manifest->heads[i];
    return NULL;
}

const struct manifest_snapshot *manifest_find_snapshot(
    const struct manifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->snapshot_count; i++)
        if (strcmp(manifest->snapshots[i].name, name) == 0)
            return &manifest->snapshots[i];
    return NULL;
}

struct manifest_stack *manifest_stack_at(struct manifest *manifest, size_t at)
{
    if (at < manifest->head_count)
        return &manifest->heads[at].stack;
    at -= manifest->head_count;
    return at < manifest->snapshot_count ? &manifest->snapshots[at].stack : NULL;
}

int manifest_stack_find(const struct manifest_stack *stack, const struct manifest_stack *layers)
{
    for (size_t i = 0; i + layers->count <= stack->count; i++)
        if (memcmp(stack->layers[i], layers->layers[0], ID_HEX_BYTES) == 0)
            return memcmp(stack->layers[i], layers->layers[0], layers->count * ID_HEX_BYTES) == 0
                       ? (int)i
                       : -1;
    return -1;
}

static bool has_layer(const struct manifest_stack *stack, const char *id)
{
    for (size_t i = 0; i < stack->count; i++)
        if (strcmp(stack->layers[i], id) == 0)
            return true;
    return false;
}

size_t manifest_users(const struct manifest *manifest, const char *layer_id)
{
    size_t users = 0;

    for (size_t i = 0; i < manifest->head_count; i++)
        users += has_layer(&manifest->heads[i].stack, layer_id);
    for (size_t i = 0; i < manifest->snapshot_count; i++)
        users += has_layer(&manifest->snapshots[i].stack, layer_id);
    return users;
}

/* ------------------------------------------------------------------ changing */

/* Room for one more of `size` bytes behind `count`. */
static void *one_more(void *items, size_t count, size_t size)
{
    return mem_realloc(items, (count + 1) * size);
}

void manifest_add_layer(struct manifest *manifest, const struct manifest_layer *layer)
{
    manifest->layers = one_more(manifest->layers, manifest->layer_count, sizeof(*layer));
    manifest->layers[manifest->layer_count++] = *layer;
}

void manifest_add_head(
    struct manifest *manifest, const char *id, const char *ref, struct manifest_stack *stack)
{
    struct manifest_head *head;

    manifest->heads = one_more(manifest->heads, manifest->head_count, sizeof(*head));
    head = &manifest->heads[manifest->head_count++];
    *head = (struct manifest_head){.stack = *stack};
    (void)snprintf(head->id, sizeof(head->id), "%s", id);
    (void)snprintf(head->ref, sizeof(head->ref), "%s", ref);
    *stack = (struct manifest_stack){.count = 0};
}

void manifest_add_snapshot(
    struct manifest *manifest, const char *name, struct manifest_stack *stack)
{
    struct manifest_snapshot *snapshot;

    manifest->snapshots =
        one_more(manifest->snapshots, manifest->snapshot_count, sizeof(*snapshot));
    snapshot = &manifest->snapshots[manifest->snapshot_count++];
    *snapshot = (struct manifest_snapshot){.stack = *stack};
    (void)snprintf(snapshot->name, sizeof(snapshot->name), "%s", name);
    *stack = (struct manifest_stack){.count = 0};
}

void manifest_add_drop(struct manifest *manifest, const char *file)
{
    struct manifest_drop *drop;

    manifest->drops = one_more(manifest->drops, manifest->drop_count, sizeof(*drop));
    drop = &manifest->drops[manifest->drop_count++];
    (void)snprintf(drop->file, sizeof(drop->file), "%s", file);
}

void manifest_remove_head(struct manifest *manifest, const char *id)
{
    struct manifest_head *head = manifest_head_of(manifest, id);
    char name[LAYER_NAME_MAX];
    size_t at;

    if (head == NULL)
        return;
    (void)snprintf(name, sizeof(name), "h%s", head->id);
    manifest_add_drop(manifest, name);
    (void)snprintf(name, sizeof(name), "h%s-wal", head->id);
    manifest_add_drop(manifest, name);
    manifest_stack_fini(&head->stack);
    at = (size_t)(head - manifest->heads);
    manifest->head_count--;
    memmove(head, head + 1, (manifest->head_count - at) * sizeof(*head));
}

void manifest_remove_snapshot(struct manifest *manifest, const char *name)
{
    const struct manifest_snapshot *found = manifest_find_snapshot(manifest, name);
    struct manifest_snapshot *snapshot;
    size_t at;

    if (found == NULL)
        return;
    at = (size_t)(found - manifest->snapshots);
    snapshot = &manifest->snapshots[at];
    manifest_stack_fini(&snapshot->stack);
    manifest->snapshot_count--;
    memmove(snapshot, snapshot + 1, (manifest->snapshot_count - at) * sizeof(*snapshot));
}

/* ------------------------------------------------------------------ what nobody uses */

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, ID_HEX_BYTES);
}

/* Ids of all stacks, sorted. */
static char (*ids_in_use(struct manifest *manifest, size_t *ret_count))[ID_HEX_BYTES]
{
    char(*ids)[ID_HEX_BYTES];
    struct manifest_stack *stack;
    size_t count = 0;

    for (size_t i = 0; (stack = manifest_stack_at(manifest, i)) != NULL; i++)
        count += stack->count;
    ids = mem_alloc((count + 1) * sizeof(*ids));
    count = 0;
    for (size_t i = 0; (stack = manifest_stack_at(manifest, i)) != NULL; i++) {
        memcpy(ids[count], stack->layers, stack->count * sizeof(*ids));
        count += stack->count;
    }
    qsort(ids, count, sizeof(*ids), by_id);
    *ret_count = count;
    return ids;
}

static void drop_layer(struct manifest *manifest, const struct manifest_layer *layer)
{
    char name[LAYER_NAME_MAX];

    if (layer->kind == MANIFEST_BASE) {
        manifest_add_drop(manifest, layer_file_name(LAYER_BASE, layer->id, name));
        return;
    }
    manifest_add_drop(manifest, layer_file_name(LAYER_PAGES, layer->id, name));
    manifest_add_drop(manifest, layer_file_name(LAYER_MAP, layer->id, name));
    manifest_add_drop(manifest, layer_file_name(LAYER_SUMS, layer->id, name));
}

void manifest_drop_unused(struct manifest *manifest)
{
    size_t used, kept = 0;
    char(*ids)[ID_HEX_BYTES] = ids_in_use(manifest, &used);

    for (size_t i = 0; i < manifest->layer_count; i++) {
        struct manifest_layer *layer = &manifest->layers[i];

        if (bsearch(layer->id, ids, used, sizeof(*ids), by_id) == NULL)
            drop_layer(manifest, layer);
        else
            manifest->layers[kept++] = *layer;
    }
    manifest->layer_count = kept;
    mem_free(ids);
}

int manifest_check(const struct manifest *manifest, struct err *ret_err)
{
    struct manifest again = {.generation = 0};
    struct buf text;
    struct err err = ERR_INIT;
    int rc;

    buf_init(&text, 0);
    manifest_print(manifest, &text);
    rc = manifest_parse(buf_view(&text), &again, &err);
    buf_fini(&text);
    manifest_fini(&again);
    if (rc < 0)
        return err_set(ret_err, ERR_BUG, "a MANIFEST that nobody could read: %s", err.msg);
    return 0;
}
