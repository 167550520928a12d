/*
 * What all loops share of one cache's origin: how many connections there are,
 * who lacks one, and whether it is worth trying to open another.
 *
 *   take ---> granted: a connection may be opened      give ---> the next one
 *     |       later:   the bound is reached; woken when it is one's turn
 *     `-----> refused: the breaker is open
 *
 * The bound is the cache's (0: none); while the origin recovers it is lower
 * (slow start). Where it is reached, principals take turns: what becomes free
 * goes to one that has none, else to the one that has the fewest.
 *
 * Breaker: closed -- failures in a row --> open -- its time is over, one
 * login is let through --> half open -- it succeeds --> closed, slowly; it
 * fails --> open, for twice as long.
 *
 * Pure but for the wake-ups it posts: the caller passes the time. Any thread.
 */
#ifndef PS_AGENT_POOL_ORIGIN_H
#define PS_AGENT_POOL_ORIGIN_H

#include "agent/config/breaker.h"
#include "agent/config/config.h"
#include "common/io/loop.h"
#include "common/list.h"

struct ps_origins; /* by cache */
struct ps_origin;

/* seed: of the jitter; the same one gives the same numbers. */
struct ps_origins *ps_origins_new(uint64_t seed);
/* Nobody holds an origin any more. */
void ps_origins_free(struct ps_origins **origins);
/* A reference; NULL without memory. */
struct ps_origin *ps_origins_get(struct ps_origins *origins, struct ps_str id);
/* It stays in the table as long as something is held against it. */
void ps_origin_unref(struct ps_origin **origin);
/* The cache is no more. */
void ps_origins_forget(struct ps_origins *origins, struct ps_str id);
/* Of all that are known, or of those only that are not closed; how many there
 * are, also where there is less room in out. Any thread. */
size_t ps_origins_breakers(struct ps_origins *origins, bool closed,
                           struct ps_breaker_state *out, size_t room);
/* A definition of the cache: its limits count from now on (an older one than
 * the last is ignored), and another address or TLS setting is another
 * origin, of which no failure is known. */
void ps_origin_set_conf(struct ps_origin *origin, struct ps_cache_conf *conf);

/* One principal's part. Belongs to its loop's thread but for what the lock of
 * the origin guards. */
struct ps_origin_share {
    struct ps_origin *origin; /* a reference */
    struct ps_loop *loop;
    /* Its turn came, or it should look whether it has a connection to spare;
     * on its loop. */
    void (*wake)(struct ps_origin_share *share);
    /* ---- the origin's, under its lock ---- */
    struct ps_link holder; /* in holders: held > 0 */
    struct ps_link hungry; /* in one of the two queues */
    struct ps_list *queue; /* which; NULL: in none */
    size_t held;           /* connections, or rights to open one */
    size_t granted;        /* of these, rights not used yet */
    struct ps_task task;
    bool posted;
};
void ps_origin_share_init(struct ps_origin_share *share,
                          struct ps_origin *origin, struct ps_loop *loop,
                          void (*wake)(struct ps_origin_share *share));
/* Everything was given back; on its loop. */
void ps_origin_share_done(struct ps_origin_share *share);

enum ps_origin_answer {
    PS_ORIGIN_GRANTED,
    PS_ORIGIN_LATER,  /* ask again when woken, or after retry_ms */
    PS_ORIGIN_NOT_NOW /* the breaker is open: for retry_ms */
};
struct ps_origin_permit {
    bool probe;      /* the login that decides whether the breaker closes */
    uint16_t jitter; /* 0..1023, by chance */
};
/*
 * May a connection be opened? GRANTED: it must be given back. queue: on LATER
 * wait in line (until a GRANTED, or ps_origin_leave); otherwise, for what is
 * merely convenient, only what nobody waits for is had. retry_ms is 0 where
 * only a wake-up helps.
 */
enum ps_origin_answer ps_origin_take(struct ps_origin_share *share,
                                     uint64_t now_ms, bool queue,
                                     struct ps_origin_permit *permit,
                                     uint64_t *retry_ms);
/* Wants none any more: leaves the line, and rights not used go to others. */
void ps_origin_leave(struct ps_origin_share *share, uint64_t now_ms);
/* A connection, or the attempt at one, is no more. */
void ps_origin_give(struct ps_origin_share *share, uint64_t now_ms);
/* Somebody lacks a connection, or there are too many (a cheap look). */
bool ps_origin_pressed(const struct ps_origin *origin);
/*
 * Should a connection that has nothing to do now be closed, so that another
 * principal gets one? idle: this one has no use for it itself. had_turn: it
 * has had it for a while.
 */
bool ps_origin_must_yield(struct ps_origin_share *share, uint64_t now_ms,
                          bool idle, bool had_turn);

/* How the attempt ended. conf: the definition it was made under. */
void ps_origin_worked(struct ps_origin *origin,
                      const struct ps_cache_conf *conf, uint64_t now_ms);
/* true: with this failure the breaker opened. */
bool ps_origin_failed(struct ps_origin *origin,
                      const struct ps_cache_conf *conf, enum ps_rc rc,
                      uint64_t now_ms);
/* The attempt that was the probe was given up before it ended. */
void ps_origin_probe_lost(struct ps_origin *origin, uint64_t now_ms);

#endif
