#include "tenants/actor.h"

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"
#include "tenants/sql_text.h"
#include "tenants/stream.h"

/* What a request weighs in the mailbox. */
static uint64_t request_bytes(const struct request *request)
{
    uint64_t bytes = 256;

    for (unsigned i = 0; i < request->statement_count; i++)
        bytes += request->statements[i].sql.len + request->statements[i].parameter_count * 64ULL;
    return bytes;
}

/* A guess from the first word; preparing it will tell. Wrong guesses cost a second try only. */
static enum request_route guess_route(const struct request *request)
{
    unsigned first = 0;
    unsigned end = request->statement_count;

    if (request->kind == REQUEST_PROCEDURE || request->kind == REQUEST_FAMILY)
        return ROUTE_WRITE;
    if (request->kind == REQUEST_READ_PROCEDURE)
        return ROUTE_READ;
    if (request->kind == REQUEST_PRODUCER) /* long by its nature */
        return ROUTE_SLOW_READ;
    if (request->mode == MODE_SCRIPT) {
        if (request->read_only)
            return ROUTE_READ;
        if (sql_has_word(request->statements[0].sql, "IMMEDIATE") ||
            sql_has_word(request->statements[0].sql, "EXCLUSIVE"))
            return ROUTE_WRITE;
        first = 1;
        end = request->statement_count - 2;
    }
    for (unsigned i = first; i < end; i++) {
        struct str sql = request->statements[i].sql;

        while (sql.len > 0 && (sql.ptr[0] == ' ' || sql.ptr[0] == '\n' || sql.ptr[0] == '\r' ||
                                  sql.ptr[0] == '\t' || sql.ptr[0] == '('))
            sql = str_make(sql.ptr + 1, sql.len - 1);
        if (str_starts_with_nocase(sql, "select") || str_starts_with_nocase(sql, "values"))
            continue;
        /* These may write. In a batch that would be found out when rows are on their way, which
         * cannot be taken back. */
        if (request->statement_count > 1 ||
            (!str_starts_with_nocase(sql, "with") && !str_starts_with_nocase(sql, "explain") &&
                !str_starts_with_nocase(sql, "pragma")))
            return ROUTE_WRITE;
    }
    return ROUTE_READ;
}

void request_release(struct request *request)
{
    struct actor *actor = request->actor;
    struct engine *engine = actor->engine;

    /* request->actor stays: a late engine_cancel() or engine_resume() may be reading it */
    (void)atomic_fetch_sub(&engine->in_flight, 1);
    request->done(request); /* gone after this */
    actor_unref(actor);
}

void request_refuse(struct request *request, enum err_code code, const char *message)
{
    (void)err_set(&request->err, code, "%s", message);
    request_release(request);
}

void request_finish(struct actor *actor, struct request *request)
{
    gate_release(&actor->open->gate, request);
}

static void push_to(struct lane *lane, bool slow)
{
    lane->slow = slow;
    lane->state = LANE_QUEUED;
    scheduler_push(slow ? &lane->actor->engine->slow : &lane->actor->engine->fast, &lane->task);
    if (slow && lane->kind == LANE_WRITE)
        actor_read_elsewhere_locked(lane->actor);
}

bool lane_gathers(struct lane *lane)
{
    struct open_database *open = lane->actor->open;

    if (open->turn == lane || lane->parked_since_ns != 0)
        return false; /* it has stood in line, and the next in line waits for it */
    return open->actor->waiting < open->actor->engine->options.group_requests &&
           gate_should_gather(&open->gate);
}

/* Short reads go first, but not for ever. */
static bool waited_long(const struct list *requests)
{
    const struct request *first = LIST_FIRST(requests, struct request, link);

    return clock_now_ns() - first->submitted_ns > ACTOR_SLOW_READ_NS;
}

