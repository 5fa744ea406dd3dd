/* The disk fails at the n-th call while families branch, checkpoint, fold, reset and delete.
 *
 *     branchfaults [seed]
 *
 * As tests/crash/faults.c: one workload again and again, each time with one call of one kind
 * failing, once or from then on. A step that fails leaves things as they were (the workload goes on
 * with that), or, when only the disk can tell, as they were or as they were to be: then it ends, as
 * the actors would. Afterwards, on a good disk, the family opens, is that, and goes on. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/account.h"
#include "tenants/base/check.h"
#include "tenants/base/log.h"
#include "tenants/base/random.h"
#include "tests/crash/branch_work.h"
#include "tests/crash/failing_disk.h"
#include "tests/lib/scratch.h"
#include "tests/lib/tap.h"

#define STEPS 34
#define STRIDE_AFTER 60 /* every call up to this one, then some of them */

static struct work work;
static char scratch[80];
static uint64_t state;
static unsigned failed_steps, unknown_ends;

static bool one_run(uint64_t seed)
{
    struct work_state after;
    bool right, ends = false;

    state = seed;
    work.random = &state;
    CHECK(scratch_make(work.data, sizeof(work.data), scratch) == 0);
    CHECK(work_start(&work));
    fault.calls = 0;
    fault.hit = false;
    vfs_io_hooks = &failing_disk;
    for (int i = 0; i < STEPS && !ends; i++) {
        if (work_step(&work))
            continue;
        failed_steps++;
        ends = work_is_unknown(&work);
    }
    unknown_ends += ends;
    after = work.next;
    work_stop(&work);
    vfs_io_hooks = NULL;
    right = work_check(&work, work.data, &work.state, ends ? &after : NULL);
    (void)scratch_remove(work.data);
    return right;
}

/* How often a run without faults makes a call. */
static unsigned count_calls(enum call call, uint64_t seed)
{
    fault.call = call;
    fault.at = UINT_MAX;
    (void)one_run(seed);
    fault.at = 0;
    return fault.calls;
}

/* The next seed whose steps make every kind of call a few times. */
static uint64_t find_seed(uint64_t seed)
{
    while (count_calls(UNLINK, seed) < 4 || count_calls(TRUNCATE, seed) < 2 ||
           count_calls(RENAME, seed) < 4)
        seed += 2;
    return seed;
}

static void test_fault(const char *name, enum call call, int error, bool stays, uint64_t seed)
{
    unsigned n = 0, bad = 0, runs = 0;
    char first[600] = "";

    fault.call = call;
    fault.error = error;
    fault.stays = stays;
    do {
        n += n < STRIDE_AFTER ? 1 : 7;
        fault.at = n;
        runs++;
        if (!one_run(seed) && bad++ == 0)
            (void)snprintf(first, sizeof(first), "call %u: %s", n, work.why);
    } while (fault.hit && bad < 3);
    fault.at = 0;
    ok(bad == 0 && runs > 1, "%s, %s: %u runs %s", name, stays ? "from then on" : "once", runs,
        first);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        enum call call;
        int error;
    } faults[] = {
        {"open fails with EMFILE", OPEN, EMFILE},
        {"read fails with EIO", READ, EIO},
        {"write fails with EIO", WRITE, EIO},
        {"write fails with ENOSPC", WRITE, ENOSPC},
        {"fdatasync fails with EIO", SYNC, EIO},
        {"fsync of a folder fails with EIO", SYNC_FOLDER, EIO},
        {"rename fails with ENOSPC", RENAME, ENOSPC},
        {"unlink fails with EIO", UNLINK, EIO},
        {"truncate fails with EIO", TRUNCATE, EIO},
    };
    uint64_t seed = (argc > 1 ? strtoull(argv[1], NULL, 16) : random_u64()) | 1;
    struct err err = ERR_INIT;

    log_set_level(LOG_ERROR);
    if (scratch_make(scratch, sizeof(scratch), "/dev/shm") < 0)
        CHECK(scratch_make(scratch, sizeof(scratch), "/tmp") == 0);
    ok(account_install(&err) == 0 && vfs_register(&err) == 0, "ready");
    seed = find_seed(seed);
    (void)printf("# seed %llx\n", (unsigned long long)seed);
    ok(one_run(seed) && failed_steps == 0, "without faults all goes well %s", work.why);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        test_fault(faults[i].name, faults[i].call, faults[i].error, false, seed);
        test_fault(faults[i].name, faults[i].call, faults[i].error, true, seed);
    }
    ok(failed_steps > 20 && unknown_ends > 5, "%u steps failed, %u runs ended unknown",
        failed_steps, unknown_ends);
    (void)scratch_remove(scratch);
    return done_testing();
}
