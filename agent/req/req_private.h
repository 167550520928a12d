/*
 * What the files of this folder share: the engine, its part on each loop
 * (worker), and one request on its way (run).
 *
 *   ps_engine --- ps_worker (loop 0): pool, flights, logins under way, counts
 *             \-- ps_worker (loop 1): ...
 *   ps_req (the front's) --state--> ps_run (in the request's arena)
 *
 * A run is on one loop at a time (`at`); only that loop touches it, with two
 * exceptions: req->abandoned is atomic, and `away` and what follows it
 * belong to the front's loop.
 */
#ifndef PS_AGENT_REQ_REQ_PRIVATE_H
#define PS_AGENT_REQ_REQ_PRIVATE_H

#include "agent/cache/flight.h"
#include "agent/cache/policy.h"
#include "agent/cache/spaces.h"
#include "agent/cache/store.h"
#include "agent/catalog/catalog.h"
#include "agent/pool/logins.h"
#include "agent/req/linger.h"
#include "agent/req/recent.h"
#include "agent/req/req.h"
#include "agent/req/steps.h"
#include "common/check.h"
#include "common/list.h"
#include "common/map.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    PS_REQ_MAGIC = 0x70726571,
    PS_RUN_MAGIC = 0x7072756e,
    PS_ENGINE_MAGIC = 0x70656e67,
    PS_VERIFY_BUCKETS = 64,
    PS_POOL_STATS = sizeof(struct ps_pool_stats) / sizeof(uint64_t)
};

/* One loop's part of the engine. */
struct ps_worker {
    struct ps_engine *engine;
    unsigned index;
    struct ps_loop *loop;
    struct ps_pool *pool;
    struct ps_flights *flights;
    struct ps_tally_loop *tally; /* NULL: no counting by template */
    /* Logins under way, by principal: equal ones wait for the first. */
    struct ps_list verifying[PS_VERIFY_BUCKETS];
    struct ps_lingers lingers; /* writes whose outcome is not known */
    struct ps_list sessions;   /* struct ps_session */
    struct ps_recent recent;
    unsigned unverified; /* hits since the last one that was checked */
    unsigned
        unrefreshed;     /* hits on what expires soon, since the last refresh */
    unsigned refreshing; /* refreshes under way that began here */
    uint64_t active;     /* requests that came from this loop, not yet done */
    bool draining, drained;
    struct ps_task drain_task;
    struct ps_task reconfigure_task;
    _Atomic bool reconfigure_posted;
    /* Written by this loop only, read by anybody. */
    _Atomic uint64_t counters[PS_ENGINE_COUNTER_COUNT];
    _Atomic uint64_t errors[PS_RC_COUNT]; /* of them, by code */
    /* struct ps_pool_stats, member by member. */
    _Atomic uint64_t pool_sample[PS_POOL_STATS];
} __attribute__((aligned(64)));

struct ps_engine {
    unsigned magic;
    struct ps_engine_conf conf;
    struct ps_spaces *spaces;
    struct ps_store *store;
    struct ps_policy *policy;
    struct ps_catalogs *catalogs;
    struct ps_principals *principals;
    struct ps_logins *logins;      /* by source address */
    struct ps_logins *user_logins; /* by principal */
    struct ps_origins *origins;
    struct ps_resolver *resolver;
    unsigned char session_key[32]; /* signs tokens of transactions */
    struct ps_worker *workers;     /* conf.n_loops */
    struct ps_timer sweep;         /* of the first loop */
    _Atomic uint64_t applied;      /* changes told by others */
    /* Definitions that requests have used: id -> struct ps_known. */
    pthread_mutex_t known_lock;
    struct ps_map *known;
    /* Drain: workers that still have requests. */
    _Atomic unsigned drain_left;
    void (*drained)(void *arg);
    void *drained_arg;
};

