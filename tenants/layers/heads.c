#include "tenants/layers/heads.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tenants/base/check.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/layers/heads_internal.h"
#include "tenants/manifest_edit.h"
#include "tenants/vfs_io.h"

/* ------------------------------------------------------------------ registry */

#define BUCKETS 256 /* by the first byte of the id */

static struct mutex registry_lock = {.native = PTHREAD_MUTEX_INITIALIZER};
static struct list registry[BUCKETS];

static struct list *bucket_of(const char *family_id)
{
    unsigned char first[MAP_ID_BYTES];
    struct list *bucket;

    map_id_bytes(family_id, first);
    bucket = &registry[first[0]];
    if (bucket->next == NULL)
        list_init(bucket);
    return bucket;
}

static struct family *family_new(const char *data_dir, const char *family_id)
{
    struct family *family = mem_zalloc(sizeof(*family));

    family->data_dir = mem_strdup(data_dir);
    (void)snprintf(family->family_id, sizeof(family->family_id), "%s", family_id);
    mutex_init(&family->lock);
    list_init(&family->link);
    list_init(&family->layers);
    list_init(&family->heads);
    return family;
}

/* With a reference for the caller. */
static struct family *find_or_make(const char *data_dir, const char *family_id)
{
    struct family *found = NULL;
    struct list *bucket;

    mutex_lock(&registry_lock);
    bucket = bucket_of(family_id);
    LIST_FOREACH(item, bucket)
    {
        struct family *family = LIST_ENTRY(item, struct family, link);

        if (strcmp(family->family_id, family_id) == 0 && strcmp(family->data_dir, data_dir) == 0)
            found = family;
    }
    if (found == NULL) {
        found = family_new(data_dir, family_id);
        list_append(bucket, &found->link);
    }
    found->references++;
    mutex_unlock(&registry_lock);
    return found;
}

struct family *family_ref(struct family *family)
{
    mutex_lock(&registry_lock);
    family->references++;
    mutex_unlock(&registry_lock);
    return family;
}

void family_release(struct family *family)
{
    bool last;

    if (family == NULL)
        return;
    mutex_lock(&registry_lock);
    last = --family->references == 0;
    if (last)
        list_remove(&family->link);
    mutex_unlock(&registry_lock);
    if (!last)
        return;
    CHECK(list_empty(&family->heads));
    family_reap_layers(family);
    CHECK(list_empty(&family->layers));
    manifest_fini(&family->manifest);
    mutex_fini(&family->lock);
    mem_free(family->data_dir);
    mem_free(family);
}

static int load(struct family *family, struct err *ret_err)
{
    int there;

    if (family_place_init(&family->place, family->data_dir, family->family_id, ret_err) < 0)
        return -1;
    there = family_is_there(family->place.folder, ret_err);
    if (there <= 0)
        return there < 0
                   ? -1
                   : err_set(ret_err, ERR_NOT_FOUND, "'%s' does not exist", family->place.folder);
    if (family_read_manifest(&family->place, &family->manifest, ret_err) < 0)
        return -1;
    if (family_sweep(&family->place, &family->manifest, ret_err) < 0) {
        manifest_fini(&family->manifest);
        return -1;
    }
    family->manifest.drop_count = 0; /* swept; the next MANIFEST is without them */
    family->loaded = true;
    return 0;
}

int family_open(
    const char *data_dir, const char *family_id, struct family **ret_family, struct err *ret_err)
{
    struct family *family;
    int rc = 0;

    if (!manifest_is_id(str_from(family_id)))
        return err_set(ret_err, ERR_BUG, "'%s' is not the id of a family", family_id);
    family = find_or_make(data_dir, family_id);
    mutex_lock(&family->lock);
    if (!family->loaded)
        rc = load(family, ret_err);
    mutex_unlock(&family->lock);
    if (rc < 0) {
        family_release(family);
        return -1;
    }
    *ret_family = family;
    return 0;
}

bool family_is_broken(struct family *family)
{
    bool broken;

    mutex_lock(&family->lock);
    broken = family->broken;
    mutex_unlock(&family->lock);
    return broken;
}

void family_describe(struct family *family, struct manifest *ret_manifest)
{
    mutex_lock(&family->lock);
    manifest_copy(&family->manifest, ret_manifest);
    mutex_unlock(&family->lock);
}

