/*
 * `psctl agent drain`: the agent is to be taken out of service, and goes on
 * until it is told otherwise or stopped.
 *
 *   wanted --> /readyz says no --drain-delay--> connections end with the reply
 *          --> nothing is open, no transaction kept: drained
 *
 * It listens all the while, and answers who still comes: a load balancer that
 * is slow loses nothing. Who wants it is the control plane, which keeps it: it
 * outlives this process. Drained stays until it is not wanted any more.
 *
 * On the link's loop; the state may be read by any thread.
 */
#ifndef PS_AGENT_DRAIN_H
#define PS_AGENT_DRAIN_H

#include "agent/front/front.h"

struct ps_drain;

enum ps_drain_state {
    PS_DRAIN_NO,
    PS_DRAIN_UNDER_WAY,
    PS_DRAIN_DONE
};

/* loops and fronts: n, which live longer. NULL without memory. */
struct ps_drain *ps_drain_new(struct ps_loop *link_loop,
                              struct ps_loop *const *loops,
                              struct ps_front *const *fronts, size_t n,
                              struct ps_engine *engine, uint64_t delay_ms);
void ps_drain_want(struct ps_drain *drain, bool wanted);
enum ps_drain_state ps_drain_state(const struct ps_drain *drain);
/* Connections, requests under way and transactions kept, as last counted. */
uint64_t ps_drain_busy(const struct ps_drain *drain);
/* The loops no longer run. */
void ps_drain_free(struct ps_drain **drain);

#endif
