/*
 * SQL Server, the loop's side: each connection is a worker process that holds
 * it (tds_worker.c says why), and a socket to it that never blocks.
 *
 *   open     spawn, send OPEN            OPENED -> done
 *   execute  send EXECUTE                COLUMNS, ROW ... -> sink, DONE -> done
 *              | sink refuses, time-out, ps_conn_cancel
 *              v
 *            send CANCEL; rows are dropped; DONE, or the worker is given up
 *            PS_CANCEL_GRACE_MS later
 *   reset    send RESET                  CLEAN -> done
 *
 * Text that is not UTF-8 is refused here: FreeTDS would cut the statement at
 * the bad byte and send what came before (hazard 39).
 */
#include "agent/backend/tds.h"

#include "agent/backend/backend_private.h"
#include "agent/backend/tds_wire.h"
#include "common/buf.h"
#include "common/check.h"
#include "common/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    READ_BYTES = 65536,
    READS_PER_TURN = 8,
    KEEP_BYTES = 1 << 20 /* of a buffer, between statements */
};

struct tds_exec {
    const struct ps_statement *statement;
    struct ps_sink *sink;
    enum ps_rc why; /* why it is being cancelled; PS_OK: it is not */
    struct ps_err failure;
    bool not_sent, dead, complete;
    struct ps_pause pause;
    uint64_t rows, begun_us;
    char command[16];
};

struct tds_conn {
    struct ps_conn conn; /* first */
    struct ps_loop *loop;
    pid_t pid;
    int fd;
    struct ps_watch *watch;
    struct ps_timer deadline;
    struct ps_timer step; /* an end that was put off to the next turn */
    struct ps_buf in, out;
    struct ps_err open_err;
    struct tds_exec exec;
    uint32_t seq; /* of the last statement */
    struct ps_column *columns;
    struct ps_cell *cells;
    size_t n_columns, columns_cap;
};

static struct tds_conn *
tds_of(struct ps_conn *conn)
{
    return PS_CONTAINER_OF(conn, struct tds_conn, conn);
}

/* ------------------------------------------------------------------ ends */

/* The worker is of no use any more. */
static void
drop_worker(struct tds_conn *self)
{
    ps_watch_free(&self->watch);
    ps_tds_kill(&self->pid, &self->fd);
}

static void
finish_open(struct tds_conn *self, const struct ps_err *err)
{
    ps_timer_stop(&self->deadline);
    ps_timer_stop(&self->step);
    if (err->rc != PS_OK)
        drop_worker(self);
    ps_conn_done_open(&self->conn, err->rc, err->rc == PS_OK ? NULL : err);
}

static void
finish_execute(struct tds_conn *self, bool transaction)
{
    struct tds_exec *e = &self->exec;
    struct ps_outcome out = {.rc = e->failure.rc, .err = e->failure};
    ps_timer_stop(&self->deadline);
    ps_timer_stop(&self->step);
    if (self->in.cap > KEEP_BYTES && self->in.len == 0)
        ps_buf_done(&self->in);
    if (self->out.cap > KEEP_BYTES)
        ps_buf_done(&self->out);
    if (e->dead)
        drop_worker(self);
    out.state = e->dead       ? PS_CONN_BROKEN
                : transaction ? PS_CONN_TRANSACTION
                              : PS_CONN_IDLE;
    memcpy(out.command, e->command, sizeof(e->command));
    out.rows = e->rows;
    out.origin_us = ps_clock_now_us(ps_loop_clock(self->loop)) - e->begun_us;
    out.not_sent = e->not_sent;
    e->statement = NULL;
    e->sink = NULL;
    ps_conn_done_execute(&self->conn, &out);
}

static void
finish_reset(struct tds_conn *self, enum ps_rc rc)
{
    ps_timer_stop(&self->deadline);
    ps_timer_stop(&self->step);
    if (rc != PS_OK)
        drop_worker(self);
    ps_conn_done_reset(&self->conn, rc);
}

