/*
 * Becoming an agent: `portside-agent enroll <join-token>`.
 *
 *   token = "psj1." base64url({"u": API url, "f": CA fingerprint,
 *                              "t": one-time secret, "r": region})
 *
 * The key and the CSR are made here; the key never leaves the node. The
 * control plane's CA is fetched and must have the token's fingerprint; every
 * further byte goes over TLS that verifies against it. Blocking, for the
 * command line only.
 */
#ifndef PS_AGENT_LINK_ENROLL_H
#define PS_AGENT_LINK_ENROLL_H

#include "common/err.h"

struct ps_enroll {
    const char *token;
    const char *dir;
    const char *name; /* NULL: the control plane chooses */
    const char *url;  /* NULL: the token's */
    bool force;       /* replace an existing identity */
};

/* Prints what it did on standard output. */
PS_MUST_USE enum ps_rc ps_enroll_run(const struct ps_enroll *enroll,
                                     struct ps_err *err);

#endif
