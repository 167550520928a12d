/*
 * Logins, and what their end means for those who wait.
 *
 * A refused login fails the waiters with that password and drops what was
 * remembered. Any other failure fails those who have nothing else to hope
 * for: with other connections at work a verified waiter keeps waiting for
 * one of them, and further attempts keep a distance (backoff). What the end
 * says of the origin as a whole is for origin.c to judge.
 */
#include "agent/pool/pool_private.h"
#include "common/check.h"
#include "common/log.h"
#include "common/tls.h"

#include <stdlib.h>

/* --------------------------------------------------- the kept password */

void
ps_pool_forget_password(struct ps_pool_slot *slot)
{
    if (slot->password)
        explicit_bzero(slot->password, slot->password_len);
    explicit_bzero(slot->password_digest, sizeof(slot->password_digest));
    free(slot->password);
    slot->password = NULL;
    slot->password_len = 0;
}

void
ps_pool_keep_password(struct ps_pool_slot *slot,
                      const struct ps_pool_wait *wait)
{
    if (!slot->conf || slot->conf->pool_min_idle == 0)
        return;
    if (slot->password && ps_equal_const_time(slot->password_digest,
                                              wait->digest, PS_DIGEST_BYTES))
        return;
    char *copy = ps_str_dup(wait->password);
    if (!copy)
        return; /* fewer idle ones, then */
    ps_pool_forget_password(slot);
    slot->password = copy;
    slot->password_len = wait->password.len;
    memcpy(slot->password_digest, wait->digest, PS_DIGEST_BYTES);
    ps_pool_slot_due(slot, slot->used_ms + PS_POOL_FORGET_MS);
}

/* --------------------------------------------------------------- failure */

/* Fails the waiters that the failed login pc leaves without hope. */
static void
fail_waiters(struct ps_pool_slot *slot, const struct ps_pool_conn *pc,
             const struct ps_err *err)
{
    unsigned char current[PS_DIGEST_BYTES];
    bool any =
        ps_principal_current(slot->principal, ps_pool_slot_now(slot), current);
    bool others = ps_pool_slot_total(slot) > 1; /* pc is still counted */
    PS_LIST_FOREACH_SAFE(&slot->waiters, it, next) {
        struct ps_pool_wait *wait = ps_pool_wait_of(it);
        bool verified =
            any && ps_equal_const_time(wait->digest, current, PS_DIGEST_BYTES);
        bool same =
            ps_equal_const_time(wait->digest, pc->digest, PS_DIGEST_BYTES);
        if (verified ? !others : same)
            ps_pool_wait_done(slot->pool, wait, NULL, err);
    }
}

static void
open_failed(struct ps_pool_conn *pc, const struct ps_err *err)
{
    struct ps_pool_slot *slot = pc->slot;
    uint64_t now = ps_pool_slot_now(slot);
    pc->probe = false;
    slot->pool->stats.breaker_opened +=
        ps_origin_failed(slot->share.origin, pc->conf, err->rc, now);
    if (err->rc == PS_LOGIN_FAILED) {
        slot->failures++;
        slot->pool->stats.logins_failed++;
        ps_principal_drop_verified(slot->principal);
        if (ps_equal_const_time(slot->password_digest, pc->digest,
                                PS_DIGEST_BYTES))
            ps_pool_forget_password(slot);
    } else {
        slot->backoff_ms = PS_MIN(
            PS_MAX(slot->backoff_ms * 2, (uint64_t)PS_POOL_BACKOFF_MIN_MS),
            (uint64_t)PS_POOL_BACKOFF_MAX_MS);
        slot->retry_at_ms = now + slot->backoff_ms;
        ps_pool_slot_due(slot, slot->retry_at_ms);
        ps_info("pool", "cache %.*s: cannot connect: %s",
                PS_STR_ARG(slot->principal->cache_id),
                ps_err_info(err->rc)->code);
    }
    fail_waiters(slot, pc, err);
    ps_pool_slot_close(pc);
}

/* --------------------------------------------------------------- success */

/* The first waiter that this login is good for. */
static struct ps_pool_wait *
waiter_for(struct ps_pool_slot *slot, const struct ps_pool_conn *pc)
{
    unsigned char current[PS_DIGEST_BYTES];
    bool any =
        ps_principal_current(slot->principal, ps_pool_slot_now(slot), current);
    PS_LIST_FOREACH_SAFE(&slot->waiters, it, next) {
        struct ps_pool_wait *wait = ps_pool_wait_of(it);
        bool same =
            ps_equal_const_time(wait->digest, pc->digest, PS_DIGEST_BYTES);
        bool verified =
            any && ps_equal_const_time(wait->digest, current, PS_DIGEST_BYTES);
        if ((same || verified) && ps_pool_fits(pc, wait->conf))
            return wait;
    }
    return NULL;
}

