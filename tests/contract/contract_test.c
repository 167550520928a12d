/*
 * What every driver owes its callers (agent/backend/backend.h), on the driver
 * that the first argument names:
 *
 *   contract_test fake                     scripted origin, virtual clock
 *   with_postgres contract_test postgres   a real server
 *   with_mariadb contract_test mariadb     another
 *   with_tds contract_test mssql           SQL Server's protocol over SQLite
 *
 * A test says with given() what the origin would answer; the real one knows
 * by itself. Statements are in the words of the dialect (dialects.h). What only
 * one server has (stages of connecting, sessions, TLS) is in postgres_test.c
 * and mariadb_test.c.
 */
#include "tests/contract/steps.h"
#include "tests/unit.h"

#include <malloc.h>
#include <stdio.h>

static const struct dialect *dialect;

static int
setup(void **state)
{
    rig_setup(state, dialect);
    struct rig *rig = *state;
    if (dialect->fake)
        ps_fake_password(rig->fake, "app", "app secret");
    return 0;
}

static int
teardown(void **state)
{
    struct rig *rig = *state;
    if (dialect->fake) {
        struct ps_fake_stats stats;
        ps_fake_stats(rig->fake, &stats);
        assert_int_equal(stats.opens, stats.closes);
        assert_int_equal(stats.connected, 0);
        assert_int_equal(stats.executing, 0);
    }
    return rig_teardown(state);
}

/* ------------------------------------------------------------- helpers */

static void
given(struct rig *rig, const char *sql, const struct ps_fake_reply *reply)
{
    if (rig->fake)
        ps_fake_script(rig->fake, PS_FAKE_EXECUTE, sql, 0, reply);
}

static void
given_rows(struct rig *rig, const char *sql, const char *text)
{
    if (!rig->fake)
        return;
    const struct ps_fake_rows *rows = ps_fake_rows(rig->fake, text);
    assert_non_null(rows);
    given(rig, sql, &(struct ps_fake_reply){.rows = rows});
}

static void
expect_command(const struct rig *rig, const char *want)
{
    if (!dialect->no_commands)
        assert_string_equal(rig->outcome.command, want);
}

/* A sink that counts, and refuses at a row. */
struct counter {
    struct ps_sink sink;
    uint64_t sets, rows, bytes, refuse_at;
};

static enum ps_rc
count_columns(struct ps_sink *sink, const struct ps_column *columns, size_t n)
{
    struct counter *counter = PS_CONTAINER_OF(sink, struct counter, sink);
    assert_true(n == 0 || columns[0].name.ptr);
    counter->sets++;
    counter->rows = counter->bytes = 0;
    return PS_OK;
}

static enum ps_rc
count_row(struct ps_sink *sink, const struct ps_cell *cells, size_t n)
{
    struct counter *counter = PS_CONTAINER_OF(sink, struct counter, sink);
    counter->rows++;
    for (size_t i = 0; i < n; i++)
        counter->bytes += cells[i].len;
    return counter->refuse_at && counter->rows >= counter->refuse_at
               ? PS_RESULT_TOO_BIG
               : PS_OK;
}

static struct counter
counter_new(uint64_t refuse_at)
{
    return (struct counter){
        .sink = {.columns = count_columns, .row = count_row},
        .refuse_at = refuse_at
    };
}

/* ------------------------------------------------------------- opening */

static void
a_login_opens_an_idle_session(void **state)
{
    struct rig *rig = *state;
    given_rows(rig, "select 1 as one", "one:23\n1");
    struct ps_conn *conn = opened(rig);
    assert_true(ps_conn_alive(conn));
    ps_conn_set_owner(conn, rig);
    assert_ptr_equal(ps_conn_owner(conn), rig);
    expect_json(rig, conn, "select 1 as one", "[{\"one\":1}]");
    assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
    expect_command(rig, "SELECT");
    assert_int_equal(rig->outcome.rows, 1);
    ps_conn_close(&conn);
    assert_null(conn);
}

