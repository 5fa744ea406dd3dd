#include "tests/crash/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/base/check.h"
#include "tenants/base/macros.h"
#include "tenants/base/mem.h"
#include "tenants/vfs_io.h"
#include "tests/crash/names.h"

#define SECTOR 512
#define FILES_MAX 512
#define FDS_MAX 1024
#define NAME_MAX_BYTES 160

enum kind { WRITE, TRUNCATE, SYNC, MAKE, MAKE_FOLDER, RENAME, UNLINK, RMDIR, SYNC_FOLDER };

struct call {
    enum kind kind;
    int file;        /* index; -1 for calls on names */
    uint64_t offset; /* or the size of a truncation */
    size_t len;
    unsigned char *bytes; /* owned */
    char *name, *to;      /* owned; from the root */
};

struct bytes {
    unsigned char *at; /* owned */
    size_t size, capacity;
};

struct file {
    struct bytes synced; /* as far as the steps have come */
    size_t *pending;     /* owned: numbers of unsynced calls, in order */
    size_t pending_count, pending_capacity;
    bool is_wal, is_main, is_manifest, is_layer, is_map;
    bool header_written; /* while recording: its last write was at 0 */
};

static struct {
    char root[200];
    enum disk_lie lie;
    bool checkpoint;
    struct call *calls;
    size_t count, capacity, at;
    struct file files[FILES_MAX];
    int file_count;
    int fd_file[FDS_MAX]; /* while recording: file + 1, 0 none */
    char *fd_folder[FDS_MAX];
    struct names live;   /* while recording */
    struct names synced; /* as far as the steps have come */
    size_t *pending;     /* unsynced calls on names */
    size_t pending_count, pending_capacity;
    bool settled;
} disk;

/* ------------------------------------------------------------------ names */

/* "" for the root itself, NULL for what is elsewhere. */
static const char *below_root(const char *path)
{
    size_t len = strlen(disk.root);

    if (strcmp(path, disk.root) == 0)
        return "";
    return strncmp(path, disk.root, len) == 0 && path[len] == '/' ? path + len + 1 : NULL;
}

static bool is_in_folder(const char *name, const char *folder)
{
    const char *slash = strrchr(name, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - name);

    return strlen(folder) == len && strncmp(name, folder, len) == 0;
}

/* A call on names, done to a set of them. */
static void apply_name(struct names *names, const struct call *call)
{
    switch ((int)call->kind) {
    case MAKE:
    case MAKE_FOLDER:
        names_put(names, call->name, call->file);
        break;
    case RENAME:
        names_move(names, call->name, call->to);
        break;
    case UNLINK:
    case RMDIR:
        names_drop(names, call->name);
        break;
    default: /* syncs change no names */
        break;
    }
}

/* ------------------------------------------------------------------ recording */

static struct call *record(enum kind kind, int file)
{
    if (disk.count == disk.capacity) {
        disk.capacity = disk.capacity * 2 + 1024;
        disk.calls = mem_realloc(disk.calls, disk.capacity * sizeof(*disk.calls));
    }
    disk.calls[disk.count] = (struct call){.kind = kind, .file = file};
    return &disk.calls[disk.count++];
}

static void record_name(enum kind kind, int file, const char *name, const char *to)
{
    struct call *call = record(kind, file);

    call->name = mem_strdup(name);
    call->to = to == NULL ? NULL : mem_strdup(to);
    apply_name(&disk.live, call);
}

static int new_file(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash == NULL ? name : slash + 1;
    size_t len = strlen(last);
    struct file *file = &disk.files[disk.file_count];

    CHECK(disk.file_count < FILES_MAX);
    *file = (struct file){.is_main = strncmp(last, "base-", 5) == 0,
        .is_manifest = strncmp(last, "MANIFEST", 8) == 0,
        .is_layer = last[0] == 'L',
        .is_map = len > 4 && strcmp(last + len - 4, ".map") == 0,
        .is_wal = len > 4 && strcmp(last + len - 4, "-wal") == 0};
    return disk.file_count++;
}

