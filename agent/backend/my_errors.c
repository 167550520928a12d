/*
 * Errors of the server and of the library as Portside's. A statement's error
 * keeps the server's SQLSTATE and words, because the client that sent the
 * statement must read them. A login's error does not: what tells an unknown
 * user from a wrong password helps only those who guess (hazard 36).
 */
#include "agent/backend/my.h"
#include "common/tls_peer.h"

#include <mysqld_error.h>

#include <errmsg.h>
#include <errno.h>
#include <stdio.h>

enum {
    CLIENT_ERROR_MIN = 2000, /* errmsg.h */
    CLIENT_ERROR_MAX = 2999,
    MARIADB_CLIENT_ERROR_MIN = 5000,
    MARIADB_CLIENT_ERROR_MAX = 5999,
    /* MariaDB: max_statement_time; MySQL: max_execution_time */
    STATEMENT_TIMEOUT = 1969,
    QUERY_TIMEOUT = 3024
};

bool
ps_my_was_interrupted(unsigned number)
{
    return number == ER_QUERY_INTERRUPTED;
}

/* The server says this and closes. */
static bool
is_farewell(unsigned number)
{
    return number == ER_SERVER_SHUTDOWN || number == ER_CONNECTION_KILLED ||
           number == ER_NET_READ_INTERRUPTED || number == 4031;
}

static bool
is_client_error(unsigned number)
{
    return (number >= CLIENT_ERROR_MIN && number <= CLIENT_ERROR_MAX) ||
           (number >= MARIADB_CLIENT_ERROR_MIN &&
            number <= MARIADB_CLIENT_ERROR_MAX);
}

void
ps_my_statement_error(unsigned number, const char *sqlstate,
                      const char *message, struct ps_err *err, bool *fatal)
{
    *fatal = is_client_error(number) || is_farewell(number);
    if (number == CR_NET_PACKET_TOO_LARGE) {
        ps_err_set(err, PS_RESULT_TOO_BIG, NULL);
    } else if (number == CR_OUT_OF_MEMORY) {
        ps_err_set(err, PS_NO_MEMORY, NULL);
    } else if (is_farewell(number)) {
        ps_err_set(err, PS_ORIGIN_LOST,
                   "the database closed the connection: "
                   "%s",
                   message);
    } else if (*fatal) {
        ps_err_set(err, PS_ORIGIN_LOST, NULL);
    } else {
        ps_err_set(err, PS_ORIGIN_SQL, "%s (errno %u)", message, number);
        snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
    }
}

void
ps_my_tell_error(unsigned number, const char *sqlstate, const char *message,
                 struct ps_sink *sink)
{
    struct ps_origin_error error = {.number = number};
    error.fields[PS_ORIGIN_ERROR_MESSAGE] = message;
    error.fields[PS_ORIGIN_ERROR_CODE] = sqlstate;
    sink->error(sink, &error);
}

/* ---- connecting ---- */

static const struct {
    unsigned number;
    enum ps_rc rc;
} login_errors[] = {
    {ER_ACCESS_DENIED_ERROR,             PS_LOGIN_FAILED      },
    {ER_DBACCESS_DENIED_ERROR,           PS_LOGIN_FAILED      },
    {ER_BAD_DB_ERROR,                    PS_LOGIN_FAILED      },
    {ER_ACCESS_DENIED_NO_PASSWORD_ERROR, PS_LOGIN_FAILED      },
    {ER_HOST_NOT_PRIVILEGED,             PS_LOGIN_FAILED      },
    {3118 /* account locked */,          PS_LOGIN_FAILED      },
    {4151 /* account locked */,          PS_LOGIN_FAILED      },
    {1862 /* password expired */,        PS_LOGIN_FAILED      },
    {ER_MUST_CHANGE_PASSWORD,            PS_LOGIN_FAILED      },
    {ER_CON_COUNT_ERROR,                 PS_ORIGIN_TOO_MANY   },
    {ER_TOO_MANY_USER_CONNECTIONS,       PS_ORIGIN_TOO_MANY   },
    {ER_USER_LIMIT_REACHED,              PS_ORIGIN_TOO_MANY   },
    {ER_HOST_IS_BLOCKED,                 PS_ORIGIN_UNAVAILABLE},
    {ER_SERVER_SHUTDOWN,                 PS_ORIGIN_UNAVAILABLE},
    {CR_OUT_OF_MEMORY,                   PS_NO_MEMORY         },
    {CR_VERSION_ERROR,                   PS_ORIGIN_PROTOCOL   },
    {CR_MALFORMED_PACKET,                PS_ORIGIN_PROTOCOL   },
    {CR_AUTH_PLUGIN_CANNOT_LOAD,         PS_UNSUPPORTED       },
    {CR_AUTH_PLUGIN_ERR,                 PS_UNSUPPORTED       },
};

