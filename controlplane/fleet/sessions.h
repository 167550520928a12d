/*
 * Who is in the fleet and who may still be running: sessions, leases, lost
 * agents. Pure: the caller passes the (monotonic) time and acts on what the
 * functions return.
 *
 *              hello               goodbye(clean)
 *   [away] ------------> [connected] ------------> [away]
 *     ^                   |  |  ^
 *     | revoke            |  |  | hello
 *     |                   |  |  |
 *   [revoked] <-----------+  +--+-> [lost]   no heartbeat for lost_after_ms,
 *       ^        revoke             |        goodbye(unclean), or known from
 *       +---------------------------+        before a restart and not heard
 *
 * 1. An agent that is "open" (said hello, did not say goodbye) may be running
 *    and writing to databases even when nothing is heard from it.
 * 2. While any agent is lost the fleet is restricted: the others serve no
 *    answer older than a lease (contract C3).
 * 3. Whenever an open agent stops being heard, or comes back, or is revoked,
 *    writes may have gone unpublished: the function returns PS_FLUSH and the
 *    caller appends an invalidation of everything.
 * 4. What an agent had sent to a database may still run and commit there after
 *    the agent is gone. When one comes back as another process, is revoked, or
 *    says goodbye while it does not know a write's outcome, the fleet stays
 *    restricted for as long as that may take ("unsettled"); then PS_FLUSH.
 *    A restart of ours does not shorten it.
 * 5. A lease, as seen from here, ends lease + margin after the last heartbeat
 *    was RECEIVED. The agent counts from when it sent it, so its own lease
 *    has ended by then, with no clocks compared.
 */
#ifndef PS_CONTROLPLANE_FLEET_SESSIONS_H
#define PS_CONTROLPLANE_FLEET_SESSIONS_H

#include "common/err.h"
#include "controlplane/store/db.h"

struct ps_sessions;

enum {
    PS_SESSION_SECRET_HEX = 65, /* 64 digits and NUL */
    /* Publishes of a session that are recognised when sent again. */
    PS_PUBLISH_WINDOW = 256,
    PS_REQUEST_ID_MAX = 64,
    PS_RESTING_MAX = 64
};

struct ps_sessions_conf {
    uint64_t lease_ms;
    uint64_t lost_after_ms;
    uint64_t margin_ms; /* for clocks that run at different speeds */
};

/* An origin that the agent opens no connections to for now. */
struct ps_resting {
    char cache_id[37];
    bool trying; /* but for one login that will decide */
};

struct ps_published {
    char request_id[PS_REQUEST_ID_MAX + 1];
    uint64_t first, last;
};

/* One agent. Read it freely; only sessions.c writes it, save `agent` (the
 * row of the store), which the caller keeps in step with the store, and what
 * the agent says of its draining. */
struct ps_member {
    unsigned magic;
    struct ps_agent agent;
    bool connected;
    bool lost;
    bool forgotten; /* deleted; kept until flush_at_ms has passed */
    char session_id[37];
    unsigned char session_hash[32];
    uint64_t heard_ms;       /* last hello or heartbeat, or our start */
    uint64_t lease_until_ms; /* of the session */
    /* Of an earlier session that ended without goodbye: the same process or
     * another one may still go by that lease. */
    uint64_t ghost_until_ms;
    uint64_t flush_at_ms; /* 0: no */
    /* agent.unsettled_ms > 0: until then. */
    uint64_t unsettled_until_ms;
    bool changed; /* agent is to be written down */
    uint64_t applied;
    uint64_t config_version;
    struct ps_resting resting[PS_RESTING_MAX]; /* while connected */
    size_t n_resting;
    uint64_t noticed; /* up to this notice of its process */
    bool drained;     /* it has nothing to do any more */
    uint64_t busy;    /* what it has, while it drains */
    struct ps_published published[PS_PUBLISH_WINDOW];
    size_t published_next;
};

/* What the caller has to do before anything else. */
enum ps_flush {
    PS_NO_FLUSH,
    PS_FLUSH /* append an invalidation of every cache */
};

