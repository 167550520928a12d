/*
 * The part of a connection that all drivers share: which operation is under
 * way, who wants to know of its end, and the checks that callers and drivers
 * keep to the contract of backend.h. See backend_private.h for the drivers'
 * side. One loop's thread per connection.
 */
#include "agent/backend/backend.h"

#include "agent/backend/backend_private.h"
#include "common/check.h"

enum {
    CONN_MAGIC = 0x7073636e
};

void
ps_conn_init(struct ps_conn *conn, const struct ps_driver *driver,
             const struct ps_conn_open *open)
{
    memset(conn, 0, sizeof(*conn));
    conn->magic = CONN_MAGIC;
    conn->driver = driver;
    conn->phase = PS_CONN_PHASE_OPENING;
    conn->open_fn = open->fn;
    conn->open_arg = open->arg;
}

struct ps_conn *
ps_conn_open(const struct ps_driver *driver, const struct ps_conn_open *open)
{
    PS_CHECK(driver && open->fn && open->loop && open->conf);
    return driver->open(driver, open);
}

void
ps_conn_execute(struct ps_conn *conn, const struct ps_statement *statement,
                struct ps_sink *sink,
                void (*fn)(void *arg, const struct ps_outcome *outcome),
                void *arg)
{
    PS_CHECK_OBJ(conn, CONN_MAGIC);
    PS_CHECK(conn->phase == PS_CONN_PHASE_READY && fn);
    conn->phase = PS_CONN_PHASE_EXECUTING;
    conn->used = true;
    conn->execute_fn = fn;
    conn->execute_arg = arg;
    conn->driver->execute(conn, statement, sink);
}

void
ps_conn_cancel(struct ps_conn *conn)
{
    PS_CHECK_OBJ(conn, CONN_MAGIC);
    if (conn->phase == PS_CONN_PHASE_EXECUTING)
        conn->driver->cancel(conn);
}

void
ps_conn_pause(struct ps_conn *conn, bool paused)
{
    PS_CHECK_OBJ(conn, CONN_MAGIC);
    if (conn->phase == PS_CONN_PHASE_EXECUTING && conn->driver->pause)
        conn->driver->pause(conn, paused);
}

void
ps_pause_begin(struct ps_pause *pause, struct ps_timer *deadline)
{
    if (pause->on)
        return;
    *pause = (struct ps_pause){.on = true};
    if (!ps_timer_active(deadline))
        return;
    uint64_t now_us = ps_clock_now_us(ps_loop_clock(deadline->loop));
    pause->left_ms = 1;
    if (deadline->due_us > now_us)
        pause->left_ms += (deadline->due_us - now_us) / 1000;
    ps_timer_stop(deadline);
}

bool
ps_pause_end(struct ps_pause *pause, struct ps_timer *deadline)
{
    const struct ps_pause was = *pause;
    *pause = (struct ps_pause){.on = false};
    if (was.on && was.left_ms > 0)
        ps_timer_start_ms(deadline, was.left_ms);
    return was.on && was.held;
}

void
ps_conn_reset(struct ps_conn *conn, uint64_t timeout_ms,
              void (*fn)(void *arg, enum ps_rc rc), void *arg)
{
    PS_CHECK_OBJ(conn, CONN_MAGIC);
    PS_CHECK(conn->phase == PS_CONN_PHASE_READY && fn);
    conn->phase = PS_CONN_PHASE_RESETTING;
    conn->reset_fn = fn;
    conn->reset_arg = arg;
    conn->driver->reset(conn, timeout_ms);
}

bool
ps_conn_used(const struct ps_conn *conn)
{
    PS_CHECK_OBJ(conn, CONN_MAGIC);
    return conn->used;
}

bool
ps_conn_alive(struct ps_conn *conn)
{
    PS_CHECK_OBJ(conn, CONN_MAGIC);
    return conn->phase == PS_CONN_PHASE_READY && !conn->lost &&
           conn->driver->alive(conn);
}

void
ps_conn_on_lost(struct ps_conn *conn, void (*fn)(void *arg), void *arg)
{
    PS_CHECK_OBJ(conn, CONN_MAGIC);
    conn->lost_fn = fn;
    conn->lost_arg = arg;
}

void
ps_conn_set_owner(struct ps_conn *conn, void *owner)
{
    PS_CHECK_OBJ(conn, CONN_MAGIC);
    conn->owner = owner;
}

void *
ps_conn_owner(const struct ps_conn *conn)
{
    PS_CHECK_OBJ(conn, CONN_MAGIC);
    return conn->owner;
}

void
ps_conn_close(struct ps_conn **conn)
{
    struct ps_conn *old = *conn;
    *conn = NULL;
    if (!old)
        return;
    PS_CHECK_OBJ(old, CONN_MAGIC);
    old->magic = 0;
    old->driver->close(old);
}

void
ps_conn_done_open(struct ps_conn *conn, enum ps_rc rc, const struct ps_err *err)
{
    PS_CHECK_OBJ(conn, CONN_MAGIC);
    PS_CHECK(conn->phase == PS_CONN_PHASE_OPENING);
    conn->phase = rc == PS_OK ? PS_CONN_PHASE_READY : PS_CONN_PHASE_DEAD;
    conn->open_fn(conn->open_arg, conn, rc, err);
}

void
ps_conn_done_execute(struct ps_conn *conn, const struct ps_outcome *outcome)
{
    PS_CHECK_OBJ(conn, CONN_MAGIC);
    PS_CHECK(conn->phase == PS_CONN_PHASE_EXECUTING);
    conn->phase = outcome->state == PS_CONN_BROKEN ? PS_CONN_PHASE_DEAD
                                                   : PS_CONN_PHASE_READY;
    conn->execute_fn(conn->execute_arg, outcome);
}

void
ps_conn_done_reset(struct ps_conn *conn, enum ps_rc rc)
{
    PS_CHECK_OBJ(conn, CONN_MAGIC);
    PS_CHECK(conn->phase == PS_CONN_PHASE_RESETTING);
    conn->phase = rc == PS_OK ? PS_CONN_PHASE_READY : PS_CONN_PHASE_DEAD;
    conn->used = rc != PS_OK;
    conn->reset_fn(conn->reset_arg, rc);
}

void
ps_conn_done_lost(struct ps_conn *conn)
{
    PS_CHECK_OBJ(conn, CONN_MAGIC);
    PS_CHECK(conn->phase == PS_CONN_PHASE_READY && !conn->lost);
    conn->lost = true;
    if (conn->lost_fn)
        conn->lost_fn(conn->lost_arg);
}
