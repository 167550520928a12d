/* See serve.h. */
#include "controlplane/serve.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/io/admin.h"
#include "common/io/bus.h"
#include "common/log.h"
#include "controlplane/api/api.h"
#include "controlplane/ca/ca.h"
#include "controlplane/fleet/fleet.h"
#include "controlplane/metrics.h"
#include "controlplane/rollup/rollup.h"
#include "controlplane/store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    NAMES_MAX = 32,
    ADDRESS_BYTES = 320,
    PRUNE_MS = 60000,
    FAREWELL_MS = 500,
    PRUNE_MORE_MS = 200 /* so that others have their turn */
};

struct ps_serve {
    struct ps_loop *loop;
    const struct ps_settings *settings;
    int lock_fd;
    struct ps_ca *ca;
    struct ps_db *db;
    struct ps_rollup *rollup;
    struct ps_timer prune;
    struct ps_timer farewell; /* until the last replies have left */
    struct ps_fleet *fleet;
    struct ps_bus_server *bus;
    struct ps_api *api;
    struct ps_admin *admin;
    char *names_text; /* public-host, cut into names */
    const char *names[NAMES_MAX + 4];
    char call_address[ADDRESS_BYTES], event_address[ADDRESS_BYTES];
};

static void
path_in(const struct ps_serve *s, const char *file, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/%s", s->settings->data_dir, file);
}

/* Two processes on one directory would number the log twice. */
static enum ps_rc
lock_dir(struct ps_serve *s, struct ps_err *err)
{
    char path[PATH_BYTES];
    enum ps_rc rc = ps_dir_make(s->settings->data_dir, 0700, err);
    if (rc != PS_OK)
        return rc;
    path_in(s, "lock", path);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return ps_err_set(err, PS_IO, "cannot open %s: %s", path,
                          strerror(errno));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return ps_err_set(err, PS_IO,
                          "another control plane is using %s; stop it first "
                          "or give --data-dir",
                          s->settings->data_dir);
    return PS_OK;
}

/* public-host, and what is always true of a server. */
static enum ps_rc
split_names(struct ps_serve *s, struct ps_err *err)
{
    static const char *const always[] = {"localhost", "127.0.0.1", "::1"};
    size_t count = 0;
    s->names_text = strdup(s->settings->public_host);
    if (!s->names_text)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    char *at = s->names_text, *name;
    while ((name = strsep(&at, ", "))) {
        if (!name[0])
            continue;
        if (count == NAMES_MAX)
            return ps_err_set(err, PS_CONFIG,
                              "public-host has more than %d names", NAMES_MAX);
        s->names[count++] = name;
    }
    for (size_t i = 0; i < PS_ARRAY_LEN(always); i++)
        s->names[count++] = always[i];
    return PS_OK;
}

static enum ps_rc
open_ca(struct ps_serve *s, struct ps_err *err)
{
    return ps_ca_open(&s->ca, s->settings->data_dir, err);
}

static enum ps_rc
open_db(struct ps_serve *s, struct ps_err *err)
{
    char path[PATH_BYTES];
    path_in(s, "portside.db", path);
    return ps_db_open(&s->db, path, err);
}

static void
on_prune(void *arg)
{
    struct ps_serve *s = arg;
    struct ps_err err;
    bool more = false;
    if (ps_rollup_prune(s->rollup, ps_wall_ms(), &more, &err) != PS_OK)
        ps_warn("main", "old statistics were not pruned: %s", err.message);
    ps_timer_start_ms(&s->prune, more ? PRUNE_MORE_MS : PRUNE_MS);
}

static enum ps_rc
open_rollup(struct ps_serve *s, struct ps_err *err)
{
    char path[PATH_BYTES];
    path_in(s, "telemetry.db", path);
    enum ps_rc rc =
        ps_rollup_open(&s->rollup, path, s->settings->telemetry_max_bytes, err);
    if (rc == PS_OK)
        ps_timer_start_ms(&s->prune, PRUNE_MS);
    return rc;
}

/* The file first: should the process end in between, the next start finds no
 * token and makes another. */
