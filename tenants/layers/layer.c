/* Order of a sync: pages; the folder when the files are new; the map. Pages and batches may reach
 * the disk in either order, since the WAL still holds every page until the sync is over; names may
 * not: a map that has a batch has its pages beside it. */
#include "tenants/layers/layer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tenants/base/check.h"
#include "tenants/base/hash.h"
#include "tenants/base/mem.h"
#include "tenants/vfs_internal.h"
#include "tenants/vfs_io.h"

#define MAGIC "RKLAYER1"
#define MAGIC_BYTES 8
#define HEADER_USED 40 /* bytes of the header that mean something */
#define PATH_MAX_BYTES (LAYER_FOLDER_MAX + LAYER_NAME_MAX)
#define MAP_BYTES_MAX (UINT64_C(1) << 30)

const char *layer_file_name(enum layer_file file, const char *id, char out[LAYER_NAME_MAX])
{
    static const char *const formats[][2] = {
        {"base-", ""}, {"L", ""}, {"L", ".map"}, {"L", ".sum"}};

    (void)snprintf(out, LAYER_NAME_MAX, "%s%s%s", formats[file][0], id, formats[file][1]);
    return out;
}

static const char *path_of(
    const struct layer *layer, enum layer_file file, char out[PATH_MAX_BYTES])
{
    char name[LAYER_NAME_MAX];

    (void)snprintf(
        out, PATH_MAX_BYTES, "%s/%s", layer->folder, layer_file_name(file, layer->id, name));
    return out;
}

static struct layer *new_layer(const char *folder, const char *id, uint32_t page_size)
{
    struct layer *layer = mem_zalloc(sizeof(*layer));

    atomic_init(&layer->references, 1);
    list_init(&layer->link);
    (void)snprintf(layer->id, sizeof(layer->id), "%s", id);
    (void)snprintf(layer->folder, sizeof(layer->folder), "%s", folder);
    layer->page_size = page_size;
    layer->fd = -1;
    layer->map_fd = -1;
    map_init(&layer->map, page_size);
    buf_init(&layer->pending, 0);
    return layer;
}

struct layer *layer_new(const char *folder, const char *id, uint32_t page_size)
{
    return new_layer(folder, id, page_size);
}

void layer_begin(struct layer *layer, uint32_t pages_below)
{
    if (layer->map.batches > 0)
        return;
    layer->map.pages = layer->map.base_limit = pages_below;
    layer->batched_pages = layer->batched_limit = pages_below;
}

struct layer *layer_ref(struct layer *layer)
{
    atomic_fetch_add_explicit(&layer->references, 1, memory_order_relaxed);
    return layer;
}

void layer_unref(struct layer *layer)
{
    if (layer == NULL ||
        atomic_fetch_sub_explicit(&layer->references, 1, memory_order_acq_rel) != 1)
        return;
    CHECK(!list_linked(&layer->link));
    if (layer->fd >= 0)
        (void)io_close(layer->fd);
    if (layer->map_fd >= 0)
        (void)io_close(layer->map_fd);
    map_fini(&layer->map);
    buf_fini(&layer->pending);
    mem_free(layer);
}

/* ------------------------------------------------------------------ opening */

static int failed(struct err *ret_err, const char *what, const char *path)
{
    return err_set_errno(ret_err, ERR_IO, errno, "cannot %s '%s'", what, path);
}

/* One that is written may be longer or, in the middle of being made shorter by a fold, whatever
 * the fold left; a frozen one has at least what the MANIFEST counts. */
static int open_base(struct layer *layer, struct err *ret_err)
{
    char path[PATH_MAX_BYTES];
    struct vfs_pages pages = {.fd = -1};
    bool made;
    int rc = vfs_pages_open(&pages, path_of(layer, LAYER_BASE, path), false, &made, ret_err);

    layer->fd = pages.fd;
    if (rc < 0) {
        if (ret_err != NULL && ret_err->code == ERR_NOT_FOUND)
            ret_err->code = ERR_CORRUPT; /* the MANIFEST names it */
        return -1;
    }
    if (layer->frozen && atomic_load(&pages.bytes) < (uint64_t)layer->pages * layer->page_size)
        return err_set(ret_err, ERR_CORRUPT, "'%s' is cut off", path);
    return 0;
}

static int check_header(const struct layer *layer, const char *path, struct err *ret_err)
{
    unsigned char header[HEADER_USED], id[MAP_ID_BYTES];
    ssize_t n = io_read_all(layer->fd, header, sizeof(header), 0);

    if (n < 0)
        return failed(ret_err, "read", path);
    map_id_bytes(layer->id, id);
    if (n < HEADER_USED || memcmp(header, MAGIC, MAGIC_BYTES) != 0 ||
        map_get_u32(header + 8) != layer->page_size ||
        map_get_u32(header + 12) != layer->page_size || map_get_u32(header + 16) != 0 ||
        memcmp(header + 20, id, sizeof(id)) != 0 ||
        map_get_u32(header + 36) != crc32c(0, header, HEADER_USED - 4))
        return err_set(ret_err, ERR_CORRUPT, "'%s' is not the layer of its name", path);
    return 0;
}

