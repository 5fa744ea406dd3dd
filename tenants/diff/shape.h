/* What a diff has to know of a table: columns that are stored, what tells its rows apart, its root.
 *
 * Rows are told apart by the declared primary key; by the rowid where that is an INTEGER PRIMARY
 * KEY or there is none. All texts are in the arena and end with a NUL. */
#ifndef TENANTS_DIFF_SHAPE_H
#define TENANTS_DIFF_SHAPE_H

#include "tenants/base/arena.h"
#include "tenants/base/buf.h"
#include "tenants/base/err.h"

struct sqlite3;
struct sqlite3_stmt;

enum shape_kind { SHAPE_TABLE, SHAPE_VIRTUAL, SHAPE_SHADOW };

struct shape_column {
    const char *name;
    const char *type;        /* as declared */
    const char *default_sql; /* NULL: none */
    const char *collation;   /* of a key's column, else NULL */
};

struct shape {
    const char *name;
    const char *sql;
    enum shape_kind kind;
    bool without_rowid;
    bool by_rowid;                /* the rowid is the key */
    uint32_t root;                /* 0: a virtual table */
    const char *rowid;            /* a name of the rowid; NULL: all are hidden, or there is none */
    const char *integer;          /* the INTEGER PRIMARY KEY's column; NULL: none */
    struct shape_column *columns; /* without generated ones, which follow from the others */
    uint32_t column_count;
    struct shape_column *keys; /* none when by_rowid */
    uint32_t key_count;
};

struct shapes {
    struct shape *items; /* in order of names */
    uint32_t count;
};

/* All tables of `main` but SQLite's own and the server's. */
int shapes_load(struct sqlite3 *db, struct arena *arena, struct shapes *ret_shapes,
    struct err *ret_err) MUST_CHECK;
/* NULL: there is none. Without case, as SQLite has it. */
const struct shape *shapes_find(const struct shapes *shapes, const char *name);
/* The place of a column, -1: it has none of that name. */
int shape_column(const struct shape *shape, const char *name);
/* Their rows are told apart by the same values. */
bool shape_same_key(const struct shape *a, const struct shape *b);

/* "name", quotes doubled. */
void put_name(struct buf *out, const char *name);
/* 'text', quotes doubled. */
void put_text(struct buf *out, const char *text);
/* Prepares what is in `sql` (a NUL is put behind it). NULL: *ret_err. */
struct sqlite3_stmt *prepare_buf(struct sqlite3 *db, struct buf *sql, struct err *ret_err)
    MUST_CHECK;
int run_buf(struct sqlite3 *db, struct buf *sql, struct err *ret_err) MUST_CHECK;

#endif
