/*
 * Connections over a memory transport, with a stub for the engine and a clock
 * that stands still: what bytes come out for what bytes go in.
 */
#include "agent/front/front_private.h"
#include "agent/front/memory_transport.h"
#include "agent/front/stub_engine.h"
#include "tests/unit.h"

#include <stdio.h>

#define BODY                                                            \
    "{\"cacheId\":\"c\",\"username\":\"u\",\"password\":\"p\",\"sql\":" \
    "\"select 1\",\"database\":\"d\"}"
#define POST "POST /sql HTTP/1.1\r\nHost: a\r\nContent-Length: 77\r\n\r\n" BODY

struct world {
    struct ps_clock *clock;
    struct ps_loop *loop;
    struct ps_engine engine;
    struct ps_front *front;
    struct ps_memory memory;
    struct ps_http *http;
};

static void
start_world(struct world *w, const struct ps_front_limits *limits)
{
    memset(w, 0, sizeof(*w));
    w->clock = ps_clock_virtual_new();
    w->loop = ps_loop_new(w->clock, "test");
    w->engine = (struct ps_engine){.body = PS_STR("[{\"a\":1}]"),
                                   .verdict = PS_VERDICT_HIT,
                                   .reason = "hit"};
    struct ps_front_conf conf = {.loop = w->loop, .engine = &w->engine};
    if (limits)
        conf.limits = *limits;
    w->front = ps_front_new(&conf);
    assert_non_null(w->front);
}

static void
connect_client(struct world *w)
{
    w->http =
        ps_http_open(w->front, ps_memory_init(&w->memory), "192.0.2.1", false);
    assert_non_null(w->http);
}

static void
open_world(struct world *w)
{
    start_world(w, NULL);
    connect_client(w);
}

static void
close_world(struct world *w)
{
    ps_memory_done(&w->memory);
    ps_front_free(&w->front);
    ps_loop_free(&w->loop);
    ps_clock_virtual_free(&w->clock);
    assert_int_equal(w->engine.n_finished, w->engine.n_done);
}

static void
send_text(struct world *w, const char *text)
{
    ps_memory_feed(&w->memory, ps_str_of(text));
}

static void
advance_ms(struct world *w, uint64_t ms)
{
    ps_clock_virtual_advance_us(w->clock, ms * 1000);
    while (ps_loop_turn(w->loop) > 0)
        ;
}

/* What was sent and not yet received, as text. */
static char *
sent(struct world *w)
{
    ps_buf_append_char(&w->memory.out, '\0');
    w->memory.out.len--;
    return w->memory.out.data;
}

/* The same, and forgets it. The text stays until more is sent. */
static char *
received(struct world *w)
{
    char *text = sent(w);
    ps_buf_clear(&w->memory.out);
    return text;
}

static void
assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static size_t
count(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p++)
        n++;
    return n;
}

/* An error as JSON, then the connection ends. */
static void
assert_error(struct world *w, int status, const char *code)
{
    char line[64], field[128];
    char *text = received(w);
    snprintf(line, sizeof(line), "HTTP/1.1 %d %s\r\n", status,
             ps_http_reason(status));
    snprintf(field, sizeof(field),
             "{\"statusCode\":%d,\"code\":\"%s\",\"error\":\"%s\","
             "\"message\":\"",
             status, code, ps_http_reason(status));
    assert_int_equal(strncmp(text, line, strlen(line)), 0);
    assert_has(text, field);
    assert_has(text, "\r\nContent-Type: application/json\r\n");
}

static void
assert_error_and_close(struct world *w, int status, const char *code)
{
    assert_has(sent(w), "\r\nConnection: close\r\n");
    assert_error(w, status, code);
    if (w->memory.freed)
        return;
    /* It lingers for a peer that is still sending, but not for long. */
    assert_true(w->memory.finished);
    send_text(w, POST POST);
    assert_int_equal(w->memory.out.len, 0);
    advance_ms(w, 2600);
    assert_true(w->memory.freed);
}

/* ---- the usual ---- */

