/*
 * The fabric with real sockets and real certificates. One loop on the real
 * clock serves both sides; every wait has a limit and fails loudly.
 */
#include "common/buf.h"
#include "common/check.h"
#include "common/io/bus.h"
#include "common/tls.h"
#include "tests/unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LIMIT_MS = 20000,
    CALLS_MAX = 64
};

/* ---- certificates ---- */

struct authority {
    char *key, *cert;
};

static struct authority ours, foreign;

static struct authority
make_authority(const char *name)
{
    struct authority ca;
    assert_int_equal(ps_tls_make_key(&ca.key, NULL), PS_OK);
    assert_int_equal(ps_tls_make_ca(ca.key, name, 30, &ca.cert, NULL), PS_OK);
    return ca;
}

static void
free_authority(struct authority *ca)
{
    free(ca->key);
    free(ca->cert);
}

/* A certificate for name, to be freed with free_tls(). */
static struct ps_bus_tls
make_tls(const struct authority *ca, const struct authority *trusted,
         const char *name)
{
    char *key, *csr, *cert;
    const char *dns[] = {name, NULL};
    assert_int_equal(ps_tls_make_key(&key, NULL), PS_OK);
    assert_int_equal(ps_tls_make_csr(key, name, &csr, NULL), PS_OK);
    struct ps_tls_sign sign = {.ca_cert_pem = ca->cert,
                               .ca_key_pem = ca->key,
                               .csr_pem = csr,
                               .common_name = name,
                               .dns = dns,
                               .days = 30,
                               .server = true,
                               .client = true};
    assert_int_equal(ps_tls_sign_csr(&sign, &cert, NULL), PS_OK);
    free(csr);
    return (struct ps_bus_tls){
        .ca_pem = trusted->cert, .cert_pem = cert, .key_pem = key};
}

static void
free_tls(struct ps_bus_tls *tls)
{
    free((void *)(uintptr_t)tls->cert_pem);
    free((void *)(uintptr_t)tls->key_pem);
}

/* ---- the two ends under test ---- */

struct fixture {
    struct ps_loop *loop;
    struct ps_bus_tls server_tls, client_tls;
    struct ps_bus_server *server;
    struct ps_bus_client *client;
    int call_port, event_port;
    char call_address[64], event_address[64];

    bool echo; /* answer at once */
    struct ps_bus_call *waiting[CALLS_MAX];
    char heard[CALLS_MAX][32];
    size_t waiting_count, calls_heard;
    size_t last_size;

    size_t events, ups, downs;
    bool up;
    struct ps_buf event_bytes;
};

static void
on_call(void *arg, struct ps_bus_call *call, struct ps_str body)
{
    struct fixture *f = arg;
    f->calls_heard++;
    f->last_size = body.len;
    if (f->echo) {
        ps_bus_reply(call, body);
        return;
    }
    assert_true(f->waiting_count < CALLS_MAX);
    snprintf(f->heard[f->waiting_count], 32, "%.*s", PS_STR_ARG(body));
    f->waiting[f->waiting_count++] = call;
}

static void
on_event(void *arg, struct ps_str body)
{
    struct fixture *f = arg;
    f->events++;
    ps_buf_append_str(&f->event_bytes, body);
}

static void
on_link(void *arg, bool up)
{
    struct fixture *f = arg;
    assert_true(up != f->up);
    f->up = up;
    *(up ? &f->ups : &f->downs) += 1;
}

static void
start_server(struct fixture *f)
{
    struct ps_err err = {0};
    struct ps_bus_server_conf conf = {.loop = f->loop,
                                      .tls = &f->server_tls,
                                      .call_address = f->call_address,
                                      .event_address = f->event_address,
                                      .parallel_calls = 16,
                                      .on_call = on_call,
                                      .arg = f};
    enum ps_rc rc = ps_bus_server_start(&f->server, &conf, &err);
    if (rc != PS_OK)
        fail_msg("server: %s", err.message);
    ps_bus_server_ports(f->server, &f->call_port, &f->event_port);
    assert_in_range(f->call_port, 1, 65535);
    assert_in_range(f->event_port, 1, 65535);
    snprintf(f->call_address, sizeof(f->call_address), "127.0.0.1:%d",
             f->call_port);
    snprintf(f->event_address, sizeof(f->event_address), "127.0.0.1:%d",
             f->event_port);
}

