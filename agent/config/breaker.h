/*
 * How an agent stands to a cache's origin, for those who show it or tell it:
 * the pool decides (agent/pool/origin.h).
 */
#ifndef PS_AGENT_CONFIG_BREAKER_H
#define PS_AGENT_CONFIG_BREAKER_H

enum ps_breaker {
    PS_BREAKER_CLOSED,    /* connections are opened as needed */
    PS_BREAKER_HALF_OPEN, /* one login is under way that will decide */
    PS_BREAKER_OPEN       /* too many failed: none for a while */
};

struct ps_breaker_state {
    char cache_id[37];
    enum ps_breaker breaker;
};

#endif
