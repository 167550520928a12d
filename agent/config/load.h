/*
 * What a cache is asked for on this agent: requests per second, and requests
 * at its origin at a time. It outlives the definitions, so that a change of
 * one does not forgive anything; each definition of the cache points to it.
 *
 * Any thread; a few atomic instructions, and none where no limit is set.
 */
#ifndef PS_AGENT_CONFIG_LOAD_H
#define PS_AGENT_CONFIG_LOAD_H

#include "common/base.h"

struct ps_cache_load;

/* NULL without memory. */
struct ps_cache_load *ps_cache_load_new(void);
struct ps_cache_load *ps_cache_load_ref(struct ps_cache_load *load);
void ps_cache_load_unref(struct ps_cache_load **load);

/*
 * One more request, at rate per second and burst (at least 1) at once: a
 * token bucket, kept as the time at which it will be full again. 0: let in,
 * otherwise microseconds until there is a token; then nothing was taken.
 */
uint64_t ps_cache_load_admit(struct ps_cache_load *load, uint32_t rate,
                             uint32_t burst, uint64_t now_us);
/* One more at the origin, of max; true: to be followed by leave. */
bool ps_cache_load_enter(struct ps_cache_load *load, uint32_t max);
void ps_cache_load_leave(struct ps_cache_load *load);
/* n answers were given up because the cache held its share of memory. */
void ps_cache_load_count_evicted(struct ps_cache_load *load, uint64_t n);
uint64_t ps_cache_load_evicted(struct ps_cache_load *load);

#endif