static struct ps_bus_client *
start_client(struct fixture *f, const struct ps_bus_tls *tls)
{
    struct ps_err err = {0};
    struct ps_bus_client *client = NULL;
    struct ps_bus_client_conf conf = {.loop = f->loop,
                                      .tls = tls,
                                      .call_address = f->call_address,
                                      .event_address = f->event_address,
                                      .on_event = on_event,
                                      .on_link = on_link,
                                      .arg = f};
    if (ps_bus_client_start(&client, &conf, &err) != PS_OK)
        fail_msg("client: %s", err.message);
    return client;
}

struct wait {
    struct ps_loop *loop;
    struct ps_timer limit, look;
    const size_t *counter;
    size_t at_least;
};

static void
on_limit(void *arg)
{
    struct wait *wait = arg;
    ps_loop_stop(wait->loop);
}

static void
on_look(void *arg)
{
    struct wait *wait = arg;
    if (*wait->counter >= wait->at_least)
        ps_loop_stop(wait->loop);
    else
        ps_timer_start_ms(&wait->look, 1);
}

/* Runs the loop until *counter >= at_least; false after ms. */
static bool
wait_for(struct fixture *f, const size_t *counter, size_t at_least, unsigned ms)
{
    struct wait wait = {
        .loop = f->loop, .counter = counter, .at_least = at_least};
    ps_timer_init(&wait.limit, f->loop, on_limit, &wait);
    ps_timer_init(&wait.look, f->loop, on_look, &wait);
    ps_timer_start_ms(&wait.limit, ms);
    ps_timer_start_ms(&wait.look, 0);
    ps_loop_run(f->loop);
    ps_timer_stop(&wait.limit);
    ps_timer_stop(&wait.look);
    return *counter >= at_least;
}

struct answer {
    size_t done;
    enum ps_rc rc;
    char text[64];
    size_t size;
};

static void
on_answer(void *arg, enum ps_rc rc, struct ps_str reply)
{
    struct answer *answer = arg;
    answer->done++;
    answer->rc = rc;
    answer->size = reply.len;
    snprintf(answer->text, sizeof(answer->text), "%.*s",
             (int)PS_MIN(reply.len, (size_t)60), reply.len ? reply.ptr : "");
}

static struct answer
ask(struct fixture *f, struct ps_bus_client *client, const char *text,
    unsigned timeout_ms)
{
    struct answer answer = {0};
    ps_bus_call(client, ps_str_of(text), timeout_ms, on_answer, &answer);
    assert_int_equal(answer.done, 0);
    assert_true(wait_for(f, &answer.done, 1, LIMIT_MS));
    return answer;
}

static void
expect_echo(struct fixture *f, const char *text)
{
    struct answer answer = ask(f, f->client, text, LIMIT_MS);
    assert_int_equal(answer.rc, PS_OK);
    assert_string_equal(answer.text, text);
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->loop = ps_loop_new(ps_clock_real(), "test");
    f->server_tls = make_tls(&ours, &ours, PS_BUS_SERVER_NAME);
    f->client_tls = make_tls(&ours, &ours, "agent-1");
    f->echo = true;
    ps_buf_init(&f->event_bytes, 32 << 20);
    snprintf(f->call_address, sizeof(f->call_address), "127.0.0.1:0");
    snprintf(f->event_address, sizeof(f->event_address), "127.0.0.1:0");
    start_server(f);
    f->client = start_client(f, &f->client_tls);
    assert_true(wait_for(f, &f->ups, 1, LIMIT_MS));
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    ps_bus_client_stop(&f->client);
    ps_bus_server_stop(&f->server);
    ps_loop_free(&f->loop);
    free_tls(&f->server_tls);
    free_tls(&f->client_tls);
    ps_buf_done(&f->event_bytes);
    free(f);
    return 0;
}

/* Publishes until the subscriber, whom the server may take up a moment after
 * the client knows of the connection, has got one. */
static void
publish_until_heard(struct fixture *f)
{
    size_t before = f->events;
    for (int i = 0; i < 500 && f->events == before; i++) {
        ps_bus_publish(f->server, PS_STR("warm"));
        wait_for(f, &f->events, before + 1, 20);
    }
    assert_true(f->events > before);
    /* Those published and not yet heard. */
    wait_for(f, &f->events, SIZE_MAX, 100);
    ps_buf_clear(&f->event_bytes);
    f->events = 0;
}

