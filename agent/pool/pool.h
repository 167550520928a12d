/*
 * Open connections to origins, shared by the requests of one principal. One
 * pool object per loop; it holds the principals whose home is that loop.
 *
 *   acquire -> idle connection, or a new one (up to pool_max), or a place in
 *              the queue (up to pool_queue_max, until the deadline)
 *   release -> clean: idle again, or handed to the first waiter
 *              reset: reset first; discard: closed
 *
 * A state is a list: every connection is in exactly one of connecting, idle,
 * leased, resetting, checking of its principal.
 */
#ifndef PS_AGENT_POOL_POOL_H
#define PS_AGENT_POOL_POOL_H

#include "agent/backend/backend.h"
#include "agent/pool/origin.h"
#include "agent/pool/principal.h"
#include "common/list.h"

struct ps_pool;

struct ps_pool_conf {
    struct ps_loop *loop;
    struct ps_resolver *resolver;
    struct ps_principals *principals;
    struct ps_origins *origins; /* shared by the loops' pools; NULL: its own */
    unsigned home;              /* this loop's index */
    /* NULL: ps_driver_find. The scenario runner gives the fake one. */
    const struct ps_driver *(*find_driver)(enum ps_provider provider);
};
struct ps_pool *ps_pool_new(const struct ps_pool_conf *conf);
/* Closes every connection; waiters get PS_SHUTTING_DOWN. */
void ps_pool_free(struct ps_pool **pool);

/* Embed in the request. */
struct ps_pool_wait {
    /* in; must stay valid until fn ran or the wait was cancelled */
    struct ps_principal *principal;
    struct ps_cache_conf *conf;
    struct ps_str password;
    uint64_t deadline_ms; /* loop clock; 0: now + conf's queue time-out */
    /* One in which no statement has run since its login or reset is wanted,
     * if there is one (ps_conn_used); any other has to be reset first. */
    bool unused;
    /*
     * rc PS_OK: conn is leased to the caller, its session canonical and its
     * login verified with this very password. Otherwise conn is NULL and err
     * says why (login refused, queue full, time-out, origin down).
     */
    void (*fn)(struct ps_pool_wait *wait, struct ps_conn *conn, enum ps_rc rc,
               const struct ps_err *err);
    /* out: how it was had, for Server-Timing */
    bool fresh_login;
    uint64_t waited_us;
    uint64_t retry_after_ms; /* after PS_ORIGIN_CIRCUIT */
    /* the pool's; zeroed before the first acquire */
    struct ps_link link;
    unsigned state;
    void *slot;
    struct ps_conn *conn;
    uint64_t begun_us;
    unsigned char digest[32];
    struct ps_err err;
};
/* fn runs later, never inside. When the password is not among the verified
 * ones a login with exactly this password is made, whatever idles. */
void ps_pool_acquire(struct ps_pool *pool, struct ps_pool_wait *wait);
/* Would a connection be given to somebody at once only by taking it from
 * others? Not where one idles, or the principal has none at all. */
bool ps_pool_busy(const struct ps_pool *pool,
                  const struct ps_principal *principal);
/* fn will not run any more. */
void ps_pool_cancel(struct ps_pool *pool, struct ps_pool_wait *wait);

enum ps_pool_verdict {
    PS_POOL_CLEAN,  /* nothing can have changed in the session */
    PS_POOL_RESET,  /* something may have */
    PS_POOL_DISCARD /* broken or in doubt */
};
void ps_pool_release(struct ps_pool *pool, struct ps_conn *conn,
                     enum ps_pool_verdict verdict);
/* The definition of a cache changed or went: connections that do not fit the
 * new one (NULL: none) are closed when idle or released. */
void ps_pool_reconfigure(struct ps_pool *pool, const char *cache_id,
                         struct ps_cache_conf *conf);

struct ps_pool_stats {
    uint64_t connecting, idle, leased, resetting, checking, waiting;
    uint64_t opened, closed, discarded, logins_failed, checks_failed;
    uint64_t breaker_opened; /* times, by this pool's failures */
};
void ps_pool_stats(const struct ps_pool *pool, struct ps_pool_stats *out);

#endif
