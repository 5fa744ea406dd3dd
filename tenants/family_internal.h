/* What the files that work in a family's folder share: family*.c and layers/. */
#ifndef TENANTS_FAMILY_INTERNAL_H
#define TENANTS_FAMILY_INTERNAL_H

#include "tenants/family.h"
#include "tenants/manifest.h"

#define MANIFEST_FILE "MANIFEST"
#define MANIFEST_MAKING "MANIFEST.tmp"
#define HEAD_FORMAT 1

struct family_place {
    const char *data_dir;
    const char *family_id;
    char parent[FAMILY_PATH_MAX]; /* data/db/<2 hex> */
    char folder[FAMILY_PATH_MAX];
};

int family_place_init(struct family_place *place, const char *data_dir, const char *family_id,
    struct err *ret_err) MUST_CHECK;
/* Path of a name in the folder; "" for one so long that it is none of ours. */
const char *family_path_in(
    const struct family_place *place, const char *name, char out[FAMILY_PATH_MAX]);
/* ERR_IO with errno: "cannot <what> '<path>'". */
int family_io_failed(struct err *ret_err, const char *what, const char *path);

typedef int (*family_entry_fn)(
    const struct family_place *place, const char *name, const void *context, struct err *ret_err);
/* Calls on_entry for each name in the folder; what it returns other than 0 ends it. */
int family_each_entry(const struct family_place *place, family_entry_fn on_entry,
    const void *context, struct err *ret_err) MUST_CHECK;
/* Unlinks; fine when there is none. `context` is not looked at. */
int family_remove_entry(const struct family_place *place, const char *name, const void *context,
    struct err *ret_err) MUST_CHECK;
/* 1: it is there, 0: it is not. */
int family_is_there(const char *path, struct err *ret_err) MUST_CHECK;
/* A new file with these bytes; *ret_fd stays open for its sync. */
int family_write_file(const char *path, struct str bytes, int *ret_fd, struct err *ret_err)
    MUST_CHECK;

int family_write_first_manifest(const struct family_place *place, const char *base_id,
    const char *head_id, uint32_t page_size, int *ret_fd, struct err *ret_err) MUST_CHECK;
/* The placeholder and an empty WAL. */
int family_write_head(const struct family_place *place, const char *head_id, int *ret_placeholder,
    int *ret_wal, struct err *ret_err) MUST_CHECK;
/* Makes the folder, and its name durable; fine when it is there. */
int family_make_and_sync(const char *path, struct err *ret_err) MUST_CHECK;
/* A folder and what is in it; fine when there is none. */
int family_remove_folder(const struct family_place *place, struct err *ret_err) MUST_CHECK;
/* Moves what an import has staged for this family to its place (family_stage.c). 1: done, 0:
 * nothing is staged. */
int family_adopt(const struct family_place *place, struct err *ret_err) MUST_CHECK;

int family_read_manifest(const struct family_place *place, struct manifest *ret_manifest,
    struct err *ret_err) MUST_CHECK;
/* The text of a MANIFEST in a file of that name; *ret_fd stays open for its sync. */
int family_write_text(const struct family_place *place, const char *name,
    const struct manifest *manifest, int *ret_fd, struct err *ret_err) MUST_CHECK;

/* Fills `paths` with those of a head, and finds its placeholder and WAL there. */
int family_head_paths(const struct family_place *place, const char *head_id,
    struct family_paths *paths, struct err *ret_err) MUST_CHECK;
/* Removes what the MANIFEST does not name, logged, and what it wants dropped. The MANIFEST's own
 * name is made durable before the first file goes. */
int family_sweep(const struct family_place *place, const struct manifest *manifest,
    struct err *ret_err) MUST_CHECK;

#endif
