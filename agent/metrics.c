/* See metrics.h. */
#include "agent/metrics.h"

#include "common/clock.h"

#include <stdatomic.h>
#include <stdlib.h>

/* A cache's figures, with its name: what all families go through in turn. */
struct row {
    struct ps_cache_conf *conf; /* a reference */
    const struct ps_usage *total;
};

struct rows {
    struct row *items;
    size_t n;
};

/* Caches that are defined now: of others nothing is shown any more. */
static void
rows_init(const struct ps_agent_metrics *from, struct rows *rows)
{
    const struct ps_usage *total = NULL;
    struct ps_str id;
    size_t at = 0, cap = 0;
    *rows = (struct rows){.n = 0};
    while (from->tally && ps_tally_total(from->tally, &at, &id, &total)) {
        struct ps_cache_conf *conf = ps_config_find(from->config, id);
        if (!conf)
            continue;
        if (rows->n == cap) {
            cap = cap ? 2 * cap : 16;
            struct row *grown = realloc(rows->items, cap * sizeof(*grown));
            if (!grown) {
                ps_cache_conf_unref(&conf);
                return;
            }
            rows->items = grown;
        }
        rows->items[rows->n++] = (struct row){conf, total};
    }
}

static void
rows_done(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        ps_cache_conf_unref(&rows->items[i].conf);
    free(rows->items);
}

/* ---- by cache ---- */

static void
put_queries(const struct rows *rows, struct ps_metrics *m)
{
    static const struct {
        const char *text;
        enum ps_usage_counter counter;
    } outcomes[] = {
        {"hit",    PS_USAGE_HITS    },
        {"miss",   PS_USAGE_MISSES  },
        {"bypass", PS_USAGE_BYPASSES},
        {"write",  PS_USAGE_WRITES  }
    };
    ps_metric_begin(m, "portside_cache_queries_total", PS_METRIC_COUNTER,
                    "Queries of a cache by what became of them.");
    for (size_t i = 0; i < rows->n; i++) {
        const uint64_t *n = rows->items[i].total->n;
        uint64_t rest = n[PS_USAGE_QUERIES];
        for (size_t o = 0; o < PS_ARRAY_LEN(outcomes); o++) {
            const struct ps_metric_label labels[] = {
                {"cache",   rows->items[i].conf->name},
                {"outcome", outcomes[o].text         }
            };
            rest -= PS_MIN(rest, n[outcomes[o].counter]);
            ps_metric_put(m, labels, 2, (double)n[outcomes[o].counter]);
        }
        const struct ps_metric_label labels[] = {
            {"cache",   rows->items[i].conf->name},
            {"outcome", "failed"                 }
        };
        ps_metric_put(m, labels, 2, (double)rest);
    }
}

static void
put_reasons(const struct rows *rows, struct ps_metrics *m)
{
    ps_metric_begin(m, "portside_cache_not_hit_total", PS_METRIC_COUNTER,
                    "Queries that memory did not answer, by reason.");
    for (size_t i = 0; i < rows->n; i++) {
        const struct ps_usage_reason *r = rows->items[i].total->reasons;
        for (size_t k = 0; k <= PS_USAGE_REASONS; k++) {
            const struct ps_metric_label labels[] = {
                {"cache",  rows->items[i].conf->name},
                {"reason", r[k].code                }
            };
            if (r[k].code[0])
                ps_metric_put(m, labels, 2, (double)r[k].n);
        }
    }
}

