/*
 * SHA-256 by OpenSSL's functions of before 3.0. They compute the same by the
 * same code as EVP, which looks an algorithm up, allocates and frees for each
 * digest: most of the time of a short one, and a password is digested for
 * every request (pool/principal.c). They are marked as deprecated, hence a
 * file of its own; should they go, EVP_Q_digest takes their place.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "common/check.h"
#include "common/tls.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

void
ps_sha256(struct ps_str data, unsigned char out[32])
{
    SHA256_CTX ctx;
    PS_CHECK(SHA256_Init(&ctx) == 1 &&
             SHA256_Update(&ctx, data.ptr ? data.ptr : "", data.len) == 1 &&
             SHA256_Final(out, &ctx) == 1);
    /* It held a secret. */
    OPENSSL_cleanse(&ctx, sizeof(ctx));
}
