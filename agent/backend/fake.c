/*
 * The scripted driver. Every operation looks its reply up when it begins,
 * then waits for one timer (the reply's delay) and one deadline; whichever
 * fires first ends it. Nothing happens inside the call that began it: even a
 * reply without delay comes from a timer of 0 ms, on the next turn.
 */
#include "agent/backend/fake.h"

#include "agent/backend/backend_private.h"
#include "agent/backend/fake_rows.h"
#include "common/check.h"
#include "common/list.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct script {
    struct ps_link link;
    enum ps_fake_op op;
    char *sql;      /* NULL: any */
    unsigned times; /* left; 0 and always: no limit */
    bool always;
    struct ps_fake_reply reply;
};

struct password {
    struct ps_link link;
    char *user;
    char *password;
};

struct owned_rows {
    struct ps_link link;
    struct ps_fake_rows *rows; /* one block; NULL: was not understood */
};

struct ps_fake {
    struct ps_driver driver; /* first: open finds the fake by it */
    pthread_mutex_t lock;
    struct ps_list scripts;
    struct ps_list passwords;
    struct ps_list rows;
    struct ps_list conns;
    bool (*hook)(void *arg, const struct ps_fake_call *call,
                 struct ps_fake_reply *reply);
    void *hook_arg;
    enum ps_rc down;
    uint64_t limit;
    uint64_t next_conn;
    struct ps_fake_stats stats;
};

struct fake_conn {
    struct ps_conn conn;
    struct ps_link link;
    struct ps_fake *fake;
    struct ps_loop *loop;
    struct ps_cache_conf *conf;
    uint64_t number;
    char *user, *password, *database;
    char application_name[64];
    struct ps_timer due;      /* the reply is there */
    struct ps_timer deadline; /* the caller waits no longer */
    struct ps_fake_reply reply;
    const struct ps_statement *statement;
    struct ps_sink *sink;
    uint64_t begun_us;
    bool connected;
    bool cancelled, too_late;
    bool broken;
    bool not_sent; /* was broken before the statement came */
};

static struct fake_conn *
fake_of(struct ps_conn *conn)
{
    return PS_CONTAINER_OF(conn, struct fake_conn, conn);
}

static char *
copy_str(struct ps_str s)
{
    char *copy = ps_str_dup(s);
    PS_CHECK(copy);
    return copy;
}

/* ------------------------------------------------------------- scripts */

static bool
script_matches(const struct script *script, enum ps_fake_op op,
               struct ps_str sql)
{
    return script->op == op &&
           (!script->sql || ps_str_eq(sql, ps_str_of(script->sql)));
}

/* Counted scripts in order, then the latest for always; lock held. */
static const struct ps_fake_reply *
find_script(struct ps_fake *fake, enum ps_fake_op op, struct ps_str sql)
{
    const struct ps_fake_reply *always = NULL;
    PS_LIST_FOREACH_SAFE(&fake->scripts, it, next) {
        struct script *script = PS_CONTAINER_OF(it, struct script, link);
        if (!script_matches(script, op, sql))
            continue;
        if (script->always) {
            always = &script->reply;
        } else if (script->times > 0) {
            script->times--;
            return &script->reply;
        }
    }
    return always;
}

static void
find_reply(struct fake_conn *self, enum ps_fake_op op)
{
    struct ps_fake *fake = self->fake;
    struct ps_fake_call call = {
        .op = op,
        .conn = self->number,
        .user = ps_str_of(self->user),
        .password = ps_str_of(self->password),
        .database = ps_str_of(self->database),
        .application_name = self->application_name,
        .statement = self->statement,
    };
    struct ps_str sql = self->statement ? self->statement->sql : PS_STR("");
    struct ps_fake_reply *reply = &self->reply;
    memset(reply, 0, sizeof(*reply));
    PS_CHECK(pthread_mutex_lock(&fake->lock) == 0);
    if (!fake->hook || !fake->hook(fake->hook_arg, &call, reply)) {
        const struct ps_fake_reply *scripted = find_script(fake, op, sql);
        memset(reply, 0, sizeof(*reply));
        if (scripted) {
            *reply = *scripted;
        } else if (op == PS_FAKE_EXECUTE) {
            reply->rc = PS_ORIGIN_SQL;
            reply->sqlstate = "42601";
            reply->message = "the fake has no script for this statement";
        }
    }
    pthread_mutex_unlock(&fake->lock);
}

