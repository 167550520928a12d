/*
 * The PostgreSQL driver's own parts; private to agent/backend/pg*.c.
 *
 *   pg.c         vtable, idle connections, end of operations
 *   pg_open.c    resolve, connect, TLS, login; what a failure means
 *   pg_exec.c    send a statement, rows to the sink, its outcome; reset
 *   pg_params.c  statement and parameters as libpq wants them
 *   pg_cancel.c  CancelRequest from a thread of its own
 *   pg_tls.c     bytes waiting inside TLS
 *   pg_errors.c  the server's errors as ours
 *
 * Everything but pg_cancel.c's thread runs on the connection's loop.
 */
#ifndef PS_AGENT_BACKEND_PG_H
#define PS_AGENT_BACKEND_PG_H

#include "agent/backend/backend_private.h"
#include "common/buf.h"

#include <libpq-fe.h>

/* A path that exists nowhere, for libpq's options whose default is a file in
 * the home directory. */
#define PS_PG_NO_FILE "/nonexistent/portside"

struct pg_open;
struct pg_cancel;

/* The statement (or reset) under way. */
struct pg_exec {
    const struct ps_statement *statement; /* NULL: a reset */
    struct ps_sink *sink;
    enum ps_rc why;        /* why it is being cancelled; PS_OK: it is not */
    struct ps_err failure; /* first error; rc PS_OK: none */
    bool failed_cancelled; /* ... and it was 57014 */
    bool set_open; /* columns of the current result set were announced */
    bool dead;     /* must not be used any more */
    bool not_sent;
    bool unsure;   /* the connection broke after something was sent */
    bool ended;    /* ... because the server had ended the session */
    bool complete; /* the server is done with it */
    char command[64];
    uint64_t rows;
    uint64_t begun_us;
    struct ps_pause pause;
    unsigned hungry;       /* reads in a row that completed no result */
    uint64_t hungry_bytes; /* received when the count began */
};

struct pg_conn {
    struct ps_conn conn; /* first */
    struct ps_loop *loop;
    PGconn *pg;
    struct ps_watch *watch;
    struct ps_timer deadline;
    struct ps_timer step; /* goes on with what was put off, next turn */
    struct pg_open *open; /* while opening */
    struct pg_exec exec;
    struct pg_cancel *cancel; /* a CancelRequest under way */
    struct ps_buf text;       /* statement and parameters with NULs */
    struct ps_column *columns;
    struct ps_cell *cells;
    size_t columns_cap;
    bool fat; /* libpq keeps a huge buffer: not worth keeping */
};

/* pg.c */
void ps_pg_watch(struct pg_conn *self, unsigned interest);

/* pg_open.c */
struct pg_open *ps_pg_open_new(struct pg_conn *self,
                               const struct ps_conn_open *open);
void ps_pg_open_free(struct pg_open **open);
void ps_pg_open_start(struct pg_conn *self);
void ps_pg_open_io(struct pg_conn *self);
void ps_pg_open_deadline(struct pg_conn *self);

/* pg_exec.c */
void ps_pg_execute(struct pg_conn *self, const struct ps_statement *statement,
                   struct ps_sink *sink);
void ps_pg_reset(struct pg_conn *self, uint64_t timeout_ms);
void ps_pg_exec_io(struct pg_conn *self, unsigned ready);
void ps_pg_exec_step(struct pg_conn *self);
void ps_pg_exec_deadline(struct pg_conn *self);
void ps_pg_exec_cancel(struct pg_conn *self, enum ps_rc why);
void ps_pg_exec_pause(struct pg_conn *self, bool paused);
/* The CancelRequest of this statement has been dealt with. */
void ps_pg_exec_cancelled(struct pg_conn *self);
/* Is the peer still there? No round trip. */
bool ps_pg_peer_there(struct pg_conn *self);

/* pg_params.c: sql, then each parameter, all NUL-terminated, into text;
 * values (n_params, caller frees) point into it. */
PS_MUST_USE enum ps_rc ps_pg_params(const struct ps_statement *statement,
                                    struct ps_buf *text, const char ***values);

/* pg_cancel.c. NULL when there is no memory or thread for it. */
struct pg_cancel *ps_pg_cancel_start(struct pg_conn *self);
/* The connection is no longer interested (it closes). */
void ps_pg_cancel_forget(struct pg_cancel **cancel);

/* pg_tls.c */
/* Bytes that TLS has decoded and libpq has not yet taken. */
bool ps_pg_tls_pending(PGconn *pg);
/* PQconnectPoll. If it refuses the server's certificate, *verify_error gets
 * OpenSSL's reason (X509_V_ERR_...); else it stays as it is. Any thread. */
PostgresPollingStatusType ps_pg_tls_poll(PGconn *pg, long *verify_error);

/* pg_errors.c */
/* The result is a PGRES_FATAL_ERROR (or another bad one) of a statement.
 * *fatal: the server closes the connection. */
void ps_pg_result_error(const PGresult *result, struct ps_err *err,
                        bool *fatal);
/* The same error with all its fields, for a sink that has an error function. */
void ps_pg_tell_error(const PGresult *result, struct ps_sink *sink);
/* The server itself said that it ended the session: nothing goes on. */
bool ps_pg_says_ended(const PGresult *result);
/* How far a connection attempt had come. */
enum pg_stage {
    PG_STAGE_TCP,
    PG_STAGE_TLS,
    PG_STAGE_LOGIN
};
/* verify_error: of the certificate, 0: nothing is known against it. */
enum ps_rc ps_pg_connect_error(PGconn *pg, enum pg_stage stage,
                               long verify_error, struct ps_err *err);

#endif
