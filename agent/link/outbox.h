/*
 * Changes on their way to the control plane. Requests put them in from any
 * thread; the link takes them out in batches on its loop, keeps a batch until
 * its publish was answered, and puts it back when it was not: a change is
 * told until the control plane has it (telling it twice is harmless).
 *
 *   request threads --put--> [ local lane ] --take--> one batch in flight
 *                            [ global lane ] -take--> several in flight, each
 *                                                     answered when all
 *                                                     agents have applied it
 *
 * Bounded: where a lane grows past its maximum its changes become one "every
 * cache, every table", which is right, only coarse.
 */
#ifndef PS_AGENT_LINK_OUTBOX_H
#define PS_AGENT_LINK_OUTBOX_H

#include "agent/cache/change.h"
#include "common/list.h"
#include "proto/portside.pb-c.h"

enum ps_lane {
    PS_LANE_LOCAL,
    PS_LANE_GLOBAL
};

enum {
    PS_OUTBOX_LANE_MAX = 16384,
    PS_OUTBOX_BATCH_MAX = 512
};

struct ps_outbox;

struct ps_outbox_batch {
    struct ps_link link;
    enum ps_lane lane;
    bool in_flight; /* by the caller */
    char request_id[37];
    /* Since when it has been waiting for an answer: by the caller. */
    uint64_t since_us;
    Portside__Invalidation *changes[PS_OUTBOX_BATCH_MAX];
    struct ps_publish_wait *waits[PS_OUTBOX_BATCH_MAX]; /* NULL: nobody */
    size_t count;
};

struct ps_outbox *ps_outbox_new(void);
/* Waits still inside get PS_SHUTTING_DOWN. */
void ps_outbox_free(struct ps_outbox **outbox);
/* Any thread. wait != NULL: global lane, unless it is content with the log. */
void ps_outbox_put(struct ps_outbox *outbox, const struct ps_change *change,
                   struct ps_publish_wait *wait);
/* The next batch of a lane, or NULL; one that was put back comes first. */
struct ps_outbox_batch *ps_outbox_take(struct ps_outbox *outbox,
                                       enum ps_lane lane);
/* Not answered: it is taken again later, under the same request id. */
void ps_outbox_put_back(struct ps_outbox *outbox,
                        struct ps_outbox_batch *batch);
/* Answered (PS_OK) or given up: tells the waits, once. The batch stays (a
 * given-up one is still to be told). */
void ps_outbox_settle(struct ps_outbox_batch *batch, enum ps_rc rc);
/* The same with PS_OK: where its changes are in the log. */
void ps_outbox_settle_at(struct ps_outbox_batch *batch, const char *epoch,
                         uint64_t number);
/* Nobody waits for what is still in this lane; it is told all the same. */
void ps_outbox_give_up_waits(struct ps_outbox *outbox, enum ps_lane lane);
void ps_outbox_batch_free(struct ps_outbox_batch **batch);
/* Nothing queued and nothing put back (batches in flight not counted). */
bool ps_outbox_empty(struct ps_outbox *outbox);

#endif
