/* See load.h. */
#include "agent/config/load.h"

#include "common/check.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    NS_PER_US = 1000,
    NS_PER_S = 1000000000
};

struct ps_cache_load {
    _Atomic unsigned refs;
    _Atomic uint32_t entered;
    /* Nanoseconds, monotonic: when all tokens will be back. */
    _Atomic uint64_t full_ns;
    _Atomic uint64_t evicted;
};

struct ps_cache_load *
ps_cache_load_new(void)
{
    struct ps_cache_load *load = calloc(1, sizeof(*load));
    if (load)
        atomic_init(&load->refs, 1);
    return load;
}

struct ps_cache_load *
ps_cache_load_ref(struct ps_cache_load *load)
{
    atomic_fetch_add_explicit(&load->refs, 1, memory_order_relaxed);
    return load;
}

void
ps_cache_load_unref(struct ps_cache_load **load)
{
    struct ps_cache_load *old = *load;
    *load = NULL;
    if (old &&
        atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) == 1)
        free(old);
}

uint64_t
ps_cache_load_admit(struct ps_cache_load *load, uint32_t rate, uint32_t burst,
                    uint64_t now_us)
{
    uint64_t token_ns = NS_PER_S / rate, now_ns = now_us * NS_PER_US;
    uint64_t slack_ns = (PS_MAX(burst, 1u) - 1) * token_ns;
    uint64_t full = atomic_load_explicit(&load->full_ns, memory_order_relaxed);
    uint64_t next;
    do {
        if (full > now_ns + slack_ns)
            return (full - now_ns - slack_ns + NS_PER_US - 1) / NS_PER_US;
        next = PS_MAX(full, now_ns) + token_ns;
    } while (!atomic_compare_exchange_weak_explicit(&load->full_ns, &full, next,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed));
    return 0;
}

bool
ps_cache_load_enter(struct ps_cache_load *load, uint32_t max)
{
    uint32_t now = atomic_load_explicit(&load->entered, memory_order_relaxed);
    do {
        if (now >= max)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(
        &load->entered, &now, now + 1, memory_order_relaxed,
        memory_order_relaxed));
    return true;
}

void
ps_cache_load_leave(struct ps_cache_load *load)
{
    PS_CHECK(
        atomic_fetch_sub_explicit(&load->entered, 1, memory_order_relaxed) > 0);
}

void
ps_cache_load_count_evicted(struct ps_cache_load *load, uint64_t n)
{
    atomic_fetch_add_explicit(&load->evicted, n, memory_order_relaxed);
}

uint64_t
ps_cache_load_evicted(struct ps_cache_load *load)
{
    return atomic_load_explicit(&load->evicted, memory_order_relaxed);
}
