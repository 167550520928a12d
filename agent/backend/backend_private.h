/*
 * What a driver implements, and what backend.c does for it.
 *
 *   caller --ps_conn_execute--> backend.c (phase checks, keeps the callback)
 *                                  --driver->execute--> driver
 *   caller <--callback---------- backend.c <--ps_conn_done_execute-- driver
 *
 * A driver embeds struct ps_conn as the first member of its connection. It
 * ends every accepted operation with exactly one ps_conn_done_*, never from
 * inside the vtable call that began it, and touches the connection no more
 * after that call: the callback may have closed it.
 */
#ifndef PS_AGENT_BACKEND_BACKEND_PRIVATE_H
#define PS_AGENT_BACKEND_BACKEND_PRIVATE_H

#include "agent/backend/backend.h"

struct ps_driver {
    const char *name;
    /* Allocates, calls ps_conn_init, begins. NULL only without memory. */
    struct ps_conn *(*open)(const struct ps_driver *driver,
                            const struct ps_conn_open *open);
    void (*execute)(struct ps_conn *conn, const struct ps_statement *statement,
                    struct ps_sink *sink);
    /* Only while executing; may come more than once. */
    void (*cancel)(struct ps_conn *conn);
    /* Only while executing. NULL: it cannot. */
    void (*pause)(struct ps_conn *conn, bool paused);
    void (*reset)(struct ps_conn *conn, uint64_t timeout_ms);
    /* Only while ready. */
    bool (*alive)(struct ps_conn *conn);
    /* Releases everything, the connection's own memory too. Any phase. */
    void (*close)(struct ps_conn *conn);
};

enum ps_conn_phase {
    PS_CONN_PHASE_OPENING,
    PS_CONN_PHASE_READY,
    PS_CONN_PHASE_EXECUTING,
    PS_CONN_PHASE_RESETTING,
    PS_CONN_PHASE_DEAD /* open failed, broken, reset failed: close only */
};

struct ps_conn {
    unsigned magic;
    const struct ps_driver *driver;
    enum ps_conn_phase phase;
    void (*open_fn)(void *arg, struct ps_conn *conn, enum ps_rc rc,
                    const struct ps_err *err);
    void *open_arg;
    void (*execute_fn)(void *arg, const struct ps_outcome *outcome);
    void *execute_arg;
    void (*reset_fn)(void *arg, enum ps_rc rc);
    void *reset_arg;
    void (*lost_fn)(void *arg);
    void *lost_arg;
    bool lost; /* while READY; told once */
    bool used; /* since the login or the last reset */
    void *owner;
};

void ps_conn_init(struct ps_conn *conn, const struct ps_driver *driver,
                  const struct ps_conn_open *open);
/* READY when rc is PS_OK, else DEAD. */
void ps_conn_done_open(struct ps_conn *conn, enum ps_rc rc,
                       const struct ps_err *err);
/* DEAD when outcome->state is PS_CONN_BROKEN, else READY. */
void ps_conn_done_execute(struct ps_conn *conn,
                          const struct ps_outcome *outcome);
void ps_conn_done_reset(struct ps_conn *conn, enum ps_rc rc);
/* The peer of a READY connection went away. Who leased it may not know yet:
 * a later execute must still end with PS_ORIGIN_LOST and not_sent, a later
 * reset with PS_ORIGIN_LOST. */
void ps_conn_done_lost(struct ps_conn *conn);

/* A pause of the statement under way, for drivers. */
struct ps_pause {
    bool on;
    bool held; /* the driver has stopped for it, and must be set going */
    uint64_t left_ms;
};
/* Stops the statement's time. */
void ps_pause_begin(struct ps_pause *pause, struct ps_timer *deadline);
/* Lets it go on; true: the driver had stopped. Nothing when it is not on. */
bool ps_pause_end(struct ps_pause *pause, struct ps_timer *deadline);

extern const struct ps_driver ps_pg_driver;
extern const struct ps_driver ps_my_driver; /* MySQL and MariaDB */
extern const struct ps_driver ps_tds_driver;

#endif
