/*
 * The TLS stage: one handshake on the socket of the stages before. Certificates
 * are checked as the cache's tls mode asks; why one does not fit goes into the
 * detail in OpenSSL's words, and decides the advice.
 */
#include "agent/probe/probe_private.h"

static enum ps_rc
read_some(void *arg, void *out, size_t max, size_t *got)
{
    return ps_probe_read_some(arg, out, max, got);
}

static enum ps_rc
write_all(void *arg, const void *data, size_t n)
{
    return ps_probe_write(arg, data, n);
}

enum ps_rc
ps_probe_tls(const struct ps_cache_conf *conf, enum ps_tls_mode mode,
             struct ps_probe_socket *s, bool tds_wrapped,
             struct ps_tls_report *report)
{
    const struct ps_tls_peer peer = {
        .host = conf->host,
        .ca_pem = conf->tls_ca_pem,
        .verify = mode == PS_TLS_VERIFY_CA || mode == PS_TLS_VERIFY_FULL,
        .verify_host = mode == PS_TLS_VERIFY_FULL,
        .tds = tds_wrapped,
    };
    const struct ps_tls_pipe pipe = {
        .arg = s, .read = read_some, .write = write_all};
    return ps_tls_try(&peer, &pipe, report);
}
