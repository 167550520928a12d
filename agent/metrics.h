/*
 * The agent's figures as Prometheus metrics. Labels are names of caches,
 * outcomes, and codes of our own tables: never a template.
 */
#ifndef PS_AGENT_METRICS_H
#define PS_AGENT_METRICS_H

#include "agent/cache/lease.h"
#include "agent/config/config.h"
#include "agent/link/uplink.h"
#include "agent/req/req.h"
#include "agent/telemetry/tally.h"
#include "common/metrics.h"

struct ps_agent_metrics {
    struct ps_engine *engine;
    struct ps_config *config;
    struct ps_lease *lease;
    struct ps_uplink *uplink;
    struct ps_tracer *tracer; /* NULL: off */
    struct ps_tally *tally;   /* NULL: nothing is counted by cache */
    unsigned n_loops;
};

/* On the collector's thread. */
void ps_agent_metrics_write(const struct ps_agent_metrics *from,
                            struct ps_metrics *m);

#endif
