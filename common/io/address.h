/*
 * Addresses as text: those to listen at become sockets, those of clients are
 * shown. Any thread.
 */
#ifndef PS_COMMON_IO_ADDRESS_H
#define PS_COMMON_IO_ADDRESS_H

#include "common/err.h"

#include <sys/socket.h>

struct ps_listen {
    /* "127.0.0.1:8080", "[::1]:8443", "localhost:0" (any port), ":8080"
     * (every address), "name:8080" (asks the resolver, and may block). */
    const char *address;
    int backlog;
    /* Connections have it from here: no part of a reply waits for the
     * client's delayed acknowledgement. */
    bool no_delay;
    bool reuse_port;    /* several sockets at one port, one for each thread */
    const char *option; /* that gives the address, for errors */
};
/* A socket that does not block and is not inherited. PS_CONFIG: not such an
 * address; PS_IO: it cannot be had. */
PS_MUST_USE enum ps_rc ps_listen_open(const struct ps_listen *conf, int *fd,
                                      struct ps_err *err);
/* Where it listens, also when it was to be any port; 0: not known. */
int ps_listen_port(int fd);

/* The host part without port; an IPv4 address in IPv6 form as IPv4. */
void ps_address_host(const struct sockaddr_storage *address, char *out,
                     size_t size);

#endif
