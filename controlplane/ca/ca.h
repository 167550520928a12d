/*
 * The fleet's own certificate authority. It is made at the first start and
 * lives in the data directory: ca.key (mode 0600) and ca.crt. A key that the
 * service manager hands over (ca.key in $CREDENTIALS_DIRECTORY) is used in
 * place of that one, and never written there. It signs the certificates of this
 * server (REST API, fabric), which are made anew at each start and never touch
 * the disk, and those of agents, whose keys never leave the agents.
 *
 * Losing ca.key means that every agent has to enrol again, so a directory
 * with the certificate but without the key is refused instead of repaired.
 */
#ifndef PS_CONTROLPLANE_CA_CA_H
#define PS_CONTROLPLANE_CA_CA_H

#include "common/err.h"

struct ps_ca;

enum {
    PS_CA_SERVER_DAYS = 730,
    PS_CA_AGENT_DAYS = 90,
    /* An agent's certificate is renewed when less than this is left. */
    PS_CA_RENEW_DAYS = 30
};

PS_MUST_USE enum ps_rc ps_ca_open(struct ps_ca **ca, const char *data_dir,
                                  struct ps_err *err);
void ps_ca_close(struct ps_ca **ca);
/* PEM; lives as long as the CA. */
const char *ps_ca_certificate(const struct ps_ca *ca);
/* SHA-256 of the certificate's DER, 64 lower-case hex digits. */
const char *ps_ca_fingerprint(const struct ps_ca *ca);

/* A new key and certificate for a server reached under these names: host
 * names and numeric addresses mixed, NULL-terminated. *cert_pem and *key_pem
 * are the caller's (free()). */
PS_MUST_USE enum ps_rc ps_ca_issue_server(const struct ps_ca *ca,
                                          const char *const *names,
                                          char **cert_pem, char **key_pem,
                                          struct ps_err *err);
/* A client certificate for an agent's CSR; its common name is the agent's id.
 * PS_BAD_FIELD when the CSR cannot be used. */
PS_MUST_USE enum ps_rc ps_ca_issue_agent(const struct ps_ca *ca,
                                         const char *csr_pem,
                                         const char *agent_id, char **cert_pem,
                                         int64_t *expires_ms,
                                         struct ps_err *err);

#endif
