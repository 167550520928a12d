/*
 * MySQL and MariaDB on Connector/C's non-blocking calls: the driver's vtable,
 * the runner of steps, and what happens between operations.
 *
 * A callback of loop or resolver ends with the runner (or the phase's handler)
 * as its last act, because any step may end the operation, whose callback may
 * close the connection.
 *
 * Time is the driver's own: no time-out of the library is used.
 */
#include "agent/backend/my.h"

#include "common/check.h"

#include <openssl/err.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    TEXT_MAX = 256 << 20, /* parameters; a row's cells */
    STEPS_PER_TURN = 512
};

static const struct {
    int (*start)(struct my_conn *self);
    int (*cont)(struct my_conn *self, int ready);
    enum my_next (*done)(struct my_conn *self);
} steps[] = {
#define X(name, part) {my_##part##_start, my_##part##_cont, my_##part##_done},
    MY_STEP_TABLE(X)
#undef X
};

static struct my_conn *
my_of(struct ps_conn *conn)
{
    return PS_CONTAINER_OF(conn, struct my_conn, conn);
}

/* ---- the runner ---- */

static void
wait_for(struct my_conn *self, int status)
{
    unsigned interest = 0;
    if (status & (MYSQL_WAIT_READ | MYSQL_WAIT_EXCEPT))
        interest |= PS_IO_READ;
    if (status & MYSQL_WAIT_WRITE)
        interest |= PS_IO_WRITE;
    self->suspended = true;
    ps_my_watch(self, interest);
}

/* status: of the step's last call. */
/* OpenSSL keeps errors by thread, not by connection: what is left of another's
 * would make a read that must wait look like one that failed. */
static int
start(struct my_conn *self)
{
    ERR_clear_error();
    return steps[self->step].start(self);
}

static void
drive(struct my_conn *self, int status)
{
    for (;;) {
        if (status != 0) {
            wait_for(self, status);
            return;
        }
        self->suspended = false;
        if (steps[self->step].done(self) == MY_WAIT)
            return;
        if (self->exec.pause.on) {
            /* Who takes the rows wants no more for now. */
            self->exec.pause.held = true;
            ps_my_watch(self, 0);
            return;
        }
        if (++self->in_row == STEPS_PER_TURN) {
            ps_my_run_later(self, self->step);
            return;
        }
        status = start(self);
    }
}

void
ps_my_run(struct my_conn *self, enum my_step step)
{
    PS_CHECK(!self->suspended);
    self->step = step;
    self->in_row = 0;
    drive(self, start(self));
}

void
ps_my_run_later(struct my_conn *self, enum my_step step)
{
    self->step = step;
    self->suspended = false;
    ps_my_watch(self, 0);
    ps_timer_start_ms(&self->later, 0);
}

static void
resume(struct my_conn *self, int ready)
{
    self->in_row = 0;
    ERR_clear_error();
    drive(self, steps[self->step].cont(self, ready));
}

/* ---- descriptors and timers ---- */

static void
on_io(void *arg, unsigned ready)
{
    struct my_conn *self = arg;
    if (self->suspended) {
        resume(self, (ready & PS_IO_READ ? MYSQL_WAIT_READ : 0) |
                         (ready & PS_IO_WRITE ? MYSQL_WAIT_WRITE : 0));
        return;
    }
    /* Nothing is under way: the end of the connection, or the server's reason
     * for it. */
    ps_watch_free(&self->watch);
    if (self->conn.phase == PS_CONN_PHASE_READY)
        ps_conn_done_lost(&self->conn);
}

void
ps_my_watch(struct my_conn *self, unsigned interest)
{
    if (!self->watch && interest) {
        self->watch = ps_watch_new(self->loop, (int)mysql_get_socket(self->my),
                                   on_io, self);
        PS_CHECK(self->watch);
    }
    if (self->watch)
        ps_watch_set(self->watch, interest);
}

static void
on_later(void *arg)
{
    struct my_conn *self = arg;
    if (self->exec.complete)
        ps_my_exec_later(self);
    else
        ps_my_run(self, self->step);
}