/* What the definition's rules say about one read (rules.c). */
struct ps_session; /* session.h */
struct ps_rule_choice {
    bool found;                 /* otherwise the cache's default counts */
    const struct ps_rule *rule; /* of several the strictest; borrowed */
    enum ps_rule_mode mode;
    uint64_t ttl_ms; /* AUTO: at most */
    uint64_t stale_if_error_ms, stale_while_revalidate_ms;
};

struct ps_run {
    unsigned magic;
    enum ps_step step;
    struct ps_req *req;
    struct ps_engine *engine;
    struct ps_worker *front; /* where the request came from */
    struct ps_worker *at;    /* whose loop runs it now */
    struct ps_cache_conf *conf;
    struct ps_principal *principal;
    struct ps_key key;
    struct ps_entry *old;   /* an expired answer: what the policy learns from */
    struct ps_entry *spare; /* what is served where the origin fails */
    const char *why;        /* code of the reason, so far */
    uint64_t identified_us; /* when IDENTIFY was; LOOKUP comes at once */
    uint64_t looked_us;     /* when LOOKUP began */
    uint64_t took_us;       /* until memory answered */
    bool found_changed;     /* a write had ended the answer in memory */
    bool verified;          /* the password logged in not long ago */
    bool admitted;          /* the cache's rate limit has let it in */
    bool homed;             /* has passed HOME: the members below are set */
    /* Owners of reply.body; at most one is set. */
    struct ps_entry *entry;
    char *body;
    /* The front loop's own. */
    bool away;            /* on another loop, or on the way back */
    bool abandon_pending; /* abandon_task is on its way */
    bool landed;          /* waits for abandon_task only */
    struct ps_task abandon_task;

    /* ---- from here on set by HOME (a hit never gets so far) ---- */
    struct ps_task task; /* moves and resumes the run */
    enum ps_step next;   /* where task goes on */
    struct ps_timer timer;
    uint64_t deadline_ms; /* for waiting behind others, by the home loop */
    /* Waits behind another run: how to leave the queue at the deadline. */
    void (*waiting_behind)(struct ps_run *run);
    /* Set while the run waits for something that need not be waited for when
     * nobody wants the answer; NULL otherwise. */
    void (*interrupt)(struct ps_run *run);

    struct ps_link verify_link; /* in verifying, or in a leader's waiters */
    struct ps_run *verify_leader;
    bool guess;   /* counted under user_logins while its login is under way */
    bool entered; /* counted among the cache's requests at the origin */
    struct ps_list verify_waiters;

    struct ps_statement statement;
    struct ps_statement prelude; /* of it, while that runs */
    bool prelude_sent;
    struct ps_sql_analysis *analysis;
    uint32_t tally;             /* id of its template */
    struct ps_space *space;     /* reference or NULL */
    struct ps_catalog *catalog; /* reference or NULL */
    struct ps_catalog_wait catalog_wait;
    bool replanned;

    bool cacheable; /* the answer may be shared and kept */
    const struct ps_table_name *tables;
    size_t n_tables;
    const struct ps_row_set *rows; /* one for each table, or NULL */
    bool touches_session;          /* reset the connection behind it */
    bool writes;                   /* commit window, sent at most once */
    struct ps_change change;

    struct ps_flight *flight; /* this run leads it */
    struct ps_flight_waiter flight_waiter;
    /* What the last leader that let this run down was told by the origin. */
    char flight_sqlstate[sizeof(((struct ps_err *)0)->sqlstate)];

    struct ps_pool_wait pool_wait;
    struct ps_conn *conn; /* leased */
    uint64_t pool_us;

