/*
 * The fleet as one service: it answers the agents' calls, keeps the log, the
 * sessions and the reachability runs, and sends events. The REST API asks it
 * for what only memory knows and tells it what has changed.
 *
 *   bus --call--> ps_fleet_call() --+-- sessions (leases, lost agents)
 *   bus <-reply-- conf.reply()      +-- log (numbers, ring)
 *   bus <-event-- conf.publish()    +-- runs (reachability)
 *   api ----------- ps_fleet_*() ---+-- store, ca
 *
 * One loop, one thread. Time is the loop's clock, so that tests drive it by
 * hand; the bus is two functions, so that they need no network.
 */
#ifndef PS_CONTROLPLANE_FLEET_FLEET_H
#define PS_CONTROLPLANE_FLEET_FLEET_H

#include "common/err.h"
#include "common/io/loop.h"
#include "controlplane/ca/ca.h"
#include "controlplane/rollup/rollup.h"
#include "controlplane/store/db.h"

struct ps_fleet;

struct ps_fleet_conf {
    struct ps_loop *loop;
    struct ps_db *db;
    const struct ps_ca *ca;
    struct ps_rollup *rollup; /* for what agents have counted; NULL: refused */
    uint64_t lease_ms, heartbeat_ms, tick_ms;
    size_t log_entries, log_bytes;
    /* To every agent, in order; may be lost. */
    void (*publish)(void *arg, struct ps_str event);
    /* Exactly once for each call given to ps_fleet_call(). */
    void (*reply)(void *arg, void *call, struct ps_str body);
    void *arg;
};

enum {
    PS_FLEET_LOG_ENTRIES = 65536,
    PS_FLEET_LOG_BYTES = 16 << 20,
    /* The shortest lease that leaves time to notice a lost agent. */
    PS_FLEET_LEASE_MIN_MS = 1000,
    PS_FLEET_LOST_BEFORE_MS = 500,
    PS_FLEET_MARGIN_MS = 100,
    /* What a statement's time limit leaves open, as in agent/req/linger.h. */
    PS_FLEET_WRITE_MARGIN_MS = 5000,
    PS_FLEET_PROBE_TIMEOUT_MS = 20000,
    PS_FLEET_ASK_TIMEOUT_MS = 5000,
    PS_FLEET_ASKS_MAX = 64,
    PS_FLEET_EXPLAINS_MAX = 8, /* of them */
    PS_FLEET_TEXT_MAX = 64 << 10,
    /* Publishes whose reply is held at a time; the bus must take more calls
     * than that. */
    PS_FLEET_HELD_MAX = 192,
    PS_FLEET_CALLS_MAX = 256
};

/* conf is copied. Runs left over from an earlier process are ended. */
PS_MUST_USE enum ps_rc ps_fleet_new(struct ps_fleet **fleet,
                                    const struct ps_fleet_conf *conf,
                                    struct ps_err *err);
/* Answers the calls that are held, and writes down when agents were last
 * seen. */
void ps_fleet_free(struct ps_fleet **fleet);

/* A packed Portside__Call. The reply may come now or later. */
void ps_fleet_call(struct ps_fleet *fleet, void *call, struct ps_str body);

/* ---- for the REST API ---- */

/* A cache was added, changed or removed. */
void ps_fleet_config_changed(struct ps_fleet *fleet);
/* Drops every answer of this cache everywhere, without waiting. */
PS_MUST_USE enum ps_rc ps_fleet_purge(struct ps_fleet *fleet,
                                      const char *cache_id, uint64_t *number,
                                      struct ps_err *err);
/*
 * Something that every agent is asked, or told, and answers: a purge, or what
 * would be done with a statement. It ends
 * when all that are connected have answered, after PS_FLEET_ASK_TIMEOUT_MS at
 * the latest, or with the fleet. An agent that is lost cannot answer; what
 * was purged meanwhile it drops before it serves anything from memory again.
 */
struct ps_ask;
enum ps_ask_state {
    PS_ASK_OPEN, /* no answer in time */
    PS_ASK_DONE,
    PS_ASK_LOST
};
struct ps_ask_result {
    char agent_id[37], agent_name[65], region[33];
    enum ps_ask_state state;
    /* DONE; answered false: that is only known from what it has applied. */
    bool answered;
    struct {
        uint64_t entries, id;
        bool known, wider;
    } purge;
    /* Of an explanation: what the agent wrote, JSON or not; or absent. */
    struct ps_str json;
};
struct ps_ask_end {
    uint64_t number; /* of the log, of a purge */
    const struct ps_ask_result *results;
    size_t n;
};
/* Once, later, from the loop or ps_fleet_free(); the ask is gone then. */
typedef void ps_ask_fn(void *arg, const struct ps_ask_end *end);
/* fn will not run. */
void ps_fleet_ask_cancel(struct ps_ask **ask);

