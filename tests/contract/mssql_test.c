/*
 * What only the SQL Server driver has: the stages of connecting as the worker
 * process finds them, TLS inside PRELOGIN, parameters of sp_executesql, text
 * that FreeTDS would cut, result sets and messages.
 *
 *   with_tds mssql_test                               a server with TLS
 *   PS_TDS_ARGS='--encrypt none' with_tds mssql_test plain    one without
 */
#include "tests/contract/steps.h"
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>

static int
setup(void **state)
{
    return rig_setup(state, dialect_find("mssql"));
}

static void
set_host(struct rig *rig, const char *host)
{
    free(rig->conf->host);
    rig->conf->host = strdup(host);
}

static void
set_tls(struct rig *rig, enum ps_tls_mode mode, const char *pem)
{
    rig->conf->tls_mode = mode;
    free(rig->conf->tls_ca_pem);
    rig->conf->tls_ca_pem = pem ? strdup(pem) : NULL;
}

/* -------------------------------------------------- stages of connecting */

static void
every_stage_has_its_code(void **state)
{
    struct rig *rig = *state;
    set_host(rig, "no-such-host.invalid");
    expect_open(rig, PS_ORIGIN_HOST);
    set_host(rig, "localhost\nencryption = off");
    expect_open(rig, PS_ORIGIN_HOST);
    set_host(rig, "localhost");
    rig->conf->port = rig_unused_port();
    expect_open(rig, PS_ORIGIN_REFUSED);
    rig->conf->port = rig->port;
    rig->conf->connect_timeout_ms = 300;
    expect_open_by(rig, (struct relay_conf){.silent = true}, PS_ORIGIN_TIMEOUT);
    rig->conf->connect_timeout_ms = 2000;
    expect_open_by(rig,
                   (struct relay_conf){.says = PS_STR("HTTP/1.1 400 No\r\n")},
                   PS_ORIGIN_PROTOCOL);
    rig->conf->connect_timeout_ms = 5000;
    struct ps_login login = rig_login();
    login.database = PS_STR("missing");
    struct ps_conn *conn = rig_open_as(rig, login);
    assert_int_equal(rig->rc, PS_LOGIN_FAILED);
    ps_conn_close(&conn);
    expect_open(rig, PS_OK);
}

static void
a_certificate_is_checked(void **state)
{
    struct rig *rig = *state;
    char *pem = strdup(rig->conf->tls_ca_pem);
    set_tls(rig, PS_TLS_VERIFY_FULL, NULL); /* by the system's bundle */
    expect_open(rig, PS_ORIGIN_CERT);
    set_tls(rig, PS_TLS_VERIFY_CA, NULL);
    expect_open(rig, PS_ORIGIN_CERT);
    set_tls(rig, PS_TLS_VERIFY_FULL, pem);
    expect_open(rig, PS_OK);
    set_host(rig, "127.0.0.1"); /* not what the certificate says */
    expect_open(rig, PS_ORIGIN_CERT);
    set_tls(rig, PS_TLS_VERIFY_CA, pem);
    expect_open(rig, PS_OK);
    set_tls(rig, PS_TLS_REQUIRE, NULL);
    expect_open(rig, PS_OK);
    free(pem);
}

/* Does a word of a statement pass the line in the clear? */
static bool
in_the_clear(struct rig *rig)
{
    const struct relay_conf relay_conf = {.server_port = rig->port,
                                          .cut_after = SIZE_MAX,
                                          .look_for = PS_STR("q\0u\0a\0c\0k")};
    struct relay *relay = relay_new(rig->loop, &relay_conf);
    rig->conf->port = relay_port(relay);
    struct ps_conn *conn = opened(rig);
    expect_json(rig, conn, "select N'quack' as v", "[{\"v\":\"quack\"}]");
    bool seen = relay_saw(relay);
    ps_conn_close(&conn);
    rig->conf->port = rig->port;
    relay_free(&relay);
    return seen;
}

/* Not only the login, which is what FreeTDS does of itself. */
static void
every_mode_but_disable_encrypts_all(void **state)
{
    static const enum ps_tls_mode modes[] = {
        PS_TLS_PREFER, PS_TLS_REQUIRE, PS_TLS_VERIFY_CA, PS_TLS_VERIFY_FULL};
    struct rig *rig = *state;
    char *pem = strdup(rig->conf->tls_ca_pem);
    for (size_t i = 0; i < PS_ARRAY_LEN(modes); i++) {
        set_tls(rig, modes[i], pem);
        assert_false(in_the_clear(rig));
    }
    set_tls(rig, PS_TLS_DISABLE, NULL);
    assert_true(in_the_clear(rig));
    free(pem);
}

