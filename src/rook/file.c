#include "src/rook/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "src/rook/interrupt.h"
#include "tenants/base/mem.h"

#define TOKEN_MAX_BYTES 4096

static int read_all(int fd, const char *path, struct buf *out, struct err *ret_err)
{
    for (;;) {
        ssize_t got;

        if (buf_reserve(out, 65536) < 0)
            return err_set(
                ret_err, ERR_TOO_LARGE, "%s is too large (over %zu bytes)", path, out->limit_bytes);
        got = read(fd, out->bytes + out->len, 65536);
        if (got < 0 && errno == EINTR && !interrupt_pending())
            continue;
        if (got < 0 && errno == EINTR)
            return err_set(ret_err, ERR_CANCELLED, "interrupted");
        if (got < 0)
            return err_set_errno(ret_err, ERR_IO, errno, "cannot read %s", path);
        if (got == 0)
            return 0;
        out->len += (size_t)got;
    }
}

static int open_for_reading(const char *path, struct err *ret_err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_set_errno(
            ret_err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "cannot open %s", path);
    return fd;
}

int file_read(const char *path, struct buf *out, struct err *ret_err)
{
    int fd;
    int result;

    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, "standard input", out, ret_err);
    fd = open_for_reading(path, ret_err);
    if (fd < 0)
        return -1;
    result = read_all(fd, path, out, ret_err);
    (void)close(fd);
    return result;
}

static int check_private(int fd, const char *path, struct err *ret_err)
{
    struct stat stat;

    if (fstat(fd, &stat) < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot look at %s", path);
    if (!S_ISREG(stat.st_mode))
        return 0; /* <(command), a pipe */
    if ((stat.st_mode & 077) != 0)
        return err_set(ret_err, ERR_FORBIDDEN,
            "%s can be read by others (mode %04o); run: chmod 600 %s", path,
            (unsigned)(stat.st_mode & 07777), path);
    if (stat.st_uid != geteuid() && geteuid() != 0)
        return err_set(ret_err, ERR_FORBIDDEN, "%s belongs to another user", path);
    return 0;
}

int file_read_private(const char *path, struct buf *out, struct err *ret_err)
{
    int fd;
    int result;

    if (strcmp(path, "-") == 0)
        return file_read(path, out, ret_err);
    fd = open_for_reading(path, ret_err);
    if (fd < 0)
        return -1;
    result = check_private(fd, path, ret_err);
    if (result == 0)
        result = read_all(fd, path, out, ret_err);
    (void)close(fd);
    return result;
}

int file_make_folder_of(const char *path, struct err *ret_err)
{
    char *folder = mem_strdup(path);
    int result = 0;

    for (char *slash = strchr(folder + 1, '/'); slash != NULL && result == 0;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
            result = err_set_errno(ret_err, ERR_IO, errno, "cannot make the folder %s", folder);
        *slash = '/';
    }
    mem_free(folder);
    return result;
}

static int write_all(int fd, struct str bytes)
{
    size_t at = 0;

    while (at < bytes.len) {
        ssize_t wrote = write(fd, bytes.ptr + at, bytes.len - at);
        if (wrote < 0 && errno != EINTR)
            return -1;
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    return fsync(fd);
}

int file_write_private(const char *path, struct str bytes, struct err *ret_err)
{
    struct buf fresh = {0};
    int fd;
    int result = 0;

    if (file_make_folder_of(path, ret_err) < 0)
        return -1;
    buf_printf(&fresh, "%s.XXXXXX", path);
    buf_char(&fresh, '\0');
    fd = mkostemp(fresh.bytes, O_CLOEXEC); /* 0600 */
    if (fd < 0) {
        result = err_set_errno(ret_err, ERR_IO, errno, "cannot write beside %s", path);
    } else {
        bool written = write_all(fd, bytes) == 0;
        written = close(fd) == 0 && written;
        if (!written || rename(fresh.bytes, path) < 0) {
            result = err_set_errno(ret_err, ERR_IO, errno, "cannot write %s", path);
            (void)unlink(fresh.bytes);
        }
    }
    buf_fini(&fresh);
    return result;
}

/* Reads one line from the terminal itself, so that stdin may be something else. */
static int ask(const char *prompt, struct buf *out, struct err *ret_err)
{
    struct termios before;
    struct termios quiet;
    char line[TOKEN_MAX_BYTES];
    ssize_t got;
    int saved;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    if (fd < 0 || tcgetattr(fd, &before) < 0) {
        if (fd >= 0)
            (void)close(fd);
        return err_set(ret_err, ERR_BAD_REQUEST,
            "there is no terminal to ask on; pass it by --token-file or on standard input");
    }
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(fd, TCSAFLUSH, &quiet); /* before the prompt: it drops what was typed */
    (void)dprintf(fd, "%s", prompt);
    got = read(fd, line, sizeof(line));
    saved = errno;
    (void)tcsetattr(fd, TCSAFLUSH, &before);
    (void)dprintf(fd, "\n");
    (void)close(fd);
    if (got < 0 && saved == EINTR)
        return err_set(ret_err, ERR_CANCELLED, "interrupted");
    if (got < 0)
        return err_set_errno(ret_err, ERR_IO, saved, "cannot read from the terminal");
    buf_append(out, line, (size_t)got);
    explicit_bzero(line, sizeof(line));
    return 0;
}

/* Tokens go into a header: anything but printable ASCII could end it. */
static int check_token(struct buf *token, struct err *ret_err)
{
    struct str text = buf_view(token);

    text.len = str_find(text, '\n');
    if (text.len > 0 && text.ptr[text.len - 1] == '\r')
        text.len--;
    text = str_trim(text);
    if (text.len == 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "the token is empty");
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= 0x20 || text.ptr[i] >= 0x7f)
            return err_set(ret_err, ERR_BAD_REQUEST,
                "that is no token: it holds a blank or a character that is not printable");
    buf_consume(token, (size_t)(text.ptr - token->bytes));
    buf_truncate(token, text.len);
    return 0;
}

int file_read_token(const char *path, const char *prompt, struct buf *out, struct err *ret_err)
{
    out->limit_bytes = 2U << 16; /* one read of read_all must fit */
    if (path == NULL) {
        if (ask(prompt, out, ret_err) < 0)
            return -1;
    } else if (file_read_private(path, out, ret_err) < 0) {
        return -1;
    }
    return check_token(out, ret_err);
}