static int open_pages(struct layer *layer, struct err *ret_err)
{
    char path[PATH_MAX_BYTES];
    struct stat status;

    layer->fd = io_open(path_of(layer, LAYER_PAGES, path),
        layer->frozen ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CLOEXEC, 0);
    if (layer->fd < 0 && errno == ENOENT)
        return err_set(ret_err, ERR_CORRUPT, "'%s' is missing", path);
    if (layer->fd < 0)
        return failed(ret_err, "open", path);
    if (check_header(layer, path, ret_err) < 0)
        return -1;
    if (fstat(layer->fd, &status) < 0)
        return failed(ret_err, "stat", path);
    if (status.st_size < layer_offset(layer, layer->map.slots))
        return err_set(ret_err, ERR_CORRUPT, "'%s' is cut off", path);
    return 0;
}

/* Its bytes; the descriptor is kept in map_fd. NULL bytes: there is none. */
static int read_map(
    struct layer *layer, const char *path, char **ret_bytes, size_t *ret_len, struct err *ret_err)
{
    struct stat status;
    ssize_t n;

    *ret_bytes = NULL;
    *ret_len = 0;
    layer->map_fd = io_open(path, layer->frozen ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CLOEXEC, 0);
    if (layer->map_fd < 0 && errno == ENOENT)
        return 0;
    if (layer->map_fd < 0)
        return failed(ret_err, "open", path);
    if (fstat(layer->map_fd, &status) < 0)
        return failed(ret_err, "stat", path);
    if ((uint64_t)status.st_size > MAP_BYTES_MAX)
        return err_set(ret_err, ERR_CORRUPT, "'%s' is longer than any map", path);
    *ret_bytes = mem_alloc((size_t)status.st_size + 1);
    n = io_read_all(layer->map_fd, *ret_bytes, (size_t)status.st_size, 0);
    if (n < 0)
        return failed(ret_err, "read", path);
    *ret_len = (size_t)n;
    return 0;
}

/* Goes on where the last whole batch ends. What a killed process left may be in the page cache
 * only: the first sync settles all of it. */
static int go_on_writing(
    struct layer *layer, const char *path, size_t map_bytes, struct err *ret_err)
{
    struct map *map = &layer->map;

    layer->map_end = map->bytes;
    layer->batched_slots = map->slots;
    layer->batched_pages = map->pages;
    layer->batched_limit = map->base_limit;
    layer->map_unsynced = layer->name_unsynced = true;
    if (map_bytes > map->bytes && io_truncate(layer->map_fd, (off_t)map->bytes) < 0)
        return failed(ret_err, "cut", path);
    return 0;
}

static int open_over(struct layer *layer, const struct map_end *end, struct err *ret_err)
{
    char path[PATH_MAX_BYTES];
    char *bytes;
    size_t len;
    int rc = read_map(layer, path_of(layer, LAYER_MAP, path), &bytes, &len, ret_err);

    if (rc == 0 && end != NULL && layer->map_fd < 0)
        rc = err_set(ret_err, ERR_CORRUPT, "'%s' is missing", path);
    if (rc == 0)
        rc =
            map_parse(str_make(bytes, len), layer->id, layer->page_size, end, &layer->map, ret_err);
    mem_free(bytes);
    if (rc < 0)
        return -1;
    if (!layer->frozen && go_on_writing(layer, path, len, ret_err) < 0)
        return -1;
    if (layer->frozen) {
        (void)io_close(layer->map_fd);
        layer->map_fd = -1;
    }
    /* Without a batch nobody was promised any page: what is there is begun anew. */
    return layer->map.batches == 0 ? 0 : open_pages(layer, ret_err);
}

int layer_open(const char *folder, const struct manifest_layer *from, struct layer **ret_layer,
    struct err *ret_err)
{
    struct layer *layer = new_layer(folder, from->id, from->page_size);
    struct map_end end = {
        .batches = from->batches, .checksum = from->map_checksum, .pages = from->pages};
    int rc;

    layer->is_base = from->kind == MANIFEST_BASE;
    layer->frozen = from->frozen;
    layer->pages = from->pages;
    rc = layer->is_base ? open_base(layer, ret_err)
                        : open_over(layer, layer->frozen ? &end : NULL, ret_err);
    if (rc < 0) {
        layer_unref(layer);
        return -1;
    }
    *ret_layer = layer;
    return 0;
}

/* ------------------------------------------------------------------ writing */

