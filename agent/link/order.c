/* See order.h. */
#include "agent/link/order.h"

#include "agent/cache/broken.h"

void
ps_order_init(struct ps_order *order)
{
    memset(order, 0, sizeof(*order));
}

static bool
same_epoch(const struct ps_order *order, struct ps_str epoch)
{
    return ps_str_eq(ps_str_of(order->epoch), epoch) && epoch.len > 0;
}

bool
ps_order_hello(struct ps_order *order, struct ps_str epoch, uint64_t newest)
{
    /* A fetch of the session before is void: its reply carries that session
     * and will be refused. */
    order->fetching = false;
    if (same_epoch(order, epoch)) {
        order->newest = PS_MAX(order->newest, newest);
        return false;
    }
    size_t n = PS_MIN(epoch.len, sizeof(order->epoch) - 1);
    memcpy(order->epoch, epoch.ptr, n);
    order->epoch[n] = '\0';
    order->applied = order->newest = newest;
    return true;
}

static enum ps_order_verdict
behind(const struct ps_order *order)
{
    return order->fetching ? PS_ORDER_WAIT : PS_ORDER_GAP;
}

enum ps_order_verdict
ps_order_entry(struct ps_order *order, struct ps_str epoch, uint64_t number)
{
    if (!same_epoch(order, epoch))
        return PS_ORDER_EPOCH;
    order->newest = PS_MAX(order->newest, number);
    if (number <= order->applied)
        return PS_ORDER_SEEN;
    if (number != order->applied + 1 && !PS_BROKEN(gap_check))
        return behind(order);
    order->applied = number;
    return PS_ORDER_APPLY;
}

enum ps_order_verdict
ps_order_newest(struct ps_order *order, struct ps_str epoch, uint64_t newest)
{
    if (!same_epoch(order, epoch))
        return PS_ORDER_EPOCH;
    order->newest = PS_MAX(order->newest, newest);
    return order->newest > order->applied && !PS_BROKEN(gap_check)
               ? behind(order)
               : PS_ORDER_SEEN;
}

void
ps_order_reset_to(struct ps_order *order, uint64_t newest)
{
    order->applied = newest;
    order->newest = PS_MAX(order->newest, newest);
}
