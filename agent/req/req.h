/*
 * One request, from parsed protocol to finished reply: a list of named steps
 * (top of engine.c). Every front fills a struct ps_req and starts it; the
 * engine decides between hit, miss and bypass in one place.
 *
 * Threads: a request belongs to one loop at a time. It starts on its front
 * loop, may move to its principal's home loop for everything between
 * ACQUIRE and STORE, and always comes back before `done` runs. The front must
 * keep the object until then; ps_req_abandon says that nobody waits any more.
 *
 * Memory: the front owns the object and the arena; both may be used again
 * after done. A hit allocates nothing.
 */
#ifndef PS_AGENT_REQ_REQ_H
#define PS_AGENT_REQ_REQ_H

#include "agent/backend/backend.h"
#include "agent/cache/change.h"
#include "agent/cache/lease.h"
#include "agent/cache/purge.h"
#include "agent/config/config.h"
#include "agent/pool/pool.h"
#include "agent/sql/sql.h"
#include "agent/telemetry/tally.h"
#include "agent/telemetry/trace.h"
#include "common/arena.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/io/loop.h"
#include "common/list.h"

/* How the answer came about; text as in Cache-Status (RFC 9211). */
enum ps_verdict {
    PS_VERDICT_HIT,    /* portside; hit; ttl=.. */
    PS_VERDICT_MISS,   /* portside; fwd=uri-miss[; stored] */
    PS_VERDICT_STALE,  /* portside; fwd=stale[; stored]: was there, no
                          longer valid */
    PS_VERDICT_BYPASS, /* portside; fwd=bypass; detail=reason */
    PS_VERDICT_NONE    /* failed before it was decided */
};

/*
 * Reasons of the engine beside those of the SQL analysis. X(name, code,
 * sentence); the code is what Portside-Reason carries.
 */
#define PS_REASON_TABLE(X)                                                     \
    X(HIT, "hit", "answered from memory")                                      \
    X(FIRST_SEEN, "first_seen", "this query has not been repeated yet")        \
    X(STORED, "stored", "the answer is in memory from now on")                 \
    X(COALESCED, "coalesced", "answered together with an equal request")       \
    X(EXPIRED, "expired", "the kept answer's time to live had passed")         \
    X(INVALIDATED, "invalidated", "a write changed a table it depends on")     \
    X(WRITE_IN_FLIGHT, "write_in_flight",                                      \
      "a write to a table it depends on is under way")                         \
    X(CHANGED_MEANWHILE, "changed_meanwhile",                                  \
      "a write came while the query ran; the answer was not kept")             \
    X(NO_LEASE, "no_lease", "the control plane cannot be reached")             \
    X(RESTRICTED, "restricted", "an agent is lost; old answers are not used")  \
    X(CACHING_OFF, "caching_off", "caching is switched off for this cache")    \
    X(NO_CATALOG, "no_catalog", "the database's catalogue is not known")       \
    X(UNKNOWN_RELATION, "unknown_relation", "a table is not in the catalogue") \
    X(ROW_SECURITY, "row_security", "a table has row-level security")          \
    X(FOREIGN_TABLE, "foreign_table", "a table's rows live elsewhere")         \
    X(TOO_BIG, "too_big", "larger than max_entry_bytes or its cache's share")  \
    X(NO_MEMORY, "store_full", "no room in memory for the answer")             \
    X(TTL_TOO_SHORT, "ttl_too_short",                                          \
      "the answer changes too often to be kept")                               \
    X(CLIENT_NO_CACHE, "client_no_cache", "the client asked for a fresh one")  \
    X(RULE_NEVER, "rule_never", "a rule says that it is not kept")             \
    X(CLIENT_MAX_AGE, "client_max_age",                                        \
      "the kept answer is older than the client allows")                       \
    X(STALE_IF_ERROR, "stale_if_error",                                        \
      "the origin failed; the kept answer has expired, but nothing is known "  \
      "to have changed")                                                       \
    X(REVALIDATING, "stale_while_revalidate",                                  \
      "the kept answer has expired, but nothing is known to have changed; a "  \
      "newer one is being fetched")                                            \
    X(NEWER_KEPT, "newer_kept",                                                \
      "the answer to a later query is in memory already")                      \
    X(OTHER_DATABASE, "other_database",                                        \
      "a table of another database than the session's")                        \
    X(AFTER, "after_token",                                                    \
      "the client has seen a change that this agent has not heard of yet")     \
    X(TRANSACTION, "transaction",                                              \
      "nothing is answered from memory or kept within a transaction")          \
    X(STREAMED, "streamed",                                                    \
      "the rows went out before it was known whether the answer is kept; the " \
      "last line says it")                                                     \
    X(NOT_CONFIRMED, "not_confirmed",                                          \
      "the write is done, but not every agent has confirmed it in time")       \
    X(ERROR, "error", "the request failed")

