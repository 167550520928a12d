/*
 * From a host name to a session that is logged in and canonical.
 *
 *   job on a thread: resolve, connect, TLS, login --> loop: SETUP --> ready
 *
 * Connector/C can do this without blocking as well, but for the TLS handshake,
 * during which it polls, and for name resolution; either could hold up a
 * loop for as long as the network likes. So a thread does it; all that follows
 * is done on the loop without blocking.
 *
 * The canonical session is that of mysql2 (utf8mb4, else the server's
 * defaults) but for what the analysis of SQL text relies on: autocommit is on,
 * and sql_mode has nothing that changes how text is read.
 */
#include "agent/backend/my.h"
#include "common/check.h"
#include "common/tls.h"

#include <fcntl.h>
#include <stdlib.h>

struct my_open {
    struct ps_job job;
    struct my_conn *self; /* loop's thread only */
    struct my_target *target;
    unsigned timeout_s;
    /* out */
    MYSQL *my;
    struct ps_err err;
};

/*
 * A reset also plants new seeds of RAND(). MariaDB's does not undo SET ROLE: if
 * another role than the user's default is in force, the statement fails, and
 * the connection is not used any more. (MySQL has a step for that.)
 */
#define OWN_ROLE                                                          \
    "CURRENT_ROLE() <=> (SELECT ROLE_NAME FROM "                          \
    "information_schema.APPLICABLE_ROLES WHERE IS_DEFAULT = 'YES' LIMIT " \
    "1)"

/* Modes that change the lexer or imply one that does: doubled commas keep
 * neighbours apart while they are taken out. */
#define OUT(text, mode) "REPLACE(" text ",'," mode ",','')"
static const char modes_sql[] =
    "TRIM(BOTH ',' FROM "
    "REPLACE(" OUT(OUT(OUT(OUT(OUT(OUT(OUT("CONCAT(',',REPLACE("
                                           "@@SESSION.sql_mode,',',',,'),',')",
                                           "ANSI_QUOTES"),
                                       "NO_BACKSLASH_ESCAPES"),
                                   "ANSI"),
                               "ORACLE"),
                           "MSSQL"),
                       "DB2"),
                   "MAXDB") ",',,',','))";

static struct my_open *
open_of(struct ps_job *job)
{
    return PS_CONTAINER_OF(job, struct my_open, job);
}

static void
discard(struct ps_job *job)
{
    struct my_open *o = open_of(job);
    if (o->my)
        mysql_close(o->my);
    ps_my_target_unref(&o->target);
    free(o);
}

/* On a thread. */
static void
work(struct ps_job *job)
{
    struct my_open *o = open_of(job);
    o->my = ps_my_target_connect(o->target, o->timeout_s, &o->err);
}

/* ---- on the loop ---- */

static void
finish(struct my_conn *self, enum ps_rc rc, const struct ps_err *err)
{
    ps_timer_stop(&self->deadline);
    ps_timer_stop(&self->later);
    if (rc != PS_OK)
        ps_my_disconnect(self);
    else
        ps_my_watch(self, PS_IO_READ);
    ps_conn_done_open(&self->conn, rc, err);
}

void
ps_my_open_free(struct my_open **open)
{
    struct my_open *o = *open;
    *open = NULL;
    if (o)
        ps_job_forget(&o->job);
}

void
ps_my_open_deadline(struct my_conn *self)
{
    struct ps_err err;
    ps_err_set(&err, PS_ORIGIN_TIMEOUT, NULL);
    ps_my_open_free(&self->open);
    finish(self, err.rc, &err);
}

/* The library's own word for a socket that does not block is its coroutines;
 * TLS inside them wants the descriptor to be so, too. */
static bool
make_nonblocking(MYSQL *my)
{
    int fd = (int)mysql_get_socket(my);
    int flags = fcntl(fd, F_GETFL);
    return mysql_options(my, MYSQL_OPT_NONBLOCK, 0) == 0 && flags >= 0 &&
           fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static void
done(struct ps_job *job)
{
    struct my_open *o = open_of(job);
    struct my_conn *self = o->self;
    struct ps_err err = o->err;
    self->open = NULL;
    self->my = o->my;
    o->my = NULL;
    discard(job);
    if (self->my && !make_nonblocking(self->my))
        ps_err_set(&err, PS_NO_MEMORY, NULL);
    else if (self->my)
        err.rc = PS_OK;
    if (err.rc != PS_OK)
        finish(self, err.rc, &err);
    else
        ps_my_run(self, MY_STEP_SETUP);
}

bool
ps_my_open_start(struct my_conn *self, const struct ps_conn_open *open)
{
    struct my_open *o = calloc(1, sizeof(*o));
    self->target = ps_my_target_new(open);
    if (!o || !self->target) {
        free(o);
        return false;
    }
    o->self = self;
    o->target = ps_my_target_ref(self->target);
    o->job.work = work;
    o->job.done = done;
    o->job.discard = discard;
    /* The library counts seconds; the loop's own deadline comes first. */
    o->timeout_s = (unsigned)(open->conf->connect_timeout_ms / 1000 + 1);
    if (!ps_job_start(&ps_my_jobs, &o->job, self->loop)) {
        discard(&o->job);
        return false;
    }
    self->open = o;
    ps_timer_start_ms(&self->deadline, open->conf->connect_timeout_ms);
    return true;
}

/* ---- the canonical session ---- */

static bool
write_setup(struct my_conn *self, struct ps_buf *sql)
{
    bool reset = self->conn.phase == PS_CONN_PHASE_RESETTING;
    bool check = reset && mariadb_connection(self->my);
    uint32_t seeds[2];
    ps_random_bytes(seeds, sizeof(seeds));
    ps_buf_clear(sql);
    ps_buf_printf(sql, "SET SESSION autocommit = 1, SESSION sql_mode = %s%s%s",
                  check ? "IF(" OWN_ROLE ", " : "", modes_sql,
                  check ? ", 'another role')" : "");
    if (reset)
        ps_buf_printf(sql, ", SESSION rand_seed1 = %u, SESSION rand_seed2 = %u",
                      seeds[0] >> 2, seeds[1] >> 2);
    return ps_buf_rc(sql) == PS_OK;
}

int
my_setup_start(struct my_conn *self)
{
    if (!write_setup(self, &self->text)) {
        self->failed = 1;
        return 0;
    }
    return mysql_real_query_start(&self->failed, self->my, self->text.data,
                                  self->text.len);
}

int
my_setup_cont(struct my_conn *self, int ready)
{
    return mysql_real_query_cont(&self->failed, self->my, ready);
}

enum my_next
my_setup_done(struct my_conn *self)
{
    if (self->conn.phase == PS_CONN_PHASE_RESETTING) {
        if (self->failed || mariadb_connection(self->my) ||
            mysql_get_server_version(self->my) < 80000)
            return ps_my_reset_done(self);
        self->step = MY_STEP_ROLE;
        return MY_GO;
    }
    if (self->failed) {
        struct ps_err err;
        ps_my_connect_error(self->my, false, &err);
        finish(self, err.rc, &err);
    } else {
        finish(self, PS_OK, NULL);
    }
    return MY_WAIT;
}

int
my_role_start(struct my_conn *self)
{
    static const char sql[] = "SET ROLE DEFAULT";
    return mysql_real_query_start(&self->failed, self->my, sql,
                                  sizeof(sql) - 1);
}

int
my_role_cont(struct my_conn *self, int ready)
{
    return mysql_real_query_cont(&self->failed, self->my, ready);
}

enum my_next
my_role_done(struct my_conn *self)
{
    return ps_my_reset_done(self);
}
