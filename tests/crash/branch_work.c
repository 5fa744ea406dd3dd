#include "tests/crash/branch_work.h"

#include "tenants/layers/fold.h"
#include "tests/crash/disk.h"

static uint32_t below(struct work *work, uint32_t n)
{
    return (uint32_t)(disk_random(work->random) % n);
}

/* ------------------------------------------------------------------ beginning and end */

static void tell_checkpoint(struct work *work, bool inside)
{
    if (work->in_checkpoint != NULL)
        work->in_checkpoint(inside);
}

static void close_branch(struct work *work, int at)
{
    tell_checkpoint(work, true);
    branch_close(&work->branches[at]);
    tell_checkpoint(work, false);
}

bool work_start(struct work *work)
{
    struct branch *main_branch = &work->branches[0];

    memset(work->branches, 0, sizeof(work->branches));
    memset(&work->state, 0, sizeof(work->state));
    work->next = work->state;
    work->family = NULL;
    work->numbers = 0;
    work->err = ERR_INIT;
    family_new_id(work->family_id);
    family_new_id(main_branch->head_id);
    family_forget_folders();
    if (family_create(work->data, work->family_id, main_branch->head_id, &work->err) < 0 ||
        family_open(work->data, work->family_id, &work->family, &work->err) < 0 ||
        branch_open(main_branch, work->family, NULL, &work->err) < 0)
        return false;
    if (branch_run(main_branch, "CREATE TABLE t(k INTEGER PRIMARY KEY, v INTEGER, pad BLOB)") !=
        SQLITE_OK)
        return false;
    main_branch->live = true;
    work->state.branches[0].live = true;
    (void)snprintf(work->state.branches[0].name, sizeof(work->state.branches[0].name), "main");
    work->next = work->state;
    return true;
}

void work_stop(struct work *work)
{
    for (int i = 0; i < WORK_BRANCHES; i++)
        close_branch(work, i);
    family_release(work->family);
    work->family = NULL;
}

bool work_is_unknown(const struct work *work)
{
    bool unknown = family_is_broken(work->family);

    for (int i = 0; i < WORK_BRANCHES; i++)
        unknown = unknown ||
                  (work->branches[i].layers != NULL && vfs_head_poisoned(work->branches[i].head));
    return unknown;
}

/* ------------------------------------------------------------------ steps */

static bool wake(struct work *work, int at)
{
    return work->branches[at].layers != NULL ||
           (branch_open(&work->branches[at], work->family, NULL, &work->err) == 0 &&
               work->branches[at].db != NULL);
}

static bool checkpoint(struct work *work, int at)
{
    static const int modes[] = {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL,
        SQLITE_CHECKPOINT_RESTART, SQLITE_CHECKPOINT_TRUNCATE};
    bool right;

    tell_checkpoint(work, true);
    right = branch_checkpoint(&work->branches[at], modes[below(work, 4)]) == SQLITE_OK;
    tell_checkpoint(work, false);
    return right;
}

static bool quiet(struct work *work, int at)
{
    bool right;

    if (!wake(work, at))
        return false;
    if (work->unsettled)
        return true;
    tell_checkpoint(work, true);
    right = branch_quiet(&work->branches[at]);
    tell_checkpoint(work, false);
    return right;
}

static int any_branch(struct work *work)
{
    int at = (int)below(work, WORK_BRANCHES);

    while (!work->branches[at].live)
        at = (at + 1) % WORK_BRANCHES;
    return at;
}

static bool write_rows(struct work *work, int at)
{
    struct branch *branch = &work->branches[at];
    bool right = wake(work, at) && branch_run(branch, "BEGIN IMMEDIATE") == SQLITE_OK;

    branch->content = work->state.branches[at].content;
    for (uint32_t i = 1 + below(work, 4); i > 0 && right; i--)
        right = branch_set(branch, (int)below(work, ROWS), 1 + (int)below(work, 60),
                    below(work, 4) == 0 ? 0 : (int)below(work, 1000000) + 1) == 0;
    work->next.branches[at].content = branch->content;
    return right && branch_run(branch, "COMMIT") == SQLITE_OK;
}

static bool make_branch(struct work *work, int from)
{
    struct branch *child = NULL;
    char name[16];
    int at = 0;
    bool right;

    while (at < WORK_BRANCHES && work->branches[at].live)
        at++;
    if (at == WORK_BRANCHES)
        return true;
    child = &work->branches[at];
    *child = (struct branch){.live = false};
    family_new_id(child->head_id);
    (void)snprintf(name, sizeof(name), "b%d", ++work->numbers);
    memcpy(child->ref, name, sizeof(name));
    if (!quiet(work, from))
        return false;
    work->next.branches[at] = work->state.branches[from];
    work->next.branches[at].live = true;
    memcpy(work->next.branches[at].name, name, sizeof(name));
    right = family_branch(work->family, work->branches[from].head_id, child->ref, child->head_id, 0,
                &work->err) == 0;
    branch_go_on(&work->branches[from]);
    child->live = right;
    return right;
}

