/*
 * One statement, or one reset, on an open connection.
 *
 *   send --flush--> [reading: single rows -> sink] --> done
 *                        | sink refuses, time-out, ps_conn_cancel
 *                        v
 *                   CancelRequest; rows are dropped --> done, or given up
 *                                                      PS_CANCEL_GRACE_MS later
 *
 * Rows are taken one by one (libpq's single-row mode), so that memory is
 * bounded by the sink and not by the answer. After ROWS_PER_TURN results the
 * loop's other connections have their turn; meanwhile nothing is read, which
 * the server notices.
 *
 * Paused (ps_conn_pause), it stops before the next row; libpq holds what one
 * read has brought, the rest stays with the kernel and the server.
 *
 * What an outcome means where the connection broke: nothing of the statement
 * was sent, or it cannot write: PS_ORIGIN_LOST; otherwise nobody knows
 * whether it took effect: PS_OUTCOME_UNKNOWN (contract C7).
 */
#include "agent/backend/pg.h"
#include "common/check.h"
#include "common/tls.h"

#include <errno.h>
#include <linux/tcp.h> /* glibc's tcp_info lacks tcpi_bytes_received */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    ROWS_PER_TURN = 512,
    /* Reads without a whole row after which its size is looked at: one is
     * usual, and a read may bring megabytes. */
    HUNGRY_READS = 2,
    FAT_ROW_BYTES = 4 << 20
};

static void fail(struct pg_conn *self, enum ps_rc rc);

/* ------------------------------------------------------------------ end */

static enum ps_conn_state
state_of(struct pg_conn *self)
{
    if (self->exec.dead || PQstatus(self->pg) != CONNECTION_OK)
        return PS_CONN_BROKEN;
    switch (PQtransactionStatus(self->pg)) {
    case PQTRANS_IDLE:
        return PS_CONN_IDLE;
    case PQTRANS_INTRANS:
    case PQTRANS_INERROR:
        return PS_CONN_TRANSACTION;
    default:
        return PS_CONN_BROKEN;
    }
}

/* A statement that was being cancelled: what is its outcome? A cancel that
 * hit nothing may still be on its way to the next statement, which ends
 * the connection's life. */
static void
settle_cancel(struct pg_conn *self)
{
    struct pg_exec *e = &self->exec;
    if (e->why == PS_OK)
        return;
    if (!e->failed_cancelled)
        e->dead = true;
    /* A sink that refused has no whole answer, whatever the server says. */
    bool no_answer = e->why != PS_QUERY_TIMEOUT && e->why != PS_CANCELLED;
    if (e->failed_cancelled || (no_answer && e->failure.rc == PS_OK))
        ps_err_set(&e->failure, e->why, NULL);
}

static void
finish_execute(struct pg_conn *self)
{
    struct pg_exec *e = &self->exec;
    struct ps_outcome out = {.rc = PS_OK};
    settle_cancel(self);
    if (e->unsure && e->statement->may_write)
        ps_err_set(&e->failure, PS_OUTCOME_UNKNOWN, NULL);
    out.rc = e->failure.rc;
    out.err = e->failure;
    out.state = state_of(self);
    memcpy(out.command, e->command, sizeof(out.command));
    out.rows = e->rows;
    out.origin_us = ps_clock_now_us(ps_loop_clock(self->loop)) - e->begun_us;
    out.not_sent = e->not_sent;
    out.ended = e->ended;
    e->statement = NULL;
    e->sink = NULL;
    ps_conn_done_execute(&self->conn, &out);
}

/* The operation is over, whatever libpq may still have. */
static void
finish(struct pg_conn *self)
{
    struct pg_exec *e = &self->exec;
    ps_timer_stop(&self->deadline);
    ps_timer_stop(&self->step);
    ps_pg_cancel_forget(&self->cancel);
    if (self->text.cap > 65536)
        ps_buf_done(&self->text);
    bool dead = state_of(self) == PS_CONN_BROKEN;
    if (dead)
        ps_watch_free(&self->watch);
    else
        ps_pg_watch(self, PS_IO_READ);
    if (e->statement) {
        finish_execute(self);
    } else {
        enum ps_rc rc = e->failure.rc;
        if (rc == PS_OK && state_of(self) != PS_CONN_IDLE)
            rc = PS_ORIGIN_LOST;
        ps_conn_done_reset(&self->conn, rc);
    }
}

/* Ends it here and now; the connection is not to be used again. */
static void
fail(struct pg_conn *self, enum ps_rc rc)
{
    struct pg_exec *e = &self->exec;
    if (e->failure.rc == PS_OK)
        ps_err_set(&e->failure, rc, NULL);
    e->dead = true;
    e->complete = true;
    finish(self);
}

