/*
 * The MySQL and MariaDB driver's own parts; private to agent/backend/my*.c.
 *
 *   my.c         vtable, idle connections, the runner of steps
 *   my_target.c  where to, as whom, with which options
 *   my_open.c    a login (on a thread), then the canonical session
 *   my_exec.c    a statement, a reset, their outcome
 *   my_rows.c    columns and rows to the sink, text and binary alike
 *   my_params.c  parameters as the protocol carries them
 *   my_prepared.c  prepared statements a connection keeps
 *   my_cancel.c  KILL QUERY
 *   jobs.c       threads for the calls that block
 *   my_errors.c  the server's and the library's errors as ours
 *
 * Connector/C runs each of its blocking calls as a coroutine: X_start says
 * what it waits for, X_cont goes on when that has come. A connection is a
 * list of such steps; one runs at a time:
 *
 *   start() -> waits -> [loop] -> cont() -> ... -> 0 -> done() -> next step
 *
 * Everything but the jobs of jobs.c runs on the connection's loop.
 */
#ifndef PS_AGENT_BACKEND_MY_H
#define PS_AGENT_BACKEND_MY_H

#include "agent/backend/backend_private.h"
#include "agent/backend/jobs.h"
#include "common/buf.h"
#include "common/list.h"

#include <mariadb/mysql.h>

struct my_open;
struct my_cancel;

/* X(NAME, part): functions my_<part>_start, _cont, _done. */
#define MY_STEP_TABLE(X)                                                 \
    X(SETUP, setup)           /* the canonical session, after a login */ \
    X(QUERY, query)           /* a statement without parameters */       \
    X(FETCH, fetch)           /* one row of its result */                \
    X(NEXT, next)             /* its next result */                      \
    X(PREPARE, prepare)       /* a statement with parameters */          \
    X(EXECUTE, execute)       /* ... which is prepared */                \
    X(STMT_FETCH, stmt_fetch) /* one row of its result */                \
    X(STMT_NEXT, stmt_next)   /* its next result */                      \
    X(STMT_CLOSE, stmt_close) /* one that is no longer kept */           \
    X(RESET, reset)           /* COM_RESET_CONNECTION */                 \
    X(SELECT_DB, select_db)   /* back to the login's database */         \
    X(ROLE, role)             /* back to its role (MySQL 8) */

enum my_step {
#define X(name, part) MY_STEP_##name,
    MY_STEP_TABLE(X)
#undef X
    MY_STEP_COUNT
};

/* A statement that stays prepared. */
struct my_prepared {
    struct ps_link link; /* most recently used first */
    MYSQL_STMT *stmt;
    uint64_t shape; /* of its columns when first executed; 0: not yet */
    size_t sql_len;
    char sql[];
};

/* The statement (or reset) under way. */
struct my_exec {
    const struct ps_statement *statement; /* NULL: a reset */
    struct ps_sink *sink;
    enum ps_rc why;        /* why it is being cancelled; PS_OK: it is not */
    struct ps_err failure; /* first error; rc PS_OK: none */
    bool failed_cancelled; /* ... and it was "interrupted" */
    bool dead;             /* must not be used any more */
    bool not_sent;
    bool unsure;   /* the connection broke after something was sent */
    bool complete; /* the server is done with it */
    bool retried;  /* prepared anew, because the server asked for it */
    bool again;    /* to be prepared anew once the old one is closed */
    struct ps_pause pause;
    uint64_t rows;
    uint64_t insert_id;
    uint64_t begun_us;
};

struct my_conn {
    struct ps_conn conn; /* first */
    struct ps_loop *loop;
    MYSQL *my; /* NULL: not connected */
    struct ps_watch *watch;
    struct ps_timer deadline;
    struct ps_timer later; /* goes on with what was put off, next turn */
    enum my_step step;
    bool suspended;       /* a call of the library waits for its cont */
    unsigned in_row;      /* steps done in this turn */
    struct my_open *open; /* while opening */
    struct my_exec exec;
    struct my_cancel *cancel; /* a KILL QUERY under way */
    /* results of the calls */
    int failed;
    my_bool stmt_failed;
    MYSQL_ROW row;
    MYSQL_RES *result;
    /* statements with parameters */
    struct ps_list prepared; /* struct my_prepared */
    struct my_prepared *current, *closing;
    struct ps_buf text; /* parameters */
    MYSQL_BIND *binds;
    size_t binds_cap;
    /* rows */
    struct ps_column *columns;
    struct ps_cell *cells;
    MYSQL_BIND *outs;
    unsigned long *lengths;
    my_bool *nulls;
    size_t n_columns, columns_cap;
    struct ps_buf wide; /* a binary row's cells */
    struct my_target *target;
};

/* ---- my.c ---- */

/* What a done function says. */
enum my_next {
    MY_GO,  /* self->step is the next one */
    MY_WAIT /* nothing more now: the operation ended, and with it perhaps the
               connection, or something else will go on */
};
/* Starts a step and goes on as far as possible. The last act of its caller,
 * which is a callback of the loop. */
