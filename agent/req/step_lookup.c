/*
 * Is the answer in memory, and may it be served? This is the whole of a hit:
 * one look-up (the only lock of the way), a few loads, nothing allocated,
 * nothing copied.
 *
 * An answer is served only if all of these hold, in this order:
 *   it is not asked for within a transaction                (hazard 2)
 *   the password of this very request logged in lately      (hazards 11, 35)
 *   the lease is held                                       (C3)
 *   no write it depends on has begun since it was asked for (C1, C2)
 *   it has not expired, and the cache is defined as it was
 *   while an agent is lost: it is young enough, or none     (C3, C4)
 *   it is as young as the client wants it
 *
 * An answer that has only expired may be served where the client or a rule said
 * for how long: when the origin fails (stale-if-error), or at once, while a
 * newer one is fetched (stale-while-revalidate). All the rest of the list holds
 * for it too, at the time when it is served.
 */
#include "agent/req/req_private.h"

static enum ps_next
pass(struct ps_run *run)
{
    return ps_go(&run->step, run->homed ? PS_STEP_PREPARE : PS_STEP_HOME);
}

static enum ps_next
miss(struct ps_run *run)
{
    /* only-if-cached: nothing is sent for it, not even a login, once the
     * password is known to be good (RFC 9111 section 5.2.1.7). */
    if (run->req->only_if_cached)
        return ps_run_fail(run, PS_ONLY_IF_CACHED, NULL);
    return pass(run);
}

static enum ps_next
bypass(struct ps_run *run, enum ps_reason reason)
{
    run->req->reply.verdict = PS_VERDICT_BYPASS;
    run->why = ps_reason_code(reason);
    return miss(run);
}

static enum ps_next
stale(struct ps_run *run, struct ps_entry **entry, enum ps_reason reason)
{
    run->req->reply.verdict = PS_VERDICT_STALE;
    run->why = ps_reason_code(reason);
    run->found_changed =
        reason == PS_REASON_INVALIDATED || reason == PS_REASON_WRITE_IN_FLIGHT;
    ps_entry_unref(entry);
    return miss(run);
}

/* The entry is dropped, or put aside for the case that the origin fails. */
static enum ps_next
too_old(struct ps_run *run, struct ps_entry **entry, enum ps_reason reason)
{
    ps_entry_unref(&run->spare);
    run->spare = ps_entry_ref(*entry);
    return stale(run, entry, reason);
}

static bool
young_enough(const struct ps_run *run, const struct ps_entry *entry,
             uint64_t now_us)
{
    uint64_t born_us = ps_entry_born_us(entry);
    return !run->req->has_max_age ||
           now_us - PS_MIN(now_us, born_us) <= run->req->max_age_ms * 1000;
}

static bool
lease_allows(const struct ps_run *run, const struct ps_entry *entry,
             uint64_t now_us)
{
    return ps_lease_allows(run->engine->conf.lease, now_us,
                           ps_entry_born_us(entry),
                           run->conf->write_ack_global);
}

static enum ps_next
judge_entry(struct ps_run *run, struct ps_entry *entry, uint64_t now_us)
{
    switch (ps_entry_check(entry, now_us, run->conf->revision)) {
    case PS_ENTRY_FRESH:
        if (!lease_allows(run, entry, now_us))
            return stale(run, &entry, PS_REASON_RESTRICTED);
        if (!young_enough(run, entry, now_us))
            return too_old(run, &entry, PS_REASON_CLIENT_MAX_AGE);
        ps_run_maybe_verify(run, entry);
        ps_run_maybe_refresh(run, entry, now_us);
        return ps_run_serve(run, &entry, PS_VERDICT_HIT, PS_REASON_HIT);
    case PS_ENTRY_EXPIRED:
        if (lease_allows(run, entry, now_us) &&
            young_enough(run, entry, now_us) &&
            ps_run_revalidates(run, entry, now_us)) {
            ps_worker_count(run->at, PS_ENGINE_STALE_SERVED);
            return ps_run_serve(run, &entry, PS_VERDICT_HIT,
                                PS_REASON_REVALIDATING);
        }
        ps_entry_unref(&run->old);
        run->old = ps_entry_ref(entry);
        return too_old(run, &entry, PS_REASON_EXPIRED);
    case PS_ENTRY_INVALIDATED:
        return stale(run, &entry, PS_REASON_INVALIDATED);
    case PS_ENTRY_COMMITTING:
        return stale(run, &entry, PS_REASON_WRITE_IN_FLIGHT);
    case PS_ENTRY_REDEFINED:
        break;
    }
    ps_entry_unref(&entry);
    run->req->reply.verdict = PS_VERDICT_MISS;
    run->why = NULL;
    return miss(run);
}

/* The cache's rate limit. Nobody but who has a password uses it up. */
static bool
admitted(struct ps_run *run)
{
    const struct ps_cache_conf *conf = run->conf;
    if (run->admitted || ps_run_is_own(run))
        return true;
    uint32_t burst = conf->rate_burst ? conf->rate_burst : conf->rate_limit;
    uint64_t wait_us =
        ps_cache_load_admit(conf->load, conf->rate_limit, burst,
                            ps_clock_now_us(run->engine->conf.clock));
    run->req->reply.retry_after_ms = (wait_us + 999) / 1000;
    run->admitted = wait_us == 0;
    return run->admitted;
}

/* Where the log stands, taken once and before memory is looked at; false: the
 * client has seen more than this agent. */
