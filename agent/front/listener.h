/*
 * A listening socket on one loop: accepts, says no when there are too many.
 */
#ifndef PS_AGENT_FRONT_LISTENER_H
#define PS_AGENT_FRONT_LISTENER_H

#include "common/err.h"

struct ps_front;
struct ps_listener;
struct ssl_ctx_st;

/* Listens at address; tls NULL: plain HTTP. */
PS_MUST_USE enum ps_rc ps_listener_start(struct ps_listener **listener,
                                         struct ps_front *front,
                                         const char *address,
                                         struct ssl_ctx_st *tls,
                                         struct ps_err *err);
int ps_listener_port(const struct ps_listener *listener);
/* NULL is allowed. */
void ps_listener_stop(struct ps_listener **listener);

#endif