static int on_open(const char *path, int flags, mode_t mode)
{
    const char *name = below_root(path);
    bool nameless = (flags & O_TMPFILE) == O_TMPFILE;
    int fd = open(path, flags, mode);
    struct entry *entry;

    if (fd < 0 || name == NULL || nameless)
        return fd;
    CHECK(fd < FDS_MAX);
    if ((flags & O_DIRECTORY) != 0) {
        mem_free(disk.fd_folder[fd]);
        disk.fd_folder[fd] = mem_strdup(name);
        return fd;
    }
    entry = names_find(&disk.live, name);
    if (entry == NULL) {
        record_name(MAKE, new_file(name), name, NULL);
        entry = names_find(&disk.live, name);
    } else if ((flags & O_TRUNC) != 0) {
        (void)record(TRUNCATE, entry->file);
    }
    CHECK(entry != NULL);
    disk.fd_file[fd] = entry->file + 1;
    return fd;
}

static int on_close(int fd)
{
    disk.fd_file[fd] = 0;
    mem_free(disk.fd_folder[fd]);
    disk.fd_folder[fd] = NULL;
    return close(fd);
}

static ssize_t on_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    ssize_t n = pwritev(fd, parts, count, offset);
    int file = fd < FDS_MAX ? disk.fd_file[fd] - 1 : -1;
    struct call *call;
    size_t done = 0;

    if (n <= 0 || file < 0)
        return n;
    call = record(WRITE, file);
    call->offset = (uint64_t)offset;
    call->len = (size_t)n;
    call->bytes = mem_alloc((size_t)n);
    for (int i = 0; i < count && done < (size_t)n; i++) {
        size_t len = MIN(parts[i].iov_len, (size_t)n - done);

        memcpy(call->bytes + done, parts[i].iov_base, len);
        done += len;
    }
    disk.files[file].header_written = offset == 0;
    return n;
}

static int on_ftruncate(int fd, off_t size)
{
    int rc = ftruncate(fd, size);
    int file = disk.fd_file[fd] - 1;

    if (rc == 0 && file >= 0)
        record(TRUNCATE, file)->offset = (uint64_t)size;
    return rc;
}

static bool is_left_out(const struct file *file)
{
    switch (disk.lie) {
    case DISK_LIE_WAL_HEADER:
        return file->is_wal && file->header_written;
    case DISK_LIE_WAL_CHECKPOINT:
        return file->is_wal && disk.checkpoint;
    case DISK_LIE_MAIN:
        return file->is_main && disk.checkpoint;
    case DISK_LIE_MANIFEST:
        return file->is_manifest;
    case DISK_LIE_LAYER_PAGES:
        return file->is_layer && !file->is_map;
    case DISK_LIE_LAYER_MAP:
        return file->is_map;
    case DISK_HONEST:
    case DISK_LIE_FOLDER:
    case DISK_LIE_PARENT:
        break;
    }
    return false;
}

/* Not passed on: the real file system's syncs are of no interest, and slow. */
static int on_fdatasync(int fd)
{
    int file = disk.fd_file[fd] - 1;

    if (file >= 0 && !is_left_out(&disk.files[file]))
        (void)record(SYNC, file);
    return 0;
}

static int on_fsync(int fd)
{
    const char *folder = disk.fd_folder[fd];
    bool left_out;

    if (folder == NULL)
        return 0;
    /* db/aa/<id> is a family's folder, db/aa the one above */
    left_out = (disk.lie == DISK_LIE_FOLDER && strlen(folder) > 6) ||
               (disk.lie == DISK_LIE_PARENT && strlen(folder) <= 6);
    if (!left_out)
        record_name(SYNC_FOLDER, -1, folder, NULL);
    return 0;
}

static int on_rename(const char *from, const char *to)
{
    int rc = rename(from, to);

    if (rc == 0 && below_root(from) != NULL)
        record_name(RENAME, -1, below_root(from), below_root(to));
    return rc;
}

static int on_unlink(const char *path)
{
    int rc = unlink(path);

    if (rc == 0 && below_root(path) != NULL)
        record_name(UNLINK, -1, below_root(path), NULL);
    return rc;
}

static int on_mkdir(const char *path, mode_t mode)
{
    int rc = mkdir(path, mode);

    if (rc == 0 && below_root(path) != NULL)
        record_name(MAKE_FOLDER, -1, below_root(path), NULL);
    return rc;
}

static int on_rmdir(const char *path)
{
    int rc = rmdir(path);

    if (rc == 0 && below_root(path) != NULL)
        record_name(RMDIR, -1, below_root(path), NULL);
    return rc;
}