static void
put_counters(const struct rows *rows, struct ps_metrics *m)
{
    static const struct {
        const char *name, *help;
        enum ps_usage_counter counter;
        double unit;
    } families[] = {
        {"portside_cache_errors_total",         "Queries that failed.",      PS_USAGE_ERRORS,
         1                                                                                           },
        {"portside_cache_rows_total",           "Rows in replies.",          PS_USAGE_ROWS,      1   },
        {"portside_cache_response_bytes_total", "Bytes of replies' bodies.",
         PS_USAGE_BYTES,                                                                         1   },
        {"portside_cache_stored_total",         "Answers that were kept.",
         PS_USAGE_STORED,                                                                        1   },
        {"portside_cache_coalesced_total",
         "Queries that shared another's trip to the origin.",                PS_USAGE_COALESCED, 1   },
        {"portside_cache_verified_total",
         "Kept answers that were checked at the origin.",                    PS_USAGE_VERIFIED,  1   },
        {"portside_cache_stale_total",
         "Checked answers that were stale though no write was seen.",        PS_USAGE_STALE,     1   },
        {"portside_cache_saved_seconds_total",
         "Time that hits would have taken longer at the origin.",            PS_USAGE_SAVED_US,  1e-6},
    };
    for (size_t f = 0; f < PS_ARRAY_LEN(families); f++) {
        ps_metric_begin(m, families[f].name, PS_METRIC_COUNTER,
                        families[f].help);
        for (size_t i = 0; i < rows->n; i++) {
            const struct ps_metric_label cache = {"cache",
                                                  rows->items[i].conf->name};
            uint64_t n = rows->items[i].total->n[families[f].counter];
            ps_metric_put(m, &cache, 1, (double)n * families[f].unit);
        }
    }
}

static void
put_durations(const struct rows *rows, struct ps_metrics *m)
{
    ps_metric_begin(m, "portside_cache_query_duration_seconds",
                    PS_METRIC_HISTOGRAM,
                    "From received to answered, by who answered.");
    for (size_t i = 0; i < rows->n; i++) {
        const char *name = rows->items[i].conf->name;
        const struct ps_metric_label memory[] = {
            {"cache",  name    },
            {"source", "memory"}
        };
        const struct ps_metric_label origin[] = {
            {"cache",  name    },
            {"source", "origin"}
        };
        ps_metric_hist(m, memory, 2, &rows->items[i].total->memory);
        ps_metric_hist(m, origin, 2, &rows->items[i].total->origin);
    }
}

static void
put_memory(const struct ps_agent_metrics *from, const struct rows *rows,
           struct ps_metrics *m)
{
    ps_metric_begin(m, "portside_cache_memory_bytes", PS_METRIC_GAUGE,
                    "Memory that the answers of a cache take.");
    for (size_t i = 0; i < rows->n; i++) {
        const struct ps_cache_conf *conf = rows->items[i].conf;
        const struct ps_metric_label cache = {"cache", conf->name};
        ps_metric_put(
            m, &cache, 1,
            (double)ps_engine_cache_bytes(from->engine, ps_str_of(conf->id)));
    }
    ps_metric_begin(m, "portside_cache_share_evictions_total",
                    PS_METRIC_COUNTER,
                    "Answers that went because the cache held its share of "
                    "memory.");
    for (size_t i = 0; i < rows->n; i++) {
        const struct ps_cache_conf *conf = rows->items[i].conf;
        const struct ps_metric_label cache = {"cache", conf->name};
        ps_metric_put(m, &cache, 1, (double)ps_cache_load_evicted(conf->load));
    }
}

/* ---- of the whole agent ---- */

