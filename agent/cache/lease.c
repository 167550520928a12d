/*
 * The lease: two words, written by the link, read on every lookup. Writers set
 * the restriction before the time, readers read the time before the
 * restriction: a reader that sees a renewed lease sees its restriction too.
 */
#include "agent/cache/lease.h"

#include "agent/cache/broken.h"

#include <stdatomic.h>

void
ps_lease_init(struct ps_lease *lease)
{
    atomic_init(&lease->until_us, 0);
    atomic_init(&lease->max_age_us, UINT64_MAX);
}

void
ps_lease_renew(struct ps_lease *lease, uint64_t until_us,
               uint64_t restricted_max_age_us)
{
    atomic_store_explicit(&lease->max_age_us, restricted_max_age_us,
                          memory_order_release);
    atomic_store_explicit(&lease->until_us, until_us, memory_order_release);
}

void
ps_lease_drop(struct ps_lease *lease)
{
    atomic_store_explicit(&lease->until_us, 0, memory_order_release);
}

bool
ps_lease_held(const struct ps_lease *lease, uint64_t now_us)
{
    return PS_BROKEN(lease_check) ||
           now_us <
               atomic_load_explicit(&lease->until_us, memory_order_acquire);
}

bool
ps_lease_allows(const struct ps_lease *lease, uint64_t now_us, uint64_t born_us,
                bool write_ack_global)
{
    if (!ps_lease_held(lease, now_us))
        return false;
    uint64_t max_age =
        atomic_load_explicit(&lease->max_age_us, memory_order_acquire);
    if (PS_LIKELY(max_age == UINT64_MAX))
        return true;
    if (write_ack_global)
        return false;
    return born_us > now_us || now_us - born_us <= max_age;
}
