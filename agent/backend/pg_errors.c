/*
 * The server's errors as Portside's. A statement's error keeps the server's
 * SQLSTATE and words, because the client that sent the statement must read
 * them. A login's error does not: what tells an unknown user from a wrong
 * password helps only those who guess (hazard 36).
 *
 * libpq gives no SQLSTATE for a failed login, only text. The connection asks
 * for verbose messages, in which the SQLSTATE stands between two colons
 * whatever the language: "FATAL:  28P01: ...".
 */
#include "agent/backend/pg.h"
#include "common/tls_peer.h"

#include <errno.h>
#include <stdio.h>

static const char *
field(const PGresult *result, int code)
{
    const char *text = PQresultErrorField(result, code);
    return text ? text : "";
}

/* node-pg's message is the primary one; detail and hint help people. */
static void
statement_message(const PGresult *result, struct ps_err *err)
{
    const char *primary = field(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = field(result, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = field(result, PG_DIAG_MESSAGE_HINT);
    ps_err_set(err, PS_ORIGIN_SQL, "%s%s%s%s%s%s%s", primary,
               *detail ? " (" : "", detail, *detail ? ")" : "",
               *hint ? " (hint: " : "", hint, *hint ? ")" : "");
}

void
ps_pg_result_error(const PGresult *result, struct ps_err *err, bool *fatal)
{
    const char *state = field(result, PG_DIAG_SQLSTATE);
    const char *severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    *fatal = strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0;
    if (strlen(state) != 5) {
        /* Made by libpq itself: the connection is gone, or the protocol. */
        *fatal = true;
        ps_err_set(err, PS_ORIGIN_LOST, NULL);
    } else if (*fatal) {
        ps_err_set(err, PS_ORIGIN_LOST,
                   "the database closed the connection: %s",
                   field(result, PG_DIAG_MESSAGE_PRIMARY));
    } else {
        statement_message(result, err);
        memcpy(err->sqlstate, state, 6);
    }
}

static const int diag_codes[PS_ORIGIN_ERROR_COUNT] = {
    [PS_ORIGIN_ERROR_MESSAGE] = PG_DIAG_MESSAGE_PRIMARY,
    [PS_ORIGIN_ERROR_CODE] = PG_DIAG_SQLSTATE,
    [PS_ORIGIN_ERROR_DETAIL] = PG_DIAG_MESSAGE_DETAIL,
    [PS_ORIGIN_ERROR_HINT] = PG_DIAG_MESSAGE_HINT,
    [PS_ORIGIN_ERROR_POSITION] = PG_DIAG_STATEMENT_POSITION,
    [PS_ORIGIN_ERROR_INTERNAL_POSITION] = PG_DIAG_INTERNAL_POSITION,
    [PS_ORIGIN_ERROR_INTERNAL_QUERY] = PG_DIAG_INTERNAL_QUERY,
    [PS_ORIGIN_ERROR_SEVERITY] = PG_DIAG_SEVERITY,
    [PS_ORIGIN_ERROR_WHERE] = PG_DIAG_CONTEXT,
    [PS_ORIGIN_ERROR_TABLE] = PG_DIAG_TABLE_NAME,
    [PS_ORIGIN_ERROR_COLUMN] = PG_DIAG_COLUMN_NAME,
    [PS_ORIGIN_ERROR_SCHEMA] = PG_DIAG_SCHEMA_NAME,
    [PS_ORIGIN_ERROR_DATA_TYPE] = PG_DIAG_DATATYPE_NAME,
    [PS_ORIGIN_ERROR_CONSTRAINT] = PG_DIAG_CONSTRAINT_NAME,
    [PS_ORIGIN_ERROR_FILE] = PG_DIAG_SOURCE_FILE,
    [PS_ORIGIN_ERROR_LINE] = PG_DIAG_SOURCE_LINE,
    [PS_ORIGIN_ERROR_ROUTINE] = PG_DIAG_SOURCE_FUNCTION,
};

void
ps_pg_tell_error(const PGresult *result, struct ps_sink *sink)
{
    struct ps_origin_error error = {.number = 0};
    for (size_t i = 0; i < PS_ORIGIN_ERROR_COUNT; i++)
        error.fields[i] = PQresultErrorField(result, diag_codes[i]);
    sink->error(sink, &error);
}

/* A pooler says FATAL, too, while the server behind it goes on: it is one of
 * the server's own processes only where that names its source. After a PANIC
 * a commit may yet come out of the log. */
bool
ps_pg_says_ended(const PGresult *result)
{
    return strcmp(field(result, PG_DIAG_SEVERITY_NONLOCALIZED), "FATAL") == 0 &&
           strcmp(field(result, PG_DIAG_SQLSTATE), "57P01") == 0 &&
           *field(result, PG_DIAG_SOURCE_FUNCTION) != '\0';
}

/* ------------------------------------------------------------ connecting */

/* The SQLSTATE of a verbose message; "" when there is none. */
static void
find_sqlstate(const char *text, char out[6])
{
    out[0] = '\0';
    for (const char *at = text; (at = strstr(at, ":  ")) != NULL; at++) {
        size_t n = strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        if (n == 5 && at[8] == ':') {
            memcpy(out, at + 3, 5);
            out[5] = '\0';
        }
    }
}

/* Class and code -> ours. "xx" is a whole class. */
static const struct {
    const char *sqlstate;
    enum ps_rc rc;
} login_errors[] = {
    {"28",    PS_LOGIN_FAILED      }, /* role, password, pg_hba.conf */
    {"3D000", PS_LOGIN_FAILED      }, /* no such database */
    {"42501", PS_LOGIN_FAILED      }, /* no CONNECT privilege */
    {"53300", PS_ORIGIN_TOO_MANY   },
    {"53",    PS_ORIGIN_UNAVAILABLE},
    {"55000", PS_ORIGIN_UNAVAILABLE}, /* database takes no connections */
    {"57",    PS_ORIGIN_UNAVAILABLE},
    {"58",    PS_ORIGIN_UNAVAILABLE},
    {"XX",    PS_ORIGIN_UNAVAILABLE},
    {"08",    PS_ORIGIN_PROTOCOL   },
    {"0A000", PS_ORIGIN_PROTOCOL   },
};

static enum ps_rc
login_rc(const char *sqlstate)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(login_errors); i++) {
        const char *prefix = login_errors[i].sqlstate;
        if (strncmp(sqlstate, prefix, strlen(prefix)) == 0)
            return login_errors[i].rc;
    }
    return PS_ORIGIN_UNAVAILABLE;
}

