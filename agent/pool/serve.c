/*
 * Who gets what, in order of arrival, and when to open another connection.
 *
 * Who may be given an idle connection: a waiter whose password is the one
 * that logged in less than the verified window ago. Any other makes a login
 * of its own password first, alone if it can: waiters with the same password
 * share it, and once it has succeeded they are verified, all of them.
 *
 * Where a connection is to be opened, the origin is asked first (origin.c):
 * it may say later, then the principal is in line with the cache's others, or
 * that the breaker is open, then those fail who have nothing to wait for.
 */
#include "agent/pool/pool_private.h"
#include "common/check.h"
#include "common/tls.h"

/* One round of serving. */
struct round {
    struct ps_pool_slot *slot;
    bool any; /* a password is verified: */
    unsigned char current[PS_DIGEST_BYTES];
    size_t wanted; /* verified waiters that need a connection more */
    size_t passed; /* waiters that still wait */
    bool hungry;   /* in line with the cache's others */
};

void
ps_pool_lease(struct ps_pool_conn *pc, struct ps_pool_wait *wait, bool fresh)
{
    ps_pool_conn_set_state(pc, PS_POOL_LEASED);
    wait->fresh_login = fresh;
    ps_pool_wait_done(pc->slot->pool, wait, pc, NULL);
}

static bool
is_verified(const struct round *round, const struct ps_pool_wait *wait)
{
    return round->any &&
           ps_equal_const_time(wait->digest, round->current, PS_DIGEST_BYTES);
}

/* ------------------------------------------------------------------ idle */

static bool
needs_check(const struct ps_pool_conn *pc, const struct ps_cache_conf *conf,
            uint64_t now)
{
    return conf->pool_check_after_ms &&
           now - pc->seen_ms >= conf->pool_check_after_ms;
}

/* An unused one was wanted, and there was none. Once is no reason yet. */
static void
note_missed(struct ps_pool_slot *slot)
{
    uint64_t now = ps_pool_slot_now(slot);
    if (slot->missed_ms && now - slot->missed_ms < PS_POOL_SPARE_MS)
        slot->spare_until_ms = now + PS_POOL_SPARE_MS;
    slot->missed_ms = now;
}

/* The idle connection used last (the others may time out), still there and
 * right for this definition, rather an unused one for who wants that and
 * rather none such for others; dead ones are closed on the way. */
static struct ps_pool_conn *
find_idle(struct ps_pool_slot *slot, const struct ps_pool_wait *wait)
{
    struct ps_pool_conn *second = NULL;
    PS_LIST_FOREACH_SAFE(&slot->states[PS_POOL_IDLE], it, next) {
        struct ps_pool_conn *pc = ps_pool_conn_of(it);
        if (!ps_conn_alive(pc->conn)) {
            ps_pool_slot_close(pc);
        } else if (ps_pool_fits(pc, wait->conf)) {
            if (ps_conn_used(pc->conn) != wait->unused)
                return pc;
            second = second ? second : pc;
        }
    }
    if (second && wait->unused)
        note_missed(slot);
    return second;
}

/* --------------------------------------------------------------- opening */

static struct ps_pool_conn *
find_connecting(const struct ps_pool_slot *slot,
                const unsigned char digest[PS_DIGEST_BYTES])
{
    PS_LIST_FOREACH_SAFE(&slot->states[PS_POOL_CONNECTING], it, next) {
        struct ps_pool_conn *pc = ps_pool_conn_of(it);
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
        n += !ps_pool_conn_of(it)->verified;
    }
    return n;
}

/* Logins under way that will help waiters with the verified password. */
static size_t
count_helpful(const struct ps_pool_slot *slot,
              const unsigned char current[PS_DIGEST_BYTES])
{
    size_t n = 0;
    PS_LIST_FOREACH_SAFE(&slot->states[PS_POOL_CONNECTING], it, next) {
        n += ps_equal_const_time(ps_pool_conn_of(it)->digest, current,
                                 PS_DIGEST_BYTES);
    }
    return n;
}

/* May a further login with the verified password begin? */
static bool
may_open(const struct round *round)
{
    const struct ps_pool_slot *slot = round->slot;
    size_t helpful = count_helpful(slot, round->current);
    if (helpful >= PS_POOL_CONNECTING_MAX ||
        helpful + slot->states[PS_POOL_CHECKING].count >= round->wanted)
        return false;
    return ps_pool_slot_total(slot) == 0 ||
           ps_pool_slot_now(slot) >= slot->retry_at_ms;
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
    if (verified && ps_pool_fits(ps_pool_conn_of(oldest), conf))
        return false;
    ps_pool_slot_close(ps_pool_conn_of(oldest));
    return true;
}

static void
fail_wait(struct ps_pool_slot *slot, struct ps_pool_wait *wait, enum ps_rc rc)
{
    struct ps_err err;
    ps_err_set(&err, rc, NULL);
    ps_pool_wait_done(slot->pool, wait, NULL, &err);
}

/* The bound of the cache is reached. One's own idle connection goes first,
 * where a login has to prove another password. */
