/*
 * Errors: one table, from which come the codes of functions, the JSON code
 * and HTTP status that clients see, the SQLSTATE, the log level and whether
 * trying again can help.
 *
 * Functions that can fail return enum ps_rc and leave their outputs as they
 * were. Where a person will read about it they also fill a struct ps_err,
 * whose message says what happened and what to do about it, and never holds
 * a literal, a binding or a password (contract C6). The text of an origin's
 * own error goes to the client that caused it, and nowhere else.
 */
#ifndef PS_COMMON_ERR_H
#define PS_COMMON_ERR_H

#include "common/base.h"

/*
 * X(name, code, http, sqlstate, level, retryable, sentence)
 *   code      stable text, the "code" of JSON errors
 *   sqlstate  for fronts that need one (PostgreSQL appendix A)
 *   level     of the log line: DEBUG, INFO, WARN, ERROR
 *   sentence  default message: what happened and what to do
 */
#define PS_ERR_TABLE(X)                                                        \
    X(OK, "ok", 200, "00000", DEBUG, 0, "no error")                            \
    /* the request */                                                          \
    X(BAD_REQUEST, "bad_request", 400, "08P01", DEBUG, 0,                      \
      "the request is not valid HTTP; check the client library")               \
    X(BAD_JSON, "bad_json", 400, "22032", DEBUG, 0,                            \
      "the body is not a JSON object; send {\"cacheId\":...,\"sql\":...}")     \
    X(BAD_UTF8, "bad_utf8", 400, "22021", DEBUG, 0,                            \
      "the body holds bytes that are not UTF-8; send text as UTF-8")           \
    X(MISSING_FIELD, "missing_field", 400, "22023", DEBUG, 0,                  \
      "a required field is missing or empty")                                  \
    X(BAD_FIELD, "bad_field", 400, "22023", DEBUG, 0,                          \
      "a field has the wrong type or value")                                   \
    X(BAD_BINDINGS, "bad_bindings", 400, "07001", DEBUG, 0,                    \
      "the bindings do not fit the placeholders of the statement")             \
    X(PROVIDER_MISMATCH, "provider_mismatch", 400, "22023", DEBUG, 0,          \
      "provider contradicts the type of this cache; leave it out or fix it")   \
    X(TRANSACTION, "transaction_unsupported", 400, "25001", DEBUG, 0,          \
      "a transaction cannot span requests; send BEGIN ... COMMIT as one")      \
    X(TRANSACTION_OVER, "transaction_over", 409, "25P01", INFO, 0,             \
      "this transaction is not open any more: it ended, or it was idle for "   \
      "too long and was rolled back; begin another one")                       \
    X(NOT_FOUND, "not_found", 404, "02000", DEBUG, 0,                          \
      "no such path; queries go to POST /sql")                                 \
    X(METHOD, "method_not_allowed", 405, "0A000", DEBUG, 0,                    \
      "this path does not take that method; queries go to POST /sql")          \
    X(CACHE_NOT_FOUND, "cache_not_found", 404, "3D000", DEBUG, 0,              \
      "no cache has this id; see `psctl cache list`")                          \
    X(CACHE_DISABLED, "cache_disabled", 403, "55000", DEBUG, 0,                \
      "this cache is disabled; enable it with `psctl cache update`")           \
    X(REQUEST_TIMEOUT, "request_timeout", 408, "57014", DEBUG, 1,              \
      "the request did not arrive in time")                                    \
    X(CONFLICT, "conflict", 409, "23505", DEBUG, 0,                            \
      "this already exists or was changed by somebody else")                   \
    X(PRECONDITION, "precondition_failed", 412, "40001", DEBUG, 0,             \
      "this was changed since it was read; read it again")                     \
    X(KEY_REUSED, "idempotency_key_reused", 422, "22023", DEBUG, 0,            \
      "this Idempotency-Key was sent with another request; take a new one")    \
    X(BODY_TOO_BIG, "body_too_big", 413, "54000", DEBUG, 0,                    \
      "the request is larger than this server accepts")                        \
    X(HEAD_TOO_BIG, "head_too_big", 431, "54000", DEBUG, 0,                    \
      "the request's head is larger than this server accepts")                 \
    X(TOO_MANY_REQUESTS, "too_many_requests", 429, "53300", INFO, 1,           \
      "too many requests; slow down and try again")                            \
    X(RATE_LIMITED, "rate_limited", 429, "53400", INFO, 1,                     \
      "this cache is asked more often than its rateLimit allows; slow down")   \
    X(TOO_MANY_CONCURRENT, "too_many_concurrent", 503, "53400", INFO, 1,       \
      "as many requests as the cache's concurrencyMax allows are at its "      \
      "database; try again shortly")                                           \
    X(UNSUPPORTED, "unsupported", 501, "0A000", INFO, 0,                       \
      "this is not supported by this version")                                 \
    X(ONLY_IF_CACHED, "only_if_cached", 504, "02000", DEBUG, 1,                \
      "only-if-cached was asked for and the answer is not in memory")          \
    /* who is asking */                                                        \
    X(UNAUTHORIZED, "unauthorized", 401, "28000", INFO, 0,                     \
      "no valid credentials")                                                  \
    X(FORBIDDEN, "forbidden", 403, "42501", INFO, 0,                           \
      "these credentials do not allow this")                                   \
    X(LOGIN_FAILED, "login_failed", 401, "28P01", INFO, 0,                     \
      "the database refused this user name, password or database")             \
    /* the origin */                                                           \
    X(ORIGIN_SQL, "origin_sql", 400, "42000", DEBUG, 0,                        \
      "the database refused the statement")                                    \
    X(ORIGIN_HOST, "origin_bad_host", 502, "08001", WARN, 1,                   \
      "the database's host name cannot be resolved; check the cache's host")   \
    X(ORIGIN_REFUSED, "origin_refused", 502, "08001", WARN, 1,                 \
      "the database refused the connection; is it running, is the port "       \
      "right, does its firewall allow this agent?")                            \
    X(ORIGIN_UNREACHABLE, "origin_unreachable", 502, "08001", WARN, 1,         \
      "there is no route to the database; check network and firewall")         \
    X(ORIGIN_TIMEOUT, "origin_timeout", 504, "08001", WARN, 1,                 \
      "the database did not answer in time; check firewall and load")          \
    X(ORIGIN_TLS, "origin_tls", 502, "08001", WARN, 0,                         \
      "TLS with the database failed; check the cache's tls setting")           \
    X(ORIGIN_CERT, "origin_cert", 502, "08001", WARN, 0,                       \
      "the database's certificate is not trusted; give the cache its CA")      \
    X(ORIGIN_PROTOCOL, "origin_protocol", 502, "08P01", WARN, 0,               \
      "what answers at this address does not speak this cache's protocol; "    \
      "check type and port")                                                   \
    X(ORIGIN_TOO_MANY, "origin_too_many_connections", 503, "53300", WARN, 1,   \
      "the database has no free connection slots")                             \
    X(ORIGIN_UNAVAILABLE, "origin_unavailable", 503, "57P03", WARN, 1,         \
      "the database is starting up, shutting down or in recovery")             \
    X(ORIGIN_CIRCUIT, "origin_circuit_open", 503, "57P03", INFO, 1,            \
      "the database could not be reached several times in a row and is left "  \
      "alone for a moment; try again shortly")                                 \
    X(ORIGIN_LOST, "origin_lost", 502, "08006", WARN, 1,                       \
      "the connection to the database broke before the query was answered")    \
    X(OUTCOME_UNKNOWN, "outcome_unknown", 502, "08007", WARN, 0,               \
      "the connection broke while a statement that may write was running: "    \
      "it may have taken effect; check before you repeat it")                  \
    X(QUERY_TIMEOUT, "query_timeout", 504, "57014", INFO, 1,                   \
      "the query took longer than allowed and was cancelled")                  \
    X(RESULT_TOO_BIG, "result_too_big", 507, "54000", INFO, 0,                 \
      "the result is larger than this agent returns; use LIMIT")               \
    X(POOL_TIMEOUT, "pool_timeout", 503, "53300", WARN, 1,                     \
      "no database connection became free in time; raise the pool's "          \
      "maximum or lower the load")                                             \
    X(POOL_FULL, "pool_full", 503, "53300", WARN, 1,                           \
      "too many requests wait for a database connection")                      \
    /* ourselves */                                                            \
    X(CANCELLED, "cancelled", 499, "57014", DEBUG, 1, "the client went away")  \
    X(SHUTTING_DOWN, "shutting_down", 503, "57P01", INFO, 1,                   \
      "this agent is shutting down; connect again")                            \
    X(NO_MEMORY, "no_memory", 503, "53200", ERROR, 1, "not enough memory")     \
    X(TOO_BIG, "too_big", 413, "54000", DEBUG, 0, "a size limit was exceeded") \
    X(IO, "io_error", 500, "58030", ERROR, 1,                                  \
      "a file or socket could not be read or written")                         \
    X(DATABASE, "store_error", 500, "58000", ERROR, 1,                         \
      "the control plane's own store failed")                                  \
    X(TLS, "tls_error", 500, "08001", WARN, 0,                                 \
      "a key, a certificate or a TLS setting could not be used")               \
    X(FABRIC, "fabric_error", 503, "08006", WARN, 1,                           \
      "the control plane cannot be reached")                                   \
    X(CONFIG, "bad_config", 500, "F0000", ERROR, 0, "a setting is wrong")      \
    X(INTERNAL, "internal", 500, "XX000", ERROR, 0,                            \
      "an internal fault; please report it with the log")

