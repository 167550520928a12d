/*
 * Keys, certificates and contexts, on OpenSSL. ECDSA P-256 throughout. PEM
 * texts returned through char ** are owned by the caller (free()).
 */
#ifndef PS_COMMON_TLS_H
#define PS_COMMON_TLS_H

#include "common/err.h"

struct ssl_ctx_st; /* SSL_CTX */

PS_MUST_USE enum ps_rc ps_tls_make_key(char **key_pem, struct ps_err *err);
/* A self-signed CA certificate (CA:TRUE, keyCertSign). */
PS_MUST_USE enum ps_rc ps_tls_make_ca(const char *key_pem, const char *name,
                                      unsigned days, char **cert_pem,
                                      struct ps_err *err);
PS_MUST_USE enum ps_rc ps_tls_make_csr(const char *key_pem, const char *name,
                                       char **csr_pem, struct ps_err *err);

struct ps_tls_sign {
    const char *ca_cert_pem, *ca_key_pem;
    const char *csr_pem;
    const char *common_name; /* replaces what the CSR says */
    const char *const *dns;  /* subjectAltName, NULL-terminated, or NULL */
    const char *const *ip;   /* numeric addresses, likewise */
    unsigned days;
    bool server, client; /* extended key usage */
};
/* Checks the CSR's own signature first (PS_TLS otherwise). */
PS_MUST_USE enum ps_rc ps_tls_sign_csr(const struct ps_tls_sign *sign,
                                       char **cert_pem, struct ps_err *err);
/* SHA-256 of the certificate's DER as 64 lower-case hex digits and NUL. */
PS_MUST_USE enum ps_rc ps_tls_fingerprint(const char *cert_pem, char out[65],
                                          struct ps_err *err);
/* Seconds from now until notAfter, negative when past. */
PS_MUST_USE enum ps_rc ps_tls_expires_in_s(const char *cert_pem, int64_t *out,
                                           struct ps_err *err);

/* A server context: TLS 1.2 or later, ALPN http/1.1, session tickets. Texts
 * are PEM; chain certificates may follow the first. */
PS_MUST_USE enum ps_rc ps_tls_server_ctx(const char *cert_pem,
                                         const char *key_pem,
                                         struct ssl_ctx_st **out,
                                         struct ps_err *err);
void ps_tls_ctx_free(struct ssl_ctx_st **ctx);

/* Cryptographic randomness; aborts when the system has none. */
void ps_random_bytes(void *out, size_t n);
/* 2n hex digits and a NUL. */
void ps_hex(const void *bytes, size_t n, char *out);
void ps_sha256(struct ps_str data, unsigned char out[32]);
/* HMAC-SHA-256 (RFC 2104). */
void ps_hmac_sha256(const unsigned char key[32], struct ps_str data,
                    unsigned char out[32]);
/* Equal without leaking where they differ. */
bool ps_equal_const_time(const void *a, const void *b, size_t n);
/* A random UUID (RFC 9562 version 4) in lower case and NUL. */
void ps_uuid_make(char out[37]);
bool ps_uuid_valid(struct ps_str text);

#endif
