/*
 * CancelRequest. It needs a connection of its own and libpq 15 offers only
 * PQcancel(), which blocks (the secret key it sends is not in libpq's public
 * interface), so it runs on a thread: at most THREADS_MAX at a time, made on
 * demand and gone when there is nothing more to cancel.
 *
 *   loop: start --> [queue] --> thread: PQcancel() --> posts --> loop: done
 *   loop: forget (the connection closes): the thread frees it
 *
 * PQcancel() returns when the server has closed that connection, that is when
 * the signal is on its way; only then may the connection run something else
 * (ps_pg_exec_cancelled), or the signal would hit that.
 *
 * The request goes out without TLS whatever the connection uses, as with
 * every libpq before 17; a server with ssl on takes it, it holds no secret
 * but the key that is good for cancelling only.
 */
#include "agent/backend/pg.h"
#include "common/check.h"
#include "common/list.h"
#include "common/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum {
    THREADS_MAX = 8
};

struct pg_cancel {
    struct ps_task task;
    struct ps_link link; /* in the queue */
    struct ps_loop *loop;
    struct pg_conn *owner; /* loop's thread only; NULL: forgotten */
    PGcancel *request;
    bool sent, forgotten; /* under the lock */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ps_list queue = {
    {&queue.head, &queue.head},
    0
};
static unsigned n_threads;

static void
free_cancel(struct pg_cancel *cancel)
{
    PQfreeCancel(cancel->request);
    free(cancel);
}

/* On the loop. */
static void
on_sent(struct ps_task *task)
{
    struct pg_cancel *cancel = PS_CONTAINER_OF(task, struct pg_cancel, task);
    struct pg_conn *owner = cancel->owner;
    if (owner)
        owner->cancel = NULL;
    free_cancel(cancel);
    if (owner)
        ps_pg_exec_cancelled(owner);
}

/* Whoever comes second, the thread or ps_pg_cancel_forget, frees it; when the
 * thread is first, the loop has it next. */
static void
sent(struct pg_cancel *cancel)
{
    PS_CHECK(pthread_mutex_lock(&lock) == 0);
    cancel->sent = true;
    bool forgotten = cancel->forgotten;
    if (!forgotten)
        ps_loop_post(cancel->loop, &cancel->task);
    pthread_mutex_unlock(&lock);
    if (forgotten)
        free_cancel(cancel);
}

static struct pg_cancel *
next_cancel(void)
{
    PS_CHECK(pthread_mutex_lock(&lock) == 0);
    struct ps_link *link = ps_list_pop_front(&queue);
    if (!link)
        n_threads--;
    pthread_mutex_unlock(&lock);
    return link ? PS_CONTAINER_OF(link, struct pg_cancel, link) : NULL;
}

static void *
run(void *arg)
{
    (void)arg;
    struct pg_cancel *cancel;
    while ((cancel = next_cancel()) != NULL) {
        char why[256] = "";
        if (!PQcancel(cancel->request, why, sizeof(why)))
            ps_debug("backend", "cancel request failed");
        sent(cancel);
    }
    return NULL;
}

/* Lock held. Signals stay with the threads that expect them. */
static bool
more_threads(void)
{
    if (n_threads == THREADS_MAX)
        return true;
    sigset_t all, old;
    pthread_attr_t attr;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    PS_CHECK(pthread_attr_init(&attr) == 0);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, run, NULL) == 0)
        n_threads++;
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return n_threads > 0;
}

struct pg_cancel *
ps_pg_cancel_start(struct pg_conn *self)
{
    struct pg_cancel *cancel = calloc(1, sizeof(*cancel));
    if (!cancel)
        return NULL;
    cancel->task.fn = on_sent;
    cancel->loop = self->loop;
    cancel->owner = self;
    cancel->request = PQgetCancel(self->pg);
    if (!cancel->request) {
        free(cancel);
        return NULL;
    }
    PS_CHECK(pthread_mutex_lock(&lock) == 0);
    ps_list_push_back(&queue, &cancel->link);
    bool running = more_threads();
    if (!running)
        ps_list_remove(&queue, &cancel->link);
    pthread_mutex_unlock(&lock);
    if (running)
        return cancel;
    free_cancel(cancel);
    return NULL;
}

void
ps_pg_cancel_forget(struct pg_cancel **cancel)
{
    struct pg_cancel *old = *cancel;
    *cancel = NULL;
    if (!old)
        return;
    old->owner = NULL;
    PS_CHECK(pthread_mutex_lock(&lock) == 0);
    old->forgotten = true;
    pthread_mutex_unlock(&lock);
}
