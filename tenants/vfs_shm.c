/* The wal-index: memory of this process, shared by the head's connections, and its eight locks.
 *
 * All eight lock slots are one atomic word, so that taking several at once is one step, and the
 * lock pair of a read transaction costs two uncontended atomics. BUSY is answered at once.
 *
 * Regions are anonymous mappings: a page that was never touched costs nothing (an open database
 * that only reads has one page of its index), and what an emptied WAL leaves behind can be given
 * back to the system without moving anything (vfs_shm_trim). They are freed when the last
 * connection unmaps. They are in no account: their refusal would hit a commit half way, and their
 * size follows the WAL's (32 KB per 4,096 frames), which is bounded. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "tenants/base/check.h"
#include "tenants/base/mem.h"
#include "tenants/vfs_internal.h"

#define SLOT_BITS 8
#define SLOT_EXCLUSIVE UINT64_C(0xff)
#define SLOT_SHARED_MAX UINT64_C(0xfe) /* readers of one slot; one more is told BUSY */
#define SLOT_WRITE 0
#define SLOT_CHECKPOINT 1
#define REGION_BYTES 32768
#define SYSTEM_PAGE 4096 /* what is kept by a trim: SQLite's header, and its first entries */

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

static int add_region(struct vfs_shm *shm)
{
    void *memory =
        mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void **regions;

    if (memory == MAP_FAILED)
        return SQLITE_NOMEM;
    regions = mem_try_realloc(shm->regions, (shm->region_count + 1) * sizeof(*regions));
    if (regions == NULL) {
        (void)munmap(memory, REGION_BYTES);
        return SQLITE_NOMEM;
    }
    regions[shm->region_count++] = memory;
    shm->regions = regions;
    if (shm->region_count == 1)
        atomic_store(&shm->header, memory);
    return SQLITE_OK;
}

int vfs_shm_map(sqlite3_file *handle, int region, int size, int extend, void volatile **ret_memory)
{
    struct vfs_file *file = (struct vfs_file *)handle;
    struct vfs_head *head = file->head;
    int rc = SQLITE_OK;

    *ret_memory = NULL;
    if (size != REGION_BYTES || region < 0)
        return SQLITE_IOERR_SHMMAP;
    mutex_lock(&head->lock);
    if (!file->main.shm_mapped) {
        file->main.shm_mapped = true;
        head->shm.users++;
    }
    while (extend != 0 && rc == SQLITE_OK && head->shm.region_count <= (unsigned)region)
        rc = add_region(&head->shm);
    if (rc == SQLITE_OK && (unsigned)region < head->shm.region_count)
        *ret_memory = head->shm.regions[region];
    mutex_unlock(&head->lock);
    return rc;
}

/* ------------------------------------------------------------------ locks */

static uint64_t slots_of(int offset, int count)
{
    uint64_t all = count >= 8 ? UINT64_MAX : (UINT64_C(1) << (SLOT_BITS * count)) - 1;

    return all << (SLOT_BITS * offset);
}

static int lock_shared(struct vfs_shm *shm, int slot)
{
    uint64_t now = atomic_load_explicit(&shm->locks, memory_order_relaxed);
    int shift = SLOT_BITS * slot;

    do {
        if (((now >> shift) & SLOT_EXCLUSIVE) >= SLOT_SHARED_MAX)
            return SQLITE_BUSY;
    } while (!atomic_compare_exchange_weak_explicit(&shm->locks, &now, now + (UINT64_C(1) << shift),
        memory_order_acq_rel, memory_order_relaxed));
    return SQLITE_OK;
}

static int lock_exclusive(struct vfs_shm *shm, uint64_t slots)
{
    uint64_t now = atomic_load_explicit(&shm->locks, memory_order_relaxed);

    do {
        if ((now & slots) != 0)
            return SQLITE_BUSY;
    } while (!atomic_compare_exchange_weak_explicit(
        &shm->locks, &now, now | slots, memory_order_acq_rel, memory_order_relaxed));
    return SQLITE_OK;
}

static uint64_t header_word(const struct vfs_shm *shm, unsigned i)
{
    const uint64_t *header = atomic_load_explicit(&shm->header, memory_order_relaxed);

    return __atomic_load_n(&header[i], __ATOMIC_RELAXED);
}

/* A read transaction begins. SQLite has read the header before it took this lock, and looks after
 * it whether the header is still that one: if not, it lets go and starts again. So what is here
 * now is what it will have seen. */
static void note_snapshot(struct vfs_file *file)
{
    for (unsigned i = 0; i < VFS_SHM_HEADER_WORDS; i++)
        file->main.snapshot[i] = header_word(&file->head->shm, i);
}

bool vfs_snapshot_is_old(sqlite3 *db)
{
    struct vfs_file *file = NULL;
    bool is_old = false;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        file == NULL || file->head == NULL || file->main.shm_shared == 0)
        return false;
    for (unsigned i = 0; i < VFS_SHM_HEADER_WORDS; i++)
        is_old = is_old || file->main.snapshot[i] != header_word(&file->head->shm, i);
    return is_old;
}

static void unlock_shared(struct vfs_file *file, int slot)
{
    atomic_fetch_sub_explicit(
        &file->head->shm.locks, UINT64_C(1) << (SLOT_BITS * slot), memory_order_acq_rel);
    file->main.shm_shared = (uint8_t)(file->main.shm_shared & ~(1U << slot));
}