static enum ps_rc
make_first_token(struct ps_serve *s, struct ps_err *err)
{
    int64_t count = 0;
    char path[PATH_BYTES], text[PS_API_TOKEN_TEXT + 1];
    struct ps_api_token token;
    enum ps_rc rc = ps_db_token_count(s->db, &count, err);
    if (rc != PS_OK || count > 0)
        return rc;
    path_in(s, "admin.token", path);
    ps_api_make_token("admin", &token, text);
    size_t len = strlen(text);
    text[len] = '\n';
    rc = ps_file_write(path, (struct ps_str){text, len + 1}, 0600, err);
    explicit_bzero(text, sizeof(text));
    if (rc == PS_OK)
        rc = ps_db_token_insert(s->db, &token, err);
    if (rc == PS_OK)
        ps_info("main", "the first API token is in %s", path);
    return rc;
}

/* -------------------------------------------------------------- fabric */

static void
on_call(void *arg, struct ps_bus_call *call, struct ps_str body)
{
    struct ps_serve *s = arg;
    ps_fleet_call(s->fleet, call, body);
}

static void
reply(PS_UNUSED void *arg, void *call, struct ps_str body)
{
    ps_bus_reply(call, body);
}

static void
publish(void *arg, struct ps_str event)
{
    struct ps_serve *s = arg;
    if (s->bus)
        ps_bus_publish(s->bus, event);
}

static enum ps_rc
start_fleet(struct ps_serve *s, struct ps_err *err)
{
    struct ps_fleet_conf conf = {
        .loop = s->loop,
        .db = s->db,
        .ca = s->ca,
        .rollup = s->rollup,
        .lease_ms = (uint64_t)s->settings->lease_ms,
        .heartbeat_ms = (uint64_t)s->settings->heartbeat_ms,
        .tick_ms = (uint64_t)s->settings->tick_ms,
        .log_entries = PS_FLEET_LOG_ENTRIES,
        .log_bytes = PS_FLEET_LOG_BYTES,
        .publish = publish,
        .reply = reply,
        .arg = s,
    };
    return ps_fleet_new(&s->fleet, &conf, err);
}

static enum ps_rc
start_bus(struct ps_serve *s, struct ps_err *err)
{
    static const char *const names[] = {PS_BUS_SERVER_NAME, NULL};
    char *cert = NULL, *key = NULL;
    enum ps_rc rc = ps_ca_issue_server(s->ca, names, &cert, &key, err);
    if (rc != PS_OK)
        return rc;
    struct ps_bus_tls tls = {
        .ca_pem = ps_ca_certificate(s->ca),
        .cert_pem = cert,
        .key_pem = key,
    };
    struct ps_bus_server_conf conf = {
        .loop = s->loop,
        .tls = &tls,
        .call_address = s->settings->listen_calls,
        .event_address = s->settings->listen_events,
        .parallel_calls = PS_FLEET_CALLS_MAX,
        .on_call = on_call,
        .arg = s,
    };
    rc = ps_bus_server_start(&s->bus, &conf, err);
    free(cert);
    explicit_bzero(key, strlen(key));
    free(key);
    return rc;
}

/* ----------------------------------------------------------------- API */

static void
advertise(const struct ps_serve *s, const char *setting, int port,
          char address[ADDRESS_BYTES])
{
    bool v6 = strchr(s->names[0], ':') != NULL;
    if (setting && setting[0])
        snprintf(address, ADDRESS_BYTES, "%s", setting);
    else
        snprintf(address, ADDRESS_BYTES, "%s%s%s:%d", v6 ? "[" : "",
                 s->names[0], v6 ? "]" : "", port);
}

static enum ps_rc
start_api(struct ps_serve *s, struct ps_err *err)
{
    int calls, events;
    ps_bus_server_ports(s->bus, &calls, &events);
    advertise(s, s->settings->advertise_calls, calls, s->call_address);
    advertise(s, s->settings->advertise_events, events, s->event_address);
    struct ps_api_conf conf = {
        .loop = s->loop,
        .db = s->db,
        .ca = s->ca,
        .fleet = s->fleet,
        .rollup = s->rollup,
        .address = s->settings->listen_api,
        .names = s->names,
        .call_address = s->call_address,
        .event_address = s->event_address,
        .handshake_ms = PS_API_HANDSHAKE_MS,
        .request_ms = PS_API_REQUEST_MS,
    };
    return ps_api_start(&s->api, &conf, err);
}

