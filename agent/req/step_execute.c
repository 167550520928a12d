/*
 * The statement goes to the origin. STAMP comes right before, on a connection
 * that is already there, so that as little time as possible lies between
 * stamp and query:
 *
 *   read:   born, snapshot ---- sent ---------- answer: kept only if the
 *                                               snapshot is still valid (C1)
 *   write:  window opens ------ sent -- outcome, window closes, reply (C2)
 *
 * JUDGE looks at what came out. Only a proven read is ever sent twice (C7): on
 * another connection when the pooled one had died, and when a prepared plan
 * no longer fits because somebody changed the table.
 */
#include "agent/req/session.h"
#include "agent/req/stream.h"

/* ---- STAMP ---- */

/* A rule that needs no learning. The policy is asked all the same, for the
 * count: does this query come again, and what would it give? */
static void
ask_rule(struct ps_run *run)
{
    struct ps_policy_ask ask = ps_run_policy_ask(run);
    struct ps_policy_answer answer = {.ttl_ms = 0};
    ask.auto_cached = false;
    if (ps_policy_ask_all(run->engine->policy, &ask, &answer) ==
        PS_POLICY_OFF) {
        run->repeated = answer.repeated;
        run->auto_ttl_ms = answer.auto_ttl_ms;
    }
    if (run->rule.mode == PS_RULE_TTL && run->rule.ttl_ms > 0) {
        run->ttl_ms = run->rule.ttl_ms;
        run->policy_keeps = true;
        return;
    }
    run->req->reply.verdict = PS_VERDICT_BYPASS;
    run->why = ps_reason_code(PS_REASON_RULE_NEVER);
}

/* What the client says counts where no rule does, and never beyond it. */
static bool
ask_client(struct ps_run *run)
{
    const struct ps_req *req = run->req;
    const struct ps_cache_conf *conf = run->conf;
    if (!req->has_ttl || run->rule.found || !conf->auto_cached)
        return false;
    if (req->ttl_ms == 0) {
        run->req->reply.verdict = PS_VERDICT_BYPASS;
        run->why = ps_reason_code(PS_REASON_CLIENT_NO_CACHE);
        return true;
    }
    run->ttl_ms = PS_MIN(req->ttl_ms, conf->ttl_max_ms);
    run->policy_keeps = true;
    return true;
}

static void
ask_policy(struct ps_run *run)
{
    if (run->asked)
        return;
    run->asked = true;
    if (ask_client(run))
        return;
    if (run->rule.found && run->rule.mode != PS_RULE_AUTO) {
        ask_rule(run);
        return;
    }
    const struct ps_policy_ask ask = ps_run_policy_ask(run);
    struct ps_policy_answer answer = {.ttl_ms = 0};
    enum ps_policy_verdict verdict =
        ps_policy_ask_all(run->engine->policy, &ask, &answer);
    run->ttl_ms = answer.ttl_ms;
    run->auto_ttl_ms = answer.auto_ttl_ms;
    run->repeated = answer.repeated;
    switch (verdict) {
    case PS_POLICY_STORE:
        run->policy_keeps = true;
        return;
    case PS_POLICY_OFF:
        run->req->reply.verdict = PS_VERDICT_BYPASS;
        run->why = ps_reason_code(PS_REASON_CACHING_OFF);
        return;
    case PS_POLICY_FIRST_SEEN:
        run->why = ps_reason_code(PS_REASON_FIRST_SEEN);
        return;
    case PS_POLICY_TTL_SHORT:
        run->why = ps_reason_code(PS_REASON_TTL_TOO_SHORT);
        return;
    }
}

/* May what comes back be kept, as far as can be told before it is sent? */
static void
decide_keep(struct ps_run *run)
{
    ask_policy(run);
    run->keep = false;
    if (!ps_lease_held(run->engine->conf.lease, run->born_us)) {
        run->req->reply.verdict = PS_VERDICT_BYPASS;
        run->why = ps_reason_code(PS_REASON_NO_LEASE);
    } else if (!run->snapshot_taken) {
        run->why = ps_reason_code(PS_REASON_WRITE_IN_FLIGHT);
    } else if (run->req->no_store) {
        run->why = ps_reason_code(PS_REASON_CLIENT_NO_CACHE);
    } else {
        run->keep = run->policy_keeps;
    }
}

