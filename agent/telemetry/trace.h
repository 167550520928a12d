/*
 * Traces: the W3C's traceparent of a request, and spans sent to a collector as
 * OTLP (JSON over HTTP). Off unless an endpoint is given.
 *
 *   request loops --put, never waits--> ring (bounded) --> exporter thread
 *                                                             | POST
 *                                                             v collector
 * A request is traced when its traceparent says "sampled", or, where it has
 * none, by chance. A span has the template, never the statement: no literal,
 * binding or row leaves. What does not fit the ring is dropped and counted.
 *
 * Source: W3C Trace Context (REC 2021-11-23); OpenTelemetry Protocol 1.
 */
#ifndef PS_AGENT_TELEMETRY_TRACE_H
#define PS_AGENT_TELEMETRY_TRACE_H

#include "common/buf.h"
#include "common/err.h"

enum {
    PS_TRACE_ID_BYTES = 16,
    PS_SPAN_ID_BYTES = 8,
    PS_TRACE_ID_HEX = 33,
    PS_TRACEPARENT_HEX = 56, /* with its NUL */
    PS_SPAN_TEMPLATE_MAX = 1024
};

/* What a traceparent says. */
struct ps_trace {
    bool present, sampled;
    unsigned char trace_id[PS_TRACE_ID_BYTES];
    unsigned char
        span_id[PS_SPAN_ID_BYTES]; /* of the caller; ours in a reply */
};

/* False, and trace as it was, when it is not valid (then it counts as absent,
 * section 2.4). Versions above 00 are read as far as 00 goes. */
bool ps_trace_parse(struct ps_str text, struct ps_trace *trace);
void ps_trace_format(const struct ps_trace *trace,
                     char out[PS_TRACEPARENT_HEX]);
void ps_trace_id_format(const struct ps_trace *trace,
                        char out[PS_TRACE_ID_HEX]);

/* One request, or its part at the origin (which is a child of it). */
struct ps_span {
    struct ps_trace trace;                     /* span_id: this span's */
    unsigned char parent_id[PS_SPAN_ID_BYTES]; /* zeroes: a root */
    bool client;                               /* the part at the origin */
    uint64_t start_ns, end_ns;                 /* since 1970 */
    char cache_id[37], cache_name[64];
    const char *system, *outcome, *reason; /* static */
    const char *error;                     /* code, static; NULL: none */
    uint64_t fingerprint, rows, bytes;
    size_t template_len;
    char template_text[PS_SPAN_TEMPLATE_MAX];
};

struct ps_tracer;

struct ps_tracer_conf {
    const char *endpoint;     /* "http://127.0.0.1:4318"; without a path:
                                 /v1/traces is added */
    unsigned sample_permille; /* of requests without traceparent */
    const char *instance;     /* name of this agent */
};

/* Starts the exporter's thread. conf is copied. */
PS_MUST_USE enum ps_rc ps_tracer_new(struct ps_tracer **tracer,
                                     const struct ps_tracer_conf *conf,
                                     struct ps_err *err);
/* Sends what is left, for a second at most. Nobody puts any more. */
void ps_tracer_free(struct ps_tracer **tracer);

/* Is this request to be traced? If so *trace becomes its own: a new trace where
 * there was none, a new span_id in any case; *parent_id the caller's. Any
 * thread. */
bool ps_tracer_begin(struct ps_tracer *tracer, struct ps_trace *trace,
                     unsigned char parent_id[PS_SPAN_ID_BYTES]);
void ps_span_id_make(unsigned char id[PS_SPAN_ID_BYTES]);
/* Copied, or dropped. Any thread; never waits. */
void ps_tracer_put(struct ps_tracer *tracer, const struct ps_span *span);

struct ps_tracer_stats {
    uint64_t sent, dropped,
        failed; /* failed: the collector did not take them */
};
void ps_tracer_stats(struct ps_tracer *tracer, struct ps_tracer_stats *out);

/* A request of OTLP with these spans; for the exporter and tests. */
void ps_spans_json(const struct ps_span *spans, size_t n, const char *instance,
                   struct ps_buf *out);

#endif
