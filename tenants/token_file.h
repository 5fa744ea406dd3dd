/* A file that holds one token and is nobody else's: data/operator.token. Main thread. */
#ifndef TENANTS_TOKEN_FILE_H
#define TENANTS_TOKEN_FILE_H

#include "tenants/base/err.h"
#include "tenants/token.h"

/* Replaces `path` whole: a new file (0600, O_EXCL) beside it, synced, renamed, folder synced.
 * Errors: ERR_IO. */
int token_file_write(const char *path, const char *token, struct err *ret_err) MUST_CHECK;
/* The first line, without blanks around it. Errors: ERR_NOT_FOUND; ERR_BAD_REQUEST not one line
 * with something like a token; ERR_IO. `out` has TOKEN_TEXT_BYTES. */
int token_file_read(const char *path, char *out, struct err *ret_err) MUST_CHECK;

#endif