static void
put_pool(const struct ps_pool_stats *pool, struct ps_metrics *m)
{
    const struct {
        const char *state;
        uint64_t n;
    } states[] = {
        {"connecting", pool->connecting},
        {"idle",       pool->idle      },
        {"leased",     pool->leased    },
        {"resetting",  pool->resetting },
        {"checking",   pool->checking  }
    };
    ps_metric_begin(m, "portside_pool_connections", PS_METRIC_GAUGE,
                    "Connections to origins by what they do.");
    for (size_t i = 0; i < PS_ARRAY_LEN(states); i++) {
        const struct ps_metric_label state = {"state", states[i].state};
        ps_metric_put(m, &state, 1, (double)states[i].n);
    }
    ps_metric_one(m, "portside_pool_waiting_requests", PS_METRIC_GAUGE,
                  "Requests that wait for a connection.",
                  (double)pool->waiting);
    ps_metric_one(m, "portside_pool_opened_total", PS_METRIC_COUNTER,
                  "Connections opened.", (double)pool->opened);
    ps_metric_one(m, "portside_pool_closed_total", PS_METRIC_COUNTER,
                  "Connections closed.", (double)pool->closed);
    ps_metric_one(m, "portside_pool_discarded_total", PS_METRIC_COUNTER,
                  "Of them, those that were broken or in doubt.",
                  (double)pool->discarded);
    ps_metric_one(m, "portside_pool_failed_logins_total", PS_METRIC_COUNTER,
                  "Logins that an origin refused or that did not come about.",
                  (double)pool->logins_failed);
    ps_metric_one(m, "portside_pool_failed_checks_total", PS_METRIC_COUNTER,
                  "Idle connections that did not answer before their use.",
                  (double)pool->checks_failed);
    ps_metric_one(m, "portside_pool_breaker_opened_total", PS_METRIC_COUNTER,
                  "Times that an origin was left alone for a while.",
                  (double)pool->breaker_opened);
}

/* By cache, of those whose origin was asked for a connection and that are
 * still defined. */
static void
put_breakers(const struct ps_agent_metrics *from, struct ps_metrics *m)
{
    size_t room = ps_engine_breakers(from->engine, true, NULL, 0);
    struct ps_breaker_state *states = calloc(room + 1, sizeof(*states));
    if (!states)
        return;
    size_t n = ps_engine_breakers(from->engine, true, states, room);
    ps_metric_begin(m, "portside_pool_breaker_state", PS_METRIC_GAUGE,
                    "0: connections to the cache's origin are opened as "
                    "needed; 1: one login is tried; 2: it is left alone.");
    for (size_t i = 0; i < PS_MIN(n, room); i++) {
        struct ps_cache_conf *conf =
            ps_config_find(from->config, ps_str_of(states[i].cache_id));
        if (!conf)
            continue;
        const struct ps_metric_label cache = {"cache", conf->name};
        ps_metric_put(m, &cache, 1, (double)states[i].breaker);
        ps_cache_conf_unref(&conf);
    }
    free(states);
}

static void
put_engine(const struct ps_agent_metrics *from, struct ps_metrics *m)
{
    static const struct {
        const char *name, *help;
    } counters[PS_ENGINE_COUNTER_COUNT] = {
#define X(name, text, help) {"portside_agent_" text, help},
        PS_ENGINE_COUNTER_TABLE(X)
#undef X
    };
    struct ps_engine_stats stats;
    ps_engine_stats(from->engine, &stats);
    for (size_t i = 0; i < PS_ARRAY_LEN(counters); i++)
        ps_metric_one(m, counters[i].name, PS_METRIC_COUNTER, counters[i].help,
                      (double)stats.counters[i]);
    ps_metric_begin(m, "portside_agent_failures_total", PS_METRIC_COUNTER,
                    "Requests that failed, by the error's code.");
    for (int rc = PS_OK + 1; rc < PS_RC_COUNT; rc++) {
        const struct ps_metric_label code = {"code",
                                             ps_err_info((enum ps_rc)rc)->code};
        if (stats.errors[rc])
            ps_metric_put(m, &code, 1, (double)stats.errors[rc]);
    }
    ps_metric_one(m, "portside_store_bytes", PS_METRIC_GAUGE,
                  "Memory that kept answers take, index and stamps included.",
                  (double)stats.store_bytes);
    ps_metric_one(m, "portside_store_stamp_bytes", PS_METRIC_GAUGE,
                  "Of that, what tells which answers are still right.",
                  (double)stats.stamp_bytes);
    ps_metric_one(
        m, "portside_store_row_stamp_bytes", PS_METRIC_GAUGE,
        "Of that, what tells rows apart: none while no read needs it.",
        (double)stats.row_bytes);
    ps_metric_one(m, "portside_store_limit_bytes", PS_METRIC_GAUGE,
                  "Memory that they may take.", (double)stats.store_max_bytes);
    ps_metric_one(m, "portside_store_entries", PS_METRIC_GAUGE,
                  "Answers in memory.", (double)stats.store_entries);
    ps_metric_one(m, "portside_store_evictions_total", PS_METRIC_COUNTER,
                  "Answers that made room for others.",
                  (double)stats.store_evicted);
    ps_metric_one(m, "portside_policy_switched_off_total", PS_METRIC_COUNTER,
                  "Times that a template's answers were given up for a while.",
                  (double)stats.switched_off);
    if (from->tally)
        put_pool(&stats.pool, m);
    put_breakers(from, m);
}

