/* Temporary files: sorters, materialised views, statement journals. Nameless from the start
 * (O_TMPFILE), so that nothing is left behind by a crash; counted per head, and full at its limit.
 */
#include <errno.h>
#include <stdlib.h>

#include "tenants/vfs_internal.h"
#include "tenants/vfs_io.h"

#define STRAY_LIMIT_BYTES (UINT64_C(256) << 20)

/* Temporary files opened by a thread that had entered no head. */
static struct vfs_temp_account strays = {.limit_bytes = STRAY_LIMIT_BYTES};

static void refund(struct vfs_temp_account *account, int64_t bytes)
{
    atomic_fetch_sub_explicit(&account->bytes, (uint64_t)bytes, memory_order_relaxed);
}

static bool charge(struct vfs_temp_account *account, int64_t bytes)
{
    uint64_t before =
        atomic_fetch_add_explicit(&account->bytes, (uint64_t)bytes, memory_order_relaxed);

    if (account->limit_bytes == 0 || before + (uint64_t)bytes <= account->limit_bytes)
        return true;
    refund(account, bytes);
    return false;
}

static int temp_close(sqlite3_file *handle)
{
    struct vfs_file *file = (struct vfs_file *)handle;

    refund(file->temp.account, file->temp.bytes);
    (void)io_close(file->temp.fd);
    return SQLITE_OK;
}

static int temp_read(sqlite3_file *handle, void *bytes, int len, sqlite3_int64 offset)
{
    return vfs_read(((struct vfs_file *)handle)->temp.fd, bytes, len, offset);
}

static int temp_write(sqlite3_file *handle, const void *bytes, int len, sqlite3_int64 offset)
{
    struct vfs_file *file = (struct vfs_file *)handle;
    int64_t end = offset + len;

    if (end > file->temp.bytes) {
        if (!charge(file->temp.account, end - file->temp.bytes))
            return SQLITE_FULL;
        file->temp.bytes = end;
    }
    if (io_write_all(file->temp.fd, bytes, (size_t)len, offset) < 0)
        return vfs_write_failed();
    return SQLITE_OK;
}

static int temp_truncate(sqlite3_file *handle, sqlite3_int64 bytes)
{
    struct vfs_file *file = (struct vfs_file *)handle;

    if (bytes >= file->temp.bytes)
        return SQLITE_OK;
    if (io_truncate(file->temp.fd, bytes) < 0) {
        vfs_marks.last_errno = errno;
        return SQLITE_IOERR_TRUNCATE;
    }
    refund(file->temp.account, file->temp.bytes - bytes);
    file->temp.bytes = bytes;
    return SQLITE_OK;
}

static int temp_sync(sqlite3_file *handle, int flags)
{
    return SQLITE_OK;
}

static int temp_size(sqlite3_file *handle, sqlite3_int64 *ret_bytes)
{
    *ret_bytes = ((struct vfs_file *)handle)->temp.bytes;
    return SQLITE_OK;
}

static int temp_sector(sqlite3_file *handle)
{
    return 4096;
}

static int temp_characteristics(sqlite3_file *handle)
{
    return 0;
}

static const sqlite3_io_methods temp_methods = {
    .iVersion = 1,
    .xClose = temp_close,
    .xRead = temp_read,
    .xWrite = temp_write,
    .xTruncate = temp_truncate,
    .xSync = temp_sync,
    .xFileSize = temp_size,
    .xLock = vfs_no_lock,
    .xUnlock = vfs_no_lock,
    .xCheckReservedLock = vfs_no_check,
    .xFileControl = vfs_no_control,
    .xSectorSize = temp_sector,
    .xDeviceCharacteristics = temp_characteristics,
};

/* File systems without O_TMPFILE: a named file that loses its name at once. */
static int open_named(const char *folder)
{
    char path[4096];
    int fd;

    if (snprintf(path, sizeof(path), "%s/rookery-temp-XXXXXX", folder) >= (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path);
    return fd;
}

int vfs_temp_open(struct vfs_head *head, struct vfs_file *file)
{
    const char *folder = head != NULL && head->temp_dir != NULL ? head->temp_dir : P_tmpdir;
    int fd = io_open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
        fd = open_named(folder);
    if (fd < 0) {
        vfs_marks.last_errno = errno;
        return SQLITE_CANTOPEN;
    }
    file->head = head;
    file->temp.fd = fd;
    file->temp.bytes = 0;
    file->temp.account = head != NULL ? &head->temp : &strays;
    file->base.pMethods = &temp_methods;
    return SQLITE_OK;
}
