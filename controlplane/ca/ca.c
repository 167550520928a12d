/* Files first (key, then certificate), then signing; all of the cryptography
 * is common/tls.h. */
#include "controlplane/ca/ca.h"

#include "common/check.h"
#include "common/clock.h"
#include "common/credential.h"
#include "common/file.h"
#include "common/log.h"
#include "common/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CA_MAGIC = 0x70734341,
    CA_DAYS = 3650,
    CA_WARN_DAYS = 365,
    PEM_MAX = 65536,
    PATH_BYTES = 4096,
    NAMES_MAX = 64,
    DAY_S = 86400
};

struct ps_ca {
    unsigned magic;
    char *key_pem;
    char *cert_pem;
    char fingerprint[65];
};

/* own_key: it may be made and written; otherwise somebody hands it over. */
static enum ps_rc
make_ca(struct ps_ca *ca, const char *own_key, const char *cert_path,
        struct ps_err *err)
{
    unsigned char random[4];
    char hex[9], name[64];
    ps_random_bytes(random, sizeof(random));
    ps_hex(random, sizeof(random), hex);
    snprintf(name, sizeof(name), "Portside CA %s", hex);
    enum ps_rc rc = PS_OK;
    if (!ca->key_pem)
        rc = ps_tls_make_key(&ca->key_pem, err);
    if (rc == PS_OK)
        rc = ps_tls_make_ca(ca->key_pem, name, CA_DAYS, &ca->cert_pem, err);
    /* The key first: a crash in between leaves a key without certificate,
     * which is where we are now. */
    if (rc == PS_OK && own_key)
        rc = ps_file_write(own_key, ps_str_of(ca->key_pem), 0600, err);
    if (rc == PS_OK)
        rc = ps_file_write(cert_path, ps_str_of(ca->cert_pem), 0644, err);
    if (rc == PS_OK)
        ps_info("ca", "made the certificate authority %s", name);
    return rc;
}

static enum ps_rc
load_file(const char *path, char **text, struct ps_err *err)
{
    size_t len;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return PS_OK;
    return ps_file_read(path, PEM_MAX, text, &len, err);
}

/* The key belongs to the certificate, and there is time left. */
static enum ps_rc
check_ca(struct ps_ca *ca, const char *dir, struct ps_err *err)
{
    struct ssl_ctx_st *ctx;
    int64_t left_s = 0;
    if (ps_tls_server_ctx(ca->cert_pem, ca->key_pem, &ctx, NULL) != PS_OK)
        return ps_err_set(err, PS_TLS,
                          "ca.key and ca.crt in %s do not belong together or "
                          "are damaged; restore both from a backup",
                          dir);
    ps_tls_ctx_free(&ctx);
    enum ps_rc rc = ps_tls_expires_in_s(ca->cert_pem, &left_s, err);
    if (rc != PS_OK)
        return rc;
    if (left_s <= 0)
        return ps_err_set(err, PS_TLS,
                          "the certificate authority in %s has expired; move "
                          "ca.key and ca.crt away and enrol the agents again",
                          dir);
    if (left_s < (int64_t)CA_WARN_DAYS * DAY_S)
        ps_warn("ca",
                "the certificate authority expires in %lld days; plan to "
                "replace it and to enrol the agents again",
                (long long)(left_s / DAY_S));
    return ps_tls_fingerprint(ca->cert_pem, ca->fingerprint, err);
}

enum ps_rc
ps_ca_open(struct ps_ca **out, const char *data_dir, struct ps_err *err)
{
    char key_path[PATH_BYTES], cert_path[PATH_BYTES], given[PATH_BYTES];
    struct ps_ca *ca = calloc(1, sizeof(*ca));
    if (!ca)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    ca->magic = CA_MAGIC;
    snprintf(key_path, sizeof(key_path), "%s/ca.key", data_dir);
    snprintf(cert_path, sizeof(cert_path), "%s/ca.crt", data_dir);
    const char *key = ps_credential_path(key_path, given, sizeof(given));
    enum ps_rc rc = load_file(key, &ca->key_pem, err);
    if (rc == PS_OK)
        rc = load_file(cert_path, &ca->cert_pem, err);
    if (rc == PS_OK && ca->cert_pem && !ca->key_pem)
        rc = ps_err_set(err, PS_TLS,
                        "%s is missing; restore it from a backup, or move "
                        "ca.crt away too and enrol every agent again",
                        key_path);
    if (rc == PS_OK && !ca->cert_pem)
        rc = make_ca(ca, key == key_path ? key_path : NULL, cert_path, err);
    if (rc == PS_OK)
        rc = check_ca(ca, data_dir, err);
    if (rc != PS_OK) {
        ps_ca_close(&ca);
        return rc;
    }
    *out = ca;
    return PS_OK;
}

