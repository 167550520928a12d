/*
 * Too many connections: one is still accepted, told 503 and closed, so that
 * the client (or the balancer in front) learns at once that it should go
 * elsewhere, instead of waiting in a queue nobody serves. That costs a
 * descriptor for a moment, so an eighth more than the maximum may be in that
 * state; beyond it, and under TLS where the answer would cost a handshake,
 * the connection is closed without a word.
 *
 * Out of descriptors: the listener pauses for a tenth of a second, for the
 * queue would stay readable and the loop would spin.
 */
#include "agent/front/listener.h"

#include "agent/front/front_private.h"
#include "common/io/address.h"
#include "common/log.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ACCEPT_BATCH = 64, /* per readiness, then others have their turn */
    PAUSE_MS = 100
};

struct ps_listener {
    struct ps_front *front;
    struct ssl_ctx_st *tls;
    int fd;
    int port;
    struct event event;
    struct ps_timer resume;
};

static void
welcome(struct ps_listener *listener, int fd, const char *source)
{
    struct ps_front *front = listener->front;
    size_t max = front->conf.limits.max_connections;
    bool full = front->n_connections >= max;
    if (front->n_connections >= max + max / 8 + 1 || (full && listener->tls)) {
        close(fd);
        return;
    }
    struct ps_transport *transport =
        listener->tls ? ps_transport_tls(front->conf.loop, fd, listener->tls)
                      : ps_transport_plain(front->conf.loop, fd);
    if (!transport) {
        close(fd);
        return;
    }
    struct ps_http *http =
        ps_http_open(front, transport, source, listener->tls != NULL);
    if (http && full)
        ps_http_refuse(http, PS_TOO_MANY_REQUESTS,
                       "this agent has all the connections it accepts");
}

static void
pause_listening(struct ps_listener *listener, int error)
{
    ps_warn("front",
            "cannot accept connections: %s; raise the limit of open "
            "files",
            strerrordesc_np(error));
    event_del(&listener->event);
    ps_timer_start_ms(&listener->resume, PAUSE_MS);
}

static void
on_resume(void *arg)
{
    struct ps_listener *listener = arg;
    event_add(&listener->event, NULL);
}

static void
on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
    struct ps_listener *listener = arg;
    (void)what;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage address;
        socklen_t len = sizeof(address);
        char source[PS_HTTP_SOURCE_MAX];
        int on = 1;
        int fd = accept4((int)listen_fd, (struct sockaddr *)&address, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                errno == ENOMEM)
                pause_listening(listener, errno);
            if (errno == ECONNABORTED || errno == EINTR)
                continue;
            return;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        ps_address_host(&address, source, sizeof(source));
        welcome(listener, fd, source);
    }
}

enum ps_rc
ps_listener_start(struct ps_listener **out, struct ps_front *front,
                  const char *address, struct ssl_ctx_st *tls,
                  struct ps_err *err)
{
    const struct ps_listen at = {.address = address,
                                 .backlog = SOMAXCONN,
                                 .reuse_port = front->conf.reuse_port,
                                 .option = tls ? "--listen-tls" : "--listen"};
    int fd = -1;
    enum ps_rc rc = ps_listen_open(&at, &fd, err);
    if (rc != PS_OK)
        return rc;
    struct ps_listener *listener = calloc(1, sizeof(*listener));
    if (!listener) {
        close(fd);
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    }
    *listener = (struct ps_listener){
        .front = front, .tls = tls, .fd = fd, .port = ps_listen_port(fd)};
    ps_timer_init(&listener->resume, front->conf.loop, on_resume, listener);
    event_assign(&listener->event, ps_loop_base(front->conf.loop), fd,
                 EV_READ | EV_PERSIST, on_accept, listener);
    event_add(&listener->event, NULL);
    *out = listener;
    return PS_OK;
}

int
ps_listener_port(const struct ps_listener *listener)
{
    return listener ? listener->port : 0;
}

void
ps_listener_stop(struct ps_listener **listener)
{
    if (!*listener)
        return;
    event_del(&(*listener)->event);
    ps_timer_stop(&(*listener)->resume);
    close((*listener)->fd);
    free(*listener);
    *listener = NULL;
}
