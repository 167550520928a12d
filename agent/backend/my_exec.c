/*
 * One statement, or one reset, on an open connection.
 *
 *   without parameters   QUERY -> FETCH ... -> NEXT -> ... -> done
 *   with parameters      [PREPARE] -> EXECUTE -> STMT_FETCH ... -> STMT_NEXT
 *                        -> [STMT_CLOSE of one that is kept no longer] -> done
 *   reset                RESET -> [SELECT_DB] -> SETUP -> done
 *
 * Rows are taken one by one, so that memory is bounded by the sink and not by
 * the answer. A sink that refuses, a time-out and ps_conn_cancel send KILL
 * QUERY; rows are dropped until the server is done, or the connection is given
 * up PS_CANCEL_GRACE_MS later.
 *
 * What an outcome means where the connection broke: nothing of the statement
 * was sent, or it cannot write: PS_ORIGIN_LOST; otherwise nobody knows
 * whether it took effect: PS_OUTCOME_UNKNOWN (contract C7).
 */
#include "agent/backend/my.h"
#include "common/check.h"
#include "common/hash.h"

#include <mysqld_error.h>

#include <errmsg.h>

/* ---- end ---- */

static enum ps_conn_state
state_of(const struct my_conn *self)
{
    if (self->exec.dead)
        return PS_CONN_BROKEN;
    return self->my->server_status & SERVER_STATUS_IN_TRANS
               ? PS_CONN_TRANSACTION
               : PS_CONN_IDLE;
}

/* A statement that was being cancelled: what is its outcome? A KILL that hit
 * nothing may still be on its way to the next statement, which ends the
 * connection's life. */
static void
settle_cancel(struct my_conn *self)
{
    struct my_exec *e = &self->exec;
    if (e->why == PS_OK)
        return;
    if (!e->failed_cancelled)
        e->dead = true;
    bool no_answer = e->why != PS_QUERY_TIMEOUT && e->why != PS_CANCELLED;
    if (e->failed_cancelled || (no_answer && e->failure.rc == PS_OK))
        ps_err_set(&e->failure, e->why, NULL);
}

static void
finish_execute(struct my_conn *self)
{
    struct my_exec *e = &self->exec;
    struct ps_outcome out = {.rc = PS_OK};
    settle_cancel(self);
    if (e->unsure && e->statement->may_write)
        ps_err_set(&e->failure, PS_OUTCOME_UNKNOWN, NULL);
    out.rc = e->failure.rc;
    out.err = e->failure;
    out.state = state_of(self);
    out.rows = e->rows;
    out.insert_id = e->insert_id;
    out.origin_us = ps_clock_now_us(ps_loop_clock(self->loop)) - e->begun_us;
    out.not_sent = e->not_sent;
    e->statement = NULL;
    e->sink = NULL;
    ps_conn_done_execute(&self->conn, &out);
}

/* The operation is over. */
static void
finish(struct my_conn *self)
{
    struct my_exec *e = &self->exec;
    ps_timer_stop(&self->deadline);
    ps_timer_stop(&self->later);
    ps_my_cancel_forget(&self->cancel);
    if (self->text.cap > 65536)
        ps_buf_done(&self->text);
    if (self->wide.cap > 65536)
        ps_buf_done(&self->wide);
    if (e->dead)
        ps_my_watch(self, 0);
    else
        ps_my_watch(self, PS_IO_READ);
    if (e->statement) {
        finish_execute(self);
        return;
    }
    enum ps_rc rc = e->failure.rc;
    if (rc == PS_OK && state_of(self) != PS_CONN_IDLE)
        rc = PS_ORIGIN_LOST;
    ps_conn_done_reset(&self->conn, rc);
}

/* Ends it here and now; the connection is not to be used again. */
static void
fail(struct my_conn *self, enum ps_rc rc)
{
    struct my_exec *e = &self->exec;
    if (e->failure.rc == PS_OK)
        ps_err_set(&e->failure, rc, NULL);
    e->dead = true;
    e->complete = true;
    finish(self);
}

/* The connection is given up while the server was at work. */
static void
lose(struct my_conn *self, enum ps_rc rc)
{
    self->exec.unsure = !self->exec.not_sent;
    fail(self, rc);
}

