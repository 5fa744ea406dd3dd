/* What a database should hold: a history of numbered transactions over a small table, and which of
 * them were acknowledged.
 *
 * Transaction n writes n to `meta` and to each row it touches, so that the state after each n is
 * known: what is read must be the state after exactly one n, no less than what was acknowledged. */
#ifndef TESTS_CRASH_LEDGER_H
#define TESTS_CRASH_LEDGER_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_KEYS 96
#define LEDGER_NUMBERS 100000 /* transactions of one run, at most */

struct ledger_write {
    uint32_t number;
    bool deleted;
};

struct ledger_key {
    struct ledger_write *writes; /* owned, by number */
    size_t count, capacity;
};

struct ledger {
    uint32_t started; /* the transaction that runs, or ran last */
    uint32_t tried;   /* the last one whose COMMIT began */
    uint32_t acknowledged;
    struct ledger_key keys[LEDGER_KEYS];
    size_t undo[LEDGER_KEYS]; /* counts before the transaction that runs */
};

void ledger_init(struct ledger *ledger);
void ledger_fini(struct ledger *ledger);

/* Makes the tables: transaction 1. SQLite's code, as all that write. */
int ledger_create(struct ledger *ledger, sqlite3 *db);
/* A transaction of `groups` requests, each in a savepoint, some of which are undone. Returns before
 * COMMIT. Touches `rows` rows in all; large ones when `large`. */
int ledger_begin(
    struct ledger *ledger, sqlite3 *db, int groups, int rows, bool large, uint64_t *random);
int ledger_commit(struct ledger *ledger, sqlite3 *db);
/* Undoes what ledger_begin() noted; the database's rollback is the caller's. */
void ledger_undo(struct ledger *ledger);
void ledger_acknowledge(struct ledger *ledger, uint32_t number);

/* Reads everything and compares. `low` is what must be there, `high` the last that may be. The
 * number found goes to *ret_number. False with a reason in `why`. */
bool ledger_check(const struct ledger *ledger, sqlite3 *db, uint32_t low, uint32_t high,
    uint32_t *ret_number, char *why, size_t why_size);

/* db: the first column of the first row as text, or the error. */
void ledger_text(sqlite3 *db, const char *sql, char *out, size_t size);

#endif
