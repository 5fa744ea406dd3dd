/* Text from a stranger's database on somebody's terminal: what is safe to print, and how many
 * columns it takes there.
 *
 * Whatever could move the cursor, change colours or hide text is shown as an escape (\n, \t, \x1b,
 * \u200e), bytes that are not UTF-8 as \xNN. Widths come from libc's table for UTF-8.
 *
 * Threads: main.   Limits: none. */
#ifndef SRC_ROOK_TEXT_H
#define SRC_ROOK_TEXT_H

#include "tenants/base/buf.h"

/* Chooses the character set. Call once, before the others. True when the terminal is UTF-8. */
bool text_init(void);

/* Length in bytes of the character at `at` (< text.len), and its code point; -1 for a byte that
 * begins no valid character (length 1). */
size_t text_char(struct str text, size_t at, int32_t *ret_code_point);

/* Columns of one code point: 0 for combining ones, 2 for wide ones; -1 where it must be escaped. */
int text_char_columns(int32_t code_point);

enum text_keep {
    TEXT_ONE_LINE,   /* line breaks and tabs are escaped too */
    TEXT_KEEP_LINES, /* line breaks and tabs stay */
};

/* Appends `text`, safe to print; returns the columns it takes (of the last line, if it keeps
 * lines). */
size_t text_escape(struct buf *out, struct str text, enum text_keep keep);

#endif