/* Never inside the caller's call. */
static void
finish_later(struct my_conn *self)
{
    self->exec.complete = true;
    ps_my_watch(self, 0);
    ps_timer_start_ms(&self->later, 0);
}

void
ps_my_exec_later(struct my_conn *self)
{
    finish(self);
}

enum my_next
ps_my_exec_complete(struct my_conn *self)
{
    struct my_exec *e = &self->exec;
    if (!e->dead && self->closing) {
        self->step = MY_STEP_STMT_CLOSE;
        return MY_GO;
    }
    e->complete = true;
    if (self->cancel && !e->dead)
        ps_my_watch(self, 0); /* until the KILL is done */
    else
        finish(self);
    return MY_WAIT;
}

void
ps_my_exec_cancelled(struct my_conn *self)
{
    if (self->exec.complete)
        finish(self);
}

enum my_next
ps_my_exec_failed(struct my_conn *self, unsigned number, const char *sqlstate,
                  const char *message)
{
    struct my_exec *e = &self->exec;
    struct ps_err err = {.rc = PS_OK};
    bool fatal = false;
    ps_my_statement_error(number, sqlstate, message, &err, &fatal);
    if (fatal) {
        e->dead = true;
        e->unsure = !e->not_sent;
    }
    if (e->failure.rc == PS_OK) {
        if (err.rc == PS_ORIGIN_SQL && e->sink && e->sink->error)
            ps_my_tell_error(number, sqlstate, message, e->sink);
        e->failure = err;
        e->failed_cancelled = !fatal && ps_my_was_interrupted(number);
    }
    return ps_my_exec_complete(self);
}

static enum my_next
connection_failed(struct my_conn *self)
{
    return ps_my_exec_failed(self, mysql_errno(self->my),
                             mysql_sqlstate(self->my), mysql_error(self->my));
}

/* ---- statements without parameters ---- */

int
my_query_start(struct my_conn *self)
{
    struct ps_str sql = self->exec.statement->sql;
    return mysql_real_query_start(&self->failed, self->my, sql.ptr, sql.len);
}

int
my_query_cont(struct my_conn *self, int ready)
{
    return mysql_real_query_cont(&self->failed, self->my, ready);
}

/* A result has begun: rows, or the count of those that a statement changed. */
static enum my_next
result_begun(struct my_conn *self)
{
    if (mysql_field_count(self->my) == 0) {
        self->exec.rows = mysql_affected_rows(self->my);
        self->exec.insert_id = mysql_insert_id(self->my);
        self->step = MY_STEP_NEXT;
        return mysql_more_results(self->my) ? MY_GO : ps_my_exec_complete(self);
    }
    self->result = mysql_use_result(self->my);
    if (!self->result)
        return connection_failed(self);
    self->exec.rows = 0;
    if (!ps_my_take_columns(self, mysql_fetch_fields(self->result),
                            mysql_num_fields(self->result)))
        ps_my_exec_cancel(self, PS_NO_MEMORY);
    self->step = MY_STEP_FETCH;
    return MY_GO;
}

enum my_next
my_query_done(struct my_conn *self)
{
    return self->failed ? connection_failed(self) : result_begun(self);
}

int
my_fetch_start(struct my_conn *self)
{
    return mysql_fetch_row_start(&self->row, self->result);
}

int
my_fetch_cont(struct my_conn *self, int ready)
{
    return mysql_fetch_row_cont(&self->row, self->result, ready);
}

enum my_next
my_fetch_done(struct my_conn *self)
{
    if (self->row) {
        self->exec.rows++;
        ps_my_give_row(self, mysql_fetch_lengths(self->result));
        return MY_GO;
    }
    /* All rows are read, so this frees and reads nothing. */
    unsigned number = mysql_errno(self->my);
    mysql_free_result(self->result);
    self->result = NULL;
    if (number != 0)
        return connection_failed(self);
    if (!mysql_more_results(self->my))
        return ps_my_exec_complete(self);
    self->step = MY_STEP_NEXT;
    return MY_GO;
}

int
my_next_start(struct my_conn *self)
{
    return mysql_next_result_start(&self->failed, self->my);
}