/* The worker is gone, or is given up, while a statement ran. */
static void
lose(struct tds_conn *self, enum ps_rc rc)
{
    struct tds_exec *e = &self->exec;
    e->dead = true;
    if (e->statement->may_write)
        rc = PS_OUTCOME_UNKNOWN;
    ps_err_set(&e->failure, rc, NULL);
    finish_execute(self, false);
}

static void
worker_gone(struct tds_conn *self)
{
    struct ps_err err;
    switch (self->conn.phase) {
    case PS_CONN_PHASE_OPENING:
        ps_err_set(&err, PS_ORIGIN_LOST,
                   "the database closed the connection before the login was "
                   "done");
        finish_open(self, &err);
        break;
    case PS_CONN_PHASE_READY:
        drop_worker(self);
        ps_conn_done_lost(&self->conn);
        break;
    case PS_CONN_PHASE_EXECUTING:
        if (!self->exec.complete)
            lose(self,
                 self->exec.why == PS_OK ? PS_ORIGIN_LOST : self->exec.why);
        break;
    case PS_CONN_PHASE_RESETTING:
        finish_reset(self, PS_ORIGIN_LOST);
        break;
    case PS_CONN_PHASE_DEAD:
        ps_watch_free(&self->watch);
        break;
    }
}

static void
pause_statement(struct tds_conn *self, bool paused)
{
    struct tds_exec *e = &self->exec;
    if (paused && e->why == PS_OK && !e->complete)
        ps_pause_begin(&e->pause, &self->deadline);
    else if (!paused && ps_pause_end(&e->pause, &self->deadline))
        ps_timer_start_ms(&self->step, 0);
}

/* --------------------------------------------------------------- sending */

/* false: the worker is gone. */
static bool
flush(struct tds_conn *self)
{
    while (self->out.len > 0) {
        ssize_t n = send(self->fd, self->out.data, self->out.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0)
            return false;
        explicit_bzero(self->out.data, (size_t)n); /* it may be a password */
        ps_buf_consume(&self->out, (size_t)n);
    }
    ps_watch_set(self->watch,
                 self->out.len ? PS_IO_READ | PS_IO_WRITE : PS_IO_READ);
    return true;
}

static void
stop_statement(struct tds_conn *self, enum ps_rc why)
{
    struct tds_exec *e = &self->exec;
    if (e->why != PS_OK || e->complete)
        return;
    pause_statement(self, false);
    e->why = why;
    size_t begin = ps_tds_begin(&self->out, PS_TDS_CANCEL);
    ps_tds_put_u32(&self->out, self->seq);
    ps_tds_end(&self->out, begin);
    flush(self); /* a failure shows when reading */
    ps_timer_start_ms(&self->deadline, PS_CANCEL_GRACE_MS);
}

/* --------------------------------------------------------------- reading */

static bool
grow(struct tds_conn *self, size_t n)
{
    if (n <= self->columns_cap)
        return true;
    struct ps_column *columns =
        reallocarray(self->columns, n, sizeof(*columns));
    if (columns)
        self->columns = columns;
    struct ps_cell *cells = reallocarray(self->cells, n, sizeof(*cells));
    if (cells)
        self->cells = cells;
    if (!columns || !cells)
        return false;
    self->columns_cap = n;
    return true;
}

static enum ps_rc
take_columns(struct tds_conn *self, struct ps_tds_reader *fields)
{
    struct tds_exec *e = &self->exec;
    self->n_columns = ps_tds_get_u32(fields);
    if (self->n_columns > 65536)
        return PS_ORIGIN_PROTOCOL;
    if (!grow(self, self->n_columns))
        return PS_NO_MEMORY;
    for (size_t i = 0; i < self->n_columns; i++) {
        struct ps_column *column = &self->columns[i];
        memset(column, 0, sizeof(*column));
        column->name = ps_tds_get_str(fields);
        column->type = ps_tds_get_u32(fields);
        column->type_size = (int32_t)ps_tds_get_u32(fields);
        column->type_modifier = (int32_t)ps_tds_get_u32(fields);
    }
    if (fields->bad)
        return PS_ORIGIN_PROTOCOL;
    if (!e->sink || e->why != PS_OK)
        return PS_OK;
    return e->sink->columns(e->sink, self->columns, self->n_columns);
}