static const struct vfs_io_hooks recording = {
    .open = on_open,
    .close = on_close,
    .pwritev = on_pwritev,
    .ftruncate = on_ftruncate,
    .fdatasync = on_fdatasync,
    .fsync = on_fsync,
    .rename = on_rename,
    .unlink = on_unlink,
    .mkdir = on_mkdir,
    .rmdir = on_rmdir,
};

void disk_start(const char *root, enum disk_lie lie)
{
    memset(&disk, 0, sizeof(disk));
    (void)snprintf(disk.root, sizeof(disk.root), "%s", root);
    disk.lie = lie;
    vfs_io_hooks = &recording;
}

void disk_in_checkpoint(bool inside)
{
    disk.checkpoint = inside;
}

size_t disk_calls(void)
{
    return disk.count;
}

/* ------------------------------------------------------------------ stepping */

static void bytes_resize(struct bytes *bytes, size_t size)
{
    if (size > bytes->capacity) {
        bytes->capacity = size * 2;
        bytes->at = mem_realloc(bytes->at, bytes->capacity);
    }
    if (size > bytes->size)
        memset(bytes->at + bytes->size, 0, size - bytes->size);
    bytes->size = size;
}

static void apply_whole(struct bytes *bytes, const struct call *call)
{
    if (call->kind == TRUNCATE) {
        bytes_resize(bytes, call->offset);
        return;
    }
    if (call->offset + call->len > bytes->size)
        bytes_resize(bytes, call->offset + call->len);
    memcpy(bytes->at + call->offset, call->bytes, call->len);
}

static void push(size_t **list, size_t *count, size_t *capacity, size_t value)
{
    if (*count == *capacity) {
        *capacity = *capacity * 2 + 16;
        *list = mem_realloc(*list, *capacity * sizeof(**list));
    }
    (*list)[(*count)++] = value;
}

void disk_stop(void)
{
    vfs_io_hooks = NULL;
}

static void forget_steps(void)
{
    for (int i = 0; i < disk.file_count; i++) {
        struct file *file = &disk.files[i];

        mem_free(file->synced.at);
        mem_free(file->pending);
        file->synced = (struct bytes){.size = 0};
        file->pending = NULL;
        file->pending_count = file->pending_capacity = 0;
    }
    names_free(&disk.synced);
    mem_free(disk.pending);
    disk.pending = NULL;
    disk.pending_count = disk.pending_capacity = 0;
}

void disk_rewind(void)
{
    forget_steps();
    disk.at = 0;
    disk.settled = true;
}

void disk_free(void)
{
    forget_steps();
    names_free(&disk.live);
    for (size_t i = 0; i < disk.count; i++) {
        mem_free(disk.calls[i].bytes);
        mem_free(disk.calls[i].name);
        mem_free(disk.calls[i].to);
    }
    mem_free(disk.calls);
    for (int i = 0; i < FDS_MAX; i++)
        mem_free(disk.fd_folder[i]);
    memset(&disk, 0, sizeof(disk));
}

static void settle_file(struct file *file)
{
    for (size_t i = 0; i < file->pending_count; i++)
        apply_whole(&file->synced, &disk.calls[file->pending[i]]);
    disk.settled = disk.settled || file->pending_count > 0;
    file->pending_count = 0;
}

/* A call on names belongs to the folder of its (first) name. */
static void settle_folder(const char *folder)
{
    size_t kept = 0;

    for (size_t i = 0; i < disk.pending_count; i++) {
        const struct call *call = &disk.calls[disk.pending[i]];

        if (is_in_folder(call->name, folder)) {
            apply_name(&disk.synced, call);
            disk.settled = true;
        } else {
            disk.pending[kept++] = disk.pending[i];
        }
    }
    disk.pending_count = kept;
}

void disk_step(void)
{
    size_t number = disk.at++;
    const struct call *call = &disk.calls[number];
    struct file *file = call->file >= 0 ? &disk.files[call->file] : NULL;

    disk.settled = false;
    switch (call->kind) {
    case WRITE:
    case TRUNCATE:
        push(&file->pending, &file->pending_count, &file->pending_capacity, number);
        break;
    case SYNC:
        settle_file(file);
        break;
    case SYNC_FOLDER:
        settle_folder(call->name);
        break;
    case MAKE:
    case MAKE_FOLDER:
    case RENAME:
    case UNLINK:
    case RMDIR:
        push(&disk.pending, &disk.pending_count, &disk.pending_capacity, number);
        break;
    }
}

