/*
 * One principal's connections and those who wait for one.
 *
 *   open                     lease               release
 *   --> [connecting] --ok--> [idle] <-------> [leased] --reset--> [resetting]
 *         | refused            | idle too long    | discard        | ok: idle
 *         v                    v                  v                v again
 *       waiters fail         closed             closed           else closed
 *
 * Who may be given an idle connection: a waiter whose password is the one
 * that logged in less than the verified window ago. Any other makes a login
 * of its own password first, alone if it can: waiters with the same password
 * share it, and once it has succeeded they are verified, all of them.
 *
 * A refused login fails the waiters with that password and drops what was
 * remembered. Any other failure fails those who have nothing else to hope
 * for: with other connections at work a verified waiter keeps waiting for
 * one of them, and further attempts keep a distance (backoff).
 */
#include "agent/pool/pool_private.h"
#include "common/check.h"
#include "common/log.h"
#include "common/tls.h"

#include <stdlib.h>

static void on_timer(void *arg);

static struct ps_pool_conn *
conn_of(struct ps_link *link)
{
    return PS_CONTAINER_OF(link, struct ps_pool_conn, link);
}

static struct ps_pool_wait *
wait_of(struct ps_link *link)
{
    return PS_CONTAINER_OF(link, struct ps_pool_wait, link);
}

static uint64_t
now_of(const struct ps_pool_slot *slot)
{
    return ps_loop_now_ms(slot->pool->conf.loop);
}

/* The one function that changes a connection's state. */
static void
set_state(struct ps_pool_conn *pc, enum ps_pool_state state)
{
    struct ps_pool_slot *slot = pc->slot;
    ps_list_remove(&slot->states[pc->state], &pc->link);
    pc->state = state;
    ps_list_push_front(&slot->states[state], &pc->link);
    if (state == PS_POOL_IDLE)
        pc->idle_since_ms = now_of(slot);
}

size_t
ps_pool_slot_total(const struct ps_pool_slot *slot)
{
    size_t total = 0;
    for (size_t i = 0; i < PS_POOL_STATE_COUNT; i++)
        total += slot->states[i].count;
    return total;
}

struct ps_pool_slot *
ps_pool_slot_new(struct ps_pool *pool, struct ps_principal *principal)
{
    struct ps_pool_slot *slot = calloc(1, sizeof(*slot));
    if (!slot)
        return NULL;
    slot->pool = pool;
    slot->principal = ps_principal_ref(principal);
    for (size_t i = 0; i < PS_POOL_STATE_COUNT; i++)
        ps_list_init(&slot->states[i]);
    ps_list_init(&slot->waiters);
    ps_timer_init(&slot->timer, pool->conf.loop, on_timer, slot);
    ps_list_push_back(&pool->slots, &slot->link);
    principal->pool_slot = slot;
    return slot;
}

void
ps_pool_slot_free(struct ps_pool_slot *slot)
{
    PS_CHECK(slot->waiters.count == 0);
    for (size_t i = 0; i < PS_POOL_STATE_COUNT; i++) {
        struct ps_link *link;
        while ((link = ps_list_first(&slot->states[i])))
            ps_pool_slot_close(conn_of(link));
    }
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
    ps_cache_conf_unref(&slot->conf);
    slot->conf = conf ? ps_cache_conf_ref(conf) : NULL;
}

/* ------------------------------------------------------------- closing */

void
ps_pool_slot_close(struct ps_pool_conn *pc)
{
    struct ps_pool_slot *slot = pc->slot;
    ps_list_remove(&slot->states[pc->state], &pc->link);
    slot->pool->stats.closed++;
    ps_conn_close(&pc->conn);
    ps_cache_conf_unref(&pc->conf);
    explicit_bzero(pc->digest, sizeof(pc->digest));
    free(pc);
}

static bool
fits(const struct ps_pool_conn *pc, const struct ps_cache_conf *conf)
{
    return conf &&
           (pc->conf == conf || ps_cache_conf_same_origin(pc->conf, conf));
}

