/* A dialect for tests alone: the real server with a WebSocket that says back what it hears, and
 * does on demand what dialects do: answers from other threads, holds, floods, closes. It takes the
 * place of proto/dialects.c in build/tests/rookeryd-echo; the product does not have it.
 *
 * Messages: "late X" is answered by another thread, "slow X" by
 * one that takes its time; "hold X" is answered "held X" by the next
 * POST /test/release; "close CODE REASON"; "flood COUNT BYTES" sends so many messages and "done";
 * "task X" is answered from a task; anything else comes back as it is. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/admin/admin.h"
#include "proto/persql/persql.h"
#include "proto/websocket.h"
#include "tenants/base/mem.h"

#define HOLDS_MAX 4

static atomic_uint made, opened, closed, freed, last_code;

/* One message whose answer comes later. */
struct job {
    struct websocket_task task;
    struct list link; /* held */
    struct websocket *websocket;
    struct buf answer;
};

struct session {
    bool floods;
    unsigned long flood_left;
    size_t flood_bytes;
};

static struct mutex held_lock = {PTHREAD_MUTEX_INITIALIZER};
static struct list held = {&held, &held};

static void say(struct websocket *websocket, const char *word, struct str text)
{
    struct buf out = {0};

    buf_cstr(&out, word);
    buf_str(&out, text);
    (void)websocket_send(websocket, true, &out);
}

/* ---- answers that come later ---- */

static void answer(struct job *job)
{
    struct websocket *websocket = job->websocket;

    (void)websocket_send(websocket, true, &job->answer);
    mem_free(job);
    websocket_release(websocket);
}

static void *run_late(void *argument)
{
    answer(argument);
    return NULL;
}

static void run_task(struct websocket_task *task)
{
    answer(CONTAINER_OF(task, struct job, task));
}

static struct job *new_job(struct websocket *websocket, const char *word, struct str text)
    ON(loop_thread)
{
    struct job *job = mem_zalloc(sizeof(*job));

    job->websocket = websocket;
    buf_cstr(&job->answer, word);
    buf_str(&job->answer, text);
    websocket_hold(websocket);
    return job;
}

static void *run_slow(void *argument)
{
    const struct timespec pause = {.tv_nsec = 300000000L};

    (void)nanosleep(&pause, NULL);
    answer(argument);
    return NULL;
}

static void start(struct websocket *websocket, void *(*run)(void *), const char *word,
    struct str text) ON(loop_thread)
{
    pthread_t thread;

    thread_start(&thread, "late", run, new_job(websocket, word, text));
    (void)pthread_detach(thread);
}

static void keep(struct websocket *websocket, struct str text) ON(loop_thread)
{
    struct job *job = new_job(websocket, "held ", text);

    mutex_lock(&held_lock);
    list_append(&held, &job->link);
    mutex_unlock(&held_lock);
}

static void start_task(struct websocket *websocket, struct str text) ON(loop_thread)
{
    struct job *job = new_job(websocket, "task ", text);

    job->task.run = run_task;
    websocket_post(websocket, &job->task);
}

/* ---- the handler ---- */

static void go_on(struct websocket *websocket)
{
    struct session *session = websocket->state;

    while (session->flood_left > 0) {
        struct buf out = {0};

        session->flood_left--;
        for (size_t i = 0; i < session->flood_bytes; i++)
            buf_char(&out, (char)('a' + i % 26));
        if (websocket_send(websocket, true, &out) != WEBSOCKET_ROOM)
            return;
    }
    session->floods = false;
    say(websocket, "done", str_make("", 0));
}

static void on_writable(struct websocket *websocket)
{
    struct session *session = websocket->state;

    if (session->floods)
        go_on(websocket);
}

static bool starts(struct str *text, const char *word)
{
    size_t len = strlen(word);

    if (!str_starts_with(*text, word))
        return false;
    *text = str_make(text->ptr + len, text->len - len);
    return true;
}

static void do_as_told(struct websocket *websocket, struct str text, struct buf *bytes)
    ON(loop_thread)
{
    struct session *session = websocket->state;
    uint64_t number = 0;

    if (starts(&text, "late ")) {
        start(websocket, run_late, "late ", text);
    } else if (starts(&text, "slow ")) {
        start(websocket, run_slow, "slow ", text);
    } else if (starts(&text, "hold ")) {
        keep(websocket, text);
    } else if (starts(&text, "task ")) {
        start_task(websocket, text);
    } else if (starts(&text, "close ")) {
        if (str_to_u64(str_split(&text, ' '), &number) == 0)
            websocket_close(websocket, (unsigned)number, text);
    } else if (starts(&text, "flood ")) {
        if (str_to_u64(str_split(&text, ' '), &number) == 0)
            session->flood_left = number;
        if (str_to_u64(text, &number) == 0)
            session->flood_bytes = number;
        session->floods = true;
        go_on(websocket);
    } else {
        (void)websocket_send(websocket, true, bytes);
    }
}

