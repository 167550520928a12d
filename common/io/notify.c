/* See notify.h. The only user of libsystemd. */
#include "common/io/notify.h"

#include <systemd/sd-daemon.h>

enum {
    US_PER_MS = 1000
};

void
ps_notify_ready(const char *status)
{
    (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void
ps_notify_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1");
}

void
ps_notify_alive(void)
{
    (void)sd_notify(0, "WATCHDOG=1");
}

uint64_t
ps_notify_alive_every_ms(void)
{
    uint64_t usec = 0;
    if (sd_watchdog_enabled(0, &usec) <= 0)
        return 0;
    return PS_MAX(usec / 2 / US_PER_MS, 1);
}
