/*
 * From a host name to a session that is logged in and canonical.
 *
 *   resolve -> address 1 --PQconnectPoll ...--> [SET ...] -> ready
 *                  | refused, unreachable, silent
 *                  v
 *              address 2 ... -> the last one's error
 *
 * libpq never resolves (hostaddr is given), never reads a file or a setting
 * of this machine's user (all such options are set; the environment is the
 * program's to clean) and tries one address per PGconn, so that each has
 * its share of the time-out and its own error.
 *
 * The canonical session is that of node-pg: client_encoding UTF8 and
 * otherwise what server, database and role have as default. One setting is
 * imposed: standard_conforming_strings = on, because the analysis of SQL
 * text relies on it. It is only sent where the default differs.
 */
#include "agent/backend/pg.h"
#include "agent/backend/trust.h"
#include "common/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct pg_open {
    struct pg_conn *self;
    struct ps_resolver *resolver;
    struct ps_cache_conf *conf;
    struct ps_resolve resolve;
    bool resolving;
    struct ps_addresses addresses;
    size_t next; /* index of the address after the one being tried */
    uint64_t begun_ms;
    char *user, *password, *database;
    size_t password_len;
    char application_name[64];
    int ca_fd;
    char ca_path[32];
    enum pg_stage stage;
    long verify_error; /* what OpenSSL has against the certificate, or 0 */
    bool setting_up;   /* logged in; the SET is under way */
    bool setup_failed;
};

struct pg_open *
ps_pg_open_new(struct pg_conn *self, const struct ps_conn_open *open)
{
    struct pg_open *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    PS_CHECK(open->resolver);
    o->self = self;
    o->resolver = open->resolver;
    o->conf = ps_cache_conf_ref(open->conf);
    o->ca_fd = -1;
    o->user = ps_str_dup(open->login.user);
    o->password = ps_str_dup(open->login.password);
    o->password_len = open->login.password.len;
    o->database = ps_str_dup(open->login.database);
    snprintf(o->application_name, sizeof(o->application_name), "%s",
             open->application_name ? open->application_name : "");
    if (!o->user || !o->password || !o->database)
        ps_pg_open_free(&o);
    return o;
}

void
ps_pg_open_free(struct pg_open **open)
{
    struct pg_open *o = *open;
    *open = NULL;
    if (!o)
        return;
    if (o->resolving)
        ps_resolve_cancel(o->resolver, &o->resolve);
    if (o->ca_fd >= 0)
        close(o->ca_fd);
    if (o->password)
        explicit_bzero(o->password, o->password_len);
    free(o->password);
    free(o->user);
    free(o->database);
    ps_cache_conf_unref(&o->conf);
    free(o);
}

/* ------------------------------------------------------------------ ends */

static void
finish(struct pg_conn *self, enum ps_rc rc, const struct ps_err *err)
{
    ps_timer_stop(&self->deadline);
    ps_timer_stop(&self->step);
    ps_pg_open_free(&self->open);
    if (rc != PS_OK) {
        ps_watch_free(&self->watch);
        PQfinish(self->pg);
        self->pg = NULL;
    } else {
        ps_pg_watch(self, PS_IO_READ);
    }
    ps_conn_done_open(&self->conn, rc, err);
}

static void connect_next(struct pg_conn *self);

/* This address did not work; the next one may. */
static void
failed(struct pg_conn *self, const struct ps_err *err)
{
    struct pg_open *o = self->open;
    bool other_address_may_help =
        err->rc == PS_ORIGIN_REFUSED || err->rc == PS_ORIGIN_UNREACHABLE ||
        (err->rc == PS_ORIGIN_TIMEOUT && o->stage == PG_STAGE_TCP);
    if (other_address_may_help && o->next < o->addresses.count)
        connect_next(self);
    else
        finish(self, err->rc, err);
}

void
ps_pg_open_deadline(struct pg_conn *self)
{
    static const char *const stages[] = {
        [PG_STAGE_TCP] = "did not accept the connection",
        [PG_STAGE_TLS] = "did not finish the TLS handshake",
        [PG_STAGE_LOGIN] = "did not finish the login",
    };
    struct pg_open *o = self->open;
    struct ps_err err;
    if (o->resolving)
        ps_err_set(&err, PS_ORIGIN_TIMEOUT,
                   "the database's host name was not resolved in time");
    else
        ps_err_set(&err, PS_ORIGIN_TIMEOUT,
                   "the database %s in time; check firewall and load",
                   stages[o->stage]);
    failed(self, &err);
}

/* --------------------------------------------------------------- connect */