static enum ps_rc
take_row(struct tds_conn *self, struct ps_tds_reader *fields)
{
    struct tds_exec *e = &self->exec;
    if (!e->sink || e->why != PS_OK)
        return PS_OK;
    for (size_t i = 0; i < self->n_columns; i++) {
        struct ps_str value = ps_tds_get_str(fields);
        self->cells[i] = (struct ps_cell){value.ptr, value.len};
    }
    if (fields->bad)
        return PS_ORIGIN_PROTOCOL;
    return e->sink->row(e->sink, self->cells, self->n_columns);
}

static void
get_err(struct ps_tds_reader *fields, struct ps_err *err)
{
    enum ps_rc rc = (enum ps_rc)ps_tds_get_u32(fields);
    struct ps_str state = ps_tds_get_str(fields);
    struct ps_str message = ps_tds_get_str(fields);
    memset(err, 0, sizeof(*err));
    if (fields->bad || rc >= PS_RC_COUNT)
        rc = PS_ORIGIN_PROTOCOL;
    if (rc == PS_OK)
        return;
    ps_err_set(err, rc, "%.*s", PS_STR_ARG(message));
    if (state.len < sizeof(err->sqlstate)) {
        memcpy(err->sqlstate, state.ptr, state.len);
        err->sqlstate[state.len] = '\0';
    }
}

/* What a statement that was being cancelled has come to. A sink that refused
 * has no whole answer, whatever the server says. */
static void
settle_cancel(struct tds_exec *e, bool cancelled)
{
    enum ps_rc why = e->why == PS_OK ? PS_CANCELLED : e->why;
    bool refused =
        e->why != PS_OK && e->why != PS_QUERY_TIMEOUT && e->why != PS_CANCELLED;
    if (cancelled || refused)
        ps_err_set(&e->failure, why, NULL);
}

static void
take_done(struct tds_conn *self, struct ps_tds_reader *fields)
{
    struct tds_exec *e = &self->exec;
    uint32_t seq = ps_tds_get_u32(fields);
    get_err(fields, &e->failure);
    uint32_t flags = ps_tds_get_u32(fields);
    e->rows = ps_tds_get_u64(fields);
    e->complete = true;
    if (fields->bad || seq != self->seq) {
        lose(self, PS_ORIGIN_PROTOCOL);
        return;
    }
    settle_cancel(e, (flags & 2) != 0);
    e->dead = (flags & 1) != 0;
    /* What the server said before it went does not say what was done. */
    if (e->dead && e->statement->may_write)
        ps_err_set(&e->failure, PS_OUTCOME_UNKNOWN, NULL);
    else if (e->dead && e->failure.rc == PS_ORIGIN_SQL)
        ps_err_set(&e->failure, PS_ORIGIN_LOST, NULL);
    finish_execute(self, (flags & 4) != 0);
}

/* false: the operation is over, and with it maybe the connection. */
static bool
take_frame(struct tds_conn *self, int type, struct ps_tds_reader *fields)
{
    bool executing =
        self->conn.phase == PS_CONN_PHASE_EXECUTING && !self->exec.complete;
    enum ps_rc rc = PS_OK;
    if (type == PS_TDS_OPENED && self->conn.phase == PS_CONN_PHASE_OPENING) {
        get_err(fields, &self->open_err);
        finish_open(self, &self->open_err);
        return false;
    }
    if (type == PS_TDS_CLEAN && self->conn.phase == PS_CONN_PHASE_RESETTING) {
        rc = (enum ps_rc)ps_tds_get_u32(fields);
        finish_reset(
            self, rc < PS_RC_COUNT && !fields->bad ? rc : PS_ORIGIN_PROTOCOL);
        return false;
    }
    if (type == PS_TDS_LOST) {
        worker_gone(self);
        return false;
    }
    if (!executing)
        return true;
    if (type == PS_TDS_DONE) {
        take_done(self, fields);
        return false;
    }
    if (type == PS_TDS_COLUMNS)
        rc = take_columns(self, fields);
    else if (type == PS_TDS_ROW)
        rc = take_row(self, fields);
    if (rc != PS_OK)
        stop_statement(self, rc);
    return true;
}