static bool snapshot(struct work *work, int at)
{
    int slot = (int)below(work, WORK_SNAPSHOTS);
    char name[16];
    bool right;

    if (work->state.snapshots[slot].live) {
        work->next.snapshots[slot].live = false;
        return family_remove_snapshot(work->family, work->state.snapshots[slot].name, &work->err) ==
               0;
    }
    (void)snprintf(name, sizeof(name), "s%d", ++work->numbers);
    if (!quiet(work, at))
        return false;
    work->next.snapshots[slot] = work->state.branches[at];
    work->next.snapshots[slot].live = true;
    memcpy(work->next.snapshots[slot].name, name, sizeof(name));
    right = family_snapshot(work->family, work->branches[at].head_id, name, &work->err) == 0;
    branch_go_on(&work->branches[at]);
    return right;
}

/* Reset, promote, restore. */
static bool replace(struct work *work, int at, int from)
{
    int slot = (int)below(work, WORK_SNAPSHOTS), keep = (int)below(work, WORK_SNAPSHOTS);
    struct branch *branch = &work->branches[at];
    char new_id[ID_HEX_BYTES], name[16];
    struct family_replace to = {.head_id = branch->head_id, .new_head_id = new_id};
    bool right;

    if (!work->state.snapshots[slot].live && from == at)
        return true;
    family_new_id(new_id);
    (void)snprintf(name, sizeof(name), "s%d", ++work->numbers);
    if (!quiet(work, at) || (from != at && !quiet(work, from)))
        return false;
    if (work->state.snapshots[slot].live) {
        to.from_snapshot = work->state.snapshots[slot].name;
        work->next.branches[at].content = work->state.snapshots[slot].content;
    } else {
        to.from_head_id = work->branches[from].head_id;
        work->next.branches[at].content = work->state.branches[from].content;
    }
    if (!work->state.snapshots[keep].live) {
        to.keep = name;
        work->next.snapshots[keep] = work->state.branches[at];
        memcpy(work->next.snapshots[keep].name, name, sizeof(name));
    }
    right = family_replace_head(work->family, &to, &work->err) == 0;
    branch_go_on(&work->branches[from]);
    branch_go_on(branch);
    if (right) {
        close_branch(work, at);
        memcpy(branch->head_id, new_id, sizeof(new_id));
    }
    return right;
}

static bool remove_branch(struct work *work, int at)
{
    int live = 0;

    for (int i = 0; i < WORK_BRANCHES; i++)
        live += work->branches[i].live;
    if (live < 2)
        return true;
    close_branch(work, at);
    work->next.branches[at].live = false;
    if (family_remove_head(work->family, work->branches[at].head_id, &work->err) < 0)
        return false;
    work->branches[at].live = false;
    return true;
}

static bool fold_all(struct work *work, unsigned pages)
{
    struct fold *fold = NULL;
    bool done = false;
    int rc = fold_begin(work->family, 2, &fold, &work->err);

    while (rc == 0 && fold != NULL && !done)
        rc = fold_step(fold, pages, &done, &work->err);
    fold_end(fold);
    return rc == 0;
}

static bool step(struct work *work)
{
    int at = any_branch(work);

    switch (below(work, 20)) {
    case 0:
    case 1:
    case 2:
        return make_branch(work, at);
    case 3:
    case 4:
        return snapshot(work, at);
    case 5:
        return replace(work, at, any_branch(work));
    case 6:
        return below(work, 2) > 0 || remove_branch(work, at);
    case 7:
    case 8:
        return fold_all(work, 5);
    case 9:
        close_branch(work, at);
        return true;
    case 10:
        return below(work, 4) > 0 ||
               (wake(work, at) && branch_run(&work->branches[at], "VACUUM") == SQLITE_OK);
    case 11:
    case 12:
    case 13:
        return wake(work, at) && checkpoint(work, at);
    default:
        return write_rows(work, at);
    }
}

bool work_step(struct work *work)
{
    bool right;

    work->next = work->state;
    right = step(work);
    for (int i = 0; i < WORK_BRANCHES; i++)
        if (work->branches[i].db != NULL)
            branch_go_on(&work->branches[i]);
    if (right)
        work->state = work->next;
    return right;
}

/* ------------------------------------------------------------------ afterwards */

static bool failed(struct work *work, const char *what)
{
    (void)snprintf(work->why, sizeof(work->why), "%s: %.300s", what, work->err.msg);
    return false;
}

static const char *error_text(const struct work *work)
{
    static char text[ERR_MSG_MAX];

    (void)snprintf(text, sizeof(text), "%s", work->err.msg);
    return text;
}

static size_t count_live(const struct work_state *state, bool snapshots)
{
    size_t count = 0;

    for (int i = 0; !snapshots && i < WORK_BRANCHES; i++)
        count += state->branches[i].live;
    for (int i = 0; snapshots && i < WORK_SNAPSHOTS; i++)
        count += state->snapshots[i].live;
    return count;
}