/* ---- tests ---- */

static void
a_call_is_answered(void **state)
{
    struct fixture *f = *state;
    expect_echo(f, "hello");
    expect_echo(f, "");
}

static void
replies_may_come_later_and_out_of_order(void **state)
{
    struct fixture *f = *state;
    struct answer answers[3] = {0};
    const char *texts[] = {"one", "two", "three"};
    f->echo = false;
    for (int i = 0; i < 3; i++) {
        ps_bus_call(f->client, ps_str_of(texts[i]), LIMIT_MS, on_answer,
                    &answers[i]);
        assert_true(wait_for(f, &f->waiting_count, (size_t)i + 1, LIMIT_MS));
    }
    for (int i = 2; i >= 0; i--) {
        assert_string_equal(f->heard[i], texts[i]);
        ps_bus_reply(f->waiting[i], ps_str_of(texts[i]));
        assert_true(wait_for(f, &answers[i].done, 1, LIMIT_MS));
        assert_int_equal(answers[i].rc, PS_OK);
        assert_string_equal(answers[i].text, texts[i]);
        assert_int_equal(answers[0].done, i == 0);
    }
}

static void
more_calls_than_contexts_wait_their_turn(void **state)
{
    struct fixture *f = *state;
    struct answer answers[CALLS_MAX] = {0};
    size_t done = 0;
    for (size_t i = 0; i < CALLS_MAX; i++)
        ps_bus_call(f->client, PS_STR("x"), LIMIT_MS, on_answer, &answers[i]);
    for (size_t i = 0; i < CALLS_MAX; i++) {
        assert_true(wait_for(f, &answers[i].done, 1, LIMIT_MS));
        assert_int_equal(answers[i].rc, PS_OK);
        done += answers[i].done;
    }
    assert_int_equal(done, CALLS_MAX);
    assert_int_equal(f->calls_heard, CALLS_MAX);
}

static void
a_call_without_reply_times_out_once(void **state)
{
    struct fixture *f = *state;
    f->echo = false;
    struct answer answer = ask(f, f->client, "never", 200);
    assert_int_equal(answer.rc, PS_REQUEST_TIMEOUT);
    assert_int_equal(f->calls_heard, 1);
    /* The late reply goes nowhere and hurts nobody. */
    ps_bus_reply(f->waiting[0], PS_STR("late"));
    f->echo = true;
    expect_echo(f, "next");
    assert_int_equal(answer.done, 1);
}

static void
events_come_in_order(void **state)
{
    struct fixture *f = *state;
    publish_until_heard(f);
    struct ps_buf expected;
    ps_buf_init(&expected, 1 << 20);
    enum {
        COUNT = 5000
    };
    for (uint64_t i = 0; i < COUNT; i++) {
        char text[24];
        snprintf(text, sizeof(text), "%llu,", (unsigned long long)i);
        ps_buf_append_c(&expected, text);
        ps_bus_publish(f->server, ps_str_of(text));
    }
    assert_true(wait_for(f, &f->events, COUNT, LIMIT_MS));
    assert_true(ps_str_eq(ps_buf_str(&expected), ps_buf_str(&f->event_bytes)));
    ps_buf_done(&expected);
}

static void
a_restarted_server_is_found_again(void **state)
{
    struct fixture *f = *state;
    expect_echo(f, "before");
    ps_bus_server_stop(&f->server);
    assert_true(wait_for(f, &f->downs, 1, LIMIT_MS));
    /* Not connected: the call was not sent, and says so. */
    struct answer answer = ask(f, f->client, "nobody", 100);
    assert_int_equal(answer.rc, PS_FABRIC);
    start_server(f);
    assert_true(wait_for(f, &f->ups, 2, LIMIT_MS));
    expect_echo(f, "after");
    publish_until_heard(f);
}

static void
a_call_under_way_fails_when_the_server_goes(void **state)
{
    struct fixture *f = *state;
    struct answer answer = {0};
    f->echo = false;
    ps_bus_call(f->client, PS_STR("doomed"), LIMIT_MS, on_answer, &answer);
    assert_true(wait_for(f, &f->waiting_count, 1, LIMIT_MS));
    ps_bus_server_stop(&f->server);
    /* Long before its time, and it is not sent again to the next one. */
    assert_true(wait_for(f, &answer.done, 1, LIMIT_MS / 2));
    assert_int_equal(answer.rc, PS_FABRIC);
    start_server(f);
    f->echo = true;
    expect_echo(f, "after");
    assert_int_equal(f->calls_heard, 2);
}

