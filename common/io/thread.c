/* Threads of loop.h: named, with all signals blocked. */
#include "common/check.h"
#include "common/io/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct ps_thread {
    pthread_t id;
    char name[16];
    void (*fn)(void *arg);
    void *arg;
};

static void *
run(void *arg)
{
    struct ps_thread *thread = arg;
    pthread_setname_np(pthread_self(), thread->name);
    thread->fn(thread->arg);
    return NULL;
}

enum ps_rc
ps_thread_start(struct ps_thread **thread, const char *name,
                void (*fn)(void *arg), void *arg)
{
    struct ps_thread *t = calloc(1, sizeof(*t));
    if (!t)
        return PS_NO_MEMORY;
    snprintf(t->name, sizeof(t->name), "%s", name);
    t->fn = fn;
    t->arg = arg;

    /* The new thread inherits the mask it is started with. */
    sigset_t all, before;
    sigfillset(&all);
    PS_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int failed = pthread_create(&t->id, NULL, run, t);
    PS_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (failed) {
        free(t);
        return PS_NO_MEMORY;
    }
    *thread = t;
    return PS_OK;
}

void
ps_thread_join(struct ps_thread **thread)
{
    struct ps_thread *t = *thread;
    if (!t)
        return;
    PS_CHECK(pthread_join(t->id, NULL) == 0);
    free(t);
    *thread = NULL;
}
