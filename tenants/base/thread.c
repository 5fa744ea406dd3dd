#include "tenants/base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "tenants/base/check.h"
#include "tenants/base/clock.h"

struct thread_role loop_thread;
struct thread_role worker_thread;
struct thread_role actor_owner;

void mutex_init(struct mutex *mutex)
{
    CHECK(pthread_mutex_init(&mutex->native, NULL) == 0);
}

void mutex_fini(struct mutex *mutex)
{
    CHECK(pthread_mutex_destroy(&mutex->native) == 0);
}

void mutex_lock(struct mutex *mutex)
{
    CHECK(pthread_mutex_lock(&mutex->native) == 0);
}

bool mutex_trylock(struct mutex *mutex)
{
    return pthread_mutex_trylock(&mutex->native) == 0;
}

void mutex_unlock(struct mutex *mutex)
{
    CHECK(pthread_mutex_unlock(&mutex->native) == 0);
}

void cond_init(struct cond *cond)
{
    pthread_condattr_t attributes;

    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&cond->native, &attributes) == 0);
    (void)pthread_condattr_destroy(&attributes);
}

void cond_fini(struct cond *cond)
{
    CHECK(pthread_cond_destroy(&cond->native) == 0);
}

void cond_signal(struct cond *cond)
{
    CHECK(pthread_cond_signal(&cond->native) == 0);
}

void cond_broadcast(struct cond *cond)
{
    CHECK(pthread_cond_broadcast(&cond->native) == 0);
}

void cond_wait(struct cond *cond, struct mutex *mutex)
{
    CHECK(pthread_cond_wait(&cond->native, &mutex->native) == 0);
}

bool cond_wait_for(struct cond *cond, struct mutex *mutex, uint64_t timeout_ns)
{
    struct timespec until;
    int rc;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_ns / NS_PER_S);
    until.tv_nsec += (long)(timeout_ns % NS_PER_S);
    if (until.tv_nsec >= (long)NS_PER_S) {
        until.tv_nsec -= (long)NS_PER_S;
        until.tv_sec++;
    }
    rc = pthread_cond_timedwait(&cond->native, &mutex->native, &until);
    CHECK(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

void thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *argument)
{
    sigset_t all;
    sigset_t old;
    char short_name[16];

    (void)sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
    CHECK(pthread_create(ret_thread, NULL, run, argument) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    (void)snprintf(short_name, sizeof(short_name), "%s", name);
    (void)pthread_setname_np(*ret_thread, short_name);
}

void thread_join(pthread_t thread)
{
    CHECK(pthread_join(thread, NULL) == 0);
}
