#include "tenants/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tenants/base/random.h"
#include "tenants/vfs_io.h"

static int write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, text, len);

        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0) {
            text += written;
            len -= (size_t)written;
        }
    }
    return 0;
}

int token_file_write(const char *path, const char *token, struct err *ret_err)
{
    char temporary[PATH_MAX];
    char line[TOKEN_TEXT_BYTES + 1];
    char random[9];
    int fd;
    int len;
    int rc;

    random_base62(random, sizeof(random) - 1);
    len = snprintf(temporary, sizeof(temporary), "%s.%s.tmp", path, random);
    if (len < 0 || (size_t)len >= sizeof(temporary))
        return err_set(ret_err, ERR_IO, "the path %s is too long", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot make %s", temporary);
    len = snprintf(line, sizeof(line), "%s\n", token);
    rc = fchmod(fd, 0600); /* whatever the umask */
    if (rc == 0)
        rc = write_all(fd, line, (size_t)len);
    if (rc == 0)
        rc = fsync(fd);
    if (close(fd) < 0)
        rc = -1;
    explicit_bzero(line, sizeof(line));
    if (rc == 0 && rename(temporary, path) == 0 && io_sync_folder_of(path) == 0)
        return 0;
    rc = errno;
    (void)unlink(temporary);
    return err_set_errno(ret_err, ERR_IO, rc, "cannot write %s", path);
}

int token_file_read(const char *path, char *out, struct err *ret_err)
{
    char text[256];
    struct str rest;
    struct str line;
    ssize_t len;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return err_set_errno(
            ret_err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "cannot open %s", path);
    len = read(fd, text, sizeof(text));
    (void)close(fd);
    if (len < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot read %s", path);
    rest = str_make(text, (size_t)len);
    line = str_trim(str_split(&rest, '\n'));
    if (line.len == 0 || line.len > TOKEN_TEXT_MAX)
        return err_set(ret_err, ERR_BAD_REQUEST, "%s does not hold a token", path);
    memcpy(out, line.ptr, line.len);
    out[line.len] = '\0';
    explicit_bzero(text, sizeof(text));
    return 0;
}
