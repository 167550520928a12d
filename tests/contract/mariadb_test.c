/*
 * What only a real MariaDB has: the stages of connecting, TLS, ways to log in,
 * parameters of prepared statements, sessions and what they leave behind.
 *
 *   with_mariadb mariadb_test
 */
#include "common/file.h"
#include "tests/contract/steps.h"
#include "tests/unit.h"

#include <stdio.h>

static int
setup(void **state)
{
    return rig_setup(state, dialect_find("mariadb"));
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
                   (struct relay_conf){.first = true,
                                       .says = PS_STR("HTTP/1.1 400 No\r\n")},
                   PS_ORIGIN_LOST);
    expect_open_by(rig, (struct relay_conf){.first = true, .cut_after = 0},
                   PS_ORIGIN_LOST);
}

/* Packets of the protocol instead of a greeting: an error before the login.
 * The library does not tell a foreign protocol from a line that broke. */
static void
what_a_server_says_instead_of_a_greeting(void **state)
{
    struct rig *rig = *state;
    rig->conf->tls_mode = PS_TLS_DISABLE;
    static const struct {
        struct ps_str says;
        enum ps_rc want;
    } cases[] = {
        {PS_STR("\x17\0\0\0\xff\x10\x04Too many connections"),
         PS_ORIGIN_TOO_MANY                                                  },
        {PS_STR("\x13\0\0\0\xff\x69\x04Host is blocked."),
         PS_ORIGIN_UNAVAILABLE                                               },
        {PS_STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff"),       PS_ORIGIN_LOST},
        {PS_STR("SSH-2.0-OpenSSH_9.2\r\n"),                    PS_ORIGIN_LOST},
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++)
        expect_open_by(
            rig, (struct relay_conf){.first = true, .says = cases[i].says},
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
    /* This one may log in with TLS only. */
    login.user = PS_STR("tls");
    rig->conf->tls_mode = PS_TLS_DISABLE;
    conn = rig_open_as(rig, login);
    assert_int_equal(rig->rc, PS_LOGIN_FAILED);
    ps_conn_close(&conn);
    rig->conf->tls_mode = PS_TLS_REQUIRE;
    conn = rig_open_as(rig, login);
    assert_int_equal(rig->rc, PS_OK);
    ps_conn_close(&conn);
}

static void
expect_tls(struct rig *rig, bool tls)
{
    struct ps_conn *conn = opened(rig);
    expect_json(rig, conn,
                "select variable_value <> '' as tls from "
                "information_schema.session_status "
                "where variable_name = 'ssl_cipher'",
                tls ? "[{\"tls\":1}]" : "[{\"tls\":0}]");
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
        ps_file_read(getenv("PS_MY_CA"), 1 << 16, &pem, &len, NULL), PS_OK);
    conf->tls_mode = PS_TLS_DISABLE;
    expect_tls(rig, false);
    conf->tls_mode = PS_TLS_PREFER;
    expect_tls(rig, true);
    conf->tls_mode = PS_TLS_REQUIRE;
    expect_tls(rig, true);
    conf->tls_mode = PS_TLS_VERIFY_FULL; /* by the system's bundle */
    expect_open(rig, PS_ORIGIN_CERT);
    conf->tls_ca_pem = pem;
    expect_tls(rig, true);
    free(conf->host);
    conf->host = strdup("127.0.0.1"); /* not what the certificate says */
    expect_open(rig, PS_ORIGIN_CERT);
    conf->tls_mode = PS_TLS_VERIFY_CA;
    expect_tls(rig, true);
}

static void
ways_to_log_in(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    static const struct {
        const char *how;
    } cases[] = {
        {"identified via mysql_native_password using password('pass word')"},
        {"identified via ed25519 using password('pass word')"},
    };
    run(rig, conn, "install soname 'auth_ed25519'");
    assert_int_equal(rig->rc, PS_OK);
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        char sql[128];
        snprintf(sql, sizeof(sql), "create or replace user way %s",
                 cases[i].how);
        run(rig, conn, sql);
        if (rig->rc != PS_OK)
            fail_msg("%s: %s", sql, rig->err.message);
        run(rig, conn, "grant select on app.* to way");
        struct ps_login login = rig_login();
        login.user = PS_STR("way");
        login.password = PS_STR("pass word");
        struct ps_conn *other = rig_open_as(rig, login);
        if (rig->rc != PS_OK)
            fail_msg("%s: %s", cases[i].how, rig->err.message);
        expect_json(rig, other, "select current_user() as u",
                    "[{\"u\":\"way@%\"}]");
        ps_conn_close(&other);
        login.password = PS_STR("pass wor");
        other = rig_open_as(rig, login);
        assert_int_equal(rig->rc, PS_LOGIN_FAILED);
        ps_conn_close(&other);
    }
    ps_conn_close(&conn);
}