static void
expect_refused(struct rig *rig, struct ps_login login, struct ps_err *err)
{
    struct ps_conn *conn = rig_open_as(rig, login);
    assert_int_equal(rig->rc, PS_LOGIN_FAILED);
    *err = rig->err;
    ps_conn_close(&conn);
}

/* Hazard 36: the same words for both. */
static void
a_refused_login_does_not_say_why(void **state)
{
    struct rig *rig = *state;
    struct ps_err wrong_password, unknown_user;
    struct ps_login login = rig_login();
    login.password = PS_STR("wrong");
    expect_refused(rig, login, &wrong_password);
    login = rig_login();
    login.user = PS_STR("nobody of that name");
    expect_refused(rig, login, &unknown_user);
    assert_string_equal(wrong_password.message, unknown_user.message);
    assert_null(strstr(unknown_user.message, "nobody"));
}

static uint16_t unused_port; /* of postgres_test.c's kind: nobody listens */

static void
a_closed_port_is_refused(void **state)
{
    struct rig *rig = *state;
    rig->conf->port = unused_port;
    if (rig->fake)
        ps_fake_down(rig->fake, PS_ORIGIN_REFUSED);
    struct ps_conn *conn = rig_open(rig);
    assert_int_equal(rig->rc, PS_ORIGIN_REFUSED);
    assert_false(ps_conn_alive(conn));
    ps_conn_close(&conn);
}

static void
never(void *arg, struct ps_conn *conn, enum ps_rc rc, const struct ps_err *err)
{
    (void)arg;
    (void)conn;
    (void)rc;
    (void)err;
    fail_msg("called back after close");
}

static void
closed_while_opening(void **state)
{
    struct rig *rig = *state;
    const struct ps_conn_open open = {.loop = rig->loop,
                                      .resolver = rig->resolver,
                                      .conf = rig->conf,
                                      .login = rig_login(),
                                      .application_name = "contract",
                                      .fn = never,
                                      .arg = rig};
    if (rig->fake)
        ps_fake_script(rig->fake, PS_FAKE_OPEN, NULL, 0,
                       &(struct ps_fake_reply){.delay_ms = 5});
    for (int turns = 0; turns < 3; turns++) {
        struct ps_conn *conn = ps_conn_open(rig->driver, &open);
        for (int i = 0; i < turns; i++)
            ps_loop_turn(rig->loop);
        ps_conn_close(&conn);
        assert_null(conn);
    }
    rig_linger(rig, 50);
}

/* ------------------------------------------------------------- results */

static void
nulls_and_empty_results(void **state)
{
    struct rig *rig = *state;
    given_rows(rig, dialect->null_and_empty, "v:25 e:25\n\\N \\e");
    given_rows(rig, dialect->no_rows, "v:23");
    given(rig, dialect->make_table,
          &(struct ps_fake_reply){.command = dialect->make_table_command});
    given(rig, dialect->insert_three,
          &(struct ps_fake_reply){.command = "INSERT", .affected = 3});
    struct ps_conn *conn = opened(rig);
    expect_json(rig, conn, dialect->null_and_empty,
                "[{\"v\":null,\"e\":\"\"}]");
    expect_json(rig, conn, dialect->no_rows, "[]");
    assert_int_equal(rig->outcome.rows, 0);
    expect_json(rig, conn, dialect->make_table, "[]");
    expect_command(rig, dialect->make_table_command);
    expect_json(rig, conn, dialect->insert_three, "[]");
    expect_command(rig, "INSERT");
    assert_int_equal(rig->outcome.rows, 3);
    ps_conn_close(&conn);
}

static void
given_many(struct rig *rig, const char *sql, size_t n)
{
    if (!rig->fake)
        return;
    char *text = malloc(n * 8 + 16), *at = text;
    assert_non_null(text);
    at += snprintf(at, 16, "i:23");
    for (size_t i = 1; i <= n; i++)
        at += snprintf(at, 12, "\n%d", (int)i);
    given_rows(rig, sql, text);
    free(text);
}