/* ---------------------------------------------------------- operations */

static void
set_err(struct ps_err *err, const struct ps_fake_reply *reply, enum ps_rc rc)
{
    if (reply->message && rc == reply->rc)
        ps_err_set(err, rc, "%s", reply->message);
    else
        ps_err_set(err, rc, NULL);
    if (reply->sqlstate && rc == reply->rc)
        snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", reply->sqlstate);
}

static void
begin(struct fake_conn *self, uint64_t deadline_ms)
{
    self->begun_us = ps_clock_now_us(ps_loop_clock(self->loop));
    self->cancelled = self->too_late = false;
    if (!self->reply.hang)
        ps_timer_start_ms(&self->due, self->reply.delay_ms);
    if (deadline_ms)
        ps_timer_start_ms(&self->deadline, deadline_ms);
}

static void
end(struct fake_conn *self)
{
    ps_timer_stop(&self->due);
    ps_timer_stop(&self->deadline);
}

static void
disconnected(struct fake_conn *self)
{
    PS_CHECK(pthread_mutex_lock(&self->fake->lock) == 0);
    if (self->connected)
        self->fake->stats.connected--;
    self->connected = false;
    pthread_mutex_unlock(&self->fake->lock);
}

/* Does this login pass, apart from what the script says? Lock held. */
static enum ps_rc
check_login(struct fake_conn *self)
{
    struct ps_fake *fake = self->fake;
    if (fake->down != PS_OK)
        return fake->down;
    bool named = ps_list_first(&fake->passwords) == NULL;
    PS_LIST_FOREACH_SAFE(&fake->passwords, it, next) {
        struct password *entry = PS_CONTAINER_OF(it, struct password, link);
        if (strcmp(entry->user, self->user) == 0 &&
            strcmp(entry->password, self->password) == 0)
            named = true;
    }
    if (!named)
        return PS_LOGIN_FAILED;
    if (fake->limit && fake->stats.connected >= fake->limit)
        return PS_ORIGIN_TOO_MANY;
    return PS_OK;
}

static enum ps_rc
log_in(struct fake_conn *self)
{
    struct ps_fake *fake = self->fake;
    PS_CHECK(pthread_mutex_lock(&fake->lock) == 0);
    enum ps_rc rc = self->reply.rc;
    if (rc == PS_OK)
        rc = check_login(self);
    if (rc == PS_OK) {
        self->connected = true;
        fake->stats.connected++;
        fake->stats.max_connected =
            PS_MAX(fake->stats.max_connected, fake->stats.connected);
    } else if (rc == PS_LOGIN_FAILED) {
        fake->stats.logins_failed++;
    }
    pthread_mutex_unlock(&fake->lock);
    return rc;
}

static void
finish_open(struct fake_conn *self, enum ps_rc rc)
{
    end(self);
    struct ps_err err = {.rc = PS_OK};
    if (rc != PS_OK)
        set_err(&err, &self->reply, rc);
    ps_conn_done_open(&self->conn, rc, &err);
}

static enum ps_rc
feed(struct fake_conn *self, uint64_t *count)
{
    const struct ps_fake_rows *rows = self->reply.rows;
    struct ps_sink *sink = self->sink;
    size_t n_rows = self->too_late ? 0 : rows->n_rows;
    *count = rows->n_rows;
    if (!sink)
        return PS_OK;
    enum ps_rc rc = sink->columns(sink, rows->columns, rows->n_columns);
    for (size_t i = 0; rc == PS_OK && i < n_rows; i++)
        rc =
            sink->row(sink, rows->cells + i * rows->n_columns, rows->n_columns);
    return rc;
}

