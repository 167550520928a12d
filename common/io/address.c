/* See address.h. */
#include "common/io/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

/* getaddrinfo() takes larger numbers, and cuts them. */
static bool
is_port(const char *text)
{
    unsigned long port = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && port <= UINT16_MAX; at++)
        port = port * 10 + (unsigned long)(*at - '0');
    return at > text && *at == '\0' && port <= UINT16_MAX;
}

/* Splits at the last colon; brackets are taken off the host. */
static bool
split(const char *text, char *host, size_t host_size, const char **port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || !is_port(colon + 1))
        return false;
    size_t n = (size_t)(colon - text);
    *port = colon + 1;
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    } else if (memchr(text, ':', n)) {
        return false; /* IPv6 needs brackets */
    }
    if (n >= host_size)
        return false;
    memcpy(host, text, n);
    host[n] = '\0';
    return true;
}

static enum ps_rc
resolve(const struct ps_listen *conf, struct addrinfo **found,
        struct ps_err *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    char host[256];
    const char *port;
    if (!split(conf->address, host, sizeof(host), &port))
        return ps_err_set(err, PS_CONFIG,
                          "cannot listen at \"%s\": write an address and a "
                          "port, such as 127.0.0.1:8080 or [::]:8443; see %s",
                          conf->address, conf->option);
    const char *name = host;
    /* Not left to the resolver, which may say IPv6 first. */
    if (strcmp(host, "localhost") == 0)
        name = "127.0.0.1";
    else if (host[0] == '\0')
        name = "0.0.0.0";
    int rc = getaddrinfo(name, port, &hints, found);
    if (rc != 0)
        return ps_err_set(err, PS_CONFIG, "cannot listen at %s: %s; see %s",
                          conf->address, gai_strerror(rc), conf->option);
    return PS_OK;
}

static bool
prepare(int fd, const struct ps_listen *conf, const struct addrinfo *at)
{
    const int on = 1;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
           (!conf->reuse_port ||
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
           (!conf->no_delay ||
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0) &&
           bind(fd, at->ai_addr, at->ai_addrlen) == 0 &&
           listen(fd, conf->backlog) == 0;
}

/* What may be the matter, and what to do. */
static const char *
advice(int why)
{
    switch (why) {
    case EADDRINUSE:
        return "another program is there: give another one with ";
    case EACCES:
        return "a port below 1024 needs CAP_NET_BIND_SERVICE: see ";
    default:
        return "see ";
    }
}

enum ps_rc
ps_listen_open(const struct ps_listen *conf, int *out, struct ps_err *err)
{
    struct addrinfo *at = NULL;
    enum ps_rc rc = resolve(conf, &at, err);
    if (rc != PS_OK)
        return rc;
    int fd =
        socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && prepare(fd, conf, at);
    int why = errno;
    freeaddrinfo(at);
    if (good) {
        *out = fd;
        return PS_OK;
    }
    if (fd >= 0)
        close(fd);
    return ps_err_set(err, PS_IO, "cannot listen at %s: %s; %s%s",
                      conf->address, strerrordesc_np(why), advice(why),
                      conf->option);
}

int
ps_listen_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)(void *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
}

void
ps_address_host(const struct sockaddr_storage *address, char *out, size_t size)
{
    const void *bytes = NULL;
    int family = address->ss_family;
    out[0] = '\0';
    if (family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        bytes = &in->sin_addr;
    } else if (family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)address;
        bytes = &in->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr)) {
            bytes = &in->sin6_addr.s6_addr[12];
            family = AF_INET;
        }
    }
    if (!bytes || !inet_ntop(family, bytes, out, (socklen_t)size))
        snprintf(out, size, "unknown");
}