static void
a_hundred_thousand_rows(void **state)
{
    struct rig *rig = *state;
    const char *sql = dialect->hundred_thousand;
    given_many(rig, sql, 100000);
    struct ps_conn *conn = opened(rig);
    const struct ps_statement statement = {.sql = ps_str_of(sql),
                                           .timeout_ms = 60000};
    struct counter counter = counter_new(0);
    rig_run(rig, conn, &statement, &counter.sink);
    assert_int_equal(rig->rc, PS_OK);
    assert_int_equal(counter.sets, 1);
    assert_int_equal(counter.rows, 100000);
    assert_int_equal(counter.bytes, 488895); /* digits of 1 .. 100000 */
    assert_int_equal(rig->outcome.rows, 100000);
    ps_conn_close(&conn);
}

enum {
    BIG = 10 << 20
};

static void
a_value_of_ten_mebibytes(void **state)
{
    struct rig *rig = *state;
    const char *sql = dialect->ten_mebibytes;
    if (rig->fake) {
        char *text = malloc(BIG + 16);
        assert_non_null(text);
        memcpy(text, "v:25\n", 5);
        memset(text + 5, '0', BIG);
        text[5 + BIG] = '\0';
        given_rows(rig, sql, text);
        free(text);
    }
    struct ps_conn *conn = opened(rig);
    char *json = rig_json(rig, conn, sql);
    assert_non_null(json);
    assert_int_equal(strlen(json), BIG + strlen("[{\"v\":\"\"}]"));
    assert_int_equal(json[BIG / 2], '0');
    free(json);
    given_rows(rig, "select 1 as one", "one:23\n1");
    expect_json(rig, conn, "select 1 as one", "[{\"one\":1}]");
    ps_conn_close(&conn);
}

static void
text_beyond_the_basic_plane(void **state)
{
    struct rig *rig = *state;
    const char *sql = dialect->beyond_the_basic_plane;
    given_rows(rig, sql, "\xf0\x9f\xa6\x86_x:25\n🎉𝄞é日");
    struct ps_conn *conn = opened(rig);
    expect_json(rig, conn, sql,
                dialect->fake ? "[{\"🦆_x\":\"🎉𝄞é日\"}]"
                              : dialect->beyond_json);
    ps_conn_close(&conn);
}

static void
a_row_that_the_sink_refuses(void **state)
{
    struct rig *rig = *state;
    const char *sql = dialect->fifty_thousand;
    given_many(rig, sql, 50000);
    given_rows(rig, "select 1 as one", "one:23\n1");
    struct ps_conn *conn = opened(rig);
    const struct ps_statement statement = {.sql = ps_str_of(sql),
                                           .timeout_ms = 10000};
    struct counter counter = counter_new(10);
    rig_run(rig, conn, &statement, &counter.sink);
    assert_int_equal(rig->rc, PS_RESULT_TOO_BIG);
    assert_int_equal(counter.rows, 10);
    /* Usable, if it says so. */
    if (rig->outcome.state == PS_CONN_IDLE)
        expect_json(rig, conn, "select 1 as one", "[{\"one\":1}]");
    else
        assert_int_equal(rig->outcome.state, PS_CONN_BROKEN);
    ps_conn_close(&conn);
}

/* A sink that has the driver pause at a row. */
struct pauser {
    struct counter counter;
    struct rig *rig;
    struct ps_conn *conn;
    uint64_t pause_at;
    bool ended;
};

static void
on_pauser_outcome(void *arg, const struct ps_outcome *outcome)
{
    struct pauser *pauser = arg;
    pauser->ended = true;
    rig_on_outcome(pauser->rig, outcome);
}