static void
test_hit(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    send_text(&w, POST);
    assert_string_equal(
        received(&w),
        "HTTP/1.1 200 OK\r\n"
        "Server: portside\r\n"
        "Access-Control-Allow-Origin: *\r\n"
        "Access-Control-Expose-Headers: Age, Cache-Status, Portside-Reason, "
        "Retry-After, Server-Timing\r\n"
        "Content-Type: application/json\r\n"
        "Content-Length: 9\r\n"
        "Cache-Status: portside; hit; ttl=42\r\n"
        "Age: 3\r\n"
        "Portside-Reason: hit\r\n"
        "\r\n"
        "[{\"a\":1}]");
    assert_string_equal(w.engine.last_sql, "select 1");
    assert_string_equal(w.engine.last_source, "192.0.2.1");
    assert_false(w.memory.freed);
    /* Nothing is held between requests. */
    assert_int_equal(w.front->buffers.used_bytes, 0);
    assert_int_equal(w.front->exchanges.n_used, 0);
    send_text(&w, POST);
    assert_int_equal(count(received(&w), "HTTP/1.1 200 OK"), 1);
    assert_int_equal(w.engine.n_done, 2);
    close_world(&w);
}

static void
test_verdicts(void **state)
{
    (void)state;
    static const struct {
        enum ps_verdict verdict;
        const char *reason;
        bool stored;
        const char *line;
    } table[] = {
        {PS_VERDICT_MISS,   "first_seen",        false,
         "\r\nCache-Status: portside; fwd=uri-miss\r\nPortside-Reason: "
         "first_seen\r\n"                                                              },
        {PS_VERDICT_MISS,   "stored",            true,
         "\r\nCache-Status: portside; fwd=uri-miss; stored; ttl=42\r\n"                },
        {PS_VERDICT_STALE,  "invalidated",       false,
         "\r\nCache-Status: portside; fwd=stale\r\n"                                   },
        {PS_VERDICT_BYPASS, "volatile_function", false,
         "\r\nCache-Status: portside; fwd=bypass; detail=volatile_function"
         "\r\n"                                                                        },
        {PS_VERDICT_NONE,   NULL,                false, "\r\nContent-Length: 9\r\n\r\n"},
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(table); i++) {
        struct world w;
        open_world(&w);
        w.engine.verdict = table[i].verdict;
        w.engine.reason = table[i].reason;
        w.engine.stored = table[i].stored;
        send_text(&w, POST);
        char *text = received(&w);
        assert_has(text, table[i].line);
        assert_null(strstr(text, "Age: "));
        close_world(&w);
    }
}

static void
test_engine_error(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.engine.rc = PS_LOGIN_FAILED;
    w.engine.verdict = PS_VERDICT_NONE;
    send_text(&w, POST POST);
    assert_int_equal(count(sent(&w), "\"login_failed\""), 2);
    assert_error(&w, 401, "login_failed");
    assert_false(w.memory.freed);
    close_world(&w);
}

static void
test_every_split(void **state)
{
    (void)state;
    const struct ps_str text = PS_STR(POST);
    for (size_t at = 1; at < text.len; at++) {
        struct world w;
        open_world(&w);
        ps_memory_feed(&w.memory, (struct ps_str){text.ptr, at});
        assert_int_equal(w.memory.out.len, 0);
        ps_memory_feed(&w.memory,
                       (struct ps_str){text.ptr + at, text.len - at});
        assert_int_equal(count(received(&w), "200 OK"), 1);
        close_world(&w);
    }
}

static void
test_pipelining(void **state)
{
    (void)state;
    const char *three = POST "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" POST;
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        struct world w;
        open_world(&w);
        for (const char *p = three; bytewise && *p; p++)
            ps_memory_feed(&w.memory, (struct ps_str){p, 1});
        if (!bytewise)
            send_text(&w, three);
        char *text = received(&w);
        assert_int_equal(count(text, "HTTP/1.1 200 OK"), 3);
        char *first = strstr(text, "[{\"a\":1}]");
        char *second = strstr(text, "{\"status\":\"ok\"}");
        assert_true(first && second && first < second);
        assert_non_null(strstr(second, "[{\"a\":1}]"));
        assert_false(w.memory.freed);
        close_world(&w);
    }
}

/* The head is recognised; what follows it is another request all the same. */
static void
test_known_head(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    send_text(&w, POST);
    assert_int_equal(w.front->heads.found, 0);
    send_text(&w, "POST /sql HTTP/1.1\r\nHost: a\r\nContent-Length: 79\r\n\r\n"
                  "{\"cacheId\":\"c\",\"username\":\"u\",\"password\":\"p\","
                  "\"sql\":\"select 234\",\"database\":\"d\"}");
    assert_int_equal(w.front->heads.found, 1);
    assert_string_equal(w.engine.last_sql, "select 234");
    send_text(&w, POST);
    assert_int_equal(w.front->heads.found, 2);
    assert_string_equal(w.engine.last_sql, "select 1");
    assert_int_equal(count(received(&w), "HTTP/1.1 200 OK"), 3);
    send_text(&w, "POST /sql HTTP/1.1\r\nHost: a\r\nContent-Length: "
                  "99999999999\r\n\r\n");
    assert_int_equal(w.front->heads.found, 3);
    assert_error_and_close(&w, 413, "body_too_big");
    close_world(&w);
}

