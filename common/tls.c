/*
 * OpenSSL 3 behind tls.h. Everything goes through PEM texts, so that no
 * OpenSSL type but SSL_CTX leaves this file. ECDSA P-256 keys and SHA-256
 * signatures throughout; a key of another kind is refused, not converted.
 */
#include "common/tls.h"

#include "common/check.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    BACKDATE_S = 300, /* for peers whose clock is behind */
    DAY_S = 86400,
    SERIAL_BYTES = 16
};

/* Says what failed with OpenSSL's reason, and empties its error queue. */
static enum ps_rc
fail(struct ps_err *err, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return ps_err_set(err, PS_TLS, "%s%s%s", what, reason ? ": " : "",
                      reason ? reason : "");
}

/* ---- PEM in and out ---- */

/* OpenSSL would ask for a password on the terminal. */
static int
no_password(PS_UNUSED char *buf, PS_UNUSED int size, PS_UNUSED int writing,
            PS_UNUSED void *arg)
{
    return -1;
}

static EVP_PKEY *
read_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    if (!bio)
        return NULL;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    return key;
}

static X509 *
read_cert(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    if (!bio)
        return NULL;
    X509 *cert = PEM_read_bio_X509(bio, NULL, no_password, NULL);
    BIO_free(bio);
    return cert;
}

static X509_REQ *
read_csr(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    if (!bio)
        return NULL;
    X509_REQ *csr = PEM_read_bio_X509_REQ(bio, NULL, no_password, NULL);
    BIO_free(bio);
    return csr;
}

/* The text written to bio, for free(); frees bio. NULL if it was not ok. */
static char *
take_text(BIO *bio, bool ok)
{
    char *data, *text = NULL;
    long len = ok ? BIO_get_mem_data(bio, &data) : 0;
    if (len > 0)
        text = strndup(data, (size_t)len);
    BIO_free(bio);
    return text;
}

static char *
write_key(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return bio ? take_text(bio, PEM_write_bio_PKCS8PrivateKey(
                                    bio, key, NULL, NULL, 0, NULL, NULL) == 1)
               : NULL;
}

static char *
write_cert(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return bio ? take_text(bio, PEM_write_bio_X509(bio, cert) == 1) : NULL;
}

static char *
write_csr(X509_REQ *csr)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return bio ? take_text(bio, PEM_write_bio_X509_REQ(bio, csr) == 1) : NULL;
}

/* ---- keys and certificates ---- */

enum ps_rc
ps_tls_make_key(char **key_pem, struct ps_err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *text = key ? write_key(key) : NULL;
    EVP_PKEY_free(key);
    if (!text)
        return fail(err, "cannot make a key");
    *key_pem = text;
    return PS_OK;
}

static bool
is_p256(EVP_PKEY *key)
{
    char group[32];
    size_t len;
    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

static bool
add_common_name(X509_NAME *name, const char *text)
{
    const unsigned char *bytes = (const unsigned char *)text;
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, bytes, -1, -1,
                                      0) == 1;
}

static bool
set_serial(X509 *cert)
{
    /* RFC 5280 section 4.1.2.2: positive, at most 20 bytes. */
    unsigned char bytes[SERIAL_BYTES];
    ps_random_bytes(bytes, sizeof(bytes));
    bytes[0] = (unsigned char)((bytes[0] & 0x7F) | 0x40);
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = number &&
              BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return ok;
}

static bool
set_validity(X509 *cert, unsigned days)
{
    return X509_gmtime_adj(X509_getm_notBefore(cert), -BACKDATE_S) &&
           X509_gmtime_adj(X509_getm_notAfter(cert), (long)days * DAY_S);
}

