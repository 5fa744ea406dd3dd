/* { magic "RKSUMS01", u32 page size, u32 slots, 16 bytes id, u32 checksum of the map },
 * u32 CRC32C of each slot, u32 CRC32C of all before. Little-endian, as the map. */
#include "tenants/layers/sums.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tenants/base/hash.h"
#include "tenants/base/mem.h"
#include "tenants/vfs_io.h"

#define MAGIC "RKSUMS01"
#define HEADER_BYTES 36
#define PATH_BYTES (LAYER_FOLDER_MAX + LAYER_NAME_MAX + 8)

static void path_of(const struct layer *layer, const char *suffix, char out[PATH_BYTES])
{
    char name[LAYER_NAME_MAX];

    (void)snprintf(out, PATH_BYTES, "%s/%s%s", layer->folder,
        layer_file_name(LAYER_SUMS, layer->id, name), suffix);
}

static int failed(struct err *ret_err, const char *what, const char *path)
{
    return err_set_errno(ret_err, ERR_IO, errno, "cannot %s '%s'", what, path);
}

/* The whole file as it has to be. */
static int make(const struct layer *layer, struct buf *out, struct err *ret_err)
{
    unsigned char header[HEADER_BYTES] = {0}, word[4];
    char *page = mem_alloc(layer->page_size);
    int rc = 0;

    memcpy(header, MAGIC, sizeof(MAGIC) - 1);
    map_put_u32(header + 8, layer->page_size);
    map_put_u32(header + 12, layer->map.slots);
    map_id_bytes(layer->id, header + 16);
    map_put_u32(header + 32, layer->map.checksum);
    buf_append(out, header, sizeof(header));
    for (uint32_t slot = 0; slot < layer->map.slots && rc == 0; slot++) {
        ssize_t n = io_read_all(layer->fd, page, layer->page_size, layer_offset(layer, slot));

        if (n != (ssize_t)layer->page_size) {
            errno = n < 0 ? errno : EIO;
            rc = err_set_errno(ret_err, ERR_IO, errno, "cannot read layer %s", layer->id);
        }
        map_put_u32(word, crc32c(0, page, layer->page_size));
        buf_append(out, word, sizeof(word));
    }
    mem_free(page);
    map_put_u32(word, crc32c(0, out->bytes, out->len));
    buf_append(out, word, sizeof(word));
    return rc;
}

static int write_synced(const char *path, struct str bytes, struct err *ret_err)
{
    int fd = io_open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0)
        return failed(ret_err, "make", path);
    rc = io_write_all(fd, bytes.ptr, bytes.len, 0) < 0 || io_sync(fd) < 0
             ? failed(ret_err, "write", path)
             : 0;
    (void)io_close(fd);
    return rc;
}

int sums_write(const struct layer *layer, struct err *ret_err)
{
    char path[PATH_BYTES], making[PATH_BYTES];
    struct buf bytes;
    int rc;

    path_of(layer, "", path);
    path_of(layer, ".tmp", making);
    buf_init(&bytes, 0);
    rc = make(layer, &bytes, ret_err);
    if (rc == 0)
        rc = write_synced(making, buf_view(&bytes), ret_err);
    buf_fini(&bytes);
    if (rc < 0)
        return -1;
    if (io_rename(making, path) < 0)
        return failed(ret_err, "name", path);
    return io_sync_folder(layer->folder) < 0 ? failed(ret_err, "sync the folder of", path) : 0;
}

/* The bytes that are there, at most `size`. */
static int read_file(
    const char *path, char *bytes, size_t size, size_t *ret_len, struct err *ret_err)
{
    int fd = io_open(path, O_RDONLY | O_CLOEXEC, 0);
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT ? err_set(ret_err, ERR_NOT_FOUND, "'%s' is not there", path)
                               : failed(ret_err, "open", path);
    n = io_read_all(fd, bytes, size, 0);
    (void)io_close(fd);
    if (n < 0)
        return failed(ret_err, "read", path);
    *ret_len = (size_t)n;
    return 0;
}

static int compare(const struct layer *layer, const char *path, struct str have, struct str want,
    struct err *ret_err)
{
    if (have.len != want.len || memcmp(have.ptr, want.ptr, HEADER_BYTES) != 0 ||
        map_get_u32(have.ptr + have.len - 4) != crc32c(0, have.ptr, have.len - 4))
        return err_set(ret_err, ERR_CORRUPT, "'%s' is damaged", path);
    for (uint32_t slot = 0; slot < layer->map.slots; slot++)
        if (memcmp(have.ptr + HEADER_BYTES + (size_t)slot * 4,
                want.ptr + HEADER_BYTES + (size_t)slot * 4, 4) != 0)
            return err_set(ret_err, ERR_CORRUPT, "page %u of layer %s does not match its checksum",
                layer->map.pgno[slot], layer->id);
    return 0;
}

int sums_check(const struct layer *layer, struct err *ret_err)
{
    size_t size = HEADER_BYTES + (size_t)layer->map.slots * 4 + 4;
    char path[PATH_BYTES];
    char *have = mem_alloc(size + 1);
    struct buf want;
    size_t len = 0;
    int rc;

    path_of(layer, "", path);
    buf_init(&want, 0);
    rc = read_file(path, have, size + 1, &len, ret_err);
    if (rc == 0)
        rc = make(layer, &want, ret_err);
    if (rc == 0)
        rc = compare(layer, path, str_make(have, len), buf_view(&want), ret_err);
    buf_fini(&want);
    mem_free(have);
    return rc;
}