/* libpq puts strerror() into its text and keeps the number to itself. */
static bool
mentions_errno(const char *text, int number)
{
    return strstr(text, strerror(number)) != NULL;
}

static enum ps_rc
socket_rc(const char *text)
{
    if (mentions_errno(text, ECONNREFUSED))
        return PS_ORIGIN_REFUSED;
    if (mentions_errno(text, ENETUNREACH) ||
        mentions_errno(text, EHOSTUNREACH) || mentions_errno(text, ENETDOWN) ||
        mentions_errno(text, EACCES) || mentions_errno(text, EADDRNOTAVAIL) ||
        mentions_errno(text, EAFNOSUPPORT))
        return PS_ORIGIN_UNREACHABLE;
    if (mentions_errno(text, ETIMEDOUT))
        return PS_ORIGIN_TIMEOUT;
    return PS_ORIGIN_REFUSED;
}

/* Texts of libpq's own (not translated: no setlocale here). */
static const struct {
    const char *text;
    enum ps_rc rc;
} libpq_texts[] = {
    {"certificate verify failed",        PS_ORIGIN_CERT    },
    {"does not match host name",         PS_ORIGIN_CERT    },
    {"could not get server's host name", PS_ORIGIN_CERT    },
    {"could not read root certificate",  PS_ORIGIN_CERT    },
    {"root certificate file",            PS_ORIGIN_CERT    },
    {"server does not support SSL",      PS_ORIGIN_TLS     },
    {"no password supplied",             PS_LOGIN_FAILED   },
    {"incorrect server signature",       PS_ORIGIN_PROTOCOL},
    {"invalid response to SSL",          PS_ORIGIN_PROTOCOL},
    {"expected authentication request",  PS_ORIGIN_PROTOCOL},
    {"invalid SCRAM",                    PS_ORIGIN_PROTOCOL},
    {"authentication method",            PS_UNSUPPORTED    },
    {"authentication not supported",     PS_UNSUPPORTED    },
    {"SSL error",                        PS_ORIGIN_TLS     },
};

static enum ps_rc
libpq_rc(const char *text, enum pg_stage stage)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(libpq_texts); i++) {
        if (strstr(text, libpq_texts[i].text))
            return libpq_texts[i].rc;
    }
    if (stage == PG_STAGE_TCP)
        return socket_rc(text);
    return PS_ORIGIN_LOST;
}

/* What to say beyond the table's sentence. No name, no address, no secret. */
static const char *
detail_of(enum ps_rc rc, const char *text, long verify_error)
{
    if (rc == PS_ORIGIN_CERT && verify_error)
        return ps_tls_fault_sentence(ps_tls_fault_of(verify_error));
    if (rc == PS_ORIGIN_TLS && strstr(text, "does not support SSL"))
        return "the database does not offer TLS, which this cache's tls "
               "setting requires";
    if (rc == PS_ORIGIN_CERT && strstr(text, "host name"))
        return ps_tls_fault_sentence(PS_TLS_FAULT_HOST);
    if (rc == PS_UNSUPPORTED)
        return "the database asks for an authentication method that is not "
               "supported; use scram-sha-256, md5 or password";
    if (rc == PS_ORIGIN_LOST)
        return "the database closed the connection before the login was done";
    return NULL;
}

enum ps_rc
ps_pg_connect_error(PGconn *pg, enum pg_stage stage, long verify_error,
                    struct ps_err *err)
{
    const char *text = PQerrorMessage(pg);
    char sqlstate[6];
    find_sqlstate(text, sqlstate);
    enum ps_rc rc = *sqlstate ? login_rc(sqlstate) : libpq_rc(text, stage);
    const char *detail = *sqlstate ? NULL : detail_of(rc, text, verify_error);
    return detail ? ps_err_set(err, rc, "%s", detail)
                  : ps_err_set(err, rc, NULL);
}
