/* The settings of portside-controlplane: one table (common/conf.h). */
#ifndef PS_CONTROLPLANE_SETTINGS_H
#define PS_CONTROLPLANE_SETTINGS_H

#include "common/conf.h"

struct ps_settings {
    char *config;
    char *data_dir;
    char *listen_api, *listen_calls, *listen_events, *listen_admin;
    char *public_host;
    char *advertise_calls, *advertise_events;
    int64_t lease_ms, heartbeat_ms, tick_ms;
    int64_t telemetry_max_bytes;
    char *log_level, *log_format;
};

/* Reads file, environment and command line, and checks what the table
 * cannot. */
PS_MUST_USE enum ps_rc ps_settings_read(struct ps_settings *settings, int argc,
                                        char **argv, struct ps_err *err);
void ps_settings_help(void);
void ps_settings_done(struct ps_settings *settings);

#endif
