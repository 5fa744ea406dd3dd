/* A change is: seal the stacks that take part; write down the next MANIFEST; make the files of new
 * heads, durable; replace the MANIFEST; then, in memory, new tops for what was frozen. Until the
 * MANIFEST is replaced everything can be taken back. */
#include "tenants/layers/branches.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tenants/base/check.h"
#include "tenants/base/mem.h"
#include "tenants/layers/heads_internal.h"
#include "tenants/manifest_edit.h"
#include "tenants/vfs_io.h"

#define HEADS_MAX 2 /* that take part in a change */
#define MADE_MAX 2  /* files */
#define COPY_BYTES 65536

struct part {
    struct family_head *head;
    bool temporary; /* opened for this change */
    bool ends;      /* stays sealed */
    bool pushes;
    char top_id[ID_HEX_BYTES];
    uint32_t page_size;
};

struct change {
    struct family *family;
    struct manifest next;
    struct part parts[HEADS_MAX];
    unsigned part_count;
    char made[MADE_MAX][LAYER_NAME_MAX];
    unsigned made_count;
    struct err *err;
};

/* ------------------------------------------------------------------ begin, end */

static int begin(struct change *change, struct family *family, struct err *ret_err)
{
    *change = (struct change){.family = family, .err = ret_err};
    mutex_lock(&family->lock);
    if (family->broken) {
        mutex_unlock(&family->lock);
        return err_set(
            ret_err, ERR_IO, "'%s' has to be closed and read anew", family->place.folder);
    }
    manifest_copy(&family->manifest, &change->next);
    return 0;
}

static void remove_made(struct change *change)
{
    char path[FAMILY_PATH_MAX];

    for (unsigned i = 0; i < change->made_count; i++)
        (void)io_unlink(family_path_in(&change->family->place, change->made[i], path));
}

static void push_top(struct change *change, struct part *part)
{
    struct family *family = change->family;
    struct layer *top = layer_new(family->place.folder, part->top_id, part->page_size);

    stack_push(part->head->stack, family_add_layer(family, top));
}

static void end_parts(struct change *change, bool done, bool unknown)
{
    for (unsigned i = 0; i < change->part_count; i++) {
        struct part *part = &change->parts[i];

        if (done && part->pushes)
            push_top(change, part);
        else if (!unknown && !(done && part->ends))
            stack_unseal(part->head->stack);
        if (part->temporary)
            family_head_close_locked(change->family, part->head);
    }
}

/* Ends the change: `rc` is how it went so far. */
static int end(struct change *change, int rc)
{
    bool unknown = false;

    if (rc == 0)
        rc = family_replace_manifest(change->family, &change->next, &unknown, change->err);
    if (rc < 0 && !unknown)
        remove_made(change);
    end_parts(change, rc == 0, unknown);
    manifest_fini(&change->next);
    family_reap_layers(change->family);
    mutex_unlock(&change->family->lock);
    return rc;
}

/* ------------------------------------------------------------------ what may be */

static int check_name(struct change *change, const char *name)
{
    return manifest_is_name(str_from(name))
               ? 0
               : err_set(change->err, ERR_BAD_REQUEST, "'%.128s' is not a name", name);
}

static int check_ref(struct change *change, const char *ref)
{
    if (check_name(change, ref) < 0)
        return -1;
    return manifest_find_ref(&change->next, ref) == NULL
               ? 0
               : err_set(change->err, ERR_CONFLICT, "a branch '%s' exists", ref);
}

static int check_snapshot(struct change *change, const char *name)
{
    if (check_name(change, name) < 0)
        return -1;
    return manifest_find_snapshot(&change->next, name) == NULL
               ? 0
               : err_set(change->err, ERR_CONFLICT, "a snapshot '%s' exists", name);
}

static int no_head(struct change *change, const char *head_id)
{
    return err_set(change->err, ERR_NOT_FOUND, "there is no head %s", head_id);
}

static int check_depth(struct change *change, const struct manifest_stack *stack)
{
    return stack->count < MANIFEST_STACK_MAX
               ? 0
               : err_set(change->err, ERR_UNAVAILABLE,
                     "the branch stands on %zu layers, as many as it may: try again when they are "
                     "folded",
                     stack->count);
}

/* ------------------------------------------------------------------ freezing */

