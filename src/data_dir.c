#include "src/data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(struct err *err, const char *what, const char *path, int errno_value)
{
    enum err_code code = ERR_IO;

    if (errno_value == EACCES || errno_value == EPERM || errno_value == EROFS)
        code = ERR_FORBIDDEN;
    else if (errno_value == ENOSPC || errno_value == EDQUOT)
        code = ERR_QUOTA_EXCEEDED;
    return err_set_errno(err, code, errno_value, "%s %s", what, path);
}

/* A folder of ours, or an empty one, may be made private; somebody else's (--data /tmp) not. */
static bool is_ours(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    bool empty = true;
    bool ours = false;

    if (folder == NULL)
        return false;
    while ((entry = readdir(folder)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own stream */
        if (strcmp(entry->d_name, "lock") == 0)
            ours = true;
        else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                 strcmp(entry->d_name, "lost+found") != 0)
            empty = false;
    }
    (void)closedir(folder);
    return ours || empty;
}

static int make_folder(const char *path, struct err *ret_err)
{
    struct stat info;

    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return refuse(ret_err, "cannot make the data folder", path, errno);
    if (stat(path, &info) < 0)
        return refuse(ret_err, "cannot use the data folder", path, errno);
    if (!S_ISDIR(info.st_mode))
        return err_set(ret_err, ERR_IO, "the data folder %s is not a folder", path);
    if (!is_ours(path) && access(path, R_OK | X_OK) == 0)
        return err_set(ret_err, ERR_IO,
            "%s is not empty and is no data folder of rookeryd; name another with --data", path);
    if (info.st_uid == geteuid() && (info.st_mode & 077) != 0 && chmod(path, 0700) < 0)
        return refuse(ret_err, "cannot make the data folder private:", path, errno);
    return 0;
}

/* "another rookeryd (pid 123) uses this data directory": the pid is a hint, the lock is the truth.
 */
static int refuse_locked(int fd, const char *path, struct err *ret_err)
{
    char text[32] = "";
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    long pid = len > 0 ? strtol(text, NULL, 10) : 0;

    if (pid > 0)
        return err_set(ret_err, ERR_BUSY, "another rookeryd (pid %ld) uses this data directory: %s",
            pid, path);
    return err_set(ret_err, ERR_BUSY, "another rookeryd uses this data directory: %s", path);
}

static int write_pid(int fd)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

    return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len ? 0 : -1;
}

int data_dir_open(const char *path, int *ret_fd, struct err *ret_err)
{
    char lock[PATH_MAX];
    int fd;
    int rc = 0;

    if (make_folder(path, ret_err) < 0)
        return -1;
    if (snprintf(lock, sizeof(lock), "%s/lock", path) >= (int)sizeof(lock))
        return err_set(ret_err, ERR_IO, "the data folder's name is too long");
    fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return refuse(ret_err, "cannot open", lock, errno);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK ? refuse_locked(fd, path, ret_err)
                                  : refuse(ret_err, "cannot lock", lock, errno);
    else if (write_pid(fd) < 0)
        rc = refuse(ret_err, "cannot write", lock, errno);
    if (rc < 0) {
        (void)close(fd);
        return -1;
    }
    *ret_fd = fd;
    return 0;
}

int data_dir_write_secret(const char *path, const char *text, struct err *ret_err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t len = strlen(text);
    int rc = 0;

    if (fd < 0)
        return refuse(ret_err, "cannot write", path, errno);
    if (fchmod(fd, 0600) < 0 || write(fd, text, len) != (ssize_t)len || write(fd, "\n", 1) != 1 ||
        fsync(fd) < 0)
        rc = refuse(ret_err, "cannot write", path, errno);
    (void)close(fd);
    return rc;
}
