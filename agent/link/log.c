/*
 * The ordered log as it arrives: entries are applied in order, gaps are
 * fetched, and where the log no longer has them everything is dropped.
 */
#include "common/log.h"

#include "agent/link/codec.h"
#include "agent/link/uplink_private.h"

void
ps_uplink_drop_all(struct ps_uplink *u)
{
    const struct ps_change all = {.catalog = true};
    u->conf.apply(u->conf.arg, &all);
}

static void
apply(struct ps_uplink *u, const Portside__LogEntry *entry)
{
    struct ps_codec_change change;
    /* Own changes were applied here before they were told. */
    if (strcmp(entry->agent_id, u->conf.state->agent_id) == 0)
        return;
    if (entry->purge && ps_uplink_purge(u, entry->purge))
        return;
    if (!entry->invalidation ||
        ps_codec_change(entry->invalidation, &change) != PS_OK) {
        ps_warn("link", "entry %llu is not understood: all caches dropped",
                (unsigned long long)entry->number);
        ps_uplink_drop_all(u);
        return;
    }
    u->conf.apply(u->conf.arg, &change.change);
    ps_codec_change_done(&change);
}

static void
act(struct ps_uplink *u, enum ps_order_verdict verdict)
{
    switch (verdict) {
    case PS_ORDER_GAP:
        ps_uplink_fetch(u);
        break;
    case PS_ORDER_EPOCH:
        ps_uplink_say_hello(u, 0);
        break;
    case PS_ORDER_APPLY:
    case PS_ORDER_SEEN:
    case PS_ORDER_WAIT:
        break;
    }
}

void
ps_uplink_on_entry(struct ps_uplink *u, struct ps_str epoch,
                   const Portside__LogEntry *entry)
{
    enum ps_order_verdict v = ps_order_entry(&u->order, epoch, entry->number);
    if (v != PS_ORDER_APPLY) {
        act(u, v);
        return;
    }
    apply(u, entry);
    ps_uplink_show_position(u);
    ps_uplink_try_lease(u);
    if (entry->ack_wanted)
        ps_uplink_heartbeat(u);
}

void
ps_uplink_on_newest(struct ps_uplink *u, struct ps_str epoch, uint64_t newest)
{
    act(u, ps_order_newest(&u->order, epoch, newest));
}

static void
on_fetched(struct ps_uplink_call *call, const Portside__Reply *reply)
{
    struct ps_uplink *u = call->uplink;
    if (call->generation != u->generation)
        return;
    u->order.fetching = false;
    if (!reply || reply->body_case != PORTSIDE__REPLY__BODY_FETCH)
        return; /* the next tick tries again */
    const Portside__FetchReply *f = reply->fetch;
    uint64_t before = u->order.applied;
    bool ack = false;
    if (f->too_old) {
        ps_warn("link", "missed too many changes: all caches dropped");
        ps_uplink_drop_all(u);
        ps_order_reset_to(&u->order, f->newest);
    }
    for (size_t i = 0; i < f->n_entries; i++) {
        const Portside__LogEntry *entry = f->entries[i];
        enum ps_order_verdict v =
            ps_order_entry(&u->order, ps_str_of(f->epoch), entry->number);
        if (v == PS_ORDER_APPLY) {
            apply(u, entry);
            ack = ack || entry->ack_wanted;
        } else if (v == PS_ORDER_EPOCH) {
            ps_uplink_say_hello(u, 0);
            return;
        }
    }
    ps_uplink_show_position(u);
    ps_uplink_try_lease(u);
    if (ack)
        ps_uplink_heartbeat(u);
    /* More is missing: go on at once, but only while that gets further. */
    if (u->order.applied != before)
        ps_uplink_on_newest(u, ps_str_of(f->epoch), f->newest);
}

void
ps_uplink_fetch(struct ps_uplink *u)
{
    Portside__Fetch fetch;
    portside__fetch__init(&fetch);
    Portside__Call call;
    portside__call__init(&call);
    u->order.fetching = true;
    fetch.epoch = u->order.epoch;
    fetch.after = u->order.applied;
    call.body_case = PORTSIDE__CALL__BODY_FETCH;
    call.fetch = &fetch;
    ps_uplink_call(u, &call, PS_UPLINK_CALL_TIMEOUT_MS, NULL, on_fetched);
}
