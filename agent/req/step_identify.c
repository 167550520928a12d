/*
 * Who asks, and may they? RECV and IDENTIFY run on the front's loop for every
 * request. HOME takes those that memory did not answer to their principal's
 * loop, and VERIFY lets the origin itself check a password that did not log
 * in lately.
 *
 * Nothing of a principal is shown to a request before its password is
 * verified (hazards 11, 35): no answer from memory, no answer of an equal
 * request, no reason that depends on either. When a login that many use is
 * due again they arrive together: one of them logs in, those with the same
 * password wait for it.
 */
#include "agent/req/req_private.h"
#include "common/tls.h"

/* ---- on the front's loop ---- */

enum ps_next
ps_step_recv(struct ps_run *run)
{
    if (run->front->draining)
        return ps_run_fail(run, PS_SHUTTING_DOWN, NULL);
    return ps_go(&run->step, PS_STEP_IDENTIFY);
}

enum ps_next
ps_step_identify(struct ps_run *run)
{
    struct ps_req *req = run->req;
    struct ps_engine *engine = run->engine;
    struct ps_recent *recent = &run->front->recent;
    uint64_t changes = ps_config_changes(engine->conf.config);
    bool known = ps_recent_find(recent, changes, req->cache_id, req->database,
                                req->user, &run->conf, &run->principal);
    if (!known)
        run->conf = ps_config_find(engine->conf.config, req->cache_id);
    if (!run->conf)
        return ps_run_fail(run, PS_CACHE_NOT_FOUND, NULL);
    if (!run->conf->enabled)
        return ps_run_fail(run, PS_CACHE_DISABLED, NULL);
    if (req->has_provider && req->provider != run->conf->provider)
        return ps_run_fail(run, PS_PROVIDER_MISMATCH, NULL);
    req->provider = run->conf->provider; /* for prepare */
    if (!known) {
        struct ps_str database = req->database;
        if (!database.len && run->conf->default_database)
            database = ps_str_of(run->conf->default_database);
        if (!database.len && req->needs_database)
            return ps_run_fail(run, PS_MISSING_FIELD,
                               "database is missing: name one, or give the "
                               "cache a default (psctl cache update NAME "
                               "--default-database DATABASE)");
        enum ps_rc rc = ps_principals_get(engine->principals, run->conf,
                                          database, req->user, &run->principal);
        if (rc != PS_OK)
            return ps_run_fail(run, rc, NULL);
        ps_recent_keep(recent, changes, run->conf, run->principal);
    }
    /* The front has just read the clock; LOOKUP, which is next, uses it too. */
    run->identified_us =
        req->ready_us ? req->ready_us : ps_clock_now_us(engine->conf.clock);
    run->verified = ps_principal_verified(run->principal, req->password,
                                          run->identified_us / 1000);
    ps_key_make(&run->key, run->principal->id, req->protocol->format,
                req->key_sql, req->key_bindings);
    return ps_go(&run->step, PS_STEP_LOOKUP);
}

/* ---- to the home loop ---- */

static void
on_deadline(void *arg)
{
    struct ps_run *run = arg;
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    PS_CHECK(run->waiting_behind);
    run->waiting_behind(run);
    ps_run_fail(run, PS_QUERY_TIMEOUT,
                "the request waited too long behind an equal one");
    ps_run_continue(run, PS_STEP_FAIL);
}

/* Everything a hit never needs. */
static void
settle(struct ps_run *run)
{
    memset(&run->task, 0, sizeof(*run) - offsetof(struct ps_run, task));
    ps_timer_init(&run->timer, run->at->loop, on_deadline, run);
    run->deadline_ms = ps_loop_now_ms(run->at->loop) +
                       run->conf->pool_queue_timeout_ms +
                       run->conf->query_timeout_ms;
    ps_link_init(&run->verify_link);
    ps_list_init(&run->verify_waiters);
}

