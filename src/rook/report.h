/* Errors as the user reads them, on stderr: what is wrong, where in the statement, what to do.
 *
 *     error: no such column: nmae
 *       2 | SELECT nmae FROM users
 *         |        ^~~~
 *     hint: did you mean name?
 *
 * With --json an error is one line of JSON instead: {"success":false,"error":…,"code":…}.
 *
 * Threads: main. */
#ifndef SRC_ROOK_REPORT_H
#define SRC_ROOK_REPORT_H

#include "src/rook/json.h"

/* Exit statuses; `rook --help` and the manual list them. */
enum exit_status {
    EXIT_OK = 0,
    EXIT_REFUSED = 1,     /* the server said no: an SQL error, an unknown name, a limit */
    EXIT_USAGE = 2,       /* the command line is wrong */
    EXIT_UNREACHABLE = 3, /* no connection, or what answers is no Rookery server */
    EXIT_AUTH = 4,        /* no token, a bad one, or one without the right to this */
    EXIT_LOCAL = 5,       /* a local file could not be read or written */
};

/* A statement that was sent, for showing where it is wrong. */
struct statement {
    struct str sql;
    unsigned line; /* its first line in the script it comes from; 0: it comes from none */
};

/* Errors as JSON from now on. */
void report_as_json(void);

/* While muted nothing is printed; statuses are returned as ever. For calls that may fail, such as
 * those behind the Tab key. */
void report_mute(bool on);

/* Prints "rook: …" and returns `status`, so that `return report(…)` reads well. */
int report(enum exit_status status, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same for an error from below; the status follows from its code. */
int report_err(const struct err *err);
/* The same for an answer that is a refusal. `statements` are those that were sent (0: none): of
 * several, the answer's failedIndex says which one is shown. */
int report_refusal(const json_t *answer, int http_status, const char *request_id,
    long retry_after_s, const struct statement *statements, size_t count);

/* A line of talk on stderr that is no error. Nothing when `quiet`. */
void note(bool quiet, const char *format, ...) PRINTF_LIKE(2, 3);

/* Appends the line of `statement` that holds byte `offset`, and a caret under that place; no line
 * is longer than `columns` on the screen (at least 40). */
void report_place(
    struct buf *out, const struct statement *statement, size_t offset, size_t columns);

#endif
