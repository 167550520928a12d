/*
 * One principal's connections.
 *
 *   open                     lease               release
 *   --> [connecting] --ok--> [idle] <-------> [leased] --reset--> [resetting]
 *         | refused           | ^                 | discard        | ok: idle
 *         v          too long | | ok              v                v again
 *       waiters fail    idle: | +-- [checking]  closed           else closed
 *                       closed v      ^  | no answer
 *                              `------'  v closed
 *
 * A connection is closed instead of becoming idle when it no longer fits the
 * definition, is too old, one too many, or another principal's turn.
 */
#include "agent/pool/pool_private.h"
#include "common/check.h"

#include <stdlib.h>

void
ps_pool_conn_set_state(struct ps_pool_conn *pc, enum ps_pool_state state)
{
    struct ps_pool_slot *slot = pc->slot;
    ps_list_remove(&slot->states[pc->state], &pc->link);
    pc->state = state;
    ps_list_push_front(&slot->states[state], &pc->link);
    if (state != PS_POOL_IDLE)
        return;
    pc->idle_since_ms = ps_pool_slot_now(slot);
    ps_pool_slot_due(slot, ps_pool_conn_ends_ms(pc));
}

size_t
ps_pool_slot_total(const struct ps_pool_slot *slot)
{
    size_t total = 0;
    for (size_t i = 0; i < PS_POOL_STATE_COUNT; i++)
        total += slot->states[i].count;
    return total;
}

/* ------------------------------------------------------------------ life */

static void
on_wake(struct ps_origin_share *share)
{
    struct ps_pool_slot *slot =
        PS_CONTAINER_OF(share, struct ps_pool_slot, share);
    ps_pool_slot_serve(slot);
    ps_pool_slot_settle(slot);
}

struct ps_pool_slot *
ps_pool_slot_new(struct ps_pool *pool, struct ps_principal *principal)
{
    struct ps_pool_slot *slot = calloc(1, sizeof(*slot));
    struct ps_origin *origin =
        ps_origins_get(pool->conf.origins, principal->cache_id);
    if (!slot || !origin) {
        ps_origin_unref(&origin);
        free(slot);
        return NULL;
    }
    slot->pool = pool;
    slot->principal = ps_principal_ref(principal);
    for (size_t i = 0; i < PS_POOL_STATE_COUNT; i++)
        ps_list_init(&slot->states[i]);
    ps_list_init(&slot->waiters);
    ps_origin_share_init(&slot->share, origin, pool->conf.loop, on_wake);
    ps_timer_init(&slot->timer, pool->conf.loop, ps_pool_slot_on_timer, slot);
    slot->due_ms = slot->timer_ms = UINT64_MAX;
    ps_list_push_back(&pool->slots, &slot->link);
    principal->pool_slot = slot;
    return slot;
}

void
ps_pool_slot_free(struct ps_pool_slot *slot)
{
    PS_CHECK(slot->waiters.count == 0);
    ps_origin_leave(&slot->share, ps_pool_slot_now(slot));
    for (size_t i = 0; i < PS_POOL_STATE_COUNT; i++) {
        struct ps_link *link;
        while ((link = ps_list_first(&slot->states[i])))
            ps_pool_slot_close(ps_pool_conn_of(link));
    }
    ps_origin_share_done(&slot->share);
    ps_pool_forget_password(slot);
    ps_timer_stop(&slot->timer);
    ps_list_remove(&slot->pool->slots, &slot->link);
    slot->principal->pool_slot = NULL;
    ps_principal_unref(&slot->principal);
    ps_cache_conf_unref(&slot->conf);
    free(slot);
}

void
ps_pool_slot_set_conf(struct ps_pool_slot *slot, struct ps_cache_conf *conf)
{
    if (slot->conf == conf)
        return;
    if (conf && slot->conf && conf->revision < slot->conf->revision)
        return; /* a request that began before the change */
    if (slot->conf)
        slot->due_ms = 0; /* other limits, other times */
    ps_cache_conf_unref(&slot->conf);
    slot->conf = conf ? ps_cache_conf_ref(conf) : NULL;
    if (conf)
        ps_origin_set_conf(slot->share.origin, conf);
    if (!conf || conf->pool_min_idle == 0)
        ps_pool_forget_password(slot);
}

/* --------------------------------------------------------------- closing */

void
ps_pool_slot_close(struct ps_pool_conn *pc)
{
    struct ps_pool_slot *slot = pc->slot;
    uint64_t now = ps_pool_slot_now(slot);
    ps_list_remove(&slot->states[pc->state], &pc->link);
    slot->pool->stats.closed++;
    if (pc->state != PS_POOL_CONNECTING && ps_pool_fits(pc, slot->conf) &&
        now - pc->opened_ms < PS_POOL_FILLING_PAUSE_MS) {
        slot->fill_at_ms = now + PS_POOL_FILLING_PAUSE_MS;
        ps_pool_slot_due(slot, slot->fill_at_ms);
    }
    ps_conn_close(&pc->conn);
    if (pc->probe)
        ps_origin_probe_lost(slot->share.origin, now);
    ps_origin_give(&slot->share, now);
    ps_cache_conf_unref(&pc->conf);
    explicit_bzero(pc->digest, sizeof(pc->digest));
    free(pc);
}

