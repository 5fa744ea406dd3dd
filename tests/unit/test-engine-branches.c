/* Branches, snapshots, resets and removals of databases that are in use, through the engine. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "tenants/base/check.h"
#include "tenants/family.h"
#include "tenants/family_call.h"
#include "tenants/layers/fold.h"
#include "tests/lib/engine_fixture.h"
#include "tests/lib/tap.h"

#define WRITERS 4
#define LOOPS 25

static struct fixture fixture;
static uint64_t next_id = 1;

struct waiting {
    struct family_call call;
    struct mutex lock;
    struct cond changed;
    bool done;
};

static void on_done(struct family_call *call)
{
    struct waiting *waiting = call->owner;

    mutex_lock(&waiting->lock);
    waiting->done = true;
    cond_broadcast(&waiting->changed);
    mutex_unlock(&waiting->lock);
}

static void on_closed(void *argument)
{
    on_done(argument);
}

static enum err_code do_call(struct waiting *waiting)
{
    mutex_init(&waiting->lock);
    cond_init(&waiting->changed);
    waiting->call.owner = waiting;
    waiting->call.done = on_done;
    engine_family_call(fixture.engine, &waiting->call);
    mutex_lock(&waiting->lock);
    while (!waiting->done)
        cond_wait(&waiting->changed, &waiting->lock);
    mutex_unlock(&waiting->lock);
    cond_fini(&waiting->changed);
    mutex_fini(&waiting->lock);
    if (waiting->call.err.code != ERR_NONE)
        (void)printf("# %s\n", waiting->call.err.msg);
    return waiting->call.err.code;
}

#define CALL(...) do_call(&(struct waiting){.call = {__VA_ARGS__}})

/* An entry of the family for another head. */
static struct database *entry_of(const struct database *of, const char *head_id)
{
    struct database *database = fixture_database(&fixture, "branch", ++next_id);

    database->tenant_id = of->tenant_id;
    (void)snprintf(database->family_id, ID_HEX_BYTES, "%s", of->family_id);
    (void)snprintf(database->head_id, ID_HEX_BYTES, "%s", head_id);
    database->state = DATABASE_LIVE;
    return database;
}

static struct database *branch_of(struct database *parent, const char *ref, bool *ret_copied)
{
    char head_id[ID_HEX_BYTES];
    struct waiting waiting = {
        .call = {.op = FAMILY_BRANCH, .database = parent, .ref = ref, .head_id = head_id}};
    enum err_code code;

    family_new_id(head_id);
    code = do_call(&waiting);
    if (ret_copied != NULL)
        *ret_copied = waiting.call.reader_in_the_way;
    return code == ERR_NONE ? entry_of(parent, head_id) : NULL;
}

static bool rows_are(struct database *database, const char *want)
{
    const char *got = run_sql(&fixture, database, "SELECT group_concat(a) FROM t", NULL);
    bool same = strncmp(got, want, strlen(want)) == 0 && got[strlen(want)] == '\n';

    if (!same)
        (void)printf("# got %s, want %s\n", got, want);
    return same;
}

static void close_it(struct database *database)
{
    struct waiting waiting = {.done = false};

    mutex_init(&waiting.lock);
    cond_init(&waiting.changed);
    waiting.call.owner = &waiting;
    engine_close_database(fixture.engine, database, on_closed, &waiting.call);
    mutex_lock(&waiting.lock);
    while (!waiting.done)
        cond_wait(&waiting.changed, &waiting.lock);
    mutex_unlock(&waiting.lock);
    cond_fini(&waiting.changed);
    mutex_fini(&waiting.lock);
}

static struct database *make(void)
{
    struct database *database = fixture_database(&fixture, "main", ++next_id);

    (void)run_sql(&fixture, database, "CREATE TABLE t(a)", NULL);
    (void)run_sql(&fixture, database, "INSERT INTO t VALUES (1)", NULL);
    database->state = DATABASE_LIVE; /* its folder is there */
    return database;
}

