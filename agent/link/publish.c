/*
 * Own changes on their way out. The local lane has one batch in flight, so
 * that a busy writer makes few large messages; the global lane (write_ack =
 * global) has many, because each is answered only when every agent has
 * applied it.
 *
 * A wait is given up after twice the lease and a second: by then, if this
 * agent is cut off, the control plane has counted it as lost and every other
 * agent has either heard so (and serves nothing from memory for such caches)
 * or lost its own lease (contract C4). The change itself is told for as
 * long as it takes.
 */
#include "agent/link/uplink_private.h"
#include "common/check.h"
#include "common/log.h"

#include <stdlib.h>

static void
on_task(struct ps_task *task)
{
    struct ps_uplink *u = PS_CONTAINER_OF(task, struct ps_uplink, publish_task);
    atomic_store(&u->publish_posted, false);
    ps_uplink_publish(u);
}

/* Any thread. */
static void
publish(void *arg, const struct ps_change *change, struct ps_publish_wait *wait)
{
    struct ps_uplink *u = arg;
    /* Without a session there is no place in the log to wait for. */
    bool in_vain =
        wait && wait->logged && atomic_load(&u->state) != PS_UPLINK_LIVE;
    ps_outbox_put(u->outbox, change, in_vain ? NULL : wait);
    if (in_vain)
        wait->fn(wait, PS_FABRIC);
    if (!atomic_exchange(&u->publish_posted, true))
        ps_loop_post(u->conf.loop, &u->publish_task);
}

static bool
position(void *arg, struct ps_log_position *out)
{
    struct ps_uplink *u = arg;
    PS_CHECK(pthread_mutex_lock(&u->position_lock) == 0);
    *out = u->position;
    PS_CHECK(pthread_mutex_unlock(&u->position_lock) == 0);
    return out->epoch[0] != '\0';
}

void
ps_uplink_show_position(struct ps_uplink *u)
{
    PS_CHECK(pthread_mutex_lock(&u->position_lock) == 0);
    memcpy(u->position.epoch, u->order.epoch, sizeof(u->position.epoch));
    u->position.number = u->order.applied;
    PS_CHECK(pthread_mutex_unlock(&u->position_lock) == 0);
}

static void
write_began(void *arg)
{
    struct ps_uplink *u = arg;
    atomic_fetch_add(&u->writes_in_flight, 1);
}

static void
write_ended(void *arg)
{
    struct ps_uplink *u = arg;
    atomic_fetch_sub(&u->writes_in_flight, 1);
}

/* Many threads: the latest end counts. */
static void
write_lingers(void *arg, uint64_t for_ms)
{
    struct ps_uplink *u = arg;
    uint64_t until = ps_clock_now_ms(ps_loop_clock(u->conf.loop)) + for_ms;
    uint64_t before = atomic_load(&u->unsettled_until_ms);
    while (before < until && !atomic_compare_exchange_weak(
                                 &u->unsettled_until_ms, &before, until))
        ;
}

static uint64_t
give_up_us(const struct ps_uplink *u)
{
    return (2 * u->lease_ms + 1000) * 1000;
}

static void
on_wait_timer(void *arg)
{
    struct ps_uplink *u = arg;
    uint64_t now = ps_clock_now_us(ps_loop_clock(u->conf.loop));
    bool open = false;
    PS_LIST_FOREACH_SAFE(&u->global_open, it, tmp) {
        struct ps_outbox_batch *b =
            PS_CONTAINER_OF(it, struct ps_outbox_batch, link);
        if (now - b->since_us >= give_up_us(u)) {
            ps_warn("link", "a write was not confirmed by all agents in time");
            ps_outbox_settle(b, PS_FABRIC);
        } else {
            open = true;
        }
    }
    if (open)
        ps_timer_start_ms(&u->wait_timer, 100);
}

void
ps_uplink_publish_init(struct ps_uplink *u)
{
    u->publish_task.fn = on_task;
    PS_CHECK(pthread_mutex_init(&u->position_lock, NULL) == 0);
    u->publisher = (struct ps_publisher){.arg = u,
                                         .publish = publish,
                                         .position = position,
                                         .write_began = write_began,
                                         .write_ended = write_ended,
                                         .write_lingers = write_lingers};
    ps_list_init(&u->global_open);
    ps_timer_init(&u->wait_timer, u->conf.loop, on_wait_timer, u);
}

