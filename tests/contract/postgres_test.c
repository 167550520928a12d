/*
 * What only a real PostgreSQL has: the stages of connecting, TLS, sessions and
 * what they leave behind.
 *
 *   with_postgres postgres_test
 */
#include "common/file.h"
#include "common/tls_peer.h"
#include "tests/contract/steps.h"
#include "tests/unit.h"

#include <sys/socket.h>
#include <unistd.h>

/* libpq's, too. The answer is there before libpq looks for it: a handshake
 * that ends within one call. */
static bool answers_wait;

ssize_t
send(int fd, const void *data, size_t n, int flags)
{
    ssize_t sent = sendto(fd, data, n, flags, NULL, 0);
    if (answers_wait)
        usleep(50 * 1000);
    return sent;
}

static int
setup(void **state)
{
    return rig_setup(state, dialect_find("postgres"));
}

/* ----------------------------------------------------- stages of connecting */

static void
every_stage_has_its_code(void **state)
{
    struct rig *rig = *state;
    free(rig->conf->host);
    rig->conf->host = strdup("no-such-host.invalid");
    expect_open(rig, PS_ORIGIN_HOST);
    free(rig->conf->host);
    rig->conf->host = strdup("localhost");
    rig->conf->port = rig_unused_port();
    expect_open(rig, PS_ORIGIN_REFUSED);
    rig->conf->port = rig->port;
    expect_open(rig, PS_OK);
    rig->conf->connect_timeout_ms = 150;
    expect_open_by(rig, (struct relay_conf){.silent = true}, PS_ORIGIN_TIMEOUT);
    rig->conf->connect_timeout_ms = 5000;
    expect_open_by(rig,
                   (struct relay_conf){.says = PS_STR("HTTP/1.1 400 No\r\n")},
                   PS_ORIGIN_PROTOCOL);
    expect_open_by(rig, (struct relay_conf){.cut_after = 0}, PS_ORIGIN_LOST);
}

/* Messages of the protocol, as a server sends them before a session is there.
 */