enum {
    OPTIONS_MAX = 32
};

struct options {
    const char *names[OPTIONS_MAX + 1];
    const char *values[OPTIONS_MAX + 1];
    size_t n;
};

static void
add(struct options *options, const char *name, const char *value)
{
    PS_CHECK(options->n < OPTIONS_MAX);
    options->names[options->n] = name;
    options->values[options->n++] = value;
}

static void
ignore_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

/* sslmode and where trust comes from. */
static enum ps_rc
add_tls(struct pg_open *o, struct options *options, struct ps_err *err)
{
    static const char *const modes[] = {
        [PS_TLS_DISABLE] = "disable",         [PS_TLS_PREFER] = "prefer",
        [PS_TLS_REQUIRE] = "require",         [PS_TLS_VERIFY_CA] = "verify-ca",
        [PS_TLS_VERIFY_FULL] = "verify-full",
    };
    enum ps_tls_mode mode = ps_cache_conf_tls_mode(o->conf);
    /* With a file there libpq would verify although only "require" was
     * asked for; with none it does exactly what the mode says. */
    const char *ca = PS_PG_NO_FILE;
    if (mode == PS_TLS_VERIFY_CA || mode == PS_TLS_VERIFY_FULL) {
        if (!o->conf->tls_ca_pem) {
            ca = ps_trust_system_bundle();
        } else {
            if (o->ca_fd < 0)
                o->ca_fd = ps_trust_file(o->conf->tls_ca_pem, o->ca_path);
            ca = o->ca_fd < 0 ? NULL : o->ca_path;
        }
        if (!ca)
            return ps_err_set(err, PS_ORIGIN_CERT,
                              "this agent has no bundle of trusted "
                              "certificates; install ca-certificates or "
                              "give the cache its CA");
    }
    add(options, "sslmode", modes[mode]);
    add(options, "sslrootcert", ca);
    add(options, "sslcert", PS_PG_NO_FILE);
    add(options, "sslkey", PS_PG_NO_FILE);
    add(options, "sslcrl", PS_PG_NO_FILE);
    return PS_OK;
}

static enum ps_rc
start_connect(struct pg_conn *self, const char *address, struct ps_err *err)
{
    struct pg_open *o = self->open;
    struct options options = {.n = 0};
    char port[8];
    snprintf(port, sizeof(port), "%u", (unsigned)o->conf->port);
    add(&options, "host", o->conf->host); /* the name TLS verifies */
    add(&options, "hostaddr", address);
    add(&options, "port", port);
    add(&options, "user", o->user);
    add(&options, "password", o->password);
    add(&options, "dbname", o->database);
    add(&options, "passfile", PS_PG_NO_FILE);
    add(&options, "client_encoding", "UTF8");
    add(&options, "application_name", o->application_name);
    add(&options, "gssencmode", "disable");
    add(&options, "target_session_attrs", "any");
    add(&options, "keepalives", "1");
    add(&options, "keepalives_idle", "30");
    add(&options, "keepalives_interval", "10");
    add(&options, "keepalives_count", "3");
    enum ps_rc rc = add_tls(o, &options, err);
    if (rc != PS_OK)
        return rc;
    self->pg = PQconnectStartParams(options.names, options.values, 0);
    if (!self->pg)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    PQsetErrorVerbosity(self->pg, PQERRORS_VERBOSE); /* for the SQLSTATE */
    PQsetNoticeProcessor(self->pg, ignore_notice, NULL);
    if (PQstatus(self->pg) == CONNECTION_BAD)
        return ps_pg_connect_error(self->pg, PG_STAGE_TCP, 0, err);
    return PS_OK;
}

/* What is left of the time, shared by the addresses that are left. */
static void
start_deadline(struct pg_conn *self)
{
    struct pg_open *o = self->open;
    uint64_t spent = ps_loop_now_ms(self->loop) - o->begun_ms;
    uint64_t total = o->conf->connect_timeout_ms;
    uint64_t left = total > spent ? total - spent : 0;
    ps_timer_start_ms(&self->deadline,
                      left / (o->addresses.count - o->next + 1));
}

static void
connect_next(struct pg_conn *self)
{
    struct pg_open *o = self->open;
    struct ps_err err = {.rc = PS_OK};
    ps_watch_free(&self->watch);
    PQfinish(self->pg);
    self->pg = NULL;
    o->stage = PG_STAGE_TCP;
    o->verify_error = 0;
    const char *address = o->addresses.text[o->next++];
    start_deadline(self);
    if (start_connect(self, address, &err) != PS_OK)
        failed(self, &err);
    else
        ps_pg_watch(self, PS_IO_WRITE);
}

