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

/* Sets SQLITE_CONFIG_MALLOC, PAGECACHE(NULL,0,0), PCACHE_INITSZ 0, and lookaside sizes; before
 * sqlite3_initialize(). Once per process; later calls do nothing. */
int account_install(struct err *ret_err) MUST_CHECK;

struct account *account_new(uint64_t limit_bytes);
/* The owner lets go; freed with its last byte. */
void account_release(struct account *account);
/* Makes `account` (may be NULL) the one that this thread's allocations are charged to; returns the
 * one before, to be put back. */
struct account *account_enter(struct account *account);
uint64_t account_used(const struct account *account);
uint64_t account_peak(const struct account *account);
void account_reset_peak(struct account *account);
void account_set_limit(struct account *account, uint64_t limit_bytes);
/* True when an allocation was refused since the last call: tells a budget from a machine without
 * memory. Clears the mark. */
bool account_was_refused(struct account *account);
/* Sum over all accounts. */
uint64_t account_total(void);

#endif