static enum ps_rc
pause_row(struct ps_sink *sink, const struct ps_cell *cells, size_t n)
{
    struct counter *counter = PS_CONTAINER_OF(sink, struct counter, sink);
    struct pauser *pauser = PS_CONTAINER_OF(counter, struct pauser, counter);
    enum ps_rc rc = count_row(sink, cells, n);
    if (counter->rows == pauser->pause_at)
        ps_conn_pause(pauser->conn, true);
    return rc;
}

/* Runs up to the pause; nothing comes however long one waits. */
static void
begin_paused(struct rig *rig, struct pauser *pauser,
             const struct ps_statement *statement)
{
    pauser->counter.sink.row = pause_row;
    ps_conn_execute(pauser->conn, statement, &pauser->counter.sink,
                    on_pauser_outcome, pauser);
    while (pauser->counter.rows < pauser->pause_at)
        ps_loop_turn(rig->loop);
    rig_linger(rig, 50);
    assert_int_equal(pauser->counter.rows, pauser->pause_at);
    assert_false(pauser->ended);
    rig->done = false;
}

static void
a_pause_holds_the_rows(void **state)
{
    struct rig *rig = *state;
    const struct ps_statement statement = {
        .sql = ps_str_of(dialect->hundred_thousand), .timeout_ms = 60000};
    if (dialect->fake) /* gives all of its rows at once */
        return;
    struct pauser pauser = {.counter = counter_new(0),
                            .rig = rig,
                            .conn = opened(rig),
                            .pause_at = 1000};
    begin_paused(rig, &pauser, &statement);
    ps_conn_pause(pauser.conn, true); /* it is already */
    pauser.pause_at = 2000;           /* and once more */
    ps_conn_pause(pauser.conn, false);
    while (pauser.counter.rows < pauser.pause_at)
        ps_loop_turn(rig->loop);
    rig_linger(rig, 50);
    assert_int_equal(pauser.counter.rows, 2000);
    rig->done = false;
    ps_conn_pause(pauser.conn, false);
    ps_conn_pause(pauser.conn, false);
    rig_wait(rig);
    assert_int_equal(rig->rc, PS_OK);
    assert_int_equal(pauser.counter.rows, 100000);
    ps_conn_pause(pauser.conn, true); /* nothing runs: nothing happens */
    expect_json(rig, pauser.conn, "select 1 as one", "[{\"one\":1}]");
    ps_conn_close(&pauser.conn);
}

static void
a_paused_statement_can_be_cancelled_and_closed(void **state)
{
    struct rig *rig = *state;
    const struct ps_statement statement = {
        .sql = ps_str_of(dialect->hundred_thousand), .timeout_ms = 60000};
    if (dialect->fake)
        return;
    struct pauser pauser = {.counter = counter_new(0),
                            .rig = rig,
                            .conn = opened(rig),
                            .pause_at = 1000};
    begin_paused(rig, &pauser, &statement);
    ps_conn_cancel(pauser.conn);
    rig_wait(rig);
    assert_int_equal(pauser.counter.rows, 1000);
    /* Little may be left of it: then it is whole, but for what was dropped. */
    if (rig->outcome.state == PS_CONN_IDLE)
        expect_json(rig, pauser.conn, "select 1 as one", "[{\"one\":1}]");
    ps_conn_close(&pauser.conn);
    pauser.counter = counter_new(0);
    pauser.conn = opened(rig);
    pauser.ended = false;
    begin_paused(rig, &pauser, &statement);
    ps_conn_close(&pauser.conn);
    rig_linger(rig, 50);
    assert_false(pauser.ended);
}

/* -------------------------------------------------------------- errors */

static void
errors_keep_the_servers_code_and_words(void **state)
{
    struct rig *rig = *state;
    const struct refused *cases = dialect->refused;
    struct ps_conn *conn = opened(rig);
    for (size_t i = 0; cases[i].sql; i++) {
        given(rig, cases[i].sql,
              &(struct ps_fake_reply){.rc = PS_ORIGIN_SQL,
                                      .sqlstate = cases[i].code,
                                      .message = cases[i].message});
        run(rig, conn, cases[i].sql);
        assert_int_equal(rig->rc, PS_ORIGIN_SQL);
        assert_string_equal(rig->err.sqlstate, cases[i].code);
        assert_string_equal(rig->err.message, cases[i].message);
        assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
        assert_false(rig->outcome.not_sent);
    }
    given_rows(rig, "select 1 as one", "one:23\n1");
    expect_json(rig, conn, "select 1 as one", "[{\"one\":1}]");
    ps_conn_close(&conn);
}

