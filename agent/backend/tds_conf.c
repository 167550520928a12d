/*
 * Configuration that nobody else has a say in: odbc.ini and freetds.conf as
 * descriptors without a name in any file system. FreeTDS by itself would only
 * ask for encryption, encrypt nothing but the login where the server agrees,
 * and check no certificate.
 *
 * The login does not go through a connection string: ODBC's quoting rules
 * differ between the driver manager and the driver, and a password must not
 * be able to name another server.
 */
#include "agent/backend/tds_odbc.h"
#include "agent/backend/trust.h"

#include <stdlib.h>

#ifndef PS_TDSODBC
#    define PS_TDSODBC "/usr/lib/x86_64-linux-gnu/odbc/libtdsodbc.so"
#endif

/* One line of a file with lines: nothing may end it early. */
static bool
is_plain(const char *text)
{
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p <= ' ' || strchr("[]=;#{}\"'", *p))
            return false;
    }
    return *text != '\0';
}

static enum ps_rc
add_tls(const struct ps_tds_target *target, struct ps_buf *conf,
        struct ps_err *err)
{
    static const char *const encryption[] = {
        [PS_TLS_AUTO] = "require",      [PS_TLS_DISABLE] = "off",
        [PS_TLS_PREFER] = "require",    [PS_TLS_REQUIRE] = "require",
        [PS_TLS_VERIFY_CA] = "require", [PS_TLS_VERIFY_FULL] = "require",
    };
    bool verify =
        target->tls == PS_TLS_VERIFY_CA || target->tls == PS_TLS_VERIFY_FULL;
    char ca_path[32];
    const char *ca = NULL;
    ps_buf_printf(conf, "encryption = %s\n", encryption[target->tls]);
    if (!verify)
        return PS_OK;
    if (!target->ca_pem)
        ca = ps_trust_system_bundle();
    else if (ps_trust_file(target->ca_pem, ca_path) >= 0)
        ca = ca_path;
    if (!ca)
        return ps_err_set(err, PS_ORIGIN_CERT,
                          "this agent has no bundle of trusted certificates; "
                          "install ca-certificates or give the cache its CA");
    ps_buf_printf(conf, "ca file = %s\ncheck certificate hostname = %s\n", ca,
                  target->tls == PS_TLS_VERIFY_FULL ? "yes" : "no");
    return PS_OK;
}

/* The file exists as long as this process. */
static enum ps_rc
publish(struct ps_buf *conf, const char *variable)
{
    char path[32];
    ps_buf_append_char(conf, '\0');
    if (ps_buf_rc(conf) != PS_OK || ps_trust_file(conf->data, path) < 0 ||
        setenv(variable, path, 1) != 0)
        return PS_NO_MEMORY;
    return PS_OK;
}

enum ps_rc
ps_tds_conf_make(const struct ps_tds_target *target, struct ps_err *err)
{
    struct ps_buf conf;
    if (!is_plain(target->host))
        return ps_err_set(err, PS_ORIGIN_HOST, NULL);
    ps_buf_init(&conf, 4096);
    ps_buf_printf(&conf,
                  "[global]\ntds version = 7.4\nclient charset = UTF-8\n"
                  "[portside]\nhost = %s\nport = %u\n",
                  target->host, (unsigned)target->port);
    enum ps_rc rc = add_tls(target, &conf, err);
    if (rc != PS_OK) {
        ps_buf_done(&conf);
        return rc;
    }
    rc = publish(&conf, "FREETDSCONF");
    ps_buf_clear(&conf);
    ps_buf_append_c(&conf, "[portside]\nDriver = " PS_TDSODBC
                           "\nServername = portside\nAPP = portside\n");
    if (rc == PS_OK)
        rc = publish(&conf, "ODBCINI");
    if (rc == PS_OK && setenv("ODBCSYSINI", "/nonexistent", 1) != 0)
        rc = PS_NO_MEMORY;
    ps_buf_done(&conf);
    return rc == PS_OK ? rc : ps_err_set(err, rc, NULL);
}
