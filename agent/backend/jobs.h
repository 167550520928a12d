/*
 * Calls of a client library that block, on threads of their own: of each kind
 * so many at a time at most, made on demand and gone when there is nothing to
 * do.
 *
 *   loop: start --> [queue] --> thread: work(job) --> posts --> loop: done(job)
 *   loop: forget: whoever has the job then frees it
 */
#ifndef PS_AGENT_BACKEND_JOBS_H
#define PS_AGENT_BACKEND_JOBS_H

#include "common/io/loop.h"
#include "common/list.h"

#include <pthread.h>

/* One kind; static, made by PS_JOBS_INIT. */
struct ps_jobs {
    unsigned max_threads;
    void (*thread_begin)(void), (*thread_end)(void); /* or NULL */
    /* the module's */
    pthread_mutex_t lock;
    struct ps_list queue;
    unsigned n_threads;
};
#define PS_JOBS_INIT(self, threads, begin, end)                            \
    {                                                                      \
        .max_threads = (threads), .thread_begin = (begin),                 \
        .thread_end = (end), .lock = PTHREAD_MUTEX_INITIALIZER, .queue = { \
            {&(self).queue.head, &(self).queue.head},                      \
            0                                                              \
        }                                                                  \
    }

struct ps_job {
    void (*work)(struct ps_job *job);    /* on a thread */
    void (*done)(struct ps_job *job);    /* on the loop; then frees it */
    void (*discard)(struct ps_job *job); /* any thread: frees it */
    /* the module's */
    struct ps_jobs *jobs;
    struct ps_task task;
    struct ps_link link;
    struct ps_loop *loop;
    bool forgotten; /* under the lock; set on the loop */
};

/* On the loop. False: no thread can be had, and the job is the caller's. */
PS_MUST_USE bool ps_job_start(struct ps_jobs *jobs, struct ps_job *job,
                              struct ps_loop *loop);
/* On the loop, before done ran: it will not; the job is no longer the
 * caller's. */
void ps_job_forget(struct ps_job *job);

#endif
