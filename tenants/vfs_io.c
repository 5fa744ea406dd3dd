#include "tenants/vfs_io.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

const struct vfs_io_hooks *vfs_io_hooks;

ssize_t io_read_all(int fd, void *bytes, size_t len, off_t offset)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = io_pread(fd, (char *)bytes + got, len - got, offset + (off_t)got);

        if (n > 0)
            got += (size_t)n;
        else if (n == 0)
            break;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)got;
}

/* writev's parts are not const, though it only reads them. */
static struct iovec part(const void *bytes, size_t len, size_t skip)
{
    union {
        const void *in;
        void *out;
    } at = {.in = (const char *)bytes + skip};

    return (struct iovec){.iov_base = at.out, .iov_len = len - skip};
}

int io_write_two(int fd, const void *first, size_t first_len, const void *second, size_t second_len,
    off_t offset)
{
    size_t len = first_len + second_len;
    size_t done = 0;

    while (done < len) {
        struct iovec parts[2];
        int count = 0;
        ssize_t n;

        if (done < first_len)
            parts[count++] = part(first, first_len, done);
        if (second_len > 0)
            parts[count++] = part(second, second_len, done > first_len ? done - first_len : 0);
        n = io_pwritev(fd, parts, count, offset + (off_t)done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0) {
            errno = ENOSPC;
            return -1;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

int io_write_all(int fd, const void *bytes, size_t len, off_t offset)
{
    return io_write_two(fd, bytes, len, NULL, 0, offset);
}

/* Not repeated after a failure other than EINTR: the kernel may have dropped the pages, and a
 * second call would say success. */
int io_sync(int fd)
{
    int rc;

    do
        rc = io_fdatasync(fd);
    while (rc < 0 && errno == EINTR);
    return rc;
}

int io_truncate(int fd, off_t size)
{
    int rc;

    do
        rc = io_ftruncate(fd, size);
    while (rc < 0 && errno == EINTR);
    return rc;
}

int io_sync_folder(const char *path)
{
    int fd = io_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    int rc, saved;

    if (fd < 0)
        return -1;
    rc = io_fsync(fd);
    saved = errno;
    (void)io_close(fd);
    errno = saved;
    return rc;
}

int io_sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);

    if (slash == NULL)
        return io_sync_folder(".");
    if (len == 0)
        return io_sync_folder("/");
    if (len >= sizeof(folder)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, len);
    folder[len] = '\0';
    return io_sync_folder(folder);
}
