/* Splits SQL text into statements without SQLite, for the shell and for scripts.
 *
 * It knows what can hide a semicolon: strings, quoted names, comments and the body of
 * CREATE TRIGGER … END. It does not parse SQL: whatever has its semicolon is a statement, right
 * or wrong, and the server judges it. The rules are those of sqlite3_complete().
 *
 * Threads: any; no state is kept.   Memory: none is allocated, results are places in the input.
 * Limits: none.   Cost: one pass over the bytes of the statement.
 */
#ifndef SRC_ROOK_SQLSCAN_H
#define SRC_ROOK_SQLSCAN_H

#include <stdbool.h>
#include <stddef.h>

enum sql_found {
    SQL_NOTHING,  /* only blanks, comments and stray semicolons up to the end */
    SQL_PARTIAL,  /* a statement begins and has no end yet */
    SQL_COMPLETE, /* a statement with its semicolon */
};

/* What a partial statement waits for; the shell's continuation prompt shows it. */
enum sql_open {
    SQL_OPEN_NONE,    /* only the semicolon is missing */
    SQL_OPEN_STRING,  /* '…  */
    SQL_OPEN_NAME,    /* "…, `… or [… */
    SQL_OPEN_COMMENT, /* a block comment */
    SQL_OPEN_TRIGGER, /* CREATE TRIGGER without its END; */
};

struct sql_piece {
    size_t start;       /* first byte that is no blank, comment or stray semicolon */
    size_t end;         /* past the semicolon, or the end of the input */
    enum sql_open open; /* of SQL_PARTIAL, and of SQL_NOTHING inside a comment */
};

/* Finds the first statement of `sql` at or after `from`. Fills `ret_piece` in every case (with
 * SQL_NOTHING both places are `len`). */
enum sql_found sql_next(const char *sql, size_t len, size_t from, struct sql_piece *ret_piece);

/* Kinds of statement that a client without a session must know. */
enum sql_kind {
    SQL_KIND_OTHER,
    SQL_KIND_BEGIN,    /* BEGIN … */
    SQL_KIND_COMMIT,   /* COMMIT, END */
    SQL_KIND_ROLLBACK, /* ROLLBACK, not ROLLBACK TO */
    SQL_KIND_SCHEMA,   /* CREATE, DROP, ALTER: names known for completion are stale */
};

enum sql_kind sql_kind_of(const char *sql, size_t len);

/* Writes `sql` on one line into `out` (at least len + 1 bytes), for the history: blanks and line
 * breaks become one blank, line comments go. False when that would change the statement's meaning
 * (a line break inside a string or a name); `out` is then unspecified. */
bool sql_flatten(const char *sql, size_t len, char *out);

#endif
