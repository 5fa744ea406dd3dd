/* The point where two stacks of a family part, as a database that can be read: what both had then.
 *
 * Their common layers, frozen ones, with an empty log of its own. Neither head is touched, and the
 * layers stay readable while this is open; but neither head may be deleted meanwhile: a fold could
 * then write into the base below. Not for a branch that began with a copy of its parent's log
 * (family_branch() with `with_log`): what was in it is on both sides, and not here.
 * Thread: a worker. */
#ifndef TENANTS_DIFF_FORK_H
#define TENANTS_DIFF_FORK_H

#include "tenants/base/err.h"

struct layer_stack;
struct sqlite3;
struct fork;

/* `temp_dir`: where a file is made and unlinked at once. Errors: ERR_BAD_REQUEST they have nothing
 * in common; ERR_IO, ERR_CORRUPT. */
int fork_open(struct layer_stack *a, struct layer_stack *b, const char *temp_dir,
    struct fork **ret_fork, struct err *ret_err) MUST_CHECK;
/* All statements on its connection are finalized. NULL is fine. */
void fork_close(struct fork *fork);
/* Read only. */
struct sqlite3 *fork_db(const struct fork *fork);
/* For page_set_add_stacks() with either of the two. */
struct layer_stack *fork_stack(const struct fork *fork);

#endif
