/* What one compiled statement touches by name, kept beside it and checked at every execution
 * against the principal of that moment: a cached statement is shared by all tokens of a database.
 *
 * Table scope. A token's scope lists the tables and views it may name. What a statement reaches
 * through a view, a trigger, a foreign key or a virtual table's own SQL is not named by it: it is
 * allowed when the view, the table with the trigger or the virtual table is in scope. So a view is
 * a window that an administrator can open for a token. For that to hold, a token with a scope
 * changes no schema and makes no temporary objects, and names that a statement gives to its own
 * common table expressions are never taken for views (SQLite tells them alike).
 *
 * SQLite does not tell of columns joined by USING or NATURAL: for a token with a scope, such a text
 * must name no table outside it at all.
 *
 * Thread: whoever runs the lane. */
#ifndef TENANTS_ACCESS_H
#define TENANTS_ACCESS_H

#include "tenants/guard.h"

struct sqlite3;

enum access_flag {
    ACCESS_WRITES = 1,       /* needs CAP_WRITE, and not read_only */
    ACCESS_DDL = 2,          /* needs CAP_DDL */
    ACCESS_STATEFUL = 4,     /* makes temporary objects or lasting settings: not when stateless */
    ACCESS_PRAGMA = 8,       /* a pragma: never on loops, never cached */
    ACCESS_TRANSACTION = 16, /* BEGIN, COMMIT, SAVEPOINT … */
    ACCESS_ALONE = 32,       /* a pragma that must run outside groups */
    ACCESS_SETS = 64,        /* a pragma that sets something until the end of the request */
    ACCESS_UNSCOPED = 128,   /* tells of tables it does not name: not for a token with a scope */
};

#define ACCESS_NAMES_MAX 512 /* over it: ACCESS_UNSCOPED */

struct access_set {
    unsigned flags;   /* enum access_flag */
    unsigned changes; /* grows with every name or flag added: a step that compiled anew shows */
    unsigned count;
    uint32_t used_bytes;
    uint32_t capacity_bytes;
    char *names;             /* owned: `count` names, each ended by NUL, without repeats */
    struct access_set *vias; /* owned, NULL: names through which it reaches things, and which the
                                text has too: views it may name, though SQLite tells of none of
                                their columns */
    uint64_t passed_serial;  /* the principal that last passed, 0: none (principal->serial) */
    uint8_t passed_as;       /* with which context flags */
};

struct access_set *access_new(void);
void access_free(struct access_set *set); /* NULL is fine */
size_t access_bytes(const struct access_set *set);

/* Adds a name unless it is there. */
void access_add(struct access_set *set, const char *name);
/* Notes an event of the authorizer. */
void access_note(struct access_set *set, const struct guard_event *event);
void access_flag(struct access_set *set, unsigned flags);

/* Judges one event for the context's principal (may be NULL: only the context's flags count), while
 * the statement is compiled or runs. -1: ERR_ROLE_FORBIDS or ERR_TABLE_SCOPE. */
int access_judge(const struct guard_event *event, const struct connection_context *context,
    bool is_explain, struct err *ret_err) MUST_CHECK;
/* Judges the whole set, for a statement about to run. Cheap when the same principal passed last.
 * `db` is asked for its tables only for a token with a scope, when the text does not settle it; the
 * caller has set the engine flag for that. Errors: as above, and sql_err_set()'s. */
int access_check(struct access_set *set, struct str sql, struct sqlite3 *db,
    const struct connection_context *context, struct err *ret_err) MUST_CHECK;

#endif
