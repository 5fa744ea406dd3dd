/* SQLite's memory, charged to accounts: SQLITE_CONFIG_MALLOC is ours.
 *
 * Each allocation has a 16-byte header naming its account and size. The thread that runs a lane
 * enters the database's account; what SQLite allocates meanwhile is charged there and refused over
 * the limit (SQLITE_NOMEM, which ends even a hostile prepare). Freeing refunds from any thread.
 * An account lives until its last byte is refunded (counted by its bytes and its owner). */
#ifndef TENANTS_ACCOUNT_H
#define TENANTS_ACCOUNT_H

#include "tenants/base/err.h"

struct account;

/* Lookaside of each connection: small slots that spare malloc, 10 KB taken from the account when
 * the connection opens. Measured: steps as fast as with SQLite's 48 KB, prepare within 10 %;
 * without any, prepare takes 1.4 times as long. */
#define ACCOUNT_LOOKASIDE_BYTES 512
#define ACCOUNT_LOOKASIDE_COUNT 20

/* Sets SQLITE_CONFIG_MALLOC, MEMSTATUS off, PAGECACHE(NULL,0,0), which also means PCACHE_INITSZ 0,
 * and lookaside sizes; before sqlite3_initialize(). Once per process; later calls do nothing.
 * Errors: ERR_BUG SQLite was in use already. Any thread. */
int account_install(struct err *ret_err) MUST_CHECK;

/* A limit of 0 means none. Any thread. */
struct account *account_new(uint64_t limit_bytes) MUST_CHECK;
/* The owner lets go (NULL is fine); freed with its last byte. No thread may have it entered. */
void account_release(struct account *account);
/* Makes `account` (may be NULL) the one that this thread's allocations are charged to; returns the
 * one before, to be put back. With NULL, memory is counted in the total but has no limit. What was
 * allocated in an account and is reallocated or freed elsewhere stays that account's. */
struct account *account_enter(struct account *account);
/* Bytes held now, headers included. Any thread, for this and the following. */
uint64_t account_used(const struct account *account);
uint64_t account_peak(const struct account *account);
void account_reset_peak(struct account *account);
void account_set_limit(struct account *account, uint64_t limit_bytes);
uint64_t account_limit(const struct account *account);
/* True when an allocation of this thread was refused since its last call: tells a budget from a
 * machine without memory. Clears the mark. */
bool account_was_refused(void);
/* Compiling hostile SQL takes time between SQLite's looks at its progress handler, but it allocates
 * all the while: with every 64th allocation of this thread the watch is looked at, and over one of
 * its limits allocations are refused. */
struct account_watch {
    uint64_t until_ns;            /* clock_now_ns(); 0: no watch */
    uint64_t cpu_ns;              /* of this thread's CPU time since the first look; 0: no limit */
    void (*look)(void *argument); /* called at each look, NULL: nothing; it may wait */
    void *argument;
};
/* Returns whether a limit of the watch before was reached. For sqlite3_prepare only. */
bool account_watch(struct account_watch watch);
/* Sum over all accounts and what was allocated in none. Takes a lock; O(accounts): for timers and
 * metrics, not for each request. */
uint64_t account_total(void);

#endif