static void
put_link(const struct ps_agent_metrics *from, struct ps_metrics *m)
{
    uint64_t now_us = ps_clock_now_us(ps_clock_real());
    ps_metric_one(m, "portside_agent_connected", PS_METRIC_GAUGE,
                  "1 while there is a session with the control plane.",
                  ps_uplink_trouble(from->uplink) == NULL);
    ps_metric_one(m, "portside_agent_lease_held", PS_METRIC_GAUGE,
                  "1 while answers from memory may be served.",
                  ps_lease_held(from->lease, now_us));
    ps_metric_one(m, "portside_agent_restricted", PS_METRIC_GAUGE,
                  "1 while an agent is lost and old answers are not served.",
                  atomic_load(&from->lease->max_age_us) != UINT64_MAX);
    ps_metric_one(m, "portside_agent_config_version", PS_METRIC_GAUGE,
                  "Version of the definitions in use.",
                  (double)ps_config_version(from->config));
    ps_metric_one(m, "portside_agent_loops", PS_METRIC_GAUGE,
                  "Event loops, each on a thread.", from->n_loops);
}

static void
put_tally(const struct ps_agent_metrics *from, struct ps_metrics *m)
{
    if (!from->tally)
        return;
    ps_metric_one(m, "portside_telemetry_templates", PS_METRIC_GAUGE,
                  "Templates that are counted apart.",
                  (double)ps_tally_used(from->tally));
    ps_metric_one(m, "portside_telemetry_uncounted_total", PS_METRIC_COUNTER,
                  "Queries that were counted for no template.",
                  (double)ps_tally_lost(from->tally));
}

static void
put_tracer(const struct ps_agent_metrics *from, struct ps_metrics *m)
{
    struct ps_tracer_stats stats;
    if (!from->tracer)
        return;
    ps_tracer_stats(from->tracer, &stats);
    const struct {
        const char *result;
        uint64_t n;
    } results[] = {
        {"sent",    stats.sent   },
        {"dropped", stats.dropped},
        {"failed",  stats.failed }
    };
    ps_metric_begin(m, "portside_trace_spans_total", PS_METRIC_COUNTER,
                    "Spans: sent, dropped as too many, failed at the "
                    "collector.");
    for (size_t i = 0; i < PS_ARRAY_LEN(results); i++) {
        const struct ps_metric_label result = {"result", results[i].result};
        ps_metric_put(m, &result, 1, (double)results[i].n);
    }
}

void
ps_agent_metrics_write(const struct ps_agent_metrics *from,
                       struct ps_metrics *m)
{
    struct rows rows;
    rows_init(from, &rows);
    ps_metrics_process(m);
    put_engine(from, m);
    put_link(from, m);
    put_tally(from, m);
    put_tracer(from, m);
    put_queries(&rows, m);
    put_reasons(&rows, m);
    put_counters(&rows, m);
    put_durations(&rows, m);
    put_memory(from, &rows, m);
    rows_done(&rows);
}
