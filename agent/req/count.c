/*
 * What became of a request: the loop's counters, and those of the template
 * (agent/telemetry). A hit adds to one cell by the id that its entry carries,
 * with the time that LOOKUP has read; only for what was no hit the clock is
 * read once more. On the front's loop, but for checked answers.
 */
#include "agent/req/req_private.h"

/* Which of the two kinds of bypass. */
static bool
is_write(const struct ps_run *run)
{
    return run->homed && run->writes;
}

static enum ps_usage_counter
outcome_of(const struct ps_run *run, enum ps_engine_counter *counter)
{
    switch (run->req->reply.verdict) {
    case PS_VERDICT_HIT:
        *counter = PS_ENGINE_HITS;
        return PS_USAGE_HITS;
    case PS_VERDICT_MISS:
    case PS_VERDICT_STALE:
        *counter = PS_ENGINE_MISSES;
        return PS_USAGE_MISSES;
    case PS_VERDICT_BYPASS:
        *counter = is_write(run) ? PS_ENGINE_WRITES : PS_ENGINE_BYPASSES;
        return is_write(run) ? PS_USAGE_WRITES : PS_USAGE_BYPASSES;
    case PS_VERDICT_NONE:
        break;
    }
    return PS_USAGE_COUNT;
}

/* Its template, or "other" where the way ended before it was known. */
static uint32_t
tally_of(const struct ps_run *run)
{
    if (run->homed && run->tally != PS_TALLY_NONE)
        return run->tally;
    if (!run->conf)
        return PS_TALLY_NONE;
    return ps_tally_id(run->engine->conf.tally, ps_str_of(run->conf->id), 0,
                       PS_STR(""));
}

static void
count_reuse(const struct ps_run *run, struct ps_usage *usage, bool coalesced)
{
    if (!run->homed || !run->cacheable)
        return;
    usage->n[PS_USAGE_CACHEABLE]++;
    if (run->found_changed)
        usage->n[PS_USAGE_CHANGED]++;
    else if (run->asked && !run->repeated && !coalesced &&
             run->req->reply.verdict != PS_VERDICT_STALE)
        usage->n[PS_USAGE_FIRST]++;
    if (run->auto_ttl_ms)
        usage->n[PS_USAGE_TTL_AUTO_MS] = run->auto_ttl_ms;
}

static void
count_answer(const struct ps_run *run, struct ps_usage *usage, bool coalesced)
{
    const struct ps_reply *reply = &run->req->reply;
    uint64_t now_us = ps_clock_now_us(run->engine->conf.clock);
    usage->n[PS_USAGE_BYTES] += reply->gone_bytes + reply->body.len;
    usage->n[PS_USAGE_ROWS] +=
        coalesced && run->entry ? ps_entry_rows(run->entry) : run->n_rows;
    usage->n[PS_USAGE_COALESCED] += coalesced;
    if (reply->stored) {
        usage->n[PS_USAGE_STORED]++;
        usage->n[PS_USAGE_TTL_MS] = run->ttl_ms;
    }
    uint64_t took_us = now_us - PS_MIN(now_us, run->req->received_us);
    usage->n[PS_USAGE_ORIGIN_US] += took_us;
    ps_hist_add(&usage->origin, took_us);
}

static void
count_rest(struct ps_run *run, enum ps_usage_counter outcome)
{
    const struct ps_reply *reply = &run->req->reply;
    bool coalesced = run->why == ps_reason_code(PS_REASON_COALESCED);
    struct ps_usage *usage = ps_tally_usage(run->front->tally, tally_of(run));
    if (!usage)
        return;
    usage->n[PS_USAGE_QUERIES]++;
    if (outcome != PS_USAGE_COUNT)
        usage->n[outcome]++;
    if (run->why)
        ps_usage_count_reason(usage, ps_str_of(run->why), 1);
    count_reuse(run, usage, coalesced);
    if (reply->rc == PS_OK)
        count_answer(run, usage, coalesced);
    else
        usage->n[PS_USAGE_ERRORS]++;
}

void
ps_run_count(struct ps_run *run)
{
    const struct ps_reply *reply = &run->req->reply;
    struct ps_tally_loop *tally = run->front->tally;
    enum ps_engine_counter counter = PS_ENGINE_COUNTER_COUNT;
    if (ps_run_is_own(run))
        return; /* nobody's request */
    enum ps_usage_counter outcome = outcome_of(run, &counter);
    if (reply->rc != PS_OK)
        ps_worker_count_error(run->front, reply->rc);
    if (outcome != PS_USAGE_COUNT)
        ps_worker_count(run->front, counter);
    if (!tally)
        return;
    if (PS_LIKELY(outcome == PS_USAGE_HITS && run->entry))
        ps_tally_hit(tally, ps_entry_tally(run->entry),
                     ps_entry_rows(run->entry), reply->body.len, run->took_us);
    else
        count_rest(run, outcome);
}

void
ps_run_count_verified(struct ps_run *run, bool stale)
{
    struct ps_usage *usage =
        run->at->tally ? ps_tally_usage(run->at->tally, run->tally) : NULL;
    if (!usage)
        return;
    usage->n[PS_USAGE_VERIFIED]++;
    usage->n[PS_USAGE_STALE] += stale;
}
