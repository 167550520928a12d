/* See metrics.h. */
#include "common/metrics.h"

#include "common/check.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_BUCKET_US = 16,
    LAST_BUCKET_US = 1 << 25 /* half a minute */
};

static const char *const type_names[] = {[PS_METRIC_COUNTER] = "counter",
                                         [PS_METRIC_GAUGE] = "gauge",
                                         [PS_METRIC_HISTOGRAM] = "histogram"};

void
ps_metric_begin(struct ps_metrics *m, const char *name,
                enum ps_metric_type type, const char *help)
{
    m->name = name;
    ps_buf_printf(m->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                  type_names[type]);
}

static void
put_escaped(struct ps_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n') {
            ps_buf_append_c(out, "\\n");
            continue;
        }
        if (*text == '\\' || *text == '"')
            ps_buf_append_char(out, '\\');
        ps_buf_append_char(out, *text);
    }
}

/* le NULL: without. */
static void
put_labels(struct ps_buf *out, const struct ps_metric_label *labels, size_t n,
           const char *le)
{
    PS_CHECK(n <= PS_METRIC_LABELS_MAX);
    if (n == 0 && !le)
        return;
    ps_buf_append_char(out, '{');
    for (size_t i = 0; i < n; i++) {
        ps_buf_printf(out, "%s%s=\"", i ? "," : "", labels[i].name);
        put_escaped(out, labels[i].value);
        ps_buf_append_char(out, '"');
    }
    if (le)
        ps_buf_printf(out, "%sle=\"%s\"", n ? "," : "", le);
    ps_buf_append_char(out, '}');
}

/* Whole numbers without a point, however large. */
static void
put_value(struct ps_buf *out, double value)
{
    if (value == floor(value) && fabs(value) < 9e15)
        ps_buf_printf(out, " %.0f\n", value);
    else
        ps_buf_printf(out, " %.9g\n", value);
}

void
ps_metric_put(struct ps_metrics *m, const struct ps_metric_label *labels,
              size_t n, double value)
{
    ps_buf_append_c(m->out, m->name);
    put_labels(m->out, labels, n, NULL);
    put_value(m->out, value);
}

static void
put_bucket(struct ps_metrics *m, const struct ps_metric_label *labels, size_t n,
           const char *le, uint64_t count)
{
    ps_buf_printf(m->out, "%s_bucket", m->name);
    put_labels(m->out, labels, n, le);
    put_value(m->out, (double)count);
}

void
ps_metric_hist(struct ps_metrics *m, const struct ps_metric_label *labels,
               size_t n, const struct ps_hist *h)
{
    char le[32];
    for (uint64_t us = FIRST_BUCKET_US; us <= LAST_BUCKET_US; us *= 2) {
        snprintf(le, sizeof(le), "%.9g", (double)us / 1e6);
        put_bucket(m, labels, n, le, ps_hist_below(h, us));
    }
    put_bucket(m, labels, n, "+Inf", h->count);
    ps_buf_printf(m->out, "%s_sum", m->name);
    put_labels(m->out, labels, n, NULL);
    put_value(m->out, (double)h->sum_us / 1e6);
    ps_buf_printf(m->out, "%s_count", m->name);
    put_labels(m->out, labels, n, NULL);
    put_value(m->out, (double)h->count);
}

void
ps_metric_one(struct ps_metrics *m, const char *name, enum ps_metric_type type,
              const char *help, double value)
{
    ps_metric_begin(m, name, type, help);
    ps_metric_put(m, NULL, 0, value);
}

/* ---- the process ---- */

static double
cpu_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* The second number of /proc/self/statm, in pages. */
static double
resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long size = 0, resident = 0;
    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* The directory of a process is as old as the process. */
static double
start_seconds(void)
{
    struct stat st;
    if (stat("/proc/self", &st) != 0)
        return 0;
    return (double)st.st_ctim.tv_sec + (double)st.st_ctim.tv_nsec / 1e9;
}

static double
open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    double n = 0;
    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 3; /* ".", ".." and the directory itself */
}

static double
max_fds(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
        limit.rlim_cur == RLIM_INFINITY)
        return 0;
    return (double)limit.rlim_cur;
}

void
ps_metrics_process(struct ps_metrics *m)
{
    const struct ps_metric_label version = {"version", PS_VERSION};
    ps_metric_begin(m, "portside_build_info", PS_METRIC_GAUGE,
                    "The version of this software, as a label.");
    ps_metric_put(m, &version, 1, 1);
    ps_metric_one(m, "process_cpu_seconds_total", PS_METRIC_COUNTER,
                  "User and system time spent.", cpu_seconds());
    ps_metric_one(m, "process_resident_memory_bytes", PS_METRIC_GAUGE,
                  "Resident memory.", resident_bytes());
    ps_metric_one(m, "process_start_time_seconds", PS_METRIC_GAUGE,
                  "When the process began, since the epoch.", start_seconds());
    ps_metric_one(m, "process_open_fds", PS_METRIC_GAUGE,
                  "Open file descriptors.", open_fds());
    ps_metric_one(m, "process_max_fds", PS_METRIC_GAUGE,
                  "File descriptors that may be open.", max_fds());
}