static int open_closed(struct change *change, const char *head_id, struct part *part)
{
    struct stat status;

    if (family_head_open_locked(change->family, head_id, &part->head, change->err) < 0)
        return -1;
    part->temporary = true;
    if (stat(part->head->paths.wal_path, &status) == 0 && status.st_size == 0)
        return 0;
    family_head_close_locked(change->family, part->head);
    return err_set(change->err, ERR_BUSY, "head %s has a log: open and checkpoint it", head_id);
}

/* The head's stack, sealed; `frozen` is what the MANIFEST has to say of its top. */
static int seal(struct change *change, const char *head_id, struct manifest_layer *frozen,
    bool *ret_empty, struct part **ret_part)
{
    struct part *part = &change->parts[change->part_count];

    CHECK(change->part_count < HEADS_MAX);
    *part = (struct part){.head = family_find_open_head(change->family, head_id)};
    if (part->head == NULL && open_closed(change, head_id, part) < 0)
        return -1;
    if (stack_seal(part->head->stack, frozen, ret_empty, change->err) < 0) {
        if (part->temporary)
            family_head_close_locked(change->family, part->head);
        return -1;
    }
    change->part_count++;
    *ret_part = part;
    return 0;
}

/* A layer that will be written, over the stack. */
static void add_top(struct change *change, uint32_t page_size, struct manifest_stack *stack,
    char top_id[ID_HEX_BYTES])
{
    struct manifest_layer top = {.kind = MANIFEST_OVER, .page_size = page_size};

    family_new_id(top.id);
    memcpy(top_id, top.id, ID_HEX_BYTES);
    manifest_add_layer(&change->next, &top);
    manifest_stack_push(stack, top.id);
}

/* Freezes a head's top, gives the head a new one, and returns the stack below it, which the caller
 * ends. A top that is empty stays: the stack below is what there is. */
static int freeze(struct change *change, const char *head_id, struct manifest_stack *ret_frozen)
{
    struct manifest_head *head = manifest_head_of(&change->next, head_id);
    struct manifest_layer frozen;
    struct part *part;
    bool empty;

    if (head == NULL)
        return no_head(change, head_id);
    if (check_depth(change, &head->stack) < 0 || seal(change, head_id, &frozen, &empty, &part) < 0)
        return -1;
    manifest_stack_copy(&head->stack, ret_frozen);
    if (empty) {
        ret_frozen->count--;
        return 0;
    }
    *manifest_layer_of(&change->next, frozen.id) = frozen;
    part->pushes = true;
    part->page_size = frozen.page_size;
    add_top(change, frozen.page_size, &head->stack, part->top_id);
    return 0;
}

/* ------------------------------------------------------------------ new heads */

static int make_file(struct change *change, const char *name, struct str bytes, int *ret_fd)
{
    char path[FAMILY_PATH_MAX];

    (void)snprintf(change->made[change->made_count++], LAYER_NAME_MAX, "%s", name);
    return family_write_file(
        family_path_in(&change->family->place, name, path), bytes, ret_fd, change->err);
}

/* The parent's log: its write lock is held, so that it does not change below `bytes`. */
static int copy_log(struct change *change, const char *parent_id, uint64_t bytes, int to)
{
    char name[LAYER_NAME_MAX], path[FAMILY_PATH_MAX];
    char *block = mem_alloc(COPY_BYTES);
    uint64_t done = 0;
    int from, rc = 0;

    (void)snprintf(name, sizeof(name), "h%s-wal", parent_id);
    from = io_open(family_path_in(&change->family->place, name, path), O_RDONLY | O_CLOEXEC, 0);
    while (from >= 0 && rc == 0 && done < bytes) {
        ssize_t n = io_read_all(from, block, (size_t)MIN(COPY_BYTES, bytes - done), (off_t)done);

        if (n <= 0 || io_write_all(to, block, (size_t)n, (off_t)done) < 0)
            rc = -1;
        else
            done += (uint64_t)n;
    }
    if (from < 0 || rc < 0 || io_sync(to) < 0)
        rc = family_io_failed(change->err, "copy the log", path);
    if (from >= 0)
        (void)io_close(from);
    mem_free(block);
    return rc;
}

/* Placeholder and log, named durably before the MANIFEST names them. */
static int make_head_files(
    struct change *change, const char *head_id, const char *parent_id, uint64_t log_bytes)
{
    char name[LAYER_NAME_MAX], line[80];
    int fds[2] = {-1, -1};
    int rc;

