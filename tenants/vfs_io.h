/* System calls of the VFS and of family folders, in one place, so that tests can stand below them:
 * the power-cut simulator records each call, the EIO and ENOSPC tests make the n-th one fail.
 *
 * Running normally `vfs_io_hooks` is NULL and each call costs one predictable branch. A hook gets
 * the arguments and answers as the system call does (errno set). NULL members call the system. */
#ifndef TENANTS_VFS_IO_H
#define TENANTS_VFS_IO_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tenants/base/macros.h"

struct vfs_io_hooks {
    int (*open)(const char *path, int flags, mode_t mode);
    int (*close)(int fd);
    ssize_t (*pread)(int fd, void *bytes, size_t len, off_t offset);
    /* Writes of pages, frames, manifests: the only way bytes reach a file. */
    ssize_t (*pwritev)(int fd, const struct iovec *parts, int count, off_t offset);
    int (*ftruncate)(int fd, off_t size);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd); /* folders */
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*mkdir)(const char *path, mode_t mode);
    int (*rmdir)(const char *path);
};

/* Tests only: set before other threads start. */
extern const struct vfs_io_hooks *vfs_io_hooks;

#define VFS_IO(name, ...)                                                                          \
    (unlikely(vfs_io_hooks != NULL) && vfs_io_hooks->name != NULL                                  \
            ? vfs_io_hooks->name(__VA_ARGS__)                                                      \
            : name(__VA_ARGS__))

static inline int io_open(const char *path, int flags, mode_t mode)
{
    return VFS_IO(open, path, flags, mode);
}

static inline int io_close(int fd)
{
    return VFS_IO(close, fd);
}

static inline ssize_t io_pread(int fd, void *bytes, size_t len, off_t offset)
{
    return VFS_IO(pread, fd, bytes, len, offset);
}

static inline ssize_t io_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return VFS_IO(pwritev, fd, parts, count, offset);
}

static inline int io_ftruncate(int fd, off_t size)
{
    return VFS_IO(ftruncate, fd, size);
}

static inline int io_fdatasync(int fd)
{
    return VFS_IO(fdatasync, fd);
}

static inline int io_fsync(int fd)
{
    return VFS_IO(fsync, fd);
}

static inline int io_rename(const char *from, const char *to)
{
    return VFS_IO(rename, from, to);
}

static inline int io_unlink(const char *path)
{
    return VFS_IO(unlink, path);
}

static inline int io_mkdir(const char *path, mode_t mode)
{
    return VFS_IO(mkdir, path, mode);
}

static inline int io_rmdir(const char *path)
{
    return VFS_IO(rmdir, path);
}

/* Loops over the above, EINTR and short counts handled. -1 with errno; a read stops at the end of
 * the file and returns what there was. */
ssize_t io_read_all(int fd, void *bytes, size_t len, off_t offset) MUST_CHECK;
int io_write_all(int fd, const void *bytes, size_t len, off_t offset) MUST_CHECK;
/* Two parts, one call. */
int io_write_two(int fd, const void *first, size_t first_len, const void *second, size_t second_len,
    off_t offset) MUST_CHECK;
int io_sync(int fd) MUST_CHECK; /* fdatasync */
int io_truncate(int fd, off_t size) MUST_CHECK;
/* Opens the folder, fsyncs it, closes it. */
int io_sync_folder(const char *path) MUST_CHECK;
/* The folder that holds `path`. */
int io_sync_folder_of(const char *path) MUST_CHECK;

#endif