/* The connection broke, or is given up, while the server was at work. */
static void
lose(struct pg_conn *self, enum ps_rc rc)
{
    self->exec.unsure = !self->exec.not_sent;
    fail(self, rc);
}

/* ----------------------------------------------------------------- reset */

/* All that DISCARD ALL does, which refuses to share a message with others, and
 * what it leaves: the open transaction and the seed of random(). One
 * message, one round trip; any failure fails it as a whole. */
static bool
send_reset(struct pg_conn *self)
{
    bool open = PQtransactionStatus(self->pg) != PQTRANS_IDLE;
    char sql[512];
    int32_t seed;
    ps_random_bytes(&seed, sizeof(seed));
    snprintf(sql, sizeof(sql),
             "%sCLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; "
             "SET standard_conforming_strings = on; DEALLOCATE ALL; "
             "UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all(), "
             "pg_catalog.setseed(%ld / 2147483648.0); "
             "DISCARD PLANS; DISCARD TEMP; DISCARD SEQUENCES",
             open ? "ROLLBACK; " : "", (long)seed);
    return PQsendQuery(self->pg, sql);
}

static void
reset_done(struct pg_conn *self)
{
    struct pg_exec *e = &self->exec;
    if (e->failure.rc != PS_OK || state_of(self) == PS_CONN_BROKEN) {
        fail(self, PS_ORIGIN_LOST);
        return;
    }
    e->complete = true;
    finish(self);
}

/* --------------------------------------------------------------- results */

static bool
grow_columns(struct pg_conn *self, size_t n)
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

/* The sink wants no more: so does nobody. */
static void
refuse(struct pg_conn *self, enum ps_rc rc)
{
    if (rc != PS_OK)
        ps_pg_exec_cancel(self, rc);
}

static void
give_columns(struct pg_conn *self, const PGresult *result)
{
    struct pg_exec *e = &self->exec;
    int n = PQnfields(result);
    e->set_open = true;
    e->rows = 0;
    if (!grow_columns(self, (size_t)n)) {
        refuse(self, PS_NO_MEMORY);
        return;
    }
    for (int i = 0; i < n; i++) {
        self->columns[i] = (struct ps_column){
            .name = ps_str_of(PQfname(result, i)),
            .type = PQftype(result, i),
            .type_modifier = PQfmod(result, i),
            .type_size = PQfsize(result, i),
            .table = PQftable(result, i),
            .table_column = (uint32_t)PQftablecol(result, i),
        };
    }
    if (e->sink && e->why == PS_OK)
        refuse(self, e->sink->columns(e->sink, self->columns, (size_t)n));
}

static void
give_row(struct pg_conn *self, const PGresult *result)
{
    struct pg_exec *e = &self->exec;
    if (!e->set_open)
        give_columns(self, result);
    e->rows++;
    if (!e->sink || e->why != PS_OK)
        return;
    int n = PQnfields(result);
    size_t bytes = 0;
    for (int i = 0; i < n; i++) {
        struct ps_cell *cell = &self->cells[i];
        cell->len = (size_t)PQgetlength(result, 0, i);
        cell->ptr = PQgetisnull(result, 0, i) ? NULL : PQgetvalue(result, 0, i);
        bytes += cell->len;
    }
    if (bytes > FAT_ROW_BYTES)
        self->fat = true;
    if (bytes > PS_ROW_MAX_BYTES) { /* came in too fast for row_fits() */
        refuse(self, PS_RESULT_TOO_BIG);
        return;
    }
    refuse(self, e->sink->row(e->sink, self->cells, (size_t)n));
}

/* "INSERT 0 5" -> "INSERT", 5; "CREATE TABLE" -> all of it. */
static void
take_command(struct pg_exec *e, PGresult *result, bool rows)
{
    const char *tag = PQcmdStatus(result);
    size_t len = strcspn(tag, "0123456789");
    while (len > 0 && tag[len - 1] == ' ')
        len--;
    len = PS_MIN(len, sizeof(e->command) - 1);
    memcpy(e->command, tag, len);
    e->command[len] = '\0';
    if (!rows)
        e->rows = strtoull(PQcmdTuples(result), NULL, 10);
}