static bool
heard_of(struct ps_run *run)
{
    const struct ps_publisher *publisher = run->engine->conf.publisher;
    const struct ps_log_position *after = &run->req->after;
    struct ps_log_position *now = &run->req->reply.position;
    if (now->epoch[0] == '\0' && publisher->position &&
        !publisher->position(publisher->arg, now))
        now->epoch[0] = '\0';
    return !run->req->has_after || (strcmp(after->epoch, now->epoch) == 0 &&
                                    after->number <= now->number);
}

enum ps_next
ps_step_lookup(struct ps_run *run)
{
    struct ps_engine *engine = run->engine;
    /* Within a transaction (hazard 2): its connection was opened with this
     * very password, which is in the token's signature. */
    if (!run->verified || run->req->session == PS_SESSION_IN)
        return pass(run);
    if (run->conf->rate_limit && !admitted(run))
        return ps_run_fail(run, PS_RATE_LIMITED, NULL);
    if (!run->conf->caching_enabled)
        return bypass(run, PS_REASON_CACHING_OFF);
    uint64_t now_us =
        run->homed ? ps_clock_now_us(engine->conf.clock) : run->identified_us;
    run->looked_us = now_us;
    if (!ps_lease_held(engine->conf.lease, now_us))
        return bypass(run, PS_REASON_NO_LEASE);
    if ((run->req->want_position || run->req->has_after) && !heard_of(run)) {
        run->req->no_cache = true; /* nor another's answer under way */
        return bypass(run, PS_REASON_AFTER);
    }
    if (run->req->no_cache)
        return bypass(run, PS_REASON_CLIENT_NO_CACHE);
    struct ps_entry *entry = ps_store_find(engine->store, &run->key);
    if (entry)
        return judge_entry(run, entry, now_us);
    run->req->reply.verdict = PS_VERDICT_MISS;
    run->why = NULL;
    return miss(run);
}

enum ps_next
ps_run_serve(struct ps_run *run, struct ps_entry **entry,
             enum ps_verdict verdict, enum ps_reason reason)
{
    struct ps_reply *reply = &run->req->reply;
    uint64_t now_us = ps_clock_now_us(run->engine->conf.clock);
    uint64_t born_us = ps_entry_born_us(*entry);
    uint64_t expires_us = ps_entry_expires_us(*entry);
    run->entry = *entry;
    *entry = NULL;
    reply->rc = PS_OK;
    reply->body = ps_entry_body(run->entry);
    reply->verdict = verdict;
    run->why = ps_reason_code(reason);
    reply->age_ms = (int64_t)((now_us - PS_MIN(now_us, born_us)) / 1000);
    reply->ttl_ms = ((int64_t)expires_us - (int64_t)now_us) / 1000;
    run->took_us = now_us - PS_MIN(now_us, run->req->received_us);
    if (reason == PS_REASON_HIT)
        reply->lookup_us = now_us - run->looked_us;
    return ps_go(&run->step, run->homed ? PS_STEP_LEAVE : PS_STEP_FINISH);
}

/* The origin or the way to it; what it said about the statement or the
 * password is an answer, and no older one takes its place. */
static bool
origin_failed(enum ps_rc rc)
{
    switch (rc) {
    case PS_ORIGIN_HOST:
    case PS_ORIGIN_REFUSED:
    case PS_ORIGIN_UNREACHABLE:
    case PS_ORIGIN_TIMEOUT:
    case PS_ORIGIN_TLS:
    case PS_ORIGIN_CERT:
    case PS_ORIGIN_PROTOCOL:
    case PS_ORIGIN_TOO_MANY:
    case PS_ORIGIN_UNAVAILABLE:
    case PS_ORIGIN_CIRCUIT:
    case PS_ORIGIN_LOST:
    case PS_QUERY_TIMEOUT:
    case PS_POOL_TIMEOUT:
    case PS_POOL_FULL:
    case PS_TOO_MANY_CONCURRENT:
        return true;
    default:
        return false;
    }
}

/* What the client says, or what a rule does: whatever is more. */
static uint64_t
stale_if_error_ms(const struct ps_run *run)
{
    uint64_t wanted = run->req->stale_if_error_ms;
    if (!run->homed || !run->cacheable)
        return wanted;
    struct ps_rule_choice rule = ps_run_rule(run);
    return PS_MAX(wanted, rule.found ? rule.stale_if_error_ms : 0);
}

bool
ps_run_serve_spare(struct ps_run *run, enum ps_rc rc)
{
    uint64_t now_us = ps_clock_now_us(run->engine->conf.clock);
    if (!run->spare || !origin_failed(rc) ||
        !lease_allows(run, run->spare, now_us))
        return false;
    uint64_t stale_us = stale_if_error_ms(run) * 1000;
    if (stale_us == 0)
        return false;
    switch (ps_entry_check(run->spare, now_us, run->conf->revision)) {
    case PS_ENTRY_FRESH:
        break;
    case PS_ENTRY_EXPIRED:
        if (now_us - ps_entry_expires_us(run->spare) <= stale_us)
            break;
        return false;
    default:
        return false;
    }
    run->req->reply.retry_after_ms = 0;
    ps_worker_count(run->at, PS_ENGINE_STALE_SERVED);
    ps_run_serve(run, &run->spare, PS_VERDICT_HIT, PS_REASON_STALE_IF_ERROR);
    return true;
}
