/*
 * Failed logins per source address, slowed down: after a few failures a
 * source must wait, twice as long after each further one, before another login
 * is passed on to an origin. Bounded table; any thread.
 */
#ifndef PS_AGENT_POOL_LOGINS_H
#define PS_AGENT_POOL_LOGINS_H

#include "common/base.h"

struct ps_logins;
/* free_failures: failures within a minute that cost nothing (e.g. 5). */
struct ps_logins *ps_logins_new(size_t max_sources, unsigned free_failures);
void ps_logins_free(struct ps_logins **logins);
/* Milliseconds the source must still wait; 0: may try. */
uint64_t ps_logins_wait_ms(struct ps_logins *logins, struct ps_str source,
                           uint64_t now_ms);
void ps_logins_failed(struct ps_logins *logins, struct ps_str source,
                      uint64_t now_ms);
void ps_logins_succeeded(struct ps_logins *logins, struct ps_str source);

#endif
