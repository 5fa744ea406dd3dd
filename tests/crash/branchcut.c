/* Power cuts while branches, snapshots, resets, promotes, deletes, checkpoints on layers and folds
 * are under way.
 *
 *     branchcut [seconds] [seed]
 *
 * As tests/crash/powercut.c, for families: after a cut at any call the family opens, is as it was
 * before the step that was cut or as it is after it, every branch and snapshot of it whole and with
 * its rows; each can be written, none sees the others', and it folds. With syncs left out, or
 * branches made before the checkpoint, that has to be found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/account.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/base/random.h"
#include "tests/crash/branch_work.h"
#include "tests/crash/disk.h"
#include "tests/lib/scratch.h"
#include "tests/lib/tap.h"

#define STEPS 60

struct event {
    size_t calls; /* made when this was so */
    struct work_state state;
};

static struct work work;
static struct event *events; /* STEPS + 1 */
static size_t event_count;
static char scratch[80];
static uint64_t state;

struct tally {
    unsigned cuts, bad;
    char first[500];
};

static void note_event(void)
{
    events[event_count].calls = disk_calls();
    events[event_count++].state = work.state;
}

static bool workload(enum disk_lie lie, bool unsettled)
{
    bool right;

    work.unsettled = unsettled;
    work.random = &state;
    work.in_checkpoint = disk_in_checkpoint;
    event_count = 0;
    CHECK(scratch_make(work.data, sizeof(work.data), scratch) == 0);
    disk_start(work.data, lie);
    right = work_start(&work);
    note_event();
    for (int i = 0; i < STEPS && right; i++) {
        right = work_step(&work);
        if (right)
            note_event();
    }
    if (!right)
        (void)printf("# workload: %s\n", work.err.msg);
    work_stop(&work);
    disk_stop();
    (void)scratch_remove(work.data);
    return right;
}

static void cut(struct tally *tally, size_t event, size_t calls, enum disk_loss loss)
{
    uint64_t before = state;
    char data[120];

    CHECK(scratch_make(data, sizeof(data), scratch) == 0);
    disk_rebuild(data, loss, &state);
    tally->cuts++;
    if (!work_check(&work, data, &events[event].state,
            event + 1 < event_count ? &events[event + 1].state : NULL) &&
        tally->bad++ == 0)
        (void)snprintf(tally->first, sizeof(tally->first), "call %zu, loss %d, state %llx: %s",
            calls, (int)loss, (unsigned long long)before, work.why);
    (void)scratch_remove(data);
}

static uint64_t deadline;

static void cut_everywhere(struct tally *tally, bool until_bad)
{
    size_t event = 0, calls = disk_calls();

    disk_rewind();
    for (size_t at = 0; at <= calls && clock_now_ns() < deadline; at++) {
        bool promised = false;

        if (at > 0)
            disk_step();
        while (event + 1 < event_count && events[event + 1].calls <= at) {
            event++;
            promised = true;
        }
        if (at < events[0].calls)
            continue; /* making a family is tests/crash/powercut.c's */
        if (disk_settled() || promised)
            cut(tally, event, at, DISK_LOSE_ALL);
        if (at % 8 == 0)
            cut(tally, event, at, DISK_LOSE_NOTHING);
        cut(tally, event, at, DISK_LOSE_SECTORS + (enum disk_loss)(disk_random(&state) % 3));
        if (until_bad && tally->bad > 0)
            return;
    }
}

static void test_honest(uint64_t seconds)
{
    struct tally tally = {.cuts = 0};
    size_t calls = 0;
    unsigned runs = 0;
    bool right = true;

    deadline = clock_now_ns() + seconds * NS_PER_S;
    while (right && tally.bad == 0 && clock_now_ns() < deadline) {
        right = workload(DISK_HONEST, false);
        cut_everywhere(&tally, false);
        calls += disk_calls();
        runs++;
        disk_free();
    }
    ok(right, "the workload runs");
    ok(tally.bad == 0, "no cut loses, tears or mixes anything: %s", tally.first);
    ok(tally.cuts > 100, "%u cuts at the %zu calls of %u runs", tally.cuts, calls, runs);
}

static void test_controls(uint64_t seconds_each)
{
    static const struct {
        const char *name;
        enum disk_lie lie;
        bool unsettled;
    } controls[] = {
        {"the sync of a layer's pages", DISK_LIE_LAYER_PAGES, false},
        {"the sync of a map", DISK_LIE_LAYER_MAP, false},
        {"the sync of the folder", DISK_LIE_FOLDER, false},
        {"the sync of a new MANIFEST", DISK_LIE_MANIFEST, false},
        {"the checkpoint before a branch", DISK_HONEST, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(controls); i++) {
        struct tally tally = {.cuts = 0};

        deadline = clock_now_ns() + seconds_each * NS_PER_S;
        while (tally.bad == 0 && clock_now_ns() < deadline) {
            (void)workload(controls[i].lie, controls[i].unsettled);
            cut_everywhere(&tally, true);
            disk_free();
        }
        ok(tally.bad > 0, "found when left out: %s", controls[i].name);
        (void)printf("# after %u cuts: %s\n", tally.cuts, tally.first);
    }
}

int main(int argc, char **argv)
{
    uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 10;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 16) : random_u64();
    struct err err = ERR_INIT;

    state = seed | 1;
    log_set_level(LOG_ERROR);
    (void)printf("# seed %llx\n", (unsigned long long)seed);
    if (scratch_make(scratch, sizeof(scratch), "/dev/shm") < 0)
        CHECK(scratch_make(scratch, sizeof(scratch), "/tmp") == 0);
    events = mem_zalloc((STEPS + 2) * sizeof(*events));
    ok(account_install(&err) == 0 && vfs_register(&err) == 0, "ready");
    test_honest(MAX(seconds, 2));
    test_controls(MAX(seconds, 20));
    mem_free(events);
    (void)scratch_remove(scratch);
    return done_testing();
}
