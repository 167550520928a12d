/*
 * SQL Server through FreeTDS's ODBC driver, blocking: the part of the worker
 * process that knows ODBC. One connection per process; tds_worker.c is the
 * caller. All on the worker's main thread but ps_tds_odbc_cancel.
 */
#ifndef PS_AGENT_BACKEND_TDS_ODBC_H
#define PS_AGENT_BACKEND_TDS_ODBC_H

#include "agent/backend/backend.h"

#include <pthread.h>
#include <sql.h>
#include <sqlext.h>
#include <sys/types.h>

/* What OPEN carries. */
struct ps_tds_target {
    char *host;
    uint16_t port;
    enum ps_tls_mode tls;
    char *ca_pem; /* NULL: the system's bundle */
    char *user, *password, *database;
    uint64_t timeout_ms;
};

struct ps_tds_result {
    struct ps_err err; /* rc PS_OK: none */
    bool broken;       /* the connection is not usable any more */
    bool cancelled;    /* the server stopped it because it was asked to */
    bool transaction;  /* one is open */
    uint64_t rows;
};

/* Where rows go, as frames. Both give PS_OK or end the statement. */
struct ps_tds_out {
    enum ps_rc (*columns)(struct ps_tds_out *out,
                          const struct ps_column *columns, size_t count);
    enum ps_rc (*row)(struct ps_tds_out *out, const struct ps_cell *cells,
                      size_t count);
};

struct ps_tds_odbc {
    SQLHENV env;
    SQLHDBC dbc;
    SQLHSTMT stmt;
    struct ps_buf row;  /* values of the row being fetched */
    struct ps_buf call; /* {call sp_executesql(?,...)} and declarations */
    struct ps_column *columns;
    struct ps_cell *cells;
    size_t *offsets; /* of the cells in row */
    size_t columns_cap;
    bool transaction; /* the last statement left one open */
    pthread_mutex_t cancel_lock;
    bool running;  /* what may be cancelled; with the lock */
    bool stopping; /* it was; with the lock */
};

/* tds_conf.c: private configuration files of both libraries, as descriptors,
 * named by the environment. Before SQLConnect. */
PS_MUST_USE enum ps_rc ps_tds_conf_make(const struct ps_tds_target *target,
                                        struct ps_err *err);

/* tds_diagnose.c: why did the connection fail? For when FreeTDS cannot say. */
enum ps_rc ps_tds_diagnose(const struct ps_tds_target *target,
                           struct ps_err *err);

PS_MUST_USE enum ps_rc ps_tds_odbc_open(struct ps_tds_odbc *odbc,
                                        const struct ps_tds_target *target,
                                        struct ps_err *err);
void ps_tds_odbc_execute(struct ps_tds_odbc *odbc,
                         const struct ps_statement *statement,
                         struct ps_tds_out *out, struct ps_tds_result *result);
/* The server forgets what the session has; then it is set up again. Not
 * PS_OK: of no use any more. */
PS_MUST_USE enum ps_rc ps_tds_odbc_reset(struct ps_tds_odbc *odbc);
/* Another thread: stops what runs. May be repeated; without effect between
 * statements. */
void ps_tds_odbc_cancel(struct ps_tds_odbc *odbc);

/* tds_errors.c: the first error of a handle. */
struct ps_tds_diag {
    char state[6];
    SQLINTEGER number;
    char text[1024];
};
bool ps_tds_diag(SQLSMALLINT type, SQLHANDLE handle, struct ps_tds_diag *diag);
/* That of a statement (stopping: its end was asked for), or of a login (PS_OK:
 * FreeTDS knows nothing more). */
void ps_tds_statement_error(const struct ps_tds_diag *diag, bool stopping,
                            struct ps_tds_result *result);
enum ps_rc ps_tds_login_error(const struct ps_tds_diag *diag,
                              struct ps_err *err);

/* tds_fetch.c: all rows of the current result set. */
enum ps_rc ps_tds_fetch(struct ps_tds_odbc *odbc, SQLSMALLINT count,
                        struct ps_tds_out *out, struct ps_tds_result *result);

/* tds_params.c: the call of sp_executesql for a statement; what it points
 * to lives in bound until ps_tds_params_free. */
struct ps_tds_bound;
PS_MUST_USE enum ps_rc ps_tds_params_bind(struct ps_tds_odbc *odbc,
                                          const struct ps_statement *statement,
                                          struct ps_tds_bound **bound);
void ps_tds_params_free(struct ps_tds_bound **bound);

/* tds_reset.c: has a TLS handshake of this process gone well? */
bool ps_tds_handshake_went_well(void);
/* tds_reset.c: the next request begins with a reset; did it? */
void ps_tds_reset_arm(void);
bool ps_tds_reset_sent(void);
/* FreeTDS's way out, instead of GnuTLS's. */
ssize_t gnutls_record_send(void *session, const void *data, size_t size);

#endif