static void on_message(struct websocket *websocket, bool is_text, struct buf *bytes) ON(loop_thread)
{
    if (is_text)
        do_as_told(websocket, buf_view(bytes), bytes);
    else
        (void)websocket_send(websocket, false, bytes);
}

static void on_open(struct websocket *websocket)
{
    (void)websocket;
    (void)atomic_fetch_add(&opened, 1);
}

/* Nobody waits for these any more. */
static void give_up_held(struct websocket *websocket)
{
    mutex_lock(&held_lock);
    LIST_FOREACH_SAFE(at, next, &held)
    {
        struct job *job = LIST_ENTRY(at, struct job, link);

        if (job->websocket == websocket) {
            list_remove(&job->link);
            answer(job);
        }
    }
    mutex_unlock(&held_lock);
}

static void on_closed(struct websocket *websocket, unsigned code)
{
    give_up_held(websocket);
    atomic_store(&last_code, code);
    (void)atomic_fetch_add(&closed, 1);
}

static void on_free(void *state)
{
    mem_free(state);
    (void)atomic_fetch_add(&freed, 1);
}

static const char *const subprotocols[] = {"echo2", "echo1", NULL};
static const struct websocket_handler handler = {.name = "echo",
    .subprotocols = subprotocols,
    .holds_max = HOLDS_MAX,
    .open = on_open,
    .message = on_message,
    .writable = on_writable,
    .closed = on_closed,
    .free = on_free};

/* ---- routes ---- */

static void upgrade(struct exchange *x)
{
    (void)atomic_fetch_add(&made, 1);
    exchange_upgrade(x, &handler, mem_zalloc(sizeof(struct session)));
}

static void finish(struct exchange *x)
{
    x->response.status = 200;
    x->response.content_type = "application/json";
    exchange_finish(x);
}

static void plain_or_upgrade(struct exchange *x)
{
    if (exchange_wants_websocket(x)) {
        upgrade(x);
        return;
    }
    buf_literal(&x->response.body, "{\"plain\":true}");
    finish(x);
}

static void release_held(struct exchange *x)
{
    struct list mine;
    unsigned count = 0;

    list_init(&mine);
    mutex_lock(&held_lock);
    list_splice(&mine, &held);
    mutex_unlock(&held_lock);
    for (; !list_empty(&mine); count++) {
        struct job *job = LIST_FIRST(&mine, struct job, link);

        list_remove(&job->link);
        answer(job);
    }
    buf_printf(&x->response.body, "{\"released\":%u}", count);
    finish(x);
}

static void count_sessions(struct exchange *x)
{
    unsigned waiting;

    mutex_lock(&held_lock);
    waiting = list_length(&held);
    mutex_unlock(&held_lock);
    buf_printf(&x->response.body,
        "{\"made\":%u,\"opened\":%u,\"closed\":%u,\"freed\":%u,\"code\":%u,\"held\":%u}",
        atomic_load(&made), atomic_load(&opened), atomic_load(&closed), atomic_load(&freed),
        atomic_load(&last_code), waiting);
    finish(x);
}

static const struct route routes[] = {
    {"echo_root", HTTP_METHOD_GET, "/", NEEDS_NOTHING, 0, upgrade, "Echo."},
    {"echo", HTTP_METHOD_GET, "/test/echo", NEEDS_NOTHING, 0, upgrade, "Echo."},
    {"echo_private", HTTP_METHOD_GET, "/test/private", NEEDS_PRINCIPAL, 0, upgrade, "With token."},
    {"echo_mixed", HTTP_METHOD_GET, "/test/mixed", NEEDS_NOTHING, 0, plain_or_upgrade, "Both."},
    {"echo_release", HTTP_METHOD_POST, "/test/release", NEEDS_NOTHING, 0, release_held, "Answers."},
    {"echo_sessions", HTTP_METHOD_GET, "/test/sessions", NEEDS_NOTHING, 0, count_sessions,
        "Counts."},
};

static const struct dialect echo_dialect = {
    .name = "echo",
    .routes = routes,
    .route_count = ARRAY_LEN(routes),
    .credentials = persql_credentials,
    .error = persql_error,
};

const struct dialect *const dialects[] = {
    &echo_dialect,
    &persql_dialect,
    &admin_dialect,
    NULL,
};
