/*
 * Login and statements. After the login the session is set to what tedious
 * sets (its getInitialSql), which is our canonical session; TEXTSIZE is cut
 * to what a row may have.
 */
#include "agent/backend/tds_odbc.h"

#include "common/check.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RESULTS_MAX = 100000, /* of one statement; then it is not believed */
    RETRY_MAX = 16
};

static const char canonical[] =
    "set ansi_nulls on set ansi_null_dflt_on on set ansi_padding on "
    "set ansi_warnings on set arithabort on set concat_null_yields_null on "
    "set cursor_close_on_commit off set datefirst 7 set dateformat mdy "
    "set implicit_transactions off set language us_english "
    "set numeric_roundabort off set quoted_identifier on "
    "set transaction isolation level read committed set xact_abort off "
    "set textsize 67108865";

static enum ps_rc
connect_error(struct ps_tds_odbc *odbc, const struct ps_tds_target *target,
              struct ps_err *err)
{
    struct ps_tds_diag diag;
    if (ps_tds_diag(SQL_HANDLE_DBC, odbc->dbc, &diag)) {
        enum ps_rc rc = ps_tds_login_error(&diag, err);
        if (rc != PS_OK)
            return rc;
    }
    return ps_tds_diagnose(target, err);
}

static SQLCHAR *
chars(const char *text)
{
    return (SQLCHAR *)(uintptr_t)text;
}

static bool
allocate(struct ps_tds_odbc *odbc)
{
    return SQL_SUCCEEDED(
               SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &odbc->env)) &&
           SQL_SUCCEEDED(SQLSetEnvAttr(odbc->env, SQL_ATTR_ODBC_VERSION,
                                       (SQLPOINTER)SQL_OV_ODBC3, 0)) &&
           SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_DBC, odbc->env, &odbc->dbc));
}

static enum ps_rc
connect_once(struct ps_tds_odbc *odbc, const struct ps_tds_target *target,
             struct ps_err *err)
{
    enum ps_rc rc = ps_tds_conf_make(target, err);
    if (rc != PS_OK)
        return rc;
    SQLRETURN got =
        SQLConnect(odbc->dbc, chars("portside"), SQL_NTS, chars(target->user),
                   SQL_NTS, chars(target->password), SQL_NTS);
    return SQL_SUCCEEDED(got) ? PS_OK : connect_error(odbc, target, err);
}

/* PREFER is encrypted where the server can, else in the clear. */
static enum ps_rc
connect_to(struct ps_tds_odbc *odbc, const struct ps_tds_target *target,
           struct ps_err *err)
{
    struct ps_tds_target plain = *target;
    enum ps_rc rc = connect_once(odbc, target, err);
    if (rc != PS_ORIGIN_TLS || target->tls != PS_TLS_PREFER)
        return rc;
    plain.tls = PS_TLS_DISABLE;
    err->rc = PS_OK;
    return connect_once(odbc, &plain, err);
}

/* The canonical session. */
static enum ps_rc
set_up(struct ps_tds_odbc *odbc)
{
    SQLRETURN got = SQLExecDirect(odbc->stmt, chars(canonical), SQL_NTS);
    while (SQL_SUCCEEDED(got)) /* an error of any of them shows */
        got = SQLMoreResults(odbc->stmt);
    SQLFreeStmt(odbc->stmt, SQL_CLOSE);
    /* No rows, no counts: as it should be. */
    return got == SQL_NO_DATA ? PS_OK : PS_ORIGIN_LOST;
}

enum ps_rc
ps_tds_odbc_reset(struct ps_tds_odbc *odbc)
{
    SQLFreeStmt(odbc->stmt, SQL_RESET_PARAMS);
    SQLSetStmtAttr(odbc->stmt, SQL_ATTR_QUERY_TIMEOUT, (SQLPOINTER)0, 0);
    ps_tds_reset_arm();
    enum ps_rc rc = set_up(odbc);
    if (!ps_tds_reset_sent())
        return PS_UNSUPPORTED;
    odbc->transaction = false;
    return rc;
}