static void
an_open_transaction_is_told(void **state)
{
    struct rig *rig = *state;
    struct ps_fake_reply open = {.state = PS_CONN_TRANSACTION};
    given(rig, dialect->begin, &open);
    struct ps_fake_reply failed = {
        .rc = PS_ORIGIN_SQL, .sqlstate = "22012", .state = PS_CONN_TRANSACTION};
    given(rig, dialect->divide_by_zero, &failed);
    given(rig, dialect->rollback,
          &(struct ps_fake_reply){.command = "ROLLBACK"});
    struct ps_conn *conn = opened(rig);
    run(rig, conn, dialect->begin);
    assert_int_equal(rig->rc, dialect->transaction_rc);
    assert_int_equal(rig->outcome.state, PS_CONN_TRANSACTION);
    run(rig, conn, dialect->divide_by_zero);
    assert_int_equal(rig->outcome.state, PS_CONN_TRANSACTION);
    run(rig, conn, dialect->rollback);
    assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
    ps_conn_close(&conn);
}

/* ------------------------------------------------- cancels and time-outs */

static void
begin_sleep(struct rig *rig, struct ps_conn *conn,
            const struct ps_statement *statement)
{
    given(rig, dialect->sleep, &(struct ps_fake_reply){.hang = true});
    rig->done = false;
    ps_conn_execute(conn, statement, NULL, rig_on_outcome, rig);
    assert_false(rig->done);
}

static void
a_cancelled_statement_ends(void **state)
{
    struct rig *rig = *state;
    const struct ps_statement sleep = {.sql = ps_str_of(dialect->sleep),
                                       .timeout_ms = 30000};
    struct ps_conn *conn = opened(rig);
    begin_sleep(rig, conn, &sleep);
    /* It must be at work there: a cancel before that hits nothing. */
    for (int i = 0; i < 20 && !dialect->fake; i++) {
        ps_loop_turn(rig->loop);
        rig_linger(rig, 5);
    }
    rig->done = false;
    ps_conn_cancel(conn);
    ps_conn_cancel(conn);
    assert_false(rig->done);
    rig_wait(rig);
    assert_int_equal(rig->rc, PS_CANCELLED);
    assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
    ps_conn_cancel(conn); /* nothing runs: nothing happens */
    given_rows(rig, "select 1 as one", "one:23\n1");
    expect_json(rig, conn, "select 1 as one", "[{\"one\":1}]");
    ps_conn_close(&conn);
}

static void
a_statement_that_takes_too_long_ends(void **state)
{
    struct rig *rig = *state;
    const struct ps_statement sleep = {.sql = ps_str_of(dialect->sleep),
                                       .timeout_ms = 60};
    struct ps_conn *conn = opened(rig);
    begin_sleep(rig, conn, &sleep);
    rig_wait(rig);
    assert_int_equal(rig->rc, PS_QUERY_TIMEOUT);
    assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
    given_rows(rig, "select 1 as one", "one:23\n1");
    expect_json(rig, conn, "select 1 as one", "[{\"one\":1}]");
    ps_conn_close(&conn);
}

static void
outcome_never(void *arg, const struct ps_outcome *outcome)
{
    (void)arg;
    (void)outcome;
    fail_msg("called back after close");
}

static void
reset_never(void *arg, enum ps_rc rc)
{
    (void)arg;
    (void)rc;
    fail_msg("called back after close");
}

