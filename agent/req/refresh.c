/*
 * Newer answers in the place of those that are about to expire, or have:
 *
 *   born            expires - share     expires        + stale-while-revalidate
 *    |--- hits ------------|--- hits ------|--- hits, visibly stale ---|-- miss
 *                            one of so many   each
 *                            fetches          fetches, unless one is at it
 *
 * Before: hits in the last part of an answer's time (--refresh-ahead) have it
 * fetched with a certain probability each, so that what is asked often is new
 * when its time is over, and what is asked seldom costs nothing. Afterwards:
 * where a rule or the client allows it, the answer is served while it is being
 * fetched.
 *
 * Whatever a write has changed is served neither way: the entry must be valid,
 * the lease held, the restriction kept. A fetch is one flight (later misses
 * wait for it), on a connection of the requester's own that idles, or it is
 * not begun: it takes nothing from requests. There are at most REFRESHES_MAX at
 * a time, and one for an entry.
 */
#include "agent/req/req_private.h"

enum {
    REFRESH_EVERY = 8, /* of the hits on what expires soon */
    REFRESHES_MAX = 16 /* from one loop */
};

static void
begin(struct ps_run *run, struct ps_entry *entry)
{
    if (run->front->refreshing >= REFRESHES_MAX || !ps_entry_claim(entry))
        return;
    if (!ps_run_begin_own(run, entry, PS_OWN_REFRESH))
        ps_entry_unclaim(entry);
}

/* Asks for nothing at the origin, or keeps nothing. */
static bool
wants_none(const struct ps_run *run)
{
    return run->req->only_if_cached || run->req->no_store;
}

void
ps_run_maybe_refresh(struct ps_run *run, struct ps_entry *entry,
                     uint64_t now_us)
{
    uint64_t percent = run->engine->conf.refresh_percent;
    uint64_t expires_us = ps_entry_expires_us(entry);
    uint64_t share_us = (expires_us - ps_entry_born_us(entry)) / 100 * percent;
    if (PS_LIKELY(expires_us - now_us >= share_us) || run->homed ||
        wants_none(run) || ++run->front->unrefreshed < REFRESH_EVERY)
        return;
    run->front->unrefreshed = 0;
    begin(run, entry);
}

bool
ps_run_revalidates(struct ps_run *run, struct ps_entry *entry, uint64_t now_us)
{
    uint64_t stale_us = PS_MAX(ps_entry_stale_while_revalidate_us(entry),
                               run->req->stale_while_revalidate_ms * 1000);
    /* On its way elsewhere already, it can as well fetch it itself. A client
     * that says how old an answer may be wants no stale one unless it says that
     * too (RFC 9111 section 5.2.1.1). */
    bool unwanted =
        run->req->has_max_age && run->req->stale_while_revalidate_ms == 0;
    if (run->at != run->front || unwanted ||
        now_us - ps_entry_expires_us(entry) > stale_us)
        return false;
    if (!wants_none(run))
        begin(run, entry);
    return true;
}
