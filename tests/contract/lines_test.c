/*
 * A connection that breaks at any byte, or goes silent, in front of a real
 * server: the outcome is lost, or for a write not known.
 *
 *   with_postgres lines_test postgres
 */
#include "tests/contract/steps.h"
#include "tests/unit.h"

#include <stdio.h>

static const struct dialect *dialect;

static int
setup(void **state)
{
    return rig_setup(state, dialect);
}

/* Login and one statement over a line that is cut after n bytes from the
 * server. How many there are when it is not cut. */
static size_t
cut_after(struct rig *rig, size_t n, bool may_write)
{
    const struct relay_conf relay_conf = {.server_port = rig->port,
                                          .cut_after = n};
    struct relay *relay = relay_new(rig->loop, &relay_conf);
    const struct ps_statement statement = {.sql = PS_STR("select 'answer'"),
                                           .timeout_ms = 10000,
                                           .may_write = may_write};
    rig->conf->port = relay_port(relay);
    struct ps_conn *conn = rig_open(rig);
    size_t bytes = relay_bytes(relay);
    if (rig->rc != PS_OK) {
        if (rig->rc != PS_ORIGIN_LOST && rig->rc != PS_ORIGIN_TLS)
            fail_msg("open, cut after %zu: %s", n, ps_err_info(rig->rc)->code);
    } else if (n > bytes) {
        rig_run(rig, conn, &statement, NULL);
        bytes = relay_bytes(relay);
        enum ps_rc want = may_write ? PS_OUTCOME_UNKNOWN : PS_ORIGIN_LOST;
        if (rig->rc != PS_OK && rig->rc != want)
            fail_msg("cut after %zu: %s", n, ps_err_info(rig->rc)->code);
        if (rig->rc != PS_OK)
            assert_int_equal(rig->outcome.state, PS_CONN_BROKEN);
        if (n < SIZE_MAX && rig->rc == PS_OK)
            assert_int_equal(bytes, n);
    }
    ps_conn_close(&conn);
    relay_free(&relay);
    return bytes;
}

static void
a_line_that_is_cut_at_any_byte(void **state)
{
    struct rig *rig = *state;
    rig->conf->tls_mode = PS_TLS_DISABLE;
    size_t all = cut_after(rig, SIZE_MAX, false);
    assert_int_equal(rig->rc, PS_OK);
    size_t descriptors = count_descriptors();
    size_t unknown = 0;
    for (size_t n = 0; n < all; n += 5) {
        cut_after(rig, n, n / 5 % 2);
        unknown += rig->rc == PS_OUTCOME_UNKNOWN;
    }
    assert_true(unknown > 5);
    assert_int_equal(count_descriptors(), descriptors);
}

static void
a_line_that_is_cut_inside_tls(void **state)
{
    struct rig *rig = *state;
    rig->conf->tls_mode = PS_TLS_REQUIRE;
    size_t all = cut_after(rig, SIZE_MAX, false);
    assert_int_equal(rig->rc, PS_OK);
    size_t descriptors = count_descriptors();
    for (size_t n = 1; n < all; n += 61)
        cut_after(rig, n, n % 2);
    assert_int_equal(count_descriptors(), descriptors);
}

/* The line goes silent: the time-out ends it, and the cancel, which gets no
 * answer either, a second later. */
static void
go_silent(struct rig *rig, bool may_write, enum ps_rc want)
{
    const struct relay_conf relay_conf = {.server_port = rig->port,
                                          .cut_after = SIZE_MAX};
    struct relay *relay = relay_new(rig->loop, &relay_conf);
    const struct ps_statement statement = {
        .sql = PS_STR("select 1"), .timeout_ms = 50, .may_write = may_write};
    rig->conf->port = relay_port(relay);
    struct ps_conn *conn = opened(rig);
    relay_stall(relay);
    rig_run(rig, conn, &statement, NULL);
    assert_int_equal(rig->rc, want);
    assert_int_equal(rig->outcome.state, PS_CONN_BROKEN);
    ps_conn_close(&conn);
    relay_free(&relay);
}

static void
a_line_that_goes_silent(void **state)
{
    go_silent(*state, false, PS_QUERY_TIMEOUT);
    go_silent(*state, true, PS_OUTCOME_UNKNOWN);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, rig_teardown)

int
main(int argc, char **argv)
{
    dialect = argc == 2 ? dialect_find(argv[1]) : NULL;
    if (!dialect || dialect->fake) {
        fprintf(stderr, "usage: %s SERVER\n", argv[0]);
        return 2;
    }
    const struct CMUnitTest tests[] = {
        TEST(a_line_that_is_cut_at_any_byte),
        TEST(a_line_that_is_cut_inside_tls),
        TEST(a_line_that_goes_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
