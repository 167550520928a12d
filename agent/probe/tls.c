/*
 * The TLS stage: a handshake over memory buffers, so that the same code serves
 * plain sockets and SQL Server, whose handshake records travel inside TDS
 * packets of type 0x12 (MS-TDS 2.2.6.5). Certificates are checked as the
 * cache's tls mode asks; the reason a certificate does not fit goes into the
 * detail in OpenSSL's words.
 */
#include "agent/probe/probe_private.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <poll.h>
#include <stdio.h>

enum {
    CHUNK = 4000, /* fits a TDS packet of 4096 */
    TDS_HEADER = 8
};

struct handshake {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    struct ps_probe_socket *socket;
    bool wrapped;
};

static enum ps_rc
trust_ca(SSL_CTX *ctx, const char *pem)
{
    if (!pem)
        return SSL_CTX_set_default_verify_paths(ctx) == 1 ? PS_OK : PS_TLS;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509 *cert;
    size_t n = 0;
    if (!bio)
        return PS_NO_MEMORY;
    while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        n += X509_STORE_add_cert(store, cert) == 1;
        X509_free(cert);
    }
    BIO_free(bio);
    ERR_clear_error();
    return n > 0 ? PS_OK : PS_TLS;
}

static enum ps_rc
start(struct handshake *h, const struct ps_cache_conf *conf,
      enum ps_tls_mode mode)
{
    bool verify = mode == PS_TLS_VERIFY_CA || mode == PS_TLS_VERIFY_FULL;
    h->ctx = SSL_CTX_new(TLS_client_method());
    if (!h->ctx)
        return PS_NO_MEMORY;
    if (verify && trust_ca(h->ctx, conf->tls_ca_pem) != PS_OK)
        return PS_TLS;
    h->ssl = SSL_new(h->ctx);
    h->in = BIO_new(BIO_s_mem());
    h->out = BIO_new(BIO_s_mem());
    if (!h->ssl || !h->in || !h->out) {
        BIO_free(h->in);
        BIO_free(h->out);
        return PS_NO_MEMORY;
    }
    SSL_set_bio(h->ssl, h->in, h->out);
    SSL_set_connect_state(h->ssl);
    if (h->wrapped) /* TDS 7.x: no TLS 1.3 inside PRELOGIN */
        SSL_set_max_proto_version(h->ssl, TLS1_2_VERSION);
    SSL_set_tlsext_host_name(h->ssl, conf->host);
    if (verify)
        SSL_set_verify(h->ssl, SSL_VERIFY_PEER, NULL);
    if (mode == PS_TLS_VERIFY_FULL) {
        X509_VERIFY_PARAM *param = SSL_get0_param(h->ssl);
        if (X509_VERIFY_PARAM_set1_ip_asc(param, conf->host) != 1)
            X509_VERIFY_PARAM_set1_host(param, conf->host, 0);
    }
    ERR_clear_error();
    return PS_OK;
}

static enum ps_rc
flush(struct handshake *h)
{
    unsigned char packet[TDS_HEADER + CHUNK];
    int n;
    while ((n = BIO_read(h->out, packet + TDS_HEADER, CHUNK)) > 0) {
        size_t total = (size_t)n + TDS_HEADER;
        const unsigned char head[TDS_HEADER] = {
            0x12, 1, (unsigned char)(total >> 8), (unsigned char)total, 0, 0,
            1,    0};
        memcpy(packet, head, TDS_HEADER);
        enum ps_rc rc =
            h->wrapped
                ? ps_probe_write(h->socket, packet, total)
                : ps_probe_write(h->socket, packet + TDS_HEADER, (size_t)n);
        if (rc != PS_OK)
            return rc;
    }
    return PS_OK;
}

static enum ps_rc
fill(struct handshake *h)
{
    unsigned char data[CHUNK];
    size_t got = 0;
    enum ps_rc rc;
    if (!h->wrapped) {
        rc = ps_probe_read_some(h->socket, data, sizeof(data), &got);
        if (rc == PS_OK)
            BIO_write(h->in, data, (int)got);
        return rc;
    }
    unsigned char head[TDS_HEADER];
    rc = ps_probe_read(h->socket, head, sizeof(head));
    if (rc != PS_OK)
        return rc;
    size_t len = (size_t)head[2] << 8 | head[3];
    if (head[0] != 0x12 || len <= TDS_HEADER)
        return PS_ORIGIN_TLS;
    for (len -= TDS_HEADER; len > 0; len -= got) {
        got = PS_MIN(len, sizeof(data));
        rc = ps_probe_read(h->socket, data, got);
        if (rc != PS_OK)
            return rc;
        BIO_write(h->in, data, (int)got);
    }
    return PS_OK;
}

static enum ps_rc
explain_failure(struct handshake *h, char detail[256])
{
    long verify = SSL_get_verify_result(h->ssl);
    if (verify != X509_V_OK) {
        snprintf(detail, 256, "certificate: %s",
                 X509_verify_cert_error_string(verify));
        return PS_ORIGIN_CERT;
    }
    unsigned long e = ERR_peek_last_error();
    const char *why = e ? ERR_reason_error_string(e) : NULL;
    snprintf(detail, 256, "handshake: %s", why ? why : "connection closed");
    return PS_ORIGIN_TLS;
}

static enum ps_rc
run(struct handshake *h, char detail[256])
{
    for (;;) {
        int r = SSL_do_handshake(h->ssl);
        int want = r == 1 ? SSL_ERROR_NONE : SSL_get_error(h->ssl, r);
        enum ps_rc rc = flush(h);
        if (r == 1 && rc == PS_OK) {
            snprintf(detail, 256, "%s, %s", SSL_get_version(h->ssl),
                     SSL_get_cipher_name(h->ssl));
            return PS_OK;
        }
        if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_NONE)
            return explain_failure(h, detail);
        if (rc == PS_OK)
            rc = fill(h);
        if (rc == PS_ORIGIN_TIMEOUT)
            return rc;
        if (rc != PS_OK)
            return explain_failure(h, detail);
    }
}

enum ps_rc
ps_probe_tls(const struct ps_cache_conf *conf, enum ps_tls_mode mode,
             struct ps_probe_socket *s, bool tds_wrapped, char detail[256])
{
    struct handshake h = {.socket = s, .wrapped = tds_wrapped};
    enum ps_rc rc = start(&h, conf, mode);
    if (rc == PS_OK)
        rc = run(&h, detail);
    else
        snprintf(detail, 256, "the cache's CA certificate cannot be used");
    SSL_free(h.ssl);
    SSL_CTX_free(h.ctx);
    ERR_clear_error();
    return rc;
}