    (void)snprintf(name, sizeof(name), "h%s", head_id);
    (void)snprintf(line, sizeof(line), "rookery-head %d %s\n", HEAD_FORMAT, head_id);
    rc = make_file(change, name, str_from(line), &fds[0]);
    if (rc == 0) {
        (void)snprintf(name, sizeof(name), "h%s-wal", head_id);
        rc = make_file(change, name, str_make("", 0), &fds[1]);
    }
    if (rc == 0 && log_bytes > 0)
        rc = copy_log(change, parent_id, log_bytes, fds[1]);
    if (rc == 0 && (io_sync(fds[0]) < 0 || io_sync_folder(change->family->place.folder) < 0))
        rc = family_io_failed(change->err, "sync the files of", change->family->place.folder);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            (void)io_close(fds[i]);
    return rc;
}

/* A head over `stack`, which is taken over. */
static int add_head(
    struct change *change, const char *ref, const char *head_id, struct manifest_stack *stack)
{
    const struct manifest_layer *below;
    char top_id[ID_HEX_BYTES];

    if (!manifest_is_id(str_from(head_id)) || manifest_find_head(&change->next, head_id) != NULL)
        return err_set(change->err, ERR_BUG, "'%s' is not a new id", head_id);
    if (check_depth(change, stack) < 0)
        return -1;
    below = manifest_find_layer(&change->next, stack->layers[stack->count - 1]);
    add_top(change, below->page_size, stack, top_id);
    manifest_add_head(&change->next, head_id, ref, stack);
    return 0;
}

/* ------------------------------------------------------------------ operations */

int family_branch(struct family *family, const char *parent_head_id, const char *ref,
    const char *head_id, uint64_t log_bytes, struct err *ret_err)
{
    struct manifest_stack stack = {.count = 0};
    struct change change;
    int rc;

    if (begin(&change, family, ret_err) < 0)
        return -1;
    rc = check_ref(&change, ref);
    if (rc == 0)
        rc = freeze(&change, parent_head_id, &stack);
    if (rc == 0)
        rc = add_head(&change, ref, head_id, &stack);
    if (rc == 0)
        rc = make_head_files(&change, head_id, parent_head_id, log_bytes);
    manifest_stack_fini(&stack);
    return end(&change, rc);
}

static int stack_of_snapshot(
    struct change *change, const char *name, struct manifest_stack *ret_stack)
{
    const struct manifest_snapshot *snapshot = manifest_find_snapshot(&change->next, name);

    if (snapshot == NULL)
        return err_set(change->err, ERR_NOT_FOUND, "there is no snapshot '%.128s'", name);
    manifest_stack_copy(&snapshot->stack, ret_stack);
    return 0;
}

int family_branch_snapshot(struct family *family, const char *snapshot, const char *ref,
    const char *head_id, struct err *ret_err)
{
    struct manifest_stack stack = {.count = 0};
    struct change change;
    int rc;

    if (begin(&change, family, ret_err) < 0)
        return -1;
    rc = check_ref(&change, ref);
    if (rc == 0)
        rc = stack_of_snapshot(&change, snapshot, &stack);
    if (rc == 0)
        rc = add_head(&change, ref, head_id, &stack);
    if (rc == 0)
        rc = make_head_files(&change, head_id, NULL, 0);
    manifest_stack_fini(&stack);
    return end(&change, rc);
}

int family_snapshot(
    struct family *family, const char *head_id, const char *name, struct err *ret_err)
{
    struct manifest_stack stack = {.count = 0};
    struct change change;
    int rc;

    if (begin(&change, family, ret_err) < 0)
        return -1;
    rc = check_snapshot(&change, name);
    if (rc == 0)
        rc = freeze(&change, head_id, &stack);
    if (rc == 0)
        manifest_add_snapshot(&change.next, name, &stack);
    manifest_stack_fini(&stack);
    return end(&change, rc);
}

int family_remove_head(struct family *family, const char *head_id, struct err *ret_err)
{
    struct change change;
    int rc = 0;

    if (begin(&change, family, ret_err) < 0)
        return -1;
    if (manifest_find_head(&change.next, head_id) == NULL)
        rc = no_head(&change, head_id);
    else if (family_find_open_head(family, head_id) != NULL)
        rc = err_set(ret_err, ERR_BUSY, "head %s is open", head_id);
    if (rc == 0) {
        manifest_remove_head(&change.next, head_id);
        manifest_drop_unused(&change.next);
    }
    return end(&change, rc);
}

int family_remove_snapshot(struct family *family, const char *name, struct err *ret_err)
{
    struct manifest_stack stack = {.count = 0};
    struct change change;
    int rc;

    if (begin(&change, family, ret_err) < 0)
        return -1;
    rc = stack_of_snapshot(&change, name, &stack);
    manifest_stack_fini(&stack);
    if (rc == 0) {
        manifest_remove_snapshot(&change.next, name);
        manifest_drop_unused(&change.next);
    }
    return end(&change, rc);
}

