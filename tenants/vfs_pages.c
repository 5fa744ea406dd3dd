/* The main file: a plain one, or a stack of layers. A stack of its base alone costs one branch. */
#include <errno.h>
#include <string.h>

#include "tenants/layers/stack.h"
#include "tenants/vfs_internal.h"
#include "tenants/vfs_io.h"

#define SQLITE_MAGIC "SQLite format 3"
#define HEADER_BYTES 100

/* Invariant: whole pages at page offsets only; anything else is a bug or damage, and refused. */
static bool is_page(int len, int64_t offset)
{
    return len >= 512 && len <= 65536 && (len & (len - 1)) == 0 && offset >= 0 &&
           (offset & (len - 1)) == 0;
}

static bool is_layered(const struct vfs_pages *pages)
{
    return pages->stack != NULL &&
           atomic_load_explicit(&pages->stack->view, memory_order_acquire) != NULL;
}

/* Of the size, when it is written in place. */
static _Atomic uint64_t *size_of(struct vfs_pages *pages)
{
    return pages->stack == NULL ? &pages->bytes : &pages->stack->bytes;
}

void vfs_pages_use(struct vfs_pages *pages, struct layer_stack *stack)
{
    pages->stack = stack;
    pages->fd = stack->base->fd;
}

uint64_t vfs_pages_bytes(const struct vfs_pages *pages)
{
    return pages->stack == NULL ? atomic_load_explicit(&pages->bytes, memory_order_relaxed)
                                : stack_bytes(pages->stack);
}

int vfs_pages_read(
    struct vfs_pages *pages, struct layer_view **held, void *bytes, int len, int64_t offset)
{
    if (unlikely(is_layered(pages)))
        return stack_read(pages->stack, held, bytes, len, offset);
    return vfs_read(pages->fd, bytes, len, offset);
}

void vfs_pages_idle(struct vfs_pages *pages, struct layer_view **held, bool ends)
{
    if (*held != NULL && (ends || stack_is_outdated(pages->stack, *held)))
        stack_let_go(held);
}

int vfs_pages_write(struct vfs_pages *pages, const void *bytes, int len, int64_t offset)
{
    uint64_t end = (uint64_t)offset + (uint64_t)len;
    _Atomic uint64_t *size = size_of(pages);

    if (unlikely(!is_page(len, offset)))
        return SQLITE_IOERR_WRITE;
    if (unlikely(is_layered(pages)))
        return stack_write(pages->stack, bytes, len, offset);
    if (pages->stack != NULL && unlikely(pages->stack->sealed))
        return SQLITE_IOERR_WRITE;
    if (io_write_all(pages->fd, bytes, (size_t)len, offset) < 0)
        return vfs_write_failed();
    if (end > atomic_load_explicit(size, memory_order_relaxed))
        atomic_store_explicit(size, end, memory_order_relaxed);
    return SQLITE_OK;
}

int vfs_pages_truncate(struct vfs_pages *pages, int64_t bytes)
{
    if (is_layered(pages))
        return stack_truncate(pages->stack, bytes);
    if (pages->stack != NULL && pages->stack->sealed)
        return SQLITE_IOERR_TRUNCATE;
    if ((uint64_t)bytes >= vfs_pages_bytes(pages))
        return SQLITE_OK; /* never grown by this: SQLite writes every page it counts */
    if (io_truncate(pages->fd, bytes) < 0) {
        vfs_marks.last_errno = errno;
        return SQLITE_IOERR_TRUNCATE;
    }
    atomic_store_explicit(size_of(pages), (uint64_t)bytes, memory_order_relaxed);
    return SQLITE_OK;
}

int vfs_pages_sync(struct vfs_pages *pages)
{
    if (is_layered(pages))
        return stack_sync(pages->stack);
    if (io_sync(pages->fd) < 0) {
        vfs_marks.last_errno = errno;
        return SQLITE_IOERR_FSYNC;
    }
    return SQLITE_OK;
}

static void put_u32(unsigned char *at, uint32_t value)
{
    at[0] = (unsigned char)(value >> 24);
    at[1] = (unsigned char)(value >> 16);
    at[2] = (unsigned char)(value >> 8);
    at[3] = (unsigned char)value;
}

