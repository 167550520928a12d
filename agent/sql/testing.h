/*
 * For tests and tools only: an analysis as text, the form in which golden files
 * keep it.
 */
#ifndef PS_AGENT_SQL_TESTING_H
#define PS_AGENT_SQL_TESTING_H

#include "agent/sql/sql.h"
#include "common/buf.h"

/* One line each: class, reason, template, tables, functions, effects. */
void ps_sql_render(const struct ps_sql_analysis *a, struct ps_str text,
                   struct ps_buf *out);

#endif
