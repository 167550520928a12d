/*
 * A bounded memory of hashes: which keys left a queue of S3-FIFO lately, and
 * which queries automatic mode has seen. Sets of four, the oldest of a set
 * makes room. 4 bytes each: 16 bits of the hash, so that about one answer in
 * sixteen thousand is wrong, and 16 bits of a coarse clock. Nothing that must
 * be right may depend on it.
 *
 * Not thread safe: lives under its owner's lock.
 */
#ifndef PS_AGENT_CACHE_GHOST_H
#define PS_AGENT_CACHE_GHOST_H

#include "common/base.h"

struct ps_ghost {
    struct ps_ghost_slot *slots; /* owned */
    uint64_t mask;               /* sets - 1 */
    uint64_t adds;               /* so far */
    unsigned shift;              /* adds to ticks of the clock */
};

/* Holds about max keys (rounded up). False without memory. */
PS_MUST_USE bool ps_ghost_init(struct ps_ghost *ghost, size_t max);
void ps_ghost_done(struct ps_ghost *ghost);
/* What it costs. */
size_t ps_ghost_bytes(const struct ps_ghost *ghost);
/* Was it among the last `window` adds, about? UINT64_MAX: is it there? */
bool ps_ghost_has(const struct ps_ghost *ghost, uint64_t hash, uint64_t window);
/* Remembers it as the newest. */
void ps_ghost_add(struct ps_ghost *ghost, uint64_t hash);

#endif