static bool
add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool
fill_ca(X509 *cert, EVP_PKEY *key, const char *name, unsigned days)
{
    return X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
           set_validity(cert, days) &&
           add_common_name(X509_get_subject_name(cert), name) &&
           X509_set_issuer_name(cert, X509_get_subject_name(cert)) &&
           X509_set_pubkey(cert, key) &&
           add_extension(cert, cert, NID_basic_constraints,
                         "critical,CA:TRUE,pathlen:0") &&
           add_extension(cert, cert, NID_key_usage,
                         "critical,keyCertSign,cRLSign") &&
           add_extension(cert, cert, NID_subject_key_identifier, "hash") &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

enum ps_rc
ps_tls_make_ca(const char *key_pem, const char *name, unsigned days,
               char **cert_pem, struct ps_err *err)
{
    EVP_PKEY *key = read_key(key_pem);
    if (!key)
        return fail(err, "cannot read the CA's key");
    X509 *cert = X509_new();
    char *text = NULL;
    if (cert && fill_ca(cert, key, name, days))
        text = write_cert(cert);
    X509_free(cert);
    EVP_PKEY_free(key);
    if (!text)
        return fail(err, "cannot make the CA's certificate");
    *cert_pem = text;
    return PS_OK;
}

enum ps_rc
ps_tls_make_csr(const char *key_pem, const char *name, char **csr_pem,
                struct ps_err *err)
{
    EVP_PKEY *key = read_key(key_pem);
    if (!key)
        return fail(err, "cannot read the key");
    X509_REQ *csr = X509_REQ_new();
    char *text = NULL;
    if (csr && X509_REQ_set_version(csr, X509_REQ_VERSION_1) &&
        add_common_name(X509_REQ_get_subject_name(csr), name) &&
        X509_REQ_set_pubkey(csr, key) &&
        X509_REQ_sign(csr, key, EVP_sha256()) > 0)
        text = write_csr(csr);
    X509_REQ_free(csr);
    EVP_PKEY_free(key);
    if (!text)
        return fail(err, "cannot make a certificate request");
    *csr_pem = text;
    return PS_OK;
}

/* ---- signing ---- */

static bool
add_alt_name(GENERAL_NAMES *names, const char *text, bool is_ip)
{
    ASN1_STRING *value = NULL;
    if (is_ip) {
        value = a2i_IPADDRESS(text);
    } else if ((value = ASN1_IA5STRING_new()) != NULL &&
               ASN1_STRING_set(value, text, -1) != 1) {
        ASN1_STRING_free(value);
        value = NULL;
    }
    GENERAL_NAME *name = GENERAL_NAME_new();
    if (!value || !name || sk_GENERAL_NAME_push(names, name) <= 0) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(name);
        return false;
    }
    GENERAL_NAME_set0_value(name, is_ip ? GEN_IPADD : GEN_DNS, value);
    return true;
}

static bool
add_alt_names(X509 *cert, const struct ps_tls_sign *sign)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool ok = names != NULL;
    for (const char *const *at = sign->dns; ok && at && *at; at++)
        ok = add_alt_name(names, *at, false);
    for (const char *const *at = sign->ip; ok && at && *at; at++)
        ok = add_alt_name(names, *at, true);
    if (ok && sk_GENERAL_NAME_num(names) > 0)
        ok = X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1;
    GENERAL_NAMES_free(names);
    return ok;
}

static bool
fill_signed(X509 *cert, X509 *ca, EVP_PKEY *ca_key, EVP_PKEY *public_key,
            const struct ps_tls_sign *sign)
{
    const char *usage = sign->server && sign->client ? "serverAuth,clientAuth"
                        : sign->server               ? "serverAuth"
                                                     : "clientAuth";
    return X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
           set_validity(cert, sign->days) &&
           add_common_name(X509_get_subject_name(cert), sign->common_name) &&
           X509_set_issuer_name(cert, X509_get_subject_name(ca)) &&
           X509_set_pubkey(cert, public_key) &&
           add_extension(cert, ca, NID_basic_constraints,
                         "critical,CA:FALSE") &&
           add_extension(cert, ca, NID_key_usage,
                         "critical,digitalSignature") &&
           add_extension(cert, ca, NID_ext_key_usage, usage) &&
           add_extension(cert, ca, NID_subject_key_identifier, "hash") &&
           add_extension(cert, ca, NID_authority_key_identifier,
                         "keyid:always") &&
           add_alt_names(cert, sign) &&
           X509_sign(cert, ca_key, EVP_sha256()) > 0;
}

/* The key of a CSR whose own signature proves that its sender has it. */
static enum ps_rc
check_csr(X509_REQ *csr, EVP_PKEY **key, struct ps_err *err)
{
    EVP_PKEY *k = csr ? X509_REQ_get0_pubkey(csr) : NULL;
    if (!k)
        return fail(err, "cannot read the certificate request");
    if (!is_p256(k))
        return fail(err, "the certificate request's key is not ECDSA P-256");
    if (X509_REQ_verify(csr, k) != 1)
        return fail(err, "the certificate request's signature is wrong");
    *key = k;
    return PS_OK;
}

enum ps_rc
ps_tls_sign_csr(const struct ps_tls_sign *sign, char **cert_pem,
                struct ps_err *err)
{
    PS_CHECK(sign->server || sign->client);
    X509 *ca = read_cert(sign->ca_cert_pem), *cert = X509_new();
    EVP_PKEY *ca_key = read_key(sign->ca_key_pem), *public_key = NULL;
    X509_REQ *csr = read_csr(sign->csr_pem);
    enum ps_rc rc = PS_OK;
    char *text = NULL;
    if (!ca || !ca_key || X509_check_private_key(ca, ca_key) != 1)
        rc = fail(err, "the CA's certificate and key do not fit");
    else
        rc = check_csr(csr, &public_key, err);
    if (rc == PS_OK) {
        if (cert && fill_signed(cert, ca, ca_key, public_key, sign))
            text = write_cert(cert);
        if (!text)
            rc = fail(err, "cannot sign the certificate");
    }
    X509_REQ_free(csr);
    EVP_PKEY_free(ca_key);
    X509_free(cert);
    X509_free(ca);
    if (rc == PS_OK)
        *cert_pem = text;
    return rc;
}