enum ps_reason {
#define X(name, code, sentence) PS_REASON_##name,
    PS_REASON_TABLE(X)
#undef X
    PS_REASON_COUNT
};

/* Part of the key (hazard 27): one for each form of the bytes. */
enum ps_result_format {
    PS_FORMAT_POLYSCALE = 1,
    PS_FORMAT_PLANETSCALE = 2, /* and 3: without rows */
    PS_FORMAT_QUERY = 8,       /* to 11: array rows + 1, NDJSON + 2 */
    PS_FORMAT_NEON = 16        /* to 19: array rows + 1, raw text + 2 */
};

struct ps_entry; /* agent/cache/store.h */

/*
 * A transaction over several requests keeps its connection (session.h). It
 * begins with a statement that opens one and nothing else, and is over as soon
 * as the connection says that none is open.
 */
enum ps_session_use {
    PS_SESSION_NONE,  /* what is open after the request is rolled back */
    PS_SESSION_OPEN,  /* may begin one; the client comes back, or not */
    PS_SESSION_BATCH, /* the same, and the next statement follows at once */
    PS_SESSION_IN     /* belongs to the one with session_id */
};
enum {
    PS_SESSION_ID_BYTES = 16,
    PS_SESSION_TOKEN_BYTES = 48 /* id and signature */
};

enum {
    /* Of one answer, given to the front and not yet written; and one row. */
    PS_STREAM_WINDOW_BYTES = 256 << 10
};

/* Whole rows of an answer that is under way. The front's until freed, which is
 * how the engine knows that it is written. */
struct ps_part {
    struct ps_link link; /* the front's */
    struct ps_str bytes;
};
void ps_part_free(struct ps_part **part);

struct ps_reply {
    enum ps_rc rc;      /* PS_OK: body is the answer */
    struct ps_err err;  /* for the client, when rc != PS_OK */
    struct ps_str body; /* valid until ps_req_done() */
    /* So much of body has gone out as parts, and so much before it. */
    size_t given_bytes;
    uint64_t gone_bytes;
    /* With want_position: the newest change the answer reflects; epoch "":
     * not known. */
    struct ps_log_position position;
    /* A transaction is open, and this request's connection kept for it. */
    bool in_session;
    unsigned char session_id[PS_SESSION_ID_BYTES];
    /* The origin's error as the protocol's style tells it, or absent; valid
     * until ps_req_done(). */
    struct ps_str error_body;
    enum ps_verdict verdict;
    const char *reason; /* code text, static */
    bool stored;
    int64_t ttl_ms, age_ms;  /* of a hit or a stored answer; a ttl below zero:
                                expired so long ago */
    uint64_t retry_after_ms; /* 0: no Retry-After */
    const char *traceparent; /* of the span, for Server-Timing; NULL: none */
    /* Microseconds, for Server-Timing; 0: did not happen. */
    uint64_t parse_us, lookup_us, pool_us, origin_us, encode_us;
};

struct ps_engine;
struct ps_req;

/* What a protocol front knows how to do with its own request. */
struct ps_req_protocol {
    enum ps_result_format format;
    const struct ps_rows_style *style; /* NULL: PolyScale's */
    /*
     * Makes the statement for the driver out of the protocol's own text and
     * bindings (knex: ? to $1). Called at most once, only when memory does
     * not answer; result in the request's arena.
     */
    enum ps_rc (*prepare)(struct ps_req *req, struct ps_statement *out,
                          struct ps_err *err);
};

