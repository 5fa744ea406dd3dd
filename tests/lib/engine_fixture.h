/* An engine with its threads on a fresh folder, databases made by hand, and a sink that writes
 * text: for unit tests of tenants/ without a server. */
#ifndef TESTS_LIB_ENGINE_FIXTURE_H
#define TESTS_LIB_ENGINE_FIXTURE_H

#include "tenants/base/thread.h"
#include "tenants/database.h"
#include "tenants/engine.h"

#define FIXTURE_THREADS_MAX 32

struct fixture {
    char data_dir[64];
    struct engine *engine;
    struct engine_options options;
    pthread_t threads[FIXTURE_THREADS_MAX];
    unsigned thread_count;
    pthread_t ticker;
    atomic_bool ticking;
    struct principal *owner;
    struct principal *reader;
};

/* A call that waits for its answer. */
struct call {
    struct request request;
    struct sink sink; /* out: "a|b\n" per row, "=N\n" at each end, "!code\n" at each error */
    struct statement_input statements[8];
    struct parameter parameters[8][8];
    struct arena arena;
    struct mutex lock;
    struct cond changed;
    bool done;
};

/* Defaults changed by the caller before start; data_dir is made and set. */
void fixture_init(struct fixture *fixture);
void fixture_start(struct fixture *fixture);
/* Drains, stops, closes all; fails the process when something is left. Keeps the folder. */
void fixture_stop(struct fixture *fixture);
void fixture_remove(struct fixture *fixture);
/* A database entry (reserved); the caller unrefs it before fixture_stop. */
struct database *fixture_database(struct fixture *fixture, const char *slug, uint64_t id);

void call_init(struct call *call, struct fixture *fixture);
void call_fini(struct call *call);
/* Adds a statement; parameters are added with call_bind_*. */
void call_add(struct call *call, const char *sql);
void call_bind_integer(struct call *call, int64_t value);
void call_bind_text(struct call *call, const char *value);
void call_submit(struct call *call, struct fixture *fixture, struct database *database);
void call_wait(struct call *call);
bool call_is_done(struct call *call);
/* engine_try_here(), this thread being a loop meanwhile. */
bool call_try_here(struct call *call, struct fixture *fixture, struct database *database);
/* The text the sink wrote, terminated. */
const char *call_text(struct call *call);
/* One statement from start to end: its text; *ret_code (may be NULL) gets the error's code. Static.
 */
const char *run_sql(
    struct fixture *fixture, struct database *database, const char *sql, enum err_code *ret_code);

/* A stream of the owner's; stream_close() is the caller's. */
struct stream *fixture_stream(struct fixture *fixture, struct database *database);
/* run_sql() in a stream. */
const char *stream_sql(
    struct fixture *fixture, struct stream *stream, const char *sql, enum err_code *ret_code);
/* Its error's code alone; any number of threads at once. */
enum err_code in_stream(struct fixture *fixture, struct stream *stream, const char *sql);

#endif