/* SQLite's file format, sections 1.3 and 1.6: a header and an empty table leaf. Written out rather
 * than made by SQLite, so that creating a database is one write. */
void vfs_empty_database(unsigned char page[VFS_EMPTY_BYTES])
{
    memset(page, 0, VFS_EMPTY_BYTES);
    memcpy(page, SQLITE_MAGIC, sizeof(SQLITE_MAGIC));
    page[16] = VFS_EMPTY_BYTES >> 8;
    page[18] = 2; /* WAL: write version, read version */
    page[19] = 2;
    page[21] = 64; /* payload fractions, fixed by the format */
    page[22] = 32;
    page[23] = 32;
    put_u32(page + 24, 1); /* file change counter */
    put_u32(page + 28, 1); /* pages */
    put_u32(page + 92, 1); /* the counter for which the page count is valid */
    put_u32(page + 96, (uint32_t)sqlite3_libversion_number());
    page[HEADER_BYTES] = 13; /* a leaf of a table tree, no cells */
    page[HEADER_BYTES + 5] = VFS_EMPTY_BYTES >> 8;
}

static bool has_journal(const char *path)
{
    char journal[4096];
    struct stat status;

    return snprintf(journal, sizeof(journal), "%s-journal", path) < (int)sizeof(journal) &&
           stat(journal, &status) == 0 && status.st_size > 0;
}

/* A file that was last used with a rollback journal becomes a WAL database by two bytes of its
 * first sector, which is written at once or not at all. SQLite would want a journal for it. */
static int make_wal_mode(struct vfs_pages *pages, const char *path, struct err *ret_err)
{
    static const unsigned char wal_mode[2] = {2, 2};

    if (has_journal(path))
        return err_set(ret_err, ERR_CORRUPT,
            "'%s' has a rollback journal: open it once with sqlite3 to settle it", path);
    if (io_write_all(pages->fd, wal_mode, sizeof(wal_mode), 18) < 0 || io_sync(pages->fd) < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot make '%s' a WAL database", path);
    return 0;
}

static int check_header(struct vfs_pages *pages, const char *path, struct err *ret_err)
{
    unsigned char header[HEADER_BYTES];
    ssize_t n = io_read_all(pages->fd, header, sizeof(header), 0);

    if (n < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot read '%s'", path);
    if (n < HEADER_BYTES || memcmp(header, SQLITE_MAGIC, sizeof(SQLITE_MAGIC)) != 0)
        return err_set(ret_err, ERR_CORRUPT, "'%s' is not a SQLite database", path);
    if (header[18] == 1 && header[19] == 1)
        return make_wal_mode(pages, path, ret_err);
    return 0;
}

static int write_empty(struct vfs_pages *pages, const char *path, struct err *ret_err)
{
    unsigned char page[VFS_EMPTY_BYTES];

    vfs_empty_database(page);
    if (io_write_all(pages->fd, page, sizeof(page), 0) < 0 || io_sync(pages->fd) < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot write '%s'", path);
    atomic_store(&pages->bytes, sizeof(page));
    return 0;
}

int vfs_pages_open(
    struct vfs_pages *pages, const char *path, bool create, bool *ret_created, struct err *ret_err)
{
    struct stat status;

    pages->fd = vfs_open_file(path, create, ret_created, ret_err);
    if (pages->fd < 0)
        return -1;
    if (vfs_lock_out_others(pages->fd, path, ret_err) < 0)
        return -1;
    if (fstat(pages->fd, &status) < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot stat '%s'", path);
    atomic_init(&pages->bytes, (uint64_t)status.st_size);
    if (status.st_size > 0)
        return check_header(pages, path, ret_err);
    if (!create)
        return err_set(ret_err, ERR_CORRUPT, "'%s' is empty", path);
    *ret_created = true; /* made, and cut off before its first page: its name may not be durable */
    return write_empty(pages, path, ret_err);
}

void vfs_pages_close(struct vfs_pages *pages)
{
    if (pages->fd >= 0 && pages->stack == NULL)
        (void)io_close(pages->fd);
    pages->fd = -1;
}

void vfs_pages_forget_cache(struct vfs_pages *pages)
{
    if (pages->stack != NULL)
        stack_forget_cache(pages->stack);
    else
        (void)posix_fadvise(pages->fd, 0, 0, POSIX_FADV_DONTNEED);
}