enum ps_fleet_purge_kind {
    PS_FLEET_PURGE_CACHE,
    PS_FLEET_PURGE_TABLE,
    PS_FLEET_PURGE_TEMPLATE,
    PS_FLEET_PURGE_QUERY
};
struct ps_fleet_purge {
    const char *cache_id;
    enum ps_fleet_purge_kind kind;
    const char *text; /* NULL: id counts; PS_FLEET_TEXT_MAX bytes */
    uint64_t id;
};
/* Drops the answers that it names, everywhere. PS_TOO_MANY_REQUESTS: too many
 * asks are under way. */
PS_MUST_USE enum ps_rc ps_fleet_purge_ask(struct ps_fleet *fleet,
                                          const struct ps_fleet_purge *purge,
                                          ps_ask_fn *fn, void *arg,
                                          struct ps_ask **ask,
                                          struct ps_err *err);
struct ps_fleet_explain {
    const char *cache_id;
    const char *database; /* NULL: the one that each knows */
    const char *sql;      /* PS_FLEET_TEXT_MAX bytes, as the next */
    const char *bindings; /* JSON, or NULL */
};
PS_MUST_USE enum ps_rc ps_fleet_explain_ask(struct ps_fleet *fleet,
                                            const struct ps_fleet_explain *what,
                                            ps_ask_fn *fn, void *arg,
                                            struct ps_ask **ask,
                                            struct ps_err *err);
/* What an event is about; members that do not matter are NULL or 0. */
struct ps_event_about {
    const struct ps_agent *agent;
    const char *cache_id;
    const char *cache_name; /* NULL: looked up */
    uint64_t age_ms;        /* so long ago */
};
/* Writes down that it has happened. What fails is logged. */
void ps_fleet_note(struct ps_fleet *fleet, enum ps_event_type type,
                   const struct ps_event_about *about, const char *fmt, ...)
    PS_PRINTF(4, 5);
/* Asks every connected agent to try the cache's origin. */
PS_MUST_USE enum ps_rc ps_fleet_probe(struct ps_fleet *fleet,
                                      const struct ps_cache_def *def,
                                      char run_id[37], struct ps_err *err);
/* The store has a new agent. */
PS_MUST_USE enum ps_rc ps_fleet_agent_added(struct ps_fleet *fleet,
                                            const struct ps_agent *agent,
                                            struct ps_err *err);
/* Takes the agent out of service, or back into it: it is told with its next
 * heartbeat or hello. PS_CONFLICT: it is revoked. */
PS_MUST_USE enum ps_rc ps_fleet_drain(struct ps_fleet *fleet, const char *id,
                                      bool draining, struct ps_err *err);
/* These write the store, too. */
PS_MUST_USE enum ps_rc ps_fleet_revoke(struct ps_fleet *fleet, const char *id,
                                       struct ps_err *err);
PS_MUST_USE enum ps_rc ps_fleet_forget(struct ps_fleet *fleet, const char *id,
                                       struct ps_err *err);

struct ps_fleet_agent {
    /* connected, draining, drained (both are connected), disconnected, lost,
     * revoked */
    const char *state;
    bool connected;
    bool draining; /* is to be, whether it is connected or not */
    uint64_t busy; /* requests, connections, transactions, while it drains */
    uint64_t applied, config_version;
    uint64_t lease_left_ms;
    int64_t last_seen_ms; /* wall; 0: never */
};
/* False when the agent is not known. */
bool ps_fleet_agent(struct ps_fleet *fleet, const char *id,
                    struct ps_fleet_agent *out);

/* Calls fn for each connected agent that opens no connections to this cache's
 * origin for now; trying: but for one login. */
void ps_fleet_each_resting(struct ps_fleet *fleet, const char *cache_id,
                           void (*fn)(void *arg, const struct ps_agent *agent,
                                      bool trying),
                           void *arg);

/* How many of this region's agents are connected. */
size_t ps_fleet_connected_in(struct ps_fleet *fleet, const char *region);

struct ps_fleet_status {
    const char *epoch;
    uint64_t newest;
    size_t connected, lost, total;
    bool restricted;
};
void ps_fleet_status(struct ps_fleet *fleet, struct ps_fleet_status *out);

#endif
