#include "agent/cache/seen.h"

#include <malloc.h>
#include <stdlib.h>

enum {
    WAYS = 4
};

struct ps_seen_slot {
    uint32_t tag; /* 0: free */
    uint32_t when;
};

bool
ps_seen_init(struct ps_seen *seen, size_t max)
{
    size_t sets = 1;
    while (sets * WAYS < max)
        sets *= 2;
    seen->slots = calloc(sets * WAYS, sizeof(*seen->slots));
    seen->mask = sets - 1;
    seen->clock = 0;
    return seen->slots != NULL;
}

void
ps_seen_done(struct ps_seen *seen)
{
    free(seen->slots);
    seen->slots = NULL;
}

size_t
ps_seen_bytes(const struct ps_seen *seen)
{
    return malloc_usable_size(seen->slots) + sizeof(size_t);
}

static uint32_t
tag_of(uint64_t hash)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    return tag ? tag : 1;
}

static struct ps_seen_slot *
set_of(const struct ps_seen *seen, uint64_t hash)
{
    return &seen->slots[(hash & seen->mask) * WAYS];
}

bool
ps_seen_has(const struct ps_seen *seen, uint64_t hash, uint32_t window)
{
    const struct ps_seen_slot *set = set_of(seen, hash);
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].tag == tag_of(hash))
            return seen->clock - set[i].when <= window;
    }
    return false;
}

void
ps_seen_add(struct ps_seen *seen, uint64_t hash)
{
    struct ps_seen_slot *set = set_of(seen, hash);
    struct ps_seen_slot *slot = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].tag == tag_of(hash)) {
            slot = &set[i];
            break;
        }
        if (slot->tag == 0)
            continue; /* a free one is taken, unless the hash is further on */
        if (set[i].tag == 0 ||
            seen->clock - set[i].when > seen->clock - slot->when)
            slot = &set[i];
    }
    slot->tag = tag_of(hash);
    slot->when = ++seen->clock;
}
