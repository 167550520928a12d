/*
 * Hashes, all of them XXH3. The only user of xxhash.h, in hash.c: calls are
 * not inlined, which costs about 2 ns a hash and keeps 5,000 lines out of
 * every file that needs one.
 *
 * Keyed hashes use a secret made once per process, so that clients cannot
 * aim collisions; their values mean nothing to another process.
 * ps_fingerprint64 is the same everywhere and for ever, and is for names of
 * things (templates), never for what an attacker gains by colliding.
 */
#ifndef PS_COMMON_HASH_H
#define PS_COMMON_HASH_H

#include "common/base.h"

enum {
    PS_HASH_SECRET_BYTES = 192
};
struct ps_hash_secret {
    unsigned char bytes[PS_HASH_SECRET_BYTES];
};
struct ps_hash128 {
    uint64_t lo, hi;
};

/* This process's secret: made at the first call, any thread, static. */
const struct ps_hash_secret *ps_hash_process_secret(void);

struct ps_hash128 ps_hash128_keyed(const void *bytes, size_t n,
                                   const struct ps_hash_secret *secret);
uint64_t ps_hash64_keyed(const void *bytes, size_t n,
                         const struct ps_hash_secret *secret);
/* Seeded, but not secret: for spreading over shards and buckets. */
uint64_t ps_hash64(const void *bytes, size_t n, uint64_t seed);
/* XXH3-64 without seed: stable across machines and versions. */
uint64_t ps_fingerprint64(const void *bytes, size_t n);

#endif