static void
take_error(struct pg_exec *e, const PGresult *result)
{
    struct ps_err err = {.rc = PS_OK};
    bool fatal = false;
    ps_pg_result_error(result, &err, &fatal);
    if (fatal)
        e->dead = true;
    if (fatal && !e->not_sent)
        e->unsure = true;
    if (ps_pg_says_ended(result))
        e->ended = true;
    if (e->failure.rc != PS_OK)
        return;
    if (!fatal && e->sink && e->sink->error)
        ps_pg_tell_error(result, e->sink);
    e->failure = err;
    e->failed_cancelled = !fatal && strcmp(err.sqlstate, "57014") == 0;
}

/* false: the operation is over. */
static bool
take_result(struct pg_conn *self, PGresult *result)
{
    struct pg_exec *e = &self->exec;
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
        give_row(self, result);
        break;
    case PGRES_TUPLES_OK:
        if (!e->set_open)
            give_columns(self, result);
        e->set_open = false;
        take_command(e, result, true);
        break;
    case PGRES_COMMAND_OK:
        take_command(e, result, false);
        break;
    case PGRES_EMPTY_QUERY:
        break;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        PQclear(result);
        ps_err_set(&e->failure, PS_UNSUPPORTED,
                   "COPY from and to the client is not supported here");
        fail(self, PS_UNSUPPORTED);
        return false;
    default:
        take_error(e, result);
        break;
    }
    PQclear(result);
    return true;
}

/* The server is done. Is the CancelRequest, too? */
static void
results_done(struct pg_conn *self)
{
    struct pg_exec *e = &self->exec;
    if (!e->statement) {
        reset_done(self);
        return;
    }
    e->complete = true;
    if (PQstatus(self->pg) != CONNECTION_OK && !e->dead) {
        e->dead = true;
        e->unsure = true;
    }
    if (self->cancel && !e->dead)
        ps_pg_watch(self, 0);
    else
        finish(self);
}

void
ps_pg_exec_cancelled(struct pg_conn *self)
{
    if (self->exec.complete)
        finish(self);
}