static void
on_resolved(struct ps_resolve *resolve, enum ps_rc rc,
            const struct ps_addresses *addresses)
{
    struct pg_open *o = PS_CONTAINER_OF(resolve, struct pg_open, resolve);
    struct pg_conn *self = o->self;
    o->resolving = false;
    if (rc != PS_OK || addresses->count == 0) {
        struct ps_err err;
        ps_err_set(&err, rc == PS_OK ? PS_ORIGIN_HOST : rc, NULL);
        finish(self, err.rc, &err);
        return;
    }
    o->addresses = *addresses;
    connect_next(self);
}

void
ps_pg_open_start(struct pg_conn *self)
{
    struct pg_open *o = self->open;
    o->begun_ms = ps_loop_now_ms(self->loop);
    ps_timer_start_ms(&self->deadline, o->conf->connect_timeout_ms);
    o->resolving = true;
    ps_resolve_start(o->resolver, &o->resolve, self->loop, o->conf->host,
                     on_resolved);
}

/* ------------------------------------------------------------- logged in */

static bool
strings_are_standard(struct pg_conn *self)
{
    const char *value =
        PQparameterStatus(self->pg, "standard_conforming_strings");
    return !value || strcmp(value, "on") == 0;
}

static void
setup_failed(struct pg_conn *self)
{
    struct ps_err err;
    ps_err_set(&err, PS_ORIGIN_LOST, NULL);
    finish(self, err.rc, &err);
}

static void
setup_io(struct pg_conn *self)
{
    struct pg_open *o = self->open;
    if (PQflush(self->pg) < 0 || !PQconsumeInput(self->pg)) {
        setup_failed(self);
        return;
    }
    while (!PQisBusy(self->pg)) {
        PGresult *result = PQgetResult(self->pg);
        if (!result) {
            if (o->setup_failed || !strings_are_standard(self))
                setup_failed(self);
            else
                finish(self, PS_OK, NULL);
            return;
        }
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            o->setup_failed = true;
        PQclear(result);
    }
}

static void
logged_in(struct pg_conn *self)
{
    if (PQsetnonblocking(self->pg, 1) != 0) {
        setup_failed(self);
    } else if (strings_are_standard(self)) {
        finish(self, PS_OK, NULL);
    } else {
        self->open->setting_up = true;
        if (PQsendQuery(self->pg, "SET standard_conforming_strings = on"))
            ps_pg_watch(self, PS_IO_READ);
        else
            setup_failed(self);
    }
}

static enum pg_stage
stage_of(ConnStatusType status)
{
    switch (status) {
    case CONNECTION_NEEDED:
    case CONNECTION_STARTED:
        return PG_STAGE_TCP;
    case CONNECTION_SSL_STARTUP:
        return PG_STAGE_TLS;
    default:
        return PG_STAGE_LOGIN;
    }
}

/* tls mode prefer: libpq begins anew without TLS after any refused login. That
 * is right where pg_hba.conf wants no TLS (28000), and would otherwise send
 * every wrong password twice, the second time in the clear. */
static bool
must_not_retry_plain(struct pg_conn *self, enum pg_stage before,
                     struct ps_err *err)
{
    if (before != PG_STAGE_LOGIN ||
        stage_of(PQstatus(self->pg)) != PG_STAGE_TCP)
        return false;
    if (strstr(PQerrorMessage(self->pg), "  28000: "))
        return false;
    ps_pg_connect_error(self->pg, PG_STAGE_LOGIN, 0, err);
    return true;
}

void
ps_pg_open_io(struct pg_conn *self)
{
    struct pg_open *o = self->open;
    struct ps_err err;
    if (o->setting_up) {
        setup_io(self);
        return;
    }
    /* libpq may close the descriptor and open another under its number: the
     * watch must not outlive a call. */
    ps_watch_free(&self->watch);
    enum pg_stage before = stage_of(PQstatus(self->pg));
    PostgresPollingStatusType poll = ps_pg_tls_poll(self->pg, &o->verify_error);
    if (poll == PGRES_POLLING_FAILED) {
        ps_pg_connect_error(self->pg, before, o->verify_error, &err);
        failed(self, &err);
        return;
    }
    if (poll == PGRES_POLLING_OK) {
        logged_in(self);
        return;
    }
    if (must_not_retry_plain(self, before, &err)) {
        finish(self, err.rc, &err);
        return;
    }
    o->stage = stage_of(PQstatus(self->pg));
    ps_pg_watch(self, poll == PGRES_POLLING_READING ? PS_IO_READ : PS_IO_WRITE);
}
