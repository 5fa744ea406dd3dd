/* Folding in the background: one family at a time, so many pages in a turn of a slow worker, whose
 * share of the processors requests have the first claim to. */
#include "tenants/actor.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"
#include "tenants/layers/fold.h"

#define FOLD_STEP_PAGES 256 /* about 2 ms of work */

struct folding {
    struct task task;
    struct engine *engine;
    struct family *family; /* owned reference */
    struct fold *fold;     /* NULL: not begun */
};

static void end_folding(struct folding *folding, const struct err *err)
{
    struct engine *engine = folding->engine;

    if (err->code != ERR_NONE && err->code != ERR_BUSY && err->code != ERR_CONFLICT)
        log_warn("fold.failed", "code=%s error=\"%s\"", err_code_name(err->code), err->msg);
    fold_end(folding->fold);
    family_release(folding->family);
    mem_free(folding);
    atomic_store(&engine->folding, false);
}

static void fold_task(struct task *task)
{
    struct folding *folding = CONTAINER_OF(task, struct folding, task);
    struct err err = ERR_INIT;
    bool done = false;

    if (atomic_load(&folding->engine->stopping)) {
        end_folding(folding, &err);
        return;
    }
    if (folding->fold == NULL &&
        (fold_begin(folding->family, FOLD_DEPTH, &folding->fold, &err) < 0 ||
            folding->fold == NULL)) {
        end_folding(folding, &err);
        return;
    }
    if (fold_step(folding->fold, FOLD_STEP_PAGES, &done, &err) < 0) {
        end_folding(folding, &err);
        return;
    }
    if (done) { /* perhaps there is more to fold */
        fold_end(folding->fold);
        folding->fold = NULL;
    }
    scheduler_push(&folding->engine->slow, &folding->task);
}

void engine_fold(struct engine *engine, struct actor *actor)
{
    struct folding *folding = NULL;

    mutex_lock(&actor->lock);
    if (actor->state == ACTOR_OPEN && atomic_load(&actor->open->may_fold) &&
        !atomic_exchange(&engine->folding, true)) {
        atomic_store(&actor->open->may_fold, false);
        folding = mem_zalloc(sizeof(*folding));
        folding->engine = engine;
        folding->family = family_ref(actor->open->family);
    }
    mutex_unlock(&actor->lock);
    if (folding == NULL)
        return;
    task_init(&folding->task, actor->tenant_id, fold_task);
    scheduler_push(&engine->slow, &folding->task);
}