static void
on_home(struct ps_task *task)
{
    struct ps_run *run = PS_CONTAINER_OF(task, struct ps_run, task);
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    settle(run);
    /* The answer may have come into memory on the way. */
    if (run->req->session == PS_SESSION_IN)
        ps_run_continue(run, PS_STEP_SESSION);
    else
        ps_run_continue(run, run->verified ? PS_STEP_LOOKUP : PS_STEP_VERIFY);
}

enum ps_next
ps_step_home(struct ps_run *run)
{
    struct ps_worker *home = &run->engine->workers[run->principal->home];
    run->homed = true;
    if (home == run->front) {
        settle(run);
        if (run->req->session == PS_SESSION_IN)
            return ps_go(&run->step, PS_STEP_SESSION);
        return ps_go(&run->step,
                     run->verified ? PS_STEP_PREPARE : PS_STEP_VERIFY);
    }
    run->away = true;
    run->at = home;
    run->task.fn = on_home;
    ps_loop_post(home->loop, &run->task);
    return PS_NEXT_WAIT;
}

/* ---- logins ---- */

static struct ps_list *
bucket_of(struct ps_run *run)
{
    return &run->at->verifying[run->principal->id % PS_VERIFY_BUCKETS];
}

static bool
same_login(const struct ps_run *a, const struct ps_run *b)
{
    struct ps_str p = a->req->password, q = b->req->password;
    return a->principal == b->principal && p.len == q.len &&
           ps_equal_const_time(p.ptr, q.ptr, p.len);
}

static struct ps_run *
find_leader(struct ps_run *run)
{
    PS_LIST_FOREACH_SAFE(bucket_of(run), it, tmp) {
        struct ps_run *other = PS_CONTAINER_OF(it, struct ps_run, verify_link);
        if (same_login(run, other))
            return other;
    }
    return NULL;
}

static void
stop_following(struct ps_run *run)
{
    ps_list_remove(&run->verify_leader->verify_waiters, &run->verify_link);
    run->verify_leader = NULL;
    run->waiting_behind = NULL;
    ps_timer_stop(&run->timer);
}

static void
interrupt_follower(struct ps_run *run)
{
    stop_following(run);
    ps_run_fail(run, PS_CANCELLED, NULL);
    ps_run_resume(run, PS_STEP_FAIL);
}

void
ps_run_wait_behind(struct ps_run *run, void (*leave)(struct ps_run *run),
                   void (*on_interrupt)(struct ps_run *run))
{
    uint64_t now = ps_loop_now_ms(run->at->loop);
    run->waiting_behind = leave;
    run->interrupt = on_interrupt;
    ps_timer_start_ms(&run->timer,
                      run->deadline_ms > now ? run->deadline_ms - now : 0);
}

static enum ps_next
follow(struct ps_run *run, struct ps_run *leader)
{
    run->verify_leader = leader;
    ps_list_push_back(&leader->verify_waiters, &run->verify_link);
    ps_run_wait_behind(run, stop_following, interrupt_follower);
    return PS_NEXT_WAIT;
}

/*
 * The login ended. A success counts for all who wait, and so does a refusal
 * or an origin that cannot be reached: they would be told the same. Only
 * when the leader's client went away do they try for themselves, the first
 * of them as the new leader.
 */
static void
wake_followers(struct ps_run *leader, enum ps_rc rc, const struct ps_err *err)
{
    struct ps_link *link;
    ps_list_remove(bucket_of(leader), &leader->verify_link);
    while ((link = ps_list_first(&leader->verify_waiters))) {
        struct ps_run *run = PS_CONTAINER_OF(link, struct ps_run, verify_link);
        stop_following(run);
        if (rc == PS_OK) {
            run->verified = true;
            ps_run_resume(run, PS_STEP_LOOKUP);
        } else if (rc == PS_CANCELLED) {
            ps_run_resume(run, PS_STEP_VERIFY);
        } else {
            ps_run_fail_err(run, rc, err);
            ps_run_resume(run, PS_STEP_FAIL);
        }
    }
}