enum ps_rc
ps_tds_odbc_open(struct ps_tds_odbc *odbc, const struct ps_tds_target *target,
                 struct ps_err *err)
{
    memset(odbc, 0, sizeof(*odbc));
    PS_CHECK(pthread_mutex_init(&odbc->cancel_lock, NULL) == 0);
    ps_buf_init(&odbc->row, PS_ROW_MAX_BYTES + 131072);
    ps_buf_init(&odbc->call, 1 << 20);
    if (!allocate(odbc))
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    /* Leaves time to find out why, before the driver gives up. */
    uintptr_t seconds = (uintptr_t)PS_MAX(target->timeout_ms * 7 / 10000, 1);
    SQLSetConnectAttr(odbc->dbc, SQL_ATTR_LOGIN_TIMEOUT, (SQLPOINTER)seconds,
                      0);
    SQLSetConnectAttr(odbc->dbc, SQL_ATTR_CURRENT_CATALOG,
                      chars(target->database), SQL_NTS);
    enum ps_rc rc = connect_to(odbc, target, err);
    if (rc != PS_OK)
        return rc;
    rc = PS_ORIGIN_LOST;
    if (SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_STMT, odbc->dbc, &odbc->stmt)))
        rc = set_up(odbc);
    if (rc != PS_OK)
        return ps_err_set(err, rc,
                          "the database closed the connection before the "
                          "login was done");
    return PS_OK;
}

/* ------------------------------------------------------------ statements */

static void
set_running(struct ps_tds_odbc *odbc, bool running)
{
    PS_CHECK(pthread_mutex_lock(&odbc->cancel_lock) == 0);
    odbc->running = running;
    if (running)
        odbc->stopping = false;
    pthread_mutex_unlock(&odbc->cancel_lock);
}

static bool
is_stopping(struct ps_tds_odbc *odbc)
{
    PS_CHECK(pthread_mutex_lock(&odbc->cancel_lock) == 0);
    bool stopping = odbc->stopping;
    pthread_mutex_unlock(&odbc->cancel_lock);
    return stopping;
}

static void
take_error(struct ps_tds_odbc *odbc, struct ps_tds_result *result)
{
    struct ps_tds_diag diag;
    if (ps_tds_diag(SQL_HANDLE_STMT, odbc->stmt, &diag)) {
        ps_tds_statement_error(&diag, is_stopping(odbc), result);
    } else if (result->err.rc == PS_OK) {
        /* An error without a word: nothing is certain any more. */
        result->broken = true;
        ps_err_set(&result->err, PS_ORIGIN_LOST, NULL);
    }
}

/* One result: its rows, or how many it changed. */
static enum ps_rc
take_result(struct ps_tds_odbc *odbc, struct ps_tds_out *out,
            struct ps_tds_result *result)
{
    SQLSMALLINT count = 0;
    SQLLEN rows = -1;
    if (!SQL_SUCCEEDED(SQLNumResultCols(odbc->stmt, &count)))
        return PS_ORIGIN_SQL;
    if (count > 0)
        return ps_tds_fetch(odbc, count, out, result);
    if (SQL_SUCCEEDED(SQLRowCount(odbc->stmt, &rows)) && rows > 0)
        result->rows += (uint64_t)rows;
    return PS_OK;
}

/* All results; errors of later statements arrive between them. */
static void
take_results(struct ps_tds_odbc *odbc, SQLRETURN got, struct ps_tds_out *out,
             struct ps_tds_result *result)
{
    int errors = 0;
    for (int i = 0; i < RESULTS_MAX && errors < RETRY_MAX; i++) {
        if (got == SQL_NO_DATA && i > 0)
            return;
        enum ps_rc rc = PS_OK;
        if (SQL_SUCCEEDED(got) || got == SQL_NO_DATA)
            rc = take_result(odbc, out, result);
        else
            rc = PS_ORIGIN_SQL;
        if (rc == PS_ORIGIN_SQL) {
            take_error(odbc, result);
            errors++;
        } else if (rc != PS_OK) { /* ours: too big, no memory, refused */
            if (result->err.rc == PS_OK)
                ps_err_set(&result->err, rc, NULL);
            result->broken = true;
        }
        if (result->broken || result->cancelled)
            return;
        got = SQLMoreResults(odbc->stmt);
    }
    result->broken = true;
    if (result->err.rc == PS_OK)
        ps_err_set(&result->err, PS_ORIGIN_PROTOCOL, NULL);
}

