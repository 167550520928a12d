/*
 * PostgreSQL on libpq, never blocking: the driver's vtable and what it does
 * between operations. An idle connection stays on the loop's watch list for
 * reading, so that a server that goes away is noticed at once and not by the
 * next request.
 *
 * A callback of loop or resolver ends with the phase's handler as its last
 * act, because any of them may end the operation, whose callback may close
 * the connection.
 */
#include "agent/backend/pg.h"

#include "common/check.h"

#include <stdlib.h>

static struct pg_conn *
pg_of(struct ps_conn *conn)
{
    return PS_CONTAINER_OF(conn, struct pg_conn, conn);
}

/* Something came while nothing is under way: notifications, notices,
 * settings that changed are dropped; the end of the connection is told. */
static void
idle_io(struct pg_conn *self)
{
    if (PQconsumeInput(self->pg) && PQstatus(self->pg) == CONNECTION_OK) {
        PGnotify *notify;
        while ((notify = PQnotifies(self->pg)) != NULL)
            PQfreemem(notify);
        if (PQstatus(self->pg) == CONNECTION_OK)
            return;
    }
    ps_watch_free(&self->watch);
    ps_conn_done_lost(&self->conn);
}

static void
on_io(void *arg, unsigned ready)
{
    struct pg_conn *self = arg;
    switch (self->conn.phase) {
    case PS_CONN_PHASE_OPENING:
        ps_pg_open_io(self);
        break;
    case PS_CONN_PHASE_READY:
        idle_io(self);
        break;
    case PS_CONN_PHASE_EXECUTING:
    case PS_CONN_PHASE_RESETTING:
        ps_pg_exec_io(self, ready);
        break;
    case PS_CONN_PHASE_DEAD:
        ps_pg_watch(self, 0);
        break;
    }
}

void
ps_pg_watch(struct pg_conn *self, unsigned interest)
{
    if (!self->watch && interest) {
        self->watch = ps_watch_new(self->loop, PQsocket(self->pg), on_io, self);
        PS_CHECK(self->watch);
    }
    if (self->watch)
        ps_watch_set(self->watch, interest);
}

static void
on_step(void *arg)
{
    struct pg_conn *self = arg;
    ps_pg_exec_step(self);
}

static void
on_deadline(void *arg)
{
    struct pg_conn *self = arg;
    if (self->conn.phase == PS_CONN_PHASE_OPENING)
        ps_pg_open_deadline(self);
    else
        ps_pg_exec_deadline(self);
}

enum {
    TEXT_MAX = 256 << 20 /* a statement and its parameters */
};

static struct ps_conn *
pg_open(const struct ps_driver *driver, const struct ps_conn_open *open)
{
    struct pg_conn *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    ps_conn_init(&self->conn, driver, open);
    self->loop = open->loop;
    self->open = ps_pg_open_new(self, open);
    if (!self->open) {
        free(self);
        return NULL;
    }
    ps_buf_init(&self->text, TEXT_MAX);
    ps_timer_init(&self->deadline, open->loop, on_deadline, self);
    ps_timer_init(&self->step, open->loop, on_step, self);
    ps_pg_open_start(self);
    return &self->conn;
}

static void
pg_execute(struct ps_conn *conn, const struct ps_statement *statement,
           struct ps_sink *sink)
{
    ps_pg_execute(pg_of(conn), statement, sink);
}

static void
pg_cancel(struct ps_conn *conn)
{
    ps_pg_exec_cancel(pg_of(conn), PS_CANCELLED);
}

static void
pg_pause(struct ps_conn *conn, bool paused)
{
    ps_pg_exec_pause(pg_of(conn), paused);
}

static void
pg_reset(struct ps_conn *conn, uint64_t timeout_ms)
{
    ps_pg_reset(pg_of(conn), timeout_ms);
}

static bool
pg_alive(struct ps_conn *conn)
{
    struct pg_conn *self = pg_of(conn);
    return !self->fat && ps_pg_peer_there(self);
}

/* A statement that nobody waits for any more is stopped at the server too;
 * its CancelRequest outlives the connection. */
static void
pg_close(struct ps_conn *conn)
{
    struct pg_conn *self = pg_of(conn);
    if (conn->phase == PS_CONN_PHASE_EXECUTING && !self->cancel &&
        !self->exec.complete)
        self->cancel = ps_pg_cancel_start(self);
    ps_pg_cancel_forget(&self->cancel);
    ps_timer_stop(&self->deadline);
    ps_timer_stop(&self->step);
    ps_watch_free(&self->watch);
    ps_pg_open_free(&self->open);
    PQfinish(self->pg);
    ps_buf_done(&self->text);
    free(self->columns);
    free(self->cells);
    free(self);
}

const struct ps_driver ps_pg_driver = {
    .name = "postgres",
    .open = pg_open,
    .execute = pg_execute,
    .cancel = pg_cancel,
    .pause = pg_pause,
    .reset = pg_reset,
    .alive = pg_alive,
    .close = pg_close,
};