static void
a_reconnect_can_be_asked_for(void **state)
{
    struct fixture *f = *state;
    ps_bus_client_reconnect(f->client);
    assert_true(wait_for(f, &f->downs, 1, LIMIT_MS));
    assert_true(wait_for(f, &f->ups, 2, LIMIT_MS));
    expect_echo(f, "again");
}

static void
stop_ends_calls_under_way(void **state)
{
    struct fixture *f = *state;
    struct answer answers[3] = {0};
    f->echo = false;
    for (size_t i = 0; i < 3; i++)
        ps_bus_call(f->client, PS_STR("x"), LIMIT_MS, on_answer, &answers[i]);
    assert_true(wait_for(f, &f->waiting_count, 1, LIMIT_MS));
    ps_bus_client_stop(&f->client);
    assert_null(f->client);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(answers[i].done, 1);
        assert_int_equal(answers[i].rc, PS_SHUTTING_DOWN);
    }
}

static void
large_messages_have_a_bound(void **state)
{
    struct fixture *f = *state;
    struct ps_buf body;
    ps_buf_init(&body, PS_BUS_MESSAGE_MAX + 1);
    char *bytes = ps_buf_reserve(&body, PS_BUS_MESSAGE_MAX + 1);
    memset(bytes, 'x', PS_BUS_MESSAGE_MAX + 1);
    struct answer answer = {0};
    struct ps_str most = {bytes, PS_BUS_MESSAGE_MAX};
    ps_bus_call(f->client, most, LIMIT_MS, on_answer, &answer);
    assert_true(wait_for(f, &answer.done, 1, LIMIT_MS));
    assert_int_equal(answer.rc, PS_OK);
    assert_int_equal(answer.size, PS_BUS_MESSAGE_MAX);

    size_t heard = f->calls_heard;
    struct ps_str more = {bytes, PS_BUS_MESSAGE_MAX + 1};
    ps_bus_call(f->client, more, LIMIT_MS, on_answer, &answer);
    assert_true(wait_for(f, &answer.done, 2, LIMIT_MS));
    assert_int_equal(answer.rc, PS_TOO_BIG);
    assert_int_equal(f->calls_heard, heard);
    ps_buf_done(&body);
    expect_echo(f, "still there");
}

/* Whoever this client is, nothing gets through and nothing comes back. */
static void
expect_locked_out(struct fixture *f, const struct ps_bus_tls *tls)
{
    size_t ups = f->ups, heard = f->calls_heard, events = f->events;
    struct ps_bus_client *client = start_client(f, tls);
    struct answer answer = {0};
    ps_bus_call(client, PS_STR("let me in"), 700, on_answer, &answer);
    while (answer.done == 0) {
        ps_bus_publish(f->server, PS_STR("secret"));
        wait_for(f, &answer.done, 1, 20);
    }
    assert_int_equal(answer.rc, PS_FABRIC);
    assert_int_equal(f->ups, ups);
    assert_int_equal(f->calls_heard, heard);
    assert_int_equal(f->events, events);
    ps_bus_client_stop(&client);
}

static void
strangers_are_locked_out(void **state)
{
    struct fixture *f = *state;
    expect_echo(f, "hello");
    ps_bus_client_stop(&f->client);
    f->up = false;
    f->events = 0;
    /* Signed by somebody else, whom they trust or not. */
    struct ps_bus_tls a = make_tls(&foreign, &ours, "agent-1");
    struct ps_bus_tls b = make_tls(&foreign, &foreign, "agent-1");
    /* Our certificate, but they trust only somebody else. */
    struct ps_bus_tls c = make_tls(&ours, &foreign, "agent-1");
    expect_locked_out(f, &a);
    expect_locked_out(f, &b);
    expect_locked_out(f, &c);
    free_tls(&a);
    free_tls(&b);
    free_tls(&c);
    f->client = start_client(f, &f->client_tls);
    expect_echo(f, "the right one");
}

