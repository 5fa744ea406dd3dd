#include "src/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proto/hrana/batons.h"
#include "src/data_dir.h"
#include "src/listener.h"
#include "src/loop.h"
#include "src/process_routes.h"
#include "src/signed_tokens.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"

#define TICK_MS 100
#define BLOCKED_NS (200 * NS_PER_MS)

/* ---- start ---- */

static int complain(const struct err *err, int code)
{
    (void)fprintf(stderr, "rookeryd: %s\n", err->msg);
    return code;
}

static void raise_limits(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)signal(SIGPIPE, SIG_IGN);
}

/* An open database takes about four descriptors, a connection one. */
static void check_descriptors(const struct options *options)
{
    struct rlimit files;
    uint64_t wanted = 64 + options->max_connections + 4ULL * options->engine.max_open;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < wanted)
        log_info("server.few_descriptors",
            "limit=%llu wanted=%llu fix=\"raise ulimit -n, or lower --max-open and "
            "--max-connections\"",
            (unsigned long long)files.rlim_cur, (unsigned long long)wanted);
}

/* SIGHUP opens the file anew: whoever rotates has moved the old one away. The descriptor keeps its
 * number: threads write to it meanwhile, and a closed number could be a database's a moment later.
 */
static int open_log(struct server *server, struct err *ret_err)
{
    const char *path = server->options->log_file;
    int fd;

    log_set_level(server->options->log_level);
    if (path[0] == '\0')
        return 0;
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot open the log file %s", path);
    if (server->log_fd < 0) {
        server->log_fd = fd;
        log_set_fd(fd);
        return 0;
    }
    CHECK(dup3(fd, server->log_fd, O_CLOEXEC) == server->log_fd);
    (void)close(fd);
    return 0;
}

static void *run_worker(void *engine)
{
    engine_worker_run(engine);
    return NULL;
}

static void *run_slow(void *engine)
{
    engine_slow_run(engine);
    return NULL;
}

static void *run_sync(void *engine)
{
    engine_sync_run(engine);
    return NULL;
}

static void start_some(
    struct server *server, unsigned count, const char *name, void *(*run)(void *))
{
    char numbered[16];

    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(numbered, sizeof(numbered), "%s-%u", name, i % 1000);
        thread_start(&server->threads[server->thread_count++], numbered, run, server->engine);
    }
}

static void start_threads(struct server *server)
{
    const struct engine_options *engine = &server->options->engine;
    unsigned count = engine->workers + engine->slow_workers + engine->sync_threads;

    server->threads = mem_alloc(count * sizeof(*server->threads));
    start_some(server, engine->workers, "worker", run_worker);
    start_some(server, engine->slow_workers, "slow", run_slow);
    start_some(server, engine->sync_threads, "sync", run_sync);
}

static int open_catalogue(struct server *server, struct err *ret_err)
{
    const struct options *options = server->options;
    const struct catalogue_options limits = {
        .delete_grace_ms = options->surface.delete_grace_ms,
        .max_tokens_per_tenant = options->surface.max_tokens_per_tenant,
        .max_database_bytes = options->engine.max_database_bytes,
        .memory_per_database = options->engine.memory_per_database,
    };
    char token[CATALOGUE_BOOTSTRAP_BYTES] = "";

    if (catalogue_open(server->engine, options->data_dir, &server->catalogue, token, ret_err) < 0)
        return -1;
    catalogue_configure(server->catalogue, &limits);
    if (token[0] == '\0' || options->bootstrap_token_file[0] == '\0')
        return 0;
    return data_dir_write_secret(options->bootstrap_token_file, token, ret_err);
}

/* `count` grows with each that is ours. */
static int open_list(struct server *server, const struct option_list *list, bool is_admin,
    unsigned *count, struct buf *all, struct err *ret_err)
{
    char bound[LISTENER_ADDRESS_BYTES];

    for (; *count < list->count; ++*count) {
        if (listener_open(server, list->items[*count], is_admin, bound, ret_err) < 0)
            return -1;
        if (*count > 0)
            buf_char(all, ',');
        buf_cstr(all, bound);
    }
    return 0;
}

static int open_listeners(struct server *server, struct buf *listen, struct err *ret_err)
{
    const struct options *options = server->options;
    struct buf admin = {0};
    int rc = 0;

    if (open_list(server, &options->listen, false, &server->listening, listen, ret_err) < 0 ||
        open_list(server, &options->listen_admin, true, &server->listening_admin, &admin, ret_err) <
            0)
        rc = -1;
    else if (admin.len > 0)
        log_info("server.admin", "listen=%.*s open=%s", STR_ARGS(buf_view(&admin)),
            options->admin_open ? "true" : "false");
    buf_fini(&admin);
    return rc;
}

