#include "tenants/account.h"

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "tenants/base/clock.h"
#include "tenants/base/list.h"
#include "tenants/base/mem.h"
#include "tenants/base/thread.h"

/* Model: `held` counts the bytes charged, plus OWNER while the owner holds the account. Whoever
 * brings it to zero frees the account. There is no process-wide counter to add to: one cache line
 * written by every allocation of every thread is what makes SQLite's own MEMSTATUS slow; the total
 * is the sum over the list of accounts, taken when somebody asks. */
#define OWNER (UINT64_C(1) << 63)

struct account {
    _Atomic uint64_t held;
    _Atomic uint64_t limit_bytes;
    _Atomic uint64_t peak_bytes;
    struct list link; /* in `accounts`, under accounts_lock */
};

struct block {
    struct account *account; /* counted by its bytes */
    uint64_t size;           /* usable bytes after this header */
};
static_assert(sizeof(struct block) == 16, "SQLite wants 8-byte alignment, we keep malloc's 16");

static struct account everyone = {.held = OWNER, .limit_bytes = UINT64_MAX >> 1};
static struct list accounts = {&accounts, &accounts};
static struct mutex accounts_lock = {.native = PTHREAD_MUTEX_INITIALIZER};
static __thread struct account *current;
static __thread bool refused; /* since account_was_refused() of this thread */

/* The watch is looked at with every WATCH_ALLOCATIONS-th allocation. */
#define WATCH_ALLOCATIONS 64
static __thread struct {
    struct account_watch watch;
    uint64_t cpu_until_ns; /* 0: no look yet */
    unsigned allocations;
    bool over;
} watched;

/* ------------------------------------------------------------------ charging */

static void note_peak(struct account *account, uint64_t used)
{
    uint64_t peak = atomic_load_explicit(&account->peak_bytes, memory_order_relaxed);

    while (used > peak && !atomic_compare_exchange_weak_explicit(&account->peak_bytes, &peak, used,
                              memory_order_relaxed, memory_order_relaxed))
        ;
}

static void account_destroy(struct account *account)
{
    mutex_lock(&accounts_lock);
    list_remove(&account->link);
    mutex_unlock(&accounts_lock);
    mem_free(account);
}

static void refund(struct account *account, uint64_t bytes)
{
    uint64_t before = atomic_fetch_sub_explicit(&account->held, bytes, memory_order_acq_rel);

    if (unlikely(before == bytes))
        account_destroy(account);
}

static bool charge(struct account *account, uint64_t bytes)
{
    uint64_t before = atomic_fetch_add_explicit(&account->held, bytes, memory_order_relaxed);
    uint64_t used = (before & ~OWNER) + bytes;

    if (unlikely(used > atomic_load_explicit(&account->limit_bytes, memory_order_relaxed))) {
        refused = true;
        refund(account, bytes);
        return false;
    }
    if (used > atomic_load_explicit(&account->peak_bytes, memory_order_relaxed))
        note_peak(account, used);
    return true;
}

bool account_watch(struct account_watch watch)
{
    bool over = watched.over;

    watched.watch = watch;
    watched.cpu_until_ns = 0;
    watched.allocations = 0;
    watched.over = false;
    return over;
}

static bool over_cpu_limit(void)
{
    uint64_t now = clock_thread_cpu_ns();

    if (watched.cpu_until_ns == 0)
        watched.cpu_until_ns = now + watched.watch.cpu_ns;
    return now > watched.cpu_until_ns;
}

static bool look(void)
{
    if (watched.watch.look != NULL)
        watched.watch.look(watched.watch.argument);
    return clock_now_ns() > watched.watch.until_ns ||
           (watched.watch.cpu_ns != 0 && over_cpu_limit());
}

static bool in_time(void)
{
    if (likely(watched.watch.until_ns == 0))
        return true;
    if (!watched.over && ++watched.allocations % WATCH_ALLOCATIONS == 0)
        watched.over = look();
    return !watched.over;
}

/* ------------------------------------------------------------------ sqlite3_mem_methods */

static struct block *block_of(void *memory)
{
    return (struct block *)memory - 1;
}

static int round_up(int size)
{
    return (size + 7) & ~7;
}

static void *on_malloc(int size)
{
    struct account *account = current != NULL ? current : &everyone;
    uint64_t bytes = (uint64_t)round_up(size);
    struct block *block;

    if (!in_time() || !charge(account, bytes + sizeof(*block)))
        return NULL;
    block = mem_try_alloc((size_t)bytes + sizeof(*block));
    if (unlikely(block == NULL)) {
        refund(account, bytes + sizeof(*block));
        return NULL;
    }
    block->account = account;
    block->size = bytes;
    return block + 1;
}

