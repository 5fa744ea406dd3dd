/* Registration, names, thread marks, and opening of files by SQLite. */
#include "tenants/vfs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tenants/base/clock.h"
#include "tenants/base/random.h"
#include "tenants/vfs_internal.h"

#define NAME_PREFIX "/rookery/"
#define NAME_DIGITS 16
#define WAL_SUFFIX "-wal"
#define PATH_MAX_BYTES 64 /* of our names; small, since every connection keeps three of them */
#define BUCKETS 1024      /* of the registry */

__thread struct vfs_marks vfs_marks;

/* ------------------------------------------------------------------ registry */

static struct mutex registry_lock = {.native = PTHREAD_MUTEX_INITIALIZER};
static struct list buckets[BUCKETS];
static uint64_t next_id = 1;

void vfs_registry_add(struct vfs_head *head)
{
    struct list *bucket;

    mutex_lock(&registry_lock);
    head->id = next_id++;
    bucket = &buckets[head->id % BUCKETS];
    if (bucket->next == NULL)
        list_init(bucket);
    list_append(bucket, &head->link);
    mutex_unlock(&registry_lock);
    (void)snprintf(head->name, sizeof(head->name), NAME_PREFIX "%0*llx", NAME_DIGITS,
        (unsigned long long)head->id);
}

void vfs_registry_remove(struct vfs_head *head)
{
    mutex_lock(&registry_lock);
    list_remove(&head->link);
    mutex_unlock(&registry_lock);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "/rookery/<16 digits><suffix>": -1 when it is none of ours. */
static int parse_name(const char *name, uint64_t *ret_id, const char **ret_suffix)
{
    const char *digits = name + sizeof(NAME_PREFIX) - 1;
    uint64_t id = 0;

    if (name == NULL || strncmp(name, NAME_PREFIX, sizeof(NAME_PREFIX) - 1) != 0)
        return -1;
    for (int i = 0; i < NAME_DIGITS; i++) {
        int digit = hex_digit(digits[i]);

        if (digit < 0)
            return -1;
        id = id << 4 | (uint64_t)digit;
    }
    *ret_id = id;
    *ret_suffix = digits + NAME_DIGITS;
    return 0;
}

/* NULL when the name is unknown. The head is valid as long as its owner keeps it open, which the
 * owner does while connections open. */
static struct vfs_head *find_head(const char *name, const char **ret_suffix)
{
    struct vfs_head *found = NULL;
    struct list *bucket;
    uint64_t id;

    if (parse_name(name, &id, ret_suffix) < 0)
        return NULL;
    bucket = &buckets[id % BUCKETS];
    mutex_lock(&registry_lock);
    if (bucket->next != NULL) {
        LIST_FOREACH(it, bucket)
        {
            struct vfs_head *head = LIST_ENTRY(it, struct vfs_head, link);

            if (head->id == id)
                found = head;
        }
    }
    mutex_unlock(&registry_lock);
    return found;
}

/* ------------------------------------------------------------------ sqlite3_vfs */

static int open_named(struct vfs_file *file, const char *name, int flags)
{
    const char *suffix;
    struct vfs_head *head = find_head(name, &suffix);

    if (head == NULL)
        return SQLITE_CANTOPEN;
    if ((flags & SQLITE_OPEN_MAIN_DB) != 0 && suffix[0] == '\0') {
        file->main.persist_wal = true;
        file->base.pMethods = &vfs_main_methods;
    } else if ((flags & SQLITE_OPEN_WAL) != 0 && strcmp(suffix, WAL_SUFFIX) == 0) {
        file->base.pMethods = &vfs_wal_methods;
    } else {
        return SQLITE_CANTOPEN; /* rollback journals among them: WAL mode always */
    }
    file->head = head;
    atomic_fetch_add(&head->files, 1);
    return SQLITE_OK;
}

static int on_open(
    sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *handle, int flags, int *ret_flags)
{
    struct vfs_file *file = (struct vfs_file *)handle;
    int rc;

    memset(file, 0, sizeof(*file));
    if (name == NULL || (flags & (SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_TRANSIENT_DB |
                                     SQLITE_OPEN_TEMP_JOURNAL | SQLITE_OPEN_SUBJOURNAL)) != 0)
        rc = vfs_temp_open(vfs_marks.head, file);
    else
        rc = open_named(file, name, flags);
    if (rc == SQLITE_OK && ret_flags != NULL)
        *ret_flags = flags;
    return rc;
}

/* SQLite deletes a WAL when a connection that does not persist it closes as the last one. The head
 * keeps its file and only empties it. */
static int on_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    const char *suffix;
    struct vfs_head *head = find_head(name, &suffix);
    struct vfs_file file = {.head = head};

    if (head == NULL || strcmp(suffix, WAL_SUFFIX) != 0)
        return SQLITE_IOERR_DELETE_NOENT;
    if (vfs_wal_methods.xTruncate(&file.base, 0) != SQLITE_OK)
        return SQLITE_IOERR_DELETE;
    return vfs_wal_sync_now(head) == SQLITE_OK ? SQLITE_OK : SQLITE_IOERR_DELETE;
}