struct ps_sessions *ps_sessions_new(const struct ps_sessions_conf *conf);
void ps_sessions_free(struct ps_sessions **sessions);

/* An agent of the store, at start or just enrolled. */
PS_MUST_USE enum ps_rc ps_sessions_add(struct ps_sessions *sessions,
                                       const struct ps_agent *agent,
                                       uint64_t now_ms);
/* NULL when there is none, or it is forgotten. */
struct ps_member *ps_sessions_find(struct ps_sessions *sessions,
                                   const char *agent_id);
/* *at starts at 0; NULL at the end. Forgotten ones are left out. */
struct ps_member *ps_sessions_next(struct ps_sessions *sessions, size_t *at);

/* Is this the hello of another process than the one that is open? Then that
 * one died and may have left writes behind. */
bool ps_sessions_died(const struct ps_member *member, const char *instance);
/* A new session for this agent, which the caller has authenticated; an older
 * one ends. secret gets the session's secret. What agent.unsettled_ms says
 * counts from now. */
PS_MUST_USE enum ps_rc ps_sessions_hello(struct ps_sessions *sessions,
                                         struct ps_member *member,
                                         uint64_t now_ms,
                                         char secret[PS_SESSION_SECRET_HEX],
                                         enum ps_flush *flush);
/* The member of this session. PS_UNAUTHORIZED: say hello again;
 * PS_FORBIDDEN: revoked. */
PS_MUST_USE enum ps_rc ps_sessions_authenticate(struct ps_sessions *sessions,
                                                const char *session_id,
                                                const char *secret,
                                                struct ps_member **member);
void ps_sessions_heartbeat(struct ps_sessions *sessions,
                           struct ps_member *member, uint64_t applied,
                           uint64_t config_version, uint64_t now_ms);
/* What the heartbeat says of origins, in place of what the last one said; more
 * than PS_RESTING_MAX are left out. */
void ps_sessions_note_resting(struct ps_member *member,
                              const struct ps_resting *resting, size_t n);
PS_MUST_USE enum ps_flush ps_sessions_goodbye(struct ps_sessions *sessions,
                                              struct ps_member *member,
                                              bool clean, uint64_t unsettled_ms,
                                              uint64_t now_ms);
/* For good. What it had in flight is flushed now and, by
 * ps_sessions_expire(), once more when its lease is surely over; what its
 * writes do within write_ms after that is taken care of. */
PS_MUST_USE enum ps_flush ps_sessions_revoke(struct ps_sessions *sessions,
                                             struct ps_member *member,
                                             uint64_t write_ms,
                                             uint64_t now_ms);
/* A revoked agent is deleted. */
void ps_sessions_forget(struct ps_sessions *sessions, struct ps_member *member);

/* Finds agents that have become lost. Each newly lost one is passed to
 * on_lost, which may be NULL. */
PS_MUST_USE enum ps_flush
ps_sessions_expire(struct ps_sessions *sessions, uint64_t now_ms,
                   void (*on_lost)(void *arg, struct ps_member *member),
                   void *arg);
/* When ps_sessions_expire() may next have something to do; UINT64_MAX:
 * never. */
uint64_t ps_sessions_next_due(struct ps_sessions *sessions);

/* Agents are lost, or left behind what may still take effect. */
bool ps_sessions_restricted(struct ps_sessions *sessions);

/* When, at the latest, no agent can serve answers older than what is appended
 * now. */
uint64_t ps_sessions_settled_by(struct ps_sessions *sessions);
/* No agent but the writer (which has applied it itself) can serve an answer
 * older than this entry: each has applied it or has no lease. */
bool ps_sessions_settled(struct ps_sessions *sessions, const char *writer_id,
                         uint64_t number, uint64_t now_ms);

/* The publish of this session with this id, or NULL. */
const struct ps_published *ps_sessions_published(const struct ps_member *member,
                                                 const char *request_id);
void ps_sessions_note_published(struct ps_member *member,
                                const char *request_id, uint64_t first,
                                uint64_t last);

#endif
