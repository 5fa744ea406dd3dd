/* Orders, for power cuts: a family is made in a folder of another name; its files are synced, then
 * that folder, and only then it gets its name, by one rename, and its parent is synced. So no name
 * of a family is durable before all of it is. (A MANIFEST renamed within the folder would need one
 * more sync: the rename may be kept and the names of the other files lost.) A folder without
 * MANIFEST is half removed and holds nothing that anybody was promised. */
#include "tenants/family.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tenants/base/check.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/base/random.h"
#include "tenants/base/thread.h"
#include "tenants/family_internal.h"
#include "tenants/vfs_internal.h"
#include "tenants/vfs_io.h"

#define MANIFEST_GONE "MANIFEST.gone"
#define MAKING_SUFFIX ".new"
#define DEFAULT_REF "main"

void family_new_id(char out[ID_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[(ID_HEX_BYTES - 1) / 2];

    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[ID_HEX_BYTES - 1] = '\0';
}

/* ------------------------------------------------------------------ paths */

int family_place_init(
    struct family_place *place, const char *data_dir, const char *family_id, struct err *ret_err)
{
    int len;

    place->data_dir = data_dir;
    place->family_id = family_id;
    if (!manifest_is_id(str_from(family_id)))
        return err_set(ret_err, ERR_BUG, "'%s' is not the id of a family", family_id);
    (void)snprintf(place->parent, sizeof(place->parent), "%s/db/%.2s", data_dir, family_id);
    len = snprintf(
        place->folder, sizeof(place->folder), "%s/db/%.2s/%s", data_dir, family_id, family_id);
    /* room for "/h<32 digits>-wal" and the like */
    if (len + 64 >= FAMILY_PATH_MAX)
        return err_set(ret_err, ERR_BAD_REQUEST, "the path of the data directory is too long");
    return 0;
}

/* Where a family is while it is made. */
static struct family_place place_of_making(const struct family_place *place)
{
    struct family_place made = *place;
    int len = snprintf(
        made.folder, sizeof(made.folder), "%s/%s" MAKING_SUFFIX, place->parent, place->family_id);

    CHECK(len < FAMILY_PATH_MAX); /* family_place_init() left room */
    return made;
}

const char *family_path_in(
    const struct family_place *place, const char *name, char out[FAMILY_PATH_MAX])
{
    int len = snprintf(out, FAMILY_PATH_MAX, "%s/%s", place->folder, name);

    if (len >= FAMILY_PATH_MAX) /* names in a folder that are none of ours */
        out[0] = '\0';
    return out;
}

int family_io_failed(struct err *ret_err, const char *what, const char *path)
{
    return err_set_errno(ret_err, ERR_IO, errno, "cannot %s '%s'", what, path);
}

/* ------------------------------------------------------------------ the folders above */

/* Which of data/db/<2 hex> this process knows to be durable: two workers may need the same one at
 * the same time, and neither may go on before it is synced. */
static struct {
    struct mutex lock;
    char data_dir[FAMILY_PATH_MAX];
    uint64_t synced[4];
} parents = {.lock = {.native = PTHREAD_MUTEX_INITIALIZER}};

int family_make_and_sync(const char *path, struct err *ret_err)
{
    if (io_mkdir(path, 0700) < 0 && errno != EEXIST)
        return family_io_failed(ret_err, "make", path);
    if (io_sync_folder_of(path) < 0)
        return family_io_failed(ret_err, "sync the folder of", path);
    return 0;
}

static int make_parents_locked(struct family_place *place, struct err *ret_err)
{
    char top[FAMILY_PATH_MAX];
    unsigned prefix = 0;

    if (strcmp(parents.data_dir, place->data_dir) != 0) {
        memset(parents.synced, 0, sizeof(parents.synced));
        parents.data_dir[0] = '\0';
        (void)snprintf(top, sizeof(top), "%s/db", place->data_dir);
        if (family_make_and_sync(top, ret_err) < 0)
            return -1;
        (void)snprintf(parents.data_dir, sizeof(parents.data_dir), "%s", place->data_dir);
    }
    for (int i = 0; i < 2; i++) {
        char c = place->family_id[i];

        prefix = prefix << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if ((parents.synced[prefix / 64] & UINT64_C(1) << prefix % 64) != 0)
        return 0;
    if (family_make_and_sync(place->parent, ret_err) < 0)
        return -1;
    parents.synced[prefix / 64] |= UINT64_C(1) << prefix % 64;
    return 0;
}

static int make_parents(struct family_place *place, struct err *ret_err)
{
    int rc;

    mutex_lock(&parents.lock);
    rc = make_parents_locked(place, ret_err);
    mutex_unlock(&parents.lock);
    return rc;
}

void family_forget_folders(void)
{
    mutex_lock(&parents.lock);
    parents.data_dir[0] = '\0';
    mutex_unlock(&parents.lock);
}

/* ------------------------------------------------------------------ folder contents */

int family_each_entry(const struct family_place *place, family_entry_fn on_entry,
    const void *context, struct err *ret_err)
{
    /* Not opendir(): a thread sanitizer does not see the descriptor that it opens. */
    int fd = open(place->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    int rc = 0;

    if (folder == NULL && fd >= 0) {
        (void)err_set_errno(ret_err, ERR_IO, errno, "cannot list '%s'", place->folder);
        (void)close(fd);
        return -1;
    }
    if (folder == NULL)
        return err_set_errno(ret_err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno,
            "cannot list '%s'", place->folder);
    while (rc == 0 && (entry = readdir(folder)) != NULL) /* NOLINT: one thread reads this stream */
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = on_entry(place, entry->d_name, context, ret_err);
    (void)closedir(folder);
    return rc;
}

int family_remove_entry(
    const struct family_place *place, const char *name, const void *context, struct err *ret_err)
{
    char path[FAMILY_PATH_MAX];

    if (io_unlink(family_path_in(place, name, path)) < 0 && errno != ENOENT)
        return family_io_failed(ret_err, "remove", path);
    return 0;
}

int family_is_there(const char *path, struct err *ret_err)
{
    struct stat status;

    if (stat(path, &status) == 0)
        return 1;
    return errno == ENOENT ? 0 : family_io_failed(ret_err, "stat", path);
}

/* ------------------------------------------------------------------ MANIFEST */

int family_read_manifest(
    const struct family_place *place, struct manifest *ret_manifest, struct err *ret_err)
{
    char path[FAMILY_PATH_MAX];
    int fd = io_open(family_path_in(place, MANIFEST_FILE, path), O_RDONLY | O_CLOEXEC, 0);
    struct stat status;
    char *text;
    ssize_t len;
    int rc;

    if (fd < 0)
        return errno == ENOENT
                   ? err_set(ret_err, ERR_CORRUPT, "'%s' has no MANIFEST", place->folder)
                   : family_io_failed(ret_err, "open", path);
    if (fstat(fd, &status) < 0 || status.st_size > MANIFEST_BYTES_MAX) {
        (void)io_close(fd);
        return err_set(ret_err, ERR_CORRUPT, "'%s' is not a MANIFEST", path);
    }
    text = mem_alloc((size_t)status.st_size + 1);
    len = io_read_all(fd, text, (size_t)status.st_size + 1, 0);
    (void)io_close(fd);
    rc = len < 0 ? family_io_failed(ret_err, "read", path)
                 : manifest_parse(str_make(text, (size_t)len), ret_manifest, ret_err);
    mem_free(text);
    return rc;
}

int family_write_file(const char *path, struct str bytes, int *ret_fd, struct err *ret_err)
{
    int fd = io_open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return family_io_failed(ret_err, "make", path);
    if (bytes.len > 0 && io_write_all(fd, bytes.ptr, bytes.len, 0) < 0) {
        (void)family_io_failed(ret_err, "write", path);
        (void)io_close(fd);
        return -1;
    }
    *ret_fd = fd;
    return 0;
}

/* ------------------------------------------------------------------ creating */

int family_write_text(const struct family_place *place, const char *name,
    const struct manifest *manifest, int *ret_fd, struct err *ret_err)
{
    char path[FAMILY_PATH_MAX];
    struct buf text;
    int rc;

    buf_init(&text, 0);
    manifest_print(manifest, &text);
    rc = family_write_file(family_path_in(place, name, path), buf_view(&text), ret_fd, ret_err);
    buf_fini(&text);
    return rc;
}

int family_write_first_manifest(const struct family_place *place, const char *base_id,
    const char *head_id, uint32_t page_size, int *ret_fd, struct err *ret_err)
{
    char stack[1][ID_HEX_BYTES];
    struct manifest_layer layer = {.kind = MANIFEST_BASE, .page_size = page_size};
    struct manifest_head head = {.ref = DEFAULT_REF, .stack = {.layers = stack, .count = 1}};
    struct manifest manifest = {
        .generation = 1, .layers = &layer, .layer_count = 1, .heads = &head, .head_count = 1};

    (void)snprintf(stack[0], ID_HEX_BYTES, "%s", base_id);
    (void)snprintf(layer.id, ID_HEX_BYTES, "%s", base_id);
    (void)snprintf(head.id, ID_HEX_BYTES, "%s", head_id);
    return family_write_text(place, MANIFEST_FILE, &manifest, ret_fd, ret_err);
}

int family_write_head(const struct family_place *place, const char *head_id, int *ret_placeholder,
    int *ret_wal, struct err *ret_err)
{
    char name[80], path[FAMILY_PATH_MAX], line[80];

    (void)snprintf(name, sizeof(name), "h%s", head_id);
    (void)snprintf(line, sizeof(line), "rookery-head %d %s\n", HEAD_FORMAT, head_id);
    if (family_write_file(
            family_path_in(place, name, path), str_from(line), ret_placeholder, ret_err) < 0)
        return -1;
    (void)snprintf(name, sizeof(name), "h%s-wal", head_id);
    return family_write_file(family_path_in(place, name, path), str_make("", 0), ret_wal, ret_err);
}

/* Writes all files, *then* syncs them: on a journalling file system the first sync carries most of
 * what the others need. fds that are not open are -1. */
static int write_files(
    const struct family_place *place, const char *head_id, int fds[4], struct err *ret_err)
{
    unsigned char page[VFS_EMPTY_BYTES];
    char base_id[ID_HEX_BYTES];
    char name[80], path[FAMILY_PATH_MAX];

    family_new_id(base_id);
    vfs_empty_database(page);
    (void)snprintf(name, sizeof(name), "base-%s", base_id);
    if (family_write_file(family_path_in(place, name, path),
            str_make((const char *)page, sizeof(page)), &fds[0], ret_err) < 0)
        return -1;
    if (family_write_head(place, head_id, &fds[1], &fds[2], ret_err) < 0)
        return -1;
    if (family_write_first_manifest(place, base_id, head_id, VFS_EMPTY_BYTES, &fds[3], ret_err) < 0)
        return -1;
    for (int i = 0; i < 4; i++)
        if (i != 2 && io_sync(fds[i]) < 0) /* the WAL is empty: its name is all there is */
            return family_io_failed(ret_err, "sync the files of", place->folder);
    return 0;
}

static int sync_parent(const struct family_place *place, struct err *ret_err)
{
    return io_sync_folder(place->parent) < 0 ? family_io_failed(ret_err, "sync", place->parent) : 0;
}

/* Empties and makes the folder; `made` tells where. */
static int make_empty(const struct family_place *made, struct err *ret_err)
{
    if (io_mkdir(made->folder, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return family_io_failed(ret_err, "make", made->folder);
    return family_each_entry(made, family_remove_entry, NULL, ret_err);
}

static int create_here(const struct family_place *place, const char *head_id, struct err *ret_err)
{
    int fds[4] = {-1, -1, -1, -1};
    struct family_place made = place_of_making(place);
    int rc;

    if (make_empty(&made, ret_err) < 0)
        return -1;
    rc = write_files(&made, head_id, fds, ret_err);
    for (int i = 0; i < 4; i++)
        if (fds[i] >= 0)
            (void)io_close(fds[i]);
    if (rc < 0)
        return -1;
    if (io_sync_folder(made.folder) < 0)
        return family_io_failed(ret_err, "sync", made.folder);
    if (io_rename(made.folder, place->folder) < 0)
        return family_io_failed(ret_err, "name", place->folder);
    return sync_parent(place, ret_err);
}

/* A folder with a MANIFEST is whole, but its name is perhaps not durable: its maker may have been
 * killed before its last sync. */
static int accept_existing(
    const struct family_place *place, const char *head_id, struct err *ret_err)
{
    struct manifest manifest;
    bool has_head;

    if (family_read_manifest(place, &manifest, ret_err) < 0)
        return -1;
    has_head = manifest_find_head(&manifest, head_id) != NULL;
    manifest_fini(&manifest);
    if (!has_head)
        return err_set(ret_err, ERR_CORRUPT, "'%s' has no head %s", place->folder, head_id);
    return sync_parent(place, ret_err);
}

int family_create(
    const char *data_dir, const char *family_id, const char *head_id, struct err *ret_err)
{
    char path[FAMILY_PATH_MAX];
    struct family_place place;
    int there;

    if (family_place_init(&place, data_dir, family_id, ret_err) < 0)
        return -1;
    if (!manifest_is_id(str_from(head_id)))
        return err_set(ret_err, ERR_BUG, "'%s' is not the id of a head", head_id);
    if (make_parents(&place, ret_err) < 0)
        return -1;
    there = family_is_there(family_path_in(&place, MANIFEST_FILE, path), ret_err);
    if (there != 0)
        return there < 0 ? -1 : accept_existing(&place, head_id, ret_err);
    there = family_is_there(place.folder, ret_err);
    if (there < 0 ||
        (there > 0 && family_each_entry(&place, family_remove_entry, NULL, ret_err) < 0))
        return -1;
    there = family_adopt(&place, ret_err);
    if (there != 0)
        return there < 0 ? -1 : accept_existing(&place, head_id, ret_err);
    return create_here(&place, head_id, ret_err);
}

/* ------------------------------------------------------------------ removing */

int family_remove_folder(const struct family_place *place, struct err *ret_err)
{
    int there = family_is_there(place->folder, ret_err);

    if (there <= 0)
        return there;
    if (family_each_entry(place, family_remove_entry, NULL, ret_err) < 0)
        return -1;
    if (io_rmdir(place->folder) < 0 && errno != ENOENT)
        return family_io_failed(ret_err, "remove", place->folder);
    return 0;
}

int family_remove(const char *data_dir, const char *family_id, struct err *ret_err)
{
    char from[FAMILY_PATH_MAX], to[FAMILY_PATH_MAX];
    struct family_place place, made;
    int there;

    if (family_place_init(&place, data_dir, family_id, ret_err) < 0)
        return -1;
    there = family_is_there(place.folder, ret_err);
    if (there < 0)
        return -1;
    if (there > 0) {
        if (io_rename(family_path_in(&place, MANIFEST_FILE, from),
                family_path_in(&place, MANIFEST_GONE, to)) < 0 &&
            errno != ENOENT)
            return family_io_failed(ret_err, "rename", from);
        if (io_sync_folder(place.folder) < 0)
            return family_io_failed(ret_err, "sync", place.folder);
    }
    made = place_of_making(&place);
    if (family_remove_folder(&place, ret_err) < 0 || family_remove_folder(&made, ret_err) < 0 ||
        family_unstage(data_dir, family_id, ret_err) < 0)
        return -1;
    /* Also when it was gone already: perhaps not durably. */
    if (io_sync_folder(place.parent) < 0 && errno != ENOENT)
        return family_io_failed(ret_err, "sync", place.parent);
    return 0;
}