static void make_loops(struct server *server)
{
    server->loops = mem_zalloc(server->options->loops * sizeof(struct loop *));
    for (unsigned i = 0; i < server->options->loops; i++)
        server->loops[server->loop_count++] = loop_new(server, i);
}

static void announce(struct server *server, const char *listen)
{
    const struct options *options = server->options;
    unsigned fd = options->ready_fd;
    char text[80];

    atomic_store(&server->ready, true);
    log_info("server.ready", "listen=%s data=%s pid=%ld version=%s loops=%u workers=%u commit=%s",
        listen, options->data_dir, (long)getpid(), ROOKERY_VERSION, server->loop_count,
        options->engine.workers, options->engine.commit == COMMIT_INLINE ? "inline" : "pipelined");
    if (fd != 0) {
        if (dprintf((int)fd, "ready %.*s\n", (int)strcspn(listen, ","), listen) < 0)
            log_warn(
                "server.ready_fd", "fd=%u error=\"%s\"", fd, strerror_r(errno, text, sizeof(text)));
        if (fd > 2)
            (void)close((int)fd);
    }
}

/* ---- running ---- */

/* A loop that does not come back to poll keeps all its clients waiting: say so, once a case. */
static void watch_loops(struct server *server)
{
    for (unsigned i = 0; i < server->loop_count; i++) {
        struct loop *loop = server->loops[i];
        uint64_t since = atomic_load_explicit(&loop->busy_since_ns, memory_order_relaxed);
        uint64_t now = clock_now_ns();

        if (since != 0 && now > since && now - since > BLOCKED_NS &&
            since != loop->reported_busy_ns) {
            loop->reported_busy_ns = since;
            log_warn("loop.blocked", "loop=%u ms=%llu", i,
                (unsigned long long)((now - since) / NS_PER_MS));
        }
    }
}

static void on_changed(const struct option_row *row, const char *text, bool applied)
{
    if (applied)
        log_info("config.changed", "option=%s value=%s", row->name, text);
    else
        log_warn("config.needs_restart", "option=%s", row->name);
}

static void apply_reload(struct server *server,
    int (*reload)(void *argument, struct options *ret_fresh, struct err *ret_err), void *argument)
{
    struct options *options = server->options;
    struct options *fresh = mem_alloc(sizeof(*fresh));
    struct err err = ERR_INIT;
    struct loop_limits limits;

    if (reload(argument, fresh, &err) < 0) {
        log_error("config.refused", "error=\"%s\"", err.msg);
    } else {
        options_reload(options, fresh, on_changed);
        loop_limits_from(options, &limits);
        for (unsigned i = 0; i < server->loop_count; i++)
            loop_set_limits(server->loops[i], &limits);
        signed_tokens_reload(server);
        atomic_store(&server->admission.most, options->max_connections);
        atomic_store(&server->admission.most_per_address, options->max_connections_per_address);
    }
    if (open_log(server, &err) < 0)
        log_error("log.refused", "error=\"%s\"", err.msg);
    log_info("config.reloaded", "log_level=%d", (int)options->log_level);
    options_fini(fresh);
    mem_free(fresh);
}

/* Waits for one of our signals or a tick's time; 0 when the time passed. */
static int next_signal(void)
{
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    sigset_t set;
    int got;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    got = sigtimedwait(&set, NULL, &tick);
    return got < 0 ? 0 : got;
}

static void tick(struct server *server)
{
    uint64_t now_ns = clock_now_ns();

    engine_tick(server->engine, now_ns);
    hrana_batons_tick(server->batons, now_ns / NS_PER_MS);
    if (server->catalogue != NULL)
        catalogue_tick(server->catalogue, now_ns);
    watch_loops(server);
}

/* ---- stop ---- */

static void on_second_signal(int signal_number)
{
    (void)signal_number;
    _exit(EXIT_SIGNALLED);
}

/* From here on SIGTERM and SIGINT end the process at once, whatever this thread waits for. */
static void arm_second_signal(void)
{
    struct sigaction action = {.sa_handler = on_second_signal};
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    CHECK(sigaction(SIGTERM, &action, NULL) == 0);
    CHECK(sigaction(SIGINT, &action, NULL) == 0);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
}

static void nap(void)
{
    const struct timespec pause = {.tv_nsec = 5000000L};

    (void)nanosleep(&pause, NULL);
}

/* Promise 9: nothing new comes in, what runs ends (or is cut off at the deadline). */
static void drain(struct server *server)
{
    uint64_t deadline = clock_now_ns() + server->options->drain_timeout_ms * NS_PER_MS;

    atomic_store(&server->draining, true);
    log_info("server.draining", "requests=%u timeout_ms=%llu", atomic_load(&server->turns),
        (unsigned long long)server->options->drain_timeout_ms);
    for (unsigned i = 0; i < server->loop_count; i++)
        loop_drain(server->loops[i]);
    while (clock_now_ns() < deadline &&
           (atomic_load(&server->turns) > 0 || atomic_load(&server->admission.total) > 0)) {
        tick(server);
        nap();
    }
    engine_drain(server->engine);
    while (clock_now_ns() < deadline && !engine_idle(server->engine)) {
        tick(server);
        nap();
    }
    if (atomic_load(&server->turns) > 0 || !engine_idle(server->engine))
        log_warn("server.drain_timeout", "requests=%u", atomic_load(&server->turns));
}

