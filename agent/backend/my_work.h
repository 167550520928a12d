/*
 * Calls of the client library that block, on threads of their own: at most
 * MY_THREADS at a time, made on demand and gone when there is nothing to do.
 *
 *   loop: start --> [queue] --> thread: work(job) --> posts --> loop: done(job)
 *   loop: forget: the thread frees the job
 */
#ifndef PS_AGENT_BACKEND_MY_WORK_H
#define PS_AGENT_BACKEND_MY_WORK_H

#include "common/io/loop.h"
#include "common/list.h"

struct my_job {
    void (*work)(struct my_job *job);    /* on a thread */
    void (*done)(struct my_job *job);    /* on the loop; then frees it */
    void (*discard)(struct my_job *job); /* any thread: frees it */
    /* the module's */
    struct ps_task task;
    struct ps_link link;
    struct ps_loop *loop;
    bool worked, forgotten;
};

/* On the loop. False: no thread can be had, and the job is the caller's. */
bool my_job_start(struct my_job *job, struct ps_loop *loop);
/* On the loop, before done ran: it will not; the job is no longer the
 * caller's. */
void my_job_forget(struct my_job *job);

#endif