static int open_new(struct layer *layer, enum layer_file file, int *fd)
{
    char path[PATH_MAX_BYTES];

    if (*fd >= 0)
        return SQLITE_OK;
    *fd = io_open(path_of(layer, file, path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return vfs_write_failed();
    layer->name_unsynced = true;
    return SQLITE_OK;
}

static int write_header(struct layer *layer, int fd)
{
    unsigned char header[LAYER_HEADER_BYTES] = {0};

    memcpy(header, MAGIC, MAGIC_BYTES);
    map_put_u32(header + 8, layer->page_size);
    map_put_u32(header + 12, layer->page_size); /* bytes of a slot */
    map_put_u32(header + 16, 0);                /* key id */
    map_id_bytes(layer->id, header + 20);
    map_put_u32(header + 36, crc32c(0, header, HEADER_USED - 4));
    if (io_write_all(fd, header, sizeof(header), 0) < 0)
        return vfs_write_failed();
    return SQLITE_OK;
}

/* The file, with its header. `fd` becomes visible to readers with the first table entry. */
static int make_pages(struct layer *layer)
{
    int fd = -1;
    int rc;

    if (likely(layer->fd >= 0))
        return SQLITE_OK;
    rc = open_new(layer, LAYER_PAGES, &fd);
    if (rc == SQLITE_OK)
        rc = write_header(layer, fd);
    if (rc != SQLITE_OK) {
        if (fd >= 0)
            (void)io_close(fd);
        return rc;
    }
    layer->fd = fd;
    return SQLITE_OK;
}

int layer_put(struct layer *layer, uint32_t slot, const void *page)
{
    CHECK(!layer->frozen && !layer->is_base);
    if (io_write_all(layer->fd, page, layer->page_size, layer_offset(layer, slot)) < 0)
        return vfs_write_failed();
    return SQLITE_OK;
}

int layer_add(struct layer *layer, uint32_t pgno, const void *page, uint32_t *ret_slot)
{
    uint32_t slot = layer->map.slots;
    int rc;

    CHECK(!layer->frozen && !layer->is_base);
    if (slot >= MAP_SLOTS_MAX)
        return SQLITE_FULL;
    rc = make_pages(layer);
    if (rc == SQLITE_OK)
        rc = layer_put(layer, slot, page);
    if (rc != SQLITE_OK)
        return rc;
    map_add(&layer->map, pgno);
    layer->map.pages = MAX(layer->map.pages, pgno);
    *ret_slot = slot;
    return SQLITE_OK;
}

/* What the map says now, as one more batch. */
static void close_batch(struct layer *layer)
{
    bool starts = layer->pending.len == 0;

    if (layer->map_end == 0 && starts) {
        map_put_header(&layer->map, layer->id, &layer->pending);
    }
    map_put_batch(&layer->map, layer->batched_slots, starts, &layer->pending);
    layer->batched_slots = layer->map.slots;
    layer->batched_pages = layer->map.pages;
    layer->batched_limit = layer->map.base_limit;
}

static bool has_open_batch(const struct layer *layer)
{
    return layer->batched_slots != layer->map.slots || layer->batched_pages != layer->map.pages ||
           layer->batched_limit != layer->map.base_limit;
}

/* Two batches, before and after, so that a reader forgets what was beyond the new end even if the
 * file grows again before the next sync. */
void layer_truncate(struct layer *layer, uint32_t pages)
{
    struct map *map = &layer->map;

    CHECK(!layer->frozen && !layer->is_base);
    if (has_open_batch(layer))
        close_batch(layer);
    map->pages = pages;
    map->base_limit = MIN(map->base_limit, pages);
    close_batch(layer);
}

bool layer_is_dirty(const struct layer *layer)
{
    return has_open_batch(layer) || layer->pending.len > 0;
}

bool layer_is_empty(const struct layer *layer)
{
    return !layer->is_base && layer->map.batches == 0 && !layer_is_dirty(layer);
}

static int sync_failed(void)
{
    vfs_marks.last_errno = errno;
    return SQLITE_IOERR_FSYNC;
}

static int write_pending(struct layer *layer)
{
    struct buf *pending = &layer->pending;

    if (pending->len == 0)
        return SQLITE_OK;
    CHECK(!pending->failed);
    if (io_write_all(layer->map_fd, pending->bytes, pending->len, (off_t)layer->map_end) < 0)
        return vfs_write_failed();
    layer->map_unsynced = true;
    return SQLITE_OK;
}

int layer_sync(struct layer *layer)
{
    int rc;

    if (has_open_batch(layer))
        close_batch(layer);
    if (layer->fd < 0 && layer->pending.len == 0)
        return SQLITE_OK;
    rc = make_pages(layer); /* a map without pages would be damage */
    if (rc == SQLITE_OK)
        rc = open_new(layer, LAYER_MAP, &layer->map_fd);
    if (rc != SQLITE_OK)
        return rc;
    if (io_sync(layer->fd) < 0)
        return sync_failed();
    if (layer->name_unsynced && io_sync_folder(layer->folder) < 0)
        return sync_failed();
    layer->name_unsynced = false;
    rc = write_pending(layer);
    if (rc != SQLITE_OK)
        return rc;
    if (layer->map_unsynced && io_sync(layer->map_fd) < 0)
        return sync_failed();
    layer->map_unsynced = false;
    layer->map_end += layer->pending.len;
    layer->map.bytes = layer->map_end;
    buf_reset(&layer->pending, 0);
    return SQLITE_OK;
}

void layer_freeze(struct layer *layer)
{
    layer->frozen = true;
    if (layer->map_fd >= 0)
        (void)io_close(layer->map_fd);
    layer->map_fd = -1;
}
