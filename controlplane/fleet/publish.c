/*
 * Publishes: invalidations get their numbers and go out. With wait_all the
 * reply is held until no agent can serve anything older (contract C4): each
 * has said in a heartbeat that it applied the entry, or its lease is over.
 *
 * A wait is bounded by itself: an agent's heartbeat that we answer after the
 * append tells it to apply the entry before it counts on the new lease, so
 * only leases that existed at the append can hurt, and these end.
 */
#include "common/log.h"
#include "controlplane/fleet/fleet_private.h"

#include <stdlib.h>

struct waiter {
    struct ps_link link;
    void *call;
    char writer_id[37];
    uint64_t first, last;
    uint64_t until_ms;
};

static void
answer(struct ps_fleet *fleet, void *call, uint64_t first, uint64_t last)
{
    Portside__PublishReply body = PORTSIDE__PUBLISH_REPLY__INIT;
    body.epoch = fleet->epoch;
    body.first = first;
    body.last = last;
    Portside__Reply reply = PORTSIDE__REPLY__INIT;
    reply.body_case = PORTSIDE__REPLY__BODY_PUBLISH;
    reply.publish = &body;
    fleet_reply(fleet, call, &reply);
}

void
fleet_settle(struct ps_fleet *fleet)
{
    uint64_t now = fleet_now(fleet), next = UINT64_MAX;
    PS_LIST_FOREACH_SAFE(&fleet->waiters, it, tmp) {
        struct waiter *w = PS_CONTAINER_OF(it, struct waiter, link);
        if (w->until_ms > now &&
            !ps_sessions_settled(fleet->sessions, w->writer_id, w->last, now)) {
            next = PS_MIN(next, w->until_ms);
            continue;
        }
        ps_list_remove(&fleet->waiters, it);
        answer(fleet, w->call, w->first, w->last);
        free(w);
    }
    if (next == UINT64_MAX)
        ps_timer_stop(&fleet->settle);
    else
        ps_timer_start_ms(&fleet->settle, next - now);
}

void
fleet_drop_waiters(struct ps_fleet *fleet)
{
    struct ps_link *link;
    while ((link = ps_list_pop_front(&fleet->waiters))) {
        struct waiter *w = PS_CONTAINER_OF(link, struct waiter, link);
        fleet_reply_error(fleet, w->call, PS_SHUTTING_DOWN,
                          "the control plane is shutting down");
        free(w);
    }
}

/* Also for a publish that was sent again while the first reply is held. The
 * bus answers a bounded number of calls at a time: held ones must leave room
 * for the heartbeats that they wait for. */
static void
hold(struct ps_fleet *fleet, const struct ps_member *member, void *call,
     uint64_t first, uint64_t last)
{
    if (fleet->waiters.count >= PS_FLEET_HELD_MAX) {
        fleet_reply_error(fleet, call, PS_TOO_MANY_REQUESTS,
                          "too many global writes wait for their "
                          "acknowledgement; send it again");
        return;
    }
    struct waiter *w = calloc(1, sizeof(*w));
    if (!w) {
        fleet_reply_error(fleet, call, PS_NO_MEMORY, NULL);
        return;
    }
    w->call = call;
    w->first = first;
    w->last = last;
    w->until_ms = ps_sessions_settled_by(fleet->sessions);
    memcpy(w->writer_id, member->agent.id, sizeof(w->writer_id));
    ps_list_push_back(&fleet->waiters, &w->link);
    fleet_settle(fleet);
}

static bool
valid(const Portside__Publish *body, const char **why)
{
    size_t id_len = strlen(body->request_id);
    if (id_len == 0 || id_len > PS_REQUEST_ID_MAX)
        *why = "request_id is empty or too long";
    else if (body->n_invalidations == 0 ||
             body->n_invalidations > FLEET_PUBLISH_MAX)
        *why = "there are no invalidations, or too many";
    else
        return true;
    return false;
}

void
fleet_publish(struct ps_fleet *fleet, struct ps_member *member, void *call,
              const Portside__Publish *body)
{
    const char *why;
    if (!valid(body, &why)) {
        fleet_reply_error(fleet, call, PS_BAD_FIELD, why);
        return;
    }
    const struct ps_published *before =
        ps_sessions_published(member, body->request_id);
    uint64_t first, last;
    if (before) {
        first = before->first;
        last = before->last;
    } else {
        struct ps_ilog_batch batch = {
            .agent_id = member->agent.id,
            .items = body->invalidations,
            .count = body->n_invalidations,
            .ack_wanted = body->wait_all,
        };
        enum ps_rc rc = fleet_append(fleet, &batch, &first);
        if (rc != PS_OK) {
            fleet_reply_error(fleet, call, rc, NULL);
            return;
        }
        last = first + batch.count - 1;
        ps_sessions_note_published(member, body->request_id, first, last);
    }
    if (body->wait_all)
        hold(fleet, member, call, first, last);
    else
        answer(fleet, call, first, last);
}