static void
finish_execute(struct fake_conn *self, enum ps_rc rc, enum ps_conn_state state)
{
    end(self);
    struct ps_outcome out = {.rc = rc, .state = state};
    const char *command = self->reply.command;
    if (rc == PS_OK && self->reply.rows) {
        out.rc = feed(self, &out.rows);
        command = command ? command : "SELECT";
    } else if (rc == PS_OK) {
        out.rows = self->reply.affected;
    }
    out.not_sent = self->not_sent;
    if (state == PS_CONN_BROKEN && self->statement->may_write &&
        !self->not_sent)
        out.rc = PS_OUTCOME_UNKNOWN;
    if (out.rc != PS_OK)
        set_err(&out.err, &self->reply, out.rc);
    snprintf(out.command, sizeof(out.command), "%s", command ? command : "");
    out.origin_us = ps_clock_now_us(ps_loop_clock(self->loop)) - self->begun_us;
    PS_CHECK(pthread_mutex_lock(&self->fake->lock) == 0);
    self->fake->stats.executing--;
    pthread_mutex_unlock(&self->fake->lock);
    if (state == PS_CONN_BROKEN)
        disconnected(self);
    self->statement = NULL;
    self->sink = NULL;
    ps_conn_done_execute(&self->conn, &out);
}

static void
finish_reset(struct fake_conn *self, enum ps_rc rc)
{
    end(self);
    if (rc != PS_OK)
        disconnected(self);
    ps_conn_done_reset(&self->conn, rc);
}

static void
on_due(void *arg)
{
    struct fake_conn *self = arg;
    switch (self->conn.phase) {
    case PS_CONN_PHASE_OPENING:
        finish_open(self, self->broken ? PS_ORIGIN_LOST : log_in(self));
        break;
    case PS_CONN_PHASE_EXECUTING:
        if (self->broken)
            finish_execute(self, PS_ORIGIN_LOST, PS_CONN_BROKEN);
        else if (self->cancelled)
            finish_execute(self, PS_CANCELLED, PS_CONN_IDLE);
        else if (self->too_late)
            finish_execute(self, self->reply.rc, PS_CONN_BROKEN);
        else
            finish_execute(self, self->reply.rc, self->reply.state);
        break;
    case PS_CONN_PHASE_RESETTING:
        finish_reset(self, self->broken ? PS_ORIGIN_LOST : self->reply.rc);
        break;
    case PS_CONN_PHASE_READY:
        PS_CHECK(self->broken);
        disconnected(self);
        ps_conn_done_lost(&self->conn);
        break;
    case PS_CONN_PHASE_DEAD:
        break;
    }
}

static void
on_deadline(void *arg)
{
    struct fake_conn *self = arg;
    switch (self->conn.phase) {
    case PS_CONN_PHASE_OPENING:
        finish_open(self, PS_ORIGIN_TIMEOUT);
        break;
    case PS_CONN_PHASE_EXECUTING:
        finish_execute(self, PS_QUERY_TIMEOUT,
                       self->reply.hang ? self->reply.state : PS_CONN_IDLE);
        break;
    case PS_CONN_PHASE_RESETTING:
        finish_reset(self, PS_ORIGIN_TIMEOUT);
        break;
    case PS_CONN_PHASE_READY:
    case PS_CONN_PHASE_DEAD:
        break;
    }
}

/* ------------------------------------------------------------- driver */

static struct ps_conn *
fake_open(const struct ps_driver *driver, const struct ps_conn_open *open)
{
    union {
        const struct ps_driver *shared;
        struct ps_fake *fake;
    } origin = {.shared = driver};
    struct fake_conn *self = calloc(1, sizeof(*self));
    PS_CHECK(self);
    ps_conn_init(&self->conn, driver, open);
    self->fake = origin.fake;
    self->loop = open->loop;
    self->conf = ps_cache_conf_ref(open->conf);
    self->user = copy_str(open->login.user);
    self->password = copy_str(open->login.password);
    self->database = copy_str(open->login.database);
    snprintf(self->application_name, sizeof(self->application_name), "%s",
             open->application_name ? open->application_name : "");
    ps_timer_init(&self->due, open->loop, on_due, self);
    ps_timer_init(&self->deadline, open->loop, on_deadline, self);
    PS_CHECK(pthread_mutex_lock(&self->fake->lock) == 0);
    self->number = ++self->fake->next_conn;
    self->fake->stats.opens++;
    ps_list_push_back(&self->fake->conns, &self->link);
    pthread_mutex_unlock(&self->fake->lock);
    find_reply(self, PS_FAKE_OPEN);
    begin(self, open->conf->connect_timeout_ms);
    return &self->conn;
}

