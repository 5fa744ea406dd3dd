/* Small files of the client: what it reads and the private ones it writes.
 *
 * Threads: main.   Limits: the buffer's. */
#ifndef SRC_ROOK_FILE_H
#define SRC_ROOK_FILE_H

#include "tenants/base/buf.h"
#include "tenants/base/err.h"

/* Appends the whole file, or stdin for "-". Errors: ERR_IO with the system's words, ERR_TOO_LARGE
 * over the buffer's limit. */
int file_read(const char *path, struct buf *out, struct err *ret_err) MUST_CHECK;

/* The same for a secret: a file that others may read, or that belongs to somebody else, is refused
 * (ERR_FORBIDDEN) with the command that mends it. ERR_NOT_FOUND when there is none. "-" is stdin.
 */
int file_read_private(const char *path, struct buf *out, struct err *ret_err) MUST_CHECK;

/* Replaces the file whole (a new one beside it, synced, renamed), mode 0600; its folder is made
 * with mode 0700 when missing. Errors: ERR_IO. */
int file_write_private(const char *path, struct str bytes, struct err *ret_err) MUST_CHECK;

/* Makes the folder of `path` and those above it, mode 0700. Errors: ERR_IO. */
int file_make_folder_of(const char *path, struct err *ret_err) MUST_CHECK;

/* The first line of a secret's file, stdin ("-") or the terminal (NULL: asked with `prompt`,
 * without echo), without blanks around it, into `out`. Errors: those of file_read_private,
 * ERR_BAD_REQUEST when it is empty or holds what no token holds, ERR_CANCELLED on Ctrl-C. */
int file_read_token(const char *path, const char *prompt, struct buf *out, struct err *ret_err)
    MUST_CHECK;

#endif