static void
test_more_pipelined_than_fits(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    for (int i = 0; i < 1000; i++)
        ps_buf_append_c(&w.memory.in, POST);
    ps_memory_pump(&w.memory);
    assert_true(count(received(&w), "200 OK") > 200); /* all that fits */
    assert_int_equal(w.engine.n_done, 1000);
    close_world(&w);
}

/* ---- paths and methods ---- */

static void
test_routes(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        const char *parts[3];
    } table[] = {
        {"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
         {"200 OK", "{\"status\":\"ok\"}"}                                                                 },
        {"HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
         {"200 OK", "\r\nContent-Length: 15\r\n\r\n"}                                                      },
        {"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n",
         {"200 OK", "{\"status\":\"ready\"}"}                                                              },
        {"GET http://a:1/healthz?x=/y HTTP/1.1\r\nHost: a\r\n\r\n",
         {"{\"status\":\"ok\"}"}                                                                           },
        {"POST //sql?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: "
         "77\r\n\r\n" BODY,
         {"200 OK", "[{\"a\":1}]"}                                                                         },
        {"GET /sql HTTP/1.1\r\nHost: a\r\n\r\n",
         {"405 Method Not Allowed", "Allow: POST, OPTIONS\r\n",
          "method_not_allowed"}                                                                            },
        {"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxx",
         {"405 ", "Allow: GET, HEAD, OPTIONS\r\n"}                                                         },
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",                                {"404 Not Found", "not_found"}},
        {"PATCH /sql HTTP/1.1\r\nHost: a\r\n\r\n",                           {"405 "}                      },
        {"OPTIONS /sql HTTP/1.1\r\nHost: a\r\n\r\n",
         {"204 No Content", "Access-Control-Allow-Headers: *",
          "Access-Control-Max-Age: 86400\r\n"}                                                             },
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",                            {"204 No Content"}            },
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(table); i++) {
        struct world w;
        open_world(&w);
        send_text(&w, table[i].request);
        char *text = received(&w);
        for (size_t p = 0; p < 3 && table[i].parts[p]; p++)
            assert_has(text, table[i].parts[p]);
        assert_has(text, "Access-Control-Allow-Origin: *\r\n");
        assert_false(w.memory.freed);
        send_text(&w, POST);
        assert_has(received(&w), "[{\"a\":1}]");
        close_world(&w);
    }
}

static const char *
not_ready(void *arg)
{
    return arg;
}

static void
test_not_ready(void **state)
{
    (void)state;
    struct world w;
    char why[] = "the control plane cannot be reached";
    open_world(&w);
    w.front->conf.not_ready = not_ready;
    w.front->conf.arg = why;
    send_text(&w, "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_has(sent(&w), why);
    assert_error(&w, 503, "not_ready");
    assert_false(w.memory.freed);
    close_world(&w);
}

static void
test_cache_control(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    send_text(&w, "POST /sql HTTP/1.1\r\nhost: a\r\nCACHE-control: max-age=0 ,"
                  "No-Cache\r\ncontent-length: 77\r\n\r\n" BODY);
    assert_true(w.engine.last_no_cache);
    assert_false(w.engine.last_no_store || w.engine.last_only_if_cached);
    send_text(
        &w,
        "POST /sql HTTP/1.1\r\nHost: a\r\nCache-Control:no-store\r\n"
        "Cache-Control:\tonly-if-cached\t\r\nContent-Length: 77\r\n\r\n" BODY);
    assert_false(w.engine.last_no_cache);
    assert_true(w.engine.last_no_store && w.engine.last_only_if_cached);
    assert_false(w.engine.last_has_max_age);
    close_world(&w);
}

/* What one Cache-Control header says about time. */
static void
test_cache_control_seconds(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool has_max_age;
        uint64_t max_age_ms, stale_if_error_ms;
    } cases[] = {
        {"max-age=0",                        true,  0,                   0    },
        {"Max-Age=\"7\", stale-if-error=60", true,  7000,                60000},
        {"max-age=30, max-age=5",            true,  5000,                0    },
        {"max-age=soon",                     true,  0,                   0    },
        {"max-age=-1",                       true,  0,                   0    },
        {"max-age=99999999999999999999",     true,  INT32_MAX * 1000ULL, 0    },
        {"max-age",                          false, 0,                   0    },
        {"stale-if-error=1h",                false, 0,                   0    },
        {"stale-if-error=",                  false, 0,                   0    },
        {"max-stale=9",                      false, 0,                   0    },
    };
    struct world w;
    open_world(&w);
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        char text[512];
        snprintf(text, sizeof(text),
                 "POST /sql HTTP/1.1\r\nHost: a\r\nCache-Control: %s\r\n"
                 "Content-Length: 77\r\n\r\n" BODY,
                 cases[i].value);
        send_text(&w, text);
        assert_int_equal(w.engine.last_has_max_age, cases[i].has_max_age);
        assert_int_equal(w.engine.last_max_age_ms, cases[i].max_age_ms);
        assert_int_equal(w.engine.last_stale_if_error_ms,
                         cases[i].stale_if_error_ms);
    }
    close_world(&w);
}