/* ------------------------------------------------------------------ layers */

int family_get_layer(
    struct family *family, const char *layer_id, struct layer **ret_layer, struct err *ret_err)
{
    const struct manifest_layer *line = manifest_find_layer(&family->manifest, layer_id);
    struct layer *layer;

    LIST_FOREACH(item, &family->layers)
    {
        layer = LIST_ENTRY(item, struct layer, link);
        if (strcmp(layer->id, layer_id) == 0) {
            *ret_layer = layer_ref(layer);
            return 0;
        }
    }
    CHECK(line != NULL); /* the parser saw to it */
    if (layer_open(family->place.folder, line, &layer, ret_err) < 0)
        return -1;
    *ret_layer = family_add_layer(family, layer);
    return 0;
}

struct layer *family_add_layer(struct family *family, struct layer *layer)
{
    list_append(&family->layers, &layer->link);
    return layer_ref(layer);
}

void family_reap_layers(struct family *family)
{
    LIST_FOREACH_SAFE(item, next, &family->layers)
    {
        struct layer *layer = LIST_ENTRY(item, struct layer, link);

        if (atomic_load_explicit(&layer->references, memory_order_acquire) == 1) {
            list_remove(&layer->link);
            layer_unref(layer);
        }
    }
}

/* ------------------------------------------------------------------ heads */

struct family_head *family_find_open_head(struct family *family, const char *head_id)
{
    LIST_FOREACH(item, &family->heads)
    {
        struct family_head *head = LIST_ENTRY(item, struct family_head, link);

        if (strcmp(head->id, head_id) == 0)
            return head;
    }
    return NULL;
}

static int open_stack(struct family *family, const struct manifest_stack *stack,
    struct layer_stack **ret_stack, struct err *ret_err)
{
    struct layer *layers[MANIFEST_STACK_MAX];

    for (size_t i = 0; i < stack->count; i++)
        if (family_get_layer(family, stack->layers[i], &layers[i], ret_err) < 0) {
            while (i-- > 0)
                layer_unref(layers[i]);
            return -1;
        }
    return stack_open(layers, (uint32_t)stack->count, ret_stack, ret_err);
}

int family_head_open_locked(
    struct family *family, const char *head_id, struct family_head **ret_head, struct err *ret_err)
{
    const struct manifest_head *line = manifest_find_head(&family->manifest, head_id);
    struct family_head *head;

    if (family->broken)
        return err_set(
            ret_err, ERR_IO, "'%s' has to be closed and read anew", family->place.folder);
    if (line == NULL)
        return err_set(
            ret_err, ERR_NOT_FOUND, "'%s' has no head %s", family->place.folder, head_id);
    if (family_find_open_head(family, head_id) != NULL)
        return err_set(ret_err, ERR_BUSY, "head %s is open", head_id);
    head = mem_zalloc(sizeof(*head));
    list_init(&head->link);
    (void)snprintf(head->id, sizeof(head->id), "%s", head_id);
    if (family_head_paths(&family->place, head_id, &head->paths, ret_err) < 0 ||
        open_stack(family, &line->stack, &head->stack, ret_err) < 0) {
        family_reap_layers(family);
        mem_free(head);
        return -1;
    }
    list_append(&family->heads, &head->link);
    *ret_head = head;
    return 0;
}

void family_head_close_locked(struct family *family, struct family_head *head)
{
    list_remove(&head->link);
    stack_close(head->stack);
    mem_free(head);
    family_reap_layers(family);
}

int family_head_open(
    struct family *family, const char *head_id, struct family_head **ret_head, struct err *ret_err)
{
    int rc;

    mutex_lock(&family->lock);
    rc = family_head_open_locked(family, head_id, ret_head, ret_err);
    if (rc == 0)
        (*ret_head)->family = family_ref(family);
    mutex_unlock(&family->lock);
    return rc;
}

void family_head_close(struct family_head *head)
{
    struct family *family;

    if (head == NULL)
        return;
    family = head->family;
    mutex_lock(&family->lock);
    family_head_close_locked(family, head);
    mutex_unlock(&family->lock);
    family_release(family);
}

struct layer_stack *family_head_stack(const struct family_head *head)
{
    return head->stack;
}