static void
a_server_without_tls(void **state)
{
    static const enum ps_tls_mode modes[] = {PS_TLS_REQUIRE, PS_TLS_VERIFY_CA,
                                             PS_TLS_VERIFY_FULL};
    struct rig *rig = *state;
    char *pem = strdup(rig->conf->tls_ca_pem);
    for (size_t i = 0; i < PS_ARRAY_LEN(modes); i++) {
        set_tls(rig, modes[i], pem);
        expect_open(rig, PS_ORIGIN_TLS);
    }
    set_tls(rig, PS_TLS_PREFER, NULL);
    expect_open(rig, PS_OK);
    set_tls(rig, PS_TLS_DISABLE, NULL);
    expect_open(rig, PS_OK);
    free(pem);
}

/* ------------------------------------------------------------- parameters */

static void
parameters_of_every_kind(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    const struct ps_param params[] = {
        {.kind = PS_PARAM_NULL                 },
        { .kind = PS_PARAM_BOOL,                .text = PS_STR("true")},
        { .kind = PS_PARAM_NUMBER,             .text = PS_STR("-1.5e-3")},
        { .kind = PS_PARAM_TEXT, .text = PS_STR("'🎉\" \\ ; -- @p1")},
        { .kind = PS_PARAM_TEXT,                    .text = PS_STR("")},
        { .kind = PS_PARAM_NUMBER,          .text = PS_STR("2147483648")},
        { .kind = PS_PARAM_NUMBER,                  .text = PS_STR("-7")},
    };
    expect_params(
        rig, conn, "select @p0 a, @p1 b, @p2 c, @p3 d, @p4 e, @p5 f, @p6 g",
        params, 7,
        "[{\"a\":null,\"b\":true,\"c\":-0.0015,"
        "\"d\":\"'🎉\\\" \\\\ ; -- @p1\",\"e\":\"\",\"f\":\"2147483648\","
        "\"g\":-7}]");
    ps_conn_close(&conn);
}

/* Where FreeTDS changes from one way of sending to another. */
static void
long_text_arrives_whole(void **state)
{
    static const size_t lengths[] = {1,    1999,  2000,  2001,  3999,  4000,
                                     4001, 32767, 32768, 65536, 200000};
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    for (size_t i = 0; i < PS_ARRAY_LEN(lengths); i++) {
        size_t n = lengths[i];
        char *text = malloc(n * 4 + 1), *want = malloc(n * 4 + 64);
        assert_true(text && want);
        for (size_t at = 0; at < n; at++) /* of 2 units each */
            memcpy(text + at * 4, "🦆", 4);
        text[n * 4] = '\0';
        snprintf(want, n * 4 + 64, "[{\"n\":%zu,\"v\":\"%s\"}]", n * 4, text);
        const struct ps_param param = {
            .kind = PS_PARAM_TEXT, .text = {text, n * 4}
        };
        expect_params(rig, conn, "select datalength(@p0) as n, @p0 as v",
                      &param, 1, want);
        free(text);
        free(want);
    }
    ps_conn_close(&conn);
}

static void
expect_not_sent(struct rig *rig, struct ps_conn *conn,
                const struct ps_statement *statement, enum ps_rc want)
{
    rig_run(rig, conn, statement, NULL);
    assert_int_equal(rig->rc, want);
    assert_true(rig->outcome.not_sent);
    assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
}

/* Hazard 39: FreeTDS sends what is before the bad byte and calls it success.
 * This statement would change both rows. */
static void
text_that_is_not_utf8_changes_nothing(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    run(rig, conn, "create table safe (id int, a int)");
    run(rig, conn, "insert into safe values (1, 0), (2, 0)");
    assert_int_equal(rig->rc, PS_OK);
    struct ps_statement bad = {
        .sql = PS_STR("update safe set a = 1 --\xff\n where id = 2"),
        .timeout_ms = 5000,
        .may_write = true};
    expect_not_sent(rig, conn, &bad, PS_BAD_UTF8);
    const struct ps_param param = {.kind = PS_PARAM_TEXT,
                                   .text = PS_STR("a\xc3")};
    const struct ps_param list = {.kind = PS_PARAM_ARRAY};
    struct ps_statement with = {.sql = PS_STR("update safe set a = len(@p0)"),
                                .params = &param,
                                .n_params = 1,
                                .timeout_ms = 5000,
                                .may_write = true};
    expect_not_sent(rig, conn, &with, PS_BAD_UTF8);
    with.params = &list;
    expect_not_sent(rig, conn, &with, PS_BAD_BINDINGS);
    expect_json(rig, conn, "select sum(a) as n from safe", "[{\"n\":0}]");
    ps_conn_close(&conn);
}