/* What the lane would run next, if anything; -1: nothing, 0: on a fast worker, 1: on a slow one. */
static int next_work_locked(struct lane *lane)
{
    const struct open_database *open = lane->actor->open;

    switch (lane->kind) {
    case LANE_WRITE:
        if (!list_empty(&lane->inbox) && !lane_gathers(lane))
            return LIST_FIRST(&lane->inbox, struct request, link)->route == ROUTE_SLOW_WRITE;
        return list_empty(&open->reads) ? -1 : 0;
    case LANE_READ:
        if (lane->paused_request != NULL)
            return 1;
        if (lane->retire)
            return 0;
        if (list_empty(&open->slow_reads))
            return list_empty(&open->reads) ? -1 : 0;
        return list_empty(&open->reads) || waited_long(&open->slow_reads);
    case LANE_STREAM:
    default:
        if (!stream_wants_turn(lane->stream))
            return -1;
        return lane->paused_request != NULL ||
               (!list_empty(&lane->inbox) &&
                   LIST_FIRST(&lane->inbox, struct request, link)->route == ROUTE_SLOW_WRITE);
    }
}

void lane_push_locked(struct lane *lane)
{
    int work = next_work_locked(lane);

    if (lane->state == LANE_FREE)
        lane->actor->open->busy_lanes++;
    push_to(lane, work == 1);
}

/* What it was woken for, a write, has not run yet: it goes on on a slow worker. */
static bool wants_turn_still_locked(const struct lane *lane)
{
    if (lane->kind == LANE_WRITE)
        return !list_empty(&lane->inbox);
    return lane->kind == LANE_STREAM && !list_empty(&lane->inbox) &&
           LIST_FIRST(&lane->inbox, struct request, link)->route == ROUTE_SLOW_WRITE;
}

void lane_finish_turn(struct lane *lane)
{
    struct actor *actor = lane->actor;
    struct stream *stream = lane->kind == LANE_STREAM ? lane->stream : NULL;
    bool stream_ends = false;
    bool stream_unknown = false;
    bool holds_lock = atomic_load(&actor->open->writers) != 0 && lane_holds_lock(lane);
    int work;

    mutex_lock(&actor->lock);
    lane->last_used_ms = clock_now_ms();
    if (lane->kind == LANE_WRITE && list_empty(&lane->inbox))
        lane_waited(lane);
    if (lane->state == LANE_RUNNING) {
        work = next_work_locked(lane);
        if (work < 0 || !wants_turn_still_locked(lane))
            writers_turn_over_locked(lane, holds_lock);
        if (work >= 0) {
            push_to(lane, work == 1);
        } else {
            lane->state = LANE_FREE;
            actor->open->busy_lanes--;
            /* In one step: from here on nobody finds the lane to push it again. */
            stream_ends = stream != NULL && stream_end_locked(stream);
            stream_unknown = stream_ends && stream_is_unknown_locked(stream);
        }
    }
    mutex_unlock(&actor->lock);
    if (stream_ends)
        mem_free(lane);
    if (stream_unknown)
        stream_free(stream);
}

struct lane *actor_add_reader_locked(struct actor *actor)
{
    struct open_database *open = actor->open;
    struct lane *lane;

    if (open->reader_count >=
        MIN(actor->engine->options.readers_per_database, ACTOR_READ_LANES_MAX))
        return NULL;
    lane = mem_zalloc(sizeof(*lane));
    lane_init(lane, actor, LANE_READ);
    lane->index = open->reader_count;
    open->readers[open->reader_count++] = lane;
    return lane;
}

/* A read found every lane busy: often enough in a short time, and one is added. */
static bool contended_locked(struct open_database *open)
{
    uint64_t now = clock_now_ms();

    if (now - open->contention_since_ms > ACTOR_CONTENTION_MS) {
        open->contention_since_ms = now;
        open->contention = 0;
    }
    return ++open->contention >= ACTOR_CONTENTION;
}