void
ps_pool_slot_trim(struct ps_pool_slot *slot)
{
    PS_LIST_FOREACH_SAFE(&slot->states[PS_POOL_IDLE], it, next) {
        if (!ps_pool_fits(ps_pool_conn_of(it), slot->conf))
            ps_pool_slot_close(ps_pool_conn_of(it));
    }
}

void
ps_pool_slot_yield(struct ps_pool_slot *slot)
{
    struct ps_link *link;
    while (
        slot->waiters.count == 0 &&
        (link = ps_list_last(&slot->states[PS_POOL_IDLE])) &&
        ps_origin_must_yield(&slot->share, ps_pool_slot_now(slot), true, true))
        ps_pool_slot_close(ps_pool_conn_of(link));
}

/* ---------------------------------------------------- idle, reset, check */

/* Is it another principal's turn? */
static bool
must_yield(const struct ps_pool_conn *pc, uint64_t now)
{
    struct ps_pool_slot *slot = pc->slot;
    return ps_origin_must_yield(&slot->share, now, slot->waiters.count == 0,
                                now - pc->opened_ms >= PS_POOL_TURN_MS);
}

void
ps_pool_slot_idle(struct ps_pool_conn *pc)
{
    struct ps_pool_slot *slot = pc->slot;
    uint64_t now = ps_pool_slot_now(slot);
    if (!ps_pool_fits(pc, slot->conf) || !ps_conn_alive(pc->conn) ||
        ps_pool_slot_total(slot) > slot->conf->pool_max ||
        ps_pool_conn_too_old(pc, now) || must_yield(pc, now)) {
        ps_pool_slot_close(pc);
        return;
    }
    pc->seen_ms = now;
    ps_pool_conn_set_state(pc, PS_POOL_IDLE);
}

static void
on_reset(void *arg, enum ps_rc rc)
{
    struct ps_pool_conn *pc = arg;
    struct ps_pool_slot *slot = pc->slot;
    if (rc == PS_OK) {
        ps_pool_slot_idle(pc);
    } else {
        slot->pool->stats.discarded++;
        ps_pool_slot_close(pc);
    }
    ps_pool_slot_serve(slot);
    ps_pool_slot_settle(slot);
}

void
ps_pool_slot_reset(struct ps_pool_conn *pc)
{
    struct ps_pool_slot *slot = pc->slot;
    if (!ps_pool_fits(pc, slot->conf) || !ps_conn_alive(pc->conn)) {
        ps_pool_slot_close(pc);
        return;
    }
    ps_pool_conn_set_state(pc, PS_POOL_RESETTING);
    ps_conn_reset(pc->conn, PS_POOL_RESET_TIMEOUT_MS, on_reset, pc);
}

static bool
has_unused(const struct ps_pool_slot *slot)
{
    PS_LIST_FOREACH_SAFE(&slot->states[PS_POOL_IDLE], it, next) {
        if (!ps_conn_used(ps_pool_conn_of(it)->conn))
            return true;
    }
    return false;
}

/* Statements that must not see what others left wait for a reset, if nobody
 * has seen to it before: while such come, one is reset as soon as nobody else
 * needs it. */
static bool
should_spare(const struct ps_pool_conn *pc)
{
    const struct ps_pool_slot *slot = pc->slot;
    return ps_pool_slot_now(slot) < slot->spare_until_ms &&
           slot->waiters.count == 0 && ps_conn_used(pc->conn) &&
           slot->states[PS_POOL_RESETTING].count == 0 && slot->conf &&
           (slot->states[PS_POOL_IDLE].count > 0 ||
            ps_pool_slot_total(slot) < slot->conf->pool_max) &&
           !has_unused(slot);
}

void
ps_pool_slot_clean(struct ps_pool_conn *pc)
{
    if (should_spare(pc))
        ps_pool_slot_reset(pc);
    else
        ps_pool_slot_idle(pc);
}

/* One that idled as long as the one that got no answer will get none. */
static void
close_unseen(struct ps_pool_slot *slot, uint64_t seen_ms)
{
    PS_LIST_FOREACH_SAFE(&slot->states[PS_POOL_IDLE], it, next) {
        if (ps_pool_conn_of(it)->seen_ms <= seen_ms)
            ps_pool_slot_close(ps_pool_conn_of(it));
    }
}

static void
on_checked(void *arg, const struct ps_outcome *outcome)
{
    struct ps_pool_conn *pc = arg;
    struct ps_pool_slot *slot = pc->slot;
    /* Whatever the server says of the statement, it is there. */
    if (outcome->state == PS_CONN_IDLE &&
        (outcome->rc == PS_OK || outcome->rc == PS_ORIGIN_SQL)) {
        ps_pool_slot_idle(pc);
    } else {
        uint64_t seen_ms = pc->seen_ms;
        slot->pool->stats.checks_failed++;
        ps_pool_slot_close(pc);
        close_unseen(slot, seen_ms);
    }
    ps_pool_slot_serve(slot);
    ps_pool_slot_settle(slot);
}

void
ps_pool_slot_check(struct ps_pool_conn *pc)
{
    ps_pool_conn_set_state(pc, PS_POOL_CHECKING);
    pc->check = (struct ps_statement){.sql = PS_STR("SELECT 1"),
                                      .timeout_ms = PS_POOL_CHECK_TIMEOUT_MS};
    ps_conn_execute(pc->conn, &pc->check, NULL, on_checked, pc);
}
