#include "src/rook/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/rook/progress.h"
#include "tenants/base/clock.h"

/* ---- up ---- */

struct source {
    int fd;
    int error; /* errno of a read */
};

static ssize_t read_source(void *user, char *bytes, size_t len)
{
    struct source *source = user;
    ssize_t got;

    do
        got = read(source->fd, bytes, len);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        source->error = errno;
    return got;
}

static void on_progress(void *user, uint64_t at, uint64_t total)
{
    progress_set(user, at, total);
}

/* -1: a pipe's is not known. */
static int64_t bytes_left(int fd)
{
    struct stat status;
    off_t at = lseek(fd, 0, SEEK_CUR);

    return at < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ? -1 : status.st_size - at;
}

int transfer_upload(struct client *client, const char *path, const char *content_type, int fd,
    const char *name, struct answer *ret_answer)
{
    struct source source = {.fd = fd};
    struct progress progress;
    struct http_transfer transfer = {.content_type = content_type,
        .upload_bytes = bytes_left(fd),
        .read = read_source,
        .progress = on_progress,
        .user = &source,
        .progress_user = &progress};
    int status;

    progress_init(&progress, "importing", client->quiet);
    progress.waits = true;
    status = client_transfer(client, "PUT", path, &transfer, ret_answer);
    progress_end(&progress);
    if (source.error != 0 && status != 0)
        return report(EXIT_LOCAL, "cannot read %s: %s", name, strerror(source.error));
    return status;
}

/* ---- down ---- */

struct sink_file {
    int fd;
    int error;
    uint64_t bytes;
};

static ssize_t write_sink(void *user, const char *bytes, size_t len)
{
    struct sink_file *sink = user;
    size_t at = 0;

    while (at < len) {
        ssize_t wrote = write(sink->fd, bytes + at, len - at);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            sink->error = errno;
            return -1;
        }
        at += (size_t)wrote;
    }
    sink->bytes += len;
    return (ssize_t)len;
}

static int receive(
    struct client *client, const char *path, struct sink_file *sink, const char *name)
{
    struct progress progress;
    struct http_transfer transfer = {
        .write = write_sink, .progress = on_progress, .user = sink, .progress_user = &progress};
    int status;

    progress_init(&progress, "exporting", client->quiet);
    status = client_transfer(client, "GET", path, &transfer, NULL);
    progress_end(&progress);
    if (sink->error != 0)
        return report(EXIT_LOCAL, "cannot write %s: %s", name, strerror(sink->error));
    return status;
}

/* As the user's umask has it: mkostemp() makes files that are private. */
static mode_t usual_mode(void)
{
    mode_t mask = umask(0);

    (void)umask(mask);
    return 0666 & ~mask;
}

static int finish(struct sink_file *sink, const char *fresh, const char *file)
{
    bool done = fchmod(sink->fd, usual_mode()) == 0 && fsync(sink->fd) == 0;

    done = close(sink->fd) == 0 && done;
    sink->fd = -1;
    if (done && rename(fresh, file) == 0)
        return 0;
    return report(EXIT_LOCAL, "cannot write %s: %s", file, strerror(errno));
}

int transfer_download(
    struct client *client, const char *path, const char *file, uint64_t *ret_bytes)
{
    struct sink_file sink = {.fd = STDOUT_FILENO};
    struct buf fresh = {0};
    int status;

    if (strcmp(file, "-") == 0) {
        status = receive(client, path, &sink, "standard output");
        *ret_bytes = sink.bytes;
        return status;
    }
    buf_printf(&fresh, "%s.XXXXXX", file);
    buf_char(&fresh, '\0');
    sink.fd = mkostemp(fresh.bytes, O_CLOEXEC);
    if (sink.fd < 0) {
        buf_fini(&fresh);
        return report(EXIT_LOCAL, "cannot write beside %s: %s", file, strerror(errno));
    }
    status = receive(client, path, &sink, file);
    if (status == 0)
        status = finish(&sink, fresh.bytes, file);
    if (sink.fd >= 0)
        (void)close(sink.fd);
    if (status != 0)
        (void)unlink(fresh.bytes);
    buf_fini(&fresh);
    *ret_bytes = sink.bytes;
    return status;
}
