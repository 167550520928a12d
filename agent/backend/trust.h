/*
 * Which certificates a connection to an origin trusts, as files, because that
 * is what the client libraries take. Any thread.
 */
#ifndef PS_AGENT_BACKEND_TRUST_H
#define PS_AGENT_BACKEND_TRUST_H

/* The system's bundle, static; NULL: there is none. */
const char *ps_trust_system_bundle(void);
/* A descriptor with pem in it (to be closed), -1 on failure; path gets a name
 * that is good as long as the descriptor is open. */
int ps_trust_file(const char *pem, char path[32]);

#endif
