/* `portside-agent run`: puts the parts together, waits for a signal, takes
 * them apart in order. */
#ifndef PS_AGENT_RUN_H
#define PS_AGENT_RUN_H

#include "agent/settings.h"

/* Exit status of the process: 0 stopped by a signal, 1 could not start or not
 * stop in time, 3 revoked. */
int ps_agent_run(const struct ps_agent_settings *settings);

#endif
