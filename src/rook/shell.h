/* `rook db shell`: SQL and dot commands from a terminal or a script, one request per statement.
 *
 * A statement that is not finished waits in `pending`. From BEGIN to COMMIT statements wait in
 * `held` and go out as one batch: over HTTP no session holds a transaction open between requests.
 *
 *            BEGIN                     COMMIT: sent, ROLLBACK: dropped, SQL_BATCH_MAX: refused
 *   DIRECT ─────────► COLLECTING ──────────────────────────────────────────────► DIRECT
 *
 * Threads: main. */
#ifndef SRC_ROOK_SHELL_H
#define SRC_ROOK_SHELL_H

#include "src/rook/edit.h"
#include "src/rook/sqlcall.h"

#define SHELL_READ_DEPTH_MAX 16 /* .read inside .read */

struct shell {
    struct client *client; /* borrowed */
    struct target target;
    struct edit *edit; /* owned; NULL: a script */
    bool keep_going;
    bool timer;
    bool quit;    /* .quit */
    bool stopped; /* a script's error: its other lines are not run */
    int status;   /* of the first error */
    unsigned depth;

    struct buf pending;
    unsigned line;         /* of the input, the one being read */
    unsigned pending_line; /* where `pending` begins */

    bool collecting;
    struct statement held[SQL_BATCH_MAX]; /* their texts are owned */
    size_t held_count;

    struct buf names; /* for completion, each ended by NUL; empty: ask the server */
    FILE *output;     /* owned: the file of .output; NULL: stdout */
};

/* Runs until the end of input, .quit, or a script's first error; returns the exit status. */
int shell_run(struct shell *shell);

/* Runs the lines of `in` (.read, scripts). */
void shell_run_file(struct shell *shell, FILE *in);

/* Runs SQL of the shell's own, with text parameters (NULL-terminated). 0, or the status. */
int shell_ask(struct shell *shell, const char *sql, struct answer *ret_answer, ...)
    __attribute__((sentinel)) MUST_CHECK;

/* Notes that something went wrong: a script stops. */
void shell_failed(struct shell *shell, int status);

/* shell_dot.c: a line that begins with a dot. */
void shell_dot(struct shell *shell, const char *line);
/* shell_dot.c: adds the dot commands that begin with `word`. */
void shell_dot_names(struct str word, struct buf *names);
/* shell_connect.c: .connect [CLIENT]; `name` NULL lists them */
int shell_connect(struct shell *shell, const char *name);
/* shell_import.c: .import [--skip N] FILE TABLE */
int shell_import(struct shell *shell, const char *path, const char *table, size_t skip);
/* shell_names.c: the callback of edit.h; `user` is the shell. */
void shell_complete(void *user, struct str word, struct buf *names);

/* Tables and views a user made: not SQLite's, the server's, or those behind virtual tables. A
 * condition on sqlite_schema AS m. */
#define SHELL_USERS_OWN                                                                            \
    "m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND m.name NOT LIKE '\\_rookery\\_%' ESCAPE '\\' "   \
    "AND m.name NOT LIKE '\\_persql\\_%' ESCAPE '\\' AND NOT EXISTS (SELECT 1 FROM sqlite_schema " \
    "AS v WHERE v.sql LIKE 'create virtual table%' AND substr(m.tbl_name, 1, length(v.name) + 1) " \
    "= v.name || '_' AND substr(m.tbl_name, length(v.name) + 2) IN ('data', 'idx', 'content', "    \
    "'docsize', 'config', 'node', 'parent', 'rowid', 'segments', 'segdir', 'stat'))"

#endif
