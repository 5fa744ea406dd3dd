/* io methods of the main file and of the WAL.
 *
 * Sync rule: see vfs.h. Its heart is wal_sync().
 *
 * SQLite writes a WAL frame as two calls, 24 bytes of header and then the page. A header that
 * continues where the last frame ended is held back until its page comes, and both go out in one
 * system call. Headers anywhere else (checksums rewritten after a page was written twice in one
 * transaction) are written at once. Anything but the awaited page flushes what is held. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "tenants/base/check.h"
#include "tenants/vfs_internal.h"
#include "tenants/vfs_io.h"

#define WAL_HEADER_BYTES 32
#define SECTOR_BYTES 4096

static bool is_poisoned(const struct vfs_head *head)
{
    return unlikely(atomic_load_explicit(&head->poisoned, memory_order_relaxed));
}

/* ------------------------------------------------------------------ places of a descriptor */

static int read_failed(void)
{
    vfs_marks.last_errno = errno;
    return SQLITE_IOERR_READ;
}

/* Some file systems do not know RWF_NOWAIT; found out once. */
static _Atomic bool nowait_unsupported;

/* 1: it was read; 0: try the usual way; -1: it would wait, or failed. */
static int read_nowait(int fd, void *bytes, int len, int64_t offset)
{
    struct iovec part = {.iov_base = bytes, .iov_len = (size_t)len};
    ssize_t n = preadv2(fd, &part, 1, offset, RWF_NOWAIT);

    if (likely(n == len))
        return 1;
    if (n == 0)
        return 0; /* the end of the file */
    if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
        atomic_store_explicit(&nowait_unsupported, true, memory_order_relaxed);
        return 0;
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        vfs_marks.last_errno = errno;
        return -1;
    }
    vfs_marks.would_block = true;
    vfs_marks.last_errno = EAGAIN;
    return -1;
}

int vfs_read(int fd, void *bytes, int len, int64_t offset)
{
    ssize_t n;

    if (unlikely(vfs_marks.nowait) &&
        !atomic_load_explicit(&nowait_unsupported, memory_order_relaxed)) {
        int rc = read_nowait(fd, bytes, len, offset);

        if (rc != 0)
            return rc > 0 ? SQLITE_OK : SQLITE_IOERR_READ;
    }
    n = io_read_all(fd, bytes, (size_t)len, offset);
    if (likely(n == len))
        return SQLITE_OK;
    if (n < 0)
        return read_failed();
    memset((char *)bytes + n, 0, (size_t)(len - n));
    return SQLITE_IOERR_SHORT_READ;
}

