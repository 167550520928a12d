/* See settings.h. */
#include "agent/settings.h"

#include "common/log.h"

enum {
    DAY_MS = 24 * 3600 * 1000
};

#define AT(member) offsetof(struct ps_agent_settings, member)

/* clang-format off */
const struct ps_conf_item ps_agent_settings_items[] = {
    {"dir", PS_CONF_TEXT, AT(dir), "/var/lib/portside-agent", 0, 0,
     "directory of the identity made by `enroll`"},
    {"listen", PS_CONF_TEXT, AT(listen), "127.0.0.1:8080", 0, 0,
     "address:port for plain HTTP; empty: none"},
    {"listen-tls", PS_CONF_TEXT, AT(listen_tls), NULL, 0, 0,
     "address:port for HTTPS"},
    {"listen-admin", PS_CONF_TEXT, AT(listen_admin), "127.0.0.1:7680", 0, 0,
     "address:port for metrics and log levels, plain HTTP without a login; " "empty: none"},
    {"tls-cert", PS_CONF_TEXT, AT(tls_cert), NULL, 0, 0,
     "PEM file with the certificate (chain) for HTTPS"},
    {"tls-key", PS_CONF_TEXT, AT(tls_key), NULL, 0, 0,
     "PEM file with its private key"},
    {"allow-plain-http", PS_CONF_BOOL, AT(allow_plain_http), "false", 0, 0,
     "let --listen be an address other than loopback"},
    {"endpoint", PS_CONF_TEXT, AT(endpoint), NULL, 0, 0,
     "public URL of this agent, shown by psctl"},
    {"loops", PS_CONF_INT, AT(loops), "0", 0, 256,
     "event loops, each on its thread; 0: one per core"},
    {"memory", PS_CONF_BYTES, AT(memory_bytes), "256M", 1 << 20, 1LL << 46,
     "memory for kept answers"},
    {"max-reply", PS_CONF_BYTES, AT(max_reply_bytes), "16M", 1024, 1LL << 32,
     "largest result; beyond it the client gets 507"},
    {"max-body", PS_CONF_BYTES, AT(max_body_bytes), "4M", 1024, 1LL << 30,
     "largest request body; beyond it 413"},
    {"max-buffered", PS_CONF_BYTES, AT(max_buffered_bytes), "256M", 1 << 20, 1LL << 40,
     "request bytes held by all connections of a loop"},
    {"max-connections", PS_CONF_INT, AT(max_connections), "20000", 1, 1000000,
     "client connections of a loop"},
    {"head-timeout", PS_CONF_DURATION, AT(head_timeout_ms), "10s", 1, DAY_MS,
     "a request's head must arrive within"},
    {"body-timeout", PS_CONF_DURATION, AT(body_timeout_ms), "30s", 1, DAY_MS,
     "a request's body must arrive within"},
    {"idle-timeout", PS_CONF_DURATION, AT(idle_timeout_ms), "75s", 1, DAY_MS,
     "an idle client connection is closed after"},
    {"write-timeout", PS_CONF_DURATION, AT(write_timeout_ms), "30s", 1, DAY_MS,
     "a reply must be taken within"},
    {"login-cache", PS_CONF_DURATION, AT(login_cache_ms), "60s", 0, 0,
     "a login at the origin counts for"},
    {"stream-wait", PS_CONF_DURATION, AT(stream_wait_ms), "5m", 1, DAY_MS,
     "so long, all in all, a query waits for a client that reads its NDJSON "
     "slowly; then it is cancelled"},
    {"transaction-idle", PS_CONF_DURATION, AT(transaction_ms), "10s", 1, DAY_MS,
     "a transaction over several requests may be idle for"},
    {"max-principals", PS_CONF_INT, AT(max_principals), "10000", 1, 10000000,
     "(cache, database, user) combinations kept"},
    {"max-waiters", PS_CONF_INT, AT(max_waiters), "1000", 1, 1000000,
     "equal requests that wait for one query"},
    {"stale-budget", PS_CONF_INT, AT(stale_permille), "10", 1, 500,
     "answers in 1000 that may be stale where writes go past Portside"},
    {"verify-every", PS_CONF_INT, AT(verify_every), "1000", 0, 1000000000,
     "of so many hits one is checked at the origin; 0: none"},
    {"refresh-ahead", PS_CONF_INT, AT(refresh_percent), "10", 0, 50,
     "percent of its time in which an answer asked often is fetched anew"},
    {"drain-delay", PS_CONF_DURATION, AT(drain_delay_ms), "0s", 0, DAY_MS,
     "at a stop or drain, go on serving for so long while /readyz says no"},
    {"drain-timeout", PS_CONF_DURATION, AT(drain_timeout_ms), "20s", 0, 0,
     "requests under way at a stop may take"},
    {"probe-timeout", PS_CONF_DURATION, AT(probe_timeout_ms), "5s", 1, DAY_MS,
     "each stage of a reachability test may take"},
    {"telemetry-every", PS_CONF_DURATION, AT(telemetry_ms), "10s", 0, DAY_MS,
     "statistics are told to the control plane so often; 0: not counted"},
    {"telemetry-templates", PS_CONF_INT, AT(telemetry_templates), "4096", 2, 65536,
     "templates that are counted apart; further ones together"},
    {"otlp-endpoint", PS_CONF_TEXT, AT(otlp_endpoint), NULL, 0, 0,
     "URL of an OpenTelemetry collector (OTLP over HTTP); empty: no spans"},
    {"trace-sample", PS_CONF_INT, AT(trace_permille), "0", 0, 1000,
     "of 1000 requests without traceparent so many are traced"},
    {"log-level", PS_CONF_TEXT, AT(log_level), "info", 0, 0,
     "debug, info, warn, error or off; for a part: info,link=debug"},
    {"log-format", PS_CONF_TEXT, AT(log_format), "text", 0, 0,
     "text or json, one line each"},
};
/* clang-format on */
const size_t ps_agent_settings_count = PS_ARRAY_LEN(ps_agent_settings_items);

static bool
is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 ||
           strncmp(address, "[::1]:", 6) == 0 ||
           strncmp(address, "localhost:", 10) == 0;
}

enum ps_rc
ps_agent_settings_check(const struct ps_agent_settings *s, struct ps_err *err)
{
    enum ps_log_format format;
    struct ps_err why;
    bool plain = s->listen && s->listen[0];
    bool tls = s->listen_tls && s->listen_tls[0];
    if (!plain && !tls)
        return ps_err_set(err, PS_CONFIG,
                          "nothing to listen on: give --listen or "
                          "--listen-tls");
    if (plain && !s->allow_plain_http && !is_loopback(s->listen))
        return ps_err_set(err, PS_CONFIG,
                          "--listen %s would take passwords over plain HTTP "
                          "from the network; use --listen-tls, or add "
                          "--allow-plain-http when something in front does "
                          "TLS",
                          s->listen);
    if (tls && (!s->tls_cert || !s->tls_key))
        return ps_err_set(err, PS_CONFIG,
                          "--listen-tls needs --tls-cert and --tls-key");
    if (ps_log_check_levels(ps_str_of(s->log_level), &why) != PS_OK)
        return ps_err_set(err, PS_CONFIG, "--log-level %s: %s", s->log_level,
                          why.message);
    if (!ps_log_parse_format(ps_str_of(s->log_format), &format))
        return ps_err_set(err, PS_CONFIG,
                          "--log-format %s is none of text, json",
                          s->log_format);
    return PS_OK;
}