static void
fake_execute(struct ps_conn *conn, const struct ps_statement *statement,
             struct ps_sink *sink)
{
    struct fake_conn *self = fake_of(conn);
    struct ps_fake_stats *stats = &self->fake->stats;
    self->statement = statement;
    self->sink = sink;
    PS_CHECK(pthread_mutex_lock(&self->fake->lock) == 0);
    stats->executes++;
    stats->executing++;
    stats->max_executing = PS_MAX(stats->max_executing, stats->executing);
    pthread_mutex_unlock(&self->fake->lock);
    find_reply(self, PS_FAKE_EXECUTE);
    begin(self, statement->timeout_ms);
    self->not_sent = self->broken;
    if (self->broken)
        ps_timer_start_ms(&self->due, 0);
}

static void
fake_cancel(struct ps_conn *conn)
{
    struct fake_conn *self = fake_of(conn);
    PS_CHECK(pthread_mutex_lock(&self->fake->lock) == 0);
    self->fake->stats.cancels++;
    pthread_mutex_unlock(&self->fake->lock);
    if (self->reply.hang && self->reply.state == PS_CONN_BROKEN)
        return; /* an origin that answers nothing any more */
    if (self->reply.late_cancel) {
        self->too_late = true;
        return;
    }
    self->cancelled = true;
    ps_timer_start_ms(&self->due, 0);
}

static void
fake_reset(struct ps_conn *conn, uint64_t timeout_ms)
{
    struct fake_conn *self = fake_of(conn);
    PS_CHECK(pthread_mutex_lock(&self->fake->lock) == 0);
    self->fake->stats.resets++;
    pthread_mutex_unlock(&self->fake->lock);
    find_reply(self, PS_FAKE_RESET);
    begin(self, timeout_ms);
    if (self->broken)
        ps_timer_start_ms(&self->due, 0);
}

static bool
fake_alive(struct ps_conn *conn)
{
    return !fake_of(conn)->broken;
}

static void
fake_close(struct ps_conn *conn)
{
    struct fake_conn *self = fake_of(conn);
    end(self);
    disconnected(self);
    PS_CHECK(pthread_mutex_lock(&self->fake->lock) == 0);
    self->fake->stats.closes++;
    if (self->statement)
        self->fake->stats.executing--;
    ps_list_remove(&self->fake->conns, &self->link);
    pthread_mutex_unlock(&self->fake->lock);
    ps_cache_conf_unref(&self->conf);
    free(self->user);
    free(self->password);
    free(self->database);
    free(self);
}

/* ------------------------------------------------------------ the fake */

struct ps_fake *
ps_fake_new(void)
{
    struct ps_fake *fake = calloc(1, sizeof(*fake));
    PS_CHECK(fake);
    fake->driver = (struct ps_driver){
        .name = "fake",
        .open = fake_open,
        .execute = fake_execute,
        .cancel = fake_cancel,
        .reset = fake_reset,
        .alive = fake_alive,
        .close = fake_close,
    };
    PS_CHECK(pthread_mutex_init(&fake->lock, NULL) == 0);
    ps_list_init(&fake->scripts);
    ps_list_init(&fake->passwords);
    ps_list_init(&fake->rows);
    ps_list_init(&fake->conns);
    return fake;
}

