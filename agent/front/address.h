/* Addresses to listen at and those of clients, as text. */
#ifndef PS_AGENT_FRONT_ADDRESS_H
#define PS_AGENT_FRONT_ADDRESS_H

#include "common/err.h"

#include <sys/socket.h>

/* "127.0.0.1:8080", "[::1]:8443", "localhost:0", ":8080" (every address). */
PS_MUST_USE enum ps_rc ps_address_parse(const char *text,
                                        struct sockaddr_storage *out,
                                        socklen_t *len, struct ps_err *err);
/* The host part without port; an IPv4 address in IPv6 form as IPv4. */
void ps_address_host(const struct sockaddr_storage *address, char *out,
                     size_t size);
/* The port of an IPv4 or IPv6 address. */
int ps_address_port(const struct sockaddr_storage *address);

#endif