bool disk_restarted_wal(void)
{
    const struct call *call = disk.at == 0 ? NULL : &disk.calls[disk.at - 1];

    return call != NULL && call->kind == WRITE && call->offset == 0 && call->len == 32 &&
           disk.files[call->file].is_wal;
}

bool disk_settled(void)
{
    return disk.settled;
}

/* ------------------------------------------------------------------ rebuilding */

static void apply_sectors(struct bytes *bytes, const struct call *call, uint64_t *random)
{
    size_t done = 0;

    if (disk_random(random) % 4 == 0 && call->offset + call->len > bytes->size)
        bytes_resize(bytes, call->offset + call->len); /* the length came first */
    while (done < call->len) {
        size_t at = call->offset + done;
        size_t len = MIN(SECTOR - at % SECTOR, call->len - done);

        if (disk_random(random) % 2 == 0) {
            if (at + len > bytes->size)
                bytes_resize(bytes, at + len);
            memcpy(bytes->at + at, call->bytes + done, len);
        }
        done += len;
    }
}

static bool survives(
    enum disk_loss loss, size_t number, size_t count, size_t latest, uint64_t *random)
{
    switch (loss) {
    case DISK_LOSE_NOTHING:
    case DISK_LOSE_SECTORS:
        return true;
    case DISK_LOSE_WRITES:
        return disk_random(random) % 2 == 0;
    case DISK_KEEP_LATEST:
        return number + latest >= count;
    case DISK_LOSE_ALL:
    case DISK_LOSSES:
        break;
    }
    return false;
}

static void rebuild_file(
    const struct file *file, enum disk_loss loss, uint64_t *random, struct bytes *ret_bytes)
{
    size_t latest = 1 + disk_random(random) % 4;

    bytes_resize(ret_bytes, 0);
    bytes_resize(ret_bytes, file->synced.size);
    if (file->synced.size > 0)
        memcpy(ret_bytes->at, file->synced.at, file->synced.size);
    for (size_t i = 0; i < file->pending_count; i++) {
        const struct call *call = &disk.calls[file->pending[i]];

        if (!survives(loss, i, file->pending_count, latest, random))
            continue;
        if (loss != DISK_LOSE_SECTORS || (call->kind == TRUNCATE && disk_random(random) % 2 == 0))
            apply_whole(ret_bytes, call);
        else if (call->kind == WRITE)
            apply_sectors(ret_bytes, call, random);
    }
}

static void write_out(const char *path, const struct bytes *bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK(fd >= 0);
    CHECK(bytes->size == 0 || write(fd, bytes->at, bytes->size) == (ssize_t)bytes->size);
    CHECK(close(fd) == 0);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* What lies in a folder that was lost is lost with it: sorted, a folder comes before its content,
 * and making the content fails. */
static void write_names(const char *to, struct names *names, enum disk_loss loss, uint64_t *random)
{
    struct bytes bytes = {.size = 0};
    char path[600];

    if (names->count > 0)
        qsort(names->entries, names->count, sizeof(*names->entries), by_name);
    for (size_t i = 0; i < names->count; i++) {
        const struct entry *entry = &names->entries[i];
        char *slash;

        if (entry->gone)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", to, entry->name);
        if (entry->file < 0) {
            CHECK(mkdir(path, 0700) == 0 || errno == ENOENT);
            continue;
        }
        slash = strrchr(path, '/');
        *slash = '\0';
        if (access(path, F_OK) != 0)
            continue;
        *slash = '/';
        rebuild_file(&disk.files[entry->file], loss, random, &bytes);
        write_out(path, &bytes);
    }
    mem_free(bytes.at);
}

void disk_rebuild(const char *to, enum disk_loss loss, uint64_t *random)
{
    struct names names = {.count = 0};
    size_t latest = 1 + disk_random(random) % 4;

    names_copy(&names, &disk.synced);
    for (size_t i = 0; i < disk.pending_count; i++) {
        enum disk_loss names_loss = loss == DISK_LOSE_SECTORS ? DISK_LOSE_WRITES : loss;

        if (survives(names_loss, i, disk.pending_count, latest, random))
            apply_name(&names, &disk.calls[disk.pending[i]]);
    }
    write_names(to, &names, loss, random);
    names_free(&names);
}
