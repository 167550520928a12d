/*
 * Errors of SQL Server and of FreeTDS as ours. A server's error has its number
 * as the native one and its text after "[FreeTDS][SQL Server]"; FreeTDS's own
 * have numbers of its libraries (20002...) or a state of class 08 or HYT.
 */
#include "agent/backend/tds_odbc.h"

#include <stdio.h>

/* "[FreeTDS][SQL Server]text" -> "text", in place. */
static void
strip_prefix(char *text)
{
    char *at = text;
    for (int i = 0; i < 2 && *at == '['; i++) {
        char *end = strchr(at, ']');
        if (!end)
            break;
        at = end + 1;
    }
    memmove(text, at, strlen(at) + 1);
}

bool
ps_tds_diag(SQLSMALLINT type, SQLHANDLE handle, struct ps_tds_diag *diag)
{
    SQLSMALLINT len = 0;
    for (SQLSMALLINT i = 1; i < 100; i++) {
        memset(diag, 0, sizeof(*diag));
        SQLRETURN got = SQLGetDiagRec(type, handle, i, (SQLCHAR *)diag->state,
                                      &diag->number, (SQLCHAR *)diag->text,
                                      (SQLSMALLINT)sizeof(diag->text), &len);
        if (!SQL_SUCCEEDED(got))
            return false;
        diag->text[sizeof(diag->text) - 1] = '\0';
        /* Messages and warnings (class 01) come among the errors. */
        if (strncmp(diag->state, "01", 2) == 0)
            continue;
        strip_prefix(diag->text);
        return true;
    }
    return false;
}

static bool
is_state(const struct ps_tds_diag *diag, const char *prefix)
{
    return strncmp(diag->state, prefix, strlen(prefix)) == 0;
}

void
ps_tds_statement_error(const struct ps_tds_diag *diag, bool stopping,
                       struct ps_tds_result *result)
{
    /* FreeTDS's numbers; the server's own errors never have these states. */
    bool own = diag->number >= 20000 && diag->number < 20300;
    /* "Unknown error": a failure without a reason, as when the server went in
     * the middle of a reply. Errors of the server have numbers. */
    bool unexplained = is_state(diag, "HY000") && diag->number == 0;
    if (is_state(diag, "HY008") || (stopping && diag->number == 0)) {
        /* A cancel in the middle of a row is an invalid state to FreeTDS. */
        result->cancelled = true;
    } else if (is_state(diag, "08") || is_state(diag, "HYT") || own ||
               unexplained) {
        result->broken = true;
    }
    if (result->err.rc != PS_OK)
        return;
    if (result->cancelled) {
        ps_err_set(&result->err, PS_CANCELLED, NULL);
    } else if (result->broken) {
        ps_err_set(&result->err, PS_ORIGIN_LOST, NULL);
    } else {
        ps_err_set(&result->err, PS_ORIGIN_SQL, "%s", diag->text);
        if (diag->number > 0)
            snprintf(result->err.sqlstate, sizeof(result->err.sqlstate), "%d",
                     (int)diag->number);
    }
}

/* Numbers of the server -> ours (sys.messages). */
static const struct {
    SQLINTEGER number;
    enum ps_rc rc;
} login_errors[] = {
    {18456, PS_LOGIN_FAILED      }, /* user, password */
    {18452, PS_LOGIN_FAILED      }, /* untrusted domain */
    {18470, PS_LOGIN_FAILED      }, /* disabled */
    {18486, PS_LOGIN_FAILED      }, /* locked out */
    {18487, PS_LOGIN_FAILED      }, /* password expired */
    {18488, PS_LOGIN_FAILED      }, /* password must be changed */
    {4060,  PS_LOGIN_FAILED      }, /* no such database */
    {4064,  PS_LOGIN_FAILED      }, /* no default database */
    {916,   PS_LOGIN_FAILED      }, /* no right to the database */
    {40615, PS_LOGIN_FAILED      }, /* Azure: address not allowed */
    {17809, PS_ORIGIN_TOO_MANY   },
    {10928, PS_ORIGIN_TOO_MANY   }, /* Azure: resource limits */
    {10929, PS_ORIGIN_TOO_MANY   },
    {17142, PS_ORIGIN_UNAVAILABLE}, /* paused */
    {18401, PS_ORIGIN_UNAVAILABLE}, /* upgrading */
    {18451, PS_ORIGIN_UNAVAILABLE}, /* shutting down */
    {18461, PS_ORIGIN_UNAVAILABLE}, /* single user mode */
    {40613, PS_ORIGIN_UNAVAILABLE}, /* Azure: database not available */
};

enum ps_rc
ps_tds_login_error(const struct ps_tds_diag *diag, struct ps_err *err)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(login_errors); i++) {
        if (diag->number == login_errors[i].number)
            return ps_err_set(err, login_errors[i].rc, NULL);
    }
    if (is_state(diag, "28"))
        return ps_err_set(err, PS_LOGIN_FAILED, NULL);
    /* FreeTDS itself: the network, TLS, the protocol. */
    if (diag->number == 0 || (diag->number >= 20000 && diag->number < 20300) ||
        is_state(diag, "08") || is_state(diag, "HYT"))
        return PS_OK;
    return ps_err_set(err, PS_ORIGIN_UNAVAILABLE, NULL);
}