struct ps_req {
    unsigned magic;
    /* ---- filled by the front; must stay valid until done ---- */
    struct ps_engine *engine;
    unsigned loop_index; /* the front's loop */
    struct ps_arena *arena;
    const struct ps_req_protocol *protocol;
    struct ps_str cache_id, user, password, database;
    /* database "": the cache's default one; without one it is an error, or
     * (MySQL) a session that has none. */
    bool needs_database;
    bool has_provider;
    enum ps_provider provider;
    struct ps_str sql;          /* as the client sent it; valid UTF-8, no NUL */
    struct ps_str key_sql;      /* sql without plain comments (hazard 22) */
    struct ps_str key_bindings; /* type and bytes of each, length-prefixed */
    struct ps_str source;       /* client's address, for failed logins */
    bool no_cache;              /* do not answer from memory */
    bool no_store;              /* do not keep the answer */
    bool only_if_cached;
    bool has_max_age;           /* an older answer is not wanted: */
    uint64_t max_age_ms;        /* with has_max_age */
    bool has_ttl;               /* keep the answer, from the first time on: */
    uint64_t ttl_ms;            /* for so long, within what rules and the
                                   cache's maximum allow; 0: not at all */
    uint64_t stale_if_error_ms; /* where the origin fails, an answer that
                                   expired no longer ago does; 0: none */
    uint64_t stale_while_revalidate_ms; /* the same while a newer one is
                                           fetched; a rule may allow more */
    /* Read your writes across agents: what the client has seen of the log; an
     * answer from memory is not wanted while this agent has not applied it. */
    bool has_after;
    bool want_position; /* say what the answer reflects, also of a write */
    struct ps_log_position after;
    enum ps_session_use session;
    unsigned char session_id[PS_SESSION_ID_BYTES]; /* IN: whose token was
                                                      checked */
    uint64_t received_us;                          /* monotonic */
    uint64_t ready_us;                             /* the same, read just before
                                                      ps_req_start; 0: not read */
    uint64_t parse_us;
    struct ps_str traceparent; /* the header as it came, or absent */
    /*
     * NULL: the answer is wanted as a whole. Otherwise a read's rows come in
     * parts as the origin sends them, if that takes longer than a turn of the
     * loop: before done, on the front's loop, never from inside another call.
     * reply: what can be said before the end. An error may still follow.
     */
    void (*part)(struct ps_req *req, const struct ps_reply *reply,
                 struct ps_part *part);
    /* On the front's loop; may be called from inside ps_req_start. */
    void (*done)(struct ps_req *req);
    void *front; /* the front's */

    /* ---- the engine's answer ---- */
    struct ps_reply reply;

    /* ---- the engine's own ---- */
    void *state; /* in the arena */
    /* Requests of its own (own.c), of which one is set: a check of this
     * answer, or a newer one in its place. */
    struct ps_entry *verifies, *refreshes;
    _Atomic bool abandoned;
};

/* All members but those the front fills are set. */
void ps_req_init(struct ps_req *req, struct ps_engine *engine,
                 unsigned loop_index, struct ps_arena *arena);
/* Runs the steps; done runs exactly once, perhaps before this returns. */
void ps_req_start(struct ps_req *req);
/* The client went away: a read is cancelled, a write is left to finish. done
 * still runs. Front's loop. */
void ps_req_abandon(struct ps_req *req);
/* After done: lets go of the answer. The arena may be reset then. */
void ps_req_done(struct ps_req *req);

/*
 * What a client shows to go on with a transaction: the id, signed together
 * with cache, database, user and password of req, by a key that this process
 * has made for itself. Nobody else can use or make one.
 */
void ps_session_sign(const struct ps_req *req,
                     const unsigned char id[PS_SESSION_ID_BYTES],
                     unsigned char token[PS_SESSION_TOKEN_BYTES]);
/* True: *req may go on with that transaction; sets session and session_id. */
PS_MUST_USE bool ps_session_verify(struct ps_req *req, struct ps_str token);

/* The largest reply it may have, in bytes. */
uint64_t ps_req_max_reply(const struct ps_req *req);

/* Limits and parts of the whole process. */
struct ps_engine_conf {
    struct ps_clock *clock;
    struct ps_loop **loops; /* n_loops; each runs on its own thread */
    unsigned n_loops;
    struct ps_config *config;
    struct ps_lease *lease;
    const struct ps_publisher *publisher;
    const struct ps_driver *(*find_driver)(enum ps_provider provider);
    uint64_t memory_bytes;    /* budget of the store */
    uint64_t max_reply_bytes; /* result larger than this: 507 */
    uint64_t verified_ms;     /* how long a login counts; 60000 */
    uint64_t stream_wait_ms;  /* of a read, for a client that does not take its
                                 rows: then it is cancelled; 0: 300000 */
    uint64_t transaction_idle_ms; /* then it is rolled back; 0: 10000 */
    size_t max_principals;
    uint64_t seed;            /* of the jitter of pools; 0: by chance */
    unsigned max_waiters;     /* on one in-flight read */
    unsigned verify_every;    /* of so many hits one is checked; 0: none */
    unsigned refresh_percent; /* of its time: hits in the last part of it have
                                 a newer answer fetched; 0: never */
    unsigned stale_permille;  /* answers that may be stale in automatic mode,
                                 while writes go past Portside; 0: 10 */
    struct ps_tracer *tracer; /* outlives the engine; NULL: off */
    /* A template's answers are not kept for a while: n_stale of n_verified that
     * were checked were stale with no write seen, or (0 of 0) refetched ones
     * change too often. Any loop. NULL: nobody wants to know. */
    void (*switched_off)(void *arg, const char *cache_id, uint64_t fingerprint,
                         uint32_t n_stale, uint32_t n_verified);
    void *arg;
    struct ps_tally *tally; /* n_loops; outlives the engine. NULL: nothing is
                               counted by template */
};
/* Makes store, spaces, policy, catalogues, principals and the loops' pools.
 * NULL without memory. */