static void
free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void
ps_ca_close(struct ps_ca **cap)
{
    struct ps_ca *ca = *cap;
    if (!ca)
        return;
    PS_CHECK_OBJ(ca, CA_MAGIC);
    free_secret(ca->key_pem);
    free(ca->cert_pem);
    ca->magic = 0;
    free(ca);
    *cap = NULL;
}

const char *
ps_ca_certificate(const struct ps_ca *ca)
{
    PS_CHECK_OBJ(ca, CA_MAGIC);
    return ca->cert_pem;
}

const char *
ps_ca_fingerprint(const struct ps_ca *ca)
{
    PS_CHECK_OBJ(ca, CA_MAGIC);
    return ca->fingerprint;
}

static bool
is_address(const char *name)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, name, bytes) == 1 ||
           inet_pton(AF_INET6, name, bytes) == 1;
}

enum ps_rc
ps_ca_issue_server(const struct ps_ca *ca, const char *const *names,
                   char **cert_pem, char **key_pem, struct ps_err *err)
{
    PS_CHECK_OBJ(ca, CA_MAGIC);
    const char *dns[NAMES_MAX + 1] = {NULL}, *ip[NAMES_MAX + 1] = {NULL};
    size_t n_dns = 0, n_ip = 0;
    char *key = NULL, *csr = NULL, *cert = NULL;
    PS_CHECK(names[0] != NULL);
    for (size_t i = 0; names[i]; i++) {
        if (i == NAMES_MAX)
            return ps_err_set(err, PS_CONFIG,
                              "more than %d names in public-host", NAMES_MAX);
        if (is_address(names[i]))
            ip[n_ip++] = names[i];
        else
            dns[n_dns++] = names[i];
    }
    enum ps_rc rc = ps_tls_make_key(&key, err);
    if (rc == PS_OK)
        rc = ps_tls_make_csr(key, names[0], &csr, err);
    if (rc == PS_OK) {
        struct ps_tls_sign sign = {
            .ca_cert_pem = ca->cert_pem,
            .ca_key_pem = ca->key_pem,
            .csr_pem = csr,
            .common_name = names[0],
            .dns = n_dns ? dns : NULL,
            .ip = n_ip ? ip : NULL,
            .days = PS_CA_SERVER_DAYS,
            .server = true,
        };
        rc = ps_tls_sign_csr(&sign, &cert, err);
    }
    free(csr);
    if (rc != PS_OK) {
        free_secret(key);
        return rc;
    }
    *cert_pem = cert;
    *key_pem = key;
    return PS_OK;
}

enum ps_rc
ps_ca_issue_agent(const struct ps_ca *ca, const char *csr_pem,
                  const char *agent_id, char **cert_pem, int64_t *expires_ms,
                  struct ps_err *err)
{
    PS_CHECK_OBJ(ca, CA_MAGIC);
    struct ps_tls_sign sign = {
        .ca_cert_pem = ca->cert_pem,
        .ca_key_pem = ca->key_pem,
        .csr_pem = csr_pem,
        .common_name = agent_id,
        .days = PS_CA_AGENT_DAYS,
        .client = true,
    };
    char *cert = NULL;
    int64_t left_s;
    enum ps_rc rc = ps_tls_sign_csr(&sign, &cert, err);
    if (rc == PS_TLS)
        return ps_err_set(err, PS_BAD_FIELD,
                          "csr is not a usable PKCS#10 request in PEM");
    if (rc == PS_OK)
        rc = ps_tls_expires_in_s(cert, &left_s, err);
    if (rc != PS_OK) {
        free(cert);
        return rc;
    }
    *cert_pem = cert;
    *expires_ms = ps_wall_ms() + left_s * 1000;
    return PS_OK;
}