void
ps_pool_slot_trim(struct ps_pool_slot *slot)
{
    PS_LIST_FOREACH_SAFE(&slot->states[PS_POOL_IDLE], it, next) {
        if (!fits(conn_of(it), slot->conf))
            ps_pool_slot_close(conn_of(it));
    }
}

/* The peer of a connection went away. Idle: close it. Leased: who has it will
 * find out by using it. */
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

void
ps_pool_slot_idle(struct ps_pool_conn *pc)
{
    struct ps_pool_slot *slot = pc->slot;
    if (!fits(pc, slot->conf) || !ps_conn_alive(pc->conn) ||
        ps_pool_slot_total(slot) > slot->conf->pool_max)
        ps_pool_slot_close(pc);
    else
        set_state(pc, PS_POOL_IDLE);
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
    if (!fits(pc, slot->conf) || !ps_conn_alive(pc->conn)) {
        ps_pool_slot_close(pc);
        return;
    }
    set_state(pc, PS_POOL_RESETTING);
    ps_conn_reset(pc->conn, PS_POOL_RESET_TIMEOUT_MS, on_reset, pc);
}

/* ------------------------------------------------------------- leasing */

static void
lease(struct ps_pool_conn *pc, struct ps_pool_wait *wait, bool fresh)
{
    set_state(pc, PS_POOL_LEASED);
    wait->fresh_login = fresh;
    ps_pool_wait_done(pc->slot->pool, wait, pc, NULL);
}

/* The idle connection used last (the others may time out), still there and
 * right for this definition; dead ones are closed on the way. */
static struct ps_pool_conn *
take_idle(struct ps_pool_slot *slot, const struct ps_cache_conf *conf)
{
    PS_LIST_FOREACH_SAFE(&slot->states[PS_POOL_IDLE], it, next) {
        struct ps_pool_conn *pc = conn_of(it);
        if (!ps_conn_alive(pc->conn))
            ps_pool_slot_close(pc);
        else if (fits(pc, conf))
            return pc;
    }
    return NULL;
}

/* ------------------------------------------------------------- opening */

static struct ps_pool_conn *
find_connecting(const struct ps_pool_slot *slot,
                const unsigned char digest[PS_DIGEST_BYTES])
{
    PS_LIST_FOREACH_SAFE(&slot->states[PS_POOL_CONNECTING], it, next) {
        struct ps_pool_conn *pc = conn_of(it);
        if (ps_equal_const_time(pc->digest, digest, PS_DIGEST_BYTES))
            return pc;
    }
    return NULL;
}

/* Logins under way whose password was not known to be good. */
static size_t
count_unverified(const struct ps_pool_slot *slot)
{
    size_t n = 0;
    PS_LIST_FOREACH_SAFE(&slot->states[PS_POOL_CONNECTING], it, next) {
        n += !conn_of(it)->verified;
    }
    return n;
}

