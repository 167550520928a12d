/* Inside fleet/: the service's state, shared by its files. */
#ifndef PS_CONTROLPLANE_FLEET_FLEET_PRIVATE_H
#define PS_CONTROLPLANE_FLEET_FLEET_PRIVATE_H

#include "common/buf.h"
#include "common/check.h"
#include "common/list.h"
#include "controlplane/fleet/fleet.h"
#include "controlplane/fleet/log.h"
#include "controlplane/fleet/sessions.h"
#include "proto/portside.pb-c.h"

enum {
    FLEET_MAGIC = 0x7073464c,
    FLEET_MESSAGE_MAX = 8 << 20, /* of the bus */
    FLEET_FETCH_BYTES = 1 << 20, /* of entries in one reply */
    FLEET_FETCH_ENTRIES = 8192,
    FLEET_PUBLISH_MAX = 16384 /* invalidations in one call */
};

struct ps_fleet {
    unsigned magic;
    struct ps_fleet_conf conf;
    char epoch[37];
    struct ps_ilog *log;
    struct ps_sessions *sessions;
    struct ps_timer tick;
    struct ps_timer expire;
    struct ps_list waiters; /* publishes whose reply is held, by number */
    struct ps_timer settle; /* the first waiter's time limit */
    struct ps_list runs;    /* reachability runs under way */
    struct ps_list asks;    /* questions to all agents, under way */
    struct ps_buf snapshot; /* a packed reply, made when first asked for */
    uint64_t snapshot_version;
    uint64_t write_ms; /* of fleet_write_ms() */
    bool restricted;   /* as last noted */
    struct ps_buf out; /* the message being packed */
};

/* protobuf-c has char * in its structs, but only reads them to pack. */
static inline char *
fleet_lend(const char *text)
{
    union {
        const char *in;
        char *out;
    } u = {.in = text ? text : ""};
    return u.out;
}

/* fleet.c */
uint64_t fleet_now(struct ps_fleet *fleet);
/* Appends and announces; waiters may be answered later, never in here. */
PS_MUST_USE enum ps_rc fleet_append(struct ps_fleet *fleet,
                                    const struct ps_ilog_batch *batch,
                                    uint64_t *first);
/* An invalidation of everything. Does not fail: without memory for it the
 * process ends, because going on would serve wrong answers. */
void fleet_flush(struct ps_fleet *fleet, enum ps_flush flush);
void fleet_send_event(struct ps_fleet *fleet, const Portside__Event *event);
void fleet_send_tick(struct ps_fleet *fleet);
/* Sets the timer that finds lost agents. */
void fleet_arm(struct ps_fleet *fleet);
/* Writes the member's row; what fails is logged. */
void fleet_save(struct ps_fleet *fleet, struct ps_member *member);

/* calls.c */
void fleet_reply(struct ps_fleet *fleet, void *call, Portside__Reply *reply);
void fleet_reply_error(struct ps_fleet *fleet, void *call, enum ps_rc rc,
                       const char *message);

/* publish.c */
void fleet_publish(struct ps_fleet *fleet, struct ps_member *member, void *call,
                   const Portside__Publish *body);
/* Answers the waiters for whom everybody has applied. */
void fleet_settle(struct ps_fleet *fleet);
void fleet_drop_waiters(struct ps_fleet *fleet);

/* config.c */
/* How long a statement that an agent has sent may take effect after the agent
 * is gone: the longest time limit there is, or was. */
uint64_t fleet_write_ms(struct ps_fleet *fleet);
/* The packed reply with the present configuration. */
PS_MUST_USE enum ps_rc fleet_snapshot(struct ps_fleet *fleet,
                                      struct ps_str *reply, struct ps_err *err);
/* Fills out, which lends def's texts. */
void fleet_cache_config(const struct ps_cache_def *def,
                        Portside__CacheConfig *out);

/* runs.c */
/* PS_NOT_FOUND when the run is over or was not meant for this agent. */
PS_MUST_USE enum ps_rc fleet_run_result(struct ps_fleet *fleet,
                                        struct ps_member *member,
                                        const Portside__ProbeResult *body,
                                        struct ps_err *err);
void fleet_drop_runs(struct ps_fleet *fleet);

/* asks.c */
void fleet_answered(struct ps_fleet *fleet, const char *agent_id,
                    const Portside__Answer *body);
/* Tells those who wait what there is. */
void fleet_end_asks(struct ps_fleet *fleet);

/* events.c */
void fleet_note_agent(struct ps_fleet *fleet, enum ps_event_type type,
                      const struct ps_member *member, const char *message);
/* When it has begun or ended. */
void fleet_note_restricted(struct ps_fleet *fleet);
/* Before the member's own list becomes this one. */
void fleet_note_resting(struct ps_fleet *fleet, const struct ps_member *member,
                        const struct ps_resting *now, size_t n);
/* The number up to which they have been taken. */
uint64_t fleet_take_notices(struct ps_fleet *fleet, struct ps_member *member,
                            const Portside__Heartbeat *body);

/* Copies what is valid UTF-8 and fits, with a NUL. */
void fleet_text(char *out, size_t size, const char *text);

#endif