/* What the head has is kept as a snapshot, or not; either way it writes no more. */
static int put_away(struct change *change, const char *head_id, const char *keep)
{
    struct manifest_stack stack = {.count = 0};
    struct manifest_layer frozen;
    struct part *part;
    bool empty;
    int rc;

    if (keep == NULL) {
        rc = seal(change, head_id, &frozen, &empty, &part);
    } else {
        rc = check_snapshot(change, keep);
        if (rc == 0)
            rc = freeze(change, head_id, &stack);
        if (rc == 0)
            manifest_add_snapshot(&change->next, keep, &stack);
        manifest_stack_fini(&stack);
    }
    if (rc < 0)
        return -1;
    part = &change->parts[change->part_count - 1];
    part->pushes = false; /* its new top goes with the head */
    part->ends = true;
    return 0;
}

static int replace_head(
    struct change *change, const struct family_replace *replace, struct manifest_stack *stack)
{
    const struct manifest_head *old = manifest_find_head(&change->next, replace->head_id);
    char ref[MANIFEST_NAME_MAX + 1];
    int rc;

    if (old == NULL)
        return no_head(change, replace->head_id);
    (void)snprintf(ref, sizeof(ref), "%s", old->ref);
    if (replace->from_head_id != NULL && strcmp(replace->from_head_id, replace->head_id) == 0)
        return err_set(change->err, ERR_BAD_REQUEST, "a branch is not reset to itself");
    rc = replace->from_snapshot != NULL ? stack_of_snapshot(change, replace->from_snapshot, stack)
                                        : freeze(change, replace->from_head_id, stack);
    if (rc < 0 || put_away(change, replace->head_id, replace->keep) < 0)
        return -1;
    manifest_remove_head(&change->next, replace->head_id);
    if (add_head(change, ref, replace->new_head_id, stack) < 0)
        return -1;
    manifest_drop_unused(&change->next);
    return make_head_files(change, replace->new_head_id, NULL, 0);
}

int family_replace_head(
    struct family *family, const struct family_replace *replace, struct err *ret_err)
{
    struct manifest_stack stack = {.count = 0};
    struct change change;
    int rc;

    if (begin(&change, family, ret_err) < 0)
        return -1;
    rc = replace_head(&change, replace, &stack);
    manifest_stack_fini(&stack);
    return end(&change, rc);
}

static int swap_head(
    struct change *change, const char *head_id, const char *new_head_id, const char *keep)
{
    const struct manifest_head *old = manifest_find_head(&change->next, head_id);
    char ref[MANIFEST_NAME_MAX + 1];

    if (old == NULL)
        return no_head(change, head_id);
    if (manifest_find_head(&change->next, new_head_id) == NULL)
        return no_head(change, new_head_id);
    if (strcmp(head_id, new_head_id) == 0)
        return err_set(change->err, ERR_BUG, "a head does not replace itself");
    if (family_find_open_head(change->family, new_head_id) != NULL)
        return err_set(change->err, ERR_BUSY, "head %s is open", new_head_id);
    (void)snprintf(ref, sizeof(ref), "%s", old->ref);
    if (put_away(change, head_id, keep) < 0)
        return -1;
    manifest_remove_head(&change->next, head_id);
    (void)snprintf(
        manifest_head_of(&change->next, new_head_id)->ref, MANIFEST_NAME_MAX + 1, "%s", ref);
    manifest_drop_unused(&change->next);
    return 0;
}

int family_swap_head(struct family *family, const char *head_id, const char *new_head_id,
    const char *keep, struct err *ret_err)
{
    struct change change;

    if (begin(&change, family, ret_err) < 0)
        return -1;
    return end(&change, swap_head(&change, head_id, new_head_id, keep));
}

int family_rename_head(
    struct family *family, const char *head_id, const char *ref, struct err *ret_err)
{
    struct manifest_head *head;
    struct change change;
    int rc;

    if (begin(&change, family, ret_err) < 0)
        return -1;
    rc = check_ref(&change, ref);
    head = manifest_head_of(&change.next, head_id);
    if (rc == 0 && head == NULL)
        rc = no_head(&change, head_id);
    if (rc == 0)
        (void)snprintf(head->ref, sizeof(head->ref), "%s", ref);
    return end(&change, rc);
}
