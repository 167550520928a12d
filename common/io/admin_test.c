/* The text of metrics, and the admin listener on a real socket. */
#include "common/io/admin.h"
#include "common/log.h"
#include "common/metrics.h"
#include "tests/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void
families_labels_and_values(PS_UNUSED void **state)
{
    const struct ps_metric_label labels[] = {
        {"cache", "a\"b\\c\nd"},
        {"x",     "y"         }
    };
    struct ps_buf out;
    ps_buf_init(&out, 1 << 16);
    struct ps_metrics m = {.out = &out};
    ps_metric_begin(&m, "portside_x_total", PS_METRIC_COUNTER, "Help.");
    ps_metric_put(&m, labels, 2, 12345678901234.0);
    ps_metric_put(&m, labels, 1, 0.25);
    ps_metric_one(&m, "portside_y", PS_METRIC_GAUGE, "Why.", -1);
    ps_buf_append_char(&out, '\0');
    assert_string_equal(out.data,
                        "# HELP portside_x_total Help.\n"
                        "# TYPE portside_x_total counter\n"
                        "portside_x_total{cache=\"a\\\"b\\\\c\\nd\",x=\"y\"} "
                        "12345678901234\n"
                        "portside_x_total{cache=\"a\\\"b\\\\c\\nd\"} 0.25\n"
                        "# HELP portside_y Why.\n"
                        "# TYPE portside_y gauge\n"
                        "portside_y -1\n");
    ps_buf_done(&out);
}

static void
histograms_grow_and_end_in_everything(PS_UNUSED void **state)
{
    const struct ps_metric_label label = {"cache", "c"};
    struct ps_hist h = {.count = 0};
    struct ps_buf out;
    ps_buf_init(&out, 1 << 16);
    struct ps_metrics m = {.out = &out};
    ps_hist_add(&h, 10);
    ps_hist_add(&h, 20);
    ps_hist_add(&h, UINT64_C(100000000));
    ps_metric_begin(&m, "portside_d_seconds", PS_METRIC_HISTOGRAM, "Time.");
    ps_metric_hist(&m, &label, 1, &h);
    ps_buf_append_char(&out, '\0');
    assert_non_null(strstr(
        out.data, "portside_d_seconds_bucket{cache=\"c\",le=\"1.6e-05\"} 1\n"
                  "portside_d_seconds_bucket{cache=\"c\",le=\"3.2e-05\"} 2\n"));
    assert_non_null(
        strstr(out.data,
               "portside_d_seconds_bucket{cache=\"c\",le=\"16.777216\"} 2\n"));
    assert_non_null(strstr(out.data,
                           "_bucket{cache=\"c\",le=\"+Inf\"} 3\n"
                           "portside_d_seconds_sum{cache=\"c\"} 100.00003\n"
                           "portside_d_seconds_count{cache=\"c\"} 3\n"));
    ps_buf_done(&out);
}

/* ---- the listener ---- */

struct world {
    struct ps_loop *loop;
    struct ps_admin *admin;
    const char *trouble;
    bool late; /* figures have to be brought up to date first */
    unsigned refreshes;
};

static bool
refresh(void *arg)
{
    struct world *w = arg;
    w->refreshes += w->late;
    return w->late;
}

static void
metrics(PS_UNUSED void *arg, struct ps_metrics *m)
{
    ps_metric_one(m, "portside_y", PS_METRIC_GAUGE, "Why.", 7);
}

static const char *
trouble(void *arg)
{
    return ((struct world *)arg)->trouble;
}

static int
setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    ps_log_set_level(PS_LOG_OFF);
    w->loop = ps_loop_new(ps_clock_real(), "test");
    const struct ps_admin_conf conf = {.loop = w->loop,
                                       .address = "127.0.0.1:0",
                                       .refresh = refresh,
                                       .metrics = metrics,
                                       .trouble = trouble,
                                       .arg = w};
    assert_int_equal(ps_admin_start(&w->admin, &conf, NULL), PS_OK);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    ps_admin_stop(&w->admin);
    ps_loop_free(&w->loop);
    ps_log_set_level(PS_LOG_INFO);
    free(w);
    return 0;
}