/* --------------------------------------------------------------- results */

static void
several_results_and_messages(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    expect_json(rig, conn, "select 1 as a; print 'word'; select 2 as b, 3 as c",
                "[{\"a\":1},{\"b\":2,\"c\":3}]");
    expect_json(rig, conn, "select 1 as a where 1 = 0; select 2 as b",
                "[{\"b\":2}]");
    expect_json(rig, conn, "raiserror(N'low', 10, 1)", "[]");
    expect_json(rig, conn, "declare @x int", "[]");
    /* The later statement's error is the statement's. */
    run(rig, conn, "select 1 as a; select 1/0 as b; select 3 as c");
    assert_int_equal(rig->rc, PS_ORIGIN_SQL);
    assert_string_equal(rig->err.sqlstate, "8134");
    assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
    run(rig, conn, "throw 2147483647, N'the largest number', 1");
    assert_string_equal(rig->err.sqlstate, "2147483647");
    expect_json(rig, conn, "select 1 as one", "[{\"one\":1}]");
    ps_conn_close(&conn);
}

static void
of_equal_names_the_values_become_an_array(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    expect_json(rig, conn, "select 1 as a, 2 as b, 3 as a, null as a",
                "[{\"a\":[1,3,null],\"b\":2}]");
    expect_json(rig, conn, "select 0 as a, 2 as a", "[{\"a\":2}]");
    expect_json(rig, conn, "select 1 as a, 0 as a", "[{\"a\":[1,0]}]");
    expect_json(rig, conn, "select '' as a, 0 as a, null as a",
                "[{\"a\":null}]");
    expect_json(rig, conn, "select 1, 2", "[{\"\":[1,2]}]");
    ps_conn_close(&conn);
}

/* On the same connection: the reset is TDS's own. */
static void
a_reset_undoes_every_change(void **state)
{
    static const char *const changes[] = {
        "begin transaction",
        "exec sp_set_session_context N'k', 1",
        "exec sp_getapplock N'mine', 'Exclusive', 'Session', 0",
        "begin transaction; create table kept (a int)",
    };
    static const char probe[] =
        "select @@spid as s, @@trancount as t, session_context(N'k') as k, "
        "applock_mode('public', 'mine', 'Session') as a, "
        "object_id('kept') as o";
    struct rig *rig = *state;
    for (int tls = 0; tls < 2; tls++) {
        set_tls(rig, tls ? PS_TLS_REQUIRE : PS_TLS_DISABLE, NULL);
        struct ps_conn *conn = opened(rig);
        char *clean = rig_json(rig, conn, probe);
        assert_non_null(clean);
        for (size_t i = 0; i < PS_ARRAY_LEN(changes); i++) {
            run(rig, conn, changes[i]);
            char *changed = rig_json(rig, conn, probe);
            assert_string_not_equal(changed, clean);
            free(changed);
            assert_int_equal(rig_reset(rig, conn), PS_OK);
            expect_json(rig, conn, probe, clean);
            assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
        }
        free(clean);
        ps_conn_close(&conn);
    }
}

static void
a_row_larger_than_the_limit(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    const struct ps_statement statement = {
        .sql = PS_STR("select replicate(cast('x' as varchar(max)), 67108870)"),
        .timeout_ms = 100000};
    rig_run(rig, conn, &statement, NULL);
    assert_int_equal(rig->rc, PS_RESULT_TOO_BIG);
    ps_conn_close(&conn);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, rig_teardown)

int
main(int argc, char **argv)
{
    const struct CMUnitTest plain[] = {
        TEST(a_server_without_tls),
    };
    const struct CMUnitTest tests[] = {
        TEST(every_stage_has_its_code),
        TEST(a_certificate_is_checked),
        TEST(every_mode_but_disable_encrypts_all),
        TEST(parameters_of_every_kind),
        TEST(long_text_arrives_whole),
        TEST(text_that_is_not_utf8_changes_nothing),
        TEST(several_results_and_messages),
        TEST(of_equal_names_the_values_become_an_array),
        TEST(a_reset_undoes_every_change),
        TEST(a_row_larger_than_the_limit),
    };
    if (argc > 1 && strcmp(argv[1], "plain") == 0)
        return cmocka_run_group_tests(plain, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
