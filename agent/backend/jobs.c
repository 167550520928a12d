/* See jobs.h. */
#include "agent/backend/jobs.h"

#include "common/check.h"

#include <signal.h>

static void
on_worked(struct ps_task *task)
{
    struct ps_job *job = PS_CONTAINER_OF(task, struct ps_job, task);
    if (job->forgotten)
        job->discard(job);
    else
        job->done(job);
}

/* Whoever comes second, the thread or ps_job_forget, frees it; when the
 * thread is first, the loop has it next. */
static void
worked(struct ps_jobs *jobs, struct ps_job *job)
{
    PS_CHECK(pthread_mutex_lock(&jobs->lock) == 0);
    bool forgotten = job->forgotten;
    if (!forgotten)
        ps_loop_post(job->loop, &job->task);
    pthread_mutex_unlock(&jobs->lock);
    if (forgotten)
        job->discard(job);
}

static struct ps_job *
next_job(struct ps_jobs *jobs)
{
    PS_CHECK(pthread_mutex_lock(&jobs->lock) == 0);
    struct ps_link *link = ps_list_pop_front(&jobs->queue);
    if (!link)
        jobs->n_threads--;
    pthread_mutex_unlock(&jobs->lock);
    return link ? PS_CONTAINER_OF(link, struct ps_job, link) : NULL;
}

static void *
run(void *arg)
{
    struct ps_jobs *jobs = arg;
    struct ps_job *job;
    if (jobs->thread_begin)
        jobs->thread_begin();
    while ((job = next_job(jobs)) != NULL) {
        job->work(job);
        worked(jobs, job);
    }
    if (jobs->thread_end)
        jobs->thread_end();
    return NULL;
}

/* Lock held. Signals stay with the threads that expect them. */
static bool
more_threads(struct ps_jobs *jobs)
{
    if (jobs->n_threads == jobs->max_threads)
        return true;
    sigset_t all, old;
    pthread_attr_t attr;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    PS_CHECK(pthread_attr_init(&attr) == 0);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, run, jobs) == 0)
        jobs->n_threads++;
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return jobs->n_threads > 0;
}

bool
ps_job_start(struct ps_jobs *jobs, struct ps_job *job, struct ps_loop *loop)
{
    job->jobs = jobs;
    job->task.fn = on_worked;
    job->loop = loop;
    job->forgotten = false;
    ps_link_init(&job->link);
    PS_CHECK(pthread_mutex_lock(&jobs->lock) == 0);
    ps_list_push_back(&jobs->queue, &job->link);
    bool running = more_threads(jobs);
    if (!running)
        ps_list_remove(&jobs->queue, &job->link);
    pthread_mutex_unlock(&jobs->lock);
    return running;
}

void
ps_job_forget(struct ps_job *job)
{
    struct ps_jobs *jobs = job->jobs;
    PS_CHECK(pthread_mutex_lock(&jobs->lock) == 0);
    job->forgotten = true;
    pthread_mutex_unlock(&jobs->lock);
}
