/*
 * The control plane's figures as Prometheus metrics. Labels are names of
 * agents and regions, and codes.
 */
#ifndef PS_CONTROLPLANE_METRICS_H
#define PS_CONTROLPLANE_METRICS_H

#include "common/metrics.h"
#include "controlplane/api/api.h"

struct ps_cp_metrics {
    struct ps_db *db;
    struct ps_fleet *fleet;
    struct ps_rollup *rollup;
    struct ps_api *api;
};

/* On the control plane's loop. */
void ps_cp_metrics_write(const struct ps_cp_metrics *from,
                         struct ps_metrics *m);

#endif
