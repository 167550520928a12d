/*
 * Replies in parts over a memory transport, with a stub for the engine: what is
 * written when, what waits for a client that does not read, and that every part
 * is freed.
 */
#include "agent/front/front_private.h"
#include "agent/front/memory_transport.h"
#include "agent/front/stub_engine.h"
#include "tests/unit.h"

#include <stdio.h>

#define BODY                                                          \
    "{\"cache\":\"c\",\"username\":\"u\",\"password\":\"p\",\"sql\":" \
    "\"select 1\",\"database\":\"d\"}"
#define REQUEST(version)                              \
    "POST /v1/query HTTP/" version                    \
    "\r\nHost: a\r\nAccept: application/x-ndjson\r\n" \
    "Content-Length: 75\r\n\r\n" BODY
#define TAIL                                                          \
    ",\"status\":\"miss\",\"reason\":\"first_seen\",\"age_ms\":3999," \
    "\"ttl_ms\":null},\"token\":null}\n"

struct world {
    struct ps_clock *clock;
    struct ps_loop *loop;
    struct ps_engine engine;
    struct ps_front *front;
    struct ps_memory memory;
};

static int
setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    w->clock = ps_clock_virtual_new();
    w->loop = ps_loop_new(w->clock, "test");
    w->engine = (struct ps_engine){.body = PS_STR("{\"n\":2"),
                                   .verdict = PS_VERDICT_MISS,
                                   .reason = "first_seen",
                                   .hold = true};
    struct ps_front_conf conf = {.loop = w->loop, .engine = &w->engine};
    w->front = ps_front_new(&conf);
    assert_non_null(w->front);
    assert_non_null(
        ps_http_open(w->front, ps_memory_init(&w->memory), "192.0.2.1", false));
    *state = w;
    return 0;
}

/* Whatever happened: no part is left. */
static int
teardown(void **state)
{
    struct world *w = *state;
    ps_memory_done(&w->memory);
    ps_front_free(&w->front);
    ps_loop_free(&w->loop);
    ps_clock_virtual_free(&w->clock);
    assert_int_equal(w->engine.n_parts_freed, w->engine.n_parts);
    assert_int_equal(w->engine.n_finished, w->engine.n_done);
    free(w);
    return 0;
}

static void
ask(struct world *w, const char *request)
{
    ps_memory_feed(&w->memory, ps_str_of(request));
    assert_int_equal(w->engine.n_held, 1);
}

static void
turns(struct world *w)
{
    while (ps_loop_turn(w->loop) > 0)
        ;
}

/* What came since the last time. */
static char *
received(struct world *w)
{
    turns(w);
    ps_buf_append_char(&w->memory.out, '\0');
    ps_buf_clear(&w->memory.out);
    return w->memory.out.data;
}

static void
assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void
parts_are_written_as_they_come(void **state)
{
    struct world *w = *state;
    ask(w, REQUEST("1.1"));
    ps_stub_part(&w->engine, "a\n");
    char *text = received(w);
    assert_has(text, "HTTP/1.1 200 OK\r\n");
    assert_has(text, "Content-Type: application/x-ndjson\r\n"
                     "Transfer-Encoding: chunked\r\n");
    assert_has(text, "Cache-Status: portside; fwd=uri-miss\r\n");
    assert_has(text, "Portside-Reason: first_seen\r\n");
    assert_has(text, "\r\n\r\n2\r\na\n\r\n");
    assert_null(strstr(text, "Content-Length"));
    ps_stub_part(&w->engine, "bcd\n");
    assert_string_equal(received(w), "4\r\nbcd\n\r\n");
    ps_stub_finish(&w->engine);
    char last[256];
    snprintf(last, sizeof(last), "%zx\r\n{\"n\":2%s\r\n0\r\n\r\n",
             strlen("{\"n\":2" TAIL), TAIL);
    assert_string_equal(received(w), last);
    /* The connection goes on. */
    ask(w, REQUEST("1.1"));
    ps_stub_finish(&w->engine);
    assert_has(received(w), "Content-Length: ");
    assert_false(w->memory.freed);
}