void ps_my_run(struct my_conn *self, enum my_step step);
/* The same in the loop's next turn. */
void ps_my_run_later(struct my_conn *self, enum my_step step);
void ps_my_watch(struct my_conn *self, unsigned interest);
/* Ends what is suspended and frees the connection of the library. */
void ps_my_disconnect(struct my_conn *self);
/* Is the peer still there, and silent? No round trip. */
bool ps_my_peer_there(struct my_conn *self);

#define X(name, part)                                      \
    int my_##part##_start(struct my_conn *self);           \
    int my_##part##_cont(struct my_conn *self, int ready); \
    enum my_next my_##part##_done(struct my_conn *self);
MY_STEP_TABLE(X)
#undef X

/* ---- my_target.c ---- */
struct my_target {
    _Atomic unsigned refs;
    struct ps_cache_conf *conf;
    enum ps_tls_mode tls_mode;
    char *user, *password, *database;
    size_t password_len;
    char program[64];
    int ca_fd;
    char ca_path[32];
};
/* Threads for what blocks: logins, KILL QUERY. */
extern struct ps_jobs ps_my_jobs;
struct my_target *ps_my_target_new(const struct ps_conn_open *open);
struct my_target *ps_my_target_ref(struct my_target *target);
void ps_my_target_unref(struct my_target **target);
/* Resolves, connects, TLS, logs in: blocks for a few times timeout_s at most.
 * Any thread. NULL: see err. */
MYSQL *ps_my_target_connect(const struct my_target *target, unsigned timeout_s,
                            struct ps_err *err);

/* ---- my_open.c ---- */
PS_MUST_USE bool ps_my_open_start(struct my_conn *self,
                                  const struct ps_conn_open *open);
void ps_my_open_free(struct my_open **open);
void ps_my_open_deadline(struct my_conn *self);

/* ---- my_exec.c ---- */
void ps_my_execute(struct my_conn *self, const struct ps_statement *statement,
                   struct ps_sink *sink);
void ps_my_reset(struct my_conn *self, uint64_t timeout_ms);
void ps_my_exec_later(struct my_conn *self);
void ps_my_exec_deadline(struct my_conn *self);
void ps_my_exec_cancel(struct my_conn *self, enum ps_rc why);
void ps_my_exec_pause(struct my_conn *self, bool paused);
/* The KILL QUERY of this statement has been dealt with. */
void ps_my_exec_cancelled(struct my_conn *self);
/* For the steps: notes the error, and what follows. */
enum my_next ps_my_exec_failed(struct my_conn *self, unsigned number,
                               const char *sqlstate, const char *message);
/* The server is done with the statement, or with the reset. */
enum my_next ps_my_exec_complete(struct my_conn *self);
/* The statement with other columns than before is closed: once more. */
enum my_next ps_my_exec_again(struct my_conn *self);
/* The reset's SET is done. */
enum my_next ps_my_reset_done(struct my_conn *self);

/* ---- my_rows.c ---- */
PS_MUST_USE bool ps_my_take_columns(struct my_conn *self,
                                    const MYSQL_FIELD *fields, unsigned n);
PS_MUST_USE bool ps_my_bind_row(struct my_conn *self);
void ps_my_give_row(struct my_conn *self, const unsigned long *lengths);
void ps_my_give_stmt_row(struct my_conn *self);

/* ---- my_params.c ---- */
PS_MUST_USE enum ps_rc ps_my_params(struct my_conn *self,
                                    const struct ps_statement *statement);

/* ---- my_prepared.c ---- */
struct my_prepared *ps_my_prepared_find(struct my_conn *self,
                                        struct ps_str sql);
/* A new one, not yet prepared; NULL without memory. */
struct my_prepared *ps_my_prepared_new(struct my_conn *self, struct ps_str sql);
/* Keeps current; the one that is too much becomes closing. */
void ps_my_prepared_keep(struct my_conn *self);
/* The server has forgotten all of them, or the connection is gone. */
void ps_my_prepared_forget(struct my_conn *self);
/* Not kept: it will be closed. */
void ps_my_prepared_drop(struct my_conn *self);

/* ---- my_cancel.c. NULL when there is no memory or thread for it. ---- */
struct my_cancel *ps_my_cancel_start(struct my_conn *self);
void ps_my_cancel_forget(struct my_cancel **cancel);
/* ---- my_errors.c ---- */
/* A statement's error. *fatal: the connection is gone. */
void ps_my_statement_error(unsigned number, const char *sqlstate,
                           const char *message, struct ps_err *err,
                           bool *fatal);
/* The same for a sink that has an error function. */
void ps_my_tell_error(unsigned number, const char *sqlstate,
                      const char *message, struct ps_sink *sink);
bool ps_my_was_interrupted(unsigned number);
enum ps_rc ps_my_connect_error(MYSQL *my, bool verifies, struct ps_err *err);

#endif
