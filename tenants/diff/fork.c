#include "tenants/diff/fork.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>

#include "tenants/base/mem.h"
#include "tenants/family.h"
#include "tenants/layers/stack.h"
#include "tenants/sql_error.h"
#include "tenants/vfs.h"
#include "tenants/vfs_io.h"

struct fork {
    struct layer_stack *stack; /* owned */
    struct vfs_head *head;     /* owned */
    struct sqlite3 *db;        /* owned */
};

/* The layers that both have at their bottom, with references, and room for one more. */
static uint32_t common_layers(struct layer_stack *a, struct layer_stack *b, struct layer **layers)
{
    struct layer *of_a[MANIFEST_STACK_MAX];
    const struct layer_view *view;
    uint32_t count_a = 0, count = 0;

    mutex_lock(&a->lock);
    view = atomic_load_explicit(&a->view, memory_order_acquire);
    for (; view != NULL && count_a < view->count; count_a++)
        of_a[count_a] = layer_ref(view->layers[count_a]);
    mutex_unlock(&a->lock);
    mutex_lock(&b->lock);
    view = atomic_load_explicit(&b->view, memory_order_acquire);
    while (
        view != NULL && count < MIN(view->count, count_a) && view->layers[count] == of_a[count]) {
        layers[count] = layer_ref(view->layers[count]);
        count++;
    }
    mutex_unlock(&b->lock);
    for (uint32_t i = 0; i < count_a; i++)
        layer_unref(of_a[i]);
    return count;
}

static int open_stack(
    struct fork *fork, struct layer_stack *a, struct layer_stack *b, struct err *ret_err)
{
    struct layer *layers[MANIFEST_STACK_MAX + 1];
    uint32_t count = common_layers(a, b, layers);
    char id[ID_HEX_BYTES];

    if (count == 0 || count == MANIFEST_STACK_MAX) {
        for (uint32_t i = 0; i < count; i++)
            layer_unref(layers[i]);
        return err_set(ret_err, ERR_BAD_REQUEST, "the two have no common past");
    }
    family_new_id(id);
    layers[count] = layer_new(layers[0]->folder, id, layers[0]->page_size); /* never written */
    return stack_open(layers, count + 1, &fork->stack, ret_err);
}

static int open_head(struct fork *fork, const char *temp_dir, struct err *ret_err)
{
    struct vfs_head_options options = {.stack = fork->stack, .temp_dir = temp_dir};
    char path[FAMILY_PATH_MAX], id[ID_HEX_BYTES];
    int fd, rc;

    family_new_id(id);
    (void)snprintf(path, sizeof(path), "%s/rookery-fork-%s", temp_dir, id);
    fd = io_open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot make '%s'", path);
    (void)io_close(fd);
    options.wal_path = path;
    rc = vfs_head_open(&options, &fork->head, ret_err);
    (void)io_unlink(path);
    return rc;
}

int fork_open(struct layer_stack *a, struct layer_stack *b, const char *temp_dir,
    struct fork **ret_fork, struct err *ret_err)
{
    struct fork *fork = mem_zalloc(sizeof(*fork));
    int rc = vfs_register(ret_err);

    if (rc == 0)
        rc = open_stack(fork, a, b, ret_err);
    if (rc == 0)
        rc = open_head(fork, temp_dir, ret_err);
    if (rc == 0 &&
        (sqlite3_open_v2(vfs_head_name(fork->head), &fork->db,
             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, VFS_NAME) != SQLITE_OK ||
            sqlite3_db_config(fork->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK ||
            sqlite3_exec(fork->db, "PRAGMA query_only = 1; BEGIN; SELECT 1 FROM sqlite_schema",
                NULL, NULL, NULL) != SQLITE_OK))
        rc = sql_err_set(ret_err, fork->db, sqlite3_errcode(fork->db));
    if (rc < 0) {
        fork_close(fork);
        return -1;
    }
    *ret_fork = fork;
    return 0;
}

void fork_close(struct fork *fork)
{
    if (fork == NULL)
        return;
    (void)sqlite3_close(fork->db);
    vfs_head_close(fork->head);
    stack_close(fork->stack);
    mem_free(fork);
}

struct sqlite3 *fork_db(const struct fork *fork)
{
    return fork->db;
}

struct layer_stack *fork_stack(const struct fork *fork)
{
    return fork->stack;
}