/* --------------------------------------------------------------- admin */

static void
write_metrics(void *arg, struct ps_metrics *m)
{
    struct ps_serve *s = arg;
    const struct ps_cp_metrics from = {
        .db = s->db, .fleet = s->fleet, .rollup = s->rollup, .api = s->api};
    ps_cp_metrics_write(&from, m);
}

static enum ps_rc
start_admin(struct ps_serve *s, struct ps_err *err)
{
    const struct ps_admin_conf conf = {.loop = s->loop,
                                       .address = s->settings->listen_admin,
                                       .metrics = write_metrics,
                                       .arg = s};
    if (!conf.address || !conf.address[0])
        return PS_OK;
    return ps_admin_start(&s->admin, &conf, err);
}

static enum ps_rc
write_ports(struct ps_serve *s, struct ps_err *err)
{
    int admin = s->admin ? ps_admin_port(s->admin) : 0;
    char path[PATH_BYTES];
    struct ps_buf json;
    int calls, events, api = ps_api_port(s->api);
    ps_bus_server_ports(s->bus, &calls, &events);
    path_in(s, "ports.json", path);
    ps_buf_init(&json, 256);
    ps_buf_printf(&json,
                  "{\"api\":%d,\"calls\":%d,\"events\":%d,\"admin\":%d}\n", api,
                  calls, events, admin);
    enum ps_rc rc = ps_buf_rc(&json);
    if (rc == PS_OK)
        rc = ps_file_write(path, ps_buf_str(&json), 0644, err);
    ps_buf_done(&json);
    ps_info("main", "REST API on port %d, calls on %d, events on %d", api,
            calls, events);
    return rc;
}

static void
on_farewell(void *arg)
{
    struct ps_serve *s = arg;
    ps_loop_stop(s->loop);
}

enum ps_rc
ps_serve_start(struct ps_serve **out, struct ps_loop *loop,
               const struct ps_settings *settings, struct ps_err *err)
{
    static enum ps_rc (*const steps[])(struct ps_serve *, struct ps_err *) = {
        split_names,      lock_dir,    open_ca,     open_db,
        make_first_token, open_rollup, start_fleet, start_bus,
        start_api,        start_admin, write_ports,
    };
    struct ps_serve *s = calloc(1, sizeof(*s));
    if (!s)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    s->loop = loop;
    s->settings = settings;
    s->lock_fd = -1;
    ps_timer_init(&s->prune, loop, on_prune, s);
    ps_timer_init(&s->farewell, loop, on_farewell, s);
    enum ps_rc rc = PS_OK;
    for (size_t i = 0; rc == PS_OK && i < PS_ARRAY_LEN(steps); i++)
        rc = steps[i](s, err);
    if (rc != PS_OK) {
        ps_serve_stop(&s);
        return rc;
    }
    *out = s;
    return PS_OK;
}

void
ps_serve_end(struct ps_serve *s)
{
    if (ps_api_end_held(s->api))
        ps_timer_start_ms(&s->farewell, FAREWELL_MS);
    else
        ps_loop_stop(s->loop);
}

void
ps_serve_stop(struct ps_serve **sp)
{
    struct ps_serve *s = *sp;
    if (!s)
        return;
    ps_admin_stop(&s->admin);
    ps_api_stop(&s->api);
    ps_fleet_free(&s->fleet); /* answers held calls, so before the bus */
    ps_bus_server_stop(&s->bus);
    ps_timer_stop(&s->prune);
    ps_timer_stop(&s->farewell);
    ps_rollup_close(&s->rollup);
    ps_db_close(&s->db);
    ps_ca_close(&s->ca);
    free(s->names_text);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s);
    *sp = NULL;
}
