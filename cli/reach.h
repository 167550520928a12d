/*
 * Follows a reachability run and shows it: on a terminal a table that is
 * redrawn in place, elsewhere one line per stage as it becomes known and the
 * table at the end; then each agent's advice.
 */
#ifndef PS_CLI_REACH_H
#define PS_CLI_REACH_H

#include "cli/ctl.h"

/*
 * Waits until the run is done, at most 60 s. run_id NULL: the newest run.
 * *run (may stay NULL on failure) is owned by the caller. PS_EXIT_TEST when an
 * agent failed, with no fault set: the table has said it. With --json or
 * --quiet nothing is printed. After Ctrl-C the terminal is as before.
 */
PS_MUST_USE enum ps_exit ps_reach_follow(struct ps_ctl *ctl,
                                         const char *cache_id,
                                         const char *run_id, json_t **run);

/* The table of a run as it is now. Pure. */
struct ps_table *ps_reach_table(const json_t *run);

#endif
