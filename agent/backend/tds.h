/*
 * The SQL Server driver's own parts; private to agent/backend/tds*.c.
 *
 *   tds.c           vtable; what a worker says; ends of operations
 *   tds_spawn.c     starting and ending worker processes
 *   tds_wire.c      frames between the two
 *   tds_worker.c, tds_odbc.c, tds_fetch.c, tds_params.c, tds_conf.c,
 *   tds_errors.c, tds_diagnose.c    the worker, a program of its own
 */
#ifndef PS_AGENT_BACKEND_TDS_H
#define PS_AGENT_BACKEND_TDS_H

#include "common/base.h"
#include "common/err.h"

#include <sys/types.h>

enum {
    /* Of this process; the pools' limits come first. */
    PS_TDS_WORKERS_MAX = 512
};

/* A worker and our end of its socket (not blocking). */
PS_MUST_USE enum ps_rc ps_tds_spawn(pid_t *pid, int *fd, struct ps_err *err);
/* Kills it and closes the socket; what is left of it is collected later. */
void ps_tds_kill(pid_t *pid, int *fd);

#endif