static int on_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_result)
{
    const char *suffix;
    struct vfs_head *head = find_head(name, &suffix);

    if (head == NULL)
        *ret_result = 0;
    else if (strcmp(suffix, WAL_SUFFIX) == 0) /* an empty one does not count, as on unix */
        *ret_result = atomic_load(&head->wal_bytes) > 0;
    else
        *ret_result = suffix[0] == '\0';
    return SQLITE_OK;
}

static int on_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *ret_path)
{
    int len = snprintf(ret_path, (size_t)size, "%s", name);

    return len < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static void *on_dl_open(sqlite3_vfs *vfs, const char *path)
{
    return NULL;
}

static void on_dl_error(sqlite3_vfs *vfs, int size, char *ret_message)
{
    (void)snprintf(ret_message, (size_t)size, "extensions are not loaded");
}

static void (*on_dl_sym(sqlite3_vfs *vfs, void *library, const char *symbol))(void)
{
    return NULL;
}

static void on_dl_close(sqlite3_vfs *vfs, void *library)
{
}

static int on_randomness(sqlite3_vfs *vfs, int size, char *ret_bytes)
{
    random_bytes(ret_bytes, (size_t)size);
    return size;
}

static int on_sleep(sqlite3_vfs *vfs, int us)
{
    struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L};

    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
    return us;
}

#define UNIX_EPOCH_MS INT64_C(210866760000000) /* in milliseconds of the Julian day */

static int on_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms)
{
    *ret_ms = UNIX_EPOCH_MS + clock_wall_ms();
    return SQLITE_OK;
}

static int on_time(sqlite3_vfs *vfs, double *ret_days)
{
    *ret_days = (double)(UNIX_EPOCH_MS + clock_wall_ms()) / 86400000.0;
    return SQLITE_OK;
}

static int on_last_error(sqlite3_vfs *vfs, int size, char *ret_message)
{
    return vfs_marks.last_errno;
}

static sqlite3_vfs vfs_rookery = {
    .iVersion = 2,
    .szOsFile = sizeof(struct vfs_file),
    .mxPathname = PATH_MAX_BYTES,
    .zName = VFS_NAME,
    .xOpen = on_open,
    .xDelete = on_delete,
    .xAccess = on_access,
    .xFullPathname = on_full_pathname,
    .xDlOpen = on_dl_open,
    .xDlError = on_dl_error,
    .xDlSym = on_dl_sym,
    .xDlClose = on_dl_close,
    .xRandomness = on_randomness,
    .xSleep = on_sleep,
    .xCurrentTime = on_time,
    .xGetLastError = on_last_error,
    .xCurrentTimeInt64 = on_time_ms,
};

static pthread_once_t register_once = PTHREAD_ONCE_INIT;
static int register_result;

static void register_vfs(void)
{
    register_result = sqlite3_vfs_register(&vfs_rookery, 0);
}

int vfs_register(struct err *ret_err)
{
    (void)pthread_once(&register_once, register_vfs);
    if (register_result != SQLITE_OK)
        return err_set(ret_err, ERR_BUG, "the VFS cannot be registered (code %d)", register_result);
    return 0;
}

/* ------------------------------------------------------------------ thread marks */

struct vfs_head *vfs_enter(struct vfs_head *head)
{
    struct vfs_head *before = vfs_marks.head;

    vfs_marks.head = head;
    return before;
}

void vfs_commit_section(bool inside)
{
    vfs_marks.commit = inside;
}

void vfs_checkpoint_section(bool inside)
{
    vfs_marks.checkpoint = inside;
}

void vfs_nowait(bool on)
{
    vfs_marks.nowait = on;
}

bool vfs_would_block(void)
{
    bool would_block = vfs_marks.would_block;

    vfs_marks.would_block = false;
    return would_block;
}
