/*
 * The pool's own parts; private to agent/pool/.
 *
 *   pool.c    the public functions: acquire, cancel, release, reconfigure
 *   slot.c    one principal's connections: their states, when to close
 *   open.c    logins, and what their end means for those who wait
 *   serve.c   who gets what, when to open
 *   timing.c  what happens because time passes
 *
 * Everything runs on the pool's loop.
 */
#ifndef PS_AGENT_POOL_POOL_PRIVATE_H
#define PS_AGENT_POOL_POOL_PRIVATE_H

#include "agent/pool/origin.h"
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
    PS_POOL_RESET_TIMEOUT_MS = 5000,
    /* An origin that answers at all answers a check so soon. */
    PS_POOL_CHECK_TIMEOUT_MS = 2000,
    /* Where principals take turns, how long one is: shorter ones would be
     * spent on logins. */
    PS_POOL_TURN_MS = 250,
    /* Logins under way at a time for the minimum of idle ones. */
    PS_POOL_FILLING_MAX = 2,
    /* A connection that was there for less than that is not replaced at once:
     * where none lasts, logins would be all that is done. */
    PS_POOL_FILLING_PAUSE_MS = 1000,
    /* Without a request for so long a principal keeps no idle connection, and
     * its password is forgotten. */
    PS_POOL_FORGET_MS = 3600 * 1000,
    /* Where an unused connection was wanted twice within that time and there
     * was none, one is kept ready, for as long. */
    PS_POOL_SPARE_MS = 60000,
    /* Waiters looked at beyond those who got something. */
    PS_POOL_LOOK_AHEAD = 64
};

enum ps_pool_state {
    PS_POOL_CONNECTING,
    PS_POOL_IDLE,
    PS_POOL_LEASED,
    PS_POOL_RESETTING,
    PS_POOL_CHECKING,
    PS_POOL_STATE_COUNT
};

/* One connection. Its state is the list it is in. */
struct ps_pool_conn {
    struct ps_link link;
    enum ps_pool_state state;
    struct ps_pool_slot *slot;
    struct ps_conn *conn;
    struct ps_cache_conf *conf; /* as it was opened under; a reference */
    uint64_t opened_ms, idle_since_ms;
    uint64_t seen_ms; /* when the server last gave a sign of life */
    uint16_t jitter;  /* 0..1023: how much sooner than others it is too old */
    bool probe;       /* while connecting: the breaker waits for it */
    struct ps_statement check;
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
    struct ps_origin_share share;
    bool hungry;           /* in line for a connection of the cache */
    struct ps_timer timer; /* at due_ms, or sooner */
    uint64_t due_ms;       /* before it nothing happens by itself */
    uint64_t timer_ms;     /* when the timer fires, UINT64_MAX: it is off */
    uint64_t failures;     /* refused logins so far */
    uint64_t backoff_ms;
    uint64_t retry_at_ms;    /* not before, while other connections work */
    uint64_t used_ms;        /* the last request */
    uint64_t fill_at_ms;     /* no connection for the minimum before */
    uint64_t missed_ms;      /* when an unused one was wanted in vain */
    uint64_t spare_until_ms; /* an unused one is kept ready until then */
    /* To fill up the minimum of idle ones: a password that logged in, NULL:
     * none is kept. */
    char *password;
    size_t password_len;
    unsigned char password_digest[PS_DIGEST_BYTES];
};

struct ps_pool {
    struct ps_pool_conf conf;
    struct ps_origins *own_origins; /* where the caller gave none */
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

static inline struct ps_pool_conn *
ps_pool_conn_of(struct ps_link *link)
{
    return PS_CONTAINER_OF(link, struct ps_pool_conn, link);
}

static inline struct ps_pool_wait *
ps_pool_wait_of(struct ps_link *link)
{
    return PS_CONTAINER_OF(link, struct ps_pool_wait, link);
}

static inline uint64_t
ps_pool_slot_now(const struct ps_pool_slot *slot)
{
    return ps_loop_now_ms(slot->pool->conf.loop);
}

/* Would a connection of pc do under conf (NULL: under none)? */
static inline bool
ps_pool_fits(const struct ps_pool_conn *pc, const struct ps_cache_conf *conf)
{
    return conf &&
           (pc->conf == conf || ps_cache_conf_same_origin(pc->conf, conf));
}

/* slot.c */
struct ps_pool_slot *ps_pool_slot_new(struct ps_pool *pool,
                                      struct ps_principal *principal);
/* Closes all connections and frees it; no waiters. */
void ps_pool_slot_free(struct ps_pool_slot *slot);
void ps_pool_slot_set_conf(struct ps_pool_slot *slot,
                           struct ps_cache_conf *conf);
size_t ps_pool_slot_total(const struct ps_pool_slot *slot);
/* The one function that changes a connection's state. */
void ps_pool_conn_set_state(struct ps_pool_conn *pc, enum ps_pool_state state);
/* A connection is in order and free: it becomes idle, unless it is too old,
 * one too many, or another principal's turn. */
void ps_pool_slot_idle(struct ps_pool_conn *pc);
void ps_pool_slot_reset(struct ps_pool_conn *pc);
/* A leased connection comes back with nothing changed in its session. */
void ps_pool_slot_clean(struct ps_pool_conn *pc);
/* A round trip, then it is idle again, or closed. */
void ps_pool_slot_check(struct ps_pool_conn *pc);
void ps_pool_slot_close(struct ps_pool_conn *pc);
/* Closes idle connections that do not fit slot->conf. */
void ps_pool_slot_trim(struct ps_pool_slot *slot);
/* Closes idle connections that others need more. */
void ps_pool_slot_yield(struct ps_pool_slot *slot);

/* open.c: a login with this password, whose digest it is; conn counts as one
 * of the share's. */
PS_MUST_USE enum ps_rc ps_pool_open(struct ps_pool_slot *slot,
                                    const struct ps_pool_wait *wait,
                                    const struct ps_origin_permit *permit,
                                    bool verified);
/* Keeps the password of wait, which is verified, where it will be needed. */
void ps_pool_keep_password(struct ps_pool_slot *slot,
                           const struct ps_pool_wait *wait);
void ps_pool_forget_password(struct ps_pool_slot *slot);

/* serve.c */
void ps_pool_lease(struct ps_pool_conn *pc, struct ps_pool_wait *wait,
                   bool fresh);
/* Gives waiters what there is, opens what they need, or else what is missing
 * of the minimum. */
void ps_pool_slot_serve(struct ps_pool_slot *slot);

/* timing.c */
void ps_pool_slot_on_timer(void *arg);
/* Something happens by itself at that time (at the latest). */
static inline void
ps_pool_slot_due(struct ps_pool_slot *slot, uint64_t at_ms)
{
    slot->due_ms = PS_MIN(slot->due_ms, at_ms);
}
/* When an idle connection goes: idle too long, or too old. */
uint64_t ps_pool_conn_ends_ms(const struct ps_pool_conn *pc);
bool ps_pool_conn_too_old(const struct ps_pool_conn *pc, uint64_t now_ms);
/* Frees it when nothing is left, otherwise sets its timer. The last thing to
 * do with a slot. */
void ps_pool_slot_settle(struct ps_pool_slot *slot);

#endif