static int
ask(struct world *w, const char *request)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port =
                                 htons((uint16_t)ps_admin_port(w->admin)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    return fd;
}

/* The whole reply, until the other side closes. */
static const char *
reply_of(struct world *w, int fd)
{
    static char text[65536];
    size_t len = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ps_loop_turn(w->loop);
        if (poll(&p, 1, 5) <= 0)
            continue;
        ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    text[len] = '\0';
    close(fd);
    return text;
}

#define GET(path) \
    "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void
paths_and_methods(void **state)
{
    struct world *w = *state;
    const char *text = reply_of(w, ask(w, GET("/metrics")));
    assert_non_null(strstr(text, "200 OK"));
    assert_non_null(strstr(text, "text/plain; version=0.0.4"));
    assert_non_null(strstr(text, "\nportside_y 7\n"));
    assert_non_null(strstr(reply_of(w, ask(w, GET("/healthz"))), " 200 "));
    assert_non_null(strstr(reply_of(w, ask(w, GET("/readyz"))), " 200 "));
    w->trouble = "no session";
    text = reply_of(w, ask(w, GET("/readyz")));
    assert_non_null(strstr(text, " 503 "));
    assert_non_null(strstr(text, "no session"));
    assert_non_null(strstr(reply_of(w, ask(w, GET("/"))), " 404 "));
    text =
        reply_of(w, ask(w, "POST /metrics HTTP/1.1\r\nHost: x\r\n"
                           "Content-Length: 0\r\nConnection: close\r\n\r\n"));
    assert_non_null(strstr(text, " 405 "));
    assert_non_null(strstr(text, "Allow: GET, HEAD\r\n"));
}

static void
scrapes_wait_for_fresh_figures(void **state)
{
    struct world *w = *state;
    w->late = true;
    int one = ask(w, GET("/metrics")), two = ask(w, GET("/metrics"));
    int gone = ask(w, GET("/metrics"));
    while (w->refreshes == 0)
        ps_loop_turn(w->loop);
    for (unsigned i = 0; i < 100; i++)
        ps_loop_turn(w->loop);
    close(gone);
    for (unsigned i = 0; i < 100; i++)
        ps_loop_turn(w->loop);
    assert_int_equal(w->refreshes, 1);
    ps_admin_fresh(w->admin);
    assert_non_null(strstr(reply_of(w, one), "portside_y 7"));
    assert_non_null(strstr(reply_of(w, two), "portside_y 7"));
    /* One that is never answered is when the listener ends. */
    int three = ask(w, GET("/metrics"));
    while (w->refreshes == 1)
        ps_loop_turn(w->loop);
    ps_admin_stop(&w->admin);
    close(three);
}

static void
levels_are_shown_and_set(void **state)
{
    struct world *w = *state;
    assert_non_null(strstr(reply_of(w, ask(w, GET("/log-levels"))), "\noff\n"));
    const char *text = reply_of(
        w, ask(w, "PUT /log-levels HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                  "Content-Length: 15\r\n\r\noff,link=debug\n"));
    assert_non_null(strstr(text, " 200 "));
    assert_non_null(strstr(text, "off,link=debug\n"));
    assert_true(ps_log_wants(PS_LOG_DEBUG, "link"));
    text = reply_of(
        w, ask(w, "PUT /log-levels HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                  "Content-Length: 4\r\n\r\nloud"));
    assert_non_null(strstr(text, " 400 "));
    assert_true(ps_log_wants(PS_LOG_DEBUG, "link"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        cmocka_unit_test(families_labels_and_values),
        cmocka_unit_test(histograms_grow_and_end_in_everything),
        TEST(paths_and_methods),
        TEST(scrapes_wait_for_fresh_figures),
        TEST(levels_are_shown_and_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