int
my_next_cont(struct my_conn *self, int ready)
{
    return mysql_next_result_cont(&self->failed, self->my, ready);
}

enum my_next
my_next_done(struct my_conn *self)
{
    if (self->failed > 0)
        return connection_failed(self);
    return self->failed < 0 ? ps_my_exec_complete(self) : result_begun(self);
}

/* ---- statements with parameters ---- */

/* Some errors of a fetch are noted at the connection only. */
static enum my_next
stmt_failed(struct my_conn *self)
{
    MYSQL_STMT *stmt = self->current->stmt;
    if (mysql_stmt_errno(stmt) == 0)
        return connection_failed(self);
    return ps_my_exec_failed(self, mysql_stmt_errno(stmt),
                             mysql_stmt_sqlstate(stmt), mysql_stmt_error(stmt));
}

int
my_prepare_start(struct my_conn *self)
{
    struct ps_str sql = self->exec.statement->sql;
    return mysql_stmt_prepare_start(&self->failed, self->current->stmt, sql.ptr,
                                    sql.len);
}

int
my_prepare_cont(struct my_conn *self, int ready)
{
    return mysql_stmt_prepare_cont(&self->failed, self->current->stmt, ready);
}

enum my_next
my_prepare_done(struct my_conn *self)
{
    struct my_exec *e = &self->exec;
    /* Preparing changes nothing. */
    e->not_sent = true;
    if (self->failed) {
        ps_my_prepared_drop(self);
        return stmt_failed(self);
    }
    if (mysql_stmt_param_count(self->current->stmt) != e->statement->n_params) {
        ps_err_set(&e->failure, PS_BAD_BINDINGS,
                   "the statement has %lu placeholders and bindings has %zu "
                   "values",
                   mysql_stmt_param_count(self->current->stmt),
                   e->statement->n_params);
        ps_my_prepared_drop(self);
        return ps_my_exec_complete(self);
    }
    if (e->why != PS_OK) {
        ps_err_set(&e->failure, e->why, NULL);
        ps_my_prepared_drop(self);
        return ps_my_exec_complete(self);
    }
    ps_my_prepared_keep(self);
    self->step = MY_STEP_EXECUTE;
    return MY_GO;
}

int
my_execute_start(struct my_conn *self)
{
    self->exec.not_sent = false;
    if (mysql_stmt_bind_param(self->current->stmt, self->binds)) {
        self->failed = 1;
        return 0;
    }
    return mysql_stmt_execute_start(&self->failed, self->current->stmt);
}

int
my_execute_cont(struct my_conn *self, int ready)
{
    return mysql_stmt_execute_cont(&self->failed, self->current->stmt, ready);
}

static uint64_t
shape_of(const MYSQL_FIELD *fields, unsigned n)
{
    uint64_t hash = n + 1;
    for (unsigned i = 0; i < n; i++) {
        const unsigned facts[] = {fields[i].type, fields[i].flags,
                                  fields[i].charsetnr, fields[i].decimals};
        hash = ps_hash64(facts, sizeof(facts), hash);
        hash = ps_hash64(fields[i].name, fields[i].name_length, hash);
    }
    return hash;
}

/* Not those of when the statement was prepared: a table was altered. The
 * library knows names and formats from then only. */
static bool
shape_moved(struct my_conn *self)
{
    struct my_prepared *p = self->current;
    const MYSQL_FIELD *now = self->my->fields;
    if (!now || self->my->field_count != p->stmt->field_count)
        return false;
    uint64_t shape = shape_of(now, p->stmt->field_count);
    if (p->shape == 0)
        p->shape = shape;
    return p->shape != shape;
}

static bool
may_send_again(const struct my_conn *self)
{
    return !self->exec.retried && !self->exec.statement->may_write &&
           !self->closing;
}

/* Reads and drops the rows, and prepares it anew. */
static enum my_next
send_again(struct my_conn *self)
{
    self->exec.retried = self->exec.again = true;
    ps_my_prepared_drop(self);
    self->step = MY_STEP_STMT_CLOSE;
    return MY_GO;
}