static void test_isolation(void)
{
    struct database *parent = make();
    struct database *child = branch_of(parent, "pr-1", NULL);
    struct database *other;

    ok(child != NULL, "a branch of an open database");
    ok(rows_are(child, "1"), "has what the parent had");
    (void)run_sql(&fixture, parent, "INSERT INTO t VALUES (2)", NULL);
    (void)run_sql(&fixture, child, "INSERT INTO t VALUES (3)", NULL);
    ok(rows_are(parent, "1,2") && rows_are(child, "1,3"), "neither sees what the other writes");
    close_it(parent);
    close_it(child);
    other = branch_of(child, "pr-2", NULL);
    ok(other != NULL && rows_are(other, "1,3"), "a branch of a closed branch");
    ok(rows_are(parent, "1,2") && rows_are(child, "1,3"), "leaves them as they were");
    is_int(CALL(.op = FAMILY_REMOVE_HEAD, .database = child), ERR_NONE, "a branch is removed");
    ok(rows_are(parent, "1,2") && rows_are(other, "1,3"), "and no other is touched");
    is_int(CALL(.op = FAMILY_REMOVE_HEAD, .database = child), ERR_NONE, "twice is fine");
    database_unref(child);
    child = branch_of(parent, "pr-2", NULL);
    ok(child != NULL && rows_are(child, "1,2"), "a ref that the catalogue gave free is taken over");
    database_unref(child);
    database_unref(other);
    database_unref(parent);
}

static void test_reader_in_the_way(void)
{
    struct database *parent = make();
    struct stream *stream = fixture_stream(&fixture, parent);
    struct database *child;
    struct database *kept;
    char head_id[ID_HEX_BYTES];
    bool copied = false;
    enum err_code code;

    (void)stream_sql(&fixture, stream, "BEGIN", NULL);
    is_str(stream_sql(&fixture, stream, "SELECT count(*) FROM t", NULL), "1\n", "a reader");
    (void)run_sql(&fixture, parent, "INSERT INTO t VALUES (2)", NULL);
    child = branch_of(parent, "pr-1", &copied);
    ok(child != NULL && copied, "is not waited for: the branch has a copy of the log");
    ok(child != NULL && rows_are(child, "1,2"), "and what was committed");
    is_int(CALL(.op = FAMILY_SNAPSHOT, .database = parent, .snapshot = "s"), ERR_UNAVAILABLE,
        "a snapshot is refused meanwhile");
    is_str(stream_sql(&fixture, stream, "SELECT count(*) FROM t", NULL), "1\n",
        "the reader sees what it saw");
    (void)stream_sql(&fixture, stream, "COMMIT", NULL);
    stream_close(fixture.engine, stream);
    is_int(CALL(.op = FAMILY_SNAPSHOT, .database = parent, .snapshot = "s"), ERR_NONE,
        "and made afterwards");
    /* Readers of what is replaced. */
    stream = fixture_stream(&fixture, child);
    (void)stream_sql(&fixture, stream, "BEGIN", NULL);
    (void)stream_sql(&fixture, stream, "SELECT count(*) FROM t", NULL);
    (void)run_sql(&fixture, child, "INSERT INTO t VALUES (3)", NULL);
    family_new_id(head_id);
    is_int(CALL(.op = FAMILY_BRANCH, .database = parent, .ref = "#n", .head_id = head_id), ERR_NONE,
        "other content for it");
    is_int(CALL(.op = FAMILY_SWAP, .database = child, .head_id = head_id, .snapshot = "k"),
        ERR_NONE, "a swap ends those who read what it replaces");
    (void)stream_sql(&fixture, stream, "SELECT count(*) FROM t", &code);
    ok(code != ERR_NONE, "who are told: %s", err_code_name(code));
    stream_close(fixture.engine, stream);
    family_new_id(head_id);
    is_int(CALL(.op = FAMILY_BRANCH_SNAPSHOT, .database = parent, .ref = "k", .snapshot = "k",
               .head_id = head_id),
        ERR_NONE, "what it was");
    kept = entry_of(parent, head_id);
    ok(rows_are(kept, "1,2,3"), "has all that was committed");
    database_unref(kept);
    database_unref(child);
    database_unref(parent);
}