/* Drops what is left (after the deadline, or after a failed start) and cancels its work. The engine
 * is still running and ticked: every request comes home before its loop ends. */
static void stop_loops(struct server *server, bool started)
{
    for (unsigned i = 0; i < server->loop_count; i++) {
        if (!started)
            loop_start(server->loops[i]);
        loop_stop(server->loops[i]);
    }
    for (unsigned i = 0; i < server->loop_count; i++) {
        while (!atomic_load(&server->loops[i]->ended)) {
            tick(server); /* looks at every loop, so none is freed before all have ended */
            nap();
        }
    }
    for (unsigned i = 0; i < server->loop_count; i++) {
        loop_join(server->loops[i]);
        loop_free(server->loops[i]);
    }
    mem_free(server->loops);
    server->loops = NULL;
    server->loop_count = 0;
    listener_unlink_all(&server->options->listen, server->listening);
    listener_unlink_all(&server->options->listen_admin, server->listening_admin);
}

static void stop_engine(struct server *server)
{
    if (server->engine == NULL)
        return;
    signed_tokens_stop(server);
    hrana_batons_free(server->batons);  /* needs the engine's threads, too */
    catalogue_close(server->catalogue); /* needs the engine's threads */
    engine_stop(server->engine);
    for (unsigned i = 0; i < server->thread_count; i++)
        thread_join(server->threads[i]);
    mem_free(server->threads);
    engine_close_all(server->engine);
    engine_free(server->engine);
}

/* ---- the whole ---- */

static int code_of(const struct err *err, int otherwise)
{
    return err->code == ERR_BUSY ? EXIT_DATA_BUSY : otherwise;
}

static int start(struct server *server, struct buf *listen)
{
    struct err err = ERR_INIT;

    if (policy_init(&server->policy, server->options, &err) < 0 ||
        listener_check(server->options, &err) < 0)
        return complain(&err, EXIT_CONFIG);
    if (open_log(server, &err) < 0)
        return complain(&err, EXIT_CONFIG);
    if (data_dir_open(server->options->data_dir, &server->lock_fd, &err) < 0)
        return complain(&err, code_of(&err, EXIT_DATA));
    if (engine_new(&server->options->engine, &server->engine, &err) < 0)
        return complain(&err, EXIT_DATA);
    start_threads(server);
    server->batons = hrana_batons_new();
    if (open_catalogue(server, &err) < 0)
        return complain(&err, EXIT_DATA);
    if (signed_tokens_start(server, &err) < 0)
        return complain(&err, EXIT_CONFIG);
    process_routes_init(server);
    make_loops(server);
    if (open_listeners(server, listen, &err) < 0)
        return complain(&err, err.code == ERR_BAD_REQUEST ? EXIT_CONFIG : EXIT_LISTEN);
    return EXIT_OK;
}

static void run(struct server *server,
    int (*reload)(void *argument, struct options *ret_fresh, struct err *ret_err), void *argument)
{
    for (;;) {
        int got = next_signal();

        tick(server);
        if (got == SIGHUP)
            apply_reload(server, reload, argument);
        else if (got != 0)
            break;
    }
    arm_second_signal();
    drain(server);
}

int server_run(struct options *options,
    int (*reload)(void *argument, struct options *ret_fresh, struct err *ret_err),
    void *reload_argument)
{
    struct server *server = mem_zalloc(sizeof(*server));
    struct buf listen = {0};
    int code;

    server->options = options;
    server->lock_fd = -1;
    server->log_fd = -1;
    server->started_ns = clock_now_ns();
    server->started_wall_ms = clock_wall_ms();
    admission_init(
        &server->admission, options->max_connections, options->max_connections_per_address);
    raise_limits();
    code = start(server, &listen);
    buf_char(&listen, '\0');
    if (code == EXIT_OK) {
        for (unsigned i = 0; i < server->loop_count; i++)
            loop_start(server->loops[i]);
        check_descriptors(options);
        announce(server, listen.bytes);
        run(server, reload, reload_argument);
    }
    stop_loops(server, code == EXIT_OK);
    stop_engine(server);
    if (code == EXIT_OK)
        log_info("server.stopped", "uptime_s=%llu",
            (unsigned long long)((clock_now_ns() - server->started_ns) / NS_PER_S));
    if (server->lock_fd >= 0)
        (void)close(server->lock_fd);
    buf_fini(&listen);
    admission_fini(&server->admission);
    mem_free(server);
    return code;
}
