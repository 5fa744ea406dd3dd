/* Lines from a person at a terminal: libedit with a history file, Tab and Ctrl-C.
 *
 * Signals: while a line is read, Ctrl-C gives EDIT_INTERRUPTED, a new window size and waking up
 * from Ctrl-Z redraw the line. libedit's own signal handling is off: it would signal the whole
 * process group.
 *
 * Threads: main.   Limits: EDIT_HISTORY_MAX statements are remembered, in a file of mode 0600. */
#ifndef SRC_ROOK_EDIT_H
#define SRC_ROOK_EDIT_H

#include "tenants/base/buf.h"

#define EDIT_HISTORY_MAX 1000

struct edit;

enum edit_result {
    EDIT_LINE,
    EDIT_END, /* Ctrl-D, or the terminal is gone */
    EDIT_INTERRUPTED,
};

/* Adds to `names` what may follow `word` (each ended by a NUL byte). */
typedef void (*edit_complete_fn)(void *user, struct str word, struct buf *names);

/* `history_path` may be NULL: nothing is kept. Copies its arguments but `user`. */
struct edit *edit_new(const char *history_path, edit_complete_fn on_complete, void *user)
    MUST_CHECK;
void edit_free(struct edit *edit); /* NULL is fine */

/* Reads a line, without its end, into `out` (emptied first). */
enum edit_result edit_line(struct edit *edit, const char *prompt, struct buf *out);
/* Adds an entry to the history and its file. */
void edit_remember(struct edit *edit, const char *text);

#endif