struct ps_engine *ps_engine_new(const struct ps_engine_conf *conf);
/* All requests done, loops no longer running. */
void ps_engine_free(struct ps_engine **engine);
/* New requests fail with PS_SHUTTING_DOWN; fn (any thread) when the last one
 * under way is done. */
void ps_engine_drain(struct ps_engine *engine, void (*fn)(void *arg),
                     void *arg);

/* On a loop: requests that came from it and are under way, and transactions
 * that are kept for it between requests. */
size_t ps_engine_busy(struct ps_engine *engine, unsigned loop_index);

/* From other agents, by the link, in order; any thread. */
void ps_engine_apply(struct ps_engine *engine, const struct ps_change *change);
/* An operator's purge, likewise. *out says what became of it. */
void ps_engine_purge(struct ps_engine *engine, const struct ps_purge *purge,
                     struct ps_purged *out);
/*
 * What would be done with this statement here and why, as a JSON object
 * (proto/openapi.yaml, Explanation), with the user's own words but for no
 * value that is bound. Asks nobody; any thread.
 */
struct ps_explain {
    struct ps_str cache_id;
    /* Absent: the default of the cache, or that of which there is a catalogue.
     */
    struct ps_str database;
    struct ps_str key_sql;                /* as in struct ps_req */
    struct ps_str key_bindings;           /* likewise; of no use unless bound */
    const struct ps_statement *statement; /* as the origin would get it */
    bool bound;                           /* its parameters have values */
    struct ps_arena *arena;
};
/* PS_CACHE_NOT_FOUND, PS_NO_MEMORY, PS_TOO_BIG. */
PS_MUST_USE enum ps_rc ps_engine_explain(struct ps_engine *engine,
                                         const struct ps_explain *ask,
                                         struct ps_buf *out);
/* Definitions changed: pools and answers of the caches concerned are adjusted.
 * After ps_config_replace; any thread. */
void ps_engine_reconfigured(struct ps_engine *engine);

#define PS_ENGINE_COUNTER_TABLE(X)                                           \
    X(REQUESTS, "requests_total", "requests")                                \
    X(HITS, "hits_total", "requests answered from memory")                   \
    X(MISSES, "misses_total", "cacheable reads that went to the origin")     \
    X(BYPASSES, "bypasses_total", "requests that may not be cached")         \
    X(WRITES, "writes_total", "statements that may write")                   \
    X(ERRORS, "errors_total", "requests that failed")                        \
    X(STORES, "stores_total", "answers kept")                                \
    X(COALESCED, "coalesced_total", "requests that shared another's query")  \
    X(VERIFIED, "verified_total", "kept answers checked at the origin")      \
    X(STALE_FOUND, "stale_found_total", "of them, stale with no write seen") \
    X(REFRESHED, "refreshed_total", "kept answers fetched anew behind hits") \
    X(STALE_SERVED, "stale_served_total",                                    \
      "expired answers served as a rule or the client allows")               \
    X(ABANDONED_WRITES, "abandoned_writes_total",                            \
      "writes that were left to finish when their client had gone")          \
    X(INVALIDATIONS, "invalidations_total", "changes applied")               \
    X(TRANSACTIONS, "transactions_total",                                    \
      "transactions over several requests")                                  \
    X(TRANSACTIONS_EXPIRED, "transactions_expired_total",                    \
      "of them, rolled back because they were idle")

enum ps_engine_counter {
#define X(name, text, help) PS_ENGINE_##name,
    PS_ENGINE_COUNTER_TABLE(X)
#undef X
    PS_ENGINE_COUNTER_COUNT
};
struct ps_engine_stats {
    uint64_t counters[PS_ENGINE_COUNTER_COUNT];
    uint64_t errors[PS_RC_COUNT]; /* of them, by code */
    uint64_t store_bytes, store_max_bytes, store_entries, store_evicted;
    uint64_t stamp_bytes;      /* part of store_bytes */
    uint64_t row_bytes;        /* part of that: buckets that tell rows apart */
    struct ps_pool_stats pool; /* summed up; as of the last ps_engine_sample */
    uint64_t switched_off; /* times that a template's answers were given up */
};
void ps_engine_stats(struct ps_engine *engine, struct ps_engine_stats *out);
/* Breakers of the caches' origins, as ps_origins_breakers. Any thread. */
size_t ps_engine_breakers(struct ps_engine *engine, bool closed,
                          struct ps_breaker_state *out, size_t room);
/* What the answers of a cache take in memory. */
uint64_t ps_engine_cache_bytes(struct ps_engine *engine,
                               struct ps_str cache_id);
/* On a loop: has its pool's figures be part of ps_engine_stats. */
void ps_engine_sample(struct ps_engine *engine, unsigned loop_index);

#endif
