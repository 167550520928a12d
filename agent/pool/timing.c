/*
 * What happens to one principal's connections and waiters because time
 * passes: deadlines, connections that idle too long or are too old, attempts
 * that are due.
 *
 * due_ms is the earliest time at which any of that can be; it may be too
 * early (what it was for is gone), never too late. So nothing has to be
 * searched when a connection comes or goes; the timer looks and finds the
 * next.
 */
#include "agent/pool/pool_private.h"
#include "common/check.h"

static const struct ps_cache_conf *
conf_of(const struct ps_pool_conn *pc)
{
    return pc->slot->conf ? pc->slot->conf : pc->conf;
}

/* Up to a tenth sooner by chance, so that connections that were opened
 * together are not replaced together. */
static uint64_t
old_at(const struct ps_pool_conn *pc)
{
    uint64_t age = conf_of(pc)->pool_max_age_ms;
    if (age == 0)
        return UINT64_MAX;
    return pc->opened_ms + age - age / 10 * pc->jitter / 1023;
}

bool
ps_pool_conn_too_old(const struct ps_pool_conn *pc, uint64_t now_ms)
{
    return old_at(pc) <= now_ms;
}

uint64_t
ps_pool_conn_ends_ms(const struct ps_pool_conn *pc)
{
    return PS_MIN(pc->idle_since_ms + conf_of(pc)->pool_idle_timeout_ms,
                  old_at(pc));
}

static void
expire_waiters(struct ps_pool_slot *slot, uint64_t now)
{
    PS_LIST_FOREACH_SAFE(&slot->waiters, it, next) {
        struct ps_pool_wait *wait = ps_pool_wait_of(it);
        if (wait->deadline_ms > now) {
            ps_pool_slot_due(slot, wait->deadline_ms);
            continue;
        }
        /* Nothing but connects under way: not the pool is too small, the
         * origin does not answer. */
        bool origin = ps_pool_slot_total(slot) ==
                          slot->states[PS_POOL_CONNECTING].count &&
                      ps_pool_slot_total(slot) > 0;
        struct ps_err err;
        ps_err_set(&err, origin ? PS_ORIGIN_TIMEOUT : PS_POOL_TIMEOUT, NULL);
        ps_pool_wait_done(slot->pool, wait, NULL, &err);
    }
}

/* How many idle ones are kept however long they idle. */
static size_t
kept_idle(const struct ps_pool_slot *slot)
{
    return slot->conf && slot->password ? slot->conf->pool_min_idle : 0;
}

/* Those used last are first in the list, and kept. */
static void
expire_idle(struct ps_pool_slot *slot, uint64_t now)
{
    size_t position = 0, kept = kept_idle(slot);
    PS_LIST_FOREACH_SAFE(&slot->states[PS_POOL_IDLE], it, next) {
        struct ps_pool_conn *pc = ps_pool_conn_of(it);
        uint64_t end = position < kept ? old_at(pc) : ps_pool_conn_ends_ms(pc);
        if (end <= now) {
            ps_pool_slot_close(pc);
            continue;
        }
        position++;
        if (end < UINT64_MAX)
            ps_pool_slot_due(slot, end);
    }
}

static void
expire_password(struct ps_pool_slot *slot, uint64_t now)
{
    if (!slot->password)
        return;
    uint64_t end = slot->used_ms + PS_POOL_FORGET_MS;
    if (end <= now)
        ps_pool_forget_password(slot);
    else
        ps_pool_slot_due(slot, end);
}

void
ps_pool_slot_on_timer(void *arg)
{
    struct ps_pool_slot *slot = arg;
    uint64_t now = ps_pool_slot_now(slot);
    slot->due_ms = slot->timer_ms = UINT64_MAX;
    expire_waiters(slot, now);
    expire_password(slot, now);
    expire_idle(slot, now);
    if (slot->retry_at_ms > now)
        ps_pool_slot_due(slot, slot->retry_at_ms);
    if (slot->fill_at_ms > now)
        ps_pool_slot_due(slot, slot->fill_at_ms);
    ps_pool_slot_serve(slot);
    ps_pool_slot_settle(slot);
}

/* Has it nothing to do any more? */
static bool
is_over(const struct ps_pool_slot *slot)
{
    return slot->waiters.count == 0 && ps_pool_slot_total(slot) == 0 &&
           kept_idle(slot) == 0;
}

void
ps_pool_slot_settle(struct ps_pool_slot *slot)
{
    ps_pool_slot_yield(slot);
    if (is_over(slot)) {
        ps_pool_slot_free(slot);
        return;
    }
    if (slot->waiters.count == 0 && slot->hungry) {
        slot->hungry = false;
        ps_origin_leave(&slot->share, ps_pool_slot_now(slot));
    }
    if (slot->due_ms >= slot->timer_ms)
        return;
    uint64_t now = ps_pool_slot_now(slot);
    slot->timer_ms = slot->due_ms;
    ps_timer_start_ms(&slot->timer,
                      slot->due_ms > now ? slot->due_ms - now : 0);
}
