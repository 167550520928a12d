/*
 * What only this agent sees and the fleet's list of events wants: told with
 * heartbeats, the oldest first, again until a reply says that they are known.
 * Where too many wait the newest is lost.
 */
#include "agent/link/uplink_private.h"

static uint64_t
now_ms(const struct ps_uplink *u)
{
    return ps_clock_now_ms(ps_loop_clock(u->conf.loop));
}

void
ps_uplink_notice(struct ps_uplink *u, const struct ps_uplink_notice *notice)
{
    struct ps_notices *n = &u->notices;
    pthread_mutex_lock(&n->lock);
    if (n->count < PS_NOTICES_MAX) {
        struct ps_kept_notice *kept = &n->list[n->count++];
        kept->notice = *notice;
        kept->number = ++n->last;
        kept->at_ms = now_ms(u);
    }
    pthread_mutex_unlock(&n->lock);
}

void
ps_notices_tell(struct ps_uplink *u, struct ps_told_notices *told,
                Portside__Heartbeat *beat)
{
    struct ps_notices *n = &u->notices;
    uint64_t now = now_ms(u);
    pthread_mutex_lock(&n->lock);
    beat->n_notices = PS_MIN(n->count, (size_t)PS_NOTICES_TOLD);
    for (size_t i = 0; i < beat->n_notices; i++) {
        const struct ps_kept_notice *kept = &n->list[i];
        Portside__Notice *m = &told->messages[i];
        portside__notice__init(m);
        memcpy(told->cache_ids[i], kept->notice.cache_id,
               sizeof(told->cache_ids[i]));
        m->number = kept->number;
        m->kind = (Portside__NoticeKind)kept->notice.kind;
        m->age_ms = now - PS_MIN(kept->at_ms, now);
        m->cache_id = told->cache_ids[i];
        m->template_id = kept->notice.template_id;
        m->amount = kept->notice.amount;
        m->of = kept->notice.of;
        told->list[i] = m;
    }
    pthread_mutex_unlock(&n->lock);
    beat->notices = told->list;
}

void
ps_notices_known(struct ps_uplink *u, uint64_t up_to)
{
    struct ps_notices *n = &u->notices;
    size_t gone = 0;
    pthread_mutex_lock(&n->lock);
    while (gone < n->count && n->list[gone].number <= up_to)
        gone++;
    n->count -= gone;
    memmove(n->list, n->list + gone, n->count * sizeof(n->list[0]));
    pthread_mutex_unlock(&n->lock);
}

void
ps_notices_lease(struct ps_uplink *u)
{
    struct ps_notices *n = &u->notices;
    uint64_t now_us = ps_clock_now_us(ps_loop_clock(u->conf.loop));
    bool held = ps_lease_held(u->conf.lease, now_us);
    if (!held && n->had_lease && n->lost_us == 0) {
        n->lost_us = now_us;
    } else if (held) {
        const struct ps_uplink_notice notice = {
            .kind = PS_NOTICE_LEASE_LOST,
            .amount = (now_us - n->lost_us) / 1000};
        if (n->lost_us)
            ps_uplink_notice(u, &notice);
        n->had_lease = true;
        n->lost_us = 0;
    }
}