static enum ps_rc
connection_rc(int number)
{
    switch (number) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EACCES:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return PS_ORIGIN_UNREACHABLE;
    case ETIMEDOUT:
        return PS_ORIGIN_TIMEOUT;
    default:
        return PS_ORIGIN_REFUSED;
    }
}

/* The library puts errno into the text: "... 'host' (111)" or "..., system
 * error: 110". */
static int
errno_of(const char *text)
{
    static const char system[] = "system error: ";
    const char *at = strstr(text, system), *paren = strrchr(text, '(');
    int number = 0;
    at = at ? at + strlen(system) : paren ? paren + 1 : "";
    for (; *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (*at - '0');
    return number;
}

/* Where nothing is verified the library may still name a doubt about the
 * certificate, when in truth the line broke. */
static enum ps_rc
tls_error(const char *text, bool verifies, struct ps_err *err)
{
    if (strstr(text, "does not support"))
        return ps_err_set(err, PS_ORIGIN_TLS,
                          "the database does not offer TLS, which this "
                          "cache's tls setting requires");
    if (!verifies)
        return ps_err_set(err, PS_ORIGIN_TLS, NULL);
    enum ps_tls_fault fault = ps_tls_fault_in(text);
    if (strstr(text, "Validation of SSL server certificate"))
        fault = PS_TLS_FAULT_HOST; /* the library's own check, of the name */
    if (fault != PS_TLS_FAULT_OTHER || strstr(text, "ertificate") ||
        strstr(text, "self") || strstr(text, "verif") || strstr(text, "host"))
        return ps_err_set(err, PS_ORIGIN_CERT, "%s",
                          ps_tls_fault_sentence(fault));
    return ps_err_set(err, PS_ORIGIN_TLS, NULL);
}

enum ps_rc
ps_my_connect_error(MYSQL *my, bool verifies, struct ps_err *err)
{
    unsigned number = mysql_errno(my);
    const char *text = mysql_error(my);
    for (size_t i = 0; i < PS_ARRAY_LEN(login_errors); i++) {
        if (login_errors[i].number == number)
            return ps_err_set(err, login_errors[i].rc, NULL);
    }
    switch (number) {
    case CR_UNKNOWN_HOST:
        return ps_err_set(err, PS_ORIGIN_HOST, NULL);
    case CR_SSL_CONNECTION_ERROR:
        return tls_error(text, verifies, err);
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_IPSOCK_ERROR:
        return ps_err_set(err, connection_rc(errno_of(text)), NULL);
    case CR_SERVER_LOST:
    case CR_SERVER_LOST_EXTENDED:
    case CR_SERVER_GONE_ERROR:
        /* The library's own limit, where the loop was late with its own. */
        if (errno_of(text) == ETIMEDOUT)
            return ps_err_set(err, PS_ORIGIN_TIMEOUT, NULL);
        return ps_err_set(err, PS_ORIGIN_LOST,
                          "the connection ended before the login was done; "
                          "is this a MySQL or MariaDB server?");
    default:
        return ps_err_set(err, PS_ORIGIN_UNAVAILABLE, NULL);
    }
}
