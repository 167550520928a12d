/*
 * Replies that are written together at the end of a turn: when they leave, and
 * that none is lost or changes places.
 */
#include "agent/front/front_private.h"
#include "agent/front/memory_transport.h"
#include "agent/front/stub_engine.h"
#include "tests/unit.h"

#define BODY                                                            \
    "{\"cacheId\":\"c\",\"username\":\"u\",\"password\":\"p\",\"sql\":" \
    "\"select 1\",\"database\":\"d\"}"
#define POST "POST /sql HTTP/1.1\r\nHost: a\r\nContent-Length: 77\r\n\r\n" BODY

enum {
    BATCH = 3,
    CLIENTS = 4
};

struct world {
    struct ps_clock *clock;
    struct ps_loop *loop;
    struct ps_engine engine;
    struct ps_front *front;
    struct ps_memory clients[CLIENTS];
};

static void
open_world(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->clock = ps_clock_virtual_new();
    w->loop = ps_loop_new(w->clock, "test");
    w->engine = (struct ps_engine){.body = PS_STR("[{\"a\":1}]"),
                                   .verdict = PS_VERDICT_HIT,
                                   .reason = "hit"};
    struct ps_front_conf conf = {
        .loop = w->loop, .engine = &w->engine, .reply_batch = BATCH};
    w->front = ps_front_new(&conf);
    assert_non_null(w->front);
    for (size_t i = 0; i < CLIENTS; i++)
        assert_non_null(ps_http_open(w->front, ps_memory_init(&w->clients[i]),
                                     "192.0.2.1", false));
}

static void
close_world(struct world *w)
{
    ps_front_free(&w->front);
    for (size_t i = 0; i < CLIENTS; i++)
        ps_memory_done(&w->clients[i]);
    ps_loop_free(&w->loop);
    ps_clock_virtual_free(&w->clock);
    assert_int_equal(w->engine.n_finished, w->engine.n_done);
}

static void
post(struct world *w, size_t client)
{
    ps_memory_feed(&w->clients[client], PS_STR(POST));
}

/* Complete replies that client has got. */
static size_t
replies(struct world *w, size_t client)
{
    struct ps_buf *out = &w->clients[client].out;
    size_t n = 0;
    ps_buf_append_char(out, '\0');
    out->len--;
    for (const char *p = out->data; (p = strstr(p, "[{\"a\":1}]")); p++)
        n++;
    return n;
}

static size_t
waiting(const struct world *w)
{
    return w->front->waiting[PS_HTTP_WAIT_REPLY].count;
}

static void
test_written_at_the_end_of_the_turn(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    post(&w, 0);
    post(&w, 1);
    assert_int_equal(waiting(&w), 2);
    assert_int_equal(replies(&w, 0) + replies(&w, 1), 0);
    ps_loop_turn(w.loop);
    assert_int_equal(waiting(&w), 0);
    assert_int_equal(replies(&w, 0), 1);
    assert_int_equal(replies(&w, 1), 1);
    /* And again: the connections are as they were. */
    post(&w, 1);
    ps_loop_turn(w.loop);
    assert_int_equal(replies(&w, 1), 2);
    close_world(&w);
}

static void
test_written_when_the_batch_is_full(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    for (size_t i = 0; i < BATCH; i++) {
        assert_int_equal(replies(&w, 0), 0);
        post(&w, i);
    }
    for (size_t i = 0; i < BATCH; i++)
        assert_int_equal(replies(&w, i), 1);
    /* What is left of the order to write finds nothing, or what is new. */
    post(&w, BATCH);
    assert_int_equal(replies(&w, BATCH), 0);
    ps_loop_turn(w.loop);
    assert_int_equal(replies(&w, BATCH), 1);
    close_world(&w);
}

/* Pipelined requests behind one whose reply waits are answered after it. */
static void
test_pipelined(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    ps_memory_feed(&w.clients[0], PS_STR(POST POST POST));
    assert_int_equal(replies(&w, 0), 0);
    ps_loop_turn(w.loop);
    assert_int_equal(replies(&w, 0), 3);
    close_world(&w);
}

/* What the engine answers later is written at once: its turn may be over. */
static void
test_late_answer(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.engine.hold = true;
    post(&w, 0);
    assert_int_equal(waiting(&w), 0);
    ps_stub_finish(&w.engine);
    assert_int_equal(replies(&w, 0), 1);
    close_world(&w);
}

static void
test_full_socket(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.clients[0].window = 100;
    post(&w, 0);
    ps_loop_turn(w.loop);
    assert_int_equal(replies(&w, 0), 0);
    assert_int_equal(w.front->waiting[PS_HTTP_WAIT_WRITE].count, 1);
    w.clients[0].window = SIZE_MAX;
    ps_memory_pump(&w.clients[0]);
    assert_int_equal(replies(&w, 0), 1);
    close_world(&w);
}

static void
test_peer_gone(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    post(&w, 0);
    post(&w, 1);
    w.clients[0].broken = true;
    ps_loop_turn(w.loop);
    assert_true(w.clients[0].freed);
    assert_int_equal(replies(&w, 1), 1);
    assert_int_equal(ps_front_connections(w.front), CLIENTS - 1);
    close_world(&w);
}

static void
test_refusal(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    ps_memory_feed(&w.clients[0], PS_STR("nonsense\r\n\r\n"));
    assert_int_equal(w.clients[0].out.len, 0);
    ps_loop_turn(w.loop);
    assert_true(w.clients[0].out.len > 0);
    assert_true(w.clients[0].finished);
    close_world(&w);
}

static void
test_drain_loses_no_reply(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    post(&w, 0);
    ps_front_drain(w.front);
    assert_int_equal(ps_front_connections(w.front), 1);
    ps_loop_turn(w.loop);
    assert_int_equal(replies(&w, 0), 1);
    assert_true(w.clients[0].freed);
    close_world(&w);
}

static void
test_freed_while_a_reply_waits(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    post(&w, 0);
    close_world(&w); /* a task that is left would run in ps_loop_free */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_at_the_end_of_the_turn),
        cmocka_unit_test(test_written_when_the_batch_is_full),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_full_socket),
        cmocka_unit_test(test_peer_gone),
        cmocka_unit_test(test_refusal),
        cmocka_unit_test(test_drain_loses_no_reply),
        cmocka_unit_test(test_freed_while_a_reply_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