/* Fails the waiters that the failed login pc leaves without hope. */
static void
fail_waiters(struct ps_pool_slot *slot, const struct ps_pool_conn *pc,
             const struct ps_err *err)
{
    unsigned char current[PS_DIGEST_BYTES];
    bool any = ps_principal_current(slot->principal, now_of(slot), current);
    bool others = ps_pool_slot_total(slot) > 1; /* pc is still counted */
    PS_LIST_FOREACH_SAFE(&slot->waiters, it, next) {
        struct ps_pool_wait *wait = wait_of(it);
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
    if (err->rc == PS_LOGIN_FAILED) {
        slot->failures++;
        slot->pool->stats.logins_failed++;
        ps_principal_drop_verified(slot->principal);
    } else {
        slot->backoff_ms = PS_MIN(
            PS_MAX(slot->backoff_ms * 2, (uint64_t)PS_POOL_BACKOFF_MIN_MS),
            (uint64_t)PS_POOL_BACKOFF_MAX_MS);
        slot->retry_at_ms = now_of(slot) + slot->backoff_ms;
        ps_info("pool", "cache %.*s: cannot connect: %s",
                PS_STR_ARG(slot->principal->cache_id),
                ps_err_info(err->rc)->code);
    }
    fail_waiters(slot, pc, err);
    ps_pool_slot_close(pc);
}

/* The first waiter that this login is good for. */
static struct ps_pool_wait *
waiter_for(struct ps_pool_slot *slot, const struct ps_pool_conn *pc)
{
    unsigned char current[PS_DIGEST_BYTES];
    bool any = ps_principal_current(slot->principal, now_of(slot), current);
    PS_LIST_FOREACH_SAFE(&slot->waiters, it, next) {
        struct ps_pool_wait *wait = wait_of(it);
        bool same =
            ps_equal_const_time(wait->digest, pc->digest, PS_DIGEST_BYTES);
        bool verified =
            any && ps_equal_const_time(wait->digest, current, PS_DIGEST_BYTES);
        if ((same || verified) && fits(pc, wait->conf))
            return wait;
    }
    return NULL;
}

static void
opened(struct ps_pool_conn *pc)
{
    struct ps_pool_slot *slot = pc->slot;
    slot->pool->stats.opened++;
    slot->backoff_ms = 0;
    slot->retry_at_ms = 0;
    /* A login of this user was refused meanwhile: then this one proves
     * nothing for later requests (hazard 35). */
    if (pc->failures == slot->failures)
        ps_principal_set_digest(slot->principal, pc->digest, pc->begun_ms);
    ps_conn_on_lost(pc->conn, on_lost, pc);
    struct ps_pool_wait *wait = waiter_for(slot, pc);
    if (wait)
        lease(pc, wait, true);
    else
        ps_pool_slot_idle(pc);
}

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

static enum ps_rc
start_login(struct ps_pool_slot *slot, const struct ps_pool_wait *wait,
            bool verified)
{
    struct ps_pool *pool = slot->pool;
    const struct ps_driver *driver =
        pool->conf.find_driver(slot->principal->provider);
    if (!driver)
        return PS_UNSUPPORTED;
    struct ps_pool_conn *pc = calloc(1, sizeof(*pc));
    if (!pc)
        return PS_NO_MEMORY;
    pc->slot = slot;
    pc->state = PS_POOL_CONNECTING;
    pc->conf = ps_cache_conf_ref(wait->conf);
    memcpy(pc->digest, wait->digest, PS_DIGEST_BYTES);
    pc->begun_ms = now_of(slot);
    pc->failures = slot->failures;
    pc->verified = verified;
    const struct ps_conn_open open = {
        .loop = pool->conf.loop,
        .resolver = pool->conf.resolver,
        .conf = wait->conf,
        .login = {.user = slot->principal->user,
                  .password = wait->password,
                  .database = slot->principal->database},
        .application_name = "portside",
        .fn = on_open,
        .arg = pc,
    };
    pc->conn = ps_conn_open(driver, &open);
    if (!pc->conn) {
        ps_cache_conf_unref(&pc->conf);
        free(pc);
        return PS_NO_MEMORY;
    }
    ps_conn_set_owner(pc->conn, pc);
    ps_list_push_front(&slot->states[PS_POOL_CONNECTING], &pc->link);
    return PS_OK;
}

static void
login_for(struct ps_pool_slot *slot, struct ps_pool_wait *wait, bool verified)
{
    enum ps_rc rc = start_login(slot, wait, verified);
    if (rc == PS_OK)
        return;
    struct ps_err err;
    ps_err_set(&err, rc, NULL);
    ps_pool_wait_done(slot->pool, wait, NULL, &err);
}

/* Room for one more connection; an idle one may have to go for a login that
 * proves a password. */
static bool
has_room(struct ps_pool_slot *slot, const struct ps_cache_conf *conf,
         bool verified)
{
    size_t max = PS_MAX(conf->pool_max, 1u);
    if (ps_pool_slot_total(slot) < max)
        return true;
    struct ps_link *oldest = ps_list_last(&slot->states[PS_POOL_IDLE]);
    if (!oldest || ps_pool_slot_total(slot) > max)
        return false;
    /* One that does not fit is of no use to a verified waiter either. */
    if (verified && fits(conn_of(oldest), conf))
        return false;
    ps_pool_slot_close(conn_of(oldest));
    return true;
}

/* Logins under way that will help waiters with the verified password. */
static size_t
count_helpful(const struct ps_pool_slot *slot,
              const unsigned char current[PS_DIGEST_BYTES])
{
    size_t n = 0;
    PS_LIST_FOREACH_SAFE(&slot->states[PS_POOL_CONNECTING], it, next) {
        n += ps_equal_const_time(conn_of(it)->digest, current, PS_DIGEST_BYTES);
    }
    return n;
}

/* May a further login with the verified password begin? wanted: how many
 * waiters could use one. */
static bool
may_open(const struct ps_pool_slot *slot,
         const unsigned char current[PS_DIGEST_BYTES], size_t wanted)
{
    size_t helpful = count_helpful(slot, current);
    if (helpful >= PS_POOL_CONNECTING_MAX || helpful >= wanted)
        return false;
    return ps_pool_slot_total(slot) == 0 || now_of(slot) >= slot->retry_at_ms;
}

void
ps_pool_slot_serve(struct ps_pool_slot *slot)
{
    unsigned char current[PS_DIGEST_BYTES];
    bool any = ps_principal_current(slot->principal, now_of(slot), current);
    size_t wanted = 0;
    PS_LIST_FOREACH_SAFE(&slot->waiters, it, next) {
        struct ps_pool_wait *wait = wait_of(it);
        if (any &&
            ps_equal_const_time(wait->digest, current, PS_DIGEST_BYTES)) {
            struct ps_pool_conn *pc = take_idle(slot, wait->conf);
            if (pc)
                lease(pc, wait, false);
            else if (may_open(slot, current, ++wanted) &&
                     has_room(slot, wait->conf, true))
                login_for(slot, wait, true);
        } else if (!find_connecting(slot, wait->digest) &&
                   count_unverified(slot) < PS_POOL_UNVERIFIED_MAX &&
                   has_room(slot, wait->conf, false)) {
            login_for(slot, wait, false);
        }
    }
}

/* --------------------------------------------------------------- timing */

static void
expire_waiters(struct ps_pool_slot *slot, uint64_t now)
{
    PS_LIST_FOREACH_SAFE(&slot->waiters, it, next) {
        struct ps_pool_wait *wait = wait_of(it);
        if (wait->deadline_ms > now)
            continue;
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

static uint64_t
idle_until(const struct ps_pool_slot *slot, const struct ps_pool_conn *pc)
{
    const struct ps_cache_conf *conf = slot->conf ? slot->conf : pc->conf;
    return pc->idle_since_ms + conf->pool_idle_timeout_ms;
}

/* The idle list is in order of use, the longest unused one last. */
static void
expire_idle(struct ps_pool_slot *slot, uint64_t now)
{
    struct ps_link *link;
    while ((link = ps_list_last(&slot->states[PS_POOL_IDLE])) &&
           idle_until(slot, conn_of(link)) <= now)
        ps_pool_slot_close(conn_of(link));
}

static void
on_timer(void *arg)
{
    struct ps_pool_slot *slot = arg;
    uint64_t now = now_of(slot);
    expire_waiters(slot, now);
    expire_idle(slot, now);
    ps_pool_slot_serve(slot);
    ps_pool_slot_settle(slot);
}

static uint64_t
next_due(const struct ps_pool_slot *slot, uint64_t now)
{
    uint64_t due = UINT64_MAX;
    PS_LIST_FOREACH_SAFE(&slot->waiters, it, next) {
        due = PS_MIN(due, wait_of(it)->deadline_ms);
    }
    struct ps_link *oldest = ps_list_last(&slot->states[PS_POOL_IDLE]);
    if (oldest)
        due = PS_MIN(due, idle_until(slot, conn_of(oldest)));
    if (slot->waiters.count && slot->retry_at_ms > now)
        due = PS_MIN(due, slot->retry_at_ms);
    return due;
}

void
ps_pool_slot_settle(struct ps_pool_slot *slot)
{
    if (slot->waiters.count == 0 && ps_pool_slot_total(slot) == 0) {
        ps_pool_slot_free(slot);
        return;
    }
    uint64_t now = now_of(slot), due = next_due(slot, now);
    if (due == UINT64_MAX)
        ps_timer_stop(&slot->timer);
    else
        ps_timer_start_ms(&slot->timer, due > now ? due - now : 0);
}
