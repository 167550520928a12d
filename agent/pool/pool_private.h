/*
 * The pool's own parts; private to agent/pool/.
 *
 *   pool.c   the public functions: acquire, cancel, release, reconfigure
 *   slot.c   one principal's connections and waiters: who gets what, when to
 *            open, when to close
 *
 * Everything runs on the pool's loop.
 */
#ifndef PS_AGENT_POOL_POOL_PRIVATE_H
#define PS_AGENT_POOL_POOL_PRIVATE_H

#include "agent/pool/pool.h"
#include "agent/pool/principal_private.h"

enum {
    /* Logins under way at a time for one principal: of a password that is
     * known to be good, and of ones that are not. */
    PS_POOL_CONNECTING_MAX = 4,
    PS_POOL_UNVERIFIED_MAX = 2,
    /* After a failed connect, while others work, before the next one. */
    PS_POOL_BACKOFF_MIN_MS = 100,
    PS_POOL_BACKOFF_MAX_MS = 5000,
    PS_POOL_RESET_TIMEOUT_MS = 5000
};

enum ps_pool_state {
    PS_POOL_CONNECTING,
    PS_POOL_IDLE,
    PS_POOL_LEASED,
    PS_POOL_RESETTING,
    PS_POOL_STATE_COUNT
};

/* One connection. Its state is the list it is in. */
struct ps_pool_conn {
    struct ps_link link;
    enum ps_pool_state state;
    struct ps_pool_slot *slot;
    struct ps_conn *conn;
    struct ps_cache_conf *conf; /* as it was opened under; a reference */
    uint64_t idle_since_ms;
    /* While connecting: the password's digest, when it began, the principal's
     * failures then, and whether the password was known to be good. */
    unsigned char digest[PS_DIGEST_BYTES];
    uint64_t begun_ms;
    uint64_t failures;
    bool verified;
};

/* One principal's part of the pool; exists while it has a connection or a
 * waiter. */
struct ps_pool_slot {
    struct ps_link link; /* in the pool */
    struct ps_pool *pool;
    struct ps_principal *principal; /* a reference */
    struct ps_cache_conf *conf;     /* the newest seen; NULL: gone */
    struct ps_list states[PS_POOL_STATE_COUNT];
    struct ps_list waiters; /* struct ps_pool_wait, first come first */
    struct ps_timer timer;  /* next deadline, idle time-out, retry */
    uint64_t failures;      /* refused logins so far */
    uint64_t backoff_ms;
    uint64_t retry_at_ms; /* not before, while other connections work */
};

struct ps_pool {
    struct ps_pool_conf conf;
    struct ps_list slots;
    struct ps_list ready; /* waits whose fn is due */
    struct ps_timer ready_timer;
    struct ps_pool_stats stats; /* the totals only */
    bool closing;
};

/* States of a wait. */
enum {
    PS_POOL_WAIT_NONE,
    PS_POOL_WAIT_QUEUED, /* in slot->waiters */
    PS_POOL_WAIT_READY   /* in pool->ready */
};

/* pool.c: the wait ends, now with a connection (err NULL) or an error; its fn
 * runs on the next turn. */
void ps_pool_wait_done(struct ps_pool *pool, struct ps_pool_wait *wait,
                       struct ps_pool_conn *pc, const struct ps_err *err);

/* slot.c */
struct ps_pool_slot *ps_pool_slot_new(struct ps_pool *pool,
                                      struct ps_principal *principal);
/* Frees it when nothing is left, otherwise sets its timer. The last thing to
 * do with a slot. */
void ps_pool_slot_settle(struct ps_pool_slot *slot);
/* Closes all connections and frees it; no waiters. */
void ps_pool_slot_free(struct ps_pool_slot *slot);
void ps_pool_slot_set_conf(struct ps_pool_slot *slot,
                           struct ps_cache_conf *conf);
size_t ps_pool_slot_total(const struct ps_pool_slot *slot);
/* Gives waiters what there is and opens what they need. */
void ps_pool_slot_serve(struct ps_pool_slot *slot);
/* A leased connection comes back in order. */
void ps_pool_slot_idle(struct ps_pool_conn *pc);
void ps_pool_slot_reset(struct ps_pool_conn *pc);
void ps_pool_slot_close(struct ps_pool_conn *pc);
/* Closes idle connections that do not fit slot->conf. */
void ps_pool_slot_trim(struct ps_pool_slot *slot);

#endif
