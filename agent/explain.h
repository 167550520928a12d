/*
 * `psctl explain`, on the agent: the SQL and bindings that a client of POST
 * /sql would send become what the engine is asked (agent/req/explain.c).
 */
#ifndef PS_AGENT_EXPLAIN_H
#define PS_AGENT_EXPLAIN_H

#include "agent/config/config.h"
#include "agent/link/uplink.h"
#include "agent/req/req.h"

/* Writes a JSON object: the explanation, or {"error": {"code", "message"}}.
 * The link's thread; some milliseconds. */
void ps_agent_explain(struct ps_engine *engine, struct ps_config *config,
                      const struct ps_uplink_explain *ask, struct ps_buf *out);

#endif