static const struct content *content_of(const struct work_state *state, const char *ref)
{
    for (int i = 0; i < WORK_BRANCHES; i++)
        if (state->branches[i].live && strcmp(state->branches[i].name, ref) == 0)
            return &state->branches[i].content;
    return NULL;
}

/* Opens each head and compares; NULL when all is right. */
static const char *compare_heads(
    struct work *work, const struct manifest *manifest, const struct work_state *state)
{
    static char text[400];

    for (size_t i = 0; i < manifest->head_count; i++) {
        const struct content *content = content_of(state, manifest->heads[i].ref);
        struct branch branch = {.live = true};
        bool right;

        if (content == NULL)
            return "a branch that should not be there";
        memcpy(branch.head_id, manifest->heads[i].id, sizeof(branch.head_id));
        if (branch_open(&branch, work->family, NULL, &work->err) < 0)
            return error_text(work);
        right = branch_is(branch.db, content, text, sizeof(text));
        branch_close(&branch);
        if (!right)
            return text;
    }
    return manifest->head_count == count_live(state, false) ? NULL : "a branch is missing";
}

/* By a branch of each. */
static const char *compare_snapshots(
    struct work *work, const struct manifest *manifest, const struct work_state *state)
{
    static char text[400];

    if (manifest->snapshot_count != count_live(state, true))
        return "another number of snapshots";
    for (int i = 0; i < WORK_SNAPSHOTS; i++) {
        struct branch branch = {.live = true};
        bool right;

        if (!state->snapshots[i].live)
            continue;
        family_new_id(branch.head_id);
        if (family_branch_snapshot(
                work->family, state->snapshots[i].name, "look", branch.head_id, &work->err) < 0 ||
            branch_open(&branch, work->family, NULL, &work->err) < 0)
            return error_text(work);
        right = branch_is(branch.db, &state->snapshots[i].content, text, sizeof(text));
        branch_close(&branch);
        if (family_remove_head(work->family, branch.head_id, &work->err) < 0)
            return error_text(work);
        if (!right)
            return text;
    }
    return NULL;
}

static const char *compare(struct work *work, const struct work_state *state)
{
    struct manifest manifest;
    const char *wrong;

    family_describe(work->family, &manifest);
    wrong = compare_heads(work, &manifest, state);
    if (wrong == NULL)
        wrong = compare_snapshots(work, &manifest, state);
    manifest_fini(&manifest);
    return wrong;
}

/* A branch that is written must not show in any other. */
static bool write_again(struct work *work, struct work_state *state)
{
    struct manifest manifest;
    bool right = true;

    family_describe(work->family, &manifest);
    for (size_t i = 0; i < manifest.head_count && right; i++) {
        struct branch branch = {.live = true};
        const struct content *content = content_of(state, manifest.heads[i].ref);

        memcpy(branch.head_id, manifest.heads[i].id, sizeof(branch.head_id));
        if (content == NULL || branch_open(&branch, work->family, NULL, &work->err) < 0) {
            right = failed(work, "open again");
            break;
        }
        branch.content = *content;
        right = branch_set(&branch, (int)i * 30, 40, 5000 + (int)i) == 0 &&
                branch_checkpoint(&branch, SQLITE_CHECKPOINT_TRUNCATE) == SQLITE_OK;
        if (!right)
            (void)failed(work, sqlite3_errmsg(branch.db));
        for (int b = 0; b < WORK_BRANCHES; b++)
            if (&state->branches[b].content == content)
                state->branches[b].content = branch.content;
        branch_close(&branch);
    }
    manifest_fini(&manifest);
    return right;
}

static bool check_open(
    struct work *work, const struct work_state *before, const struct work_state *after)
{
    static struct work_state state;
    char first[400];
    const char *wrong = compare(work, before);

    state = *before;
    if (wrong != NULL && after != NULL) {
        (void)snprintf(first, sizeof(first), "%s", wrong);
        wrong = compare(work, after);
        state = *after;
    }
    if (wrong != NULL) {
        (void)snprintf(work->why, sizeof(work->why), "%.390s", wrong);
        return false;
    }
    if (!write_again(work, &state))
        return false;
    wrong = compare(work, &state);
    if (wrong == NULL && !fold_all(work, 1000))
        wrong = error_text(work);
    if (wrong == NULL)
        wrong = compare(work, &state);
    if (wrong != NULL)
        (void)snprintf(work->why, sizeof(work->why), "after writing again: %.350s", wrong);
    return wrong == NULL;
}

bool work_check(struct work *work, const char *data, const struct work_state *before,
    const struct work_state *after)
{
    struct family *kept = work->family;
    bool right;

    work->err = ERR_INIT;
    if (family_open(data, work->family_id, &work->family, &work->err) < 0) {
        work->family = kept;
        return failed(work, "open");
    }
    right = check_open(work, before, after);
    family_release(work->family);
    work->family = kept;
    return right;
}
