/* Finding a head's files, and clearing away what nobody names. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/family_internal.h"
#include "tenants/layers/layer.h"
#include "tenants/vfs_io.h"

/* ------------------------------------------------------------------ names */

/* The names that a MANIFEST means, sorted: a family of a thousand branches has as many files. */
struct names {
    char (*at)[LAYER_NAME_MAX]; /* owned */
    size_t count;
};

static void add_layer(struct names *names, const struct manifest_layer *layer)
{
    if (layer->kind == MANIFEST_BASE) {
        (void)layer_file_name(LAYER_BASE, layer->id, names->at[names->count++]);
        return;
    }
    (void)layer_file_name(LAYER_PAGES, layer->id, names->at[names->count++]);
    (void)layer_file_name(LAYER_MAP, layer->id, names->at[names->count++]);
    (void)layer_file_name(LAYER_SUMS, layer->id, names->at[names->count++]);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static struct names names_of(const struct manifest *manifest)
{
    size_t most = 1 + manifest->layer_count * 3 + manifest->head_count * 2;
    struct names names = {.at = mem_alloc(most * sizeof(*names.at))};

    (void)snprintf(names.at[names.count++], LAYER_NAME_MAX, "%s", MANIFEST_FILE);
    for (size_t i = 0; i < manifest->layer_count; i++)
        add_layer(&names, &manifest->layers[i]);
    for (size_t i = 0; i < manifest->head_count; i++) {
        (void)snprintf(names.at[names.count++], LAYER_NAME_MAX, "h%s", manifest->heads[i].id);
        (void)snprintf(names.at[names.count++], LAYER_NAME_MAX, "h%s-wal", manifest->heads[i].id);
    }
    qsort(names.at, names.count, sizeof(*names.at), by_name);
    return names;
}

static bool has_name(const struct names *names, const char *name)
{
    char key[LAYER_NAME_MAX];

    if (strlen(name) >= sizeof(key))
        return false;
    (void)snprintf(key, sizeof(key), "%s", name);
    return bsearch(key, names->at, names->count, sizeof(*names->at), by_name) != NULL;
}

static bool is_dropped(const struct manifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->drop_count; i++)
        if (strcmp(manifest->drops[i].file, name) == 0)
            return true;
    return false;
}

/* ------------------------------------------------------------------ sweeping */

struct sweeping {
    struct names names;
    const struct manifest *manifest;
    bool *settled; /* the MANIFEST's own name is durable */
};

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* What this MANIFEST does not name, the one before may: it must not come back after the files went.
 * (Its rename may be in the page cache only, if its writer was killed.) */
static int settle(const struct family_place *place, bool *settled, struct err *ret_err)
{
    if (!*settled && io_sync_folder(place->folder) < 0)
        return family_io_failed(ret_err, "sync", place->folder);
    *settled = true;
    return 0;
}

static int sweep_entry(
    const struct family_place *place, const char *name, const void *context, struct err *ret_err)
{
    const struct sweeping *sweep = context;
    char path[FAMILY_PATH_MAX], quoted[FAMILY_PATH_MAX];
    struct stat status;

    if (has_name(&sweep->names, name))
        return 0;
    if (lstat(family_path_in(place, name, path), &status) < 0)
        return errno == ENOENT ? 0 : family_io_failed(ret_err, "stat", path);
    /* Another program wrote into a base and did not finish: what it left is part of the data. */
    if (strncmp(name, "base-", 5) == 0 &&
        (ends_with(name, "-wal") || ends_with(name, "-journal")) && status.st_size > 0)
        return err_set(ret_err, ERR_CORRUPT,
            "'%s' was left by another program: settle it with sqlite3 before this database opens",
            path);
    if (!is_dropped(sweep->manifest, name))
        log_warn("family.stray", "path=%s bytes=%lld",
            log_quote(quoted, sizeof(quoted), str_from(path)), (long long)status.st_size);
    if (S_ISDIR(status.st_mode))
        return 0; /* nothing of ours makes folders here */
    if (settle(place, sweep->settled, ret_err) < 0)
        return -1;
    return family_remove_entry(place, name, NULL, ret_err);
}

int family_sweep(
    const struct family_place *place, const struct manifest *manifest, struct err *ret_err)
{
    bool settled = false;
    struct sweeping sweep = {
        .names = names_of(manifest), .manifest = manifest, .settled = &settled};
    int rc = family_each_entry(place, sweep_entry, &sweep, ret_err);

    mem_free(sweep.names.at);
    return rc;
}

/* ------------------------------------------------------------------ locating */

/* Fills `path` with that of "<prefix><id><suffix>" and finds it there. */
static int require(const struct family_place *place, const char *prefix, const char *id,
    const char *suffix, char *path, struct err *ret_err)
{
    char name[80];
    int there;

    (void)snprintf(name, sizeof(name), "%s%s%s", prefix, id, suffix);
    there = family_is_there(family_path_in(place, name, path), ret_err);
    if (there == 0)
        return err_set(ret_err, ERR_CORRUPT, "'%s' is missing; the MANIFEST names it", path);
    return there < 0 ? -1 : 0;
}

int family_head_paths(const struct family_place *place, const char *head_id,
    struct family_paths *paths, struct err *ret_err)
{
    (void)snprintf(paths->folder, sizeof(paths->folder), "%s", place->folder);
    if (require(place, "h", head_id, "", paths->placeholder_path, ret_err) < 0)
        return -1;
    return require(place, "h", head_id, "-wal", paths->wal_path, ret_err);
}

static int locate_head(const struct family_place *place, const struct manifest *manifest,
    const char *head_id, struct family_paths *paths, struct err *ret_err)
{
    const struct manifest_head *head = manifest_find_head(manifest, head_id);

    if (head == NULL)
        return err_set(ret_err, ERR_CORRUPT, "'%s' has no head %s", place->folder, head_id);
    if (head->stack.count != 1)
        return err_set(ret_err, ERR_NOT_IMPLEMENTED,
            "'%s' has branches: it is opened with family_open()", place->folder);
    if (require(place, "base-", head->stack.layers[0], "", paths->main_path, ret_err) < 0 ||
        family_head_paths(place, head_id, paths, ret_err) < 0)
        return -1;
    return family_sweep(place, manifest, ret_err);
}

int family_locate(const char *data_dir, const char *family_id, const char *head_id,
    struct family_paths *ret_paths, struct err *ret_err)
{
    struct manifest manifest;
    struct family_paths paths;
    struct family_place place;
    int rc;

    if (family_place_init(&place, data_dir, family_id, ret_err) < 0)
        return -1;
    rc = family_is_there(place.folder, ret_err);
    if (rc <= 0)
        return rc < 0 ? -1 : err_set(ret_err, ERR_NOT_FOUND, "'%s' does not exist", place.folder);
    if (family_read_manifest(&place, &manifest, ret_err) < 0)
        return -1;
    rc = locate_head(&place, &manifest, head_id, &paths, ret_err);
    manifest_fini(&manifest);
    if (rc == 0)
        *ret_paths = paths;
    return rc;
}
