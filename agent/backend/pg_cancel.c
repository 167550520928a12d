/*
 * CancelRequest. It needs a connection of its own and libpq 15 offers only
 * PQcancel(), which blocks (the secret key it sends is not in libpq's public
 * interface), so it is a job of jobs.c.
 *
 * PQcancel() returns when the server has closed that connection, that is when
 * the signal is on its way; only then may the connection run something else
 * (ps_pg_exec_cancelled), or the signal would hit that.
 *
 * The request goes out without TLS whatever the connection uses, as with
 * every libpq before 17; a server with ssl on takes it, it holds no secret
 * but the key that is good for cancelling only.
 */
#include "agent/backend/jobs.h"
#include "agent/backend/pg.h"
#include "common/log.h"

#include <stdlib.h>

enum {
    THREADS_MAX = 8
};

static struct ps_jobs cancels = PS_JOBS_INIT(cancels, THREADS_MAX, NULL, NULL);

struct pg_cancel {
    struct ps_job job;
    struct pg_conn *owner; /* loop's thread only */
    PGcancel *request;
};

static struct pg_cancel *
cancel_of(struct ps_job *job)
{
    return PS_CONTAINER_OF(job, struct pg_cancel, job);
}

static void
discard(struct ps_job *job)
{
    struct pg_cancel *cancel = cancel_of(job);
    PQfreeCancel(cancel->request);
    free(cancel);
}

/* On the loop. */
static void
done(struct ps_job *job)
{
    struct pg_conn *owner = cancel_of(job)->owner;
    owner->cancel = NULL;
    discard(job);
    ps_pg_exec_cancelled(owner);
}

/* On a thread. */
static void
work(struct ps_job *job)
{
    char why[256] = "";
    if (!PQcancel(cancel_of(job)->request, why, sizeof(why)))
        ps_debug("backend", "cancel request failed");
}

struct pg_cancel *
ps_pg_cancel_start(struct pg_conn *self)
{
    struct pg_cancel *cancel = calloc(1, sizeof(*cancel));
    if (!cancel)
        return NULL;
    cancel->job.work = work;
    cancel->job.done = done;
    cancel->job.discard = discard;
    cancel->owner = self;
    cancel->request = PQgetCancel(self->pg);
    if (cancel->request && ps_job_start(&cancels, &cancel->job, self->loop))
        return cancel;
    discard(&cancel->job);
    return NULL;
}

void
ps_pg_cancel_forget(struct pg_cancel **cancel)
{
    struct pg_cancel *old = *cancel;
    *cancel = NULL;
    if (old)
        ps_job_forget(&old->job);
}
