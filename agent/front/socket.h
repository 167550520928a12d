/* What the plain and the TLS transport share: a socket and its events. Only
 * this folder's transports include it. */
#ifndef PS_AGENT_FRONT_SOCKET_H
#define PS_AGENT_FRONT_SOCKET_H

#include "agent/front/transport.h"

#include <event2/event.h>
#include <event2/event_struct.h>

struct ps_socket {
    struct ps_transport base;
    int fd;
    unsigned interest;
    struct event read_event, write_event;
};

void ps_socket_init(struct ps_socket *sock, const struct ps_transport_ops *ops,
                    struct ps_loop *loop, int fd);
void ps_socket_want(struct ps_socket *sock, unsigned interest);
void ps_socket_done(struct ps_socket *sock);
/* AGAIN or BROKEN from errno after a failed call. */
int ps_socket_failure(void);

#endif