static void unlock_exclusive(struct vfs_file *file, int offset, int count, unsigned mask)
{
    struct vfs_head *head = file->head;

    atomic_fetch_and_explicit(&head->shm.locks, ~slots_of(offset, count), memory_order_acq_rel);
    file->main.shm_exclusive = (uint8_t)(file->main.shm_exclusive & ~mask);
    if ((mask & (1U << SLOT_WRITE)) != 0 && head->events.on_unlock != NULL)
        head->events.on_unlock(head->context);
}

int vfs_shm_lock(sqlite3_file *handle, int offset, int count, int flags)
{
    struct vfs_file *file = (struct vfs_file *)handle;
    struct vfs_shm *shm = &file->head->shm;
    unsigned mask = ((1U << count) - 1) << offset;
    int rc = SQLITE_OK;

    if (offset < 0 || count < 1 || offset + count > SQLITE_SHM_NLOCK)
        return SQLITE_IOERR_SHMLOCK;
    switch (flags) {
    case SQLITE_SHM_LOCK | SQLITE_SHM_SHARED:
        if ((file->main.shm_shared & mask) != 0)
            return SQLITE_OK;
        rc = lock_shared(shm, offset);
        if (rc == SQLITE_OK) {
            file->main.shm_shared = (uint8_t)(file->main.shm_shared | mask);
            note_snapshot(file);
        }
        return rc;
    case SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE:
        rc = lock_exclusive(shm, slots_of(offset, count));
        if (rc == SQLITE_OK)
            file->main.shm_exclusive = (uint8_t)(file->main.shm_exclusive | mask);
        return rc;
    case SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED:
        if ((file->main.shm_shared & mask) != 0)
            unlock_shared(file, offset);
        vfs_pages_idle(&file->head->pages, &file->main.held, false);
        return SQLITE_OK;
    case SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE:
        if ((file->main.shm_exclusive & mask) == mask)
            unlock_exclusive(file, offset, count, mask);
        return SQLITE_OK;
    default:
        return SQLITE_IOERR_SHMLOCK;
    }
}

void vfs_shm_barrier(sqlite3_file *handle)
{
#ifdef UNDER_TSAN /* does not know fences */
    struct vfs_file *file = (struct vfs_file *)handle;

    atomic_fetch_add(&file->head->shm.barrier, 1);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* SQLite's file format, "WAL-index format": isInit at 12, mxFrame at 16, nBackfill at 96, as this
 * machine's integers. */
#define INDEX_IS_INIT 12
#define INDEX_LAST_FRAME 16
#define INDEX_BACKFILLED 96

bool vfs_head_is_settled(struct vfs_head *head)
{
    uint32_t last = 0, backfilled = 0;
    bool mapped;

    mutex_lock(&head->lock);
    mapped = head->shm.region_count > 0 && ((char *)head->shm.regions[0])[INDEX_IS_INIT] != 0;
    if (mapped) {
        const char *index = head->shm.regions[0];

        memcpy(&last, index + INDEX_LAST_FRAME, sizeof(last));
        memcpy(&backfilled, index + INDEX_BACKFILLED, sizeof(backfilled));
    }
    mutex_unlock(&head->lock);
    return mapped ? last == backfilled : atomic_load(&head->wal_bytes) == 0;
}

bool vfs_shm_checkpointing(const struct vfs_head *head)
{
    uint64_t locks = atomic_load_explicit(&head->shm.locks, memory_order_relaxed);

    return ((locks >> (SLOT_BITS * SLOT_CHECKPOINT)) & SLOT_EXCLUSIVE) == SLOT_EXCLUSIVE;
}

/* ------------------------------------------------------------------ the end */

static void free_regions(struct vfs_shm *shm)
{
    for (unsigned i = 0; i < shm->region_count; i++)
        (void)munmap(shm->regions[i], REGION_BYTES);
    mem_free(shm->regions);
    atomic_store(&shm->header, NULL);
    shm->regions = NULL;
    shm->region_count = 0;
}

int vfs_shm_unmap(sqlite3_file *handle, int delete)
{
    struct vfs_file *file = (struct vfs_file *)handle;
    struct vfs_head *head = file->head;

    if (!file->main.shm_mapped)
        return SQLITE_OK;
    for (int slot = 0; slot < SQLITE_SHM_NLOCK; slot++) {
        unsigned mask = 1U << slot;

        if ((file->main.shm_shared & mask) != 0)
            unlock_shared(file, slot);
        if ((file->main.shm_exclusive & mask) != 0)
            unlock_exclusive(file, slot, 1, mask);
    }
    mutex_lock(&head->lock);
    file->main.shm_mapped = false;
    CHECK(head->shm.users > 0);
    if (--head->shm.users == 0)
        free_regions(&head->shm);
    mutex_unlock(&head->lock);
    return SQLITE_OK;
}

/* Called when SQLite truncates the WAL to nothing: in a TRUNCATE checkpoint, holding the locks of
 * writer, checkpoint and all read marks that name frames. No frame exists, nobody looks one up,
 * and SQLite clears each part of the index before its first new entry. */
void vfs_shm_trim(struct vfs_head *head)
{
    uint64_t needed = slots_of(SLOT_WRITE, 2) | slots_of(4, 4);

    if ((atomic_load(&head->shm.locks) & needed) != needed)
        return;
    mutex_lock(&head->lock);
    for (unsigned i = 0; i < head->shm.region_count; i++) {
        size_t keep = i == 0 ? SYSTEM_PAGE : 0;

        (void)madvise((char *)head->shm.regions[i] + keep, REGION_BYTES - keep, MADV_DONTNEED);
    }
    mutex_unlock(&head->lock);
}

uint64_t vfs_head_shm_bytes(const struct vfs_head *head)
{
    return (uint64_t)atomic_load(&head->shm.region_count) * REGION_BYTES;
}
