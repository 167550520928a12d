/* See tls_peer.h. The handshake runs over memory buffers, so that the same
 * code serves plain sockets and SQL Server, whose handshake records travel
 * inside TDS packets. */
#include "common/tls_peer.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <stdio.h>

enum {
    CHUNK = 4000, /* fits a TDS packet of 4096 */
    TDS_HEADER = 8,
    TDS_PRELOGIN = 0x12 /* MS-TDS 2.2.6.5 */
};

const char *
ps_tls_fault_sentence(enum ps_tls_fault fault)
{
    static const char *const sentences[] = {
#define X(name, sentence) sentence,
        PS_TLS_FAULT_TABLE(X)
#undef X
    };
    return sentences[fault < PS_TLS_FAULT_COUNT ? fault : PS_TLS_FAULT_OTHER];
}

static const struct {
    long error;
    enum ps_tls_fault fault;
} faults[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED,                  PS_TLS_FAULT_EXPIRED    },
    {X509_V_ERR_CERT_NOT_YET_VALID,                PS_TLS_FAULT_NOT_YET    },
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,         PS_TLS_FAULT_UNKNOWN_CA },
 /* Behind the former, whose words begin with its own. */
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,       PS_TLS_FAULT_SELF_SIGNED},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,         PS_TLS_FAULT_UNKNOWN_CA },
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, PS_TLS_FAULT_UNKNOWN_CA },
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,   PS_TLS_FAULT_UNKNOWN_CA },
    {X509_V_ERR_CERT_SIGNATURE_FAILURE,            PS_TLS_FAULT_UNKNOWN_CA },
    {X509_V_ERR_HOSTNAME_MISMATCH,                 PS_TLS_FAULT_HOST       },
    {X509_V_ERR_IP_ADDRESS_MISMATCH,               PS_TLS_FAULT_HOST       },
    {X509_V_ERR_CERT_REVOKED,                      PS_TLS_FAULT_REVOKED    },
};

enum ps_tls_fault
ps_tls_fault_of(long verify_error)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(faults); i++) {
        if (faults[i].error == verify_error)
            return faults[i].fault;
    }
    return PS_TLS_FAULT_OTHER;
}

enum ps_tls_fault
ps_tls_fault_in(const char *text)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(faults); i++) {
        if (strstr(text, X509_verify_cert_error_string(faults[i].error)))
            return faults[i].fault;
    }
    return PS_TLS_FAULT_OTHER;
}

/* ------------------------------------------------------------- handshake */

struct handshake {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    const struct ps_tls_pipe *pipe;
    bool tds;
    size_t left; /* of the TDS packet that is being read */
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

static void
set_checks(SSL *ssl, const struct ps_tls_peer *peer)
{
    SSL_set_tlsext_host_name(ssl, peer->host);
    if (peer->verify)
        SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    if (!peer->verify || !peer->verify_host)
        return;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, peer->host) != 1)
        X509_VERIFY_PARAM_set1_host(param, peer->host, 0);
}

static enum ps_rc
start(struct handshake *h, const struct ps_tls_peer *peer)
{
    h->ctx = SSL_CTX_new(TLS_client_method());
    if (!h->ctx)
        return PS_NO_MEMORY;
    if (peer->verify && trust_ca(h->ctx, peer->ca_pem) != PS_OK)
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
    if (peer->tds)
        SSL_set_max_proto_version(h->ssl, TLS1_2_VERSION);
    set_checks(h->ssl, peer);
    ERR_clear_error();
    return PS_OK;
}

