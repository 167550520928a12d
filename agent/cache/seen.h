/*
 * A bounded memory of hashes: "was this here lately?" Sets of four, the oldest
 * of a set makes room. 8 bytes each; 32 bits of the hash are kept, so it is
 * wrong about one time in a thousand million, and nothing that must be
 * right may depend on it.
 *
 * Not thread safe: lives under its owner's lock. Used as the ghost of S3-FIFO
 * and for the queries that automatic mode has seen once.
 */
#ifndef PS_AGENT_CACHE_SEEN_H
#define PS_AGENT_CACHE_SEEN_H

#include "common/base.h"

struct ps_seen {
    struct ps_seen_slot *slots; /* owned */
    uint64_t mask;              /* sets - 1 */
    uint32_t clock;             /* adds so far; wraps */
};

/* Holds about max hashes (rounded up). False without memory. */
PS_MUST_USE bool ps_seen_init(struct ps_seen *seen, size_t max);
void ps_seen_done(struct ps_seen *seen);
/* What it costs. */
size_t ps_seen_bytes(const struct ps_seen *seen);
/* Was it among the last `window` adds? */
bool ps_seen_has(const struct ps_seen *seen, uint64_t hash, uint32_t window);
/* Remembers it as the newest. */
void ps_seen_add(struct ps_seen *seen, uint64_t hash);

#endif