const struct family_paths *family_head_files(const struct family_head *head)
{
    return &head->paths;
}

/* ------------------------------------------------------------------ the MANIFEST */

/* Those that could not be unlinked stay for the next MANIFEST. */
static void unlink_drops(struct family *family)
{
    struct manifest *manifest = &family->manifest;
    size_t kept = 0;

    for (size_t i = 0; i < manifest->drop_count; i++) {
        struct err err = ERR_INIT;

        if (family_remove_entry(&family->place, manifest->drops[i].file, NULL, &err) == 0)
            continue;
        log_warn("family.drop", "error=%s", err.msg);
        manifest->drops[kept++] = manifest->drops[i];
    }
    manifest->drop_count = kept;
}

static int write_synced(struct family *family, const struct manifest *next, struct err *ret_err)
{
    int fd = -1;
    int rc = family_write_text(&family->place, MANIFEST_MAKING, next, &fd, ret_err);

    if (rc == 0 && io_sync(fd) < 0)
        rc = family_io_failed(ret_err, "sync the MANIFEST of", family->place.folder);
    if (fd >= 0)
        (void)io_close(fd);
    return rc;
}

int family_replace_manifest(
    struct family *family, struct manifest *next, bool *ret_unknown, struct err *ret_err)
{
    char making[FAMILY_PATH_MAX], path[FAMILY_PATH_MAX];
    int rc = 0;

    *ret_unknown = false;
    (void)family_path_in(&family->place, MANIFEST_MAKING, making);
    (void)family_path_in(&family->place, MANIFEST_FILE, path);
    next->generation = family->manifest.generation + 1;
    if (manifest_check(next, ret_err) < 0)
        return -1;
    if (write_synced(family, next, ret_err) < 0) {
        (void)io_unlink(making);
        return -1;
    }
    if (io_rename(making, path) < 0)
        rc = family_io_failed(ret_err, "name", path);
    else if (io_sync_folder(family->place.folder) < 0)
        rc = family_io_failed(ret_err, "sync", family->place.folder);
    if (rc < 0) {
        *ret_unknown = family->broken = true;
        return -1;
    }
    manifest_fini(&family->manifest);
    family->manifest = *next;
    *next = (struct manifest){.generation = 0};
    unlink_drops(family);
    return 0;
}

/* ------------------------------------------------------------------ usage */

static uint64_t file_bytes(const struct family *family, const char *name)
{
    char path[FAMILY_PATH_MAX];
    struct stat status;

    return stat(family_path_in(&family->place, name, path), &status) == 0
               ? (uint64_t)status.st_size
               : 0; /* a layer without a page has no file */
}

static uint64_t layer_bytes(const struct family *family, const struct manifest_layer *layer)
{
    char name[LAYER_NAME_MAX];

    if (layer->kind == MANIFEST_BASE)
        return file_bytes(family, layer_file_name(LAYER_BASE, layer->id, name));
    return file_bytes(family, layer_file_name(LAYER_PAGES, layer->id, name)) +
           file_bytes(family, layer_file_name(LAYER_MAP, layer->id, name));
}

int family_head_usage(
    struct family *family, const char *head_id, struct family_usage *ret_usage, struct err *ret_err)
{
    struct family_usage usage = {.own_bytes = 0};
    const struct manifest_head *head;
    char name[LAYER_NAME_MAX];

    mutex_lock(&family->lock);
    head = manifest_find_head(&family->manifest, head_id);
    for (size_t i = 0; head != NULL && i < head->stack.count; i++) {
        const char *id = head->stack.layers[i];
        uint64_t bytes = layer_bytes(family, manifest_find_layer(&family->manifest, id));

        if (manifest_users(&family->manifest, id) == 1)
            usage.own_bytes += bytes;
        else
            usage.shared_bytes += bytes;
        usage.depth++;
    }
    (void)snprintf(name, sizeof(name), "h%s-wal", head_id);
    usage.own_bytes += head == NULL ? 0 : file_bytes(family, name);
    mutex_unlock(&family->lock);
    if (head == NULL)
        return err_set(ret_err, ERR_NOT_FOUND, "there is no head %s", head_id);
    *ret_usage = usage;
    return 0;
}