static void
what_the_client_does_not_read_stays(void **state)
{
    struct world *w = *state;
    ask(w, REQUEST("1.1"));
    ps_stub_part(&w->engine, "first\n");
    received(w);
    assert_int_equal(w->engine.n_parts_freed, 1);
    w->memory.window = 4;
    ps_stub_part(&w->engine, "second\n");
    ps_stub_part(&w->engine, "third\n");
    ps_stub_finish(&w->engine);
    assert_string_equal(received(w), "7\r\ns");
    assert_int_equal(w->engine.n_parts_freed, 1);
    w->memory.window = 1 << 20;
    ps_memory_pump(&w->memory);
    char *text = received(w);
    assert_has(text, "econd\n\r\n6\r\nthird\n\r\n");
    assert_has(text, TAIL "\r\n0\r\n\r\n");
    assert_int_equal(w->engine.n_parts_freed, 3);
}

static void
an_error_behind_a_part_is_the_last_line(void **state)
{
    struct world *w = *state;
    ask(w, REQUEST("1.1"));
    ps_stub_part(&w->engine, "a\n");
    received(w);
    w->engine.rc = PS_ORIGIN_LOST;
    ps_stub_finish(&w->engine);
    char *text = received(w);
    assert_has(text, "{\"error\":{\"statusCode\":502,\"code\":\"");
    assert_has(text, "\"}}\n\r\n0\r\n\r\n");
    assert_null(strstr(text, "HTTP/1.1"));
    /* Before the first one it is a reply like any other. */
    ask(w, REQUEST("1.1"));
    ps_stub_finish(&w->engine);
    assert_has(received(w), "HTTP/1.1 502 ");
}

static void
old_clients_get_no_chunks(void **state)
{
    struct world *w = *state;
    ask(w, REQUEST("1.0"));
    ps_stub_part(&w->engine, "a\n");
    ps_stub_finish(&w->engine);
    char *text = received(w);
    assert_has(text, "Connection: close\r\n");
    assert_null(strstr(text, "chunked"));
    assert_has(text, "\r\n\r\na\n{\"n\":2" TAIL);
    assert_true(w->memory.finished || w->memory.freed);
}

/* The engine is told, and goes on for a while. */
static void
a_client_that_leaves(void **state)
{
    struct world *w = *state;
    ask(w, REQUEST("1.1"));
    ps_stub_part(&w->engine, "a\n");
    received(w);
    w->memory.window = 1;
    ps_stub_part(&w->engine, "b\n");
    ps_stub_part(&w->engine, "c\n");
    w->memory.broken = true;
    ps_memory_pump(&w->memory);
    assert_true(w->memory.freed);
    assert_int_equal(w->engine.n_abandoned, 1);
    ps_stub_part(&w->engine, "d\n");
    assert_int_equal(w->engine.n_held, 1);
    ps_stub_finish(&w->engine);
    turns(w);
    assert_int_equal(w->engine.n_parts_freed, 4);
}

/* ... and one that stays but reads nothing more. */
static void
a_client_that_does_not_read_for_too_long(void **state)
{
    struct world *w = *state;
    w->engine.finish_abandoned = true;
    ask(w, REQUEST("1.1"));
    w->memory.window = 10;
    ps_stub_part(&w->engine, "a\n");
    turns(w);
    ps_clock_virtual_advance_us(w->clock, UINT64_C(3600000000));
    turns(w);
    assert_true(w->memory.freed);
    assert_int_equal(w->engine.n_abandoned, 1);
    assert_int_equal(w->engine.n_held, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(parts_are_written_as_they_come),
        TEST(what_the_client_does_not_read_stays),
        TEST(an_error_behind_a_part_is_the_last_line),
        TEST(old_clients_get_no_chunks),
        TEST(a_client_that_leaves),
        TEST(a_client_that_does_not_read_for_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
