/* What the pool needs of a principal beyond principal.h: to compare many
 * waiting passwords it works with their digests. */
#ifndef PS_AGENT_POOL_PRINCIPAL_PRIVATE_H
#define PS_AGENT_POOL_PRINCIPAL_PRIVATE_H

#include "agent/pool/principal.h"

enum {
    PS_DIGEST_BYTES = 32
};

/* Keyed with a secret of this process and the principal's id. */
void ps_principal_digest(const struct ps_principal *principal,
                         struct ps_str password,
                         unsigned char out[PS_DIGEST_BYTES]);
/* The digest that counts as verified now, or false. */
bool ps_principal_current(const struct ps_principal *principal, uint64_t now_ms,
                          unsigned char out[PS_DIGEST_BYTES]);
void ps_principal_set_digest(struct ps_principal *principal,
                             const unsigned char digest[PS_DIGEST_BYTES],
                             uint64_t since_ms);

#endif