static enum ps_next
replan(struct ps_run *run)
{
    ps_catalog_unref(&run->catalog);
    run->cacheable = run->writes = run->statement.may_write = false;
    return ps_go(&run->step, PS_STEP_CATALOG);
}

static enum ps_next
stamp_read(struct ps_run *run)
{
    run->snapshot_taken = false;
    /* Without invalidation an answer depends on no table: only what changes
     * the whole database or its structure ends it before its time. */
    size_t n = run->conf->invalidation_off ? 0 : run->n_tables;
    switch (ps_snapshot_take(run->space, ps_catalog_gen(run->catalog),
                             run->tables, n, n ? run->rows : NULL,
                             &run->snapshot)) {
    case PS_SNAPSHOT_OK:
        ps_snapshot_add_statement(&run->snapshot, run->analysis->fingerprint,
                                  ps_query_id(run->req->key_sql));
        run->snapshot_taken = true;
        break;
    case PS_SNAPSHOT_COMMITTING:
        break;
    case PS_SNAPSHOT_CATALOG_MOVED:
        /* The structure changed under the plan: plan once more. */
        if (!run->replanned) {
            run->replanned = true;
            return replan(run);
        }
        break;
    }
    if (run->flight)
        ps_flight_sent(run->flight,
                       run->snapshot_taken ? &run->snapshot : NULL);
    decide_keep(run);
    return ps_go(&run->step, PS_STEP_EXECUTE);
}

/* C2: from here to INVALIDATE nothing that depends on what it changes can be
 * served or stored. */
static enum ps_next
stamp_write(struct ps_run *run)
{
    const struct ps_publisher *publisher = run->engine->conf.publisher;
    publisher->write_began(publisher->arg);
    ps_write_begin(run->engine->spaces, &run->change, run->change_gen,
                   &run->write);
    return ps_go(&run->step, PS_STEP_EXECUTE);
}

enum ps_next
ps_step_stamp(struct ps_run *run)
{
    run->born_us = ps_clock_now_us(run->engine->conf.clock);
    if (run->writes)
        return stamp_write(run);
    if (run->cacheable)
        return stamp_read(run);
    return ps_go(&run->step, PS_STEP_EXECUTE);
}

/* ---- EXECUTE ---- */

static void
on_executed(void *arg, const struct ps_outcome *outcome)
{
    struct ps_run *run = arg;
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    run->outcome = *outcome;
    ps_run_continue(run, PS_STEP_JUDGE);
}

/* A read that nobody waits for is stopped; a write is left to finish. Nobody
 * may join it any more: what comes is no answer, even where the cancel came too
 * late, because the driver drops the rows. */
static void
interrupt_execute(struct ps_run *run)
{
    if (run->writes || run->cancelled ||
        (run->flight && ps_flight_waiters(run->flight) > 0))
        return;
    run->cancelled = true;
    if (run->flight)
        ps_flight_hide(run->flight);
    ps_conn_cancel(run->conn);
}

static void
on_prelude(void *arg, const struct ps_outcome *outcome)
{
    struct ps_run *run = arg;
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    run->outcome = *outcome;
    ps_run_continue(run,
                    outcome->rc == PS_OK ? PS_STEP_EXECUTE : PS_STEP_JUDGE);
}

enum ps_next
ps_step_execute(struct ps_run *run)
{
    ps_rows_json_free(&run->encoder);
    run->encoder = ps_rows_json_new(run->engine->conf.max_reply_bytes);
    if (!run->encoder) {
        /* As if the origin had refused it: a write's window is open. */
        run->outcome = (struct ps_outcome){
            .rc = PS_NO_MEMORY, .state = PS_CONN_IDLE, .not_sent = true};
        ps_err_set(&run->outcome.err, PS_NO_MEMORY, NULL);
        return ps_go(&run->step, PS_STEP_JUDGE);
    }
    ps_rows_json_set_provider(run->encoder, (int)run->conf->provider);
    if (run->req->protocol->style)
        ps_rows_json_set_style(run->encoder, run->req->protocol->style);
    if (run->statement.prelude.len && !run->prelude_sent) {
        run->prelude_sent = true;
        run->prelude =
            (struct ps_statement){.sql = run->statement.prelude,
                                  .timeout_ms = run->statement.timeout_ms,
                                  .plain = run->statement.plain};
        ps_conn_execute(run->conn, &run->prelude, NULL, on_prelude, run);
        return PS_NEXT_WAIT;
    }
    run->interrupt = interrupt_execute;
    struct ps_sink *sink = ps_stream_open(run);
    ps_conn_execute(run->conn, &run->statement,
                    sink ? sink : ps_rows_json_sink(run->encoder), on_executed,
                    run);
    return PS_NEXT_WAIT;
}

