/*
 * A server's certificate: does it fit, and if not, why, in a sentence that
 * says what to do. Client libraries say little of that (libpq "certificate
 * verify failed", FreeTDS nothing), so whoever wants to know looks himself.
 */
#ifndef PS_COMMON_TLS_PEER_H
#define PS_COMMON_TLS_PEER_H

#include "common/err.h"

/* X(NAME, sentence) */
#define PS_TLS_FAULT_TABLE(X)                                                 \
    X(EXPIRED, "the database's certificate has expired; renew it there")      \
    X(NOT_YET, "the database's certificate is not valid yet; check the "      \
               "clocks of the database and of this agent")                    \
    X(SELF_SIGNED,                                                            \
      "the database's certificate is signed by itself and not trusted; give " \
      "the cache this certificate as its CA")                                 \
    X(UNKNOWN_CA, "the database's certificate is signed by a CA that is not " \
                  "trusted; give the cache that CA")                          \
    X(HOST, "the database's certificate is for another host name; fix the "   \
            "cache's host or use verify-ca")                                  \
    X(REVOKED, "the database's certificate has been revoked")                 \
    X(OTHER, "the database's certificate is not trusted; give the cache its " \
             "CA")

enum ps_tls_fault {
#define X(name, sentence) PS_TLS_FAULT_##name,
    PS_TLS_FAULT_TABLE(X)
#undef X
    PS_TLS_FAULT_COUNT
};
const char *ps_tls_fault_sentence(enum ps_tls_fault fault);
/* Of OpenSSL's X509_V_ERR_..., not X509_V_OK. */
enum ps_tls_fault ps_tls_fault_of(long verify_error);
/* Of a text that holds OpenSSL's words for one; OTHER: none known. */
enum ps_tls_fault ps_tls_fault_in(const char *text);

/* Moves bytes; blocks as long as its owner likes. */
struct ps_tls_pipe {
    void *arg;
    /* At least one byte, at most max. */
    enum ps_rc (*read)(void *arg, void *out, size_t max, size_t *got);
    enum ps_rc (*write)(void *arg, const void *data, size_t n);
};
struct ps_tls_peer {
    const char *host;   /* name or address */
    const char *ca_pem; /* NULL: the system's */
    bool verify, verify_host;
    bool tds; /* inside of TDS 7.x packets, and not later than TLS 1.2 */
};
struct ps_tls_report {
    enum ps_tls_fault fault; /* with PS_ORIGIN_CERT */
    char detail[256];        /* version and cipher, or OpenSSL's words */
};
/*
 * One handshake as a client, nothing more. PS_ORIGIN_CERT: the certificate
 * does not fit; PS_ORIGIN_TLS; PS_TLS: ca_pem cannot be used; or what a
 * time-out of the pipe gave (PS_ORIGIN_TIMEOUT). Any thread.
 */
PS_MUST_USE enum ps_rc ps_tls_try(const struct ps_tls_peer *peer,
                                  const struct ps_tls_pipe *pipe,
                                  struct ps_tls_report *report);

#endif
