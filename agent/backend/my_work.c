/* See my_work.h. */
#include "agent/backend/my_work.h"

#include "common/check.h"

#include <mariadb/mysql.h>
#include <pthread.h>
#include <signal.h>

enum {
    MY_THREADS = 32
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ps_list queue = {
    {&queue.head, &queue.head},
    0
};
static unsigned n_threads;

static void
on_worked(struct ps_task *task)
{
    struct my_job *job = PS_CONTAINER_OF(task, struct my_job, task);
    if (job->forgotten)
        job->discard(job);
    else
        job->done(job);
}

/* Whoever comes second, the thread or my_job_forget, frees it; when the
 * thread is first, the loop has it next. */
static void
worked(struct my_job *job)
{
    PS_CHECK(pthread_mutex_lock(&lock) == 0);
    job->worked = true;
    bool forgotten = job->forgotten;
    if (!forgotten)
        ps_loop_post(job->loop, &job->task);
    pthread_mutex_unlock(&lock);
    if (forgotten)
        job->discard(job);
}

static struct my_job *
next_job(void)
{
    PS_CHECK(pthread_mutex_lock(&lock) == 0);
    struct ps_link *link = ps_list_pop_front(&queue);
    if (!link)
        n_threads--;
    pthread_mutex_unlock(&lock);
    return link ? PS_CONTAINER_OF(link, struct my_job, link) : NULL;
}

static void *
run(void *arg)
{
    (void)arg;
    struct my_job *job;
    mysql_thread_init();
    while ((job = next_job()) != NULL) {
        job->work(job);
        worked(job);
    }
    mysql_thread_end();
    return NULL;
}

/* Lock held. Signals stay with the threads that expect them. */
static bool
more_threads(void)
{
    if (n_threads == MY_THREADS)
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

bool
my_job_start(struct my_job *job, struct ps_loop *loop)
{
    job->task.fn = on_worked;
    job->loop = loop;
    job->worked = job->forgotten = false;
    ps_link_init(&job->link);
    PS_CHECK(pthread_mutex_lock(&lock) == 0);
    ps_list_push_back(&queue, &job->link);
    bool running = more_threads();
    if (!running)
        ps_list_remove(&queue, &job->link);
    pthread_mutex_unlock(&lock);
    return running;
}

void
my_job_forget(struct my_job *job)
{
    PS_CHECK(pthread_mutex_lock(&lock) == 0);
    job->forgotten = true;
    pthread_mutex_unlock(&lock);
}
