/*
 * Metrics in Prometheus' text format (exposition format 0.0.4): names begin
 * with portside_, units are seconds and bytes, counters end in _total. Written
 * family by family; labels come from sets that are bounded.
 */
#ifndef PS_COMMON_METRICS_H
#define PS_COMMON_METRICS_H

#include "common/hist.h"

enum ps_metric_type {
    PS_METRIC_COUNTER,
    PS_METRIC_GAUGE,
    PS_METRIC_HISTOGRAM
};

struct ps_metric_label {
    const char *name, *value; /* value: any UTF-8 */
};
enum {
    PS_METRIC_LABELS_MAX = 4
};

/* Where values go: the family that was begun last. */
struct ps_metrics {
    struct ps_buf *out;
    const char *name;
};

/* name and help: static. */
void ps_metric_begin(struct ps_metrics *m, const char *name,
                     enum ps_metric_type type, const char *help);
/* labels: n of them. */
void ps_metric_put(struct ps_metrics *m, const struct ps_metric_label *labels,
                   size_t n, double value);
/* Buckets at powers of two of 16 us; seconds. */
void ps_metric_hist(struct ps_metrics *m, const struct ps_metric_label *labels,
                    size_t n, const struct ps_hist *h);
/* A family with one value and no labels. */
void ps_metric_one(struct ps_metrics *m, const char *name,
                   enum ps_metric_type type, const char *help, double value);

/* What every Prometheus client says of its process (process_*), and the
 * version of this software. Linux. */
void ps_metrics_process(struct ps_metrics *m);

#endif