static void
what_a_server_says_instead_of_a_login(void **state)
{
    struct rig *rig = *state;
    rig->conf->tls_mode = PS_TLS_DISABLE;
    static const struct {
        struct ps_str says;
        enum ps_rc want;
    } cases[] = {
        {PS_STR("E\0\0\0\x30SFATAL\0VFATAL\0C57P03\0Mstarting up, not yet\0\0"),
         PS_ORIGIN_UNAVAILABLE                                                                            },
        {PS_STR(
             "E\0\0\0\x31SFATAL\0VFATAL\0C53300\0Mtoo many clients here\0\0"),
         PS_ORIGIN_TOO_MANY                                                                               },
        {PS_STR(
             "E\0\0\0\x31SFATAL\0VFATAL\0C28000\0Mno entry in hba file.\0\0"),
         PS_LOGIN_FAILED                                                                                  },
        {PS_STR("R\0\0\0\x08\0\0\0\x02"),                                               PS_UNSUPPORTED    }, /* Kerberos 5 */
        {PS_STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff"),                                PS_ORIGIN_PROTOCOL},
        {PS_STR("SSH-2.0-OpenSSH_9.2\r\n"),                                             PS_ORIGIN_PROTOCOL},
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++)
        expect_open_by(rig, (struct relay_conf){.says = cases[i].says},
                       cases[i].want);
}

static void
logins_that_are_refused(void **state)
{
    struct rig *rig = *state;
    struct ps_login login = rig_login();
    login.database = PS_STR("no such database");
    struct ps_conn *conn = rig_open_as(rig, login);
    assert_int_equal(rig->rc, PS_LOGIN_FAILED);
    ps_conn_close(&conn);
    /* At most two connections at a time for this one. */
    struct ps_conn *conns[3];
    login = rig_login();
    login.user = PS_STR("nosuper");
    for (size_t i = 0; i < 3; i++) {
        conns[i] = rig_open_as(rig, login);
        assert_int_equal(rig->rc, i < 2 ? PS_OK : PS_ORIGIN_TOO_MANY);
    }
    for (size_t i = 0; i < 3; i++)
        ps_conn_close(&conns[i]);
    /* pg_hba.conf lets this one in without TLS only. */
    login.user = PS_STR("plain");
    conn = rig_open_as(rig, login);
    assert_int_equal(rig->rc, PS_OK);
    ps_conn_close(&conn);
    rig->conf->tls_mode = PS_TLS_REQUIRE;
    conn = rig_open_as(rig, login);
    assert_int_equal(rig->rc, PS_LOGIN_FAILED);
    ps_conn_close(&conn);
}

static void
expect_tls(struct rig *rig, bool tls)
{
    struct ps_conn *conn = opened(rig);
    expect_json(rig, conn,
                "select ssl from pg_stat_ssl where pid = pg_backend_pid()",
                tls ? "[{\"ssl\":true}]" : "[{\"ssl\":false}]");
    ps_conn_close(&conn);
}

static void
tls_as_the_definition_says(void **state)
{
    struct rig *rig = *state;
    struct ps_cache_conf *conf = rig->conf;
    char *pem = NULL;
    size_t len = 0;
    assert_int_equal(
        ps_file_read(getenv("PS_PG_CA"), 1 << 16, &pem, &len, NULL), PS_OK);
    conf->tls_mode = PS_TLS_DISABLE;
    expect_tls(rig, false);
    conf->tls_mode = PS_TLS_PREFER;
    expect_tls(rig, true);
    conf->tls_mode = PS_TLS_REQUIRE;
    expect_tls(rig, true);
    expect_open_by(rig, (struct relay_conf){.says = PS_STR("N")},
                   PS_ORIGIN_TLS);
    conf->tls_mode = PS_TLS_VERIFY_FULL; /* by the system's bundle */
    for (int slow = 0; slow < 2; slow++) {
        answers_wait = slow == 1;
        expect_open(rig, PS_ORIGIN_CERT);
        assert_string_equal(rig->err.message,
                            ps_tls_fault_sentence(PS_TLS_FAULT_SELF_SIGNED));
    }
    answers_wait = false;
    conf->tls_ca_pem = pem;
    expect_tls(rig, true);
    free(conf->host);
    conf->host = strdup("127.0.0.1"); /* not what the certificate says */
    expect_open(rig, PS_ORIGIN_CERT);
    conf->tls_mode = PS_TLS_VERIFY_CA;
    expect_tls(rig, true);
}

/* ------------------------------------------------------------ parameters */

static void
parameters_of_every_kind(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    const struct ps_param scalars[] = {
        {.kind = PS_PARAM_NULL                },
        { .kind = PS_PARAM_BOOL,               .text = PS_STR("true")},
        { .kind = PS_PARAM_NUMBER,             .text = PS_STR("-1.5e3")},
        { .kind = PS_PARAM_TEXT, .text = PS_STR("'🎉\" \\ ; -- $1")},
        { .kind = PS_PARAM_TEXT,                   .text = PS_STR("")},
    };
    expect_params(rig, conn,
                  "select $1::text a, $2::bool b, $3::float8 c, $4 d, $5 e",
                  scalars, 5,
                  "[{\"a\":null,\"b\":true,\"c\":-1500,"
                  "\"d\":\"'🎉\\\" \\\\ ; -- $1\",\"e\":\"\"}]");
    const struct ps_param items[] = {
        {.kind = PS_PARAM_TEXT,   .text = PS_STR("a,\"b\\")},
        {.kind = PS_PARAM_NULL  },
        {.kind = PS_PARAM_TEXT, .text = PS_STR("NULL")                         },
        {.kind = PS_PARAM_TEXT,   .text = PS_STR("{}")},
    };
    const struct ps_param numbers[] = {
        {.kind = PS_PARAM_NUMBER, .text = PS_STR("1")},
        {.kind = PS_PARAM_NUMBER, .text = PS_STR("2")},
    };
    const struct ps_param rows[] = {
        {.kind = PS_PARAM_ARRAY, .items = numbers, .n_items = 2},
        {.kind = PS_PARAM_ARRAY, .items = numbers, .n_items = 2},
    };
    const struct ps_param arrays[] = {
        {.kind = PS_PARAM_ARRAY, .items = items, .n_items = 4},
        {.kind = PS_PARAM_ARRAY,          .items = rows, .n_items = 2},
        {.kind = PS_PARAM_ARRAY},
    };
    expect_params(rig, conn, "select $1::text[] a, $2::int[] b, $3::int[] c",
                  arrays, 3,
                  "[{\"a\":[\"a,\\\"b\\\\\",null,\"NULL\",\"{}\"],"
                  "\"b\":[[1,2],[1,2]],\"c\":[]}]");
    ps_conn_close(&conn);
}

static void
parameters_that_cannot_be_sent(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    struct ps_param deep[40];
    for (size_t i = 0; i < 40; i++)
        deep[i] = (struct ps_param){.kind = PS_PARAM_ARRAY,
                                    .items = &deep[i + 1],
                                    .n_items = i < 39 ? 1 : 0};
    const struct ps_statement statement = {.sql = PS_STR("select $1"),
                                           .params = deep,
                                           .n_params = 1,
                                           .timeout_ms = 1000,
                                           .may_write = true};
    rig_run(rig, conn, &statement, NULL);
    assert_int_equal(rig->rc, PS_BAD_BINDINGS);
    assert_true(rig->outcome.not_sent);
    assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
    expect_json(rig, conn, "select 1 as one", "[{\"one\":1}]");
    ps_conn_close(&conn);
}

/* --------------------------------------------------------------- results */

static void
several_statements_give_the_last_result(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    expect_json(rig, conn, "select 1 as a; select 2 as b", "[{\"b\":2}]");
    expect_json(rig, conn, "", "[]");
    expect_json(rig, conn, "begin; select 3 as c; commit", "[{\"c\":3}]");
    assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
    run(rig, conn, "copy (select 1) to stdout");
    assert_int_equal(rig->rc, PS_UNSUPPORTED);
    assert_int_equal(rig->outcome.state, PS_CONN_BROKEN);
    ps_conn_close(&conn);
}

/* More than a driver holds as a whole, but not more than this sink would. */
static void
a_row_larger_than_the_limit(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    assert_null(rig_json(rig, conn, "select repeat('x', 200 * 1024 * 1024)"));
    assert_int_equal(rig->rc, PS_RESULT_TOO_BIG);
    assert_int_not_equal(rig->outcome.state, PS_CONN_TRANSACTION);
    ps_conn_close(&conn);
}

/* ---------------------------------------------------------------- resets */

static void
a_reset_undoes_every_change(void **state)
{
    static const struct {
        const char *change, *probe;
    } cases[] = {
        {"set timezone = 'Asia/Tokyo'",                          "show timezone"                               },
        {"set datestyle = 'German'",                             "show datestyle"                              },
        {"set intervalstyle = 'iso_8601'",                       "show intervalstyle"                          },
        {"set bytea_output = 'escape'",                          "show bytea_output"                           },
        {"set extra_float_digits = -3",                          "show extra_float_digits"                     },
        {"set search_path = pg_catalog",                         "show search_path"                            },
        {"set client_encoding = 'latin1'",                       "show client_encoding"                        },
        {"set standard_conforming_strings = off",
         "show standard_conforming_strings"                                                                    },
        {"set statement_timeout = '7s'",                         "show statement_timeout"                      },
        {"set role plain",                                       "select current_user"                         },
        {"set session authorization plain",                      "select session_user"                         },
        {"set session characteristics as transaction read only",
         "show default_transaction_read_only"                                                                  },
        {"select set_config('my.word', 'x', false)",
         "select coalesce(current_setting('my.word', true), '') = '' as v"                                     },
        {"create temp table left_over (a int)",
         "select to_regclass('pg_temp.left_over') is null as v"                                                },
        {"prepare left_over as select 1",
         "select count(*) from pg_prepared_statements"                                                         },
        {"select pg_advisory_lock(7)",
         "select count(*) from pg_locks where locktype = 'advisory'"                                           },
        {"listen news",                                          "select count(*) from pg_listening_channels()"},
        {"declare c cursor with hold for select 1",
         "select count(*) from pg_cursors"                                                                     },
        {"begin",                                                "select now() = statement_timestamp() as v"   },
        {"begin; set local timezone = 'Asia/Tokyo'",             "show timezone"                               },
    };
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        char *before = rig_json(rig, conn, cases[i].probe);
        assert_non_null(before);
        run(rig, conn, cases[i].change);
        if (rig->rc != PS_OK)
            fail_msg("%s: %s", cases[i].change, rig->err.message);
        run(rig, conn, "select pg_sleep(0)"); /* now() of a begin stays */
        char *changed = rig_json(rig, conn, cases[i].probe);
        if (!changed || strcmp(before, changed) == 0)
            fail_msg("%s changes nothing", cases[i].change);
        free(changed);
        assert_int_equal(rig_reset(rig, conn), PS_OK);
        char *after = rig_json(rig, conn, cases[i].probe);
        if (!after || strcmp(before, after) != 0)
            fail_msg("%s is left: %s", cases[i].change, after);
        assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
        free(before);
        free(after);
    }
    /* And a transaction that failed. */
    run(rig, conn, "begin");
    run(rig, conn, "select 1/0");
    assert_int_equal(rig->outcome.state, PS_CONN_TRANSACTION);
    assert_int_equal(rig_reset(rig, conn), PS_OK);
    expect_json(rig, conn, "select 1 as one", "[{\"one\":1}]");
    ps_conn_close(&conn);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, rig_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_stage_has_its_code),
        TEST(what_a_server_says_instead_of_a_login),
        TEST(logins_that_are_refused),
        TEST(tls_as_the_definition_says),
        TEST(parameters_of_every_kind),
        TEST(parameters_that_cannot_be_sent),
        TEST(several_statements_give_the_last_result),
        TEST(a_row_larger_than_the_limit),
        TEST(a_reset_undoes_every_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