static void
closed_while_busy(void **state)
{
    struct rig *rig = *state;
    const struct ps_statement sleep = {.sql = ps_str_of(dialect->sleep),
                                       .timeout_ms = 30000};
    given(rig, dialect->sleep, &(struct ps_fake_reply){.hang = true});
    struct ps_conn *conn = opened(rig);
    ps_conn_execute(conn, &sleep, NULL, outcome_never, rig);
    ps_conn_close(&conn);
    conn = opened(rig);
    ps_conn_execute(conn, &sleep, NULL, outcome_never, rig);
    ps_loop_turn(rig->loop);
    ps_conn_cancel(conn);
    ps_conn_close(&conn);
    conn = opened(rig);
    ps_conn_reset(conn, 5000, reset_never, rig);
    ps_conn_close(&conn);
    rig_linger(rig, 50);
}

/* ------------------------------------------------------- broken sessions */

/* The server ends the session in the middle of a statement. */
static void
break_in(struct rig *rig, bool may_write, enum ps_rc want)
{
    const char *sql = dialect->end_self;
    struct ps_fake_reply dies = {.rc = PS_ORIGIN_LOST, .state = PS_CONN_BROKEN};
    given(rig, sql, &dies);
    const struct ps_statement statement = {
        .sql = ps_str_of(sql), .timeout_ms = 10000, .may_write = may_write};
    struct ps_conn *conn = opened(rig);
    rig_run(rig, conn, &statement, NULL);
    assert_int_equal(rig->rc, want);
    assert_int_equal(rig->outcome.state, PS_CONN_BROKEN);
    assert_false(rig->outcome.not_sent);
    assert_false(ps_conn_alive(conn));
    ps_conn_close(&conn);
}

static void
a_session_that_breaks_in_a_read_is_lost(void **state)
{
    break_in(*state, false, PS_ORIGIN_LOST);
}

/* C7 */
static void
one_that_breaks_in_a_write_is_not_known(void **state)
{
    break_in(*state, true, PS_OUTCOME_UNKNOWN);
}

struct listener {
    struct rig *rig;
    unsigned calls;
};

static void
on_lost(void *arg)
{
    struct listener *listener = arg;
    listener->calls++;
    rig_finish(listener->rig);
}

/* Ends every other session of this user. */
static void
kill_others(struct rig *rig)
{
    if (rig->fake) {
        ps_fake_break(rig->fake);
        return;
    }
    struct ps_conn *killer = opened(rig);
    run(rig, killer, dialect->end_others);
    ps_conn_close(&killer);
}

static void
an_idle_connection_tells_once_that_it_is_lost(void **state)
{
    struct rig *rig = *state;
    struct listener listener = {.rig = rig};
    struct ps_conn *conn = opened(rig);
    ps_conn_on_lost(conn, on_lost, &listener);
    kill_others(rig);
    rig->done = listener.calls > 0;
    rig_wait(rig);
    rig_linger(rig, 20);
    assert_int_equal(listener.calls, 1);
    assert_false(ps_conn_alive(conn));
    /* Who leased it before it knew: told, and that nothing was sent. */
    const struct ps_statement write = {
        .sql = PS_STR("select 1"), .timeout_ms = 1000, .may_write = true};
    rig_run(rig, conn, &write, NULL);
    assert_int_equal(rig->rc, PS_ORIGIN_LOST);
    assert_true(rig->outcome.not_sent);
    assert_int_equal(rig->outcome.state, PS_CONN_BROKEN);
    ps_conn_close(&conn);
}

static void
a_lost_connection_cannot_be_reset(void **state)
{
    struct rig *rig = *state;
    struct listener listener = {.rig = rig};
    struct ps_conn *conn = opened(rig);
    ps_conn_on_lost(conn, on_lost, &listener);
    kill_others(rig);
    rig->done = listener.calls > 0;
    rig_wait(rig);
    assert_int_equal(rig_reset(rig, conn), PS_ORIGIN_LOST);
    ps_conn_close(&conn);
}