static void test_swap(void)
{
    struct database *parent = make();
    struct database *child = branch_of(parent, "pr-1", NULL);
    char head_id[ID_HEX_BYTES];
    struct database *anew;
    enum err_code code;

    (void)run_sql(&fixture, child, "INSERT INTO t VALUES (9)", NULL);
    family_new_id(head_id);
    is_int(CALL(.op = FAMILY_BRANCH, .database = parent, .ref = "#new", .head_id = head_id),
        ERR_NONE, "other content");
    is_int(CALL(.op = FAMILY_SWAP, .database = child, .head_id = head_id, .snapshot = "kept"),
        ERR_NONE, "becomes the branch's, and what it was a snapshot");
    (void)run_sql(&fixture, child, "INSERT INTO t VALUES (10)", &code);
    ok(code != ERR_NONE, "who has the old entry is refused: %s", err_code_name(code));
    anew = entry_of(parent, head_id);
    ok(rows_are(anew, "1"), "the new one has the parent's rows");
    family_new_id(head_id);
    is_int(CALL(.op = FAMILY_BRANCH_SNAPSHOT, .database = anew, .ref = "old", .snapshot = "kept",
               .head_id = head_id),
        ERR_NONE, "a branch of the snapshot");
    database_unref(child);
    child = entry_of(parent, head_id);
    ok(rows_are(child, "1,9"), "has what the branch was");
    is_int(CALL(.op = FAMILY_REMOVE_SNAPSHOT, .database = anew, .snapshot = "kept"), ERR_NONE,
        "the snapshot goes");
    ok(rows_are(child, "1,9"), "its pages stay while a branch has them");
    database_unref(child);
    database_unref(anew);
    database_unref(parent);
}

/* ---- under writers ---- */

static atomic_bool writing;

static void *write_rows(void *argument)
{
    struct database *database = argument;

    while (atomic_load(&writing)) {
        struct call call;

        call_init(&call, &fixture);
        call_add(&call, "INSERT INTO t VALUES (1), (1)");
        call_submit(&call, &fixture, database);
        call_wait(&call);
        if (call.request.err.code != ERR_NONE)
            (void)printf("# a writer: %s\n", call.request.err.msg);
        CHECK(call.request.err.code == ERR_NONE);
        call_fini(&call);
    }
    return NULL;
}

static int64_t count_of(struct database *database)
{
    return strtoll(run_sql(&fixture, database, "SELECT count(*) FROM t", NULL), NULL, 10);
}

static void test_under_writers(void)
{
    struct database *parent = make();
    pthread_t threads[WRITERS];
    int64_t last = 0;
    bool right = true;

    atomic_store(&writing, true);
    for (unsigned i = 0; i < WRITERS; i++)
        thread_start(&threads[i], "writer", write_rows, parent);
    for (unsigned i = 0; i < LOOPS; i++) {
        struct database *child = branch_of(parent, "pr", NULL);
        int64_t count = child == NULL ? -1 : count_of(child);

        right = right && count >= last && count % 2 == 1 && count_of(child) == count;
        right = right &&
                strncmp(run_sql(&fixture, child, "PRAGMA integrity_check", NULL), "ok", 2) == 0;
        last = count;
        right = right && CALL(.op = FAMILY_REMOVE_HEAD, .database = child) == ERR_NONE;
        database_unref(child);
    }
    atomic_store(&writing, false);
    for (unsigned i = 0; i < WRITERS; i++)
        thread_join(threads[i]);
    ok(right, "branches under writers hold whole transactions, later ones more, and stand still");
    ok(count_of(parent) >= last, "the parent lost none");
    is_str(run_sql(&fixture, parent, "PRAGMA integrity_check", NULL), "ok\n", "and is whole");
    database_unref(parent);
}

/* Each branch that is followed by a write freezes a layer. */
static void test_depth(void)
{
    struct database *parent = make();
    struct waiting usage = {.call = {.op = FAMILY_USAGE, .database = parent}};

    for (unsigned i = 0; i < 40; i++) {
        struct database *child = branch_of(parent, "pr", NULL);

        (void)run_sql(&fixture, parent, "INSERT INTO t VALUES (2)", NULL);
        CHECK(CALL(.op = FAMILY_REMOVE_HEAD, .database = child) == ERR_NONE);
        database_unref(child);
    }
    for (unsigned i = 0; i < 1000; i++) {
        usage.done = false;
        CHECK(do_call(&usage) == ERR_NONE);
        if (usage.call.usage.depth <= FOLD_DEPTH)
            break;
        (void)poll(NULL, 0, 10);
    }
    ok(usage.call.usage.depth <= FOLD_DEPTH, "a layer for each of 40 branches is folded by itself");
    is_int(count_of(parent), 41, "with all its rows");
    database_unref(parent);
}

int main(void)
{
    fixture_init(&fixture);
    fixture_start(&fixture);
    test_isolation();
    test_reader_in_the_way();
    test_swap();
    test_under_writers();
    test_depth();
    fixture_stop(&fixture);
    fixture_remove(&fixture);
    return done_testing();
}
