/*
 * Settings of `portside-agent run`: one table, from which come the file, the
 * environment (PORTSIDE_...), the command line and --help.
 */
#ifndef PS_AGENT_SETTINGS_H
#define PS_AGENT_SETTINGS_H

#include "common/conf.h"

struct ps_agent_settings {
    char *dir;
    char *listen, *listen_tls, *listen_admin;
    char *tls_cert, *tls_key;
    bool allow_plain_http;
    char *endpoint;
    int64_t loops;
    int64_t memory_bytes;
    int64_t max_reply_bytes;
    int64_t max_body_bytes;
    int64_t max_buffered_bytes;
    int64_t max_connections;
    int64_t head_timeout_ms, body_timeout_ms, idle_timeout_ms, write_timeout_ms;
    int64_t login_cache_ms;
    int64_t transaction_ms;
    int64_t stream_wait_ms;
    int64_t max_principals;
    int64_t max_waiters;
    int64_t stale_permille;
    int64_t verify_every;
    int64_t refresh_percent;
    int64_t drain_delay_ms, drain_timeout_ms;
    int64_t probe_timeout_ms;
    int64_t telemetry_ms;
    int64_t telemetry_templates;
    char *otlp_endpoint;
    int64_t trace_permille;
    char *log_level, *log_format;
};

extern const struct ps_conf_item ps_agent_settings_items[];
extern const size_t ps_agent_settings_count;

/* Checks that the settings fit together (plain HTTP, certificate pairs). */
PS_MUST_USE enum ps_rc
ps_agent_settings_check(const struct ps_agent_settings *settings,
                        struct ps_err *err);

#endif
