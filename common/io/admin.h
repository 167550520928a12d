/*
 * The admin listener of a program: plain HTTP for the operator's own machine,
 * apart from what clients use. On loopback unless told otherwise: who reaches
 * it may read the metrics and change log levels.
 *
 *   GET /metrics      Prometheus' text format
 *   GET /healthz      200 while the loop turns
 *   GET /readyz       503 with the reason while it does not serve as it should
 *   GET /log-levels   "info,link=debug"; PUT sets them, until the next start
 *
 * On the loop of its owner; libevent's evhttp, since here correctness and
 * little code count for more than speed.
 */
#ifndef PS_COMMON_IO_ADMIN_H
#define PS_COMMON_IO_ADMIN_H

#include "common/io/loop.h"
#include "common/metrics.h"

struct ps_admin;

struct ps_admin_conf {
    struct ps_loop *loop;
    const char *address; /* "127.0.0.1:7680"; port 0: any */
    /* Begins to bring the figures up to date, and has ps_admin_fresh called
     * when they are. NULL, or false: they are. */
    bool (*refresh)(void *arg);
    void (*metrics)(void *arg, struct ps_metrics *m);
    const char *(*trouble)(void *arg); /* NULL: ready; static text */
    void *arg;
};

PS_MUST_USE enum ps_rc ps_admin_start(struct ps_admin **admin,
                                      const struct ps_admin_conf *conf,
                                      struct ps_err *err);
/* What has not been answered yet is answered without metrics. */
void ps_admin_stop(struct ps_admin **admin);
void ps_admin_fresh(struct ps_admin *admin);
/* The port really bound. */
int ps_admin_port(const struct ps_admin *admin);

#endif
