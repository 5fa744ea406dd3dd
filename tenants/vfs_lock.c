/* Locks of the main file. In WAL mode SQLite takes SHARED once per connection and EXCLUSIVE to find
 * out whether it is the last one, so a mutex is fast enough. */
#include <errno.h>

#include "tenants/base/check.h"
#include "tenants/vfs_internal.h"
#include "tenants/vfs_io.h"

/* SQLite's PENDING, RESERVED and SHARED bytes, 512 in all. */
#define LOCK_FIRST 0x40000000
#define LOCK_COUNT 512

static bool may_have(const struct vfs_locks *locks, const struct vfs_file *file, int level)
{
    if (locks->exclusive != NULL && locks->exclusive != file)
        return false;
    if (level == SQLITE_LOCK_SHARED)
        return true;
    if (locks->reserved != NULL && locks->reserved != file)
        return false;
    /* No PENDING state: a failed EXCLUSIVE leaves nothing behind, so that a connection that closes
     * does not turn away one that opens. */
    return level == SQLITE_LOCK_RESERVED || locks->shared == 1;
}

int vfs_lock(struct vfs_file *file, int level)
{
    struct vfs_locks *locks = &file->head->locks;
    int rc = SQLITE_OK;

    if (file->main.level >= level)
        return SQLITE_OK;
    mutex_lock(&file->head->lock);
    if (!may_have(locks, file, level)) {
        rc = SQLITE_BUSY;
    } else {
        if (file->main.level == SQLITE_LOCK_NONE)
            locks->shared++;
        if (level >= SQLITE_LOCK_RESERVED)
            locks->reserved = file;
        if (level == SQLITE_LOCK_EXCLUSIVE)
            locks->exclusive = file;
        file->main.level = (uint8_t)level;
    }
    mutex_unlock(&file->head->lock);
    return rc;
}

int vfs_unlock(struct vfs_file *file, int level)
{
    struct vfs_locks *locks = &file->head->locks;

    if (file->main.level <= level)
        return SQLITE_OK;
    mutex_lock(&file->head->lock);
    if (locks->exclusive == file)
        locks->exclusive = NULL;
    if (locks->reserved == file)
        locks->reserved = NULL;
    if (level == SQLITE_LOCK_NONE) {
        CHECK(locks->shared > 0);
        locks->shared--;
    }
    file->main.level = (uint8_t)level;
    mutex_unlock(&file->head->lock);
    return SQLITE_OK;
}

bool vfs_is_reserved(struct vfs_head *head)
{
    bool reserved;

    mutex_lock(&head->lock);
    reserved = head->locks.reserved != NULL;
    mutex_unlock(&head->lock);
    return reserved;
}

int vfs_lock_out_others(int fd, const char *path, struct err *ret_err)
{
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_FIRST, .l_len = LOCK_COUNT};

    if (fcntl(fd, F_OFD_SETLK, &range) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return err_set(ret_err, ERR_BUSY, "'%s' is open in another program", path);
    return err_set_errno(ret_err, ERR_IO, errno, "cannot lock '%s'", path);
}