static void on_free(void *memory)
{
    struct block *block;
    struct account *account;
    uint64_t bytes;

    if (memory == NULL)
        return;
    block = block_of(memory);
    account = block->account;
    bytes = block->size + sizeof(*block);
    mem_free(block);
    refund(account, bytes);
}

/* The account that was charged stays charged, whoever runs now. */
static void *on_realloc(void *memory, int size)
{
    struct block *block = block_of(memory);
    struct block *moved;
    struct account *account = block->account;
    uint64_t before = block->size;
    uint64_t bytes = (uint64_t)round_up(size);

    if (bytes > before && (!in_time() || !charge(account, bytes - before)))
        return NULL;
    moved = mem_try_realloc(block, (size_t)bytes + sizeof(*block));
    if (unlikely(moved == NULL)) {
        if (bytes > before)
            refund(account, bytes - before);
        return NULL;
    }
    moved->size = bytes;
    if (bytes < before)
        refund(account, before - bytes);
    return moved + 1;
}

static int on_size(void *memory)
{
    return memory == NULL ? 0 : (int)block_of(memory)->size;
}

static int on_init(void *unused)
{
    return SQLITE_OK;
}

static void on_shutdown(void *unused)
{
}

static sqlite3_mem_methods methods = {
    .xMalloc = on_malloc,
    .xFree = on_free,
    .xRealloc = on_realloc,
    .xSize = on_size,
    .xRoundup = round_up,
    .xInit = on_init,
    .xShutdown = on_shutdown,
};

static pthread_once_t install_once = PTHREAD_ONCE_INIT;
static int install_result;

static void install(void)
{
    install_result = sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    if (install_result == SQLITE_OK)
        install_result = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (install_result == SQLITE_OK) /* no bulk slab per page cache either: PCACHE_INITSZ 0 */
        install_result = sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
    if (install_result == SQLITE_OK)
        install_result = sqlite3_config(
            SQLITE_CONFIG_LOOKASIDE, ACCOUNT_LOOKASIDE_BYTES, ACCOUNT_LOOKASIDE_COUNT);
}

int account_install(struct err *ret_err)
{
    (void)pthread_once(&install_once, install);
    if (install_result != SQLITE_OK)
        return err_set(ret_err, ERR_BUG,
            "SQLite's memory cannot be configured: it is in use already (code %d)", install_result);
    return 0;
}

/* ------------------------------------------------------------------ accounts */

struct account *account_new(uint64_t limit_bytes)
{
    struct account *account = mem_zalloc(sizeof(*account));

    atomic_init(&account->held, OWNER);
    account_set_limit(account, limit_bytes);
    mutex_lock(&accounts_lock);
    list_append(&accounts, &account->link);
    mutex_unlock(&accounts_lock);
    return account;
}

void account_release(struct account *account)
{
    if (account != NULL)
        refund(account, OWNER);
}

struct account *account_enter(struct account *account)
{
    struct account *before = current;

    current = account;
    return before;
}

uint64_t account_used(const struct account *account)
{
    return atomic_load_explicit(&account->held, memory_order_relaxed) & ~OWNER;
}

uint64_t account_peak(const struct account *account)
{
    return atomic_load_explicit(&account->peak_bytes, memory_order_relaxed);
}

void account_reset_peak(struct account *account)
{
    atomic_store_explicit(&account->peak_bytes, account_used(account), memory_order_relaxed);
}

void account_set_limit(struct account *account, uint64_t limit_bytes)
{
    if (limit_bytes == 0 || limit_bytes > everyone.limit_bytes)
        limit_bytes = everyone.limit_bytes;
    atomic_store_explicit(&account->limit_bytes, limit_bytes, memory_order_relaxed);
}

uint64_t account_limit(const struct account *account)
{
    return atomic_load_explicit(&account->limit_bytes, memory_order_relaxed);
}

bool account_was_refused(void)
{
    bool was = refused;

    refused = false;
    return was;
}

uint64_t account_total(void)
{
    uint64_t total = account_used(&everyone);

    mutex_lock(&accounts_lock);
    LIST_FOREACH(it, &accounts)
    total += account_used(LIST_ENTRY(it, struct account, link));
    mutex_unlock(&accounts_lock);
    return total;
}
