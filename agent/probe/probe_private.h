/*
 * Inside of the probe: a deadline-bound socket and the three providers'
 * greetings. Each greeting leaves the socket where TLS can begin.
 */
#ifndef PS_AGENT_PROBE_PROBE_PRIVATE_H
#define PS_AGENT_PROBE_PROBE_PRIVATE_H

#include "agent/probe/probe.h"
#include "common/tls_peer.h"

struct ps_probe_socket {
    int fd;
    uint64_t deadline_us; /* of the current stage */
};

/* Exactly n bytes; PS_ORIGIN_TIMEOUT or PS_ORIGIN_LOST. */
PS_MUST_USE enum ps_rc ps_probe_read(struct ps_probe_socket *s, void *out,
                                     size_t n);
/* At least 1 byte, at most n; *got says how many. */
PS_MUST_USE enum ps_rc ps_probe_read_some(struct ps_probe_socket *s, void *out,
                                          size_t n, size_t *got);
PS_MUST_USE enum ps_rc ps_probe_write(struct ps_probe_socket *s,
                                      const void *data, size_t n);
/* Waits for events (poll's), within the deadline. */
PS_MUST_USE enum ps_rc ps_probe_wait(struct ps_probe_socket *s, short events);

struct ps_probe_greeting {
    bool tls_offered;
    bool tds_wrapped; /* the handshake travels inside TDS packets */
    char version[64];
    char detail[256];
};
/* Fills detail on failure too. */
PS_MUST_USE enum ps_rc ps_probe_greet(enum ps_provider provider,
                                      struct ps_probe_socket *s, bool want_tls,
                                      struct ps_probe_greeting *greeting);

/* Handshake and, as the mode asks, verification. *offered was checked. */
PS_MUST_USE enum ps_rc ps_probe_tls(const struct ps_cache_conf *conf,
                                    enum ps_tls_mode mode,
                                    struct ps_probe_socket *s, bool tds_wrapped,
                                    struct ps_tls_report *report);

#endif
