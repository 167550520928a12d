/* traceparent as the W3C's tests have it, and spans as OTLP's JSON. */
#include "agent/telemetry/trace.h"
#include "tests/unit.h"

#include <stdio.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static void
what_is_valid_comes_back(PS_UNUSED void **state)
{
    static const struct {
        const char *text;
        bool sampled;
    } good[] = {
        {"00-" TRACE "-" SPAN "-01",                        true },
        {"00-" TRACE "-" SPAN "-00",                        false},
        {"00-" TRACE "-" SPAN "-fe",                        false},
        {"00-" TRACE "-" SPAN "-09",                        true },
 /* Of a version to come. */
        {"cc-" TRACE "-" SPAN "-01",                        true },
        {"cc-" TRACE "-" SPAN "-01-what-the-future-brings", true },
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(good); i++) {
        struct ps_trace t = {.present = false};
        char text[PS_TRACEPARENT_HEX], id[PS_TRACE_ID_HEX];
        assert_true(ps_trace_parse(ps_str_of(good[i].text), &t));
        assert_true(t.present);
        assert_int_equal(t.sampled, good[i].sampled);
        ps_trace_id_format(&t, id);
        assert_string_equal(id, TRACE);
        ps_trace_format(&t, text);
        assert_memory_equal(text + 3, good[i].text + 3, 32 + 1 + 16);
        assert_string_equal(text + 52, good[i].sampled ? "-01" : "-00");
    }
}

static void
what_is_not_counts_as_absent(PS_UNUSED void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-1",
        "00-" TRACE "-" SPAN "-01-",
        "00-" TRACE "-" SPAN "-01.",
        "cc-" TRACE "-" SPAN "-01.future",
        "ff-" TRACE "-" SPAN "-01",
        "0x-" TRACE "-" SPAN "-01",
        "00-" TRACE "-" SPAN "-0x",
        "00_" TRACE "-" SPAN "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-" TRACE "-00f067aa0ba902bx-01",
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(bad); i++) {
        struct ps_trace t = {.sampled = true};
        assert_false(ps_trace_parse(ps_str_of(bad[i]), &t));
        assert_false(t.present);
        assert_true(t.sampled);
    }
}

static void
spans_are_otlp(PS_UNUSED void **state)
{
    struct ps_trace t;
    struct ps_buf out;
    assert_true(ps_trace_parse(PS_STR("00-" TRACE "-" SPAN "-01"), &t));
    struct ps_span span = {.trace = t,
                           .start_ns = 1,
                           .end_ns = 1795867200000000000,
                           .cache_id = "id",
                           .cache_name = "a \"name\"",
                           .system = "postgresql",
                           .outcome = "miss",
                           .reason = "first_seen",
                           .fingerprint = 0xabc,
                           .rows = 7,
                           .template_len = 8,
                           .template_text = "select ?"};
    ps_buf_init(&out, 1 << 16);
    ps_spans_json(&span, 1, "agent-1", &out);
    ps_buf_append_char(&out, '\0');
    assert_non_null(
        strstr(out.data,
               "{\"traceId\":\"" TRACE "\",\"spanId\":\"" SPAN
               "\",\"name\":\"query\",\"kind\":2,\"startTimeUnixNano\":\"1\","
               "\"endTimeUnixNano\":\"1795867200000000000\","));
    assert_null(strstr(out.data, "parentSpanId"));
    assert_non_null(strstr(out.data, "{\"key\":\"db.query.text\",\"value\":{"
                                     "\"stringValue\":\"select ?\"}}"));
    assert_non_null(strstr(out.data, "\"a \\\"name\\\"\""));
    assert_non_null(strstr(out.data, "\"0000000000000abc\""));
    assert_non_null(strstr(out.data, "{\"intValue\":\"7\"}"));
    assert_null(strstr(out.data, "\"status\""));
    memset(span.parent_id, 0x11, sizeof(span.parent_id));
    span.error = "origin_refused";
    ps_buf_clear(&out);
    ps_spans_json(&span, 1, "agent-1", &out);
    ps_buf_append_char(&out, '\0');
    assert_non_null(strstr(out.data, "\"parentSpanId\":\"1111111111111111\""));
    assert_non_null(strstr(out.data, "\"status\":{\"code\":2}"));
    ps_buf_done(&out);
}

/* Nobody listens there: nothing waits, nothing is kept for ever. */
static void
a_collector_that_is_away_holds_nobody_up(PS_UNUSED void **state)
{
    static struct ps_span span = {.system = "x", .outcome = "x", .reason = "x"};
    const struct ps_tracer_conf conf = {.endpoint = "http://127.0.0.1:1/",
                                        .sample_permille = 1000,
                                        .instance = "a"};
    struct ps_tracer *tracer;
    struct ps_tracer_stats stats;
    unsigned char parent[PS_SPAN_ID_BYTES];
    struct ps_trace t = {.present = false}, same;
    assert_int_equal(ps_tracer_new(&tracer, &conf, NULL), PS_OK);
    assert_true(ps_tracer_begin(tracer, &t, parent));
    assert_true(t.sampled);
    same = t;
    same.present = true;
    assert_true(ps_tracer_begin(tracer, &same, parent));
    assert_memory_equal(same.trace_id, t.trace_id, sizeof(t.trace_id));
    assert_memory_equal(parent, t.span_id, sizeof(parent));
    assert_memory_not_equal(same.span_id, t.span_id, sizeof(t.span_id));
    same.sampled = false;
    assert_false(ps_tracer_begin(tracer, &same, parent));
    for (unsigned i = 0; i < 100000; i++)
        ps_tracer_put(tracer, &span);
    ps_tracer_stats(tracer, &stats);
    assert_true(stats.dropped > 0);
    assert_int_equal(stats.sent, 0);
    ps_tracer_free(&tracer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_valid_comes_back),
        cmocka_unit_test(what_is_not_counts_as_absent),
        cmocka_unit_test(spans_are_otlp),
        cmocka_unit_test(a_collector_that_is_away_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