/* ------------------------------------------------------------ parameters */

static void
parameters_of_every_kind(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    const struct ps_param scalars[] = {
        {.kind = PS_PARAM_NULL               },
        { .kind = PS_PARAM_BOOL,              .text = PS_STR("true")},
        { .kind = PS_PARAM_NUMBER,            .text = PS_STR("-1.5e3")},
        { .kind = PS_PARAM_NUMBER,  .text = PS_STR("9007199254740993")},
        { .kind = PS_PARAM_NUMBER,               .text = PS_STR("0.1")},
        { .kind = PS_PARAM_TEXT, .text = PS_STR("'🎉\" \\ ; -- ?")},
        { .kind = PS_PARAM_TEXT,                  .text = PS_STR("")},
    };
    for (int round = 0; round < 3; round++) /* prepared, then from memory */
        expect_params(rig, conn, "select ? a, ? b, ? c, ? + 0 d, ? e, ? f, ? g",
                      scalars, 7,
                      "[{\"a\":null,\"b\":1,\"c\":-1500,"
                      "\"d\":9007199254740992,\"e\":\"0.1\","
                      "\"f\":\"'🎉\\\" \\\\ ; -- ?\",\"g\":\"\"}]");
    ps_conn_close(&conn);
}

/* More statements than a connection keeps, and each still right. */
static void
more_statements_than_are_kept(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    const struct ps_param one[] = {
        {.kind = PS_PARAM_NUMBER, .text = PS_STR("7")}
    };
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 200; i++) {
            char sql[64], want[64];
            snprintf(sql, sizeof(sql), "select ? + %d as v", i);
            snprintf(want, sizeof(want), "[{\"v\":%d}]", i + 7);
            expect_params(rig, conn, sql, one, 1, want);
        }
    char *json = rig_json(rig, conn,
                          "select variable_value + 0 as n from "
                          "information_schema.global_status where "
                          "variable_name = 'prepared_stmt_count'");
    assert_non_null(json);
    static const char before[] = "[{\"n\":";
    assert_int_equal(strncmp(json, before, strlen(before)), 0);
    long n = strtol(json + strlen(before), NULL, 10);
    assert_in_range(n, 1, 64);
    free(json);
    ps_conn_close(&conn);
}

/* A table that changes its columns between two executions: their number, their
 * types, their names. */
static void
a_prepared_statement_whose_table_changes(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    const struct ps_param one[] = {
        {.kind = PS_PARAM_NUMBER, .text = PS_STR("1")}
    };
    run(rig, conn, "create or replace table shape (a int)");
    run(rig, conn, "insert into shape values (1)");
    expect_params(rig, conn, "select * from shape where a = ?", one, 1,
                  "[{\"a\":1}]");
    run(rig, conn, "alter table shape add b varchar(10) default 'new'");
    expect_params(rig, conn, "select * from shape where a = ?", one, 1,
                  "[{\"a\":1,\"b\":\"new\"}]");
    run(rig, conn, "alter table shape modify a varchar(100)");
    expect_params(rig, conn, "select * from shape where a = ?", one, 1,
                  "[{\"a\":\"1\",\"b\":\"new\"}]");
    run(rig, conn, "alter table shape rename column b to c");
    for (int again = 0; again < 3; again++)
        expect_params(rig, conn, "select * from shape where a = ?", one, 1,
                      "[{\"a\":\"1\",\"c\":\"new\"}]");
    run(rig, conn, "update shape set c = '[1]'");
    run(rig, conn, "alter table shape modify c json");
    assert_int_equal(rig->rc, PS_OK);
    for (int again = 0; again < 3; again++)
        expect_params(rig, conn, "select * from shape where a = ?", one, 1,
                      "[{\"a\":\"1\",\"c\":[1]}]");
    run(rig, conn, "drop table shape");
    ps_conn_close(&conn);
}

/* --------------------------------------------------------------- results */

