/*
 * May this agent serve from memory, now? The link renews the lease after each
 * answered heartbeat, counted from when the heartbeat was SENT and only
 * once every invalidation up to the answer's number has been applied; the
 * request path reads it with a few atomic loads (contract C3).
 *
 * Restricted: an agent is lost and may be writing unheard; then answers
 * older than max_age_ms (counted from when their query was sent) are not
 * served, and nothing from memory for caches with write_ack = global (C4).
 *
 * A process without a control plane (scenario runner, tests) may hold a lease
 * for ever.
 */
#ifndef PS_AGENT_CACHE_LEASE_H
#define PS_AGENT_CACHE_LEASE_H

#include "common/base.h"

struct ps_lease {
    _Atomic uint64_t until_us;   /* monotonic; 0: none */
    _Atomic uint64_t max_age_us; /* UINT64_MAX: not restricted */
};

#define PS_LEASE_FOR_EVER UINT64_MAX

void ps_lease_init(struct ps_lease *lease);
/* restricted_max_age_us: UINT64_MAX when not restricted. The restriction is
 * in force before the lease is seen longer. */
void ps_lease_renew(struct ps_lease *lease, uint64_t until_us,
                    uint64_t restricted_max_age_us);
void ps_lease_drop(struct ps_lease *lease);
bool ps_lease_held(const struct ps_lease *lease, uint64_t now_us);
/* May an answer whose query was sent at born_us be served now? */
bool ps_lease_allows(const struct ps_lease *lease, uint64_t now_us,
                     uint64_t born_us, bool write_ack_global);

#endif
