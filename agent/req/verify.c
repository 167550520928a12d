/*
 * A share of the hits is checked: the same statement runs at the origin in the
 * background, as a request of its own (own.c), and STORE compares the answers.
 * So the share of stale answers is measured, whatever the reason for them.
 */
#include "agent/req/req_private.h"
#include "common/log.h"

void
ps_run_maybe_verify(struct ps_run *run, struct ps_entry *entry)
{
    unsigned every = run->engine->conf.verify_every;
    if (every == 0 || run->homed || ++run->front->unverified < every)
        return;
    run->front->unverified = 0;
    /* Without memory: another time. */
    (void)!ps_run_begin_own(run, entry, PS_OWN_VERIFY);
}

void
ps_run_verify(struct ps_run *run)
{
    struct ps_engine *engine = run->engine;
    struct ps_policy_verified found;
    if (!run->snapshot_taken)
        return;
    const struct ps_policy_ask ask = ps_run_policy_ask(run);
    if (!ps_policy_verify(engine->policy, &ask, run->req->verifies,
                          run->req->reply.body, &found))
        return;
    ps_worker_count(run->at, PS_ENGINE_VERIFIED);
    ps_run_count_verified(run, found.stale);
    if (!found.stale)
        return;
    ps_worker_count(run->at, PS_ENGINE_STALE_FOUND);
    if (!found.over_budget)
        return;
    ps_warn("req",
            "cache %s: %u of %u checked answers of template %016llx were "
            "stale though no write was seen; %s",
            run->conf->id, found.n_stale, found.n_verified,
            (unsigned long long)ask.fingerprint,
            found.switched_off ? "it is not kept for a while"
            : run->rule.found
                ? "a rule says how long it is kept, so it still is"
                : "clients say how long it is kept, so it still is");
    if (!found.switched_off)
        return;
    if (engine->conf.switched_off)
        engine->conf.switched_off(engine->conf.arg, run->conf->id,
                                  ask.fingerprint, found.n_stale,
                                  found.n_verified);
    /* What is kept of it goes too; of the rest there will be new answers. */
    ps_store_drop(engine->store, ps_str_of(run->conf->id));
    run->keep = false;
}