static void
a_reset_session_is_idle(void **state)
{
    struct rig *rig = *state;
    given(rig, dialect->begin,
          &(struct ps_fake_reply){.state = PS_CONN_TRANSACTION});
    given_rows(rig, "select 1 as one", "one:23\n1");
    struct ps_conn *conn = opened(rig);
    run(rig, conn, dialect->begin);
    assert_int_equal(rig_reset(rig, conn), PS_OK);
    assert_true(ps_conn_alive(conn));
    expect_json(rig, conn, "select 1 as one", "[{\"one\":1}]");
    assert_int_equal(rig->outcome.state, PS_CONN_IDLE);
    ps_conn_close(&conn);
}

/* --------------------------------------------------------------- leaks */

static void
use_once(struct rig *rig)
{
    struct ps_conn *conn = opened(rig);
    expect_json(rig, conn, "select 1 as one", "[{\"one\":1}]");
    run(rig, conn, dialect->divide_by_zero);
    assert_int_equal(rig_reset(rig, conn), PS_OK);
    ps_conn_close(&conn);
    struct ps_login wrong = rig_login();
    wrong.password = PS_STR("wrong");
    conn = rig_open_as(rig, wrong);
    assert_int_equal(rig->rc, PS_LOGIN_FAILED);
    ps_conn_close(&conn);
}

/* Bytes exactly: the leak check of the asan preset. Here in every build what a
 * forgotten connection or result would weigh; without TLS, whose library
 * fills caches of its own for hundreds of connections. */
static void
nothing_is_leaked(void **state)
{
    enum {
        ROUNDS = 30,
        BYTES_PER_ROUND = 400
    };
    struct rig *rig = *state;
    rig->conf->tls_mode = PS_TLS_DISABLE;
    given_rows(rig, "select 1 as one", "one:23\n1");
    given(rig, dialect->divide_by_zero,
          &(struct ps_fake_reply){.rc = PS_ORIGIN_SQL, .sqlstate = "22012"});
    for (int i = 0; i < 10; i++)
        use_once(rig); /* what is made once is made */
    size_t descriptors = count_descriptors();
    size_t bytes = mallinfo2().uordblks;
    for (int i = 0; i < ROUNDS; i++)
        use_once(rig);
    assert_int_equal(count_descriptors(), descriptors);
    size_t now = mallinfo2().uordblks;
    if (now > bytes + ROUNDS * BYTES_PER_ROUND)
        fail_msg("%zu bytes more after %d rounds", now - bytes, ROUNDS);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(int argc, char **argv)
{
    dialect = argc == 2 ? dialect_find(argv[1]) : NULL;
    if (!dialect) {
        fprintf(stderr, "usage: %s fake|postgres|mariadb|mssql\n", argv[0]);
        return 2;
    }
    unused_port = rig_unused_port();
    const struct CMUnitTest tests[] = {
        TEST(a_login_opens_an_idle_session),
        TEST(a_refused_login_does_not_say_why),
        TEST(a_closed_port_is_refused),
        TEST(closed_while_opening),
        TEST(nulls_and_empty_results),
        TEST(a_hundred_thousand_rows),
        TEST(a_value_of_ten_mebibytes),
        TEST(text_beyond_the_basic_plane),
        TEST(a_row_that_the_sink_refuses),
        TEST(errors_keep_the_servers_code_and_words),
        TEST(an_open_transaction_is_told),
        TEST(a_pause_holds_the_rows),
        TEST(a_paused_statement_can_be_cancelled_and_closed),
        TEST(a_cancelled_statement_ends),
        TEST(a_statement_that_takes_too_long_ends),
        TEST(closed_while_busy),
        TEST(a_session_that_breaks_in_a_read_is_lost),
        TEST(one_that_breaks_in_a_write_is_not_known),
        TEST(an_idle_connection_tells_once_that_it_is_lost),
        TEST(a_lost_connection_cannot_be_reset),
        TEST(a_reset_session_is_idle),
        TEST(nothing_is_leaked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
