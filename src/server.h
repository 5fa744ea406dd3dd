/* The process: what main() starts and stops, and what every loop shares.
 *
 *     config -> log -> data folder and lock -> engine -> its threads -> catalogue -> listeners
 *     -> loops -> ready; then signals until SIGTERM or SIGINT; then drain, and all of it backwards
 *
 * Threads: *main* runs server_run() and ticks the engine; `loops` loop threads; the engine's.
 * Fields are written before the loops start and after they have ended, except the atomics. */
#ifndef SRC_SERVER_H
#define SRC_SERVER_H

#include <stdatomic.h>

#include "src/admission.h"
#include "src/options.h"
#include "src/policy.h"

struct loop;

/* Exit codes, documented in --help. */
enum server_exit {
    EXIT_OK = 0,
    EXIT_FAILED = 1,     /* an internal failure */
    EXIT_CONFIG = 2,     /* a setting is wrong */
    EXIT_DATA = 3,       /* the data folder cannot be used: permission, space, damage */
    EXIT_DATA_BUSY = 4,  /* another rookeryd uses it */
    EXIT_LISTEN = 5,     /* an address is in use or not ours */
    EXIT_SIGNALLED = 130 /* a second signal during the drain */
};

struct server {
    struct options
        *options; /* borrowed: main's. Loops use their own copies of what reload changes */
    struct policy policy;
    struct admission admission;
    struct engine *engine;         /* owned */
    struct catalogue *catalogue;   /* owned */
    struct hrana_batons *batons;   /* owned */
    struct jwt_verifier *verifier; /* owned */
    pthread_t verifier_thread;
    struct loop **loops; /* owned */
    unsigned loop_count;
    unsigned listening;       /* the first so many addresses of options->listen are ours */
    unsigned listening_admin; /* likewise of options->listen_admin */
    pthread_t *threads;       /* the engine's */
    unsigned thread_count;
    int lock_fd;
    int log_fd;
    uint64_t started_ns;
    int64_t started_wall_ms;
    atomic_bool ready;
    atomic_bool draining;
    atomic_uint turns;           /* requests in flight on all loops */
    _Atomic uint64_t body_bytes; /* of bodies that came in pieces, of all of them */
};

/* Runs until told to stop. Signals SIGTERM, SIGINT, SIGHUP must be blocked in the calling thread.
 * `reload` reads the settings again (SIGHUP). Returns the process's exit code; has said why on
 * stderr and in the log. Main thread. */
int server_run(struct options *options,
    int (*reload)(void *argument, struct options *ret_fresh, struct err *ret_err),
    void *reload_argument);

#endif
