/*
 * A request that is over, as a span and as a line of the log at level debug.
 * Only where tracing is on or the level is that low; the template stands for
 * the statement.
 */
#include "agent/req/req_private.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static const char *const systems[PS_PROVIDER_COUNT] = {
    [PS_PROVIDER_POSTGRES] = "postgresql",
    [PS_PROVIDER_MYSQL] = "mysql",
    [PS_PROVIDER_MARIADB] = "mariadb",
    [PS_PROVIDER_MSSQL] = "microsoft.sql_server",
};

static const char *
outcome_of(const struct ps_run *run)
{
    switch (run->req->reply.verdict) {
    case PS_VERDICT_HIT:
        return "hit";
    case PS_VERDICT_MISS:
    case PS_VERDICT_STALE:
        return "miss";
    case PS_VERDICT_BYPASS:
        return run->homed && run->writes ? "write" : "bypass";
    case PS_VERDICT_NONE:
        break;
    }
    return "failed";
}

static uint64_t
wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Of a hit by what its entry is counted for. */
static void
put_template(const struct ps_run *run, struct ps_span *span)
{
    struct ps_tally *tally = run->engine->conf.tally;
    if (run->homed && run->analysis) {
        struct ps_str text = run->analysis->template_text;
        span->fingerprint = run->analysis->fingerprint;
        span->template_len = PS_MIN(text.len, sizeof(span->template_text));
        if (span->template_len)
            memcpy(span->template_text, text.ptr, span->template_len);
    } else if (tally && run->entry) {
        span->template_len =
            ps_tally_text(tally, ps_entry_tally(run->entry), &span->fingerprint,
                          span->template_text, sizeof(span->template_text));
    }
}

static void
fill(const struct ps_run *run, struct ps_span *span)
{
    const struct ps_reply *reply = &run->req->reply;
    uint64_t now_us = ps_clock_now_us(run->engine->conf.clock);
    uint64_t took_us = now_us - PS_MIN(now_us, run->req->received_us);
    span->end_ns = wall_ns();
    span->start_ns = span->end_ns - took_us * 1000;
    span->outcome = outcome_of(run);
    span->reason = run->why ? run->why : "";
    span->rows =
        run->entry ? ps_entry_rows(run->entry) : (run->homed ? run->n_rows : 0);
    span->bytes = reply->body.len;
    span->system = "";
    if (reply->rc != PS_OK)
        span->error = ps_err_info(reply->rc)->code;
    if (run->conf) {
        memcpy(span->cache_id, run->conf->id, sizeof(span->cache_id));
        snprintf(span->cache_name, sizeof(span->cache_name), "%s",
                 run->conf->name);
        span->system = systems[run->conf->provider];
    }
    put_template(run, span);
}

/* What the origin took of it, at the end but for the encoding. */
static void
put_origin(struct ps_run *run, const struct ps_span *whole)
{
    const struct ps_reply *reply = &run->req->reply;
    struct ps_span part = *whole;
    if (reply->origin_us == 0)
        return;
    memcpy(part.parent_id, whole->trace.span_id, sizeof(part.parent_id));
    ps_span_id_make(part.trace.span_id);
    part.client = true;
    part.end_ns = whole->end_ns - reply->encode_us * 1000;
    part.start_ns =
        PS_MAX(whole->start_ns, part.end_ns - reply->origin_us * 1000);
    ps_tracer_put(run->engine->conf.tracer, &part);
}

static void
log_line(const struct ps_trace *trace, const struct ps_span *span)
{
    char trace_id[PS_TRACE_ID_HEX] = "";
    if (trace->present)
        ps_trace_id_format(trace, trace_id);
    ps_log_traced(PS_LOG_DEBUG, "req", trace_id,
                  "cache %s: %s (%s%s%s) in %" PRIu64 " us, %" PRIu64
                  " rows, template %016" PRIx64,
                  span->cache_name, span->outcome, span->reason,
                  span->error ? ", " : "", span->error ? span->error : "",
                  (span->end_ns - span->start_ns) / 1000, span->rows,
                  span->fingerprint);
}

void
ps_run_trace(struct ps_run *run)
{
    struct ps_req *req = run->req;
    struct ps_tracer *tracer = run->engine->conf.tracer;
    struct ps_trace trace = {.present = false};
    struct ps_span span = {.rows = 0};
    if (req->verifies)
        return;
    /* What is not valid counts as absent. */
    (void)!ps_trace_parse(req->traceparent, &trace);
    bool traced = tracer && ps_tracer_begin(tracer, &trace, span.parent_id);
    bool logged = ps_log_wants(PS_LOG_DEBUG, "req");
    if (!traced && !logged)
        return;
    fill(run, &span);
    trace.present |= traced;
    if (logged)
        log_line(&trace, &span);
    if (!traced)
        return;
    span.trace = trace;
    ps_tracer_put(tracer, &span);
    put_origin(run, &span);
    char *text = ps_arena_alloc(req->arena, PS_TRACEPARENT_HEX);
    if (text)
        ps_trace_format(&trace, text);
    req->reply.traceparent = text;
}