static void
results_that_are_none_or_several(void **state)
{
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    run(rig, conn, "select 1 as a; select 2 as b"); /* one at a time */
    assert_int_equal(rig->rc, PS_ORIGIN_SQL);
    assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
    run(rig, conn,
        "create or replace procedure two() begin select 1 as a; "
        "select 2 as b; end");
    assert_int_equal(rig->rc, PS_OK);
    run(rig, conn, "call two()");
    assert_int_equal(rig->rc, PS_OK);
    assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
    expect_json(rig, conn, "select 1 as one", "[{\"one\":1}]");
    run(rig, conn, "drop procedure two");
    /* A file of ours is never sent, whatever a server asks for. */
    run(rig, conn, "create or replace table t (a text)");
    run(rig, conn, "load data local infile '/etc/passwd' into table t");
    assert_int_not_equal(rig->rc, PS_OK);
    ps_conn_close(&conn);
    conn = opened(rig);
    expect_json(rig, conn, "select count(*) as n from t", "[{\"n\":0}]");
    run(rig, conn, "drop table t");
    ps_conn_close(&conn);
}

/* ---------------------------------------------------------------- resets */

static void
a_reset_undoes_every_change(void **state)
{
    static const struct {
        const char *change, *probe;
    } cases[] = {
        {"set time_zone = '+09:00'",                             "select @@time_zone v"                 },
        {"set sql_mode = 'ANSI_QUOTES'",                         "select @@sql_mode v"                  },
        {"set names latin1",                                     "select @@character_set_client v"      },
        {"set names utf8mb4 collate utf8mb4_bin",
         "select @@collation_connection v"                                                              },
        {"set autocommit = 0",                                   "select @@autocommit v"                },
        {"set session transaction isolation level serializable",
         "select @@tx_isolation v"                                                                      },
        {"set session transaction read only",                    "select @@tx_read_only v"              },
        {"set sql_select_limit = 1",                             "select @@sql_select_limit v"          },
        {"set sql_safe_updates = 1",                             "select @@sql_safe_updates v"          },
        {"set foreign_key_checks = 0",                           "select @@foreign_key_checks v"        },
        {"set unique_checks = 0",                                "select @@unique_checks v"             },
        {"set lc_time_names = 'ja_JP'",                          "select @@lc_time_names v"             },
        {"set group_concat_max_len = 5",                         "select @@group_concat_max_len v"      },
        {"set div_precision_increment = 9",
         "select @@div_precision_increment v"                                                           },
        {"set max_statement_time = 7",                           "select @@max_statement_time v"        },
        {"set timestamp = 1",                                    "select @@timestamp < 10 v"            },
        {"set insert_id = 77",                                   "select @@insert_id v"                 },
        {"set @word = 'left'",                                   "select @word v"                       },
        {"use information_schema",                               "select database() v"                  },
        {"create temporary table left_over as select 1 as a",
         "select count(*) as v from left_over"                                                          },
        {"select get_lock('left', 0)",                           "select is_used_lock('left') is null v"},
        {"start transaction",                                    "select @@in_transaction v"            },
        {"prepare left_over from 'select 1'",
         "select variable_value v from information_schema.session_status where "
         "variable_name = 'com_stmt_prepare' and false"                                                 },
    };
    struct rig *rig = *state;
    struct ps_conn *conn = opened(rig);
    run(rig, conn, "create or replace table left_over (a int)");
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        char *before = rig_json(rig, conn, cases[i].probe);
        if (!before)
            fail_msg("%s: %s", cases[i].probe, rig->err.message);
        run(rig, conn, cases[i].change);
        if (rig->rc != PS_OK)
            fail_msg("%s: %s", cases[i].change, rig->err.message);
        char *changed = rig_json(rig, conn, cases[i].probe);
        if (!changed ||
            (strcmp(before, changed) == 0 && strcmp(changed, "[]") != 0))
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
    run(rig, conn, "execute left_over");
    assert_int_equal(rig->rc, PS_ORIGIN_SQL); /* unknown */
    run(rig, conn, "lock tables mysql.proc read");
    assert_int_equal(rig_reset(rig, conn), PS_OK);
    run(rig, conn, "create or replace table not_locked (a int)");
    assert_int_equal(rig->rc, PS_OK);
    run(rig, conn, "drop table not_locked, left_over");
    ps_conn_close(&conn);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, rig_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_stage_has_its_code),
        TEST(what_a_server_says_instead_of_a_greeting),
        TEST(logins_that_are_refused),
        TEST(tls_as_the_definition_says),
        TEST(ways_to_log_in),
        TEST(parameters_of_every_kind),
        TEST(more_statements_than_are_kept),
        TEST(a_prepared_statement_whose_table_changes),
        TEST(results_that_are_none_or_several),
        TEST(a_reset_undoes_every_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