/* The peer of a connection went away. Idle: close it. Leased or being
 * checked: who has it will find out by using it. */
static void
on_lost(void *arg)
{
    struct ps_pool_conn *pc = arg;
    if (pc->state != PS_POOL_IDLE)
        return;
    struct ps_pool_slot *slot = pc->slot;
    ps_pool_slot_close(pc);
    ps_pool_slot_serve(slot);
    ps_pool_slot_settle(slot);
}

static void
opened(struct ps_pool_conn *pc)
{
    struct ps_pool_slot *slot = pc->slot;
    uint64_t now = ps_pool_slot_now(slot);
    slot->pool->stats.opened++;
    slot->backoff_ms = 0;
    slot->retry_at_ms = 0;
    pc->probe = false;
    ps_origin_worked(slot->share.origin, pc->conf, now);
    pc->opened_ms = pc->seen_ms = now;
    /* A login of this user was refused meanwhile: then this one proves
     * nothing for later requests (hazard 35). */
    bool proven = pc->failures == slot->failures;
    if (proven)
        ps_principal_set_digest(slot->principal, pc->digest, pc->begun_ms);
    ps_conn_on_lost(pc->conn, on_lost, pc);
    struct ps_pool_wait *wait = waiter_for(slot, pc);
    if (!wait) {
        ps_pool_slot_idle(pc);
        return;
    }
    if (proven &&
        ps_equal_const_time(wait->digest, pc->digest, PS_DIGEST_BYTES))
        ps_pool_keep_password(slot, wait);
    ps_pool_lease(pc, wait, true);
}

/* ----------------------------------------------------------------- begin */

static void
on_open(void *arg, struct ps_conn *conn, enum ps_rc rc,
        const struct ps_err *err)
{
    struct ps_pool_conn *pc = arg;
    struct ps_pool_slot *slot = pc->slot;
    PS_CHECK(pc->conn == conn && pc->state == PS_POOL_CONNECTING);
    if (rc == PS_OK)
        opened(pc);
    else
        open_failed(pc, err);
    ps_pool_slot_serve(slot);
    ps_pool_slot_settle(slot);
}

static struct ps_pool_conn *
new_conn(struct ps_pool_slot *slot, const struct ps_pool_wait *wait,
         const struct ps_origin_permit *permit, bool verified)
{
    struct ps_pool_conn *pc = calloc(1, sizeof(*pc));
    if (!pc)
        return NULL;
    pc->slot = slot;
    pc->state = PS_POOL_CONNECTING;
    pc->conf = ps_cache_conf_ref(wait->conf);
    memcpy(pc->digest, wait->digest, PS_DIGEST_BYTES);
    pc->begun_ms = ps_pool_slot_now(slot);
    pc->failures = slot->failures;
    pc->verified = verified;
    pc->jitter = permit->jitter;
    pc->probe = permit->probe;
    return pc;
}

static struct ps_conn *
begin(struct ps_pool_conn *pc, const struct ps_driver *driver,
      struct ps_str password)
{
    struct ps_pool_slot *slot = pc->slot;
    const struct ps_conn_open open = {
        .loop = slot->pool->conf.loop,
        .resolver = slot->pool->conf.resolver,
        .conf = pc->conf,
        .login = {.user = slot->principal->user,
                  .password = password,
                  .database = slot->principal->database},
        .application_name = "portside",
        .fn = on_open,
        .arg = pc,
    };
    return ps_conn_open(driver, &open);
}

/* Nothing came of the permit. */
static enum ps_rc
give_up(struct ps_pool_slot *slot, const struct ps_origin_permit *permit,
        enum ps_rc rc)
{
    if (permit->probe)
        ps_origin_probe_lost(slot->share.origin, ps_pool_slot_now(slot));
    ps_origin_give(&slot->share, ps_pool_slot_now(slot));
    return rc;
}

enum ps_rc
ps_pool_open(struct ps_pool_slot *slot, const struct ps_pool_wait *wait,
             const struct ps_origin_permit *permit, bool verified)
{
    const struct ps_driver *driver =
        slot->pool->conf.find_driver(slot->principal->provider);
    if (!driver)
        return give_up(slot, permit, PS_UNSUPPORTED);
    struct ps_pool_conn *pc = new_conn(slot, wait, permit, verified);
    if (!pc)
        return give_up(slot, permit, PS_NO_MEMORY);
    pc->conn = begin(pc, driver, wait->password);
    if (!pc->conn) {
        ps_cache_conf_unref(&pc->conf);
        free(pc);
        return give_up(slot, permit, PS_NO_MEMORY);
    }
    ps_conn_set_owner(pc->conn, pc);
    ps_list_push_front(&slot->states[PS_POOL_CONNECTING], &pc->link);
    return PS_OK;
}