static void
test_user_with_cache_prefix(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    send_text(&w, "POST /sql HTTP/1.1\r\nHost: a\r\nContent-Length: 79\r\n\r\n"
                  "{\"cacheId\":\"c\",\"username\":\"c-u\",\"password\":\"p\","
                  "\"sql\":\"select 1\",\"database\":\"d\"}");
    assert_string_equal(w.engine.last_user, "u");
    close_world(&w);
}

static void
test_bad_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *code;
    } table[] = {
        {"",                "bad_json"     },
        {"{",               "bad_json"     },
        {"{}",              "missing_field"},
        {"\xFF",            "bad_utf8"     },
        {"{\"cacheId\":1}", "bad_field"    },
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(table); i++) {
        struct world w;
        char request[256];
        open_world(&w);
        snprintf(request, sizeof(request),
                 "POST /sql HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n"
                 "%s",
                 strlen(table[i].body), table[i].body);
        send_text(&w, request);
        assert_error(&w, 400, table[i].code);
        assert_int_equal(w.engine.n_started, 0);
        send_text(&w, POST);
        assert_has(received(&w), "200 OK");
        close_world(&w);
    }
}

static void
test_wrong_binding_count(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.engine.prepare = true;
    send_text(&w, "POST /sql HTTP/1.1\r\nHost: a\r\nContent-Length: 91\r\n\r\n"
                  "{\"cacheId\":\"c\",\"username\":\"u\",\"password\":\"p\","
                  "\"sql\":\"select ?\",\"database\":\"d\",\"bindings\":[]}");
    assert_has(sent(&w), "Expected 0 bindings, saw 1");
    assert_error(&w, 400, "bad_bindings");
    close_world(&w);
}

/* ---- framing ---- */

static void
test_http_1_0_and_close(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        const char *header; /* of the reply */
        bool closes;
    } table[] = {
        {"GET /healthz HTTP/1.0\r\n\r\n",                                    "\r\nConnection: close\r\n", true },
        {"GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
         "\r\nConnection: keep-alive\r\n",                                                                false},
        {"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
         "\r\nConnection: close\r\n",                                                                     true },
        {"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n",
         "\r\nConnection: close\r\n",                                                                     true },
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(table); i++) {
        struct world w;
        open_world(&w);
        send_text(&w, table[i].request);
        assert_has(received(&w), table[i].header);
        assert_int_equal(w.memory.freed, table[i].closes);
        close_world(&w);
    }
}

