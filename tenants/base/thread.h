/* Thread roles and the few primitives we use.
 *
 * Roles: *main* (start and stop), *loop* (one libuv loop each), *worker* (runs lanes), *sync* (runs
 * fdatasync). A function that may run in one role only says so: `ON(worker_thread)`. clang checks
 * it
 * (-Wthread-safety); for gcc the words are empty. Entering a role is said once, at the thread's
 * first function and in libuv callbacks, with the …_enter()/…_leave() pair.
 *
 * `actor_owner` is held by whoever runs a lane, a worker or a loop. */
#ifndef TENANTS_BASE_THREAD_H
#define TENANTS_BASE_THREAD_H

#include <pthread.h>

#include "tenants/base/macros.h"

#if defined(__clang__)
#define THREAD_ROLE __attribute__((capability("role")))
#define ON(role) __attribute__((requires_capability(role)))
#define OWNED_BY(role) __attribute__((guarded_by(role)))
#define ENTERS(role) __attribute__((acquire_capability(role), no_thread_safety_analysis))
#define LEAVES(role) __attribute__((release_capability(role), no_thread_safety_analysis))
#else
#define THREAD_ROLE
#define ON(role)
#define OWNED_BY(role)
#define ENTERS(role)
#define LEAVES(role)
#endif

struct THREAD_ROLE thread_role {
    char unused;
};

extern struct thread_role loop_thread;
extern struct thread_role worker_thread;
extern struct thread_role actor_owner;

static inline void loop_thread_enter(void) ENTERS(loop_thread);
static inline void loop_thread_leave(void) LEAVES(loop_thread);
static inline void worker_thread_enter(void) ENTERS(worker_thread);
static inline void worker_thread_leave(void) LEAVES(worker_thread);
static inline void actor_owner_enter(void) ENTERS(actor_owner);
static inline void actor_owner_leave(void) LEAVES(actor_owner);
static inline void actor_owner_enter(void)
{
}
static inline void actor_owner_leave(void)
{
}
static inline void loop_thread_enter(void)
{
}
static inline void loop_thread_leave(void)
{
}
static inline void worker_thread_enter(void)
{
}
static inline void worker_thread_leave(void)
{
}

/* Mutex and condition whose failures are bugs (CHECK). Waits use the monotonic clock. */
struct mutex {
    pthread_mutex_t native;
};
struct cond {
    pthread_cond_t native;
};

void mutex_init(struct mutex *mutex);
void mutex_fini(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
bool mutex_trylock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

void cond_init(struct cond *cond);
void cond_fini(struct cond *cond);
void cond_signal(struct cond *cond);
void cond_broadcast(struct cond *cond);
void cond_wait(struct cond *cond, struct mutex *mutex);
/* False when `timeout_ns` passed. */
bool cond_wait_for(struct cond *cond, struct mutex *mutex, uint64_t timeout_ns);

/* Starts a thread named `name` (15 characters are kept), all signals blocked. CHECKs success. */
void thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *argument);
void thread_join(pthread_t thread);

#endif
