/*
 * The pool's public side. A wait is always answered from one place, the ready
 * list, which a timer of 0 ms empties on the loop's next turn: nothing calls
 * back from inside acquire or release, and a wait can be cancelled up to the
 * moment its fn runs (a connection it had been given goes back).
 */
#include "agent/pool/pool.h"

#include "agent/pool/pool_private.h"
#include "common/check.h"

#include <stdlib.h>

static struct ps_pool_wait *
wait_of(struct ps_link *link)
{
    return PS_CONTAINER_OF(link, struct ps_pool_wait, link);
}

static void
deliver(struct ps_pool *pool, struct ps_pool_wait *wait)
{
    struct ps_conn *conn = wait->conn;
    uint64_t now_us = ps_clock_now_us(ps_loop_clock(pool->conf.loop));
    wait->state = PS_POOL_WAIT_NONE;
    wait->conn = NULL;
    wait->slot = NULL;
    wait->waited_us = now_us - wait->begun_us;
    wait->fn(wait, conn, wait->err.rc, &wait->err);
}

/* Those that become ready meanwhile have the next turn. */
static void
on_ready(void *arg)
{
    struct ps_pool *pool = arg;
    for (size_t n = pool->ready.count; n > 0; n--) {
        struct ps_link *link = ps_list_pop_front(&pool->ready);
        if (!link)
            return; /* cancelled by the ones before */
        deliver(pool, wait_of(link));
    }
    if (pool->ready.count)
        ps_timer_start_ms(&pool->ready_timer, 0);
}

void
ps_pool_wait_done(struct ps_pool *pool, struct ps_pool_wait *wait,
                  struct ps_pool_conn *pc, const struct ps_err *err)
{
    if (wait->state == PS_POOL_WAIT_QUEUED) {
        struct ps_pool_slot *slot = wait->slot;
        ps_list_remove(&slot->waiters, &wait->link);
    }
    wait->state = PS_POOL_WAIT_READY;
    wait->conn = pc ? pc->conn : NULL;
    wait->err = err ? *err : (struct ps_err){.rc = PS_OK};
    ps_list_push_back(&pool->ready, &wait->link);
    if (!ps_timer_active(&pool->ready_timer))
        ps_timer_start_ms(&pool->ready_timer, 0);
}

static void
fail_wait(struct ps_pool *pool, struct ps_pool_wait *wait, enum ps_rc rc)
{
    struct ps_err err;
    ps_err_set(&err, rc, NULL);
    ps_pool_wait_done(pool, wait, NULL, &err);
}

struct ps_pool *
ps_pool_new(const struct ps_pool_conf *conf)
{
    struct ps_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return NULL;
    pool->conf = *conf;
    if (!pool->conf.find_driver)
        pool->conf.find_driver = ps_driver_find;
    if (!pool->conf.origins)
        pool->conf.origins = pool->own_origins = ps_origins_new(0);
    if (!pool->conf.origins) {
        free(pool);
        return NULL;
    }
    ps_list_init(&pool->slots);
    ps_list_init(&pool->ready);
    ps_timer_init(&pool->ready_timer, conf->loop, on_ready, pool);
    return pool;
}

void
ps_pool_free(struct ps_pool **pool)
{
    struct ps_pool *old = *pool;
    *pool = NULL;
    if (!old)
        return;
    struct ps_link *link;
    old->closing = true;
    while ((link = ps_list_first(&old->slots))) {
        struct ps_pool_slot *slot =
            PS_CONTAINER_OF(link, struct ps_pool_slot, link);
        while ((link = ps_list_first(&slot->waiters)))
            fail_wait(old, wait_of(link), PS_SHUTTING_DOWN);
        ps_pool_slot_free(slot);
    }
    /* What a wait in the ready list had been given is closed, too. */
    while ((link = ps_list_pop_front(&old->ready))) {
        struct ps_pool_wait *wait = wait_of(link);
        if (wait->err.rc == PS_OK)
            ps_err_set(&wait->err, PS_SHUTTING_DOWN, NULL);
        wait->conn = NULL;
        deliver(old, wait);
    }
    ps_timer_stop(&old->ready_timer);
    ps_origins_free(&old->own_origins);
    free(old);
}

/* More wait than may, those not counted whose connection is being opened. */
static bool
too_many(const struct ps_pool_slot *slot, const struct ps_cache_conf *conf)
{
    size_t opening = slot->states[PS_POOL_CONNECTING].count;
    return slot->waiters.count > opening &&
           slot->waiters.count - opening > conf->pool_queue_max;
}

/* A request of a principal whose password is verified, but not kept. */
static void
keep_password(struct ps_pool_slot *slot, const struct ps_pool_wait *wait)
{
    if (wait->conf->pool_min_idle > 0 &&
        ps_principal_verified(slot->principal, wait->password, slot->used_ms))
        ps_pool_keep_password(slot, wait);
}