static void
a_server_by_another_name_is_not_trusted(void **state)
{
    struct fixture *f = *state;
    ps_bus_client_stop(&f->client);
    ps_bus_server_stop(&f->server);
    f->up = false;
    /* Another agent, say, with a good certificate. */
    free_tls(&f->server_tls);
    f->server_tls = make_tls(&ours, &ours, "agent-2");
    start_server(f);
    expect_locked_out(f, &f->client_tls);
}

static int
connect_tcp(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Port scanners, half a handshake, somebody who speaks plain HTTP. */
static void
noise_does_not_stop_the_listeners(void **state)
{
    struct fixture *f = *state;
    static const char *const noises[] = {
        "", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01",
        "\x15\x03\x03\x00\x02\x02\x28", "\x15\x03\x03\x00\x02\x01\x00"};
    static const size_t sizes[] = {0, 18, 6, 7, 7};
    int idle = connect_tcp(f->call_port);
    for (size_t i = 0; i < PS_ARRAY_LEN(noises) * 8; i++) {
        size_t kind = i % PS_ARRAY_LEN(noises);
        int ports[] = {f->call_port, f->event_port};
        for (size_t k = 0; k < 2; k++) {
            int fd = connect_tcp(ports[k]);
            assert_int_equal(write(fd, noises[kind], sizes[kind]),
                             (ssize_t)sizes[kind]);
            /* Half of them leave with a reset, the others with a FIN. */
            struct linger hard = {.l_onoff = 1, .l_linger = 0};
            if (i % 2)
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
            close(fd);
        }
        wait_for(f, &f->downs, 1, 5);
    }
    ps_bus_client_stop(&f->client);
    f->up = false;
    f->client = start_client(f, &f->client_tls);
    expect_echo(f, "after the noise");
    publish_until_heard(f);
    close(idle);
}

static void
bad_settings_are_explained(void **state)
{
    struct fixture *f = *state;
    struct ps_err err = {0};
    struct ps_bus_server *server = NULL;
    struct ps_bus_server_conf conf = {.loop = f->loop,
                                      .tls = &f->server_tls,
                                      .call_address = f->call_address,
                                      .event_address = "127.0.0.1:0",
                                      .parallel_calls = 1,
                                      .on_call = on_call,
                                      .arg = f};
    assert_int_equal(ps_bus_server_start(&server, &conf, &err), PS_IO);
    assert_null(server);
    assert_non_null(strstr(err.message, f->call_address));

    struct ps_bus_tls broken = f->client_tls;
    broken.key_pem = "not a key";
    struct ps_bus_client *client = NULL;
    struct ps_bus_client_conf client_conf = {.loop = f->loop,
                                             .tls = &broken,
                                             .call_address = f->call_address,
                                             .event_address = f->event_address,
                                             .on_event = on_event,
                                             .on_link = on_link,
                                             .arg = f};
    assert_int_equal(ps_bus_client_start(&client, &client_conf, &err), PS_TLS);
    assert_null(client);
    client_conf.tls = &f->client_tls;
    client_conf.call_address = "no port here";
    assert_int_equal(ps_bus_client_start(&client, &client_conf, &err),
                     PS_FABRIC);
    assert_null(client);
    assert_non_null(strstr(err.message, "no port here"));
}

static int
make_authorities(PS_UNUSED void **state)
{
    ours = make_authority("Portside CA");
    foreign = make_authority("Portside CA"); /* by the same name */
    return 0;
}

static int
free_authorities(PS_UNUSED void **state)
{
    free_authority(&ours);
    free_authority(&foreign);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_answered),
        TEST(replies_may_come_later_and_out_of_order),
        TEST(more_calls_than_contexts_wait_their_turn),
        TEST(a_call_without_reply_times_out_once),
        TEST(events_come_in_order),
        TEST(a_restarted_server_is_found_again),
        TEST(a_call_under_way_fails_when_the_server_goes),
        TEST(a_reconnect_can_be_asked_for),
        TEST(stop_ends_calls_under_way),
        TEST(large_messages_have_a_bound),
        TEST(strangers_are_locked_out),
        TEST(a_server_by_another_name_is_not_trusted),
        TEST(noise_does_not_stop_the_listeners),
        TEST(bad_settings_are_explained),
    };
    return cmocka_run_group_tests(tests, make_authorities, free_authorities);
}
