/*
 * PostgreSQL's dates, times and intervals as the Node packages postgres-date
 * 1.0 and postgres-interval 1.2 understand them, in JSON. Pure; any thread.
 */
#ifndef PS_AGENT_RESULT_PG_TIME_H
#define PS_AGENT_RESULT_PG_TIME_H

#include "common/buf.h"

/* date, timestamp, timestamptz: the string that Date.prototype.toISOString
 * gives (TZ=UTC), or null: infinity, beyond JavaScript's Date, not ISO. */
void ps_pg_date_json(struct ps_buf *out, struct ps_str text);
/* An object with those of years, months, days, hours, minutes, seconds and
 * milliseconds that are not 0, in this order. */
void ps_pg_interval_json(struct ps_buf *out, struct ps_str text);

#endif