static struct lane *free_reader_locked(struct open_database *open, unsigned hint)
{
    for (unsigned i = 0; i < open->reader_count; i++) {
        struct lane *lane = open->readers[(hint + i) % open->reader_count];

        if (lane->state == LANE_FREE)
            return lane;
    }
    return NULL;
}

/* The write lane is taken for long: what it would have read goes to a read lane. */
void actor_read_elsewhere_locked(struct actor *actor)
{
    struct open_database *open = actor->open;
    struct lane *lane;

    if (list_empty(&open->reads))
        return;
    lane = free_reader_locked(open, 0);
    if (lane == NULL)
        lane = actor_add_reader_locked(actor);
    if (lane != NULL)
        lane_push_locked(lane);
}

static void dispatch_read_locked(struct actor *actor, struct request *request)
{
    struct open_database *open = actor->open;
    struct lane *lane = free_reader_locked(open, request->lane_hint);

    list_append(&open->reads, &request->link);
    if (lane == NULL && open->write.state == LANE_FREE)
        lane = &open->write;
    if (lane == NULL &&
        (open->write.slow || open->write.state == LANE_PARKED || contended_locked(open)))
        lane = actor_add_reader_locked(actor);
    if (lane != NULL)
        lane_push_locked(lane);
    /* else: a lane takes it at the end of its turn */
}

static void dispatch_slow_read_locked(struct actor *actor, struct request *request)
{
    struct open_database *open = actor->open;
    struct lane *lane = free_reader_locked(open, request->lane_hint);

    list_append(&open->slow_reads, &request->link);
    if (lane == NULL)
        lane = actor_add_reader_locked(actor);
    if (lane != NULL)
        lane_push_locked(lane);
}

void actor_dispatch_locked(struct actor *actor, struct request *request)
{
    struct open_database *open = actor->open;

    actor->waiting++;
    actor->waiting_bytes += request_bytes(request);
    if (request->stream != NULL) {
        stream_enqueue_locked(request->stream, request);
        return;
    }
    if (request->route == ROUTE_UNKNOWN)
        request->route = (uint8_t)guess_route(request);
    switch ((enum request_route)request->route) {
    case ROUTE_READ:
        dispatch_read_locked(actor, request);
        break;
    case ROUTE_SLOW_READ:
        dispatch_slow_read_locked(actor, request);
        break;
    case ROUTE_UNKNOWN:
    case ROUTE_WRITE:
    case ROUTE_SLOW_WRITE:
    default:
        list_append(&open->write.inbox, &request->link);
        if (open->write.state == LANE_FREE && !lane_gathers(&open->write))
            lane_push_locked(&open->write);
        break;
    }
}

/* It runs now. Lock held. */
static void taken_locked(struct actor *actor, const struct request *request)
{
    actor->waiting--;
    actor->waiting_bytes -= request_bytes(request);
}

struct request *actor_take_read(struct actor *actor, struct lane *lane)
{
    struct open_database *open = actor->open;
    struct list *from = lane->slow ? &open->slow_reads : &open->reads;
    struct request *request = NULL;

    mutex_lock(&actor->lock);
    if (!list_empty(from)) {
        request = LIST_FIRST(from, struct request, link);
        list_remove(&request->link);
        taken_locked(actor, request);
    }
    mutex_unlock(&actor->lock);
    return request;
}

struct request *actor_take_inbox(struct lane *lane, bool slow)
{
    struct actor *actor = lane->actor;
    struct request *request = NULL;

    mutex_lock(&actor->lock);
    if (!list_empty(&lane->inbox)) {
        request = LIST_FIRST(&lane->inbox, struct request, link);
        if ((request->route == ROUTE_SLOW_WRITE) != slow && lane->kind == LANE_WRITE) {
            request = NULL;
        } else {
            list_remove(&request->link);
            taken_locked(actor, request);
        }
    }
    mutex_unlock(&actor->lock);
    return request;
}

