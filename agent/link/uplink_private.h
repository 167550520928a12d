/*
 * Inside of the link: one struct, six files (uplink.c session and lease,
 * log.c entries and gaps, publish.c own changes, config.c definitions,
 * probes.c reachability, telemetry.c statistics). Everything runs on the link's
 * loop unless noted.
 */
#ifndef PS_AGENT_LINK_UPLINK_PRIVATE_H
#define PS_AGENT_LINK_UPLINK_PRIVATE_H

#include "agent/link/order.h"
#include "agent/link/outbox.h"
#include "agent/link/uplink.h"
#include "common/io/bus.h"
#include "proto/portside.pb-c.h"

#include <pthread.h>
#include <stdatomic.h>

enum ps_uplink_state {
    PS_UPLINK_OFFLINE, /* no session; hello follows when the timer fires */
    PS_UPLINK_HELLO,   /* hello is under way */
    PS_UPLINK_LIVE,    /* a session: events count */
    PS_UPLINK_REVOKED
};

enum {
    PS_UPLINK_MAGIC = 0x75706c6b,
    PS_UPLINK_CALL_TIMEOUT_MS = 3000,
    PS_UPLINK_GLOBAL_MAX = 32 /* global batches in flight */
};

struct ps_prober;
struct ps_teller;

enum {
    PS_NOTICES_MAX = 64, /* that wait */
    PS_NOTICES_TOLD = 16 /* in one heartbeat */
};
struct ps_kept_notice {
    struct ps_uplink_notice notice;
    uint64_t number, at_ms;
};
struct ps_notices {
    pthread_mutex_t lock;
    struct ps_kept_notice list[PS_NOTICES_MAX]; /* by number */
    size_t count;
    uint64_t last; /* number given */
    /* Loop's thread: */
    bool had_lease;
    uint64_t lost_us; /* 0: it has a lease, or never had */
};
/* What a heartbeat points to while it is packed. */
struct ps_told_notices {
    Portside__Notice messages[PS_NOTICES_TOLD];
    Portside__Notice *list[PS_NOTICES_TOLD];
    char cache_ids[PS_NOTICES_TOLD][37];
};

struct ps_uplink {
    unsigned magic;
    struct ps_uplink_conf conf;
    struct ps_bus_client *bus;
    _Atomic int state; /* enum ps_uplink_state; read from other threads */
    char *endpoint;
    char instance[37]; /* of this process */
    char *session_id, *session_secret;
    /* Counts sessions: an answer that belongs to an earlier one is void. */
    uint64_t generation;
    uint64_t lease_ms, heartbeat_ms;
    struct ps_timer hello_timer, heartbeat_timer;
    uint64_t hello_delay_ms;

    struct ps_order order;
    /* What has been applied of it, for other threads. */
    pthread_mutex_t position_lock;
    struct ps_log_position position;

    /* The best heartbeat answer whose log position is not reached yet. */
    struct {
        bool valid;
        uint64_t sent_us, newest, max_age_us, lease_us;
    } pending;
    uint64_t renewed_from_us; /* sent_us of the heartbeat in force */

    uint64_t config_version; /* what is in conf.config */
    bool snapshot_wanted, snapshot_under_way;
    bool renewing;

    struct ps_publisher publisher;
    struct ps_outbox *outbox;
    struct ps_task publish_task;
    _Atomic bool publish_posted;
    bool local_in_flight;
    unsigned global_in_flight;
    struct ps_list global_open; /* global batches not answered yet */
    struct ps_timer wait_timer; /* gives up on waits */
    _Atomic uint64_t writes_in_flight;
    /* Until when writes of unknown outcome may take effect; monotonic. */
    _Atomic uint64_t unsettled_until_ms;

    struct ps_notices notices;
    struct ps_prober *prober;
    struct ps_teller *teller; /* NULL: without collector */

    struct {
        _Atomic bool asked;
        bool sent;
        struct ps_task task;
        struct ps_timer deadline, poll;
        uint64_t timeout_ms;
        void (*fn)(void *arg);
        void *arg;
    } goodbye;
};

/* One call under way. fn gets reply == NULL when there was no usable answer;
 * it runs for answers of the current session only (else: reply NULL). */
struct ps_uplink_call {
    struct ps_uplink *uplink;
    uint64_t generation;
    uint64_t sent_us;
    struct ps_outbox_batch *batch; /* publish only */
    void (*fn)(struct ps_uplink_call *call, const Portside__Reply *reply);
};
/* Sends body with the session's id and secret. fn runs later, once. */
void ps_uplink_call(struct ps_uplink *uplink, Portside__Call *body,
                    unsigned timeout_ms, struct ps_outbox_batch *batch,
                    void (*fn)(struct ps_uplink_call *call,
                               const Portside__Reply *reply));

/* uplink.c */
void ps_uplink_say_hello(struct ps_uplink *uplink, uint64_t delay_ms);
void ps_uplink_heartbeat(struct ps_uplink *uplink);
/* The log position moved: a held-back lease may run now. */
void ps_uplink_try_lease(struct ps_uplink *uplink);

/* notices.c */
void ps_notices_tell(struct ps_uplink *uplink, struct ps_told_notices *told,
                     Portside__Heartbeat *beat);
void ps_notices_known(struct ps_uplink *uplink, uint64_t up_to);
/* Has the lease ended, or come back? With every heartbeat. */
void ps_notices_lease(struct ps_uplink *uplink);

/* log.c */
void ps_uplink_drop_all(struct ps_uplink *uplink);
void ps_uplink_on_entry(struct ps_uplink *uplink, struct ps_str epoch,
                        const Portside__LogEntry *entry);
void ps_uplink_on_newest(struct ps_uplink *uplink, struct ps_str epoch,
                         uint64_t newest);
void ps_uplink_fetch(struct ps_uplink *uplink);

/* asks.c */
/* False: not understood. */
PS_MUST_USE bool ps_uplink_purge(struct ps_uplink *uplink,
                                 const Portside__Purge *message);
void ps_uplink_asked(struct ps_uplink *uplink, const Portside__Ask *message);

/* config.c */
void ps_uplink_load_config(struct ps_uplink *uplink);
void ps_uplink_want_config(struct ps_uplink *uplink, uint64_t version);

/* publish.c */
/* After entries were applied or everything was dropped. */
void ps_uplink_show_position(struct ps_uplink *uplink);
void ps_uplink_publish_init(struct ps_uplink *uplink);
/* Sends what waits, as far as the session allows. */
void ps_uplink_publish(struct ps_uplink *uplink);
bool ps_uplink_all_told(struct ps_uplink *uplink);
void ps_uplink_publish_done(struct ps_uplink *uplink);

/* telemetry.c */
struct ps_teller *ps_teller_new(struct ps_uplink *uplink);
void ps_teller_start(struct ps_teller *teller);
/* Tells what is left, then calls done; does not wait for a control plane that
 * cannot be reached. */
void ps_teller_finish(struct ps_teller *teller,
                      void (*done)(struct ps_uplink *uplink));
void ps_teller_free(struct ps_teller **teller);

/* probes.c */
struct ps_prober *ps_prober_new(struct ps_uplink *uplink);
/* Probes under way go on without anybody to tell. */
void ps_prober_abandon(struct ps_prober **prober);
void ps_prober_request(struct ps_prober *prober,
                       const Portside__ProbeRequest *request);

#endif
