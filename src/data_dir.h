/* The data folder: made, checked, and locked so that no second server uses it. */
#ifndef SRC_DATA_DIR_H
#define SRC_DATA_DIR_H

#include "tenants/base/err.h"

/* Makes `path` (mode 0700, its parent must exist) if it is not there; a folder that holds other
 * things is refused, since all in it would become ours. Takes data/lock with flock
 * and writes our pid into it. *ret_fd holds the lock until it is closed or the process ends.
 * Errors: ERR_BUSY another server has it; ERR_FORBIDDEN no permission; ERR_QUOTA_EXCEEDED no space;
 * ERR_IO. Main thread. */
int data_dir_open(const char *path, int *ret_fd, struct err *ret_err) MUST_CHECK;
/* Writes a secret to a file of mode 0600, replacing what was there, and syncs it. */
int data_dir_write_secret(const char *path, const char *text, struct err *ret_err) MUST_CHECK;

#endif
