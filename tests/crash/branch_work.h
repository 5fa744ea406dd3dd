/* A workload of branches, snapshots, resets, folds and deletes, and what a family may hold after
 * each step: for power cuts and failing disks. One family, one thread. */
#ifndef TESTS_CRASH_BRANCH_WORK_H
#define TESTS_CRASH_BRANCH_WORK_H

#include "tests/lib/branches.h"

#define WORK_BRANCHES 5
#define WORK_SNAPSHOTS 3

/* What there is, by name. */
struct work_state {
    struct {
        bool live;
        char name[16];
        struct content content;
    } branches[WORK_BRANCHES], snapshots[WORK_SNAPSHOTS];
};

struct work {
    char data[120], family_id[ID_HEX_BYTES];
    struct family *family;
    struct branch branches[WORK_BRANCHES];
    struct work_state state;            /* after the last step that was done */
    struct work_state next;             /* what the step under way would make of it */
    bool unsettled;                     /* control: branches without a checkpoint */
    void (*in_checkpoint)(bool inside); /* NULL: nobody wants to know */
    int numbers;
    uint64_t *random;
    struct err err;
    char why[400];
};

/* Makes the family and opens it. False: a call failed. */
bool work_start(struct work *work);
/* One step. On success state is next. False: it failed; then `next` may be what is there if
 * work_is_unknown(), else `state` is. */
bool work_step(struct work *work);
/* The disk failed in a way that only opening anew can tell. */
bool work_is_unknown(const struct work *work);
void work_stop(struct work *work);

/* Opens the family in `data` and compares, writes into each branch, looks at all the others, folds,
 * and looks again. False with the reason in work->why. */
bool work_check(struct work *work, const char *data, const struct work_state *before,
    const struct work_state *after);

#endif