    struct ps_rows_json *encoder;
    struct ps_stream *stream; /* of its rows, or NULL */
    uint64_t n_rows;          /* in the reply */
    struct ps_outcome outcome;
    uint64_t born_us; /* just before the statement was sent */
    bool asked;       /* the policy was, once per request */
    struct ps_rule_choice rule;
    bool policy_keeps;
    bool repeated;        /* the very query was executed before */
    uint64_t auto_ttl_ms; /* of automatic mode, whatever the rule; 0: unknown */
    bool keep;            /* the policy, the client and the lease say so */
    uint64_t ttl_ms;
    bool cancelled; /* a cancel was sent on conn */
    bool retried;
    struct ps_snapshot snapshot;
    bool snapshot_taken;
    struct ps_write write;
    uint64_t change_gen;        /* catalog_gen of change */
    struct ps_session *session; /* of the transaction it belongs to or opens */
    bool in_session;   /* its connection goes back to session, not the pool */
    bool ends_session; /* the statement may end the transaction */
    struct ps_publish_wait publish_wait;
    _Atomic int publish_rc; /* set by the publisher's thread */
};

/* ---- engine.c: how a run goes on ---- */

/* Runs the steps until one waits or the request is finished. */
void ps_run_steps(struct ps_run *run);
/* From a callback that is not inside another run's step. */
void ps_run_continue(struct ps_run *run, enum ps_step next);
/* On the current loop, in its next turn; interrupt is cleared. */
void ps_run_resume(struct ps_run *run, enum ps_step next);
/* On another loop. The caller touches the run no more. */
void ps_run_move(struct ps_run *run, struct ps_worker *to, enum ps_step next);
static inline bool
ps_run_abandoned(const struct ps_run *run)
{
    return atomic_load_explicit(&run->req->abandoned, memory_order_relaxed);
}

/* For `return ps_run_fail(run, PS_X, "...")` in a step. */
enum ps_next ps_run_fail(struct ps_run *run, enum ps_rc rc, const char *fmt,
                         ...) PS_PRINTF(3, 4);
/* The same with what a neighbour already said. */
enum ps_next ps_run_fail_err(struct ps_run *run, enum ps_rc rc,
                             const struct ps_err *err);

/* ---- parts.c ---- */

static inline void
ps_worker_count(struct ps_worker *worker, enum ps_engine_counter counter)
{
    /* One writer: no locked instruction needed. */
    uint64_t value =
        atomic_load_explicit(&worker->counters[counter], memory_order_relaxed);
    atomic_store_explicit(&worker->counters[counter], value + 1,
                          memory_order_relaxed);
}
static inline void
ps_worker_count_error(struct ps_worker *worker, enum ps_rc rc)
{
    uint64_t value =
        atomic_load_explicit(&worker->errors[rc], memory_order_relaxed);
    atomic_store_explicit(&worker->errors[rc], value + 1, memory_order_relaxed);
    ps_worker_count(worker, PS_ENGINE_ERRORS);
}
/* The front's loop: one request less. */
void ps_worker_request_done(struct ps_worker *worker);
/*
 * Remembers that conf is in use, so that ps_engine_reconfigured finds it,
 * and checks that it is still the cache's definition as far as the origin is
 * concerned. Call before anything that talks to the origin in conf's
 * name: connections, catalogues.
 */
enum ps_rc ps_engine_hold_conf(struct ps_engine *engine,
                               struct ps_cache_conf *conf, struct ps_err *err);

/* ---- step_identify.c ---- */

/* The run waits in another one's queue, until its own deadline at most. leave
 * takes it out of there and stops the timer. */
void ps_run_wait_behind(struct ps_run *run, void (*leave)(struct ps_run *run),
                        void (*on_interrupt)(struct ps_run *run));

/* The principal, as a key of user_logins. */
static inline struct ps_str
ps_run_user_key(const struct ps_run *run)
{
    return (struct ps_str){(const char *)&run->principal->id,
                           sizeof(run->principal->id)};
}

/* ---- step_lookup.c ---- */

/*
 * The answer of entry, whose reference is taken over, becomes the reply; the
 * next step is set.
 */
enum ps_next ps_run_serve(struct ps_run *run, struct ps_entry **entry,
                          enum ps_verdict verdict, enum ps_reason reason);

/* Instead of an error, if the client allows it and nothing is known to have
 * changed: then the next step is set. */
bool ps_run_serve_spare(struct ps_run *run, enum ps_rc rc);

