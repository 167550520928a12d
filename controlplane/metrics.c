/* See metrics.h. */
#include "controlplane/metrics.h"

/* What one walk over the agents is for. */
struct walk {
    const struct ps_cp_metrics *from;
    struct ps_metrics *m;
    bool lease; /* the lease that is left; otherwise whether it is connected */
};

static enum ps_rc
put_agent(void *arg, const struct ps_agent *agent)
{
    const struct walk *walk = arg;
    const struct ps_metric_label labels[] = {
        {"agent",  agent->name  },
        {"region", agent->region}
    };
    struct ps_fleet_agent state;
    if (agent->revoked_ms ||
        !ps_fleet_agent(walk->from->fleet, agent->id, &state))
        return PS_OK;
    ps_metric_put(walk->m, labels, 2,
                  walk->lease ? (double)state.lease_left_ms / 1000
                              : (double)state.connected);
    return PS_OK;
}

static void
put_agents(const struct ps_cp_metrics *from, struct ps_metrics *m)
{
    struct walk walk = {.from = from, .m = m};
    struct ps_err err;
    ps_metric_begin(m, "portside_controlplane_agent_connected", PS_METRIC_GAUGE,
                    "1 while an agent has a session.");
    /* Figures that cannot be read are missing: that shows, too. */
    enum ps_rc rc = ps_db_agent_each(from->db, NULL, put_agent, &walk, &err);
    walk.lease = true;
    ps_metric_begin(m, "portside_controlplane_agent_lease_seconds",
                    PS_METRIC_GAUGE, "What is left of an agent's lease.");
    if (rc == PS_OK)
        rc = ps_db_agent_each(from->db, NULL, put_agent, &walk, &err);
    (void)rc;
}

static void
put_fleet(const struct ps_cp_metrics *from, struct ps_metrics *m)
{
    struct ps_fleet_status s;
    ps_fleet_status(from->fleet, &s);
    const struct {
        const char *state;
        size_t n;
    } states[] = {
        {"connected",            s.connected},
        {      "lost",                s.lost           },
        { "away", s.total - PS_MIN(s.total,            s.connected + s.lost)}
    };
    ps_metric_begin(m, "portside_controlplane_agents", PS_METRIC_GAUGE,
                    "Agents by state: away said goodbye, lost did not.");
    for (size_t i = 0; i < PS_ARRAY_LEN(states); i++) {
        const struct ps_metric_label state = {"state", states[i].state};
        ps_metric_put(m, &state, 1, (double)states[i].n);
    }
    put_agents(from, m);
    ps_metric_one(m, "portside_controlplane_restricted", PS_METRIC_GAUGE,
                  "1 while an agent is lost and old answers are not served.",
                  s.restricted);
    ps_metric_one(m, "portside_controlplane_invalidations_total",
                  PS_METRIC_COUNTER, "Entries of the invalidation log.",
                  (double)s.newest);
    ps_metric_one(m, "portside_controlplane_config_version", PS_METRIC_GAUGE,
                  "Version of the definitions.",
                  (double)ps_db_config_version(from->db));
}

static void
put_store(const struct ps_cp_metrics *from, struct ps_metrics *m)
{
    int64_t caches = 0;
    struct ps_err err;
    if (ps_db_cache_count(from->db, &caches, &err) == PS_OK)
        ps_metric_one(m, "portside_controlplane_caches", PS_METRIC_GAUGE,
                      "Caches that are defined.", (double)caches);
}

static void
put_rollup(const struct ps_cp_metrics *from, struct ps_metrics *m)
{
    struct ps_rollup_stats s;
    ps_rollup_stats(from->rollup, &s);
    ps_metric_one(m, "portside_telemetry_batches_total", PS_METRIC_COUNTER,
                  "Batches of statistics from agents.", (double)s.batches);
    ps_metric_one(
        m, "portside_telemetry_repeated_batches_total", PS_METRIC_COUNTER,
        "Of them, those that had been counted before.", (double)s.again);
    ps_metric_one(m, "portside_telemetry_items_total", PS_METRIC_COUNTER,
                  "Usages of templates in them.", (double)s.items);
    ps_metric_one(m, "portside_telemetry_templates", PS_METRIC_GAUGE,
                  "Templates that are known.", (double)s.templates);
    ps_metric_one(m, "portside_telemetry_db_bytes", PS_METRIC_GAUGE,
                  "What the statistics take of the disk.", (double)s.bytes);
    ps_metric_one(m, "portside_telemetry_db_limit_bytes", PS_METRIC_GAUGE,
                  "What they may take.", (double)s.max_bytes);
}

static void
put_api(const struct ps_cp_metrics *from, struct ps_metrics *m)
{
    static const char *const classes[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
    const uint64_t *replies = ps_api_replies(from->api);
    ps_metric_begin(m, "portside_controlplane_api_requests_total",
                    PS_METRIC_COUNTER, "Requests of the REST API by status.");
    for (size_t i = 0; i < PS_ARRAY_LEN(classes); i++) {
        const struct ps_metric_label code = {"code", classes[i]};
        ps_metric_put(m, &code, 1, (double)replies[i + 1]);
    }
}

void
ps_cp_metrics_write(const struct ps_cp_metrics *from, struct ps_metrics *m)
{
    ps_metrics_process(m);
    put_fleet(from, m);
    put_store(from, m);
    put_rollup(from, m);
    put_api(from, m);
}