enum ps_rc {
#define X(name, code, http, sqlstate, level, retryable, sentence) PS_##name,
    PS_ERR_TABLE(X)
#undef X
    PS_RC_COUNT
};

struct ps_err_info {
    const char *name; /* "PS_BAD_JSON" */
    const char *code; /* "bad_json" */
    int http_status;
    const char *sqlstate;
    int log_level; /* enum ps_log_level */
    bool retryable;
    const char *sentence;
};

/* Never NULL; static. */
const struct ps_err_info *ps_err_info(enum ps_rc rc);
/* The code with this text, or PS_RC_COUNT. */
enum ps_rc ps_err_find(struct ps_str code);

struct ps_err {
    enum ps_rc rc;
    /* What the origin said (SQL Server: its number), else the table's; ""
     * until set. */
    char sqlstate[12];
    /* UTF-8, at most one line, cut at a character boundary. */
    char message[1024];
};

/* Sets err (which may be NULL) and returns rc, so that
 * `return ps_err_set(err, PS_IO, "cannot read %s", path);` works. With fmt
 * NULL the table's sentence is the message. */
enum ps_rc ps_err_set(struct ps_err *err, enum ps_rc rc, const char *fmt, ...)
    PS_PRINTF(3, 4);
/* The standard reason phrase of an HTTP status ("Not Found"); never NULL. */
const char *ps_http_reason(int status);

#endif