int vfs_write_failed(void)
{
    vfs_marks.last_errno = errno;
    return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

/* ------------------------------------------------------------------ what both share */

static int sector_size(sqlite3_file *handle)
{
    return SECTOR_BYTES;
}

/* Padding of the WAL depends on this answer of the main file. Nothing more is claimed. */
static int device_characteristics(sqlite3_file *handle)
{
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ------------------------------------------------------------------ main file */

static int main_close(sqlite3_file *handle)
{
    struct vfs_file *file = (struct vfs_file *)handle;

    (void)vfs_shm_unmap(handle, 0);
    (void)vfs_unlock(file, SQLITE_LOCK_NONE);
    vfs_pages_idle(&file->head->pages, &file->main.held, true);
    atomic_fetch_sub(&file->head->files, 1);
    return SQLITE_OK;
}

static int main_read(sqlite3_file *handle, void *bytes, int len, sqlite3_int64 offset)
{
    struct vfs_file *file = (struct vfs_file *)handle;

    return vfs_pages_read(&file->head->pages, &file->main.held, bytes, len, offset);
}

static int main_write(sqlite3_file *handle, const void *bytes, int len, sqlite3_int64 offset)
{
    struct vfs_head *head = ((struct vfs_file *)handle)->head;

    if (is_poisoned(head))
        return SQLITE_IOERR_WRITE;
    return vfs_pages_write(&head->pages, bytes, len, offset);
}

static int main_truncate(sqlite3_file *handle, sqlite3_int64 bytes)
{
    struct vfs_head *head = ((struct vfs_file *)handle)->head;

    if (is_poisoned(head))
        return SQLITE_IOERR_TRUNCATE;
    return vfs_pages_truncate(&head->pages, bytes);
}

/* Always real: a checkpoint's, after which SQLite may restart the WAL. */
static int main_sync(sqlite3_file *handle, int flags)
{
    struct vfs_head *head = ((struct vfs_file *)handle)->head;
    int rc;

    if (is_poisoned(head))
        return SQLITE_IOERR_FSYNC;
    rc = vfs_pages_sync(&head->pages);
    if (rc == SQLITE_IOERR_FSYNC)
        vfs_poison(head);
    return rc;
}

static int main_size(sqlite3_file *handle, sqlite3_int64 *ret_bytes)
{
    *ret_bytes = (sqlite3_int64)vfs_pages_bytes(&((struct vfs_file *)handle)->head->pages);
    return SQLITE_OK;
}

static int main_lock(sqlite3_file *handle, int level)
{
    return vfs_lock((struct vfs_file *)handle, level);
}

static int main_unlock(sqlite3_file *handle, int level)
{
    return vfs_unlock((struct vfs_file *)handle, level);
}

static int main_check_reserved(sqlite3_file *handle, int *ret_reserved)
{
    *ret_reserved = vfs_is_reserved(((struct vfs_file *)handle)->head);
    return SQLITE_OK;
}

static int main_control(sqlite3_file *handle, int operation, void *argument)
{
    struct vfs_file *file = (struct vfs_file *)handle;
    int *number = argument;

    switch (operation) {
    case SQLITE_FCNTL_SIZE_HINT: /* would extend or map the file: swallowed */
    case SQLITE_FCNTL_CHUNK_SIZE:
        return SQLITE_OK;
    case SQLITE_FCNTL_MMAP_SIZE:
        *(sqlite3_int64 *)argument = 0;
        return SQLITE_OK;
    case SQLITE_FCNTL_PERSIST_WAL:
        if (*number < 0)
            *number = file->main.persist_wal;
        else
            file->main.persist_wal = *number != 0;
        return SQLITE_OK;
    case SQLITE_FCNTL_POWERSAFE_OVERWRITE:
        *number = 1;
        return SQLITE_OK;
    case SQLITE_FCNTL_HAS_MOVED:
        *number = 0;
        return SQLITE_OK;
    case SQLITE_FCNTL_LOCKSTATE:
        *number = file->main.level;
        return SQLITE_OK;
    case SQLITE_FCNTL_LAST_ERRNO:
        *number = vfs_marks.last_errno;
        return SQLITE_OK;
    case SQLITE_FCNTL_VFSNAME:
        *(char **)argument = sqlite3_mprintf("%s", VFS_NAME);
        return SQLITE_OK;
    default:
        return SQLITE_NOTFOUND;
    }
}

/* Version 2: no xFetch. A mapping would turn an I/O error into SIGBUS, and layers have no mapping.
 */
const sqlite3_io_methods vfs_main_methods = {
    .iVersion = 2,
    .xClose = main_close,
    .xRead = main_read,
    .xWrite = main_write,
    .xTruncate = main_truncate,
    .xSync = main_sync,
    .xFileSize = main_size,
    .xLock = main_lock,
    .xUnlock = main_unlock,
    .xCheckReservedLock = main_check_reserved,
    .xFileControl = main_control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = device_characteristics,
    .xShmMap = vfs_shm_map,
    .xShmLock = vfs_shm_lock,
    .xShmBarrier = vfs_shm_barrier,
    .xShmUnmap = vfs_shm_unmap,
};

/* ------------------------------------------------------------------ WAL */

static void wal_wrote(struct vfs_head *head, int64_t offset, int len)
{
    uint64_t end = (uint64_t)offset + (uint64_t)len;

    atomic_store_explicit(&head->wal_append, end, memory_order_relaxed);
    if (end > atomic_load_explicit(&head->wal_bytes, memory_order_relaxed))
        atomic_store_explicit(&head->wal_bytes, end, memory_order_relaxed);
}

static int wal_flush_held(struct vfs_file *file)
{
    int64_t at = file->wal.held_at;

    if (likely(at == 0))
        return SQLITE_OK;
    file->wal.held_at = 0;
    if (io_write_all(file->head->wal_fd, file->wal.held, WAL_FRAME_HEADER_BYTES, at) < 0)
        return vfs_write_failed();
    wal_wrote(file->head, at, WAL_FRAME_HEADER_BYTES);
    return SQLITE_OK;
}

static int wal_close(sqlite3_file *handle)
{
    struct vfs_file *file = (struct vfs_file *)handle;
    int rc = is_poisoned(file->head) ? SQLITE_OK : wal_flush_held(file);

    atomic_fetch_sub(&file->head->files, 1);
    return rc;
}

static int wal_read(sqlite3_file *handle, void *bytes, int len, sqlite3_int64 offset)
{
    struct vfs_file *file = (struct vfs_file *)handle;
    int rc = wal_flush_held(file);

    return likely(rc == SQLITE_OK) ? vfs_read(file->head->wal_fd, bytes, len, offset) : rc;
}

static bool may_hold(const struct vfs_file *file, int len, sqlite3_int64 offset)
{
    return len == WAL_FRAME_HEADER_BYTES && offset >= WAL_HEADER_BYTES &&
           (uint64_t)offset == atomic_load_explicit(&file->head->wal_append, memory_order_relaxed);
}

static int wal_write(sqlite3_file *handle, const void *bytes, int len, sqlite3_int64 offset)
{
    struct vfs_file *file = (struct vfs_file *)handle;
    struct vfs_head *head = file->head;
    int64_t held_at = file->wal.held_at;
    int rc;

    if (is_poisoned(head))
        return SQLITE_IOERR_WRITE;
    if (held_at != 0 && offset == held_at + WAL_FRAME_HEADER_BYTES) {
        file->wal.held_at = 0;
        rc = io_write_two(
            head->wal_fd, file->wal.held, WAL_FRAME_HEADER_BYTES, bytes, (size_t)len, held_at);
        if (rc < 0)
            return vfs_write_failed();
        wal_wrote(head, offset, len);
        return SQLITE_OK;
    }
    rc = wal_flush_held(file);
    if (rc != SQLITE_OK)
        return rc;
    if (may_hold(file, len, offset)) {
        memcpy(file->wal.held, bytes, WAL_FRAME_HEADER_BYTES);
        file->wal.held_at = offset;
        return SQLITE_OK;
    }
    if (offset == 0)
        atomic_store(&head->header_dirty, true);
    if (io_write_all(head->wal_fd, bytes, (size_t)len, offset) < 0)
        return vfs_write_failed();
    wal_wrote(head, offset, len);
    return SQLITE_OK;
}

static int wal_truncate(sqlite3_file *handle, sqlite3_int64 bytes)
{
    struct vfs_file *file = (struct vfs_file *)handle;
    struct vfs_head *head = file->head;
    int rc = is_poisoned(head) ? SQLITE_IOERR_TRUNCATE : wal_flush_held(file);

    if (rc != SQLITE_OK)
        return rc;
    if (io_truncate(head->wal_fd, bytes) < 0) {
        vfs_marks.last_errno = errno;
        return SQLITE_IOERR_TRUNCATE;
    }
    atomic_store_explicit(&head->wal_bytes, (uint64_t)bytes, memory_order_relaxed);
    if (bytes == 0)
        vfs_shm_trim(head);
    return SQLITE_OK;
}

/* A deferred sync needs all of: a listener, a commit section of this thread, the generation's
 * header on disk, and no checkpoint at work (whose own sync must be real even if its thread forgot
 * to say so). */
static bool may_defer(const struct vfs_head *head)
{
    return vfs_marks.commit && head->events.on_commit != NULL && !vfs_marks.checkpoint &&
           !atomic_load(&head->header_dirty) && !vfs_shm_checkpointing(head);
}

static int wal_sync(sqlite3_file *handle, int flags)
{
    struct vfs_file *file = (struct vfs_file *)handle;
    struct vfs_head *head = file->head;
    bool dirty;
    int rc;

    if (is_poisoned(head))
        return SQLITE_IOERR_FSYNC;
    rc = wal_flush_held(file);
    if (rc != SQLITE_OK)
        return rc;
    if (may_defer(head)) {
        head->events.on_commit(head->context);
        return SQLITE_OK;
    }
    dirty = atomic_load(&head->header_dirty);
    rc = vfs_wal_sync_now(head);
    if (rc == SQLITE_OK && dirty)
        atomic_store(&head->header_dirty, false);
    return rc;
}

static int wal_size(sqlite3_file *handle, sqlite3_int64 *ret_bytes)
{
    struct vfs_file *file = (struct vfs_file *)handle;
    int rc = wal_flush_held(file);

    *ret_bytes = (sqlite3_int64)atomic_load_explicit(&file->head->wal_bytes, memory_order_relaxed);
    return rc;
}

int vfs_no_lock(sqlite3_file *handle, int level)
{
    return SQLITE_OK;
}

int vfs_no_check(sqlite3_file *handle, int *ret_reserved)
{
    *ret_reserved = 0;
    return SQLITE_OK;
}

int vfs_no_control(sqlite3_file *handle, int operation, void *argument)
{
    switch (operation) {
    case SQLITE_FCNTL_SIZE_HINT:
    case SQLITE_FCNTL_CHUNK_SIZE:
        return SQLITE_OK;
    default:
        return SQLITE_NOTFOUND;
    }
}

const sqlite3_io_methods vfs_wal_methods = {
    .iVersion = 1,
    .xClose = wal_close,
    .xRead = wal_read,
    .xWrite = wal_write,
    .xTruncate = wal_truncate,
    .xSync = wal_sync,
    .xFileSize = wal_size,
    .xLock = vfs_no_lock,
    .xUnlock = vfs_no_lock,
    .xCheckReservedLock = vfs_no_check,
    .xFileControl = vfs_no_control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = device_characteristics,
};
