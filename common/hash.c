/*
 * XXH3 compiled into this file (XXH_INLINE_ALL), so that length-dependent
 * branches are resolved here and no shared library is called.
 */
#include "common/hash.h"

#include "common/check.h"
#include "common/tls.h"

#include <pthread.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(PS_HASH_SECRET_BYTES >= XXH3_SECRET_SIZE_MIN,
               "XXH3 wants a longer secret");

static struct ps_hash_secret process_secret;
static pthread_once_t process_secret_once = PTHREAD_ONCE_INIT;

static void
make_process_secret(void)
{
    ps_random_bytes(process_secret.bytes, sizeof(process_secret.bytes));
}

const struct ps_hash_secret *
ps_hash_process_secret(void)
{
    PS_CHECK(pthread_once(&process_secret_once, make_process_secret) == 0);
    return &process_secret;
}

struct ps_hash128
ps_hash128_keyed(const void *bytes, size_t n,
                 const struct ps_hash_secret *secret)
{
    XXH128_hash_t h =
        XXH3_128bits_withSecret(bytes, n, secret->bytes, sizeof(secret->bytes));
    return (struct ps_hash128){.lo = h.low64, .hi = h.high64};
}

uint64_t
ps_hash64_keyed(const void *bytes, size_t n,
                const struct ps_hash_secret *secret)
{
    return XXH3_64bits_withSecret(bytes, n, secret->bytes,
                                  sizeof(secret->bytes));
}

uint64_t
ps_hash64(const void *bytes, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, n, seed);
}

uint64_t
ps_fingerprint64(const void *bytes, size_t n)
{
    return XXH3_64bits(bytes, n);
}
