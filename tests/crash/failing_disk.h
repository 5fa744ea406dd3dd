/* A disk on which the n-th call of one kind fails, once or from then on: vfs_io_hooks that pass on
 * all other calls, but for syncs, which are left out. One thread. */
#ifndef TESTS_CRASH_FAILING_DISK_H
#define TESTS_CRASH_FAILING_DISK_H

#include <stdbool.h>

#include "tenants/vfs_io.h"

enum call { OPEN, READ, WRITE, TRUNCATE, SYNC, SYNC_FOLDER, RENAME, UNLINK, MKDIR, RMDIR };

struct fault {
    enum call call;
    unsigned at; /* the n-th call fails; 0: none */
    bool stays;  /* and all after it */
    int error;
    unsigned calls; /* of that kind so far, while `at` is not 0 */
    bool hit;
};

/* Set by the test between runs. */
extern struct fault fault;
extern const struct vfs_io_hooks failing_disk;

#endif
