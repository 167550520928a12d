/*
 * Brings together what the loops have counted: a round asks each loop, on its
 * own thread, for its bag, and merges them on the collector's loop. Whoever
 * wants the newest figures (the link before it sends, the admin listener before
 * it shows) waits for the end of a round.
 */
#ifndef PS_AGENT_TELEMETRY_COLLECTOR_H
#define PS_AGENT_TELEMETRY_COLLECTOR_H

#include "agent/telemetry/tally.h"
#include "common/io/loop.h"
#include "common/list.h"

struct ps_collector;

/* Everything of a collector is for the thread of `loop`. tally has n_loops.
 * What is passed in outlives it. NULL without memory. */
struct ps_collector *ps_collector_new(struct ps_tally *tally,
                                      struct ps_loop *loop,
                                      struct ps_loop **loops, unsigned n_loops);
/* No loop runs any more, and those of `loops` are freed already: what they
 * still had to do for a round has been done. */
void ps_collector_free(struct ps_collector **collector);
struct ps_tally *ps_collector_tally(struct ps_collector *collector);

struct ps_collect_wait {
    struct ps_link link;
    void (*fn)(struct ps_collect_wait *wait);
};
/* In each round fn runs on each loop too. Before the first round. */
void ps_collector_on_loop(struct ps_collector *collector,
                          void (*fn)(void *arg, unsigned index), void *arg);
/* fn runs once, later, when everything that was counted before this call has
 * been merged. */
void ps_collector_collect(struct ps_collector *collector,
                          struct ps_collect_wait *wait);
/* fn does not run any more. */
void ps_collector_cancel(struct ps_collector *collector,
                         struct ps_collect_wait *wait);

#endif