void actor_take_group(struct lane *lane, unsigned most, struct list *ret_requests)
{
    struct actor *actor = lane->actor;

    list_init(ret_requests);
    mutex_lock(&actor->lock);
    while (most-- > 0 && !list_empty(&lane->inbox)) {
        struct request *request = LIST_FIRST(&lane->inbox, struct request, link);

        if (request->route == ROUTE_SLOW_WRITE)
            break;
        if (request->kind == REQUEST_FAMILY) { /* a group of its own */
            if (!list_empty(ret_requests))
                break;
            most = 0;
        }
        list_remove(&request->link);
        taken_locked(actor, request);
        list_append(ret_requests, &request->link);
    }
    mutex_unlock(&actor->lock);
}

void actor_take_older(struct lane *lane, uint64_t before_ns, struct list *ret_requests)
{
    struct actor *actor = lane->actor;

    list_init(ret_requests);
    mutex_lock(&actor->lock);
    LIST_FOREACH_SAFE(item, next, &lane->inbox)
    {
        struct request *request = LIST_ENTRY(item, struct request, link);

        if (request->submitted_ns > before_ns)
            continue;
        list_remove(item);
        taken_locked(actor, request);
        list_append(ret_requests, item);
    }
    mutex_unlock(&actor->lock);
}

void actor_put_back(struct lane *lane, struct list *requests)
{
    struct actor *actor = lane->actor;

    mutex_lock(&actor->lock);
    while (!list_empty(requests)) {
        struct request *request = LIST_ENTRY(requests->prev, struct request, link);

        list_remove(&request->link);
        list_prepend(&lane->inbox, &request->link);
        actor->waiting++;
        actor->waiting_bytes += request_bytes(request);
    }
    mutex_unlock(&actor->lock);
}

/* One more session than the database may have. */
static bool is_stream_too_many(struct actor *actor, const struct stream *stream)
{
    bool is_open = actor->state == ACTOR_OPEN && !actor->open->failed;
    /* The place of one that rests is another's already. */
    bool known = is_open ? stream->linked && !stream->resting : stream->in_mailbox > 0;
    unsigned count = is_open ? actor->open->stream_count : actor->waiting_streams;
    unsigned most = actor->engine->options.streams_per_database;

    if (known || count < most)
        return false;
    return !is_open || !streams_make_room_locked(actor->open, most);
}

/* Full, draining, gone: 0 when the request may come in. */
static int admit_locked(struct actor *actor, const struct request *request, struct err *ret_err)
{
    const struct engine_options *options = &actor->engine->options;

    if (atomic_load_explicit(&actor->engine->draining, memory_order_relaxed) &&
        request->principal != NULL)
        return err_set(ret_err, ERR_DRAINING, "the server is stopping; try again in a moment");
    if (actor->waiting >= options->mailbox_messages ||
        actor->waiting_bytes + request_bytes(request) > options->mailbox_bytes) {
        metric_add(METRIC_OVERLOADED, 1);
        return err_set(ret_err, ERR_OVERLOADED,
            "this database has %u requests waiting; slow down and try again", actor->waiting);
    }
    if (request->stream != NULL && is_stream_too_many(actor, request->stream))
        return err_set(ret_err, ERR_OVERLOADED,
            "this database has %u sessions open, the most there may be",
            options->streams_per_database);
    return 0;
}

void actor_submit(struct actor *actor, struct request *request)
{
    struct err err = ERR_INIT;
    bool opens = false;

    mutex_lock(&actor->lock);
    if (admit_locked(actor, request, &err) < 0) {
        mutex_unlock(&actor->lock);
        err_copy(&request->err, &err);
        request_release(request);
        return;
    }
    atomic_store_explicit(&actor->last_used_ms, clock_now_ms(), memory_order_relaxed);
    if (actor->state == ACTOR_OPEN && !actor->open->failed) {
        actor_dispatch_locked(actor, request);
    } else {
        actor->waiting++;
        actor->waiting_bytes += request_bytes(request);
        if (request->stream != NULL)
            stream_wait_locked(request->stream);
        list_append(&actor->mailbox, &request->link);
        opens = actor->state == ACTOR_CLOSED;
        if (opens)
            actor->state = ACTOR_OPENING;
    }
    mutex_unlock(&actor->lock);
    if (opens)
        actor_start_open(actor, request->database);
}

