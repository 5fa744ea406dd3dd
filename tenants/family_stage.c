/* Where an import makes its family: data/import/<family id>, the folder that becomes the family's.
 *
 * Orders, for power cuts: all files are synced, then the folder, then its name in data/import, and
 * only then the catalogue gets a row with the family's id. Who makes the family of that row
 * (family_create) finds the folder and renames it into its place. So a row means the whole of it,
 * and what has no row is garbage that the next start removes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tenants/base/log.h"
#include "tenants/family_internal.h"
#include "tenants/manifest.h"
#include "tenants/vfs_io.h"

#define STAGE_FOLDER "import"

static int stage_place(
    struct family_place *place, const char *data_dir, const char *family_id, struct err *ret_err)
{
    if (family_place_init(place, data_dir, family_id, ret_err) < 0)
        return -1;
    (void)snprintf(place->parent, sizeof(place->parent), "%s/" STAGE_FOLDER, data_dir);
    (void)snprintf(
        place->folder, sizeof(place->folder), "%s/" STAGE_FOLDER "/%s", data_dir, family_id);
    return 0;
}

static void close_all(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0)
            (void)io_close(fds[i]);
    }
}

static void fill_paths(
    const struct family_place *place, const struct family_stage *stage, struct family_paths *paths)
{
    char name[80];

    (void)snprintf(paths->folder, sizeof(paths->folder), "%s", place->folder);
    (void)snprintf(name, sizeof(name), "base-%s", stage->base_id);
    (void)family_path_in(place, name, paths->main_path);
    (void)snprintf(name, sizeof(name), "h%s", stage->head_id);
    (void)family_path_in(place, name, paths->placeholder_path);
    (void)snprintf(name, sizeof(name), "h%s-wal", stage->head_id);
    (void)family_path_in(place, name, paths->wal_path);
}

int family_stage(const char *data_dir, struct family_stage *ret_stage, struct err *ret_err)
{
    struct family_stage stage;
    struct family_place place;
    int fds[2] = {-1, -1};
    int rc;

    family_new_id(stage.family_id);
    family_new_id(stage.head_id);
    family_new_id(stage.base_id);
    if (stage_place(&place, data_dir, stage.family_id, ret_err) < 0 ||
        family_make_and_sync(place.parent, ret_err) < 0)
        return -1;
    if (io_mkdir(place.folder, 0700) < 0)
        return family_io_failed(ret_err, "make", place.folder);
    rc = family_write_head(&place, stage.head_id, &fds[0], &fds[1], ret_err);
    close_all(fds, ARRAY_LEN(fds));
    if (rc < 0) {
        (void)!family_remove_folder(&place, NULL);
        return -1;
    }
    fill_paths(&place, &stage, &stage.paths);
    *ret_stage = stage;
    return 0;
}

static int sync_file(const char *path, struct err *ret_err)
{
    int fd = io_open(path, O_RDWR | O_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return family_io_failed(ret_err, "open", path);
    rc = io_sync(fd);
    if (rc < 0)
        (void)family_io_failed(ret_err, "sync", path);
    (void)io_close(fd);
    return rc;
}

int family_stage_finish(
    const char *data_dir, const struct family_stage *stage, uint32_t page_size, struct err *ret_err)
{
    struct family_place place;
    int fd = -1;
    int rc;

    if (stage_place(&place, data_dir, stage->family_id, ret_err) < 0 ||
        sync_file(stage->paths.main_path, ret_err) < 0 ||
        sync_file(stage->paths.wal_path, ret_err) < 0 ||
        sync_file(stage->paths.placeholder_path, ret_err) < 0 ||
        family_write_first_manifest(
            &place, stage->base_id, stage->head_id, page_size, &fd, ret_err) < 0)
        return -1;
    rc = io_sync(fd);
    (void)io_close(fd);
    if (rc < 0 || io_sync_folder(place.folder) < 0)
        return family_io_failed(ret_err, "sync the files of", place.folder);
    return io_sync_folder(place.parent) < 0 ? family_io_failed(ret_err, "sync", place.parent) : 0;
}

int family_unstage(const char *data_dir, const char *family_id, struct err *ret_err)
{
    struct family_place place;

    if (stage_place(&place, data_dir, family_id, ret_err) < 0)
        return -1;
    return family_remove_folder(&place, ret_err);
}

int family_adopt(const struct family_place *place, struct err *ret_err)
{
    struct family_place staged;
    char path[FAMILY_PATH_MAX];
    int there;

    if (stage_place(&staged, place->data_dir, place->family_id, ret_err) < 0)
        return -1;
    there = family_is_there(family_path_in(&staged, MANIFEST_FILE, path), ret_err);
    if (there <= 0)
        return there;
    if (io_rmdir(place->folder) < 0 && errno != ENOENT)
        return family_io_failed(ret_err, "remove", place->folder);
    if (io_rename(staged.folder, place->folder) < 0)
        return family_io_failed(ret_err, "name", place->folder);
    if (io_sync_folder(staged.parent) < 0)
        return family_io_failed(ret_err, "sync", staged.parent);
    return 1; /* who accepts it syncs the parent */
}

struct clean {
    bool (*is_wanted)(void *context, const char *family_id);
    void *context;
};

static int clean_entry(
    const struct family_place *place, const char *name, const void *context, struct err *ret_err)
{
    const struct clean *clean = context;

    if (!manifest_is_id(str_from(name)) || clean->is_wanted(clean->context, name))
        return 0;
    log_info("import.removed", "family=%s reason=unfinished", name);
    return family_unstage(place->data_dir, name, ret_err);
}

int family_stage_clean(const char *data_dir,
    bool (*is_wanted)(void *context, const char *family_id), void *context, struct err *ret_err)
{
    const struct clean clean = {.is_wanted = is_wanted, .context = context};
    struct family_place place = {.data_dir = data_dir};
    struct err err = ERR_INIT;

    (void)snprintf(place.folder, sizeof(place.folder), "%s/" STAGE_FOLDER, data_dir);
    if (family_each_entry(&place, clean_entry, &clean, &err) < 0 && err.code != ERR_NOT_FOUND) {
        err_copy(ret_err, &err);
        return -1;
    }
    return 0;
}