enum ps_rc
ps_tls_fingerprint(const char *cert_pem, char out[65], struct ps_err *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    X509 *cert = read_cert(cert_pem);
    bool ok =
        cert && X509_digest(cert, EVP_sha256(), digest, &len) == 1 && len == 32;
    X509_free(cert);
    if (!ok)
        return fail(err, "cannot read the certificate");
    ps_hex(digest, len, out);
    return PS_OK;
}

enum ps_rc
ps_tls_expires_in_s(const char *cert_pem, int64_t *out, struct ps_err *err)
{
    int days = 0, seconds = 0;
    X509 *cert = read_cert(cert_pem);
    bool ok = cert && ASN1_TIME_diff(&days, &seconds, NULL,
                                     X509_get0_notAfter(cert)) == 1;
    X509_free(cert);
    if (!ok)
        return fail(err, "cannot read the certificate");
    *out = (int64_t)days * DAY_S + seconds;
    return PS_OK;
}

/* ---- contexts ---- */

static int
select_alpn(PS_UNUSED SSL *ssl, const unsigned char **out,
            unsigned char *out_len, const unsigned char *in, unsigned in_len,
            PS_UNUSED void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in,
                              in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 section 3.2 */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* The first certificate of the text is ours, the others its chain. */
static bool
use_chain(SSL_CTX *ctx, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    if (!bio)
        return false;
    X509 *cert = PEM_read_bio_X509(bio, NULL, no_password, NULL);
    bool ok = cert && SSL_CTX_use_certificate(ctx, cert) == 1;
    X509_free(cert);
    while (ok && (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL))) {
        ok = SSL_CTX_add0_chain_cert(ctx, cert) == 1;
        if (!ok)
            X509_free(cert);
    }
    BIO_free(bio);
    /* The end of the text is an error to PEM_read, and not to us. */
    unsigned long last = ERR_peek_last_error();
    if (ok && last && ERR_GET_LIB(last) == ERR_LIB_PEM &&
        ERR_GET_REASON(last) == PEM_R_NO_START_LINE)
        ERR_clear_error();
    else if (last)
        ok = false;
    return ok;
}

static bool
use_key(SSL_CTX *ctx, const char *pem)
{
    EVP_PKEY *key = read_key(pem);
    bool ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
              SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    return ok;
}

enum ps_rc
ps_tls_server_ctx(const char *cert_pem, const char *key_pem,
                  struct ssl_ctx_st **out, struct ps_err *err)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return fail(err, "cannot make a TLS context");
    static const unsigned char session_id[] = "portside";
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(ctx, session_id, sizeof(session_id) - 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
    enum ps_rc rc = PS_OK;
    if (!use_chain(ctx, cert_pem))
        rc = fail(err, "cannot use the certificate");
    else if (!use_key(ctx, key_pem))
        rc = fail(err, "the key cannot be used or does not fit the "
                       "certificate");
    if (rc != PS_OK) {
        SSL_CTX_free(ctx);
        return rc;
    }
    *out = ctx;
    return PS_OK;
}

void
ps_tls_ctx_free(struct ssl_ctx_st **ctx)
{
    SSL_CTX_free(*ctx);
    *ctx = NULL;
}

/* ---- bytes ---- */

void
ps_random_bytes(void *out, size_t n)
{
    char *to = out;
    while (n > 0) {
        ssize_t got = getrandom(to, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        PS_CHECK(got > 0);
        to += got;
        n -= (size_t)got;
    }
}

void
ps_hex(const void *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[b[i] >> 4];
        *out++ = digits[b[i] & 15];
    }
    *out = '\0';
}

void
ps_hmac_sha256(const unsigned char key[32], struct ps_str data,
               unsigned char out[32])
{
    unsigned n = 0;
    PS_CHECK(HMAC(EVP_sha256(), key, 32,
                  (const unsigned char *)(data.ptr ? data.ptr : ""), data.len,
                  out, &n) &&
             n == 32);
}

bool
ps_equal_const_time(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void
ps_uuid_make(char out[37])
{
    unsigned char b[16];
    char hex[33];
    ps_random_bytes(b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x40); /* version 4 */
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80); /* variant of RFC 9562 */
    ps_hex(b, sizeof(b), hex);
    static const size_t groups[] = {8, 4, 4, 4, 12};
    const char *from = hex;
    for (size_t i = 0; i < PS_ARRAY_LEN(groups); i++) {
        if (i > 0)
            *out++ = '-';
        memcpy(out, from, groups[i]);
        from += groups[i];
        out += groups[i];
    }
    *out = '\0';
}

bool
ps_uuid_valid(struct ps_str text)
{
    if (text.len != 36)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
                   (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex)
            return false;
    }
    return true;
}