/* ---- JUDGE ---- */

/* Hazard 31: clean only when it is proven. */
static enum ps_pool_verdict
session_after(const struct ps_run *run)
{
    const struct ps_outcome *out = &run->outcome;
    bool complete =
        out->rc == PS_OK || out->rc == PS_ORIGIN_SQL || out->not_sent;
    if (out->state == PS_CONN_BROKEN)
        return PS_POOL_DISCARD;
    if (out->state != PS_CONN_IDLE || !complete || run->cancelled ||
        run->touches_session || run->session)
        return PS_POOL_RESET;
    return PS_POOL_CLEAN;
}

/* A connection that had been idle was dead, and not a row had come. */
static bool
lost_pooled(const struct ps_run *run)
{
    return run->outcome.rc == PS_ORIGIN_LOST && !run->pool_wait.fresh_login &&
           ps_rows_json_count(run->encoder) == 0;
}

/* PostgreSQL: a prepared statement whose table was altered (hazard 17). */
static bool
plan_outdated(const struct ps_run *run)
{
    const struct ps_outcome *out = &run->outcome;
    return out->rc == PS_ORIGIN_SQL && out->state == PS_CONN_IDLE &&
           strcmp(out->err.sqlstate, "0A000") == 0 &&
           strstr(out->err.message, "cached plan must not change result type");
}

static bool
may_retry(const struct ps_run *run)
{
    return !run->statement.may_write && !run->in_session && !run->retried &&
           !run->cancelled && !run->outcome.not_sent && !ps_stream_begun(run) &&
           run->outcome.rc != PS_OK;
}

enum ps_next
ps_run_after_outcome(struct ps_run *run)
{
    const struct ps_outcome *out = &run->outcome;
    if (out->rc == PS_ORIGIN_SQL)
        run->req->reply.error_body =
            ps_arena_str(run->req->arena, ps_rows_json_error(run->encoder));
    if (ps_stream_stalled(run) && !ps_run_abandoned(run))
        return ps_run_fail(run, PS_QUERY_TIMEOUT,
                           "the client took too long to read the rows; the "
                           "query was cancelled (--stream-wait)");
    if (out->rc != PS_OK)
        return ps_run_fail_err(run, out->rc, &out->err);
    if (run->cancelled)
        return ps_run_fail(run, PS_CANCELLED, NULL);
    if (out->state == PS_CONN_TRANSACTION && !run->in_session)
        return ps_run_fail(run, PS_TRANSACTION,
                           "the statement left a transaction open; it was "
                           "rolled back, because a transaction cannot span "
                           "requests");
    return ps_go(&run->step, PS_STEP_BUILD);
}

enum ps_next
ps_step_judge(struct ps_run *run)
{
    run->req->reply.origin_us += run->outcome.origin_us;
    if (may_retry(run) && lost_pooled(run)) {
        run->retried = true;
        run->prelude_sent = false;
        ps_run_release(run, PS_POOL_DISCARD);
        return ps_go(&run->step, PS_STEP_ACQUIRE);
    }
    if (may_retry(run) && plan_outdated(run)) {
        run->retried = true;
        ps_run_release(run, PS_POOL_RESET);
        if (run->space)
            ps_space_structure_changed(run->space);
        return replan(run);
    }
    if (!ps_session_goes_on(run))
        ps_run_release(run, session_after(run));
    if (run->writes)
        return ps_go(&run->step, PS_STEP_INVALIDATE);
    return ps_run_after_outcome(run);
}