/* All whole frames. false: the operation is over. What ends it is the last
 * frame there is, as the worker waits for orders then; but LOST may follow. */
static bool
take_frames(struct tds_conn *self)
{
    size_t used = 0;
    while (!self->exec.pause.on) {
        struct ps_str rest = {self->in.data + used, self->in.len - used};
        struct ps_tds_reader fields;
        int type;
        size_t len;
        if (!ps_tds_frame(rest, &type, &fields, &len)) {
            worker_gone(self);
            return false;
        }
        if (type == 0)
            break;
        used += len;
        if (type == PS_TDS_OPENED || type == PS_TDS_DONE ||
            type == PS_TDS_CLEAN || type == PS_TDS_LOST) {
            /* It is short; the rest must be in place before a callback. */
            char last[PS_TDS_HEAD_BYTES + 2048];
            PS_CHECK(len <= sizeof(last));
            memcpy(last, rest.ptr, len);
            ps_buf_consume(&self->in, used);
            PS_CHECK(
                ps_tds_frame((struct ps_str){last, len}, &type, &fields, &len));
            if (!take_frame(self, type, &fields))
                return false;
            used = 0;
        } else if (!take_frame(self, type, &fields)) {
            return false;
        }
    }
    ps_buf_consume(&self->in, used);
    return true;
}

static void
on_io(void *arg, unsigned ready)
{
    struct tds_conn *self = arg;
    if (ready & PS_IO_WRITE && !flush(self)) {
        worker_gone(self);
        return;
    }
    if (!(ready & PS_IO_READ))
        return;
    for (int i = 0; i < READS_PER_TURN; i++) {
        char *room = ps_buf_reserve(&self->in, READ_BYTES);
        ssize_t n = room ? recv(self->fd, room, READ_BYTES, 0) : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            worker_gone(self);
            return;
        }
        self->in.len += (size_t)n;
        if (!take_frames(self))
            return;
        if (self->exec.pause.on) {
            self->exec.pause.held = true;
            ps_watch_set(self->watch, 0);
            return;
        }
    }
}

/* After a pause: what is here already, then the rest. */
static void
go_on(struct tds_conn *self)
{
    if (!take_frames(self))
        return;
    self->exec.pause.held = self->exec.pause.on;
    if (!self->exec.pause.on && !flush(self))
        worker_gone(self);
}

/* ---------------------------------------------------------------- timers */

static void
on_deadline(void *arg)
{
    struct tds_conn *self = arg;
    struct ps_err err;
    if (self->conn.phase == PS_CONN_PHASE_OPENING) {
        ps_err_set(&err, PS_ORIGIN_TIMEOUT,
                   "the database did not finish the login in time; check "
                   "firewall and load");
        finish_open(self, &err);
    } else if (self->conn.phase == PS_CONN_PHASE_RESETTING) {
        finish_reset(self, PS_ORIGIN_TIMEOUT);
    } else if (self->exec.why == PS_OK) {
        stop_statement(self, PS_QUERY_TIMEOUT);
    } else {
        lose(self, self->exec.why);
    }
}

static void
on_step(void *arg)
{
    struct tds_conn *self = arg;
    switch (self->conn.phase) {
    case PS_CONN_PHASE_OPENING:
        finish_open(self, &self->open_err);
        break;
    case PS_CONN_PHASE_EXECUTING:
        if (self->exec.complete)
            finish_execute(self, false);
        else
            go_on(self);
        break;
    case PS_CONN_PHASE_RESETTING:
        finish_reset(self, PS_ORIGIN_LOST);
        break;
    case PS_CONN_PHASE_READY:
    case PS_CONN_PHASE_DEAD:
        break;
    }
}