static void
park(struct ps_uplink *u, struct ps_outbox_batch *batch)
{
    batch->in_flight = false;
    if (batch->lane == PS_LANE_LOCAL) {
        ps_outbox_settle(batch, PS_FABRIC);
        ps_outbox_put_back(u->outbox, batch);
        ps_outbox_give_up_waits(u->outbox, PS_LANE_LOCAL);
    } else if (!ps_link_linked(&batch->link))
        ps_list_push_back(&u->global_open, &batch->link);
}

static void
on_published(struct ps_uplink_call *call, const Portside__Reply *reply)
{
    struct ps_uplink *u = call->uplink;
    struct ps_outbox_batch *batch = call->batch;
    if (batch->lane == PS_LANE_LOCAL)
        u->local_in_flight = false;
    else
        u->global_in_flight--;
    if (!reply || reply->body_case != PORTSIDE__REPLY__BODY_PUBLISH) {
        park(u, batch); /* sent again with the next heartbeat's answer */
        return;
    }
    if (ps_link_linked(&batch->link))
        ps_list_remove(&u->global_open, &batch->link);
    ps_outbox_settle_at(batch, reply->publish->epoch, reply->publish->last);
    ps_outbox_batch_free(&batch);
    ps_uplink_publish(u);
}

static void
send_batch(struct ps_uplink *u, struct ps_outbox_batch *batch)
{
    Portside__Publish publish_body;
    portside__publish__init(&publish_body);
    Portside__Call call;
    portside__call__init(&call);
    unsigned timeout_ms = PS_UPLINK_CALL_TIMEOUT_MS;
    publish_body.request_id = batch->request_id;
    publish_body.n_invalidations = batch->count;
    publish_body.invalidations = batch->changes;
    publish_body.wait_all = batch->lane == PS_LANE_GLOBAL;
    call.body_case = PORTSIDE__CALL__BODY_PUBLISH;
    call.publish = &publish_body;
    batch->in_flight = true;
    if (batch->lane == PS_LANE_GLOBAL) {
        timeout_ms = (unsigned)(give_up_us(u) / 1000);
        u->global_in_flight++;
    } else {
        u->local_in_flight = true;
    }
    ps_uplink_call(u, &call, timeout_ms, batch, on_published);
}

/* Global batches age from when they are first seen here, session or not, so
 * that every wait ends. */
static void
adopt_global(struct ps_uplink *u)
{
    struct ps_outbox_batch *batch;
    while ((batch = ps_outbox_take(u->outbox, PS_LANE_GLOBAL)) != NULL) {
        batch->since_us = ps_clock_now_us(ps_loop_clock(u->conf.loop));
        park(u, batch);
        if (!ps_timer_active(&u->wait_timer))
            ps_timer_start_ms(&u->wait_timer, 100);
    }
}

void
ps_uplink_publish(struct ps_uplink *u)
{
    struct ps_outbox_batch *batch;
    adopt_global(u);
    if (atomic_load(&u->state) != PS_UPLINK_LIVE) {
        ps_outbox_give_up_waits(u->outbox, PS_LANE_LOCAL);
        return;
    }
    PS_LIST_FOREACH_SAFE(&u->global_open, it, tmp) {
        batch = PS_CONTAINER_OF(it, struct ps_outbox_batch, link);
        if (!batch->in_flight && u->global_in_flight < PS_UPLINK_GLOBAL_MAX)
            send_batch(u, batch);
    }
    if (!u->local_in_flight &&
        (batch = ps_outbox_take(u->outbox, PS_LANE_LOCAL)) != NULL)
        send_batch(u, batch);
}

bool
ps_uplink_all_told(struct ps_uplink *u)
{
    return ps_outbox_empty(u->outbox) && !u->local_in_flight &&
           u->global_open.count == 0;
}

void
ps_uplink_publish_done(struct ps_uplink *u)
{
    struct ps_link *link;
    ps_timer_stop(&u->wait_timer);
    while ((link = ps_list_pop_front(&u->global_open)) != NULL) {
        struct ps_outbox_batch *batch =
            PS_CONTAINER_OF(link, struct ps_outbox_batch, link);
        ps_outbox_settle(batch, PS_SHUTTING_DOWN);
        ps_outbox_batch_free(&batch);
    }
    ps_outbox_free(&u->outbox);
    pthread_mutex_destroy(&u->position_lock);
}
