/*
 * Failed logins by where they come from (an address, or whom they are for),
 * slowed down before they reach an origin: after a few failures one must
 * wait, twice as long after each further one; and those under way at a time
 * are bounded, the more tightly the more have failed, so that a flood does
 * not get through before its first failure is known. Bounded table; any
 * thread.
 */
#ifndef PS_AGENT_POOL_LOGINS_H
#define PS_AGENT_POOL_LOGINS_H

#include "common/base.h"

struct ps_logins_conf {
    size_t max_sources;
    unsigned free_failures; /* within a minute, that cost nothing (e.g. 5) */
    uint64_t wait_max_ms;
    unsigned under_way_max; /* half as many after each failure, at least 1 */
};
struct ps_logins;
struct ps_logins *ps_logins_new(const struct ps_logins_conf *conf);
void ps_logins_free(struct ps_logins **logins);
/* Milliseconds the source must still wait after its failures; 0: none. */
uint64_t ps_logins_wait_ms(struct ps_logins *logins, struct ps_str source,
                           uint64_t now_ms);
/* 0: the login may be passed on, and is under way until ps_logins_end.
 * Otherwise the milliseconds to wait. */
uint64_t ps_logins_begin(struct ps_logins *logins, struct ps_str source,
                         uint64_t now_ms);
/* However it ended; failed or succeeded is told besides. */
void ps_logins_end(struct ps_logins *logins, struct ps_str source);
void ps_logins_failed(struct ps_logins *logins, struct ps_str source,
                      uint64_t now_ms);
void ps_logins_succeeded(struct ps_logins *logins, struct ps_str source);

#endif
