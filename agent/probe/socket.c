/*
 * A non-blocking socket used with deadlines: the probe's thread waits in
 * poll() and nowhere else.
 */
#include "agent/probe/probe_private.h"
#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum ps_rc
ps_probe_wait(struct ps_probe_socket *s, short events)
{
    for (;;) {
        uint64_t now = ps_clock_now_us(ps_clock_real());
        if (now >= s->deadline_us)
            return PS_ORIGIN_TIMEOUT;
        struct pollfd p = {.fd = s->fd, .events = events};
        int n = poll(&p, 1, (int)((s->deadline_us - now + 999) / 1000));
        if (n > 0)
            return PS_OK;
        if (n < 0 && errno != EINTR)
            return PS_IO;
    }
}

enum ps_rc
ps_probe_read_some(struct ps_probe_socket *s, void *out, size_t n, size_t *got)
{
    for (;;) {
        ssize_t r = recv(s->fd, out, n, 0);
        if (r > 0) {
            *got = (size_t)r;
            return PS_OK;
        }
        if (r == 0 || (errno != EAGAIN && errno != EINTR))
            return PS_ORIGIN_LOST;
        enum ps_rc rc = ps_probe_wait(s, POLLIN);
        if (rc != PS_OK)
            return rc;
    }
}

enum ps_rc
ps_probe_read(struct ps_probe_socket *s, void *out, size_t n)
{
    char *at = out;
    while (n > 0) {
        size_t got = 0;
        enum ps_rc rc = ps_probe_read_some(s, at, n, &got);
        if (rc != PS_OK)
            return rc;
        at += got;
        n -= got;
    }
    return PS_OK;
}

enum ps_rc
ps_probe_write(struct ps_probe_socket *s, const void *data, size_t n)
{
    const char *at = data;
    while (n > 0) {
        ssize_t r = send(s->fd, at, n, MSG_NOSIGNAL);
        if (r >= 0) {
            at += r;
            n -= (size_t)r;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return PS_ORIGIN_LOST;
        enum ps_rc rc = ps_probe_wait(s, POLLOUT);
        if (rc != PS_OK)
            return rc;
    }
    return PS_OK;
}
