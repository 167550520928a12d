/*
 * The parts of `psctl query` that are pure, for its test.
 */
#ifndef PS_CLI_QUERY_H
#define PS_CLI_QUERY_H

#include "cli/output.h"

/*
 * Bindings as typed, to JSON: what reads as a JSON number, true, false, null,
 * array, or quoted string is that; everything else is text. One single object
 * {"name": value} stands for named bindings. NULL: not valid UTF-8. Owned by
 * the caller.
 */
json_t *ps_query_bindings(char *const *words, int n);

/* Rows ([{column: value}]) as a table: the columns are those of the first
 * row. NULL when there is no row. */
struct ps_table *ps_query_table(const json_t *rows);

/* The first word that Cache-Status has after "portside": "hit", "miss",
 * "stale", "bypass", or "-" when the header is not there. */
const char *ps_query_verdict(const char *cache_status);

#endif