static enum ps_origin_answer
ask_again(struct ps_pool_slot *slot, struct ps_origin_permit *permit,
          uint64_t *retry_ms)
{
    struct ps_link *oldest = ps_list_last(&slot->states[PS_POOL_IDLE]);
    if (!oldest)
        return PS_ORIGIN_LATER;
    ps_pool_slot_close(ps_pool_conn_of(oldest));
    return ps_origin_take(&slot->share, ps_pool_slot_now(slot), true, permit,
                          retry_ms);
}

static void
open_for(struct round *round, struct ps_pool_wait *wait, bool verified)
{
    struct ps_pool_slot *slot = round->slot;
    uint64_t now = ps_pool_slot_now(slot), retry_ms;
    struct ps_origin_permit permit;
    enum ps_origin_answer answer =
        ps_origin_take(&slot->share, now, true, &permit, &retry_ms);
    if (answer == PS_ORIGIN_LATER && !verified)
        answer = ask_again(slot, &permit, &retry_ms);
    if (answer == PS_ORIGIN_GRANTED) {
        enum ps_rc rc = ps_pool_open(slot, wait, &permit, verified);
        if (rc != PS_OK)
            fail_wait(slot, wait, rc);
        return;
    }
    if (retry_ms)
        ps_pool_slot_due(slot, now + retry_ms);
    if (answer == PS_ORIGIN_LATER) {
        round->hungry = true;
    } else if (!verified || ps_pool_slot_total(slot) == 0) {
        wait->retry_after_ms = retry_ms;
        fail_wait(slot, wait, PS_ORIGIN_CIRCUIT);
    }
}

/* --------------------------------------------------------------- serving */

static void
serve_verified(struct round *round, struct ps_pool_wait *wait)
{
    struct ps_pool_slot *slot = round->slot;
    struct ps_pool_conn *pc = find_idle(slot, wait);
    if (pc && !needs_check(pc, wait->conf, ps_pool_slot_now(slot))) {
        ps_pool_lease(pc, wait, false);
        return;
    }
    round->wanted++;
    if (round->wanted <= slot->states[PS_POOL_CHECKING].count)
        return; /* one is being checked for it */
    if (pc)
        ps_pool_slot_check(pc);
    else if (!round->hungry && may_open(round) &&
             has_room(slot, wait->conf, true))
        open_for(round, wait, true);
}

static void
serve_unverified(struct round *round, struct ps_pool_wait *wait)
{
    struct ps_pool_slot *slot = round->slot;
    if (!find_connecting(slot, wait->digest) &&
        count_unverified(slot) < PS_POOL_UNVERIFIED_MAX &&
        has_room(slot, wait->conf, false))
        open_for(round, wait, false);
}

/* The login of who keeps the minimum: as if somebody waited. */
static bool
open_spare(struct ps_pool_slot *slot)
{
    uint64_t now = ps_pool_slot_now(slot), retry_ms;
    struct ps_origin_permit permit;
    struct ps_pool_wait nobody = {
        .conf = slot->conf,
        .password = {slot->password, slot->password_len},
    };
    memcpy(nobody.digest, slot->password_digest, PS_DIGEST_BYTES);
    if (ps_origin_take(&slot->share, now, false, &permit, &retry_ms) ==
            PS_ORIGIN_GRANTED &&
        ps_pool_open(slot, &nobody, &permit, true) == PS_OK)
        return true;
    ps_pool_slot_due(slot, now + PS_MAX(retry_ms, 1000u));
    return false;
}

/* What is missing of the minimum of idle connections, when nobody waits. */
static void
fill_up(struct ps_pool_slot *slot)
{
    const struct ps_cache_conf *conf = slot->conf;
    if (!conf || !slot->password || slot->waiters.count > 0 ||
        ps_pool_slot_now(slot) < PS_MAX(slot->retry_at_ms, slot->fill_at_ms))
        return;
    for (;;) {
        size_t connecting = slot->states[PS_POOL_CONNECTING].count;
        size_t ready = slot->states[PS_POOL_IDLE].count +
                       slot->states[PS_POOL_RESETTING].count + connecting;
        if (ready >= conf->pool_min_idle || connecting >= PS_POOL_FILLING_MAX ||
            ps_pool_slot_total(slot) >= conf->pool_max || !open_spare(slot))
            return;
    }
}

void
ps_pool_slot_serve(struct ps_pool_slot *slot)
{
    struct round round = {.slot = slot};
    if (slot->waiters.count > 0)
        round.any = ps_principal_current(slot->principal,
                                         ps_pool_slot_now(slot), round.current);
    PS_LIST_FOREACH_SAFE(&slot->waiters, it, next) {
        struct ps_pool_wait *wait = ps_pool_wait_of(it);
        if (is_verified(&round, wait))
            serve_verified(&round, wait);
        else
            serve_unverified(&round, wait);
        round.passed += wait->state == PS_POOL_WAIT_QUEUED;
        if (round.passed > slot->states[PS_POOL_CHECKING].count +
                               slot->states[PS_POOL_CONNECTING].count +
                               PS_POOL_LOOK_AHEAD)
            break;
    }
    if (slot->hungry && !round.hungry)
        ps_origin_leave(&slot->share, ps_pool_slot_now(slot));
    slot->hungry = round.hungry;
    fill_up(slot);
}
