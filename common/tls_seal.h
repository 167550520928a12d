/*
 * A text that only who knows a secret can read again: AES-256-GCM (NIST SP
 * 800-38D) under the SHA-256 of the secret, which must be one that cannot be
 * guessed. A nonce of 12 random bytes, the text, a tag of 16.
 */
#ifndef PS_COMMON_TLS_SEAL_H
#define PS_COMMON_TLS_SEAL_H

#include "common/buf.h"
#include "common/err.h"

enum {
    PS_SEAL_EXTRA = 28 /* bytes more than the text */
};

/* Appends the sealed text to out. bound: what must be the same again to open
 * it; not part of the result. */
void ps_seal(struct ps_str secret, struct ps_str bound, struct ps_str text,
             struct ps_buf *out);
/* Appends the text to out; PS_BAD_REQUEST, and nothing appended, when sealed
 * was not made so. */
PS_MUST_USE enum ps_rc ps_unseal(struct ps_str secret, struct ps_str bound,
                                 struct ps_str sealed, struct ps_buf *out);

#endif