/* ------------------------------------------------------------ operations */

static bool
is_text(struct ps_str text)
{
    return ps_utf8_check(text) == text.len &&
           (text.len == 0 || !memchr(text.ptr, '\0', text.len));
}

static enum ps_rc
start_worker(struct tds_conn *self, const struct ps_conn_open *open)
{
    const struct ps_cache_conf *conf = open->conf;
    const struct ps_login *login = &open->login;
    if (!is_text(login->user) || !is_text(login->password) ||
        !is_text(login->database))
        return ps_err_set(&self->open_err, PS_LOGIN_FAILED, NULL);
    enum ps_rc rc = ps_tds_spawn(&self->pid, &self->fd, &self->open_err);
    if (rc != PS_OK)
        return rc;
    self->watch = ps_watch_new(self->loop, self->fd, on_io, self);
    size_t begin = ps_tds_begin(&self->out, PS_TDS_OPEN);
    ps_tds_put_str(&self->out, ps_str_of(conf->host));
    ps_tds_put_u32(&self->out, conf->port);
    ps_tds_put_u32(&self->out, (uint32_t)ps_cache_conf_tls_mode(conf));
    ps_tds_put_u64(&self->out, conf->connect_timeout_ms);
    ps_tds_put_str(&self->out, conf->tls_ca_pem ? ps_str_of(conf->tls_ca_pem)
                                                : PS_STR_NONE);
    ps_tds_put_str(&self->out, login->user);
    ps_tds_put_str(&self->out, login->password);
    ps_tds_put_str(&self->out, login->database);
    ps_tds_end(&self->out, begin);
    if (!self->watch || ps_buf_rc(&self->out) != PS_OK)
        return ps_err_set(&self->open_err, PS_NO_MEMORY, NULL);
    if (!flush(self))
        return ps_err_set(&self->open_err, PS_ORIGIN_LOST, NULL);
    return PS_OK;
}

static struct ps_conn *
tds_open(const struct ps_driver *driver, const struct ps_conn_open *open)
{
    struct tds_conn *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    ps_conn_init(&self->conn, driver, open);
    self->loop = open->loop;
    self->fd = -1;
    ps_buf_init(&self->in, PS_TDS_FRAME_MAX + READ_BYTES);
    ps_buf_init(&self->out, PS_TDS_FRAME_MAX);
    ps_timer_init(&self->deadline, open->loop, on_deadline, self);
    ps_timer_init(&self->step, open->loop, on_step, self);
    if (start_worker(self, open) == PS_OK)
        ps_timer_start_ms(&self->deadline, open->conf->connect_timeout_ms);
    else
        ps_timer_start_ms(&self->step, 0);
    return &self->conn;
}

/* "select ..." -> "SELECT": all the protocol would tell, but FreeTDS does not
 * hand it on. */
static void
take_command(struct tds_exec *e, struct ps_str sql)
{
    size_t at = 0, n = 0;
    while (at < sql.len && (unsigned char)sql.ptr[at] <= ' ')
        at++;
    while (at + n < sql.len && n < sizeof(e->command) - 1 &&
           ((sql.ptr[at + n] | 32) >= 'a' && (sql.ptr[at + n] | 32) <= 'z')) {
        e->command[n] = (char)(sql.ptr[at + n] & ~32);
        n++;
    }
    e->command[n] = '\0';
}

static enum ps_rc
check_params(const struct ps_statement *statement)
{
    if (!is_text(statement->sql))
        return PS_BAD_UTF8;
    for (size_t i = 0; i < statement->n_params; i++) {
        const struct ps_param *param = &statement->params[i];
        if (param->kind == PS_PARAM_ARRAY) /* SQL Server has no arrays */
            return PS_BAD_BINDINGS;
        if (!is_text(param->text))
            return PS_BAD_UTF8;
    }
    return PS_OK;
}

