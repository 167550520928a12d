/* traceparent, and spans as OTLP's JSON. See trace.h. */
#include "agent/telemetry/trace.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- traceparent ---- */

static int
hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 2 n small hexadecimal digits; false also when all are 0. */
static bool
read_hex(const char *text, unsigned char *out, size_t n)
{
    unsigned any = 0;
    for (size_t i = 0; i < n; i++) {
        int high = hex(text[2 * i]), low = hex(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high * 16 + low);
        any |= out[i];
    }
    return any != 0;
}

static void
put_hex(char *out, const unsigned char *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

/* 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 */
bool
ps_trace_parse(struct ps_str text, struct ps_trace *trace)
{
    struct ps_trace t = {.present = true};
    const char *p = text.ptr;
    unsigned char version = 0, flags = 0;
    if (text.len < 55 || p[2] != '-' || p[35] != '-' || p[52] != '-')
        return false;
    if (!read_hex(p, &version, 1) && strncmp(p, "00", 2) != 0)
        return false;
    if (version == 0xff || (version == 0 && text.len != 55) ||
        (text.len > 55 && p[55] != '-'))
        return false;
    if (!read_hex(p + 3, t.trace_id, sizeof(t.trace_id)) ||
        !read_hex(p + 36, t.span_id, sizeof(t.span_id)))
        return false;
    if (!read_hex(p + 53, &flags, 1) && strncmp(p + 53, "00", 2) != 0)
        return false;
    t.sampled = flags & 1;
    *trace = t;
    return true;
}

void
ps_trace_id_format(const struct ps_trace *trace, char out[PS_TRACE_ID_HEX])
{
    put_hex(out, trace->trace_id, sizeof(trace->trace_id));
}

void
ps_trace_format(const struct ps_trace *trace, char out[PS_TRACEPARENT_HEX])
{
    char trace_id[PS_TRACE_ID_HEX], span_id[2 * PS_SPAN_ID_BYTES + 1];
    ps_trace_id_format(trace, trace_id);
    put_hex(span_id, trace->span_id, sizeof(trace->span_id));
    snprintf(out, PS_TRACEPARENT_HEX, "00-%s-%s-0%d", trace_id, span_id,
             trace->sampled ? 1 : 0);
}

/* ---- OTLP ---- */

static void
put_text(struct ps_buf *out, const char *key, struct ps_str value)
{
    if (out->data[out->len - 1] != '[')
        ps_buf_append_char(out, ',');
    ps_buf_printf(out, "{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
    ps_buf_append_json(out, value);
    ps_buf_append_c(out, "}}");
}

/* 64-bit numbers are text in OTLP's JSON. */
static void
put_number(struct ps_buf *out, const char *key, uint64_t value)
{
    if (out->data[out->len - 1] != '[')
        ps_buf_append_char(out, ',');
    ps_buf_printf(out,
                  "{\"key\":\"%s\",\"value\":{\"intValue\":\"%" PRIu64 "\"}}",
                  key, value);
}

static void
put_attributes(struct ps_buf *out, const struct ps_span *s)
{
    ps_buf_append_c(out, "\"attributes\":[");
    put_text(out, "db.system.name", ps_str_of(s->system));
    if (s->template_len)
        put_text(out, "db.query.text",
                 (struct ps_str){s->template_text, s->template_len});
    put_text(out, "portside.cache.id", ps_str_of(s->cache_id));
    put_text(out, "portside.cache.name", ps_str_of(s->cache_name));
    if (!s->client) {
        char template[24];
        snprintf(template, sizeof(template), "%016" PRIx64, s->fingerprint);
        put_text(out, "portside.template", ps_str_of(template));
        put_text(out, "portside.outcome", ps_str_of(s->outcome));
        put_text(out, "portside.reason", ps_str_of(s->reason));
        put_number(out, "portside.rows", s->rows);
        put_number(out, "portside.bytes", s->bytes);
    }
    if (s->error)
        put_text(out, "error.type", ps_str_of(s->error));
    ps_buf_append_char(out, ']');
}

static void
put_span(struct ps_buf *out, const struct ps_span *s)
{
    static const unsigned char none[PS_SPAN_ID_BYTES];
    enum {
        KIND_SERVER = 2,
        KIND_CLIENT = 3,
        STATUS_ERROR = 2
    };
    char trace_id[PS_TRACE_ID_HEX], id[2 * PS_SPAN_ID_BYTES + 1];
    ps_trace_id_format(&s->trace, trace_id);
    put_hex(id, s->trace.span_id, PS_SPAN_ID_BYTES);
    ps_buf_printf(out, "{\"traceId\":\"%s\",\"spanId\":\"%s\",", trace_id, id);
    if (memcmp(s->parent_id, none, sizeof(none)) != 0) {
        put_hex(id, s->parent_id, PS_SPAN_ID_BYTES);
        ps_buf_printf(out, "\"parentSpanId\":\"%s\",", id);
    }
    ps_buf_printf(out,
                  "\"name\":\"%s\",\"kind\":%d,\"startTimeUnixNano\":\"%" PRIu64
                  "\",\"endTimeUnixNano\":\"%" PRIu64 "\",",
                  s->client ? "origin" : "query",
                  s->client ? KIND_CLIENT : KIND_SERVER, s->start_ns,
                  s->end_ns);
    put_attributes(out, s);
    if (s->error)
        ps_buf_printf(out, ",\"status\":{\"code\":%d}", STATUS_ERROR);
    ps_buf_append_char(out, '}');
}

void
ps_spans_json(const struct ps_span *spans, size_t n, const char *instance,
              struct ps_buf *out)
{
    ps_buf_append_c(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    put_text(out, "service.name", PS_STR("portside-agent"));
    put_text(out, "service.version", PS_STR(PS_VERSION));
    put_text(out, "service.instance.id", ps_str_of(instance));
    ps_buf_append_c(out,
                    "]},\"scopeSpans\":[{\"scope\":{\"name\":\"portside\"},"
                    "\"spans\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            ps_buf_append_char(out, ',');
        put_span(out, &spans[i]);
    }
    ps_buf_append_c(out, "]}]}]}");
}
