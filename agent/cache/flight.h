/*
 * Single flight: equal reads at the same time go to the origin once.
 *
 *   enter -> LEAD:  run the query, then ps_flight_finish: every waiter gets
 *                   the same answer
 *         -> WAIT:  waiter->fn runs when the leader finishes
 *         -> ALONE: too many wait already, or no memory: run it yourself
 *
 * Read-your-writes (C2): a request may share a query only if no write it
 * depends on has begun since that query was sent. So a flight carries the
 * snapshot its leader took before sending; a newcomer that finds it no longer
 * valid starts a flight of its own, and the old one goes on for
 * those who were there before. A flight without a snapshot yet (its leader
 * has not sent the query) may always be joined.
 *
 * Pure; one object per home loop, one thread, no locks.
 */
#ifndef PS_AGENT_CACHE_FLIGHT_H
#define PS_AGENT_CACHE_FLIGHT_H

#include "agent/cache/key.h"
#include "agent/cache/spaces.h"
#include "agent/cache/store.h"
#include "common/err.h"
#include "common/list.h"

struct ps_flights;
struct ps_flight; /* one query under way; its leader's */

/* max_waiters: per flight. NULL without memory. */
struct ps_flights *ps_flights_new(unsigned max_waiters);
/* No flight may be under way. */
void ps_flights_free(struct ps_flights **flights);
/* Flights under way. */
size_t ps_flights_count(const struct ps_flights *flights);

/* Embed in the request. */
struct ps_flight_waiter {
    /*
     * Exactly once, unless it left before: from inside ps_flight_finish, on
     * the same thread; may enter flights again. PS_OK: entry is the answer
     * (take a reference to keep it), perhaps not a stored one. Otherwise
     * entry is NULL; rc and err are the leader's. entry NULL with rc PS_OK:
     * the leader gave up without an answer, enter again.
     */
    void (*fn)(struct ps_flight_waiter *waiter, struct ps_entry *entry,
               enum ps_rc rc, const struct ps_err *err);
    struct ps_link link;
    struct ps_flight *flight;
};

enum ps_flight_role {
    PS_FLIGHT_LEAD,
    PS_FLIGHT_WAIT,
    PS_FLIGHT_ALONE
};
/* LEAD: *flight is the caller's to finish. WAIT: waiter is queued. */
PS_MUST_USE enum ps_flight_role ps_flight_enter(struct ps_flights *flights,
                                                const struct ps_key *key,
                                                struct ps_flight_waiter *waiter,
                                                struct ps_flight **flight);
/* Newcomers no longer find it; those who wait go on waiting. */
void ps_flight_hide(struct ps_flight *flight);
/*
 * The leader is about to send: from here on newcomers are checked against this
 * snapshot (copied). NULL: no snapshot could be taken; nobody may join any
 * more.
 */
void ps_flight_sent(struct ps_flight *flight,
                    const struct ps_snapshot *snapshot);
/* How many wait: a leader whose client went away goes on for them. */
size_t ps_flight_waiters(const struct ps_flight *flight);
/*
 * The end, exactly once. entry: the answer (borrowed), or NULL with the
 * leader's rc and err; entry NULL with rc PS_OK: the leader gave up
 * without an answer, waiters start again.
 */
void ps_flight_finish(struct ps_flight **flight, struct ps_entry *entry,
                      enum ps_rc rc, const struct ps_err *err);
/* A waiter that no longer wants it; fn will not run. Nothing if it does not
 * wait. */
void ps_flight_leave(struct ps_flight_waiter *waiter);

#endif