static void
put_statement(struct tds_conn *self, const struct ps_statement *statement)
{
    size_t begin = ps_tds_begin(&self->out, PS_TDS_EXECUTE);
    ps_tds_put_u32(&self->out, self->seq);
    ps_tds_put_u64(&self->out, statement->timeout_ms);
    ps_tds_put_str(&self->out, statement->sql);
    ps_tds_put_u32(&self->out, (uint32_t)statement->n_params);
    for (size_t i = 0; i < statement->n_params; i++) {
        ps_tds_put_u32(&self->out, (uint32_t)statement->params[i].kind);
        ps_tds_put_str(&self->out, statement->params[i].text);
    }
    ps_tds_put_u32(&self->out, statement->plain);
    ps_tds_end(&self->out, begin);
}

static void
not_sent(struct tds_conn *self, enum ps_rc rc)
{
    self->exec.not_sent = self->exec.complete = true;
    self->exec.dead = rc == PS_ORIGIN_LOST;
    ps_err_set(&self->exec.failure, rc, NULL);
    ps_buf_clear(&self->out);
    ps_timer_start_ms(&self->step, 0);
}

static bool
tds_alive(struct ps_conn *conn)
{
    struct tds_conn *self = tds_of(conn);
    char byte;
    if (self->fd < 0)
        return false;
    ssize_t n = recv(self->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void
tds_execute(struct ps_conn *conn, const struct ps_statement *statement,
            struct ps_sink *sink)
{
    struct tds_conn *self = tds_of(conn);
    struct tds_exec *e = &self->exec;
    memset(e, 0, sizeof(*e));
    e->statement = statement;
    e->sink = sink;
    e->begun_us = ps_clock_now_us(ps_loop_clock(self->loop));
    take_command(e, statement->sql);
    self->seq = self->seq + 1 ? self->seq + 1 : 1;
    enum ps_rc rc = check_params(statement);
    if (rc == PS_OK && !tds_alive(conn))
        rc = PS_ORIGIN_LOST;
    if (rc == PS_OK) {
        put_statement(self, statement);
        rc = ps_buf_rc(&self->out);
    }
    if (rc != PS_OK) {
        not_sent(self, rc);
        return;
    }
    if (statement->timeout_ms)
        ps_timer_start_ms(&self->deadline, statement->timeout_ms);
    flush(self); /* a failure shows when reading */
}

static void
tds_cancel(struct ps_conn *conn)
{
    stop_statement(tds_of(conn), PS_CANCELLED);
}

static void
tds_pause(struct ps_conn *conn, bool paused)
{
    pause_statement(tds_of(conn), paused);
}

static void
tds_reset(struct ps_conn *conn, uint64_t timeout_ms)
{
    struct tds_conn *self = tds_of(conn);
    if (conn->lost || !tds_alive(conn)) {
        ps_timer_start_ms(&self->step, 0);
        return;
    }
    ps_tds_end(&self->out, ps_tds_begin(&self->out, PS_TDS_RESET));
    ps_timer_start_ms(&self->deadline, timeout_ms);
    flush(self); /* a failure shows when reading */
}

/* The server ends what runs when its connection is gone. */
static void
tds_close(struct ps_conn *conn)
{
    struct tds_conn *self = tds_of(conn);
    ps_timer_stop(&self->deadline);
    ps_timer_stop(&self->step);
    drop_worker(self);
    if (self->out.data)
        explicit_bzero(self->out.data, self->out.len);
    ps_buf_done(&self->in);
    ps_buf_done(&self->out);
    free(self->columns);
    free(self->cells);
    free(self);
}

const struct ps_driver ps_tds_driver = {
    .name = "mssql",
    .open = tds_open,
    .execute = tds_execute,
    .cancel = tds_cancel,
    .pause = tds_pause,
    .reset = tds_reset,
    .alive = tds_alive,
    .close = tds_close,
};
