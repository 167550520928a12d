/*
 * Connections to origins, whatever their provider: open, execute, reset,
 * cancel, close. Drivers (pg; later mysql, tds; fake for tests) implement
 * backend_private.h; callers see only this.
 *
 * A connection belongs to one loop; everything is called on its thread and
 * callbacks come there, never from inside the call that caused them. One
 * operation at a time. Every accepted operation ends in exactly one call of
 * its callback, by its own deadline at the latest.
 */
#ifndef PS_AGENT_BACKEND_BACKEND_H
#define PS_AGENT_BACKEND_BACKEND_H

#include "agent/config/config.h"
#include "agent/result/result.h"
#include "common/err.h"
#include "common/io/loop.h"
#include "common/io/resolver.h"

struct ps_conn;
struct ps_driver; /* static vtable of one kind of origin */

enum {
    /* After a cancel (time-out, refused row, ps_conn_cancel) the origin has
     * this long to confirm it; then the connection is given up. */
    PS_CANCEL_GRACE_MS = 1000,
    /* A single row larger than this is PS_RESULT_TOO_BIG whatever the sink
     * would take: drivers hold a row as a whole. */
    PS_ROW_MAX_BYTES = 64 << 20
};

/* Before the program's threads start: removes every environment variable
 * that would reach a client library (PG*). */
void ps_backend_init(void);

/* The driver for a provider, NULL when this build has none. */
const struct ps_driver *ps_driver_find(enum ps_provider provider);

struct ps_login {
    struct ps_str user, password, database;
};

enum ps_param_kind {
    PS_PARAM_NULL,
    PS_PARAM_BOOL,   /* text "true" or "false" */
    PS_PARAM_NUMBER, /* text as in the request's JSON */
    PS_PARAM_TEXT,
    PS_PARAM_ARRAY /* items; text is empty */
};
struct ps_param {
    enum ps_param_kind kind;
    struct ps_str text; /* UTF-8 without NUL bytes */
    const struct ps_param *items;
    size_t n_items;
};

struct ps_statement {
    struct ps_str sql; /* valid UTF-8 without NUL, in the driver's own
                          placeholder syntax ($1, ?, @p0) */
    const struct ps_param *params;
    size_t n_params;
    uint64_t timeout_ms; /* then it is cancelled: PS_QUERY_TIMEOUT */
    bool may_write;      /* a lost connection is PS_OUTCOME_UNKNOWN */
    /* Sent before it on the same connection, for where a protocol takes one
     * statement at a time (SET TRANSACTION before BEGIN); absent: nothing.
     * The engine's; drivers do not look at it. */
    struct ps_str prelude;
    bool begins; /* it opens a transaction and does nothing else: who
                    wrote the text vouches for it */
    bool plain;  /* SQL Server: a batch of its own, without parameters, not
                    within sp_executesql, whose end undoes SET and complains
                    of a transaction begun or ended in it */
    bool single; /* PostgreSQL: the extended protocol, which takes one
                    statement only, without parameters too */
};

/* State of the session after an operation, as the server reports it. */
enum ps_conn_state {
    PS_CONN_IDLE,        /* usable, no transaction open */
    PS_CONN_TRANSACTION, /* in a transaction (or a failed one) */
    PS_CONN_BROKEN       /* not usable any more */
};

struct ps_outcome {
    enum ps_rc rc;
    struct ps_err err; /* set when rc != PS_OK */
    enum ps_conn_state state;
    char command[64];   /* "SELECT", "INSERT": first words of the tag */
    uint64_t rows;      /* returned or affected */
    uint64_t insert_id; /* MySQL: LAST_INSERT_ID of it; 0: none */
    uint64_t origin_us; /* from sent to complete */
    /* The statement certainly did not run (refused before it was sent). */
    bool not_sent;
    /* PS_OUTCOME_UNKNOWN only: the server itself said that it has ended the
     * session, so nothing of the statement can take effect any more. */
    bool ended;
};

struct ps_conn_open {
    struct ps_loop *loop;
    struct ps_resolver *resolver;
    struct ps_cache_conf *conf; /* address, TLS, time-out; ref is taken */
    struct ps_login login;      /* copied; password wiped once used */
    const char *application_name;
    /* rc PS_OK: the session is canonical and idle. Otherwise conn is dead
     * and must still be closed with ps_conn_close. */
    void (*fn)(void *arg, struct ps_conn *conn, enum ps_rc rc,
               const struct ps_err *err);
    void *arg;
};
/* Resolves, connects, TLS, logs in, sets the canonical session. NULL only
 * without memory. */
struct ps_conn *ps_conn_open(const struct ps_driver *driver,
                             const struct ps_conn_open *open);

/* statement and what it points to must stay valid until fn. sink may be
 * NULL (rows are dropped). */
void ps_conn_execute(struct ps_conn *conn, const struct ps_statement *statement,
                     struct ps_sink *sink,
                     void (*fn)(void *arg, const struct ps_outcome *outcome),
                     void *arg);
/* Asks the origin to stop what runs; the execute's callback still comes. */
void ps_conn_cancel(struct ps_conn *conn);
/* While a statement runs, for a sink that cannot take more now: from the end of
 * this call (from within a row: of that row) to the one with false no row is
 * given and, but for what the driver and the kernel already hold, nothing is
 * read, so that the origin waits. The statement's time limit waits, too; a
 * cancel ends the pause. */
void ps_conn_pause(struct ps_conn *conn, bool paused);
/* Everything a statement may have left behind is undone (rollback, settings,
 * role, temporary tables, locks, LISTEN, prepared statements) and the
 * session is canonical again, or rc != PS_OK: close it. */
void ps_conn_reset(struct ps_conn *conn, uint64_t timeout_ms,
                   void (*fn)(void *arg, enum ps_rc rc), void *arg);
/* Has a statement been sent since the login or the last reset? Even one that
 * changes nothing leaves something to ask for: the last id, a row count. */
bool ps_conn_used(const struct ps_conn *conn);
/* Idle only: is the peer still there (no round trip)? */
bool ps_conn_alive(struct ps_conn *conn);
/* An idle connection whose peer goes away calls fn once (the pool closes
 * it). NULL: nobody listens. */
void ps_conn_on_lost(struct ps_conn *conn, void (*fn)(void *arg), void *arg);
/* A word the connection keeps for who manages it (the pool). */
void ps_conn_set_owner(struct ps_conn *conn, void *owner);
void *ps_conn_owner(const struct ps_conn *conn);
/* Closes at once; an operation under way ends without its callback. */
void ps_conn_close(struct ps_conn **conn);

#endif