static enum my_next
stmt_result_begun(struct my_conn *self)
{
    MYSQL_STMT *stmt = self->current->stmt;
    if (mysql_stmt_field_count(stmt) == 0) {
        self->exec.rows = mysql_stmt_affected_rows(stmt);
        self->exec.insert_id = mysql_stmt_insert_id(stmt);
        self->step = MY_STEP_STMT_NEXT;
        return mysql_stmt_more_results(stmt) ? MY_GO
                                             : ps_my_exec_complete(self);
    }
    self->exec.rows = 0;
    if (shape_moved(self) && may_send_again(self))
        return send_again(self);
    if (!ps_my_take_columns(self, stmt->fields, stmt->field_count) ||
        !ps_my_bind_row(self))
        ps_my_exec_cancel(self, PS_NO_MEMORY);
    self->step = MY_STEP_STMT_FETCH;
    return MY_GO;
}

/* The server has forgotten it: nothing was executed. */
static bool
must_prepare_anew(struct my_conn *self)
{
    unsigned number = mysql_stmt_errno(self->current->stmt);
    return !self->exec.retried && number == ER_UNKNOWN_STMT_HANDLER;
}

/* A table was altered, and the library cannot read the rows that come. A read
 * may be prepared and sent once more; what a write returned is lost. */
static bool
has_other_columns(struct my_conn *self)
{
    return mysql_stmt_errno(self->current->stmt) == CR_NEW_STMT_METADATA &&
           may_send_again(self);
}

enum my_next
my_execute_done(struct my_conn *self)
{
    if (!self->failed)
        return stmt_result_begun(self);
    if (has_other_columns(self))
        return send_again(self);
    if (!must_prepare_anew(self))
        return stmt_failed(self);
    self->exec.retried = true;
    self->step = MY_STEP_PREPARE;
    return MY_GO;
}

enum my_next
ps_my_exec_again(struct my_conn *self)
{
    struct my_exec *e = &self->exec;
    e->again = false;
    self->current = ps_my_prepared_new(self, e->statement->sql);
    if (!self->current) {
        ps_err_set(&e->failure, PS_NO_MEMORY, NULL);
        return ps_my_exec_complete(self);
    }
    self->step = MY_STEP_PREPARE;
    return MY_GO;
}

int
my_stmt_fetch_start(struct my_conn *self)
{
    return mysql_stmt_fetch_start(&self->failed, self->current->stmt);
}

int
my_stmt_fetch_cont(struct my_conn *self, int ready)
{
    return mysql_stmt_fetch_cont(&self->failed, self->current->stmt, ready);
}

enum my_next
my_stmt_fetch_done(struct my_conn *self)
{
    MYSQL_STMT *stmt = self->current->stmt;
    if (self->failed == 0 || self->failed == MYSQL_DATA_TRUNCATED) {
        self->exec.rows++;
        ps_my_give_stmt_row(self);
        return MY_GO;
    }
    if (self->failed != MYSQL_NO_DATA)
        return stmt_failed(self);
    if (!mysql_stmt_more_results(stmt)) {
        mysql_stmt_free_result(stmt); /* nothing is left to be read */
        return ps_my_exec_complete(self);
    }
    self->step = MY_STEP_STMT_NEXT;
    return MY_GO;
}

int
my_stmt_next_start(struct my_conn *self)
{
    return mysql_stmt_next_result_start(&self->failed, self->current->stmt);
}

int
my_stmt_next_cont(struct my_conn *self, int ready)
{
    return mysql_stmt_next_result_cont(&self->failed, self->current->stmt,
                                       ready);
}

enum my_next
my_stmt_next_done(struct my_conn *self)
{
    if (self->failed > 0)
        return stmt_failed(self);
    return self->failed < 0 ? ps_my_exec_complete(self)
                            : stmt_result_begun(self);
}

/* ---- reset ---- */

int
my_reset_start(struct my_conn *self)
{
    return mysql_reset_connection_start(&self->failed, self->my);
}

int
my_reset_cont(struct my_conn *self, int ready)
{
    return mysql_reset_connection_cont(&self->failed, self->my, ready);
}

static enum my_next
reset_failed(struct my_conn *self)
{
    self->exec.dead = true;
    ps_err_set(&self->exec.failure, PS_ORIGIN_LOST, NULL);
    return ps_my_exec_complete(self);
}

