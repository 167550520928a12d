/*
 * KILL QUERY. It needs a connection of its own, logged in as the same user,
 * and nobody waits for it for long: it is a job of jobs.c. Only when the
 * server has answered the KILL may the connection run something else
 * (ps_my_exec_cancelled), or it would hit that.
 */
#include "agent/backend/my.h"
#include "common/check.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TIMEOUT_S = 2
};

struct my_cancel {
    struct ps_job job;
    struct my_conn *owner; /* loop's thread only */
    struct my_target *target;
    unsigned long id; /* of the connection at the server */
};

static struct my_cancel *
cancel_of(struct ps_job *job)
{
    return PS_CONTAINER_OF(job, struct my_cancel, job);
}

static void
discard(struct ps_job *job)
{
    struct my_cancel *cancel = cancel_of(job);
    ps_my_target_unref(&cancel->target);
    free(cancel);
}

/* On the loop. */
static void
done(struct ps_job *job)
{
    struct my_conn *owner = cancel_of(job)->owner;
    owner->cancel = NULL;
    discard(job);
    ps_my_exec_cancelled(owner);
}

/* On a thread. */
static void
work(struct ps_job *job)
{
    struct my_cancel *cancel = cancel_of(job);
    char sql[64];
    struct ps_err err;
    int n = snprintf(sql, sizeof(sql), "KILL QUERY %lu", cancel->id);
    MYSQL *my = ps_my_target_connect(cancel->target, TIMEOUT_S, &err);
    if (!my || mysql_real_query(my, sql, (unsigned long)n) != 0)
        ps_debug("backend", "KILL QUERY failed");
    if (my)
        mysql_close(my);
}

struct my_cancel *
ps_my_cancel_start(struct my_conn *self)
{
    struct my_cancel *cancel = calloc(1, sizeof(*cancel));
    if (!cancel)
        return NULL;
    cancel->job.work = work;
    cancel->job.done = done;
    cancel->job.discard = discard;
    cancel->owner = self;
    cancel->target = ps_my_target_ref(self->target);
    cancel->id = mysql_thread_id(self->my);
    if (ps_job_start(&ps_my_jobs, &cancel->job, self->loop))
        return cancel;
    discard(&cancel->job);
    return NULL;
}

void
ps_my_cancel_forget(struct my_cancel **cancel)
{
    struct my_cancel *old = *cancel;
    *cancel = NULL;
    if (old)
        ps_job_forget(&old->job);
}