static enum ps_rc
flush(struct handshake *h)
{
    unsigned char packet[TDS_HEADER + CHUNK];
    int n;
    while ((n = BIO_read(h->out, packet + TDS_HEADER, CHUNK)) > 0) {
        size_t total = (size_t)n + TDS_HEADER, skip = h->tds ? 0 : TDS_HEADER;
        memset(packet, 0, TDS_HEADER);
        packet[0] = TDS_PRELOGIN;
        packet[1] = 1; /* the last of its message */
        packet[2] = (unsigned char)(total >> 8);
        packet[3] = (unsigned char)total;
        packet[6] = 1;
        enum ps_rc rc =
            h->pipe->write(h->pipe->arg, packet + skip, total - skip);
        if (rc != PS_OK)
            return rc;
    }
    return PS_OK;
}

/* The header of the next TDS packet. */
static enum ps_rc
read_header(struct handshake *h)
{
    unsigned char head[TDS_HEADER];
    for (size_t have = 0, got = 0; have < sizeof(head); have += got) {
        enum ps_rc rc =
            h->pipe->read(h->pipe->arg, head + have, sizeof(head) - have, &got);
        if (rc != PS_OK)
            return rc;
    }
    size_t len = (size_t)head[2] << 8 | head[3];
    if (head[0] != TDS_PRELOGIN || len <= TDS_HEADER)
        return PS_ORIGIN_TLS;
    h->left = len - TDS_HEADER;
    return PS_OK;
}

static enum ps_rc
fill(struct handshake *h)
{
    unsigned char data[CHUNK];
    size_t max = sizeof(data), got = 0;
    enum ps_rc rc = PS_OK;
    if (h->tds && h->left == 0)
        rc = read_header(h);
    if (h->tds)
        max = PS_MIN(max, h->left);
    if (rc == PS_OK)
        rc = h->pipe->read(h->pipe->arg, data, max, &got);
    if (rc != PS_OK)
        return rc;
    if (h->tds)
        h->left -= got;
    BIO_write(h->in, data, (int)got);
    return PS_OK;
}

static enum ps_rc
explain(struct handshake *h, struct ps_tls_report *report)
{
    long verify = SSL_get_verify_result(h->ssl);
    if (verify != X509_V_OK) {
        report->fault = ps_tls_fault_of(verify);
        snprintf(report->detail, sizeof(report->detail), "certificate: %s",
                 X509_verify_cert_error_string(verify));
        return PS_ORIGIN_CERT;
    }
    unsigned long e = ERR_peek_last_error();
    const char *why = e ? ERR_reason_error_string(e) : NULL;
    snprintf(report->detail, sizeof(report->detail), "handshake: %s",
             why ? why : "connection closed");
    return PS_ORIGIN_TLS;
}

static enum ps_rc
run(struct handshake *h, struct ps_tls_report *report)
{
    for (;;) {
        int r = SSL_do_handshake(h->ssl);
        int want = r == 1 ? SSL_ERROR_NONE : SSL_get_error(h->ssl, r);
        enum ps_rc rc = flush(h);
        if (r == 1 && rc == PS_OK) {
            snprintf(report->detail, sizeof(report->detail), "%s, %s",
                     SSL_get_version(h->ssl), SSL_get_cipher_name(h->ssl));
            return PS_OK;
        }
        if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_NONE)
            return explain(h, report);
        if (rc == PS_OK)
            rc = fill(h);
        if (rc == PS_ORIGIN_TIMEOUT)
            return rc;
        if (rc != PS_OK)
            return explain(h, report);
    }
}

enum ps_rc
ps_tls_try(const struct ps_tls_peer *peer, const struct ps_tls_pipe *pipe,
           struct ps_tls_report *report)
{
    struct handshake h = {.pipe = pipe, .tds = peer->tds};
    *report = (struct ps_tls_report){.fault = PS_TLS_FAULT_OTHER};
    enum ps_rc rc = start(&h, peer);
    if (rc == PS_OK)
        rc = run(&h, report);
    else
        snprintf(report->detail, sizeof(report->detail),
                 "the cache's CA certificate cannot be used");
    SSL_free(h.ssl);
    SSL_CTX_free(h.ctx);
    ERR_clear_error();
    return rc;
}