void
ps_pool_acquire(struct ps_pool *pool, struct ps_pool_wait *wait)
{
    struct ps_principal *principal = wait->principal;
    PS_CHECK(principal->home == pool->conf.home);
    PS_CHECK(wait->state == PS_POOL_WAIT_NONE && wait->fn);
    wait->fresh_login = false;
    wait->waited_us = 0;
    wait->begun_us = ps_clock_now_us(ps_loop_clock(pool->conf.loop));
    if (!wait->deadline_ms)
        wait->deadline_ms =
            ps_loop_now_ms(pool->conf.loop) + wait->conf->pool_queue_timeout_ms;
    ps_link_init(&wait->link);
    if (pool->closing) {
        fail_wait(pool, wait, PS_SHUTTING_DOWN);
        return;
    }
    struct ps_pool_slot *slot = principal->pool_slot;
    if (!slot)
        slot = ps_pool_slot_new(pool, principal);
    if (!slot) {
        fail_wait(pool, wait, PS_NO_MEMORY);
        return;
    }
    ps_pool_slot_set_conf(slot, wait->conf);
    ps_principal_digest(principal, wait->password, wait->digest);
    wait->slot = slot;
    wait->state = PS_POOL_WAIT_QUEUED;
    slot->used_ms = ps_loop_now_ms(pool->conf.loop);
    keep_password(slot, wait);
    ps_list_push_back(&slot->waiters, &wait->link);
    ps_pool_slot_due(slot, wait->deadline_ms);
    ps_pool_slot_serve(slot);
    if (wait->state == PS_POOL_WAIT_QUEUED && too_many(slot, wait->conf))
        fail_wait(pool, wait, PS_POOL_FULL);
    ps_pool_slot_settle(slot);
}

bool
ps_pool_busy(const struct ps_pool *pool, const struct ps_principal *principal)
{
    PS_CHECK(principal->home == pool->conf.home);
    const struct ps_pool_slot *slot = principal->pool_slot;
    if (!slot)
        return false;
    if (slot->waiters.count > 0)
        return true;
    return slot->states[PS_POOL_IDLE].count == 0 &&
           ps_pool_slot_total(slot) > 0;
}

void
ps_pool_cancel(struct ps_pool *pool, struct ps_pool_wait *wait)
{
    if (wait->state == PS_POOL_WAIT_QUEUED) {
        struct ps_pool_slot *slot = wait->slot;
        ps_list_remove(&slot->waiters, &wait->link);
        ps_pool_slot_settle(slot);
    } else if (wait->state == PS_POOL_WAIT_READY) {
        ps_list_remove(&pool->ready, &wait->link);
        if (wait->conn)
            ps_pool_release(pool, wait->conn, PS_POOL_CLEAN);
    }
    wait->state = PS_POOL_WAIT_NONE;
    wait->conn = NULL;
    wait->slot = NULL;
}

void
ps_pool_release(struct ps_pool *pool, struct ps_conn *conn,
                enum ps_pool_verdict verdict)
{
    struct ps_pool_conn *pc = ps_conn_owner(conn);
    PS_CHECK(pc && pc->conn == conn && pc->state == PS_POOL_LEASED);
    struct ps_pool_slot *slot = pc->slot;
    if (verdict == PS_POOL_DISCARD) {
        pool->stats.discarded++;
        ps_pool_slot_close(pc);
    } else if (verdict == PS_POOL_RESET) {
        ps_pool_slot_reset(pc);
    } else {
        ps_pool_slot_clean(pc);
    }
    ps_pool_slot_serve(slot);
    ps_pool_slot_settle(slot);
}

void
ps_pool_reconfigure(struct ps_pool *pool, const char *cache_id,
                    struct ps_cache_conf *conf)
{
    PS_LIST_FOREACH_SAFE(&pool->slots, it, next) {
        struct ps_pool_slot *slot =
            PS_CONTAINER_OF(it, struct ps_pool_slot, link);
        if (!ps_str_eq(slot->principal->cache_id, ps_str_of(cache_id)))
            continue;
        ps_pool_slot_set_conf(slot, conf);
        ps_pool_slot_trim(slot);
        ps_pool_slot_serve(slot);
        ps_pool_slot_settle(slot);
    }
    if (!conf)
        ps_origins_forget(pool->conf.origins, ps_str_of(cache_id));
}

void
ps_pool_stats(const struct ps_pool *pool, struct ps_pool_stats *out)
{
    *out = pool->stats;
    PS_LIST_FOREACH_SAFE(&pool->slots, it, next) {
        struct ps_pool_slot *slot =
            PS_CONTAINER_OF(it, struct ps_pool_slot, link);
        out->connecting += slot->states[PS_POOL_CONNECTING].count;
        out->idle += slot->states[PS_POOL_IDLE].count;
        out->leased += slot->states[PS_POOL_LEASED].count;
        out->resetting += slot->states[PS_POOL_RESETTING].count;
        out->checking += slot->states[PS_POOL_CHECKING].count;
        out->waiting += slot->waiters.count;
    }
}
