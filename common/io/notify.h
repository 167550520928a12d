/*
 * Telling the service manager (systemd) how this service is: it was started,
 * it stops, it is alive. Without one (no NOTIFY_SOCKET) nothing is done.
 * Source: sd_notify(3), sd_watchdog_enabled(3). Any thread.
 */
#ifndef PS_COMMON_IO_NOTIFY_H
#define PS_COMMON_IO_NOTIFY_H

#include "common/base.h"

/* Serving from now on; status: one line for `systemctl status`. */
void ps_notify_ready(const char *status);
void ps_notify_stopping(void);
/* To be called at least every ps_notify_alive_every_ms(). */
void ps_notify_alive(void);
/* Half of the time after which the manager takes this process for hung, in
 * ms; 0: the manager does not watch it. */
uint64_t ps_notify_alive_every_ms(void);

#endif
