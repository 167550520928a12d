/* The table, and the order of its sources: default < file < environment <
 * command line, where the file is itself a setting. */
#include "controlplane/settings.h"

#include "common/log.h"
#include "controlplane/fleet/fleet.h"

#include <stdlib.h>

#define AT(member) offsetof(struct ps_settings, member)

/* clang-format off */
static const struct ps_conf_item items[] = {
    {"config", PS_CONF_TEXT, AT(config), NULL, 0, 0,
     "file with \"name = value\" lines"},
    {"data-dir", PS_CONF_TEXT, AT(data_dir), "/var/lib/portside-controlplane",
     0, 0, "directory of the database, the CA and admin.token"},
    {"listen-api", PS_CONF_TEXT, AT(listen_api), "127.0.0.1:7600", 0, 0,
     "address:port of the REST API (HTTPS); port 0: any"},
    {"listen-calls", PS_CONF_TEXT, AT(listen_calls), "127.0.0.1:7601", 0, 0,
     "address:port for calls of agents; port 0: any"},
    {"listen-events", PS_CONF_TEXT, AT(listen_events), "127.0.0.1:7602", 0, 0,
     "address:port for events to agents; port 0: any"},
    {"listen-admin", PS_CONF_TEXT, AT(listen_admin), "127.0.0.1:7603", 0, 0,
     "address:port for metrics and log levels, plain HTTP without a login; "
     "empty: none"},
    {"public-host", PS_CONF_TEXT, AT(public_host), "localhost", 0, 0,
     "comma list of names and addresses of this server; agents use the first"},
    {"advertise-calls", PS_CONF_TEXT, AT(advertise_calls), NULL, 0, 0,
     "host:port for calls as agents reach it; default from public-host"},
    {"advertise-events", PS_CONF_TEXT, AT(advertise_events), NULL, 0, 0,
     "host:port for events as agents reach it; default from public-host"},
    {"lease", PS_CONF_DURATION, AT(lease_ms), "2s",
     PS_FLEET_LEASE_MIN_MS, 600000,
     "how long an agent may serve from memory without hearing from here"},
    {"heartbeat", PS_CONF_DURATION, AT(heartbeat_ms), "400ms", 50, 300000,
     "how often agents renew their lease"},
    {"tick", PS_CONF_DURATION, AT(tick_ms), "250ms", 50, 60000,
     "how often agents are told the newest number"},
    {"telemetry-max", PS_CONF_BYTES, AT(telemetry_max_bytes), "768M",
     1 << 20, INT64_C(1) << 40,
     "statistics take so much of the disk; the oldest details make room"},
    {"log-level", PS_CONF_TEXT, AT(log_level), "info", 0, 0,
     "debug, info, warn, error or off; for a part: info,link=debug"},
    {"log-format", PS_CONF_TEXT, AT(log_format), "text", 0, 0,
     "text or json, one line each"},
};
/* clang-format on */

static enum ps_rc
check(const struct ps_settings *s, struct ps_err *err)
{
    enum ps_log_format format;
    struct ps_err why;
    if (ps_log_check_levels(ps_str_of(s->log_level), &why) != PS_OK)
        return ps_err_set(err, PS_CONFIG, "log-level %s: %s", s->log_level,
                          why.message);
    if (!ps_log_parse_format(ps_str_of(s->log_format), &format))
        return ps_err_set(err, PS_CONFIG, "log-format %s is none of text, json",
                          s->log_format);
    if (!s->data_dir[0])
        return ps_err_set(err, PS_CONFIG, "data-dir is empty");
    if (!s->public_host[strspn(s->public_host, ", ")])
        return ps_err_set(err, PS_CONFIG,
                          "public-host is empty; give the name by which "
                          "agents reach this server");
    if (2 * s->heartbeat_ms > s->lease_ms - PS_FLEET_LOST_BEFORE_MS)
        return ps_err_set(err, PS_CONFIG,
                          "heartbeat is too long for this lease: two of them "
                          "must fit into the lease less %d ms",
                          PS_FLEET_LOST_BEFORE_MS);
    return PS_OK;
}

/* One pass over all sources; file may be NULL. argv is left as it is. */
static enum ps_rc
read_sources(struct ps_settings *s, const char *file, int argc, char **argv,
             struct ps_err *err)
{
    const size_t n = PS_ARRAY_LEN(items);
    char **copy = calloc((size_t)argc + 1, sizeof(*copy));
    if (!copy)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    for (int i = 0; i < argc; i++)
        copy[i] = argv[i];
    enum ps_rc rc = ps_conf_defaults(items, n, s, err);
    if (rc == PS_OK && file)
        rc = ps_conf_file(items, n, s, file, err);
    if (rc == PS_OK)
        rc = ps_conf_environment(items, n, s, err);
    if (rc == PS_OK)
        rc = ps_conf_arguments(items, n, s, &argc, copy, err);
    if (rc == PS_OK && argc > 1)
        rc = ps_err_set(err, PS_CONFIG,
                        "\"%.64s\" is not an option; see --help", copy[1]);
    free(copy);
    return rc;
}

enum ps_rc
ps_settings_read(struct ps_settings *s, int argc, char **argv,
                 struct ps_err *err)
{
    struct ps_settings first = {.config = NULL};
    enum ps_rc rc = read_sources(&first, NULL, argc, argv, err);
    if (rc == PS_OK)
        rc = read_sources(s, first.config, argc, argv, err);
    if (rc == PS_OK)
        rc = check(s, err);
    ps_settings_done(&first);
    return rc;
}

void
ps_settings_help(void)
{
    ps_conf_help(items, PS_ARRAY_LEN(items));
}

void
ps_settings_done(struct ps_settings *s)
{
    ps_conf_done(items, PS_ARRAY_LEN(items), s);
}