/* ---- count.c ---- */

/* What became of a request, on the front's loop. */
void ps_run_count(struct ps_run *run);
/* ---- trace.c ---- */

/* Its span and its line of the log, where somebody wants them. */
void ps_run_trace(struct ps_run *run);

/* A served answer was checked; on the home loop. */
void ps_run_count_verified(struct ps_run *run, bool stale);

/* ---- step_acquire.c ---- */

/* Asks the pool for a connection with the request's own password. */
void ps_run_ask_pool(struct ps_run *run,
                     void (*fn)(struct ps_pool_wait *wait, struct ps_conn *conn,
                                enum ps_rc rc, const struct ps_err *err));
/* What every callback of ps_run_ask_pool begins with: takes the connection,
 * keeps the books of failed logins and of time. */
void ps_run_login_result(struct ps_run *run, struct ps_conn *conn,
                         enum ps_rc rc);
/* Gives the connection back, if there is one. */
void ps_run_release(struct ps_run *run, enum ps_pool_verdict verdict);

/* ---- rules.c ---- */

/* A cacheable read, whose tables are known. */
struct ps_rule_ask {
    const struct ps_cache_conf *conf;
    struct ps_str key_sql;
    uint64_t fingerprint;
    const struct ps_table_name *tables;
    size_t n_tables;
    struct ps_arena *arena;
};
struct ps_rule_choice ps_rule_find(const struct ps_rule_ask *ask);
/* The same of a run. */
struct ps_rule_choice ps_run_rule(const struct ps_run *run);

/* ---- own.c ---- */

static inline bool
ps_run_is_own(const struct ps_run *run)
{
    return run->req->verifies || run->req->refreshes;
}
enum ps_own {
    PS_OWN_VERIFY,
    PS_OWN_REFRESH /* of an entry that the caller has claimed */
};
/* Begins a copy of the request in the background, about the answer that it was
 * given. On the front's loop. False without memory: nothing was begun. */
PS_MUST_USE bool ps_run_begin_own(struct ps_run *run, struct ps_entry *entry,
                                  enum ps_own own);
/* Such a request ends without an answer, which nobody waits for. */
enum ps_next ps_run_give_up(struct ps_run *run);

/* ---- refresh.c ---- */

/* On a hit: has a newer answer fetched when this one is about to expire. */
void ps_run_maybe_refresh(struct ps_run *run, struct ps_entry *entry,
                          uint64_t now_us);
/* Of an expired entry: may it be served all the same? Then a newer one is being
 * fetched. */
bool ps_run_revalidates(struct ps_run *run, struct ps_entry *entry,
                        uint64_t now_us);

/* ---- verify.c ---- */

/* On a hit: every so often begins a check of it. */
void ps_run_maybe_verify(struct ps_run *run, struct ps_entry *entry);
/* The answer of such a check has come. */
void ps_run_verify(struct ps_run *run);

/* ---- step_plan.c ---- */

enum ps_dialect ps_dialect_of(enum ps_provider provider);
/* What is bound, in the arena; NULL without memory. */
const struct ps_sql_bindings *ps_bindings_of(const struct ps_statement *st,
                                             struct ps_arena *arena);
/* Do the stamps of these tables lie in this database's space? */
bool ps_stays_home(enum ps_provider provider, struct ps_str database,
                   const struct ps_table_name *tables, size_t n);
enum ps_dialect ps_run_dialect(const struct ps_run *run);

/* ---- step_execute.c ---- */

/* What comes after the outcome once a write's window is closed: the reply, or
 * the error. */
enum ps_next ps_run_after_outcome(struct ps_run *run);

/* ---- step_keep.c ---- */

/* What the policy is asked about this request. */
struct ps_policy_ask ps_run_policy_ask(const struct ps_run *run);

/* ---- reasons ---- */

const char *ps_reason_code(enum ps_reason reason);
/* Of a code, wherever it comes from; "" when it has none. */
const char *ps_reason_sentence(const char *code);

#endif