static void
test_expect_continue(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    send_text(&w, "POST /sql HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
                  "Content-Length: 77\r\n\r\n");
    assert_string_equal(received(&w), "HTTP/1.1 100 Continue\r\n\r\n");
    send_text(&w, "{");
    assert_int_equal(w.memory.out.len, 0);
    send_text(&w, &BODY[1]);
    assert_has(received(&w), "HTTP/1.1 200 OK\r\n");
    /* The body came along: nobody waits. Each request anew. */
    send_text(&w, "POST /sql HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                  "Content-Length: 77\r\n\r\n" BODY);
    assert_int_equal(strncmp(received(&w), "HTTP/1.1 200", 12), 0);
    send_text(&w, "POST /sql HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                  "Content-Length: 77\r\n\r\n");
    assert_has(received(&w), "100 Continue");
    close_world(&w);
}

static void
test_chunked(void **state)
{
    (void)state;
    const char *text =
        "POST /sql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
        "1\r\n{\r\n04b ; ext=\"x\"\r\n"
        "\"cacheId\":\"c\",\"username\":\"u\",\"password\":\"p\",\"sql\":"
        "\"select 1\",\"database\":\"d\"\r\n"
        "1\r\n}\r\n0\r\nTrailer: x\r\n\r\n" POST;
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        struct world w;
        open_world(&w);
        for (const char *p = text; bytewise && *p; p++)
            ps_memory_feed(&w.memory, (struct ps_str){p, 1});
        if (!bytewise)
            send_text(&w, text);
        assert_int_equal(count(received(&w), "200 OK"), 2);
        assert_int_equal(w.engine.n_done, 2);
        close_world(&w);
    }
}

/* Heads and bodies that are refused, and close the connection. */
static void
test_refusals(void **state)
{
    (void)state;
#define SMUGGLE "POST /sql HTTP/1.1\r\nHost: a\r\n"
    static const struct {
        const char *request;
        int status;
        const char *code;
    } table[] = {
        {"\x16\x03\x01 TLS?\r\n\r\n",                                       400, "bad_request" },
        {"FOO / HTTP/1.1\r\n\r\n",                                          400, "bad_request" },
        {"GET / HTTP/1.1\r\n\r\n",                                          400, "bad_request" }, /* no Host */
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",                    400, "bad_request" },
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n",                               400, "bad_request" },
        {"GET /\r\n\r\n",                                                   400, "bad_request" },
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",                                400, "bad_request" },
        {"GET / HTTP/1.1\nHost: a\n\n",                                     400, "bad_request" },
        {"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",                         400, "bad_request" },
        {"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",                 400, "bad_request" },
        {"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",                      400, "bad_request" },
        {SMUGGLE "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
         "bad_request"                                                                         },
        {SMUGGLE "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", 400,
         "bad_request"                                                                         },
        {SMUGGLE "Content-Length: 4\r\nContent-Length: 4\r\n\r\n",          400,
         "bad_request"                                                                         },
        {SMUGGLE "Content-Length: 4, 4\r\n\r\n",                            400, "bad_request" },
        {SMUGGLE "Content-Length: +4\r\n\r\n",                              400, "bad_request" },
        {SMUGGLE "Content-Length: -1\r\n\r\n",                              400, "bad_request" },
        {SMUGGLE "Content-Length:\r\n\r\n",                                 400, "bad_request" },
        {SMUGGLE "Content-Length: 99999999999999999999\r\n\r\n",            400,
         "bad_request"                                                                         },
        {SMUGGLE "Transfer-Encoding: gzip, chunked\r\n\r\n",                400,
         "bad_request"                                                                         },
        {SMUGGLE "Transfer-Encoding: chunked, identity\r\n\r\n",            400,
         "bad_request"                                                                         },
        {SMUGGLE "Transfer-Encoding: chunked\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n",                                400, "bad_request" },
        {SMUGGLE "Transfer-Encoding: xchunked\r\n\r\n",                     400, "bad_request" },
        {"POST /sql HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",        400,
         "bad_request"                                                                         },
        {SMUGGLE "Transfer-Encoding: chunked\r\n\r\nx\r\n",                 400, "bad_request" },
        {SMUGGLE "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n",              400,
         "bad_request"                                                                         },
        {SMUGGLE "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",           400,
         "bad_request"                                                                         },
        {SMUGGLE "Transfer-Encoding: chunked\r\n\r\n-1\r\n",                400,
         "bad_request"                                                                         },
        {SMUGGLE "Transfer-Encoding: chunked\r\n\r\n0\r\nx\ny\r\n\r\n",     400,
         "bad_request"                                                                         },
        {SMUGGLE "Content-Length: 1073741824\r\n\r\nabc",                   413, "body_too_big"},
        {SMUGGLE "Content-Length: 4194305\r\n\r\n",                         413, "body_too_big"},
        {SMUGGLE "Transfer-Encoding: chunked\r\n\r\n400001\r\n",            413,
         "body_too_big"                                                                        },
        {SMUGGLE "Transfer-Encoding: chunked\r\n\r\n000000001\r\n",         413,
         "body_too_big"                                                                        },
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(table); i++) {
        struct world w;
        open_world(&w);
        send_text(&w, table[i].request);
        if (w.memory.out.len == 0)
            fail_msg("no reply to: %s", table[i].request);
        assert_error_and_close(&w, table[i].status, table[i].code);
        assert_int_equal(w.engine.n_started, 0);
        close_world(&w);
    }
}

static void
test_head_too_big(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    send_text(&w, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    for (int i = 0; i < 300 && w.memory.out.len == 0; i++)
        send_text(&w,
                  "0123456789012345678901234567890123456789012345678901234");
    assert_error_and_close(&w, 431, "head_too_big");
    close_world(&w);
    /* Empty lines before the request count too. */
    open_world(&w);
    for (int i = 0; i < 20000 && w.memory.out.len == 0; i++)
        send_text(&w, "\r\n");
    assert_error_and_close(&w, 431, "head_too_big");
    close_world(&w);
}

static void
test_largest_body(void **state)
{
    (void)state;
    struct ps_front_limits limits = {.max_body_bytes = 100000};
    for (int chunked = 0; chunked < 2; chunked++) {
        struct world w;
        char *spaces = malloc(100001);
        assert_non_null(spaces);
        start_world(&w, &limits);
        connect_client(&w);
        memset(spaces, ' ', 100000);
        memcpy(spaces, BODY, strlen(BODY));
        spaces[100000] = '\0';
        send_text(&w, chunked ? SMUGGLE "Transfer-Encoding: chunked\r\n\r\n"
                                        "186A0\r\n"
                              : SMUGGLE "Content-Length: 100000\r\n\r\n");
        send_text(&w, spaces);
        if (chunked)
            send_text(&w, "\r\n0\r\n\r\n");
        assert_has(received(&w), "200 OK");
        assert_int_equal(w.front->buffers.used_bytes, 0);
        free(spaces);
        close_world(&w);
    }
}

/* ---- time ---- */

static void
test_idle_closes_silently(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    send_text(&w, POST);
    received(&w);
    advance_ms(&w, 74000);
    assert_false(w.memory.freed);
    send_text(&w, POST);
    assert_has(received(&w), "200 OK");
    advance_ms(&w, 74000);
    assert_false(w.memory.freed);
    advance_ms(&w, 3000);
    assert_true(w.memory.freed);
    assert_int_equal(w.memory.out.len, 0);
    close_world(&w);
}

static void
test_slow_head(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    for (int i = 0; i < 40 && w.memory.out.len == 0; i++) { /* dripping */
        ps_memory_feed(&w.memory,
                       (struct ps_str){&"GET / HTTP/1.1\r\nHost: a\r\nXXXXXXXX"
                                        "XXXXXXXXXX"[i],
                                       1});
        advance_ms(&w, 500);
    }
    assert_error_and_close(&w, 408, "request_timeout");
    close_world(&w);
}

static void
test_slow_body(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    send_text(&w, SMUGGLE "Content-Length: 77\r\n\r\n");
    for (int i = 0; i < 84 && w.memory.out.len == 0; i++) {
        send_text(&w, " ");
        advance_ms(&w, 1000);
    }
    assert_error_and_close(&w, 408, "request_timeout");
    close_world(&w);
}

/* The time of a pipelined request's head starts when its turn comes. */
static void
test_time_starts_anew(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    for (int i = 0; i < 10; i++) {
        send_text(&w, POST "POST");
        advance_ms(&w, 8000);
        send_text(&w, &POST[4]);
        assert_int_equal(count(received(&w), "200 OK"), 2);
    }
    close_world(&w);
}

static void
test_reader_that_does_not_read(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.memory.window = 100;
    send_text(&w, POST POST);
    assert_int_equal(w.engine.n_done, 0);
    advance_ms(&w, 29000);
    assert_false(w.memory.freed);
    advance_ms(&w, 2000);
    assert_true(w.memory.freed);
    assert_int_equal(w.engine.n_started, 1);
    assert_int_equal(w.engine.n_done, 1);
    close_world(&w);
}

static void
test_slow_reader_with_progress(void **state)
{
    (void)state;
    struct world w;
    static char big[100000];
    memset(big, 'x', sizeof(big));
    open_world(&w);
    w.engine.body = (struct ps_str){big, sizeof(big)};
    w.memory.window = 0;
    send_text(&w, POST);
    for (int i = 0; i < 6; i++) { /* 17 KiB within 29 s is enough */
        w.memory.window = 17408;
        ps_memory_pump(&w.memory);
        advance_ms(&w, 29000);
        assert_int_equal(w.memory.freed, false);
    }
    assert_int_equal(w.engine.n_done, 1);
    assert_true(w.memory.out.len > 100000);
    /* A byte now and then is not. */
    ps_buf_clear(&w.memory.out);
    w.memory.window = 0;
    send_text(&w, POST);
    for (int i = 0; i < 6 && !w.memory.freed; i++) {
        w.memory.window = 1;
        ps_memory_pump(&w.memory);
        advance_ms(&w, 10000);
    }
    assert_true(w.memory.freed);
    assert_int_equal(w.engine.n_done, 2);
    close_world(&w);
}

static void
test_written_bytewise(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.memory.max_write = 1;
    send_text(&w, POST POST);
    assert_int_equal(count(received(&w), "\r\n\r\n[{\"a\":1}]"), 2);
    close_world(&w);
}

/* ---- the engine takes its time ---- */

static void
test_engine_later(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.engine.hold = true;
    send_text(&w, POST POST POST);
    assert_int_equal(w.engine.n_started, 1);
    advance_ms(&w, 1000000); /* the engine has time limits of its own */
    assert_int_equal(w.memory.out.len, 0);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(w.engine.n_held, 1);
        ps_stub_finish(&w.engine);
        assert_int_equal(count(received(&w), "200 OK"), 1);
        assert_int_equal(w.engine.n_done, i);
    }
    close_world(&w);
}

/* A held request, then one that is answered inside ps_req_start. */
static void
test_engine_later_then_at_once(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.engine.hold = true;
    send_text(&w, POST POST POST);
    w.engine.hold = false;
    ps_stub_finish(&w.engine);
    assert_int_equal(count(received(&w), "200 OK"), 3);
    close_world(&w);
}

static void
test_input_is_bounded_meanwhile(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.engine.hold = true;
    send_text(&w, POST);
    for (int i = 0; i < 1000; i++)
        send_text(&w, POST);
    assert_true(w.memory.in.len > 100000); /* left in the socket */
    assert_int_equal(w.front->buffers.used_bytes, 16 << 10);
    w.engine.hold = false;
    ps_stub_finish(&w.engine);
    ps_memory_pump(&w.memory);
    assert_int_equal(w.engine.n_done, 1001);
    close_world(&w);
}

static void
test_client_leaves(void **state)
{
    (void)state;
    for (int broken = 0; broken < 2; broken++) {
        for (int at_once = 0; at_once < 2; at_once++) {
            struct world w;
            open_world(&w);
            w.engine.hold = true;
            w.engine.rc = PS_CANCELLED;
            w.engine.finish_abandoned = at_once;
            send_text(&w, POST);
            w.memory.broken = broken;
            w.memory.eof = true;
            ps_memory_pump(&w.memory);
            assert_int_equal(w.engine.n_abandoned, 1);
            if (!at_once)
                ps_stub_finish(&w.engine);
            assert_int_equal(w.engine.n_done, 1);
            assert_true(w.memory.freed);
            assert_int_equal(ps_front_connections(w.front), 0);
            close_world(&w);
        }
    }
}

/* Only its own direction closed: what the engine says is still delivered. */
static void
test_half_close(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.engine.hold = true;
    send_text(&w, POST);
    w.memory.eof = true;
    ps_memory_pump(&w.memory);
    ps_stub_finish(&w.engine);
    char *text = received(&w);
    assert_has(text, "[{\"a\":1}]");
    assert_has(text, "Connection: close");
    assert_true(w.memory.freed);
    close_world(&w);
}

static void
test_end_of_input(void **state)
{
    (void)state;
    static const char *const parts[] = {"", "GET",
                                        SMUGGLE "Content-Length: "
                                                "77\r\n\r\n{"};
    for (size_t i = 0; i < PS_ARRAY_LEN(parts); i++) {
        struct world w;
        open_world(&w);
        send_text(&w, parts[i]);
        w.memory.eof = true;
        ps_memory_pump(&w.memory);
        assert_true(w.memory.freed);
        assert_int_equal(w.memory.out.len, 0);
        close_world(&w);
    }
    /* Behind complete requests: they are answered. */
    struct world w;
    open_world(&w);
    ps_buf_append_c(&w.memory.in, POST POST);
    w.memory.eof = true;
    ps_memory_pump(&w.memory);
    assert_int_equal(count(received(&w), "200 OK"), 2);
    assert_true(w.memory.freed);
    close_world(&w);
}

/* ---- bounds and the end ---- */

static void
test_buffered_bytes_are_bounded(void **state)
{
    (void)state;
    struct ps_front_limits limits = {.max_buffered_bytes = 40 << 10};
    struct world w;
    struct ps_memory others[2];
    start_world(&w, &limits);
    for (int i = 0; i < 2; i++) {
        assert_non_null(
            ps_http_open(w.front, ps_memory_init(&others[i]), "x", false));
        ps_memory_feed(&others[i], PS_STR("GET / HT"));
    }
    connect_client(&w);
    send_text(&w, POST);
    assert_error_and_close(&w, 503, "no_memory");
    ps_memory_done(&w.memory);
    /* Room again. */
    ps_memory_feed(&others[0], PS_STR("TP/1.1\r\nHost: a\r\n\r\n"));
    connect_client(&w);
    send_text(&w, POST);
    assert_has(received(&w), "200 OK");
    for (int i = 0; i < 2; i++)
        ps_memory_done(&others[i]);
    close_world(&w);
}

static void
test_drain(void **state)
{
    (void)state;
    struct world w;
    struct ps_memory idle;
    open_world(&w);
    assert_non_null(ps_http_open(w.front, ps_memory_init(&idle), "x", false));
    w.engine.hold = true;
    send_text(&w, POST);
    ps_front_drain(w.front);
    assert_true(idle.freed);
    assert_false(w.memory.freed);
    assert_int_equal(ps_front_connections(w.front), 1);
    ps_stub_finish(&w.engine);
    assert_has(received(&w), "200 OK");
    assert_true(w.memory.freed);
    assert_int_equal(ps_front_connections(w.front), 0);
    ps_memory_done(&idle);
    close_world(&w);
}

static void
test_drain_in_the_middle_of_a_request(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    send_text(&w, "POST");
    ps_front_drain(w.front);
    assert_false(w.memory.freed);
    send_text(&w, &POST[4]);
    assert_has(received(&w), "\r\nConnection: close\r\n");
    assert_true(w.memory.freed);
    close_world(&w);
}

/* It is taken out of service, and answers all the same: one request for each
 * connection, until it is told to go on as before. */
static void
test_retire(void **state)
{
    (void)state;
    struct world w;
    struct ps_memory idle;
    open_world(&w);
    struct ps_http *kept =
        ps_http_open(w.front, ps_memory_init(&idle), "x", false);
    assert_non_null(kept);
    ps_memory_feed(&idle, PS_STR("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_false(idle.freed);
    send_text(&w, "POST");
    ps_front_retire(w.front, true);
    assert_true(idle.freed);
    ps_memory_done(&idle);
    send_text(&w, &POST[4]);
    assert_has(received(&w), "\r\nConnection: close\r\n");
    assert_true(w.memory.freed);
    assert_int_equal(ps_front_connections(w.front), 0);
    /* A new one is not closed before its request, unless that takes long. */
    ps_memory_done(&w.memory);
    connect_client(&w);
    ps_front_retire(w.front, true);
    assert_false(w.memory.freed);
    send_text(&w, POST);
    assert_has(received(&w), "200 OK");
    assert_true(w.memory.freed);
    ps_memory_done(&w.memory);
    connect_client(&w);
    advance_ms(&w, 1000);
    ps_front_retire(w.front, true);
    assert_true(w.memory.freed);
    ps_memory_done(&w.memory);
    ps_front_retire(w.front, false);
    connect_client(&w);
    send_text(&w, POST);
    assert_has(received(&w), "200 OK");
    assert_false(w.memory.freed);
    close_world(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hit),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_engine_error),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_known_head),
        cmocka_unit_test(test_more_pipelined_than_fits),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_not_ready),
        cmocka_unit_test(test_cache_control),
        cmocka_unit_test(test_cache_control_seconds),
        cmocka_unit_test(test_user_with_cache_prefix),
        cmocka_unit_test(test_bad_bodies),
        cmocka_unit_test(test_wrong_binding_count),
        cmocka_unit_test(test_http_1_0_and_close),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_head_too_big),
        cmocka_unit_test(test_largest_body),
        cmocka_unit_test(test_idle_closes_silently),
        cmocka_unit_test(test_slow_head),
        cmocka_unit_test(test_slow_body),
        cmocka_unit_test(test_time_starts_anew),
        cmocka_unit_test(test_reader_that_does_not_read),
        cmocka_unit_test(test_slow_reader_with_progress),
        cmocka_unit_test(test_written_bytewise),
        cmocka_unit_test(test_engine_later),
        cmocka_unit_test(test_engine_later_then_at_once),
        cmocka_unit_test(test_input_is_bounded_meanwhile),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_end_of_input),
        cmocka_unit_test(test_buffered_bytes_are_bounded),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_in_the_middle_of_a_request),
        cmocka_unit_test(test_retire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