void
ps_fake_free(struct ps_fake **fake)
{
    struct ps_fake *old = *fake;
    *fake = NULL;
    if (!old)
        return;
    PS_CHECK(!ps_list_first(&old->conns));
    struct ps_link *link;
    while ((link = ps_list_pop_front(&old->scripts))) {
        struct script *script = PS_CONTAINER_OF(link, struct script, link);
        free(script->sql);
        free(script);
    }
    while ((link = ps_list_pop_front(&old->passwords))) {
        struct password *entry = PS_CONTAINER_OF(link, struct password, link);
        free(entry->user);
        free(entry->password);
        free(entry);
    }
    while ((link = ps_list_pop_front(&old->rows))) {
        struct owned_rows *rows =
            PS_CONTAINER_OF(link, struct owned_rows, link);
        free(rows->rows);
        free(rows);
    }
    pthread_mutex_destroy(&old->lock);
    free(old);
}

const struct ps_driver *
ps_fake_driver(struct ps_fake *fake)
{
    return &fake->driver;
}

void
ps_fake_script(struct ps_fake *fake, enum ps_fake_op op, const char *sql,
               unsigned times, const struct ps_fake_reply *reply)
{
    struct script *script = calloc(1, sizeof(*script));
    PS_CHECK(script);
    script->op = op;
    script->sql = sql ? copy_str(ps_str_of(sql)) : NULL;
    script->times = times;
    script->always = times == 0;
    script->reply = *reply;
    PS_CHECK(pthread_mutex_lock(&fake->lock) == 0);
    ps_list_push_back(&fake->scripts, &script->link);
    pthread_mutex_unlock(&fake->lock);
}

void
ps_fake_hook(struct ps_fake *fake,
             bool (*hook)(void *arg, const struct ps_fake_call *call,
                          struct ps_fake_reply *reply),
             void *arg)
{
    PS_CHECK(pthread_mutex_lock(&fake->lock) == 0);
    fake->hook = hook;
    fake->hook_arg = arg;
    pthread_mutex_unlock(&fake->lock);
}

void
ps_fake_password(struct ps_fake *fake, const char *user, const char *password)
{
    PS_CHECK(pthread_mutex_lock(&fake->lock) == 0);
    struct password *entry = NULL;
    PS_LIST_FOREACH_SAFE(&fake->passwords, it, next) {
        struct password *other = PS_CONTAINER_OF(it, struct password, link);
        if (strcmp(other->user, user) == 0)
            entry = other;
    }
    if (entry) {
        free(entry->password);
    } else {
        entry = calloc(1, sizeof(*entry));
        PS_CHECK(entry);
        entry->user = copy_str(ps_str_of(user));
        ps_list_push_back(&fake->passwords, &entry->link);
    }
    entry->password = copy_str(ps_str_of(password));
    pthread_mutex_unlock(&fake->lock);
}

void
ps_fake_limit(struct ps_fake *fake, uint64_t max_connected)
{
    PS_CHECK(pthread_mutex_lock(&fake->lock) == 0);
    fake->limit = max_connected;
    pthread_mutex_unlock(&fake->lock);
}

void
ps_fake_down(struct ps_fake *fake, enum ps_rc rc)
{
    PS_CHECK(pthread_mutex_lock(&fake->lock) == 0);
    fake->down = rc;
    pthread_mutex_unlock(&fake->lock);
}

void
ps_fake_break(struct ps_fake *fake)
{
    PS_LIST_FOREACH_SAFE(&fake->conns, it, next) {
        struct fake_conn *self = PS_CONTAINER_OF(it, struct fake_conn, link);
        if (self->conn.phase == PS_CONN_PHASE_DEAD)
            continue;
        self->broken = true;
        ps_timer_start_ms(&self->due, 0);
    }
}

void
ps_fake_stats(struct ps_fake *fake, struct ps_fake_stats *out)
{
    PS_CHECK(pthread_mutex_lock(&fake->lock) == 0);
    *out = fake->stats;
    pthread_mutex_unlock(&fake->lock);
}

const struct ps_fake_rows *
ps_fake_rows(struct ps_fake *fake, const char *text)
{
    struct owned_rows *owned = calloc(1, sizeof(*owned));
    PS_CHECK(owned);
    owned->rows = ps_fake_rows_parse(text);
    PS_CHECK(pthread_mutex_lock(&fake->lock) == 0);
    ps_list_push_back(&fake->rows, &owned->link);
    pthread_mutex_unlock(&fake->lock);
    return owned->rows;
}
