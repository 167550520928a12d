/* getaddrinfo() with numeric hosts only, so that nothing asks a name server;
 * localhost is spelled out. */
#include "agent/front/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>

static enum ps_rc
bad_address(const char *text, struct ps_err *err)
{
    return ps_err_set(err, PS_CONFIG,
                      "cannot listen at \"%s\": write an IP address and a "
                      "port, such as 127.0.0.1:8080 or [::]:8443",
                      text);
}

/* Splits at the last colon; brackets are taken off the host. */
static bool
split(const char *text, char *host, size_t host_size, const char **port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon[1] == '\0')
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

enum ps_rc
ps_address_parse(const char *text, struct sockaddr_storage *out, socklen_t *len,
                 struct ps_err *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags =
                                 AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    char host[128];
    const char *port;
    if (!split(text, host, sizeof(host), &port))
        return bad_address(text, err);
    const char *name = host;
    if (strcmp(host, "localhost") == 0)
        name = "127.0.0.1";
    else if (host[0] == '\0')
        name = "0.0.0.0";
    if (getaddrinfo(name, port, &hints, &found) != 0)
        return bad_address(text, err);
    memset(out, 0, sizeof(*out));
    memcpy(out, found->ai_addr, found->ai_addrlen);
    *len = found->ai_addrlen;
    freeaddrinfo(found);
    return PS_OK;
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

int
ps_address_port(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohs(
            ((const struct sockaddr_in *)(const void *)address)->sin_port);
    if (address->ss_family == AF_INET6)
        return ntohs(
            ((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return 0;
}
