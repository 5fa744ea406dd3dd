/* A head's files: opening, closing, syncing, and what happens when a sync fails. */
#include <errno.h>
#include <string.h>

#include "tenants/base/check.h"
#include "tenants/base/mem.h"
#include "tenants/vfs_internal.h"
#include "tenants/vfs_io.h"

int vfs_open_file(const char *path, bool create, bool *ret_created, struct err *ret_err)
{
    int fd = io_open(path, O_RDWR | O_CLOEXEC, 0);

    *ret_created = false;
    if (fd < 0 && errno == ENOENT && create) {
        fd = io_open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        *ret_created = true;
    }
    if (fd < 0)
        return err_set_errno(
            ret_err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "cannot open '%s'", path);
    return fd;
}

static int open_wal(
    struct vfs_head *head, const char *path, bool create, bool *ret_created, struct err *ret_err)
{
    struct stat status;

    head->wal_fd = vfs_open_file(path, create, ret_created, ret_err);
    if (head->wal_fd < 0)
        return -1;
    if (fstat(head->wal_fd, &status) < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot stat '%s'", path);
    atomic_init(&head->wal_bytes, (uint64_t)status.st_size);
    return 0;
}

/* What a killed process wrote and did not sync is in the page cache, and recovery will take it for
 * committed: it has to be on disk before anybody is told of it. */
static int settle_wal(struct vfs_head *head, const char *path, struct err *ret_err)
{
    if (atomic_load(&head->wal_bytes) > 0 && io_sync(head->wal_fd) < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot sync '%s'", path);
    return 0;
}

static int open_placeholder(struct vfs_head *head, const char *path, struct err *ret_err)
{
    bool made;

    if (path == NULL)
        return 0;
    head->placeholder_fd = vfs_open_file(path, false, &made, ret_err);
    if (head->placeholder_fd < 0)
        return -1;
    return vfs_lock_out_others(head->placeholder_fd, path, ret_err);
}

static int sync_new_names(
    const struct vfs_head_options *options, bool made_main, bool made_wal, struct err *ret_err)
{
    if (made_main && io_sync_folder_of(options->main_path) < 0)
        return err_set_errno(
            ret_err, ERR_IO, errno, "cannot sync the folder of '%s'", options->main_path);
    if (made_wal && io_sync_folder_of(options->wal_path) < 0)
        return err_set_errno(
            ret_err, ERR_IO, errno, "cannot sync the folder of '%s'", options->wal_path);
    return 0;
}

static int open_files(
    struct vfs_head *head, const struct vfs_head_options *options, struct err *ret_err)
{
    bool made_main, made_wal;

    if (open_placeholder(head, options->placeholder_path, ret_err) < 0)
        return -1;
    if (open_wal(head, options->wal_path, options->create, &made_wal, ret_err) < 0)
        return -1;
    made_main = false;
    if (options->stack != NULL)
        vfs_pages_use(&head->pages, options->stack);
    /* An empty main file may be made anew only if there was never anything in the WAL. */
    else if (vfs_pages_open(&head->pages, options->main_path,
                 options->create && atomic_load(&head->wal_bytes) == 0, &made_main, ret_err) < 0)
        return -1;
    if (settle_wal(head, options->wal_path, ret_err) < 0)
        return -1;
    return sync_new_names(options, made_main, made_wal, ret_err);
}

static void close_files(struct vfs_head *head)
{
    vfs_pages_close(&head->pages);
    if (head->wal_fd >= 0)
        (void)io_close(head->wal_fd);
    if (head->placeholder_fd >= 0)
        (void)io_close(head->placeholder_fd);
}

static void head_free(struct vfs_head *head)
{
    mutex_fini(&head->lock);
    mem_free(head->temp_dir);
    mem_free(head);
}

int vfs_head_open(
    const struct vfs_head_options *options, struct vfs_head **ret_head, struct err *ret_err)
{
    struct vfs_head *head = mem_zalloc(sizeof(*head));

    head->pages.fd = -1;
    head->wal_fd = -1;
    head->placeholder_fd = -1;
    head->events = options->events;
    head->context = options->context;
    head->temp.limit_bytes = options->temp_limit_bytes;
    if (options->temp_dir != NULL)
        head->temp_dir = mem_strdup(options->temp_dir);
    mutex_init(&head->lock);
    if (open_files(head, options, ret_err) < 0) {
        close_files(head);
        head_free(head);
        return -1;
    }
    vfs_registry_add(head);
    *ret_head = head;
    return 0;
}

/* After a failed sync the page cache may hold, marked clean, what never reached the disk. Whoever
 * opens the files next shall see the disk. */
static void forget_cache(struct vfs_head *head)
{
    (void)posix_fadvise(head->wal_fd, 0, 0, POSIX_FADV_DONTNEED);
    vfs_pages_forget_cache(&head->pages);
}

void vfs_head_close(struct vfs_head *head)
{
    if (head == NULL)
        return;
    CHECK(atomic_load(&head->files) == 0);
    vfs_registry_remove(head);
    if (atomic_load(&head->poisoned))
        forget_cache(head);
    close_files(head);
    head_free(head);
}

void vfs_poison(struct vfs_head *head)
{
    atomic_store(&head->poisoned, true);
}

bool vfs_head_poisoned(const struct vfs_head *head)
{
    return atomic_load(&head->poisoned);
}

int vfs_wal_sync_now(struct vfs_head *head)
{
    uint64_t token = 0;

    if (atomic_load(&head->poisoned))
        return SQLITE_IOERR_FSYNC;
    if (head->events.on_sync_begin != NULL)
        token = head->events.on_sync_begin(head->context);
    if (io_sync(head->wal_fd) < 0) {
        vfs_marks.last_errno = errno;
        vfs_poison(head);
        return SQLITE_IOERR_FSYNC;
    }
    if (atomic_load(&head->poisoned)) /* another's sync failed meanwhile: ours may have been told
                                         nothing of its pages */
        return SQLITE_IOERR_FSYNC;
    if (head->events.on_synced != NULL)
        head->events.on_synced(head->context, token);
    return SQLITE_OK;
}

int vfs_head_sync_wal(struct vfs_head *head, struct err *ret_err)
{
    if (vfs_wal_sync_now(head) == SQLITE_OK)
        return 0;
    return err_set_errno(
        ret_err, ERR_IO, vfs_marks.last_errno, "the log of a database cannot be synced");
}

const char *vfs_head_name(const struct vfs_head *head)
{
    return head->name;
}

uint64_t vfs_head_wal_bytes(const struct vfs_head *head)
{
    return atomic_load_explicit(&head->wal_bytes, memory_order_relaxed);
}

uint64_t vfs_head_main_bytes(const struct vfs_head *head)
{
    return vfs_pages_bytes(&head->pages);
}

uint64_t vfs_head_temp_bytes(const struct vfs_head *head)
{
    return atomic_load_explicit(&head->temp.bytes, memory_order_relaxed);
}
