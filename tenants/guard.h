/* What tenants' SQL may not do, whoever asks: the rules as data, and the judge of one authorizer
 * call. Rights of a principal (role, table scope) are in tenants/access.h; both are asked by the
 * one authorizer of each connection (tenants/connection.c).
 *
 * SQLite's authorizer is called for every object a statement touches while it is compiled, and
 * again when SQLite compiles it anew inside a step. It does not tell everything:
 *   - VACUUM makes no call: refused by its word, by LIMIT_ATTACHED 0 and by refusing its own
 * ATTACH;
 *   - new names in ALTER … RENAME TO, parents of foreign keys, bodies of views and triggers and
 *     arguments of virtual tables make no call when they are written: DDL whose text holds a
 *     reserved name is refused (guard_check_text);
 *   - columns joined by USING and NATURAL make no call: see guard_check_text and access.h;
 *   - virtual tables compile SQL of their own through the same authorizer, which looks like the
 *     tenant's: what the running text does not name is theirs (tenants/sql_text.h).
 *
 * Thread: whoever runs the lane; pure but for what it is given. */
#ifndef TENANTS_GUARD_H
#define TENANTS_GUARD_H

#include "tenants/connection.h"
#include "tenants/sql_text.h"

/* Looking for names costs the text's length each time, and a hostile statement makes many events:
 * when this is used up, everything counts as named by the text. */
#define GUARD_SCAN_BYTES (16 << 20)
struct guard_scan {
    size_t left_bytes;
    bool exhausted;
};

/* One call of the authorizer. */
struct guard_event {
    int action; /* SQLITE_READ, … */
    const char *first;
    const char *second;
    const char *database; /* main, temp, or NULL */
    const char *via;      /* the view, trigger or common table expression that did it, or NULL */
    struct str sql;       /* the tenant's statement being compiled or run; empty when none */
    struct guard_scan *scan;
};

/* sql_names() and sql_may_define() on the event's text, within its budget; true beyond it. */
bool guard_names(const struct guard_event *event, struct str name);
bool guard_may_define(const struct guard_event *event, struct str name);

enum guard_answer { GUARD_ALLOW, GUARD_DENY, GUARD_SKIP };

/* Judges one event under the context's `stateless`. GUARD_SKIP: leave this object out (ANALYZE and
 * REINDEX of everything). GUARD_DENY fills err (ERR_GUARD). */
enum guard_answer guard_check(
    const struct guard_event *event, const struct connection_context *context, struct err *ret_err);

/* Makes or drops an object of the schema; SQLite's own codes for temporary ones are others. */
bool guard_is_create_or_drop(int action);
/* Makes or drops a temporary object. SQLite's own codes for that miss `CREATE TABLE temp.x` and
 * `CREATE TRIGGER temp.x … ON main.y`. */
bool guard_is_temp(const struct guard_event *event);

/* Judges a statement's text before it is compiled: VACUUM, and reserved names in DDL and in joins
 * by USING or NATURAL. -1: ERR_GUARD. */
int guard_check_text(struct str sql, const struct sql_verb *verb, struct err *ret_err) MUST_CHECK;

/* _rookery_*, _persql_*. Without case. */
bool guard_is_reserved(struct str name);
/* Reserved names that tenants may read: virtual tables over engine data. */
bool guard_is_readable(struct str name);
/* Has the form of a shadow table's name: t_data for FTS5, t_node for R-tree, …. */
bool guard_may_be_shadow(struct str name);
/* json_each, pragma_…: tables that are no tables, unless somebody made one of that name. */
bool guard_is_builtin_table(struct str name);
/* Functions that take about as long as a comparison, whatever their arguments; only those may run
 * on a loop. */
bool guard_is_cheap_function(const char *name);

/* Pragmas. All others are refused. `PRAGMA x(y)` and `PRAGMA x=y` are the same to SQLite. */
enum pragma_flag {
    PRAGMA_GET = 1,      /* without an argument */
    PRAGMA_TABLE = 2,    /* with a table's name; without one too if PRAGMA_GET */
    PRAGMA_INDEX = 4,    /* with an index's name */
    PRAGMA_ANY = 8,      /* with any argument, still only reading */
    PRAGMA_SET = 16,     /* may be set: writes the database */
    PRAGMA_REQUEST = 32, /* may be set: holds until the end of the request, or on its stream */
    PRAGMA_STREAM = 64,  /* may be set on streams only */
    PRAGMA_ALONE = 128,  /* setting or running it must happen outside groups */
    PRAGMA_DDL = 256,    /* needs the right to change the schema */
    PRAGMA_SCOPED = 512, /* tells of no table but the one named: fine for a token with a scope */
};
struct pragma_rule {
    const char *name;
    unsigned flags;
    const char *same; /* the one value that may be "set", because it changes nothing */
    const char *hint; /* said when refused */
};
const struct pragma_rule *guard_pragma(const char *name);
/* The whole list, ended by a NULL name: for documentation and tests. */
extern const struct pragma_rule guard_pragmas[];

/* Modules whose tables an imported file may have. */
extern const char *const guard_table_modules[];

/* Modules that CREATE VIRTUAL TABLE may use, and the table-valued functions of the same kind that
 * stay; ended by NULL. All others are dropped when a connection opens. */
extern const char *const guard_modules[];

#endif
