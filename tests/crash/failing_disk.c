#include "tests/crash/failing_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct fault fault;

static bool fails(enum call call)
{
    if (call != fault.call || fault.at == 0)
        return false;
    fault.calls++;
    if (fault.calls != fault.at && !(fault.stays && fault.calls > fault.at))
        return false;
    fault.hit = true;
    errno = fault.error;
    return true;
}

static int on_open(const char *path, int flags, mode_t mode)
{
    return fails(OPEN) ? -1 : open(path, flags, mode);
}

static ssize_t on_pread(int fd, void *bytes, size_t len, off_t offset)
{
    return fails(READ) ? -1 : pread(fd, bytes, len, offset);
}

/* A full disk takes the first half. */
static ssize_t on_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    if (!fails(WRITE))
        return pwritev(fd, parts, count, offset);
    if (fault.error == ENOSPC && parts[0].iov_len > 1)
        (void)!pwrite(fd, parts[0].iov_base, parts[0].iov_len / 2, offset);
    errno = fault.error;
    return -1;
}

static int on_ftruncate(int fd, off_t size)
{
    return fails(TRUNCATE) ? -1 : ftruncate(fd, size);
}

static int on_fdatasync(int fd)
{
    return fails(SYNC) ? -1 : 0;
}

static int on_fsync(int fd)
{
    return fails(SYNC_FOLDER) ? -1 : 0;
}

static int on_rename(const char *from, const char *to)
{
    return fails(RENAME) ? -1 : rename(from, to);
}

static int on_unlink(const char *path)
{
    return fails(UNLINK) ? -1 : unlink(path);
}

static int on_mkdir(const char *path, mode_t mode)
{
    return fails(MKDIR) ? -1 : mkdir(path, mode);
}

static int on_rmdir(const char *path)
{
    return fails(RMDIR) ? -1 : rmdir(path);
}

const struct vfs_io_hooks failing_disk = {
    .open = on_open,
    .pread = on_pread,
    .pwritev = on_pwritev,
    .ftruncate = on_ftruncate,
    .fdatasync = on_fdatasync,
    .fsync = on_fsync,
    .rename = on_rename,
    .unlink = on_unlink,
    .mkdir = on_mkdir,
    .rmdir = on_rmdir,
};