static void
on_deadline(void *arg)
{
    struct my_conn *self = arg;
    if (self->conn.phase == PS_CONN_PHASE_OPENING)
        ps_my_open_deadline(self);
    else
        ps_my_exec_deadline(self);
}

bool
ps_my_peer_there(struct my_conn *self)
{
    char byte;
    ssize_t n = recv((int)mysql_get_socket(self->my), &byte, 1,
                     MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* A coroutine cannot be dropped, only ended: it is told that time is up until
 * it gives in. */
static void
end_suspended(struct my_conn *self)
{
    int fd = (int)mysql_get_socket(self->my);
    if (!self->suspended)
        return;
    self->suspended = false;
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
    for (int i = 0; i < 1000; i++) {
        if (steps[self->step].cont(self, MYSQL_WAIT_TIMEOUT) == 0)
            return;
    }
}

void
ps_my_disconnect(struct my_conn *self)
{
    ps_watch_free(&self->watch);
    if (!self->my)
        return;
    end_suspended(self);
    if (self->result && self->step != MY_STEP_SETUP) {
        /* Only frees: what the server still sends is not read. */
        self->result->handle = NULL;
        mysql_free_result(self->result);
    }
    self->result = NULL;
    int status = mysql_close_start(self->my);
    while (status != 0)
        status = mysql_close_cont(self->my, MYSQL_WAIT_TIMEOUT);
    self->my = NULL;
    ps_my_prepared_forget(self);
}

/* ---- vtable ---- */

static struct ps_conn *
my_open(const struct ps_driver *driver, const struct ps_conn_open *open)
{
    struct my_conn *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    ps_conn_init(&self->conn, driver, open);
    self->loop = open->loop;
    ps_list_init(&self->prepared);
    ps_buf_init(&self->text, TEXT_MAX);
    ps_buf_init(&self->wide, TEXT_MAX);
    ps_timer_init(&self->deadline, open->loop, on_deadline, self);
    ps_timer_init(&self->later, open->loop, on_later, self);
    if (ps_my_open_start(self, open))
        return &self->conn;
    ps_my_target_unref(&self->target);
    free(self);
    return NULL;
}

static void
my_execute(struct ps_conn *conn, const struct ps_statement *statement,
           struct ps_sink *sink)
{
    ps_my_execute(my_of(conn), statement, sink);
}

static void
my_cancel(struct ps_conn *conn)
{
    ps_my_exec_cancel(my_of(conn), PS_CANCELLED);
}

static void
my_pause(struct ps_conn *conn, bool paused)
{
    ps_my_exec_pause(my_of(conn), paused);
}

static void
my_reset(struct ps_conn *conn, uint64_t timeout_ms)
{
    ps_my_reset(my_of(conn), timeout_ms);
}

static bool
my_alive(struct ps_conn *conn)
{
    return ps_my_peer_there(my_of(conn));
}

static void
my_close(struct ps_conn *conn)
{
    struct my_conn *self = my_of(conn);
    if (conn->phase == PS_CONN_PHASE_EXECUTING && !self->cancel &&
        !self->exec.complete)
        self->cancel = ps_my_cancel_start(self);
    ps_my_cancel_forget(&self->cancel);
    ps_timer_stop(&self->deadline);
    ps_timer_stop(&self->later);
    ps_my_disconnect(self);
    ps_my_open_free(&self->open);
    ps_my_target_unref(&self->target);
    ps_buf_done(&self->text);
    ps_buf_done(&self->wide);
    free(self->binds);
    free(self->columns);
    free(self->cells);
    free(self->outs);
    free(self->lengths);
    free(self->nulls);
    free(self);
}

const struct ps_driver ps_my_driver = {
    .name = "mysql",
    .open = my_open,
    .execute = my_execute,
    .cancel = my_cancel,
    .pause = my_pause,
    .reset = my_reset,
    .alive = my_alive,
    .close = my_close,
};
