/*
 * What the agent keeps on disk, in one directory with mode 0700:
 *
 *   agent.json    identity, secret, where the control plane is (0600)
 *   key.pem       private key, made on this node (0600)
 *   cert.pem      its certificate; ca.pem: the control plane's CA
 *   config.bin    the last config snapshot (protobuf), to start from when the
 *                 control plane is away
 *   lock          held while an agent runs
 *
 * No credential of an origin is ever written (contract C6).
 */
#ifndef PS_AGENT_LINK_STATE_H
#define PS_AGENT_LINK_STATE_H

#include "common/err.h"

struct ps_agent_state {
    char *dir;
    char *agent_id, *agent_name, *agent_secret, *region;
    char *call_address, *event_address;
    char *key_pem, *cert_pem, *ca_pem;
    int lock_fd; /* -1: not locked */
};

/* Reads an enrolled agent's state and takes the lock (PS_CONFLICT when another
 * agent runs from there; PS_NOT_FOUND when not enrolled). */
PS_MUST_USE enum ps_rc ps_agent_state_load(struct ps_agent_state *state,
                                           const char *dir, struct ps_err *err);
/* Writes what enrolment gave: all files, agent.json last. */
PS_MUST_USE enum ps_rc ps_agent_state_save(const struct ps_agent_state *state,
                                           struct ps_err *err);
/* Replaces the certificate after renewal. */
PS_MUST_USE enum ps_rc ps_agent_state_save_cert(struct ps_agent_state *state,
                                                const char *cert_pem,
                                                const char *ca_pem,
                                                struct ps_err *err);
/* True when dir already holds an identity. */
bool ps_agent_state_exists(const char *dir);
void ps_agent_state_done(struct ps_agent_state *state);

#endif
