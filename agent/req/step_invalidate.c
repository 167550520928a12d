/*
 * After a write: the window closes, the other agents are told, and only then
 * may the reply leave (C2). With write_ack = global it also waits until they
 * all have applied it or lost their lease (C4); the publisher ends that wait
 * by its own time limit, which is longer than a lease lasts.
 *
 * What is told: always, unless it is proven that nothing changed. An outcome
 * that is not known counts as committed (C7, hazard 32), and as one that may
 * yet be: the window then stays open (linger.h). An error counts too, unless
 * one autocommit statement failed as a whole: several statements, a procedure
 * or DDL may have committed part of their work before.
 */
#include "agent/req/req_private.h"

static bool
proven_unchanged(const struct ps_run *run)
{
    const struct ps_sql_analysis *a = run->analysis;
    const struct ps_outcome *out = &run->outcome;
    if (out->not_sent)
        return true;
    /* MySQL has tables that keep what a failed statement did to them. */
    if (run->conf->provider != PS_PROVIDER_POSTGRES)
        return false;
    return out->rc == PS_ORIGIN_SQL && out->state == PS_CONN_IDLE &&
           a->n_statements == 1 && !a->changes_catalog &&
           !a->opens_transaction && !a->ends_transaction &&
           (a->cls == PS_SQL_WRITE || a->cls == PS_SQL_READ);
}

static void
on_told(struct ps_publish_wait *wait, enum ps_rc rc)
{
    struct ps_run *run = PS_CONTAINER_OF(wait, struct ps_run, publish_wait);
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    /* The mailbox carries it to the run's loop; nothing is touched after. */
    run->publish_rc = rc;
    ps_loop_post(run->at->loop, &run->task);
}

static void
on_told_here(struct ps_task *task)
{
    struct ps_run *run = PS_CONTAINER_OF(task, struct ps_run, task);
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    const struct ps_publisher *publisher = run->engine->conf.publisher;
    publisher->write_ended(publisher->arg);
    if (run->publish_rc == PS_OK)
        run->req->reply.position = run->publish_wait.position;
    else
        run->req->reply.position.epoch[0] = '\0';
    if (run->publish_rc != PS_OK && !run->publish_wait.logged)
        run->why = ps_reason_code(PS_REASON_NOT_CONFIRMED);
    ps_run_after_outcome(run);
    ps_run_continue(run, run->step);
}

/* The copy of change that goes out is wider when the structure moved. */
static enum ps_next
tell(struct ps_run *run, bool whole)
{
    const struct ps_publisher *publisher = run->engine->conf.publisher;
    struct ps_change change = run->change;
    if (whole) {
        change.tables = NULL;
        change.n_tables = 0;
        change.rows = NULL;
    }
    ps_worker_count(run->at, PS_ENGINE_INVALIDATIONS);
    run->req->reply.position.epoch[0] = '\0';
    if (run->conf->write_ack_global || run->req->want_position) {
        run->publish_wait.logged = !run->conf->write_ack_global;
        run->publish_wait.fn = on_told;
        run->task.fn = on_told_here;
        publisher->publish(publisher->arg, &change, &run->publish_wait);
        return PS_NEXT_WAIT; /* it may be over already */
    }
    publisher->publish(publisher->arg, &change, NULL);
    publisher->write_ended(publisher->arg);
    return ps_run_after_outcome(run);
}

/* The server may go on with it and commit later. */
static bool
may_go_on(const struct ps_run *run)
{
    return run->outcome.rc == PS_OUTCOME_UNKNOWN && !run->outcome.ended;
}

enum ps_next
ps_step_invalidate(struct ps_run *run)
{
    const struct ps_publisher *publisher = run->engine->conf.publisher;
    if (may_go_on(run)) {
        ps_lingers_add(&run->at->lingers, &run->write, &run->change,
                       run->statement.timeout_ms);
        return tell(run, false);
    }
    bool whole = ps_write_end(&run->write);
    if (!proven_unchanged(run))
        return tell(run, whole);
    publisher->write_ended(publisher->arg);
    return ps_run_after_outcome(run);
}