enum my_next
my_reset_done(struct my_conn *self)
{
    if (self->failed)
        return reset_failed(self);
    ps_my_prepared_forget(self);
    /* USE is not undone by the reset. */
    self->step = self->target->database[0] ? MY_STEP_SELECT_DB : MY_STEP_SETUP;
    return MY_GO;
}

int
my_select_db_start(struct my_conn *self)
{
    return mysql_select_db_start(&self->failed, self->my,
                                 self->target->database);
}

int
my_select_db_cont(struct my_conn *self, int ready)
{
    return mysql_select_db_cont(&self->failed, self->my, ready);
}

enum my_next
my_select_db_done(struct my_conn *self)
{
    if (self->failed)
        return reset_failed(self);
    self->step = MY_STEP_SETUP;
    return MY_GO;
}

enum my_next
ps_my_reset_done(struct my_conn *self)
{
    return self->failed ? reset_failed(self) : ps_my_exec_complete(self);
}

/* ---- cancel, deadlines ---- */

void
ps_my_exec_cancel(struct my_conn *self, enum ps_rc why)
{
    struct my_exec *e = &self->exec;
    if (e->why != PS_OK || e->complete)
        return;
    ps_my_exec_pause(self, false);
    e->why = why;
    if (!self->cancel)
        self->cancel = ps_my_cancel_start(self);
    ps_timer_start_ms(&self->deadline, PS_CANCEL_GRACE_MS);
}

void
ps_my_exec_pause(struct my_conn *self, bool paused)
{
    struct my_exec *e = &self->exec;
    if (paused && e->why == PS_OK && !e->complete)
        ps_pause_begin(&e->pause, &self->deadline);
    else if (!paused && ps_pause_end(&e->pause, &self->deadline))
        ps_my_run_later(self, self->step);
}

void
ps_my_exec_deadline(struct my_conn *self)
{
    struct my_exec *e = &self->exec;
    if (!e->statement)
        fail(self, PS_ORIGIN_TIMEOUT);
    else if (e->complete) /* only the KILL is not done */
        fail(self, e->failure.rc);
    else if (e->why == PS_OK)
        ps_my_exec_cancel(self, PS_QUERY_TIMEOUT);
    else
        lose(self, e->why);
}

/* ---- begin ---- */

static void
begin(struct my_conn *self, uint64_t timeout_ms)
{
    struct my_exec *e = &self->exec;
    memset(e, 0, sizeof(*e));
    e->begun_us = ps_clock_now_us(ps_loop_clock(self->loop));
    if (timeout_ms)
        ps_timer_start_ms(&self->deadline, timeout_ms);
}

static enum ps_rc
prepare_params(struct my_conn *self, const struct ps_statement *statement,
               enum my_step *step)
{
    enum ps_rc rc = ps_my_params(self, statement);
    if (rc != PS_OK)
        return rc;
    *step = MY_STEP_EXECUTE;
    self->current = ps_my_prepared_find(self, statement->sql);
    if (self->current)
        return PS_OK;
    *step = MY_STEP_PREPARE;
    self->current = ps_my_prepared_new(self, statement->sql);
    return self->current ? PS_OK : PS_NO_MEMORY;
}

void
ps_my_execute(struct my_conn *self, const struct ps_statement *statement,
              struct ps_sink *sink)
{
    struct my_exec *e = &self->exec;
    enum my_step step = MY_STEP_QUERY;
    enum ps_rc rc = PS_OK;
    begin(self, statement->timeout_ms);
    e->statement = statement;
    e->sink = sink;
    if (statement->n_params > 0)
        rc = prepare_params(self, statement, &step);
    if (rc == PS_OK && !ps_my_peer_there(self)) {
        rc = PS_ORIGIN_LOST;
        e->dead = true;
    }
    if (rc == PS_OK) {
        ps_my_run_later(self, step);
        return;
    }
    e->not_sent = true;
    ps_err_set(&e->failure, rc, NULL);
    finish_later(self);
}

void
ps_my_reset(struct my_conn *self, uint64_t timeout_ms)
{
    begin(self, timeout_ms);
    ps_my_run_later(self, MY_STEP_RESET);
}
