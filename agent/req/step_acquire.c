/*
 * Connections: asked for with the request's own password, so that whatever
 * the pool gives is a session that this password opened (hazard 35). Where a
 * run has one from VERIFY it is used at once.
 */
#include "agent/req/req_private.h"

/* Must it not see what another request left in the session? */
static bool
asks_for_clean(const struct ps_run *run)
{
    const struct ps_sql_analysis *a = run->analysis;
    return a && (a->asks_session || a->touches_session);
}

void
ps_run_ask_pool(struct ps_run *run,
                void (*fn)(struct ps_pool_wait *wait, struct ps_conn *conn,
                           enum ps_rc rc, const struct ps_err *err))
{
    struct ps_pool_wait *wait = &run->pool_wait;
    PS_CHECK(!run->conn);
    memset(wait, 0, sizeof(*wait));
    wait->principal = run->principal;
    wait->conf = run->conf;
    wait->password = run->req->password;
    wait->unused = asks_for_clean(run);
    wait->fn = fn;
    ps_pool_acquire(run->at->pool, wait);
}

void
ps_run_login_result(struct ps_run *run, struct ps_conn *conn, enum ps_rc rc)
{
    struct ps_engine *engine = run->engine;
    struct ps_str source = run->req->source;
    struct ps_str user = ps_run_user_key(run);
    run->interrupt = NULL;
    run->conn = conn;
    run->req->reply.pool_us += run->pool_wait.waited_us;
    if (rc == PS_ORIGIN_CIRCUIT)
        run->req->reply.retry_after_ms = run->pool_wait.retry_after_ms;
    if (rc == PS_LOGIN_FAILED) {
        uint64_t now_ms = ps_clock_now_ms(engine->conf.clock);
        ps_logins_failed(engine->logins, source, now_ms);
        ps_logins_failed(engine->user_logins, user, now_ms);
    } else if (rc == PS_OK && run->pool_wait.fresh_login) {
        ps_logins_succeeded(engine->logins, source);
        ps_logins_succeeded(engine->user_logins, user);
    }
}

void
ps_run_release(struct ps_run *run, enum ps_pool_verdict verdict)
{
    if (run->conn)
        ps_pool_release(run->at->pool, run->conn, verdict);
    run->conn = NULL;
}

/* Reset, or not to be used any more: then another one is asked for. */
static void
on_clean(void *arg, enum ps_rc rc)
{
    struct ps_run *run = arg;
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    if (rc != PS_OK)
        ps_run_release(run, PS_POOL_DISCARD);
    ps_run_continue(run, rc == PS_OK ? PS_STEP_STAMP : PS_STEP_ACQUIRE);
}

/* Would the statement see what another request left? The pool gives sessions
 * in which nothing has been changed, but the last id and the like are
 * there for who asks. */
static bool
wants_clean(const struct ps_run *run)
{
    /* Within a transaction it is the client's own that is left. */
    return !run->in_session && asks_for_clean(run) && ps_conn_used(run->conn);
}

static void
clean(struct ps_run *run)
{
    ps_conn_reset(run->conn, run->conf->query_timeout_ms, on_clean, run);
}

static void
on_acquired(struct ps_pool_wait *wait, struct ps_conn *conn, enum ps_rc rc,
            const struct ps_err *err)
{
    struct ps_run *run = PS_CONTAINER_OF(wait, struct ps_run, pool_wait);
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    ps_run_login_result(run, conn, rc);
    if (rc != PS_OK)
        ps_run_fail_err(run, rc, err);
    if (rc == PS_OK && wants_clean(run))
        clean(run);
    else
        ps_run_continue(run, rc == PS_OK ? PS_STEP_STAMP : PS_STEP_FAIL);
}

static bool
others_wait(const struct ps_run *run)
{
    return run->flight && ps_flight_waiters(run->flight) > 0;
}

/* Nothing was sent yet: a write is given up too, before its client, gone
 * away, tries it a second time. */
static void
interrupt_acquire(struct ps_run *run)
{
    if (others_wait(run))
        return;
    ps_pool_cancel(run->at->pool, &run->pool_wait);
    ps_run_fail(run, PS_CANCELLED, NULL);
    ps_run_resume(run, PS_STEP_FAIL);
}

/* One more at the origin, until LEAVE; the engine's own are nobody's requests.
 */
static bool
enter(struct ps_run *run)
{
    if (!run->entered && !ps_run_is_own(run))
        run->entered =
            ps_cache_load_enter(run->conf->load, run->conf->concurrency_max);
    return run->entered || ps_run_is_own(run);
}

enum ps_next
ps_step_acquire(struct ps_run *run)
{
    if (ps_run_abandoned(run) && !others_wait(run))
        return ps_run_fail(run, PS_CANCELLED, NULL);
    /* One that is open already is let go on to its end. */
    if (run->conf->concurrency_max && !run->in_session && !enter(run))
        return ps_run_fail(run, PS_TOO_MANY_CONCURRENT, NULL);
    if (run->conn && wants_clean(run)) {
        clean(run);
        return PS_NEXT_WAIT;
    }
    if (run->conn)
        return ps_go(&run->step, PS_STEP_STAMP);
    struct ps_err err;
    enum ps_rc rc = ps_engine_hold_conf(run->engine, run->conf, &err);
    if (rc != PS_OK)
        return ps_run_fail_err(run, rc, &err);
    run->interrupt = interrupt_acquire;
    ps_run_ask_pool(run, on_acquired);
    return PS_NEXT_WAIT;
}
