/*
 * From a report to one sentence that says what to do. The snippets are the
 * usual place where each provider's servers keep their allow list.
 */
#include "agent/probe/probe.h"

#include <stdio.h>
#include <string.h>

static void
allow_snippet(const struct ps_cache_conf *conf, const char *source, char *out,
              size_t size)
{
    const char *bits = strchr(source, ':') ? "128" : "32";
    if (source[0] == '\0') {
        snprintf(out, size, "this agent's address");
        return;
    }
    switch (conf->provider) {
    case PS_PROVIDER_POSTGRES:
        snprintf(out, size,
                 "%s (pg_hba.conf: `host all all %s/%s scram-sha-256`)", source,
                 source, bits);
        break;
    case PS_PROVIDER_MYSQL:
    case PS_PROVIDER_MARIADB:
        snprintf(out, size, "%s (`CREATE USER 'name'@'%s' ...`)", source,
                 source);
        break;
    case PS_PROVIDER_MSSQL:
    case PS_PROVIDER_COUNT:
        snprintf(out, size, "%s (a firewall rule for TCP port %u)", source,
                 conf->port);
        break;
    }
}

static const char *
protocol_name(enum ps_provider provider)
{
    switch (provider) {
    case PS_PROVIDER_POSTGRES:
        return "PostgreSQL";
    case PS_PROVIDER_MYSQL:
        return "MySQL";
    case PS_PROVIDER_MARIADB:
        return "MariaDB";
    case PS_PROVIDER_MSSQL:
    case PS_PROVIDER_COUNT:
        break;
    }
    return "SQL Server";
}

static bool
ca_helps(enum ps_tls_fault fault)
{
    return fault == PS_TLS_FAULT_SELF_SIGNED ||
           fault == PS_TLS_FAULT_UNKNOWN_CA || fault == PS_TLS_FAULT_OTHER;
}

static void
advise_failure(const struct ps_cache_conf *conf, struct ps_probe_report *r,
               const char *allow)
{
    char *out = r->advice;
    size_t size = sizeof(r->advice);
    switch (r->rc) {
    case PS_ORIGIN_HOST:
        snprintf(out, size,
                 "The host name cannot be resolved from this region: check "
                 "the spelling of the cache's host and that the name is "
                 "public.");
        break;
    case PS_ORIGIN_REFUSED:
        snprintf(out, size,
                 "Nothing accepts connections there: check that %s is running "
                 "and listens on port %u (listen address, port), and allow "
                 "%s.",
                 protocol_name(conf->provider), conf->port, allow);
        break;
    case PS_ORIGIN_UNREACHABLE:
        snprintf(out, size,
                 "There is no route to the database: check network, security "
                 "group and firewall, and allow %s.",
                 allow);
        break;
    case PS_ORIGIN_TIMEOUT:
        snprintf(out, size,
                 "There was no answer in time, which most often is a firewall "
                 "that drops packets: allow %s on TCP port %u.",
                 allow, conf->port);
        break;
    case PS_ORIGIN_PROTOCOL:
        snprintf(out, size,
                 "Something answers at this port, but it does not speak the "
                 "protocol of %s: check the cache's type and port.",
                 protocol_name(conf->provider));
        break;
    case PS_ORIGIN_TLS:
        snprintf(out, size,
                 "TLS did not come about: enable it on the server, or set the "
                 "cache's tls mode to `prefer` or `disable` if the network "
                 "between is trusted.");
        break;
    case PS_ORIGIN_CERT:
        /* "the database's ..." as a sentence. */
        snprintf(out, size, "T%s%s.", ps_tls_fault_sentence(r->fault) + 1,
                 ca_helps(r->fault)
                     ? " (`psctl cache update NAME --tls-ca FILE`)"
                     : "");
        break;
    case PS_ORIGIN_TOO_MANY:
    case PS_ORIGIN_UNAVAILABLE:
        snprintf(out, size,
                 "The server is there but takes no connections now: check its "
                 "connection limit and its log.");
        break;
    default:
        snprintf(out, size, "%s.", ps_err_info(r->rc)->sentence);
        break;
    }
}

void
ps_probe_advise(const struct ps_cache_conf *conf, struct ps_probe_report *r)
{
    char allow[256];
    allow_snippet(conf, r->source_address, allow, sizeof(allow));
    if (r->rc != PS_OK) {
        advise_failure(conf, r, allow);
        return;
    }
    const struct ps_probe_step *tls = &r->steps[PS_PROBE_TLS];
    if (tls->skipped)
        snprintf(r->advice, sizeof(r->advice),
                 "Reachable without TLS (%s): fine inside a trusted network "
                 "only; logins must be allowed from %s.",
                 tls->detail, allow);
    else
        snprintf(r->advice, sizeof(r->advice),
                 "Reachable; logins must be allowed from %s.", allow);
}