/*
 * Can this statement leave a transaction open? A word that begins one, a call
 * of what may, or a first word that is not one of the plain four: then the
 * server is asked. Comments and literals are not told apart, which only
 * asks more often.
 */
static bool
may_open_transaction(struct ps_str sql)
{
    static const char *const words[] = {"tran",     "exec", "implicit",
                                        "ansi_def", "sp_",  "xp_"};
    static const char *const plain[] = {"select", "insert", "update", "delete",
                                        "with"};
    size_t at = 0;
    while (at < sql.len && (unsigned char)sql.ptr[at] <= ' ')
        at++;
    bool known = false;
    for (size_t i = 0; i < PS_ARRAY_LEN(plain); i++) {
        size_t n = strlen(plain[i]);
        known |= sql.len - at > n &&
                 strncasecmp(sql.ptr + at, plain[i], n) == 0 &&
                 (unsigned char)sql.ptr[at + n] <= ' ';
    }
    for (; known && at < sql.len; at++) {
        for (size_t i = 0; i < PS_ARRAY_LEN(words); i++) {
            size_t n = strlen(words[i]);
            if (sql.len - at >= n &&
                strncasecmp(sql.ptr + at, words[i], n) == 0)
                return true;
        }
    }
    return !known;
}

static void
ask_transaction(struct ps_tds_odbc *odbc, struct ps_tds_result *result)
{
    SQLINTEGER open = 0;
    SQLLEN len = 0;
    SQLFreeStmt(odbc->stmt, SQL_RESET_PARAMS);
    if (SQL_SUCCEEDED(
            SQLExecDirect(odbc->stmt, chars("select @@trancount"), SQL_NTS)) &&
        SQL_SUCCEEDED(SQLFetch(odbc->stmt)) &&
        SQL_SUCCEEDED(
            SQLGetData(odbc->stmt, 1, SQL_C_SLONG, &open, sizeof(open), &len)))
        result->transaction = open > 0;
    else
        result->broken = true;
    SQLFreeStmt(odbc->stmt, SQL_CLOSE);
}

void
ps_tds_odbc_execute(struct ps_tds_odbc *odbc,
                    const struct ps_statement *statement,
                    struct ps_tds_out *out, struct ps_tds_result *result)
{
    struct ps_tds_bound *bound = NULL;
    memset(result, 0, sizeof(*result));
    /* A backstop far behind the driver's own deadline. */
    uintptr_t seconds = statement->timeout_ms
                            ? (uintptr_t)(statement->timeout_ms / 1000 + 5)
                            : 0;
    SQLSetStmtAttr(odbc->stmt, SQL_ATTR_QUERY_TIMEOUT, (SQLPOINTER)seconds, 0);
    enum ps_rc rc = ps_tds_params_bind(odbc, statement, &bound);
    if (rc != PS_OK) {
        ps_err_set(&result->err, rc, NULL);
        SQLFreeStmt(odbc->stmt, SQL_RESET_PARAMS);
        return;
    }
    const char *call =
        statement->plain ? odbc->call.data : strchr(odbc->call.data, '{');
    PS_CHECK(call);
    set_running(odbc, true);
    SQLRETURN got = SQLExecDirect(odbc->stmt, chars(call), SQL_NTS);
    take_results(odbc, got, out, result);
    set_running(odbc, false);
    SQLFreeStmt(odbc->stmt, SQL_CLOSE);
    SQLFreeStmt(odbc->stmt, SQL_RESET_PARAMS);
    ps_tds_params_free(&bound);
    if (!result->broken && (odbc->transaction || result->cancelled ||
                            may_open_transaction(statement->sql)))
        ask_transaction(odbc, result);
    odbc->transaction = result->transaction;
    if (odbc->row.cap > 1 << 20)
        ps_buf_done(&odbc->row);
}

void
ps_tds_odbc_cancel(struct ps_tds_odbc *odbc)
{
    PS_CHECK(pthread_mutex_lock(&odbc->cancel_lock) == 0);
    if (odbc->running) {
        odbc->stopping = true;
        SQLCancel(odbc->stmt);
    }
    pthread_mutex_unlock(&odbc->cancel_lock);
}
