/*
 * The agent's session with the control plane: says hello, keeps the lease,
 * applies the ordered invalidation log, publishes this agent's own changes,
 * follows the config and runs reachability tests.
 *
 *              hello          snapshot, fetch        heartbeat every 400 ms
 *   [offline] -------> [sync] ----------------> [live] ----> lease
 *       ^                                         |
 *       +------- unauthorized, other epoch -------+      forbidden: [revoked]
 *
 * One loop on a thread of its own; the request path meets it only through
 * the lease (atomics), ps_engine_apply and the outbox.
 *
 * What the link must not know from below it is told by hooks: what to do with a
 * change, with a new config.
 */
#ifndef PS_AGENT_LINK_UPLINK_H
#define PS_AGENT_LINK_UPLINK_H

#include "agent/cache/change.h"
#include "agent/cache/lease.h"
#include "agent/cache/purge.h"
#include "agent/config/breaker.h"
#include "agent/config/config.h"
#include "agent/link/state.h"
#include "agent/telemetry/collector.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/io/loop.h"

struct ps_uplink;

/* A person's question about a statement. */
struct ps_uplink_explain {
    struct ps_str cache_id;
    struct ps_str database; /* absent: the one that is known here */
    struct ps_str sql;      /* as clients of POST /sql send it */
    struct ps_str bindings; /* JSON, or absent */
};

struct ps_uplink_conf {
    struct ps_loop *loop;         /* runs on the link's thread */
    struct ps_agent_state *state; /* outlives the uplink */
    struct ps_config *config;
    struct ps_lease *lease;
    const char *endpoint;           /* public URL of this agent's HTTP API */
    uint64_t probe_timeout_ms;      /* of each stage */
    struct ps_collector *collector; /* on loop; NULL: nothing is told */
    uint64_t telemetry_ms;          /* how often; 0: never */
    /* Drops what a change touches; runs on the link's thread. */
    void (*apply)(void *arg, const struct ps_change *change);
    /* An operator's purge, in order with the changes; likewise. */
    void (*purge)(void *arg, const struct ps_purge *purge,
                  struct ps_purged *out);
    /* Writes a JSON object; fails by out's size only. */
    void (*explain)(void *arg, const struct ps_uplink_explain *ask,
                    struct ps_buf *out);
    /* The definitions in config were replaced. */
    void (*reconfigured)(void *arg);
    /* Caches whose breaker is not closed, for heartbeats: as
     * ps_origins_breakers; NULL: none is told. On the link's thread. */
    size_t (*breakers)(void *arg, struct ps_breaker_state *out, size_t room);
    /* Is this agent to be taken out of service? Told again and again. */
    void (*drain)(void *arg, bool wanted);
    /* How far that is: 0 not, 1 under way, 2 done; *busy: what is open. */
    unsigned (*drained)(void *arg, uint64_t *busy);
    /* The control plane revoked this agent: it must stop serving, because
     * nobody waits for its writes to be told any more. */
    void (*revoked)(void *arg);
    void *arg;
};

/* Loads the last config from disk; nothing is sent yet. */
PS_MUST_USE enum ps_rc ps_uplink_new(struct ps_uplink **uplink,
                                     const struct ps_uplink_conf *conf,
                                     struct ps_err *err);
/* Before the loop runs. endpoint: public URL of this agent's HTTP API;
 * copied. */
PS_MUST_USE enum ps_rc ps_uplink_start(struct ps_uplink *uplink,
                                       const char *endpoint,
                                       struct ps_err *err);
/* For the engine. Valid as long as the uplink. */
const struct ps_publisher *ps_uplink_publisher(struct ps_uplink *uplink);
/* Tells what is still to be told, says goodbye, then calls fn on the loop;
 * gives up after timeout_ms. Any thread; once. */
void ps_uplink_goodbye(struct ps_uplink *uplink, uint64_t timeout_ms,
                       void (*fn)(void *arg), void *arg);
/* The loop no longer runs. Waits for probes under way. */
void ps_uplink_free(struct ps_uplink **uplink);

/* What only this agent sees, for the list of events. Copied; any thread. */
enum ps_notice_kind {
    /* amount of `of` checked answers were stale; of 0: they change too often */
    PS_NOTICE_TEMPLATE_OFF = 1,
    PS_NOTICE_LEASE_LOST = 2 /* for amount ms */
};
struct ps_uplink_notice {
    enum ps_notice_kind kind;
    char cache_id[37];
    uint64_t template_id, amount, of;
};
void ps_uplink_notice(struct ps_uplink *uplink,
                      const struct ps_uplink_notice *notice);

/* NULL when all is well, else why this agent answers from the origin only;
 * static text. Any thread. */
const char *ps_uplink_trouble(struct ps_uplink *uplink);

#endif