/* The mailbox of an actor that has just opened. Lock held. */
void actor_dispatch_mailbox_locked(struct actor *actor)
{
    struct list waiting;

    list_init(&waiting);
    list_splice(&waiting, &actor->mailbox);
    while (!list_empty(&waiting)) {
        struct request *request = LIST_FIRST(&waiting, struct request, link);

        list_remove(&request->link);
        taken_locked(actor, request);
        actor_dispatch_locked(actor, request);
        if (request->stream != NULL)
            stream_waited_locked(request->stream); /* by now its lane knows it */
    }
}

void actor_take_mailbox_locked(struct actor *actor, struct list *ret_requests)
{
    list_init(ret_requests);
    LIST_FOREACH(item, &actor->mailbox)
    {
        taken_locked(actor, LIST_ENTRY(item, struct request, link));
    }
    list_splice(ret_requests, &actor->mailbox);
}

void actor_refuse_mailbox(struct actor *actor, struct list *requests, const struct err *err)
{
    while (!list_empty(requests)) {
        struct request *request = LIST_FIRST(requests, struct request, link);
        struct stream *stream = request->stream;
        bool unknown = false;

        list_remove(&request->link);
        if (stream != NULL) {
            mutex_lock(&actor->lock);
            stream_waited_locked(stream);
            unknown = stream_is_unknown_locked(stream);
            mutex_unlock(&actor->lock);
        }
        err_copy(&request->err, err);
        request_release(request);
        if (unknown)
            stream_free(stream);
    }
}

void actor_settled(void *context)
{
    struct open_database *open = context;

    mutex_lock(&open->actor->lock);
    if (open->write.state == LANE_FREE && !list_empty(&open->write.inbox))
        lane_push_locked(&open->write);
    mutex_unlock(&open->actor->lock);
}

/* Batches of which a part is committed, perhaps not on disk: they cannot go on elsewhere. */
static void take_begun_locked(struct lane *lane, struct list *ret_requests)
{
    LIST_FOREACH_SAFE(item, next, &lane->inbox)
    {
        struct request *request = LIST_ENTRY(item, struct request, link);

        if (request->next_index == 0)
            continue;
        list_remove(item);
        taken_locked(lane->actor, request);
        list_append(ret_requests, item);
    }
}

void actor_withdraw(struct actor *actor)
{
    struct open_database *open = actor->open;
    struct list waiting;
    struct list begun;

    list_init(&waiting);
    list_init(&begun);
    mutex_lock(&actor->lock);
    if (open->failed) {
        take_begun_locked(&open->write, &begun);
        list_splice(&waiting, &open->write.inbox);
        list_splice(&waiting, &open->reads);
        list_splice(&waiting, &open->slow_reads);
        list_splice(&waiting, &actor->mailbox);
        list_splice(&actor->mailbox, &waiting);
    }
    mutex_unlock(&actor->lock);
    LIST_FOREACH_SAFE(item, next, &begun)
    {
        list_remove(item);
        request_refuse(LIST_ENTRY(item, struct request, link), ERR_OUTCOME_UNKNOWN,
            "the disk failed during the batch: whether what it did was kept is not known");
    }
}

void actor_sync_failed(void *context)
{
    struct open_database *open = context;

    mutex_lock(&open->actor->lock);
    open->failed = true;
    open->actor->close_wanted = true;
    mutex_unlock(&open->actor->lock);
}