/*
 * May this login be passed on to the origin? Neither an address nor, whatever
 * the addresses, an account gets a flood of them. Who uses the password that
 * logged in last does not guess, and is held up by nobody's guesses at the
 * same account.
 */
static uint64_t
begin_login(struct ps_run *run, uint64_t now_ms, const char **whose)
{
    const struct ps_req *req = run->req;
    struct ps_engine *engine = run->engine;
    uint64_t wait_ms = ps_logins_begin(engine->logins, req->source, now_ms);
    *whose = "from this address";
    run->guess = !ps_principal_known(run->principal, req->password);
    if (wait_ms > 0 || !run->guess)
        return wait_ms;
    wait_ms =
        ps_logins_begin(engine->user_logins, ps_run_user_key(run), now_ms);
    *whose = "of this user";
    if (wait_ms > 0)
        ps_logins_end(engine->logins, req->source);
    return wait_ms;
}

static enum ps_next
too_many_logins(struct ps_run *run, uint64_t wait_ms, const char *whose)
{
    run->req->reply.retry_after_ms = wait_ms;
    return ps_run_fail(run, PS_TOO_MANY_REQUESTS,
                       "too many failed logins %s; wait before the next one",
                       whose);
}

static void
login_ended(struct ps_run *run)
{
    struct ps_engine *engine = run->engine;
    ps_logins_end(engine->logins, run->req->source);
    if (run->guess)
        ps_logins_end(engine->user_logins, ps_run_user_key(run));
}

/*
 * Any connection that the pool gives was logged in with this very password.
 * It is kept for the statement; a step that has to wait for others gives it
 * back first, so that nobody holds one while waiting for one.
 */
static void
on_login(struct ps_pool_wait *wait, struct ps_conn *conn, enum ps_rc rc,
         const struct ps_err *err)
{
    struct ps_run *run = PS_CONTAINER_OF(wait, struct ps_run, pool_wait);
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    login_ended(run);
    ps_run_login_result(run, conn, rc);
    wake_followers(run, rc, err);
    if (rc == PS_OK) {
        run->verified = true;
        ps_run_continue(run, PS_STEP_LOOKUP);
    } else {
        ps_run_fail_err(run, rc, err);
        ps_run_continue(run, PS_STEP_FAIL);
    }
}

static void
interrupt_login(struct ps_run *run)
{
    if (run->verify_waiters.count > 0)
        return; /* goes on for them */
    ps_pool_cancel(run->at->pool, &run->pool_wait);
    login_ended(run);
    wake_followers(run, PS_CANCELLED, NULL);
    ps_run_fail(run, PS_CANCELLED, NULL);
    ps_run_resume(run, PS_STEP_FAIL);
}

enum ps_next
ps_step_verify(struct ps_run *run)
{
    struct ps_engine *engine = run->engine;
    if (run->verified)
        return ps_go(&run->step, PS_STEP_PREPARE);
    if (ps_run_abandoned(run))
        return ps_run_fail(run, PS_CANCELLED, NULL);
    if (ps_run_is_own(run))
        return ps_run_give_up(run);
    uint64_t now_ms = ps_clock_now_ms(engine->conf.clock);
    const char *whose = "from this address";
    uint64_t wait_ms =
        ps_logins_wait_ms(engine->logins, run->req->source, now_ms);
    if (wait_ms > 0)
        return too_many_logins(run, wait_ms, whose);
    struct ps_run *leader = find_leader(run);
    if (leader)
        return follow(run, leader);
    struct ps_err err;
    enum ps_rc rc = ps_engine_hold_conf(engine, run->conf, &err);
    if (rc != PS_OK)
        return ps_run_fail_err(run, rc, &err);
    wait_ms = begin_login(run, now_ms, &whose);
    if (wait_ms > 0)
        return too_many_logins(run, wait_ms, whose);
    ps_list_push_back(bucket_of(run), &run->verify_link);
    run->interrupt = interrupt_login;
    ps_run_ask_pool(run, on_login);
    return PS_NEXT_WAIT;
}