/* How much has been received on this connection, by the kernel's account. */
static uint64_t
received_bytes(struct pg_conn *self)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    memset(&info, 0, sizeof(info));
    if (getsockopt(PQsocket(self->pg), IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return 0;
    return info.tcpi_bytes_received;
}

/* libpq buffers a row until it is whole, whatever its size, and shows
 * nothing of it before: watch what comes in. false: it is over. */
static bool
row_fits(struct pg_conn *self)
{
    struct pg_exec *e = &self->exec;
    if (++e->hungry < HUNGRY_READS)
        return true;
    uint64_t now = received_bytes(self);
    if (e->hungry == HUNGRY_READS)
        e->hungry_bytes = now;
    if (now - e->hungry_bytes <= PS_ROW_MAX_BYTES)
        return true;
    if (!self->cancel)
        self->cancel = ps_pg_cancel_start(self);
    lose(self, PS_RESULT_TOO_BIG);
    return false;
}

/* Who takes the rows wants no more for now: they wait where they are. */
static bool
held(struct pg_conn *self)
{
    if (!self->exec.pause.on)
        return false;
    self->exec.pause.held = true;
    ps_pg_watch(self, 0);
    return true;
}

/* Takes what is there; the last act of whoever calls it. */
static void
take_results(struct pg_conn *self)
{
    for (unsigned n = 0; !PQisBusy(self->pg); n++) {
        if (held(self))
            return;
        if (n == ROWS_PER_TURN) {
            ps_pg_watch(self, 0);
            ps_timer_start_ms(&self->step, 0);
            return;
        }
        self->exec.hungry = 0;
        PGresult *result = PQgetResult(self->pg);
        if (!result) {
            results_done(self);
            return;
        }
        if (!take_result(self, result))
            return;
    }
    if (held(self) || (self->exec.statement && !row_fits(self)))
        return;
    int unsent = PQflush(self->pg);
    ps_pg_watch(self, unsent > 0 ? PS_IO_READ | PS_IO_WRITE : PS_IO_READ);
}

void
ps_pg_exec_io(struct pg_conn *self, unsigned ready)
{
    if (ready & PS_IO_WRITE)
        PQflush(self->pg); /* a failure shows when reading */
    if (ready & PS_IO_READ) {
        /* On failure libpq still gives the results it has, then the error. */
        while (PQconsumeInput(self->pg) && PQisBusy(self->pg) &&
               ps_pg_tls_pending(self->pg))
            ;
    }
    take_results(self);
}

void
ps_pg_exec_step(struct pg_conn *self)
{
    struct pg_exec *e = &self->exec;
    if (e->complete)
        finish(self);
    else
        take_results(self);
}

/* --------------------------------------------------- cancel, deadlines */

void
ps_pg_exec_cancel(struct pg_conn *self, enum ps_rc why)
{
    struct pg_exec *e = &self->exec;
    if (e->why != PS_OK || e->complete)
        return;
    ps_pg_exec_pause(self, false);
    e->why = why;
    if (!self->cancel)
        self->cancel = ps_pg_cancel_start(self);
    ps_timer_start_ms(&self->deadline, PS_CANCEL_GRACE_MS);
}

void
ps_pg_exec_pause(struct pg_conn *self, bool paused)
{
    struct pg_exec *e = &self->exec;
    if (paused && e->why == PS_OK && !e->complete)
        ps_pause_begin(&e->pause, &self->deadline);
    else if (!paused && ps_pause_end(&e->pause, &self->deadline))
        ps_timer_start_ms(&self->step, 0);
}

void
ps_pg_exec_deadline(struct pg_conn *self)
{
    struct pg_exec *e = &self->exec;
    if (!e->statement)
        fail(self, PS_ORIGIN_TIMEOUT);
    else if (e->complete) /* only the CancelRequest is not done */
        fail(self, e->failure.rc);
    else if (e->why == PS_OK)
        ps_pg_exec_cancel(self, PS_QUERY_TIMEOUT);
    else
        lose(self, e->why);
}

/* ----------------------------------------------------------------- begin */

bool
ps_pg_peer_there(struct pg_conn *self)
{
    char byte;
    if (PQstatus(self->pg) != CONNECTION_OK)
        return false;
    ssize_t n = recv(PQsocket(self->pg), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        return false;
    /* Bytes: a notice, or the server's farewell. Only reading tells. */
    return n < 0 ||
           (PQconsumeInput(self->pg) &&
            recv(PQsocket(self->pg), &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0 &&
            PQstatus(self->pg) == CONNECTION_OK);
}

static void
begin(struct pg_conn *self, uint64_t timeout_ms)
{
    struct pg_exec *e = &self->exec;
    memset(e, 0, sizeof(*e));
    e->begun_us = ps_clock_now_us(ps_loop_clock(self->loop));
    if (timeout_ms)
        ps_timer_start_ms(&self->deadline, timeout_ms);
}

/* Never inside the caller's call. */
static void
finish_later(struct pg_conn *self)
{
    self->exec.complete = true;
    ps_pg_watch(self, 0);
    ps_timer_start_ms(&self->step, 0);
}

/* Without parameters the simple protocol, in which one text may hold several
 * statements; with them the extended one: as node-pg does. Or the extended one
 * always, where only a single statement is wanted. */
static bool
send_statement(struct pg_conn *self, const struct ps_statement *statement,
               const char *const *values)
{
    const char *sql = self->text.data;
    int sent = statement->n_params || statement->single
                   ? PQsendQueryParams(self->pg, sql, (int)statement->n_params,
                                       NULL, values, NULL, NULL, 0)
                   : PQsendQuery(self->pg, sql);
    return sent && PQsetSingleRowMode(self->pg);
}

void
ps_pg_execute(struct pg_conn *self, const struct ps_statement *statement,
              struct ps_sink *sink)
{
    struct pg_exec *e = &self->exec;
    const char **values = NULL;
    begin(self, statement->timeout_ms);
    e->statement = statement;
    e->sink = sink;
    enum ps_rc rc = ps_pg_params(statement, &self->text, &values);
    if (rc == PS_OK && !ps_pg_peer_there(self)) {
        rc = PS_ORIGIN_LOST;
        e->dead = true;
    }
    if (rc != PS_OK) {
        e->not_sent = true;
        ps_err_set(&e->failure, rc, NULL);
        finish_later(self);
    } else if (!send_statement(self, statement, values)) {
        ps_err_set(&e->failure, PS_ORIGIN_LOST, NULL);
        e->dead = e->unsure = true;
        finish_later(self);
    } else {
        int unsent = PQflush(self->pg);
        ps_pg_watch(self, unsent > 0 ? PS_IO_READ | PS_IO_WRITE : PS_IO_READ);
    }
    free(values);
}

void
ps_pg_reset(struct pg_conn *self, uint64_t timeout_ms)
{
    struct pg_exec *e = &self->exec;
    begin(self, timeout_ms);
    if (send_reset(self) && PQflush(self->pg) >= 0) {
        ps_pg_watch(self, PS_IO_READ);
    } else {
        ps_err_set(&e->failure, PS_ORIGIN_LOST, NULL);
        e->dead = true;
        finish_later(self);
    }
}
